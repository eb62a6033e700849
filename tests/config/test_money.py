"""Budgets, currencies and the journal in the configuration, and the message for each mistake."""

from __future__ import annotations

import contextlib
import sys
import traceback
import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub.config import load_mapping, load_yaml
from captchahub.errors import ConfigError
from captchahub.settings import Budget, HubSettings, JournalSettings, Period
from tests.config.problem_lines import fits, problem_lines, short

START = """\
providers:
  a:
    plugin: omocaptcha
    api_token: x
"""  # four lines; tests go on at the fifth

ACCOUNT = {"plugin": "omocaptcha", "api_token": "x"}
SENSITIVE = "Zx-9-very-private"


def load(directory: Path, text: str) -> HubSettings:
    path = directory / "config.yaml"
    path.write_text(START + text)
    return load_yaml(path)


def own_budget(directory: Path, text: str) -> Budget | None:
    return load(directory, f"    budget: {text}\n").providers["a"].budget


def problems(directory: Path, text: str) -> list[str]:
    return problem_lines(load, directory, text)


# --- the settings that correct values give


@pytest.mark.parametrize("period", Period)
def test_a_budget_is_a_limit_for_a_period(tmp_path: Path, period: Period) -> None:
    read = own_budget(tmp_path, f"{{limit: 5.25, per: {period.value}}}")
    assert read == Budget(Decimal("5.25"), period, UTC)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("5.00", "5"),
        ("5", "5"),
        ("'5.10'", "5.1"),
        ("0.1", "0.1"),  # not 0.1000000000000000055511151231257827
        ("0.0005", "0.0005"),
        ("1000000000", "1000000000"),
        # Zero means zero.
        ("0", "0"),
        ("0.00", "0"),
        ("'0'", "0"),
        ("-0.0", "0"),
    ],
)
def test_a_limit_is_the_amount_that_is_written(tmp_path: Path, text: str, limit: str) -> None:
    read = own_budget(tmp_path, f"{{limit: {text}, per: day}}")
    assert read is not None
    assert read.limit == Decimal(limit)
    assert not read.limit.is_signed()


def test_a_budget_of_nothing_is_a_budget(tmp_path: Path) -> None:
    read = load(tmp_path, "    budget: {limit: 0, per: total}\nbudget: {limit: 0, per: hour}\n")
    assert read.providers["a"].budget == Budget(Decimal(0), Period.TOTAL)
    assert read.budget == Budget(Decimal(0), Period.HOUR)


@pytest.mark.parametrize("name", ["Europe/Berlin", "Asia/Ho_Chi_Minh", "Etc/GMT-2", "America/Indiana/Knox"])
def test_days_begin_in_the_zone_that_is_named(tmp_path: Path, name: str) -> None:
    read = own_budget(tmp_path, f"{{limit: 5, per: day, zone: {name}}}")
    assert read == Budget(Decimal(5), Period.DAY, ZoneInfo(name))


def test_utc_is_the_default_zone(tmp_path: Path) -> None:
    assert own_budget(tmp_path, "{limit: 5, per: day, zone: UTC}") == Budget(Decimal(5), Period.DAY)
    assert own_budget(tmp_path, "{limit: 5, per: day}") == Budget(Decimal(5), Period.DAY)


def test_the_hub_has_a_budget_of_its_own_and_so_has_each_provider() -> None:
    own = {"limit": "5.50", "per": "day"}
    mapping = {
        "providers": {"a": {**ACCOUNT, "budget": own}, "b": ACCOUNT},
        "budget": {"limit": 100, "per": "month", "zone": "Europe/Berlin"},
    }
    read = load_mapping(mapping)
    assert read.budget == Budget(Decimal(100), Period.MONTH, ZoneInfo("Europe/Berlin"))
    assert read.providers["a"].budget == Budget(Decimal("5.5"), Period.DAY)
    assert read.providers["b"].budget is None


