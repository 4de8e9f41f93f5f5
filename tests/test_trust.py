"""Runs that carry code which nobody agreed to: every command and every entry of Python meets them.

The code would make a file; what is asked is that the file is not there.
"""

import dataclasses
import json
import multiprocessing
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import CLASSES, drawing
from PIL import Image

import striate
from striate import api, cli, files, groups, models, trust, usercode
from striate.cli.app import CONSENTS
from striate.data import Origin, find, reopen
from striate.errors import DataError, UsageError
from striate.models import Architecture
from striate.painting import record
from striate.painting.settings import Settings
from striate.runs import bundle, checkpoints, folder, group
from striate.training.group import described, seeds
from striate.usercode import Consent, Reference

NETS = """
from os import mkdir
from pathlib import Path
from torch import nn
made = mkdir

def small(channels, classes, size, *, note=None):
    if note:
        Path(note).touch()
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, classes),
    )
"""
SHAPES = """
from os import mkdir
from pathlib import Path
import numpy as np
made = mkdir

class Shapes:
    classes = ["dark", "light"]
    def __len__(self):
        return 24
    def __getitem__(self, place):
        random = np.random.default_rng(place)
        return random.integers(0, 90, (20, 20, 3)).astype(np.uint8) + 120 * (place % 2), place % 2

def shapes(note=None):
    if note:
        Path(note).touch()
    return Shapes()
"""
TRAP = "from pathlib import Path\nPath({made!r}).touch()\nraise RuntimeError('sprung')\n"


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of this user, of a network and data from files of their own."""
    place = tmp_path_factory.mktemp("honest")
    (place / "nets.py").write_text(NETS)
    (place / "shapes.py").write_text(SHAPES)
    trained = striate.train(
        f"{place}/shapes.py:shapes",
        model=f"{place}/nets.py:small",
        out=place / "run",
        epochs=1,
        size=20,
    )
    return trained.folder


class Place(NamedTuple):
    """A folder with a run from elsewhere in it, and what its code would make."""

    run: Path
    picture: Path
    painting: Path  # was painted with the run, so its record says
    made: Path
    other: Path  # a run of this user


@pytest.fixture
def place(tmp_path: Path, honest: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    for number, kind in enumerate(CLASSES):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        Image.fromarray(drawing(kind, number)).save(tmp_path / "photos" / kind / "0.png")
    shutil.copytree(honest, tmp_path / "runs" / "got")
    picture = tmp_path / "photos" / "ring" / "0.png"
    made, painted = tmp_path / "made", tmp_path / "painted.png"
    return Place(tmp_path / "runs" / "got", picture, painted, made, honest)


def paint_with(place: Place, model: str, weights: Path | None = None) -> None:
    """Write a painting whose record says what it was painted with, and the file to go on from."""
    name, used = str(place.picture), [place.picture, *([weights] if weights else [])]
    document = {
        "content": name,
        "styles": [{"file": name, "share": 1.0, "mask": None}],
        "weights": str(weights) if weights else None,
        "settings": dataclasses.asdict(Settings(model=model, size=32)),
        "sha256": {str(path): files.sha256(path.read_bytes()) for path in used},
        "stages": [[32, 1]],
        "finished": False,
    }
    place.painting.write_bytes(record.to_png(Image.new("RGB", (32, 32)), document))
    raw = safetensors.torch.save(
        {"raw": torch.zeros(3, 32, 32)}, {record.KEY: json.dumps(document)}
    )
    place.painting.with_name(place.painting.name + record.RESUME).write_bytes(raw)


def carry_network(run: Path, code: Reference) -> None:
    """Have a bundle and all checkpoints bring this code, sealed as they should be."""
    cards = [run / folder.BUNDLE / bundle.CARD]
    cards += (run / folder.CHECKPOINTS).glob(f"*/{checkpoints.STATE}")
    for card in cards:
        document, blobs = files.read_sealed(card.parent, card.name)
        document["architecture"] = {
            "name": f"user.py:{code.name}",
            "arguments": code.arguments,
            "source": code.source,
        }
        files.write_sealed(card.parent, card.name, document, blobs)


def carry_data(run: Path, code: Reference) -> None:
    path = run / folder.DATA
    document = json.loads(path.read_text())
    document["origin"] = Origin("file", code.name, code.source, code.arguments)._asdict()
    path.write_text(json.dumps(document))


CARRY = {"network": carry_network, "data": carry_data}
OWN = {"network": (NETS, "small"), "data": (SHAPES, "shapes")}


def hostile(part: str, how: str, made: Path) -> Reference:
    """Return code that would make a file: by its source, by its name, or by its arguments."""
    source, name = OWN[part]
    return {
        "source": Reference(TRAP.format(made=str(made)) + source, name, {}),
        "name": Reference(source, "mkdir", {"path": str(made)}),
        "alias": Reference(source, "made", {"path": str(made)}),
        "arguments": Reference(source, name, {"note": str(made)}),
    }[how]


class Line(NamedTuple):
    """A command line, and which of a run's code it needs."""

    words: str  # RUN, RUNS, PICTURE and PAINTING stand for those
    needs: tuple[str, ...] = ()

    def argv(self, place: Place) -> list[str]:
        stand = {
            "RUN": place.run,
            "BUNDLE": place.run / "bundle",
            "RUNS": place.run.parent,
            "PICTURE": place.picture,
            "PAINTING": place.painting,
            "OTHER": place.other,
            "PHOTOS": place.run.parents[1] / "photos",
        }
        return [str(stand.get(word, word)) for word in self.words.split()]


