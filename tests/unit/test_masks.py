"""Passwords in URLs, right and wrong ones, are never shown."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from celery_groupfifo import InvalidSetting
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.masks import masked
from celery_groupfifo.settings import read_settings

SECRET, REST = "geheim", "nis"


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://[::1]:6379/0?db=1", "redis://[::1]:6379/0?db=1"),
        ("redis://:geheim@shop:6380/3", "redis://:**@shop:6380/3"),
        ("redis://user:geheim@[::1]:6379/0", "redis://user:**@[::1]:6379/0"),
        ("redis://geheim@shop", "redis://**@shop"),
        ("redis://shop/0?password=geheim&db=3", "redis://shop/0?password=**&db=3"),
        ("redis://shop/0?username=geheim&password=geheim", "redis://shop/0?username=**&password=**"),
        ("rediss://shop/0?ssl_password=geheim", "rediss://shop/0?ssl_password=**"),
        ("redis://u:geheim@shop/0?password=geheim", "redis://u:**@shop/0?password=**"),
        ("redis+socket://:geheim@/run/redis.sock?virtual_host=1", "redis+socket://:**@/run/redis.sock?virtual_host=1"),
        ("sentinel://:geheim@a:1;sentinel://:geheim@b:1", "sentinel://:**@a:1;sentinel://:**@b:1"),
        (["redis://:geheim@a", "redis://:geheim@b"], "redis://:**@a;redis://:**@b"),
        # What should have been percent-encoded:
        ("redis://:geheim:nis@shop:6380/3", "redis://:**@shop:6380/3"),
        ("redis://user:geheim@nis@shop:6380/3", "redis://user:**@shop:6380/3"),
        ("redis://user:geheim/nis@shop:6380/3", "redis://user:**@shop:6380/3"),
        ("redis://user:12/geheim@shop:6380/3", "redis://user:**@shop:6380/3"),
        ("redis://user:geheim;nis@shop:6380/3", "redis://user:**@shop:6380/3"),
        ("redis://:geheim?pass=nis@shop", "redis://:**@shop"),
        ("redis://:geheim#nis@shop", "redis://:**@shop"),
        ("redis://shop/0?password=geheim@nis", "redis://shop/0?password=**"),
        ("redis://shop/0?password=geheim&nis&db=1", "redis://shop/0?password=**&db=1"),
        ("geheim@shop:6379", "**@shop:6379"),
    ],
)
def test_no_part_of_a_password_is_shown(url: Any, wanted: str) -> None:
    assert masked(url) == wanted


def app_with(**conf: Any) -> Celery:
    app = Celery("masks", set_as_current=False)
    app.conf.update({"broker_url": "memory://", **conf})
    return app


URL = f"redis://user:{SECRET}@shop/1?password={SECRET}"


@pytest.mark.parametrize("url", [URL, [URL, URL], URL.replace("?", ";redis://:geheim@b?")])
def test_celery_hides_it_too(url: Any) -> None:
    app = app_with(groupfifo_url=url)
    for told in (app.conf.humanize(), repr(app.conf.table()), app.bugreport()):
        assert "groupfifo_url" in told and "redis://user:**@shop" in told and SECRET not in told


def test_celery_hides_that_of_a_namespaced_configuration() -> None:
    class Config:
        CELERY_BROKER_URL = "memory://"
        CELERY_GROUPFIFO_URL = URL

    app = Celery("masks", set_as_current=False)
    app.config_from_object(Config, namespace="CELERY")
    assert read_settings(app.conf).url == URL
    assert "shop" in app.bugreport() and SECRET not in app.bugreport()


def test_what_celery_hides_by_itself_stays_hidden() -> None:
    app = app_with(
        groupfifo_url=None, redis_password=SECRET, broker_transport_options={"sentinel_kwargs": {"password": SECRET}}
    )
    assert SECRET not in app.conf.humanize()


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}#{REST}@h/0",
        f"redis://user:{SECRET}/{REST}@h/0",
        f"redis://:{SECRET}@h/0?decode_responses=1",
        f"redis://:{SECRET}@h/none",
        f"redis://:{SECRET}@[h/0",
        f"http://:{SECRET}@h",
        f"sentinel://:{SECRET}@h",
        f"{SECRET}@h",
        [f"redis://:{SECRET}@h"],
    ],
)
def test_an_error_does_not_tell_it(url: Any) -> None:
    with pytest.raises(InvalidSetting) as caught:
        build_gate(app_with(groupfifo_url=url))
    seen: BaseException | None = caught.value
    while seen is not None:
        assert SECRET not in str(seen) and REST not in str(seen)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def test_nor_does_any_repr() -> None:
    app = app_with(groupfifo_url=URL)
    gate = build_gate(app)
    for thing in (gate.settings, gate.server, gate.store.client, gate.store.connections, app):
        assert SECRET not in repr(thing)
