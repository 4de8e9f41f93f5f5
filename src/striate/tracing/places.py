"""Which place of the picture an element of a tensor belongs to, through any reshaping.

A dimension of a tensor is a product of atoms: H and W of a map are one each, the tokens of a
transformer are two in one dimension, the windows of a window attention are the outer and the inner
part of an atom that was split. What mixes a dimension sees as far as the dimension's atoms reach.
"""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from striate.geometry import Field, Window


class Atom(NamedTuple):
    """A factor of a dimension: how many places, and how far the last lies from the first."""

    extent: int
    reach: tuple[int, ...]  # in places of the present map, along each axis of the picture
    even: bool = True  # all the same distance apart, so that it can be split


Dim = tuple[Atom, ...]


class Seen(NamedTuple):
    """What the elements of a tensor see of the picture, and which place each stands for."""

    fields: tuple[Field, ...]  # one for each axis of the picture
    dims: tuple[Dim, ...]  # the atoms of each of the tensor's dimensions, outermost first
    picture: tuple[int, ...]  # the sizes of its axes, in pixels

    @property
    def whole(self) -> bool:
        """Tell whether every element sees the whole picture."""
        pairs = zip(self.fields, self.picture, strict=True)
        return all(field.jump == 0 and field.covers(size) for field, size in pairs)


def picture(shape: Sequence[int], axes: int) -> Seen:
    """Return what a picture sees of itself: its last `axes` dimensions are places."""
    plain = len(shape) - axes
    dims = [plain_dim(size, axes) for size in shape[:plain]]
    dims += [map_dim(size, axis, axes) for axis, size in enumerate(shape[plain:])]
    return Seen((Field(),) * axes, tuple(dims), tuple(shape[plain:]))


def plain_dim(size: int, axes: int) -> Dim:
    """Return a dimension that is no place: pictures of a batch, channels."""
    return (Atom(size, (0,) * axes),)


def map_dim(size: int, axis: int, axes: int) -> Dim:
    """Return a dimension that runs along one axis of the picture."""
    return (Atom(size, tuple(size - 1 if axis == a else 0 for a in range(axes))),)


def reach(dims: Iterable[Dim], axes: int) -> list[int]:
    """Add up how far dimensions reach along each axis."""
    atoms = [atom for dim in dims for atom in dim]
    return [sum(atom.reach[axis] for atom in atoms) for axis in range(axes)]


def axis_of(dim: Dim) -> int | None:
    """Return the one axis along which a dimension runs; None if there is none, or several."""
    axes = {axis for atom in dim for axis, far in enumerate(atom.reach) if far}
    return axes.pop() if len(axes) == 1 else None


