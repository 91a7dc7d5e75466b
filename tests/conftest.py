"""Fixtures for tests of every kind: one server for the session, and an empty database for each test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from celery_groupfifo.testing import embedded
from tests.support.databases import Database
from tests.support.needs import need
from tests.support.places import TESTS
from tests.support.rabbitmq import rabbitmq as rabbitmq
from tests.support.rabbitmq import rabbitmq_url as rabbitmq_url
from tests.support.world import World
from tests.tiers import TIERS, Tier, holds, tier_of

#: What tests with a marker need of this machine: one of these programs.
NEEDED = {"rabbitmq": ("rabbitmq-server",), "tls": ("redis-server", "valkey-server")}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--nodes",
        choices=["local", "docker"],
        default="local",
        help="where tests/workers/nodes run brokers and workers: processes of this machine (default), or containers",
    )
    parser.addoption(
        "--tier",
        choices=[*TIERS],
        help="only tests of this tier, see tests/tiers.py; left out: all",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Read no folder or file that has no test of the tier."""
    name = config.getoption("--tier")
    if name is None or TESTS not in collection_path.parents:
        return None
    path = collection_path.relative_to(TESTS.parent).as_posix()
    return None if holds(path, TIERS[name]) else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of other tiers."""
    name = config.getoption("--tier")
    if name is None:
        return
    wanted: frozenset[Tier] = TIERS[name]
    chosen = [tier_of(item.nodeid) in wanted for item in items]
    config.hook.pytest_deselected(items=[item for item, keep in zip(items, chosen, strict=True) if not keep])
    items[:] = [item for item, keep in zip(items, chosen, strict=True) if keep]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, programs in NEEDED.items():
        if item.get_closest_marker(marker):
            need(*programs)


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the tests of this process, and the processes that they start, a TMPDIR in which nothing may be left."""
    tmp_path_factory.getbasetemp()  # pytest's own is elsewhere, and pytest looks after it
    folder = Path(tempfile.mkdtemp(prefix="gf-"))  # short: paths of sockets are, too
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", None)
        yield
    # A killed process can't remove its folder for the pipes of its children, pymp-….
    left = sorted(path.name for path in folder.iterdir() if not path.name.startswith("pymp-"))
    shutil.rmtree(folder, ignore_errors=True)
    assert not left, f"left in TMPDIR: {left}"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[embedded.Server]:
    """A server of the session's own; the session fails, rather than skips, where none can be started."""
    with embedded.start(appendonly=False) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: embedded.Server) -> str:
    """The URL of a database that is empty at the start of the test."""
    url = Database.TEST.of(redis_server.url)
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    """A gate on the session's server, and the time, which stands still."""
    world = World(redis_url)
    yield world
    world.close()


@pytest.fixture
def own_world() -> Iterator[World]:
    """One on a server of its own, which a test may ruin, or count on."""
    with embedded.start(appendonly=False) as server:
        world = World(f"{server.url}/0")
        yield world
        world.close()
