"""A server: who is heard, what is answered, what is refused, and how it goes on and ends."""

import asyncio
import contextlib
import io
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
import torch
import uvicorn
from conftest import CLASSES, drawing
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import striate
from striate import cli, files
from striate.decoding import Decoders, Failed
from striate.errors import DataError, UsageError
from striate.runs import bundle, folder
from striate.serving import address, app, page
from striate.serving.batching import Batcher
from striate.serving.connections import Connection
from striate.serving.guard import HEADERS, OPEN, refused
from striate.serving.limits import Limits
from striate.serving.networks import Networks, named
from striate.serving.opening import Loading
from striate.serving.unparsed import Unparsed
from striate.serving.waiting import Line

TINY: dict[str, Any] = {"size": 20, "batch_size": 12, "arguments": {"width": 8, "stages": 2}}
HOST = "127.0.0.1:8000"
TOKEN = "0123456789abcdef0123"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "EVIL")
LIMITS = Limits(max_body=0.2, queue=16, deadline=20.0, batch=4)


def png(kind: str, number: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(drawing(kind, number)).save(content, "PNG")
    return content.getvalue()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained on drawings, and what they look like to it."""
    root = tmp_path_factory.mktemp("serving")
    for kind in CLASSES:
        (root / "data" / kind).mkdir(parents=True)
        for number in range(12):
            (root / "data" / kind / f"{number:02}.png").write_bytes(png(kind, number))
    run = striate.train(root / "data", out=root / "run", epochs=2, **TINY)
    run.explain(root / "data" / "ring" / "00.png", workers=0)  # keeps the vectors
    return root


def loading(**fields: Any) -> Loading:
    return Loading(**{"device": torch.device("cpu"), "workers": 1, "batch": 4, **fields})


class Site(NamedTuple):
    shared: app.State
    guarded: Any

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.guarded)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
                return await client.request(method, path, **how)

        return asyncio.run(asked())

    def predict(self, content: bytes, **how: Any) -> httpx.Response:
        return self.ask("POST", "/v1/predict", content=content, **how)


def opened(networks: Networks, limits: Limits = LIMITS, token: str | None = None) -> Site:
    shared = app.state(networks, limits)
    return Site(shared, app.guarded(shared, hosts=frozenset({HOST}), token=token))


@pytest.fixture(scope="module")
def networks(home: Path) -> Iterator[Networks]:
    found = Networks([home / "run"], loading())
    yield found
    found.close()


@pytest.fixture(scope="module")
def site(networks: Networks) -> Iterator[Site]:
    found = opened(networks)
    yield found
    found.shared.batcher.close()


@pytest.fixture(scope="module")
def closed_site(networks: Networks) -> Iterator[Site]:
    """The same, behind a token."""
    found = opened(networks, token=TOKEN)
    yield found
    found.shared.batcher.close()


# Who is heard

HOSTS: tuple[tuple[str, ...], ...] = (
    (HOST,), ("127.0.0.1:9000",), ("127.0.0.1",), ("127.1:8000",), ("0x7f000001:8000",),
    ("[::1]:8000",), ("[::ffff:127.0.0.1]:8000",), ("evil.com",), ("localhost.evil.com:8000",),
    ("127.0.0.1.:8000",), ("LOCALHOST:8000",), (), (HOST, HOST), (HOST, "evil.com"),
)  # fmt: skip
ORIGINS: tuple[tuple[str, ...], ...] = (
    (), (f"http://{HOST}",), ("null",), ("http://evil.com",), ("http://127.0.0.1:9000",),
    ("",), (f"http://{HOST}", "http://evil.com"), (f"http://{HOST}.evil.com",),
    ("file://",), ("http://localhost:8000",),
)  # fmt: skip
SITES: tuple[tuple[str, ...], ...] = (
    (), ("same-origin",), ("none",), ("same-site",), ("cross-site",), ("",), ("none", "none"),
)  # fmt: skip


def scope(path: str = "/", method: str = "GET", **headers: Sequence[str]) -> dict[str, Any]:
    lines = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, values in headers.items()
        for value in values
    ]
    return {"type": "http", "method": method, "path": path, "headers": lines}


def test_only_the_own_host_and_origin_are_heard_whatever_the_method() -> None:
    """Every Host x Origin x Sec-Fetch-Site x method: 9,800 requests."""
    heard = 0
    for host, origin, fetched, method in itertools.product(HOSTS, ORIGINS, SITES, METHODS):
        asked = scope("/v1/predict", method, host=host, origin=origin, sec_fetch_site=fetched)
        expected = (
            host == (HOST,)
            and origin in ((), (f"http://{HOST}",))
            and fetched in ((), ("same-origin",), ("none",))
        )
        refusal = refused(asked, hosts={HOST}, token=None)
        assert (refusal is None) == expected, asked
        assert expected or (refusal and refusal.status == 403)
        heard += expected
    assert heard == 2 * 3 * len(METHODS)


@given(st.text(max_size=30))
def test_a_host_that_is_not_ours_is_refused(text: str) -> None:
    asked = scope(host=[text.encode("utf-8").decode("latin-1")])
    assert (refused(asked, hosts={HOST}, token=None) is None) == (text == HOST)


@given(st.text(st.characters(max_codepoint=255), max_size=40))
def test_a_token_that_is_not_ours_is_refused(text: str) -> None:
    for said in (text, f"Bearer {text}", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}{text or 'x'}"):
        asked = scope("/v1/predict", host=[HOST], authorization=[said])
        known = said == f"Bearer {TOKEN}" or said.strip() == f"Bearer {TOKEN}"
        refusal = refused(asked, hosts={HOST}, token=TOKEN)
        assert known or (refusal and refusal.status == 401)


def routes(site: Site) -> list[str]:
    """List every path that leads somewhere, and some that do not."""
    paths = [
        route.path.replace("{name}", "page.css")
        for route in app.application(site.shared).routes
        if hasattr(route, "path")
    ]
    assert len(paths) >= 10
    return [*sorted(set(paths)), "/nothing", "/v1", "/v1/predict/", "/assets/none", "/v2//"]


def test_every_route_and_method_stands_behind_the_guard(site: Site, closed_site: Site) -> None:
    evil = ({"host": "evil.com"}, {"origin": "http://evil.com"}, {"sec-fetch-site": "cross-site"})
    for path, method in itertools.product(routes(site), METHODS):
        for headers in evil:
            answer = site.ask(method, path, headers=headers)
            assert answer.status_code == 403, (method, path, headers)
            assert HEADERS.items() <= dict(answer.headers).items()
        answer = closed_site.ask(method, path)
        is_open = path in OPEN or path.startswith("/assets/")
        assert (answer.status_code == 401) == (not is_open), (method, path)
        assert HEADERS.items() <= dict(answer.headers).items()
        assert not {"server", "access-control-allow-origin"} & answer.headers.keys()


def test_every_route_is_listed_with_its_method(site: Site) -> None:
    found = {
        (route.path, method)
        for route in app.application(site.shared).routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert found == {
        ("/v1/predict", "POST"), ("/v1/explain", "POST"), ("/v1/models", "GET"),
        ("/healthz", "GET"), ("/healthz", "HEAD"), ("/readyz", "GET"), ("/readyz", "HEAD"),
        ("/metrics", "GET"), ("/", "GET"), ("/assets/{name}", "GET"), ("/docs", "GET"),
    }  # fmt: skip


def test_the_right_token_opens(closed_site: Site) -> None:
    right = {"authorization": f"Bearer {TOKEN}"}
    assert closed_site.ask("GET", "/v1/models", headers=right).status_code == 200
    wrong = closed_site.ask("GET", "/v1/models", headers={"authorization": "Bearer nonsense"})
    assert wrong.headers["www-authenticate"] == "Bearer"


def test_websockets_are_refused(site: Site) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(site.guarded({"type": "websocket", "path": "/", "headers": []}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "example.invalid"])
def test_beyond_this_machine_there_is_a_token_or_no_server(host: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--token-file FILE"):
        address.bind(host, 0)
    for text in ("", "\n", "short", "two words of a token", "a" * 15):
        (tmp_path / "token").write_text(text)
        with pytest.raises(DataError, match="holds no token"):
            address.bind(host, 0, token_file=tmp_path / "token")
    with pytest.raises(DataError, match="cannot read"):
        address.bind(host, 0, token_file=tmp_path / "none")


def test_an_address_knows_its_names(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    found = address.bind("0.0.0.0", 0, token_file=tmp_path / "token", allow_hosts=["Example.org"])
    with found.listening:
        assert found.token == TOKEN
        names = {f"127.0.0.1:{found.port}", f"localhost:{found.port}", "example.org"}
        assert found.hosts == names
        assert found.url == f"http://127.0.0.1:{found.port}/"
        with pytest.raises(UsageError, match="--port 0 takes a free one"):
            address.bind("127.0.0.1", found.port)
    assert "[::1]:80" in address.own_hosts("::1", 80)
    assert "127.0.0.1" in address.own_hosts("127.0.0.1", 80)
    assert not any("0.0.0.0" in name for name in address.own_hosts("0.0.0.0", 8000))


@pytest.mark.parametrize("text", ["http://a", "a/b", "*", "a b", "", "a:b", "[::1", "a,b"])
def test_a_name_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--allow-host"):
        address.bind("127.0.0.1", 0, allow_hosts=[text])


# What is answered


def test_answers_are_those_of_predict(site: Site, home: Path) -> None:
    names = [f"{kind}/{number:02}.png" for kind in CLASSES for number in range(5)]
    expected = striate.load(home / "run").predict([home / "data" / name for name in names], top=3)
    sent = [("file", (name, (home / "data" / name).read_bytes())) for name in names]
    document = site.ask("POST", "/v1/predict?top=3", files=sent).json()
    assert document["model"] == "run"
    assert document["version"] == next(iter(site.shared.networks)).version
    for one, other, name in zip(document["predictions"], expected, names, strict=True):
        assert one["file"] == name
        assert [x["name"] for x in one["classes"]] == [x.name for x in other.classes]
        shares = [x["probability"] for x in one["classes"]]
        np.testing.assert_allclose(shares, [x.probability for x in other.classes], atol=1e-5)
    alone = site.predict(png("cross", 0), params={"top": 1}).json()["predictions"]
    assert alone[0]["file"] == "picture 0"
    assert alone[0]["classes"][0]["name"] == expected[0].classes[0].name
    assert len(alone[0]["classes"]) == 1


def test_an_unreadable_file_fails_alone(site: Site) -> None:
    good, wide = png("ring", 1), io.BytesIO()
    Image.new("1", (13_000, 13_000)).save(wide, "PNG")
    sent = {"a": ("good", good), "b": ("bad", b"no picture"), "c": ("wide", wide.getvalue())}
    answer = site.ask("POST", "/v1/predict", files=sent)
    assert answer.status_code == 200
    first, second, third = answer.json()["predictions"]
    assert first["error"] is None
    assert second["classes"] == []
    assert "not a picture" in second["error"]
    assert "13000 x 13000 pixels, more than 50000000 are refused" in third["error"]
    alone = site.predict(b"no picture")
    assert alone.status_code == 422
    assert "not a picture" in alone.json()["predictions"][0]["error"]
    assert site.ask("POST", "/v1/explain", content=b"no picture").status_code == 422


def test_a_request_that_is_too_large_is_refused(site: Site) -> None:
    async def parts() -> Any:
        for _ in range(100):
            yield b"x" * 4000

    content = b"x" * (LIMITS.body_bytes + 1)
    assert site.predict(content).status_code == 413

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=site.guarded)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            return await client.post("/v1/predict", content=parts())

    assert asyncio.run(asked()).status_code == 413
    assert site.guarded._held == 0  # nothing is left in memory
    assert site.predict(content[:-1]).status_code == 422


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"content": b""}, "send a picture as the body"),
        ({"data": {"url": "http://evil.com"}, "files": {"a": b"x"}}, "files alone"),
        ({"files": [("a", ("a", b"x"))] * 17}, "a request may hold 16 files"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, "damaged"),
        (
            {"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=a"}},
            "damaged",
        ),
        ({"content": b"x", "params": {"top": "0"}}, "top: "),
        ({"content": b"x", "params": {"top": "many"}}, "top: "),
    ],
)
def test_a_request_that_makes_no_sense_is_400(site: Site, how: dict[str, Any], said: str) -> None:
    answer = site.ask("POST", "/v1/predict", **how)
    assert answer.status_code == 400
    assert answer.json().keys() == {"error"}
    assert said in answer.json()["error"]


def test_an_unknown_model_names_those_that_there_are(site: Site) -> None:
    answer = site.predict(png("ring", 0), params={"model": "rum"})
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "unknown model 'rum': did you mean run? choose one of run"},
    )


def test_an_exported_file_answers_as_its_run(home: Path, tmp_path: Path) -> None:
    striate.load(home / "run").export("onnx", out=tmp_path / "small.onnx")
    networks = Networks([tmp_path / "small.onnx"], loading(workers=0))
    site = opened(networks)
    content = png("stripes", 40)
    found = site.predict(content).json()
    own = striate.load(home / "run").predict(content)[0].classes
    assert found["model"] == "small"
    classes = found["predictions"][0]["classes"]
    assert [one["name"] for one in classes] == [one.name for one in own]
    shares = [one["probability"] for one in classes]
    np.testing.assert_allclose(shares, [one.probability for one in own], atol=1e-3)
    refused = site.ask("POST", "/v1/explain", content=content)
    assert (refused.status_code, refused.json()["error"][:28]) == (
        400,
        "an exported file has no maps",
    )
    (model,) = site.ask("GET", "/v1/models").json()["models"]
    assert (model["shape"], model["explained"], model["accuracy"]) == ([3, 20, 20], False, None)
    site.shared.batcher.close()
    networks.close()


def test_it_explains_with_neighbours_and_without_names_of_files(site: Site, home: Path) -> None:
    content = (home / "data" / "ring" / "03.png").read_bytes()
    answer = site.ask("POST", "/v1/explain?top=2", content=content)
    found = answer.json()
    own = striate.load(home / "run").explain(home / "data" / "ring" / "03.png", workers=0)[0]
    assert [one["name"] for one in found["classes"]] == [name for name, _ in own.classes[:2]]
    assert own.where is not None
    np.testing.assert_allclose(found["where"]["map"], own.where.values, atol=1e-5)
    assert found["where"]["layer"] == own.where.layer
    labels = [near.label for near in own.neighbours]
    assert [near["label"] for near in found["neighbours"]] == labels
    assert found["neighbours"][0]["picture"].startswith("data:image/png;base64,")
    assert ".png" not in answer.text
    assert found["notes"] == []


def test_models_are_listed(site: Site, home: Path) -> None:
    (found,) = site.ask("GET", "/v1/models").json()["models"]
    assert found["classes"] == list(CLASSES)
    assert found["shape"] == [3, 20, 20]
    assert found["accuracy"] == striate.load(home / "run").accuracy
    assert found["neighbours"] is True
    assert found["explained"] is True
    assert found["board"] is None


def test_measures_count_and_strange_paths_are_one(site: Site) -> None:
    for number in range(20):
        site.ask("GET", f"/strange{number}")
    site.predict(png("ring", 2))
    text = site.ask("GET", "/metrics").text
    assert "strange" not in text
    assert re.search(r'striate_requests_total\{path="other",status="404"\} \d+', text)
    assert re.search(r'striate_pictures_total\{model="run",outcome="answered"\} \d+', text)
    assert "striate_waiting 0.0" in text


def test_a_fault_inside_says_nothing_of_the_inside(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: Sequence[Tensor]) -> NDArray[np.float64]:
        raise RuntimeError("secret of /inside/place.py")

    networks = Networks([home / "run"], loading(workers=0))
    site = opened(networks)
    served = next(iter(networks))
    broken = served.opened.network._replace(probabilities=fails)
    served.opened = served.opened._replace(network=broken)
    answer = site.predict(png("ring", 0))
    assert (answer.status_code, answer.json()) == (500, {"error": "the server has failed"})
    assert "secret of /inside/place.py" in caplog.text  # the log has it
    assert site.shared.line.waiting == 0
    assert HEADERS.items() <= dict(answer.headers).items()
    site.shared.batcher.close()
    networks.close()


def test_an_answer_that_is_not_finite_is_an_error(home: Path) -> None:
    networks = Networks([home / "run"], loading(workers=0))
    site = opened(networks)
    served = next(iter(networks))
    nothing = served.opened.network._replace(probabilities=lambda x: np.full((len(x), 3), np.nan))
    served.opened = served.opened._replace(network=nothing)
    assert "not finite" in site.predict(png("ring", 0)).json()["predictions"][0]["error"]
    site.shared.batcher.close()
    networks.close()


# Waiting


class Slow:
    """A network that answers when it is let."""

    name = "slow"

    def __init__(self) -> None:
        self.let = threading.Event()
        self.begun = threading.Event()
        self.sizes: list[int] = []

    def answer(self, pixels: Sequence[Tensor]) -> Tensor:
        self.sizes.append(len(pixels))
        self.begun.set()
        assert self.let.wait(20)
        if any(bool(one.isnan().any()) for one in pixels):
            raise RuntimeError("broken")
        return torch.stack(list(pixels))


def test_who_waits_too_long_is_told_when_to_come_again(networks: Networks) -> None:
    site, slow = opened(networks, Limits(deadline=0.3, queue=2)), Slow()
    site.shared.batcher.submit(slow, torch.zeros(1), Future())
    assert slow.begun.wait(20)
    late = site.predict(png("ring", 0))
    assert late.status_code == 503
    assert int(late.headers["retry-after"]) >= 1
    site.shared.line.enter(2)
    full = site.predict(png("ring", 0))
    assert full.status_code == 503
    assert int(full.headers["retry-after"]) >= 1
    site.shared.line.leave(2)
    slow.let.set()
    site.shared.batcher.close()
    assert site.shared.line.waiting == 0


@given(st.lists(st.integers(0, 2), max_size=40), st.integers(1, 5))
def test_batches_keep_answers_apart(of: list[int], most: int) -> None:
    """Each gets its own answer, whatever the networks and the order; no batch is too large."""
    nets = [Slow() for _ in range(3)]
    batcher = Batcher(most=most, delay=0.001)
    futures: list[Future[Tensor]] = [Future() for _ in of]
    for number, (which, future) in enumerate(zip(of, futures, strict=True)):
        batcher.submit(nets[which], torch.tensor([float(number)]), future)
    for net in nets:
        net.let.set()
    batcher.close()
    assert [float(future.result(0)) for future in futures] == list(range(len(of)))
    assert [sum(net.sizes) for net in nets] == [of.count(k) for k in range(3)]
    assert all(size <= most for net in nets for size in net.sizes)


def test_a_batch_that_fails_fails_alone() -> None:
    batcher, bad, good = Batcher(most=4, delay=0), Slow(), Slow()
    bad.let.set()
    good.let.set()
    futures: list[Future[Tensor]] = [Future() for _ in range(3)]
    futures[1].cancel()  # nobody waits for it
    batcher.submit(bad, torch.tensor([float("nan")]), futures[0])
    batcher.submit(good, torch.ones(1), futures[1])
    batcher.submit(good, torch.ones(1), futures[2])
    batcher.close()
    with pytest.raises(RuntimeError, match="broken"):
        futures[0].result(0)
    assert float(futures[2].result(0)) == 1
    assert sum(good.sizes) == 1


def test_a_line_refuses_what_would_wait_too_long() -> None:
    line = Line(longest=10, deadline=2.0)
    assert line.enter(10) is None
    assert line.enter(1) == 1
    line.leave(1)
    assert line.enter(1) is None
    line.pace = 0.5  # seconds a picture
    assert line.refusal() == 2
    line.leave(8)
    line.pace = 0.5
    assert line.refusal() is None
    line.leave(2)
    assert line.waiting == 0


# Refused before it is parsed


def head(path: str = "/v1/predict", size: int = 3, host: str = HOST, *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {size}", *more, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def hurried(
    seen: list[Any], wait: int | None = 7, token: str | None = None, most: int = 100
) -> Unparsed:
    strange = partial(refused, hosts={HOST}, token=token)
    return Unparsed(
        busy=lambda: wait, strange=strange, most_bytes=most, seen=lambda *what: seen.append(what)
    )


def test_a_plain_request_is_refused_unparsed_as_the_guard_would(site: Site) -> None:
    seen: list[Any] = []
    found = hurried(seen)(head("/v1/predict?top=3") + b"ab", [(b"date", b"now")])
    assert found is not None
    assert found.left == 1  # of the body
    assert seen == [("/v1/predict", 503, 0.0)]
    start, *lines = found.answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    site.shared.line.enter(LIMITS.queue)
    expected = site.predict(b"abc")
    site.shared.line.leave(LIMITS.queue)
    assert start == "HTTP/1.1 503 Service Unavailable"
    assert found.answer.partition(b"\r\n\r\n")[2] == expected.content
    assert headers.pop("retry-after") == "7"
    assert headers.pop("date") == "now"
    assert headers.items() == dict(expected.headers).items() - {("retry-after", "1")}
    usual = "User-Agent: x/1", "Accept: */*", "Connection: keep-alive", "Content-Type: image/png"
    assert hurried(seen)(head("/v1/explain", 3, HOST, *usual), [])


def test_what_is_not_plain_is_parsed() -> None:
    seen: list[Any] = []
    refuse, whole = hurried(seen), head() + b"abc"
    assert refuse(whole, []) is not None
    seen.clear()
    assert hurried(seen, wait=None)(whole, []) is None  # nothing is busy
    assert hurried(seen, token=TOKEN)(whole, []) is None
    assert (
        hurried(seen, token=TOKEN)(
            head("/v1/predict", 3, HOST, f"Authorization: Bearer {TOKEN}x"), []
        )
        is None
    )
    for more in (
        "Transfer-Encoding: chunked", "Expect: 100-continue", "Connection: close", "Origin: null",
        "Upgrade: h2c", "Content-Length: 3", f"Host: {HOST}", "X: y", " folded: 1", "Accept : x",
        "Accept: \x01", "Accept: a\nTransfer-Encoding: chunked", "Accept: \xff", "nothing",
        f"Accept: {'x' * 5000}",
    ):  # fmt: skip
        assert refuse(head("/v1/predict", 3, HOST, more) + b"abc", []) is None, more
    for data in (
        b"", whole[:20], whole.replace(b"POST", b"GET"), whole.replace(b"1.1", b"1.0"),
        whole + whole, head("/v1/predict", 101), head("/v1/predict", -1), head("/", 3),
        head(host="evil.com"), head("/v1/pre dict"), whole.replace(b"\r\n", b"\n"),
        whole.replace(b"Content-Length: 3\r\n", b""), head("/v1/../predict"),
    ):  # fmt: skip
        assert refuse(data, []) is None, data
    assert seen == []


@given(st.binary(max_size=80), st.integers(0, 90))
def test_bytes_are_refused_whole_or_not_at_all(noise: bytes, place: int) -> None:
    """Whatever stands in a request, what is refused is a whole head and no more than its body."""
    good = head("/v1/predict", 9) + b"abc"
    place = min(place, len(good))
    data = good[:place] + noise + good[place:]
    found = hurried([])(data, [])
    if found is not None:
        begin, end, body = data.partition(b"\r\n\r\n")
        assert end
        assert b"\n" not in begin.replace(b"\r\n", b"")
        assert (
            0 <= found.left == int(re.findall(rb"(?i)content-length: *(\d+)", begin)[0]) - len(body)
        )


class Wire(asyncio.Transport):
    """A transport that keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def write(self, data: Any) -> None:
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.sent.append(b"closed")

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


async def backwards(_: Any, receive: Any, send: Any) -> None:
    """Answer with the body, its end first."""
    body = (await receive())["body"]
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body[::-1]})


