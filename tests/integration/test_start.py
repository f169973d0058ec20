"""Starting: the command line, the background, what is refused and how it is said."""

import fcntl
import glob
import itertools
import json
import os
import resource
import signal
import stat
import subprocess

from support import cdb, net
from support.harness import Skipped, check, end_with_parent, has, same, test
from support.net import free_port
from support.peers import Echo, Holds
from support.rum import check_reports, check_reports_in, environment, run_once
from test_redirect import ask, tcp


class Daemon:
    """rum with -b: the parent is waited for, the child is adopted by the test and ended by it."""

    def __init__(self, t, *arguments):
        self.t = t
        self.name = "daemon-%d" % t.number()
        before = children()
        with open(t.path(self.name + ".out"), "wb") as out:
            self.parent = subprocess.Popen(
                [t.run.build.rum, *[str(a) for a in arguments]], stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, env=environment(t, t.path(self.name + ".sanitizer")),
                preexec_fn=end_with_parent, cwd=t.folder)
        try:
            self.code = self.parent.wait(20 * t.scale)
        except subprocess.TimeoutExpired:
            self.parent.kill()
            raise AssertionError("the parent did not end: " + self.output())
        self.pids = sorted(children() - before)
        if self.code != 0:
            # The child that reported a failure ends by itself.
            net.until(lambda: self.reap(), 5 * t.scale, lambda: "processes end: %s" % self.pids)
        t.on_end(self.end)

    def reap(self):
        self.pids = [pid for pid in self.pids if os.waitpid(pid, os.WNOHANG)[0] == 0]
        return not self.pids

    def output(self):
        with open(self.t.path(self.name + ".out"), errors="replace") as f:
            return f.read()

    def pid(self):
        same(len(self.pids), 1, "processes left behind (said: %s)" % self.output())
        return self.pids[0]

    def end(self):
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGTERM)
                code = wait_for(pid, 10 * self.t.scale)
            except (ProcessLookupError, ChildProcessError):
                continue
            same(code, 0, "exit code of the daemon")
        self.pids = []
        check_reports(self.t.folder, self.name)
        check_reports_in(self.output(), self.name)


def children():
    """Pids whose parent is this process; daemons come here, as the test is a subreaper."""
    found = set()
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as f:
                text = f.read()
        except OSError:
            continue
        if int(text.rsplit(")", 1)[1].split()[1]) == os.getpid():
            found.add(int(text.split()[0]))
    return found


def wait_for(pid, seconds):
    def gone():
        done, status = os.waitpid(pid, os.WNOHANG)
        return (done, status) if done else None
    try:
        _, status = net.until(gone, seconds, "process %d ends" % pid)
    except net.TooLate:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    return os.waitstatus_to_exitcode(status)


def not_there(t, name):
    """A path where no file can be made: what should be its folder is a file."""
    with open(t.path("a-file"), "w"):
        pass
    return t.path("a-file/" + name)


def orders(*groups):
    """Every order of the groups, each flattened to a list of arguments."""
    for order in itertools.permutations(groups):
        yield [word for group in order for word in group]


# The examples of the command line, with ports that may be used here.

@test("The mail example starts in the background with its options in any order", seconds=60)
def _(t):
    for arguments in orders(["-s", None], ["-d", "tcp:pop3.example.net:110"], ["-b"]):
        here = "tcp:0.0.0.0:%d" % free_port()
        arguments[arguments.index("-s") + 1] = here
        daemon = Daemon(t, *arguments)
        same(daemon.code, 0, "exit code of %s: %s" % (arguments, daemon.output()))
        check(net.listening(here), "bound when the parent has ended: %s" % arguments)
        daemon.pid()
        daemon.end()


