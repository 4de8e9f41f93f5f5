"""CIFAR-10 in few operations: airbench's network (Jordan 2024), three widths, growing pictures.

https://arxiv.org/abs/2404.00498. Its rates are for losses that are summed over a batch; these are
for means. Norms' shifts learn at 64 times the rate of the filters.
"""

from .named import Measured, Named

COMMON = {
    "model": "whitened",
    "batch_size": 1024,
    "schedule": "linear",
    "label_smoothing": 0.2,
    "flip": True,
    "alternate_flip": True,
    "progressive": 0.75,
    "validation_share": 0.0,
    "precision": "fast",
}
SGD = {
    "optimiser": "sgd",
    "rate": 1.5,
    "norm_rate": 64.0,
    "momentum": 0.85,
    "weight_decay": 1.3e-3,
}
QUICK = Named(
    about="as much as two epochs give: Muon, and pictures that grow",
    data="cifar10",
    choices={
        **COMMON,
        "optimiser": "muon",
        "rate": 0.025,
        "momentum": 0.6,
        # So much that filters keep their norms: how far a step turns them is then the rate's.
        "weight_decay": 1.0,
        "epochs": 2,
        "crop_padding": 2,
        "progressive": 0.625,
        "progressive_until": 0.6,
    },
    flop=5.14e13,
    measured=(Measured("1 CPU core", 0.8835, 0.0, 1, 335),),
)
FAST = Named(
    about="aims at 94 % with --tta crops: 11 epochs of pictures that grow",
    data="cifar10",
    choices={**COMMON, **SGD, "epochs": 11, "warmup": 2.2, "crop_padding": 2, "ema": 0.99},
    flop=3.19e14,
    measured=(Measured("2 CPU cores, as its steps add up", 0.9318, 0.0011, 2, 1007, 0.9402),),
)
BETTER = Named(
    about="aims at 96 % with --tta crops: wider, residual, 40 epochs",
    data="cifar10",
    choices={
        **COMMON,
        **SGD,
        "arguments": {"first": 128, "second": 384, "third": 512, "depth": 3},
        "epochs": 40,
        "warmup": 4.0,
        "crop_padding": 4,
        "cutout": 0.375,
        "ema": 0.998,
    },
    flop=4.45e15,
)
BEST = Named(
    about="aims at 96.7 %, the chapter's headline, in 40 PFLOP: wider still, 74 epochs",
    data="cifar10",
    choices={
        **COMMON,
        **SGD,
        "arguments": {"first": 256, "second": 1024, "third": 1024, "depth": 3},
        "epochs": 74,
        "rate": 1.0,
        "warmup": 7.4,
        "progressive": 0.625,
        "progressive_until": 0.6,
        "crop_padding": 4,
        "cutout": 0.375,
        "ema": 0.999,
    },
    flop=3.87e16,
)
