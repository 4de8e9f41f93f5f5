"""Train convolutional networks on pictures, see what they learnt, and put them to use."""

from typing import TYPE_CHECKING, Any

from striate.version import __version__

if TYPE_CHECKING:
    from striate.api import Run, atlas, embed, find_rate, inspect, load, preview, profile, train
    from striate.classic.faces import detect
    from striate.description import describe
    from striate.errors import DataError, Stopped, UsageError
    from striate.experiments import experiment
    from striate.exported import load as load_exported
    from striate.groups import Group, compare, sweep, train_group
    from striate.painting import paint
    from striate.serving import serve

__all__ = [
    "DataError",
    "Group",
    "Run",
    "Stopped",
    "UsageError",
    "__version__",
    "atlas",
    "compare",
    "describe",
    "detect",
    "embed",
    "experiment",
    "find_rate",
    "inspect",
    "load",
    "load_exported",
    "paint",
    "preview",
    "profile",
    "serve",
    "sweep",
    "train",
    "train_group",
]

_HOME = {
    "DataError": "errors",
    "Stopped": "errors",
    "UsageError": "errors",
    "Group": "groups",
    "compare": "groups",
    "describe": "description",
    "detect": "classic.faces",
    "experiment": "experiments",
    "load_exported": "exported",
    "paint": "painting",
    "serve": "serving",
    "sweep": "groups",
    "train_group": "groups",
}
_NAMED = {"load_exported": "load"}  # as it is called where it is at home


def __getattr__(name: str) -> Any:
    # Lazily, so that `striate --help` does not wait for torch.
    if name not in __all__:
        raise AttributeError(f"module 'striate' has no attribute {name!r}")
    import importlib

    module = importlib.import_module(f"striate.{_HOME.get(name, 'api')}")
    return getattr(module, _NAMED.get(name, name))
