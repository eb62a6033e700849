"""Shows Markdown files of the repository as pages of the site, and makes links between files lead there.

A page of ``docs/`` links a file as GitHub and editors need it, such as ``../../plugins/pillow/README.md``.
On the site that file is a page of its own.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)((?:#[^)]+)?)(?=\))")
# Code is shown as it stands.
_FENCE = re.compile(r"^(```.*?^```$)", re.DOTALL | re.MULTILINE)


def _read_source(app: Sphinx, docname: str, content: list[str]) -> None:
    root = Path(app.srcdir).parent
    shown: dict[str, str] = app.config.repository_pages
    page = {file: name for name, file in shown.items()} | {
        "README.md": "index",
        "config.example.yaml": "reference/configuration",
    }
    file = os.path.relpath(app.env.doc2path(docname), root)
    if docname in shown:
        file = shown[docname]
        app.env.note_dependency(str(root / file))
        content[0] = (root / file).read_text(encoding="utf-8")

    def target(link: re.Match[str]) -> str:
        path = os.path.normpath(Path(file).parent / link[1])
        if path in page:
            return f"/{page[path]}.md{link[2]}"
        if path.startswith("docs" + os.sep):
            return f"/{os.path.relpath(path, 'docs')}{link[2]}"
        return link[0]

    parts = _FENCE.split(content[0])
    content[0] = "".join(part if part.startswith("```") else _LINK.sub(target, part) for part in parts)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the extension."""
    app.add_config_value("repository_pages", {}, "env", dict)
    app.connect("source-read", _read_source)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
