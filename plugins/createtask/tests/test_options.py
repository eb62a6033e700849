"""What of a task reaches each service, and what the hub has to report as ignored."""

from __future__ import annotations

import string
from typing import Any

import pytest
from captchahub_createtask.dialects import DIALECTS, DialectName
from captchahub_createtask.options import Telling, tell

from captchahub import Image, ImageToText

ANY = string.digits + string.ascii_lowercase


def told(picture: Image, dialect: DialectName = "2captcha", /, **options: Any) -> Telling:
    return tell(ImageToText(picture, **options), DIALECTS[dialect])


@pytest.mark.parametrize("dialect", ["anti-captcha", "2captcha", "custom"])
def test_every_option_has_a_field_at_the_services_of_the_first_kind(
    picture: Image, dialect: DialectName
) -> None:
    telling = told(
        picture,
        dialect,
        min_length=4,
        max_length=6,
        charset=string.digits,
        case_sensitive=False,
        phrase=False,
        math=True,
        language="ru",
        hint="the red ones",
    )
    assert telling.inside == {
        "minLength": 4,
        "maxLength": 6,
        "numeric": 1,
        "case": False,
        "phrase": False,
        "math": True,
        "comment": "the red ones",
    }
    assert telling.beside == {"languagePool": "rn"}
    assert len(telling.sent) == 8


@pytest.mark.parametrize(
    ("dialect", "fields", "sent"),
    [
        ("capmonster", {"numeric": 1, "Case": True, "math": False}, {"charset", "case_sensitive", "math"}),
        ("capsolver", {}, set[str]()),
        ("yescaptcha", {}, set[str]()),
        ("omocaptcha-v2", {}, set[str]()),
    ],
)
def test_the_others_are_told_what_they_have_a_field_for(
    picture: Image, dialect: DialectName, fields: dict[str, object], sent: set[str]
) -> None:
    telling = told(
        picture,
        dialect,
        length=5,
        charset=string.digits,
        case_sensitive=True,
        math=False,
        language="en",
        hint="the red ones",
    )
    assert telling == Telling(fields, {}, frozenset(sent))


def test_an_exact_length_is_told_as_both_bounds(picture: Image) -> None:
    telling = told(picture, length=5)
    assert telling.inside == {"minLength": 5, "maxLength": 5}
    assert telling.sent == {"length"}


def test_one_bound_is_told_alone(picture: Image) -> None:
    assert told(picture, min_length=3).inside == {"minLength": 3}
    assert told(picture, max_length=8).inside == {"maxLength": 8}


@pytest.mark.parametrize(
    ("charset", "options", "numeric", "in_full"),
    [
        (string.digits, {}, 1, True),
        ("0123 4567 89", {}, 1, True),
        ("01234", {}, 1, False),
        (string.ascii_letters, {}, 2, True),
        (string.ascii_lowercase, {}, 2, True),
        (string.ascii_lowercase, {"case_sensitive": True}, 2, False),
        (string.ascii_letters, {"case_sensitive": True}, 2, True),
        ("abc", {}, 2, False),
        ("абв", {}, 2, False),
        (ANY, {}, None, False),
        ("abc-", {}, None, False),
        ("+-", {}, None, False),
        ("\u0661\u0662", {}, None, False),
    ],
)
def test_a_charset_is_told_as_digits_only_or_letters_only_and_is_sent_where_that_says_it_all(
    picture: Image, charset: str, options: dict[str, Any], numeric: int | None, in_full: bool
) -> None:
    telling = told(picture, charset=charset, **options)
    assert telling.inside.get("numeric") == numeric
    assert ("charset" in telling.sent) is in_full


def test_letters_only_is_not_told_where_the_service_knows_only_digits(picture: Image) -> None:
    assert told(picture, "capmonster", charset=string.ascii_letters) == Telling({}, {}, frozenset())


@pytest.mark.parametrize(
    ("language", "pool"),
    [("en", "en"), ("en-GB", "en"), ("ru", "rn"), ("uk", "rn"), ("be", "rn"), ("kk", "rn")],
)
def test_a_language_is_told_as_a_pool_of_workers_beside_the_task(
    picture: Image, language: str, pool: str
) -> None:
    telling = told(picture, language=language)
    assert telling == Telling({}, {"languagePool": pool}, frozenset({"language"}))


@pytest.mark.parametrize("language", ["zh-Hans", "de", "enm"])
def test_a_language_without_a_pool_is_not_sent(picture: Image, language: str) -> None:
    assert told(picture, language=language) == Telling({}, {}, frozenset())


def test_nothing_known_is_nothing_told(picture: Image) -> None:
    assert told(picture) == Telling({}, {}, frozenset())
