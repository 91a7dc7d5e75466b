"""The settings of an app, read once and strictly: a wrong one stops the start with a sentence that quotes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal, get_args

from celery_groupfifo import values
from celery_groupfifo.errors import InvalidOption, InvalidSetting
from celery_groupfifo.masks import masked

PREFIX = "groupfifo_"
#: Stands for no limit in the arguments of a script: more than any number or time.
NO_LIMIT = 10**18

OnRetry = Literal["hold", "release"]
"""The policies of a group for a retry of its head, see `Settings.on_retry`."""

OnFailure = Literal["continue", "dead_letter", "block", "cancel_rest"]
"""The policies of a group after a final failure, see `Settings.on_failure`."""

Eta = Literal["at_due", "reserve", "reject"]
"""The policies for a task that is sent with an ETA, see `Settings.eta`."""

OnDuplicate = Literal["return_existing", "raise", "replace", "keep_latest"]
"""The policies for a task that is parked or running already, see `Settings.on_duplicate`."""

TextOfCall = str | tuple[str, ...] | Callable[..., str]
"""A definition of a text of each call, see `Settings.dedup_key` and `Settings.fair_key`."""

OrderBy = str | Callable[..., object]
"""A definition of the order values of calls, see `Settings.order_by`."""

Overflow = Literal["raise", "drop_new", "drop_oldest", "wait"]
"""The policies for a task beyond the depth of its group, see `Settings.overflow`."""

HoldUntil = Literal["task", "chain"]
"""The end that a group waits for before its next task starts, see `Settings.hold_until`."""

Mode = Literal["order", "observe"]
"""The modes of an app, see `Settings.mode`."""

OnLeaseLost = Literal["warn", "terminate"]
"""The policies of a worker for a run whose lease is lost."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of an app, or their defaults; each is `groupfifo_<name>` in `app.conf`.

    Attributes:
        url: The gate's Redis; None: the broker's, or else the result backend's.
        namespace: First part of every key.
        mode: `order`: tasks of a group run one at a time and in order. `observe`: they run as in plain Celery, and the
            gate only counts how often order and exclusion were broken.
        partitions: Hash tags the groups are spread over; more than 1 only on a Redis Cluster.
        partitions_before: Their number before it grows to `partitions`; None: it does not.
        lease_ttl: Seconds after which a silent worker counts as lost.
        sweep_interval: Seconds between two sweeps of a worker.
        burst: On other brokers than the gate's Redis: tasks of one group in a row on one slot.
        burst_seconds: The same, in seconds.
        wait_replicas: Replicas that have to confirm a task when it is parked, within a second; 0: none.
        on_lease_lost: `warn`, or `terminate` the run.
        tuning: True when a worker may change internals of Celery only to save time.
        max_lost: Runs that may end with a lost worker before the task fails for good.
        on_retry: `hold`: the group waits for the retry, which keeps its place; `release`: the group goes on at once,
            and the retry joins the tail of its line when it is due.
        max_hold: Seconds that a group waits for the retries of one task, in all. A retry that needs more is a final
            failure; None: any time.
        on_failure: After a final failure. `continue`: the group goes on; `dead_letter`: the same, and the task is
            kept among the dead letters; `block`: the group halts until `retry`, `skip` or `drop`; `cancel_rest`: its
            parked tasks become REVOKED.
        block_for: Seconds after which a block ends by itself, and the group goes on without the failed task; None:
            it does not.
        break_after: `"5/60s"`: the fifth final failure of a group within 60 s halts it for 60 s; then one task runs as
            a probe. Its failure halts the group again, its success ends that. `"5/60s/10s"`: halts for 10 s. None:
            never.
        eta: `at_due`: a task with an ETA joins the line when it is due; `reserve`: it joins the line now, and the group
            waits for its ETA when it is the head; `reject`: an ETA in the future is refused.
        on_duplicate: A task id that is parked or running already is not parked again. `return_existing`: the call
            returns the result of that task; `raise`: the call raises `DuplicateTask`; `replace`: the parked task gets
            the call's message, and keeps its place, and one that is the head by now raises `DuplicateTask`;
            `keep_latest`: as `replace`, and beside one that is the head one more is parked.
        dedup_key: A template over a task's parameters, a tuple of their names, or a callable, as `group_key` is: calls
            of a group with the same dedup key are duplicates, whatever their ids; None: calls with the same id.
        dedup_for: Seconds for which a call counts as a duplicate after the task has ended; None: until it has ended.
        order_by: The name of a task's parameter, a template over them, or a callable: it makes a number or a time of a
            call, and calls of a group that wait in their windows at the same time join the line in the order of these;
            None: calls join at once.
        reorder_window: Seconds that a call with an order value waits for those with lower values; None: `order_by`
            does not work without.
        concurrency: Tasks of a group that may run at once: they start in order, and end in any. A task starts while
            fewer run, and beside those only that have a concurrency above 1, too.
        max_depth: Parked tasks that a group may have, those that wait for their ETA included; None: any number.
        overflow: For a task beyond `max_depth`. `raise`: the call raises `GroupFull`; `drop_new`: the task is not
            parked, and becomes REVOKED; `drop_oldest`: the group's oldest parked task becomes REVOKED, and makes room;
            `wait`: the call waits for room.
        overflow_timeout: Seconds that a call waits for room at most, then it raises `GroupFull`; None: any time.
        rate: `"10/s"`: at most ten runs of a group start within any second, over all workers; `"100/m"` and `"3/20s"`
            are such, too. The next one waits at the gate. None: any number.
        hold_until: `task`: the group goes on when a task has ended; `chain`: when its whole canvas has: what a run
            sends as its next part, such as the next step of its chain, stands directly behind it.
        fair_key: A template over a task's parameters, a tuple of their names, or a callable, as `group_key` is: names
            the tenant of a call. Heads of many groups of one tenant take turns with those of other tenants; None: each
            head has its own turn.
        fair_weight: Tickets of a tenant that may wait in a queue: its turns, for one of a tenant with 1.
        dead_letters_max: Dead letters that are kept, the newest ones; None: any number.
        dead_letters_for: Seconds that a dead letter is kept; None: for ever.
    """

    url: str | None = field(default=None, repr=False)
    namespace: str = "groupfifo"
    mode: Mode = "order"
    partitions: int = 1
    partitions_before: int | None = None
    lease_ttl: float = 30.0
    sweep_interval: float = 1.0
    burst: int = 100
    burst_seconds: float = 0.25
    wait_replicas: int = 0
    on_lease_lost: OnLeaseLost = "warn"
    tuning: bool = True
    max_lost: int = 3
    on_retry: OnRetry = "hold"
    max_hold: float | None = None
    on_failure: OnFailure = "continue"
    block_for: float | None = None
    break_after: str | None = None
    eta: Eta = "at_due"
    on_duplicate: OnDuplicate = "return_existing"
    dedup_key: TextOfCall | None = None
    dedup_for: float | None = None
    order_by: OrderBy | None = None
    reorder_window: float | None = None
    concurrency: int = 1
    max_depth: int | None = None
    overflow: Overflow = "raise"
    overflow_timeout: float | None = 30.0
    rate: str | None = None
    hold_until: HoldUntil = "task"
    fair_key: TextOfCall | None = None
    fair_weight: int = 1
    dead_letters_max: int | None = 10_000
    dead_letters_for: float | None = 30 * 86_400.0

    @property
    def observes(self) -> bool:
        """Return whether the gate only counts."""
        return self.mode == "observe"

    @property
    def letters_kept(self) -> tuple[int, int]:
        """Return the number of dead letters that are kept, and for how many microseconds."""
        most, seconds = self.dead_letters_max, self.dead_letters_for
        return NO_LIMIT if most is None else most, NO_LIMIT if seconds is None else int(seconds * 1_000_000)

    @property
    def ttl_ms(self) -> int:
        """Return the time of a lease in milliseconds."""
        return int(self.lease_ttl * 1000)

    @property
    def timeout(self) -> float:
        """Return the seconds to wait for an answer of the gate's Redis: several tries fit into a lease."""
        return max(1.0, min(5.0, self.lease_ttl / 4))


