"""Estimates of block norms from a few Hessian-vector products, with standard errors.

For a row i, let A_j = H_ji. A Gaussian vector v satisfies E||A_j v||^2 = ||A_j||_F^2. One product
yields A_j v for all columns j, and thus an unbiased estimate of the whole row (Hutchinson 1989;
Avron and Toledo 2011). Its variance, 2 ||A_j^T A_j||_F^2, is large if a few singular values
dominate. Their contribution is therefore computed exactly ("Hutch++": Meyer, Musco, Musco and
Woodruff 2021): let Q be an orthonormal basis of the range of sum_j A_j^T G_j for random G_j. Then

    ||A_j||^2 = ||A_j Q||^2 + E||A_j (I - Q Q^T) v||^2,

where the first term takes one product per column of Q, and the second one has a small variance.
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

_PILOT = 8  # probes from which the number of probes is predicted
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
        too small when the mean is. For small samples, the larger of two factors widens it: one of
        Student for the estimated variance, and one for skewness from the chi-square distribution
        that has the mean and variance of the sample.
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
    """Estimate the norms of all rows with all columns and themselves; count the products."""
    found: dict[tuple[str, str], Estimate] = {}
    spent = 0
    for row in rows:
        left = [n for n in dict.fromkeys([row, *columns]) if pair_of(row, n) not in found]
        estimates, count = row_norms(
            batch_loss, row, left, directions, memory, rtol, max_products, generator, bar
        )
        found |= {pair_of(row, name): e for name, e in zip(left, estimates, strict=True)}
        spent += count
    return found, spent


def row_norms(
    batch_loss: BatchLoss,
    row: str,
    columns: Sequence[str],
    directions: bool,
    memory: int,
    rtol: float,
    max_products: int,
    generator: np.random.Generator,
    bar: Any,
) -> tuple[list[Estimate], int]:
    """Estimate ||H_ji||_F^2 for the row i and each column j; also return the number of products.

    1. Take a few probes, and predict from them how many are needed.
    2. If a larger basis Q costs less than these probes, enlarge it and return to step 1.
    3. Take probes until each standard error is at most rtol times its norm, or until max_products
       are spent.
    """
    products = Products(batch_loss, list(dict.fromkeys([row, *columns])), directions, memory)
    weight = batch_loss.parameters[row]
    shape, size = weight.shape, weight.numel()
    bar.reset(total=max_products)

    def gaussian(count: int, like: Tensor) -> Tensor:
        values = generator.standard_normal((count, *like.shape), dtype=np.float32)
        return torch.from_numpy(values).to(like.device, like.dtype)

    def batches(count: int) -> Iterator[int]:
        """Split a number of products into parts that fit the memory."""
        for start in range(0, count, products.at_once):
            yield min(products.at_once, count - start)
            bar.update(min(products.at_once, count - start))

    def probe(count: int) -> None:
        for some in batches(min(count, max_products - products.count)):
            v = gaussian(some, weight).flatten(1)
            v = v - (v @ basis) @ basis.T
            found = products.from_one(row, v.view(-1, *shape), columns)
            for estimate, responses in zip(estimates, found, strict=True):
                estimate.sample_more(responses.flatten(1))

    def enlarge(count: int) -> Tensor:
        """Return a basis with more vectors, and add the products with them to the exact parts."""
        scales = [1.0 / e.norm if e.norm > 0 else 0.0 for e in estimates]
        range_of = []
        for some in batches(count):
            like = [products.parameters[name] for name in columns]
            G = [scale * gaussian(some, p) for scale, p in zip(scales, like, strict=True)]
            range_of.append(products.to_one(row, G, columns).flatten(1).T)
        # A joint QR keeps the new vectors orthogonal even if the range has no more dimensions.
        together = torch.linalg.qr(torch.cat([basis, *range_of], dim=1))[0]
        new = together[:, basis.shape[1] :]
        for vectors in torch.split(new.T, products.at_once):
            found = products.from_one(row, vectors.reshape(-1, *shape), columns)
            for estimate, responses in zip(estimates, found, strict=True):
                estimate.exact += square(responses)
            bar.update(len(vectors))
        return together

    basis = weight.new_zeros(size, 0)
    estimates = [Estimate() for _ in columns]
    while True:
        probe(_PILOT)
        have = basis.shape[1]
        more = min(max(have, _SMALLEST_BASIS), _LARGEST_BASIS - have, size - have)
        left = max_products - products.count - _PILOT
        if not 0 < 2 * more < min(_needed(estimates, rtol), left):
            break
        basis = enlarge(more)
        estimates = [Estimate(exact=estimate.exact) for estimate in estimates]
        if basis.shape[1] == size:
            return estimates, products.count
    while (done := len(estimates[0].sample)) < _needed(estimates, rtol):
        if products.count >= max_products:
            break
        probe(min(max(_needed(estimates, rtol) - done, 2), done))
    return estimates, products.count


def _needed(estimates: Sequence[Estimate], rtol: float) -> int:
    """Predict the number of probes after which each standard error is rtol times its norm."""
    ratios = [e.stderr / (rtol * e.norm) for e in estimates if e.norm > 0]
    return int(np.ceil(len(estimates[0].sample) * min(max(ratios, default=0.0) ** 2, 1e9)))
