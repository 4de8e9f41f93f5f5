"""Damaged and hostile files through the data doctor: is each listed once, does the parent live?

    python benchmarks/hostile.py [--pictures 5000] [--seed 0]

Mutated pictures of every format lie beside a tenth as many good ones; headers lie about sizes;
archives name places outside themselves, hold links, devices, bombs and damaged members.
"""

import argparse
import io
import random
import resource
import struct
import tarfile
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

import striate
from striate.errors import DataError

FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tif"}
FORMATS |= {"PPM": "ppm", "AVIF": "avif", "HEIF": "heic", "JPEG2000": "jp2", "ICO": "ico"}
FORMATS |= {"TGA": "tga", "DDS": "dds", "SGI": "sgi", "PCX": "pcx", "QOI": "qoi", "DIB": "dib"}
COMPRESSIONS = ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg")


def picture(number: int) -> Image.Image:
    """Draw smooth colours, of other sizes and colours for each number."""
    generator = np.random.default_rng(number)
    coarse = generator.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    size = tuple(int(side) for side in generator.integers(24, 160, 2))
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    return image.convert("L") if number % 5 == 0 else image


def encoded(image: Image.Image, format: str, number: int) -> bytes:
    """Encode with options that vary: progressive, lossless, interlaced, compressed."""
    options: dict[str, object] = {}
    if format == "JPEG":
        options = {"progressive": number % 2 == 0, "quality": 60 + number % 40}
    if format == "WEBP":
        options = {"lossless": number % 2 == 0}
    if format == "TIFF":
        options = {"compression": COMPRESSIONS[number % len(COMPRESSIONS)]}
    if format == "QOI":  # it has no grey
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Flip bits, cut, splice, repeat, or overwrite with extremes; half the time in the header."""
    found = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8, 40))):
        limit = max(1, len(found) if chance.random() < 0.5 else min(64, len(found)))
        place = chance.randrange(limit)
        kind = chance.randrange(6)
        if kind == 0:
            found[place : place + 1] = bytes([chance.randrange(256)])
        elif kind == 1 and len(found) > 16:
            del found[max(place, 8) :]
        elif kind == 2:
            found[place : place + 4] = chance.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
        elif kind == 3:
            found[place:place] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 9)))
        elif kind == 4:
            del found[place : place + chance.randrange(1, 9)]
        else:
            found[place : place + 16] = found[-16:]
    return bytes(found)


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def packed_zeros(count: int) -> bytes:
    """Compress zeros, a megabyte at a time: this process's own memory is measured."""
    packer = zlib.compressobj()
    parts = [packer.compress(bytes(min(1 << 20, count - at))) for at in range(0, count, 1 << 20)]
    return b"".join([*parts, packer.flush()])


