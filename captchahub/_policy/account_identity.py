"""Which account at a service a provider is: what tells its jobs from those of any other account."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import blake2b
from urllib.parse import urlsplit

import attrs

from captchahub._support.guard import foreign_errors
from captchahub._support.redaction import mask, secrets_in
from captchahub.provider import Job, Provider, Secret
from captchahub.settings import ProviderSettings

__all__ = ["AccountIdentity", "identity_of", "polled_url"]

_PORTS = {"http": 80, "https": 443}

_TEXTS = (str, "str", int, "int")


@attrs.frozen
class AccountIdentity:
    """One account at one service. ``address`` is where the service is, for people to read.

    ``marks`` tell the account from any other, the one that lasts longest first. They hold its token, so only
    their hashes are written anywhere.
    """

    plugin: str
    address: str
    marks: tuple[Secret, ...]

    def digests(self, key: bytes) -> list[bytes]:
        """The marks as a journal keeps them, which has a key of its own."""
        return [_hash(mark, key, 16) for mark in self.marks]

    @property
    def seals(self) -> tuple[str, ...]:
        """The marks as the token of a job carries them, too short for anybody to find out a password by."""
        return tuple(_hash(mark, b"", 2).hex() for mark in self.marks)


def _hash(mark: Secret, key: bytes, size: int) -> bytes:
    return blake2b(mark.reveal().encode(), key=key, digest_size=size).digest()


def identity_of(settings: ProviderSettings, provider: Provider) -> AccountIdentity:
    """The account that a provider is.

    Its plugin and address tell it from others, every Secret of its settings, and every text or number without
    a default, such as a user name; where there is no Secret, all texts and numbers. ``journal_account`` takes
    the place of all but the plugin and the address.
    """
    address = _address_of(settings, provider)
    marks = [["settings", *_telling(settings.own)]]
    if settings.journal_account is not None:
        marks.insert(0, ["name", settings.journal_account])
    return AccountIdentity(
        settings.plugin,
        mask(_shown(address), secrets_in(settings.own)),
        tuple(Secret(json.dumps([settings.plugin, address, *mark])) for mark in marks),
    )


def _telling(own: object) -> Iterable[str]:
    """What tells the account from others at the same address."""
    secrets = sorted(secrets_in(own))
    yield from secrets
    kind = type(own)
    if not attrs.has(kind):
        return
    for field in attrs.fields(kind):
        value = getattr(own, field.name)
        is_needed = field.default is attrs.NOTHING and field.type in _TEXTS
        if field.name != "base_url" and isinstance(value, (str, int, float)) and (is_needed or not secrets):
            yield f"{field.name}={value}"


def _address_of(settings: ProviderSettings, provider: Provider) -> str:
    """Where the service's calls are: ``base_url`` where the plugin has it, else where it asks for jobs."""
    try:
        configured: object = getattr(settings.own, "base_url", None)
    except foreign_errors():
        # A property of the plugin's.
        configured = None
    if isinstance(configured, str):
        return _normal(configured)
    asked = polled_url(provider)
    return "" if asked is None else _normal(asked.partition("?")[0].rpartition("/")[0])


def polled_url(provider: Provider) -> str | None:
    """Return the address at which a provider would ask for a job, or None if it names none."""
    try:
        return provider.poll_job(Job("1", min(provider.kinds, default=""))).url
    except foreign_errors():
        return None


def _normal(url: str) -> str:
    """An address as it is compared: what makes no difference to where it leads is left out."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return url
    place = f"[{host}]" if ":" in host else host
    if port not in (None, _PORTS.get(parts.scheme)):
        place = f"{place}:{port}"
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}"


def _shown(address: str) -> str:
    """The part of an address that can't hold a token."""
    return "/".join(address.split("/")[:3])
