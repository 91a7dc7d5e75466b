"""The inliner, which makes Lua scripts quicker: it replaces calls by function bodies, and table fields by variables.

Redis runs the whole text of a script at every call, and so makes each of its functions and tables again: a quarter of a
microsecond for a function, a seventh of a script's time in all. So the scripts are written with functions, and run
without.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count

from lua.names import assigned, calls, check_call, check_functions, code, outer, parts, strings_removed, used

_FUNCTION = re.compile(r"local function (\w+)\((.*)\)$")
_CALL = re.compile(r"( *)(?:(?:(return)|([\w.,\[\] ]+?) =) )?(\w+)\((.*)\)$")
_VALUES = re.compile(r"local ([\w, ]+) = ([^(]+)$")
_SET = re.compile(r"(\w+)\.(\w+) = ")
_GOES_ON = re.compile(r"(?:[-+*/<>=~,({]|\.\.|\b(?:and|or|not))$")
_FROM_BEFORE = re.compile(r"\s*(?:\.\.|[-+*/)}]|and\b|or\b)")
_START, _END, _RETURN = "local function ", "end", "  return "


def unpack_table(script: str, table: str) -> str:
    """Replace each field of a table in a script by a local variable, and drop lines that set an unread one.

    Args:
        script: It makes the table empty and at the margin, `local T = {}`, sets each field on a line of its own, first
            at the margin, and otherwise only uses fields by their names, `T.name`.
        table: Its name.
    """
    field = re.compile(rf"\b{table}\.(\w+)")
    lines, before = [line for line in script.splitlines() if line != f"local {table} = {{}}"], 0
    while len(lines) != before:  # an unread one may have been the only one that read another
        before = len(lines)
        uses = Counter(field.findall("\n".join(map(code, lines))))
        lines = [line for line in lines if not (found := _SET.match(line)) or found[1] != table or uses[found[2]] > 1]
    known: set[str] = set()
    for at, line in enumerate(lines):
        if (found := _SET.match(line)) and found[1] == table and found[2] not in known:
            known.add(found[2])
            lines[at] = f"local {line}"
    return field.sub(rf"{table}_\1", "\n".join(lines)) + "\n"


def inline_functions(script: str, name: str = "script") -> str:
    """Return an equal script with fewer functions.

    A function is inlined when its one `return` ends it, and every call of it is a line of its own: `f(…)`, `a, b =
    f(…)`, `local a, b = f(…)` or `return f(…)`. Other functions stay. What is not used is left out: functions, and
    variables with a plain value.

    Args:
        script: Its functions begin and end at the margin, and are defined before they are called. Blocks are indented.
        name: Its name, for messages.

    Raises:
        BuildError: A local variable has the name of a function, or hides a variable that an inlined function uses.
    """
    lines = _without_unused([line.rstrip() for line in script.splitlines()])
    check_functions(name, lines)
    numbers, at = count(1), 0
    while at < len(lines):
        if lines[at].startswith(_START):
            end = lines.index(_END, at)
            rest = _placed(name, lines[:at], lines[at:end], lines[end + 1 :], numbers)
            if rest is not None:
                at = _commented_from(lines, at)
                lines[at:] = rest
                continue
        at += 1
    return "\n".join(lines) + "\n"


def _commented_from(lines: Sequence[str], at: int) -> int:
    """Return where the comment begins that stands directly above a line; where there is none, the line."""
    while at and lines[at - 1].startswith("--"):
        at -= 1
    return at


def _without_unused(lines: list[str]) -> list[str]:
    """Drop functions and variables that nothing uses: from the last one on, as each uses earlier ones."""
    at = len(lines)
    while at:
        at -= 1
        if lines[at].startswith(_START):
            end = lines.index(_END, at)
            names = {lines[at].removeprefix(_START).partition("(")[0]}
        elif found := _VALUES.match(code(lines[at])):
            end, names = at, set(parts(found[1]))
        else:
            continue
        if not any(names & used(line) for line in lines[end + 1 :]):
            start = _commented_from(lines, at)
            lines, at = lines[:start] + lines[end + 1 :], start
    return lines


def _placed(
    script: str, before: list[str], function: list[str], rest: list[str], numbers: Iterator[int]
) -> list[str] | None:
    """Return the rest of a script with a function in place of its calls; None where that is not possible."""
    defined = _FUNCTION.match(code(function[0]))
    assert defined, function[0]
    name, parameters = defined[1], parts(defined[2])
    steps, result = _parted(function[1:])
    if steps is None or any(calls(line, name) for line in function[1:]):
        return None
    changed, needs = assigned(steps), outer(function, before)
    found = []
    for at, line in enumerate(rest):
        if not calls(line, name):
            found.append(line)
            continue
        call = _CALL.match(code(line))
        if calls(line, name) > 1 or call is None or call[4] != name:
            return None
        if not _is_closed(call[5]) or not _is_whole(rest, at):
            return None
        check_call(script, name, needs, rest, at)
        margin, returning, targets, _, arguments = call.groups()
        if ((returning or targets) and not result) or (returning and result[-1].endswith(")")):
            return None  # no value, or an unknown number of them
        wanted = _values(result) if returning else len(parts(targets or ""))
        kept = ", ".join(f"{name}_{next(numbers)}" for _ in range(wanted))
        block = [
            *([f"local {kept}"] if kept else []),
            f"do -- {name}({arguments})",
            *_bound(parameters, parts(arguments), changed),
            *steps,
            *_kept(kept, wanted, result),
            "end",
        ]
        if returning:
            block.append(f"return {kept}")
        elif targets:
            block.append(f"{targets} = {kept}")
        found += [margin + each if each else "" for each in block]
    return found


def _bound(parameters: list[str], arguments: list[str], changed: set[str]) -> list[str]:
    """Return the line that gives a function's parameters their values, but for variables that are called the same."""
    same = [
        name
        for name, value in zip(parameters, arguments, strict=False)
        if name == value and name not in changed and parameters.count(name) == 1
    ]
    names = [name for name in parameters if name not in same]
    more = arguments[len(parameters) :]
    values = [value for at, value in enumerate(arguments) if at >= len(parameters) or parameters[at] not in same]
    if names and len(values) < len(names) and not (values and values[-1].endswith(")")):
        values += ["nil"] * (len(names) - len(values))
    if not names and not any("(" in value for value in more):
        return []
    return [f"  local {', '.join(names or ['_'])} = {', '.join(values)}"]


