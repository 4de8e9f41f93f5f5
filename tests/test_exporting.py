"""Exported files: their answers beside PyTorch's, what they say of themselves, what is refused."""

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import striate
from striate import api, cli, exported, models
from striate.data.preparation.clips import Clips
from striate.data.preparation.kinds import Preparation
from striate.data.preparation.preprocessing import Preprocessing, Zca
from striate.data.preparation.spectrograms import Spectrograms
from striate.errors import DataError
from striate.exported.document import Document
from striate.exporting import agreement, formats, onnxfile, writing
from striate.exporting.graph import Whole, arranged
from striate.images import fitting

CHOICES: dict[str, Any] = {"epochs": 2, "batch_size": 256, "arguments": {"width": 4}}


@pytest.fixture(scope="module", autouse=True)
def _one_table_of_operations() -> Any:
    """Read the exporter's table of operations once: it takes most of a small network's time."""
    from torch.onnx._internal.exporter import _registration

    table = _registration.ONNXRegistry
    before = table.__dict__["from_torchlib"]
    setattr(table, "from_torchlib", staticmethod(functools.cache(table.from_torchlib)))  # noqa: B010
    yield
    setattr(table, "from_torchlib", before)  # noqa: B010


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> api.Run:
    return api.train("digits", out=tmp_path_factory.mktemp("runs") / "first", **CHOICES)


@pytest.fixture(scope="module")
def written(run: api.Run) -> writing.Written:
    return run.export(license="apache-2.0")


def pictures(place: Path, many: int = 5) -> list[str]:
    random = np.random.default_rng(0)
    place.mkdir(exist_ok=True)
    names = []
    for number in range(many):
        side = 8 + 9 * number
        pixels = random.integers(0, 256, (side, side + number), dtype=np.uint8)
        from PIL import Image

        Image.fromarray(pixels).save(place / f"{number}.png")
        names.append(str(place / f"{number}.png"))
    return names


def asked(whole: Whole, preparation: Preparation, name: str = "x") -> Callable[[Any], Any]:
    """Export a network and return what asks the file."""
    document = Document(preparation.kind, ("a",), {}, name, "0", "")
    program = onnxfile.traced(
        whole, arranged(torch.zeros(2, *preparation.pixel_shape).to(preparation.dtype))
    )
    made = formats.FORMATS["onnx"]
    return made.opened(made.made(program, document, None))


# A run


def test_a_file_answers_as_its_run(run: api.Run, written: writing.Written, tmp_path: Path) -> None:
    assert written.path == run.folder / "model.onnx"
    assert written.agreement.n == 256
    assert written.agreement.same == written.agreement.clear > 200
    assert written.agreement.difference < 1e-5
    paths = pictures(tmp_path)
    file = exported.load(written.path)
    own, found = run.predict(paths, top=3), file.predict(paths, top=3)
    assert [row.file for row in found] == [row.file for row in own]
    for one, other in zip(own, found, strict=True):
        assert one.classes[0].name == other.classes[0].name
        assert one.classes[0].probability == pytest.approx(other.classes[0].probability, abs=0.01)
    arrays = [np.zeros((30, 20), np.uint8), np.zeros((8, 8, 3), np.uint8)]
    assert len(file.predict(arrays, workers=0, max_megapixels=1)) == 2
    assert file.classes == run.classes
    file.close()


def test_the_metadata_say_what_the_file_takes(run: api.Run, written: writing.Written) -> None:
    model = onnx.load(written.path)
    onnx.checker.check_model(model, full_check=True)
    (document,) = [json.loads(m.value) for m in model.metadata_props if m.key == "striate"]
    assert document["classes"] == list(run.classes)
    assert document["license"] == "apache-2.0"
    assert document["striate"] == striate.__version__
    assert document["preprocessing"] == run.bundle.preprocessing.to_json()
    (taken,) = model.graph.input
    shape = taken.type.tensor_type.shape.dim
    assert taken.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [axis.dim_param or axis.dim_value for axis in shape] == ["batch", 8, 8, 1]
    assert [one.name for one in model.graph.output] == ["logits", "probabilities"]
    assert str(Path(torch.__file__).parent).encode() not in written.path.read_bytes()


