"""What runs on a GPU, walked without one: fake tensors have shapes and devices, and no numbers.

Each operation is refused whose tensors are on several devices, as CUDA does. Two things that fake
tensors lack stand in here: numbers where the code reads one, and autograd's engine, which asks for
a driver: the operations of the way back are called one by one.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorDeviceMismatchError, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import striate
from striate import devices, evaluation, models, prediction
from striate.data.augmenting.augment import Augmentation, augment
from striate.data.augmenting.distortion import Distortion, distort
from striate.data.augmenting.mixing import Mixer, Mixture, mix_of
from striate.data.batches import Pictures
from striate.data.preparation.clips import Clips
from striate.data.preparation.kinds import Preparation
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.preparation.spectrograms import Spectrograms
from striate.data.preparation.whitening import Zca
from striate.data.sources.given import Example
from striate.data.splits import Split
from striate.description import describe
from striate.painting import transfer
from striate.painting.budgets import pace
from striate.painting.losses.objective import Objective
from striate.painting.networks import vgg
from striate.painting.networks.tapped import Tapped
from striate.painting.pictures import canvas
from striate.painting.pictures.canvas import Style
from striate.painting.settings import LOSSES, Budget, Settings
from striate.runs import Bundle
from striate.training import loop, optim, sharing
from striate.training.losses import loss_of
from striate.training.plan import KINDS
from striate.training.recipe import Recipe
from striate.training.step import Learner

CUDA = torch.device("cuda:0")
Node = Any  # of autograd's graph


class Numbers(TorchDispatchMode):
    """Answers what is read of fake tensors: ever smaller numbers, as the losses of a descent.

    A sum of products is below zero, like the slope along such a descent. All of a mask is inside.
    """

    def __init__(self) -> None:
        super().__init__()
        self.read = 0
        self.repeatable = True  # whether all convolutions gave the same bits each time
        self.waits = 0  # how often the CPU asked for what the GPU had to finish first

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        aten = torch.ops.aten
        if func in (aten._local_scalar_dense.default, aten._to_copy.default):
            read = func is aten._local_scalar_dense.default
            there = args[0].device.type
            here = "cpu" if read else torch.device((kwargs or {}).get("device") or there).type
            self.waits += (there, here) == ("cuda", "cpu")
        if func is aten._local_scalar_dense.default:
            return self._number(args[0])
        if func in (aten.convolution.default, aten.convolution_backward.default):
            self.repeatable &= torch.backends.cudnn.deterministic
        if func is aten.index.Tensor:
            args = (args[0], [_all_inside(place) for place in args[1]])
        found = func(*args, **(kwargs or {}))
        if func is aten.mul.Tensor:
            found.made_by = "mul"
        elif func is aten.sum.default and getattr(args[0], "made_by", "") == "mul":
            found.made_by = "sum of products"
        return found

    def _number(self, read: Tensor) -> bool | int | float:
        if not read.is_floating_point():
            return True if read.dtype == torch.bool else 1
        self.read += 1
        sign = -1 if getattr(read, "made_by", "") == "sum of products" else 1
        return sign * 0.999**self.read


def _all_inside(place: Tensor | None) -> Tensor | None:
    if place is None or place.dtype != torch.bool:
        return place
    return torch.arange(len(place), device=place.device)


@torch.no_grad()
def send_back(ends: Sequence[Tensor], slopes: Sequence[Tensor]) -> dict[Tensor, Tensor]:
    """Run the graph behind `ends` as autograd does; give the slopes of its leaves."""
    begin: list[tuple[Node, int]] = [(end.grad_fn, end.output_nr) for end in ends]
    waiting = _uses(node for node, _ in begin)
    arrived: dict[Node, dict[int, Tensor]] = defaultdict(dict)
    for (node, number), slope in zip(begin, slopes, strict=True):
        _add(arrived[node], number, slope)
    ready = [node for node in {node for node, _ in begin} if not waiting[node]]
    found: dict[Tensor, Tensor] = {}
    while ready:
        node = ready.pop()
        given = arrived.pop(node, {})
        if hasattr(node, "variable"):
            found.update((node.variable, _fitted(slope, node.variable)) for slope in given.values())
            continue
        for (after, number), part in zip(node.next_functions, _passed(node, given), strict=False):
            if after is not None:
                if part is not None:
                    _add(arrived[after], number, _fitted(part, after._input_metadata[number]))
                waiting[after] -= 1
                ready += [after] * (not waiting[after])
    return found


def _uses(begin: Iterator[Node]) -> Counter[Node]:
    """Count for each node how many others pass to it."""
    uses: Counter[Node] = Counter()
    seen, left = set(), list(begin)
    while left:
        node = left.pop()
        if node in seen:
            continue
        seen.add(node)
        after = [one for one, _ in node.next_functions if one is not None]
        uses.update(after)
        left += after
    return uses


def _passed(node: Node, given: dict[int, Tensor]) -> Sequence[Tensor | None]:
    if not given:
        return [None] * len(node.next_functions)
    wanted = node._input_metadata
    inputs = [given.get(number) for number in range(len(wanted))]
    if hasattr(node, "apply"):  # written by hand, in Python: what nothing came for is zero there
        inputs = [
            torch.zeros(tuple(like.shape), dtype=like.dtype, device=like.device)
            if slope is None
            else slope
            for slope, like in zip(inputs, wanted, strict=True)
        ]
        passed = node.apply(*inputs)
    else:
        passed = node(*inputs)
    return passed if isinstance(passed, tuple) else (passed,)


def _fitted(slope: Tensor, like: Any) -> Tensor:
    """Sum over what was broadcast, as the engine does; it refuses another device."""
    assert slope.device == like.device, f"a slope on {slope.device} of a tensor on {like.device}"
    return slope.sum_to_size(tuple(like.shape)).to(like.dtype)


def _add(slopes: dict[int, Tensor], number: int, slope: Tensor) -> None:
    slopes[number] = slopes[number] + slope if number in slopes else slope


def _backward(
    ends: Tensor | Sequence[Tensor], slopes: Sequence[Tensor] | None = None, **_: Any
) -> None:
    ends = [ends] if isinstance(ends, Tensor) else ends
    slopes = slopes or [torch.ones_like(end) for end in ends]
    for leaf, slope in send_back(ends, slopes).items():
        leaf.grad = slope if leaf.grad is None else leaf.grad + slope


def _grad(end: Tensor, leaves: Tensor | Sequence[Tensor], **_: Any) -> tuple[Tensor, ...]:
    found = send_back([end], [torch.ones_like(end)])
    leaves = [leaves] if isinstance(leaves, Tensor) else leaves
    return tuple(found[leaf] if leaf in found else torch.zeros_like(leaf) for leaf in leaves)


def _numpy(tensor: Tensor, **_: Any) -> Any:
    assert tensor.device.type == "cpu", "NumPy takes tensors of the CPU only"
    kind = torch.empty(0, dtype=tensor.dtype, device="meta")
    return np.ones(tuple(tensor.shape), dtype=str(kind.dtype).removeprefix("torch."))


def _moved(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a network; torch itself would exchange what its fake tensors know each other by."""
    for module in model.modules():
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else buffer.to(device)
        for name, own in module._parameters.items():
            if own is not None:
                module._parameters[name] = nn.Parameter(own.detach().to(device))
    return model


