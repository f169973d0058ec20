"""Alerts, dashboard, operations.md, security.md and contrib/deploy speak of what there is: metrics
and labels that a running rum serves, options, rumctl commands, sections of the manual, end reasons;
and the files can be read. With promtool the tests of the alerts run, too. Run by `make check` in the build folder.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
SOURCE = os.path.abspath(os.environ.get("srcdir", "."))
sys.path.insert(0, os.path.join(SOURCE, "tests", "core"))
import manual_test as program  # how the program is asked for options and metrics

try:
    import yaml  # read whole where it is there; it is not needed
except ImportError:
    yaml = None

CONTRIB = os.path.join(SOURCE, "contrib")
# Options of other programs that the pages mention.
FOREIGN = {"--cacert", "--chmod", "--chown", "--dry-run", "--fail", "--from-file", "--from-literal",
           "--jobs", "--keep-failed", "--max-time", "--no-auth-warning", "--once", "--output", "--pipe",
           "--raw", "--redis", "--sentinel", "--set", "--silent", "--strict"}
# A demonstration that a test runs, and that mostly speaks to other programs.
SCRIPTS = {"deploy/nodes/" + name for name in ("checks", "demo", "ecmp", "machines", "scenes", "set-user")}
# Nobody can do anything about these: they are how sessions end.
NO_ACTION = {"client_closed", "upstream_closed", "probed"}


def read(*path):
    with open(os.path.join(CONTRIB, *path), encoding="utf-8") as f:
        return f.read()


def files(folder):
    for where, _, names in os.walk(os.path.join(CONTRIB, folder)):
        for name in sorted(names):
            yield os.path.relpath(os.path.join(where, name), CONTRIB)


def alerts(rules):
    """Name -> text of each rule."""
    parts = re.split(r"^ +- alert: (\w+)\n", rules, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


class Served:
    """What a running rum serves: names of samples, and the values of their labels."""

    def __init__(self):
        text = program.serve("passthrough.so").metrics_text
        self.histograms = set(re.findall(r"^# TYPE (\w+) histogram", text, re.M))
        self.names, self.values = set(), {}
        for name, labels in re.findall(r"^(rum_\w+)(?:\{(.*)\})? ", text, re.M):
            self.names.add(name)
            for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
                self.values.setdefault((name, label), set()).add(value)
        # A server has most of its metrics only once it was checked or used.
        for name in re.findall(r"^# TYPE (rum_server_\w+) ", text, re.M):
            self.names.add(name)
            self.values.setdefault((name, "server"), set()).update(
                ["$server", *("tcp:db%d:3306" % n for n in (1, 2, 3))])
        # These are there after a hand-over.
        self.names.update(re.findall(r"^# TYPE (rum_generation_\w+) ", text, re.M))
        self.values["rum_server_failures_total", "reason"] = self.values[
            "rum_sessions_ended_total", "reason"]


class OperationsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.served = Served()
        cls.rules = read("prometheus", "rum.rules.yml")
        cls.rule_tests = read("prometheus", "rum.rules.test.yml")
        cls.page = read("doc", "operations.md")
        cls.texts = {name: read(name) for name in [
            *files("deploy"), "doc/operations.md", "doc/security.md"] if name not in SCRIPTS}
        cls.options = set(program.options(program.run("--help")[1]))
        for module in ("mysql.so", "pgsql.so"):
            if os.path.exists(os.path.join(".libs", module)):
                cls.options |= set(program.options(program.run("-P", module, "--help")[1]))
        help_text = subprocess.run(["./rumctl", "--help"], stdout=subprocess.PIPE, text=True,
                                   timeout=program.TIMEOUT, check=True).stdout
        cls.commands = set(re.findall(r"^  (\w+) ", help_text.split("Commands:")[1], re.M))
        cls.sections = set(re.findall(r"^\.Sh (.*)", program.read("core", "rum.8"), re.M))

    def check_metrics(self, text, where):
        """Names, which may be those of histograms in prose only, and the labels behind them."""
        for name in set(re.findall(r"\brum_[a-z_]+(?<!_is_ready)\b", text)):
            if name not in self.served.histograms or re.search(name + r"[{\[]", text):
                self.assertIn(name, self.served.names, where)
        for name, labels in re.findall(r"\b(rum_\w+)\{([^}]*)\}", text):
            for label, how, value in re.findall(r'(\w+)(=~|!~|!=|=)\\?"([^"\\]*)\\?"', labels):
                if label in ("job", "instance", "source") or (label == "le" and "_bucket" in name):
                    continue
                self.assertIn((name, label), self.served.values, where)
                for one in value.split("|") if "~" in how else [value]:
                    self.assertIn(one, self.served.values[name, label], where)

    def check_words(self, text, where):
        for word in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+[a-z](?![\w-])", text)) - FOREIGN:
            self.assertIn(word, self.options, "%s speaks of %s, which is no option" % (where, word))
        for word in re.findall(r"[`/ ]rumctl (?:-s \S+ |--json )?([a-z]+)\b", text):
            self.assertIn(word, self.commands, "%s: rumctl has no command %s" % (where, word))
        for word in re.findall(r"rum\(8\), ([A-Z][A-Z -]+[A-Z])", re.sub(r"\s+", " ", text)):
            self.assertIn(word, self.sections, "%s: rum(8) has no such section" % where)

    def test_alerts_ask_for_what_is_served(self):
        self.assertGreater(len(self.served.names), 40)
        self.check_metrics(re.sub(r"\n +", "", self.rules), "rum.rules.yml")
        self.check_metrics(self.rule_tests, "rum.rules.test.yml")

    def test_alerts_say_what_to_do(self):
        self.check_words(re.sub(r"\n +", " ", self.rules), "rum.rules.yml")
        self.assertGreater(len(alerts(self.rules)), 20)
        for name, text in alerts(self.rules).items():
            for word in ("expr: ", "severity: ", "summary: ", "description: "):
                self.assertIn(word, text, name)
            self.assertRegex(text, r"severity: (critical|warning)\}", name)

    def test_texts_name_labels_of_their_metrics(self):
        texts = [(name, text, re.findall(r"\$labels\.(\w+)", text))
                 for name, text in alerts(self.rules).items()]
        for expr, legend in re.findall(r'"expr": "(.*)",\n *"legendFormat": "(.*)"',
                                       read("grafana", "rum.json")):
            texts.append((legend, expr, re.findall(r"\{\{ *(\w+) *\}\}", legend)))
        for where, expr, labels in texts:
            names = re.findall(r"\brum_\w+", expr)
            for label in set(labels) - {"job", "instance"}:
                self.assertTrue(any((name, label) in self.served.values for name in names),
                                "%s: its metrics have no label %s" % (where, label))
        self.assertGreater(len(texts), len(alerts(self.rules)))

    def test_each_alert_is_tested_firing_and_not(self):
        for name in alerts(self.rules):
            cases = re.findall(r"""- expr: 'ALERTS\{alertname="%s", alertstate="firing"\}'\n"""
                               r""" +eval_time: \w+\n +exp_samples:(.*)""" % name, self.rule_tests)
            self.assertIn(" []", cases, name + " has no case in which it does not fire")
            self.assertIn("", cases, name + " has no case in which it fires")
        for name in re.findall(r'alertname="(\w+)"', self.rule_tests):
            self.assertIn(name, alerts(self.rules), "a test of an alert that there is not")

    @unittest.skipUnless(shutil.which("promtool"), "there is no promtool")
    def test_promtool(self):
        for command in (["check", "rules", "rum.rules.yml"], ["test", "rules", "rum.rules.test.yml"]):
            done = subprocess.run(["promtool", *command], cwd=os.path.join(CONTRIB, "prometheus"),
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  timeout=program.TIMEOUT * 4)
            self.assertEqual(done.returncode, 0, done.stdout)

    @unittest.skipUnless(shutil.which("promtool"), "there is no promtool")
    def test_dashboard_asks_in_good_promql(self):
        board = json.loads(read("grafana", "rum.json"))
        asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
        asked += [one["expr"] for one in board["annotations"]["list"]]
        rules = [{"record": "panel:%d" % number,
                  "expr": expr.replace("$__rate_interval", "5m").replace("$instance", ".+")}
                 for number, expr in enumerate(asked)]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            json.dump({"groups": [{"name": "rum", "rules": rules}]}, file)  # JSON is YAML
            file.flush()
            done = subprocess.run(["promtool", "check", "rules", file.name], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=program.TIMEOUT * 4)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_dashboard(self):
        text = read("grafana", "rum.json")
        board = json.loads(text)
        self.assertEqual(text, json.dumps(board, indent=1) + "\n", "write it as json.tool --indent 1")
        self.check_metrics(text, "rum.json")
        self.check_words(text, "rum.json")
        ids = [panel["id"] for panel in board["panels"]]
        self.assertEqual(len(ids), len(set(ids)), "two panels with one id")
        taken = set()
        for panel in board["panels"]:
            self.assertEqual(panel["datasource"]["uid"], "${datasource}", panel["title"])
            for target in panel["targets"]:
                self.assertIn('instance=~"$instance"', target["expr"], panel["title"])
            at = panel["gridPos"]
            here = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                    for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(here & taken, panel["title"] + " covers another panel")
            self.assertLessEqual(at["x"] + at["w"], 24, panel["title"])
            taken |= here

    def test_pages_speak_of_what_there_is(self):
        for where, text in self.texts.items():
            self.check_words(text, where)
            self.check_metrics(text, where)
        for page in (self.page, self.texts["doc/security.md"]):
            for path in re.findall(r"\]\(([^)#:]+)\)", page):
                self.assertTrue(os.path.exists(os.path.join(CONTRIB, "doc", path)), path)
            self.assertFalse([line for line in page.splitlines()
                              if len(line) > 100 and not line.startswith("|")], "longer than 100")

    def test_troubleshooting_has_every_end_reason(self):
        reasons = self.served.values["rum_sessions_ended_total", "reason"]
        table = self.page.split("## When something is wrong")[1]
        told = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|([^|]*)\|", table, re.M))))
        self.assertEqual(sorted(reasons - NO_ACTION - told), [], "not in the table of operations.md")
        self.assertLessEqual({word for word in told if "_" in word}, reasons)

    def test_configurations_of_rum_are_right(self):
        """The lines of configuration files in the pages name options, with values that rum takes."""
        found = []
        for where, text in self.texts.items():
            for name, value in re.findall(r"^[ #]+(?:rum: +)?([a-z-]+) = (.*?)(?: +\(.*)?$", text,
                                          re.M):
                if "--" + name not in self.options:
                    self.fail("%s: %s is no option" % (where, name))
                if name not in ("map", "state-dir", "control"):  # whose folders are not here
                    found.append("%s = %s\n" % (name, value))
        self.assertGreater(len(found), 15)
        with tempfile.NamedTemporaryFile("w") as conf:
            conf.write("destination = tcp:127.0.0.1:3306\n" + "".join(sorted(set(found))))
            conf.flush()
            status, text = program.run("-P", program.CONVERSES, "--check", "--config", conf.name)
        self.assertEqual(status, 0, text)

    def test_check_rum(self):
        """The script of keepalived: well while rum serves, ill while it drains and when it is gone."""
        folder = tempfile.mkdtemp(prefix="rum-alerts.")
        control = os.path.join(folder, "control")
        rum = subprocess.Popen(["./rum", "-s", "sock:" + folder + "/in", "-d", "sock:" + folder + "/no",
                                "-w", "1", "--control", "sock:" + control, "--drain-delay", "1h",
                                "-l", folder + "/log"], env=program.environment())
        try:
            self.until(lambda: self.check_rum(control) == 0)
            subprocess.run(["./rumctl", "-s", control, "stop"], check=True, stdout=subprocess.DEVNULL,
                           timeout=program.TIMEOUT)
            self.until(lambda: self.check_rum(control) == 1)
        finally:
            rum.kill()
            rum.wait()
        self.assertEqual(self.check_rum(control), 1)
        shutil.rmtree(folder)

    @staticmethod
    def check_rum(control):
        script = os.path.join(CONTRIB, "deploy", "keepalived", "check-rum")
        path = os.getcwd() + ":" + os.environ["PATH"]
        return subprocess.run(["sh", script, control], env=dict(os.environ, PATH=path),
                              timeout=program.TIMEOUT).returncode

    def until(self, happened):
        end = time.monotonic() + program.TIMEOUT
        while not happened():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_yaml(self):
        names = [n for n in [*files("deploy"), *files("prometheus")] if n.endswith((".yml", ".yaml"))]
        self.assertGreater(len(names), 2)
        for name in names:
            text = read(name)
            self.assertNotIn("\t", text, name)
            if yaml:
                self.assertTrue(list(yaml.safe_load_all(text)), name)
            # Structure without a reader of YAML: a deeper indent has a key above it, and indents come
            # back to one that was there.
            levels, block, opened = [0], None, False
            for number, line in enumerate(text.splitlines(), 1):
                indent = len(line) - len(line.lstrip(" "))
                if not line.strip() or line.lstrip().startswith("#"):
                    continue
                if block is not None and indent > block:
                    continue
                block = None
                while indent < levels[-1]:
                    levels.pop()
                if indent > levels[-1] and opened:
                    levels.append(indent)
                self.assertEqual(indent, levels[-1], "%s:%d: an indent of its own" % (name, number))
                while line.lstrip(" ").startswith("- "):
                    line = line.replace("- ", "  ", 1)
                    levels.append(len(line) - len(line.lstrip(" ")))
                opened = line.endswith(":")
                if re.search(r"[|>]-?$", line):
                    block = levels[-1]

    def test_kubernetes_bounds(self):
        """The pod lives longer than rum may take to drain, and is asked at the right places."""
        text = read("deploy", "kubernetes", "rum.yaml")
        seconds = dict(re.findall(r"^ +(drain-\w+) = (\d+)s$", text, re.M))
        grace = int(re.search(r"terminationGracePeriodSeconds: (\d+)", text).group(1))
        self.assertGreater(grace, int(seconds["drain-timeout"]) + int(seconds["drain-delay"]))
        for probe, path in (("readinessProbe", "/ready"), ("livenessProbe", "/live")):
            self.assertRegex(text, probe + r": *\n +httpGet: \{path: %s," % path)
        for kind in ("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "ConfigMap"):
            self.assertRegex(text, r"(?m)^kind: %s$" % kind)

    @unittest.skipUnless(shutil.which("kubectl"), "there is no kubectl")
    def test_kustomization(self):
        """The patches fit rum.yaml, and the script in redis.yaml can be read."""
        text = subprocess.run(["kubectl", "kustomize", os.path.join(CONTRIB, "deploy", "kubernetes")],
                              stdout=subprocess.PIPE, text=True, timeout=program.TIMEOUT,
                              check=True).stdout
        self.assertIn("- redis+sock:/run/redis/redis.sock?key=rum:user:{user}\n", text)
        self.assertNotIn("secretName: rum-map", text)
        self.assertNotIn("mountPath: /etc/rum/map", text)
        script = re.search(r"^  start: \|\n((?:    .*\n|\n)+)", text, re.M)[1]
        script = re.sub(r"^    ", "", script, flags=re.M)
        self.assertIn("exec redis-server", script)
        subprocess.run(["sh", "-n"], input=script, text=True, check=True, timeout=program.TIMEOUT)


if __name__ == "__main__":
    unittest.main()
