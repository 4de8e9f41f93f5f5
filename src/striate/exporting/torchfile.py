"""A network as the bytes of a torch.export archive (.pt2)."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from striate.exported import KEY, Document

from .onnxfile import quiet

_EXTRA = f"{KEY}.json"  # the document's name inside the archive


def written(program: torch.export.ExportedProgram, document: Document) -> bytes:
    """Return a recorded network as an archive, with its document as an extra file."""
    buffer = io.BytesIO()
    with quiet():
        torch.export.save(program, buffer, extra_files={_EXTRA: document.to_text()})
    return buffer.getvalue()


def ask(content: bytes) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Open an archive that this process has made."""
    with quiet():
        model = torch.export.load(io.BytesIO(content)).module()

    def answers(pixels: NDArray[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = model(torch.from_numpy(pixels))[0].numpy()
        return found

    return answers
