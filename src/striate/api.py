"""What Python users hold: train(), load(), and a Run with its methods."""

import contextlib
import dataclasses
import functools
import json
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from striate import data as sources
from striate import (
    devices,
    evaluation,
    exporting,
    files,
    inspection,
    metrics,
    models,
    prediction,
    profiling,
    ranks,
    usercode,
)
from striate import report as reporting
from striate.data import Columns, Data, Split
from striate.data.preparation.kinds import limited, max_pixels
from striate.data.sources.given import examples
from striate.decoding import Decoders
from striate.description import Description, describe
from striate.description.fitting import largest_batch
from striate.epochs import End
from striate.errors import DataError, UsageError
from striate.evaluation import PLAIN, Evaluation, Views, choose_views
from striate.exporting import Written, card
from striate.inspection import Report
from striate.models import Architecture
from striate.profiling import Profile
from striate.ranking import Prediction
from striate.report import Atlas
from striate.runs import Bundle, Code, folder
from striate.runs.code import carried
from striate.seeing.embedding import Embedded
from striate.seeing.embedding import embed as embed_splits
from striate.seeing.explaining import Explainer, Explanation
from striate.seeing.networks import Source, network
from striate.seeing.placement import check as check_placing
from striate.seeing.placement import place as place_vectors
from striate.stopping import Halt, Poll, unheard
from striate.tracing.building import built as without_numbers
from striate.training import conductor
from striate.training import recipe as recipes
from striate.training import recipes as named
from striate.training.conductor import Happening
from striate.training.group import Member
from striate.training.networks import architecture
from striate.training.plan import KINDS, make_splits
from striate.training.plan import plan as resolve_plan
from striate.training.preview import preview as draw_preview
from striate.training.raterange import Found, Tried, found, trying
from striate.training.session import Event, Note, Session
from striate.training.start import Means, Ready, prepare
from striate.training.start import precision as precision_of
from striate.usercode import Consent
from striate.wording import counted, percent

__all__ = [
    "Run",
    "atlas",
    "embed",
    "find_rate",
    "inspect",
    "load",
    "plan",
    "preview",
    "profile",
    "train",
]

VALIDATION = "validation"
Show = Callable[[Session, Event], None]

# --batch-size auto: of the memory that is free now, as pixels and what else runs need some; so many
# at most; and so many steps an epoch at least.
MEMORY_SHARE, MOST_AT_ONCE, LEAST_STEPS = 0.5, 1024, 50


