"""The contract suite: checks for provider plugins, which a plugin's tests inherit.

A plugin's test file can be as short as this::

    from captchahub.testing.contract import ProviderContract

    class TestMyService(ProviderContract):
        kind = "myservice"
        settings = {"api_token": "t0ken"}

An installed plugin needs no test file::

    pytest -p captchahub.testing.pytest_plugin --captchahub-plugin myservice

The suite needs ``captchahub[testing]`` and pytest. ``CAPTCHAHUB_CONTRACT_RUNS=20000`` tries 20,000 random
hostile replies instead of 200.
"""

from __future__ import annotations

from captchahub.testing.contract._job_ids import JobIdChecks
from captchahub.testing.contract._replies import ReplyChecks
from captchahub.testing.contract._requests import RequestChecks
from captchahub.testing.contract._settings import SettingsChecks
from captchahub.testing.contract._solving import SolvingChecks

__all__ = ["ProviderContract"]


class ProviderContract(SettingsChecks, RequestChecks, JobIdChecks, ReplyChecks, SolvingChecks):
    """The checks. Inherit from it in a class ``Test...`` and set the attributes that the plugin needs.

    A check that fails says in one sentence what is wrong and how to fix it. A check that does not apply is
    skipped with a reason.
    """
