"""Exact conversions between decimal text and integers, entry ids, and the check that is always on."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import values
from engine.values import InvariantError, check, scaled_from_text, text_from_scaled


@pytest.mark.parametrize(
    ("text", "decimals", "expected"),
    [
        ("0", 0, 0),
        ("60010", 1, 600_100),
        ("60010.5", 1, 600_105),
        ("60010.50", 1, 600_105),
        ("-0.01", 6, -10_000),
        ("-0", 6, 0),
        ("007", 0, 7),
        ("1.000000", 0, 1),
        ("0.123456789012345678", 18, 123_456_789_012_345_678),
    ],
)
def test_plain_decimals_become_integers(text: str, decimals: int, expected: int) -> None:
    assert scaled_from_text(text, decimals) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1 ",
        "+1",
        "--1",
        "1.",
        ".5",
        "1e3",
        "1E3",
        "NaN",
        "inf",
        "-inf",
        "1,000",
        "1_000",
        "0x10",
        "१",
        "1\n",
        "1" * 20,
        "1." + "0" * 19,
        "1.2.3",
        "-",
    ],
)
def test_what_is_not_a_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a plain decimal number"):
        scaled_from_text(text, 6)


def test_more_decimals_than_the_scale_holds_are_refused_and_counted() -> None:
    with pytest.raises(ValueError, match="at most 2 decimals, found 3"):
        scaled_from_text("1.2340", 2)


@given(st.integers(-(10**18), 10**18), st.integers(0, 18))
def test_text_and_integer_are_the_same_number(value: int, decimals: int) -> None:
    text = text_from_scaled(value, decimals)

    assert Fraction(text) == Fraction(value, 10**decimals)
    assert scaled_from_text(text, decimals) == value


@pytest.mark.parametrize(("value", "text"), [(5, "0.000005"), (-1, "-0.000001"), (0, "0.000000")])
def test_money_is_written_with_all_its_decimals(value: int, text: str) -> None:
    assert text_from_scaled(value, 6) == text
    assert values.micros_from_text(text) == value


def test_without_decimals_there_is_no_point() -> None:
    assert text_from_scaled(-42, 0) == "-42"


@given(st.integers(0, 2**42 - 1), st.integers(0, 2**21 - 1))
def test_entry_ids_survive_packing_and_keep_their_order(ms: int, sequence: int) -> None:
    packed = values.entry_id_from_text(f"{ms}-{sequence}")

    assert values.text_from_entry_id(packed) == f"{ms}-{sequence}"
    assert values.entry_time_us(packed) == ms * 1000
    assert packed < values.entry_id_from_text(f"{ms + 1}-0")


def test_an_entry_id_without_sequence_is_the_first_of_its_millisecond() -> None:
    assert values.entry_id_from_text("7") == values.entry_id_from_text("7-0")


@pytest.mark.parametrize("text", ["1-2097152", "1--1", "x-0", ""])
def test_entry_ids_that_do_not_fit_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        values.entry_id_from_text(text)


def test_an_age_goes_back_to_the_first_entry_of_its_millisecond() -> None:
    before = values.entry_id_before(values.entry_id_from_text("5000-7"), 2_000_000)

    assert values.text_from_entry_id(before) == "3000-0"
    assert values.entry_id_from_text("2999-99") < before


def test_check_raises_with_its_sentence() -> None:
    check(True, "holds")

    with pytest.raises(InvariantError, match="it does not"):
        check(False, "it does not")
