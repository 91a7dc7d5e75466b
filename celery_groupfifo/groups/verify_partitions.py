"""The check of partitions, a part of `verify`: each group is in its own one, and in no other one beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from celery_groupfifo.gate.keys import Keys, Quoted, unquote
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.view import Breach


def partition_breaches(reader: Reader, keys: Keys, groups: Iterable[Quoted]) -> Iterator[Breach]:
    """Yield the breaches of groups that a partition holds anything of."""
    keyspace, arrived = reader.gate.keyspace, []
    if len(keyspace.partitions) == 1:
        return
    for group in groups:
        before, after = keyspace.of_group(group), keyspace.after(group)
        if keys is not before and keys is not after:
            what = f"It is in partition {keys.tag}, and its own is {after.tag}: new tasks run beside those that it has."
            yield Breach("partition", unquote(group), "", what, "")
        elif keys is not before:
            arrived.append((before, group))
    for old in {id(before): before for before, _ in arrived}.values():
        left = reader.stored_groups(old, [group for before, group in arrived if before is old])
        for group in (group for group, stored in left.items() if stored.flights):
            what = f"It is in partition {keys.tag}, and in {old.tag} still: tasks of the two run beside each other."
            yield Breach("partition", unquote(group), "", what, "")


__all__ = ["partition_breaches"]
