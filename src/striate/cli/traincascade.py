"""`striate train-cascade`: a face detector trained from folders of pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from striate import console
from striate.errors import UsageError

from .app import OUTPUT, RUN_OPTIONS, AsJson, app, examples, print_json

if TYPE_CHECKING:
    from striate.classic.faces import Cascade

STAGES = Group("Stages", sort_key=2)


@app.command(
    help_epilogue=examples("""
    striate train-cascade my-faces/ my-backgrounds/ -o mine.json
    striate train-cascade cbcl -o cascade.json
    striate train-cascade cbcl photos/church photos/street --stages 20 --figure features.png
    striate train-cascade --resume cascade.json
""")
)
def train_cascade(
    faces: Annotated[
        str | None,
        Parameter(
            help="Folder of faces, cut out; .npz file with train_faces and train_nonfaces; or "
            "cbcl, the file faces/cbcl.npz of STRIATE_DATA."
        ),
    ] = None,
    others: Annotated[
        list[Path] | None,
        Parameter(help="Folders of pictures without faces, of any size."),
    ] = None,
    /,
    *,
    out: Annotated[
        Path | None,
        Parameter(alias="-o", group=OUTPUT, help="JSON file. [default: cascade.json]"),
    ] = None,
    figure: Annotated[
        Path | None,
        Parameter(group=OUTPUT, help="PNG of the first two features on the mean face."),
    ] = None,
    resume: Annotated[
        Path | None,
        Parameter(group=RUN_OPTIONS, help="Go on with this cascade; only --stages may change."),
    ] = None,
    window: Annotated[
        int | None,
        Parameter(group=RUN_OPTIONS, help="Side of a window, in pixels. [default: 19]"),
    ] = None,
    stages: Annotated[
        int | None, Parameter(group=STAGES, help="Stages, at most. [default: 16]")
    ] = None,
    detection: Annotated[
        float | None,
        Parameter(
            group=STAGES,
            help="Share of held-out faces that a stage lets through, at least. [default: 0.995]",
        ),
    ] = None,
    false_alarms: Annotated[
        float | None,
        Parameter(
            group=STAGES,
            help="Share of held-out non-faces that a stage lets through, at most. [default: 0.4]",
        ),
    ] = None,
    stumps: Annotated[
        int | None,
        Parameter(group=STAGES, help="Features in a stage, at most. [default: 150]"),
    ] = None,
    features: Annotated[
        int | None,
        Parameter(
            group=STAGES, help="Features that a stage chooses from, at random. [default: 4000]"
        ),
    ] = None,
    non_faces: Annotated[
        int | None, Parameter(group=STAGES, help="Non-faces a stage. [default: 5000]")
    ] = None,
    held_out: Annotated[
        float | None,
        Parameter(group=STAGES, help="Share held out to set thresholds by. [default: 0.2]"),
    ] = None,
    mirror: Annotated[
        bool | None,
        Parameter(group=STAGES, help="Use each face's mirror image too. [default: yes]"),
    ] = None,
    seed: Annotated[
        int | None, Parameter(group=RUN_OPTIONS, help="Of all that is random. [default: 0]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a cascade of Haar-like features to find faces, as Viola and Jones did in 2001.

    Each stage is AdaBoost over single features, trained on the windows without a face that all
    stages before it took for one. A stage is saved as soon as it is done; Ctrl-C leaves the stages
    that are.
    """
    from striate import files
    from striate.classic import faces as detectors
    from striate.stopping import Halt

    from .growth import Growth

    given = {
        "stages": stages,
        "detection": detection,
        "false_alarms": false_alarms,
        "stumps": stumps,
        "features": features,
        "non_faces": non_faces,
        "held_out": held_out,
        "mirror": mirror,
        "seed": seed,
    }
    if figure and figure.suffix.lower() != ".png":
        raise UsageError(f"--figure is a .png file, not {figure}")
    if resume and (out or window):
        raise UsageError("--resume writes to the file that it goes on with: leave out -o, --window")
    target = resume or out or Path("cascade.json")
    halt = Halt(console.stopping())
    with halt.listening(), Growth() as show:
        cascade = detectors.train_cascade(
            faces,
            others or (),
            out=None if resume else target,
            resume=resume,
            side=window,
            show=show,
            poll=halt.poll,
            **{name: value for name, value in given.items() if value is not None},
        )
    if figure:
        files.write(figure, detectors.draw_features(cascade))
        console.say(f"wrote {figure}")
    if as_json:
        print_json({"cascade": str(target), "stages": _rows(cascade)})
        return
    _print(cascade, target)


def _rows(cascade: "Cascade") -> list[dict[str, Any]]:
    names = ("detection", "false_alarms", "others", "seen", "seconds")
    return [
        {"stage": number, "features": len(stage.features)}
        | {name: stage.record.get(name) for name in names}
        for number, stage in enumerate(cascade.stages, start=1)
    ]


def _print(cascade: "Cascade", path: Path) -> None:
    from striate.wording import counted, percent

    rows = _rows(cascade)
    console.table(
        ["stage", "features", "faces", "non-faces", "windows", "seconds"],
        [
            [
                f"{row['stage']}",
                f"{row['features']}",
                percent(row["detection"]),
                percent(row["false_alarms"]),
                f"{row['seen'] or 0:,}",
                f"{row['seconds'] or 0:.1f}",
            ]
            for row in rows
        ],
    )
    features = sum(row["features"] for row in rows)
    console.tell(f"{counted(len(rows), 'stages')}, {counted(features, 'features')}  {path}")
