"""Write docs/claims.md from the rows of experiments: `python docs/claims.py [FOLDER ...]`.

FOLDERs are those that `striate experiment` left; their rows and small figures are kept in
docs/claims. Without any, the page is written anew from what is kept there.
"""

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from striate import figures
from striate.experiments import EXPERIMENTS, order, record
from striate.experiments.claim import Row
from striate.experiments.conductor import judged, whole_seeds
from striate.wording import counted, duration

PAGE = Path(__file__).with_name("claims.md")
KEPT = Path(__file__).with_name("claims")
WIDE = 1000  # pixels of a figure
TOP = """# The chapter's claims, tried

Each claim of the chapter is an experiment that anyone can run (`striate experiment` lists them).
Its rule was written before it was run, is code, and is tested for each of its outcomes. Intervals
are of 95 %, by Student's t over seeds; differences are paired by seed. A claim *holds in part*
where one half of its rule is met, or the effect is there but smaller than claimed. The *long* form
decides; where only the *short* one was run, the verdict is a first look at little data. Times are
of a machine that others used as well: upper bounds.

`python docs/claims.py FOLDER ...` writes this page from the folders that experiments leave; their
rows are in `docs/claims/`.

| experiment | verdict | form | seeds | time |
|---|---|---|---|---|
"""
END = """
## What the chapter got wrong

Formulas and listings: [layers](layers.md#where-the-chapter-slips). What its MNIST listing reaches,
and what it would print, is `listing-vs-mended` above.
"""


def main() -> None:
    """Keep the rows of the folders that are named, and write the page."""
    for folder in map(Path, sys.argv[1:]):
        _keep(folder)
    tops, parts = [], []
    for name in EXPERIMENTS:
        folder = KEPT / name
        if not (folder / record.DOCUMENT).exists():
            tops.append(f"| {name} | not run yet | | | |")
            continue
        top, part = _written(name, folder)
        tops.append(top)
        parts.append(part)
    PAGE.write_text(TOP + "\n".join(tops) + "\n\n" + "\n".join(parts) + END, encoding="utf-8")
    print(f"wrote {PAGE}")


def _keep(folder: Path) -> None:
    document = json.loads((folder / record.DOCUMENT).read_text())
    place = KEPT / document["experiment"]
    place.mkdir(parents=True, exist_ok=True)
    for file in (record.DOCUMENT, record.ROWS):
        shutil.copyfile(folder / file, place / file)


def _written(name: str, folder: Path) -> tuple[str, str]:
    document: dict[str, Any] = json.loads((folder / record.DOCUMENT).read_text())
    rows = record.read_rows(folder / record.ROWS)
    found = order(name, form=document["form"], seeds=1 + max(row["seed"] for row in rows))
    seeds, verdict = whole_seeds(found, rows), judged(found, rows)
    used = [row for row in rows if row["seed"] in seeds]
    experiment, size = EXPERIMENTS[name], found.size
    if used:
        _draw(folder / "figure.png", f"{name}: {verdict.outcome}", experiment.panels(used))
    seconds = duration(sum(row["seconds"] for row in used))
    flag = " --short" if document["form"] == "short" else ""
    top = (
        f"| [{name}](#{name}) | {verdict.outcome} | {document['form']} | {len(seeds)} | {seconds} |"
    )
    part = [
        f"## {name}",
        "",
        f"**{verdict.outcome.capitalize()}.** {verdict.line}",
        "",
        f"*Claim.* {experiment.claim}",
        "",
        f"*Measured.* {experiment.measured} {size.about[0].upper()}{size.about[1:]}.",
        "",
        *([f"![{name} as a chart](claims/{name}/figure.png)", ""] if used else []),
        f"`striate experiment {name}{flag}`, {counted(len(seeds), 'seeds')}, {seconds} "
        f"on {_device(used)}, {document['machine']}.",
        "",
    ]
    return top, "\n".join(part)


def _device(rows: list[Row]) -> str:
    return " and ".join(sorted({row["device"] for row in rows}))


def _draw(path: Path, title: str, panels: list[figures.Panel]) -> None:
    """Draw a figure of curves and bars, in few colours: some 20 KB."""
    drawn = Image.open(io.BytesIO(figures.charts(title, panels))).convert("RGB")
    small = drawn.resize((WIDE, round(drawn.height * WIDE / drawn.width)), Image.Resampling.LANCZOS)
    small.quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    main()
