"""Overrides of a training's defaults, by network."""

from collections.abc import Mapping
from typing import Any

# As published. At the default of 0.1 linear layers without norms come to answer all pictures alike.
SLOW = {"rate": 0.01}

NETWORKS: dict[str, Mapping[str, Any]] = {
    "mlp": {"optimiser": "adamw", "rate": 2e-3, "weight_decay": 0.01, "epochs": 20},
    "mnist-convnet": {"optimiser": "adamw", "rate": 1.5e-3, "weight_decay": 0.01},
    "mnist-convnet-listed": {
        "optimiser": "sgd",
        "rate": 1e-4,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "schedule": "constant",
        "label_smoothing": 0.0,
        "crop_padding": 0,
        "rotate": 0.0,
        "zoom": 0.0,
        "batch_size": 64,
        "epochs": 40,
    },
    "alexnet": SLOW,
    **{f"vgg{depth}{norm}": SLOW for depth in (11, 13, 16, 19) for norm in ("", "-bn")},
    "audio-convnet": {"batch_size": 64},
    "r3d": {"batch_size": 32, "rate": 0.05},
}
