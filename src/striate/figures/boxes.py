"""Pictures with boxes around what was found in them, and features over a face."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from . import cells, style
from .cells import Pixels

HIGHEST = 1400  # pixels of a drawn picture
SHOWN = 12  # pictures in one figure
FACE = 480
LINE = 3  # of a box


class Box(NamedTuple):
    """A box in a picture's pixels, and how sure it is."""

    left: float
    top: float
    width: float
    height: float
    text: str = ""


class Part(NamedTuple):
    """A rectangle of a feature, in pixels of the window."""

    left: int
    top: int
    width: int
    height: int
    light: bool


def boxes(
    pictures: Sequence[Pixels], found: Sequence[Sequence[Box]], captions: Sequence[str]
) -> bytes:
    """Draw pictures, (H, W) or (H, W, 3), with their boxes, one large or several a line: PNG."""
    alone = len(pictures) == 1
    columns = 1 if alone else 2 if len(pictures) <= 4 else 4
    room = (style.WIDTH - 2 * style.MARGIN + style.GAP) // columns - style.GAP
    drawn = [_boxed(picture, of, room) for picture, of in zip(pictures, found, strict=True)]
    lines = [drawn[i : i + columns] for i in range(0, len(drawn), columns)]
    heights = [max(map(len, line)) + style.LINE + style.GAP + 12 for line in lines]
    width = drawn[0].shape[1] + 2 * style.MARGIN if alone else style.WIDTH
    figure = style.canvas(width, 2 * style.MARGIN + sum(heights) - style.GAP)
    top = style.MARGIN
    for number, (line, height) in enumerate(zip(lines, heights, strict=True)):
        for column, picture in enumerate(line):
            left = style.MARGIN + column * (room + style.GAP)
            cells.place(figure, picture, left, top)
            text = style.shorten(captions[number * columns + column], room, style.SMALL)
            style.write(figure, left, top + len(picture) + 8, text, style.font(style.SMALL))
        top += height
    return style.png(figure)


def _boxed(picture: Pixels, found: Sequence[Box], room: int) -> Pixels:
    """Fit a picture in the room and draw boxes on it."""
    height, width = picture.shape[:2]
    scale = min(room / width, HIGHEST / height)
    sides = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(picture).convert("RGB").resize(sides, Image.Resampling.LANCZOS)
    pixels = np.array(image)
    for box in found:
        left, top = round(box.left * scale), round(box.top * scale)
        right = round((box.left + box.width) * scale)
        bottom = round((box.top + box.height) * scale)
        # White on both sides, so that it is seen on any picture.
        for inset in range(-1, LINE + 1):
            colour = style.ORANGE if 0 <= inset < LINE else "#FFFFFF"
            _outline(pixels, (left + inset, top + inset, right - inset, bottom - inset), colour)
    return pixels


def _outline(pixels: Pixels, corners: tuple[int, int, int, int], colour: str) -> None:
    height, width = pixels.shape[:2]
    left, top = max(0, corners[0]), max(0, corners[1])
    right, bottom = min(width, corners[2]) - 1, min(height, corners[3]) - 1
    if right <= left or bottom <= top:
        return
    shade = cells.rgb(colour)
    pixels[[top, bottom], left : right + 1] = shade
    pixels[top : bottom + 1, [left, right]] = shade


def features(face: Pixels, drawn: Sequence[tuple[str, Sequence[Part]]]) -> bytes:
    """Draw a grey face (H, W), and each feature over it: light and dark as a face has them."""
    scale = FACE // max(face.shape)
    shown = np.repeat(face[:, :, None], 3, axis=2)
    pictures = [("mean of the faces", _enlarged(shown, scale))]
    for name, parts in drawn:
        pictures.append((name, _covered(shown, parts, scale)))
    pitch = FACE + style.GAP + 8
    height = len(pictures[0][1]) + 2 * style.MARGIN + style.LINE + 8
    figure = style.canvas(2 * style.MARGIN + pitch * len(pictures) - style.GAP - 8, height)
    for number, (name, picture) in enumerate(pictures):
        left = style.MARGIN + number * pitch
        cells.place(figure, picture, left, style.MARGIN)
        below = style.MARGIN + len(picture) + 8
        style.write(figure, left, below, name, style.font(style.SMALL))
    return style.png(figure)


def _enlarged(shown: Pixels, scale: int) -> Pixels:
    return shown.repeat(scale, axis=0).repeat(scale, axis=1)


def _covered(shown: Pixels, parts: Sequence[Part], scale: int) -> Pixels:
    """Lay a feature's rectangles over a face, which stays seen through them."""
    picture = _enlarged(shown, scale).astype(np.float32)
    for part in parts:
        place = (
            slice(part.top * scale, (part.top + part.height) * scale),
            slice(part.left * scale, (part.left + part.width) * scale),
        )
        target = 255 if part.light else 0
        picture[place] = 0.35 * picture[place] + 0.65 * target
    pixels = picture.round().astype(np.uint8)
    for part in parts:
        right, bottom = part.left + part.width, part.top + part.height
        for inset in range(2):
            corners = (
                part.left * scale + inset,
                part.top * scale + inset,
                right * scale - inset,
                bottom * scale - inset,
            )
            _outline(pixels, corners, style.BLUE)
    return pixels
