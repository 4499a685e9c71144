"""The command line with the preset "quick" made small: experiments of a few seconds."""

from dataclasses import replace

from polarstep.experiments import presets

TINY = replace(
    presets.PRESETS["quick"],
    population_dimension=4,
    population_iterations={4: 25, 10: 60},
    gaussian_samples=120,
    gaussian_features=3,
    gaussian_kappa=3.0,
    gaussian_iterations=20,
    real_iterations=12,
    seeds=2,
    network_kappa=2.0,
    network_sweeps=3,
    network_data_sweeps=2,
    network_data_iterations=10,
    deep_units=3,
    deep_samples=30,
    deep_steps=4,
    deep_seeds=1,
    deep_coupling_samples=12,
    deep_points=2,
    metric_units=3,
    metric_samples=30,
    metric_validation=12,
    metric_side=4,
    metric_batch=10,
    metric_steps=6,
    metric_points=2,
    metric_seeds=1,
)

if __name__ == "__main__":
    presets.PRESETS["quick"] = TINY
    from polarstep.cli import main

    main()
