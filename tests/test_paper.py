"""Reports on paper and on a phone, and what they say of sounds and clips."""

import io
import re
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from striate import api, figures, seeing
from striate.report import drawings
from striate.report.document import document
from striate.report.gathered import Gathered
from striate.report.gathering import gather
from striate.report.page import page as whole_page
from striate.report.places import Placed
from striate.seeing import Answers
from striate.usercode import Consent

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
    assert len(re.findall(r"\b(?:Choose|Click)\b", page.locator("main").inner_text())) >= 3
    assert np.median(stage(page)) < 40
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert background(page) == "rgb(255, 255, 255)"
    drawn = stage(page)
    assert np.median(drawn) > 240
    assert (drawn < 200).mean() > 0.02  # the pictures are there
    assert not re.search(r"\b(Choose|Click|Point at)\b", page.locator("main").inner_text())
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


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> tuple[api.Run, Gathered]:
    """A network that was taught two tones, of an input that is not square, and its report."""
    place, time = tmp_path_factory.mktemp("heard"), np.arange(8000) / 8000
    for row in range(24):
        tone = np.sin(2 * np.pi * (400 + 900 * (row % 2) + 10 * row) * time)
        path = place / "data" / f"tone-{row % 2}" / f"{row}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes((tone * 9000).astype("<i2").tobytes())
    choices: dict[str, Any] = {"epochs": 1, "batch_size": 8, "arguments": {"width": 4}}
    run = api.train(place / "data", out=place / "run", model="convnet", **choices)
    consent, device = Consent(run.folder, False), torch.device("cpu")
    return run, gather(
        run.folder, run.bundle, consent=consent, device=device, workers=1, with_map=False
    )


def test_where_it_looked_in_a_sound_has_high_notes_on_top(heard: tuple[api.Run, Gathered]) -> None:
    run, found = heard
    high, wide = run.bundle.preprocessing.shape[1:]
    assert high < wide
    assert found.frame == pytest.approx((high / wide, 1))
    assert not any("looked" in warning for warning in found.warnings)
    assert found.cam is not None
    assert found.cam.shape[2] > 1
    layer = seeing.last(run.model, run.bundle.preprocessing.shape).name
    for place, row in enumerate(found.cam_of[:3]):
        file = run.folder.parent / "data" / found.files[row]
        values = run.bundle.preprocessing(file)[None]
        for side, label in enumerate((found.answers.predicted[row], found.answers.labels[row])):
            (own,) = seeing.grad_cam(run.model, values, torch.tensor([label]), layer).numpy()
            np.testing.assert_allclose(found.cam[place, side], own[::-1], rtol=1e-4, atol=1e-6)


def test_a_map_lies_where_its_input_does(
    browser: Any, heard: tuple[api.Run, Gathered], tmp_path: Path
) -> None:
    run, found = heard
    high, wide = run.bundle.preprocessing.shape[1:]
    flat = replace(found, cam=np.ones((len(found.cam_of), 3, 2, 3), np.float32))
    (tmp_path / "r.html").write_text(whole_page(*document(flat)), "utf-8")
    page = opened(browser, tmp_path / "r.html", 1000)
    page.evaluate("location.hash = '#picture=0'")
    page.locator("#panel [data-look='0']").click()
    script = """canvas => [canvas.height, canvas.width,
        ...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]"""
    tall, broad, *pixels = page.locator("#panel .big canvas").evaluate(script)
    red, green, blue, _ = np.moveaxis(np.reshape(pixels, (tall, broad, 4)), 2, 0)
    orange = (red > green + 40) & (red > blue + 40)
    top, bottom = np.flatnonzero(orange.any(axis=1))[[0, -1]]
    assert orange[top : bottom + 1].mean() > 0.98
    assert (bottom + 1 - top) / tall == pytest.approx(high / wide, abs=0.02)
    assert top == pytest.approx(tall - 1 - bottom, abs=0.02 * tall)
    corner = page.locator("#panel .corner")
    assert [corner.get_attribute(side) for side in ("height", "width")] == ["2", "3"]
    box = corner.bounding_box()
    assert box["height"] / box["width"] == pytest.approx(high / wide, abs=0.03)
    page.close()


def test_figures_show_a_sound_without_the_square_that_it_lies_in(
    heard: tuple[api.Run, Gathered], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, found = heard
    kept = list[list[Any]]()

    def keep(images: list[Any], *_: Any, **__: Any) -> bytes:
        kept.append(images)
        return b""

    monkeypatch.setattr(figures, "sheet", keep)
    next(draw for name, draw in drawings.of_report(found, run.folder) if name == "doubts")("png")
    row = int(found.answers.doubts(1)[0])
    preparation = run.bundle.preprocessing
    drawn = preparation.image(preparation.pixels(run.folder.parent / "data" / found.files[row]))
    picture, looked = kept[0][:2]
    assert picture.shape == drawn.shape
    assert np.array_equal(picture, drawn)
    high, wide = looked.picture.shape[:2]
    assert high / wide == pytest.approx(drawn.shape[0] / drawn.shape[1], abs=0.02)
