"""The settings of input: what ingest reads, what it accepts, and what cells mean."""

import functools
from typing import Literal

from pydantic import BaseModel

from cofi_jobs.settings.lists import NUMBERS
from cofi_jobs.settings.setting import setting

ingest = functools.partial(setting, "ingest")


class InputSettings(BaseModel):
    """The section `ingest`."""

    rating_low: float | None = ingest(
        None,
        "Lowest rating of the scale; given to one run, it corrects the store's scale. Empty: what "
        "the store keeps, at first from the first run's ratings.",
    )
    rating_high: float | None = ingest(
        None,
        "Highest rating of the scale; given to one run, it corrects the store's scale. Empty: what "
        "the store keeps, at first from the first run's ratings.",
    )
    feedback: Literal["auto", "ratings", "events"] = ingest(
        "auto",
        "What users gave: ratings, or events such as likes, clicks, plays, purchases. auto: events "
        "if the first run's files have no ratings, or all ratings are 1.",
    )
    id_type: Literal["auto", "integer", "string"] = ingest(
        "auto",
        "Type of user and item ids. auto: integer if at least 95 % of the first run's are; the "
        "others are rejected. Else string.",
    )
    missing: str = ingest(
        r"NULL, None, NA, N/A, nan, NaT, <NA>, #N/A, \N",
        "Words that mean no value in ids, ratings and times, in any case, separated by commas. "
        "An empty cell always means none.",
    )
    user_column: str | None = ingest(
        None,
        "Column of users in the source. Several separated by commas: the first that a file has. "
        "Empty: known names.",
    )
    item_column: str | None = ingest(
        None, "Column of items in the source and in the catalogue, likewise."
    )
    rating_column: str | None = ingest(None, "Column of ratings in the source, likewise.")
    count_column: str | None = ingest(
        None, "Column of counts of events in the source, likewise. Without one each row counts 1."
    )
    time_column: str | None = ingest(None, "Column of times in the source, likewise.")
    op_column: str | None = ingest(None, "Column of inserts and deletes in the source, likewise.")
    not_rated: str | None = ingest(
        None,
        'Numbers that mean "no rating", separated by commas, such as 0,-1,99. Their rows are '
        "rejected and no errors.",
        pattern=NUMBERS,
    )
    time_unit: Literal[
        "auto",
        "seconds",
        "milliseconds",
        "microseconds",
        "nanoseconds",
        "yyyymmdd",
        "yyyymmddhhmm",
        "yyyymmddhhmmss",
        "spreadsheet_days",
        "order",
    ] = ingest(
        "auto",
        "What times that are numbers mean. auto: found for each file from all of its times.",
    )
    encoding: str = ingest(
        "auto",
        "Encoding of text files without a byte order mark, such as windows-1252 or shift_jis. "
        "auto: UTF-8; UTF-16 and Windows-1252 are recognised.",
    )
    max_rejected: float = ingest(
        0.5,
        "Share of a run's rows that may be rejected. If more are, nothing is accepted.",
        ge=0,
        le=1,
    )
    settle_seconds: float = ingest(
        2.0,
        "A file or folder in landing/ is read once it has not changed for this many seconds.",
        ge=0,
        le=600,
    )

    source_connection: str | None = ingest(
        None,
        "Airflow connection of a PostgreSQL database to read ratings from, beside files. "
        "Empty: none.",
    )
    source_query: str | None = ingest(
        None,
        "SQL query that returns the ratings: the columns of a rating file, and the watermark.",
        multiline=True,
    )
    source_watermark: str = ingest(
        "updated_at",
        "Column of the query that grows with each new or changed row: a time or a number.",
    )
    source_overlap: float = ingest(
        3600,
        "Seconds (or units) below the last watermark that are read again: some rows are "
        "committed late.",
        ge=0,
    )

    source_files: str | None = ingest(
        None,
        "Folder or pattern of rating files elsewhere: s3://bucket/drop/, gs://..., "
        "file:///drop/*.csv, in the places that COFI_SOURCE_ROOTS names. Empty: none.",
    )
    source_files_connection: str | None = ingest(
        None, "Airflow connection with the credentials for source_files. Empty: the worker's own."
    )
