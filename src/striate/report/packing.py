"""Numbers and pictures as the page reads them: small types in one block, pictures in sheets."""

import base64
import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SHEET = 2048  # pixels; every WebGL2 device takes textures of this size
MANY = 12_000  # pictures from which on they are kept more coarsely: 20,000 in 6 MB, not in 8
_QUALITY = {False: 80, True: 60}
_SMALL = 40  # pixels: of pictures up to here, grey ones are kept without loss


def packed(arrays: Mapping[str, NDArray[Any]]) -> tuple[dict[str, Any], bytes]:
    """Put arrays one behind the other: a table of type, shape and offset, and the bytes."""
    table: dict[str, Any] = {}
    content = bytearray()
    for name, array in arrays.items():
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        table[name] = [array.dtype.str[1:], list(array.shape), len(content)]
        # Typed arrays must begin at a multiple of their element's size.
        content += little.tobytes() + b"\0" * (-little.nbytes % 4)
    return table, bytes(content)


def names(texts: Iterable[str]) -> NDArray[np.uint8]:
    """Put names one behind the other, with zeros between them: among the arrays they are packed."""
    return np.frombuffer("\0".join(texts).encode(errors="surrogatepass"), np.uint8)


def sheets(pictures: NDArray[np.uint8]) -> dict[str, Any]:
    """Lay pictures (N, S, S) or (N, S, S, 3) out in sheets, as data URLs, and say how."""
    side = pictures.shape[1]
    cell = max(16, 1 << (side - 1).bit_length())
    # Light strokes on a dark ground can be drawn as ink, in any colour and on any ground.
    edge = np.concatenate([pictures[:, 0].ravel(), pictures[:, -1].ravel()])
    return {
        "n": len(pictures),
        "side": side,
        "cell": cell,
        "sheet": SHEET,
        "ink": bool(pictures.ndim == 3 and edge.mean() < 16),
        "sheets": [
            _url(sheet, small=side <= _SMALL, quality=_QUALITY[len(pictures) > MANY])
            for sheet in _laid(pictures, cell)
        ],
    }


def _laid(pictures: NDArray[np.uint8], cell: int) -> list[NDArray[np.uint8]]:
    """Lay pictures out in square sheets; each is continued to its cell's edges."""
    side, across = pictures.shape[1], SHEET // cell
    before = (cell - side) // 2
    margin = (before, cell - side - before)
    rest = [(0, 0)] * (pictures.ndim - 3)
    found = []
    for start in range(0, len(pictures), across * across):
        part = np.pad(
            pictures[start : start + across * across], [(0, 0), margin, margin, *rest], mode="edge"
        )
        rows = -(-len(part) // across)
        part = np.pad(part, [(0, rows * across - len(part)), *[(0, 0)] * (part.ndim - 1)])
        part = part.reshape(rows, across, cell, cell, *part.shape[3:]).swapaxes(1, 2)
        found.append(part.reshape(rows * cell, across * cell, *part.shape[4:]))
    return found


def _url(sheet: NDArray[np.uint8], *, small: bool, quality: int) -> str:
    buffer = io.BytesIO()
    picture = Image.fromarray(sheet)
    kind = "png" if small and sheet.ndim == 2 else "webp"
    if kind == "png":
        picture.save(buffer, "PNG", optimize=True)
    else:
        picture.save(buffer, "WEBP", quality=quality, method=4)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()
