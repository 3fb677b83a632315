"""The account of a run for people: report.html and metrics.csv, made from the run folder."""

from fedmol.report.metrics import write_metrics
from fedmol.report.page import write_evaluation, write_report

__all__ = ["write_evaluation", "write_metrics", "write_report"]