def test_a_connection_goes_on_after_a_request_that_was_refused_unparsed() -> None:
    """Bodies that come late are passed over; the next request is answered, in one piece."""
    parts = [
        (True, head() + b"abc", False),
        (True, head() + b"a", True),  # two bytes of the body are waited for
        (True, b"b", True),
        (False, b"c" + head() + b"xyz", False),
        (True, b"POST /v1/predict HTTP/1.1\r\nHo", True),
        (True, head()[29:] + b"uvw", False),  # it goes on as it has begun: parsed
        (True, head() + b"abc", False),
    ]

    async def talk() -> list[bytes]:
        config = uvicorn.Config(backwards, lifespan="off", log_config=None)
        config.load()
        refuse, wire = hurried([]), Wire()
        found = Connection(config, uvicorn.server.ServerState(), {}, unparsed=refuse)
        found.connection_made(wire)
        assert found.is_waited_for()  # it has asked nothing yet
        for busy, data, waited in parts:
            refuse._busy = partial(int, "1") if busy else lambda: None
            found.data_received(data)
            await asyncio.sleep(0.01)
            assert found.is_waited_for() == waited, data
        found.timeout_keep_alive_handler()
        return wire.sent

    *sent, last = asyncio.run(talk())
    assert [one.split()[1] for one in sent] == [b"503", b"503", b"200", b"200", b"503"]
    assert [one[-3:] for one in sent[2:4]] == [b"zyx", b"wvu"]
    assert last == b"closed"


