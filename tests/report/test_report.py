"""The report as a person opens it: one file, and no data can turn against its reader."""

import base64
import hashlib
import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from cofi_jobs.core.errors import DataError, QualityError
from cofi_jobs.report import item_map, plots
from cofi_jobs.report.changes import changes
from cofi_jobs.report.drawing import Plot, short
from cofi_jobs.report.overview import overview
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.status import evaluation_of
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS
from cofi_jobs.tasks.runner import run_all, run_task
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.nights import run_night

HOSTILE = '<script>alert(1)</script> $x$ & "\' id="a" ${7*7}{{7*7}}\x1b]]>'
STRICT = [
    "recall_at=1",
    "min_coverage=1",
    "force_publish=false",
]  # no night has all items in first places


class Page(HTMLParser):
    """A report's tags, its text by the tag that it is in, and the texts of each figure."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.figures: list[dict[str, Any]] = []
        self.inside: list[str] = []
        self.html = path.read_text(encoding="utf-8")
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "input"):
            self.inside.append(tag)
        if tag == "figure":
            self.figures.append({"caption": "", "texts": [], "ids": []})
        if "figure" in self.inside and (name := dict(attrs).get("id")):
            self.figures[-1]["ids"].append(name)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not data.strip() or {"style", "script"} & {*self.inside}:
            return
        self.texts.append(data.strip())
        if "figcaption" in self.inside:
            self.figures[-1]["caption"] += data
        elif "figure" in self.inside:
            self.figures[-1]["texts"].append(data.strip())

    def figure(self, caption: str) -> dict[str, Any]:
        """The one figure whose caption starts so."""
        [found] = [figure for figure in self.figures if figure["caption"].startswith(caption)]
        return found


def page_of(store: Store, run_key: str) -> Page:
    assert store.required_outcome(run_key, "report")["broken_sections"] == 0
    return Page(store.table(run_key, "report") / "report.html")


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two good nights and one that the gate refused; hostile titles, groups and refused rows."""
    store = Store(tmp_path_factory.mktemp("report") / "store").create()
    items = [
        {
            "movieId": item,
            "title": f"Film {item} {HOSTILE}" if item % 2 else f"Film {item}",
            "genres": f"{HOSTILE}|Drama" if item % 3 else "Drama",
        }
        for item in range(100, 240, 7)
    ]
    pd.DataFrame(items).to_csv(store.catalogue / "movies.csv", index=False)
    ratings = random_ratings()
    ratings["rating"] = ratings["rating"].astype(object)
    ratings.loc[len(ratings)] = {**ratings.iloc[0].to_dict(), "rating": HOSTILE.replace('"', "")}
    write_ratings(store.landing / "<b>ratings.csv", ratings)
    settings = load_settings(QUICK)
    run_night(store, settings, "night-1", report=True)
    write_ratings(store.landing / "2.csv", random_ratings(seed=1))
    run_night(store, settings, "night-2", report=True)
    with pytest.raises(QualityError):
        run_all(store, load_settings([*QUICK, *STRICT]), "night-3")
    return store


@pytest.mark.parametrize("key", ["night-1", "night-2", "night-3"])
def test_the_page_is_self_contained_and_has_no_script_but_its_own(nights: Store, key: str):
    page = page_of(nights, key)
    for tag, attributes in page.tags:
        assert tag not in (
            "link",
            "img",
            "iframe",
            "object",
            "embed",
            "base",
            "form",
            "image",
            "b>ratings.csv",
        )
        for name, value in attributes.items():
            assert not name.startswith("on"), f"{tag} has {name}"
            if name in ("src", "href", "xlink:href", "action"):
                assert value is not None
                assert value.startswith("#"), f"{tag} leads to {value}"
    assert not re.search(r"https?:|url\(|@import|javascript:|innerHTML|eval\(", page.html)
    assert "prefers-color-scheme: dark" in page.html
    assert '<meta name="viewport" content="width=device-width' in page.html
    [(attributes, script)] = re.findall(r"<script([^>]*)>(.*?)</script>", page.html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page.html)
    assert attributes == ""
    assert html.unescape(policy) == (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )


def test_what_the_data_says_is_text_as_it_stands_there(nights: Store):
    page = page_of(nights, "night-1")
    shown = " ".join(HOSTILE.replace("\x1b", " ").split())
    drawn = page.figure("The 20 most popular items")["texts"]
    assert any(text.startswith("<script>alert(1)</script>") for text in drawn), (
        "a genre, in the legend of the map"
    )
    assert any(text.startswith("Film 107 <") for text in drawn)
    assert any(
        "Film 107 <script>" in text and '$x$ & "' in text and "{{7*7}}" in text
        for text in page.texts
    )
    assert any(short(f"x{shown}", 20)[1:10] in text for text in page.texts)
    assert "<b>ratings.csv" in page.texts
    assert "49" not in "".join(text for text in page.texts if "Film 107" in text)
    assert page.html.lower().count("<script") == 1


