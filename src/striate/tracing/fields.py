"""What each of torch's operations does to receptive fields.

Statistics of norms are left out: they would make every field the whole picture. An operation that
is not listed sees what its inputs see, element by element if it keeps their shape, else all of it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from striate.geometry import Window

from . import costs
from .places import (
    Atom,
    Seen,
    all_mixed,
    axis_of,
    count,
    joined,
    mixed,
    plain_dim,
    reach,
    regrouped,
    rescaled,
    settled,
    slid,
    step,
)

Look = Callable[[Any], Seen | None]  # what a tensor sees; None for a weight or a constant
Rule = Callable[[Seen, Sequence[Any], Sequence[int]], Seen]  # (input, arguments, shape) -> output


def behind(name: str, arguments: Sequence[Any], out: Tensor, look: Look) -> Seen | None:
    """Return what an operation's output sees; None if it depends on no picture."""
    if name in CONSTANTS:
        return None
    tensors = [one for argument in arguments for one in _flat(argument)]
    several = [seen for seen in map(look, tensors) if seen is not None]
    if not several:
        return None
    shape = tuple(out.shape)
    if name in PRODUCTS:
        return _product([look(a) for a in PRODUCTS[name](arguments)], shape)
    if name in costs.ATTENTION:
        return _attention([look(a) for a in arguments[:3]], shape)
    if name == "cat" or name == "stack":
        return _side_by_side(name, several, arguments, shape)
    rule = RULES.get(name)
    first = look(arguments[0])
    if rule and first is not None:
        return rule(first, arguments, shape)
    return pointwise(several, shape)


def pointwise(several: Sequence[Seen], shape: Sequence[int]) -> Seen:
    """Join inputs that can be broadcast to the output; mix all of those that cannot."""
    fitting = [
        seen if _fits(seen, shape) else all_mixed(seen, (1,) * len(shape)) for seen in several
    ]
    return joined(fitting, shape)


def _fits(seen: Seen, shape: Sequence[int]) -> bool:
    sizes = [count(dim) for dim in seen.dims]
    pairs = zip(sizes[::-1], list(shape)[::-1], strict=False)
    return len(sizes) <= len(shape) and all(a in (1, b) for a, b in pairs)


def _flat(argument: Any) -> list[Any]:
    return list(argument) if isinstance(argument, (list, tuple)) else [argument]


def _product(pair: Sequence[Seen | None], shape: Sequence[int]) -> Seen | None:
    """Multiply (..., M, K) by (..., K, N): the K are mixed, M and N stay."""
    a, b = pair
    axes = len((a or b or Seen((), (), ())).picture)
    one = (Atom(1, (0,) * axes),)
    parts = []
    if a is not None:
        left = mixed(a, [-1], keep=False)
        parts.append(left._replace(dims=(*left.dims, one)))
    if b is not None:
        right = mixed(b, [-2], keep=False)
        parts.append(right._replace(dims=(*right.dims[:-1], one, right.dims[-1])))
    return pointwise(parts, shape) if parts else None


def _attention(three: Sequence[Seen | None], shape: Sequence[int]) -> Seen | None:
    """Attend with queries (N, heads, L, D) to keys and values: they are mixed over their places."""
    query, *others = three
    parts = [mixed(seen, [-2], keep=True) for seen in others if seen is not None]
    if query is not None:
        parts.insert(0, query)
    # Queries and keys may be wider or narrower than the values: their last dimension is no place.
    axes = len(parts[0].picture)
    parts = [seen._replace(dims=(*seen.dims[:-1], plain_dim(1, axes))) for seen in parts]
    return pointwise(parts, shape)


def _side_by_side(
    name: str, several: Sequence[Seen], arguments: Sequence[Any], shape: Sequence[int]
) -> Seen:
    """Concatenate. A class token before the tokens of the map makes their dimension uneven."""
    axes = len(several[0].picture)
    place = (arguments[1] if len(arguments) > 1 else 0) % len(shape)
    fields = joined(several, ()).fields
    widest = max(several, key=lambda seen: sum(reach(seen.dims, axes)))
    dims = list(widest.dims)
    if name == "stack":
        dims.insert(place, plain_dim(shape[place], axes))
    else:
        far = tuple(reach([dims[place]], axes))
        dims[place] = (Atom(shape[place], far, even=not any(far)),)
    return Seen(fields, tuple(dims), several[0].picture)


