"""Names of settings and options that the documentation's examples give."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as IniError

from celery.app.defaults import DEFAULTS

from celery_groupfifo.errors import InvalidOption
from celery_groupfifo.gate.model import HEADER
from celery_groupfifo.sending.options import NAMES, check_names
from celery_groupfifo.settings import Settings
from tests.project.docs.pages import Block

KNOWN = {*DEFAULTS, *(f"groupfifo_{each}" for each in Settings.__dataclass_fields__)}
#: Files that hold settings and nothing else, and what their names begin with.
FILES = {"celeryconfig.py": "", "settings.py": "CELERY_"}


def given(block: Block) -> Iterator[tuple[int, str]]:
    """The settings that a block of Python sets, with their lines."""
    prefix = FILES.get(block.title)
    assigned = (node for node in ast.walk(ast.parse(block.code)) if isinstance(node, ast.Assign))
    for node in assigned:
        for target in node.targets:
            if isinstance(target, ast.Attribute) and getattr(target.value, "attr", "") == "conf":
                yield node.lineno, target.attr
            elif isinstance(target, ast.Name) and prefix is not None:
                assert target.id.startswith(prefix), block.at(node.lineno)
                yield node.lineno, target.id.removeprefix(prefix).lower()


def unknown(block: Block) -> list[str]:
    """Return what a block says that does not exist or can't be read, each with its place."""
    if block.language == "python":
        return [f"{block.at(line)}: no setting {name}" for line, name in given(block) if name not in KNOWN]
    try:
        if block.language == "json":
            headers = json.loads(block.code)
            check_names([each for each in headers if not each.startswith(f"{HEADER}_")], block.page)
            mine = [each.removeprefix(f"{HEADER}_") for each in headers if each.startswith(f"{HEADER}_")]
            return [f"{block.at()}: no header for {each}" for each in mine if each not in NAMES]
        if block.language == "ini":
            ConfigParser().read_string(block.code)
    except (ValueError, IniError, InvalidOption) as error:
        return [f"{block.at()}: {error}"]
    return []
