"""Newton's method on the logistic loss, which ends with a separating direction or rules one out."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax, softmax

from .separating_rows import MOST_DENSE, Pairs, RowsOfClasses

_MOST_STEPS = 40
_RIDGE = 1e-13  # of the Newton systems, relative to the diagonal of the Hessian
_STANDS = 0.5  # a Newton step changes leads that separate by 1 or more, and others by less


def find_direction(rows: RowsOfClasses, start: np.ndarray | None) -> np.ndarray | None:
    """Return a separating direction theta, or None if none is found.

    Parameters
    ----------
    rows : RowsOfClasses
    start : ndarray, shape (K - 1, p), or None
        A point that almost minimises the logistic loss of the rows with their weights.
    """
    if start is not None:
        if (rows.leads_of(rows.scores(start)) > 0)[~rows.own].all() and rows.separates(start):
            return start
        step, settled = newton_step(rows, rows.scores(start))
        if settled:
            return None
        found = _direction_along(rows, step)
        if found is not None:
            return found
    inner = rows.equilibrated()
    found, _ = _search(inner)
    return None if found is None else found / inner.unit * rows.unit


def rules_out_all(rows: RowsOfClasses) -> bool:
    """Whether these rows prove that nothing separates any data of which they are a part.

    They do if nothing separates them and their leads determine all weights.
    """
    if rows.shape[0] * rows.shape[1] > MOST_DENSE:
        return False
    inner = rows.equilibrated()
    return _search(inner)[1] and not inner.kernel(~inner.own)


def _search(rows: RowsOfClasses) -> tuple[np.ndarray | None, bool]:
    """Run Newton's method from zero; return a direction, or whether there is provably none."""
    theta = np.zeros(rows.shape)
    scores = rows.scores(theta)
    for _ in range(_MOST_STEPS):
        step, settled = newton_step(rows, scores)
        if settled:
            return None, True
        found = _direction_along(rows, step)
        if found is None and rows.separates(theta + step):
            found = theta + step
        if found is not None:
            return found, False
        value, change, length = _loss(rows, scores), rows.scores(step), 1.0
        while _loss(rows, scores + length * change) > value and length > 1e-6:
            length *= 0.3
        if length <= 1e-6:
            break
        theta, scores = theta + length * step, scores + length * change
    return None, False


def _loss(rows: RowsOfClasses, scores: Pairs) -> float:
    return -float(rows.weight @ log_softmax(scores, axis=1)[rows.own])


def newton_step(rows: RowsOfClasses, scores: Pairs) -> tuple[np.ndarray, bool]:
    """Return Newton's step, and whether it proves that nothing separates the classes.

    Notes
    -----
    To first order the step changes p_ik to q_ik = p_ik (1 + e_ik - sum_l p_il e_il), where e is the
    change of the scores, and sum_i s_i (q_ik - [y_i = k]) z_i = r_k with r = 0 up to rounding. For
    a separating direction v the sum of s_i q_ik times the leads along v is then r^T v, so that no
    lead can be positive if all q_ik > 0.
    """
    P, s = softmax(scores, axis=1), rows.weight[:, None]

    def times(V: Pairs) -> Pairs:
        return s * P * (V - (P * V).sum(axis=1, keepdims=True))

    def block(k: int, m: int) -> np.ndarray:
        return rows.weight * P[:, k] * (float(k == m) - P[:, m])

    step, residual = np.zeros(rows.shape), -rows.combine(s * (P - rows.own))
    for _ in range(2):  # the second round removes most of the rounding errors of the first
        step = step + rows.solve(times, block, residual, _RIDGE)
        change = rows.scores(step)
        Q = P - rows.own + P * (change - (P * change).sum(axis=1, keepdims=True))
        residual = -rows.combine(s * Q)
    floor = np.maximum(1e4 * np.abs(residual).max(), 1e-6 * s * P)
    return step, _rules_out(rows, s * Q, floor)


def _rules_out(rows: RowsOfClasses, multipliers: Pairs, floor: Pairs) -> bool:
    """Whether multipliers prove that the leads along every separating direction are zero.

    Multipliers below the floor may be rounding errors.

    The leads with multipliers above the floor must be zero. If some multipliers are too small to
    tell, the others must determine all weights on which any lead depends.
    """
    clear = (multipliers > floor) & ~rows.own
    if clear.sum() == (~rows.own).sum():
        return True
    is_large = rows.shape[0] * rows.shape[1] > MOST_DENSE
    if is_large or floor.min() > 1e-6 or (multipliers < -floor)[~rows.own].any():
        return False
    return all((np.abs(rows.leads_of(rows.scores(v))) <= 1e-8).all() for v in rows.kernel(clear))


def _direction_along(rows: RowsOfClasses, step: np.ndarray) -> np.ndarray | None:
    """Return the part of a Newton step that leaves the leads alone which it hardly changes.

    The result is None if this does not separate the classes.
    """
    v = _without_dust(step)
    if rows.separates(v):
        return v
    leads = rows.leads_of(rows.scores(step))
    fixed = ~rows.own & (np.abs(leads) < _STANDS)
    if (fixed | rows.own).all() or (leads <= -_STANDS).any():
        return None
    v = step
    for _ in range(4):  # every round divides the changes of the fixed leads by about 1e10
        v = v - rows.solve_for_leads(fixed, v, 1e-11)
        clean = _without_dust(v)
        if rows.separates(clean):
            return clean
    return None


def _without_dust(v: np.ndarray) -> np.ndarray:
    """Return v with the entries that are rounding errors set to zero."""
    return np.where(np.abs(v) > 1e-10 * np.abs(v).max(), v, 0.0)
