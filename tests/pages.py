"""What tests of HTML pages share: a page read back, and a browser without a network."""

import base64
import json
import re
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
    *("--ignore-gpu-blocklist", "--no-sandbox"),
)


def parts(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Read the document and the arrays back out of a page."""
    text = path.read_text("utf-8")
    found = {
        name: re.search(rf'id="{name}">(.*?)</script>', text, re.DOTALL)
        for name in ("data", "arrays")
    }
    assert found["data"]
    assert found["arrays"]
    document = json.loads(found["data"][1])
    content = zlib.decompress(base64.b64decode(found["arrays"][1]))
    arrays = {}
    for name, (kind, shape, offset) in document["arrays"].items():
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(content, f"<{kind}", count, offset).reshape(shape)
    document["files"] = arrays["files"].tobytes().decode().split("\0")
    return document, arrays


def launched() -> Iterator[Any]:
    """Start a headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    with sync_api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()
