"""How long `cifar10/fast` trains beside airbench94_muon, on the same processors, in turns.

    python benchmarks/cifar.py [--rounds 3] [--recipe cifar10/fast] [--precision fast]

The peer is written anew after Keller Jordan's description (https://arxiv.org/abs/2404.00498 and
https://kellerjordan.github.io/posts/muon): its network, its optimisers and its 8 epochs of batches
of 2,000, in float32, as its half precision is for GPUs (--halved: in bfloat16). All its steps cost
the same, so a few of them say how long a whole training takes; ours are timed at each side of its
pictures. What a training reaches is measured by training it: `striate train cifar10 --recipe fast`.
"""

import argparse
import dataclasses
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate import data as sources
from striate import devices
from striate.models import Architecture, find
from striate.stopping import Halt
from striate.training import growing
from striate.training.loop import Progress, in_values, steps_an_epoch, tasks
from striate.training.recipes import applied
from striate.training.start import Means, prepare
from striate.training.step import checked_update

PEER_EPOCHS, PEER_BATCH, PICTURES = 8, 2000, 50_000
WIDTHS = (64, 256, 256)
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Group(nn.Module):
    """The peer's block: convolution, pool, norm, GELU, convolution, norm, GELU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, eps=1e-12, momentum=0.4) for _ in "ab")

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.norms[0](F.max_pool2d(self.first(x), 2)))
        return F.gelu(self.norms[1](self.second(x)))


class Peer(nn.Module):
    """The peer's network: (N, 3, 32, 32) -> logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad_(False)
        pairs = zip((24, *WIDTHS), WIDTHS, strict=False)
        self.groups = nn.Sequential(*[Group(*pair) for pair in pairs])
        self.head = nn.Linear(WIDTHS[-1], 10, bias=False)
        for norm in self.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.groups(F.gelu(self.whiten(x)))
        found: Tensor = self.head(F.max_pool2d(x, x.shape[-1]).flatten(1)) / x.shape[-1]
        return found


class PeerSteps:
    """Steps of the peer on made-up pictures: what they hold does not change how long they take."""

    def __init__(self, *, halved: bool) -> None:
        torch.manual_seed(0)
        self.halved = halved
        self.net = Peer().to(memory_format=torch.channels_last)
        named = list(self.net.named_parameters())
        self.filters = [p for name, p in named if p.ndim == 4 and p.requires_grad]
        rest = [p for name, p in named if p.ndim != 4 and p.requires_grad]
        self.velocities = [torch.zeros_like(p) for p in self.filters]
        self.sgd = torch.optim.SGD(rest, lr=1e-3, momentum=0.85, nesterov=True)
        self.padded = torch.randn(PEER_BATCH, 3, 36, 36)
        self.labels = torch.randint(10, (PEER_BATCH,))

    def __call__(self) -> None:
        """Take a step: cut out, forward, backward, update."""
        values = self.padded[:, :, 2:34, 2:34].contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.halved):
            logits = self.net(values)
        labels = self.labels
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=0.2, reduction="sum")
        self.net.zero_grad(set_to_none=True)
        loss.backward()
        self.sgd.step()
        with torch.no_grad():
            for weight, velocity in zip(self.filters, self.velocities, strict=True):
                gradient = weight.grad
                assert gradient is not None
                velocity.mul_(0.6).add_(gradient)
                slope = gradient + 0.6 * velocity
                weight.mul_(len(weight) ** 0.5 / weight.norm())
                weight.sub_(orthogonal(slope.flatten(1)).view_as(weight), alpha=0.24)


def orthogonal(x: Tensor) -> Tensor:
    """Return a matrix with the singular vectors of another, and singular values near 1."""
    a, b, c = NEWTON_SCHULZ
    y: Tensor = x / (x.norm() + 1e-7)
    for _ in range(3):
        gram = y @ y.T
        y = a * y + (b * gram + c * gram @ gram) @ y
    return y


class Ours:
    """Steps of a recipe, as `striate train` takes them, at any side of its pictures."""

    def __init__(self, recipe: str, given: dict[str, Any]) -> None:
        model, choices = applied(None, {"recipe": recipe, **given}, "cifar10")
        architecture: Architecture = find(model, choices.get("arguments", {}))
        data, means = sources.find("cifar10"), Means(device="cpu")
        made = prepare(data, choices, architecture, means=means, halt=Halt())
        self.learner, self.pictures = made.learner, made.pictures["train"]
        per_epoch = steps_an_epoch(len(self.pictures), self.learner.recipe)
        total = self.learner.recipe.epochs * per_epoch
        self.steps = Counter(growing.side(self.learner.recipe, n, total) for n in range(total))

    def timed(self, side: int) -> Callable[[], None]:
        """Return a function that takes a step at a side."""
        # Below 1, so that pictures are resized to the side that a task names.
        recipe = dataclasses.replace(self.learner.recipe, progressive=0.99)
        learner = self.learner._replace(recipe=recipe)
        source = self._tasks()

        def step() -> None:
            task = next(source)._replace(side=side)
            values, targets = in_values(learner, task)
            checked_update(learner, values, targets, rate=1e-3, share=task.share)
            learner.follow(task.number)

        return step

    def _tasks(self) -> Iterator[Any]:
        while True:
            yield from tasks(self.learner, self.pictures, Progress())


class Timed(NamedTuple):
    """Seconds of a whole training."""

    ours: float
    peer: float


def main() -> None:
    """Time both in turns, and print the seconds of a whole training and their ratio."""
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--recipe", default="cifar10/fast")
    reader.add_argument("--precision", default="fast")
    reader.add_argument("--halved", action="store_true", help="the peer in bfloat16")
    reader.add_argument("--rounds", type=int, default=3)
    reader.add_argument("--steps", type=int, default=2, help="of each side, in a round")
    chosen = reader.parse_args()
    ours = Ours(chosen.recipe, {"precision": chosen.precision})
    peer = PeerSteps(halved=chosen.halved)
    by_side = {side: ours.timed(side) for side in sorted(ours.steps)}
    precision = ours.learner.recipe.precision
    print(f"{devices.describe(torch.device('cpu'))}, torch {torch.__version__}, {precision}")
    print(f"the peer in {'bfloat16' if chosen.halved else 'float32'}")
    rows: list[Timed] = []
    for turn in range(chosen.rounds + 1):
        each = {side: seconds(step, chosen.steps) for side, step in by_side.items()}
        whole = sum(ours.steps[side] * spent for side, spent in each.items())
        theirs = PEER_EPOCHS * PICTURES / PEER_BATCH * seconds(peer, chosen.steps)
        if turn:  # the first warms up
            rows.append(Timed(whole, theirs))
            shown = ", ".join(f"{spent:.2f} s at {side} px" for side, spent in each.items())
            print(f"a training of ours {whole:.0f} s ({shown} a step), the peer {theirs:.0f} s")
    report(rows)


def report(rows: Sequence[Timed]) -> None:
    """Print medians and the ratio with its range."""
    ratios = sorted(row.ours / row.peer for row in rows)
    mine, theirs = (statistics.median(column) for column in zip(*rows, strict=True))
    print(
        f"medians: {mine:.0f} s beside {theirs:.0f} s; {statistics.median(ratios):.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f}) of the peer's time, n = {len(rows)}"
    )


def seconds(step: Callable[[], None], count: int) -> float:
    """Return the seconds of a step, the mean of some."""
    begun = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - begun) / count


if __name__ == "__main__":
    main()
