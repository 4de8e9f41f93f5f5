"""Runs beside each other: matched pictures, settings, the page; numbers against SciPy's."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pages import CHROMIUM, FLAGS, parts
from scipy import stats

import striate
from striate import cli
from striate.errors import DataError, UsageError
from striate.report.comparison import results_table
from striate.runs import folder
from striate.seeing import Answers, matching, paired, settings
from striate.seeing.settings import read


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two settings of two seeds each, which make mistakes."""
    place = tmp_path_factory.mktemp("compared")
    for rate in (0.05, 0.2):
        for seed in (0, 1):
            choices: dict[str, Any] = {"epochs": 2, "batch_size": 256, "arguments": {"width": 4}}
            out = place / f"rate-{rate}-seed-{seed}"
            striate.train("digits", out=out, rate=rate, seed=seed, **choices)
    return place


def right(run: Path) -> dict[str, bool]:
    table = pq.read_table(run / folder.PREDICTIONS).to_pylist()
    return {row["file"]: row["class"] == row["predicted"] for row in table}


def test_settings_are_runs_that_differ_in_their_seed_alone(runs: Path) -> None:
    found = settings([read(path) for path in folder.list_runs(runs)])
    assert [setting.name for setting in found] == ["rate-0.05", "rate-0.2"]
    assert [list(setting.by_key) for setting in found] == [[(0, 0), (1, 0)]] * 2
    alone = settings([read(runs / "rate-0.2-seed-1")])
    assert alone[0].name == "rate-0.2-seed-1"
    with pytest.raises(UsageError, match="is given twice"):
        settings([read(runs / "rate-0.2-seed-1")] * 2)


