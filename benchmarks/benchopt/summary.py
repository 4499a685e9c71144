"""Print what each solver reached in a result of benchopt, and the time to 1e-8.

    python benchmarks/benchopt/summary.py benchmark_logreg_l2/outputs/RESULT.parquet [RESULT.csv]

The time is that of the first point of a solver's curve whose objective exceeds the best one of all
solvers by a relative 1e-8 at most; times and objectives are medians over the repetitions.
"""

import sys

import pandas as pd

TARGET = 1e-8


def summary(results: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (data, objective), found in results.groupby(["data_name", "objective_name"], sort=False):
        best = found["objective_value"].min()
        for solver, curve in found.groupby("solver_name", sort=False):
            points = curve.groupby("stop_val")[["time", "objective_value"]].median()
            excess = points["objective_value"] / best - 1
            seconds = points["time"][excess <= TARGET].min()
            end = points["objective_value"].min()
            rows.append([data, objective, solver, f"{end:.10g}", f"{excess.min():.0e}", seconds])
    columns = ["data", "objective", "solver", "lowest value", "above the best", "seconds to 1e-8"]
    table = pd.DataFrame(rows, columns=columns)
    table["seconds to 1e-8"] = table["seconds to 1e-8"].map("{:.2g}".format).replace("nan", "")
    return table


if __name__ == "__main__":
    table = summary(pd.read_parquet(sys.argv[1]))
    print(table.to_string(index=False))
    if len(sys.argv) > 2:
        table.to_csv(sys.argv[2], index=False)
