"""Report: one self-contained page about a run, for people: what came in, how good the model is, what it recommends.

It is made for every run that has normalized ratings, as far as the run came: most of all one that the gate refused.
The page is not part of what is published: it can be made again at any time, from the run's tables and outcomes.
"""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from markupsafe import Markup

from cofi_jobs import plots, sql
from cofi_jobs.examples import Card, item_cards, user_cards
from cofi_jobs.model import Factors, from_column, predict, to_unit_length
from cofi_jobs.overview import evaluation_of, measure_names, render_page
from cofi_jobs.plots import Dot, Plot
from cofi_jobs.read import Run
from cofi_jobs.settings import Settings
from cofi_jobs.settings import section as task_of
from cofi_jobs.store import Store, run_time

log = logging.getLogger(__name__)

NIGHTS = 14
MAPPED_ITEMS, MAPPED_GROUPS, MAPPED_TITLES = 1500, 8, 12
FEW_RATINGS = 20  # users with up to so many known ratings are shown number by number
SAMPLE = 100_000  # pairs of which stars are predicted
NAMES = {
    "rating": "CoFi",
    "ranking": "CoFi",
    "damped_means": "damped means",
    "item_means": "item means",
    "global_mean": "global mean",
    "item_knn": "item-kNN",
    "published": "published before",
    "popularity": "popularity",
}


@dataclass(frozen=True)
class Night:
    """A run as far as it came."""

    store: Store
    settings: Settings
    key: str
    outcomes: dict[str, dict[str, Any]]  # of the tasks that have ended well
    evaluation: dict[str, Any] | None  # metrics, comparisons and gate, also of a run that was refused
    titles: list[str]  # of the items, in the order of their row numbers

    @functools.cached_property
    def run(self) -> Run:
        """The run's tables, whether it is published or not."""
        root = self.store.table(self.key, "")
        paths = (path for table in ("recommendations", "similar_items") for path in (root / table).rglob("*.parquet"))
        files = [{"path": str(path.relative_to(root))} for path in sorted(paths)]
        return Run(self.store, self.key, {"id_types": self.outcomes["ingest"]["id_types"], "files": files})

    @property
    def scale(self) -> tuple[float, float]:
        """Lowest and highest rating."""
        low, high = self.outcomes["ingest"]["scale"]
        return low, high

    def file(self, table: str, name: str) -> Path:
        """A file of a table of the run."""
        return self.store.table(self.key, table) / name


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers with a title."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass
class Section:
    """A part of the page."""

    name: str
    title: str
    notes: list[str] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)


def night_label(run_key: str) -> str:
    """A run key as the label of an axis: day and time, or a name of one's own."""
    time = run_time(run_key)
    return time.strftime("%b %d\n%H:%M") if time else plots.short(run_key, 10)


# ---- the sections, each from a night


def input_section(night: Night) -> Section:
    """What came in and what was refused."""
    took = night.outcomes["ingest"]
    keys = night.store.batches(night.key)[-NIGHTS:]
    batches = [night.store.required_outcome(key, "ingest") for key in keys]
    section = Section("input", "What came in and what was refused")
    section.notes.append(
        f"{took['rows_read']:,} rows read, {took['rows_taken']:,} taken, {took['rows_refused']:,} refused. The model "
        f"learns from {night.outcomes['normalize']['n_ratings']:,} current ratings."
    )
    section.plots.append(
        plots.nights(
            "New ratings taken and refused, night by night",
            [night_label(key) for key in keys],
            {"taken": [b["rows_taken"] for b in batches], "refused": [b["rows_refused"] for b in batches]},
            "rows (logarithmic)",
            "A night without a point had none.",
            log=True,
        )
    )
    if took["reasons"]:
        reasons = sorted(took["reasons"].items(), key=lambda pair: -pair[1])[:12]
        section.plots.append(
            plots.bars(
                "Why rows were refused tonight",
                [reason for reason, _ in reasons],
                [n for _, n in reasons],
                "rows refused",
                "reason",
            )
        )
    if took["files"]:
        files = sorted(took["files"], key=lambda file: -file["rows_read"])
        rest = f", the largest 12 of {len(files)}" if len(files) > 12 else ""
        section.tables.append(
            Table(
                f"Files of this run{rest}",
                ("file", "rows read", "taken", "refused"),
                [
                    (f["name"], *(f"{f[key]:,}" for key in ("rows_read", "rows_taken", "rows_refused")))
                    for f in files[:12]
                ],
            )
        )
    if took["rows_refused"]:
        with sql.connect(night.settings, night.store.rejected(night.key).parent) as connection:
            parts = _parquet_below(night.store.rejected(night.key))
            rows = connection.execute(
                f"SELECT file, row, reason, raw FROM read_parquet({parts}) ORDER BY file, row LIMIT 8"
            ).fetchall()
        section.tables.append(
            Table(
                f"The first of {took['rows_refused']:,} refused rows",
                ("file", "row", "reason", "as it was"),
                [tuple(plots.short(str(cell), 80) for cell in row) for row in rows],
            )
        )
    return section


