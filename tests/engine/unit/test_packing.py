"""Packed parts of a state: decoded when they are asked for, and dumped again as they came."""

from itertools import accumulate, islice, pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.packing import LazyTable, Run, array_head, packed_run
from engine.values import InvariantError

encode = msgspec.msgpack.encode
encode_into = msgspec.msgpack.Encoder().encode_into


class Table(LazyTable[str]):
    """A table that tells what it decodes."""

    def __init__(self, values: dict[int, str] | None = None) -> None:
        self.decoded: list[str] = []
        super().__init__(self._note)
        parts = [encode(value) for value in (values or {}).values()]
        ends = list(accumulate(map(len, parts), initial=1))
        self.load(list(values or {}), ends, b"\x90" + b"".join(parts))

    def _note(self, raw: bytes | memoryview) -> str:
        self.decoded.append(msgspec.msgpack.decode(raw, type=str))
        return self.decoded[-1]


def written(table: Table) -> list[bytes]:
    """Return what a table writes, value by value, behind what was there before."""
    buffer = bytearray(b"before")
    ends = table.write(buffer, encode_into)
    assert (ends[0], ends[-1], bytes(buffer[:6])) == (6, len(buffer), b"before")
    return [bytes(buffer[start:end]) for start, end in pairwise(ends)]


VALUES = {7: "seven", 3: "three", 5: "five"}


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65_535, 65_536])
def test_an_array_begins_as_msgpack_says(count: int) -> None:
    whole = encode([None] * count)

    assert whole == array_head(count) + b"\xc0" * count


def test_a_value_is_decoded_once_and_only_when_it_is_asked_for() -> None:
    table = Table(VALUES)

    assert (len(table), list(table), 3 in table, 4 in table) == (3, [7, 3, 5], True, False)
    assert table.decoded == []
    assert (table[3], table[3], table.get(4)) == ("three", "three", None)
    assert table.decoded == ["three"]


def test_an_unknown_id_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Table(VALUES)[4]


def test_what_is_added_comes_last_and_what_is_replaced_keeps_its_place() -> None:
    table = Table(VALUES)
    table[9] = "nine"
    table[3] = "drei"

    assert list(table) == [7, 3, 5, 9]
    assert len(table) == 4
    assert written(table) == [encode(text) for text in ("seven", "drei", "five", "nine")]
    assert table.decoded == []
    assert list(table.items()) == [(7, "seven"), (3, "drei"), (5, "five"), (9, "nine")]
    assert list(table.values()) == ["seven", "drei", "five", "nine"]


def test_a_table_that_is_all_decoded_is_in_order_too() -> None:
    table = Table(VALUES)
    assert table[5] == "five"

    assert list(table.values()) == list(VALUES.values())
    table[9] = "nine"

    assert (len(table), list(table), 7 in table) == (4, [7, 3, 5, 9], True)
    assert written(table) == [encode(text) for text in (*VALUES.values(), "nine")]
    assert sorted(table.decoded) == sorted(VALUES.values())


def test_two_tables_are_the_same_whatever_is_decoded() -> None:
    one, other = Table(VALUES), Table(VALUES)
    assert one[5] == "five"

    assert one == other
    other[9] = "nine"
    assert one != other


def test_values_may_come_while_the_rest_is_decoded_part_by_part() -> None:
    table = Table(VALUES)
    parts = table.unpacking(1)
    next(parts)
    table[9] = "nine"
    assert table[5] == "five"
    assert list(table.values()) == ["seven", "three", "five", "nine"]

    assert len(list(parts)) == 2

    assert table.decoded == ["seven", "five", "three"]
    assert list(table) == [7, 3, 5, 9]
    assert list(islice(table.unpacking(1), 1)) == []


@pytest.mark.parametrize(
    ("ids", "ends", "message"),
    [
        ([1, 2], [0, 1], "torn"),
        ([1], [0, 2], "torn"),
        ([], [0, 1], "torn"),
        ([1, 1], [0, 1, 1], "twice"),
    ],
)
def test_a_torn_table_is_refused(ids: list[int], ends: list[int], message: str) -> None:
    with pytest.raises(InvariantError, match=message):
        Table().load(ids, ends, b"x")


@given(st.lists(st.integers(0, 2**128 - 1)), st.integers(0, 5))
def test_a_run_gives_its_keys_one_by_one(keys: list[int], taken: int) -> None:
    keys.sort()
    raw = packed_run(keys)
    run = Run(raw)

    heads = [run.head] + [run.follow() for _ in range(taken)]

    assert heads == [*keys, *[None] * (taken + 1)][: taken + 1]
    assert run.head == heads[-1]
    assert run.keys() == keys[taken:]
    assert run.packed() == packed_run(keys[taken:])
    assert len(run) == len(keys[taken:])


def test_a_torn_run_is_refused() -> None:
    with pytest.raises(InvariantError, match="torn"):
        Run(b"0" * 17)