def test_the_command_predicts_by_a_file_without_torch(
    run: api.Run, written: writing.Written, tmp_path: Path
) -> None:
    paths = [*pictures(tmp_path), str(tmp_path / "absent.png")]
    code = (
        "import sys; from striate import cli; status = cli.main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules; sys.exit(status)"
    )
    line = [sys.executable, "-W", "error", "-c", code, "predict", str(written.path), *paths]
    said = subprocess.run([*line, "--json"], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    rows = json.loads(said.stdout)
    own = [row.to_json() for row in run.predict(paths, top=3)]
    assert [row["file"] for row in rows] == [row["file"] for row in own]
    assert [row.keys() for row in rows] == [row.keys() for row in own]
    assert rows[-1] == own[-1]
    assert [row["classes"][0]["name"] for row in rows[:-1]] == [
        row["classes"][0]["name"] for row in own[:-1]
    ]


def test_tables_are_written_from_a_file(written: writing.Written, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    line = ["predict", str(written.path), *pictures(tmp_path), "-o", str(out), "--top", "2"]
    assert cli.main(line) == 0
    assert len(out.read_text().splitlines()) == 5
    assert cli.main([*line, "--device", "cuda"]) == 2


def test_int8_is_fitted_and_refused_beyond_its_drop(
    run: api.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "small.onnx"
    found = run.export(quantize="int8", out=out, max_drop=100)
    assert found.agreement.n == 359  # all of the split
    assert found.accuracy > found.accuracy_before - 0.1
    assert exported.load(out).document.quantized == "int8"
    kinds = {node.op_type for node in onnx.load(out).graph.node}
    assert "QuantizeLinear" in kinds
    out.unlink()
    monkeypatch.setattr(writing, "_content", lambda *_: {".onnx": b""})
    monkeypatch.setattr(writing, "_answers", lambda *_: np.zeros((359, 10), "f4"))
    monkeypatch.setitem(
        formats.FORMATS,
        "onnx",
        formats.FORMATS["onnx"]._replace(opened=lambda _: None),  # type: ignore[arg-type, return-value]
    )
    with pytest.raises(DataError, match="int8 costs"):
        run.export(quantize="int8", out=out)
    assert not list(tmp_path.iterdir())


def test_a_file_that_answers_otherwise_is_not_kept(
    run: api.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(_: Any) -> Any:
        return lambda pixels: np.zeros((len(pixels), 10), np.float32)

    made = formats.FORMATS["torch-export"]._replace(opened=other)
    monkeypatch.setitem(formats.FORMATS, "torch-export", made)
    with pytest.raises(DataError, match="answers differently from the network"):
        run.export("torch-export", out=tmp_path / "x.pt2")
    assert not list(tmp_path.iterdir())


def test_an_archive_of_torch_answers_as_its_run(run: api.Run, tmp_path: Path) -> None:
    found = run.export("torch-export", out=tmp_path / "x.pt2")
    assert found.agreement.difference < 1e-6
    extra = {"striate.json": ""}
    torch.export.load(found.path, extra_files=extra)
    assert Document.from_text(extra["striate.json"]).classes == run.classes


def test_files_of_openvino_answer_as_their_run(run: api.Run, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is 60 MB to fetch: not among the tests' own")
    found = run.export("openvino", out=tmp_path / "x.xml")
    assert found.agreement.difference < 1e-4
    assert {path.name for path in tmp_path.iterdir()} == {"x.xml", "x.bin"}


def test_what_is_refused(run: api.Run, capsys: pytest.CaptureFixture[str]) -> None:
    for line, said in {
        "--format tflite": "choose one of onnx, torch-export, openvino",
        "--quantize int4": "int8",
        "--format torch-export --quantize int8": "--quantize int8 is for onnx and openvino",
        "-o x.pb": "--out is a .onnx file",
        "--max-drop 101": "--max-drop is 0 to 100",
    }.items():
        assert cli.main(["export", str(run.folder), *line.split()]) == 2
        assert said in capsys.readouterr().err
    assert cli.main(["export", str(run.folder / "bundle")]) == 1
    assert "--data DATA" in capsys.readouterr().err


def test_probabilities_have_the_temperature(run: api.Run, written: writing.Written) -> None:
    """By PyTorch: the division is one operation of the graph."""
    whole = Whole(run.model, run.bundle.preprocessing, temperature=2.0)
    pixels = torch.randint(0, 256, (4, 8, 8, 1), dtype=torch.uint8)
    logits, shares = whole(pixels)
    plain = torch.from_numpy(exported.load(written.path).logits(pixels.numpy()))
    torch.testing.assert_close(logits, plain / 2, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shares, (plain / 2).softmax(1), atol=1e-5, rtol=1e-5)


# Cards


def test_a_card_says_what_the_run_says(
    run: api.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub import ModelCard

    out = tmp_path / "card.md"
    assert cli.main(["card", str(run.folder), "--license", "mit", "-o", str(out)]) == 0
    assert "hf upload USER/first " in capsys.readouterr().out
    card = ModelCard(out.read_text())
    assert card.data.to_dict() == {
        "license": "mit",
        "library_name": "striate",
        "pipeline_tag": "image-classification",
        "tags": ["striate", "pytorch", "convolutional-network", "convnet"],
        "metrics": ["accuracy"],
    }
    for said in ("359 pictures of the test split", "`0`, `1`", "width = 4", "test 359 pictures"):
        assert said in card.text
    assert f"{100 * run.accuracy:.2f} %" in card.text
    assert run.card() == run.folder / "bundle" / "README.md"
    assert run.predict([np.zeros((8, 8), np.uint8)])  # the bundle is whole with it
    assert cli.main(["card", str(run.folder / "bundle")]) == 1


# Comparing


def test_agreement_counts_clear_answers() -> None:
    own = np.log(np.array([[0.6, 0.4], [0.5002, 0.4998], [0.2, 0.8]], np.float32))
    found = own[:, ::-1].copy()
    assert agreement.compare(own, own) == (3, 2, 2, 0.0)
    assert agreement.compare(own, found)[:3] == (3, 2, 0)
    assert agreement.compare(own[:, :1], own[:, :1])[:3] == (3, 0, 0)
    agreement.require(agreement.compare(own, own), "pictures")
    for bad in (found, own + np.array([[0, 0.01]], np.float32), own * np.float32(np.nan)):
        with pytest.raises(DataError, match="answers differently"):
            agreement.require(agreement.compare(own, bad), "pictures")


# Networks

SMALL: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "convnet": ((3, 32, 32), {"width": 4}),
    "mlp": ((1, 8, 8), {"hidden": 8}),
    "mnist-convnet": ((1, 28, 28), {}),
    "lenet": ((1, 28, 28), {}),
    "cifar-convnet": ((3, 16, 16), {"norm": "group"}),
    "alexnet": ((3, 63, 63), {"hidden": 8}),
    "vgg11-bn": ((3, 32, 32), {"width": 4, "hidden": 8}),
    "resnet18": ((3, 33, 33), {"width": 4, "norm": "instance"}),
    "wide-resnet": ((3, 16, 16), {"depth": 10, "widen": 1}),
}


def answers_agree(net: nn.Module, preparation: Preparation) -> None:
    """Export a network and compare its logits in batches of several sizes."""
    ask = asked(Whole(net, preparation), preparation)
    random = torch.Generator().manual_seed(0)
    whole = torch.iinfo(preparation.dtype)
    pixels = torch.randint(
        whole.min, whole.max + 1, (3, *preparation.pixel_shape), generator=random
    ).to(preparation.dtype)
    pixels[1, ..., : pixels.shape[-1] // 2] = 0  # half silent, or black
    with torch.inference_mode():
        expected = net(preparation.values(pixels)).softmax(1).numpy()
    for count in (3, 1):
        found = torch.from_numpy(ask(arranged(pixels[:count]).numpy())).softmax(1).numpy()
        np.testing.assert_allclose(found, expected[:count], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_every_kind_of_network_exports(name: str) -> None:
    (channels, *size), chosen = SMALL[name]
    torch.manual_seed(0)
    net = models.build(name, 5, channels=channels, size=tuple(size), **chosen).eval()
    answers_agree(net, Preprocessing((size[0], size[1]), channels))


# Preprocessing


def linear(preparation: Preparation) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(preparation.shape)), 3))
    return net.eval()


def whitening() -> Zca:
    random = torch.Generator().manual_seed(0)
    return Zca.fit([torch.randint(0, 256, (60, 3, 4, 4), generator=random, dtype=torch.uint8)])


@pytest.mark.parametrize(
    "preparation",
    [
        Preprocessing((5, 4), 3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.0, 0.3)),
        Preprocessing((5, 4), 1, normalise="none"),
        Preprocessing((4, 4), 3, normalise="picture"),
        Preprocessing((4, 4), 3, normalise="zca", zca=whitening()),
        Clips(3, Preprocessing((4, 5), 3, mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5))),
        Clips(1, Preprocessing((4, 5), 1, normalise="picture")),
        Spectrograms(length=1000),
        Spectrograms(length=1000, normalise="dataset", mean=(-20.0,) * 40, std=(*[9.0] * 39, 0.0)),
        Spectrograms(length=1000, normalise="none", depth=30.0),
    ],
    ids=lambda p: f"{p.kind}-{getattr(p, 'normalise', p.shape)}",
)
def test_preprocessing_is_inside(preparation: Preparation) -> None:
    """By PyTorch: what ONNX makes of it is compared for the networks and for each export."""
    whole = torch.iinfo(preparation.dtype)
    random = torch.Generator().manual_seed(1)
    pixels = torch.randint(
        whole.min, whole.max + 1, (3, *preparation.pixel_shape), generator=random
    ).to(preparation.dtype)
    pixels[1] //= 100  # nearly silent, or dark
    found = Whole(nn.Identity(), preparation).values(arranged(pixels))
    # Sums over sounds are taken of levels that are rounded to 1 / 4096 of a decibel.
    apart = 3e-4 if preparation.kind == "sounds" else 2e-5
    torch.testing.assert_close(found, preparation.values(pixels), atol=apart, rtol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["picture", "zca", "sounds", "clips"])
def test_onnx_computes_the_preprocessing(kind: str) -> None:
    preparations: dict[str, Preparation] = {
        "picture": Preprocessing((4, 4), 3, normalise="picture"),
        "zca": Preprocessing((4, 4), 3, normalise="zca", zca=whitening()),
        "sounds": Spectrograms(length=1000),
        "clips": Clips(3, Preprocessing((4, 5), 3, mean=(0.1, 0.2, 0.3), std=(0.5,) * 3)),
    }
    preparation = preparations[kind]
    answers_agree(linear(preparation), preparation)


# Bringing pictures to size


@given(
    sides=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    channels=st.sampled_from([1, 3]),
    colours=st.sampled_from([(), (3,)]),
    how=st.tuples(
        st.sampled_from(fitting.FITS), st.floats(0.3, 1), st.sampled_from(list(fitting.FILTERS))
    ),
    seed=st.integers(0, 99),
)
def test_pixels_are_those_of_the_run(
    sides: tuple[int, int],
    size: tuple[int, int],
    channels: int,
    colours: tuple[int, ...],
    how: tuple[str, float, str],
    seed: int,
) -> None:
    fit, share, filter = how
    given = Preprocessing(
        size, channels, fit=fit, share=share if fit == "crop" else 1.0, filter=filter
    )
    picture = np.random.default_rng(seed).integers(0, 256, (*sides, *colours), dtype=np.uint8)
    own = arranged(given.pixels(picture)[None])[0].numpy()
    np.testing.assert_array_equal(own, fitting.fitted(picture, given.fitting))
