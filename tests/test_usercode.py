import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from striate import models, usercode
from striate.errors import DataError, UsageError
from striate.usercode import Consent, Reference


def build(classes: int, *, width: int = 3) -> nn.Module:
    return nn.Linear(width, classes)


class Net(nn.Module):
    def __init__(self, classes: int, width: int = 2) -> None:
        super().__init__()
        self.head = nn.Linear(width, classes)


def passing(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


@passing
def wrapped(classes: int) -> nn.Module:
    return nn.Linear(1, classes)


cached = functools.lru_cache(build)


def write(tmp_path: Path, text: str | bytes, name: str = "mine.py") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refer(text: str, name: str = "build", **arguments: Any) -> Reference:
    return usercode.given(Reference(text, name, arguments))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mine.py:build", True),
        ("/a b/c:d.py:Build2", True),
        ("mine.py", False),
        ("mine.py:", False),
        ("mine.py:2nd", False),
        ("mine.txt:build", False),
        ("torchvision/resnet18", False),
    ],
)
def test_a_reference_is_a_file_of_python_and_a_name(text: str, expected: bool) -> None:
    assert usercode.is_reference(text) is expected


def test_a_function_is_read_from_a_file_with_its_arguments(tmp_path: Path) -> None:
    path = write(tmp_path, "def build(width):\n    return width + 1\n")
    found = usercode.read(f"{path}:build", {"width": 4})
    assert found == Reference(path.read_text(), "build", {"width": 4})
    assert usercode.call(found, {}) == 5


def test_a_file_is_read_in_the_encoding_that_it_names(tmp_path: Path) -> None:
    path = write(tmp_path, b"# coding: latin-1\ndef build():\n    return '\xe9'\n")
    assert usercode.call(usercode.read(f"{path}:build"), {}) == "é"


@pytest.mark.parametrize("content", [b"def build(): return '\xff'", b"# coding: martian\n"])
def test_a_file_that_is_no_text_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=r"cannot read .*mine.py: SyntaxError") as caught:
        usercode.read(f"{path}:build")
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file .*gone.py"):
        usercode.read(f"{tmp_path}/gone.py:build")
    with pytest.raises(UsageError, match="no file"):
        usercode.read(f"{tmp_path}:build")


@pytest.mark.parametrize(
    ("maker", "name", "arguments"),
    [
        (build, "build", {}),
        (Net, "Net", {}),
        (functools.partial(build, width=7), "build", {"width": 7}),
        (functools.partial(functools.partial(Net, width=7), width=8), "Net", {"width": 8}),
        (wrapped, "wrapped", {}),
        (cached, "build", {}),
    ],
)
def test_what_python_hands_over_is_found_in_its_file(
    maker: object, name: str, arguments: dict[str, Any]
) -> None:
    found = usercode.reference(maker)
    assert found == Reference(Path(__file__).read_text(), name, arguments)
    net = usercode.call(found, {"classes": 5, "size": (8, 8)})
    assert isinstance(net, nn.Module)
    assert next(net.parameters()).shape[0] == 5


def test_a_class_from_a_file_is_another_than_the_one_at_hand() -> None:
    made = usercode.call(usercode.reference(Net), {"classes": 2})
    assert type(made).__name__ == "Net"
    assert not isinstance(made, Net)


class Maker:
    def __call__(self) -> nn.Module:
        return nn.Identity()

    def method(self) -> nn.Module:
        return nn.Identity()


def no_source() -> Any:
    namespace: dict[str, Any] = {}
    exec("def build(): pass", namespace)
    return namespace["build"]


@pytest.mark.parametrize(
    "maker",
    [
        lambda: nn.Identity(),
        passing(lambda: nn.Identity()),
        Maker(),
        Maker().method,
        type("Inner", (), {}),
        no_source(),
        dict,
        len,
        nn.Sequential(nn.Linear(2, 2), nn.ReLU()),
        functools.partial(lambda x: x, x=1),
    ],
)
def test_what_has_no_name_in_a_file_cannot_be_saved(maker: object) -> None:
    with pytest.raises(UsageError, match="cannot be saved with the run: define it at") as caught:
        usercode.reference(maker)
    assert len(str(caught.value).splitlines()) == 1


def test_a_nested_function_cannot_be_saved() -> None:
    def nested() -> nn.Module:
        return nn.Identity()

    with pytest.raises(UsageError, match=r"nested cannot be saved"):
        usercode.reference(nested)


def test_a_partial_is_saved_by_the_names_of_its_arguments() -> None:
    with pytest.raises(UsageError, match="keyword arguments only"):
        usercode.reference(functools.partial(build, 3))


