"""Find rows that are nearly the same: MinHash of word shingles while reading, comparison of few pairs afterwards.

A shingle is the twelve bytes from a word's start: about two words. Of each row eight numbers are kept, its bands:
two rows agree in each with the probability of their Jaccard similarity. Pairs that agree in three are candidates; the
caller reads both rows again and asks for their `similarity`. The bands take 32 bytes a row, the search eight more.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Bands = NDArray[np.uint32]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]
Keys = NDArray[np.uint64]
Keys32 = NDArray[np.uint32]
Pairs = tuple[Indices, Indices]

BANDS = 8
"""Numbers that are kept of each row."""

_AGREEING = 3
"""Bands that make a pair a candidate: of rows with a similarity of one half, six in seven pairs are."""
_SHINGLE_BYTES = 12
_COMMON = 0.1
"""Share of the lines that a shingle is common from."""
_FEWEST_LINES = 20
_FEWEST_SHINGLES = 8
"""In a shorter row one other word makes too great a difference to call the rows nearly the same."""
_MULTIPLIERS = np.array(
    (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1, 0xD3A2646D, 0xFD7046C5, 0xB55A4F09), np.uint32
)
"""Odd: each permutes the numbers of 32 bits in its own way."""
_SPACE = 0x20
# The constant words of JSON rows begin with these, such as `[{"role":`; quotes within text are escaped there.
_QUOTE = 0x22
_BRACE = 0x7B
_STEP = 1 << 15
"""Rows that are looked at together: temporary arrays stay small beside the bands."""
_WINDOW = 2
"""Neighbours in the sorted order that a row is compared with, on either side."""
_INDEX_BITS = 30
_BAND_BITS = 32
_GROUP = np.uint64(64 - _BAND_BITS)
"""Bits of a key behind the band that it is sorted by."""
_MARK_BITS = 4
_UPPER_BITS = 12
"""Of a hash: a table for them stays in the processor's cache."""

_STRING = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"')
_WHITE_SPACE = (rb"\n", rb"\r", rb"\t")
"""As JSON writes it."""


def common_shingles(block: bytes, lengths: NDArray[np.int64]) -> Keys32:
    """Return the shingles, in ascending order, that one in ten of the lines has: an instruction that stands in each.

    They say nothing of how similar two rows are, and would make all rows candidates. Few lines have none.
    """
    hashes, firsts, stops = _shingles(block, lengths)
    if len(lengths) < _FEWEST_LINES:
        return hashes[:0]
    lines = np.repeat(np.arange(len(lengths), dtype=np.uint64), stops - firsts)
    hashes = np.concatenate([hashes[first:stop] for first, stop in zip(firsts, stops, strict=True)])
    once_a_line = np.unique((lines << np.uint64(32)) | hashes).astype(np.uint32)
    shingles, numbers = np.unique(once_a_line, return_counts=True)
    return shingles[numbers >= _COMMON * len(lengths)]


def bands(block: bytes, lengths: NDArray[np.int64], common: Keys32 | None = None) -> Bands:
    """Sketch each line of a block; equal lines have equal bands, wherever they stand.

    Args:
        block: Whole lines, the last one with its newline too.
        lengths: Bytes of each line with its newline; their sum is the length of the block.
        common: What `common_shingles` returned; left out of the sketches.

    Returns:
        One row of `BANDS` numbers a line; zeros for a line of too few words.
    """
    sketch = np.zeros((len(lengths), BANDS), np.uint32)
    hashes, firsts, stops = _shingles(block, lengths)
    if common is not None and len(common):
        kept = _is_not(common, hashes)
        left_out = np.flatnonzero(~kept)
        firsts, stops = firsts - np.searchsorted(left_out, firsts), stops - np.searchsorted(left_out, stops)
        hashes = hashes[kept]
    filled = np.flatnonzero(stops - firsts >= _FEWEST_SHINGLES)
    if not len(filled):
        return sketch
    # Every segment that is reduced ends where another number stands: one more than there are shingles.
    hashes = np.append(hashes, np.uint32(0))
    segments = np.column_stack((firsts[filled], stops[filled])).ravel()
    permuted = np.empty_like(hashes)
    for band, multiplier in enumerate(_MULTIPLIERS):
        lowest = np.minimum.reduceat(np.multiply(hashes, multiplier, out=permuted), segments)[::2]
        # The lowest of many numbers begins with zeros: spread, its upper bits tell rows apart.
        sketch[filled, band] = lowest * _MULTIPLIERS[0]
    return sketch


def _is_not(common: Keys32, hashes: Keys32) -> NDArray[np.bool_]:
    """Tell which hashes are none of a few: one look into a table tells it, several where some share its place."""
    upper = np.uint32(32 - _UPPER_BITS)
    places = hashes >> upper
    kept = np.ones(len(hashes), np.bool_)
    while len(common):
        # An empty place holds a number that belongs elsewhere.
        table = ~(np.arange(1 << _UPPER_BITS, dtype=np.uint32) << upper)
        table[common >> upper] = common
        kept &= table.take(places) != hashes
        common = common[table[common >> upper] != common]
    return kept


