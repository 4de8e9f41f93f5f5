"""Neural style: a photograph painted like a painting, as frames or into files."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .budgets.pace import Stage
    from .pictures.canvas import Style, image
    from .queue import Means, paint_again, paint_file, paint_folder, resume
    from .record import StyleFile
    from .tasks import Note, Painted, Started
    from .transfer import Frame, paint

__all__ = [
    "Frame",
    "Means",
    "Note",
    "Painted",
    "Stage",
    "Started",
    "Style",
    "StyleFile",
    "image",
    "paint",
    "paint_again",
    "paint_file",
    "paint_folder",
    "resume",
]

_HOME = {
    "Frame": "transfer",
    "Means": "queue",
    "Note": "tasks",
    "Painted": "tasks",
    "Stage": "budgets.pace",
    "Started": "tasks",
    "Style": "pictures.canvas",
    "StyleFile": "record",
    "image": "pictures.canvas",
    "paint": "transfer",
    "paint_again": "queue",
    "paint_file": "queue",
    "paint_folder": "queue",
    "resume": "queue",
}


def __getattr__(name: str) -> Any:
    # Lazily: the settings alone make the flags, and `striate --help` does not wait for torch.
    if name not in __all__:
        raise AttributeError(f"module 'striate.painting' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
