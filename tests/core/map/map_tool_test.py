#!/usr/bin/env python3
"""Drives the program rum-map as users do: its commands, messages, exit codes and files."""

import hashlib
import os
import pty
import random
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

TOOL = os.path.abspath(os.environ.get("RUM_MAP", "./rum-map"))
SECRET = "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"


def make_cdb(records):
    """A CDB of (key, value) pairs, written without rum's or tinycdb's code."""
    body, tables, at = [], [[] for _ in range(256)], 2048
    for key, value in records:
        h = 5381
        for byte in key:
            h = (h * 33 & 0xFFFFFFFF) ^ byte
        tables[h & 255].append((h, at))
        body.append(struct.pack("<II", len(key), len(value)) + key + value)
        at += len(body[-1])
    head, tail = [], []
    for entries in tables:
        slots = [(0, 0)] * (2 * len(entries))
        head.append(struct.pack("<II", at, len(slots)))
        for h, position in entries:
            i = (h >> 8) % len(slots)
            while slots[i][1]:
                i = (i + 1) % len(slots)
            slots[i] = (h, position)
        tail += [struct.pack("<II", *slot) for slot in slots]
        at += 8 * len(slots)
    return b"".join(head + body + tail)


def colliding_names(doublings):
    """2 ** doublings names with one CDB hash: from each state two pairs of bytes lead to the same."""
    state, names = 5381, [""]
    for _ in range(doublings):
        seen, pair = {}, None
        for a in range(97, 123):
            for b in range(48, 123):
                if b == 92:
                    continue
                after = (((state * 33 & 0xFFFFFFFF) ^ a) * 33 & 0xFFFFFFFF) ^ b
                if after in seen and pair is None:
                    pair = (after, seen[after], chr(a) + chr(b))
                seen.setdefault(after, chr(a) + chr(b))
        state, one, other = pair
        names = [name + more for name in names for more in (one, other)]
    return names


