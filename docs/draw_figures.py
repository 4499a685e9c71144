"""Draw the figures that README shows as SVG and PNG; `make figures` runs this in some seconds."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

import polarstep as ps

FOLDER = Path(__file__).parent / "figures"
# The palette of Okabe and Ito, whose colours colour-blind readers can tell apart.
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"]
STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "white",  # legible on light and on dark pages
    "font.size": 10,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
    "svg.hashsalt": "polarstep",
}


def gaussian_problem(kappa: float, loss: ps.MarginLoss, d: int = 20) -> ps.GaussianHalfspace:
    """A Gaussian population whose second moment has the condition number `kappa`."""
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(d, d)))
    S = basis * np.geomspace(1.0, kappa, d) @ basis.T
    S = (S + S.T) / 2
    u = S @ rng.normal(size=d)
    u *= np.sqrt(0.8 / (u @ np.linalg.solve(S, u)))
    return ps.GaussianHalfspace(u, S, loss=loss, length_penalty=1e-3)


def population_gap() -> plt.Figure:
    """Draw GDNP's direction gap for every loss, and the bound of Theorem 1."""
    losses = list(ps.losses.LOSSES.values())
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
    for axes, kappa in zip(panels, (10, 30, 100), strict=True):
        for loss, color, width in zip(losses, COLORS, np.linspace(7.5, 1.0, 5), strict=True):
            problem = gaussian_problem(kappa, loss)
            w0 = np.random.default_rng(1).normal(size=20)
            run = ps.minimize(problem, method="gdnp", w0=w0, max_iter=150, tol=1e-12)
            gap = np.asarray(run.trace.direction_gap)
            axes.semilogy(gap, color=color, linewidth=width, label=loss.name)
        bound = ps.theory.rate_bound(problem.moments, gap[0], 150)
        axes.semilogy(bound, "k--", linewidth=1.3, label="bound of Theorem 1")
        axes.grid(True)
        axes.set(title=f"condition number {kappa}", xlabel="iteration", ylim=(1e-14, 3))
    panels[0].set_ylabel("direction gap")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    return figure


def coupling() -> plt.Figure:
    """Draw how the layers of a small convolutional network depend on one another."""
    import torch
    from sklearn.datasets import load_digits

    from polarstep.curvature import coupling

    images, labels = (torch.as_tensor(a[:256]) for a in load_digits(return_X_y=True))
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, 8, 8)),
        torch.nn.Conv2d(1, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
        torch.nn.Conv2d(8, 16, 3), torch.nn.BatchNorm2d(16), torch.nn.ReLU(),
        torch.nn.Flatten(), torch.nn.Linear(256, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10),
    )  # fmt: skip
    loss = torch.nn.functional.cross_entropy
    batch = (images.float() / 16, labels)
    result = coupling(model, loss, batch, method="sketch", scale="relative")
    figure = result.plot().figure
    figure.set_size_inches(6, 4.6)
    return figure


def main() -> None:
    """Write every figure in both formats."""
    FOLDER.mkdir(exist_ok=True)
    for draw in (population_gap, coupling):
        with plt.rc_context(STYLE):
            figure = draw()
            for kind, options in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": 150})):
                path = FOLDER / f"{draw.__name__.replace('_', '-')}.{kind}"
                figure.savefig(path, bbox_inches="tight", facecolor="white", **options)
                print(path)
            plt.close(figure)


if __name__ == "__main__":
    main()
