"""What sizes that were not tried would need, by the model of cost. Nothing here is measured."""

from dataclasses import dataclass

from rich.table import Table

from benchmarks import memory
from benchmarks.cost_model import STEPS_OF_ROUND, StepCost, network_seconds
from cofi_jobs.settings.fields import Settings

PROCESSORS, GIGABITS, N_FACTORS = 16, 25.0, 64  # of a machine; of its network; factors
# Seconds of a processor for a user and an item in `recommend`: 99 s of two processors for 479,752
# users and 17,800 items (`make bench-night SIZES=100000000` on 2 cores of an AMD EPYC).
PAIR = 99 * 2 / (479_752 * 17_800)
# Steps of the four fits of a first run: both holdout models, and a third for the final ones.
STEPS = sum(
    Settings.model_fields[f"{model}_steps"].default * 4 / 3 for model in ("rating", "ranking")
)


@dataclass(frozen=True)
class Plan:
    """Data, and machines for it."""

    users: int
    items: int
    ratings: int
    machines: int


PLANS = (
    Plan(5_000_000, 100_000, 1_000_000_000, 1),
    Plan(5_000_000, 100_000, 1_000_000_000, 4),
    Plan(1_000_000_000, 10_000_000, 100_000_000_000, 100),
    Plan(1_000_000_000, 10_000_000, 100_000_000_000, 1000),
)


def tabulate_plans(cost: StepCost, rows_cost: float) -> Table:
    """Hours of `train` and of exact `recommend`, and the memory of `train`, for each plan.

    `rows_cost` are the seconds of a processor for each rating, to solve the users' final rows.
    """
    columns = ["users", "items", "ratings", "machines", "step s: ratings", "task", "network"]
    table = Table(*columns, "hours of train", "of recommend", "worker GB", "task GB")
    for plan in PLANS:
        numbers, processors = plan.items * N_FACTORS, plan.machines * PROCESSORS
        of_step = cost.seconds(plan.ratings / STEPS_OF_ROUND, numbers, processors)
        of_task = cost.number * numbers + cost.call
        network = network_seconds(numbers, plan.machines, GIGABITS)
        rows = 4 * rows_cost * plan.ratings / processors
        table.add_row(
            *(f"{n:,}" for n in (plan.users, plan.items, plan.ratings, plan.machines)),
            *(f"{seconds:.1f}" for seconds in (of_step - of_task, of_task, network)),
            f"{(STEPS * (of_step + network) + rows) / 3600:.1f}",
            f"{PAIR * plan.users * plan.items / processors / 3600:.1f}",
            f"{worker_bytes(plan) / 1e9:.0f}",
            f"{task_bytes(plan) / 1e9:.0f}",
        )
    return table


def worker_bytes(plan: Plan) -> float:
    """Memory of the worker of a machine, by the formulas of docs/model.md."""
    ratings, users = plan.ratings / plan.machines, plan.users / plan.machines
    fitted = memory.fitted(ratings, plan.items, N_FACTORS)
    return memory.TENSORFLOW + fitted + memory.DRAWN * users


def task_bytes(plan: Plan) -> float:
    """Memory of the task, which holds no users and no ratings."""
    return memory.TENSORFLOW + memory.fitted(0, plan.items, N_FACTORS)
