"""Which account at a service a provider is, so that its jobs are not taken for those of another account.

A provider's name is not enough: two programs may share a journal, and a name may get another token or
address.
"""

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

_DEFAULT_PORTS = {"http": 80, "https": 443}

# The types of a setting as a field of attrs may have them: as a string if annotations are not evaluated.
_TEXT_OR_NUMBER = (str, "str", int, "int")

# The bytes of a digest in the journal: enough that no two accounts are ever equal by chance.
_DIGEST_BYTES = 16

# The bytes of a digest in a token. A token has no key and may be seen by anybody, so the digest must not be
# enough to find a weak password by trying: one in 65,536 passwords has the same one.
_SHORT_DIGEST_BYTES = 2


@attrs.frozen
class AccountIdentity:
    """One account at one service.

    ``address`` is the host of the service, for people to read. ``marks`` distinguish the account from all
    others, beginning with the one that stays the same for longest. They contain the token of the account, so
    only their digests leave the process.
    """

    plugin: str
    address: str
    marks: tuple[Secret, ...]

    def digests(self, key: bytes) -> list[bytes]:
        """Return the digests of the marks for a journal, which has a random ``key`` of its own."""
        return [_digest(mark, key, _DIGEST_BYTES) for mark in self.marks]

    @property
    def short_digests(self) -> tuple[str, ...]:
        """The digests of the marks for a token, too short for a password to be found by trying."""
        return tuple(_digest(mark, b"", _SHORT_DIGEST_BYTES).hex() for mark in self.marks)


def _digest(mark: Secret, key: bytes, size: int) -> bytes:
    return blake2b(mark.reveal().encode(), key=key, digest_size=size).digest()


def identity_of(settings: ProviderSettings, provider: Provider) -> AccountIdentity:
    """Return the account that a provider is.

    Its marks are made of the plugin, the address, every Secret of the settings, and every text or number
    without a default, as a user name. If there is no Secret, all texts and numbers count. The setting
    ``journal_account`` is another mark, which replaces all but the plugin and the address: a new token is
    then the same account.
    """
    address = _address_of(settings, provider)
    marks = [["settings", *_identifying_values(settings.own)]]
    if settings.journal_account is not None:
        marks.insert(0, ["name", settings.journal_account])
    return AccountIdentity(
        settings.plugin,
        # Scheme and host only, because a path may contain a token.
        mask("/".join(address.split("/")[:3]), secrets_in(settings.own)),
        tuple(Secret(json.dumps([settings.plugin, address, *mark])) for mark in marks),
    )


def _identifying_values(own: object) -> Iterable[str]:
    """Yield what distinguishes the account from others at the same address."""
    secrets = sorted(secrets_in(own))
    yield from secrets
    kind = type(own)
    if not attrs.has(kind):
        return
    for field in attrs.fields(kind):
        value = getattr(own, field.name)
        is_required = field.default is attrs.NOTHING and field.type in _TEXT_OR_NUMBER
        # An optional setting, as a language, may change without another account. Without a secret, there is
        # nothing better.
        is_identifying = field.name != "base_url" and (is_required or not secrets)
        if is_identifying and isinstance(value, (str, int, float)):
            yield f"{field.name}={value}"


def _address_of(settings: ProviderSettings, provider: Provider) -> str:
    """Return the address of the service: ``base_url`` if the plugin has it, else that of its polls."""
    try:
        configured: object = getattr(settings.own, "base_url", None)
    except foreign_errors():
        # It may be a property of the plugin's settings, with a fault of its own.
        configured = None
    if isinstance(configured, str):
        return _normalized(configured)
    url = polled_url(provider)
    return "" if url is None else _normalized(url.partition("?")[0].rpartition("/")[0])


def polled_url(provider: Provider) -> str | None:
    """Return the address at which a provider would poll a job, or None if its plugin does not say."""
    try:
        return provider.poll_job(Job("1", min(provider.kinds, default=""))).url
    except foreign_errors():
        return None


def _normalized(url: str) -> str:
    """Return an address without what makes no difference: a default port, upper case, a slash at its end."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return url
    if ":" in host:
        host = f"[{host}]"
    if port not in (None, _DEFAULT_PORTS.get(parts.scheme)):
        host = f"{host}:{port}"
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
