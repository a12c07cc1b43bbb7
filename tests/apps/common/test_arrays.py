"""Columns in PostgreSQL's binary form are what psycopg itself would have sent."""

import struct

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common.arrays import Integers, Texts, arrays_register
from apps.market.candles.store import connection_parameters

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

INTEGERS = st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=50)
TEXTS = st.lists(
    st.none() | st.text(st.characters(exclude_characters="\0"), max_size=9), max_size=50
)


@pytest.fixture(scope="module")
def connection(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        parameters = connection_parameters()
    with psycopg.connect(**parameters, autocommit=True) as connection:
        arrays_register(connection)
        yield connection


@given(integers=INTEGERS, texts=TEXTS)
def test_server_reads_what_was_packed(connection, integers, texts):
    row = connection.execute(
        "SELECT %s::bigint[], %s::text[]", [Integers.of(integers), Texts.of(texts)]
    ).fetchone()

    assert row == (integers, texts)


def test_integer_of_more_than_eight_bytes_is_no_candles():
    with pytest.raises(struct.error):
        Integers.of([2**63])
