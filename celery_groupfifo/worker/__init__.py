"""The worker's side: it begins tickets when they come in, and finishes them when their execution is over.

- step.py starts and stops it; member.py joins the parts.
- run.py is one run and the states of its life, lanes.py numbers them for the gate; delivery.py is the broker's message
  under a chain of runs.
- receiver.py leads a run from its message to the pool (prefetch.py makes room for plain tasks meanwhile, precomputed.py
  saves the pool work), request.py sees every outcome, failures.py reads a failure's policy, endings.py ends the run.
- batch.py has the calls that a run executes together with its own, quiet.py ends those of them in the pool whose end
  nobody sees. scoped.py sets a context variable in a block.
- events.py sends signals and events and logs; log_context.py completes Celery's own log lines.
- outbox.py has the unanswered calls to the gate: each call (gate_call.py) goes out on the loop's connection
  (loop_connection.py), or with the postman (postman.py), whose answers go to answers.py.
- by_server.py has an outbox, a renewer and a sweeper for each partition of a Redis Cluster.
- renewer.py renews the worker's lease, sweeper.py moves due items and lost.py finds lost tickets, publisher.py brings
  tickets to other brokers, background.py runs calls that may hang: each in a thread of its own. outage.py logs for them
  when the gate is away.
- reconnect.py lets a worker go on after the broker has closed its channel.
- loop.py calls on the consumer's loop. trace.py runs in the pool, around Celery's own function; max_hold.py limits the
  retries of a task there.
- pools.py says what Celery's pools allow, prefork.py and broker.py touch the internals of Celery's prefork pool and of
  kombu's Redis transport; patches.py has the table of all changes.
- observer.py watches the runs of observe mode, without all of the others.
- inspect.py answers `celery inspect`; advice.py warns at the start of unsafe surroundings.
"""
