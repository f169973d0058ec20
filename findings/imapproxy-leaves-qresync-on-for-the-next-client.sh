#!/bin/bash
# Finding: imapproxy 1.2.8 hands a logged-in server connection to the next client with ENABLE still in force: after one client of the user enabled QRESYNC, the next one, which never asked for it, gets VANISHED where EXPUNGE belongs, keeps its old message numbers and deletes mail 3 in place of mail 2.
#
# One would guess: what a client switched on ends with its LOGOUT, as it does at the server; the proxy does reset what it
#   leaves behind, as it sends UNSELECT when a client goes, and QRESYNC has no other way to be switched off than a new
#   connection, so a connection with it is closed or is kept for the clients that enable it.
# What it means: webmail that enables QRESYNC for its cache and a second program with the same user and password (a filter, a
#   synchroniser, an older webmail) must not share the proxy: RFC 7162, section 3.2.10, lets the server send VANISHED in
#   place of EXPUNGE from then on, and what a client does not know it ignores. Whether it happens depends on who came within
#   cache_expiration_time before, so it is rare, cannot be repeated at will, and the proxy shows no error. Whatever else ENABLE
#   switches on must stay on, too (UTF8=ACCEPT changes how folder names are written); that was not tried. Give each program a
#   proxy of its own, take ENABLE out of the programs, or use UIDs in all of them.
# Seen with: imapproxy 1.2.8~svn20171105-2+b2 in front of dovecot-imapd 1:2.3.19.1+dfsg1-2.1+deb12u7 (its imap behind a login
#   of ten lines), Python's imaplib deletes mail 1 and then mail 2 of four. Direct, and by the proxy when nobody came before:
#   3 and 4 are left; after the other client: 2 and 4. Needs: Debian 12, /usr/bin/python3, libwrap0, libncurses6, apt-get,
#   root: imapproxy starts as root alone and becomes nobody.
# Date: 2026-11-30
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its imapproxy and Dovecot"
[ "$(id -u)" = 0 ] || fail "needs root, for imapproxy"
for tool in /usr/bin/python3 apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
dir=$(mktemp -d) || fail "no temporary folder"
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 500 apt-get -o Acquire::Retries=3 download -q imapproxy=1.2.8~svn20171105-2+b2 dovecot-core=1:2.3.19.1+dfsg1-2.1+deb12u7 \
	dovecot-imapd=1:2.3.19.1+dfsg1-2.1+deb12u7 libexttextcat-2.0-0 libstemmer0d >apt.log 2>&1 ||
	fail "apt-get download failed (see the versions above): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
mkdir mails
chown nobody:nogroup mails
chmod a+rx "$dir"
cat >see.py <<'END'
import contextlib, glob, imaplib, os, shutil, socket, subprocess, sys, threading, time

HERE = os.getcwd()
LOG = open('mails/imap.log', 'ab')

def copy(source, write, finish):
    with contextlib.suppress(OSError):
        while data := source(65536):
            write(data)
    with contextlib.suppress(OSError):
        finish()

