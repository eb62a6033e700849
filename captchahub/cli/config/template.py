"""Answers to ``config init`` → a configuration with comments."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from captchahub._config.type_info import settings_fields
from captchahub.cli.config.rendering import written
from captchahub.provider import ProviderKind
from captchahub.settings import HubSettings, ProviderSettings

SCHEMA = "captchahub.schema.json"
"""The file that editors are pointed to."""


@attrs.frozen
class SecretPlace:
    """Where a secret is stored: the scheme of the reference, and what it names."""

    scheme: str
    name: str

    @property
    def reference(self) -> str:
        """What stands in the file."""
        return f"${{{self.scheme}:{self.name}}}"

    @property
    def next_step(self) -> str:
        """What the user does to store the secret there."""
        if self.scheme == "env":
            return f"set the environment variable {self.name}"
        if self.scheme == "file":
            return f"write the secret into {self.name}"
        # At the last "/", as the reference is read.
        service, _, user = self.name.rpartition("/")
        return f"keyring set {shlex.quote(service)} {shlex.quote(user)}"


@attrs.frozen
class ProviderAnswers:
    """One provider of the new configuration: its keys, some of which are secrets."""

    name: str
    kind: ProviderKind[object]
    keys: Mapping[str, object | SecretPlace]


@attrs.frozen
class Answers:
    """All answers; None for what is not wanted."""

    accounts: Sequence[ProviderAnswers]
    timeout: str
    budget: Mapping[str, object] | None = None
    journal: str | SecretPlace | None = None

    @property
    def secrets(self) -> Sequence[SecretPlace]:
        """Where all secrets are stored."""
        values = [value for account in self.accounts for value in account.keys.values()]
        return [value for value in [*values, self.journal] if isinstance(value, SecretPlace)]


def configuration_text(answers: Answers, secret: str | None = None) -> str:
    """Return the text of the file. For a trial, ``secret`` replaces the references to all secrets."""
    about = _descriptions(HubSettings)
    lines = [
        f"# yaml-language-server: $schema={SCHEMA}",
        f'# Editors complete and check with that: "captchahub config schema > {SCHEMA}" writes it.',
        "# What begins with '#' and a key is not in use; \"captchahub config show\" shows every key.",
        "",
        f"# {about['providers']}",
        "# They are called in this order.",
        "providers:",
    ]
    for account in answers.accounts:
        lines += [*_account(account, secret), ""]
    names = ", ".join(written(account.name) for account in answers.accounts)
    lines += [
        f"# {about['routes']}",
        "# routes:",
        f"#   image-to-text: [{names}]",
        "",
        *_key("timeout", answers.timeout, "", about),
        *_key("budget", answers.budget, "{limit: 100, per: month}", about),
        *_key("journal", _reference(answers.journal, secret), "jobs.db", about),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _account(account: ProviderAnswers, secret: str | None) -> Iterator[str]:
    about = {**_descriptions(ProviderSettings), **_descriptions(account.kind.settings)}
    yield f"  {written(account.name)}:"
    yield f"    plugin: {written(account.kind.name)}"
    for key, value in account.keys.items():
        if about.get(key):
            yield f"    # {about[key]}"
        yield f"    {key}: {written(_reference(value, secret))}"
    for key, example in (("timeout", "60s"), ("max_in_flight", "50")):
        if key not in account.keys:
            yield f"    # {about[key]}"
            yield f"    # {key}: {example}"


def _reference(value: object, secret: str | None) -> object:
    """Return a value, or for a secret the reference to it. For a trial, ``secret`` replaces the reference."""
    if not isinstance(value, SecretPlace):
        return value
    return value.reference if secret is None else secret


def _descriptions(target: type[Any]) -> Mapping[str, str]:
    return {field.key: field.description for field in settings_fields(target)}


def _key(key: str, value: object, example: str, about: Mapping[str, str]) -> Iterator[str]:
    yield f"# {about[key]}"
    yield f"# {key}: {example}" if value is None else f"{key}: {written(value)}"
    yield ""
