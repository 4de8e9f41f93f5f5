"""Any network to paint with, through forward hooks on its modules."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from striate import features
from striate.errors import UsageError, choose
from striate.features import Activation
from striate.painting.tiling.tiles import Tile

# Bytes of memory that the first step takes once, measured with four networks.
LOADED = 85 * 2**20
# A picture on which a network is run once to list its maps: large enough for every layer.
PROBE = 128
# Layers by default: one at each size down to a 16th of the picture, content at an eighth.
COARSEST, CONTENT_AT = 16, 8
Numbers = tuple[float, ...]


class Tapped(nn.Module):
    """Any network for RGB pictures, frozen; it sees a picture whole."""

    grid = None
    loaded = LOADED

    def __init__(self, model: nn.Module, *, mean: Numbers, std: Numbers) -> None:
        """Wrap a network that takes pictures less `mean`, divided by `std`."""
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        _prepare(self.model)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])
        self.precision = torch.float32
        self.maps = self._maps()
        self.style, self.content = _usual(self.maps)
        self._pixel_bytes = self._measured()

    def choose(self, style: Sequence[str], content: str) -> Self:
        """Take style and content from these modules; none or "": as before."""
        known = [one.name for one in self.maps]
        for name in [*style, *([content] if content else [])]:
            choose("activation that is a map (N, C, H, W)", name, known)
        self.style, self.content = tuple(style) or self.style, content or self.content
        if not self.style:
            raise UsageError("this network has no maps (N, C, H, W) to take style from")
        self._pixel_bytes = self._measured()
        return self

    def walk(self, images: Tensor, tile: Tile | None = None) -> Iterator[tuple[str, Tensor]]:
        """Return the named activations of pictures (N, 3, H, W) in [0, 1]."""
        assert tile is None, "it sees a picture whole"
        found: dict[str, Tensor] = {}
        self._run(images, found.__setitem__)
        yield from found.items()

    def sizes(self, height: int, width: int) -> dict[str, tuple[int, int]]:
        """Return height and width of all named activations that pictures of this size reach."""
        found: dict[str, tuple[int, int]] = {}
        try:
            with torch.no_grad():
                self._run(
                    self.get_buffer("mean").new_zeros(1, 3, height, width),
                    lambda name, x: found.__setitem__(name, (x.shape[2], x.shape[3])),
                )
        except (RuntimeError, ValueError) as error:  # torch's ways to say that nothing is left
            if "size" not in str(error):
                raise
        return {name: size for name, size in found.items() if min(size) > 0}

    def front(self, height: int, width: int) -> None:
        """Have no part that is run in strips."""

    @property
    def widths(self) -> dict[str, int]:
        """The channels of each named activation."""
        wanted = {*self.style, self.content}
        return {one.name: one.shape[0] for one in self.maps if one.name in wanted}

    @property
    def device(self) -> torch.device:
        """Where it runs, and with it the painting."""
        return self.get_buffer("mean").device

    def place(self, device: torch.device, precision: torch.dtype) -> Self:
        """Move it to a device; what may run in a lower precision does."""
        self.precision = precision
        return self.to(device)

    def weights(self) -> list[str]:
        """List the keys of the weights that the named activations depend on."""
        ran: list[str] = []
        hooks = [
            module.register_forward_pre_hook(lambda *_, name=name: ran.append(name))
            for name, module in self.model.named_modules()
        ]
        self.sizes(PROBE, PROBE)
        for hook in hooks:
            hook.remove()
        own = {f"{name}." if name else "" for name in ran}
        return [key for key in self.model.state_dict() if f"{key.rpartition('.')[0]}." in own]

    def _run(self, images: Tensor, keep: Callable[[str, Tensor], None]) -> None:
        wanted = {*self.style, self.content}
        last = [one.name for one in self.maps if one.name in wanted][-1]

        def tap(name: str, found: Tensor) -> None:
            if name in wanted:
                keep(name, found)
            if name == last:
                raise features.Reached

        paths = {features.path_of(name) for name in wanted}
        cast = torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16
        )
        with contextlib.suppress(features.Reached), features.watching(self.model, tap, paths), cast:
            self.model((images - self.get_buffer("mean")) / self.get_buffer("std"))

    def _maps(self) -> list[Activation]:
        try:
            found = features.listed(
                self.model, self.get_buffer("mean").new_zeros(1, 3, PROBE, PROBE)
            )
        except (RuntimeError, AssertionError, ValueError) as error:
            raise UsageError(
                f"painting needs a network for RGB pictures of any size, this one says: {error}"
            ) from error
        return [one for one in found if len(one.shape) == 3 and one.shape[1] > 1]

    def pixel_bytes(self, *, additive: bool) -> int:  # noqa: ARG002
        """Return the bytes of memory that a step takes for a pixel, whatever the loss."""
        return self._pixel_bytes

    def _measured(self) -> int:
        """Measure what autograd keeps for a pixel, with room for what lies between."""
        kept: dict[int, int] = {}

        def note(x: Tensor) -> Tensor:
            kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        if not self.style:
            return 0
        images = self.get_buffer("mean").new_zeros(1, 3, PROBE, PROBE).requires_grad_()
        known = {p.untyped_storage().data_ptr() for p in self.model.state_dict().values()}
        with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
            found = dict(self.walk(images))
        saved = sum(size for place, size in kept.items() if place not in known)
        largest = max(x.numel() * x.element_size() for x in found.values())
        return (saved + 3 * largest) // PROBE**2


def _prepare(model: nn.Module) -> None:
    """Repeat borders instead of zeros, and leave no activation to be overwritten by the next."""
    for module in model.modules():
        # A subclass pads in its own way.
        if (
            type(module) is nn.Conv2d
            and module.padding_mode == "zeros"
            and module.padding != (0, 0)
        ):
            module.padding_mode = "replicate"
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]


def _usual(maps: Sequence[Activation]) -> tuple[tuple[str, ...], str]:
    """Return style's layers and content's where none are named."""
    last: dict[int, str] = {}
    for one in maps:
        # Of the modules that give maps of one size, the outermost that ends last.
        height = one.shape[1]
        known = last.get(height)
        if height * COARSEST >= PROBE and (
            known is None or one.name.count(".") <= known.count(".")
        ):
            last[height] = one.name
    if not last:
        return (), ""
    return tuple(last.values()), last[min(h for h in last if h * CONTENT_AT >= PROBE)]
