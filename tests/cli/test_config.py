"""``captchahub config`` as a person meets it: check, show, schema, init."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from captchahub_omocaptcha import OmoSettings
from click.testing import CliRunner
from click.testing import Result as Ran
from jsonschema import Draft202012Validator

from captchahub._config.loader import inspect_yaml, read_yaml
from captchahub._config.names import COMMON_KEYS
from captchahub._config.type_info import keys_of
from captchahub._plugins.manager import Plugins
from captchahub.cli import cli
from captchahub.cli.config.effective import effective
from captchahub.cli.config.rendering import yaml_lines
from captchahub.cli.invocation import command
from captchahub.hookspecs import hookimpl
from captchahub.provider import ProviderKind, Secret
from captchahub.settings import HubSettings, JournalSettings, RouteSettings
from tests.config.test_config import PLUGINS, START
from tests.config.test_schema import EVERY_TYPE
from tests.installed_distributions import PackageFolder
from tests.plugins.test_manager import Answering

SECRET = "s3cret-token"
FINE = """\
providers:
  omo:
    plugin: omocaptcha
    api_token: ${env:OMO_TOKEN}
  backup:
    plugin: createtask
    dialect: 2captcha
    client_key: s3cret-token-2
    prices: {image-to-text: 0.001}
routes:
  image-to-text: [omo, backup]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, with a configuration that is fine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CAPTCHAHUB_CONFIG", raising=False)
    monkeypatch.setenv("OMO_TOKEN", SECRET)
    (tmp_path / "captchahub.yaml").write_text(FINE)
    return tmp_path


def run(*arguments: str, stdin: str | None = None) -> Ran:
    result = CliRunner().invoke(cli, ["config", *arguments], input=stdin, prog_name="captchahub")
    assert "Traceback" not in result.output
    assert SECRET not in result.output
    return result


def write(text: str) -> None:
    Path("captchahub.yaml").write_text(text)


# --- check


def test_check_reports_a_valid_configuration_on_one_line(folder: Path) -> None:
    result = run("check")
    assert result.stdout == "captchahub.yaml: fine: 2 providers (omo, backup), 1 route (image-to-text)\n"
    assert result.exit_code == 0
    assert list(folder.iterdir()) == [folder / "captchahub.yaml"]


def test_check_reports_every_problem_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    write(FINE + "timout: 60s\njournal: jobs.db\ncache: 5\n")
    monkeypatch.setenv("CAPTCHAHUB__TIMEOUT", "soon")
    result = run("check", "captchahub.yaml")
    assert (result.stdout, result.exit_code) == ("", 3)
    head, first, second, third = result.stderr.splitlines()
    assert head.rstrip() == "Error:"
    assert first.startswith("$CAPTCHAHUB__TIMEOUT: timeout: expected a duration such as 60s")
    assert second.startswith("captchahub.yaml:12: timout: unknown key; did you mean 'timeout'?")
    assert third.startswith("captchahub.yaml:14: cache: expected a duration such as 60s")
    assert third.endswith("found 5; write 5s")


