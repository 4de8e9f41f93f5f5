"""A convolution by hand: 5x5x3 with a padding of 1, two 3x3x3 filters, stride 2 -> 3x3x2.

>>> print(told())
input x, 5x5x3
 1  0  2  0  1     0  1  1  0  2     2  0  0  1  0
 0  2  1  1  0     1  0  2  1  0     0  1  2  0  1
 2  1  0  0  2     0  2  0  1  1     1  0  1  2  0
 0  0  1  2  1     2  1  0  0  0     0  2  0  1  1
 1  1  0  0  0     0  0  1  2  1     1  0  0  0  2
<BLANKLINE>
filter 1, 3x3x3, bias 1
 1  0 -1     0  1  0    -1  0  1
 1  0 -1     0  1  0     0  0  0
 1  0 -1     0  1  0     1  0 -1
<BLANKLINE>
filter 2, 3x3x3, bias -2
 0  1  0     1  0  0     0 -1  0
 1 -1  1     0  0  0     0  1  0
 0  1  0     0  0 -1     0  0  0
<BLANKLINE>
output m, 3x3x2
-1  6  4    -1 -4 -3
 0  3  6    -3  0 -3
 4  0  3    -1  1  0
<BLANKLINE>
m of filter 1, row 1, column 2
slice 1: 0(1) + 0(0) + 0(-1) + 0(1) + 2(0) + 0(-1) + 2(1) + 1(0) + 1(-1) = 1
slice 2: 0(0) + 0(1) + 0(0) + 1(0) + 1(1) + 0(0) + 0(0) + 2(1) + 1(0) = 3
slice 3: 0(-1) + 0(0) + 0(1) + 0(0) + 0(0) + 1(0) + 1(1) + 2(0) + 0(-1) = 1
with the bias: 1 + 3 + 1 + 1 = 6
"""

import torch
from torch import Tensor

from .reference import convolution

STRIDE, PADDING = 2, 1
# Slice by slice, row by row.
PICTURE = """
1 0 2 0 1   0 1 1 0 2   2 0 0 1 0
0 2 1 1 0   1 0 2 1 0   0 1 2 0 1
2 1 0 0 2   0 2 0 1 1   1 0 1 2 0
0 0 1 2 1   2 1 0 0 0   0 2 0 1 1
1 1 0 0 0   0 0 1 2 1   1 0 0 0 2
"""
FILTERS = """
 1  0 -1    0 1 0   -1 0 1
 1  0 -1    0 1 0    0 0 0
 1  0 -1    0 1 0    1 0 -1

 0  1  0    1 0 0    0 -1 0
 1 -1  1    0 0 0    0  1 0
 0  1  0    0 0 -1   0  0 0
"""
BIASES = (1, -2)


def picture() -> Tensor:
    """Return the input volume, (1, 3, 5, 5)."""
    return _slices(PICTURE)[None]


def filters() -> Tensor:
    """Return the two filters, (2, 3, 3, 3): each spans the whole depth of its input."""
    return torch.stack([_slices(block) for block in FILTERS.strip("\n").split("\n\n")])


def result() -> Tensor:
    """Return the output volume, (1, 2, 3, 3)."""
    biases = torch.tensor(BIASES).double()
    return convolution(picture(), filters(), biases, stride=STRIDE, padding=PADDING)


def spelled(k: int, i: int, j: int) -> str:
    """Spell out the sum behind one number: 27 products, slice by slice, and the bias."""
    padded = torch.nn.functional.pad(picture()[0], [PADDING] * 4)
    window = padded[:, i * STRIDE : i * STRIDE + 3, j * STRIDE : j * STRIDE + 3]
    lines, sums = [], []
    for number, (cells, weights) in enumerate(zip(window, filters()[k], strict=True), start=1):
        pairs = zip(cells.flatten().tolist(), weights.flatten().tolist(), strict=True)
        products = [f"{x:.0f}({w:.0f})" for x, w in pairs]
        sums.append(int((cells * weights).sum()))
        lines.append(f"slice {number}: {' + '.join(products)} = {sums[-1]}")
    total = " + ".join(f"({one})" if one < 0 else str(one) for one in [*sums, BIASES[k]])
    return "\n".join([*lines, f"with the bias: {total} = {sum(sums) + BIASES[k]}"])


def told() -> str:
    """Tell every number: input slices, filters, biases, outputs, and the sum behind one of them."""
    parts = [f"input x, 5x5x3\n{_side_by_side(picture()[0])}"]
    for k, weights in enumerate(filters(), start=1):
        bias = BIASES[k - 1]
        parts.append(f"filter {k}, 3x3x3, bias {bias}\n{_side_by_side(weights)}")
    parts.append(f"output m, 3x3x2\n{_side_by_side(result()[0])}")
    parts.append(f"m of filter 1, row 1, column 2\n{spelled(0, 0, 1)}")
    return "\n\n".join(parts)


def _slices(text: str) -> Tensor:
    rows = [[float(cell) for cell in row.split()] for row in text.strip().splitlines()]
    table = torch.tensor(rows, dtype=torch.float64)  # (H, 3 W)
    return torch.stack(table.chunk(3, dim=1))


def _side_by_side(slices: Tensor) -> str:
    rows = slices.permute(1, 0, 2).tolist()
    return "\n".join("    ".join(" ".join(f"{x:2.0f}" for x in s) for s in row) for row in rows)
