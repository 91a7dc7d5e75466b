#!/bin/sh
# The same with Celery's own tool: celery-multi.sh start|stopwait|restart
# `restart` stops each node before it starts it again; `make cluster-reload` starts a replacement first.
set -eu
: "${CELERY_APP:=shop}" "${INSTANCES:=4}" "${WORKER_CONCURRENCY:=10}"

nodes=""
number=1
while [ "$number" -le "$INSTANCES" ]; do
    nodes="$nodes messages-worker-$number"
    number=$((number + 1))
done
mkdir -p run logs
# %n is the node's name; %I keeps a log per pool process (%n.log is the main process').
# shellcheck disable=SC2086  # the names are words of their own
exec celery multi "${1:-start}" $nodes -A "$CELERY_APP" -c "$WORKER_CONCURRENCY" -l INFO \
    --pidfile=run/%n.pid --logfile=logs/%n%I.log
