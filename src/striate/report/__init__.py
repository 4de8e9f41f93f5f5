"""A report: one HTML file of a run, which needs no network and opens by a double click."""

from collections.abc import Sequence
from pathlib import Path

import torch

from striate import devices, files
from striate.profiling import Profile
from striate.runs import Bundle
from striate.seeing.settings import read, settings
from striate.seeing.standings import Standings
from striate.stopping import Poll, unheard
from striate.usercode import Consent

from . import comparison, drawings, profiled
from .atlas import Atlas, write_atlas
from .curves import curves
from .document import document
from .gathering import gather, require_finished
from .page import COMPARISON, PROFILE, page

__all__ = ["Atlas", "write", "write_atlas", "write_comparison", "write_profile"]


def write(  # noqa: PLR0913
    out: Path,
    run: Path,
    bundle: Bundle,
    *,
    others: Sequence[Path] = (),
    consent: Consent,
    device: torch.device,
    workers: int | None = None,
    with_map: bool = True,
    drawn: Path | None = None,
    poll: Poll = unheard,
) -> list[str]:
    """Write the report of a finished run, with the curves of others beside its own.

    Into the folder `drawn`, where one is named, go its figures as PNG and SVG.
    Returns lines about what was left out. Raises DataError where the run or its pictures cannot be
    read.
    """
    require_finished(run)
    gathered = gather(
        run,
        bundle,
        consent=consent,
        device=device,
        workers=workers,
        with_map=with_map,
        poll=poll,
    )
    gathered.runs = curves(settings([read(path) for path in (run, *others)]))
    files.write(out, page(*document(gathered)).encode())
    if drawn is not None:
        drawings.write(drawn, drawings.of_report(gathered, run))
    return gathered.warnings


def write_comparison(
    out: Path,
    standings: Standings,
    *,
    trust_code: bool = False,
    device: torch.device,
    workers: int | None = None,
    poll: Poll = unheard,
) -> list[str]:
    """Write the page of several settings; returns lines about what was left out."""
    count = devices.processors() if workers is None else workers
    reader = comparison.Reader(trust_code=trust_code, device=device, workers=count, poll=poll)
    files.write(out, page(*comparison.document(standings, reader), COMPARISON).encode())
    return reader.notes


def write_profile(out: Path, found: Profile) -> None:
    """Write the page of a profile."""
    files.write(out, page(*profiled.document(found), PROFILE).encode())
