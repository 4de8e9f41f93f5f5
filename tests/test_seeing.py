"""What is seen inside a network, against references and brute force."""

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from striate import features, models, seeing
from striate.data.batches import Pictures
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.splits import Split
from striate.errors import UsageError
from striate.seeing.answers import grouped
from striate.seeing.firstlayer import ordered
from striate.seeing.looking import agreement
from striate.tracing import receptive_fields


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More cost time where everything is small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def made(name: str, shape: tuple[int, ...], classes: int = 4) -> nn.Module:
    """Build a network whose running statistics are not the first."""
    torch.manual_seed(0)
    net = models.build(name, classes, channels=shape[0], size=shape[1:])
    with torch.no_grad():
        for _ in range(3):
            net.train()(torch.randn(8, *shape))
    return net.eval()


# Filters


def gabor(direction: float, frequency: float, side: int = 11) -> NDArray[np.float64]:
    """A wave of so many cycles a pixel along a direction in degrees, in a soft window."""
    down, across = np.mgrid[:side, :side] - (side - 1) / 2
    along = across * np.cos(np.radians(direction)) + down * np.sin(np.radians(direction))
    window = np.exp(-(down**2 + across**2) / (2 * (side / 5) ** 2))
    wave: NDArray[np.float64] = window * np.cos(2 * np.pi * frequency * along)
    return wave


@given(st.floats(0, 179), st.sampled_from([0.15, 0.2, 0.3]), st.sampled_from([1, 3]))
def test_direction_and_frequency_of_a_wave_are_found(
    direction: float, frequency: float, channels: int
) -> None:
    weights = np.repeat(gabor(direction, frequency)[None, None], channels, axis=1)
    found = ordered("conv", weights)
    off = abs(found.directions[0] - direction) % 180
    assert min(off, 180 - off) < 2
    assert found.frequencies[0] == pytest.approx(frequency, rel=0.12)
    assert found.kinds == ("grey",)


def test_filters_are_ordered_and_the_dead_and_equal_ones_named() -> None:
    grey = [np.stack([gabor(angle, 0.2)] * 3) for angle in (135, 45, 90, 0)]
    red, blue = np.zeros((2, 3, 11, 11))
    red[0], red[1:] = gabor(0, 0.1), -gabor(0, 0.1) / 2
    blue[2], blue[:2] = gabor(0, 0.1), -gabor(0, 0.1) / 2
    weights = np.stack([blue, *grey, np.zeros((3, 11, 11)), 2 * grey[2], red])
    found = ordered("conv", weights)
    assert found.order.tolist() == [4, 2, 3, 6, 1, 7, 0, 5]
    assert found.dead == [5]
    assert found.kinds[0] == found.kinds[7] == "coloured"
    assert [(pair.first, pair.second) for pair in found.alike] == [(3, 6)]
    assert found.hues[7] == pytest.approx(0, abs=1e-9)
    assert found.hues[0] == pytest.approx(240)


@given(st.integers(0, 1000), st.sampled_from([1, 3]), st.booleans())
def test_zero_is_drawn_as_mid_grey(seed: int, channels: int, shared: bool) -> None:
    weights = np.random.default_rng(seed).normal(size=(5, channels, 3, 4))
    weights[1] *= 0.01
    weights[:, :, 1, 1] = 0
    weights[4] = 0
    drawn = seeing.filter_pictures(weights, shared=shared)
    assert drawn.shape == (5, 3, 4) if channels == 1 else (5, 3, 4, 3)
    assert (drawn[:, 1, 1] == 128).all()
    assert (drawn[4] == 128).all()
    spread = np.abs(drawn.astype(int) - 128).reshape(5, -1).max(1)
    assert spread[:4].tolist() == ([127] * 4 if not shared else spread[:4].tolist())
    assert spread.max() == 127
    assert (spread[1] < 10) == shared


