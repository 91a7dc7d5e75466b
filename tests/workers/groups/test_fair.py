"""Fairness on real workers: a tenant with many groups does not starve one with a single group. Starts are counted."""

from __future__ import annotations

from tests.support.crews.workers import Crew, on
from tests.support.waiting import until

GROUPS, EACH, OWN = 60, 3, 12


@on("prefork")
def test_a_tenant_with_a_single_group_beside_one_with_many(crew: Crew, key: str) -> None:
    """Without fair keys, each task of the single group waits for one of every other group: for 60 starts."""
    for number in range(crew.slots):  # nothing starts until all are there
        crew.send(f"{key}-slot-{number}", number, "wait", name=f"{key}-go")
    until(lambda: crew.begun() >= crew.slots)
    for number in range(EACH):
        for group in range(GROUPS):
            crew.send(f"{key}-a-{group}", number, group_fair_key=f"{key}-a")
    for number in range(OWN):
        crew.send(f"{key}-b", number, group_fair_key=f"{key}-b")
    crew.tell(f"{key}-go")
    crew.wait_for(f"{key}-b", list(range(OWN)))
    runs = sorted((run.fence, run.key) for group in range(GROUPS) for run in crew.history.group(f"{key}-a-{group}"))
    assert len(runs) == GROUPS * EACH
    before = [sum(fence < run.fence for fence, _ in runs) for run in crew.history.group(f"{key}-b")]
    # A turn of the slots, what waits in the worker for one, and a start of the other tenant.
    turn = crew.slots * (1 + 2) + 1
    assert all(count <= turn * (number + 1) for number, count in enumerate(before)), before
    for group in range(GROUPS):
        crew.history.assert_in_line(f"{key}-a-{group}")


@on("prefork")
def test_no_head_waits_for_a_sweep(crew: Crew, key: str) -> None:
    """The worker sweeps every 15 s; 80 groups of one tenant would take minutes."""
    slow = crew.another("slow", slots=2, conf={"groupfifo_sweep_interval": 15, "groupfifo_lease_ttl": 60})
    slow.start().ready()
    try:
        crew.worker.kill()
        for group in range(80):
            crew.send(f"{key}-{group}", group, group_fair_key=key)
        until(lambda: not crew.left_over())
    finally:
        slow.kill()
        crew.ready()
