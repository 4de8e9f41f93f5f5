"""ZCA whitening: what pixels share is taken out, and they stay where they are.

Bell and Sejnowski 1997, https://doi.org/10.1016/S0042-6989(97)00121-1.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from striate.errors import DataError, UsageError

# A 3 x 32 x 32 picture: the matrix has the square of this many entries.
FEATURES = 3072
# So many products of two bytes stay below 2**24, so their sum is exact in a float32.
_EXACT = 256


@dataclass(frozen=True, eq=False)
class Zca:
    """A whitening of D = C * H * W features: pixels (N, C, H, W) -> values with unit covariance.

    The matrix W is symmetric and stands in fixed point, W = mantissas * 2**exponent; `offset` is W
    times the mean feature, with pixels in [0, 1].
    """

    mantissas: Tensor  # int32 (D, D)
    exponent: int
    offset: Tensor  # float64 (D,)
    _doubles: dict[torch.device, Tensor] = field(default_factory=dict, init=False, repr=False)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Zca)
            and self.exponent == other.exponent
            and torch.equal(self.mantissas, other.mantissas)
            and torch.equal(self.offset, other.offset)
        )

    def __hash__(self) -> int:
        return hash((self.exponent, len(self.offset)))

    def __call__(self, batch: Tensor) -> Tensor:
        """Whiten pixels (N, C, H, W), uint8 -> float32."""
        # A pixel has 8 bits, a mantissa 31, and D < 2**12: each sum fits the 53 bits of a float64,
        # so the product is exact in any order, on any number of threads.
        sums = batch.flatten(1).double() @ self._matrix(batch.device)
        white = (
            sums
            * (2.0**self.exponent)
            / torch.full((), 255.0, dtype=torch.float64, device=batch.device)
        )
        return (white - self.offset.to(batch.device, non_blocking=True)).float().view(batch.shape)

    @classmethod
    def fit(cls, batches: Iterable[Tensor], eps: float = 1e-2) -> Self:
        """Whiten by what pixels (N, C, H, W) share, as U (S + eps)^(-1/2) U^T of their covariance.

        One pass. `eps` is in squared shares of white: larger leaves fine noise smaller.
        """
        count, mean, covariance = _covariance(batches)
        if not (count and eps > 0 and math.isfinite(eps)):
            raise UsageError(f"whitening needs pictures and eps above 0, not {count} and {eps}")
        spread, axes = torch.linalg.eigh(covariance)
        matrix = (axes / (spread.clamp(min=0) + eps).sqrt()) @ axes.T
        # frexp: the largest entry is below 2**power, so every mantissa is at most 2**31 - 1.
        exponent = math.frexp(float(matrix.abs().max()))[1] - 31
        mantissas = (matrix * 2.0**-exponent).round().clamp(max=2**31 - 1).to(torch.int32)
        mantissas = torch.triu(mantissas) + torch.triu(mantissas, 1).T
        return cls(mantissas, exponent, (mantissas.double() @ mean) * 2.0**exponent)

    def to_bytes(self) -> bytes:
        """Return the whitening as a safetensors file."""
        exponent = torch.tensor(self.exponent)
        return safetensors.torch.save(
            {"mantissas": self.mantissas, "exponent": exponent, "offset": self.offset}
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` gave."""
        try:
            found = safetensors.torch.load(content)
            mantissas, exponent, offset = (found[k] for k in ("mantissas", "exponent", "offset"))
        except (SafetensorError, KeyError, ValueError) as error:
            raise DataError(f"the whitening is damaged: {error}") from error
        size = offset.numel()
        whole = (exponent.shape, offset.shape, mantissas.shape) == ((), (size,), (size, size))
        types = (mantissas.dtype, exponent.dtype, offset.dtype)
        known = types == (torch.int32, torch.int64, torch.float64) and size <= FEATURES
        if not (whole and known and abs(int(exponent)) < 1000 and bool(offset.isfinite().all())):
            raise DataError("the whitening is damaged: its tensors are of other types or sizes")
        return cls(mantissas, int(exponent), offset)

    def _matrix(self, device: torch.device) -> Tensor:
        if device not in self._doubles:
            self._doubles[device] = self.mantissas.to(device).double()
        return self._doubles[device]


def _covariance(batches: Iterable[Tensor]) -> tuple[int, Tensor, Tensor]:
    """Sum batches up exactly -> their count, mean (D,) and covariance (D, D) on [0, 1]."""
    count = 0
    total, squares = torch.zeros(0, dtype=torch.int64), torch.zeros(0, 0, dtype=torch.float64)
    for batch in batches:
        features = batch.flatten(1).cpu()  # (N, D)
        if not count:
            size = _check_features(tuple(batch.shape[1:]))
            total, squares = total.new_zeros(size), squares.new_zeros(size, size)
        count += len(features)
        total += features.sum(0, dtype=torch.int64)
        for part in features.split(_EXACT):
            squares += part.float().T @ part.float()
    mean = total.double() / (255 * max(count, 1))
    return count, mean, squares / (255**2 * max(count, 1)) - torch.outer(mean, mean)


def _check_features(shape: tuple[int, ...]) -> int:
    size = math.prod(shape)
    if size > FEATURES:
        raise UsageError(
            f"ZCA whitens at most {FEATURES} features (3 x 32 x 32), not "
            f"{' x '.join(map(str, shape))} = {size}: choose a smaller size"
        )
    return size