def test_every_plot_has_a_title_and_both_axes_say_what_they_are(
    nights: Store, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[str, str, str]] = []
    real = plots.make_plot

    def spy(title: str, template: str, xlabel: str, ylabel: str, note: str, **values: Any) -> Plot:
        seen.append((title, xlabel, ylabel))
        return real(title, template, xlabel, ylabel, note, **values)

    monkeypatch.setattr(plots, "make_plot", spy)
    monkeypatch.setattr(item_map, "make_plot", spy)
    run_task("report", nights, load_settings([*QUICK, *STRICT]), "night-3")
    page = page_of(nights, "night-3")
    assert len(page.figures) == len(seen) > 10
    for figure, (title, xlabel, ylabel) in zip(page.figures, seen, strict=True):
        assert figure["caption"] == title
        assert len(title.split()) >= 4
        for label in (xlabel, ylabel):
            assert label in figure["texts"], f"{title} lacks its axis {label}"
    units = re.compile(r"\(.*\)|rows|users|model|item|reason|night|rating|measure|step|share")
    assert all(units.search(label) for _, *labels in seen for label in labels)


def test_texts_of_plots_are_html_of_at_least_11_pixels(nights: Store):
    """So a plot can be read on a phone: its texts do not shrink with it."""
    shown = page_of(nights, "night-2").html
    assert "<text" not in shown
    sizes = re.findall(r"font-size: ([\d.]+)rem", shown)
    assert len(sizes) > 10
    assert min(map(float, sizes)) * 16 >= 11
    assert not re.search(r"font-size: [\d.]+(px|em|%)", shown)


def test_ids_are_unique_and_each_reference_has_its_target(nights: Store):
    shown = page_of(nights, "night-2").html
    ids = re.findall(r'<[^>]* id="([^"]+)"', shown)
    assert len(ids) == len(set(ids))
    references = re.findall(r'(?:href="#|data-search=")([^"]+)', shown)
    assert set(references) <= set(ids)


def test_numbers_are_those_of_the_evaluation(nights: Store):
    page, found = page_of(nights, "night-2"), evaluation_of(nights, "night-2")
    assert found is not None
    metrics = found["metrics"]
    for model, name in (
        ("rating", "CoFi"),
        ("damped_means", "damped means"),
    ):
        texts = page.figure("Test RMSE by model")["texts"]
        assert f"{metrics[model]['rmse']:.4f}" in texts, name
        assert name in texts
    for model in ("ranking", "popularity", "item_knn"):
        assert f"{metrics[model]['ndcg@10']:.4f}" in page.figure("Test NDCG@10 by model")["texts"]
        assert (
            f"{metrics[model]['recall@20']:.4f}" in page.figure("Test recall@20 by model")["texts"]
        )
        similar = page.figure("Similar items: how often they have what a user likes next")["texts"]
        assert f"{metrics[model]['similar_hit_rate@20']:.4f}" in similar
        shares = page.figure("Similar items with a group in common")["texts"]
        assert f"{metrics['same_group'][model]:.4f}" in shares
    assert f"{metrics['same_group']['chance']:.4f}" in shares
    [published] = [
        c for c in found["comparisons"] if (c["measure"], c["against"]) == ("rmse", "published")
    ]
    assert f"{published['other']:.4f}" in page.figure("Test RMSE by model")["texts"]
    # Coverage, counted here from the lists themselves.
    lists = pd.read_parquet(nights.table("night-2", "recommendations"))
    n_items = len(pq.read_table(nights.table("night-2", "normalized") / "items.parquet"))
    n_shown = lists["item_id"].nunique()
    assert any(text.startswith(f"{n_shown} of {n_items} items") for text in page.texts)
    share = 100 * lists["item_id"].value_counts().iloc[0] / lists["user_id"].nunique()
    assert f"{share:.1f}" in page.figure("The items in most users' lists")["texts"]


