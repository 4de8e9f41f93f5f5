"""What each named recipe computes: its operations, and how much of the machine's peak it reached.

    python benchmarks/recipes.py

Operations are those of convolutions and linear layers, two a multiply-add, forward once and
backward twice, of each picture at each of its sides; a rate is theirs over the seconds that a
recipe was measured with. The peak is a product of matrices with all threads, in each precision:
run it on the machine of those seconds, while nothing else runs.
"""

from collections import Counter
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from striate import devices, models
from striate.profiling.machine import product_rates
from striate.training import growing
from striate.training.recipe import resolve
from striate.training.recipes import NAMED, Named

CPU = torch.device("cpu")
# Pictures to train on, and what they are: channels, side, classes.
DATA = {
    "mnist": (60_000, 1, 28, 10),
    "fashion-mnist": (60_000, 1, 28, 10),
    "cifar10": (50_000, 3, 32, 10),
}
STEPS = 1000  # that a training's sides are counted by


def main() -> None:
    """Print a row a recipe."""
    peaks = product_rates(CPU)
    shown = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in peaks.items())
    print(
        f"{devices.describe(CPU)}, torch {torch.__version__}; products of matrices: {shown} GFLOP/s"
    )
    print("| recipe | PFLOP | seconds | GFLOP/s | of peak |\n|---|---|---|---|---|")
    for name, recipe in NAMED.items():
        if recipe.data not in DATA:
            continue
        assert recipe.flop is not None
        flop = recipe.flop
        fast = recipe.choices.get("precision") == "fast" and "bfloat16" in peaks
        peak = peaks["bfloat16" if fast else "float32"]
        print(f"| {name} | {flop / 1e15:.4f} | {reached(recipe, flop, peak)} |")


def reached(recipe: Named, flop: float, peak: float) -> str:
    """Return the last columns of a row."""
    seconds = [found.seconds for found in recipe.measured if "2 CPU cores" in found.machine]
    if not seconds:
        return "not measured | | "
    rate = flop / seconds[0]
    return f"{seconds[0]:,.1f} | {rate / 1e9:.0f} | {rate / peak:.0%}"


def operations(recipe: Named) -> float:
    """Count the operations of a whole training: what the recipe's `flop` says, to three digits."""
    pictures, channels, side, classes = DATA[recipe.data]
    given: dict[str, Any] = dict(recipe.choices)
    chosen = resolve({"size": side, **given}, {}, {})
    plan = models.find(chosen.model, dict(chosen.arguments))
    net = models.build(plan, classes, channels=channels, size=(side, side)).eval()
    shares = Counter(growing.side(chosen, step, STEPS) for step in range(STEPS))
    return sum(
        3 * chosen.epochs * pictures * count / STEPS * forward(net, channels, side)
        for side, count in shares.items()
    )


def forward(net: torch.nn.Module, channels: int, side: int) -> int:
    """Count the operations of one picture's forward pass."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, channels, side, side))
    return int(counter.get_total_flops())


if __name__ == "__main__":
    main()
