"""The scenarios, one module per kind.

backlog.py: how fast workers finish a backlog · latency.py: the time of a call and a pick-up · sending.py: calls per
second · commands.py: commands of clients to Redis · scripts.py: the work of Redis for a task · memory.py: the memory of
a parked task · nodes.py: the CPU time of Redis, alone and as a cluster · busy.py: of a busy server, and GroupMQ's ·
live.py: while tasks are sent · idle.py: commands of idle workers · light.py: a light group beside heavy ones · look.py
and large.py: operators at a large gate.

watch.py, direct.py and player.py are their tools.
"""
