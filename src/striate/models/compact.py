"""A network for small pictures of drawn shapes: three convolutions without padding, batch norm."""

from torch import nn

from striate.errors import UsageError
from striate.layers import chain


def compact(
    channels: int,
    classes: int,
    size: tuple[int, int],
    *,
    first: int = 16,
    second: int = 32,
    third: int = 48,
    fold: int = 1,
) -> nn.Sequential:
    """Build the network: (N, C, H, W) -> (N, K); `first` to `third` are channels.

    With `fold` 2, blocks of 2x2 pixels become channels first, and the first pooling is left out.
    """
    if fold not in (1, 2):
        raise UsageError(f"fold of compact is 1 or 2, not {fold}")
    kernel = 5 if fold == 1 else 3
    sides = [_side(side, fold) for side in size]
    # Pooled before norm and ReLU: three quarters of their work saved.
    pool1 = {"pool1": nn.MaxPool2d(2)} if fold == 1 else {}
    unfold = {} if fold == 1 else {"fold": nn.PixelUnshuffle(fold)}
    # torch's own first weights: with He's, one epoch of MNIST reaches less.
    return chain(
        **unfold,
        conv1=nn.Conv2d(channels * fold * fold, first, kernel, bias=False),
        **pool1,
        norm1=nn.BatchNorm2d(first),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(first, second, 3, bias=False),
        norm2=nn.BatchNorm2d(second),
        relu2=nn.ReLU(),
        conv3=nn.Conv2d(second, third, 3, bias=False),
        pool3=nn.MaxPool2d(2),
        norm3=nn.BatchNorm2d(third),
        relu3=nn.ReLU(),
        flatten=nn.Flatten(),
        head=nn.Linear(third * sides[0] * sides[1], classes),
    )


def _side(side: int, fold: int) -> int:
    """Return the side of the last maps."""
    before = (side - 4) // 2 if fold == 1 else side // fold - 2
    return (before - 4) // 2
