"""doctor: each thing that can be wrong around the gate is found, says why it matters and what to do; fine is fine."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from celery_groupfifo import GroupFifoTask, Groups
from celery_groupfifo.groups import server
from celery_groupfifo.groups.doctor import unsafe_findings
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.view import Check
from celery_groupfifo.groups.workers import Workers
from celery_groupfifo.testing import embedded
from celery_groupfifo.testing.children import dying_with_us
from tests.groups.conftest import Shop
from tests.waiting import until
from tests.worker.workers import Crew

DATABASE, RESULTS = 13, 14
UNSAFE = {"version", "eviction", "role", "persistence", "package", "settings"}


@pytest.fixture
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workers, "ask", lambda self, call, destination=None: {})


@pytest.fixture
def own() -> Iterator[Shop]:
    """A shop on a server whose configuration is ours to change."""
    with embedded.start() as started:
        shop = Shop(f"{started.url}/0")
        yield shop
        shop.world.close()


def examine(shop: Shop) -> dict[str, Check]:
    """The checks by name; whatever is found says why, and what to do."""
    checks = shop.groups.doctor()
    for check in checks:
        assert check.what and bool(check.why) == bool(check.remedy) == (not check.ok), check
        assert not check.unsafe or check.name in UNSAFE
    return {check.name: check for check in checks}


def told(monkeypatch: pytest.MonkeyPatch, **info: Any) -> None:
    """The server tells something else of itself."""
    one = Reader.one

    def telling(self: Reader, command: str, *args: Any, **options: Any) -> Any:
        reply = one(self, command, *args, **options)
        return {**reply, **info} if command == "info" else reply

    monkeypatch.setattr(Reader, "one", telling)


# -- the server ------------------------------------------------------------


@pytest.mark.usefixtures("nobody_answers")
def test_a_good_server(own: Shop) -> None:
    checks = examine(own)
    assert all(checks[name].ok for name in ("version", "eviction", "memory", "role", "replication", "persistence"))
    assert "the broker is the same server" in checks["broker"].what


@pytest.mark.usefixtures("nobody_answers")
@pytest.mark.parametrize(
    ("info", "what"),
    [
        ({"server_name": "redis", "valkey_version": None, "redis_version": "6.0.16"}, "Redis 6.0.16"),
        ({"server_name": "valkey", "valkey_version": "5.9"}, "Valkey 5.9"),
    ],
)
def test_an_old_server(own: Shop, monkeypatch: pytest.MonkeyPatch, info: dict[str, Any], what: str) -> None:
    told(monkeypatch, **info)
    check = examine(own)["version"]
    assert not check.ok and check.unsafe and what in check.what


@pytest.mark.usefixtures("nobody_answers")
def test_keys_that_may_be_evicted(own: Shop) -> None:
    own.world.redis.config_set("maxmemory", "100mb")
    assert examine(own)["eviction"].ok
    own.world.redis.config_set("maxmemory-policy", "allkeys-lru")
    check = examine(own)["eviction"]
    assert not check.ok and check.unsafe and "allkeys-lru, with maxmemory 100 MB" in check.what
    own.world.redis.config_set("maxmemory", 0)
    assert examine(own)["eviction"].ok, "nothing is evicted without a limit"


@pytest.mark.usefixtures("nobody_answers")
def test_memory_that_is_nearly_full(own: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    used = own.world.redis.info("memory")["used_memory"]
    own.world.redis.config_set("maxmemory", int(used * 4))
    assert examine(own)["memory"].ok
    own.world.redis.config_set("maxmemory", int(used * 1.2))
    assert not examine(own)["memory"].ok
    own.world.redis.config_set("maxmemory", 0)
    told(monkeypatch, total_system_memory=int(used * 1.2))
    check = examine(own)["memory"]
    assert not check.ok and "all that the machine has" in check.what


@pytest.mark.usefixtures("nobody_answers")
def test_what_is_not_written(own: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    own.world.redis.config_set("appendonly", "no")
    own.world.redis.config_set("save", "900 1")
    check = examine(own)["persistence"]
    assert not check.ok and check.unsafe and "snapshots only (save 900 1)" in check.what
    own.world.redis.config_set("save", "")
    assert "neither the append-only file nor snapshots" in examine(own)["persistence"].what
    own.world.redis.config_set("appendonly", "yes")
    until(lambda: own.world.redis.info("persistence")["aof_rewrite_in_progress"] == 0)
    assert examine(own)["persistence"].ok
    told(monkeypatch, aof_last_write_status="err")
    check = examine(own)["persistence"]
    assert not check.ok and "failures: aof_last_write_status" in check.what and "disk" in check.remedy


@pytest.mark.usefixtures("nobody_answers")
def test_replication(own: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded.start() as other, redis.Redis.from_url(other.url) as replica:
        port = own.world.redis.connection_pool.connection_kwargs["port"]
        replica.replicaof("127.0.0.1", port)
        until(lambda: own.world.redis.info("replication")["connected_slaves"] == 1)
        check = examine(own)["replication"]
        assert not check.ok and "Replicas: 1; min-replicas-to-write is 0." in check.what
        own.world.redis.config_set("min-replicas-to-write", 1)
        assert examine(own)["replication"].ok
        shop = Shop(f"{other.url}/0")
        role = next(check for check in server.check_server(Reader(shop.world.gate)) if check.name == "role")
        assert not role.ok and role.unsafe and "slave" in role.what
        shop.world.close()
        replica.replicaof("NO", "ONE")


@pytest.mark.usefixtures("nobody_answers")
def test_clocks_that_differ(own: Shop) -> None:
    assert not examine(own)["clock"].ok, "time stands still in 2027 here"
    own.world.gate.store.clock = ""
    assert examine(own)["clock"].ok


# -- the app ---------------------------------------------------------------


@pytest.mark.usefixtures("nobody_answers")
def test_the_settings_of_the_app(shop: Shop) -> None:
    checks = examine(shop)
    assert checks["prefetch"].ok and checks["visibility"].ok and "shop.early" not in checks["acks_late"].what
    shop.app.conf.worker_prefetch_multiplier = 0
    shop.app.conf.task_time_limit = 7200

    @shop.app.task(base=GroupFifoTask, group_key="{key}", name="shop.early", acks_late=False, shared=False)
    def early(key: str) -> None:
        """Never run here."""

    checks = examine(shop)
    assert not checks["prefetch"].ok and "is 0" in checks["prefetch"].what
    assert not checks["visibility"].ok and "3600 s, the tasks' time limit 7200 s" in checks["visibility"].what
    assert not checks["acks_late"].ok and "shop.early" in checks["acks_late"].what
    assert not checks["socket_timeout"].ok and "'socket_timeout': 10" in checks["socket_timeout"].remedy
    shop.app.conf.broker_transport_options = {"visibility_timeout": 10_000, "socket_timeout": 7}
    checks = examine(shop)
    assert checks["visibility"].ok
    assert checks["socket_timeout"].ok and "is 7 s" in checks["socket_timeout"].what


@pytest.mark.usefixtures("nobody_answers")
def test_a_gate_beside_the_broker(redis_url: str) -> None:
    app = Celery("beside", broker="memory://", set_as_current=False)
    app.conf.groupfifo_url = redis_url
    checks = {check.name: check for check in Groups(app).doctor()}
    assert "the broker is another one" in checks["broker"].what and not {"visibility", "socket_timeout"} & checks.keys()


# -- the workers -----------------------------------------------------------


@pytest.fixture
def crew(redis_server: embedded.Server, tmp_path: Path) -> Iterator[Crew]:
    crew = Crew(tmp_path, f"{redis_server.url}/{DATABASE}", f"{redis_server.url}/{RESULTS}", "threads", 2)
    crew.redis.flushdb()
    yield crew
    crew.close()


@pytest.fixture
def plain(crew: Crew, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Starts a worker whose app has never heard of the package, on a queue."""
    started: list[subprocess.Popen[bytes]] = []
    (tmp_path / "plain.py").write_text(
        f"from celery import Celery\napp = Celery('plain', broker={crew.conf['broker_url']!r})\n"
    )

    def start(queue: str) -> None:
        log = (tmp_path / "plain.log").open("wb")
        words = ["-A", "plain", "worker", "-P", "solo", "-n", "plain@test", "-Q", queue, "-l", "INFO"]
        command = dying_with_us([sys.executable, "-m", "celery", *words])
        started.append(subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT))
        log.close()
        until(lambda: " ready." in (tmp_path / "plain.log").read_text())

    yield start
    for each in started:
        each.kill()
        each.wait(60)


