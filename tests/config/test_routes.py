"""Routes in the configuration: their forms, their defaults, and the message for each mistake."""

from __future__ import annotations

import contextlib
import math
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub import errors
from captchahub._config.routes import FALLBACK_ERRORS
from captchahub.config import load_mapping, load_yaml
from captchahub.errors import ConfigError, JobFailed, ProviderError, ServiceUnavailable
from captchahub.settings import Otherwise, Percentile, RouteSettings, Strategy
from tests.config.problem_lines import fits, problem_lines, short

PROVIDERS = """\
providers:
  a: {plugin: omocaptcha, api_token: x}
  b: {plugin: omocaptcha, api_token: x}
  c: {plugin: omocaptcha, api_token: x}
routes:
  image-to-text:"""  # six lines; what a test adds begins on the sixth, or on the seventh after a line end

SENSITIVE = "Zx-9-very-private"


def write(directory: Path, text: str) -> Path:
    path = directory / "config.yaml"
    path.write_text(f"{PROVIDERS} {text}\n")
    return path


def route(directory: Path, text: str) -> RouteSettings:
    return load_yaml(write(directory, text)).routes["image-to-text"]


def problems(directory: Path, text: str) -> list[str]:
    return problem_lines(route, directory, text)


# --- the settings that a correct route gives

