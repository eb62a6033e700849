"""One solve on a virtual clock: the real engine and the real OMOcaptcha plugin, on scripted transports."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import pairwise

import attrs
import pytest
from captchahub_omocaptcha.provider import OmoProvider
from captchahub_omocaptcha.settings import OmoSettings
from hypothesis import given
from hypothesis import strategies as st

from captchahub import (
    AllProvidersFailed,
    AmbiguousCreate,
    AuthenticationError,
    ConfigError,
    HubClosed,
    Image,
    ImageToText,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobTimeout,
    MalformedReply,
    PhoneSlide,
    RateLimited,
    Result,
    ServiceUnavailable,
    Size,
    SolveTimeout,
    TaskError,
    TaskRefused,
    TextSolution,
    WrongSolution,
)
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._plugins.manager import Plugins
from captchahub.config import load_mapping
from captchahub.hookspecs import hookimpl
from captchahub.provider import Created, Job, Pending, ProviderKind, Reply, Request, Solved
from captchahub.tasks import Solution, Task
from captchahub.testing.clock import run_virtual
from captchahub.testing.transport import Hang, ScriptedTransport, Sent, Slow, Step, json_reply

PICTURE = Image.from_base64("R0lGODdhAQABAIAAAP///////ywAAAAAAQABAAACAkQBADs=")
TASK = ImageToText(PICTURE)

CREATED = json_reply({"error": False, "job_id": 7, "message": "Create job success."})
RUNNING = json_reply({"error": False, "status": "running", "result": None})
SOLVED = json_reply({"error": False, "status": "success", "result": "x7kp2"})
FAILED = json_reply({"error": False, "status": "fail", "result": None})
BAD_TOKEN = json_reply({"error": True, "message": "Invalid api token."})
BAD_GATEWAY = json_reply({}, 502)
NOT_SENT = ServiceUnavailable("nobody listens", nothing_created=True)
LOST = ServiceUnavailable("the connection broke")

Script = Iterable[Step] | Callable[[Request], Step]


@attrs.frozen
class Trial:
    """What came of a solve: the result or the error, when, and what each provider was sent."""

    result: Result[TextSolution] | None
    error: Exception | None
    elapsed: float
    sent: Mapping[str, list[Sent]]

    @property
    def answer(self) -> str:
        assert self.result is not None, self.error
        return self.result.solution.text

    @property
    def errors(self) -> list[tuple[str, type[BaseException]]]:
        """Who failed with what, in order."""
        attempts = self.result.attempts if self.result else getattr(self.error, "attempts", ())
        return [(one.provider, type(one.error)) for one in attempts if one.error is not None]

    def creates(self, name: str) -> int:
        return len(self.times(name, "createJob"))

    def times(self, name: str, call: str) -> list[float]:
        return [one.at for one in self.sent[name] if one.request.url.endswith(call)]


def solve(
    scripts: Mapping[str, Script],
    *,
    task: ImageToText = TASK,
    timeout: float | None = None,
    providers: Mapping[str, object] | None = None,
) -> Trial:
    """Solve a task with one OMOcaptcha account a script, asked in their order."""
    account = {"plugin": "omocaptcha", "api_token": "s3cret-t0ken", **(providers or {})}
    mapping = {"providers": dict.fromkeys(scripts, account), "routes": {"image-to-text": list(scripts)}}
    transports = {name: ScriptedTransport(script) for name, script in scripts.items()}

    async def run() -> Trial:
        engine = Engine(
            load_mapping(mapping),
            connect=lambda provider: transports[provider.name],
            chance=lambda: 1.0,
        )
        result, error = None, None
        try:
            result = await engine.solve(task, timeout)
        except Exception as raised:  # noqa: BLE001 - what it was is what the tests look at
            error = raised
        elapsed = asyncio.get_running_loop().time()
        await engine.aclose()
        return Trial(result, error, elapsed, {name: one.sent for name, one in transports.items()})

    trial = run_virtual(run())
    assert all(transport.is_closed for transport in transports.values())
    return trial


class TestASolveThatGoesWell:
    def test_creates_once_and_asks_at_the_services_pace(self) -> None:
        trial = solve({"omo": [CREATED, RUNNING, RUNNING, SOLVED]})
        assert trial.answer == "x7kp2"
        assert trial.times("omo", "createJob") == [0.0]
        assert trial.times("omo", "getJobResult") == [2.0, 4.0, 6.0]

    def test_tells_who_delivered_what_it_cost_and_how_long_it_took(self) -> None:
        trial = solve({"omo": [CREATED, SOLVED]}, providers={"prices": {"image-to-text": 0.00055}})
        assert trial.result is not None
        assert trial.result.provider == "omo"
        assert trial.result.job_id == 7
        assert trial.result.cost == Decimal("0.00055")
        assert trial.result.elapsed == 2.0
        (attempt,) = trial.result.attempts
        assert (attempt.provider, attempt.job_id, attempt.polls, attempt.error) == ("omo", 7, 1, None)

    def test_names_the_options_that_could_not_be_sent(self) -> None:
        trial = solve({"omo": [CREATED, SOLVED]}, task=ImageToText(PICTURE, length=5, language="en"))
        assert trial.result is not None
        assert trial.result.ignored_options == ("length", "language")

    def test_the_solution_of_a_slide_knows_the_screen_it_is_for(self) -> None:
        slide = json_reply({"error": False, "status": "success", "result": "0|0|0.5|0"})
        transport = ScriptedTransport([CREATED, slide])
        mapping = {"providers": {"omo": {"plugin": "omocaptcha", "api_token": "token"}}}

        async def run() -> None:
            engine = Engine(load_mapping(mapping), connect=lambda _: transport)
            result = await engine.solve(PhoneSlide(PICTURE), None)
            assert result.solution.screen == Size(1, 1)
            assert result.solution.scaled(10, 10).end.x == 5.0

        run_virtual(run())


BUSY = json_reply({}, 429)
BUSY_FOR_3_S = json_reply({}, 429, retry_after="3")
NO_MONEY = json_reply({"error": True, "message": "Your balance is not enough."})
ODD_WORDS = json_reply({"error": True, "message": "The moon is in the wrong house."})


class TestFallingBack:
    """The table of the design, section 5: what each error allows, at the same provider and at the next."""

    @pytest.mark.parametrize(
        ("script", "error"),
        [
            pytest.param([BAD_TOKEN], AuthenticationError, id="a refused token"),
            pytest.param([NO_MONEY], InsufficientBalance, id="an empty balance"),
            pytest.param([BUSY], RateLimited, id="too many requests"),
            pytest.param([NOT_SENT, NOT_SENT], ServiceUnavailable, id="not sent, twice"),
            pytest.param([CREATED, FAILED], JobFailed, id="a failed job"),
            pytest.param([ODD_WORDS], JobRefused, id="a refusal in unknown words"),
            pytest.param([LOST], AmbiguousCreate, id="a create with no reply"),
            pytest.param([BAD_GATEWAY], AmbiguousCreate, id="a create answered by a gateway"),
            pytest.param([MalformedReply("too large")], AmbiguousCreate, id="a create nobody can read"),
            pytest.param([json_reply({"error": False})], AmbiguousCreate, id="a create without an id"),
            pytest.param([Hang()], AmbiguousCreate, id="a create that hangs"),
        ],
    )
    def test_goes_on_to_the_next_provider(self, script: list[Step], error: type[Exception]) -> None:
        trial = solve({"first": script, "second": [CREATED, SOLVED]})
        assert trial.answer == "x7kp2"
        assert trial.errors == [("first", error)]
        assert trial.creates("second") == 1

    def test_a_wrong_answer_goes_on_to_the_next(self) -> None:
        short = json_reply({"error": False, "status": "success", "result": "x7"})
        trial = solve(
            {"first": [CREATED, short], "second": [CREATED, SOLVED]}, task=ImageToText(PICTURE, length=5)
        )
        assert trial.answer == "x7kp2"
        assert trial.errors == [("first", WrongSolution)]

    def test_a_job_that_takes_too_long_goes_on_to_the_next(self) -> None:
        slow: list[Step] = [CREATED, *[RUNNING] * 100]
        trial = solve({"first": slow, "second": [CREATED, SOLVED]}, providers={"timeout": "30s"})
        assert trial.answer == "x7kp2"
        assert trial.errors == [("first", JobTimeout)]
        assert 28 <= trial.elapsed <= 32

    def test_the_callers_own_mistake_goes_nowhere(self) -> None:
        refused = json_reply({"error": True, "message": "Image is invalid."})
        trial = solve({"first": [refused], "second": [CREATED, SOLVED]})
        assert isinstance(trial.error, TaskRefused)
        assert trial.creates("second") == 0

    def test_an_order_that_may_have_arrived_is_never_sent_again(self) -> None:
        trial = solve({"only": [LOST]})
        assert trial.creates("only") == 1
        assert isinstance(trial.error, AllProvidersFailed)
        assert trial.errors == [("only", AmbiguousCreate)]

    def test_an_order_known_not_sent_is_sent_once_more_after_a_short_pause(self) -> None:
        trial = solve({"first": [NOT_SENT, CREATED, SOLVED], "second": []})
        assert trial.answer == "x7kp2"
        assert trial.times("first", "createJob") == [0.0, 0.5]

    @pytest.mark.parametrize("timeout", [6, 8, 10, 15, 20, 120])
    def test_a_provider_that_is_gone_is_no_matter_of_time(self, timeout: float) -> None:
        trial = solve({"only": lambda _: NOT_SENT}, timeout=timeout)
        assert type(trial.error) is AllProvidersFailed

    def test_attempts_that_went_the_same_way_are_told_in_one_line(self) -> None:
        trial = solve({"only": lambda _: NOT_SENT}, timeout=120)
        assert isinstance(trial.error, AllProvidersFailed)
        assert len(trial.error.attempts) > 5
        assert len(str(trial.error).splitlines()) == 2
        assert f"only, {len(trial.error.attempts)} times, " in str(trial.error)

    def test_the_last_provider_left_is_tried_with_growing_pauses_until_the_deadline(self) -> None:
        trial = solve({"only": lambda _: NOT_SENT}, timeout=20)
        gaps = [later - earlier for earlier, later in pairwise(trial.times("only", "createJob"))]
        assert trial.elapsed <= 20
        assert trial.creates("only") >= 6
        assert max(gaps) > 2.0
        assert isinstance(trial.error, AllProvidersFailed)

    def test_a_service_that_comes_back_before_the_deadline_still_answers(self) -> None:
        trial = solve({"only": [NOT_SENT] * 4 + [CREATED, SOLVED]})
        assert trial.answer == "x7kp2"

    def test_a_pause_asked_for_by_the_service_only_lengthens(self) -> None:
        trial = solve({"only": [BUSY_FOR_3_S, json_reply({}, 429, retry_after="0"), CREATED, SOLVED]})
        assert trial.times("only", "createJob") == [0.0, 3.0, 4.0]

    def test_a_busy_provider_is_asked_again_when_the_others_have_failed(self) -> None:
        trial = solve({"busy": [BUSY, CREATED, SOLVED], "broken": [BAD_TOKEN]})
        assert trial.answer == "x7kp2"
        assert trial.errors == [("busy", RateLimited), ("broken", AuthenticationError)]

    def test_all_that_failed_are_named_with_what_to_do(self) -> None:
        trial = solve({"first": [BAD_TOKEN], "second": [CREATED, FAILED]})
        assert isinstance(trial.error, AllProvidersFailed)
        text = str(trial.error)
        assert "first, 0.0 s: AuthenticationError: OMOcaptcha says: Invalid api token" in text
        assert "check the provider's token" in text
        assert "second (job 7), 2.0 s: JobFailed" in text


class TestPolling:
    @pytest.mark.parametrize(
        "trouble",
        [
            pytest.param(BAD_GATEWAY, id="502"),
            pytest.param(json_reply({}, 503, retry_after="1"), id="503"),
            pytest.param(BUSY, id="429"),
            pytest.param(json_reply([]), id="not an object"),
            pytest.param(LOST, id="reset"),
            pytest.param(NOT_SENT, id="not connected"),
            pytest.param(MalformedReply("too large"), id="too large"),
            pytest.param(json_reply({"error": False, "status": "polishing"}), id="a new status"),
            pytest.param(Hang(), id="hang"),
        ],
    )
    def test_trouble_while_polling_never_loses_the_job(self, trouble: Step) -> None:
        trial = solve({"omo": [CREATED, trouble, trouble, SOLVED], "other": []})
        assert trial.answer == "x7kp2"
        assert trial.creates("omo") == 1
        asked = trial.times("omo", "getJobResult")
        assert all(later - earlier >= 2.0 for earlier, later in pairwise(asked))

    def test_a_demanded_pause_is_kept(self) -> None:
        trial = solve({"omo": [CREATED, json_reply({}, 429, retry_after="9"), SOLVED]})
        assert trial.times("omo", "getJobResult") == [2.0, 11.0]

    def test_a_demanded_pause_beyond_the_deadline_leaves_one_last_question(self) -> None:
        trial = solve({"omo": [CREATED, json_reply({}, 429, retry_after="600"), SOLVED]}, timeout=10)
        assert trial.answer == "x7kp2"
        assert trial.times("omo", "getJobResult") == [2.0, 9.5]

    @pytest.mark.parametrize("status", [200, 202, 429])
    def test_a_pause_in_the_header_of_any_reply_is_kept(self, status: int) -> None:
        working = json_reply({"error": False, "status": "running"}, status, retry_after="7")
        trial = solve({"omo": [CREATED, working, SOLVED]})
        assert trial.times("omo", "getJobResult") == [2.0, 9.0]

    def test_an_interval_of_ones_own_takes_the_place_of_the_services(self) -> None:
        trial = solve(
            {"omo": [CREATED, RUNNING, RUNNING, SOLVED]},
            providers={"poll": {"first": "2.7s", "every": "2.7s"}},
        )
        assert trial.times("omo", "getJobResult") == pytest.approx([2.7, 5.4, 8.1])

    def test_a_word_that_the_plugin_does_not_know_is_logged_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        polishing = json_reply({"error": False, "status": "polishing"})
        solve({"omo": [CREATED, RUNNING, polishing, polishing, SOLVED]})
        told = [record.getMessage() for record in caplog.records if "polishing" in record.getMessage()]
        assert len(told) == 1
        assert "omo (job 7): the service says 'polishing', which the plugin 'omocaptcha' does not" in told[0]

    def test_the_first_question_learns_from_the_jobs_before(self) -> None:
        job: list[Step] = [CREATED, *[RUNNING] * 4, SOLVED]
        transport = ScriptedTransport([*job, CREATED, SOLVED])
        mapping = {"providers": {"omo": {"plugin": "omocaptcha", "api_token": "token"}}}

        async def run() -> None:
            engine = Engine(load_mapping(mapping), connect=lambda _: transport, chance=lambda: 1.0)
            await engine.solve(TASK, None)
            second = asyncio.get_running_loop().time()
            await engine.solve(TASK, None)
            assert 4.0 < transport.sent[-1].at - second < 10.0

        run_virtual(run())

    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 10, 30])
    def test_the_last_question_comes_shortly_before_the_limit(self, limit: int) -> None:
        running: list[Step] = [CREATED, *[RUNNING] * 40]
        trial = solve({"only": running}, providers={"timeout": f"{limit}s"})
        asked = trial.times("only", "getJobResult")
        assert limit - 1 <= asked[-1] + 0.5 <= limit
        assert all(later - earlier >= 2.0 for earlier, later in pairwise(asked))
        assert f"not done within {limit}.0 s" in str(trial.error)

    def test_a_timeout_says_what_the_service_said_last(self) -> None:
        polishing = json_reply({"error": False, "status": "polishing"})
        trial = solve({"omo": [CREATED, *[polishing] * 50]}, timeout=9)
        assert isinstance(trial.error, SolveTimeout)
        assert "'polishing'" in str(trial.error)
        assert "job 7" in str(trial.error)


class TestTheDeadline:
    def test_one_deadline_covers_every_attempt(self) -> None:
        slow: list[Step] = [CREATED, *[RUNNING] * 100]
        trial = solve({"first": slow, "second": slow}, timeout=90)
        assert isinstance(trial.error, SolveTimeout)
        assert trial.elapsed <= 90
        assert trial.errors == [("first", JobTimeout), ("second", JobTimeout)]

    def test_a_call_is_cut_to_what_is_left(self) -> None:
        trial = solve({"only": [Hang()]}, timeout=5)
        assert trial.elapsed == 5.0
        assert isinstance(trial.error, SolveTimeout)

    def test_waiting_for_a_place_counts(self) -> None:
        mapping = {"providers": {"omo": {"plugin": "omocaptcha", "api_token": "t", "max_in_flight": 1}}}
        transport = ScriptedTransport([Hang()])

        async def run() -> None:
            engine = Engine(load_mapping(mapping), connect=lambda _: transport)
            first = asyncio.ensure_future(engine.solve(TASK, 8))
            second = asyncio.ensure_future(engine.solve(TASK, 3))
            await asyncio.wait([second])
            assert asyncio.get_running_loop().time() == 3.0
            assert isinstance(second.exception(), SolveTimeout)
            assert "max_in_flight" in str(second.exception())
            await asyncio.wait([first])
            await engine.aclose()

        run_virtual(run())

    def test_too_little_time_for_a_job_orders_none(self) -> None:
        trial = solve({"omo": []}, timeout=0.9)
        assert isinstance(trial.error, SolveTimeout)
        assert "NotAsked: less than 1 s was left, too little to create a job" in str(trial.error)
        assert trial.creates("omo") == 0

    def test_too_little_time_after_a_pause_does_not_order_again(self) -> None:
        trial = solve({"omo": [NOT_SENT]}, timeout=1.4)
        assert trial.creates("omo") == 1

    def test_a_slow_create_still_leaves_one_question(self) -> None:
        trial = solve({"omo": [Slow(3.1, CREATED), SOLVED]}, timeout=5)
        assert trial.answer == "x7kp2"
        assert trial.times("omo", "getJobResult") == [pytest.approx(4.05)]

    REPLIES = st.sampled_from([CREATED, RUNNING, SOLVED, FAILED, BAD_TOKEN, BAD_GATEWAY, BUSY, BUSY_FOR_3_S])
    TROUBLES = st.sampled_from([NOT_SENT, LOST, Hang(), MalformedReply("?"), json_reply({}, 503)])
    STEPS = REPLIES | TROUBLES | st.builds(Slow, st.floats(0, 40), REPLIES)

    @given(st.lists(STEPS, max_size=12), STEPS, st.floats(0.5, 60))
    def test_whatever_a_service_does_it_holds_and_no_order_is_doubled(
        self, begin: list[Step], ever_after: Step, timeout: float
    ) -> None:
        steps = iter(begin)
        replies: list[tuple[str, Step]] = []

        def script(request: Request) -> Step:
            step = next(steps, ever_after)
            replies.append((request.url.rpartition("/")[2], step))
            return step

        trial = solve({"omo": script}, timeout=timeout)
        assert trial.elapsed <= timeout + 1e-6
        creates = [step for call, step in replies if call == "createJob"]
        assert all(step in (NOT_SENT, BUSY, BUSY_FOR_3_S) or _is_late_busy(step) for step in creates[:-1])


def _is_late_busy(step: Step) -> bool:
    return isinstance(step, Slow) and step.reply in (BUSY, BUSY_FOR_3_S)


class TestWhatIsRefused:
    def test_what_is_no_task(self) -> None:
        trial = solve({"omo": []}, task="captcha.png")  # type: ignore[arg-type]
        assert isinstance(trial.error, TaskError)
        assert "not str" in str(trial.error)

    def test_a_task_that_nobody_takes(self) -> None:
        @attrs.frozen
        class Odd(ImageToText):
            kind = "odd"

        mapping = {"providers": {"omo": {"plugin": "omocaptcha", "api_token": "token"}}}

        async def run() -> None:
            engine = Engine(load_mapping(mapping), connect=lambda _: ScriptedTransport([]))
            with pytest.raises(ConfigError, match=r"no provider takes odd tasks \(omo takes image-to-text"):
                await engine.solve(Odd(PICTURE), None)

        run_virtual(run())


def nothing(*_: object) -> None:
    """A method that was never finished."""


class TestAFaultyPlugin:
    """Whatever a plugin does, it takes nothing down and gives nothing away."""

    def solve_with(self, provider: type[OmoProvider], *replies: Step) -> tuple[Exception, ScriptedTransport]:
        transport = ScriptedTransport(replies)
        mapping = {
            "providers": {"omo": {"plugin": "faulty", "api_token": "s3cret-t0ken"}},
            "timeout": "20s",
        }

        class Plugin:
            @hookimpl
            def captchahub_provider_kinds(self) -> list[ProviderKind[OmoSettings]]:
                return [ProviderKind("faulty", OmoSettings, provider)]

        async def run() -> Exception:
            plugins = Plugins([Plugin()])
            engine = Engine(read_mapping(mapping, plugins), plugins=plugins, connect=lambda _: transport)
            with pytest.raises(AllProvidersFailed) as caught:
                await engine.solve(TASK, None)
            return caught.value

        return run_virtual(run()), transport

    def test_that_fails_before_the_order_costs_nothing(self) -> None:
        class Faulty(OmoProvider):
            def sent_options(self, task: Task[Solution]) -> list[str]:
                raise KeyError("charset")

        error, transport = self.solve_with(Faulty)
        assert "the plugin 'faulty' failed in sent_options with KeyError" in str(error)
        assert transport.sent == []

    def test_that_fails_to_read_what_was_created_never_orders_again(self) -> None:
        class Faulty(OmoProvider):
            def read_created(self, task: Task[Solution], reply: Reply) -> Created:
                raise KeyError("job_id")

        error, transport = self.solve_with(Faulty, CREATED)
        assert "AmbiguousCreate" in str(error)
        assert len(transport.sent) == 1

    def test_that_wants_to_end_the_program_ends_its_attempt(self) -> None:
        class Faulty(OmoProvider):
            def create_job(self, task: Task[Solution]) -> Request:
                raise SystemExit(1)

        error, _ = self.solve_with(Faulty)
        assert "failed in create_job with SystemExit" in str(error)

    def test_that_raises_an_error_of_ours_which_is_not_its_to_raise_fails_its_attempt(self) -> None:
        class Faulty(OmoProvider):
            def create_job(self, task: Task[Solution]) -> Request:
                raise HubClosed("an inner hub")

        error, _ = self.solve_with(Faulty)
        assert "PluginFault" in str(error)

    @pytest.mark.parametrize("method", ["sent_options", "create_job"])
    def test_that_returns_nothing_before_the_order_costs_nothing(self, method: str) -> None:
        faulty = type("Faulty", (OmoProvider,), {method: nothing})
        error, transport = self.solve_with(faulty)
        assert "the plugin 'faulty' returned a NoneType" in str(error)
        assert transport.sent == []

    def test_that_makes_nothing_of_what_was_created_never_orders_again(self) -> None:
        faulty = type("Faulty", (OmoProvider,), {"read_created": nothing})
        error, transport = self.solve_with(faulty, CREATED)
        assert "AmbiguousCreate" in str(error)
        assert len(transport.sent) == 1

    def test_that_makes_nothing_of_a_result_asks_on(self) -> None:
        faulty = type("Faulty", (OmoProvider,), {"read_result": nothing})
        error, transport = self.solve_with(faulty, CREATED, *[SOLVED] * 20)
        assert "the service last said the plugin 'faulty' returned a NoneType" in str(error)
        assert len(transport.sent) > 5

    def test_that_fills_a_solution_wrongly_fails_its_attempt(self) -> None:
        class Faulty(OmoProvider):
            def read_result(self, job: Job, reply: Reply) -> Solved:
                return Solved(TextSolution(None))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - on purpose

        error, _ = self.solve_with(Faulty, CREATED, SOLVED)
        assert "WrongSolution" in str(error)

    def test_shows_its_own_fault_but_no_token_in_a_traceback(self) -> None:
        class Faulty(OmoProvider):
            def read_created(self, task: Task[Solution], reply: Reply) -> Created:
                raise ValueError(f"no id for {self._settings.api_token.reveal()}")

        error, _ = self.solve_with(Faulty, CREATED)
        assert isinstance(error, AllProvidersFailed)
        shown = "".join(traceback.format_exception(error.attempts[0].error))
        assert "in read_created" in shown
        assert "s3cret" not in shown

    def test_that_can_not_be_built_is_a_wrong_configuration(self) -> None:
        class Faulty(OmoProvider):
            def __init__(self, settings: OmoSettings) -> None:
                raise ValueError(settings.api_token.reveal())

        with pytest.raises(
            ConfigError, match=r"providers.omo: .* could not be built \(ValueError\)"
        ) as caught:
            self.solve_with(Faulty)
        assert "s3cret" not in "".join(traceback.format_exception(caught.value))

    def test_that_repeats_its_token_is_masked(self) -> None:
        class Faulty(OmoProvider):
            def read_created(self, task: Task[Solution], reply: Reply) -> Created:
                raise JobRefused("the service refuses s3cret-t0ken")

        error, _ = self.solve_with(Faulty, CREATED)
        assert "the service refuses ***" in str(error)

    def test_that_repeats_its_token_in_a_status_is_masked(self) -> None:
        class Faulty(OmoProvider):
            def read_result(self, job: Job, reply: Reply) -> Pending:
                return Pending("waiting for s3cret-t0ken")

        error, _ = self.solve_with(Faulty, CREATED, *[RUNNING] * 20)
        assert "the service last said 'waiting for ***'" in str(error)


class TestClosing:
    def test_ends_what_is_under_way_and_says_so(self) -> None:
        mapping = {"providers": {"omo": {"plugin": "omocaptcha", "api_token": "token"}}}

        async def run() -> None:
            engine = Engine(load_mapping(mapping), connect=lambda _: ScriptedTransport([Hang()]))
            solving = asyncio.ensure_future(engine.solve(TASK, None))
            await asyncio.sleep(1)
            await engine.aclose()
            with pytest.raises(HubClosed):
                await solving
            with pytest.raises(HubClosed):
                await engine.solve(TASK, None)
            await engine.aclose()
            assert asyncio.get_running_loop().time() == 1.0

        run_virtual(run())