def training_section(night: Night) -> Section:
    """Loss curves of both heads."""
    section = Section("training", "Training")
    losses = pq.read_table(night.file("training", "losses.parquet"))
    for head, task in (("rating", "predicts stars"), ("ranking", "orders items")):
        own = losses.filter(pc.equal(losses["head"], head))
        curves = {}
        for fit in pc.unique(own["fit"]).to_pylist():
            rows = own.filter(pc.equal(own["fit"], fit))
            name = {"held-out": "trial, without the held-out ratings", "final": "final, on all ratings"}.get(fit, fit)
            curves[name] = (rows["epoch"].to_numpy(), rows["J"].to_numpy())
        section.plots.append(
            plots.lines(
                f"Cost of the {head} head, which {task}: it should fall, then flatten",
                curves,
                "epoch (passes over the ratings)",
                "cost J (no unit)",
                "J is summed over the ratings: the final fit has more of them, and goes on from the trial's factors.",
            )
        )
    return section


def quality_section(night: Night) -> Section:
    """Metrics against baselines and over the last nights, and the gate."""
    assert night.evaluation is not None
    metrics, comparisons = night.evaluation["metrics"], night.evaluation["comparisons"]
    of, names = metrics["intervals"], measure_names(metrics)
    section = Section("quality", "How good it is on ratings that it had not seen")
    section.notes.append(
        f"{metrics['held_out_ratings']:,} ratings were held out. Bars around a value are 95 % bootstrap intervals over "
        "users. Beside it stand baselines, and the model that was published before, on the users whom both know."
    )
    for head, measure, title, unit in (
        ("rating", "rmse", "Held-out RMSE by model: lower is better", "RMSE (units of the rating)"),
        (
            "ranking",
            names["ndcg"],
            f"Held-out {names['ndcg'].upper()} by model: higher is better",
            f"{names['ndcg'].upper()} (0 to 1, mean over users)",
        ),
        (
            "ranking",
            names["recall"],
            f"Held-out {names['recall']} by model: higher is better",
            f"{names['recall']} (share of liked ratings found)",
        ),
    ):
        rows = [(NAMES[head], metrics[head][measure], *of[head][measure])]
        others = [c for c in comparisons if (c["head"], c["measure"]) == (head, measure)]
        rows += [(NAMES[c["against"]], c["other"], None, None) for c in others if c["against"] != "published"]
        for c in others:
            if c["against"] == "published":  # measured on the users whom both know
                on = f"on {metrics['published']['users']:,} users"
                rows += [(f"published before, {on}", c["other"], None, None), (f"CoFi, {on}", c["own"], None, None)]
        found = [Dot(*row) for row in rows if row[1] is not None]
        if found:
            section.plots.append(plots.dots(title, found, unit, "model"))
    better = [dot for c in comparisons if c["measure"] != "novelty" and (dot := _improvement(c, names))]
    if better:
        section.plots.append(
            plots.dots(
                "Improvement over each baseline: right of 0 is better",
                better,
                "improvement (% of the baseline)",
                "measure and baseline",
                "Grey where the interval includes 0.",
                zero=True,
            )
        )
    section.plots += _history(night)
    gate = night.evaluation["gate"]
    if gate["checks"]:
        section.tables.append(
            Table(
                "The gate's checks",
                ("", "measure", "value", "bound"),
                [
                    ("passed" if c["passed"] else "REFUSED", c["name"], f"{c['value']:.4g}", f"{c['bound']:.4g}")
                    for c in gate["checks"]
                ],
            )
        )
    return section


