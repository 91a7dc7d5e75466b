"""Installed is every file of the package, and nothing else of the repository."""

from __future__ import annotations

import re
from configparser import ConfigParser
from dataclasses import is_dataclass
from pathlib import Path

import celery_groupfifo
from celery_groupfifo import groups
from celery_groupfifo.gate import scripts

PACKAGE = Path(celery_groupfifo.__file__).parent


def test_every_file_that_is_no_module_is_named() -> None:
    setup = ConfigParser(interpolation=None)
    setup.read(PACKAGE.parent / "setup.cfg")
    patterns = setup["options.package_data"]["celery_groupfifo"].split()
    named = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    files = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path for path in files if path.suffix != ".py"} == named


def test_the_scripts_are_installed_and_not_their_sources() -> None:
    setup = ConfigParser(interpolation=None)
    setup.read(PACKAGE.parent / "setup.cfg")
    assert setup["options.packages.find"]["include"].split() == ["celery_groupfifo", "celery_groupfifo.*"]
    made = {path.stem for path in PACKAGE.rglob("*.lua")}
    assert made == {path.stem for path in PACKAGE.glob("gate/lua/*.lua")} == set(scripts.NAMES)


def test_every_folder_of_modules_is_a_package() -> None:
    """One without `__init__.py` is left out of a wheel, and works in the repository all the same."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_help_says_where_the_answers_of_groups_are() -> None:
    answers = {name for name in groups.__all__ if is_dataclass(getattr(groups, name)) or name == "Page"}
    for said in (celery_groupfifo.__doc__, groups.Groups.__doc__):
        assert said and "`celery_groupfifo.groups`" in said
        named = set(re.findall(r"`(\w+)`", said.partition("`celery_groupfifo.groups`")[2]))
        assert answers - {"Totals"} <= named, "that is a part of Stats"
