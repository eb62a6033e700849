"""The configuration: the settings that it gives, and the message for each mistake."""

from __future__ import annotations

import contextlib
import enum
import traceback
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

import attrs
import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from captchahub._plugins.manager import Plugins
from captchahub.config import load_mapping, load_yaml
from captchahub.errors import ConfigError
from captchahub.hookspecs import hookimpl
from captchahub.provider import LocalProvider, ProviderKind, Secret, service_url
from captchahub.settings import (
    HealthSettings,
    HttpSettings,
    HubSettings,
    JournalSettings,
    PollAim,
    PollSettings,
    ProviderSettings,
)
from captchahub.tasks import Solution, Task, TextSolution
from tests.config.problem_lines import fits, problem_lines, short


class Speed(enum.StrEnum):
    SLOW = "slow"


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


@attrs.frozen
class Corner:
    x: int
    y: int


def long_enough(_settings: object, _field: object, value: Secret) -> None:
    if value.reveal() == "short-token":
        raise ValueError(f"{value.reveal()} is too short")


def one_key(_settings: object, _field: object, value: Sequence[Secret]) -> None:
    if len(value) > 1:
        raise ValueError(f"one is enough, not {value[1].reveal()}")


def one_word(_settings: object, _field: object, value: Secret | None) -> None:
    if value is not None and " " in value.reveal():
        raise ValueError("copy it again, alone")


@attrs.frozen
class Inner:
    secret: Secret


def no_inner_secret(_settings: object, _field: object, value: Inner | None) -> None:
    if value is not None and value.secret.reveal() == "inside":
        raise ValueError(f"not {value.secret.reveal()}")


class Title(str):
    __slots__ = ()


def doubled(value: int, _settings: object) -> int:
    if value > 5:
        raise ValueError("not more than 5")
    return value * 2


@attrs.frozen
class EchoSettings:
    api_token: Secret = attrs.field(validator=long_enough)
    base_url: str = attrs.field(default="https://echo.example", converter=service_url)
    mode: Literal["fast", "exact"] = "fast"
    size: Size = Size.SMALL
    speed: Speed = Speed.SLOW
    tries: int | None = None
    fee: Decimal = Decimal(0)
    ratio: float = attrs.field(default=0.5, validator=attrs.validators.le(1))
    loud: bool = False
    words: tuple[str, ...] = ()
    pair: tuple[int, str] | None = None
    either: int | str = 0
    tags: frozenset[str] = frozenset()
    numbers: Sequence[int] = ()
    labels: Mapping[str, str] = attrs.field(factory=dict[str, str])
    corner: Corner | None = None
    corners: list[Corner] = attrs.field(factory=list[Corner])
    model: Path | None = None
    key: Secret | None = attrs.field(default=None, validator=one_word)
    raw: bytes = b""
    title: Title | None = None
    when: datetime | None = None
    _hidden: int = attrs.field(default=0, alias="hidden")
    level: int = attrs.field(
        default=0,
        converter=attrs.Converter(doubled, takes_self=True),  # type: ignore[misc]  # mypy's plugin lags
    )
    counted: int = attrs.field(default=0, init=False)
    keys: list[Secret] = attrs.field(factory=list[Secret], validator=one_key)
    inner: Inner | None = attrs.field(default=None, validator=no_inner_secret)

    def __attrs_post_init__(self) -> None:
        if self.mode == "exact" and self.tries is None:
            raise ValueError("the mode exact needs tries")
        if self.mode == "exact" and self.tries == 0:
            raise ValueError(f"{self.base_url} is not exact")
        if self.mode == "exact" and self.tries == 1:
            raise ValueError(f"{self.api_token.reveal()} is not exact")


class Echo(LocalProvider):
    kinds = frozenset({"image-to-text", "echo-back"})

    def __init__(self, _settings: object) -> None:
        raise AssertionError("a provider is not built to check its configuration")

    def solve(self, task: Task[Solution]) -> Solution:
        return TextSolution("echo")


@attrs.frozen
class Clashing:
    timeout: int = 5


@attrs.frozen
class Unreadable:
    word: Missing = 1  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable, reportUnknownVariableType]  # the mistake under test


def above_small(settings: Pair, _field: object, value: int) -> None:
    if value <= settings.small:
        raise ValueError("large must be above small")


@attrs.frozen
class Pair:
    small: int
    large: int = attrs.field(validator=above_small)


@attrs.frozen
class StrictWord:
    other: int
    word: str | None = attrs.field(default="", validator=attrs.validators.instance_of(str))


class EchoPlugin:
    @hookimpl
    def captchahub_provider_kinds(self) -> Iterable[ProviderKind[object]]:
        yield ProviderKind("echo", EchoSettings, Echo)
        yield ProviderKind("clashing", Clashing, Echo)
        yield ProviderKind("unreadable", Unreadable, Echo)
        yield ProviderKind("pair", Pair, Echo)
        yield ProviderKind("strict", StrictWord, Echo)
        yield ProviderKind("plain", dict[str, object], Echo)


PLUGINS = (EchoPlugin(),)

START = "providers:\n  a:\n    plugin: echo\n    api_token: tok-7\n"  # four lines; tests go on at the fifth


def write(directory: Path, text: str | bytes) -> Path:
    path = directory / "config.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def load(directory: Path, text: str | bytes) -> HubSettings:
    return load_yaml(write(directory, text), plugins=PLUGINS)


def problems(directory: Path, text: str | bytes) -> list[str]:
    return problem_lines(load, directory, text)