def _shingles(block: bytes, lengths: NDArray[np.int64]) -> tuple[Keys32, Indices, Indices]:
    """Return a hash for every shingle, and for each line the first of its own and the one after the last."""
    octets = np.frombuffer(block, np.uint8)
    spaces = octets == _SPACE
    # Setting one bit makes a brace of a bracket.
    passed = (octets | np.uint8(0x20)) == _BRACE
    passed |= octets == _QUOTE
    passed |= spaces
    starts = np.flatnonzero(spaces[:-1] > passed[1:])
    starts += 1
    ends = np.cumsum(lengths)
    # Beyond the last whole shingle there are fewer bytes than one has.
    starts = starts[: np.searchsorted(starts, len(block) - _SHINGLE_BYTES)]
    firsts = np.searchsorted(starts, ends - lengths)
    # A shingle ends before its line's newline does.
    stops = np.maximum(np.searchsorted(starts, ends - _SHINGLE_BYTES), firsts)
    if not len(starts):
        return np.zeros(0, np.uint32), firsts, stops
    windows = np.ndarray((len(block) - _SHINGLE_BYTES,), f"V{_SHINGLE_BYTES}", block, 0, (1,))
    words = windows[starts].view("<u4").reshape(len(starts), -1)
    hashes = words[:, 0] * _MULTIPLIERS[0]
    for word, multiplier in enumerate(_MULTIPLIERS[1 : words.shape[1]], 1):
        hashes += words[:, word] * multiplier
    hashes ^= hashes >> np.uint32(15)
    hashes *= _MULTIPLIERS[-1]
    hashes ^= hashes >> np.uint32(16)
    return hashes, firsts, stops


def candidates(bands: Bands, apart: Flags, *, limit: int) -> tuple[Pairs, Pairs]:
    """Find pairs of rows that agree in three bands or more; a band of 0 agrees with none.

    Rows are compared with their neighbours in eight sorted orders: in a group of very many similar rows each is paired
    with some of the others, not with all. Equal rows are candidates like others; give copies bands of 0 before.

    Args:
        bands: What `bands` returned, one row a line; fewer than 2**30.
        apart: Which of the rows are measured with.
        limit: The most pairs of either kind that are returned.

    Returns:
        Pairs of rows that are both trained on, or both measured with, the later row first; and pairs of a row that is
        measured with, and one that is trained on. The pairs that agree in most bands come first.
    """
    marks = _marks(bands)
    near, leaks = _Best(limit), _Best(limit)
    for band in range(BANDS):
        asked, known = _sorted_keys(bands, band, apart), _sorted_keys(bands, band, ~apart)
        for keys in (asked, known):
            for rows, twins in _neighbours(keys, bands, marks, near):
                near.add(_agreeing(bands, np.maximum(rows, twins), np.minimum(rows, twins)))
        for rows, twins in _matches(asked, known, bands, marks, leaks):
            leaks.add(_agreeing(bands, rows, twins))
        del asked, known, keys  # before the next ones are made
    return near.split(), leaks.split()


class _Best:
    """Keep the lowest of the pairs that `_agreeing` returned."""

    def __init__(self, limit: int) -> None:
        self._pairs = np.empty(0, np.uint64)
        self._limit = limit

    def add(self, found: Keys) -> None:
        if len(self._pairs) == self._limit:
            found = found[found < self._pairs[-1]]
        if len(found):
            # `np.unique` would hash them before it sorts them, which takes thrice as long.
            pairs = np.sort(np.concatenate((self._pairs, found)))
            self._pairs = pairs[np.append(True, pairs[1:] != pairs[:-1])][: self._limit]

    def may_hold(self, one: Keys32, other: Keys32) -> Flags:
        """Tell by their marks which pairs may still be among them: few bands are fetched from all over the memory."""
        fewest = _AGREEING
        if len(self._pairs) == self._limit:
            fewest = BANDS - int(self._pairs[-1] >> np.uint64(2 * _INDEX_BITS))
        unlike = one ^ other
        unlike |= unlike >> np.uint32(1)
        unlike |= unlike >> np.uint32(2)
        unlike &= np.uint32(0x11111111)
        likely: Flags = np.bitwise_count(unlike) <= BANDS - fewest
        return likely

    def split(self) -> Pairs:
        """Return the two rows of each pair."""
        lower = np.uint64((1 << _INDEX_BITS) - 1)
        return (self._pairs >> np.uint64(_INDEX_BITS) & lower).astype(np.int64), (self._pairs & lower).astype(np.int64)


