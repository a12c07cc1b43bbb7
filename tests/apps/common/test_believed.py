"""What is believed for two seconds: when it is read, how many reads that takes, and what is never believed."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping

import pytest

from apps.common.believed import Believed


class Rows:
    """A table that counts how it is read."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.values: dict[str, int] = {}
        self.reads: list[tuple[set[str], dict[str, int]]] = []
        self.error: Exception | None = None
        self.during = lambda: None
        self.believed = Believed(self.read, is_believed=bool, clock=lambda: self.now_s)

    def read(self, keys: Iterable[str], known: Mapping[str, int]) -> dict[str, int]:
        self.reads.append((set(keys), dict(known)))
        self.during()
        if self.error is not None:
            raise self.error
        return {key: self.values.get(key, 0) for key in keys}


@pytest.fixture
def rows() -> Rows:
    return Rows()


def test_an_answer_is_believed_for_two_seconds_and_then_read_with_what_it_was(rows):
    rows.values["a"] = 1
    assert rows.believed.get("a") == 1
    rows.values["a"] = 2
    rows.now_s += 1.999
    assert rows.believed.get("a") == 1
    rows.now_s += 0.001
    assert rows.believed.get("a") == 2
    assert rows.reads == [({"a"}, {}), ({"a"}, {"a": 1})]


def test_what_is_not_to_be_believed_is_read_each_time_and_forgets_what_was(rows):
    rows.values["a"] = 1
    rows.believed.get("a")
    rows.values["a"] = 0
    rows.now_s += 2
    assert [rows.believed.get("a"), rows.believed.get("a")] == [0, 0]
    assert len(rows.reads) == 3
    assert rows.reads[2] == ({"a"}, {})


def test_forgetting_reads_anew_and_spoils_what_is_just_being_read(rows):
    rows.values |= {"a": 1, "b": 2}
    rows.believed.get("a")
    rows.believed.get("b")
    rows.believed.forget_where(lambda value: value == 2)
    assert len(rows.reads) == 2
    rows.believed.get("a")
    assert len(rows.reads) == 2

    rows.during = lambda: rows.believed.forget("c")
    rows.values["c"] = 3
    assert rows.believed.get("c") == 3
    rows.during = lambda: None
    rows.values["c"] = 4
    assert rows.believed.get("c") == 4


def test_what_many_miss_at_once_is_one_read_and_each_gets_its_own(rows):
    rows.values |= {str(n): n + 1 for n in range(50)}

    async def ask() -> list[int]:
        keys = [str(n % 50) for n in range(200)]
        return await asyncio.gather(*map(rows.believed.get_async, keys))

    assert asyncio.run(ask()) == [n % 50 + 1 for n in range(200)]
    assert [keys for keys, _ in rows.reads] == [{str(n) for n in range(50)}]


def test_what_is_in_use_is_read_anew_before_its_time_and_nobody_waits(rows):
    rows.values["a"] = 1

    async def use() -> list[int]:
        found = [await rows.believed.get_async("a")]
        rows.values["a"] = 2
        rows.now_s += 1.5
        found.append(await rows.believed.get_async("a"))
        async with asyncio.timeout(10):
            while len(rows.reads) < 2:  # noqa: ASYNC110 - nothing tells of it.
                await asyncio.sleep(0.01)
        rows.now_s += 1
        found.append(await rows.believed.get_async("a"))
        return found

    assert asyncio.run(use()) == [1, 1, 2]
    assert len(rows.reads) == 2


def test_an_error_reaches_who_waits_and_the_next_one_reads_again(rows):
    async def ask() -> tuple[list[object], int]:
        rows.error = ValueError("the table is away")
        failed = await asyncio.gather(
            *map(rows.believed.get_async, ("a", "b")), return_exceptions=True
        )
        rows.error = None
        rows.values["a"] = 1
        return list(failed), await rows.believed.get_async("a")

    failed, found = asyncio.run(ask())
    assert [str(error) for error in failed] == ["the table is away"] * 2
    assert found == 1


def test_one_who_gives_up_takes_nothing_from_the_others(rows):
    rows.values["a"] = 1

    async def ask() -> int:
        first = asyncio.ensure_future(rows.believed.get_async("a"))
        second = asyncio.ensure_future(rows.believed.get_async("a"))
        await asyncio.sleep(0)
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        return await second

    assert asyncio.run(ask()) == 1
    assert len(rows.reads) == 1
