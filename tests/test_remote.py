"""Shards over HTTP and S3: the same pictures as on the disk, parts alone, and what goes wrong."""

import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_streaming import CHOICES, StopAt, weights

from striate import api
from striate import data as sources
from striate.data.batches import order, read
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.preparation.survey import survey
from striate.data.sources import indexes, remote
from striate.data.sources.sharding import write_shards
from striate.errors import DataError, Stopped, UsageError
from striate.runs import folder
from striate.training.start import Means

COLOUR = Preprocessing(size=(6, 5), channels=3, normalise="none")
PICTURES, PER_SHARD = 50, 20


class Site(ThreadingHTTPServer):
    """A server of a folder, which misbehaves as it is told."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.gives_parts = True
        self.refusals: list[int] = []  # statuses that answer the next requests for bytes
        self.asked: Counter[str] = Counter()  # requests by method
        self.sent = 0  # bytes of files
        self.largest = 0  # of one answer

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Site
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.server.asked[self.command] += 1
        if body and self.server.refusals:
            self._plain(self.server.refusals.pop(0))
            return
        path, _, query = self.path.partition("?")
        if "list-type=2" in query:
            self._plain(403) if "secret" in query else self._list(query)
            return
        file = self.server.folder / path.lstrip("/")
        if "secret" in path:
            self._plain(403)
        elif not file.is_file():
            self._plain(200 if file.is_dir() else 404)
        else:
            self._file(file.read_bytes(), file.stat().st_mtime_ns, body=body)

    def _file(self, content: bytes, state: int, *, body: bool) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        whole = len(content)
        if wanted and self.server.gives_parts:
            begin, end = int(wanted[1]), min(int(wanted[2]) + 1, whole)
            content = content[begin:end]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{whole}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", f"{len(content)}")
        self.send_header("ETag", f'"{state}"')
        self.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
        self.end_headers()
        if body:
            self.server.sent += len(content)
            self.server.largest = max(self.server.largest, len(content))
            self.wfile.write(content)

    def _list(self, query: str) -> None:
        prefix = re.search(r"prefix=([^&]*)", query)
        start = prefix[1].replace("%2F", "/") if prefix else ""
        root = self.server.folder / self.path.partition("?")[0].strip("/")
        names = [f"{path.relative_to(root)}" for path in sorted(root.rglob("*.tar"))]
        keys = "".join(
            f"<Contents><Key>{name}</Key><Size>{(root / name).stat().st_size}</Size>"
            f"<ETag>1</ETag><LastModified>2015-10-21T07:28:00Z</LastModified></Contents>"
            for name in names
            if name.startswith(start)
        )
        text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{keys}</ListBucketResult>"
        self._plain(200, text.encode())

    def _plain(self, status: int, content: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", f"{len(content)}")
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tar shards of random pictures in two classes."""
    random, home = np.random.default_rng(0), tmp_path_factory.mktemp("pictures")
    for number in range(PICTURES):
        folder = home / "given" / ("dark" if number % 2 else "light")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (14, 13, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    list(write_shards(sources.find(home / "given"), home / "shards", per_shard=PER_SHARD))
    return home / "shards"


@pytest.fixture
def site(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server of a copy of the shards, below /bucket/."""
    shutil.copytree(shards, tmp_path / "site" / "bucket")
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "kept"))
    monkeypatch.setattr(remote, "PAUSE", 0.0)
    site = Site(tmp_path / "site")
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    site.shutdown()
    thread.join()
    site.server_close()


NUMBERED = "bucket/train-{000000..000002}.tar"


@pytest.mark.parametrize("workers", [0, 2])
def test_shards_elsewhere_hold_what_the_same_ones_here_do(
    site: Site, shards: Path, workers: int
) -> None:
    here, there = sources.find(shards), sources.find(f"{site.address}/{NUMBERED}")
    assert there.classes == here.classes
    mine, other = (data.splits["train"] for data in (here, there))
    assert list(other.names) == list(mine.names)
    assert other.labels.tolist() == mine.labels.tolist()
    assert survey(other.pictures) == survey(mine.pictures)
    rows = order(len(mine), seed=3, epoch=1)
    held, _ = read(mine, COLOUR, workers=0)
    fetched, unreadable = read(other, COLOUR, workers=workers, held_bytes=0)
    assert (fetched.pixels, unreadable) == (None, [])
    for one, two in zip(held.batches(rows, 7), fetched.batches(rows, 7), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    fetched.close()


def test_an_index_is_made_once_and_pictures_are_asked_for_by_their_parts(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"{site.address}/{NUMBERED}"
    sources.find(address)
    assert "listing 3 shards elsewhere, once" in capsys.readouterr().err
    site.sent = site.largest = 0
    again = sources.find(address).splits["train"]
    assert capsys.readouterr().err == ""
    assert site.sent <= 3, "the probe alone: one byte"
    pictures, _ = read(again, COLOUR, workers=2, held_bytes=0)
    whole = sum(path.stat().st_size for path in (site.folder / "bucket").iterdir())
    most = max(len(again.pictures[row].read()) for row in range(len(again)))
    site.sent = site.largest = 0
    for _ in pictures.batches(torch.arange(10), 4):
        pass
    pictures.close()
    assert 0 < site.sent < whole / 3
    assert site.largest <= most + 512, "a picture and its header"


@pytest.mark.parametrize("address", ["memory://", "file://"])
def test_other_addresses_are_read_through_fsspec_too(
    site: Site, shards: Path, address: str
) -> None:
    import fsspec

    if address == "memory://":
        for path in shards.iterdir():
            fsspec.filesystem("memory").pipe(f"/kept/{path.name}", path.read_bytes())
        address += "kept/train-*.tar"
    else:
        address += f"{site.folder}/bucket"
    there = sources.find(address)
    assert len(there.splits["train"]) == PICTURES
    assert there.origin.text == address
    pictures, unreadable = read(there.splits["train"], COLOUR, workers=2, held_bytes=0)
    assert (len(pictures), unreadable) == (PICTURES, [])
    pictures.close()


@pytest.fixture
def s3(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The server as S3's own, with credentials for it."""
    for name, value in (
        ("AWS_ENDPOINT_URL", site.address),
        ("AWS_ACCESS_KEY_ID", "nobody"),
        ("AWS_SECRET_ACCESS_KEY", "nothing"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ):
        monkeypatch.setenv(name, value)
    remote.opened.cache_clear()
    yield site
    remote.opened.cache_clear()


@pytest.mark.parametrize(
    "address", [f"s3://{NUMBERED}", "s3://bucket/", "s3://bucket/train-*1.tar"]
)
def test_shards_in_s3_are_read(s3: Site, shards: Path, address: str) -> None:
    expected = sources.find(shards).splits["train"]
    found = sources.find(address).splits["train"]
    assert s3.asked["HEAD"] or s3.asked["GET"]
    chosen = [n for n in expected.names if "*" not in address or n.startswith("train-000001")]
    assert list(found.names) == chosen
    first = found.pictures[3].read()
    assert first == expected.pictures[list(expected.names).index(chosen[3])].read()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://bucket/train-000007.tar", "there is no such file (404)"),
        ("s3://bucket/secret.tar", "access is refused"),
        ("s3://empty/", "s3://empty/ holds no .tar files"),
        ("memory://nothing/train.tar", "there is no such file (404)"),
    ],
)
def test_what_is_not_in_a_bucket_is_one_line(s3: Site, address: str, words: str) -> None:
    with pytest.raises(DataError) as error:
        sources.find(address)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert s3.asked["HEAD"] < remote.TRIES, "no second try"


def test_a_training_over_http_ends_with_the_weights_of_one_from_the_disk(
    site: Site, shards: Path, tmp_path: Path
) -> None:
    means = Means(memory=0)
    here = api.train(shards, out=tmp_path / "here", means=means, **CHOICES)
    address = f"{site.address}/{NUMBERED}"
    with pytest.raises(Stopped):
        api.train(address, out=tmp_path / "run", means=means, show=StopAt(3), **CHOICES)
    site.refusals = [503]
    run = api.train(resume=tmp_path / "run", means=means)
    assert weights(run.folder) == weights(here.folder)
    assert folder.read_origin(run.folder).text == address
    assert site.refusals == []


def test_a_shard_that_is_changed_is_an_error_at_once_and_when_a_run_goes_on(
    site: Site, tmp_path: Path
) -> None:
    address, means = f"{site.address}/{NUMBERED}", Means(memory=0)
    pictures = sources.find(address).splits["train"].pictures
    with pytest.raises(Stopped):
        api.train(address, out=tmp_path / "run", means=means, show=StopAt(3), **CHOICES)
    first, second = (site.folder / "bucket" / f"train-00000{n}.tar" for n in (0, 1))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    with pytest.raises(DataError, match=r"train-000000\.tar has changed since it was listed"):
        [pictures[row].read() for row in range(PER_SHARD)]
    # One pixel of a picture: names, sizes and labels stay.
    place = content.index(b"IDAT") + 60
    first.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
    with pytest.raises(DataError):
        api.train(resume=tmp_path / "run", means=means)
    first.write_bytes(content)  # with another time: its pixels are compared
    api.train(resume=tmp_path / "run", means=means)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("bucket/train-000007.tar", "train-000007.tar: there is no such file (404)"),
        ("bucket/secret.tar", "secret.tar: access is refused (403)"),
        ("bucket/", "a web server lists no files: give the address of a .tar file"),
        ("bucket/train-*.tar", "with their numbers in braces"),
    ],
)
def test_what_is_not_there_is_one_line(site: Site, path: str, words: str) -> None:
    with pytest.raises((DataError, UsageError)) as error:
        sources.find(f"{site.address}/{path}")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ftp://host/train.tar", "an address begins with one of http://, https://, s3://"),
        ("simplecache::http://host/train.tar", "there is no file or folder"),
        ("http://simplecache::http://host/train.tar", "an address begins with one of"),
        ("https://me:word@host/train.tar", "write no name or password into that of host"),
    ],
)
def test_addresses_that_are_not_offered_are_refused(address: str, words: str) -> None:
    with pytest.raises((DataError, UsageError), match=words):
        sources.find(address)


