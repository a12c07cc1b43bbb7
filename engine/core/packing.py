"""Parts of a dump that stay as they lie there until somebody asks for them, so that a start decodes next to nothing.

What is read here was written in the present format (image.py): what nobody touches is dumped again byte by byte.
"""

from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence, ValuesView
from itertools import chain
from typing import TypeVar

from typing_extensions import override

from engine.values import check

_KEY_BYTES = 16
# The offset that encode_into() takes for it.
_AT_THE_END = -1

Value = TypeVar("Value")
# One value as msgpack.
Encoded = bytes | memoryview


def array_head(count: int) -> bytes:
    """Return how msgpack begins an array of so many items.

    Source: the MessagePack specification, formats fixarray, array 16 and array 32.
    """
    if count < 1 << 4:
        return bytes((0x90 | count,))
    if count < 1 << 16:
        return b"\xdc" + count.to_bytes(2)
    return b"\xdd" + count.to_bytes(4)


class _ById(dict[int, Value]):
    """The values that are decoded; a subscript decodes one that is not."""

    __slots__ = ("_missing",)

    def __init__(self, missing: Callable[[int], Value]) -> None:
        super().__init__()
        self._missing = missing

    def __missing__(self, key: int) -> Value:
        return self._missing(key)


class LazyTable(Mapping[int, Value]):
    """Values by id, in the order of their arrival; those that a load brought stay encoded until they are asked for.

    ``table.by_id[id]`` is what ``table[id]`` is, and costs no call once the value is decoded. Nothing ever leaves the table.
    """

    __slots__ = ("_block", "_decode", "_ends", "_places", "by_id")

    def __init__(self, decode: Callable[[Encoded], Value]) -> None:
        """Begin with nothing."""
        self._decode = decode
        self.by_id = _ById(self._decoded)
        self._forget()

    def _forget(self) -> None:
        # Place in the block by id, in order. It stays when its value is decoded, so that the order can be told.
        self._places: dict[int, int] = {}
        # Where the values in the block end, after where the first begins.
        self._ends: list[int] = []
        self._block = memoryview(b"")

    def load(self, ids: Sequence[int], ends: list[int], block: bytes) -> None:
        """Fill an empty table with encoded values that lie one behind the other, where write() said.

        Errors: InvariantError when the ends are not those of the ids, or not that of the block.
        """
        is_whole = len(ends) == len(ids) + 1 and ends[-1] == len(block)
        check(is_whole, "packed values are torn")
        self._ends = ends
        self._places = dict(zip(ids, range(len(ids)), strict=True))
        check(len(self._places) == len(ids), "a packed id stands twice")
        self._block = memoryview(block)

    @override
    def __getitem__(self, key: int) -> Value:
        """Return a value, which is decoded when it is asked for the first time."""
        return self.by_id[key]

    def _decoded(self, key: int) -> Value:
        value = self.by_id[key] = self._decode(self._packed(self._places[key]))
        return value

    def _packed(self, place: int) -> Encoded:
        return self._block[self._ends[place] : self._ends[place + 1]]

    def __setitem__(self, key: int, value: Value) -> None:
        """Add a value at the end, or put another in its place."""
        self.by_id[key] = value

    def write(
        self, buffer: bytearray, encode: Callable[[Value, bytearray, int], None]
    ) -> list[int]:
        """Append every value, in order: what nobody has asked for as it lies there. Return the ends, as load() wants them.

        ``encode`` is an encoder's encode_into(), which makes no object for each value.
        """
        known = self.by_id
        ends = [len(buffer)]
        if not self._places:
            for value in known.values():
                encode(value, buffer, _AT_THE_END)
                ends.append(len(buffer))
            return ends
        for key in self:
            found = known.get(key)
            if found is None:
                buffer += self._packed(self._places[key])
            else:
                encode(found, buffer, _AT_THE_END)
            ends.append(len(buffer))
        return ends

    def unpacking(self, at_once: int) -> Iterator[None]:
        """Decode what is left part by part; values may be asked for and added between two parts."""
        for number, key in enumerate(list(self._places), 1):
            if key not in self.by_id:
                self._decoded(key)
            if number % at_once == 0:
                yield
        if self._places:
            ordered = [(key, self.by_id[key]) for key in self]
            self.by_id.clear()
            self.by_id.update(ordered)
            self._forget()

    def _unpack(self) -> None:
        # No part is that large, so nobody comes in between.
        list(self.unpacking(len(self) + 1))

    @override
    def __len__(self) -> int:
        """Return how many values there are, decoded or not."""
        if not self._places:
            return len(self.by_id)
        return len(self.by_id.keys() | self._places.keys())

    @override
    def __iter__(self) -> Iterator[int]:
        """Yield the ids in order; nothing is decoded for it."""
        if not self._places:
            return iter(self.by_id)
        added = [key for key in self.by_id if key not in self._places]
        return chain(self._places, added)

    @override
    def __contains__(self, key: object) -> bool:
        """Return whether there is such a value, decoded or not."""
        return key in self.by_id or key in self._places

    @override
    def values(self) -> ValuesView[Value]:
        """Return the values after all are decoded."""
        self._unpack()
        return self.by_id.values()

    @override
    def items(self) -> ItemsView[int, Value]:
        """Return ids and values after all are decoded."""
        self._unpack()
        return self.by_id.items()


class Run:
    """Integers in order as they lie in a dump, sixteen bytes each; they are decoded one by one."""

    __slots__ = ("_at", "_raw", "head")

    def __init__(self, raw: bytes = b"") -> None:
        """Stand at the first of them.

        Errors: InvariantError when the last one is torn.
        """
        check(len(raw) % _KEY_BYTES == 0, "a key array of the image is torn")
        self._raw = raw
        self._at = 0
        # The one where it stands; None behind the last.
        self.head = self._key()

    def _key(self) -> int | None:
        raw = self._raw[self._at : self._at + _KEY_BYTES]
        return int.from_bytes(raw) if raw else None

    def follow(self) -> int | None:
        """Stand at the next one and return it; None behind the last."""
        self._at += _KEY_BYTES
        self.head = self._key()
        return self.head

    def __len__(self) -> int:
        """Return how many there are from where it stands."""
        return max(0, len(self._raw) - self._at) // _KEY_BYTES

    def keys(self) -> list[int]:
        """Return those from where it stands."""
        from_bytes, raw = int.from_bytes, self._raw
        return [
            from_bytes(raw[at : at + _KEY_BYTES]) for at in range(self._at, len(raw), _KEY_BYTES)
        ]

    def packed(self) -> bytes:
        """Return those from where it stands as they lie there."""
        return self._raw[self._at :]


def packed_run(keys: Sequence[int]) -> bytes:
    """Return integers in order as a Run reads them."""
    return b"".join([key.to_bytes(_KEY_BYTES) for key in keys])
