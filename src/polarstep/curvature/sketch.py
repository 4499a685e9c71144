"""Blocks' norms from few Hessian-vector products, with standard errors that cover.

For a row i, let A_j = H_ji. A Gaussian vector v has E||A_j v||^2 = ||A_j||_F^2, so that one
product, which gives A_j v for every column j at once, is an unbiased estimate of a whole row
(Hutchinson 1989; Avron and Toledo 2011). Its variance is 2 ||A_j^T A_j||_F^2: large where few
singular values dominate. Those are taken out first (Meyer, Musco, Musco and Woodruff 2021,
"Hutch++"): Q, an orthonormal basis of sum_j A_j^T G_j with random G_j, is multiplied out exactly,
and v is drawn in its orthogonal complement, where what is left of A_j is flat:

    ||A_j||^2 = ||A_j Q||^2 + E||A_j (I - Q Q^T) v||^2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from .contraction import square
from .problem import Problem, pair_of
from .products import Products

_PILOT = 8  # probes before anything is decided
_BASIS = (32, 128)  # sizes of the first basis and the largest; one costs twice its size in products


@dataclass
class Estimate:
    """A running estimate of one ||A||_F^2: an exact part and a sample of the rest."""

    exact: float = 0.0
    sample: list[float] = field(default_factory=list)
    pairs: list[float] = field(default_factory=list)  # (x . y)^2 of responses x, y to two probes

    def sample_more(self, responses: Tensor) -> None:
        """Responses A v to some probes v, flattened: (probes, numbers)."""
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
        """A standard error of `norm`: twice it covers the truth in at least 95% of cases.

        The variance of a probe is the larger of the sample's own and 2 ||A^T A||_F^2, for which
        the inner products of responses are unbiased; each alone is low where the mean is. Two
        factors widen it for small samples: Student's for the estimated variance, and one for the
        skewness, from the chi-square distribution with the sample's mean and variance.
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
    problem: Problem,
    rows: Sequence[str],
    columns: Sequence[str],
    directions: bool,
    memory: int,
    rtol: float,
    max_products: int,
    generator: np.random.Generator,
    bar: Any,
) -> tuple[dict[tuple[str, str], Estimate], int]:
    """Estimates of the norms between every row, itself and every column; the products spent."""
    found: dict[tuple[str, str], Estimate] = {}
    spent = 0
    for row in rows:
        left = [n for n in dict.fromkeys([row, *columns]) if pair_of(row, n) not in found]
        estimates, count = row_norms(
            problem, row, left, directions, memory, rtol, max_products, generator, bar
        )
        found |= {pair_of(row, name): e for name, e in zip(left, estimates, strict=True)}
        spent += count
    return found, spent


def row_norms(
    problem: Problem,
    row: str,
    columns: Sequence[str],
    directions: bool,
    memory: int,
    rtol: float,
    max_products: int,
    generator: np.random.Generator,
    bar: Any,
) -> tuple[list[Estimate], int]:
    """Estimates of ||H_ji||_F^2 for the row i and every column j, and the products spent.

    1. A few probes, from which to tell how many it would take.
    2. If that is more than a larger basis Q costs, enlarge it and go back to 1.
    3. Probes until every standard error is at most rtol times its norm, or max_products are spent.
    """
    products = Products(problem, list(dict.fromkeys([row, *columns])), directions, memory)
    weight = problem.parameters[row]
    shape, size = weight.shape, weight.numel()
    bar.reset(total=max_products)

    def gaussian(count: int, like: Tensor) -> Tensor:
        values = generator.standard_normal((count, *like.shape), dtype=np.float32)
        return torch.from_numpy(values).to(like.device, like.dtype)

    def batches(count: int) -> Iterator[int]:
        """A count of products in parts that fit the memory."""
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
        """The basis with some more vectors, which are multiplied out."""
        scales = [1.0 / e.norm if e.norm > 0 else 0.0 for e in estimates]
        range_of = []
        for some in batches(count):
            like = [products.parameters[name] for name in columns]
            G = [scale * gaussian(some, p) for scale, p in zip(scales, like, strict=True)]
            range_of.append(products.to_one(row, G, columns).flatten(1).T)
        # Together, so that they are orthogonal also where the range is used up.
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
        more = min(max(have, _BASIS[0]), _BASIS[1] - have, size - have)
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
    """How many probes it takes until every standard error is rtol times its norm."""
    ratios = [e.stderr / (rtol * e.norm) for e in estimates if e.norm > 0]
    return int(np.ceil(len(estimates[0].sample) * min(max(ratios, default=0.0) ** 2, 1e9)))
