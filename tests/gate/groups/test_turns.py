"""Heads that wait for their turns among the groups of a tenant, as operators see them."""

from __future__ import annotations

import pytest

from celery_groupfifo import Groups
from tests.support.world import World


@pytest.fixture(autouse=True)
def tenant(world: World) -> None:
    """Three groups of a tenant: the head of the first one is on its way."""
    for id in "abc":
        world.park(id, f"group-{id}", fair="f1/a%20tenant")
    world.park("d", "group-c", fair="f1/a%20tenant")


def test_explain_tells_how_many_come_before(groups: Groups) -> None:
    assert groups.explain("group-c", ask_workers=False) == (
        "Group 'group-c' waits for its turn among the groups of 'a tenant': 1 head of them goes out before its head "
        "t[c]; `retry` lets it go at once. 1 task waits behind it."
    )
    assert "no heads of them go out before its head t[b]" in groups.explain("group-b", ask_workers=False)
    assert "waits for a slot: its head t[a] was released" in groups.explain("group-a", ask_workers=False)


def test_get_and_list_name_the_tenant(groups: Groups) -> None:
    group = groups.get("group-c")
    assert (group.state, group.turn, group.due) == ("held", "a tenant", None)
    assert group.reason == "waits for its turn among the groups of 'a tenant'"
    assert {each.key: each.turn for each in groups.list()} == {
        "group-a": "",
        "group-b": "a tenant",
        "group-c": "a tenant",
    }


def test_a_pause_has_its_own_reason(groups: Groups) -> None:
    groups.pause("group-c", reason="audit")
    assert (groups.get("group-c").reason, groups.get("group-c").turn) == ("audit", "")


def test_what_waits_for_a_turn_is_not_counted_as_released(world: World, groups: Groups) -> None:
    groups.drain("group-c")
    stats = groups.stats()
    assert (stats.waiting, stats.held, stats.parked, stats.depth) == (1, 2, 1, 4), stats


def test_all_is_well(groups: Groups) -> None:
    assert groups.verify() == []
