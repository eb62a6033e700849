"""What a plugin must be, and what to say of one that is not."""

from __future__ import annotations

import difflib
import inspect
import traceback
from collections.abc import Iterable, Mapping
from typing import Any, cast

import pluggy

from captchahub._support.guard import foreign_errors
from captchahub.hookspecs import CONTRACT, HookSpecs
from captchahub.plugins import PluginState
from captchahub.provider import ProviderKind
from captchahub.tasks import Solution, Task

__all__ = ["InvalidPlugin", "hooks_of", "kinds_of", "misfit_of", "refuse_misfits", "tasks_of"]

_HOOKS = sorted(name for name in vars(HookSpecs) if name.startswith("captchahub_"))

_IMPORT_OF_OURS = "captchahub"

_LONGEST = 500


class InvalidPlugin(Exception):
    """What is wrong with a plugin, to be read after its name."""

    def __init__(self, said: str, *, advice: str = "", state: PluginState = PluginState.FAILED) -> None:
        super().__init__(said)
        self.advice = advice
        self.state = state


def misfit_of(error: BaseException, how: str) -> InvalidPlugin:
    """What to say of a plugin that raised an error."""
    said = f"{how}: {type(error).__name__}: {_words_of(error)}"
    module = error.name if isinstance(error, ImportError) else None
    if module is not None and module.split(".")[0] == _IMPORT_OF_OURS:
        # What it wants of us is not there: it knows another version.
        return InvalidPlugin(said, advice="update it, or captchahub", state=PluginState.INCOMPATIBLE)
    return InvalidPlugin(said)


def _words_of(error: BaseException) -> str:
    """What an error says, on one line and in not too many words, if it can say anything."""
    try:
        words = " ".join(str(error).split())
    except foreign_errors():
        return "its words can't be read"
    return _cut(words)


def trace_of(misfit: InvalidPlugin) -> str | None:
    """The traceback of the error that a plugin raised, None where it raised none."""
    error = misfit.__cause__
    if error is None:
        return None
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "".join(f"{_cut(line)}\n" for line in lines)


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def refuse_misfits(manager: pluggy.PluginManager, plugin: object) -> None:
    """Raise Misfit where a plugin was written for another contract, or implements hooks as they are not."""
    _refuse_contract(getattr(plugin, "captchahub_contract", CONTRACT))
    for name in dir(plugin):
        marks = manager.parse_hookimpl_opts(plugin, name)
        if marks is not None:
            _refuse_hook(name, marks, getattr(plugin, name))
        elif name in _HOOKS and inspect.isroutine(getattr(plugin, name)):
            raise InvalidPlugin(
                f"has {name} without the mark @hookimpl of captchahub.hookspecs, so it is no hook"
            )


def _refuse_contract(version: object) -> None:
    if isinstance(version, bool) or not isinstance(version, int):
        raise InvalidPlugin(f"has {version!r:.40} as captchahub_contract, which is a whole number")
    if version != CONTRACT:
        said = f"was written for version {version} of the plugin contract, and this is version {CONTRACT}"
        advice = "update captchahub" if version > CONTRACT else "update it"
        raise InvalidPlugin(said, advice=advice, state=PluginState.INCOMPATIBLE)


def _refuse_hook(name: str, marks: Mapping[str, Any], method: object) -> None:
    if name not in _HOOKS:
        near = difflib.get_close_matches(name, _HOOKS, n=1)
        nearest = f"did you mean {near[0]}? " if near else ""
        raise InvalidPlugin(
            f"implements {name}, and there is no such hook; {nearest}hooks: {', '.join(_HOOKS)}"
        )
    if marks.get("wrapper") or marks.get("hookwrapper"):
        raise InvalidPlugin(f"wraps {name}, and hooks are not wrapped here: use @hookimpl alone")
    takes = _arguments(getattr(HookSpecs, name)) - {"self"}
    never = sorted(_passed_over(method, takes))
    if never:
        raise InvalidPlugin(
            f"has {', '.join(never)} in {name} with a default or after '*', where nothing is ever given; "
            "write it without"
        )
    strange = sorted(_arguments(method) - takes)
    if strange:
        given = ", ".join(sorted(takes)) or "nothing"
        raise InvalidPlugin(f"wants {', '.join(strange)} in {name}, which is given {given}")


def _arguments(method: Any) -> set[str]:
    """The arguments that have to be given."""
    parameters = inspect.signature(method).parameters.values()
    return {one.name for one in parameters if one.default is one.empty}


def _passed_over(method: Any, takes: set[str]) -> set[str]:
    """The arguments that look as if they were given, and that pluggy gives to nobody."""
    parameters = inspect.signature(method).parameters.values()
    return {
        one.name
        for one in parameters
        if (one.default is not one.empty and one.name in takes)
        or (one.kind is one.KEYWORD_ONLY and one.default is one.empty)
    }


def hooks_of(manager: pluggy.PluginManager, plugin: object) -> tuple[str, ...]:
    """The hooks that a registered plugin implements."""
    return tuple(sorted(caller.name for caller in manager.get_hookcallers(plugin) or ()))


def kinds_of(manager: pluggy.PluginManager, plugin: object) -> dict[str, ProviderKind[object]]:
    """The provider kinds of a registered plugin. Raises InvalidPlugin for what is none, or twice there."""
    kinds: dict[str, ProviderKind[object]] = {}
    for kind in _given(manager, plugin, "captchahub_provider_kinds"):
        if not isinstance(kind, ProviderKind):
            raise InvalidPlugin(f"offers a {type(kind).__name__} where a ProviderKind belongs")
        name: Any = kind.name
        if not isinstance(name, str) or not name.strip():
            raise InvalidPlugin(f'offers a kind with the name {name!r:.40}; give it one such as "myservice"')
        if kind.name in kinds:
            raise InvalidPlugin(f"adds the kind {kind.name!r}, which is there already")
        kinds[kind.name] = kind
    return kinds


def tasks_of(manager: pluggy.PluginManager, plugin: object) -> dict[str, type[Task[Solution]]]:
    """The task types of a registered plugin, by kind. Raises InvalidPlugin for what is none."""
    types: dict[str, type[Task[Solution]]] = {}
    for task_type in _given(manager, plugin, "captchahub_task_types"):
        if not (isinstance(task_type, type) and issubclass(task_type, Task)):
            raise InvalidPlugin(f"offers {task_type!r:.60} as a task type, which is no subclass of Task")
        known = cast("type[Task[Solution]]", task_type)
        if not isinstance(getattr(known, "kind", None), str):
            raise InvalidPlugin(f'offers the task type {known.__name__} without a kind; give it kind = "..."')
        if known.kind in types:
            raise InvalidPlugin(f"adds two types of the task kind {known.kind!r}; leave one of them out")
        types[known.kind] = known
    return types


def _given(manager: pluggy.PluginManager, plugin: object, hook: str) -> Iterable[object]:
    caller: pluggy.HookCaller = getattr(manager.hook, hook)
    answers: list[Any] = [impl.function() for impl in caller.get_hookimpls() if impl.plugin is plugin]
    return [one for answer in answers if answer is not None for one in answer]
