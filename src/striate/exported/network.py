"""An ONNX file that `striate export` wrote, asked about examples by onnxruntime."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate import files
from striate.data.sources.given import examples
from striate.decoding import Decoders
from striate.errors import DataError, UsageError
from striate.processors import processors
from striate.ranking import Network, Prediction, Wanted, rank
from striate.stopping import Poll, unheard

from .document import KEY, MOST_PIXELS, Document, Input
from .operations import has_inner_graphs

LOGITS, PROBABILITIES = "logits", "probabilities"  # of the file's outputs
_TYPES = {"uint8": "tensor(uint8)", "int16": "tensor(int16)"}


class Exported:
    """A network in an ONNX file: what it was exported with, and its answers."""

    def __init__(self, path: Path | str) -> None:
        """Open a file; DataError for one that is damaged, or that striate did not write."""
        self.path = Path(path).expanduser()
        self._session = open_session(files.read(self.path), str(self.path))
        self.document = read_document(self._session, str(self.path))
        _check_ends(self._session, self.document, str(self.path))

    def __repr__(self) -> str:
        """Show the file and what it takes."""
        return f"Exported({str(self.path)!r}, {self.document.kind})"

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in the order of the logits."""
        return self.document.classes

    def predict(  # noqa: PLR0913
        self,
        pictures: Any,
        *,
        top: int = 5,
        min_confidence: float | None = None,
        workers: int | None = None,
        max_megapixels: float | None = None,
        poll: Poll = unheard,
        tell: Callable[[str], None] = lambda _: None,
    ) -> list[Prediction]:
        """Rank the classes of pictures, a row each, as the run does that was exported.

        `pictures` are all that `Run.predict` takes, but for tensors.
        """
        return list(
            self.stream(
                pictures,
                top=top,
                min_confidence=min_confidence,
                workers=workers,
                max_megapixels=max_megapixels,
                poll=poll,
                tell=tell,
            )
        )

    def stream(  # noqa: PLR0913
        self,
        pictures: Any,
        *,
        top: int = 5,
        min_confidence: float | None = None,
        workers: int | None = None,
        max_megapixels: float | None = None,
        poll: Poll = unheard,
        tell: Callable[[str], None] = lambda _: None,
    ) -> Iterator[Prediction]:
        """Rank as `predict` does, and yield each picture's row as soon as it is known."""
        usual = workers is None and max_megapixels is None
        network = self._network if usual else self.network(max_megapixels)
        opened = network.open_decoders(processors() if workers is None else workers)
        with contextlib.nullcontext(self._decoders) if usual else opened as decoders:
            yield from rank(
                network,
                examples(pictures, network.kind, tell),
                decoders=decoders,
                wanted=Wanted(top, min_confidence),
                poll=poll,
            )

    def logits(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Compute the logits (N, K) of pixels, as the file takes them: uint8 (N, H, W, C)."""
        try:
            found: NDArray[np.float32] = self._session.run([LOGITS], {self.document.kind: pixels})[
                0
            ]
        except Exception as error:  # as with opening
            raise DataError(f"{self.path} cannot be run: {_said(error)}") from error
        if found.shape != (len(pixels), len(self.classes)):
            raise DataError(
                f"{self.path} cannot be used: it answers {len(pixels)} with {found.shape}"
            )
        return found

    def close(self) -> None:
        """End the processes that predictions have left open; the next one opens them again."""
        self._decoders.close()

    @functools.cached_property
    def _network(self) -> Network:
        return self.network(None)

    @functools.cached_property
    def _decoders(self) -> Decoders:
        return self._network.open_decoders(processors())

    def network(self, megapixels: float | None = None) -> Network:
        """Return the network as it is asked, with another limit on a picture's size or its own."""
        taken = self.document.input(None if megapixels is None else _pixels(megapixels))
        return Network(taken.kind, taken.pixels, self._probabilities, self.classes, taken.allowance)

    def _probabilities(self, pixels: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        return softmax(self.logits(np.stack(list(pixels))))


def load(path: Path | str) -> Exported:
    """Open an ONNX file that `striate export` wrote; neither torch nor code of it is run."""
    return Exported(path)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probabilities (N, K) of logits."""
    numbers = logits.astype(np.float64)
    powers = np.exp(numbers - numbers.max(1, keepdims=True))
    found: NDArray[np.float64] = powers / powers.sum(1, keepdims=True)
    return found


def open_session(content: bytes, name: str, *, threads: int | None = None) -> Any:
    """Open an ONNX file's bytes in onnxruntime, as plain data: no code of its own, no other file.

    Given as bytes it has no folder, so onnxruntime reads no weights from beside it; operations of
    other libraries are unknown, and refused.
    """
    runtime = _onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # what it says is in the error
    options.intra_op_num_threads = threads or processors()
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Threads that wait by spinning take the processors from the decoders.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        if has_inner_graphs(content):
            raise DataError(f"{name} is refused: it has loops or branches, which may run for ever")
        # Without a second try, of which onnxruntime would print a banner.
        return runtime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except DataError:
        raise
    except Exception as error:  # onnxruntime has a dozen unrelated kinds, and names none
        raise DataError(f"{name} is no ONNX file that can be run: {_said(error)}") from error


def read_document(session: Any, name: str) -> Document:
    """Read a file's document; DataError where it has none."""
    try:
        text = session.get_modelmeta().custom_metadata_map.get(KEY)
    except UnicodeDecodeError as error:
        raise DataError(f"{name} cannot be used: its metadata are no text") from error
    if text is None:
        raise DataError(
            f"{name} was not written by `striate export`: it does not say what its pictures are"
        )
    try:
        return Document.from_text(text)
    except DataError as error:
        raise DataError(f"{name} cannot be used: {error}") from error


def _check_ends(session: Any, document: Document, name: str) -> None:
    """Compare what a file takes and gives with what it says of itself."""
    try:
        taken: Input = document.input()
    except DataError as error:
        raise DataError(f"{name} cannot be used: {error}") from error
    try:
        given = [(end.name, end.type, list(end.shape[1:])) for end in session.get_inputs()]
        gives = {end.name: list(end.shape[1:]) for end in session.get_outputs()}
    except UnicodeDecodeError as error:
        raise DataError(f"{name} cannot be used: its names are no text") from error
    same = given == [(taken.kind, _TYPES[taken.dtype], list(taken.shape))]
    if not same or gives.get(LOGITS) != [len(document.classes)]:
        raise DataError(f"{name} cannot be used: its input or output is not what it says of itself")


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _pixels(megapixels: float) -> int:
    if not 0 < megapixels <= MOST_PIXELS / 1e6:  # NaN is in no range
        raise UsageError(
            f"--max-megapixels is above 0 and at most {MOST_PIXELS // 10**6:,}, not {megapixels:g}"
        )
    return max(1, round(1e6 * megapixels))


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError("an ONNX file is run by onnxruntime: pip install onnxruntime") from error
    return onnxruntime
