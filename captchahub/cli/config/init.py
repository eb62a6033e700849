"""``captchahub config init``: asks questions, and writes a configuration from the answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click
import yaml

from captchahub._config.loader import block_as_configured, inspect_yaml
from captchahub._config.names import COMMON_KEYS, PROVIDER_NAME
from captchahub._config.problems import InvalidValue, LocatedProblem
from captchahub._config.reader import unknown_key
from captchahub._config.scalars import read_duration
from captchahub._config.type_info import ChoiceType, SettingsField, info_of, settings_fields
from captchahub._plugins.manager import Plugins
from captchahub._support.database_address import is_address
from captchahub.cli.config.check import problems_of, summary, usable_kinds
from captchahub.cli.config.template import Answers, ProviderAnswers, SecretPlace, configuration_text
from captchahub.cli.invocation import command
from captchahub.cli.options import amount, default_config
from captchahub.cli.streams import put, writing_stdout
from captchahub.errors import ConfigError
from captchahub.provider import ProviderKind, Secret
from captchahub.settings import HubSettings, Period

_NONE = "none"

_JOURNAL = "./jobs.db"

_TRIAL = "trial-secret"  # replaces every secret while the answers are tried

T = TypeVar("T")


def init(file: Path, interview: Interview, *, overwrites: bool) -> None:
    """Write the file that the answers describe, unless it has a problem.

    Raises click's own errors for wrong options, and :class:`~captchahub.errors.ConfigError` if the answers
    are no usable configuration; then nothing is written.
    """
    if file.exists() and not overwrites:
        raise click.UsageError(f"{file} is there already: --force overwrites it, or name another FILE")
    plugins = Plugins()
    block_as_configured(default_config(), plugins)
    answers = interview.answers({kind.name: kind for kind in usable_kinds(plugins)})
    if interview.asks:
        # Only a trial shows which services publish no prices, and asking for others would be a burden.
        answers = _with_prices(answers, _trial(answers, file, plugins))
    problems = _trial(answers, file, plugins)
    if problems:
        listed = "\n".join(map(_without_line, problems))
        raise ConfigError(f"these answers make no configuration, so nothing is written:\n{listed}")
    # "x", because another program may have created the file while the questions were answered.
    with file.open("w" if overwrites else "x", encoding="utf-8") as stream:
        stream.write(configuration_text(answers))
    with writing_stdout():
        put("\n".join(_closing(file, answers, plugins)))


def _without_line(problem: LocatedProblem) -> str:
    # Nothing has been written, so a line of the file would lead nowhere.
    message = str(attrs.evolve(problem, file=None, line=None))
    if not problem.place.endswith(".prices"):
        return message
    return f"{message}\n  here: --set prices='{{image-to-text: 0.001}}', or leave --budget out"


def _trial(answers: Answers, file: Path, plugins: Plugins) -> list[LocatedProblem]:
    """Return the problems that the file would have if every secret were available."""
    return problems_of(inspect_yaml(file, plugins, configuration_text(answers, _TRIAL)), plugins)


def _with_prices(answers: Answers, problems: Sequence[LocatedProblem]) -> Answers:
    """Return the answers with the prices that a budget needs, if the service does not publish them."""
    lacking = {problem.place for problem in problems}
    accounts: list[ProviderAnswers] = []
    for account in answers.accounts:
        keys = dict(account.keys)
        if f"providers.{account.name}.prices" in lacking:
            put(f"The service of {account.name} has no price list, and there is a budget to keep.")
            keys["prices"] = {
                kind: float(click.prompt(f"  What does one {kind} job cost there", value_proc=amount))
                for kind in sorted(getattr(account.kind.build, "kinds", ()))
            }
        accounts.append(attrs.evolve(account, keys=keys))
    return attrs.evolve(answers, accounts=accounts)


def _closing(file: Path, answers: Answers, plugins: Plugins) -> Iterator[str]:
    inspected = inspect_yaml(file, plugins)
    yield f"Wrote {file}."
    secrets = answers.secrets
    if inspected.settings is not None and not inspected.problems:
        yield f"It is {summary(inspected.settings)}."
    else:
        if any(secret.scheme == "keyring" for secret in secrets) and find_spec("keyring") is None:
            yield "  first: pip install 'captchahub[keyring]'"
        for step in dict.fromkeys(secret.next_step for secret in secrets):
            yield f"  first: {step}"
    yield f"Next: {command('config', 'check', str(file))}"


@attrs.frozen
class Interview:
    """Asks for what the options do not say, or takes the usual answers.

    The values of options that are not used are empty or None.
    """

    plugins: Sequence[str]
    secret: str | None
    values: Mapping[str, object]
    timeout: str | None
    budget: str | None
    journal: str | None
    asks: bool = attrs.field(kw_only=True)

    def answers(self, usable: Mapping[str, ProviderKind[Any]]) -> Answers:
        """Return all answers. Raises click's own errors for wrong options."""
        chosen = self._kinds(usable)
        self._refuse_unused(chosen)
        accounts: list[ProviderAnswers] = []
        for kind in chosen:
            accounts.append(self._account(kind, [account.name for account in accounts]))
        usual = f"{HubSettings({}, {}).timeout:g}s"
        timeout = self._ask("How long may a solve take", self.timeout, usual, _duration, "--timeout")
        question = "The most that may be spent, such as 5.00/day"
        budget = self._ask(question, self.budget, _NONE, _budget, "--budget")
        question = "The file for jobs and money, so that no paid answer is lost, or none"
        journal = self._ask(question, self.journal, _JOURNAL, _journal, "--journal")
        return Answers(accounts, timeout, budget, journal)

    def _ask(
        self, question: str, given: str | None, usual: str, read: Callable[[str], T], option: str = ""
    ) -> T:
        """Return the option, else the user's answer, else the usual one, converted by ``read``."""
        if given is not None or not self.asks:
            try:
                return read(usual if given is None else given)
            except click.BadParameter as error:
                error.param_hint = option or None
                raise
        answer: T = click.prompt(question, default=usual, value_proc=read)
        return answer

    def _kinds(self, usable: Mapping[str, ProviderKind[Any]]) -> list[ProviderKind[Any]]:
        if not usable:
            raise ConfigError("no plugin is installed; install one first: pip install captchahub-omocaptcha")
        listed = ", ".join(usable)

        def chosen(text: str) -> list[ProviderKind[Any]]:
            names = [name.strip() for name in text.split(",") if name.strip()]
            unknown = [name for name in names if name not in usable]
            if unknown or not names:
                raise click.BadParameter(f"no usable plugin {', '.join(unknown)!r}; installed: {listed}")
            return [usable[name] for name in names]

        if not self.plugins and not self.asks and len(usable) > 1:
            raise click.UsageError(f"--yes needs --plugin NAME here; installed: {listed}")
        usual = "omocaptcha" if "omocaptcha" in usable else next(iter(usable))
        question = f"Which services, in the order of asking ({listed})"
        return self._ask(question, ",".join(self.plugins) or None, usual, chosen, "--plugin")

    def _refuse_unused(self, chosen: Sequence[ProviderKind[Any]]) -> None:
        fields = [field for kind in chosen for field in settings_fields(kind.settings)]
        # The first common key is the plugin, which --plugin names.
        valid = {*COMMON_KEYS[1:], *(field.key for field in fields)}
        secrets = {field.key for field in fields if field.type is Secret}
        for key in self.values:
            if key not in valid:
                raise click.UsageError(f"--set {key}: {unknown_key(key, valid)}")
            if key in secrets:
                raise click.UsageError(
                    f"--set {key}: a secret is not written into the file; --secret env, file or keyring says "
                    "where it is"
                )

    def _account(self, kind: ProviderKind[Any], taken: Sequence[str]) -> ProviderAnswers:
        def name_of(text: str) -> str:
            if not re.fullmatch(PROVIDER_NAME, text) or text in taken:
                raise click.BadParameter("a new name of letters, digits, '-', '_' and '.' is needed")
            return text

        # A second account at the same service gets a number.
        number = sum(name == kind.name or name.startswith(f"{kind.name}-") for name in taken) + 1
        usual = kind.name if number == 1 else f"{kind.name}-{number}"
        name = self._ask(f"What do you call the account at {kind.name}", None, usual, name_of)
        own = {
            field.key: self._value(field, name)
            for field in settings_fields(kind.settings)
            if field.is_required or field.key in self.values
        }
        common = {key: value for key, value in self.values.items() if key in COMMON_KEYS}
        return ProviderAnswers(name, kind, {**own, **common})

    def _value(self, field: SettingsField, name: str) -> object:
        key = field.key
        if field.type is Secret:
            return self._secret(key, name)
        if key in self.values:
            return self.values[key]
        info = info_of(field.type)
        choices = [written for written, _meant in info.choices] if isinstance(info, ChoiceType) else []
        listed = f" ({', '.join(map(str, choices))})" if choices else ""
        if not self.asks:
            raise click.UsageError(f"{name} needs {key}{listed}: give it as --set {key}=VALUE")

        def value(text: str) -> object:
            read = _scalar(text)
            if choices and read not in choices:
                raise click.BadParameter(f"one of {', '.join(map(str, choices))}")
            return read

        return click.prompt(f"  {key}{listed}", value_proc=value)

    def _secret(self, key: str, name: str) -> SecretPlace:
        scheme = self.secret or "env"
        if self.asks and self.secret is None:
            question = f"  Where is the {key}: in an environment variable, a file, or the keyring"
            scheme = click.prompt(question, type=click.Choice(["env", "file", "keyring"]), default="env")
        # The name of an account may begin with a digit, but that of a variable can't.
        word = re.sub(r"\W", "_", name).upper()
        variable = f"{word if word[:1].isalpha() else f'CAPTCHAHUB_{word}'}_{key.rpartition('_')[2].upper()}"
        question, pattern, usual = {
            "env": ("  Its name", r"[A-Za-z_][A-Za-z0-9_]*", variable),
            # Docker and Kubernetes put secrets there by default.
            "file": ("  Its path", r"[^{}]+", f"/run/secrets/{name}"),
            "keyring": ("  The entry, as SERVICE/USER", r"[^{}]+/[^{}/]+", f"captchahub/{name}"),
        }[scheme]

        def place(text: str) -> SecretPlace:
            if not re.fullmatch(pattern, text):
                raise click.BadParameter(f"it should look like {usual}")
            return SecretPlace(scheme, text)

        return self._ask(question, None, usual, place)


def _duration(text: str) -> str:
    try:
        read_duration(text)
    except InvalidValue as error:
        raise click.BadParameter(f"{error.expected} is needed") from None
    return text


def _budget(text: str) -> dict[str, object] | None:
    if text == _NONE:
        return None
    limit, _, period = text.partition("/")
    periods = [one.value for one in Period]
    if period not in periods:
        raise click.BadParameter(f"LIMIT/PERIOD is needed, such as 5.00/day; periods: {', '.join(periods)}")
    return {"limit": float(amount(limit)), "per": period}


def _journal(text: str) -> str | SecretPlace | None:
    if is_address(text):
        raise click.BadParameter(
            "the address of a database can hold a password, which is not written into the file: "
            "'${env:JOURNAL_URL}' takes it from a variable"
        )
    reference = re.fullmatch(r"\$\{(env|file|keyring):([^{}]+)\}", text)
    if reference is not None:
        return SecretPlace(reference[1], reference[2])
    return None if text == _NONE else text


def _scalar(text: str) -> object:
    """Return an answer as the file would read it, or the text itself if that is no plain value."""
    try:
        value: object = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text
    return value if isinstance(value, (bool, int, float)) else text
