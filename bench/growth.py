"""How cost grows: clients, body, batch, workers, models, pixels.

    .venv/bin/python -m bench.growth [--rounds 3] [--append] [clients] [body] [batch] …

Without names all of them, in about ten minutes; named ones replace what the record has of them, or
with --append add rounds to it. cifar's VGG11 by marquee, beside an echo handler (body) or the stock
handler (pixels). Writes growth.json, growth.md and growth.svg to bench/results.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.contenders import ours, torchserve
from bench.contenders.network import Classifier
from bench.contenders.start import Asked, Setting, Start
from bench.growth_record import RESULTS, Point, kept, write
from bench.lone import lone_client
from bench.machine import Usage, described, others_share
from bench.outcome import Outcome
from bench.pictures import EXACT, SMALL_REDUCED, photo, pictures
from bench.servers import Expected, Server
from bench.wrk import closed_loop
from marquee.project import Project
from marquee.torchserve.tokens import Keys

SECONDS = 2
CLIENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
BODIES = (10**4, 10**5, 10**6, 10**7, 10**8)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
WORKERS = (1, 2, 3, 4)
MODELS = (1, 2, 3, 4, 5)
# Who is asked beside marquee on an axis.
BESIDE = {"body": torchserve.echo, "pixels": torchserve.stock}
SIDES = ((256, 256), (640, 480), (1280, 720), (1920, 1080), (4000, 3000), (6000, 4000))


@dataclass(frozen=True)
class Bench:
    """The servers, and the network's own answers.

    Attributes:
        marquee: as it comes.
        beside: another server, by the name of its axis.
        expected: of cifar.
    """

    marquee: Server
    beside: Mapping[str, Server]
    expected: Expected

    def management(self) -> httpx.Client:
        """Return a client for marquee's management address."""
        address = self.marquee.start.environment["TS_MANAGEMENT_ADDRESS"]
        keys = Keys(Project(self.marquee.start.folder).key_file, address)
        headers = {"Authorization": f"Bearer {keys.get('management')}"}
        return httpx.Client(base_url=address, headers=headers, timeout=120, trust_env=False)

    def register(self, name: str, batch: int = 32) -> None:
        """Register cifar's archive under another name, with a worker."""
        query: dict[str, str | int] = {"url": "cifar-2.0.mar", "model_name": name}
        with self.management() as api:
            query |= {"batch_size": batch, "synchronous": "true"}
            api.post("/models", params=query).raise_for_status()

    def unregister(self, name: str) -> None:
        """Take a model away, with its worker."""
        with self.management() as api:
            api.delete(f"/models/{name}").raise_for_status()

    def scale(self, name: str, workers: int) -> None:
        """Give a model so many workers, and wait for them."""
        query: dict[str, str | int] = {"min_worker": workers, "max_worker": workers}
        with self.management() as api:
            api.put(f"/models/{name}", params=query | {"synchronous": "true"}).raise_for_status()

    def measured(self, axis: str, value: float, *names: str, clients: int) -> Point:
        """Measure marquee, or some of its models side by side, with so many clients each."""
        start = self.marquee.start
        urls = tuple(start.url.replace("cifar", name) for name in names or ("cifar",))
        asked = start.asked(pictures()["png"].body)
        question = Question(self.marquee, asked, self.expected.of("png"), urls)
        return question.point(axis, value, "marquee", clients=clients)


@dataclass(frozen=True)
class Question:
    """One request and its answer.

    Attributes:
        server: who is asked.
        asked, right: the request, and what the answer must have.
        urls: all are asked at once; the server's own without them.
        tolerance: of the numbers of the answer.
    """

    server: Server
    asked: Asked
    right: Mapping[str, float]
    urls: tuple[str, ...] = ()
    tolerance: float = EXACT

    def point(self, axis: str, value: float, series: str, *, clients: int) -> Point:
        """Return what comes of it with so many clients for each URL.

        Raises:
            SystemExit: an answer was wrong, so the figures mean nothing.
        """
        before, spent = Usage.now(), self.server.family.cpu_seconds()
        urls = self.urls or (self.server.start.url,)
        with ThreadPoolExecutor(len(urls)) as pool:
            outcomes = list(pool.map(lambda url: self._asked(url, clients), urls))
        after, cpu = Usage.now(), self.server.family.cpu_seconds() - spent
        wrong = [each for each in outcomes if each.wrong]
        if wrong:
            sys.exit(f"{axis} {value} of {series}: wrong answers: {wrong[0]}")
        found = Point(
            axis=axis,
            value=value,
            series=series,
            rate=round(sum(each.rate for each in outcomes), 2),
            p50_ms=round(max(each.p50_ms for each in outcomes), 2),
            p99_ms=round(max(each.p99_ms for each in outcomes), 2),
            cpu_ms=round(1000 * cpu / max(1, sum(each.requests for each in outcomes)), 3),
            resident_mb=round(self.server.resident_mb()),
            others=round(others_share(before, after, cpu, outcomes[0].seconds), 3),
            failed=sum(each.failed for each in outcomes),
        )
        sys.stderr.write(f"{found}\n")
        return found

    def _asked(self, url: str, clients: int) -> Outcome:
        if clients == 1:
            return lone_client(
                url, self.asked, self.right, seconds=SECONDS, tolerance=self.tolerance
            )
        return closed_loop(
            url,
            self.asked,
            self.right,
            clients=clients,
            seconds=SECONDS,
            tolerance=self.tolerance,
        )