def test_check_as_json() -> None:
    fine = json.loads(run("check", "--json").stdout)
    assert fine == {
        "file": "captchahub.yaml",
        "fine": True,
        "problems": [],
        "providers": {"omo": "omocaptcha", "backup": "createtask"},
        "routes": {"image-to-text": ["omo", "backup"]},
    }
    write(FINE + "timeout: 0s\n")
    result = run("check", "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["fine"], told["providers"]) == (3, False, {})
    (problem,) = told["problems"]
    assert problem == {
        "file": "captchahub.yaml",
        "line": 12,
        "variable": None,
        "place": "timeout",
        "message": "expected a duration above 0s and up to 365d, found '0s'",
    }


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "HTTPS_PROXY", "ALL_PROXY"])
def test_check_reports_variables_that_no_provider_could_use(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stronger in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(stronger, raising=False)
    monkeypatch.setenv(variable, "nonsense://nowhere")
    result = run("check")
    assert result.exit_code == 3
    # Both providers would use it, but it is one problem.
    (problem,) = result.stderr.splitlines()
    assert problem.startswith(f"Error: captchahub.yaml:1: providers: the environment variable {variable} ")
    here = "    base_url: http://127.0.0.1:8099\n"
    write("".join(line + (here if "plugin:" in line else "") for line in FINE.splitlines(keepends=True)))
    assert run("check").exit_code == 0


def test_check_reports_what_a_hub_finds_only_when_it_starts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        FINE.replace("    prices: {image-to-text: 0.001}\n", "    report_wrong: true\n")
        + "journal: jobs.db\n"
    )
    monkeypatch.setenv("CAPTCHAHUB__BUDGET", "{limit: 5, per: day}")
    monkeypatch.setenv("CAPTCHAHUB__ROUTES__PHONE_SLIDE", "[backup]")
    result = run("check")
    assert result.exit_code == 3
    route, price = sorted(result.stderr.splitlines()[1:])
    assert route.startswith(
        "$CAPTCHAHUB__ROUTES__PHONE_SLIDE: routes.phone-slide: the provider 'backup' does not"
    )
    assert price.startswith(
        "captchahub.yaml:5: providers.backup.prices: the price of image-to-text there is unknown"
    )
    assert not (folder / "jobs.db").exists()


def test_without_a_file_it_says_how_to_make_one(folder: Path) -> None:
    (folder / "captchahub.yaml").unlink()
    result = run("check")
    assert result.exit_code == 3
    assert "captchahub config init" in result.stderr


# --- show


def test_show_prints_each_value_and_where_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    write(FINE + "timeout: 90s\n")
    monkeypatch.setenv("CAPTCHAHUB__PROVIDERS__OMO__MAX_IN_FLIGHT", "7")
    monkeypatch.setenv("CAPTCHAHUB__PROVIDERS__OMO__PROXY", "http://me:pass-word@proxy.example:3128")
    monkeypatch.setenv("HOLD", "45s")
    monkeypatch.setenv("CAPTCHAHUB__PROVIDERS__OMO__TIMEOUT", "${env:HOLD}")
    result = run("show")
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    for line in (
        "plugin: omocaptcha  # captchahub.yaml:3",
        "api_token: '***'  # $OMO_TOKEN, captchahub.yaml:4",
        "base_url: https://omocaptcha.com/api  # default",
        "client_key: '***'  # captchahub.yaml:8",
        "max_in_flight: 7  # $CAPTCHAHUB__PROVIDERS__OMO__MAX_IN_FLIGHT",
        "proxy: http://***@proxy.example:3128  # $CAPTCHAHUB__PROVIDERS__OMO__PROXY",
        "timeout: 45s  # $HOLD, $CAPTCHAHUB__PROVIDERS__OMO__TIMEOUT",
        "image-to-text: 0.001  # captchahub.yaml:9",
        "providers: [omo, backup]  # captchahub.yaml:11",
        "fallback_on: [ProviderError]  # default",
        "# rate: not set  # default",
        "timeout: 90s  # captchahub.yaml:12",
        "# journal: not set  # default",
    ):
        assert line in lines
    assert "pass-word" not in result.output


def test_show_as_json() -> None:
    shown = json.loads(run("show", "--json").stdout)
    assert shown["file"] == "captchahub.yaml"
    assert shown["configuration"]["providers"]["omo"]["api_token"] == "***"
    assert shown["configuration"]["providers"]["omo"]["rate"] is None
    assert shown["sources"]["providers.omo.api_token"] == "$OMO_TOKEN, captchahub.yaml:4"
    assert shown["sources"]["timeout"] == "default"


def test_show_has_every_key() -> None:
    write(FINE + "journal: jobs.db\n")
    shown = json.loads(run("show", "--json").stdout)["configuration"]
    own = {field.alias for field in attrs.fields(OmoSettings)}
    assert set(shown) == set(keys_of(HubSettings))
    assert set(shown["providers"]["omo"]) == {*COMMON_KEYS, *own}
    assert set(shown["routes"]["image-to-text"]) == set(keys_of(RouteSettings))
    assert set(shown["journal"]) == set(keys_of(JournalSettings))


