"""The pytest plugin: ``pytest_plugins = ["captchahub.testing.pytest_plugin"]`` in a ``conftest.py``.

It adds the fixtures ``captchahub_sandbox`` and ``captchahub_hub``. With ``-p captchahub.testing.pytest_plugin
--captchahub-plugin NAME`` it runs the contract suite on an installed plugin, without a test file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Unpack

import pytest
import yaml

from captchahub.errors import ConfigError
from captchahub.hub import Hub
from captchahub.testing import contract
from captchahub.testing.contract import ProviderContract
from captchahub.testing.emulation import Emulation
from captchahub.testing.emulations import installed_emulations, load_emulation
from captchahub.testing.hubs import HubFactory, hub_on
from captchahub.testing.sandbox import Sandbox, SandboxFactory, SandboxOptions

__all__ = ["captchahub_hub", "captchahub_sandbox", "pytest_addoption", "pytest_collection_modifyitems"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the contract suite."""
    group = parser.getgroup("captchahub")
    group.addoption("--captchahub-plugin", metavar="NAME", help="check an installed plugin's provider kind")
    group.addoption(
        "--captchahub-settings",
        metavar="FILE",
        help="a YAML file with the plugin's own keys, for those checks",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Append the contract suite of the plugin that is named to the collected tests."""
    name: str | None = config.getoption("--captchahub-plugin")
    file: str | None = config.getoption("--captchahub-settings")
    if name is None:
        if file is not None:
            raise pytest.UsageError("--captchahub-settings needs --captchahub-plugin NAME: pass both")
        return
    suite: type[ProviderContract] = type(
        "TestPlugin", (ProviderContract,), {"kind": name, "settings": _read(file)}
    )
    try:
        suite.subject()
    except pytest.fail.Exception as error:
        raise pytest.UsageError(f"--captchahub-plugin {name}: {error}") from None
    # pytest leaves the types of its own constructors open.
    module: Any = pytest.Module.from_parent(  # pyright: ignore[reportUnknownMemberType]
        session, path=Path(contract.__file__), nodeid=f"captchahub-{name}"
    )
    checks: Any = pytest.Class.from_parent(  # pyright: ignore[reportUnknownMemberType]
        module, name=suite.__name__
    )
    checks.obj = suite
    items += session.genitems(checks)


def _read(file: str | None) -> dict[str, Any]:
    """Return the keys in a YAML file, which may contain references such as ``${env:NAME}``."""
    if file is None:
        return {}
    try:
        keys: object = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise pytest.UsageError(f"--captchahub-settings {file} can't be read: {error}") from error
    if not isinstance(keys, dict):
        raise pytest.UsageError(
            f"--captchahub-settings {file} contains no keys: write one on each line, as in api_token: ..."
        )
    return keys  # pyright: ignore[reportUnknownVariableType] - checked with the rest of the configuration


@pytest.fixture
def captchahub_sandbox() -> Iterator[SandboxFactory]:
    """Starts sandboxes, which stop after the test: ``captchahub_sandbox("omocaptcha", job_time=0.2)``.

    The first argument is the name of a provider kind, or an Emulation such as
    ``load_emulation("createtask", dialect="capsolver")``. It may be left out if only one emulation is
    installed.
    """
    with ExitStack() as stack:

        def start(emulation: str | Emulation | None = None, /, **options: Unpack[SandboxOptions]) -> Sandbox:
            service = _only_installed() if emulation is None else emulation
            loaded = load_emulation(service) if isinstance(service, str) else service
            return stack.enter_context(Sandbox(loaded, **options))

        yield start


@pytest.fixture
def captchahub_hub(captchahub_sandbox: SandboxFactory) -> Iterator[HubFactory]:
    """Creates hubs on sandboxes, which are closed after the test: ``captchahub_hub(captchahub_sandbox())``.

    Each sandbox is a provider with the name of its kind. Keywords are other keys of the configuration, such
    as ``timeout="10s"``, and ``plugins``.
    """
    # The sandboxes have to stop after the hubs, which may still poll jobs there.
    _ = captchahub_sandbox
    with ExitStack() as stack:

        def create(*sandboxes: Sandbox, plugins: Sequence[object] = (), **keys: object) -> Hub:
            return stack.enter_context(hub_on(*sandboxes, plugins=plugins, **keys))

        yield create


def _only_installed() -> str:
    names = installed_emulations()
    if not names:
        raise ConfigError("no emulation is installed: install a plugin, or pass an Emulation of your own")
    if len(names) > 1:
        listed = ", ".join(names)
        raise ConfigError(
            f"several emulations are installed ({listed}): name one, as in captchahub_sandbox({names[0]!r})"
        )
    return names[0]
