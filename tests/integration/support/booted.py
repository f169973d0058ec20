"""A systemd that the test boots in namespaces of its own: it sees the machine's files, read-only but for
the test's folder, and its own processes, units and control groups."""

import os
import re
import shutil
import signal
import subprocess
import time

from support.harness import Skipped, end_with_parent

SYSTEMD = "/lib/systemd/systemd"

BOOT = """set -e
mount --make-rprivate /
mount --bind {folder} {folder}
mount -t tmpfs tmpfs /run
mount --bind {units} /etc/systemd/system
mount -t cgroup2 cgroup2 /sys/fs/cgroup
[ ! -e /dev/console ] || mount --bind {log} /dev/console
mount -o remount,bind,ro /
exec env -i container=rum-test PATH=/usr/sbin:/usr/bin:/sbin:/bin {systemd} --system \\
  --unit=test.target --log-target=console --show-status=no
"""


def cgroup():
    """The folder of this process in the unified hierarchy; None: there is none."""
    with open("/proc/self/mountinfo") as f:
        mounts = [line.split() for line in f if " - cgroup2 " in line]
    with open("/proc/self/cgroup") as f:
        path = re.search("^0::(.*)$", f.read(), re.M)
    return mounts[0][4] + path.group(1).rstrip("/") if mounts and path else None


class Booted:
    def __init__(self, t):
        if os.geteuid() != 0 or not os.path.exists(SYSTEMD) or not shutil.which("unshare"):
            raise Skipped("needs root, systemd and unshare, to boot a systemd")
        own = cgroup()
        if not own:
            raise Skipped("no unified control groups, which a booted systemd needs")
        self.folder, self.units = t.folder, t.path("units")
        self.log_path, self.cgroup = t.path("systemd.log"), "%s/rum-test-%d" % (own, os.getpid())
        os.mkdir(self.units)
        self.unit("test.target", "[Unit]\nDefaultDependencies=no\n")
        with open(self.log_path, "w"), open(t.path("boot.sh"), "w") as f:
            f.write(BOOT.format(folder=self.folder, units=self.units, log=self.log_path,
                                systemd=SYSTEMD))
        try:
            os.mkdir(self.cgroup)
        except OSError as e:
            raise Skipped("control groups cannot be made: %s" % e)
        self.process = self.init = None
        t.keep(self)
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", "--cgroup",
             "--ipc", "--uts", "--net", "sh", t.path("boot.sh")], stdin=subprocess.DEVNULL,
            stdout=open(t.path("boot.log"), "w"), stderr=subprocess.STDOUT, preexec_fn=self._enter)
        self._wait(t)

    def _enter(self):
        end_with_parent()
        with open(self.cgroup + "/cgroup.procs", "w") as f:
            f.write(str(os.getpid()))

    def _wait(self, t):
        until = time.monotonic() + 20 * t.scale
        while time.monotonic() < until and self.process.poll() is None:
            with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as f:
                self.init = int(f.read() or 0) or None
            if self.init and self.run("systemctl", "is-system-running", check=False).strip() in (
                    "running", "degraded"):
                return
            time.sleep(0.1)
        with open(t.path("boot.log")) as f:
            raise Skipped("systemd does not boot here: %s %s" % (f.read(), self.log()[-500:]))

    def unit(self, name, text):
        with open(os.path.join(self.units, name), "w") as f:
            f.write(text)

    def run(self, *command, check=True):
        done = subprocess.run(["nsenter", "-t", str(self.init), "-a", *command], text=True, timeout=120,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if check and done.returncode:
            raise AssertionError("%s: %d: %s\n%s" % (command, done.returncode, done.stdout, self.log()))
        return done.stdout

    def property(self, unit, name):
        return self.run("systemctl", "show", "-p", name, "--value", unit).strip()

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def close(self):
        if self.process:
            self.process.send_signal(signal.SIGKILL)  # and so ends all of its processes
            self.process.wait()
        for folder, _, _ in os.walk(self.cgroup, topdown=False):
            for _ in range(200):
                try:
                    os.rmdir(folder)
                    break
                except OSError:
                    time.sleep(0.01)