class Run:
    """A folder with a trained network, how it was made, and how it did."""

    def __init__(self, path: Path | str, *, trust_code: bool = False) -> None:
        """Open a run; DataError if the folder is none.

        Python code that it carries and that this machine has not run before is executed only with
        `trust_code`: read it first with `code()`.
        """
        # Absolute: the caller may go to another folder before anything is read.
        self.folder = folder.require(Path(path).expanduser()).absolute()
        self._trust_code = trust_code

    def __repr__(self) -> str:
        """Show the folder, and the accuracy where it is known."""
        known = f", {self.split} accuracy {percent(self.accuracy)}" if self.result else ""
        return f"Run({str(self.folder)!r}{known})"

    @functools.cached_property
    def bundle(self) -> Bundle:
        """The best network, on the CPU."""
        return folder.load_bundle(self.folder, trust_code=self._trust_code)

    @property
    def model(self) -> nn.Module:
        """The network, in evaluation mode: normalised pictures (N, C, H, W) -> logits (N, K)."""
        return self.bundle.model

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in the order of the logits."""
        return self.bundle.classes

    @property
    def recipe(self) -> dict[str, Any]:
        """Every choice of the training."""
        return folder.read_recipe(self.folder)

    @property
    def history(self) -> list[dict[str, Any]]:
        """One dict an epoch: loss and accuracy in training and validation, rate, seconds."""
        return folder.read_history(self.folder)

    @property
    def result(self) -> dict[str, Any]:
        """What the finished training reached; empty before."""
        return folder.read_result(self.folder)

    @property
    def accuracy(self) -> float:
        """Accuracy on `split`, a share in [0, 1]."""
        if not self.result:
            raise DataError(
                f"{self.folder} is not finished: continue it with "
                f"`striate train --resume {self.folder}`"
            )
        return float(self.result["accuracy"])

    @property
    def split(self) -> str:
        """The split that `accuracy` is of: test where there is one, else validation or train."""
        return str(self.result.get("split", ""))

    def predict(
        self,
        pictures: Any,
        *,
        top: int = 5,
        tta: str = "none",
        min_confidence: float | None = None,
        device: str = "auto",
        workers: int | None = None,
        max_megapixels: float | None = None,
        poll: Poll = unheard,
        tell: Callable[[str], None] = lambda _: None,
    ) -> list[Prediction]:
        """Rank the classes of pictures, a row each: of one, of many, or of what holds them.

        One is a path, the bytes of a file, a PIL picture, an array (H, W[, C]) or a tensor
        (C, H, W); many are a list, an iterator, or a batch (N, H, W, C), of tensors (N, C, H, W).
        A path leads to a file, or to all in a folder, .zip, .tar or table, or that match a pattern.
        A network of sounds takes `striate.sounds.Sound`s, one of clips arrays (T, H, W[, 3]).
        With `tta` (flip or crops) logits are averaged over views of a picture. An answer less
        likely than `min_confidence` is `unsure`. `tell` is given a line for what lies in a folder
        or an archive and is left out.
        """
        return list(
            self.stream(
                pictures,
                top=top,
                tta=tta,
                min_confidence=min_confidence,
                device=device,
                workers=workers,
                max_megapixels=max_megapixels,
                poll=poll,
                tell=tell,
            )
        )

    def stream(
        self,
        pictures: Any,
        *,
        top: int = 5,
        tta: str = "none",
        min_confidence: float | None = None,
        device: str = "auto",
        workers: int | None = None,
        max_megapixels: float | None = None,
        poll: Poll = unheard,
        tell: Callable[[str], None] = lambda _: None,
    ) -> Iterator[Prediction]:
        """Rank as `predict` does, and yield each picture's row as soon as it is known."""
        metrics.check_confidence(min_confidence)
        views, note = self._views(tta)
        for line in note:
            tell(line)
        bundle = _limited(self.bundle, max_megapixels)
        usual = workers is None and max_megapixels is None
        opened = prediction.open_decoders(bundle, workers)  # nothing is forked before it is asked
        with contextlib.nullcontext(self._decoders) if usual else opened as decoders:
            found = examples(pictures, bundle.preprocessing.kind, tell)
            if ranks.count() > 1:
                if not isinstance(found, list):
                    raise UsageError("several processes share a list, and this may have no end")
                found = found[ranks.mine(len(found))]
            rows = prediction.predict(
                bundle,
                found,
                decoders=decoders,
                top=top,
                views=views,
                min_confidence=min_confidence,
                device=devices.pick(device),
                poll=poll,
            )
            yield from ranks.joint(rows)

    @functools.cached_property
    def _decoders(self) -> Decoders:
        """Decoders that stay open: a prediction after the first starts no process."""
        return prediction.open_decoders(self.bundle)

    def close(self) -> None:
        """End the processes that predictions have left open; the next one opens them again."""
        self._decoders.close()

    def explain(
        self,
        pictures: Any,
        *,
        top: int = 5,
        neighbours: int = 3,
        device: str = "auto",
        workers: int | None = None,
        max_megapixels: float | None = None,
        poll: Poll = unheard,
        tell: Callable[[str], None] = lambda _: None,
    ) -> list[Explanation]:
        """Say of pictures, given as to `predict`, what they are, and why.

        Ranked classes, where the network looked for the likeliest, the same by shuffled weights,
        and the training pictures that it sees most alike. What those look like to the network is
        computed once, from the run's own data, and kept in the run. `tell` is given a line for
        what there cannot be.
        """
        bundle = _limited(self.bundle, max_megapixels)
        explainer = Explainer(
            self.folder,
            bundle,
            consent=Consent(self.folder, self._trust_code),
            device=devices.pick(device),
            workers=workers,
            poll=poll,
        )
        for note in explainer.notes:
            tell(note)
        given = examples(pictures, bundle.preprocessing.kind, tell)
        return list(explainer.explain(list(given), top=top, neighbours=neighbours))

    def report(
        self,
        out: Path | str | None = None,
        *,
        others: Iterable["Run | Path | str"] = (),
        device: str = "auto",
        workers: int | None = None,
        with_map: bool = True,
        figures: Path | str | None = None,
        poll: Poll = unheard,
        tell: Callable[[str], None] = lambda _: None,
    ) -> Path:
        """Write what the run learnt as one HTML file, and return its path: else the run's own.

        `others` are runs whose curves are drawn beside its own; those that differ in their seed
        alone are drawn as one, with a band. Without openTSNE there is no map of the pictures. Into
        the folder `figures`, where one is named, goes each figure as PNG and SVG.
        `tell` is given a line for what there cannot be.
        """
        path = self.folder / folder.REPORT if out is None else Path(out).expanduser()
        beside = [one.folder if isinstance(one, Run) else Run(one).folder for one in others]
        notes = reporting.write(
            path,
            self.folder,
            self.bundle,
            others=beside,
            consent=Consent(self.folder, self._trust_code),
            device=devices.pick(device),
            workers=workers,
            with_map=with_map,
            drawn=Path(figures).expanduser() if figures else None,
            poll=poll,
        )
        for note in notes:
            tell(note)
        return path

    def card(self, out: Path | str | None = None, *, license: str | None = None) -> Path:
        """Write a model card in Markdown, and return its path: README.md in the run's bundle.

        Data, splits, figures with their intervals, limits, preprocessing and the recipe, with the
        front matter of the Hugging Face Hub; the bundle is the folder to publish.
        """
        text = card.written(self.folder, self.bundle, license=license)
        path = self.folder / folder.BUNDLE / card.NAME if out is None else Path(out).expanduser()
        files.write(path, text.encode())
        return path

    def export(
        self,
        format: str = "onnx",
        *,
        out: Path | str | None = None,
        quantize: str | None = None,
        max_drop: float = 1.0,
        license: str | None = None,
        data: Any = None,
        workers: int | None = None,
        poll: Poll = unheard,
        tell: Callable[[str], None] = lambda _: None,
    ) -> Written:
        """Write the network as a file that runs elsewhere, preprocessing and all; say how it did.

        `format` is onnx, torch-export or openvino; the file is `model` in the run, unless `out`
        names another. It is asked about up to 256 of the run's own pictures, or of `data`, beside
        the network: DataError, and no file, where they differ. With quantize="int8" convolutions
        and linear layers are in whole numbers; that may cost `max_drop` points of accuracy.
        """
        source = exporting.Source(
            self.folder, self.bundle, Consent(self.folder, self._trust_code), data, workers
        )
        choices = exporting.Choices(format, quantize, max_drop, license)
        path = None if out is None else Path(out).expanduser()
        return exporting.write(source, choices, path, poll=poll, tell=tell)

    def evaluate(
        self,
        data: Any = None,
        *,
        split: str | None = None,
        tta: str = "none",
        min_confidence: float | None = None,
        top: Iterable[int] = (),
        device: str = "auto",
        workers: int | None = None,
        strict: bool = False,
        max_megapixels: float | None = None,
        path_column: str | None = None,
        label_column: str | None = None,
        poll: Poll = unheard,
    ) -> Evaluation:
        """Measure the network on its own test split (validation where it has none), or on `data`.

        Classes of other data are matched by name; an unknown one is a DataError. What was trained
        on of other data is in `trained_on`, with the accuracy of the rest. Of a table, the columns
        of paths and labels may be named. With `tta` (flip or crops) the accuracy by logits averaged
        over views of each picture stands beside the plain one; with `min_confidence` the answers
        that are less sure are counted apart; `top` asks for the right class among so many.
        """
        metrics.check_confidence(min_confidence)
        places = _ranks(top, len(self.classes))
        views, mirrored = self._views(tta)
        columns = columns_of(data, path_column, label_column)
        name, opened, chosen = self._chosen(data, split, columns)
        gathering = inspection.Gathering()
        found = evaluation.stream(
            _limited(self.bundle, max_megapixels),
            chosen,
            name=name,
            device=devices.pick(device),
            views=views,
            workers=workers,
            strict=strict,
            poll=poll,
            look=gathering.add if data is not None else None,
        )
        found = dataclasses.replace(found, min_confidence=min_confidence, top=places)
        if data is not None:
            prints = gathering.done(found.pictures.split)
            seen = inspection.seen(self.folder, opened, prints, poll=poll)
            document = seen.to_json(found.names, found.logits, found.labels, self.classes)
            notes = (opened.layout, *opened.warnings, *mirrored)
            return dataclasses.replace(found, notes=notes, trained_on=document)
        recorded = folder.read_labels(self.folder)
        changed = sources.relabelled(found.pictures.split, self.classes, recorded)
        notes = (*_known(name, found.pictures.split.kind), *mirrored)
        return dataclasses.replace(found, leak=self.leak(name), relabelled=changed, notes=notes)

    def calibrate(
        self,
        *,
        device: str = "auto",
        workers: int | None = None,
        max_megapixels: float | None = None,
        poll: Poll = unheard,
    ) -> float:
        """Fit a temperature to the validation split, save it in the bundle, and return it.

        Probabilities are those of logits divided by it from then on; answers stay as they are. A
        run without a validation split is a UsageError.
        """
        if not folder.read_result(folder.require_whole(self.folder)):
            raise DataError(
                f"{self.folder} is not finished: continue it with "
                f"`striate train --resume {self.folder}`"
            )
        if ranks.count() > 1:
            raise UsageError("a temperature is fitted by one process: leave out torchrun")
        if VALIDATION not in folder.read_splits(self.folder):
            raise UsageError(
                "a temperature is fitted to the validation split, and this run has none: train "
                "with --validation-share 0.1"
            )
        with files.lock(self.folder / folder.LOCK):
            files.remove_stale(self.folder)
            self.__dict__.pop("bundle", None)  # another process may have gone on with the run
            found = self.evaluate(
                split=VALIDATION,
                device=device,
                workers=workers,
                max_megapixels=max_megapixels,
                poll=poll,
            )
            temperature = metrics.fit(found.logits, found.labels)
            folder.write_temperature(self.folder, temperature)
        self.__dict__["bundle"] = self.bundle._replace(temperature=temperature)
        return temperature

    def _views(self, name: str) -> tuple[Views, list[str]]:
        """Choose views, and say where training showed the network no mirrored pictures."""
        kind = self.bundle.preprocessing.kind
        views = choose_views(name, kind)
        untaught = (
            views is not PLAIN
            and folder.is_run(self.folder)
            and not folder.read_recipe(self.folder).get("flip")
        )
        note = f"this network was trained without mirrored {kind}: averaging over them may mislead"
        return views, [note] if untaught else []

    def describe(self, *, batch: int = 1, optimiser: str | None = None) -> Description:
        """Say what the network costs, layer by layer, at the size that it was trained for."""
        return describe(self.folder, batch=batch, optimiser=optimiser, trust_code=self._trust_code)

    def code(self) -> list[Code]:
        """List the Python code that the run carries, of its network and its data; none is run."""
        return carried(self.folder)

    def leak(self, split: str) -> dict[str, Any] | None:
        """Tell how many pictures of a split have a copy in training; None if none has."""
        record = folder.read_json(self.folder, folder.DATA)
        return next((leak for leak in record.get("leaks", []) if leak["split"] == split), None)

    def _chosen(self, data: Any, split: str | None, columns: Columns) -> tuple[str, Data, Split]:
        if data is not None:
            opened = sources.find_among(data, self.classes, columns)
            taken = self.bundle.preprocessing.kind
            if opened.kind != taken:
                raise DataError(f"this network takes {taken}, and the data are {opened.kind}")
            name = split or evaluation.preferred(opened.splits)
            whole = set(opened.splits) == {"train"} and split is None
            chosen = sources.by_name(opened, opened.split(name), self.classes)
            return "all" if whole else name, opened, chosen
        consent = Consent(self.folder, self._trust_code)
        return evaluation.opened(self.folder, split, self.classes, consent)


