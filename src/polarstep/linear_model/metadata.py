"""Metadata, such as groups and sample weights, on their way to a splitter and to a scorer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn import get_config
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from ..validation import complaint


def make_router(owner: Any, splitter: Any, scorer: Any) -> MetadataRouter:
    """Return the routes from the fit and score of an estimator to its splitter and its scorer."""
    to_splitter = MethodMapping().add(caller="fit", callee="split")
    to_scorer = (
        MethodMapping().add(caller="fit", callee="score").add(caller="score", callee="score")
    )
    router = MetadataRouter(owner=owner).add_self_request(owner)
    router.add(splitter=splitter, method_mapping=to_splitter)
    return router.add(scorer=scorer, method_mapping=to_scorer)


def route(
    owner: Any, caller: str, sample_weight: Any, params: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the metadata for the splitter and those for the scorer.

    Without metadata routing, sample weights are for the scorer, and there are no other metadata.

    Parameters
    ----------
    owner : estimator
        Its ``get_metadata_routing`` is that of `make_router`.
    caller : str
        "fit" or "score".
    sample_weight : array-like or None
    params : mapping
        Other metadata by name.

    Raises
    ------
    ValueError
        If there are other metadata although metadata routing is not enabled.
    """
    weight = {} if sample_weight is None else {"sample_weight": sample_weight}
    if get_config()["enable_metadata_routing"]:
        routed = process_routing(owner, caller, **weight, **params)
        return routed["splitter"].get("split", {}), routed["scorer"].get("score", {})
    if params:
        must = "be empty unless metadata routing is enabled"
        advice = "Call sklearn.set_config(enable_metadata_routing=True) first."
        raise ValueError(complaint(type(owner).__name__, "params", must, sorted(params), advice))
    return {}, weight
