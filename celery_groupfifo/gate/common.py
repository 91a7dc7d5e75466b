"""The settings that all processes of an app have in common: those that differ see different gates."""

from __future__ import annotations

import socket
from typing import Any

from celery import Celery

from celery_groupfifo.gate.gate import Gate

#: What a process says of the gate's address beside its own URL: host, port and database, or several of these.
ADDRESS = "gate"


def common_settings(app: Celery, gate: Gate) -> dict[str, Any]:
    """Return the values that must be equal in all processes, as JSON has them.

    They are read from the gate that the process uses, so the spelling of a setting (Django's `CELERY_…`) does not
    count, and neither does that of a default.

    Args:
        app: Of the process.
        gate: Of the app.
    """
    settings = gate.settings
    return {
        "groupfifo_mode": settings.mode,
        "groupfifo_namespace": settings.namespace,
        "groupfifo_partitions": settings.partitions,
        "groupfifo_partitions_before": settings.partitions_before,
        "groupfifo_lease_ttl": settings.lease_ttl,
        "global_keyprefix": gate.server.prefix,
        "timezone": str(app.conf.timezone or ("UTC" if app.conf.enable_utc else "local")),
        ADDRESS: _listed(gate.server.database),
    }


def is_same(name: str, one: Any, other: Any) -> bool:
    """Return whether two processes agree in a setting; two names of one server are the same address."""
    return bool(one == other) or (name == ADDRESS and _is_same_server(one, other))


def _is_same_server(one: Any, other: Any) -> bool:
    if not (_is_address(one) and _is_address(other)) or one[1:] != other[1:]:
        return False
    return bool(_resolved(one[0]) & _resolved(other[0]))


def _is_address(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and bool(value[0])


def _resolved(host: str) -> set[str]:
    """Return the addresses of a host, as this machine knows them; those of this machine count as one."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:  # a name of another network
        return {host}
    return {"127.0.0.1" if each in ("::1", "0.0.0.0", "::") or each.startswith("127.") else each for each in found}


def _listed(value: Any) -> Any:
    return [_listed(each) for each in value] if isinstance(value, (list, tuple)) else value


__all__ = ["ADDRESS", "common_settings", "is_same"]
