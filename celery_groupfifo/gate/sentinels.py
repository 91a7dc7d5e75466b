"""The tracker of a master that sentinels watch.

A connection to a master that was frozen and thawed leads to a server that takes itself for the master for some more
seconds: writes that it accepts then are lost. Only the sentinels know better, so they are asked before a kept
connection is used.

Timeline of a thaw during a failover: the master freezes; one sentinel chooses its successor; the master goes on, and
answers the calls that had reached it; for a second or two the other sentinels still name it. So all sentinels are
asked each time, and the newest word counts. It counts for a second, or until one of them may take the master for down,
whichever is sooner: none is chosen before.
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

#: Seconds that an answer is trusted for kept connections: at most, and while a failover may be near or a call has
#: failed. From the moment when a sentinel takes a master for down, choosing another one takes them longer than that.
FRESH_SECONDS, LEAST_FRESH_SECONDS = 1.0, 0.1
#: Seconds that one sentinel may take.
SENTINEL_PATIENCE = 0.5
#: A sentinel that did not answer is left alone for so many times as long as it took, while others answer: callers must
#: not spend their time waiting for it. While none answers, the next question waits so many times as long.
REST, BACK_OFF = 60.0, 5.0
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
        self._sentinels, self._name, self._others = [_Sentinel(each) for each in sentinels], name, others
        self._address: Address | None = None
        self._epoch = 0
        self._error: RedisError | None = None
        self._asked = self._next = 0.0
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
        """Return the last known address, asked again in time; while no sentinel answers, the one named last.

        `CHOOSING` while one of them chooses another master.
        """
        if monotonic() >= self._next:
            with self._own_lock():  # other callers wait here, as the address that they know may be an old master's
                if monotonic() >= self._next:
                    self._ask()
        return self._address

    def doubt(self, error: Exception | None = None) -> None:
        """Let them be asked soon: a call has failed, or its answer was slow."""
        if self._error is None:
            self._next = min(self._next, self._asked + LEAST_FRESH_SECONDS)

    def _ask(self) -> None:
        self._asked, self._error = monotonic(), None
        resting = [each for each in self._sentinels if each.rests_until > self._asked]
        answers = self._answers([each for each in self._sentinels if each not in resting]) or self._answers(resting)
        trusted = [each for each in answers if each.works and each.others >= self._others]
        newest = max(trusted, key=lambda answer: answer.epoch, default=None)
        known = self._epoch if newest is None else max(self._epoch, newest.epoch)
        if any(each.chooses and each.epoch >= known for each in answers):
            self._address, self._error = CHOOSING, redis.ConnectionError("They are choosing another one.")
            self._next = self._asked + LEAST_FRESH_SECONDS
        # A sentinel that has missed a known failover does not count, unless all answer and none knows of it: then they
        # were set up anew.
        elif newest is not None and (newest.epoch >= self._epoch or len(answers) == len(self._sentinels)):
            self._address, self._epoch, self._error = newest.address, newest.epoch, None
            self._next = self._asked + max(LEAST_FRESH_SECONDS, min(FRESH_SECONDS, self._up(answers)))
        elif answers:
            self._error = self._error or redis.ConnectionError("They see none at work.")
            self._next = self._asked + LEAST_FRESH_SECONDS
        else:
            now = monotonic()
            self._next = now + max(FRESH_SECONDS, BACK_OFF * (now - self._asked))

    def _answers(self, sentinels: Sequence[_Sentinel]) -> list[_MasterAnswer]:
        """Ask some sentinels; note the failure of one that does not answer."""
        found = []
        for sentinel in sentinels:
            began = monotonic()
            try:
                found.append(_question(sentinel.connections, self._name))
            except RedisError as error:
                self._error, now = error, monotonic()
                sentinel.rests_until = now + REST * (now - began)
        return found

    def _up(self, answers: Sequence[_MasterAnswer]) -> float:
        """Return the seconds from the question within which no quorum of them can take the master for down."""
        ups = [each.up if each.works and each.address == self._address else 0.0 for each in answers]
        ups += [0.0] * (len(self._sentinels) - len(ups))
        quorum = min(each.quorum for each in answers)
        return sorted(ups)[quorum - 1] if quorum <= len(ups) else FRESH_SECONDS  # else some are not listed

    def _own_lock(self) -> threading.Lock:
        if self._pid != os.getpid():  # a thread of the parent may have held the lock at the fork
            self._pid, self._lock = os.getpid(), threading.Lock()
        return self._lock


class _Sentinel:
    """One of the sentinels.

    Attributes:
        connections: To it.
        rests_until: Monotonic time until which it is left alone, as it did not answer.
    """

    def __init__(self, connections: Connections) -> None:
        self.connections, self.rests_until = connections, 0.0


class _MasterAnswer(NamedTuple):
    """A sentinel's answer about a master.

    Attributes:
        others: Other sentinels that it knows.
        quorum: Sentinels that must see the master down before another one is chosen.
        works: True when the sentinel sees it up.
        chooses: True while the sentinel lets another server take over.
        up: Seconds from the question before which the sentinel can't take the master for down.
    """

    address: Address
    epoch: int
    others: int
    quorum: int
    works: bool
    chooses: bool
    up: float


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
    return _MasterAnswer(
        address=(said["ip"], int(said["port"])),
        epoch=int(said["config-epoch"]),
        others=int(said["num-other-sentinels"]),
        quorum=int(said["quorum"]),
        works="master" in flags and not flags & {"s_down", "o_down"},
        chooses="failover_in_progress" in flags,
        up=(int(said["down-after-milliseconds"]) - int(said["last-ok-ping-reply"])) / 1000,
    )
