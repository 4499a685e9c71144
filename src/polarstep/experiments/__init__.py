"""The paper's experiments: runs, rows on disk, figures, verdicts and the report.

Rows flow one way: `halfspaces`, `network`, `deep` and `metric` say what to run, `running` runs it
and appends a row per finished run (`records`), and `verdicts`, `figures` and `report` read nothing
but those rows.
Needs the extra ``polarstep[reproduce]``.
"""