@test("The database example works with TCP, a socket file and its options in any order", seconds=60)
def _(t):
    echo = t.keep(Echo())
    for number, arguments in enumerate(orders(["-s", "NAME"], ["-s", "SOCK"],
                                              ["-d", echo.address], ["-b"])):
        name = "tcp:localhost:%d" % free_port()
        sock = "sock:" + t.path("mysqld-%d.sock" % number)
        daemon = Daemon(t, *[{"NAME": name, "SOCK": sock}.get(a, a) for a in arguments])
        same(daemon.code, 0, "exit code of %s: %s" % (arguments, daemon.output()))
        same(ask(name.replace("localhost", "127.0.0.1")), b"hello")
        same(ask(sock), b"hello")
        daemon.pid()
        daemon.end()


@test("Statistics and the background go together in any order")
def _(t):
    echo = t.keep(Echo())
    for arguments in orders(["-s", None], ["-d", echo.address], ["-b"], ["-m", None]):
        here, stats = tcp(), tcp()
        arguments[arguments.index("-s") + 1] = here
        arguments[arguments.index("-m") + 1] = stats
        daemon = Daemon(t, *arguments)
        same(daemon.code, 0, "exit code of %s: %s" % (arguments, daemon.output()))
        same(ask(here), b"hello")
        same(net.http_get(stats, "/live")[0], 200)
        daemon.end()


@test("In the background the process writes its own number to the pidfile")
def _(t):
    here, pidfile = tcp(), t.path("rum.pid")
    daemon = Daemon(t, "-s", here, "-d", tcp(), "-b", "-p", pidfile)
    same(daemon.code, 0, "exit code: " + daemon.output())
    with open(pidfile) as f:
        same(int(f.read()), daemon.pid())
    daemon.end()
    check(not os.path.exists(pidfile), "the pidfile is left behind")


@test("Syslog that is not there is told at the start, and lines that it does not take are counted")
def _(t):
    if os.path.exists("/dev/log"):
        raise Skipped("there is a syslog")
    echo, here, stats = t.keep(Echo()), tcp(), tcp()
    daemon = Daemon(t, "-s", here, "-d", echo.address, "-b", "-m", stats)
    same(daemon.code, 0, "exit code")
    has(daemon.output(), "rum: cannot reach syslog: /dev/log: No such file or directory")

    def dropped():
        return json.loads(net.http_get(stats, "/stats")[2])["log"]["dropped"]

    net.until(lambda: dropped() > 0, 10, "what the start has logged")
    before = dropped()
    same(ask(here), b"hello")
    net.until(lambda: dropped() == before + 1, 10, "the session's line")


@test("A second rum is refused the pidfile of one that runs; one that is left behind is taken over")
def _(t):
    pidfile = t.path("rum.pid")

    def owner():
        with open(pidfile) as f:
            return int(f.read())

    rum = t.rum("-s", tcp(), "-d", tcp(), "-p", pidfile)
    for more in ((), ("-b", "-l", t.path("b.log"))):
        code, _, err = run_once(t, "-s", tcp(), "-d", tcp(), "-p", pidfile, *more)
        same(code, 6, "exit code")
        has(err, "'%s' belongs to another process, %d, which is running" % (pidfile, rum.pid))
        same(owner(), rum.pid, "the pidfile")
    rum.hand_over()
    same(owner(), rum.pid, "the pidfile")
    code, _, err = run_once(t, "-s", tcp(), "-d", tcp(), "-p", pidfile)
    same((code, owner()), (6, rum.pid), err)
    rum.signal(signal.SIGKILL)
    rum.wait_exit()
    check(os.path.exists(pidfile), "a pidfile is left behind")
    rum = t.rum("-s", tcp(), "-d", tcp(), "-p", pidfile)
    same(owner(), rum.pid, "the pidfile")


