"""The types of services in a run: their settings and their real emulations."""

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

__all__ = ["CREATE_TASK", "OMO", "ServiceType", "number_of"]


@attrs.frozen
class ServiceType:
    """One type of service. ``prices`` are its published prices, by task kind."""

    name: str
    settings: Mapping[str, str]
    """The settings of its provider, besides the token."""
    token_key: str
    prices: Mapping[str, Decimal]
    begin: Callable[[Random], Emulation]
    """Creates the service, with random options."""
    id_field: str
    """The field with the job id in a poll."""
    pace: float = 2.0
    """The documented minimum time between two polls of a job, in seconds."""
    wait: float = 0.0
    """The documented minimum time before the first poll of a job."""
    pause: float = 0.0
    """The documented minimum time after the reply that it has no free worker."""
    base_path: str = ""
    """The path before the calls' names."""
    tells_cost: bool = False
    """Whether answers include their cost."""


def number_of(job_id: JobId) -> int:
    """Return the number of a job at its service. Some services write it as a UUID."""
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
) -> ServiceType:
    return ServiceType(
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


OMO = ServiceType(
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
