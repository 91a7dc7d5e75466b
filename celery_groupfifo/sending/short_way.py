"""The short way of a usual send: its entry is filled into a template, and parked, without Celery's and kombu's code.

The first call of a kind goes Celery's way, and its entry becomes the template; so does every call that is not usual.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from celery import Celery

from celery_groupfifo.errors import GroupFull
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.model import Entry
from celery_groupfifo.sending.context import Parking, collecting, current, observing
from celery_groupfifo.sending.dropped import tell_dropped
from celery_groupfifo.sending.observe import observes
from celery_groupfifo.sending.options import KEY
from celery_groupfifo.sending.park import tell_parked
from celery_groupfifo.sending.retrying import retried
from celery_groupfifo.sending.room import wait_for_room, waits
from celery_groupfifo.sending.templates import Call, Template, template_of
from celery_groupfifo.sending.usual import Path, has_receivers, is_usual_task

#: Options that a usual call may have, and the types that they may have.
_KNOWN: dict[str, tuple[type, ...]] = {
    "task_id": (str,),
    KEY: (str,),
    "queue": (str,),
    "priority": (int,),
    "countdown": (int, float),
    "eta": (datetime,),
}
#: Countdowns beyond are left to Celery, which refuses some of them.
_LONGEST = 10**8
#: Kinds that are kept. A call that names a queue for each customer makes as many.
KEPT = 256
#: Marks `GroupFifoTask.apply_async`, which takes the short way where nothing is in it.
MARK = "groupfifo_short"

#: Options of a task that make something of each call.
_MADE = ("group_dedup_key", "group_fair_key", "group_order_by")
#: Options of a task that its sends depend on.
_POLICIES = (
    "group_eta",
    "group_on_duplicate",
    "group_dedup_for",
    "group_reorder_window",
    "group_max_depth",
    "group_overflow",
    "group_overflow_timeout",
    "group_concurrency",
    "group_rate",
    "group_hold_until",
    "group_fair_weight",
)

_Kind = tuple[Any, ...]


class _Learnt:
    """The kinds and tasks that are known while an app's path stays as it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.templates: dict[_Kind, Template | None] = {}
        self.tasks: dict[Any, tuple[tuple[Any, ...], bool]] = {}
        self.seen: set[Any] = set()  # tasks that were looked at since the last `look`


class ShortWay:
    """The templates of an app.

    Args:
        app: The app that sends.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._made: _Learnt | None = None

    @property
    def _learnt(self) -> _Learnt:
        if self._made is None:
            self._made = _Learnt(Path(self._app))
        return self._made

    def look(self, parent: Any) -> bool:
        """Look at all that anybody may have changed since; the kinds of the calls that follow are based on it.

        Args:
            parent: Of the calls.

        Returns:
            Whether the path and the settings let calls be sent usually: without an event, and with their own priority.
        """
        conf = self._app.conf
        # First: an app that runs its tasks in place may have no broker that works.
        if conf.task_always_eager or conf.task_send_sent_event or observes(self._app):
            return False
        if parent and conf.task_inherit_parent_priority:
            return False
        if not self._learnt.path.is_same():
            self._made = None
        self._learnt.seen.clear()
        return self._learnt.path.is_usual

    def kind(self, call: Call) -> _Kind | None:
        """Return the kind of a call; None when it has to go Celery's way."""
        task, args, kwargs, options, parent = call
        if has_receivers() or type(args) not in (tuple, list) or type(kwargs) is not dict or not self._is_usual(task):
            return None
        made = [getattr(task, name, None) for name in _MADE]
        if any(map(callable, made)):  # it may have no hash
            return None
        mine = task, task.ignore_result, task.priority, *made, *[getattr(task, name, None) for name in _POLICIES]
        if not options:
            return *mine, False, False, bool(parent), None, None
        for name, value in options.items():
            if type(value) not in _KNOWN.get(name, ()) or value == "":
                return None
        if not _is_timed_once(options):
            return None
        timed, asked = "countdown" in options or "eta" in options, (options.get("queue"), options.get("priority"))
        return *mine, KEY in options, timed, bool(parent), *asked

    def _is_usual(self, task: Any) -> bool:
        learnt = self._learnt
        if task in learnt.seen:
            return learnt.tasks[task][1]
        apply_async = inherited(task)
        options = task._exec_options or task._get_exec_options()
        parts = (apply_async, task.shadow_name, task._get_exec_options, options, task._get_app)
        known = learnt.tasks.get(task)
        if known is None or known[0] != parts:
            for kind in list(learnt.templates):
                if kind[0] is task:
                    learnt.templates.pop(kind, None)
            known = learnt.tasks[task] = (parts, is_usual_task(task, apply_async))
        learnt.seen.add(task)
        return known[1]

    def find(self, kind: _Kind) -> Template | None:
        """Return the template of a kind; None when there is none that fits."""
        template = self._learnt.templates.get(kind)
        return template if template is not None and template.fits(self._learnt.path.queues) else None

    def is_learnt(self, kind: _Kind) -> bool:
        """Return whether it is known of a kind that it has no template."""
        templates = self._learnt.templates
        return kind in templates and templates[kind] is None

    def learn(self, kind: _Kind, call: Call, parking: Parking) -> Template | None:
        """Keep an entry that Celery composed as the template of its kind, if others can be filled into it.

        Returns:
            The template, also one that is good for this moment only; see `Template.lasts`.
        """
        template, templates = template_of(self._app, call, parking), self._learnt.templates
        if len(templates) >= KEPT:
            templates.clear()
        templates[kind] = template if template is not None and template.lasts else None
        return template


