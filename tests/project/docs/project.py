"""A user's project, made of the files that a page shows, with a server of its own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from celery_groupfifo.testing import embedded
from celery_groupfifo.testing.processes import Process
from tests.project.docs.commands import commands, lines
from tests.project.docs.pages import blocks, files
from tests.support.places import REPOSITORY


class Project:
    """The files of a page in a directory. Their addresses of a Redis lead to the server.

    Args:
        page: The page.
        directory: For its files.
        server: The server.
    """

    def __init__(self, page: Path, directory: Path, server: embedded.Server) -> None:
        self.directory = directory
        self._text = page.read_text("utf-8")
        self._environment = {"PYTHONPATH": os.pathsep.join([str(directory), str(REPOSITORY)])}
        for file, code in files(page).items():
            (directory / file).write_text(re.sub(r"redis://localhost:\d+", server.url, code), "utf-8")

    def commands(self, *programs: str, after: str = "", before: str = "") -> list[tuple[list[str], str]]:
        """The commands that the page shows between two of its headings, and the output that it shows of each.

        Args:
            programs: Words that they begin with.
            after: Beginning of the first heading; empty: from the top.
            before: Beginning of the second one; empty: to the end.
        """
        first = self._text.index(f"\n{after}")
        last = self._text.index(f"\n{before}") if before else len(self._text)
        begin, end = (self._text[:at].count("\n") for at in (first, last))
        found = []
        for block in blocks(self._text):
            if block.language == "console" and begin < block.line <= end:
                shown = block.code.splitlines()
                starts = [number for number, _ in lines(block)]
                for (number, line), until in zip(lines(block), [*starts[1:], len(shown) + 1], strict=True):
                    output = "\n".join(shown[number : until - 1])
                    found += [(words, output) for words in commands(line) if shlex.join(words).startswith(programs)]
        return found

    def run(self, *words: str) -> str:
        """Run a command, and return its output; it has to end well."""
        done = subprocess.run(
            [sys.executable, *_arguments(words)],
            cwd=self.directory,
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, name: str, *words: str) -> Process:
        """Start a command."""
        return Process(name, _arguments(words), self.directory / f"{name}.log", self._environment)


def _arguments(words: tuple[str, ...]) -> list[str]:
    """Return the arguments for the interpreter."""
    return ["-m", "celery", *words[1:]] if words[0] == "celery" else [*words[1:]]
