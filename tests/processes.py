"""Processes with the environment that torchrun gives them, and what they did."""

import multiprocessing
import os
import pickle
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import torch

from striate import cli, ranks

SECONDS = 60.0


class Outcome(NamedTuple):
    """What a process gave, how it ended, and what it wrote."""

    value: Any
    code: int | None
    out: str
    err: str


class Processes:
    """Forked processes with torchrun's environment: forked, as importing torch takes seconds."""

    def __init__(self, folder: Path, count: int, work: Callable[[], Any], **more: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        shared = {"WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, **more}
        context = multiprocessing.get_context("fork")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
            self.all: list[BaseProcess] = []
            for rank in range(count):
                own = {**shared, "RANK": rank, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count}
                process = context.Process(target=_carry_out, args=(folder, own, work))
                process.start()
                self.all.append(process)

    def outcomes(self, seconds: float = SECONDS) -> list[Outcome]:
        """Wait for all of them, so long."""
        until = time.monotonic() + seconds
        for process in self.all:
            process.join(max(0.1, until - time.monotonic()))
        late = [process for process in self.all if process.is_alive()]
        for process in late:
            process.kill()
            process.join()
        assert not late, f"{len(late)} of {len(self.all)} processes hung"
        return [self._outcome(rank) for rank in range(len(self.all))]

    def _outcome(self, rank: int) -> Outcome:
        out, err, value = (self.folder / f"{name}-{rank}" for name in ("out", "err", "value"))
        found = pickle.loads(value.read_bytes()) if value.exists() else None
        return Outcome(found, self.all[rank].exitcode, out.read_text(), err.read_text())


def _carry_out(folder: Path, environment: dict[str, Any], work: Callable[[], Any]) -> None:
    torch.set_num_threads(1)
    rank = environment["RANK"]
    os.environ.update({name: str(value) for name, value in environment.items()})
    with (folder / f"out-{rank}").open("w") as out, (folder / f"err-{rank}").open("w") as err:
        sys.stdout, sys.stderr = out, err
        try:
            found = work()
        except BaseException:
            traceback.print_exc(file=err)
            found = 70
        out.flush()
        err.flush()
    (folder / f"value-{rank}").write_bytes(pickle.dumps(found))
    os._exit(found if isinstance(found, int) else 0)


def striate(folder: Path, count: int, *words: Any, **more: str) -> Processes:
    """Start a command line in several processes."""
    return Processes(folder, count, lambda: cli.main([str(word) for word in words]), **more)


def joined(work: Callable[[], Any]) -> Callable[[], Any]:
    """Let processes meet before the work."""

    def carried_out() -> Any:
        with ranks.joined("cpu"):
            return work()

    return carried_out
