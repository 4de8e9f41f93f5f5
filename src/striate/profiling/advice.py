"""What to change first: rules on what was measured, each with its number."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from striate.choices import flag
from striate.description.numbers import size as bytes_as
from striate.wording import counted, percent

from .found import Advice, LayerTime, Memory, Phase
from .timeline import AUGMENTATION, BACKWARD, COPY, DATA, FORWARD, OPTIMISER

MOST = 3  # lines
# Shares of a step from which something is worth a line.
WAITING, PREPARING, UPDATING = 0.2, 0.2, 0.2
DOMINATING, UNMULTIPLIED, REORDERED = 0.4, 0.35, 0.1  # of the passes
GAIN = 1.15  # of twice the batch, or of another precision
HEADROOM = 0.5  # of the memory that is free, which a step may take


class Facts(NamedTuple):
    """What the rules look at."""

    kind: str
    phases: Sequence[Phase]
    layers: Sequence[LayerTime]
    reordered: frozenset[str]  # convolutions whose input lies in memory otherwise
    memory: Memory
    held: bool  # decoded examples are held in memory, or mapped from a file
    workers: int
    threads: int | None  # that compute; None on an accelerator
    processors: int
    batch_size: int
    optimiser: str
    changes: Sequence[str]  # the random ones that are asked for
    gain: float | None  # of a batch of twice the size; None: it was not tried
    free: int  # bytes of the device
    of_peak: float | None
    passes: float  # share of a step
    # How many times as fast products of matrices are in bfloat16; None: it is not to be had.
    halved: float | None

    def share(self, name: str) -> float:
        """Return a phase's share of a step."""
        return sum(phase.share for phase in self.phases if phase.name == name)


def advised(facts: Facts) -> list[Advice]:
    """Return one to three lines, the one about the largest share of a step first."""
    found = [advice for rule in RULES if (advice := rule(facts))]
    found.sort(key=lambda advice: -advice.share)
    return found[:MOST] or [_nothing(facts)]


def _waiting(facts: Facts) -> Advice | None:
    share = facts.share(DATA)
    if share <= WAITING:
        return None
    said = f"{percent(share, 0)} of a step is waiting for {facts.kind}"
    if facts.held:
        ways = "they are held in memory already: a larger --batch-size cuts out fewer batches"
    elif facts.workers < facts.processors:
        ways = f"--cache FOLDER decodes each once, --workers {facts.processors} decodes faster"
    else:
        ways = (
            "--cache FOLDER decodes each once; all "
            f"{counted(facts.processors, 'processors')} decode already"
        )
    return Advice("data", f"{said}: {ways}", share)


def _preparing(facts: Facts) -> Advice | None:
    share = facts.share(AUGMENTATION) + facts.share(COPY)
    if share <= PREPARING:
        return None
    if facts.share(COPY) > facts.share(AUGMENTATION):
        line = (
            f"{percent(facts.share(COPY), 0)} of a step is the copy to the device: a smaller "
            "--size copies less, and pixels that fit into a quarter of its free memory are copied "
            "once"
        )
        return Advice("copy", line, share)
    what = "augmentation and normalisation"
    if facts.kind == "sounds":
        what = "augmentation and spectrograms, which are computed in each step"
    ways = "a smaller --seconds, --mels or --sample-rate saves most"
    if facts.changes:
        ways = f"leave out what helps least of {', '.join(map(flag, facts.changes))}"
    elif facts.kind != "sounds":
        ways = "no random change is asked for, so a smaller --size saves most"
    return Advice("augmentation", f"{percent(share, 0)} of a step is {what}: {ways}", share)


def _updating(facts: Facts) -> Advice | None:
    share = facts.share(OPTIMISER)
    if share <= UPDATING:
        return None
    line = (
        f"{percent(share, 0)} of a step is {facts.optimiser}'s update, which costs the same for "
        f"any batch: a --batch-size above {facts.batch_size} has fewer of them"
    )
    if facts.optimiser != "sgd":
        line += ", and --optimiser sgd computes the least"
    return Advice("optimiser", line, share)


