"""The operations that a sweeping worker calls: for due items, and for lost tickets and workers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any
from uuid import uuid4

from celery_groupfifo.errors import GateUnavailable, GroupFifoError
from celery_groupfifo.gate.keys import CLAIM_MS, Keys, Keyspace, Quoted, unquote
from celery_groupfifo.gate.model import CutOff, Head, Lists, Swept, Ticket
from celery_groupfifo.gate.packing import ScriptArguments, Word
from celery_groupfifo.gate.records import ticket_of
from celery_groupfifo.gate.releaser import ELSEWHERE, Releaser
from celery_groupfifo.gate.store import Store
from celery_groupfifo.printing import escaping
from celery_groupfifo.settings import Settings

logger = escaping(logging.getLogger(__name__))

#: Entries that one call moves; the next call follows at once.
BATCH = 100
#: ETAs and walks that one call moves; each takes a few times as long as naming it.
ADVANCED = 50
#: Bytes of entries that one answer may hold when they are taken out.
MOST_BYTES = 1_000_000
#: Time (ms) after which a ticket that was overtaken counts as lost.
GRACE_MS = 3_000
#: Lease times that the last calls of a silent worker are remembered: longer than any caller repeats them.
CALLS_KEEP = 4

#: Who calls and is no worker.
NOBODY = Quoted("-")


class Recovery:
    """The part of a gate that moves due items, and finds what was lost.

    Args:
        store: Its scripts.
        keyspace: Its keys.
        settings: Of the app.
        releaser: Brings tickets to the broker.
    """

    def __init__(self, store: Store, keyspace: Keyspace, settings: Settings, releaser: Releaser) -> None:
        self.store = store
        self.keyspace = keyspace
        self.settings = settings
        self.releaser = releaser
        self._calls = count(1)
        self._call_stem = uuid4().hex[:12]
        self._unanswered: dict[tuple[str, str], str] = {}

    @property
    def keep_ms(self) -> int:
        """Return the time (ms) that the last calls of a silent worker are remembered."""
        return CALLS_KEEP * self.settings.ttl_ms

    def call_name(self) -> str:
        """Return a unique name for a call."""
        return f"{self._call_stem}.{next(self._calls)}"

    # -- due items ---------------------------------------------------------

    def sweep(
        self, keys: Keys, lists: Lists = (), owner: Quoted = NOBODY, woken: bool = False, watch: float = 1.0
    ) -> Swept:
        """Move what is due in a partition: holds, ETAs, lost workers' heads. Any worker may, at any time.

        Args:
            keys: Of the partition.
            lists: The broker's lists that the caller knows.
            owner: The worker.
            woken: True when the bell woke the worker: it watches from now on.
            watch: Seconds that it watches, unless another worker does. A watching worker sweeps again within that time.

        Returns:
            The answer; only the watching worker is told when the next item is due.
        """
        names = [name for name, _ in lists]
        args: list[Word] = [self.settings.ttl_ms, BATCH, CLAIM_MS, owner, round(watch * 1000), int(woken)]
        own, kept = [keys.pulse, keys.crowd, keys.stamp], self.settings.letters_kept
        reply = self._run_until_answered(
            "sweep", keys, own, owner, lists, args, [*kept, keys.stamped, len(lists), *names]
        )
        next_due, named, *rest = reply
        words = [word.decode() for word in rest[: 2 * named]]
        self.publish(rest[2 * named :])
        members = [(member, Quoted(group)) for member, group in zip(words[::2], words[1::2], strict=True)]
        cut_off: list[CutOff] = []
        reclaimed = 0
        for member, name in members:
            if member.startswith("v "):
                reclaimed += self.reclaim(keys, name, owner, lists)
            elif member.startswith("d "):
                cut_off.append(CutOff(keys, name, member.split(" ")[2]))
        soon = self._advance(keys, [pair for pair in members if pair[0][0] not in "vd"], lists)
        if soon >= 0:
            next_due = min(soon, next_due) if next_due >= 0 else soon
        return Swept(None if next_due < 0 else next_due / 1000, reclaimed, members, cut_off)

    def _run_until_answered(
        self,
        name: str,
        keys: Keys,
        own: list[str],
        owner: Quoted,
        lists: Lists,
        args: list[Word],
        more: list[Word],
        what: str = "",
    ) -> Any:
        """Run a script under one call name until an answer has come: a repetition asks for the same tickets."""
        place = (what or name, keys.tag)
        call = self._unanswered.setdefault(place, self.call_name())
        every = [*own, keys.runs(owner), *(key for _, key in lists)]
        reply = self.store.run(name, keys, every, [*args, call, self.keep_ms, *more])
        del self._unanswered[place]
        return reply

    def _advance(self, keys: Keys, members: Sequence[tuple[str, Quoted]], lists: Lists) -> int:
        """Advance due members; return the ms until the next sweep, or -1 to keep the last answer."""
        answers: list[int] = []
        names, list_keys = [name for name, _ in lists], [key for _, key in lists]
        while members:
            some = members[:ADVANCED]
            places = [keys.line(group) for _, group in some]
            args: list[Word] = [len(some), len(lists), *names, *(word for pair in some for word in pair)]
            done, next_due, *words = self.store.run("advance", keys, [keys.crowd, *places, *list_keys], args)
            self.publish(words)
            answers.append(int(next_due))
            members = members[int(done) :]
        return min((answer for answer in answers if answer >= 0), default=-1)

    def advance_call(self, ticket: Ticket, lists: Lists, members: Sequence[str] = ()) -> ScriptArguments:
        """Return the call of `advance` that lets others go out, as a run has begun. A sweep does it, if nobody has.

        Args:
            ticket: Of the run.
            lists: The broker's lists that the caller knows.
            members: Of `due`; none: that of the run's group, as its limits allow another task beside it.
        """
        keys, group, some = self._keys(ticket), ticket.group, members or [f"a {ticket.group}"]
        args: list[Any] = [len(some), len(lists), *(name for name, _ in lists)]
        for member in some:
            args += [member, group]
        return keys, [keys.crowd, *[keys.line(group)] * len(some), *(key for _, key in lists)], args

    def reclaim(self, keys: Keys, lost: Quoted, owner: Quoted, lists: Lists = (), silent: bool = True) -> int:
        """Take back the heads of a worker whose lease is over; they go to the broker again.

        Args:
            keys: Of a partition.
            lost: That worker.
            owner: The worker that does it.
            lists: The broker's lists that the caller knows.
            silent: Nothing is done when the lease was renewed meanwhile, and each head counts as lost with a worker.
                False: the worker itself gives them back.

        Returns:
            The number of heads, of a silent worker.
        """
        reclaimed, more = 0, 1
        while more:
            args: list[Word] = [lost, int(silent), BATCH]
            names: list[Word] = [len(lists), *(name for name, _ in lists)]
            more, count, *words = self._run_until_answered(
                "reclaim", keys, [keys.runs(lost)], owner, lists, args, names, f"reclaim {lost}"
            )
            self.publish(words)
            reclaimed += int(count)
        return reclaimed

    def leave(self, owner: Quoted, lists: Lists = ()) -> None:
        """End the lease of a worker that has ended; what it still has goes back to the heads of its groups.

        Raises:
            GateUnavailable: A partition can't be reached; the others are done.
        """
        failed: GateUnavailable | None = None
        for keys in self.keyspace.partitions:
            try:
                self.reclaim(keys, owner, owner, lists, silent=False)
            except GateUnavailable as error:
                failed = error
        if failed is not None:
            raise failed

    # -- lost tickets ------------------------------------------------------

    def heads(self, keys: Keys, after: str = "", limit: int = BATCH) -> list[Head]:
        """Return the queues of a partition that hold released heads, and the oldest head of each; a page of them.

        Args:
            keys: Of the partition.
            after: The page begins behind this queue.
            limit: Queues in a page.
        """
        words = [word.decode() for word in self.store.run("heads", keys, [], [after, limit])]
        return [Head(*three) for three in zip(words[::3], map(int, words[1::3]), words[2::3], strict=True)]

    def every_head(self, keys: Keys) -> Iterator[Head]:
        """Iterate over the oldest heads of all queues, page by page."""
        page = self.heads(keys)
        while page:
            yield from page
            page = self.heads(keys, page[-1].queue) if len(page) == BATCH else []

    def begun(self, queue: str, like: Keys, ahead: bool) -> int:
        """Return the latest release begun from a queue, as partitions share the broker's queues. 0: none.

        Args:
            queue: Its name in the scripts.
            like: A partition. Only partitions on its server count: releases are drawn from the server's clock.
            ahead: Count releases that are ahead of that clock, which was set back. They grow by one each, so they are
                greater than those of a partition that had a rest meanwhile.
        """
        server = self.store.at(like)
        known = [self.store.begun(keys, queue) for keys in self.keyspace.partitions if self.store.at(keys) is server]
        return max((release for release, ms in known if ahead or release // 1000 <= ms), default=0)

    def tickets(self, queue: str) -> int:
        """Return the number of heads of all partitions that are on their way in a queue."""
        return sum(self.store.tickets(keys, queue) for keys in self.keyspace.partitions)

    def rerelease(
        self,
        keys: Keys,
        queue: str,
        owner: Quoted = NOBODY,
        begun: int = 0,
        oldest: int = 0,
        rereleases: int = -1,
        limit: int = BATCH,
    ) -> int:
        """Release heads of a queue again whose ticket was lost on its way.

        Args:
            keys: Of the partition.
            queue: Its name in the scripts.
            owner: The worker.
            begun: The latest release that was begun from the queue, in any partition.
            oldest: The release of the queue's oldest head, as the caller saw it: nothing is done when it has changed.
                0: any.
            rereleases: On other brokers. From 0 on: the queue is quiet, so all of its heads count, and the number says
                how often they went out without a begin, this time included. -1: only overtaken heads count.
            limit: Heads to release at most.

        Returns:
            The number of released heads.
        """
        lists = [] if queue.startswith(ELSEWHERE) else [(queue, unquote(queue))]
        args: list[Word] = [queue, GRACE_MS, begun, oldest, rereleases, limit]
        count, *words = self._run_until_answered("rerelease", keys, [], owner, lists, args, [])
        self.publish(words)
        return int(count)

    # -- parts -------------------------------------------------------------

    def _keys(self, ticket: Ticket) -> Keys:
        keys = self.keyspace.of_tag(ticket.tag)
        if keys is None:
            raise GroupFifoError(
                f"The ticket of task {ticket.id} belongs to the gate {ticket.tag!r}, not to this one: give apps that "
                "share a queue the same groupfifo_namespace and groupfifo_partitions."
            )
        return keys

    def publish(self, words: Sequence[bytes | None], producer: Any = None) -> None:
        """Bring tickets to the broker, see `Releaser.send`. A failed one goes out with the next sweep."""
        for queue, message in zip(words[::2], words[1::2], strict=True):
            if queue is None or message is None:
                continue
            try:
                self.releaser.send(queue.decode(), message, producer)
            # A broker may raise anything, and the answer of the gate's step must not be lost.
            except Exception as error:
                logger.warning(
                    "A ticket for queue %s could not be published; the next sweep releases its task again: %r",
                    queue.decode(),
                    error,
                )
                self.unsent(message)

    def unsent(self, message: bytes) -> bool:
        """Let the next sweep release a task again whose ticket did not reach the broker. False: the gate is away."""
        try:
            if (ticket := ticket_of(message)) is not None:
                self.store.mark_unsent(self._keys(ticket), ticket.group, ticket.entry)
        except GateUnavailable as error:
            logger.warning(
                "A ticket could not be published. Its task is released again when the ticket counts as lost: %s",
                error,
            )
            return False
        return True
