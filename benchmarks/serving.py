"""A server under load, each answer compared with the offline one; and under attack.

    python benchmarks/serving.py RUN PICTURES [--seconds 120] [--connections 64] [--apart]
    python benchmarks/serving.py RUN PICTURES --attacks

Capacity is what kept connections get that always ask again. Then requests come at half, one and
two times that rate whether or not others are answered; latency counts from when each was due.
A server and what asks it share the processors; with --apart the last one is left to what asks.
Attacks are requests of other hosts and origins, ways out of the served files, and bytes that are no
request.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import striate

MARGIN, NEAR = 1e-3, 1e-4  # of the two likeliest classes; by how much a probability may differ


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: str
    body: bytes


class Connection:
    """A kept connection of HTTP/1.1, opened again where it was closed."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes, seconds: float = 30) -> Answer:
        """Send a request and read its answer; status 0 where there is none."""
        try:
            return await asyncio.wait_for(self._asked(request), seconds)
        except (OSError, EOFError, TimeoutError, ValueError):
            self.close()
            return Answer(0, "", b"")

    async def _asked(self, request: bytes) -> Answer:
        if self.streams is None:
            self.streams = await asyncio.open_connection(self.host, self.port)
        reader, writer = self.streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        found = re.search(r"content-length: (\d+)", head, re.I)
        bare = request.startswith(b"HEAD ")
        body = b"" if bare or not found else await reader.readexactly(int(found[1]))
        if "connection: close" in head.lower():
            self.close()
        return Answer(int(head.split()[1]), head, body)

    def close(self) -> None:
        """Let go of it."""
        if self.streams:
            self.streams[1].close()
            self.streams = None


class Server(NamedTuple):
    """A server that was started."""

    process: "subprocess.Popen[str]"
    host: str
    port: int

    @property
    def name(self) -> str:
        """What stands in Host."""
        return f"{self.host}:{self.port}"

    def memory(self) -> int:
        """Return its resident bytes, without its decoders'."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        return 1024 * int(found[1]) if found else 0

    def files(self) -> int:
        """Count its open files."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@contextmanager
def started(run: Path, *more: str, processors: str | None = None) -> Iterator[Server]:
    """Start a server on a free port, on these processors alone where they are named."""
    command = [sys.executable, "-m", "striate", "serve", str(run), "--port", "0", *more]
    if processors:
        command = ["taskset", "-c", processors, *command]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        found = next(
            found for line in process.stderr if (found := re.search(r"//([\d.]+):(\d+)/", line))
        )
        # Read to its end: a server whose words nobody reads would stop at a full pipe.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield Server(process, found[1], int(found[2]))
        finally:
            process.terminate()
            print(f"exit code {process.wait(60)}")


def post(server: Server, content: bytes) -> bytes:
    """Write a request for a prediction."""
    head = f"POST /v1/predict HTTP/1.1\r\nHost: {server.name}\r\nContent-Length: {len(content)}"
    return f"{head}\r\n\r\n".encode() + content


class Tally:
    """Answers of a part of the load."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.refused: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.bodies: list[tuple[int, bytes]] = []  # compared once the load is over
        self.wrong = 0

    def add(self, row: int, status: int, content: bytes, seconds: float) -> None:
        """Count an answer, head and body."""
        self.statuses[status] += 1
        if status == 200:
            self.seconds.append(seconds)
            self.bodies.append((row, content))
        elif status == 503:
            self.refused.append(seconds)
            self.wrong += b"\nretry-after: " not in content

    def compare(self, expected: list[list[tuple[str, float]]]) -> None:
        """Count the answers that are not the offline ones."""
        for row, content in self.bodies:
            document = json.loads(content.partition(b"\r\n\r\n")[2])
            self.wrong += not same(document["predictions"][0], expected[row])
        self.bodies.clear()


def same(found: dict[str, Any], expected: list[tuple[str, float]]) -> bool:
    """Tell whether an answer is the offline one, to rounding."""
    shares = {one["name"]: one["probability"] for one in found["classes"]}
    near = all(abs(shares.get(name, -1) - share) <= NEAR for name, share in expected)
    clear = len(expected) < 2 or expected[0][1] - expected[1][1] > MARGIN
    return near and (not clear or found["classes"][0]["name"] == expected[0][0])


class Work(NamedTuple):
    """Requests, and what each is answered offline."""

    requests: list[bytes]
    expected: list[list[tuple[str, float]]]


class Client(asyncio.Protocol):
    """A kept connection with one request at a time; it does as little as it can for each."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.row, self.due = -1, 0.0
        self.got = bytearray()
        self.whole = 0  # bytes of the answer, once its head is there

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport: Any = transport

    def ask(self, row: int, due: float) -> None:
        """Send a request that was due then."""
        self.row, self.due = row, due
        self.transport.write(self.load.work.requests[row])

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        self.got += data
        if not self.whole:
            end = self.got.find(b"\r\n\r\n")
            if end < 0:
                return
            at = self.got.find(b"content-length: ") + 16
            self.whole = end + 4 + int(self.got[at : self.got.find(b"\r", at)])
        if len(self.got) >= self.whole:
            row, content = self.row, bytes(self.got)
            self.row, self.whole = -1, 0
            self.got.clear()
            self.load.answered(self, row, int(content[9:12]), content)

    def connection_lost(self, _: Exception | None) -> None:
        """Count a request that gets no answer."""
        self.load.lost(self)


