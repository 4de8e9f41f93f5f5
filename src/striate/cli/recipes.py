"""`striate recipes`: named recipes for trainings, and what was measured with each."""

from typing import TYPE_CHECKING, Any

from striate import console
from striate.wording import counted, duration, percent

from .app import AsJson, app, examples, print_json

if TYPE_CHECKING:
    from striate.training.recipes import Measured, Named


@app.command(
    help_epilogue=examples("""
    striate recipes
    striate train mnist --recipe fast
    striate train mnist --recipe fast --epochs 2 --print-config
""")
)
def recipes(*, as_json: AsJson = False) -> None:
    """List the recipes that `striate train --recipe` knows, and what they reach."""
    from striate.training.recipes import NAMED

    if as_json:
        print_json([_row(name, recipe) for name, recipe in NAMED.items()])
        return
    rows = []
    for name, recipe in NAMED.items():
        first, *others = [_reached(found) for found in recipe.measured] or [
            ["not measured"] + [""] * 2
        ]
        rows.append([name, recipe.about, *first])
        rows += [["", "", *one] for one in others]
    console.table(["recipe", "", "test accuracy", "time", "on"], rows)
    console.tell("striate train DATA --recipe NAME; other flags win over the recipe's choices")


def _row(name: str, recipe: "Named") -> dict[str, Any]:
    found = [one._asdict() for one in recipe.measured]
    return {"name": name, **recipe._asdict(), "choices": dict(recipe.choices), "measured": found}


def _reached(found: "Measured") -> list[str]:
    accuracy = percent(found.accuracy)
    if found.seeds > 1:
        accuracy += f" ± {percent(found.spread)} ({counted(found.seeds, 'seeds')})"
    else:
        accuracy += " (1 seed)"
    if found.views is not None:
        accuracy += f", {percent(found.views)} over several views"
    return [accuracy, duration(found.seconds), found.machine]