def load(path: Path | str, *, trust_code: bool = False) -> Run:
    """Open a run folder; `trust_code` lets code be executed that this machine has not run before.

    What that is, `load(path).code()` tells.
    """
    return Run(path, trust_code=trust_code)


def embed(
    data: Any,
    *,
    model: Path | str,
    weights: Path | str | None = None,
    place: bool = False,
    device: str = "auto",
    workers: int | None = None,
    strict: bool = False,
    path_column: str | None = None,
    label_column: str | None = None,
    trust_code: bool = False,
    poll: Poll = unheard,
    tell: Callable[[str], None] = lambda _: None,
) -> Embedded:
    """Turn every picture of DATA into a vector: what a network's classifier is given.

    `model` is a run's folder, torchvision/NAME or timm/NAME, with published weights or those of a
    file. With `place` each gets its place on a map. `tell` is given lines for people.
    """
    if place:
        check_placing()
    source, opened = _asked(
        data, model, weights, trust_code, columns_of(data, path_column, label_column)
    )
    for note in (*source.notes, opened.layout, *opened.warnings):
        tell(note)
    found = embed_splits(
        source.model,
        source.preprocessing,
        opened.splits,
        opened.classes,
        device=devices.pick(device),
        workers=workers,
        strict=strict,
        poll=poll,
    )
    return dataclasses.replace(found, xy=place_vectors(found.vectors)) if place else found


