"""A plugin that keeps the contract, and its service. Each bad plugin differs from it in one fault."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

import attrs

from captchahub.errors import (
    AuthenticationError,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobUnknown,
    MalformedReply,
    ProviderError,
    UnsupportedTask,
)
from captchahub.hookspecs import hookimpl
from captchahub.provider import (
    Balance,
    Created,
    Job,
    Pending,
    Provider,
    ProviderKind,
    Reply,
    Request,
    Secret,
    Solved,
    service_url,
    usable_secret,
)
from captchahub.tasks import ImageToText, Solution, Task, TextSolution
from captchahub.testing import Answer, Call, Emulation, World, json_reply, unpack_base64
from captchahub.testing.contract import ProviderContract
from captchahub.words import Words, job_id_of, money, text_of

ERRORS: Mapping[str, type[ProviderError]] = {
    "bad token": AuthenticationError,
    "no money": InsufficientBalance,
    "no such job": JobUnknown,
}


@attrs.frozen
class GoodSettings:
    api_token: Secret = attrs.field(validator=usable_secret)
    """The token of the account."""
    base_url: str = attrs.field(default="https://good.example", converter=service_url)
    """Where the service is."""


class Good(Provider):
    """It sends one option, the length."""

    kinds = frozenset({"image-to-text"})

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.token = settings.api_token.reveal()
        self.words = Words("The service", settings.api_token)

    def sent_options(self, task: Task[Solution]) -> Collection[str]:
        return [name for name in task.options if name == "length"]

    def create_job(self, task: Task[Solution]) -> Request:
        if not isinstance(task, ImageToText):
            raise UnsupportedTask(f"the service is not asked for {task.kind!r}")
        length = {} if task.length is None else {"length": task.length}
        return self.ask("order", image=task.image, **length)

    def read_created(self, task: Task[Solution], reply: Reply) -> Created:
        job_id = job_id_of(self.answer(reply, JobRefused).get("job"))
        if job_id is None or self.words.has_secret(job_id):
            raise MalformedReply("the order was taken and there is no job id")
        return Created(job_id)

    def poll_job(self, job: Job) -> Request:
        return self.ask("poll", job=job.id)

    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        answer = self.answer(reply, JobFailed)
        state = answer.get("state")
        if not isinstance(state, str) or not state:
            raise MalformedReply("there is no state")
        if state == "failed":
            raise JobFailed("the service could not read it")
        if state != "done":
            return Pending(self.words.of(state))
        text = text_of(answer.get("text"))
        if not text:
            raise JobFailed("the job is done and there is no text")
        return Solved(TextSolution(text))

    def ask_balance(self) -> Request:
        return self.ask("balance")

    def read_balance(self, reply: Reply) -> Balance:
        amount = money(self.answer(reply, ProviderError).get("balance"))
        if amount is None:
            raise MalformedReply("there is no balance")
        return Balance(amount)

    def ask(self, call: str, **fields: object) -> Request:
        return Request.post_json(f"{self.settings.base_url}/{call}", {"token": self.token, **fields})

    def answer(self, reply: Reply, otherwise: type[ProviderError]) -> dict[str, object]:
        answer = reply.json_object()
        said = answer.get("error")
        if isinstance(said, str) and said:
            raise reply.failure(self.words.said(said), ERRORS.get(said), otherwise)
        error = reply.http_error()
        if error is not None:
            raise error
        return answer


class Service(Emulation):
    """The emulation of the service."""

    token_key = "api_token"
    create_call = "order"
    poll_call = "poll"
    calls = frozenset({"order", "poll", "balance"})
    prices = {"image-to-text": Decimal("0.001")}

    def token_of(self, call: Call) -> str | None:
        return str(call.json().get("token"))

    def answer(self, call: Call, world: World) -> Answer:
        account = world.accounts.get(self.token_of(call) or "")
        if account is None:
            return Answer.json({"error": "bad token"})
        fields = call.json()
        match self.name_of(call):
            case "order":
                picture = unpack_base64(fields.get("image")) or b""
                job = world.create_job(account, "image-to-text", picture, self.prices["image-to-text"])
                return Answer.json({"error": "no money"} if job is None else {"job": job.id})
            case "poll":
                return Answer.json(self.state(world, world.find_job(account, int(str(fields.get("job"))))))
            case _:
                return Answer.json({"balance": str(account.balance)})

    def state(self, world: World, job: Any) -> dict[str, object]:
        if job is None:
            return {"error": "no such job"}
        state = job.state(world.now())
        if state == "solved":
            return {"state": "done", "text": job.solution.text}
        return {"state": state}


@attrs.frozen(eq=False)
class Plugin:
    """The plugin with any provider and any settings."""

    provider: Callable[[Any], Any] = Good
    settings: type = GoodSettings

    @hookimpl
    def captchahub_provider_kinds(self) -> Sequence[ProviderKind[Any]]:
        return [ProviderKind("good", self.settings, self.provider)]


class GoodContract(ProviderContract):
    plugin = Plugin()
    emulation = Service
    messages = {"bad token": AuthenticationError, "no money": InsufficientBalance, "odd": JobRefused}
    job_messages = {"no such job": JobUnknown, "odd": JobFailed}

    def refusal(self, message: str) -> Reply:
        return json_reply({"error": message})
