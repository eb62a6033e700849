"""Starts the processes of a measurement: a server, and beside it a client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import attrs
import cattrs
import trustme

from benchmarks.compare.client import Cost, Part, Plan
from benchmarks.compare.cores import two_cores
from benchmarks.compare.protocol import Kind, Place
from benchmarks.compare.service import Counts
from benchmarks.compare.table import Client

# Seconds between two looks at the threads of a client.
_LOOK = 0.1

# Their addresses and authorities would be used instead of those that are given.
_NOT_INHERITED = ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE")


class Wrong(Exception):
    """A measurement did not do what it should measure."""


@attrs.frozen
class Site:
    """Where to measure: the certificate and the authority in files, and the cores of the two processes."""

    certificate: Path
    authority: Path
    server_core: int | None
    client_core: int | None


@attrs.frozen
class Service:
    """How a service behaves: whether it has TLS, and times in seconds."""

    tls: bool = True
    job_seconds: tuple[float, float] = (0.0, 0.0)
    delay: float = 0.0


@attrs.frozen
class Run:
    """What one client did: the cost of each part, what the service counted, and the most threads it had."""

    costs: tuple[Cost, ...]
    counts: Counts
    threads: int | None


@contextmanager
def site() -> Generator[Site]:
    """Make a certificate, and choose the cores."""
    authority = trustme.CA()
    with tempfile.TemporaryDirectory() as folder:
        certificate, bundle = Path(folder) / "server.pem", Path(folder) / "authority.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        authority.cert_pem.write_to_path(str(bundle))
        yield Site(certificate, bundle, *two_cores())


def run(where: Site, client: Client, service: Service, parts: tuple[Part, ...]) -> Run:
    """Run a client against a new server. Raises Wrong if not every picture was one job with one answer."""
    with _server(where, service) as (place, server):
        plan = Plan(client.function, client.kind.value, client.variant, place, where.client_core, parts)
        costs, threads = _measured(where, client, plan)
        printed, _ = server.communicate()
    counts = cattrs.structure(json.loads(printed), Counts)
    _check(client, parts, counts)
    return Run(costs, counts, threads)


@contextmanager
def _server(where: Site, service: Service) -> Generator[tuple[Place, subprocess.Popen[str]]]:
    options = ["--delay", str(service.delay), "--job-seconds", *map(str, service.job_seconds)]
    if service.tls:
        options += ["--certificate", str(where.certificate)]
    if where.server_core is not None:
        options += ["--core", str(where.server_core)]
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "benchmarks.compare.server", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            port = int(_pipe(server.stdout).readline())
            if service.tls:
                yield Place(f"https://127.0.0.1:{port}", str(where.authority)), server
            else:
                yield Place(f"http://127.0.0.1:{port}"), server
        finally:
            server.kill()


def _measured(where: Site, client: Client, plan: Plan) -> tuple[tuple[Cost, ...], int | None]:
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.compare.client"],
            stdin=subprocess.PIPE,
            stdout=output,
            text=True,
            env=_environment(where, client),
        ) as process,
    ):
        with _pipe(process.stdin) as plans:
            plans.write(json.dumps(attrs.asdict(plan)))
        threads = _most_threads(process) if client.kind is Kind.TOGETHER else None
        if process.wait():
            raise Wrong(f"{client.name} failed")
        output.seek(0)
        return cattrs.structure(json.load(output), tuple[Cost, ...]), threads


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise AssertionError("the process was started without this pipe")
    return stream


def _environment(where: Site, client: Client) -> Mapping[str, str]:
    found = {
        name: value
        for name, value in os.environ.items()
        if name not in _NOT_INHERITED and not name.lower().endswith("_proxy")
    }
    if client.by_environment:
        found |= {"REQUESTS_CA_BUNDLE": str(where.authority), "SSL_CERT_FILE": str(where.authority)}
    return found


def _most_threads(process: subprocess.Popen[str]) -> int | None:
    status, most = Path(f"/proc/{process.pid}/status"), None
    while process.poll() is None:
        if status.exists():
            found = [
                line.split()[1] for line in status.read_text().splitlines() if line.startswith("Threads:")
            ]
            most = max(most or 0, *map(int, found))
        time.sleep(_LOOK)
    return most


def _check(client: Client, parts: tuple[Part, ...], counts: Counts) -> None:
    pictures = sum(part.warm_up + part.count for part in parts)
    wanted = {Kind.SOLVE: pictures, Kind.POST: 0, Kind.TOGETHER: max(counts.polls, pictures)}
    if counts.jobs != pictures or len(counts.answers) != pictures or counts.refused:
        raise Wrong(
            f"{client.name}: {pictures} pictures were {counts.jobs} jobs with {len(counts.answers)} answers, "
            f"and {counts.refused} wrong calls"
        )
    if counts.polls != wanted[client.kind]:
        raise Wrong(f"{client.name}: {pictures} pictures took {counts.polls} polls")
