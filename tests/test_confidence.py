"""How sure a network is: temperatures, fitted and saved, and answers that are left unsure."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from test_evaluation import TINY

from striate import api, cli, files, metrics, seeing
from striate.errors import DataError, UsageError
from striate.runs import bundle, folder


def drawn(seed: int, n: int, k: int, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that know something of the labels, and are too sure or too doubtful."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, k, n)
    logits = random.normal(size=(n, k)) + 1.5 * np.eye(k)[labels]
    return torch.from_numpy((scale * logits).astype(np.float32)), torch.from_numpy(labels)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(40, 200), st.integers(2, 7), st.floats(0.3, 8))
def test_the_temperature_is_scipys_minimiser(seed: int, n: int, k: int, scale: float) -> None:
    logits, labels = drawn(seed, n, k, scale)
    rows = np.arange(n)

    def loss(logarithm: float) -> float:
        scaled = logits.numpy().astype(np.float64) / np.exp(logarithm)
        return float(-log_softmax(scaled, axis=1)[rows, labels.numpy()].mean())

    found = metrics.fit(logits, labels)
    best = minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-10})
    assert np.log(found) == pytest.approx(best.x, abs=1e-5)
    assert loss(np.log(found)) <= best.fun + 1e-12
    assert metrics.loss(logits.double() / found, labels) == pytest.approx(best.fun, abs=1e-9)


@given(st.integers(0, 10**6), st.floats(0.05, 20))
def test_no_temperature_changes_an_answer(seed: int, temperature: float) -> None:
    # The next float32 after each logit is the likeliest class's: the closest that there can be.
    first = torch.from_numpy(np.random.default_rng(seed).normal(size=(50, 1)).astype(np.float32))
    logits = torch.cat([first - 1, first, torch.nextafter(first, first + 1), first], 1)
    assert (metrics.probabilities(logits, temperature).argmax(1) == 2).all()


def test_where_no_temperature_is_best_it_is_said() -> None:
    labels = torch.arange(6) % 3
    right = torch.eye(3)[labels]
    with pytest.raises(DataError, match="all of its answers are right"):
        metrics.fit(right, labels)
    with pytest.raises(DataError, match="0 of its 6 answers are right; nothing was saved"):
        metrics.fit(-right, labels)


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose classes overlap, so that it makes mistakes, and its data."""
    home, random = tmp_path_factory.mktemp("doubtful"), np.random.default_rng(0)
    for kind, level in (("dark", 100), ("light", 135)):
        (home / "data" / kind).mkdir(parents=True)
        for number in range(80):
            shade = np.clip(random.normal(level, 25), 0, 255)
            pixels = np.full((8, 8, 3), shade, np.uint8)
            Image.fromarray(pixels).save(home / "data" / kind / f"{number:02d}.png")
    choices: dict[str, Any] = {**TINY, "validation_share": 0.3}
    api.train(home / "data", out=home / "run", epochs=3, **choices)
    return home


@pytest.fixture
def run(doubtful: Path, tmp_path: Path) -> Path:
    return shutil.copytree(doubtful / "run", tmp_path / "run")