def test_first_filters_are_those_of_the_layer_that_runs_first() -> None:
    net = made("lenet", (1, 28, 28))
    found = seeing.filters(net, (1, 28, 28))
    assert found.layer == "conv1"
    assert np.array_equal(found.weights, net.get_submodule("conv1").weight.detach().numpy())  # type: ignore[operator]
    assert sorted(found.order.tolist()) == list(range(6))
    units = seeing.filters(made("mlp", (1, 8, 8)), (1, 8, 8))
    assert units.weights.shape[1:] == (1, 8, 8)  # each unit looks at the whole picture
    with pytest.raises(UsageError, match="are no pictures of one or three channels"):
        seeing.filters(nn.Sequential(nn.Conv2d(2, 3, 3)), (2, 8, 8))
    with pytest.raises(UsageError, match="no layer with filters"):
        seeing.filters(nn.Sequential(nn.BatchNorm2d(3)), (3, 8, 8))


# Feature maps and patches


def test_maps_say_what_they_are() -> None:
    net = made("convnet", (3, 32, 32))
    values = torch.randn(3, 3, 32, 32)
    found = seeing.maps(net, values, most=5)
    assert [one.layer.name for one in found] == [
        one.name for one in seeing.parts(net, (3, 32, 32), most=5)
    ]
    assert found[0].layer.name == "stage1.conv1"
    assert found[0].signed
    assert found[-1].layer.kind == "ReLU"
    assert not found[-1].signed
    fields = receptive_fields(net, (3, 32, 32))
    for one in found:
        assert one.layer.field == tuple(int(field.size) for field in fields[one.layer.name])
        with torch.no_grad():
            expected = features.activations(net, values, [one.layer.name])[one.layer.name]
        assert np.array_equal(one.values, expected.numpy())
    last = found[-1]
    empty = [(last.values[p, c] == 0).all() for p in range(3) for c in range(last.values.shape[1])]
    assert last.zero == pytest.approx(np.mean(empty))
    last.values[:, 2] = 0
    assert 2 in last.silent
    assert last.varied[-1] in last.silent


def test_tokens_and_channels_last_are_no_maps() -> None:
    net = models.build("torchvision/swin_t", 3, size=64).eval()
    names = {one.name for one in seeing.parts(net, (3, 64, 64), most=1000)}
    assert names == {"features.0.0", "permute"}
    with pytest.raises(UsageError, match="has no maps of the picture"):
        seeing.last(made("mlp", (1, 8, 8)), (1, 8, 8))


def test_patches_are_the_strongest_answers_of_all_pictures() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (30, 24, 24, 3)).astype(np.uint8)
    split = Split(pixels, np.zeros(30, np.int64), [f"test/{i}" for i in range(30)])
    preparation = Preprocessing((24, 24), normalise="none")
    net = made("convnet", (3, 24, 24))
    chosen = [one for one in seeing.parts(net, (3, 24, 24)) if one.name != "stage1.pool"][:4]
    pictures = Pictures(split, preparation)
    found = seeing.patches(net, preparation, pictures.all(7), chosen, top=5)
    whole = torch.stack([preparation(picture) for picture in pixels])
    with torch.no_grad():
        maps = features.activations(net, whole, [one.name for one in chosen])
    for one in found:
        expected = maps[one.layer.name].flatten(2).amax(2).T.sort(1, descending=True).values
        np.testing.assert_allclose(one.answers, expected[:, :5], rtol=1e-4, atol=1e-5)
        assert all(len(set(rows)) == 5 for rows in one.rows.tolist())
        assert (one.boxes[..., :2] < one.boxes[..., 2:]).all()
    # What lies outside the cut does not change the answer.
    with torch.no_grad():
        for one in found[:2]:
            row, (top, left, bottom, right) = int(one.rows[3, 0]), one.boxes[3, 0].tolist()
            other = torch.rand(1, 3, 24, 24)
            other[..., top:bottom, left:right] = whole[row, :, top:bottom, left:right]
            answer = features.activations(net, other, [one.layer.name])[one.layer.name][0, 3]
            assert (answer - float(one.answers[3, 0])).abs().min() < 1e-4
            sides = seeing.cut(pixels[row], one.boxes[3, 0]).shape[:2]
            assert sides == (bottom - top, right - left)
            assert max(sides) <= max(one.layer.field)


