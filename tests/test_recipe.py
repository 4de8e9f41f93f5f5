"""The recipe: which choice wins, what is refused, and that it survives its file."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.choices import flag
from striate.errors import UsageError
from striate.flags import from_file
from striate.runs import folder
from striate.training.recipe import Recipe, as_table, check_names, names, resolve

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "epochs": st.integers(1, 1000),
    "batch_size": st.integers(1, 4096),
    "optimiser": st.sampled_from(["sgd", "adamw", "muon"]),
    "schedule": st.sampled_from(["one-cycle", "cosine", "step", "constant"]),
    "rate": st.floats(0, 1000),
    "momentum": st.floats(0, 0.99),
    "weight_decay": st.floats(0, 1),
    "label_smoothing": st.floats(0, 0.9),
    "clip": st.floats(1e-6, 1e6),
    "patience": st.integers(1, 100),
    "size": st.integers(1, 512),
    "flip": st.booleans(),
    "hue": st.floats(0, 0.5),
    "weights": st.text(max_size=20).filter(bool),
    "arguments": st.dictionaries(st.text(min_size=1, max_size=5), st.integers()),
    "seed": st.integers(0, 2**63 - 1),
}
CHOICES = st.fixed_dictionaries({}, optional=VALUES)


@given(CHOICES, CHOICES, CHOICES)
def test_a_given_choice_wins_over_the_networks_and_that_over_the_datas(
    chosen: dict[str, Any], preset: dict[str, Any], facts: dict[str, Any]
) -> None:
    found = resolve(chosen, preset, facts)
    for field in dataclasses.fields(Recipe):
        if field.name in ("rate", "momentum", "warmup"):  # these also follow from other choices
            continue
        default = {} if field.name == "arguments" else field.default
        sources = (chosen, preset, facts, {field.name: default})
        expected = next(source[field.name] for source in sources if field.name in source)
        assert getattr(found, field.name) == expected


@given(CHOICES)
def test_a_recipe_survives_its_file(chosen: dict[str, Any]) -> None:
    recipe = resolve(chosen, {}, {})
    text = folder.recipe_text(as_table(recipe))
    assert Recipe(**tomllib.loads(text)) == recipe


def test_a_rate_follows_from_the_optimiser_and_a_warm_up_from_the_schedule() -> None:
    assert resolve({}, {}, {}).rate == 0.1
    assert resolve({"optimiser": "adamw"}, {}, {}).rate == 2e-3
    assert resolve({"optimiser": "adamw", "rate": 0.5}, {}, {}).rate == 0.5
    muon = resolve({"optimiser": "muon"}, {}, {})
    assert (muon.rate, muon.momentum) == (0.02, 0.95)
    assert resolve({"epochs": 20}, {}, {}).warmup == 5.0
    assert resolve({"epochs": 20, "warmup": 1.0}, {}, {}).warmup == 1.0
    assert resolve({"schedule": "cosine"}, {}, {}).warmup == 0.0


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"epochs": "5"}, "--epochs takes a whole number, not '5'"),
        ({"epochs": 5.0}, "--epochs takes a whole number, not 5.0"),
        ({"epochs": True}, "--epochs takes a whole number, not True"),
        ({"rate": "fast"}, "--rate takes a number, not 'fast'"),
        ({"clip": [1]}, r"--clip takes a number, not \[1\]"),
        ({"flip": 1}, "--flip takes true or false, not 1"),
        ({"model": 3}, "--model takes a text, not 3"),
        ({"arguments": 3}, "--arguments takes a table, not 3"),
        ({"arguments": True}, "--arguments takes a table, not True"),
        ({"epochs": 0}, "--epochs lies in 1 to 100000, not 0"),
        ({"rate": -0.1}, "--rate lies in 0 to 1000, not -0.1"),
        ({"rate": float("nan")}, "--rate lies in 0 to 1000, not nan"),
        ({"momentum": 1.0}, "--momentum lies in 0 to 0.9999, not 1"),
        ({"label_smoothing": 1.0}, "--label-smoothing lies in 0 to 0.99"),
        ({"validation_share": 1.0}, "--validation-share lies in 0 to 0.9"),
        ({"seed": -1}, "--seed lies in"),
        ({"optimiser": "adam"}, "did you mean adamw"),
        ({"schedule": "onecycle"}, "did you mean one-cycle"),
        ({"precision": "half"}, "unknown precision 'half'"),
        ({"normalise": "data"}, "unknown normalisation 'data'"),
        ({"colour": "gray"}, "did you mean grey"),
    ],
)
def test_what_means_nothing_is_refused(choices: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        resolve(choices, {}, {})


@pytest.mark.parametrize("name", names())
def test_every_choice_has_a_flag_and_a_help(name: str) -> None:
    assert flag(name).removeprefix("--").replace("-", "_") == name
    help_text = Recipe.__dataclass_fields__[name].metadata["help"]
    assert help_text.endswith(".")


def test_an_unknown_choice_names_the_near_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="setting in here 'epoch': did you mean epochs"):
        check_names({"epoch": 3}, where="here")
    path = tmp_path / "recipe.toml"
    path.write_text("batchsize = 3\n")
    with pytest.raises(UsageError, match=r"recipe\.toml 'batchsize': did you mean batch_size"):
        from_file(path, Recipe)
    path.write_text("batch_size = \n")
    with pytest.raises(UsageError, match=r"recipe\.toml is no TOML"):
        from_file(path, Recipe)
