-- The keys and arguments that every script shares.
--
-- KEYS[1] entries (hash)    id -> "<parked us> <group> <queue> <cut>\n<message>"
-- KEYS[2] flight  (hash)    id -> the record of an entry in flight, see lib/flight.lua
-- KEYS[3] due     (zset)    what is due at a time. Each kind has a range of scores: when it is due (ms) and
--                           0      "l id" a lease ends
--                           1e14   "h id" a hold ends
--                           2e14   "e group id" an ETA comes
--                           3e14   "a group" a walk goes on, "x group id" the slot of a dead letter, "r id" a ticket
--                                  did not reach the broker, "c id" an unreadable record, "d group fence" entries that
--                                  a failed run has cut off are cancelled, "q queue" a queue's crowd comes in
--                           4e14   "h id", "a group" that wait for room, see lib/crowd.lua: no time moves them
-- KEYS[4] depth   (zset)    group -> entries parked and in flight
-- KEYS[5] on_the_way (zset)   "<queue> <release> <id>" of heads released and not yet begun, score 0
-- KEYS[6] begins  (hash)    queue -> "<highest release begun> <when, ms> [<rereleases since>]", see rerelease.lua
-- KEYS[7] fence   (string)  the last number drawn, for a release or a fence
-- KEYS[8] stats   (hash)    totals
-- KEYS[9] dead    (list)    dead letters, newest first
-- ARGV[1] clock   (us)      empty: the server's TIME; tests pass a number
-- ARGV[2] tag     (text)    namespace and partition, as they stand in a ticket
local K = {}
K.entries = KEYS[1]
K.flight = KEYS[2]
K.due = KEYS[3]
K.depth = KEYS[4]
K.on_the_way = KEYS[5]
K.begins = KEYS[6]
K.fence = KEYS[7]
K.stats = KEYS[8]
K.dead = KEYS[9]
K.tag = ARGV[2]
-- The time, as number and as text.
K.us_text = ARGV[1]
if K.us_text == '' then
  local time = redis.call('TIME')
  K.us_text = time[1] .. string.format('%06d', time[2])
end
K.ms_text = string.sub(K.us_text, 1, -4)
K.us = tonumber(K.us_text)
K.ms = tonumber(K.ms_text)
-- The starts of the ranges of due.
K.HOLDS = 1e14
K.ETAS = 2e14
K.REST = 3e14
K.CROWDS = 4e14
