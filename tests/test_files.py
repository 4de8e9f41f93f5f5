"""Durable writes, seals and locks."""

import ast
import json
import multiprocessing
import shutil
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate import files
from striate.errors import DataError, UsageError

SOURCES = Path(files.__file__).parent
DOCUMENT = {"format": 1, "name": "ä", "state": {"step": 3, "rate": 0.1, "rows": [1, None, True]}}
BLOBS = {"weights": bytes(range(64)), "optimiser": b"\0" * 16}
LEAF = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    LEAF | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc", min_size=1), inner),
    max_leaves=10,
)


def seal(folder: Path, document: Any = DOCUMENT, blobs: Any = BLOBS) -> Path:
    files.write_sealed(folder, "card.json", document, blobs)
    return folder


def forge(folder: Path, document: Any) -> None:
    """Write a document with a seal that fits it, as someone who means harm can."""
    body = {k: v for k, v in document.items() if k != "sha256"}
    whole = {**body, "sha256": files.sha256(files.json_bytes(body))}
    (folder / "card.json").write_bytes(files.json_bytes(whole))


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob(files.TEMPORARY + "*"))


@given(st.binary(), st.binary())
def test_a_write_replaces_the_whole_file_and_leaves_nothing_else(old: bytes, new: bytes) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "inner", "file")
        for content in (old, new):
            files.write(path, content)
            assert files.read(path) == content
        assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_write_that_fails_names_the_file_the_reason_and_the_free_space(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner").touch()
    with pytest.raises(DataError, match=r"cannot write .*folder: .*irectory.* MB free there"):
        files.write(tmp_path / "folder", b"new")
    assert not leftovers(tmp_path)
    with pytest.raises(DataError, match=r"cannot write .*inner/below: .*MB free there"):
        files.write(tmp_path / "folder" / "inner" / "below", b"new")


@given(st.dictionaries(st.text("abcd", min_size=1), VALUES), st.binary())
def test_what_is_sealed_is_read_back(document: dict[str, Any], blob: bytes) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = seal(Path(place, "x"), document, {"blob": blob})
        assert files.read_sealed(folder, "card.json") == (document, {"blob": blob})
        assert [p.name for p in Path(place).iterdir()] == ["x"]


def test_a_second_seal_replaces_the_first(tmp_path: Path) -> None:
    folder = seal(tmp_path / "x")
    seal(folder, {"format": 2}, {"other": b"1"})
    assert files.read_sealed(folder, "card.json") == ({"format": 2}, {"other": b"1"})
    assert {p.name for p in folder.iterdir()} == {"card.json", "other"}


def test_every_changed_byte_is_detected(tmp_path: Path) -> None:
    folder = seal(tmp_path / "x")
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for place in range(len(content)):
            for change in (1, 128, content[place] ^ ord(" "), 255):
                if change:
                    other = bytes([content[place] ^ change])
                    path.write_bytes(content[:place] + other + content[place + 1 :])
                    with pytest.raises(DataError, match=path.name):
                        files.read_sealed(folder, "card.json")
        path.write_bytes(content)
    files.read_sealed(folder, "card.json")


def test_every_truncation_and_every_byte_too_many_is_detected(tmp_path: Path) -> None:
    folder = seal(tmp_path / "x")
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        cuts = [content[:size] for size in range(len(content))]
        for other in (*cuts, content + b"\n", content + b"\0", b" " + content):
            path.write_bytes(other)
            with pytest.raises(DataError, match=path.name):
                files.read_sealed(folder, "card.json")
        path.write_bytes(content)


@pytest.mark.parametrize("name", [*BLOBS, "card.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = seal(tmp_path / "x")
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"cannot read .*{name}: No such file"):
        files.read_sealed(folder, "card.json")


@pytest.mark.parametrize("name", [*BLOBS, "card.json"])
def test_a_file_of_another_folder_is_detected(tmp_path: Path, name: str) -> None:
    first = seal(tmp_path / "1")
    second = seal(
        tmp_path / "2", {**DOCUMENT, "format": 2}, {k: b"x" + v for k, v in BLOBS.items()}
    )
    shutil.copy(second / name, first / name)
    with pytest.raises(DataError, match="damaged"):
        files.read_sealed(first, "card.json")


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda d: json.dumps(d),
        lambda d: json.dumps(d, separators=(",", ":")),
        lambda d: json.dumps(d, indent=4, ensure_ascii=False) + "\n",
        lambda d: json.dumps(d, indent=2) + "\n",
        lambda d: json.dumps(d, indent=2, ensure_ascii=False, sort_keys=True) + "\n",
        lambda d: json.dumps({**d, "more": 1}, indent=2, ensure_ascii=False) + "\n",
        lambda d: json.dumps({**d, "format": 2}, indent=2, ensure_ascii=False) + "\n",
        lambda d: json.dumps({**d, "files": {}}, indent=2, ensure_ascii=False) + "\n",
        lambda d: (
            json.dumps(d, indent=2, ensure_ascii=False).replace("{", '{"format": 9,', 1) + "\n"
        ),
    ],
)
def test_an_edited_or_reserialised_document_is_detected(tmp_path: Path, rewrite: Any) -> None:
    folder = seal(tmp_path / "x")
    path = folder / "card.json"
    path.write_text(rewrite(json.loads(path.read_text())), encoding="utf-8")
    with pytest.raises(DataError, match=r"card\.json is damaged"):
        files.read_sealed(folder, "card.json")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"null", b"[]", b"1", b'"sha256"', b"{}", b'{"sha256": 1}', b"\xff\xfe",
        b"[" * 200_000,
        b'{"files": {}, "sha256": ' + b"9" * 5000 + b"}", b'{"a":' * 100_000, b"NaN",
        b'{"files": {}, "sha256": NaN}', b'{"files": [], "sha256": ""}', b'{"a": "\\ud800"}',
    ],
)  # fmt: skip
def test_a_hostile_document_is_a_data_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "card.json").write_bytes(content)
    with pytest.raises(DataError, match=r"card\.json is damaged"):
        files.read_sealed(tmp_path, "card.json")


