"""Fashion-MNIST in minutes on two processors: the network of mnist/fast, wider."""

from .named import Named

RECIPE = Named(
    about="aims at 93 % in minutes",
    data="fashion-mnist",
    choices={
        "model": "compact",
        "arguments": {"first": 32, "second": 64, "third": 96},
        "epochs": 10,
        "rate": 0.2,
        "flip": True,
        "crop_padding": 1,
        "rotate": 0.0,
        "zoom": 0.0,
        "ema": 0.998,
        "validation_share": 0.0,
    },
    flop=2.11e13,
)
