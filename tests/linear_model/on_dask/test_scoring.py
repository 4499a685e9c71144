"""The accuracy of predictions on Dask, against scikit-learn in memory."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from dask_cases import CHUNKS, WEIGHTS, N, Y, da, frame
from polarstep.linear_model.on_dask.scoring import accuracy

PREDICTED = np.where(np.arange(N) % 3 == 0, 1 - Y, Y)


def predicted(labels=PREDICTED):
    return da.from_array(labels, chunks=(CHUNKS,))


@pytest.mark.parametrize(
    "weight", [None, 2.0, WEIGHTS, da.from_array(WEIGHTS, chunks=300)], ids=type
)
def test_labels_in_memory_or_in_other_blocks(weight):
    given = weight if np.ndim(weight) else None
    expected = accuracy_score(Y, PREDICTED, sample_weight=None if given is None else WEIGHTS)
    for y in (Y, Y.tolist(), da.from_array(Y, chunks=200), da.from_array(Y[:, None], chunks=300)):
        assert accuracy(predicted(), y, weight, "score") == pytest.approx(expected, rel=1e-14)


def test_series_of_unknown_lengths():
    names = np.array(["no", "yes"])
    table = frame(4)
    guess = table.map_partitions(
        lambda part: names[PREDICTED[part["row"].to_numpy()]], meta=np.empty(0, "U3")
    )
    expected = accuracy_score(Y, PREDICTED, sample_weight=WEIGHTS)
    for y in (table["label"], table["label"].astype("category"), table[["label"]]):
        assert accuracy(guess, y, table["weight"], "score") == pytest.approx(expected, rel=1e-14)


def test_what_is_refused():
    with pytest.raises(ValueError, match="one row a positive weight; got zeros only"):
        accuracy(predicted(), Y, np.zeros(N), "score")
    unknown = predicted()[predicted() >= 0]
    with pytest.raises(TypeError, match=r"partitions of `X`, because .* got an ndarray in memory"):
        accuracy(unknown, Y, None, "score")
    shorter = da.from_array(Y, chunks=(CHUNKS,))[da.from_array(np.arange(N), chunks=(CHUNKS,)) > 0]
    with pytest.raises(
        ValueError, match="as many rows as `X` in every block, 250 in block 0; got 249"
    ):
        accuracy(unknown, shorter, None, "score")
    labels = Y.astype(object)
    labels[260] = None
    with pytest.raises(ValueError, match="a label for every row; got none at row 10 of block 1"):
        accuracy(predicted(), labels, None, "score")
