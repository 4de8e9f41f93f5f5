"""A network as the two files of OpenVINO: .xml, the graph, and .bin, the weights."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.exported import KEY, Document
from striate.exported.network import LOGITS

from . import onnxfile

SUFFIXES = (".bin", ".xml")


def converted(onnx: bytes, document: Document) -> dict[str, bytes]:
    """Convert an ONNX file's bytes; the document is in the model's rt_info."""
    import openvino

    with tempfile.TemporaryDirectory() as place:
        given, made = Path(place) / "a.onnx", Path(place) / "b.xml"
        given.write_bytes(onnx)
        model = openvino.Core().read_model(given)
        model.set_rt_info(document.to_text(), [KEY])
        openvino.serialize(model, made)
        return {suffix: made.with_suffix(suffix).read_bytes() for suffix in SUFFIXES}


def ask(
    content: Mapping[str, bytes], *, threads: int | None = None
) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Open the two files' bytes, computed in float32 on the CPU."""
    import openvino

    how: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        how["INFERENCE_NUM_THREADS"] = threads

    core = openvino.Core()
    with tempfile.TemporaryDirectory() as place:
        for suffix, part in content.items():
            (Path(place) / f"a{suffix}").write_bytes(part)
        model = core.read_model(Path(place) / "a.xml")
        compiled = core.compile_model(model, "CPU", how)
    return lambda pixels: compiled(pixels)[LOGITS]


def require_libraries() -> None:
    """Raise UsageError where a library is missing that the conversion needs."""
    onnxfile.require_libraries()
    try:
        import openvino  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "--format openvino is written by OpenVINO, which is missing: pip install openvino"
        ) from error
