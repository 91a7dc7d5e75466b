"""The environment of the figures, without which they can't be compared later."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import redis

from benchmarks import groupmq
from benchmarks.processes import ROOT
from celery_groupfifo.testing.embedded import Server

_PACKAGES = ("celery-groupfifo", "celery", "kombu", "billiard", "redis", "hiredis", "gevent", "amqp", "dramatiq")


def describe(server: Server, client: redis.Redis) -> dict[str, Any]:
    """Return versions, machine, server, and the load of the machine at the start."""
    return {
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "load": list(os.getloadavg()),
        "packages": {**{name: _version(name) for name in _PACKAGES}, groupmq.NAME: groupmq.version(groupmq.folder())},
        "server": server.description.partition(" on ")[0],
        "redis": client.info("server"),
    }


def in_a_line(found: dict[str, Any]) -> str:
    """Return the environment as a line above the table."""
    packages = found["packages"]
    load = found["load"][0]
    return (
        f"{found['cpus']} CPUs ({found['processor']}), load {load:.2f} at the start · Python {found['python']} · "
        f"Celery {packages['celery']} · kombu {packages['kombu']} · redis-py {packages['redis']}, "
        f"hiredis {packages['hiredis'] or 'none'} · {found['server']}"
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, timeout=10
        )
    except OSError:
        return None
    return done.stdout.strip() or None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
