"""The tools for tests: an embedded server, processes, and the judge of a history.

- embedded.py starts a Redis or Valkey, rabbitmq.py a RabbitMQ, processes.py Python programs; children.py is what these
  have in common: they end with us.
- history.py is the record that tasks, producers and faults write; timeline.py reads runs from it, checker.py judges
  them, and summary.py counts. None of it asks the gate.
"""
