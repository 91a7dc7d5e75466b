"""Makes the scripts that the gate runs of their sources: `make scripts`, or `make check` to compare them only.

A source is written with functions, which parts in `lib/` share. A script is one text without them, see inline.py. It is
committed, so that everybody can read what runs. A script of the same name in `quick/` stands before everything else: it
does what is usual, and returns, or it leaves all to the rest.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path

from lua.inline import inline_functions, unpack_table
from lua.names import BuildError, at_margin, declared, used

ROOT = Path(__file__).parents[1]
SOURCES, SCRIPTS = Path("lua"), Path("celery_groupfifo/gate/lua")
INCLUDE = "--@include "


class Source:
    """A file: a script's own, or a part.

    Args:
        root: Of the tree.
        path: Of the file.

    Attributes:
        name: As messages show it.
        head: The comment that it begins with.
        includes: The parts that it names.
        lines: All after its head, without includes.
    """

    def __init__(self, root: Path, path: Path) -> None:
        self.name = path.relative_to(root).as_posix()
        lines = path.read_text("utf-8").splitlines()
        at = next((at for at, line in enumerate(lines) if not line.startswith("--") or line.startswith(INCLUDE)), 0)
        self.head = lines[:at]
        named = lines[at].startswith(INCLUDE)
        self.includes = lines[at].removeprefix(INCLUDE).split() if named else []
        self.lines = lines[at + named :]
        if any(line.lstrip().startswith(INCLUDE) for line in self.lines):
            raise BuildError(f"{self.name}: it includes parts at its head, in one line, and nowhere else.")

    @cached_property
    def defines(self) -> set[str]:
        """Return what it has for others: functions and variables at the margin."""
        return at_margin(self.lines)

    @cached_property
    def uses(self) -> set[str]:
        """Return the names that it uses and does not declare anywhere."""
        return set().union(*map(used, self.lines)) - self.defines - set().union(*map(declared, self.lines))


class Sources:
    """All sources of a tree.

    Args:
        root: The repository's, or that of a copy.
    """

    def __init__(self, root: Path) -> None:
        folder = root / SOURCES
        self.scripts = {path.stem: Source(root, path) for path in sorted(folder.glob("*.lua"))}
        self.parts = {path.stem: Source(root, path) for path in sorted((folder / "lib").glob("*.lua"))}
        self.quick = {path.stem: Source(root, path) for path in sorted((folder / "quick").glob("*.lua"))}
        self._every = [*self.scripts.values(), *self.parts.values()]

    def _needed(self, source: Source) -> dict[str, set[str]]:
        """Return the parts that a source uses, and what of each."""
        return {name: names for name, part in self.parts.items() if (names := part.defines & source.uses)}

    def check(self) -> None:
        """Refuse a source that uses a part without including it.

        Raises:
            BuildError: With the source, and what it should include.
        """
        for source in self._every:
            needed = self._needed(source)
            for name in sorted(needed.keys() - set(source.includes)):
                raise BuildError(f"{source.name}: it uses {min(needed[name])} of {name}, which it does not include.")
            for name in source.includes:
                if name not in self.parts:
                    raise BuildError(f"{source.name}: it includes {name}, which is not there.")

    def check_unused(self) -> None:
        """Refuse a source that includes a part without using it.

        Raises:
            BuildError: With the source, and the part.
        """
        for source in self._every:
            for name in sorted(set(source.includes) - self._needed(source).keys()):
                raise BuildError(f"{source.name}: it includes {name}, and uses nothing of it.")

    def script(self, name: str) -> str:
        """Return the text of a script.

        Raises:
            BuildError: It can't be built as its sources stand.
        """
        source = self.scripts[name]
        lines = ["local redis_call = redis.call"]
        if quick := self.quick.get(name):
            lines += [*quick.head, "do", *(f"  {line}" if line else "" for line in quick.lines), "end"]
        for part in self._in_order(source):
            lines += _dense(self.parts[part].lines)
        # redis_call: saves two look-ups in each of some thirty commands, a fortieth of a script's time.
        text = "\n".join([*lines, "", *source.lines]).replace("redis.call(", "redis_call(")
        text = _compiled(text, source.name)
        head = [f"-- Made of {source.name} by `make scripts`: change that file, not this one.", "--", *source.head]
        return "\n".join(head) + "\n" + text

    def _in_order(self, source: Source, under: tuple[str, ...] = ()) -> list[str]:
        """Return the parts that a source needs, each once, and after those that it needs itself."""
        found: dict[str, None] = {}
        for name in source.includes:
            if name in under:
                raise BuildError(f"{source.name}: it includes {name}, which includes it.")
            found |= dict.fromkeys(self._in_order(self.parts[name], (*under, name)))
            found[name] = None
        return list(found)


@cache
def _compiled(text: str, name: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", unpack_table(inline_functions(text, name), "K"))


def _dense(lines: Sequence[str]) -> list[str]:
    """Return a part without blank lines, and without comments that stand above none of its code."""
    found: list[str] = []
    comments: list[str] = []
    for line in lines:
        if line.startswith("--"):
            comments.append(line)
            continue
        if line:
            found += [*comments, line]
        comments = []
    return found


def scripts(root: Path) -> dict[str, str]:
    """Return the text of each script of a tree, by its name.

    Raises:
        BuildError: It can't be built as its sources stand.
    """
    sources = Sources(root)
    sources.check()
    return {name: sources.script(name) for name in sources.scripts}


def write(root: Path) -> None:
    """Write the scripts of a tree, and remove those without a source."""
    made = scripts(root)
    for path in (root / SCRIPTS).glob("*.lua"):
        if path.stem not in made:
            path.unlink()
    for name, text in made.items():
        (root / SCRIPTS / f"{name}.lua").write_text(text, "utf-8")


def differences(root: Path) -> list[str]:
    """Return the names of the scripts of a tree that are not what its sources give, or have none."""
    made = scripts(root)
    there = {path.stem: path.read_text("utf-8") for path in (root / SCRIPTS).glob("*.lua")}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def main(words: Sequence[str]) -> str | None:
    """Write the scripts, or compare them; return what is wrong."""
    try:
        Sources(ROOT).check_unused()
        if "--check" not in words:
            write(ROOT)
        elif names := differences(ROOT):
            return f"Not what their sources give: {', '.join(names)}. Run `make scripts`."
    except BuildError as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