#: Maps an option of a task or call, `group_<name>`, to the name of the setting `groupfifo_<name>` with its default.
OPTIONS = {
    f"group_{name}": name
    for name in (
        "on_retry",
        "max_hold",
        "on_failure",
        "block_for",
        "break_after",
        "max_lost",
        "eta",
        "on_duplicate",
        "dedup_key",
        "dedup_for",
        "order_by",
        "reorder_window",
        "concurrency",
        "max_depth",
        "overflow",
        "overflow_timeout",
        "rate",
        "hold_until",
        "fair_key",
        "fair_weight",
    )
}


_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "url": values.url,
    "namespace": values.namespace,
    "mode": values.choice(*get_args(Mode)),
    "partitions": values.number(int, 1),
    "partitions_before": values.limit(int, 1),
    "lease_ttl": values.number(float, 0.5),
    "sweep_interval": values.number(float, 0.05),
    "burst": values.number(int, 1),
    "burst_seconds": values.number(float, 0),
    "wait_replicas": values.number(int, 0),
    "on_lease_lost": values.choice(*get_args(OnLeaseLost)),
    "tuning": values.choice(True, False),
    "max_lost": values.number(int, 1),
    "on_retry": values.choice(*get_args(OnRetry)),
    "on_failure": values.choice(*get_args(OnFailure)),
    "max_hold": values.limit(float, 0),
    "block_for": values.limit(float, 0.1),
    "break_after": values.breaker,
    "eta": values.choice(*get_args(Eta)),
    "on_duplicate": values.choice(*get_args(OnDuplicate)),
    "dedup_key": values.key,
    "dedup_for": values.limit(float, 0.001),
    "order_by": values.order,
    "reorder_window": values.limit(float, 0.001),
    "concurrency": values.number(int, 1),
    "max_depth": values.limit(int, 1),
    "overflow": values.choice(*get_args(Overflow)),
    "overflow_timeout": values.limit(float, 0),
    "rate": values.rate,
    "hold_until": values.choice(*get_args(HoldUntil)),
    "fair_key": values.key,
    "fair_weight": values.weight,
    "dead_letters_max": values.limit(int, 1),
    "dead_letters_for": values.limit(float, 1),
}


