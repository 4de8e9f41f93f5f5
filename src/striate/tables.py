"""Tables written row by row as they come: .jsonl, .csv and .parquet; .parquet read back."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from striate import files
from striate.errors import UsageError

FORMATS = (".jsonl", ".csv", ".parquet")
_GROUP = 10_000  # rows of a parquet file that are in memory at once

Append = Callable[[Mapping[str, Any]], None]


def check(path: Path) -> None:
    """Raise UsageError for a file name whose ending is none of FORMATS."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: the ending says the format, {', '.join(FORMATS)}")


def read_parquet(source: Path | bytes, *, checksums: bool = False) -> pa.Table:
    """Read a .parquet file, or its bytes, on this thread alone.

    Arrow's own threads outlive the reading. One that still holds bytes of Python's when the
    interpreter ends aborts the process ("terminate called"): 3 of 400 short programs did.
    """
    from pyarrow import parquet

    opened = pa.BufferReader(source) if isinstance(source, bytes) else source
    with parquet.ParquetFile(
        opened, pre_buffer=False, page_checksum_verification=checksums
    ) as file:
        return file.read(use_threads=False)


def parquet_bytes(table: pa.Table) -> bytes:
    """Write a table as the bytes of a .parquet file, with checksums of its pages."""
    from pyarrow import parquet

    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd", write_page_checksum=True)
    content: bytes = sink.getvalue().to_pybytes()
    return content


@contextlib.contextmanager
def writing(path: Path, schema: pa.Schema) -> Iterator[Append]:
    """Yield a function that adds a row; the file appears, whole, when all of them are in it."""
    check(path)
    with files.streamed(path) as handle:
        suffix = path.suffix.lower()
        if suffix == ".jsonl":
            yield lambda row: _add_line(handle, schema, row)
            return
        with _writer(suffix, handle, schema) as writer:
            waiting: list[Mapping[str, Any]] = []

            def add(row: Mapping[str, Any]) -> None:
                waiting.append(row)
                if len(waiting) == _GROUP:
                    _flush(writer, schema, waiting)

            yield add
            _flush(writer, schema, waiting)


def _add_line(handle: IO[bytes], schema: pa.Schema, row: Mapping[str, Any]) -> None:
    document = {name: row.get(name) for name in schema.names}
    handle.write(json.dumps(document, ensure_ascii=False).encode() + b"\n")


def _writer(suffix: str, handle: IO[bytes], schema: pa.Schema) -> Any:
    if suffix == ".csv":
        from pyarrow import csv

        return csv.CSVWriter(handle, schema)
    from pyarrow import parquet

    return parquet.ParquetWriter(handle, schema, compression="zstd")


def _flush(writer: Any, schema: pa.Schema, waiting: list[Mapping[str, Any]]) -> None:
    if waiting:
        writer.write_batch(pa.RecordBatch.from_pylist(list(map(dict, waiting)), schema=schema))
        waiting.clear()
