"""Numbers from logits and labels: how often a network is right, how sure, and of how many."""

from .accuracy import ROWS, Metrics, as_json, loss, measure, top, wilson
from .coverage import THRESHOLDS, Coverage, check_confidence, coverage, coverages
from .reliability import BINS, Calibration, calibration
from .temperature import fit, probabilities

__all__ = [
    "BINS",
    "ROWS",
    "THRESHOLDS",
    "Calibration",
    "Coverage",
    "Metrics",
    "as_json",
    "calibration",
    "check_confidence",
    "coverage",
    "coverages",
    "fit",
    "loss",
    "measure",
    "probabilities",
    "top",
    "wilson",
]
