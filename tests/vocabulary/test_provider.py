"""What a plugin works with: secrets, requests, replies, amounts, addresses, and the optional methods."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub import (
    AuthenticationError,
    Balance,
    Image,
    ImageToText,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    MalformedReply,
    NotOffered,
    ProviderError,
    RateLimited,
    Service,
    ServiceBusy,
    ServiceUnavailable,
    Solution,
    Task,
    TaskRefused,
    TemporarilyBlocked,
    TextSolution,
)
from captchahub.provider import (
    Created,
    Job,
    LocalProvider,
    Pending,
    Provider,
    ProviderKind,
    Reply,
    Request,
    Secret,
    Solved,
    is_loopback,
    service_url,
    usable_secret,
)

TOKEN = "tok-3f9a"
PICTURES = [Image(data, "png", 1, 1) for data in (b"", b"a", bytes(range(256)))]
json_values_with_pictures = st.recursive(
    st.none() | st.text() | st.sampled_from(PICTURES),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=12,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["message", "error", "errors", "detail", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
TASK = ImageToText(Image.from_base64("R0lGODdhAQABAIAAAP///////ywAAAAAAQABAAACAkQBADs="))


class TestSecret:
    def test_it_is_revealed_on_demand_only(self) -> None:
        secret = Secret(TOKEN)
        assert secret.reveal() == TOKEN
        for shown in (
            repr(secret),
            str(secret),
            f"{secret}",
            f"{secret!r:>40}",
            "%s" % (secret,),  # noqa: UP031 - each way there is
            ascii([secret]),
        ):
            assert TOKEN not in shown
            assert "***" in shown

    def test_it_does_not_show_inside_of_settings_or_logs(self, caplog: pytest.LogCaptureFixture) -> None:
        @attrs.frozen
        class Settings:
            token: Secret

        logging.getLogger("captchahub").warning("built from %s", Settings(Secret(TOKEN)))
        assert "Secret('***')" in caplog.text
        assert TOKEN not in caplog.text

    def test_it_does_not_show_in_a_traceback(self) -> None:
        with pytest.raises(AttributeError) as caught:
            _ = Secret(TOKEN).value  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] # a slip
        lines = traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
        assert TOKEN not in "".join(lines)

    @pytest.mark.parametrize("write", [pickle.dumps, copy.deepcopy, json.dumps])
    def test_it_is_not_written_anywhere(self, write: Any) -> None:
        with pytest.raises(TypeError, match=r"load the configuration again|not JSON serializable") as caught:
            write({"token": Secret(TOKEN)})
        assert TOKEN not in str(caught.value)

    def test_it_has_no_attributes_to_list(self) -> None:
        with pytest.raises(TypeError):
            vars(Secret(TOKEN))

    def test_it_compares_by_value_and_can_be_a_key(self) -> None:
        assert Secret(TOKEN) == Secret(TOKEN) != Secret("another")
        assert len({Secret(TOKEN), Secret(TOKEN), Secret("another")}) == 2

    def test_it_is_not_equal_to_the_plain_token(self) -> None:
        plain: object = TOKEN
        assert Secret(TOKEN) != plain


class TestRequest:
    def test_a_post_of_json(self) -> None:
        request = Request.post_json("https://a.example/createJob", {"api_token": "é", "type": 30})
        assert request.method == "POST"
        assert request.body == b'{"api_token":"\\u00e9","type":30}'
        assert request.headers == {"Content-Type": "application/json"}

    def test_a_post_of_json_with_headers(self) -> None:
        request = Request.post_json("https://a.example/", {}, {"Authorization": "Bearer x"})
        assert request.headers == {"Content-Type": "application/json", "Authorization": "Bearer x"}

    @given(json_values_with_pictures)
    def test_pictures_are_written_as_their_base64(self, value: object) -> None:
        request = Request.post_json("https://a.example/", {"value": value})
        plain = json.dumps({"value": value}, separators=(",", ":"), default=lambda one: one.base64)
        assert request.body == plain.encode()

    @pytest.mark.parametrize("value", [b"bytes", {1, 2}, object()])
    def test_what_json_has_no_form_for_is_refused(self, value: object) -> None:
        with pytest.raises(TypeError, match=r"can't be written as JSON"):
            Request.post_json("https://a.example/", {"value": value})

    def test_repr_shows_neither_body_nor_headers(self) -> None:
        request = Request("https://a.example/", TOKEN.encode(), headers={"Authorization": TOKEN})
        assert repr(request) == "Request(url='https://a.example/', method='POST')"

    @given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))))
    def test_any_text_reaches_the_service_as_it_is(self, payload: dict[str, str]) -> None:
        assert json.loads(Request.post_json("https://a.example/", payload).body) == payload


@pytest.mark.parametrize(
    "value",
    [
        Request("https://a.example/", b"body", headers={"A": "b"}),
        Reply(200, b"{}", {"A": "b"}),
        Created("a-7", TextSolution("x7kp2"), Decimal("0.001")),
        Job(7, "image-to-text"),
        Pending("running"),
        Solved(TextSolution("x7kp2"), Decimal("0.001")),
        Balance(Decimal("9.99"), "USD"),
        Service("30", "Image to text", "image-to-text", Decimal("0.001"), "USD", 8.5, 0.99, is_open=True),
    ],
    ids=lambda value: type(value).__name__,
)
class TestEveryValue:
    def test_it_is_frozen(self, value: Any) -> None:
        for field in attrs.fields_dict(value.__class__):
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                setattr(value, field, None)

    def test_it_compares_by_value_and_can_be_pickled(self, value: Any) -> None:
        assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value


class TestReply:
    def test_headers_are_found_by_lower_case_name(self) -> None:
        assert Reply(200, headers={"Retry-After": "3", "X-ID": "a"}).headers == {
            "retry-after": "3",
            "x-id": "a",
        }

    def test_repr_shows_neither_body_nor_headers(self) -> None:
        assert repr(Reply(200, TOKEN.encode(), {"Set-Cookie": TOKEN})) == "Reply(status=200)"


class TestJsonObject:
    @pytest.mark.parametrize(
        ("body", "value"),
        [
            (b"{}", {}),
            (b' {"error": false, "job_id": 7} \n', {"error": False, "job_id": 7}),
            ('{"a": "é"}'.encode(), {"a": "é"}),
            (b"\xef\xbb\xbf{}", {}),
            ('{"a": "é"}'.encode("utf-16"), {"a": "é"}),
        ],
    )
    def test_the_body_as_a_json_object(self, body: bytes, value: object) -> None:
        assert Reply(200, body).json_object() == value

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"null", b'"text"', b"7", b"{", b"{} {}", b"<html>", b"\xff\xfe\xff"]
    )
    def test_anything_else_is_a_malformed_reply(self, body: bytes) -> None:
        with pytest.raises(MalformedReply, match="HTTP 200 with a body that is not a JSON object") as caught:
            Reply(200, body).json_object()
        assert "html" not in str(caught.value)

    @pytest.mark.parametrize(
        "body",
        [b"[" * 100_000, b'{"a":' * 100_000, b'{"a": ' + b"9" * 5000 + b"}"],
        ids=["deep", "deeper", "long"],
    )
    def test_json_that_python_cannot_parse_is_malformed_too(self, body: bytes) -> None:
        with pytest.raises(MalformedReply):
            Reply(200, body).json_object()

    @pytest.mark.parametrize("status", [401, 429, 500, 302])
    def test_a_service_may_explain_an_http_error_in_json(self, status: int) -> None:
        assert Reply(status, b'{"error": true}').json_object() == {"error": True}

    @pytest.mark.parametrize(
        ("status", "error"),
        [(401, ServiceUnavailable), (429, RateLimited), (502, ServiceUnavailable), (404, JobRefused)],
    )
    def test_without_an_explanation_the_status_says_what_is_wrong(
        self, status: int, error: type[ProviderError]
    ) -> None:
        with pytest.raises(error, match=f"HTTP {status}"):
            Reply(status, b"<html>Bad Gateway</html>").json_object()

    @given(st.integers(100, 599), st.binary())
    def test_any_reply_is_an_object_or_a_provider_error(self, status: int, body: bytes) -> None:
        try:
            found: object = Reply(status, body).json_object()
        except ProviderError as error:
            found = error
        assert isinstance(found, (dict, ProviderError))


class TestHttpError:
    @pytest.mark.parametrize("status", [200, 201, 204, 299])
    def test_success_is_none(self, status: int) -> None:
        assert Reply(status).http_error() is None

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, JobRefused),
            (401, ServiceUnavailable),
            (402, InsufficientBalance),
            (403, ServiceUnavailable),
            (404, JobRefused),
            (408, ServiceUnavailable),
            (413, JobRefused),
            (429, RateLimited),
            (500, ServiceUnavailable),
            (503, ServiceUnavailable),
            (599, ServiceUnavailable),
            (100, MalformedReply),
            (301, MalformedReply),
        ],
    )
    def test_each_status_has_its_error(self, status: int, kind: type[ProviderError]) -> None:
        error = Reply(status).http_error()
        assert type(error) is kind
        assert str(error).startswith(f"HTTP {status}")

    @pytest.mark.parametrize("status", [400, 402, 403, 404, 429, 500, 503])
    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ({"message": "No credit"}, "No credit"),
            ({"error": "no such model"}, "no such model"),
            ({"error": {"code": 3, "message": "Bad key"}}, "Bad key"),
            ({"error": True, "msg": "Slow down"}, "Slow down"),
            ({"detail": "Not found."}, "Not found."),
            ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required"),
            (["first", "second"], "first"),
            ([{"message": "in a list"}], "in a list"),
            ({"errors": ["one", "two"]}, "one"),
            ({"image": ["This field is required."]}, "image: This field is required."),
            ({"Message": "as .NET writes it"}, "as .NET writes it"),
            ({"data": {"message": "deep"}}, "deep"),
            ({"error": "AUTH", "error_description": "Bad key"}, "Bad key"),
            ("only a text", "only a text"),
            (
                {"message": "The given data was invalid.", "errors": {"image": ["Too large.", "Odd."]}},
                "The given data was invalid. (image: Too large.)",
            ),
        ],
    )
    def test_the_words_of_the_service_are_shown_in_whatever_shape(
        self, status: int, body: object, said: str
    ) -> None:
        error = Reply(status, json.dumps(body).encode()).http_error()
        assert str(error).startswith(f"HTTP {status}")
        assert str(error).endswith(f"; it says {said!r}")

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"Out of credits\n", "Out of credits"),
            (b"<html><head><title> 502 Bad\nGateway </title></head><p>nginx", "502 Bad Gateway"),
            (b"<p>Oops, <b>it</b> broke &amp; burnt</p>", "Oops, it broke & burnt"),
            (b"<?xml version='1.0'?><e><message>no funds</message></e>", "no funds"),
            ("hết tiền".encode(), "hết tiền"),
        ],
    )
    def test_the_words_in_a_page_are_shown(self, body: bytes, said: str) -> None:
        assert str(Reply(503, body).http_error()).endswith(f"; it says {said!r}")

    @pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"7", b'{"error": true}', b"\xff\xd8\xff"])
    def test_without_words_nothing_is_announced(self, body: bytes) -> None:
        error = Reply(400, body).http_error()
        assert error is not None
        assert str(error) == "HTTP 400: the service refuses the request"
        assert "own words" not in error.advice

    def test_they_are_short_and_show_no_secret(self) -> None:
        text = f"{'x' * 190} {TOKEN.upper()} {'y' * 1000}"
        for body in (json.dumps({"message": text}).encode(), text.encode()):
            error = Reply(400, body, hidden=[TOKEN]).http_error()
            assert TOKEN.lower()[:5] not in str(error).lower()
            assert len(str(error)) < 300

    @given(st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()))
    def test_any_body_has_words_or_none(self, body: bytes) -> None:
        error = Reply(500, body).http_error()
        assert error is not None
        assert str(error).isprintable()
        assert len(str(error)) < 500

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_firewall_means_that_nothing_was_created_and_does_not_blame_the_account(
        self, status: int
    ) -> None:
        error = Reply(status, b"<html>Access denied</html>", {"Retry-After": "7"}).http_error()
        assert isinstance(error, ServiceUnavailable)
        assert (error.nothing_created, error.retry_after) == (True, 7.0)
        advice = "such as a firewall, refuses the request; if this persists, check base_url and the token"
        assert advice in str(error)

    def test_an_error_that_may_follow_a_created_job_does_not_claim_otherwise(self) -> None:
        error = Reply(503).http_error()
        assert isinstance(error, ServiceUnavailable)
        assert error.nothing_created is False

    @pytest.mark.parametrize("status", [429, 503])
    def test_the_requested_pause_is_kept(self, status: int) -> None:
        error = Reply(status, headers={"Retry-After": "7"}).http_error()
        assert isinstance(error, (RateLimited, ServiceUnavailable))
        assert error.retry_after == 7.0

    def test_a_redirect_names_the_host_and_no_more_of_the_address(self) -> None:
        error = Reply(
            302, headers={"Location": f"https://user:{TOKEN}@login.example/{TOKEN}?t={TOKEN}"}
        ).http_error()
        assert "it redirects to 'login.example', which is not followed" in str(error)
        assert TOKEN not in str(error)

    @pytest.mark.parametrize("location", ["", "/login", "https://[broken", "//"])
    def test_a_redirect_to_nowhere_names_no_host(self, location: str) -> None:
        error = Reply(302, headers={"Location": location}).http_error()
        assert str(error) == "HTTP 302: not an answer of this service"

    @given(st.integers(100, 599), st.text(max_size=300))
    def test_any_location_is_read_or_ignored(self, status: int, location: str) -> None:
        error = Reply(status, headers={"Location": location}).http_error()
        assert (error is None) == (200 <= status < 300)
        assert error is None or str(error).isprintable()


class TestPending:
    @pytest.mark.parametrize(("given", "kept"), [(None, None), (7, 7.0), (-1, 0.0), (1e9, 86_400.0)])
    def test_a_pause_is_bounded(self, given: float | None, kept: float | None) -> None:
        assert Pending("running", retry_after=given).retry_after == kept

    @pytest.mark.parametrize("given", ["soon", float("nan"), True, [], 10**400])
    def test_values_that_are_not_a_pause_are_ignored(self, given: Any) -> None:
        assert Pending("running", retry_after=given).retry_after in (None, 86_400.0)


class TestBalance:
    @pytest.mark.parametrize(
        ("amount", "in_kind", "can_pay"), [("1", {}, True), ("0", {}, False), ("0", {"jobs": "3"}, True)]
    )
    def test_money_and_credit_in_kind_can_pay(
        self, amount: str, in_kind: dict[str, str], can_pay: bool
    ) -> None:
        left = {name: Decimal(number) for name, number in in_kind.items()}
        assert Balance(Decimal(amount), in_kind=left).can_pay is can_pay
        hash(Balance(Decimal(amount), in_kind=left))

    def test_anything_but_an_amount_is_refused(self) -> None:
        odd: Any = {"jobs": 3}
        with pytest.raises(ValueError, match="a balance must be a finite Decimal"):
            Balance(Decimal(0), in_kind=odd)


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("text", "seconds"), [("0", 0.0), ("7", 7.0), (" 120 ", 120.0), ("9" * 5000, 999999999.0)]
    )
    def test_seconds(self, text: str, seconds: float) -> None:
        assert Reply(429, headers={"Retry-After": text}).retry_after == seconds

    def test_a_date_is_the_time_until_then(self) -> None:
        when = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
        seconds = Reply(429, headers={"Retry-After": when}).retry_after
        assert seconds is not None
        assert 3500 < seconds <= 3600

    def test_a_date_without_a_zone_is_in_utc(self) -> None:
        when = (datetime.now(UTC) + timedelta(hours=1)).strftime("%a, %d %b %Y %H:%M:%S -0000")
        seconds = Reply(429, headers={"Retry-After": when}).retry_after
        assert seconds is not None
        assert 3500 < seconds <= 3600

    def test_a_date_that_has_passed_asks_for_no_pause(self) -> None:
        assert Reply(429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}).retry_after == 0.0

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "soon",
            "-5",
            "1.5",
            "1e3",
            "\u0663",
            "\u00b2",
            "Wed, 99 Oct 2015 07:28:00 GMT",
            "Wed, 21 Oct 99999 07:28:00 GMT",
            "Wed, 21 Oct 2015 07:28:00 +9999999",
        ],
    )
    def test_anything_else_is_none(self, text: str) -> None:
        assert Reply(429, headers={"Retry-After": text}).retry_after is None

    def test_the_ends_of_the_calendar_are_dates_as_well(self) -> None:
        assert Reply(429, headers={"Retry-After": "1 Jan 0001 00:00:00 +2359"}).retry_after == 0.0
        assert (Reply(429, headers={"Retry-After": "31 Dec 9999 23:59:59 -2359"}).retry_after or 0) > 1e11

    def test_no_header_is_none(self) -> None:
        assert Reply(429).retry_after is None

    @given(
        st.text()
        | st.from_regex(r"\A\w{3}, \d{1,3} (Jan|Feb|Dec) \d{1,5} \d\d?:\d\d?(:\d\d?)? ([+-]\d*|\w*)\Z")
    )
    def test_any_header_is_a_pause_or_none(self, text: str) -> None:
        seconds = Reply(429, headers={"Retry-After": text}).retry_after
        assert seconds is None or seconds >= 0


class TestFailure:
    @pytest.mark.parametrize("error", [TaskRefused, JobRefused, AuthenticationError])
    def test_the_words_count_more_than_the_status(self, error: type[ProviderError]) -> None:
        found = Reply(500).failure("Example says: no", error, JobFailed)
        assert (type(found), str(found)) == (error, "Example says: no")

    @pytest.mark.parametrize(
        ("status", "error"), [(429, RateLimited), (401, AuthenticationError), (500, ServiceUnavailable)]
    )
    def test_unknown_words_are_added_to_the_error_of_the_status(
        self, status: int, error: type[ProviderError]
    ) -> None:
        found = Reply(status).failure("Example says: oops", None, JobFailed, nothing_created=True)
        assert type(found) is error
        assert str(found).startswith(f"HTTP {status}")
        assert str(found).endswith("; Example says: oops")
        assert not getattr(found, "nothing_created", False)

    def test_a_403_does_not_blame_the_account(self) -> None:
        found = Reply(403).failure("Example says: oops", None, JobFailed)
        assert isinstance(found, ServiceUnavailable)
        assert found.nothing_created
        assert str(found).endswith("; Example says: oops")

    @pytest.mark.parametrize("status", [200, 400, 404, 422])
    def test_without_a_clear_status_the_other_class_is_used(self, status: int) -> None:
        found = Reply(status).failure("Example says: oops", None, JobFailed)
        assert (type(found), str(found)) == (JobFailed, "Example says: oops")

    @pytest.mark.parametrize("error", [RateLimited, ServiceUnavailable])
    def test_the_pause_of_the_reply_is_preferred(self, error: type[ProviderError]) -> None:
        reply = Reply(200, headers={"Retry-After": "7"})
        for found in (reply.failure("no", error, JobFailed), reply.failure("no", None, error)):
            assert isinstance(found, (RateLimited, ServiceUnavailable))
            assert found.retry_after == 7.0

    @pytest.mark.parametrize("error", [RateLimited, ServiceBusy, TemporarilyBlocked, ServiceUnavailable])
    def test_without_one_the_pause_of_the_plugin_is_used(self, error: type[ProviderError]) -> None:
        known = Reply(200).failure("no", error, JobFailed, retry_after=5.0)
        asked = Reply(503, headers={"Retry-After": "7"}).failure("no", error, JobFailed, retry_after=5.0)
        assert [getattr(found, "retry_after", None) for found in (known, asked)] == [5.0, 7.0]

    @pytest.mark.parametrize("nothing_created", [True, False])
    def test_a_busy_service_can_say_that_nothing_was_created(self, nothing_created: bool) -> None:
        found = Reply(200).failure("no", ServiceUnavailable, JobFailed, nothing_created=nothing_created)
        assert isinstance(found, ServiceUnavailable)
        assert found.nothing_created is nothing_created


class TestCreated:
    def test_an_answer_that_came_at_once_needs_no_id(self) -> None:
        assert Created(None, TextSolution("x7kp2")).job_id is None

    def test_without_an_answer_there_must_be_an_id_to_poll(self) -> None:
        with pytest.raises(ValueError, match="without a job id there must be a solution"):
            Created(None)
        with pytest.raises(ValueError, match="without a job id"):
            attrs.evolve(Created(7), job_id=None)

    @pytest.mark.parametrize("job_id", [1.5, True, b"7", [7]])
    def test_anything_but_an_id_is_refused(self, job_id: Any) -> None:
        with pytest.raises(ValueError, match=f"a text, not a {type(job_id).__name__}"):
            Created(job_id, TextSolution("x7kp2"))


@attrs.frozen
class Tokens:
    api_token: Secret = attrs.field(validator=usable_secret)
    password: Secret | None = attrs.field(default=None, validator=attrs.validators.optional(usable_secret))


class TestUsableSecret:
    def test_a_token_is_taken_as_it_is(self) -> None:
        assert Tokens(Secret(TOKEN)).api_token.reveal() == TOKEN
        assert Tokens(Secret(TOKEN), Secret("đ-1")).password == Secret("đ-1")

    def test_an_empty_one_is_refused_with_what_to_do(self) -> None:
        with pytest.raises(ValueError, match="api_token is empty: set it to the token shown in your account"):
            Tokens(Secret(""))
        with pytest.raises(ValueError, match="password is empty: set it to the password shown"):
            Tokens(Secret(TOKEN), Secret(""))

    @pytest.mark.parametrize("more", [" {}", "{}\n", "{} {}", "{}\x00", "{}\u00a0", "{}\udcff"])
    def test_one_that_was_copied_with_something_else_is_refused_and_not_shown(self, more: str) -> None:
        with pytest.raises(ValueError, match="copy the token again, alone") as caught:
            Tokens(Secret(more.format(TOKEN, TOKEN)))
        assert TOKEN not in repr(caught.value)

    def test_one_that_could_show_is_refused_and_not_shown(self) -> None:
        bare: Any = TOKEN
        with pytest.raises(ValueError, match="api_token must be wrapped") as caught:
            Tokens(bare)
        assert TOKEN not in repr(caught.value)


class TestServiceUrl:
    @pytest.mark.parametrize(
        ("url", "plain"),
        [
            ("https://omocaptcha.com/api", "https://omocaptcha.com/api"),
            ("https://omocaptcha.com/api/", "https://omocaptcha.com/api"),
            ("https://omocaptcha.com:8443//", "https://omocaptcha.com:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080/api", "http://[::1]:8080/api"),
            ("http://localhost/", "http://localhost"),
        ],
    )
    def test_it_has_no_slash_at_its_end(self, url: str, plain: str) -> None:
        assert service_url(url) == plain

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("", "not a web address; write one such as 'https://api.example.com'"),
            ("omocaptcha.com", "not a web address"),
            ("ftp://omocaptcha.com", "not a web address"),
            ("https://", "not a web address"),
            ("https:///api", "not a web address"),
            ("https://omo captcha.com", "not a web address"),
            ("https://omocaptcha.com/a\nb", "not a web address"),
            ("http://omocaptcha.com", "http to omocaptcha.com would send the token in the clear; use https"),
            ("http://localhost.example", "in the clear"),
            ("http://0.0.0.0", "in the clear"),
            ("https://omocaptcha.com:0", "not a web address"),
            ("https://omocaptcha.com:99999", "not a web address"),
            ("https://[::1", "not a web address"),
        ],
    )
    def test_an_unreachable_address_is_refused(self, url: str, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            service_url(url)

    @pytest.mark.parametrize(
        "url",
        [
            f"https://user:{TOKEN}@a.example",
            f"https://{TOKEN}@a.example",
            f"https://a.example?key={TOKEN}",
            f"https://a.example/#{TOKEN}",
            f"{TOKEN}://a.example",
            f"http://user:{TOKEN}@a.example",
            f"https://user:{TOKEN}\u2100@a.example",
            f"https://user:{TOKEN}",
        ],
    )
    def test_the_refusal_does_not_repeat_what_may_be_a_password(self, url: str) -> None:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - what it does not say is the point
            service_url(url)
        assert TOKEN not in "".join(traceback.format_exception(caught.value))

    @given(st.text() | st.from_regex(r"\Ahttps?://[^/]*(/.*)?\Z"))
    def test_any_text_is_an_address_or_a_value_error(self, url: str) -> None:
        try:
            plain = service_url(url)
        except ValueError:
            return
        assert not plain.endswith("/")
        assert service_url(plain) == plain


class TestLoopback:
    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "::1"])
    def test_names_of_this_machine(self, host: str) -> None:
        assert is_loopback(host)

    @pytest.mark.parametrize(
        "host",
        [
            None,
            "",
            "localhost.example",
            "127.0.0.1.example",
            "0.0.0.0",
            "10.0.0.1",
            "::",
            "2130706433",
            "127.1",
        ],
    )
    def test_names_that_may_mean_another(self, host: str | None) -> None:
        assert not is_loopback(host)


class Bare(Provider):
    """A provider with only the required methods."""

    kinds = frozenset({"image-to-text"})

    def create_job(self, task: Task[Solution]) -> Request:
        return Request("https://a.example/create")

    def read_created(self, task: Task[Solution], reply: Reply) -> Created:
        return Created(7)

    def poll_job(self, job: Job) -> Request:
        return Request("https://a.example/poll")

    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        return Pending()


class Echo(LocalProvider):
    kinds = frozenset({"image-to-text"})

    def solve(self, task: Task[Solution]) -> Solution:
        return TextSolution("x7kp2")


class TestWhatAProviderMayLeaveOut:
    @pytest.mark.parametrize("provider", [Bare(), Echo()])
    def test_no_option_counts_as_sent(self, provider: Provider | LocalProvider) -> None:
        assert list(provider.sent_options(TASK)) == []

    def test_a_poll_a_second(self) -> None:
        assert Bare().min_poll_interval == 1.0

    def test_a_balance_and_a_price_list(self) -> None:
        provider, reply = Bare(), Reply(200, b"{}")
        with pytest.raises(NotOffered, match="balance"):
            provider.ask_balance()
        with pytest.raises(NotOffered, match="balance"):
            provider.read_balance(reply)
        with pytest.raises(NotOffered, match="price list"):
            provider.ask_services()
        with pytest.raises(NotOffered, match="price list"):
            provider.read_services(reply)

    @pytest.mark.parametrize("base", [Provider, LocalProvider])
    def test_nothing_else(self, base: type) -> None:
        with pytest.raises(TypeError, match="abstract"):
            base()


def test_a_kind_of_provider_is_built_from_its_settings() -> None:
    @attrs.frozen
    class Settings:
        answer: str

    class Parrot(Echo):
        def __init__(self, settings: Settings) -> None:
            self.answer = settings.answer

    kind = ProviderKind("parrot", Settings, Parrot)
    provider = kind.build(kind.settings(answer="hello"))
    assert isinstance(provider, Parrot)
    assert provider.answer == "hello"
