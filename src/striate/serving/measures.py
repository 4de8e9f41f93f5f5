"""What a server counts and times, as Prometheus reads it."""

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from .waiting import Line

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Measures:
    """Counters of one server, in a registry of its own."""

    def __init__(self, line: Line, paths: Collection[str]) -> None:
        self._paths = paths
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "striate_requests",
            "Requests by path and status.",
            ("path", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "striate_request_seconds",
            "Seconds to an answer, of requests that were taken.",
            ("path",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.pictures = Counter(
            "striate_pictures",
            "Pictures by model and outcome: answered, unreadable, late.",
            ("model", "outcome"),
            registry=self.registry,
        )
        self.batches = Histogram(
            "striate_batch_pictures",
            "Pictures that the network was given at once.",
            ("model",),
            buckets=_SIZES,
            registry=self.registry,
        )
        self.network = Histogram(
            "striate_batch_seconds",
            "Seconds of a batch in the network.",
            ("model",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.reloads = Counter(
            "striate_reloads",
            "Networks that were exchanged for a newer one.",
            ("model",),
            registry=self.registry,
        )
        waiting = Gauge("striate_waiting", "Pictures that wait.", registry=self.registry)
        waiting.set_function(lambda: line.waiting)

    def seen(self, path: str, status: int, seconds: float) -> None:
        """Count a request; paths that lead nowhere are one, whatever they are."""
        known = path if path in self._paths else "other"
        self.requests.labels(known, str(status)).inc()
        if status < 400:
            self.seconds.labels(known).observe(seconds)

    def ran(self, model: str, pictures: int, seconds: float) -> None:
        """Count a batch."""
        self.batches.labels(model).observe(pictures)
        self.network.labels(model).observe(seconds)

    def text(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return bytes(generate_latest(self.registry))
