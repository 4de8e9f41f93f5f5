"""`striate paint`."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from striate import console
from striate.errors import DataError, UsageError
from striate.wording import counted

from .app import OUTPUT, RUN_OPTIONS, AsJson, TrustCode, app, examples, print_json, switch

if TYPE_CHECKING:
    from striate.painting.backbone import Network
    from striate.painting.memory import Need
    from striate.painting.record import StyleFile, Work
    from striate.painting.studio import Task

LOOK = Group("Look", sort_key=2)


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
    size: Annotated[int, Parameter(group=LOOK, help="Long side in pixels.")] = 512,
    strength: Annotated[
        float, Parameter(group=LOOK, help="0 is the photograph, 1 the painting's texture alone.")
    ] = 0.6,
    colour: Annotated[
        str,
        Parameter(
            group=LOOK,
            help="style: the painting's; keep: the photograph's; linear: the painting's strokes in "
            "the photograph's range of colours.",
        ),
    ] = "style",
    style_scale: Annotated[
        float, Parameter(group=LOOK, help="Size of the strokes: 2 makes them twice as large.")
    ] = 1.0,
    mask: Annotated[
        list[str] | None,
        Parameter(
            group=LOOK,
            negative="",
            help="REGION.png=STYLE: the style for what is white in REGION; the others have the "
            "rest.",
        ),
    ] = None,
    smoothness: Annotated[
        float, Parameter(group=LOOK, help="Weight of total variation against grain.")
    ] = 0.0,
    loss: Annotated[str, Parameter(group=LOOK, help="gram, w2, moments or sliced.")] = "w2",
    start: Annotated[str, Parameter(group=LOOK, help="content or noise.")] = "content",
    limit: Annotated[
        str | None,
        Parameter("--time", group=RUN_OPTIONS, help="Until the file is written: 60s, 5m, 1h."),
    ] = None,
    memory: Annotated[
        str | None, Parameter(group=RUN_OPTIONS, help="Most memory for the work: 900M, 4G.")
    ] = None,
    model: Annotated[
        str,
        Parameter(
            group=RUN_OPTIONS,
            help="vgg19, vgg16, torchvision/NAME, timm/NAME, a run's folder, or our own by name.",
        ),
    ] = "vgg19",
    weights: Annotated[
        Path | None,
        Parameter(
            group=RUN_OPTIONS,
            help="Its weights, .safetensors or .pth, read weights-only. [default: the published]",
        ),
    ] = None,
    style_layers: Annotated[
        str,
        Parameter(
            group=RUN_OPTIONS,
            help="Activations for style, as in relu1_1,relu2_1. [default: the network's usual]",
            show_default=False,
        ),
    ] = "",
    content_layer: Annotated[
        str,
        Parameter(
            group=RUN_OPTIONS,
            help="Activation for content. [default: the network's usual]",
            show_default=False,
        ),
    ] = "",
    device: Annotated[str, Parameter(group=RUN_OPTIONS, help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[
        str,
        Parameter(
            group=RUN_OPTIONS,
            help="Of the convolutions: auto (bfloat16 where the processor has it), float32 or "
            "bfloat16.",
        ),
    ] = "auto",
    optimiser: Annotated[str, Parameter(group=RUN_OPTIONS, help="lbfgs or adam.")] = "lbfgs",
    seed: Annotated[int, Parameter(group=RUN_OPTIONS, help="Seed of the noise.")] = 0,
    again: Annotated[
        Path | None,
        Parameter(group=RUN_OPTIONS, help="Paint what this painting was made from once more."),
    ] = None,
    resume: Annotated[
        Path | None, Parameter(group=RUN_OPTIONS, help="Go on with this painting.")
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
    from striate.painting.record import Work
    from striate.painting.settings import Budget, Settings, seconds, size_in_bytes
    from striate.painting.studio import Task

    budget = Budget(seconds(limit) if limit else None, size_in_bytes(memory) if memory else None)
    common: dict[str, Any] = {"budget": budget, "preview": preview, "embed": embed, "since": since}
    if again or resume:
        tasks = iter([_earlier(again, resume, out, content, common)])
    else:
        if content is None or not (styles or mask) or out is None:
            raise UsageError("give a photograph, a painting and -o OUT.png")
        settings = Settings(
            size=size,
            strength=strength,
            loss=loss,
            colour=colour,
            style_scale=style_scale,
            smoothness=smoothness,
            start=start,
            optimiser=optimiser,
            precision=precision,
            model=model,
            style_layers=style_layers,
            content_layer=content_layer,
            seed=seed,
        )
        work = Work(content, tuple(_styles(styles or [], mask or [])), settings, weights)
        tasks = _queue(work, out, common) if content.is_dir() else iter([Task(work, out, **common)])
    made = _paint(tasks, device, trust_code=trust_code)
    if as_json:
        print_json(made)
        return
    console.table(
        ["painting", "style", "content", "seconds"],
        [
            [row["out"], f"{row['style']:.4f}", f"{row['content']:.3f}", f"{row['seconds']:.1f}"]
            for row in made
        ],
    )


def _paint(tasks: Iterator["Task"], device: str, *, trust_code: bool) -> list[dict[str, Any]]:
    """Carry out tasks one by one, with a network that is loaded once."""
    from striate.painting import studio
    from striate.stopping import Halt

    from .easel import Easel

    network: Network | None = None
    made = []
    halt = Halt(console.stopping())
    with halt.listening():
        for task in tasks:
            _check_out(task.out)
            task.work.check()
            network = network or studio.network(task.work, device, trust_code=trust_code)
            need = studio.need(task.work, network, task.budget)
            console.say(f"{task.out}: {_told(need)}")
            with Easel(task.out.name, task.budget.seconds) as show:
                frame = None
                frames = studio.run(task, network, poll=halt.poll)
                for frame in frames:
                    show(frame)
            assert frame is not None
            made.append(
                {
                    "out": str(task.out),
                    "style": sum(frame.style.values()) / len(frame.style),
                    "content": frame.content,
                    "layers": frame.style,
                    "stages": [list(stage) for stage in frame.stages],
                    "seconds": time.monotonic() - task.since,
                }
            )
    return made


def _told(need: "Need") -> str:
    tiles = f", in tiles of {need.tile} pixels" if need.tile else ""
    return f"will take about {need.bytes / 2**20:.0f} MB of memory{tiles}"


def _styles(given: Sequence[str], masks: Sequence[str]) -> Iterator["StyleFile"]:
    """Read PATH, PATH=SHARE and REGION=PATH."""
    from striate.painting.record import StyleFile

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


def _earlier(
    again: Path | None,
    resume: Path | None,
    out: Path | None,
    content: Path | None,
    common: dict[str, Any],
) -> "Task":
    """Give the task of --again or --resume, which know all but where to write."""
    from striate.painting import record
    from striate.painting.studio import Task

    if content or (again and resume):
        raise UsageError("--again and --resume each stand alone: they know photograph and painting")
    if again:
        if out is None:
            raise UsageError("--again needs -o OUT.png")
        document = record.read_png(again)
        work = record.work_of(document, again.parent)
        return Task(work, out, replay=record.stages_of(document), **common)
    assert resume
    document, begun = record.read_resume(resume)
    work = record.work_of(document, resume.parent)
    return Task(work, out or resume, begun=begun, **common)


def _queue(work: "Work", out: Path, common: dict[str, Any]) -> Iterator["Task"]:
    """Give a task for each picture of a folder that is not done; a broken one is gone on with.

    What is no picture for all its name is left out: it would stop the queue each time.
    """
    from striate.images import PictureError, decode
    from striate.painting import record
    from striate.painting.studio import Task

    pictures = _pictures(work.content, out)
    unreadable = 0
    for path in pictures:
        one = dataclasses.replace(work, content=path)
        target = out / f"{path.name}.png"
        task = Task(one, target, **{**common, "since": time.monotonic()})
        if record.is_done(one, target):
            console.say(f"{target} is there already")
            continue
        try:
            decode(path)
        except PictureError as error:
            console.say(f"left out: {error}")
            unreadable += 1
            continue
        yield dataclasses.replace(task, begun=record.begun(one, target))
    if unreadable == len(pictures):
        raise DataError(f"none of the pictures in {work.content} could be read")
    if unreadable:
        console.say(f"left out: {unreadable:,} of {counted(len(pictures), 'pictures')}")


def _pictures(folder: Path, out: Path) -> list[Path]:
    """List a folder's pictures, whose paintings go to another folder."""
    from striate.images import is_picture

    if out.is_file() or (out.suffix.lower() == ".png" and not out.is_dir()):
        raise UsageError(f"{folder} is a folder: -o names a folder as well, not {out}")
    if out.resolve() == folder.resolve():
        raise UsageError(f"-o is the folder of the photographs, {out}: name another")
    pictures = sorted(path for path in folder.iterdir() if is_picture(path))
    if not pictures:
        raise DataError(f"{folder} holds no pictures")
    return pictures


def _check_out(out: Path) -> None:
    if out.suffix.lower() != ".png":
        raise UsageError(f"-o is a .png file, not {out}")
