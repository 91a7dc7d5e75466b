"""A task with several keys starts when it is the head of all of its groups."""

from __future__ import annotations

from tests.support.world import World


def test_it_goes_out_at_once_where_nothing_is_before_it(world: World) -> None:
    assert world.park("t", "A", others=["B", "C"])
    assert world.queued() == ["t"]
    for key in "ABC":
        assert world.depth(key) == 1
    world.park("b", "B")
    ticket = world.begin(world.receive())
    assert ticket is not None and world.queued() == []
    assert world.finish(ticket, "A").held == 0
    world.sweep()
    assert world.queued() == ["b"]
    begun = world.begin(world.receive())
    assert begun is not None
    world.finish(begun, "B")
    world.sweep()
    assert world.residue() == {}