def _is_timed_once(options: Mapping[str, Any]) -> bool:
    """Return whether a call has no ETA, or one whose time is clear."""
    if "countdown" in options:
        return "eta" not in options and 0 < options["countdown"] < _LONGEST
    return True


def inherited(task: Any) -> Any:
    """Return the `apply_async` of a task; where it is `GroupFifoTask`'s, the one that this calls."""
    method = task.apply_async
    if not hasattr(getattr(method, "__func__", None), MARK):
        return method
    found = (kind.__dict__["apply_async"] for kind in type(task).__mro__ if "apply_async" in kind.__dict__)
    return next(each for each in found if not hasattr(each, MARK))


_ATTRIBUTE = "_groupfifo_short_way"


def short_way_of(app: Celery) -> ShortWay:
    """Return the short way of an app."""
    known: ShortWay | None = app.__dict__.get(_ATTRIBUTE)
    if known is None:
        known = app.__dict__[_ATTRIBUTE] = ShortWay(app)
    return known


def send(
    task: Any, plainly: Callable[..., Any], args: Any, kwargs: Any, task_id: str | None, options: Mapping[str, Any]
) -> Any:
    """Send one call of a task.

    Args:
        task: The task.
        plainly: The `apply_async` that its class inherits, for everything that is not usual.
        args: Of the call.
        kwargs: Of the call.
        task_id: Of the call; None: a new one.
        options: Other options of the call.

    Returns:
        Its result.
    """
    app = task._get_app()
    short = short_way_of(app)
    said = options if task_id is None else {**options, "task_id": task_id}
    parent = app.current_worker_task
    call = Call(task, () if args is None else args, {} if kwargs is None else kwargs, said, parent)
    usual = collecting.get() is None and (parent is None or not _leads(parent)) and short.look(parent)
    kind = short.kind(call) if usual else None
    if kind is None:
        return plainly(args, kwargs, task_id=task_id, **options)
    template = short.find(kind)
    if template is not None:
        try:
            entry = template.entry(call)
        except Exception:  # Celery's way has the same error, with its own words
            return plainly(args, kwargs, task_id=task_id, **options)
        return _park(app, call, template, entry)
    if short.is_learnt(kind):
        return plainly(args, kwargs, task_id=task_id, **options)
    seen: list[Parking] = []
    token = observing.set(seen)
    try:
        result = plainly(args, kwargs, task_id=task_id, **options)
    finally:
        observing.reset(token)
    if len(seen) == 1:
        short.learn(kind, call, seen[0])
    return result


def _leads(parent: Any) -> bool:
    """Return whether a call may be the next part of the canvas of a run, for which the group waits."""
    run = current()
    return run is not None and run.leads and bool(parent.request.chain or parent.request.chord)


def _park(app: Celery, call: Call, template: Template, entry: Entry) -> Any:
    """Park an entry, with what Celery does for a send beside its message."""
    gate = gate_of(app)
    producer = full = None

    def park() -> bool:
        parked: bool = retried(template.policy, gate.park, entry, gate.number(), False, producer)
        if parked:
            tell_parked(call.task.name, entry)
        return parked

    with ExitStack() as stack:
        if not (template.ignored and gate.releaser.takes):
            producer = stack.enter_context(app.producer_or_acquire())
            stack.enter_context(producer.connection._reraise_as_library_errors())
        if not template.ignored:
            app.backend.on_task_call(producer, entry.id)
        try:
            park()
        except GroupFull as error:
            if not waits(entry):
                raise
            full = error
    if full is not None:
        producer = None  # it is back in its pool
        wait_for_room(entry, park, full)
    if entry.dropped is not None:
        tell_dropped(app, [entry])
    return result_of(call, template, entry)


def result_of(call: Call, template: Template, entry: Entry) -> Any:
    """Return the result of a call that was sent by its template."""
    result = call.task.AsyncResult(entry.existing or entry.id)
    result.ignored = template.ignored
    if call.parent:
        call.parent.add_trail(result)
    return result