def lies() -> dict[str, bytes]:
    """Return small files whose headers speak of large pictures, and bombs that keep their word."""
    found: dict[str, bytes] = {}
    for number, (width, height) in enumerate(((60_000, 60_000), (7_000, 7_000), (2**31 - 1, 1))):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
        found[f"lie{number}.png"] = png + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        found[f"lie{number}.ppm"] = f"P6 {width} {height} 255\n".encode() + b"\0" * 100
        found[f"lie{number}.gif"] = b"GIF89a" + struct.pack(
            "<HHBBB", width % 65536, height % 65536, 0xF0, 0, 0
        )
        bmp = struct.pack("<iiHHIIiiII", width, -height, 1, 24, 0, 0, 0, 0, 0, 0)
        found[f"lie{number}.bmp"] = (
            b"BM" + struct.pack("<IHHI", 154, 0, 0, 54) + struct.pack("<I", 40) + bmp + b"\0" * 100
        )
    # 49 megapixels of zeros in 150 kB: within the limit of pixels, so it is decoded, and is good.
    rows = packed_zeros((1 + 7000 * 3) * 7000)
    header = struct.pack(">IIBBBBB", 7000, 7000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    found["good-bomb.png"] = png
    # Text that unpacks to 400 MB before the first pixel.
    text = chunk(b"zTXt", b"x\0\0" + packed_zeros(400_000_000))
    small = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    found["text.png"] = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", small) + text
    return found


def zipped(members: list[tuple[str | zipfile.ZipInfo, bytes | int]]) -> bytes:
    """Return a zip file of these members, doubled names included; a number is of bytes of zero."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        warnings.catch_warnings(action="ignore"),
    ):
        for name, content in members:
            if isinstance(content, bytes):
                archive.writestr(name, content)
                continue
            with archive.open(name, "w") as handle:
                for _ in range(content >> 20):
                    handle.write(bytes(1 << 20))
    return buffer.getvalue()


def tarred(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Return a tar file of these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


NAMES = (
    "../outside.png",
    "a/../../outside.png",
    "/absolute.png",
    "a/./b.png",
    "a//b.png",
    "a\\..\\b.png",
    "C:/drive.png",
    "a/nul\0byte.png",
    "..",
    "a/" * 200 + "deep.png",
    "a/" + "n" * 3000 + ".png",
    "a/\u202egnp.exe.png",
)


def archives(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield 60 hostile archives, by name; all but the cut ones hold good pictures as well."""
    plain = [(f"{folder}/{number}.png", good) for folder in "ab" for number in range(2)]
    files = [(tarfile.TarInfo(name), content) for name, content in plain]
    whole_zip, whole_tar = zipped(list(plain)), tarred(list(files))
    for number, name in enumerate(NAMES):
        yield f"name{number}.zip", zipped([*plain, (name.replace("\0", "\1"), good)])
        yield f"name{number}.tar", tarred([*files, (tarfile.TarInfo(name), good)])
    kinds = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "char": tarfile.CHRTYPE}
    kinds |= {"block": tarfile.BLKTYPE, "fifo": tarfile.FIFOTYPE}
    for name, kind in kinds.items():
        info = tarfile.TarInfo(f"a/{name}.png")
        info.type, info.linkname = kind, "/etc/passwd"
        yield f"{name}.tar", tarred([*files, (info, b"")])
    for name, mode in (("link", 0o120777), ("device", 0o020666), ("fifo", 0o010666)):
        entry = zipfile.ZipInfo(f"a/{name}.png")
        entry.external_attr = mode << 16
        yield f"{name}.zip", zipped([*plain, (entry, b"/etc/passwd")])
    for share in (0.1, 0.5, 0.9, 0.99):
        yield f"cut{share}.zip", whole_zip[: int(len(whole_zip) * share)]
        yield f"cut{share}.tar", whole_tar[: int(len(whole_tar) * share)]
    yield "bomb.zip", zipped([*plain, ("a/bomb.png", 200 << 20)])
    yield "large.zip", zipped([*plain, ("a/large.png", 600 << 20)])
    yield "double.zip", zipped([*plain, plain[0]])
    yield "double.tar", tarred([*files, files[0]])
    yield from _patched(whole_zip, whole_tar)
    yield "empty.zip", zipped([])
    yield "empty.tar", tarred([])
    yield "text.zip", b"no archive at all"
    yield "text.tar", b"no archive at all" * 100
    yield "many.zip", zipped([*plain, *((f"a/{n}.txt", b"") for n in range(20_000))])
    nested = zipped([*plain, ("a/inner.zip", whole_zip)])
    yield "nested.zip", nested


