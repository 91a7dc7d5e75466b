"""The rules of Celery's pools: what each allows at the end of a run, and how to check that it still has a run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from billiard.einfo import ExceptionInfo
from celery.concurrency import prefork as celery_prefork
from celery.concurrency import solo, thread
from celery.concurrency.base import BasePool

from celery_groupfifo.worker import prefork
from celery_groupfifo.worker.background import Background
from celery_groupfifo.worker.request import GroupRequest
from celery_groupfifo.worker.run import State
from celery_groupfifo.worker.trace import in_pool

if TYPE_CHECKING:
    from celery_groupfifo.worker.loop import Loop
    from celery_groupfifo.worker.run import Run


class Pool:
    """A pool of an unknown kind.

    Its callbacks may run anywhere, in an event loop of its own for example. So they never wait for the gate, and the
    next task is given to it from the consumer's loop: some pools allow no new task from a callback.

    Args:
        pool: Celery's.
        loop: The consumer's.

    Attributes:
        waits: True when the end of a run may wait a moment for the gate in its thread.
        has_processes: True when runs are in processes of their own.
        runs_inline: True when runs are in the consumer's own thread.
        precomputes: True when handing over values of the main process saves time.
        answers_on_loop: True when the consumer's loop handles the gate's answers; False: a thread does.
    """

    waits = False
    runs_inline = False
    has_processes = False
    precomputes = False
    answers_on_loop = True

    def __init__(self, pool: Any, loop: Loop) -> None:
        self.celery, self._loop = pool, loop

    @property
    def terminates(self) -> bool:
        """Return whether the pool can end a run from outside."""
        return getattr(self.celery.terminate_job, "__func__", None) is not BasePool.terminate_job

    def install(self) -> None:
        """Run tasks of groups through trace.py, and make the pool report every end."""
        apply_async = self.celery.apply_async

        def ours(target: Callable[..., Any], args: Any = None, kwargs: Any = None, **options: Any) -> Any:
            request = getattr(options.get("callback"), "__self__", None)
            if isinstance(request, GroupRequest):
                target, args = self._target(target, options), (*args, request.carried)
            return apply_async(target, args, kwargs, **options)

        self.celery.apply_async = ours

    def _target(self, target: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
        # A child process reports an exception outside of a task (a result that can't be stored, for example) as the
        # task's failure. A thread or a greenlet just ends, and no callback would be called.
        return partial(_run_reporting, options.get("error_callback"), in_pool(target))

    def start(self, jobs: Callable[[], list[Any]]) -> None:
        """Prepare a started pool; `jobs` returns the jobs of ours that it was given."""

    def reference(self, job: Any) -> Callable[[], Any]:
        """Return a function that finds a job again, as Celery keeps no reference."""
        return lambda: job

    def stop(self) -> None:
        """Drop the calls that are left: the pool is down."""

    def give(self, step: Callable[[], Any]) -> None:
        """Give the pool a task that came through the broker."""
        step()

    def pass_on(self, step: Callable[[], Any]) -> None:
        """Give the pool its next task, at the end of another."""
        self._loop.soon(step)

    def has(self, run: Run) -> bool:
        """Return whether the pool still has a run that it was given."""
        job = run.job() if run.job is not None else None
        return run.request is not None and not (job is not None and _is_done(job))

    def alive(self, pid: int) -> bool:
        """Return whether a process of the pool still lives."""
        return False

    def take_back(self, run: Run) -> bool:
        """Take back a run that waits in a stopping pool. Returns True when it will not run."""
        return False


class _AnyThread(Pool):
    """A pool that may be given its tasks from any thread."""

    @property
    def answers_on_loop(self) -> bool:  # type: ignore[override]
        """Return whether there is an event loop: without one the consumer looks for calls only every two seconds."""
        return self._loop.hub is not None

    def pass_on(self, step: Callable[[], Any]) -> None:
        """Give the pool its next task at once."""
        step()


class Prefork(_AnyThread):
    """Celery's pool of processes.

    Its callbacks run on the consumer's loop. Without a loop they run in a thread, where a full pool makes its caller
    wait: so tasks are given from another thread that does nothing else.
    """

    has_processes = True
    precomputes = True

    def __init__(self, pool: Any, loop: Loop) -> None:
        super().__init__(pool, loop)
        self._given = Background("groupfifo-given")

    def stop(self) -> None:
        """Stop giving tasks to the pool."""
        self._given.stop(within=0.0)

    def give(self, step: Callable[[], Any]) -> None:
        """Give the pool a task; without a loop from the thread."""
        if self._loop.hub is not None:
            step()
        else:
            self._given.submit(step)

    def _target(self, target: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
        return in_pool(target)

    def start(self, jobs: Callable[[], list[Any]]) -> None:
        """Let a flush of the pool keep our jobs."""
        prefork.keep_jobs(self.celery, jobs)

    def reference(self, job: Any) -> Callable[[], Any]:
        """Return a weak reference: the pool keeps a running job, and a strong one would be a cycle for each task."""
        return ref(job)

    def pass_on(self, step: Callable[[], Any]) -> None:
        """Give the pool its next task."""
        self.give(step)

    def has(self, run: Run) -> bool:
        """Return whether the pool will still report on a run."""
        if run.dying or run.in_hand:
            return True  # see Member.when_child_gone; or it waits for a place in a full pool
        job = run.job() if run.job is not None else None
        return job is not None and prefork.has_job(self.celery, job)

    def alive(self, pid: int) -> bool:
        """Return whether a child of the pool still lives."""
        return prefork.child_alive(self.celery, pid)

    def take_back(self, run: Run) -> bool:
        """Return whether a flush has dropped a run that no child has read."""
        return not self.has(run)


class Threads(_AnyThread):
    """Celery's pool of threads. Each of them may give it the next task, and wait a moment for the gate."""

    waits = True

    def take_back(self, run: Run) -> bool:
        """Cancel the run's future. Returns True when it will not run."""
        job = run.job() if run.job is not None else None
        return job is not None and bool(job.f.cancel())