def own(configured: HubSettings, name: str = "a") -> EchoSettings:
    value = configured.providers[name].own
    assert isinstance(value, EchoSettings)
    return value


# --- the settings that a correct configuration gives


def test_the_least_configuration_has_the_documented_defaults(tmp_path: Path) -> None:
    configured = load(tmp_path, START)
    assert (configured.routes, configured.timeout) == ({}, 120.0)
    provider = configured.providers["a"]
    assert (provider.name, provider.plugin, provider.kind) == ("a", "echo", Plugins(PLUGINS).kind("echo"))
    # Without a timeout of its own, a provider gets a fair share of what the solve has left.
    assert (provider.timeout, provider.create_timeout, provider.poll_timeout) == (None, 30.0, 10.0)
    assert provider.poll == PollSettings()
    assert (provider.max_in_flight, provider.rate, provider.prices) == (50, None, {})
    assert (provider.currency, provider.budget) == (None, None)
    assert (configured.budget, configured.journal) == (None, JournalSettings(None, 30 * 86_400.0))
    assert (provider.report_wrong, provider.health, provider.http) == (
        False,
        HealthSettings(),
        HttpSettings(),
    )
    assert own(configured) == EchoSettings(Secret("tok-7"))


def test_every_common_key_reaches_its_field(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    provider = load(
        tmp_path,
        START
        + "    timeout: 2m\n    create_timeout: 1.5s\n    poll_timeout: 500ms\n    max_in_flight: 3\n"
        + "    poll: {first: 3s, every: 50ms, aim: calls}\n"
        + "    prices: {image-to-text: 0.1, echo-back: '0.20', phone-slide: 1}\n    ca_bundle: ca.pem\n"
        + "    proxy: http://user:word@127.0.0.1:3128\n    user_agent: tests/1.0\n"
        + "    max_reply_bytes: 2000\n",
    ).providers["a"]
    assert (provider.timeout, provider.create_timeout, provider.poll_timeout) == (120.0, 1.5, 0.5)
    assert provider.poll == PollSettings(3.0, 0.05, PollAim.CALLS)
    assert provider.max_in_flight == 3
    assert provider.prices == {
        "image-to-text": Decimal("0.1"),
        "echo-back": Decimal("0.20"),
        "phone-slide": Decimal(1),
    }
    assert provider.http == HttpSettings(
        tmp_path / "ca.pem", "http://user:word@127.0.0.1:3128", "tests/1.0", max_reply_bytes=2000
    )


def test_every_kind_of_own_setting_is_read(tmp_path: Path) -> None:
    text = """\
    base_url: https://other.example/
    mode: exact
    size: large
    tries: 2
    fee: 0.30
    ratio: 1
    loud: true
    words: [one, two]
    pair: [3, x]
    either: text
    tags: [b, a, b]
    numbers: [1, 2]
    labels: {colour: red}
    corner: {x: 1, y: 2}
    corners: [{x: 3, y: 4}]
    model: data/model.bin
    key: tok-8
    speed: slow
    hidden: 3
    level: 4
    keys: [tok-9]
    inner: {secret: tok-10}
"""
    assert own(load(tmp_path, START + text)) == EchoSettings(
        Secret("tok-7"),
        base_url="https://other.example",
        mode="exact",
        size=Size.LARGE,
        tries=2,
        fee=Decimal("0.3"),
        ratio=1.0,
        loud=True,
        words=("one", "two"),
        pair=(3, "x"),
        either="text",
        tags=frozenset("ab"),
        numbers=(1, 2),
        labels={"colour": "red"},
        corner=Corner(1, 2),
        corners=[Corner(3, 4)],
        model=tmp_path / "data/model.bin",
        key=Secret("tok-8"),
        speed=Speed.SLOW,
        hidden=3,
        level=4,
        keys=[Secret("tok-9")],
        inner=Inner(Secret("tok-10")),
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60.0),
        ("2m", 120.0),
        ("1.5s", 1.5),
        ("500ms", 0.5),
        ("1h", 3600.0),
        ("0.5m", 30.0),
        ("2d", 172_800.0),
    ],
)
def test_durations_are_written_with_their_unit(tmp_path: Path, text: str, seconds: float) -> None:
    assert load(tmp_path, f"{START}timeout: {text}\n").timeout == seconds


def test_routes_keep_the_order_of_the_file_and_a_kind_can_have_none(tmp_path: Path) -> None:
    more = "  b: {plugin: echo, api_token: x}\nroutes:\n  echo-back: [b, a]\n"
    configured = load(tmp_path, START + more)
    assert configured.routes["echo-back"].names == ("b", "a")
    assert list(configured.routes) == ["echo-back"]
    assert list(configured.providers) == ["a", "b"]


def test_anchors_and_merge_keys_save_repetition(tmp_path: Path) -> None:
    text = """\
providers:
  a: &common
    plugin: echo
    api_token: one
    timeout: 10s
  b: {<<: *common, api_token: two}
  c: {<<: [{max_in_flight: 7}, *common]}
"""
    configured = load(tmp_path, text)
    assert [own(configured, name).api_token.reveal() for name in "abc"] == ["one", "two", "one"]
    assert [configured.providers[name].timeout for name in "abc"] == [10.0] * 3
    assert configured.providers["c"].max_in_flight == 7


def test_a_byte_order_mark_and_other_alphabets_are_fine(tmp_path: Path) -> None:
    text = START.replace(" a:", " счёт:")
    assert list(load(tmp_path, b"\xef\xbb\xbf" + text.encode()).providers) == ["счёт"]


# --- references