def test_show_of_a_broken_configuration_reports_the_problems() -> None:
    write(FINE + "timout: 60s\n")
    result = run("show")
    assert (result.stdout, result.exit_code) == ("", 3)
    assert "captchahub.yaml:12: timout: unknown key" in result.stderr


def loaded_again(plugins: Plugins) -> tuple[HubSettings, HubSettings, str]:
    """The settings of the file, those of what is shown of it, and what is shown."""
    inspected = inspect_yaml(Path("captchahub.yaml"), plugins)
    assert inspected.settings is not None
    text = "\n".join(yaml_lines(effective(inspected, inspected.settings)))
    shown = Path("shown.yaml")
    shown.write_text(text)
    return inspected.settings, read_yaml(shown, plugins), text


RULES = """\
  echo-back:
    providers: [{a: 3, b: 1}, [c]]
    fallback_on: [RateLimited, JobTimeout]
    on_ambiguous: fail
    hedge_after: p90
    hedge_limit: 10%
"""


def test_what_is_shown_loads_as_the_same() -> None:
    more = "  b: {plugin: echo, api_token: '***', health: {failures: never, window: 2m}, rate: 5/minute}\n"
    more += "  c: {plugin: echo, api_token: '***', words: ['$${x}', 'a: b', \"two\\nlines\", 'on']}\n"
    rest = "routes:\n  image-to-text: [a, b]\n" + RULES
    rest += "budget: {limit: 5, per: day, zone: Europe/Berlin}\njournal: jobs.db\ncache: 1h\n"
    write(START.replace("tok-7", "'***'") + more + rest)
    before, after, _ = loaded_again(Plugins(PLUGINS))
    assert after == before


def test_every_secret_is_hidden_wherever_a_plugin_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {
        **EVERY_TYPE,
        "key": "tok-8",
        "labels": {"of": "${env:ANY}", "same": "tok-10"},
        "either": "${env:ANY}",
    }
    write(yaml.safe_dump({"providers": {"a": own}}))
    monkeypatch.setenv("ANY", "any-value")
    monkeypatch.setenv("TWO", "other-value")
    _, _, text = loaded_again(Plugins(PLUGINS))
    hidden = ("tok-7", "tok-8", "tok-9", "tok-10", "any-value", "other-value")
    assert [secret for secret in hidden if secret in text] == []
    # A text that may be anything is shown as it is written.
    assert "of: ${env:ANY}  # $ANY, captchahub.yaml:" in text
    assert "keys: ['***']" in text
    assert "words: [one, '${env:TWO}']" in text


@attrs.frozen
class Sly:
    token: Secret
    """The token."""
    login: str = attrs.field(
        default=attrs.Factory(lambda self: "bot:" + self.token.reveal(), takes_self=True)
    )
    """A name that is made of it."""
    password: str = attrs.field(default="", repr=lambda _: "***")
    """Its repr hides it."""
    keys: dict[str, int] = attrs.field(factory=dict[str, int])
    """Of anything."""


class SlyPlugin:
    @hookimpl
    def captchahub_provider_kinds(self) -> list[ProviderKind[Any]]:
        return [ProviderKind("sly", Sly, lambda _own: Answering())]


def test_a_secret_is_hidden_in_what_is_made_of_it_and_among_keys() -> None:
    own = f"{{plugin: sly, token: {SECRET}, password: other-{SECRET}, keys: {{{SECRET}: 1}}}}"
    write(f"providers: {{a: {own}}}")
    inspected = inspect_yaml(Path("captchahub.yaml"), Plugins([SlyPlugin()]))
    assert inspected.settings is not None
    text = "\n".join(yaml_lines(effective(inspected, inspected.settings)))
    assert SECRET not in text
    assert "login: bot:***" in text


# --- schema