@test("Nobody who can read the pidfile can keep rum from starting by a lock on it")
def _(t):
    pidfile = t.path("rum.pid")
    rum = t.rum("-s", tcp(), "-d", tcp(), "-p", pidfile)
    rum.signal(signal.SIGKILL)
    rum.wait_exit()
    with open(pidfile) as f:  # for reading only
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        again = t.rum("-s", tcp(), "-d", tcp(), "-p", pidfile)
    same(stat.S_IMODE(os.stat(pidfile + ".lock").st_mode), 0o600, "the mode of the lock")
    again.hand_over()
    code, _, err = run_once(t, "-s", tcp(), "-d", tcp(), "-p", pidfile)
    same(code, 6, "another one is refused: " + err)
    again.signal(signal.SIGTERM)
    same(again.wait_exit(), 0)
    for path in (pidfile, pidfile + ".lock"):
        check(not os.path.exists(path), "left behind: " + path)


@test("Symbolic links of other users are followed neither by the log nor by the state directory")
def _(t):
    if os.geteuid() != 0:
        raise Skipped("only root is tempted")
    secret, theirs = t.path("secret"), t.path("theirs")
    with open(secret, "w") as f:
        f.write("mine\n")
    os.mkdir(theirs)
    os.chmod(theirs, 0o1777)
    for name in ("rum.log", "rum.pid", "rum.pid.lock"):
        os.symlink(secret, os.path.join(theirs, name))
        os.lchown(os.path.join(theirs, name), 4242, 4242)
    for option, name in (("-l", "rum.log"), ("-p", "rum.pid"), ("--state-dir", "")):
        code, _, err = run_once(t, "-s", tcp(), "-d", tcp(), option, os.path.join(theirs, name))
        check(code in (1, 6), "%s: %d, %s" % (option, code, err))
        has(err, theirs)
    with open(secret) as f:
        same(f.read(), "mine\n")


@test("A rum that drains lets another one have the pidfile, and leaves it alone")
def _(t):
    echo, pidfile, here = t.keep(Echo()), t.path("rum.pid"), tcp()
    old = t.rum("-s", here, "-d", echo.address, "-p", pidfile)
    with net.connect(here) as s:
        s.sendall(b"x")
        same(net.read_exact(s, 1), b"x")
        old.signal(signal.SIGTERM)
        old.wait_log("draining")
        new = t.rum("-s", here, "-d", echo.address, "-p", pidfile)
    same(old.wait_exit(), 0, "exit code")
    with open(pidfile) as f:
        same(int(f.read()), new.pid, "the pidfile")


@test("The background process holds no terminal and no standard streams")
def _(t):
    daemon = Daemon(t, "-s", tcp(), "-d", tcp(), "-b", "-l", t.path("rum.log"))
    same(daemon.code, 0, "exit code: " + daemon.output())
    pid = daemon.pid()
    for fd in (0, 1, 2):
        same(os.readlink("/proc/%d/fd/%d" % (pid, fd)), "/dev/null", "descriptor %d" % fd)
    same(os.getsid(pid) != os.getsid(0), True, "a session of its own")


@test("In the background a port in use is told on standard error with a code that is not 0")
def _(t):
    taken = t.keep(Echo())
    daemon = Daemon(t, "-s", taken.address, "-d", tcp(), "-b")
    check(daemon.code != 0, "exit code")
    has(daemon.output(), taken.address.rsplit(":", 1)[1], "standard error")
    has(daemon.output(), "in use", "standard error")
    same(daemon.pids, [], "processes left behind")


@test("One listener of several that cannot be bound stops the start")
def _(t):
    taken = t.keep(Echo())
    free = tcp()
    code, _, err = run_once(t, "-s", free, "-s", taken.address, "-d", tcp())
    check(code != 0, "exit code")
    has(err, taken.address, "standard error")
    check(not net.listening(free), "the other listener is closed")


@test("In the background a module or log file that cannot be opened is told by the parent")
def _(t):
    log, pidfile = not_there(t, "rum.log"), not_there(t, "rum.pid")
    for arguments, part in ((["-P", "nothing.so"], "nothing.so"), (["-l", log], log),
                            (["-p", pidfile], pidfile)):
        daemon = Daemon(t, "-s", tcp(), "-d", tcp(), "-b", *arguments)
        check(daemon.code != 0, "exit code of %s" % arguments)
        has(daemon.output(), part, "standard error")
        same(daemon.pids, [], "processes left behind")