def test_runs_of_equal_names_are_told_apart(runs: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(runs / "rate-0.2-seed-1", tmp_path / name / "run")
    other = tmp_path / "b" / "run"
    folder.write_recipe(other, {**folder.read_recipe(other), "rate": 0.3})
    found = settings([read(tmp_path / name / "run") for name in ("a", "b")])
    assert [setting.name for setting in found] == ["a/run", "b/run"]


def test_numbers_are_scipys(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = folder.list_runs(runs)
    assert cli.main(["compare", *map(str, paths), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["choices"] == {"rate": [0.05, 0.2]}
    reached = np.array([[folder.read_result(path)["accuracy"]] for path in paths]).reshape(2, 2)
    assert [one["accuracy"] for one in found["settings"]] == pytest.approx(reached.mean(1))
    assert [one["sd"] for one in found["settings"]] == pytest.approx(reached.std(1, ddof=1))
    (pair,) = found["pairs"]
    low, high = stats.ttest_rel(reached[1], reached[0]).confidence_interval(0.95)
    difference = pair["difference"]
    assert (difference["low"], difference["high"]) == pytest.approx((low, high))
    assert ("no sure difference" in pair["sentence"]) == (low < 0 < high)
    for match, seed in zip(pair["matches"], (0, 1), strict=True):
        first, second = (right(runs / f"rate-{rate}-seed-{seed}") for rate in (0.05, 0.2))
        alone = [
            sum(a and not b for a, b in zip(x.values(), y.values(), strict=True))
            for x, y in ((first, second), (second, first))
        ]
        assert [match["right"]["first"], match["right"]["second"]] == alone
        expected = stats.binomtest(alone[0], sum(alone)).pvalue
        assert match["right"]["p"] == pytest.approx(expected)
        assert match["n"] == len(first)
        assert match["left_out"] == [0, 0]
    assert cli.main(["compare", *map(str, paths)]) == 0
    said = capsys.readouterr().out
    assert pair["sentence"] in said
    assert "the recipes differ in:" in said


def test_results_that_are_written_the_same_are_left_out(runs: Path, tmp_path: Path) -> None:
    first, second = (tmp_path / name for name in ("first", "second"))
    for copy, seed in ((first, 0), (second, 1)):
        shutil.copytree(runs / f"rate-0.2-seed-{seed}", copy)
    folder.write_recipe(second, {**folder.read_recipe(second), "rate": 0.3})
    results = {path: folder.read_result(path) for path in (first, second)}
    results[first] |= {"epochs": 2, "top5": 0.98761, "train_seconds": 1.0, "loss": 0.4}
    results[second] |= {"epochs": 2, "top5": 0.98759, "train_seconds": 1.0, "loss": 0.5}

    def table() -> list[list[str]]:
        for path, result in results.items():
            (path / folder.RESULT).write_text(json.dumps(result))
        return results_table(striate.compare(first, second))

    (head, *rows), shown = table(), list(results.values())
    assert head[:2] == ["", "test accuracy"]
    assert "loss" in head
    assert not {"runs", "split", "epochs", "top-5", "seconds", "pictures"} & set(head)
    assert [row[1] for row in rows] == [f"{100 * one['accuracy']:.2f} %" for one in shown]
    assert all(len(set(column)) > 1 for column in zip(*rows, strict=True))
    results[second]["accuracy"] = results[first]["accuracy"]
    results[second]["split"] = "validation"
    assert table()[0][:3] == ["", "split", "accuracy"]


def test_results_of_folds_are_not_independent() -> None:
    values = {fold: (0.9 + fold / 100, 0.91 + fold / 70) for fold in range(5)}
    first, second = ({fold: pair[side] for fold, pair in values.items()} for side in (0, 1))
    gaps = [b - a for a, b in values.values()]
    reach = stats.t.ppf(0.975, 4) * np.std(gaps, ddof=1) * np.sqrt(1 / 5 + 1 / 4)
    found = paired(first, second, folds=5)
    assert found.high - found.mean == pytest.approx(reach)
    assert paired(first, second).high < found.high


def answers(files: list[str]) -> Answers:
    return Answers("test", files, np.zeros(len(files), np.int64), np.ones((len(files), 1)), ("a",))


def test_pictures_are_the_same_by_content(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (read(runs / f"rate-0.2-seed-{seed}") for seed in (0, 1))
    contents = iter(
        [
            {"1": b"one", "2": b"two", "3": b"three", "4": b"one"},
            {"1": b"one", "2": b"another", "new": b"three", "copy": b"one", "more": b"two"},
        ]
    )
    monkeypatch.setattr(matching, "_digests", lambda *_: next(contents))
    found = matching.matched(
        first,
        answers(["1", "2", "3", "4"]),
        second,
        answers(["1", "2", "new", "copy", "more"]),
    )
    assert found.answers.files == ["1", f"{second.path}: 2", "3", "4", "2"]
    assert (found.moved, found.unlike, found.by_content) == (3, 1, True)


def test_where_contents_were_seen_otherwise_names_decide(runs: Path) -> None:
    first, second = (read(runs / f"rate-0.2-seed-{seed}") for seed in (0, 1))
    smaller = second._replace(recipe={**second.recipe, "size": 4})
    other = answers(["1", "2"])
    assert matching.matched(first, other, smaller, other) == (other, 0, 0, False)


def test_other_data_are_said_and_not_matched(
    runs: Path, tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, other = runs / "rate-0.2-seed-0", tmp_path / "other"
    striate.train(str(photos), out=other, epochs=1, size=16, batch_size=4)
    out = tmp_path / "c.html"
    assert cli.main(["compare", str(first), str(other), "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert "their accuracies are not of the same pictures" in said
    assert "the runs were judged on different pictures" in said
    assert "alone is right" not in said
    shown, _ = parts(out)
    assert shown["pairs"][0]["matches"] == []
    assert len(shown["filters"]) == 2


def test_what_cannot_be_compared_is_one_line(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, other = runs / "rate-0.2-seed-0", tmp_path / "other"
    shutil.copytree(first, other)
    (other / folder.RESULT).unlink()
    with pytest.raises(DataError, match="is not finished"):
        striate.compare(first, other)
    for arguments, status in (
        ([first], 2),
        ([first, first], 2),
        ([first, other], 1),
        ([first, tmp_path / "none"], 1),
        ([first, runs / "rate-0.2-seed-1", "-o", "c.pdf"], 2),
    ):
        assert cli.main(["compare", *map(str, arguments)]) == status
        assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    with sync_api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


def test_a_browser_shows_the_page(runs: Path, tmp_path: Path, browser: Any) -> None:
    out = tmp_path / "c.html"
    found = striate.compare(*folder.list_runs(runs), out=out)
    shown, arrays = parts(out)
    compared = found.pairs[0].matches[0].compared
    for side, ids in enumerate(shown["pairs"][0]["alone"]):
        assert ids
        for number in ids:
            one = shown["pictured"][number]
            row = compared.files.index(one["file"])
            assert compared.right[side, row]
            assert not compared.right[1 - side, row]
            assert one["answers"][side][0] == one["true"]
    assert arrays["filters_0"].shape == (4, 1, 3, 3)
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    errors: list[str] = []
    requests: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text))
    page.on("request", lambda one: requests.append(one.url))
    page.goto(out.resolve().as_uri())
    page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
    page.wait_for_selector("#curves path.band", state="attached")
    assert page.locator("#answers .card").count() > 0
    for width in (1400, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.screenshot()  # without one nothing is drawn anew
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert errors == []
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == requests[:1]
    page.close()
