"""What a plugin must be, and how its errors are described."""

from __future__ import annotations

import difflib
import inspect
import traceback
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any, cast

import pluggy

from captchahub._support.guard import foreign_errors
from captchahub.hookspecs import CONTRACT, PROJECT, HookSpecs
from captchahub.plugins import PluginState
from captchahub.provider import ProviderKind
from captchahub.tasks import Solution, Task

_HOOKS = sorted(name for name in vars(HookSpecs) if name.startswith(f"{PROJECT}_"))

# Longer lines are cut: a plugin's error can quote a picture, or a whole reply.
_MAX_LINE = 500


class InvalidPlugin(Exception):
    """What is wrong with a plugin, in words that follow its name: "has no hook of captchahub"."""

    def __init__(self, fault: str, *, advice: str = "", state: PluginState = PluginState.FAILED) -> None:
        super().__init__(fault)
        self.advice = advice
        self.state = state


def invalid_because(error: BaseException, failure: str) -> InvalidPlugin:
    """Return the fault of a plugin that raised an error; ``failure`` says what it could not do."""
    try:
        message = _cut(" ".join(str(error).split()))
    except foreign_errors():
        message = "its message can't be read"
    fault = f"{failure}: {type(error).__name__}: {message}"
    module = error.name if isinstance(error, ImportError) else None
    if module is not None and module.split(".")[0] == PROJECT:
        # It imports a name that this version of captchahub has not got.
        return InvalidPlugin(fault, advice="update it, or captchahub", state=PluginState.INCOMPATIBLE)
    return InvalidPlugin(fault)


def traceback_of(invalid: InvalidPlugin) -> str | None:
    """Return the traceback of the error that a plugin raised, or None if it raised none."""
    error = invalid.__cause__
    if error is None:
        return None
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "".join(f"{_cut(line)}\n" for line in lines)


def _cut(line: str) -> str:
    return line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]}..."


def check_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    """Raise InvalidPlugin if a plugin was written for another contract, or has a hook that would not work.

    pluggy finds some of these faults only when it calls the hook, and others never.
    """
    _check_contract(getattr(plugin, "captchahub_contract", CONTRACT))
    # Not vars(), because a plugin object can inherit hooks.
    for name in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, name)
        if options is not None:
            _check_hook(name, options, getattr(plugin, name))
        elif name in _HOOKS and inspect.isroutine(getattr(plugin, name)):
            raise InvalidPlugin(
                f"has {name} without the mark @hookimpl of captchahub.hookspecs, so it is no hook"
            )


def _check_contract(version: object) -> None:
    # True is an int, and equal to 1.
    if isinstance(version, bool) or not isinstance(version, int):
        raise InvalidPlugin(f"has {version!r:.40} as captchahub_contract, which must be a whole number")
    if version != CONTRACT:
        fault = f"was written for version {version} of the plugin contract, and this is version {CONTRACT}"
        advice = "update captchahub" if version > CONTRACT else "update it"
        raise InvalidPlugin(fault, advice=advice, state=PluginState.INCOMPATIBLE)


def _check_hook(name: str, options: Mapping[str, Any], method: Callable[..., object]) -> None:
    if name not in _HOOKS:
        near = difflib.get_close_matches(name, _HOOKS, n=1)
        nearest = f"did you mean {near[0]}? " if near else ""
        raise InvalidPlugin(
            f"implements {name}, and there is no such hook; {nearest}hooks: {', '.join(_HOOKS)}"
        )
    # Each plugin is called alone (see Hooks), so there are no other calls to wrap.
    if options.get("wrapper") or options.get("hookwrapper"):
        raise InvalidPlugin(f"wraps {name}, and hooks cannot be wrapped here; use @hookimpl alone")
    passed = _arguments_of(name)
    parameters = inspect.signature(method).parameters.values()
    required = {parameter.name for parameter in parameters if parameter.default is parameter.empty}
    keyword_only = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    with_default = {parameter.name for parameter in parameters} - required
    # pluggy passes arguments by position, and none for a parameter with a default. A default that no hook has
    # an argument for is the plugin's own affair.
    never_passed = sorted((with_default & passed) | (keyword_only & required))
    if never_passed:
        raise InvalidPlugin(
            f"has {', '.join(never_passed)} in {name} with a default or after '*', and pluggy passes no such "
            "argument; write it without"
        )
    unknown = sorted(required - passed)
    if unknown:
        arguments = ", ".join(sorted(passed)) or "nothing"
        raise InvalidPlugin(f"wants {', '.join(unknown)} in {name}, which is passed {arguments}")


# Each hub checks its plugins again.
@cache
def _arguments_of(hook: str) -> AbstractSet[str]:
    return inspect.signature(getattr(HookSpecs, hook)).parameters.keys() - {"self"}


def provider_kinds(manager: pluggy.PluginManager, plugin: object) -> dict[str, ProviderKind[object]]:
    """Return the provider kinds of a registered plugin, by name. Raises InvalidPlugin if one is invalid."""
    kinds: dict[str, ProviderKind[object]] = {}
    for kind in _items_of(manager, plugin, "captchahub_provider_kinds"):
        if not isinstance(kind, ProviderKind):
            raise InvalidPlugin(f"offers a {type(kind).__name__} instead of a ProviderKind")
        name: Any = kind.name
        if not isinstance(name, str) or not name.strip():
            raise InvalidPlugin(f'offers a kind with the name {name!r:.40}; name it, such as "myservice"')
        if kind.name in kinds:
            raise InvalidPlugin(f"adds the kind {kind.name!r} twice; leave one of them out")
        kinds[kind.name] = kind
    return kinds


def task_types(manager: pluggy.PluginManager, plugin: object) -> dict[str, type[Task[Solution]]]:
    """Return the task types of a registered plugin, by kind. Raises InvalidPlugin if one is invalid."""
    types: dict[str, type[Task[Solution]]] = {}
    for task_type in _items_of(manager, plugin, "captchahub_task_types"):
        if not (isinstance(task_type, type) and issubclass(task_type, Task)):
            raise InvalidPlugin(f"offers {task_type!r:.60} as a task type, which is no subclass of Task")
        known = cast("type[Task[Solution]]", task_type)
        if not isinstance(getattr(known, "kind", None), str):
            raise InvalidPlugin(f'offers the task type {known.__name__} without a kind; add kind = "..."')
        if known.kind in types:
            raise InvalidPlugin(f"adds two types of the task kind {known.kind!r}; leave one of them out")
        types[known.kind] = known
    return types


def _items_of(manager: pluggy.PluginManager, plugin: object, hook: str) -> Iterable[object]:
    # Not through the manager, which would call the hook of every plugin.
    caller: pluggy.HookCaller = getattr(manager.hook, hook)
    answers: list[Any] = [impl.function() for impl in caller.get_hookimpls() if impl.plugin is plugin]
    return [item for answer in answers if answer is not None for item in answer]
