"""The emulation follows the services' pages. It is called directly, on a clock that the test moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, get_args

import attrs
import pytest
from captchahub_createtask import CreateTaskProvider, CreateTaskSettings
from captchahub_createtask.dialects import DialectName
from captchahub_createtask.emulation import CreateTaskEmulation

from captchahub import Image, ImageToText, Solution, TextSolution
from captchahub.errors import (
    AuthenticationError,
    InsufficientBalance,
    JobFailed,
    JobUnknown,
    ProviderError,
    RateLimited,
    UnsupportedTask,
)
from captchahub.provider import Balance, Created, Job, JobId, Pending, Reply, Request, Secret, Solved
from captchahub.testing.emulation import Call, JobRecord, World

BASE = "http://127.0.0.1:8000"
EVERY = get_args(DialectName)
NUMBERS = ["anti-captcha", "2captcha", "capmonster", "custom"]
TEXTS = ["capsolver", "yescaptcha", "omocaptcha-v2"]


@attrs.define
class Service:
    """The emulation with one account, and the provider for it; ``now`` is moved by the test."""

    emulation: CreateTaskEmulation
    key: str
    truth: Solution | None = attrs.field(factory=lambda: TextSolution("x7kp2"))
    now: float = 0.0
    world: World = attrs.field(init=False)
    client: CreateTaskProvider = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.world = World(
            now=lambda: self.now,
            read_picture=lambda _kind, _picture: self.truth,
            job_seconds=lambda: 8.0,
        )
        self.world.add_account(self.key, "1")
        self.client = CreateTaskProvider(CreateTaskSettings(self.emulation.dialect, Secret(self.key), BASE))

    @property
    def balance(self) -> Decimal:
        return self.world.accounts[self.key].balance

    @property
    def job(self) -> JobRecord:
        [job] = self.world.jobs.values()
        return job

    def send(self, request: Request) -> Reply:
        call = Call(request.method, request.url.removeprefix(BASE), request.headers, request.body, self.now)
        answer = self.emulation.answer(call, self.world)
        return Reply(answer.status, answer.body, answer.headers)

    def post(self, name: str, *, method: str = "POST", **body: object) -> Reply:
        keyed = {"clientKey": self.key} | body
        return self.send(Request(f"{BASE}/{name}", json.dumps(keyed).encode(), method))

    def order(self, picture: object, **fields: object) -> Reply:
        field = self.emulation.spoken.image_field
        return self.post("createTask", task={"type": "ImageToTextTask", field: picture} | fields)

    def create(self, picture: Image) -> Created:
        task = ImageToText(picture)
        return self.client.read_created(task, self.send(self.client.create_job(task)))

    def poll(self, created: Created) -> Pending | Solved:
        job = job_of(created)
        return self.client.read_result(job, self.send(self.client.poll_job(job)))

    def report(self, created: Created, *, correct: bool) -> None:
        job = job_of(created)
        self.client.read_report(self.send(self.client.ask_report(job, correct=correct)))


def job_of(created: Created) -> Job:
    assert created.job_id is not None
    return Job(created.job_id, "image-to-text")


@pytest.fixture
def service_of(key: str) -> Callable[..., Service]:
    def service_of(dialect: DialectName = "2captcha", **knobs: Any) -> Service:
        return Service(CreateTaskEmulation(dialect, **knobs), key)

    return service_of


@pytest.fixture
def service(service_of: Callable[..., Service]) -> Service:
    return service_of()


@pytest.mark.parametrize("dialect", [name for name in EVERY if name != "capsolver"])
@pytest.mark.parametrize("text", ["x7kp2", "ERROR", "two words"])
def test_a_text_goes_through_the_provider_in_every_dialect(
    service_of: Callable[..., Service], picture: Image, dialect: DialectName, text: str
) -> None:
    service = service_of(dialect)
    service.truth = TextSolution(text)
    created = service.create(picture)
    service.now = 5.0
    assert service.poll(created) == Pending("processing")
    service.now = 10.0
    found = service.poll(created)
    assert isinstance(found, Solved)
    assert found.solution == TextSolution(text)


def test_capsolver_answers_at_once(service_of: Callable[..., Service], picture: Image) -> None:
    service = service_of("capsolver")
    created = service.create(picture)
    assert created.solution == TextSolution("x7kp2")
    assert service.poll(created) == Solved(TextSolution("x7kp2"))
    assert service.job.delivered == 2


@pytest.mark.parametrize("dialect", ["anti-captcha", "2captcha"])
def test_the_cost_is_sent_with_the_answer(
    service_of: Callable[..., Service], picture: Image, dialect: DialectName
) -> None:
    service = service_of(dialect)
    created = service.create(picture)
    service.now = 10.0
    assert service.poll(created) == Solved(TextSolution("x7kp2"), Decimal("0.000700"))
    assert service.balance == 1 - Decimal("0.0007")


@pytest.mark.parametrize("dialect", EVERY)
def test_job_ids_are_numbers_or_texts_as_the_service_has_them(
    service_of: Callable[..., Service], picture: Image, dialect: DialectName
) -> None:
    job_id = service_of(dialect).create(picture).job_id
    assert isinstance(job_id, int if dialect in NUMBERS else str)


@pytest.mark.parametrize(("dialect", "other"), [("2captcha", "100000"), ("yescaptcha", 100_000)])
def test_a_job_id_that_is_not_sent_back_as_it_came_is_unknown(
    service_of: Callable[..., Service], picture: Image, dialect: DialectName, other: JobId
) -> None:
    service = service_of(dialect)
    service.create(picture)
    assert service.job.id == 100_000
    with pytest.raises(JobUnknown):
        service.poll(Created(other))


def test_the_answers_are_those_of_the_protocol_page(service: Service, picture: Image) -> None:
    assert service.order(picture.base64).json_object() == {"errorId": 0, "taskId": 100_000}
    service.now = 5.0
    assert service.post("getTaskResult", taskId=100_000).json_object() == {
        "errorId": 0,
        "status": "processing",
    }
    service.now = 10.0
    assert service.post("getTaskResult", taskId=100_000).json_object() == {
        "errorId": 0,
        "status": "ready",
        "solution": {"text": "x7kp2"},
        "cost": "0.000700",
        "ip": "127.0.0.1",
        "createTime": 0,
        "endTime": 8,
        "solveCount": "0",
    }
    assert service.post("getBalance").json_object() == {"errorId": 0, "balance": 0.9993}
    assert service.post("reportCorrect", taskId=100_000).json_object() == {"errorId": 0, "status": "success"}


def test_capsolver_fills_in_its_error_fields_and_has_statuses_for_failures(
    service_of: Callable[..., Service], picture: Image
) -> None:
    service = service_of("capsolver")
    created = service.order(picture.base64).json_object()
    assert (created["errorCode"], created["errorDescription"]) == ("", "")
    service.truth = None
    refused = service.order(picture.base64)
    assert (refused.status, refused.json_object()["errorId"]) == (400, 1)
    assert service.post("getBalance", clientKey="other").status == 401


def test_the_newer_omocaptcha_sends_vouchers_with_the_balance(
    service_of: Callable[..., Service],
) -> None:
    service = service_of("omocaptcha-v2")
    assert service.post("getBalance").json_object() == {"errorId": 0, "balance": 1.0, "voucherBalance": 0}
    assert service.client.read_balance(service.send(service.client.ask_balance())) == Balance(Decimal("1.0"))


@pytest.mark.parametrize("dialect", EVERY)
def test_an_unreadable_picture_ends_the_job(
    service_of: Callable[..., Service], picture: Image, dialect: DialectName
) -> None:
    service = service_of(dialect)
    service.truth = None

    def solve() -> None:
        created = service.create(picture)
        service.now = 10.0
        service.poll(created)

    with pytest.raises(JobFailed, match="ERROR_CAPTCHA_UNSOLVABLE"):
        solve()
    assert service.job.delivered == 0


@pytest.mark.parametrize("dialect", EVERY)
def test_every_job_is_paid_for_and_an_empty_account_gets_none(
    service_of: Callable[..., Service], picture: Image, dialect: DialectName
) -> None:
    service = service_of(dialect)
    service.world.accounts[service.key].balance = Decimal("0.001")
    service.create(picture)
    assert service.balance == Decimal("0.0003")
    with pytest.raises(InsufficientBalance):
        service.create(picture)
    assert service.balance == Decimal("0.0003")


@pytest.mark.parametrize("wrong", [None, 5, "", "other"])
@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("call", ["createTask", "getTaskResult", "getBalance"])
def test_no_call_is_answered_without_a_known_key(
    service_of: Callable[..., Service], dialect: DialectName, call: str, wrong: object
) -> None:
    service = service_of(dialect)
    with pytest.raises(AuthenticationError):
        service.client.read_balance(service.post(call, clientKey=wrong))


@pytest.mark.parametrize("body", [b"", b"<xml>", b"[1]"])
def test_a_body_that_is_not_an_object_has_no_key(service: Service, body: bytes) -> None:
    with pytest.raises(AuthenticationError):
        service.client.read_balance(service.send(Request(f"{BASE}/getBalance", body)))


def refused(service: Service, picture: Image, reply: Reply) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        service.client.read_created(ImageToText(picture), reply)
    assert service.balance == 1
    assert not service.world.jobs
    return caught.value


@pytest.mark.parametrize(
    "packed", [None, "", 5, "QUJ", "QUJD\nQUJD", "data:image/png;base64,QUJD", "đ", "QUJD"]
)
@pytest.mark.parametrize("dialect", EVERY)
def test_anything_but_a_picture_is_refused_and_costs_nothing(
    service_of: Callable[..., Service], picture: Image, dialect: DialectName, packed: object
) -> None:
    service = service_of(dialect)
    assert type(refused(service, picture, service.order(packed))) is UnsupportedTask


@pytest.mark.parametrize(
    ("size", "code"), [((1, 1), "ERROR_ZERO_"), ((400, 400), "ERROR_TOO_BIG_"), ((601, 9), "ERROR_TOO_BIG_")]
)
def test_a_picture_beyond_the_limits_is_refused(
    service: Service, picture: Image, draw: Callable[..., Image], size: tuple[int, int], code: str
) -> None:
    reply = service.order(draw(*size, noisy=size == (400, 400)).base64)
    assert code in str(refused(service, picture, reply))


@pytest.mark.parametrize("task", [None, [], {}, "x"])
def test_a_create_call_without_a_task_is_refused(service: Service, picture: Image, task: object) -> None:
    error = refused(service, picture, service.post("createTask", task=task))
    assert "ERROR_TASK_ABSENT" in str(error)


@pytest.mark.parametrize("kind", [None, "RecaptchaV2Task", 5])
def test_another_type_of_task_is_not_offered(service: Service, picture: Image, kind: object) -> None:
    error = refused(service, picture, service.order(picture.base64, type=kind))
    assert type(error) is UnsupportedTask


@pytest.mark.parametrize(
    "fields",
    [
        {"minLength": "5"},
        {"minLength": True},
        {"maxLength": -1},
        {"numeric": 5},
        {"numeric": "1"},
        {"case": 1},
        {"phrase": "no"},
        {"math": None},
        {"comment": 5},
    ],
)
def test_an_option_with_a_value_it_cannot_have_is_refused(
    service: Service, picture: Image, fields: dict[str, object]
) -> None:
    error = refused(service, picture, service.order(picture.base64, **fields))
    assert "ERROR_INVALID_TASK_DATA" in str(error)


def test_a_pool_that_does_not_exist_is_refused(service: Service, picture: Image) -> None:
    task = {"type": "ImageToTextTask", "body": picture.base64}
    reply = service.post("createTask", task=task, languagePool=["en"])
    assert "ERROR_INVALID_TASK_DATA" in str(refused(service, picture, reply))


def test_options_that_the_service_has_and_fields_it_does_not_know_are_taken(
    service: Service, picture: Image
) -> None:
    known = {"minLength": 5, "maxLength": 5, "numeric": 4, "case": True, "phrase": False, "comment": "red"}
    assert service.order(picture.base64, **known, newField=[1]).json_object()["errorId"] == 0


@pytest.mark.parametrize("task_id", [None, 0, 1, "100000", True, 1.5, "x", [], {}])
@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("call", ["getTaskResult", "report"])
def test_a_job_that_was_not_created_is_unknown(
    service_of: Callable[..., Service], dialect: DialectName, call: str, task_id: object
) -> None:
    service = service_of(dialect)
    name = service.emulation.spoken.wrong_call if call == "report" else call
    if name is None:
        return
    with pytest.raises(JobUnknown):
        service.client.read_report(service.post(name, taskId=task_id, result={"invalid": True}))


def test_an_answer_goes_only_to_the_account_that_paid(service: Service, picture: Image) -> None:
    created = service.create(picture)
    service.world.add_account("other", "1")
    service.now = 10.0
    with pytest.raises(JobUnknown):
        service.client.read_report(service.post("getTaskResult", clientKey="other", taskId=created.job_id))
    assert service.job.delivered == 0


def test_every_delivery_of_an_answer_is_counted(service: Service, picture: Image) -> None:
    created = service.create(picture)
    for service.now in (5.0, 10.0, 15.0):
        service.poll(created)
    assert service.job.delivered == 2


def test_polls_that_come_too_fast_are_refused_if_the_test_sets_an_interval(
    service_of: Callable[..., Service], picture: Image
) -> None:
    service = service_of("capmonster", min_poll_interval=3.0)
    created = service.create(picture)
    assert service.poll(created) == Pending("processing")
    service.now = 2.9
    with pytest.raises(RateLimited, match="ERROR_TOO_MUCH_REQUESTS"):
        service.poll(created)
    service.now = 10.0
    assert isinstance(service.poll(created), Solved)


@pytest.mark.parametrize(
    ("dialect", "first", "between", "code"),
    [
        ("2captcha", 5.0, 5.0, "ERROR_IP_BLOCKED"),
        ("capmonster", 0.0, 2.0, "ERROR_TOO_MUCH_REQUESTS"),
        ("omocaptcha-v2", 0.0, 2.0, "ERROR_TOO_MUCH_REQUESTS"),
    ],
)
def test_it_refuses_polls_faster_than_the_service_allows(  # noqa: PLR0917 - pytest's
    service_of: Callable[..., Service],
    picture: Image,
    dialect: DialectName,
    first: float,
    between: float,
    code: str,
) -> None:
    service = service_of(dialect)
    created = service.create(picture)
    if first:
        service.now = first - 0.1
        with pytest.raises(ProviderError, match=code):
            service.poll(created)
    service.now = first
    assert service.poll(created) == Pending("processing")
    for service.now in (first + 0.1, first + between - 0.1):
        with pytest.raises(ProviderError, match=code):
            service.poll(created)
    service.now = first + between
    assert isinstance(service.poll(created), (Pending, Solved))


def test_capsolver_objects_with_its_own_status_and_code(
    service_of: Callable[..., Service], picture: Image
) -> None:
    service = service_of("capsolver")
    created = service.create(picture)
    service.poll(created)
    service.now = 2.9
    reply = service.post("getTaskResult", taskId=created.job_id)
    assert (reply.status, reply.json_object()["errorCode"]) == (400, "ERROR_RATE_LIMIT")
    service.now = 3.0
    assert isinstance(service.poll(created), Solved)


def test_another_pace_can_be_set(service_of: Callable[..., Service], picture: Image) -> None:
    service = service_of("2captcha")
    service.emulation.min_poll_interval = 0.05
    created = service.create(picture)
    assert service.poll(created) == Pending("processing")
    service.now = 0.03
    with pytest.raises(ProviderError, match="ERROR_IP_BLOCKED"):
        service.poll(created)
    service.now = 0.05
    assert service.poll(created) == Pending("processing")


def test_a_quick_account_asks_as_often_as_it_likes(
    service_of: Callable[..., Service], picture: Image
) -> None:
    service = service_of("2captcha")
    created = service.create(picture)
    for account in service.world.accounts.values():
        account.is_quick = True
    for _ in range(3):
        assert service.poll(created) == Pending("processing")


def test_the_pace_of_the_settings_is_that_of_the_emulation(key: str) -> None:
    settings = CreateTaskSettings("2captcha", Secret(key), BASE, seconds_between_polls=0.25)
    emulation = CreateTaskEmulation("2captcha", spoken=settings.spoken)
    assert emulation.provider_settings == {
        "dialect": "2captcha",
        "poll": {"first": "250ms", "every": "250ms"},
    }


@pytest.mark.parametrize(
    ("dialect", "correct"),
    [
        ("anti-captcha", False),
        ("capmonster", False),
        ("2captcha", False),
        ("2captcha", True),
        ("capsolver", False),
        ("capsolver", True),
    ],
)
def test_a_report_is_kept_with_the_job(
    service_of: Callable[..., Service], picture: Image, dialect: DialectName, correct: bool
) -> None:
    service = service_of(dialect)
    created = service.create(picture)
    assert service.job.reported is None
    service.report(created, correct=correct)
    assert service.job.reported is correct


@pytest.mark.parametrize("result", [None, {}, {"invalid": "yes"}])
def test_a_report_that_does_not_say_which_is_refused(
    service_of: Callable[..., Service], picture: Image, result: object
) -> None:
    service = service_of("capsolver")
    task_id = service.create(picture).job_id
    reply = service.post("feedbackTask", taskId=task_id, result=result)
    assert reply.json_object()["errorCode"] == "ERROR_INVALID_TASK_DATA"
    assert service.job.reported is None


@pytest.mark.parametrize("name", ["createJob", "", "../createTask", "createTask/x", "feedbackTask", "None"])
def test_a_call_the_service_does_not_have_is_refused(service: Service, name: str) -> None:
    assert service.post(name).json_object()["errorCode"] == "ERROR_NO_SUCH_METHOD"


def test_calls_are_posted(service: Service) -> None:
    assert service.post("getBalance", method="GET").json_object()["errorCode"] == "ERROR_NO_SUCH_METHOD"


def test_a_custom_service_is_emulated_from_the_settings_of_its_provider(key: str, picture: Image) -> None:
    settings = CreateTaskSettings(
        "custom", Secret(key), BASE, task_type="TextTask", image_field="img", wrong_call="complain"
    )
    service = Service(CreateTaskEmulation("custom", spoken=settings.spoken), key)
    service.client = CreateTaskProvider(settings)
    created = service.create(picture)
    service.now = 10.0
    assert service.poll(created) == Solved(TextSolution("x7kp2"))
    service.report(created, correct=False)
    assert service.job.reported is False


def test_a_solution_the_services_cannot_write_is_the_tests_mistake(service: Service, picture: Image) -> None:
    class Other(Solution):
        pass

    service.truth = Other()
    created = service.create(picture)
    service.now = 10.0
    with pytest.raises(TypeError, match="not with a Other"):
        service.poll(created)


def test_a_dialect_that_does_not_exist_is_refused() -> None:
    nobody: Any = "3captcha"
    with pytest.raises(ValueError, match="there is no dialect '3captcha', only anti-captcha, 2captcha"):
        CreateTaskEmulation(nobody)
