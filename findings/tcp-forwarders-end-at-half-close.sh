#!/bin/bash
# Finding: systemd-socket-proxyd 252, rinetd 0.73, redir 3.3, simpleproxy 3.5 and 6tunnel 0.13 end a connection as soon as the client has sent its last byte, so an answer that comes later is lost; pen 0.34.1 loses a short answer and cuts a long one in the middle, with a clean end.
#
# One would guess: a forwarder hands each end of file on to the other side and waits for the second one; the two
#   directions of a TCP connection end independently of each other, and HAProxy takes them so. None of the six manuals
#   mentions it.
# What it means: clients that say "that was all" with shutdown(SHUT_WR), as nc -N and socat do, and scripts that pipe a request
#   through them, get an empty answer and no error, and only through the forwarder. A service that was moved behind a socket
#   unit with systemd-socket-proxyd breaks that way though nothing in it was changed. With pen the client cannot tell that
#   half of a dump is missing. The server sees a normal end and then a broken pipe. Without half-close all of them deliver
#   the whole answer.
# Seen with: systemd 252.39-1~deb12u2 (systemd-socket-activate in front), rinetd 0.73-1, redir 3.3-1, pen 0.34.1-2+b1,
#   simpleproxy 3.5-1+b2, 6tunnel 1:0.13-2; a server that reads up to the end of file and answers 0.3 s later with 1,000
#   or 1,000,000 bytes. pen: 0 of 1,000, then some 300,000 to 800,000 of 1,000,000 (seldom all); the other five: 0 and 0;
#   haproxy 2.6.12-1+deb12u4 and no forwarder: everything. Needs: Debian 12, /usr/bin/python3, apt-get.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its forwarders"
for tool in /usr/bin/python3 apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
dir=$(mktemp -d) || fail "no temporary folder"
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 90 apt-get download -q systemd=252.39-1~deb12u2 rinetd=0.73-1 redir=3.3-1 pen=0.34.1-2+b1 simpleproxy=3.5-1+b2 \
	6tunnel=1:0.13-2 haproxy=2.6.12-1+deb12u4 libgeoip1 libsystemd-shared liblua5.3-0 libopentracing-c-wrapper0 libopentracing1 \
	>apt.log 2>&1 || fail "apt-get download failed (see the versions above): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
cat >see.py <<'END'
import glob, os, socket, subprocess, sys, threading, time

os.environ['LD_LIBRARY_PATH'] = ':'.join(glob.glob('files/usr/lib/*-linux-gnu*') + glob.glob('files/usr/lib/*-linux-gnu*/systemd'))
size = 0

def answer(client):
    try:
        while client.recv(9999):
            pass
        time.sleep(0.3)
        client.sendall(bytes(size))
    except OSError:
        pass
    client.close()

def serve(listener):
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

def ask(port):
    """How much of the answer comes, 'broken' if the connection does not end properly."""
    with socket.create_connection(('127.0.0.1', port), timeout=10) as client:
        client.sendall(b'that was all')
        client.shutdown(socket.SHUT_WR)
        got = 0
        try:
            while data := client.recv(65536):
                got += len(data)
        except OSError:
            return 'broken'
        return got

listener = socket.create_server(('127.0.0.1', 0))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
server = listener.getsockname()[1]

def free_port():
    with socket.create_server(('127.0.0.1', 0)) as probe:
        return probe.getsockname()[1]

def write(name, text):
    with open(name, 'w') as file:
        file.write(text)
    return name

def command(name, port):
    front, back = f'127.0.0.1:{port}', f'127.0.0.1:{server}'
    return {
        'systemd-socket-proxyd': ['files/usr/bin/systemd-socket-activate', '-l', front, glob.glob('files/*/systemd/systemd-socket-proxyd')[0], back],
        'rinetd': ['files/usr/sbin/rinetd', '-f', '-c', write('rinetd.conf', f'127.0.0.1 {port} 127.0.0.1 {server}\n')],
        'redir': ['files/usr/bin/redir', '-n', front, back],
        'simpleproxy': ['files/usr/bin/simpleproxy', '-L', front, '-R', back],
        '6tunnel': ['files/usr/bin/6tunnel', '-d', '-4', '-l', '127.0.0.1', str(port), '127.0.0.1', str(server)],
        'pen': ['files/usr/bin/pen', '-f', front, back],
        'haproxy': ['files/usr/sbin/haproxy', '-db', '-f', write('haproxy.cfg', f'''defaults
	mode tcp
	timeout connect 5s
	timeout client 9s
	timeout server 9s
listen front
	bind {front}
	server back {back}
''')]}[name]

def through(name, sizes=(1000, 1000000)):
    global size
    port, process = server, None
    if name != 'no forwarder':
        port = free_port()
        with open(name + '.log', 'w') as log:
            process = subprocess.Popen(command(name, port), stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(100):
            try:
                socket.create_connection(('127.0.0.1', port)).close()
                break
            except OSError:
                time.sleep(0.1)
        seen = []
        for size in sizes:
            seen.append(ask(port))
        print(f'{name:24}' + ', '.join(f'{got} of {size}' for got, size in zip(seen, sizes)))
        return seen
    finally:
        if process:
            os.killpg(process.pid, 9)
            process.wait()

stated = True
for name in 'no forwarder', 'haproxy':
    stated &= through(name) == [1000, 1000000]
for name in 'systemd-socket-proxyd', 'rinetd', 'redir', 'simpleproxy', '6tunnel':
    stated &= through(name) == [0, 0]
short, *long = through('pen', [1000] + [1000000] * 5)
stated &= short == 0 and 'broken' not in long and any(0 < got < 1000000 for got in long)
print('as stated: the answer to a half-closed connection is lost' if stated else 'not as stated')
sys.exit(0 if stated else 1)
END
timeout 100 /usr/bin/python3 see.py
