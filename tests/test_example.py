"""The convolution by hand, counted in plain whole numbers."""

import re

import torch
import torch.nn.functional as F

from striate.layers import example


def numbers(text: str) -> list[list[list[int]]]:
    """Slices of rows of numbers, from rows in which slices stand side by side."""
    rows = [[int(cell) for cell in row.split()] for row in text.strip().splitlines()]
    width = len(rows[0]) // 3
    return [[row[c * width : (c + 1) * width] for row in rows] for c in range(3)]


def by_hand(x: list[list[list[int]]], w: list[list[list[int]]], bias: int) -> list[list[int]]:
    """Slide a 3x3x3 filter over a 5x5x3 volume with a rim of zeros, two cells at a time."""

    def cell(c: int, i: int, j: int) -> int:
        return x[c][i][j] if 0 <= i < 5 and 0 <= j < 5 else 0

    span = range(3)
    return [
        [
            bias
            + sum(
                w[c][u][v] * cell(c, 2 * i + u - 1, 2 * j + v - 1)
                for c in span
                for u in span
                for v in span
            )
            for j in span
        ]
        for i in span
    ]


def test_the_output_is_that_of_plain_loops_and_of_torch() -> None:
    x = numbers(example.PICTURE)
    filters = [numbers(block) for block in example.FILTERS.strip("\n").split("\n\n")]
    counted = [by_hand(x, w, bias) for w, bias in zip(filters, example.BIASES, strict=True)]
    assert example.result()[0].int().tolist() == counted
    biases = torch.tensor(example.BIASES).double()
    theirs = F.conv2d(example.picture(), example.filters(), biases, stride=2, padding=1)
    assert torch.equal(example.result(), theirs)


def test_every_spelled_sum_comes_to_its_number() -> None:
    for (_, k, i, j), value in zip(
        torch.cartesian_prod(*map(torch.arange, example.result().shape)).tolist(),
        example.result().flatten().tolist(),
        strict=True,
    ):
        *slices, total = example.spelled(k, i, j).splitlines()
        sums = []
        for line in slices:
            products = re.findall(r"(-?\d+)\((-?\d+)\)", line)
            assert len(products) == 9
            sums.append(sum(int(x) * int(w) for x, w in products))
            assert line.endswith(f"= {sums[-1]}")
        assert total.endswith(f"= {sum(sums) + example.BIASES[k]}")
        assert sum(sums) + example.BIASES[k] == value
