"""Properties: the first run fixes the types of ids and the scale; settings come before them."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.data import settle
from tests.support.ingestion import (
    GOOD,
    HEADER,
    counts,
    drop,
    failure,
    first_night,
    ingest,
    refused,
    taken,
)


def test_the_scale_of_the_first_night_is_kept(store: Store) -> None:
    drop(store, "a.csv", HEADER + "1,10,2,1\n2,10,4.5,2\n")
    assert ingest(store, "night-1")["scale"] == [2.0, 4.5]
    drop(store, "b.csv", HEADER + "1,20,1.5,3\n2,20,5,4\n3,20,3,5\n")
    outcome = ingest(store, "night-2")
    assert outcome["scale"] == [2.0, 4.5]
    assert [reason for reason, _ in refused(store, "night-2")] == [
        "rating is outside the scale 2 to 4.5: 1.5",
        "rating is outside the scale 2 to 4.5: 5.0",
    ]


def test_ends_of_the_scale_that_binary_numbers_cannot_hold_are_inside_it(store: Store) -> None:
    drop(store, "a.csv", HEADER + "1,10,0.1,1\n2,10,0.7,2\n")
    ingest(store, "night-1", "rating_low=0.1")
    drop(store, "b.csv", HEADER + "1,20,0.1,1\n2,20,0.7,2\n")
    assert counts(ingest(store, "night-2")) == (2, 2, 0)


@pytest.mark.parametrize(
    ("overrides", "n_taken"),
    [((), 3), (("rating_low=2",), 2), (("rating_high=4",), 2), (("rating_high=10",), 3)],
)
def test_settings_override_either_end_of_the_scale(
    overrides: tuple[str, ...], n_taken: int, store: Store
) -> None:
    drop(store, "a.csv", GOOD)
    outcome = ingest(store, "night-1", *overrides)
    assert counts(outcome) == (3, n_taken, 3 - n_taken)
    set_ends = dict(text.split("=") for text in overrides)
    assert outcome["scale"] == [
        float(set_ends.get("rating_low", 1)),
        float(set_ends.get("rating_high", 5)),
    ]


def test_settings_override_the_scale_on_a_later_night(store: Store) -> None:
    first_night(store)
    drop(store, "a.csv", HEADER + "1,10,10,1\n1,20,11,1\n")
    ingest(store, "night-1", "rating_high=10")
    assert taken(store) == [(1, 10, 10.0, 1)]
    assert refused(store) == [("rating is outside the scale 1 to 10: 11.0", "1,20,11,1")]


def test_a_first_night_on_which_all_ratings_are_the_same_needs_a_scale(store: Store) -> None:
    drop(store, "a.csv", HEADER + "1,10,3,1\n2,10,3,1\n")
    assert "found the rating scale 3 to 3" in failure(store, overrides=("feedback=ratings",))
    assert counts(ingest(store, "night-1", "rating_low=1", "rating_high=5")) == (2, 2, 0)


def many_ratings(*more: str) -> str:
    """Enough ratings from 1 to 5 to know the scale, and more rows."""
    rated = (f"{n // 20},{n % 20},{1 + n % 5},{10**9 + n}\n" for n in range(200))
    return HEADER + "".join([*rated, *(f"{row}\n" for row in more)])


@pytest.mark.parametrize("error", ["50", "-20", "1e6"])
@pytest.mark.parametrize("id_type", ["auto", "string"])
def test_an_error_far_outside_does_not_make_the_scale(
    error: str, id_type: str, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    drop(store, "a.csv", many_ratings(f"7,3,{error},1000000000"))
    outcome = ingest(store, "night-1", f"id_type={id_type}")
    assert outcome["scale"] == [1, 5]
    assert refused(store) == [
        (f"rating is outside the scale 1 to 5: {float(error)}", f"7,3,{error},1000000000")
    ]
    assert outcome["rows_taken"] == 200
    assert f"the rating {float(error):g}, which 1 of 201 rows have" in caplog.text


def test_an_end_that_is_set_is_no_error(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    drop(store, "a.csv", many_ratings("7,3,50,1000000000"))
    outcome = ingest(store, "night-1", "rating_high=50")
    assert (outcome["scale"], outcome["rows_refused"]) == ([1, 50], 0)
    assert "far outside" not in caplog.text


def test_a_scale_that_is_corrected_in_one_run_is_kept(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    drop(store, "a.csv", HEADER + "1,10,1,1\n2,20,50,2\n")
    assert ingest(store, "night-1")["scale"] == [1, 50]
    drop(store, "b.csv", HEADER + "1,20,5,3\n3,20,6,4\n")
    assert ingest(store, "night-2", "rating_high=5")["scale"] == [1, 5]
    assert "the scale changes from 1 to 50 into 1 to 5, which the store keeps" in caplog.text
    assert [reason for reason, _ in refused(store, "night-2")] == [
        "rating is outside the scale 1 to 5: 6.0"
    ]
    caplog.clear()
    assert ingest(store, "night-3")["scale"] == [1, 5]
    assert "the scale changes" not in caplog.text
    properties = store.records.properties()
    assert properties is not None
    assert properties["scale"] == [1, 5]


def test_ratings_outside_a_corrected_scale_do_not_count(store: Store) -> None:
    drop(store, "a.csv", HEADER + "1,10,1,1\n2,20,50,2\n2,10,3,2\n3,20,4,3\n")
    ingest(store, "night-1")
    ingest(store, "night-2", "rating_high=5")
    normalized = run_task("normalize", store, load_settings(), "night-2")
    assert (normalized["n_outside"], normalized["n_ratings"]) == (1, 3)
    assert normalized["n_read"] == 4
    ratings = pq.read_table(store.table("night-2", "normalized") / "ratings.parquet")
    assert sorted(ratings["rating"].to_pylist()) == [1, 3, 4]


@pytest.mark.parametrize(
    ("user_ids", "id_type"),
    [
        (["1", "2"], "integer"),
        (["-5", "9223372036854775807"], "integer"),
        (["1.0", "2.0"], "integer"),
        (["1", "anna"], "string"),
        (["1", "007"], "string"),
        (["1", "9223372036854775808"], "string"),
        (["1", "1.5"], "string"),
    ],
)
def test_ids_are_integers_if_all_of_the_first_night_are(
    user_ids: list[str], id_type: str, store: Store
) -> None:
    drop(
        store,
        "a.csv",
        HEADER + "".join(f"{user_id},10,{4 + row},1\n" for row, user_id in enumerate(user_ids)),
    )
    outcome = ingest(store)
    assert outcome["id_types"] == {"user_id": id_type, "item_id": "integer"}
    plain = [user_id.removesuffix(".0") for user_id in user_ids]
    assert [row[0] for row in taken(store)] == (
        plain if id_type == "string" else [int(i) for i in plain]
    )


def test_an_id_of_a_refused_row_does_not_decide_the_type(store: Store) -> None:
    drop(store, "a.csv", GOOD + "anna,10,x,1\n")
    assert ingest(store)["id_types"]["user_id"] == "integer"


def test_a_store_of_integers_refuses_text_later_and_one_of_text_takes_both(store: Store) -> None:
    drop(store, "a.csv", HEADER + "1,film-a,1,1\n2,film-b,5,1\n")
    ingest(store, "night-1")
    drop(store, "b.csv", HEADER + "anna,film-c,3,1\n3,42,3,1\n")
    ingest(store, "night-2")
    assert taken(store, "night-2") == [(3, "42", 3.0, 1)]
    assert refused(store, "night-2") == [
        ("user_id is not an integer like the others: anna", "anna,film-c,3,1")
    ]


@pytest.mark.parametrize(("id_type", "n_taken"), [("string", 3), ("integer", 2)])
def test_the_type_of_ids_can_be_set(id_type: str, n_taken: int, store: Store) -> None:
    drop(store, "a.csv", GOOD.replace("\n1,", "\nanna,"))
    outcome = ingest(store, "night-1", f"id_type={id_type}")
    assert outcome["id_types"] == {"user_id": id_type, "item_id": id_type}
    assert counts(outcome) == (3, n_taken, 3 - n_taken)


def read_batch(store: Store, run_key: str) -> dict[str, pa.Table]:
    folders = (store.ratings(run_key), store.rejected(run_key))
    return {
        f"{part.parent.parent.name}/{part.name}": pq.ParquetFile(part).read()
        for folder in folders
        for part in sorted(folder.glob("*"))
    }


@pytest.mark.parametrize("gone", ["a.csv", "b.csv"])
def test_a_rerun_of_the_first_night_without_one_of_its_files_keeps_scale_and_ids(
    gone: str, store: Store
) -> None:
    drop(store, "a.csv", GOOD.replace("\n1,", "\nanna,"))
    drop(store, "b.csv", HEADER + "7,20,2,1\n8,20,3,1\n")
    outcome, batch = ingest(store), read_batch(store, "night-1")
    (store.landing / gone).unlink()
    again = ingest(store)
    assert (again["scale"], again["id_types"]) == (outcome["scale"], outcome["id_types"])
    assert read_batch(store, "night-1") == batch


def test_a_missing_id_in_a_float_column_of_parquet_is_missing(
    store: Store, quick: Settings
) -> None:
    frame = pd.DataFrame(
        {"userId": [1, None, 3], "movieId": [10, 20, 30], "rating": [4.0, 3, None]}
    )
    frame.loc[3] = [4, 40, 1.0]
    frame.to_parquet(store.landing / "ratings.parquet")
    settle(store.landing / "ratings.parquet")
    outcome = run_task("ingest", store, quick, "night-1")
    assert outcome["id_types"]["user_id"] == "integer"
    assert [reason for reason, _ in refused(store)] == ["user_id is missing", "rating is missing"]


def test_a_scale_and_id_type_given_on_the_first_night_are_kept(store: Store) -> None:
    drop(store, "a.csv", "userId,movieId,rating\n1,10,4\n")
    given = load_settings(["rating_low=0", "rating_high=10", "id_type=string"])
    run_task("ingest", store, given, "night-1")
    drop(store, "b.csv", "userId,movieId,rating\n1,11,8\n")
    outcome = run_task("ingest", store, load_settings(), "night-2")
    assert (outcome["rows_taken"], outcome["scale"]) == (1, [0, 10])
    with pytest.raises(DataError, match="found id_type integer, but the first run has fixed"):
        run_task("ingest", store, load_settings(["id_type=integer"]), "night-3")


NO_RATINGS = {
    "userId,movieId,rating,op\n1,2,,delete\n2,2,,d\n": (
        "found no ratings, but 2 of 2 rows of which the op is a delete"
    ),
    HEADER: "found no rows",
    HEADER + "1,2,x,1\n1,3,y,1\n1,4,,1\n": (
        "found no ratings, but 2 of 3 rows of which the rating is not a number ('1,2,x,1')"
    ),
}


@pytest.mark.parametrize("content", NO_RATINGS)
def test_a_first_night_without_ratings_says_what_its_rows_are(content: str, store: Store) -> None:
    drop(store, "a.csv", content)
    assert failure(store).startswith(NO_RATINGS[content])


def test_a_first_night_says_what_made_it_fail_and_shows_the_rows(store: Store) -> None:
    lines = [f"{user},10,{1 + user % 5},31.12.{2000 + user}" for user in range(9)]
    drop(store, "a.csv", HEADER + "\n".join([*lines, "9,10,4,2001-12-31"]) + "\n")
    with pytest.raises(DataError) as caught:
        ingest(store, "night-1", "max_rejected=0.5")
    assert "found 9 of 10 rows to be rejected" in str(caught.value)
    assert "timestamp is unreadable (9)" in str(caught.value)
    [part] = store.rejected("night-1").glob("*.parquet")
    assert pq.ParquetFile(part).read()["raw"].to_pylist() == lines
    assert not store.batches()


IDS = [
    "Smith, J",
    "two  words",
    "日本",
    "e\u0301",
    "é",
    "007",
    "7",
    "4" * 40,
    "4" * 39 + "5",
    "-",
    "a;b|c\td",
    "nullable",
    "0x1F",
]


def test_ids_stay_what_they_are(store: Store) -> None:
    frame = pd.DataFrame({"userId": IDS, "movieId": IDS[::-1], "rating": [1, 5] * 6 + [3]})
    frame.to_csv(settle_later := store.landing / "a.csv", index=False, quoting=1)
    settle(settle_later)
    ingest(store)
    assert [row[:2] for row in taken(store)] == list(zip(IDS, IDS[::-1], strict=True))
