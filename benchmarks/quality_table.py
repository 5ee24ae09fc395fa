"""What quality.py prints: a table of the sets, and one of all contestants, in Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.list_quality import Quality

OPENING, CLOSING = "<!-- quality -->\n", "<!-- /quality -->"
SUMMARY = ["set", "split", "users", "items", "ratings", "ours", "best peer", "its", "ours / its"]
SUMMARY += ["our s", "its s"]
DETAILS = ["set", "contestant", "NDCG@10", "Recall@20", "seconds", "chosen"]


@dataclass(frozen=True)
class Result:
    """How good the lists of a contestant are, after how many seconds, with which options.

    `quality` is None where there are no lists.
    """

    contestant: str
    quality: Quality | None
    seconds: float
    chosen: dict[str, Any]

    @property
    def ndcg(self) -> float:
        """NDCG@10, 0 without lists."""
        return self.quality.ndcg if self.quality else 0.0


@dataclass(frozen=True)
class Judgement:
    """All contestants' results on a set: ours, then the peers'."""

    name: str
    split: str
    n_users: int
    n_items: int
    n_ratings: int
    ours: Result
    peers: list[Result]

    def summary(self) -> list[str]:
        """The cells of SUMMARY."""
        best = max(self.peers, key=lambda result: result.ndcg)
        sizes = [f"{n:,}" for n in (self.n_users, self.n_items, self.n_ratings)]
        ratio = f"{self.ours.ndcg / best.ndcg:.3f}" if self.ours.quality and best.ndcg else ""
        return [
            *(self.name, self.split, *sizes, _figure(self.ours, "ndcg")),
            *(best.contestant, _figure(best, "ndcg"), ratio),
            *(f"{result.seconds:.1f}" for result in (self.ours, best)),
        ]

    def details(self) -> list[list[str]]:
        """The cells of DETAILS, a row for each contestant."""
        return [
            [
                *(self.name, result.contestant),
                *(_figure(result, "ndcg"), _figure(result, "recall"), f"{result.seconds:.1f}"),
                ", ".join(f"{name} {value}" for name, value in result.chosen.items()),
            ]
            for result in (self.ours, *self.peers)
        ]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def with_table(document: str, table: str) -> str:
    """The document with another table between its marks."""
    before, _, rest = document.partition(OPENING)
    _, _, after = rest.partition(CLOSING)
    return before + OPENING + table + CLOSING + after


def _figure(result: Result, measure: str) -> str:
    return f"{getattr(result.quality, measure):.4f}" if result.quality else "no lists"
