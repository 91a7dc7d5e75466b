"""The end of a run by an operator: the worker that holds its lease is told to terminate it."""

from __future__ import annotations

from celery import Celery

from celery_groupfifo.errors import GroupFifoError, UnknownTask, WrongState
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.records import FOLLOWS
from celery_groupfifo.groups import audit, find
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.view import Found, Running
from celery_groupfifo.groups.workers import Workers, pool_of
from celery_groupfifo.worker.inspect import STATS

#: Seconds to wait for each of the worker's answers.
PATIENCE = 2.0


def terminate(app: Celery, reader: Reader, task_id: str, reason: str, by: str) -> Found:
    """Terminate the run of a task, see `Groups.terminate`.

    Only the worker that has the lease is asked. Its statistics come first: what is sent to a worker that does not
    answer waits there, and would strike a later run; and a pool that can't end a run would note the task as revoked.
    """
    found = sorted(find.find_all(reader, task_id), key=lambda each: each.running is None)
    if not found:
        raise UnknownTask(f"Task {task_id} is not at the gate: it has ended, or was never sent. Nothing was done.")
    run = found[0].running
    if run is None:
        raise WrongState(f"Task {task_id} does not run, it is {found[0].state}: revoke it. Nothing was done.")
    if (leader := _leader(reader, found[0].key, run)) != task_id:
        raise WrongState(
            f"Task {task_id} runs in one batch with task {leader}, which comes before it: terminate that one, and the "
            "others go back to their line. Nothing was done."
        )
    workers = Workers(app, PATIENCE)
    _refuse_unable(workers, run)
    note = audit.new_note("terminate", found[0].key, by, reason, task_id=task_id)
    keys = reader.gate.home(quote(found[0].key))
    line = audit.keep(reader, keys, note)
    said = workers.ask(
        lambda inspect: inspect._request("revoke", task_id=task_id, terminate=True, signal="SIGTERM"), [run.worker]
    ).get(run.worker)
    audit.log(note, task_id)
    if said is None:
        raise WrongState(f"Worker {run.worker} was told to end task {task_id}, and has not answered: look at it again.")
    gone = str(said.get("ok", "")).endswith("tasks unknown")
    if gone or "error" in said:
        audit.take_back(reader, keys, line)
        raise WrongState(
            f"Task {task_id} runs on {run.worker} no more: look at it again. Nothing was done."
            if gone
            else f"Worker {run.worker} can't terminate task {task_id}: {said['error']}. Nothing was done."
        )
    return found[0]


def _leader(reader: Reader, key: str, run: Running) -> str:
    """Return the task that a run is: the first one of a batch, which the others follow; else its own."""
    group = quote(key)
    flights = reader.stored_groups(reader.gate.home(group), [group])[group].flights
    led = (flight.task_id for flight in flights if flight.fence == run.fence and flight.stop != FOLLOWS)
    return next(led, run.task_id)


def _refuse_unable(workers: Workers, run: Running) -> None:
    """Refuse where the worker of a run can't be asked, or can't end it."""
    worker, stats = run.worker, workers.stats([run.worker])
    if workers.error:
        raise GroupFifoError(f"Worker {worker} could not be asked: {workers.error}. Nothing was done.")
    if worker not in stats:
        raise WrongState(
            f"Worker {worker} does not answer, so it can't be told to end task {run.task_id}: it is frozen, killed or "
            "cut off from the broker, or its pool is solo, which hears nothing while a task runs. Nothing was done: "
            "end its process."
        )
    answer = stats[worker]
    if not (answer.get(STATS) or {}).get("terminates", True):
        raise WrongState(
            f"Worker {worker} can't end task {run.task_id}: its pool, {pool_of(answer)}, can't end a run. Nothing was "
            "done: wait for the end of the task, or end the worker's process."
        )


__all__ = ["terminate"]
