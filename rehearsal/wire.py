"""The wire to the gate: calls that come at about the same virtual time go out in one write, in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from select import select
from typing import Any

from celery_groupfifo.gate.packing import Word, pack
from celery_groupfifo.gate.pipelined import Pipelined
from celery_groupfifo.gate.store import Store

Hear = Callable[[Any], None]
"""Takes the answer of a call."""


class Wire:
    """A connection on which many virtual processes call.

    Args:
        store: Of the gate.
        names: Scripts that are called on it.
    """

    def __init__(self, store: Store, names: Sequence[str]) -> None:
        self._line = Pipelined.open(store, names)
        self._commands: list[bytes] = []
        self._hearers: list[Hear] = []

    def close(self) -> None:
        """Close the connection."""
        self._line.close()

    def send(self, command: bytes, hear: Hear) -> None:
        """Add a packed call to the next write."""
        self._commands.append(command)
        self._hearers.append(hear)

    def ask(self, words: Sequence[Word], hear: Hear) -> None:
        """Add a plain command to the next write."""
        self.send(pack(words), hear)

    def flush(self) -> None:
        """Send what was added, read all answers, and hand them on in the order of the calls.

        Raises:
            GroupFifoError: A script has failed.
        """
        commands, hearers = self._commands, self._hearers
        if not commands:
            return
        self._commands, self._hearers = [], []
        sent = self._line.send([b"".join(commands)])
        answers: list[Any] = []
        while len(answers) < len(commands):
            readable, writable, _ = select([self._line], [] if sent else [self._line], [])
            sent = sent or bool(writable and self._line.flush())
            answers += self._line.read() if readable else ()
        for hear, answer in zip(hearers, answers, strict=True):
            if isinstance(answer, Exception):
                raise answer
            hear(answer)
