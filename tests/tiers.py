"""Which tests run when: `make test-fast`, `make test`, `make test-all`.

- fast: no worker processes, within three minutes on two cores. While one writes code.
- main: with the fast ones, within ten minutes: each promise once. Before a commit; the README names it.
- rest: more seeds, pools, versions of a case, and what takes long. Before a merge; CI runs all three.
- long: minutes for one test, and the pools that few use. Before a release, and in the workflow of each change:
  `make test-long`.
"""

from __future__ import annotations

import re
from enum import Enum
from pathlib import PurePosixPath


class Tier(Enum):
    """One of the four; each test belongs to one."""

    FAST = "fast"
    MAIN = "main"
    REST = "rest"
    LONG = "long"


#: What `--tier` takes.
TIERS = {
    "fast": frozenset({Tier.FAST}),
    "main": frozenset({Tier.FAST, Tier.MAIN}),
    "rest": frozenset({Tier.REST}),
    "long": frozenset({Tier.LONG}),
}

#: By kind, the folders of tests/.
KINDS = {
    "unit": Tier.FAST,
    "gate": Tier.FAST,
    "workers": Tier.MAIN,
    "faults": Tier.REST,
    "programs": Tier.MAIN,
    "compatibility": Tier.REST,
    "project": Tier.FAST,
}
#: Subjects, files and tests whose tier is another than that of what is around them.
EXCEPTIONS = {
    Tier.FAST: ("gate/servers/test_server_kind.py",),
    Tier.MAIN: (
        # They start servers, proxies or type checkers, or take their time.
        "gate/brokers",
        "gate/groups",
        "gate/metrics",
        "gate/scripts/test_acl.py",
        "gate/scripts/test_stamps.py",
        "gate/scripts/test_state_machine.py",
        "gate/servers",
        "gate/worker/test_outbox.py",
        "gate/worker/test_sweeper.py",
        "project/docs",
        "unit/test_loop.py",
        "unit/test_loop_connection.py",
        # One of each kind of what takes long, so that each promise of docs/guarantees.md has one test here.
        "faults/chaos/test_kills.py::test_a_producer_that_is_killed_leaves_nothing_half_done",
        "faults/chaos/test_kills.py::test_six_kills_of_three_workers",
        "faults/chaos/test_verdict.py",
        "faults/stalls/test_late_tasks.py",
        "faults/stalls/test_own_pool.py",
        "faults/stalls/test_raising.py",
        "faults/stalls/test_replaced.py",
        "faults/stalls/test_retries.py",
        "faults/stalls/test_suspend.py",
        "gate/scripts/test_exploration.py::test_without_faults_nothing_needs_a_sweep_or_a_rerelease",
        # `make` leaves them out of all tiers: they have an environment of their own.
        "compatibility/ecosystem",
    ),
    Tier.REST: (
        "gate/brokers/test_publisher.py",
        "gate/groups/test_size.py",
        "gate/scripts/test_exploration.py",
        "gate/scripts/test_rehearsal.py",
        "gate/servers/test_cluster.py",
        "gate/servers/test_replicas.py",
        "gate/servers/test_sentinel.py",
        "gate/servers/test_sentinel_settings.py",
        "programs/cli/test_passwords.py",
        "programs/cluster",
        "programs/demo",
        "programs/flower/test_browser.py",
        "programs/flower/test_browser_actions.py",
        "programs/flower/test_metrics.py",
        "programs/flower/test_tasks_live.py",
        "project/docs/test_tutorial.py",
        "project/docs/test_types.py",
        "project/examples",
        "project/release",
        "workers/brokers/test_channel_errors.py",
        "workers/brokers/test_memory.py",
        "workers/brokers/test_options.py",
        "workers/brokers/test_order.py",
        "workers/brokers/test_routes.py",
        "workers/groups/test_doctor.py",
        "workers/groups/test_fair.py::test_no_head_waits_for_a_sweep",
        "workers/groups/test_inspect.py",
        "workers/metrics",
        "workers/nodes/test_faults.py",
        "workers/nodes/test_nodes.py",
        "workers/nodes/test_two_workers.py",
        "workers/sending/test_hold_until.py::test_a_worker_is_killed_within_the_second_of_three",
        "workers/servers",
        "workers/stops",
    ),
    Tier.LONG: (
        "compatibility/conformance/test_brokers.py",
        # More pools and brokers; the scenes themselves run in the tier before.
        "faults/sentinel/test_sentinel.py::test_an_idle_worker_goes_on_while_the_old_master_stays_frozen",
        "faults/sentinel/test_sentinel.py::test_on_each_pool",
        "faults/sentinel/test_sentinel.py::test_what_replicas_have_confirmed_is_not_lost",
        "faults/sentinel/test_sentinel.py::test_with_a_broker_elsewhere",
        "faults/sentinel/test_sentinel.py::test_with_rabbitmq",
        "programs/flower/test_sentinel.py",
        # What is like them, and quicker, runs in the tier before.
        "programs/demo/test_demo.py::test_ctrl_c_leaves_nothing_behind",
        "project/docs/test_types.py::test_each_example_project_is_well_typed",
        "project/examples/test_examples.py::test_migrate_from_lock",
        # More seeds and sizes of what other tests try.
        "faults/chaos/test_kills.py::test_rolling_restarts_repeat_and_lose_nothing",
        "faults/chaos/test_stalls.py::test_stalls_from_a_seed",
        "faults/cluster/test_growing.py::test_partitions_are_added_to_a_cluster",
        "gate/groups/test_look.py::test_pages_of_a_hundred_thousand_groups",
        "gate/groups/test_size.py::test_a_page_by_rank_keeps_no_more_than_it_needs",
        "gate/groups/test_size.py::test_all_pages_by_key_name_every_group_once",
        "gate/scripts/test_exploration.py::test_with_faults_and_three_in_line_everything_still_ends",
        "gate/scripts/test_exploration.py::test_with_room_for_one_everything_still_ends",
        "gate/scripts/test_exploration.py::test_with_two_faults_everything_still_ends",
        "workers/stops/test_releases.py::test_a_worker_that_runs_stops_when_a_release_was_left_out",
        "workers/stops/test_releases.py::test_state_that_is_too_old_stops_nothing_but_the_new_worker",
        "workers/stops/test_batches.py",
    ),
}
#: Folders, files and tests, as a test id names them below tests/; the closest to a test counts.
PLACES = KINDS | {place: tier for tier, places in EXCEPTIONS.items() for place in places}

