import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

import striate
from striate import cli, models
from striate.models import MODELS
from striate.models.arguments import defaults

ROOT = Path(__file__).parents[1]
WALK = runpy.run_path(str(ROOT / "docs" / "walk.py"))
PAGES: list[Path] = WALK["PAGES"]
IDS = [page.name for page in PAGES]
# Documents say how long a good training takes; here only that it runs is asked.
EPOCHS = (re.compile(r"--epochs \d+"), "--epochs 1"), (re.compile(r"\bepochs=\d+"), "epochs=1")


def commands(text: str) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Yield the variables and arguments of each line of a shell block that calls striate."""
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        settings = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
        rest = words[len(settings) :]
        if rest[:1] == ["striate"]:
            yield settings, rest[1:]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make what the documents take for granted: the demo's pictures, a run, and photos."""
    threads = torch.get_num_threads()
    # On small pictures threads cost more than they bring, and ten times more on a busy machine.
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("docs")
    save = runpy.run_path(str(ROOT / "examples" / "demo.py"))["save_held_out"]
    save([f"all/{row:05d}" for row in range(0, 1797, 25)], folder / "runs" / "demo-pictures")
    WALK["draw_photos"](folder / "photos")
    arguments = ["train", "digits", "--epochs", "1", "--out", str(folder / "runs" / "first")]
    assert cli.main(arguments) == 0
    yield folder
    torch.set_num_threads(threads)


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("STRIATE_TRAIN_EPOCHS", "1")
    before = set(sys.modules)
    yield place
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == place:
            del sys.modules[name]


def run(block: Any, where: str, names: dict[str, object]) -> None:
    text = block.text if block.kind == "python" else WALK["shell"](block)
    for pattern, short in EPOCHS:
        text = pattern.sub(short, text)
    if block.kind == "python":
        file = re.match(r"# (\w+\.py)\n", text)
        if file:
            Path(file[1]).write_text(text)
        exec(compile("\n" * block.line + text, where, "exec"), names)
        return
    for settings, arguments in commands(text):
        # The run that all pages share is there already.
        made = "--out" in arguments and Path(arguments[arguments.index("--out") + 1]).exists()
        made &= "--overwrite" not in arguments
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, "1" if name == "STRIATE_TRAIN_EPOCHS" else value)
            code = cli.main([*arguments, *(["--overwrite"] if made else [])])
        assert code == 0, f"{where}: striate {shlex.join(arguments)}"