def _asked(
    data: Any, model: Path | str, weights: Path | str | None, trust_code: bool, columns: Columns
) -> tuple[Source, Data]:
    """Open a network and the data that it is asked about, which must be of its kind."""
    source = network(str(model), weights=str(weights) if weights else None, trust_code=trust_code)
    opened = sources.find_any(data, columns)
    taken = source.preprocessing.kind
    if opened.kind != taken:
        raise DataError(f"this network takes {taken}, and the data are {opened.kind}")
    return source, opened


def atlas(
    data: Any,
    *,
    model: Path | str,
    weights: Path | str | None = None,
    out: Path | str = "atlas.html",
    figures: Path | str | None = None,
    device: str = "auto",
    workers: int | None = None,
    strict: bool = False,
    path_column: str | None = None,
    label_column: str | None = None,
    trust_code: bool = False,
    poll: Poll = unheard,
    tell: Callable[[str], None] = lambda _: None,
) -> Atlas:
    """Write the map of DATA as a network sees them: one HTML file, `path` of what is returned.

    `model` is a run's folder, torchvision/NAME or timm/NAME, with published weights or those of a
    file. A folder of pictures alone needs no classes. Into the folder `figures`, where one is
    named, goes the map as PNG and SVG. `tell` is given lines for people.
    """
    check_placing()
    source, opened = _asked(
        data, model, weights, trust_code, columns_of(data, path_column, label_column)
    )
    for note in (*source.notes, opened.layout, *opened.warnings):
        tell(note)
    found = reporting.write_atlas(
        Path(out).expanduser(),
        source,
        opened,
        device=devices.pick(device),
        workers=workers,
        strict=strict,
        drawn=Path(figures).expanduser() if figures else None,
        poll=poll,
    )
    for note in (*found.notes, *found.lines()):
        tell(note)
    return found


