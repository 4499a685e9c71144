"""Estimates of block norms from a few Hessian-vector products, with standard errors.

For a row i, let A_j = H_ji. A Gaussian vector v satisfies E||A_j v||^2 = ||A_j||_F^2. One product
yields A_j v for all columns j, and thus an unbiased estimate of the whole row (Hutchinson 1989;
Avron and Toledo 2011). Its variance, 2 ||A_j^T A_j||_F^2, is large if a few singular values
dominate. Their contribution is therefore computed exactly ("Hutch++": Meyer, Musco, Musco and
Woodruff 2021): let Q be an orthonormal basis of the range of sum_j A_j^T G_j for random G_j. Then

    ||A_j||^2 = ||A_j Q||^2 + E||A_j (I - Q Q^T) v||^2,

where the first term costs one product per column of Q, and the second has a small variance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from .batch_loss import BatchLoss, pair_of
from .contraction import square
from .products import Products

_PILOT = 8  # first probes, from which the number of all probes is predicted
_SMALLEST_BASIS, _LARGEST_BASIS = 32, 128  # vectors, each of which costs two products


@dataclass
class Estimate:
    """A running estimate of ||A||_F^2, the sum of an exact part and the mean of a sample."""

    exact: float = 0.0
    sample: list[float] = field(default_factory=list)
    pairs: list[float] = field(default_factory=list)  # (x . y)^2 of responses to two probes

    def sample_more(self, responses: Tensor) -> None:
        """Add the responses A v to some probes v, flattened to the shape (probes, numbers)."""
        gram = (responses @ responses.T).double()
        self.sample += gram.diagonal().tolist()
        if len(gram) > 1:
            upper = torch.triu_indices(len(gram), len(gram), 1)
            self.pairs += gram[upper[0], upper[1]].square().tolist()

    @property
    def norm(self) -> float:
        """The estimate of ||A||_F."""
        return float(np.sqrt(self.exact + (np.mean(self.sample) if self.sample else 0.0)))

    @property
    def stderr(self) -> float:
        """A standard error of `norm`; twice its value covers the true error in 95% of cases.

        The variance of a probe is estimated by the larger of the sample variance and an unbiased
        estimate of 2 ||A^T A||_F^2 from inner products of responses, because each alone tends to be
        too small when the sample mean is too small. For small samples, the error is multiplied by
        the larger of two factors: one from Student's t distribution for the estimated variance, and
        one for skewness, from the chi-square distribution with the sample's mean and variance.
        """
        m, mean = len(self.sample), float(np.mean(self.sample or [0.0]))
        if mean == 0.0:
            return 0.0
        if m < 2:
            return np.inf
        by_pairs = 2 * float(np.mean(self.pairs)) if self.pairs else 0.0
        variance = max(float(np.var(self.sample, ddof=1)), by_pairs) / m
        freedom = 2 * mean**2 / max(variance, 1e-30 * mean**2)
        upper = freedom / stats.chi2.ppf(0.025, freedom) - 1 if freedom < 1e6 else 0.0
        skewed = upper / (2 * np.sqrt(2 / freedom))
        factor = max(float(stats.t.ppf(0.975, m - 1)) / 1.96, skewed)
        return factor * float(np.sqrt(variance)) / (2 * self.norm)


def norms(
    batch_loss: BatchLoss,
    rows: Sequence[str],
    columns: Sequence[str],
    directions: bool,
    memory: int,
    rtol: float,
    max_products: int,
    generator: np.random.Generator,
    bar: Any,
) -> tuple[dict[tuple[str, str], Estimate], int]:
    """Estimate the norms of the blocks of all rows with all columns and with themselves.

    A row stops when each of its standard errors is at most rtol times its norm, or after
    `max_products` products. `memory` is in bytes, and `bar` is a progress bar. The number
    of products spent is returned, too.
    """
    found: dict[tuple[str, str], Estimate] = {}
    spent = 0
    for row in rows:
        left = [n for n in dict.fromkeys([row, *columns]) if pair_of(row, n) not in found]
        products = Products(batch_loss, list(dict.fromkeys([row, *left])), directions, memory)
        bar.reset(total=max_products)
        sketch = RowSketch(products, row, left, max_products, generator, bar)
        sketch.run(rtol)
        found |= {pair_of(row, name): e for name, e in zip(left, sketch.estimates, strict=True)}
        spent += products.count
    return found, spent


class RowSketch:
    """The estimates of ||H_ji||_F^2 for one row i and several columns j.

    Attributes
    ----------
    basis : Tensor of shape (numbers in the row's parameter, vectors)
        The orthonormal basis Q.
    estimates : list of Estimate
        One for each column.
    """

    def __init__(
        self,
        products: Products,
        row: str,
        columns: Sequence[str],
        max_products: int,
        generator: np.random.Generator,
        bar: Any,
    ) -> None:
        self.products, self.row, self.columns = products, row, columns
        self.max_products, self.generator, self.bar = max_products, generator, bar
        self.weight = products.parameters[row]
        self.basis = self.weight.new_zeros(self.weight.numel(), 0)
        self.estimates = [Estimate() for _ in columns]

    def run(self, rtol: float) -> None:
        """Estimate the norms to a relative standard error of rtol.

        1. Take a few probes, and predict from them how many are needed.
        2. If a larger basis Q costs less than these probes, enlarge it and return to step 1.
        3. Take probes until each standard error is at most rtol times its norm, or until no
           products are left.
        """
        size = self.weight.numel()
        while True:
            self.probe(_PILOT)
            have = self.basis.shape[1]
            more = min(max(have, _SMALLEST_BASIS), _LARGEST_BASIS - have, size - have)
            left = self.max_products - self.products.count - _PILOT
            if not 0 < 2 * more < min(_needed(self.estimates, rtol), left):
                break
            self.enlarge_basis(more)
            if self.basis.shape[1] == size:
                return  # nothing is left to sample
        while (done := len(self.estimates[0].sample)) < _needed(self.estimates, rtol):
            if self.products.count >= self.max_products:
                break
            self.probe(min(max(_needed(self.estimates, rtol) - done, 2), done))

    def probe(self, count: int) -> None:
        """Add the responses to random vectors in the orthogonal complement of the basis."""
        for some in self._batches(min(count, self.max_products - self.products.count)):
            v = self._gaussian(some, self.weight).flatten(1)
            v = v - (v @ self.basis) @ self.basis.T
            for estimate, responses in zip(self.estimates, self._respond(v), strict=True):
                estimate.sample_more(responses.flatten(1))

    def enlarge_basis(self, count: int) -> None:
        """Add vectors to the basis, and their products to the exact parts; drop the samples."""
        scales = [1.0 / e.norm if e.norm > 0 else 0.0 for e in self.estimates]
        new_vectors = []
        for some in self._batches(count):
            like = [self.products.parameters[name] for name in self.columns]
            G = [scale * self._gaussian(some, p) for scale, p in zip(scales, like, strict=True)]
            new_vectors.append(self.products.to_one(self.row, G, self.columns).flatten(1).T)
        # A joint QR yields orthogonal vectors even if the new ones are linearly dependent.
        basis = torch.linalg.qr(torch.cat([self.basis, *new_vectors], dim=1))[0]
        exact = [estimate.exact for estimate in self.estimates]
        for vectors in torch.split(basis[:, self.basis.shape[1] :].T, self.products.at_once):
            exact = [e + square(r) for e, r in zip(exact, self._respond(vectors), strict=True)]
            self.bar.update(len(vectors))
        self.basis, self.estimates = basis, [Estimate(exact=e) for e in exact]

    def _respond(self, vectors: Tensor) -> list[Tensor]:
        shaped = vectors.reshape(-1, *self.weight.shape)
        return self.products.from_one(self.row, shaped, self.columns)

    def _gaussian(self, count: int, like: Tensor) -> Tensor:
        values = self.generator.standard_normal((count, *like.shape), dtype=np.float32)
        return torch.from_numpy(values).to(like.device, like.dtype)

    def _batches(self, count: int) -> Iterator[int]:
        """Split a number of products into parts that fit the memory."""
        for start in range(0, count, self.products.at_once):
            yield min(self.products.at_once, count - start)
            self.bar.update(min(self.products.at_once, count - start))


def _needed(estimates: Sequence[Estimate], rtol: float) -> int:
    """Predict the number of probes after which each standard error is rtol times its norm."""
    ratios = [e.stderr / (rtol * e.norm) for e in estimates if e.norm > 0]
    return int(np.ceil(len(estimates[0].sample) * min(max(ratios, default=0.0) ** 2, 1e9)))
