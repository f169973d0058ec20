"""No memory: every single allocation may fail, and the process goes on or ends with a sentence."""

import os
import signal
import subprocess
import time
from collections import Counter

from support import cdb, net
from support.harness import Skipped, check, end_with_parent, full, same, test
from support.mysql_wire import Client, FakeServer
from support.rum import environment


class Once:
    """One life of a rum in which one allocation fails: two logins, the statistics, the end."""

    def __init__(self, t, path, number, count=None):
        here, stats = t.path("in.sock"), t.path("stats.sock")
        env = environment(t, t.path("sanitizer"))
        env["LD_PRELOAD"] = t.run.build.fail_memory
        if number:
            env["RUM_TEST_FAIL_ALLOCATION"] = str(number)
        if count:
            env["RUM_TEST_COUNT_ALLOCATIONS"] = count
        process = subprocess.Popen(
            [t.run.build.rum, "-s", "sock:" + here, "-P", "mysql.so", "-M", path, "-m",
             "sock:" + stats, "--state-dir", t.path("state"), "-w", "2"],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent)
        self.logins = 0
        deadline = time.monotonic() + 5
        while self.logins < 2 and process.poll() is None and time.monotonic() < deadline:
            try:
                with Client("sock:" + here, 2) as c:
                    c.login("alice", "pw")
                self.logins += 1
            except Exception:  # not up yet, or the session that has failed
                time.sleep(0.003)
        if process.poll() is None:
            try:
                net.http_get("sock:" + stats, "/stats", 2)
            except Exception:
                pass
            process.send_signal(signal.SIGTERM)
        try:
            self.said = process.communicate(timeout=10)[0].decode("utf-8", "replace")
            self.code = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            self.said, self.code = process.communicate()[0].decode("utf-8", "replace"), "hangs"
        for name in (here, stats):
            if os.path.exists(name):
                os.unlink(name)


@test("Whichever allocation fails, rum goes on, or ends with an exit code and a sentence",
      needs="mysql.so", seconds=900 if full() else 120)
def _(t):
    if t.run.build.sanitizer:
        raise Skipped("a sanitizer has an allocator of its own")
    server = t.keep(FakeServer("pw"))
    path = t.path("users.cdb")
    cdb.replace(path, cdb.users(("alice", "", server.address)))
    plain = Once(t, path, 0, t.path("count"))
    same((plain.code, plain.logins), (0, 2), plain.said)
    with open(t.path("count")) as f:
        total = int(f.read())
    check(total > 1000, "%d allocations" % total)
    codes = Counter()
    step = total // (5000 if full() else 250)
    for number in range(1, total, step):
        once = Once(t, path, number)
        codes[once.code] += 1
        where = "allocation %d of %d: %s after %d logins: %s" % (
            number, total, once.code, once.logins, once.said[-800:])
        if once.code == 0:
            check(once.logins > 0, where)
        else:  # 1 and 5: a library that says so; 6: no memory
            check(once.code in (1, 5, 6), where)
            check("rum: " in once.said, where)
    check(codes[6] > 0 and codes[0] > 0, "it was tried: %s" % codes)
    t.say("allocations %d, exit codes %s" % (total, dict(codes)))
