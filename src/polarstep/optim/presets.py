"""Published methods, each as the few choices of LengthDirection that it is.

Every one takes a model or parameters and further options of `LengthDirection`; parameters that are
no hidden matrices go by AdamW in each of them, as there. What a preset leaves out of its
publication, its docstring says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..validation import look_up, number
from .length_direction import LengthDirection


def weight_normalization(
    params: Any, lr: float, *, momentum: float = 0.0, **options: Any
) -> LengthDirection:
    """Gradient descent with momentum on v and g, where a row of W is g v/||v||.

        dL/dg = <G, v>/||v||,    dL/dv = (g/||v||) (G - (<G, v>/||v||^2) v)
        b <- momentum b + gradient,    (g, v) <- (g, v) - lr b

    v starts as W's row and g as its norm; ||v|| grows, which shortens the angles.

    Source: Salimans and Kingma, NeurIPS 2016, equations 2 and 3 (their data-dependent start is left
    out).
    """
    published = {
        "metric": "euclidean",
        "direction": "sgd",
        "length": "sgd",
        "angle": "off",
        "retraction": "none",
        "momentum": momentum,
        "length_lr": None,
        "length_momentum": momentum,
        "nesterov": False,
    }
    return LengthDirection(params, lr, **{**published, **options})


def hyperball(params: Any, lr: float, *, base: str = "polar", **options: Any) -> LengthDirection:
    """Matrices on the sphere of their first norm, by updates of a fixed norm.

        W <- R normalize(W - lr R normalize(u)),    R = ||W_0||_F, normalize(A) = A/||A||_F,

    with u the update of ``base`` for the gradient G: "polar" (Muon) or "adam". W's length stays.

    Source: Wen, Dang, Lyu, Ma and Liang (2026, arXiv 2606.16899).
    """
    bases = {"polar": {"direction": "polar"}, "adam": {"direction": "adam"}}
    published = {
        **look_up(base, bases, "hyperball", "base"),
        "metric": "frobenius",
        "length": "fixed",
        "angle": "each",
        "momentum": 0.95,
        "tangent": False,
    }
    return LengthDirection(params, lr, **{**published, **options})


@dataclass(frozen=True)
class InverseDecay:
    """The angle schedule (1 + scale max(0, t - warmup))^-degree for t steps taken so far."""

    scale: float
    degree: float = 1.0
    warmup: int = 0

    def __call__(self, t: int) -> float:
        return (1 + self.scale * max(0, t - self.warmup)) ** -self.degree


def angular_muown(
    params: Any,
    lr: float,
    *,
    angle_decay: float = 1e-3,
    decay_degree: float = 1.0,
    decay_after: int = 0,
    **options: Any,
) -> LengthDirection:
    """Rows on the unit sphere by polar factors, their lengths by Adam; W = diag(g) U.

        dL/dg = <G, U>_row,    dL/dU = g (G - U <G, U>_row)
        M <- momentum M + dL/dU,    Q = polar(dL/dU + momentum M)
        U <- normalize rows of (U - lr k sqrt(max(1, m/n)) Q),    g <- Adam(g, dL/dg, lr)

    with k = (1 + angle_decay max(0, t - decay_after))^-decay_degree after t steps, for m x n
    matrices. As in the authors' program (github.com/fhueb/angular-muown) the polar factor is five
    steps of Polar Express, and momentum is 0.95, Adam's betas (0.9, 0.95); unlike there it is not
    computed in bfloat16 (``polar_dtype``), rows of zeros start with length zero, and lengths may
    pass zero.

    Source: Hübler, Lion, Orvieto and He (2026, arXiv 2606.23637).
    """
    published = {
        "metric": "euclidean",
        "direction": "polar",
        "momentum": 0.95,
        "length": "adam",
        "length_lr": None,
        "polar": "polar express",
        "angle_schedule": InverseDecay(
            number(angle_decay, "angular_muown", "angle_decay", at_least=0),
            number(decay_degree, "angular_muown", "decay_degree", at_least=0),
            decay_after,
        ),
    }
    return LengthDirection(params, lr, **{**published, **options})


def magnitude_direction(
    params: Any, lr: float, *, base: str = "adam", positive: bool = True, **options: Any
) -> LengthDirection:
    """A direction of fixed norm, with gains for rows and columns: W = diag(g) D diag(h).

        dL/dD = diag(g) G diag(h),    dL/dg = rows' sums of D * (G diag(h)),  and so for h
        D <- R normalize(D - lr u),    R = ||W_0||_F, normalize(A) = A/||A||_F

    with u the update of ``base`` for dL/dD: "adam", or "polar" (Muon, scaled to turn D by lr, that
    is by R/sqrt(min(m, n)), which for R = sqrt(max(m, n)) is the factor sqrt(max(m/n, n/m)) of the
    publication). Adam steps in g and h, with ``length_lr`` (default: lr); they start at one, and
    with ``positive`` they are softplus of what it steps in.

    Done from the abstract and from public programs that follow the publication, not from its text.
    Left out: starting the weights anew on spheres of chosen radii (here each matrix keeps its own),
    and unit rows for embeddings and heads, which go by AdamW.

    Source: Hägele, Hernández-Cano, Kosson and Jaggi (2026, arXiv 2606.25971).
    """
    bases = {
        "adam": {"direction": "adam", "angle": "off"},
        "polar": {"direction": "polar", "angle": "rms"},
    }
    published = {
        **look_up(base, bases, "magnitude_direction", "base"),
        "metric": "frobenius",
        "momentum": 0.95,
        "length": "adam",
        "length_lr": None,
        "gains": "both",
        "tangent": False,
        "positive": positive,
    }
    return LengthDirection(params, lr, **{**published, **options})
