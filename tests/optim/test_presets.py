"""Each published method against its rule, which is written out here in plain torch."""

import math

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402
from torch.nn.functional import softplus  # noqa: E402
from torch.nn.utils import parametrizations  # noqa: E402

from polarstep.optim import (  # noqa: E402
    Adam,
    Covariance,
    LengthDirection,
    angular_muown,
    hyperball,
    magnitude_direction,
    weight_normalization,
)

SHAPES = [(5, 3), (3, 5), (4, 4)]  # outputs, inputs
STEPS = 12


def run(make, rule, shape, lr, seed=0):
    """Return the largest distance between the weights of the optimizer and of the rule.

    ``rule(W_0)`` is a generator that is sent gradients and yields weights.
    """
    torch.manual_seed(seed)
    layer = nn.Linear(shape[1], shape[0], bias=False, dtype=torch.float64)
    target = torch.randn(shape, dtype=torch.float64)
    x = torch.randn(30, shape[1], dtype=torch.float64)
    optimizer = make(layer, lr)
    start = layer.weight.detach().clone()
    written_out = rule(start, lr)
    W = next(written_out)
    gap = 0.0
    for _ in range(STEPS):
        G = []
        for weight in (layer.weight, W.clone().requires_grad_()):
            weight.grad = None
            torch.tanh(x @ (weight - target).T).square().mean().backward()
            G.append(weight.grad)
        optimizer.step()
        W = written_out.send(G[1])
        gap = max(gap, (layer.weight.detach() - W).abs().max().item())
    assert (W - start).abs().max() > 0.05  # otherwise the comparison would be empty
    return gap


def frobenius(A):
    return A / torch.linalg.matrix_norm(A)


def rows(A):
    return A / A.norm(dim=1, keepdim=True)


def newton_schulz(M, coefficients, slack=1.0):
    """Apply Muon's iteration to the matrix or its transpose, whichever has fewer rows."""
    X = M.T if M.shape[0] > M.shape[1] else M
    X = X / (torch.linalg.matrix_norm(X) * slack)
    for a, b, c in coefficients:
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
    return X.T if M.shape[0] > M.shape[1] else X


MUON = [(3.4445, -4.7750, 2.0315)] * 5
POLAR_EXPRESS = [
    (8.237312490495555, -23.157747414558198, 16.680568411445915),
    (4.082441999064836, -2.8930477353325887, 0.5252849256975651),
    (3.9263479922546556, -2.8547468034765293, 0.5318022422894989),
    (3.2982187133085143, -2.4245419810267062, 0.48632008358844075),
    (2.320007312889811, -1.6862169729967622, 0.42068027340235137),
]


class PublishedAdam:
    """Algorithm 1 of Kingma and Ba."""

    def __init__(self, betas=(0.9, 0.95), eps=1e-8):
        self.betas, self.eps, self.t, self.m, self.v = betas, eps, 0, 0.0, 0.0

    def __call__(self, G):
        b1, b2 = self.betas
        self.t += 1
        self.m = b1 * self.m + (1 - b1) * G
        self.v = b2 * self.v + (1 - b2) * G**2
        m, v = self.m / (1 - b1**self.t), self.v / (1 - b2**self.t)
        return m / (v.sqrt() + self.eps)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_weight_normalization(shape, momentum):
    def rule(start, lr):
        v, g = start, start.norm(dim=1, keepdim=True)
        bv, bg = torch.zeros_like(v), torch.zeros_like(g)
        G = yield g * rows(v)
        while True:
            size = v.norm(dim=1, keepdim=True)
            dg = (G * v).sum(1, keepdim=True) / size
            dv = g / size * G - g * dg / size**2 * v  # equation 3 of Salimans and Kingma
            bg, bv = momentum * bg + dg, momentum * bv + dv
            g, v = g - lr * bg, v - lr * bv
            G = yield g * rows(v)

    def make(layer, lr):
        return weight_normalization(layer, lr, momentum=momentum)

    assert run(make, rule, shape, 0.3) < 1e-12


