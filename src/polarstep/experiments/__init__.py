"""The experiments of the paper and others: their runs, rows on disk, verdicts, figures and report.

An experiment (see `experiment` and `registry`) says what to run; `running` runs it and `records`
appends one row per finished run; verdicts, figures and the report are made from those rows alone.
The package needs the extra ``polarstep[reproduce]``.
"""
