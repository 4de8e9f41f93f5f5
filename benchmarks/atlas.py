"""A map of many pictures: how large the page is, how long it takes to open, how fast it moves.

    python benchmarks/atlas.py [--data cifar10] [20000] [10000]

Without data the pictures are made up: noise of which each frequency is as strong as in photographs
(1 / f), in correlated colours. Needs Playwright and a Chromium, which draws here without a graphics
card (SwiftShader), on the processor.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import sync_playwright

from striate import data, seeing
from striate.data.preparation.preprocessing import Preprocessing
from striate.report import atlas
from striate.report.page import ATLAS, page
from striate.report.places import Placed
from striate.report.thumbnails import thumbnail_side
from striate.seeing import Embedded, Source

Pixels = NDArray[np.uint8]
FLAGS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox")
SIZE = {"width": 1400, "height": 900}
SECONDS = 4  # of panning
CLASSES = 10
FRAMES = """async ([seconds, zoom]) => {
  const {view, render, wait} = document.querySelector('.stage').atlas;
  Object.assign(view, {x: 0.5, y: 0.5, zoom});
  const begun = performance.now(), times = [];
  while (performance.now() - begun < 1000 * seconds) {
    await new Promise(requestAnimationFrame);
    const t = (performance.now() - begun) / 1000;
    view.x = 0.5 + 0.2 * Math.sin(2 * t);
    view.y = 0.5 + 0.1 * Math.sin(3 * t);
    const before = performance.now();
    render();
    wait();
    times.push(performance.now() - before);
  }
  times.sort((a, b) => a - b);
  return [times.length / seconds, times[times.length >> 1]];
}"""


def made_up(count: int, side: int) -> Pixels:
    """Draw noise (N, S, S, 3) with the spectrum, the contrast and the greyness of photographs."""
    random = np.random.default_rng(0)
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    strength = 1 / np.maximum(np.hypot(rows, columns), 1 / side)
    found = np.empty((count, side, side, 3), np.uint8)
    mixing = np.array([[1, 0.9, 0.8], [0.35, 0, -0.35], [0.1, -0.2, 0.1]])
    for start in range(0, count, 1000):
        part = found[start : start + 1000]
        noise = random.normal(size=(len(part), 3, side, side))
        shaped = np.fft.irfft2(np.fft.rfft2(noise) * strength, s=(side, side))
        shaped /= shaped.std((2, 3), keepdims=True)
        colours = np.einsum("nkhw,kc->nhwc", shaped, mixing)
        level = random.normal(120, 30, (len(part), 1, 1, 1))
        part[:] = np.clip(level + 45 * colours, 0, 255)
    return found


def real(name: str, count: int, side: int) -> Pixels:
    """Read the first pictures of a data set, as they are drawn on such a page."""
    preparation = Preprocessing(size=(side, side))
    split = next(iter(data.find(name).splits.values())).take(np.arange(count))
    return np.stack([preparation.image(preparation.pixels(one)) for one in split.pictures])


def write(path: Path, pictures: Pixels) -> None:
    """Write a map of pictures at places by lot, in clusters."""
    n, random = len(pictures), np.random.default_rng(1)
    labels = np.arange(n) % CLASSES
    centres = random.uniform(-10, 10, (CLASSES, 2))
    xy = (centres[labels] + random.normal(size=(n, 2)) * 2).astype(np.float32)
    files = [f"test/class-{label}/picture-{row:06}.jpg" for row, label in enumerate(labels)]
    names = tuple(f"class-{number}" for number in range(CLASSES))
    embedded = Embedded(files, ["test"] * n, labels, names, xy)
    found = atlas.Atlas(
        Path(),
        embedded,
        pictures,
        Placed(xy, "places by lot", 1.0, 1.0, {}),
        seeing.others(xy, atlas.NEAR),
        Source("no network", None, Preprocessing(size=(32, 32)), []),  # type: ignore[arg-type]
        data.find("digits"),
        [],
    )
    path.write_text(page(*atlas._document(found), ATLAS), "utf-8")


def measured(browser: Any, path: Path) -> None:
    """Open a page and move its map."""
    opened = browser.new_page(viewport=SIZE)
    start = time.perf_counter()
    opened.goto(path.as_uri())
    opened.wait_for_selector("html[data-ready]", state="attached", timeout=120_000)
    ready = time.perf_counter() - start
    opened.locator(".stage").scroll_into_view_if_needed()
    by = opened.locator(".stage").get_attribute("data-renderer")
    moved = {zoom: opened.evaluate(FRAMES, [SECONDS, zoom]) for zoom in (1, 4)}
    said = ", ".join(
        f"at zoom {zoom} {rate:.0f} frames/s ({middle:.0f} ms each)"
        for zoom, (rate, middle) in moved.items()
    )
    print(
        f"  {path.stat().st_size / 1e6:.2f} MB, ready in {ready:.1f} s; by {by} {said}", flush=True
    )
    opened.close()


def main() -> None:
    """Print a line for each number of pictures."""
    words = sys.argv[1:]
    name = words.pop(words.index("--data") + 1) if "--data" in words else None
    counts = [int(word) for word in words if word.isdecimal()] or [20_000, 10_000]
    with sync_playwright() as play, tempfile.TemporaryDirectory() as place:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for count in counts:
            side = min(thumbnail_side(count), 32)
            pictures = real(name, count, side) if name else made_up(count, side)
            path = Path(place) / f"{count}.html"
            write(path, pictures)
            print(f"{count:,} pictures of {side}x{side} {name or 'made up'}")
            measured(browser, path)
        browser.close()


if __name__ == "__main__":
    main()
