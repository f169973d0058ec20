#!/bin/bash
# Finding: Perl's DBD::mysql 4.050 reconnects without a word after a cut when the environment has GATEWAY_INTERFACE (any CGI script) or MOD_PERL, and reports the loss without them; DBD::MariaDB 1.22, its fork, reports it always.
#
# One would guess: what happens to a lost session is decided by the program's options (mysql_auto_reconnect, off by
#   default), so a program that was tested on the command line behaves alike below a web server.
# What it means: the new session has none of the old one's state: @variables are NULL, temporary tables, GET_LOCK() locks,
#   SET time_zone, sql_mode and the like are gone, and no error says so; a `WHERE tenant = @tenant` finds nothing, an
#   INSERT stores NULL. ping() also says yes. A proxy or pool that ends idle sessions makes such scripts wrong rather
#   than loud, and it cannot be reproduced in a shell. Set mysql_auto_reconnect => 0 in each connect(). (The manual page of
#   DBD::mysql does mention it.)
# Seen with: libdbd-mysql-perl 4.050-5+b1, libdbd-mariadb-perl 1.22-1+b1, perl 5.36, mariadb-server-core 10.11.19; a session
#   with @tenant = 42 is ended by KILL, then SELECT @tenant: mysql "Server has gone away"; mysql below CGI NULL, no error;
#   MariaDB "Server has gone away" both times. Needs: Debian 12 (perl 5.36), /usr/sbin/mariadbd 10.11, apt-get.
# Date: 2026-11-28
set -u
fail() { echo "$*" >&2; exit 1; }
for tool in /usr/bin/perl apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
[ "$(/usr/bin/perl -e 'printf "%vd", $^V' | cut -d. -f1,2)" = 5.36 ] || fail "needs perl 5.36 (Debian 12)"
case $(/usr/sbin/mariadbd --version 2>/dev/null) in *10.11.*) ;; *) fail "needs /usr/sbin/mariadbd 10.11 (mariadb-server-core of Debian 12)" ;; esac
dir=$(mktemp -d) || fail "no temporary folder"
server=
trap '[ -z "$server" ] || { kill $server; wait $server; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 120 apt-get download -q libdbd-mysql-perl=4.050-5+b1 libdbd-mariadb-perl=1.22-1+b1 libdbi-perl libmariadb3 >apt.log 2>&1 ||
	fail "apt-get download failed (libdbd-mysql-perl 4.050-5+b1 and libdbd-mariadb-perl 1.22-1+b1 are needed): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
mkdir data
user=()
[ "$(id -u)" != 0 ] || user=(--user=root)
/usr/sbin/mariadbd --no-defaults --datadir="$dir/data" "${user[@]}" --skip-grant-tables --skip-networking --socket="$dir/sock" \
	--pid-file="$dir/pid" --innodb-buffer-pool-size=8M >mariadb.log 2>&1 &
server=$!
for ((i = 0; i < 150; i++)); do [ -S sock ] && break; sleep 0.2; done
[ -S sock ] || fail "mariadbd did not start: $(tail -n 3 mariadb.log)"
cat >see.pl <<'END'
use strict;
use warnings;
use DBI;
my ($driver, $option) = @ARGV;
sub session { DBI->connect("dbi:$driver:${option}_socket=sock", 'root', '', {RaiseError => 0, PrintError => 0}) or die DBI->errstr }
my ($session, $other) = (session(), session());
$session->do('SET @tenant = 42');
my ($id) = $session->selectrow_array('SELECT CONNECTION_ID()');
$other->do("KILL $id");
my $left = 1;
for (1 .. 100) {
	($left) = $other->selectrow_array("SELECT COUNT(*) FROM information_schema.processlist WHERE id = $id");
	last unless $left;
	select undef, undef, undef, 0.05;
}
die "the session does not end" if $left;
my ($tenant) = $session->selectrow_array('SELECT @tenant');
print $session->err ? $session->errstr : $tenant // 'NULL, no error', "\n";
END
export PERL5LIB LD_LIBRARY_PATH
PERL5LIB=$(echo "$dir"/files/usr/lib/*-linux-gnu*/perl5/5.36)
LD_LIBRARY_PATH=$(echo "$dir"/files/usr/lib/*-linux-gnu*)
unset MOD_PERL GATEWAY_INTERFACE
stated=yes
see() {
	local wanted=$1 seen
	shift
	seen=$(timeout 20 env "$@" 2>&1)
	printf '%-64s%s\n' "$*" "$seen"
	[ "$seen" = "$wanted" ] || stated=no
}
see "Server has gone away" /usr/bin/perl see.pl mysql mysql
see "NULL, no error" GATEWAY_INTERFACE=CGI/1.1 /usr/bin/perl see.pl mysql mysql
see "NULL, no error" MOD_PERL=2 /usr/bin/perl see.pl mysql mysql
see "Server has gone away" /usr/bin/perl see.pl MariaDB mariadb
see "Server has gone away" GATEWAY_INTERFACE=CGI/1.1 /usr/bin/perl see.pl MariaDB mariadb
[ $stated = yes ] || fail "not as stated"
echo "as stated: below CGI the lost session is replaced in silence"
