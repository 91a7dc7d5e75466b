"""The worker's side: tickets are begun on receipt, and finished when their execution is over.

step.py starts it · strategy.py begins · request.py sees every outcome · run.py is one run, delivery.py the broker's
message under a chain of them · member.py finishes and hands off · heart.py renews and sweeps · inspect.py answers
`celery inspect` · advice.py says at the start what is unsafe · publisher.py brings tickets to a broker elsewhere ·
pools.py and broker.py are the only files that touch the insides of Celery's pools and of kombu.
"""
