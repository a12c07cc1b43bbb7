"""Every refusal of the engine as a client sees it: a status, a sentence with numbers, and the numbers themselves."""

import re
from decimal import Decimal

import pytest
from django.utils import translation

from apps.common.refusals import _SENTENCES, Decimals, refusal_error, sentences_in
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected

BTC = Decimals(price=1, quantity=5)


def test_every_code_has_a_sentence():
    assert set(_SENTENCES) == set(RejectCode)


@pytest.mark.parametrize("code", list(RejectCode))
def test_every_code_speaks_even_without_numbers(code):
    error = refusal_error(Rejected(code=code), request_id="r1")

    assert error.http_status in (400, 404, 409)
    assert error.request_id == "r1"
    assert "{" not in error.message
    assert error.message


@pytest.mark.parametrize(
    ("code", "data", "sentence", "numbers"),
    [
        (
            RejectCode.LEVERAGE_INVALID,
            {"leverage": 1000, "leverage_max": 100},
            "leverage must be from 1 to 100, was 1000",
            {"leverage": 1000, "leverageMax": 100},
        ),
        (
            RejectCode.QUANTITY_INVALID,
            {
                "quantity_units": 7,
                "quantity_min_units": 10,
                "quantity_max_units": 1_000_000,
                "quantity_step_units": 1,
            },
            "quantity must be from 0.0001 to 10 in steps of 0.00001, was 0.00007",
            {
                "quantity": Decimal("0.00007"),
                "quantityMin": Decimal("0.00010"),
                "quantityMax": Decimal("10.00000"),
                "quantityStep": Decimal("0.00001"),
            },
        ),
        (
            RejectCode.FREE_MARGIN_INSUFFICIENT,
            {"required_micros": 12_500_000, "free_margin_micros": -1},
            "free margin must be at least 12.5 USD, was -0.000001 USD",
            {"required": Decimal("12.500000"), "freeMargin": Decimal("-0.000001")},
        ),
        (
            RejectCode.QUOTE_STALE,
            {"symbol": "BTCUSDT", "quote_age_us": 6_500_000, "quote_age_us_max": 5_000_000},
            "the last price of BTCUSDT is 6.5 s old, at most 5 s are allowed",
            {
                "symbol": "BTCUSDT",
                "quoteAge": Decimal("6.500000"),
                "quoteAgeMax": Decimal("5.000000"),
            },
        ),
        (
            RejectCode.QUOTE_STALE,
            {"symbol": "BTCUSDT", "quote_age_us": -1, "quote_age_us_max": 5_000_000},
            "BTCUSDT has no price yet",
            {"symbol": "BTCUSDT", "quoteAgeMax": Decimal("5.000000")},
        ),
        (
            RejectCode.EXPIRY_INVALID,
            {"time_in_force": "gtd", "expires_at_us": 0, "now_us": 1_780_000_000_000_000},
            "the end of the order does not fit: a gtd order needs one in the future, others take none",
            {"timeInForce": "gtd", "now": "2026-05-28T20:26:40Z"},
        ),
        (
            RejectCode.POSITION_UNKNOWN,
            {"position_id": "1001-7"},
            "there is no open order 1001-7 of yours",
            {"orderId": "1001-7"},
        ),
    ],
)
def test_numbers_become_those_that_people_know(code, data, sentence, numbers):
    error = refusal_error(Rejected(code=code, data=data), request_id="r1", decimals=BTC)

    assert error.message == sentence
    assert error.data == numbers


def test_prices_of_an_unknown_scale_are_left_out():
    rejected = Rejected(
        code=RejectCode.PRICE_MOVED, data={"price_ticks": 5, "slippage_ppm": 10_000}
    )

    error = refusal_error(rejected, request_id="r1")

    assert error.data == {"slippage": Decimal("1.0000")}
    assert error.message == "refused: PRICE_MOVED"


def test_a_foreign_account_looks_like_an_unknown_one():
    foreign = refusal_error(
        Rejected(code=RejectCode.NOT_OWNER, data={"account": 1001}), request_id="r"
    )
    unknown = refusal_error(
        Rejected(code=RejectCode.ACCOUNT_UNKNOWN, data={"account": 1001}), request_id="r"
    )

    assert (foreign.code, foreign.message, foreign.http_status) == (
        unknown.code,
        unknown.message,
        unknown.http_status,
    )


LEVERAGE = Rejected(code=RejectCode.LEVERAGE_INVALID, data={"leverage": 1000, "leverage_max": 100})
MARGIN = Rejected(
    code=RejectCode.FREE_MARGIN_INSUFFICIENT,
    data={"required_micros": 0, "free_margin_micros": -1_500_000},
)


def test_pages_tell_refusals_in_the_language_of_who_reads_them_and_the_api_in_english():
    english = refusal_error(MARGIN, request_id="r")
    with translation.override("de"):
        german = refusal_error(MARGIN, request_id="r")
        again = refusal_error(LEVERAGE, request_id="r")

    assert english.message == "free margin must be at least 0 USD, was -1.5 USD"
    assert german.message == "die freie Margin muss mindestens 0 USD sein, war aber -1,5 USD"
    assert again.message == "der Hebel muss zwischen 1 und 100 liegen, war aber 1000"
    # What programs read is the same whatever the language.
    assert (german.code, german.data) == (english.code, english.data)


@pytest.mark.parametrize("code", list(RejectCode))
def test_the_terminal_has_every_refusal_in_german_with_the_contracts_names(code):
    english, german = sentences_in("en")[code.value], sentences_in("de")[code.value]

    assert len(english) == len(german) == len(_SENTENCES[code])
    assert all(one != other for one, other in zip(english, german, strict=True))
    names = {name for text in german for name in re.findall(r"\{(\w+)\}", text)}
    assert names == {name for text in english for name in re.findall(r"\{(\w+)\}", text)}
    assert not any("_" in name for name in names)
