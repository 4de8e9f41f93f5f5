"""Losses between feature maps and the layers beneath them: against formulas and autograd."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from striate.painting.losses import style_losses as losses
from striate.painting.losses import wasserstein
from striate.painting.networks import convolution as layers


def gram(features: Tensor) -> Tensor:
    return features @ features.T


def test_second_moments_are_the_sum_over_positions() -> None:
    features = torch.randn(4, 9)
    expected = torch.stack(
        [torch.stack([(features[i] * features[j]).sum() for j in range(4)]) for i in range(4)]
    )
    _, second = losses.keep_moments(features, torch.tensor(1.0))
    torch.testing.assert_close(second.float(), expected)


def test_gram_loss_has_the_constants_of_gatys() -> None:
    k, m = 5, 12
    found, style = torch.randn(2, k, m, dtype=torch.float64)
    expected = (gram(style) - gram(found)).square().sum() / (4 * k**2 * m**2)
    torch.testing.assert_close(losses.gram_loss(gram(found) / m, gram(style) / m), expected)


def test_gram_gradient_is_its_formula() -> None:
    k, m = 5, 12
    found, style = torch.randn(2, k, m, dtype=torch.float64)
    leaf = found.clone().requires_grad_()
    kept = losses.keep_moments(leaf, torch.tensor(1 / m, dtype=torch.float64))
    loss = losses.to_gram(losses.keep_moments(style, torch.tensor(1 / m, dtype=torch.float64)))
    (gradient,) = torch.autograd.grad(loss(kept), leaf)
    apart = (gram(found) - gram(style)) / (k**2 * m**2)
    torch.testing.assert_close(gradient, apart @ found)


@pytest.mark.parametrize("keep", [losses.keep_moments, losses.keep_diagonal])
@pytest.mark.parametrize("shares", ["one", "each"])
@pytest.mark.parametrize("part", [1, losses.PART])  # bytes at a time: one position, all of them
def test_moments_agree_with_autograd(
    keep: Callable[[Tensor, Tensor], losses.Statistics],
    shares: str,
    part: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(losses, "PART", part)
    features = torch.randn(4, 10, dtype=torch.float64, requires_grad=True)
    share = torch.tensor(0.1) if shares == "one" else torch.rand(10)
    assert torch.autograd.gradcheck(
        lambda f: keep(f, share.double()), (features,), raise_exception=True
    )


def test_diagonal_is_that_of_the_moments() -> None:
    features, shares = torch.randn(4, 10), torch.rand(10)
    mean, square = losses.keep_diagonal(features, shares)
    whole, products = losses.keep_moments(features, shares)
    torch.testing.assert_close(mean, whole)
    torch.testing.assert_close(square, products.diagonal())


def bures(matrix: Tensor, style: Tensor) -> Tensor:
    """The textbook's W2^2 of covariances, by eigenvectors that autograd sees through."""
    root = wasserstein.square_root(style)
    values = torch.linalg.eigh(root @ matrix @ root).eigenvalues
    found: Tensor = matrix.trace() + style.trace() - 2 * values.sqrt().sum()
    return found


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-5)])
@pytest.mark.parametrize("channels", [1, 7, 64])
def test_wasserstein_gradient_is_that_of_eigenvectors_in_double(
    dtype: torch.dtype, tolerance: float, channels: int
) -> None:
    generator = torch.Generator().manual_seed(channels)
    one, other = torch.randn(2, channels, 4 * channels, dtype=torch.float64, generator=generator)
    matrix, style = one @ one.T / (4 * channels), other @ other.T / (4 * channels)
    exact = matrix.clone().requires_grad_()
    value = bures(exact, style)
    (expected,) = torch.autograd.grad(value, exact)
    expected = (expected + expected.T) / 2
    mean = torch.zeros(channels, dtype=dtype)
    leaf = matrix.to(dtype).requires_grad_()
    distance = wasserstein.wasserstein_to(mean, style.to(dtype), epsilon=0)(mean, leaf)
    (gradient,) = torch.autograd.grad(distance, leaf)
    assert float((gradient - expected).norm() / expected.norm()) <= tolerance
    assert float(distance.detach()) == pytest.approx(float(value.detach()), rel=100 * tolerance)


def test_wasserstein_to_nothing_is_that_to_next_to_nothing() -> None:
    features = torch.randn(6, 40, dtype=torch.float64)
    mean, style = features.mean(1), features @ features.T / 40
    distance = wasserstein.wasserstein_to(mean, style)
    found = distance(torch.zeros(6), torch.zeros(6, 6))
    near = distance(torch.zeros(6), 1e-12 * torch.eye(6, dtype=torch.float64))
    assert float(found) == pytest.approx(float(near), rel=1e-6)


def test_wasserstein_is_finite_where_positions_are_fewer_than_channels() -> None:
    features = torch.randn(64, 5, requires_grad=True)
    kept = losses.keep_moments(features, torch.tensor(0.2))
    style = losses.keep_moments(torch.randn(64, 3), torch.tensor(1 / 3))
    loss = losses.to_wasserstein(style)(kept)
    (gradient,) = torch.autograd.grad(loss, features)
    assert loss >= 0
    assert bool(gradient.isfinite().all())


