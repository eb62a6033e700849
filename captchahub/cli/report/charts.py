"""The charts of a report, as SVG: Vega-Lite describes them, and vl-convert draws them without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any

import attrs

from captchahub.cli.report.figures import DayFigures, Figures

__all__ = ["Chart", "charts"]

# A palette that people with any kind of colour vision can distinguish, on white as on black (Okabe and Ito).
_COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442"]

_BY_OUTCOME = {"solved": "#009e73", "failed": "#d55e00", "open": "#888888"}

_JOBS: Mapping[str, object] = {
    "field": "jobs",
    "type": "quantitative",
    "aggregate": "sum",
    "title": "jobs",
    "axis": {"tickMinStep": 1, "format": "d"},
}

# The colours of text and lines are those of the page, so that they are readable in the dark and on paper.
_CONFIG: Mapping[str, Any] = {
    "background": "transparent",
    "font": "Arial, sans-serif",
    # The reader's font may be wider than the one that the layout is computed with.
    "padding": {"left": 8, "top": 4, "right": 16, "bottom": 4},
    "view": {"stroke": None},
    "range": {"category": _COLOURS},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "gridColor": "currentColor",
        "gridOpacity": 0.15,
        "domainColor": "currentColor",
        "tickColor": "currentColor",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "legend": {"labelColor": "currentColor", "title": None, "labelFontSize": 12, "orient": "top"},
    "header": {"labelColor": "currentColor", "titleColor": "currentColor"},
    "boxplot": {"median": {"color": "currentColor"}, "rule": {"color": "currentColor"}},
}

# In CSS pixels: what the page has on a desktop, and on a phone.
_BROAD, _NARROW = 704, 340

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)

# A bar that is as wide as the chart shows nothing, so a chart has at least so many hours or days.
_FEWEST = 8


@attrs.frozen
class Chart:
    """A chart as SVG, drawn for a broad and for a narrow window."""

    broad: str
    narrow: str


def charts(figures: Figures) -> Mapping[str, Chart]:
    """Return the charts by title; a chart without data is left out.

    Raises ImportError if the package that draws them is not installed.
    """
    import vl_convert  # noqa: PLC0415 - it is large, and only this command needs it

    shown, unit = (figures.hours, "hour") if figures.hours else (figures.days, "day")
    specs = {
        f"Solved by {unit}": _outcomes(shown, "solved"),
        # Not in the same bars: one failed job among many solved ones would not be seen.
        f"Failed and open by {unit}": _outcomes(shown, "failed", "open"),
        "Time to solve by provider": _latencies(figures),
        **{
            f"Cost by {unit}{f' in {currency}' if currency else ''}": _costs(
                shown, currency, _by_provider(figures)
            )
            for currency in sorted(figures.spent(), key=str)
        },
        "Success rate by provider": _rates(figures),
        "Errors by class": _errors(figures),
    }

    def drawn(spec: Mapping[str, Any], width: int) -> str:
        return vl_convert.vegalite_to_svg({**spec, "width": width, "config": _CONFIG})

    return {
        title: Chart(drawn(spec, _BROAD), drawn(spec, _NARROW))
        for title, spec in specs.items()
        if spec["data"]["values"]
    }


def _chart(
    values: Sequence[Mapping[str, object]], mark: object, height: object, **encoding: object
) -> dict[str, Any]:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "height": height,
        "data": {"values": values},
        "mark": mark,
        "encoding": encoding,
    }


def _time(shown: Sequence[DayFigures]) -> dict[str, Any]:
    """Return the axis of time: all hours or days from the first to the last."""
    axis: dict[str, Any] = {"labelAngle": 0, "labelOverlap": True, "labelSeparation": 8}
    by_hour = any(one.hour is not None for one in shown)
    if by_hour:
        # The day stands below the hour.
        axis["labelExpr"] = "reverse(split(datum.label, ' '))"
    step = _HOUR if by_hour else _DAY
    moments = [_moment(one) for one in shown]
    last = max(moments)
    count = max((last - min(moments)) // step + 1, _FEWEST)
    # Filled up with those before the first, because those to come have nothing yet.
    domain = [_time_text(last - number * step, by_hour=by_hour) for number in reversed(range(count))]
    return {"field": "time", "type": "ordinal", "title": None, "axis": axis, "scale": {"domain": domain}}


def _moment(one: DayFigures) -> datetime:
    return datetime.combine(one.day, time(one.hour or 0))


def _time_text(moment: datetime, *, by_hour: bool) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if by_hour else f"{moment:%Y-%m-%d}"


def _label(one: DayFigures) -> str:
    return _time_text(_moment(one), by_hour=one.hour is not None)


def _outcomes(shown: Sequence[DayFigures], *outcomes: str) -> dict[str, Any]:
    values = [
        {"time": _label(one), "outcome": what, "jobs": getattr(one, what)}
        for one in shown
        for what in outcomes
        if getattr(one, what)
    ]
    scale = {"domain": outcomes, "range": [_BY_OUTCOME[what] for what in outcomes]}
    colour: dict[str, object] = {"field": "outcome", "type": "nominal", "scale": scale}
    if len(outcomes) == 1:
        colour["legend"] = None
    return _chart(values, "bar", 160, x=_time(shown), y=_JOBS, color=colour)


def _by_provider(figures: Figures) -> Mapping[str, object]:
    """Return the colours of the providers, which are the same in each chart."""
    return {"field": "provider", "type": "nominal", "scale": {"domain": figures.providers}}


def _latencies(figures: Figures) -> dict[str, Any]:
    values = [
        {"provider": name, "seconds": seconds}
        for name, latency in figures.latencies.items()
        for seconds in latency.sample
    ]
    return _chart(
        values,
        {"type": "boxplot", "extent": "min-max", "size": 18},
        {"step": 34},
        x={"field": "seconds", "type": "quantitative", "title": "seconds from create to answer"},
        y={"field": "provider", "type": "nominal", "title": None},
        color={**_by_provider(figures), "legend": None},
    )


def _costs(shown: Sequence[DayFigures], currency: str | None, colour: Mapping[str, object]) -> dict[str, Any]:
    values = [
        {"time": _label(one), "provider": one.provider, "amount": float(one.spent[currency])}
        for one in shown
        if one.spent.get(currency)
    ]
    title = currency or "amount"
    amount = {"field": "amount", "type": "quantitative", "aggregate": "sum", "title": title}
    return _chart(values, "bar", 160, x=_time(shown), y=amount, color=colour)


def _rates(figures: Figures) -> dict[str, Any]:
    rates = {name: figures.success_rate(name) for name in figures.providers}
    values = [{"provider": name, "rate": rate} for name, rate in rates.items() if rate is not None]
    rate: Mapping[str, object] = {
        "field": "rate",
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [0, 1]},
        "axis": {"format": "%"},
    }
    return _chart(
        values,
        {"type": "bar", "size": 18},
        {"step": 34},
        x=rate,
        y={"field": "provider", "type": "nominal", "title": None},
        color={**_by_provider(figures), "legend": None},
    )


def _errors(figures: Figures) -> dict[str, Any]:
    values = [
        {"provider": provider, "error": name, "jobs": jobs}
        for (provider, name), jobs in figures.errors.items()
    ]
    return _chart(
        values,
        {"type": "bar", "size": 18},
        {"step": 30},
        x=_JOBS,
        y={"field": "error", "type": "nominal", "title": None, "sort": "-x"},
        color=_by_provider(figures),
    )
