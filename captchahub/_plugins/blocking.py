"""Which plugins the environment forbids to import."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

__all__ = ["BLOCKED", "blocked_by_environment", "is_blocked_by_environment", "normalized"]

BLOCKED = "CAPTCHAHUB_BLOCK_PLUGINS"
"""The environment variable with the names of plugins, or of their packages, that must not be imported."""


def blocked_by_environment() -> Sequence[str]:
    """Return the names in that variable, which are separated by commas or spaces."""
    return sorted(set(os.environ.get(BLOCKED, "").replace(",", " ").split()))


def is_blocked_by_environment(*names: str) -> bool:
    """Return whether that variable has any of these names, such as that of a plugin and of its package."""
    return not {*map(normalized, names)}.isdisjoint(map(normalized, blocked_by_environment()))


def normalized(name: str) -> str:
    """Return a name as pip compares it: Some_Package is some-package (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
