"""The sandbox: a local server that behaves like a solving service, for trials and tests."""

from __future__ import annotations

import os
import random
import ssl
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from types import TracebackType
from typing import Protocol, Self, TypedDict, TypeVar, Unpack, overload

from captchahub._support.clock import steady
from captchahub._support.wording import advise
from captchahub.images import Image
from captchahub.tasks import Solution
from captchahub.testing._pixels import pixel_hash
from captchahub.testing._wire.effects import Pause, WireAction
from captchahub.testing._wire.http import render
from captchahub.testing._wire.server import HttpServer
from captchahub.testing.answers import answers, picture_of, solution_of
from captchahub.testing.call_records import CallLog, CallRecord
from captchahub.testing.emulation import Answer, Call, Emulation, JobRecord, World, picture_hash
from captchahub.testing.faults import Fault, FaultRules
from captchahub.testing.pictures import (
    DrawnPicture,
    DrawnSlide,
    DrawnText,
    Painter,
    SlideOptions,
    TextOptions,
)
from captchahub.testing.timing import LogNormal, Seconds, sampler

__all__ = ["Sandbox", "SandboxFactory", "SandboxOptions"]

DEFAULT_TOKEN = "sandbox-token"  # noqa: S105 - opens nothing but the sandbox

# Often enough for an answer to be found at once, in seconds.
_QUICK_POLL_INTERVAL = 0.01

Picture = TypeVar("Picture", bound=DrawnPicture)


class SandboxOptions(TypedDict, total=False):
    """The options of a sandbox besides its emulation; see :class:`Sandbox`."""

    latency: Seconds
    job_time: Seconds
    failure_rate: float
    seed: int
    faults: Iterable[Fault]
    port: int
    tls: ssl.SSLContext | None


