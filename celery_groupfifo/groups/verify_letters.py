"""The check of the dead letters' chain, a part of `verify`."""

from __future__ import annotations

from collections.abc import Iterator

from celery_groupfifo.gate.keys import Keys
from celery_groupfifo.groups.letters import letter_rows
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.view import Breach


def letter_breaches(reader: Reader, keys: Keys) -> Iterator[Breach]:
    """Yield the breach of a partition's chain that does not hold as many letters as are counted."""
    counted = int(reader.one("hget", keys.dead, "count") or 0)
    walked = sum(map(len, letter_rows(reader, keys)))
    if walked != counted:
        what = f"Of {counted} dead letters {walked} are in their chain. Redrive or discard these, then delete the key "
        yield Breach("letters", "", "", f"{what}{keys.dead}: the others can't be reached.", "")