def _improvement(c: Mapping[str, Any], names: Mapping[str, str]) -> Dot | None:
    """A comparison's difference and interval in percent of the baseline, turned so that positive is better."""
    shown = {("rating", "rmse", "damped_means"), ("rating", "rmse", "published")} | {
        ("ranking", names[measure], against)
        for measure, baselines in (
            ("ndcg", ("popularity", "item_knn", "published")),
            ("recall", ("popularity", "item_knn")),
        )
        for against in baselines
    }
    key = (c["head"], c["measure"], c["against"])
    if key not in shown or c["low"] is None or not c["other"]:
        return None
    turn = (-1 if c["better"] == "lower" else 1) * 100 / c["other"]
    low, high = sorted((c["low"] * turn, c["high"] * turn))
    label = f"{_upper(c['measure'])} against {NAMES[c['against']]}"
    return Dot(label, c["difference"] * turn, low, high)


def _upper(measure: str) -> str:
    return measure.upper() if measure.startswith(("rmse", "ndcg")) else measure


def _history(night: Night) -> list[Plot]:
    """RMSE and NDCG of the last nights, beside the baselines that the gate looks at."""
    keys = [key for key in night.store.run_keys() if key <= night.key]
    found = {key: evaluation for key in keys if (evaluation := evaluation_of(night.store, key))}
    found = dict(list(found.items())[-NIGHTS:])
    labels = [night_label(key) + (" ✗" if _refused(e) else "") for key, e in found.items()]
    note = "✗: the gate refused that night." if any(_refused(e) for e in found.values()) else ""
    result = []
    for head, baseline, short_name, unit in (
        ("rating", "damped_means", "rmse", "units of the rating"),
        ("ranking", "popularity", "ndcg", "0 to 1"),
    ):
        measures = [measure_names(e["metrics"]).get(short_name, short_name) for e in found.values()]
        pairs = list(zip(found.values(), measures, strict=True))
        name = measures[-1].upper()
        result.append(
            plots.nights(
                f"Held-out {name} of the last nights",
                labels,
                {
                    NAMES[head]: [e["metrics"][head][m] for e, m in pairs],
                    NAMES[baseline]: [e["metrics"][baseline][m] for e, m in pairs],
                },
                f"{name} ({unit})",
                note,
                {NAMES[head]: [e["metrics"]["intervals"][head][m] for e, m in pairs]},
            )
        )
    return result


def _refused(evaluation: Mapping[str, Any]) -> bool:
    return not evaluation["gate"]["passed"] and not evaluation["gate"]["forced"]


def activity_section(night: Night) -> Section:
    """How good the lists are for users with few and with many ratings."""
    assert night.evaluation is not None
    metrics = night.evaluation["metrics"]
    ndcg = measure_names(metrics)["ndcg"]
    users = pq.read_table(
        night.file("evaluation", "users.parquet"),
        columns=["n_known", "n_held_out", *(f"{model}_ndcg" for model in RANKINGS)],
    )
    known, measured = users["n_known"].to_numpy(), users["n_held_out"].to_numpy() > 0
    section = Section("activity", "Users with few and with many ratings")
    section.notes.append(
        "Users in three groups of about the same size, by how many of their ratings the trial model knew. A user with "
        "few ratings should get a list no worse than the popular items."
    )
    of = metrics["by_activity"]
    labels = [f"{g['ratings']}: {g['from']:,} to {g['to']:,}\nratings, {g['users']:,} users" for g in of]

    def dot(model: str, group: Mapping[str, Any]) -> Dot | None:
        if group[model][ndcg] is None:
            return None
        own = measured & (known >= group["from"]) & (known <= group["to"])
        margin = _margin(users[f"{model}_ndcg"].to_numpy()[own])
        value = group[model][ndcg]
        return Dot(group["ratings"], value, None if margin is None else value - margin, value + (margin or 0))

    series = {NAMES[model]: [dot(model, group) for group in of] for model in RANKINGS}
    if any(any(found) for found in series.values()):
        section.plots.append(
            plots.groups(
                f"{ndcg.upper()} by how much users have rated, against popularity and item-kNN",
                labels,
                series,
                "users by number of known ratings",
                f"{ndcg.upper()} (0 to 1)",
                "Bars: 95 % intervals of the mean over users.",
            )
        )
    section.plots += _few_ratings(users, known, ndcg)
    return section


