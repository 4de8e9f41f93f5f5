"""99.4 % on MNIST in seconds on two processors: a small network, one epoch, a high rate."""

from .named import Named

RECIPE = Named(
    about="99.4 % in one epoch",
    data="mnist",
    choices={
        "model": "compact",
        "epochs": 1,
        "rate": 0.2,
        "crop_padding": 1,
        "rotate": 0.0,
        "zoom": 0.0,
        "validation_share": 0.0,
    },
)
