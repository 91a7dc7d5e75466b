"""The session: it runs the arms of scenarios in turn, several times, so that a disturbance affects all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from statistics import median

from benchmarks.bench import Bench
from benchmarks.processes import BenchmarkError
from benchmarks.rows import Row
from benchmarks.scenarios.base import Metrics, Scenario
from celery_groupfifo.testing.rabbitmq import RabbitMQError

Samples = dict[str, list[Metrics]]
"""The runs of a scenario, by arm."""


@dataclass
class Results:
    """The results of a session.

    Attributes:
        samples: By the scenario's name.
        failures: Scenarios that could not be measured, and why.
    """

    samples: dict[str, Samples] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def middle(self, scenario: Scenario, arm: str, metric: str) -> float | None:
        """Return the median of a figure over the runs of an arm; None where there is none."""
        found = self._figures(scenario, arm, metric)
        return median(found) if found else None

    def lowest(self, scenario: Scenario, arm: str, metric: str) -> float | None:
        """Return the lowest figure over the runs of an arm; None where there is none."""
        return min(self._figures(scenario, arm, metric), default=None)

    def ratio(self, scenario: Scenario, arm: str, reference: str, metric: str) -> float | None:
        """Return the median of the ratios, in each repetition, of an arm's figure to the reference's.

        The two ran one after the other. A machine that is fast in one minute and slow in the next changes both, and
        their ratio less than either.
        """
        pairs = zip(self._figures(scenario, arm, metric), self._figures(scenario, reference, metric), strict=False)
        found = [value / by for value, by in pairs if by]
        return median(found) if found else None

    def _figures(self, scenario: Scenario, arm: str, metric: str) -> list[float]:
        return [each[metric] for each in self.samples.get(scenario.name, {}).get(arm, ()) if metric in each]


@dataclass(frozen=True)
class _Plan:
    """A scenario, and its needed arms, with the row whose figure is shown of a run."""

    scenario: Scenario
    arms: dict[str, Row]


def run(bench: Bench, rows: Iterable[Row], repeats: int, say: Callable[[str], None]) -> Results:
    """Run the scenarios of rows.

    Args:
        bench: To run on.
        rows: The chosen ones.
        repeats: Runs of each arm.
        say: Called with a line of progress.

    Returns:
        The results; a scenario that could not be measured is in `failures`.
    """
    results, plans = Results(), _plans(rows)
    for number, plan in enumerate(plans, 1):
        try:
            _run_one(bench, plan, repeats, results, partial(_say_numbered, say, f"[{number}/{len(plans)}] "))
        except (BenchmarkError, RabbitMQError) as error:
            results.failures[plan.scenario.name] = str(error)
            say(f"[{number}/{len(plans)}] {plan.scenario.name}: {error}")
        finally:
            plan.scenario.close(bench)
    return results


def _run_one(bench: Bench, plan: _Plan, repeats: int, results: Results, say: Callable[[str], None]) -> None:
    scenario = plan.scenario
    times = repeats if scenario.repeatable else 1
    samples = results.samples.setdefault(scenario.name, {arm: [] for arm in plan.arms})
    for time in range(times):
        # In the opposite order every other time, so that no arm gains or loses by being second.
        for arm in plan.arms if time % 2 == 0 else reversed(list(plan.arms)):
            metrics = scenario.measure(bench, arm)
            samples[arm].append(metrics)
            shown = plan.arms[arm]
            say(f"{scenario.name} · {arm} · run {time + 1} of {times}: {metrics[shown.metric]:,.4g} {shown.unit}")


def _say_numbered(say: Callable[[str], None], number: str, text: str) -> None:
    say(number + text)


def _plans(rows: Iterable[Row]) -> list[_Plan]:
    """Return each scenario once, with the arms that its rows need, in its own order."""
    wanted: dict[str, list[Row]] = {}
    for row in rows:
        wanted.setdefault(row.scenario.name, []).append(row)
    plans = []
    for group in wanted.values():
        needed = {arm: row for row in reversed(group) for arm in (row.reference, row.arm)}
        scenario = group[0].scenario
        plans.append(_Plan(scenario, {arm: needed[arm] for arm in scenario.arms if arm in needed}))
    return plans
