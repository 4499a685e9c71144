"""The report: rows of finished runs become one HTML page with verdicts and figures."""
