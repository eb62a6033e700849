"""2Captcha's older API as the sandbox serves it: forms in, words out."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from urllib.parse import urlencode

import attrs
import pytest
import requests
from captchahub_createtask.emulated_jobs import PRICE
from captchahub_createtask.older_api import OlderApiEmulation
from hypothesis import given
from hypothesis import strategies as st

from captchahub.tasks import Point, SlideSolution, Solution, TextSolution
from captchahub.testing import Answer, Call, Fault, Painter, Sandbox, World

KEY = "0123456789abcdef0123456789abcdef"
PICTURE = Painter(7).text("x7kp2").image.data
TRUTH = TextSolution("x7kp2")
FORM = "application/x-www-form-urlencoded"


@attrs.define
class Service:
    """The emulation with one account, called directly. The test moves ``now``."""

    truth: Solution | None = TRUTH
    now: float = 0.0
    seen: list[bytes] = attrs.field(factory=list[bytes])
    world: World = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.world = World(now=lambda: self.now, read_picture=self._read, job_seconds=lambda: 4.0)
        self.world.add_account(KEY, "1")

    def _read(self, _kind: str, picture: bytes) -> Solution | None:
        self.seen.append(picture)
        return self.truth

    def send(self, method: str, path: str, body: bytes = b"", kind: str = FORM) -> Answer:
        call = Call(method, path, {"Content-Type": kind}, body, self.now)
        return OlderApiEmulation().answer(call, self.world)

    def submit(self, **fields: object) -> str:
        """Create a job. A field that is None is left out."""
        given = {"key": KEY, "method": "base64", "body": base64.b64encode(PICTURE).decode()} | fields
        kept = {name: value for name, value in given.items() if value is not None}
        return said(self.send("POST", "/in.php", urlencode(kept).encode()))

    def ask(self, action: str | None, **fields: object) -> str:
        given = {"key": KEY, "action": action} | fields
        kept = {name: value for name, value in given.items() if value is not None}
        return said(self.send("GET", f"/res.php?{urlencode(kept)}"))


def said(answer: Answer) -> str:
    assert answer.status == 200
    return answer.body.decode()


@pytest.fixture
def service() -> Service:
    return Service()


def multipart(*parts: tuple[str, bytes]) -> tuple[bytes, str]:
    """Return a multipart body as browsers make it, and its content type. The picture has a file name."""
    pieces: list[bytes] = []
    for name, value in parts:
        file = '; filename="captcha.png"' if name == "file" else ""
        head = f'Content-Disposition: form-data; name="{name}"{file}'.encode()
        pieces += [b"--b0undary", head, b"", value]
    return b"\r\n".join([*pieces, b"--b0undary--", b""]), 'multipart/form-data; boundary="b0undary"'


# Orders


def test_a_picture_in_base64_is_a_job(service: Service) -> None:
    assert service.submit() == "OK|100000"
    assert service.seen == [PICTURE]
    assert service.world.accounts[KEY].balance == 1 - PRICE


def test_a_picture_as_a_file_is_a_job(service: Service) -> None:
    body, kind = multipart(("key", KEY.encode()), ("method", b"post"), ("file", PICTURE))
    assert said(service.send("POST", "/in.php", body, kind)) == "OK|100000"
    assert service.seen == [PICTURE]


def test_fields_may_stand_in_the_address_as_well(service: Service) -> None:
    body, kind = multipart(("file", PICTURE))
    assert said(service.send("POST", f"/in.php?key={KEY}&method=post", body, kind)) == "OK|100000"


@pytest.mark.parametrize("ending", [b"", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\xff", b"\r\n--b0undar"])
def test_a_file_arrives_byte_by_byte(service: Service, ending: bytes) -> None:
    body, kind = multipart(("key", KEY.encode()), ("method", b"post"), ("file", PICTURE + ending))
    service.send("POST", "/in.php", body, kind)
    assert service.seen == [PICTURE + ending]


@given(st.binary())
def test_any_bytes_of_a_file_arrive_as_they_are(noise: bytes) -> None:
    service = Service()
    body, kind = multipart(("key", KEY.encode()), ("method", b"post"), ("file", PICTURE + noise))
    service.send("POST", "/in.php", body, kind)
    assert service.seen == [PICTURE + noise]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("key", None, "ERROR_WRONG_USER_KEY"),
        ("key", "short", "ERROR_WRONG_USER_KEY"),
        ("key", KEY[::-1], "ERROR_KEY_DOES_NOT_EXIST"),
        ("method", None, "ERROR_BAD_PARAMETERS"),
        ("method", "userrecaptcha", "ERROR_BAD_PARAMETERS"),
        ("method", "post", "ERROR_UPLOAD"),
        ("body", None, "ERROR_UPLOAD"),
        ("body", "QUJ", "ERROR_UPLOAD"),
        ("body", "đ", "ERROR_UPLOAD"),
        ("body", "", "ERROR_ZERO_CAPTCHA_FILESIZE"),
        ("body", base64.b64encode(PICTURE[:99]), "ERROR_ZERO_CAPTCHA_FILESIZE"),
        ("body", base64.b64encode(PICTURE + bytes(100_000)), "ERROR_TOO_BIG_CAPTCHA_FILESIZE"),
        ("body", base64.b64encode(b"no picture" * 20), "ERROR_IMAGE_TYPE_NOT_SUPPORTED"),
        ("phrase", "2", "ERROR_BAD_PARAMETERS"),
        ("numeric", "-1", "ERROR_BAD_PARAMETERS"),
        ("min_len", "many", "ERROR_BAD_PARAMETERS"),
        ("max_len", "21", "ERROR_BAD_PARAMETERS"),
        ("language", "", "ERROR_BAD_PARAMETERS"),
    ],
)
def test_a_wrong_create_call_is_refused_and_costs_nothing(
    service: Service, field: str, value: object, code: str
) -> None:
    assert service.submit(**{field: value}) == code
    assert service.world.accounts[KEY].balance == 1
    assert not service.world.jobs


def test_options_that_can_be_are_taken(service: Service) -> None:
    options = {
        "phrase": 1,
        "regsense": 0,
        "numeric": 4,
        "calc": 1,
        "min_len": 0,
        "max_len": 20,
        "language": 2,
    }
    assert service.submit(**options, lang="en", textinstructions="đỏ", soft_id=4580) == "OK|100000"


def test_an_empty_account_gets_no_job(service: Service) -> None:
    service.world.accounts[KEY].balance = Decimal("0.0001")
    assert service.submit() == "ERROR_ZERO_BALANCE"


# Answers


def test_an_answer_comes_when_it_is_ready(service: Service) -> None:
    service.submit()
    assert service.ask("get", id=100_000) == "CAPCHA_NOT_READY"
    service.now = 4.0
    assert service.ask("get", id=100_000) == "OK|x7kp2"
    assert service.ask("get2", id=100_000) == f"OK|x7kp2|{PRICE}"
    assert service.world.jobs[100_000].delivered == 2


def test_an_unreadable_picture_has_no_answer(service: Service) -> None:
    service.truth = None
    service.submit()
    assert service.ask("get2", id=100_000) == "CAPCHA_NOT_READY"
    service.now = 4.0
    assert service.ask("get", id=100_000) == "ERROR_CAPTCHA_UNSOLVABLE"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (None, "ERROR_WRONG_ID_FORMAT"),
        ("", "ERROR_WRONG_ID_FORMAT"),
        ("-1", "ERROR_WRONG_ID_FORMAT"),
        ("abc", "ERROR_WRONG_ID_FORMAT"),
        ("²", "ERROR_WRONG_ID_FORMAT"),
        ("9" * 5000, "ERROR_WRONG_ID_FORMAT"),
        ("7", "ERROR_WRONG_CAPTCHA_ID"),
    ],
)
@pytest.mark.parametrize("action", ["get", "get2", "reportgood", "reportbad"])
def test_a_job_that_was_not_created_is_unknown(
    service: Service, action: str, number: str | None, code: str
) -> None:
    assert service.ask(action, id=number) == code


def test_an_answer_goes_only_to_the_account_that_paid(service: Service) -> None:
    service.submit()
    service.world.add_account("other", "1")
    service.now = 4.0
    assert service.ask("get", key="other", id=100_000) == "ERROR_WRONG_CAPTCHA_ID"


@pytest.mark.parametrize("action", [None, "", "getstats"])
def test_an_action_that_there_is_not_is_refused(service: Service, action: str | None) -> None:
    assert service.ask(action) == "ERROR_EMPTY_ACTION"


def test_the_balance_is_sent(service: Service) -> None:
    service.submit()
    assert service.ask("getbalance") == "0.9993"
    assert service.ask("getbalance", key="") == "ERROR_WRONG_USER_KEY"


@pytest.mark.parametrize(("action", "correct"), [("reportgood", True), ("reportbad", False)])
def test_a_report_is_kept_and_taken_once(service: Service, action: str, correct: bool) -> None:
    service.submit()
    assert service.world.jobs[100_000].reported is None
    assert service.ask(action, id=100_000) == "OK_REPORT_RECORDED"
    assert service.ask("reportgood", id=100_000) == "ERROR_DUPLICATE_REPORT"
    assert service.world.jobs[100_000].reported is correct


def test_with_json_the_reply_is_an_object(service: Service) -> None:
    assert json.loads(service.submit(json=1)) == {"status": 1, "request": "100000"}
    ask = {"id": 100_000, "json": 1}
    assert json.loads(service.ask("get", **ask)) == {"status": 0, "request": "CAPCHA_NOT_READY"}
    service.now = 4.0
    assert json.loads(service.ask("get", **ask)) == {"status": 1, "request": "x7kp2"}
    assert json.loads(service.ask("get2", **ask)) == {"status": 1, "request": "x7kp2", "price": str(PRICE)}
    assert json.loads(service.ask("getbalance", json=1)) == {"status": 1, "request": "0.9993"}
    assert json.loads(service.ask("reportbad", **ask)) == {"status": 1, "request": "OK_REPORT_RECORDED"}
    refused = json.loads(service.ask("get", id="7", json=1))
    assert (refused["status"], refused["request"]) == (0, "ERROR_WRONG_CAPTCHA_ID")
    refused = json.loads(service.submit(json=1, method="grid"))
    assert (refused["status"], refused["request"]) == (0, "ERROR_BAD_PARAMETERS")
    assert "parameter" in refused["error_text"]


def test_a_page_that_there_is_not_is_not_found(service: Service) -> None:
    assert service.send("POST", "/createTask").status == 404


def test_a_drag_is_the_tests_own_mistake(service: Service) -> None:
    service.truth = SlideSolution(Point(1, 2), Point(3, 4))
    service.submit()
    service.now = 4.0
    with pytest.raises(TypeError, match="SlideSolution"):
        service.ask("get", id=100_000)


PAGES = st.sampled_from(["/in.php", "/res.php", "/res.php?action=get&id=1", f"/in.php?key={KEY}&method=post"])
KINDS = st.sampled_from([FORM, "multipart/form-data; boundary=b", "multipart/form-data", ""]) | st.text()
BODIES = st.binary() | st.binary().map(
    lambda data: b"--b\r\nContent-Disposition: form-data; name=file" + data + b"\r\n--b--\r\n"
)


@given(PAGES, KINDS, BODIES)
def test_whatever_is_sent_is_answered_in_one_word(path: str, kind: str, body: bytes) -> None:
    service = Service()
    call = Call("POST", path, {"Content-Type": kind}, body, 0.0)
    assert OlderApiEmulation().name_of(call)
    OlderApiEmulation().token_of(call)
    assert "\n" not in said(service.send("POST", path, body, kind))


# Over HTTP


def test_a_plain_client_solves_against_the_sandbox() -> None:
    with Sandbox(OlderApiEmulation()) as sandbox:
        settings, picture = sandbox.settings(), sandbox.draw_text("x7kp2")
        base, key = str(settings["base_url"]), str(settings["key"])
        sandbox.add_faults(Fault.status(502, on="get", times=1))
        order = {"key": key, "method": "post"}
        sent = requests.post(f"{base}/in.php", order, files={"file": picture.image.data}, timeout=5)
        ask = {"key": key, "action": "get", "id": sent.text.removeprefix("OK|")}
        assert requests.get(f"{base}/res.php", ask, timeout=5).status_code == 502
        assert requests.get(f"{base}/res.php", ask, timeout=5).text == "OK|x7kp2"
        assert [call.status for call in sandbox.calls_to("get")] == [502, 200]
        assert [call.name for call in sandbox.calls] == ["in.php", "get", "get"]
        assert {call.token for call in sandbox.calls} == {key}
