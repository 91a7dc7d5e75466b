"""All schedules of two groups of three tasks and two workers, on the real scripts.

The bound: a schedule holds so many faults (crash of a worker, a lease lost while its run goes on, reply of a begin or
a finish lost, ticket doubled, ticket lost, a final failure that blocks its group, a run that goes on at once or later,
at its place or at the tail, a task that gives its id to one of the other group while it runs), at any places. The first
tasks are parked before, the others at any time. An operator retries or skips what blocks, at any time; some blocks end
by themselves.
"""

from __future__ import annotations

import pytest

from tests.gate.scripts.exploration import Explorer
from tests.support.world import World


def say(capsys: pytest.CaptureFixture[str], explorer: Explorer) -> None:
    with capsys.disabled():
        print(f" [{len(explorer.edges)} states, {explorer.moves} moves]", end="")


@pytest.mark.parametrize("take", ["lists", "own", "none"])
def test_without_faults_nothing_needs_a_sweep_or_a_rerelease(
    world: World, capsys: pytest.CaptureFixture[str], take: str
) -> None:
    """No lost wake-up: wherever a schedule ends, all tasks have."""
    explorer = Explorer(world, take, faults=0, tasks=3, parked=1)
    explorer.run(recover=False)
    say(capsys, explorer)
    ends = {key for key, nexts in explorer.edges.items() if not nexts}
    assert ends and ends <= explorer.drained
    assert explorer.stuck() == set()


@pytest.mark.timeout(300)
def test_with_faults_everything_still_ends(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Exclusion, order, no loss and fencing are checked at every move; the end can be reached from everywhere."""
    explore(Explorer(world, "lists", 1, tasks=2, parked=1), capsys)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("take", ["lists", "own"])
def test_with_faults_and_three_in_line_everything_still_ends(
    world: World, capsys: pytest.CaptureFixture[str], take: str
) -> None:
    explore(Explorer(world, take, 1, tasks=3, parked=3), capsys)


@pytest.mark.timeout(300)
def test_with_room_for_one_everything_still_ends(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A producer whose park is refused makes it again."""
    explore(Explorer(world, "lists", 1, tasks=3, parked=2, most=1), capsys)


@pytest.mark.timeout(600)
def test_with_two_faults_everything_still_ends(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    explore(Explorer(world, "lists", faults=2, tasks=2, parked=2), capsys)


def explore(explorer: Explorer, capsys: pytest.CaptureFixture[str]) -> None:
    explorer.run()
    say(capsys, explorer)
    assert explorer.drained
    assert explorer.stuck() == set()
