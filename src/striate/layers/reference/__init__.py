"""Layers by their definition, plain and slow: what the quick ones are measured against.

Each takes and gives tensors of any floating type, and has gradients. None keeps a state: what a
layer learns, or counts as it runs, is handed in and given back.
"""

from .convolution import convolution, transposed_convolution
from .dropout import draw, dropout
from .fractional import disjoint, fixed_size, overlapping, pool_regions, pseudo_random, random
from .normalisation import (
    Running,
    batch_norm,
    evaluated,
    group_norm,
    instance_norm,
    layer_norm,
)
from .pooling import average_pooling, max_pooling
from .residual import Unit, residual_block

__all__ = [
    "Running",
    "Unit",
    "average_pooling",
    "batch_norm",
    "convolution",
    "disjoint",
    "draw",
    "dropout",
    "evaluated",
    "fixed_size",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "max_pooling",
    "overlapping",
    "pool_regions",
    "pseudo_random",
    "random",
    "residual_block",
    "transposed_convolution",
]
