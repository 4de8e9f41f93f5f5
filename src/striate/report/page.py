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
from typing import Any

from numpy.typing import NDArray

from .packing import packed

# In this order: each part may use what stands in those before it.
PARTS = (
    *("elements", "data", "pictures", "charts", "summary", "curves", "filters", "featuremaps"),
    *("mistakes", "calibration", "atlas", "panel", "links"),
)


def page(document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the whole page; `document` is what `document.document` makes, its arrays beside it."""
    table, content = packed(arrays)
    style = _asset("report.css")
    script = '"use strict";\n(async () => {\n' + _shortened("".join(map(_part, PARTS))) + "\n})();"
    policy = (
        f"default-src 'none'; img-src data: blob:; script-src {_hash(script)}; "
        f"style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    )
    text = json.dumps(
        {**document, "arrays": table}, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    parts = {
        "POLICY": policy,
        "TITLE": html.escape(str(document["title"])),
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
