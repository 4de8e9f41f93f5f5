"""Weights to start from: a run, a .safetensors file, or a .pth file that the user passes."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from striate.errors import UsageError
from striate.models import tensorfiles

from . import folder


def load_weights(model: nn.Module, given: str) -> list[str]:
    """Fill a network from a run or file, and say what did not fit.

    Only the last layer may differ (another number of classes): it then keeps its fresh weights.
    """
    path = Path(given).expanduser()
    found = _read(path)
    own = model.state_dict()
    missing = [name for name in own if name not in found]
    unlike = [name for name in own if name in found and found[name].shape != own[name].shape]
    last = _last_layer(model)
    if missing or any(name.rpartition(".")[0] != last for name in unlike):
        name = (missing + unlike)[0]
        raise UsageError(
            f"{path} does not fit the network: {name} is "
            f"{'not in it' if missing else 'of another shape'}"
        )
    model.load_state_dict(
        {**own, **{k: v for k, v in found.items() if k in own and k not in unlike}}
    )
    fresh = f"; {last} starts fresh: the file has other classes" if unlike else ""
    return [f"weights from {path}{fresh}"]


def _read(path: Path) -> Mapping[str, Tensor]:
    if path.is_dir():
        return folder.load_weights(path)
    if path.suffix in tensorfiles.SUFFIXES:
        return tensorfiles.read(path)
    raise UsageError(f"--weights is a run, a .safetensors file or a .pth file, not {path}")


def _last_layer(model: nn.Module) -> str:
    names = [name for name, m in model.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    return names[-1] if names else ""
