"""A case: what lies in the landing folder of a new store, and what becomes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Row = tuple[object, object, float | None, float | None]  # user, item, rating, time in seconds
Content = bytes | str


@dataclass(frozen=True)
class Case:
    """A file, or a folder with files by their names.

    `error` is a part of the message with which ingest stops; then nothing is taken.
    """

    what: str
    name: str
    content: Content | Mapping[str, Content]
    taken: Sequence[Row] = ()
    rejected: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    settings: Sequence[str] = ()

    @property
    def outcome(self) -> str:
        """What becomes of it, in words."""
        if self.error:
            return f'error: "{self.error}"'
        counts = [f"{len(self.taken)} rows taken"] if self.taken else []
        counts += [f"{count} rejected: {reason}" for reason, count in self.rejected.items()]
        return "; ".join(counts)


SETTINGS = ("rating_low=0.5", "rating_high=5", "max_rejected=1")  # those of a case come after them
NO_SCALE = ("rating_low=", "rating_high=")  # the first run finds it
TIME = 978300760
ROWS: list[Row] = [(7, 42, 3.5, TIME), (8, 43, 4, TIME + 1)]
UNTIMED: list[Row] = [(*row[:3], None) for row in ROWS]
HEADER = "userId,movieId,rating,timestamp\n"
BODY = f"7,42,3.5,{TIME}\n8,43,4,{TIME + 1}\n"
CSV = HEADER + BODY
OBJECTS = [
    {"userId": user, "movieId": item, "rating": rating, "timestamp": time}
    for user, item, rating, time in ROWS
]


def with_rows(*rows: str) -> str:
    """The two good rows as CSV, and others after them."""
    return CSV + "".join(f"{row}\n" for row in rows)


def with_times(first: str, second: str, *others: str) -> str:
    """The two good rows with other times, and rows with more of them."""
    rows = [f"9,{item},3,{time}" for item, time in enumerate(others, start=44)]
    return "\n".join([HEADER.strip(), f"7,42,3.5,{first}", f"8,43,4,{second}", *rows, ""])
