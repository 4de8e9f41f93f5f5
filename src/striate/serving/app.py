"""The routes: predictions, explanations, what is served, signs of life, and the page."""

import asyncio
import base64
import json
import math
import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from typing import Annotated, Any, NamedTuple

import numpy as np
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from numpy.typing import NDArray
from PIL import Image
from starlette.exceptions import HTTPException as PlainHTTPException

from striate.decoding import Failed
from striate.errors import UsageError
from striate.images import to_png
from striate.ranking import NOT_FINITE, Prediction, ranked
from striate.seeing.explaining import Explanation
from striate.version import __version__

from . import documents, networks, page
from .batching import Batcher
from .explanations import Explanations
from .guard import FAULT, Guard, refused
from .limits import Limits
from .measures import CONTENT_TYPE, Measures
from .networks import Networks, Served
from .unparsed import Unparsed
from .uploads import Upload, read
from .waiting import Line

ABOUT = (
    "Ranked classes of pictures, sounds or clips, by networks that striate has trained. "
    "Send files, never addresses: nothing is fetched from anywhere."
)
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {
                "schema": {"type": "string", "format": "binary", "description": "A file's bytes."}
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "description": "A file a field, whatever the fields are called.",
                    "properties": {
                        "file": {"type": "array", "items": {"type": "string", "format": "binary"}}
                    },
                }
            },
        },
    }
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": documents.Refused, "description": "No picture, or too many, or a broken form."},
    401: {"model": documents.Refused, "description": "The token is missing or wrong."},
    403: {"model": documents.Refused, "description": "Another name, origin or site."},
    404: {"model": documents.Refused, "description": "No such model."},
    413: {"model": documents.Refused, "description": "The request is too large."},
    503: {"model": documents.Refused, "description": "Busy: come again after Retry-After seconds."},
}
Named = Annotated[
    str | None, Query(description="A model's name; the first where none is given.", max_length=200)
]
Top = Annotated[int, Query(description="Classes of each file.", ge=1, le=1000)]


class State(NamedTuple):
    """What the routes share."""

    networks: Networks
    batcher: Batcher
    line: Line
    explaining: Line
    limits: Limits
    measures: Measures
    ending: asyncio.Event  # set while the last requests are answered


def state(found: Networks, limits: Limits) -> State:
    """Set up what the routes share; begins the thread that runs the networks."""
    line = Line(limits.queue, limits.deadline)
    measures = Measures(line, _PATHS)

    def ran(network: Any, pictures: int, seconds: float) -> None:
        measures.ran(network.name, pictures, seconds)

    batcher = Batcher(most=limits.batch, delay=limits.delay / 1000, ran=ran)
    explaining = Line(4, 4 * limits.deadline)
    return State(found, batcher, line, explaining, limits, measures, asyncio.Event())


def guarded(shared: State, *, hosts: frozenset[str], token: str | None) -> Guard:
    """Return the whole application behind its guard."""
    return Guard(
        application(shared),
        hosts=hosts,
        token=token,
        most_bytes=shared.limits.body_bytes,
        busy=shared.line.refusal,
        seen=shared.measures.seen,
    )


def unparsed(shared: State, *, hosts: frozenset[str], token: str | None) -> Unparsed:
    """Return what refuses requests before they are parsed, by the guard's own rules."""
    return Unparsed(
        busy=shared.line.refusal,
        strange=partial(refused, hosts=hosts, token=token),
        most_bytes=shared.limits.body_bytes,
        seen=shared.measures.seen,
    )


