"""The sources of the gate's scripts, and what makes the scripts of them: `make scripts`.

- One file per operation, `*.lua`, and shared parts in `lib/`. A file's `--@include` names the parts it uses.
- build.py puts the parts in place and writes the scripts into the package; inline.py makes them quicker, names.py knows
  the names in a text.
"""
