"""What distinguishes one account at a service from another, and the token of a job."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from captchahub._config.loader import read_mapping
from captchahub._policy.account_identity import AccountIdentity, identity_of
from captchahub._policy.job_token import Token, read_token
from captchahub.provider import Job, Provider, ProviderKind, Request, Secret
from captchahub.settings import ProviderSettings
from tests.virtual_services import INSTALLED

KEY = bytes(32)


def configured(plugin: str = "createtask", **own: Any) -> AccountIdentity:
    account = {"plugin": plugin, **own}
    settings = read_mapping({"providers": {"mine": account}}, INSTALLED).providers["mine"]
    provider = settings.kind.build(settings.own)
    assert isinstance(provider, Provider)
    return identity_of(settings, provider)


def backup(dialect: str = "2captcha", **own: Any) -> AccountIdentity:
    return configured(dialect=dialect, client_key="k3y-0f-mine", **own)


class PollsElsewhere(Provider):
    """A provider whose polls have an address that is in no setting."""

    kinds = frozenset({"image-to-text"})

    def __init__(self, url: str | None) -> None:
        self.url = url

    def create_job(self, task: Any) -> Request:
        raise NotImplementedError

    read_created: Any = None
    read_result: Any = None

    def poll_job(self, job: Job) -> Request:
        if self.url is None:
            raise RuntimeError("not now")
        return Request(self.url)


def of(
    own: object, url: str | None = "https://api.example/v1/result?key=s3cret", **common: Any
) -> AccountIdentity:
    kind = ProviderKind[Any]("asking", type(own), lambda _: PollsElsewhere(url))
    return identity_of(ProviderSettings("mine", "asking", own, kind, **common), PollsElsewhere(url))


@attrs.frozen
class Login:
    user: str
    password: Secret
    team: int
    soft_id: int = 0
    note: str = ""


@attrs.frozen
class Open:
    key: str = "a"
    tries: int = 3


class TestAnAccount:
    @pytest.mark.parametrize(
        "own",
        [
            {"task_type": "ImageToTextTaskM1"},
            {"max_bytes": 50_000},
            {"timeout": "60s", "budget": {"limit": 5, "per": "day"}, "prices": {"image-to-text": 1}},
            {"base_url": "https://api.2captcha.com"},
            {"base_url": "https://api.2captcha.com/"},
            {"base_url": "https://API.2captcha.com:443"},
            {"dialect": "custom", "base_url": "https://api.2captcha.com"},
        ],
    )
    def test_is_the_same_with_other_optional_settings_and_limits(self, own: dict[str, Any]) -> None:
        assert backup(**own).digests(KEY) == backup().digests(KEY)

    def test_is_the_same_if_its_default_address_is_configured(self) -> None:
        explicit = backup("omocaptcha-v2", base_url="https://api.omocaptcha.com/v2")
        assert explicit.digests(KEY) == backup("omocaptcha-v2").digests(KEY)

    @pytest.mark.parametrize(
        "other",
        [
            configured(dialect="2captcha", client_key="k3y-0f-yours"),
            backup("capsolver"),
            backup(base_url="https://api.2captcha.com/team"),
            backup(base_url="https://api.2captcha.com:8443"),
            configured("omocaptcha", api_token="k3y-0f-mine", base_url="https://api.2captcha.com"),
        ],
    )
    def test_is_another_one_with_another_token_address_or_plugin(self, other: AccountIdentity) -> None:
        assert not {*other.digests(KEY)} & {*backup().digests(KEY)}

    def test_is_identified_by_every_secret_and_required_setting(self) -> None:
        mine = Login("me", Secret("pass"), 1)
        same = [Login("me", Secret("pass"), 1, soft_id=7, note="x")]
        others = [
            Login("you", Secret("pass"), 1),
            Login("me", Secret("word"), 1),
            Login("me", Secret("pass"), 2),
        ]
        assert all(of(mine).digests(KEY) == of(one).digests(KEY) for one in same)
        assert all(of(mine).digests(KEY) != of(one).digests(KEY) for one in others)

    def test_is_identified_by_all_texts_and_numbers_if_there_is_no_secret(self) -> None:
        assert of(Open()).digests(KEY) != of(Open(key="b")).digests(KEY)
        assert of(Open()).digests(KEY) == of(Open()).digests(KEY)

    @pytest.mark.parametrize("own", [object(), None, {"key": Secret("s3cret")}])
    def test_can_have_settings_of_any_kind(self, own: object) -> None:
        assert of(own).digests(KEY) == of(own).digests(KEY)

    @pytest.mark.parametrize("url", [None, "", "no address", "https://[broken", "https://x:port/y"])
    def test_can_have_any_address(self, url: str | None) -> None:
        assert of(Open(), url).digests(KEY) == of(Open(), url).digests(KEY)

    def test_with_a_journal_account_is_the_same_with_any_token(self) -> None:
        first, second = (
            of(Login("me", Secret(word), 1), journal_account="me@example.com") for word in ("pass", "word")
        )
        assert len({*first.digests(KEY)} & {*second.digests(KEY)}) == 1


class TestItsSecrets:
    def test_are_in_no_repr(self) -> None:
        identity = of(Login("me", Secret("s3cret"), 1))
        assert "s3cret" not in repr(identity)
        assert identity.address == "https://api.example"
        assert b"s3cret" not in b"".join(identity.digests(KEY))

    def test_are_in_no_address(self) -> None:
        assert (
            of(Login("me", Secret("s3cret"), 1), "https://s3cret.example/x").address == "https://***.example"
        )
        assert (
            of(Login("me", Secret("s3cret"), 1), "https://me:s3cret@a.example/x").address
            == "https://a.example"
        )

    def test_have_another_digest_in_every_journal(self) -> None:
        identity = of(Login("me", Secret("s3cret"), 1))
        assert identity.digests(KEY) != identity.digests(bytes([1] * 32))

    def test_can_not_be_found_from_the_token_of_a_job(self) -> None:
        """Many passwords have the same short digest."""
        digests = {of(Login("me", Secret(f"word{number}"), 1)).short_digests for number in range(2000)}
        assert 1900 < len(digests) < 2000
        assert all(len(digest) == 4 for (digest,) in digests)


@pytest.mark.parametrize("account", [None, 7, "ab", [7], {}, [["ab"]]])
def test_a_token_with_odd_digests_is_as_one_without(account: object) -> None:
    job = Token("omo", "image-to-text", 7, "f1")
    assert read_token(json.dumps({**json.loads(str(job)), "account": account})) == job
