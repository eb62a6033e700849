"""The directive ``mermaid``: draws a flowchart as SVG, in the colours of the page.

It knows the part of Mermaid that this project writes: ``flowchart TD``, labels in brackets, and arrows
between names that are joined by ``&``. Mermaid itself is a script of megabytes that runs in the browser.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

import attrs
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

_LABEL = re.compile(r'(\w+)\["([^"]+)"\]')
# In units of the picture, in which a letter of the labels is about 7 wide.
_WIDTH, _PADDING, _LINE = 190, 10, 17
_ACROSS, _DOWN = 26, 40
_LETTERS = 26


@attrs.frozen
class _Box:
    title: str
    lines: Sequence[str]
    width: float
    height: float
    x: float = 0
    y: float = 0

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@attrs.frozen
class Flowchart:
    """The boxes by name, and the arrows between them."""

    labels: Mapping[str, str]
    arrows: Sequence[tuple[str, str]]

    @classmethod
    def read(cls, text: str) -> Flowchart:
        """Read a flowchart. Raises ValueError for a line that is not understood."""
        head, *lines = [line.strip() for line in text.strip().splitlines()]
        if head != "flowchart TD":
            raise ValueError(f"a diagram begins with 'flowchart TD', not {head!r}")
        labels: dict[str, str] = {}
        arrows: list[tuple[str, str]] = []
        for line in lines:
            labels.update(_LABEL.findall(line))
            groups = [re.split(r"\s*&\s*", part) for part in _LABEL.sub(r"\1", line).split(" --> ")]
            if any(not re.fullmatch(r"\w+", name) for group in groups for name in group):
                raise ValueError(f"this line of a diagram is not understood: {line}")
            for upper, lower in pairwise(groups):
                arrows += [(one, other) for one in upper for other in lower]
        return cls(labels, arrows)

    def _ranks(self) -> Mapping[str, int]:
        """Return the row of each box: below everything that points to it."""
        rank = dict.fromkeys(self.labels, 0)
        for _ in self.labels:
            for upper, lower in self.arrows:
                rank[lower] = max(rank[lower], rank[upper] + 1)
        return rank

    def svg(self) -> str:
        """Return the picture."""
        rank = self._ranks()
        rows: list[list[str]] = [[] for _ in range(max(rank.values()) + 1)]
        for name, row in rank.items():
            rows[row].append(name)
        # An arrow goes around the boxes of the rows between its ends, through a narrow place in each.
        ways: list[list[str]] = []
        for upper, lower in self.arrows:
            between = range(rank[upper] + 1, rank[lower])
            passed = [f"{upper} {lower} {row}" for row in between]
            for row, name in zip(between, passed, strict=True):
                rows[row].append(name)
            ways.append([upper, *passed, lower])
        placed, width, height = self._placed(rows, ways)
        arrows = "".join(_arrow([placed[name] for name in way]) for way in ways)
        boxes = "".join(_drawn(placed[name]) for name in self.labels)
        return (
            f'<div class="diagram"><svg role="img" viewBox="0 0 {width:g} {height:g}" width="{width:g}">'
            f"<title>{escape('; '.join(self.labels.values()))}</title>{arrows}{boxes}</svg></div>"
        )

    def _placed(
        self, rows: Sequence[Sequence[str]], ways: Sequence[Sequence[str]]
    ) -> tuple[Mapping[str, _Box], float, float]:
        """Return where each name of the rows is drawn, and the size of the picture."""
        boxes = {
            name: _box(self.labels[name]) if name in self.labels else _Box("", (), 0, 0)
            for row in rows
            for name in row
        }
        total = max(sum(boxes[name].width + _ACROSS for name in row) for row in rows) + 2
        steps = [step for way in ways for step in pairwise(way)]
        y = 2.0
        for row in rows:
            # Below what points to it, so that few arrows cross.
            above = {
                name: [boxes[upper].middle for upper, lower in steps if lower == name] or [0.0]
                for name in row
            }
            height = max(boxes[name].height for name in row)
            x = (total - sum(boxes[name].width + _ACROSS for name in row) + _ACROSS) / 2
            for name in sorted(row, key=lambda name: sum(above[name]) / len(above[name])):
                own = boxes[name].height if name in self.labels else height
                boxes[name] = attrs.evolve(boxes[name], x=x, y=y, height=own)
                x += boxes[name].width + _ACROSS
            y += height + _DOWN
        return boxes, total, y - _DOWN + 2


def _box(label: str) -> _Box:
    title, _, rest = label.partition(": ")
    lines = textwrap.wrap(rest, _LETTERS)
    return _Box(title, lines, _WIDTH, (1 + len(lines)) * _LINE + 2 * _PADDING)


def _drawn(box: _Box) -> str:
    texts = [
        f'<text x="{box.middle:g}" y="{box.y + _PADDING + (number + 0.75) * _LINE:g}"'
        f"{' class=title' if number == 0 else ''}>{escape(line)}</text>"
        for number, line in enumerate([box.title, *box.lines])
    ]
    frame = f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width}" height="{box.height:g}" rx="6"/>'
    return frame + "".join(texts)


def _arrow(way: Sequence[_Box]) -> str:
    curve = f"M{way[0].middle:g} {way[0].y + way[0].height:g}"
    for upper, lower in pairwise(way):
        top, bottom = upper.y + upper.height, lower.y
        bend = (top + bottom) / 2
        curve += f"L{upper.middle:g} {top:g}C{upper.middle:g} {bend:g} {lower.middle:g} {bend:g}"
        curve += f" {lower.middle:g} {bottom:g}"
    end, tip = way[-1].middle, way[-1].y
    return f'<path d="{curve}"/><path class="head" d="M{end - 4:g} {tip - 8:g}h8l-4 8z"/>'


class Mermaid(SphinxDirective):
    """Inserts the picture."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the picture as part of the page."""
        try:
            picture = Flowchart.read("\n".join(self.content)).svg()
        except ValueError as error:
            raise self.error(str(error)) from error
        return [nodes.raw("", picture, format="html")]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the extension."""
    app.add_directive("mermaid", Mermaid)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