def test_wasserstein_of_normals_in_one_dimension() -> None:
    distance = wasserstein.wasserstein_to(torch.tensor([1.0]), torch.tensor([[4.0]]), epsilon=0)
    assert float(distance(torch.tensor([4.0]), torch.tensor([[1.0]]))) == pytest.approx(9 + 1)


def test_sorted_loss_is_zero_for_the_same_positions_in_another_order() -> None:
    features = torch.randn(8, 50)
    one = losses.keep_sorted(features, torch.tensor(0.02))
    other = losses.keep_sorted(features[:, torch.randperm(50)], torch.tensor(0.02))
    assert float(losses.to_sorted(one)(other)) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("channels", [3, 70])  # fewer and more than there are directions
@pytest.mark.parametrize("positions", [12, 20])  # other and as many as the style's
def test_sorted_loss_agrees_with_autograd(channels: int, positions: int) -> None:
    features = torch.randn(channels, positions, dtype=torch.float64, requires_grad=True)
    style, along = torch.randn(channels, 20).double(), losses.directions(channels)
    one = torch.tensor(1.0)
    loss = losses.to_sorted(losses.keep_sorted(style, one))(losses.keep_sorted(features, one))
    order = (along @ features).sort(dim=1).values
    target = losses.quantiles((along @ style).sort(dim=1).values, positions)
    expected = (order - target).square().mean()
    torch.testing.assert_close(loss, expected)
    found = torch.autograd.grad(loss, features)
    torch.testing.assert_close(found, torch.autograd.grad(expected, features))


def test_convolution_agrees_with_torch_on_a_repeated_border() -> None:
    weight, bias = torch.randn(4, 3, 3, 3).double(), torch.randn(4).double()

    def plain(x: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
        found: Tensor = torch.conv2d(padded, weight, bias).relu()
        return found

    images = torch.randn(1, 3, 1, 6).double().requires_grad_()
    slope = torch.randn(1, 4, 1, 6).double()
    found, expected = layers.convolve(images, weight, bias), plain(images)
    torch.testing.assert_close(found, expected)
    (wanted,) = torch.autograd.grad(expected, images, slope)
    (gradient,) = torch.autograd.grad(found, images, slope.clone())
    torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize(("named", "pooled"), [(True, True), (False, True), (False, False)])
def test_a_rectified_convolution_before_a_pooling_agrees_with_torch(
    named: bool, pooled: bool
) -> None:
    weight = torch.randn(4, 3, 3, 3).double()
    bias = torch.tensor([-20.0, -2.0, 0.0, 2.0]).double()  # cells of zeros alone, and none
    images = torch.randn(1, 3, 7, 8).double().requires_grad_()
    found = layers.pool(layers.convolve(images, weight, bias, named=named, pooled=pooled))
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1), mode="replicate")
    expected = torch.nn.functional.max_pool2d(torch.conv2d(padded, weight, bias).relu(), 2)
    torch.testing.assert_close(found, expected)
    slope = torch.randn(expected.shape).double()
    (wanted,) = torch.autograd.grad(expected, images, slope)
    (gradient,) = torch.autograd.grad(found, images, slope.clone())
    torch.testing.assert_close(gradient, wanted)


@given(first=st.booleans(), last=st.booleans(), height=st.integers(4, 7), width=st.integers(2, 6))
def test_a_strip_of_a_pooled_convolution_agrees_with_torch(
    first: bool, last: bool, height: int, width: int
) -> None:
    weight, bias = torch.randn(4, 3, 3, 3).double(), torch.randn(4).double()
    images = torch.randn(1, 3, height, width).double().requires_grad_()
    ends = (first, last)
    found, marks = layers.convolve_pooled(images, weight, bias, ends=ends)
    padded = torch.nn.functional.pad(images, (1, 1, *map(int, ends)), mode="replicate")
    expected = torch.nn.functional.max_pool2d(torch.conv2d(padded, weight, bias).relu(), 2)
    torch.testing.assert_close(found, expected)
    slope = torch.randn(expected.shape).double()
    (wanted,) = torch.autograd.grad(expected, images, slope)
    again, _ = layers.convolve_pooled(images, weight, bias, marks, ends=ends)
    for output in (found, again):
        (gradient,) = torch.autograd.grad(output, images, slope.clone())
        torch.testing.assert_close(gradient, wanted)


@given(height=st.integers(2, 9), width=st.integers(2, 9))
def test_pooling_agrees_with_torch(height: int, width: int) -> None:
    images = torch.randn(1, 2, height, width).to(memory_format=torch.channels_last)
    own, other = images.relu().requires_grad_(), images.clone().requires_grad_()
    found, expected = layers.pool(own), torch.nn.functional.max_pool2d(other.relu(), 2)
    torch.testing.assert_close(found, expected)
    slope = torch.randn(expected.shape)
    found.backward(slope)
    expected.backward(slope)
    torch.testing.assert_close(own.grad, other.grad)


def test_corners_that_are_equally_large_share_the_slope() -> None:
    images = torch.tensor([[[[1.0, 1.0, 3.0, 2.0], [0.0, 1.0, 3.0, 0.0]]]]).requires_grad_()
    (slope,) = torch.autograd.grad(layers.pool(images).sum(), images)
    expected = torch.tensor([[1 / 3, 1 / 3, 0.5, 0.0], [0.0, 1 / 3, 0.5, 0.0]])
    torch.testing.assert_close(slope[0, 0], expected)
