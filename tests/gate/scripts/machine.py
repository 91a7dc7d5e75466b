"""A gate and the model beside it: what a state machine needs before it does anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition

from celery_groupfifo import Groups
from celery_groupfifo.gate.keys import CLAIM_MS
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.gate.records import Limits
from celery_groupfifo.gate.recovery import GRACE_MS
from celery_groupfifo.windows import Rate
from tests.gate.scripts import observe
from tests.support.model import Flight, GateModel, Said
from tests.support.world import START_MS, TTL_MS, World

GROUPS = ("a", "b", "c")
QUEUES = ("q1", "q2", "other")
#: The lists that a caller declares; nobody declares `other`.
DECLARED = st.sampled_from([("q2", "q1"), ("q1", "q2"), ("q1",), ()])
GROUP = st.sampled_from(["a", "a", "b"])
QUEUE = st.sampled_from(["q1", "q1", "q2", "other"])
#: Which ticket a worker shows: of a run that holds its lease, of one that lost it, or any.
WHO = st.sampled_from(["live", "live", "live", "late", "any"])
OWNER = st.sampled_from(["w1", "w2"])
DELAY = st.sampled_from([0, 0, 0, 1500, 4000])
REPLAYED = st.sampled_from([False, False, True])
PICK = st.integers(0, 3)
ORDER = st.sampled_from([-1, 5, 5, 20])
#: By tenant, the tickets that may be on their way in a queue.
WEIGHTS = {"x": 1, "y": 2}
#: What a call may say of its entry.
SAID = st.builds(
    lambda rate, together, fair: Said(rate, together, fair and (WEIGHTS[fair], fair)),
    st.sampled_from([None, None, Rate(1, 1500), Rate(2, 3000)]),
    st.sampled_from([1, 2, 3, 3]),
    st.sampled_from([None, "x", "x", "y"]),
)
#: Each example has some of them, so that it goes deep into these.
OPTIONS = (
    *("rate", "eta", "order", "identity", "batch", "part", "bound", "tenant", "several", "together", "operators"),
    *("breaker", "replace", "faults"),
)


def with_option(*names: str) -> Callable[[Any], Any]:
    """A rule of examples that have these options."""
    return precondition(lambda self: self.options.issuperset(names))


def needs_hand(*names: str) -> Callable[[Any], Any]:
    """The same of a rule that needs a ticket in somebody's hands."""
    return precondition(lambda self: self.hands and self.options.issuperset(names))