def map_of_few(place: Place, **how: Any) -> None:
    """Ask for a map of fewer pictures than one is of: the network is opened before that is seen."""
    with pytest.raises(UsageError, match="a map is of"):
        striate.atlas(place.run.parents[1] / "photos", model=place.run, **how)


BOTH, NETWORK = ("network", "data"), ("network",)
COMMANDS = {
    "train": [
        Line("train --resume RUN", BOTH),
        Line("train PHOTOS --resume RUN", NETWORK),
        # Of the run only numbers are read.
        Line(
            "train digits --weights RUN --model convnet --epochs 1 --out new",
        ),
    ],
    "evaluate": [Line("evaluate RUN", BOTH), Line("evaluate BUNDLE digits", NETWORK)],
    "predict": [Line("predict RUN PICTURE", NETWORK), Line("predict BUNDLE PICTURE", NETWORK)],
    "describe": [Line("describe RUN", NETWORK), Line("describe BUNDLE --json", NETWORK)],
    "paint": [
        Line("paint PICTURE PICTURE -o new.png --size 32 --model RUN", NETWORK),
        Line("paint --again PAINTING -o new.png", NETWORK),
        Line("paint --resume PAINTING", NETWORK),
    ],
    "detect": [Line("detect PICTURE --with RUN --class dark", NETWORK)],
    "embed": [
        Line("embed PHOTOS --model RUN -o new.parquet", NETWORK),
        Line("embed PHOTOS --model BUNDLE -o new.parquet", NETWORK),
    ],
    "atlas": [
        Line("atlas PHOTOS --model RUN -o new.html", NETWORK),
        Line("atlas PHOTOS --model BUNDLE -o new.html", NETWORK),
    ],
    "explain": [Line("explain RUN PICTURE", BOTH), Line("explain BUNDLE PICTURE", NETWORK)],
    "card": [Line("card RUN", NETWORK)],
    "export": [Line("export RUN", BOTH), Line("export BUNDLE", NETWORK)],
    "report": [Line("report RUN --no-map -o new.html", BOTH)],
    "serve": [Line("serve RUN --check", NETWORK), Line("serve BUNDLE --check", NETWORK)],
    "compare": [
        Line("compare RUN OTHER"),
        Line("compare RUN OTHER -o new.html", NETWORK),
    ],
    "runs": [Line("runs RUNS")],
    "code": [Line("code RUN"), Line("code RUN --json"), Line("code RUN --remember")],
}
# Commands that open no run: why, and what they do with one where they expect something else.
WITHOUT_RUN = {
    "data": ("DATA is what it looks at, and a run is none", Line("data RUN")),
    "profile": ("takes DATA", Line("profile RUN")),
    "shards": ("writes DATA", Line("shards RUN -o new")),
    "sweep": ("takes DATA", Line("sweep RUN --rate 0.1,0.2")),
    "pooling": ("shifts pictures of DATA", Line("pooling RUN")),
    "train-cascade": ("takes folders of faces", Line("train-cascade RUN RUN -o new.json")),
    "filters": ("hand-made filters over one picture", Line("filters RUN")),
    "models": ("lists names", Line("models")),
    "recipes": ("lists names", Line("recipes")),
    "experiment": ("tries claims in a folder of its own", Line("experiment")),
}
LINES = [line for lines in COMMANDS.values() for line in lines]
LINES += [line for _, line in WITHOUT_RUN.values()]
NEEDING = [(line, part) for line in LINES for part in line.needs]


