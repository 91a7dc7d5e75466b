"""The judge of rehearsals: it accepts what is right, and names each breach."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rehearsal.judge import JOINED_WITHIN, Judge
from rehearsal.lines import Limits, Tenant

TTL, ONE = 10_000, Limits()


class Scene:
    """A judge, and a clock that each step moves by a second."""

    def __init__(self) -> None:
        self.judge = Judge(TTL)
        self.judge.ms = 1_000_000
        self.fence = 0

    def tick(self, ms: int = 1000) -> None:
        self.judge.ms += ms

    def park(self, *ids: str, limits: Limits = ONE, delay: int = 0) -> None:
        for id in ids:
            self.tick()
            self.judge.accepted(id, "g", limits, self.judge.ms + delay if delay else 0, bool(delay))

    def start(self, id: str, owner: str = "w1", fence: int = 0) -> int:
        self.tick()
        self.fence = fence or self.fence + 1
        self.judge.started(id, "g", self.fence, owner, True)
        return self.fence

    def end(self, id: str, fence: int, accepted: bool = True) -> None:
        self.tick()
        self.judge.ended(id, "g", fence, accepted)

    def rules(self) -> list[str]:
        return [breach.rule for breach in self.judge.breaches]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_what_is_right_is_no_breach(scene: Scene) -> None:
    scene.park("a", "b")
    first = scene.start("a")
    scene.judge.started("a", "g", first, "w1", True)  # the same answer again
    scene.judge.retried("a", "g", first, True, True, scene.judge.ms + 5000, False)
    scene.tick(5000)
    second = scene.start("a")
    scene.end("a", first, accepted=False)
    scene.end("a", second)
    scene.end("b", scene.start("b"))
    scene.judge.unfinished()
    assert scene.rules() == [] and not scene.judge.alive
    assert scene.judge.counts["refused"] == 1


def _both(scene: Scene) -> None:
    """Tasks of g, of h, and one of both."""
    for id, group, others in (("a", "g", ()), ("b", "h", ()), ("both", "g", ("h",))):
        scene.tick()
        scene.judge.accepted(id, group, ONE, others=others)


def test_a_task_with_several_keys_takes_its_turn_in_each_group(scene: Scene) -> None:
    _both(scene)
    scene.end("a", scene.start("a"))
    scene.judge.started("b", "h", 9, "w1", True)
    scene.judge.ended("b", "h", 9, True)
    scene.end("both", scene.start("both", fence=10))
    scene.judge.unfinished()
    assert scene.rules() == [] and not scene.judge.alive


def test_before_the_other_group_has_come_to_it_it_may_not_start(scene: Scene) -> None:
    _both(scene)
    scene.end("a", scene.start("a"))
    scene.start("both")
    assert [(breach.rule, breach.group) for breach in scene.judge.breaches] == [("order", "h")]


def test_a_tenant_has_no_more_first_tickets_in_the_queue_than_its_weight(scene: Scene) -> None:
    scene.park("a", "b", "c")
    for task in scene.judge.alive.values():
        task.tenant = Tenant("t", 1)
    scene.judge.copied("b")
    scene.judge.queued({"a", "b", "gone"})
    assert scene.rules() == [] and scene.judge.counts["full turns"] == 1
    scene.judge.queued({"a", "b", "c"})
    assert scene.rules() == ["turns"]


def test_a_lost_workers_task_starts_again_when_its_lease_is_over(scene: Scene) -> None:
    scene.park("a")
    late = scene.start("a")
    scene.tick(TTL)
    again = scene.start("a", "w2")
    scene.end("a", late, accepted=False)
    scene.end("a", again)
    assert scene.rules() == [] and scene.judge.counts["repeats"] == 1


def test_a_lease_that_was_over_once_protects_no_older_run(scene: Scene) -> None:
    scene.park("a")
    scene.start("a")
    scene.tick(TTL)
    scene.judge.leased("w1")
    scene.start("a", "w2")
    assert scene.rules() == []


def _second_first(scene: Scene) -> None:
    scene.park("a", "b")
    scene.start("b")


def _before_a_retry(scene: Scene) -> None:
    scene.park("a", "b")
    scene.judge.retried("a", "g", scene.start("a"), True, True, scene.judge.ms + 60_000, False)
    scene.start("b")


def _past_an_eta(scene: Scene) -> None:
    scene.park("eta", delay=1000)
    scene.tick(2 * JOINED_WITHIN)
    scene.park("b")
    scene.start("b")


def _eta_before_its_elders(scene: Scene) -> None:
    scene.park("a", "eta", delay=0)
    scene.park("late", delay=1000)
    scene.tick()
    scene.start("late")


def _two_at_once(scene: Scene) -> None:
    scene.park("a", limits=Limits(together=2))
    scene.park("b", "c", limits=Limits(together=2))
    for id in "abc":
        scene.start(id)


def _beside_its_own_run(scene: Scene) -> None:
    scene.park("a")
    scene.start("a")
    scene.start("a", "w2")


def _revoked_while_it_runs(scene: Scene) -> None:
    scene.park("a")
    scene.start("a")
    scene.judge.revoked("a", "g", True)


def _fence_again(scene: Scene) -> None:
    scene.park("a", "b")
    scene.end("a", scene.start("a"))
    scene.start("b", fence=1)


def _too_early(scene: Scene) -> None:
    scene.park("a", delay=60_000)
    scene.start("a")


def _in_a_pause(scene: Scene) -> None:
    scene.park("a")
    scene.judge.paused("g")
    scene.start("a")


def _beyond_the_rate(scene: Scene) -> None:
    scene.park("a", "b", limits=Limits(starts=1, window=60_000))
    scene.end("a", scene.start("a"))
    scene.start("b")


def _after_its_end(scene: Scene) -> None:
    scene.park("a")
    scene.end("a", scene.start("a"))
    scene.start("a")


def _parked_twice(scene: Scene) -> None:
    scene.park("a")
    scene.judge.doubled("a", "g", True)


def _id_kept(scene: Scene) -> None:
    scene.park("a")
    scene.end("a", scene.start("a"))
    scene.tick()
    scene.judge.doubled("a", "g", False)


def _old_end_accepted(scene: Scene) -> None:
    scene.park("a")
    late = scene.start("a")
    scene.tick(TTL)
    scene.start("a", "w2")
    scene.end("a", late)


def _end_refused(scene: Scene) -> None:
    scene.park("a")
    scene.end("a", scene.start("a"), accepted=False)


def _told_in_vain(scene: Scene) -> None:
    scene.park("a")
    scene.judge.told("a", "g", scene.start("a"))


def _never_ends(scene: Scene) -> None:
    scene.park("a")
    scene.tick(60_000)
    assert not scene.judge.waits(50_000)
    scene.judge.unfinished()


def _not_found(scene: Scene) -> None:
    scene.park("a")
    scene.judge.revoked("a", "g", False)


@pytest.mark.parametrize(
    "rule, breach",
    [
        *[("order", each) for each in (_second_first, _before_a_retry, _past_an_eta, _eta_before_its_elders)],
        *[("overlap", each) for each in (_two_at_once, _beside_its_own_run, _revoked_while_it_runs)],
        ("fence", _fence_again),
        *[("early", each) for each in (_too_early, _in_a_pause, _beyond_the_rate)],
        *[("ended", each) for each in (_after_its_end, _parked_twice, _id_kept)],
        *[("refused", each) for each in (_old_end_accepted, _end_refused, _told_in_vain)],
        *[("lost", each) for each in (_never_ends, _not_found)],
    ],
)
def test_each_breach_is_named(scene: Scene, rule: str, breach: Callable[[Scene], None]) -> None:
    breach(scene)
    assert rule in scene.rules()
