"""Hostile ONNX files: each is one clear line, whatever stands in it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from striate import cli, exported
from striate.errors import DataError
from striate.exported.operations import has_inner_graphs

FITTING = {"size": [8, 8], "channels": 1, "fit": "stretch", "share": 1.0, "filter": "bilinear"}
DOCUMENT: dict[str, Any] = {
    "format": 1, "kind": "pictures", "classes": ["a", "b", "c"], "model": "m", "striate": "0",
    "preprocessing": {**FITTING, "max_pixels": 1_000_000}, "sizing": "", "temperature": 1.0,
}  # fmt: skip


def constant(name: str, values: Any, kind: Any = np.float32) -> Any:
    return numpy_helper.from_array(np.array(values, kind), name)


def weights(number: float = 0.5) -> Any:
    return constant("W", np.full((64, 3), number))


def model(
    *nodes: Any,
    more: Any = (),
    document: str | None = None,
    name: str = "pictures",
    gives: int = 3,
) -> bytes:
    """Build a file of a linear layer, and of what follows it: from `l` to `logits`."""
    nodes = nodes or (helper.make_node("Identity", ["l"], ["logits"]),)
    begin = (
        helper.make_node("Cast", [name], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["f"], ["x"]),
        helper.make_node("MatMul", ["x", "W"], ["l"]),
    )
    values = {one.name: one for one in (weights(), *more)}
    graph = helper.make_graph(
        [*begin, *nodes],
        "g",
        [helper.make_tensor_value_info(name, TensorProto.UINT8, ["batch", 8, 8, 1])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", gives])],
        list(values.values()),
    )
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    said = found.metadata_props.add()
    said.key, said.value = "striate", json.dumps(DOCUMENT) if document is None else document
    return bytes(found.SerializeToString())


def grown(count: int) -> bytes:
    """Build a file that wants so many numbers at once."""
    expand = helper.make_node("Expand", ["one", "S"], ["e"])
    add = helper.make_node("ReduceSum", ["e"], ["r"], keepdims=0)
    last = helper.make_node("Add", ["l", "r"], ["logits"])
    return model(expand, add, last, more=(constant("one", [1.0]), constant("S", [count], np.int64)))


def looped() -> bytes:
    """Build a file that runs for ever."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        [info("i", TensorProto.INT64, []), info("c", TensorProto.BOOL, []), info("v", 1, None)],
        [info("d", TensorProto.BOOL, []), info("w", 1, None)],
    )
    loop = helper.make_node("Loop", ["N", "on", "l"], ["logits"], body=body)
    return model(loop, more=(constant("N", 1 << 62, np.int64), constant("on", True, np.bool_)))