FORMS: Mapping[str, tuple[str, list[dict[str, float]]]] = {
    "names": ("[a, b]", [{"a": 1}, {"b": 1}]),
    "names, one a line": ("\n    - b\n    - a", [{"b": 1}, {"a": 1}]),
    "a priority with weights": ("[{a: 3, b: 1}, c]", [{"a": 3, "b": 1}, {"c": 1}]),
    "a priority without weights": ("[[a, b], c]", [{"a": 1, "b": 1}, {"c": 1}]),
    "a weight that is a fraction": ("[{a: 0.5, b: 1.5}]", [{"a": 0.5, "b": 1.5}]),
    "a weight of nothing": ("[{a: 1, b: 0}]", [{"a": 1, "b": 0}]),
    "nothing but weights of nothing": ("[{a: 0, b: 0}]", [{"a": 0, "b": 0}]),
    "rules beside it": ("{providers: [{a: 3, b: 1}, [c]]}", [{"a": 3, "b": 1}, {"c": 1}]),
    "balanced by weight": (
        "{providers: [{a: 3, b: 1}, c], strategy: balanced}",
        [{"a": 3, "b": 1}, {"c": 1}],
    ),
    # Names alone are of one priority for a strategy that chooses among them; of several if they are in
    # groups.
    "balanced": ("{providers: [a, b], strategy: balanced}", [{"a": 1, "b": 1}]),
    "cheapest": ("{providers: [a, b, c], strategy: cheapest}", [{"a": 1, "b": 1, "c": 1}]),
    "cheapest first among two": (
        "{providers: [[a, b], c], strategy: cheapest}",
        [{"a": 1, "b": 1}, {"c": 1}],
    ),
    "fastest": ("{providers: [a, [b, c]], strategy: fastest}", [{"a": 1}, {"b": 1, "c": 1}]),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_route_can_be_written_in_several_ways(tmp_path: Path, name: str) -> None:
    text, groups = FORMS[name]
    read = route(tmp_path, text)
    assert [dict(group) for group in read.groups] == groups
    assert list(read.names) == [name for group in groups for name in group]


def test_a_list_has_the_documented_defaults_as_has_a_mapping_without_rules(tmp_path: Path) -> None:
    for text in ("[a, b]", "{providers: [a, b]}"):
        assert route(tmp_path, text) == RouteSettings(
            [{"a": 1.0}, {"b": 1.0}],
            strategy=Strategy.ORDERED,
            fallback_on=(ProviderError,),
            on_ambiguous=Otherwise.NEXT,
            on_timeout=Otherwise.NEXT,
            max_attempts=None,
            hedge_after=None,
            hedge_limit=0.05,
            agree=1,
        )


def test_every_rule_reaches_its_field(tmp_path: Path) -> None:
    text = """
    providers: [[a, b], c]
    strategy: fastest
    fallback_on: [ServiceUnavailable, JobFailed]
    on_ambiguous: fail
    on_timeout: fail
    max_attempts: 3
    hedge_after: 1.5s
    hedge_limit: 10%
"""
    assert route(tmp_path, text) == RouteSettings(
        [{"a": 1.0, "b": 1.0}, {"c": 1.0}],
        strategy=Strategy.FASTEST,
        fallback_on=(ServiceUnavailable, JobFailed),
        on_ambiguous=Otherwise.FAIL,
        on_timeout=Otherwise.FAIL,
        max_attempts=3,
        hedge_after=1.5,
        hedge_limit=0.1,
    )
    assert route(tmp_path, "{providers: [a, b, c], agree: 2, max_attempts: 2}").agree == 2


@pytest.mark.parametrize(
    ("rule", "key", "value"),
    [
        ("hedge_after: 15s", "hedge_after", 15.0),
        ("hedge_after: 0s", "hedge_after", 0.0),
        ("hedge_after: 500ms", "hedge_after", 0.5),
        ("hedge_after: p95", "hedge_after", Percentile(95)),
        ("hedge_after: p1", "hedge_after", Percentile(1)),
        ("hedge_after: p99", "hedge_after", Percentile(99)),
        ("hedge_after: 1s, hedge_limit: 0", "hedge_limit", 0.0),
        ("hedge_after: 1s, hedge_limit: 0%", "hedge_limit", 0.0),
        ("hedge_after: 1s, hedge_limit: 0.25", "hedge_limit", 0.25),
        ("hedge_after: 1s, hedge_limit: 2.5%", "hedge_limit", 0.025),
        ("hedge_after: 1s, hedge_limit: 5 %", "hedge_limit", 0.05),
        ("hedge_after: 1s, hedge_limit: 1", "hedge_limit", 1.0),
        ("hedge_after: 1s, hedge_limit: 100%", "hedge_limit", 1.0),
        ("fallback_on: []", "fallback_on", ()),
        ("fallback_on: [ProviderError]", "fallback_on", (ProviderError,)),
        # All errors but one: the general name does not speak of the one.
        ("fallback_on: [ProviderError], on_timeout: fail", "on_timeout", Otherwise.FAIL),
        ("fallback_on: [JobFailed], on_ambiguous: fail", "on_ambiguous", Otherwise.FAIL),
        ("fallback_on: [ProviderError], on_ambiguous: next", "on_ambiguous", Otherwise.NEXT),
        ("fallback_on: [JobTimeout], on_timeout: next", "on_timeout", Otherwise.NEXT),
        ("max_attempts: 1", "max_attempts", 1),
        ("agree: 1", "agree", 1),
        ("agree: 2", "agree", 2),
    ],
)
def test_a_rule_has_the_value_that_is_written(tmp_path: Path, rule: str, key: str, value: object) -> None:
    assert getattr(route(tmp_path, f"{{providers: [a, b], {rule}}}"), key) == value


def test_a_share_is_always_a_fraction(tmp_path: Path) -> None:
    read = route(tmp_path, "{providers: [a, b], hedge_after: p95, hedge_limit: 1}")
    assert isinstance(read.hedge_limit, float)


def test_a_mapping_gives_the_same_route_as_a_file(tmp_path: Path) -> None:
    account = {"plugin": "omocaptcha", "api_token": "x"}
    mapping = {
        "providers": dict.fromkeys("abc", account),
        "routes": {"image-to-text": {"providers": ({"a": 3, "b": 1}, "c"), "max_attempts": 2}},
    }
    written = route(tmp_path, "{providers: [{a: 3, b: 1}, c], max_attempts: 2}")
    assert load_mapping(mapping).routes["image-to-text"] == written


def test_fallback_can_name_every_error_that_can_end_an_attempt() -> None:
    ends = {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ProviderError)
    }
    # The caller's own mistake falls back never, and the others are no attempt's end that anybody waits for.
    never = errors.TaskRefused, errors.NotAsked, errors.Outvoted, errors.Overtaken
    assert set(FALLBACK_ERRORS.values()) == {kind for kind in ends if not issubclass(kind, never)}


# --- the message for each mistake, with its line and place

