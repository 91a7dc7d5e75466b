"""The workflows of GitHub name what is there: they have no run of their own here that would tell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import noxfile
from tests.support.places import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))


def load(path: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(path.read_text("utf-8"))
    return found


def matrix(workflow: str, job: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = load(REPOSITORY / ".github/workflows" / workflow)["jobs"][job]["strategy"]["matrix"]
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_says_that_it_has_not_run(path: Path) -> None:
    assert path.read_text("utf-8").startswith("# NOT RUN YET")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_unless_a_job_says_more(path: Path) -> None:
    assert load(path)["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_each_target_of_make_is_there(path: Path) -> None:
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    named = re.findall(r"run: make ([\w-]+)", path.read_text("utf-8"))
    assert named or path.stem in ("checks", "matrix")
    for target in [*named, *(matrix("checks.yml", "tests")["tier"] if path.stem == "checks" else [])]:
        assert re.search(rf"^{target}:.*##", makefile, re.MULTILINE), target


def test_the_matrix_is_that_of_nox() -> None:
    assert matrix("matrix.yml", "cell") == {"python": list(noxfile.PYTHONS), "celery": list(noxfile.CELERYS)}
    for session in matrix("matrix.yml", "others")["session"]:
        assert callable(getattr(noxfile, session))


def test_only_the_publishing_job_may_ask_for_a_token_of_pypi() -> None:
    jobs = load(REPOSITORY / ".github/workflows/release.yml")["jobs"]
    assert {name for name, job in jobs.items() if "id-token" in job.get("permissions", {})} == {"publish"}
    assert jobs["publish"]["environment"]["name"] == "pypi" and jobs["publish"]["needs"] == "build"


def test_what_the_contributors_page_names_is_there() -> None:
    page = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    for target in re.findall(r"^\$ make ([\w-]+)|`make ([\w-]+)", page, re.MULTILINE):
        assert re.search(rf"^{target[0] or target[1]}:.*##", makefile, re.MULTILINE), target
    for path in re.findall(r"`((?:celery_groupfifo|tests|lua|docs|\.github|\.ci)/[\w./]*)`", page):
        assert "VERB" in path or (REPOSITORY / path).exists(), path
    for path, test in re.findall(r"pytest (tests/[\w/]+\.py)(?:::(\w+))?", page):
        assert f"def {test}" in (REPOSITORY / path).read_text("utf-8"), (path, test)
    for name, code in (("_CHECKS", "settings"), ("OPTIONS", "settings"), ("NAMES", "gate/scripts")):
        assert f"`{name}`" in page and f"\n{name}" in (REPOSITORY / f"celery_groupfifo/{code}.py").read_text("utf-8")
    assert all((REPOSITORY / link).exists() for link in re.findall(r"\]\(([\w./-]+)", page))


def test_the_links_of_the_security_page_lead_somewhere() -> None:
    page = (REPOSITORY / "SECURITY.md").read_text("utf-8")
    links = re.findall(r"\]\(([\w./-]+)", page)
    assert links and all((REPOSITORY / link).exists() for link in links)
