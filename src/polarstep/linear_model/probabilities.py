"""Probabilities of classes, and their logarithms, from the scores of linear classifiers.

Each function takes the scores of n rows: shape (n,) for two classes, of which the second one has
the probability 1/(1 + exp(-score)); and shape (n, K) for K > 2 classes. It returns shape (n, 2) or
(n, K).

All results come from logarithms that neither overflow nor cancel, and so they are accurate for
scores of any size. The class that `predict` chooses always has the strictly highest probability:
where rounding would give another class the same one, as for two scores of 50 and 40 against the
rest, it is raised to the next larger number. Apart from that, probabilities are in the order of the
scores, and equal only if float64 cannot show their difference; those below 5e-324 are zero. Their
logarithms then still differ.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit


def chosen_codes(scores: np.ndarray) -> np.ndarray:
    """Return the index of the class of the highest score, and of the first one if several tie.

    Of two classes, it is the second one if the score is positive.
    """
    return scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(np.intp)


def softmax_probabilities(scores: np.ndarray) -> np.ndarray:
    """Return exp(score_k)/sum_l exp(score_l) for each class k."""
    if scores.ndim == 1:
        return _preferring_chosen(np.column_stack([expit(-scores), expit(scores)]), scores)
    return _preferring_chosen(_softmax(scores), scores)


def softmax_logarithms(scores: np.ndarray) -> np.ndarray:
    """Return the logarithms of `softmax_probabilities`."""
    if scores.ndim == 1:
        return _preferring_chosen(_log_expit(np.column_stack([-scores, scores])), scores)
    return _preferring_chosen(_log_softmax(scores), scores)


def normalised_probabilities(scores: np.ndarray) -> np.ndarray:
    """Return the probability of each class against the rest, divided by the sum over classes."""
    if scores.ndim == 1:
        return softmax_probabilities(scores)
    return _preferring_chosen(_softmax(_log_expit(scores)), scores)


def normalised_logarithms(scores: np.ndarray) -> np.ndarray:
    """Return the logarithms of `normalised_probabilities`."""
    if scores.ndim == 1:
        return softmax_logarithms(scores)
    return _preferring_chosen(_log_softmax(_log_expit(scores)), scores)


def _log_expit(scores: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0.0, -scores)


def _softmax(scores: np.ndarray) -> np.ndarray:
    each = np.exp(scores - scores.max(axis=1, keepdims=True))
    return each / each.sum(axis=1, keepdims=True)


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    """Return log p, where log p of the highest score is -log(1 + sum of the other ratios)."""
    differences = scores - scores.max(axis=1, keepdims=True)
    ratios = np.exp(differences)
    np.put_along_axis(ratios, scores.argmax(axis=1)[:, None], 0.0, axis=1)
    return differences - np.log1p(ratios.sum(axis=1, keepdims=True))


def _preferring_chosen(values: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Raise values of the highest score just above any other that rounding made as high."""
    if scores.ndim == 1:
        best = np.column_stack([scores <= 0, scores >= 0])
    else:
        best = scores == scores.max(axis=1, keepdims=True)
    other = np.where(best, -np.inf, values).max(axis=1, keepdims=True)
    rows = np.flatnonzero((best & (values <= other)).any(axis=1))
    if len(rows):
        above = np.nextafter(other[rows], np.inf)
        values[rows] = np.where(best[rows], above, values[rows])
    return values