def test_a_provider_of_no_route_can_have_a_budget(tmp_path: Path) -> None:
    more = "    budget: {limit: 5, per: day}\n  b: {plugin: omocaptcha, api_token: x}\n"
    read = load(tmp_path, f"{more}routes: {{image-to-text: [b]}}\n")
    assert read.providers["a"].budget == Budget(Decimal(5), Period.DAY)


def test_an_account_has_a_currency(tmp_path: Path) -> None:
    assert load(tmp_path, "    currency: USD\n").providers["a"].currency == "USD"
    assert load(tmp_path, "").providers["a"].currency is None


def two(first: object, second: object, **more: object) -> Mapping[str, object]:
    """Two providers, each with a currency or without, and what else there is."""
    given = {"a": first, "b": second}
    accounts = {
        name: ACCOUNT if currency is None else {**ACCOUNT, "currency": currency}
        for name, currency in given.items()
    }
    return {"providers": accounts, **more}


BUDGET = {"limit": 5, "per": "day"}


@pytest.mark.parametrize(
    "mapping",
    [
        two("USD", "USD", budget=BUDGET),
        two("USD", None, budget=BUDGET),
        two(None, None, budget=BUDGET),
        two("USD", "EUR"),
    ],
)
def test_one_currency_can_be_added_up(mapping: Mapping[str, object]) -> None:
    load_mapping(mapping)


def test_budgets_of_their_own_may_be_of_several_currencies() -> None:
    accounts = {
        name: {**ACCOUNT, "currency": currency, "budget": BUDGET}
        for name, currency in (("a", "USD"), ("b", "VND"))
    }
    load_mapping({"providers": accounts})


@pytest.mark.parametrize("text", ["journal: jobs.db", "journal: {path: jobs.db}"])
def test_a_journal_is_a_file_beside_the_configuration(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, f"{text}\n").journal == JournalSettings(tmp_path / "jobs.db", 30 * 86_400.0)


def test_a_journal_may_be_there_already_and_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    file = tmp_path / "state" / "jobs.db"
    file.touch()
    assert load(tmp_path, "journal: state/jobs.db\n").journal.path == file
    assert load(tmp_path, f"journal: {file}\n").journal.path == file
    assert not (tmp_path / "jobs.db").exists()  # reading a configuration makes no file


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30d", 2_592_000.0), ("0s", 0.0), ("0d", 0.0), ("1.5d", 129_600.0), ("12h", 43_200.0)],
)
def test_ended_jobs_are_kept_for_a_time_that_may_be_none(tmp_path: Path, text: str, seconds: float) -> None:
    read = load(tmp_path, f"journal: {{path: jobs.db, keep: {text}}}\n").journal
    assert read == JournalSettings(tmp_path / "jobs.db", seconds)


def test_a_journal_in_memory_keeps_ended_jobs_for_a_time_as_well(tmp_path: Path) -> None:
    assert load(tmp_path, "journal: {keep: 1h}\n").journal == JournalSettings(None, 3600.0)
    assert load(tmp_path, "journal: {}\n").journal == JournalSettings()


def test_an_address_given_as_a_path_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="give it as url") as refused:
        JournalSettings(Path("postgresql://me:pa55@127.0.0.1/db"))
    assert "pa55" not in str(refused.value)


def test_budgets_and_journal_can_come_from_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "LIMIT": "5.00",
        "PER": "day",
        "TOWN": "Berlin",
        "CURRENCY": "EUR",
        "FILE": "jobs.db",
        "KEEP": "7d",
    }.items():
        monkeypatch.setenv(name, value)
    read = load(
        tmp_path,
        """\
    currency: ${env:CURRENCY}
    budget:
      limit: ${env:LIMIT}
      per: ${env:PER}
      zone: Europe/${env:TOWN}
journal:
  path: ${env:FILE}
  keep: ${env:KEEP}
""",
    )
    assert read.providers["a"].budget == Budget(Decimal(5), Period.DAY, ZoneInfo("Europe/Berlin"))
    assert read.providers["a"].currency == "EUR"
    assert read.journal == JournalSettings(tmp_path / "jobs.db", 7 * 86_400.0)


