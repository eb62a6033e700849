"""What other Python clients do with one fault on the wire: the figures of docs/explained/other-libraries.md.

Nothing of a client is changed but its address and its pauses. Run it in an environment of its own, because
the dependencies of the clients must not mix with ours. That page shows how to install them.
"""

from __future__ import annotations

import base64
import os
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
import trustme

from captchahub.testing import Emulation, Fault, Sandbox, load_emulation

KEY = "0123456789abcdef0123456789abcdef"
TEXT = "x7kp2"
# A client that has not ended by then, in seconds, counts as one that hangs.
PATIENCE = 45.0
TIMEOUT = 5
SHARING = 8

Solve = Callable[[bytes], str]
Make = Callable[[Sandbox], Solve]


def with_2captcha_python(sandbox: Sandbox) -> Solve:
    """Polls every second; 10 s is its own pause."""
    from twocaptcha import TwoCaptcha  # noqa: PLC0415 - one client a time

    server = sandbox.url.removeprefix("https://")
    client = TwoCaptcha(KEY, server=server, pollingInterval=1, defaultTimeout=TIMEOUT)
    return lambda picture: str(client.normal(base64.b64encode(picture).decode())["code"])


def with_python_anticaptcha(sandbox: Sandbox) -> Solve:
    """Polls every 3 s, as always."""
    import python_anticaptcha  # noqa: PLC0415

    client = python_anticaptcha.AnticaptchaClient(KEY, host=sandbox.url.removeprefix("https://"))

    def solve(picture: bytes) -> str:
        job = client.create_task(python_anticaptcha.ImageToTextTask(image=picture))
        job.join(maximum_time=TIMEOUT)
        return str(job.get_captcha_text())

    return solve


def with_anticaptchaofficial(sandbox: Sandbox) -> Solve:
    """Polls every second, as always. Its address is fixed, so its session sends to the sandbox instead."""
    from anticaptchaofficial import antinetworking  # noqa: PLC0415
    from anticaptchaofficial.imagecaptcha import imagecaptcha  # noqa: PLC0415

    post = type(antinetworking.session).post
    antinetworking.session.post = lambda url, **options: post(
        antinetworking.session, url.replace("https://api.anti-captcha.com", sandbox.url), **options
    )
    client = imagecaptcha()
    client.set_key(KEY)
    client.set_comment("a text")  # its own default is no text, which the sandbox refuses
    wait = client.wait_for_result
    client.wait_for_result = lambda _seconds=0, current=0: wait(TIMEOUT, current)

    def solve(picture: bytes) -> str:
        answer = client.solve_and_return_solution(None, body=picture)
        if answer == 0:
            raise RuntimeError(f"0: {client.err_string}")
        return str(answer)

    return solve


def with_python_rucaptcha(sandbox: Sandbox) -> Solve:
    """Polls every second; 10 s is its own pause. It takes no time limit and polls 19 times."""
    from python_rucaptcha.image_captcha import ImageCaptcha  # noqa: PLC0415

    client = ImageCaptcha(rucaptcha_key=KEY)
    client.params.sleep_time = 1
    client.params.url_request = f"{sandbox.url}/createTask"
    client.params.url_response = f"{sandbox.url}/getTaskResult"

    def solve(picture: bytes) -> str:
        reply = client.captcha_handler(captcha_base64=picture)
        if not reply.get("solution"):
            raise RuntimeError(str(reply.get("errorDescription")))
        return str(reply["solution"]["text"])

    return solve


def with_unicaps(sandbox: Sandbox) -> Solve:
    """Polls every half second; 5 s is its own pause."""
    import unicaps  # noqa: PLC0415

    client = unicaps.CaptchaSolver(unicaps.CaptchaSolvingService.ANTI_CAPTCHA, KEY)
    service: Any = client._service  # noqa: SLF001 - it has no other place for an address
    service.BASE_URL = sandbox.url
    for settings in service.settings.values():
        settings.polling_delay, settings.polling_interval, settings.solution_timeout = 0.5, 0.5, TIMEOUT
    return lambda picture: str(client.solve_image_captcha(picture).solution.text)


def with_unicaptcha(sandbox: Sandbox) -> Solve:
    """Polls every half second; 2 s is its own pause."""
    from unicaptcha import ImageChallenge, Solver, TimeConfig  # noqa: PLC0415
    from unicaptcha.provider.anticaptcha import AntiCaptchaAdapter  # noqa: PLC0415

    pace = TimeConfig(total_timeout=TIMEOUT, poll_interval=0.5, poll_delay=0.5)
    client = Solver([AntiCaptchaAdapter(KEY, sandbox.url)], time=pace)
    return lambda picture: str(client.solve(ImageChallenge(picture)).solution.text)


def with_captchahub(sandbox: Sandbox) -> Solve:
    """Polls as soon as a local sandbox may be polled."""
    from captchahub import Hub, Image, ImageToText  # noqa: PLC0415

    hub = Hub.from_mapping({"providers": {"only": {"plugin": "createtask", **sandbox.settings(KEY)}}})
    return lambda picture: hub.solve(ImageToText(Image.from_bytes(picture)), timeout=TIMEOUT).solution.text


