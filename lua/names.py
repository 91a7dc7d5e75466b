"""The names in a Lua text: where they are declared, where they are used, and what may not have the same one.

It reads the house style alone: blocks are indented by two blanks, functions begin and end at the margin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

_COMMENT = re.compile(r"(?:^|(?<=\s))--.*")
_STRING = re.compile(r"'[^']*'")
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_LOCAL = re.compile(r" *local (?!function)([\w, ]+?)(?: =|$)")
_FUNCTION = re.compile(r"\blocal function (\w+)")
_PARAMETERS = re.compile(r"\bfunction(?: \w+)?\(([\w, ]*)\)")
_FOR = re.compile(r" *for ([\w, ]+?) (?:=|in\b)")
_TARGETS = re.compile(r"[\w., \[\]]+ = ")
_KEY = re.compile(r"\b\w+ =(?!=)")
_ASSIGNED = re.compile(r"([\w., ]+?) =(?!=)")


class BuildError(Exception):
    """A source can't be built as it stands; the text says what to change."""


@cache
def code(line: str) -> str:
    """Return a line without its comment."""
    return _COMMENT.sub("", line).rstrip()


def strings_removed(text: str) -> str:
    """Return a text whose strings are empty."""
    return _STRING.sub("''", text)


def calls(line: str, function: str) -> int:
    """Return how often a line calls a function."""
    if function not in line:  # as nearly always
        return 0
    return len(re.findall(rf"(?<![\w.]){function}\(", strings_removed(code(line))))


def parts(text: str) -> list[str]:
    """Split a list at its own commas: not at those inside of brackets or strings."""
    found, depth, quoted = [""], 0, False
    for character in text:
        quoted ^= character == "'"
        if not quoted:
            depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth and not quoted:
            found.append("")
        else:
            found[-1] += character
    return [each.strip() for each in found] if text.strip() else []


@cache
def declared(line: str) -> frozenset[str]:
    """Return the variables that a line declares: locals, parameters and loop variables."""
    text = strings_removed(code(line))
    lists = [*_LOCAL.findall(text), *_PARAMETERS.findall(text), *_FOR.findall(text)]
    return frozenset(name for each in lists for name in parts(each))


def functions(lines: Iterable[str]) -> list[str]:
    """Return the names of the functions that are defined."""
    return [name for line in lines for name in _FUNCTION.findall(code(line))]


def at_margin(lines: Iterable[str]) -> set[str]:
    """Return what is declared outside of all blocks: variables and functions."""
    every = [line for line in lines if not line.startswith(" ")]
    variables = (declared(line) for line in every if not _FUNCTION.match(line) and not _FOR.match(line))
    return set(functions(every)).union(*variables)


def assigned(lines: Iterable[str]) -> set[str]:
    """Return the variables that get a new value, apart from the lines that declare them."""
    texts = [strings_removed(code(line)) for line in lines if not _LOCAL.match(line)]
    lists = [found for text in texts for found in _ASSIGNED.findall(text)]
    return {words[-1] for each in lists for name in parts(each) if (words := name.split())}


@cache
def used(line: str) -> frozenset[str]:
    """Return the names in a line, apart from fields and their keys, strings, and what it declares itself."""
    text = _FOR.sub("", strings_removed(code(line)))
    if _LOCAL.match(text):
        text = text.partition(" =")[2]
    targets = None if text.endswith(",") else _TARGETS.match(text)  # with a comma it is a line of a table
    start = targets.end() if targets else 0
    return frozenset(_NAME.findall(text[:start] + _KEY.sub("", text[start:])))


@cache
def indent(line: str) -> int:
    """Return the number of blanks before a line."""
    return len(line) - len(line.lstrip())


def visible(lines: Sequence[str], at: int) -> Iterator[str]:
    """Yield the variables that are declared before a line of a text and still count there."""
    depth = indent(lines[at])
    for line in reversed(lines[:at]):
        if indent(line) <= depth and code(line):
            opens, depth = indent(line) < depth, indent(line)
            if opens != bool(_LOCAL.match(line)):  # of a block that is open here: what it opens with; else its locals
                yield from declared(line)


def outer(function: Sequence[str], before: Iterable[str]) -> set[str]:
    """Return the variables of the text before it that a function uses."""
    names = at_margin(before)
    found: set[str] = set()
    for at, line in enumerate(function):
        if at and (some := used(line) & names):
            found |= some - set(visible(function, at))
    return found


def check_functions(script: str, lines: Sequence[str]) -> None:
    """Refuse two things of one name of which one is a function.

    Raises:
        BuildError: A function is defined twice, or a variable has its name.
    """
    known: set[str] = set()
    for name in functions(lines):
        if name in known:
            raise BuildError(f"{script}: the function {name}() is defined twice.")
        known.add(name)
    for line in lines:
        for name in sorted(declared(line) & known):
            raise BuildError(
                f"{script}: the variable {name} has the name of the function {name}(): rename it in {line.strip()!r}."
            )


def check_call(script: str, function: str, needs: set[str], lines: Sequence[str], at: int) -> None:
    """Refuse a call of a function where a variable hides one that the function uses.

    Args:
        script: Its name.
        function: The function's name.
        needs: The outer variables that the function uses.
        lines: The text after the function.
        at: The line of the call.

    Raises:
        BuildError: With the function in the place of the call it would take the wrong variable.
    """
    for name in sorted(needs & set(visible(lines, at))):
        raise BuildError(
            f"{script}: the variable {name} hides the one that the function {function}() uses, where it is called in "
            f"{code(lines[at]).strip()!r}: rename one of them."
        )