class Machine(RuleBasedStateMachine):
    """`hands` holds every ticket that a worker ever received, the newest last: late ones come back from there."""

    world: ClassVar[World]
    groups: ClassVar[Groups]
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.world.redis.flushdb()
        self.world.now = START_MS
        self.model = GateModel(START_MS, TTL_MS, GRACE_MS, CLAIM_MS)
        self.options: set[str] = set()
        self.hands: list[Ticket] = []  # with a fence: begun
        self.messages: dict[int, bytes] = {}
        self.starts: dict[str, list[str]] = {group: [] for group in GROUPS}
        self.moved: set[str] = set()
        self.kept: set[str] = set()
        self.revoked: set[str] = set()
        self.fences: list[int] = []
        self.used: set[str] = set()
        self.several: set[str] = set()
        self.number = self.looks = self.latest = 0
        self.parts: dict[int, int] = {}
        self.pass_time(1)

    def pass_time(self, ms: int) -> None:
        type(self).steps += 1
        self.world.tick(ms)
        self.model.now = self.world.now
        self.latest = max(self.latest, self.world.now)

    def catch_up(self) -> None:
        """Let the clock be past all that was parked before it was set back."""
        self.pass_time(max(self.latest - self.world.now, 0) + 1)

    @contextmanager
    def replaying(self, replayed: bool) -> Iterator[None]:
        """Every script is called twice with the very same arguments; only the second reply is seen."""
        self.pass_time(1)
        store, run = self.world.gate.store, self.world.gate.store.run

        def twice(*args: Any, **more: Any) -> Any:
            run(*args, **more)
            return run(*args, **more)

        if replayed:
            store.run = twice  # type: ignore[method-assign]
        try:
            yield
        finally:
            store.__dict__.pop("run", None)

    # -- what there is -------------------------------------------------------

    def new_id(self, group: str) -> str:
        self.number += 1
        id = f"{group}{self.number}"
        self.used.add(id)
        return id

    def running(self) -> list[Flight]:
        """Runs; what follows one of them does not count."""
        return [run for run in self.model.every() if run.state == "running" and run.stop != "f"]

    def held(self) -> list[Flight]:
        return [run for run in self.model.every() if run.state == "held"]

    def hand(self, who: str, pick: int) -> Ticket:
        fences = {run.id: run.fence for run in self.running()}
        live = [ticket for ticket in self.hands if fences.get(ticket.entry) == ticket.fence]
        late = [ticket for ticket in self.hands if fences.get(ticket.entry, ticket.fence) != ticket.fence]
        hands = {"live": live, "late": late}.get(who) or self.hands
        return hands[-1 - pick % len(hands)]

    def key(self, name: str) -> str:
        """The group of an entry; of one that is gone, any."""
        return self.model.entries.get(name, ("a", ""))[0]

    def allowed(self, said: Said) -> Said:
        """As much of what a call says as the example's options allow."""
        return Said(
            said.rate if "rate" in self.options else None,
            said.together if "together" in self.options else 1,
            said.tenant if "tenant" in self.options else None,
        )

    @staticmethod
    def words(said: Said) -> dict[str, Any]:
        """As `make_entry` takes it."""
        rate = said.rate and Rate(*said.rate)
        fair = f"f{said.tenant[0]}/{said.tenant[1]}" if said.tenant else ""
        return {"limits": Limits(rate, said.together if said.together > 1 else None).text(), "fair": fair}

    def started(self, ticket: Ticket) -> None:
        assert ticket.fence not in self.fences, "two starts under one fence"
        assert all(ticket.fence > fence for fence in self.fences[-1:]), "a fence has gone back"
        self.fences.append(ticket.fence)
        self.kept.discard(ticket.entry)
        places = [(self.key(ticket.entry), ticket.entry)]
        places += [(self.key(name), name) for name, task in self.model.stands.items() if task == ticket.entry]
        for group, name in places:
            assert group not in self.model.paused, "a start in a paused group"
            if name not in self.starts[group]:
                self.starts[group].append(name)
            beside = [run for run in self.model.flights(group) if run.state == "running" and run.stop != "f"]
            others = [run for run in beside if run.id != ticket.entry]
            most = max(self.model.together_of(group, name) for name in self.model.of_group(group))
            assert len(others) < most, "more at once than any of them allows"
            stands = [run for run in self.model.flights(group) if run.id in self.model.stands]
            assert not others or not (stands or len(places) > 1), "a task with several keys shares no group"

    # -- what always holds -------------------------------------------------

    @invariant()
    def the_server_agrees_with_the_model(self) -> None:
        found, expected = observe.of_server(self.world, GROUPS, QUEUES), observe.of_model(self.model, GROUPS, QUEUES)
        differ = {part: (found[part], expected[part]) for part in found if found[part] != expected[part]}
        assert not differ, f"server and model: {differ}"

    @invariant()
    def verify_finds_nothing(self) -> None:
        """It reads all, so only now and then."""
        self.looks += 1
        if self.looks % 16 == 0 and self.world.now >= self.latest:
            self.verify()

    def verify(self) -> None:
        breaches = [breach for breach in self.groups.verify() if breach.name != "left"]
        assert not breaches, breaches
        assert len(self.world.dead()) == self.groups.stats().dead_letters  # one whole chain

    @invariant()
    def first_starts_follow_the_line(self) -> None:
        for group, starts in self.starts.items():
            line = [id for id in self.model.joined.get(group, []) if id not in self.moved]
            gone = self.revoked | {id for cut in self.model.cut.values() for id in cut.ids}
            due = [id for id in line if id in starts or id not in gone]
            starts = [id for id in starts if id not in self.moved]
            assert starts == due[: len(starts)], f"{group}: {starts} started, and not {due}"

    @invariant()
    def nothing_is_lost(self) -> None:
        model = self.model
        places = [id for line in model.line.values() for id in line] + list(model.later)
        places += [run.id for run in model.every()]
        places += [id for cut in model.cut.values() for id in cut.ids]
        assert sorted(places) == sorted(model.entries)
        assert model.accepted == len(places) + model.ended

    @invariant()
    def who_may_go_on_is_looked_for(self) -> None:
        """The next one of a line, and the next head of a tenant: else they would wait for ever."""
        model = self.model
        for group, line in model.line.items():
            mine = model.flights(group)
            free = group not in model.paused and (not mine or group in model.company)
            free = free and all(run.state != "released" and run.stop == "-" for run in mine)
            if line and free and model.together_of(group, line[0]) > len(mine):
                assert group in model.advances, f"nobody looks for the next one of {group}"
        for of, row in model.row.items():
            if row:
                first = model.said[min(row)[2]].tenant
                assert first and (len(model.out.get(of, ())) >= first[0] or model.looks[of] <= model.now), of

    @invariant()
    def no_tenant_has_more_turns_than_its_weight(self) -> None:
        """Beyond them are only those that have had their turns: a worker was lost, or an operator let them go."""
        for of, out in self.model.out.items():
            weight = WEIGHTS[of.partition(" ")[2]]
            assert len([id for _, _, id in out if id not in self.kept]) <= weight

    def teardown(self) -> None:
        """Without further faults everything drains, and nothing is left."""
        self.the_server_agrees_with_the_model()  # else the step before has failed, and is the one to look at
        self.catch_up()
        self.verify()
        self.to_the_end()
        assert not self.model.entries, "something never started"
        self.the_server_agrees_with_the_model()
        self.first_starts_follow_the_line()
        self.world.redis.delete(self.world.keys.dead)
        assert self.world.residue().keys() == set()

    def to_the_end(self) -> None:
        """Run what is left."""
        raise NotImplementedError
