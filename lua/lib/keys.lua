-- The keys and arguments that every script shares.
--
-- KEYS[1] entries (hash)    id -> "<parked us> <group> <queue> <cut>[ <fair>][ <limits>]\n<message>", see lib/fair.lua
--                           and lib/limits.lua
-- KEYS[2] groups  (hash)    group -> its state, and the records of its entries under way, see lib/group.lua
-- KEYS[3] due     (zset)    what is due at a time. Each kind has a range of scores: when it is due (ms) and
--                           0      "w owner" the lease of a worker ends
--                           1e14   "h group id" a hold ends
--                           2e14   "e group id" an ETA comes
--                           3e14   "a group" a walk goes on, "v owner" a lost worker's heads are taken back,
--                                  "r group id" a ticket did not reach the broker, "d group fence" entries that a
--                                  failed run has cut off are cancelled, "b group id" a block ends, "q queue" a
--                                  queue's crowd comes in, "l group" its limits end, "t group" its starts are
--                                  forgotten, "i group identity" an identity counts no longer, "m group" its mark is
--                                  forgotten, see lib/window.lua, "f queue fair" a tenant's row is looked at, see
--                                  lib/fair.lua
--                           4e14   "h group id" that waits for room, see lib/crowd.lua: no time moves it
--                           5e14   "a group" that waits for room
--                           6e14   "s group value number id" that waits in its window, see lib/window.lua
-- KEYS[4] flags   (hash)    "<p | b | d> <group>" -> who has paused, blocked or drained a group, and why: JSON
--                           "l <group>" -> its limits, and who has set them, see limit.lua
-- KEYS[5] on_the_way (zset) "<queue> <release> <group>" of heads released and not yet begun, score 0;
--                           behind them those of tenants, see lib/fair.lua
-- KEYS[6] begins  (hash)    queue -> "<highest release begun> <when, ms> [<rereleases since>]", see rerelease.lua
--                           "s <group>" -> the last starts of a group with a rate, see lib/limits.lua
--                           and the identities of entries, see lib/identity.lua, and what waits in its window
-- KEYS[7] fence   (string)  the last number drawn, for a release or a fence
-- KEYS[8] stats   (hash)    totals
-- KEYS[9] dead    (hash)    dead letters, see lib/letters.lua
-- ARGV[1] clock   (us)      empty: the server's TIME; tests pass a number
-- ARGV[2] tag     (text)    namespace and partition, as they stand in a ticket
local K = {}
K.entries = KEYS[1]
K.groups = KEYS[2]
K.due = KEYS[3]
K.flags = KEYS[4]
K.on_the_way = KEYS[5]
K.begins = KEYS[6]
K.identities = K.begins
K.fence = KEYS[7]
K.stats = KEYS[8]
K.dead = KEYS[9]
K.tag = ARGV[2]
-- The starts of the ranges of due.
K.HOLDS = 1e14
K.ETAS = 2e14
K.REST = 3e14
K.CROWDS = 4e14
K.WINDOWS = 6e14
