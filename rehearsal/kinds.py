"""The kinds of groups, by the last digits of their names: with limits, of tenants, with tasks of several keys."""

from __future__ import annotations

from random import Random

from celery_groupfifo.gate import records
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.windows import Rate
from rehearsal.lines import Limits, Tenant

#: The limits of groups, by how their names end.
LIMITED = {
    "07": Limits(together=3),
    "08": Limits(starts=5, window=60_000),
    "09": Limits(together=2, starts=10, window=30_000),
}
NONE = Limits()
#: Groups whose names end so belong to tenants; so many of them, with these weights in turn.
TENANTS_GROUPS, TENANTS, WEIGHTS = range(10, 20), 20, (1, 3)
#: Groups whose names end so share tasks of several keys; the share of their tasks that have them, and the most keys.
SHARED_GROUPS, SEVERAL, MOST_KEYS = range(20, 40), 0.5, 4


def limits_of(group: str) -> Limits:
    """Return the limits of a group."""
    return LIMITED.get(group[-2:], NONE)


def limits_text(group: str) -> str:
    """Return the limits of a group as its calls bring them."""
    limits = limits_of(group)
    if limits is NONE:
        return ""
    rate = Rate(limits.starts, limits.window) if limits.starts else None
    return records.Limits(rate, limits.together if limits.together > 1 else None).text()


def tenant_of(group: str) -> Tenant | None:
    """Return the tenant of a group; None: it has none."""
    number = int(group[1:])
    if number % 100 not in TENANTS_GROUPS:
        return None
    tenant = number // 100 % TENANTS
    return Tenant(f"t{tenant}", WEIGHTS[tenant % len(WEIGHTS)])


def fair_text(group: str) -> str:
    """Return the tenant of a group as its calls bring it."""
    tenant = tenant_of(group)
    return records.Fair(tenant.weight, quote(tenant.name)).text() if tenant is not None else ""


def others_of(group: str, groups: int, chance: Random) -> tuple[str, ...]:
    """Return the other keys of a task; most have none.

    Args:
        group: Of the task.
        groups: Number of all groups.
        chance: That decides.
    """
    if int(group[1:]) % 100 not in SHARED_GROUPS or chance.random() >= SEVERAL:
        return ()
    near = int(group[1:]) // 100 * 100  # hot groups share tasks with hot ones
    names = (f"c{near + chance.choice(SHARED_GROUPS):06d}" for _ in range(chance.randint(1, MOST_KEYS - 1)))
    return tuple(dict.fromkeys(name for name in names if name != group and int(name[1:]) < groups))
