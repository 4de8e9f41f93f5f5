"""MNIST as well as one network does without a vote: the chapter's, mended, averaged weights."""

from .named import Measured, Named

RECIPE = Named(
    about="one network, no vote: the chapter's, mended, 30 epochs, averaged weights",
    data="mnist",
    choices={
        "model": "mnist-convnet",
        "epochs": 30,
        "optimiser": "adamw",
        "rate": 1.5e-3,
        "weight_decay": 0.01,
        "crop_padding": 2,
        "rotate": 10.0,
        "zoom": 0.1,
        "ema": 0.999,
        "validation_share": 0.0,
        "precision": "fast",
    },
    flop=1.5e14,
    measured=(Measured("1 CPU core", 0.9969, 0.0, 1, 1146),),
)
