"""Sending: from a call of Celery's to an entry at the gate.

- publish.py is the one interception. call.py reads what a call asks for: grouping.py finds the key (binding.py: for a
  callable), options.py the options. in_place.py checks calls that run in place.
- message.py makes the entry, producer.py lets kombu make its text; headers.py keeps our headers out of users' messages.
- context.py keeps the continuation of the run in progress.
- bulk.py sends many, with copies of the first (bulk_templates.py). revoke.py takes out waiting tasks.
"""
