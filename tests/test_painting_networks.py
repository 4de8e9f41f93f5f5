"""Painting with any network: its layers by name, its weights, what is said where they are not."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

import striate
from striate import cli, models
from striate.data.preparation.preprocessing import Preprocessing
from striate.errors import DataError, UsageError
from striate.painting.networks import loading, vgg
from striate.painting.networks.convolution import fork
from striate.painting.networks.tapped import Tapped
from striate.runs import bundle

SMALL = ("torchvision/squeezenet1_1", "timm/test_resnet", "convnet")


def picture(seed: int, width: int = 48, height: int = 40) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def weights_of(model: nn.Module, folder: Path) -> Path:
    path = folder / "weights.safetensors"
    save_file({key: t.contiguous() for key, t in model.state_dict().items()}, path)
    return path


def load(
    name: str, weights: Path | None = None, *, style: tuple[str, ...] = (), content: str = ""
) -> Tapped:
    found = loading.load(name, weights, style, content)
    assert isinstance(found, Tapped)
    return found


@pytest.mark.parametrize("name", SMALL)
def test_any_network_paints(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = load(name, weights_of(models.build(name, 1000, size=224), tmp_path))
    assert 2 <= len(network.style) <= 5
    frames = striate.paint(picture(0), picture(1), network=network, size=48, strength=0.9)
    first, *_, last = itertools.islice(frames, 6)
    assert sum(first.style.values()) == pytest.approx(len(network.style), rel=1e-4)
    assert sum(last.style.values()) < 0.9 * len(network.style)
    assert bool(last.picture.isfinite().all())


def test_activations_are_those_that_vgg_has_by_another_way() -> None:
    from torchvision.models.vgg import cfgs, make_layers

    layers = make_layers(cfgs["D"])
    trunk = vgg.random("vgg16")
    trunk.load({f"features.{key}": t for key, t in layers.state_dict().items()}, "a test")
    tapped = Tapped(layers, mean=vgg.MEAN, std=vgg.STD)
    names = {"1": "relu1_1", "6": "relu2_1", "11": "relu3_1", "18": "relu4_1", "25": "relu5_1"}
    tapped.choose(list(names), "20")
    images = torch.rand(1, 3, 33, 50)
    expected, found = trunk(images), dict(tapped.walk(images))
    assert list(found) == [*list(names)[:4], "20", "25"]
    for own, name in {**names, "20": "relu4_2"}.items():
        torch.testing.assert_close(found[own], expected[name], atol=1e-4, rtol=1e-4)
    assert list(tapped.sizes(33, 50).values()) == list(trunk.sizes(33, 50).values())


def test_a_tile_counts_for_its_core_and_keeps_its_layout() -> None:
    x = torch.rand(1, 8, 9, 7).contiguous(memory_format=torch.channels_last)
    leaves = [x.double().requires_grad_() for _ in range(2)]
    rows, columns = slice(2, 5), slice(1, 6)
    whole, part = fork(leaves[0].relu(), rows, columns)
    expected = leaves[1].relu()
    for one, core in ((whole, part), (expected, expected[..., rows, columns])):
        (one.square().sum() + core.sin().sum()).backward()
    found, wanted = (leaf.grad for leaf in leaves)
    assert found is not None
    assert wanted is not None
    assert torch.equal(found, wanted)
    # Else each convolution behind it would turn its input over.
    padded = F.pad(whole, (1, 1, 1, 1), mode="replicate")
    assert padded.is_contiguous(memory_format=torch.channels_last)


def test_a_picture_too_small_for_a_layer_leaves_it_out() -> None:
    tapped = Tapped(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(8), nn.Conv2d(4, 4, 3)),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    ).choose(["1", "3"], "3")
    assert list(tapped.sizes(64, 64)) == ["1", "3"]
    assert list(tapped.sizes(12, 12)) == ["1"]


def test_bfloat16_is_used_where_it_may(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = load("convnet", weights_of(models.build("convnet", 1000, size=224), tmp_path))
    images = torch.rand(1, 3, 64, 64)
    single = dict(network.walk(images))
    half = dict(network.place(torch.device("cpu"), torch.bfloat16).walk(images))
    for name, x in half.items():
        apart = (x.float() - single[name]).norm() / single[name].norm()
        assert 1e-6 < float(apart) < 0.05


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A bundle of a small network, as a training leaves it."""
    torch.manual_seed(0)
    made = models.find("convnet", {"width": 8})
    model = models.build(made, 2, size=32)
    scaled = Preprocessing((32, 32), mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2))
    bundle.save(
        tmp_path / "run", bundle.card(made, scaled, ("a", "b")), bundle.blobs(model, scaled)
    )
    return tmp_path / "run"