# Where it looked


NETS = {
    "convnet": (3, 32, 32),
    "lenet": (1, 28, 28),
    "resnet20": (3, 32, 32),
    "torchvision/squeezenet1_1": (3, 64, 64),
    "timm/tf_efficientnet_lite0": (3, 64, 64),
}


@pytest.mark.parametrize("name", NETS)
def test_grad_cam_is_captums(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations that its own import meets
        from captum.attr import LayerGradCam
    shape = NETS[name]
    net = made(name, shape)
    values, targets = torch.randn(3, *shape), torch.tensor([0, 3, 1])
    layer = seeing.last(net, shape).name
    path = features.path_of(layer)
    found = seeing.grad_cam(net, values, targets, layer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its hooks on modules that end in place
        module = net.get_submodule(path)
        for part in net.modules():
            if isinstance(part, (nn.ReLU, nn.ReLU6)):
                part.inplace = False
        expected = LayerGradCam(net, module).attribute(values, target=targets)[:, 0]
    assert found.shape == expected.shape
    assert float((found - expected.detach()).abs().max()) <= 1e-6
    assert found.abs().max() > 0


def test_cam_is_grad_cam_times_places_and_adds_up_to_the_logit() -> None:
    net = made("resnet20", (3, 32, 32)).double()
    values, targets = torch.randn(3, 3, 32, 32, dtype=torch.float64), torch.tensor([2, 0, 1])
    layer = seeing.last(net, (3, 32, 32)).name
    whole = seeing.cam(net, values, targets, layer)
    assert whole is not None
    raw = seeing.grad_cam(net, values, targets, layer)
    assert float((whole / whole[0].numel() - raw).abs().max()) <= 1e-9
    bias = net.get_parameter("fc.bias").detach()
    with torch.no_grad():
        logits = net(values)
    torch.testing.assert_close(
        whole.mean((1, 2)) + bias[targets],
        logits[torch.arange(3), targets],
    )
    lenet = made("lenet", (1, 28, 28))
    assert seeing.cam(lenet, torch.randn(2, 1, 28, 28), torch.tensor([0, 1]), "tanh2") is None


def test_a_network_is_shuffled_beside_itself() -> None:
    net = made("convnet", (1, 16, 16))
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    values, targets = torch.randn(4, 1, 16, 16), torch.tensor([0, 1, 2, 3])
    found = seeing.looked(net, values, targets)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    other = seeing.shuffled(net)
    for key, parameter in net.named_parameters():
        own = other.get_parameter(key)
        assert torch.equal(own.flatten().sort().values, parameter.flatten().sort().values)
    assert not torch.equal(other.get_parameter("head.weight"), net.get_parameter("head.weight"))
    again = seeing.looked(net, values, targets, other=other)
    assert torch.equal(found.shuffled, again.shuffled)
    assert found.agreement.isfinite().all()
    one = seeing.looked(net, values[2:3], targets[2:3], layer=found.layer)
    torch.testing.assert_close(one.maps[0], found.maps[2], rtol=1e-4, atol=1e-6)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=30))
def test_agreement_is_spearmans(pairs: list[tuple[int, int]]) -> None:
    from scipy.stats import spearmanr

    first, second = (torch.tensor(side, dtype=torch.float32) for side in zip(*pairs, strict=True))
    found = float(agreement(first[None, :, None], second[None, :, None])[0])
    if len(set(first.tolist())) == 1 or len(set(second.tolist())) == 1:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(float(spearmanr(first, second).statistic), abs=1e-12)


# Mistakes and doubts


