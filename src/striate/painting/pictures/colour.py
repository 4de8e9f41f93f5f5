"""Keeping a photograph's colours (Gatys et al. 2016, https://arxiv.org/abs/1606.05897)."""

import torch
from torch import Tensor

# NTSC's luminance, as in the paper.
LUMINANCE = (0.299, 0.587, 0.114)
_RIDGE = 1e-5  # on colours in [0, 1]: keeps a flat or grey picture's covariance invertible


def luminance(picture: Tensor) -> Tensor:
    """Convert a picture (..., 3, H, W) to grey, still with three channels."""
    weights = picture.new_tensor(LUMINANCE)[:, None, None]
    return (picture * weights).sum(-3, keepdim=True).expand_as(picture).contiguous()


def recolour(painting: Tensor, content: Tensor) -> Tensor:
    """Combine a painting's luminance with a photograph's colours, both (..., 3, H, W)."""
    return (content + luminance(painting) - luminance(content)).clamp(0, 1)


def match(style: Tensor, content: Tensor) -> Tensor:
    """Return a style (1, 3, H, W) the mean and covariance of a content's colours.

    Of all linear maps that do so, the symmetric one: it moves colours least.
    """
    mean, covariance = _colours(style)
    wanted_mean, wanted = _colours(content)
    root, inverse = _powers(covariance)
    inner, _ = _powers(root @ wanted @ root)
    turned = (inverse @ inner @ inverse).float()
    pixels = style[0].flatten(1) - mean[:, None].float()
    matched = turned @ pixels + wanted_mean[:, None].float()
    return matched.view_as(style).clamp(0, 1)


def match_luminance(style: Tensor, content: Tensor) -> Tensor:
    """Return a style's luminance the mean and deviation of a content's."""
    one, other = luminance(style), luminance(content)
    factor = other.std() / one.std().clamp_min(_RIDGE**0.5)
    return ((one - one.mean()) * factor + other.mean()).clamp(0, 1)


def _colours(picture: Tensor) -> tuple[Tensor, Tensor]:
    pixels = picture[0].flatten(1).double()
    mean = pixels.mean(1)
    apart = pixels - mean[:, None]
    ridge = _RIDGE * torch.eye(3, dtype=torch.float64, device=picture.device)
    return mean, apart @ apart.T / pixels.shape[1] + ridge


def _powers(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the root of a symmetric positive matrix, and the root's inverse."""
    values, vectors = torch.linalg.eigh(matrix)
    roots = values.clamp_min(1e-12).sqrt()
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
