"""The gate's Redis is found by the app's settings."""

from __future__ import annotations

import re
import socket
import sys
import time
from types import ModuleType
from typing import Any

import pytest
import redis

from celery_groupfifo import InvalidSetting
from celery_groupfifo.gate import servers as connect
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.gate.releaser import KombuReleaser, ListReleaser
from celery_groupfifo.groups.workers import Workers
from tests.unit.connecting import app_with, options_of, server_of


def test_the_broker_where_it_is_a_redis() -> None:
    server = server_of(app_with("redis://:secret@shop:6380/3", "redis://other/1"))

    assert server.database == ("shop", 6380, 3)
    assert server.options["password"] == "secret"
    assert "secret" not in server.shown


def test_else_the_result_backend() -> None:
    assert server_of(app_with("amqp://rabbit//", "redis://other/1")).database == ("other", 6379, 1)


def test_else_an_error_that_says_what_to_set() -> None:
    with pytest.raises(InvalidSetting, match="groupfifo_url"):
        server_of(app_with("amqp://rabbit//", "rpc://"))


def test_a_url_of_its_own_wins() -> None:
    app = app_with("redis://shop:6380/3", groupfifo_url="redis://gate:7000/2")

    assert server_of(app).database == ("gate", 7000, 2)
    assert isinstance(build_gate(app).releaser, KombuReleaser)
    assert not isinstance(build_gate(app).releaser, ListReleaser)


def test_the_same_place_by_another_name_is_the_broker() -> None:
    app = app_with("redis://localhost:6380/3", groupfifo_url="redis://127.0.0.1:6380/3")

    assert isinstance(build_gate(app).releaser, ListReleaser)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://", ("127.0.0.1", 6379, 0)),
        ("redis://localhost", ("127.0.0.1", 6379, 0)),
        ("rediss://shop:6390/1?ssl_cert_reqs=CERT_NONE", ("shop", 6390, 1)),
        ("redis://shop/4", ("shop", 6379, 4)),
        ("redis://shop?db=4", ("shop", 6379, 4)),
        ("redis://shop/4?db=5", ("shop", 6379, 5)),
        ("redis://shop?virtual_host=/4", ("shop", 6379, 4)),
        ("redis://[::1]:7000/1", ("::1", 7000, 1)),
        ("redis+socket:///run/redis.sock?virtual_host=4", ("", "/run/redis.sock", 4)),
        ("redis+socket://:pw@/run/redis.sock", ("", "/run/redis.sock", 0)),
        ("unix:///run/redis.sock?db=2", ("", "/run/redis.sock", 2)),
    ],
)
def test_every_kind_of_url(url: str, place: tuple[object, ...]) -> None:
    assert server_of(app_with("amqp://rabbit//", groupfifo_url=url)).database == place


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://a%40b:p%3A%2F%25@h", {"username": "a@b", "password": "p:/%"}),
        ("redis://h?username=a&password=p%2525", {"username": "a", "password": "p%25"}),
        ("unix://user:pw@/run/redis.sock", {"username": "user", "password": "pw", "path": "/run/redis.sock"}),
        ("redis://h?protocol=3&max_connections=1&retry_on_timeout=true", {"protocol": 2, "decode_responses": False}),
        ("redis://h?socket_timeout=2&socket_connect_timeout=1", {"socket_timeout": 2, "socket_connect_timeout": 1}),
        ("redis://h?socket_timeout=0.1", {"socket_timeout": 1}),
        ("redis://h?socket_timeout=60&socket_connect_timeout=60", {"socket_timeout": 5, "socket_connect_timeout": 5}),
        ("redis://h?socket_keepalive=no", {"socket_keepalive": False}),
        ("redis://h?health_check_interval=9", {"health_check_interval": 9}),
        ("redis://h?client_name=shop", {"client_name": "shop:me"}),
        ("rediss://h", {"connection_class": redis.SSLConnection}),
        ("rediss://h?ssl_cert_reqs=CERT_NONE", {"ssl_cert_reqs": "none"}),
        ("rediss://h?ssl_cert_reqs=CERT_OPTIONAL", {"ssl_cert_reqs": "optional"}),
        ("rediss://h?ssl_cert_reqs=required&ssl_ca_certs=%2Fca", {"ssl_cert_reqs": "required", "ssl_ca_certs": "/ca"}),
        ("rediss://h?ssl_check_hostname=false", {"ssl_check_hostname": False}),
    ],
)
def test_what_the_url_says(url: str, options: dict[str, Any]) -> None:
    made = options_of(app_with("amqp://rabbit//", groupfifo_url=url))
    assert {name: made[name] for name in options} == options
    assert "max_connections" not in made and made["retry"]._retries == 0


