"""The manager that starts, scales, reloads and stops the workers of one machine."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from celery import Celery

from celery_groupfifo.cluster.instance import Instance
from celery_groupfifo.cluster.processes import table
from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.masks import masked, variable_of

#: Seconds that a worker has to start, also on a loaded machine.
START_SECONDS = 60.0
#: Seconds that a worker has to end its tasks after SIGTERM, and again after SIGQUIT: the time that orchestrators give.
STOP_SECONDS = 30.0
_LOOK_SECONDS = 0.1
_RECIPE = "cluster.json"


class ClusterError(GroupFifoError):
    """The cluster can't do that."""


@dataclass(frozen=True)
class Recipe:
    """The options that the instances of a cluster are started with.

    Attributes:
        app: As for `celery -A`.
        concurrency: Slots per instance; None: the app's setting.
        options: More words for `celery worker`.
        stem: First part of the instances' names.
    """

    app: str
    concurrency: int | None = None
    options: tuple[str, ...] = ()
    stem: str = "messages-worker"

    def save(self, directory: Path) -> None:
        """Save the recipe in the directory, for later commands."""
        (directory / _RECIPE).write_text(json.dumps(asdict(self)) + "\n")

    @staticmethod
    def kept(directory: Path) -> dict[str, Any]:
        """Return the saved options, or {}."""
        file = directory / _RECIPE
        return dict(json.loads(file.read_text())) if file.exists() else {}


