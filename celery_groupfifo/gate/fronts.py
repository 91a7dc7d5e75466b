"""A short look at the states of very many groups, see lua/lib/group.lua: half the CPU time of reading them whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from celery_groupfifo.gate.keys import Quoted
from celery_groupfifo.gate.records import FLAG_LETTERS, STATES, StoredGroup, in_order


class Front(NamedTuple):
    """A little of a group's state, without its times.

    Attributes:
        letters: Of its flags, and of the states of its entries under way.
        others: Number of its entries that are not in line, less the empty places in it.
        flying: Entries under way.
        strongest: The strongest of the letters; empty: there is none.
    """

    letters: str
    others: int
    flying: int
    strongest: str

    @classmethod
    def of(cls, flags: str, states: str, beside: int) -> Front:
        """Make one.

        Args:
            flags: Of the group.
            states: Letters, one for each entry under way.
            beside: Number of entries aside, less that of empty places.
        """
        letters = "".join(letter for letter in flags if letter in FLAG_LETTERS) + states
        strongest = next((letter for letter in (*FLAG_LETTERS, *STATES) if letter in letters), "")
        return cls(letters, beside + len(states), len(states), strongest)


def read_fronts(texts: Iterable[bytes]) -> tuple[list[Front], list[int]]:
    """Read a little of groups' states: of very many groups in little time.

    Returns:
        The front of each · since when (ms) the first of its entries under way is in its state; 0: none is.
    """
    fronts, since = [], []
    for text in texts:
        words = text.split(b" ")
        try:
            if len(words) != _ORDINARY:  # one entry is under way in most groups
                raise ValueError
            at = int(words[9])
            front = _FRONTS[words[0], words[1], words[2]]
        except ValueError:
            front, at = _read_whole(text)
        fronts.append(front)
        since.append(at)
    return fronts, since


def _read_whole(text: bytes) -> tuple[Front, int]:
    group = StoredGroup.parse(Quoted(""), text)
    flights = in_order(group.flights)
    states = "".join(_LETTER_OF[flight.state] for flight in group.flights)
    return Front.of(group.flags, states, group.aside - group.empty), flights[0].since if flights else 0


#: Words of a state with one record.
_ORDINARY = 13
_LETTER_OF = {state: letter for letter, state in STATES.items()}


class _Fronts(dict[tuple[bytes, bytes, bytes], Front]):
    """The fronts of groups with one entry under way, by the first words of their texts: few different ones.

    Raises:
        ValueError: The words are others.
    """

    def __missing__(self, words: tuple[bytes, bytes, bytes]) -> Front:
        flags, aside, (empty, found, letter) = words[0], words[1], words[2].decode().partition("\n")
        if not found or letter not in STATES:
            raise ValueError(letter)
        if len(self) >= _KEPT:
            self.clear()
        front = self[words] = Front.of(flags.decode(), letter, int(aside) - int(empty))
        return front


#: Fronts that are kept.
_KEPT = 1024
_FRONTS = _Fronts()