def on_terminal(*arguments, prompted=lambda process, terminal: None, **streams):
    """Runs the tool with a terminal in place of each stream that is not given; calls prompted() at
    each prompt. Returns what the terminal showed, and the exit code.

    The terminal is open here until all is read: one that every process has closed may lose the last
    bytes that were written to it. The tool is not its session leader for the same reason.
    """
    signal.alarm(300)
    master, slave = pty.openpty()
    for stream in ("stdin", "stdout", "stderr"):
        streams.setdefault(stream, slave)
    process = subprocess.Popen([TOOL, *arguments], **streams,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    end = b"\0ended\0"
    ended = threading.Thread(target=lambda: (process.wait(), os.write(slave, end)))
    ended.start()
    shown, prompts = b"", [b"Password: ", b"Again: "]
    while not shown.endswith(end):
        if prompts and prompts[0] in shown:
            prompts.pop(0)
            prompted(process, master)
        shown += os.read(master, 4096)
    ended.join()
    os.close(slave)
    os.close(master)
    signal.alarm(0)
    return shown[:-len(end)], process.returncode


class RumMap(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="rum-map-test-")
        self.addCleanup(self.folder.cleanup)
        self.cdb = self.path("users.cdb")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        return self.path(name)

    def read(self, path):
        with open(path, "rb") as f:
            return f.read()

    def run_tool(self, *arguments, code=0, stdin=b"", **options):
        done = subprocess.run([TOOL, *arguments], input=stdin, capture_output=True, timeout=120,
                              **options)
        self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
        return done

    def build(self, text, *arguments, **options):
        return self.run_tool("build", *arguments, self.cdb, stdin=text.encode(), **options)

    # build

    def test_builds_a_map_that_an_independent_writer_would_make(self):
        done = self.build(f"# comment\n\nalice {SECRET} tcp:db1:3306\nbob - tcp:db2:1,sock:/x\n"
                          "a\\sb\\x00\t-\ttcp:c:1 max=5 note=a\\sb\n")
        self.assertEqual(self.read(self.cdb), make_cdb([
            (b"alice", SECRET.encode() + b"\0tcp:db1:3306\0"),
            (b"bob", b"\0tcp:db2:1,sock:/x\0"),
            (b"a b\0", b"\0tcp:c:1\0\x80max=5 note=a\\sb")]))
        self.assertEqual(done.stdout.decode(),
                         f"{self.cdb}: 3 users, {os.path.getsize(self.cdb)} bytes\n")
        self.assertEqual(done.stderr, b"")
        self.assertEqual(stat.S_IMODE(os.stat(self.cdb).st_mode), 0o640)

    def test_warns_of_names_that_were_chosen_to_have_one_hash(self):
        lines = "".join("%s - tcp:a:1\n" % name for name in colliding_names(13))
        done = self.build(lines)
        self.assertIn(b"warning: 8192 names have the same hash", done.stderr)
        done = self.run_tool("check", self.cdb)
        self.assertIn(b"warning: 8192 names have the same hash", done.stderr)
        self.assertIn(b"8192 users", done.stdout)

    def test_builds_from_a_file_and_quietly(self):
        text = self.write("users.txt", "alice - tcp:a:1\n")
        done = self.run_tool("build", "-q", self.cdb, text)
        self.assertEqual(done.stdout + done.stderr, b"")
        self.run_tool("get", self.cdb, "alice")

    def test_names_file_and_line_of_every_error_and_keeps_the_old_map(self):
        self.build("old - tcp:old:1\n")
        before = self.read(self.cdb)
        text = self.write("users.txt", "alice - tcp:a:1\nbad\nalice - tcp:a:1\n")
        done = self.run_tool("build", self.cdb, text, code=1)
        self.assertEqual(done.stdout, b"")
        self.assertEqual(done.stderr.decode().splitlines(), [
            f"{text}:2: a line has three columns (user, secret or -, destination), not 1",
            f"{text}:3: user 'alice' is also on line 1",
            f"rum-map: {self.cdb}: not written: the input has 2 errors"])
        self.assertEqual(self.read(self.cdb), before)
        self.assertEqual(sorted(os.listdir(self.folder.name)), ["users.cdb", "users.txt"])

    def test_lets_the_last_line_win(self):
        done = self.build("alice - tcp:a:1\nbob - tcp:b:1\nalice - tcp:c:1\n", "--last-wins")
        self.assertTrue(done.stdout.endswith(b", 1 earlier lines dropped\n"), done.stdout)
        self.assertIn(b"tcp:c:1", self.run_tool("get", self.cdb, "alice").stdout)

    def test_an_input_without_any_user_is_an_error_unless_it_is_asked_for(self):
        self.build("alice - tcp:a:1\n")
        before = self.read(self.cdb)
        for text in ("", "# alice - tcp:a:1\n"):  # such as: false | rum-map build users.cdb
            done = self.build(text, code=1)
            self.assertEqual((done.stdout, done.stderr.decode()), (
                b"", f"rum-map: {self.cdb}: not written: the input has no user; --allow-empty makes "
                     "an empty map\n"))
            self.assertEqual(self.read(self.cdb), before)
        done = self.build("", "--allow-empty")
        self.assertEqual(done.stdout.decode(), f"{self.cdb}: 0 users, 2048 bytes\n")
        self.assertEqual(self.read(self.cdb), make_cdb([]))

    def test_a_text_in_the_place_of_the_map_is_not_replaced(self):
        text = self.write("users.txt", "alice - tcp:a:1\n")
        for arguments in ([text], [text, text], [text, "-"]):
            done = self.run_tool("build", *arguments, stdin=b"bob - tcp:a:1\n", code=2)
            self.assertTrue(done.stderr.startswith(f"rum-map: {text}: not written: ".encode()),
                            done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1)
        with open(text, "rb") as source:
            done = subprocess.run([TOOL, "build", text], stdin=source, capture_output=True,
                                  timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"it is also the input", done.stderr)
        self.assertEqual(self.read(text), b"alice - tcp:a:1\n")
        self.assertEqual(os.listdir(self.folder.name), ["users.txt"])
        self.build("alice - tcp:a:1\n")
        self.write("users.cdb", self.read(self.cdb)[:-1])
        self.build("alice - tcp:b:1\n")  # a map that is broken is to be made good

    def test_makes_no_map_of_what_it_read_before_it_was_interrupted(self):
        # Often: the signal may come while it waits for a line, and before that.
        for number in [signal.SIGINT, signal.SIGTERM] * 25:
            with subprocess.Popen([TOOL, "build", self.cdb], stdin=subprocess.PIPE,
                                  stderr=subprocess.PIPE,
                                  # A shell that runs this in the background ignores SIGINT.
                                  preexec_fn=lambda n=number: signal.signal(n, signal.SIG_DFL)
                                  ) as process:
                process.stdin.write(b"alice - tcp:a:1\n")
                process.stdin.flush()
                deadline = time.monotonic() + 20
                while not os.listdir(self.folder.name) and time.monotonic() < deadline:
                    time.sleep(0.001)
                self.assertEqual(len(os.listdir(self.folder.name)), 1)
                process.send_signal(number)
                process.stdin.close()
                self.assertEqual(process.wait(20), 6)
                self.assertEqual(process.stderr.read().decode(),
                                 f"rum-map: {self.cdb}: not written: interrupted\n")
            self.assertEqual(os.listdir(self.folder.name), [])

    def test_shows_progress_on_a_terminal_only(self):
        lines = "".join(f"user{i} - tcp:a:1\n" for i in range(400000))
        text = self.write("users.txt", lines)
        self.assertEqual(self.run_tool("build", self.cdb, text).stderr, b"")
        shown, code = on_terminal("build", self.cdb, text, stdout=subprocess.DEVNULL)
        self.assertEqual(code, 0)
        self.assertIn(b"reading, lines: ", shown)
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown[-40:])

    def test_keeps_within_the_memory_for_many_users(self):
        # 10 million users in less than 1 GiB are 107 bytes a user.
        users = 1000000
        text = self.path("users.txt")
        with open(text, "w") as f:
            for i in range(users):
                f.write(f"user{i:08d} {SECRET} tcp:db{i % 200}.example.net:3306\n")
        # A process of its own asks: its children inherit no high-water mark of this one.
        ask = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
               "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
        done = subprocess.run([sys.executable, "-c", ask, TOOL, "build", "-q", self.cdb, text],
                              stdout=subprocess.PIPE, timeout=300, check=True)
        program = self.read(TOOL)
        if b"__asan_" in program or b"__tsan_" in program:
            self.skipTest("a sanitizer uses memory of its own")
        self.assertLess(int(done.stdout), users * 107 // 1024)

    # dump

    def test_dump_and_build_give_back_any_map(self):
        noise = random.Random(7)
        records = [(b"alice", SECRET.encode() + b"\0tcp:db1:3306\0"),
                   (b"old", SECRET.encode() + b"\0tcp:db1:3306\0database\0x"),
                   (b"", b""), (b"-", b"-"), (b"#", b"#"), (b"=", b"="), (b"no nul", b"tcp:a:1"),
                   (b"no end", b"\0tcp:a:1"), (b"plain", b"password\0tcp:a:1\0"),
                   (b"bad", b"\0nonsense\0"), (b"long" * 500, b"\0tcp:a:1\0" + bytes(range(256)))]
        keys = set(k for k, _ in records)
        while len(records) < 2000:
            key = bytes(noise.randrange(256) for _ in range(noise.randrange(1, 12)))
            if key not in keys:
                keys.add(key)
                records.append((key, bytes(noise.randrange(256) for _ in range(noise.randrange(30)))))
        original = self.write("original.cdb", make_cdb(records))
        text = self.run_tool("dump", original).stdout
        self.assertTrue(all(byte == 10 or 32 <= byte < 127 for byte in text))
        self.assertEqual(text.splitlines()[0].decode(), f"alice {SECRET} tcp:db1:3306")
        self.run_tool("build", self.cdb, stdin=text)
        self.assertEqual(self.read(self.cdb), self.read(original))

    def test_dumps_to_a_file_that_only_its_owner_can_read(self):
        self.build(f"alice {SECRET} tcp:a:1\n")
        out = self.write("out.txt", "old")
        os.chmod(out, 0o666)
        self.run_tool("dump", "-o", out, self.cdb)
        self.assertEqual(self.read(out).decode(), f"alice {SECRET} tcp:a:1\n")
        self.assertEqual(stat.S_IMODE(os.stat(out).st_mode), 0o600)

    def test_dumps_commands_for_redis_with_the_marker_last(self):
        self.build("alice - tcp:db1:3306 max=3\na\\sb - sock:/x\n")
        out = self.run_tool("dump", "--redis", "u:", self.cdb).stdout
        commands = [("u:alice", "alice - tcp:db1:3306 max=3"), ("u:a b", "a\\sb - sock:/x"),
                    ("rum:map:id", "2")]
        self.assertEqual(out.decode(), "".join(
            "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(k), k, len(v), v)
            for k, v in commands))

    def test_says_that_the_output_is_full(self):
        self.build("alice - tcp:a:1\n")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([TOOL, "dump", self.cdb], stdout=full, stderr=subprocess.PIPE,
                                  timeout=60)
        self.assertEqual(done.returncode, 6)
        self.assertIn(b"No space left", done.stderr)

    # rules

    # Version 6.7: 10.0.0.0/8 and the country SK.
    OLDER = b"\x03\x01\x0a\0\0\0\xff\0\0\0\x01SK"

    def test_rules_are_built_dumped_and_built_again(self):
        text = ("alice - tcp:a:1 allow=10.0.0.0/8,2001:db8::/32 deny=10.6.0.0/16 max=5 rate=20/m "
                "tls=require from=2026-01-01T00:00:00Z until=2027-01-01T00:00:00Z disabled "
                "note=see\\sticket\\s7\n"
                "bob - tcp:a:1 max=off rate=off\n"
                "carol - tcp:a:1 tail=\\x03\\x01\\x0a\\x00\\x00\\x00\\xff\\x00\\x00\\x00\\x01SK\n")
        self.build(text)
        self.assertIn((b"carol", b"\0tcp:a:1\0" + self.OLDER), self.records(self.read(self.cdb)))
        self.assertEqual(self.run_tool("dump", self.cdb).stdout.decode(), text)

    def test_columns_of_modules_are_kept_and_shown(self):
        text = ("alice SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
                "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
                "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU= tcp:a:1 max=5 pgsql-db=app\\s1\n"
                "bob - tcp:a:1 pgsql-db=app2 pop3-box=/var/mail/bob\n")
        self.build(text)
        self.assertIn((b"bob", b"\0tcp:a:1\0\x80pgsql-db=app2 pop3-box=/var/mail/bob"),
                      self.records(self.read(self.cdb)))
        self.assertEqual(self.run_tool("dump", self.cdb).stdout.decode(), text)
        self.assertEqual(self.run_tool("get", self.cdb, "alice").stdout.decode(),
                         "destination tcp:a:1\nsecret stored\nat most 5 connections\n"
                         "pgsql-db app 1\n")
        self.assertIn(b"; 0 problems\n", self.run_tool("check", self.cdb).stdout)

    def records(self, data):
        at, end, found = 2048, struct.unpack_from("<I", data)[0], []
        while at < end:
            key, value = struct.unpack_from("<II", data, at)
            found.append((data[at + 8:at + 8 + key], data[at + 8 + key:at + 8 + key + value]))
            at += 8 + key + value
        return found

    def test_rules_that_are_wrong_are_errors_with_file_and_line(self):
        text = self.write("users.txt", "alice - tcp:a:1 max=5\nbob - tcp:a:1 mx=5\n"
                                       "carol - tcp:a:1 allow=10.0.0.1/8\n")
        done = self.run_tool("build", self.cdb, text, code=1)
        self.assertEqual(done.stderr.decode().splitlines()[:2], [
            f"{text}:2: user 'bob' has rules that cannot be read: 'mx' is not one of allow, deny, "
            "country, not-country, max, rate, tls, from, until, disabled, note",
            f"{text}:3: user 'carol' has rules that cannot be read: allow='10.0.0.1/8': address "
            "bits are set beyond the prefix length; write 10.0.0.0/8"])

    def test_names_that_no_client_is_known_by_are_warned_of(self):
        long = "n" * 129
        for odd in ("'alice'", "b\\xc3", long, "\\xff", "x\\xe2\\x82"):
            text = self.write("users.txt", f"{odd} - tcp:a:1\nbob - tcp:a:1\n".encode())
            warning = (f"{self.cdb}: warning: users whose names are in quotes, longer than 128 characters "
                       "or not UTF-8, so that they may not match any client: 1, such as ")
            done = self.run_tool("build", self.cdb, text)
            self.assertIn(warning, done.stderr.decode())
            done = self.run_tool("check", self.cdb)
            self.assertIn(warning, done.stderr.decode())
        text = self.write("users.txt", "'a - tcp:a:1\n' - tcp:a:1\nž€😀 - tcp:a:1\n".encode() +
                          ("ž" * 128).encode() + b" - tcp:a:1\n")
        self.assertEqual(self.run_tool("build", self.cdb, text).stderr, b"")

    def test_check_names_users_whose_rules_cannot_be_read(self):
        self.write("users.cdb", make_cdb([
            (b"alice", b"\0tcp:a:1\0\x80max=5"), (b"bob", b"\0tcp:a:1\0\x80later=5"),
            (b"carol", b"\0tcp:a:1\0" + self.OLDER), (b"dave", b"\0tcp:a:1\0\x01\x02")]))
        os.chmod(self.cdb, 0o640)
        done = self.run_tool("check", self.cdb, code=1)
        lines = done.stderr.decode().splitlines()
        self.assertEqual(len(lines), 3, lines)
        self.assertEqual(lines[0], f"{self.cdb}: warning: users with country rules, for which rum "
                                   "needs --geo-db: 1")
        self.assertIn("user 'bob' has rules that cannot be read: 'later' is not one of", lines[1])
        self.assertIn("user 'dave' has rules that cannot be read: the list of addresses is truncated",
                      lines[2])
        self.assertIn(b"4 with rules; 2 problems\n", done.stdout)
        # What cannot be read is not lost either.
        text = self.run_tool("dump", self.cdb).stdout
        before = self.read(self.cdb)
        self.run_tool("build", self.cdb, stdin=text)
        self.assertEqual(self.read(self.cdb), before)

    def test_get_shows_the_rules_of_the_older_form_in_words(self):
        self.write("users.cdb", make_cdb([(b"carol", b"\0tcp:a:1\0" + self.OLDER)]))
        self.assertEqual(self.run_tool("get", self.cdb, "carol").stdout.decode().splitlines()[2:],
                         ["allowed only from the countries (with --geo-db) SK",
                          "allowed only from 10.0.0.0/8"])

    # check

    def test_check_counts_what_a_good_map_has(self):
        self.build(f"alice {SECRET} tcp:a:1\nbob - tcp:a:1\ncarol - tcp:b:1 max=5\n")
        done = self.run_tool("check", self.cdb)
        self.assertEqual(done.stderr, b"")
        self.assertEqual(done.stdout.decode(),
                         f"{self.cdb}: 3 users (1 with a stored secret), 2 destinations, "
                         f"{os.path.getsize(self.cdb)} bytes, 1 with rules; 0 problems\n")
        self.assertEqual(self.run_tool("check", "-q", self.cdb).stdout, b"")

    def test_check_names_each_bad_record(self):
        self.write("users.cdb", make_cdb([
            (b"good", b"\0tcp:a:1\0"), (b"a\x1b[2J", b"\0tcp:a\0"), (b"b", b"hunter2\0tcp:a:1\0"),
            (b"c", b"\0\0"), (b"d", b"none"), (b"", b"\0tcp:a:1\0"), (b"e" * 513, b"\0tcp:a:1\0"),
            (b"good", b"\0tcp:b:1\0")]))
        done = self.run_tool("check", self.cdb, code=1)
        errors = done.stderr.decode().splitlines()
        warning = [line for line in errors if "warning" in line]
        self.assertEqual(len(warning), 1 if os.stat(self.cdb).st_mode & 4 else 0)
        problems = [line for line in errors if "warning" not in line]
        self.assertEqual(len(problems), 7, errors)
        self.assertIn(f"{self.cdb}: user 'a\\x1b[2J' has a bad destination", problems[0])
        self.assertIn("user 'b' has a secret that is neither", problems[1])
        self.assertIn("user 'c' has no destination", problems[2])
        self.assertIn("user 'd' has no destination", problems[3])
        self.assertIn("user '' is an empty name", problems[4])
        self.assertIn("has a name of more than 512 bytes", problems[5])
        self.assertIn("user 'good' is a duplicate", problems[6])
        self.assertIn(b"; 7 problems\n", done.stdout)
        self.assertNotIn(b"hunter2", done.stdout + done.stderr)

    def test_check_refuses_a_map_that_is_cut_missing_or_something_else(self):
        self.build("alice - tcp:a:1\n")
        whole = self.read(self.cdb)
        for content in (whole[:-1], whole + b"x", whole[:100], b"", b"\0" * 5000):
            self.write("bad.cdb", content)
            done = self.run_tool("check", self.path("bad.cdb"), code=1)
            self.assertTrue(done.stderr.startswith(f"rum-map: {self.path('bad.cdb')}: ".encode()))
            self.assertEqual(len(done.stderr.splitlines()), 1)
        self.run_tool("check", self.path("none.cdb"), code=1)

    def test_check_warns_of_a_map_that_everybody_can_read(self):
        self.build("alice - tcp:a:1\n")
        os.chmod(self.cdb, 0o644)
        self.assertIn(b"warning: every user of this machine can read it",
                      self.run_tool("check", self.cdb).stderr)
        os.chmod(self.cdb, 0o640)
        self.assertEqual(self.run_tool("check", self.cdb).stderr, b"")

    # get

    def test_get_tells_where_a_user_goes_and_never_the_secret(self):
        self.build(f"alice {SECRET} tcp:a:1\nbob - sock:/a\\sb max=5 allow=10.0.0.0/8\n-x - tcp:c:1\n")
        done = self.run_tool("get", self.cdb, "alice")
        self.assertEqual(done.stdout, b"destination tcp:a:1\nsecret stored\n")
        self.assertNotIn(SECRET.encode(), done.stdout + done.stderr)
        self.assertEqual(self.run_tool("get", self.cdb, "bob").stdout,
                         b"destination sock:/a b\nsecret none\n"
                         b"allowed only from 10.0.0.0/8\nat most 5 connections\n")
        self.run_tool("get", self.cdb, "--", "-x")

    def test_get_says_when_there_is_no_such_user_or_no_map(self):
        self.build("alice - tcp:a:1\n")
        done = self.run_tool("get", self.cdb, "Alice", code=1)
        self.assertEqual(done.stdout, b"")
        self.assertEqual(done.stderr.decode(), f"rum-map: {self.cdb}: no user 'Alice'\n")
        self.run_tool("get", self.path("none"), "alice", code=4)
        self.run_tool("dump", self.path("none"), code=4)
        self.write("users.cdb", make_cdb([(b"alice", b"nothing")]))
        self.run_tool("get", self.cdb, "alice", code=4)

    # hash

    def expected(self, password):
        return "*" + hashlib.sha1(hashlib.sha1(password).digest()).hexdigest().upper() + "\n"

    def test_hash_reads_a_line_of_standard_input(self):
        self.assertEqual(self.expected(b"password"), SECRET + "\n")
        for password in (b"password", "gr\u00fc\u00df".encode(), b"with blank ", b"\xff\0\x01", b"x" * 65536):
            for end in (b"", b"\n", b"\nsecond line"):
                done = self.run_tool("hash", stdin=password + end)
                self.assertEqual(done.stdout.decode(), self.expected(password))
        self.run_tool("hash", stdin=b"x" * 65537, code=2)
        self.assertIn(b"the password is empty", self.run_tool("hash", stdin=b"", code=1).stderr)
        self.run_tool("hash", stdin=b"\n", code=1)

    def test_hash_takes_no_password_from_the_command_line(self):
        self.assertEqual(self.run_tool("hash", "password", code=2, stdin=b"x").stdout, b"")

    def hash_on_terminal(self, *answers):
        typed = list(answers)
        shown, code = on_terminal(
            "hash", prompted=lambda _, terminal: os.write(terminal, typed.pop(0) + b"\n"))
        return shown.decode(), code

    def test_hash_asks_twice_on_a_terminal_without_showing_what_is_typed(self):
        shown, code = self.hash_on_terminal(b"s3cret", b"s3cret")
        self.assertEqual(code, 0)
        self.assertNotIn("s3cret", shown)
        self.assertIn(self.expected(b"s3cret").strip(), shown)
        shown, code = self.hash_on_terminal(b"s3cret", b"secret")
        self.assertEqual(code, 1)
        self.assertIn("the two passwords differ", shown)

    def test_hash_can_be_interrupted_on_a_terminal(self):
        # Often: the signal may come at any point between the prompt and the wait for a key.
        for _ in range(100):
            shown, code = on_terminal(
                "hash", prompted=lambda process, _: process.send_signal(signal.SIGINT))
            self.assertEqual(code, 6)
            self.assertIn(b"no password was read", shown)

    # set, unset and fold

    def dump(self):
        return self.run_tool("dump", self.cdb).stdout.decode()

    def test_moves_one_user_and_keeps_secret_and_rules(self):
        self.build(f"alice {SECRET} tcp:a:1 max=5 note=x\nbob - tcp:b:1\n")
        before = self.read(self.cdb)
        done = self.run_tool("set", self.cdb, "alice", "tcp:a:2,tcp:a:3")
        self.assertEqual(done.stdout.decode(), f"{self.cdb}: 1 change\n")
        self.assertEqual(self.dump(), f"alice {SECRET} tcp:a:2,tcp:a:3 max=5 note=x\nbob - tcp:b:1\n")
        self.assertEqual(self.read(self.cdb), before)
        self.run_tool("set", "-q", self.cdb, "alice", "tcp:a:4", "max=6")
        self.run_tool("set", "-q", self.cdb, "new one", "tcp:n:1")
        self.assertEqual(self.dump(), f"alice {SECRET} tcp:a:4 max=6\nbob - tcp:b:1\n"
                                      "new\\sone - tcp:n:1\n")
        self.assertIn(b"destination tcp:a:4\nsecret stored", self.run_tool("get", self.cdb, "alice").stdout)
        self.assertIn(b"2 changed by the journal; 0 problems", self.run_tool("check", self.cdb).stdout)

    def test_sets_whole_lines_of_standard_input_together(self):
        self.build("alice - tcp:a:1 max=5\n")
        done = self.run_tool("set", self.cdb, stdin=f"# x\nalice {SECRET} tcp:a:2\nbob - tcp:b:1\n".encode())
        self.assertEqual(done.stdout.decode(), f"{self.cdb}: 2 changes\n")
        text = f"alice {SECRET} tcp:a:2\nbob - tcp:b:1\n"
        self.assertEqual(self.dump(), text)
        done = self.run_tool("set", self.cdb, code=1, stdin=b"carol - tcp:c:1\nbob - nowhere\n")
        self.assertIn(b"<stdin>:2: user 'bob' has a bad destination", done.stderr)
        self.run_tool("set", self.cdb, code=1, stdin=b"\n")
        # An empty variable of a script: what follows on standard input is something else.
        for words in (("", "tcp:c:1"), ("",), ("", "")):
            done = self.run_tool("set", self.cdb, *words, code=2, stdin=b"carol - tcp:c:1\n")
            self.assertIn(b"the user's name is empty", done.stderr)
        self.assertEqual(self.dump(), text)

    def test_unset_removes_a_user_that_is_there(self):
        self.build("alice - tcp:a:1\nbob - tcp:b:1\n")
        self.run_tool("unset", self.cdb, "bob")
        self.assertEqual(self.dump(), "alice - tcp:a:1\n")
        done = self.run_tool("unset", self.cdb, "bob", code=1)
        self.assertIn(b"no user 'bob'", done.stderr)
        self.run_tool("get", self.cdb, "bob", code=1)

    def test_fold_makes_a_map_without_a_journal_of_the_same_users(self):
        self.build("alice - tcp:a:1\nbob - tcp:b:1\n")
        self.run_tool("fold", self.cdb, code=4)
        self.run_tool("set", self.cdb, "alice", "tcp:a:2")
        self.run_tool("unset", self.cdb, "bob")
        done = self.run_tool("fold", self.cdb)
        self.assertIn(b": 1 user, ", done.stdout)
        os.unlink(self.cdb + ".log")
        self.assertEqual(self.dump(), "alice - tcp:a:2\n")

    def test_changes_says_what_a_new_map_would_undo_and_build_keeps_what_came_later(self):
        self.build("alice - tcp:a:1\nbob - tcp:b:1\n")
        self.assertEqual(self.run_tool("changes", self.cdb).stdout, b"0\n")
        self.run_tool("set", self.cdb, "alice", "tcp:a:2")
        self.run_tool("set", self.cdb, "new one", "tcp:n:1")
        self.run_tool("unset", self.cdb, "bob")
        self.run_tool("set", self.cdb, "alice", "tcp:a:3")
        number, *users = self.run_tool("changes", self.cdb).stdout.decode().split("\n")[:-1]
        self.assertEqual((number, sorted(users)),
                         ("4", ["alice - tcp:a:3", "bob", "new\\sone - tcp:n:1"]))
        self.run_tool("fold", "-q", self.cdb)
        self.assertEqual(self.run_tool("changes", self.cdb).stdout, b"4\n")
        self.run_tool("set", self.cdb, "carol", "tcp:c:1")
        ready = self.path("ready.cdb")
        for records, more in (([(b"alice", b"\0tcp:a:9\0")], ["--cdb"]), (None, [])):
            text = "alice - tcp:a:9\n"
            if records:
                with open(ready, "wb") as f:
                    f.write(make_cdb(records))
                self.run_tool("build", "-q", *more, "--after", number, self.cdb, ready)
                self.assertEqual(self.read(self.cdb), self.read(ready), "byte for byte")
            else:
                self.run_tool("build", "-q", "--after", number, self.cdb, stdin=text.encode())
            self.assertEqual(self.dump(), text + "carol - tcp:c:1\n")
        self.build("alice - tcp:a:9\n")
        self.assertEqual(self.dump(), "alice - tcp:a:9\n", "without it, the text is the truth")

    def test_build_takes_no_broken_cdb(self):
        self.build("alice - tcp:a:1\n")
        ready = self.path("ready.cdb")
        good = make_cdb([(b"alice", b"\0tcp:a:9\0")])
        for content in (b"", good[:-1], b"x" * 3000, make_cdb([]),
                        make_cdb([(b"bob", b"\0tcp:a:1\0"), (b"bob", b"\0tcp:a:2\0")])):
            with open(ready, "wb") as f:
                f.write(content)
            done = subprocess.run([TOOL, "build", "--cdb", "--last-wins", self.cdb, ready],
                                  capture_output=True, timeout=60)
            self.assertNotEqual(done.returncode, 0, content[:50])
            self.assertEqual(self.dump(), "alice - tcp:a:1\n")

    def test_set_refuses_what_it_cannot_use(self):
        self.run_tool("set", self.cdb, "alice", "tcp:a:1", code=4)
        self.build("alice - tcp:a:1\n")
        self.run_tool("set", self.cdb, "alice", code=2)
        for words in (["nowhere"], ["tcp:a:1", "maxx=5"], ["tcp:a:1", "max=x"]):
            self.run_tool("set", self.cdb, "alice", *words, code=1)
        for words in (["tcp:a:1 max=5"], ["tcp:a:1", "max=5 tls=require"], ["tcp:a:1\tmax=5"], ["tcp:a:1 #"]):
            self.run_tool("set", self.cdb, "alice", *words, code=2)
        self.run_tool("set", self.cdb, "x" * 513, "tcp:a:1", code=1)
        self.assertFalse(os.path.exists(self.cdb + ".log"))

    # the command line

    def test_help_teaches_with_an_example_that_works(self):
        text = self.run_tool("--help").stdout.decode()
        for command in ("build", "fold", "set", "unset", "changes", "dump", "check", "get", "hash"):
            self.assertIn(f"\n  {command} ", text)
            self.assertIn("Usage: rum-map " + command, self.run_tool(command, "--help").stdout.decode())
        example = [line.strip() for line in text.splitlines()
                   if line.startswith(("  alice ", "  bob ", "  carol "))]
        self.assertEqual(len(example), 3)
        self.build("\n".join(example))
        self.assertIn("Exit codes:", text)

    def test_refuses_what_it_does_not_know_with_one_line(self):
        for arguments in ([], ["buld"], ["build"], ["get", self.cdb], ["check", "--fast", "x"],
                          ["dump", "a", "b"], ["--unknown"]):
            done = self.run_tool(*arguments, code=2)
            self.assertEqual(done.stdout, b"")
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_says_its_version(self):
        self.assertRegex(self.run_tool("--version").stdout.decode(), r"^rum-map \d+\.\d+\.\d+")


if __name__ == "__main__":
    if not os.access(TOOL, os.X_OK):
        sys.exit(f"{TOOL}: not there; run this by make check, or set RUM_MAP")
    unittest.main(verbosity=2)
