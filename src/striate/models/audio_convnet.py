"""A convolutional network for log-mel spectrograms, averaged over time but not over frequency.

Stages of two 3x3 convolutions with batch norm and ReLU, each halving bands and frames; then one
convolution over all the bands that are left, and the mean over time.
"""

from torch import nn

from striate.errors import UsageError
from striate.layers import chain


def audio_convnet(
    channels: int,
    classes: int,
    size: tuple[int, int],
    *,
    width: int = 16,
    stages: int | None = None,
    dropout: float = 0.3,
) -> nn.Sequential:
    """Build the network: spectrograms (N, C, M, F) of M bands in F frames -> logits (N, K).

    Three stages, or as many as halve the smaller side to 1.
    """
    most = min(size).bit_length() - 1
    count = min(3, most) if stages is None else stages
    if width < 1 or not 1 <= count <= most:
        raise UsageError(
            f"an audio-convnet on {size[0]} bands and {size[1]} frames has width >= 1 and 1 to "
            f"{most} stages, not {width} and {count}"
        )
    layers: dict[str, nn.Module] = {}
    for number in range(1, count + 1):
        layers[f"stage{number}"] = _stage(channels, width * 2 ** (number - 1))
        channels = width * 2 ** (number - 1)
    # As the chapter's units for phonemes: each sees all the bands, a few frames long.
    layers["bands"] = nn.Conv2d(
        channels, 2 * channels, (size[0] >> count, 3), padding=(0, 1), bias=False
    )
    layers["norm"] = nn.BatchNorm2d(2 * channels)
    layers["relu"] = nn.ReLU(inplace=True)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["dropout"] = nn.Dropout(dropout)
    layers["head"] = nn.Linear(2 * channels, classes)
    net = chain(**layers)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    # Small: the first answers are those of a guess.
    nn.init.normal_(net.get_submodule("head").get_parameter("weight"), std=0.01)
    return net


def _stage(channels: int, width: int) -> nn.Sequential:
    return chain(
        conv1=nn.Conv2d(channels, width, 3, padding=1, bias=False),
        norm1=nn.BatchNorm2d(width),
        relu1=nn.ReLU(inplace=True),
        conv2=nn.Conv2d(width, width, 3, padding=1, bias=False),
        pool=nn.MaxPool2d(2),  # before norm and ReLU: a quarter of the numbers left for both
        norm2=nn.BatchNorm2d(width),
        relu2=nn.ReLU(inplace=True),
    )
