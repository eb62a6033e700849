"""The settings of Sphinx, which ``make docs`` builds the documentation with.

The extensions in ``extensions/`` write the parts of the reference that the program itself describes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from captchahub import __version__

sys.path.insert(0, str(Path(__file__).parent))

project = "captchahub"
release = version = __version__
project_copyright = "the captchahub contributors"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "extensions.attrs_classes",
    "extensions.commands",
    "extensions.configuration",
    "extensions.diagram",
    "extensions.python_names",
    "extensions.repository",
]
exclude_patterns = ["_build"]
# Two hyphens are an option of a command here, and straight quotes can be copied.
smartquotes = False

# Each link to a heading is written as GitHub names the heading.
myst_heading_anchors = 4
myst_fence_as_directive = {"mermaid"}

# Pages that stand elsewhere in the repository. The file of that name in docs/ only links the other one.
repository_pages = {
    "changelog": "CHANGELOG.md",
    "explained/house": "ARCHITECTURE.md",
    **{
        f"reference/plugins/{name}": f"plugins/{name}/README.md"
        for name in ("createtask", "omocaptcha", "opentelemetry", "pillow", "procrastinate", "prometheus")
    },
    "guides/celery": "examples/celery/README.md",
    "reference/plugins/ddddocr": "examples/ddddocr/README.md",
}

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

# The variables of generic types have no page.
nitpick_ignore_regex = [(r"py:.*", r"(.*\.)?(S|S_co|T|Ts|P|C|E|F|Picture|SettingsT)")]

html_theme = "furo"
html_title = f"captchahub {version}"
html_static_path = ["static"]
html_css_files = ["captchahub.css"]
html_copy_source = False
html_show_sphinx = False
html_use_index = True
pygments_style = "default"
pygments_dark_style = "github-dark"
