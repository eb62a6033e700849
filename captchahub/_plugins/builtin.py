"""The hooks of the library itself, called like those of any plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from captchahub._policy.ordering import order
from captchahub.extending import Candidate
from captchahub.hookspecs import CONTRACT, hookimpl
from captchahub.settings import RouteSettings
from captchahub.tasks import ImageToText, PhoneSlide, Solution, Task

__all__ = ["Builtin"]


class Builtin:
    """The plugin that is always registered."""

    captchahub_contract = CONTRACT

    @hookimpl
    def captchahub_task_types(self) -> Iterable[type[Task[Solution]]]:
        """Return the task types of the library: pictures of text, and drags on a phone's screen."""
        return [ImageToText, PhoneSlide]

    @hookimpl(trylast=True)
    def captchahub_order_providers(
        self, route: RouteSettings, candidates: Sequence[Candidate], chance: Callable[[], float]
    ) -> Sequence[str]:
        """Order by the priorities, weights and strategy of the route, unless a plugin has ordered already."""
        known = {candidate.name: candidate for candidate in candidates}
        return order(route, known.__getitem__, chance)
