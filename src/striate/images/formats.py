"""The formats of pictures: the endings of their names, the marks in their files, who opens them."""

import contextlib
import re
from collections.abc import Callable
from typing import IO, Any, NamedTuple

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    DdsImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PcxImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    PsdImagePlugin,
    QoiImagePlugin,
    SgiImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)


class UnsupportedError(Exception):
    """A file that is not read: the text says what it is, or what is missing."""


class Format(NamedTuple):
    """How files of a format are named and opened."""

    endings: str  # in lower case, a blank between two
    opener: Callable[[IO[bytes]], Image.Image]  # reads the header alone
    feature: str = ""  # of Pillow, which may be built without it


def _avif(handle: IO[bytes]) -> Image.Image:
    # Files are decoded side by side: each thread more would reserve memory that a guarded process
    # may not take.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    return AvifImagePlugin.AvifImageFile(handle)


def _heif(handle: IO[bytes]) -> Image.Image:
    try:
        import pillow_heif
    except ImportError as error:
        raise UnsupportedError(
            "HEIC is decoded by pillow-heif, which is missing: pip install pillow-heif"
        ) from error
    pillow_heif.options.DECODE_THREADS = 1  # as for AVIF
    opened: Image.Image = pillow_heif.HeifImageFile(handle)
    return opened


def _tiff(handle: IO[bytes]) -> Image.Image:
    try:
        return TiffImagePlugin.TiffImageFile(handle)
    except SyntaxError as error:
        handle.seek(0)
        if said := _tiff_layout(handle):
            raise UnsupportedError(f"{said}, which Pillow does not read: convert it") from error
        raise


# By Pillow's names. Its "JPEG" also gives the first frame of MPO, which phones write.
FORMATS: dict[str, Format] = {
    "JPEG": Format("jpg jpeg jpe jfif mpo", JpegImagePlugin.jpeg_factory),
    "PNG": Format("png apng", PngImagePlugin.PngImageFile),
    "WEBP": Format("webp", WebPImagePlugin.WebPImageFile, "webp"),
    "GIF": Format("gif", GifImagePlugin.GifImageFile),
    "BMP": Format("bmp", BmpImagePlugin.BmpImageFile),
    "DIB": Format("dib", BmpImagePlugin.DibImageFile),
    "TIFF": Format("tif tiff", _tiff),
    "PPM": Format("ppm pgm pbm pnm pfm", PpmImagePlugin.PpmImageFile),
    "AVIF": Format("avif avifs", _avif, "avif"),
    "HEIF": Format("heic heif hif", _heif),
    "JPEG2000": Format("jp2 j2k j2c jpc jpf jpx", Jpeg2KImagePlugin.Jpeg2KImageFile, "jpg_2000"),
    "ICO": Format("ico", IcoImagePlugin.IcoImageFile),
    "TGA": Format("tga icb vda vst", TgaImagePlugin.TgaImageFile),
    "DDS": Format("dds", DdsImagePlugin.DdsImageFile),
    "SGI": Format("sgi rgb rgba bw", SgiImagePlugin.SgiImageFile),
    "PCX": Format("pcx", PcxImagePlugin.PcxImageFile),
    "PSD": Format("psd", PsdImagePlugin.PsdImageFile),
    "QOI": Format("qoi", QoiImagePlugin.QoiImageFile),
}
SUFFIXES = frozenset(f".{end}" for known in FORMATS.values() for end in known.endings.split())
# Endings of files that people would call pictures too; those above are read.
KNOWN = SUFFIXES | frozenset(
    f".{suffix}"
    for suffix in (
        *("heics", "jxl", "jxr", "hdp", "wdp", "bpg", "flif", "icns", "cur", "dcx", "psb", "xcf"),
        *("kra", "pict", "pct", "xbm", "xpm", "wbmp", "pam", "exr", "hdr", "fit", "fits", "dcm"),
        *("svg", "svgz", "eps", "ai", "cdr", "emf", "wmf", "djvu", "ras", "sun", "im", "msp"),
        "iff",
        # Raw files of cameras.
        *("3fr", "ari", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "gpr", "iiq", "kdc"),
        *("mef", "mos", "mrw", "nef", "nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2"),
        *("srf", "srw", "x3f"),
    )
)

