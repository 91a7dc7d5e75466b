"""Every pair of options: both hold together, or the call is refused by a sentence that names one of them.

docs/reference/options.md lists the refused pairs, and these are the only ones.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from celery import Celery

from celery_groupfifo import BatchCall, GroupFifoTask
from celery_groupfifo.errors import InvalidOption
from celery_groupfifo.gate.gate import _ATTRIBUTE
from celery_groupfifo.gate.keys import unquote
from tests.support.places import REPOSITORY
from tests.support.world import World, ticket_of

PAGE = REPOSITORY / "docs/reference/options.md"
SENT = 3
#: Each option with a value that changes what happens; the number is that of the call.
OPTIONS: dict[str, dict[str, Any]] = {
    "several keys": {"group_key": ["g", "h"]},
    "group_on_retry": {"group_on_retry": "release"},
    "group_max_hold": {"group_max_hold": 60},
    "group_on_failure": {"group_on_failure": "block"},
    "group_block_for": {"group_block_for": 60},
    "group_break_after": {"group_break_after": "2/60s"},
    "group_eta": {"group_eta": "reserve", "countdown": 2},
    "group_on_duplicate": {"group_on_duplicate": "replace"},
    "group_dedup_key": {"group_dedup_key": "call-{number}"},
    "group_dedup_for": {"group_dedup_for": 5},
    "group_order_by": {"group_order_by": "{number}", "group_reorder_window": 2},
    "group_overflow": {"group_max_depth": 10, "group_overflow": "drop_oldest"},
    "group_concurrency": {"group_concurrency": 2},
    "group_rate": {"group_rate": "1/2s"},
    "group_hold_until": {"group_hold_until": "chain"},
    "group_batch": {},
    "group_fair_key": {"group_fair_key": "tenant"},
    "group_max_lost": {"group_max_lost": 1},
}


def refused_pairs() -> set[frozenset[str]]:
    """Return the pairs of the page's table."""
    section = PAGE.read_text("utf-8").partition("\n## Options together\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| ")][1:]
    found = set()
    for option, others in rows:
        [name] = _names(option)
        found |= {frozenset((name, other)) for other in _names(others)}
    assert found and set().union(*found) <= OPTIONS.keys()
    return found


def _names(cell: str) -> list[str]:
    return re.findall(r"several keys|group_[a-z_]+", cell)


REFUSED = refused_pairs()


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    app = Celery("pairs", broker=redis_url, set_as_current=False)
    app.conf.task_ignore_result = True
    world = World(redis_url, app)
    setattr(app, _ATTRIBUTE, (os.getpid(), {"groupfifo": world.gate}))

    @app.task(base=GroupFifoTask, group_key="{key}", name="one", shared=False, lazy=False)
    def one(key: str, number: int) -> None: ...

    @app.task(base=GroupFifoTask, group_key="{key}", group_batch=10, name="many", shared=False, lazy=False)
    def many(calls: list[BatchCall]) -> None: ...

    yield world
    world.close()


def send(world: World, options: set[str]) -> list[str]:
    """Send tasks with options; return their ids."""
    task, sent = world.app.tasks["many" if "group_batch" in options else "one"], []
    for number in range(SENT):
        world.tick(1)
        said = {name: value for option in options for name, value in OPTIONS[option].items()}
        said = {name: value.format(number=number) if isinstance(value, str) else value for name, value in said.items()}
        sent.append(task.apply_async((), {"key": "g", "number": number}, **said).id)
    return sent


def run_all(world: World) -> list[str]:
    """Let a worker run all tasks; return the ids in the order of their starts."""
    ids, lists = [], world.lists("celery")
    for _ in range(60):
        world.sweep(lists)
        while message := world.pop("celery"):
            ticket = world.begin(ticket_of(message))
            if ticket is not None:
                ids.append(ticket.id)
                world.finish(ticket, unquote(ticket.group))
        if not world.redis.exists(world.keys.entries):
            break
        world.tick(500)
    return ids


@pytest.mark.parametrize("pair", list(combinations(OPTIONS, 2)), ids="-".join)
def test_both_hold_or_the_call_is_refused(world: World, pair: tuple[str, str]) -> None:
    if frozenset(pair) in REFUSED:
        with pytest.raises(InvalidOption) as caught:
            send(world, set(pair))
        said = str(caught.value).replace("group keys", "several keys").replace("ETA", "group_eta")
        assert any(name in said for name in pair)
        assert not world.redis.exists(world.keys.entries)
        return
    sent = send(world, set(pair))
    assert run_all(world) == sent
    world.idle_sweeps(25_000)  # what is remembered for a time
    assert not {name: kind for name, kind in world.residue().items() if ":begins" not in name}
