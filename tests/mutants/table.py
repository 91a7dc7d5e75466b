"""The known bugs of this niche, each put back as a small replacement of text, and the tests that must notice it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One bug put back.

    Attributes:
        bug: In a few words.
        file: In the package.
        old: What stands there, once.
        new: What stands there instead.
        tests: Each of them must fail.
    """

    bug: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


GATE, GROUPS, WORKER, CHAOS = "tests/gate/", "tests/groups/", "tests/worker/", "tests/chaos/"

SCRIPTS = (
    Mutant(
        "a retry goes behind its successors",
        "lua/finish.lua",
        "  resume(lists, id, r, out)\n",
        "  redis.call('HDEL', K.flight, id)\n"
        "  redis.call('ZREM', K.due, 'l ' .. id)\n"
        "  land(group_key, id)\n"
        "  redis.call('RPUSH', waiting, string.match(redis.call('HGET', K.entries, id), '^%d+') .. ' ' .. id)\n"
        "  advance(lists, waiting, group_key, group, out)\n",
        (GATE + "test_hold.py::test_the_group_waits_out_the_countdown",),
    ),
    Mutant(
        "a cap of one runs two",
        "lua/lib/advance.lua",
        "      is_free = false\n",
        "      is_free = string.sub(field, 1, 2) == 'f '\n",
        (GATE + "test_park.py::test_the_first_is_released_and_the_others_wait_in_order",),
    ),
    Mutant(
        "a counter leaks on an outcome that is no success: revoked while parked",
        "lua/revoke.lua",
        "leave(group)\n",
        "",
        (GATE + "test_revoke.py::test_revoking_all_leaves_nothing_behind",),
    ),
    Mutant(
        "a slot leaks on an outcome that is no success: revoked at the head",
        "lua/revoke.lua",
        "  land(group_key, id)\n",
        "",
        (GATE + "test_revoke.py::test_a_released_head_gives_way_to_the_next",),
    ),
    Mutant(
        "a manual retry bypasses the cap",
        "lua/retry.lua",
        "  elseif r and r.state == 'held' then\n",
        "  elseif r then\n",
        (GROUPS + "test_operate.py::test_retry_of_what_is_not_held",),
    ),
    Mutant(
        "an empty place in the line stops the group",
        "lua/lib/advance.lua",
        "    end -- else it was revoked: its place is empty\n",
        "    else\n      return nil\n    end\n",
        (GATE + "test_revoke.py::test_a_parked_entry_never_starts",),
    ),
    Mutant(
        "one call walks over any number of empty places",
        "lua/lib/advance.lua",
        "    if step == STEPS then\n",
        "    if false then\n",
        (GATE + "test_revoke.py::test_a_walk_over_many_revoked_ones_goes_on_with_the_sweep",),
    ),
    Mutant(
        "a completion is accepted without its fence",
        "lua/lib/flight.lua",
        "state == 'running' and drawn == fence and of",
        "state == 'running' and of",
        (GATE + "test_finish.py::test_a_completion_with_an_old_fence_changes_nothing",),
    ),
    Mutant(
        "a retry is accepted without its fence",
        "lua/hold.lua",
        "if not r or r.fence ~= fence or r.state",
        "if not r or r.state",
        (GATE + "test_hold.py::test_a_run_that_lost_its_lease_holds_nothing",),
    ),
    Mutant(
        "a clock alone decides which run is newer",
        "lua/lib/flight.lua",
        "  if last >= K.us then\n",
        "  if false then\n",
        (GATE + "test_park.py::test_fences_grow_over_an_emptied_redis_and_a_clock_set_back",),
    ),
    Mutant(
        "a counter alone decides which run is newer",
        "lua/lib/flight.lua",
        "  if last >= K.us then\n",
        "  if true then\n",
        (GATE + "test_park.py::test_fences_grow_over_an_emptied_redis_and_a_clock_set_back",),
    ),
    Mutant(
        "several ways to recover, and one of them forgets the slot",
        "lua/lib/resume.lua",
        "  redis.call('ZADD', K.due, K.ms, 'x ' .. r.group .. ' ' .. id)\n",
        "",
        (GATE + "test_corrupt.py::test_of_a_running_task_that_must_go_out_again",),
    ),
    Mutant(
        "a group that is blocked goes on with its next one",
        "lua/lib/operate.lua",
        "  write_flight(id, r)\n  redis.call('HSET', group_key, 'blocked'",
        "  write_flight(id, r)\n  redis.call('HDEL', group_key, 'f ' .. id)\n  redis.call('HSET', group_key, 'blocked'",
        ("tests/groups/test_block.py::test_retry_runs_the_same_task_again_under_a_new_fence",),
    ),
    Mutant(
        "an end of a pause ends a block, too",
        "lua/resume.lua",
        "  if r and r.stop == 'p' then\n",
        "  if r and r.stop ~= '-' then\n",
        ("tests/groups/test_block.py::test_a_pause_of_it_changes_nothing_about_the_block",),
    ),
    Mutant(
        "a failure is accepted without its fence",
        "lua/fail.lua",
        "if not r or r.fence ~= fence or r.state",
        "if not r or r.state",
        (GATE + "test_fail.py::test_a_failure_with_an_old_fence_changes_nothing",),
    ),
    Mutant(
        "a worker that is lost while it cancels leaves the rest for ever",
        "lua/sweep.lua",
        "      redis.call('ZADD', K.due, K.ms + claim, member)\n",
        "      redis.call('ZREM', K.due, member)\n",
        (GATE + "test_fail.py::test_what_is_cut_off_ends_also_when_the_sweeping_worker_is_lost",),
    ),
    Mutant(
        "a ticket that may not start stops the queue behind it",
        "lua/lib/take.lua",
        "      dropped = dropped + 1\n",
        "      redis.call('RPUSH', KEYS[key + i], message)\n      if true then return nil end\n",
        (GATE + "test_finish.py::test_stale_tickets_on_the_way_are_dropped",),
    ),
    Mutant(
        "a hand-off ignores a delay",
        "lua/lib/resume.lua",
        " or (r.due ~= '-' and tonumber(r.due) > K.ms) then\n",
        " then\n",
        (GATE + "test_hold.py::test_a_surrendered_run_with_a_continuation_waits_for_its_due_time",),
    ),
    Mutant(
        "a hand-off ignores a pause",
        "lua/lib/advance.lua",
        "    else\n      is_free = false\n",
        "    elseif field ~= 'paused' then\n      is_free = false\n",
        (GROUPS + "test_pause.py::test_no_hand_off_of_a_paused_group",),
    ),
    Mutant(
        "a hand-off without a bound starves others",
        "lua/finish.lua",
        "if head and (taken == OWN or take == 'own') then",
        "if head and take ~= 'none' then",
        (GATE + "test_finish.py::test_take_from_the_lists_serves_groups_in_the_brokers_order",),
    ),
    Mutant(
        "a hand-off of the own successor passes a list that comes before",
        "lua/lib/take.lua",
        "      if text == false and ARGV[arg + at] == own then\n",
        "      if own then\n",
        (GATE + "test_finish.py::test_the_own_successor_waits_for_the_lists_before_its_own",),
    ),
    Mutant(
        "a worker that dies between a pop and its reservation loses the group",
        "lua/lib/take.lua",
        "      local group = begun(id, fence, owner, call, ttl, noted)\n",
        "      local group = true\n",
        (GATE + "test_finish.py::test_the_same_finish_again_gives_the_same_answer",),
    ),
    Mutant(
        "a task whose enqueue is repeated after a lost reply runs twice",
        "lua/park.lua",
        "if count <= tonumber(redis.call('GET', producer) or 0) then\n",
        "if false then\n",
        (GATE + "test_lost_replies.py::test_a_task_that_ended_before_the_repetition_does_not_run_again",),
    ),
    Mutant(
        "a begin whose reply was lost is taken for a stale one",
        "lua/begin.lua",
        "if r and r.fence == fence and r.state == 'running' and r.owner == owner and r.call == call then\n",
        "if false then\n",
        (GATE + "test_lost_replies.py::test_a_begin_whose_reply_never_came_is_repeated_by_its_caller",),
    ),
    Mutant(
        "a head that a purge has lost is never rung again",
        "lua/ring.lua",
        " and not missing(fence, id, r) then\n",
        " then\n",
        (GATE + "test_ring.py::test_a_purged_queue_is_rung_again_after_the_grace",),
    ),
    Mutant(
        "after an outage living workers' tasks are taken for lost ones",
        "lua/sweep.lua",
        "local may_reclaim = K.ms - tonumber(since) >= ttl\n",
        "local may_reclaim = true\n",
        (GATE + "test_sweep.py::test_after_a_time_without_sweeps_every_owner_renews_first",),
    ),
)

