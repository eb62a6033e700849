"""How the values of settings are written in a configuration.

A settings class names one of these in the type of a field: ``cooldown: Annotated[float, Pause]`` is a float
in Python and ``30s`` in the file. ``_config.scalars`` has the reader and the JSON Schema of each.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import NewType

import attrs

from captchahub._support.credentials import Secret

Duration = NewType("Duration", float)
"""Seconds above zero, written with a unit: ``60s``, ``2m``, ``1.5s``, ``500ms``, ``1h``, ``30d``."""

Pause = NewType("Pause", float)
"""Seconds, written like a Duration; ``0s`` is allowed."""

Count = NewType("Count", int)
"""A whole number from 1."""

Weight = NewType("Weight", float)
"""A number from 0."""

Share = NewType("Share", float)
"""A number from 0 to 1, also written as ``5%``."""

FailureLimit = NewType("FailureLimit", float)
"""A Count, or ``never``, which is infinite."""

ShareLimit = NewType("ShareLimit", float)
"""A Share, or ``never``, which is infinite."""

HedgeDelay = NewType("HedgeDelay", object)
"""A Pause, or a Percentile, written ``p95``."""

HeaderText = NewType("HeaderText", str)
"""Text that can stand in an HTTP header."""

ProxyAddress = NewType("ProxyAddress", str)
"""The address of an HTTP proxy."""

DatabaseAddress = NewType("DatabaseAddress", Secret)
"""The address of a PostgreSQL database, which can hold a password."""

CertificatesPath = NewType("CertificatesPath", Path)
"""The path of a PEM file with certificates, or of a folder of them."""

FilePath = NewType("FilePath", Path)
"""The path of a file that exists, or that can be created in a folder that exists."""

Price = NewType("Price", Decimal)
"""What one job costs: an amount of money that is not negative."""

Limit = NewType("Limit", Decimal)
"""The most that may be spent: an amount of money that is not negative."""

Currency = NewType("Currency", str)
"""The code of a currency: three capital letters."""

TimeZone = NewType("TimeZone", str)
"""The name of a time zone of the IANA database."""


@attrs.frozen
class Key:
    """The key of a field whose name in Python is another one."""

    name: str


class Inline:
    """A field whose own keys stand beside the keys of the class around it."""


class Internal:
    """A field that is no key: the loader fills it."""
