"""The makes of services that there are: what each is called in a configuration, and its real emulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from uuid import UUID

import attrs
from captchahub_createtask.dialects import DialectName
from captchahub_createtask.emulation import CreateTaskEmulation
from captchahub_omocaptcha.emulation import OmoEmulation

from captchahub.provider import JobId
from captchahub.testing import Emulation

__all__ = ["CREATE_TASK", "OMO", "Make", "number_of"]


@attrs.frozen
class Make:
    """One make. ``prices`` are those that it says it takes, by task kind."""

    name: str
    settings: Mapping[str, str]
    """What a provider of it is told, beside its token."""
    token_key: str
    prices: Mapping[str, Decimal]
    begin: Callable[[Random], Emulation]
    """Makes the service itself, with habits drawn by chance."""
    id_field: str
    """Where a question names the job that it is about."""
    pace: float = 2.0
    """How long its pages ask clients to wait between two polls of a job, in seconds."""
    wait: float = 0.0
    """The same between an order and the first question for its job."""
    pause: float = 0.0
    """The same after it said that it has no worker."""
    base_path: str = ""
    """What stands before the calls' names in an address."""
    tells_cost: bool = False
    """Whether an answer comes with what it has cost."""


def number_of(job_id: JobId) -> int:
    """The number that a job has in its service's books; some write it as a UUID."""
    written = str(job_id)
    return int(written) if written.isdecimal() else UUID(written).int


def _omo(chance: Random) -> Emulation:
    return OmoEmulation(
        flags=chance.choice(("error", "success", "both")), job_ids=chance.choice(("number", "text"))
    )


def _create_task(
    dialect: DialectName,
    *,
    pace: float = 2.0,
    wait: float = 0.0,
    pause: float = 0.0,
    tells_cost: bool = False,
) -> Make:
    return Make(
        dialect,
        {"plugin": "createtask", "dialect": dialect},
        CreateTaskEmulation.token_key,
        CreateTaskEmulation.prices,
        lambda _: CreateTaskEmulation(dialect),
        id_field="taskId",
        pace=pace,
        wait=wait,
        pause=pause,
        tells_cost=tells_cost,
    )


OMO = Make(
    "omocaptcha",
    {"plugin": "omocaptcha"},
    OmoEmulation.token_key,
    OmoEmulation.prices,
    _omo,
    id_field="job_id",
    base_path=OmoEmulation.base_path,
)

CREATE_TASK = (
    _create_task("anti-captcha", tells_cost=True),
    _create_task("2captcha", pace=5.0, wait=5.0, pause=5.0, tells_cost=True),
    # This one answers at once.
    _create_task("capsolver", pace=3.0),
    _create_task("capmonster"),
)
