"""The operators' verbs as the command line and Flower's pages show them."""

from __future__ import annotations

from string import Formatter

import pytest

from celery_groupfifo.cli import groupfifo
from celery_groupfifo.flower import act
from celery_groupfifo.groups.verbs import VERBS, Verb

WORDS = {"key", "head", "depth", "not_running", "behind"}
WORDS_MANY = {"groups", "depth", "not_running"}


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_its_questions_are_complete(verb: Verb) -> None:
    """A page shows the first sentence as a title, and fills in these words only."""
    for question, words in ((verb.asks, WORDS), (verb.asks_many, WORDS_MANY)):
        assert not question or "? " in question
        assert fields(question) <= words
    assert verb.asks if verb.destroys else verb.asks_many
    assert not (verb.on_head and verb.asks_many), "each group has a head of its own"


def test_command_line_and_pages_say_the_same() -> None:
    for name, verb in VERBS.items():
        assert groupfifo.commands[name].help == verb.does
        assert act.QUESTIONS[name]["one"] == verb.asks
    assert act.BULK == ("pause", "resume", "retry", "drain", "purge")
