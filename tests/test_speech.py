"""Spoken digits: where they are found, how they are split, and what is refused."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from striate.data import find, reopen
from striate.data.sources.speech import spoken_digits
from striate.errors import DataError, UsageError
from striate.sounds import Sound, encode

SPEAKERS = ("ann", "bob")


def spoken(digit: int, speaker: str, take: int) -> bytes:
    """A tone whose pitch says the digit, with a little noise of the speaker's own."""
    random = np.random.default_rng([digit, SPEAKERS.index(speaker), take])
    tone = np.sin(2 * np.pi * (300 + 300 * digit) * np.arange(1600) / 8000)
    return encode(Sound(0.5 * tone + 0.02 * random.normal(size=1600), 8000))


def names(takes: int = 7) -> list[tuple[int, str, int]]:
    return [(d, s, t) for d in range(10) for s in SPEAKERS for t in range(takes)]


def write(folder: Path, takes: int = 7) -> Path:
    folder.mkdir(parents=True)
    for digit, speaker, take in names(takes):
        (folder / f"{digit}_{speaker}_{take}.wav").write_bytes(spoken(digit, speaker, take))
    return folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "fsdd"


def pack(root: Path) -> None:
    root.mkdir(parents=True)
    with tarfile.open(root / "recordings.tar.xz", "w:xz") as archive:
        for digit, speaker, take in names():
            content = spoken(digit, speaker, take)
            info = tarfile.TarInfo(f"recordings/{digit}_{speaker}_{take}.wav")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        archive.addfile(tarfile.TarInfo("recordings/LICENSE"))


def test_the_first_five_of_each_speaker_and_digit_are_the_test(root: Path) -> None:
    write(root / "recordings")
    found = find("spoken-digits")
    assert found.kind == "sounds"
    assert found.classes == tuple("0123456789")
    expected = {f"{d}_{s}_{t}.wav" for d, s, t in names() if t < 5}
    assert set(found.splits["test"].names) == expected
    assert (
        set(found.splits["train"].names) == {f"{d}_{s}_{t}.wav" for d, s, t in names()} - expected
    )
    for split in found.splits.values():
        assert [int(name[0]) for name in split.names] == split.labels.tolist()
    assert "140 recordings of digits by 2 speakers (ann, bob)" in found.layout
    assert "the test is recordings 0 to 4 of each (100 sounds)" in found.layout


def test_a_speaker_is_held_out_with_all_that_is_said(root: Path) -> None:
    write(root / "recordings")
    found = find("spoken-digits:held-out=bob")
    assert {name.split("_")[1] for name in found.splits["test"].names} == {"bob"}
    assert {name.split("_")[1] for name in found.splits["train"].names} == {"ann"}
    assert len(found.splits["test"]) == len(found.splits["train"]) == 70
    again = reopen(found.origin)
    assert again.splits["test"].names == found.splits["test"].names
    assert found.name == "spoken-digits-bob"


def test_an_archive_gives_what_its_folder_gives(root: Path, tmp_path: Path) -> None:
    pack(root)
    packed = find("spoken-digits")
    write(tmp_path / "unpacked")
    plain = find(tmp_path / "unpacked")
    for name, split in packed.splits.items():
        assert split.names == plain.splits[name].names
        assert split.pictures[3] == plain.splits[name].pictures[3].read_bytes()
    assert plain.origin.kind == "folder"
    assert reopen(plain.origin).splits["test"].names == plain.splits["test"].names


def test_one_line_says_what_is_wrong(root: Path) -> None:
    with pytest.raises(DataError, match=r"no spoken digits in .*fsdd: put recordings.tar.xz"):
        spoken_digits()
    root.mkdir(parents=True)
    (root / "recordings.tar.xz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="is damaged"):
        spoken_digits()
    (root / "recordings").mkdir()
    with pytest.raises(DataError, match="has no recordings named"):
        spoken_digits()
    for digit in range(2):
        (root / "recordings" / f"{digit}_ann_0.wav").write_bytes(spoken(digit, "ann", 0))
    with pytest.raises(UsageError, match=r"unknown speaker 'bob': .*ann"):
        find("spoken-digits:held-out=bob")
    with pytest.raises(UsageError, match="one speaker only"):
        find("spoken-digits:held-out=ann")
    with pytest.raises(UsageError, match="unknown option of spoken-digits 'heldout'"):
        find("spoken-digits:heldout=ann")


def test_the_real_recordings_are_3000_of_six_speakers(shared_data: Path) -> None:
    if not (shared_data / "fsdd").is_dir():
        pytest.skip("STRIATE_DATA has no spoken digits")
    found = find("spoken-digits")
    assert {name: len(split) for name, split in found.splits.items()} == {
        "train": 2700,
        "test": 300,
    }
    assert np.bincount(found.splits["test"].labels).tolist() == [30] * 10