MODULES = (
    Mutant(
        "a retry forgets what its call said",
        "publish.py",
        "(_carried() if run else {})",
        "{}",
        (WORKER + "test_failures.py::test_a_retry_keeps_the_word_of_the_call",),
    ),
    Mutant(
        "a script that Redis has forgotten is fatal",
        "evaluate.py",
        "            except NoScriptError:\n                connection.send_command(",
        "            except ZeroDivisionError:\n                connection.send_command(",
        (GATE + "test_noscript.py::test_every_script_comes_back",),
    ),
    Mutant(
        "a sender waits for a second producer of the pool",
        "release.py",
        "self._app.producer_or_acquire(producer)",
        "self._app.producer_or_acquire()",
        ("tests/brokers/test_producers.py::test_the_callers_own_producer_brings_the_ticket",),
    ),
    Mutant(
        "a burst leaves all of its connections open",
        "connections.py",
        "if good and len(idle) < KEPT:",
        "if good:",
        (GATE + "test_connections.py::test_a_burst_of_parks_opens_what_it_needs_and_gives_back",),
    ),
    Mutant(
        "a child uses its parent's connections",
        "connections.py",
        "if self._idle.process is not _process:",
        "if False:",
        (GATE + "test_connections.py::test_a_child_has_its_own",),
    ),
    Mutant(
        "an answer that was not read becomes that of the next call",
        "connections.py",
        "if sys.exc_info()[0] is None:",
        "if True:",
        (GATE + "test_connections.py::test_an_answer_left_unread_reaches_nobody",),
    ),
    Mutant(
        "a kept connection stays with a server that has become a replica",
        "store.py",
        "                if kind.distrusted:\n",
        "                if False:\n",
        (GATE + "test_failover.py::test_what_the_old_server_refuses_the_new_one_does",),
    ),
    Mutant(
        "a kept connection goes on with a master that was replaced",
        "connections.py",
        "            if self.trusts(connection):\n",
        "            if True:\n",
        (GATE + "test_sentinel.py::test_nothing_is_parked_at_an_old_master_that_comes_back",),
    ),
    Mutant(
        "a worker's older ticket takes the place of a newer one",
        "worker/publisher.py",
        "if known is not None and known.fence >= ticket.fence:",
        "if False:",
        (
            "tests/brokers/test_publisher.py::test_a_newer_ticket_takes_the_place_of_an_older_one_never_the_other_way_round",
        ),
    ),
    Mutant(
        "a separator inside a text splits it",
        "keys.py",
        "    return text if _PLAIN.fullmatch(text) else _quote(text, safe=_SAFE)\n",
        "    return text\n",
        (GATE + "test_data.py::test_a_hostile_id_lives_a_whole_life",),
    ),
    Mutant(
        "a slot leaks on an outcome that is no success: a time limit",
        "worker/request.py",
        "                self.member.when_child_gone(self.worker_pid, run.ended)\n",
        "                pass\n",
        (CHAOS + "test_takeover.py::test_a_task_beyond_its_time_limit_lets_its_group_go_on",),
    ),
    Mutant(
        "what is acknowledged counts as over",
        "worker/run.py",
        "        if self.over or not self.started:\n",
        "        if True:\n",
        (CHAOS + "test_takeover.py::test_a_terminated_run_holds_its_group_until_it_is_gone",),
    ),
    Mutant(
        "a lease is not renewed while its task waits in the worker's buffer",
        "worker/heart.py",
        "        runs, since = dict(self._member.runs), monotonic()\n",
        "        runs, since = {at: run for at, run in self._member.runs.items() if run.started}, monotonic()\n",
        (CHAOS + "test_takeover.py::test_what_waits_in_a_workers_buffer_keeps_its_lease",),
    ),
    Mutant(
        "a lonely worker reclaims nothing",
        "worker/heart.py",
        "min(settings.sweep_interval, settings.lease_ttl / 4)",
        "settings.sweep_interval",
        (CHAOS + "test_takeover.py::test_a_killed_workers_group_moves_on_within_a_lease_and_a_sweep",),
    ),
    Mutant(
        "a run that stood still before its start starts without its lease",
        "task.py",
        '        self._refuse_when_lost(request, "The task is not started.")\n',
        "",
        (CHAOS + "test_takeover.py::test_a_run_whose_lease_was_lost_before_its_start_does_not_start",),
    ),
    Mutant(
        "an orphaned child runs on",
        "__init__.py",
        "from __future__ import annotations\n",
        "from __future__ import annotations\n\n"
        "from celery import platforms\n\n"
        "platforms.set_pdeathsig = lambda *_: None\n",
        (CHAOS + "test_takeover.py::test_the_children_of_a_killed_worker_do_not_run_on",),
    ),
    Mutant(
        "a broken connection ends the worker",
        "worker/broker.py",
        "    channel.close = closing\n",
        "",
        (CHAOS + "test_network.py::test_a_channel_whose_brpop_broke_is_closed_with_its_connection",),
    ),
    Mutant(
        "answers on a new connection are not heard",
        "worker/finishes.py",
        "        self._heard = None\n",
        "",
        (GATE + "test_finishes.py::test_a_new_connection_is_listened_to",),
    ),
    Mutant(
        "a ticket that comes when nobody consumes any more is gone",
        "worker/broker.py",
        "            append(qos.get(tag), tag)\n",
        "",
        ("tests/brokers/test_copies.py::test_what_comes_when_nobody_consumes_any_more_goes_back",),
    ),
    Mutant(
        "a guard lets an older run write",
        "fencing.py",
        "if last and tonumber(last) > tonumber(ARGV[2]) then\n",
        "if false then\n",
        ("tests/unit/test_fencing.py::test_redis_keeps_the_newest_whatever_the_order",),
    ),
)

MUTANTS = SCRIPTS + MODULES
