"""One conformance run: two workers of an engine, a load, a worker that is killed, and the verdict.

Judged by the checker of tests/faults: order, overlap, loss, repeats, fences; that what was to be retried was retried in
its place, that what the killed worker ran was run again, that plain tasks run beside, that the results are there, and
that the gate keeps nothing. Where the broker is another server than the gate, a worker can be made to die where the
gate has released a head, and the broker does not have its ticket.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from celery.result import AsyncResult

from celery_groupfifo import park_many
from celery_groupfifo.testing.history import Event, load, record
from tests.compatibility.conformance.app import CRASH, make_app
from tests.support.results import let_go
from tests.support.stages.fleet import Worker
from tests.support.stages.stage import Watch, only_leases
from tests.support.stages.verdict import problems
from tests.support.stored import lasts
from tests.support.waiting import until

GROUPS, EACH, PLAIN = 5, 10, 20
SECONDS = 0.02
#: What the tasks of a group do, by their place; the first group has one that is killed with its worker.
DEEDS = {3: "retry", 6: "fail"}
DIES = 5
#: Results are asked for of these places only: an older Celery takes half a second for each that comes by `rpc://`.
ASKED = (0, 3, 6, 9)
#: A solo pool runs nothing beside a task; so what is plain must not wait in the worker whose task waits for its death.
OWN = {"solo": {"worker_prefetch_multiplier": 1}}
#: Groups of the crash; a worker goes on with one for `groupfifo_burst_seconds`, and then publishes its next head.
CRASHING, BURST_SECONDS = ("c0", "c1", "c2"), 0.25
#: Whatever a run waits for.
WITHIN = 90.0


@dataclass(frozen=True)
class Engine:
    """The servers, pool and settings of a run.

    Attributes:
        broker: Its URL.
        gate: URL of the gate's Redis.
        backend: URL of the results; None: none are kept.
        pool: Of the workers.
        conf: More settings of the app.
        crash: Let a worker die between a release and its ticket, at the end.
    """

    broker: str
    gate: str
    backend: str | None = None
    pool: str = "prefork"
    conf: dict[str, Any] = field(default_factory=dict)
    crash: bool = False

    def settings(self) -> dict[str, Any]:
        """Return the app's settings."""
        kept = {"result_backend": self.backend} if self.backend else {"task_ignore_result": True}
        return {"broker_url": self.broker, "groupfifo_url": self.gate, **kept, **self.conf, **OWN.get(self.pool, {})}


