"""Addresses of PostgreSQL databases, which can hold a password."""

from __future__ import annotations

import re
from urllib.parse import unquote

_ADDRESS = re.compile(
    r"postgres(?:ql)?://"
    r"(?:(?P<user>[^:/?#@\s]*)(?::[^:/?#@\s]*)?@)?"
    r"(?P<hosts>(?:[^:/?#@\s\[\],]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?"
    r"(?:,(?:[^:/?#@\s\[\],]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?)*)"
    r"(?:/(?P<database>[^/?#@\s]*))?"
    r"(?:\?[^#@\s]*)?"
)

PATTERN = r"postgres(ql)?://[^#\s]*"
"""What every address matches, as a regular expression for people's editors."""


def is_address(text: str) -> bool:
    """Return whether a text looks like the address of a database, even if it is not a valid one."""
    return text.startswith(("postgresql:", "postgres:"))


def is_valid(text: str) -> bool:
    """Return whether the client library reads an address as it is meant.

    A password with a special character that is not percent-encoded would be taken for a part of the host or
    the port, and shown in an error.
    """
    return _ADDRESS.fullmatch(text) is not None


def shown(address: str) -> str:
    """Return an address without its user, password and parameters."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        return "postgresql://***"
    return f"postgresql://{match['hosts']}/{unquote(match['database'] or '')}"
