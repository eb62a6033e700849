"""What an attempt cost whose create failed: the attempt and the ledger must agree."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal

import pytest

from captchahub import AllProvidersFailed, ConfigError, JobState
from captchahub._engine.engine import Engine
from captchahub._journal.rows import JobFilter
from captchahub.errors import AmbiguousCreate, JobRefused, ProviderError
from captchahub.provider import Reply, Request
from tests.custom_providers import ScriptedProvider, fail, provider_with, raising, run_with_providers

PRICE = Decimal("0.001")


def broken_proxy(_request: Request) -> Reply:
    """Raise what the transport raises before it sends anything."""
    raise ConfigError("http.proxy: the proxy's certificate can't be read")


@pytest.mark.parametrize(
    ("scripted", "error", "cost", "state"),
    [
        pytest.param(
            ScriptedProvider(step=broken_proxy), ProviderError, 0, JobState.NOT_SENT, id="nothing was sent"
        ),
        pytest.param(
            ScriptedProvider(provider_with(read_created=raising(lambda: JobRefused("too large")))),
            JobRefused,
            0,
            JobState.REFUSED,
            id="the service refused it",
        ),
        pytest.param(
            ScriptedProvider(provider_with(read_created=raising(lambda: ProviderError("a strange reply")))),
            ProviderError,
            PRICE,
            JobState.AMBIGUOUS,
            id="the plugin could not read the reply",
        ),
        pytest.param(
            ScriptedProvider(provider_with(read_created=raising(lambda: ValueError("a strange reply")))),
            AmbiguousCreate,
            PRICE,
            JobState.AMBIGUOUS,
            id="the plugin failed",
        ),
    ],
)
def test_an_attempt_costs_what_the_ledger_says(
    scripted: ScriptedProvider, error: type[Exception], cost: Decimal, state: JobState
) -> None:
    scripted.settings = {"prices": {"image-to-text": str(PRICE)}}

    async def main(engine: Engine) -> None:
        failed = await fail(engine)
        assert isinstance(failed, AllProvidersFailed)
        (attempt,) = failed.attempts
        (job,) = await engine.jobs(JobFilter(limit=10))
        assert (type(attempt.error), attempt.cost, job.state) == (error, cost, state)
        assert sum(line.amount for line in await engine.spend(UTC, None)) == cost

    run_with_providers({"main": scripted}, main)