def plan(
    data: Any,
    *,
    model: Any = None,
    device: str = "auto",
    path_column: str | None = None,
    label_column: str | None = None,
    **choices: Any,
) -> str:
    """Return the recipe that `train` would follow, as TOML."""
    recipes.check_names(choices, where="striate.plan")
    opened = sources.find(required(data), columns_of(data, path_column, label_column))
    model, choices = named.applied(model, choices, opened.name)
    built = architecture(model, choices, opened)[0]
    choices = sized(opened, built, choices, device, _quiet)
    recipe = resolve_plan(make_splits(opened, choices)["train"], choices, built)
    return folder.recipe_text(recipes.as_table(recipe))


def find_rate(
    data: Any,
    *,
    model: Any = None,
    means: Means | None = None,
    tell: Callable[[str], None] | None = None,
    show: Callable[[Tried], None] | None = None,
    halt: Halt | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    **choices: Any,
) -> Found:
    """Try rising learning rates on what `train` would begin with, and read one from the losses.

    Nothing is trained that is kept. `show` is given each step, `tell` lines for people.
    """
    usercode.refuse_while_loading()
    recipes.check_names(choices, where="striate.find_rate")
    opened = sources.find(data, Columns(path_column, label_column))
    halt, means = halt or Halt(), means or Means()
    with halt.listening(), torch.random.fork_rng(devices=[]):
        model, choices = named.applied(model, choices, opened.name)
        built, initial = architecture(model, choices, opened)
        choices = sized(opened, built, choices, means.device, tell or _quiet)
        prepared = prepare(opened, choices, built, means=means, halt=halt, initial=initial)
        tried = []
        for step in trying(prepared.learner, prepared.pictures["train"]):
            halt.poll()
            tried.append(step)
            (show or _quiet)(step)
    return found(tried)


