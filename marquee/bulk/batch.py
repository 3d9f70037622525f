"""Ask a model about many files: from the archive to the last row."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from marquee import interrupts
from marquee.archives import reader, trust
from marquee.archives.inspection import Inspection, inspect
from marquee.archives.store import find_archive
from marquee.bulk import inputs, results
from marquee.bulk.items import Orders, located
from marquee.bulk.process import SLOTS, WorkerProcess
from marquee.bulk.run import Ask, BatchReport, Run
from marquee.client.request import PredictionRequest
from marquee.errors import MarqueeError
from marquee.media import OCTETS, accepted
from marquee.project import Project
from marquee.ray import environment
from marquee.scratch import scratch
from marquee.torchserve.loaded import defaults
from marquee.versions.candidate import of_version

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def batch(
    project: Project,
    model: str,
    source: str,
    output: Path,
    *,
    version: str | None = None,
    accept: str | None = None,
    parameters: Mapping[str, str] | None = None,
    content_type: str | None = None,
    workers: int | None = None,
    address: str | None = None,
    again: bool = False,
    progress: Callable[[BatchReport], None] = lambda _: None,
) -> BatchReport:
    """Ask an archive's own handler about many files, without a server.

    Each input gets one row in the table. A run that was killed goes on when the same is asked.

    Args:
        model: a model of the store, or an archive by its name there or its path.
        source, output: see :func:`marquee.bulk.inputs.find` and :mod:`marquee.bulk.results`.
        version: of the model; the default one when None.
        accept, parameters, content_type: as of :func:`marquee.predict`.
        workers: processes with the model; when None as its model-config.yaml says (maxWorkers), on
            each node of a cluster.
        address: of a Ray cluster, such as ``10.0.0.1:6379``, ``auto`` (the one that runs here) or
            ``local`` (is started); this machine's own processes when None.
        again: whether inputs without an answer are asked once more.
        progress: gets the report as it grows.

    Raises:
        MarqueeError: there is no such model, nothing to ask, or no worker; ``output`` is of another
            batch, in use, or full.
    """
    archive = inspect(_archive(project, model, version))
    request = _request(archive, accept, parameters, content_type)
    listing, job = inputs.find(source, output), _job(archive, source, request)
    with _full_disk_told(output), interrupts.raised(), ExitStack() as held:
        out = held.enter_context(results.opened(output, job, again=again))
        run = Run(listing, out, BatchReport(archive.model, archive.version, out.table), progress)
        held.callback(run.close)  # when the workers have ended
        orders, most = _orders(project, archive.path, request)
        crew: AbstractContextManager[list[Ask]]
        if address is None:
            crew = _own(project, archive, orders, workers or most, log=out.log, share=workers)
        else:
            trust.refuse_cluster(project, "run the batch without --address")
            crew = _crew(address, archive, orders, workers, most)
        run.go(held.enter_context(crew), orders.batch)
    if not run.report.inputs and not run.report.interrupted:
        raise MarqueeError(f"{source} holds nothing to ask about; hidden files are passed over")
    return run.report


def _crew(
    address: str, archive: Inspection, orders: Orders, count: int | None, per_node: int
) -> AbstractContextManager[list[Ask]]:
    environment.prepare(own=address == environment.LOCAL)
    from marquee.bulk import cluster  # loads Ray

    return cluster.crew(address, archive, orders, count, per_node)


def _archive(project: Project, named: str, version: str | None) -> Path:
    """Return the archive of a model's version, of its default one, or one that is named itself."""
    chosen = version or defaults(project).get(named)
    if chosen is None:
        return find_archive(project.model_store, named)
    return of_version(project, named, chosen).archive


def _request(
    archive: Inspection,
    accept: str | None,
    parameters: Mapping[str, str] | None,
    content_type: str | None,
) -> PredictionRequest:
    request = PredictionRequest(
        archive.model,
        archive.version,
        accept=accepted(accept) if accept else None,
        parameters=parameters or {},
        content_type=accepted(content_type) if content_type else None,
    )
    request.headers(OCTETS)  # refuses what does not fit into them
    return request


def _job(archive: Inspection, source: str, request: PredictionRequest) -> dict[str, Any]:
    """Return what makes results those of one batch and no other."""
    return {"archive": archive.sha256, "input": located(source), **asdict(request)}


def _orders(project: Project, archive: Path, request: PredictionRequest) -> tuple[Orders, int]:
    """Return what a worker has to know, and how many the archive is to have on a machine."""
    config, properties = reader.config(archive), project.properties

    def number(key: str, default: str = "") -> int:
        value = config.get(key) or properties.get(default) or ""
        return int(value) if str(value).isdecimal() else 0

    orders = Orders(
        request=request,
        batch=number("batchSize") or 1,
        limit=int(properties.get("max_request_size", "6553500")),
        timeout=number("responseTimeout", "default_response_timeout") or 120,
        startup=number("startupTimeout", "default_startup_timeout") or 120,
    )
    return orders, max(number("minWorkers"), number("maxWorkers"), 1)


@contextmanager
def _own(
    project: Project,
    archive: Inspection,
    orders: Orders,
    count: int,
    *,
    log: Path,
    share: int | None,
) -> Iterator[list[Ask]]:
    """Lend what asks this machine's own workers; each starts when it is asked first."""
    title = f"{archive.model} {archive.version}"
    with scratch() as temp:
        folder = temp / "unpacked"
        trust.unpack(project, archive.path, folder)
        made = [
            WorkerProcess(folder, replace(orders, number=number, share=share), log, title)
            for number in range(count)
        ]
        try:
            yield [partial(one.ask, slot) for slot in range(SLOTS) for one in made]
        finally:
            for one in made:
                one.close()


@contextmanager
def _full_disk_told(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise MarqueeError(
            f"the disk is full ({error.filename or output}); free some space and give the same "
            "command again: it goes on where it was"
        ) from error
