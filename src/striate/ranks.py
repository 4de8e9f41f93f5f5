"""Several processes that work as one, as torchrun starts them: which one this is, what they share.

Outside `joined` there is one process, whatever the environment says, and torch is not loaded.
"""

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from striate.errors import DataError, UsageError

if TYPE_CHECKING:
    from torch import Tensor
    from torch._C._distributed_c10d import Store

# All four name a meeting place; torchrun sets them, and so does a PyTorchJob of Kubernetes.
NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
FAILED = "failed"  # key of the store: the first to count it says what has failed
LINGERING = 3.0  # seconds
SENT = 64 << 20  # bytes of rows in one message
_MEETINGS = 100
LOST = (
    "another process of this work has ended, or cannot be reached: this one ends too. A training "
    "is kept as of its last checkpoint: the same command goes on with --resume RUN in place of "
    "DATA"
)
# How the backends say it; torch has no error of its own for all of them.
_LOST_WORDS = ("gloo", "NCCL", "Connection closed by peer", "Connection reset", "Broken pipe")


class Place(NamedTuple):
    """What the environment says of this process."""

    rank: int = 0  # of all processes
    processes: int = 1
    local: int = 0  # of those on this host
    restarts: int = 0  # by torchrun, after one of them had failed


@dataclass
class _State:
    """What this process is in: a group, and whether it is the one that speaks."""

    store: "Store | None" = None
    times: int = 0  # that it was joined
    speaks: bool | None = None  # None: as its rank says


_state = _State()


def started(environment: Mapping[str, str] = os.environ) -> Place:
    """Read the environment: the place of this process among those that were started as one.

    >>> started({})
    Place(rank=0, processes=1, local=0, restarts=0)
    """
    if not all(environment.get(name) for name in NEEDED):
        return Place()
    numbers = {"LOCAL_RANK": "0", "TORCHELASTIC_RESTART_COUNT": "0", **environment}
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RESTART_COUNT")
    for name in names:
        if not numbers[name].isdecimal():
            raise UsageError(f"{name} is set to {numbers[name]!r}, which is no whole number")
    place = Place(*(int(numbers[name]) for name in names))
    if place.rank >= max(place.processes, 1):
        raise UsageError(
            f"RANK is {place.rank}, and WORLD_SIZE {place.processes}: ranks are from 0"
        )
    return place


def count() -> int:
    """Count the processes that work as one: 1 outside `joined`."""
    return started().processes if _state.store is not None else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return started().rank if _state.store is not None else 0


def is_first() -> bool:
    """Tell whether this process is the one that writes."""
    return rank() == 0


