-- Redis runs scripts on Lua 5.1 and offers these globals.
std = "lua51"
read_globals = { "redis", "KEYS", "ARGV", "cjson", "cmsgpack", "struct", "bit" }
max_line_length = 120

-- A file by itself does not show what the shared parts define (113), nor who uses them (211, 241):
-- `make check` looks for undefined names in the scripts with their parts in place.
ignore = { "113" }
files["celery_groupfifo/gate/lua/advance.lua"] = { globals = { "steps" } } -- of lib/advance.lua
files["celery_groupfifo/gate/lua/lib"] = { ignore = { "113", "211", "241" } }
