"""Scripts do the same with their functions in the place of the calls."""

from __future__ import annotations

import re

import pytest

from celery_groupfifo.gate import scripts
from celery_groupfifo.gate.inline import inline_functions, unpack_table
from tests.gate.support import World
from tests.gate.test_script_headers import FILES, PARTS, text

#: Functions by name.
LIBRARY = {
    "add": """
local function add(a, b)
  local sum = a + (b or 100) -- a comment
  return sum
end
""",
    "put": """
local function put(t, v)
  t[1] = v
end
""",
    "pop": """
local function pop(t)
  return table.remove(t)
end
""",
    "one": """
local function one()
  return 1
end
""",
    "less": """
local function less(v)
  v = v - 1
  return v
end
""",
    "both": """
local function both(a)
  return a, { a + 1, a + 2 }
end
""",
    "open": """
local function open(a)
  return a, (a + 1)
end
""",
    "long": """
local function long(a)
  return a .. 'b, c('
    .. 'd'
end
""",
    "twice": """
local function twice(a)
  local x = add(a, a)
  return x
end
""",
    "first": """
local function first(t)
  local found
  for _, v in ipairs(t) do
    if v > 1 then
      found = v
      break
    end
  end
  return found
end
""",
    "sign": """
local function sign(a)
  if a < 0 then
    return -1
  end
  return 1
end
""",
    "any": """
local function any(t)
  return unpack(t)
end
""",
    "unused": """
local function unused()
  return add(1, 2)
end
""",
}

#: By what it shows: functions, what calls them, and which of them stay.
SCRIPTS = {
    "a result": ("add", "local x = add(2, 3)\nreturn x", ""),
    "into what is there": ("add", "local x, y\nx = add(2, 3)\ny = add(x, 4)\nreturn y", ""),
    "into a field": ("add", "local t = {}\nt.x = add(2, 3)\nt[1] = add(t.x, 4)\nreturn t[1]", ""),
    "given back": ("add", "return add(2, 3)", ""),
    "for its effect": ("put", "local t = {}\nput(t, 7)\nreturn t[1]", ""),
    "its result is not wanted": ("pop", "local t = { 1, 2 }\npop(t)\nreturn #t", ""),
    "an argument left out": ("add", "local x = add(2)\nreturn x", ""),
    "an argument too many": ("add", "local x = add(2, 3, 4)\nreturn x", ""),
    "no parameters": ("one", "local x = one()\nreturn x", ""),
    "names of the caller's": ("add", "local sum, a, b = 5, 6, 7\nlocal x = add(b, a)\nreturn { sum, a, b, x }", ""),
    "parameters in another order": ("add", "local a, b = 1, 20\na = add(b, a)\nreturn { a, b }", ""),
    "a result where the function has a name": ("add", "local sum = 1\nsum = add(sum, sum)\nreturn sum", ""),
    "a parameter that changes": ("less", "local v = 5\nlocal w = less(v)\nreturn { v, w }", ""),
    "two results": ("both", "local x, y = both(1)\nreturn { x, y[1], y[2] }", ""),
    "two results given back": ("both", "return both(1)", ""),
    "a result over two lines": ("long", "return long('(')", ""),
    "one calls another": ("add twice", "local y = twice(4)\nreturn y", ""),
    "in a loop": ("first", "local t = {}\nfor i = 1, 3 do\n  t[i] = first({ 0, i, i + 1 })\nend\nreturn t", ""),
    "nobody calls it": ("add", "return 1", ""),
    "only one that nobody calls calls it": ("add unused", "return 1", ""),
    "it leaves early": ("sign", "local x = sign(-5)\nreturn x", "sign"),
    "any number of results": ("any", "return any({ 4, 5 })", "any"),
    "maybe any number": ("open", "return open(1)", "open"),
    "no result where one is wanted": ("put", "local x = put({}, 1)\nreturn x == nil", "put"),
    "inside an expression": ("add", "return add(1, 2) .. add(3, 4)", "add"),
    "in a condition": ("add", "if add(1, 2) == 3 then\n  return 1\nend\nreturn 2", "add"),
    "as an argument": ("add", "local x = add(add(1, 2), 3)\nreturn x", "add"),
    "in a list": ("add", "local x, y = add(1, 2), (3)\nreturn { x, y }", "add"),
}


@pytest.mark.parametrize("case", SCRIPTS)
def test_it_gives_the_same(world: World, case: str) -> None:
    functions, calls, stay = SCRIPTS[case]
    script = "".join(LIBRARY[name] for name in functions.split()) + calls + "\n"
    short = inline_functions(script)
    assert re.findall(r"local function (\w+)", short) == stay.split()
    assert world.redis.eval(short, 0) == world.redis.eval(script, 0)


def test_comments_are_left_out_and_strings_are_not() -> None:
    assert (
        inline_functions("-- of the file\nlocal x = ' - -' -- of the line\n\nreturn x\n")
        == "local x = ' - -'\nreturn x\n"
    )


def test_fields_become_variables() -> None:
    script = "local T = {}\nT.a = ARGV[1]\nT.b = 2\nT.ab = 3\nif T.a == '' then\n  T.a = T.b\nend\nreturn T.a\n"
    assert unpack_table(script, "T") == (
        "local T_a, T_b\nT_a = ARGV[1]\nT_b = 2\nif T_a == '' then\n  T_a = T_b\nend\nreturn T_a\n"
    )


def test_other_tables_stay() -> None:
    script = "local T = {}\nT.a = { T = 1 }\nlocal xT = { a = 2 }\nreturn { T.a.T, xT.a }\n"
    assert unpack_table(script, "T") == "local T_a\nT_a = { T = 1 }\nlocal xT = { a = 2 }\nreturn { T_a.T, xT.a }\n"


def test_the_hot_ones_have_no_function_on_their_way() -> None:
    assert "function" not in scripts.source("begin")
    for name, rare in (("park", "if known then"), ("finish", "if stored ~= '-'")):
        before, found, _ = scripts.source(name).partition(rare)
        assert found and "function" not in before


@pytest.mark.parametrize("name", [*FILES, *(f"lib/{part.removesuffix('.lua')}" for part in PARTS)])
def test_no_variable_has_the_name_of_a_function(name: str) -> None:
    functions = {
        found
        for part in PARTS
        for found in re.findall(r"local function (\w+)", text(f"lib/{part.removesuffix('.lua')}"))
    }
    found: set[str] = set()
    for names in re.findall(
        r"^ *local ([\w, ]+?)(?: =|$)|function \w+\((.*)\)|for ([\w, ]+) (?:=|in)", text(name), re.M
    ):
        found |= {one.strip() for each in names for one in each.split(",")}
    assert len(functions) > 20
    assert not found & functions
