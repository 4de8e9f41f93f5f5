"""Two ways to paint that others use, written anew as plainly as they are described.

`tutorial`: PyTorch's neural style tutorial: the first five convolutions, before their ReLU, content
at the fourth; torch's L-BFGS without line search, pixels clamped at every look. `gatys`: Gatys et
al. 2015, https://arxiv.org/abs/1508.06576: relu1_1 to relu5_1, content at relu4_2, L-BFGS with a
line search. Both work at one size, pad with zeros and start from the photograph.

Their seconds are the processor's, over its threads: on a busy machine they lose nothing, on a quiet
one they have somewhat more than they would have by the clock.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.models import tensorfiles
from striate.painting.networks.vgg import MEAN, STD

# Places among torchvision's features of VGG-16.
TUTORIAL_STYLE, TUTORIAL_CONTENT = (0, 2, 5, 7, 10), 7
GATYS_STYLE, GATYS_CONTENT = (1, 6, 11, 18, 25), 20


class _TimeError(Exception):
    """Ends torch's L-BFGS, which knows iterations only, when the time is over."""


def spent() -> float:
    """Return the seconds that this process has worked, over its threads."""
    return time.process_time() / torch.get_num_threads()


def features(weights: Path) -> nn.Sequential:
    """Build torchvision's convolutions of VGG-16 with weights from a file, as far as relu5_1."""
    from torchvision.models.vgg import cfgs, make_layers

    net = make_layers(cfgs["D"])
    given = tensorfiles.read(weights)
    net.load_state_dict({key.removeprefix("features."): t.float() for key, t in given.items()})
    net = net[: GATYS_STYLE[-1] + 1].eval().requires_grad_(False)
    for layer in net:
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
    return net


def answers(net: nn.Sequential, picture: Tensor, places: Sequence[int]) -> dict[int, Tensor]:
    """Return the outputs at these places for a picture (1, 3, H, W) in [0, 1]."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    x, found = (picture - mean) / std, {}
    for place, layer in enumerate(net[: max(places) + 1]):
        x = layer(x)
        if place in places:
            found[place] = x
    return found


def gram(x: Tensor) -> Tensor:
    """Return the Gram matrix of activations (1, C, H, W) over their number."""
    flat = x[0].flatten(1)
    return flat @ flat.T / flat.numel()


def tutorial(
    net: nn.Sequential, content: Tensor, style: Tensor, *, weight: float, seconds: float
) -> Tensor:
    """Paint by the tutorial's algorithm; `weight` is content's against style, see `balanced`."""
    until = spent() + seconds
    with torch.no_grad():
        own = answers(net, content, TUTORIAL_STYLE)
        target = own[TUTORIAL_CONTENT]
        wanted = {p: gram(x) for p, x in answers(net, style, TUTORIAL_STYLE).items()}

    def losses(found: dict[int, Tensor]) -> tuple[Tensor, Tensor]:
        far = [F.mse_loss(gram(found[p]), wanted[p]) for p in TUTORIAL_STYLE]
        return torch.stack(far).sum(), F.mse_loss(found[TUTORIAL_CONTENT], target)

    balance = balanced(losses(own)[0], target.var(), weight)
    picture = content.clone().requires_grad_()

    def loss() -> Tensor:
        with torch.no_grad():
            picture.clamp_(0, 1)
        style_loss, content_loss = losses(answers(net, picture, TUTORIAL_STYLE))
        # Its weights are 1,000,000 for style and 1 for content.
        return 1e6 * (style_loss + balance * content_loss)

    descend(torch.optim.LBFGS([picture]), loss, until=until)
    return picture.detach().clamp(0, 1)


def gatys(
    net: nn.Sequential, content: Tensor, style: Tensor, *, weight: float, seconds: float
) -> Tensor:
    """Paint by Gatys' losses at one size; `weight` is content's against style, see `balanced`.

    Style is the mean of 1/(4 k^2 m^2) (G - A)^2 with Gram matrices G / m, whatever the sizes;
    content the half sum of (F - P)^2.
    """
    until = spent() + seconds
    places = [*GATYS_STYLE, GATYS_CONTENT]
    with torch.no_grad():
        own = answers(net, content, places)
        target = own[GATYS_CONTENT]
        wanted = {p: gram(x) * x.shape[1] for p, x in answers(net, style, GATYS_STYLE).items()}

    def losses(found: dict[int, Tensor]) -> tuple[Tensor, Tensor]:
        far = [
            (gram(found[p]) * found[p].shape[1] - wanted[p]).square().mean() / 4
            for p in GATYS_STYLE
        ]
        return torch.stack(far).mean(), (found[GATYS_CONTENT] - target).square().sum() / 2

    start = losses(own)[0]
    balance = balanced(start, target.var() * target.numel() / 2, weight)
    picture = content.clone().requires_grad_()

    def loss() -> Tensor:
        style_loss, content_loss = losses(answers(net, picture, places))
        # The scale is for torch's L-BFGS, whose tolerances are absolute.
        return (style_loss + balance * content_loss) * (100 / start)

    optimiser = torch.optim.LBFGS([picture], line_search_fn="strong_wolfe")
    descend(optimiser, loss, until=until)
    return picture.detach().clamp(0, 1)


def balanced(style: Tensor, spread: Tensor, weight: float) -> float:
    """Return the factor of content at which `weight` means what it means to striate.

    Both losses in shares: style of its value at the photograph, content of its target's variance.
    A network's activations may have any size, so weights as published would mean nothing for it.
    """
    return weight * float(style) / float(spread)


def descend(optimiser: torch.optim.LBFGS, loss: Callable[[], Tensor], *, until: float) -> None:
    """Take steps until the clock says so; the picture is then as it was looked at last."""

    def closure() -> Tensor:
        if spent() > until:
            raise _TimeError
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    try:
        while True:
            before = [p.detach().clone() for p in optimiser.param_groups[0]["params"]]
            optimiser.step(closure)
            pairs = zip(before, optimiser.param_groups[0]["params"], strict=True)
            if all(torch.equal(one, other) for one, other in pairs):
                return  # it stands still
    except _TimeError:
        pass
