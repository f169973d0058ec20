#!/usr/bin/python3
"""The rooms of core/ are a tower: a file includes files of its own room and of lower ones only."""

import os
import re
import sys

# From the top to the ground. Rooms of one line stand side by side and do not include each other.
TOWER = """
main
daemon
admin
probe
proxy
settings
module share
net limits lookup
tls map upstream geo
base
"""
# Programs and a library of their own, which look into the tower and are included by none of it.
BESIDE = {"check", "ctl"}

SOURCE = os.environ.get("srcdir", ".")
FLOOR = {room: -floor for floor, line in enumerate(TOWER.split("\n")) for room in line.split()}


def room_of(path):
    return path.split("/")[0] if "/" in path else "main"


def includes(core):
    for folder, _, names in os.walk(core):
        for name in sorted(names):
            if not name.endswith((".cc", ".h", ".def")):
                continue
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as file:
                for included in re.findall(r'^#include "([^"]+)"', file.read(), re.MULTILINE):
                    yield os.path.relpath(path, core), included


def faults_in(core):
    faults, arrows = [], 0
    for path, included in includes(core):
        here, there = room_of(path), room_of(included)
        if included == "config.h" or here == there or here == "include" or here in BESIDE:
            continue
        if there == "rum":  # the contract with modules
            continue
        arrows += 1
        if here not in FLOOR or there not in FLOOR:
            faults.append("%s includes %s: no such room in the tower" % (path, included))
        elif FLOOR[there] >= FLOOR[here]:
            way = "up" if FLOOR[there] > FLOOR[here] else "sideways"
            faults.append("%s includes %s: that runs %s" % (path, included, way))
    if arrows < 100:
        faults.append("only %d includes between rooms were found" % arrows)
    return faults


def link_order(am):
    """The rooms in the order in which programs link them."""
    with open(am, encoding="utf-8") as file:
        text = file.read().replace("\\\n", " ")
    line = re.search(r"^core_libs = (.*)$", text, re.MULTILINE).group(1)
    map_libs = re.search(r"^map_libs = (.*)$", text, re.MULTILINE).group(1)
    base_libs = re.search(r"^base_libs = (.*)$", text, re.MULTILINE).group(1)
    line = line.replace("$(map_libs)", map_libs).replace("$(base_libs)", base_libs)
    return re.findall(r"lib(\w+)\.la", line)


def main():
    core = os.path.join(SOURCE, "core")
    faults = faults_in(core)
    order = link_order(os.path.join(core, "core.am"))
    if sorted(order) != sorted(room for room in FLOOR if room != "main"):
        faults.append("core_libs links %s, which are not the rooms" % ", ".join(order))
    elif any(FLOOR[a] < FLOOR[b] for a, b in zip(order, order[1:])):
        faults.append("core_libs links %s, which is not the order of the tower" % ", ".join(order))
    for fault in faults:
        print("floors_test: " + fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
