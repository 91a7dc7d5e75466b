"""How fast ordered tasks are, beside plain Celery and beside the usual recipe.

`python -m benchmarks` (`make bench`) runs one row per promise: rows.py says which, and what each must reach.

rows.py names the rows · scenarios/ are what they measure · session.py runs a scenario's arms in turn · bench.py holds
the server and the processes · report.py judges, plot.py draws · apps/ and recipe.py are what workers run.
"""
