"""The server's page in a real browser, and sounds and clips over HTTP."""

import asyncio
import base64
import io
import threading
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
import torch
from conftest import CLASSES, drawing
from PIL import Image

import striate
from striate.serving import address, app, server
from striate.serving.limits import Limits
from striate.serving.networks import Networks
from striate.serving.opening import Loading

TOKEN = "0123456789abcdef0123"
FAINT = Path(__file__).with_name("contrast.js").read_text("utf-8")
# Gives a file to the page as a drop or a paste does.
GIVEN = """([how, name, type, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, {type}));
  const options = {bubbles: true, cancelable: true};
  document.dispatchEvent(how === "paste"
    ? new ClipboardEvent("paste", {...options, clipboardData: data})
    : new DragEvent("drop", {...options, dataTransfer: data}));
}"""

SECONDS = """(audio) => new Promise((done) => {
  const look = () => audio.readyState ? done(audio.duration) : setTimeout(look, 20);
  look();
})"""


def png(kind: str, number: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(drawing(kind, number)).save(content, "PNG")
    return content.getvalue()


def wav(hertz: float, number: int) -> bytes:
    """Write half a second of a tone in noise."""
    random = np.random.default_rng(number)
    time = np.arange(4000) / 8000
    values = 9000 * np.sin(2 * np.pi * hertz * time) + random.normal(0, 300, 4000)
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        file.writeframes(values.astype("<i2").tobytes())
    return content.getvalue()


def gif(step: int, number: int) -> bytes:
    """Write a bar that moves to the right or to the left."""
    frames = np.zeros((4, 16, 16), np.uint8)
    for k, frame in enumerate(frames):
        place = (number + step * 3 * k) % 16
        frame[:, place : place + 3] = 200
    content = io.BytesIO()
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(content, "GIF", save_all=True, append_images=images[1:], duration=100, loop=0)
    return content.getvalue()


MADE: dict[str, Any] = {
    "pictures": {kind: ("png", png, kind) for kind in CLASSES},
    "sounds": {"high": ("wav", wav, 1500.0), "low": ("wav", wav, 300.0)},
    "clips": {"right": ("gif", gif, 1), "left": ("gif", gif, -1)},
}
CHOICES: dict[str, Any] = {
    "pictures": {"size": 20, "arguments": {"width": 8, "stages": 2}},
    "sounds": {"arguments": {"width": 4}},
    "clips": {"size": 16, "frames": 4, "arguments": {"width": 4}},
}


class Site(NamedTuple):
    url: str
    root: Path  # of the runs, and of the folders with their data

    def files(self, kind: str) -> list[Path]:
        return sorted((self.root / f"data-{kind}").rglob("*.*"))

    def predict(self, kind: str, content: bytes) -> Any:
        answer = httpx.post(
            f"{self.url}v1/predict",
            params={"model": kind},
            content=content,
            headers={"authorization": f"Bearer {TOKEN}"},
            timeout=60,
        )
        return answer.status_code, answer.json()["predictions"][0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with a token, of a run of pictures, one of sounds and one of clips."""
    root = tmp_path_factory.mktemp("page")
    for kind, classes in MADE.items():
        for name, (suffix, make, value) in classes.items():
            (root / f"data-{kind}" / name).mkdir(parents=True)
            for number in range(8):
                path = root / f"data-{kind}" / name / f"{number}.{suffix}"
                path.write_bytes(make(value, number))
        striate.train(
            root / f"data-{kind}", out=root / kind, epochs=1, batch_size=8, **CHOICES[kind]
        )
    (root / "token").write_text(TOKEN)
    found = Networks([root / kind for kind in MADE], Loading(torch.device("cpu"), 1))
    shared = app.state(found, Limits(max_body=0.1, deadline=30.0))
    place = address.bind("127.0.0.1", 0, token_file=root / "token")
    serving = server._Server(server._configuration(shared, place))
    thread = threading.Thread(target=lambda: asyncio.run(serving.serve([place.listening])))
    thread.start()
    yield Site(place.url, root)
    serving.should_exit = True
    thread.join(30)
    shared.batcher.close()
    found.close()


# Over HTTP


@pytest.mark.parametrize("kind", MADE)
def test_what_is_sent_is_answered_as_predict_does(site: Site, kind: str) -> None:
    for path in site.files(kind)[::7]:
        status, found = site.predict(kind, path.read_bytes())
        own = striate.load(site.root / kind).predict(path, workers=0)[0]
        assert status == 200
        assert [one["name"] for one in found["classes"]] == [one.name for one in own.classes]
        shares = [one["probability"] for one in found["classes"]]
        np.testing.assert_allclose(shares, [one.probability for one in own.classes], atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("sounds", png("ring", 0), "no WAV file"),
        ("sounds", wav(300, 0)[:30], "no WAV file"),
        ("clips", wav(300, 0), "no moving pictures in it"),
        ("clips", gif(1, 0)[:50], "no clip"),
        ("pictures", wav(300, 0), "not a picture"),
    ],
)
def test_what_is_of_another_kind_is_unreadable(
    site: Site, kind: str, content: bytes, said: str
) -> None:
    status, found = site.predict(kind, content)
    assert (status, found["classes"]) == (422, [])
    assert said in found["error"]


# In a browser


def opened(browser: Any, site: Site, *, token: bool = True, **how: Any) -> Any:
    page = browser.new_context(reduced_motion="reduce", **how).new_page()
    page.set_default_timeout(30_000)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(site.url)
    if token:
        page.get_by_label("Token", exact=True).fill(TOKEN)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="What does pictures see?").wait_for()
    return page


def give(page: Any, how: str, name: str, type_: str, content: bytes) -> None:
    page.evaluate(GIVEN, [how, name, type_, base64.b64encode(content).decode()])


def cards(page: Any, count: int) -> Any:
    """Wait for so many answers; the newest comes first."""
    found = page.locator("#results > .card")
    found.nth(count - 1).wait_for()
    assert found.count() == count
    return found


def test_the_token_is_asked_for_until_it_is_right(browser: Any, site: Site) -> None:
    page = opened(browser, site, token=False)
    field = page.get_by_label("Token", exact=True)
    field.fill("nonsense")
    page.keyboard.press("Enter")
    page.get_by_text("That was not the token of this server.").wait_for()
    assert field.input_value() == ""
    assert not page.locator("#give").is_visible()  # there is nothing yet to give it to
    field.fill(TOKEN)
    page.get_by_role("button", name="Go on").click()
    page.locator("#give").wait_for()
    assert "3 classes apart: cross, ring, stripes" in page.locator("#facts").text_content()
    page.reload()
    page.locator("#give").wait_for()  # kept for the tab
    assert page.errors == []
    page.close()


def test_pictures_are_chosen_pasted_and_dropped(browser: Any, site: Site) -> None:
    page = opened(browser, site)
    files: list[Any] = [
        {"name": f"{kind}.png", "mimeType": "image/png", "buffer": png(kind, 3)} for kind in CLASSES
    ]
    large = {"name": "large.png", "mimeType": "image/png", "buffer": bytes(120_000)}
    broken = {"name": "broken.png", "mimeType": "image/png", "buffer": png("ring", 1)[:60]}
    page.locator("#files").set_input_files([large, *files, broken])
    newest = cards(page, 4)
    assert newest.first.get_by_role("heading").text_content() == "Cannot be read"
    assert "truncated" in newest.first.text_content()
    said = page.get_by_role("alert").text_content()
    assert said == "large.png: too large: a request may have 0.1 MB (--max-body)"
    expected = striate.load(site.root / "pictures").predict(png("stripes", 3))[0].classes[0]
    shown = newest.nth(1)
    assert shown.get_by_role("heading").text_content() == expected.name
    assert f"{100 * expected.probability:.1f}\u00a0%" in shown.text_content()
    give(page, "paste", "pasted.png", "image/png", png("cross", 5))
    cards(page, 5)
    assert not page.get_by_role("alert").is_visible()  # what was wrong before is over
    give(page, "drop", "dropped.png", "image/png", png("ring", 6))
    assert "dropped.png" in cards(page, 6).first.text_content()
    page.get_by_role("button", name="Why?").first.click()
    page.get_by_text("As the network saw it").wait_for()
    assert page.get_by_text("With weights shuffled").is_visible()
    assert page.errors == []
    page.close()


def test_sounds_are_heard_and_clips_are_seen(browser: Any, site: Site) -> None:
    page = opened(browser, site)
    page.locator("#models").select_option("sounds")
    assert page.get_by_role("heading", name="What does sounds hear?").is_visible()
    assert "a spectrogram of" in page.locator("#facts").text_content()
    give(page, "drop", "tone.wav", "audio/wav", wav(300, 9))
    heard = cards(page, 1).locator("audio")
    assert heard.evaluate(SECONDS) == pytest.approx(0.5)
    give(page, "drop", "picture.png", "image/png", png("ring", 1))
    assert "no WAV file" in cards(page, 2).first.text_content()
    page.locator("#models").select_option("clips")
    assert "4 frames of 16 \u00d7 16 pixels" in page.locator("#facts").text_content()
    give(page, "drop", "bar.gif", "image/gif", gif(1, 5))
    moving = cards(page, 3).first.locator("img")
    assert moving.evaluate("(image) => image.naturalWidth") == 16
    page.get_by_role("button", name="Why?").first.click()
    page.get_by_text("where it looked is shown of pictures and sounds, not of clips").wait_for()
    page.get_by_text("similar training clips are shown of a run").wait_for()
    assert page.errors == []
    page.close()


def test_a_phone_in_the_dark_shows_all_of_it(browser: Any, site: Site) -> None:
    page = opened(browser, site, viewport={"width": 390, "height": 800}, color_scheme="dark")
    give(page, "drop", f"{'a-long-name-' * 9}.png", "image/png", png("ring", 2))
    give(page, "drop", "broken.png", "image/png", b"nothing")
    cards(page, 2)
    page.get_by_role("button", name="Why?").click()
    page.get_by_text("As the network saw it").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    looked, faint = page.evaluate(FAINT)
    assert looked > 20
    assert faint == {}
    page.close()
