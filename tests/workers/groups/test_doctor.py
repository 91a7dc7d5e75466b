"""doctor: each thing that can be wrong around the gate is found, says why it matters and what to do; fine is fine."""

from __future__ import annotations

import os
import re
import signal
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
from celery_groupfifo.gate.common import ADDRESS, is_same
from celery_groupfifo.groups import server
from celery_groupfifo.groups.doctor import unsafe_findings
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.view import Check
from celery_groupfifo.groups.workers import Workers
from celery_groupfifo.testing import embedded
from celery_groupfifo.testing.children import dying_with_us
from tests.support.crews.workers import Crew
from tests.support.places import REPOSITORY
from tests.support.shop import Shop
from tests.support.shop import shop as shop
from tests.support.waiting import until

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
    ask = Reader.ask

    def telling(self: Reader, name: str, build: Any, keys: Any = None) -> list[Any]:
        replies = ask(self, name, build, keys)
        return [{**replies[0], **info}] if name == "info" else replies

    monkeypatch.setattr(Reader, "ask", telling)


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
    check = examine(own)["eviction"]
    assert not check.ok and not check.unsafe, "nothing is evicted without a limit, which one command sets"
    assert "without a limit yet" in check.what and check.why.startswith("As soon as somebody sets maxmemory")
    own.world.redis.config_set("maxmemory-policy", "noeviction")
    assert examine(own)["eviction"].ok


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
    assert not checks["time_limit"].ok and "shop.send" in checks["time_limit"].what
    shop.task.time_limit = 20
    assert "shop.send" not in examine(shop)["time_limit"].what
    shop.task.time_limit = None
    shop.app.conf.worker_prefetch_multiplier = 0
    shop.app.conf.task_time_limit = 7200

    @shop.app.task(base=GroupFifoTask, group_key="{key}", name="shop.early", acks_late=False, shared=False)
    def early(key: str) -> None:
        """Never run here."""

    checks = examine(shop)
    assert checks["time_limit"].ok
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


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a worker of an app in a file of its own: `start(name, source, *words, **variables)`."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, source: str, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        (tmp_path / f"{name}.py").write_text(source)
        log = (tmp_path / f"{name}.log").open("wb")
        path = os.pathsep.join([str(tmp_path), str(REPOSITORY)])
        options = ["-A", name, "worker", "-P", "solo", "-n", f"{name}@test", "-l", "INFO", *words]
        command = dying_with_us([sys.executable, "-m", "celery", *options])
        environment = {**os.environ, "PYTHONPATH": path, **variables}
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT))
        log.close()
        until(lambda: " ready." in (tmp_path / f"{name}.log").read_text())
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait(60)


@pytest.fixture
def plain(crew: Crew, start: Start) -> Callable[..., object]:
    """Starts a worker whose app has never heard of the package, on a queue."""
    source = f"from celery import Celery\napp = Celery('plain', broker={crew.conf['broker_url']!r})\n"
    return lambda queue, more="": start("plain", source + more, "-Q", queue)


def checks_of(crew: Crew) -> dict[str, Check]:
    return {check.name: check for check in Groups(crew.app).doctor()}


def test_no_worker_and_a_queue_that_nobody_consumes(crew: Crew) -> None:
    crew.send("k", 0, queue="lonely")
    checks = checks_of(crew)
    assert not checks["workers"].ok and not checks["consumers"].ok and "lonely" in checks["consumers"].what
    assert checks["package"].ok


def test_a_worker_without_the_package(crew: Crew, plain: Callable[..., object]) -> None:
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
    crew: Crew, plain: Callable[..., object]
) -> None:
    crew.worker.start().ready()
    crew.state(crew.send("k", 0), "SUCCESS")
    plain("celery", "import celery_groupfifo\n")
    until(lambda: len(Workers(crew.app).queues()) == 2)
    assert "plain@test" in checks_of(crew)["package"].what


def test_settings_that_differ(crew: Crew) -> None:
    crew.worker.start().ready()
    assert checks_of(crew)["settings"].ok
    crew.another("two", conf={"groupfifo_lease_ttl": 60}, pool="threads").start().ready()
    check = checks_of(crew)["settings"]
    assert not check.ok and check.unsafe
    assert check.what.endswith("differ: groupfifo_lease_ttl is 60 on two@test and 30.0 here.")


