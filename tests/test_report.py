"""The report of a run: its arrays against the run's own numbers, and the page in a real browser."""

import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import parts
from PIL import Image
from test_paper import made

from striate import api, cli, devices, seeing
from striate.errors import UsageError
from striate.report import drawings, packing
from striate.report.curves import curves_finding
from striate.report.document import document
from striate.report.gathering import gather
from striate.report.page import page as whole_page
from striate.runs import folder
from striate.usercode import Consent


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on digits that makes mistakes."""
    place = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        choices: dict[str, Any] = {"epochs": 2, "batch_size": 256, "arguments": {"width": 4}}
        api.train("digits", out=place / f"seed-{seed}", seed=seed, **choices)
    return place / "seed-0"


@pytest.fixture(scope="module")
def written(run: Path) -> Path:
    """Its report, with the curves of the other seed."""
    figures = run.parent / "figures"
    path: Path = api.load(run).report(others=[run.parent / "seed-1"], figures=figures)
    return path


def test_the_page_says_what_the_run_says(run: Path, written: Path) -> None:
    assert written == run / folder.REPORT
    shown, arrays = parts(written)
    loaded, answers = api.load(run), seeing.read_answers(run)
    n = len(answers.labels)
    assert shown["headline"]["value"] == loaded.accuracy
    assert shown["headline"]["n"] == n
    assert shown["files"][:n] == answers.files
    assert arrays["split"].tolist() == [0] * n + [1] * (len(shown["files"]) - n)
    np.testing.assert_array_equal(arrays["label"][:n], answers.labels)
    np.testing.assert_array_equal(arrays["predicted"][:n], answers.predicted)
    assert (arrays["predicted"][n:] == -1).all()
    np.testing.assert_array_equal(arrays["mistakes"], answers.mistakes())
    own = answers.probabilities[np.arange(n), answers.labels]
    np.testing.assert_allclose(arrays["own"][:n] / 65535, own, atol=1e-5)
    assert [one["seed"] for one in shown["runs"]] == [0, 1]
    assert len({one["name"] for one in shown["runs"]}) == 1  # they differ in their seed alone
    losses = [value for _, value in shown["runs"][0]["loss"]["training"]]
    assert losses == pytest.approx([row["train_loss"] for row in folder.read_trail(run)], rel=1e-3)
    validated = [value for _, value in shown["runs"][0]["loss"]["validation"]]
    assert validated == pytest.approx([row["validation_loss"] for row in loaded.history], rel=1e-3)
    assert arrays["xy"].shape == (n, 2)
    assert 0 <= dict(shown["map"]["purities"])["this map"] <= 1


def test_every_figure_is_a_png_and_an_svg(written: Path) -> None:
    into = written.parents[1] / "figures"
    names = {path.stem for path in into.iterdir()}
    assert names - {"label-doubts"} == {
        *("curves", "filters", "maps", "confusion", "mistakes", "doubts", "calibration", "atlas"),
    }
    for name in names:
        with Image.open(into / f"{name}.png") as picture:
            picture.load()
            assert picture.width > 400
        assert ElementTree.parse(into / f"{name}.svg").getroot().tag.endswith("}svg")


@pytest.mark.parametrize("looked", [True, False])
def test_names_of_classes_are_whole_below_mistakes(looked: bool) -> None:
    found = made()
    if looked:
        found.cam, found.cam_of = np.ones((8, 3, 4, 4), np.float32), found.answers.mistakes(8)
    (svg,) = (draw("svg") for name, draw in drawings.of_report(found, Path()) if name == "mistakes")
    texts = ["".join(one.itertext()) for one in ElementTree.fromstring(svg).iter() if one.text]
    own = [name if looked else f"true {name}" for name in found.answers.classes]
    taken = [name if looked else f"predicted {name}" for name in found.answers.classes]
    assert {*own, *taken} <= {text.strip() for text in texts}
    assert not any("…" in text for text in texts)


def test_neighbours_are_the_nearest_training_pictures(run: Path, written: Path) -> None:
    shown, arrays = parts(written)
    embedded = folder.read_features(run)
    assert embedded is not None
    rows = embedded.to_pylist()
    vectors = {row["file"]: np.array(row["vector"]) for row in rows}
    train = [row["file"] for row in rows if row["split"] == "train"]
    for query in arrays["cam_of"][:5].tolist():
        far = [np.linalg.norm(vectors[shown["files"][query]] - vectors[name]) for name in train]
        found = [shown["files"][row] for row in arrays["neighbours"][query]]
        assert found == [train[row] for row in np.argsort(far, kind="stable")[:3]]
        np.testing.assert_allclose(arrays["distances"][query], np.sort(far)[:3], rtol=1e-4)


def test_pictures_in_sheets_are_those_that_went_in() -> None:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (40_000, 5, 5)).astype(np.uint8)
    laid = packing._laid(pictures, 16)
    across = packing.SHEET // 16
    assert len(laid) == 3
    for row in (0, 1, across, across * across, 39_999):
        sheet, here = divmod(row, across * across)
        y, x = divmod(here, across)
        cell = laid[sheet][16 * y : 16 * y + 16, 16 * x : 16 * x + 16]
        np.testing.assert_array_equal(cell[5:10, 5:10], pictures[row])
        assert (cell[:5, 5:10] == cell[5, 5:10]).all()  # continued to the cell's edges


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ({"a": {0: 0.1}}, "Validation error ends at 10.00 % (n = 1)"),
        ({"a": {0: 0.1}, "b": {1: 0.2}}, "a ends lowest, at 10.00 % validation error"),
        (
            {"a": {0: 0.1, 1: 0.12}, "b": {0: 0.2, 1: 0.221}},
            "a has 10.1 points less validation error than b (95 % interval 9.4 to 10.7, n = 2)",
        ),
        (
            {"a": {0: 0.1, 1: 0.3}, "b": {0: 0.2, 1: 0.25}},
            "No sure difference: a has 2.5 points less validation error than b (95 % interval "
            "\u221292.8 to 97.8, n = 2)",
        ),
    ],
)
def test_curves_are_told_by_one_sentence(ends: Any, expected: str) -> None:
    runs = [
        {"name": name, "seed": seed, "error": {"validation": [[10, 0.9], [20, end]]}}
        for name, seeds in ends.items()
        for seed, end in seeds.items()
    ]
    assert curves_finding(runs) == expected


def test_what_is_not_finished_has_no_report(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "run"
    shutil.copytree(run, other)
    (other / folder.RESULT).unlink()
    assert cli.main(["report", str(other)]) == 1
    assert "is not finished" in capsys.readouterr().err
    assert cli.main(["report", str(run), "-o", "x.pdf"]) == 2
    assert "--out is an .html file" in capsys.readouterr().err


def test_without_a_map_the_rest_is_there(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(_: Any) -> Any:
        raise UsageError("maps are placed by openTSNE, which is not here: `pip install openTSNE`")

    monkeypatch.setattr("striate.seeing.place", missing)
    out = tmp_path / "r.html"
    assert cli.main(["report", str(run), "-o", str(out)]) == 0
    assert "pip install openTSNE" in capsys.readouterr().err
    shown, arrays = parts(out)
    assert "xy" not in arrays
    assert len(arrays["mistakes"])
    assert any("openTSNE" in text for text in shown["warnings"])


@pytest.mark.parametrize("width", [1400, 390])
def test_a_browser_shows_it_without_a_request_or_an_error(
    browser: Any, written: Path, width: int
) -> None:
    context = browser.new_context(
        offline=True, reduced_motion="reduce", viewport={"width": width, "height": 1000}
    )
    page, errors, requests = context.new_page(), [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("request", lambda one: requests.append(one.url))
    page.goto(written.resolve().as_uri())
    page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
    cards = page.locator("#mistakes .card")
    cards.first.click()  # one click to where it looked, and to its neighbours
    assert page.locator("#panel").is_visible()
    assert page.locator("#panel .near .tile").count() == 3
    page.get_by_role("button", name="Show on the map").click()  # two to its place on the map
    assert page.evaluate("document.querySelector('.stage').atlas.view.zoom") >= 1
    page.keyboard.press("Escape")
    assert not page.locator("#panel").is_visible()
    page.go_back()
    assert page.locator("#panel").is_visible()
    page.keyboard.press("Escape")
    cards.first.focus()
    page.keyboard.press("ArrowRight")
    assert cards.nth(1).evaluate("(card) => card === document.activeElement")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert errors == []
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == requests[:1]
    context.close()


def test_no_text_of_a_user_closes_an_element(run: Path, tmp_path: Path, browser: Any) -> None:
    gathered = gather(
        run,
        api.load(run).bundle,
        consent=Consent(run, False),
        device=devices.pick("cpu"),
        with_map=False,
    )
    evil = '</script><script>document.title = "evil"</script><img src=x onerror=alert(1)>'
    gathered.title = evil
    gathered.files = [evil] * len(gathered.files)
    gathered.warnings = [evil]
    gathered.answers = gathered.answers._replace(classes=(evil,) * 10)
    out = tmp_path / "evil.html"
    out.write_text(whole_page(*document(gathered)), "utf-8")
    page = browser.new_page()
    page.goto(out.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
    assert page.title() == evil
    assert page.locator("img[src=x]").count() == 0
    page.close()