def elsewhere(place: str) -> bytes:
    """Build a file whose weights lie in another one."""
    outside = TensorProto(name="W", data_type=1, dims=[64, 3], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": place, "offset": "0", "length": "768"}.items():
        entry = outside.external_data.add()
        entry.key, entry.value = key, value
    return model(more=(outside,))


def vast() -> bytes:
    return model(more=(TensorProto(name="W", data_type=1, dims=[1 << 40, 3], raw_data=b"1234"),))


def reshaped(*sides: int) -> bytes:
    node = helper.make_node("Reshape", ["l", "S"], ["logits"])
    return model(node, more=(constant("S", sides, np.int64),))


def other_metadata(**fields: Any) -> bytes:
    return model(document=json.dumps({**DOCUMENT, **fields}))


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is no ONNX file"),
    "text": (lambda: b"hello" * 100, "is no ONNX file"),
    "zeros": (lambda: bytes(1_000_000), "is no ONNX file"),
    "cut off": (lambda: model()[:-50], "is no ONNX file"),
    "outside": (lambda: elsewhere("/etc/passwd"), "is no ONNX file"),
    "outside, by a way up": (lambda: elsewhere("../../etc/passwd"), "is no ONNX file"),
    "vast weights": (vast, "is no ONNX file"),
    "vast numbers": (lambda: grown(300_000_000_000), "cannot be run"),
    "for ever": (looped, "loops or branches"),
    "other operations": (
        lambda: model(helper.make_node("Evil", ["l"], ["logits"], domain="evil")),
        "is no ONNX file",
    ),
    "another's": (
        lambda: model().replace(b"striate", b"another"), "was not written by `striate export`",
    ),
    "another input": (lambda: model(name="data"), "its input or output is not"),
    "another output": (lambda: other_metadata(classes=["a", "b"]), "its input or output is not"),
    "another shape, seen late": (lambda: reshaped(7, 3), "cannot be run"),
    "no document": (lambda: model(document=""), "document is damaged"),
    "a deep document": (lambda: model(document="[" * 100_000), "document is damaged"),
    "a list": (lambda: model(document="[]"), "document is damaged"),
    "no classes": (lambda: other_metadata(classes=[]), "document is damaged"),
    "newer": (lambda: other_metadata(format=2), "newer striate"),
    "an unknown filter": (
        lambda: other_metadata(preprocessing={**DOCUMENT["preprocessing"], "filter": "x"}),
        "preprocessing is damaged",
    ),
    "a giant size": (
        lambda: other_metadata(preprocessing={**DOCUMENT["preprocessing"], "size": [90000] * 2}),
        "preprocessing is damaged",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("hostile")
    Image.fromarray(np.full((8, 8), 9, np.uint8)).save(found / "a.png")
    return found


def predicted(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = cli.main(["predict", str(path), str(path.with_name("a.png")), "--workers", "0"])
    return status, *capsys.readouterr()


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_one_line(
    name: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, said = FILES[name]
    (place / "x.onnx").write_bytes(make())
    status, out, error = predicted(place / "x.onnx", capsys)
    (line,) = error.splitlines()
    assert (status, out) == (1, "")
    assert said in line
    assert "root:" not in line
    assert len(line) < 500 + len(str(place))


def test_a_good_file_is_answered_and_what_is_not_finite_is_said(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "x.onnx").write_bytes(model())
    status, out, _ = predicted(place / "x.onnx", capsys)
    assert (status, len(re.findall(r"33\.33", out))) == (0, 3)
    (place / "x.onnx").write_bytes(model(more=(weights(np.nan),)))
    status, out, error = predicted(place / "x.onnx", capsys)
    assert status == 1
    assert "the network's answer is not finite" in out + error


def test_names_that_are_no_text_are_one_line(place: Path) -> None:
    for old in (b"pictures", b"striate"):
        path = place / "names.onnx"
        path.write_bytes(model().replace(old, b"\xff" * len(old)))
        with pytest.raises(DataError, match=r"no text|no ONNX file|not written by"):
            exported.load(path)


@given(st.binary(max_size=60), st.integers(0, 1 << 20))
def test_graphs_within_graphs_are_found_or_the_bytes_are_no_model(noise: bytes, at: int) -> None:
    """By the reader of onnx itself: what it reads as a loop is one here, too."""
    good = looped()
    content = good[: at % len(good)] + noise + good[at % len(good) :]
    try:
        read = onnx.load_model_from_string(content)
    except Exception:  # no model by its own reader
        return
    inner = any(
        one.type in (5, 10) or one.HasField("g") for n in read.graph.node for one in n.attribute
    )
    try:
        found = has_inner_graphs(content)
    except ValueError:
        return  # it is refused
    assert found or not inner


@pytest.mark.skipif(sys.platform != "linux", reason="it forks")
def test_two_thousand_damaged_files_are_answered_or_refused(place: Path) -> None:
    (place / "good.onnx").write_bytes(model())
    script = Path(__file__).parents[1] / "benchmarks" / "hostile_onnx.py"
    line = [sys.executable, str(script), str(place / "good.onnx"), "--count", "2000"]
    said = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    counts = {
        what: int(n.replace(",", "")) for n, what in re.findall(r"^ *([\d,]+) (.+)$", said, re.M)
    }
    counts.pop(next(what for what in counts if what.startswith("files;")))
    assert sum(counts.values()) == 2000
    known = {"answered", "refused in a line", "not finite, which is a row's error"}
    assert counts.keys() <= known
    assert counts["refused in a line"] > 500
