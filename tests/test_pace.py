"""A painting's levels and steps under a clock that runs as fast as the test says."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from striate.painting.budgets import pace
from striate.painting.budgets.pace import Pace, Stage
from striate.painting.pictures import canvas
from striate.painting.settings import Budget


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        """Begin at no second in particular."""
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return the seconds, as the module `time` does."""
        return self.now


def painted(
    size: int,
    seconds: float | None,
    cost: float,
    entering: float = 3.0,
    way: str = "lbfgs",
    fixed: float = 0.0,
) -> tuple[list[Stage], float]:
    """Return the levels of a painting whose steps at 128 pixels cost so much, and what it took.

    To enter a level takes as long as so many runs. The loss falls by a tenth each step. Each run
    takes `fixed` seconds more at any size.
    """
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "time", clock)
        plan = Pace(size, budget=Budget(seconds), optimiser=way)
        done: list[Stage] = []
        loss = 1.0
        while (side := plan.next_side(done)) is not None:
            step = cost * (side / 128) ** 2 + fixed * plan.rhythm.stride
            clock.now += entering * step / plan.rhythm.stride
            done.append(Stage(side, 1))  # what the level begins with
            while not plan.over(done, loss, fixed):
                clock.now += step
                loss *= 0.9
                done[-1] = Stage(side, done[-1].steps + 1)
        return done, plan.seconds()


def test_with_much_time_each_level_makes_as_many_steps() -> None:
    done, took = painted(512, 400, 0.25)
    assert [stage.side for stage in done] == canvas.levels(512)
    assert max(stage.steps for stage in done) <= 1.2 * min(stage.steps for stage in done)
    assert 390 <= took <= 400


def test_with_less_time_levels_between_are_left_out() -> None:
    done, took = painted(512, 60, 0.25)
    sides = [stage.side for stage in done]
    assert (sides[0], sides[-1]) == (128, 512)
    assert len(sides) < len(canvas.levels(512))
    assert all(stage.steps >= pace.RHYTHMS["lbfgs"].between - 3 for stage in done[1:-1])
    assert 50 <= took <= 60


def test_with_little_time_the_finest_levels_are_left_out() -> None:
    done, took = painted(512, 12, 0.25)
    assert 128 < done[-1].side < 512
    assert took <= 12


def test_what_a_step_costs_at_any_size_is_not_taken_for_more_at_a_larger_one() -> None:
    # As w2 has it: a step takes 0.2 s at 128 pixels, and 1.7 s at 512, not 3.2.
    done, took = painted(512, 24, 0.1, fixed=0.1)
    assert done[-1].side == 512
    assert done[-1].steps >= pace.RHYTHMS["lbfgs"].worth
    assert took <= 24


def test_adam_has_all_levels_and_less_of_the_last() -> None:
    done, took = painted(256, 120, 0.25 * 5, way="adam")
    assert [stage.side for stage in done] == canvas.levels(256)
    assert done[0].steps > 1.5 * done[-1].steps
    assert took <= 120


@pytest.mark.parametrize("way", ["lbfgs", "adam"])
def test_without_a_time_steps_are_counted(way: str) -> None:
    done, _ = painted(512, None, 0.25, way=way)
    rhythm = pace.RHYTHMS[way]
    assert [stage.side for stage in done] == canvas.levels(512)
    runs = {"lbfgs": [12, 12, 12, 12, 40], "adam": [56, 40, 29, 21, 16]}[way]
    assert [stage.steps for stage in done] == [-(-run // rhythm.stride) for run in runs]


@given(
    size=st.integers(16, 2048),
    seconds=st.floats(1, 600),
    way=st.sampled_from(sorted(pace.RHYTHMS)),
    cost=st.floats(1e-3, 10),
    entering=st.floats(2, 5),
    fixed=st.floats(0, 1),
)
@example(size=1026, seconds=4.0, way="adam", cost=0.57, entering=3.9, fixed=0.5)  # one step
def test_levels_rise_and_time_is_kept(
    size: int, seconds: float, way: str, cost: float, entering: float, fixed: float
) -> None:
    done, took = painted(size, seconds, cost, entering, way, fixed)
    assert all(one.side < other.side for one, other in pairwise(done))
    assert done[0].side == canvas.levels(size)[0]
    # What cannot be helped: to enter the first level, from which it is known what a step takes.
    first = cost * (done[0].side / 128) ** 2 / pace.RHYTHMS[way].stride + fixed
    assert took <= max(seconds, entering * first) * 1.001
