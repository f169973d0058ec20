#!/bin/bash
# Finding: PL/Proxy 2.10 passes values as text in the caller's DateStyle and IntervalStyle to a connection that has its own: 6 May 2020 arrives as 5 June when the caller's style is 'SQL, DMY' or German, noon UTC as 15:30 from a caller in Kolkata, minus one day and two hours as minus 22 hours; what comes back from a database with another style is turned round in the same way.
#
# One would guess: values go over as binary, or the connection is set to what the caller has or to ISO, as postgres_fdw does it
#   with DateStyle, IntervalStyle and TimeZone; both sides have one and the same type, date, so the style that a person wants
#   to see has no part in it.
# What it means: a role, a report or an old application that sets its DateStyle stores other dates than it was given, in the
#   partitions alone; a function that is moved from the local database to a partition changes its meaning. Only the first
#   twelve days of a month are swapped; from the 13th on the call is an error, so a test late in the month finds it and one
#   early does not. With zone names in the text (every style but ISO) IST is Israel for a server with the default abbreviations.
#   Put datestyle, intervalstyle and timezone into each connect string (options=-cdatestyle=ISO) *and* add SET datestyle = ISO
#   to the proxy function, or pass dates as text by to_char. ISO on both sides is right.
# Seen with: postgresql-15-plproxy 2.10.0-8+b1, postgresql-15 15.20-0+deb12u1; two databases of one server, the same values by
#   postgres_fdw beside it, which are right in each style. Needs: Debian 12 (amd64 or arm64), apt-get; setpriv if it is run as
#   root, as PostgreSQL does not run so.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its PostgreSQL 15"
for tool in apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
dir=$(mktemp -d) || fail "no temporary folder"
server=
trap '[ -z "$server" ] || { kill -INT $server; wait $server; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 500 apt-get -o Acquire::Retries=3 download -q postgresql-15=15.20-0+deb12u1 postgresql-client-15=15.20-0+deb12u1 libpq5 \
	postgresql-15-plproxy=2.10.0-8+b1 >apt.log 2>&1 || fail "apt-get download failed (see the versions above): $(tail -n 3 apt.log)"
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
export LD_LIBRARY_PATH
LD_LIBRARY_PATH=$(echo "$dir"/files/usr/lib/*-linux-gnu*)
as+=(env -i "LD_LIBRARY_PATH=$LD_LIBRARY_PATH" PATH=/usr/bin:/bin)
cd server || exit 1
"${as[@]}" "$bin/initdb" -D "$dir/server/data" -U tester -A trust --no-sync >../initdb.log 2>&1 || fail "initdb failed: $(tail -n 3 ../initdb.log)"
"${as[@]}" "$bin/postgres" -D "$dir/server/data" -k "$dir/server" -c listen_addresses= -c fsync=off -c datestyle=ISO,MDY -c timezone=UTC \
	>../server.log 2>&1 &
server=$!
cd ..
for ((i = 0; i < 300; i++)); do grep -qs 'ready to accept connections' server.log && break; sleep 0.2; done
run() { timeout 60 "$bin/psql" -X -q -At -v ON_ERROR_STOP=1 -h "$dir/server" -U tester "$@"; }
run -d postgres -c 'CREATE DATABASE proxy' -c 'CREATE DATABASE part' || fail "no databases"
run -d part >sql.log <<'END' || fail "the partition was not set up"
CREATE TABLE seen (d date, t timestamptz, i interval);
CREATE FUNCTION as_text(d date, t timestamptz, i interval) RETURNS text LANGUAGE sql AS
	$$ SELECT to_char(d, 'YYYY-MM-DD') || to_char(t AT TIME ZONE 'UTC', ', HH24:MI') || ', ' || extract(epoch FROM i) $$;
CREATE FUNCTION sixth_of_may() RETURNS date LANGUAGE sql AS $$ SELECT make_date(2020, 5, 6) $$;
END
run -d proxy >sql.log <<END || fail "the proxy was not set up"
CREATE EXTENSION plproxy;
CREATE SERVER parts FOREIGN DATA WRAPPER plproxy OPTIONS (p0 'dbname=part host=$dir/server user=tester');
CREATE USER MAPPING FOR tester SERVER parts OPTIONS (user 'tester');
CREATE FUNCTION as_text(d date, t timestamptz, i interval) RETURNS text LANGUAGE plproxy AS 'CLUSTER ''parts'';';
CREATE FUNCTION sixth_of_may() RETURNS date LANGUAGE plproxy AS 'CLUSTER ''parts'';';
CREATE EXTENSION postgres_fdw;
CREATE SERVER beside FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname 'part', host '$dir/server');
CREATE USER MAPPING FOR tester SERVER beside OPTIONS (user 'tester');
CREATE FOREIGN TABLE seen (d date, t timestamptz, i interval) SERVER beside;
END
stated=yes
row() {
	local title=$1 settings=$2 wanted=$3 values by beside
	values="make_date(2020, 5, 6), to_timestamp(1588766400), make_interval(days => -1, hours => -2)"
	by=$(run -d proxy -c "$settings" -c "SELECT as_text($values)" 2>&1 | tail -n 1)
	run -d proxy -c "$settings" -c "INSERT INTO seen VALUES ($values)"
	beside=$(run -d part -c 'SELECT as_text(d, t, i) FROM seen' -c 'DELETE FROM seen')
	printf '%-46s PL/Proxy %-32s postgres_fdw %s\n' "$title" "$by" "$beside"
	[ "$by" = "$wanted" ] && [ "$beside" = '2020-05-06, 12:00, -93600.000000' ] || stated=no
}
row 'ISO' '' '2020-05-06, 12:00, -93600.000000'
row 'SQL, DMY' "SET datestyle = 'SQL, DMY'" '2020-06-05, 12:00, -93600.000000'
row 'German' "SET datestyle = 'German'" '2020-06-05, 12:00, -93600.000000'
row 'SQL, MDY, Asia/Kolkata' "SET datestyle = 'SQL, MDY'; SET timezone = 'Asia/Kolkata'" '2020-05-06, 15:30, -93600.000000'
row 'intervalstyle sql_standard' "SET intervalstyle = 'sql_standard'" '2020-05-06, 12:00, -79200.000000'
late=$(run -d proxy -c "SET datestyle = 'SQL, DMY'" -c 'SELECT as_text(make_date(2020, 5, 16), now(), NULL)' 2>&1 | head -n 1)
echo "the 16th instead of the 6th: $late"
[[ $late == *'date/time field value out of range: "16/05/2020"'* ]] || stated=no
run -d postgres -c "ALTER DATABASE part SET datestyle = 'SQL, DMY'"
back=$(run -d proxy -c "SELECT to_char(sixth_of_may(), 'YYYY-MM-DD')")
echo "6 May from a partition with SQL, DMY: $back"
[ "$back" = 2020-06-05 ] || stated=no
if [ $stated = yes ]; then echo "as stated: dates are read in another style than they are written in"; exit; fi
tail -n 3 server.log >&2
fail "not as stated"
