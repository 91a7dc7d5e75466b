"""A gate at the server of the broker or of the result backend: what of their settings counts."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest
import redis
from kombu import Connection
from kombu.transport import redis as kombu_redis

from celery_groupfifo import InvalidSetting
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.gate.releaser import ListReleaser
from celery_groupfifo.gate.route import Route
from tests.unit.connecting import app_with, options_of, server_of

# -- what the broker's settings say ------------------------------------------------


TIMES: dict[str, Any] = {"socket_timeout": 2, "socket_connect_timeout": 1.5, "socket_keepalive": True}


def test_the_brokers_transport_options() -> None:
    keepalive = {socket.TCP_KEEPINTVL: 7}
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
    assert server.database == ("127.0.0.1", 7000, 3)
    assert (server.options["username"], server.options["password"]) == ("user", "pw")


def test_a_broker_by_its_transport() -> None:
    app = app_with("shop", broker_transport="redis", broker_vhost="2")
    assert server_of(app).database == ("shop", 6379, 2)
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


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://:geheim@h?max_conections=3", "max_conections"),
        ("rediss://:geheim@h?ssl_cert_reqs=maybe", "maybe"),
        ("nothing://:geheim@h", "No such transport"),
        ("redis://:geheim@h/x", "Database is int"),
        ("redis://:geheim#nis@h:6379/0", "percent-encoded"),
    ],
)
def test_a_url_of_the_broker_that_kombu_does_not_take(url: str, said: str) -> None:
    with pytest.raises(InvalidSetting, match=said) as caught:
        server_of(app_with(url))
    assert "geheim" not in str(caught.value)


def test_a_socket_of_the_broker() -> None:
    app = app_with("redis+socket://:pw@/run/redis.sock?virtual_host=4", broker_transport_options=TIMES)
    made = options_of(app)
    assert server_of(app).database == ("", "/run/redis.sock", 4)
    assert (made["password"], made["connection_class"]) == ("pw", redis.UnixDomainSocketConnection)
    assert "socket_keepalive" not in made and "host" not in made


@pytest.mark.parametrize("broker", [["redis://:pw@h/1"], "redis://:pw@h/1", ["redis://:pw@h/1", "redis://:pw@h/1"]])
def test_a_list_of_one(broker: Any) -> None:
    app = app_with("memory://", broker_url=broker)
    assert server_of(app).database == ("h", 6379, 1) and not server_of(app).others
    assert isinstance(build_gate(app).releaser, ListReleaser)


@pytest.mark.parametrize("broker", ["redis://:a@a;redis://:b@b:7/2", ["redis://:a@a", "redis://:b@b:7/2"]])
def test_a_list_of_several(broker: Any) -> None:
    app = app_with("memory://", broker_url=broker)
    server = server_of(app)
    assert server.database == (("a", 6379, 0), ("b", 7, 2))
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
    assert server_of(app).database == ("b", 6379, 2)


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
    assert server_of(app).database == ("gate", 6379, 3)


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
    with pytest.raises(InvalidSetting, match="Unknown option of a connection to Redis: ca_certs"):
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

    each = connections._options["connection_class"], sentinel.connections._options["connection_class"]
    assert each == (redis.SSLConnection, redis.SSLConnection)
    assert (connections._options["password"], sentinel.connections._options["password"]) == ("pw", "theirs")
    assert sentinel.connections._options["socket_timeout"] < 1 and "ssl" not in sentinel.connections._options
    again = server_of(app).connections(1.0, "other")
    assert again._master is connections._master, "all of a process ask together"


def test_a_global_key_prefix_is_in_front_of_every_key() -> None:
    gate = build_gate(app_with("redis://localhost:1/0", broker_transport_options={"global_keyprefix": "app1:"}))

    assert gate.keyspace.partitions[0].entries == "app1:{groupfifo:0}:entries"
    assert gate.releaser.destination(Route("", "mail", 6))[:2] == ("app1:mail%06%166", "app1:mail\x06\x166")
