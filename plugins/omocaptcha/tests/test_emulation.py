from __future__ import annotations

import base64
import json
from collections.abc import Callable
from decimal import Decimal

import attrs
import pytest
from captchahub_omocaptcha import OmoProvider, OmoSettings
from captchahub_omocaptcha.emulation import OmoEmulation

from captchahub import Image, ImageToText, PhoneSlide, Point, SlideSolution, Solution, TextSolution
from captchahub.errors import (
    AuthenticationError,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobUnknown,
    ProviderError,
    ServiceUnavailable,
    TaskRefused,
)
from captchahub.provider import Balance, Created, Job, Pending, Reply, Request, Secret, Solved
from captchahub.testing.emulation import Call, World

BASE = "http://127.0.0.1:8000/api"


@attrs.define
class Service:
    """The emulation with one account, called directly. The test moves ``now``."""

    emulation: OmoEmulation
    token: str
    truth: Solution | None = None
    now: float = 0.0
    world: World = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.world = World(
            now=lambda: self.now,
            read_picture=lambda _kind, _picture: self.truth,
            job_seconds=lambda: 4.0,
        )
        self.world.add_account(self.token, "1")

    @property
    def balance(self) -> Decimal:
        return self.world.accounts[self.token].balance

    def send(self, request: Request) -> Reply:
        path = request.url.removeprefix("http://127.0.0.1:8000")
        call = Call(request.method, path, request.headers, request.body, self.now)
        answer = self.emulation.answer(call, self.world)
        return Reply(answer.status, answer.body, answer.headers)

    def post(self, name: str, body: object, *, method: str = "POST") -> dict[str, object]:
        packed = body if isinstance(body, bytes) else json.dumps(body).encode()
        reply = self.send(Request(f"{BASE}/{name}", packed, method))
        assert reply.status == 200
        return reply.json_object()

    def order(self, type_id: object, picture: object) -> dict[str, object]:
        data = {"type_job_id": type_id, "image_base64": picture}
        return self.post("createJob", {"api_token": self.token, "data": data})


@pytest.fixture
def service(token: str) -> Service:
    return Service(OmoEmulation(), token)


@pytest.fixture
def client(token: str) -> OmoProvider:
    return OmoProvider(OmoSettings(Secret(token), BASE))


def solve(service: Service, client: OmoProvider, task: ImageToText | PhoneSlide) -> Pending | Solved:
    created = client.read_created(task, service.send(client.create_job(task)))
    assert created.job_id is not None
    job = Job(created.job_id, task.kind)
    assert isinstance(client.read_result(job, service.send(client.poll_job(job))), Pending)
    service.now += 4.0
    return client.read_result(job, service.send(client.poll_job(job)))


KNOBS: list[Callable[[], OmoEmulation]] = [
    OmoEmulation,
    lambda: OmoEmulation(flags="success", job_ids="text"),
    lambda: OmoEmulation(flags="both", working="waiting"),
    lambda: OmoEmulation(with_messages=False),
]


@pytest.mark.parametrize("make", KNOBS)
@pytest.mark.parametrize("text", ["x7kp2", "ERROR", "two words"])
def test_a_text_goes_through_the_provider_in_every_variant(
    make: Callable[[], OmoEmulation], text: str, token: str, client: OmoProvider, picture: Image
) -> None:
    service = Service(make(), token, TextSolution(text))
    assert solve(service, client, ImageToText(picture)) == Solved(TextSolution(text))


@pytest.mark.parametrize("make", KNOBS)
@pytest.mark.parametrize("drag", [SlideSolution(Point(10, 20), Point(110, 20.5))])
def test_a_drag_goes_through_the_provider_in_every_variant(
    make: Callable[[], OmoEmulation],
    drag: SlideSolution,
    token: str,
    client: OmoProvider,
    picture: Image,
) -> None:
    assert solve(Service(make(), token, drag), client, PhoneSlide(picture)) == Solved(drag)


def test_the_drag_is_written_without_needless_decimals(service: Service, picture: Image) -> None:
    service.truth = SlideSolution(Point(10.0, 20), Point(110.5, 20.0))
    job_id = service.order("24", picture.base64)["job_id"]
    service.now = 4.0
    answer = service.post("getJobResult", {"api_token": service.token, "job_id": job_id})
    assert answer == {"error": False, "status": "success", "result": "10|20|110.5|20"}