# --- the message for each mistake, with its line and place

BAD_LIMIT = "expected an amount from 0, such as 5.00, found"
BAD_PER = "expected one of hour, day, month, total, found"
BAD_ZONE = "expected a time zone such as Europe/Berlin, found"
BAD_BUDGET = "expected a budget such as {limit: 5.00, per: day}, found"
BAD_CURRENCY = "expected the code of a currency, three capital letters such as USD, found"
BAD_FILE = "expected the path of a file such as jobs.db, in a folder that is there, found"

# Each is tried at a provider and at the top of the file; the places begin there.
BROKEN_BUDGETS: Sequence[tuple[str, str]] = [
    ("budget: 5", f"budget: {BAD_BUDGET} 5"),
    ("budget: 5/day", f"budget: {BAD_BUDGET} '5/day'"),
    ("budget: [5, day]", f"budget: {BAD_BUDGET} a list"),
    ("budget:", f"budget: {BAD_BUDGET} nothing"),
    ("budget: never", f"budget: {BAD_BUDGET} 'never'"),
    ("budgt: {limit: 5, per: day}", "budgt: unknown key; did you mean 'budget'?..."),
    ("budget: {limit: -1, per: day}", f"budget.limit: {BAD_LIMIT} -1"),
    ("budget: {limit: 5 USD, per: day}", f"budget.limit: {BAD_LIMIT} '5 USD'"),
    ("budget: {limit: none, per: day}", f"budget.limit: {BAD_LIMIT} 'none'"),
    ("budget: {limit: '5,00', per: day}", f"budget.limit: {BAD_LIMIT} '5,00'"),
    ("budget: {limit: , per: day}", f"budget.limit: {BAD_LIMIT} nothing"),
    ("budget: {limit: .inf, per: day}", f"budget.limit: {BAD_LIMIT} inf"),
    ("budget: {limit: .nan, per: day}", f"budget.limit: {BAD_LIMIT} nan"),
    ("budget: {limit: yes, per: day}", f"budget.limit: {BAD_LIMIT} true"),
    (f"budget: {{limit: 0x{'f' * 5000}, per: day}}", f"budget.limit: {BAD_LIMIT} a huge number"),
    ("budget: {limit: ٢, per: day}", f"budget.limit: {BAD_LIMIT} '٢'"),
    ("budget: {per: day}", "budget.limit: missing; say how much may be spent, as in limit: 5.00"),
    ("budget: {limit: 5}", "budget.per: missing; say what the limit holds for: hour, day, month, total"),
    ("budget: {limit: 5, per: week}", f"budget.per: {BAD_PER} 'week'"),
    ("budget: {limit: 5, per: days}", f"budget.per: {BAD_PER} 'days'"),
    ("budget: {limit: 5, per: DAY}", f"budget.per: {BAD_PER} 'DAY'"),
    ("budget: {limit: 5, per: 24h}", f"budget.per: {BAD_PER} '24h'"),
    ("budget: {limit: 5, per: 24}", f"budget.per: {BAD_PER} 24"),
    ("budget: {limit: 5, per: }", f"budget.per: {BAD_PER} nothing"),
    (
        "budget: {limits: 5, per: day}",
        "budget.limits: unknown key; did you mean 'limit'? valid keys: limit, per, zone",
    ),
    ("budget: {limit: 5, per: day, zones: UTC}", "budget.zones: unknown key; did you mean 'zone'? ..."),
    ("budget: {limit: 5, per: day, soft: true}", "budget.soft: unknown key; valid keys: limit, per, zone"),
    ("budget: {limit: 5, per: day, limit: 6}", "budget.limit: duplicate key, ... keep one of the two"),
    (
        "budget: {limit: 5, per: day, zone: Europe/Berln}",
        f"budget.zone: {BAD_ZONE} 'Europe/Berln'; did you mean 'Europe/Berlin'?",
    ),
    (
        "budget: {limit: 5, per: day, zone: Berlin}",
        f"budget.zone: {BAD_ZONE} 'Berlin'; did you mean 'Europe/Berlin'?",
    ),
    (
        "budget: {limit: 5, per: day, zone: europe/berlin}",
        f"budget.zone: {BAD_ZONE} 'europe/berlin'; did you mean 'Europe/Berlin'?",
    ),
    (
        "budget: {limit: 5, per: day, zone: New York}",
        f"budget.zone: {BAD_ZONE} 'New York'; did you mean 'America/New_York'?",
    ),
    ("budget: {limit: 5, per: day, zone: utc}", f"budget.zone: {BAD_ZONE} 'utc'; did you mean 'UTC'?"),
    (
        "budget: {limit: 5, per: day, zone: '+02:00'}",
        f"budget.zone: {BAD_ZONE} '+02:00'; take a name of the IANA time zone database",
    ),
    (
        "budget: {limit: 5, per: day, zone: localtime}",
        f"budget.zone: {BAD_ZONE} 'localtime'...",
    ),
    (
        "budget: {limit: 5, per: day, zone: right/Europe/Berlin}",
        f"budget.zone: {BAD_ZONE} 'right/Europe/Berlin'; did you mean 'Europe/Berlin'?",
    ),
    ("budget: {limit: 5, per: day, zone: /etc/localtime}", f"budget.zone: {BAD_ZONE} '/etc/localtime'..."),
    (
        "budget: {limit: 5, per: day, zone: ../../../etc/passwd}",
        f"budget.zone: {BAD_ZONE} '../../../etc/passwd'...",
    ),
    (
        "budget: {limit: 5, per: day, zone: Europe}",
        f"budget.zone: {BAD_ZONE} 'Europe'...",
    ),
    (f"budget: {{limit: 5, per: day, zone: {'x' * 5000}}}", f"budget.zone: {BAD_ZONE} '{'x' * 40}…'..."),
    ("budget: {limit: 5, per: day, zone: 2}", f"budget.zone: {BAD_ZONE} 2; take a name ..."),
    ("budget: {limit: 5, per: day, zone: }", f"budget.zone: {BAD_ZONE} nothing..."),
    ("budget: {limit: 5, per: day, zone: [UTC]}", f"budget.zone: {BAD_ZONE} a list..."),
]