def checks_of(crew: Crew) -> dict[str, Check]:
    return {check.name: check for check in Groups(crew.app).doctor()}


def test_no_worker_and_a_queue_that_nobody_consumes(crew: Crew) -> None:
    crew.send("k", 0, queue="lonely")
    checks = checks_of(crew)
    assert not checks["workers"].ok and not checks["consumers"].ok and "lonely" in checks["consumers"].what
    assert checks["package"].ok


def test_a_worker_without_the_package(crew: Crew, plain: Callable[[str], None]) -> None:
    """It is a finding only where it consumes a queue of ordered tasks: it may be as plain as it likes elsewhere."""
    crew.worker.start().ready()
    crew.state(crew.send("k", 0), "SUCCESS")
    plain("other")
    until(lambda: len(Workers(crew.app).queues()) == 2)
    checks = checks_of(crew)
    assert checks["package"].ok and "queues of ordered tasks: 1" in checks["package"].what
    assert checks["workers"].ok
    crew.app.control.add_consumer("celery", destination=["plain@test"], reply=True)
    check = checks_of(crew)["package"]
    assert not check.ok and check.unsafe and "plain@test" in check.what and "one@test" not in check.what
    assert "out of order" in check.why and "Install celery-groupfifo" in check.remedy
    crew.send("k", 0, queue="plain")
    crew.app.control.add_consumer("plain", destination=["plain@test"], reply=True)
    said = Groups(crew.app).explain("k")
    assert "consumed by plain@test. The app of plain@test does not use celery-groupfifo" in said


