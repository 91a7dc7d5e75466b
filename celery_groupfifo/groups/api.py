"""`Groups`: the operation of an app's groups."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from celery import Celery

from celery_groupfifo.errors import InvalidOption, UnknownGroup
from celery_groupfifo.gate.gate import Gate, gate_of
from celery_groupfifo.gate.keys import Keys, Quoted, quote
from celery_groupfifo.gate.observations import Observations
from celery_groupfifo.groups import audit, doctor, find, fleet, stats, status, verify
from celery_groupfifo.groups.arguments import checks_arguments
from celery_groupfifo.groups.controls import Controls
from celery_groupfifo.groups.dead_letters import DeadLetterGroups
from celery_groupfifo.groups.explain import Explainer
from celery_groupfifo.groups.letters import DeadLetters
from celery_groupfifo.groups.listing import list_groups
from celery_groupfifo.groups.operate import Operator
from celery_groupfifo.groups.pace import pace_of
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.report import Refusing, Report
from celery_groupfifo.groups.report import report as read_report
from celery_groupfifo.groups.stats import Stats
from celery_groupfifo.groups.terminate import terminate as end_run
from celery_groupfifo.groups.view import (
    Action,
    Breach,
    Check,
    Found,
    Group,
    Page,
    Parked,
    Sort,
    State,
    Worker,
)
from celery_groupfifo.groups.workers import Workers
from celery_groupfifo.sending.grouping import checked_key
from celery_groupfifo.sending.revoke import revoke_parked
from celery_groupfifo.settings import check_number, check_seconds


class Groups(Controls, DeadLetterGroups):
    """The groups of an app, for operators, dashboards and scripts.

    Each change is one atomic step, safe to repeat, logged under `celery_groupfifo.audit` and kept in a list at the
    gate. `by` names the operator; left out, the user and host of this process.

    A process that reads all the time is slowed down, so that the workers are not: after two seconds of CPU time it may
    spend a twentieth of the time on reading, with all of its `Groups` of a gate together. Changes, `verify`, `doctor`
    and processes with gevent or eventlet have no limit.

    The classes of the answers are in `celery_groupfifo.groups`: `Group`, `Running`, `Page`, `Parked`, `Found`,
    `Limit`, `DeadLetter`, `Redriven`, `Action`, `Stats`, `Report`, `Observed`, `Example`,
    `Breach`, `Check`, `Worker`.

    Args:
        app: The app.
        gate: Its gate, when there is one already.
        paced: Limit the time that is spent on reading. False: the caller has a limit of its own.

    Raises:
        InvalidSetting: A `groupfifo_` setting is wrong, or no Redis is known.

    Every method raises `GateUnavailable` when Redis can't be reached, `InvalidGroupKey` for an invalid key, and
    `InvalidOption` for a text or a switch of a wrong type.
    """

    def __init__(self, app: Celery, gate: Gate | None = None, paced: bool = True) -> None:
        self.app = app
        self.gate = gate or gate_of(app)
        free = Reader(self.gate)
        self._reader, self._examiner = Reader(self.gate, pace_of(self.gate)) if paced else free, free
        DeadLetterGroups.__init__(self, DeadLetters(self.gate, free))
        operator: Any = Refusing() if self.gate.settings.observes else Operator(app, self.gate, free)
        Controls.__init__(self, operator)

    def _look(self) -> None:
        """Read which version the stored state has, unless that is known; before each call."""
        self.gate.store.look()

    # -- read --------------------------------------------------------------

    def list(
        self, state: State | None = None, sort: Sort = "depth", limit: int = 100, cursor: str | None = None
    ) -> Page[Group]:
        """Return a page of the groups that hold tasks.

        Args:
            state: Only groups in this state. A paused group is listed while it is empty, too.
            sort: `depth` (the deepest first), `age` (the longest waiting first) or `key`. By key the order holds
                within a page.
            limit: Groups per page, at most.
            cursor: `.cursor` of the page before.

        Returns:
            A list whose `.cursor` is None after the last page. By key, a page of a rare `state` may be short, or empty,
            and still have a cursor. By depth and by age each page reads a few values of all groups.

        Raises:
            InvalidOption: A value does not work.
        """
        return list_groups(self._reader, state, sort, limit, cursor)

    def get(self, key: str) -> Group:
        """Return one group, with the names of its running tasks.

        Args:
            key: Of the group.

        Raises:
            UnknownGroup: It holds no task, and is not paused.
        """
        group = self._get(key)
        if group is None:
            raise UnknownGroup(f"Group {key!r} holds no task: it was never used, or all of its tasks have ended.")
        return group

    def tasks(self, key: str, limit: int = 100, offset: int = 0) -> builtins.list[Parked]:
        """Return the parked tasks of a group, in order, without the one under way.

        Args:
            key: Of the group.
            limit: Tasks at most.
            offset: From this place in line; the next page begins at the last task's `.place` + 1.

        Raises:
            InvalidOption: A value does not work.
        """
        check_number("limit", limit, 1)
        check_number("offset", offset, 0)
        return find.tasks_in_line(self._reader, checked_key(key, "this call"), limit, offset)

    def explain(self, key: str, ask_workers: bool = True) -> str:
        """Say in one sentence why the group moves or does not, and when next.

        Args:
            key: Of the group.
            ask_workers: Ask the living workers for what only they know (process ids, consumers of a queue): up to a
                second.
        """
        workers = Workers(self.app) if ask_workers else None
        keys, _ = self._keys_of(key)
        return Explainer(self.app, self._reader, workers).explain(
            keys, self._get(key), key, *self._letters.of_group(key)
        )

    def find(self, task_id: str) -> Found | None:
        """Return the place and state of a task; None when it is not at the gate (any more).

        A task that was set aside is found as a dead letter, with the reason.

        Args:
            task_id: Of the task.
        """
        found = find.find(self._reader, task_id)
        return find.with_traceback(self.app, found) if found else find.found_dead(self._letters.of_task(task_id))

    def stats(self) -> Stats:
        """Return the counts of the gate at this moment, and its totals since it was first used."""
        return stats.stats(self._reader)

    def report(self, limit: int = 100) -> Report:
        """Return what was counted with `groupfifo_mode="observe"`.

        Args:
            limit: Groups at most, those with the most breaches first.

        Raises:
            InvalidOption: A value does not work.
        """
        check_number("limit", limit, 1)
        return read_report(self._reader, limit)

    def reset_report(self) -> None:
        """Remove all that was counted with `groupfifo_mode="observe"`, and count from now on."""
        Observations(self.gate.store, self.gate.keyspace).forget()

    def actions(self, limit: int = 100, key: str | None = None) -> builtins.list[Action]:
        """Return the actions of operators, newest first; the gate keeps the last 1000.

        Args:
            limit: Actions at most.
            key: Of a group; None: on all.

        Raises:
            InvalidOption: A value does not work.
        """
        check_number("limit", limit, 1)
        return audit.actions(self._reader, limit, key)

    # -- change ------------------------------------------------------------

    def purge(self, key: str, reason: str = "", by: str = "") -> int:
        """Revoke every task of a group that does not run. Tasks sent meanwhile stay.

        Args:
            key: Of the group.
            reason: For the audit.
            by: For the audit; empty: the user and host of this process.

        Returns:
            The number of tasks that were taken out: REVOKED, but for a head that had failed and blocked the group.
        """
        return self._operator.purge([checked_key(key, "this call")], reason, by)[key]

    def purge_many(self, keys: Sequence[str], reason: str = "", by: str = "") -> dict[str, int]:
        """Purge many groups as `purge` does, many in a call: two hundred thousand of them take some seconds.

        The audit has one line for all of them, with their number and the first keys.

        Args:
            keys: Of the groups.
            reason: For the audit.
            by: For the audit; empty: the user and host of this process.

        Returns:
            For each key the number of tasks that were taken out.
        """
        if not isinstance(keys, (list, tuple)) or not all(isinstance(key, str) for key in keys):
            raise InvalidOption(f"keys={keys!r} does not work: give a list of keys.")
        every = [checked_key(key, "this call") for key in keys]
        return self._operator.purge(every, reason, by) if every else {}

    def skip(self, key: str, expected: str, reason: str = "", by: str = "") -> bool:
        """Take out the head of a group, when it does not run; the next one goes on.

        Args:
            key: Of the group.
            expected: The head's id, as the caller saw it.
            reason: For the audit.
            by: For the audit; empty: the user and host of this process.

        Returns:
            True when it is REVOKED now; False when it had failed and blocked its group: it stays FAILURE.

        Raises:
            HeadChanged: Another task is the head by now.
            WrongState: It runs.
            UnknownGroup: The group is empty.
        """
        return self._operator.skip(checked_key(key, "this call"), expected, reason, by)

    def drop(self, key: str, expected: str, reason: str = "", by: str = "") -> bool:
        """Skip the head as `skip` does, and keep it among the dead letters, from where `redrive` brings it back.

        A dead letter of a head that had failed keeps its exception.

        Args:
            key: Of the group.
            expected: The head's id, as the caller saw it.
            reason: For the audit.
            by: For the audit; empty: the user and host of this process.

        Returns:
            See `skip`.

        Raises:
            HeadChanged, WrongState, UnknownGroup: See `skip`.
        """
        return self._operator.skip(checked_key(key, "this call"), expected, reason, by, drops=True)

    def retry(self, key: str, by: str = "") -> None:
        """Release a held or blocked head now: one that waits for its retry, or whose failure blocks the group.

        Args:
            key: Of the group.
            by: For the audit; empty: the user and host of this process.

        Raises:
            WrongState: There is no such head, or the group is paused.
        """
        self._operator.retry(checked_key(key, "this call"), by)

    def revoke(self, task_id: str, by: str = "") -> bool:
        """Revoke a task that does not run yet.

        Args:
            task_id: Of the task.
            by: For the audit; empty: the user and host of this process.

        Returns:
            False when it is not at the gate, or runs: then `terminate` it. Also when its failure blocks its group: that
            ends with `retry`, `skip` or `drop`.
        """
        found = sorted(find.find_all(self._examiner, task_id), key=lambda found: found.state == "running")
        if not found:
            return False
        note = audit.new_note("revoke", found[0].key, by, task_id=task_id)
        done = revoke_parked(self.app, task_id, note)
        if done:
            audit.log(note, task_id)
        return done

    def terminate(self, task_id: str, reason: str = "", by: str = "") -> Found:
        """Terminate the run of a task; it becomes REVOKED, and its group goes on when the run is over.

        The worker that runs it has to answer, for up to four seconds, and its pool has to be able to: prefork, gevent
        and eventlet end a run; threads can't, and solo hears nothing while a task runs. The audit has it before the
        worker is told.

        Args:
            task_id: Of the task.
            reason: For the audit.
            by: For the audit; empty: the user and host of this process.

        Returns:
            The run.

        Raises:
            UnknownTask: The task is not at the gate.
            WrongState: It does not run, or its worker does not answer, or can't end it.
            GroupFifoError: The worker could not be asked.
        """
        return end_run(self.app, self._examiner, task_id, reason, by)

    def move(self, old: str, new: str, reason: str = "", by: str = "") -> int:
        """Move the parked tasks of one group to the tail of another, in their order. A task under way stays.

        Args:
            old: Key of the group.
            new: Key of the other group.
            reason: For the audit.
            by: For the audit; empty: the user and host of this process.

        Returns:
            The number of moved tasks.

        Raises:
            GroupDraining: The new group takes no tasks.
            GroupFifoError: The two are in different partitions.
        """
        return self._operator.move(checked_key(old, "this call"), checked_key(new, "this call"), reason, by)

    # -- examine -----------------------------------------------------------

    def verify(self, repair: bool = False) -> builtins.list[Breach]:
        """Check the stored state for inconsistencies; see docs/operations.md for each.

        Args:
            repair: True: repair those that can be repaired.
        """
        return verify.verify(self._examiner, repair)

    def status(self, longer: float = 900.0) -> builtins.list[Check]:
        """Say what is wrong now: groups that do not move, workers that do not answer, dead letters.

        It reads a little of every group, and asks the workers: up to two seconds.

        Args:
            longer: Seconds after which a group that waits, or whose head is held, is a finding.

        Returns:
            The checks `blocked`, `held`, `waiting`, `dead_letters`, `workers`, `consumers` and `silent`; `.found` has
            the groups, queues or workers.

        Raises:
            InvalidOption: A value does not work.
        """
        check_seconds("longer", longer)
        return status.status(self.app, self._reader, longer)

    def workers(self) -> builtins.list[Worker]:
        """Return the workers: those that answer within a second, and the silent ones that hold leases.

        Raises:
            GroupFifoError: They could not be asked.
        """
        return fleet.roster(self.app, self._reader)

    def doctor(self) -> builtins.list[Check]:
        """Check the surroundings of the gate; each finding says why it matters, and what to do."""
        return doctor.doctor(self.app, self._examiner)

    # -- parts -------------------------------------------------------------

    def _keys_of(self, key: str) -> tuple[Keys, Quoted]:
        group = quote(checked_key(key, "this call"))
        return self.gate.home(group), group

    def _get(self, key: str) -> Group | None:
        keys, group = self._keys_of(key)
        found = self._reader.groups(keys, [group], details=True)
        return find.with_error(self.app, found[0]) if found else None


checks_arguments(Groups)
