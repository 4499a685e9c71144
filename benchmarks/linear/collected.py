"""Collected data sets: those of scikit-learn, a9a, and lines of Shakespeare as n-grams."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from simulated import Data
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from polarstep.experiments.data import tables as datasets

SHAKESPEARE = Path("text", "tinyshakespeare.txt")
TITLES = re.compile("KING|QUEEN|DUKE|PRINCE|LORD|LADY|EARL|DUCHESS|BISHOP|ARCH")


def iris(classes: int) -> Data:
    X, y = load_iris(return_X_y=True)
    return X, y if classes == 3 else (y == 1).astype(int)


def a9a(folder: Path) -> Data:
    X, y = datasets.a9a(folder)
    X = X.copy()
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)  # for liblinear
    return X, (y > 0).astype(int)


# ------------------------------------------------------------------- text


def find_shakespeare(folder: Path | None) -> Path | None:
    """Return the path of tinyshakespeare.txt in a data folder, or None."""
    path = folder and folder / SHAKESPEARE
    return path if path and path.is_file() else None


def spoken_lines(path: Path) -> list[tuple[str, str]]:
    """Return pairs of a speaker's name in capitals and a line that he or she says."""
    pairs = []
    for speech in path.read_text(encoding="utf-8").split("\n\n"):
        speaker, _, text = speech.partition(":\n")
        pairs += [(speaker.upper(), line) for line in text.splitlines() if line.strip()]
    return pairs


def halves(line: str) -> list[str]:
    """Cut a line after the half of its words."""
    words = line.split()
    middle = (len(words) + 1) // 2
    return [" ".join(part) for part in (words[:middle], words[middle:]) if part]


def half_lines(path: Path) -> Data:
    """Make the tf-idf of n-grams of 2 to 5 characters of half-lines; 1 if the speaker has a title.

    The half-lines are those of the 45 characters who say most. The 100,000 most frequent n-grams
    are kept.
    """
    pairs = spoken_lines(path)
    frequent = {name for name, _ in Counter(name for name, _ in pairs).most_common(45)}
    halved = [(n, half) for n, line in pairs if n in frequent for half in halves(line)]
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(2, 5), max_features=100_000)
    return vectorized(vectorizer, halved, lambda speaker: bool(TITLES.search(speaker)))


def whole_lines(path: Path) -> Data:
    """Make indicators of n-grams of 3 to 6 characters inside words, of whole lines.

    The label tells whether the speaker is one of the 25 who say most. n-grams that occur in a
    single line are left out.
    """
    pairs = spoken_lines(path)
    frequent = {name for name, _ in Counter(name for name, _ in pairs).most_common(25)}
    vectorizer = CountVectorizer(analyzer="char_wb", ngram_range=(3, 6), min_df=2, binary=True)
    return vectorized(vectorizer, pairs, lambda speaker: speaker in frequent)


def vectorized(
    vectorizer: CountVectorizer, pairs: list[tuple[str, str]], is_positive: Callable[[str], bool]
) -> Data:
    X = vectorizer.fit_transform([line for _, line in pairs]).astype(np.float64).tocsr()
    X.sort_indices()
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    return X, np.array([is_positive(speaker) for speaker, _ in pairs]).astype(int)