def test_a_server_that_sends_files_as_a_whole_is_refused_before_one_is_read(site: Site) -> None:
    site.gives_parts = False
    with pytest.raises(DataError, match="sends files as a whole only: fetch them, and give"):
        sources.find(f"{site.address}/{NUMBERED}")


def test_nobody_listening_is_one_line_after_some_tries(site: Site) -> None:
    address = site.address
    site.server_close()
    with pytest.raises(DataError, match=rf"Cannot connect.*\({remote.TRIES} tries\)") as error:
        sources.find(f"{address}/{NUMBERED}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("count", [remote.TRIES - 1, remote.TRIES])
def test_a_request_is_made_again_but_not_for_ever(site: Site, count: int) -> None:
    picture = sources.find(f"{site.address}/{NUMBERED}").splits["train"].pictures[0]
    content = picture.read()
    site.refusals = [503] * count
    if count < remote.TRIES:
        assert picture.read() == content
        return
    with pytest.raises(DataError, match=rf"the server answers 503.*\({remote.TRIES} tries\)"):
        picture.read()


def test_no_answer_is_an_error_and_not_an_unreadable_picture(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = sources.find(f"{site.address}/{NUMBERED}").splits["train"]
    pictures, _ = read(split, COLOUR, workers=2, held_bytes=0)
    site.refusals = [403]
    with pytest.raises(DataError, match="access is refused"):
        list(pictures.batches(torch.arange(20), 4))
    pictures.close()
    held = threading.Event()
    monkeypatch.setattr(_Handler, "do_GET", lambda _: held.wait(20))
    monkeypatch.setattr(remote, "READING", 0.1)
    monkeypatch.setattr(remote, "TRIES", 2)
    remote.opened.cache_clear()
    with pytest.raises(DataError, match=r"no answer within 0\.1 seconds \(2 tries\)"):
        remote.Remote(f"{site.address}/bucket/train-000000.tar").part(0, 9)
    held.set()
    remote.opened.cache_clear()


def test_a_damaged_index_is_made_anew(site: Site, tmp_path: Path) -> None:
    address = f"{site.address}/{NUMBERED}"
    before = list(sources.find(address).splits["train"].names)
    (first, second, third) = sorted((tmp_path / "kept" / "indexes").iterdir())
    first.write_bytes(first.read_bytes()[:100])
    second.write_text("[]")
    third.write_text(third.read_text().replace('"format": 1', '"format": 0'))
    assert list(sources.find(address).splits["train"].names) == before
    assert indexes.FORMAT == 1


def test_a_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(DataError, match="s3:// is read by s3fs, which is missing: pip install s3f"):
        sources.find("s3://bucket/train.tar")
