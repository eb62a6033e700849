"""The third kind of reference: ``${keyring:SERVICE/USER}``, an entry of the system's keyring."""

from __future__ import annotations

import shlex

from captchahub._config.texts import decoded
from captchahub._shadows import how_to_get, refuse_shadows

__all__ = ["NoEntry", "read_entry"]


class NoEntry(Exception):
    """The keyring gives nothing; the message says why, and what to do."""


def read_entry(service: str, user: str) -> str:
    """The secret stored for a user of a service.

    Raises :class:`NoEntry` where the package is missing, there is no keyring, or it has no such entry.
    """
    try:
        secret = _text_of(_stored(service, user))
    except NoEntry:
        raise
    except Exception as error:  # noqa: BLE001  # a backend may raise anything, and its words may hold the secret
        raise NoEntry(f"can't be read ({type(error).__name__}); unlock the keyring, and try again") from None
    if not secret:
        state = "is not there" if secret is None else "is empty"
        raise NoEntry(f"{state}; store it with: keyring set {shlex.quote(service)} {shlex.quote(user)}")
    return secret


def _stored(service: str, user: str) -> object:
    """What the keyring gives, which is text unless a backend of others does as it likes."""
    try:
        refuse_shadows(("keyring",))
        # Only here: it is an extra, and looks for the keyrings of the system when it is imported.
        import keyring  # noqa: PLC0415
        from keyring.errors import NoKeyringError  # noqa: PLC0415
    except ImportError as error:
        raise NoEntry(f"needs {how_to_get(error, 'keyring')}") from None
    try:
        return keyring.get_password(service, user)
    except NoKeyringError:
        raise NoEntry(
            "finds no keyring on this machine; install a backend of the package keyring, or use ${env:NAME}"
        ) from None


def _text_of(stored: object) -> str | None:
    if isinstance(stored, (bytes, bytearray)):
        try:
            return decoded(bytes(stored))
        except UnicodeDecodeError:
            raise NoEntry("is not UTF-8 text; store the value again") from None
    if stored is None or isinstance(stored, str):
        return stored
    raise NoEntry(f"is a {type(stored).__name__} and no text; store the value again")
