"""Scripts do the same with their functions in the place of the calls, or are refused."""

from __future__ import annotations

import re

import pytest
import redis

from lua.inline import inline_functions, unpack_table
from lua.names import BuildError

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
    "deep": """
local function deep(n)
  local found = 0
  if n > 0 then
    found = deep(n - 1)
  end
  return found + 1
end
""",
    "swap": """
local function swap(a, b)
  local pair = both(b)
  a = a + pair
  return a, b
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
    "over two lines": ("add", "local x =\n  add(1, 2)\nlocal y = add(x, 3)\n  + 4\nreturn { x, y }", "add"),
    "one argument of many": ("add", "local t = math.max(\n  1,\n  add(2, 3)\n)\nreturn t", "add"),
    "it calls itself": ("deep", "local x = deep(3)\nreturn x", "deep"),
    "fewer results than it has": ("both swap", "local a, b = 1, 2\nlocal x = swap(a, b)\nreturn { a, b, x }", ""),
    "a name of the caller's that changes": ("both swap", "local a, b = 1, 2\na, b = swap(a, b)\nreturn { a, b }", ""),
    "an argument with a comma in it": ("add", "local x = add(#{ 1, 2 }, string.len('a, b'))\nreturn x", ""),
    "a comment beside it": ("add", "local x = add(2, 3) -- not add(4, 5)\nreturn x", ""),
    "in a list": ("add", "local x, y = add(1, 2), (3)\nreturn { x, y }", "add"),
}


@pytest.mark.parametrize("case", SCRIPTS)
def test_it_gives_the_same(redis_url: str, case: str) -> None:
    functions, calls, stay = SCRIPTS[case]
    script = "".join(LIBRARY[name] for name in functions.split()) + calls + "\n"
    short = inline_functions(script)
    assert re.findall(r"local function (\w+)", short) == stay.split()
    with redis.Redis.from_url(redis_url) as client:
        assert client.eval(short, 0) == client.eval(script, 0)


def test_a_call_becomes_a_block_that_names_it() -> None:
    script = "-- Two numbers.\nlocal function add(a, b)\n  local sum = a + b -- both\n  return sum\nend\n\n"
    assert inline_functions(script + "local a = 1\nlocal c = add(a, 2)\nreturn c\n") == (
        "\nlocal a = 1\n"
        "local add_1\n"
        "do -- add(a, 2)\n"
        "  local b = 2\n"
        "  local sum = a + b -- both\n"
        "  add_1 = sum\n"
        "end\n"
        "local c = add_1\n"
        "return c\n"
    )


def test_comments_and_strings_stay() -> None:
    script = "-- of the file\nlocal x = ' - -' -- of the line\n\nreturn x\n"
    assert inline_functions(script) == script


def test_what_nothing_uses_is_left_out() -> None:
    assert inline_functions("-- of a\nlocal a = 1\nlocal b = a\nlocal c, d = 2, 3\nreturn c\n") == (
        "local c, d = 2, 3\nreturn c\n"
    )
    called = "local a = ping()\nreturn 1\n"
    assert inline_functions(called) == called, "a call may have an effect"


def test_fields_become_variables() -> None:
    script = "local T = {}\nT.a = ARGV[1]\nT.b = 2\nT.ab = 3\nif T.a == '' then\n  T.a = T.b\nend\nreturn T.a\n"
    assert unpack_table(script, "T") == (
        "local T_a = ARGV[1]\nlocal T_b = 2\nif T_a == '' then\n  T_a = T_b\nend\nreturn T_a\n"
    )


def test_a_field_that_only_an_unread_one_reads_is_left_out() -> None:
    script = "local T = {}\nT.a = 1\nT.b = T.a\nT.c = T.b\nreturn 2\n"
    assert unpack_table(script, "T") == "return 2\n"


def test_other_tables_stay() -> None:
    script = "local T = {}\nT.a = { T = 1 }\nlocal xT = { a = 2 }\nreturn { T.a.T, xT.a }\n"
    assert unpack_table(script, "T") == "local T_a = { T = 1 }\nlocal xT = { a = 2 }\nreturn { T_a.T, xT.a }\n"


LIMITED = """
local limit = 5
local function over(a)
  local rest = a - limit
  return rest
end
"""
#: Where a variable of the caller's hides one that the function uses, by where it stands.
HIDING = {
    "before it": "local limit = 1\nlocal x = over(9)\nreturn x + limit",
    "around it": "for limit = 1, 2 do\n  local x = over(limit)\nend\nreturn 1",
    "a parameter": "local function f(limit)\n  local x = over(limit)\n  return x\nend\nreturn { f(9) }",
    "in a block that is open": "if ARGV then\n  local limit = 1\n  if ARGV then\n    over(limit)\n  end\nend\nreturn 1",
    "before a branch": "local limit = 1\nif ARGV[1] then\n  limit = 2\nelse\n  over(limit)\nend\nreturn 1",
    "two calls away": (
        "local function f(a)\n  local x = over(a)\n  return x\nend\nlocal limit = 1\nlocal y = f(limit)\nreturn y"
    ),
}


@pytest.mark.parametrize("case", HIDING)
def test_a_variable_that_hides_one_of_a_functions_is_refused(case: str) -> None:
    with pytest.raises(BuildError, match=r"^lua/x\.lua: the variable limit hides .* function (over|f)\(\) uses"):
        inline_functions(LIMITED + HIDING[case] + "\n", "lua/x.lua")


#: Variables of the same name that count no more, or not yet.
APART = {
    "in a block that is closed": "if ARGV then\n  local limit = 1\n  ARGV[1] = limit\nend\nlocal x = over(9)\nreturn x",
    "after it": "local x = over(9)\nlocal limit = 2\nreturn x + limit",
    "in another branch": (
        "local x\nif #ARGV > 0 then\n  local limit = 1\n  x = limit\nelse\n  x = over(9)\nend\nreturn x"
    ),
    "in a call that stays": "local limit = 1\nreturn over(limit) + 1",
    "a field": "local t = { limit = 1 }\nlocal x = over(t.limit)\nreturn x",
}


@pytest.mark.parametrize("case", APART)
def test_a_variable_that_hides_none_where_it_is_called_is_not(redis_url: str, case: str) -> None:
    script = LIMITED + APART[case] + "\n"
    with redis.Redis.from_url(redis_url) as client:
        assert client.eval(inline_functions(script), 0) == client.eval(script, 0)


@pytest.mark.parametrize(
    "variable", ["local over = 1", "for over = 1, 2 do\nend", "local function f(over)\n  return over\nend\nf(1)"]
)
def test_a_variable_with_the_name_of_a_function_is_refused(variable: str) -> None:
    with pytest.raises(BuildError, match=r"^lua/x\.lua: the variable over has the name of the function over\(\)"):
        inline_functions(f"{LIMITED}{variable}\nlocal x = over(9)\nreturn x\n", "lua/x.lua")


def test_two_functions_of_one_name_are_refused() -> None:
    with pytest.raises(BuildError, match=r"^lua/x\.lua: the function over\(\) is defined twice"):
        inline_functions(LIMITED + LIMITED + "local x = over(9)\nreturn x\n", "lua/x.lua")
