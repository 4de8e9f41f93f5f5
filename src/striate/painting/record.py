"""What a painting was made from and how, carried by its PNG; and the file to resume from."""

import base64
import binascii
import dataclasses
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from striate import files
from striate.errors import DataError, UsageError
from striate.version import __version__

from .budgets.pace import Stage
from .networks.loading import weights_file
from .settings import Settings, from_table
from .transfer import Begun, Frame

KEY = "striate"
RESUME = ".resume"


class StyleFile(NamedTuple):
    """A style's file, its share among those of its region, and the file of that region's mask."""

    path: Path
    share: float = 1.0
    mask: Path | None = None


@dataclasses.dataclass(frozen=True)
class Work:
    """What is to be painted: files and settings. `embedded` are files' bytes, from a PNG."""

    content: Path
    styles: tuple[StyleFile, ...]
    settings: Settings = dataclasses.field(default_factory=Settings)
    weights: Path | None = None
    embedded: Mapping[str, bytes] = dataclasses.field(default_factory=dict)

    def read(self, path: Path) -> bytes:
        """Read a file's bytes, from the PNG where it has them."""
        return self.embedded.get(str(path)) or files.read(path)

    @property
    def paths(self) -> list[Path]:
        """List the pictures' files: content, styles, masks."""
        masks = [style.mask for style in self.styles if style.mask]
        return list(dict.fromkeys([self.content, *(style.path for style in self.styles), *masks]))

    def check(self) -> None:
        """Raise DataError for a file that is not there, before a network is loaded for it."""
        for path in self.paths:
            if str(path) not in self.embedded and not path.is_file():
                what = "is a folder" if path.is_dir() else "is not there"
                raise DataError(f"{path} {what}: give the path of a picture")


def describe(work: Work, frame: Frame, *, finished: bool, embed: bool = False) -> dict[str, Any]:
    """Write the record of a painting as it is now."""
    document: dict[str, Any] = {
        "version": __version__,
        **_sources(work),
        "stages": [list(stage) for stage in frame.stages],
        "style": frame.style,
        "content_residual": frame.content,
        "seconds": round(frame.seconds, 3),
        "finished": finished,
    }
    if embed:
        document["embedded"] = {
            str(path): base64.b64encode(work.read(path)).decode() for path in work.paths
        }
    return document


def _sources(work: Work) -> dict[str, Any]:
    """Return what decides how a painting will look."""
    brought = work.weights or weights_file(work.settings.model)
    used = [*work.paths, *([brought] if brought else [])]
    return {
        "content": str(work.content),
        "styles": [
            {"file": str(s.path), "share": s.share, "mask": str(s.mask) if s.mask else None}
            for s in work.styles
        ],
        "weights": str(work.weights) if work.weights else None,
        "settings": dataclasses.asdict(work.settings),
        "sha256": {str(path): files.sha256(work.read(path)) for path in used},
    }


def to_png(image: Image.Image, document: Mapping[str, Any]) -> bytes:
    """Write a picture as PNG with its record inside."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt(KEY, json.dumps(document, ensure_ascii=False))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def read_png(path: Path) -> dict[str, Any]:
    """Read the record in a painting's PNG."""
    content = files.read(path)
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            text = image.info.get(KEY)
            image.load()
            text = text or image.info.get(KEY)
        document = json.loads(text or "")
        _check(document)
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} has no record of a painting by striate paint") from error
    return dict(document)


def work_of(document: Mapping[str, Any], beside: Path) -> Work:
    """Read the work from a record; files are sought as named, then beside the record.

    DataError where one is gone or is another than it was.
    """
    embedded = _embedded(document)
    found = {name: _sought(name, beside, embedded) for name in document["sha256"]}
    work = Work(
        found[document["content"]],
        tuple(
            StyleFile(found[s["file"]], s["share"], found[s["mask"]] if s["mask"] else None)
            for s in document["styles"]
        ),
        from_table(document["settings"]),
        found[document["weights"]] if document["weights"] else None,
        embedded,
    )
    for name, known in document["sha256"].items():
        if files.sha256(work.read(found[name])) != known:
            raise DataError(f"{found[name]} is another file than the one painted from: its SHA-256")
    return work


def stages_of(document: Mapping[str, Any]) -> tuple[Stage, ...]:
    """Read the stages from a record."""
    return tuple(Stage(int(side), int(steps)) for side, steps in document["stages"])


def resume_path(out: Path) -> Path:
    """Return the file beside a painting from which it is continued."""
    return out.with_name(out.name + RESUME)


def write_resume(out: Path, frame: Frame, document: Mapping[str, Any]) -> Path:
    """Write beside a painting what is needed to continue it."""
    path = resume_path(out)
    content = safetensors.torch.save(
        {"raw": frame.raw.cpu().contiguous()}, {KEY: json.dumps(document, ensure_ascii=False)}
    )
    files.write(path, content)
    return path


def read_resume(out: Path) -> tuple[dict[str, Any], Begun]:
    """Read what `write_resume` wrote beside a painting."""
    path = resume_path(out)
    if not path.is_file():
        raise UsageError(f"nothing to resume: there is no {path}")
    try:
        with safetensors.safe_open(path, "pt") as opened:
            document = json.loads((opened.metadata() or {})[KEY])
            raw: Tensor = opened.get_tensor("raw")
        _check(document)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    return document, Begun(stages_of(document), raw)


def is_done(work: Work, out: Path) -> bool:
    """Tell whether a file is the finished painting of a work."""
    try:
        document = read_png(out)
    except DataError:
        return False
    return bool(document["finished"]) and _same(document, work)


def begun(work: Work, out: Path) -> Begun | None:
    """Read what resumes a work, where it was begun before."""
    if not resume_path(out).is_file():
        return None
    document, found = read_resume(out)
    return found if _same(document, work) else None


def _same(document: Mapping[str, Any], work: Work) -> bool:
    """Tell whether a record is of these files with these settings."""
    own = _sources(work)
    return all(document.get(key) == own[key] for key in own)


def _check(document: Any) -> None:
    """Raise KeyError or TypeError where a record lacks what is read from it."""
    for key in ("content", "weights", "settings", "sha256", "stages", "finished"):
        document[key]
    for style in document["styles"]:
        style["file"], style["share"], style["mask"]
    stages_of(document)


def _embedded(document: Mapping[str, Any]) -> dict[str, bytes]:
    try:
        return {
            name: base64.b64decode(text, validate=True)
            for name, text in document.get("embedded", {}).items()
        }
    except (binascii.Error, ValueError) as error:
        raise DataError("the pictures in the record are damaged") from error


def _sought(name: str, beside: Path, embedded: Mapping[str, bytes]) -> Path:
    path = Path(name)
    if name in embedded or path.is_file():
        return path
    if (beside / path.name).is_file():
        return beside / path.name
    raise DataError(f"{name} is needed and not there: put it back, or beside the painting")
