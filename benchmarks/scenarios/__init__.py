"""The scenarios, one module per kind.

backlog.py: how fast workers finish a backlog · latency.py: the time of a call and a pick-up · sending.py: calls per
second · commands.py: commands of clients to Redis · scripts.py: the work of Redis for a task · memory.py: the memory of
a parked task · nodes.py: the CPU time of Redis, alone and as a cluster · light.py: a light group beside heavy ones ·
look.py and large.py: operators at a large gate.

watch.py and direct.py are their tools.
"""
