"""The answered requests of a shard: packed in the order of their outputs, and found by a checksum of their keys.

A record lives a day and is asked for when somebody sends twice, which is seldom. So records are packed by pages of
sixty-four, as a dump holds them: it is written by joining pages, and a load decodes none. Between checksum and record stands
the record's number, counted from the first that this table has ever held. A key whose checksum is taken has an entry of its
own, so nobody can make others' look-ups slow by choosing keys.
"""

from collections import deque
from collections.abc import Iterator
from zlib import crc32

import msgspec

from engine.core.packing import array_head
from engine.messages.rejects import RejectCode
from engine.values import check

_PAGE_BITS = 6
_PAGE = 1 << _PAGE_BITS
_PLACE_MASK = _PAGE - 1
_PAGE_HEAD = array_head(_PAGE)
# Above every entry id.
_NEVER = 1 << 63


class RequestRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What became of an answered request."""

    key: str
    digest: bytes
    # Packed id of the output that answered.
    entry_id: int
    # None: accepted.
    code: RejectCode | None


class RequestsPacking(msgspec.Struct, array_like=True, gc=False):
    """What a dump holds beside the records themselves, so that none needs to be decoded."""

    count: int
    # Number of the first record that is kept.
    first: int
    # Records of its page that have left before it.
    gone: bytes
    # Bytes of the whole pages; the first without what has left.
    sizes: list[int]
    # Bytes of the records behind the whole pages.
    young_size: int
    numbers: dict[int, int]
    others: dict[str, int]

    def size(self) -> int:
        """Return the bytes of all records that are kept."""
        return sum(self.sizes) + self.young_size


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[RequestRecord]).decode


def _items(records: list[RequestRecord]) -> bytes:
    """Return records as msgpack without the head of their array."""
    return _encode(records)[len(array_head(len(records))) :]


class RequestTable:
    """Records by key and by age; the newest page is decoded, the others are packed."""

    __slots__ = (
        "_asked",
        "_asked_mark",
        "_first",
        "_numbers",
        "_others",
        "_pages",
        "_read",
        "_read_page",
        "_young",
        "count",
        "oldest_id",
    )

    def __init__(self) -> None:
        """Begin with nothing."""
        # How many are kept, and the entry id of the oldest.
        self.count = 0
        self.oldest_id = _NEVER
        self._first = 0
        # Numbers by the checksum of the key; by the key itself where the checksum is taken.
        self._numbers: dict[int, int] = {}
        self._others: dict[str, int] = {}
        # Whole pages from that of the first record on, and the records of the page that is not whole yet.
        self._pages: deque[bytes] = deque()
        self._young: list[RequestRecord] = []
        # The key that was asked for last: it usually is the one that is added next.
        self._asked = ""
        self._asked_mark = 0
        # The page that was decoded last.
        self._read: list[RequestRecord] = []
        self._read_page = -1

    def __len__(self) -> int:
        """Return how many records are kept."""
        return self.count

    def __iter__(self) -> Iterator[RequestRecord]:
        """Yield the records in the order of their outputs."""
        skipped = self._first & _PLACE_MASK
        for page in self._pages:
            yield from _decode(_PAGE_HEAD + page)[skipped:]
            skipped = 0
        yield from self._young[skipped:]

    def get(self, key: str) -> RequestRecord | None:
        """Return the record of a key; None for a new one."""
        self._asked = key
        self._asked_mark = mark = crc32(key.encode())
        number = self._numbers.get(mark)
        if number is not None:
            record = self._record(number)
            if record.key == key:
                return record
        if not self._others:
            return None
        # Its checksum is another's, or was until that one left.
        number = self._others.get(key)
        return None if number is None else self._record(number)

    def _record(self, number: int) -> RequestRecord:
        page = number >> _PAGE_BITS
        at = page - (self._first >> _PAGE_BITS)
        if at == len(self._pages):
            return self._young[number & _PLACE_MASK]
        if page != self._read_page:
            self._read = _decode(_PAGE_HEAD + self._pages[at])
            self._read_page = page
        return self._read[number & _PLACE_MASK]

    def add(self, record: RequestRecord) -> None:
        """Keep the record of a key that is not known, the newest of all."""
        key = record.key
        mark = self._asked_mark if key is self._asked else crc32(key.encode())
        count = self.count
        number = self._first + count
        if self._numbers.setdefault(mark, number) != number:
            self._others[key] = number
        if not count:
            self.oldest_id = record.entry_id
        self.count = count + 1
        self._young.append(record)
        if number & _PLACE_MASK == _PLACE_MASK:
            self._pages.append(_items(self._young))
            self._young = []

    def drop_oldest(self) -> None:
        """Forget the oldest record."""
        number = self._first
        record = self._record(number)
        mark = crc32(record.key.encode())
        if self._numbers.get(mark) == number:
            del self._numbers[mark]
        else:
            del self._others[record.key]
        self._first = number + 1
        self.count -= 1
        if self._first & _PLACE_MASK == 0:
            self._pages.popleft()
        self.oldest_id = self._record(self._first).entry_id if self.count else _NEVER

    def verify(self) -> None:
        """Check that every record is found under one number.

        Errors: InvariantError.
        """
        found = len(self._numbers) + len(self._others)
        check(found == self.count, "request table and index differ")

    def dump(self) -> tuple[list[bytes], RequestsPacking]:
        """Return the records as parts of one msgpack array, without its head, and what finds them again."""
        pages = [*self._pages, _items(self._young)]
        skipped = self._first & _PLACE_MASK
        gone = b""
        if skipped:
            head = _decode(_PAGE_HEAD + pages[0]) if self._pages else self._young
            gone = _items(head[:skipped])
            pages[0] = pages[0][len(gone) :]
        sizes = [len(page) for page in pages]
        young_size = sizes.pop()
        return pages, RequestsPacking(
            self.count, self._first, gone, sizes, young_size, self._numbers, self._others
        )

    @classmethod
    def loaded(cls, raw: bytes, packing: RequestsPacking) -> "RequestTable":
        """Return the table that dump() told of.

        Errors: InvariantError when the parts do not make the whole.
        """
        table = cls()
        table.count = count = packing.count
        table._first = packing.first
        table._numbers = packing.numbers
        table._others = packing.others
        raw = packing.gone + raw
        at, extra = 0, len(packing.gone)
        for size in packing.sizes:
            end = at + size + extra
            table._pages.append(raw[at:end])
            at, extra = end, 0
        young = (packing.first & _PLACE_MASK) + count - _PAGE * len(packing.sizes)
        check(0 <= young < _PAGE, "the request table is torn")
        table._young = _decode(array_head(young) + raw[at:])
        table.verify()
        if count:
            table.oldest_id = table._record(packing.first).entry_id
        return table