@test("An address that cannot be listened on names the address and the cause")
def _(t):
    for address in ("tcp:192.0.2.254:%d" % free_port(), "sock:" + not_there(t, "rum.sock")):
        code, _, err = run_once(t, "-s", address, "-d", tcp())
        check(code != 0, "exit code")
        has(err, address, "standard error")


@test("With hardly a descriptor to open the start ends with a sentence, whatever is missing")
def _(t):
    served = 0
    for number in range(3, 64):
        path = t.path("few-%d" % number)

        def said():
            with open(path) as f:
                return f.read()

        with open(path, "wb") as out:
            process = subprocess.Popen(
                [t.run.build.rum, "-s", tcp(), "-d", tcp(), "-w", "2", "--health-check", "off"],
                env=environment(t, path + ".sanitizer"), stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, cwd=t.folder, preexec_fn=lambda: (
                    end_with_parent(), resource.setrlimit(resource.RLIMIT_NOFILE, (number,) * 2)))
        net.until(lambda: process.poll() is not None or " serves" in said(), 20,
                  lambda: "with %d it serves or ends: %s" % (number, said()))
        if process.poll() is None:
            served += 1
            process.send_signal(signal.SIGTERM)
            same(process.wait(20 * t.scale), 0, "with %d: %s" % (number, said()))
        else:
            check(process.returncode > 0, "with %d: %d, %s" % (number, process.returncode, said()))
            check(said(), "with %d a sentence" % number)
        check_reports(t.folder, "few-%d" % number)
    check(served > 0, "with some it serves")


@test("The number of workers is what is asked for")
def _(t):
    def threads(rum):
        return len(os.listdir("/proc/%d/task" % rum.pid))
    one = t.rum("-s", tcp(), "-d", tcp(), "-w", "1")
    five = t.rum("-s", tcp(), "-d", tcp(), "-w", "5")
    same(threads(five) - threads(one), 4, "threads more")
    # One for each core that it may use.
    core = min(os.sched_getaffinity(0))
    pinned = t.rum("-s", tcp(), "-d", tcp(), prepare=lambda: os.sched_setaffinity(0, [core]))
    same(threads(pinned), threads(one), "threads on one core")


# What is refused.

@test("An unknown option ends with 2 and one line that names the nearest")
def _(t):
    for wrong, right in (("--destnation", "--destination"), ("--workres", "--workers"),
                         ("--login-timout", "--login-timeout"), ("--lisen", "--listen")):
        code, _, err = run_once(t, wrong, "x")
        same(code, 2, "exit code of " + wrong)
        has(err, right, "standard error")
        has(err, wrong, "standard error")
        same(len(err.strip().splitlines()), 1, "lines: " + err)


@test("An unknown option of a module names the nearest of that module", needs="mysql.so")
def _(t):
    code, _, err = run_once(t, "-P", "mysql.so", "-s", tcp(), "-d", tcp(), "--mysql-versoin", "8")
    same(code, 2, "exit code")
    has(err, "--mysql-version", "standard error")


@test("Wrong values of options are refused with the name of the option and an exit code")
def _(t):
    for option, value in (("-s", "127.0.0.1:80"), ("-s", "tcp:127.0.0.1:99999"), ("-s", "tcp:a:b"),
                          ("-d", "sock:"), ("-d", "tcp:host"), ("-d", "tcp:::1:80"),
                          ("-w", "many"), ("-w", "-1"), ("--idle-timeout", "6 6"),
                          ("--connect-timeout", "6 parsecs"), ("--connect-timeout", "-6s"),
                          ("--socket-mode", "rwx"), ("--log-format", "xml"), ("-m", "8080")):
        arguments = {"-s": tcp(), "-d": tcp()}
        arguments[option] = value
        code, _, err = run_once(t, *[x for pair in arguments.items() for x in pair])
        check(code > 0, "%s %s: exit code %d" % (option, value, code))
        long_name = {"-s": "listen", "-d": "destination", "-w": "workers", "-m": "stats"}
        check(value in err or long_name.get(option, option) in err,
              "%s %s: %r" % (option, value, err))