def talk(client, mail):
    """Takes any password, then lets Dovecot's imap speak with the client."""
    file = client.makefile('rwb', 0)
    file.write(b'* OK [CAPABILITY IMAP4rev1 UNSELECT ENABLE QRESYNC] ready\r\n')
    while line := file.readline():
        tag, word = line.split()[:2]
        if word == b'LOGIN':
            break
        file.write({b'CAPABILITY': b'* CAPABILITY IMAP4rev1 UNSELECT ENABLE QRESYNC\r\n'}.get(word, b'') + tag + b' OK done\r\n')
    else:
        return
    libraries = ':'.join([HERE + '/files/usr/lib/dovecot'] + glob.glob(HERE + '/files/usr/lib/*-linux-gnu*'))
    imap = subprocess.Popen([HERE + '/files/usr/lib/dovecot/imap'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, stderr=LOG,
                            user='nobody', group='nogroup', extra_groups=[], env={'LD_LIBRARY_PATH': libraries, 'DOVECONF_ENV': '1',
                            'MAIL_LOCATION': 'maildir:' + mail, 'HOME': mail, 'USER': 'ann'})
    imap.stdout.readline()
    file.write(tag + b' OK logged in\r\n')
    threading.Thread(target=copy, args=(client.recv, imap.stdin.write, imap.stdin.close), daemon=True).start()
    copy(lambda size: os.read(imap.stdout.fileno(), size), client.sendall, lambda: client.shutdown(socket.SHUT_RDWR))
    imap.wait()

def serve(mail):
    for folder in '', '/cur', '/new', '/tmp':
        os.mkdir(mail + folder)
        shutil.chown(mail + folder, 'nobody', 'nogroup')
    for number in 1, 2, 3, 4:
        with open(f'{mail}/new/{number}.x.example', 'w', encoding='ascii') as file:
            file.write(f'Subject: mail {number}\r\n\r\ntext\r\n')
    def accept():
        while True:
            threading.Thread(target=talk, args=(listener.accept()[0], mail), daemon=True).start()
    listener = socket.create_server(('127.0.0.1', 0))
    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]

@contextlib.contextmanager
def proxy(server):
    with socket.create_server(('127.0.0.1', 0)) as probe:
        port = probe.getsockname()[1]
    folder = f'{HERE}/mails/{server}'
    os.mkdir(folder)
    with open(folder + '/conf', 'w', encoding='ascii') as file:
        file.write(f'server_hostname 127.0.0.1\nserver_port {server}\nlisten_address 127.0.0.1\nlisten_port {port}\ncache_size 20\n'
                   f'connect_retries 1\nconnect_delay 1\ncache_expiration_time 300\nproc_username nobody\n'
                   f'proc_groupname nogroup\nstat_filename {folder}/stats\n'
                   f'protocol_log_filename {folder}/log\nsyslog_facility LOG_MAIL\nforeground_mode yes\n')
    process = subprocess.Popen([HERE + '/files/usr/sbin/imapproxyd', '-f', folder + '/conf'])
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port)):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()

def connect(port):
    client = imaplib.IMAP4('127.0.0.1', port, timeout=60)
    client.login('ann', 'word')
    return client

def other_client(port):
    client = connect(port)
    client.enable('QRESYNC')
    client.logout()
    time.sleep(0.5)

def subjects(client):
    _, data = client.fetch('1:*', '(BODY.PEEK[HEADER.FIELDS (SUBJECT)])')
    return [item[1].decode().split()[-1] for item in data if isinstance(item, tuple)]

def delete_first_two(port):
    """Deletes mail 1, then mail 2, by the numbers that a client knows; says what is left."""
    client = connect(port)
    client.select()
    known = subjects(client)
    for mail in '1', '2':
        client.store(str(known.index(mail) + 1), '+FLAGS', '\\Deleted')
        for gone in client.expunge()[1]:
            if gone:
                del known[int(gone) - 1]
    seen = client.untagged_responses.get('VANISHED', [])
    client.logout()
    client = connect(port)
    client.select()
    left = subjects(client)
    client.logout()
    return ' '.join(left), len(seen)

stated = True
for name, between, before in ('direct', False, False), ('direct, after the other client', False, True), ('imapproxy', True, False), \
        ('imapproxy, after the other client', True, True):
    server = serve(f'{HERE}/mails/mail {name}'.replace(' ', '-').replace(',', ''))
    with proxy(server) if between else contextlib.nullcontext(server) as port:
        if before:
            other_client(port)
        left, vanished = delete_first_two(port)
    print(f'{name:35}left: {left}, VANISHED: {vanished}')
    stated &= (left, vanished > 0) == (('2 4', True) if between and before else ('3 4', False))
print('as stated: what one client enables changes the replies to the next one' if stated else 'not as stated')
sys.exit(not stated)
END
timeout 400 /usr/bin/python3 -W ignore see.py
result=$?
[ $result = 0 ] || tail -n 3 mails/imap.log >&2
exit $result
