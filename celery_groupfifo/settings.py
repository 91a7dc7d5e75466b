"""The settings of an app, read once and strictly: a wrong one stops the start with a sentence that quotes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from celery_groupfifo.errors import InvalidOption, InvalidSetting
from celery_groupfifo.masks import masked

PREFIX = "groupfifo_"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of an app, or their defaults; each is `groupfifo_<name>` in `app.conf`.

    Attributes:
        url: The gate's Redis; None: the broker's, or else the result backend's.
        namespace: First part of every key.
        partitions: Hash tags the groups are spread over; more than 1 only on a Redis Cluster.
        lease_ttl: Seconds after which a silent worker counts as lost.
        sweep_interval: Seconds between two sweeps of a worker.
        burst: On other brokers than the gate's Redis: tasks of one group in a row on one slot.
        burst_seconds: The same, in seconds.
        on_lease_lost: `warn`, or `terminate` the run.
        tuning: True when a worker may change internals of Celery only to save time.
        max_lost: Runs that may end with a lost worker before the task fails for good.
        on_retry: `hold`: the group waits for the retry.
        on_failure: After a final failure. `continue`: the group goes on; `dead_letter`: the same, and the task is
            kept among the dead letters; `block`: the group halts until `retry`, `skip` or `drop`; `cancel_rest`: its
            parked tasks become REVOKED.
        eta: `at_due`: a task with an ETA joins the line when it is due.
        on_duplicate: `return_existing`: a task id that is parked or running already is not parked again.
        concurrency: Tasks of a group at once.
        max_depth: Parked tasks that a group may have; None: any number.
        overflow: The policy for a task beyond `max_depth`; None, as there is no limit yet.
        rate: Starts of a group per unit of time; None: any number.
    """

    url: str | None = field(default=None, repr=False)
    namespace: str = "groupfifo"
    partitions: int = 1
    lease_ttl: float = 30.0
    sweep_interval: float = 1.0
    burst: int = 100
    burst_seconds: float = 0.25
    on_lease_lost: str = "warn"
    tuning: bool = True
    max_lost: int = 3
    on_retry: str = "hold"
    on_failure: str = "continue"
    eta: str = "at_due"
    on_duplicate: str = "return_existing"
    concurrency: int = 1
    max_depth: None = None
    overflow: None = None
    rate: None = None

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
        "on_failure",
        "max_lost",
        "eta",
        "on_duplicate",
        "concurrency",
        "max_depth",
        "overflow",
        "rate",
    )
}


#: Options that allow one value so far: messages do not list them.
SINGLE = frozenset({"on_retry", "eta", "on_duplicate", "concurrency", "max_depth", "overflow", "rate"})


def _number(kind: type[int] | type[float], least: float) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        allowed = (int,) if kind is int else (int, float)
        fits = isinstance(value, allowed) and not isinstance(value, bool) and value >= least
        return None if fits else f"{'a whole' if kind is int else 'a'} number from {least:g} on"

    return check


def _choice(*values: object) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        return None if value in values else " or ".join(repr(choice) for choice in values)

    return check


def _only(value: object) -> Callable[[Any], str | None]:
    def check(given: Any) -> str | None:
        return None if given == value else f"{value!r}; no other value is supported yet"

    return check


def _namespace(value: Any) -> str | None:
    fits = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", value)
    return None if fits else "1 to 64 letters, digits, dots, dashes or underscores"


def _url(value: Any) -> str | None:
    if isinstance(value, (list, tuple)):
        return "one URL: the gate has to be one server. Sentinels, which know the master, are joined by ';'"
    return None if value is None or (isinstance(value, str) and "://" in value) else "a Redis URL"


_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "url": _url,
    "namespace": _namespace,
    "partitions": _number(int, 1),
    "lease_ttl": _number(float, 0.5),
    "sweep_interval": _number(float, 0.05),
    "burst": _number(int, 1),
    "burst_seconds": _number(float, 0),
    "on_lease_lost": _choice("warn", "terminate"),
    "tuning": _choice(True, False),
    "max_lost": _number(int, 1),
    "on_retry": _only("hold"),
    "on_failure": _choice("continue", "dead_letter", "block", "cancel_rest"),
    "eta": _only("at_due"),
    "on_duplicate": _only("return_existing"),
    "concurrency": _only(1),
    "max_depth": _only(None),
    "overflow": _only(None),
    "rate": _only(None),
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
    values = {}
    for name, written in _names(conf).items():
        if name not in known:
            (nearest,) = get_close_matches(name, sorted(known), 1, cutoff=0.0)
            raise InvalidSetting(
                f"There is no setting {PREFIX}{name}: the nearest one is {PREFIX}{nearest}. The settings are: "
                + ", ".join(PREFIX + each for each in sorted(known - SINGLE))
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
        values[name] = value
    settings = Settings(**values)
    if settings.sweep_interval > settings.lease_ttl / 2:
        raise InvalidSetting(
            f"groupfifo_sweep_interval = {settings.sweep_interval!r} does not work with groupfifo_lease_ttl = "
            f"{settings.lease_ttl!r}: it may be half of it at most."
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
    if wanted := _CHECKS[OPTIONS[name]](value):
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
    if wanted := _number(int, least)(value):
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
        elif name in OPTIONS and OPTIONS[name] not in SINGLE:
            raise InvalidSetting(
                f"{key} is an option of a task or a call. The setting for all tasks is {PREFIX}{OPTIONS[name]}."
            )
    return names