def test_the_last_runs_stand_beside_each_other(nights: Store):
    page = page_of(nights, "night-3")
    table = page.texts[page.texts.index("Run by run") :]
    assert [text for text in table[:40] if text.startswith("night-")] == [
        *("night-3", "night-2", "night-1")
    ]
    assert any(text.startswith("refused: catalogue coverage@1 is 0.") for text in table[:20])
    for key in ("night-1", "night-2"):
        evaluation = evaluation_of(nights, key)
        assert evaluation is not None
        row = table[table.index(key) :]
        assert f"{evaluation['metrics']['rating']['rmse']:.4f}" == row[4]
        assert row[6] == "published"
    assert "night-2" not in page_of(nights, "night-1").html, "a run knows nothing of later ones"
    drawn = [figure for figure in page.figures if "of the last runs" in figure["caption"]]
    assert drawn == [], "three points make no plot"


def test_what_changed_is_what_pandas_counts(nights: Store):
    seen = changes(nights, load_settings(QUICK), "night-2", "night-1")
    assert seen is not None
    now, before = (
        pd.read_parquet(nights.table(key, "recommendations")) for key in ("night-2", "night-1")
    )
    known = now[now["user_id"].isin(before["user_id"])]
    kept = known.merge(before, on=["user_id", "item_id"])
    assert seen.new_places == pytest.approx(1 - len(kept) / len(known))
    shares = (now["item_id"].value_counts() / now["user_id"].nunique()).sub(
        before["item_id"].value_counts() / before["user_id"].nunique(), fill_value=0
    )
    assert seen.rose[0].now - seen.rose[0].before == pytest.approx(shares.max())
    assert seen.fell[0].now - seen.fell[0].before == pytest.approx(shares.min())
    assert (seen.new_users, seen.new_items) == (0, 0)
    page = page_of(nights, "night-2")
    assert f"{seen.new_places:.0%} of the places in the lists since night-1" in " ".join(page.texts)
    assert changes(nights, load_settings(QUICK), "night-2", "night-0") is None


def test_a_refused_run_says_why_and_is_not_published(nights: Store):
    page = page_of(nights, "night-3")
    assert "The gate refused this run: readers stay on the lists of night-2" in page.texts
    assert any(
        re.match(r"catalogue coverage@1 is 0\.\d+, expected at least 1 ", text)
        for text in page.texts
    )
    assert any(text.startswith("REFUSED: ") for text in page.texts)
    assert any("lower min_coverage if few items are right" in text for text in page.texts)
    assert nights.published() == ["night-1", "night-2"]


def test_settings_that_differ_come_first(nights: Store):
    texts = page_of(nights, "night-3").texts
    first = texts[texts.index("Settings that differ from their defaults or from night-2") :]
    folded = next(n for n, text in enumerate(first) if text.startswith("All of "))
    shown = first[:folded]
    for name, value, before, default in (
        ("min_coverage", "1.0", "0.001", "0.001"),
        ("n_factors", "4", "4", "64"),
    ):
        assert shown[shown.index(name) + 1 :][:3] == [value, before, default]
    assert "max_input" not in shown


def test_users_items_settings_and_refusals_are_there(nights: Store):
    page = page_of(nights, "night-1")
    users = [re.match(r"User (\d+), (\d+) rating", text) for text in page.texts]
    found = [(int(match[1]), int(match[2])) for match in users if match]
    cards = [attributes for tag, attributes in page.tags if tag == "article"]
    hidden = {attributes["data-id"] for attributes in cards if "hidden" in attributes}
    assert len(found) == 30, "all users of so small a store can be looked up"
    found = [(user, n) for user, n in found if str(user) not in hidden]
    given = random_ratings()["userId"].value_counts()
    assert len(found) == len(set(found)) == 10
    assert all(given[user] == n for user, n in found)
    assert [n for _, n in found] == sorted(n for _, n in found)
    assert (found[0][1], found[-1][1]) == (given.min(), given.max())
    lists = pd.read_parquet(nights.table("night-1", "recommendations")).set_index("user_id")
    best = lists.loc[found[0][0]].iloc[0]
    start = page.texts.index(f"User {found[0][0]}, {found[0][1]} ratings")
    own = page.texts[start : start + 60]
    assert any(text.startswith(f"Film {int(best['item_id'])}") for text in own)
    assert f"{best['predicted_rating']:.1f}" in own
    assert len([text for text in page.texts if text.startswith("similar items (similarity)")]) == 20
    for name, value in (("n_factors", "4"), ("top_n", "5"), ("damping", "5.0")):
        assert page.texts[page.texts.index(name) + 1] == value
    assert "rating is not a number" in page.figure("Why rows of this run were rejected")["texts"]
    assert f"{len(random_ratings())} rows read"[:3] in "".join(page.texts)
    assert any("1 rejected" in text for text in page.texts)


