"""The application, and what several commands share: flags, examples, JSON."""

import contextlib
import json
import sys
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, ArgumentCollection, Group, Parameter
from cyclopts.config import Env

from striate import console
from striate.errors import SYNONYMS, UsageError
from striate.usercode import is_reference
from striate.version import __version__

if TYPE_CHECKING:
    from striate.stopping import Halt

RUN_OPTIONS = Group("Run", sort_key=1)
OUTPUT = Group("Output", sort_key=3)

# Flags that may stand alone: the value of --tensorboard=FOLDER is joined to it.
BARE = ("--tensorboard", "--mlflow")
# What is agreed to with each call, in the words of the command itself.
CONSENTS = ("--trust-code", "--remember")


def _environment(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Take flags from the environment: STRIATE_TRAIN_EPOCHS=5 is --epochs 5; a flag wins."""
    Env("STRIATE_", command=True, show=False)(app, commands, arguments)
    for argument in arguments:
        for token in argument.tokens:
            if token.source == "env" and (argument.name in CONSENTS or is_reference(token.value)):
                raise UsageError(
                    f"{token.keyword} is set: what allows code to be executed is typed with a "
                    "command, never taken from the environment"
                )


app = App(
    name="striate",
    help="Train convolutional networks on pictures, see what they learnt, put them to use.",
    version=__version__,
    version_flags=["--version"],
    help_format="markdown",
    config=_environment,
    suppress_keyboard_interrupt=False,  # main() gives the signal's own exit code
)


def usual(words: Sequence[str]) -> list[str]:
    """Write the flags that other programs have as ours, where the command has none of that name.

    >>> usual(["train", "digits", "--lr=0.1", "--bs", "8", "--", "--lr"])
    ['train', 'digits', '--rate=0.1', '--batch-size', '8', '--', '--lr']
    """
    if not words or words[0].startswith("-") or words[0] not in app:
        return list(words)
    arguments = app[words[0]].assemble_argument_collection()
    flags = {name for argument in arguments for name in argument.names}
    end = words.index("--") if "--" in words else len(words)
    return [*(_usual(word, flags) for word in words[:end]), *words[end:]]


def _usual(word: str, flags: Collection[str]) -> str:
    flag, equals, value = word.partition("=")
    if word in BARE and word in flags:
        return f"{word}="
    known = SYNONYMS.get(flag.removeprefix("--").replace("-", "_"), "")
    ours = "--" + known.replace("_", "-")
    is_theirs = flag.startswith("--") and flag not in flags and ours in flags
    return f"{ours}{equals}{value}" if is_theirs else word


def switch(text: str, *, name: str | None = None, group: Group = RUN_OPTIONS) -> Parameter:
    """Return a flag that is either there or not."""
    return Parameter(name, group=group, negative="", show_default=False, help=text)


def examples(lines: str) -> str:
    """Return the example lines of a command's --help, one below the other."""
    return "Examples:\n" + lines.rstrip()


_PICTURES = "digits, mnist, fashion-mnist, kmnist, emnist, cifar10, cifar100, svhn, stl10"
_FILES = ".zip, .tar or table (.csv, .jsonl, .parquet); or file.py:function."
DATA_HELP = (
    f"{_PICTURES}, spoken-digits, moving-digits; a folder (of pictures, sounds or clips), {_FILES}"
)
PICTURES_HELP = f"{_PICTURES}; a folder of pictures, {_FILES}"
PathColumn = Annotated[
    str | None,
    Parameter(group=RUN_OPTIONS, help="Column of a table with the pictures' paths."),
]
LabelColumn = Annotated[
    str | None,
    Parameter(group=RUN_OPTIONS, help="Column of a table with the labels."),
]
FeatureModel = Annotated[
    str,
    Parameter(group=RUN_OPTIONS, help="A run's folder or bundle, torchvision/NAME, timm/NAME."),
]
FeatureWeights = Annotated[
    str | None,
    Parameter(
        group=RUN_OPTIONS,
        help="A .safetensors or .pth file for a library's network. [default: as published]",
    ),
]
Device = Annotated[str, Parameter(group=RUN_OPTIONS, help="auto, cpu, cuda or mps.")]
Workers = Annotated[
    int | None,
    Parameter(group=RUN_OPTIONS, help="Processes that decode. [default: one a processor]"),
]
MaxMegapixels = Annotated[
    float | None,
    Parameter(
        group=RUN_OPTIONS,
        help="Largest picture that is decoded, in millions of pixels. "
        "[default: as in training, 50 unless chosen]",
    ),
]
Strict = Annotated[
    bool,
    switch("Stop at the first unreadable picture."),
]
TrustCode = Annotated[
    bool,
    switch("Run the Python code that the run carries, this once: read it with `striate code`."),
]
Tta = Annotated[
    str,
    Parameter(
        group=RUN_OPTIONS,
        help="Average logits over views: flip (as it is and mirrored), crops (both, also shifted; "
        "six), none.",
    ),
]
MinConfidence = Annotated[
    float | None,
    Parameter(group=RUN_OPTIONS, help="An answer less likely than this is unsure."),
]
AsJson = Annotated[
    bool,
    switch("Print one JSON document.", name="--json", group=OUTPUT),
]


@contextlib.contextmanager
def answering(what: str) -> Iterator["Halt"]:
    """Show what is done, and how far its reading has come; answer signals to stop at once."""
    with console.working(what) as watch:
        from striate.stopping import Halt

        halt = Halt(console.stopping(), watch)
        with halt.listening():
            yield halt


def print_json(document: Any) -> None:
    """Print the one document of --json."""
    letters = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "")
    print(json.dumps(document, indent=2, ensure_ascii=letters != "utf8"))
