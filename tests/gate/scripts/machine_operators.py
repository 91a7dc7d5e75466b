"""The rules of a state machine for what operators do."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from celery_groupfifo import GroupDraining, GroupFifoError, HeadChanged, UnknownGroup, WrongState
from celery_groupfifo.gate.keys import task_of
from celery_groupfifo.windows import Rate
from tests.gate.scripts.machine import GROUPS, PICK, Machine, with_option

KEY = st.sampled_from(GROUPS)


class Operators(Machine):
    """The verbs of `Groups`."""

    @precondition(lambda self: self.held())
    @rule(pick=PICK, retried=st.booleans())
    def let_a_held_one_go(self, pick: int, retried: bool) -> None:
        """It is retried, or set aside."""
        run = self.held()[pick % len(self.held())]
        if retried:
            self.retry(self.key(run.id))
        else:
            self.skip(self.key(run.id), task_of(run.id), drops=True)

    def retry(self, key: str) -> None:
        self.pass_time(1)
        self.kept |= {run.id for run in self.model.flights(key)}
        expected = self.model.retry(key)
        try:
            self.groups.retry(key)
        except WrongState as error:
            assert expected is not True, error
        else:
            assert expected is True

    def skip(self, key: str, id: str, drops: bool) -> None:
        self.pass_time(1)
        before = set(self.model.entries)
        expected, answer = self.model.skip(key, id), "done"
        try:
            (self.groups.drop if drops else self.groups.skip)(key, expected=id)
        except UnknownGroup:
            answer = "empty"
        except HeadChanged:
            answer = "changed"
        except WrongState:
            answer = "runs"
        assert answer == expected
        self.revoked |= before - set(self.model.entries)

    @with_option("operators")
    @rule(key=KEY)
    def pause(self, key: str) -> None:
        self.pass_time(1)
        assert self.groups.pause(key) == self.model.pause(key)

    @with_option("operators")
    @rule(key=KEY)
    def resume(self, key: str) -> None:
        self.pass_time(1)
        assert self.groups.resume(key) == self.model.resume(key)

    @with_option("operators")
    @rule(key=KEY)
    def drain(self, key: str) -> None:
        self.pass_time(1)
        assert self.groups.drain(key) == self.model.drain(key)

    @with_option("operators")
    @rule(key=KEY, pick=PICK, drops=st.booleans())
    def skip_any(self, key: str, pick: int, drops: bool) -> None:
        mine = [task_of(name) for name in self.model.of_group(key)] or ["none"]
        self.skip(key, mine[pick % len(mine)], drops)

    @with_option("operators")
    @rule(key=KEY)
    def purge(self, key: str) -> None:
        self.catch_up()
        before = set(self.model.entries)
        gone = self.model.purge(key)
        later = sorted(((when, id) for id, when in self.model.later.items() if self.key(id) == key))
        for _, id in later:
            assert self.model.revoke(id)
        assert self.groups.purge(key) == len(gone) + len(later)
        self.revoked |= before - set(self.model.entries)

    @with_option("operators")
    @rule(old=KEY, new=KEY)
    def move(self, old: str, new: str) -> None:
        several = any(name in self.model.others or name in self.model.stands for name in self.model.line.get(old, ()))
        if old == new or several:
            return
        self.catch_up()
        moved = list(self.model.line.get(old, ()))
        expected = self.model.move(old, new)
        try:
            assert self.groups.move(old, new) == expected
        except GroupDraining:
            assert expected is None
        else:
            self.moved |= set(moved)

    @with_option("operators")
    @rule(
        key=KEY,
        rate=st.sampled_from([None, None, Rate(1, 1500), Rate(2, 3000)]),
        together=st.sampled_from([None, 1, 2, 3]),
        lasts=st.sampled_from([0, 4000]),
    )
    def limit(self, key: str, rate: Rate | None, together: int | None, lasts: int) -> None:
        self.pass_time(1)
        more = {} if rate is None else {"rate": str(rate)}
        done = self.groups.limit(key, concurrency=together, expires_in=lasts / 1000 if lasts else None, **more)
        assert done == self.model.limit(key, rate, together, lasts)

    @with_option("operators")
    @precondition(lambda self: self.letters())
    @rule(pick=PICK, to_head=st.booleans())
    def redrive(self, pick: int, to_head: bool) -> None:
        id = self.letters()[pick % len(self.letters())]
        self.pass_time(1)
        answer: bool | None = True
        expected = self.model.redrive(id, to_head)
        try:
            assert self.groups.redrive(id, to="head" if to_head else "tail") == self.model.gone[id][0]
        except GroupDraining:
            answer = None
        except GroupFifoError:
            answer = False
        assert answer == expected
        self.moved |= {id} if expected else set()

    @with_option("operators")
    @precondition(lambda self: self.letters())
    @rule(pick=PICK)
    def discard(self, pick: int) -> None:
        letters = self.groups.dead_letters()
        letter = letters[pick % len(letters)]
        assert self.groups.discard(refs=[letter.ref]) == 1
        left = [each.ref for each in letters if each != letter]
        assert [each.ref for each in self.groups.dead_letters()] == left

    def letters(self) -> list[str]:
        """The ids of dead letters, but of tasks with several keys."""
        if "operators" not in self.options or not self.world.redis.exists(self.world.keys.dead):
            return []
        ids = [letter.id for letter in self.groups.dead_letters()]
        return [id for id in ids if id in self.model.gone and id not in self.several]
