"""Reports on paper and on a phone, and what they say of sounds and clips."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from striate import seeing
from striate.report.document import document
from striate.report.gathered import Gathered
from striate.report.page import page as whole_page
from striate.report.places import Placed
from striate.seeing import Answers

A4 = 703  # pixels between margins of 12 mm


def made(kind: str = "pictures", sure: float = 4.0) -> Gathered:
    """Make up a report: 80 answers on 4 classes, of which each fifth is wrong."""
    n, k, random = 80, 4, np.random.default_rng(0)
    labels = np.arange(n) % k
    taken = np.where(np.arange(n) % 5, labels, (labels + 1) % k)
    shares = np.exp(sure * np.eye(k)[taken])
    shares /= shares.sum(1, keepdims=True)
    names = ("gas_pump", "garbage_truck", "french_horn", "golf_ball")
    files = [f"{number}.png" for number in range(n)]
    answers = Answers("test", files, labels, shares, names)
    blank = np.full((n, 3), -1)
    pictures = random.integers(0, 256, (n, 24, 24, 3)).astype(np.uint8)
    found = Gathered("made up", answers, pictures, labels, files, blank, blank * 1.0, kind)
    found.facts = [["Data", f"/data/{'a' * 60}/{'b' * 60}.tar.xz: recordings"]]
    found.placed = Placed(random.normal(size=(n, 2)).astype(np.float32), "", 0.5, 0.5, {})
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("paper") / "report.html"
    path.write_text(whole_page(*document(made())), "utf-8")
    return path


def opened(browser: Any, path: Path, width: int) -> Any:
    page = browser.new_page(
        viewport={"width": width, "height": 900}, reduced_motion="reduce", color_scheme="dark"
    )
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
    return page


def stage(page: Any) -> NDArray[np.uint8]:
    """Take a picture of the map."""
    return np.asarray(Image.open(io.BytesIO(page.locator(".stage").screenshot())).convert("L"))


def background(page: Any) -> str:
    found: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return found


def test_paper_is_white_whatever_the_screen(browser: Any, report: Path) -> None:
    page = opened(browser, report, A4)
    assert background(page) == "rgb(20, 23, 26)"
    assert np.median(stage(page)) < 40
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert background(page) == "rgb(255, 255, 255)"
    drawn = stage(page)
    assert np.median(drawn) > 240
    assert (drawn < 200).mean() > 0.02  # the pictures are there
    for controls in ("nav", ".tools", ".zoom", ".atlas .side", ".more"):
        assert not page.locator(controls).first.is_visible(), controls
    assert page.locator(".matrix").is_visible()
    assert page.locator(".numbers").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= A4
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen", color_scheme="dark")
    assert background(page) == "rgb(20, 23, 26)"
    page.close()


def test_a_printed_page_returns_to_the_screen_s_colours(browser: Any, report: Path) -> None:
    page = opened(browser, report, 1000)
    page.evaluate("window.told = []")
    page.evaluate(
        "addEventListener('beforeprint', () => told.push(document.body.parentNode.className))"
    )
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert page.evaluate("told") == ["paper"]
    assert page.evaluate("document.documentElement.className") == ""
    page.close()


def test_long_words_fit_a_phone(browser: Any, report: Path) -> None:
    page = opened(browser, report, 390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_sounds_and_clips_are_called_so() -> None:
    for kind in ("pictures", "sounds", "clips"):
        said = document(made(kind))[0]["findings"]["mistakes"]
        assert said.startswith(f"16 of 80 test {kind} are misclassified")


def test_confidence_is_doubted_as_far_as_so_many_answers_can_tell() -> None:
    # Accuracy 80 %, by Wilson's interval 70.0 to 87.3 %.
    said = {sure: document(made(sure=sure))[0]["findings"]["calibration"] for sure in (2.5, 4, 1)}
    assert "80.2\u00a0%, is within the 95\u00a0% interval" in said[2.5]
    assert "70.0\u00a0% to 87.3\u00a0%" in said[2.5]
    assert "overconfident: its mean confidence is 14.8 points above" in said[4]
    assert "underconfident: its mean confidence is 32.5 points below" in said[1]


def test_filters_of_spectrograms_have_high_notes_on_top() -> None:
    weights = np.random.default_rng(0).normal(size=(5, 1, 3, 3)).astype(np.float32)
    none = np.zeros(5, np.float32)
    filters = seeing.Filters(
        "conv", weights, np.arange(5), ("grey",) * 5, none, none, none, none, ()
    )
    for kind, expected in (("pictures", weights), ("sounds", weights[:, :, ::-1])):
        arrays = document(replace(made(kind), filters=filters))[1]
        assert np.array_equal(arrays["filters"], expected)