def test_every_command_is_walked() -> None:
    commands = {name for name in cli.app if not name.startswith("-")}
    assert commands == COMMANDS.keys() | WITHOUT_RUN.keys()
    assert not COMMANDS.keys() & WITHOUT_RUN.keys()


def named(value: Any) -> str | None:
    return value.words.replace(" ", "-") if isinstance(value, Line) else None


@pytest.mark.parametrize("part", CARRY)
@pytest.mark.parametrize("line", LINES, ids=named)
def test_no_command_runs_code_that_nobody_agreed_to(
    place: Place, line: Line, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for how in ("source", "name", "alias", "arguments") if part in line.needs else ("source",):
        code = hostile(part, how, place.made)
        CARRY[part](place.run, code)
        paint_with(place, str(place.run))
        status = cli.main(line.argv(place))
        said = capsys.readouterr().err
        assert not place.made.exists(), how
        assert "Traceback" not in said
        if part in line.needs:
            assert status == 1, said
            (only,) = said.splitlines()
            assert f"carries Python code ({code.name}, " in only
            assert "read it with `striate code" in only
            assert "--trust-code" in only
        files.remove(Path("new"))


@pytest.mark.parametrize(("line", "part"), NEEDING, ids=named)
def test_the_trap_springs_where_the_code_is_trusted(
    place: Place, line: Line, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    CARRY[part](place.run, hostile(part, "source", place.made))
    paint_with(place, str(place.run))
    assert cli.main([*line.argv(place), "--trust-code"]) == 1
    assert "fails in line 3: RuntimeError: sprung" in capsys.readouterr().err
    assert place.made.exists()
    place.made.unlink()
    assert cli.main(line.argv(place)) == 1  # it was for that call
    assert not place.made.exists()


@pytest.mark.parametrize("how", ["name", "alias"])
@pytest.mark.parametrize(("line", "part"), NEEDING, ids=named)
def test_trusted_code_calls_what_its_file_defines_and_nothing_else(
    place: Place, line: Line, part: str, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    CARRY[part](place.run, hostile(part, how, place.made))
    paint_with(place, str(place.run))
    assert cli.main([*line.argv(place), "--trust-code"]) in (1, 2)
    assert "is not defined in its file, it is mkdir of the module" in capsys.readouterr().err
    assert not place.made.exists()


# Python


# What a run offers in Python, and the code that it needs; properties are read.
OFFERED: dict[str, tuple[Callable[[api.Run, Place], Any], tuple[str, ...]]] = {
    "bundle": (lambda run, _: run.bundle, NETWORK),
    "model": (lambda run, _: run.model, NETWORK),
    "classes": (lambda run, _: run.classes, NETWORK),
    "recipe": (lambda run, _: run.recipe, ()),
    "history": (lambda run, _: run.history, ()),
    "result": (lambda run, _: run.result, ()),
    "accuracy": (lambda run, _: run.accuracy, ()),
    "split": (lambda run, _: run.split, ()),
    "predict": (lambda run, place: run.predict(place.picture), NETWORK),
    "stream": (lambda run, place: list(run.stream(place.picture)), NETWORK),
    "explain": (lambda run, place: run.explain(place.picture), BOTH),
    "evaluate": (lambda run, _: run.evaluate(), BOTH),
    "calibrate": (lambda run, _: run.calibrate(), BOTH),
    "card": (lambda run, _: run.card(), NETWORK),
    "export": (lambda run, _: run.export(), BOTH),
    "describe": (lambda run, _: run.describe(), NETWORK),
    "leak": (lambda run, _: run.leak("test"), ()),
    "report": (lambda run, place: run.report(place.picture.with_name("r.html")), BOTH),
    "code": (lambda run, _: run.code(), ()),
    "close": (lambda run, _: run.close(), NETWORK),
}


def group_with(place: Place, *, finished: bool) -> Path:
    """Make a group of which the run from elsewhere is one, finished or not."""
    path = place.run.parent / f"group-{finished}"
    if not path.exists():
        document = described(find("digits"), seeds({}, "convnet", 2))
        files.make_folder(path)
        group.write(path, document)
        shutil.copytree(place.run, path / "seed-0")
        if not finished:
            (path / "seed-0" / folder.RESULT).unlink()
    return path


def go_on(place: Place, **how: Any) -> None:
    """Continue the group; the pictures of its run are others."""
    path = group_with(place, finished=False)
    try:
        striate.train_group("digits", seeds=2, model="convnet", out=path, **how)
    except DataError as error:
        if "pictures are gone" not in str(error):
            raise


ENTRIES: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "Run": (lambda place, **how: api.Run(place.run, **how).model, NETWORK),
    "load": (lambda place, **how: striate.load(place.run, **how).model, NETWORK),
    "train": (lambda place, **how: striate.train(resume=place.run, **how), BOTH),
    "describe": (lambda place, **how: striate.describe(place.run, **how), NETWORK),
    "detect": (
        lambda place, **how: striate.detect(place.picture, place.run, wanted="dark", **how),
        NETWORK,
    ),
    "paint": (
        lambda place, **how: list(
            striate.paint(place.picture, place.picture, model=str(place.run), size=32, **how)
        ),
        NETWORK,
    ),
    "embed": (
        lambda place, **how: striate.embed(place.run.parents[1] / "photos", model=place.run, **how),
        NETWORK,
    ),
    "serve": (lambda place, **how: striate.serve(place.run, check=True, **how), NETWORK),
    "compare": (
        lambda place, **how: striate.compare(
            place.run, place.other, out=place.picture.with_name("c.html"), **how
        ),
        NETWORK,
    ),
    "atlas": (lambda place, **how: map_of_few(place, **how), NETWORK),
    "Group": (
        lambda place, **how: striate.Group(group_with(place, finished=True), **how).evaluate(),
        BOTH,
    ),
    "train_group": (go_on, NETWORK),
    "summaries": (lambda place, **_: groups.summaries(place.run.parent), ()),
}
WITHOUT_RUN_IN_PYTHON = {
    "inspect": "looks at data",
    "load_exported": "opens an ONNX file, which is data",
    "sweep": "continues runs as train_group does",
    "expanded": "lists folders",
    "preview": "draws data",
    "plan": "resolves choices",
    "profile": "begins with data and a network, and leaves no run",
    "find_rate": "begins with data and a network, and leaves no run",
    "experiment": "tries claims in a folder of its own",
    "DataError": "an error",
    "UsageError": "an error",
    "Stopped": "a signal",
    "__version__": "a text",
}


def test_every_entry_of_python_is_walked() -> None:
    public = {name for name in vars(api.Run) if not name.startswith("_")}
    assert public == OFFERED.keys()
    known = {*striate.__all__, *api.__all__, *groups.__all__}
    assert known == ENTRIES.keys() | WITHOUT_RUN_IN_PYTHON.keys()


def attempts(place: Place) -> Iterator[tuple[Callable[..., Any], tuple[str, ...]]]:
    for entry, needs in ENTRIES.values():
        yield (lambda *, entry=entry, **how: entry(place, **how)), needs
    for offered, needs in OFFERED.values():
        yield (
            (lambda *, offered=offered, **how: offered(striate.load(place.run, **how), place)),
            needs,
        )


@pytest.mark.parametrize("how", ["source", "name", "arguments"])
@pytest.mark.parametrize("part", CARRY)
def test_no_entry_of_python_runs_code_that_nobody_agreed_to(
    place: Place, part: str, how: str
) -> None:
    CARRY[part](place.run, hostile(part, how, place.made))
    for attempt, needs in attempts(place):
        if part in needs:
            with pytest.raises(DataError, match="carries Python code"):
                attempt()
        else:
            attempt()
        assert not place.made.exists()
        if part in needs and how == "source":
            with pytest.raises(DataError, match="sprung"):
                attempt(trust_code=True)
            place.made.unlink()


# What a run can name instead of carrying it


@pytest.mark.parametrize("kind", ["named", "folder", "archive", "table", "shards", "odd"])
def test_a_run_cannot_name_a_file_of_python_as_its_data(
    place: Place, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (place.run / "evil.py").write_text(TRAP.format(made=str(place.made)) + SHAPES)
    path = place.run / folder.DATA
    document = json.loads(path.read_text())
    document["origin"] = Origin(kind, f"{place.run}/evil.py:shapes")._asdict()
    path.write_text(json.dumps(document))
    assert cli.main(["evaluate", str(place.run), "--trust-code"]) in (1, 2)
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not place.made.exists()


@pytest.mark.parametrize(
    "origin",
    [
        None, [], {}, {"kind": "file", "text": "shapes"}, {"kind": 1, "text": "digits"},
        {"kind": "file", "text": "shapes", "source": 3}, {"kind": "named", "text": ["digits"]},
        {"kind": "file", "text": "shapes", "source": SHAPES, "arguments": [1]},
        {"kind": "named", "text": "digits", "source": SHAPES}, {"kind": "named", "other": 1},
        {"kind": "table", "text": "/", "arguments": "path"},
    ],
)  # fmt: skip
def test_a_damaged_origin_is_one_line(
    place: Place, origin: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = place.run / folder.DATA
    path.write_text(json.dumps({**json.loads(path.read_text()), "origin": origin}))
    for command in ("evaluate", "code"):
        assert cli.main([command, str(place.run)]) == 1
        said = capsys.readouterr().err
        assert "data.json cannot be read" in said
        assert len(said.splitlines()) == 1


@pytest.mark.parametrize("again", ["--again", "--resume"])
@pytest.mark.parametrize(
    "name", [f"{place}evil.py:small" for place in ("", "x/", "convnet/", "timm/", "torchvision/")]
)
def test_a_painting_cannot_name_a_file_of_python(
    place: Place, name: str, again: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for parent in (Path(), Path("x"), Path("convnet"), Path("timm"), Path("torchvision")):
        parent.mkdir(exist_ok=True)
        (parent / "evil.py").write_text(TRAP.format(made=str(place.made)) + NETS)
    paint_with(place, name, weights=place.run / "bundle" / "model.safetensors")
    assert cli.main(["paint", again, str(place.painting), "-o", "new.png"]) in (1, 2)
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not place.made.exists()


def test_a_file_of_choices_does_not_agree_for_the_user(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("evil.py").write_text(TRAP.format(made=str(place.made)) + NETS)
    Path("choices.toml").write_text('model = "evil.py:small"\nepochs = 1\n')
    line = ["train", "digits", "--config", "choices.toml", "--out", "new"]
    for more in ([], ["--print-config"]):
        assert cli.main([*line, *more]) == 1
        (only,) = capsys.readouterr().err.splitlines()
        assert "choices.toml names Python code (small, " in only
        assert "say --model evil.py:small yourself" in only
        assert not place.made.exists()
    assert cli.main([*line, "--trust-code"]) == 1
    assert place.made.exists()
    place.made.unlink()
    assert cli.main([*line, "--model", "evil.py:small"]) == 1
    assert place.made.exists()


@pytest.mark.parametrize("word", ["trust_code", "trust-code", "remember"])
def test_no_file_of_choices_trusts(
    place: Place, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    carry_network(place.run, hostile("network", "source", place.made))
    Path("choices.toml").write_text(f"{word} = true\n")
    assert cli.main(["train", "--resume", str(place.run), "--config", "choices.toml"]) == 2
    assert "choices.toml" in capsys.readouterr().err
    assert not place.made.exists()


@pytest.mark.parametrize("line", [x for x in LINES if "--remember" not in x.words], ids=named)
def test_no_variable_trusts(
    place: Place,
    line: Line,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    carry_network(place.run, hostile("network", "source", place.made))
    paint_with(place, str(place.run))
    command = line.words.split()[0]
    for consent in CONSENTS:
        flag = consent[2:].upper().replace("-", "_")
        monkeypatch.setenv(f"STRIATE_{command.upper()}_{flag}", "1")
        monkeypatch.setenv(f"STRIATE_{flag}", "1")
    status = cli.main(line.argv(place))
    said = capsys.readouterr().err
    assert not place.made.exists()
    assert not trust.agreed().names
    if line.needs or command in ("code", "train"):
        assert status == 2
        assert f"STRIATE_{command.upper()}_" in said
        assert "is typed with a command, never taken from the environment" in said
    files.remove(Path("new"))


@pytest.mark.parametrize("name", ["MODEL", "DATA"])
def test_no_variable_names_code(
    place: Place, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A relative path would be of whatever folder a command is called in."""
    Path("evil.py").write_text(TRAP.format(made=str(place.made)) + NETS)
    monkeypatch.setenv(f"STRIATE_TRAIN_{name}", "evil.py:small")
    line = ["train", *(["digits"] if name == "MODEL" else []), "--epochs", "1", "--out", "new"]
    assert cli.main(line) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not place.made.exists()


@pytest.mark.parametrize("library", ["timm", "torchvision"])
@pytest.mark.parametrize("name", ["checkpoint_path", "pretrained_cfg", "weights", "cache_dir"])
def test_a_run_cannot_have_a_library_read_a_file(library: str, name: str, tmp_path: Path) -> None:
    plan = Architecture(f"{library}/resnet18", {name: str(tmp_path / "x.pth")})
    with pytest.raises(UsageError, match=f"{name} is no argument of {library}/resnet18 here"):
        models.build(plan, 3)


# Agreeing


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes this process as one that has just begun."""
    return lambda: monkeypatch.setattr(usercode, "_given", set())


@pytest.mark.usefixtures("place")
def test_code_of_a_training_is_remembered_and_loads_from_then_on(
    forgotten: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.py").write_text(NETS)
    Path("own.py").write_text(SHAPES)
    line = ["train", "own.py:shapes", "--model", "mine.py:small", "--epochs", "1", "--out", "new"]
    forgotten()
    assert cli.main(line) == 0
    kept = trust.place()
    said = capsys.readouterr().err
    assert f"this run's code is remembered as yours in {kept}" in said
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert sorted(json.loads(kept.read_text())["code"].values()) == ["shapes", "small"]
    Path("mine.py").unlink()
    Path("own.py").unlink()
    forgotten()
    assert cli.main(["evaluate", "new"]) == 0
    assert cli.main(["train", "--resume", "new"]) == 0
    before = kept.read_bytes()
    forgotten()
    Path("mine.py").write_text(NETS)
    assert cli.main(["train", "digits", *line[2:], "--overwrite"]) == 0
    assert kept.read_bytes() == before  # nothing new
    assert "remembered" not in capsys.readouterr().err
    kept.unlink()
    forgotten()
    assert cli.main(["evaluate", "new"]) == 1


@pytest.mark.usefixtures("place")
def test_what_python_hands_over_is_remembered(
    forgotten: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("handed.py").write_text(NETS)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    import handed  # type: ignore[import-not-found]

    forgotten()
    made = striate.train("digits", model=handed.small, arguments={"note": ""}, epochs=1, out="new")
    forgotten()
    assert made.bundle.classes == striate.load("new").classes
    (code,) = made.code()
    assert (code.role, code.name, code.agreed) == ("network", "small", True)


def test_code_is_printed_then_accepted_for_good(
    place: Place, forgotten: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    forgotten()
    run = str(place.run)
    assert cli.main(["predict", run, str(place.picture)]) == 1
    capsys.readouterr()
    assert cli.main(["code", run]) == 0
    out, said = capsys.readouterr()
    assert f"network: small, {len(NETS.splitlines())} lines\n" in out
    assert f"data: shapes, {len(SHAPES.splitlines())} lines\n" in out
    assert out.count("\nnot agreed to on this machine\n") == 2
    assert f"striate code {run} --remember" in said
    numbered = [line[7:] for line in out.splitlines() if line[:5].strip().isdigit()]
    assert "\n".join(numbered).rstrip() == (NETS + SHAPES).rstrip()
    assert not trust.agreed().names
    assert cli.main(["code", run, "--remember"]) == 0
    assert f"remembered as agreed to in {trust.place()}" in capsys.readouterr().err
    forgotten()
    assert cli.main(["predict", run, str(place.picture)]) == 0
    assert cli.main(["evaluate", run]) == 0
    capsys.readouterr()
    assert cli.main(["code", run, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["role"], row["name"], row["agreed"]) for row in rows] == [
        ("network", "small", True),
        ("data", "shapes", True),
    ]
    assert rows[0]["source"] == NETS


def test_a_run_without_code_says_so(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "digits", "--epochs", "1", "--out", "new"]) == 0
    assert not trust.place().exists()
    capsys.readouterr()
    assert cli.main(["code", "new"]) == 0
    assert capsys.readouterr() == ("new carries no Python code\n", "")
    assert cli.main(["code", str(place.picture)]) == 1


def test_code_of_every_state_is_listed(place: Place) -> None:
    """Which state is loaded depends on which is damaged: each may bring another network."""
    evil = hostile("network", "source", place.made)
    newest = max((place.run / "checkpoints").iterdir())
    document, blobs = files.read_sealed(newest, checkpoints.STATE)
    document["architecture"]["source"] = evil.source
    files.write_sealed(newest, checkpoints.STATE, document, blobs)
    found = striate.load(place.run).code()
    assert [code.role for code in found] == ["network", "network", "data"]
    assert evil.source in [code.source for code in found]


def test_printed_code_cannot_steer_the_terminal(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = "\x1b[2J\x1b]0;title\x07\r\b\x9b1m\u202e\u200b\x0b\x0c\u2028\x00"
    arguments = {f"a{odd}": [f"b{odd}"]}
    carry_network(place.run, Reference(f"x = '{odd}'\ty\nnetwork: x", f"small{odd}", arguments))
    carry_data(place.run, Reference(odd, odd, arguments))
    for more in ([], ["--json"]):
        assert cli.main(["code", str(place.run), *more]) == 0
        out, said = capsys.readouterr()
        assert all(c.isprintable() or c in "\n\t" for c in out + said)
    assert cli.main(["evaluate", str(place.run)]) == 1
    assert all(c.isprintable() or c == "\n" for c in capsys.readouterr().err)


# The file


KEYS = {f"{number:064x}": f"name{number}" for number in range(24)}


def _remember_each(numbers: range) -> None:
    for number in numbers:
        key = f"{number:064x}"
        trust.remember({key: KEYS[key]})


@pytest.mark.usefixtures("place")
def test_many_processes_remember_at_once() -> None:
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=_remember_each, args=(range(start, 24, 4),)) for start in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert trust.agreed() == (KEYS, "")
    assert {path.name for path in trust.place().parent.iterdir()} == {trust.NAME, trust.LOCK}


def _others(path: Path) -> None:
    path.chmod(0o666)


def _group(path: Path) -> None:
    path.chmod(0o660)


def _open_folder(path: Path) -> None:
    path.parent.chmod(0o770)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _newer(path: Path) -> None:
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))


def _list(path: Path) -> None:
    path.write_text(json.dumps(list(json.loads(path.read_text())["code"])))


@pytest.mark.parametrize(
    ("tamper", "why"),
    [
        (_others, "others may write to it"),
        (_group, "others may write to it"),
        (_open_folder, "others may write to it"),
        (_pipe, "it is no file"),
        (_folder, "it is no file"),
        (_torn, "it is damaged"),
        (_newer, "it is not of format 1"),
        (_list, "it is damaged"),
    ],
)
def test_a_file_that_others_could_have_written_is_not_believed(
    place: Place,
    tamper: Callable[[Path], None],
    why: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = hostile("network", "source", place.made)
    carry_network(place.run, code)
    trust.remember({code.sha256: code.name})
    line = ["predict", str(place.run), str(place.picture)]
    assert cli.main(line) == 1
    assert "sprung" in capsys.readouterr().err  # it was believed
    place.made.unlink()
    tamper(trust.place())
    assert cli.main(line) == 1
    (only,) = capsys.readouterr().err.splitlines()
    assert not place.made.exists()
    assert "carries Python code" in only
    assert f"is not believed, {why}" in only
    # Nothing is added to it either: that would be to believe the rest.
    with pytest.raises(DataError, match=f"is not believed, {why}"):
        trust.remember(KEYS)
    assert cli.main(["code", str(place.run), "--remember"]) == 1


@pytest.mark.usefixtures("place")
def test_a_file_of_another_user_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    trust.remember(KEYS)
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    found = trust.agreed()
    assert not found.names
    assert "it belongs to another user" in found.distrust


def test_where_nothing_can_be_remembered_a_training_goes_on(
    place: Place, forgotten: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.py").write_text(NETS)
    trust.place().parents[1].write_text("a file where a folder should be")
    line = ["train", "digits", "--model", "mine.py:small", "--epochs", "1", "--out", "new"]
    assert cli.main(line) == 0
    said = capsys.readouterr().err
    assert "this run's code is not remembered as yours" in said
    assert "later commands will ask for --trust-code" in said
    forgotten()
    assert cli.main(["predict", "new", str(place.picture)]) == 1
    assert cli.main(["predict", "new", str(place.picture), "--trust-code"]) == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [("/a/b", "/a/b/striate/code.json"), ("relative", None), ("", None)],
)
def test_the_file_lies_in_the_folder_of_configuration(
    given: str, expected: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", given)
    monkeypatch.setenv("HOME", str(tmp_path))
    usual = f"{tmp_path}/.config/striate/code.json"
    assert str(trust.place()) == (expected or usual)


def test_an_origin_is_opened_with_consent_alone(place: Place) -> None:
    code = hostile("data", "arguments", place.made)
    origin = Origin("file", code.name, code.source, code.arguments)
    with pytest.raises(DataError, match="RUN carries Python code"):
        reopen(origin)
    assert not place.made.exists()
    assert np.unique(reopen(origin, Consent(trust_code=True)).splits["train"].labels).size == 2
    assert place.made.exists()