# What a file of a format begins with.
_MARKS = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF.{4}WEBP",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM",
    "TIFF": rb"(II|MM)(\x2a\x00|\x00\x2a|\x2b\x00|\x00\x2b)",
    "PPM": rb"P[1-6fy]",
    "JPEG2000": rb"\xff\x4f\xff\x51|\x00\x00\x00\x0cjP  \r\n\x87\n",
    "ICO": rb"\x00\x00\x01\x00",
    "DDS": rb"DDS ",
    "SGI": rb"\x01\xda",
    "PCX": rb"\x0a[\x00\x02\x03\x05]",
    "PSD": rb"8BPS",
    "QOI": rb"qoif",
}
# These have no mark of their own: the ending of the name decides, and a newer TGA's last bytes.
_UNMARKED = ("TGA", "DIB")
_TGA_END = b"TRUEVISION-XFILE.\x00"

# The brands of files in boxes (ISO/IEC 23008-12, annex B; AV1 Image File Format, section 6).
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    *(b"mif1", b"mif2", b"msf1"),
}

# What is found under the names of pictures, and is none that is read.
_OTHERS = {
    rb"\xff\x0a|\x00\x00\x00\x0cJXL ": "JPEG XL",
    rb"%PDF": "a PDF document",
    rb"%!PS|\xc5\xd0\xd3\xc6": "PostScript",
    rb"\s*(<\?xml[^>]*>\s*)?(<!--.*-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg": "an SVG drawing",
    rb"\s*<(!doctype html|html|head|body)": "a web page",
    rb"....ftyp": "a video",
    rb"\x1aE\xdf\xa3|RIFF....AVI ": "a video",
    rb"PK\x03\x04": "a zip archive",
    rb"version https://git-lfs": "a pointer of Git LFS, whose picture was not fetched",
    rb"\x76\x2f\x31\x01": "OpenEXR",
    rb"#\?(RADIANCE|RGBE)": "a Radiance picture",
    rb"SIMPLE  =": "a FITS file",
    rb".{128}DICM": "a DICOM file",
}
_HEAD = 512  # bytes by which a file is known


def is_picture(path: Any) -> bool:
    """Tell by its name whether a file should be a picture; hidden files are none."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def open_picture(handle: IO[bytes], name: str) -> Image.Image:
    """Open a picture's file by its content: its header is read, no pixel is decoded.

    Unlike Pillow's own `open`, one format alone is tried, and its reason to refuse is kept.
    """
    head = handle.read(_HEAD)
    kind = _recognised(head) or _by_name(handle, name)
    handle.seek(0)
    if kind is None:
        raise UnsupportedError(_called(head))
    known = FORMATS[kind]
    if known.feature and not features.check(known.feature):
        raise UnsupportedError(f"{kind} is not read by this Pillow: pip install --upgrade pillow")
    return known.opener(handle)


def _recognised(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    return next((name for name, mark in _MARKS.items() if re.match(mark, head, re.DOTALL)), None)


def _by_brand(head: bytes) -> str | None:
    main, end = head[8:12], int.from_bytes(head[:4])
    compatible = {head[place : place + 4] for place in range(16, min(end, len(head)) - 3, 4)}
    for brands in ({main} - {b"mif1", b"mif2", b"msf1"}, compatible, {main}):
        if brands & _AVIF_BRANDS:
            return "AVIF"
        if brands & _HEIC_BRANDS:
            return "HEIF"
    return None


def _by_name(handle: IO[bytes], name: str) -> str | None:
    ending = name.rpartition(".")[2].lower()
    for kind in _UNMARKED:
        if ending in FORMATS[kind].endings.split():
            return kind
    handle.seek(max(0, handle.seek(0, 2) - len(_TGA_END)))
    return "TGA" if handle.read() == _TGA_END else None


def _called(head: bytes) -> str:
    for mark, what in _OTHERS.items():
        if re.match(mark, head, re.DOTALL | re.IGNORECASE):
            return f"{what}: not read, convert it to JPEG or PNG"
    return f"not a picture, or a damaged one: the formats are {', '.join(FORMATS)}"


def _tiff_layout(handle: IO[bytes]) -> str:
    """Say what a TIFF's pixels are; nothing where its header cannot be read."""
    with contextlib.suppress(Exception):  # a damaged header may raise anything
        tags = TiffImagePlugin.ImageFileDirectory_v2(handle.read(8))
        handle.seek(tags.next)
        tags.load(handle)
        bits, numbers = tags.get(258, (1,)), tags.get(339, (1,))
        bands = int(tags.get(277, 1))
        kind = {2: "signed whole numbers", 3: "floats"}.get(numbers[0], "whole numbers")
        many = f"{bands} bands" if bands != 1 else "1 band"
        white = ", white at 0" if tags.get(262) == 0 else ""
        return f"a TIFF of {many} of {bits[0]}-bit {kind}{white}"
    return ""