PROJECT = """
import os
from celery import Celery
from celery_groupfifo import GroupFifo
app = Celery("project")
app.config_from_object({"CELERY_BROKER_URL": os.environ["BROKER"], "CELERY_GROUPFIFO_NAMESPACE": os.environ["SPACE"]},
                       namespace="CELERY")
GroupFifo(app)
"""


def test_settings_that_differ_under_a_namespace(crew: Crew, start: Start) -> None:
    """Django's projects write CELERY_GROUPFIFO_NAMESPACE, and workers tell it so."""
    crew.app.conf.groupfifo_namespace = "blue"
    crew.app.conf.broker_url = crew.conf["broker_url"].replace("127.0.0.1", "localhost")
    for space in ("blue", "green"):
        start(space, PROJECT, SPACE=space, BROKER=crew.conf["broker_url"])
    until(lambda: len(Workers(crew.app).queues()) == 2)
    check = checks_of(crew)["settings"]
    assert check.what == (
        "The workers and this process differ: groupfifo_namespace is 'green' on green@test and 'blue' here."
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (["127.0.0.1", 6379, 0], ["localhost", 6379, 0], True),
        (["::1", 6379, 0], ["localhost", 6379, 0], True),
        (["127.0.0.1", 6379, 0], ["127.0.0.1", 6379, 1], False),
        (["no-such-host.invalid", 6379, 0], ["127.0.0.1", 6379, 0], False),
        (["127.0.0.1", 6379, 0], [["a", 1, 0], ["b", 1, 0]], False),
    ],
)
def test_two_names_of_one_server_are_one_address(one: list[object], other: list[object], same: bool) -> None:
    assert is_same(ADDRESS, one, other) is same


def test_a_worker_that_holds_a_lease_and_does_not_answer(crew: Crew) -> None:
    crew.worker.start().ready()
    crew.send("k", 0, "wait", name="go")
    until(lambda: crew.history.numbers("k") == [0])
    assert checks_of(crew)["silent"].ok
    crew.worker.send(signal.SIGSTOP)
    try:
        check = checks_of(crew)["silent"]
        assert not check.ok and "one@test (1 run, lease not renewed for " in check.what and "it ends in" in check.what
        said = Groups(crew.app).explain("k")
        assert "and was not renewed for " in said and "The worker does not answer: it is frozen" in said
    finally:
        crew.worker.send(signal.SIGCONT)
    crew.tell("go")
    crew.wait_for("k", [0])


def test_it_leaves_no_warning_in_the_logs_of_workers(crew: Crew, plain: Callable[..., object]) -> None:
    crew.redis.config_set("appendonly", "yes")
    try:
        crew.worker.start().ready()
        crew.state(crew.send("k", 0), "SUCCESS")
        plain("celery")
        until(lambda: len(Workers(crew.app).queues()) == 2)
        for _ in range(2):
            assert "workers" in checks_of(crew)
        Groups(crew.app).explain("k")
    finally:
        crew.redis.config_set("appendonly", "no")
    logs = crew.worker.log + (crew.directory / "plain.log").read_text()
    assert not [line for line in logs.splitlines() if re.search("WARNING|ERROR|Traceback", line)]


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """No question reaches a worker."""

    def ask(self: Workers, call: object, destination: object = None) -> dict[str, Any]:
        self.error = "OOM command not allowed when used memory > 'maxmemory'."
        return {}

    monkeypatch.setattr(Workers, "ask", ask)


@pytest.mark.usefixtures("deaf")
def test_workers_that_could_not_be_asked_are_not_said_to_be_gone(shop: Shop) -> None:
    shop.send("k", "a")
    checks = examine(shop)
    assert checks["workers"].what.startswith("The workers could not be asked: OOM command not allowed")
    assert "Start a worker" not in checks["workers"].remedy
    assert not {"consumers", "package", "silent", "settings"} & checks.keys()


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
    worker.logs("Ordered tasks wait until it can be reached.")
    assert "Traceback" not in worker.log


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
