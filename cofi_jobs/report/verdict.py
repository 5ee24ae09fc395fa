"""In a few sentences whether to trust a run's lists, what changed, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cofi_jobs.report.changes import Changes, Moved
from cofi_jobs.report.drawing import short
from cofi_jobs.report.nights import day_of
from cofi_jobs.report.reported_run import ReportedRun, measure_label
from cofi_jobs.report.words import counted, of_100, signed
from cofi_jobs.store.run_keys import run_time
from cofi_jobs.store.status import feedback_in, measure_names

LONGEST_TITLE = 40
INPUT = (
    "Look at “What came in” first: a delivery that is broken or incomplete is the usual reason. "
    "Repair it and run again. If the input is right, force_publish publishes these lists all the "
    "same."
)
# The first words of a check's name -> what to do when it refuses a run.
ADVICE = {
    "new ratings": (
        "Compare this run's files with those of a usual night: is one there twice, or missing? If "
        "they are right, run again with force_publish. Else remove the files and the batch."
    ),
    "share of ratings that count": (
        "Look at the distribution of ratings: if their scale is another one, give rating_low and "
        "rating_high to one run, else set liked_from."
    ),
    "share of events that count": "Lower liked_from: few events have so high a count.",
    "share of rows": (
        "Lists are too short. Look which items are left out: lists/allow.txt and lists/deny.txt, "
        "min_item_ratings."
    ),
    "share of n_": INPUT,
    "share of users with a list": INPUT,
    "catalogue coverage": (
        "The lists show few items. Look which items are left out (lists/, min_item_ratings), or "
        "lower min_coverage if few items are right."
    ),
}


class Fact(NamedTuple):
    """What a sentence is about, and the sentence."""

    subject: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """How a run went: a word for the colour, a headline, the gist, facts, reasons against it."""

    colour: str
    headline: str
    gist: str = ""
    facts: Sequence[Fact] = ()
    reasons: Sequence[str] = ()
    advice: Sequence[str] = ()  # what to do about the reasons
    doubts: Sequence[str] = ()  # what could not be judged


def verdict(run: ReportedRun) -> Verdict:
    """How the run went, in words."""
    stay = readers_stay(run.key, run.earlier)
    if run.evaluation is None:
        task, error = next(iter(run.failures.items()), ("", ""))
        advice = ["Open the log of the task, repair the cause, and clear the task."]
        headline = f"Failed in {task}: {stay}" if task else f"Not finished: {stay}"
        return Verdict(
            "refused", headline, reasons=[error] if error else [], advice=advice if error else []
        )
    gate = run.evaluation["gate"]
    colour, headline = judged(gate, stay)
    return Verdict(
        colour,
        headline,
        found_something(run.evaluation, _since(run)),
        facts(run),
        gate["refusals"],
        what_to_do(gate["checks"]),
        gate.get("not_judged", []),
    )


def judged(gate: Mapping[str, Any], stay: str) -> tuple[str, str]:
    """A word for the colour of what the gate says, and the headline."""
    n_checks, n_doubts = len(gate["checks"]), len(gate.get("not_judged", []))
    if gate["forced"]:
        return "forced", "Published by force: the gate refused this run"
    if not gate["passed"]:
        return "refused", f"The gate refused this run: {stay}"
    if any("against popularity" in doubt for doubt in gate.get("not_judged", [])):
        return "unsure", "Passed, but too few users to judge by: look at the lists yourself"
    checks = f"all {n_checks} checks" if n_checks > 1 else "the gate's check"
    some = f", {n_doubts} could not be judged" if n_doubts else ""
    return "passed", f"Good to use: this run passed {checks}{some}"


def readers_stay(run_key: str, earlier: str | None) -> str:
    """Which lists readers have when this run gives them none."""
    if earlier is None:
        return "readers have no lists yet"
    return f"readers stay on the lists of {day_of(earlier, run_time(run_key))}"


def facts(run: ReportedRun) -> list[Fact]:
    """Better or worse than before, and what changed."""
    assert run.evaluation is not None
    since = _since(run)
    if since is None:
        first = [Fact("Before", "This is the first run whose lists readers get.")]
        return [] if run.nights[-1].is_refused else first
    models = (("Lists", "ranking"), ("Predicted ratings", "rating"))
    result = [
        Fact(subject, text)
        for subject, model in models
        if (text := against_published(model, run.evaluation, since))
    ]
    if run.changes:
        result += what_changed(run.changes, since, run.titles_by_id)
    return result


def against_published(model: str, evaluation: Mapping[str, Any], since: str) -> str:
    """Whether a model is better or worse than the one readers had, and how sure that is."""
    names = measure_names(evaluation["metrics"])
    measure = {"ranking": names.get("ndcg", "ndcg"), "rating": "rmse"}[model]
    compared = comparison(evaluation["comparisons"], model, measure, "published")
    if not compared or compared["difference"] is None:
        return ""
    numbers = (
        f"{measure_label(measure)} {compared['own']:.4f} against {compared['other']:.4f} on the "
        f"{counted(compared['users'], 'user')} whom both know"
    )
    if compared["low"] is None:
        return f"Too few users to compare with {since}: {numbers}."
    interval = f"{signed(compared['low'])} to {signed(compared['high'])}"
    return f"{how_sure(compared)} {since}: {numbers} (difference {interval}, 95 %)."


def how_sure(compared: Mapping[str, Any]) -> str:
    """Better, worse, or about as good: where the interval includes 0, nobody can tell."""
    if compared["low"] <= 0 <= compared["high"]:
        return "About as good as on"
    rises = compared["low"] > 0
    return "Better than on" if rises == (compared["better"] == "higher") else "Worse than on"


def found_something(evaluation: Mapping[str, Any], since: str | None) -> str:
    """Of 100 users, how many found something in their list that they went on to like."""
    metrics, comparisons = evaluation["metrics"], evaluation["comparisons"]
    name = measure_names(metrics).get("hit_rate", "")
    value = metrics["ranking"].get(name)
    if value is None:
        return ""
    verb = "like" if feedback_in(metrics) == "ratings" else "choose"
    depth = name.partition("@")[2]
    text = f"{of_100(value)} users found something in the first {depth} that they went on to {verb}"
    others = []
    compared = comparison(comparisons, "ranking", name, "published")
    if since and compared and compared["other"] is not None:
        # What readers had, as far as it differs on the users whom both know.
        others.append(f"{100 * (value - compared['difference']):.0f} with the model of {since}")
    if (popular := metrics["popularity"].get(name)) is not None:
        others.append(f"{100 * popular:.0f} with the popular items alone")
    return f"{text}; {', '.join(others)}." if others else f"{text}."


def what_changed(changes: Changes, since: str, titles: Mapping[Any, str]) -> list[Fact]:
    """How far tonight's lists differ from the earlier ones."""
    places = changes.new_places
    share = "" if places is None else f"{places:.0%} of the places in the lists since {since}; "
    users, items = counted(changes.new_users, "new user"), counted(changes.new_items, "new item")
    moved = (("Rose", changes.rose), ("Fell", changes.fell))
    return [
        Fact("Changed", f"{share}{users}, {items}."),
        *(
            Fact(word, f"{'; '.join(_moved(item, titles) for item in items)}.")
            for word, items in moved
            if items
        ),
    ]


def what_to_do(checks: Sequence[Mapping[str, Any]]) -> list[str]:
    """What to do about the checks that refuse a run, each advice once."""
    return list(dict.fromkeys(advice(check["name"]) for check in checks if not check["passed"]))


def advice(name: str) -> str:
    """What to do when the check of this name refuses a run."""
    return next((text for start, text in ADVICE.items() if name.startswith(start)), INPUT)


def comparison(
    comparisons: Sequence[Mapping[str, Any]], model: str, measure: str, against: str
) -> Mapping[str, Any] | None:
    """The comparison of a measure of a model with another model, if there is one."""
    wanted = (model, measure, against)
    for compared in comparisons:
        if (compared["head"], compared["measure"], compared["against"]) == wanted:
            return compared
    return None


def _since(run: ReportedRun) -> str | None:
    """When readers got the lists that they had before; None if they had none."""
    return day_of(run.earlier, run_time(run.key)) if run.earlier else None


def _moved(item: Moved, titles: Mapping[Any, str]) -> str:
    title = short(titles.get(item.item_id, f"item {item.item_id}"), LONGEST_TITLE)
    return f"{title} ({item.before:.0%} → {item.now:.0%} of the lists)"
