"""The gate as a plain data structure: what the scripts are held to, operation by operation.

Time is an integer of milliseconds that the caller moves. Every operation may be `replayed`: its reply was lost
and the very same call was made again, so the caller knows only what the second reply said. A ticket that the first
one gave it to publish never reached the broker; the second one gives it again, and a copy of one that had reached it.

- state: what is remembered
- steps: the parts of operations: lines, places of several keys, rates, tenants, tickets
- producers, workers, recovery, operators: the operations
"""

from tests.support.model.operators import Operators as GateModel
from tests.support.model.state import Flight, Rate, Said

__all__ = ["Flight", "GateModel", "Rate", "Said"]