def read_settings(conf: Any) -> Settings:
    """Read the settings from `app.conf`.

    Args:
        conf: The app's configuration.

    Returns:
        The settings, checked.

    Raises:
        InvalidSetting: A name is unknown or a value is wrong; the message quotes it and says what fits.
    """
    known = {each.name for each in fields(Settings)}
    found = {}
    for name, written in _names(conf).items():
        if name not in known:
            (nearest,) = get_close_matches(name, sorted(known), 1, cutoff=0.0)
            raise InvalidSetting(
                f"There is no setting {PREFIX}{name}: the nearest one is {PREFIX}{nearest}. The settings are: "
                + ", ".join(PREFIX + each for each in sorted(known))
            )
        try:
            value = conf[PREFIX + name]
        except KeyError:  # Celery finds names in capitals only under a namespace
            raise InvalidSetting(
                f"The setting {written} is not read: write it {PREFIX}{name}, or CELERY_{(PREFIX + name).upper()} "
                "where config_from_object has namespace='CELERY'."
            ) from None
        if wanted := _CHECKS[name](value):
            quoted = repr(masked(value) if name == "url" else value)
            raise InvalidSetting(f"{PREFIX}{name} = {quoted} does not work: set it to {wanted}.")
        found[name] = value
    settings = Settings(**found)
    if settings.sweep_interval > settings.lease_ttl / 2:
        raise InvalidSetting(
            f"groupfifo_sweep_interval = {settings.sweep_interval!r} does not work with groupfifo_lease_ttl = "
            f"{settings.lease_ttl!r}: it may be half of it at most."
        )
    if settings.partitions_before is not None and settings.partitions_before >= settings.partitions:
        raise InvalidSetting(
            f"groupfifo_partitions_before = {settings.partitions_before!r} does not work with groupfifo_partitions = "
            f"{settings.partitions!r}: it names the lower number from which that one grows. Fewer partitions need an "
            "empty gate: leave it out, and run `celery -A APP groupfifo partitions N`."
        )
    return settings


def check_option(name: str, value: Any) -> None:
    """Check an option of a task or a call.

    Args:
        name: Of the option, `group_…`.
        value: Its value.

    Raises:
        InvalidOption: The message quotes the value and says what fits.
    """
    check_value(name, value, OPTIONS[name])


def check_value(name: str, value: Any, setting: str, optional: bool = False) -> None:
    """Check an argument as a setting is checked.

    Args:
        name: Of the argument.
        value: Its value.
        setting: Name of the setting.
        optional: None fits, too.

    Raises:
        InvalidOption: The message quotes the value and says what fits.
    """
    wanted = None if optional and value is None else _CHECKS[setting](value)
    if wanted:
        raise InvalidOption(f"{name}={value!r} does not work: set it to {wanted}.")


def check_number(name: str, value: Any, least: int) -> None:
    """Check a whole number that a caller gives.

    Args:
        name: Of the argument.
        value: Its value.
        least: The least that works.

    Raises:
        InvalidOption: The message quotes the value and says what fits.
    """
    if wanted := values.number(int, least)(value):
        raise InvalidOption(f"{name}={value!r} does not work: set it to {wanted}.")


def check_seconds(name: str, value: Any, least: float = 0) -> None:
    """Check a span that a caller gives, see `check_number`."""
    if wanted := values.number(float, least)(value):
        raise InvalidOption(f"{name}={value!r} does not work: set it to {wanted}.")


def _names(conf: Any) -> dict[str, str]:
    """Return the names of the groupfifo settings that the user wrote, each with its spelling.

    The namespace and the case of a name do not matter.

    Raises:
        InvalidSetting: An option of tasks stands among the settings.
    """
    keys = list(conf.keys())  # first, as this loads the app's configuration, which sets its `prefix`
    namespace = (getattr(conf, "prefix", None) or "").lower()
    names = {}
    for key in keys:
        name = str(key).lower().removeprefix(namespace)
        if name.startswith(PREFIX):
            names[name.removeprefix(PREFIX)] = str(key)
        elif name in OPTIONS:
            raise InvalidSetting(
                f"{key} is an option of a task or a call. The setting for all tasks is {PREFIX}{OPTIONS[name]}."
            )
    return names
