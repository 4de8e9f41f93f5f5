"""What a server takes on: sizes, numbers and times, each with a default."""

import math
from dataclasses import dataclass

from striate.choices import check_ranges, choice

MOST_PICTURES = 64  # of one request
# Of a connection: to send a whole request, or to take a whole answer.
CONNECTION_SECONDS = 20.0
CONNECTIONS = 512
# Of all requests that are being read or answered at once, as a multiple of the largest.
BODIES_AT_ONCE = 16


@dataclass(frozen=True)
class Limits:
    """How much a server accepts at once, and how long it lets anyone wait."""

    max_body: float = choice(20.0, "Largest request, in megabytes.")
    queue: int = choice(256, "Pictures that may wait at once; more are refused with 503.")
    deadline: float = choice(5.0, "Seconds until a waiting request is given up with 503.")
    batch: int = choice(32, "Largest number of pictures that the network is given at once.")
    delay: float = choice(2.0, "Milliseconds that a picture may wait for others to join it.")

    def __post_init__(self) -> None:
        """Refuse what can mean nothing."""
        check_ranges(self, _RANGES)

    @property
    def body_bytes(self) -> int:
        """The largest request, in bytes."""
        return math.floor(1e6 * self.max_body)

    @property
    def pictures(self) -> int:
        """The most pictures of one request."""
        return min(MOST_PICTURES, self.queue)


_RANGES: dict[str, tuple[float, float]] = {
    "max_body": (0.001, 1000),
    "queue": (1, 100_000),
    "deadline": (0.05, 600),
    "batch": (1, 1024),
    "delay": (0, 1000),
}