class Load:
    """Requests on kept connections: each a next one once answered, or at a rate."""

    def __init__(self, server: Server, work: Work, most: int) -> None:
        self.server, self.work, self.most = server, work, most
        self.tally = Tally()
        self.open = 0
        self.idle: list[Client] = []
        self.waiting: deque[tuple[int, float]] = deque()  # for a connection
        self.opening: set[asyncio.Task[None]] = set()
        self.asked = 0
        self.ends = 0.0  # closed loop: until when each connection asks again

    def next(self, due: float) -> None:
        """Send the next request, on an idle connection or a new one, or as soon as one is free."""
        self.waiting.append((self.asked % len(self.work.requests), due))
        self.asked += 1
        if self.idle:
            self.idle.pop().ask(*self.waiting.popleft())
        elif self.open < self.most:
            self.open += 1
            task = asyncio.create_task(self._opened())
            self.opening.add(task)
            task.add_done_callback(self.opening.discard)

    async def _opened(self) -> None:
        loop = asyncio.get_running_loop()
        host, port = self.server.host, self.server.port
        _, client = await loop.create_connection(lambda: Client(self), host, port)
        self._free(client)

    def answered(self, client: Client, row: int, status: int, content: bytes) -> None:
        """Count an answer, and use the connection again."""
        now = time.perf_counter()
        self.tally.add(row, status, content, now - client.due)
        self._free(client)
        if now < self.ends:
            self.next(now)

    def _free(self, client: Client) -> None:
        if self.waiting:
            client.ask(*self.waiting.popleft())
        else:
            self.idle.append(client)

    def lost(self, client: Client) -> None:
        """Count a request without an answer; idle connections may be closed."""
        self.open -= 1
        if client in self.idle:
            self.idle.remove(client)
        elif client.row >= 0:
            self.tally.add(client.row, 0, b"", 0.0)

    async def close(self, patience: float = 30) -> Tally:
        """Wait for what is under way, close all, and compare the answers."""
        until = time.perf_counter() + patience
        while (self.opening or len(self.idle) < self.open) and time.perf_counter() < until:
            await asyncio.sleep(0.01)
        missing = self.asked - sum(self.tally.statuses.values())
        self.tally.statuses[0] += missing
        for client in list(self.idle):
            client.transport.abort()
        self.tally.compare(self.work.expected)
        return self.tally


async def saturate(server: Server, work: Work, seconds: float, connections: int) -> Load:
    """Have every connection ask again as soon as it is answered."""
    load, begun = Load(server, work, connections), time.perf_counter()
    load.ends = begun + seconds
    for _ in range(connections):
        load.next(begun)
    await asyncio.sleep(seconds)
    return load


async def pour(server: Server, work: Work, seconds: float, rate: float, most: int) -> Load:
    """Send requests at a rate, on as many kept connections as it takes."""
    load, begun = Load(server, work, most), time.perf_counter()
    for number in range(int(seconds * rate)):
        due = begun + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        load.next(due)
    return load


async def batches(server: Server) -> tuple[float, float]:
    """Read the number of batches and their seconds so far."""
    request = f"GET /metrics HTTP/1.1\r\nHost: {server.name}\r\n\r\n".encode()
    connection = Connection(server.host, server.port)
    text = (await connection.ask(request)).body.decode()
    connection.close()
    counted = re.search(r"striate_batch_seconds_count\S* (\S+)", text)
    seconds = re.search(r"striate_batch_seconds_sum\S* (\S+)", text)
    return (float(counted[1]), float(seconds[1])) if counted and seconds else (0.0, 0.0)


class Spent(NamedTuple):
    """Processor seconds: of the server with its decoders, and of this program."""

    server: float
    generator: float


def spent(server: Server) -> Spent:
    """Read the processor seconds so far."""
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    numbers = [
        str(server.process.pid),
        *(one for task in tasks for one in task.read_text().split()),
    ]
    fields = [Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in numbers]
    ticks = sum(int(one[11]) + int(one[12]) for one in fields)
    return Spent(ticks / os.sysconf("SC_CLK_TCK"), time.process_time())


