"""Reading and showing what a service wrote."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import captchahub.provider
from captchahub.provider import Secret
from captchahub.words import Words, fields_of, job_id_of, money, text_of

TOKEN = "tOkEn-7f3a91c2e8"
WORDS = Words("Example", Secret(TOKEN))

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([10**400, -(10**400), "\ud800", TOKEN, TOKEN.upper()]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture
def few_digits() -> Iterator[None]:
    """Limit Python to numbers of 640 digits, the smallest limit that can be set."""
    usual = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    yield
    sys.set_int_max_str_digits(usual)


class TestText:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("x7kp2", "x7kp2"),
            ("  two words \n", "two words"),
            ("đường", "đường"),
            ("\U0001f600", "\U0001f600"),
            (1234, "1234"),
            (0, "0"),
            (-12.5, "-12.5"),
            (10**400, "1" + "0" * 400),
        ],
    )
    def test_text_and_numbers_are_read_as_they_are(self, value: object, text: str) -> None:
        assert text_of(value) == text

    @pytest.mark.parametrize(
        "value",
        [None, "", " \n", True, False, [], ["a"], {}, b"a", math.nan, -math.inf, "a\ud800", "\udfffa"],
    )
    def test_anything_else_is_no_text(self, value: object) -> None:
        assert text_of(value) == ""

    @pytest.mark.usefixtures("few_digits")
    def test_a_number_that_python_does_not_write_is_no_text(self) -> None:
        assert text_of(10**639) != ""
        assert text_of(10**640) == ""

    @given(json_values)
    def test_any_value_is_a_text_that_a_file_takes(self, value: object) -> None:
        text = text_of(value)
        assert text.encode().decode() == text == text.strip()


class TestJobId:
    @pytest.mark.parametrize("value", [1, 2**63 - 1, "1", "007", "37223a89-06ed-442c", "x" * 200, "ü 1"])
    def test_an_id_stays_as_the_service_wrote_it(self, value: object) -> None:
        found = job_id_of(value)
        assert (found, type(found)) == (value, type(value))

    @pytest.mark.parametrize(
        "value",
        [None, 0, -1, True, 1.0, 2**63, 10**400, "", " ", "a\nb", "a\x00", "\ud800", "x" * 201, [1], {}],
    )
    def test_anything_else_is_no_id(self, value: object) -> None:
        assert job_id_of(value) is None


class TestMoney:
    @pytest.mark.parametrize(
        ("value", "amount"),
        [
            (5, "5"),
            (0, "0"),
            (-3, "-3"),
            (0.1, "0.1"),
            (1e-7, "1E-7"),
            ("0.00050", "0.00050"),
            (" 12.5 ", "12.5"),
            ("+1", "1"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e-3", "0.001"),
        ],
    )
    def test_numbers_and_text_as_services_write_them(self, value: object, amount: str) -> None:
        assert money(value) == Decimal(amount)

    @pytest.mark.parametrize(
        "value",
        ["", "free", "1,5", "1 000", "1_000", "$5", "\u0663", "NaN", "inf", "9" * 21, "1e999"],
    )
    def test_other_text_is_none(self, value: str) -> None:
        assert money(value) is None

    @pytest.mark.parametrize("value", [None, True, False, [], {}, b"5", Decimal(5)])
    def test_other_things_are_none(self, value: object) -> None:
        assert money(value) is None

    @pytest.mark.parametrize(
        "value", [math.nan, math.inf, 10**20, -(10**5000)], ids=["nan", "inf", "large", "huge"]
    )
    def test_numbers_that_are_no_amount_are_none(self, value: float) -> None:
        assert money(value) is None

    @given(st.text() | st.floats() | st.integers() | st.from_regex(r"[-+]?\d+\.?\d*([eE][-+]?\d+)?"))
    def test_any_value_is_a_finite_amount_or_none(self, value: object) -> None:
        amount = money(value)
        assert amount is None or amount.is_finite()

    def test_plugins_can_import_it_with_the_balance_too(self) -> None:
        assert captchahub.provider.money is money


class TestFields:
    def test_only_an_object_has_fields(self) -> None:
        assert fields_of({"a": 1}) == {"a": 1}
        for value in (None, [], [{"a": 1}], "a", 5, True):
            assert fields_of(value) == {}


class TestWordsAsTheyAreShown:
    def test_they_are_the_services_own(self) -> None:
        assert WORDS.said("Dịch vụ không tồn tại") == "Example says: Dịch vụ không tồn tại"

    @pytest.mark.parametrize("silence", ["", " \n", "\x00"])
    def test_a_missing_reason_is_stated(self, silence: str) -> None:
        assert WORDS.said(silence) == "Example says: no reason"

    def test_they_stand_on_one_line_without_control_characters(self) -> None:
        assert WORDS.of("bad\r\n\x1b[31mred\x00\u202e\u2028end\ud800") == "bad [31mred end"

    def test_long_ones_are_cut(self) -> None:
        shown = WORDS.of("x" * 10_000)
        assert (len(shown), shown[-2:]) == (200, "x…")
        assert WORDS.of("x" * 200) == "x" * 200
        assert Words("Example", Secret(TOKEN), longest=5).of("x" * 6) == "xxxx…"

    @pytest.mark.parametrize("words", ["{}", "no such key {}.", "{}{}", "x" * 195 + "{}", "a\n{}\x00"])
    @pytest.mark.parametrize("echo", [TOKEN, TOKEN.lower(), TOKEN.upper()])
    def test_a_token_that_is_repeated_is_masked(self, words: str, echo: str) -> None:
        text = words.format(echo, echo)
        for shown in (WORDS.of(text), WORDS.said(text), WORDS.shown(text)):
            assert "token-7f" not in shown.lower()
            assert "*" in shown

    def test_a_token_of_punctuation_is_not_a_pattern(self) -> None:
        assert Words("Example", Secret("a.*b")).of("a.*b axxb") == "*** axxb"

    @pytest.mark.parametrize("words", [Words("Example"), Words("Example", Secret(""))])
    def test_without_a_token_nothing_is_masked(self, words: Words) -> None:
        assert words.of("no such key") == "no such key"
        assert not words.has_secret("no such key")

    def test_they_do_not_show_the_token_themselves(self) -> None:
        assert TOKEN not in f"{WORDS!r} {WORDS}"

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (None, "nothing"),
            ("x\n7", "'x 7'"),
            (5, "5"),
            (0.5, "0.5"),
            (True, "True"),
            (math.nan, "nan"),
            ([1], "a list"),
            ({"a": 1}, "an object"),
            (10**400, "1" + "0" * 198 + "…"),
        ],
    )
    def test_any_value_has_a_short_name(self, value: object, shown: str) -> None:
        assert WORDS.shown(value) == shown

    def test_a_token_of_digits_is_masked_in_a_number_too(self) -> None:
        assert Words("Example", Secret("72345678")).shown(1723456789) == "1***9"

    @pytest.mark.usefixtures("few_digits")
    def test_a_number_that_python_does_not_write_is_named(self) -> None:
        assert WORDS.shown(10**640) == "a vast number"
        assert not WORDS.has_secret(10**640)

    @given(json_values)
    def test_any_value_is_shown_short_and_without_the_token(self, value: object) -> None:
        shown = WORDS.shown(value)
        assert shown.isprintable()
        assert len(shown) <= 202
        assert TOKEN.lower() not in shown.lower()


class TestATokenInAnId:
    @pytest.mark.parametrize("value", [TOKEN, f"job-{TOKEN.upper()}", TOKEN.lower() * 2])
    def test_it_is_found_in_any_case(self, value: str) -> None:
        assert WORDS.has_secret(value)

    def test_it_is_found_in_a_number(self) -> None:
        assert Words("Example", Secret("12345678")).has_secret(9123456789)
        assert not Words("Example", Secret("12345678")).has_secret(1234567)

    def test_a_short_one_can_be_there_by_chance(self) -> None:
        assert not Words("Example", Secret("1234567")).has_secret(91234567)
