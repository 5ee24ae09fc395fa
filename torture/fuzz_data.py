"""Odd values made from bytes, so that a fuzzer that mutates bytes finds new ones."""

import json
import string
from collections.abc import Sequence
from typing import Any, TypeVar

Value = TypeVar("Value")
ODD_TEXTS = (
    *("", " ", ".", "..", "../CURRENT", "./n1", "n1/../n2", "/etc/passwd", "-", "~", "a" * 101),
    *("None", "null", "nan", "inf", "-inf", "1e400", "0x10", "１", "007", "17.0", "1_000", "-0"),
    *("true", "[]", "{}", '"', "'", ";", "--", "%", "%00", "*", "[a]", "a,b", "a\tb", "a\nb"),
    *("\x00", "\ufeff", "\u202e", "é", "e\u0301", "評価", "☕", "\udcff", "user_id=7", "date=2024"),
    *("__HIVE_DEFAULT_PARTITION__", "9" * 19, "9" * 400, "connection:", "file:///", "s3://a/b"),
)
ODD_NUMBERS = (0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 0.5, float("nan"), float("inf"), 1e308)


class FuzzData:
    """Choices, each made by the next of some bytes; the first once they are used up."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def number(self, below: int) -> int:
        """A whole number from 0."""
        size = 1 if below <= 256 else 2
        taken = self.data[self.place : self.place + size]
        self.place += size
        return int.from_bytes(taken, "little") % below

    def one_of(self, values: Sequence[Value]) -> Value:
        """One of the values."""
        return values[self.number(len(values))]

    def text(self) -> str:
        """A text: odd as a whole, of letters, or of any characters."""
        kind = self.number(4)
        if kind == 0:
            return self.one_of(ODD_TEXTS)
        size = self.number(12)
        if kind == 1:
            return "".join(self.one_of(string.ascii_letters + "0123456789._-") for _ in range(size))
        if kind == 2:
            return "".join(self.one_of(ODD_TEXTS) for _ in range(size % 4))
        return self.taken(size).decode("utf-8", self.one_of(("surrogateescape", "replace")))

    def taken(self, size: int) -> bytes:
        """The next bytes."""
        taken = self.data[self.place : self.place + size]
        self.place += size
        return taken

    def json(self, depth: int = 3) -> Any:
        """A value that JSON can hold, or nearly."""
        kind = self.number(7 if depth else 5)
        if kind < 2:
            return self.one_of((None, True, False, *ODD_NUMBERS)[: 14 if kind else 3])
        if kind < 5:
            return self.text().encode("utf-8", "replace").decode() if kind < 4 else self.number(9)
        values = [self.json(depth - 1) for _ in range(self.number(4))]
        return values if kind == 5 else {self.text()[:9]: value for value in values}

    def changed(self, value: Any) -> Any:
        """A JSON value with some part of it replaced, removed or added."""
        if isinstance(value, dict) and value and self.number(5):
            key = self.one_of(sorted(value))
            if not self.number(4):
                return {name: other for name, other in value.items() if name != key}
            return {**value, key: self.changed(value[key])}
        if isinstance(value, list) and value and self.number(5):
            place = self.number(len(value))
            return [*value[:place], self.changed(value[place]), *value[place + 1 :]]
        return self.json()

    def mangled(self, content: bytes) -> bytes:
        """Bytes with some of them flipped, cut out, or doubled."""
        for _ in range(1 + self.number(3)):
            place, size = self.number(len(content) or 1), 1 + self.number(30)
            match self.number(4):
                case 0:
                    content = content[:place] + self.taken(size) + content[place + size :]
                case 1:
                    content = content[:place] + content[place + size :]
                case 2:
                    content = content[:place] + content[place:] + content[place:]
                case _:
                    odd = self.text().encode("utf-8", "surrogateescape")
                    content = content[:place] + odd + content[place:]
        return content[:20_000]


def dumped(value: Any) -> bytes:
    """A value as JSON, with what Python takes beyond it: NaN and Infinity."""
    return json.dumps(value).encode()