@pytest.fixture
def numbers() -> Numbers:
    """What stands in for a GPU's numbers."""
    return Numbers()


@pytest.fixture
def cuda(numbers: Numbers, monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """A GPU that has shapes only."""
    monkeypatch.setattr(torch.autograd, "backward", _backward)
    monkeypatch.setattr(torch.autograd, "grad", _grad)
    monkeypatch.setattr(Tensor, "backward", _backward)
    monkeypatch.setattr(Tensor, "numpy", _numpy)
    monkeypatch.setattr(FakeTensor, "tolist", lambda tensor: tensor.cpu().numpy().tolist())
    monkeypatch.setattr(nn.Module, "to", _moved)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)
    # Single numbers would be put on the device for real.
    monkeypatch.setattr("torch._subclasses.fake_tensor.CONSTANT_NUMEL_LIMIT", 0)
    # Where there is no GPU autocast warns, and does nothing.
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)
    with FakeTensorMode(allow_non_fake_inputs=True), numbers:
        yield CUDA


def test_the_engine_gives_what_autograds_does() -> None:
    trunk = vgg.random("vgg16", ["relu1_1", "relu2_1"], "relu2_2")
    picture = torch.rand(1, 3, 24, 20, requires_grad=True)
    ends = [trunk(picture)[name].square().mean() for name in trunk.style]
    slopes = [torch.tensor(1.0), torch.tensor(2.0)]
    expected = torch.autograd.grad(ends, [picture], slopes, retain_graph=True)
    assert torch.equal(send_back(ends, slopes)[picture], expected[0])