def test_references_are_followed_whole_and_inside_a_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECHO_TOKEN", "from-env")
    monkeypatch.setenv("ECHO_HOST", "echo.test")
    (tmp_path / "key").write_text("from-file\n\n")
    text = START.replace("tok-7", "${env:ECHO_TOKEN}") + (
        "    base_url: https://${env:ECHO_HOST}/v1\n    key: ${file:key}\n    words: ['$${env:X} $$ $5 {}']\n"
    )
    read = own(load(tmp_path, text))
    assert (read.api_token.reveal(), read.base_url) == ("from-env", "https://echo.test/v1")
    assert read.key == Secret("from-file\n")  # one newline goes, no more
    assert read.words == ("${env:X} $$ $5 {}",)


def test_what_a_reference_gives_is_not_read_for_references_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECHO_TOKEN", "${env:HOME}")
    assert own(load(tmp_path, START.replace("tok-7", "${env:ECHO_TOKEN}"))).api_token == Secret("${env:HOME}")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is empty"),
        (b"\xff\xfet", "is not UTF-8 text"),
        (b"t\x00o\x00k\x00", "is not UTF-8 text"),
        (b"\xfft", "is not UTF-8 text"),
        (b"x" * 100_000, "is larger than 65536 bytes"),
    ],
)
def test_a_secret_file_without_a_usable_value_is_reported(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    (line,) = problems(tmp_path, START.replace("tok-7", "${file:key}"))
    assert line.startswith("config.yaml:4: providers.a.api_token: ${file:key} ")
    assert reason in line


MARKED = ("utf-8", "utf-8-sig", "utf-16", "utf-32")
"""Encodings that begin with a mark, and that which needs none."""


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("encoding", MARKED)
def test_a_secret_file_can_begin_with_a_byte_order_mark(tmp_path: Path, encoding: str, end: str) -> None:
    (tmp_path / "key").write_bytes(f"from-filé{end}".encode(encoding))
    read = own(load(tmp_path, START + "    key: ${file:key}\n"))
    assert read.key == Secret("from-filé")


@pytest.mark.parametrize("order", ["little", "big"])
def test_the_mark_of_a_secret_file_can_be_in_either_byte_order(tmp_path: Path, order: str) -> None:
    codec = {"little": "utf-16-le", "big": "utf-16-be"}[order]
    (tmp_path / "key").write_bytes("\ufefftok-8".encode(codec))
    assert own(load(tmp_path, START.replace("tok-7", "${file:key}"))).api_token == Secret("tok-8")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", MARKED)
def test_the_configuration_can_begin_with_a_byte_order_mark(tmp_path: Path, encoding: str, end: str) -> None:
    text = START.replace("tok-7", "tök-7").replace("\n", end)
    assert own(load(tmp_path, text.encode(encoding))).api_token == Secret("tök-7")
    (line,) = problems(tmp_path, f"{text}timeot: 5s{end}".encode(encoding))
    assert line.startswith("config.yaml:5: timeot: unknown key")


def test_a_path_can_begin_at_the_home_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_text("tok-8")
    read = load(tmp_path, START.replace("tok-7", "${file:~/key}") + "journal: ~/jobs.db\n")
    assert own(read).api_token == Secret("tok-8")
    assert read.journal.path == tmp_path / "jobs.db"


def test_the_home_of_an_unknown_user_is_reported(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, START.replace("tok-7", "${file:~no-such-user/key}"))
    assert "${file:~no-such-user/key} can't be read: No such file or directory" in line


SENSITIVE = "Zx-9-very-private"


@pytest.mark.parametrize(
    "entry",
    [
        "    timeout: ${env:ECHO_VALUE}\n",
        "    max_in_flight: ${env:ECHO_VALUE}\n",
        "    prices: {image-to-text: '${env:ECHO_VALUE}'}\n",
        "    prices: ${env:ECHO_VALUE}\n",
        "    ca_bundle: ${env:ECHO_VALUE}\n",
        "    proxy: ${env:ECHO_VALUE}\n",
        "    base_url: ${env:ECHO_VALUE}\n",
        "    base_url: http://${env:ECHO_VALUE}/\n",
        "    mode: ${env:ECHO_VALUE}\n",
        "    words: ${env:ECHO_VALUE}\n",
        "    pair: [1, '${env:ECHO_VALUE}', 2]\n",
        "    corner: {x: '${env:ECHO_VALUE}', y: 2}\n",
        "    mode: exact\n    tries: 0\n    base_url: https://echo.example/${env:ECHO_VALUE}\n",
        "  b: ${env:ECHO_VALUE}\n",
        "  b: {plugin: '${env:ECHO_VALUE}'}\n",
        "routes: {image-to-text: ['${env:ECHO_VALUE}']}\n",
        "routes: {image-to-text: [a, a, '${env:ECHO_VALUE}']}\n",
        "timeout: ${env:ECHO_VALUE}\n",
    ],
)
def test_a_value_from_a_reference_never_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    monkeypatch.setenv("ECHO_VALUE", SENSITIVE)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, START + entry)
    assert SENSITIVE not in repr(caught.value)
    assert SENSITIVE not in "".join(traceback.format_exception(caught.value))


def test_a_value_from_a_reference_is_called_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECHO_VALUE", "60")
    (line,) = problems(tmp_path, START + "    timeout: ${env:ECHO_VALUE}\n")
    assert line.startswith("config.yaml:5: providers.a.timeout: expected a duration such as 60s")
    assert line.endswith("found the value of ${env:ECHO_VALUE}")


