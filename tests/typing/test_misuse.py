"""Slips that a type checker has to find before anything is run, and the same program without them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Each line that is wrong names the error that mypy has to report for it; all others are right.
MISUSE = """
import attrs
from captchahub import (
    AsyncHub, Hub, Image, ImageToText, PhoneSlide, Point, RateLimited,
    SlideSolution, Solution, Task, TextSolution, tasks_from,
)
from captchahub import events
from captchahub.provider import Created, Job, Pending, Provider, Reply, Request, Secret, Solved


def solving(hub: Hub, image: Image) -> None:
    hub.solve(ImageToText(image)).solution.start  # error: attr-defined
    hub.solve(PhoneSlide(image)).solution.text  # error: attr-defined
    hub.solve(image)  # error: arg-type
    hub.solve("captcha.png")  # error: arg-type
    hub.solve(ImageToText(image), 60)  # error: call-arg
    hub.solve(ImageToText(image), timeout="60s")  # error: arg-type
    text: TextSolution = hub.submit(PhoneSlide(image)).result().solution  # error: assignment
    for outcome in hub.solve_many([PhoneSlide(image)]):
        outcome.result.solution  # error: union-attr
        outcome.unwrap().solution.text  # error: attr-defined
    hub.solve_many(["captcha.png"])  # error: arg-type
    tasks_from(["captcha.png"], ImageToText, lenght=5)  # error: call-arg
    hub.services()  # error: call-arg
    failures: list[events.Failed] = []
    hub.on(events.Solved, failures.append)  # error: arg-type
    hub.on(events.Solved, lambda event: event.error)  # error: attr-defined
    hub.on("Solved", print)  # error: arg-type
    hub.on(int, print)  # error: type-var


async def solving_in_a_loop(hub: AsyncHub, image: Image) -> None:
    hub.solve(ImageToText(image)).solution  # error: attr-defined
    (await hub.submit(PhoneSlide(image))).solution.text  # error: attr-defined
    for outcome in hub.solve_many([PhoneSlide(image)]):  # error: attr-defined
        pass


def describing(image: Image) -> None:
    ImageToText(b"bytes")  # error: arg-type
    ImageToText(image, 5)  # error: call-arg
    ImageToText(image, length="5")  # error: arg-type
    ImageToText(image, lenght=5)  # error: call-arg
    ImageToText(image, case_sensitive="yes")  # error: arg-type
    PhoneSlide(image, length=5)  # error: call-arg
    ImageToText(image).length = 5  # error: misc
    Image.open(b"captcha.png")  # error: arg-type
    Image.from_bytes("captcha.png")  # error: arg-type
    Image.from_pil(image)  # error: arg-type
    TextSolution(5)  # error: arg-type
    SlideSolution((1, 2), Point(3, 4))  # error: arg-type
    RateLimited("slow down", 5)  # error: call-arg
    text: Task[TextSolution] = PhoneSlide(image)  # error: assignment


@attrs.frozen
class Unfinished(Task[TextSolution]):
    kind = "unfinished"
    solution_type = TextSolution
    image: Image


@attrs.frozen
class Wrong(Task[TextSolution]):
    kind = 5  # error: assignment
    solution_type = str  # error: assignment
    image: Image

    def check(self, solution: TextSolution) -> str | None:  # error: override
        return None


class Number(Task[int]):  # error: type-var
    pass


class Plugin(Provider):
    def create_job(self, task: Task[Solution]) -> Request:
        return Request.post_json("https://a.example", ["not", "an", "object"])  # error: arg-type

    def read_created(self, task: Task[Solution], reply: Reply) -> Created:
        return Created(b"7")  # error: arg-type

    def poll_job(self, job: Job) -> str:  # error: override
        return "https://a.example"

    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        return Solved("x7kp2")  # error: arg-type


def making(image: Image, token: Secret) -> None:
    Unfinished(image)  # error: abstract
    f"{token.value}"  # error: attr-defined
    Request("https://a.example", token)  # error: arg-type
"""


def test_mypy_finds_every_slip_and_nothing_else(tmp_path: Path, mypy_cache: str) -> None:
    from mypy import api  # noqa: PLC0415 - it is slow to import, and each worker collects all tests

    program = tmp_path / "misuse.py"
    program.write_text(MISUSE)
    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", mypy_cache]
    shape = ["--no-pretty", "--no-error-summary", "--hide-error-context"]
    written, complaints, _ = api.run(
        [*settings, *shape, str(program), str(Path(__file__).with_name("solutions.py"))]
    )
    assert complaints == ""
    assert found(written) == wanted(MISUSE), written


def wanted(program: str) -> set[tuple[str, int, str]]:
    """File, line and kind of each error that is announced."""
    lines = enumerate(program.splitlines(), start=1)
    announced = [(number, re.search(r"# error: (\S+)$", line)) for number, line in lines]
    return {("misuse.py", number, kind[1]) for number, kind in announced if kind}


def found(written: str) -> set[tuple[str, int, str]]:
    """File, line and kind of each error that was reported."""
    errors = re.findall(r"^(.+?):(\d+): error: .* \[([a-z-]+)\]$", written, re.MULTILINE)
    return {(Path(file).name, int(line), kind) for file, line, kind in errors}
