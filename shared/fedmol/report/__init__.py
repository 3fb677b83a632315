"""The account of a run for people: report.html and metrics.csv, made from the run folder."""
