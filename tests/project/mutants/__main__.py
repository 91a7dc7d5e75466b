"""Put each known bug back, one at a time, and see its tests notice: `python -m tests.project.mutants [WORD...]`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.project.mutants.copies import SECONDS, Copy, PatchError
from tests.project.mutants.table import MUTANTS, Mutant

#: Exit codes of pytest.
PASSED, FAILED = 0, 1


def verdict(copy: Copy, mutant: Mutant, test: str) -> str:
    """The fate of a mutant under one test."""
    try:
        with copy.alive(mutant):
            done = copy.run([test])
    except PatchError as error:
        return f"does not apply: {error}"
    except subprocess.TimeoutExpired:
        return "killed"  # it hangs, and a test that hangs has noticed
    if done.returncode == FAILED:
        return "killed"
    return "SURVIVES" if done.returncode == PASSED else f"broken: {done.stdout[-500:]} {done.stderr[-500:]}"


def main(words: Sequence[str]) -> int:
    """Print the table; 1 when a mutant survives or does not apply."""
    mutants = [mutant for mutant in MUTANTS if not words or any(word in mutant.bug for word in words)]
    if not mutants:
        print(f"No bug of the table is named with any of: {', '.join(words)}")
        return 1
    bad = 0
    with tempfile.TemporaryDirectory(prefix="groupfifo-mutants-") as directory:
        copy = Copy(Path(directory))
        tests = sorted({test for mutant in mutants for test in mutant.tests})
        sound = copy.run(tests, seconds=SECONDS * len(tests))
        if sound.returncode != PASSED:
            print(f"The tests fail without any bug put back:\n{sound.stdout[-3000:]}{sound.stderr[-3000:]}")
            return 1
        for number, mutant in enumerate(mutants, start=1):
            for test in mutant.tests:
                began = time.monotonic()
                said = verdict(copy, mutant, test)
                bad += said != "killed"
                took = time.monotonic() - began
                print(f"{number:3}  {said:8}  {took:5.1f} s  {mutant.bug:72}  {test}", flush=True)
    print(f"{len(mutants)} mutants, {bad} of them not killed")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
