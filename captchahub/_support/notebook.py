"""HTML for notebooks: a picture with facts beside it, and a table below. Everything that comes in is escaped.

A notebook can be dark or light and does not say which. So text and lines have the colour of the text around
them, and the two colours for good and bad are of a brightness that has contrast on white and on black.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import attrs

from captchahub.errors import Attempt, NotAsked, Overtaken

_GOOD, _BAD = "#2e8540", "#d83933"

# A longer picture is not shown: each output is saved in the notebook's file, in base64.
_MAX_PICTURE = 1_000_000

# An id is as long as the service likes.
_MAX_ID = 40

# A longer text is cut. A service can answer with a whole web page.
_MAX_TEXT = 500

_CELL = "text-align:left;vertical-align:top;padding:.15em .8em .15em 0;border:0;background:none;color:inherit"
_LINE = "border-top:1px solid rgba(128,128,128,.4)"


@attrs.frozen
class Shown:
    """A text that is shown as good or bad, or as neither if ``is_good`` is None, and more in plain text."""

    text: str
    is_good: bool | None = None
    more: str = ""

    def html(self) -> str:
        """Return the text as HTML."""
        text, more = _escaped(self.text), _escaped(self.more)
        if self.is_good is not None:
            text = f'<span style="color:{_GOOD if self.is_good else _BAD};font-weight:600">{text}</span>'
        return text + more


def _escaped(text: str) -> str:
    cut = text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}..."
    return html.escape(cut).replace("\n", "<br>")


def card(
    title: str,
    facts: Mapping[str, str | Shown],
    *,
    picture: tuple[str, bytes] | None = None,
    head: Sequence[str] = (),
    rows: Iterable[Sequence[str | Shown]] = (),
) -> str:
    """Return a box with a title, facts by their names, and a table.

    ``picture`` is the format of a picture, such as ``png``, and its bytes.
    """
    parts = [f'<div style="font-weight:600">{html.escape(title)}</div>']
    shown = "" if picture is None else _picture(*picture)
    listed = _table([(Shown(name), fact) for name, fact in facts.items()])
    parts.append(
        f'<div style="display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start">{shown}{listed}</div>'
    )
    cells = list(rows)
    if cells:
        parts.append(_table(cells, head))
    return (
        '<div style="max-width:60em;padding:.4em 0;line-height:1.4;overflow-x:auto">'
        + "".join(parts)
        + "</div>"
    )


def attempts_card(title: str, facts: Mapping[str, str | Shown], attempts: Iterable[Attempt]) -> str:
    """Return a box with facts and a table of attempts."""
    head = ("provider", "job", "time", "polls", "cost", "end")
    return card(title, facts, head=head, rows=[_row(attempt) for attempt in attempts])


def _row(attempt: Attempt) -> tuple[str | Shown, ...]:
    job = "" if attempt.job_id is None else str(attempt.job_id)[:_MAX_ID]
    elapsed, cost = seconds(attempt.elapsed), amount(attempt.cost)
    return attempt.provider, job, elapsed, str(attempt.polls), cost, _end(attempt)


def _end(attempt: Attempt) -> Shown:
    error = attempt.error
    if error is None:
        return Shown("solved", is_good=True)
    # Of a provider that was not called, or not waited for, nothing is known.
    is_good = None if isinstance(error, (NotAsked, Overtaken)) else False
    advice = f"\n{error.advice}" if error.advice else ""
    return Shown(type(error).__name__, is_good, more=f": {error}{advice}")


def _picture(kind: str, data: bytes) -> str:
    if len(data) > _MAX_PICTURE:
        return ""
    style = "max-width:20em;max-height:20em;margin:.3em 0;border:1px solid rgba(128,128,128,.4)"
    content = base64.b64encode(data).decode()
    return f'<img alt="the picture" src="data:image/{html.escape(kind)};base64,{content}" style="{style}">'


def _table(rows: Iterable[Sequence[str | Shown]], head: Sequence[str] = ()) -> str:
    lines = [_row_of("th", head, f"{_CELL};font-weight:600")] if head else []
    lines += [_row_of("td", row, f"{_CELL};{_LINE}" if head else _CELL) for row in rows]
    return f'<table style="border-collapse:collapse;margin:.3em 0;border:0">{"".join(lines)}</table>'


def _row_of(tag: str, cells: Sequence[str | Shown], style: str) -> str:
    # Only the last column has long texts. The others would be broken within a word to make room for it.
    short, long = f"{style};white-space:nowrap", f"{style};min-width:12em;overflow-wrap:anywhere"
    styles = [short] * (len(cells) - 1) + [long]
    shown = (cell if isinstance(cell, Shown) else Shown(cell) for cell in cells)
    pairs = zip(styles, shown, strict=True)
    inner = "".join(f'<{tag} style="{look}">{cell.html()}</{tag}>' for look, cell in pairs)
    return f'<tr style="background:none">{inner}</tr>'


def fields(value: object) -> str:
    """Return an answer as text: the only field of an attrs object, or its fields with their names."""
    kind = type(value)
    if not attrs.has(kind):
        return str(value)
    found = {field.name: getattr(value, field.name) for field in attrs.fields(kind)}
    if len(found) == 1:
        return str(next(iter(found.values())))
    return ", ".join(f"{name} {_short(one)}" for name, one in found.items() if one is not None)


def _short(value: object) -> str:
    if attrs.has(type(value)):
        return f"({', '.join(map(str, attrs.astuple(value)))})"  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    return str(value)


def amount(cost: Decimal | None) -> str:
    """Return an amount of money without an exponent, or ``unknown``."""
    return "unknown" if cost is None else f"{cost:f}"


def seconds(elapsed: float) -> str:
    """Return a duration."""
    return f"{elapsed:.1f} s"
