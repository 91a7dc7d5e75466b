"""A pool as people write them around asyncio: a loop in a thread of its own, which also calls back."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery.concurrency.base import BasePool, apply_target

Callback = Callable[..., Any]


class LoopPool(BasePool):
    """A pool whose callers wait until the loop has their task. In a callback the loop would wait for itself."""

    signal_safe = False

    def on_start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._bodies = ThreadPoolExecutor(self.limit)
        self._thread = threading.Thread(target=self._loop.run_forever, name="loop-pool", daemon=True)
        self._thread.start()

    def on_apply(
        self,
        target: Callback,
        args: Any = (),
        kwargs: Any = None,
        callback: Callback | None = None,
        accept_callback: Callback | None = None,
        **options: Any,
    ) -> None:
        accepted = asyncio.run_coroutine_threadsafe(self._accept(target, args, kwargs, callback), self._loop)
        accepted.result()
        if accept_callback is not None:
            accept_callback(os.getpid(), time.monotonic())

    async def _accept(self, *job: Any) -> None:
        self._loop.create_task(self._run(*job))

    async def _run(self, target: Callback, args: Any, kwargs: Any, callback: Callback | None) -> None:
        results: list[Any] = []
        await self._loop.run_in_executor(self._bodies, apply_target, target, args, kwargs, results.append)
        if callback is not None:
            callback(*results)

    def on_stop(self) -> None:
        self._bodies.shutdown()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    on_terminate = on_stop
