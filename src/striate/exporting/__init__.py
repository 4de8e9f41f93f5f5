"""Trained networks as files that run elsewhere, each compared with PyTorch before it is kept."""

from .examples import Source
from .writing import FORMATS, Choices, Written, write

__all__ = ["FORMATS", "Choices", "Source", "Written", "write"]
