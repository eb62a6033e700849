"""The charts of a report, as SVG: Vega-Lite describes them, and vl-convert draws them without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any

import click

from captchahub.cli.report.figures import DayFigures, Figures

__all__ = ["charts"]

# A palette that people with any kind of colour vision can distinguish, on white as on black (Okabe and Ito).
_COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442"]

_BY_OUTCOME = {"domain": ["solved", "failed", "open"], "range": ["#009e73", "#d55e00", "#888888"]}

# The colours of text and lines are those of the page, so that they are readable in the dark and on paper.
_CONFIG: Mapping[str, Any] = {
    "background": "transparent",
    "font": "Arial, sans-serif",
    # The reader's font may be wider than the one that the layout is computed with.
    "padding": {"left": 24, "top": 4, "right": 24, "bottom": 4},
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

_WIDTH = 600

_HOUR = timedelta(hours=1)

# A bar that is as wide as the chart shows nothing, so some hours after the last are shown too.
_FEWEST_HOURS = 8


def charts(figures: Figures) -> Mapping[str, str]:
    """Return the charts by title; a chart without data is left out.

    Raises :class:`click.ClickException` if the package that draws them is not installed.
    """
    try:
        import vl_convert  # noqa: PLC0415 - it is large, and only this command needs it
    except ImportError as error:
        message = 'the charts need the package vl-convert-python: pip install "captchahub[report]"'
        raise click.ClickException(message) from error
    shown, unit = (figures.hours, "hour") if figures.hours else (figures.days, "day")
    specs = {
        f"Solved and failed by {unit}": _outcomes(shown),
        "Time to solve by provider": _latencies(figures),
        f"Cost by {unit}": _costs(shown),
        "Success rate by provider": _rates(figures),
        "Errors by class": _errors(figures),
    }
    return {
        title: vl_convert.vegalite_to_svg({**spec, "config": _CONFIG})
        for title, spec in specs.items()
        if spec["data"]["values"]
    }


def _chart(
    values: Sequence[Mapping[str, object]], mark: object, height: object, **encoding: object
) -> dict[str, Any]:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": _WIDTH,
        "height": height,
        "data": {"values": values},
        "mark": mark,
        "encoding": encoding,
    }


def _time(shown: Sequence[DayFigures]) -> dict[str, Any]:
    """Return the axis of time: the days that have figures, or all hours from the first to the last."""
    axis: dict[str, Any] = {"labelAngle": 0, "labelOverlap": True}
    encoding = {"field": "time", "type": "ordinal", "title": None, "axis": axis}
    moments = [_moment(one) for one in shown if one.hour is not None]
    if not moments:
        return encoding
    # The day stands below the hour.
    axis["labelExpr"] = "reverse(split(datum.label, ' '))"
    first = min(moments)
    count = max((max(moments) - first) // _HOUR + 1, _FEWEST_HOURS)
    domain = [_time_text(first + number * _HOUR) for number in range(count)]
    return {**encoding, "scale": {"domain": domain}}


def _moment(one: DayFigures) -> datetime:
    return datetime.combine(one.day, time(one.hour or 0))


def _time_text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _label(one: DayFigures) -> str:
    return one.day.isoformat() if one.hour is None else _time_text(_moment(one))


def _outcomes(shown: Sequence[DayFigures]) -> dict[str, Any]:
    values = [
        {"time": _label(one), "outcome": what, "jobs": getattr(one, what)}
        for one in shown
        for what in ("solved", "failed", "open")
        if getattr(one, what)
    ]
    colour = {"field": "outcome", "type": "nominal", "scale": _BY_OUTCOME}
    jobs = {"field": "jobs", "type": "quantitative", "aggregate": "sum", "title": "jobs"}
    return _chart(values, "bar", 200, x=_time(shown), y=jobs, color=colour)


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
        color={"field": "provider", "type": "nominal", "legend": None},
    )


def _costs(shown: Sequence[DayFigures]) -> dict[str, Any]:
    values = [
        {
            "time": _label(one),
            "account": f"{one.provider} ({currency})" if currency else one.provider,
            "amount": float(amount),
        }
        for one in shown
        for currency, amount in one.spent.items()
        if amount
    ]
    colour = {"field": "account", "type": "nominal"}
    amount = {"field": "amount", "type": "quantitative", "aggregate": "sum", "title": "amount"}
    return _chart(values, "bar", 200, x=_time(shown), y=amount, color=colour)


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
        color={"field": "provider", "type": "nominal", "legend": None},
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
        x={"field": "jobs", "type": "quantitative", "aggregate": "sum", "title": "jobs"},
        y={"field": "error", "type": "nominal", "title": None, "sort": "-x"},
        color={"field": "provider", "type": "nominal"},
    )
