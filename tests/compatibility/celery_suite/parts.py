"""Which of Celery's tests are run together: each part has a process, a worker and an empty Redis of its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """Tests that are run together.

    Attributes:
        name: For the command line and the table.
        tests: What pytest is given, relative to `t/integration`.
        seconds: About how long they take without the gate.
        only: pytest's `-k`.
        sends: Whether its tests send tasks of the app under test.
    """

    name: str
    tests: str
    seconds: int
    only: str = ""
    sends: bool = True

    @property
    def limit(self) -> int:
        """Seconds after which it hangs."""
        return 120 + 4 * self.seconds


FULL = (
    Part("tasks", "test_tasks.py", 220),
    Part("canvas-link-error", "test_canvas.py::test_link_error", 15),
    Part("canvas-chain", "test_canvas.py::test_chain", 120),
    Part("canvas-result-set", "test_canvas.py::test_result_set", 35),
    Part("canvas-group", "test_canvas.py::test_group", 85),
    Part("canvas-chord", "test_canvas.py::test_chord", 640),
    Part("canvas-map", "test_canvas.py::test_xmap_xstarmap", 10),
    Part("canvas-signature", "test_canvas.py::test_signature_serialization", 15),
    Part("canvas-stamping", "test_canvas.py::test_stamping_mechanism", 20),
    Part("inspect", "test_inspect.py", 50),
    Part("worker", "test_worker.py", 25),
    Part("group-chains", "test_group_chains.py", 35),
    Part("redis-backend", "test_redis_backend.py", 5),
    Part("beat", "test_beat.py", 25),
    Part("connection-recovery", "test_connection_recovery.py", 20, sends=False),
    Part("security", "test_security.py", 5),
    Part("serialization", "test_serialization.py", 5, sends=False),
    Part("loader", "test_loader.py", 5),
)

#: Some of them, in half a minute; nothing that waits for long or depends on the machine's speed.
QUICK = (
    Part(
        "tasks-short",
        "test_tasks.py",
        20,
        "reject or retried or replaced or basic or send_task or revoked_by_headers_simple",
    ),
    *(part for part in FULL if part.name in ("redis-backend", "canvas-map")),
)