# Newer networks


def change(run: Path, scale: float) -> None:
    """Write the bundle anew, with other weights, as a training does."""
    document, blobs = files.read_sealed(run / folder.BUNDLE, bundle.CARD)
    found = folder.load_bundle(run)
    with torch.no_grad():
        for parameter in found.model.parameters():
            parameter.mul_(scale)
    blobs[bundle.WEIGHTS] = bundle.tensor_bytes(found.model.state_dict())
    files.write_sealed(run / folder.BUNDLE, bundle.CARD, document, blobs)


def test_a_newer_network_takes_the_place_of_one_that_is_asked(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "run", tmp_path / "run")
    networks = Networks([tmp_path / "run"], loading(workers=0))
    assert networks.reload(changed_only=True) == []
    assert networks.reload() == []
    change(tmp_path / "run", 0.5)
    with networks.using(None) as old:
        ((name, version),) = networks.reload(changed_only=True)
        assert (name, version) == ("run", next(iter(networks)).version)
        assert version != old.version
        blank = torch.zeros(3, 20, 20, dtype=torch.uint8)
        assert old.answer([blank]).shape == (1, 3)  # it still answers
    assert networks.reload(changed_only=True) == []
    with networks.using("run") as new:
        assert new.version == version
    (tmp_path / "run" / "bundle" / "model.safetensors").write_bytes(b"damaged")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    assert networks.reload() == []
    with networks.using("run") as same:
        assert same.version == version
    networks.close()