@pytest.mark.parametrize("command", [["schema"], ["init", "new.yaml", "--plugin", "omocaptcha", "--yes"]])
def test_what_the_configuration_blocks_is_not_imported(packages: PackageFolder, command: list[str]) -> None:
    module = f"sample_forbidden_{command[0]}"
    packages.install("sample-forbidden", module, "raise RuntimeError('imported')", "forbidden")
    write(FINE + "plugins: {block: [forbidden]}\n")
    result = run(*command)
    assert result.exit_code == 0
    assert "of sample-forbidden is blocked by plugins.block" in result.stderr
    assert module not in sys.modules


def test_schema_is_what_editors_need() -> None:
    result = run("schema")
    schema: Any = json.loads(result.stdout)
    validator: Any = Draft202012Validator(schema)
    assert (result.exit_code, result.stderr) == (0, "")
    assert validator.is_valid(yaml.safe_load(FINE))
    assert not validator.is_valid(yaml.safe_load(FINE.replace("dialect", "dialct")))


def test_a_plugin_that_cannot_be_imported_is_left_out_and_reported(tmp_path: Path) -> None:
    info = tmp_path / "site" / "captchahub_broken-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: captchahub-broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[captchahub]\nbroken = no_such_module_x\n")
    code = "import sys; sys.path.append('site'); from captchahub.cli import cli; cli(['config', 'schema'])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0
    assert "left out: the plugin 'broken' of captchahub-broken can't be imported" in ended.stderr
    assert '"broken"' not in ended.stdout
    assert '"omocaptcha"' in ended.stdout


# --- init


def test_init_without_questions_writes_what_check_accepts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run("init", "new.yaml", "--plugin", "omocaptcha", "--yes")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "Wrote new.yaml.",
        "  first: set the environment variable OMOCAPTCHA_TOKEN",
        f"Next: {command('config', 'check', 'new.yaml')}",
    ]
    monkeypatch.setenv("OMOCAPTCHA_TOKEN", SECRET)
    assert run("check", "new.yaml").stdout == "new.yaml: fine: 1 provider (omocaptcha), no route\n"
    text = (folder / "new.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=captchahub.schema.json\n")
    assert "    api_token: ${env:OMOCAPTCHA_TOKEN}\n" in text


def test_init_asks_what_is_needed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        *("nothing-like-it", "createtask, omocaptcha, omocaptcha"),
        *("a b", "first", "nowhere", "2captcha", "keyring", "no-slash", "captchahub/first"),
        *("", "file", "/run/secrets/omo"),
        *("third", "env", "1X", "THIRD_TOKEN"),
        *("90", "90s", "5.00", "5.00/day", "jobs.db"),
        *("much", "0.001"),
    ]
    result = run("init", "new.yaml", stdin="\n".join(answers) + "\n")
    assert result.exit_code == 0, result.output
    assert "no usable plugin 'nothing-like-it'; installed: createtask, omocaptcha" in result.output
    assert result.stdout.splitlines()[-5:] == [
        "Wrote new.yaml.",
        "  first: keyring set captchahub first",
        "  first: write the secret into /run/secrets/omo",
        "  first: set the environment variable THIRD_TOKEN",
        f"Next: {command('config', 'check', 'new.yaml')}",
    ]
    document = yaml.safe_load((folder / "new.yaml").read_text())
    assert document == {
        "providers": {
            "first": {
                "plugin": "createtask",
                "dialect": "2captcha",
                "client_key": "${keyring:captchahub/first}",
                "prices": {"image-to-text": 0.001},
            },
            "omocaptcha": {"plugin": "omocaptcha", "api_token": "${file:/run/secrets/omo}"},
            "third": {"plugin": "omocaptcha", "api_token": "${env:THIRD_TOKEN}"},
        },
        "timeout": "90s",
        "budget": {"limit": 5.0, "per": "day"},
        "journal": "jobs.db",
    }


def test_init_says_what_is_there_if_nothing_is_left_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMOCAPTCHA_TOKEN", SECRET)
    result = run("init", "new.yaml", "--plugin", "omocaptcha", "--yes")
    assert "It is fine: 1 provider (omocaptcha), no route.\n" in result.stdout


