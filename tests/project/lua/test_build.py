"""The scripts in the package are what their sources give; sources that do not fit together are refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from celery_groupfifo.gate import scripts
from lua import build
from lua.names import BuildError

KEYS = "local K = {}\nK.one = KEYS[1]\n"
READ = "-- Reads.\n--@include keys\n\nlocal function read()\n  return redis.call('GET', K.one)\nend\n"
GET = "-- get: read it.\n--\n-- Returns it\n--@include lib_read\nlocal text = read()\nreturn text\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with one script and two parts."""
    (tmp_path / build.SOURCES / "lib").mkdir(parents=True)
    (tmp_path / build.SCRIPTS).mkdir(parents=True)
    put(tmp_path, "lib/keys", KEYS)
    put(tmp_path, "lib/lib_read", READ)
    put(tmp_path, "get", GET)
    return tmp_path


def put(root: Path, name: str, text: str) -> None:
    (root / build.SOURCES / f"{name}.lua").write_text(text, "utf-8")


def test_the_scripts_in_the_package_are_those_of_the_sources() -> None:
    assert build.differences(build.ROOT) == [], "run `make scripts`"
    assert sorted(build.scripts(build.ROOT)) == sorted(scripts.NAMES)


def test_the_package_runs_the_file_as_it_is() -> None:
    for name in scripts.NAMES:
        assert scripts.source(name) == (build.ROOT / build.SCRIPTS / f"{name}.lua").read_text("utf-8")


@pytest.mark.parametrize("name", ["park", "begin", "finish"])
def test_the_hot_ones_make_few_functions(name: str) -> None:
    """Redis makes each anew in every call."""
    code = "\n".join(line.partition("--")[0] for line in scripts.source(name).splitlines())
    assert code.count("function") <= 10


def test_a_script_keeps_its_head_and_says_where_it_comes_from(root: Path) -> None:
    assert build.scripts(root)["get"] == (
        "-- Made of lua/get.lua by `make scripts`: change that file, not this one.\n--\n"
        "-- get: read it.\n--\n-- Returns it\n"
        "local redis_call = redis.call\nlocal K_one = KEYS[1]\n\n"
        "local read_1\ndo -- read()\n  read_1 = redis_call('GET', K_one)\nend\nlocal text = read_1\nreturn text\n"
    )


def test_each_part_stands_once_and_after_what_it_needs(root: Path) -> None:
    put(
        root, "lib/again", "--@include keys lib_read\nlocal function again()\n  return read() .. read() .. K.one\nend\n"
    )
    put(root, "get", "-- get: it.\n--@include again lib_read\nreturn again() .. read()\n")
    text = build.scripts(root)["get"]
    assert text.count("KEYS[1]") == text.count("function read(") == text.count("function again(") == 1
    assert text.index("K_one =") < text.index("function read(") < text.index("function again(")


def refused(root: Path, says: str) -> None:
    with pytest.raises(BuildError, match=says):
        build.scripts(root)


def test_a_part_that_is_used_and_not_included_is_refused(root: Path) -> None:
    put(root, "lib/lib_read", READ.replace("--@include keys\n", ""))
    refused(root, r"^lua/lib/lib_read\.lua: it uses K of keys, which it does not include\.$")
    put(root, "lib/lib_read", READ)
    put(root, "get", GET.replace("return text", "return text .. K.one"))
    refused(root, r"^lua/get\.lua: it uses K of keys, which it does not include\.$")


def test_a_part_that_is_included_and_not_used_is_refused(root: Path) -> None:
    put(root, "get", GET.replace("lib_read", "keys lib_read"))
    with pytest.raises(BuildError, match=r"^lua/get\.lua: it includes keys, and uses nothing of it\.$"):
        build.Sources(root).check_unused()
    build.Sources(build.ROOT).check_unused()


def test_a_part_that_is_not_there_is_refused(root: Path) -> None:
    put(root, "get", GET.replace("lib_read", "lib_read lib_raed"))
    refused(root, r"^lua/get\.lua: it includes lib_raed, which is not there\.$")


def test_parts_that_include_each_other_are_refused(root: Path) -> None:
    put(root, "lib/keys", "--@include lib_read\n" + KEYS + "local function two()\n  return read()\nend\n")
    refused(root, r"^lua/lib/\w+\.lua: it includes \w+, which includes it\.$")


@pytest.mark.parametrize("line", ["  --@include keys", "--@include keys"])
def test_an_include_below_the_head_is_refused(root: Path, line: str) -> None:
    put(root, "get", GET + f"if false then\n{line}\nend\n")
    refused(root, r"^lua/get\.lua: it includes parts at its head, in one line, and nowhere else\.$")


def test_what_the_inliner_refuses_is_named_with_its_script(root: Path) -> None:
    put(root, "get", GET.replace("local text", "local K = 2\nlocal text").replace("return text", "return text .. K"))
    refused(root, r"^lua/get\.lua: the variable K hides the one that the function read\(\) uses")


def test_writing_removes_a_script_without_a_source_and_changes_no_other_file(root: Path) -> None:
    made = root / build.SCRIPTS
    (made / "old.lua").write_text("return 1\n", "utf-8")
    (made / "notes.txt").write_text("kept", "utf-8")
    assert build.differences(root) == ["get", "old"]
    build.write(root)
    assert sorted(path.name for path in made.iterdir()) == ["get.lua", "notes.txt"]
    assert build.differences(root) == []


def test_the_check_names_what_differs_and_writes_nothing(tmp_path: Path) -> None:
    for folder in ("lua", str(build.SCRIPTS)):
        shutil.copytree(build.ROOT / folder, tmp_path / folder)
    changed = tmp_path / build.SCRIPTS / "begin.lua"
    changed.write_text(changed.read_text("utf-8") + "-- by hand\n", "utf-8")
    command = [sys.executable, "-m", "lua.build", "--check"]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "what their sources give: begin. Run `make scripts`" in done.stderr
    assert changed.read_text("utf-8").endswith("-- by hand\n")
    made = subprocess.run(command[:-1], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert not build.differences(tmp_path)
