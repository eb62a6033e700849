"""XML bodies for :mod:`captchahub.testing._documents`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from xml.etree import ElementTree as ET

import attrs

from captchahub.testing._json_values import Path

__all__ = ["XmlBody", "read_xml", "written_out"]


def read_xml(body: bytes) -> ET.Element | None:
    """Return the top element of an XML body, or None if the body is not XML."""
    try:
        return ET.fromstring(body)  # noqa: S314 - what the plugin's own emulation writes
    except (ET.ParseError, LookupError, ValueError):
        return None


def written_out(value: object) -> str:
    """Return a value as text, for formats that have nothing else."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


@attrs.frozen
class XmlBody:
    """An XML document: its values are the texts and attributes of its elements.

    A step of a place is an element's name and its number among those of that name, such as ``job[0]``.
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
            element.text = written_out(value)
        else:
            element.set(last.removeprefix("@"), written_out(value))
        return _written(top)

    def without(self, place: Path) -> bytes:
        """See :class:`Document`."""
        top, element = self._copy(place)
        last = str(place[-1])
        if last == "text()":
            element.text = None
        else:
            del element.attrib[last.removeprefix("@")]
        return _written(top)

    def distortions(self) -> Iterator[bytes]:
        """See :class:`Document`."""
        for place, element in _elements(self.top, ()):
            for distort in (_renamed, _emptied, _doubled_children, _nested):
                top = deepcopy(self.top)
                distort(_at(top, place))
                yield _written(top)
            if element.text:
                top = deepcopy(self.top)
                _at(top, place).text = f"\n  {element.text}\n"
                yield _written(top)

    def _copy(self, place: Path) -> tuple[ET.Element, ET.Element]:
        top = deepcopy(self.top)
        return top, _at(top, place[:-1])


def _elements(element: ET.Element, place: Path) -> Iterator[tuple[Path, ET.Element]]:
    """Return an element and all elements in it, each with its place."""
    yield place, element
    seen: dict[str, int] = {}
    for child in element:
        number = seen.get(child.tag, 0)
        seen[child.tag] = number + 1
        yield from _elements(child, (*place, f"{child.tag}[{number}]"))


def _at(top: ET.Element, place: Path) -> ET.Element:
    return next(element for at, element in _elements(top, ()) if at == place)


def _written(top: ET.Element) -> bytes:
    return ET.tostring(top, encoding="unicode").encode(errors="replace")


def _renamed(element: ET.Element) -> None:
    element.tag = "other"


def _emptied(element: ET.Element) -> None:
    element.clear()


def _doubled_children(element: ET.Element) -> None:
    element.extend(deepcopy(list(element)))


def _nested(element: ET.Element) -> None:
    """Put the text of an element into an element of its own."""
    inner = ET.SubElement(element, "part")
    inner.text, element.text = element.text, None
