"""One HTML file from a document and its arrays: no request, strict policy, script and style inside.

The script is written in parts, a section of the page each, and joined here in their order.
"""

import base64
import hashlib
import html
import json
import zlib
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

from numpy.typing import NDArray

from .packing import names, packed


class Layout(NamedTuple):
    """What a page is made of."""

    parts: tuple[str, ...]  # of the script, in order: each may use what stands in those before it
    sections: Mapping[str, str]  # identifier -> name


REPORT = Layout(
    (
        *("elements", "data", "answers", "pictures", "charts", "summary", "curves", "filters"),
        *(
            "featuremaps",
            "blocks",
            "mistakes",
            "calibration",
            "atlas",
            "panel",
            "links",
            "navigation",
        ),
    ),
    {
        "summary": "Summary",
        "curves": "Curves",
        "filters": "Filters",
        "maps": "Feature maps",
        "mistakes": "Mistakes",
        "calibration": "Calibration",
        "atlas": "Atlas",
    },
)

ATLAS = Layout(REPORT.parts, {"atlas": "Atlas", "summary": "About"})

COMPARISON = Layout(
    (
        *("elements", "data", "pictures", "charts", "curves", "filters"),
        *("comparison", "navigation"),
    ),
    {
        "standings": "Results",
        "curves": "Curves",
        "choices": "Recipes",
        "answers": "Answers",
        "filters": "Filters",
    },
)

PROFILE = Layout(
    ("elements", "data", "profile", "navigation"),
    {"advice": "What to change", "step": "A step", "layers": "Layers", "machine": "Machine"},
)


def page(
    document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], layout: Layout = REPORT
) -> str:
    """Return the whole page of a document and the arrays beside it."""
    shown = dict(document)
    files = shown.pop("files", [])
    table, content = packed({**arrays, "files": names(files)})
    style = _asset("report.css")
    script = (
        '"use strict";\n(async () => {\n'
        + _shortened("".join(map(_part, layout.parts)))
        + "\n})();"
    )
    policy = (
        f"default-src 'none'; img-src data: blob:; script-src {_hash(script)}; "
        f"style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    )
    text = json.dumps(
        {**shown, "arrays": table}, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    parts = {
        "POLICY": policy,
        "TITLE": html.escape(str(document["title"])),
        "SECTIONS": "\n".join(
            f'<section id="{key}" data-name="{name}"></section>'
            for key, name in layout.sections.items()
        ),
        "STYLE": style,
        "SCRIPT": script,
        # "<" never stands bare in the JSON, so no text of a user can close the element.
        "DATA": text.replace("<", "\\u003c"),
        "ARRAYS": base64.b64encode(zlib.compress(content, 9)).decode(),
    }
    first, *pieces = _asset("template.html").split("{{")
    named = (piece.split("}}", 1) for piece in pieces)
    return first + "".join(parts[name] + rest for name, rest in named)


def _part(name: str) -> str:
    return _asset(f"{name}.js")


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("assets", name).read_text("utf-8")


def _shortened(script: str) -> str:
    """Drop indentation, empty lines and comments: a seventh less."""
    lines = (line.strip().split(" // ")[0] for line in script.splitlines())
    comments = ("//", "/**", "* ", "*/")
    return "\n".join(line for line in lines if line and not line.startswith(comments))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
