"""What the tests of pgsql.so share: a map, rum in front of servers, psql of a release, raw clients."""

import os
import ssl
import subprocess

from support import postgresql
from support.harness import end_with_parent
from support.pgsql_wire import Client
from test_redirect import tcp

PG15 = "postgresql-15"
NEEDS = (PG15, "pgsql.so")


def build_map(t, lines, name="pgsql"):
    """lines: "alice - tcp:..." or (key, secret, destination, rules)."""
    text, path = t.path(name + ".txt"), t.path(name + ".cdb")
    with open(text, "w") as f:
        for line in lines:
            f.write((line if isinstance(line, str) else " ".join(line)) + "\n")
    subprocess.run([t.run.build.rum_map, "build", path, text], check=True, stdout=subprocess.DEVNULL)
    return path


def stored(user, server, *rules):
    """A line of the map with what the servers store for the user."""
    return " ".join((user, postgresql.verifier(user), server.address) + rules)


class Front:
    """rum with pgsql.so, and the ways to it."""

    def __init__(self, t, *options, map=None, default=None, tls=None, here=None, **settings):
        self.t = t
        self.here = here or tcp()
        arguments = ["-s", self.here, "-P", "pgsql.so"]
        if map is not None:
            arguments += ["-M", map if isinstance(map, str) else build_map(t, map)]
        if default:
            arguments += ["-d", getattr(default, "address", default)]
        if tls:
            arguments += ["--tls", "on", "--tls-cert", tls[0], "--tls-key", tls[1]]
        self.rum = t.rum(*arguments, *options, **settings)
        self.clients = []
        self.rum_finishes, self.rum.finish = self.rum.finish, self.finish

    def finish(self, **more):
        """rum's descriptors are counted when its clients have gone."""
        for client in self.clients:
            client.close()
        self.rum_finishes(**more)

    def client(self, tls=False, **more):
        client = Client(self.here, **more)
        self.clients.append(client)
        return client.start_tls(any_certificate()) if tls else client

    def log_in(self, user, tls=False, word=None, **more):
        return self.client(tls).log_in(user, postgresql.password(user) if word is None else word, **more)


def any_certificate(alpn=None):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def psql(t, kind, here, user, word=None, sslmode="disable", ask="SELECT session_user", options=(),
         database=postgresql.DATABASE, **env):
    """(exit code, what psql says)"""
    port = here.rsplit(":", 1)[1]
    full = dict(os.environ, PGPASSWORD=postgresql.password(user) if word is None else word,
                PGSSLMODE=sslmode, PGCONNECT_TIMEOUT="10", HOME=t.folder)
    full.update(env)
    done = subprocess.run(
        [kind.tree.program("psql"), "-X", "-A", "-t", "-h", "127.0.0.1", "-p", port, "-U", user, "-d",
         database, "-c", ask, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, env=full, timeout=40 * t.scale,
        preexec_fn=end_with_parent)
    return done.returncode, done.stdout.strip()
