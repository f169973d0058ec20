"""The status page in a browser: readable without scripts, alive with them, wide and narrow, light and
dark, with no server and with 300."""

import html
import http.server
import json
import os
import re
import socket
import struct
import subprocess
import threading
import zlib

from support import cdb, net
from support.build import program
from support.harness import check, has, same, test
from support.peers import closed_port
from test_control import ctl
from test_redirect import tcp


def chromium(t, wide, high, *more):
    found = program("chromium")
    check(found, "chromium is missing: apt-get install chromium (contrib/packages test)")
    command = [found, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
               "--disable-background-networking", "--disable-component-update", "--no-first-run",
               "--user-data-dir=" + t.path("browser"), "--window-size=%d,%d" % (wide, high), *more]
    return command, dict(os.environ, HOME=t.path("home"), XDG_CONFIG_HOME=t.path("home"))


def document(t, url, *more, seconds=60):
    """The document as its scripts left it."""
    command, env = chromium(t, 1280, 1200, *more)
    return subprocess.run(command + ["--dump-dom", url], env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, timeout=seconds * t.scale).stdout


def photograph(t, url, *more, wide=1280, high=1200, seconds=60):
    """A picture of it, as the name of a file."""
    command, env = chromium(t, wide, high, *more)
    picture = t.path("page-%d.png" % t.number())
    subprocess.run(command + ["--screenshot=" + picture, url], env=env, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=seconds * t.scale)
    check(os.path.getsize(picture) > 10_000, "a picture")
    return picture


DARK = "--blink-settings=preferredColorScheme=0"


class Between:
    """A web server between the browser and rum. `change(number, headers, body)` gets each answer of
    the page, counted from 1, and returns the body; None: there is no answer. With `frame` the page is
    in a frame of that width: no window of the browser is as narrow as that of a telephone."""

    def __init__(self, t, stats, change, frame=0):
        self.looks = looks = []
        outer = b'<iframe src="/framed" width="%d" height="1200" style="border:0"></iframe>' % frame

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path not in ("/", "/framed"):
                    return self.send_error(404)
                if frame and self.path == "/":
                    headers, body = {"content-type": "text/html"}, outer
                else:
                    looks.append(self.path)
                    _, headers, body = net.http_get(stats, "/")
                    headers = {name: headers[name]
                               for name in ("content-type", "content-security-policy")}
                    body = change(len(looks), headers, body)
                if body is None:
                    return None
                self.send_response(200)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                return self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        t.on_end(server.shutdown)
        self.url = "http://127.0.0.1:%d/" % server.server_port


# What a person sees of the page, as JSON in the title of the window: the page itself allows no other script, so
# Between takes its policy away. A number that wraps has boxes at several heights.
MEASURE = """<script>
addEventListener("load", () => {
  const seen = e => e.getClientRects().length > 0;
  const all = s => [...document.querySelectorAll(s)].filter(seen);
  const heights = e => {
    const range = document.createRange();
    range.selectNodeContents(e);
    return new Set([...range.getClientRects()].map(r => Math.round(r.bottom))).size;
  };
  const rows = () => all("#servers tr").length, words = s => all(s).map(e => e.textContent.trim());
  const colour = e => e ? getComputedStyle(e).backgroundColor : null;
  const result = {
    title: document.title, window: innerWidth, wide: document.documentElement.scrollWidth,
    wrapped: all(".n, .s, .card b").filter(e => !e.querySelector("small") && heights(e) > 1)
      .map(e => e.textContent), numbers: all(".n").length,
    out: all("td, b, p, h2, label").filter(e => e.getBoundingClientRect().right > innerWidth).length,
    verdict: words("#verdict").join(" "), level: document.getElementById("verdict").className,
    counts: words("#counts").join(" "), rows: rows(), rest: words(".rest").join(" "),
    first: words("#servers tr:first-child td").map(text => text.replace(/\\s+/g, " ")),
    charts: all(".card svg").length, filter: all("#filter").length,
    tints: Object.fromEntries(all("#servers tr").map(e => [e.querySelector(".s").textContent,
      [colour(e), colour(e.querySelector("td"))].find(c => c !== "rgba(0, 0, 0, 0)") || "none"])),
    strange: all("img, b b, script[src], iframe").length,
  };
  const label = document.querySelector(".rest label");
  if (label) {
    label.click();
    result.unfolded = rows();
    label.click();
  }
  const filter = document.getElementById("filter");
  const type = text => {
    filter.value = text;
    filter.dispatchEvent(new Event("input"));
    return rows();
  };
  if (seen(filter)) {
    result.filtered = [type("127.2.0.7:"), type("DOWN"), type("nothing like it"), type("")];
  }
  top.document.title = JSON.stringify(result);
});
</script></body>"""


def measured(t, stats, *more, wide=1280):
    def change(_, headers, body):
        del headers["content-security-policy"]
        return body.replace(b"</body>", MEASURE.encode())

    shown = document(t, Between(t, stats, change, wide).url, *more)
    title = re.search(r"<title>(.*?)</title>", shown)
    check(title and title[1].startswith("{"), "it was measured: %.300s" % shown)
    return json.loads(html.unescape(title[1]))


