"""Resolves the names of Python and of other packages, of which this site has no pages.

Names of the standard library become links, by the rule that its documentation has a page for each module. The
build fetches nothing. A name of this project that has no page is still an error; docstrings may write the
names that ``captchahub`` exports without their module.
"""

from __future__ import annotations

import builtins
import sys

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.typing import ExtensionMetadata

import captchahub

_LIBRARY = "https://docs.python.org/3/library/"
_OTHER_PACKAGES = {"PIL", "_pytest", "attrs", "cattrs", "click", "pluggy", "pytest", "requests"}
# Their documentation is spread over pages with other names.
_SPREAD = {"asyncio", "importlib", "types", "typing"}
# Sphinx keeps the name as it is written in some annotations.
_SHORT = {"Path": "pathlib.Path"}
_OF_FUNCTIONS = {"bool", "float", "int", "object", "property", "type"}


def _resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.TextElement
) -> nodes.Node | None:
    name = _SHORT.get(node.get("reftarget", ""), node.get("reftarget", ""))
    if node.get("refdomain") != "py" or not name:
        return None
    module = name.partition(".")[0]
    if module in captchahub.__all__:
        full = f"{getattr(captchahub, module).__module__}.{name}"
        python = env.domains.python_domain
        return python.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], full, node, shown)
    if module == "captchahub":
        # Private names stand in some signatures, and are no business of a reader.
        return shown if "._" in name else None
    address = _address(name, module)
    if address is not None:
        return nodes.reference("", "", shown, internal=False, refuri=_LIBRARY + address)
    return shown if module in _OTHER_PACKAGES or module in sys.stdlib_module_names else None


def _address(name: str, module: str) -> str | None:
    found = getattr(builtins, name, None)
    if name == "None":
        return "constants.html#None"
    if isinstance(found, type):
        is_error = issubclass(found, BaseException)
        page = "exceptions" if is_error else "functions" if name in _OF_FUNCTIONS else "stdtypes"
        return f"{page}.html#{name}"
    parts = name.split(".")
    # Some classes name the private module that defines them, which has no page.
    is_private = any(part.startswith("_") for part in parts)
    if len(parts) == 1 or is_private or module not in sys.stdlib_module_names or module in _SPREAD:
        return None
    page = ".".join(part for part in parts[:-1] if part.islower())
    return f"{page}.html#{name}"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the extension."""
    app.connect("missing-reference", _resolve)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
