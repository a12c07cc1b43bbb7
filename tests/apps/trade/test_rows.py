"""Rows of read models are made, stored and read past Django, and are what Django would have made of them."""

from datetime import date

import pytest
from django.db import connection
from django.forms.models import model_to_dict

from apps.common.arrays import Integers
from apps.trade.models import Account, AccountDay, Order, Position, SymbolMark
from apps.trade.services.projection.rows import (
    Rows,
    row_new,
    rows_append,
    rows_replace,
    rows_where,
    values_append,
)
from engine.values import InvariantError

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

ACCOUNT = {
    "account": 1001,
    "owner_id": 7,
    "kind": "demo",
    "group": "standard",
    "status": "active",
    "margin_mode": "cross",
    "leverage_cap": 100,
    "balance_micros": -5,
    "seq": 1,
    "cash_seq": 0,
    "is_margin_call": False,
    "is_stop_out_pending": True,
    "opened_at_us": 1,
}
ORDER = {
    "order_id": "1001-1",
    "account": 1001,
    "symbol": "BTCUSDT",
    "side": "BUY",
    "order_type": "LIMIT",
    "quantity_units": 2**62,
    "leverage": 3,
    "margin_mode": "cross",
    "price_ticks": 5,
    "time_in_force": "GTC",
    "state": "pending",
    "placed_at_us": 2,
}
DAY = {
    "account": 1001,
    "day": date(2026, 3, 1),
    "opening_micros": 1,
    "closing_micros": 3,
    "other_micros": 2,
    "unrealised_micros": -4,
    "equity_micros": -1,
}
MARK = {"shard": 0, "symbol": "BTCUSDT", "k": 100}
KINDS = [(Account, ACCOUNT), (Order, ORDER), (AccountDay, DAY), (SymbolMark, MARK)]


@pytest.mark.parametrize(("model", "values"), KINDS)
def test_row_has_the_values_and_defaults_that_django_gives_it(model, values):
    assert model_to_dict(row_new(model, **values)) == model_to_dict(model(**values))


@pytest.mark.parametrize("store", [rows_append, rows_replace])
@pytest.mark.parametrize(("model", "values"), KINDS)
def test_django_reads_what_was_stored(model, values, store):
    store(model, [row_new(model, **values)])

    assert model_to_dict(model.objects.get()) == model_to_dict(model(**values))


def test_what_is_read_is_what_django_has_stored():
    for model, values in KINDS:
        model.objects.create(**values)

    order = rows_where(Order, "account = ANY(%s::bigint[])", Integers.of([1001]))[0]
    account = Rows(Account, [1001, 1002]).get(1001)

    assert model_to_dict(order) == model_to_dict(Order(**ORDER))
    assert model_to_dict(account) == model_to_dict(Account(**ACCOUNT))


def test_changed_rows_take_the_place_of_what_was_there_and_new_ones_stand_beside_them():
    Order.objects.create(**ORDER)
    rows = Rows(Order, ["1001-1", "1001-2"])
    rows.get("1001-1").price_ticks = None
    rows.get("1001-1").is_activated = True
    rows.add("1001-2", row_new(Order, **(ORDER | {"order_id": "1001-2"})))

    rows.write()

    stored = Order.objects.order_by("order_id").values_list("price_ticks", "is_activated")
    assert list(stored) == [(None, True), (5, False)]


def test_unknown_fields_unknown_keys_and_keys_given_twice_are_refused():
    with pytest.raises(TypeError, match=r"Position lacks .*'entry_tick'"):
        row_new(Position, position_id="1001-1", entry_tick=5)
    Order.objects.create(**ORDER)
    rows = Rows(Order, ["1001-1"])
    with pytest.raises(InvariantError, match="unknown Order 1001-3"):
        rows.get("1001-3")
    with pytest.raises(InvariantError, match="Order 1001-1 exists already"):
        rows.add("1001-1", row_new(Order, **ORDER))
    with pytest.raises(TypeError, match="SymbolMark has other fields than"):
        values_append(SymbolMark, ("shard", "symbol"), [(0, "BTCUSDT")])


def test_values_are_stored_under_the_names_that_stand_at_their_places():
    names = ("symbol", "ts_us", "k", "shard", "ask_ticks", "bid_ticks")

    values_append(
        SymbolMark, names, [("BTCUSDT", 4, 3, 2, 6, 5), ("X\\\t\n\u20ac", 4, 3, 2, None, None)]
    )

    stored = SymbolMark.objects.order_by("symbol").values_list(*names)
    assert list(stored) == [("BTCUSDT", 4, 3, 2, 6, 5), ("X\\\t\n\u20ac", 4, 3, 2, None, None)]


def test_no_table_has_an_index_for_searches_by_prefix():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes"
            " WHERE tablename LIKE 'trade%%' AND indexdef LIKE '%%pattern_ops%%'"
        )
        assert cursor.fetchall() == []
