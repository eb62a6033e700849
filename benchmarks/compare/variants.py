"""The ways to configure captchahub that are measured. A new one is a line in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from captchahub.events import Event
from captchahub.extending import Candidate, Prepared
from captchahub.hookspecs import hookimpl
from captchahub.settings import RouteSettings
from captchahub.tasks import Solution, Task


class Observer:
    """A plugin that receives every event."""

    def __init__(self) -> None:
        self.events = 0

    @hookimpl
    def captchahub_observe(self, event: Event) -> None:  # noqa: ARG002 - the name is part of the hook
        """Count it."""
        self.events += 1


class Hooks:
    """A plugin with every hook that is called for each solve, and that changes nothing."""

    @hookimpl
    def captchahub_prepare_task(self, task: Task[Solution]) -> Prepared | None:  # noqa: ARG002
        """Leave the task as it is."""
        return None

    @hookimpl
    def captchahub_order_providers(self, candidates: Sequence[Candidate], route: RouteSettings) -> None:
        """Leave the order as it is."""

    @hookimpl
    def captchahub_check_solution(self, task: Task[Solution], solution: Solution) -> str | None:  # noqa: ARG002
        """Accept the answer."""
        return None


@attrs.frozen
class Variant:
    """One way to configure a hub: keys of the configuration, plugins, and arguments of a solve."""

    hub: Mapping[str, object] = attrs.field(factory=dict[str, object])
    """Keys at the top of the configuration."""
    provider: Mapping[str, object] = attrs.field(factory=dict[str, object])
    """Keys of the provider."""
    plugins: tuple[type, ...] = ()
    has_callback: bool = False
    """Whether ``hub.on`` has a callback for every event."""
    has_journal_file: bool = False
    share: bool = True


TRANSPORTS: Mapping[str, Variant] = {
    "captchahub": Variant(),
    "captchahub[fast]": Variant(provider={"transport": "fast"}),
}
"""The transports, each by the name that its rows have. The first is the default one."""

_PRICED: Mapping[str, object] = {"prices": {"image-to-text": 0.0007}}

FEATURES: Mapping[str, Variant] = {
    "as by default (sharing on, journal in memory)": Variant(),
    "without sharing (`share=False`)": Variant(share=False),
    "a callback for every event (`hub.on`)": Variant(has_callback=True),
    "a plugin that observes": Variant(plugins=(Observer,)),
    "a plugin with the hooks prepare, order and check": Variant(plugins=(Hooks,)),
    "a price": Variant(provider=_PRICED),
    "a price and a budget": Variant(hub={"budget": {"limit": 1000, "per": "day"}}, provider=_PRICED),
    "a rate limit": Variant(provider={"rate": "1000000/second"}),
    "a cache": Variant(hub={"cache": "1h"}),
    "a journal in a file": Variant(has_journal_file=True),
    "a journal in a file, a price and a budget": Variant(
        hub={"budget": {"limit": 1000, "per": "day"}}, provider=_PRICED, has_journal_file=True
    ),
}
"""The features, each switched on alone."""

VARIANTS: Mapping[str, Variant] = {**TRANSPORTS, **FEATURES}
"""All of them."""
