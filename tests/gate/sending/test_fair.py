"""The tenant of a call, for every way to send and to say it: it is frozen into the entry that is parked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, chain, group

from celery_groupfifo import GroupFifo, GroupFifoTask, InvalidGroupKey, InvalidOption, MissingGroupKey, park_many
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.records import Fair, StoredEntry
from celery_groupfifo.sending.reasons import of_task
from tests.support.stored import stored_fields

Options = dict[str, Any]
Send = Callable[[Celery, str, str, Options], Any]

WAYS: dict[str, Send] = {
    "apply_async": lambda app, name, who, more: app.tasks[name].apply_async(("k", who), **more),
    "signature": lambda app, name, who, more: app.tasks[name].s("k", who).set(**more).delay(),
    "countdown": lambda app, name, who, more: app.tasks[name].apply_async(("k", who), countdown=60, **more),
    "bulk": lambda app, name, who, more: park_many([app.tasks[name].s("k", who).set(**more) for _ in "ab"]),
    "group": lambda app, name, who, more: group([app.tasks[name].s("k", who).set(**more)]).delay(),
    "chain": lambda app, name, who, more: chain(
        app.tasks[name].si("k", who).set(**more), app.tasks[name].si("k", who)
    ).delay(),
    "by name": lambda app, name, who, more: app.send_task("unknown", ("k", who), group_key="k", **more),
    "plain": lambda app, name, who, more: app.tasks["plain"].apply_async(("k", who), group_key="k", **more),
    "header": lambda app, name, who, more: app.tasks[name].apply_async(
        ("k", who), headers={f"groupfifo_{option}": value for option, value in more.items()}
    ),
}
SPECS: dict[str, Any] = {"template": "{who}", "tuple": ("who",), "callable": lambda who, **_: who}


@pytest.fixture
def make(redis_url: str) -> Iterator[Callable[..., Celery]]:
    made: list[Celery] = []

    def make(**conf: Any) -> Celery:
        app = Celery("fair", broker=redis_url, backend=redis_url, set_as_current=False)
        app.conf.update(conf)
        GroupFifo(app)

        def send(key: str, who: str | None = "one") -> None: ...

        for name, spec in SPECS.items():
            own = {"group_fair_key": spec, "group_fair_weight": 4}
            app.task(base=GroupFifoTask, group_key="{key}", name=name, lazy=False, shared=False, **own)(send)
        app.task(base=GroupFifoTask, group_key="{key}", name="send", lazy=False, shared=False)(send)
        app.task(name="plain", lazy=False, shared=False)(send)
        made.append(app)
        return app

    yield make
    for app in made:
        app.backend.result_consumer.stop()
        app.close()


def words(app: Celery) -> set[str]:
    """Return the words that stand in all entries."""
    keys = gate_of(app).keyspace.partitions[0]
    texts = stored_fields(gate_of(app).store.client.hgetall(keys.entries)).values()
    entries = [StoredEntry.parse(text) for text in texts]
    assert entries and all(entries)
    return {entry.limits for entry in entries if entry}


@pytest.mark.parametrize("way", WAYS)
def test_that_of_the_call(make: Callable[..., Celery], way: str) -> None:
    app = make()
    for who in ("a b", "c", "c"):
        WAYS[way](app, "send", who, {"group_fair_key": who, "group_fair_weight": 3})
    assert words(app) - {""} == {"f3/a%20b", "f3/c"}


@pytest.mark.parametrize("spec", [*SPECS, "setting"])
@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("by name", "plain")])
def test_that_of_the_task_or_the_setting(make: Callable[..., Celery], spec: str, way: str) -> None:
    conf = {"groupfifo_fair_key": "{who}", "groupfifo_fair_weight": 4} if spec == "setting" else {}
    app = make(**conf)
    for who in ("a", "b", "c"):  # later ones are filled into the message of the first
        WAYS[way](app, "send" if spec == "setting" else spec, who, {})
    assert words(app) == {"f4/a", "f4/b", "f4/c"}


def test_beside_limits_and_a_reserved_eta(make: Callable[..., Celery]) -> None:
    app = make()
    for options in ({}, {"countdown": 60, "group_eta": "reserve"}):
        app.tasks["template"].apply_async(("k", "a"), group_rate="5/m", **options)
    first, second = sorted(words(app), key=len)
    assert first == "f4/a l5/60000/0" and second.startswith(f"{first}/")


def test_an_option_that_is_not_used_leaves_no_trace(make: Callable[..., Celery]) -> None:
    app = make(groupfifo_fair_weight=9)
    app.tasks["send"].delay("k")
    assert words(app) == {""}


@pytest.mark.parametrize("wrong", ["", 5, "x" * 513])
def test_a_wrong_key_is_refused(make: Callable[..., Celery], wrong: Any) -> None:
    with pytest.raises(InvalidGroupKey, match=r"^The fair key of send "):
        make().tasks["send"].apply_async(("k",), group_fair_key=wrong)


@pytest.mark.parametrize("wrong", [0, 1001, 1.5, True, "2"])
def test_a_wrong_weight_is_refused(make: Callable[..., Celery], wrong: Any) -> None:
    with pytest.raises(InvalidOption, match=r"group_fair_weight.*a whole number from 1 to 1000"):
        make().tasks["send"].apply_async(("k",), group_fair_key="a", group_fair_weight=wrong)


@pytest.mark.parametrize("spec", SPECS)
def test_a_key_that_can_not_be_built(make: Callable[..., Celery], spec: str) -> None:
    with pytest.raises(MissingGroupKey, match="fair"):
        make().tasks[spec].delay("k", None)


def test_a_setting_for_a_task_whose_code_is_not_loaded(make: Callable[..., Celery]) -> None:
    with pytest.raises(MissingGroupKey, match=r"The fair key '\{who\}' of unknown can't be built.*group_fair_key="):
        make(groupfifo_fair_key="{who}").send_task("unknown", ("k",), group_key="k")


def test_a_plain_task_has_none(make: Callable[..., Celery]) -> None:
    with pytest.raises(MissingGroupKey, match="plain was sent with group_fair_key, but belongs to no group"):
        make().tasks["plain"].apply_async(("k",), group_fair_key="a")


def test_a_callable_is_a_reason_to_go_celerys_way(make: Callable[..., Celery]) -> None:
    app = make()
    assert of_task(app, app.tasks["callable"]) == ["its group_fair_key is a callable"]
    assert of_task(app, app.tasks["template"]) == []


@pytest.mark.parametrize("text", ["f1/a", "f12/a%20b/c"])
def test_the_words_of_a_tenant(text: str) -> None:
    fair = Fair.parse(f"{text} l1/2/3")
    assert fair is not None and fair.text() == text


@pytest.mark.parametrize("text", ["", "l1/2/3", "f/a", "fx/a", "f1", "1/2"])
def test_other_words_are_none(text: str) -> None:
    assert Fair.parse(text) is None
