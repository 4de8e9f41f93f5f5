"""`striate train DATA --rate find`: rising rates are tried, and one is printed."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import console, files
from striate.errors import UsageError

from .app import answering, print_json

if TYPE_CHECKING:
    from striate.training.start import Means


def find(
    data: str | None, choices: dict[str, Any], means: "Means", *, out: Path | None, as_json: bool
) -> None:
    """Try rates, draw the loss to a .png file, and print the rate, or that it is unclear."""
    if data is None:
        raise UsageError("DATA is missing: a name, a folder or file.py:function")
    path = out or Path(re.sub(r"[^A-Za-z0-9._-]+", "-", Path(data).name).strip("-.") + "-rates.png")
    if path.suffix.lower() != ".png":
        raise UsageError(
            f"--rate find trains nothing, and draws to a .png file, not to {path}: leave out "
            "--resume, and give --out CURVE.png or nothing"
        )
    rest = {name: value for name, value in choices.items() if name != "rate"}
    with answering("trying rates") as halt:
        from striate import api

        found = api.find_rate(data, means=means, halt=halt, tell=console.say, **rest)
    files.write(path, found.drawing(f"{data}: the loss as the learning rate rises step by step"))
    console.say(f"wrote {path}")
    if as_json:
        tried = [step._asdict() for step in found.tried]
        document = {"rate": found.rate, "reason": found.reason, "picture": f"{path}"}
        print_json({**document, "tried": tried})
    else:
        console.tell(found.line())
