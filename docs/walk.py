"""Walk through README and docs as a reader would: run each block as printed, in a clean folder.

`make walk` does it; blocks that cannot run are marked in the page, with the reason.
"""

import argparse
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
# As a reader goes: README leaves the run and the pictures that the other pages speak of.
PAGES = [ROOT / "README.md", ROOT / "docs" / "quickstart.md"]
PAGES += [*sorted({*(ROOT / "docs").glob("*.md")} - {*PAGES}), ROOT / "CHANGELOG.md"]
FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)
SHELL, PROGRAM = ("bash", "console"), ("python",)
SECONDS = 1800  # of a block


class Block(NamedTuple):
    """A block of a page: its language, its text, its line, and why it cannot run."""

    kind: str
    text: str
    line: int
    reason: str | None


def blocks(page: Path) -> list[Block]:
    """Read a page's blocks of commands and programs."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            found["kind"], found["text"], text.count("\n", 0, found.start("text")), found["reason"]
        )
        for found in FENCE.finditer(text)
        if found["kind"] in SHELL + PROGRAM
    ]


def shell(block: Block) -> str:
    """Return the lines that a reader types, without prompts and what is printed below them."""
    if block.kind == "bash":
        return block.text
    lines = block.text.splitlines()
    return "\n".join(line.removeprefix("$ ") for line in lines if line.startswith("$ "))


def draw_photos(folder: Path) -> None:
    """Draw stand-ins for a reader's own pictures: dark ones are cats, bright ones are dogs."""
    random = np.random.default_rng(0)
    for number, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for copy in range(6):
            pixels = random.integers(0, 60, (24, 30, 3)) + 180 * number
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{copy}.png")


def lay_out(folder: Path) -> None:
    """Copy what the repository holds into a clean folder; the installed packages are shared."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in os.fsdecode(listed.stdout).split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(Path(sys.prefix))
    draw_photos(folder / "photos")


def surroundings(folder: Path) -> dict[str, str]:
    """Return the environment of a new user: no settings, no cache, the installed commands."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("STRIATE_", "XDG_"))}
    path = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "HOME": str(folder / "home"), "PATH": path, "PYTHONWARNINGS": "ignore"}


def run(block: Block, names: dict[str, object]) -> str:
    """Run a block in the present folder; give what went wrong, or nothing."""
    if block.kind in SHELL:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", shell(block)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
        return "" if not done.returncode else f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    if file := re.match(r"# (\w+\.py)\n", block.text):
        Path(file[1]).write_text(block.text, encoding="utf-8")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(block.text, f"block at line {block.line}", "exec"), names)
    except Exception:  # whatever a page's program raises is what is looked for
        return traceback.format_exc()
    return ""


def walk(pages: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Run the pages' blocks one after the other; yield a line on each, and what went wrong."""
    # Read before anything runs: a walk takes minutes, in which its author may write on.
    for page, found in [(page, blocks(page)) for page in pages]:
        names: dict[str, object] = {"__name__": "docs"}
        for block in found:
            place = f"{page.name}:{block.line}"
            if block.reason:
                yield f"not run           {place}: {block.reason}", ""
                continue
            began = time.monotonic()
            wrong = run(block, names)
            first = next(iter(shell(block).splitlines()), "") if block.kind in SHELL else "python"
            took = time.monotonic() - began
            yield f"{'FAILED' if wrong else 'ok':8} {took:6.1f} s  {place}: {first}", wrong


def main() -> int:
    """Walk through the pages that are named, or all; exit 1 where a block fails."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("pages", nargs="*", type=Path, help="pages [default: all, README first]")
    pages = [page.absolute() for page in options.parse_args().pages] or PAGES
    if pages[0] != PAGES[0]:
        pages = [PAGES[0], *pages]  # it leaves what the others take for granted
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder)
        os.environ.update(surroundings(folder))
        for key in [key for key in os.environ if key.startswith(("STRIATE_", "XDG_"))]:
            del os.environ[key]
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        for line, wrong in walk(pages):
            print(line, flush=True)
            if wrong:
                failed += 1
                print(wrong, flush=True)
        os.chdir(ROOT)
    print(f"{failed} blocks failed" if failed else "every block ran as printed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
