"""Sending: from a call of Celery's to an entry at the gate.

- publish.py is the one interception, asked.py collects what a message asks for, park.py lets the gate take it.
- call.py reads the options of a call: grouping.py finds the key (binding.py: for a callable), options.py the options,
  identity.py what makes it a duplicate, order.py the value that it is sorted by, fair.py its tenant, several.py what
  does not work with several keys. in_place.py checks calls that run in place.
- batch.py is the call of a task that takes several calls at once.
- message.py makes the entry, producer.py lets kombu make its text; headers.py keeps our headers out of users' messages.
- context.py keeps the continuation of the run in progress, hold.py adds up how long its group waits for retries,
  parts.py knows which tasks are the next ones of its canvas. retrying.py repeats a publish.
- short_way.py sends what is usual (usual.py) by filling templates (templates.py), without Celery's code. reasons.py
  says why an app's sends are not usual.
- room.py waits for room in a full group, after_send.py once Celery's code is through; retrying.py has the retry policy.
- observe.py sends in Celery's way where groups are only observed.
- bulk.py sends many; on_commit.py sends when a database has committed. revoke.py takes out waiting tasks.
- dropped.py tells of tasks that never start, as others cost them their places; telling.py of many revoked tasks at
  once, by their kinds (kinds.py).
"""
