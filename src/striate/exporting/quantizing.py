"""An ONNX file in int8: weights and maps as whole numbers, their ranges taken from examples."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.exported import Document

from .onnxfile import finished, quiet

_CALIBRATED_AT_ONCE = 16


def quantized(content: bytes, document: Document, pixels: NDArray[Any]) -> bytes:
    """Return an ONNX file's convolutions and linear layers in int8, fitted to pixels."""
    import onnx
    from onnxruntime import quantization as tools

    with tempfile.TemporaryDirectory() as place, quiet():
        plain, prepared, small = (Path(place) / name for name in ("a.onnx", "b.onnx", "c.onnx"))
        plain.write_bytes(content)
        tools.shape_inference.quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        tools.quantize_static(
            prepared,
            small,
            _Reader(document.kind, pixels),
            quant_format=tools.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "MatMul", "Gemm"],
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # else sums of two products pass 16 bits on processors without VNNI
            extra_options={"CalibTensorRangeSymmetric": False},
        )
        return finished(onnx.load(small), document)


class _Reader:
    """Examples for the calibration, read in batches."""

    def __init__(self, name: str, pixels: NDArray[Any]) -> None:
        parts = np.array_split(pixels, max(1, len(pixels) // _CALIBRATED_AT_ONCE))
        self._parts: Iterator[dict[str, Any]] = iter([{name: part} for part in parts])

    def get_next(self) -> dict[str, Any] | None:
        """Return the next examples, None after the last."""
        return next(self._parts, None)
