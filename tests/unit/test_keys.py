"""Two different texts never share a key, whatever they contain."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from celery_groupfifo.gate.keys import Keys, Keyspace, quote, unquote

HOSTILE = [
    "A",
    "A:active",
    "A%3Aactive",
    "|||",
    "a b",
    "a\nb",
    "{a}",
    "a*",
    "[a]",
    '"',
    "\\",
    "ü",
    "😀",
    "\x06\x16",
    "%",
    "%25",
]


def test_hostile_texts_stay_apart() -> None:
    keys = Keys("", "groupfifo", 0)
    names = {name for text in HOSTILE for name in (keys.line(quote(text)), keys.runs(quote(text)))}

    assert len(names) == 2 * len(HOSTILE)


@given(st.text(min_size=1))
def test_quoting_is_reversible_and_leaves_no_separator(text: str) -> None:
    quoted = quote(text.encode("utf-8", "replace").decode())

    assert unquote(quoted) == text.encode("utf-8", "replace").decode()
    assert re.fullmatch(r"[!-z~]+", quoted)
    assert not set(quoted) & set(' "\\{}*[]')


def test_all_keys_of_a_partition_share_a_hash_tag() -> None:
    keys = Keys("app1:", "shop", 3)

    every = [
        *keys.base,
        keys.wake,
        keys.pulse,
        keys.crowd,
        keys.line(quote("g")),
        keys.runs(quote("w")),
        keys.producer("p"),
    ]

    assert all(key.startswith("app1:{shop:3}:") for key in every)
    assert len(set(every)) == len(every)


def test_groups_are_spread_over_partitions_and_stay_where_they_are() -> None:
    space = Keyspace("", "groupfifo", 8)
    tags = [space.of_group(quote(f"g{i}")).tag for i in range(200)]

    assert len(set(tags)) == 8
    assert tags == [space.of_group(quote(f"g{i}")).tag for i in range(200)]
    assert space.of_tag("groupfifo:7") is space.partitions[7]
    assert space.of_tag("other:0") is None
