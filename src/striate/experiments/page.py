"""The page of an experiment, in plain words: Markdown, and HTML with its figure inside."""

import base64
import html as escaping
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from striate.wording import counted, duration

from .claim import Experiment, Verdict
from .headlines import Line

FORMS = {
    "long": "the long form, which decides",
    "short": "the short form, a first look: the long one decides",
    "smoke": "the smallest form, which only shows that it runs",
}
STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; color: #1f2328; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem }
img { max-width: 100%; border: 1px solid #e6e9ec } code { background: #f3f4f6; padding: 0 .25em }
h1 { font-size: 1.5rem } table { border-collapse: collapse } td { padding: .2rem 1rem .2rem 0;
  vertical-align: top } td:first-child { color: #626b74; white-space: nowrap }
table { margin: 1.2rem 0 } .figures { font-size: .875rem } .figures td { white-space: normal }
.figures tr:first-child td { color: #626b74 } .figures td:first-child { color: inherit }
"""


class Facts(NamedTuple):
    """All that a page says."""

    name: str
    experiment: Experiment
    form: str
    verdict: Verdict
    seeds: int
    command: str
    machine: str
    device: str
    seconds: float
    left: int
    pictures: Sequence[str]  # files beside it
    beside: Sequence[Line]  # figures beside the chapter's and the published ones


def markdown(facts: Facts) -> str:
    """Write the page as Markdown."""
    lines = [
        f"# {facts.name}: {facts.verdict.outcome}",
        "",
        f"**The claim.** {facts.experiment.claim}",
        "",
        f"**What was measured.** {facts.experiment.measured}",
        "",
        f"**Verdict: {facts.verdict.outcome}.** {facts.verdict.line}",
        "",
    ]
    if facts.seeds:
        lines += ["![The figures as a chart](figure.png)", ""]
    if facts.beside:
        heads, rows = figures(facts.beside)
        lines += [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]
        lines += [""]
    lines += [line for name in facts.pictures for line in (f"![Pictures]({name})", "")]
    lines += ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in _table(facts))]
    return "\n".join(lines) + "\n"


def html(facts: Facts, folder: Path) -> str:
    """Write the page as one HTML file with its pictures inside."""
    parts = [
        f"<h1>{_text(facts.name)}: {_text(facts.verdict.outcome)}</h1>",
        f"<p><b>The claim.</b> {_text(facts.experiment.claim)}</p>",
        f"<p><b>What was measured.</b> {_text(facts.experiment.measured)}</p>",
        f"<p><b>Verdict: {_text(facts.verdict.outcome)}.</b> {_text(facts.verdict.line)}</p>",
    ]
    shown = (["figure.png"] if facts.seeds else []) + list(facts.pictures)
    parts += [_image(folder / name) for name in shown]
    if facts.beside:
        heads, found = figures(facts.beside)
        parts += [
            '<table class="figures">',
            *(f"<tr>{_cells(cells)}</tr>" for cells in (heads, *found)),
            "</table>",
        ]
    rows = "".join(f"<tr><td>{k}</td><td>{_text(v)}</td></tr>" for k, v in _table(facts))
    title = f"{_text(facts.name)}: {_text(facts.verdict.outcome)}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style>{''.join(parts)}<table>{rows}</table></html>\n"
    )


def figures(beside: Sequence[Line]) -> tuple[list[str], list[list[str]]]:
    """Return the heads and rows of a table of figures beside the chapter's and published ones."""
    heads = ["figure", "the chapter's", "published", "here, with 95 % interval", "n", "seeds"]
    rows = [
        [
            line.what,
            line.chapter or "-",
            line.published or "-",
            line.reading.text if line.reading else "in the long form only",
            f"{line.reading.n:,}" if line.reading and line.reading.n else "-",
            str(line.reading.seeds) if line.reading else "-",
        ]
        for line in beside
    ]
    return heads, rows


def _cells(cells: Sequence[str]) -> str:
    return "".join(f"<td>{_text(cell)}</td>" for cell in cells)


def _table(facts: Facts) -> list[tuple[str, str]]:
    form = facts.experiment.forms[facts.form]
    rows = [
        ("command", f"`{facts.command}`"),
        ("form", f"{FORMS[facts.form]}: {form.about}"),
        ("seeds", ", ".join(map(str, range(facts.seeds))) or "none is whole"),
        ("machine", f"{facts.machine}; {facts.device}"),
        ("time", duration(facts.seconds)),
        ("rows", "`rows.jsonl`, one measurement a line; the figure as drawing: `figure.svg`"),
    ]
    if facts.left:
        left = counted(facts.left, "cells")
        rows.insert(3, ("left out", f"{left} for lack of time: the same command measures them"))
    return rows


def _text(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escaping.escape(text, quote=False))


def _image(path: Path) -> str:
    coded = base64.b64encode(path.read_bytes()).decode()
    return f'<p><img alt="{path.stem}" src="data:image/png;base64,{coded}"></p>'
