"""Run folders, checkpoints and bundles."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate import files, models
from striate.data.preparation.preprocessing import Preprocessing
from striate.errors import DataError, UsageError
from striate.models import Architecture
from striate.runs import bundle, checkpoints, folder

CLASSES = ("cat", "dog")
PREPROCESSING = Preprocessing(size=(8, 8), channels=1, normalise="none")
ARCHITECTURE = Architecture("mlp", {"hidden": 2})
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
PLAIN = st.text("abcdefghi-_", min_size=1)
VALUES = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text("aä\"\\\n'=[]")
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def content(seed: int = 0) -> dict[str, bytes]:
    torch.manual_seed(seed)
    net = models.build(ARCHITECTURE, len(CLASSES), channels=1, size=(8, 8))
    return {**bundle.blobs(net, PREPROCESSING), checkpoints.OPTIMISER: b"state"}


def card(**more: Any) -> dict[str, Any]:
    return {**bundle.card(ARCHITECTURE, PREPROCESSING, CLASSES), **more}


def checkpoint(run: Path, step: int, score: Any = None, *, seed: int = 0) -> Path:
    state = {"step": step, "score": score}
    return checkpoints.save(run, card(metrics={"epoch": step}, state=state), content(seed))


def begin(run: Path) -> Path:
    data = {"origin": {"kind": "named"}, "fingerprints": {}, "classes": list(CLASSES)}
    splits = {"train": [("a", "cat"), ("b", "dog")], "test": [("c", "cat")]}
    folder.claim(run, overwrite=False)
    folder.write_start(run, recipe={"model": "mlp", "epochs": 2}, data=data, splits=splits)
    return run


def steps(run: Path) -> list[int]:
    return [found.step for found in checkpoints.newest_first(run)]


def damage(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])


# Folders


def test_a_new_folder_has_the_first_free_number(tmp_path: Path) -> None:
    parent = tmp_path / "runs"
    assert folder.new_folder(parent, "digits", "convnet") == parent / "digits-convnet-1"
    for number in (1, 2, 4):
        (parent / f"digits-convnet-{number}").mkdir(parents=True)
    assert folder.new_folder(parent, "digits", "convnet").name == "digits-convnet-3"
    assert folder.new_folder(parent, "my data", "timm/vit.b").name == "my-data-vit.b-1"


@given(st.text(), st.text())
def test_a_new_folder_is_a_plain_name_in_its_parent(data: str, model: str) -> None:
    found = folder.new_folder(Path("runs"), data, model)
    assert found.parent == Path("runs")
    assert not found.name.startswith((".", "-"))
    assert found.name.isascii()


def test_claim_makes_the_folder_and_those_it_lies_in(tmp_path: Path) -> None:
    folder.claim(tmp_path / "a" / "b", overwrite=False)
    folder.claim(tmp_path / "a" / "b", overwrite=False)  # an empty one will do
    assert (tmp_path / "a" / "b").is_dir()


def test_claim_refuses_a_folder_that_holds_anything(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty: choose another --out, or replace"):
        folder.claim(tmp_path, overwrite=False)
    run = begin(tmp_path / "run")
    with pytest.raises(UsageError, match="continue it with --resume"):
        folder.claim(run, overwrite=False)


def test_claim_says_why_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot make the folder .*file: "):
        folder.claim(tmp_path / "file", overwrite=True)


def test_overwrite_replaces_a_run(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    checkpoint(run, 1, [1.0])
    (run / (files.NEW + "half")).mkdir()
    folder.claim(run, overwrite=True)
    assert {path.name for path in run.iterdir()} <= {folder.LOCK}


def test_overwrite_replaces_what_a_killed_start_left(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    (run / folder.RECIPE).unlink()
    folder.claim(run, overwrite=True)
    assert not (run / folder.DATA).exists()


@pytest.mark.parametrize("name", ["notes.txt", "recipe.toml.bak", "photos/cat.png"])
def test_overwrite_keeps_what_striate_did_not_write(tmp_path: Path, name: str) -> None:
    run = begin(tmp_path / "run")
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_text("mine")
    with pytest.raises(UsageError, match="which striate train did not write"):
        folder.claim(run, overwrite=True)
    assert (run / name).read_text() == "mine"
    assert folder.is_run(run)


def test_overwrite_leaves_a_run_that_is_being_trained(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    with files.lock(run / folder.LOCK), pytest.raises(UsageError, match="is in use"):
        folder.claim(run, overwrite=True)
    assert folder.is_run(run)


def test_only_runs_are_listed_and_taken(tmp_path: Path) -> None:
    begin(tmp_path / "b")
    begin(tmp_path / "a")
    (tmp_path / "other").mkdir()
    assert folder.list_runs(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert folder.list_runs(tmp_path / "none") == []
    for name, reason in (("other", "is no run: it has no recipe.toml"), ("none", "does not exist")):
        with pytest.raises(DataError, match=reason):
            folder.require(tmp_path / name)


# Documents


@given(st.dictionaries(PLAIN, VALUES | st.lists(VALUES) | st.dictionaries(PLAIN, VALUES)))
def test_a_recipe_is_read_as_it_was_written(recipe: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder.write_recipe(Path(place), recipe)
        assert folder.read_recipe(Path(place)) == recipe


@given(st.lists(st.fixed_dictionaries({"epoch": st.integers(), "seconds": NUMBERS, "n": VALUES})))
def test_a_history_is_read_as_it_was_written(history: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        assert folder.read_history(Path(place)) == []
        folder.write_history(Path(place), history)
        assert folder.read_history(Path(place)) == history


@given(
    st.dictionaries(
        st.sampled_from(["train", "validation", "test"]),
        st.lists(st.tuples(NAMES, NAMES), min_size=1),
        min_size=1,
    )
)
def test_splits_are_read_as_they_were_written(splits: dict[str, list[tuple[str, str]]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder.write_start(Path(place), recipe={}, data={}, splits=splits)
        found = folder.read_splits(Path(place))
        assert found == {part: [name for name, _ in rows] for part, rows in splits.items()}


def test_the_recipe_is_written_last(tmp_path: Path) -> None:
    (tmp_path / folder.ENVIRONMENT).mkdir()
    with pytest.raises(DataError, match=r"cannot write .*environment\.json"):
        folder.write_start(tmp_path, recipe={}, data={}, splits={"train": [("a", "cat")]})
    assert not folder.is_run(tmp_path)


HOSTILE = [
    b"", b"[]", b"1", b'"x"', b"null", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000,
    b"x = " + b"9" * 5000, b'{"origin": 1, "fingerprints": {}, "classes": []}',
    b"x = " + b"[" * 9999,
    b'{"accuracy": true, "split": 1, "n": "3", "interval": []}', b'{"epoch": "1", "seconds": null}',
]  # fmt: skip


@pytest.mark.parametrize("document", HOSTILE, ids=lambda document: repr(document[:20]))
def test_a_hostile_document_is_a_data_error(tmp_path: Path, document: bytes) -> None:
    run = begin(tmp_path / "run")
    for name in (folder.DATA, folder.RESULT, folder.METRICS, folder.SPLITS, folder.RECIPE):
        (run / name).write_bytes(document)
    with pytest.raises(DataError, match=r"data\.json cannot be read"):
        folder.read_json(run, folder.DATA)
    with pytest.raises(DataError, match=r"result\.json cannot be read"):
        folder.read_result(run)
    with pytest.raises(DataError, match=r"splits\.parquet cannot be read"):
        folder.read_splits(run)
    if document:  # an empty one is a history without epochs, and a recipe without choices
        with pytest.raises(DataError, match=r"metrics\.jsonl cannot be read"):
            folder.read_history(run)
        with pytest.raises(DataError, match=r"recipe\.toml cannot be read"):
            folder.read_recipe(run)


def test_a_changed_byte_of_the_splits_is_an_error_or_changes_nothing(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    path = run / folder.SPLITS
    whole, expected = path.read_bytes(), folder.read_splits(run)
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        try:
            found = folder.read_splits(run)
        except DataError:
            continue
        assert found == expected


# Checkpoints


def test_the_two_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    scores = {1: [0.5], 2: [0.9], 3: None, 4: [0.7], 5: None, 6: [0.8], 7: None}
    for step, score in scores.items():
        checkpoint(tmp_path, step, score)
        kept = {s for s in (step - 1, step) if s}
        known = [s for s in range(1, step + 1) if scores[s]]
        best = max(known, key=lambda s: (scores[s], s))
        assert set(steps(tmp_path)) == kept | {best}
    found = checkpoints.best(tmp_path)
    assert found is not None
    assert found.step == 2


@given(
    st.lists(
        st.none() | st.lists(st.integers(0, 3), min_size=2, max_size=2), min_size=1, max_size=6
    )
)
def test_the_best_is_the_newest_of_the_highest_scores(scores: list[list[int] | None]) -> None:
    with tempfile.TemporaryDirectory() as place:
        for step, score in enumerate(scores):
            document = {"state": {"step": step, "score": score}}
            checkpoints.save(Path(place), document, {})
        found = checkpoints.best(Path(place))
        known = [(score, step) for step, score in enumerate(scores) if score is not None]
        assert (found.step if found else None) == (max(known)[1] if known else None)


def test_damaged_checkpoints_are_passed_over_and_named(tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint(tmp_path, step)
    damage(tmp_path / "checkpoints" / "step-000000002" / bundle.WEIGHTS)
    found, reasons = checkpoints.latest(tmp_path)
    assert found.step == 1
    assert ["step-000000002/model.safetensors is damaged" in reason for reason in reasons] == [True]
    damage(tmp_path / "checkpoints" / "step-000000001" / checkpoints.STATE)
    with pytest.raises(DataError, match=r"has no usable checkpoint: .*step-000000002"):
        checkpoints.latest(tmp_path)


def test_a_checkpoint_that_is_written_damaged_costs_no_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2):
        checkpoint(tmp_path, step)
    real = Path.open

    def torn(path: Path, mode: str = "r") -> Any:
        return real(
            Path("/dev/null") if path.name == bundle.WEIGHTS and mode == "wb" else path, mode
        )

    monkeypatch.setattr(Path, "open", torn)  # a disk that says "written" and loses it
    monkeypatch.setattr("os.fsync", lambda _: None)
    with pytest.raises(DataError, match=r"cannot read .*step-000000003.*model\.safetensors"):
        checkpoint(tmp_path, 3)
    assert steps(tmp_path) == [2, 1]


def test_damaged_ones_do_not_count_as_kept(tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint(tmp_path, step)
    damage(tmp_path / "checkpoints" / "step-000000002" / bundle.WEIGHTS)
    checkpoint(tmp_path, 3)
    assert steps(tmp_path) == [3, 1]
    assert not (tmp_path / "checkpoints" / "step-000000002").exists()


def test_what_cannot_be_read_now_is_not_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = checkpoint(tmp_path, 1, [1.0])
    for step in (2, 3):
        checkpoint(tmp_path, step, [0.0])
    real = Path.read_bytes

    def refused(path: Path) -> bytes:
        if path.parent == best:
            raise OSError(5, "Input/output error")
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refused)
        checkpoint(tmp_path, 4, [0.0])
    assert 1 in steps(tmp_path)


def test_a_checkpoint_under_the_name_of_another_is_damaged(tmp_path: Path) -> None:
    first, second = checkpoint(tmp_path, 1), checkpoint(tmp_path, 2)
    first.rename(tmp_path / "aside")
    second.rename(first)
    (tmp_path / "aside").rename(second)
    with pytest.raises(DataError, match="it is the state of step-000000001"):
        checkpoints.latest(tmp_path)


@pytest.mark.parametrize(
    "state",
    [
        None, [], 1, {}, {"step": 1}, {"score": None}, {"step": "1", "score": None},
        {"step": True, "score": None}, {"step": 1.0, "score": None}, {"step": -1, "score": None},
        {"step": 10**30, "score": None}, {"step": 1, "score": []}, {"step": 1, "score": ["high"]},
        {"step": 1, "score": 0.5}, {"step": 1, "score": [[1]]}, {"step": 1, "score": [True]},
    ],
)  # fmt: skip
def test_a_hostile_state_is_a_data_error(tmp_path: Path, state: Any) -> None:
    place = tmp_path / "checkpoints" / "step-000000001"
    files.write_sealed(place, checkpoints.STATE, card(state=state), {})
    with pytest.raises(DataError, match=r"has no usable checkpoint: .*damaged"):
        checkpoints.latest(tmp_path)
    assert checkpoints.best(tmp_path) is None


# Bundles


def answers(found: bundle.Bundle) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = found.model(torch.linspace(0, 1, 64).view(1, 1, 8, 8))
    return result


def test_a_bundle_gives_back_the_network_and_its_classes(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    checkpoint(run, 1, [0.5], seed=1)
    checkpoint(run, 2, [0.4], seed=2)
    unfinished = folder.load_bundle(run)
    folder.write_bundle(run)
    for place in (run, run / folder.BUNDLE):
        found = folder.load_bundle(place)
        assert found.classes == CLASSES
        assert found.preprocessing == PREPROCESSING
        assert found.architecture == ARCHITECTURE
        assert found.metrics == {"epoch": 1}
        assert not found.model.training
        assert torch.equal(answers(found), answers(unfinished))
    assert {path.name for path in (run / folder.BUNDLE).iterdir()} == {bundle.CARD, bundle.WEIGHTS}


@pytest.mark.parametrize("name", [bundle.CARD, bundle.WEIGHTS])
def test_a_damaged_bundle_is_replaced_by_the_best_checkpoint(tmp_path: Path, name: str) -> None:
    run = begin(tmp_path / "run")
    checkpoint(run, 1, [0.5], seed=1)
    checkpoint(run, 2, [0.4], seed=2)
    folder.write_bundle(run)
    expected = answers(folder.load_bundle(run))
    damage(run / folder.BUNDLE / name)
    assert torch.equal(answers(folder.load_bundle(run)), expected)
    files.remove(run / folder.CHECKPOINTS)
    with pytest.raises(DataError, match=f"{name} is damaged"):
        folder.load_bundle(run)


def test_a_run_without_an_epoch_has_no_network(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    checkpoint(run, 0)
    with pytest.raises(DataError, match="has no finished epoch yet: continue it with"):
        folder.load_bundle(run)


def test_a_newer_format_is_named(tmp_path: Path) -> None:
    bundle.save(tmp_path / "x", card(format=3), content())
    with pytest.raises(
        DataError, match="has format 3, this version reads 1 and 2: a newer striate"
    ):
        bundle.load(tmp_path / "x")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classes", None), ("classes", 3), ("classes", []), ("classes", [1, 2]), ("classes", "ab"),
        ("metrics", []), ("preprocessing", None), ("preprocessing", []), ("preprocessing", {}),
        ("architecture", None), ("architecture", {}), ("architecture", {"name": "mlp"}),
        ("architecture", {"name": "none", "arguments": {}}), ("architecture", ["mlp", {}]),
        ("architecture", {"name": 1, "arguments": {}}), ("architecture", {"name": "mlp", "x": 1}),
        ("architecture", {"name": "mlp", "arguments": {"depth": "deep"}}),
        ("architecture", {"name": "mlp", "arguments": {"hidden": -1}}),
        ("architecture", {"name": "mlp", "arguments": {"hidden": "2"}}),
        ("architecture", {"name": "mlp", "arguments": {"hidden": 3}}),
        ("architecture", {"name": "timm/none", "arguments": {}}),
        ("architecture", {"name": "mlp", "arguments": {}, "source": 7}),
        ("architecture", {"name": "user.py:net", "arguments": {}, "source": "net = ["}),
        *(
            ("preprocessing", {**PREPROCESSING.to_json(), key: value})
            for key, value in [
                ("size", 8), ("size", [8]), ("size", ["8", "8"]), ("size", [0, 8]),
                ("channels", "1"),
                ("channels", 2), ("fit", 1), ("fit", "none"), ("mean", "0"), ("mean", ["x"]),
                ("std", None), ("share", "1"), ("normalise", "zca"), ("filter", []),
                ("max_pixels", ""),
            ]
        ),
    ],
)  # fmt: skip
def test_a_hostile_card_is_a_data_error(tmp_path: Path, key: str, value: Any) -> None:
    bundle.save(tmp_path / "x", card(**{key: value}), content())
    with pytest.raises(DataError):
        bundle.load(tmp_path / "x")


@pytest.mark.parametrize("key", ["classes", "preprocessing", "architecture", "format"])
def test_a_card_without_a_key_is_a_data_error(tmp_path: Path, key: str) -> None:
    document = card()
    del document[key]
    bundle.save(tmp_path / "x", document, content())
    with pytest.raises(DataError, match="x"):
        bundle.load(tmp_path / "x")


HEADER = json.dumps({"x": {"dtype": "F32", "shape": [10**15], "data_offsets": [0, 4]}}).encode()


@pytest.mark.parametrize(
    "weights",
    [
        b"", b"\0" * 8, b"\xff" * 16, b"{}", len(HEADER).to_bytes(8, "little") + HEADER + b"\0" * 4,
        bundle.tensor_bytes({}), bundle.tensor_bytes({"x": torch.zeros(2)}),
    ],
    ids=range(7),
)  # fmt: skip
def test_hostile_weights_are_a_data_error(tmp_path: Path, weights: bytes) -> None:
    bundle.save(tmp_path / "x", card(), {bundle.WEIGHTS: weights})
    with pytest.raises(DataError, match=r"model\.safetensors"):
        bundle.load(tmp_path / "x")


def test_a_bundle_without_weights_says_so(tmp_path: Path) -> None:
    bundle.save(tmp_path / "x", card(), {})
    with pytest.raises(DataError, match=r"has no model\.safetensors"):
        bundle.load(tmp_path / "x")
