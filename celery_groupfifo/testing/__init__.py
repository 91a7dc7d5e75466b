"""For tests: an embedded server, processes, and the judge of what workers have done.

- embedded.py starts a Redis or Valkey, processes.py starts programs that end with us.
- history.py is what tasks, producers and faults write down; timeline.py reads runs from it, checker.py judges them, and
  summary.py counts. None of it asks the gate.
"""
