"""The network of a training: by name, by file, or handed over by Python."""

import functools
from collections.abc import Mapping
from typing import Any

from torch import nn

from striate import models, usercode
from striate.data import Data
from striate.errors import DataError, UsageError
from striate.models import Architecture, recognition
from striate.wording import counted


def architecture(
    model: Any, choices: Mapping[str, Any], data: Data
) -> tuple[Architecture, nn.Module | None]:
    """Find what `model` means, and its weights where a network was handed over that has some.

    It is None (the usual one for such data), a name, `file.py:function`, an nn.Module, or a class
    or function that gives one, with functools.partial for its arguments.
    """
    arguments = choices.get("arguments", {})
    if model is None or isinstance(model, str):
        flat = data.kind == "clips" and choices.get("frames") == 1
        usual = models.USUAL["pictures" if flat else data.kind]
        return models.find(model or usual, arguments), None
    made = model.func if isinstance(model, functools.partial) else model
    if recognition.is_from_library(made):
        return _of_library(model, arguments, data)
    maker = type(model) if isinstance(model, nn.Module) else model
    reference = usercode.reference(maker)
    try:
        usercode.load(reference)
    except (DataError, UsageError) as error:
        raise UsageError(
            f"{reference.name} cannot be built again from its source file ({error}): give a class "
            "or function of a file of your own, or functools.partial of one with its arguments"
        ) from error
    reference = usercode.given(reference._replace(arguments={**reference.arguments, **arguments}))
    architecture = Architecture(f"user.py:{reference.name}", reference.arguments, reference.source)
    return architecture, model if isinstance(model, nn.Module) else None


def _of_library(
    model: Any, arguments: Mapping[str, Any], data: Data
) -> tuple[Architecture, nn.Module | None]:
    """Find a library's network by its name; one that is built already gives its weights."""
    if isinstance(model, functools.partial):
        return models.find(recognition.name_of(model.func), {**model.keywords, **arguments}), None
    name = recognition.name_of(model)
    if not isinstance(model, nn.Module):
        return models.find(name, arguments), None
    if arguments:
        raise UsageError("arguments are of a network that is given by its name, not of one built")
    wanted, there = len(data.classes), recognition.outputs(model)
    if there != wanted:
        raise UsageError(
            f"this {name} answers with {there} numbers, and the data have "
            f"{counted(wanted, 'classes')}: build it with num_classes={wanted}, or give its name"
        )
    return models.find(name), model
