"""Balances: what lets an account that was out of money work again."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from captchahub import AllProvidersFailed
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub.errors import InsufficientBalance, NotAsked
from captchahub.testing import ScriptedTransport, json_reply, run_virtual
from tests.virtual_services import INSTALLED, TASK


async def error_of(engine: Engine) -> type[Exception]:
    """Why the only provider does not solve a task."""
    with pytest.raises(AllProvidersFailed) as caught:
        await engine.solve(TASK, None)
    (error,) = caught.value.exceptions
    return type(error)


@pytest.mark.parametrize(
    "left",
    [{"quantity": 5}, {"voucher_balance": "2.5"}, {"packages": [{"status": 1, "numberOfCalls": 9}]}],
)
def test_what_an_account_has_in_kind_brings_it_back(left: Mapping[str, object]) -> None:
    empty = json_reply({"errorId": 10, "errorCode": "ERROR_ZERO_BALANCE"})
    ready = {"errorId": 0, "taskId": "7", "status": "ready", "solution": {"text": "x7kp2"}}
    nothing, something = ({"errorId": 0, "balance": 0, **fields} for fields in ({"quantity": 0}, left))
    steps = [empty, json_reply(nothing), json_reply(something), json_reply(ready)]
    account = {"plugin": "createtask", "dialect": "capsolver", "client_key": "s3cret-k3y"}

    async def run() -> None:
        settings = read_mapping({"providers": {"only": account}}, INSTALLED)
        engine = Engine(settings, connect=lambda _: ScriptedTransport(steps))
        assert await error_of(engine) is InsufficientBalance
        await engine.balances()
        assert await error_of(engine) is NotAsked
        await engine.balances()
        assert (await engine.solve(TASK, None)).provider == "only"
        await engine.aclose()

    run_virtual(run())
