"""The tracker of a master that sentinels watch.

A connection to a master that was frozen and thawed leads to a server that takes itself for the master for some more
seconds: writes that it accepts then are lost. Only the sentinels know better, so they are asked before a kept
connection is used, at most once a second in a process.

Timeline of a thaw during a failover: the master freezes; one sentinel chooses its successor; the master goes on, and
answers the calls that had reached it; for a second or two the other sentinels still name it. So after each failed or
slow call all sentinels are asked for some time, and the newest word counts.
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

#: Seconds that an answer is trusted for kept connections.
FRESH_SECONDS = 1.0
#: After a doubt: seconds for which all sentinels are asked, and seconds that their answer is trusted meanwhile.
DOUBT_SECONDS, DOUBTED_FRESH_SECONDS = 3.0, 0.1
#: Seconds that one sentinel may take.
SENTINEL_PATIENCE = 0.5
#: After a question that no sentinel answered, the next one waits so many times as long as that one took, so that
#: callers do not spend their time waiting for sentinels.
BACK_OFF = 5.0
#: Stands for the address while a sentinel chooses another master: no connection leads there.
CHOOSING: Address = ("", 0)


class SentinelMaster:
    """The tracker of a named master.

    Args:
        sentinels: Connections to each.
        name: Of the master.
        others: Other sentinels that one must know for its word to count.
    """

    watched = True

    def __init__(self, sentinels: Sequence[Connections], name: str, others: int = 0) -> None:
        self._sentinels, self._name, self._others = list(sentinels), name, others
        self._address: Address | None = None
        self._epoch = 0
        self._error: RedisError | None = None
        self._asked = self._next = self._doubted = 0.0
        self._pid, self._lock = os.getpid(), threading.Lock()

    def find(self) -> Address:
        """Return the address of the master.

        Raises:
            redis.ConnectionError: No sentinel names one.
        """
        called = monotonic()
        with self._own_lock():
            if self._asked < called:  # else another caller has asked meanwhile: a burst must not flood the sentinels
                self._ask()
            if self._error is not None or self._address is None:
                raise redis.ConnectionError(f"No sentinel names a master for {self._name!r}. {self._error or ''}")
            return self._address

    def last(self) -> Address | None:
        """Return the last known address, asked again after a second; while no sentinel answers, the one named last.

        `CHOOSING` while one of them chooses another master.
        """
        if monotonic() >= self._next:
            with self._own_lock():  # other callers wait here, as the address that they know may be an old master's
                if monotonic() >= self._next:
                    self._ask()
        return self._address

    def doubt(self, error: Exception | None = None) -> None:
        """Let the next caller ask all sentinels: a call has failed, or its answer was slow."""
        self._doubted = monotonic()
        if self._error is None:
            self._next = min(self._next, self._asked + DOUBTED_FRESH_SECONDS)

    def _ask(self) -> None:
        self._asked, self._error = monotonic(), None
        doubted = self._asked - self._doubted < DOUBT_SECONDS
        answers: list[_MasterAnswer] = []
        choosing = -1
        for place, sentinel in enumerate(self._sentinels):
            try:
                answer = _question(sentinel, self._name)
            except RedisError as error:
                self._error = error
                continue
            if answer.chooses:
                choosing = max(choosing, answer.epoch)
            if not answer.works or answer.others < self._others:
                continue
            answers.append(answer)
            if answer.epoch >= self._epoch and not doubted:
                # It is asked first from now on.
                self._sentinels[0], self._sentinels[place] = sentinel, self._sentinels[0]
                break
        newest = max(answers, key=lambda answer: answer.epoch, default=None)
        if choosing >= max(self._epoch, 0 if newest is None else newest.epoch):
            self._address, self._error = CHOOSING, redis.ConnectionError("They are choosing another one.")
            self._next = self._asked + DOUBTED_FRESH_SECONDS
        else:
            self._settle(newest, doubted)

    def _settle(self, newest: _MasterAnswer | None, doubted: bool) -> None:
        """Note the answers of the sentinels, none of which is choosing another master."""
        now = monotonic()
        backed_off = BACK_OFF * (now - self._asked)
        # A sentinel that has missed a known failover does not count, unless none of them knows it: then they were set
        # up anew.
        if newest is not None and (newest.epoch >= self._epoch or self._error is None):
            self._address, self._epoch, self._error = newest.address, newest.epoch, None
            fresh = min(FRESH_SECONDS, max(DOUBTED_FRESH_SECONDS, backed_off)) if doubted else FRESH_SECONDS
            self._next = self._asked + fresh
        else:
            self._error = self._error or redis.ConnectionError("They see none at work.")
            self._next = now + max(FRESH_SECONDS, backed_off)

    def _own_lock(self) -> threading.Lock:
        if self._pid != os.getpid():  # a thread of the parent may have held the lock at the fork
            self._pid, self._lock = os.getpid(), threading.Lock()
        return self._lock


class _MasterAnswer(NamedTuple):
    """A sentinel's answer about a master.

    Attributes:
        works: True when the sentinel sees it up.
        chooses: True while the sentinel lets another server take over.
    """

    address: Address
    epoch: int
    others: int
    works: bool
    chooses: bool


def _question(sentinel: Connections, name: str) -> _MasterAnswer:
    connection = sentinel.take()
    try:
        connection.send_command("SENTINEL", "MASTER", name)
        words: list[str] = [word.decode() for word in connection.read_response()]
    except BaseException:  # also when a greenlet is killed: the unread answer must not become another question's
        sentinel.close(connection)
        raise
    sentinel.give_back(connection)
    said = dict(zip(words[::2], words[1::2], strict=True))
    flags = set(said["flags"].split(","))
    works = "master" in flags and not flags & {"s_down", "o_down"}
    address, epoch, others = (said["ip"], int(said["port"])), int(said["config-epoch"]), said["num-other-sentinels"]
    return _MasterAnswer(address, epoch, int(others), works, "failover_in_progress" in flags)
