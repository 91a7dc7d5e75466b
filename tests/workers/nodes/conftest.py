"""Brokers and workers of tests on nodes: pytest-celery's own fixtures, over local processes or Docker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from celery import Celery
from docker.errors import DockerException
from pytest_celery import (
    DEFAULT_WORKER_VOLUME,
    CeleryBackendCluster,
    CeleryBrokerCluster,
    CeleryTestSetup,
    CeleryTestWorker,
    CeleryWorkerContainer,
    RedisContainer,
    RedisTestBackend,
    RedisTestBroker,
)
from pytest_docker_tools import build, container, fxtr
from pytest_docker_tools.wrappers import container as container_wrapper

from tests.support.places import REPOSITORY
from tests.workers.nodes.nodes import LocalDocker

# Short, so that a test of a lost worker ends soon.
LEASE_TTL = 3.0


@pytest.fixture(scope="session")
def docker_client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The place where nodes run: the one fixture that all of pytest-celery hangs on."""
    if request.config.getoption("--nodes") == "docker":
        yield _docker_engine()
        return
    client = LocalDocker()
    with pytest.MonkeyPatch.context() as patch:
        # Else, if these tests run in a container themselves, it would ask for the ports inside the nodes.
        patch.setattr(container_wrapper, "tests_inside_container", lambda: False)
        yield client
    client.close()


def _docker_engine() -> docker.DockerClient:
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        # Missing at home is normal; where it is promised, a skip would hide that nothing was tested.
        required = os.environ.get("GROUPFIFO_REQUIRE_DOCKER") == "1"
        (pytest.fail if required else pytest.skip)(f"no Docker engine: {error}")
    return client


# Redis only: by default pytest-celery runs each test with RabbitMQ as well.


@pytest.fixture
def celery_broker_cluster(celery_redis_broker: RedisTestBroker) -> Iterator[CeleryBrokerCluster]:
    cluster = CeleryBrokerCluster(celery_redis_broker)
    yield cluster
    cluster.teardown()


@pytest.fixture
def celery_backend_cluster(celery_redis_backend: RedisTestBackend) -> Iterator[CeleryBackendCluster]:
    cluster = CeleryBackendCluster(celery_redis_backend)
    yield cluster
    cluster.teardown()


@pytest.fixture
def default_redis_broker_command(default_redis_broker_cls: type[RedisContainer]) -> list[str]:
    # The later option wins: what was parked is still there after a restart.
    command: list[str] = default_redis_broker_cls.command("--appendonly", "yes")
    return command


class Setup(CeleryTestSetup):
    """The app of the tests and of their workers."""

    @classmethod
    def update_app_config(cls, app: Celery) -> None:
        app.conf.update(
            worker_prefetch_multiplier=1,
            task_acks_late=True,
            task_reject_on_worker_lost=True,
            broker_connection_retry_on_startup=True,
            groupfifo_lease_ttl=LEASE_TTL,
            groupfifo_sweep_interval=0.5,
        )


@pytest.fixture
def celery_setup_cls() -> type[CeleryTestSetup]:
    return Setup


# The image for Docker has the package installed; local nodes take it from this checkout and ignore the image.
celery_base_worker_image = build(
    path=str(REPOSITORY), dockerfile="tests/workers/nodes/Dockerfile", tag="celery-groupfifo/nodes-worker"
)


@pytest.fixture
def default_worker_tasks(default_worker_tasks: set[Any]) -> set[Any]:
    from tests.workers.nodes import tasks

    return default_worker_tasks | {tasks}


@pytest.fixture
def default_worker_env(default_worker_env: dict[str, str]) -> dict[str, str]:
    return {**default_worker_env, "NODES_HISTORY": "/app/history"}


@pytest.fixture
def default_worker_command(default_worker_container_cls: type[CeleryWorkerContainer]) -> list[str]:
    # Nobody to mingle or gossip with, and both cost a second of each test.
    command: list[str] = default_worker_container_cls.command("--without-mingle", "--without-gossip", "--concurrency=4")
    return command


class SecondContainer(CeleryWorkerContainer):
    """Another worker of the same app."""

    @classmethod
    def worker_name(cls) -> str:
        return "second_worker"


second_worker_container = container(
    image="{celery_base_worker_image.id}",
    ports=fxtr("default_worker_ports"),
    environment=fxtr("default_worker_env"),
    network="{default_pytest_celery_network.name}",
    volumes={"{default_worker_volume.name}": DEFAULT_WORKER_VOLUME},
    wrapper_class=SecondContainer,
    timeout=60,
    command=SecondContainer.command("--without-mingle", "--without-gossip", "--concurrency=4"),
)


@pytest.fixture
def second_worker(second_worker_container: SecondContainer, celery_setup_app: Celery) -> Iterator[CeleryTestWorker]:
    worker = CeleryTestWorker(second_worker_container, app=celery_setup_app)
    yield worker
    worker.teardown()
