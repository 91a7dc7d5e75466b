"""The apps that workers and producers run: the same tasks, plain and grouped.

They are separate modules because an import of the package changes the sends of every app in a process: the reference
must be a process that has not imported it.
"""
