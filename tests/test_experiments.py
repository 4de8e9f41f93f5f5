"""The claims, tried: every experiment at its smallest; each rule on made-up rows; resuming."""

import dataclasses
import json
import math
import runpy
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import striate
from striate import cli, figures
from striate.errors import DataError, Stopped, UsageError
from striate.experiments import EXPERIMENTS, headlines, order, record, summary
from striate.experiments.claim import FAILS, HOLDS, IN_PART, OUTCOMES, UNDECIDED, Row, Rows
from striate.experiments.conductor import Begun, Finished, Left, Measured, conduct, judged, said
from striate.experiments.intervals import Interval, gap, level, over, select

EVERY = sorted(EXPERIMENTS)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def smallest(name: str, folder: Path, **choices: Any) -> Finished:
    *_, last = conduct(order(name, form="smoke", out=folder, **choices), device="cpu")
    assert isinstance(last, Finished)
    return last


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finished]:
    """Every experiment at its smallest, each run once for all tests."""
    parent = tmp_path_factory.mktemp("experiments")
    return {name: smallest(name, parent / name) for name in EVERY}


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_every_experiment_measures_all_its_cells_and_is_judged(
    name: str, tried: dict[str, Finished]
) -> None:
    found = tried[name]
    for cell in order(name, form="smoke").cells():
        assert record.of_cell(list(found.rows), cell), cell
    assert found.verdict.outcome in OUTCOMES
    assert found.verdict.line.endswith(".")
    assert "nan" not in found.verdict.line


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_every_experiment_leaves_rows_figure_and_page(
    name: str, tried: dict[str, Finished]
) -> None:
    folder, found = tried[name].folder, tried[name]
    assert [dict(row) for row in found.rows] == record.read_rows(folder / record.ROWS)
    assert (folder / record.FIGURE).read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (folder / record.DRAWING).read_bytes()
    text = (folder / record.PAGE).read_text()
    html = (folder / record.BROWSED).read_text()
    for part in (EXPERIMENTS[name].claim, found.verdict.line, f"striate experiment {name}"):
        assert part in text
    assert found.verdict.outcome in html
    assert "data:image/png;base64," in html
    assert "torch" in text  # the machine and its versions
    for line in headlines.lines(name, found.rows):
        assert f"| {line.what} |" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["preprocessing", "audio"])
def test_a_row_follows_from_its_cell_and_seed(
    name: str, tried: dict[str, Finished], tmp_path: Path
) -> None:
    again = smallest(name, tmp_path / name)
    assert [timeless(row) for row in again.rows] == [timeless(row) for row in tried[name].rows]


def timeless(row: Row) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "seconds"}


@pytest.mark.slow
def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    work = order("small-filters", form="smoke", out=tmp_path / "one", seeds=2)
    first = [event for event in conduct(work, device="cpu") if isinstance(event, Measured)]
    assert len(first) == 4
    path = tmp_path / "one" / record.ROWS
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3]))
    again = [event for event in conduct(work, device="cpu") if isinstance(event, Measured)]
    assert [event.number for event in again] == [4]
    assert [timeless(json.loads(line)) for line in path.read_text().splitlines()] == [
        timeless(json.loads(line)) for line in lines
    ]


@pytest.mark.slow
def test_a_stop_keeps_the_cells_that_were_done(tmp_path: Path) -> None:
    cells = 0

    def poll(*_: object) -> None:
        if cells == 2:
            raise Stopped("stopped", 2)

    work = order("small-filters", form="smoke", out=tmp_path / "one")
    events = conduct(work, device="cpu", poll=poll)

    def follow() -> None:
        nonlocal cells
        for event in events:
            cells += isinstance(event, Begun)

    with pytest.raises(Stopped):
        follow()
    assert len(record.read_rows(tmp_path / "one" / record.ROWS)) == 1


@pytest.mark.slow
def test_the_time_ends_an_experiment_between_cells_and_says_what_is_left(tmp_path: Path) -> None:
    work = order("small-filters", form="smoke", out=tmp_path / "one", seeds=2)
    events = list(conduct(work, device="cpu", limit=1e-9))
    assert [event.cells for event in events if isinstance(event, Left)] == [3]
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.verdict.outcome == UNDECIDED
    page = (tmp_path / "one" / record.PAGE).read_text()
    assert "3 cells for lack of time" in page
    assert not (tmp_path / "one" / record.FIGURE).exists()