@test("Without a listener or a destination rum says what is missing")
def _(t):
    code, _, err = run_once(t, "-d", tcp())
    check(code > 0, "exit code without -s")
    has(err, "-s", "standard error")
    code, _, err = run_once(t, "-s", tcp())
    check(code > 0, "exit code without -d")
    has(err, "-d", "standard error")


@test("--check tells every error at once and ends with 1")
def _(t):
    log = not_there(t, "rum.log")
    code, out, err = run_once(t, "--check", "-s", "tcp:127.0.0.1:99999", "-d", "tcp:nohost",
                              "-P", "nothing.so", "-l", log)
    same(code, 1, "exit code: " + out + err)
    for part in ("99999", "nohost", "nothing.so", log):
        has(out + err, part, "what --check says")


@test("--check names the line of each file that is missing, and one that --user cannot read")
def _(t):
    cert = t.path("none.pem")
    config = t.path("rum.conf")

    def check_config(*lines):
        with open(config, "w") as f:
            f.write("\n".join(lines) + "\n")
        return run_once(t, "--check", "--config", config)
    code, _, err = check_config("listen = " + tcp().replace("tcp:", "tls:"),
                                "destination = " + tcp(), "tls-cert = " + cert,
                                "map = " + t.path("none.cdb"), "protocol = passthrough.so")
    same(code, 1)
    has(err, "rum.conf:4: map: %s: " % t.path("none.cdb"))
    has(err, "rum.conf:3: tls-cert: ")
    code, _, err = check_config("listen = " + tcp(), "destination = " + tcp(), "protocol = none.so")
    same(code, 1)
    has(err, "rum.conf:3: protocol: ")
    code, _, err = check_config("listen = sock:" + t.path("none/s"), "destination = " + tcp())
    same(code, 1)
    has(err, "rum.conf:1: listen: cannot listen on sock:")
    if os.geteuid() != 0:
        return
    path = t.path("users.cdb")
    cdb.replace(path, cdb.users(("alice", "", "tcp:127.0.0.1:1")))
    os.chmod(path, 0o600)
    lines = ["listen = " + tcp(), "destination = " + tcp(), "map = " + path, "user = nobody",
             "protocol = passthrough.so"]
    code, _, err = check_config(*lines)
    same(code, 1)
    has(err, "rum.conf:3: map: %s: the user of --user cannot read it" % path)
    for folder in (t.folder, os.path.dirname(t.folder)):
        os.chmod(folder, 0o755)
    os.chmod(path, 0o644)
    same(check_config(*lines)[0], 0)


@test("--check of a good command line ends with 0 and binds nothing")
def _(t):
    taken = t.keep(Echo())
    code, out, err = run_once(t, "--check", "-s", taken.address, "-d", tcp())
    same(code, 0, "exit code: " + out + err)
    path = t.path("in.sock")
    same(run_once(t, "--check", "-s", "sock:" + path, "-d", tcp())[0], 0)
    check(not os.path.exists(path), "--check made a socket file")
    # Nor a certificate: that would be root's, and not of the user that is to serve.
    state = t.path("state")
    for more in (("--check",), ("--explain", "alice")):
        same(run_once(t, "-s", tcp().replace("tcp:", "tls:"), "-d", taken.address, "--state-dir",
                      state, *more)[0], 0, more)
        check(not os.path.exists(state), "%s made a certificate" % more[0])


