"""Published methods, expressed as options of LengthDirection.

Each function accepts a model or parameters, a learning rate and further options of
`LengthDirection`, which replace the published ones. Parameters that are not hidden matrices are
always updated by AdamW. The docstrings say which parts of a publication are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..validation import look_up, number
from .length_direction import LengthDirection
from .metrics import Frobenius
from .options import Angle, Gains
from .rules import SGD, Adam, Polar, Rule


def weight_normalization(
    params: Any, lr: float, *, momentum: float = 0.0, **options: Any
) -> LengthDirection:
    """Update v and g by gradient descent with momentum, where a row of W is g v/||v||.

    Parameters
    ----------
    params : Module or iterable
        As for `LengthDirection`.
    lr : float
        Learning rate of v and g.
    momentum : float, default=0.0
        Momentum of v and g.
    **options
        Further options of `LengthDirection`.

    Returns
    -------
    LengthDirection
        The optimizer.

    Notes
    -----
    ::

        dL/dg = <G, v>/||v||,    dL/dv = (g/||v||) (G - (<G, v>/||v||^2) v)
        b <- momentum b + gradient,    (g, v) <- (g, v) - lr b

    v starts as the row of W and g as its norm; ||v|| grows, which makes angles smaller. The
    data-dependent initialization of the publication is left out.

    References
    ----------
    .. [1] T. Salimans and D. P. Kingma, Weight normalization, NeurIPS 2016, equations 2 and 3.
    """
    published = {
        "metric": "euclidean",
        "direction": SGD(momentum=momentum),
        "length": SGD(momentum=momentum),
        "angle": "off",
        "retraction": "none",
    }
    return LengthDirection(params, lr, **{**published, **options})


def hyperball(params: Any, lr: float, *, base: str = "polar", **options: Any) -> LengthDirection:
    """Keep matrices on the sphere of their initial norm, by updates of a fixed norm.

    Parameters
    ----------
    params : Module or iterable
        As for `LengthDirection`.
    lr : float
        Norm of an update relative to that of the matrix.
    base : {"polar", "adam"}, default="polar"
        The optimizer whose updates are normalized: Muon or Adam.
    **options
        Further options of `LengthDirection`.

    Returns
    -------
    LengthDirection
        The optimizer.

    Notes
    -----
    ::

        W <- R normalize(W - lr R normalize(u)),    R = ||W_0||_F, normalize(A) = A/||A||_F,

    where u is the update of ``base`` for the gradient G. The norm of W does not change.

    References
    ----------
    .. [1] Wen, Dang, Lyu, Ma and Liang, arXiv 2606.16899, 2026.
    """
    bases: dict[str, Rule] = {"polar": Polar(momentum=0.95), "adam": Adam()}
    published = {
        "metric": Frobenius(tangent=False),
        "direction": look_up(base, bases, "hyperball", "base"),
        "length": "fixed",
        "angle": "each",
    }
    return LengthDirection(params, lr, **{**published, **options})


@dataclass(frozen=True)
class InverseDecay:
    """The angle schedule (1 + scale max(0, t - warmup))^-degree after t steps.

    Parameters
    ----------
    scale : float
        How fast angles decay.
    degree : float, default=1.0
        Power of the decay.
    warmup : int, default=0
        Number of steps before the decay begins.

    Examples
    --------
    >>> InverseDecay(0.5, warmup=10)(12)
    0.5
    """

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
    """Update rows on the unit sphere by polar factors, and their lengths by Adam.

    Parameters
    ----------
    params : Module or iterable
        As for `LengthDirection`.
    lr : float
        Learning rate of directions and lengths.
    angle_decay, decay_degree, decay_after : float, float, int
        Scale, degree and warm-up of the `InverseDecay` of the angles.
    **options
        Further options of `LengthDirection`.

    Returns
    -------
    LengthDirection
        The optimizer.

    Notes
    -----
    ::

        W = diag(g) U,    dL/dg = <G, U>_row,    dL/dU = g (G - U <G, U>_row)
        M <- momentum M + dL/dU,    Q = polar(dL/dU + momentum M)
        U <- normalize rows of (U - lr k sqrt(max(1, m/n)) Q),    g <- Adam(g, dL/dg, lr)

    with k = (1 + angle_decay max(0, t - decay_after))^-decay_degree after t steps, for m x n
    matrices. As in the authors' program (github.com/fhueb/angular-muown), the polar factor is five
    steps of Polar Express, the momentum is 0.95 and the betas of Adam are (0.9, 0.95). Unlike
    in that program, the polar factor is not computed in bfloat16, rows of zeros start with length
    zero, and lengths may change their sign.

    References
    ----------
    .. [1] Hübler, Lion, Orvieto and He, arXiv 2606.23637, 2026.
    """
    schedule = InverseDecay(
        number(angle_decay, "angular_muown", "angle_decay", at_least=0),
        number(decay_degree, "angular_muown", "decay_degree", at_least=0),
        decay_after,
    )
    published = {
        "metric": "euclidean",
        "direction": Polar(iteration="polar express", momentum=0.95),
        "length": Adam(),
        "angle": Angle(schedule=schedule),
    }
    return LengthDirection(params, lr, **{**published, **options})


def magnitude_direction(
    params: Any, lr: float, *, base: str = "adam", positive: bool = True, **options: Any
) -> LengthDirection:
    """Update a direction of fixed norm and gains of rows and columns, W = diag(g) D diag(h).

    Parameters
    ----------
    params : Module or iterable
        As for `LengthDirection`.
    lr : float
        Learning rate of D, and of the gains unless ``length=Adam(lr=...)`` is passed.
    base : {"adam", "polar"}, default="adam"
        The optimizer that updates D: Adam or Muon.
    positive : bool, default=True
        Whether gains are the softplus of the numbers that Adam updates.
    **options
        Further options of `LengthDirection`.

    Returns
    -------
    LengthDirection
        The optimizer.

    Notes
    -----
    ::

        dL/dD = diag(g) G diag(h),    dL/dg = row sums of D * (G diag(h)), similarly for h
        D <- R normalize(D - lr u),    R = ||W_0||_F, normalize(A) = A/||A||_F

    where u is the update of ``base`` for dL/dD. Muon's update is scaled to turn D by lr, that is by
    R/sqrt(min(m, n)); for R = sqrt(max(m, n)) this is the factor sqrt(max(m/n, n/m)) of the
    publication. Adam updates g and h, which start at one.

    The method follows the abstract and public programs that refer to the publication, not its text.
    Each matrix keeps its norm instead of starting anew on a sphere of chosen radius, and AdamW
    updates embeddings and heads, whose rows therefore do not have unit norm.

    References
    ----------
    .. [1] Hägele, Hernández-Cano, Kosson and Jaggi, arXiv 2606.25971, 2026.
    """
    bases: dict[str, dict[str, Any]] = {
        "adam": {"direction": Adam(), "angle": "off"},
        "polar": {"direction": Polar(momentum=0.95), "angle": "rms"},
    }
    published = {
        **look_up(base, bases, "magnitude_direction", "base"),
        "metric": Frobenius(tangent=False),
        "length": Adam(),
        "gains": Gains("both", positive=positive),
    }
    return LengthDirection(params, lr, **{**published, **options})