def test_only_seeds_that_are_whole_are_judged() -> None:
    work = order("small-filters", form="smoke", seeds=2)
    whole = [row | {"parameters": 10, "multiply_adds": 1} for row in filters(0.1, seeds=1)]
    half = {**whole[0], "seed": 1, "accuracy": 0.0}
    assert "1 seed" in judged(work, [*whole, half]).line
    assert judged(work, whole[:1]).outcome == UNDECIDED


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "photos"
    other.mkdir()
    (other / "one.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds no experiment"):
        list(conduct(order("audio", form="smoke", out=other), device="cpu"))
    assert (other / "one.txt").read_text() == "mine"
    document = {"experiment": "audio", "form": "smoke", "settings": {"width": 2}}
    record.begin(tmp_path / "begun", document)
    with pytest.raises(UsageError, match="other sizes"):
        record.begin(tmp_path / "begun", {**document, "settings": {"width": 3}})
    with pytest.raises(UsageError, match="holds rows of audio"):
        record.begin(tmp_path / "begun", {**document, "experiment": "video"})


@pytest.mark.parametrize("line", ["{", "[1]", '{"accuracy": 1}'])
def test_a_damaged_row_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / record.ROWS
    path.write_text('{"seed": 0}\n' + line + "\n")
    with pytest.raises(DataError, match="line 2 of"):
        record.read_rows(path)


@pytest.mark.parametrize("name", EVERY)
def test_the_forms_keep_to_their_times(name: str) -> None:
    forms = EXPERIMENTS[name].forms
    assert list(forms) == ["smoke", "short", "long"]
    assert forms["short"].minutes <= 2
    assert forms["long"].minutes <= (45 if name in ("batchnorm", "degradation") else 20)


def test_all_long_forms_together_take_four_hours_at_most() -> None:
    assert sum(row["long_minutes"] for row in summary()) <= 240


# The rules. A made-up training has a mean and a spread over seeds, the same in each setting but
# for one: so differences have a known sign and, with three seeds, an interval without 0; but for
# those rows whose spread is made wide, of which no interval can leave it out.

WIDE = 0.3


def seeded(seeds: int = 3, spread: float = 0.001) -> list[tuple[int, float]]:
    return [(seed, spread * (seed - 1)) for seed in range(seeds)]


def filters(
    better: float, *, fewer: bool = True, seeds: int = 3, spread: float = 0.001
) -> list[dict[str, Any]]:
    return [
        {
            "filters": name,
            "seed": seed,
            "accuracy": 0.7
            + noise * (1 if name == "7x7, twice" else -1)
            + (name != "7x7, twice") * better,
            "n": 1000,
            "parameters": 100 if name == "7x7, twice" else 90 if fewer else 110,
            "multiply_adds": 1e6,
        }
        for name in ("7x7, twice", "3x3, six times")
        for seed, noise in seeded(seeds, spread)
    ]


def dense(growth: int, better: float, spread: float = 0.001) -> Rows:
    sizes = [
        {"part": "count", "model": m, "side": s, "seed": 0, "parameters": p}
        for m, ps in (("mlp", (100, 100 * growth)), ("convnet", (50, 50)))
        for s, p in zip((28, 56), ps, strict=True)
    ]
    trained = [
        {
            "part": "size",
            "model": m,
            "side": 28,
            "seed": seed,
            "accuracy": 0.9 + noise * (m == "mlp") + (m == "convnet") * better,
            "n": 1000,
        }
        for m in ("mlp", "convnet")
        for seed, noise in seeded(spread=spread)
    ]
    return [*sizes, *trained]


def whole_mnist(accuracy: float) -> Rows:
    return [
        {
            "part": "mnist",
            "model": m,
            "side": 28,
            "seed": seed,
            "accuracy": a + noise,
            "error": 1 - a,
            "n": 10_000,
        }
        for m, a in (("mlp", 0.985), ("mnist-convnet", accuracy))
        for seed, noise in seeded()
    ]


def listing(listed: float, epochs: int = 40, spread: float = 0.001) -> Rows:
    return [
        {"model": m, "seed": s, "accuracy": a + noise / 10, "n": 10_000, "curve": [[1, a]] * epochs}
        | {"printed": 64 * a}
        for m, a in (("mnist-convnet-listed", listed), ("mnist-convnet", 0.995))
        for s, noise in seeded(spread=spread)
    ]