@pytest.mark.parametrize(("text", "message"), BROKEN_BUDGETS, ids=short)
def test_a_mistake_in_a_budget_is_reported_once_at_a_provider_and_at_the_top(
    tmp_path: Path, text: str, message: str
) -> None:
    for indent, place in (("    ", "providers.a."), ("", "")):
        (line,) = problems(tmp_path, f"{indent}{text}\n")
        assert fits(f"config.yaml:5: {place}{message}", line), line


BROKEN: Sequence[tuple[str, str]] = [
    ("    currency: usd", f"5: providers.a.currency: {BAD_CURRENCY} 'usd'"),
    ("    currency: $", f"5: providers.a.currency: {BAD_CURRENCY} '$'"),
    ("    currency: EURO", f"5: providers.a.currency: {BAD_CURRENCY} 'EURO'"),
    ("    currency: ДЖЮ", f"5: providers.a.currency: {BAD_CURRENCY} 'ДЖЮ'"),
    ("    currency: 840", f"5: providers.a.currency: {BAD_CURRENCY} 840"),
    ("    currency:", f"5: providers.a.currency: {BAD_CURRENCY} nothing"),
    ("    currency: [USD]", f"5: providers.a.currency: {BAD_CURRENCY} a list"),
    ("    curency: USD", "5: providers.a.curency: unknown key; did you mean 'currency'?"),
    ("currency: USD", "5: currency: unknown key; valid keys: budget, ..."),
    ("zone: UTC", "5: zone: unknown key; valid keys: budget, ..."),
    ("journal:", f"5: journal: {BAD_FILE} nothing..."),
    ("journal: ''", f"5: journal: {BAD_FILE} ''..."),
    ('journal: ":memory:"', f"5: journal: {BAD_FILE} ':memory:'; ... leave the key out for one in memory"),
    (
        'journal: {path: ":memory:", keep: 1d}',
        f"5: journal.path: {BAD_FILE} ':memory:'; ... leave the key out for one in memory",
    ),
    (
        "journal: 'file:jobs.db?mode=memory&cache=shared'",
        f"5: journal: {BAD_FILE} 'file:jobs.db?mode=memory&cache=shared'; write the path alone, ...",
    ),
    ("journal: sqlite:///jobs.db", f"5: journal: {BAD_FILE} 'sqlite:///jobs.db'; write the path alone, ..."),
    ("journal: ~no-such-user/jobs.db", f"5: journal: {BAD_FILE} '~no-such-user/jobs.db'..."),
    ("journal: true", f"5: journal: {BAD_FILE} true..."),
    ("journal: [jobs.db]", f"5: journal: {BAD_FILE} a list..."),
    (
        "journal: none/jobs.db",
        f"5: journal: {BAD_FILE} 'none/jobs.db'; relative paths begin at the configuration",
    ),
    ("journal: .", f"5: journal: {BAD_FILE} '.'..."),
    ("journal: config.yaml/jobs.db", f"5: journal: {BAD_FILE} 'config.yaml/..."),
    ("journal: /dev/null", f"5: journal: {BAD_FILE} '/dev/null'..."),
    ('journal: "\\uD800"', f"5: journal: {BAD_FILE} ..."),
    ('journal: "a\\0b"', f"5: journal: {BAD_FILE} 'a\\x00b'..."),
    (f"journal: {'x' * 5000}", f"5: journal: {BAD_FILE} '{'x' * 40}…'..."),
    ("    journal: jobs.db", "5: providers.a.journal: unknown key; did you mean 'journal_account'?"),
    ("jurnal: jobs.db", "5: jurnal: unknown key; did you mean 'journal'? ..."),
    (
        "journal:\n  pth: jobs.db",
        "6: journal.pth: unknown key; did you mean 'path'? valid keys: keep, path, pooler, schema, url",
    ),
    ("journal:\n  keep: 5d\n  path:", f"7: journal.path: {BAD_FILE} nothing..."),
    ("journal: {path: none/x}", f"5: journal.path: {BAD_FILE} 'none/x'..."),
    (
        "journal: {path: jobs.db, keep: 30}",
        "5: journal.keep: expected a duration such as 60s, 2m, 1.5s, 500ms, 1h or 30d, found 30; write 30s",
    ),
    ("journal: {keep: 30 days}", "5: journal.keep: expected a duration such as ... '30 days'"),
    (
        "journal: {keep: 30d}",
        (
            "5: journal.keep: without a path the journal is in memory, where jobs are kept for an hour "
            "at most; name the file as well, as in path: jobs.db"
        ),
    ),
    ("journal: {keep: never}", "5: journal.keep: expected a duration such as ... 'never'"),
    ("journal: {keep: 366d}", "5: journal.keep: expected a duration up to 365d, found '366d'"),
    ("journal: {keep: }", "5: journal.keep: expected a duration ... found nothing"),
    ("journal: {keep: -1d}", "5: journal.keep: expected a duration ... found '-1d'"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=short)
def test_a_mistake_is_reported_once_with_its_line_place_and_advice(
    tmp_path: Path, text: str, message: str
) -> None:
    (line,) = problems(tmp_path, f"{text}\n")
    assert fits(f"config.yaml:{message}", line), line


def test_every_mistake_is_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
    currency: usd
    budget:
      limit: -1
      zone: Nowhere
budget: {per: week}
journal: {path: none/x, keep: 5}
"""
    places = [line.split(": ")[:2] for line in problems(tmp_path, text)]
    assert sorted(places) == [
        ["config.yaml:10", "journal.keep"],
        ["config.yaml:10", "journal.path"],
        ["config.yaml:5", "providers.a.currency"],
        ["config.yaml:6", "providers.a.budget.per"],
        ["config.yaml:7", "providers.a.budget.limit"],
        ["config.yaml:8", "providers.a.budget.zone"],
        ["config.yaml:9", "budget.limit"],
        ["config.yaml:9", "budget.per"],
    ]
    lines = [int(position.rpartition(":")[2]) for position, _place in places]
    assert lines == sorted(lines)


def test_several_currencies_can_not_be_added_up(tmp_path: Path) -> None:
    more = """\
    currency: USD
  b: {plugin: omocaptcha, api_token: x, currency: EUR}
  c: {plugin: omocaptcha, api_token: x}
  d: {plugin: omocaptcha, api_token: x, currency: USD}
budget: {limit: 5, per: day}
"""
    (line,) = problems(tmp_path, more)
    problem = "it can't add up different currencies: a in 'USD', b in 'EUR', d in 'USD'"
    assert (
        line == f"config.yaml:9: budget: {problem}; leave it out, and give each provider a budget of its own"
    )


@pytest.fixture
def no_zone_data(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without time zones, and without the package that brings them."""
    monkeypatch.setitem(sys.modules, "tzdata", None)
    zoneinfo.reset_tzpath(to=[])
    yield
    zoneinfo.reset_tzpath()


@pytest.mark.usefixtures("no_zone_data")
def test_missing_zone_data_is_reported(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "budget: {limit: 5, per: day, zone: Europe/Berlin}\n")
    assert line.startswith(f"config.yaml:5: budget.zone: {BAD_ZONE} 'Europe/Berlin'")
    assert line.endswith("; this machine has no time zone data but UTC: install tzdata")


@pytest.mark.usefixtures("no_zone_data")
def test_utc_needs_no_zone_data(tmp_path: Path) -> None:
    assert own_budget(tmp_path, "{limit: 5, per: day, zone: UTC}") == Budget(Decimal(5), Period.DAY, UTC)
    assert own_budget(tmp_path, "{limit: 5, per: day}") == Budget(Decimal(5), Period.DAY, UTC)


# --- references


@pytest.mark.parametrize(
    "text",
    [
        "    budget: ${env:MONEY_VALUE}",
        "    budget: {limit: '${env:MONEY_VALUE}', per: day}",
        "    budget: {limit: 5, per: '${env:MONEY_VALUE}'}",
        "    budget: {limit: 5, per: day, zone: '${env:MONEY_VALUE}'}",
        "    budget: {limit: 5, per: day, zone: 'Europe/${env:MONEY_VALUE}'}",
        "    currency: ${env:MONEY_VALUE}",
        "budget: ${env:MONEY_VALUE}",
        "budget: {limit: '${env:MONEY_VALUE}', per: day}",
        "journal: none/${env:MONEY_VALUE}",
        "journal: {path: 'none/${env:MONEY_VALUE}'}",
        "journal: {path: jobs.db, keep: '${env:MONEY_VALUE}'}",
    ],
)
def test_a_value_from_a_reference_is_called_by_its_name_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("MONEY_VALUE", SENSITIVE)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"{text}\n")
    assert SENSITIVE not in "".join(traceback.format_exception(caught.value))
    assert "found the value of ${env:MONEY_VALUE}" in str(caught.value)


