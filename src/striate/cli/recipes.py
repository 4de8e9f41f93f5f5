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
        rows.append([name, f"{recipe.about}{_cost(recipe)}"])
        rows += [["", line] for line in map(_reached, recipe.measured)] or [["", "not measured"]]
    console.table(["recipe", "what it does, and what it reached in the test"], rows)
    console.tell("striate train DATA --recipe NAME; other flags win over the recipe's choices")


def _row(name: str, recipe: "Named") -> dict[str, Any]:
    found = [one._asdict() for one in recipe.measured]
    return {"name": name, **recipe._asdict(), "choices": dict(recipe.choices), "measured": found}


def _cost(recipe: "Named") -> str:
    if recipe.flop is None:
        return ""
    tera = recipe.flop / 1e12
    return f"; {tera:,.{0 if tera > 100 else 1}f} TFLOP"


def _reached(found: "Measured") -> str:
    seeds = counted(found.seeds, "seeds")
    spread = f" ± {100 * found.spread:.2f} points" if found.seeds > 1 else ""
    views = "" if found.views is None else f", {percent(found.views)} over several views"
    return (
        f"{percent(found.accuracy)}{spread} ({seeds}){views}; {duration(found.seconds)} on "
        f"{found.machine}"
    )
