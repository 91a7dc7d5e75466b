"""A demo that tries to break the order, and the checker's verdict whether it did.

``python -m demo`` starts a Redis of its own, some workers and two producers, kills a worker half-way, and judges the
run by the history that the task bodies wrote to files. The `history`, `timeline`, `checker` and `summary` of
`celery_groupfifo.testing` know nothing of the demo; the test suite uses them, too.
"""
