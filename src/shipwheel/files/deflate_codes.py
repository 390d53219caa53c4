"""A walk through the Huffman codes of deflate data that is known to be valid (RFC 1951, 3.2), to find its last block."""

from collections.abc import Sequence

__all__ = ["last_block"]

_END_OF_BLOCK = 256
_LENGTH_BITS = (0,) * 8 + tuple(bits for bits in range(1, 6) for _ in range(4)) + (0,)
"""Extra bits after each of the length codes 257 to 285 (3.2.5)."""
_DISTANCE_BITS = (0, 0, *(bits for bits in range(14) for _ in range(2)))
"""Extra bits after each distance code."""
_CODE_LENGTH_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
_FIXED_LENGTHS = (8,) * 144 + (9,) * 112 + (7,) * 24 + (8,) * 8
_STORED, _FIXED = 0, 1

Codes = tuple[list[int], int]
"""(the next bits -> symbol << 4 | length of its code, mask of the bits to look at)."""


def last_block(data: bytes) -> tuple[int, int]:
    """Return the offsets in bits at which the last block begins and ends."""
    reader = _Bits(data)
    while True:
        start = reader.position
        is_last, kind = reader.take(1), reader.take(2)
        if kind == _STORED:
            reader.skip_stored()
        else:
            literals, distances = _fixed_codes() if kind == _FIXED else _dynamic_codes(reader)
            reader.skip_codes(literals, distances)
        if is_last:
            return start, reader.position


class _Bits:
    """The bits of deflate data, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._next = 0
        self._hold = 0
        self._bits = 0

    @property
    def position(self) -> int:
        return 8 * self._next - self._bits

    def _fill(self) -> None:
        chunk = self._data[self._next : self._next + 8]
        self._hold |= int.from_bytes(chunk, "little") << self._bits
        # Zeros follow the end, so that a code can be looked up whose last bits are the data's last bits.
        self._bits += 64
        self._next += 8

    def take(self, count: int) -> int:
        if self._bits < count:
            self._fill()
        value = self._hold & ((1 << count) - 1)
        self._hold >>= count
        self._bits -= count
        return value

    def take_symbol(self, codes: Codes) -> int:
        if self._bits < 48:
            self._fill()
        entry = codes[0][self._hold & codes[1]]
        self.take(entry & 15)
        return entry >> 4

    def skip_stored(self) -> None:
        self.take(-self.position % 8)
        length = self.take(16)
        self.take(16)
        start = self.position // 8 + length
        self._next, self._hold, self._bits = start, 0, 0

    def skip_codes(self, literals: Codes, distances: Codes) -> None:
        (by_bits, mask), (far_by_bits, far_mask) = literals, distances
        hold, bits = self._hold, self._bits
        while True:
            if bits < 48:
                self._hold, self._bits = hold, bits
                self._fill()
                hold, bits = self._hold, self._bits
            entry = by_bits[hold & mask]
            symbol, used = entry >> 4, entry & 15
            if symbol > _END_OF_BLOCK:
                used += _LENGTH_BITS[symbol - 257]
                far = far_by_bits[hold >> used & far_mask]
                used += (far & 15) + _DISTANCE_BITS[far >> 4]
            hold >>= used
            bits -= used
            if symbol == _END_OF_BLOCK:
                self._hold, self._bits = hold, bits
                return


def _fixed_codes() -> tuple[Codes, Codes]:
    return _codes(_FIXED_LENGTHS), _codes((5,) * 30)


def _dynamic_codes(reader: _Bits) -> tuple[Codes, Codes]:
    """Read the code lengths of a block with dynamic Huffman codes (3.2.7)."""
    literals, distances, count = reader.take(5) + 257, reader.take(5) + 1, reader.take(4) + 4
    order = dict(zip(_CODE_LENGTH_ORDER, [reader.take(3) for _ in range(count)], strict=False))
    code_lengths = _codes([order.get(symbol, 0) for symbol in range(19)])
    lengths: list[int] = []
    while len(lengths) < literals + distances:
        match reader.take_symbol(code_lengths):
            case 16:
                lengths += [lengths[-1]] * (reader.take(2) + 3)
            case 17:
                lengths += [0] * (reader.take(3) + 3)
            case 18:
                lengths += [0] * (reader.take(7) + 11)
            case length:
                lengths.append(length)
    return _codes(lengths[:literals]), _codes(lengths[literals:])


def _codes(lengths: Sequence[int]) -> Codes:
    """Return the table of the codes with these lengths (3.2.2)."""
    longest = max((*lengths, 1))
    table = [0] * (1 << longest)
    code = 0
    for length in range(1, longest + 1):
        for symbol, its in enumerate(lengths):
            if its == length:
                first = int(f"{code:0{length}b}"[::-1], 2)
                table[first :: 1 << length] = [symbol << 4 | length] * (1 << (longest - length))
                code += 1
        code <<= 1
    return table, (1 << longest) - 1
