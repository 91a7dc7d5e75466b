"""`python -m tests.support.launch APP OPTIONS` is `celery -A APP worker OPTIONS` without the other commands.

`celery` loads all commands before it runs one, Flower among them: a fifth of the CPU that a worker's start takes.
Tests of programs, of the command line and of the documentation start the command itself.
"""

from __future__ import annotations

import sys

from celery import maybe_patch_concurrency

if __name__ == "__main__":
    maybe_patch_concurrency()  # as `celery` does, before anything else is imported

    from celery.app.utils import find_app
    from celery.bin.base import CLIContext
    from celery.bin.worker import worker

    module, *options = sys.argv[1:]
    worker.main(options, prog_name="worker", obj=CLIContext(app=find_app(module), no_color=None, workdir=None))