def background(picture):
    """The colour of the upper left corner, out of the first line of a PNG's pixels."""
    with open(picture, "rb") as f:
        data = f.read()
    at, pixels = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IDAT":
            pixels += data[at + 8:at + 8 + size]
        at += size + 12
    line = zlib.decompressobj().decompress(pixels, 16)
    return tuple(line[1:4])


@test("The page in Chromium: idle, under load with a dead server, by itself anew, light and dark",
      needs="mysql.so", seconds=180)
def _(t):
    from support.mysql_wire import Client, FakeServer
    servers = [t.keep(FakeServer("pw")) for _ in range(2)]
    dead = closed_port()
    users = ["shop%d" % n for n in range(12)]
    path = t.path("users.cdb")
    cdb.replace(path, cdb.users(*[(user, "", servers[n % 2].address) for n, user in enumerate(users)],
                                ("<b>lost", "", dead)))
    here, stats = tcp(), tcp()
    rum = t.rum("-s", here, "-M", path, "-m", stats, "--max-connections", "500", "--health-check",
                "1s", stats=stats)
    url = "http://" + stats[4:] + "/"
    shown = document(t, url)
    has(shown, "degraded")
    has(shown, "1 of 3 servers is down: " + dead)
    has(shown, "0<small> of 500</small>")
    same(background(photograph(t, url)), (246, 247, 249), "light")
    held = []
    for _ in range(60):
        c = t.keep(Client(here))
        c.login(users[len(held) % 12], "pw")
        held.append(c)
    for _ in range(8):
        with Client(here) as c:
            try:
                c.login("<b>lost", "pw")
            except Exception:
                pass
    net.until(lambda: rum.stats()["circuit_breaker"]["open"] == 1, 10, "the circuit is open")
    shown = document(t, url)
    for part in ("60<small> of 500</small>", "connect_refused", "shop0", servers[0].address):
        has(shown, part)
    dark = background(photograph(t, url, DARK))
    check(dark < (60, 60, 60), "dark: %s" % (dark,))
    # Without scripts it is all there, and asks to be loaded again.
    _, headers, plain = net.http_get(stats, "/")
    plain = plain.decode()
    has(plain, '<noscript><meta http-equiv="refresh"')
    same(re.findall(r'(?:src|href|action)="(?!/)[^"]*"', plain), [], "nothing from elsewhere")
    same(re.findall(r'\s(?:style|on\w+)=', plain), [], "no code and no style in attributes")
    check("unsafe" not in headers["content-security-policy"], "only what rum wrote is run")
    # With scripts it renews itself: between its first look and the next all sessions end.

    def change(number, _, body):
        if number != 2:
            return body
        for c in held:
            c.close()
        net.until(lambda: rum.stats()["sessions"]["active"] == 0, 10, "all are gone")
        return net.http_get(stats, "/")[2]

    between = Between(t, stats, change)
    shown = document(t, between.url, "--virtual-time-budget=12000")
    check(len(between.looks) >= 2, "it looked once: %s" % between.looks)
    has(shown, "0<small> of 500</small>")
    check("60<small>" not in shown, "it is the new one")


@test("A page that gets no answer says since when, until there is one", seconds=120)
def _(t):
    stats = tcp()
    t.rum("-s", tcp(), "-d", closed_port(), "-m", stats, stats=stats)
    # The first answer is the page; from then on there is none, or there is one again.
    for first, lost in ((99, True), (3, False)):
        between = Between(t, stats, lambda n, _, body: body if n == 1 or n >= first else None)
        shown = document(t, between.url, "--virtual-time-budget=17000")
        check(len(between.looks) >= 3, "it looked again: %s" % between.looks)
        banner = re.search(r'<div id="lost"([^>]*)>(.*?)</div>', shown)
        same("hidden" in banner[1], not lost, "the banner is hidden")
        same('class="lost"' in shown, lost, "what is old is dim")
        if lost:
            check(re.search(r"no answer</b> <span>since \d\d:\d\d<", banner[2]), banner[2])
            has(shown, "<title>no answer –")
        else:
            check("<title>no answer" not in shown, "it has an answer")


LONG = "u" * 80


