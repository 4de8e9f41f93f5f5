"""Neural style: one picture with the content of one and the style of another (figure 7-22)."""

import functools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from striate import figures, files, models
from striate.data.sources.named import data_root
from striate.errors import DataError
from striate.figures import Lines, Panel
from striate.painting import paint
from striate.painting.networks.loading import load
from striate.painting.networks.protocol import Network
from striate.painting.networks.tapped import Tapped
from striate.wording import counted

from .chart import curve
from .claim import (
    FAILS,
    HOLDS,
    IN_PART,
    UNDECIDED,
    Cell,
    Experiment,
    Form,
    Lab,
    Row,
    Rows,
    Settings,
    Verdict,
)
from .intervals import over, select

# Photograph and painting of each seed.
PAIRS = (
    ("china.jpg", "starry_night.jpg"),
    ("astronaut.jpg", "composition_vii.jpg"),
    ("flower.jpg", "the_scream.jpg"),
    ("china.jpg", "shipwreck.jpg"),
)
WEIGHTS = "weights/vgg16-hed-trunk.safetensors"
# Of the style loss of the photograph, and of the variance of its content's activations.
STYLE, CONTENT = 0.1, 1.0


def cells(settings: Settings) -> list[Cell]:
    """List the starts."""
    return [{"start": start} for start in settings["starts"]]


def measure(cell: Cell, settings: Settings, lab: Lab) -> Iterable[Row]:
    """Paint, and note both losses of each step."""
    names = PAIRS[cell["seed"] % len(PAIRS)]
    content, painting = _pictures(settings["pictures"], names)
    points, frame = [], None
    for number, frame in enumerate(
        paint(
            content,
            painting,
            network=_network(settings["network"]).place(lab.device, torch.float32),
            size=settings["size"],
            loss="gram",
            start=cell["start"],
        )
    ):
        lab.poll()
        points.append([number, round(frame.mean, 6), round(frame.content, 6)])
    assert frame is not None
    row = {"content": frame.content, "style": frame.mean, "photograph": names[0]}
    if lab.folder is not None and settings["pictures"] == "style":
        three = [_thumbnail(p) for p in (content, painting)]
        result = (frame.picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        sheet = figures.sheet([*three, result], ["content", "style", "result"], columns=3)
        files.write(lab.folder / f"pictures-{cell['start']}-{cell['seed']}.png", sheet)
    yield {**row, "painting": names[1], "curve": points}


def _thumbnail(picture: Image.Image) -> NDArray[np.uint8]:
    small = picture.convert("RGB")
    small.thumbnail((512, 512))
    return np.asarray(small)


def _pictures(where: str, names: tuple[str, str]) -> list[Image.Image]:
    if where == "drawn":  # of the smallest form
        y, x = np.mgrid[:32, :32]
        both = [np.stack([8 * x, 8 * y, 4 * (x + y)], 2), np.stack([(x // 4 % 2) * 255] * 3, 2)]
        return [Image.fromarray(one.astype(np.uint8)) for one in both]
    folder = data_root() / "style"
    for name in names:
        if not (folder / name).is_file():
            raise DataError(
                f"there is no {folder / name}: put photographs and paintings there, or set "
                "STRIATE_DATA to the folder that has style/"
            )
    return [Image.open(folder / name) for name in names]


@functools.cache
def _network(name: str) -> Network:
    if name == "random":  # of the smallest form
        torch.manual_seed(0)
        net = models.build("convnet", 10, size=32, width=4)
        return Tapped(net, mean=models.IMAGENET.mean, std=models.IMAGENET.std)
    known = data_root() / WEIGHTS
    return load(name, known if known.is_file() else None, (), "")


def verdict(rows: Rows) -> Verdict:
    """Ask whether the picture has both, the painting's style and the photograph's content.

    Its style loss is at most a tenth of the photograph's, and its content has changed by less than
    its own variance, in every pair. With the style alone the claim holds in part.
    """
    rows = [row for row in rows if row["start"] == "content"]
    styled = [row["style"] <= STYLE for row in rows]
    kept = [row["content"] < CONTENT for row in rows]
    style, content = (over(row[key] for row in rows) for key in ("style", "content"))
    text = (
        f"In {sum(styled)} of {counted(len(rows), 'pairs')} the style loss falls to a tenth of the "
        f"photograph's or less (mean {style.mean:.3f}, "
        f"largest {max(row['style'] for row in rows):.3f}); the content has then changed by "
        f"{content.mean:.2f} of its variance (largest {max(row['content'] for row in rows):.2f})."
    )
    outcome = HOLDS if all(styled) and all(kept) else IN_PART if any(styled) else FAILS
    if len(rows) < 2:
        text, outcome = text + " One pair decides nothing.", UNDECIDED
    return Verdict(outcome, text, {"style": style._asdict(), "content": content._asdict()})


def panels(rows: Rows) -> list[Panel]:
    """Draw both losses by step, a line a pair."""
    starts = sorted({row["start"] for row in rows})
    drawn: list[Panel] = []
    for start in starts:
        for column, name in ((1, "Style loss"), (2, "Content loss")):
            lines = {
                f"{Path(row['photograph']).stem} as {Path(row['painting']).stem}".replace(
                    "_", " "
                ): curve([row], column=column)
                for row in select(rows, start=start)
            }
            unit = "of the photograph's" if column == 1 else "of the content's variance"
            drawn.append(Lines(f"{name}, begun with {start}", "step", unit, lines))
    return drawn


_CLAIM = (
    "Minimising the weighted sum of a content loss and of Gram matrices' style losses over the "
    "pixels gives a picture with the content of one and the style of another (figure 7-22)."
)
EXPERIMENT = Experiment(
    claim=_CLAIM,
    measured=(
        "Both losses at each step, for pairs of a photograph and a painting: style as a share of "
        "the photograph's own (the mean of five layers of VGG-16), content as a share of the "
        "variance of its activations. From coarse to fine, so that lines jump where the picture "
        "is enlarged. The pictures lie beside this page."
    ),
    forms={
        "smoke": Form(
            0.05,
            1,
            {"pictures": "drawn", "network": "random", "size": 32, "starts": ["content"]},
            "two drawn pictures of 32 pixels, a network with random weights",
        ),
        "short": Form(
            1.9,
            2,
            {"pictures": "style", "network": "vgg16", "size": 96, "starts": ["content"]},
            "2 pairs at 96 pixels, VGG-16, begun with the photograph",
        ),
        "long": Form(
            15,
            4,
            {"pictures": "style", "network": "vgg16", "size": 192, "starts": ["content", "noise"]},
            "4 pairs at 192 pixels, VGG-16, begun with the photograph and with noise",
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    panels=panels,
)
