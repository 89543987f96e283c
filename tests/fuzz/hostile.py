#!/usr/bin/env python3
"""Renders hostile templates with a release build: each must end by its budget, soon and in little memory.

usage: hostile.py EXECUTABLE [NAME…]
"""
import argparse
import json
import os
import pathlib
import resource
import sys
import tempfile

TABLE = pathlib.Path(__file__).with_name("hostile.jsonl")

# Of processor time. A machine that has nothing else to do takes a third of it.
SECONDS_MAX = 3.0
# Resident, with the executable.
MEBIBYTES_MAX = 64


def render(executable, template):
    """Seconds of processor time, resident MiB at most, and what was said."""
    with tempfile.TemporaryFile() as errors:
        pid = os.fork()
        if pid == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(errors.fileno(), 2)
            os.execv(executable, [executable, "render", "--data", f"{template}.json", template])
        _, status, used = os.wait4(pid, 0)
        errors.seek(0)
        said = errors.read(400).decode(errors="replace").strip()
        if os.WIFSIGNALED(status):
            said = f"ended by signal {os.WTERMSIG(status)}"
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, said


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("executable")
    args.add_argument("names", nargs="*")
    args = args.parse_args()
    executable, names = args.executable, args.names
    rows = [json.loads(line) for line in TABLE.read_text().splitlines()]
    rows = [row for row in rows if not names or row["name"] in names]
    wrong, slowest, largest = 0, 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        template = os.path.join(folder, "t")
        pathlib.Path(f"{template}.json").write_text("{}")
        for row in rows:
            pathlib.Path(template).write_text(row["t"] * row.get("repeat", 1))
            seconds, mebibytes, said = render(executable, template)
            slowest, largest = max(slowest, seconds), max(largest, mebibytes)
            if seconds > SECONDS_MAX or mebibytes > MEBIBYTES_MAX or said.startswith("ended by"):
                wrong += 1
                print(f"{row['name']}: {seconds:.2f} s, {mebibytes:.0f} MiB, {said}")
            elif names:
                print(f"{row['name']}: {seconds:.2f} s, {mebibytes:.0f} MiB, {said}")
    print(f"{len(rows)} hostile templates: {slowest:.2f} s and {largest:.0f} MiB at most, {wrong} beyond bounds")
    sys.exit(1 if wrong else 0)


main()