BROKEN: Sequence[tuple[str, str]] = [
    # names and groups
    ("a", "6: routes.image-to-text: expected a list, found 'a'"),
    ("5", "6: routes.image-to-text: expected a list, found 5"),
    ("", "6: routes.image-to-text: expected a list, found nothing"),
    ("[]", "6: routes.image-to-text: the route is empty; name a provider, or leave the route out"),
    ("[5]", "6: routes.image-to-text[0]: expected text, found 5; put it in quotes"),
    ("[a, null]", "6: routes.image-to-text[1]: expected text, found nothing"),
    ("[yes]", "6: routes.image-to-text[0]: expected text, found true; put it in quotes"),
    ("[[[a]]]", "6: routes.image-to-text[0][0]: expected text, found a list"),
    ("[[a, 5]]", "6: routes.image-to-text[0][1]: expected text, found 5; put it in quotes"),
    ("[a, []]", "6: routes.image-to-text[1]: this priority is empty; name a provider, or leave it out"),
    ("[{}, a]", "6: routes.image-to-text[0]: this priority is empty; name a provider, or leave it out"),
    ("[backupp]", "6: routes.image-to-text[0]: 'backupp' is not a provider; defined: a, b, c"),
    (
        "\n    - a\n    - [b, aa]",
        "8: routes.image-to-text[1][1]: 'aa' is not a provider; did you mean 'a'? defined: a, b, c",
    ),
    (
        "\n    - b\n    -\n      c: 2\n      aa: 1",
        "10: routes.image-to-text[1].aa: 'aa' is not a provider; did you mean 'a'? defined: a, b, c",
    ),
    (
        "\n    providers:\n      - aa",
        "8: routes.image-to-text.providers[0]: 'aa' is not a provider; did you mean 'a'? defined: a, b, c",
    ),
    ("[a, a]", "6: routes.image-to-text[1]: 'a' is named twice; leave one out"),
    ("[[a, a]]", "6: routes.image-to-text[0][1]: 'a' is named twice; leave one out"),
    ("\n    - [a, b]\n    - {c: 1, b: 2}", "8: routes.image-to-text[1].b: 'b' is named twice; leave one out"),
    ("[{a: 3}, a]", "6: routes.image-to-text[1]: 'a' is named twice; leave one out"),
    ("[{a: 1, a: 2}]", "6: routes.image-to-text[0].a: duplicate key, ... keep one of the two"),
    # weights
    ("[{a: -1}]", "6: routes.image-to-text[0].a: expected a weight, ... from 0 to 2147483647, found -1"),
    ("[{a: .inf}]", "6: routes.image-to-text[0].a: expected a weight, ... found inf"),
    ("[{a: .nan}]", "6: routes.image-to-text[0].a: expected a weight, ... nan"),
    (f"[{{a: 0x{'f' * 5000}}}]", "6: routes.image-to-text[0].a: expected a weight, ... a huge number"),
    ("[{a: '3'}]", "6: routes.image-to-text[0].a: expected a weight, ... without quotes; ..."),
    ("[{a: yes}]", "6: routes.image-to-text[0].a: expected a weight, ... found true"),
    ("[{a}]", "6: routes.image-to-text[0].a: expected a weight, ... found nothing"),
    (
        "\n    strategy: cheapest\n    providers:\n    - c\n    - {a: 2, b: 1}",
        "10: routes.image-to-text.providers[1]: cheapest uses no weights; write a list of the names alone",
    ),
    (
        "{providers: [{a: 2, b: 1}], strategy: fastest}",
        "6: routes.image-to-text.providers[0]: fastest uses no weights; write a list of the names alone",
    ),
    # the mapping
    (
        "\n    providers: [a]\n    stratgy: ordered",
        "8: routes.image-to-text.stratgy: unknown key; did you mean 'strategy'?",
    ),
    (
        "{strategy: ordered}",
        "6: routes.image-to-text.providers: missing; name the providers to call, in order",
    ),
    ("{providers: a}", "6: routes.image-to-text.providers: expected a list, found 'a'"),
    ("{providers: []}", "6: routes.image-to-text.providers: the route is empty; name a provider, ..."),
    ("{providers: {a: 3, b: 1}}", "6: routes.image-to-text.providers: expected a list, found a mapping"),
    (
        "{providers: [a], strategy: cheap}",
        (
            "6: routes.image-to-text.strategy: expected one of ordered, cheapest, fastest, balanced, "
            "found 'cheap'"
        ),
    ),
    (
        "{providers: [a], on_timeout: off}",
        "6: routes.image-to-text.on_timeout: expected one of next, fail, found false",
    ),
    (
        "{providers: [a], max_attempts: 0}",
        "6: routes.image-to-text.max_attempts: expected a whole number from 1 to 2147483647, found 0",
    ),
    (
        "{providers: [a], agree: 0}",
        "6: routes.image-to-text.agree: expected a whole number from 1 to 2147483647, found 0",
    ),
    (
        "{providers: [a], max_attempts: 1.5}",
        "6: routes.image-to-text.max_attempts: expected a whole number from 1 to 2147483647, found 1.5",
    ),
    # fallback_on
    (
        "{providers: [a], fallback_on: JobFailed}",
        "6: routes.image-to-text.fallback_on: expected a list, found 'JobFailed'",
    ),
    (
        "\n    providers: [a]\n    fallback_on:\n    - JobFailed\n    - JobTimeot",
        (
            "10: routes.image-to-text.fallback_on[1]: 'JobTimeot' is no error of a provider; did you "
            "mean 'JobTimeout'?"
        ),
    ),
    (
        "{providers: [a], fallback_on: [5]}",
        "6: routes.image-to-text.fallback_on[0]: expected text, found 5; put it in quotes",
    ),
    (
        "{providers: [a], fallback_on: [TaskError]}",
        (
            "6: routes.image-to-text.fallback_on[0]: 'TaskError' is no error of a provider; errors: "
            "AmbiguousCreate, ..."
        ),
    ),
    (
        "{providers: [a], fallback_on: [TaskRefused]}",
        (
            "6: routes.image-to-text.fallback_on[0]: 'TaskRefused' is no error of a provider; did you mean "
            "'JobRefused'?"
        ),
    ),
    # hedging
    (
        "{providers: [a, b], hedge_after: 15}",
        (
            "6: routes.image-to-text.hedge_after: expected a duration such as 15s, or a percentile ... "
            "found 15; write 15s"
        ),
    ),
    (
        "{providers: [a, b], hedge_after: 0}",
        (
            "6: routes.image-to-text.hedge_after: expected a duration such as 15s, ... write a number "
            "and its unit"
        ),
    ),
    (
        "{providers: [a, b], hedge_after: p100}",
        "6: routes.image-to-text.hedge_after: expected a duration ... p1 to p99, found 'p100'",
    ),
    (
        "{providers: [a, b], hedge_after: p0}",
        "6: routes.image-to-text.hedge_after: expected a duration ... p1 to p99, found 'p0'",
    ),
    (
        "{providers: [a, b], hedge_after: 8761h}",
        "6: routes.image-to-text.hedge_after: expected a duration ... found '8761h'",
    ),
    (
        "{providers: [a, b], hedge_after: 1s, hedge_limit: 101%}",
        "6: routes.image-to-text.hedge_limit: expected a share from 0 to 1, or such as 5%, found '101%'",
    ),
    (
        "{providers: [a, b], hedge_after: 1s, hedge_limit: 5}",
        "6: routes.image-to-text.hedge_limit: expected a share from 0 to 1, or such as 5%, found 5",
    ),
    (
        "{providers: [a, b], hedge_after: 1s, hedge_limit: -0.1}",
        "6: routes.image-to-text.hedge_limit: expected a share from 0 to 1, or such as 5%, found -0.1",
    ),
    (
        "{providers: [a, b], hedge_after: 1s, hedge_limit: .nan}",
        "6: routes.image-to-text.hedge_limit: expected a share from 0 to 1, or such as 5%, found nan",
    ),
    (
        f"{{providers: [a, b], hedge_after: 1s, hedge_limit: 0x{'f' * 5000}}}",
        "6: routes.image-to-text.hedge_limit: expected a share from 0 to 1, ... found a huge number",
    ),
    # contradictions
    (
        "\n    providers: [a, b]\n    hedge_limit: 5%",
        (
            "8: routes.image-to-text.hedge_limit: without hedge_after no second provider is called; "
            "write hedge_after, or leave it out"
        ),
    ),
    (
        "{providers: [a], hedge_after: 5s}",
        (
            "6: routes.image-to-text.hedge_after: there is no second provider to call; name one, or "
            "leave it out"
        ),
    ),
    (
        "{providers: [a, b], hedge_after: 5s, max_attempts: 1}",
        (
            "6: routes.image-to-text.hedge_after: max_attempts allows no second provider; raise it, or "
            "leave this out"
        ),
    ),
    (
        "{providers: [a, b, c], hedge_after: 5s, agree: 2}",
        "6: routes.image-to-text.hedge_after: providers that must agree are called at once; leave one out",
    ),
    (
        "{providers: [a, b], agree: 3}",
        "6: routes.image-to-text.agree: 3 must agree, and the route names 2; name more, or lower it",
    ),
    (
        "{providers: [[a]], agree: 2}",
        "6: routes.image-to-text.agree: 2 must agree, and the route names 1; name more, or lower it",
    ),
    (
        "{providers: [a, b], agree: 2, max_attempts: 1}",
        "6: routes.image-to-text.max_attempts: fewer than agree, which needs 2; raise it",
    ),
    (
        "{providers: [a, b], fallback_on: [JobTimeout], on_timeout: fail}",
        "6: routes.image-to-text.on_timeout: fallback_on names JobTimeout; leave one of them out",
    ),
    (
        "{providers: [a, b], fallback_on: [AmbiguousCreate], on_ambiguous: fail}",
        "6: routes.image-to-text.on_ambiguous: fallback_on names AmbiguousCreate; leave one of them out",
    ),
    (
        "{providers: [a, b], fallback_on: [JobFailed], on_timeout: next}",
        (
            "6: routes.image-to-text.on_timeout: fallback_on does not name JobTimeout; add it, or leave "
            "this out"
        ),
    ),
    (
        "{providers: [a, b], fallback_on: [], on_ambiguous: next}",
        (
            "6: routes.image-to-text.on_ambiguous: fallback_on does not name AmbiguousCreate; add it, or "
            "leave this out"
        ),
    ),
    # Where a key can't be read, no other is blamed for contradicting it.
    (
        "{providers: [5, b], hedge_after: 5s}",
        "6: routes.image-to-text.providers[0]: expected text, found 5; put it in quotes",
    ),
    ("{providers: [a, {b: x}], agree: 2}", "6: routes.image-to-text.providers[1].b: expected a weight..."),
    (
        "{providers: [a, b], fallback_on: [JobTimeot], on_timeout: next}",
        "6: routes.image-to-text.fallback_on[0]: 'JobTimeot' is no error ...",
    ),
    (
        "{providers: [a, b], hedge_after: soon, hedge_limit: 5%}",
        "6: routes.image-to-text.hedge_after: expected a duration ... found 'soon'",
    ),
    (
        "{providers: [a, b], fallback_on: [JobFailed], on_timeout: stop}",
        "6: routes.image-to-text.on_timeout: expected one of next, fail, found 'stop'",
    ),
    ("{agree: 2, max_attempts: 3}", "6: routes.image-to-text.providers: missing..."),
]


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=short)
def test_a_mistake_is_reported_once_with_its_line_place_and_advice(
    tmp_path: Path, text: str, message: str
) -> None:
    (line,) = problems(tmp_path, text)
    assert fits(f"config.yaml:{message}", line), line