def _patched(whole_zip: bytes, whole_tar: bytes) -> Iterator[tuple[str, bytes]]:
    """Change single fields of good archives: sizes, checksums, methods, offsets, flags."""
    entry = whole_zip.index(b"PK\1\2")
    fields = {"crc": (16, 4), "packed": (20, 4), "size": (24, 4), "offset": (42, 4)}
    fields |= {"method": (10, 2), "flags": (8, 2)}
    for name, (offset, width) in fields.items():
        content = bytearray(whole_zip)
        content[entry + offset : entry + offset + width] = b"\x7f" + b"\xff" * (width - 1)
        yield f"{name}.zip", bytes(content)
    for name, (offset, value) in {
        "size": (124, b"77777777777\0"),
        "negative": (124, b"\x80" + b"\xff" * 11),
        "checksum": (148, b"0000000\0"),
        "kind": (156, b"Z"),
        "sparse": (156, b"S"),
    }.items():
        content = bytearray(whole_tar)
        content[offset : offset + len(value)] = value
        if name != "checksum":
            content[148:156] = b" " * 8
            content[148:156] = f"{sum(content[:512]):06o}\0 ".encode()
        yield f"{name}.tar", bytes(content)


def peak() -> str:
    """Return the largest memory of this process and of its children so far, in MB."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    own, theirs = (resource.getrusage(kind).ru_maxrss / 1024 for kind in kinds)
    return f"peak {own:.0f} MB here, {theirs:.0f} MB in a decoding process"


def pictures(folder: Path, count: int, seed: int) -> None:
    """Look at `count` mutated pictures among a tenth as many good ones; print what was listed."""
    chance = random.Random(seed)
    written: set[str] = set()
    for number in range(count + count // 10):
        format, suffix = list(FORMATS.items())[number % len(FORMATS)]
        content = encoded(picture(number), format, number)
        good = number >= count
        name = f"class{number % 2}/{'good' if good else 'bad'}{number:05d}.{suffix}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if good else mutated(content, chance))
        written.add(name)
    began = time.monotonic()
    report = striate.inspect(folder)
    seconds = time.monotonic() - began
    listed = Counter(entry.file for entry in report.unreadable)
    refused = sum("good" in name for name in listed)
    twice = sum(times > 1 for times in listed.values())
    lost = len(written) - sum(report.splits.values()) - len(listed)
    print(
        f"{count} mutated pictures in {len(FORMATS)} formats: {len(listed)} listed, {twice} twice, "
        f"{lost} lost; {refused} of {count // 10} good ones refused; {seconds:.1f} s; {peak()}"
    )


def headers(folder: Path) -> None:
    """Look at headers that lie, and bombs."""
    known = lies()
    for number, (name, content) in enumerate(known.items()):
        place = folder / f"class{number % 2}" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    began = time.monotonic()
    report = striate.inspect(folder)
    listed = Counter(Path(entry.file).name for entry in report.unreadable)
    wrong = set(listed) ^ {name for name in known if not name.startswith("good")}
    print(
        f"{len(known)} headers that lie and bombs: {len(listed)} listed, wrong: {sorted(wrong)}; "
        f"{time.monotonic() - began:.1f} s; {peak()}"
    )


def hostile_archives(folder: Path) -> None:
    """Look at archives one by one; nothing may appear beside them or outside."""
    good = encoded(picture(1), "PNG", 0)
    outcomes: Counter[str] = Counter()
    known = dict(archives(good))
    slowest = 0.0
    for name, content in known.items():
        home = folder / "home" / Path(name).stem
        home.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(content)
        before = sorted(map(str, folder.rglob("*")))
        began = time.monotonic()
        try:
            report = striate.inspect(home / name)
        except DataError as error:
            lines = len(str(error).splitlines())
            outcomes[f"refused whole, in {lines} line"] += 1
        else:
            said = bool(report.warnings or report.unreadable)
            outcomes["used, with a warning" if said else "used, silently"] += 1
            assert sum(report.splits.values()) >= 3, name
        slowest = max(slowest, time.monotonic() - began)
        assert sorted(map(str, folder.rglob("*"))) == before, f"{name} made a file"
    print(f"{len(known)} hostile archives: {dict(outcomes)}; slowest {slowest:.1f} s; {peak()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    pillow_heif.register_heif_opener()
    with tempfile.TemporaryDirectory() as made:
        pictures(Path(made) / "mutated", given.pictures, given.seed)
        hostile_archives(Path(made) / "archives")
        headers(Path(made) / "headers")
