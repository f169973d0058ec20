"""The status page in a browser: readable without scripts, alive with them, light and dark."""

import http.server
import os
import re
import struct
import subprocess
import threading
import zlib

from support import cdb, net
from support.build import program
from support.harness import check, has, same, test
from support.peers import closed_port
from test_redirect import tcp


def browse(t, url, *more, picture=True, seconds=60):
    """What a browser shows: the document as its scripts left it, and a picture of it as a file."""
    chromium = program("chromium")
    check(chromium, "chromium is missing: apt-get install chromium (contrib/packages test)")
    common = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
              "--disable-background-networking", "--disable-component-update", "--no-first-run",
              "--user-data-dir=" + t.path("browser"), "--window-size=1200,1200", *more]
    env = dict(os.environ, HOME=t.path("home"), XDG_CONFIG_HOME=t.path("home"))
    shown = subprocess.run(common + ["--dump-dom", url], env=env, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True, timeout=seconds * t.scale).stdout
    if not picture:
        return shown
    picture = t.path("page-%d.png" % t.number())
    subprocess.run(common + ["--screenshot=" + picture, url], env=env, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=seconds * t.scale)
    check(os.path.getsize(picture) > 10_000, "a picture")
    return shown, picture


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
    shown, picture = browse(t, url)
    has(shown, "serving")
    has(shown, "0 of 500")
    same(background(picture), (255, 255, 255), "light")
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
    net.until(lambda: rum.stats()["circuit_breaker"]["open"] == 1, 10, "the breaker is open")
    shown, picture = browse(t, url, "--blink-settings=preferredColorScheme=0")
    for part in ("60 of 500", "resting", "connect_refused", "shop0", servers[0].address, "worker 1"):
        has(shown, part)
    check(background(picture) < (60, 60, 60), "dark: %s" % (background(picture),))
    # Without scripts it is all there, and asks to be loaded again.
    plain = net.http_get(stats, "/")[2].decode()
    has(plain, '<noscript><meta http-equiv="refresh"')
    same(re.findall(r'(?:src|href)="(?!/)[^"]*"', plain), [], "nothing from elsewhere")
    # With scripts it renews itself: between its first look and the next all sessions end.
    looks = []

    class Between(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            looks.append(self.path)
            if len(looks) == 2:
                for c in held:
                    c.close()
                net.until(lambda: rum.stats()["sessions"]["active"] == 0, 10, "all are gone")
            _, headers, body = net.http_get(stats, self.path)
            self.send_response(200)
            for name in ("content-type", "content-security-policy"):
                if name in headers:
                    self.send_header(name, headers[name])
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    between = http.server.HTTPServer(("127.0.0.1", 0), Between)
    threading.Thread(target=between.serve_forever, daemon=True).start()
    t.on_end(between.shutdown)
    shown = browse(t, "http://127.0.0.1:%d/" % between.server_port, "--virtual-time-budget=12000",
                   picture=False)
    check(len(looks) >= 2, "it looked once: %s" % looks)
    has(shown, "0 of 500")
    check("60 of 500" not in shown, "it is the new one")
