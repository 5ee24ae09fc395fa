"""JSON: lines of objects, or an array of them. Their values are read as text.

A key is looked up in each object. Records that are no object, objects that have a key of ratings
twice, and ids that are no text or number are rejected with their reasons.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import duckdb

from cofi_jobs.ingestion.columns import ABSENT, choose_rating_keys, is_known
from cofi_jobs.ingestion.json_records import JsonRecords, json_records, known_keys, pointer
from cofi_jobs.ingestion.known_columns import ID_COLUMNS, RATING_COLUMNS
from cofi_jobs.ingestion.rating_file import RatingFile
from cofi_jobs.settings.fields import Settings

NO_ID = "('OBJECT', 'ARRAY', 'BOOLEAN')"  # types of values that are no ids


def ratings(connection: duckdb.DuckDBPyConnection, path: Path, settings: Settings) -> RatingFile:
    """How to read the ratings of a JSON file.

    Raises DataError if it has no keys of ratings, or an object has two keys for the same.
    """
    records = json_records(connection, path, settings)
    keys, shapes = records.shapes(connection, path, partial(is_known, settings=settings))
    chosen = choose_rating_keys(path, keys, shapes, settings)
    places = {key: n for n, key in enumerate((k for ks in chosen.values() for k in ks), start=1)}
    ids = {name: _first(chosen[name], places, "types") for name in ID_COLUMNS}
    fields = {
        name: _first(chosen[name], places, "texts") if name in chosen else ABSENT
        for name in RATING_COLUMNS
    }
    for name, kind in ids.items():
        fields[name] = f"CASE WHEN {kind} NOT IN {NO_ID} THEN {fields[name]} END"
    return RatingFile(
        cells=_cells(records, list(places)),
        fields=fields,
        raw="record",
        chosen={name: candidates[0] for name, candidates in chosen.items()},
        flaw=_flaw(records.what, ids),
    )


def _cells(records: JsonRecords, keys: Sequence[str]) -> str:
    """The records with the values of keys as lists, as texts and as the names of their types."""
    pointers = "[" + ", ".join(map(pointer, keys)) + "]"
    return f"""(
        SELECT record, object, is_clear, json_extract_string(read, {pointers}) AS texts,
            json_type(read, {pointers}) AS types
        FROM (
            SELECT record, object, is_clear, CASE WHEN is_clear THEN object END AS read
            FROM (
                SELECT *, len(known) = len(list_distinct(known)) AS is_clear
                FROM (SELECT *, {known_keys("object", keys)} AS known FROM {records.table}))))"""


def _first(keys: Sequence[str], places: Mapping[str, int], values: str) -> str:
    """Of a list of values that of the first of the keys that the object has, in SQL."""
    cases = (f"WHEN types[{places[key]}] IS NOT NULL THEN {values}[{places[key]}]" for key in keys)
    return f"CASE {' '.join(cases)} END"


def _flaw(what: str, ids: Mapping[str, str]) -> str:
    """Why a record cannot be taken apart, in SQL, NULL if it can."""
    nested = " ".join(
        f"WHEN {kind} IN {NO_ID} THEN '{name} is a JSON ' || lower({kind})"
        for name, kind in ids.items()
    )
    return f"""CASE WHEN object IS NULL THEN '{what} is not a JSON object'
        WHEN NOT is_clear THEN 'a key is there twice' {nested} END"""
