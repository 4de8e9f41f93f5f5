"""The reference layers against torch's own in float64: results and gradients."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from striate.layers import reference as plain
from striate.layers.reference import Running, Unit

# Arguments are spread into both in ways that no signature can promise.
F: Any = torch.nn.functional
reference: Any = plain

Layer = Callable[..., Tensor]
SHARES = st.floats(0.01, 0.99)


def tensor(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def assert_same(ours: Layer, theirs: Layer, *inputs: Tensor) -> None:
    """Compare results, and gradients of a random sum of them with respect to every input."""
    one, other = ours(*inputs), theirs(*inputs)
    assert one.shape == other.shape
    torch.testing.assert_close(one, other)
    if one.requires_grad:
        weights = tensor(99, *one.shape).detach()
        gradients = [torch.autograd.grad((y * weights).sum(), inputs) for y in (one, other)]
        torch.testing.assert_close(*gradients)


def per_side(low: int, high: int, n: int) -> st.SearchStrategy[Any]:
    """One number, or one for each of n dimensions."""
    number = st.integers(low, high)
    return number | st.tuples(*[number] * n)


@st.composite
def slides(draw: st.DrawFn, n: int) -> tuple[list[int], tuple[int, ...], dict[str, Any]]:
    """Sizes, a kernel that fits, and how it slides."""
    kernel = tuple(draw(st.integers(1, 4)) for _ in range(n))
    how = {
        "stride": draw(per_side(1, 3, n)),
        "padding": draw(per_side(0, 3, n)),
        "dilation": draw(per_side(1, 3, n)),
    }
    pads, gaps = (
        [how[name]] * n if isinstance(how[name], int) else how[name]
        for name in ("padding", "dilation")
    )
    least = [max(1, d * (e - 1) + 1 - 2 * p) for e, p, d in zip(kernel, pads, gaps, strict=True)]
    return [size + draw(st.integers(0, 4)) for size in least], kernel, how


# Examples, channels of a group, filters of a group.
COUNTS = st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2))
CONVOLUTIONS = [(1, F.conv1d), (2, F.conv2d), (3, F.conv3d)]
TRANSPOSED = [(1, F.conv_transpose1d), (2, F.conv_transpose2d), (3, F.conv_transpose3d)]


@pytest.mark.parametrize(("n", "theirs"), CONVOLUTIONS)
@given(data=st.data(), counts=COUNTS, groups=st.integers(1, 3), biased=st.booleans())
def test_convolution_is_torchs(
    n: int,
    theirs: Layer,
    data: st.DataObject,
    counts: tuple[int, int, int],
    groups: int,
    biased: bool,
) -> None:
    batch, depth, filters = counts
    sizes, kernel, how = data.draw(slides(n))
    x = tensor(0, batch, groups * depth, *sizes)
    weight = tensor(1, groups * filters, depth, *kernel)
    bias = [tensor(2, groups * filters)] if biased else []
    assert_same(
        lambda *given: reference.convolution(*given, **how, groups=groups),
        lambda *given: theirs(*given, **how, groups=groups),
        *(x, weight, *bias),
    )


@pytest.mark.parametrize(("n", "theirs"), TRANSPOSED)
@given(data=st.data(), counts=COUNTS, groups=st.integers(1, 3), biased=st.booleans())
def test_transposed_convolution_is_torchs(
    n: int,
    theirs: Layer,
    data: st.DataObject,
    counts: tuple[int, int, int],
    groups: int,
    biased: bool,
) -> None:
    batch, depth, filters = counts
    sizes, kernel, how = data.draw(slides(n))
    how["output_padding"] = data.draw(per_side(0, 2, n))
    x = tensor(0, batch, groups * depth, *sizes)
    weight = tensor(1, groups * depth, filters, *kernel)
    bias = [tensor(2, groups * filters)] if biased else []
    try:
        theirs(x, weight, *bias, **how, groups=groups)
    except RuntimeError:  # nothing is left, or the output's padding is not below the stride
        assume(False)
    assert_same(
        lambda *given: reference.transposed_convolution(*given, **how, groups=groups),
        lambda *given: theirs(*given, **how, groups=groups),
        *(x, weight, *bias),
    )


def test_a_window_that_fits_nowhere_is_refused() -> None:
    with pytest.raises(
        AssertionError, match=r"a window of \(3, 3\) cells fits nowhere in \(2, 5\)"
    ):
        reference.convolution(tensor(0, 1, 1, 2, 5), tensor(1, 1, 1, 3, 3))


MAXIMA = [(1, F.max_pool1d), (2, F.max_pool2d), (3, F.max_pool3d)]
MEANS = [(1, F.avg_pool1d), (2, F.avg_pool2d), (3, F.avg_pool3d)]


@st.composite
def pools(draw: st.DrawFn, n: int) -> tuple[Tensor, int | tuple[int, ...], dict[str, Any]]:
    """A volume, a kernel, and how it slides; torch pads by half a kernel at most."""
    kernel = draw(per_side(1, 4, n))
    kernels = [kernel] * n if isinstance(kernel, int) else kernel
    sizes = [e + draw(st.integers(0, 5)) for e in kernels]
    how = {
        "stride": draw(st.none() | per_side(1, 4, n)),
        "padding": tuple(draw(st.integers(0, e // 2)) for e in kernels),
        "ceil_mode": draw(st.booleans()),
    }
    return tensor(draw(st.integers(0, 9)), 2, draw(st.integers(1, 2)), *sizes), kernel, how


@pytest.mark.parametrize(("n", "theirs"), MAXIMA)
@given(data=st.data())
def test_max_pooling_is_torchs(n: int, theirs: Layer, data: st.DataObject) -> None:
    x, kernel, how = data.draw(pools(n))
    how["dilation"] = data.draw(per_side(1, 3, n))
    try:
        pooled = theirs(x, kernel, **how)
    except RuntimeError:  # the dilated window is larger than the picture
        assume(False)
    # Where a dilated window meets padding alone, torch sends the gradient to some cell.
    assume(pooled.isfinite().all())
    assert_same(
        lambda x: reference.max_pooling(x, kernel, **how), lambda x: theirs(x, kernel, **how), x
    )


@pytest.mark.parametrize(("n", "theirs"), MEANS)
@given(data=st.data(), counted=st.booleans())
def test_average_pooling_is_torchs(
    n: int, theirs: Layer, data: st.DataObject, counted: bool
) -> None:
    x, kernel, how = data.draw(pools(n))
    how["count_include_pad"] = counted
    assert_same(
        lambda x: reference.average_pooling(x, kernel, **how),
        lambda x: theirs(x, kernel, **how),
        x,
    )


@given(size=st.integers(2, 12), stride=st.integers(1, 3), seed=st.integers(0, 9))
def test_overlapping_windows_see_cells_twice(size: int, stride: int, seed: int) -> None:
    x = tensor(seed, 1, 1, size + 2)
    pooled = reference.max_pooling(x, 3, stride=stride)
    expected = [max(x[0, 0, i : i + 3].tolist()) for i in range(0, size, stride)]
    assert pooled[0, 0].tolist() == expected


@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    more=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    shares=st.tuples(SHARES, SHARES),
    seed=st.integers(0, 99),
)
def test_fractional_pooling_is_torchs(
    kernel: tuple[int, int], more: tuple[int, int], shares: tuple[float, float], seed: int
) -> None:
    sizes = [e + m for e, m in zip(kernel, more, strict=True)]
    counts = [max(1, round(share * m)) for share, m in zip(shares, more, strict=True)]
    x = tensor(seed, 2, 3, *sizes)
    draws = torch.rand(2, 3, 2, dtype=torch.float64)

    def ours(x: Tensor) -> Tensor:
        # torch draws for each map of each example, the width's share first.
        planes = [
            reference.pool_regions(
                x[n : n + 1, c : c + 1],
                *(
                    reference.fixed_size(size, count, u, kernel=e)
                    for size, count, u, e in zip(
                        sizes, counts, reversed(draws[n, c].tolist()), kernel, strict=True
                    )
                ),
            )
            for n in range(2)
            for c in range(3)
        ]
        return torch.cat(planes).reshape(2, 3, *counts)

    assert_same(
        ours,
        lambda x: F.fractional_max_pool2d(x, kernel, counts, _random_samples=draws),
        x,
    )


@given(size=st.integers(1, 60), share=SHARES, u=SHARES, seed=st.integers(0, 99))
def test_fractional_bounds_step_by_the_two_nearest_numbers(
    size: int, share: float, u: float, seed: int
) -> None:
    count = max(1, round(share * size))
    for bounds in (
        reference.pseudo_random(size, count, u),
        reference.random(size, count, torch.Generator().manual_seed(seed)),
    ):
        steps = {after - before for before, after in reference.disjoint(bounds)}
        assert (bounds[0], bounds[-1], len(bounds)) == (0, size, count + 1)
        assert steps <= {size // count, -(-size // count)}


@given(size=st.integers(2, 20), share=SHARES, u=SHARES, seed=st.integers(0, 9))
def test_regions_tile_or_share_one_cell(size: int, share: float, u: float, seed: int) -> None:
    bounds = reference.pseudo_random(size, max(1, round(share * size)), u)
    tiles, wider = reference.disjoint(bounds), reference.overlapping(bounds)
    assert [cell for a, b in tiles for cell in range(a, b)] == list(range(size))
    assert all(b == min(size, end + 1) for (_, b), (_, end) in zip(wider, tiles, strict=True))
    x = tensor(seed, 1, 2, size)
    for regions in (tiles, wider):
        pooled = reference.pool_regions(x, regions)
        expected = [[max(row[a:b]) for a, b in regions] for row in x[0].tolist()]
        assert pooled[0].tolist() == expected


def test_random_bounds_differ_and_regular_ones_hardly() -> None:
    draws = torch.Generator().manual_seed(0)
    shuffled = {tuple(reference.random(25, 18, draws)) for _ in range(50)}
    regular = {tuple(reference.pseudo_random(25, 18, u / 50)) for u in range(1, 50)}
    assert len(shuffled) == 50
    assert 10 < len(regular) <= 18


@given(size=st.integers(1, 60), share=SHARES, u=SHARES)
def test_pseudo_random_bounds_count_whole_numbers(size: int, share: float, u: float) -> None:
    count = max(1, round(share * size))
    alpha, start = Fraction(size, count), Fraction(u)
    # The i-th bound is how many whole numbers lie in (alpha u, alpha (u + i)].
    expected = [
        sum(alpha * start < whole <= alpha * (start + i) for whole in range(1, 2 * size + 1))
        for i in range(count + 1)
    ]
    assert reference.pseudo_random(size, count, u) == expected


@st.composite
def volumes(draw: st.DrawFn) -> Tensor:
    """A batch of 1 to 3 volumes of 1 to 6 channels, with 0 to 3 dimensions of space."""
    sizes = draw(st.lists(st.integers(1, 4), max_size=3))
    return tensor(draw(st.integers(0, 9)), draw(st.integers(1, 3)), draw(st.integers(1, 6)), *sizes)


EPS = st.sampled_from([1e-5, 1e-3, 0.1])
MOMENTUM = st.floats(0, 1)


def running(channels: int) -> Running:
    return Running(tensor(5, channels).detach(), tensor(6, channels).detach() ** 2 + 0.1)


def copied(statistics: Running) -> tuple[Tensor, Tensor]:
    return statistics.mean.clone(), statistics.variance.clone()


@given(x=volumes(), momentum=MOMENTUM, eps=EPS, affine=st.booleans())
def test_batch_norm_is_torchs(x: Tensor, momentum: float, eps: float, affine: bool) -> None:
    assume(x.numel() > x.shape[1])  # torch refuses one number a channel
    c = x.shape[1]
    learned = [tensor(3, c), tensor(4, c)] if affine else []
    before = running(c)
    mean, variance = copied(before)

    def theirs(x: Tensor, *learned: Tensor) -> Any:
        return F.batch_norm(x, mean, variance, *learned, training=True, momentum=momentum, eps=eps)

    how = {"momentum": momentum, "eps": eps, "running": before}
    assert_same(lambda *given: reference.batch_norm(*given, **how)[0], theirs, x, *learned)
    after = reference.batch_norm(x, *learned, **how)[1]
    assert after is not None
    torch.testing.assert_close((after.mean, after.variance), (mean, variance))
    assert_same(
        lambda x, *learned: reference.evaluated(x, after, *learned, eps=eps),
        lambda x, *learned: F.batch_norm(x, mean, variance, *learned, training=False, eps=eps),
        x,
        *learned,
    )


def test_batch_norm_without_running_statistics_gives_none() -> None:
    assert reference.batch_norm(tensor(0, 4, 2, 3))[1] is None
    assert reference.instance_norm(tensor(0, 4, 2, 3))[1] is None


@given(x=volumes(), momentum=MOMENTUM, eps=EPS, affine=st.booleans())
def test_instance_norm_is_torchs(x: Tensor, momentum: float, eps: float, affine: bool) -> None:
    assume(x.numel() > x.shape[0] * x.shape[1])
    c = x.shape[1]
    learned = [tensor(3, c), tensor(4, c)] if affine else []
    before = running(c)
    mean, variance = copied(before)

    def theirs(x: Tensor, *learned: Tensor) -> Any:
        return F.instance_norm(
            x, mean, variance, *learned, use_input_stats=True, momentum=momentum, eps=eps
        )

    how = {"momentum": momentum, "eps": eps, "running": before}
    # Gradients without running statistics: torch would move them each time it is called.
    assert_same(
        lambda *given: reference.instance_norm(*given, eps=eps)[0],
        lambda x, *learned: F.instance_norm(x, None, None, *learned, use_input_stats=True, eps=eps),
        x,
        *learned,
    )
    y, after = reference.instance_norm(x, *learned, **how)
    torch.testing.assert_close(y, theirs(x, *learned))
    assert after is not None
    torch.testing.assert_close((after.mean, after.variance), (mean, variance))


@given(x=volumes(), groups=st.integers(1, 6), eps=EPS, affine=st.booleans())
def test_group_norm_is_torchs(x: Tensor, groups: int, eps: float, affine: bool) -> None:
    assume(x.shape[1] % groups == 0)
    assume(x[:, : x.shape[1] // groups].numel() > len(x))  # torch refuses a group of one number
    learned = [tensor(3, x.shape[1]), tensor(4, x.shape[1])] if affine else []
    assert_same(
        lambda x, *learned: reference.group_norm(x, groups, *learned, eps=eps),
        lambda x, *learned: F.group_norm(x, groups, *learned, eps=eps),
        x,
        *learned,
    )


@given(x=volumes(), dimensions=st.integers(1, 4), eps=EPS, affine=st.booleans())
def test_layer_norm_is_torchs(x: Tensor, dimensions: int, eps: float, affine: bool) -> None:
    assume(dimensions < x.dim())
    shape = x.shape[-dimensions:]
    learned = [tensor(3, *shape), tensor(4, *shape)] if affine else []
    assert_same(
        lambda x, *learned: reference.layer_norm(x, dimensions, *learned, eps=eps),
        lambda x, *learned: F.layer_norm(x, shape, *learned, eps=eps),
        x,
        *learned,
    )


@given(x=volumes(), eps=EPS)
def test_the_norms_meet_at_their_ends(x: Tensor, eps: float) -> None:
    whole = reference.layer_norm(x, x.dim() - 1, eps=eps)
    torch.testing.assert_close(reference.group_norm(x, 1, eps=eps), whole)
    alone = reference.instance_norm(x, eps=eps)[0]
    if x.dim() > 2:
        torch.testing.assert_close(reference.group_norm(x, x.shape[1], eps=eps), alone)
        torch.testing.assert_close(reference.batch_norm(x[:1], eps=eps)[0], alone[:1])


@given(x=volumes(), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_dropout_is_torchs_where_it_keeps_the_same(x: Tensor, share: float, seed: int) -> None:
    def theirs(x: Tensor) -> Any:
        torch.manual_seed(seed)
        return F.dropout(x, share)

    kept = theirs(torch.ones_like(x)) != 0
    assert_same(lambda x: reference.dropout(x, kept, share), theirs, x)


def test_dropout_of_channels_is_torchs() -> None:
    x = tensor(0, 3, 5, 4, 4)

    def theirs(x: Tensor) -> Any:
        torch.manual_seed(1)
        return F.dropout2d(x, 0.4)

    kept = theirs(torch.ones_like(x))[:, :, :1, :1] != 0
    assert kept.shape == (3, 5, 1, 1)
    assert_same(lambda x: reference.dropout(x, kept, 0.4), theirs, x)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_dropout_keeps_the_mean(share: float) -> None:
    kept = reference.draw((200_000,), share, torch.Generator().manual_seed(0))
    error = 4 * (share * (1 - share) / 200_000) ** 0.5  # four standard deviations
    assert kept.double().mean().item() == pytest.approx(1 - share, abs=error + 1e-12)
    mean = reference.dropout(torch.ones(200_000).double(), kept, share).mean().item()
    assert mean == pytest.approx(1, abs=error / (1 - share) + 1e-12)


def unit(convolution: nn.Conv2d, norm: nn.BatchNorm2d, *, training: bool) -> Unit:
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    return Unit(
        convolution.weight,
        norm.weight,
        norm.bias,
        convolution.stride,
        tuple(int(cells) for cells in convolution.padding),
        None if training else Running(mean.clone(), variance.clone()),
    )


def units(block: BasicBlock | Bottleneck, *, training: bool) -> tuple[list[Unit], Unit | None]:
    count = 3 if isinstance(block, Bottleneck) else 2
    branch = [
        unit(getattr(block, f"conv{i}"), getattr(block, f"bn{i}"), training=training)
        for i in range(1, count + 1)
    ]
    sides = block.downsample
    return branch, unit(sides[0], sides[1], training=training) if sides is not None else None


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("kind", "channels", "width", "stride"),
    [
        (BasicBlock, 6, 6, 1),  # the identity
        (BasicBlock, 4, 6, 1),
        (BasicBlock, 4, 6, 2),
        (Bottleneck, 8, 2, 1),  # the identity
        (Bottleneck, 4, 3, 2),
    ],
)
def test_a_residual_block_is_torchvisions(
    kind: type[BasicBlock | Bottleneck], channels: int, width: int, stride: int, training: bool
) -> None:
    torch.manual_seed(0)
    out = width * kind.expansion
    project = stride > 1 or channels != out
    side = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
    block = kind(channels, width, stride, side if project else None).double().train(training)
    for name, values in [*block.named_parameters(), *block.named_buffers()]:
        if "bn" in name or ".1." in name:  # neither 0 nor 1, that each may be seen
            values.data = torch.rand(values.shape).double() + 0.5
    branch, projection = units(block, training=training)
    x = tensor(0, 3, channels, 7, 6)
    parameters = dict(block.named_parameters())
    learned = list(parameters.values())
    assert_same(
        lambda x, *_: reference.residual_block(x, branch, projection),
        lambda x, *_: block(x),
        *(x, *learned),
    )


CHECKED: dict[str, tuple[Layer, list[Tensor]]] = {
    "convolution": (
        lambda x, w, b: reference.convolution(
            x, w, b, stride=2, padding=(1, 0), dilation=(1, 2), groups=2
        ),
        [tensor(0, 2, 4, 5, 6), tensor(1, 2, 2, 3, 2), tensor(2, 2)],
    ),
    "transposed convolution": (
        lambda x, w, b: reference.transposed_convolution(
            x, w, b, stride=2, padding=1, output_padding=1, groups=2
        ),
        [tensor(0, 1, 4, 3, 3), tensor(1, 4, 1, 3, 3), tensor(2, 2)],
    ),
    "max pooling": (lambda x: reference.max_pooling(x, 3, stride=2), [tensor(0, 1, 2, 7, 6)]),
    "average pooling": (
        lambda x: reference.average_pooling(x, 3, stride=2, padding=1, ceil_mode=True),
        [tensor(0, 1, 2, 6, 5)],
    ),
    "fractional pooling": (
        lambda x: reference.pool_regions(
            x, *[reference.overlapping(reference.pseudo_random(7, 5, 0.4))] * 2
        ),
        [tensor(0, 1, 2, 7, 7)],
    ),
    "batch norm": (
        lambda x, s, b: reference.batch_norm(x, s, b)[0],
        [tensor(0, 3, 2, 4), tensor(1, 2), tensor(2, 2)],
    ),
    "group norm": (
        lambda x, s, b: reference.group_norm(x, 2, s, b),
        [tensor(0, 2, 4, 3), tensor(1, 4), tensor(2, 4)],
    ),
    "layer norm": (
        lambda x, s, b: reference.layer_norm(x, 2, s, b),
        [tensor(0, 2, 3, 4), tensor(1, 3, 4), tensor(2, 3, 4)],
    ),
    "instance norm": (
        lambda x, s, b: reference.instance_norm(x, s, b)[0],
        [tensor(0, 2, 3, 4), tensor(1, 3), tensor(2, 3)],
    ),
    "dropout": (
        lambda x: reference.dropout(x, tensor(1, 2, 6) > 0, 0.5),
        [tensor(0, 2, 6)],
    ),
    "residual block": (
        lambda x, w, v, s, b: reference.residual_block(
            x, [Unit(w, s, b, 1, 1), Unit(w, s, b, 1, 1)], Unit(v, s, b)
        ),
        [
            tensor(0, 2, 2, 3, 3),
            tensor(1, 2, 2, 3, 3),
            tensor(2, 2, 2, 1, 1),
            tensor(3, 2),
            tensor(4, 2),
        ],
    ),
}


@pytest.mark.parametrize("name", CHECKED)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    layer, inputs = CHECKED[name]
    assert torch.autograd.gradcheck(layer, inputs)
