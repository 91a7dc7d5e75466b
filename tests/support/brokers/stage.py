"""A broker that is not the gate's Redis, workers between the two, and the verdict on what they did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import redis
from celery import Celery

from celery_groupfifo import GroupFifo, park_many
from celery_groupfifo.testing import checker, history
from tests.support.brokers.workers import Workers
from tests.support.waiting import until

NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


class Stage:
    """A broker, a gate elsewhere, and workers between them.

    Args:
        broker: Its URL.
        gate: URL of the gate's Redis, whose database is empty.
        folder: For logs, history and the broker's files; empty.
        options: Of the broker's transport.
    """

    def __init__(self, broker: str, gate: str, folder: Path, options: Mapping[str, Any] = NO_OPTIONS) -> None:
        self.folder = folder
        for name in ("history", "queue", "control"):
            (folder / name).mkdir()
        variables = {"BROKER_URL": broker, "GATE_URL": gate, "BROKER_FOLDER": str(folder)}
        variables["BROKER_OPTIONS"] = json.dumps(dict(options))
        self.workers = Workers(folder, "tests.support.brokers.app", variables)
        self.redis = redis.Redis.from_url(gate)
        self.app = Celery("sender", broker=broker)
        self.app.conf.update(groupfifo_url=gate, groupfifo_lease_ttl=2, groupfifo_sweep_interval=0.5)
        self.app.conf.broker_transport_options = dict(options)
        if broker.startswith("filesystem"):
            self.app.conf.broker_transport_options = {
                "data_folder_in": str(folder / "queue"),
                "data_folder_out": str(folder / "queue"),
                "control_folder": str(folder / "control"),
            }
        GroupFifo(self.app)

    def worker(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        return self.workers.start(*options)

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """Kill the worker that was started first, with its children, and note who."""
        text = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text()
        killed = {"ev": "kill", "target": [worker.pid, *map(int, text.split())], "worker": "w0@test"}
        history.record(self.folder / "history" / "kills.jsonl", **killed)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        history.record(self.folder / "history" / "kills.jsonl", **killed)

    def send(
        self, groups: int, tasks: int, seconds: float = 0.0, every: int = 0, named: str = "g", **options: Any
    ) -> None:
        """Park tasks, round robin over the groups, with options; one in `every` fails once and is retried."""
        signatures = []
        for number in range(groups * tasks):
            group, seq = f"{named}{number % groups}", number // groups
            history.record(
                self.folder / "history" / "sent.jsonl", ev="sent", group=group, seq=seq, id=f"{named}{number}"
            )
            fails = int(bool(every) and number % every == 0)
            signatures.append(
                self.app.signature(
                    "tests.support.brokers.app.work", (group, seq, seconds, fails), {}, group_key=group, **options
                )
            )
        park_many(signatures)

    def drained(self) -> None:
        """Wait until no group is left; a ticket that a killed worker did not publish is released again in a minute."""
        until(lambda: not self.redis.exists("{groupfifo:0}:groups"), lambda: self.workers.log[-4000:], 90)

    def events(self) -> list[dict[str, Any]]:
        """Return the history of the runs."""
        return history.load([self.folder / "history"])

    def ended(self, group: str) -> bool:
        """Return whether a task of a group has ended."""
        return any(event["ev"] == "end" and event["group"] == group for event in self.events())

    def close(self) -> None:
        """Stop what still runs."""
        self.workers.close()
        self.redis.close()


def assert_in_order(stage: Stage) -> None:
    events = stage.events()
    assert checker.check(events).broken == ()
    assert not list(stage.redis.scan_iter("{groupfifo:0}:w:*"))
    assert not stage.redis.exists("{groupfifo:0}:entries", "{groupfifo:0}:groups", "{groupfifo:0}:on_the_way")
