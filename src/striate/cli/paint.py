"""`striate paint`: photographs painted like paintings."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from striate import console
from striate.choices import flag
from striate.errors import UsageError
from striate.flags import flags_of, given
from striate.painting.settings import Settings
from striate.quantities import seconds, size_in_bytes

from .app import OUTPUT, RUN_OPTIONS, AsJson, TrustCode, app, examples, print_json, switch

LOOK = Group("Look", sort_key=2)
if TYPE_CHECKING:
    from striate.painting import Painted, StyleFile

    Flags = Any
else:
    # The first field of each group of flags.
    Flags = flags_of(Settings, {"size": LOOK, "model": RUN_OPTIONS})


@app.command(
    help_epilogue=examples("""
    striate paint house.jpg starry_night.jpg -o painted.png
    striate paint house.jpg starry_night.jpg -o big.png --size 1024 --time 5m --memory 4G
    striate paint house.jpg monet.jpg=0.7 munch.jpg=0.3 -o both.png --colour keep
    striate paint house.jpg monet.jpg -o sky.png --mask sky.png=starry_night.jpg
    striate paint holiday/ starry_night.jpg -o painted/ --time 2m
    striate paint --again painted.png -o the-same.png
""")
)
def paint(
    content: Annotated[Path | None, Parameter(help="Photograph, or a folder of them.")] = None,
    styles: Annotated[
        list[str] | None, Parameter(help="Paintings; PATH=0.3 gives one its share.")
    ] = None,
    /,
    *,
    out: Annotated[
        Path | None, Parameter(alias="-o", group=OUTPUT, help="PNG file; a folder for a folder.")
    ] = None,
    limit: Annotated[
        str | None,
        Parameter("--time", group=RUN_OPTIONS, help="Until the file is written: 60s, 5m, 1h."),
    ] = None,
    memory: Annotated[
        str | None, Parameter(group=RUN_OPTIONS, help="Most memory for the work: 900M, 4G.")
    ] = None,
    flags: Annotated[Flags | None, Parameter(name="*")] = None,
    weights: Annotated[
        Path | None,
        Parameter(
            group=RUN_OPTIONS,
            help="The network's weights, .safetensors or .pth, read weights-only. "
            "[default: the published]",
        ),
    ] = None,
    mask: Annotated[
        list[str] | None,
        Parameter(
            group=LOOK,
            negative="",
            help="REGION.png=STYLE: the style for what is white in REGION; the others have the "
            "rest.",
        ),
    ] = None,
    device: Annotated[str, Parameter(group=RUN_OPTIONS, help="auto, cpu or cuda.")] = "auto",
    again: Annotated[
        Path | None,
        Parameter(group=RUN_OPTIONS, help="Paint what this painting was made from once more."),
    ] = None,
    resume: Annotated[
        Path | None, Parameter(group=RUN_OPTIONS, help="Continue this painting.")
    ] = None,
    trust_code: TrustCode = False,
    preview: Annotated[
        bool, switch("Write the picture every two seconds, for a viewer to follow.", group=OUTPUT)
    ] = False,
    embed: Annotated[bool, switch("Put the pictures' bytes into the PNG.", group=OUTPUT)] = False,
    as_json: AsJson = False,
) -> None:
    """Paint a photograph in the style of paintings (neural style), within a time and a memory.

    The PNG carries what it was made from: names and SHA-256 of the files, the settings, the seed.
    """
    since = time.monotonic()
    from striate import painting
    from striate.stopping import Halt

    from . import easel

    halt = Halt(console.stopping())
    means = painting.Means(
        seconds(limit) if limit else None,
        size_in_bytes(memory) if memory else None,
        device,
        trust_code,
        preview,
        embed,
        since,
        halt.poll,
    )
    named = [*_styles(styles or [], mask or [])]
    choices = {"weights": weights, **given(flags)} if weights else given(flags)
    if again or resume:
        _check_alone(again, resume, [content, *named], choices)
    if again and out:
        events = painting.paint_again(again, out, means=means)
    elif resume:
        events = painting.resume(resume, out, means=means)
    elif content and named and out:
        paint_all = painting.paint_folder if content.is_dir() else painting.paint_file
        events = paint_all(content, named, out, means=means, **choices)
    else:
        raise UsageError(
            "--again needs -o OUT.png" if again else "give a photograph, a painting and -o OUT.png"
        )
    with halt.listening():
        made = easel.follow(events)
    if as_json:
        print_json([_row(one) for one in made])
        return
    console.table(
        ["painting", "style", "content", "seconds"],
        [
            [
                str(one.out),
                f"{one.frame.mean:.4f}",
                f"{one.frame.content:.3f}",
                f"{one.seconds:.1f}",
            ]
            for one in made
        ],
    )


def _row(painted: "Painted") -> dict[str, Any]:
    """Write a painting as --json has it."""
    frame = painted.frame
    return {
        "out": str(painted.out),
        "style": frame.mean,
        "content": frame.content,
        "layers": frame.style,
        "stages": [list(stage) for stage in frame.stages],
        "seconds": painted.seconds,
    }


def _check_alone(
    again: Path | None, resume: Path | None, pictures: list[Any], choices: dict[str, Any]
) -> None:
    """Raise UsageError for what --again and --resume take from a painting's record."""
    if any(pictures) or (again and resume):
        raise UsageError("--again and --resume each stand alone: they know photograph and painting")
    if choices:
        raise UsageError(
            f"a painting's record has its settings: leave out {flag(next(iter(choices)))}"
        )


def _styles(given: Sequence[str], masks: Sequence[str]) -> Iterator["StyleFile"]:
    """Read PATH, PATH=SHARE and REGION=PATH."""
    from striate.painting import StyleFile

    for text in given:
        yield StyleFile(*_shared(text))
    for text in masks:
        region, equals, style = text.partition("=")
        if not (region and equals and style):
            raise UsageError(f"--mask is REGION.png=STYLE, not {text}")
        yield StyleFile(*_shared(style), Path(region))


def _shared(text: str) -> tuple[Path, float]:
    path, equals, share = text.rpartition("=")
    if not equals or Path(text).exists():
        return Path(text), 1.0
    try:
        value = float(share)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError(f"the share of a style is more than 0, not {share}: {text}")
    return Path(path), value
