"""MNIST in seconds on two processors: a small network, one epoch, a high rate."""

from .named import Measured, Named

RECIPE = Named(
    about="one epoch of a small network",
    data="mnist",
    choices={
        "model": "compact",
        "arguments": {"first": 16, "second": 48, "third": 64},
        "epochs": 1,
        "rate": 0.4,
        "crop_padding": 1,
        "rotate": 0.0,
        "zoom": 0.0,
        "validation_share": 0.0,
        "precision": "fast",
    },
    flop=9.73e11,
    measured=(Measured("2 CPU cores", 0.9943, 0.0004, 5, 8.1),),
)
