#!/bin/bash
# Finding: glibc 2.36's getaddrinfo answers SERVFAIL or REFUSED for a full name with success and the address of another host, when the search list has a domain with a wildcard.
#
# One would guess: "the name server cannot say now" ends as EAI_AGAIN; only "no such name" (NXDOMAIN) goes on to the
#   search list. c-ares does end it (1.18: ECONNREFUSED "Could not contact DNS servers"), and glibc, too, says EAI_AGAIN
#   when nothing of the search list exists, so a test without a wildcard shows the guess as right.
# What it means: while the zone of db.example.com has a trouble of its own (expired DNSSEC signature, a server down),
#   programs connect to whatever *.corp.test points at and send their logins there; without TLS and its check of the name
#   nobody notices. Search lists with wildcards are usual in offices and Kubernetes. Write such names with a dot at the
#   end, or empty the search list (`search .`).
# Seen with: libc6 2.36-9+deb12u14. SERVFAIL: 192.0.2.66 of db.example.com.corp.test; REFUSED: the same; SERVFAIL without a
#   wildcard: EAI_AGAIN; "db.example.com." and SERVFAIL: EAI_AGAIN. Needs: Debian 12 (glibc 2.36), python3, unshare, and
#   root or user namespaces: it all happens in a network and mount namespace of its own.
# Date: 2026-11-28
set -u
fail() { echo "$*" >&2; exit 1; }
for tool in /usr/bin/python3 unshare ip; do command -v $tool >/dev/null || fail "needs $tool"; done
[ "$(getconf GNU_LIBC_VERSION)" = "glibc 2.36" ] || fail "needs glibc 2.36 (Debian 12), this is $(getconf GNU_LIBC_VERSION)"
dir=$(mktemp -d) || fail "no temporary folder"
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
printf 'nameserver 127.0.0.1\nsearch corp.test\noptions timeout:1 attempts:1\n' >resolv.conf
printf 'hosts: files dns\n' >nsswitch.conf
cat >see.py <<'END'
import socket, subprocess, sys, threading

def serve(udp, state):
    """*.corp.test has 192.0.2.66 if state says so; every other name gets the state's rcode."""
    while True:
        question, client = udp.recvfrom(2000)
        end, labels = 12, []
        while question[end]:
            labels.append(question[end + 1:end + 1 + question[end]].decode())
            end += 1 + question[end]
        name, kind = '.'.join(labels), question[end + 2]
        rcode, answer = state['rcode'], b''
        if name.endswith('.corp.test'):
            rcode = 0 if state['wildcard'] else 3
            if state['wildcard'] and kind == 1:
                answer = b'\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4' + socket.inet_aton('192.0.2.66')
        udp.sendto(question[:2] + bytes([0x81, 0x80 | rcode, 0, 1, 0, 1 if answer else 0, 0, 0, 0, 0]) + question[12:end + 5] + answer, client)

def ask(name):
    code = ('import socket, sys\ntry: print(socket.getaddrinfo(sys.argv[1], 5432, type=socket.SOCK_STREAM)[0][4][0])\n'
            'except socket.gaierror as error: print("EAI_AGAIN" if error.errno == socket.EAI_AGAIN else error)')
    return subprocess.run([sys.executable, '-c', code, name], capture_output=True, text=True, timeout=20).stdout.strip()

udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('127.0.0.1', 53))
state = {}
threading.Thread(target=serve, args=(udp, state), daemon=True).start()
stated = True
for what, rcode, wildcard, name, wanted in (
        ('SERVFAIL', 2, True, 'db.example.com', '192.0.2.66'),
        ('REFUSED', 5, True, 'db.example.com', '192.0.2.66'),
        ('SERVFAIL, no wildcard', 2, False, 'db.example.com', 'EAI_AGAIN'),
        ('SERVFAIL', 2, True, 'db.example.com.', 'EAI_AGAIN')):
    state.update(rcode=rcode, wildcard=wildcard)
    seen = ask(name)
    print(f'{what:24}{name:18}{seen}')
    stated &= seen == wanted
print("as stated: a server's failure became another host's address" if stated else 'not as stated')
sys.exit(0 if stated else 1)
END
cat >inside <<'END'
ip link set lo up && mount --bind resolv.conf /etc/resolv.conf && mount --bind nsswitch.conf /etc/nsswitch.conf || {
	echo "cannot set up the namespaces" >&2
	exit 1
}
unset RES_OPTIONS LOCALDOMAIN
exec timeout 60 /usr/bin/python3 see.py
END
flags=-mn
[ "$(id -u)" = 0 ] || flags=-rmn
unshare $flags --propagation private bash inside
