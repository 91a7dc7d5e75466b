"""Where the gate's Redis is."""

from __future__ import annotations

import re
import socket
import ssl
import sys
import time
from types import ModuleType
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection
from kombu.transport import redis as kombu_redis

from celery_groupfifo import InvalidSetting, connect
from celery_groupfifo.connect import gate_server
from celery_groupfifo.gate import build_gate
from celery_groupfifo.groups.workers import Workers
from celery_groupfifo.release import KombuReleaser, ListReleaser
from celery_groupfifo.server import Server, bounded
from celery_groupfifo.settings import read_settings


def app_with(broker: str, backend: str | None = None, **conf: Any) -> Celery:
    app = Celery("connect", broker=broker, backend=backend)
    app.conf.update(conf)
    return app


def server_of(app: Celery) -> Server:
    return gate_server(app, read_settings(app.conf))


def test_the_broker_where_it_is_a_redis() -> None:
    server = server_of(app_with("redis://:secret@shop:6380/3", "redis://other/1"))

    assert server.place == ("shop", 6380, 3)
    assert server.options["password"] == "secret"
    assert "secret" not in server.shown


def test_else_the_result_backend() -> None:
    assert server_of(app_with("amqp://rabbit//", "redis://other/1")).place == ("other", 6379, 1)


def test_else_an_error_that_says_what_to_set() -> None:
    with pytest.raises(InvalidSetting, match="groupfifo_url"):
        server_of(app_with("amqp://rabbit//", "rpc://"))


def test_a_url_of_its_own_wins() -> None:
    app = app_with("redis://shop:6380/3", groupfifo_url="redis://gate:7000/2")

    assert server_of(app).place == ("gate", 7000, 2)
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
    assert server_of(app_with("amqp://rabbit//", groupfifo_url=url)).place == place


def options_of(app: Celery) -> dict[str, Any]:
    """Options of a connection to the gate, as redis-py gets them."""
    return bounded(server_of(app).options, 5.0, "me")


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
        ("redis://h?decode_responses=true", "decode_responses is not for the gate"),
        ("redis://h?max_conections=4", "max_conections is no option"),
        ("redis://h?parser_class=x", "parser_class is no option"),
        ("redis://h?socket_timeout=soon", "socket_timeout has a value that can't be read"),
        ("redis://h?protocol=4", "may be 2 or 3"),
        ("redis://h?ssl_cert_reqs=none", "needs TLS: use rediss://"),
        ("rediss://h?ssl_cert_reqs=maybe", "may be none, optional, required"),
        ("redis://h?credential_provider=nowhere.Such", "can't be made: ModuleNotFoundError"),
        ("redis://h?credential_provider=os.getcwd", "makes no redis.CredentialProvider"),
        ("redis://a;redis://b", "order needs one gate"),
        ("sentinel://a;sentinel://b", "needs the name of the master"),
        ("sentinel://a/1;sentinel://b/2", "contradicts itself"),
    ],
)
def test_a_wrong_url_is_quoted(url: str, said: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(said)) as caught:
        server_of(app_with("amqp://rabbit//", groupfifo_url=url))

    assert url in str(caught.value)


def test_a_list_of_urls_is_no_gate() -> None:
    with pytest.raises(InvalidSetting, match="several servers are several gates"):
        server_of(app_with("redis://h", groupfifo_url=["redis://h"]))


# -- what the broker's settings say ------------------------------------------------


TIMES: dict[str, Any] = {"socket_timeout": 2, "socket_connect_timeout": 1.5, "socket_keepalive": True}


def test_the_brokers_transport_options() -> None:
    keepalive = {socket.TCP_KEEPIDLE: 7}
    more = {"socket_keepalive_options": keepalive, "health_check_interval": 9, "client_name": "shop"}
    app = app_with("redis://user:pw@h", broker_transport_options={**TIMES, **more, "max_connections": 3})
    made = options_of(app)
    assert {name: made[name] for name in TIMES} == TIMES
    assert (made["socket_keepalive_options"], made["health_check_interval"]) == (keepalive, 9)
    assert made["client_name"] == ("shop:me" if hasattr(kombu_redis.Channel, "client_name") else "me")
    assert (made["username"], made["password"]) == ("user", "pw") and "max_connections" not in made


def test_kombus_own_health_checks_are_not_the_gates() -> None:
    assert "health_check_interval" not in options_of(app_with("redis://h"))