@test("--check reports a bad map", needs="mysql.so")
def _(t):
    path = t.path("users.cdb")
    with open(path, "wb") as f:
        f.write(b"no map at all")
    code, out, err = run_once(t, "--check", "-s", tcp(), "-M", path)
    same(code, 1, "exit code: " + out + err)
    has(out + err, "users.cdb", "what --check says")


@test("--version is one line with the name and a number")
def _(t):
    code, out, _ = run_once(t, "--version")
    same(code, 0, "exit code")
    check(out.startswith("rum 1.") and out.count("\n") <= 5, "said: %r" % out)


@test("--help is grouped and names every option; a module's options have a heading of their own")
def _(t):
    code, out, _ = run_once(t, "--help")
    same(code, 0, "exit code")
    for option in ("-s, --listen", "-d, --destination", "-P, --protocol", "-M, --map", "-m, --stats",
                   "-b, --background", "-p, --pidfile", "-l, --log", "--log-format", "-L, --log-logins",
                   "-w, --workers", "--connect-timeout", "--first-byte-timeout", "--login-timeout",
                   "--half-close-timeout", "--idle-timeout", "--drain-timeout", "--socket-mode",
                   "--module-dir", "--check", "--version"):
        has(out.replace(",--", ", --"), option, "--help")


@test("The help of rum with the mysql module shows what the module declares", needs="mysql.so")
def _(t):
    code, out, _ = run_once(t, "-P", "mysql.so", "--help")
    same(code, 0, "exit code")
    for option in ("--mysql-auth", "--mysql-version", "--mysql-unknown-user"):
        has(out, option, "--help")
    check("--mysql-auth" not in run_once(t, "--help")[1], "the core's help knows the module's options")


@test("-M without -P means the mysql module", needs="mysql.so")
def _(t):
    from support import cdb
    from support.mysql_wire import Client
    path = t.path("users.cdb")
    cdb.replace(path, cdb.users(("a", "", tcp())))
    here = tcp()
    t.rum("-s", here, "-M", path)
    with Client(here) as c:
        same(c.greet().plugin, "mysql_native_password")


# Modules

MODULE = """
#include <rum/module.h>
%(before)s
static const rum_host *rum;
static int32_t init(const rum_host *host, char *error, size_t size) {
  rum = host;
  %(init)s
  return RUM_OK;
}
RUM_MODULE_EXPORT const rum_module RUM_MODULE_SYMBOL = {
    .struct_size = sizeof(rum_module), .abi = RUM_MODULE_ABI, .host_size_min = sizeof(rum_host),
    .name = "broken", .version = "1.0.0", .summary = "a module of a test",
    .option_size = sizeof(rum_option), .metric_size = sizeof(rum_metric), .init = init,
    %(fields)s
};
"""


def module(t, name, text=None, before="", init="", fields="", flags=()):
    text = text or MODULE % {"before": before, "init": init, "fields": fields}
    return t.run.build.compile_module(t.folder, name, text, flags)


def refused(t, path, *parts):
    code, out, err = run_once(t, "-s", tcp(), "-d", tcp(), "-P", path)
    check(code > 0, "%s: exit code %d, said %s" % (path, code, err))
    for part in parts:
        has(err, part, "standard error")
    check("file not found" not in err, "not the true reason: " + err)
    return err


