"""The versions that the package is declared to work with, each of them run: `make matrix`, or `nox --list`.

A cell is a Python, a Celery and a redis-py, with or without hiredis. In each the same tests run: the conformance run
over pools, brokers and backends, the outcomes of tasks, and what depends on Celery's insides. docs/versions.md has the
table.

Interpreters that are not on this machine are left out, and nox says which. With pyenv:
`PYENV_VERSION=3.10:3.11:3.12:3.13:3.14 make matrix`.
"""

from __future__ import annotations

from pathlib import Path

import nox

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
CELERYS = ("5.5", "5.6", "5.7")
#: The oldest redis-py that each Celery goes with here, for every second cell; the others take what pip resolves: the
#: newest, but with Celery 5.5, whose kombu wants none above 5.2.1.
OLDEST_REDIS = {"5.5": "5.2.0", "5.6": "5.2.0", "5.7": "6.4.0"}
#: With an old redis-py, its own kombu.
OLDEST_KOMBU = {"5.6": "5.6.0"}

#: What the tests of a cell need beside the package.
TOOLS = ("eventlet", "gevent", "hypothesis", "psutil", "pytest", "pytest-timeout", "pytest-xdist", "sqlalchemy")
OUTCOMES = (
    "tests/workers/outcomes/test_outcomes.py",
    "tests/workers/outcomes/test_processes.py",
    "tests/workers/servers/test_reconnect.py",
)
INSIDES = (
    "tests/project/test_imports.py",
    "tests/unit/test_patches.py",
    "tests/gate/sending/test_compose.py",
    "tests/gate/brokers/test_lengths.py",
)
CONFORMANCE = "tests/compatibility/conformance"

nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["cell", "celerys_own", "ecosystem"]


@nox.session(python=PYTHONS)
@nox.parametrize("celery", CELERYS)
def cell(session: nox.Session, celery: str) -> None:
    """One Python with one Celery."""
    place = PYTHONS.index(str(session.python)) + CELERYS.index(celery)
    wanted = [f"celery=={celery}.*"]
    if place % 2:
        wanted += [f"redis=={OLDEST_REDIS[celery]}"]
        wanted += [f"kombu=={OLDEST_KOMBU[celery]}"] if celery in OLDEST_KOMBU else []
    if place % 4 in (0, 1):
        wanted += ["hiredis"]
    _install(session, *wanted)
    session.run("pytest", *(session.posargs or (CONFORMANCE, *OUTCOMES, *INSIDES)))


@nox.session
def oldest(session: nox.Session) -> None:
    """The lowest version of everything, on prefork."""
    _install(session, "-c", "tests/compatibility/lowest.txt")
    quick = "not threads and not gevent and not eventlet and not solo and not untuned and not test_reconnect"
    three = ("-n", "3", "--dist", "loadfile")
    session.run("pytest", "-k", quick, *three, *(session.posargs or (CONFORMANCE, *OUTCOMES, *INSIDES)))


@nox.session
def newer(session: nox.Session) -> None:
    """A pre-release of Celery, where there is one."""
    _install(session, "--pre", "celery>=5.7")
    session.run("pytest", *(session.posargs or (CONFORMANCE, *OUTCOMES, *INSIDES)))


@nox.session
@nox.parametrize("celery", CELERYS)
def celerys_own(session: nox.Session, celery: str) -> None:
    """Celery's own integration tests, of each version, with every task in a group."""
    _install(session, f"celery=={celery}.*", "pytest-celery")
    session.run("pytest", *(session.posargs or ("tests/compatibility/celery_suite",)))


@nox.session
@nox.parametrize("celery", ["5.6", "5.7"])
def ecosystem(session: nox.Session, celery: str) -> None:
    """Libraries around Celery. celery-batches does not go with Celery 5.7 yet."""
    lines = Path("tests/compatibility/ecosystem/requirements.txt").read_text("utf-8").splitlines()
    without = []
    if celery == "5.7":
        lines.remove("celery-batches")
        without = ["--ignore=tests/compatibility/ecosystem/test_batches.py"]
    libraries = [line.split("#")[0].strip() for line in lines if line[:1] != "#"]
    _install(session, f"celery=={celery}.*", *libraries)
    session.run("pytest", *(session.posargs or ("tests/compatibility/ecosystem", *without)))


def _install(session: nox.Session, *wanted: str) -> None:
    session.install("-e", ".[embedded]", *TOOLS, *wanted)
    versions = "; ".join(f"import {name}; print('{name}', {name}.__version__)" for name in ("celery", "kombu", "redis"))
    session.run("python", "-c", versions)