def test_the_answers_are_those_of_the_protocol_page(service: Service, picture: Image) -> None:
    created = service.order("30", picture.base64)
    assert created == {"error": False, "job_id": 100_000, "message": "Create job success."}
    ask = {"api_token": service.token, "job_id": created["job_id"]}
    assert service.post("getJobResult", ask) == {"error": False, "status": "running", "result": None}
    service.now = 4.0
    assert service.post("getJobResult", ask) == {"error": False, "status": "fail", "result": None}
    balance = service.post("getBalance", {"api_token": service.token})
    assert balance == {"error": False, "balance": "0.99945", "message": "Get balance success."}
    assert service.post("getBalance", {"api_token": "other"}) == {
        "error": True,
        "message": "Invalid api token.",
    }


def test_the_variants_are_written_as_they_were_seen(service: Service, picture: Image) -> None:
    service.emulation = OmoEmulation(flags="success", job_ids="text", working="waiting", with_messages=False)
    assert service.order("30", picture.base64) == {"success": True, "job_id": "100000"}
    ask = {"api_token": service.token, "job_id": "100000"}
    assert service.post("getJobResult", ask) == {"success": True, "status": "waiting", "result": None}
    assert service.post("getBalance", {}) == {"success": False}
    service.emulation.flags = "both"
    assert service.post("getBalance", {}) == {"error": True, "success": False}


def test_a_failed_job_is_read_as_one(service: Service, client: OmoProvider, picture: Image) -> None:
    with pytest.raises(JobFailed):
        solve(service, client, ImageToText(picture))


def test_every_job_is_charged_and_an_empty_account_gets_none(
    service: Service, client: OmoProvider, picture: Image
) -> None:
    prices = OmoEmulation.prices
    service.order("30", picture.base64)
    service.order("24", picture.base64)
    assert service.balance == 1 - prices["image-to-text"] - prices["phone-slide"]
    assert client.read_balance(service.send(client.ask_balance())) == Balance(service.balance)
    service.world.accounts[service.token].balance = Decimal("0.0001")
    task = ImageToText(picture)
    with pytest.raises(InsufficientBalance):
        client.read_created(task, service.send(client.create_job(task)))
    assert service.balance == Decimal("0.0001")


@pytest.mark.parametrize("type_id", ["30", 30])
@pytest.mark.parametrize("as_text", [False, True])
def test_types_and_job_ids_are_understood_as_numbers_and_as_text(
    service: Service, picture: Image, type_id: object, as_text: bool
) -> None:
    service.truth = TextSolution("x7kp2")
    job_id = service.order(type_id, picture.base64)["job_id"]
    service.now = 4.0
    ask = {"api_token": service.token, "job_id": str(job_id) if as_text else job_id}
    assert service.post("getJobResult", ask)["result"] == "x7kp2"


def refusal(service: Service, call: str, body: object, client: OmoProvider, picture: Image) -> ProviderError:
    packed = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = service.send(Request(f"{BASE}/{call}", packed))
    assert reply.status == 200

    def read() -> object:
        if call == "getJobResult":
            return client.read_result(Job(1, "image-to-text"), reply)
        return client.read_created(ImageToText(picture), reply)

    with pytest.raises(ProviderError) as caught:
        read()
    return caught.value


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (None, JobRefused),
        ([], JobRefused),
        ({}, JobRefused),
        ({"type_job_id": "31", "image_base64": "QUJD"}, JobRefused),
        ({"type_job_id": True, "image_base64": "QUJD"}, JobRefused),
        ({"type_job_id": "30"}, TaskRefused),
        ({"type_job_id": "30", "image_base64": ""}, TaskRefused),
        ({"type_job_id": "30", "image_base64": 5}, TaskRefused),
        ({"type_job_id": "30", "image_base64": "data:image/png;base64,QUJD"}, TaskRefused),
        ({"type_job_id": "30", "image_base64": "QUJD\nQUJD"}, TaskRefused),
        ({"type_job_id": "30", "image_base64": "QUJ"}, TaskRefused),
        ({"type_job_id": "30", "image_base64": "đ"}, TaskRefused),
    ],
)
def test_a_wrong_create_call_is_refused_with_a_message_and_costs_nothing(
    service: Service, client: OmoProvider, picture: Image, data: object, error: type[ProviderError]
) -> None:
    body = {"api_token": service.token, "data": data}
    assert type(refusal(service, "createJob", body, client, picture)) is error
    assert service.balance == 1
    assert not service.world.jobs