def test_all_mistakes_of_a_route_are_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """
    providers: [a, aa, [b, b], {c: -1}]
    strategy: best
    fallback_on: [TaskRefused]
    max_attempts: 0
    hedge_limit: 7
    agre: 2"""
    assert [line.split(": ")[:2] for line in problems(tmp_path, text)] == [
        ["config.yaml:7", "routes.image-to-text.providers[3].c"],
        ["config.yaml:7", "routes.image-to-text.providers[1]"],
        ["config.yaml:7", "routes.image-to-text.providers[2][1]"],
        ["config.yaml:8", "routes.image-to-text.strategy"],
        ["config.yaml:9", "routes.image-to-text.fallback_on[0]"],
        ["config.yaml:10", "routes.image-to-text.max_attempts"],
        ["config.yaml:11", "routes.image-to-text.hedge_limit"],
        ["config.yaml:12", "routes.image-to-text.agre"],
    ]


def test_a_problem_is_one_line_whatever_a_name_holds(tmp_path: Path) -> None:
    for strategy in ("ordered", "cheapest"):
        text = f'{{providers: [{{"a\\nb": 1}}], strategy: {strategy}}}'
        lines = problems(tmp_path, text)
        assert all(line.startswith("config.yaml:6: routes.image-to-text.providers[0]") for line in lines)