def speaks() -> bool:
    """Tell whether it is this process that says what has happened: one of them does."""
    return started().rank == 0 if _state.speaks is None else _state.speaks


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let all but the first process print nowhere."""
    if started().rank == 0:
        yield
        return
    with (
        open(os.devnull, "w") as nowhere,  # noqa: PTH123
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


@contextlib.contextmanager
def joined(device: str = "auto") -> Iterator[None]:
    """Work as one with the other processes that the environment names; with none, do nothing.

    An exception ends all of them: whoever waits for this process gets an error of its own. The
    first to fail `speaks`, the others do not.
    """
    place = started()
    if place.processes == 1 or _state.store is not None:
        yield
        return
    _state.times += 1
    store = _met(place, device)
    _state.store, _state.speaks = store, None
    try:
        yield
        wait()
    except BaseException as error:
        _state.speaks = _is_first_to_fail(store)
        _leave()  # now: whoever waits for this process is told so
        _linger(store)
        if is_lost(error):
            raise DataError(LOST) from error
        raise
    finally:
        _leave()


def _met(place: Place, device: str) -> "Store":
    """Meet the other processes."""
    import torch
    from torch import distributed
    from torch._C._distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    if not distributed.is_available():
        raise UsageError("this torch knows no other processes: start one, without torchrun")
    on_gpu = device != "cpu" and torch.cuda.is_available() and distributed.is_nccl_available()
    if on_gpu and place.local < torch.cuda.device_count():
        torch.cuda.set_device(place.local)
    try:
        # torchrun keeps one store over its restarts: each group has names of its own there.
        name = f"striate/{place.restarts}/{_state.times}"
        store: Store = PrefixStore(name, next(iter(rendezvous("env://")))[0])
        if not distributed.is_initialized():
            distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
                store=store,
                rank=place.rank,
                world_size=place.processes,
            )
    except RuntimeError as error:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        reason = str(error).splitlines()[0]
        raise DataError(
            f"not all {place.processes} processes were met at {address}: {reason}"
        ) from error
    return store


def _is_first_to_fail(store: "Store") -> bool:
    """Tell whether no other process has failed before; where nobody can be asked, it counts."""
    with contextlib.suppress(RuntimeError):
        return store.add(FAILED, 1) == 1
    return True


def _linger(store: "Store") -> None:
    """Let the others ask who was first to fail: without torchrun this process has the store."""
    if started().rank or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        return
    until = time.monotonic() + LINGERING
    with contextlib.suppress(RuntimeError):
        while store.add(FAILED, 0) < started().processes and time.monotonic() < until:
            time.sleep(0.05)


def _leave() -> None:
    if _state.store is None:
        return
    from torch import distributed

    _state.store = None
    if distributed.is_initialized():
        # Of a group whose processes are gone not even the end can be agreed on.
        with contextlib.suppress(RuntimeError):
            distributed.destroy_process_group()


def is_lost(error: BaseException) -> bool:
    """Tell whether an error says that another process cannot be reached."""
    if not isinstance(error, RuntimeError) or "torch" not in sys.modules:
        return False
    from torch import distributed

    known = isinstance(error, distributed.DistError)
    return known or any(word in str(error) for word in _LOST_WORDS)


def part(total: int, *, of: int, number: int) -> slice:
    """Return one of so many parts of rows, whose sizes differ by one at most.

    >>> [part(5, of=3, number=n) for n in range(3)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    each, more = divmod(total, of)
    first = number * each + min(number, more)
    return slice(first, first + each + (number < more))


def mine(total: int) -> slice:
    """Return the part of so many rows that is this process's."""
    return part(total, of=count(), number=rank())


def rounds(total: int, size: int) -> list[int]:
    """List the sizes of this process's batches of rows: as many batches on each, some with none."""
    own, most = mine(total), part(total, of=count(), number=0)
    times = -(-(most.stop - most.start) // size)
    left = own.stop - own.start
    return [max(0, min(size, left - number * size)) for number in range(times)]


def wait() -> None:
    """Wait until all have come here."""
    if count() > 1:
        sums([0.0])


def sums(numbers: list[float]) -> list[float]:
    """Add up numbers over all processes; each gets the same bits."""
    if count() == 1:
        return numbers
    import torch
    from torch import distributed

    # No tensor of the default device: a script may have chosen another.
    found = torch.tensor(numbers, dtype=torch.float64, device="cpu")
    distributed.all_reduce(found)
    return list(found.tolist())


def greatest(number: int | None) -> int | None:
    """Return the greatest number that any process has, None where none has one."""
    if count() == 1:
        return number
    import torch
    from torch import distributed

    found = torch.tensor([-1 if number is None else number], device="cpu")
    distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return None if int(found) < 0 else int(found)


def least(number: int) -> int:
    """Return the least number that any process has."""
    found = greatest(2**62 - number)
    assert found is not None
    return 2**62 - found


def each(value: Any) -> list[Any]:
    """Return the values of all processes, by rank: small ones, which are pickled on the way."""
    if count() == 1:
        return [value]
    from torch import distributed

    found: list[Any] = [None] * count()
    distributed.all_gather_object(found, value)
    return found


def of_first(value: Any) -> Any:
    """Return the first process's value, on all of them."""
    if count() == 1:
        return value
    from torch import distributed

    found = [value if is_first() else None]
    distributed.broadcast_object_list(found, src=0, device=_cpu())
    return found[0]


def _cpu() -> Any:
    import torch

    return torch.device("cpu")


def gathered(own: "Tensor | None") -> "Tensor":
    """Return the rows (N, ...) of all processes, on the CPU, by rank; one without rows has None."""
    import torch
    from torch import distributed

    if count() == 1:
        assert own is not None
        return own
    own = None if own is None else own.cpu().contiguous()
    shapes = each(None if own is None else (tuple(own.shape), own.dtype))
    parts = []
    for source, known in enumerate(shapes):
        if known is None:
            continue
        shape, dtype = known
        is_own = own is not None and source == rank()
        part = own if own is not None and is_own else torch.empty(shape, dtype=dtype, device="cpu")
        distributed.broadcast(part, src=source)
        parts.append(part)
    return torch.cat(parts)


def fill(whole: "Tensor") -> None:
    """Fill rows (N, ...) on the CPU, of which each process has its part, with those of the others.

    `whole` is contiguous, of any kind of numbers: it is sent as bytes, so many at once.
    """
    if count() == 1 or not len(whole):
        return
    import torch
    from torch import distributed

    for source in range(count()):
        rows = whole[part(len(whole), of=count(), number=source)]
        for piece in rows.view(torch.uint8).flatten().split(SENT):
            distributed.broadcast(piece, src=source)


def in_step(own: Iterator[Any], total: int) -> Iterator[Any]:
    """Yield `total` rows, and wait for the others a hundred times on the way.

    Processes of which one is slower else come to a meeting so far apart that it is given up.
    """
    if count() == 1:
        yield from own
        return
    done = 0
    for number in range(1, _MEETINGS + 1):
        stop = total * number // _MEETINGS
        yield from itertools.islice(own, stop - done)
        done = stop
        wait()
    yield from own  # nothing more, but its end


def joint(own: Iterator[Any]) -> Iterator[Any]:
    """Yield rows by rank: on the first process all, on the others their own."""
    if count() == 1:
        yield from own
        return
    from torch import distributed

    rows = list(own)
    found: list[Any] | None = [None] * count() if is_first() else None
    distributed.gather_object(rows, found, dst=0)
    for part in found or [rows]:
        yield from part


def beside(own: "Tensor") -> "Tensor":
    """Return small tensors of one shape of all processes, stacked (R, ...), on their device."""
    import torch
    from torch import distributed

    if count() == 1:
        return own[None]
    found = [torch.empty_like(own) for _ in range(count())]
    distributed.all_gather(found, own)
    return torch.stack(found)


def add_up(own: "Tensor") -> "Tensor":
    """Add up a tensor over all processes, in its place, on its device."""
    from torch import distributed

    if count() > 1:
        distributed.all_reduce(own)
    return own


def from_first(own: "Tensor") -> None:
    """Fill a tensor with the first process's, on its device."""
    if count() > 1:
        from torch import distributed

        # In torch's usual order: weights with channels last have the same numbers in another.
        whole = own.detach().contiguous()
        distributed.broadcast(whole, src=0)
        own.data.copy_(whole)


def require_same(value: Any, what: str) -> None:
    """Raise DataError where another process has another value than the first."""
    found = each(value)
    for number, other in enumerate(found):
        if other != found[0]:
            raise DataError(
                f"{what} on rank {number} are not those of rank 0: all processes need the same "
                "data, choices and versions"
            )