@pytest.mark.parametrize(
    "body", [b"", b"<xml>", b"[1]", {}, {"api_token": None}, {"api_token": 5}, {"api_token": "other"}]
)
@pytest.mark.parametrize("call", ["createJob", "getJobResult", "getBalance", "getService"])
def test_no_call_is_answered_without_a_known_token(
    service: Service, client: OmoProvider, picture: Image, call: str, body: object
) -> None:
    assert type(refusal(service, call, body, client, picture)) is AuthenticationError


@pytest.mark.parametrize("job_id", [None, 0, -1, 1, "1", "x", True, 1.5, "9" * 5000, [], {}])
def test_a_job_that_was_not_created_is_unknown(
    service: Service, client: OmoProvider, picture: Image, job_id: object
) -> None:
    body = {"api_token": service.token, "job_id": job_id}
    assert type(refusal(service, "getJobResult", body, client, picture)) is JobUnknown


def test_an_answer_goes_only_to_the_account_that_paid(
    service: Service, client: OmoProvider, picture: Image
) -> None:
    service.truth = TextSolution("x7kp2")
    job_id = service.order("30", picture.base64)["job_id"]
    service.world.add_account("other", "1")
    service.now = 4.0
    body = {"api_token": "other", "job_id": job_id}
    assert type(refusal(service, "getJobResult", body, client, picture)) is JobUnknown
    [job] = service.world.jobs.values()
    assert job.delivered == 0


def test_every_delivery_of_an_answer_is_counted(service: Service, picture: Image) -> None:
    service.truth = TextSolution("x7kp2")
    ask = {"api_token": service.token, "job_id": service.order("30", picture.base64)["job_id"]}
    for service.now in (0.0, 4.0, 5.0):
        service.post("getJobResult", ask)
    [job] = service.world.jobs.values()
    assert job.delivered == 2


@pytest.mark.parametrize("name", ["createTask", "getTaskResult", "", "../createJob", "createJob/x"])
def test_a_call_the_service_does_not_have_is_refused(service: Service, name: str) -> None:
    answer = service.post(name, {"api_token": service.token})
    assert answer["error"] is True
    assert str(answer["message"]).startswith("No such call: POST /api/")


def test_calls_are_posted(service: Service) -> None:
    answer = service.post("getBalance", {"api_token": service.token}, method="GET")
    assert answer == {"error": True, "message": "No such call: GET /api/getBalance"}


def test_a_closed_type_is_refused_and_marked_in_the_price_list(
    service: Service, client: OmoProvider, picture: Image
) -> None:
    service.emulation.closed = ["phone-slide"]
    task = PhoneSlide(picture)
    with pytest.raises(ServiceUnavailable) as caught:
        client.read_created(task, service.send(client.create_job(task)))
    assert caught.value.nothing_created
    assert service.order("30", picture.base64)["error"] is False
    lines = client.read_services(service.send(client.ask_services()))
    assert {line.kind: line.is_open for line in lines} == {"image-to-text": True, "phone-slide": False}


def test_the_price_list_names_what_is_charged(service: Service, client: OmoProvider) -> None:
    lines = client.read_services(service.send(client.ask_services()))
    assert {line.kind: line.price for line in lines} == OmoEmulation.prices
    assert [(line.id, line.average_time, line.success_rate) for line in lines] == [
        ("30", 15.0, 0.98),
        ("24", 15.0, 0.98),
    ]


def test_the_picture_reaches_the_world_as_it_was_sent(token: str, picture: Image) -> None:
    seen: list[tuple[str, bytes]] = []
    world = World(
        now=lambda: 0.0,
        read_picture=lambda kind, data: seen.append((kind, data)),
        job_seconds=lambda: 0.0,
    )
    world.add_account(token)
    data = {"type_job_id": 24, "image_base64": base64.b64encode(picture.data).decode()}
    body = json.dumps({"api_token": token, "data": data}).encode()
    OmoEmulation().answer(Call("POST", "/api/createJob", {}, body, 0.0), world)
    assert seen == [("phone-slide", picture.data)]


def test_a_solution_the_service_cannot_write_is_the_tests_mistake(service: Service, picture: Image) -> None:
    class Other(Solution):
        pass

    service.truth = Other()
    job_id = service.order("30", picture.base64)["job_id"]
    service.now = 4.0
    with pytest.raises(TypeError, match="not with a Other"):
        service.post("getJobResult", {"api_token": service.token, "job_id": job_id})


def test_the_provider_reads_the_id_of_its_own_emulation(
    service: Service, client: OmoProvider, picture: Image
) -> None:
    task = ImageToText(picture)
    assert client.read_created(task, service.send(client.create_job(task))) == Created(100_000)
