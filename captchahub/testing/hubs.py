"""Hubs whose providers are sandboxes, for the fixture ``captchahub_hub``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, cast

from captchahub._plugins.entry_points import points_in
from captchahub.errors import ConfigError
from captchahub.hub import Hub
from captchahub.testing.emulation import Emulation
from captchahub.testing.emulations import GROUP
from captchahub.testing.sandbox import Sandbox

__all__ = ["HubFactory", "hub_on"]


class HubFactory(Protocol):
    """The type of the fixture: ``captchahub_hub(sandbox, timeout="10s")``."""

    def __call__(self, *sandboxes: Sandbox, plugins: Sequence[object] = (), **keys: object) -> Hub:
        """Create a hub with one provider for each sandbox, in this order. It is closed after the test.

        A provider has the name of its kind, such as ``omocaptcha``; a second one of the same kind is
        ``omocaptcha-2``. ``keys`` are other keys of the configuration, and ``plugins`` are plugin objects.
        Keys in ``providers`` are added to those of the providers:
        ``captchahub_hub(sandbox, providers={"omocaptcha": {"max_in_flight": 2}})``.

        Raises TypeError without a sandbox, and :class:`~captchahub.errors.ConfigError` for other mistakes.
        """
        ...


def hub_on(*sandboxes: Sandbox, plugins: Sequence[object] = (), **keys: object) -> Hub:
    """See :class:`HubFactory`."""
    if not sandboxes:
        raise TypeError(
            "captchahub_hub() takes the sandboxes to use: captchahub_hub(captchahub_sandbox('omocaptcha'))"
        )
    providers = dict(_providers(sandboxes))
    for name, own in _mapping("providers", keys.pop("providers", {})).items():
        providers[name] = {**providers.get(name, {}), **_mapping(f"providers.{name}", own)}
    return Hub.from_mapping({"providers": providers, **keys}, plugins=plugins)


def _providers(sandboxes: Sequence[Sandbox]) -> Iterator[tuple[str, Mapping[str, object]]]:
    seen: dict[str, int] = {}
    for sandbox in sandboxes:
        kind = _kind_of(sandbox.emulation)
        number = seen[kind] = seen.get(kind, 0) + 1
        yield kind if number == 1 else f"{kind}-{number}", {"plugin": kind, **sandbox.settings()}


def _kind_of(emulation: Emulation) -> str:
    """Return the provider kind that an emulation belongs to."""
    # Only what belongs to packages that are imported already is loaded, because others could be broken.
    packages = {one.__module__.partition(".")[0] for one in type(emulation).__mro__}
    for point in points_in(GROUP):
        if point.module.partition(".")[0] in packages:
            loaded: object = point.load()
            if isinstance(loaded, type) and isinstance(emulation, loaded):
                return point.name
    name = type(emulation).__name__
    raise ConfigError(
        f"no installed plugin has the emulation {name}: install it, or create the hub with "
        "Hub.from_mapping({'providers': {'name': {'plugin': ..., **sandbox.settings()}}}, plugins=[...])"
    )


def _mapping(key: str, value: object) -> Mapping[str, Mapping[str, object]]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key} maps names to values, as in the YAML file, and is not {value!r:.40}")
    return cast("Mapping[str, Mapping[str, object]]", value)