def profile(
    data: Any,
    *,
    model: Any = None,
    steps: int = 20,
    out: Path | str | None = None,
    means: Means | None = None,
    tell: Callable[[str], None] | None = None,
    halt: Halt | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    **choices: Any,
) -> Profile:
    """Train for a few steps on what `train` would begin with, and say where their time goes.

    No run is written. With `out` the profile is an HTML page as well. `tell` is given lines for
    people.
    """
    usercode.refuse_while_loading()
    recipes.check_names(choices, where="striate.profile")
    profiling.require_steps(steps)
    if choices.get("rate") == "find":
        raise UsageError("a profile takes steps at one rate: leave out --rate find")
    opened = sources.find(data, Columns(path_column, label_column))
    halt, means = halt or Halt(), means or Means()
    with halt.listening(), torch.random.fork_rng(devices=[]):
        model, choices = named.applied(model, choices, opened.name)
        built, initial = architecture(model, choices, opened)
        choices = sized(opened, built, choices, means.device, tell or _quiet)
        began = time.monotonic()
        prepared = prepare(opened, choices, built, means=means, halt=halt, initial=initial)
        workers = devices.processors() if means.workers is None else means.workers
        reading = profiling.Reading(time.monotonic() - began, workers)
        found = profiling.profile(prepared, steps=steps, reading=reading, poll=halt.poll)
    if out is not None:
        reporting.write_profile(Path(out).expanduser(), found)
    return found


def inspect(
    data: Any,
    *,
    workers: int | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    max_megapixels: float = 50.0,
    poll: Poll = unheard,
) -> Report:
    """Look at data before training: counts, sizes, damage, duplicates, leaks, what is odd."""
    opened = sources.find(data, Columns(path_column, label_column))
    most = max_pixels(max_megapixels)
    return inspection.inspect(opened, workers=workers, max_pixels=most, poll=poll)


def preview(
    data: Any,
    *,
    model: Any = None,
    path_column: str | None = None,
    label_column: str | None = None,
    **choices: Any,
) -> bytes:
    """Draw training pictures as the network sees them, plain and augmented: PNG."""
    recipes.check_names(choices, where="striate.preview")
    opened = sources.find(data, Columns(path_column, label_column))
    model, choices = named.applied(model, choices, opened.name)
    return draw_preview(opened, choices, architecture(model, choices, opened)[0])


