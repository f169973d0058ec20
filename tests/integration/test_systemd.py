"""As a service of a real systemd, which the test boots: what a stop does after hand-overs."""

import os
import re
import shutil
import threading
import time

from support import net
from support.booted import Booted
from support.build import SUPPORT
from support.harness import check, same, test
from support.net import connect
from support.peers import Echo
from test_stop import echo_works

# Of the unit that is installed: what the namespace, or the place of the test's files, does not allow.
NOT_HERE = ("User", "Group", "ExecStart", "ProtectHome", "ProtectSystem", "PrivateTmp", "StateDirectory",
            "RuntimeDirectory", "PrivateDevices")


UNIT = os.path.join(SUPPORT, "../../../contrib/systemd/rum.service.in")


class Service:
    def __init__(self, t, *options):
        self.t, self.systemd = t, Booted(t)
        self.echo = t.keep(Echo("sock:" + t.path("echo.sock")))
        self.here, self.log_path = "sock:" + t.path("in.sock"), t.path("rum.log")
        with open(UNIT) as f:
            service = f.read().split("\n[Service]\n")[1].split("\n[Install]\n")[0]
        kept = [line for line in service.splitlines() if line.split("=")[0] not in NOT_HERE]
        self.program = shutil.copy(t.run.build.rum, t.path("rum"))
        command = [self.program, "-s", self.here, "-d", self.echo.address, "--health-check", "off",
                   "--state-dir", t.path("state"), "-l", self.log_path, "--control",
                   "sock:" + t.path("control"), *options]
        self.systemd.unit("rum.service", "[Unit]\nDefaultDependencies=no\n[Service]\n%s\nExecStart=%s\n"
                          "Environment=RUM_MODULE_DIR=%s\nStandardError=append:%s\n" % (
                              "\n".join(kept), " ".join(command), t.run.build.modules,
                              t.path("stderr")))
        self.systemd.run("systemctl", "daemon-reload")
        self.systemd.run("systemctl", "start", "rum")
        same(self.property("ActiveState"), "active")

    def property(self, name):
        return self.systemd.property("rum", name)

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def fail_to_hand_over(self):
        main = self.property("MainPID")
        with open(self.program + ".new", "w") as f:
            f.write("#!/bin/sh\nexit 7\n")
        os.chmod(self.program + ".new", 0o755)
        os.rename(self.program + ".new", self.program)
        self.systemd.run("systemctl", "kill", "-s", "USR2", "--kill-whom=main", "rum")
        net.until(lambda: "it exited with status 7" in self.log(), 30 * self.t.scale, self.log)
        same((self.property("MainPID"), self.property("ActiveState")), (main, "active"))
        os.rename(shutil.copy(self.t.run.build.rum, self.program + ".new"), self.program)

    def hand_over(self):
        before = self.property("MainPID")
        count = self.log().count("this process ends after its")
        self.systemd.run("systemctl", "kill", "-s", "USR2", "--kill-whom=main", "rum")
        net.until(lambda: self.log().count("this process ends after its") > count,
                  30 * self.t.scale, self.log)
        net.until(lambda: self.property("MainPID") not in ("0", before), 20 * self.t.scale,
                  "systemd has learnt of the new main process")
        parent = self.systemd.run("sh", "-c", "grep PPid /proc/%s/status" % self.property("MainPID"))
        same(parent.split(), ["PPid:", "1"], "the new process is systemd's own child")

    def wait_reasons(self, expected):
        """The journal has the last lines of a process a moment after its end."""
        net.until(lambda: re.findall(r"reason=(\w+)", self.log()) == expected, 20 * self.t.scale,
                  self.log)

    def stop(self):
        """Begins a stop; returns the thread and a list that gets its seconds."""
        took, begin = [], time.monotonic()

        def run():
            self.systemd.run("systemctl", "stop", "rum")
            took.append(time.monotonic() - begin)
        thread = threading.Thread(target=run)
        thread.start()
        return thread, took

    def ended_well(self):
        same((self.property("ActiveState"), self.property("Result")), ("inactive", "success"))
        check("not our child" not in self.systemd.log(), self.systemd.log())


@test("systemd: after two upgrades a stop lets the sessions of all processes end in order", seconds=120)
def _(t):
    service = Service(t, "--drain-timeout", "50s")
    held = []
    for _ in range(2):
        held.append(connect(service.here, 30))
        echo_works(held[-1])
        service.fail_to_hand_over()
        service.hand_over()
    held.append(connect(service.here, 30))
    echo_works(held[-1])
    thread, took = service.stop()
    net.until(lambda: "sessions have 50s to end" in service.log(), 20 * t.scale, service.log)
    time.sleep(1)  # longer than a stop that cuts them would take
    same(took, [], "the stop waits")
    for s in held:
        echo_works(s)
        s.close()
    thread.join(60)
    check(took, "the stop ends with the last session")
    service.ended_well()
    service.wait_reasons(["client_closed"] * 3)


@test("systemd: after an upgrade a stop ends what is left after the drain timeout, and not as a failure",
      seconds=120)
def _(t):
    service = Service(t, "--drain-timeout", "3s")
    with connect(service.here, 30) as before:
        echo_works(before)
        service.hand_over()
        with connect(service.here, 30) as after:
            echo_works(after)
            thread, took = service.stop()
            for s in (before, after):
                check(net.ended(s, 30) in ("closed", "reset"), "it is ended")
            thread.join(60)
            check(took and took[0] >= 2.9, "not before its time: %s" % took)
    service.ended_well()
    service.wait_reasons(["drain"] * 2)