def similarity(one: bytes, other: bytes) -> float:
    """Compare two lines by what is not equal in them: the share of distinct words that both have there (Jaccard).

    An instruction that stands in every row, or a long text that many questions are asked of, makes no two rows alike:
    strings that both lines have (keys and roles among them) are left out. Words are what white
    space stands between. Lines without other strings are equal: 1.
    """
    texts, others = _texts(one), _texts(other)
    common = texts & others
    words, other_words = _words(texts - common), _words(others - common)
    shared = len(words & other_words)
    return shared / (len(words) + len(other_words) - shared) if words or other_words else 1.0


@lru_cache(maxsize=2)  # one line is compared with several, one after the other
def _texts(line: bytes) -> frozenset[bytes]:
    """Return the strings of a JSON line; any other line is one."""
    return frozenset(_STRING.findall(line) if line.lstrip().startswith(b"{") else (line,))


def _words(texts: frozenset[bytes]) -> set[bytes]:
    joined = b" ".join(texts)
    for escape in _WHITE_SPACE:
        joined = joined.replace(escape, b" ")
    return set(joined.split())


def _marks(bands: Bands) -> Keys32:
    """Return four bits of each band of a row: rows that agree in a band agree in these."""
    marks = np.empty(len(bands), np.uint32)
    unmarked = np.uint32(_BAND_BITS - _MARK_BITS)
    for start in range(0, len(bands), _STEP):
        part = bands[start : start + _STEP]
        mark = part[:, 0] >> unmarked
        for band in range(1, BANDS):
            mark <<= np.uint32(_MARK_BITS)
            mark |= part[:, band] >> unmarked
        marks[start : start + len(part)] = mark
    return marks


def _sorted_keys(bands: Bands, band: int, wanted: Flags) -> Keys:
    """Return a key of the wanted rows that have bands, in ascending order, with the row's index in its lowest bits.

    Before that stand the band, and of the next one as many upper bits as there is room for: these bring the more
    similar rows of a large group together.
    """
    width = _index_bits(bands)
    keys = np.empty(len(bands), np.uint64)
    filled = 0
    for start in range(0, len(bands), _STEP):
        part = bands[start : start + _STEP]
        key = part[:, band].astype(np.uint64)
        key <<= np.uint64(_BAND_BITS - width)
        key |= part[:, (band + 1) % BANDS] >> np.uint32(width)
        key <<= np.uint64(width)
        key |= np.arange(start, start + len(part), dtype=np.uint64)
        key = key[wanted[start : start + _STEP] & (part[:, band] != 0)]
        keys[filled : filled + len(key)] = key
        filled += len(key)
    keys = keys[:filled]
    keys.sort()
    return keys


def _index_bits(bands: Bands) -> int:
    return max(len(bands).bit_length(), 1)


def _lower(bands: Bands) -> np.uint64:
    """Return the bits of a key that are the row's index."""
    return np.uint64((1 << _index_bits(bands)) - 1)


def _neighbours(sorted_keys: Keys, bands: Bands, marks: Keys32, best: _Best) -> Iterator[tuple[Keys, Keys]]:
    """Pair each row with the next ones in the order, as long as they agree in the band and may be of the best."""
    for start in range(0, len(sorted_keys), _STEP):
        keys = sorted_keys[start : start + _STEP + _WINDOW]
        rows = keys & _lower(bands)
        mark = marks[rows]
        for distance in range(1, min(_WINDOW, len(keys) - 1) + 1):
            many = min(_STEP, len(keys) - distance)
            here, there = slice(many), slice(distance, distance + many)
            alike = (keys[here] ^ keys[there]) >> _GROUP == 0
            alike &= best.may_hold(mark[here], mark[there])
            found = np.flatnonzero(alike)
            yield rows[found], rows[found + distance]


def _matches(asked: Keys, known: Keys, bands: Bands, marks: Keys32, best: _Best) -> Iterator[tuple[Keys, Keys]]:
    """Pair the rows of one order with those of another around where they would stand, on the same conditions."""
    for start in range(0, len(asked) if len(known) else 0, _STEP):
        keys = asked[start : start + _STEP]
        rows, place = keys & _lower(bands), np.searchsorted(known, keys)
        mark = marks[rows]
        for distance in range(-_WINDOW, _WINDOW):
            others = known[np.clip(place + distance, 0, len(known) - 1)]
            alike = np.flatnonzero((others ^ keys) >> _GROUP == 0)
            row, twin = rows[alike], others[alike] & _lower(bands)
            likely = best.may_hold(mark[alike], marks[twin])
            yield row[likely], twin[likely]


def _agreeing(bands: Bands, rows: Keys, twins: Keys) -> Keys:
    """Return the pairs that agree in enough bands, as numbers whose lowest are the pairs that agree in most."""
    one, other = bands[rows], bands[twins]
    equal = one == other
    equal &= one != 0
    number = np.count_nonzero(equal, axis=1)
    enough = number >= _AGREEING
    pairs: Keys = (BANDS - number[enough]).astype(np.uint64)
    for index in (rows[enough], twins[enough]):
        pairs <<= np.uint64(_INDEX_BITS)
        pairs |= index
    return pairs