@test("HUP, USR1 and USR2 during the start end nothing; they are obeyed when rum is there")
def _(t):
    echo, begun, go = t.keep(Echo()), t.path("begun"), t.path("go")
    slow = module(t, "slow", fields=".session_open = open_,", before="""
#include <fcntl.h>
#include <unistd.h>
static const rum_host *rum;
static int32_t open_(rum_session *s, const void *c, void *w, void **d) {
  (void)c; (void)w; *d = NULL;
  rum->connect(s, "", 0);
  return rum->relay(s);
}""", init="""
        close(open("%s", O_CREAT | O_WRONLY, 0600));
        while (access("%s", F_OK)) usleep(1000);""" % (begun, go))
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        config = t.path("rum-%d.conf" % number)

        def configure(time):
            with open(config, "w") as f:
                f.write("destination = %s\nidle-timeout = %s\n" % (echo.address, time))

        configure("7m")
        rum = t.rum("-s", tcp(), "--config", config, "-P", slow, wait=False)
        net.until(lambda: os.path.exists(begun), 10, "the module is being started")
        configure("8m")
        rum.signal(number)
        with open(go, "w"):
            pass
        rum.wait_log(" serves")
        if number == signal.SIGHUP:
            rum.wait_log("applied: idle-timeout")
        if number == signal.SIGUSR2:
            rum.hand_over(ask=lambda: None)
        check(rum.alive(), "it lives after %s" % number)
        os.unlink(begun), os.unlink(go)


@test("A module that is missing, empty or no library is refused by name")
def _(t):
    has(run_once(t, "-s", tcp(), "-d", tcp(), "-P", "nothing.so")[2], "nothing.so")
    empty = t.path("empty.so")
    open(empty, "w").close()
    refused(t, empty, "empty.so")
    text = t.path("text.so")
    with open(text, "w") as f:
        f.write("#!/bin/sh\n" * 1000)
    refused(t, text, "text.so")


@test("A library without the module's symbol is refused with the name of the symbol")
def _(t):
    path = module(t, "nosymbol", "int something_else(void) { return 1; }\n")
    refused(t, path, "nosymbol.so", "rum_module_v1")


@test("A module with an undefined symbol is refused with that symbol")
def _(t):
    path = module(t, "undefined", before="int missing_function_of_test(void);",
                  init="return missing_function_of_test();")
    refused(t, path, "undefined.so", "missing_function_of_test")


@test("A module that needs a library which is not there is refused with that library")
def _(t):
    t.run.build.compile_module(t.folder, "libvanishes", "int vanishes(void) { return 0; }\n",
                               ["-Wl,-soname,libvanishes.so"])
    path = module(t, "dependent", before="int vanishes(void);", init="return vanishes();",
                  flags=["-L", t.folder, "-lvanishes", "-Wl,-rpath," + t.folder])
    os.unlink(t.path("libvanishes.so"))
    refused(t, path, "dependent.so", "libvanishes.so")


@test("A module of another ABI or with sizes that cannot be is refused with the figures")
def _(t):
    refused(t, module(t, "abi", fields=".abi = 7,"), "7")
    refused(t, module(t, "newer", fields=".host_size_min = 100000,"), "newer rum", "100000")
    refused(t, module(t, "tiny", fields=".struct_size = 8,"), "8")
    refused(t, module(t, "optionsize", before='static const rum_option options[] = {{"broken-x"}};',
                      fields=".options = options, .option_count = 1, .option_size = 1,"))


@test("A module whose init fails is refused with the module's own sentence")
def _(t):
    path = module(t, "fails", before="#include <stdio.h>", init=(
        'snprintf(error, size, "the moon is in the wrong phase"); return RUM_E_FAILED;'))
    refused(t, path, "the moon is in the wrong phase")


@test("A module built against a smaller table of an older header still works")
def _(t):
    # Everything behind the hook session_open is unknown to this module.
    path = module(t, "older", fields=".session_open = open_, .struct_size = "
                  "offsetof(rum_module, client_data),", before="""
static const rum_host *rum;
static int32_t open_(rum_session *s, const void *c, void *w, void **d) {
  (void)c; (void)w; *d = NULL;
  rum->connect(s, "", 0);
  return rum->relay(s);
}""")
    echo = t.keep(Echo())
    here = tcp()
    t.rum("-s", here, "-d", echo.address, "-P", path)
    same(ask(here), b"hello")