def pooling(change: float, apart: float, spread: float = 0.001) -> Rows:
    shifted = [
        {"part": "shift", "layer": name, "shift": 1, "seed": s, "change": c + noise * (c > 0.5)}
        for name, c in (("no pooling", 0.6), ("max (2, 2)", 0.6 + change))
        for s, noise in seeded(spread=spread)
    ]
    trained = [
        {"part": "gap", "pooling": kind, "seed": s, "gap": g + noise * (kind == "max")}
        | {"accuracy": 0.5 + noise, "n": 1000}
        for kind, g in (("max", 0.3), ("fractional", 0.3 + apart))
        for s, noise in seeded(spread=spread)
    ]
    return [*shifted, *trained]


def preprocessing(
    normalisation: float, augmentation: float, harm: float = 0.2, spread: float = 0.001
) -> Rows:
    several = {
        "all": 0.0,
        "no normalisation": normalisation,
        "no augmentation": augmentation,
        "neither": normalisation + augmentation,
    }
    rows = [
        {"training": name, "mismatch": "none", "seed": s, "n": 1000}
        | {"accuracy": 0.6 - less + noise * (name == "all")}
        for name, less in several.items()
        for s, noise in seeded(spread=spread)
    ]
    rows += [
        {"training": "all", "mismatch": name, "seed": s, "n": 1000}
        | {"accuracy": 0.6 - harm + noise / 2}
        for name in ("filter", "bgr", "unnormalised", "mnist")
        for s, noise in seeded(spread=spread)
    ]
    return rows


