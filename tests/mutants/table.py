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
STALLS, UNIT = "tests/stalls/", "tests/unit/"

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
        (GATE + "test_continuation.py::test_the_group_waits_out_the_countdown",),
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
        "    steps = steps - 1\n",
        "",
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
        "lua/finish.lua",
        "if not stored then\n",
        "if not stored and not ARGV[after] then\n",
        (GATE + "test_continuation.py::test_a_run_that_lost_its_lease_stores_nothing",),
    ),
    Mutant(
        "a finish forgets its continuation",
        "lua/finish.lua",
        "if stored ~= '-' or ARGV[after] then\n",
        "if stored ~= '-' then\n",
        (
            GATE + "test_continuation.py::test_the_group_waits_out_the_countdown",
            GATE + "test_exploration.py::test_with_faults_everything_still_ends",
        ),
    ),
    Mutant(
        "a continuation is finished without being stored",
        "lua/finish.lua",
        "    continue(id, r, ARGV[after], ARGV[after + 1], ARGV[after + 2], ARGV[after + 3])\n",
        "    r.due = number(K.ms + ARGV[after + 3])\n",
        (
            GATE + "test_continuation.py::test_the_continuation_is_a_new_message_and_may_go_elsewhere",
            GATE + "test_exploration.py::test_with_faults_everything_still_ends",
        ),
    ),
    Mutant(
        "what goes on under a run's id takes its place, also with another key",
        "lua/lib/replace.lua",
        "if not name or r and r.state == 'running' and r.group == group then\n",
        "if not name or r and r.state == 'running' then\n",
        (
            GATE + "test_replaced.py::test_it_joins_the_line_of_its_own_group",
            GATE + "test_exploration.py::test_with_faults_everything_still_ends",
        ),
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
        "  redis.call('ZADD', K.due, K.REST + K.ms, 'x ' .. r.group .. ' ' .. id)\n",
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
        "      redis.call('ZADD', K.due, (kind == 'e' and K.ETAS or K.REST) + K.ms + claim, member)\n",
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
        (GATE + "test_continuation.py::test_a_surrendered_run_with_a_replacement_waits_for_its_due_time",),
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
        (
            GATE + "test_lost_replies.py::test_a_begin_whose_reply_never_came_is_repeated_by_its_caller",
            GATE + "test_exploration.py::test_with_faults_everything_still_ends",
        ),
    ),
    Mutant(
        "a head that a purge has lost is never rung again",
        "lua/ring.lua",
        " and not missing(fence, id, r) then\n",
        " then\n",
        (GATE + "test_ring.py::test_a_purged_queue_is_rung_again_after_the_grace",),
    ),
    Mutant(
        "a ticket in a queue behind the first hundred is never rung",
        "worker/lost.py",
        '"" if ends else page[-1].queue',
        '""',
        (GATE + "test_lost_tickets.py::test_a_ticket_in_the_last_of_many_queues",),
    ),
    Mutant(
        "a lost ticket waits for the backlog of another partition",
        "worker/lost.py",
        "if len(self._gate.keyspace.partitions) > 1 else 0)",
        "if False else 0)",
        (GATE + "test_lost_tickets.py::test_a_ticket_that_was_overtaken_by_those_of_another_partition",),
    ),
    Mutant(
        "nothing is rung until a clock that was set back has caught up",
        "lua/ring.lua",
        "  below = 9e15 --",
        "  below = below --",
        (GATE + "test_lost_tickets.py::test_a_clock_that_jumps_hides_no_lost_ticket",),
    ),
    Mutant(
        "a queue that nobody consumes gets more and more messages",
        "worker/lost.py",
        "answer.tickets - answer.length, 0",
        "answer.tickets, 0",
        (
            GATE + "test_lost_tickets.py::test_a_queue_that_nobody_consumes_gets_no_more_messages",
            GATE + "test_lost_tickets.py::test_as_many_go_out_again_as_are_missing",
        ),
    ),
    Mutant(
        "where the broker can't tell, a quiet queue is rung every minute",
        "worker/lost.py",
        "BOUND * 2.0**head.rings",
        "BOUND",
        (GATE + "test_lost_tickets.py::test_where_the_broker_cannot_tell_it_waits_twice_as_long_each_time",),
    ),
    Mutant(
        "each worker rings a queue that another one has just rung",
        "lua/ring.lua",
        "  if at == 1 and oldest ~= '0' and oldest ~= fence or counts",
        "  if counts",
        (GATE + "test_ring.py::test_who_comes_second_rings_nothing",),
    ),
    Mutant(
        "the bell rings, and nobody hears it",
        "worker/sweeper.py",
        "                    self._woken.add(tags[rung])\n",
        "                    pass\n",
        (GATE + "test_sweeper.py::test_a_countdown_that_another_process_parks_is_not_late",),
    ),
    Mutant(
        "nobody rings the bell for what is due sooner",
        "lua/park.lua",
        "  if not sooner[1] then\n",
        "  if false then\n",
        (
            GATE + "test_sweeper.py::test_a_countdown_that_another_process_parks_is_not_late",
            GATE + "test_park.py::test_a_sooner_delay_wakes_a_sleeping_sweeper_and_a_later_one_does_not",
        ),
    ),
    Mutant(
        "whom the bell wakes is not told when something is due",
        "lua/lib/pulse.lua",
        "  if woken == '1' or watcher",
        "  if watcher",
        (GATE + "test_sweeper.py::test_a_countdown_that_another_process_parks_is_not_late",),
    ),
    Mutant(
        "every worker wakes for what is due",
        "lua/sweep.lua",
        "watches and next_due(left) or -1",
        "next_due(left)",
        (GATE + "test_sweeper.py::test_only_who_watches_plans_for_what_is_due",),
    ),
    Mutant(
        "a watch lasts for ever",
        "lua/lib/pulse.lua",
        " or left <= 0 or left > watch then",
        " or not watcher then",
        (GATE + "test_sweeper.py::test_a_watch_ends_by_itself",),
    ),
    Mutant(
        "a begin is refused by a full Redis",
        "lua/lib/flight.lua",
        "    redis.call('ZREM', K.rung, queue .. ' ' .. fence .. ' ' .. id)\n",
        "",
        (GATE + "test_store_errors.py::test_a_full_redis_still_lets_tasks_end_and_the_next_ones_begin",),
    ),
    Mutant(
        "after an outage living workers' tasks are taken for lost ones",
        "lua/sweep.lua",
        "  elseif kind == 'l' and K.ms - since < ttl then\n",
        "  elseif false then\n",
        (GATE + "test_sweep.py::test_after_a_time_without_sweeps_every_owner_renews_first",),
    ),
    Mutant(
        "a crowd of ETAs takes a whole queue",
        "lua/advance.lua",
        "    if not first or has_room(KEYS[10], lists, first.queue, 'a ' .. group) then\n",
        "    if true then\n",
        (GATE + "test_crowd.py::test_a_served_queue_gets_only_so_much_of_a_crowd",),
    ),
    Mutant(
        "a crowd of retries takes a whole queue",
        "lua/sweep.lua",
        "(kind ~= 'h' or at > due or has_room(crowd, lists, r.queue, member))",
        "true",
        (GATE + "test_crowd.py::test_retries_that_come_due_at_once_are_a_crowd",),
    ),
    Mutant(
        "who waits for room stays among what is due",
        "lua/lib/crowd.lua",
        "    redis.call('ZADD', K.due, K.CROWDS + K.ms, member)\n",
        "    redis.call('ZADD', K.due, K.HOLDS + K.ms, member)\n",
        (GATE + "test_crowd.py::test_a_crowd_that_waits_costs_next_to_nothing",),
    ),
    Mutant(
        "a row counts whatever has become of who waited",
        "lua/lib/crowd.lua",
        "tonumber(redis.call('ZSCORE', K.due, member) or 0) == K.CROWDS + ms",
        "true",
        (GATE + "test_crowd.py::test_who_left_the_crowd_in_another_way_counts_no_more",),
    ),
    Mutant(
        "a lost worker's group waits behind every ETA that is due",
        "lua/lib/keys.lua",
        "K.ETAS = 2e14\n",
        "K.ETAS = 0\n",
        (GATE + "test_due.py::test_a_lost_workers_head_waits_behind_no_eta",),
    ),
    Mutant(
        "a lost worker's head queues up behind a backlog",
        "lua/lib/release.lua",
        "    or redis.pcall('RPUSH', lists[queue], message))\n",
        "    or redis.pcall('LPUSH', lists[queue], message))\n",
        (GATE + "test_sweep.py::test_a_dead_workers_head_does_not_wait_behind_a_backlog",),
    ),
    Mutant(
        "what a lost worker's head has passed counts as overtaken",
        "lua/lib/flight.lua",
        "noted and lost == '0' and",
        "noted and",
        (GATE + "test_sweep.py::test_a_dead_workers_head_does_not_wait_behind_a_backlog",),
    ),
    Mutant(
        "a kind of what is due takes a whole call",
        "lua/lib/due.lua",
        "math.floor(limit / (#kinds - at + 1))",
        "limit",
        (GATE + "test_due.py::test_each_kind_gets_a_share_of_a_call",),
    ),
    Mutant(
        "a ticket that the caller should publish is lost with the answer",
        "lua/lib/again.lua",
        "  if r and entry and r.state == 'released' and not lists[r.queue] then\n",
        "  if false then\n",
        (GATE + "test_asked_again.py::test_the_ticket_reaches_the_broker",),
    ),
    Mutant(
        "an answer holds any number of bytes",
        "recovery.py",
        "MOST_BYTES = 1_000_000\n",
        "MOST_BYTES = 1_000_000_000\n",
        (
            GATE + "test_due.py::test_what_is_cancelled_fits_into_an_answer",
            GATE + "test_due.py::test_what_is_purged_fits_into_an_answer",
        ),
    ),
)

