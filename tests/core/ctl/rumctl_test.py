"""rumctl against a socket on which the test answers: what it asks, what it prints, how it ends."""

import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import unittest

RUMCTL = os.path.abspath("rumctl")
REFUSED, USAGE, UNREACHABLE = 1, 2, 3
TIMEOUT = 60


def answer(body, status="200 OK"):
    return ("HTTP/1.1 %s\r\nContent-Type: application/json\r\n\r\n%s" % (status, body)).encode()


def status_of(ready, draining):
    """What status reads of /stats, without a verdict."""
    return {"rum": {"version": "1", "pid": 7, "uptime_seconds": 1, "workers": 1,
                    "workers_stuck": 0, "ready": ready, "draining": draining},
            "module": {"name": "m"}, "health_checks": {"up": 1, "down": 1, "unknown": 0},
            "sessions": dict.fromkeys(["active", "relaying", "connecting", "accepted", "logins"], 0),
            "limits": dict.fromkeys(["login_failures", "users", "blocked_addresses"], 0)}


class RumctlTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="rum-")
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "control.sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.listener.close)
        self.listener.bind(self.path)
        self.listener.listen()
        self.asked = []

    def serve(self, answers):
        for one in answers:
            try:
                client, _ = self.listener.accept()
            except OSError:  # rumctl has not come
                return
            with client:
                client.settimeout(TIMEOUT)
                request = b""
                while b"\r\n\r\n" not in request:
                    piece = client.recv(4096)
                    if not piece:
                        return
                    request += piece
                self.asked.append(request.decode().split("\r\n")[0])
                client.sendall(one)

    def test_finds_the_only_instance_or_lists_them(self):
        folder = {"RUM_INSTANCES": self.folder.name}
        self.assertEqual(self.run_rumctl("stop", environment=folder, answers=[
            answer('{"done":"the unnamed one"}')])[:2], (0, "the unnamed one\n"))
        for words in (["stop"], ["-i", "mx", "stop"], ["stop", "--instance=mx"]):
            self.use("mx/control.sock")
            self.assertEqual(self.run_rumctl(*words, environment=folder, answers=[
                answer('{"done":"stopping"}')])[:2], (0, "stopping\n"))
        self.use("pop3/control.sock")
        os.mkdir(os.path.join(self.folder.name, "nothing"))
        code, out, err = self.run_rumctl("stop", environment=folder)
        self.assertEqual((code, out), (USAGE, ""))
        self.assertIn("choose one by -i: mx pop3\n", err)
        self.use("pop3/control.sock")
        self.assertEqual(self.run_rumctl("-i", "pop3", "stop", environment=folder, answers=[
            answer('{"done":"stopping"}')])[0], 0)
        code, _, err = self.run_rumctl("-i", "none", "stop", environment=folder)
        self.assertEqual(code, UNREACHABLE)
        self.assertIn("/none/control.sock", err)
        for name in ("../x", "..", "a/b"):
            self.assertEqual(self.run_rumctl("-i", name, "stop", environment=folder)[0], USAGE)
        self.assertEqual(self.run_rumctl("-i", "mx", "-s", self.path, "stop")[0], USAGE)

    def test_names_a_command_that_there_is_not(self):
        for words in (["foo"], ["-s", self.path, "foo"], ["--json", "foo", "bar"]):
            code, _, err = self.run_rumctl(*words)
            self.assertEqual(code, USAGE)
            self.assertIn("there is no command 'foo'", err)
        self.assertIn("the command is missing (rumctl --help)", self.run_rumctl()[2])

    def use(self, name):
        """Serves on another socket; sockets of instances stay, the unnamed one does not."""
        before, self.path = self.path, os.path.join(self.folder.name, name)
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        for path in {self.path} | ({before} if os.path.dirname(before) == self.folder.name else set()):
            if os.path.exists(path):
                os.unlink(path)
        self.listener.close()
        self.listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.listener.close)
        self.listener.bind(self.path)
        self.listener.listen()

    def run_rumctl(self, *words, answers=(), environment=None):
        """(exit code, standard output, standard error)"""
        server = threading.Thread(target=self.serve, args=(answers,))
        server.start()
        try:
            done = subprocess.run([RUMCTL, *words], env={**os.environ, **(environment or {})},
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=TIMEOUT)
        finally:
            self.listener.shutdown(socket.SHUT_RDWR)
            server.join()
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def ctl(self, *words, answers=()):
        return self.run_rumctl("-s", self.path, *words, answers=answers)

    def test_a_command_becomes_one_request(self):
        code, out, err = self.ctl("drain", "tcp:db1:3306", answers=[answer('{"done":"drained"}')])
        self.assertEqual((code, out, err), (0, "drained\n", ""))
        self.assertEqual(self.asked, ["POST /drain?destination=tcp:db1:3306 HTTP/1.0"])

    def test_what_a_name_holds_is_escaped(self):
        code, _, err = self.ctl("explain", "a b=c&d%@192.0.2.7",
                                answers=[answer('{"lines":[["record","none"]],"possible":true}')])
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(self.asked,
                         ["POST /explain?user=a%20b%3Dc%26d%25%40192.0.2.7 HTTP/1.0"])

    def test_a_value_may_contain_an_equals_sign(self):
        for words, asked in ((("set", "login-failures", "2/m,block=10s"),
                              "/set?name=login-failures&value=2%2Fm%2Cblock%3D10s"),
                             (("drain", "sock:/run/a=b"), "/drain?destination=sock:%2Frun%2Fa%3Db")):
            with self.subTest(words):
                self.use("control.sock")
                self.asked = []
                code, _, err = self.ctl(*words, answers=[answer('{"done":"done"}')])
                self.assertEqual((code, err), (0, ""))
                # A slash may stay as it is.
                self.assertEqual([line.replace("%2F", "/") for line in self.asked],
                                 ["POST %s HTTP/1.0" % asked.replace("%2F", "/")])

    def test_each_mistake_has_a_line(self):
        code, out, err = self.ctl("reload", answers=[
            answer('{"error":"rum.conf:1: a\\u001b\\nrum.conf:2: b"}', "500 No")])
        self.assertEqual((code, out), (REFUSED, ""))
        self.assertEqual(err, "rumctl: rum.conf:1: a\\x1b\nrumctl: rum.conf:2: b\n")

    def test_help_shows_the_words_of_the_commands(self):
        whole = self.run_rumctl("--help")[1]
        for words in ("explain USER[@IP]", "drain ADDR", "set LIMIT VALUE", "status  "):
            self.assertRegex(whole, "(?m)^  " + re.escape(words))
        self.assertIn("Usage: rumctl [-s PATH | -i NAME] [--json] COMMAND [WORD...]\n", whole)
        self.assertNotIn("Excludes", whole)
        self.assertIn("Usage: rumctl set LIMIT VALUE\n", self.run_rumctl("set", "--help")[1])

    def test_servers_that_nobody_checks_are_not_unknown(self):
        stats = status_of(True, False)
        stats["health_checks"] = {"up": 0, "down": 0, "unknown": 0}
        stats["servers"] = {"known": 2}
        self.assertRegex(self.ctl("status", answers=[answer(json.dumps(stats))])[1],
                         "(?m)^servers +2, not checked$")

    def test_status_has_a_line_for_each_older_process(self):
        stats = status_of(True, False)
        stats["generations"] = [{"pid": 71, "version": "1\x1b[2J", "state": "draining",
                                 "sessions": 500, "uptime_seconds": 9000, "since": 1},
                                {"pid": 72, "version": "", "state": "no answer", "sessions": 0,
                                 "uptime_seconds": 0, "since": 2}]
        code, out, err = self.ctl("status", answers=[answer(json.dumps(stats))])
        self.assertEqual((code, err), (0, ""))
        self.assertIn("older     process 71, rum 1\\x1b[2J, draining, 500 sessions, up 2h30m\n", out)
        self.assertIn("older     process 72, rum , no answer, 0 sessions, up 0s\n", out)

    def test_sessions_name_the_older_processes(self):
        one = {"id": 5, "client": "c", "state": "relay", "seconds": 1, "received": 2, "sent": 3}
        text = json.dumps({"matched": 2, "sessions": [dict(one, process=71), dict(one, id=6)],
                           "no_answer": [72]})
        code, out, _ = self.ctl("sessions", answers=[answer(text)])
        self.assertEqual(code, 0)
        lines = out.splitlines()
        self.assertRegex(lines[0], " SENT +PROCESS$")
        self.assertRegex(lines[1], "^5 .* 3 +71$")
        self.assertRegex(lines[2], "^6 .* 3$")
        self.assertEqual(lines[3], "process 72 does not answer, its sessions are missing")

    def test_a_kill_that_a_process_has_missed_is_a_failure(self):
        code, out, _ = self.ctl("kill", "ip=::1", answers=[
            answer('{"matched":2,"sessions":[],"no_answer":[72]}')])
        self.assertEqual((code, out), (REFUSED, "2 ended\nprocess 72 does not answer, its sessions "
                                                "are missing\n"))

    def test_a_login_that_is_not_possible_is_a_failure(self):
        code, out, _ = self.ctl("explain", "bob",
                                answers=[answer('{"lines":[["map","no"]],"possible":false}')])
        self.assertEqual((code, out), (REFUSED, "map  no\n"))

    def test_the_socket_comes_from_the_environment(self):
        code, out, _ = self.run_rumctl("stop", answers=[answer('{"done":"stopping"}')],
                                       environment={"RUM_CONTROL": "sock:" + self.path})
        self.assertEqual((code, out), (0, "stopping\n"))

    def test_json_is_passed_on_as_it_is(self):
        body = '{"users":[{"user":"a","sessions":1}],"active":1}\n'
        code, out, _ = self.ctl("--json", "users", answers=[answer(body)])
        self.assertEqual((code, out), (0, body))

    def test_status_has_the_verdict_or_what_an_older_rum_says(self):
        stats = status_of(True, False)
        stats["verdict"] = {"word": "degraded", "reasons": ["1 of 2 servers is down: \x1b[2J", "b"]}
        out = self.ctl("status", answers=[answer(json.dumps(stats))])[1]
        self.assertRegex(out, r"(?m)^state +degraded: 1 of 2 servers is down: [^\x1b]+, b$")
        self.assertRegex(out, "(?m)^ready +yes$")

    def test_status_of_an_older_rum_has_no_reasons(self):
        for ready, draining, word in ((True, False, "serving"), (False, False, "down"),
                                      (False, True, "draining")):
            stats = status_of(ready, draining)
            self.use("control.sock")
            out = self.ctl("status", answers=[answer(json.dumps(stats))])[1]
            self.assertRegex(out, "(?m)^state +%s$" % word)

    def test_a_name_does_not_move_the_terminal(self):
        body = r'{"users":[{"user":"\u001b[2J\u0007\nevil","sessions":1}],"active":1}'
        code, out, _ = self.ctl("users", answers=[answer(body)])
        self.assertEqual(code, 0)
        self.assertNotRegex(out, "[\x00-\x09\x0b-\x1f\x7f]")
        self.assertEqual(len(out.splitlines()), 3, out)

    def test_destinations_show_one_state_each(self):
        body = """{"destinations":[
          {"address":"tcp:a:1","sessions":3,"state":"up","check_seconds":2,
           "notes":{"version":"11.8"}},
          {"address":"tcp:b:1","sessions":0,"state":"down","check_seconds":3,
           "reason":"connect_refused","detail":"no"},
          {"address":"tcp:c:1","sessions":0,"state":"unknown","circuit":"open",
           "circuit_reason":"connect_timeout","circuit_seconds":7},
          {"address":"tcp:d:1","sessions":0,"state":"unknown","circuit":"half-open",
           "circuit_reason":"connect_timeout","circuit_seconds":0},
          {"address":"tcp:e:1","sessions":0,"state":"up","admin":"drain","check_seconds":1}]}"""
        code, out, err = self.ctl("destinations", answers=[answer(body)])
        self.assertEqual((code, err), (0, ""))
        lines = [re.split("  +", line) for line in out.splitlines()]
        self.assertEqual(lines[0], ["ADDRESS", "SESSIONS", "STATE", "CHECK TIME", "WHAT"])
        self.assertEqual([line[2] for line in lines[1:]],
                         ["up", "down", "circuit open", "circuit half-open", "drain"])
        self.assertEqual(lines[1][4], "11.8")
        self.assertEqual(lines[2][4], "connect_refused no")
        self.assertRegex(lines[3][4], "^connect_timeout, half-open in 7")
        self.assertEqual(lines[4][3:], ["-", "connect_timeout"])

    def test_a_mistake_is_not_sent(self):
        for words in (("drain", "a", "b"), ("status", "x"), ("sessions", "name=x"),
                      ("set", "max-connections=3"), ("unblock", "ip=::1"),
                      ("map", "--all"), ("status", "--all"), ("nonsense",), ()):
            with self.subTest(words):
                done = subprocess.run([RUMCTL, "-s", os.path.join(self.folder.name, "nobody"), *words],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, timeout=TIMEOUT)
                self.assertEqual(done.returncode, USAGE, done.stderr)
                self.assertRegex(done.stderr.decode(), "^rumctl: ")

    def test_a_refusal_says_why(self):
        code, out, err = self.ctl("ready", "tcp:db9:1",
                                  answers=[answer('{"error":"there is no tcp:db9:1"}\n', "404 No")])
        self.assertEqual((code, out, err), (REFUSED, "", "rumctl: there is no tcp:db9:1\n"))

    def test_nobody_there(self):
        path = os.path.join(self.folder.name, "nobody")
        done = subprocess.run([RUMCTL, "-s", path, "status"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT)
        self.assertEqual(done.returncode, UNREACHABLE)
        self.assertIn("no rum answers on " + path, done.stderr.decode())

    def test_somebody_else_there(self):
        for other in (b"220 mail ready\r\n", b"", answer("<html>")):
            with self.subTest(other):
                self.setUp()
                code, out, err = self.ctl("status", answers=[other])
                self.assertEqual((code, out), (UNREACHABLE, ""), err)
                self.assertTrue(re.match("rumctl: .", err), err)


if __name__ == "__main__":
    unittest.main()