def test_what_is_on_two_devices_is_refused(cuda: torch.device) -> None:
    there, here = torch.ones(3, device=cuda), torch.ones(3)
    with pytest.raises(FakeTensorDeviceMismatchError, match="same device"):
        there + here
    with pytest.raises(AssertionError, match="CPU only"):
        there.numpy()
    leaf = torch.ones(3, device=cuda, requires_grad=True)
    with pytest.raises(AssertionError, match="a slope on cpu"):
        torch.autograd.backward([leaf * 2], [here])


@pytest.mark.parametrize("name", models.MODELS)
def test_networks_answer(name: str, cuda: torch.device) -> None:
    shape = models.MODELS[name].shape
    model = models.build(name, 5, channels=shape[0], size=shape[1:])
    devices.place(model, cuda).eval()
    found = evaluation.answer(
        model, of_values(shape), torch.zeros(2, *shape, dtype=torch.uint8), device=cuda
    )
    assert found.device.type == "cpu"
    assert found.shape == (2, 5)


def of_values(shape: tuple[int, ...]) -> Preparation:
    """A preprocessing for inputs of this shape."""
    channels, *frames, height, width = shape
    mean, std = (0.5,) * channels, (0.25,) * channels
    picture = Preprocessing((height, width), channels, normalise="dataset", mean=mean, std=std)
    return Clips(frames[0], picture) if frames else picture


PICTURE = Preprocessing((16, 16), 3, normalise="picture")
SOUND = Spectrograms(length=2048, mels=20, normalise="sound")
WHITENED = replace(PICTURE, normalise="zca", zca=Zca.fit([torch.arange(1536).view(2, 3, 16, 16)]))
PREPARATIONS: dict[str, Preparation] = {
    "dataset": of_values((3, 16, 16)),
    "picture": PICTURE,
    "whitened": WHITENED,
    "clips": of_values((3, 8, 16, 16)),
    "clips one by one": Clips(8, PICTURE),
    "sound": SOUND,
    "bands": replace(SOUND, normalise="dataset", mean=(0.0,) * 20, std=(1.0,) * 20),
    "decibels": replace(SOUND, normalise="none"),
}


@pytest.mark.parametrize("kind", PREPARATIONS)
def test_values_are_made_where_the_pixels_are(kind: str, cuda: torch.device) -> None:
    made = PREPARATIONS[kind]
    pixels = torch.zeros(2, *made.pixel_shape, dtype=made.dtype, device=cuda)
    values = made.values(pixels)
    assert (values.device, values.shape) == (cuda, (2, *made.shape))


EVERY_CHANGE = Augmentation(
    *(2, True, 0.1, 0.1, 0.1, 0.1, 10.0, 0.1, 0.1),
    alternate_flip=True,
    resized_crop=0.3,
    cutout=0.3,
    erase=0.5,
)


@pytest.mark.parametrize("policy", ["none", "trivial-wide", "rand-augment"])
@pytest.mark.parametrize("channels", [1, 3])
def test_augmentation_stays_where_the_pixels_are(
    channels: int, policy: str, cuda: torch.device, numbers: Numbers
) -> None:
    rows = torch.arange(4, device=cuda)
    pixels = torch.zeros(4, channels, 16, 16, dtype=torch.uint8, device=cuda)
    found = augment(pixels, rows, replace(EVERY_CHANGE, policy=policy), seed=0, epoch=0)
    assert (found.device, found.shape, found.dtype) == (cuda, pixels.shape, torch.uint8)
    assert numbers.waits == 0
    if policy != "none":
        return
    sounds = torch.zeros(4, 2048, dtype=torch.int16, device=cuda)
    heard = distort(sounds, rows, Distortion(0.1, 0.1, 0.5, 0.1), seed=0, epoch=0)
    assert (heard.device, heard.shape, heard.dtype) == (cuda, sounds.shape, torch.int16)