def _at(arguments: Sequence[Any], place: int, default: Any) -> Any:
    return arguments[place] if len(arguments) > place else default


def _sliding(name: str) -> Rule:
    def rule(seen: Seen, arguments: Sequence[Any], shape: Sequence[int]) -> Seen:
        found = costs.sliding(name, arguments)
        assert found is not None
        before = [pads[0] for pads in found.padding]
        numbers = zip(found.kernel, found.stride, before, found.dilation, strict=True)
        return slid(seen, shape, [Window(*each) for each in numbers], spread=found.transposed)

    return rule


def _adaptive(axes: int) -> Rule:
    def rule(seen: Seen, _: Sequence[Any], shape: Sequence[int]) -> Seen:
        windows = []
        for place in range(-axes, 0):
            inputs, outputs = count(seen.dims[place]), shape[place]
            # Output i takes the inputs from floor(i r) to ceil((i + 1) r), r = inputs / outputs.
            spans = (
                -(-(i + 1) * inputs // outputs) - i * inputs // outputs for i in range(outputs)
            )
            windows.append(Window(max(spans), max(inputs // outputs, 1)))
        return slid(seen, shape, windows, spread=False)

    return rule


def _resized(axes: int, more: int) -> Rule:
    def rule(seen: Seen, _: Sequence[Any], shape: Sequence[int]) -> Seen:
        return rescaled(seen, shape, more, range(len(shape) - axes, len(shape)))

    return rule


def _reduction(place: int) -> Rule:
    def rule(seen: Seen, arguments: Sequence[Any], shape: Sequence[int]) -> Seen:
        dims = _at(arguments, place, None)
        if dims is None or dims == [] or isinstance(dims, bool):
            return all_mixed(seen, shape)
        return mixed(seen, _flat(dims), keep=len(shape) == len(seen.dims))

    return rule


def _permute(seen: Seen, arguments: Sequence[Any], _: Sequence[int]) -> Seen:
    return seen._replace(dims=tuple(seen.dims[place] for place in arguments[1]))


def _transpose(seen: Seen, arguments: Sequence[Any], _: Sequence[int]) -> Seen:
    dims, (a, b) = list(seen.dims), arguments[1:3] if len(arguments) > 1 else (0, -1)
    dims[a], dims[b] = dims[b], dims[a]
    return seen._replace(dims=tuple(dims))


def _view(seen: Seen, _: Sequence[Any], shape: Sequence[int]) -> Seen:
    return regrouped(seen, shape)


def _expand(seen: Seen, _: Sequence[Any], shape: Sequence[int]) -> Seen:
    return joined([seen], shape)


def _select(seen: Seen, arguments: Sequence[Any], _: Sequence[int]) -> Seen:
    place = _at(arguments, 1, 0) % len(seen.dims)
    chosen = _moved(seen, place, _at(arguments, 2, 0))
    return settled(chosen._replace(dims=seen.dims[:place] + seen.dims[place + 1 :]))


def _moved(seen: Seen, place: int, first: int) -> Seen:
    """Begin a dimension at another of its elements."""
    dim = seen.dims[place]
    far, first = step(dim, len(seen.picture)), first % max(count(dim), 1)
    fields = (
        field._replace(start=field.start + first * f * field.jump)
        for field, f in zip(seen.fields, far, strict=True)
    )
    return seen._replace(fields=tuple(fields))


def _part(seen: Seen, shape: Sequence[int], every: int = 1) -> Seen:
    """Take a part of a dimension, or pad it: the places that are left are a row as before."""
    axes, dims = len(seen.picture), list(seen.dims)
    for place, size in enumerate(shape):
        if count(dims[place]) != size:
            far, even = step(dims[place], axes), axis_of(dims[place]) is not None
            if even:
                dims[place] = (Atom(size, tuple((size - 1) * every * one for one in far)),)
            else:
                far = tuple(reach([dims[place]], axes))
                dims[place] = (Atom(size, far, even=not any(far)),)
    return settled(seen._replace(dims=tuple(dims)))


def _cut(seen: Seen, _: Sequence[Any], shape: Sequence[int]) -> Seen:
    return _part(seen, shape)


def _slice(seen: Seen, arguments: Sequence[Any], shape: Sequence[int]) -> Seen:
    place, start, every = (_at(arguments, i, default) for i, default in ((1, 0), (2, 0), (4, 1)))
    return _part(_moved(seen, place, start or 0), shape, every)


def _padded(seen: Seen, arguments: Sequence[Any], shape: Sequence[int]) -> Seen:
    fields = list(seen.fields)
    for dim, before in zip(seen.dims[::-1], arguments[1][::2], strict=False):
        far = reach([dim], len(fields))
        for axis, field in enumerate(fields):
            if far[axis]:
                fields[axis] = field._replace(start=field.start - before * field.jump)
    return _part(seen._replace(fields=tuple(fields)), shape)


def _patches(seen: Seen, arguments: Sequence[Any], shape: Sequence[int]) -> Seen:
    """Lay the patches of a map side by side: (N, C, H, W) -> (N, C k k, places)."""
    _, kernel, dilation, padding, stride = arguments
    maps = [
        (count(dim) + 2 * p - d * (k - 1) - 1) // s + 1
        for dim, k, d, p, s in zip(seen.dims[-2:], kernel, dilation, padding, stride, strict=True)
    ]
    numbers = zip(kernel, stride, padding, dilation, strict=True)
    sliding = [Window(*each) for each in numbers]
    found = slid(seen, (*shape[:-1], *maps), sliding, spread=False)
    return regrouped(found, shape) if math.prod(maps) == shape[-1] else all_mixed(seen, shape)


def _everything(seen: Seen, _: Sequence[Any], shape: Sequence[int]) -> Seen:
    return all_mixed(seen, shape)


def _shuffled(seen: Seen, arguments: Sequence[Any], shape: Sequence[int]) -> Seen:
    larger = shape[-1] > count(seen.dims[-1])
    places = range(len(shape) - 2, len(shape))
    return rescaled(seen, shape, 0 if larger else arguments[1] - 1, places)


# Of their input they take the shape alone.
CONSTANTS = {
    *("new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided"),
    *("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"),
}
PRODUCTS: dict[str, Callable[[Sequence[Any]], Sequence[Any]]] = {
    "mm": lambda given: given[:2],
    "bmm": lambda given: given[:2],
    "addmm": lambda given: given[1:3],
    "baddbmm": lambda given: given[1:3],
}
SLIDING = (
    "convolution",
    *(f"max_pool{n}d_with_indices" for n in (1, 2, 3)),
    *(f"avg_pool{n}d" for n in (1, 2, 3)),
)
RULES: dict[str, Rule] = {
    **{name: _sliding(name) for name in SLIDING},
    **{f"_adaptive_avg_pool{n}d": _adaptive(n) for n in (2, 3)},
    **{f"adaptive_max_pool{n}d": _adaptive(n) for n in (2, 3)},
    **{f"fractional_max_pool{n}d": _adaptive(n) for n in (2, 3)},
    **{f"upsample_nearest{n}d": _resized(n, 0) for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": _resized(n, 0) for n in (1, 2, 3)},
    "upsample_bilinear2d": _resized(2, 1),
    "upsample_bicubic2d": _resized(2, 3),
    **{name: _reduction(1) for name in ("mean", "sum", "amax", "amin", "max", "min", "prod")},
    **{name: _reduction(1) for name in ("var_mean", "var", "std", "logsumexp", "any", "argmax")},
    "linalg_vector_norm": _reduction(2),
    "permute": _permute,
    "transpose": _transpose,
    "t": _transpose,
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias"), _view),
    **dict.fromkeys(("unsqueeze", "squeeze"), _view),
    "expand": _expand,
    **dict.fromkeys(("select", "unbind"), _select),
    **dict.fromkeys(("split", "split_with_sizes", "narrow", "index_select"), _cut),
    **dict.fromkeys(("constant_pad_nd", "reflection_pad2d", "replication_pad2d"), _padded),
    "slice": _slice,
    "im2col": _patches,
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), _shuffled),
    **dict.fromkeys(("_fft_r2c", "_fft_c2c", "_fft_c2r", "cumsum", "sort", "topk"), _everything),
}
