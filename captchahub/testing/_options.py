"""The options that an emulation takes, from the signature of what makes it: pure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from captchahub._config.problems import advise, shown

__all__ = ["misfit"]

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_WORDS: Mapping[object, str] = {
    bool: "true or false",
    float: "a number",
    int: "a whole number",
    str: "text",
}


def misfit(make: Callable[..., object], options: Mapping[str, object]) -> str | None:
    """Why these can't be the options of what ``make`` makes, None where nothing speaks against it.

    Values are held against literals and plain classes; whatever else is annotated is left to ``make``.
    """
    parameters = _signature(make).parameters.values()
    known = {one.name: one.annotation for one in parameters if one.kind in _BY_NAME}
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)
    for name, value in options.items():
        if name not in known and not takes_any:
            return f"it has no option {name!r}; {advise(name, known, 'options')}"
        said = _mistake(known.get(name), value)
        if said is not None:
            return f"{name} {said}"
    return None


def _signature(make: Callable[..., object]) -> inspect.Signature:
    try:
        return inspect.signature(make, eval_str=True)
    # Annotations can name what is there for type checkers only.
    except Exception:  # noqa: BLE001 - somebody's annotations can fail in any way
        return inspect.signature(make)


def _mistake(annotation: Any, value: object) -> str | None:
    members = [one for one in get_args(annotation) if one is not NoneType]
    if isinstance(annotation, UnionType) and len(members) == 1:
        return None if value is None else _mistake(members[0], value)
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        if any(type(choice) is type(value) and choice == value for choice in choices):
            return None
        return f"can't be {shown(value)}; {advise(str(value), map(str, choices), 'valid')}"
    if not isinstance(annotation, type) or annotation is inspect.Parameter.empty or _is(annotation, value):
        return None
    return f"must be {_WORDS.get(annotation, f'a {annotation.__name__}')}, not {shown(value)}"


def _is(annotation: type, value: object) -> bool:
    if isinstance(value, bool):
        return annotation in (bool, object)
    try:
        return isinstance(value, (int, float) if annotation is float else annotation)
    # Any and most protocols are classes too, of which nobody can say what is one.
    except TypeError:
        return True