@pytest.mark.slow
def test_the_same_run_makes_the_same_page(nights: Store):
    path = nights.table("night-2", "report") / "report.html"
    before = path.read_bytes()
    run_task("report", nights, load_settings(QUICK), "night-2")  # also when the run is published
    assert path.read_bytes() == before


def test_the_manifest_lists_no_report(nights: Store):
    manifest = nights.manifest("night-2") or {}
    assert not [file for file in manifest["files"] if "report" in file["path"]]


def test_overview_says_how_each_run_ended(nights: Store):
    lines = overview(nights, list(TASKS))
    assert [line.key for line in lines] == ["night-3", "night-2", "night-1"]
    assert [line.state.removesuffix(" (forced)") for line in lines] == [
        "refused",
        "current",
        "published",
    ]
    assert "expected at least 1 (setting min_coverage)" in lines[0].reason
    assert (lines[2].taken, lines[2].rejected) == (len(random_ratings()), 1)
    found = evaluation_of(nights, "night-2")
    assert found is not None
    assert lines[1].rmse == found["metrics"]["rating"]["rmse"]
    assert all(line.has_report for line in lines)


def test_without_catalogue_with_string_ids_another_scale_and_a_file_a_user(store: Store):
    ratings = random_ratings()
    ratings["userId"] = ratings["userId"].map(lambda user: f"ü{user}/<i>")
    ratings["movieId"] = ratings["movieId"].map(lambda item: f"i'{item}&")
    ratings["rating"] = ratings["rating"] * 5 - 15
    write_ratings(store.landing / "ratings.csv", ratings)
    run_night(
        store,
        load_settings([*QUICK, "recommendation_files=per-user", "similarity=distance"]),
        "n",
        report=True,
    )
    page = page_of(store, "n")
    assert any(re.match(r"item i'\d+&", text) for text in page.texts)
    assert any(re.match(r"User ü\d+/<i>, \d+ ratings", text) for text in page.texts)
    assert "rating (-10 to 10)" in page.figure("Ratings as users gave them")["texts"]
    assert "similar items (distance)" in page.texts
    assert "coloured" not in page.html


@pytest.mark.slow
@pytest.mark.parametrize("rows", [2, 5])
def test_hardly_any_ratings(store: Store, rows: int):
    """Nothing to hold out, one item, users who have rated everything."""
    few = pd.DataFrame(
        {
            "userId": range(rows),
            "movieId": [1, 2] * (rows // 2) + [1] * (rows % 2),
            "rating": [1, 5] * (rows // 2) + [3] * (rows % 2),
        }
    )
    write_ratings(store.landing / "ratings.csv", few)
    run_night(store, load_settings(QUICK), "n", report=True)
    figures = page_of(store, "n").figures
    assert figures
    assert not [f["caption"] for f in figures if not f["caption"].startswith("Cost of the")]
    (store.landing / "ratings.csv").unlink()
    run_night(store, load_settings(QUICK), "n2", report=True)  # a night without a file
    assert "0 rows read, 0 taken, 0 rejected." in page_of(store, "n2").html


def test_a_run_that_fails_in_training_has_a_report_as_far_as_it_came(store: Store):
    write_ratings(store.landing / "ratings.csv", random_ratings())
    reason = "found no rating older than the 1 days that test_days holds out"
    with pytest.raises(DataError, match=reason):
        run_all(store, load_settings([*QUICK, "test_days=1"]), "n")
    page = page_of(store, "n")
    assert "Failed in train: readers have no lists yet" in page.texts
    assert any(text.startswith(reason) for text in page.texts)
    assert page.figure("Ratings as users gave them")
    assert overview(store, list(TASKS))[0].state == "failed in train"

    bad = store.landing / "bad.csv"
    bad.write_text("shop,price\n1,2\n")
    with pytest.raises(DataError, match=r"bad\.csv"):
        run_all(store, load_settings(QUICK), "n2")
    assert not store.table("n2", "report").exists(), "nothing to report but the error"


@pytest.mark.slow
def test_a_section_that_cannot_be_made_stops_neither_report_nor_run(
    nights: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("<u>no")

    monkeypatch.setattr(item_map, "labels", broken)
    outcome = run_task("report", nights, load_settings(QUICK), "night-1")
    shown = Path(outcome["path"]).read_text()
    assert outcome["broken_sections"] == 1
    assert "This part could not be made: ValueError(&#39;&lt;u&gt;no&#39;)" in shown
    assert "map_section" in caplog.text
    monkeypatch.undo()
    run_task("report", nights, load_settings(QUICK), "night-1")
