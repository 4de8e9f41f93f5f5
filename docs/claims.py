"""Write docs/claims.md, and a section of docs/results.md: `python docs/claims.py [FOLDER ...]`.

FOLDERs are those that `striate experiment` left; their rows and small figures are kept in
docs/claims. Without any, both are written anew from what is kept there.
"""

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from striate import figures
from striate.experiments import EXPERIMENTS, headlines, order, record
from striate.experiments.claim import Row, Verdict
from striate.experiments.conductor import Order, judged, whole_seeds
from striate.experiments.page import figures as figures_beside
from striate.wording import counted, duration

PAGE = Path(__file__).with_name("claims.md")
RESULTS = Path(__file__).with_name("results.md")
MARKS = "<!-- claims: begin -->\n", "<!-- claims: end -->\n"  # about the section of results
KEPT = Path(__file__).with_name("claims")
WIDE = 1000  # pixels of a figure
TOP = """# The chapter's claims, tried

Each claim of the chapter is an experiment that anyone can run (`striate experiment` lists them).
Its rule is code, and is tested for each of its outcomes. Intervals are of 95 %, by Student's t over
seeds; differences are paired by seed.

- **holds**: every part of the rule is shown, by intervals that leave out the contrary.
- **holds in part**: one part is shown, and others are refuted or left open; or the effect is there,
  but smaller than claimed.
- **does not hold**: the intervals exclude the claim.
- **not decided**: they hold both, the claim and its contrary: so little data, or so few seeds,
  cannot tell.

The *long* form decides; where only the *short* one was run, the verdict is a first look. Every rule
was written before its long form was run. They were changed once, after the short forms had been run
and before any long form had ended: until then an interval that holds 0 counted against a claim,
where it now leaves it open; the harm of a mismatch at prediction became a part of `preprocessing`,
and that depth costs residual networks less than plain ones a part of `degradation`; fewer than 40
epochs of the listing, and a single pair of `style`, no longer refute anything. The sizes of
the long forms were chosen by the time that they take, the batches of `preprocessing` after trials
with another seed. Times are of a machine that others used as well: upper bounds.

`python docs/claims.py FOLDER ...` writes this page from the folders that experiments leave; their
rows are in `docs/claims/`.

| experiment | verdict | form | seeds | time |
|---|---|---|---|---|
"""
SECTION = """## The chapter's claims

Headline figures of the [experiments](claims.md), beside the chapter's and published ones, which are
of other networks and more data. Means over seeds with 95 % intervals by Student's t; of one seed,
by its test examples, of which there are n. `python docs/claims.py` writes this section from the
rows in `docs/claims/`.
"""
END = """
## What the chapter got wrong

Formulas and listings: [layers](layers.md#where-the-chapter-slips). What its MNIST listing would
print is in `listing-vs-mended` above; what it reaches in all of its 40 epochs, on all of MNIST, is
among the [results](results.md#accuracy).
"""


def main() -> None:
    """Keep the rows of the folders that are named, draw them, and write the page."""
    for folder in map(Path, sys.argv[1:]):
        _keep(folder)
    for name in _there():
        _draw(name)
    PAGE.write_text(page(), encoding="utf-8")
    RESULTS.write_text(with_section(RESULTS.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PAGE} and a section of {RESULTS}")


def page() -> str:
    """Return the page, from the rows that are kept."""
    there = _there()
    tops = [
        _top(name) if name in there else f"| {name} | not run yet | | | |" for name in EXPERIMENTS
    ]
    return TOP + "\n".join(tops) + "\n\n" + "\n".join(map(_section, there)) + END


def with_section(results: str) -> str:
    """Return docs/results.md with its section of headline figures as the rows have them."""
    before, _, rest = results.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}{section()}{MARKS[1]}{after}"


