"""The chapter's MNIST network, as its listing has it, and corrected.

Two convolutions 5x5 with pooling, then two linear layers. The listing has no non-linearity between
the linear layers, so that the two are one linear map (of rank 1024) but for the dropout.
"""

from torch import nn

from striate.layers import chain


def mnist_convnet(
    channels: int, classes: int, size: tuple[int, int], *, dropout: float = 0.5
) -> nn.Sequential:
    """Build the mended network, with ReLU between the linear layers: (N, C, H, W) -> (N, K)."""
    return chain(
        **_trunk(channels),
        linear=nn.Linear(_flattened(size), 1024),
        relu3=nn.ReLU(),
        dropout=nn.Dropout(dropout),
        head=nn.Linear(1024, classes),
    )


def mnist_convnet_listed(channels: int, classes: int, size: tuple[int, int]) -> nn.Sequential:
    """Build the network as listed, with nothing between the linear layers but dropout."""
    return chain(
        **_trunk(channels),
        linear=nn.Linear(_flattened(size), 1024),
        dropout=nn.Dropout(0.5),
        head=nn.Linear(1024, classes),
    )


def _trunk(channels: int) -> dict[str, nn.Module]:
    # ReLU and max-pooling commute; pooling first leaves a quarter of the numbers for the ReLU.
    return {
        "conv1": nn.Conv2d(channels, 32, 5, padding=2),
        "pool1": nn.MaxPool2d(2),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(32, 64, 5, padding=2),
        "pool2": nn.MaxPool2d(2),
        "relu2": nn.ReLU(),
        "flatten": nn.Flatten(),
    }


def _flattened(size: tuple[int, int]) -> int:
    return 64 * (size[0] // 2 // 2) * (size[1] // 2 // 2)
