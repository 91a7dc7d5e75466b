"""Workers keep few connections to the gate's Redis while they live, and keys for some leases more."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import psutil
import pytest

from tests.faults.stalls.scene import QUICK, opened, rest
from tests.support.stages.fleet import Worker
from tests.support.stages.stage import Stage
from tests.support.waiting import until

LEASE = 2.0
POOLS = {"prefork": 2, "threads": 4}
#: Of a worker's main process, for what it does at the same time: begin and finish, renew, wait for what is due.
CONNECTIONS = 6
#: A lost worker's keys go after four leases; they must not be there long after that.
SECONDS = 30.0


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Connections of workers after their start and after some load, and the keys of those that are lost or stopped."""
    found: dict[str, Any] = {}
    with opened(tmp_path_factory.mktemp("left") / "stage", broker=True, groupfifo_lease_ttl=LEASE) as stage:
        for pool, slots in POOLS.items():
            for fate in ("stopped", "killed"):
                stage.launch(slots, pool=pool, name=f"{pool}-{fate}", options=("-Q", f"{pool}-{fate}", *QUICK))
        stage.launch(1, pool="solo", name="survivor", options=("-Q", "other", *QUICK))
        for worker in stage.workers:
            worker.ready()
        rest(time.monotonic() + 1.0)  # as a rule they have done by then what a worker does at its start
        victims = stage.workers[:-1]
        found["started"] = {worker.name: _settled(stage, [worker.pid], CONNECTIONS) for worker in victims}
        for seq in range(1, 6):
            for worker in victims:
                for group in range(4):
                    stage.send(f"{worker.name}-{group}", seq, "again" if seq == 1 else "work", queue=worker.name)
        stage.drained()
        rest(time.monotonic() + 1.0)
        most = {pool: CONNECTIONS + _of_runs(pool) for pool in POOLS}
        found["worked"] = {
            worker.name: _settled(stage, worker.tree(), most[worker.name.partition("-")[0]]) for worker in victims
        }
        found["keys"] = _after_their_end(stage, victims)
    return found


def _of_runs(pool: str) -> int:
    """One for each slot, and where the runs are threads, one for their ends."""
    return POOLS[pool] * (1 if pool == "prefork" else 2)


def _settled(stage: Stage, pids: list[int], most: int) -> list[str]:
    """Names of the connections that processes keep, when they have let go of what they needed for a moment."""

    def few() -> bool:
        names = _names(stage, pids)
        return 0 < len(names) <= most and not any("doctor" in name for name in names)

    with suppress(AssertionError):  # for the tests to say
        until(few, within=20.0)
    return _names(stage, pids)


def _names(stage: Stage, pids: list[int]) -> list[str]:
    """Names of the connections that processes have to the gate."""
    ports = {each.laddr.port for pid in pids for each in psutil.Process(pid).net_connections("tcp")}
    return [each["name"] for each in stage.redis.client_list() if int(each["addr"].split(":")[-1]) in ports]


def _after_their_end(stage: Stage, workers: list[Worker]) -> dict[str, list[bytes]]:
    for worker in workers:
        (worker.stop if worker.name.endswith("stopped") else worker.kill)()
    for worker in workers:
        worker.wait()

    def left() -> dict[str, list[bytes]]:
        keys = list(stage.redis.scan_iter(count=1000))
        return {worker.name: [key for key in keys if worker.name.encode() in key] for worker in workers}

    stopped = {name: keys for name, keys in left().items() if name.endswith("stopped")}
    with suppress(AssertionError):  # for the tests to say
        until(lambda: not any(left().values()), within=SECONDS)
    return left() | stopped


@pytest.mark.parametrize("pool", POOLS)
def test_a_worker_that_has_started_keeps_few_connections(found: dict[str, Any], pool: str) -> None:
    names = found["started"][f"{pool}-killed"]
    assert 0 < len(names) <= CONNECTIONS, names
    assert all(name.startswith("groupfifo") for name in names), names
    assert not any("doctor" in name for name in names), "of the look at its surroundings at the start"


@pytest.mark.parametrize("pool", POOLS)
def test_nor_does_it_keep_more_than_one_for_each_slot(found: dict[str, Any], pool: str) -> None:
    """For what its runs ask the gate themselves, and where they are threads, for their ends."""
    names = found["worked"][f"{pool}-killed"]
    assert len(names) <= CONNECTIONS + _of_runs(pool), names
    assert all(name.startswith("groupfifo") for name in names), names


@pytest.mark.parametrize("fate", ["stopped", "killed"])
@pytest.mark.parametrize("pool", POOLS)
def test_no_key_of_a_worker_outlives_it_for_long(found: dict[str, Any], pool: str, fate: str) -> None:
    assert not found["keys"][f"{pool}-{fate}"]
