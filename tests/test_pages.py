"""Pages in a real browser: thumbnails, keys, contrast, many classes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from striate import data, seeing
from striate.data.preparation.preprocessing import Preprocessing
from striate.report import atlas as making
from striate.report.document import document
from striate.report.gathered import Gathered
from striate.report.page import ATLAS
from striate.report.page import page as whole_page
from striate.report.places import Placed
from striate.seeing import Answers, Embedded, Source

HOVERS = 100  # in each way of looking
HOVER = Path(__file__).with_name("hover.js").read_text("utf-8")
FAINT = Path(__file__).with_name("contrast.js").read_text("utf-8")


def coded(count: int) -> NDArray[np.uint8]:
    """Draw pictures (N, 24, 24, 3) that show their number: three digits to the base 4 a half."""
    halves = np.stack([np.arange(count) % 64, np.arange(count) // 64], 1)
    digits = np.stack([halves // 4**place % 4 for place in range(3)], -1) * 85  # (N, 2, 3)
    return digits.astype(np.uint8)[:, None].repeat(24, 1).repeat(12, 2)


def opened(browser: Any, path: Path, *, hash_: str = "", dark: bool = False) -> Any:
    """Open a page and wait for it; errors are in `page.errors`."""
    page = browser.new_page(
        viewport={"width": 1000, "height": 900},
        reduced_motion="reduce",
        color_scheme="dark" if dark else "light",
    )
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda one: one.type == "error" and page.errors.append(one.text))
    page.goto(path.as_uri() + hash_)
    page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
    return page


def write_numbered(path: Path, n: int = 900) -> Path:
    """Write an atlas of pictures that show their own number, at places by lot."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(n, 4)).astype(np.float32)
    classes = tuple("abcdef")
    files = [f"{number}.png" for number in range(n)]
    embedded = Embedded(files, ["train"] * n, np.arange(n) % 6, classes, vectors)
    xy = random.normal(size=(n, 2)).astype(np.float32)
    source = Source("a network", None, Preprocessing(size=(24, 24)), [])  # type: ignore[arg-type]
    found = making.Atlas(
        Path(),
        embedded,
        coded(n),
        Placed(xy, "places by lot", 0.5, 0.5, {}),
        seeing.others(vectors, 3),
        source,
        data.find("digits"),
        [],
    )
    path.write_text(whole_page(*making._document(found), ATLAS), "utf-8")
    return path


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbered(tmp_path_factory.mktemp("pages") / "numbered.html")


@pytest.mark.slow
@pytest.mark.parametrize("renderer", ["webgl2", "canvas2d"])
def test_no_thumbnail_is_wrong(browser: Any, numbered: Path, renderer: str) -> None:
    page = opened(browser, numbered, hash_="#canvas2d" if renderer == "canvas2d" else "")
    page.evaluate("document.querySelector('.stage').scrollIntoView({block: 'center'})")
    tries = HOVERS if renderer == "webgl2" else HOVERS // 10

    def hover(way: str) -> None:
        read, wrong, by = page.evaluate(HOVER, [way, tries])
        assert by == renderer
        assert (read, wrong) == (tries, []), way

    hover("all")
    for chip in (2, 5):
        page.locator(".chip").nth(chip).click()
    hover("filtered")
    page.get_by_role("button", name="Grid", exact=True).click()
    page.wait_for_timeout(100)
    hover("grid of some")
    assert page.errors == []
    page.close()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of made-up answers on 300 pictures of 120 classes."""
    n, k, random = 600, 120, np.random.default_rng(0)
    labels = np.arange(n) % k
    logits = random.normal(size=(n, k)) + 4 * np.eye(k)[np.where(labels % 3, labels, labels // 2)]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    names = tuple(f"class {number}" for number in range(k))
    files = [f"{number}.png" for number in range(n)]
    answers = Answers("test", files, labels, shares, names)
    blank = np.full((n, 3), -1)
    gathered = Gathered("many", answers, coded(n), labels, files, blank, blank * 1.0)
    gathered.placed = Placed(random.normal(size=(n, 2)).astype(np.float32), "", 0.5, 0.5, {})
    gathered.groups = labels[:k] % 10
    path = tmp_path_factory.mktemp("pages") / "many.html"
    path.write_text(whole_page(*document(gathered)), "utf-8")
    return path


def test_confusions_of_many_classes_lead_to_their_pictures(browser: Any, many: Path) -> None:
    page = opened(browser, many)
    matrix = page.locator(".blocks canvas")
    side = matrix.bounding_box()["width"]
    assert matrix.evaluate("(canvas) => canvas.width") == 120
    order = page.evaluate("JSON.parse(document.querySelector('#data').textContent).order")
    row = order.index(12)  # taken for class 6
    column = order.index(6)
    at = [(place + 0.5) * side / 120 for place in (column, row)]
    matrix.click(position={"x": at[0], "y": at[1]})
    assert "cell=12,6" in page.url
    assert "class 12 taken for class 6" in page.locator("#mistakes .found h3").text_content()
    assert page.locator(".chip").count() == 120
    page.get_by_label("Find a class").fill("class 77")
    assert page.locator(".chip:visible").count() == 1
    assert page.errors == []
    page.close()


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_is_dark_or_light_enough(browser: Any, many: Path, dark: bool) -> None:
    page = opened(browser, many, dark=dark)
    page.locator("#mistakes .card").first.click()
    looked, faint = page.evaluate(FAINT)
    assert looked > 100
    assert faint == {}
    page.close()


def test_tab_walks_down_the_page(browser: Any, numbered: Path) -> None:
    page = opened(browser, numbered)
    page.evaluate("window.stops = []; addEventListener('focusin', (e) => stops.push(e.target))")
    while page.evaluate("stops.filter((node) => node.className === 'skip').length") < 2:
        page.keyboard.press("Tab")
    downwards = """() => stops.slice(1, -1).every((node, k) =>
      stops[k].compareDocumentPosition(node) & Node.DOCUMENT_POSITION_FOLLOWING)"""
    assert page.evaluate(downwards)
    seen = page.evaluate("stops.map((node) => node.textContent || node.tagName)")
    assert seen[:4] == ["Skip to the figures", "Atlas", "About", "CANVAS"]
    assert {"+", "Map", "Grid", "Lasso", "Class"} <= set(seen)
    page.close()