def batchnorm(slow: list[int | None], fast: int | None = 100) -> Rows:
    return [
        {"norm": norm, "rate": rate, "seed": s, "diverged": norm == "none" and rate > 0.05}
        | {"accuracy": 0.7, "to_60": steps, "to_50": steps and steps // 2}
        for s in range(3)
        for norm, rate, steps in (
            ("none", 0.01, slow[s]),
            ("none", 0.1, None),
            ("batch", 0.01, 150),
            ("batch", 0.1, fast),
        )
    ]


def groupnorm(batch: float, group: float, behind: float = 0.0, spread: float = 0.001) -> Rows:
    return [
        {"norm": n, "batch": size, "seed": s, "n": 1000}
        | {
            "error": 0.2
            + (n == "group") * behind
            + more * (size == 2)
            + noise * (n == "batch") * (size == 2)
        }
        for n, more in (("batch", batch), ("group", group), ("layer", 0.0))
        for size in (2, 128)
        for s, noise in seeded(spread=spread)
    ]


def degradation(plain: float, residual: float, spread: float = 0.001) -> Rows:
    return [
        {"kind": kind, "depth": depth, "seed": s, "n": 1000, "curve": [[1, 0.5]]}
        | {"train_error": 0.2 + (more + noise * (1 + (kind == "plain"))) * (depth == 56)}
        for kind, more in (("plain", plain), ("resnet", residual))
        for depth in (20, 56)
        for s, noise in seeded(spread=spread)
    ]


def tsne(features: float, colours: float, pixels: float, spread: float = 0.001) -> Rows:
    return [
        {
            "space": name,
            "seed": s,
            "purity": share + noise * (name == "features"),
            "spread": 0.3,
            "n": 1000,
        }
        | {"map_purity": share, "chance": 0.1}
        for name, share in (("features", features), ("colours", colours), ("pixels", pixels))
        for s, noise in seeded(spread=spread)
    ]


def faces(plain: float, shade: float, lost: float = 0.4, spread: float = 0.001) -> Rows:
    found = {"cascade": (0.7, 0.7 - lost), "network": (0.7 + plain, 0.7 - lost + shade)}
    return [
        {"detector": kind, "condition": condition, "seed": s, "n": 400}
        | {"found": share + noise * (1 if kind == "network" else 2) * (condition != "shaded")}
        for kind, shares in found.items()
        for condition, share in zip(("plain", "shaded", "covered"), (*shares, 0.2), strict=True)
        for s, noise in seeded(spread=spread)
    ]


def style(*pairs: tuple[float, float]) -> Rows:
    return [
        {
            "start": "content",
            "seed": s,
            "style": a,
            "content": b,
            "photograph": "a",
            "painting": "b",
        }
        for s, (a, b) in enumerate(pairs)
    ]


def video(clip: float, frame: float, spread: float = 0.001) -> Rows:
    return [
        {"sees": kind, "seed": s, "n": 1000, "classes": 8, "accuracy": a + noise * (kind == "clip")}
        for kind, a in (("clip", clip), ("frame", frame))
        for s, noise in seeded(spread=spread)
    ]


def audio(convolutional: float, connected: float, spread: float = 0.001) -> Rows:
    return [
        {"model": m, "held_out": voice, "seed": s, "accuracy": a + noise * (m == "mlp"), "n": 300}
        | {"classes": 10}
        for m, a in (("audio-convnet", convolutional), ("mlp", connected))
        for voice in ("", "theo")
        for s, noise in seeded(spread=spread)
    ]


CASES: list[tuple[str, Rows, str]] = [
    ("dense-vs-conv", dense(4, 0.05), HOLDS),
    ("dense-vs-conv", [*dense(4, 0.05), *whole_mnist(0.994)], HOLDS),
    ("dense-vs-conv", [*dense(4, 0.05), *whole_mnist(0.98)], IN_PART),
    ("dense-vs-conv", [*dense(4, 0.05), *whole_mnist(0.9925)], IN_PART),
    ("dense-vs-conv", dense(4, 0.0), IN_PART),
    ("dense-vs-conv", dense(1, 0.05), IN_PART),
    ("dense-vs-conv", dense(1, -0.05), FAILS),
    ("dense-vs-conv", dense(1, 0.05, WIDE), UNDECIDED),
    ("listing-vs-mended", listing(0.994), HOLDS),
    ("listing-vs-mended", listing(0.985), IN_PART),
    ("listing-vs-mended", listing(0.975), FAILS),
    ("listing-vs-mended", listing(0.93), FAILS),
    ("listing-vs-mended", listing(0.93, epochs=8), UNDECIDED),
    ("listing-vs-mended", listing(0.8, spread=10 * WIDE), UNDECIDED),
    ("pooling", pooling(-0.2, -0.1), HOLDS),
    ("pooling", pooling(-0.2, 0.1), IN_PART),
    ("pooling", pooling(0.2, -0.1), IN_PART),
    ("pooling", pooling(0.2, 0.1), FAILS),
    ("pooling", pooling(0.2, 0.0), UNDECIDED),
    ("pooling", pooling(-0.2, -0.1, WIDE), UNDECIDED),
    ("preprocessing", preprocessing(0.1, 0.1), HOLDS),
    ("preprocessing", preprocessing(0.0, 0.1), IN_PART),
    ("preprocessing", preprocessing(0.1, -0.1), IN_PART),
    ("preprocessing", preprocessing(0.1, 0.1, harm=-0.1), IN_PART),
    ("preprocessing", preprocessing(0.0, 0.0), IN_PART),
    ("preprocessing", preprocessing(-0.1, -0.1, harm=-0.1), FAILS),
    ("preprocessing", preprocessing(-0.1, 0.0, harm=-0.1), UNDECIDED),
    ("preprocessing", preprocessing(0.1, 0.1, spread=WIDE), UNDECIDED),
    ("batchnorm", batchnorm([550, 600, 650]), HOLDS),
    ("batchnorm", batchnorm([290, 300, 310]), IN_PART),
    ("batchnorm", batchnorm([70, 75, 80]), FAILS),
    ("batchnorm", batchnorm([300, 300, 300], fast=None), FAILS),
    ("batchnorm", batchnorm([90, 100, 110]), UNDECIDED),
    ("batchnorm", batchnorm([100, 300, 900]), UNDECIDED),
    ("batchnorm", batchnorm([None, None, None]), UNDECIDED),
    ("batchnorm", batchnorm([300, None, 300], fast=None), UNDECIDED),
    ("groupnorm", groupnorm(0.2, 0.0), HOLDS),
    ("groupnorm", groupnorm(0.2, 0.0, behind=0.3), IN_PART),
    ("groupnorm", groupnorm(0.2, 0.3), FAILS),
    ("groupnorm", groupnorm(0.0, 0.0), UNDECIDED),
    ("groupnorm", groupnorm(0.2, 0.0, spread=WIDE), UNDECIDED),
    ("degradation", degradation(0.1, -0.05), HOLDS),
    ("degradation", degradation(0.1, 0.0), HOLDS),
    ("degradation", degradation(0.1, 0.05), IN_PART),
    ("degradation", degradation(0.02, 0.0201), IN_PART),
    ("degradation", degradation(-0.1, -0.05), FAILS),
    ("degradation", degradation(0.0, -0.05), UNDECIDED),
    ("degradation", degradation(0.1, -0.05, WIDE), UNDECIDED),
    ("small-filters", filters(0.05), HOLDS),
    ("small-filters", filters(0.05, fewer=False), IN_PART),
    ("small-filters", filters(-0.05), FAILS),
    ("small-filters", filters(0.0), UNDECIDED),
    ("small-filters", filters(0.05, spread=WIDE), UNDECIDED),
    ("tsne", tsne(0.8, 0.2, 0.3), HOLDS),
    ("tsne", tsne(0.25, 0.2, 0.3), IN_PART),
    ("tsne", tsne(0.2, 0.3, 0.3), FAILS),
    ("tsne", tsne(0.2, 0.2, 0.3), UNDECIDED),
    ("tsne", tsne(0.8, 0.2, 0.3, WIDE), UNDECIDED),
    ("viola-jones", faces(0.1, 0.3), HOLDS),
    ("viola-jones", faces(0.1, -0.1), IN_PART),
    ("viola-jones", faces(0.1, 0.1, lost=0.0), IN_PART),
    ("viola-jones", faces(-0.1, 0.1, lost=-0.1), FAILS),
    ("viola-jones", faces(-0.1, 0.1, lost=0.0), UNDECIDED),
    ("viola-jones", faces(0.1, 0.3, spread=WIDE), UNDECIDED),
    ("style", style((0.05, 0.5), (0.09, 0.9)), HOLDS),
    ("style", style((0.05, 0.5), (0.2, 0.9)), IN_PART),
    ("style", style((0.05, 1.5), (0.09, 0.9)), IN_PART),
    ("style", style((0.5, 0.5), (0.2, 0.9)), FAILS),
    ("style", style((0.05, 0.5)), UNDECIDED),
    ("video", video(0.99, 0.125), HOLDS),
    ("video", video(0.99, 0.3), IN_PART),
    ("video", video(0.5, 0.125), IN_PART),
    ("video", video(0.1, 0.125), FAILS),
    ("video", video(0.125, 0.125), UNDECIDED),
    ("video", video(0.99, 0.125, 10 * WIDE), UNDECIDED),
    ("audio", audio(0.98, 0.8), HOLDS),
    ("audio", audio(0.85, 0.8), IN_PART),
    ("audio", audio(0.98, 0.99), IN_PART),
    ("audio", audio(0.5, 0.6), FAILS),
    ("audio", audio(0.5, 0.5), UNDECIDED),
]


@pytest.mark.parametrize(("name", "rows", "outcome"), CASES)
def test_each_rule_gives_the_outcome_that_the_rows_have(
    name: str, rows: Rows, outcome: str
) -> None:
    found = EXPERIMENTS[name].verdict(rows)
    assert found.outcome == outcome, found.line
    json.dumps(found.numbers)


@pytest.mark.parametrize("name", EVERY)
def test_each_rule_is_tried_for_each_of_its_outcomes(name: str) -> None:
    assert {outcome for case, _, outcome in CASES if case == name} == set(OUTCOMES)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8))
