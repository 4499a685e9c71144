"""The report: an HTML page with the verdicts, figures and tables of all experiments."""
