"""A wrong setting stops the start with a sentence that quotes it."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from celery_groupfifo import GroupFifo, GroupFifoTask, InvalidOption, InvalidSetting
from celery_groupfifo.settings import Settings, read_settings


def settings_of(**conf: Any) -> Settings:
    app = Celery("settings", broker="redis://localhost:1/0")
    app.conf.update(conf)
    return GroupFifo(app).settings


def test_defaults() -> None:
    settings = settings_of()

    assert (settings.lease_ttl, settings.sweep_interval, settings.namespace, settings.partitions) == (
        30,
        1,
        "groupfifo",
        1,
    )
    assert (settings.max_lost, settings.on_retry, settings.eta, settings.on_lease_lost) == (
        3,
        "hold",
        "at_due",
        "warn",
    )


def test_settings_are_read() -> None:
    settings = settings_of(groupfifo_lease_ttl=12, groupfifo_namespace="shop", groupfifo_url="redis://other:6380/2")

    assert (settings.lease_ttl, settings.ttl_ms, settings.namespace) == (12, 12000, "shop")
    assert settings.url == "redis://other:6380/2"


def test_settings_of_a_namespaced_configuration_are_read() -> None:
    class Config:
        CELERY_BROKER_URL = "redis://localhost:1/0"
        CELERY_GROUPFIFO_LEASE_TTL = 7

    app = Celery("namespaced")
    app.config_from_object(Config, namespace="CELERY")

    assert read_settings(app.conf).lease_ttl == 7


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("lease_tll", 30, "the nearest one is groupfifo_lease_ttl"),
        ("on_faliure", "block", "the nearest one is groupfifo_on_failure"),
        ("eta_policy", "at_due", "The settings are: "),
        ("lease_ttl", "30", "'30'"),
        ("lease_ttl", 0.1, "0.1"),
        ("lease_ttl", True, "True"),
        ("partitions", 1.5, "1.5"),
        ("partitions", 0, "a whole number from 1 on"),
        ("namespace", "a b", "'a b'"),
        ("namespace", "{x}", "'{x}'"),
        ("on_lease_lost", "kill", "'warn' or 'terminate'"),
        ("sweep_interval", 20, "half of it"),
        ("url", "localhost", "'localhost'"),
        ("max_lost", 0, "a whole number from 1 on"),
        ("dead_letters_max", 0, "= 0 does not work: set it to a whole number from 1 on, or None for no limit."),
        ("dead_letters_max", 1.5, "= 1.5 does not work: set it to a whole number from 1 on, or None for no limit."),
        (
            "dead_letters_for",
            1e10,
            "= 10000000000.0 does not work: set it to a number from 1 to 3,000,000,000, or None",
        ),
        ("dead_letters_for", "30d", "= '30d' does not work: set it to a number from 1 on, or None for no limit."),
    ],
)
def test_wrong_settings_are_quoted(name: str, value: object, said: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        _ = settings_of(**{f"groupfifo_{name}": value})

    assert f"groupfifo_{name}" in str(caught.value)
    assert said in str(caught.value)


def test_capitals_without_a_namespace_are_told() -> None:
    """Celery would not find them, and the default would count."""
    app = Celery("capitals", broker="redis://localhost:1/0")
    app.conf.update(GROUPFIFO_LEASE_TTL=7)
    with pytest.raises(
        InvalidSetting, match="GROUPFIFO_LEASE_TTL is not read: write it groupfifo_lease_ttl, or CELERY_GR"
    ):
        read_settings(app.conf)


@pytest.mark.parametrize("prefix", ["", "CELERY_"])
@pytest.mark.parametrize("option", ["group_on_failure", "group_max_lost"])
def test_an_option_among_the_settings_is_told(option: str, prefix: str) -> None:
    """Nobody would read it: a group that was to halt would go on."""
    app = Celery("options", broker="redis://localhost:1/0")
    name = (prefix + option).upper() if prefix else option
    app.config_from_object({name: "block"}, namespace=prefix.rstrip("_") or None)
    with pytest.raises(InvalidSetting, match=f"{name} is an option .* is groupfifo_{option.removeprefix('group_')}"):
        read_settings(app.conf)


def test_all_settings_are_offered() -> None:
    with pytest.raises(InvalidSetting) as caught:
        settings_of(groupfifo_lease_tll=1)
    assert "groupfifo_lease_ttl" in str(caught.value) and "groupfifo_concurrency" in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("group_max_lost", 0),
        ("group_max_lost", "3"),
        ("group_on_retry", "relaese"),
        ("group_on_failure", "halt"),
        *(("group_concurrency", wrong) for wrong in (0, -1, "2", 1.5, True)),
        *(
            ("group_break_after", wrong)
            for wrong in ("5", 5, "5/60", "0/60s", "5/0s", "5/60s/0s", "5/60s/10", "x/60s", "5/60s/833334h")
        ),
        ("group_max_hold", -1),
        ("group_max_hold", "1h"),
        ("group_block_for", 0),
        ("group_block_for", "60"),
        ("group_eta", "later"),
        ("group_on_duplicate", "keep_newest"),
        *(("group_dedup_key", wrong) for wrong in ("", 5, (), ("x", 5), "{y}", "{}", ("y",))),
        *(("group_fair_key", wrong) for wrong in ("", 5, (), ("x", 5), "{y}", "{}", ("y",))),
        *(("group_fair_weight", wrong) for wrong in (0, 1001, True, 1.0, "2")),
        ("group_dedup_for", 0),
        ("group_dedup_for", "60"),
        *(("group_order_by", wrong) for wrong in ("", 5, (), ("x",), "x y", "{}", "{y}")),
        ("group_order_by", "y"),
        ("group_reorder_window", 0),
        ("group_reorder_window", "5"),
        ("group_max_depth", 0),
        ("group_max_depth", "10"),
        ("group_hold_until", "group"),
        ("group_overflow", "later"),
        *(
            ("group_rate", wrong)
            for wrong in (10, "10", "10/", "0/s", "1001/s", "1/0.05s", "9/d", "-1/s", "1/2", "x/s")
        ),
    ],
)
def test_wrong_options_of_a_task_are_quoted(option: str, value: object) -> None:
    app = Celery("options", broker="redis://localhost:1/0")

    def run(x: str) -> None: ...

    with pytest.raises(InvalidOption) as caught:
        app.task(base=GroupFifoTask, group_key="{x}", lazy=False, shared=False, **{option: value})(run)

    assert option in str(caught.value)
    assert repr(value) in str(caught.value)
