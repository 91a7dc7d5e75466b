"""The names in a line of Lua."""

from __future__ import annotations

import pytest

from lua.names import declared, parts, used, visible

USED = {
    "local x = y + z -- w": {"y", "z"},
    "x, y = y, x": {"x", "y"},
    "steps = steps - 1": {"steps"},
    "t.x = t.y == z and K.w": {"t", "K", "z", "and"},
    "local r = { release = drawn, id = id }": {"drawn", "id"},
    "    release = drawn, lost = lost,": {"drawn", "lost"},
    "t[at] = { at = x }": {"t", "at", "x"},
    "for at, line in ipairs(lines) do": {"ipairs", "lines", "do"},
    "redis.call('HSET', key, 'steps = x')": {"redis", "key"},
}
DECLARED = {
    "local x, y": {"x", "y"},
    "  local x, y = z": {"x", "y"},
    "local function f(a, b)": {"a", "b"},
    "for i = 1, n do": {"i"},
    "for _, each in ipairs(t) do": {"_", "each"},
    "table.sort(t, function(a, b) return a < b end)": {"a", "b"},
    "x = 1 -- local y = 2": set(),
    "local x = ' local y = 2'": {"x"},
}


@pytest.mark.parametrize("line", USED)
def test_what_it_uses(line: str) -> None:
    assert used(line) == USED[line]


@pytest.mark.parametrize("line", DECLARED)
def test_what_it_declares(line: str) -> None:
    assert declared(line) == DECLARED[line]


def test_a_list_is_split_at_its_own_commas() -> None:
    assert parts("a, f(b, c), { d, e }, 'g, (h'") == ["a", "f(b, c)", "{ d, e }", "'g, (h'"]
    assert parts(" ") == []


def test_what_is_visible() -> None:
    text = """
local a = 1
local function f(b)
  local c = 2
  return b + c
end
for d = 1, 2 do
  local e = 3
  if d > 1 then
    local g = 4
  else
    local h = 5
    local i =
      h
    call(i)
  end
  local j = 6
end
"""
    lines = text.splitlines()
    at = next(at for at, line in enumerate(lines) if "call(i)" in line)
    assert sorted(visible(lines, at)) == ["a", "d", "e", "h", "i"]
    assert sorted(visible(lines, at - 1)) == ["a", "d", "e", "h"]
