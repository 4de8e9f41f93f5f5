import os
from pathlib import Path

import pytest
import torch

from striate.data import pixelfile
from striate.data.batches import Pictures, Unreadable, read
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.sources.archives import Archive, Inside
from striate.data.sources.layouts import folder
from striate.data.splits import Split
from striate.errors import DataError
from striate.images import PictureError

COLOUR = Preprocessing(size=(6, 5), channels=3, normalise="none")


def cached(
    split: Split, cache: Path, preprocessing: Preprocessing = COLOUR, *, strict: bool = False
) -> tuple[Pictures, list[Unreadable]]:
    return read(split, preprocessing, workers=2, held_bytes=0, cache=cache, strict=strict)


def damage(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_pixels_in_a_file_are_those_in_memory(photos: Path, tmp_path: Path) -> None:
    split = folder(photos).splits["train"]
    held, _ = read(split, COLOUR, workers=0)
    for _ in range(2):
        kept, unreadable = cached(split, tmp_path / "cache")
        assert kept.pixels is not None
        assert held.pixels is not None
        assert torch.equal(kept.pixels, held.pixels)
        assert unreadable == []
    assert sorted(p.suffix for p in (tmp_path / "cache").iterdir()) == [".json", ".lock", ".pixels"]


def test_the_second_time_no_picture_is_decoded(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = folder(photos).splits["train"]
    first, _ = cached(split, tmp_path / "cache")
    monkeypatch.setattr(Preprocessing, "pixels", None)
    second, _ = cached(split, tmp_path / "cache")
    assert first.pixels is not None
    assert second.pixels is not None
    assert torch.equal(first.pixels, second.pixels)


def test_a_changed_file_another_size_and_another_order_are_decoded_anew(
    photos: Path, tmp_path: Path
) -> None:
    split = folder(photos).splits["train"]
    before = pixelfile.place(tmp_path, split, COLOUR)
    assert pixelfile.place(tmp_path, split, COLOUR) == before
    others = [
        Preprocessing(size=(6, 5), normalise="none", fit="stretch"),
        Preprocessing(size=(5, 6), normalise="none"),
        Preprocessing(size=(6, 5), normalise="none", share=0.9),
        Preprocessing(size=(6, 5), normalise="none", filter="bicubic"),
        Preprocessing(size=(6, 5), normalise="none", channels=1),
    ]
    found = {pixelfile.place(tmp_path, split, other) for other in others}
    backwards = Split(split.pictures[::-1], split.labels[::-1], split.names[::-1])
    found.add(pixelfile.place(tmp_path, backwards, COLOUR))
    os.utime(photos / "ring/3.png", (1, 1))
    found.add(pixelfile.place(tmp_path, split, COLOUR))
    damage(photos / "ring/3.png")
    found.add(pixelfile.place(tmp_path, split, COLOUR))
    (photos / "ring/3.png").unlink()
    found.add(pixelfile.place(tmp_path, split, COLOUR))
    assert len(found | {before}) == 10


def test_normalisation_is_no_matter_of_pixels(photos: Path, tmp_path: Path) -> None:
    split = folder(photos).splits["train"]
    other = Preprocessing(size=(6, 5), normalise="dataset", mean=(0.4,), std=(0.2,))
    assert pixelfile.place(tmp_path, split, other) == pixelfile.place(tmp_path, split, COLOUR)


def test_unreadable_pictures_are_listed_each_time(photos: Path, tmp_path: Path) -> None:
    damage(photos / "cross/0.png")
    damage(photos / "stripes/5.png")
    split = folder(photos).splits["train"]
    held, listed = read(split, COLOUR, workers=0)
    for _ in range(2):
        kept, unreadable = cached(split, tmp_path / "cache")
        assert kept.pixels is not None
        assert held.pixels is not None
        assert torch.equal(kept.pixels, held.pixels)
        assert unreadable == listed
        assert kept.labels.tolist() == held.labels.tolist()
        with pytest.raises(PictureError, match=r"cross/0\.png"):
            cached(split, tmp_path / "cache", strict=True)


def test_a_damaged_file_of_pixels_is_made_again(photos: Path, tmp_path: Path) -> None:
    split = folder(photos).splits["train"]
    kept, _ = cached(split, tmp_path)
    assert kept.pixels is not None
    path = pixelfile.place(tmp_path, split, COLOUR)
    for spoil in (
        lambda: path.write_bytes(path.read_bytes()[:-1]),
        lambda: path.unlink(),
        lambda: path.with_suffix(".json").write_text("{}"),
        lambda: path.with_suffix(".json").unlink(),
    ):
        expected = kept.pixels.clone()
        spoil()
        kept, _ = cached(split, tmp_path)
        assert kept.pixels is not None
        assert torch.equal(kept.pixels, expected)


def test_too_small_a_disk_is_named_before_anything_is_written(photos: Path, tmp_path: Path) -> None:
    path = pixelfile.place(tmp_path, folder(photos).splits["train"], COLOUR)
    with pytest.raises(DataError, match=r"need 1000000000\.0 GB .* are free"):
        pixelfile.save(path, iter(()), most_bytes=10**18)
    assert list(tmp_path.glob("*.pixels")) == []


def test_a_split_in_which_nothing_is_readable_says_so(photos: Path, tmp_path: Path) -> None:
    for file in photos.rglob("*.png"):
        damage(file)
    split = folder(photos).splits["train"]
    for _ in range(2):
        with pytest.raises(DataError, match="no picture can be read; the first: "):
            cached(split, tmp_path / "cache")


def test_members_of_an_archive_are_kept_by_the_archives_state(photos: Path, tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as writer:
        for file in sorted(photos.rglob("*.png")):
            writer.write(file, file.relative_to(photos))
    split = folder(Inside(Archive(path))).splits["train"]
    kept, _ = cached(split, tmp_path / "cache")
    held, _ = read(split, COLOUR, workers=0)
    assert kept.pixels is not None
    assert held.pixels is not None
    assert torch.equal(kept.pixels, held.pixels)
    before = pixelfile.place(tmp_path, split, COLOUR)
    os.utime(path, (1, 1))
    assert pixelfile.place(tmp_path, split, COLOUR) != before
