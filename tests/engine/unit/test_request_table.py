"""The packed table of answered requests says the same as a dictionary and a queue."""

from collections.abc import Callable
from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import request_table
from engine.core.request_table import RequestRecord, RequestTable
from engine.messages.rejects import RejectCode
from engine.values import InvariantError

# They have the same checksum.
TWINS = ("a1:plumless", "a1:buckeroo")


def record(number: int, key: str = "") -> RequestRecord:
    code = RejectCode.PRICE_MOVED if number % 3 == 0 else None
    return RequestRecord(key or f"a{number % 7}:r{number}", b"%016d" % number, number << 21, code)


def restarted(table: RequestTable) -> RequestTable:
    """Return a table that has gone through a dump."""
    parts, packing = table.dump()
    raw = b"".join(parts)
    assert packing.size() == len(raw)
    told = msgspec.msgpack.encode(packing)
    return RequestTable.loaded(raw, msgspec.msgpack.decode(told, type=type(packing)))


def array_of(table: RequestTable) -> bytes:
    """Return the records as a dump holds them: the items of an array."""
    return b"".join(table.dump()[0])


@given(
    st.lists(st.sampled_from(["add"] * 6 + ["drop"] * 4 + ["many", "few", "restart"]), max_size=40),
    st.sampled_from([crc32, lambda raw: crc32(raw) % 5, lambda _: 0]),
)
def test_it_says_the_same_as_a_dictionary(
    steps: list[str], checksum: Callable[[bytes], int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request_table, "crc32", checksum)
        table, model, number = RequestTable(), dict[str, RequestRecord](), 0
        for step in steps:
            for _ in range({"add": 1, "many": 70}.get(step, 0)):
                number += 1
                table.add(record(number))
                model[record(number).key] = record(number)
            for _ in range(min(len(model), {"drop": 1, "few": 50}.get(step, 0))):
                table.drop_oldest()
                del model[next(iter(model))]
            if step == "restart":
                table = restarted(table)

            table.verify()
            assert list(table) == list(model.values())
            assert len(table) == table.count == len(model)
            if model:
                assert table.oldest_id == next(iter(model.values())).entry_id
            for asked in range(max(1, number - 140), number + 2):
                key = record(asked).key
                assert table.get(key) == model.get(key)
        assert restarted(table).dump() == table.dump()
        whole = msgspec.msgpack.encode(list(table))
        assert whole == request_table.array_head(len(table)) + array_of(table)


def test_keys_of_one_checksum_do_not_meet() -> None:
    first, second = (record(number, key) for number, key in enumerate(TWINS, 1))
    assert crc32(first.key.encode()) == crc32(second.key.encode())
    table = RequestTable()

    table.add(first)
    assert table.get(second.key) is None
    table.add(second)

    assert [table.get(key) for key in TWINS] == [first, second]
    table.drop_oldest()
    assert [table.get(key) for key in TWINS] == [None, second]
    table.drop_oldest()
    assert [table.get(key) for key in TWINS] == [None, None]


def test_pages_leave_with_their_last_record() -> None:
    table = RequestTable()
    for number in range(200):
        table.add(record(number))

    for number in range(200):
        assert (len(table), table.oldest_id) == (200 - number, record(number).entry_id)
        assert table.get(record(number).key) == record(number)
        table.drop_oldest()
        assert table.get(record(number).key) is None
        table = restarted(table)

    table.add(record(200))
    assert list(table) == [record(200)]


def test_an_empty_table_has_no_oldest_answer() -> None:
    table = RequestTable()
    newest = (1 << 63) - 1
    assert table.oldest_id > newest
    table.add(record(1))
    table.drop_oldest()

    assert table.oldest_id > newest
    assert restarted(table).oldest_id > newest


@pytest.mark.parametrize("count", [1, 64, 130])
def test_a_torn_table_is_refused(count: int) -> None:
    table = RequestTable()
    for number in range(count):
        table.add(record(number))
    parts, packing = table.dump()

    packing.sizes.append(0)
    with pytest.raises(InvariantError, match="torn"):
        RequestTable.loaded(b"".join(parts), packing)
    del packing.sizes[-1]
    packing.numbers.popitem()
    with pytest.raises(InvariantError, match="index differ"):
        RequestTable.loaded(b"".join(parts), packing)
