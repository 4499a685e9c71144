"""How large the experiments are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """The sizes of one preset; see `PRESETS` for the values."""

    name: str
    # exact population runs of gdnp: iterations by condition number
    population_dimension: int
    population_iterations: dict[int, int]
    # Gaussian samples
    gaussian_samples: int
    gaussian_features: int
    gaussian_kappa: float
    gaussian_iterations: int
    # real data
    real_rows: int | None  # None: all rows
    real_iterations: int
    # random starts
    seeds: int
    # the one-hidden-layer network
    network_kappa: float
    network_sweeps: int
    network_data_sweeps: int
    network_data_iterations: int
    # deep networks
    deep_units: int  # of each hidden layer
    deep_samples: int
    deep_steps: int
    deep_seeds: int
    deep_coupling_samples: int
    deep_points: int  # where a run is measured, besides where its loss passes a level
    # batch normalization's metric without batch normalization
    metric_units: int
    metric_samples: int
    metric_validation: int  # images for validation
    metric_side: int  # of CIFAR-10's images, in pixels
    metric_batch: int
    metric_steps: int
    metric_points: int  # of a curve
    metric_seeds: int
    metric_rates_per_decade: int  # even: ranges begin at half decades


PRESETS = {
    "quick": Preset(
        name="quick",
        population_dimension=20,
        population_iterations={10: 100, 100: 800, 10_000: 2_000},
        gaussian_samples=3_000,
        gaussian_features=20,
        gaussian_kappa=30.0,
        gaussian_iterations=300,
        real_rows=3_000,
        real_iterations=300,
        seeds=10,
        network_kappa=10.0,
        network_sweeps=20,
        network_data_sweeps=5,
        network_data_iterations=100,
        deep_units=50,
        deep_samples=400,
        deep_steps=80,
        deep_seeds=2,
        deep_coupling_samples=250,
        deep_points=5,
        metric_units=50,
        metric_samples=1_500,
        metric_validation=400,
        metric_side=8,
        metric_batch=64,
        metric_steps=50,
        metric_points=10,
        metric_seeds=2,
        metric_rates_per_decade=2,
    ),
    "paper": Preset(
        name="paper",
        population_dimension=50,
        population_iterations={10: 200, 100: 2_000, 10_000: 30_000},
        gaussian_samples=10_000,
        gaussian_features=50,
        gaussian_kappa=50.0,
        gaussian_iterations=500,
        real_rows=None,
        real_iterations=300,
        seeds=10,
        network_kappa=30.0,
        network_sweeps=30,
        network_data_sweeps=6,
        network_data_iterations=100,
        deep_units=50,
        deep_samples=2_500,
        deep_steps=400,
        deep_seeds=3,
        deep_coupling_samples=1_000,
        deep_points=11,
        metric_units=50,
        metric_samples=20_000,
        metric_validation=2_000,
        metric_side=16,
        metric_batch=128,
        metric_steps=400,
        metric_points=25,
        metric_seeds=3,
        metric_rates_per_decade=4,
    ),
}
