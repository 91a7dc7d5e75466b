"""The state of a gate in one form, read from the server or from the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery_groupfifo.gate.keys import due_ms, due_score
from tests.gate.support import PLAIN, World, ticket_of
from tests.model.gate_model import GateModel

View = dict[str, dict[str, Any]]


def of_model(model: GateModel, groups: Sequence[str], queues: Sequence[str]) -> View:
    """Return the model's state."""
    depth: dict[str, int] = {}
    for group, _ in model.entries.values():
        depth[group] = depth.get(group, 0) + 1
    flights = list(model.flight.values())
    running = {run.id: run.until for run in flights if run.state == "running"}
    held = {run.id: run.due for run in flights if run.state == "held" and not run.blocks}
    return {
        "entries": dict(model.entries),
        "line": {group: model.line.get(group, []) for group in groups},
        "flight": {
            group: (run.id, run.state, run.release, run.fence, run.lost, run.owner, run.due, run.queue)
            for group, run in model.flight.items()
        },
        "group": {group: ["blocked"] * run.blocks + [f"f {run.id}"] for group, run in model.flight.items()},
        "due": {
            "e": dict(model.later),
            "l": running,
            "h": held,
            "d": {str(fence): cut.when for fence, cut in model.cut.items()},
        },
        "depth": depth,
        "on_the_way": {run.id: (run.queue, run.release) for run in flights if run.state == "released"},
        "begins": dict(model.begins),
        "lists": {queue: model.lists.get(queue, []) for queue in queues},
    }


def of_server(world: World, groups: Sequence[str], queues: Sequence[str]) -> View:
    """Return the server's state, in one round trip. Names are plain here, so quoting changes nothing."""
    keys = world.keys
    pipe = world.redis.pipeline(transaction=False)
    pipe.hgetall(keys.entries).hgetall(keys.flight).zrange(keys.due, 0, -1, withscores=True)
    pipe.zrange(keys.depth, 0, -1, withscores=True).zrange(keys.on_the_way, 0, -1).hgetall(keys.begins)
    for group in groups:
        pipe.lrange(keys.line(group), 0, -1).hgetall(keys.group(group))
    for queue in queues:
        pipe.lrange(queue, 0, -1)
    entries, flight, due, depth, on_the_way, begins, *rest = pipe.execute()
    texts = {id.decode(): text.split(b"\n", 1)[0].decode().split(" ") for id, text in entries.items()}
    view: View = {
        "entries": {id: (words[1], words[2]) for id, words in texts.items()},
        "line": {},
        "flight": _flights(flight),
        "group": {},
        "due": {kind: {} for kind in "elhd"},
        "depth": {group.decode(): int(count) for group, count in depth},
        "on_the_way": {},
        "begins": {queue.decode(): int(text.split(b" ")[0]) for queue, text in begins.items()},
        "lists": {},
    }
    for member, when in due:
        kind, *_, id = member.decode().split(" ")
        view["due"].setdefault(kind, {})[id] = int(due_ms(when))
        assert when == due_score(member.decode(), due_ms(when)), "in the range of its kind"
    for member in on_the_way:
        queue, release, id = member.decode().split(" ")
        view["on_the_way"][id] = (queue, int(release))
    for group in groups:
        items, state = rest.pop(0), rest.pop(0)
        places = [item.decode().split(" ") for item in items]
        view["line"][group] = [id for us, id in places if id in texts and texts[id][0] == us]
        if items and group not in view["depth"]:
            view["line"][group] = ["left over", *items]
        if state:
            view["group"][group] = sorted(name.decode() for name in state)
    for queue in queues:
        view["lists"][queue] = [_pair(message) for message in rest.pop(0)][::-1]
    return view


def _flights(flight: dict[bytes, bytes]) -> dict[str, Any]:
    view: dict[str, Any] = {}
    for id, text in flight.items():
        state, release, fence, lost, _, owner, _, due, _, group, queue = text.decode().split(" ")
        assert group not in view, f"two entries of group {group} are in flight"
        numbers = int(release), 0 if fence == "-" else int(fence), int(lost)
        view[group] = (id.decode(), state, *numbers, owner, None if due == "-" else int(due), queue)
    return view


def _pair(message: bytes) -> tuple[str, int]:
    if message == PLAIN:
        return ("plain", 0)
    ticket = ticket_of(message)
    return ticket.entry, ticket.release