@pytest.mark.parametrize(
    "value",
    [torch.zeros(1), object(), {1, 2}, float("nan"), Path("x"), None, [1, {"a": None}]],
)
def test_an_argument_that_cannot_be_written_down_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="the argument width cannot be saved with the run"):
        usercode.reference(functools.partial(build, width=value))


def test_only_what_a_function_takes_is_offered() -> None:
    offered = {"classes": 5, "channels": 3, "size": (1, 1)}

    def every(**rest: Any) -> Any:
        return rest

    def none(classes: int, /) -> Any:
        return classes

    def some(size: int, *, classes: int) -> Any:
        return size, classes

    assert usercode.accepted(every, offered) == offered
    assert usercode.accepted(none, offered) == {}
    assert usercode.accepted(some, offered) == {"classes": 5, "size": (1, 1)}


def test_own_arguments_stand_above_those_offered() -> None:
    source = "def build(classes, size=1):\n    return classes, size\n"
    assert usercode.call(refer(source, size=9), {"classes": 5, "size": 7}) == (5, 9)


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        ("def build(): pass", {"width": 1}, "unexpected keyword argument 'width'"),
        ("def build(width): pass", {}, "missing a required argument: 'width'"),
        ("class build:\n def __init__(self, x): pass", {}, "missing a required argument: 'x'"),
    ],
)
def test_arguments_that_do_not_fit_are_a_usage_error(
    source: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=f"build cannot be called: .*{message}"):
        usercode.call(refer(source, **arguments), {"classes": 3})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1 + 'a'", "build fails in line 2: TypeError: unsupported operand"),
        ("return int('a\\nb')", "build fails in line 2: ValueError: invalid literal"),
        ("raise KeyError('two\\n lines')", "build fails in line 2: KeyError"),
        ("open('/no/such/file')", "build fails in line 2: FileNotFoundError: No such file"),
    ],
)
def test_a_function_that_fails_is_told_from_one_that_does_not_fit(body: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        usercode.call(refer(f"def build():\n    {body}\n"), {})
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\ny = x / 0", "'build' fails in line 2: ZeroDivisionError: division by zero"),
        ("import no_such_module_at_all", "line 1: ModuleNotFoundError: No module named"),
        ("from . import other", "line 1: ImportError"),
        ("\n\ndef build(:", "line 3: SyntaxError: invalid syntax"),
        ("import sys\nsys.exit('bye')", "line 2: SystemExit: bye"),
        ("def f():\n  f()\nf()", "line 2: RecursionError"),
        ("x = '\0'", "null bytes"),
    ],
)
def test_a_file_that_fails_is_one_line_with_the_place(source: str, message: str) -> None:
    known = set(sys.modules)
    with pytest.raises(DataError, match=message) as caught:
        usercode.load(refer(source))
    assert len(str(caught.value).splitlines()) == 1
    assert not [name for name in set(sys.modules) - known if name.startswith("striate_user")]


def test_a_missing_function_names_the_near_ones() -> None:
    source = "import os\nx = 3\ndef built(): pass\nclass Builder: pass\ndef _hidden(): pass"
    with pytest.raises(UsageError, match=r"did you mean .*built.* choose one of built, Builder$"):
        usercode.load(refer(source, "build"))
    with pytest.raises(UsageError, match="unknown function or class of the file 'x'"):
        usercode.load(refer(source, "x"))


def test_a_file_that_trains_when_it_is_imported_is_stopped(tmp_path: Path) -> None:
    script = (
        "import striate\n"
        "from torch import nn\n"
        "def build(classes):\n    return nn.Linear(1, classes)\n"
        f"striate.train('digits', model=build, out={str(tmp_path / 'run')!r})\n"
    )
    with pytest.raises(UsageError, match="put the call under `if __name__ == '__main__':`"):
        usercode.load(refer(script))
    assert not (tmp_path / "run").exists()
    usercode.refuse_while_loading()  # the mark is gone
    guarded = script.replace("striate.train", "if __name__ == '__main__': striate.train")
    assert callable(usercode.load(refer(guarded)))


def test_two_contents_of_one_file_are_two_modules(tmp_path: Path) -> None:
    path = write(tmp_path, "def build():\n    return 1\n")
    first = usercode.read(f"{path}:build")
    write(tmp_path, "def build():\n    return 2\n")
    second = usercode.read(f"{path}:build")
    assert [usercode.call(r, {}) for r in (first, second, first)] == [1, 2, 1]
    assert usercode.load(first) is usercode.load(first)


