"""The state of a gate in one form, read from the server or from the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery_groupfifo.gate.keys import due_ms, due_score, quote
from celery_groupfifo.gate.records import FOLLOWS, Flight, StoredGroup
from celery_groupfifo.sending.order import shown_value
from tests.support.gate_model import GateModel
from tests.support.stored import stored_fields
from tests.support.world import PLAIN, World, ticket_of

View = dict[str, Any]


def of_model(model: GateModel, groups: Sequence[str], queues: Sequence[str]) -> View:
    """Return the model's state."""
    depth: dict[str, int] = {}
    for group, _ in model.entries.values():
        depth[group] = depth.get(group, 0) + 1
    flights = list(model.flight.values())
    return {
        "entries": dict(model.entries),
        "line": {group: model.line.get(group, []) for group in groups},
        "flight": {
            group: (run.id, run.state, run.release, run.fence, run.lost, run.owner, run.due, run.queue)
            for group, run in model.flight.items()
        },
        "followers": {
            group: [(each.id, each.fence, each.lost) for each in follow]
            for group, follow in model.followers.items()
            if follow
        },
        "blocked": {group for group, run in model.flight.items() if run.blocks},
        "probing": set(model.probing),
        "due": {
            "e": dict(model.later),
            "w": dict(model.leases),
            "v": dict(model.reclaims),
            "h": {run.id: run.due for run in flights if run.state == "held" and not run.blocks},
            "b": {run.id: run.ends for run in flights if run.blocks and run.ends is not None},
            "d": {str(fence): cut.when for fence, cut in model.cut.items()},
            "i": {identity: when for (_, identity), when in model.identity_forgets.items()},
            "t": dict(model.forgets),
            "m": {group: when for group, (_, when) in model.marks.items()},
            "s": dict.fromkeys(model.orders, 0),
        },
        "orders": _orders(model),
        "late": model.late,
        "identities": _identities(model),
        "depth": depth,
        "runs": {(run.owner, run.id) for run in flights if run.state == "running"},
        "on_the_way": {
            group: (run.queue, run.release) for group, run in model.flight.items() if run.state == "released"
        },
        "begins": dict(model.begins),
        "counted": {group: (*rate, *begins) for group, (begins, rate) in model.counted.items()},
        "marked": set(model.marked),
        "lists": {queue: model.lists.get(queue, []) for queue in queues},
    }


def _orders(model: GateModel) -> dict[str, tuple[str, ...]]:
    """Return what is stored about order values: by entry, and by group."""
    found = {f"m {group}": (str(value),) for group, (value, _) in model.marks.items()}
    return found | {f"o {id}": tuple(map(str, said)) for id, said in model.orders.items()}


def _identities(model: GateModel) -> dict[str, str]:
    stored = {f"i {group} {identity}": f"{until} {id}" for (group, identity), (id, until) in model.kept.items()}
    for id, (identity, after) in model.claims.items():
        group = model.entries[id][0]
        stored[f"n {id}"] = f"{after} {identity}"
        stored[f"i {group} {identity}"] = f"- {' '.join(model.holders(group, identity))}"
    return stored


