"""XML bodies for :mod:`captchahub.testing._documents`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from xml.etree import ElementTree as ET

import attrs

from captchahub.testing._json_values import Path


def read_xml(body: bytes) -> ET.Element | None:
    """Return the top element of an XML body, or None if the body is not XML."""
    try:
        return ET.fromstring(body)  # noqa: S314 - what the plugin's own emulation writes
    except (ET.ParseError, LookupError, ValueError):
        return None


def as_text(value: object) -> str:
    """Return a value as text, for formats without other types."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


@attrs.frozen
class XmlBody:
    """An XML document, whose values are the texts and attributes of its elements.

    A place is a path of elements, each with its name and its number among those of that name: ``job[0]``.
    """

    top: ET.Element

    def values(self) -> Iterator[tuple[Path, object]]:
        """See :class:`Document`."""
        for place, element in _elements(self.top, ()):
            if element.text and element.text.strip():
                yield (*place, "text()"), element.text
            for name, value in element.attrib.items():
                yield (*place, f"@{name}"), value

    def changed(self, place: Path, value: object) -> bytes:
        """See :class:`Document`."""
        top, element = self._copy(place)
        last = str(place[-1])
        if last == "text()":
            element.text = as_text(value)
        else:
            element.set(last.removeprefix("@"), as_text(value))
        return _encoded(top)

    def without(self, place: Path) -> bytes:
        """See :class:`Document`."""
        top, element = self._copy(place)
        last = str(place[-1])
        if last == "text()":
            element.text = None
        else:
            del element.attrib[last.removeprefix("@")]
        return _encoded(top)

    def distortions(self) -> Iterator[bytes]:
        """See :class:`Document`."""
        for place, element in _elements(self.top, ()):
            for distort in (_renamed, _emptied, _doubled_children, _nested):
                top = deepcopy(self.top)
                distort(_at(top, place))
                yield _encoded(top)
            if element.text:
                top = deepcopy(self.top)
                _at(top, place).text = f"\n  {element.text}\n"
                yield _encoded(top)

    def _copy(self, place: Path) -> tuple[ET.Element, ET.Element]:
        top = deepcopy(self.top)
        return top, _at(top, place[:-1])


def _elements(element: ET.Element, place: Path) -> Iterator[tuple[Path, ET.Element]]:
    """Yield an element and all elements in it, each with its place."""
    yield place, element
    counts: dict[str, int] = {}
    for child in element:
        number = counts.get(child.tag, 0)
        counts[child.tag] = number + 1
        yield from _elements(child, (*place, f"{child.tag}[{number}]"))


def _at(top: ET.Element, place: Path) -> ET.Element:
    return next(element for at, element in _elements(top, ()) if at == place)


def _encoded(top: ET.Element) -> bytes:
    return ET.tostring(top, encoding="unicode").encode(errors="replace")


def _renamed(element: ET.Element) -> None:
    element.tag = "other"


def _emptied(element: ET.Element) -> None:
    element.clear()


def _doubled_children(element: ET.Element) -> None:
    element.extend(deepcopy(list(element)))


def _nested(element: ET.Element) -> None:
    """Move the text of an element into a new child."""
    inner = ET.SubElement(element, "part")
    inner.text, element.text = element.text, None
