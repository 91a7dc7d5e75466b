"""The calls of one operator's action: each may be repeated after a lost reply, and then has the same answer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any
from uuid import uuid4

from celery_groupfifo.gate.gate import Gate
from celery_groupfifo.gate.keys import Keys


class ActionCalls:
    """One action.

    Args:
        gate: Of the action.
        keys: Of its partition.
        note: For the audit, see audit.py; stored with the first call that changes something.
    """

    def __init__(self, gate: Gate, keys: Keys, note: str) -> None:
        self._gate, self._keys, self._note = gate, keys, note
        self._answer = keys.answer(uuid4().hex)
        self._numbers = count(1)

    def run(self, name: str, more: Sequence[str], *args: Any, noted: bool = False) -> Any:
        """Run a script of an operator.

        Args:
            name: Of the script.
            more: Its own keys, after audit and answer.
            args: Its own arguments, after note and call.
            noted: True when an earlier call of this action is in the audit already.
        """
        every = [self._keys.audit, self._answer, *more]
        return self._gate.store.run(name, self._keys, every, ["" if noted else self._note, next(self._numbers), *args])

    def publish(self, words: Sequence[bytes]) -> None:
        """Bring the tickets in an answer to the broker."""
        self._gate.publish(words)

    def close(self) -> None:
        """Forget the last answer, once no repetition can ask for it."""
        self._gate.store.at(self._keys).forget(self._answer)