@pytest.mark.parametrize("zone", ["${env:MONEY_VALUE}", "Europe/${env:MONEY_VALUE}"])
def test_no_advice_spells_out_what_a_reference_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("MONEY_VALUE", "Lisbonn")
    (line,) = problems(tmp_path, f"budget: {{limit: 5, per: day, zone: '{zone}'}}\n")
    assert "Lisbon" not in line


def test_a_currency_from_a_reference_is_called_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONEY_VALUE", "CHF")
    more = "    currency: ${env:MONEY_VALUE}\n  b: {plugin: omocaptcha, api_token: x, currency: EUR}\n"
    (line,) = problems(tmp_path, f"{more}budget: {{limit: 5, per: day}}\n")
    assert "CHF" not in line
    assert "a in the value of ${env:MONEY_VALUE}, b in 'EUR'" in line


@pytest.mark.parametrize(
    "text",
    [
        "    budget: ${env:NOT_SET_AT_ALL}",
        "    budget: {limit: '${env:NOT_SET_AT_ALL}', per: day}",
        "    budget: {limit: 5, per: day, zone: '${env:NOT_SET_AT_ALL}'}",
        "    currency: ${env:NOT_SET_AT_ALL}",
        "journal: ${env:NOT_SET_AT_ALL}",
        "journal: {path: '${env:NOT_SET_AT_ALL}'}",
    ],
)
def test_of_a_reference_to_an_unset_variable_only_that_is_reported(tmp_path: Path, text: str) -> None:
    (line,) = problems(tmp_path, f"{text}\n")
    assert "the environment variable NOT_SET_AT_ALL is not set" in line