def _batch(facts: Facts) -> Advice | None:
    if facts.gain is None or facts.gain < GAIN:
        return None
    step, twice = facts.memory.step or facts.memory.predicted, 2 * facts.batch_size
    if step is not None and 2 * step > HEADROOM * facts.free:
        return None
    room = "" if step is None else f", and {bytes_as(facts.free)} are free beside {bytes_as(step)}"
    line = (
        f"a batch of {facts.batch_size} does not fill the device: of one of {twice}, "
        f"{facts.gain:.2f} times as many {facts.kind} a second go through the network{room}: try "
        f"--batch-size {twice}"
    )
    return Advice("batch", line, facts.passes * (1 - 1 / facts.gain))


def _threads(facts: Facts) -> Advice | None:
    if facts.threads is None or facts.threads >= facts.processors:
        return None
    line = (
        f"{counted(facts.threads, 'threads')} of {counted(facts.processors, 'processors')} "
        f"{'computes' if facts.threads == 1 else 'compute'}: leave OMP_NUM_THREADS out, or set it "
        f"to {facts.processors}"
    )
    return Advice("threads", line, facts.passes * (1 - facts.threads / facts.processors))


def _precision(facts: Facts) -> Advice | None:
    if facts.halved is None or facts.halved < GAIN:
        return None
    line = (
        f"this CPU multiplies matrices {facts.halved:.1f} times as fast in bfloat16 as in float32: "
        "try --precision fast"
    )
    return Advice("precision", line, facts.passes * (1 - 1 / facts.halved))


def _dominating(facts: Facts) -> Advice | None:
    first = max(facts.layers, key=lambda layer: layer.share, default=None)
    if first is None or first.share <= DOMINATING or len(facts.layers) < 3:
        return None
    reached = ""
    if first.of_peak is not None:
        reached = f", at {percent(first.of_peak, 0)} of the machine's peak"
    smaller = "half its inputs or outputs"
    if first.kind.startswith("Conv"):
        smaller = "half its channels, or maps of half the side there (--size, a stride),"
    line = (
        f"{first.name} ({first.kind}) takes {percent(first.share, 0)} of both passes{reached}: "
        f"{smaller} save most"
    )
    return Advice("layer", line, first.share * facts.passes)


def _unmultiplied(facts: Facts) -> Advice | None:
    plain = [layer for layer in facts.layers if layer.of_peak is None]
    share = sum(layer.share for layer in plain)
    if share <= UNMULTIPLIED or len(plain) == len(facts.layers):
        return None
    first = max(plain, key=lambda layer: layer.share)
    what = f"{first.kind}, " if first.kind else ""  # the loss is no module
    line = (
        f"{percent(share, 0)} of both passes goes to layers that multiply nothing (norms, "
        f"activations, pooling), most to {first.name} ({what}{percent(first.share, 0)}): "
        "they move memory, so smaller maps or a pooling before them save most"
    )
    return Advice("memory-bound", line, share * facts.passes)


def _reordered(facts: Facts) -> Advice | None:
    found = [layer for layer in facts.layers if layer.name in facts.reordered]
    share = sum(layer.share for layer in found)
    if share <= REORDERED:
        return None
    line = (
        f"{counted(len(found), 'convolutions')}, {found[0].name} first, with "
        f"{percent(share, 0)} of both passes, take maps whose channels do not lie last in memory: "
        ".contiguous(memory_format=torch.channels_last) before them spares the conversion"
    )
    return Advice("channels_last", line, share * facts.passes)


def _nothing(facts: Facts) -> Advice:
    reached = "" if facts.of_peak is None else f", at {percent(facts.of_peak, 0)} of the peak"
    both = percent(facts.share(FORWARD) + facts.share(BACKWARD), 0)
    line = (
        f"nothing stands out: {both} of a step is the network's own arithmetic{reached}; a smaller "
        "--size or a smaller network is what makes steps shorter"
    )
    return Advice("nothing", line, facts.passes)


Rule = Callable[[Facts], Advice | None]
RULES: tuple[Rule, ...] = (
    *(_waiting, _preparing, _updating, _batch, _threads, _precision),
    *(_dominating, _unmultiplied, _reordered),
)