def train(
    data: Any = None,
    *,
    model: Any = None,
    out: Path | str | None = None,
    overwrite: bool = False,
    resume: Path | str | None = None,
    means: Means | None = None,
    show: Show | None = None,
    tell: Callable[[str], None] | None = None,
    trust_code: bool = False,
    path_column: str | None = None,
    label_column: str | None = None,
    halt: Halt | None = None,
    **choices: Any,
) -> Run:
    """Train a network on `data` and leave a run folder; `choices` are the fields of a Recipe.

    `data` is a name, a folder, `file.py:function`, a torch Dataset or a dict of them by split;
    `model` a name, `file.py:function`, an nn.Module, or a class or function that gives one (with
    functools.partial for its arguments). With `resume` a run continues where it stands. `show` is
    given Begun, and each Step, Epoch and Saved as it happens, `tell` lines for people; `halt` says
    what a signal is answered with, and who watches the reading. Code that is named or handed over
    is remembered as agreed to; a run that is resumed may carry other code, which is executed with
    `trust_code` alone. Of a table, the columns of paths and labels may be named.

    Raises UsageError, DataError, and Stopped after SIGINT or SIGTERM, when the state is saved.
    """
    usercode.refuse_while_loading()
    if resume is not None and (out is not None or overwrite):
        raise UsageError(
            f"--resume continues {resume} in its own folder: leave out --out and --overwrite"
        )
    columns = columns_of(data, path_column, label_column)
    halt, means = halt or Halt(), means or Means()
    with (
        halt.listening(),
        ranks.joined(means.device),
        torch.random.fork_rng(devices=[]),
    ):
        show, tell = (show, tell) if ranks.is_first() else (None, None)
        if resume is not None:
            path = folder.require(Path(resume).expanduser())
            given = {"model": model, **choices}
            opened = None if data is None else sources.find(data, columns)
            consent = Consent(path, trust_code)
            happening = conductor.resume(
                path, opened, given, means=means, halt=halt, consent=consent
            )
            watched(happening, show, tell)
            return Run(path, trust_code=trust_code)
        recipes.check_names(choices, where="striate.train")
        opened = sources.find(required(data), columns)
        model, choices = named.applied(model, choices, opened.name)
        built, initial = architecture(model, choices, opened)
        choices = sized(opened, built, choices, means.device, tell or _quiet)
        path = Path(out).expanduser() if out else ranks.of_first(_new_folder(opened, built))
        restarted = ranks.started().restarts > 0
        if restarted and _goes_on(path, opened, choices, built, means, tell or _quiet):
            consent = Consent(path, trust_code)
            happening = conductor.resume(path, opened, {}, means=means, halt=halt, consent=consent)
        else:
            happening = conductor.train(
                opened,
                choices,
                built,
                run=path,
                means=means,
                halt=halt,
                initial=initial,
                overwrite=overwrite or restarted,
            )
        watched(happening, show, tell)
        return Run(path)


def _goes_on(
    path: Path,
    data: Data,
    choices: Mapping[str, Any],
    built: Architecture,
    means: Means,
    tell: Callable[[str], None],
) -> bool:
    """Tell whether a restarted process finds its own run in a folder, which it then goes on with.

    UsageError for a run of other choices or data. What is no run yet is begun anew.
    """
    if not ranks.of_first(folder.is_run(path)):
        return False
    recipe = resolve_plan(make_splits(data, choices)["train"], choices, built)
    precision = precision_of(recipe, devices.pick(means.device))
    asked = recipes.as_table(dataclasses.replace(recipe, precision=precision))
    begun = folder.read_recipe(path)
    other = [name for name in {**asked, **begun} if asked.get(name) != begun.get(name)]
    place = json.loads(json.dumps(data.origin._asdict()))
    if place != folder.read_origin(path)._asdict():
        other = ["data", *other]
    if other:
        raise UsageError(
            f"{path} is a run of other choices ({', '.join(sorted(other))}), not the one that this "
            "restarted process began: choose another --out"
        )
    restarts = counted(ranks.started().restarts, "restarts")
    tell(f"after {restarts} by torchrun: going on with the run in {path}, begun with these choices")
    return True


