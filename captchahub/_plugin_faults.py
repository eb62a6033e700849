"""What a plugin must be, and what to say of one that is not."""

from __future__ import annotations

import difflib
import inspect
import traceback
from collections.abc import Iterable, Mapping
from typing import Any, cast

import pluggy

from captchahub.hookspecs import CONTRACT, HookSpecs
from captchahub.plugins import PluginState
from captchahub.provider import ProviderKind
from captchahub.tasks import Solution, Task

__all__ = ["Misfit", "hooks_of", "kinds_of", "misfit_of", "refuse_misfits", "tasks_of"]

_HOOKS = sorted(name for name in vars(HookSpecs) if name.startswith("captchahub_"))
_IMPORT_OF_OURS = "captchahub"


class Misfit(Exception):
    """What is wrong with a plugin, to be read after its name."""

    def __init__(self, said: str, *, advice: str = "", state: PluginState = PluginState.FAILED) -> None:
        super().__init__(said)
        self.advice = advice
        self.state = state


def misfit_of(error: BaseException, how: str) -> Misfit:
    """What to say of a plugin that raised an error."""
    words = " ".join(str(error).split())
    said = f"{how}: {type(error).__name__}: {words}"
    module = error.name if isinstance(error, ImportError) else None
    if module is not None and module.split(".")[0] == _IMPORT_OF_OURS:
        # What it wants of us is not there: it knows another version.
        return Misfit(said, advice="update it, or captchahub", state=PluginState.INCOMPATIBLE)
    return Misfit(said)


def trace_of(misfit: Misfit) -> str | None:
    """The traceback of the error that a plugin raised, None where it raised none."""
    error = misfit.__cause__
    return None if error is None else "".join(traceback.format_exception(error))


def refuse_misfits(manager: pluggy.PluginManager, plugin: object) -> None:
    """Raise Misfit where a plugin was written for another contract, or implements hooks as they are not."""
    _refuse_contract(getattr(plugin, "captchahub_contract", CONTRACT))
    for name in dir(plugin):
        marks = manager.parse_hookimpl_opts(plugin, name)
        if marks is not None:
            _refuse_hook(name, marks, getattr(plugin, name))
        elif name in _HOOKS and inspect.isroutine(getattr(plugin, name)):
            raise Misfit(f"has {name} without the mark @hookimpl of captchahub.hookspecs, so it is no hook")


def _refuse_contract(version: object) -> None:
    if isinstance(version, bool) or not isinstance(version, int):
        raise Misfit(f"has {version!r:.40} as captchahub_contract, which is a whole number")
    if version != CONTRACT:
        said = f"was written for version {version} of the plugin contract, and this is version {CONTRACT}"
        advice = "update captchahub" if version > CONTRACT else "update it"
        raise Misfit(said, advice=advice, state=PluginState.INCOMPATIBLE)


def _refuse_hook(name: str, marks: Mapping[str, Any], method: object) -> None:
    if name not in _HOOKS:
        near = difflib.get_close_matches(name, _HOOKS, n=1)
        nearest = f"did you mean {near[0]}? " if near else ""
        raise Misfit(f"implements {name}, and there is no such hook; {nearest}hooks: {', '.join(_HOOKS)}")
    if marks.get("wrapper") or marks.get("hookwrapper"):
        raise Misfit(f"wraps {name}, and hooks are not wrapped here: use @hookimpl alone")
    takes = _arguments(getattr(HookSpecs, name)) - {"self"}
    strange = sorted(_arguments(method) - takes)
    if strange:
        given = ", ".join(sorted(takes)) or "nothing"
        raise Misfit(f"wants {', '.join(strange)} in {name}, which is given {given}")


def _arguments(method: Any) -> set[str]:
    """The arguments that have to be given."""
    parameters = inspect.signature(method).parameters.values()
    return {one.name for one in parameters if one.default is one.empty}


def hooks_of(manager: pluggy.PluginManager, plugin: object) -> tuple[str, ...]:
    """The hooks that a registered plugin implements."""
    return tuple(sorted(caller.name for caller in manager.get_hookcallers(plugin) or ()))


def kinds_of(manager: pluggy.PluginManager, plugin: object) -> dict[str, ProviderKind[object]]:
    """The provider kinds of a registered plugin. Raises Misfit for what is none, or twice there."""
    kinds: dict[str, ProviderKind[object]] = {}
    for kind in _given(manager, plugin, "captchahub_provider_kinds"):
        if not isinstance(kind, ProviderKind):
            raise Misfit(f"offers a {type(kind).__name__} where a ProviderKind belongs")
        if kind.name in kinds:
            raise Misfit(f"adds the kind {kind.name!r}, which is there already")
        kinds[kind.name] = kind
    return kinds


def tasks_of(manager: pluggy.PluginManager, plugin: object) -> dict[str, type[Task[Solution]]]:
    """The task types of a registered plugin, by kind. Raises Misfit for what is none."""
    types: dict[str, type[Task[Solution]]] = {}
    for task_type in _given(manager, plugin, "captchahub_task_types"):
        if not (isinstance(task_type, type) and issubclass(task_type, Task)):
            raise Misfit(f"offers {task_type!r:.60} as a task type, which is no subclass of Task")
        known = cast("type[Task[Solution]]", task_type)
        if not isinstance(getattr(known, "kind", None), str):
            raise Misfit(f'offers the task type {known.__name__} without a kind; give it kind = "..."')
        types[known.kind] = known
    return types


def _given(manager: pluggy.PluginManager, plugin: object, hook: str) -> Iterable[object]:
    others = [other for other in manager.get_plugins() if other is not plugin]
    answers: list[Iterable[object]] = manager.subset_hook_caller(hook, others)()
    return [one for answer in answers for one in answer]