def section() -> str:
    """Return the headline figures of all experiments, with commands and machines."""
    found = {name: _read(name) for name in _there()}
    machines = list(dict.fromkeys(one.machine for one in found.values()))
    heads, lines = ["command"], []
    for name, one in found.items():
        named, rows = figures_beside(headlines.lines(name, one.rows))
        heads = ["command: `striate experiment` ...", *named, "machine"]
        words = f"[`{name}{' --short' if one.work.form == 'short' else ''}`](claims.md#{name})"
        lines += [[words, *row, str(machines.index(one.machine) + 1)] for row in rows]
    table = [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *lines)]
    named = [f"{number}. {words}" for number, words in enumerate(machines, 1)]
    return "\n".join(
        [SECTION, *table, "", "Machines, on which other work ran as well:", "", *named, "", ""]
    )


def _there() -> list[str]:
    return [name for name in EXPERIMENTS if (KEPT / name / record.DOCUMENT).exists()]


def _keep(folder: Path) -> None:
    document = json.loads((folder / record.DOCUMENT).read_text())
    sizes = json.loads(
        json.dumps(dict(order(document["experiment"], form=document["form"]).size.settings))
    )
    if document["settings"] != sizes:
        sys.exit(f"{folder} holds rows of other sizes than the {document['form']} form has now")
    place = KEPT / document["experiment"]
    place.mkdir(parents=True, exist_ok=True)
    for file in (record.DOCUMENT, record.ROWS):
        shutil.copyfile(folder / file, place / file)


class Found(NamedTuple):
    """What is kept of an experiment, judged."""

    document: dict[str, Any]
    work: Order
    rows: list[Row]  # of the seeds that are whole
    seeds: int
    verdict: Verdict

    @property
    def machine(self) -> str:
        """Where the rows were measured."""
        devices = " and ".join(sorted({row["device"] for row in self.rows}))
        return f"{devices}, {self.document['machine']}"

    @property
    def seconds(self) -> str:
        """The time of all rows."""
        return duration(sum(row["seconds"] for row in self.rows))


def _read(name: str) -> Found:
    document = json.loads((KEPT / name / record.DOCUMENT).read_text())
    rows = record.read_rows(KEPT / name / record.ROWS)
    work = order(name, form=document["form"], seeds=1 + max(row["seed"] for row in rows))
    seeds = whole_seeds(work, rows)
    used = [row for row in rows if row["seed"] in seeds]
    return Found(document, work, used, len(seeds), judged(work, rows))


def _top(name: str) -> str:
    found = _read(name)
    cells = [found.verdict.outcome, found.work.form, str(found.seeds), found.seconds]
    return f"| [{name}](#{name}) | {' | '.join(cells)} |"


def _section(name: str) -> str:
    found, experiment = _read(name), EXPERIMENTS[name]
    about = found.work.size.about
    flag = " --short" if found.work.form == "short" else ""
    lines = [
        f"## {name}",
        "",
        f"**{found.verdict.outcome.capitalize()}.** {found.verdict.line}",
        "",
        f"*Claim.* {experiment.claim}",
        "",
        f"*Measured.* {experiment.measured} {about[0].upper()}{about[1:]}.",
        "",
        f"![{name} as a chart](claims/{name}/figure.png)",
        "",
        f"`striate experiment {name}{flag}`, {counted(found.seeds, 'seeds')}, {found.seconds} on "
        f"{found.machine}.",
        "",
    ]
    return "\n".join(lines)


def _draw(name: str) -> None:
    """Draw a figure of curves and bars, in few colours: some 20 KB."""
    found = _read(name)
    title = f"{name}: {found.verdict.outcome}"
    content = figures.charts(title, EXPERIMENTS[name].panels(found.rows))
    drawn = Image.open(io.BytesIO(content)).convert("RGB")
    small = drawn.resize((WIDE, round(drawn.height * WIDE / drawn.width)), Image.Resampling.LANCZOS)
    # The palette must keep the few pixels of a line: not the colours that cover most.
    small.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3).save(
        KEPT / name / "figure.png", optimize=True
    )


if __name__ == "__main__":
    main()
