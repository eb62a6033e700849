"""Which options of a task each service receives, and which the hub reports as ignored."""

from __future__ import annotations

import string
from typing import Any

import pytest
from captchahub_createtask.dialects import DIALECTS, DialectName
from captchahub_createtask.options import TaskFields, task_fields

from captchahub import Image, ImageToText

ANY = string.digits + string.ascii_lowercase


def fields_for(picture: Image, dialect: DialectName = "2captcha", /, **options: Any) -> TaskFields:
    return task_fields(ImageToText(picture, **options), DIALECTS[dialect])


@pytest.mark.parametrize("dialect", ["anti-captcha", "2captcha", "custom"])
def test_services_like_anti_captcha_have_a_field_for_every_option(
    picture: Image, dialect: DialectName
) -> None:
    fields = fields_for(
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
    assert fields.inside == {
        "minLength": 4,
        "maxLength": 6,
        "numeric": 1,
        "case": False,
        "phrase": False,
        "math": True,
        "comment": "the red ones",
    }
    assert fields.beside == {"languagePool": "rn"}
    assert len(fields.sent) == 8


@pytest.mark.parametrize(
    ("dialect", "inside", "sent"),
    [
        ("capmonster", {"numeric": 1, "Case": True, "math": False}, {"charset", "case_sensitive", "math"}),
        ("capsolver", {}, set[str]()),
        ("yescaptcha", {}, set[str]()),
        ("omocaptcha-v2", {}, set[str]()),
    ],
)
def test_other_services_receive_only_the_options_they_have_a_field_for(
    picture: Image, dialect: DialectName, inside: dict[str, object], sent: set[str]
) -> None:
    fields = fields_for(
        picture,
        dialect,
        length=5,
        charset=string.digits,
        case_sensitive=True,
        math=False,
        language="en",
        hint="the red ones",
    )
    assert fields == TaskFields(inside, {}, frozenset(sent))


def test_an_exact_length_is_sent_as_both_bounds(picture: Image) -> None:
    fields = fields_for(picture, length=5)
    assert fields.inside == {"minLength": 5, "maxLength": 5}
    assert fields.sent == {"length"}


def test_one_bound_is_sent_alone(picture: Image) -> None:
    assert fields_for(picture, min_length=3).inside == {"minLength": 3}
    assert fields_for(picture, max_length=8).inside == {"maxLength": 8}


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
def test_a_charset_is_stated_as_digits_only_or_letters_only_and_counts_as_sent_if_that_is_exact(
    picture: Image, charset: str, options: dict[str, Any], numeric: int | None, in_full: bool
) -> None:
    fields = fields_for(picture, charset=charset, **options)
    assert fields.inside.get("numeric") == numeric
    assert ("charset" in fields.sent) is in_full


def test_letters_only_is_not_sent_if_the_service_accepts_only_digits(picture: Image) -> None:
    assert fields_for(picture, "capmonster", charset=string.ascii_letters) == TaskFields({}, {}, frozenset())


@pytest.mark.parametrize(
    ("language", "pool"),
    [("en", "en"), ("en-GB", "en"), ("ru", "rn"), ("uk", "rn"), ("be", "rn"), ("kk", "rn")],
)
def test_a_language_is_sent_as_a_pool_of_workers_next_to_the_task(
    picture: Image, language: str, pool: str
) -> None:
    fields = fields_for(picture, language=language)
    assert fields == TaskFields({}, {"languagePool": pool}, frozenset({"language"}))


@pytest.mark.parametrize("language", ["zh-Hans", "de", "enm"])
def test_a_language_without_a_pool_is_not_sent(picture: Image, language: str) -> None:
    assert fields_for(picture, language=language) == TaskFields({}, {}, frozenset())


def test_a_task_without_options_sends_no_fields(picture: Image) -> None:
    assert fields_for(picture) == TaskFields({}, {}, frozenset())