def test_weight_normalization_is_torchs_with_torchs_sgd():
    torch.manual_seed(0)
    ours = nn.Linear(4, 6, bias=False, dtype=torch.float64)
    theirs = nn.Linear(4, 6, bias=False, dtype=torch.float64)
    theirs.load_state_dict(ours.state_dict())
    parametrizations.weight_norm(theirs)
    x, y = torch.randn(2, 20, 4, dtype=torch.float64).unbind()
    mine = weight_normalization(ours, 0.2, momentum=0.9)
    other = torch.optim.SGD(theirs.parameters(), 0.2, momentum=0.9)
    for _ in range(STEPS):
        for layer, optimizer in ((ours, mine), (theirs, other)):
            optimizer.zero_grad()
            (layer(x)[:, :4] - y).square().mean().backward()
            optimizer.step()
        torch.testing.assert_close(ours.weight, theirs.weight, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("base", ["adam", "polar"])
def test_hyperball(shape, base):
    def rule(start, lr):
        W, R, adam, M = (
            start,
            torch.linalg.matrix_norm(start),
            PublishedAdam(),
            torch.zeros_like(start),
        )
        G = yield W
        while True:
            if base == "adam":
                u = adam(G)
            else:  # Muon, as in torch.optim.Muon
                M = 0.95 * M + 0.05 * G
                u = newton_schulz(0.05 * G + 0.95 * M, MUON)
            W = R * frobenius(W - lr * R * frobenius(u))
            G = yield W

    def make(layer, lr):
        return hyperball(layer, lr, base=base)

    assert run(make, rule, shape, 0.05) < 1e-12


@pytest.mark.parametrize("shape", SHAPES)
def test_angular_muown(shape):
    m, n = shape

    def rule(start, lr):
        U, g, M, adam = (
            rows(start),
            start.norm(dim=1, keepdim=True),
            torch.zeros_like(start),
            PublishedAdam(),
        )
        t = 0
        G = yield g * U
        while True:
            grad_g = (G * U).sum(1, keepdim=True)
            grad_U = g * (G - U * grad_g)
            M = 0.95 * M + grad_U
            Q = newton_schulz(grad_U + 0.95 * M, POLAR_EXPRESS, 1.01)
            k = (1 + 0.1 * max(0, t - 3)) ** -0.5
            U = rows(U - lr * k * math.sqrt(max(1, m / n)) * Q)
            g = g - lr * adam(grad_g)
            t += 1
            G = yield g * U

    def make(layer, lr):
        return angular_muown(layer, lr, angle_decay=0.1, decay_degree=0.5, decay_after=3)

    assert run(make, rule, shape, 0.05) < 1e-12


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("base", ["adam", "polar"])
@pytest.mark.parametrize("positive", [True, False])
def test_magnitude_direction_decoupling(shape, base, positive):
    m, n = shape

    def rule(start, lr):
        R, D, M, adam = (
            torch.linalg.matrix_norm(start),
            start,
            torch.zeros_like(start),
            PublishedAdam(),
        )
        adams, lr_gains = (PublishedAdam(), PublishedAdam()), 0.02
        one = math.log(math.e - 1) if positive else 1.0  # softplus(one) = 1
        raw = [torch.full((m, 1), one, dtype=D.dtype), torch.full((1, n), one, dtype=D.dtype)]

        def gains():
            return [softplus(r) if positive else r for r in raw]

        G = yield D
        while True:
            g, h = gains()
            slopes = [(D * G * h).sum(1, keepdim=True), (g * D * G).sum(0, keepdim=True)]
            if positive:
                slopes = [s * torch.sigmoid(r) for s, r in zip(slopes, raw, strict=True)]
            if base == "adam":
                step = adam(g * G * h)
            else:
                M = 0.95 * M + 0.05 * g * G * h
                Q = newton_schulz(0.05 * g * G * h + 0.95 * M, MUON)
                step = R / math.sqrt(min(m, n)) * Q
            D = R * frobenius(D - lr * step)
            raw = [r - lr_gains * a(s) for r, a, s in zip(raw, adams, slopes, strict=True)]
            g, h = gains()
            G = yield g * D * h

    def make(layer, lr):
        return magnitude_direction(layer, lr, base=base, positive=positive, length=Adam(lr=0.02))

    assert run(make, rule, shape, 0.05) < 1e-12


@pytest.mark.parametrize("shape", SHAPES)
def test_the_metric_of_the_inputs(shape):
    """Polar factors in the covariance metric do not depend on the choice of the root of S^-1."""
    torch.manual_seed(1)
    m, n = shape
    layer = nn.Linear(n, m, bias=False, dtype=torch.float64)
    target = torch.randn(m, n, dtype=torch.float64)
    optimizer = LengthDirection(
        layer, 0.05, metric=Covariance(refresh_every=3, rows=0), length=Adam(lr=0.02)
    )
    W = layer.weight.detach().clone()
    U = g = S = average = None
    M, adam = torch.zeros_like(W), PublishedAdam()

    def spheres(A):
        return ((A @ S) * A).sum(1, keepdim=True).sqrt()

    mixing = torch.randn(n, n, dtype=torch.float64)
    weight = 0.0
    for t in range(STEPS):
        x = torch.randn(20, n, dtype=torch.float64) @ mixing
        optimizer.zero_grad()
        torch.tanh(layer(x) - x @ target.T).square().mean().backward()
        optimizer.step()

        if t % 3 == 0:
            weight = 0.9 * weight + 0.1
            new = x.T @ x / len(x)
            average = new if average is None else average + 0.1 / weight * (new - average)
            S = average + 0.3 * average.trace() / n * torch.eye(n, dtype=torch.float64)
            values, vectors = torch.linalg.eigh(S)
            root = (
                vectors / values.sqrt() @ vectors.T
            )  # symmetric, while the optimizer's is triangular
            length = spheres(W if g is None else U)
            if g is None:
                U, g = W / length, length
            else:  # the coordinates change, W does not
                U, g, M = U / length, g * length, M * length
        weights = W.clone().requires_grad_()
        torch.tanh(x @ (weights - target).T).square().mean().backward()
        G = weights.grad
        slope = (G * U).sum(1, keepdim=True)
        gradient = g * (G - (U @ S) * slope)
        M = 0.9 * M + gradient
        Q = newton_schulz((gradient + 0.9 * M) @ root, MUON) @ root
        U = U - 0.05 * math.sqrt(max(1, m / n)) * Q
        U = U / spheres(U)
        g = g - 0.02 * adam(slope)
        W = g * U
        torch.testing.assert_close(layer.weight.detach(), W, rtol=0, atol=1e-12)
