"""The plot of the demo: start, send, kill a worker half-way, wait, stop, judge."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.testing import embedded
from celery_groupfifo.testing.checker import check, summary
from celery_groupfifo.testing.history import Tail, load, record
from demo import display as displays
from demo.crew import Crew, CrewError
from demo.display import Display
from demo.messages import FAILS_ONE_IN
from demo.options import Options
from demo.progress import Progress, WorkerState
from demo.report import plural, recovery, verdict_text, worker_table
from demo.shared import line_of_our_own, remove_keys

_TICK_SECONDS = 0.05
_START_SECONDS = 90.0
_FLOWER_RATE = 12.0
INTERRUPTED = 130


class StalledError(Exception):
    """A demo in which no event has happened for too long."""


def run(options: Options) -> int:
    """Play the demo and leave no process running, however it ends.

    Args:
        options: of the demo.

    Returns:
        The exit code: 0 for a clean verdict, 1 for any other end, 130 for Ctrl-C.
    """
    _prepare(options)
    _hear_signals(signal.default_int_handler)
    display = displays.choose(plain=options.plain, slots=options.concurrency)
    try:
        # Closed in reverse: the processes before their server, the screen last.
        with ExitStack() as closing:
            closing.callback(display.freeze)
            server = closing.enter_context(embedded.start())
            display.say(server.description)
            line = "" if server.pid else line_of_our_own()
            if line:
                closing.callback(remove_keys, server.url, line)
            crew = Crew(options, server.url, line)
            closing.callback(crew.close)
            closing.callback(_hear_signals, signal.SIG_IGN)
            return 0 if Plot(options, crew, display).play() else 1
    except KeyboardInterrupt:
        display.say("Interrupted; everything is stopped.", "yellow")
        return INTERRUPTED
    except (CrewError, StalledError, GroupFifoError) as error:
        display.say(str(error), "red")
        return 1


def _prepare(options: Options) -> None:
    options.history.mkdir(parents=True, exist_ok=True)
    for old in (*options.history.glob("*.jsonl"), *options.directory.glob("*.log")):
        old.unlink()


def _hear_signals(handler: Callable[..., object] | signal.Handlers) -> None:
    # SIGTERM and a closed terminal clean up as Ctrl-C does; and no signal may interrupt the cleaning.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


class Plot:
    """One play of the demo."""

    def __init__(self, options: Options, crew: Crew, display: Display) -> None:
        self.options = options
        self.crew = crew
        self.display = display
        self.progress = Progress()
        self._tail = Tail(options.history)
        self._started = self._moved = time.monotonic()
        self._killed: float | None = None

    def play(self) -> bool:
        """Play all acts; return whether the verdict is clean."""
        self.start()
        self.lose_a_worker()
        self.wait("all messages to end", lambda: self.progress.done >= self.options.tasks)
        self.say(f"{self.progress.done} messages done")
        if self.options.flower:
            self.keep_flowing()
        return self.end()

    def start(self) -> None:
        """Start workers, then producers."""
        options = self.options
        self.say(f"{plural(options.workers, 'worker')} with {plural(options.concurrency, 'slot')} each: starting")
        for _ in range(options.workers):
            self.crew.start_worker()
        self.wait("the workers to start", lambda: self._workers_up() == options.workers, _START_SECONDS)
        self.say(
            f"they are up; {options.producers} producers send {options.tasks} messages, "
            f"of which one in {FAILS_ONE_IN} fails at first"
        )
        if options.flower:
            self.say(f"Flower, with a tab for groups: {self.crew.start_flower()}", "bold")
        self.crew.start_producers(then=_FLOWER_RATE if options.flower else None)

    def lose_a_worker(self) -> None:
        """Wait until half of the messages are done, kill the busiest worker, start another one."""
        half = self.options.tasks // 2
        self.wait("half of the messages", lambda: self.progress.done >= half and self.progress.busy > 0)
        victim = max(self.progress.workers.values(), key=lambda worker: len(worker.busy))
        self.kill(victim)
        self.say(
            f"{half} done: SIGKILL to {victim.name} (processes {_list(victim.pids)}), "
            f"in the middle of {plural(self.progress.groups_in('cut off'), 'message')}",
            "bold red",
        )
        self._killed = time.monotonic()
        newcomer = self.crew.start_worker()
        self.say(
            f"{newcomer.name} is starting; the groups of the lost one wait until its leases are over "
            f"({self.options.lease_ttl:g} s here, 30 s by default), all others go on"
        )

    def kill(self, victim: WorkerState) -> None:
        """Kill a worker and its children at once, and record it before and after."""
        [process] = [it for it in self.crew.workers if it.name == victim.name.partition("@")[0]]
        victim.pids.add(process.pid)
        file = self.options.history / "nemesis.jsonl"
        record(file, ev="kill", target=sorted(victim.pids), worker=victim.name)
        process.kill()
        # A child whose first task started just now is only known from the history.
        self._look()
        record(file, ev="kill", target=sorted(victim.pids), worker=victim.name)

    def keep_flowing(self) -> None:
        """Let messages go on until Ctrl-C, then wait for those on their way."""
        self._judge(interim=True)
        self.say(f"{_FLOWER_RATE:g} messages a second go on; look at Flower, and end with Ctrl-C", "bold")
        try:
            while True:
                self._tick()
        except KeyboardInterrupt:
            self.say("the producers stop; the messages on their way arrive")
        self.crew.stop_producers()
        self.wait("the last messages to end", lambda: self.progress.unfinished == 0)

    def end(self) -> bool:
        """Stop the workers, show the figures, judge."""
        self.wait("the producers to end", lambda: all(it.exit_code is not None for it in self.crew.producers))
        alive = sum(worker.exit_code is None for worker in self.crew.workers)
        self.say(f"SIGTERM to {plural(alive, 'worker')}")
        seconds = self.crew.stop_workers()
        self.say(f"all had ended after {seconds:.1f} s")
        self.display.freeze()
        return self._judge()

    def wait(self, what: str, until: Callable[[], bool], seconds: float | None = None) -> None:
        """Follow the history until a condition holds.

        Args:
            what: the awaited thing, for the error.
            until: the condition.
            seconds: the longest time without any event; None: enough for a lost worker's leases.

        Raises:
            StalledError: no event happened for that long.
        """
        self._moved = time.monotonic()
        limit = seconds or 4 * self.options.lease_ttl + 20
        while not until():
            self._tick()
            if time.monotonic() > self._moved + limit:
                self.display.freeze()
                self._judge()
                raise StalledError(f"waited for {what}, but nothing has happened for {limit:.0f} s; see the logs")

    def say(self, text: str, style: str = "") -> None:
        """Show a line that stays, with the time since the start."""
        self.display.say(f"{self._seconds:6.1f} s  {text}", style)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _tick(self) -> None:
        # Sleep first, then read: a caller that waited for a condition acts on fresh data.
        time.sleep(_TICK_SECONDS)
        self.crew.check()
        self._look()
        self.display.update(self.progress, max(self.options.tasks, self.progress.sent), self._seconds)

    def _look(self) -> None:
        if events := self._tail.read():
            self._moved = time.monotonic()
            self.progress.feed(events)
        if self._killed and not self.progress.groups_in("cut off"):
            self.say(f"every group goes on, {time.monotonic() - self._killed:.1f} s after the kill", "bold")
            self._killed = None

    def _workers_up(self) -> int:
        return sum(worker.up for worker in self.progress.workers.values())

    def _judge(self, *, interim: bool = False) -> bool:
        events = load([self.options.history])
        verdict, figures = check(events, drained=not interim), summary(events)
        if not interim:
            parts = worker_table(figures, self.options.concurrency), recovery(figures)
            self.display.say("".join(f"\n{part}\n" for part in parts if part))
        self.display.say(verdict_text(verdict, figures, interim=interim), "bold green" if verdict.clean else "bold red")
        return verdict.clean


def _list(pids: set[int]) -> str:
    return ", ".join(map(str, sorted(pids)))
