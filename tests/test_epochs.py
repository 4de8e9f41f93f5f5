"""One order of epochs: for the one that is kept, for patience, and for the checkpoints."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate import api, cli
from striate.epochs import METRICS, best, end, is_over, score, since_better

# Few values, so that there are ties.
NUMBERS = st.sampled_from([0.25, 0.5, 0.75, float("nan")])
LINES = st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=8)


def history(lines: list[tuple[float, float, float]]) -> list[dict[str, Any]]:
    keys = ("validation_accuracy", "validation_loss", "validation_balanced_accuracy")
    return [
        {"epoch": number, **dict(zip(keys, line, strict=True))}
        for number, line in enumerate(lines, 1)
    ]


@given(LINES, st.sampled_from(METRICS))
def test_the_best_is_the_latest_that_none_is_better_than(
    lines: list[tuple[float, float, float]], metric: str
) -> None:
    def known(value: float, *, smaller: bool) -> float:
        return float("-inf") if value != value else -value if smaller else value

    def is_better(one: dict[str, Any], other: dict[str, Any]) -> bool:
        first, second = (
            known(row[f"validation_{metric.replace('-', '_')}"], smaller=metric == "loss")
            for row in (one, other)
        )
        losses = [known(row["validation_loss"], smaller=True) for row in (one, other)]
        return first > second or (first == second and losses[0] > losses[1])

    rows = history(lines)
    unbeaten = [row for row in rows if not any(is_better(other, row) for other in rows)]
    assert best(rows, metric) is unbeaten[-1]
    assert since_better(rows, metric) == len(rows) - unbeaten[0]["epoch"]
    assert max(rows, key=lambda row: (score(row, metric), row["epoch"])) is unbeaten[-1]


@given(LINES, st.integers(1, 9), st.one_of(st.none(), st.integers(1, 4)), st.sampled_from(METRICS))
def test_a_training_ends_where_it_says(
    lines: list[tuple[float, float, float]], epochs: int, patience: int | None, metric: str
) -> None:
    rows = history(lines)
    over = (n for n in range(1, 10) if n > len(rows) or is_over(rows[:n], epochs, patience, metric))
    done = next(over)
    if done > len(rows):
        return
    found = end(rows[:done], epochs, patience, metric)
    early = done < epochs
    assert found.reason == ("patience" if early else "epochs")
    kept = f"kept epoch {best(rows[:done], metric)['epoch']}, the best by validation"
    assert f"{kept} {metric.replace('-', ' ')} (" in found.line
    if early:
        assert found.line.startswith(f"stopped after epoch {done} of {epochs}, as {patience} epoch")
        assert since_better(rows[:done], metric) == patience


def test_without_validation_the_last_epoch_is_kept_and_patience_has_nothing_to_count() -> None:
    rows: list[dict[str, Any]] = [{"epoch": number} for number in (1, 2, 3)]
    assert best(rows) is rows[-1]
    assert not is_over(rows, 4, 1)
    assert end(rows, 3, 1).line == (
        "3 epochs done; kept epoch 3, the last: there is no validation split to choose by"
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            ["--patience", "2", "--rate", "0"],
            "stopped after epoch 3 of 9, as 2 epochs brought none",
        ),
        (["--epochs", "2"], "2 epochs done; kept epoch "),
        (["--epochs", "1", "--validation-share", "0"], "1 epoch done; kept epoch 1, the last: "),
        (["--epochs", "2", "--monitor", "loss"], "2 epochs done; kept epoch "),
        (
            ["--epochs", "2", "--monitor", "balanced-accuracy"],
            "2 epochs done; kept epoch ",
        ),
    ],
)
def test_a_training_says_once_why_it_stopped(
    more: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choices = ["--model", "mlp", "--arguments.hidden", "4", "--epochs", "9", "--batch-size", "512"]
    given = [word for word in choices if not ("--epochs" in more and word in ("--epochs", "9"))]
    run = tmp_path / "run"
    assert cli.main(["train", "digits", *given, *more, "--out", str(run)]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "kept epoch" in line]
    assert len(lines) == 1
    assert lines[0].startswith(said)
    metric = more[more.index("--monitor") + 1] if "--monitor" in more else "accuracy"
    found = api.load(run)
    result, row = found.result, best(found.history, metric)
    assert row["epoch"] == result["best_epoch"]
    assert found.bundle.metrics == {
        key: row[key] for key in row if key not in ("seconds", "waiting")
    }
    assert "last: " in said or f"by validation {metric.replace('-', ' ')} (" in lines[0]
    assert f"kept epoch {result['best_epoch']}" in lines[0]
    assert result["ended"] == ("patience" if "--patience" in more else "epochs")