def many(t, count, alive):
    """rum with so many servers at a port of their own addresses; all but the first `alive` are down."""
    from support.mysql_wire import FakeServer
    port = net.free_port()
    addresses = ["tcp:127.2.%d.%d:%d" % (n // 200, 1 + n % 200, port) for n in range(count)]
    for address in addresses[:alive]:
        t.keep(FakeServer("pw", address))
    path = t.path("users-%d-%d.cdb" % (count, alive))
    cdb.replace(path, cdb.users(*[("shop%d" % n, "", a) for n, a in enumerate(addresses)],
                                *[(LONG, "", a) for a in addresses[:1]]))
    here, stats = tcp(), tcp()
    rum = t.rum("-s", here, "-P", "mysql.so", "-M", path, "-m", stats, "--control",
                "sock:" + t.path("control"), "--health-check", "5s", "--max-memory", "4G",
                stats=stats)
    net.until(lambda: rum.stats()["health_checks"]["unknown"] == 0, 60, "all are checked")
    rum.baseline = rum.descriptors()  # not before the first round, which lasts a while
    return rum, here, stats, addresses


def looks_right(t, seen, wide):
    same(seen["window"], wide, "the window")
    check(seen["wide"] <= wide, "it is wider than the window: %r" % seen["wide"])
    same(seen["out"], 0, "parts outside the window")
    same(seen["wrapped"], [], "numbers that wrap")
    check(seen["numbers"] > 5, "numbers")
    same(seen["charts"], 6)
    same(seen["strange"], 0, "elements that a name brought")
    has(seen["title"], socket.gethostname())


@test("The page of 300 servers: the verdict, those that are down first, the rest folded and found",
      needs="mysql.so", seconds=240)
def _(t):
    from support.mysql_wire import Client
    rum, here, stats, addresses = many(t, 300, 299)
    held = []
    for user in ["shop5"] * 3 + [LONG]:
        held.append(t.keep(Client(here)))
        held[-1].login(user, "pw")
    ctl(t, "drain", addresses[9])
    # Before a browser is started, which may take longer than the sessions last.
    plain = net.http_get(stats, "/")[2].decode()
    check(plain.index(addresses[299]) < plain.index(addresses[9]) < plain.index(addresses[5])
          < plain.index(addresses[0]), "down, drain, busy, others")
    for wide, dark in ((1280, False), (390, True), (390, False), (1280, True)):
        more = [DARK] if dark else []
        seen = measured(t, stats, *more, wide=wide)
        looks_right(t, seen, wide)
        same(seen["level"], "warn")
        has(seen["verdict"], "degraded 1 of 300 servers is down: %s · 1 in drain · map" % addresses[299])
        check(re.search(r"· memory \d+ %$", seen["verdict"]), seen["verdict"])
        has(seen["title"], "degraded – ")
        for part in ("300", "1 down", "1 drain", "298 up"):
            has(seen["counts"], part)
        same((seen["rows"], seen["unfolded"]), (20, 300))
        has(seen["rest"], "and 280 more")
        same(seen["filtered"], [1, 1, 0, 20], "rows that match 127.2.0.7:, DOWN, nothing, all")
        same(seen["first"][0], addresses[299])
        same(len(set(seen["tints"][state] for state in ("down", "drain", "up"))), 3, seen["tints"])
        photograph(t, "http://" + stats[4:] + "/", *more, wide=wide, high=1600)
    for c in held:
        c.close()


@test("The page with no server, with four, and with 300 that are all down", needs="mysql.so",
      seconds=240)
def _(t):
    for count, alive, level, verdict, rows in (
            (4, 4, "good", "serving all 4 servers are up", 4),
            (300, 0, "bad", "down all 300 servers are down", 50)):
        rum, _, stats, _ = many(t, count, alive)
        for wide in (1280, 390):
            seen = measured(t, stats, wide=wide)
            looks_right(t, seen, wide)
            same(seen["level"], level)
            has(seen["verdict"], verdict)
            same(seen["rows"], rows)
            same(seen["filter"], int(count == 300))
        rum.finish()
    path = t.path("none.cdb")
    cdb.replace(path, cdb.encode([]))
    stats = tcp()
    t.rum("-s", tcp(), "-P", "mysql.so", "-M", path, "-m", stats, stats=stats)
    for wide in (1280, 390):
        seen = measured(t, stats, wide=wide)
        looks_right(t, seen, wide)
        has(seen["verdict"], "degraded no server: the map is empty")
        same(seen["rows"], 0)
        has(seen["rest"], "No server is in use yet")


@test("What users, servers and the map write is text on the page", needs="mysql.so", seconds=120)
def _(t):
    from support.mysql_wire import Client, FakeServer, greeting_payload, packet
    evil = "<img src=x onerror=document.title='stolen'>\"'\x1b[2J\u202e"

    class Boaster(FakeServer):
        def handle(self, s):
            s.sendall(packet(0, greeting_payload(b"x" * 20, version="8.0.1" + evil)))

    good, boaster = t.keep(FakeServer("pw")), t.keep(Boaster())
    path = t.path("users.cdb")
    name = evil[:70]
    cdb.replace(path, cdb.users((name, "", good.address), ("b", "", boaster.address),
                                ("c", "", "tcp:<b>bold</b>:1")))
    here, stats = tcp(), tcp()
    rum = t.rum("-s", here, "-P", "mysql.so", "-M", path, "-m", stats, "--health-check", "1s",
                stats=stats)
    net.until(lambda: rum.stats()["health_checks"]["unknown"] == 0, 20, "all are checked")
    with Client(here) as c:
        c.login(name, "pw")
        seen = measured(t, stats)
        looks_right(t, seen, 1280)
        plain = net.http_get(stats, "/")[2].decode()
    check("<img" not in plain and "<b>bold" not in plain, "markup")
    check(plain.count("&lt;img src=x") >= 2, "the user and the server are both there: %s" % plain)
    check("\x1b" not in plain and "\u202e" not in plain, "invisible characters")
