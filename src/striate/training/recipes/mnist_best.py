"""MNIST as well as one network does without a vote: wider, forty epochs, a mean of weights."""

from .named import Named

RECIPE = Named(
    about="one network, no vote: 40 epochs, averaged weights",
    data="mnist",
    choices={
        "model": "compact",
        "arguments": {"first": 32, "second": 64, "third": 128},
        "epochs": 40,
        "rate": 0.2,
        "crop_padding": 2,
        "rotate": 10.0,
        "zoom": 0.1,
        "ema": 0.999,
        "validation_share": 0.0,
    },
    flop=1.014e14,
)
