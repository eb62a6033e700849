"""The contract suite: every check there is for a provider plugin, for its author to inherit.

A test file of a plugin is as short as this one::

    from captchahub.testing.contract import ProviderContract

    class TestMyService(ProviderContract):
        kind = "myservice"
        settings = {"api_token": "t0ken"}

For a plugin that is installed, no file is needed::

    pytest -p captchahub.testing.pytest_plugin --captchahub-plugin myservice

It needs ``captchahub[testing]`` and pytest. With ``CAPTCHAHUB_CONTRACT_RUNS=20000`` more hostile replies are
made than the usual 200.
"""

from __future__ import annotations

from captchahub.testing.contract._job_ids import JobIdChecks
from captchahub.testing.contract._orders import OrderChecks
from captchahub.testing.contract._replies import ReplyChecks
from captchahub.testing.contract._settings import SettingsChecks
from captchahub.testing.contract._solving import SolvingChecks

__all__ = ["ProviderContract"]


class ProviderContract(SettingsChecks, OrderChecks, JobIdChecks, ReplyChecks, SolvingChecks):
    """Inherit from it in a class ``Test...`` and set what the plugin needs; each method is a check.

    A check that fails says in one sentence what is wrong and what to do. One that does not apply is skipped
    and says why.
    """