def say(name: str, tally: Tally, goodput: float, batch: float, used: Spent, memory: int) -> None:
    """Print a line of the load; what it used is a share of its time."""
    p50, p99 = (
        (1000 * np.quantile(tally.seconds, q) for q in (0.5, 0.99)) if tally.seconds else (0, 0)
    )
    told = f"{1000 * np.quantile(tally.refused, 0.5):.0f} ms" if tally.refused else "-"
    others = {status: n for status, n in tally.statuses.items() if n and status not in (200, 503)}
    print(
        f"{name:10} goodput {goodput:7.1f}/s  p50 {p50:6.1f} ms  p99 {p99:6.1f} ms  "
        f"503 {tally.statuses[503]:6,} (p50 {told})  others {others or 0}  wrong {tally.wrong}  "
        f"batch {1000 * batch:.1f} ms  processors: server {used.server:.2f}, "
        f"generator {used.generator:.2f}  RSS {memory / 1e6:.0f} MB",
        flush=True,
    )


async def load(server: Server, work: Work, seconds: float, connections: int) -> None:
    """Measure capacity, and what half, one and two times of it do."""
    await (await saturate(server, work, min(5.0, seconds), connections)).close()  # slower at first
    capacity = 0.0
    for name, share in (("saturated", 0.0), ("half", 0.5), ("full", 1.0), ("twice", 2.0)):
        count, busy = await batches(server)
        before, begun = spent(server), time.perf_counter()
        if not share:
            part = await saturate(server, work, seconds, connections)
        else:
            most = 512 - 16  # connections of a server, but for a few
            part = await pour(server, work, seconds, share * capacity, most)
        passed = max(seconds, time.perf_counter() - begun)
        used = Spent(*((b - a) / passed for a, b in zip(before, spent(server), strict=True)))
        done = part.tally.statuses[200]
        after, whole = await batches(server)
        batch = (whole - busy) / max(1.0, after - count)
        tally = await part.close()
        # What was answered after the end of the time is compared, and is not of the rate.
        goodput = done / passed
        say(name, tally, goodput, batch, used, server.memory())
        capacity = capacity or goodput


# Attacks

HOSTS = ("", "127.0.0.1:1", "127.1", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "evil.com")
HOSTS += ("localhost.evil.com", "127.0.0.1.", "LOCALHOST", "a\tb")
ORIGINS = (None, "OWN", "null", "http://evil.com", "http://127.0.0.1:1", "file://", "", "OWN.evil")
SITES = (None, "same-origin", "none", "same-site", "cross-site")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


async def strangers(server: Server) -> None:
    """Ask as any host, origin and site: 3,840 combinations, of which the own alone may pass."""
    connection, passed, wrong, total = Connection(server.host, server.port), 0, [], 0
    for host, origin, site, method in itertools.product(
        (server.name, *HOSTS), ORIGINS, SITES, METHODS
    ):
        lines = [f"{method} /v1/models HTTP/1.1", f"Host: {host}", "Content-Length: 0"]
        own = origin and origin.replace("OWN", f"http://{server.name}")
        lines += [] if origin is None else [f"Origin: {own}"]
        lines += [] if site is None else [f"Sec-Fetch-Site: {site}"]
        answer = await connection.ask("\r\n".join([*lines, "", ""]).encode())
        fits = host == server.name and origin in (None, "OWN")
        fits &= site in (None, "same-origin", "none")
        taken = answer.status in (200, 405)
        total, passed = total + 1, passed + taken
        if taken != fits or not (fits or answer.status in (400, 403)):
            wrong.append((host, origin, site, method, answer.status))
    connection.close()
    print(f"strangers: {total:,} requests, {passed} passed, {len(wrong)} not as they should")
    print(*wrong[:5], sep="\n")


def ways_out(chance: random.Random, count: int) -> Iterator[str]:
    """Write paths that would lead out of the served files."""
    ups = ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "%252e%252e%252f", "..\\", "..%5c", "....//")
    ups += ("..;/", "..%00/", "%c0%ae%c0%ae/", ".%2e/", "//", "/./", "..%ef%bc%8f")
    ends = ("etc/passwd", "proc/self/environ", "app.py", "__init__.py", "model.json", "data.json")
    ends += ("C:/Windows/win.ini", "proc/self/root/etc/passwd", ".git/config", "page.css%00.png")
    begins = (
        "/assets/",
        "/",
        "/docs/",
        "/v1/models/",
        "/assets/page.css/",
        "/v1/",
        "//",
        "/assets",
    )
    for _ in range(count):
        middle = "".join(chance.choice(ups) for _ in range(chance.randrange(1, 12)))
        tail = chance.choice(("", "?x", "#y", ";z", "/", "%20", "%0a"))
        yield chance.choice(begins) + middle + chance.choice(ends) + tail


