"""The reference cards of the landing page, and the address that leads to the settings."""

from django.test import Client

from cryptocfd.api_cards import api_cards


def test_a_card_names_first_what_a_newcomer_looks_for():
    named = {
        card.title: [f"{one.method} {one.path}" for one in card.named[:3]] for card in api_cards()
    }

    assert named == {
        "Authentication": ["POST /auth/login", "GET /auth/verify", "POST /auth/mobile/pin"],
        "Market data": ["GET /supportedAssets", "GET /prices/latest", "GET /candles"],
        "Accounts": ["GET /balance", "GET /accounts", "POST /accounts"],
        "Trading": ["POST /trade/create", "GET /trade/open", "POST /trade/close"],
    }


def test_the_settings_begin_with_the_profile():
    assert Client().get("/settings/").headers["Location"] == "/settings/profile"
