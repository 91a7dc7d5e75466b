"""The status of a cluster's instances."""

from __future__ import annotations

from typing import NamedTuple

from celery_groupfifo.cluster.manager import Cluster, ClusterError
from celery_groupfifo.cluster.processes import table


class InstanceStatus(NamedTuple):
    """One instance.

    Attributes:
        name: With its number.
        pid: Of its main process; None when it has died.
        answers: True when it answers through the broker.
        slots: Tasks that it can run at once.
        running: Tasks that run now.
        megabytes: Resident memory with its children.
    """

    name: str
    pid: int | None
    answers: bool
    slots: int
    running: int
    megabytes: int


def look(cluster: Cluster) -> tuple[list[InstanceStatus], str]:
    """Return the state of each instance, and why none answers when the broker can't be reached."""
    instances, processes = cluster.instances(), table()
    nodes = [each.node for each in instances if each.process(processes)]
    stats, active, trouble = {}, {}, ""
    try:
        if nodes:
            stats, active = cluster.ask("stats", nodes), cluster.ask("active", nodes)
    except ClusterError as error:
        trouble = str(error)
    lines = []
    for each in instances:
        process, pool = each.process(processes), stats.get(each.node, {}).get("pool", {})
        lines.append(
            InstanceStatus(
                each.name,
                process.pid if process else None,
                each.node in stats,
                int(pool.get("max-concurrency") or 0),
                len(active.get(each.node) or ()),
                each.megabytes(processes) if process else 0,
            )
        )
    return lines, trouble


def shown(lines: list[InstanceStatus]) -> str:
    """Return a table for people."""
    if not lines:
        return "Nothing is running here."
    width = max(len(line.name) for line in lines)
    rows = [f"{'instance':{width}}  {'pid':>8}  {'slots':>5}  {'running':>7}  {'MB':>6}  state"]
    for line in lines:
        state = "died: see its log" if line.pid is None else "up" if line.answers else "does not answer"
        figures = f"{line.pid or '-':>8}  {line.slots:>5}  {line.running:>7}  {line.megabytes:>6}"
        rows.append(f"{line.name:{width}}  {figures}  {state}")
    rows.append(
        f"{sum(line.answers for line in lines)} of {len(lines)} up, "
        f"{sum(line.running for line in lines)} tasks on {sum(line.slots for line in lines)} slots, "
        f"{sum(line.megabytes for line in lines)} MB"
    )
    return "\n".join(rows)
