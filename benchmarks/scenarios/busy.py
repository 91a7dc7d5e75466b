"""The CPU time of a busy server for an ordered task, from its send to its end, by this package and by GroupMQ.

On both sides one client plays all senders and workers, with as many calls under way at once as make the server busy,
tasks do nothing, and their bodies have the same size. It is the server's CPU that is compared: the speed of the client
is that of its language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import groupmq
from benchmarks.bench import LIVE, Bench
from benchmarks.scenarios.base import Metrics
from benchmarks.scenarios.player import BODY, ROUNDS, Game, Player, Servers
from benchmarks.scenarios.watch import server_seconds

GROUPS, RUNNING = 300, 50
#: 50 calls in a write; the heads of the groups that do not run wait in the queue.
GAME = Game(groups=GROUPS, running=RUNNING, together=25, take="lists")


@dataclass
class Busy:
    """Tasks of 300 groups, of which 50 run.

    Attributes:
        count: Tasks of a round.
        folder: With GroupMQ's packages; None: there is no such arm.
    """

    count: int
    folder: Path | None
    name: str = "busy server"
    repeatable: bool = True

    @property
    def arms(self) -> Mapping[str, str]:
        """Return the arms, see `Scenario`."""
        return dict.fromkeys([groupmq.NAME, "grouped"] if self.folder else ["grouped"], "")

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Measure an arm, see `Scenario`.

        Returns:
            Of the best round: `cpu_us`, the CPU time of the server's main thread per task. GroupMQ's also in its parts,
            `add_us` and `work_us`.
        """
        bench.clear()
        rounds = self._ours(bench) if arm == "grouped" else self._theirs(bench)
        return min(rounds, key=lambda each: each["cpu_us"])

    def close(self, bench: Bench) -> None:
        """Empty the databases, see `Scenario`."""
        bench.clear()

    def _ours(self, bench: Bench) -> list[Metrics]:
        player = Player(Servers(f"{bench.server.url}/{LIVE}", [bench.client], {"groupfifo:0": 0}), GAME)
        rounds = [player.play(self.count) for _ in range(ROUNDS)]
        player.close()
        return rounds

    def _theirs(self, bench: Bench) -> list[Metrics]:
        assert self.folder is not None
        peer, rounds = bench.groupmq(self.folder), []
        for _ in range(ROUNDS):
            before = server_seconds(bench.client)
            peer.ask("add", count=self.count, groups=GROUPS, bytes=BODY)
            added = server_seconds(bench.client)
            peer.ask("work", count=self.count, slots=RUNNING)
            worked = server_seconds(bench.client)
            peer.ask("rest")
            add, work = ((seconds * 1e6 / self.count) for seconds in (added - before, worked - added))
            rounds.append({"cpu_us": add + work, "add_us": add, "work_us": work})
        return rounds
