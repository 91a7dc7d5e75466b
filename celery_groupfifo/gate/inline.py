"""The inliner, which makes Lua scripts quicker: it replaces calls by function bodies, and table fields by variables.

Redis runs the whole text of a script at every call, and so makes each of its functions and tables again: a quarter of a
microsecond for a function, a seventh of a script's time in all. So the scripts are written with functions, and run
without.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import count

_COMMENT = re.compile(r"(?:^|(?<=\s))--.*")
_FUNCTION = re.compile(r"local function (\w+)\((.*)\)$")
_CALL = re.compile(r"( *)(?:(?:(return)|([\w.,\[\] ]+?) =) )?(\w+)\((.*)\)$")
_START, _END, _RETURN = "local function ", "end", "  return"
_STRING = re.compile(r"'[^']*'")
_BRACKETS = re.compile(r"[(\[{][^()\[\]{}]*[)\]}]")


def unpack_table(script: str, table: str) -> str:
    """Replace each field of a table in a script by a local variable, and drop lines that set an unread one.

    Args:
        script: It makes the table empty and at the margin, `local T = {}`, sets each field on a line of its own, and
            otherwise only uses fields by their names, `T.name`.
        table: Its name.
    """
    field = re.compile(rf"\b{table}\.(\w+)")
    uses = Counter(field.findall(script))
    lines = [
        line
        for line in script.splitlines()
        if not (found := re.match(rf"{table}\.(\w+) = ", line)) or uses[found[1]] > 1
    ]
    names = ", ".join(f"{table}_{name}" for name in uses if uses[name] > 1)
    text = "\n".join(lines).replace(f"local {table} = {{}}", f"local {names}")
    return field.sub(rf"{table}_\1", text) + "\n"


def inline_functions(script: str) -> str:
    """Return an equal script with fewer functions, and without comments.

    A function is inlined when its one `return` ends it, and every call of it is a line of its own: `f(…)`, `a, b =
    f(…)`, `local a, b = f(…)` or `return f(…)`. Other functions stay. Uncalled ones are left out.

    Args:
        script: Its functions begin and end at the margin, and are defined before they are called. No local variable
            has the name of a function, or of an outer variable that a function uses.
    """
    lines = [line for line in (_COMMENT.sub("", line).rstrip() for line in script.splitlines()) if line]
    numbers, at = count(1), 0
    lines = _without_uncalled(lines)
    while at < len(lines):
        if lines[at].startswith(_START):
            end = lines.index(_END, at)
            rest = _placed(lines[at:end], lines[end + 1 :], numbers)
            if rest is not None:
                lines[at:] = rest
                continue
        at += 1
    return "\n".join(lines) + "\n"


def _without_uncalled(lines: list[str]) -> list[str]:
    """Drop the functions that nothing calls: from the last one on, as each calls earlier ones."""
    for at in reversed([at for at, line in enumerate(lines) if line.startswith(_START)]):
        end = lines.index(_END, at)
        name = lines[at].removeprefix(_START).partition("(")[0]
        if not re.search(rf"\b{name}\(", "\n".join(lines[end:])):
            lines = lines[:at] + lines[end + 1 :]
    return lines


def _placed(function: list[str], rest: list[str], numbers: Iterator[int]) -> list[str] | None:
    """Return the rest of a script with a function in place of its calls; None where that is not possible."""
    defined = _FUNCTION.match(function[0])
    assert defined, function[0]
    name, parameters = defined.groups()
    steps, result = _parted(function[1:])
    called = re.compile(rf"\b{name}\(")
    found = []
    for line in rest:
        calls = len(called.findall(line)) if f"{name}(" in line else 0
        if not calls:
            found.append(line)
            continue
        call = _CALL.match(line)
        if steps is None or calls > 1 or call is None or call[4] != name or not _is_closed(call[5]):
            return None
        indent, returning, targets, _, arguments = call.groups()
        if ((returning or targets) and not result) or (returning and result.endswith(")")):
            return None  # no value, or an unknown number of them
        values = _values(result) if returning else (targets or "").count(",") + 1
        kept = ", ".join(f"_{next(numbers)}" for _ in range(values)) if result else ""
        block = _block(steps, f"{parameters} = {arguments}" if arguments else parameters, kept, result)
        if returning:
            block.append(f"return {kept}")
        elif targets:
            block.append(f"{targets} = {kept}")
        found += [indent + each for each in block]
    return found


def _block(steps: list[str], bound: str, kept: str, result: str) -> list[str]:
    """Return the block that replaces a call: parameters, steps, and the result in variables of its own."""
    block = ["do", *([f"local {bound}"] if bound else []), *steps]
    return [f"local {kept}", *block, f"{kept} = {result}", "end"] if result else [*block, "end"]


def _parted(body: list[str]) -> tuple[list[str] | None, str]:
    """Return the steps of a function and its result; no steps when it returns from inside a block."""
    places = [at for at, line in enumerate(body) if re.search(r"\breturn\b", line)]
    if not places:
        return body, ""
    first = body[places[0]]
    if len(places) > 1 or not first.startswith(_RETURN):
        return None, ""
    result = " ".join([first.removeprefix(_RETURN), *(line.strip() for line in body[places[0] + 1 :])])
    return body[: places[0]], result.strip()


def _is_closed(arguments: str) -> bool:
    """Return whether the brackets of a list of arguments are its own: not those of `f(a) .. g(b)`."""
    depth = 0
    for character in _STRING.sub("", arguments):
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            return False
    return depth == 0


def _values(result: str) -> int:
    """Return the number of values that a `return` gives back."""
    text, brackets = _STRING.sub("", result), 1
    while brackets:
        text, brackets = _BRACKETS.subn("", text)
    return text.count(",") + 1
