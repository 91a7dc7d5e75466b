"""The worker's side: it begins tickets when they come in, and finishes them when their execution is over.

- step.py starts and stops it; member.py joins the parts.
- run.py is one run and the states of its life; delivery.py is the broker's message under a chain of runs.
- receiver.py leads a run from its message to the pool (prefetch.py makes room for plain tasks meanwhile, precomputed.py
  saves the pool work), request.py sees every outcome, failures.py says what a failure means, endings.py ends it.
- events.py tells what happens: signals, events, log lines; lines.py completes Celery's own.
- outbox.py has what is on its way to the gate: each call (told.py) on the loop's line (line.py), or with the postman
  (postman.py), whose answers hearing.py hears.
- renewer.py renews leases, sweeper.py moves what is due and lost.py what was lost on its way, publisher.py brings
  tickets to other brokers, background.py does what may hang: each in a thread of its own.
- reconnect.py lets a worker go on after the broker has closed its channel.
- loop.py calls on the consumer's loop. trace.py runs in the pool, around Celery's own function.
- pools.py knows what Celery's pools let us do, prefork.py and broker.py touch the insides of Celery's prefork pool and
  of kombu's Redis transport; patches.py has the table of all that is changed.
- inspect.py answers `celery inspect`; advice.py says at the start what is unsafe.
"""