def clients(bench: Bench) -> Iterator[Point]:
    """More clients, each with its next request as soon as it has an answer."""
    for count in CLIENTS:
        yield bench.measured("clients", count, clients=count)


def body(bench: Bench) -> Iterator[Point]:
    """A larger body with the same pixels: a JPEG with bytes behind its end."""
    small, marquee, echo = photo(32, 32), bench.marquee, bench.beside["body"]
    right = bench.expected.classifier.answer(small)
    for size in BODIES:
        sent = small + bytes(size - len(small))
        question = Question(marquee, marquee.start.asked(sent), right)
        yield question.point("body", size, "marquee", clients=1)
        with echo.awake():
            echoed = Question(echo, echo.start.asked(sent), {"bytes": size})
            yield echoed.point("body", size, "echo handler", clients=1)


def batch(bench: Bench) -> Iterator[Point]:
    """A larger batch, for 64 clients."""
    for size in BATCHES:
        name = f"cifar-batch{size}"
        bench.register(name, size)
        yield bench.measured("batch", size, name, clients=64)
        bench.unregister(name)


def workers(bench: Bench) -> Iterator[Point]:
    """More workers of one model, for 32 clients."""
    for count in WORKERS:
        bench.scale("cifar", count)
        yield bench.measured("workers", count, clients=32)
    bench.scale("cifar", 1)


def models(bench: Bench) -> Iterator[Point]:
    """More models, two clients for each."""
    names = ["cifar"]
    for count in MODELS:
        if count > 1:
            names.append(f"cifar-model{count}")
            bench.register(names[-1])
        yield bench.measured("models", count, *names, clients=2)
    for name in names[1:]:
        bench.unregister(name)


def pixels(bench: Bench) -> Iterator[Point]:
    """Larger photos as JPEG, for 4 clients."""
    for width, height in SIDES:
        sent = photo(width, height)
        right = bench.expected.classifier.answer(sent)
        servers = {"marquee": bench.marquee, "stock handler": bench.beside["pixels"]}
        for series, server in servers.items():
            with server.awake():
                asked = server.start.asked(sent)
                question = Question(server, asked, right, tolerance=SMALL_REDUCED)
                yield question.point("pixels", width * height, series, clients=4)


AXES: dict[str, Callable[[Bench], Iterator[Point]]] = {
    each.__name__: each for each in (clients, body, batch, workers, models, pixels)
}


def grown(names: Sequence[str], rounds: int) -> Iterator[list[Point]]:
    """Measure the named axes so many times in turns, and yield the points of each turn."""
    with tempfile.TemporaryDirectory(prefix="mqb-", dir="/tmp") as folder, ExitStack() as running:
        setting = Setting(Path(folder), "vgg11")
        expected = Expected(Classifier(setting.weights))

        def started(start: Start, right: Expected) -> Server:
            server = Server(start, right)
            running.callback(server.stop)
            server.wait()
            _warm_up(server)
            return server

        marquee = started(ours.plain(setting), expected)
        beside = {
            name: started(prepare(setting), expected.of_echo() if name == "body" else expected)
            for name, prepare in BESIDE.items()
            if name in names
        }
        bench = Bench(marquee, beside, expected)
        for name in [*names] * rounds:
            with bench.marquee.awake():
                yield list(AXES[name](bench))


def _warm_up(server: Server) -> None:
    """Let Java's compiler see its requests before they count."""
    with server.awake():
        asked = server.start.asked(pictures()["png"].body)
        for clients in (1, 32):
            question = Question(server, asked, server.expected.of("png"))
            question.point("warm-up", 0, server.start.folder.name, clients=clients)


def options() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("axes", nargs="*", choices=[[], *AXES], metavar="AXIS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--append", action="store_true", help="keep the rounds that are there")
    return parser.parse_args()


def main() -> None:
    """Measure, write, print."""
    chosen = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before its time"))
    names, record, machine = chosen.axes or list(AXES), RESULTS / "growth.json", described()
    points = kept(record, machine, [] if chosen.append else names)
    for found in grown(names, chosen.rounds):
        points += found
        # Each turn is written when it is there: what comes after it may take another day.
        text = write(points, machine, record)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
