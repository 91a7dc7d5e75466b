"""Where the gate's Redis is."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
import redis
from celery import Celery

from celery_groupfifo import InvalidSetting, connect
from celery_groupfifo.connect import Server, _shown, gate_server
from celery_groupfifo.gate import build_gate
from celery_groupfifo.groups.workers import Workers
from celery_groupfifo.release import KombuReleaser, ListReleaser
from celery_groupfifo.route import Route
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


@pytest.mark.parametrize(
    "url",
    [
        "redis://:se:cret@shop:6380/3",
        "redis://user:se@cret@shop:6380/3",
        "redis://user:se/cret@shop:6380/3",
        "sentinel://:secret@shop:26379;sentinel://:secret@shop2:26379",
    ],
)
def test_no_part_of_a_password_is_shown(url: str) -> None:
    shown = _shown(url)
    assert "se" not in shown.replace("sentinel", "").replace("user", "") and "cret" not in shown
    assert ":**@shop:" in shown and shown.count(":**@") == url.count("://")


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
        ("redis+socket:///run/redis.sock?virtual_host=4", ("/run/redis.sock", 4)),
        ("unix:///run/redis.sock?db=2", ("/run/redis.sock", 2)),
    ],
)
def test_every_kind_of_url(url: str, place: tuple[object, ...]) -> None:
    assert server_of(app_with("amqp://rabbit//", groupfifo_url=url)).place == place


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

    assert connections._class is sentinel._class is redis.SSLConnection
    assert (connections._options["password"], sentinel._options["password"]) == ("pw", "theirs")
    assert sentinel._options["socket_timeout"] < 1 and "ssl" not in sentinel._options
    again = server_of(app).connections(1.0, "other")
    assert again._master is connections._master, "all of a process ask together"


def test_a_global_key_prefix_is_in_front_of_every_key() -> None:
    gate = build_gate(app_with("redis://localhost:1/0", broker_transport_options={"global_keyprefix": "app1:"}))

    assert gate.keyspace.partitions[0].entries == "app1:{groupfifo:0}:entries"
    assert gate.releaser.place(Route("", "mail", 6))[:2] == ("app1:mail%06%166", "app1:mail\x06\x166")


@pytest.mark.parametrize("url", ["http://x", "redis://host:port/0", "redis://h/x/y"])
def test_a_wrong_url_is_quoted(url: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        server_of(app_with("amqp://rabbit//", groupfifo_url=url))

    assert url in str(caught.value)


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_a_broker_that_says_nothing_is_given_up(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "BROKER_PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app = app_with(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}", groupfifo_url="redis://localhost:1/0")
        app.conf.broker_connection_timeout = 600
        started = time.monotonic()
        assert Workers(app).ask(lambda inspect: inspect.ping()) == {}
        assert time.monotonic() - started < 10