# --- values from references


@pytest.mark.parametrize(
    "text",
    [
        "${env:ROUTE_VALUE}",
        "['${env:ROUTE_VALUE}']",
        "[['${env:ROUTE_VALUE}']]",
        "[[a, '${env:ROUTE_VALUE}', '${env:ROUTE_VALUE}']]",
        "[{a: '${env:ROUTE_VALUE}'}]",
        *(
            f"{{providers: [a, b], {key}: '${{env:ROUTE_VALUE}}'}}"
            for key in (field.name for field in attrs.fields(RouteSettings))
            if key != "groups"
        ),
        "{providers: '${env:ROUTE_VALUE}'}",
        "{providers: ['${env:ROUTE_VALUE}']}",
        "{providers: [a], fallback_on: ['${env:ROUTE_VALUE}']}",
    ],
)
def test_a_value_from_a_reference_is_called_by_its_name_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("ROUTE_VALUE", SENSITIVE)
    with pytest.raises(ConfigError) as caught:
        route(tmp_path, text)
    assert SENSITIVE not in "".join(traceback.format_exception(caught.value))
    assert "the value of ${env:ROUTE_VALUE}" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("aa", "['${env:ROUTE_VALUE}']"),
        ("JobTimeot", "{providers: [a], fallback_on: ['${env:ROUTE_VALUE}']}"),
    ],
)
def test_no_advice_spells_out_a_value_from_a_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, text: str
) -> None:
    monkeypatch.setenv("ROUTE_VALUE", value)
    (line,) = problems(tmp_path, text)
    assert "did you mean" not in line