class Conformance:
    """See the module.

    Args:
        engine: To run on; the gate's database is empty.
        directory: For logs and history; empty.
    """

    def __init__(self, engine: Engine, directory: Path) -> None:
        self._engine, self._directory = engine, directory
        (directory / "history").mkdir(parents=True)
        self._app: Celery = make_app(**engine.settings())
        self._gate = redis.Redis.from_url(engine.gate)
        self._watch = Watch(directory / "history")
        self._results: dict[tuple[str, int], AsyncResult] = {}
        self._plain: dict[int, AsyncResult] = {}
        self._workers: list[Worker] = []

    def run(self) -> list[str]:
        """Return what is wrong; empty: the engine conforms."""
        try:
            for number in range(2):
                self._workers.append(self._worker(f"w{number}"))
            for worker in self._workers:
                worker.ready()
            self._send()
            beside = self._kill()
            until(lambda: not self._watch.missing(), lambda: f"{self._watch.missing()}: {self._logs()}", WITHIN)
            until(lambda: not self._left(), lambda: f"{self._left()}: {self._logs()}", WITHIN)
            self._crash()
            return [*beside, *self._wrong_results(), *judge(load([self._directory / "history"]))]
        finally:
            self._close()

    def _worker(self, name: str, *, crash: bool = False) -> Worker:
        engine = self._engine
        slots = 1 if engine.pool == "solo" else 4
        return Worker(
            *(self._directory, name, engine.settings(), slots),
            options=("--without-mingle", "--without-gossip"),
            pool=engine.pool,
            module="tests.compatibility.conformance.app",
            environment={CRASH: "1"} if crash else None,
        )

    def _send(self) -> None:
        """Send the groups in turn, half of it one by one and half in bulk, and plain tasks between."""
        step, plain = self._app.tasks["conformance.step"], self._app.tasks["conformance.plain"]
        plan = [(f"g{group}", seq) for seq in range(EACH) for group in range(GROUPS)]
        half = len(plan) // 2
        for number, (group, seq) in enumerate(plan[:half]):
            self._results[group, seq] = step.delay(group, seq, SECONDS, _deed(group, seq))
            self._note_sent(group, seq)
            if number < PLAIN:
                self._plain[number] = plain.delay(number)
        sent = park_many(step.s(group, seq, SECONDS, _deed(group, seq)) for group, seq in plan[half:])
        for (group, seq), result in zip(plan[half:], sent, strict=True):
            self._results[group, seq] = result
            self._note_sent(group, seq)

    def _note_sent(self, group: str, seq: int) -> None:
        result = self._results[group, seq]
        record(self._directory / "history" / "sent.jsonl", ev="sent", group=group, seq=seq, id=result.id)

    def _kill(self) -> list[str]:
        """Kill the worker whose run waits for it, when the plain tasks are done; return what is wrong before."""
        until(lambda: self._watch.starts("g0", DIES), self._logs, WITHIN)
        until(lambda: len(self._watch.look().plain) >= PLAIN, self._logs, WITHIN)
        if self._engine.backend is not None:  # a plain task whose worker dies before its result is stored has none
            until(lambda: all(result.ready() for result in self._plain.values()), self._logs, WITHIN)
        waits = bool(self._watch.missing())
        # What has ended and is not told, because its backend is slow to store it, would rightly run again.
        until(lambda: self._running() <= len(self._watch.look().open), self._logs, WITHIN)
        victim = self._watch.starts("g0", DIES)[0]["worker"]
        next(worker for worker in self._workers if worker.hostname == victim).kill()
        return [] if waits else ["plain tasks waited for the groups"]

    def _crash(self) -> None:
        """Let a worker die between a release and its ticket, and another one find that out."""
        if not self._engine.crash:
            return
        for worker in self._workers:
            worker.close()
        dying = self._worker("w2", crash=True)
        self._workers.append(dying.ready())
        step = self._app.tasks["conformance.step"]
        for seq in range(EACH // 2):
            for group in CRASHING:
                self._results[group, seq] = step.delay(group, seq, BURST_SECONDS / 2, _deed(group, seq))
                self._note_sent(group, seq)
        until(lambda: not dying.alive, self._logs, WITHIN)
        assert self._watch.missing(), "it has not died between a release and its ticket"
        self._workers.append(self._worker("w3").ready())
        until(lambda: not self._watch.missing(), lambda: f"{self._watch.missing()}: {self._logs()}", WITHIN)
        until(lambda: not self._left(), lambda: f"{self._left()}: {self._logs()}", WITHIN)

    def _running(self) -> int:
        return sum(b"\nr " in state for state in self._gate.hvals("{groupfifo:0}:groups"))

    def _left(self) -> list[str]:
        names = {raw.decode().rpartition("}:")[2]: raw for raw in self._gate.scan_iter("*{groupfifo:0}:*", count=1000)}
        left = {name: raw for name, raw in names.items() if not lasts(name)}
        return [name for name, raw in left.items() if name != "due" or not only_leases(self._gate, raw)]

    def _wrong_results(self) -> Iterator[str]:
        if self._engine.backend is None:
            return
        asked = {place: result for place, result in self._results.items() if place[1] in ASKED or place == ("g0", DIES)}
        for (group, seq), result in asked.items():
            value = result.get(timeout=WITHIN, propagate=False)
            failed = _deed(group, seq) == "fail"
            if (result.state, value) != ("SUCCESS", seq) if not failed else result.state != "FAILURE":
                yield f"{group}#{seq} has the result {value!r}, {result.state}"
        for number, result in list(self._plain.items())[:5]:
            if result.get(timeout=WITHIN, propagate=False) != number:
                yield f"plain task {number} has the result {result.result!r}"

    def _logs(self) -> str:
        return "\n".join(worker.log[-1500:] for worker in self._workers)

    def _close(self) -> None:
        for worker in self._workers:
            worker.close()
        for result in (*self._results.values(), *self._plain.values()):
            let_go(result)
        self._app.close()
        self._gate.close()


def _deed(group: str, seq: int) -> str:
    return "die" if (group, seq) == ("g0", DIES) else DEEDS.get(seq, "")


def judge(events: list[Event]) -> list[str]:
    """Return what is wrong with a history."""
    found = [f"{name}: {offenders[:3]}" for name, offenders in problems(events, {}).items()]
    attempts: dict[tuple[str, int], int] = {}
    for event in events:
        if event["ev"] == "start":
            place = event["group"], event["seq"]
            attempts[place] = max(attempts.get(place, 0), event["attempt"])
    for (group, seq), most in sorted(attempts.items()):
        wanted = 2 if _deed(group, seq) == "retry" else 1
        if most != wanted:
            found.append(f"{group}#{seq} had {most} attempts instead of {wanted}")
    lost = [each["lost"] for each in events if each["ev"] == "start" and (each["group"], each["seq"]) == ("g0", DIES)]
    if lost != [0, 1]:
        found.append(f"what the killed worker ran was run with these losses: {lost}")
    return [*found, *_wrong_plain(events)]


def _wrong_plain(events: list[Event]) -> Iterator[str]:
    """Say how often plain tasks ran: once. What the killed worker has acknowledged may not have gone out yet."""
    died = ("start", "g0", DIES)
    victim = next(each["worker"] for each in events if (each["ev"], each.get("group"), each.get("seq")) == died)
    runs: dict[int, list[str]] = {number: [] for number in range(PLAIN)}
    for each in events:
        if each["ev"] == "plain":
            runs[each["number"]].append(each["worker"])
    for number, workers in runs.items():
        if len(workers) != 1 and workers[:-1] != [victim]:
            yield f"plain task {number} ran in {workers}"
