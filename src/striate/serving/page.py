"""The web page's files, read once; and an OpenAPI document as a page of plain HTML."""

import html
import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

# By name: a request can name one of these and nothing else.
TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "elements.js": "text/javascript; charset=utf-8",
    "asking.js": "text/javascript; charset=utf-8",
    "drawing.js": "text/javascript; charset=utf-8",
    "results.js": "text/javascript; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

Document = Mapping[str, Any]


def assets() -> dict[str, tuple[bytes, str]]:
    """Read the page's files: contents and media types, by name."""
    place = resources.files(__package__).joinpath("assets")
    return {name: (place.joinpath(name).read_bytes(), kind) for name, kind in TYPES.items()}


def interface(document: Document) -> str:
    """Write an OpenAPI document as a page that needs nothing else."""
    title = html.escape(str(document["info"]["title"]))
    about = html.escape(str(document["info"].get("description", "")))
    schemas = document.get("components", {}).get("schemas", {})
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>",
        '<link rel="stylesheet" href="/assets/page.css"></head>',
        f'<body class="interface"><main><h1>{title}</h1><p>{about}</p>',
        '<p>The same as JSON: <a href="/openapi.json">openapi.json</a>. '
        'The page to try it on: <a href="/">/</a>.</p>',
        *(
            line
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            for line in _operation(path, method, operation)
        ),
        "<h2>Documents</h2>",
        *(line for name, schema in schemas.items() for line in _schema(name, schema)),
        "</main></body></html>",
    ]
    return "\n".join(parts)


def _operation(path: str, method: str, operation: Document) -> Iterator[str]:
    yield f"<section><h2><code>{method.upper()} {html.escape(path)}</code></h2>"
    yield f"<p>{html.escape(operation.get('description') or operation.get('summary', ''))}</p>"
    rows = [
        (one["name"], f"{_type(one['schema'])}, in the {one['in']}", one.get("description", ""))
        for one in operation.get("parameters", ())
    ]
    yield from _table("Parameters", rows)
    sent = operation.get("requestBody", {}).get("content", {})
    yield from _table(
        "Body",
        [
            (kind, _type(body["schema"]), body["schema"].get("description", ""))
            for kind, body in sent.items()
        ],
    )
    answers = [
        (
            status,
            ", ".join(map(_answered, answer.get("content", {}).values())),
            answer["description"],
        )
        for status, answer in operation["responses"].items()
    ]
    yield from _table("Answers", answers)
    yield "</section>"


def _answered(content: Document) -> str:
    return _type(content.get("schema", {}))


def _schema(name: str, schema: Document) -> Iterator[str]:
    yield f'<section id="{html.escape(name)}"><h3><code>{html.escape(name)}</code></h3>'
    yield f"<p>{html.escape(schema.get('description', ''))}</p>"
    fields = schema.get("properties", {})
    yield from _table(
        "Keys", [(key, _type(field), field.get("description", "")) for key, field in fields.items()]
    )
    yield "</section>"


def _table(caption: str, rows: list[tuple[str, str, str]]) -> Iterator[str]:
    if not rows:
        return
    yield f"<table><caption>{caption}</caption>"
    for first, second, third in rows:
        yield (
            f"<tr><th scope=row><code>{html.escape(first)}</code></th><td>{second}</td>"
            f"<td>{html.escape(third)}</td></tr>"
        )
    yield "</table>"


def _type(schema: Document) -> str:
    """Write what a schema allows, as HTML."""
    if "$ref" in schema:
        name = html.escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    said = str(schema.get("contentMediaType") or schema.get("format") or schema.get("type", ""))
    default = f" = {json.dumps(schema['default'])}" if "default" in schema else ""
    return html.escape(said + default)
