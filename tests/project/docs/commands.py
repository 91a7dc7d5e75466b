"""The command lines of the documentation, held against the parsers of the programs that they call."""

from __future__ import annotations

import importlib.util
import re
import runpy
import shlex
import sys
import warnings
from argparse import ArgumentParser
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import click
import flower.options  # noqa: F401 -- it defines Flower's options
import tornado.options
from celery.bin.celery import celery
from celery.worker.control import Panel

from celery_groupfifo.cli import groupfifo
from celery_groupfifo.flower.routes import routes
from tests.project.docs.pages import Block
from tests.support.places import REPOSITORY

MAKEFILE = (REPOSITORY / "Makefile").read_text("utf-8")
#: Programs that are not ours: what they are given is not checked.
FOREIGN = {"cd", "jq", "mkdir", "page-somebody", "pkill", "sleep", "source"}
#: Packages of others that a page says to install.
OTHERS = {"dramatiq[redis]"}
_PROMPT = re.compile(r"^[$#] ")
_SEPARATORS = frozenset(";|&")


class Wrong(Exception):
    """A command line that does not work; the message says why."""


def lines(block: Block) -> Iterator[tuple[int, str]]:
    """The command lines of a block, and the number of each one's first line within it."""
    said = block.code.splitlines()
    for number, line in enumerate(said, 1):
        if _PROMPT.match(line):
            whole = line[2:]
            while whole.endswith("\\"):
                whole, number = whole[:-1] + said[number], number + 1
            yield number, whole


def commands(line: str) -> Iterator[list[str]]:
    """The commands of a command line: what stands between `|`, `&&`, `||`, `;` and `&`."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= _SEPARATORS:
            words.append(word)
        elif words:
            yield words[1:] if words[0] == "do" else words
            words = []


def check(words: list[str], files: dict[str, str]) -> None:
    """Check a command.

    Args:
        words: The command.
        files: The files of its page.

    Raises:
        Wrong: It does not work.
    """
    program, arguments = Path(words[0]).name, words[1:]
    if program in ("for", "done", *FOREIGN):
        return
    known = {
        "celery": _celery,
        "cp": _cp,
        "curl": _curl,
        "journalctl": _units,
        "make": _make,
        "pip": _pip,
        "python": lambda each: _python(each, files),
        "python3": lambda each: _python(each, files),
        "systemctl": _units,
    }
    if program not in known:
        raise Wrong(f"nothing here knows the program {program}")
    try:
        known[program](arguments)
    except click.UsageError as error:
        raise Wrong(error.format_message()) from error


def _celery(words: list[str]) -> None:
    context = click.Context(celery, info_name="celery")
    _, rest, _ = celery.make_parser(context).parse_args(list(words))
    command: Any = {**celery.commands, "groupfifo": groupfifo}.get(rest[0])
    if command is None:
        raise Wrong(f"there is no command celery {rest[0]}")
    if command is groupfifo:
        if not rest[1:]:
            return
        name, command, rest = groupfifo.resolve_command(context, rest[1:])
        assert command is not None
        command.make_context(name, rest, parent=context)
        return
    context = click.Context(command, parent=context, **command.context_settings)
    given, left, _ = command.make_parser(context).parse_args(rest[1:])
    if rest[0] == "flower":
        names = [each.removeprefix("--").partition("=")[0] for each in rest[1:]]
        left = [each for each in names if each not in tornado.options.options]
    elif rest[0] in ("inspect", "control"):
        left = [] if given["command"] in Panel.meta else [given["command"]]
    if left:
        raise Wrong(f"celery {rest[0]} does not take {' '.join(left)}")


def _make(words: list[str]) -> None:
    variables = [each.partition("=")[0] for each in words if "=" in each]
    targets = [each for each in words if "=" not in each]
    for target in targets:
        if not re.search(rf"^{re.escape(target)}:.*##", MAKEFILE, re.MULTILINE):
            raise Wrong(f"make has no target {target}")
    exported = re.findall(r"\w+", "".join(re.findall(r"^export (.*)", MAKEFILE, re.MULTILINE)))
    for variable in variables:
        if variable not in exported and f"$({variable})" not in MAKEFILE and f"$(if $({variable})" not in MAKEFILE:
            raise Wrong(f"the Makefile reads no variable {variable}")


def _pip(words: list[str]) -> None:
    setup = ConfigParser(interpolation=None)
    setup.read(REPOSITORY / "setup.cfg")
    if words[0] != "install":
        raise Wrong(f"pip {words[0]}")
    for each in words[1:]:
        found = re.fullmatch(r"celery-groupfifo(?:\[([\w,]+)\])?", each)
        if each in OTHERS:
            continue
        if not found:
            raise Wrong(f"{each} is not this package")
        for extra in (found[1] or "").split(","):
            if extra and extra not in setup["options.extras_require"]:
                raise Wrong(f"there is no extra {extra}")


class _Parsed(BaseException):
    """The arguments of a module are parsed: it need not run."""


def _python(words: list[str], files: dict[str, str]) -> None:
    if words[0] == "-c":
        compile(words[1], "<command line>", "exec")
    elif words[0] != "-m":
        if words[0] not in files:
            raise Wrong(f"the page has no file {words[0]}")
    else:
        _module(words[1], words[2:])


def _module(module: str, words: list[str]) -> None:
    if importlib.util.find_spec(module) is None:
        raise Wrong(f"there is no module {module}")
    parse = ArgumentParser.parse_args

    def parse_only(self: ArgumentParser, args: Any = None, namespace: Any = None) -> None:
        parse(self, args, namespace)
        raise _Parsed

    def refuse(self: ArgumentParser, message: str) -> None:
        raise Wrong(f"python -m {module}: {message}")

    with (
        patch.object(ArgumentParser, "parse_args", parse_only),
        patch.object(ArgumentParser, "error", refuse),
        patch.object(sys, "argv", [module, *words]),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", RuntimeWarning)  # the module may be imported already
        try:
            runpy.run_module(module, run_name="__main__")
        except _Parsed:
            return
    raise Wrong(f"python -m {module} parses nothing")


def _curl(words: list[str]) -> None:
    (address,) = [each for each in words if "://" in each]
    path = urlsplit(address).path
    if not any(each.regex.fullmatch(path) for each in routes()):
        raise Wrong(f"Flower has no address {path}")


def _cp(words: list[str]) -> None:
    for each in words[:-1]:
        if not (REPOSITORY / each).is_file():
            raise Wrong(f"there is no file {each}")


def _units(words: list[str]) -> None:
    for each in words:
        unit = re.match(r"[a-z]+-[a-z]+(?=@|\.)", each)
        if unit and not list((REPOSITORY / "deploy" / "systemd").glob(f"{unit[0]}*")):
            raise Wrong(f"there is no unit {each}")
