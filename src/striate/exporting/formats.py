"""The formats of exported files: how each is made, opened again, and saved."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from striate import files
from striate.errors import UsageError
from striate.exported import Document
from striate.exported.network import LOGITS, open_session

from . import onnxfile, openvinofile, torchfile
from .quantizing import quantized

Content = dict[str, bytes]  # the files of a format, by their endings
Ask = Callable[[NDArray[Any]], NDArray[np.float32]]  # pixels -> logits (N, K)
Pixels = NDArray[Any]


class Format(NamedTuple):
    """A format: its files, the main one last, and what makes, opens and requires them."""

    suffixes: tuple[str, ...]
    made: Callable[[torch.export.ExportedProgram, Document, Pixels | None], Content]
    opened: Callable[[Content], Ask]
    require: Callable[[], None]  # UsageError where a library is missing

    def path(self, out: Path | None, run: Path, quantize: str | None) -> Path:
        """Return where the file goes; UsageError for a name of another format."""
        suffix = self.suffixes[-1]
        if out is None:
            return run / f"model{f'-{quantize}' if quantize else ''}{suffix}"
        if out.suffix.lower() != suffix:
            raise UsageError(f"--out is a {suffix} file for this format, not {out}")
        return out

    def save(self, path: Path, content: Content) -> None:
        """Write the files durably. An older main one goes first, so that no two are mixed."""
        if len(content) > 1:
            files.remove(path)
        for suffix in self.suffixes:
            files.write(path.with_suffix(suffix), content[suffix])


def _onnx(
    program: torch.export.ExportedProgram, document: Document, taught: Pixels | None
) -> Content:
    content = onnxfile.written(program, document)
    return {".onnx": content if taught is None else quantized(content, document, taught)}


def _ask_onnx(content: Mapping[str, bytes]) -> Ask:
    session = open_session(content[".onnx"], "the exported file")
    name = session.get_inputs()[0].name
    return lambda pixels: session.run([LOGITS], {name: pixels})[0]


def _openvino(
    program: torch.export.ExportedProgram, document: Document, taught: Pixels | None
) -> Content:
    made = _onnx(program, document, taught)
    return openvinofile.converted(made[".onnx"], document)


def _torch(
    program: torch.export.ExportedProgram, document: Document, taught: Pixels | None
) -> Content:
    assert taught is None, "int8 is refused for this format"
    return {".pt2": torchfile.written(program, document)}


FORMATS: dict[str, Format] = {
    "onnx": Format((".onnx",), _onnx, _ask_onnx, onnxfile.require_libraries),
    "torch-export": Format(
        (".pt2",), _torch, lambda content: torchfile.ask(content[".pt2"]), lambda: None
    ),
    "openvino": Format(
        openvinofile.SUFFIXES, _openvino, openvinofile.ask, openvinofile.require_libraries
    ),
}