def test_a_plugins_words_are_repeated_if_they_do_not_hold_the_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECHO_VALUE", "tok with a space")
    (line,) = problems(tmp_path, START + "    key: ${env:ECHO_VALUE}\n")
    assert line == "config.yaml:5: providers.a.key: copy it again, alone"


def test_an_empty_variable_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHO_VALUE", "")
    (line,) = problems(tmp_path, START + "    key: ${env:ECHO_VALUE}\n")
    assert line.endswith("the environment variable ECHO_VALUE is empty; give it a value")


def test_no_repr_shows_a_token_or_a_proxys_password(tmp_path: Path) -> None:
    configured = load(tmp_path, START + "    proxy: http://me:pass-word@proxy.example:1\n    key: tok-8\n")
    shown = repr(configured) + str(configured) + repr(configured.providers["a"]) + repr(own(configured))
    assert not any(word in shown for word in ("tok-7", "tok-8", "pass-word"))


# --- the message for each mistake, with its line and place, in a file that goes on after START

BROKEN: Sequence[tuple[str, str]] = [
    (
        "    timout: 5s",
        "5: providers.a.timout: unknown key; did you mean 'timeout'?",
    ),
    ("    bse_url: x", "5: providers.a.bse_url: unknown key; did you mean 'base_url'?"),
    (
        "    corner:\n      x: 1\n      y: 2\n      z: 3",
        "8: providers.a.corner.z: unknown key; valid keys: x, y",
    ),
    ("route: {}", "5: route: unknown key; did you mean 'routes'? ..."),
    ("    webhook: {port: 5}", "5: providers.a.webhook: unknown key; valid keys: api_token, ..."),
    ("    timeout: 60", "5: providers.a.timeout: expected a duration ... found 60; write 60s"),
    ("timeout: 1:30", "5: timeout: expected a duration ... write 90s"),
    ("timeout: 5w", "5: timeout: expected a duration such as 60s, ... 1h or 30d, found '5w'"),
    ("timeout: '5'", "5: timeout: expected a duration ... found '5'"),
    ("timeout: 0s", "5: timeout: expected a duration above 0s and up to 365d, found '0s'"),
    ("timeout: -5s", "5: timeout: expected a duration ... found '-5s'"),
    ("timeout: .inf", "5: timeout: expected a duration ... write a number and its unit"),
    ("timeout: .nan", "5: timeout: expected a duration ... found nan; ..."),
    ("timeout: infs", "5: timeout: expected a duration ... found 'infs'"),
    (f"timeout: {'9' * 400}h", "5: timeout: expected a duration above 0s and up to 365d, ..."),
    ("    timeout:", "5: providers.a.timeout: expected a duration ... found nothing"),
    ("    max_in_flight: '5'", "5: providers.a.max_in_flight: expected a whole ... without quotes; ..."),
    ("    max_in_flight: yes", "5: providers.a.max_in_flight: expected a whole ... found true"),
    ("    max_in_flight: 0", "5: providers.a.max_in_flight: expected ... from 1 to 2147483647, found 0"),
    ("    max_in_flight: 2.0", "5: providers.a.max_in_flight: expected ... found 2.0"),
    (f"    max_reply_bytes: 0x{'f' * 5000}", "5: providers.a.max_reply_bytes: expected ... a huge number"),
    ("    prices: {image-to-text: -1}", "5: providers.a.prices.image-to-text: expected ... found -1"),
    ("    prices:\n      image-to-text: free", "6: providers.a.prices.image-to-text: expected ... 'free'"),
    ("    prices: {image-to-text: .nan}", "5: providers.a.prices.image-to-text: ... found nan"),
    ("    prices: {image-to-txt: 1}", "5: providers.a.prices.image-to-txt: ... mean 'image-to-text'? ..."),
    ("    prices: [1]", "5: providers.a.prices: expected a mapping, found a list"),
    (
        "    ca_bundle: none.pem",
        "5: providers.a.ca_bundle: expected the path ... found 'none.pem'; it does not exist; ...",
    ),
    (
        "    ca_bundle: config.yaml",
        (
            "5: providers.a.ca_bundle: expected the path of a PEM file with certificates ... it holds no "
            "certificate; name a PEM file, ..."
        ),
    ),
    (
        "    ca_bundle: .",
        (
            "5: providers.a.ca_bundle: expected the path of a PEM file with certificates ... it is a "
            "folder without certificates; ..."
        ),
    ),
    (
        "    proxy: http://me:12/pass-word@proxy.example:3128",
        "5: providers.a.proxy: expected the address ... %2F, %3F, %23 and %40",
    ),
    (
        "    proxy: socks5://127.0.0.1:1080",
        "5: providers.a.proxy: expected the address ... must be an http:// or https:// address, ...",
    ),
    ("    proxy: localhost:1", "5: providers.a.proxy: expected the address ... not shown ..."),
    ('    user_agent: "a\\nb"', "5: providers.a.user_agent: expected printable ASCII text, found 'a\\nb'"),
    ("    words: [1]", "5: providers.a.words[0]: expected text, found 1; put it in quotes"),
    ("    words: one", "5: providers.a.words: expected a list, found 'one'"),
    ("    corners:\n      - {x: 1, y: 2}\n      - {x: 1, y: a}", "7: providers.a.corners[1].y: ... 'a'"),
    ("    corner: {x: 1}", "5: providers.a.corner.y: missing; the plugin needs it"),
    ("    pair: [1]", "5: providers.a.pair: expected a list of 2, found a list"),
    ("    pair: [x, y]", "5: providers.a.pair[0]: expected a whole number, found 'x'"),
    ("    either: [1]", "5: providers.a.either: expected a whole number or text, found a list"),
    ("    mode: slow", "5: providers.a.mode: expected one of fast, exact, found 'slow'"),
    ("    speed: fast", "5: providers.a.speed: expected one of slow, found 'fast'"),
    ("    raw: abc", "5: providers.a.raw: expected a bytes, which a configuration can't ... plugin's author"),
    ("    when: x", "5: providers.a.when: the plugin can't take this ... plugin's author"),
    (
        "    labels: {x: &a0 [1]}\n" + "".join(f"    l{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 60)),
        "5: this is nested too deeply; at most 50 levels are read",
    ),
    ("    title: x", "5: providers.a.title: expected a Title, which a configuration ... plugin's author"),
    ("    counted: 1", "5: providers.a.counted: unknown key; did you mean 'corner'?"),
    ("    _hidden: 1", "5: providers.a._hidden: unknown key; did you mean 'hidden'?"),
    ("    hidden: x", "5: providers.a.hidden: expected a whole number, found 'x'"),
    ("    level: 6", "5: providers.a.level: not more than 5"),
    ("    fee: [1]", "5: providers.a.fee: expected an amount such as 0.0005, found a list"),
    (f"    fee: 0x{'f' * 5000}", "5: providers.a.fee: expected an amount ... found a huge number"),
    ("    model: 5", "5: providers.a.model: expected a path, found 5"),
    (
        f"    ca_bundle: {'a' * 5000}",
        "5: providers.a.ca_bundle: expected ... 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…'; ...",
    ),
    ("    proxy: http://h:99999", "5: providers.a.proxy: expected the address ... not shown ..."),
    ("    proxy: http://a b", "5: providers.a.proxy: expected the address ... not shown ..."),
    ("    size: SMALL", "5: providers.a.size: expected one of small, large, found 'SMALL'"),
    ("    labels: {colour: on}", "5: providers.a.labels.colour: expected text, found true; put it in quotes"),
    ("    loud: 'true'", "5: providers.a.loud: expected true or false, ... without quotes; ..."),
    ("    ratio: true", "5: providers.a.ratio: expected a number, found true"),
    ("    ratio: .inf", "5: providers.a.ratio: expected a finite number, found inf"),
    ("    fee: 2024-01-01", "5: providers.a.fee: expected an amount such as 0.0005, found a date"),
    ("    base_url: http://x.example", "5: providers.a.base_url: http ... use https"),
    ("    ratio: 1.5", "5: providers.a.ratio: 'ratio' must be <= 1: 1.5"),
    ("    mode: exact", "2: providers.a: the mode exact needs tries"),
    ("    plugin: echo", "5: providers.a.plugin: duplicate key, first on line 3; keep one of the two"),
    ("  a: {}", "5: providers.a: duplicate key, first on line 2; keep one of the two"),
    ("    5: x", "5: providers.a: the key '5' is not text; put it in quotes"),
    ("    on: x", "5: providers.a: the key 'on' is not text; put it in quotes"),
    ("    [x]: x", "5: providers.a: the key is not text; put it in quotes"),
    ("  b: {plugin: ehco}", "5: providers.b.plugin: no plugin named 'ehco' ... did you mean 'echo'? ..."),
    ("  b: {timout: 5s}", "5: providers.b.plugin: missing; name the plugin to use; installed: clashing, ..."),
    ("  b: {plugin: 5}", "5: providers.b.plugin: expected text, found 5; put it in quotes"),
    ("  b:\n    plugin: echo", "5: providers.b.api_token: missing; the plugin needs it"),
    ("  b: echo", "5: providers.b: expected a mapping, found 'echo'"),
    ("  b c: {plugin: echo, api_token: x}", "5: providers.'b c': a provider's name is made of letters, ..."),
    ("  b: {plugin: clashing}", "5: providers.b.plugin: the plugin 'clashing' ... has: timeout; update it"),
    ("  b: {plugin: unreadable}", "5: providers.b.plugin: the plugin 'unreadable' ... 'Missing' ..."),
    ("  b: {plugin: plain}", "5: providers.b.plugin: the plugin 'plain' ... attrs class; update it"),
    ("routes:\n  image-to-text: [b]", "6: routes.image-to-text[0]: 'b' is not a provider; defined: a"),
    (
        "routes:\n  image-to-text:\n  - a\n  - a",
        "8: routes.image-to-text[1]: 'a' is named twice; leave one out",
    ),
    ("routes:\n  image-to-text: []", "6: routes.image-to-text: the route is empty; name a provider, ..."),
    ("routes: {image-to-text: a}", "5: routes.image-to-text: expected a list, found 'a'"),
    ("routes: {image-to-txt: [a]}", "5: routes.image-to-txt: unknown task ... 'image-to-text'? ..."),
    ("routes: [a]", "5: routes: expected a mapping, found a list"),
    ("    api_tokn: ${env:NO_SUCH_X}", "5: providers.a.api_tokn: unknown key; did you mean 'api_token'?"),
    ("    key: ${env:NO_SUCH_X}", "5: providers.a.key: the environment variable NO_SUCH_X is not set; ..."),
    ("    key: ${env:}", "5: providers.a.key: ${env:} is not the name ... write ${env:NAME}, ..."),
    (
        "    key: ${vault:x}",
        "5: providers.a.key: a reference of an unknown kind 'vault'; ... ${file:PATH} ...",
    ),
    ("    key: ${TOKEN}", "5: providers.a.key: a reference of an unknown kind; write ${env:NAME}, ..."),
    ("    key: x${env:TOKEN", "5: providers.a.key: a '${' without its '}'; ... $${ for a plain ${"),
    ("    key: ${file:.}", "5: providers.a.key: ${file:.} can't be read: Is a directory; ..."),
    ('    key: "${file:\\0}"', "5: providers.a.key: ${file:\\x00} can't be read: not a possible ..."),
    ("    key: !!python/object:os.system x", "5: providers.a.key: YAML tags can't ... plain value, ..."),
    ("    key: !!binary aGk=", "5: providers.a.key: YAML tags can't ... plain value, ..."),
    (
        "    key: 2024-99-99",
        "5: providers.a.key: YAML takes this for a timestamp, and it is none; put it in quotes",
    ),
    (
        "    tries: !!int x",
        "5: providers.a.tries: YAML takes this for a int, and it is none; put it in quotes",
    ),
    ("    <<: x", "5: providers.a: '<<' takes an alias of a mapping, such as '<<: *common'"),
    ("    <<: {}\n    <<: {}", "6: providers.a: a second '<<'; ... a list of aliases"),
    ("\tx: 1", "5: not valid YAML: ... not with tabs"),
    ("    key: 'abc", "5: not valid YAML: a quote is never closed; ..."),
    ("    words: [a", "5: not valid YAML: a '[' is never closed; end it with ']'"),
    ("    labels: {x: y", "5: not valid YAML: a '{' is never closed; end it with '}'"),
    ("    labels: {\n    key: a\n    mode: fast", "5: not valid YAML: a '{' is not closed by ..."),
    ("    words: [a}", "5: not valid YAML: a '[' is not closed by its ']', ..."),
    ("    labels: {x: y}}", "5: not valid YAML: a '}' that no '{' began; ..."),
    ("    key: ]", "5: not valid YAML: ... where a value belongs; ..."),
    ("   key: a", "5: not valid YAML: this line's indentation fits nothing above it; align it with a key"),
    ("    - a", "5: not valid YAML: list items and keys are mixed; ..."),
    ("    words: - a", "5: not valid YAML: ... a line of its own, after its key"),
    ("    key: 'a'b", "5: not valid YAML: something follows a value ..."),
    ("    key: @a", "5: not valid YAML: ... put it in quotes"),
    ('    key: "\\d"', "5: not valid YAML: ... use single quotes"),
    ("    key: &", "5: not valid YAML: ... means a YAML anchor; put it in quotes"),
    ("    key: !a!b c", "5: not valid YAML: ... means a YAML tag; put it in quotes"),
    ("    key: |abc", "5: not valid YAML: ... on the line after '|' or '>'"),
    ("    key: &a &b c", "5: not valid YAML: something here can't be read; check ..."),
    ("    key: $TOKEN_1", "5: providers.a.key: expected a secret, ... ${env:NAME}"),
    ("    key: a: b", "5: not valid YAML: ... quote a value that holds ': '"),
    ("    key: *tok", "5: not valid YAML: ... put it in quotes"),
    ("---\nproviders: {}", "5: not valid YAML: ... remove the '---' and what follows"),
    ("    key: a\u0007b", "5: character U+0007 can't be in YAML; remove it"),
    ("    labels: &x {a: *x}", "5: an alias that contains itself; remove it"),
    ("    labels: &x {<<: *x}", "5: an alias that contains itself; remove it"),
    ('    key: "\\UFFFFFFFF"', "5: an escape or a directive here ... correct it"),
    ("    labels: " + "[" * 60 + "]" * 60, "5: this is nested too deeply; at most 50 levels are read"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=short)
def test_a_mistake_is_reported_with_its_line_place_and_advice(
    tmp_path: Path, text: str, message: str
) -> None:
    lines = problems(tmp_path, f"{START}{text}\n")
    assert [fits(f"config.yaml:{message}", line) for line in lines].count(True) == 1, lines
    assert len(lines) == len(set(lines)) <= 2


WHOLE: Mapping[str, tuple[bytes, str]] = {
    "empty": (b"", "config.yaml: the file is empty; it needs at least a provider, as in: "),
    "only a comment": (b"# nothing\n", "config.yaml: the file is empty"),
    "a list": (b"- a\n", "config.yaml:1: expected a mapping, found a list"),
    "a text": (b"providers\n", "config.yaml:1: expected a mapping, found 'providers'"),
    "no providers": (b"timeout: 5s\n", "config.yaml:1: providers: there is none; name at least one"),
    "empty providers": (b"timeout: 5s\nproviders: {}\n", "config.yaml:2: providers: there is none"),
    "null providers": (b"providers:\n", "config.yaml:1: providers: expected a mapping, found nothing"),
    "another encoding": ("providers: ä".encode("latin-1"), "config.yaml: byte 11 is not UTF-8 text"),
    "a picture": (b"\x89PNG\r\n\x1a\n", "config.yaml: byte 0 is not UTF-8 text"),
    "nul": (b"providers:\n\x00", "config.yaml:2: character U+0000 can't be in YAML"),
    "too large": (b"#" * 1_000_001, "config.yaml: the file is larger than 1000000 bytes"),
    "very deep": (b"[" * 100_000, "config.yaml:1: this is nested too deeply"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_that_is_no_configuration_is_reported(tmp_path: Path, name: str) -> None:
    data, beginning = WHOLE[name]
    (line,) = problems(tmp_path, data)
    assert line.startswith(beginning)


def test_a_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: there is no such file; give another path"):
        load_yaml(tmp_path / "none.yaml", plugins=PLUGINS)


@pytest.mark.parametrize("text", [None, "", "timeout: 5s\n"])
def test_without_a_configuration_the_message_shows_one_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    monkeypatch.setenv("OMOCAPTCHA_TOKEN", "tok-7")
    path = tmp_path / "none.yaml" if text is None else write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_yaml(path)
    (line,) = str(caught.value).splitlines()
    shown = line[line.index("providers: {") :]
    assert load_yaml(write(tmp_path, shown)).providers["omo"].plugin == "omocaptcha"


def test_a_directory_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this is a directory; give the path of the file"):
        load_yaml(tmp_path, plugins=PLUGINS)


def test_a_path_that_no_file_can_have_is_reported() -> None:
    with pytest.raises(ConfigError, match="not a possible path"):
        load_yaml(Path("a\0b"), plugins=PLUGINS)


@pytest.mark.parametrize(
    "bomb",
    [
        "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)),
        "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12)),
    ],
    ids=["of lists", "of merges"],
)
def test_an_alias_bomb_is_refused(tmp_path: Path, bomb: str) -> None:
    (line,) = problems(tmp_path, "a0: &a0 {x: 1}\n" + bomb)
    assert "more than 50000 values" in line


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
timeout: 5
providers:
  a:
    plugin: echo
    timout: 5s
    api_token: [1]
    ratio: 2
    max_in_flight: no
  b: {plugin: nothing-like-it, max_in_flght: 5}
routes:
  image-to-text: [c, b]
  phone-slide: []
other: 1
"""
    lines = problems(tmp_path, text)
    places = [": ".join(line.split(": ")[:2]) for line in lines]
    assert places == [
        "config.yaml:1: timeout",
        "config.yaml:5: providers.a.timout",
        "config.yaml:6: providers.a.api_token",
        "config.yaml:7: providers.a.ratio",
        "config.yaml:8: providers.a.max_in_flight",
        "config.yaml:9: providers.b.plugin",
        "config.yaml:9: providers.b.max_in_flght",
        "config.yaml:11: routes.image-to-text[0]",
        "config.yaml:12: routes.phone-slide",
        "config.yaml:13: other",
    ]


def places(directory: Path, text: str) -> list[str]:
    """Where the problems are, sorted, without the file and the line."""
    return sorted(line.split(": ")[1] for line in problems(directory, text))


def test_a_plugins_own_checks_are_made_though_other_keys_are_missing_or_wrong(tmp_path: Path) -> None:
    text = (
        "providers:\n  a:\n    plugin: echo\n    api_tokn: x\n    base_url: http://x.example\n    ratio: 2\n"
    )
    assert places(tmp_path, text) == [
        "providers.a.api_token",
        "providers.a.api_tokn",
        "providers.a.base_url",
        "providers.a.ratio",
    ]


def test_a_check_that_needs_a_key_that_is_missing_reports_no_other(tmp_path: Path) -> None:
    assert places(tmp_path, "providers: {a: {plugin: pair, large: 5}}") == ["providers.a.small"]


def test_a_check_is_not_made_of_a_value_that_could_not_be_read(tmp_path: Path) -> None:
    text = "providers:\n  a:\n    plugin: strict\n    word: ${env:NO_SUCH_X}\n"
    assert places(tmp_path, text) == ["providers.a.other", "providers.a.word"]


def test_a_check_that_fails_for_such_a_value_is_not_reported(tmp_path: Path) -> None:
    text = "providers:\n  a:\n    plugin: strict\n    other: 1\n    word: ${env:NO_SUCH_X}\n"
    (line,) = problems(tmp_path, text)
    assert line.endswith("NO_SUCH_X is not set; set it before the program starts")


def test_a_wrong_price_does_not_hide_an_unknown_task_kind(tmp_path: Path) -> None:
    text = START + "    prices:\n      foo: 1\n      image-to-text: -1\n"
    assert places(tmp_path, text) == ["providers.a.prices.foo", "providers.a.prices.image-to-text"]


def test_without_providers_no_route_is_reported(tmp_path: Path) -> None:
    routes = "routes: {image-to-text: [a]}\n"
    assert places(tmp_path, START.replace("providers", "provider") + routes) == ["provider"]
    assert places(tmp_path, routes) == ["providers"]


@pytest.mark.parametrize("value", ["314159265", "[314159265]", "{a: 314159265}", "3.14159265"])
def test_a_secret_that_is_not_text_is_not_shown(tmp_path: Path, value: str) -> None:
    (line,) = problems(tmp_path, START.replace("tok-7", value))
    assert line.startswith("config.yaml:4: providers.a.api_token: expected text, found something else")
    assert "14159265" not in line


def test_an_empty_secret_is_reported(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, START.replace("tok-7", "''"))
    assert "give it a value, best as ${env:NAME}" in line


@pytest.mark.parametrize(
    ("entry", "beginning"),
    [
        ("    mode: exact\n    tries: 1\n", "2: providers.a: the plugin refuses this value, in words"),
        ("    keys: [tok-1, tok-7]\n", "5: providers.a.keys: the plugin refuses this value, in words"),
        ("    inner: {secret: inside}\n", "5: providers.a.inner: the plugin refuses this value, in words"),
    ],
)
def test_words_that_hold_a_secret_are_not_repeated(tmp_path: Path, entry: str, beginning: str) -> None:
    (line,) = problems(tmp_path, START + entry)
    assert line.startswith(f"config.yaml:{beginning}")
    assert not any(word in line for word in ("tok-7", "inside"))


def test_words_that_share_a_common_word_with_a_secret_are_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECHO_VALUE", "sandbox-alone and-more")
    (line,) = problems(tmp_path, START + "    key: ${env:ECHO_VALUE}\n")
    assert line == "config.yaml:5: providers.a.key: copy it again, alone"


def test_a_token_with_its_line_end_is_reported_in_the_plugins_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHO_VALUE", "sandbox-token\n")
    with pytest.raises(ConfigError, match="api_token holds a space, a line break or a control character"):
        load_mapping({"providers": {"a": {"plugin": "omocaptcha", "api_token": "${env:ECHO_VALUE}"}}})


def test_a_variable_written_as_in_a_shell_is_not_shown_as_it_may_be_a_secret(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, START.replace("tok-7", "$hunter2"))
    assert "hunter2" not in line


@pytest.mark.parametrize("secret", ["$5-token", "a$NAME", "$"])
def test_a_secret_can_hold_a_dollar(tmp_path: Path, secret: str) -> None:
    assert own(load(tmp_path, START.replace("tok-7", secret))).api_token == Secret(secret)


def test_a_secret_from_a_reference_can_look_like_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECHO_VALUE", "$NAME")
    configured = load(tmp_path, START.replace("tok-7", "${env:ECHO_VALUE}"))
    assert own(configured).api_token == Secret("$NAME")


def test_a_plugins_words_about_a_secret_are_not_repeated(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, START.replace("tok-7", "short-token"))
    assert line.startswith("config.yaml:4: providers.a.api_token: the plugin refuses this value, in words")
    assert "short-token" not in line


def test_the_failure_of_a_plugin_is_the_cause_of_the_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "providers: {a: {plugin: nothing-like-it}}")
    assert isinstance(caught.value.__cause__, ConfigError)


# --- mappings


def test_a_mapping_gives_the_same_settings_as_a_file(tmp_path: Path) -> None:
    mapping = {
        "providers": {"a": {"plugin": "echo", "api_token": "tok-7", "words": ("x",), "fee": Decimal("0.1")}},
        "routes": {"image-to-text": ("a",)},
        "timeout": "5s",
    }
    text = START + "    words: [x]\n    fee: 0.1\nroutes: {image-to-text: [a]}\ntimeout: 5s\n"
    assert load_mapping(mapping, plugins=PLUGINS) == load(tmp_path, text)


def test_problems_of_a_mapping_have_a_place_and_no_file() -> None:
    mapping = {"providers": {"a": {"plugin": "echo", 5: 1, "timeout": 5, "loud": b"x", "fee": 10**5000}}}
    with pytest.raises(ConfigError) as caught:
        load_mapping(mapping, plugins=PLUGINS)
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "providers.a",
        "providers.a.timeout",
        "providers.a.api_token",
        "providers.a.fee",
        "providers.a.loud",
    ]


def test_a_mapping_that_contains_itself_is_refused() -> None:
    endless: dict[str, object] = {}
    endless["providers"] = endless
    with pytest.raises(ConfigError, match="containing itself"):
        load_mapping(endless, plugins=PLUGINS)


def test_a_mapping_that_grows_without_end_is_refused() -> None:
    layer: dict[str, object] = {}
    for _ in range(20):
        layer = {str(n): layer for n in range(10)}
    with pytest.raises(ConfigError, match="more than 50000 values"):
        load_mapping(layer, plugins=PLUGINS)


def test_settings_are_frozen(tmp_path: Path) -> None:
    provider = load(tmp_path, START).providers["a"]
    assert isinstance(provider, ProviderSettings)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        provider.timeout = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]  # the test


# --- random values and texts

WORDS = st.sampled_from(
    [
        *("providers", "routes", "timeout", "a", "b", "plugin", "echo", "api_token", "image-to-text"),
        *("prices", "corner", "x", "labels", "words", "pair", "${env:ECHO_VALUE}", "${", "5s", "proxy", "<<"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS | st.binary()
NESTED = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
PROVIDER = st.dictionaries(st.sampled_from([*attrs.fields_dict(EchoSettings), "plugin", "timeout"]), NESTED)
SHAPED = st.fixed_dictionaries(
    {
        "providers": st.dictionaries(
            WORDS, PROVIDER.map(lambda own: {"plugin": "echo", "api_token": "x", **own})
        )
    },
    optional={"routes": NESTED, "timeout": NESTED},
)
PIECES = st.sampled_from(
    ["\n", "  ", ": ", "- ", "&a ", "*a", "<<: ", "{", "}", "[", "]", "!!int ", "'", '"', "|", "\t"]
)
ONE_LOADER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@ONE_LOADER
@given(st.dictionaries(st.text(max_size=3) | WORDS, NESTED) | SHAPED)
def test_no_mapping_raises_anything_but_a_config_error_that_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, mapping: dict[str, object]
) -> None:
    monkeypatch.setenv("ECHO_VALUE", SENSITIVE)
    shown = ""
    try:
        load_mapping(mapping, plugins=PLUGINS)
    except ConfigError as error:
        shown = "".join(traceback.format_exception(error))
    assert SENSITIVE not in shown


@ONE_LOADER
@given(st.lists(WORDS | PIECES | st.text(max_size=3), max_size=25).map("".join) | st.text() | st.binary())
def test_no_text_raises_anything_but_a_config_error(tmp_path: Path, text: str | bytes) -> None:
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    for start in (b"", START.encode() + b"    "):
        with contextlib.suppress(ConfigError):
            load(tmp_path, start + data)