RANKINGS = ("ranking", "popularity", "item_knn")


def _margin(values: np.ndarray) -> float | None:
    """Half the 95 % interval of a mean, 1.96 standard errors; None of fewer than two values."""
    values = values[np.isfinite(values)]
    return float(1.96 * values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def _few_ratings(users: pa.Table, known: np.ndarray, ndcg: str) -> list[Plot]:
    """NDCG and number of users by the exact number of known ratings, where there are users with so few."""
    few = (known >= 1) & (known <= FEW_RATINGS) & np.isfinite(users["ranking_ndcg"].to_numpy())
    if not few.any():
        return []
    counts = np.bincount(known[few], minlength=FEW_RATINGS + 1)
    x = np.flatnonzero(counts)
    curves = {}
    for model in RANKINGS:
        values = users[f"{model}_ndcg"].to_numpy()
        curves[NAMES[model]] = (x, np.bincount(known[few], np.nan_to_num(values[few]), FEW_RATINGS + 1)[x] / counts[x])
    return [
        plots.lines(
            f"{ndcg.upper()} of users with up to {FEW_RATINGS} known ratings, number by number",
            curves,
            "known ratings of a user",
            f"{ndcg.upper()} (0 to 1, mean over users)",
            "Compare with the number of users beside it: few users say little.",
        ),
        plots.columns(
            f"How many measured users have up to {FEW_RATINGS} known ratings",
            x.astype(float),
            1.0,
            {"users": counts[x]},
            "known ratings of a user",
            "users",
        ),
    ]


def distribution_section(night: Night) -> Section:
    """Ratings as given, and as predicted."""
    low, high = night.scale
    section = Section("ratings", "Ratings, given and predicted")
    with sql.connect(night.settings, night.store.table(night.key, "")) as connection:
        given = connection.execute(
            f"SELECT rating, count(*) AS n FROM {sql.file(night.file('normalized', 'ratings.parquet'))} GROUP BY rating"
        ).fetchnumpy()
        edges = bins(given["rating"], low, high)
        counts = {"given ratings": np.histogram(given["rating"], edges, weights=given["n"])[0]}
        if "train" in night.outcomes:
            counts["predicted, users and items at random"] = np.histogram(_predicted(night), edges)[0]
        if "recommend" in night.outcomes:
            step, last = edges[1] - edges[0], len(edges) - 2
            lists = _parquet_below(night.store.table(night.key, "recommendations"))
            places = connection.execute(
                f"SELECT least({last}, floor((predicted_rating - {edges[0]}) / {step}))::INTEGER AS place, "
                f"count(*) AS n FROM read_parquet({lists}) GROUP BY place"
            ).fetchnumpy()
            recommended = np.zeros(len(edges) - 1)
            recommended[places["place"]] = places["n"]
            counts["predicted, in users' lists"] = recommended
    shares = {name: 100 * n / max(n.sum(), 1) for name, n in counts.items()}
    section.plots.append(
        plots.columns(
            "Ratings as users gave them, and as the model predicts them",
            (edges[1:] + edges[:-1]) / 2,
            edges[1] - edges[0],
            shares,
            f"rating ({low:g} to {high:g})",
            "share (%)",
            "What is recommended should lie to the right of what is predicted at random.",
        )
    )
    return section


def bins(ratings: np.ndarray, low: float, high: float) -> np.ndarray:
    """Edges of equal bins: around each given rating if these are few and evenly spaced, else 25 over the scale."""
    values = np.unique(ratings.astype(float))
    step = np.diff(values).min() if len(values) > 1 else high - low
    n = round((high - low) / step) if step > 0 else 0
    if 1 <= n <= 41 and np.allclose((values - low) / step, np.round((values - low) / step), atol=1e-3):
        return low + (np.arange(n + 2) - 0.5) * step
    return np.linspace(low, high, 26)


def _predicted(night: Night) -> np.ndarray:
    """Stars that the final model predicts for users and items drawn at random, clipped to the scale."""
    rng = np.random.default_rng(0)
    items = pq.read_table(night.file("model", "item_factors.parquet"), columns=["rating_factors", "mean"])
    file = pq.ParquetFile(night.file("model", "user_factors.parquet"))
    W, b = [], []
    for number in range(file.num_row_groups):  # a block of users at a time
        block = file.read_row_group(number, columns=["rating_factors", "bias"])
        row = rng.integers(len(block), size=-(-2000 // file.num_row_groups))
        W.append(from_column(block["rating_factors"])[row])
        b.append(block["bias"].to_numpy()[row])
    factors = Factors(from_column(items["rating_factors"]), np.concatenate(W), np.concatenate(b))
    user, item = rng.integers(len(factors.W), size=SAMPLE), rng.integers(len(items), size=SAMPLE)
    return np.clip(predict(factors, user, item) + items["mean"].to_numpy()[item], *night.scale)


def coverage_section(night: Night) -> Section:
    """How much of the catalogue is recommended, and how popular that is."""
    section = Section("coverage", "What is recommended: coverage and popularity")
    lists = _parquet_below(night.store.table(night.key, "recommendations"))
    items = sql.file(night.file("normalized", "items.parquet"))
    with sql.connect(night.settings, night.store.table(night.key, "")) as connection:
        found = connection.execute(
            f"SELECT n_ratings, coalesce(n, 0) AS shown FROM {items} LEFT JOIN "
            f"(SELECT item_id, count(*) AS n FROM read_parquet({lists}) GROUP BY item_id) USING (item_id) "
            "ORDER BY item_index"
        ).fetchnumpy()
    n_ratings, shown = (np.asarray(found[name], float) for name in ("n_ratings", "shown"))
    n_users = night.outcomes["normalize"]["n_users"]
    section.notes.append(
        f"{int((shown > 0).sum()):,} of {len(shown):,} items ({(shown > 0).mean():.1%}) are in someone's list."
    )
    order = np.argsort(-n_ratings, kind="stable")
    place = np.unique(np.linspace(0, len(order), min(len(order), 200) + 1).astype(int))
    curves = {
        name: (place / len(order), np.concatenate([[0], np.cumsum(values[order])])[place] / max(values.sum(), 1))
        for name, values in (("places in lists", shown), ("ratings", n_ratings))
    }
    section.plots.append(
        plots.lines(
            "How far down the catalogue the lists reach, against where ratings are",
            curves,
            "share of the items, the most rated first",
            "share of all places or ratings",
            "The nearer to the diagonal, the less the lists repeat what is popular.",
            percent=True,
        )
    )
    most = [row for row in np.argsort(-shown, kind="stable")[:10] if shown[row]]
    section.plots.append(
        plots.bars(
            "The items in most users' lists",
            [night.titles[row] for row in most],
            [100 * shown[row] / n_users for row in most],
            "share of users (%)",
            "item",
            form="{:.1f}",
        )
    )
    if night.evaluation:
        metrics = night.evaluation["metrics"]
        coverage = measure_names(metrics)["coverage"]
        models = [model for model in RANKINGS if metrics[model].get(coverage) is not None]
        if models:
            section.plots.append(
                plots.bars(
                    f"{coverage.capitalize()} by model: share of the items in someone's trial list",
                    [NAMES[model] for model in models],
                    [100 * metrics[model][coverage] for model in models],
                    "share of the items (%)",
                    "model",
                    form="{:.1f}",
                )
            )
        groups = metrics["by_popularity"]
        labels = [f"{g['items']}: {g['n_items']:,} items\nof {g['from']:,} to {g['to']:,}" for g in groups]
        series = {
            NAMES[model]: [None if g[model]["recall"] is None else Dot("", 100 * g[model]["recall"]) for g in groups]
            for model in RANKINGS
        }
        if groups:
            section.plots.append(
                plots.groups(
                    "Liked held-out ratings that the lists found, by how much items are rated",
                    labels,
                    series,
                    "items by number of known ratings, a third of these each",
                    "found (%)",
                    form="{:.0f}",
                )
            )
    return section


def map_section(night: Night) -> Section:
    """The items on a plane, by their features."""
    section = Section("map", "A map of the items")
    items = night.run.items()
    X = from_column(
        pq.read_table(night.file("model", "item_factors.parquet"), columns=["ranking_factors"])["ranking_factors"]
    )
    n_ratings = items["n_ratings"].to_numpy()
    most = np.argsort(-n_ratings, kind="stable")[:MAPPED_ITEMS]
    points, shares = principal_components(to_unit_length(X[most]))
    groups = [_first_group(text) for text in items["groups"].take(pa.array(most)).to_pylist()]
    names, colour = frequent(groups, MAPPED_GROUPS)
    size = 6 + 60 * np.sqrt(n_ratings[most] / n_ratings.max())
    titles = [night.titles[row] for row in most]
    by_group = " coloured by genre (the catalogue's first group)" if any(groups) else ""
    section.plots.append(
        plots.scatter(
            f"The {len(most):,} most rated items as the ranking head sees them,{by_group}".rstrip(","),
            points,
            size,
            colour,
            names,
            titles,
            f"principal component 1 ({shares[0]:.0%} of the variance)",
            f"principal component 2 ({shares[1]:.0%} of the variance)",
            n_labels=MAPPED_TITLES,
            note="Near each other: liked by the same users. Larger: rated more often. Axes: principal components of "
            "the items' features at length 1, no unit. The outermost 1 % may lie outside.",
        )
    )
    return section


def principal_components(X: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Rows of X (n, n_features) on the two directions of most variance (n, 2), and their shares of all variance."""
    centred = X.astype(np.float64) - X.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    variances, directions = np.maximum(variances[::-1], 0), directions.T[::-1]
    # A direction has no sign of its own; with this one the map does not flip from night to night.
    directions = directions[:2] * np.sign(directions[:2].sum(axis=1, keepdims=True) + 1e-30)
    points = np.zeros((len(X), 2))
    points[:, : len(directions)] = centred @ directions.T
    first, second = [*(variances / max(variances.sum(), 1e-30)).tolist(), 0.0][:2]
    return points, (first, second)


def frequent(groups: Sequence[str], n: int) -> tuple[list[str], np.ndarray]:
    """The n most frequent groups, "other" last if there are more, and each item's place among them."""
    names, counts = np.unique([group for group in groups if group] or [""], return_counts=True)
    kept = names[np.argsort(-counts, kind="stable")][:n].tolist()
    places = {name: place for place, name in enumerate(kept)}
    colour = np.array([places.get(group, len(kept)) for group in groups], int)
    return ([*kept, "other"] if (colour == len(kept)).any() else kept), colour


def _parquet_below(folder: Path) -> str:
    """All Parquet files below a folder, as an SQL string."""
    return sql.file(folder).removesuffix("'") + "/**/*.parquet'"


def _first_group(groups: str | None) -> str:
    return (groups or "").split("|")[0].strip()


def people_section(night: Night) -> Section:
    """Ten users as a person would look at them."""
    section = Section("users", "Ten users, from few ratings to many")
    section.cards = user_cards(night.run, night.titles)
    return section


def items_section(night: Night) -> Section:
    """Ten items with their similar items."""
    section = Section("items", "Ten items, from the most rated to hardly rated ones")
    section.cards = item_cards(night.run, night.titles)
    return section


def settings_section(night: Night) -> Section:
    """Every setting that the run was made with."""
    section = Section("settings", "Settings")
    used = {**night.settings.model_dump(), **_used(night)}
    defaults = Settings.model_construct().model_dump()
    rows: dict[str, list[tuple[str, ...]]] = {}
    for name, value in used.items():
        changed = "changed" if value != defaults.get(name) else ""
        meaning = str(Settings.model_fields[name].description)
        rows.setdefault(task_of(name), []).append((name, "empty" if value is None else str(value), changed, meaning))
    section.tables = [Table(task, ("setting", "value", "", "meaning"), found) for task, found in rows.items()]
    return section


def _used(night: Night) -> dict[str, Any]:
    """Of each task's settings what that task ran with, where it has ended well."""
    used = {}
    for name in Settings.model_fields:
        own = night.outcomes.get(task_of(name), {}).get("settings", {})
        if name in own:
            used[name] = own[name]
    return used


# What each section needs: the tasks that must have ended well; "measured" stands for an evaluation, refused or not.
SECTIONS: tuple[tuple[Callable[[Night], Section], tuple[str, ...]], ...] = (
    (quality_section, ("measured",)),
    (input_section, ()),
    (activity_section, ("measured",)),
    (people_section, ("recommend",)),
    (items_section, ("similar_items",)),
    (coverage_section, ("recommend",)),
    (map_section, ("train",)),
    (distribution_section, ()),
    (training_section, ("train",)),
    (settings_section, ()),
)


# ---- the page


def verdict(night: Night, failures: Mapping[str, str]) -> tuple[str, str, list[str]]:
    """How the night went: a word for the colour, a sentence, and reasons."""
    if night.evaluation is None:
        task, reason = next(iter(failures.items()), ("", ""))
        where = f"Failed in {task}" if task else "Not finished"
        return "refused", f"{where}: readers stay on the lists they have", [reason] if reason else []
    gate = night.evaluation["gate"]
    if gate["passed"]:
        return "passed", f"The gate lets this run pass, after {len(gate['checks'])} checks", []
    if gate["forced"]:
        return "forced", "The gate refused this run; force_publish overrides it", gate["refusals"]
    return "refused", "The gate refused this run: readers stay on the lists they have", gate["refusals"]


def tiles(night: Night) -> list[tuple[str, str, str]]:
    """The few numbers to look at first: name, value, and what to compare it with."""
    took, now = night.outcomes["ingest"], night.outcomes["normalize"]
    found = [
        ("new ratings", f"{took['rows_taken']:,}", f"{took['rows_refused']:,} refused"),
        ("current ratings", f"{now['n_ratings']:,}", f"{now['n_users']:,} users, {now['n_items']:,} items"),
    ]
    if night.evaluation:
        metrics = night.evaluation["metrics"]
        names = measure_names(metrics)
        for head, measure, baseline in (
            ("rating", "rmse", "damped_means"),
            ("ranking", names["ndcg"], "popularity"),
            ("ranking", names["recall"], "popularity"),
        ):
            if (value := metrics[head][measure]) is not None:
                other = metrics[baseline][measure]
                beside = "" if other is None else f"{NAMES[baseline]} {other:.4f}"
                found.append((_upper(measure), f"{value:.4f}", beside))
    return found


def render(night: Night, sections: Sequence[Section], failures: Mapping[str, str]) -> str:
    """The page. Everything but the drawings is escaped; the drawings' texts are escaped where they are drawn."""
    drawings: dict[str, Markup] = {}
    for section in sections:
        for number, plot in enumerate(section.plots):
            prefix = f"{section.name}-{number}-"
            drawings[prefix] = Markup(plots.unique(plot.svg, prefix))
    return render_page(
        "report.html",
        run_key=night.key,
        time=run_time(night.key),
        verdict=verdict(night, failures),
        tiles=tiles(night),
        sections=sections,
        drawings=drawings,
        failures=failures,
    )


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Write `report/report.html`. A section that cannot be made says so in its place: a plot must not stop a night."""
    tasks = ("ingest", "normalize", "train", "similar_items", "recommend", "evaluate")
    outcomes = {task: outcome for task in tasks if (outcome := store.outcome(run_key, task))}
    failures = {task: failure["error"] for task in tasks if (failure := store.failure(run_key, task))}
    items = pq.read_table(store.table(run_key, "normalized") / "items.parquet", columns=["item_id", "title"])
    titles = [
        title or f"item {item_id}"
        for item_id, title in zip(items["item_id"].to_pylist(), items["title"].to_pylist(), strict=True)
    ]
    night = Night(store, settings, run_key, outcomes, evaluation_of(store, run_key), titles)
    have = {*outcomes, *(["measured"] if night.evaluation else [])}
    sections, broken = [], 0
    for make, needs in SECTIONS:
        if not have.issuperset(needs):
            continue
        try:
            sections.append(make(night))
        except Exception as error:
            log.exception("the section %s of the report could not be made", make.__name__)
            broken += 1
            name = make.__name__.removesuffix("_section")
            sections.append(Section(name, name.capitalize(), [f"This part could not be made: {error!r}"]))
    page = render(night, sections, failures)
    with store.replace_folder(store.table(run_key, "report")) as folder:
        (folder / "report.html").write_text(page, encoding="utf-8")
    path = store.table(run_key, "report") / "report.html"
    log.info("the report is %s", path)
    return {"path": str(path), "bytes": len(page.encode()), "broken_sections": broken}