@pytest.mark.parametrize("path", ["credentials:Fixed", "redis.UsernamePasswordCredentialProvider"])
def test_a_credential_provider_of_the_url(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("credentials")
    module.Fixed = Fixed  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "credentials", module)
    made = options_of(app_with("amqp://rabbit//", groupfifo_url=f"redis://user:pw@h?credential_provider={path}"))
    assert isinstance(made["credential_provider"], redis.CredentialProvider)
    assert "password" not in made and "username" not in made, "redis-py takes one or the other"


class Fixed(redis.CredentialProvider):
    """Gives the same to everybody."""

    def get_credentials(self) -> tuple[str, str]:
        return "user", "pw"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://x", "is no Redis"),
        ("redis://host:port/0", "percent-encoded"),
        ("redis://h/x/y", "no database"),
        ("redis://h#x", "a '#'"),
        ("unix://run/redis.sock", "three slashes"),
        ("redis://h?decode_responses=true", "decode_responses can't be set, as the gate reads bytes"),
        ("redis://h?max_conections=4", "max_conections is no option"),
        ("redis://h?parser_class=x", "parser_class is no option"),
        ("redis://h?socket_timeout=soon", "socket_timeout has a value that can't be read"),
        ("redis://h?protocol=4", "may be 2 or 3"),
        ("redis://h?ssl_cert_reqs=none", "needs TLS: use rediss://"),
        ("rediss://h?ssl_cert_reqs=maybe", "may be none, optional, required"),
        ("redis://h?credential_provider=nowhere.Such", "can't be made: ModuleNotFoundError"),
        ("redis://h?credential_provider=os.getcwd", "makes no redis.CredentialProvider"),
        ("redis://a;redis://b", "the gate has to be one server"),
        ("redis+cluster://a/1", "has only the database 0"),
        ("redis+cluster://a;redis+cluster://b", "written in one URL"),
        ("redis+cluster://a,redis+cluster://b", "written in one URL"),
        ("redis+cluster://a:1,b:port", "percent-encoded"),
        ("redis+cluster://a,b?ssl_cert_reqs=none", "needs TLS"),
        ("redis+cluster://a,b?shards=3", "shards is no option"),
        ("sentinel://a;sentinel://b", "needs the name of the master"),
        ("sentinel://a/1;sentinel://b/2", "contradicts itself"),
    ],
)
def test_a_wrong_url_is_quoted(url: str, said: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(said)) as caught:
        server_of(app_with("amqp://rabbit//", groupfifo_url=url))

    assert url in str(caught.value)


def test_a_list_of_urls_is_no_gate() -> None:
    with pytest.raises(InvalidSetting, match="the gate has to be one server"):
        server_of(app_with("redis://h", groupfifo_url=["redis://h"]))


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_a_broker_that_says_nothing_is_given_up(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "BROKER_PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app = app_with(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}", groupfifo_url="redis://localhost:1/0")
        app.conf.broker_connection_timeout = 600
        started = time.monotonic()
        assert Workers(app).ask(lambda inspect: inspect.ping()) == {}
        assert time.monotonic() - started < 60, "long before the ten minutes of the app's own setting"


@pytest.mark.parametrize(
    ("url", "nodes"),
    [
        ("redis+cluster://a:7000,b:7001", (("a", 7000), ("b", 7001))),
        ("redis+cluster://a", (("a", 6379),)),
        ("redis+cluster://a:7000, b/0", (("a", 7000), ("b", 6379))),
        ("rediss+cluster://[::1]:7000,[::2]:7000/?ssl_ca_certs=/ca", (("::1", 7000), ("::2", 7000))),
        ("redis+cluster://user:p%2Cw%40@a:7000,b:7001", (("a", 7000), ("b", 7001))),
    ],
)
def test_the_nodes_of_a_cluster(url: str, nodes: tuple[object, ...]) -> None:
    assert server_of(app_with("amqp://rabbit//", groupfifo_url=url)).nodes == nodes


def test_the_options_of_a_cluster_are_those_of_all_its_nodes() -> None:
    url = "rediss+cluster://user:p%2Cw%40@a:7000,b:7001/0?ssl_cert_reqs=none&client_name=shop"
    server = server_of(app_with("amqp://rabbit//", groupfifo_url=url))
    assert server.options["connection_class"] is redis.SSLConnection
    assert {name: server.options[name] for name in ("username", "password", "ssl_cert_reqs", "client_name")} == {
        "username": "user",
        "password": "p,w@",
        "ssl_cert_reqs": "none",
        "client_name": "shop",
    }
    assert "host" not in server.options and "p%2Cw" not in server.shown and "p,w" not in server.shown
    same = server_of(app_with("amqp://rabbit//", groupfifo_url="redis+cluster://b:7001,a:7000"))
    assert same.database == server.database


@pytest.mark.parametrize("broker", ["redis+cluster://shop:7000", "redis://shop:7000/0"])
def test_a_cluster_is_no_broker(broker: str) -> None:
    with pytest.raises(InvalidSetting, match="a Redis Cluster can't be the broker, as kombu has no transport for it"):
        server_of(app_with(broker, groupfifo_url="redis+cluster://shop:7000,shop:7001"))
