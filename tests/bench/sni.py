"""TLS routed by server name for the bench: the proxies do not decrypt it, and have 100,000 names in their
maps. All names lead to one backend, which ends TLS and lives in the load.

A tenth of the names are wildcards. HAProxy has no index for those: it looks for the name without its first
label in a second map, which costs it least, and so matches one label only; the others match any number.
"""

import os
import random
import subprocess

from postgresql import PostgreSQLBench
from proxies import Missing, NotBuilt, haproxy_sid

NAMES = 100_000

HAPROXY = """
global
    nbthread 1
    maxconn 6000
    {log}
defaults
    mode tcp
    timeout connect 6s
    timeout client 1h
    timeout server 1h
    {options}
frontend bench
    bind 127.0.0.1:{front}
    tcp-request inspect-delay 4s
    acl hello req.ssl_hello_type 1
    acl known var(txn.to) -m found
    tcp-request content set-var(txn.to) req.ssl_sni,lower,map_str({exact}) if hello
    tcp-request content set-var(txn.to) req.ssl_sni,lower,field(2,.,0),map_str({wild}) unless known
    use_backend %[var(txn.to)]
backend bench
    server backend 127.0.0.1:{back}
"""

# The hash is as large as the manual advises for so many names; the default makes long chains.
NGINX_MAP = """
    map_hash_max_size 262144;
    map_hash_bucket_size 128;
    map $ssl_preread_server_name $named {{
        hostnames;
        include {names};
    }}
    upstream bench {{ server 127.0.0.1:{back}; }}
"""


def memory(pids):
    """(shared among them counted once, private to each) in bytes. nginx's master and worker share the
    map, because the worker is a fork: it is private to none of them."""
    pss = private = 0
    for pid in pids:
        with open("/proc/%d/smaps_rollup" % pid) as f:
            for line in f:
                key, _, value = line.partition(":")
                if key == "Pss":
                    pss += int(value.split()[0]) * 1024
                elif key.startswith("Private_"):
                    private += int(value.split()[0]) * 1024
    return pss, private


class SniBench(PostgreSQLBench):
    def names(self):
        """(names without, names with a wildcard), as they are in the map."""
        exact = ["site%05d.customers.example.com" % i for i in range(NAMES * 9 // 10)]
        return exact, ["*.shop%05d.example.net" % i for i in range(NAMES // 10)]

    def asked_names(self):
        """The file of the names that clients ask for."""
        path = os.path.join(self.folder, "asked-names")
        if not os.path.exists(path):
            exact, wild = self.names()
            draw = random.Random(1)
            names = exact + ["www%d%s" % (draw.randrange(100), name[1:]) for name in wild]
            self.write("asked-names", "".join(name + "\n" for name in names))
        return path

    def _write_names(self, name, line, names):
        return self.write(name, "".join(line % name + "\n" for name in names))

    def _rum_sni(self, front, back, build=None):
        if subprocess.run([self.built("rum", build), "-P", "sni.so", "--help"],
                          env=self._environment(build), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT).returncode != 0:
            raise NotBuilt("rum is built without sni.so")
        exact, wild = self.names()
        text = self._write_names("names-%d.txt" % front, "%%s - tcp:127.0.0.1:%d" % back, exact + wild)
        cdb = os.path.join(self.folder, "names-%d.cdb" % front)
        subprocess.run([self.built("rum-map", build), "build", cdb, text], check=True,
                       stdout=subprocess.DEVNULL)
        return self._rum_with(front, ["-P", "sni.so", "-M", cdb], build)

    def _before_sni(self, front, back):
        return self._rum_sni(front, back, self.before)

    def _haproxy_sni(self, front, back, command=None):
        exact, wild = self.names()
        options = ["option tcpka", "log global", "option tcplog"] if self.alike else []
        text = HAPROXY.format(
            front=front, back=back, options="\n    ".join(options),
            log="log stdout format raw local0" if self.alike else "",
            exact=self._write_names("haproxy-exact", "%s bench", exact),
            wild=self._write_names("haproxy-wild", "%s bench", [name[2:] for name in wild]))
        path = self.write("haproxy-%d.cfg" % front, text)
        return [*(command or [self._need("haproxy")]), "-db", "-f", path], None

    def _haproxy_sid_sni(self, front, back):
        return self._haproxy_sni(front, back, haproxy_sid())

    def _nginx_sni(self, front, back):
        exact, wild = self.names()
        names = self._write_names("nginx-names", "%s bench;", exact + wild)
        return self._nginx(front, back, options="ssl_preread on;", to="$named",
                           before=NGINX_MAP.format(names=names, back=back))


def run_sni(bench, arguments, front, back=None, pids=()):
    from comparison import run_load
    arguments = [*arguments, "--names", bench.asked_names(), "--server-cert", bench.certificate()]
    result = run_load(bench, arguments, front, back, pids)
    if pids:
        pss, private = memory(pids)
        result.update(pss_mb=pss / 1e6, private_mb=private / 1e6)
    return result
