"""What readers rely on: look-ups that open one file, a manifest's schema, described columns."""

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cofi_jobs import read
from cofi_jobs.cli.show.explanation import explain
from cofi_jobs.cli.show.run import summary
from cofi_jobs.cli.show.runs import runs
from cofi_jobs.core.errors import DamageError
from cofi_jobs.settings.renames import RENAMED
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import schemas as tables
from cofi_jobs.store.run_files import RunFiles
from cofi_jobs.store.store import Store
from cofi_jobs.tasks import recommend
from cofi_jobs.tasks.publish import describe
from cofi_jobs.tasks.registry import TASKS
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.nights import run_night
from tests.support.repository import ROOT

SCHEMA = json.loads((ROOT / "docs" / "manifest.schema.json").read_text())
FIRST = json.loads(
    (ROOT / "tests" / "data" / "first_manifest.json").read_text()
)  # kept as the first version wrote it
GONE = ("rating_epochs", "ranking_epochs")  # settings of that version that training has no more
KEY = "n1"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with one published run; not to be changed."""
    store = Store(tmp_path_factory.mktemp("published") / "store").create()
    write_ratings(store.landing / "ratings.csv", random_ratings())
    run_night(store, load_settings(QUICK), KEY)
    return store


# ---- look-ups


def write_lists(store: Store, ids: list[Any], kind: str) -> None:
    """A published run with the lists of these users, two rows each, in files of four users."""
    schema = tables.recommendations(tables.ID_TYPES[kind], pa.int64())
    blocks = (ids[start : start + 2] for start in range(0, len(ids), 2))
    rows = (
        pa.table(
            [
                pa.array(np.repeat(np.array(block, object), 2)),
                *([1, 2] * len(block), [7, 8] * len(block)),
                *([0.5] * 2 * len(block),) * 2,
                [None] * 2 * len(block),
            ],
            schema=schema,
        )
        for block in blocks
    )
    with store.replace_folder(store.table(KEY, "recommendations")) as folder:
        recommend.write_whole(rows, folder)
    files = sorted(store.table(KEY, "recommendations").iterdir())
    described = [describe(path, store.table(KEY, "")) for path in files]
    store.records.write_manifest(
        KEY,
        {"run_key": KEY, "id_types": {"user_id": kind, "item_id": "integer"}, "files": described},
    )
    store.set_current(KEY)


@pytest.mark.parametrize(
    ("ids", "kind", "unknown"),
    [
        (list(range(-5, 30, 3)), "integer", [-6, 0, 31]),
        (
            sorted(
                ["", "a", "a b", "A", "user_id=1", "Zoë", "z" * 50, "é", "日本", "0", "00", "1/2"]
            ),
            "string",
            ["b"],
        ),
    ],
)
def test_a_look_up_finds_each_user_and_opens_one_file_only(
    monkeypatch, store: Store, ids, kind, unknown
):
    monkeypatch.setattr(recommend, "USERS_PER_FILE", 4)
    write_lists(store, ids, kind)
    files = sorted(store.table(KEY, "recommendations").iterdir())
    assert len(files) == 3
    for user_id in unknown:
        assert read.recommendations(store.root, str(user_id)).empty
    for number, file in enumerate(files):
        for other in files:
            shutil.move(other, other.with_suffix(".away"))
        shutil.move(file.with_suffix(".away"), file)
        for user_id in ids[4 * number : 4 * number + 4]:
            found = read.recommendations(str(store.root), user_id)
            assert found[["user_id", "rank"]].to_dict("records") == [
                {"user_id": user_id, "rank": r} for r in (1, 2)
            ]
        for other in files:
            if other != file:
                shutil.move(other.with_suffix(".away"), other)


def test_an_id_too_long_for_parquets_bounds_is_found(store: Store):
    write_lists(store, ["a", "z" * 5000], "string")
    assert len(read.recommendations(store.root, "z" * 5000)) == 2


@pytest.mark.parametrize(("first", "last"), [("1", "2"), (1, "2"), ("1", 2)])
def test_bounds_that_are_no_ids_of_the_store_hide_no_list(store: Store, first, last):
    write_lists(store, [1, 2], "integer")
    manifest = store.manifest(KEY) or {}
    files = [file | {"first_id": first, "last_id": last} for file in manifest["files"]]
    store.records.write_manifest(KEY, manifest | {"files": files})
    assert len(read.recommendations(store.root, "2")) == 2


@pytest.mark.slow
def test_look_ups_agree_with_the_tables(published: Store):
    for name, column, look_up in (
        ("recommendations", "user_id", read.recommendations),
        ("similar_items", "item_id", read.similar_items),
    ):
        table = pd.read_parquet(published.table(KEY, name))
        for value, own in table.groupby(column):
            found = look_up(published.root, str(value))
            pd.testing.assert_frame_equal(found, own.reset_index(drop=True), check_dtype=False)
        as_ingest_cleans_it = look_up(published.root, f" {value}.0 ")
        pd.testing.assert_frame_equal(as_ingest_cleans_it, found)


def test_a_missing_reason_leaves_the_other_ids_integers(store: Store):
    write_lists(store, [1, 2], "integer")
    found = read.recommendations(store.root, "1")
    assert found["because_item_id"].isna().all()
    assert [
        str(found[name].dtype) for name in ("user_id", "rank", "item_id", "because_item_id")
    ] == [*("Int64", "Int32", "Int64", "Int64")]
    run = read.current_run(store)
    arrow = run.arrow.recommendations("1")
    assert isinstance(arrow, pa.Table)
    pd.testing.assert_frame_equal(read.to_frame(arrow), found)


# ---- the manifest


@pytest.fixture
def manifest(published: Store) -> dict[str, Any]:
    found = published.manifest(KEY)
    assert found is not None
    return found


def test_manifests_old_and_new_follow_the_schema_of_their_version(manifest: dict[str, Any]):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for each in (FIRST, manifest, manifest | {"added": {"later": 1}}):
        jsonschema.validate(each, SCHEMA)


@pytest.mark.parametrize("field", SCHEMA["required"])
def test_the_schema_notices_what_is_missing(manifest: dict[str, Any], field: str):
    del manifest[field]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(manifest, SCHEMA)


def test_every_field_of_the_first_manifest_is_still_there(manifest: dict[str, Any]):
    """Additions alone keep a version: what an old reader looks for has its place and its type."""
    kept = {name: value for name, value in FIRST["settings"].items() if name not in GONE}
    same_type(FIRST | {"settings": kept}, manifest, "")


def test_a_renamed_setting_is_in_the_manifest_under_both_names(manifest: dict[str, Any]):
    settings = manifest["settings"]
    assert settings["n_factors"] == 4
    assert {old: settings[old] for old in RENAMED} == {
        old: settings[new] for old, new in RENAMED.items()
    }


def same_type(old: Any, new: Any, where: str) -> None:
    numbers = (int, float)
    assert old is None or isinstance(new, numbers if isinstance(old, numbers) else type(old)), where
    if isinstance(old, dict):
        for name, value in old.items():
            assert name in new, f"{where}/{name}"
            same_type(value, new[name], f"{where}/{name}")
    elif isinstance(old, list):
        same_type(old[0], new[0], f"{where}/0")


def write_first_manifest(store: Store) -> None:
    """The first version's manifest, of the files that are there."""
    manifest = store.manifest(KEY)
    assert manifest is not None
    files = [{name: file[name] for name in FIRST["files"][0]} for file in manifest["files"]]
    store.records.write_manifest(KEY, FIRST | {"run_key": KEY, "files": files})