@test("A module's options that take rum's letters or have a foreign name are refused")
def _(t):
    for name, row in (("letter", '{"broken-x", "N", 0, "help", RUM_OPTION_TEXT, \'s\'}'),
                      ("foreign", '{"workers", "N", 0, "help", RUM_OPTION_TEXT, 0}')):
        refused(t, module(t, name, before="static const rum_option options[] = {%s};" % row,
                          fields=".options = options, .option_count = 1,"))


@test("A module that misbehaves in a session harms only that session", seconds=60)
def _(t):
    hooks = {
        "consumes_too_much": "return (int64_t)size + 1000000;",
        "breaks_off": "return -5;",
        "sends_nowhere": "rum->send(s, 7, b, size); rum->send(s, RUM_UPSTREAM, b, size);"
                         " rum->close(s, 9999, 0, 0); return (int64_t)size;",
        "asks_nonsense": 'rum->need(s, 0, 1u << 30); rum->lookup(s, "", 0); rum->connect(s, "x", 1);'
                         " rum->relay(s); rum->timer_cancel(s, 77); rum->resume(123, 0, 0, 0);"
                         " rum->forward(s, 9, 5); rum->note(s, \"UPPER\", b, size);"
                         " rum->close(s, RUM_CLOSE_MODULE, 0, 0); return (int64_t)size;",
    }
    for name, body in hooks.items():
        path = module(t, name, fields=".session_open = open_, .client_data = data_,", before="""
static const rum_host *rum;
static int32_t open_(rum_session *s, const void *c, void *w, void **d) {
  (void)s; (void)c; (void)w; *d = NULL;
  return RUM_OK;
}
static int64_t data_(void *d, rum_session *s, const uint8_t *b, size_t size) {
  (void)d; (void)s; (void)b; %s
}""" % body)
        here = tcp()
        rum = t.rum("-s", here, "-d", tcp(), "-P", path)
        for _ in range(3):
            with net.connect(here) as s:
                s.sendall(b"some bytes")
                check(net.ended(s) in ("closed", "reset"), name)
        for record in rum.wait_sessions(3):
            check(record["reason"] in ("module_failed", "client_protocol"),
                  "%s: %s" % (name, record))


@test("--module-dir and RUM_MODULE_DIR say where modules are; a name with a slash is taken as given")
def _(t):
    import shutil
    echo = t.keep(Echo())
    path = module(t, "mine", fields=".session_open = 0,")
    folder = t.path("modules")
    os.mkdir(folder)
    shutil.copy(path, folder)
    for arguments, env in ((["--module-dir", folder, "-P", "mine.so"], {}),
                           (["-P", "mine.so"], {"RUM_MODULE_DIR": folder}),
                           (["-P", path], {})):
        here = tcp()
        t.rum("-s", here, "-d", echo.address, *arguments, env=env)
        same(ask(here), b"hello")


@test("A module without session_open relays to the default destination")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    t.rum("-s", here, "-d", echo.address, "-P", module(t, "plain"))
    same(ask(here), b"hello")


@test("A module without a map and a default destination starts with a warning")
def _(t):
    warning = "neither --map nor --destination is given: all clients are refused"
    for arguments, warned in (((), True), (("-d", tcp()), False)):
        rum = t.rum("-s", tcp(), "-P", module(t, "alone-%d" % warned), *arguments)
        rum.wait_log(" serves tcp:")  # the line behind it
        same(warning in rum.log(), warned, arguments)


@test("/ready says 503 until clients are served, which silent servers put off for a second",
      needs=("mysql.so",))
def _(t):
    silent = t.keep(Holds())
    for _ in range(5):  # on a slow machine the second can be over before the first answer
        rum = t.rum("-s", tcp(), "-d", silent.address, "-P", "mysql.so",
                    "--health-check", "10s", ready=False, check_descriptors=False)
        status, _, body = rum.get("/ready")
        net.until(lambda: rum.get("/ready")[0] == 200, 10, "/ready says 200")
        if status == 503:
            break
    same((status, body), (503, b"starting\n"))