def test_two_runs_of_one_name_are_refused(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "run" / "bundle", tmp_path / "run")
    assert list(named([home / "run", home / "run" / "bundle"])) == ["run", "bundle"]
    with pytest.raises(UsageError, match="would both be called run: rename"):
        named([home / "run", tmp_path / "run"])
    with pytest.raises(DataError):
        named([tmp_path / "none"])


# Decoders that are asked one by one


def test_what_is_begun_is_answered_and_a_crash_fails_alone() -> None:
    def work(item: int) -> int:
        if item == 3:
            os._exit(1)
        return item * item

    with Decoders(work, 2, guarded=True, seconds=20) as decoders:
        found = [decoders.submit(number) for number in range(20)]
        results = [future.result(60) for future in found]
    if sys.platform == "linux":
        assert isinstance(results[3], Failed)
    assert [r for k, r in enumerate(results) if k != 3] == [k * k for k in range(20) if k != 3]


def test_a_decoder_keeps_no_connection_of_the_server_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        with Decoders(lambda item: item, 1, guarded=True) as decoders:
            assert decoders.submit(1).result(60) == 1  # it has been forked, with the connection
            theirs.close()
            client.settimeout(20)
            assert client.recv(1) == b""  # closed, though the process still lives
        client.close()


# The page


