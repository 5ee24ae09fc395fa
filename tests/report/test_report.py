"""The report as a person opens it: one file, and no data can turn against its reader."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from cofi_jobs.core.errors import DataError, QualityError
from cofi_jobs.report import plots
from cofi_jobs.report.drawing import short
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
        if tag not in ("meta", "path", "use", "br"):
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
        if not data.strip() or "style" in self.inside:
            return
        self.texts.append(data.strip())
        if "figcaption" in self.inside:
            self.figures[-1]["caption"] += data
        elif "svg" in self.inside:
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
def test_the_page_is_self_contained_and_has_no_scripts(nights: Store, key: str):
    page = page_of(nights, key)
    for tag, attributes in page.tags:
        assert tag not in (
            "script",
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
    assert not re.search(r"https?:|url\((?!#)|@import|javascript:", page.html)
    assert "prefers-color-scheme: dark" in page.html
    assert '<meta name="viewport" content="width=device-width' in page.html
    assert "script-src" not in page.html
    assert "default-src 'none'" in page.html


def test_what_the_data_says_is_text_as_it_stands_there(nights: Store):
    page = page_of(nights, "night-1")
    shown = " ".join(HOSTILE.replace("\x1b", " ").split())
    drawn = [text for figure in page.figures for text in figure["texts"]]
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
    assert "<script" not in page.html.lower()


def test_every_plot_has_a_title_and_both_axes_say_what_they_are(
    nights: Store, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[str, str, str]] = []
    real = plots.draw_plot

    def spy(title: str, draw: Any, xlabel: str, ylabel: str, *rest: Any) -> Any:
        seen.append((title, xlabel, ylabel))
        return real(title, draw, xlabel, ylabel, *rest)

    monkeypatch.setattr(plots, "draw_plot", spy)
    run_task("report", nights, load_settings([*QUICK, *STRICT]), "night-3")
    page = page_of(nights, "night-3")
    assert len(page.figures) == len(seen) > 12
    for figure, (title, xlabel, ylabel) in zip(page.figures, seen, strict=True):
        assert figure["caption"] == title
        assert len(title.split()) >= 4
        for label in (xlabel, ylabel):
            assert label in figure["texts"], f"{title} lacks its axis {label}"
    units = re.compile(r"\(.*\)|rows|users|model|item|reason|night|rating|measure|step|share")
    assert all(units.search(label) for _, *labels in seen for label in labels)


def test_plots_can_be_read_on_a_phone(nights: Store):
    """Letters of at least 10 pixels where a page 390 pixels wide leaves 358 for a plot."""
    plots_found = re.findall(
        r'<svg viewBox="0 0 ([\d.]+) .*?</svg>', page_of(nights, "night-2").html, re.DOTALL
    )
    sizes = re.findall(
        r'<text[^>]*style="[^"]*?font(?:-size)?: ([\d.]+)px', page_of(nights, "night-2").html
    )
    assert len(sizes) > 200
    assert min(map(float, sizes)) * 358 / max(map(float, plots_found)) >= 10


def test_ids_are_unique_and_each_reference_has_its_target(nights: Store):
    html = page_of(nights, "night-2").html
    ids = re.findall(r'<[^>]* id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    references = re.findall(r'(?:href="#|url\(#)([^")]+)', html)
    assert set(references) <= set(ids)


def test_numbers_are_those_of_the_evaluation(nights: Store):
    page, found = page_of(nights, "night-2"), evaluation_of(nights, "night-2")
    assert found is not None
    metrics = found["metrics"]
    for model, name in (
        ("rating", "CoFi"),
        ("damped_means", "damped means"),
        ("global_mean", "global mean"),
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
    activity = page.figure("NDCG@10 by how much users have rated")["texts"]
    for group in metrics["by_activity"]:
        assert f"{group['ratings']}: {group['from']} to {group['to']}" in activity
        assert f"{group['users']} users" in activity
        for model in ("ranking", "popularity", "item_knn"):
            assert f"{group[model]['ndcg@10']:.3f}" in activity
    # Coverage, counted here from the lists themselves.
    lists = pd.read_parquet(nights.table("night-2", "recommendations"))
    n_items = len(pq.read_table(nights.table("night-2", "normalized") / "items.parquet"))
    n_shown = lists["item_id"].nunique()
    assert any(text.startswith(f"{n_shown} of {n_items} items") for text in page.texts)
    share = 100 * lists["item_id"].value_counts().iloc[0] / lists["user_id"].nunique()
    assert f"{share:.1f}" in page.figure("The items in most users' lists")["texts"]


def test_the_last_runs_stand_beside_each_other(nights: Store):
    page = page_of(nights, "night-3")
    for measure in ("RMSE", "NDCG@10"):
        texts = page.figure(f"Test {measure} of the last runs")["texts"]
        assert [text for text in texts if text.startswith("night-")][::-1] == [
            "night-1",
            "night-2",
            "night-3 ✗",
        ]
    assert "night-2" not in page_of(nights, "night-1").html, "a run knows nothing of later ones"


def test_a_refused_run_says_why_and_is_not_published(nights: Store):
    page = page_of(nights, "night-3")
    assert "The gate refused this run: readers stay on the lists they have" in page.texts
    assert any(
        re.match(r"catalogue coverage@1 is 0\.\d+, expected at least 1 ", text)
        for text in page.texts
    )
    assert "REFUSED" in page.texts
    assert nights.published() == ["night-1", "night-2"]


def test_users_items_settings_and_refusals_are_there(nights: Store):
    page = page_of(nights, "night-1")
    users = [re.match(r"User (\d+), (\d+) rating", text) for text in page.texts]
    found = [(int(match[1]), int(match[2])) for match in users if match]
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
    assert len([text for text in page.texts if text.startswith("similar items (similarity)")]) == 10
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
    assert page_of(store, "n").figures
    (store.landing / "ratings.csv").unlink()
    run_night(store, load_settings(QUICK), "n2", report=True)  # a night without a file
    assert "0 rows read, 0 taken, 0 rejected." in page_of(store, "n2").html


def test_a_run_that_fails_in_training_has_a_report_as_far_as_it_came(store: Store):
    write_ratings(store.landing / "ratings.csv", random_ratings())
    reason = "found no rating older than the 1 days that test_days holds out"
    with pytest.raises(DataError, match=reason):
        run_all(store, load_settings([*QUICK, "test_days=1"]), "n")
    page = page_of(store, "n")
    assert "Failed in train: readers stay on the lists they have" in page.texts
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

    monkeypatch.setattr(plots, "scatter", broken)
    outcome = run_task("report", nights, load_settings(QUICK), "night-1")
    html = Path(outcome["path"]).read_text()
    assert outcome["broken_sections"] == 1
    assert "This part could not be made: ValueError(&#39;&lt;u&gt;no&#39;)" in html
    assert "map_section" in caplog.text
    monkeypatch.undo()
    run_task("report", nights, load_settings(QUICK), "night-1")
