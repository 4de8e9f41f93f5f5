"""What a description says, against torch's own counters, its profiler and its gradients."""

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import striate
from striate import models
from striate.description import Description, Row, drawing
from striate.description.sums import sums
from striate.errors import UsageError
from striate.figures import style
from striate.models import MODELS
from striate.training import optim
from striate.training.muon import matrices
from striate.training.recipe import Recipe

# Convolutions of all kinds, dense and residual sums, squeeze and excitation, attention of tokens
# and of windows, padding as TensorFlow's, standardised weights.
LIBRARIES = [
    ("torchvision/alexnet", 64),
    ("torchvision/squeezenet1_1", 32),
    ("torchvision/resnet18", 32),
    ("torchvision/densenet121", 32),
    ("torchvision/mobilenet_v3_small", 64),
    ("torchvision/swin_t", 64),
    ("timm/tf_efficientnet_lite0", 32),
    ("timm/convnext_atto", 32),
    ("timm/vit_tiny_patch16_224", 224),
    ("timm/nf_regnet_b0", 32),
]
# One of each kind: the others have more of the same layers.
PICTURES = {name: model for name, model in MODELS.items() if model.axes == 2}
KINDS = {re.sub(r"\d+", "", name): name for name in reversed(PICTURES)}
OWN = sorted({*KINDS.values(), "resnet20", "resnet50"})
CASES = [(name, max(32, MODELS[name].smallest)) for name in OWN] + LIBRARIES


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More cost time where everything is small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def real(name: str, size: int) -> nn.Module:
    torch.manual_seed(0)
    return models.build(name, 10, size=size)


@functools.cache
def published(name: str) -> Description:
    return striate.describe(name)


def described(name: str, size: int, **choices: Any) -> Description:
    return striate.describe(name, size=size, classes=10, **choices)


def row(found: Description, name: str, kind: str = "") -> Row:
    return next(row for row in found.layers if row.name == name and kind in (row.kind, ""))


@pytest.mark.parametrize(("name", "size"), CASES)
def test_parameters_and_multiply_adds_are_those_that_torch_counts(name: str, size: int) -> None:
    found, net = described(name, size, batch=2), real(name, size).eval()
    assert found.totals["parameters"] == sum(p.numel() for p in net.parameters())
    # On the meta device, where attention is the two products that torch's counter knows.
    counter = FlopCounterMode(display=False)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with counter, torch.no_grad(), torch.device("meta"):
            net.to("meta")(torch.empty(2, 3, size, size))
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert 2 * (found.totals["multiply_adds"] or 0) == counter.get_total_flops()


def kept_bytes(net: nn.Module, images: Tensor) -> int:
    """Count what autograd keeps of a forward pass, each memory once, weights and buffers not."""
    held = {t.untyped_storage().data_ptr() for t in [*net.parameters(), *net.buffers()]}
    kept: dict[int, int] = {}
    alive = []

    def keep(tensor: Tensor) -> Tensor:
        alive.append(tensor)
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        net.train()(images)
    return sum(kept.values())


@pytest.mark.parametrize(("name", "size"), CASES)
def test_what_is_kept_is_what_autograd_keeps(name: str, size: int) -> None:
    found = described(name, size, batch=2)
    expected = kept_bytes(real(name, size), torch.rand(2, 3, size, size))
    assert found.totals["kept_bytes"] == pytest.approx(expected, rel=0.002)
    assert found.memory["float32"].kept == found.totals["kept_bytes"]


def test_torchs_own_attention_keeps_no_table_of_pairs() -> None:
    """The modules of torch, in which attention is a function in a function."""
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    tokens = nn.Sequential(nn.Conv2d(3, 32, 8, 8), nn.Flatten(2), nn.Unflatten(1, (2, 16)))
    net = nn.Sequential(tokens, nn.Flatten(1, 2), nn.Linear(64, 32), layer, nn.Flatten())
    found = striate.describe(net, size=64, batch=2)
    assert found.totals["kept_bytes"] == kept_bytes(net, torch.rand(2, 3, 64, 64))
    assert row(found, "3.linear2").whole_picture