class Sandbox:
    """Serves an emulation on 127.0.0.1 from :meth:`start` to :meth:`stop`, or as a context manager.

    ``latency`` is the round-trip time of each call and ``job_time`` the duration of each job, both in
    seconds. ``failure_rate`` is the share of jobs that fail, from 0 to 1. ``seed`` makes the random choices
    reproducible. ``faults`` are the rules for failures on the wire. ``port`` 0 picks a free port. With
    ``tls``, a server context that has loaded a certificate for 127.0.0.1, the sandbox serves https only.

    Raises TypeError if ``emulation`` is not an Emulation, and ValueError if a fault names an unknown call or
    the context is for clients.
    """

    def __init__(
        self,
        emulation: Emulation,
        *,
        latency: Seconds = 0.0,
        job_time: Seconds = 0.0,
        failure_rate: float = 0.0,
        seed: int = 0,
        faults: Iterable[Fault] = (),
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        _check_emulation(emulation)
        _check_tls(tls)
        seeds = random.Random(seed)
        self.emulation = emulation
        faults = self._checked(faults)
        self._log = CallLog()
        self._rules = FaultRules(faults, seeds.getrandbits(32))
        self._painter = Painter(seeds.getrandbits(32))
        self._latency = sampler(latency, seeds.getrandbits(32))
        self._answers: dict[str, Callable[[str], Solution | None]] = {}
        self._answers_by_pixels: dict[str, Callable[[str], Solution | None]] = {}
        self._errors: list[Exception] = []
        self._began = steady()
        self._port = port
        self._tls = tls
        self._accepted = 0
        self._server: HttpServer | None = None
        self.world = World(
            now=self._now,
            read_picture=self._read_picture,
            job_seconds=sampler(job_time, seeds.getrandbits(32)),
            usual_job_time=job_time.median if isinstance(job_time, LogNormal) else job_time,
            failure_rate=failure_rate,
            seed=seeds.getrandbits(32),
            knows_picture=lambda picture: self._answer_to(picture) is not None,
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()
        # Do not hide the error of a test that has already failed.
        if error is None:
            self._raise_error()

    def start(self) -> Self:
        """Start to serve; after a stop, on the same port again. Raises OSError if the port is taken."""
        if self._server is not None:
            raise RuntimeError(f"this sandbox already serves {self.url}")
        self._server = HttpServer(self._port, self._respond, self._now, self._accepted, self._tls)
        self._port = self._server.port
        return self

    def stop(self) -> None:
        """Close every connection and end every thread at once. The records stay.

        Raises the first exception that the emulation raised, for which the client got only a status 500.
        """
        self._close()
        self._raise_error()

    def _close(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._accepted = self._server.accepted
            self._server = None

    def _raise_error(self) -> None:
        if self._errors:
            raise self._errors.pop(0)

    @property
    def url(self) -> str:
        """The base address of the service. Raises RuntimeError before the first start."""
        if self._port == 0:
            raise RuntimeError("the sandbox has no address yet: call start(), or use it in a with statement")
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._port}{self.emulation.base_path}"

    def settings(
        self, token: str = DEFAULT_TOKEN, *, balance: Decimal | str = "10", quick: bool = True
    ) -> dict[str, object]:
        """Return the plugin's settings for an account here: ``{"plugin": ..., **sandbox.settings()}``.

        Opens the account with this balance if it does not exist. A client of a ``quick`` account polls many
        times a second, so that a test takes no longer than its jobs; otherwise it polls at the service's
        pace.
        """
        with self._log.changed:
            if token not in self.world.accounts:
                self.world.add_account(token, balance)
            self.world.accounts[token].is_quick = quick
        own: dict[str, object] = {self.emulation.base_url_key: self.url}
        if self.emulation.token_key:
            own[self.emulation.token_key] = token
        if quick:
            interval = max(_QUICK_POLL_INTERVAL, self.emulation.min_poll_interval or 0.0)
            pause = f"{round(1000 * interval)}ms"
            own["poll"] = {"first": pause, "every": pause}
        return {**self.emulation.provider_settings, **own}

    @property
    def calls(self) -> list[CallRecord]:
        """Every call so far, in the order in which they were handled."""
        return self._log.calls

    def calls_to(self, name: str) -> list[CallRecord]:
        """Return the calls with a name, such as ``createJob``. Raises ValueError for an unknown name."""
        self._check_call(name)
        return self._log.calls_to(name)

    @property
    def jobs(self) -> list[JobRecord]:
        """Every job so far, oldest first."""
        with self._log.changed:
            return list(self.world.jobs.values())

    @property
    def connections(self) -> int:
        """The number of TCP connections accepted so far."""
        return self._accepted if self._server is None else self._server.accepted

    def wait_for_calls(self, name: str, count: int = 1, *, timeout: float = 5.0) -> list[CallRecord]:
        """Wait for ``count`` calls with one name, and return their records.

        Raises TimeoutError after ``timeout`` seconds, ValueError for an unknown name.
        """
        self._check_call(name)
        if not self._log.wait_until(lambda: len(self.calls_to(name)) >= count, timeout):
            received = ", ".join(call.name for call in self.calls) or "none"
            raise TimeoutError(f"fewer than {count} calls to {name!r} within {timeout} s; calls: {received}")
        return self.calls_to(name)

    def wait_for_jobs(self, count: int = 1, *, timeout: float = 5.0) -> list[JobRecord]:
        """Wait until ``count`` jobs were created. Raises TimeoutError after ``timeout`` seconds."""
        if not self._log.wait_until(lambda: len(self.jobs) >= count, timeout):
            raise TimeoutError(f"only {len(self.jobs)} of {count} jobs within {timeout} s")
        return self.jobs

    def finish_jobs(self) -> None:
        """Finish every job now."""
        with self._log.changed:
            for job in self.world.jobs.values():
                job.ready_at = min(job.ready_at, self._now())

    def add_faults(self, *faults: Fault) -> None:
        """Add faults after the rules in force.

        Raises ValueError if one names a call that the service does not have.
        """
        checked = self._checked(faults)
        with self._log.changed:
            self._rules.add(*checked)

    def _checked(self, faults: Iterable[Fault]) -> list[Fault]:
        checked = list(faults)
        for fault in checked:
            if fault.on is not None:
                self._check_call(fault.on)
        return checked

    def _check_call(self, name: str) -> None:
        known = self.emulation.calls
        if name not in known:
            raise ValueError(f"the service has no call {name!r}; {advise(name, known, 'calls')}")

    def clear_faults(self) -> None:
        """Remove all faults."""
        with self._log.changed:
            self._rules.clear()

    def draw_text(self, text: str | None = None, **options: Unpack[TextOptions]) -> DrawnText:
        """Draw a text like :class:`~captchahub.testing.pictures.Painter`, and :meth:`know` its answer."""
        with self._log.changed:
            drawn = self._painter.text(text, **options)
        return self.know(drawn)

    def draw_slide(self, **options: Unpack[SlideOptions]) -> DrawnSlide:
        """Draw a puzzle like :class:`~captchahub.testing.pictures.Painter`, and :meth:`know` its answer."""
        with self._log.changed:
            drawn = self._painter.slide(**options)
        return self.know(drawn)

    @overload
    def know(self, picture: Picture, /) -> Picture: ...

    @overload
    def know(self, picture: Image | bytes | str | os.PathLike[str], answer: str | Solution, /) -> Image: ...

    def know(
        self,
        picture: DrawnPicture | Image | bytes | str | os.PathLike[str],
        answer: str | Solution | None = None,
        /,
    ) -> DrawnPicture | Image:
        """Answer jobs for this picture rightly, and return the picture.

        The picture is a drawn one (of any sandbox), or an Image, bytes or a path with its ``answer``: a text,
        or a solution such as ``SlideSolution(Point(60, 900), Point(310, 900))``. Jobs of a kind that the
        answer does not fit fail. The sandbox recognises a picture by the bytes that it receives, or with
        Pillow by its pixels, as in the screenshot of an element that a browser took. Raises
        :class:`~captchahub.errors.TaskError` if the picture is not one, and TypeError if the answer is not
        one.
        """
        if isinstance(picture, DrawnPicture):
            if answer is not None:
                raise TypeError("a drawn picture has its own answer: know(picture)")
            self._set_answer(
                picture.image.data, lambda kind: picture.solution if kind == picture.kind else None
            )
            return picture
        image, solution = picture_of(picture), solution_of(answer)
        self._set_answer(image.data, lambda kind: solution if answers(kind, solution) else None)
        return image

    def script(self, picture: Image | bytes, solution: Solution | None) -> None:
        """Answer jobs for this picture with this solution. With None they fail."""
        data = picture.data if isinstance(picture, Image) else picture
        self._set_answer(data, lambda _kind: solution)

    def _set_answer(self, picture: bytes, answer: Callable[[str], Solution | None]) -> None:
        pixels = pixel_hash(picture)
        with self._log.changed:
            self._answers[picture_hash(picture)] = answer
            if pixels is not None:
                self._answers_by_pixels[pixels] = answer

    def _answer_to(self, picture: bytes) -> Callable[[str], Solution | None] | None:
        answer = self._answers.get(picture_hash(picture))
        return self._answers_by_pixels.get(pixel_hash(picture) or "") if answer is None else answer

    def _read_picture(self, kind: str, picture: bytes) -> Solution | None:
        answer = self._answer_to(picture)
        return None if answer is None else answer(kind)

    def _now(self) -> float:
        return steady() - self._began

    def _respond(self, call: Call, connection: int) -> Iterator[WireAction]:
        with self._log.changed:
            half_latency = Pause(self._latency() / 2)
        yield half_latency
        with self._log.changed:
            actions = self._handle(call, connection)
        yield half_latency
        yield from actions

    def _handle(self, call: Call, connection: int) -> Iterator[WireAction]:
        name, token = self.emulation.name_of(call), self.emulation.token_of(call)
        fault = self._rules.pick(name, token)
        own = Answer(200, b"") if fault and not fault.handled else self._answer(call)
        reply = fault.effect.reply(own) if fault else own
        status = None if fault and fault.effect.silent else reply.status
        self._log.record(CallRecord(name, call, connection, fault, status, token))
        return fault.effect.play(reply) if fault else iter([render(reply)])

    def _answer(self, call: Call) -> Answer:
        try:
            return self.emulation.answer(call, self.world)
        # The emulation is a plugin's code. Its error must reach the test and not end the server's thread.
        except Exception as error:  # noqa: BLE001 - raised again by stop()
            self._errors.append(error)
            return Answer(500, f"the emulation raised {error!r}\n".encode(), {"Content-Type": "text/plain"})


def _check_emulation(emulation: object) -> None:
    if isinstance(emulation, str):
        raise TypeError(f"a sandbox needs an Emulation, not its name: load_emulation({emulation!r})")
    if not isinstance(emulation, Emulation):
        raise TypeError(f"a sandbox needs an Emulation, not {emulation!r}; see load_emulation()")


def _check_tls(tls: ssl.SSLContext | None) -> None:
    if tls is not None and tls.protocol is ssl.PROTOCOL_TLS_CLIENT:
        raise ValueError("tls must be a context for servers: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)")


class SandboxFactory(Protocol):
    """The type of the fixture: ``captchahub_sandbox("omocaptcha", job_time=0.2)``."""

    def __call__(
        self, emulation: str | Emulation | None = None, /, **options: Unpack[SandboxOptions]
    ) -> Sandbox:
        """Start a sandbox of a provider kind, or of an Emulation.

        Use ``load_emulation("createtask", dialect="capsolver")`` for an emulation with options. None selects
        the only installed emulation, and raises :class:`~captchahub.errors.ConfigError` if there are several
        or none.
        """
        ...
