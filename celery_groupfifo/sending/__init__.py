"""Sending: from a call of Celery's to an entry at the gate.

- publish.py is the one interception; grouping.py finds the key (binding.py: for a callable), options.py reads options.
- message.py makes the entry, producer.py lets kombu make its text; headers.py keeps ours out of what is a user's.
- context.py knows what goes on for the run in progress.
- bulk.py sends many, over copies of the first (bulk_templates.py). revoke.py takes out what waits.
"""
