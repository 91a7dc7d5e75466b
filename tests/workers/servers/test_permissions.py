"""A gate whose user may do no more than docs/connections.md says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from celery_groupfifo import Groups
from celery_groupfifo.gate import scripts
from celery_groupfifo.testing import embedded
from tests.support.permissions import PASSWORD, USER, printed, refused
from tests.support.stages.stage import Stage
from tests.support.stages.verdict import assert_sound
from tests.support.waiting import until


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    server, broker = embedded.start(appendonly=False), embedded.start(appendonly=False)
    own = f"redis://{USER}:{PASSWORD}@127.0.0.1:{server.port}/0"
    stage = Stage(tmp_path / "stage", server, broker, groupfifo_url=own)
    stage.gate.redis.execute_command(*printed(cluster=False))
    yield stage
    stage.close()


def test_a_gate_with_no_more_than_its_permissions(stage: Stage) -> None:
    operator = Groups(stage.app)
    for group in ("a", "b", "c"):
        for seq in range(1, 5):
            stage.send(group, seq, "again" if seq == 2 else "work")
    operator.pause("a")
    stage.start(1)
    until(lambda: len(stage.watch.look().done) >= 8)
    assert operator.get("a").depth == 4 and operator.list() and operator.stats() and operator.explain("a")
    assert operator.verify() == []
    operator.doctor()
    operator.resume("a")
    stage.drained()
    assert_sound(stage)
    assert refused(stage.gate.redis) == []


@pytest.mark.parametrize("cluster", [False, True])
def test_what_scripts_call_is_allowed(redis_server: embedded.Server, cluster: bool) -> None:
    """Of each script, also of those that this file does not run."""
    rules = printed(cluster)
    allowed = {rule[1:] for rule in rules if rule.startswith("+") and not rule.startswith("+@")}
    with redis.Redis.from_url(redis_server.url) as client:
        for category in ("hash", "list", "sortedset"):
            assert f"+@{category}" in rules
            allowed |= {str(command) for command in client.acl_cat(category)}
    for name in scripts.NAMES:
        called = {each.lower() for each in re.findall(r"redis[._]p?call\('(\w+)'", scripts.source(name))}
        assert called <= allowed, (name, called - allowed)
