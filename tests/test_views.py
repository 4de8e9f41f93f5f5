"""Views whose logits are averaged: which they are, what follows, and that it is always said."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as oracle
from test_evaluation import TINY, put, trained

from striate import api, cli
from striate.errors import UsageError
from striate.evaluation import PLAIN, VIEWS, averaged, choose_views
from striate.runs import folder

__all__ = ["trained"]  # a fixture
SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 70))


def pixels(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(0, 256, shape).astype(np.uint8))


@given(SHAPES, st.integers(0, 99), st.sampled_from([*VIEWS]), st.sampled_from([None, 2]))
def test_views_are_numpy_pads_and_slices(
    shape: tuple[int, int, int], seed: int, name: str, frames: int | None
) -> None:
    whole = (3, shape[0], *([frames] if frames else []), *shape[1:])
    given_ = pixels(whole, seed)
    found = list(VIEWS[name].of(given_))
    assert len(found) == VIEWS[name].number
    assert sum(share for _, share in found) == 1
    assert torch.equal(found[0][0], given_)
    images = [view.numpy() for view, _ in found]
    places = [given_.numpy(), *(shifted(given_.numpy(), way) for way in (1, -1))]
    expected = {
        "none": places[:1],
        "flip": [places[0], places[0][..., ::-1]],
        "crops": [view for place in places for view in (place, place[..., ::-1])],
    }[name]
    for view, one in zip(images, expected, strict=True):
        assert np.array_equal(view, one)


def shifted(images: NDArray[np.uint8], way: int) -> NDArray[np.uint8]:
    """Pad by reflection, as NumPy does, and cut out a part that lies off the middle."""
    steps = [min(max(1, side // 32), side - 1) for side in images.shape[-2:]]
    padded = np.pad(
        images, [(0, 0)] * (images.ndim - 2) + [(step, step) for step in steps], mode="reflect"
    )
    cuts = [
        slice(step + way * step, step + way * step + side)
        for step, side in zip(steps, images.shape[-2:], strict=True)
    ]
    return padded[..., cuts[0], cuts[1]]


def test_the_average_is_of_logits_with_airbench_shares() -> None:
    images = pixels((4, 3, 8, 8), 0)
    weights = torch.randn(3 * 8 * 8, 5, dtype=torch.float64)

    def ask(view: torch.Tensor) -> torch.Tensor:
        return (view.flatten(1).double() @ weights).tanh()

    plain, mean = averaged(ask, images, VIEWS["crops"])
    assert torch.equal(plain, ask(images))
    mirrored = [
        (ask(view) + ask(view.flip(-1))) / 2 for view, _ in [*VIEWS["crops"].of(images)][::2]
    ]
    expected = mirrored[0] / 2 + (mirrored[1] + mirrored[2]) / 4
    torch.testing.assert_close(mean, expected)
    assert averaged(ask, images, PLAIN).shape == (1, 4, 5)


def test_sounds_have_no_views_and_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="this network takes sounds, leave it out"):
        choose_views("flip", "sounds")
    assert choose_views("none", "sounds") is PLAIN
    assert choose_views("crops", "clips") is VIEWS["crops"]
    with pytest.raises(UsageError, match="choose one of none, flip, crops"):
        choose_views("flop", "pictures")


@pytest.mark.parametrize("name", ["flip", "crops"])
def test_both_accuracies_are_in_the_document_and_in_the_line(
    name: str, trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = api.load(trained / "run")
    other = put(tmp_path / "other", {"b": 3, "c": 1, "d": 2}, 5, first=70)  # some are mistaken
    plain, found = run.evaluate(other), run.evaluate(other, tta=name, top=(1, 2))
    document = found.to_json()
    assert plain.to_json()["tta"] is None
    assert document["accuracy"] == plain.accuracy
    assert torch.equal(found.logits, plain.logits)
    assert found.averaged is not None
    answers = found.averaged.argmax(1).numpy()
    labels = found.labels.numpy()
    tta = document["tta"]
    assert (tta["views"], tta["count"]) == (name, VIEWS[name].number)
    assert tta["accuracy"] == oracle.accuracy_score(labels, answers)
    assert tta["balanced_accuracy"] == pytest.approx(
        oracle.balanced_accuracy_score(labels, answers)
    )
    assert tta["top"]["2"] == pytest.approx(
        oracle.top_k_accuracy_score(labels, found.averaged.numpy(), k=2, labels=range(3))
    )
    rows = run.predict(other, tta=name)
    assert [row.classes[0].name for row in rows] == [found.classes[one] for one in answers]
    shares = found.averaged.double().softmax(1).max(1).values
    assert [row.classes[0].probability for row in rows] == pytest.approx(shares.tolist())
    out = tmp_path / "rows.jsonl"
    assert cli.main(["evaluate", str(run.folder), str(other), "--tta", name, "-o", str(out)]) == 0
    said = capsys.readouterr()
    with_views, without = (f"{100 * one['accuracy']:.2f} %" for one in (tta, document))
    assert f"accuracy {with_views} with {VIEWS[name].spoken} ({without} without)" in said.out
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["tta_predicted"] for line in lines] == [found.classes[one] for one in answers]
    # These pictures were never mirrored in training: it is said.
    assert "trained without mirrored pictures" in said.err
    assert "trained without mirrored pictures" in " ".join(document["notes"])


def test_a_network_that_knows_mirrored_pictures_is_asked_without_a_word(tmp_path: Path) -> None:
    data = put(tmp_path / "data", {"b": 0, "c": 1}, 8)
    run = api.train(data, out=tmp_path / "run", epochs=1, **{**TINY, "flip": True})
    assert run.evaluate(tta="flip").notes == ()
    assert api.load(run.folder / folder.BUNDLE).evaluate(data, tta="flip").averaged is not None


def test_own_splits_that_training_used_are_named(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evaluate", str(trained / "run"), "--split", "train"]) == 0
    said = capsys.readouterr()
    assert "the network was trained on these pictures: expect less of others" in said.err
    assert "all of them trained on)" in said.out.splitlines()[0]
    assert cli.main(["evaluate", str(trained / "run"), "--split", "validation"]) == 0
    assert "chose the epoch" in capsys.readouterr().err
    assert cli.main(["evaluate", str(trained / "run")]) == 0
    assert capsys.readouterr().err == ""
