"""Export: a network is written as a file once the file has answered as the network does."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from striate import evaluation
from striate.errors import UsageError, choose
from striate.exported import Document
from striate.runs import Bundle, folder
from striate.stopping import Poll, unheard
from striate.version import __version__
from striate.wording import counted

from . import agreement
from .agreement import Agreement, Logits
from .examples import COMPARED, MEASURED, Examples, Source
from .formats import FORMATS as FORMATS
from .formats import Ask
from .graph import Whole, arranged
from .onnxfile import traced

_ASKED = 64  # examples in one question to a file


@dataclass(frozen=True)
class Choices:
    """What is exported, and how."""

    format: str = "onnx"
    quantize: str | None = None
    max_drop: float = 1.0  # points of accuracy that int8 may cost
    license: str | None = None

    def __post_init__(self) -> None:
        choose("format", self.format, FORMATS)
        if self.quantize is not None:
            choose("quantize", self.quantize, ["int8"])
            if self.format == "torch-export":
                raise UsageError("--quantize int8 is for onnx and openvino, not torch-export")
        if not 0 <= self.max_drop <= 100:
            raise UsageError(f"--max-drop is 0 to 100 points of accuracy, not {self.max_drop:g}")


class Written(NamedTuple):
    """An exported file, and how it compares with the network."""

    path: Path
    format: str
    quantize: str | None
    kind: str
    split: str  # whose examples both were asked about
    bytes: int
    agreement: Agreement
    accuracy_before: float  # the network's, on these examples
    accuracy: float  # the file's

    def to_json(self) -> dict[str, Any]:
        """Return the document that `striate export --json` prints."""
        document = {k: v for k, v in self._asdict().items() if k not in ("path", "agreement")}
        return {"file": str(self.path), **document, **self.agreement.to_json()}


def write(
    source: Source,
    choices: Choices,
    out: Path | None = None,
    *,
    poll: Poll = unheard,
    tell: Callable[[str], None] = lambda _: None,
) -> Written:
    """Export a network, compare the file with it on its own pictures, and keep it if they agree.

    DataError where they do not: no file is left then.
    """
    made = FORMATS[choices.format]
    made.require()
    path = made.path(out, source.run, choices.quantize)
    poll()
    examples = source.compared(MEASURED if choices.quantize else COMPARED, poll)
    document = _document(source, choices)
    content = _content(source, examples, choices, document, poll, tell)
    tell(f"comparing the file with the network on {counted(len(examples.labels), document.kind)}")
    own, found = _own(source.bundle, examples), _answers(made.opened(content), examples, poll)
    written = Written(
        path,
        choices.format,
        choices.quantize,
        document.kind,
        examples.split,
        sum(map(len, content.values())),
        agreement.compare(own, found),
        *(float((logits.argmax(1) == examples.labels).mean()) for logits in (own, found)),
    )
    _check(written, choices)
    poll()
    made.save(path, content)
    return written


def _content(
    source: Source,
    examples: Examples,
    choices: Choices,
    document: Document,
    poll: Poll,
    tell: Callable[[str], None],
) -> dict[str, bytes]:
    tell("recording the network")
    bundle = source.bundle
    whole = Whole(bundle.model.to("cpu"), bundle.preprocessing, bundle.temperature)
    program = traced(whole, arranged(examples.two()))
    poll()
    taught = source.taught(poll).arranged() if choices.quantize else None
    if taught is not None:
        tell(f"fitting int8 to {counted(len(taught), f'training {document.kind}')}")
    return FORMATS[choices.format].made(program, document, taught)


def _check(written: Written, choices: Choices) -> None:
    if choices.quantize:
        agreement.require_accuracy(written.accuracy_before, written.accuracy, choices.max_drop)
    else:
        agreement.require(written.agreement, written.kind)


def _document(source: Source, choices: Choices) -> Document:
    bundle = source.bundle
    recipe = folder.read_recipe(source.run) if folder.is_run(source.run) else {}
    published = bundle.architecture.name if recipe.get("pretrained") else None
    return Document(
        kind=bundle.preprocessing.kind,
        classes=bundle.classes,
        preprocessing=bundle.preprocessing.to_json(),
        model=bundle.architecture.name,
        striate=__version__,
        sizing=bundle.preprocessing.describe(),
        quantized=choices.quantize,
        temperature=bundle.temperature,
        license=choices.license,
        pretrained=str(recipe["weights"]) if recipe.get("weights") else published,
    )


def _own(bundle: Bundle, examples: Examples) -> Logits:
    """Compute the network's own logits, by PyTorch on the CPU, divided by its temperature."""
    cpu = torch.device("cpu")
    found = [
        evaluation.answer(bundle.model, bundle.preprocessing, part, device=cpu)
        for part in examples.pixels.split(_ASKED)
    ]
    logits = torch.cat(found) / bundle.temperature
    return logits.numpy()


def _answers(ask: Ask, examples: Examples, poll: Poll) -> Logits:
    """Ask the file about the same examples, in batches of several sizes, one of them 1."""
    pixels, found = examples.arranged(), []
    for part in (pixels[:1], *np.array_split(pixels[1:], len(pixels) // _ASKED + 1)):
        poll()
        if len(part):
            found.append(ask(part))
    return np.concatenate(found)
