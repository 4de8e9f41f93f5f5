"""What is given to several functions alike: data, and the columns of a table."""

from typing import Any

from striate.data import Columns
from striate.errors import UsageError


def columns_of(data: Any, path_column: str | None, label_column: str | None) -> Columns:
    """Return the columns that are named of a table; without data there are none."""
    columns = Columns(path_column, label_column)
    if data is None and columns.given():
        raise UsageError("--path-column and --label-column are of a table: give it as DATA")
    return columns


def required(data: Any) -> Any:
    """Return data that were given; UsageError where none were."""
    if data is None:
        raise UsageError("DATA is missing: a name, a folder or file.py:function")
    return data
