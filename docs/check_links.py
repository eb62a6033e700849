"""Check the links of a built site without a network: ``python docs/check_links.py docs/_build/html``.

Each link to a page or a heading of the site must have its target, and no page loads anything from elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches without being asked: all attributes of these, but only some links of <link>.
_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
_LOADING_RELATIONS = {"stylesheet", "icon", "preload"}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.targets.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        is_loaded = tag != "link" or bool(_LOADING_RELATIONS & set(values.get("rel", "").split()))
        if is_loaded and _LOADED.get(tag) in values:
            self.loaded.append(values[_LOADED[tag]])


@cache
def _read(file: Path) -> _Page:
    page = _Page()
    page.feed(file.read_text(encoding="utf-8"))
    return page


def _has(file: Path, fragment: str) -> bool:
    return not fragment or fragment in _read(file).targets


def problems(site: Path) -> Iterator[str]:
    """Yield what is wrong with the links of a site, a line for each."""
    for file in sorted(site.rglob("*.html")):
        page, name = _read(file), file.relative_to(site)
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded and parts.scheme != "data":
                    yield f"{name}: loads {link}"
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.is_file():
                yield f"{name}: no file {link}"
            elif target.suffix == ".html" and not _has(target, unquote(parts.fragment)):
                yield f"{name}: no heading {link}"


def main(arguments: Sequence[str]) -> int:
    """Print the problems; return 1 if there are any."""
    site = Path(arguments[0])
    found = list(problems(site))
    pages = len(list(site.rglob("*.html")))
    print("\n".join(found) or f"{pages} pages in {site}, and every link of them leads somewhere")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