# --- random values

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.binary(max_size=3)
    | st.text(max_size=5)
    | st.sampled_from(
        ["day", "total", "0", "-0", "5.00", "1e3", "USD", "UTC", "Europe/Berlin", "Europe", "30d"]
    )
    | st.sampled_from(["0s", "jobs.db", "..", "/", "\0", "\ud800", "${env:MONEY_VALUE}", "${", "x" * 5000])
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def holding(kind: type[attrs.AttrsInstance], **right: object) -> st.SearchStrategy[object]:
    """Anything, and often a mapping with the right keys, some of them with right values."""
    keys = {
        field.name: st.just(right[field.name]) | NESTED if field.name in right else NESTED
        for field in attrs.fields(kind)
    }
    return NESTED | st.fixed_dictionaries({}, optional=keys)


BUDGETS = holding(Budget, limit=5, per="day", zone="Europe/Berlin")


@given(
    st.fixed_dictionaries({}, optional={"budget": BUDGETS, "currency": NESTED}),
    st.fixed_dictionaries(
        {}, optional={"budget": BUDGETS, "journal": holding(JournalSettings, path="jobs.db", keep="1d")}
    ),
)
def test_any_value_gives_settings_or_a_config_error(own: dict[str, object], top: dict[str, object]) -> None:
    mapping = {"providers": {"a": {**ACCOUNT, **own}, "b": {**ACCOUNT, "currency": "EUR"}}, **top}
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(ConfigError):
        patch.setenv("MONEY_VALUE", SENSITIVE)
        read = load_mapping(mapping)
        # What was taken can be worked with.
        one = read.providers["a"]
        for budget in (read.budget, one.budget):
            assert budget is None or 0 <= budget.limit <= 10**9
        assert one.currency is None or len(one.currency) == 3
        assert 0 <= read.journal.keep <= 365 * 86_400
        assert read.journal.path is None or not read.journal.path.is_dir()


@pytest.mark.parametrize(("written", "seconds"), [("1h", 3600.0), ("0s", 0.0), ("2d", 172_800.0)])
def test_answers_can_be_given_to_equal_tasks_for_a_time(written: str, seconds: float) -> None:
    mapping = {"providers": {"omo": {"plugin": "omocaptcha", "api_token": "t0ken"}}, "cache": written}
    assert load_mapping(mapping).cache == seconds


def test_how_long_they_are_given_is_a_duration() -> None:
    mapping = {"providers": {"omo": {"plugin": "omocaptcha", "api_token": "t0ken"}}, "cache": 60}
    with pytest.raises(ConfigError, match=r"cache: expected a duration .* write 60s"):
        load_mapping(mapping)