#: Pools of a worker whose tests are in the later tiers, where a file tries the same on each pool.
SELDOM = {
    Tier.REST: re.compile(r"\[(.*-)?gevent[-\]]"),
    Tier.LONG: re.compile(r"\[(.*-)?(eventlet|solo|untuned)[-\]]"),
}
POOLED = "tests/workers/"


def tier_of(test: str) -> Tier:
    """Return the tier of a test id, a file or a folder."""
    file, _, name = test.removeprefix("tests/").partition("::")
    around = [f"{file}::{name.partition('[')[0]}", file, *map(str, PurePosixPath(file).parents)]
    tier = next((PLACES[place] for place in around if place in PLACES), Tier.MAIN)
    if tier is not Tier.MAIN or not test.startswith(POOLED):
        return tier
    return next((later for later, pools in SELDOM.items() if pools.search(test)), tier)


def holds(path: str, tiers: frozenset[Tier]) -> bool:
    """Return whether tests of these tiers may be in a folder or a file, by its path from tests/ on."""
    inside = {tier for place, tier in PLACES.items() if f"tests/{place}".startswith((f"{path}/", f"{path}::"))}
    return bool(tiers & {tier_of(path), *inside}) or bool(tiers & SELDOM.keys() and f"{path}/".startswith(POOLED))
