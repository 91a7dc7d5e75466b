"""Operators' scripts under the same conditions as all others: headers, lost replies, flushes, users of little right."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import redis

from celery_groupfifo.errors import ScriptRefused
from celery_groupfifo.testing import embedded
from tests.gate.groups.scripted import CASES, READING
from tests.gate.scripted import Case, recorded
from tests.gate.scripts.test_acl import Allowed
from tests.gate.scripts.test_script_headers import said
from tests.support.proxy import Proxy
from tests.support.snapshot import _blot, snapshot
from tests.support.world import World


@pytest.fixture
def far(redis_server: embedded.Server, redis_url: str) -> Iterator[tuple[World, Proxy]]:
    """A world whose gate speaks through a proxy that can lose replies."""
    with Proxy(redis_server.port) as proxy:
        world = World(f"redis://127.0.0.1:{proxy.port}/{redis_url.rpartition('/')[2]}")
        world.redis.close()
        world.redis = redis.Redis.from_url(redis_url)
        yield world, proxy
        world.close()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_lost_reply_is_not_even_noticed(world: World, far: tuple[World, Proxy], case: Case) -> None:
    expected = _blot(case.prepare(world)())
    after = snapshot(world)
    world.redis.flushdb()
    again, proxy = far
    call = case.prepare(again)
    proxy.lose_replies(1)
    assert _blot(call()) == expected
    assert proxy.lost == 1
    assert snapshot(again) == after


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_comes_back_after_a_flush(world: World, case: Case) -> None:
    call = case.prepare(world)
    before = snapshot(world)
    world.redis.script_flush()
    call()
    assert (snapshot(world) == before) == (case.script in READING)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_caller_gives_what_the_header_says(world: World, case: Case) -> None:
    call = case.prepare(world)
    with recorded(world.gate.store) as made:
        call()
    mine = made[-1]
    assert mine.script == case.script
    for kind, values in (("KEYS", mine.keys), ("ARGV", mine.args)):
        expected = said(mine.script, kind)
        assert len(values) >= max(expected.single) if expected.open else len(values) == max(expected.single)


def _allow_one_key(allowed: Allowed, keys: list[str], names: list[str]) -> None:
    Allowed._allow(allowed, keys[:1], names)


def test_no_script_needs_more_than_its_keys_and_commands() -> None:
    with embedded.start(appendonly=False) as server:
        world = World(f"{server.url}/0")
        for case in CASES:
            world.redis.flushdb()
            call = case.prepare(world)
            store, allowed = world.gate.store, Allowed(world)
            store.run, run = allowed.run, store.run  # type: ignore[method-assign]
            call()
            allowed._allow = partial(_allow_one_key, allowed)  # type: ignore[method-assign]
            with pytest.raises(ScriptRefused, match=f"refused '{case.script}'"):
                call()
            store.run = run  # type: ignore[method-assign]
            allowed.client.close()
        world.close()