def step(dim: Dim, axes: int) -> tuple[int, ...]:
    """Return how far neighbours along a dimension lie apart, if it runs evenly."""
    gaps = max(count(dim) - 1, 1)
    return tuple(far // gaps for far in reach([dim], axes))


def mixed(seen: Seen, places: Iterable[int], *, keep: bool) -> Seen:
    """Mix the elements along dimensions, which then are gone, or (`keep`) of size 1."""
    axes, chosen = len(seen.picture), {place % len(seen.dims) for place in places}
    far = reach((seen.dims[place] for place in chosen), axes)
    left = [
        plain_dim(1, axes) if place in chosen else dim
        for place, dim in enumerate(seen.dims)
        if keep or place not in chosen
    ]
    fields = (
        field._replace(size=field.size + f * field.jump)
        for field, f in zip(seen.fields, far, strict=True)
    )
    return settled(Seen(tuple(fields), tuple(left), seen.picture))


def all_mixed(seen: Seen, shape: Sequence[int]) -> Seen:
    """Mix everything: each element of the new shape sees what all the old ones saw."""
    axes = len(seen.picture)
    gone = mixed(seen, range(len(seen.dims)), keep=False)
    return gone._replace(dims=tuple(plain_dim(size, axes) for size in shape))


def settled(seen: Seen) -> Seen:
    """Stop the fields of axes along which no dimension runs; they end at the picture's edges."""
    far = reach(seen.dims, len(seen.picture))
    fields = []
    for field, f, size in zip(seen.fields, far, seen.picture, strict=True):
        if not f and field.covers(size):
            field = Field(Fraction(size), Fraction(0), Fraction(0))
        fields.append(field if f else field._replace(jump=Fraction(0)))
    return seen._replace(fields=tuple(fields))


def joined(several: Sequence[Seen], shape: Sequence[int]) -> Seen:
    """Return what elements see that depend on several tensors, broadcast to one shape."""
    first = several[0]
    fields = list(first.fields)
    for other in several[1:]:
        for axis, (a, b) in enumerate(zip(fields, other.fields, strict=True)):
            still = [f for f in (a, b) if f.jump == 0 and f.covers(first.picture[axis])]
            fields[axis] = still[0] if still else a.joined(b)
    dims = tuple(
        _broadcast([seen.dims for seen in several], place - len(shape), size, len(first.picture))
        for place, size in enumerate(shape)
    )
    return Seen(tuple(fields), dims, first.picture)


def _broadcast(layouts: Sequence[tuple[Dim, ...]], place: int, size: int, axes: int) -> Dim:
    """Choose, counted from the last, the dimension that says most about places."""
    dims = [dims[place] for dims in layouts if len(dims) >= -place]
    fitting = [dim for dim in dims if count(dim) == size]
    return max(fitting, key=lambda dim: sum(reach([dim], axes)), default=plain_dim(size, axes))


def count(dim: Dim) -> int:
    """Return the size of a dimension."""
    return math.prod(atom.extent for atom in dim)


def regrouped(seen: Seen, shape: Sequence[int]) -> Seen:
    """Return the same elements in another shape; all mixed where an atom would not split evenly."""
    atoms = [atom for dim in seen.dims for atom in dim if atom.extent != 1][::-1]
    dims = []
    for size in shape:
        dim: list[Atom] = []
        while size > 1:
            if not atoms or math.gcd(atoms[-1].extent, size) == 1:
                return all_mixed(seen, shape)
            atom = atoms.pop()
            if size % atom.extent:  # it is too large: its inner part is left for the next
                halves = _split(atom, math.gcd(atom.extent, size))
                if halves is None:
                    return all_mixed(seen, shape)
                atom, inner = halves
                atoms.append(inner)
            dim.append(atom)
            size //= atom.extent
        dims.append(tuple(dim) or plain_dim(1, len(seen.picture)))
    return seen._replace(dims=tuple(dims))


def _split(atom: Atom, outer: int) -> tuple[Atom, Atom] | None:
    if not atom.even:
        return None
    inner = atom.extent // outer
    steps = [far // (atom.extent - 1) for far in atom.reach]
    return (
        Atom(outer, tuple((outer - 1) * inner * step for step in steps)),
        Atom(inner, tuple((inner - 1) * step for step in steps)),
    )


def slid(seen: Seen, shape: Sequence[int], windows: Sequence[Window], *, spread: bool) -> Seen:
    """Slide windows along the last dimensions; `spread` is a transposed convolution.

    A dimension that stands for no place (channels of a convolution over channels) moves nothing;
    one that stands for several at once is mixed.
    """
    axes, first = len(seen.picture), len(seen.dims) - len(windows)
    fields, dims = list(seen.fields), [plain_dim(size, axes) for size in shape]
    for place, window in enumerate(windows, first):
        far, axis = reach([seen.dims[place]], axes), axis_of(seen.dims[place])
        if axis is None and any(far):
            return all_mixed(seen, shape)
        if axis is None:
            continue
        field = _stepped(fields[axis], seen.dims[place], axis, axes)
        through = field.through_transposed if spread else field.through
        fields[axis] = through(
            window.kernel, stride=window.stride, before=window.before, dilation=window.dilation
        )
        dims[place - len(seen.dims)] = map_dim(shape[place - len(seen.dims)], axis, axes)
    return settled(Seen(tuple(fields), tuple(dims), seen.picture))


def rescaled(seen: Seen, shape: Sequence[int], more: int, places: Sequence[int]) -> Seen:
    """Return maps of another size, each element of which sees `more` places than before."""
    axes = len(seen.picture)
    fields, dims = list(seen.fields), [plain_dim(size, axes) for size in shape]
    for place in places:
        axis, before = axis_of(seen.dims[place]), count(seen.dims[place])
        if axis is None:
            continue
        field = _stepped(fields[axis], seen.dims[place], axis, axes)
        fields[axis] = Field(
            field.size + more * field.jump, field.jump * Fraction(before, shape[place]), field.start
        )
        dims[place] = map_dim(shape[place], axis, axes)
    return settled(Seen(tuple(fields), tuple(dims), seen.picture))


def _stepped(field: Field, dim: Dim, axis: int, axes: int) -> Field:
    """Return the field of a dimension's neighbours, which may lie more than one place apart."""
    return field._replace(jump=field.jump * (step(dim, axes)[axis] or 1))
