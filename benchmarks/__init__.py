"""The benchmarks of ordered tasks, against plain Celery and the usual recipe.

`python -m benchmarks` (`make bench`) runs one row per promise: rows.py has the rows and their goals.

rows.py names the rows · scenarios/ are what they measure · session.py runs a scenario's arms in turn · bench.py holds
the server and the processes · report.py judges, plot.py draws · apps/ and recipe.py are what workers run.
"""