def older_api() -> Emulation:
    """The service that only 2captcha-python speaks to."""
    from captchahub_createtask.older_api import OlderApiEmulation  # noqa: PLC0415

    return OlderApiEmulation()


@attrs.frozen
class Client:
    """A client, the service it speaks to, and the names of the calls there."""

    name: str
    make: Make
    dialect: str = "anti-captcha"
    create: str = "createTask"
    poll: str = "getTaskResult"

    def service(self) -> Emulation:
        """Return a new service."""
        if not self.dialect:
            return older_api()
        return load_emulation("createtask", dialect=self.dialect, min_poll_interval=0)


CLIENTS = (
    Client("2captcha-python", with_2captcha_python, "", "in.php", "get"),
    Client("python-anticaptcha", with_python_anticaptcha),
    Client("anticaptchaofficial", with_anticaptchaofficial),
    Client("python-rucaptcha", with_python_rucaptcha, "2captcha"),
    # It sends each id as text, and this service has such ids.
    Client("unicaps", with_unicaps, "yescaptcha"),
    Client("unicaptcha", with_unicaptcha),
    Client("captchahub", with_captchahub),
)


@attrs.frozen
class Run:
    """What one solve came to."""

    seconds: float
    answer: str | None
    error: str
    jobs: int
    polls: int
    connections: int

    @property
    def end(self) -> str:
        """What the caller got."""
        if self.answer is not None:
            return "answered" if self.answer == TEXT else f"wrong answer {self.answer}"
        return f"no answer ({self.error})"


def one_solve(client: Client, context: ssl.SSLContext, faults: Sequence[Fault], job_time: float) -> Run:
    """Solve a picture with a new client on a new sandbox."""
    with Sandbox(client.service(), job_time=job_time, tls=context, faults=faults) as sandbox:
        sandbox.settings(KEY, balance="10")
        picture = sandbox.draw_text(TEXT).image.data
        solve = client.make(sandbox)
        found: list[str] = []
        errors = ["hangs"]

        def work() -> None:
            try:
                found.append(solve(picture))
            except Exception as error:  # noqa: BLE001 - whatever a client raises is its result
                errors.append(type(error).__name__)

        begun = time.monotonic()
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        seconds = time.monotonic() - begun
        connections = {call.connection for call in sandbox.calls}
        polls = len(sandbox.calls_to(client.poll))
        return Run(seconds, next(iter(found), None), errors[-1], len(sandbox.jobs), polls, len(connections))


def shared(client: Client, context: ssl.SSLContext) -> str:
    """Solve pictures in several threads with one client, and count what each thread got."""
    with Sandbox(client.service(), job_time=0.6, tls=context) as sandbox:
        sandbox.settings(KEY, balance="10")
        drawn = [sandbox.draw_text(f"ABC{number}X") for number in range(SHARING)]
        solve = client.make(sandbox)

        def read(number: int) -> str:
            try:
                return solve(drawn[number].image.data)
            except Exception as error:  # noqa: BLE001
                return type(error).__name__

        with ThreadPoolExecutor(SHARING) as pool:
            answers = list(pool.map(read, range(SHARING)))
    texts = [one.solution.text for one in drawn]
    wrong = sum(answer != text and answer in texts for answer, text in zip(answers, texts, strict=True))
    right = sum(answer == text for answer, text in zip(answers, texts, strict=True))
    return f"{right} right, {wrong} of another thread, {SHARING - right - wrong} errors"


def rows(client: Client, context: ssl.SSLContext) -> Mapping[str, str]:
    """Return what the client does in each situation."""
    once: dict[str, Any] = {"on": client.poll, "times": 1, "after": 1}

    def run(*faults: Fault, job_time: float = 2.5) -> Run:
        return one_solve(client, context, faults, job_time)

    plain = run()
    lost = run(Fault.drop(handled=True, on=client.create, times=1))
    slow = run(Fault.late(2.5, on=client.poll), job_time=3600)
    return {
        "no fault": f"{plain.end}, {plain.polls} polls over {plain.connections} connections with the order",
        "502 on one poll": run(Fault.status(502, **once)).end,
        "one poll closed without reply": run(Fault.drop(**once)).end,
        "one poll reset in its reply": run(Fault.reset(**once)).end,
        "reply to the order lost": f"{lost.jobs} jobs, {lost.end}",
        f"time limit {TIMEOUT} s, polls take 2.5 s": f"{slow.end}, {slow.seconds:.1f} s, {slow.polls} polls",
        f"{SHARING} threads share a client": shared(client, context),
    }


def trusting() -> ssl.SSLContext:
    """Return what a sandbox on https needs, after the clients were made to trust it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = Path(tempfile.mkdtemp()) / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    os.environ.update(REQUESTS_CA_BUNDLE=str(bundle), SSL_CERT_FILE=str(bundle), NO_PROXY="127.0.0.1")
    return context


def main(names: Sequence[str]) -> None:
    """Measure the clients of these names, or all of them."""
    context = trusting()
    for client in CLIENTS:
        if not names or client.name in names:
            print(f"\n{client.name} {version(client.name)}")
            for situation, outcome in rows(client, context).items():
                print(f"  {situation:34} {outcome}", flush=True)
    # A client that hangs has a thread that nothing ends.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
