"""A release as it is built: both files hold what they must and nothing else, and PyPI can show the README."""

from __future__ import annotations

import email
import email.message
import re
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

import celery_groupfifo
from tests.project.release.built import Built, build
from tests.support.places import REPOSITORY

VERSION = celery_groupfifo.__version__
#: What a source distribution has at its top, besides the metadata that setuptools writes.
TOP = {
    *(".ci", ".github", ".gitignore", ".luacheckrc", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in"),
    *("Makefile", "README.md", "SECURITY.md", "benchmarks", "celery_groupfifo", "celeryconfig.py", "demo", "deploy"),
    *("docs", "examples", "lua", "mkdocs.yml", "noxfile.py", "pyproject.toml", "rehearsal", "setup.cfg", "tests"),
}
WRITTEN = {"PKG-INFO", "celery_groupfifo.egg-info"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def wheel(built: Built) -> set[str]:
    return {name for name in zipfile.ZipFile(built.wheel).namelist() if not name.endswith("/")}


@pytest.fixture(scope="module")
def sdist(built: Built) -> set[str]:
    with tarfile.open(built.sdist) as archive:
        return {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}


@pytest.fixture(scope="module")
def metadata(built: Built) -> email.message.Message:
    archive = zipfile.ZipFile(built.wheel)
    return email.message_from_bytes(archive.read(f"celery_groupfifo-{VERSION}.dist-info/METADATA"))


def files(folder: Path) -> set[str]:
    """The files below a folder of the repository, without what runs leave there."""
    found = (path.relative_to(REPOSITORY) for path in folder.rglob("*") if path.is_file())
    left = re.compile(r"\.pyc$|/\.cache/|^examples/(django/shop\.db|messages/cluster/)")
    return {path.as_posix() for path in found if not left.search(path.as_posix())}


def test_the_wheel_has_the_package_and_its_metadata_only(wheel: set[str]) -> None:
    assert {name for name in wheel if ".dist-info/" not in name} == files(REPOSITORY / "celery_groupfifo")
    assert {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"} <= {
        name.partition(".dist-info/")[2] for name in wheel
    }


def test_the_sdist_has_all_that_a_packager_needs(sdist: set[str]) -> None:
    assert {name.partition("/")[0] for name in sdist} == TOP | WRITTEN
    for folder in ("celery_groupfifo", "docs", "lua", "tests", "examples", ".github", ".ci"):
        assert files(REPOSITORY / folder) <= sdist, folder


def test_the_sdist_has_nothing_of_this_machine(sdist: set[str]) -> None:
    stray = re.compile(
        r"(^|/)(\.venv|\.nox|build|dist|__pycache__|\.\w+_cache|demo-logs|node_modules)/|\.(pyc|log|rdb)$"
    )
    assert [name for name in sdist if stray.search(name)] == []


def test_pypi_takes_both(built: Built) -> None:
    command = [sys.executable, "-m", "twine", "--no-color", "check", "--strict", str(built.wheel), str(built.sdist)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.count("PASSED") == 2, done.stdout + done.stderr


def test_the_version_has_one_place(metadata: email.message.Message) -> None:
    setup = ConfigParser(interpolation=None)
    setup.read(REPOSITORY / "setup.cfg")
    assert setup["metadata"]["version"] == "attr: celery_groupfifo.__version__"
    assert metadata["Version"] == VERSION
    assert re.search(rf"^## {re.escape(VERSION)} \(", (REPOSITORY / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)


def test_the_links_of_the_project(metadata: email.message.Message) -> None:
    names = {line.partition(",")[0] for line in metadata.get_all("Project-URL") or []}
    assert {"Homepage", "Documentation", "Changelog", "Issues"} <= names or metadata["Home-page"]
    assert {"Documentation", "Changelog", "Issues", "Security"} <= names


def test_each_link_of_the_readme_leads_somewhere_from_pypi(metadata: email.message.Message) -> None:
    setup = ConfigParser(interpolation=None)
    setup.read(REPOSITORY / "setup.cfg")
    repository = setup["metadata"]["url"]
    contents = repository.replace("//github.com", "//raw.githubusercontent.com")
    shown = str(metadata.get_payload())
    assert metadata["Description-Content-Type"].startswith("text/markdown")
    prose = re.sub(r"^```.*?^```$", "", shown, flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)\s]+)\)", prose)
    pictures = [link for mark, link in links if mark]
    assert len(links) > 40 and pictures == [f"{contents}/main/docs/flower-groups.png"]
    for mark, link in links:
        start = f"{contents}/main/" if mark else f"{repository}/blob/main/"
        assert link.startswith(("https://", "#")), link
        assert not link.startswith(repository) or (REPOSITORY / link.removeprefix(start).partition("#")[0]).exists(), (
            link
        )


def test_each_extra_is_in_the_readme_and_quoted(metadata: email.message.Message) -> None:
    """Brackets without quotes are a pattern of files in zsh, which finds none."""
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    for extra in set(metadata.get_all("Provides-Extra") or []) - {"dev", "docs", "stubs", "test"}:
        assert f"'celery-groupfifo[{extra}]'" in readme, extra
    for page in (REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *(REPOSITORY / "docs").rglob("*.md")):
        assert re.findall(r"pip install [^`\n]*(?<!')celery-groupfifo\[.*", page.read_text("utf-8")) == [], page