@pytest.mark.parametrize("how", [Mixture(0.2, 0), Mixture(0, 1.0), Mixture(0.2, 1.0)])
@pytest.mark.parametrize("shape", [(4, 3, 16, 16), (4, 3, 8, 16, 16)])
def test_mixtures_stay_where_the_pixels_are(
    how: Mixture, shape: tuple[int, ...], cuda: torch.device, numbers: Numbers
) -> None:
    mixer = Mixer(how, 5, cuda)
    pixels = torch.zeros(shape, dtype=torch.uint8, device=cuda)
    rows = torch.arange(4, device=cuda)
    mixed, targets = mixer(pixels, torch.zeros_like(rows), rows, seed=0, epoch=0)
    assert (mixed.device, mixed.shape, mixed.dtype) == (cuda, pixels.shape, torch.uint8)
    assert (targets.device, targets.shape) == (cuda, (4, 5))
    assert numbers.waits == 0


STEPS = {
    "pictures": Recipe("convnet", size=16, flip=True, rotate=10.0, clip=1.0),
    "mixed pictures": Recipe("convnet", size=16, policy="trivial-wide", mixup=0.2, cutmix=1.0),
    "rare pictures": Recipe("convnet", size=16, focal=2.0, class_weights="root"),
    "sounds": Recipe("audio-convnet", optimiser="adamw", shift=0.1, speed=0.1, tilt=0.5, noise=0.1),
    "clips": Recipe("r3d", size=16, frames=8, hue=0.1, contrast=0.1),
}
MADE: dict[str, Preparation] = {
    "pictures": WHITENED,
    "mixed pictures": PICTURE,
    "rare pictures": PICTURE,
    "sounds": SOUND,
    "clips": Clips(8, PICTURE),
}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", STEPS)
def test_a_training_takes_steps_and_waits_once(
    kind: str,
    precision: str,
    cuda: torch.device,
    numbers: Numbers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sharing, "SECONDS", 3600.0)
    recipe, made = replace(STEPS[kind], precision=precision, batch_size=2), MADE[kind]
    learner, pictures = learners(recipe, made, cuda), held(made, 6)
    (steps,) = loop.epoch(learner, pictures, loop.Progress())
    assert [step.number for step in steps] == [1, 2, 3]
    assert numbers.waits == 1
    # As a checkpoint holds them, and as a run goes on with them.
    saved = {
        name: t.cpu() for name, t in optim.save_state(learner.optimiser, learner.model).items()
    }
    assert saved
    again = learners(recipe, made, cuda)
    optim.load_state(again.optimiser, again.model, saved)
    for _ in loop.epoch(again, pictures, loop.Progress(step=1), window=1):
        pass
    assert {p.device for p in again.model.state_dict().values()} == {cuda}


def held(made: Preparation, count: int) -> Pictures:
    """Pictures, sounds or clips in memory."""
    split = Split(range(count), np.arange(count) % 5, [str(row) for row in range(count)], made.kind)
    return Pictures(split, made, pixels=torch.zeros(count, *made.pixel_shape, dtype=made.dtype))


def learners(recipe: Recipe, made: Preparation, device: torch.device) -> Learner:
    model = models.build(recipe.model, 5, channels=made.shape[0], size=made.shape[1:])
    devices.place(model, device)
    augmented = KINDS[made.kind].augment(recipe)
    learner = Learner(model, optim.optimiser(model, recipe), made, augmented, recipe, device)
    mix = mix_of(Mixture(recipe.mixup, recipe.cutmix), 5, device)
    loss = loss_of(recipe, torch.arange(6) % 5, 5, device)
    return learner._replace(mix=mix, loss=loss)


@pytest.mark.parametrize("norm", ["batch", "group", "layer", "instance", "none"])
def test_norms_take_steps(norm: str, cuda: torch.device) -> None:
    recipe = Recipe("cifar-convnet", precision="float32")
    learner = learners(recipe, PICTURE, cuda)
    model = models.build("cifar-convnet", 5, channels=3, size=16, norm=norm)
    devices.place(model, cuda)
    learner = learner._replace(model=model, optimiser=optim.optimiser(model, recipe))
    ((step,),) = loop.epoch(learner, held(PICTURE, 4), loop.Progress())
    assert step.pictures == 4