def peak_of_training(net: nn.Module, images: Tensor, optimiser: str) -> int:
    """Return the most bytes at once in two steps of training, by torch's profiler."""
    labels = torch.zeros(len(images), dtype=torch.long)
    held = [*net.parameters(), *net.buffers(), images]
    before = sum(t.untyped_storage().nbytes() for t in held)
    turned = matrices(net, images.shape[1:])
    stepper = optim.optimiser(net.train(), Recipe(optimiser=optimiser), turned=turned)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        for _ in range(2):
            loss = F.cross_entropy(net(images), labels)
            stepper.zero_grad(set_to_none=True)
            loss.backward()
            stepper.step()
    result: Any = profiler.profiler
    events = [e for e in result.kineto_results.events() if e.name() == "[memory]"]
    changes = [e.nbytes() for e in sorted(events, key=lambda event: event.start_ns())]
    return before + int(np.cumsum(changes).max())


@pytest.mark.parametrize(
    ("name", "size", "batch", "optimiser"),
    [
        ("convnet", 32, 16, "sgd"),
        ("convnet", 32, 16, "adamw"),
        ("mlp", 32, 16, "sgd"),
        ("mlp", 32, 16, "adamw"),
        ("mnist-convnet", 32, 16, "sgd"),
        ("torchvision/resnet18", 64, 4, "adamw"),
        ("convnet", 32, 16, "muon"),
        ("torchvision/squeezenet1_1", 64, 2, "sgd"),
        ("torchvision/mobilenet_v3_small", 64, 4, "sgd"),
        ("timm/vit_tiny_patch16_224", 224, 1, "adamw"),
    ],
)
def test_a_steps_memory_is_what_the_profiler_sees(
    name: str, size: int, batch: int, optimiser: str
) -> None:
    found = described(name, size, batch=batch, optimiser=optimiser).memory["float32"]
    expected = peak_of_training(real(name, size), torch.rand(batch, 3, size, size), optimiser)
    assert found.training == pytest.approx(expected, rel=0.1)


def test_vgg16_has_the_three_counts_of_its_activations() -> None:
    """The chapter's 90 MB forward and 180 MB in all are none of them."""
    found = published("torchvision/vgg16")
    assert found.totals["parameters"] == 138_357_544
    # torchvision pools 7x7 maps to 7x7, which the published network does not.
    copied = row(found, "avgpool").output_bytes
    assert copied == 4 * 512 * 7 * 7
    in_place = (found.totals["activation_bytes"] or 0) - copied
    apart = (found.totals["output_bytes"] or 0) - copied
    maps = 224**2 * (3 + 64 * 2) + 112**2 * (64 + 128 * 2) + 56**2 * (128 + 256 * 3)
    maps += 28**2 * (256 + 512 * 3) + 14**2 * 512 * 4 + 7**2 * 512
    assert in_place == 4 * (maps + 4096 + 4096 + 1000) == 60_950_432
    relus = 224**2 * 128 + 112**2 * 256 + 56**2 * 768 + 28**2 * 1536 + 14**2 * 1536 + 8192
    assert apart == in_place + 4 * relus == 115_173_280
    # What is kept has the pools' indices, 8 bytes each, and the masks of dropout, but no logits.
    indices = 8 * (112**2 * 64 + 56**2 * 128 + 28**2 * 256 + 14**2 * 512 + 7**2 * 512)
    dropout = 4 * 4 * 4096
    assert found.totals["kept_bytes"] == in_place + copied + indices + dropout - 4000
    assert round((found.totals["kept_bytes"] or 0) / 1e6, 1) == 73.4


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"),
    [
        # He et al. 2015, table 1, with projections where the size changes (option B).
        ("torchvision/resnet18", 11_689_512, 1.81),
        ("torchvision/resnet34", 21_797_672, 3.66),
        ("torchvision/resnet50", 25_557_032, 4.09),  # 3.86 with the stride in the 1x1, as published
        ("torchvision/resnet152", 60_192_808, 11.51),
    ],
)
def test_residual_networks_cost_what_is_published(
    name: str, parameters: int, multiply_adds: float
) -> None:
    totals = published(name).totals
    assert totals["parameters"] == parameters
    assert round((totals["multiply_adds"] or 0) / 1e9, 2) == multiply_adds


def test_the_papers_stride_in_the_first_convolution_saves_work() -> None:
    paper = striate.describe("resnet50", arguments={"stride_in_1x1": True}).totals
    assert round((paper["multiply_adds"] or 0) / 1e9, 2) == 3.86
    assert paper["parameters"] == published("torchvision/resnet50").totals["parameters"]


def test_a_network_of_clips_is_counted_over_time_as_well() -> None:
    clip = (3, 4, 32, 32)
    found = striate.describe("r3d", size=clip, classes=10, batch=2)
    net = models.build("r3d", 10, size=clip[1:]).to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.empty(2, *clip, device="meta"))
    assert found.totals["parameters"] == sum(p.numel() for p in net.parameters())
    assert 2 * (found.totals["multiply_adds"] or 0) == counter.get_total_flops()