def test_the_page_asks_no_other_server_and_every_file_is_there(site: Site) -> None:
    names = {path.name for path in resources.files("striate.serving").joinpath("assets").iterdir()}
    assert names == page.TYPES.keys()
    texts = {name: site.ask("GET", f"/assets/{name}").text for name in names}
    for name, text in texts.items():
        links = re.findall(r"""(?:https?:)?//[a-z0-9.]+""", text)
        assert set(links) <= {"http://www.w3.org"}, name  # SVG's name
        assert set(re.findall(r"/assets/([\w.]+)", text)) <= names
        assert set(re.findall(r'from "\./([\w.]+)"', text)) <= names
        assert not re.search(r"\beval\(|innerHTML|style=|<script>|onclick=", text), name
    assert site.ask("GET", "/").text == texts["index.html"]
    assert 'lang="en"' in texts["index.html"]


@pytest.mark.parametrize(
    "path", ["/assets/..%2fapp.py", "/assets/%2e%2e/app.py", "/assets/none.js", "/assets/"]
)
def test_no_other_file_is_handed_out(site: Site, path: str) -> None:
    assert site.ask("GET", path).status_code == 404


def test_the_page_of_the_interface_lists_every_route(site: Site) -> None:
    text = site.ask("GET", "/docs").text
    document = site.ask("GET", "/openapi.json").json()
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}" in text
    assert not re.search(r"https?://|<script", text)
    for name in re.findall(r'href="#(\w+)"', text):
        assert f'id="{name}"' in text


