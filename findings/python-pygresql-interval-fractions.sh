#!/bin/bash
# Finding: PyGreSQL 5.1.2 reads the fraction of an interval as a count of microseconds: 1.5 seconds become 1.000005, 0.25 becomes 0.000025; only six digits are read right. It does so in pg and pgdb, while timestamps and times with the same fraction are right.
#
# One would guess: one routine for ".5" serves time, timestamp and interval, or a wrong one is noticed at once. It is
#   noticed seldom: PostgreSQL leaves trailing zeros of a fraction out, so nine of ten measured times have six digits and
#   are right, and a test with whole seconds or with the difference of two clock readings passes.
# What it means: round durations (timeouts, '100 milliseconds', averages that come out even) are read as almost whole seconds;
#   sums over many rows are a bit too small, and a limit of half a second becomes 5 microseconds. Writing is right, so a
#   value that is read and written back changes. No intervalstyle helps, all four are read so. Select
#   EXTRACT(epoch FROM ...) instead.
# Seen with: python3-pygresql 1:5.1.2-2+b2, python 3.11, postgresql-15 15.20-0+deb12u1; read as timedelta and, beside it, as EXTRACT(epoch)
#   of the same value. '1.5 seconds': 1.000005, '-0.25 seconds': -0.000025, '100 milliseconds': 0.000001; '1.234567 seconds'
#   and time '00:00:01.5' are right. Needs: Debian 12, /usr/bin/python3, apt-get; setpriv if it is run as root, as
#   PostgreSQL does not run so.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its PostgreSQL 15 and python 3.11"
for tool in /usr/bin/python3 apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
dir=$(mktemp -d) || fail "no temporary folder"
server=
trap '[ -z "$server" ] || { kill -INT $server; wait $server; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 120 apt-get download -q postgresql-15=15.20-0+deb12u1 postgresql-client-15=15.20-0+deb12u1 libpq5 \
	python3-pygresql=1:5.1.2-2+b2 >apt.log 2>&1 ||
	fail "apt-get download failed (postgresql-15 15.20-0+deb12u1 and python3-pygresql 1:5.1.2-2+b2 are needed): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
as=()
mkdir server
if [ "$(id -u)" = 0 ]; then
	command -v setpriv >/dev/null || fail "needs setpriv"
	as=(setpriv --reuid nobody --regid nogroup --clear-groups)
	chown nobody:nogroup server
	chmod a+rx "$dir"
fi
bin=$dir/files/usr/lib/postgresql/15/bin
as+=(env -i "LD_LIBRARY_PATH=$(echo "$dir"/files/usr/lib/*-linux-gnu*)" PATH=/usr/bin:/bin)
cd server || exit 1
"${as[@]}" "$bin/initdb" -D "$dir/server/data" -U tester -A trust --no-sync >../initdb.log 2>&1 || fail "initdb failed: $(tail -n 3 ../initdb.log)"
"${as[@]}" "$bin/postgres" -D "$dir/server/data" -k "$dir/server" -c listen_addresses= -c fsync=off >../server.log 2>&1 &
server=$!
cd ..
for ((i = 0; i < 150; i++)); do grep -qs 'ready to accept connections' server.log && break; sleep 0.2; done
cat >see.py <<'END'
import datetime, os, sys
sys.path.insert(0, 'files/usr/lib/python3/dist-packages')
import pg, pgdb

folder = os.getcwd() + '/server'
one = pg.DB(dbname='postgres', host=folder, user='tester')
two = pgdb.connect(host=folder, user='tester', database='postgres')
cursor = two.cursor()
stated = True
for style in 'postgres', 'postgres_verbose', 'iso_8601', 'sql_standard':
    one.query(f"SET intervalstyle = '{style}'")
    cursor.execute(f"SET intervalstyle = '{style}'")
    for text, wrong in (('1.5 seconds', 1.000005), ('0.25 seconds', 0.000025), ('100 milliseconds', 0.000001), ('-1.5 seconds', -1.000005),
                        ('1.234567 seconds', 1.234567), ('90 seconds', 90)):
        query = f"SELECT interval '{text}', EXTRACT(epoch FROM interval '{text}')"
        seen, right = one.query(query).getresult()[0]
        cursor.execute(query)
        also, _ = cursor.fetchone()
        print(f'{style:18}{text:18}pg {seen.total_seconds()!s:10} pgdb {also.total_seconds()!s:10} EXTRACT {right}')
        stated &= seen == also == datetime.timedelta(seconds=wrong)
time, = one.query("SELECT time '00:00:01.5'").getresult()[0]
print('time 00:00:01.5:', time)
stated &= time == datetime.time(0, 0, 1, 500000)
print('as stated: the fraction of an interval is taken for microseconds' if stated else 'not as stated')
sys.exit(0 if stated else 1)
END
LD_LIBRARY_PATH=$(echo "$dir"/files/usr/lib/*-linux-gnu*) timeout 30 /usr/bin/python3 see.py
result=$?
[ $result = 0 ] || tail -n 3 server.log >&2
exit $result