def test_vgg16_sees_what_is_known() -> None:
    """Araujo et al. 2019, https://distill.pub/2019/computing-receptive-fields: 212 and 32."""
    last = row(published("torchvision/vgg16"), "features.30")
    assert (last.receptive_field, last.jump, last.offset) == ((212, 212), (32, 32), (-90, -90))
    assert not last.whole_picture


class Branches(nn.Module):
    """A row of steps: plain, beside a shortcut, or two beside each other."""

    def __init__(self, steps: list[tuple[str, int, int, int]]) -> None:
        super().__init__()
        self.steps = nn.ModuleList()
        self.kinds = [step[0] for step in steps]
        channels = 2
        for kind, kernel, stride, dilation in steps:
            stride = stride if kind in ("conv", "pool", "average") else 1
            pad = dilation * (kernel - 1) // 2
            if kind == "pool":
                layer: nn.Module = nn.MaxPool2d(kernel, stride, kernel // 2)
            elif kind == "average":
                layer = nn.AvgPool2d(kernel, stride, kernel // 2)
            else:
                layer = nn.Conv2d(channels, 2, kernel, stride, pad, dilation)
            self.steps.append(layer)
            channels = 2 + 2 * (kind == "concatenation")
            if kind == "concatenation":
                self.steps.append(nn.Conv2d(channels, 2, 1))
                channels = 2

    def forward(self, x: Tensor) -> Tensor:
        layers = iter(self.steps)
        for kind in self.kinds:
            y = next(layers)(x)
            if kind == "sum":
                y = y + x
            if kind == "concatenation":
                y = next(layers)(torch.cat([x, y], 1))
            x = torch.tanh(y)
        return x


STEPS = st.tuples(
    st.sampled_from(["conv", "pool", "average", "sum", "concatenation"]),
    st.sampled_from([1, 3, 5]),
    st.integers(1, 2),
    st.integers(1, 2),
)


def seen(net: Callable[[Tensor], Tensor], x: Tensor, place: tuple[int, int]) -> list[list[int]]:
    """Return the first and last row, and column, that an output depends on."""
    x = x.detach().requires_grad_()
    net(x)[0, :, place[0], place[1]].sum().backward()
    assert x.grad is not None
    found = x.grad[0].abs().sum(0).nonzero()
    return [[int(found[:, axis].min()), int(found[:, axis].max())] for axis in (0, 1)]


@settings(max_examples=30)
@given(st.lists(STEPS, min_size=1, max_size=5), st.integers(0, 3))
def test_a_receptive_field_is_where_the_gradient_is(
    steps: list[tuple[str, int, int, int]], seed: int
) -> None:
    torch.manual_seed(seed)
    net = Branches(steps).double().eval()
    for parameter in net.parameters():
        nn.init.uniform_(parameter, 0.01, 0.02)
    last = striate.describe(net.float(), size=(2, 120, 110)).layers[-1]
    net.double()
    assert last.receptive_field
    assert last.jump
    assert last.offset
    # Rising in both directions, so that each maximum is where its window reaches farthest.
    rising = torch.arange(120.0)[:, None] + torch.arange(110.0)
    x = (rising / 100).double().expand(1, 2, 120, 110)
    place = (last.output[1] // 2, last.output[2] // 2)
    first, far = zip(*seen(net, x, place), strict=True)
    start = [round(o + j * p) for o, j, p in zip(last.offset, last.jump, place, strict=True)]
    end = [s + size - 1 for s, size in zip(start, last.receptive_field, strict=True)]
    if any(kind == "pool" for kind, *_ in steps):  # a maximum hides what it does not choose
        assert all(a >= b for a, b in zip(first, start, strict=True))
        assert all(a <= b for a, b in zip(far, end, strict=True))
    else:
        assert (list(first), list(far)) == (start, end)


def test_attention_in_windows_sees_the_window() -> None:
    found = published("torchvision/swin_t")
    attended = row(found, "features.1.0.mlp.3", "Linear")
    assert attended.receptive_field == (28, 28)
    assert not attended.whole_picture
    net = models.build("torchvision/swin_t", 10).eval()
    first = nn.Sequential(*list(net.get_submodule("features").children())[:1])
    block = net.get_submodule("features.1.0")
    x = torch.rand(1, 3, 224, 224)

    def until(pixels: Tensor) -> Tensor:
        found: Tensor = block(first(pixels))
        return found.permute(0, 3, 1, 2)

    assert seen(until, x, (10, 17)) == [[28, 55], [56, 83]]
    shifted = row(found, "features.1.1.mlp.3", "Linear")
    assert shifted.receptive_field == (52, 52)


def test_padding_round_the_edge_sees_the_whole_picture() -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, padding_mode="circular"))
    assert striate.describe(net, size=32).layers[1].whole_picture


def test_attention_pooling_and_flattened_maps_see_the_whole_picture() -> None:
    vit = striate.describe("timm/vit_tiny_patch16_224")
    assert row(vit, "patch_embed.proj").receptive_field == (16, 16)
    assert row(vit, "blocks.0.attn.proj").whole_picture
    assert row(published("torchvision/resnet18"), "avgpool").whole_picture
    assert row(described("mnist-convnet", 28), "linear").whole_picture
    # A picture so large that four windows of the last pooling do not cover it.
    net = nn.Sequential(nn.Conv2d(1, 1, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    found = striate.describe(net, size=(1, 40, 40))
    assert found.layers[2].receptive_field == (21, 21)
    assert not found.layers[2].whole_picture


def test_a_network_stays_as_it_was() -> None:
    net = real("torchvision/resnet18", 32).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    found = striate.describe(net, size=64, batch=2)
    assert found.totals["parameters"] == sum(p.numel() for p in net.parameters())
    assert net.training
    assert not any(module._forward_hooks for module in net.modules())
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_shared_layers_and_unused_weights_are_counted_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)
            self.spare = nn.Linear(5, 7)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.conv(F.relu(self.conv(x)))
            return found

    found = striate.describe(Twice(), size=16)
    assert [row.parameters for row in found.layers] == [0, 84, 0, 0]
    assert [row.kind for row in found.layers] == ["Input", "Conv2d", "relu", "Conv2d"]
    assert found.unused_parameters == 42
    assert found.totals["parameters"] == 84 + 42
    assert found.totals["multiply_adds"] == 2 * 16 * 16 * 3 * 3 * 9


def test_a_batch_of_two_costs_twice() -> None:
    one, two = (described("convnet", 32, batch=batch) for batch in (1, 2))
    assert two.totals["parameters"] == one.totals["parameters"]
    for name in ("multiply_adds", "activation_bytes", "output_bytes"):
        assert two.totals[name] == 2 * (one.totals[name] or 0)
    assert [row.output for row in one.layers] == [row.output for row in two.layers]


def test_bfloat16_halves_what_is_float32() -> None:
    found = described("mlp", 32).memory
    full, half = found["float32"], found["bfloat16"]
    assert full.training is not None
    assert half.training is not None
    assert half.weights * 2 == full.weights
    assert half.training == pytest.approx(full.training / 2, rel=0.01)


def test_what_does_not_fit_names_the_layer_and_the_sizes() -> None:
    with pytest.raises(UsageError, match=r"features\.12 \(MaxPool2d\), given 256x1x1"):
        striate.describe("torchvision/alexnet", size=31)
    net = nn.Sequential(nn.Flatten(), nn.Linear(10, 2))
    with pytest.raises(UsageError, match=r"1 \(Linear\), given 192: .*10"):
        striate.describe(net, size=8)


def test_a_norm_over_one_number_cannot_be_trained() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(4))
    found = striate.describe(net, size=8)
    assert "2 (BatchNorm2d)" in (found.untrainable or "")
    assert found.totals["kept_bytes"] is None
    assert found.memory["float32"].training is None
    assert striate.describe(net, size=8, batch=2).untrainable is None


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"batch": 0}, "1 picture or more, not 0"),
        ({"optimiser": "adam"}, "did you mean adamw"),
        ({"size": (3, 0, 4)}, "not 3x0x4"),
        ({"size": (1, 2, 3, 4, 5)}, "not 1x2x3x4x5"),
        ({"arguments": {"widht": 8}}, "did you mean width"),
    ],
)
def test_a_wrong_request_is_refused(choices: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        striate.describe("convnet", **choices)


def test_volumes_of_video_have_three_axes() -> None:
    net = nn.Sequential(nn.Conv3d(1, 2, (3, 5, 5), stride=(1, 2, 2)), nn.MaxPool3d(2))
    found = striate.describe(net, size=(1, 8, 21, 31))
    assert found.layers[1].output == (2, 6, 9, 14)
    assert found.layers[2].receptive_field == (4, 7, 7)
    assert found.layers[2].jump == (2, 4, 4)


def test_a_users_network_is_described_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def build(channels, classes, size, width=4):\n"
        "    return nn.Sequential(nn.Conv2d(channels, width, 3), nn.Flatten(),\n"
        "                         nn.Linear(width * (size[0] - 2) * (size[1] - 2), classes))\n"
    )
    found = striate.describe(
        f"{tmp_path / 'mine.py'}:build", size=(1, 10, 12), classes=3, arguments={"width": 5}
    )
    assert found.totals["parameters"] == 5 * 10 + 3 * (5 * 8 * 10 + 1)
    assert found.layers[-1].whole_picture