@pytest.mark.slow
def test_the_demo_runs(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `make demo` runs, with an epoch instead of sixty."""
    demo = runpy.run_path(str(ROOT / "examples" / "demo.py"))
    train = striate.train
    monkeypatch.setattr(striate, "train", lambda *a, **named: train(*a, **named, epochs=1))
    monkeypatch.setattr(sys, "argv", ["demo.py", "--out", str(here / "demo" / "run")])
    demo["main"]()
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines() if line[0] != " "] == [
        *("trained", "reached", "asked", "look", "next")
    ]
    assert (here / "demo" / "run-pictures" / "3").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_block_runs(page: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert here.is_dir()
    names: dict[str, object] = {"__name__": "docs"}
    for block in WALK["blocks"](page):
        if not block.reason:
            run(block, f"{page.name}:{block.line}", names)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_what_is_not_run_says_why_and_the_rest_are_commands(page: Path) -> None:
    """`make walk` runs the blocks as printed, at full length; here are those lines it can run."""
    found = WALK["blocks"](page)
    marks = re.findall(r"^<!-- not run", page.read_text(), re.M)
    assert len(marks) == sum(block.reason is not None for block in found), "a mark without a block"
    for block in found:
        if block.kind in WALK["SHELL"] and not block.reason:
            for line in filter(None, map(str.strip, WALK["shell"](block).splitlines())):
                words = [word for word in line.split() if not re.match(r"[A-Z_]+=", word)]
                assert words[0] in ("striate", "make", "source", "#"), f"{page.name}: {line}"


def test_a_walk_tells_what_ran_what_failed_and_what_was_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```bash\ntouch made\n```\n<!-- not run: too long -->\n```bash\ntouch other\n```\n"
        "```python\n# mine.py\nx = 1\n```\n```python\nassert x == 1\n```\n"
        "```console\n$ false\nprinted\n```\n```text\nnothing\n```\n```python\n1 / 0\n```\n"
    )
    monkeypatch.chdir(tmp_path)
    lines = list(WALK["walk"]([page]))
    assert [line.split()[0] for line, _ in lines] == ["ok", "not", "ok", "ok", "FAILED", "FAILED"]
    assert [bool(wrong) for _, wrong in lines] == [False] * 4 + [True] * 2
    assert "ZeroDivisionError" in lines[-1][1]
    assert (tmp_path / "made").exists()
    assert (tmp_path / "mine.py").read_text() == "# mine.py\nx = 1\n"
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?://", link):
            continue
        name, _, heading = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), f"{page.name} links to {link}"
        if heading:
            titles = re.findall(r"^#+ (.+)$", target.read_text(), re.M)
            anchors = [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]
            assert heading in anchors, f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_fence_is_closed_and_names_its_language(page: Path) -> None:
    opening = page.read_text().splitlines()
    fences = [line for line in opening if line.startswith("```")]
    assert len(fences) % 2 == 0
    assert all(line != "```" for line in fences[::2])


def test_the_page_of_commands_is_the_help() -> None:
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    assert (ROOT / "docs" / "cli.md").read_text() == generate["page"](), "run `make docs`"


def test_the_layers_described_are_those_that_are_checked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    assert "\n".join(layers) in (ROOT / "docs" / "architecture.md").read_text()


def test_the_tree_of_the_readme_is_the_package() -> None:
    tree = re.search(r"^src/striate/\n(.+?)^tests/", (ROOT / "README.md").read_text(), re.M | re.S)
    assert tree
    shown = {
        name for line in tree[1].splitlines() for name in re.findall(r"\w+(?:/|\.py)", line[:32])
    }
    there = {path.name + "/" * path.is_dir() for path in (ROOT / "src" / "striate").iterdir()}
    hidden = {name for name in there if name.startswith("_") or name in ("py.typed", "version.py")}
    assert shown == there - hidden


def test_the_documents_of_the_readme_are_those_that_are_there() -> None:
    text = (ROOT / "README.md").read_text()
    listed = set(re.findall(r"^- \[[^]]+\]\(docs/([\w-]+\.md)\)", text, re.M))
    there = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert listed == there, "each page of docs has a line under Documents"


def test_the_table_of_networks_is_true() -> None:
    """Every network, its parameters and multiply-adds, its smallest picture, its arguments."""
    rows = re.findall(
        r"^\| `([\w-]+)` \| ([\dx]+), (\d+) \| ([\d,]+) \| ([\d,.]+) \| (\d+) \| (.+) \|$",
        (ROOT / "docs" / "networks.md").read_text(),
        re.M,
    )
    assert [row[0] for row in rows] == list(MODELS)
    for name, shown, classes, count, cost, smallest, arguments in rows:
        shape = tuple(map(int, shown.split("x")))
        assert shape == MODELS[name].shape, name
        with torch.device("meta"):
            net = models.build(name, int(classes), channels=shape[0], size=shape[1:]).eval()
            with FlopCounterMode(display=False) as counter:
                net(torch.empty(1, *shape))
        assert count == f"{sum(p.numel() for p in net.parameters()):,}", name
        assert cost == f"{counter.get_total_flops() / 2e6:,.1f}", name
        assert int(smallest) == MODELS[name].smallest, name
        assert re.findall(r"`(\w+)`", arguments) == list(defaults(MODELS[name].build)), name


def test_the_help_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    page = runpy.run_path(str(ROOT / "docs" / "generate.py"))["page"]
    before = page()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert page() == before
    assert max(len(line) for line in before.splitlines()) <= 101


def test_the_picture_on_the_first_screen_is_small() -> None:
    picture = ROOT / "docs" / "overview.png"
    assert picture.stat().st_size <= 300_000
    with Image.open(picture) as image:
        assert image.width == 1600
