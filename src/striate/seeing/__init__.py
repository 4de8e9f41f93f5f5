"""Views of what a network learnt and answered: arrays out, which the report and figures show."""

from striate.metrics import Calibration, calibration

from .answers import Answers, Confusion, confusion, read_answers
from .comparison import Compared, Difference, McNemar, compare, differences, mcnemar, paired
from .drawing import explanation_sheet, filter_sheet
from .embedding import Embedded, embed, of_run
from .excitation import Patches, cut, patches
from .explaining import Explainer, Explanation
from .faithfulness import colour_histograms, purity, raw_pixels, recall, trustworthiness
from .featuremaps import Maps, maps
from .firstlayer import Filters, filter_pictures, filters
from .groups import class_groups
from .labels import doubted, likely_errors
from .layers import Layer, last, parts
from .looking import Looked, cam, grad_cam, looked, shuffled
from .neighbours import Nearest, nearest, others
from .networks import Source, network
from .placement import place
from .settings import Setting, Trained, settings
from .standings import Match, Pair, Spread, Standings, spread, standings

__all__ = [
    "Answers",
    "Calibration",
    "Compared",
    "Confusion",
    "Difference",
    "Embedded",
    "Explainer",
    "Explanation",
    "Filters",
    "Layer",
    "Looked",
    "Maps",
    "Match",
    "McNemar",
    "Nearest",
    "Pair",
    "Patches",
    "Setting",
    "Source",
    "Spread",
    "Standings",
    "Trained",
    "calibration",
    "cam",
    "class_groups",
    "colour_histograms",
    "compare",
    "confusion",
    "cut",
    "differences",
    "doubted",
    "embed",
    "explanation_sheet",
    "filter_pictures",
    "filter_sheet",
    "filters",
    "grad_cam",
    "last",
    "likely_errors",
    "looked",
    "maps",
    "mcnemar",
    "nearest",
    "network",
    "of_run",
    "others",
    "paired",
    "parts",
    "patches",
    "place",
    "purity",
    "raw_pixels",
    "read_answers",
    "recall",
    "settings",
    "shuffled",
    "spread",
    "standings",
    "trustworthiness",
]