@given(st.binary() | VALUES.map(files.json_bytes))
def test_any_bytes_in_place_of_a_document_are_a_data_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place, "card.json").write_bytes(content)
        with pytest.raises(DataError, match="damaged"):
            files.read_sealed(Path(place), "card.json")


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/hostname", "a/b", "..", ".", "", "a\0", "a\\b"]
)
def test_a_sealed_blob_lies_beside_its_document(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"")
    folder = seal(tmp_path / "x")
    expected = {"bytes": 0, "sha256": files.sha256(b"")}
    forge(folder, {**DOCUMENT, "files": {name: expected}})
    with pytest.raises(DataError, match="is no name of a file beside it"):
        files.read_sealed(folder, "card.json")


@pytest.mark.parametrize("expected", [None, [], 0, "x", {}, {"bytes": 64}, {"bytes": "64"}])
def test_a_hostile_listing_is_a_data_error(tmp_path: Path, expected: Any) -> None:
    folder = seal(tmp_path / "x")
    forge(folder, {**DOCUMENT, "files": {"weights": expected}})
    with pytest.raises(DataError, match="weights is damaged"):
        files.read_sealed(folder, "card.json")


def test_what_a_killed_write_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    seal(tmp_path / "kept")
    (tmp_path / (files.NEW + "file")).write_bytes(b"half")
    (tmp_path / (files.NEW + "folder")).mkdir()
    (tmp_path / (files.NEW + "folder") / "weights").write_bytes(b"half")
    shutil.copytree(tmp_path / "kept", tmp_path / (files.OLD + "kept"))
    files.remove_stale(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    files.remove_stale(tmp_path / "there is none")


def test_a_folder_set_aside_comes_back(tmp_path: Path) -> None:
    folder = seal(tmp_path / "x")
    folder.rename(tmp_path / (files.OLD + "x"))
    shutil.copytree(tmp_path / (files.OLD + "x"), tmp_path / (files.NEW + "x"))
    files.remove_stale(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert files.read_sealed(folder, "card.json")[0] == DOCUMENT


def test_a_write_after_a_kill_keeps_the_folder_set_aside_until_it_is_done(tmp_path: Path) -> None:
    folder = seal(tmp_path / "x")
    folder.rename(tmp_path / (files.OLD + "x"))
    with pytest.raises(AssertionError):
        seal(folder, DOCUMENT, {"a/b": b""})
    with pytest.raises(DataError, match=r"cannot write .*: File name too long"):
        seal(folder, DOCUMENT, {"a" * 300: b""})
    assert files.read_sealed(folder, "card.json")[0] == DOCUMENT
    assert not leftovers(tmp_path)


def test_stale_names_of_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / (files.NEW + "old-x")).mkdir()
    files.remove_stale(tmp_path, only="x")
    assert leftovers(tmp_path)
    files.remove_stale(tmp_path, only="old-x")
    assert not list(tmp_path.iterdir())


def test_remove_takes_files_folders_and_nothing(tmp_path: Path) -> None:
    seal(tmp_path / "x")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "target").mkdir()
    for name in ("x", "link", "none"):
        files.remove(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def hold(path: Path, connection: Connection) -> None:
    with files.lock(path):
        connection.send("held")
        connection.recv()


def test_a_second_process_is_told_that_the_folder_is_in_use(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=hold, args=(tmp_path / ".lock", theirs))
    process.start()
    assert ours.recv() == "held"
    with (
        pytest.raises(UsageError, match="in use by another process"),
        files.lock(tmp_path / ".lock"),
    ):
        pass
    process.kill()
    process.join()
    with files.lock(tmp_path / ".lock"):  # the system gives back what a killed process held
        pass


def test_a_lock_that_cannot_be_made_is_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / "none" / ".lock"
    with pytest.raises(DataError, match=r"cannot lock .*\.lock: No such file"), files.lock(path):
        pass


# Answers of our own forked processes are pickled, no file is.
OTHERS = sorted(set(SOURCES.rglob("*.py")) - {SOURCES / "data" / "workers.py"})


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_no_module_unpickles(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    imported |= {
        str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and [n.name for n in node.names] != ["UnpicklingError"]
    }
    assert not {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"} & imported
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        options = {option.arg: ast.unparse(option.value) for option in call.keywords}
        assert ast.unparse(call.func) != "torch.load" or options["weights_only"] == "True"
        assert options.get("allow_pickle", "False") == "False"
