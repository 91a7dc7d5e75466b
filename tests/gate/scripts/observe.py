"""The state of a gate in one form, read from the server or from the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery_groupfifo.gate.keys import due_ms, due_score, quote
from celery_groupfifo.gate.records import Flight, StoredGroup
from celery_groupfifo.sending.order import shown_value
from tests.support.model import GateModel
from tests.support.stored import stored_fields
from tests.support.world import PLAIN, World, ticket_of

View = dict[str, Any]

#: The flags and marks of groups that both know, by their letters.
FLAGS = "pdblosnkf"


def of_model(model: GateModel, groups: Sequence[str], queues: Sequence[str]) -> View:
    """Return the model's state."""
    depth: dict[str, int] = {}
    for group, _ in model.entries.values():
        depth[group] = depth.get(group, 0) + 1
    flights = model.every()
    return {
        "entries": dict(model.entries),
        "line": {group: model.line.get(group, []) for group in groups},
        "flight": {
            group: [
                (run.id, run.state, run.stop, run.release, run.fence, run.lost, run.owner, run.due, run.queue)
                for run in runs
            ]
            for group, runs in model.flight.items()
            if runs
        },
        "flags": _flags(model, groups),
        "due": {
            "e": dict(model.later),
            "w": dict(model.leases),
            "v": dict(model.reclaims),
            "h": {run.id: when for run in flights if (when := model.held_until(run)) is not None},
            "b": {run.id: run.ends for run in flights if run.stop == "b" and run.ends is not None},
            "d": {str(fence): cut.when for fence, cut in model.cut.items()},
            "i": {identity: when for (_, identity), when in model.identity_forgets.items()},
            "t": dict(model.forgets),
            "m": {group: when for group, (_, when) in model.marks.items()},
            "s": dict.fromkeys(model.orders, 0),
            "a": dict(model.advances),
            "l": dict(model.limits_end),
            "f": dict(model.looks),
        },
        "orders": _orders(model),
        "late": model.late,
        "identities": _identities(model),
        "others": {name: " ".join(groups) for name, groups in model.others.items()},
        "stand_ins": len(model.stands),
        "depth": depth,
        "runs": {(run.owner, run.id) for run in flights if run.state == "running" and run.stop != "f"},
        "on_the_way": sorted(
            (run.queue, run.release, model.entries[run.id][0]) for run in flights if run.state == "released"
        ),
        "out": {of: sorted(found) for of, found in model.out.items() if found},
        "row": {of: sorted(found) for of, found in model.row.items() if found},
        "begins": dict(model.begins),
        "counted": {group: (*rate, *begins) for group, (begins, rate) in model.counted.items()},
        "lists": {queue: model.lists.get(queue, []) for queue in queues},
    }


def _flags(model: GateModel, groups: Sequence[str]) -> dict[str, str]:
    known = {
        **{"p": model.paused, "d": model.draining, "l": set(model.limited), "o": model.probing, "s": model.marked},
        **{"n": model.company, "k": model.shared, "f": model.fair},
        "b": {group for group in groups if model.blocked(group)},
    }
    found = {group: "".join(letter for letter in FLAGS if group in known[letter]) for group in groups}
    return {group: letters for group, letters in found.items() if letters}


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
    pipe.hkeys(keys.flags).zrange(keys.on_the_way, 0, -1).hgetall(keys.begins)
    pipe.hmget(keys.stats, "tasks_late", "stand_ins")
    for group in groups:
        pipe.lrange(keys.line(quote(group)), 0, -1)
    for queue in queues:
        pipe.lrange(queue, 0, -1)
    entries, stored, due, flags, on_the_way, begins, (late, stand_ins), *rest = pipe.execute()
    texts = {id.decode(): text.split(b"\n", 1)[0].decode().split(" ") for id, text in entries.items()}
    states = {name.decode(): StoredGroup.parse(quote(name.decode()), text) for name, text in stored.items()}
    marks = {group: "".join(each for each in FLAGS if each in state.flags) for group, state in states.items()}
    view: View = {
        "entries": {id: (words[1], words[2]) for id, words in texts.items()},
        "line": {},
        "flight": {group: list(map(_flight, state.flights)) for group, state in states.items() if state.flights},
        "flags": {group: letters for group, letters in marks.items() if letters},
        "due": {kind: {} for kind in "ewvhbdtimsalf"},
        "orders": {},
        "late": int(late or 0),
        "identities": {},
        "others": {},
        "stand_ins": int(stand_ins or 0),
        "depth": {},
        "runs": set(),
        "on_the_way": [],
        "out": {},
        "row": {},
        "begins": {},
        "counted": {
            name.decode()[2:]: tuple(map(int, text.split())) for name, text in begins.items() if name[:2] == b"s "
        },
        "lists": {},
    }
    for name, text in begins.items():
        if name[:2] in (b"i ", b"n "):
            view["identities"][name.decode()] = text.decode()
        elif name[:2] in (b"o ", b"m "):
            value, *more = text.decode().split(" ")
            view["orders"][name.decode()] = (shown_value(value), *more)
        elif name[:2] == b"k ":
            view["others"][name.decode()[2:]] = text.decode()
        elif b" " not in name:
            view["begins"][name.decode()] = int(text.split(b" ")[0])
    said = {flag.decode() for flag in flags}
    assert said == {f"{flag} {group}" for group, letters in marks.items() for flag in letters if flag in "pdbl"}
    for member, when in due:
        kind, *_, id = member.decode().split(" ")
        id = member.decode()[2:] if kind == "f" else id
        view["due"].setdefault(kind, {})[id] = int(due_ms(when))
        assert when == due_score(member.decode(), due_ms(when)), "in the range of its kind"
    for member in on_the_way:
        words = member.decode().split(" ")
        if len(words) == 3:
            view["on_the_way"].append((words[0], int(words[1]), words[2]))
        else:
            where, queue, fair, number, group, id = words
            part = view["out" if where == "\x7fo" else "row"]
            part.setdefault(f"{queue} {fair}", []).append((int(number), group, id))
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


def _flight(run: Flight) -> Any:
    assert run.state != "unreadable"
    return (run.id, run.state, run.stop, run.release, run.fence, run.lost, run.owner, run.due, run.queue)


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
