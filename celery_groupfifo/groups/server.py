"""The checks of the gate's server, for doctor.py."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from celery_groupfifo.gate.keys import Keys
from celery_groupfifo.gate.refusals import LEAST_VERSION
from celery_groupfifo.gate.server import RedisServer
from celery_groupfifo.gate.store import Store
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.view import Check

#: Share of the memory above which a warning is due.
FULL = 0.8
#: Seconds that two clocks may differ.
SKEW = 2.0

Info = dict[str, Any]


def check_server(reader: Reader) -> Iterator[Check]:
    """Yield every check of the server; of a Redis Cluster each for all nodes that serve a partition."""
    served: dict[str, list[Keys]] = {}
    for keys in reader.partitions:
        served.setdefault(reader.gate.store.at(keys).place(), []).append(keys)
    every = [list(_checks(reader, partitions[0])) for partitions in served.values()]
    if reader.gate.server.nodes:
        shares = ", ".join(f"{place} serves {len(partitions)}" for place, partitions in sorted(served.items()))
        yield Check("partitions", True, f"Of {len(reader.partitions)} partitions {shares}.")
    if len(served) == 1:
        yield from every[0]
        return
    for same in zip(*every, strict=True):
        wrong = [(place, check) for place, check in zip(served, same, strict=True) if not check.ok]
        if wrong:
            place, check = wrong[0]
            yield replace(check, what=f"{len(wrong)} of {len(served)} nodes, such as {place}: {check.what}")
        else:
            yield replace(same[0], what=f"All {len(served)} nodes: {same[0].what}")


def _checks(reader: Reader, keys: Keys) -> Iterator[Check]:
    (info,) = reader.ask("info", lambda pipe: pipe.info(), keys)
    server, node = reader.gate.server, reader.gate.store.at(keys)
    yield _version(info)
    yield from _cluster(server, info)
    yield from _memory(info)
    yield from _replication(server, node, info, reader.gate.settings.wait_replicas)
    yield _persistence(node, info)
    yield _clock(reader, keys)


def _cluster(server: RedisServer, info: Info) -> Iterator[Check]:
    if int(info.get("cluster_enabled") or 0):
        yield Check.of(
            "cluster",
            bool(server.nodes),
            f"The server is a node of a Redis Cluster{'' if server.nodes else ', and the URL does not say so'}.",
            "Calls for the slots of other nodes are refused: groups in some partitions can't be used.",
            "Set groupfifo_url to redis+cluster://host:port,host:port.",
            unsafe=True,
        )


def _version(info: Info) -> Check:
    name = "Valkey" if info.get("server_name") == "valkey" else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version") or "0")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    return Check.of(
        "version",
        numbers >= LEAST_VERSION,
        f"The gate's server is {name} {version}.",
        "The gate's scripts use commands that came with Redis 6.2.",
        "Update the server to Redis 6.2 or Valkey 7.2, or newer.",
        unsafe=True,
    )


def _memory(info: Info) -> Iterator[Check]:
    limit, used = int(info.get("maxmemory") or 0), int(info.get("used_memory") or 0)
    policy = str(info.get("maxmemory_policy") or "unknown")
    yield Check.of(
        "eviction",
        policy == "noeviction",
        f"The eviction policy is {policy}, {f'with maxmemory {_mb(limit)}' if limit else 'without a limit yet'}.",
        ("When memory is short" if limit else "As soon as somebody sets maxmemory, and memory is short")
        + ", the server deletes keys of the gate: tasks are lost, and groups stand still.",
        "Set maxmemory-policy noeviction, or give the gate a server of its own (groupfifo_url).",
        unsafe=bool(limit),
    )
    most = limit or int(info.get("total_system_memory") or 0)
    of = f" of {_mb(most)} ({'maxmemory' if limit else 'all that the machine has'})" if most else ""
    full = bool(limit) and used >= limit and policy == "noeviction"
    yield Check.of(
        "memory",
        not most or used < FULL * most,
        f"{_mb(used)} are used{of}" + (": the server is full, and refuses what needs memory." if full else "."),
        "A full server refuses new tasks, actions, and the answers of workers; on a full machine the system kills it.",
        "Give it more memory, or find out what fills it: `groupfifo list` shows the deepest groups first.",
    )


def _replication(server: RedisServer, node: Store, info: Info, waited: int) -> Iterator[Check]:
    role = str(info.get("role") or "master")
    yield Check.of(
        "role",
        role == "master",
        f"The server's role is {role}.",
        "A replica refuses writes.",
        "Point groupfifo_url (or the broker URL) to the primary.",
        unsafe=True,
    )
    replicas, watched = int(info.get("connected_slaves") or 0), bool(server.sentinels)
    least = node.config("min-replicas-to-write")
    if replicas < waited:
        yield Check.of(
            "replication",
            False,
            f"The server has {replicas} of the {waited} replicas that groupfifo_wait_replicas asks for.",
            "Every send raises NotReplicated, though its task is parked.",
            "Start the replicas, or set a lower groupfifo_wait_replicas.",
            unsafe=True,
        )
        return
    if not replicas:
        yield Check.of(
            "replication",
            not (watched or server.nodes),
            "Sentinels watch the server, and it has no replica." if watched else "The server has no replica.",
            "When the master fails, no replica can take over.",
            "Start a replica.",
        )
        return
    yield Check.of(
        "replication",
        least not in ("0", None),
        f"Replicas: {replicas}; min-replicas-to-write is {least or 'unknown'}.",
        "A server that is cut off from its replicas goes on taking tasks while another one takes over, and they are "
        "lost when it comes back.",
        "Set min-replicas-to-write 1 and min-replicas-max-lag 10.",
    )


def _persistence(node: Store, info: Info) -> Check:
    save = node.config("save")
    failed = [
        name
        for name in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
        if str(info.get(name, "ok")) != "ok"
    ]
    if int(info.get("aof_enabled") or 0):
        said = "the append-only file" + (f", but the server reports failures: {', '.join(failed)}" if failed else "")
    elif save == "":
        said = "neither the append-only file nor snapshots"
    else:  # many hosted servers forbid CONFIG
        said = f"snapshots only (save {'unknown' if save is None else save})"
    return Check.of(
        "persistence",
        said == "the append-only file",
        f"The server keeps {said}.",
        "When the server restarts, everything that it has not written to disk is lost, parked tasks too.",
        "Look at its disk and its log." if failed else "Set appendonly yes with appendfsync everysec.",
        unsafe=True,
    )


def _clock(reader: Reader, keys: Keys) -> Check:
    before = time.time()
    theirs = reader.now(keys) / 1000
    skew = theirs - (before + time.time()) / 2
    return Check.of(
        "clock",
        abs(skew) < SKEW,
        f"The clocks of this machine and of the server differ by {abs(skew):.1f} s.",
        "The order of groups uses no clock, but the sender turns an ETA into a delay by its own.",
        "Synchronise both by NTP.",
    )


def _mb(size: int) -> str:
    return f"{size // 2**20} MB"
