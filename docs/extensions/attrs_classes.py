"""Shows attrs classes as a program sees them.

The types of settings are shown without the notation of the configuration file, and a default that is created
for each object is shown as ``...``.
"""

from __future__ import annotations

import re
import typing

import attrs
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from captchahub import settings

_FACTORY = re.compile(r"= ?NOTHING\b")
# The default of a field that holds other settings is their defaults, which are shown with their class.
_SETTINGS = re.compile(r"= ?(\w+Settings)\((?:[^()]|\([^()]*\))*\)")


def _without_notation(_app: Sphinx) -> None:
    for name in settings.__all__:
        found: object = getattr(settings, name)
        if isinstance(found, type) and attrs.has(found):
            found.__annotations__ = typing.get_type_hints(found)
            found.__init__.__annotations__ = typing.get_type_hints(found.__init__)


def _short_defaults(
    _app: Sphinx,
    _what: str,
    _name: str,
    _found: object,
    _options: object,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    if signature is not None:
        signature = _SETTINGS.sub(r"= \1()", _FACTORY.sub("= ...", signature))
    return signature, returned


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the extension."""
    app.connect("builder-inited", _without_notation)
    app.connect("autodoc-process-signature", _short_defaults)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