def test_a_worker_of_an_app_without_ordered_tasks_is_one_without_the_package(
    crew: Crew, plain: Callable[[str], None]
) -> None:
    crew.worker.start().ready()
    crew.state(crew.send("k", 0), "SUCCESS")
    source = crew.directory / "plain.py"
    source.write_text(source.read_text() + "import celery_groupfifo\n")
    plain("celery")
    until(lambda: len(Workers(crew.app).queues()) == 2)
    assert "plain@test" in checks_of(crew)["package"].what


def test_settings_that_differ(crew: Crew) -> None:
    crew.worker.start().ready()
    assert checks_of(crew)["settings"].ok
    crew.another("two", conf={"groupfifo_lease_ttl": 60}, pool="threads").start().ready()
    check = checks_of(crew)["settings"]
    assert not check.ok and check.what.endswith("differ in: groupfifo_lease_ttl.")
    assert "groupfifo_lease_ttl" in check.what and check.unsafe


# -- at the start of a worker ----------------------------------------------


def test_unsafe_findings_are_logged_once(crew: Crew) -> None:
    """Not the others, and not again when the worker has lost its connection."""
    before = {client["id"] for client in crew.redis.client_list()}
    crew.worker.start().ready()
    until(lambda: "Unsafe (persistence): " in crew.worker.log)
    line = next(line for line in crew.worker.log.splitlines() if "Unsafe (" in line)
    assert "WARNING" in line and "neither the append-only file nor snapshots." in line
    assert "parked tasks too" in line and "Remedy: Set appendonly yes" in line
    for client in crew.redis.client_list():
        if client["id"] not in before and client["db"] == str(DATABASE) and client["cmd"] == "brpop":
            crew.redis.client_kill_filter(_id=client["id"])
    crew.state(crew.send("k", 0), "SUCCESS")
    assert crew.worker.log.count("Unsafe (") == 1


def test_a_worker_that_starts_asks_nobody_through_the_broker(crew: Crew) -> None:
    """Else its own main loop finds the closed channel of the replies among those that it polls (SQS)."""

    def questions() -> int:
        return int(crew.redis.info("commandstats").get("cmdstat_publish", {}).get("calls", 0))

    before = questions()
    crew.worker.start().ready()
    until(lambda: "Unsafe (persistence): " in crew.worker.log)
    assert questions() == before
    until(lambda: "groupfifo-doctor" not in {client["name"] for client in crew.redis.client_list()})


def test_the_examination_at_the_start_talks_to_the_gate_only(own: Shop) -> None:
    own.world.redis.config_set("appendonly", "no")
    with socket.create_server(("127.0.0.1", 0)) as broker, socket.create_server(("127.0.0.1", 0)) as backend:
        app = Celery(
            "worker",
            broker=f"amqp://127.0.0.1:{broker.getsockname()[1]}",
            backend=f"redis://127.0.0.1:{backend.getsockname()[1]}",
            set_as_current=False,
        )
        app.conf.groupfifo_url = own.world.url
        assert [check.name for check in unsafe_findings(app)] == ["persistence"]
        for nobody in (broker, backend):
            nobody.settimeout(0)
            with pytest.raises(BlockingIOError):
                nobody.accept()
    until(lambda: "groupfifo-doctor" not in {client["name"] for client in own.world.redis.client_list()})


def test_a_worker_starts_without_the_gate(crew: Crew) -> None:
    worker = crew.another("two", conf={"groupfifo_url": "redis://127.0.0.1:1/0"}, pool="threads").start().ready()
    assert "Ordered tasks wait until it can be reached." in worker.log and "Traceback" not in worker.log


@pytest.mark.usefixtures("nobody_answers")
def test_what_is_safe_is_not_said(own: Shop) -> None:
    own.app.conf.worker_prefetch_multiplier = 0
    assert unsafe_findings(own.app) == []
    own.world.redis.config_set("maxmemory-policy", "allkeys-lru")
    own.world.redis.config_set("maxmemory", "100mb")
    assert [check.name for check in unsafe_findings(own.app)] == ["eviction"]


def test_a_failure_of_the_examination_stops_nobody(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    from celery_groupfifo.worker import advice

    def broken(app: object) -> list[object]:
        raise RuntimeError("no idea")

    advice.tell(broken, shop.app)
    assert "could not be checked" in caplog.text


def test_a_worker_names_its_gate_without_the_password(redis_server: embedded.Server, tmp_path: Path) -> None:
    url = redis_server.url.replace("redis://", "redis://default:secret@")  # the default user takes any password
    crew = Crew(tmp_path, f"{url}/{DATABASE}", f"{url}/{RESULTS}", "threads", 1, groupfifo_lease_ttl=40)
    crew.worker.start().ready()
    (line,) = [line for line in crew.worker.log.splitlines() if "Ordered groups: " in line]
    shown = redis_server.url.replace("redis://", "redis://default:**@")
    assert f"gate {shown}/{DATABASE}, namespace groupfifo, lease 40s, worker one@test/" in line
    assert "secret" not in crew.worker.log
    crew.close()
