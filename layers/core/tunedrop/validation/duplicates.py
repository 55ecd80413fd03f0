"""Find equal rows by their digests: xxh3 of 64 bits a row, 0 where there is no row.

The digests are sorted as keys of eight bytes: the digest's upper bits, with the row's index in place of the lower ones.
Such keys are sorted in place, and rows of one key stay in their order, however uneven the groups are. Rows whose upper
bits agree are compared by their digests, so nothing rests on the bits that were given up. Together with the digests and
all that is returned, that takes at most 24 bytes a row.
"""

import numpy as np
from numpy.typing import NDArray

Digests = NDArray[np.uint64]
Indices = NDArray[np.int64]

_STEP = 1 << 18
"""Rows that are looked at together: temporary arrays stay small beside the keys."""
_WORD = np.uint64(32)
_LOWER_WORD = np.uint64((1 << 32) - 1)


def copies(digests: Digests) -> tuple[Indices, Indices]:
    """Find the rows that stand in the array before.

    Args:
        digests: One a row, fewer than 2**32; 0 equals nothing.

    Returns:
        The indices of all rows but the first of each group of equal ones, ascending; and for each, the index of that
        first row.
    """
    width = _index_bits(digests)
    keys = _sorted_keys(digests, width)
    found = 0
    unequal: list[Digests] = []
    group, head = np.uint64(0), np.uint64(0)
    for start in range(0, len(keys), _STEP):
        index = keys[start : start + _STEP] & _lower(width)
        groups = keys[start : start + _STEP] >> width
        fresh = np.empty(len(groups), np.bool_)
        fresh[0] = start == 0 or groups[0] != group
        np.not_equal(groups[1:], groups[:-1], out=fresh[1:])
        # The head of each row's group; number 0 is the group that the step before ended with.
        heads = np.concatenate(([head], index[fresh]))[np.cumsum(fresh)]
        group, head = groups[-1], heads[-1]
        later = np.flatnonzero(~fresh)
        index, heads = index[later], heads[later]
        equal = digests[index] == digests[heads]
        unequal.append(index[~equal])
        # Pairs take the place of keys that were read.
        found = _write(keys, found, index[equal], heads[equal])
    rest = np.sort(np.concatenate(unequal)) if unequal else keys[:0]
    order = np.argsort(digests[rest], kind="stable")
    rest = rest[order]
    fresh = np.ones(len(rest), np.bool_)
    fresh[1:] = digests[rest[1:]] != digests[rest[:-1]]
    heads = rest[np.maximum.accumulate(np.where(fresh, np.arange(len(rest)), 0))]
    found = _write(keys, found, rest[~fresh], heads[~fresh])
    return _split(keys, found)


def shared(digests: Digests, others: Digests) -> tuple[Indices, Indices]:
    """Find the rows that stand in another array too.

    Args:
        digests: One a row, fewer than 2**32; 0 equals nothing.
        others: The same of the other rows. Both are hashes: among numbers that share their upper bits it takes long.

    Returns:
        The indices of the rows of `digests` that occur in `others`, ascending; and for each, the index of the first
        such row in `others`.
    """
    width = _index_bits(others)
    keys = _sorted_keys(others, width)
    pairs = np.empty(len(digests), np.uint64)
    found = 0
    for start in range(0, len(digests) if len(keys) else 0, _STEP):
        part = digests[start : start + _STEP]
        # Sorted, they walk the keys in one direction.
        row = np.argsort(part)
        row = row[part[row] != 0]
        place = np.searchsorted(keys, part[row] & ~_lower(width))
        twin = np.zeros(len(part), np.uint64)
        hit = np.zeros(len(part), np.bool_)
        while len(row):
            key = keys[np.minimum(place, len(keys) - 1)]
            index = key & _lower(width)
            alike = (place < len(keys)) & (key >> width == part[row] >> width)
            equal = alike & (others[index] == part[row])
            twin[row[equal]] = index[equal]
            hit[row[equal]] = True
            # The upper bits agree, but not the digests: the next key may be the one.
            alike &= ~equal
            row, place = row[alike], place[alike] + 1
        hits = np.flatnonzero(hit)
        found = _write(pairs, found, (hits + start).astype(np.uint64), twin[hits])
    return _split(pairs, found)


def _index_bits(digests: Digests) -> np.uint64:
    return np.uint64(max(len(digests).bit_length(), 1))


def _lower(width: np.uint64) -> np.uint64:
    return (np.uint64(1) << width) - np.uint64(1)


def _sorted_keys(digests: Digests, width: np.uint64) -> Digests:
    """Return the upper bits of all digests but 0, each followed by its index in `width` bits."""
    keys = np.empty(len(digests), np.uint64)
    filled = 0
    for start in range(0, len(digests), _STEP):
        part = digests[start : start + _STEP]
        index = np.flatnonzero(part)
        key = part[index] & ~_lower(width)
        key |= (index + start).astype(np.uint64)
        keys[filled : filled + len(key)] = key
        filled += len(key)
    keys.resize(filled, refcheck=False)
    keys.sort()
    return keys


def _write(pairs: Digests, at: int, rows: Digests, firsts: Digests) -> int:
    """Write each pair as one number, and return where the next may stand."""
    end = at + len(rows)
    pairs[at:end] = rows << _WORD | firsts
    return end


def _split(pairs: Digests, number: int) -> tuple[Indices, Indices]:
    """Return the first pairs that were written, in ascending order; nothing else may refer to them."""
    pairs.resize(number, refcheck=False)
    pairs.sort()
    firsts = pairs & _LOWER_WORD
    pairs >>= _WORD
    return pairs.view(np.int64), firsts.view(np.int64)