def test_names_and_rules_can_come_from_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTE_NAME", "b")
    monkeypatch.setenv("ROUTE_ERROR", "JobFailed")
    monkeypatch.setenv("ROUTE_LIMIT", "5%")
    text = """
    providers: [['${env:ROUTE_NAME}', a]]
    fallback_on: ['${env:ROUTE_ERROR}']
    hedge_after: p95
    hedge_limit: ${env:ROUTE_LIMIT}"""
    read = route(tmp_path, text)
    assert (read.names, read.fallback_on, read.hedge_limit) == (("b", "a"), (JobFailed,), 0.05)


def test_a_reference_to_an_unset_variable_is_the_only_problem(tmp_path: Path) -> None:
    for text in ("['${env:NO_SUCH_X}', a]", "{providers: ['${env:NO_SUCH_X}', a], agree: 2}"):
        (line,) = problems(tmp_path, text)
        assert line.endswith("NO_SUCH_X is not set; set it before the program starts")


# --- random values

WORDS = st.sampled_from(
    [
        *("a", "b", "c", "aa", "providers", "ordered", "cheapest", "next", "fail", "p95", "15s", "5%"),
        *("JobTimeout", "ProviderError", "AmbiguousCreate", "${env:ROUTE_VALUE}", "${"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS
NESTED = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=10,
)
KEYS = ["providers", *(field.name for field in attrs.fields(RouteSettings) if field.name != "groups")]
RULES = st.dictionaries(st.sampled_from(KEYS), NESTED | st.integers(-1, 4))
GROUPS = st.lists(WORDS | st.lists(WORDS, max_size=3) | st.dictionaries(WORDS, st.floats(), max_size=3))


def with_groups(rules: dict[str, object], groups: list[object]) -> dict[str, object]:
    return rules | {"providers": groups}


@given(NESTED | RULES | GROUPS | st.builds(with_groups, RULES, GROUPS))
def test_any_value_is_a_route_or_a_config_error(value: object) -> None:
    account = {"plugin": "omocaptcha", "api_token": "x"}
    mapping = {"providers": dict.fromkeys("abc", account), "routes": {"image-to-text": value}}
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(ConfigError):
        patch.setenv("ROUTE_VALUE", SENSITIVE)
        read = load_mapping(mapping).routes["image-to-text"]
        # What was taken can be worked with: names that are there, once each, and numbers that are numbers.
        assert 0 < len(read.names) == len(set(read.names))
        assert set(read.names) <= set("abc")
        weights = [weight for group in read.groups for weight in group.values()]
        assert all(weight >= 0 and math.isfinite(weight) for weight in weights)
        assert 1 <= read.agree <= len(read.names)
        assert 0 <= read.hedge_limit <= 1