def of_server(world: World, groups: Sequence[str], queues: Sequence[str]) -> View:
    """Return the server's state, in two round trips. Names are plain here, so quoting changes nothing."""
    keys = world.keys
    pipe: Any = world.redis.pipeline(transaction=False)  # chained: redis-py types an answer, and returns the pipeline
    pipe.hgetall(keys.entries).hgetall(keys.groups).zrange(keys.due, 0, -1, withscores=True)
    pipe.hkeys(keys.flags).zrange(keys.on_the_way, 0, -1).hgetall(keys.begins).hget(keys.stats, "tasks_late")
    for group in groups:
        pipe.lrange(keys.line(quote(group)), 0, -1)
    for queue in queues:
        pipe.lrange(queue, 0, -1)
    entries, stored, due, flags, on_the_way, begins, late, *rest = pipe.execute()
    texts = {id.decode(): text.split(b"\n", 1)[0].decode().split(" ") for id, text in entries.items()}
    states = {name.decode(): StoredGroup.parse(quote(name.decode()), text) for name, text in stored.items()}
    view: View = {
        "entries": {id: (words[1], words[2]) for id, words in texts.items()},
        "line": {},
        "flight": {group: _flight(state) for group, state in states.items() if state.flights},
        "followers": {group: followers for group, state in states.items() if (followers := _followers(state.flights))},
        "blocked": {group for group, state in states.items() if "b" in state.flags},
        "probing": {group for group, state in states.items() if "o" in state.flags},
        "due": {kind: {} for kind in "ewvhbdtims"},
        "orders": {},
        "late": int(late or 0),
        "identities": {},
        "depth": {},
        "runs": set(),
        "on_the_way": {},
        "begins": {},
        "counted": {
            name.decode()[2:]: tuple(map(int, text.split())) for name, text in begins.items() if name[:2] == b"s "
        },
        "marked": {group for group, state in states.items() if "s" in state.flags},
        "lists": {},
    }
    for name, text in begins.items():
        if name[:2] in (b"i ", b"n "):
            view["identities"][name.decode()] = text.decode()
        elif name[:2] in (b"o ", b"m "):
            value, *more = text.decode().split(" ")
            view["orders"][name.decode()] = (shown_value(value), *more)
        elif b" " not in name:
            view["begins"][name.decode()] = int(text.split(b" ")[0])
    assert {flag.decode() for flag in flags} == {f"b {group}" for group in view["blocked"]}
    for member, when in due:
        kind, *_, id = member.decode().split(" ")
        view["due"].setdefault(kind, {})[id] = int(due_ms(when))
        assert when == due_score(member.decode(), due_ms(when)), "in the range of its kind"
    for member in on_the_way:
        queue, release, group = member.decode().split(" ")
        view["on_the_way"][group] = (queue, int(release))
    for group in groups:
        items, state = rest.pop(0), states.get(group)
        places = [item.decode().split(" ") for item in items]
        view["line"][group] = [id for us, id in places if id in texts and texts[id][0] == us]
        if state is None:
            assert not items, "left over"
        elif depth := state.depth(len(items)):
            view["depth"][group] = depth
    for queue in queues:
        view["lists"][queue] = [_pair(message) for message in rest.pop(0)][::-1]
    view["runs"] = _runs(world, states)
    return view


def _flight(state: StoredGroup) -> Any:
    assert not state.unreadable
    (run,) = [flight for flight in state.flights if flight.stop != FOLLOWS]
    return (run.id, run.state, run.release, run.fence, run.lost, run.owner, run.due, run.queue)


def _followers(flights: Sequence[Flight]) -> list[tuple[str, int, int]]:
    return [(flight.id, flight.fence, flight.lost) for flight in flights if flight.stop == FOLLOWS]


def _runs(world: World, states: dict[str, StoredGroup]) -> set[tuple[str, str]]:
    """Return worker and entry of each run, as a lost worker's are found: in its hash, which needs a lease that ends."""
    owners = {flight.owner for state in states.values() for flight in state.flights if flight.state == "running"}
    found: set[tuple[str, str]] = set()
    for owner in owners:
        for lane, text in stored_fields(world.redis.hgetall(world.keys.runs(owner))).items():
            if not lane.isdigit():
                continue
            _, group, id, _ = text.decode().split(" ")
            flights = states[group].flights if group in states else ()
            found |= {(owner, id) for run in flights if (run.id, run.owner, run.state) == (id, owner, "running")}
        members = [f"w {owner}", f"v {owner}"]
        assert any(world.redis.zscore(world.keys.due, member) is not None for member in members), "never taken back"
    return found


def _pair(message: bytes) -> tuple[str, int]:
    if message == PLAIN:
        return ("plain", 0)
    ticket = ticket_of(message)
    return ticket.entry, ticket.release
