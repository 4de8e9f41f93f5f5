"""Results of a guarded process as plain bytes, checked as they are read: never a pickle.

A header in JSON, then the contents of arrays, one behind the other. What a process that was taken
over by a hostile file answers is read as numbers and text, or refused.
"""

import json
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# By NumPy's names, in this machine's byte order.
_TYPES = frozenset(
    ("bool", "uint8", "int8", "int16", "uint16", "int32", "int64", "float32", "float64")
)
_LENGTH = 8  # bytes that say how long the header is


class Failed(NamedTuple):
    """What stands for the result of a picture that cannot be used."""

    reason: str


class WireError(ValueError):
    """Bytes that are no answer."""


def is_tensor(value: Any) -> bool:
    """Tell a tensor, without loading torch: where it is not loaded there is none."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def packed(result: Any) -> list[memoryview]:
    """Write a result: None, numbers, texts, bytes, arrays, tensors, Failed, in lists and tuples.

    Raises TypeError for anything else. Named tuples become plain ones.
    """
    parts: list[memoryview] = []
    header = json.dumps(_plain(result, parts)).encode("ascii")
    return [memoryview(len(header).to_bytes(_LENGTH, "little") + header), *parts]


def unpacked(content: memoryview) -> Any:
    """Read what `packed` wrote, into memory of its own; WireError for anything else."""
    length = int.from_bytes(content[:_LENGTH], "little")
    begin = _LENGTH + length
    if len(content) < begin:
        raise WireError("a header that ends too early")
    try:
        plain = json.loads(bytes(content[_LENGTH:begin]))
        parts = _Parts(content[begin:])
        found = _result(plain, parts)
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise WireError(str(error)) from error
    if parts.left():
        raise WireError("bytes that belong to nothing")
    return found


def _plain(result: Any, parts: list[memoryview]) -> Any:
    if result is None or isinstance(result, (bool, int, float, str)):
        return result
    if isinstance(result, Failed):
        return {"failed": result.reason}
    if isinstance(result, (list, tuple)):
        kind = "list" if isinstance(result, list) else "tuple"
        return {kind: [_plain(one, parts) for one in result]}
    if isinstance(result, bytes):
        parts.append(memoryview(result))
        return {"bytes": len(result)}
    if is_tensor(result):
        return {"tensor": _array(result.numpy(), parts)}
    if isinstance(result, (np.ndarray, np.generic)):
        return {"array": _array(np.asarray(result), parts)}
    raise TypeError(f"a guarded process cannot answer with {type(result).__name__}")


def _array(array: NDArray[Any], parts: list[memoryview]) -> list[Any]:
    if array.dtype.name not in _TYPES:
        raise TypeError(f"a guarded process cannot answer with an array of {array.dtype}")
    whole = np.ascontiguousarray(array)
    parts.append(whole.reshape(-1).view(np.uint8).data)
    return [array.dtype.name, list(array.shape)]


class _Parts:
    """The contents of arrays, taken one after the other."""

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._at = 0

    def take(self, size: int) -> bytearray:
        end = self._at + size
        if size < 0 or end > len(self._content):
            raise WireError("an array that ends too early")
        found = bytearray(self._content[self._at : end])
        self._at = end
        return found

    def left(self) -> int:
        return len(self._content) - self._at


def _result(plain: Any, parts: _Parts) -> Any:
    if not isinstance(plain, dict):
        if isinstance(plain, list):
            raise WireError("a list without its kind")
        return plain
    ((kind, content),) = plain.items()
    if kind not in _READERS:
        raise WireError("a result of an unknown kind")
    return _READERS[kind](content, parts)


def _several(content: Any, parts: _Parts) -> list[Any]:
    if not isinstance(content, list):
        raise WireError("no list")
    return [_result(one, parts) for one in content]


def _failed(content: Any, _: _Parts) -> Failed:
    if not isinstance(content, str):
        raise WireError("a reason that is no text")
    return Failed(content)


def _bytes(content: Any, parts: _Parts) -> bytes:
    if type(content) is not int:
        raise WireError("a length that is no number")
    return bytes(parts.take(content))


def _read_array(content: Any, parts: _Parts) -> NDArray[Any]:
    name, shape = content
    if name not in _TYPES or not _is_shape(shape):
        raise WireError("an array of an unknown type or shape")
    kind = np.dtype(name)
    return np.frombuffer(parts.take(kind.itemsize * math.prod(shape)), kind).reshape(shape)


def _read_tensor(content: Any, parts: _Parts) -> Any:
    import torch

    return torch.from_numpy(_read_array(content, parts))


def _is_shape(shape: Any) -> bool:
    sides: Sequence[Any] = shape if isinstance(shape, list) else [-1]
    return len(sides) <= 32 and all(type(side) is int and side >= 0 for side in sides)


_READERS: dict[str, Callable[[Any, _Parts], Any]] = {
    "failed": _failed,
    "list": _several,
    "tuple": lambda content, parts: tuple(_several(content, parts)),
    "bytes": _bytes,
    "array": _read_array,
    "tensor": _read_tensor,
}
