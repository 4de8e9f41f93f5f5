"""Views of what a network learnt and answered: arrays out, which the report and figures show."""

from .answers import Answers, Confusion, confusion, read_answers
from .excitation import Patches, cut, patches
from .featuremaps import Maps, maps
from .firstlayer import Filters, filter_pictures, filters
from .labels import doubted, likely_errors
from .layers import Layer, last, parts
from .looking import Looked, cam, grad_cam, looked, shuffled
from .reliability import Calibration, calibration

__all__ = [
    "Answers",
    "Calibration",
    "Confusion",
    "Filters",
    "Layer",
    "Looked",
    "Maps",
    "Patches",
    "calibration",
    "cam",
    "confusion",
    "cut",
    "doubted",
    "filter_pictures",
    "filters",
    "grad_cam",
    "last",
    "likely_errors",
    "looked",
    "maps",
    "parts",
    "patches",
    "read_answers",
    "shuffled",
]