def test_readers_of_today_read_what_the_first_release_published(
    published: Store, tmp_path: Path, capsys
):
    store = Store(shutil.copytree(published.root, tmp_path / "store", symlinks=True))
    write_first_manifest(store)
    run = read.current_run(store)
    assert len(run.recommendations("10")) == 5
    assert len(run.similar_items("100")) == 4
    summary(run)
    item = run.recommendations("10")["item_id"][0]
    explain(run, "10", str(item))
    runs(store, list(TASKS))
    assert "33 ratings read" in capsys.readouterr().out


def test_what_explain_says_of_a_run_does_not_depend_on_the_environment_of_today(
    published: Store, tmp_path: Path, monkeypatch, capsys
):
    store = Store(shutil.copytree(published.root, tmp_path / "store", symlinks=True))
    write_first_manifest(store)  # it does not say the recency
    run = read.current_run(store)
    item = str(run.recommendations("10")["item_id"][0])
    explain(run, "10", item)
    before = capsys.readouterr().out
    monkeypatch.setenv("COFI_RECENCY", "2")
    explain(run, "10", item)
    assert capsys.readouterr().out == before


# ---- the files


@pytest.mark.parametrize(
    ("table", "file"),
    [
        ("recommendations", "*"),
        ("similar_items", "*"),
        ("popular_items", "*"),
        ("model", "item_factors"),
        ("model", "user_factors"),
    ],
)
def test_every_column_is_described_in_the_file_for_any_reader(
    published: Store, table: str, file: str
):
    [path] = published.table(KEY, table).glob(f"{file}.parquet")
    query = f"SELECT decode(key), decode(value) FROM parquet_kv_metadata('{path}')"
    described = dict(duckdb.execute(query).fetchall())
    assert all(len(described[name]) > 10 for name in pq.read_schema(path).names)


