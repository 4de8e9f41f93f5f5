"""From DATA and choices to a training that is ready for its first step, or for its next."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from striate import data as sources
from striate import devices, models, ranks
from striate.data import Data, Split, pixelfile, sampling
from striate.data.augmenting.mixing import Mixture, mix_of
from striate.data.batches import Pictures, Unreadable, part_of, read, usual_memory
from striate.data.preparation.kinds import Preparation
from striate.data.splits import is_stored
from striate.errors import DataError, UsageError
from striate.inspection import (
    Fingerprints,
    Gathering,
    Leak,
    fingerprint_table,
    fingerprints,
    from_table,
    leaks,
)
from striate.models import Architecture
from striate.quantities import size_in_bytes
from striate.runs import bundle, checkpoints, folder
from striate.runs.weights import load_weights
from striate.stopping import Halt
from striate.usercode import NO_CONSENT, Consent
from striate.wording import counted

from . import growing, optim, stages, together, trial
from .averaging import average_of
from .loop import WEIGHTS, Progress
from .losses import loss_of
from .muon import matrices
from .plan import KINDS, make_splits, plan
from .recipe import PROLONGABLE, Recipe, as_table
from .session import Session, progress_of, restore, save
from .step import Learner, lacks_bfloat16

OBSERVED = 2000  # pictures that a network looks at before its first step


class Means(NamedTuple):
    """How a training is carried out; nothing here changes what it computes."""

    device: str = "auto"
    workers: int | None = None  # threads that decode; None: one a processor
    strict: bool = False  # an unreadable picture is fatal
    save_every: float = 300.0  # seconds between two checkpoints within an epoch
    cache: Path | None = None  # folder for pixels that do not fit into memory
    # Bytes for the pixels of all splits, or a text such as 2G; None: a quarter of the machine's.
    memory: int | str | None = None


class Ready(NamedTuple):
    """A session, and what its start has to say."""

    session: Session
    notes: list[str]  # lines for people


class Prepared(NamedTuple):
    """A learner, and what it learns from; nothing of it is in a folder."""

    data: Data
    architecture: Architecture
    learner: Learner
    preparation: Preparation
    pictures: dict[str, Pictures]  # of each split, on the learner's device where they fit
    unreadable: list[Unreadable]
    fingerprints: Mapping[str, Fingerprints]
    leaking: list[Leak]
    loaded: list[str]  # lines about weights that were loaded


def prepare(
    data: Data,
    given: Mapping[str, Any],
    architecture: Architecture,
    *,
    means: Means,
    halt: Halt,
    initial: nn.Module | None = None,
) -> Prepared:
    """Resolve every choice, read the pictures, and build the network.

    With `initial`, the network starts from that one's weights.
    """
    splits = make_splits(data, given)
    recipe = plan(splits["train"], given, architecture)
    shares = {"validation_share": recipe.validation_share, "test_share": recipe.test_share}
    if recipe.folds and recipe.fold:
        said = [sources.held_out_note(splits, fold=recipe.fold, folds=recipe.folds)]
    else:
        said = sources.taken(data, splits, **shares)
    data = dataclasses.replace(data, warnings=(*data.warnings, *said))
    device = devices.pick(means.device)
    recipe = dataclasses.replace(recipe, precision=precision(recipe, device))
    kind = KINDS[data.kind]
    unfitted = kind.unfitted(recipe, architecture)
    # Built before the pictures are read, so that what it refuses is said at once.
    model, loaded = _network(recipe, architecture, unfitted, data.classes)
    _require_weights(recipe, initial)
    gathering = {name: Gathering() for name in splits}
    pictures, unreadable = _read(splits, unfitted, means, halt, gathering)
    prints = {name: gathering[name].done(part.split) for name, part in pictures.items()}
    sources.require_taught(data, pictures["train"].split, dict(unreadable))
    leaking = leaks(prints, poll=halt.poll)
    preprocessing = kind.fitted(unfitted, recipe, pictures["train"], architecture)
    if initial is not None:
        model.load_state_dict(initial.state_dict())
    elif isinstance(model, models.Observer) and not recipe.weights:
        model.observe(_some_values(pictures["train"], preprocessing))
    taught = _Taught(pictures["train"].labels, len(data.classes))
    learner = _assemble(recipe, model, preprocessing, taught, device)
    return Prepared(
        data,
        architecture,
        learner,
        preprocessing,
        _on(device, pictures),
        unreadable,
        prints,
        leaking,
        loaded,
    )


def begin(prepared: Prepared, run: Path, *, save_every: float) -> Ready:
    """Write the start of a run, and its first checkpoint, from what was prepared."""
    data, architecture, learner, preparation, pictures, unreadable, prints, leaking, loaded = (
        prepared
    )
    session = Session(
        run,
        architecture,
        data.classes,
        learner,
        preparation,
        pictures,
        Progress(),
        save_every,
    )
    recipe = as_table(learner.recipe)
    record = _record(data, architecture, pictures, unreadable, leaking)
    together.check(learner.recipe, len(pictures["train"]))
    ranks.require_same(recipe, "the choices")
    ranks.require_same((record["classes"], record["fingerprints"]), f"the {data.kind}")
    if ranks.is_first():
        folder.write_start(
            run,
            recipe=recipe,
            data=record,
            splits={name: _listing(part.split, data.classes) for name, part in pictures.items()},
            fingerprints=fingerprint_table(prints),
        )
    save(session)
    notes = [*_notes(data, pictures, unreadable), *(leak.line() for leak in leaking), *loaded]
    return Ready(session, notes)


def resume(
    run: Path,
    *,
    epochs: int | None,
    data: Any,
    means: Means,
    halt: Halt,
    consent: Consent = NO_CONSENT,
) -> Ready:
    """Continue a run where its newest good checkpoint stands; code that it brings needs consent."""
    recipe = _prolonged(Recipe(**folder.read_recipe(run)), epochs)
    record = folder.read_json(run, folder.DATA)
    if data is None:
        opened = sources.reopen(folder.read_origin(run), consent)
    else:
        opened = sources.find(data)
    checkpoint, damage = checkpoints.latest(run)
    restored = bundle.restore(
        checkpoint.document, checkpoint.blobs, where=checkpoint.path, consent=consent
    )
    splits = sources.assigned(opened, folder.read_splits(run), restored.classes)
    pictures, unreadable = _read(splits, restored.preprocessing, means, halt, {})
    if unreadable:
        raise DataError(
            f"{unreadable[0].file} was readable when this run began: {unreadable[0].reason}"
        )
    recorded = folder.read_labels(run)
    for name, part in pictures.items():
        if changed := sources.relabelled(part.split, restored.classes, recorded):
            raise DataError(f"the {name} pictures: {sources.relabelled_line(changed)}")
        if not _is_same(run, name, part, record):
            raise DataError(
                f"the {name} pictures of {opened.name} have changed since this run "
                "began: put the old ones back, or train anew"
            )
    progress = progress_of(checkpoint)
    learner = _assemble(
        recipe,
        restored.model,
        restored.preprocessing,
        _Taught(pictures["train"].labels, len(restored.classes)),
        devices.pick(means.device),
        epochs=progress.epochs,
    )
    restore(checkpoint, learner)
    ranks.require_same(progress.step, "the steps done")
    moved: list[str] = []
    if ranks.is_first():
        moved = _moved(run, record, opened)
        folder.write_recipe(run, as_table(recipe))
        folder.write_history(run, progress.history)
    session = Session(
        run,
        restored.architecture,
        restored.classes,
        learner,
        restored.preprocessing,
        _on(learner.device, pictures),
        progress,
        means.save_every,
    )
    going_on = f"continuing after step {progress.step}"
    notes = [*damage, *moved, *_thread_note(run), *_precision_note(learner)]
    return Ready(session, [*notes, going_on])


def fingerprint(pictures: Pictures) -> str:
    """Return a SHA-256 of pixels and labels; of names and labels where pixels are not held."""
    return _of_names(pictures) if pictures.pixels is None else _of_pixels(pictures)


def _is_same(run: Path, name: str, pictures: Pictures, record: Mapping[str, Any]) -> bool:
    """Tell whether pictures are those of a run, wherever their pixels were held or are now.

    Names and labels are known to be the same. Where pixels are not held and no file has changed,
    none is decoded; else the pixels of each are compared, if need be decoded once.
    """
    state = record.get("states", {}).get(name)
    if state is not None and state == _state(pictures):
        return True
    recorded = record["fingerprints"][name]
    if recorded != _of_names(pictures):
        return bool(recorded == _of_pixels(pictures))
    table, names = folder.read_fingerprints(run), folder.read_splits(run)
    if table is None:  # a run of an earlier version: more is not known
        return True
    return from_table(table, names)[name].digests == fingerprints(pictures).digests


def _state(pictures: Pictures) -> str | None:
    """Return what differs once one of the files has changed; None where pixels are held."""
    split = pictures.split
    if pictures.pixels is not None or not is_stored(split.pictures):
        return None
    return pixelfile.place(Path(), split, pictures.preprocessing).stem


def _of_names(pictures: Pictures) -> str:
    digest = hashlib.sha256(pictures.labels.numpy().tobytes())
    for number, name in enumerate(pictures.split.names):
        digest.update(f"\n{name}".encode() if number else name.encode())
    return digest.hexdigest()


def _of_pixels(pictures: Pictures) -> str:
    digest = hashlib.sha256(pictures.labels.numpy().tobytes())
    for batch in pictures.all(64):
        digest.update(batch.pixels.cpu().numpy().tobytes())
    return digest.hexdigest()


def _read(
    splits: Mapping[str, Split],
    preprocessing: Preparation,
    means: Means,
    halt: Halt,
    looking: Mapping[str, Gathering],
) -> tuple[dict[str, Pictures], list[Unreadable]]:
    pictures: dict[str, Pictures] = {}
    unreadable: list[Unreadable] = []
    wanted = usual_memory() if means.memory is None else size_in_bytes(str(means.memory))
    room = ranks.least(wanted)  # all processes keep the same in memory
    for name, split in splits.items():
        pictures[name], missing = read(
            split,
            preprocessing,
            workers=means.workers,
            strict=means.strict,
            poll=part_of(splits, name, halt.poll),
            held_bytes=room,
            cache=means.cache,
            look=looking[name].add if name in looking else None,
            known=name not in looking,
        )
        unreadable += missing
        room -= pictures[name].held_bytes
    return pictures, unreadable


def _some_values(pictures: Pictures, preprocessing: Preparation) -> Tensor:
    """Return examples from all over a split, as the network sees them: (N, C, H, W)."""
    rows = torch.linspace(0, len(pictures) - 1, min(OBSERVED, len(pictures))).long()
    return preprocessing.values(next(pictures.batches(rows, len(rows))).pixels)


def _on(device: torch.device, pictures: Mapping[str, Pictures]) -> dict[str, Pictures]:
    return {name: part.on(device) for name, part in pictures.items()}


def _network(
    recipe: Recipe, architecture: Architecture, unfitted: Preparation, classes: tuple[str, ...]
) -> tuple[nn.Module, list[str]]:
    torch.manual_seed(devices.seed_of(recipe.seed, WEIGHTS))
    model = models.build(
        architecture,
        len(classes),
        channels=unfitted.shape[0],
        size=unfitted.shape[1:],
        pretrained=recipe.pretrained,
    )
    trial.check_answer(model, unfitted, len(classes))
    for side in growing.sides(recipe)[:-1]:
        trial.check_answer(model, unfitted, len(classes), side=side)
    stages.find_head(model, unfitted, recipe)  # refused before the pictures are read
    if recipe.batch_size == 1:
        trial.require_steps_of_one(model, unfitted)
    return model, load_weights(model, recipe.weights) if recipe.weights else []


def _require_weights(recipe: Recipe, initial: nn.Module | None) -> None:
    """Raise UsageError where layers that nobody has taught would stay as they are."""
    if initial is None and not (recipe.weights or recipe.pretrained) and stages.freezes(recipe):
        flag = "--freeze" if recipe.freeze else f"--unfreeze-at {recipe.unfreeze_at}"
        raise UsageError(
            f"{flag} teaches the head of a network that has learnt already: give --pretrained or "
            "--weights FILE, or leave it out"
        )


class _Taught(NamedTuple):
    """What of the training examples a learner is made for."""

    labels: Tensor  # (N,)
    classes: int


def _assemble(
    recipe: Recipe,
    model: nn.Module,
    preprocessing: Preparation,
    taught: _Taught,
    device: torch.device,
    *,
    epochs: int = 0,
) -> Learner:
    """Put a learner together for the stage that comes after so many epochs."""
    head = stages.find_head(model, preprocessing, recipe)
    turned = _turned(model, recipe, preprocessing)
    model = devices.place(model, device)
    learner = Learner(
        model,
        optim.optimiser(model, recipe, turned=turned),
        preprocessing,
        KINDS[preprocessing.kind].augment(recipe),
        recipe,
        device,
        head=head,
        turned=turned,
        mix=mix_of(Mixture(recipe.mixup, recipe.cutmix), taught.classes, device),
        order=sampling.balanced if recipe.sampling == "balanced" else sampling.natural,
        loss=loss_of(recipe, taught.labels, taught.classes, device),
        average=average_of(model, recipe.ema),
    )
    return stages.entered(learner, stages.stage_at(recipe, epochs))


def _turned(model: nn.Module, recipe: Recipe, preparation: Preparation) -> list[Tensor]:
    if recipe.optimiser != "muon":
        return []
    return matrices(model, preparation.shape, ends=recipe.muon_ends)


def precision(recipe: Recipe, device: torch.device) -> str:
    """Return in which precision a recipe is carried out on a device."""
    multiplied = devices.multiplies_bfloat16(device)
    if recipe.precision == "bfloat16" and device.type == "cpu" and not multiplied:
        raise UsageError(
            "--precision bfloat16: this CPU has no instructions for bfloat16 (AVX-512 BF16, AMX), "
            "so it would be many times slower than float32: use fast, which then means float32, or "
            "leave it out"
        )
    if recipe.precision in ("float32", "bfloat16"):
        return recipe.precision
    fast = multiplied and (recipe.precision == "fast" or device.type == "cuda")
    return "bfloat16" if fast else "float32"


def _prolonged(recipe: Recipe, epochs: int | None) -> Recipe:
    if epochs is None or epochs == recipe.epochs:
        return recipe
    if recipe.schedule not in PROLONGABLE or epochs < recipe.epochs:
        raise UsageError(
            f"--epochs {epochs}: only a longer run with a {' or '.join(PROLONGABLE)} schedule goes "
            f"on as if it had been asked for; this one has {recipe.schedule} over {recipe.epochs}"
        )
    if recipe.progressive < 1:
        raise UsageError(
            f"--epochs {epochs}: the sizes of this run's pictures are spread over "
            f"{counted(recipe.epochs, 'epochs')} (--progressive {recipe.progressive:g}), so a "
            "longer one would not go on as if it had been asked for"
        )
    return dataclasses.replace(recipe, epochs=epochs)


def _record(
    data: Data,
    architecture: Architecture,
    pictures: Mapping[str, Pictures],
    unreadable: list[Unreadable],
    leaking: list[Leak],
) -> dict[str, Any]:
    counts = {
        name: torch.bincount(part.labels, minlength=len(data.classes)).tolist()
        for name, part in pictures.items()
    }
    return {
        "origin": data.origin._asdict(),
        "layout": data.layout,
        "kind": data.kind,
        "classes": list(data.classes),
        "splits": {name: sum(count) for name, count in counts.items()},
        "counts": counts,
        "fingerprints": {name: fingerprint(part) for name, part in pictures.items()},
        "states": {name: state for name, part in pictures.items() if (state := _state(part))},
        "unreadable": [entry._asdict() for entry in unreadable],
        "warnings": list(data.warnings),
        "left_out": dict(data.left_out),
        "leaks": [leak.to_json() for leak in leaking],
        "model": architecture.name,
    }


def _listing(split: Split, classes: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(name, classes[label]) for name, label in zip(split.names, split.labels, strict=True)]


def _notes(data: Data, pictures: Mapping[str, Pictures], unreadable: list[Unreadable]) -> list[str]:
    sizes = ", ".join(f"{name} {len(part):,}" for name, part in pictures.items())
    counts = torch.bincount(pictures["train"].labels, minlength=len(data.classes))
    least, most = int(counts.min()), int(counts.max())
    each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    notes = [data.layout, f"{sizes} {data.kind}; {each} to train on of each class", *data.warnings]
    if any(part.pixels is None for part in pictures.values()):
        notes.append(
            f"the {data.kind} do not fit into the memory for pixels (--memory): they are decoded "
            "anew in each epoch, which --cache FOLDER avoids"
        )
    if unreadable:
        first, left_out = unreadable[0], counted(len(unreadable), f"unreadable {data.kind}")
        notes.append(
            f"{left_out} left out (listed in data.json), the first: {first.file}: {first.reason}"
        )
    return notes


def _moved(run: Path, record: Mapping[str, Any], opened: Data) -> list[str]:
    """Note in the run where its pictures are now; an object of Python is at no place."""
    place = json.loads(json.dumps(opened.origin._asdict()))
    if place["kind"] == "object" or place == record["origin"]:
        return []
    folder.write_data(run, {**record, "origin": place, "layout": opened.layout})
    return [f"the {opened.kind} are in {opened.origin.text} now: noted in the run"]


def _thread_note(run: Path) -> list[str]:
    before = folder.read_json(run, folder.ENVIRONMENT).get("threads")
    now = torch.get_num_threads()
    if before == now:
        return []
    return [
        f"threads of this run: {before} when it began, {now} now: "
        f"the weights will differ in their last bits (OMP_NUM_THREADS={before} avoids it)"
    ]


def _precision_note(learner: Learner) -> list[str]:
    if not lacks_bfloat16(learner.recipe, learner.device):
        return []
    return [
        "this run began in bfloat16, for which this CPU has no instructions: float32 from here on"
    ]