class Cluster:
    """The workers of one directory.

    Args:
        directory: Holds pid files and logs.
        recipe: Options for new instances.
        app: The loaded app; workers are asked through its broker.
        say: Called with a line per step.
    """

    def __init__(self, directory: Path, recipe: Recipe, app: Celery, say: Callable[[str], None] = print) -> None:
        self.directory, self.recipe, self.app, self.say = directory, recipe, app, say

    # -- instances ------------------------------------------------------------

    def instances(self) -> list[Instance]:
        """Return the instances that have a pid file, by number; they may have died."""
        pattern = re.compile(re.escape(self.recipe.stem) + r"-(\d+)\.pid")
        found = [pattern.fullmatch(file.name) for file in self.directory.glob("*.pid")]
        return [self.instance(number) for number in sorted(int(match[1]) for match in found if match)]

    def instance(self, number: int) -> Instance:
        """Return the instance with a number."""
        return Instance(self.directory, self.recipe.stem, number)

    def alive(self) -> list[Instance]:
        """Return the instances whose process lives."""
        processes = table()
        return [each for each in self.instances() if each.process(processes)]

    # -- commands -------------------------------------------------------------

    def start(self, count: int) -> None:
        """Start a cluster.

        Args:
            count: Instances to start.

        Raises:
            ClusterError: One is running here already, or a worker does not start.
        """
        alive = self.alive()
        if alive:
            raise ClusterError(f"{len(alive)} instances are running already: scale, reload or stop them.")
        self._launch([self.instance(number) for number in range(1, count + 1)])

    def scale(self, count: int) -> None:
        """Start or stop instances until there are `count`.

        Dead ones are started again; the highest numbers are stopped.

        Args:
            count: Instances that shall run.

        Raises:
            ClusterError: A worker does not start.
        """
        alive = {each.number: each for each in self.alive()}
        self._launch([self.instance(number) for number in range(1, count + 1) if number not in alive])
        self._end([each for number, each in alive.items() if number > count])

    def reload(self) -> None:
        """Replace every instance by a new one of the same name, one by one, never with fewer than before.

        A spare one starts first. Two workers with one name would both answer for it, so an instance ends before its
        successor starts.

        Raises:
            ClusterError: Nothing runs, or a new worker does not start: the others go on as they are.
        """
        alive = self.alive()
        if not alive:
            raise ClusterError("Nothing is running: start it.")
        spare = self.instance(alive[-1].number + 1)
        self._launch([spare])
        for each in alive:
            self._end([each])
            self._launch([each])
        self._end([spare])

    def stop(self) -> bool:
        """Stop all instances.

        Returns:
            False when one had to be killed.
        """
        ended = self._end(self.alive())
        for each in self.instances():
            each.pid_file.unlink(missing_ok=True)  # of an instance that had died
        return ended

    # -- parts -----------------------------------------------------------------

    def _launch(self, instances: Sequence[Instance]) -> None:
        recipe = self.recipe
        self.reach()
        options = [*(["-c", str(recipe.concurrency)] if recipe.concurrency else []), *recipe.options]
        environment = {"WORKER_CONCURRENCY": str(recipe.concurrency)} if recipe.concurrency else {}
        for each in instances:
            each.start(recipe.app, options, environment)
        waiting = {each.node: each for each in instances}
        deadline = time.monotonic() + START_SECONDS
        while waiting:
            processes = table()
            for each in waiting.values():
                if each.process(processes) is None:
                    each.pid_file.unlink(missing_ok=True)
                    raise ClusterError(f"{each.name} did not start. The end of {each.log}:\n{each.tail()}")
            if time.monotonic() > deadline:
                names = ", ".join(each.name for each in waiting.values())
                raise ClusterError(
                    f"{names} did not answer within {START_SECONDS:g} s; it goes on starting, see its log."
                )
            for node in self.ask("ping", waiting):
                self.say(f"{waiting.pop(node).name} is up")
                recipe.save(self.directory)  # only now: a recipe whose workers do not start is not worth keeping

    def _end(self, instances: Sequence[Instance]) -> bool:
        if not instances:
            return True
        self.say(f"SIGTERM to {_names(instances)}: running tasks end")
        left = self._tell(instances, lambda each: each.send(signal.SIGTERM))
        if left:
            self.say(f"SIGQUIT to {_names(left)}: running tasks go back to the heads of their groups")
            left = self._tell(left, lambda each: each.send(signal.SIGQUIT))
        for each in left:
            self.say(f"SIGKILL to {each.name}: its groups go on when its leases are over")
            each.kill()
        for each in instances:
            each.pid_file.unlink(missing_ok=True)
        return not left

    def _tell(self, instances: Iterable[Instance], tell: Callable[[Instance], None]) -> list[Instance]:
        """Send a signal to instances and wait; return those that still live."""
        left, started = list(instances), time.monotonic()
        for each in left:
            tell(each)
        while left and time.monotonic() - started < STOP_SECONDS:
            time.sleep(_LOOK_SECONDS)
            processes = table()
            for each in [each for each in left if each.process(processes) is None]:
                self.say(f"{each.name} has ended after {time.monotonic() - started:.1f} s")
                left.remove(each)
        return left

    def ask(self, verb: str, nodes: Iterable[str], seconds: float = 1.0) -> dict[str, Any]:
        """Ask workers through the broker, as `celery inspect` does.

        Args:
            verb: Of `celery inspect`.
            nodes: The workers' node names.
            seconds: To wait for answers.

        Returns:
            The answer of each node that answered.

        Raises:
            ClusterError: The broker can't be reached.
        """
        asked = list(nodes)
        try:
            inspect = self.app.control.inspect(destination=asked, timeout=seconds, limit=len(asked))
            return dict(getattr(inspect, verb)() or {})
        except Exception as error:  # the broker's client may raise anything
            raise self._unreachable(error) from error

    def reach(self) -> None:
        """Check that the broker can be reached: without it, workers would start and wait for ever.

        Raises:
            ClusterError: It can't.
        """
        try:
            with self.app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0.2, timeout=5)
        except Exception as error:  # the broker's client may raise anything
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> ClusterError:
        url = self.app.conf.broker_write_url
        variable = variable_of(url)
        remedy = (
            f"set {variable}, which names it" if variable else "tell the app where it is (REDIS_URL of the demo's app)"
        )
        return ClusterError(
            f"The broker at {masked(url)} can't be reached: {str(error).rstrip('.')}. Start it, or {remedy}."
        )


def _names(instances: Sequence[Instance]) -> str:
    return ", ".join(each.name for each in instances)
