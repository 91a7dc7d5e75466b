"""Where the master is, as sentinels tell.

A connection to a master that was frozen and thawed leads to a server that takes itself for the master for some seconds
more: what it accepts then is lost. Only the sentinels know better, so they are asked before a kept connection is used,
at most once a second in a process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple

import redis
from redis.exceptions import RedisError

from celery_groupfifo.gate.connections import Connections

Address = tuple[str, int]

#: Seconds that an answer serves kept connections.
FRESH_SECONDS = 1.0
#: Seconds that one sentinel may take.
PATIENCE = 0.5
#: When no sentinel answers, the next question waits for so many times what this one took: none of them shall spend
#: its time with waiting for sentinels.
BACK_OFF = 5.0


class SentinelMaster:
    """The master of a name.

    Args:
        sentinels: Connections to each.
        name: Of the master.
        others: Other sentinels that one must know for its word to count.
    """

    def __init__(self, sentinels: Sequence[Connections], name: str, others: int = 0) -> None:
        self._sentinels, self._name, self._others = list(sentinels), name, others
        self._address: Address | None = None
        self._epoch = 0
        self._error: RedisError | None = None
        self._asked = self._next = 0.0
        self._pid, self._lock = os.getpid(), threading.Lock()

    def find(self) -> Address:
        """See `connections.Master`.

        Raises:
            redis.ConnectionError: No sentinel can tell.
        """
        called = monotonic()
        with self._own_lock():
            if self._asked < called:  # else another caller has asked meanwhile: a burst must not flood the sentinels
                self._ask()
            if self._error is not None or self._address is None:
                raise redis.ConnectionError(f"No sentinel names a master for {self._name!r}. {self._error or ''}")
            return self._address

    def last(self) -> Address | None:
        """See `connections.Master`. While no sentinel answers, what one of them said last."""
        if monotonic() >= self._next:
            with self._own_lock():  # who comes meanwhile waits: it must not go on with what may have been the master
                if monotonic() >= self._next:
                    self._ask()
        return self._address

    def doubt(self) -> None:
        """See `connections.Master`: the sentinels know better."""

    def _ask(self) -> None:
        self._asked, self._error = monotonic(), None
        answers: list[_Answer] = []
        for place, sentinel in enumerate(self._sentinels):
            try:
                answer = _question(sentinel, self._name)
            except RedisError as error:
                self._error = error
                continue
            if not answer.works or answer.others < self._others:
                continue
            answers.append(answer)
            if answer.epoch >= self._epoch:
                # It is asked first from now on.
                self._sentinels[0], self._sentinels[place] = sentinel, self._sentinels[0]
                break
        # One that has missed a failover which another one has told of does not count, unless all are like that: they
        # have been set up anew.
        newest = max(answers, key=lambda answer: answer.epoch, default=None)
        if newest is not None and (newest.epoch >= self._epoch or self._error is None):
            self._address, self._epoch, self._error = newest.address, newest.epoch, None
            self._next = self._asked + FRESH_SECONDS
        else:
            self._error = self._error or redis.ConnectionError("They see none at work.")
            now = monotonic()
            self._next = now + max(FRESH_SECONDS, BACK_OFF * (now - self._asked))

    def _own_lock(self) -> threading.Lock:
        if self._pid != os.getpid():  # a thread of the parent may have held it at the fork
            self._pid, self._lock = os.getpid(), threading.Lock()
        return self._lock


class _Answer(NamedTuple):
    """What a sentinel says of a master; `works`: as far as it sees."""

    address: Address
    epoch: int
    others: int
    works: bool


def _question(sentinel: Connections, name: str) -> _Answer:
    connection = sentinel.take()
    try:
        connection.send_command("SENTINEL", "MASTER", name)
        words: list[str] = [word.decode() for word in connection.read_response()]
    except BaseException:
        sentinel.close(connection)
        raise
    sentinel.give_back(connection)
    said = dict(zip(words[::2], words[1::2], strict=True))
    flags = set(said["flags"].split(","))
    works = "master" in flags and not flags & {"s_down", "o_down"}
    return _Answer((said["ip"], int(said["port"])), int(said["config-epoch"]), int(said["num-other-sentinels"]), works)
