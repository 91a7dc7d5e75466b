"""The sizes of a rehearsal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """A day to rehearse.

    Attributes:
        workers: Virtual workers.
        slots: Tasks that each runs at once.
        groups: Group keys in use; few of them are hot.
        hours: Virtual hours of traffic. What is left then still runs to its end.
        rate: Tasks per virtual second, on the average of the day.
        work: Virtual seconds of the median task of a cold group; hot groups have shorter ones.
        seed: Of all chance.
        lease: Virtual seconds of a worker's lease.
        deaths: Kills of each worker in 24 hours; as many stalls and restarts come on top.
        lost: Share of the calls whose request or answer is lost.
        tickets: Share of the tickets that are lost on their way; as many come twice.
        samples: Readings of the server's counters over the day.
    """

    workers: int = 1_000
    slots: int = 4
    groups: int = 100_000
    hours: float = 24.0
    rate: float = 2.0
    work: float = 15.0
    seed: int = 1
    lease: float = 600.0
    deaths: float = 1.0
    lost: float = 0.004
    tickets: float = 0.001
    samples: int = 288

    @property
    def ttl_ms(self) -> int:
        """Return the time of a lease in milliseconds."""
        return int(self.lease * 1000)

    @property
    def seconds(self) -> float:
        """Return the virtual seconds of traffic."""
        return self.hours * 3600

    @property
    def patience(self) -> float:
        """Return the virtual seconds after which a task is lost, when nothing more happens and nothing is due."""
        return 20 * self.lease + self.seconds / 12