# The command


def test_check_says_what_would_be_served(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", str(home / "run"), "--check", "--workers", "0"]) == 0
    said = capsys.readouterr().err
    assert re.fullmatch(
        r"run: 3 classes of pictures, version [0-9a-f]{12}, explained with similar training "
        r"pictures\n",
        said,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--host 0.0.0.0", "--token-file"),
        ("--port 70000", "--port lies in 0 to 65535"),
        ("--queue 0", "--queue lies in 1 to"),
        ("--max-body nan", "--max-body lies in"),
        ("--allow-host http://x", "--allow-host takes"),
        ("--allow-host x --check", "leave out --allow-host"),
    ],
)
def test_a_wrong_request_is_one_line(
    home: Path, words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["serve", str(home / "run"), "--workers", "0", *words.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@contextlib.contextmanager
def started(run: Path, *words: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Start a server and wait for its address; what is left of it ends here."""
    command = [sys.executable, "-m", "striate", "serve", str(run), "--port", "0", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            lines = (re.search(r"http://[\d.:]+/", line) for line in process.stderr)
            yield process, next(found[0] for found in lines if found)
        finally:
            process.kill()


@pytest.mark.slow
def test_a_server_reloads_and_ends_without_a_request_that_fails(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "run", tmp_path / "run")
    with started(tmp_path / "run", "--workers", "1") as (process, url):
        change(tmp_path / "run", 0.5)
        with ThreadPoolExecutor(4) as threads:
            asking = [threads.submit(asked, url, process, first=k == 0) for k in range(4)]
            statuses, versions = zip(*(one.result() for one in asking), strict=True)
        assert set().union(*statuses) == {200}
        assert {len(found) for found in versions} == {2}
        assert ended_with_answers(process, url) == 0


def asked(url: str, process: Any, *, first: bool) -> tuple[set[int], set[str]]:
    """Ask until another network answers; the first who asks has the server load its runs again."""
    statuses: set[int] = set()
    versions: set[str] = set()
    until = time.monotonic() + 90
    with httpx.Client(base_url=url, timeout=60) as client:
        while len(versions) < 2 and time.monotonic() < until:
            answer = client.post("/v1/predict", content=png("ring", 0))
            statuses.add(answer.status_code)
            versions.add(answer.json().get("version"))
            if first:
                process.send_signal(signal.SIGHUP)
                first = False
    return statuses, versions


def ended_with_answers(process: "subprocess.Popen[str]", url: str) -> int:
    """Send SIGTERM while requests are under way: each is answered, none is taken after."""
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    content = png("cross", 1)
    head = f"POST /v1/predict HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(content)}\r\n"
    waiting = [socket.create_connection((host, int(port)), timeout=60) for _ in range(8)]
    for one in waiting:
        one.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
    for one in waiting:
        assert b" 100 " in one.recv(100)  # it has begun to read
        one.sendall(content[:50])
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    assert any("ending: answering what was accepted" in line for line in process.stderr)
    for one in waiting:
        one.sendall(content[50:])
    for one in waiting:
        with one, one.makefile("rb") as answer:
            assert b" 200 " in answer.readline()
            rest = answer.read()
            assert b"\r\nconnection: close\r\n" in rest.lower()
            assert b'"predictions"' in rest
    code = process.wait(60)
    assert "Traceback" not in process.stderr.read()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, int(port)))
    return code


def test_errors_of_json_are_none(site: Site) -> None:
    """Every answer that is JSON can be read as such, and has a content type."""
    for path in ("/v1/models", "/healthz", "/readyz", "/openapi.json", "/nothing"):
        answer = site.ask("GET", path)
        assert answer.headers["content-type"] == "application/json"
        json.loads(answer.content)


def test_the_image_runs_without_rights_and_its_command_is_one_of_ours() -> None:
    """What a linter of Dockerfiles would ask for, and that its words are flags of the command."""
    root = Path(__file__).parents[1]
    text = re.sub(r"\\\n", " ", (root / "Dockerfile").read_text())
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] != "#"]
    kinds = [kind for kind, *_ in lines]
    assert not {"ADD", "MAINTAINER", "VOLUME"} & set(kinds)
    assert all(re.search(r":[\d.]+-slim\b", rest) for kind, rest in lines if kind == "FROM")
    final = lines[len(kinds) - kinds[::-1].index("FROM") :]
    assert [rest for kind, rest in final if kind == "USER"] == ["10001"]
    assert [kind for kind, _ in final].index("USER") < [kind for kind, _ in final].index(
        "ENTRYPOINT"
    )
    installs = [rest for kind, rest in lines if kind == "RUN" and "pip install" in rest]
    assert installs
    assert all(one.count("pip install --no-cache-dir") == 2 for one in installs)
    (health,) = (rest for kind, rest in final if kind == "HEALTHCHECK")
    assert "http://127.0.0.1:8000/healthz" in health
    (entry,) = (json.loads(rest) for kind, rest in final if kind == "ENTRYPOINT")
    _, bound, _ = cli.app.parse_args([*entry[1:], "--allow-host", "a:1"], exit_on_error=False)
    assert entry[0] == "striate"
    assert bound.arguments["host"] == "0.0.0.0"
    assert bound.arguments["token_file"] == Path("/token")
    copied = [rest.split()[:-1] for kind, rest in lines if kind == "COPY" and "--from" not in rest]
    kept = (root / ".dockerignore").read_text().split()
    assert kept[0] == "*"
    assert {f"!{name}" for names in copied for name in names} | {"**/__pycache__"} == {*kept[1:]}
