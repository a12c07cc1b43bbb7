"""Numbers at the edges are exact, or refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common.exact_json import json_decode, json_encode
from apps.common.money import number_from_scaled, plain_text, scaled_from_number
from engine.values import text_from_scaled

DECIMALS = st.integers(0, 6)
SCALED = st.integers(-(2**53) + 1, 2**53 - 1)


@given(SCALED, DECIMALS)
def test_a_number_survives_the_way_out_and_in(value, decimals):
    raw = json_encode({"x": number_from_scaled(value, decimals)})

    assert scaled_from_number(json_decode(raw)["x"], decimals) == value
    assert str(number_from_scaled(value, decimals)) == str(
        Decimal(text_from_scaled(value, decimals))
    )
    assert b"e" not in raw.lower().replace(b'"x"', b"")


def test_a_number_of_any_length_keeps_its_digits():
    value = 10**99 + 7

    assert str(number_from_scaled(-value, 6)) == f"-{text_from_scaled(value, 6)}"


@given(st.from_regex(r"\A-?[0-9]{1,12}(\.[0-9]{1,6})?\Z"))
def test_plain_text_means_what_it_says(text):
    assert scaled_from_number(text, 6) == Decimal(text) * 10**6


@pytest.mark.parametrize(
    "value", [True, None, [], {}, 0.5, "1e5", "NaN", "+1", " 1", "1.", "\u0661"]
)
def test_what_is_no_plain_number_is_refused(value):
    with pytest.raises(ValueError, match="expected"):
        scaled_from_number(value, 6)


@given(st.from_regex(r"\A-?(0|[1-9][0-9]{0,11})\.[0-9]{1,18}\Z"))
def test_a_json_number_is_the_text_of_its_digits(text):
    assert plain_text(json_decode(text)) == text


def test_a_number_beyond_all_sense_is_refused_without_work():
    with pytest.raises(ValueError, match="at most 40 characters"):
        plain_text(10**100_000)


@pytest.mark.parametrize("raw", [b"1e5", b"1E-2", b"[1.0e1]", b"NaN", b"Infinity", b"01", b"\xff"])
def test_s19_json_that_the_contract_forbids_is_refused(raw):
    with pytest.raises(ValueError, match=r"\w"):
        json_decode(raw)


def test_json_that_is_nested_too_deep_is_refused():
    with pytest.raises(ValueError, match=r"deep|malformed"):
        json_decode(b"[" * 100_000)
