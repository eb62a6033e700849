"""References in text: ``${env:NAME}``, ``${file:PATH}``, ``${keyring:SERVICE/USER}``, and what they name."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from captchahub._config.plain_values import items_in
from captchahub._config.problems import KeyPath, Problems, ValueOrigin
from captchahub._support.paths import expanded
from captchahub._support.shadowing import how_to_get, refuse_shadows
from captchahub._support.text_files import decoded

MAX_BYTES = 65_536
"""The largest file that ``${file:PATH}`` reads, in bytes."""

# In this order: an escaped "${" first, and one that is never closed last.
_PIECE = re.compile(r"\$\$\{|\$\{(?P<inner>[^{}]*)\}|\$\{")

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_FORMS = "write ${env:NAME}, ${file:PATH} or ${keyring:SERVICE/USER}, and $${ for a plain ${"


class _Refused(Exception):
    """A reference that can't be followed; the message says why."""


def resolve(value: object, place: KeyPath, base: Path, problems: Problems) -> object:
    """Return the value with the references in all its texts replaced by what they name.

    Files are found relative to ``base``. ``problems`` gets the origin of each text. A text with a reference
    that can't be followed becomes None.
    """
    if isinstance(value, str):
        return _resolve_text(value, place, base, problems)
    if isinstance(value, dict):
        pairs: dict[str, object] = value  # pyright: ignore[reportUnknownVariableType]  # its keys are text
        return {key: resolve(item, (*place, key), base, problems) for key, item in pairs.items()}
    if isinstance(value, list):
        items: list[object] = value  # pyright: ignore[reportUnknownVariableType]  # as above
        return [resolve(item, (*place, index), base, problems) for index, item in enumerate(items)]
    return value


def references_in(value: object) -> Iterator[tuple[str, str]]:
    """Yield the references in all texts of a value, in order: the kind, and what it names."""
    if isinstance(value, str):
        for match in _PIECE.finditer(value):
            scheme, colon, rest = (match["inner"] or "").partition(":")
            if colon:
                yield scheme, rest
    for _step, item in items_in(value):
        yield from references_in(item)


def _resolve_text(text: str, place: KeyPath, base: Path, problems: Problems) -> str | None:
    found: dict[str, str] = {}
    refusals: list[str] = []

    def follow(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        try:
            given = _follow(match["inner"], base)
        except _Refused as refusal:
            refusals.append(str(refusal))
            return ""
        found[_written(match["inner"])] = given
        return given

    resolved = _PIECE.sub(follow, text)
    # One is enough: the text is read again when that is corrected.
    for refusal in refusals[:1]:
        problems.add_unreadable(place, refusal)
    if found:
        problems.origins[place] = ValueOrigin(" and ".join(found), tuple(found.values()))
    return None if refusals else resolved


def _written(inner: str) -> str:
    """Return the reference as a message names it, on one line."""
    # repr() escapes line breaks; its quotes are cut off.
    return "${" + repr(inner)[1:-1][:100] + "}"


def _follow(inner: str | None, base: Path) -> str:
    if inner is None:
        raise _Refused(f"a '${{' without its '}}'; {_FORMS}")
    scheme, colon, rest = inner.partition(":")
    if colon and scheme in _SCHEMES:
        return _SCHEMES[scheme](rest, base)
    # The text can be a piece of a literal token, so only a plain word is repeated.
    word = f" {scheme!r}" if colon and scheme.isascii() and scheme.isalpha() else ""
    raise _Refused(f"a reference of an unknown kind{word}; {_FORMS}")


def _env(name: str, _base: Path) -> str:
    if not _ENV_NAME.fullmatch(name):
        raise _Refused(f"{_written('env:' + name)} is not the name of an environment variable; {_FORMS}")
    value = os.environ.get(name)
    if value is None:
        raise _Refused(f"the environment variable {name} is not set; set it before the program starts")
    if not value:
        raise _Refused(f"the environment variable {name} is empty; give it a value")
    return value


def _file(path: str, base: Path) -> str:
    named = _written("file:" + path)
    try:
        with (base / expanded(path)).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        # Editors and "echo" end a file with a line break, which is no part of the secret.
        value = decoded(data).removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise _Refused(f"{named} is not UTF-8 text; name a file that holds only the value") from None
    # RuntimeError: there is no such user, or no home, for a path that begins with "~".
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a possible path"
        raise _Refused(f"{named} can't be read: {reason}; check the path and the permissions") from None
    if len(data) > MAX_BYTES:
        raise _Refused(f"{named} is larger than {MAX_BYTES} bytes; name a file that holds only the value")
    # UTF-16 without a byte order mark can be valid UTF-8, with a NUL after each letter.
    if "\0" in value:
        raise _Refused(f"{named} is not UTF-8 text; name a file that holds only the value")
    if not value:
        raise _Refused(f"{named} is empty; write the value into it")
    return value


def _keyring(entry: str, _base: Path) -> str:
    named = _written("keyring:" + entry)
    # The name of a service can hold a '/', as addresses do; that of a user rarely does.
    service, _, user = entry.rpartition("/")
    if not service or not user:
        raise _Refused(f"{named} names no entry; write ${{keyring:SERVICE/USER}}")
    try:
        stored = _stored(service, user)
        # Third-party backends return bytes as well.
        secret = decoded(bytes(stored)) if isinstance(stored, (bytes, bytearray)) else stored
    except _Refused as refusal:
        raise _Refused(f"{named} {refusal}") from None
    except UnicodeDecodeError:
        raise _Refused(f"{named} is not UTF-8 text; store the value again") from None
    except Exception as error:  # noqa: BLE001  # a backend may raise anything, and its words may hold the secret
        reason = f"can't be read ({type(error).__name__}); unlock the keyring, and try again"
        raise _Refused(f"{named} {reason}") from None
    if not secret:
        state = "is not there" if secret is None else "is empty"
        command = f"keyring set {shlex.quote(service)} {shlex.quote(user)}"
        raise _Refused(f"{named} {state}; store it with: {command}")
    if not isinstance(secret, str):
        raise _Refused(f"{named} is a {type(secret).__name__} and no text; store the value again")
    return secret


def _stored(service: str, user: str) -> object:
    """Return what the keyring has: text, unless a third-party backend returns something else."""
    try:
        refuse_shadows(("keyring",))
        # Imported here, because it is an extra, and looks for the keyrings of the system when it is imported.
        import keyring  # noqa: PLC0415
        from keyring.errors import NoKeyringError  # noqa: PLC0415
    except ImportError as error:
        raise _Refused(f"needs {how_to_get(error, 'keyring')}") from None
    try:
        return keyring.get_password(service, user)
    except NoKeyringError:
        raise _Refused(
            "finds no keyring on this machine; install a backend of the package keyring, or use ${env:NAME}"
        ) from None


_SCHEMES: dict[str, Callable[[str, Path], str]] = {"env": _env, "file": _file, "keyring": _keyring}