class Greenlets(Pool):
    """Celery's pools of greenlets. A full one makes its caller wait, so a new greenlet gives it the next task."""

    waits = True

    def pass_on(self, step: Callable[[], Any]) -> None:
        """Give the pool its next task in a new greenlet."""
        self._loop.spawn(step)


class Solo(Pool):
    """Celery's pool that runs each task in the consumer's own loop."""

    waits = True
    runs_inline = True

    def pass_on(self, step: Callable[[], Any]) -> None:
        """Give the pool its next task at once."""
        step()

    def has(self, run: Run) -> bool:
        """Return whether a run is in progress or requested: while it runs, its thread does nothing else."""
        return run.state is State.STARTED or run.request is not None


def pool_of(pool: Any, loop: Loop) -> Pool:
    """Return the rules for one of Celery's pools."""
    if isinstance(pool, celery_prefork.TaskPool):
        return Prefork(pool, loop)
    if isinstance(pool, thread.TaskPool):
        return Threads(pool, loop)
    if isinstance(pool, solo.TaskPool):
        return Solo(pool, loop)
    if getattr(pool, "is_green", False):
        return Greenlets(pool, loop)
    return Pool(pool, loop)


def _is_done(job: Any) -> bool:
    for done in (getattr(getattr(job, "f", None), "done", None), getattr(job, "ready", None)):
        if callable(done):
            return bool(done())
    return False


def _run_reporting(
    failed: Callable[[ExceptionInfo], None] | None, target: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    try:
        return target(*args, **kwargs)
    except Exception:  # the job may raise anything; it is told as in other pools, and raised on
        if failed is not None:
            failed(ExceptionInfo(sys.exc_info()))
        raise


def before_soft_shutdown(worker: Any, call: Callable[[], None]) -> None:
    """Call when a worker that was told to stop starts to wait for its running tasks.

    Celery waits inside its signal handler, without an earlier signal or callback.
    """
    wait = worker.wait_for_soft_shutdown

    def waiting() -> None:
        if worker.app.conf.worker_soft_shutdown_timeout > 0:
            call()
        wait()

    worker.wait_for_soft_shutdown = waiting
