"""Requests -> the bytes of pictures, with their names: the body itself, or a form's files."""

from typing import NamedTuple

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from striate.wording import one, printable

_LONGEST_NAME = 200  # letters


class Upload(NamedTuple):
    """A file that was sent."""

    name: str
    content: bytes


class _InMemory(MultiPartParser):
    # The whole body is in memory already, and its size was checked: nothing goes to the disk.
    spool_max_size = 1 << 40


async def read(request: Request, kind: str, most: int) -> list[Upload]:
    """Read what was sent, at most so many; HTTPException says what else was expected."""
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != "multipart/form-data":
        content = await request.body()
        if not content:
            raise HTTPException(400, f"send a {one(kind)} as the body, or a form with files")
        return [Upload(f"{one(kind)} 0", content)]
    try:
        form = await _InMemory(
            request.headers, request.stream(), max_files=most, max_fields=0
        ).parse()
    except MultiPartException as error:
        raise HTTPException(400, _said(error, most)) from error
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not files:
            raise HTTPException(400, f"the form holds no file: send each {one(kind)} as one")
        return [await _upload(file, f"{one(kind)} {row}") for row, file in enumerate(files)]
    finally:
        await form.close()


async def _upload(file: UploadFile, name: str) -> Upload:
    return Upload(printable(file.filename or name)[:_LONGEST_NAME], await file.read())


def _said(error: MultiPartException, most: int) -> str:
    if "files" in error.message:
        return f"a request may hold {most} files"
    if "fields" in error.message:
        return "a form may hold files alone: what else there is to say stands in the address"
    return "the form is damaged"
