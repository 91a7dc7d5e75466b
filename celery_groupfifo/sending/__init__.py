"""Sending: from a call of Celery's to an entry at the gate.

- publish.py is the one interception. call.py reads what a call asks for: grouping.py finds the key (binding.py: for a
  callable), options.py the options, identity.py what makes
  it a duplicate, fair.py its tenant. retrying.py repeats a publish. in_place.py checks calls that run in place.
- message.py makes the entry, producer.py lets kombu make its text; headers.py keeps our headers out of users' messages.
- context.py keeps the continuation of the run in progress, hold.py adds up how long its group waits for retries.
- short_way.py sends what is usual (usual.py) by filling templates (templates.py), without Celery's code. reasons.py
  says why an app's sends are not usual.
- bulk.py sends many; on_commit.py sends when a database has committed. revoke.py takes out waiting tasks.
- dropped.py tells of tasks that never start, as others cost them their places.
"""