def answered(seed: int, n: int = 60, k: int = 4, noise: float = 0.2) -> seeing.Answers:
    """Answers of a network that is right more often than not, on labels of which some are wrong."""
    random = np.random.default_rng(seed)
    true = random.integers(0, k, n)
    logits = random.normal(size=(n, k)) + 2.5 * np.eye(k)[true]
    shares = F.softmax(torch.from_numpy(logits), 1).numpy()
    labels = np.where(random.random(n) < noise, random.integers(0, k, n), true)
    files = [f"test/{row}" for row in range(n)]
    return seeing.Answers("test", files, labels, shares, tuple("abcdefghij"[:k]))


def test_mistakes_and_doubts_are_sorted() -> None:
    found = answered(0)
    wrong = found.mistakes()
    assert set(wrong.tolist()) == set(np.flatnonzero(found.wrong).tolist())
    assert (np.diff(found.confidence[wrong]) <= 0).all()
    assert found.mistakes(3).tolist() == wrong[:3].tolist()
    assert (np.diff(found.confidence[found.doubts()]) >= 0).all()
    table = seeing.confusion(found)
    assert int(table.counts.sum()) == len(found.labels)
    assert sum(count for _, _, count in table.pairs) == len(wrong)
    assert [count for _, _, count in table.pairs] == sorted(
        (count for _, _, count in table.pairs), reverse=True
    )


def test_classes_that_are_confused_stand_together() -> None:
    random = np.random.default_rng(0)
    k, size = 120, 6
    group = random.permutation(k) % (k // size)
    counts = np.diag(np.full(k, 50))
    for true in range(k):
        for _ in range(10):
            own = np.flatnonzero(group == group[true])
            counts[true, random.choice(own if random.random() < 0.8 else k)] += 1
    order = grouped(counts)
    assert sorted(order.tolist()) == list(range(k))

    def near(table: NDArray[np.int64]) -> float:
        rows, columns = np.indices(table.shape)
        off = (rows != columns) & (abs(rows - columns) <= 10)
        return float(table[off].sum())

    assert near(counts[order][:, order]) >= 2 * near(counts)


@given(st.integers(0, 10**6), st.integers(2, 6), st.sampled_from([0.0, 0.1, 0.4]))
def test_label_errors_are_cleanlabs(seed: int, k: int, noise: float) -> None:
    from cleanlab.filter import find_label_issues

    found = answered(seed, n=12 * k, k=k, noise=noise)
    if len(np.unique(found.labels)) < k:
        return  # cleanlab wants each class
    expected = find_label_issues(
        found.labels, found.probabilities, filter_by="confident_learning", n_jobs=1
    )
    rows = seeing.doubted(found)
    assert sorted(rows.tolist()) == np.flatnonzero(expected).tolist()
    own = found.probabilities[rows, found.labels[rows]] - found.probabilities[rows].max(1)
    assert (np.diff(own) >= 0).all()


def test_label_errors_are_not_looked_for_where_the_network_learnt() -> None:
    with pytest.raises(UsageError, match="training split"):
        seeing.doubted(answered(0)._replace(split="train"))


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(2, 5), st.integers(1, 20))
def test_calibration_is_that_of_a_histogram_by_hand(seed: int, n: int, k: int, bins: int) -> None:
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.full(k, 0.3), n)
    shares[random.random(n) < 0.3] = np.eye(k)[0]  # float32 softmax is often exactly 1
    labels = random.integers(0, k, n)
    found = seeing.calibration(shares, labels, bins=bins)
    expected, total = 0.0, 0
    for number, one in enumerate(found.bins):
        low, high = number / bins, (number + 1) / bins
        rows = [
            row
            for row in range(n)
            if low <= shares[row].max() < high or (number == bins - 1 and shares[row].max() == 1)
        ]
        assert one.n == len(rows)
        total += one.n
        if rows:
            right = float(np.mean([shares[row].argmax() == labels[row] for row in rows]))
            expected += len(rows) / n * abs(right - float(np.mean([shares[r].max() for r in rows])))
            assert one.interval[0] <= one.accuracy <= one.interval[1]
    assert total == n
    assert found.error == pytest.approx(expected, abs=1e-12)
    assert found.brier == pytest.approx(((shares - np.eye(k)[labels]) ** 2).sum(1).mean())