def test_evaluation_and_prediction_answer_on_the_cpu(cuda: torch.device) -> None:
    model = models.build("convnet", 5, channels=3, size=16)
    bundle = Bundle(model, PICTURE, tuple("abcde"), models.Architecture("convnet", {}), {})
    pixels = np.zeros((3, 16, 16, 3), dtype=np.uint8)
    devices.place(model, cuda)
    logits = evaluation.logits(model, PICTURE, held(PICTURE, 3), device=cuda)
    assert (logits.device.type, logits.shape) == ("cpu", (3, 5))
    examples = [Example(str(number), one) for number, one in enumerate(pixels)]
    decoders = prediction.open_decoders(bundle, 1)
    found = list(prediction.predict(bundle, examples, decoders=decoders, top=2, device=cuda))
    assert [len(one.classes) for one in found] == [2, 2, 2]


def test_what_a_network_costs_is_the_same_on_a_gpu(cuda: torch.device) -> None:
    model = models.build("convnet", 5, channels=3, size=16)
    expected = describe(model, size=(3, 16, 16))
    assert describe(devices.place(model, cuda), size=(3, 16, 16)) == expected


def trunk(device: torch.device, precision: torch.dtype = torch.float32) -> vgg.Trunk:
    return vgg.random("vgg16", ["relu1_1", "relu2_1"], "relu2_2").place(device, precision)


PHOTO, MASK = Image.new("RGB", (200, 150), "red"), Image.new("L", (20, 15), "white")
PAINTINGS: dict[str, dict[str, Any]] = {
    **{loss: {"loss": loss} for loss in LOSSES},
    **{f"{loss}, masked": {"loss": loss, "size": 100} for loss in LOSSES},
    "adam": {"optimiser": "adam", "size": 100},
    "smooth noise": {"start": "noise", "smoothness": 0.3, "size": 100},
    "own colours": {"colour": "keep", "size": 100},
    "matched colours": {"colour": "linear", "size": 100},
}


@pytest.mark.parametrize("name", PAINTINGS)
def test_a_painting_is_painted_from_repeatable_parts(
    name: str, cuda: torch.device, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {"size": 200, **PAINTINGS[name]}
    briefly(monkeypatch)
    masked = name not in LOSSES
    styles = [Style(PHOTO), *([Style(PHOTO, mask=MASK), Style(PHOTO, share=2.0)] if masked else [])]
    frames = list(striate.paint(PHOTO, styles, network=trunk(cuda), **chosen))
    sides = canvas.levels(chosen["size"])
    assert [stage.side for stage in frames[-1].stages] == sides
    assert len(frames) == 2 * len(sides)
    for frame in frames:
        assert frame.picture.device == frame.raw.device == cuda
    assert numbers.repeatable
    assert canvas.image(frames[-1].picture).size == (sides[-1], sides[-1] * 3 // 4)


def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, rhythm in pace.RHYTHMS.items():
        short = rhythm._replace(first=2, least=2, last=2, stride=1)
        monkeypatch.setitem(pace.RHYTHMS, name, short)


def test_a_painting_goes_on_from_its_file(
    cuda: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    briefly(monkeypatch)
    settings = Settings(size=100)
    begun = transfer.Begun((pace.Stage(100, 1),), torch.zeros(3, 75, 100))
    pacing = transfer.paced(PHOTO, settings, Budget(), before=1)
    frames = transfer.frames(PHOTO, [Style(PHOTO)], trunk(cuda), settings, pace=pacing, begun=begun)
    assert next(frames).picture.device == cuda


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("loss", ["gram", "w2", "moments"])
def test_tiles_are_painted(loss: str, precision: torch.dtype, cuda: torch.device) -> None:
    network = trunk(cuda, precision)
    scene = transfer.on(
        canvas.scene(PHOTO, [Style(PHOTO, mask=MASK), Style(PHOTO)], 80, Settings()), cuda
    )
    objective = Objective(network, scene, loss=loss, weights=(1, 0.5, 0.1), tile=64)
    assert len(objective.tiles) > 1
    assert objective.evaluate(scene.content).gradient.device == cuda
    assert objective.residuals(scene.content).style.keys() == set(network.style)


@pytest.fixture
def tapped() -> Tapped:
    """A network that is looked at before the GPU is there: its memory is measured for real."""
    return Tapped(models.build("resnet20", 10), mean=(0.5,) * 3, std=(0.2,) * 3)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_any_network_paints(
    precision: torch.dtype, tapped: Tapped, cuda: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    briefly(monkeypatch)
    network = tapped.place(cuda, precision)
    frames = striate.paint(PHOTO, [Style(PHOTO)], network=network, size=64)
    assert [frame.picture.device for frame in itertools.islice(frames, 2)] == [cuda] * 2