def test_dataclasses_and_pickles_find_their_module() -> None:
    source = (
        "from __future__ import annotations\n"
        "import dataclasses, pickle\n"
        "from typing import ClassVar\n"
        "@dataclasses.dataclass\nclass Sizes:\n    known: ClassVar[int] = 3\n    width: int = 4\n"
        "def build():\n    return pickle.loads(pickle.dumps(Sizes(5))).width\n"
    )
    assert usercode.call(refer(source), {}) == 5


def test_a_users_network_is_found_and_built(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "from torch import nn\n"
        "def build(channels, classes, size, *, width=2):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size[0] * size[1], width),\n"
        "                         nn.Linear(width, classes))\n"
        "def text(): return 'net'\n",
    )
    plan = models.find(f"{path}:build", {"width": 6})
    assert plan.name == "user.py:build"
    path.unlink()  # the text is all that is needed
    net = models.build(plan, 4, channels=1, size=(5, 6))
    assert net(torch.zeros(2, 1, 5, 6)).shape == (2, 4)
    assert sum(p.numel() for p in net.parameters()) == 30 * 6 + 6 + 6 * 4 + 4
    with pytest.raises(UsageError, match="has no published weights"):
        models.build(plan, 4, pretrained=True)
    text = plan._replace(name="user.py:text", arguments={})
    with pytest.raises(UsageError, match=r"text gives str, not a torch\.nn\.Module"):
        models.build(text, 4, consent=Consent(trust_code=True))


OWN = """
import contextlib, functools, os, subprocess
from os import mkdir
from subprocess import Popen
import torch
from torch import nn
from torch.nn import Linear
made = mkdir
listed = os.listdir
frozen = functools.partial(mkdir, mode=0o700)
twice = functools.partial(functools.partial(mkdir), mode=0o700)
shell = subprocess.run
call = Popen("true").wait if False else os.path.join
remembered = functools.lru_cache(mkdir)
ready = Linear(1, 1)
join = str.join
system = os
def plain(): return nn.Identity()
short = lambda: nn.Identity()
half = functools.partial(plain)
@functools.lru_cache
def cached(): return plain()
@torch.no_grad()
def quiet(): return plain()
@functools.wraps(subprocess.run)
def wrapping(): return plain()
class Net(nn.Identity):
    def __call__(self, *x): return plain()
    @classmethod
    def new(cls): return cls()
    @staticmethod
    def built(): return plain()
    class Inner(nn.Identity): pass
Net.__qualname__ = "subprocess.Popen"
new, built, inner, instance = Net.new, Net.built, Net.Inner, Net()
"""


@pytest.mark.parametrize(
    "name",
    [
        "mkdir", "made", "listed", "frozen", "twice", "shell", "call", "remembered", "ready",
        "join", "system", "Popen", "Linear", "nn", "functools",
    ],
)  # fmt: skip
def test_what_a_file_imports_is_not_called(name: str, tmp_path: Path) -> None:
    """Whoever trusts the file has read it, and has not read what it imports."""
    there = refer(OWN, name, path=str(tmp_path / "made"))
    with pytest.raises(UsageError, match=r"is not defined in its file|unknown function") as caught:
        usercode.call(there, {})
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "name",
    [
        "plain", "short", "half", "cached", "quiet", "wrapping", "Net", "new", "built", "inner",
        "instance",
    ],
)  # fmt: skip
def test_what_a_file_defines_is_called_however_it_is_dressed(name: str) -> None:
    assert isinstance(usercode.call(refer(OWN, name), {}), nn.Module)


@pytest.mark.parametrize(
    "other",
    [
        Reference("def build(x=1): pass\n", "build", {}),
        Reference("def build(x=1): pass", "other", {}),
        Reference("def build(x=1): pass", "build", {"x": 1}),
        Reference("def build(x=1): passbuild", "", {}),
    ],
)
def test_source_name_and_arguments_are_agreed_to_together(other: Reference) -> None:
    given = Reference("def build(x=1): pass", "build", {})
    assert other.sha256 != given.sha256
    usercode.given(given)
    assert usercode.is_agreed(given)
    assert not usercode.is_agreed(other)


def test_the_order_of_arguments_and_how_lists_are_written_change_no_checksum() -> None:
    one, other = {"a": (1, 2), "b": 0.5}, {"b": 0.5, "a": [1, 2]}
    assert Reference("s", "n", one).sha256 == Reference("s", "n", other).sha256


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "\x1b[2J", "é\u202e"])
def test_a_source_of_odd_characters_is_refused_in_one_visible_line(text: str) -> None:
    with pytest.raises(DataError, match="carries Python code") as caught:
        usercode.load(Reference(text, text, {}), Consent(Path(text)))
    assert str(caught.value).isprintable()
    with pytest.raises((DataError, UsageError)):
        usercode.load(Reference(text, text, {}), Consent(trust_code=True))
