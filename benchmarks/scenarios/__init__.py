"""What is measured, one module per kind.

backlog.py: how fast workers get through what has piled up · latency.py: how long a call and a pick-up take ·
sending.py: calls per second · commands.py: what clients ask of Redis · scripts.py: what Redis does for it ·
memory.py: what a parked task takes · light.py: a light group beside heavy ones.
watch.py and direct.py are their tools.
"""