def test_init_overwrites_only_when_forced(folder: Path) -> None:
    refused = run("init", "--plugin", "omocaptcha", "--yes")
    assert refused.exit_code == 2
    assert "captchahub.yaml is there already: --force overwrites it" in refused.stderr
    assert (folder / "captchahub.yaml").read_text() == FINE
    assert run("init", "--plugin", "omocaptcha", "--yes", "--force").exit_code == 0
    assert (folder / "captchahub.yaml").read_text() != FINE


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ([], 2, "--yes needs --plugin NAME here; installed: createtask, omocaptcha"),
        (["--plugin", "omocaptch"], 2, "installed: createtask, omocaptcha"),
        (["--plugin", "createtask"], 2, "createtask needs dialect (anti-captcha, 2captcha,"),
        (["--plugin", "createtask", "--set", "dialct=x"], 2, "did you mean 'dialect'?"),
        (
            ["--plugin", "createtask", "--set", "dialect=none"],
            3,
            "providers.createtask.dialect: expected one of",
        ),
        (["--plugin", "createtask", "--set", "dialect=custom"], 3, "the dialect custom needs base_url"),
        (["--plugin", "omocaptcha", "--set", "api_token=x"], 2, "--set api_token: a secret is not written"),
        (["--plugin", "omocaptcha", "--timeout", "90"], 2, "Invalid value for --timeout: a duration such as"),
        (["--plugin", "omocaptcha", "--budget", "5/week"], 2, "Invalid value for --budget: LIMIT/PERIOD is"),
        (["--plugin", "omocaptcha", "--budget", "much/day"], 2, "Invalid value for --budget: 'much' is not"),
        (
            ["--plugin", "createtask", "--set", "dialect=2captcha", "--budget", "5/day"],
            3,
            "here: --set prices='{image-to-text: 0.001}', or leave --budget out",
        ),
        (["--plugin", "omocaptcha", "--journal", "none/jobs.db"], 3, "journal: expected the path of a file"),
        (
            ["--plugin", "omocaptcha", "--journal", "postgresql://me:pa55@h/db"],
            2,
            "Invalid value for --journal: the address of a database can hold a password",
        ),
        (
            ["--plugin", "createtask", "--set", "dialect=2captcha", "--budget", "5/day"],
            3,
            "providers.createtask.prices: the price of image-to-text there is unknown",
        ),
    ],
)
def test_init_writes_nothing_that_can_not_be_used(
    folder: Path, options: list[str], code: int, told: str
) -> None:
    result = run("init", "new.yaml", "--yes", *options)
    assert result.exit_code == code
    assert told in result.stderr
    assert not (folder / "new.yaml").exists()


def test_init_takes_everything_from_options(folder: Path) -> None:
    options = "--plugin createtask --set dialect=capsolver --secret keyring --budget 5/day --journal jobs.db"
    priced = ["--set", "prices={image-to-text: 0.001}", "--timeout", "2m"]
    assert run("init", "new.yaml", "--yes", *options.split(), *priced).exit_code == 0
    document = yaml.safe_load((folder / "new.yaml").read_text())
    assert document["providers"]["createtask"]["client_key"] == "${keyring:captchahub/createtask}"
    assert (document["timeout"], document["journal"]) == ("2m", "jobs.db")


def test_init_takes_the_address_of_a_database_from_a_variable(folder: Path) -> None:
    result = run("init", "new.yaml", "--yes", "--plugin", "omocaptcha", "--journal", "${env:JOURNAL_URL}")
    assert result.exit_code == 0
    assert "first: set the environment variable JOURNAL_URL" in result.stdout
    assert yaml.safe_load((folder / "new.yaml").read_text())["journal"] == "${env:JOURNAL_URL}"


def test_the_help_imports_no_plugin() -> None:
    code = (
        "import sys; from captchahub.cli import cli\n"
        "try: cli(['config', '--help'])\nfinally: print(*sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = ("captchahub_omocaptcha", "captchahub_createtask", "keyring", "captchahub._config.schema", "PIL")
    modules = ended.stdout.splitlines()[-1].split()
    assert "captchahub.cli.config.command" in modules
    assert [name for name in heavy if name in modules] == []
