"""The changes of groups: one script each, atomic, safe to repeat, and noted in the audit by the script itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from celery import Celery

from celery_groupfifo.errors import GroupDraining, GroupFifoError, HeadChanged, UnknownGroup, WrongState
from celery_groupfifo.gate.gate import Gate
from celery_groupfifo.gate.growing import has_left
from celery_groupfifo.gate.keys import Keys, Quoted, quote, stands_in, task_of, unquote
from celery_groupfifo.gate.model import why_set_aside
from celery_groupfifo.gate.records import Limits, PlaceInLine, StoredEntry, message_of
from celery_groupfifo.groups import audit, content
from celery_groupfifo.groups.action_calls import ActionCalls
from celery_groupfifo.groups.purge import Purge
from celery_groupfifo.groups.reader import PLACES, Reader
from celery_groupfifo.groups.view import shown_limits
from celery_groupfifo.sending.revoke import tell_revoked

#: Bytes of messages per call of `move`, at most.
MOVED_BYTES = 4_000_000
#: Keys that the audit names of an action on many groups.
NAMED = 20


class Operator:
    """The operator's changes of groups.

    Args:
        app: The app, whose result backend is told of tasks that were taken out.
        gate: Its gate.
        reader: Reads the gate.
    """

    def __init__(self, app: Celery, gate: Gate, reader: Reader) -> None:
        self._app, self._gate, self._reader = app, gate, reader

    # -- flags -------------------------------------------------------------

    def pause(self, key: str, reason: str, by: str) -> bool:
        """Pause a group, see `Groups.pause`."""
        note = audit.new_note("pause", key, by, reason)
        _, reply = self._mark("pause", key, note, lambda keys, _: [keys.paused, keys.wake], _flag(reason, by))
        audit.log(note)
        return int(reply[0]) == 1

    def resume(self, key: str, by: str) -> bool:
        """Resume a group, see `Groups.resume`."""
        keys, group = self._keys_of(key)
        note = audit.new_note("resume", key, by)
        calls = ActionCalls(self._gate, keys, note)
        code, *words = calls.run("resume", [keys.paused, keys.line(group), keys.wake], group)
        calls.publish(words)
        if int(code) == 1:
            audit.log(note)
        return int(code) == 1

    def drain(self, key: str, reason: str, by: str) -> bool:
        """Drain a group, see `Groups.drain`."""
        note = audit.new_note("drain", key, by, reason)
        _, reply = self._mark("drain", key, note, lambda keys, group: [keys.line(group)], _flag(reason, by))
        if int(reply[0]):
            audit.log(note)
        return int(reply[0]) > 0

    def limit(self, key: str, limits: Limits, expires_in: float | None, reason: str, by: str) -> bool:
        """Set the limits of a group, see `Groups.limit`."""
        shown = shown_limits(limits.rate, limits.concurrency) or "none"
        note = audit.new_note("limit", key, by, reason, limits=shown, expires_in=expires_in)
        lasts = round((expires_in or 0) * 1000)
        flag = _flag(reason, by) + (f'"lasts_ms": {lasts}, ' if lasts else "")
        args = limits.text(), flag, lasts
        calls, reply = self._mark("limit", key, note, lambda keys, group: [keys.line(group), keys.wake], *args)
        code, *words = reply
        calls.publish(words)
        if int(code):
            audit.log(note, shown)
        return int(code) > 0

    # -- the head ----------------------------------------------------------

    def skip(self, key: str, expected: str, reason: str, by: str, drops: bool = False) -> bool:
        """Skip a head, see `Groups.skip`, or drop it, see `Groups.drop`."""
        keys, group = self._keys_of(key)
        note = audit.new_note("drop" if drops else "skip", key, by, reason, task_id=expected)
        why = self._why_dropped(keys, group, expected, reason, by) if drops else ""
        calls, code, words = ActionCalls(self._gate, keys, note), 0, []
        while code == 0:  # each call drops up to 100 places of revoked tasks
            code, *words = calls.run("skip", [keys.line(group), keys.wake], group, quote(expected), why)
        if code == -1:
            raise UnknownGroup(f"Group {key!r} has no head: nothing was done.")
        if code == -2:
            raise HeadChanged(
                f"The head of group {key!r} is {task_of(words[0].decode())}, not {expected}: nothing was done. "
                "Check it, and try again."
            )
        if code == -3:
            raise WrongState(
                f"Task {expected} of group {key!r} runs, and only what does not run can be taken out. To end the run: "
                f"celery -A APP groupfifo terminate {expected}"
            )
        calls.publish(words[1:])
        self._tell([(expected, words[0])])
        audit.log(note, expected)
        return bool(words[0])

    def _why_dropped(self, keys: Keys, group: Quoted, expected: str, reason: str, by: str) -> str:
        """Return why a head becomes a dead letter; one that blocks its group has failed before."""
        blocked = json.loads(self._reader.one("hget", keys.flags, f"b {group}") or b"{}")
        failed = str(blocked.get("reason") or "") if blocked.get("task_id") == expected else ""
        return why_set_aside("dropped", exception=failed, reason=reason, by=by or audit.current_user())

    def retry(self, key: str, by: str) -> None:
        """Release a head, see `Groups.retry`."""
        keys, group = self._keys_of(key)
        note = audit.new_note("retry", key, by)
        calls = ActionCalls(self._gate, keys, note)
        code, *words = calls.run("retry", [], group)
        if code == -2:
            raise WrongState(f"Group {key!r} is paused: resume it first.")
        if code == -1:
            raise WrongState(f"Group {key!r} holds no head that waits for its retry or has failed: nothing was done.")
        calls.publish(words)
        audit.log(note)

    # -- many tasks --------------------------------------------------------

    def purge(self, keys: Sequence[str], reason: str, by: str) -> dict[str, int]:
        """Revoke the tasks of groups, see `Groups.purge` and `Groups.purge_many`."""
        some = {"groups": len(keys), "keys": list(keys[:NAMED])} if len(keys) != 1 else {}
        note = audit.new_note("purge", keys[0] if len(keys) == 1 else "", by, reason, **some)
        counts = Purge(self._app, self._gate, self._reader, note).run(keys)
        audit.log(note, f"{sum(counts.values())} tasks")
        return counts

    def move(self, old: str, new: str, reason: str, by: str) -> int:
        """Move the tasks of a group, see `Groups.move`."""
        if self._gate.settings.partitions_before:
            raise GroupFifoError(
                f"Group {old!r} can't be moved while groupfifo_partitions_before is set, as groups change their "
                "partitions then: move it when the number has grown, or send the tasks again."
            )
        keys, group = self._keys_of(old)
        there, into = self._keys_of(new)
        if group == into:
            raise GroupFifoError(f"Group {old!r} can't be moved into itself.")
        if there is not keys:
            raise GroupFifoError(
                f"Groups {old!r} and {new!r} are in different partitions ({keys.tag}, {there.tag}) of the gate, which "
                "one atomic step can't span: choose a key of the same partition, or send the tasks again."
            )
        note = audit.new_note("move", old, by, reason, to=new)
        more = [keys.line(group), keys.line(into)]
        calls, bound, total = ActionCalls(self._gate, keys, note), self._reader.now() * 1000, 0
        while True:
            triples, count = self._movable(keys, group, new, bound)
            if not triples:
                break
            moved, *words = calls.run("move", more, group, into, *triples, noted=total > 0)
            if moved == -2:
                raise WrongState(
                    f"Task {task_of(words[0].decode())} of group {old!r} has a place in other groups, too, so it "
                    f"can't be moved: let it run, or revoke it. {total} tasks before it were moved."
                )
            if moved < 0:
                raise GroupDraining(f"Group {new!r} is draining: it takes no tasks. {total} were moved before.")
            calls.publish(words)
            total += int(moved)
            if count < PLACES and moved == 0:
                break
        if total:
            audit.log(note, f"{total} tasks to {new!r}")
        return total

    def _movable(self, keys: Keys, group: Quoted, new: str, bound: float) -> tuple[list[Any], int]:
        """Return places at the head of a line in the form for lua/move.lua, and their number."""
        items = self._reader.one("lrange", keys.line(group), 0, PLACES - 1)
        places = [PlaceInLine.parse(item.decode()) for item in items]
        triples: list[Any] = []
        size = 0
        for (us, id), text in zip(places, self._reader.texts(keys, [place.name for place in places]), strict=True):
            if int(us) > bound or size > MOVED_BYTES:
                break
            entry, changed = StoredEntry.parse(text), b""
            if text is not None and stands_in(id):
                changed = text  # the script refuses it
            elif text is not None and (entry is None or entry.us == us):
                try:
                    changed = content.moved(entry, new)
                except ValueError as error:
                    if triples:
                        break
                    raise GroupFifoError(
                        f"Task {task_of(id)} of group {unquote(group)!r} can't be read, so it can't be moved: "
                        "revoke it, or let its group go on, which sets it aside among the dead letters."
                    ) from error
            triples += [us, id, changed]
            size += len(changed)
        return triples, len(triples) // 3

    # -- parts -------------------------------------------------------------

    def _mark(
        self, name: str, key: str, note: str, more: Callable[[Keys, Quoted], list[str]], *args: Any
    ) -> tuple[ActionCalls, list[Any]]:
        """Run a script that may be the first to store something of a group, in its partition; return its answer."""
        keys, group = self._keys_of(key)
        calls = ActionCalls(self._gate, keys, note)
        reply = calls.run(name, more(keys, group), group, *args)
        if has_left(reply):
            keys = self._gate.keyspace.after(group)
            calls = ActionCalls(self._gate, keys, note)
            reply = calls.run(name, more(keys, group), group, *args)
        return calls, reply

    def _keys_of(self, key: str) -> tuple[Keys, Quoted]:
        group = quote(key)
        return self._gate.home(group), group

    def _tell(self, gone: Sequence[tuple[str, bytes]]) -> None:
        """Tell the result backend of revoked tasks; a failed one comes without a text, as it is known already."""
        tell_revoked(self._app, [(task_id, message_of(text)) for task_id, text in gone if text])


def _flag(reason: str, by: str) -> str:
    """Return a flag as JSON, open for the time that the script adds."""
    return json.dumps({"reason": reason, "by": by or audit.current_user()})[:-1] + ", "