async def wanderers(server: Server, chance: random.Random) -> None:
    """Ask for files that are not served."""
    connection, statuses, leaks = Connection(server.host, server.port), Counter[int](), 0
    known = (b"root:", b"import ", b'"format"', b"PATH=", b"[fonts]", b"[core]", b'"origin"')
    for path in ways_out(chance, 2000):
        request = f"GET {path} HTTP/1.1\r\nHost: {server.name}\r\n\r\n".encode()
        answer = await connection.ask(request)
        statuses[answer.status] += 1
        leaks += any(mark in answer.body for mark in known)
    connection.close()
    print(f"ways out: 2,000 paths, statuses {dict(statuses)}, {leaks} files got out")


def broken(server: Server, content: bytes, chance: random.Random) -> bytes:
    """Write a request that is wrong in one of many ways."""
    good = post(server, content)
    start = f"POST /v1/predict HTTP/1.1\r\nHost: {server.name}\r\n".encode()
    noise = chance.randbytes(chance.randrange(1, 400))
    place = chance.randrange(1, len(good))
    flipped = bytearray(content)
    for _ in range(chance.choice((1, 4, 40))):
        flipped[chance.randrange(len(flipped))] = chance.randrange(256)
    query = b"/v1/predict?model=%ff&top=" + noise.hex().encode()
    found = (
        noise,
        good[:place],
        good[:place] + noise + good[place:],
        good.replace(b"\r\n", chance.choice((b"\n", b"\r", b"\n\r")), 2),
        good.replace(b"/v1/predict", query, 1),
        post(server, bytes(flipped)),
        start + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc" + noise,
        start + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n" + noise,
        start + b"".join(b"X-%d: %s\r\n" % (k, b"y" * 200) for k in range(400)) + b"\r\n",
        start + b"Content-Length: " + b"9" * chance.randrange(1, 6000) + b"\r\n\r\n",
        form(start, b"--b\r\nContent-Disposition: form-data; name=a; filename=" + noise),
        form(start, b"--b\r\n" + b"A: b\r\n" * 3000 + b"\r\nx\r\n--b--\r\n"),
    )
    return chance.choice(found)


def form(start: bytes, body: bytes) -> bytes:
    """Write a request with a form."""
    kind = b"Content-Type: multipart/form-data; boundary=b\r\n"
    return start + kind + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def vandals(server: Server, work: Work, chance: random.Random, count: int = 5000) -> None:
    """Send bytes that are no request, or a hostile one; then ask whether all is well."""
    content = work.requests[0].partition(b"\r\n\r\n")[2]
    statuses: Counter[int] = Counter()
    before: tuple[int, int] | None = None
    for number in range(count):
        connection = Connection(server.host, server.port)
        answer = await connection.ask(broken(server, content, chance), seconds=0.2)
        statuses[answer.status] += 1
        connection.close()
        if number == count // 5:  # what it holds once every path was walked
            before = server.memory(), server.files()
    connection = Connection(server.host, server.port)
    tally = Tally()
    for row, request in enumerate(work.requests):
        begun = time.perf_counter()
        answer = await connection.ask(request)
        content = answer.headers.encode("latin-1") + answer.body
        tally.add(row, answer.status, content, time.perf_counter() - begun)
    connection.close()
    tally.compare(work.expected)
    assert before
    grown = (server.memory() - before[0]) / 1e6
    print(
        f"broken requests: {count:,}, statuses {dict(statuses)} (0: closed, or nothing in 0.2 s); "
        f"after them {tally.statuses[200]} of {len(work.requests)} good requests answered, "
        f"{tally.wrong} wrong; memory {grown:+.1f} MB and files "
        f"{server.files() - before[1]:+d} in the last four fifths"
    )


def apart() -> str:
    """Take the last processor for this program alone; return the others, for the server."""
    *others, last = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {last})
    return ",".join(map(str, others))


def main() -> None:
    """Start a server and measure it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--apart", action="store_true", help="the server leaves one processor to us"
    )
    parser.add_argument("--attacks", action="store_true")
    given, more = parser.parse_known_args()
    paths = [path for path in sorted(given.pictures.rglob("*")) if path.is_file()][:200]
    answers = striate.load(given.run).predict(paths, top=1000)
    expected = [[(one.name, one.probability) for one in answer.classes] for answer in answers]
    with started(given.run, *more, processors=apart() if given.apart else None) as server:
        requests = [post(server, path.read_bytes()) for path in paths]
        requests = [request.replace(b"predict", b"predict?top=1000", 1) for request in requests]
        work = Work(requests, expected)
        if given.attacks:
            chance = random.Random(given.seed)
            for part in (strangers(server), wanderers(server, chance)):
                asyncio.run(part)
            asyncio.run(vandals(server, work, chance))
        else:
            asyncio.run(load(server, work, given.seconds, given.connections))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