def test_a_calibrated_run_is_so_everywhere(
    run: Path, doubtful: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = api.load(run)
    before = loaded.evaluate()
    assert before.to_json()["calibration"]["temperature"] is None
    expected = metrics.fit(*(lambda e: (e.logits, e.labels))(loaded.evaluate(split="validation")))
    assert loaded.calibrate() == expected
    assert cli.main(["evaluate", str(run), "--calibrate"]) == 0, "again: the same"
    said = capsys.readouterr()
    assert f"temperature {expected:.3f}, fitted to the validation split" in said.err
    assert f"temperature {expected:.3f}: mean confidence" in said.out
    shares = (before.logits.double() / expected).softmax(1)
    for one in (loaded, api.load(run), api.load(run / folder.BUNDLE)):
        assert one.bundle.temperature == expected
        own = one.folder if one.folder.name == "run" else run
        rows = one.predict([doubtful / "data" / name for name in before.names])
        assert [row.classes[0].probability for row in rows] == pytest.approx(
            shares.max(1).values.tolist()
        )
    found = api.load(run).evaluate().to_json()
    same = ("accuracy", "loss", "per_class", "confusions", "balanced_accuracy")
    assert {key: found[key] for key in same} == {key: before.to_json()[key] for key in same}
    calibration = found["calibration"]
    assert calibration["without"]["error"] == before.to_json()["calibration"]["error"]
    assert calibration["error"] == pytest.approx(by_hand(shares.numpy(), before.labels.numpy()))
    assert calibration["loss"] == pytest.approx(
        float(torch.nn.functional.nll_loss(shares.log(), before.labels))
    )
    # What the run answered in training is kept as it was, and read with the temperature.
    assert seeing.read_answers(own).probabilities == pytest.approx(shares.numpy())
    explained = api.load(run).explain(doubtful / "data" / before.names[0], neighbours=1)[0]
    assert explained.classes[0][1] == pytest.approx(float(shares[0].max()))


def by_hand(shares: np.ndarray, labels: np.ndarray) -> float:
    """Compute the calibration error with numpy's histogram."""
    sure, right = shares.max(1), shares.argmax(1) == labels
    edges = np.linspace(0, 1, metrics.BINS + 1)
    count, confident, correct = (
        np.histogram(sure, edges, weights=weights)[0]
        for weights in (None, sure, right.astype(float))
    )
    return float(np.abs(confident - correct)[count > 0].sum() / len(labels))


def test_a_temperature_raises_the_format_and_keeps_the_seal(run: Path) -> None:
    path = run / folder.BUNDLE
    before, blobs = files.read_sealed(path, bundle.CARD)
    assert before["format"] == 1
    assert "temperature" not in before
    folder.write_temperature(run, 1.5)
    after, same = files.read_sealed(path, bundle.CARD)
    assert after == {**before, "format": 2, "temperature": 1.5}
    assert same == blobs
    whole = (path / bundle.CARD).read_bytes()
    (path / bundle.CARD).write_bytes(whole.replace(b"1.5", b"1.6"))
    with pytest.raises(DataError, match="SHA-256"):
        bundle.load(path)


@pytest.mark.parametrize("value", [0, -1.0, "hot", None, True, float("1e999")])
def test_what_can_be_no_temperature_is_refused(value: Any, run: Path) -> None:
    document, blobs = files.read_sealed(run / folder.BUNDLE, bundle.CARD)
    changed = {**document, "format": 2, "temperature": value}
    with pytest.raises(DataError, match="does not describe a network: its temperature"):
        bundle.restore(changed, blobs, where=run)
    with pytest.raises(DataError, match="has format 3, this version reads 1 and 2"):
        bundle.restore({**document, "format": 3}, blobs, where=run)


def test_the_same_network_keeps_its_temperature_and_another_has_none(run: Path) -> None:
    folder.write_temperature(run, 1.5)
    folder.write_bundle(run)
    assert folder.read_temperature(run) == 1.5
    document, blobs = files.read_sealed(run / folder.BUNDLE, bundle.CARD)
    other = {**blobs, bundle.WEIGHTS: blobs[bundle.WEIGHTS] + b" "}
    bundle.save(run / folder.BUNDLE, document, other)
    folder.write_bundle(run)
    assert folder.read_temperature(run) == 1


def test_there_is_nothing_to_fit_to(run: Path, doubtful: Path, tmp_path: Path) -> None:
    choices: dict[str, Any] = {**TINY, "validation_share": 0.0}
    alone = api.train(doubtful / "data", out=tmp_path / "alone", epochs=1, **choices)
    with pytest.raises(UsageError, match="this run has none: train with --validation-share"):
        alone.calibrate()
    with pytest.raises(DataError, match="is a bundle"):
        api.load(run / folder.BUNDLE).calibrate()
    (run / folder.RESULT).unlink()
    with pytest.raises(DataError, match="is not finished"):
        api.load(run).calibrate()


def test_a_run_that_is_being_trained_is_left_alone(run: Path) -> None:
    with files.lock(run / folder.LOCK), pytest.raises(UsageError, match="another process"):
        api.load(run).calibrate()
    assert folder.read_temperature(run) == 1


def test_a_write_that_was_cut_short_is_made_good(run: Path) -> None:
    expected = api.load(run).calibrate()
    # Killed between the two renames: the older bundle is set aside, the new one has no name yet.
    (run / folder.BUNDLE).rename(run / (files.OLD + folder.BUNDLE))
    assert api.load(run).bundle.temperature == 1, "of the checkpoint, which has none"
    assert api.load(run).calibrate() == expected
    assert api.load(run).bundle.temperature == expected
    assert not list(run.glob(files.TEMPORARY + "*"))


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 5), st.floats(0.01, 1))
def test_coverage_is_counted_one_by_one(seed: int, n: int, k: int, least: float) -> None:
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.full(k, 0.5), n)
    labels = random.integers(0, k, n)
    found = metrics.coverage(torch.from_numpy(shares), torch.from_numpy(labels), least)
    answers = [int(row.argmax()) for row in shares if row.max() >= least]
    wanted = [label for row, label in zip(shares, labels, strict=True) if row.max() >= least]
    right = sum(a == b for a, b in zip(answers, wanted, strict=True))
    assert (found.answered, found.correct, found.n) == (len(answers), right, n)
    document = found.to_json()
    assert document["coverage"] == len(answers) / n
    assert document["accuracy"] == (right / len(answers) if answers else None)


