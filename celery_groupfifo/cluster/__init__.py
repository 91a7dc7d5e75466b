"""Workers of one machine, in the background: `python -m celery_groupfifo.cluster start --app shop --instances 4`.

For a machine that has nothing better: systemd, a container platform and `celery multi` do the same, see
docs/cluster.md. No process stays behind to watch: each command looks at the pid files, does its work and ends.

command.py is the command line, manager.py does it, instance.py is one worker, processes.py asks the machine, status.py
shows.
"""
