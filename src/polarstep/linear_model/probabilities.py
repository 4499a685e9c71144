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


def chosen_codes(scores: np.ndarray) -> np.ndarray:
    """Return the index of the class of the highest score, and of the first one if several tie.

    Of two classes, it is the second one if the score is positive.
    """
    return scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(np.intp)


def softmax_probabilities(scores: np.ndarray) -> np.ndarray:
    """Return exp(score_k)/sum_l exp(score_l) for each class k."""
    if scores.ndim == 2:
        return _preferring_chosen(_softmax(scores), scores)
    ratio = np.exp(-np.abs(scores))
    larger = 1.0 / (1.0 + ratio)
    return _of_two_classes(larger, ratio * larger, scores)


def softmax_logarithms(scores: np.ndarray) -> np.ndarray:
    """Return the logarithms of `softmax_probabilities`."""
    if scores.ndim == 2:
        return _preferring_chosen(_log_softmax(scores), scores)
    size = np.abs(scores)
    larger = -np.log1p(np.exp(-size))
    return _of_two_classes(larger, larger - size, scores)


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
    return np.minimum(scores, 0.0) - np.log1p(np.exp(-np.abs(scores)))


def _softmax(scores: np.ndarray) -> np.ndarray:
    each = np.exp(scores - scores.max(axis=1, keepdims=True))
    each /= each.sum(axis=1, keepdims=True)
    return each


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    """Return log p, where log p of the highest score is -log(1 + sum of the other ratios)."""
    highest = scores.argmax(axis=1)[:, None]
    differences = scores - np.take_along_axis(scores, highest, axis=1)
    ratios = np.exp(differences)
    np.put_along_axis(ratios, highest, 0.0, axis=1)
    differences -= np.log1p(ratios.sum(axis=1, keepdims=True))
    return differences


def _of_two_classes(larger: np.ndarray, smaller: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Put the larger value into the second column if the score is positive, else into the first.

    If rounding made the two equal, although the score is not zero, the larger one is raised.
    """
    tied = np.flatnonzero(larger == smaller)
    tied = tied[scores[tied] != 0]
    larger[tied] = np.nextafter(larger[tied], np.inf)
    positive = scores > 0
    out = np.empty((len(scores), 2))
    out[:, 0] = np.where(positive, smaller, larger)
    out[:, 1] = np.where(positive, larger, smaller)
    return out


def _preferring_chosen(values: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Raise values of the highest score just above any other that rounding made as high."""
    highest = scores.argmax(axis=1)[:, None]
    top = np.take_along_axis(values, highest, axis=1)
    rows = np.flatnonzero(np.count_nonzero(values >= top, axis=1) > 1)
    if len(rows):
        best = scores[rows] == np.take_along_axis(scores, highest, axis=1)[rows]
        other = np.where(best, -np.inf, values[rows]).max(axis=1, keepdims=True)
        above = np.maximum(top[rows], np.nextafter(other, np.inf))
        values[rows] = np.where(best, above, values[rows])
    return values