def test_an_interval_over_seeds_is_students(values: list[float]) -> None:
    found = over(values)
    sem = float(stats.sem(values))
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), sem) if sem else (0, 0)
    assert math.isclose(found.mean, float(np.mean(values)), abs_tol=1e-12)
    if sem > 1e-9:
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


@given(hits=st.integers(0, 50), n=st.integers(50, 500))
def test_of_one_seed_the_interval_is_of_its_examples(hits: int, n: int) -> None:
    rows = [{"seed": 0, "kind": kind, "accuracy": hits / n, "n": n} for kind in "ab"]
    one = level(rows[:1], "accuracy")
    share = min(max(hits / n, 0.5 / n), 1 - 0.5 / n)
    reach = stats.norm.ppf(0.975) * math.sqrt(share * (1 - share) / n)
    assert one.high == pytest.approx(min(1, hits / n + reach))
    both = gap(rows, "accuracy", {"kind": "a"}, {"kind": "b"})
    assert (both.mean, both.high) == pytest.approx((0, reach * math.sqrt(2)))


def test_a_difference_is_of_the_seeds_that_both_have() -> None:
    rows = [
        {"seed": seed, "kind": kind, "accuracy": 0.5 + 0.1 * (kind == "b") + seed / 100}
        for kind, seeds in (("a", (0, 1, 2)), ("b", (1, 2, 3)))
        for seed in seeds
    ]
    found = gap(rows, "accuracy", {"kind": "a"}, {"kind": "b"})
    assert found.seeds == 2
    assert found.mean == pytest.approx(0.1)
    assert len(select(rows, kind="a", seed=0)) == 1