MODULES = (
    Mutant(
        "a retry forgets what its call said",
        "publish.py",
        "**(run.options if run else {}), ",
        "",
        (WORKER + "test_failures.py::test_a_retry_keeps_the_word_of_the_call",),
    ),
    Mutant(
        "a script that Redis has forgotten is fatal",
        "evaluate.py",
        "            except NoScriptError:\n                load(",
        "            except ZeroDivisionError:\n                load(",
        (GATE + "test_noscript.py::test_every_script_comes_back",),
    ),
    Mutant(
        "an entry is looked for under the usual name of its task only",
        "keys.py",
        "for number in range(NAMES)]",
        "for number in range(1)]",
        (
            GATE + "test_replaced.py::test_revoking_finds_it_after_the_original_has_ended",
            GROUPS + "test_names.py::test_find_shows_the_run_while_it_lasts",
        ),
    ),
    Mutant(
        "a sender waits for a second producer of the pool",
        "release.py",
        "self._app.producer_or_acquire(_of_kombu(producer))",
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
        "a failover list is followed back and forth",
        "failover.py",
        "key=lambda server: (server != self._used, server)",
        "key=lambda server: server",
        ("tests/unit/test_failover.py::test_it_is_kept_also_when_an_earlier_one_is_back",),
    ),
    Mutant(
        "a replica of a failover list is used",
        "failover.py",
        'return b"role:slave" not in connection.read_response()',
        "return bool(connection.read_response())",
        (GATE + "test_address_list.py::test_a_replica_takes_over_when_it_is_promoted",),
    ),
    Mutant(
        "a call's connection to another broker is ignored",
        "publish.py",
        "        gate.releaser.check(producer)\n",
        "",
        ("tests/brokers/test_connections_of_calls.py::test_one_to_another_broker_is_refused",),
    ),
    Mutant(
        "celery report shows the password of the gate's URL",
        "masks.py",
        "name: shown(value) if value",
        "name: value if value",
        ("tests/unit/test_masks.py::test_celery_hides_it_too",),
    ),
    Mutant(
        "a server that is too old gets the scripts",
        "evaluate.py",
        "            checked_version(found[1].decode())\n",
        "            found[1].decode()\n",
        (GATE + "test_server_kind.py::test_a_send_is_refused",),
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
        "a lonely worker reclaims nothing",
        "worker/sweeper.py",
        "min(settings.sweep_interval, settings.lease_ttl / 4)",
        "settings.sweep_interval",
        (GATE + "test_sweeper.py::test_the_interval_is_well_below_half_a_lease",),
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

WORKERS = (
    Mutant(
        "a slot leaks on an outcome that is no success: a time limit",
        "worker/request.py",
        "                self.member.when_child_gone(run)\n",
        "                pass\n",
        (CHAOS + "test_takeover.py::test_a_task_beyond_its_time_limit_lets_its_group_go_on",),
    ),
    Mutant(
        "what is acknowledged counts as over",
        "worker/run.py",
        "        if not running:\n",
        "        if True:\n",
        (
            CHAOS + "test_takeover.py::test_a_terminated_run_holds_its_group_until_it_is_gone",
            UNIT + "test_run.py::test_acknowledged_is_not_over",
        ),
    ),
    Mutant(
        "two threads end a run",
        "worker/run.py",
        "            while (before := self.state) in FOLLOWS[state]:\n",
        "            while before := self.state:\n",
        (UNIT + "test_run.py::test_no_other_edge_can", UNIT + "test_run.py::test_of_many_threads_one_walks_an_edge"),
    ),
    Mutant(
        "a signal handler in the midst of a transition makes two of it",
        "worker/run.py",
        "                if self.state is before:",
        "                if True:",
        (UNIT + "test_run.py::test_a_signal_handler_in_the_midst_of_a_transition_is_one_of_two",),
    ),
    Mutant(
        "what the pool has just got is ended as lost",
        "worker/endings.py",
        "        before = run.lost()\n",
        "        before = run.state\n        before = before if run.lost() else None\n",
        (UNIT + "test_endings.py::test_a_lost_run_that_was_given_to_the_pool_meanwhile_is_not_ended",),
    ),
    Mutant(
        "a slow receiver delays sweeps",
        "events.py",
        'self._aside(lambda: self._count(signals.group_reclaimed, "reclaimed", count))',
        'self._count(signals.group_reclaimed, "reclaimed", count)',
        (UNIT + "test_signals.py::test_a_sweep_does_not_wait_for_receivers",),
    ),
    Mutant(
        "a lease is not renewed while its task waits in the worker's buffer",
        "worker/renewer.py",
        "[run for run in runs if run.state in LEASED]",
        "[run for run in runs if run.state in LEASED and run.pid]",
        (CHAOS + "test_takeover.py::test_what_waits_in_a_workers_buffer_keeps_its_lease",),
    ),
    Mutant(
        "a lease is renewed without a run, as long as the worker lives",
        "worker/renewer.py",
        "        gone, self._suspects = loose & self._suspects, loose - self._suspects\n",
        "        gone = set()\n",
        (UNIT + "test_renewer.py::test_a_run_that_nobody_has_is_given_up_and_not_renewed_for_ever",),
    ),
    Mutant(
        "a lease counts as lost that is still to be granted",
        "worker/renewer.py",
        "            if run not in beginning:\n",
        "            if True:\n",
        (UNIT + "test_renewer.py::test_one_that_begins_while_the_gate_is_asked_is_not_lost",),
    ),
    Mutant(
        "a retry is lost on its way",
        "worker/trace.py",
        "    entry = None if guard.refused else continuation.close()\n",
        "    entry = None\n",
        (
            GATE + "test_trace.py::test_a_retry_comes_out_with_the_end",
            STALLS + "test_retries.py::test_it_is_not_lost_and_keeps_its_place",
        ),
    ),
    Mutant(
        "a retry is undone by a result backend that is away",
        "worker/trace.py",
        "        if continuation.entry is None:\n            raise\n",
        "        raise\n",
        (GATE + "test_trace.py::test_so_is_it_when_the_task_rejects_itself_afterwards",),
    ),
    Mutant(
        "what replaces a run stays in its line, whatever its key",
        "publish.py",
        "        return key if key != run.key else None\n",
        "        return None\n",
        (WORKER + "test_canvas.py::test_replaced_by_another_group_s_task",),
    ),
    Mutant(
        "a late run starts",
        "worker/trace.py",
        '        guard.check("The task is not started.")\n',
        "",
        (GATE + "test_trace.py::test_one_that_has_lost_it_does_not_start",),
    ),
    Mutant(
        "a late result is stored",
        "worker/trace.py",
        '        guard.check("The result is refused.")\n',
        "",
        (
            GATE + "test_trace.py::test_a_late_result_is_not_stored_nor_told",
            STALLS + "test_suspend.py::test_its_result_is_not_stored",
        ),
    ),
    Mutant(
        "a lease is measured with a clock that a suspension stops",
        "clock.py",
        '    if hasattr(time, "CLOCK_BOOTTIME"):\n',
        "    if False:\n",
        (STALLS + "test_suspend.py::test_a_stale_run_does_not_start",),
    ),
    Mutant(
        "a call that Redis refuses is forgotten",
        "worker/line.py",
        "            told.refuse(reply)\n            self._keep([told], False)\n",
        "            told.refuse(reply)\n",
        (GATE + "test_outbox.py::test_a_redis_that_takes_no_writes_is_told_later",),
    ),
    Mutant(
        "an answer that never comes is waited for, for ever",
        "worker/line.py",
        "        if overdue:\n",
        "        if False:\n",
        (GATE + "test_outbox.py::test_a_black_hole_is_noticed_though_nothing_breaks",),
    ),
    Mutant(
        "the main loop waits for the gate",
        "worker/outbox.py",
        "        if self._line.here:\n",
        "        if not wait:\n            self._tell_now(told)\n        elif self._line.here:\n",
        (GATE + "test_outbox.py::test_what_ends_in_one_turn_goes_out_together_and_nobody_waits",),
    ),
    Mutant(
        "a repeated finish moves the begin time of what it took",
        "worker/line.py",
        "            for told in batch:\n                told.sent = sent\n",
        "            for told in batch:\n                told.sent = told.since = sent\n",
        (GATE + "test_outbox.py::test_the_first_telling_is_what_a_lease_may_run_from",),
    ),
    Mutant(
        "answers on a new connection are not heard",
        "worker/line.py",
        "        if self._reading == connection.fileno():\n            self._reading = None\n",
        "",
        (GATE + "test_outbox.py::test_broken_connections_are_made_anew",),
    ),
    Mutant(
        "timers that Celery clears are gone",
        "worker/loop.py",
        "            self._timers.clear()  # as Celery may have done\n        self._plan()\n",
        "            self._timers.clear()\n",
        (UNIT + "test_loop.py::test_nothing_is_forgotten_when_celery_clears_its_timers",),
    ),
    Mutant(
        "a reconnect forgets what a child runs",
        "worker/prefork.py",
        "            for job in kept:\n                job._accepted = job in accepted\n"
        "                inner._cache.setdefault(job._job, job)\n",
        "            for job in kept:\n                job._accepted = job in accepted\n"
        "                inner._cache.pop(job._job, None)\n",
        (STALLS + "test_reconnects.py::test_all_tasks_end_in_order_and_none_is_repeated",),
    ),
    Mutant(
        "a tuning that does not fit ends the start",
        "worker/patches.py",
        "            except Exception:\n                self._known[name] = False\n",
        "            except ZeroDivisionError:\n                self._known[name] = False\n",
        (UNIT + "test_patches.py::test_without_one_that_saves_time_the_worker_goes_celerys_way",),
    ),
)

BROKERS = "tests/brokers/"

PUBLISHING = (
    Mutant(
        "whoever publishes a ticket declares nothing",
        "release.py",
        'for entity in entities(said.get("declare", ()))',
        "for entity in []",
        (BROKERS + "test_options.py::test_what_was_declared_is_as_the_sender_has_it",),
    ),
    Mutant(
        "a mandatory message loses its mark",
        "release.py",
        '"mandatory": said.get("mandatory", False),',
        '"mandatory": False,',
        (BROKERS + "test_options.py::test_a_mandatory_ticket_that_nobody_takes_is_logged",),
    ),
    Mutant(
        "an answer to an earlier publish counts as a refused declaration",
        "release.py",
        'if str(error.method_name).startswith(("Queue.", "Exchange.")):',
        "if True:",
        (UNIT + "test_publish_ticket.py::test_the_answer_to_an_earlier_publish_is_none_to_the_declaration",),
    ),
    Mutant(
        "a queue that is there otherwise halts its groups",
        "worker/publisher.py",
        "self._undeclared.add(refused.name)",
        "raise refused",
        (BROKERS + "test_options.py::test_a_queue_that_is_there_otherwise_is_used_as_it_is",),
    ),
    Mutant(
        "a countdown counts twice with quorum queues",
        "publish.py",
        "        if routed:\n",
        "        if False:\n",
        (GATE + "test_native_delay.py::test_a_call_by_name",),
    ),
    Mutant(
        "a message for several queues is parked",
        "route.py",
        "    if len(queues) > 1:\n",
        "    if False:\n",
        (GATE + "test_routes.py::test_bindings_of_others_count",),
    ),
    Mutant(
        "a task for a broadcast queue is parked",
        "route.py",
        '        if kind == "fanout":\n',
        "        if False:\n",
        (GATE + "test_routes.py::test_a_broadcast_queue_is_refused_at_the_call",),
    ),
    Mutant(
        "a server that was emptied loses its bindings for ever",
        "release.py",
        "            if not queues and declare:",
        "            if False:",
        (GATE + "test_routes.py::test_a_server_that_was_emptied_is_told_again",),
    ),
    Mutant(
        "an expiration is left to the broker",
        "message.py",
        'properties.pop("expiration", None)',
        "None",
        (BROKERS + "test_options.py::test_an_expiration_is_the_tasks_expiry",),
    ),
    Mutant(
        "what wraps the publish does not see a bulk send",
        "compose.py",
        "        and _is_celerys(messaging.Producer.publish, messaging)\n",
        "",
        (GATE + "test_hooked_publish.py::test_a_bulk_send_is_seen_task_by_task",),
    ),
    Mutant(
        "an error of a channel ends the worker",
        "worker/reconnect.py",
        "    consumer.loop = looping\n",
        "",
        (BROKERS + "test_channel_errors.py::test_it_is_set_when_the_worker_has_started",),
    ),
    Mutant(
        "what the user says of channel errors does not count",
        "worker/reconnect.py",
        "    if _is_set(conf):",
        "    if False:",
        (BROKERS + "test_channel_errors.py::test_what_the_user_says_counts",),
    ),
)

NAMES = (
    Mutant(
        "a copied header counts as a ticket",
        "headers.py",
        '    if ticket is None or ticket.id != headers.get("id") or not isinstance(headers.get(KEY_HEADER), str):\n',
        "    if ticket is None or not isinstance(headers.get(KEY_HEADER), str):\n",
        (
            UNIT + "test_headers.py::test_a_ticket_is_its_own_tasks",
            WORKER + "test_headers.py::test_so_it_is_where_the_broker_is_not_the_gates_redis",
        ),
    ),
    Mutant(
        "a ticket counts wherever it stands",
        "worker/receiver.py",
        "        return None if pushed and message.delivery_tag != message.headers[HEADER] else ticket\n",
        "        return ticket\n",
        (WORKER + "test_headers.py::test_a_plain_task_with_a_forged_ticket_is_plain",),
    ),
    Mutant(
        "a task sees the headers of the gate",
        "worker/request.py",
        "            request.pop(name, None)\n",
        "            request.get(name)\n",
        (
            UNIT + "test_precomputed.py::test_what_goes_to_a_child_is_precomputed",
            WORKER + "test_headers.py::test_a_run_sees_only_headers_of_its_own",
        ),
    ),
    Mutant(
        "a plain task is sent with a header of the gate",
        "publish.py",
        '        options["headers"] = cleaned(headers)\n    clean(message.headers)\n',
        "        pass\n    clean(message.headers)\n",
        (GATE + "test_headers.py::test_a_plain_task_has_none",),
    ),
    Mutant(
        "a receiver of Celery's signals adds one",
        "publish.py",
        "            producer = _Cleaner(producer)\n",
        "            pass\n",
        (GATE + "test_headers.py::test_what_a_signal_handler_puts_in",),
    ),
    Mutant(
        "a method of a mixin is taken for an option",
        "options.py",
        "        if value is not None and _is_value(value):\n",
        "        if value is not None:\n",
        (UNIT + "test_options.py::test_what_a_mixin_calls_so_is_no_option",),
    ),
    Mutant(
        "a misspelt option is sent as a property of the message",
        "publish.py",
        '    check_names(options, f"with a call of {name}")\n',
        "",
        (UNIT + "test_options.py::test_a_misspelt_option_of_a_call_names_the_nearest",),
    ),
    Mutant(
        "a callable key gets the call as it was written",
        "grouping.py",
        "        args, kwargs = arguments_for(spec, bound, values)\n",
        "        args, kwargs = bound.args, bound.kwargs\n",
        (UNIT + "test_grouping.py::test_a_callable_gets_the_call_by_the_names_of_the_task",),
    ),
    Mutant(
        "Celery's lines name no group",
        "worker/patches.py",
        "    lines.install()\n",
        "",
        (WORKER + "test_log.py::test_each_line_of_an_ordered_run_names_its_group",),
    ),
)

MUTANTS = SCRIPTS + MODULES + WORKERS + PUBLISHING + NAMES
