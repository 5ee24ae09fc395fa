"""What every reader gives: the columns of ratings and the text of each record, in SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cofi_jobs.ingestion.columns import ABSENT, choose_rating_columns
from cofi_jobs.ingestion.known_columns import RATING_COLUMNS
from cofi_jobs.ingestion.text_table import TextTable
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql

MOST_SHOWN = 200  # columns in the text of a record; a step with more of them is slow in DuckDB


@dataclass(frozen=True)
class RatingFile:
    """A file of ratings in SQL.

    cells     table with a row for each record, in the file's order
    fields    expressions over `cells` for user_id, item_id, rating, count, timestamp and op: text
              as the file has it, with the blanks around it; ABSENT where the file has no such
              column
    raw       expression for the text of the record; costly, so used for rejected records only
    chosen    for each of the fields that the file has, the name of the file's column
    flaw      expression for why a record cannot be taken apart into columns, NULL if it can
    row       expression for the record's number as text, NULL where the records come in order
    table     the file itself where that is a CSV-like text
    """

    cells: str
    fields: Mapping[str, str]
    raw: str
    chosen: Mapping[str, str]
    flaw: str = "NULL"
    row: str = "NULL"
    table: TextTable | None = None

    @property
    def has_times(self) -> bool:
        """Whether the file has a column of times."""
        return "timestamp" in self.chosen

    @property
    def has_ratings(self) -> bool:
        """Whether the file has a column of ratings."""
        return "rating" in self.chosen

    @property
    def rating_number(self) -> str:
        """The rating as a number, an expression over `cells`; NULL where it is none."""
        rating = self.fields["rating"]
        return f"rating_value({rating}, try_cast({rating} AS FLOAT))"

    def as_events(self, not_rated: Sequence[float]) -> "RatingFile":
        """The file with counts for ratings: those of a column, else 1 for each row.

        Where the file has ratings but no counts, a row without a rating above 0 is no event, nor
        one whose rating is `not_rated`.
        """
        chosen = {name: column for name, column in self.chosen.items() if name != "rating"}
        count = "'1'"
        if "count" in chosen:
            chosen["rating"], cell = chosen["count"], self.fields["count"]
            count = (
                f"CASE lower(trim({cell})) WHEN 'true' THEN '1' WHEN 'false' THEN '0' "
                f"ELSE {cell} END"
            )
        elif self.has_ratings:
            value = self.rating_number
            is_event = " AND ".join([f"{value} > 0", *(f"{value} != {n}" for n in not_rated)])
            count = f"CASE WHEN {is_event} THEN '1' ELSE {self.fields['rating']} END"
        return replace(self, fields={**self.fields, "rating": count}, chosen=chosen)

    @property
    def query(self) -> str:
        """SELECT of the fields, cleaned, and `raw`."""
        cleaned = (
            f"{(clean_id if name.endswith('_id') else clean)(field)} AS {name}"
            for name, field in self.fields.items()
        )
        return f"SELECT {', '.join(cleaned)}, {self.raw} AS raw FROM {self.cells}"


def of_columns(
    path: Path,
    relation: str,
    columns: Sequence[str],
    settings: Settings,
    separator: str = ",",
    table: TextTable | None = None,
) -> RatingFile:
    """A file of a format that has columns.

    `raw` has the cells of all columns between separators; of very many columns, those of ratings.
    """
    chosen = choose_rating_columns(path, columns, settings)
    shown = columns if len(columns) <= MOST_SHOWN else list(chosen.values())
    numbers = [number for number, column in enumerate(columns) if column in shown]
    names = ", ".join(f"{sql.name(columns[number])} AS c{number}" for number in numbers)
    texts = ", ".join(f"coalesce(CAST(c{number} AS VARCHAR), '')" for number in numbers)
    fields = {
        name: f"CAST(c{columns.index(chosen[name])} AS VARCHAR)" if name in chosen else ABSENT
        for name in RATING_COLUMNS
    }
    raw = f"concat_ws({sql.quote(separator)}, {texts})"
    return RatingFile(f"(SELECT {names} FROM {relation})", fields, raw, chosen, table=table)


def clean(expression: str) -> str:
    """A cell's text without the blanks around it, in SQL."""
    return f"trim(CAST({expression} AS VARCHAR))"


def clean_id(expression: str) -> str:
    """A cell's text as an id, in SQL; see core/ids.py."""
    return f"clean_id(CAST({expression} AS VARCHAR))"
