"""Every schedule of a small world, on the real scripts.

Each script is one atomic step, so the interleavings of calls are all the interleavings there are. A node is the
database (as DUMPs) and what the workers know. From each node every possible move is made, and nodes that differ
in nothing that matters (the exact time, the exact numbers, which worker, which group) are looked at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from celery_groupfifo import GroupFull, Groups
from celery_groupfifo.gate.keys import quote, task_of
from celery_groupfifo.gate.model import Bound, Finish, Ticket
from celery_groupfifo.gate.records import StoredGroup
from celery_groupfifo.gate.recovery import GRACE_MS
from tests.support.stored import all_stored, stored
from tests.support.world import START_MS, TTL_MS, World, make_entry, ticket_of

GROUPS, WORKERS = ("A", "B"), ("w1", "w2")
#: The body of a continuation, that of one at the tail, and how long one waits that is not due at once.
AGAIN, AT_TAIL, DELAY_MS = "again", "again at the tail", 100
Move = tuple[str, str]

#: All keys as DUMPs, and what stands in the ones that decide what happens next. One call: there are many nodes.
LOOK = """
local dumps = {}
for i, key in ipairs(KEYS) do
  dumps[i] = redis.call('DUMP', key)
end
local reply = { dumps, redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]) }
reply[4], reply[5] = redis.call('LRANGE', KEYS[10], 0, -1), redis.call('HGET', KEYS[6], 'q')
reply[6] = redis.call('ZRANGEBYSCORE', KEYS[3], 2e14, '(3e14')
reply[7], reply[8] = redis.call('LRANGE', KEYS[8], 0, -1), redis.call('LRANGE', KEYS[9], 0, -1)
return reply
"""


def group_of(name: str) -> str:
    """The group of an entry: a task that replaces itself here gives its id to one of the other group."""
    return GROUPS[1 - GROUPS.index(name[0])] if ";" in name else name[0]


def _is_second(name: str) -> bool:
    """Return True for the second entry of a group, which goes on at once, and whose failure blocks for a time."""
    return name[1] == "2"


@dataclass(frozen=True)
class Hand:
    """A worker's ticket: it received it, runs it, or has asked for its begin or finish in vain.

    Attributes:
        begin: Name of the begin that was asked for.
        call: The finish that was asked for, and `lost`: what the answer would have been.
    """

    state: str
    ticket: Ticket
    begin: str = field(default="", compare=False)
    call: Finish | None = field(default=None, compare=False)
    lost: bytes | None = None


@dataclass(frozen=True)
class Node:
    """A state of the whole world.

    Attributes:
        dumps: The database.
        view: What stands in it: line, flight, queue, begun.
        parked: Tasks of each group that were parked so far.
        starts: Ids in the order of their first start.
        owed: Entries whose run has ended with a continuation, and that were not begun since.
        given: Entries of tasks that go on under the id of another one, and were not begun yet.
        faults: How many may still happen.
    """

    dumps: dict[str, bytes]
    view: View
    now: int
    hands: tuple[Hand | None, ...]
    parked: tuple[int, ...]
    starts: tuple[str, ...]
    owed: frozenset[str]
    given: frozenset[str]
    faults: int


@dataclass(frozen=True)
class View:
    """The part of the database that decides what happens next.

    Attributes:
        continued: Entries that are continuations.
        rejoined: Those of them that gave up their place.
        later: Those that are not due yet.
        flight: State, release, owner, lost, fence.
    """

    entries: frozenset[str]
    continued: frozenset[str]
    rejoined: frozenset[str]
    later: frozenset[str]
    line: tuple[tuple[str, ...], ...]
    flight: dict[str, tuple[str, int, str, str, str]]
    queue: tuple[Ticket, ...]
    begun: int
    slots: tuple[int, ...]
    blocked: tuple[str, ...]


class Explorer:
    """Walks all schedules.

    Args:
        world: An empty one.
        take: What a finishing worker takes.
        faults: How many faults of any kind a schedule may hold.
        tasks: Of each group.
        parked: How many of them are parked at the start; the others follow at any time.
        most: How many of a group may wait; None: any number. A park beyond is refused, and made again at any time.
    """

    def __init__(self, world: World, take: str, faults: int, tasks: int, parked: int, most: int | None = None) -> None:
        self.world, self.take, self.tasks = world, take, tasks
        self.bound = None if most is None else Bound(most, "raise")
        self.groups = Groups(world.app, world.gate)
        keys = world.keys
        lines = [keys.line(quote(group)) for group in GROUPS]
        runs = [keys.runs(quote(worker)) for worker in WORKERS]
        self._names = [*keys.base[:7], *lines, "q", keys.pulse, keys.crowd, *runs]
        self._look = world.redis.register_script(LOOK)
        self._there: dict[str, bytes] = {}
        world.redis.flushdb()
        world.gate.fences = None
        world.now = START_MS
        world.tick(0)
        for group in GROUPS:
            for n in range(1, parked + 1):
                assert world.park(f"{group}{n}", group)
        self.root = self._node((None,) * len(WORKERS), (parked,) * len(GROUPS), (), frozenset(), frozenset(), faults)
        self.edges: dict[Any, set[Any]] = {}
        self.drained: set[Any] = set()
        self.moves = 0

    def run(self, recover: bool = True) -> None:
        """Walk. Without `recover` neither sweep nor rerelease ever help."""
        stack = [(self.root, self._key(self.root))]
        self.edges[stack[0][1]] = set()
        while stack:
            node, key = stack.pop()
            if not node.view.entries and set(node.parked) == {self.tasks}:
                self.drained.add(key)
            for move in self._moves(node, recover):
                self.moves += 1
                after = self._make(node, move)
                self._check(node, move, after)
                known = self._key(after)
                self.edges[key].add(known)
                if known not in self.edges:
                    self.edges[known] = set()
                    stack.append((after, known))

    def stuck(self) -> set[Any]:
        """Nodes from which no way leads to the end of all tasks."""
        before: dict[Any, set[Any]] = {}
        for key, nexts in self.edges.items():
            for each in nexts:
                before.setdefault(each, set()).add(key)
        reached, pending = set(self.drained), list(self.drained)
        while pending:
            new = before.get(pending.pop(), set()) - reached
            reached |= new
            pending += new
        return set(self.edges) - reached

    # -- nodes -------------------------------------------------------------

    def _node(
        self,
        hands: tuple[Hand | None, ...],
        parked: tuple[int, ...],
        starts: tuple[str, ...],
        owed: frozenset[str],
        given: frozenset[str],
        faults: int,
    ) -> Node:
        replies, entries, groups, queue, begun, later, *lines = self._look(keys=self._names)
        entries, groups = (dict(zip(pairs[::2], pairs[1::2], strict=True)) for pairs in (entries, groups))
        dumps = {name: dump for name, dump in zip(self._names, replies, strict=True) if dump is not None}
        states = [StoredGroup.parse(quote(group), groups.get(group.encode())) for group in GROUPS]
        records = {flight.id: flight for state in states for flight in state.flights}
        view = View(
            frozenset(id.decode() for id in entries),
            frozenset(id.decode() for id, text in entries.items() if AGAIN.encode() in text),
            frozenset(id.decode() for id, text in entries.items() if AT_TAIL.encode() in text),
            frozenset(member.decode().split(" ")[2] for member in later),
            tuple(tuple(item.decode().split(" ")[1] for item in items) for items in lines),
            {
                id: (each.state, each.release, each.owner, str(each.lost), str(each.fence))
                for id, each in records.items()
            },
            tuple(ticket_of(message) for message in queue),
            int(begun.split(b" ")[0]) if begun else 0,
            tuple(len(state.flights) for state in states),
            tuple(group for group, state in zip(GROUPS, states, strict=True) if "b" in state.flags),
        )
        self._there = dumps  # what is in the database: a move changes few keys, and few need to be put back
        return Node(dumps, view, self.world.now, hands, parked, starts, owed, given, faults)

    def _restore(self, node: Node) -> None:
        pipe = self.world.redis.pipeline(transaction=False)
        changed = [name for name in self._names if self._there.get(name) != node.dumps.get(name)]
        if changed:
            pipe.delete(*changed)
        for name in changed:
            if name in node.dumps:
                pipe.restore(name, 0, node.dumps[name])
        pipe.execute()
        self.world.now = node.now
        self.world.tick(0)

    def _key(self, node: Node) -> Any:
        """The same for nodes that differ only in names, times and exact fences."""
        return min(
            self._named(node, groups, workers) for groups in ("AB", "BA") for workers in (WORKERS, WORKERS[::-1])
        )

    def _named(self, node: Node, groups: str, workers: tuple[str, ...]) -> Any:
        view = node.view
        order = [GROUPS.index(group) for group in groups]

        def named(id: str) -> str:
            return f"{groups.index(id[0])}{id[1:]}"

        def shown(ticket: Ticket) -> tuple[str, bool]:
            record = view.flight.get(ticket.entry)
            return named(ticket.entry), record is not None and record[1] == ticket.release

        releases = sorted([(record[1], named(id)) for id, record in view.flight.items()] + [(view.begun, "begun")])
        hands = []
        for worker in workers:
            hand = node.hands[WORKERS.index(worker)]
            if hand is None:
                hands.append(("", "", False, ("", False)))
            else:
                lost = ("", False) if hand.lost is None else shown(ticket_of(hand.lost))
                hands.append((hand.state, *shown(hand.ticket), lost))
        flight = sorted(
            (named(id), state, workers.index(owner) if owner in workers else -1, lost)
            for id, (state, _, owner, lost, _) in view.flight.items()
        )
        starts = [tuple(named(id) for id in node.starts if id[0] == group) for group in groups]
        return (
            tuple(node.parked[i] for i in order),
            tuple(tuple(named(id) for id in view.line[i]) for i in order),
            tuple(flight),
            tuple(shown(ticket) for ticket in view.queue),
            tuple(name for _, name in releases),
            tuple(hands),
            tuple(starts),
            tuple(sorted(named(id) for id in view.entries)),
            tuple(sorted(named(id) for id in view.rejoined)),
            tuple(sorted(named(id) for id in view.later)),
            tuple(sorted(named(id) for id in node.owed)),
            tuple(sorted(named(id) for id in node.given)),
            tuple(sorted(groups.index(group) for group in view.blocked)),
            node.faults,
        )

    # -- moves -------------------------------------------------------------

    def _moves(self, node: Node, recover: bool) -> Iterator[Move]:
        for group, count in zip(GROUPS, node.parked, strict=True):
            if count < self.tasks:
                yield "park", group
        held = set()
        for worker, hand in zip(WORKERS, node.hands, strict=True):
            if hand is None:
                if node.view.queue:
                    yield "pop", worker
                continue
            held.add(hand.ticket.release)
            yield {"got": "begin", "begins": "begin", "runs": "finish", "asks": "repeat"}[hand.state], worker
            if node.faults:
                yield "crash", worker
                if hand.state == "got":
                    yield "lose_begin", worker
                if hand.state == "runs":
                    yield "fail", worker
                    yield "lose_reply", worker
                    yield "go_on_unheard", worker
                    yield "rejoin_unheard", worker
                    if ";" not in hand.ticket.entry and hand.ticket.entry in node.view.entries:
                        yield "replace", worker
                    yield "freeze", worker
        if node.faults and node.view.queue:
            yield "double", ""
            yield "lose", ""
        for group in node.view.blocked:
            yield "retry", group
            yield "skip", group
        if recover:
            queued = {ticket.release for ticket in node.view.queue}
            states = {record[1]: record[0] for record in node.view.flight.values()}
            if any(state == "running" and release not in held for release, state in states.items()):
                yield "lapse", ""
            if any(state == "released" and release not in queued for release, state in states.items()):
                yield "rerelease", ""
            ends = [name for name, record in node.view.flight.items() if record[0] == "held" and _is_second(name)]
            if node.view.later or ends or list(states.values()).count("held") > len(node.view.blocked):
                yield "due", ""

    def _make(self, node: Node, move: Move) -> Node:
        self._restore(node)
        kind, who = move
        after = getattr(self, f"_{kind}")(node, WORKERS.index(who) if who in WORKERS else who)
        return self._node(after.hands, after.parked, after.starts, after.owed, after.given, after.faults)

    def _hand(self, node: Node, worker: int, hand: Hand | None) -> Node:
        starts, owed, given = node.starts, node.owed, node.given
        if hand is not None and hand.state == "runs":
            owed, given = owed - {hand.ticket.entry}, given - {hand.ticket.entry}
            if hand.ticket.entry not in starts:
                starts = (*starts, hand.ticket.entry)
        hands = (*node.hands[:worker], hand, *node.hands[worker + 1 :])
        return replace(node, hands=hands, starts=starts, owed=owed, given=given)

    def _park(self, node: Node, group: str) -> Node:
        place = GROUPS.index(group)
        count = node.parked[place] + 1
        aside = [id for id in node.view.later if group_of(id) == group and id not in node.view.flight]
        full = self.bound is not None and len(node.view.line[place]) + len(aside) >= self.bound.most
        try:
            assert self.world.park(f"{group}{count}", group, bound=self.bound)
        except GroupFull:
            assert full
            return node
        assert not full
        return replace(node, parked=(*node.parked[:place], count, *node.parked[place + 1 :]))

    def _pop(self, node: Node, worker: int) -> Node:
        return self._hand(node, worker, Hand("got", self.world.receive()))

    def _begin(self, node: Node, worker: int) -> Node:
        hand, ticket = node.hands[worker], self._ticket(node, worker)
        begun = self.world.begin(ticket, WORKERS[worker], hand.begin if hand else "")
        state, release, owner, _, fence = node.view.flight.get(ticket.entry, ("", 0, "", "", ""))
        mine = hand is not None and hand.begin and (state, owner) == ("running", WORKERS[worker])
        assert (begun is not None) == (release == ticket.release and (state == "released" or bool(mine)))
        assert not mine or begun is None or str(begun.fence) == fence, "the same fence again"
        return self._hand(node, worker, begun and Hand("runs", begun))

    def _lose_begin(self, node: Node, worker: int) -> Node:
        """The worker hears nothing of its begin: it may be refused, or done."""
        ticket, name = self._ticket(node, worker), self.world.gate.call_name()
        self.world.begin(ticket, WORKERS[worker], name)
        return self._hand(replace(node, faults=node.faults - 1), worker, Hand("begins", ticket, name))

    def _ticket(self, node: Node, worker: int) -> Ticket:
        hand = node.hands[worker]
        assert hand is not None
        return hand.ticket

    def _call(self, node: Node, worker: int, goes_on: bool = False, rejoins: bool = False) -> Finish:
        ticket = self._ticket(node, worker)
        lists = self.world.lists("q") if self.take == "lists" else ()
        call = self.world.finishing(ticket, group_of(ticket.entry), WORKERS[worker], self.take, lists)
        if goes_on:  # at once, or later
            delay = 0 if _is_second(ticket.entry) else DELAY_MS
            id, group, body = task_of(ticket.entry), group_of(ticket.entry), AT_TAIL if rejoins else AGAIN
            call.continuation = make_entry(self.world.gate, id, group, delay=delay, body=body)
            call.continuation.rejoins = rejoins
        return call

    def _finish(self, node: Node, worker: int, call: Finish | None = None, first: bool = True) -> Node:
        call = call or self._call(node, worker)
        done = self.world.gate.finish(call)
        current = self._is_current(node, call)
        assert not first or done.stale != current, "the newest run finishes, and no other one does"
        if current and call.continuation is not None:
            node = replace(node, owed=node.owed | {call.ticket.entry})
        taken = ticket_of(done.taken).begun(done.fence)._replace(lane=call.ticket.lane) if done.taken else None
        return self._hand(node, worker, taken and Hand("runs", taken))

    @staticmethod
    def _is_current(node: Node, call: Finish) -> bool:
        return node.view.flight.get(call.ticket.entry, ("", 0))[:2] == ("running", call.ticket.release)

    def _repeat(self, node: Node, worker: int) -> Node:
        hand = node.hands[worker]
        assert hand is not None
        after = self._finish(node, worker, hand.call, first=False)
        if hand.lost is not None:
            ticket = ticket_of(hand.lost)
            record = node.view.flight.get(ticket.entry, ("", 0, ""))
            held = record[:3] == ("running", ticket.release, WORKERS[worker])
            assert (after.hands[worker] is not None) == held, "what the first call took is given again while it lasts"
        return after

    # -- faults: each costs one ---------------------------------------------

    def _replace(self, node: Node, worker: int) -> Node:
        """A running task gives its id to one of the other group, and runs on."""
        ticket = self._ticket(node, worker)
        before = self.world.redis.hkeys(self.world.keys.entries)
        other = group_of(f"{ticket.entry};r")
        runs = node.view.flight[ticket.entry][0] == "running" if ticket.entry in node.view.flight else False
        assert self.world.replace(ticket.entry, other) == runs
        now = all_stored(self.world.redis.hkeys(self.world.keys.entries))
        new = {name.decode() for name in now if name not in before}
        known = [name for name in node.view.entries if name.startswith(f"{ticket.entry};")]
        goes_on = any(node.view.flight.get(name, ("",))[0] == "running" for name in known)
        assert len(new) == (runs and not goes_on) and {group_of(name) for name in new} <= {other}
        return replace(node, faults=node.faults - 1, given=node.given | new)

    def _lose_reply(self, node: Node, worker: int, goes_on: bool = False, rejoins: bool = False) -> Node:
        call = self._call(node, worker, goes_on, rejoins)
        taken = self.world.gate.finish(call).taken
        owed = node.owed | ({call.ticket.entry} if goes_on and self._is_current(node, call) else set())
        node = replace(node, faults=node.faults - 1, owed=owed)
        return self._hand(node, worker, Hand("asks", call.ticket, call=call, lost=taken))

    def _go_on_unheard(self, node: Node, worker: int) -> Node:
        """A run ends with a continuation; a repetition of the call at once is the same as an answer that is heard."""
        return self._lose_reply(node, worker, goes_on=True)

    def _rejoin_unheard(self, node: Node, worker: int) -> Node:
        """A run ends with a retry that gives up its place."""
        return self._lose_reply(node, worker, goes_on=True, rejoins=True)

    def _crash(self, node: Node, worker: int) -> Node:
        return self._hand(replace(node, faults=node.faults - 1), worker, None)

    def _double(self, node: Node, _: object) -> Node:
        self.world.redis.lpush("q", stored(self.world.redis.lindex("q", -1)))
        return replace(node, faults=node.faults - 1)

    def _lose(self, node: Node, _: object) -> Node:
        self.world.redis.rpop("q")
        return replace(node, faults=node.faults - 1)

    def _fail(self, node: Node, worker: int) -> Node:
        """A run fails for good, in a group that halts then: for a time, or until an operator lets it go on."""
        ticket = self._ticket(node, worker)
        lasts = DELAY_MS if _is_second(ticket.entry) else 0
        done = self.world.fail(ticket, group_of(ticket.entry), owner=WORKERS[worker], lasts=lasts)
        current = node.view.flight.get(ticket.entry, ("", 0))[:2] == ("running", ticket.release)
        assert (done.stale, done.blocked) == (not current, current)
        return self._hand(replace(node, faults=node.faults - 1), worker, None)

    def _freeze(self, node: Node, worker: int) -> Node:
        """A worker stands still for longer than its lease, and goes on."""
        return self._lapse(replace(node, faults=node.faults - 1), "", frozen=worker)

    # -- operators -----------------------------------------------------------

    def _retry(self, node: Node, group: str) -> Node:
        self.groups.retry(group)
        return node

    def _skip(self, node: Node, group: str) -> Node:
        head = next(name for name in node.view.flight if group_of(name) == group)
        self.groups.skip(group, expected=task_of(head))
        return node

    # -- recovery ------------------------------------------------------------

    def _lapse(self, node: Node, _: object, frozen: int = -1) -> Node:
        """A lease goes by; whoever lives renews."""
        self.world.sweep(self.world.lists("q"))
        for _ in range(3):
            self.world.tick(TTL_MS // 2)
            for worker, hand in enumerate(node.hands):
                if hand is not None and hand.state in ("runs", "asks") and worker != frozen:
                    self.world.gate.renew(quote(WORKERS[worker]), [hand.ticket])
            self.world.sweep(self.world.lists("q"))
        return node

    def _due(self, node: Node, _: object) -> Node:
        self.world.tick(DELAY_MS)
        self.world.sweep(self.world.lists("q"))
        return node

    def _rerelease(self, node: Node, _: object) -> Node:
        self.world.tick(GRACE_MS + 1)
        self.world.rerelease()
        return node

    # -- what always holds ---------------------------------------------------

    def _check(self, node: Node, move: Move, after: Node) -> None:
        view = after.view
        places = [id for line in view.line for id in line] + list(view.flight) + list(view.later)
        assert sorted(places) == sorted(view.entries), f"lost or doubled after {move}: {after}"
        assert after.owed <= view.continued, f"a continuation is lost after {move}: {after}"
        assert after.given <= view.entries, f"what goes on under an id is lost after {move}: {after}"
        in_flight = [group_of(name) for name in view.flight]
        assert all(in_flight.count(group) <= 1 for group in GROUPS), "two at a time"
        assert view.slots == tuple(in_flight.count(group) for group in GROUPS)
        for group, count in zip(GROUPS, after.parked, strict=True):
            starts = [id for id in after.starts if id[0] == group and ";" not in id]
            assert starts == [f"{group}{n}" for n in range(1, len(starts) + 1)], f"order: {starts}"
            left = [id for id in view.entries if id[0] == group and ";" not in id]
            new = sorted(id for id in left if id not in starts)
            assert new == [f"{group}{n}" for n in range(len(starts) + 1, count + 1)], "it ended without a start"
            assert len([id for id in left if id not in new and id not in view.rejoined]) <= 1, "one overtook another"
        for worker, before, hand in zip(WORKERS, node.hands, after.hands, strict=True):
            if hand is not None and hand != before and hand.state == "runs":
                state, _, owner, _, fence = view.flight.get(hand.ticket.entry, ("", 0, "", "", ""))
                assert (state, owner, fence) == ("running", worker, str(hand.ticket.fence)), "a run without a lease"
        old = {id: record[1] for id, record in node.view.flight.items()}
        released = {id: record[1] for id, record in view.flight.items()}
        assert all(release >= old.get(id, 0) for id, release in released.items()), "a release went back"
