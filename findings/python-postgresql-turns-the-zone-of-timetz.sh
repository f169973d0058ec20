#!/bin/bash
# Finding: py-postgresql 1.2.1 reads a time with time zone with the sign of its zone turned round: '12:30+05:30' has utcoffset() -5:30, eleven hours off, and writes one turned round, too; timestamp with time zone is right. Its numeric cannot be NaN, and date 0001-01-01 is written as -infinity.
#
# One would guess: one conversion serves both types with a zone, or the first test finds it. What is read and written back is
#   right, as the two errors cancel, and a test in UTC passes; in the binary format the server counts the zone to the west, in
#   Python it is to the east.
# What it means: opening hours, shifts and schedules of other zones are off by twice the zone's offset as soon as Python
#   computes with them or the values come from elsewhere; what other drivers wrote is read wrong, and the other way round. The
#   classes of Python's own datetime.timezone cannot be written at all (an error), so one takes the library's FixedOffset and
#   stores it turned round. Cast to text and use datetime.time.fromisoformat(). (asyncpg had the same pair of errors:
#   MagicStack/asyncpg#225.)
# Seen with: python3-postgresql 1.2.1+git20180803.ef7b9a9-4+b3, python 3.11, postgresql-15 15.20-0+deb12u1, the text of each
#   value beside it. Needs: Debian 12, /usr/bin/python3, apt-get; setpriv if it is run as root, as PostgreSQL does not run so.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its PostgreSQL 15 and python 3.11"
for tool in /usr/bin/python3 apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
dir=$(mktemp -d) || fail "no temporary folder"
server=
trap '[ -z "$server" ] || { kill -INT $server; wait $server; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 500 apt-get -o Acquire::Retries=3 download -q postgresql-15=15.20-0+deb12u1 postgresql-client-15=15.20-0+deb12u1 libpq5 \
	python3-postgresql=1.2.1+git20180803.ef7b9a9-4+b3 >apt.log 2>&1 ||
	fail "apt-get download failed (see the versions above): $(tail -n 3 apt.log)"
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
for ((i = 0; i < 900; i++)); do grep -qs 'ready to accept connections' server.log && break; sleep 0.2; done
cat >see.py <<'END'
import datetime, os, sys
sys.path.insert(0, 'files/usr/lib/python3/dist-packages')
# The package looks for its SQL below /usr/share, where it is not when it was only unpacked.
import postgresql.sys
postgresql.sys.libpath.insert(0, os.path.abspath('files/usr/share/python3-postgresql'))
import postgresql
from postgresql.python.datetime import FixedOffset

db = postgresql.open(unix=os.getcwd() + '/server/.s.PGSQL.5432', user='tester', database='postgres')
hours = lambda offset: offset.total_seconds() / 3600
stated = True
for text, wrong in (('12:30+05:30', -5.5), ('12:30-08', 8), ('12:30+00', 0)):
    seen, east = db.prepare(f"SELECT timetz '{text}', EXTRACT(timezone FROM timetz '{text}')").first()
    back = db.prepare('SELECT $1::timetz::text').first(seen)
    print(f'{text:13}read: utcoffset {hours(seen.utcoffset()):+.1f} hours, by the server {int(east) / 3600:+.1f}, written back: {back}')
    stated &= hours(seen.utcoffset()) == wrong and int(east) == -wrong * 3600 and back.startswith(text.replace(':30+', ':30:00+', 1).replace(':30-', ':30:00-', 1))
own = datetime.time(12, 30, tzinfo=FixedOffset(2 * 3600))
written = db.prepare('SELECT $1::timetz::text').first(own)
print('12:30, two hours east, is written as', written)
stated &= written == '12:30:00-02'
moment = db.prepare("SELECT timestamptz '2020-01-01 12:30+05:30'").first()
print('timestamptz 2020-01-01 12:30+05:30 is read as', moment.isoformat())
stated &= moment == datetime.datetime(2020, 1, 1, 7, 0, tzinfo=datetime.timezone.utc)
for what, statement, values in (("datetime.timezone", 'SELECT $1::timetz::text', [datetime.time(12, 30, tzinfo=datetime.timezone.utc)]),
                                ("numeric NaN", "SELECT 'NaN'::numeric", [])):
    try:
        outcome = db.prepare(statement).first(*values)
    except Exception as error:
        outcome = type(error).__name__
    print(f'{what}: {outcome}')
    stated &= outcome in ('ParameterError', 'ColumnError', 'TupleError', 'ValueError')
first = db.prepare('SELECT $1::date::text').first(datetime.date(1, 1, 1))
print('date 0001-01-01 is written as', first)
stated &= first == '-infinity'
print('as stated: the zone is turned round' if stated else 'not as stated')
sys.exit(0 if stated else 1)
END
LD_LIBRARY_PATH=$(echo "$dir"/files/usr/lib/*-linux-gnu*) timeout 200 /usr/bin/python3 -W ignore see.py
result=$?
[ $result = 0 ] || tail -n 3 server.log >&2
exit $result
