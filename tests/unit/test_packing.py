"""Packed commands are those of redis-py, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import Connection

from celery_groupfifo.gate import scripts
from celery_groupfifo.gate.keys import Keys
from celery_groupfifo.gate.packing import Word, pack, pack_run

_words = st.lists(st.text() | st.binary() | st.integers() | st.floats(allow_nan=False), max_size=8)


class Text(str):
    """A text of another class."""


@given(_words)
def test_each_kind_of_word(words: list[Word]) -> None:
    assert pack(["SET", *words]) == b"".join(Connection().pack_command("SET", *words))


def test_a_text_of_another_class() -> None:
    assert pack([Text("ü")]) == pack(["ü"])


@pytest.mark.parametrize("word", [None, True, ["a"]], ids=repr)
def test_anything_else_is_refused(word: Any) -> None:
    with pytest.raises(TypeError, match="can't be sent to Redis"):
        pack(["SET", word])


@pytest.mark.parametrize("partition", [0, 1])
@pytest.mark.parametrize("own", [0, 2])
def test_a_run_of_a_script(partition: int, own: int) -> None:
    keys, more = Keys("a:", "n", partition), [f"k{number}" for number in range(own)]
    args: list[Word] = ["x", 1, b"\0"]
    words = ["EVALSHA", scripts.sha("park"), len(keys.base) + own, *keys.base, *more, "7", keys.tag, *args]
    assert pack_run("park", (keys, more, args), "7") == b"".join(Connection().pack_command(*words))
