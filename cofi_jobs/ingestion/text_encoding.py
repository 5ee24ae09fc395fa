"""The encoding of a text file: what the file says, what is declared, or what its lines show."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

from cofi_jobs.core.errors import SettingsError
from cofi_jobs.ingestion.packed import HEAD, Unpacked

BLOCK = 1 << 19  # bytes
MOST_UNFINISHED = 1 << 22  # bytes of a line; of a longer one the rest counts
BOMS = {  # UTF-32's before UTF-16's, with which it starts
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
NAMES = {
    "utf-8-sig": "UTF-8",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "cp1252": "Windows-1252",
}
SEVEN_BITS = bytes(range(128)) + b"\x1b$B&!\x1b(B"  # with an escape to Japanese
# A lone surrogate stands in a text for bytes that are none in its encoding: no other text has one.
BROKEN = "\udcff"
codecs.register_error("cofi_broken", lambda error: (BROKEN, error.end))  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Encoding:
    """How a file's bytes become text.

    `codec` is Python's name. `is_certain`: the file's start or a setting says so.
    """

    codec: str
    is_certain: bool

    @property
    def name(self) -> str:
        """The name for messages."""
        return NAMES.get(self.codec, self.codec.upper())

    def decoder(self) -> codecs.IncrementalDecoder:
        """A decoder that puts BROKEN where bytes are none in this encoding."""
        return codecs.getincrementaldecoder(self.codec)("cofi_broken")

    @property
    def is_utf8(self) -> bool:
        """Whether the encoding is UTF-8."""
        return self.codec == "utf-8-sig"

    @property
    def extends_ascii(self) -> bool:
        """Whether a text of ASCII has the same bytes in this encoding."""
        return SEVEN_BITS.decode(self.codec, errors="replace") == SEVEN_BITS.decode("ascii")


UTF8 = Encoding("utf-8-sig", is_certain=False)
WINDOWS = Encoding("cp1252", is_certain=False)


def first_encoding(head: bytes, declared: str) -> Encoding:
    """The encoding by a file's first bytes and the setting `encoding`; UTF-8 if nothing shows it.

    A byte order mark is the file's own word, so it wins over the setting. Raises SettingsError if
    the setting is no encoding.
    """
    for mark, codec in BOMS.items():
        if head.startswith(mark):
            return Encoding(codec, is_certain=True)
    if declared != "auto":
        codec = _codec(declared)
        return Encoding(UTF8.codec if codec == "utf-8" else codec, is_certain=True)
    utf_16 = _utf_16(head)
    return Encoding(utf_16, is_certain=True) if utf_16 else UTF8


def _codec(declared: str) -> str:
    try:
        "".encode(declared)
        return codecs.lookup(declared).name
    except (LookupError, ValueError):
        raise SettingsError(
            f"encoding is {declared!r}; it must be auto or an encoding that Python knows, "
            "such as utf-8 or windows-1252"
        ) from None


def _utf_16(head: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of its separators, digits and line ends is 0."""
    pairs = len(head[:HEAD]) // 2
    even, odd = head[: 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    if max(even, odd) * 20 < pairs or max(even, odd) < 5 * min(even, odd) or pairs == 0:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def encoding_of_lines(file: Unpacked) -> Encoding:
    """Windows-1252 if most lines with bytes above 127 are that and no UTF-8, else UTF-8."""
    n_high = n_windows = 0
    for line in _lines_above_ascii(file):
        n_high += 1
        n_windows += not is_in(line, "utf-8") and is_in(line, "cp1252")
    return WINDOWS if 2 * n_windows > n_high else UTF8


def is_in(line: bytes, codec: str) -> bool:
    """Whether the bytes are text in an encoding."""
    try:
        line.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _lines_above_ascii(file: Unpacked) -> Iterator[bytes]:
    """Lines with bytes above 127; very long ones in parts, or without a start of ASCII."""
    unfinished = b""
    while block := file.read(BLOCK):
        if block.isascii():
            lines, rest = [unfinished], b""
        else:
            first, *lines = block.replace(b"\r", b"\n").split(b"\n")
            *lines, rest = unfinished + first, *lines
        yield from (line for line in lines if not line.isascii())
        unfinished = rest if len(rest) < MOST_UNFINISHED else b""
    if not unfinished.isascii():
        yield unfinished