def _kept(kept: str, wanted: int, result: list[str]) -> list[str]:
    """Return the lines that keep as much of a function's result as its caller wants."""
    if not result:
        return []
    values = parts(result[0]) if len(result) == 1 else []
    called = any("(" in strings_removed(line) for line in result)
    if not called and not wanted:
        return []
    if not called and len(values) > wanted:
        result = [", ".join(values[:wanted])]
    return [f"  {kept or 'local _'} = {result[0]}", *result[1:]]


def _parted(body: list[str]) -> tuple[list[str] | None, list[str]]:
    """Return the steps of a function and the lines of its result; no steps when it returns from inside a block."""
    places = [at for at, line in enumerate(body) if re.search(r"\breturn\b", strings_removed(code(line)))]
    if not places:
        return body, []
    first = body[places[0]]
    if len(places) > 1 or not first.startswith(_RETURN):
        return None, []
    return body[: places[0]], [code(first).removeprefix(_RETURN), *map(code, body[places[0] + 1 :])]


def _is_whole(lines: Sequence[str], at: int) -> bool:
    """Return whether a line is a statement: not the end of the one before it, and not gone on with."""
    before = next((text for line in reversed(lines[:at]) if (text := code(line))), "")
    after = next((text for line in lines[at + 1 :] if (text := code(line))), "")
    return not _GOES_ON.search(before) and not _FROM_BEFORE.match(after)


def _is_closed(arguments: str) -> bool:
    """Return whether the brackets of a list of arguments are its own: not those of `f(a) .. g(b)`."""
    depth = 0
    for character in strings_removed(arguments):
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            return False
    return depth == 0


def _values(result: list[str]) -> int:
    """Return the number of values that a `return` gives back."""
    return len(parts(" ".join(result)))
