"""A network of your own: any function that gives an nn.Module from pictures to logits."""

import functools

from torch import nn

import striate


def wide(channels: int, classes: int, *, width: int = 16) -> nn.Module:
    """Build two convolutions and a linear layer: pictures (N, C, H, W) -> logits (N, K)."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, classes),
    )


if __name__ == "__main__":  # the run keeps this file, and reads the function out of it
    network = functools.partial(wide, width=24)
    run = striate.train(
        "digits", model=network, optimiser="adamw", epochs=15, out="runs/own", overwrite=True
    )
    costs = run.describe().totals
    print(f"{run.accuracy:.1%} with {costs['parameters']:,} weights")
