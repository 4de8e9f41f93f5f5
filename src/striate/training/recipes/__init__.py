"""Recipes by name: where the defaults of a training depart for a network."""

from collections.abc import Mapping
from typing import Any

from .networks import NETWORKS

__all__ = ["NETWORKS", "of_network"]


def of_network(name: str) -> Mapping[str, Any]:
    """Return the choices that suit a network, by its name; none for most."""
    return NETWORKS.get(name, {})