class Tree(nn.Module):
    """Sums of every kind: of the input, of a projection, of two long branches, of one branch."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(3, 3, 1 + 2 * (i < 7), padding=int(i < 7)) for i in range(9)
        )

    def forward(self, x: Tensor) -> Tensor:
        a, b, c, d, e, f, g, p, q = self.layers
        y = F.relu(a(x)).add_(x)  # the input goes past a
        y = c(b(y)) + p(y)  # a projection beside two convolutions
        y = F.relu(y, inplace=True)
        y = y + 1  # no branch
        z = g(f(e(y)))
        y = z + q(p(d(y)))  # three beside three: no shortcut
        out: Tensor = y.mean((2, 3))
        return out


def test_sums_lead_from_where_branches_part_to_where_they_meet() -> None:
    rows = striate.describe(Tree(), size=(3, 8, 8)).layers
    shown = drawing.volumes(rows)
    names = [rows[row].name for row in shown]
    found = [
        (names[start], names[end], [names[place] for place in through])
        for start, end, through in sums(rows, {row: i for i, row in enumerate(shown)})
    ]
    assert [found[0], found[1]] == [
        ("input", "layers.0", []),
        ("layers.0", "layers.2", ["layers.7"]),
    ]
    assert found[2:] == [("layers.6", "layers.8", [])] or found[2:] == [
        ("layers.8", "layers.6", [])
    ]


@pytest.mark.parametrize(
    "name", ["resnet20", "torchvision/densenet121", "timm/vit_tiny_patch16_224"]
)
def test_each_row_takes_what_rows_before_it_made(name: str) -> None:
    rows = published(name).layers
    assert all(row.sources for row in rows[1:])
    assert all(source < number for number, row in enumerate(rows) for source in row.sources)
    used = {source for row in rows for source in row.sources}
    assert set(range(len(rows) - 1)) - used <= {
        number for number, row in enumerate(rows) if row.kind in ("Flatten", "Dropout")
    }, "only what leaves the numbers as they are may be passed over"


@pytest.mark.parametrize(("name", "arcs"), [("resnet20", 9), ("wide-resnet", 12), ("vgg11", 0)])
def test_each_sum_is_an_arc_and_its_projection_is_off_the_main_line(name: str, arcs: int) -> None:
    drawn = published(name).draw()
    titles = [found.text for found in ElementTree.fromstring(drawn).iter() if "title" in found.tag]
    assert len(titles) - 1 == len(drawing.volumes(published(name).layers)), "a volume is missing"
    assert len(re.findall(r"[\d.] C[\d.]", drawn)) == arcs
    assert ("sum of branches" in drawn) == (arcs > 0)
    assert "1 picture of 3" in drawn


def test_the_drawing_names_every_map_size_and_no_labels_touch() -> None:
    for name in ("torchvision/vgg16", "torchvision/resnet152", "mnist-convnet", "wide-resnet"):
        drawn = published(name).draw()
        root = ElementTree.fromstring(drawn)
        texts = [element for element in root if element.tag.endswith("text")]
        boxes = []
        for text in texts:
            points = float(text.get("font-size", "0")) * 72 / style.DPI
            width = style.length(text.text or "", points, text.get("font-weight", "normal"))
            left = float(text.get("x", "0"))
            left -= width / 2 if text.get("text-anchor") == "middle" else 0
            boxes.append((left, left + width, float(text.get("y", "0"))))
            assert 0 <= left <= left + width <= float(root.get("width", "0")), text.text
        for place, a in enumerate(boxes):
            for b in boxes[:place]:
                assert abs(a[2] - b[2]) >= 12 or a[1] <= b[0] or b[1] <= a[0]
        # No label lies on a volume.
        lowest = max(float(y) for y in re.findall(r"[\d.]+,([\d.]+)", drawn))
        below = [y for _, _, y in boxes[1:]]
        assert lowest + 8 <= min(below)