def test_unsure_answers_are_counted_by_evaluate_and_said_by_predict(
    run: Path, doubtful: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(run), "--min-confidence", "0.85"]
    assert cli.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["confident"]
    plain = api.load(run).evaluate()
    sure = plain.answers()[1] >= 0.85
    assert found["answered"] == int(sure.sum())
    assert 0 < found["answered"] < found["n"] == len(sure)
    right = (plain.answers()[0] == plain.labels)[sure]
    assert found["accuracy"] == pytest.approx(float(right.double().mean()))
    rows = [row["min_confidence"] for row in found["table"]]
    assert rows == sorted({*metrics.THRESHOLDS, 0.85})
    covered = [row["coverage"] for row in found["table"]]
    assert covered == sorted(covered, reverse=True)
    assert cli.main(words) == 0
    assert f"({found['answered']} of {found['n']}): " in capsys.readouterr().out
    names = [str(doubtful / "data" / name) for name in plain.names]
    words = ["predict", str(run), *names, "--min-confidence", "0.85"]
    assert cli.main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["unsure"] for row in document] == (~sure).tolist()
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert said.count("unsure: ") == found["n"] - found["answered"]
    assert f"{found['n'] - found['answered']} of {found['n']} pictures unsure" in said
    assert cli.main([*words, "-o", str(tmp_path / "rows.jsonl")]) == 0
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert [json.loads(line)["unsure"] for line in lines] == (~sure).tolist()
    assert cli.main(["predict", str(run), *names, "--json"]) == 0
    assert "unsure" not in json.loads(capsys.readouterr().out)[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--min-confidence", "0"], "--min-confidence is above 0 and at most 1, not 0"),
        (["--min-confidence", "nan"], "at most 1, not nan"),
        (["--top", "0"], "--top is among the likeliest 1 to 2, the network's classes, not 0"),
        (["--top", "1,3"], "not 3"),
        (["--top", "one"], "whole numbers with commas between, as in 1,3,5, not one"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(
    words: list[str], said: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evaluate", str(run), *words]) == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1


def test_the_ranks_that_are_asked_for_are_shown(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evaluate", str(run), "--top", "1,2"]) == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert "top-2 100.00 %" in line
    assert cli.main(["evaluate", str(run)]) == 0
    assert "top-" not in capsys.readouterr().out, "of two classes that tells nothing"
