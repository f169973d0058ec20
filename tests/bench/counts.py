"""Counts what no other load on the machine changes, beside system calls: allocations, bytes of an
idle session, instructions of the parsers. Of rum alone, to hold it under tests/bench/limits."""

import os
import re
import subprocess

import syscalls
from comparison import run_load
from proxies import Missing, NotBuilt, free_port, program

PACKETS = ["greeting", "response", "switch", "ok", "record"]
SUPPORT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration",
                       "support")


def allocations(bench, operation):
    """Per operation: two lives of a rum that differ in the number of operations alone."""
    proxy = "rum-mysql" if operation.proxy == "mysql" else "rum"
    counter = os.path.join(bench.folder, "count_allocations.so")
    if not os.path.exists(counter):
        # What the fault tests let allocations fail with counts them, too.
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", os.path.join(SUPPORT, "fail_memory.c"),
                        "-o", counter], check=True)
    out = os.path.join(bench.folder, "allocations")

    def live(number):
        back = free_port()
        process = bench.start(proxy, back, {"LD_PRELOAD": counter,
                                            "RUM_TEST_COUNT_ALLOCATIONS": out})
        try:
            run_load(bench, operation.command + ["--connections", str(operation.connections),
                                                 "--operations", str(number)], process.port, back)
        finally:
            process.stop()
        with open(out) as f:
            return int(f.read())
    few, many = live(operation.fewer), live(operation.more)
    return (many - few) / (operation.more - operation.fewer)


def idle_bytes(bench):
    """The least of three: other work of the process is measured with it."""
    return min(_idle_bytes(bench) for _ in range(3))


def _idle_bytes(bench):
    back = free_port()
    process = bench.start("rum", back)
    try:
        return run_load(bench, ["idle", "--connections", "2000"], process.port, back,
                        process.pids())["private_each"]
    finally:
        process.stop()


def instructions(bench, packet):
    """Per packet: two runs of the parser that differ in how often it parses."""
    if not program("valgrind"):
        raise Missing("there is no valgrind (Debian: valgrind)")
    try:
        parse = bench.built("tests/bench/parse")
    except Missing as e:
        raise NotBuilt(str(e)) from None

    def run(times):
        done = subprocess.run([program("valgrind"), "--tool=callgrind",
                               "--callgrind-out-file=/dev/null", parse, packet, str(times)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if "not optimized" in done.stdout:
            raise NotBuilt("the parsers are built without optimization")
        found = re.search(r"Collected : (\d+)", done.stdout)
        if done.returncode != 0 or not found:
            raise Missing("valgrind: " + done.stdout[-500:])
        return int(found[1])
    return (run(1100) - run(100)) / 1000


def measure(bench, tell):
    """Name in tests/bench/limits -> figure; and name -> why there is none."""
    found, missing = {}, {}
    todo = [("allocations/" + o.name, lambda o=o: allocations(bench, o))
            for o in syscalls.OPERATIONS]
    todo += [("bytes/idle", lambda: idle_bytes(bench))]
    todo += [("instructions/" + packet, lambda p=packet: instructions(bench, p))
             for packet in PACKETS]
    for name, count in todo:
        try:
            found[name] = count()
        except Missing as e:
            missing[name] = e
        tell(name)
    return found, missing


def names():
    return ([kind + o.name for kind in ("", "allocations/") for o in syscalls.OPERATIONS]
            + ["bytes/idle"] + ["instructions/" + packet for packet in PACKETS])
