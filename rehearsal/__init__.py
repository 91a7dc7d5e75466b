"""The rehearsal: the real scripts in a day of traffic with failures, in virtual time, and a judge of what they did.

`python -m rehearsal` (`make rehearsal`) runs it. The scripts take their time from the caller, so a day passes as fast
as the server answers.

plan.py has the sizes of a run · agenda.py is the virtual time: events, the next one first · wire.py sends the calls
that come at about the same time together · stage.py joins these with a gate · traffic.py sends tasks, also twice ·
kinds.py says which groups have limits, tenants or tasks with several keys · crew.py has the virtual workers, runs.py
the steps of their runs · sweeps.py are their sweeps and the search for lost tickets · faults.py kills, stalls and
restarts · judge.py knows what was sent and answered, and names each breach, lines.py is the judge's own picture of a
group · samples.py reads the server's counters · day.py is the whole day · report.py writes the figures, plot.py draws
them · cli.py reads the options.
"""
