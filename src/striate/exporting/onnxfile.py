"""A network as the bytes of an ONNX file."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from striate.errors import DataError, UsageError
from striate.exported import KEY, Document
from striate.exported.network import LOGITS, PROBABILITIES
from striate.version import __version__

from .graph import Whole

_MOST_BYTES = 2**31 - 1  # that the format's container holds
_BATCH = "batch"  # the name of the axis whose size is left open


def traced(whole: Whole, pixels: Tensor) -> torch.export.ExportedProgram:
    """Record what a network computes, for batches of any size; DataError where that depends on it.

    `pixels` are two examples.
    """
    sizes = {"pixels": {0: torch.export.Dim(_BATCH, min=1)}}
    try:
        with quiet(), torch.no_grad():
            return torch.export.export(whole.eval(), (pixels,), dynamic_shapes=sizes)
    except Exception as error:  # whatever a user's own network raises while it is recorded
        raise DataError(f"the network cannot be exported: {_first_line(error)}") from error


def written(program: torch.export.ExportedProgram, document: Document) -> bytes:
    """Return a recorded network as ONNX, with its document in the metadata."""
    require_libraries()
    try:
        with quiet():
            made = torch.onnx.export(
                program,
                input_names=[document.kind],
                output_names=[LOGITS, PROBABILITIES],
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # an operation that ONNX lacks, and much else
        raise DataError(f"the network cannot be exported to ONNX: {_first_line(error)}") from error
    assert made is not None
    return finished(made.model_proto, document)


def finished(model: Any, document: Document) -> bytes:
    """Return a model's bytes: with its document, without the paths of this machine."""
    model.producer_name, model.producer_version = "striate", __version__
    model.ClearField("metadata_props")
    model.metadata_props.add(key=KEY, value=document.to_text())
    graph = model.graph
    for part in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    _name_batch(graph)
    if model.ByteSize() > _MOST_BYTES:
        raise DataError(
            f"the network has {model.ByteSize() / 1e9:.1f} GB, and an ONNX file holds 2: "
            "use --format torch-export"
        )
    found: bytes = model.SerializeToString()
    return found


def require_libraries() -> None:
    """Raise UsageError where a library is missing that writes or runs ONNX."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"ONNX files are written with {error.name}, which is missing: "
            "pip install onnx onnxscript onnxruntime"
        ) from error


def _name_batch(graph: Any) -> None:
    old = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param == old:
                axis.dim_param = _BATCH


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep in what torch and onnxscript say of themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