@pytest.mark.parametrize(
    ("broker", "conf", "options"),
    [
        ("rediss://h", {}, {"ssl_cert_reqs": ssl.CERT_NONE}),
        ("rediss://h?ssl_cert_reqs=CERT_REQUIRED", {}, {"ssl_cert_reqs": ssl.CERT_REQUIRED}),
        ("rediss://h?ssl_cert_reqs=none&ssl_ca_certs=/ca", {}, {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_ca_certs": "/ca"}),
        ("redis://h", {"broker_use_ssl": {"ssl_ca_certs": "/ca"}}, {"ssl_ca_certs": "/ca"}),
    ],
)
def test_tls_of_the_broker(broker: str, conf: dict[str, Any], options: dict[str, Any]) -> None:
    made = options_of(app_with(broker, **conf))
    assert {name: made[name] for name in options} == options
    assert made["connection_class"] is redis.SSLConnection


def test_settings_that_name_the_broker_in_parts() -> None:
    app = app_with("redis://", broker_user="user", broker_password="pw", broker_port=7000, broker_vhost="3")
    server = server_of(app)
    assert server.place == ("127.0.0.1", 7000, 3)
    assert (server.options["username"], server.options["password"]) == ("user", "pw")


def test_a_broker_by_its_transport() -> None:
    app = app_with("shop", broker_transport="redis", broker_vhost="2")
    assert server_of(app).place == ("shop", 6379, 2)
    assert server_of(app).shown == "redis://shop:6379/2"


def test_a_credential_provider_of_the_broker() -> None:
    app = app_with("redis://user:pw@h?credential_provider=redis.UsernamePasswordCredentialProvider")
    if "credential_provider" not in vars(Connection()):  # kombu 5.5: nothing of the app's works with such a URL
        with pytest.raises(TypeError, match="credential_provider"):
            app.connection_for_write()
        return
    made = options_of(app)
    assert isinstance(made["credential_provider"], redis.UsernamePasswordCredentialProvider)
    assert "password" not in made
    with pytest.raises(InvalidSetting, match=r"redis://user:\*\*@h.* can't be used: No module named 'nowhere'"):
        server_of(app_with("redis://user:pw@h?credential_provider=nowhere.Such"))


def test_a_socket_of_the_broker() -> None:
    app = app_with("redis+socket://:pw@/run/redis.sock?virtual_host=4", broker_transport_options=TIMES)
    made = options_of(app)
    assert server_of(app).place == ("", "/run/redis.sock", 4)
    assert (made["password"], made["connection_class"]) == ("pw", redis.UnixDomainSocketConnection)
    assert "socket_keepalive" not in made and "host" not in made


@pytest.mark.parametrize("broker", [["redis://:pw@h/1"], "redis://:pw@h/1", ["redis://:pw@h/1", "redis://:pw@h/1"]])
def test_a_list_of_one(broker: Any) -> None:
    app = app_with("memory://", broker_url=broker)
    assert server_of(app).place == ("h", 6379, 1) and not server_of(app).others
    assert isinstance(build_gate(app).releaser, ListReleaser)


@pytest.mark.parametrize("broker", ["redis://:a@a;redis://:b@b:7/2", ["redis://:a@a", "redis://:b@b:7/2"]])
def test_a_list_of_several(broker: Any) -> None:
    app = app_with("memory://", broker_url=broker)
    server = server_of(app)
    assert server.place == (("a", 6379, 0), ("b", 7, 2))
    assert [each["password"] for each in (server.options, *server.others)] == ["a", "b"]
    assert server.shown == "redis://:**@a;redis://:**@b:7/2"
    assert isinstance(build_gate(app).releaser, ListReleaser)


def test_a_list_of_which_one_is_no_redis() -> None:
    broker = ["redis://a", "amqp://b"]
    with pytest.raises(InvalidSetting, match="Set groupfifo_url"):
        server_of(app_with("memory://", broker_url=broker))
    app = app_with("memory://", broker_url=broker, groupfifo_url="redis://a")
    assert not isinstance(build_gate(app).releaser, ListReleaser), "tickets may have to go to the other one"


def test_the_server_to_write_to_counts() -> None:
    app = app_with("redis://a", broker_write_url="redis://b/2", broker_read_url="redis://c/2")
    assert server_of(app).place == ("b", 6379, 2)


# -- what the result backend's settings say -----------------------------------------


def test_the_result_backends_settings() -> None:
    app = app_with(
        "amqp://rabbit//",
        "rediss://:pw@h/3",
        redis_username="user",
        redis_socket_timeout=2,
        redis_socket_connect_timeout=1.5,
        redis_socket_keepalive=True,
        redis_retry_on_timeout=True,
        redis_backend_health_check_interval=9,
        redis_backend_use_ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": "/ca"},
        result_backend_transport_options={"global_keyprefix": "app1"},
    )
    made = options_of(app)
    assert {name: made[name] for name in TIMES} == TIMES
    assert (made["username"], made["password"], made["db"]) == ("user", "pw", 3)
    assert (made["health_check_interval"], made["retry"]._retries) == (9, 0)
    assert (made["connection_class"], made["ssl_ca_certs"]) == (redis.SSLConnection, "/ca")
    assert server_of(app).prefix == "app1_", "as the backend's own keys"


def test_sentinels_of_the_result_backend() -> None:
    url = "sentinel://:pw@a:26379/2;sentinel://:pw@b:26380/2"
    options = {"master_name": "main", "sentinel_kwargs": {"password": "theirs"}, "min_other_sentinels": 1}
    server = server_of(app_with("amqp://rabbit//", url, result_backend_transport_options=options))
    assert (server.sentinels, server.master) == ((("a", 26379), ("b", 26380)), "main")
    assert (server.options["db"], server.options["password"]) == (2, "pw")
    assert server.sentinel_options == {"password": "theirs", "min_other_sentinels": 1}


# -- a URL of its own ------------------------------------------------------------


def test_on_the_brokers_database_what_its_own_url_says_wins() -> None:
    app = app_with("redis://user:pw@h/1", groupfifo_url="redis://gate:other@h/1?client_name=gate")
    app.conf.broker_transport_options = {"client_name": "broker", "socket_timeout": 2, "global_keyprefix": "p:"}
    made = options_of(app)
    assert (made["username"], made["password"], made["client_name"]) == ("gate", "other", "gate:me")
    assert made["socket_timeout"] == 2 and server_of(app).prefix == "p:"
    app.conf.groupfifo_url = "redis://h/1"
    assert options_of(app)["password"] == "pw", "what it leaves open is the broker's"


def test_on_the_result_backends_database_its_settings_count() -> None:
    tls = {"ssl_cert_reqs": ssl.CERT_NONE}
    app = app_with("amqp://rabbit//", "rediss://:pw@h/3", groupfifo_url="redis://h/3", redis_backend_use_ssl=tls)
    made = options_of(app)
    assert (made["password"], made["connection_class"]) == ("pw", redis.SSLConnection)


def test_a_result_backend_that_celery_refuses_stops_no_gate_elsewhere() -> None:
    app = app_with("amqp://rabbit//", "rediss://:pw@h/3", groupfifo_url="redis://gate/3")
    assert server_of(app).place == ("gate", 6379, 3)


def test_elsewhere_nothing_of_the_brokers_settings_counts() -> None:
    app = app_with("redis://user:pw@h/1", groupfifo_url="redis://gate/1")
    app.conf.broker_use_ssl = {"ssl_ca_certs": "/ca"}
    app.conf.broker_transport_options = {"socket_timeout": 2, "global_keyprefix": "p:", "client_name": "broker"}
    made = options_of(app)
    assert not {"password", "connection_class", "ssl_ca_certs"} & made.keys()
    assert (made["socket_timeout"], made["client_name"], server_of(app).prefix) == (5, "me", "")


def test_sentinels_of_its_own_by_tls() -> None:
    options = {"master_name": "main", "sentinel_kwargs": {"password": "theirs"}}
    url = "sentinel://a;sentinel://b/3?ssl_cert_reqs=none"
    app = app_with("redis://h", groupfifo_url=url, broker_transport_options=options)
    assert server_of(app).sentinel_options == {"password": "theirs"}
    made = options_of(app)
    assert (made["connection_class"], made["ssl_cert_reqs"], made["db"]) == (redis.SSLConnection, "none", 3)


def test_an_option_that_redis_py_does_not_have() -> None:
    server = server_of(app_with("redis://h", broker_use_ssl={"ca_certs": "/ca"}))
    with pytest.raises(InvalidSetting, match="no option ca_certs"):
        server.connections(1.0, "me")


def test_sentinels() -> None:
    url = "sentinel://:pw@a:26379/2;sentinel://:pw@b:26380"
    app = app_with(url, broker_transport_options={"master_name": "main"})
    server = server_of(app)

    assert server.sentinels == (("a", 26379), ("b", 26380))
    assert (server.master, server.options["db"], server.options["password"]) == ("main", 2, "pw")
    with pytest.raises(InvalidSetting, match="master_name"):
        server_of(app_with(url))


def test_sentinels_with_tls_and_passwords_of_their_own() -> None:
    theirs = {"password": "theirs", "ssl": True, "ssl_ca_certs": "/ca.pem"}
    options = {"master_name": "main", "sentinel_kwargs": theirs, "min_other_sentinels": 1}
    app = app_with("sentinel://:pw@a:26379", broker_transport_options=options)
    app.conf.broker_use_ssl = {"ssl_ca_certs": "/ca.pem"}
    connections = server_of(app).connections(3.0, "name")
    (sentinel,) = connections._master._sentinels  # type: ignore[union-attr]

    each = connections._options["connection_class"], sentinel._options["connection_class"]
    assert each == (redis.SSLConnection, redis.SSLConnection)
    assert (connections._options["password"], sentinel._options["password"]) == ("pw", "theirs")
    assert sentinel._options["socket_timeout"] < 1 and "ssl" not in sentinel._options
    again = server_of(app).connections(1.0, "other")
    assert again._master is connections._master, "all of a process ask together"


def test_a_global_key_prefix_is_in_front_of_every_key() -> None:
    gate = build_gate(app_with("redis://localhost:1/0", broker_transport_options={"global_keyprefix": "app1:"}))

    assert gate.keyspace.partitions[0].entries == "app1:{groupfifo:0}:entries"
    assert gate.releaser.place("", "mail", 6) == ("app1:mail%06%166", "app1:mail\x06\x166")


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_a_broker_that_says_nothing_is_given_up(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "BROKER_PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app = app_with(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}", groupfifo_url="redis://localhost:1/0")
        app.conf.broker_connection_timeout = 600
        started = time.monotonic()
        assert Workers(app).ask(lambda inspect: inspect.ping()) == {}
        assert time.monotonic() - started < 10