def test_names_of_items_are_short_lines_and_the_tables_keep_the_titles() -> None:
    titles = ["Two\nlines \x1b[31m", "<b>One</b> &amp;", "x" * 201, "y" * 200, "", None]
    items = pd.DataFrame({"item_id": range(6), "title": titles})
    names = ["Two lines [31m", "<b>One</b> &amp;", "x" * 199 + "…", "y" * 200, "item 4", "item 5"]
    assert read.item_names(items).tolist() == names
    assert items["title"].tolist()[:5] == titles[:5]


def test_what_arrow_says_of_a_damaged_page_is_one_line(store: Store):
    files = RunFiles(store, KEY, {"files": []})
    with pytest.raises(DamageError) as raised, files.named("model/items.parquet"):
        raise pa.ArrowInvalid("Invalid data\nDeserializing page header failed.\n")
    assert "\n" not in str(raised.value)
    assert f"runs/{KEY}/model/items.parquet cannot be read: Invalid data" in str(raised.value)


LOOK_UPS = {
    "recommendations/part-00000.parquet": lambda run: run.recommendations("10"),
    "similar_items/part-00000.parquet": lambda run: run.similar_items("100"),
    "popular_items/part-00000.parquet": lambda run: run.popular_items(),
    "model/user_factors.parquet": lambda run: run.user_factors("10"),
    "normalized/ratings.parquet": lambda run: run.rated("10"),
}


@pytest.mark.parametrize("path", LOOK_UPS)
def test_a_file_that_a_power_cut_left_short_or_took_is_an_error_that_says_what_to_do(
    published: Store, tmp_path: Path, path: str
):
    store = Store(shutil.copytree(published.root, tmp_path / "store", symlinks=True))
    file, look_up = store.table(KEY, path), LOOK_UPS[path]
    for content in (b"", b"PAR1PAR"):
        file.write_bytes(content)
        with pytest.raises(DamageError, match=f"{path} is damaged: it has {len(content)} bytes"):
            look_up(read.current_run(store).arrow)
    file.unlink()
    with pytest.raises(DamageError, match=f"{path} is missing.*from a backup"):
        look_up(read.current_run(store).arrow)
    file.mkdir()
    with pytest.raises(DamageError, match=f"{path} is missing"):
        look_up(read.current_run(store).arrow)


def test_a_run_that_is_removed_while_it_is_read_is_not_called_damaged(
    published: Store, tmp_path: Path
):
    store = Store(shutil.copytree(published.root, tmp_path / "store", symlinks=True))
    run = read.current_run(store).arrow
    store.path(f"manifests/{KEY}.json").unlink()
    shutil.rmtree(store.table(KEY, ""))
    for look_up in LOOK_UPS.values():
        with pytest.raises(FileNotFoundError):
            look_up(run)