def sized(
    data: Data,
    built: Architecture,
    choices: Mapping[str, Any],
    device: str,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Return the choices with a number for a batch size that is `auto`, and tell why that one.

    Where memory has no room for the usual batch, gradients are added up to steps of its size.
    """
    given = dict(choices)
    if given.get("batch_size") != "auto":
        return given
    del given["batch_size"]
    train_split = make_splits(data, given)["train"]
    recipe = resolve_plan(train_split, given, built)
    place = devices.pick(device)
    room = ranks.least(int(MEMORY_SHARE * devices.available_bytes(place)))
    shape = KINDS[data.kind].unfitted(recipe, built).shape
    net = without_numbers(
        lambda: models.build(built, len(data.classes), channels=shape[0], size=shape[1:])
    )
    if recipe.ema:  # a second network, which is never differentiated
        room -= sum(t.nbytes for t in (*net.parameters(), *net.buffers()))
    usual = 1 << (recipe.batch_size - 1).bit_length()
    most = max(usual, min(MOST_AT_ONCE, len(train_split.labels) // LEAST_STEPS))
    batch = largest_batch(net, shape, recipe.optimiser, most=most, room=room)
    given["batch_size"] = batch.size
    if batch.size < recipe.batch_size:
        given.setdefault("accumulate", -(-recipe.batch_size // batch.size))
    steps = given.get("accumulate", 1) * batch.size
    tell(
        f"--batch-size auto: {batch.size} at once, {steps} {data.kind} a step: "
        f"{batch.line(room)}; the rate is not changed by it"
    )
    return given


def _new_folder(data: Data, architecture: Architecture) -> Path:
    return folder.new_folder(Path("runs"), data.name, architecture.name)


def watched(
    happening: Generator[Happening | Member],
    show: Show | None = None,
    tell: Callable[[str], None] | None = None,
) -> None:
    """Carry a training out, or a group of them, and show what happens."""
    session: Session | None = None
    show, tell = show or _quiet, tell or _quiet
    with contextlib.closing(happening):
        for event in happening:
            if isinstance(event, Ready):
                session = event.session
                for note in event.notes:
                    tell(note)
            elif isinstance(event, (End, Member, Note)):
                tell(event.line)
            elif session:
                show(session, event)


def _quiet(*_: Any) -> None:
    """Show nothing."""


def _limited(bundle: Bundle, megapixels: float | None) -> Bundle:
    return bundle._replace(preprocessing=limited(bundle.preprocessing, megapixels))


def _ranks(top: Iterable[int], classes: int) -> tuple[int, ...]:
    places = tuple(dict.fromkeys(top))
    for place in places:
        if not 1 <= place <= classes:
            raise UsageError(
                f"--top is among the likeliest 1 to {classes}, the network's classes, not {place}"
            )
    return places


def _known(split: str, kind: str) -> list[str]:
    """Say what the training had of one of its own splits."""
    return {
        "train": [f"the network was trained on these {kind}: expect less of others"],
        VALIDATION: [f"these {kind} chose the epoch that was kept: expect a little less of others"],
    }.get(split, [])


def columns_of(data: Any, path_column: str | None, label_column: str | None) -> Columns:
    """Return the columns that are named of a table; without data there are none."""
    columns = Columns(path_column, label_column)
    if data is None and columns.given():
        raise UsageError("--path-column and --label-column are of a table: give it as DATA")
    return columns


def required(data: Any) -> Any:
    if data is None:
        raise UsageError("DATA is missing: a name, a folder or file.py:function")
    return data
