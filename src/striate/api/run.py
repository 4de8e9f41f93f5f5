"""A run as Python users hold it: what is in its folder, and what its network can be asked."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from torch import nn

from striate import data as sources
from striate import (
    devices,
    evaluation,
    exporting,
    files,
    inspection,
    metrics,
    prediction,
    ranks,
)
from striate import report as reporting
from striate.data import Columns, Data, Split
from striate.data.preparation.kinds import limited
from striate.data.sources.given import examples
from striate.decoding import Decoders
from striate.description import Description, describe
from striate.errors import DataError, UsageError
from striate.evaluation import PLAIN, Evaluation, Views, choose_views
from striate.exporting import Written, card
from striate.ranking import Prediction
from striate.runs import Bundle, Code, folder
from striate.runs.code import carried
from striate.seeing.explaining import Explainer, Explanation
from striate.stopping import Poll, unheard
from striate.usercode import Consent
from striate.wording import percent

from .given import columns_of

VALIDATION = "validation"


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