def test_intervals_are_written_with_their_seeds() -> None:
    assert "of one seed" in Interval(-0.1, -math.inf, math.inf, 1).text()
    assert said({"norm": "batch", "seed": 1}) == "norm batch, seed 1"


@pytest.mark.parametrize("form", ["png", "svg"])
def test_every_panel_is_drawn_the_same_each_time(form: str) -> None:
    line = figures.ChartLine([1, 2, 3], [3.0, 2.0, 1.0], [2.5, 1.5, 0.5], [3.5, 2.5, 1.5])
    panels: list[figures.Panel] = [
        figures.Lines("A", "x", "y", {"one": line, "two": line}, "xy", {"goal": 2.0}, (1, 2, 3)),
        figures.Bars("B", "x", {"one": figures.Bar(2, -math.inf, math.inf)}, {"goal": 1.0}),
        figures.Points("C", {"cat": [(0.0, 1.0)], "dog": [(1.0, 0.0)]}),
    ]
    first = figures.charts("Three", panels, form=form)
    assert first == figures.charts("Three", panels, form=form)


def test_panels_of_one_quantity_have_one_range() -> None:
    low, high = figures.ChartLine([1, 2], [0.0, 9.0]), figures.ChartLine([1, 2], [0.0, 99.0])
    alike = [figures.Lines(name, "x", "y", {"one": one}) for name, one in (("a", low), ("b", high))]
    assert figures.charts("Two", alike, form="svg").count(b">80<") == 2
    other = [alike[0]._replace(y="z"), alike[1]]
    assert figures.charts("Two", other, form="svg").count(b">80<") == 1
    shares = [
        figures.Bars(name, "%", {"one": figures.Bar(s, s, s)}) for name, s in (("a", 9), ("b", 99))
    ]
    drawn = figures.charts("Two", shares, form="svg")
    assert drawn.count(b">80<") == 2
    assert b">120<" not in drawn, "no share is more than 100 %"


def test_the_command_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["experiment", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["experiment"] for row in rows] == list(EXPERIMENTS)
    assert cli.main(["experiment"]) == 0
    assert "batchnorm" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["experiment", "poling"], "did you mean pooling"),
        (["experiment", "pooling", "--seeds", "0"], "--seeds is 1 or more"),
        (["experiment", "pooling", "--time", "soon"], "a time like"),
    ],
)
def test_the_command_refuses_in_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_and_python_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = EXPERIMENTS["small-filters"]
    small = dataclasses.replace(found, forms=dict.fromkeys(found.forms, found.forms["smoke"]))
    monkeypatch.setitem(EXPERIMENTS, "small-filters", small)
    assert cli.main(["experiment", "small-filters", "--json", "-o", str(tmp_path / "a")]) == 0
    printed = json.loads(capsys.readouterr().out)
    other = striate.experiment("small-filters", out=tmp_path / "b", device="cpu")
    assert printed["verdict"] == other.verdict.outcome
    assert printed["line"] == other.verdict.line


@pytest.mark.slow
def test_ctrl_c_keeps_the_rows_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = EXPERIMENTS["small-filters"]
    small = dataclasses.replace(found, forms=dict.fromkeys(found.forms, found.forms["smoke"]))
    monkeypatch.setitem(EXPERIMENTS, "small-filters", small)
    kept = record.write_rows

    def write(folder: Path, rows: list[Row]) -> None:
        kept(folder, rows)
        signal.raise_signal(signal.SIGINT)

    folder = tmp_path / "claim"
    command = ["experiment", "small-filters", "-o", str(folder)]
    with monkeypatch.context() as interrupted:
        interrupted.setattr(record, "write_rows", write)
        assert cli.main(command) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == (
        f"striate: stopped: what was measured is in {folder}, and the same command goes on"
    )
    first = record.read_rows(folder / record.ROWS)
    assert [row["filters"] for row in first] == ["7x7, twice"]
    assert cli.main(command) == 0
    assert "2 of 2" in capsys.readouterr().err
    rows = record.read_rows(folder / record.ROWS)
    assert rows[0] == first[0]
    assert [row["filters"] for row in rows] == ["7x7, twice", "3x3, six times"]


DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_claims_is_what_its_rows_say() -> None:
    written = runpy.run_path(str(DOCS / "claims.py"))["page"]()
    assert (DOCS / "claims.md").read_text() == written, "python docs/claims.py writes it anew"


def test_the_section_of_results_is_what_the_rows_say() -> None:
    module = runpy.run_path(str(DOCS / "claims.py"))
    results = (DOCS / "results.md").read_text()
    begin, end = module["MARKS"]
    assert results.count(begin) == results.count(end) == 1
    assert module["with_section"](results) == results, "python docs/claims.py writes it anew"
    rows = [line for line in module["section"]().splitlines() if line.startswith("| [")]
    there = {name for name in EVERY if any(f"claims.md#{name})" in row for row in rows)}
    assert there == set(EVERY)
    other = module["with_section"](f"before\n{begin}old\n{end}after\n")
    assert other.startswith(f"before\n{begin}")
    assert other.endswith(f"{end}after\n")
    assert "old" not in other.splitlines()


def test_the_rows_that_are_kept_are_of_the_sizes_that_forms_have() -> None:
    for name in EVERY:
        document = json.loads((DOCS / "claims" / name / record.DOCUMENT).read_text())
        sizes = EXPERIMENTS[name].forms[document["form"]].settings
        assert document["settings"] == json.loads(json.dumps(dict(sizes))), name


@pytest.mark.parametrize(
    ("name", "rows", "texts"),
    [
        ("dense-vs-conv", dense(4, 0.05), [None, None, "+5.0 points (+4.8 to +5.2)"]),
        (
            "dense-vs-conv",
            [*dense(4, 0.05), *whole_mnist(0.994)],
            [
                "98.50 % (98.25 to 98.75)",
                "99.40 % (99.15 to 99.65)",
                "+5.0 points (+4.8 to +5.2)",
            ],
        ),
        (
            "listing-vs-mended",
            listing(0.93),
            ["93.00 % (92.98 to 93.02) after 40 epochs", "99.50 % (99.48 to 99.52)"],
        ),
        ("pooling", pooling(-0.2, -0.1), ["40.0 % (40.0 to 40.0)", "-10.0 points (-10.2 to -9.8)"]),
        (
            "preprocessing",
            preprocessing(0.1, 0.05),
            [
                "+10.0 points (+9.8 to +10.2)",
                "+5.0 points (+4.8 to +5.2)",
                "-20.0 points (-20.1 to -19.9)",
            ],
        ),
        ("batchnorm", batchnorm([300, 300, 300]), ["3.0 times (3.0 to 3.0), to 60 %"]),
        ("batchnorm", batchnorm([None, None, None]), [None]),
        ("groupnorm", groupnorm(0.2, 0.05), ["+15.0 points (+14.8 to +15.2)"]),
        (
            "degradation",
            degradation(0.1, -0.05),
            ["+10.0 points (+9.5 to +10.5)", "-5.0 points (-5.2 to -4.8)"],
        ),
        ("small-filters", filters(-0.05), ["-5.0 points (-5.5 to -4.5)"]),
        ("tsne", tsne(0.8, 0.2, 0.3), ["80.0 % (79.8 to 80.2)", "20.0 % (20.0 to 20.0)"]),
        ("viola-jones", faces(0.1, 0.3), ["70.0 % (69.5 to 70.5)", "80.0 % (79.8 to 80.2)"]),
        ("style", style((0.05, 0.5), (0.09, 0.9)), ["7.0 %, at most 9.0 %"]),
        ("video", video(0.99, 0.125), ["99.0 % (98.8 to 99.2)", "12.5 % (12.5 to 12.5)"]),
        ("audio", audio(0.98, 0.8), ["98.0 % (98.0 to 98.0)"]),
    ],
)
def test_headline_figures_are_those_of_the_rows(
    name: str, rows: Rows, texts: list[str | None]
) -> None:
    found = [line.reading and line.reading.text for line in headlines.lines(name, rows)]
    assert found == texts
    assert set(headlines.HEADLINES) == set(EXPERIMENTS)
