"""The gate: the operations on groups, and the connections to its Redis.

- gate.py has the operations on groups, recovery.py those of time and loss: one Lua script each, in lua/.
- parking.py has the operations of producers: parks.py has the calls of a park and their answers, numbers.py their
  numbers, replicas.py the wait for replicas behind them.
- insert.py has the call of a part of a canvas, batches.py those of a run that executes a batch, observations.py those
  of observe mode.
- places.py looks for the place of an entry in a long line.
- cutting.py has the calls that cut tasks off their groups and end them.
- model.py is what the layers pass to each other, records.py reads and writes what the scripts store, counts.py the
  counts of tasks, keys.py the names of keys, clock.py is the clock of leases. fronts.py looks shortly at very many
  groups.
- store.py calls scripts, cluster_store.py those of each partition at its node: scripts.py reads them, packing.py packs
  their runs, evaluator.py makes them; pipelined.py is a connection whose owner does not wait, stream.py one for many
  small commands. refusals.py reads errors.
- stamps.py reads which version the stored state has, and whether this process may use it; partitions.py changes the
  number of partitions of an empty gate. growing.py has the rule by which groups change their partition as the number
  grows, and growth.py lets it grow.
- servers.py finds the gate's Redis among those of an app, server.py and urls.py describe one; connections.py,
  sentinels.py, failover.py and slots.py lead to it, doubts.py knows when it may have been replaced, and hang_up.py ends
  the broker's connections to a replaced one. common.py has the settings that all processes of an app must
  share.
- releaser.py brings tickets to the broker, route.py and declared.py say where to.
"""