def test_a_run_paints_with_its_own_normalisation(run: Path, tmp_path: Path) -> None:
    network = load(str(run))
    seen: list[Tensor] = []
    network.model.register_forward_pre_hook(lambda _m, given: seen.append(given[0]))
    dict(network.walk(torch.full((1, 3, 16, 16), 0.5)))
    torch.testing.assert_close(seen[0][0, :, 0, 0], torch.tensor([0.0, 0.5, 1.0]))
    picture(0).save(tmp_path / "photo.png")
    picture(1).save(tmp_path / "art.png")
    files = [str(tmp_path / name) for name in ("photo.png", "art.png")]
    choices = ["--model", str(run), "--size", "24", "--style-layers", "stage1,stage2"]
    out = tmp_path / "out.png"
    assert cli.main(["paint", *files, "-o", str(out), *choices]) == 0
    again = ["paint", "--again", str(out), "-o", str(tmp_path / "again.png")]
    assert cli.main(again) == 0
    with Image.open(out) as one, Image.open(tmp_path / "again.png") as other:
        assert one.tobytes() == other.tobytes()
    # The record knows the weights: another network of the same place is another painting.
    (run / bundle.WEIGHTS).write_bytes(b"other")
    assert cli.main(again) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vgg61", "did you mean vgg19 or vgg16"),
        ("convnet", "--weights FILE"),
        ("torchvision/resnet81", "did you mean"),
    ],
)
def test_unknown_networks_name_the_choices(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        loading.load(name, None, (), "")


def test_a_network_of_one_size_is_refused(tmp_path: Path) -> None:
    path = weights_of(models.build("mlp", 1000, size=224), tmp_path)
    with pytest.raises(UsageError, match="of any size"):
        loading.load("mlp", path, (), "")


def test_unknown_layers_name_the_near_ones(run: Path) -> None:
    with pytest.raises(UsageError, match="did you mean stage1"):
        load(str(run), style=("stage01",))
    with pytest.raises(UsageError, match=r"relu1_1"):
        loading.load("vgg16", None, ("relu1_11",), "")


def test_weights_that_do_not_fit_name_the_key(tmp_path: Path) -> None:
    path = weights_of(models.build("convnet", 10, size=224, width=8), tmp_path)
    with pytest.raises(DataError, match=r"stage1\.\S+ is another shape"):
        load("convnet", path)
    # What lies behind the layers in use is not asked for.
    kept = dict(models.build("convnet", 1000, size=224).state_dict())
    del kept["head.weight"]
    save_file(kept, path)
    assert load("convnet", path).style


@pytest.mark.parametrize("name", ["vgg19", "torchvision/resnet18"])
def test_weights_out_of_reach_say_which_file_goes_where(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nobody answers there
    short = name.rpartition("/")[2]
    with pytest.raises(DataError, match=rf"put {short}-\S+\.pth .* at {tmp_path}.*--weights FILE"):
        loading.load(name, None, (), "")


def test_devices_are_named(run: Path) -> None:
    from striate.painting.settings import Settings

    chosen = Settings(model=str(run))
    assert loading.ready(chosen, None, device="cpu").device.type == "cpu"
    with pytest.raises(UsageError, match="auto, cpu, cuda"):
        loading.ready(chosen, None, device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no device cuda"):
            loading.ready(chosen, None, device="cuda")
