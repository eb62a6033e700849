"""The plugin in whole hubs, which solve against the sandbox over HTTP."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
import yaml
from captchahub_opentelemetry import OpenTelemetry
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import SpanContext

from captchahub import AllProvidersFailed, Hub
from captchahub.testing import Fault, Sandbox, load_emulation

README = (Path(__file__).parents[1] / "README.md").read_text()
SOLVE, ATTEMPT = "captchahub solve image-to-text", "captchahub attempt capsolver"
TOKEN = "s3cret-t0ken-of-a-test"


class Traces(Protocol):
    @property
    def provider(self) -> TracerProvider: ...
    @property
    def spans(self) -> list[ReadableSpan]: ...
    def named(self, name: str) -> ReadableSpan: ...
    def context_of(self, span: ReadableSpan) -> SpanContext: ...


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A service that answers at once."""
    with Sandbox(load_emulation("createtask", dialect="capsolver")) as running:
        yield running


def providers(sandbox: Sandbox) -> dict[str, object]:
    return {"providers": {"capsolver": {"plugin": "createtask", **sandbox.settings(TOKEN)}}}


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def test_the_spans_of_a_solve_are_in_the_callers_trace(sandbox: Sandbox, traces: Traces) -> None:
    tracer = traces.provider.get_tracer("app")
    with Hub.from_mapping(providers(sandbox), plugins=[OpenTelemetry(traces.provider)]) as hub:
        for caller in ("first", "second"):
            with tracer.start_as_current_span(caller):
                hub.solve(sandbox.draw_text(caller).task())
    spans = {traces.context_of(one).span_id: one for one in traces.spans}
    attempts = [one for one in spans.values() if one.name == ATTEMPT]
    lines: list[list[str]] = []
    for one in attempts:
        solve = spans[parent_of(one) or 0]
        lines.append([one.name, solve.name, spans[parent_of(solve) or 0].name])
        assert (solve.start_time or 0) <= (one.start_time or 0) < (one.end_time or 0) <= (solve.end_time or 0)
    assert lines == [[ATTEMPT, SOLVE, "first"], [ATTEMPT, SOLVE, "second"]]


def test_an_error_is_recorded_without_the_token(sandbox: Sandbox, traces: Traces) -> None:
    sandbox.add_faults(Fault.status(502, on="createTask", times=1))
    with (
        Hub.from_mapping(providers(sandbox), plugins=[OpenTelemetry(traces.provider)]) as hub,
        pytest.raises(AllProvidersFailed),
    ):
        hub.solve(sandbox.draw_text().task())
    assert (traces.named(ATTEMPT).attributes or {})["error.type"] == "AmbiguousCreate"
    assert (traces.named(SOLVE).attributes or {})["error.type"] == "AllProvidersFailed"
    told = "".join(one.to_json() for one in traces.spans)
    assert "exception.stacktrace" in told
    assert TOKEN not in told


def test_loaded_by_its_name_it_uses_the_global_tracer_provider(
    sandbox: Sandbox, traces: Traces, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(providers(sandbox) | {"plugins": {"load": ["opentelemetry"]}}))
    # It can be set once in a process: no other test here does.
    trace.set_tracer_provider(traces.provider)
    with Hub.from_yaml(path) as hub:
        hub.solve(sandbox.draw_text().task())
    assert parent_of(traces.named(ATTEMPT)) == traces.context_of(traces.named(SOLVE)).span_id


def test_the_code_in_the_readme_runs() -> None:
    [code] = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    # What it writes to is the terminal of when it was imported.
    out = io.StringIO()
    exec(
        compile(code.replace("ConsoleSpanExporter()", "ConsoleSpanExporter(out=out)"), "README.md", "exec"),
        {"out": out},
    )
    assert SOLVE in out.getvalue()
    assert ATTEMPT in out.getvalue()


def test_every_attribute_is_in_the_readme() -> None:
    source = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("captchahub_*/*.py"))
    names = set(re.findall(r'"(captchahub\.\w+)"', source))
    assert names <= set(re.findall(r"`([\w.]+)`", README))
