"""The apps that workers and producers run: the same tasks, plain and grouped.

They are apart because importing the package changes what every app of a process sends: the reference has to be a
process that has never heard of it.
"""
