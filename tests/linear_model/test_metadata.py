"""Metadata on their way to a splitter and to a scorer."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.metrics import get_scorer
from sklearn.model_selection import GroupKFold

from polarstep.linear_model.metadata import make_router, route

WEIGHT, GROUPS = np.ones(3), np.arange(3)


class Owner(BaseEstimator):
    """An estimator with a splitter of groups and the accuracy as its score."""

    def __init__(self, weigh=False):
        self.weigh = weigh

    def fit(self, X, y, sample_weight=None, **params):
        return self

    def get_metadata_routing(self):
        scorer = get_scorer("accuracy")
        if self.weigh:
            scorer = scorer.set_score_request(sample_weight=True)
        return make_router(self, GroupKFold(3), scorer)


def test_without_routing_sample_weights_are_for_the_scorer():
    assert route(Owner(), "fit", WEIGHT, {}) == ({}, {"sample_weight": WEIGHT})
    assert route(Owner(), "fit", None, {}) == ({}, {})


def test_without_routing_other_metadata_are_refused_with_advice():
    with pytest.raises(
        ValueError, match=r"Owner: `params` .*\['groups'\].*enable_metadata_routing"
    ):
        route(Owner(), "fit", None, {"groups": GROUPS})


def test_with_routing_each_gets_what_it_asks_for():
    with config_context(enable_metadata_routing=True):
        owner = Owner(weigh=True).set_fit_request(sample_weight=True)
        to_splitter, to_scorer = route(owner, "fit", WEIGHT, {"groups": GROUPS})
        assert to_splitter == {"groups": GROUPS}
        assert to_scorer == {"sample_weight": WEIGHT}
        assert route(owner, "fit", None, {}) == ({}, {})
        assert route(owner, "score", WEIGHT, {}) == ({}, {"sample_weight": WEIGHT})


def test_with_routing_weights_that_nobody_asked_for_are_an_error():
    with (
        config_context(enable_metadata_routing=True),
        pytest.raises(UnsetMetadataPassedError, match="sample_weight"),
    ):
        route(Owner(), "fit", WEIGHT, {})
