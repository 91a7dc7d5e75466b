"""The faults of the day, and what operators do: kills, stalls, restarts, pauses, a lost data centre, a clock."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rehearsal.crew import Crew, Worker
from rehearsal.stage import LISTS, Stage

#: Leases until a killed or restarted worker is back.
BACK = (0.05, 1.5)
#: Leases that a stall lasts: some end in time, some do not.
STALL = (0.2, 3.0)
#: Tasks that are sent for each pause of a group; and the longest pause, as a share of the day.
PAUSES, PAUSED = 432, 1 / 24
#: When nearly all workers die at once, and for how long, as shares of the day; and how many of them stay.
DISASTER, DARK, STAYS = 0.55, 1 / 48, 0.005
#: When the clock of Redis jumps, and how many leases ahead.
JUMP, LEASES = 0.35, 2
#: When all workers are restarted one after the other, and within which share of the day.
DEPLOY, WITHIN = 0.75, 0.05


class Faults:
    """The faults of the day.

    Args:
        stage: Of the rehearsal.
        crew: To harm.
    """

    def __init__(self, stage: Stage, crew: Crew) -> None:
        self._stage, self._crew, self._chance = stage, crew, stage.chance
        plan = stage.plan
        for do in (self._kill_one, self._stall, self._restart_one):
            self._every(86_400 / max(plan.workers * plan.deaths, 1e-9), do)
        self._every(PAUSES / plan.rate, self._pause)
        stage.agenda.after(plan.seconds * DISASTER, self._disaster)
        stage.agenda.after(plan.seconds * JUMP, self._jump)
        stage.agenda.after(plan.seconds * DEPLOY, self._deploy)

    def _every(self, seconds: float, do: Callable[[], None]) -> None:
        """Do something by chance, so often on the average, as long as there are faults."""

        def next_one() -> None:
            if self._stage.faulty:
                do()
                self._stage.agenda.after(self._chance.expovariate(1 / seconds), next_one)

        self._stage.agenda.after(self._chance.expovariate(1 / seconds), next_one)

    def kill(self, worker: Worker) -> None:
        """Kill a worker: what it has not told the gate by now, it never will."""
        if worker.alive and len(self._crew.living) > 1:
            self._stage.judge.counts["killed"] += 1
            self._crew.leave(worker)
            self._come_back()

    def _come_back(self) -> None:
        pause = self._chance.uniform(*BACK) * self._stage.plan.lease
        self._stage.agenda.after(pause, self._crew.join)

    def _kill_one(self) -> None:
        worker = self._crew.any(busy=self._chance.random() < 0.5)
        if worker is not None:
            self.kill(worker)

    def _stall(self) -> None:
        worker = self._crew.any(busy=self._chance.random() < 0.5)
        if worker is not None:
            self._stage.judge.counts["stalled"] += 1
            lasts = self._chance.uniform(*STALL) * self._stage.plan.lease
            worker.stalled_until = self._stage.agenda.now + int(lasts * 1e6)

    def _restart_one(self) -> None:
        worker = self._crew.any()
        if worker is not None:
            self._restart(worker)

    def _restart(self, worker: Worker) -> None:
        """Stop a worker, which gives back all that it has, and start another one."""
        if not worker.alive or worker.stalled or len(self._crew.living) < 2:
            return
        stage = self._stage
        stage.judge.counts["restarted"] += 1
        given = [run for run in worker.runs.values() if run.ticket.fence]
        self._crew.leave(worker)
        stage.directly(lambda: stage.gate.surrender([(run.ticket, False) for run in given], LISTS))
        for run in given:
            stage.judge.given_back(run.id, run.group, run.ticket.fence)
        stage.directly(lambda: stage.gate.leave(worker.owner, LISTS))
        stage.judge.left(worker.owner)
        self._come_back()

    def _deploy(self) -> None:
        for worker in list(self._crew.living):
            self._stage.agenda.after(
                self._chance.uniform(0, self._stage.plan.seconds * WITHIN), partial(self._restart, worker)
            )

    def _disaster(self) -> None:
        """Kill nearly all workers at once."""
        stays = max(1, int(self._stage.plan.workers * STAYS))
        dark = self._stage.plan.seconds * DARK
        for worker in self._crew.living[stays:]:
            self._stage.judge.counts["killed"] += 1
            self._crew.leave(worker)
            self._stage.agenda.after(dark + self._chance.uniform(0, 60), self._crew.join)

    def _jump(self) -> None:
        """Set the clock of Redis ahead by more than a lease: it looks like a time without sweeps."""
        seconds = LEASES * self._stage.plan.lease
        self._stage.wire.flush()
        self._stage.jump(seconds)
        self._stage.judge.jumped(int(seconds * 1000), {str(worker.owner) for worker in self._crew.living})

    def _pause(self) -> None:
        stage = self._stage
        group = stage.judge.any_group(self._chance)
        if group is None:
            return
        stage.judge.counts["paused"] += 1
        stage.directly(lambda: stage.groups.pause(group, by="rehearsal"))
        stage.judge.paused(group)
        stage.agenda.after(self._chance.uniform(0, stage.plan.seconds * PAUSED), partial(self._resume, group))

    def _resume(self, group: str) -> None:
        stage = self._stage
        stage.wire.flush()
        stage.judge.resumed(group)
        stage.directly(lambda: stage.groups.resume(group, by="rehearsal"))
