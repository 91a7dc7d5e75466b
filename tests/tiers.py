"""Which tests run when: `make test-fast`, `make test`, `make test-all`.

- fast: no worker processes, within 40 seconds. While one writes code.
- main: with the fast ones, within six minutes on two cores: each promise once. Before a commit; the README names it.
- rest: more seeds, pools, versions of a case, and what takes long. Before a merge; CI runs all three.
"""

from __future__ import annotations

import re
from enum import Enum


class Tier(Enum):
    """One of the three; each test belongs to one."""

    FAST = "fast"
    MAIN = "main"
    REST = "rest"


#: What `--tier` takes.
TIERS = {
    "fast": frozenset({Tier.FAST}),
    "main": frozenset({Tier.FAST, Tier.MAIN}),
    "rest": frozenset({Tier.REST}),
}

FAST = ("unit", "mutants", "lua", "gate")
#: They start servers or proxies, or take their time.
MAIN = (
    *(
        f"gate/test_{name}"
        for name in ("acl", "address_list", "connections", "failover", "outbox", "state_machine", "store_errors")
    ),
    "gate/test_sweeper",
    "unit/test_embedded",
    "unit/test_loop",
)
REST = (
    "brokers/test_channel_errors",
    "brokers/test_order",
    "brokers/test_publisher",
    "brokers/test_routes",
    "chaos",
    "cli/test_passwords",
    "cluster",
    "conformance",
    "docs/test_tutorial",
    "e2e/test_demo",
    "e2e/test_faults",
    "e2e/test_nodes",
    "e2e/test_two_workers",
    "flower/test_browser",
    "flower/test_metrics",
    "flower/test_tasks_live",
    "gate/test_exploration",
    "gate/test_sentinel",
    "groups/test_doctor",
    "groups/test_inspect",
    "groups/test_size",
    "integration",
    "metrics/test_worker",
    "stalls/test_dead_connections",
    "stalls/test_due",
    "stalls/test_elsewhere",
    "stalls/test_hang",
    "stalls/test_left_behind",
    "stalls/test_queues",
    "stalls/test_reconnects",
    "stalls/test_refused",
    "stalls/test_soft_shutdown",
    "worker/test_reconnect",
    "worker/test_servers",
    "worker/test_shutdown",
    "worker/test_tls",
)
#: One of each kind of what takes long, so that each promise of docs/guarantees.md has one test here.
SAMPLES = (
    "chaos/test_kills.py::test_a_producer_that_is_killed_leaves_nothing_half_done",
    "chaos/test_kills.py::test_six_kills_of_three_workers",
    "chaos/test_verdict",
    "gate/test_exploration.py::test_without_faults",
)

#: Beginnings of test ids below tests/, and the tier; the longest that fits counts, and without any it is the main one.
PLACES = {
    place: tier
    for tier, places in ((Tier.FAST, FAST), (Tier.MAIN, (*MAIN, *SAMPLES)), (Tier.REST, REST))
    for place in places
}


#: Pools of a worker whose tests are in the last tier; all pools do the same in others' places.
SELDOM = re.compile(r"\[(.*-)?(gevent|eventlet|solo|untuned)[-\]]")


def tier_of(test: str) -> Tier:
    """Return the tier of a test id."""
    fitting = [place for place in PLACES if test.startswith(f"tests/{place}")]
    tier = PLACES[max(fitting, key=len)] if fitting else Tier.MAIN
    return Tier.REST if tier is Tier.MAIN and test.startswith("tests/worker/") and SELDOM.search(test) else tier


def holds(path: str, tiers: frozenset[Tier]) -> bool:
    """Return whether tests of these tiers may be in a folder or a file, by its path from tests/ on."""
    stem = path.removesuffix(".py").removeprefix("tests/")
    inside = {tier for place, tier in PLACES.items() if place.startswith(stem)}
    return bool(tiers & {tier_of(f"tests/{stem}"), *inside}) or (Tier.REST in tiers and stem.startswith("worker"))
