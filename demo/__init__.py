"""A demo that tries to break the order, and a checker that tells whether it managed to.

``python -m demo`` starts a Redis of its own, some workers and two producers, kills a worker
half-way, and judges the run by the history that the task bodies wrote to files. `history`, `timeline`,
`checker` and `summary` know nothing of the demo; the test suite uses them, too.
"""
