"""A group of runs trained, shown run after run: `striate train --seeds`, `--folds`."""

from collections.abc import Mapping
from typing import Any

from striate import console
from striate.errors import UsageError

from .app import print_json
from .grouptable import print_group

# What is of one run: why, and what to do.
_OF_ONE = {
    "resume": "a group goes on with the command that began it: leave out --resume",
    "overwrite": "--overwrite replaces a run: choose another --out for the group",
    "tensorboard": "--tensorboard shows one run: leave it out for a group",
    "mlflow": "--mlflow shows one run: leave it out for a group",
}


def train(data: str | None, of_one: Mapping[str, Any], *, as_json: bool, **given: Any) -> None:
    """Train a group and print what its runs reached; UsageError for what is of one run."""
    for name, value in of_one.items():
        if value:
            raise UsageError(_OF_ONE[name])
    from striate import groups, terminal
    from striate.stopping import Halt

    view = terminal.view()
    try:
        group = groups.train_group(
            data,
            show=view,
            tell=console.say,
            halt=Halt(console.stopping("after this step"), view.watch),
            **given,
        )
    finally:
        view.close()
    if as_json:
        print_json(group.to_json())
    else:
        print_group(group)
