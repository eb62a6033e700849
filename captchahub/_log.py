"""The library's one logger. It is silent until the application configures logging."""

from __future__ import annotations

import logging

__all__ = ["log"]

log = logging.getLogger("captchahub")
log.addHandler(logging.NullHandler())