def application(shared: State) -> FastAPI:
    """Return the routes, without the guard."""
    app = FastAPI(
        title="Striate",
        version=__version__,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    _add_answers(app, shared)
    _add_signs(app, shared)
    _add_page(app)
    _add_errors(app)
    return app


def _add_answers(app: FastAPI, shared: State) -> None:
    @app.post(
        "/v1/predict",
        openapi_extra=_BODY,
        responses={
            200: {"model": documents.Predictions, "description": "A row a file, in their order."},
            422: {"model": documents.Predictions, "description": "None of the files is readable."},
            **_REFUSALS,
        },
    )
    async def predict(request: Request, model: Named = None, top: Top = 5) -> Response:
        """Rank the classes of one file, the body, or of many, the files of a form.

        An unreadable file is a row with its error.
        """
        begun = time.perf_counter()
        with shared.networks.using(model) as served:
            files = await read(request, served.kind, shared.limits.pictures)
            rows = await _predicted(shared, served, files, top)
        document = {
            "model": served.name,
            "version": served.version,
            "milliseconds": _milliseconds(begun),
            "predictions": [row.to_json() for row in rows],
        }
        return _json(document, 422 if all(row.error for row in rows) else 200)

    @app.post(
        "/v1/explain",
        openapi_extra=_BODY,
        responses={
            200: {"model": documents.Explained, "description": "Classes, and why."},
            422: {"model": documents.Refused, "description": "The file is unreadable."},
            **_REFUSALS,
        },
    )
    async def explain(request: Request, model: Named = None, top: Top = 5) -> Response:
        """Say of one file what it is, where the network looked, and what it saw alike."""
        begun = time.perf_counter()
        with shared.networks.using(model) as served:
            explanations = served.opened.explanations
            if explanations is None:
                raise HTTPException(400, "an exported file has no maps: serve the run itself")
            (file,) = await read(request, served.kind, 1)
            found = await _explained(shared, served, explanations, file, top)
        if isinstance(found, Failed):
            return _json({"error": found.reason}, 422)
        document = {
            "model": served.name,
            "version": served.version,
            "milliseconds": _milliseconds(begun),
            **_of_explanation(found, explanations),
        }
        return _json(document)


def _add_signs(app: FastAPI, shared: State) -> None:
    @app.get("/v1/models", responses={200: {"model": documents.Models}})
    async def models() -> Response:
        """List the networks that are served."""
        return _json({"models": [await asyncio.to_thread(_model, one) for one in shared.networks]})

    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz")
    async def healthz() -> Response:
        """Say that the process lives."""
        return _json({"status": "alive"})

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz")
    async def readyz() -> Response:
        """Say whether requests are taken: 503 once the server ends."""
        is_over = shared.ending.is_set()
        return _json({"status": "ending" if is_over else "ready"}, 503 if is_over else 200)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Return counts and times, as Prometheus reads them."""
        return Response(shared.measures.text(), media_type=CONTENT_TYPE)


def _add_page(app: FastAPI) -> None:
    files = page.assets()

    def asset(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "there is no such file")
        content, kind = files[name]
        return Response(content, headers={"content-type": kind})

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return asset("index.html")

    @app.get("/assets/{name}", include_in_schema=False)
    async def of_name(name: str) -> Response:
        return asset(name)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(page.interface(app.openapi()), media_type="text/html; charset=utf-8")


def _add_errors(app: FastAPI) -> None:
    async def of_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, PlainHTTPException)
        return _json({"error": error.detail}, error.status_code, error.headers)

    async def of_name(_: Request, error: Exception) -> Response:
        return _json({"error": str(error)}, 404)

    async def of_query(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        return _json({"error": f"{first['loc'][-1]}: {first['msg']}"}, 400)

    async def of_fault(_: Request, __: Exception) -> Response:
        return _json({"error": FAULT}, 500)  # the guard logs it

    app.add_exception_handler(Exception, of_fault)
    app.add_exception_handler(PlainHTTPException, of_http)
    app.add_exception_handler(UsageError, of_name)  # of a model that is not served
    app.add_exception_handler(RequestValidationError, of_query)


_PATHS = frozenset(
    ("/v1/predict", "/v1/explain", "/v1/models", "/healthz", "/readyz", "/metrics", "/", "/docs")
)


async def _predicted(
    shared: State, served: Served, files: Sequence[Upload], top: int
) -> list[Prediction]:
    wait = shared.line.enter(len(files))
    if wait is not None:
        raise _busy(wait)
    asked = [
        networks.ask(served, file.content, batcher=shared.batcher, line=shared.line)
        for file in files
    ]
    results = await _in_time(shared, served, asked)
    return [
        Prediction(file.name, [], found.reason)
        if isinstance(found, Failed)
        else _prediction(file.name, found, served, top)
        for file, found in zip(files, results, strict=True)
    ]


async def _in_time(shared: State, served: Served, asked: Sequence["Future[Any]"]) -> list[Any]:
    count = shared.measures.pictures.labels
    try:
        async with asyncio.timeout(shared.limits.deadline):
            results = await asyncio.gather(*map(asyncio.wrap_future, asked))
    except TimeoutError as error:
        count(served.name, "late").inc(len(asked))
        raise _busy(math.ceil(shared.limits.deadline)) from error
    bad = sum(isinstance(found, Failed) for found in results)
    count(served.name, "unreadable").inc(bad)
    count(served.name, "answered").inc(len(results) - bad)
    return list(results)


def _prediction(name: str, shares: NDArray[np.float64], served: Served, top: int) -> Prediction:
    if not np.isfinite(shares).all():
        return Prediction(name, [], NOT_FINITE)
    return Prediction(name, ranked(shares, served.classes, top))


async def _explained(
    shared: State, served: Served, explanations: Explanations, file: Upload, top: int
) -> Explanation | Failed:
    wait = shared.explaining.enter(1)
    if wait is not None:
        raise _busy(wait)
    try:
        async with asyncio.timeout(shared.explaining.deadline):
            pixels = await asyncio.wrap_future(served.decoders.submit(file.content))
            if isinstance(pixels, Failed):
                return pixels
            return await asyncio.wrap_future(explanations.submit(file.name, pixels, top))
    except TimeoutError as error:
        raise _busy(math.ceil(shared.explaining.deadline)) from error
    finally:
        shared.explaining.leave()


def _busy(wait: int) -> HTTPException:
    return HTTPException(503, "too many pictures are waiting", {"Retry-After": str(wait)})


def _of_explanation(found: Explanation, explanations: Explanations) -> dict[str, Any]:
    assert found.picture is not None
    where = found.where
    return {
        "classes": [{"name": name, "probability": share} for name, share in found.classes],
        "picture": _data_url(found.picture),
        "where": where
        and {
            "layer": where.layer,
            "field": list(where.field),
            "map": where.values.tolist(),
            "shuffled": where.shuffled.tolist(),
            "agreement": where.agreement if math.isfinite(where.agreement) else None,
        },
        "neighbours": [
            {
                "label": near.label,
                "distance": near.distance,
                "picture": None if near.picture is None else _data_url(near.picture),
            }
            for near in found.neighbours
        ],
        "notes": explanations.notes,
    }


def _data_url(picture: NDArray[np.uint8]) -> str:
    content = to_png(Image.fromarray(picture))
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def _model(served: Served) -> dict[str, Any]:
    opened = served.opened
    return {
        "name": served.name,
        "version": served.version,
        "kind": served.kind,
        "classes": list(served.classes),
        "shape": list(opened.shape),
        "accuracy": opened.accuracy,
        "split": opened.split,
        "board": opened.board,
        "explained": opened.explanations is not None,
        "neighbours": served.has_neighbours,
    }


def _milliseconds(begun: float) -> float:
    return round(1000 * (time.perf_counter() - begun), 2)


def _json(document: Any, status: int = 200, headers: Any = None) -> Response:
    content = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(content.encode(), status, headers, "application/json")
