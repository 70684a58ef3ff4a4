"""Compiles each source of this folder twice: as it stands it must fail, for the reason that its line `must fail:` gives
(a regular expression searched in the compiler's errors); with -DALLOWED, its twin that keeps to the rules, it must compile.

    check.py SOURCE COMPILER FLAGS...
"""
import os
import re
import subprocess
import sys


def compile_it(command):
    # The patterns are written for English messages.
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    return done.returncode == 0, done.stderr


def main():
    source, compiler, *flags = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        reason = re.search(r"^// must fail: (.+)$", file.read(), re.MULTILINE)
    if reason is None:
        sys.exit(f"{source}: add a line `// must fail: PATTERN` that says what the compiler's error is")
    command = [compiler, *flags, "-std=c++23", "-fsyntax-only", source]

    allowed, messages = compile_it(command + ["-DALLOWED"])
    if not allowed:
        sys.exit(f"{source}: the twin that keeps to the rules (-DALLOWED) does not compile:\n{messages}")
    forbidden, messages = compile_it(command)
    if forbidden:
        sys.exit(f"{source}: compiles, and must not")
    errors = [line for line in messages.splitlines() if "error:" in line]
    if not any(re.search(reason[1], line) for line in errors):
        sys.exit(f"{source}: fails for another reason than `{reason[1]}`:\n{messages}")


if __name__ == "__main__":
    main()
