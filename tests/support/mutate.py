"""Random changes to documents, archives and plain bytes, the same for the same generator."""

import copy
import random
import tarfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

__all__ = ["mutated_bytes", "mutated_table", "mutated_tar", "mutated_text"]

_TEXTS = (
    *(
        "",
        ".",
        "..",
        "/",
        "\0",
        "\n",
        "a\0b",
        "../../../.profile",
        "/etc/passwd",
        "./../../.profile",
        "a/../../b",
        "..\\..\\x",
        ".wh..wh..opq",
    ),
    *(
        ".wh.a",
        "sha256:",
        "sha256:../../../.profile",
        "sha256:/etc/passwd",
        f"sha256:{'0' * 64}",
        "0" * 64,
        "{}",
        "[]",
        "-1",
        "1e999",
        "é\u202e",
    ),
    *("A=x\0--bind\0/", "file:///etc/passwd", "https://[", "0" * 5000, "%2e%2e%2f", "CON", "a" * 300, "\udcff", "=", ">=,<", "; os_name"),
)
_VALUES: tuple[Any, ...] = (None, True, 0, -1, 2**31, 2**63, -(2**63), 2**64, 0.5, [], {}, [[]], [{}], {"a": {}}, [None], "x")

Path = tuple[Any, ...]


def _paths(value: Any, at: Path = ()) -> Iterator[Path]:
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _paths(item, (*at, key))


def mutated_table(table: Any, chance: random.Random, *, values: Sequence[Any] = _VALUES) -> Any:
    """Return a copy of a document with one to three values replaced, removed or repeated."""
    document: Any = copy.deepcopy(table)
    for _ in range(chance.randint(1, 3)):
        *folder, key = chance.choice([path for path in _paths(document) if path] or [("x",)])
        parent: Any = document
        for step in folder:
            parent = parent[step]
        change = chance.randrange(5)
        if change == 0 and isinstance(parent, dict):
            del parent[key]
        elif change == 1 and isinstance(parent, list):
            parent.extend(copy.deepcopy(parent[key]) for _ in range(chance.choice((1, 2, 200))))
        elif change == 2 and isinstance(parent, dict):
            parent[chance.choice(_TEXTS)] = parent[key]
        elif change == 3:
            parent[key] = copy.deepcopy(chance.choice(values))
        else:
            parent[key] = chance.choice(_TEXTS)
        if not document:
            break
    return document


def mutated_bytes(data: bytes, chance: random.Random) -> bytes:
    """Return the bytes with some of them changed, removed, repeated or cut off."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        end = min(len(changed), at + chance.choice((1, 2, 8, 100)))
        match chance.randrange(6):
            case 0:
                changed[at:end] = chance.randbytes(end - at)
            case 1:
                del changed[at:end]
            case 2:
                changed[at:at] = changed[at:end] * chance.choice((1, 3))
            case 3:
                del changed[at:]
            case 4:
                changed[at:end] = bytes([chance.choice((0, 0x20, 0x2F, 0x37, 0x80, 0xFF))]) * (end - at)
            case _:
                changed[at:at] = chance.choice(_TEXTS).encode("utf-8", "surrogateescape")
    return bytes(changed)


def mutated_text(text: str, chance: random.Random) -> str:
    """Return the text with lines and fields exchanged, repeated, removed or replaced."""
    lines = text.splitlines()
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(lines)) if lines else 0
        match chance.randrange(4):
            case 0:
                lines.insert(at, chance.choice(_TEXTS))
            case 1 if lines:
                del lines[at]
            case 2 if lines:
                lines.insert(at, chance.choice(lines))
            case _ if lines:
                mark = chance.choice((",", ":", "=", " ", "/"))
                fields = lines[at].split(mark)
                fields[chance.randrange(len(fields))] = chance.choice(_TEXTS)
                lines[at] = mark.join(fields)
            case _:
                pass
    return "\n".join(lines) + chance.choice(("\n", ""))


_FIELDS = (
    (0, 100),
    (100, 108),
    (108, 116),
    (116, 124),
    (124, 136),
    (136, 148),
    (156, 157),
    (157, 257),
    (257, 265),
    (265, 297),
    (329, 345),
    (345, 500),
)
"""The fields of a ustar header, without the checksum (POSIX pax, "ustar Interchange Format")."""


def mutated_tar(data: bytes, chance: random.Random) -> bytes:
    """Return a tar archive with fields of headers changed under a correct checksum, or with other bytes changed."""
    headers = [at for at in range(0, len(data) - 511, 512) if data[at + 257 : at + 262] == b"ustar"]
    if not headers or chance.randrange(4) == 0:
        return mutated_bytes(data, chance)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.choice(headers)
        start, end = chance.choice(_FIELDS)
        changed[at + start : at + end] = _field(end - start, chance)
        checksum: Callable[[bytes], tuple[int, int]] = tarfile.calc_chksums  # type: ignore[attr-defined]
        changed[at + 148 : at + 156] = b"%06o\0 " % checksum(bytes(changed[at : at + 512]))[0]
    return bytes(changed)


def _field(size: int, chance: random.Random) -> bytes:
    match chance.randrange(5):
        case 0:
            value = chance.choice(_TEXTS).encode("utf-8", "surrogateescape")
        case 1:
            value = b"%o" % chance.choice((0, 1, 511, 2**21, 2**33 - 1))
        case 2:
            value = b"\x80" + chance.randbytes(size)  # GNU's base-256 numbers
        case 3:
            value = chance.randbytes(size)
        case _:
            value = bytes([chance.choice(b"0123456789xgLKSVD")])
    return value[:size].ljust(size, b"\0")
