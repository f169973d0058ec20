#!/usr/bin/perl
# Runs contrib/export_pgsql_cdb.pl against two real PostgreSQL servers, and against servers that
# fail.
use strict;
use warnings;

use Cwd qw(abs_path);
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Socket::IP;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $script = abs_path(dirname(__FILE__) . '/../../contrib/export_pgsql_cdb.pl');
my $rum_map = abs_path($ENV{RUM_MAP} // 'rum-map');
my ($bin) = reverse sort { version_of($a) <=> version_of($b) } grep { -x "$_/initdb" }
  glob('/usr/lib/postgresql/*/bin'), split /:/, $ENV{PATH};
sub version_of { $_[0] =~ m{/([0-9]+)/bin$} ? $1 : 0 }

if (!defined $bin || !-x "$bin/psql" || !grep { -x "$_/openssl" } split /:/, $ENV{PATH}) {
    print "SKIP: there is no PostgreSQL, or no openssl (Debian: postgresql openssl)\n";
    exit 77;
}
if (!eval { require DBI; require DBD::Pg }) {
    print "SKIP: Perl lacks DBI or DBD::Pg (Debian: libdbi-perl libdbd-pg-perl)\n";
    exit 77;
}
delete @ENV{ grep { /^(?:PG|DBI_)/ } keys %ENV };
$ENV{LC_ALL} = 'C';

# --- Servers --------------------------------------------------------------------------------------

my $folder = tempdir('rum-export-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $folder;
my $owner = $> == 0 ? 'postgres' : undef;    # a server does not run as root
my %processes;
my $main = $$;
END {
    my $code = $?;
    if (defined $main && $$ == $main) {
        kill INT => keys %processes;
        my $deadline = time + 15;
        for my $pid (keys %processes) {
            sleep 0.05 while waitpid($pid, POSIX::WNOHANG()) == 0 && time < $deadline;
            kill KILL => $pid;
        }
    }
    $? = $code;
}
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

sub free_port {
    my $socket = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 1) or die $@;
    return $socket->sockport;
}

# An authority, and a certificate for 127.0.0.1 by it.
sub make_certificates {
    my ($ca, $server) = ("$folder/ca", "$folder/server");
    write_file("$server.ext", "subjectAltName=IP:127.0.0.1\n");
    for my $command (
        "req -x509 -newkey rsa:2048 -nodes -keyout $ca.key -out $ca.pem -days 2 -subj /CN=ca",
        "req -newkey rsa:2048 -nodes -keyout $server.key -out $server.csr -subj /CN=server",
        "x509 -req -in $server.csr -CA $ca.pem -CAkey $ca.key -CAcreateserial -days 2"
        . " -extfile $server.ext -out $server.pem") {
        my $log = qx(openssl $command 2>&1);
        die "openssl $command: $log" if $?;
    }
    chmod 0600, "$server.key";
    give("$server.key", "$server.pem");
}

sub give {
    my (@paths) = @_;
    return if !defined $owner;
    my (undef, undef, $uid, $gid) = getpwnam $owner or die "there is no user $owner";
    chown $uid, $gid, @paths;
}

# As the owner of the servers.
sub own { return ((defined $owner ? ('runuser', '-u', $owner, '--') : ()), @_) }

sub start_server {
    my ($name) = @_;
    my $data = "$folder/$name";
    mkdir $data;
    give($data);
    my @init = own("$bin/initdb", '-D', "$data/d", '-U', 'root', '-A', 'trust', '--no-sync', '-E', 'UTF8');
    my $log = qx(cd / && @init 2>&1);
    die "initdb: $log" if $?;
    write_file("$data/d/pg_hba.conf", "local all root trust\nlocal all all scram-sha-256\n"
          . "hostssl all secure 127.0.0.1/32 scram-sha-256\nhostnossl all secure 127.0.0.1/32 reject\n"
          . "host all hashed 127.0.0.1/32 md5\nhost all all 127.0.0.1/32 scram-sha-256\n");
    give("$data/d/pg_hba.conf");
    for (1 .. 5) {    # another program may take the port first
        my %server = (port => free_port(), folder => $data);
        $server{socket} = "$data/.s.PGSQL.$server{port}";
        my @options = map { ('-c', $_) } "port=$server{port}", 'listen_addresses=127.0.0.1', 'fsync=off',
          "unix_socket_directories=$data", 'ssl=on', "ssl_cert_file=$folder/server.pem",
          "ssl_key_file=$folder/server.key", 'shared_buffers=8MB';
        my $pid = fork // die "fork: $!";
        if ($pid == 0) {
            chdir '/';
            open STDOUT, '>>', "$data.log";
            open STDERR, '>&', \*STDOUT;
            if (defined $owner) {
                my (undef, undef, $uid, $gid) = getpwnam $owner;
                POSIX::setgid($gid);
                POSIX::setuid($uid);
            }
            exec("$bin/postgres", '-D', "$data/d", @options) or POSIX::_exit(127);
        }
        $processes{$pid} = 1;
        my $deadline = time + 60;
        while (time < $deadline && waitpid($pid, POSIX::WNOHANG()) == 0) {
            return \%server if eval { admin(\%server) };
            sleep 0.1;
        }
        delete $processes{$pid};
    }
    die "postgres does not start: " . qx(tail -n 30 $data.log);
}

sub admin {
    my ($server) = @_;
    return DBI->connect("dbi:Pg:dbname=postgres;host=$server->{folder};port=$server->{port}", 'root', '',
        { RaiseError => 1, PrintError => 0, PrintWarn => 0, pg_enable_utf8 => 0 });
}

sub sql {
    my ($server, @statements) = @_;
    my $db = admin($server);
    $db->do($_) for @statements;
    $db->disconnect;
}

sub secret {
    my ($server, $role) = @_;
    return admin($server)->selectrow_array('SELECT rolpassword FROM pg_authid WHERE rolname = ?',
        undef, $role);
}

# --- Runs -----------------------------------------------------------------------------------------

my ($config, $map) = ("$folder/servers.conf", "$folder/users.cdb");

sub write_file {
    my ($path, $text, $mode) = @_;
    open my $out, '>', $path or die "$path: $!";
    print $out $text;
    close $out;
    chmod $mode // 0600, $path;
}

sub slurp {
    my ($path) = @_;
    open my $in, '<:raw', $path or return undef;
    local $/;
    return scalar(<$in>) // '';
}

# Returns the exit code, what was printed, and what was complained about.
sub export {
    my (@options) = @_;
    my ($out, $err) = ("$folder/out", "$folder/err");
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>', $out;
        open STDERR, '>', $err;
        exec($^X, $script, '--rum-map', $rum_map, @options) or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    my $code = $? & 127 ? "signal " . ($? & 127) : $? >> 8;
    return ($code, map { slurp($_) } $out, $err);
}

# The map as {name => "secret destination"}, in the text form of rum-map.
sub names {
    my ($path) = @_;
    my $text = qx($rum_map dump $path);
    die "rum-map: $?" if $?;
    return { map { (split / /, $_, 2) } grep { !/^#/ } split /\n/, $text };
}

sub quiet_success {
    my ($name, @options) = @_;
    my ($code, $out, $err) = export(@options, $config, $map);
    is($code, 0, "$name: exit code");
    is($out . $err, '', "$name: says nothing");
}

# A failure: it says what it should, and neither the map nor anything else in its folder changes.
sub failure {
    my ($name, $expected, @options) = @_;
    my $before = slurp($map);
    my ($code, $out, $err) = export(@options, $config, $map);
    is($code, 1, "$name: exit code");
    like($err, $expected, "$name: says why");
    is($out, '', "$name: prints nothing");
    is(slurp($map), $before, "$name: the old map stays");
    is_deeply([grep { !/\.lo(?:ck|g)$/ } glob "$map.*"], [], "$name: no temporary file is left");
}

# --- What needs no server ---------------------------------------------------------------------------

subtest 'prints its usage when run without arguments' => sub {
    my ($code, $out, $err) = export();
    is($code, 2);
    is($out, '');
    like($err, qr/^Usage:.*export_pgsql_cdb\.pl \[OPTIONS\] CONFIG MAP/s);
    for my $options (['--fast'], ['--key', 'host'], ['--key', 'users']) {
        ($code, $out, $err) = export(@$options, 'a', 'b');
        is($code, 2, "@$options");
        isnt($err, '');
    }
    ($code, $out, $err) = export('--help');
    is($code, 0, '--help');
    like($out, qr/GRANT SELECT \(oid, rolpassword\) ON pg_catalog\.pg_authid/, '--help teaches');
    is($err, '');
    my $options = join ' ', $out =~ /^ {4}(-.*)$/mg;
    like($options, qr/\Q$_\E\b/, "--help has $_")
      for qw(--key --verbose --dry-run --strict --no-secrets --allow-empty --rum-map --version);
};

subtest 'refuses a list of servers that is wrong, with its line' => sub {
    my %wrong = (
        "user = a\n" => qr/no server is listed/,
        "user = a\n[tcp:a]\n" => qr/:2: 'tcp:a' is not tcp:HOST:PORT/,
        "user = a\n[tcp:a:65536]\n" => qr/:2: /,
        "user = a\n[]\n" => qr/:2: /,
        "user = a\n[tcp:a:1]\n\n[tcp:a:1]\n" => qr/:4: \[tcp:a:1\] is given twice/,
        "user = a\n[tcp:a:1]\nhost = b\n" => qr/:3: there is no 'host'/,
        "user = a\n[tcp:a:1]\nnonsense\n" => qr/:3: this is neither/,
        "user = a\n[tcp:a:1]\ntimeout = 0\n" => qr/timeout is in seconds/,
        "user = a\n[tcp:a:1]\ntls = maybe\n" => qr/tls is no, yes or verify/,
        "user = a\n[tcp:a:1]\ntls = verify\n" => qr/tls = verify needs ca/,
        "user = a\n[tcp:a:1]\nconnect = a:1\n" => qr/connect: 'a:1' is not an address/,
        "user = a\n[sock:/run/x.sock]\n" => qr/has not the name of a socket of PostgreSQL/,
        "user = a\n[tcp:a:1]\ninsecure = maybe\n" => qr/insecure is no or yes/,
        "user = a\n[tcp:a:1]\nsecrets = maybe\n" => qr/secrets is no, yes or auto/,
        "user = a\n[tcp:a:1]\ndatabase = a;host=b\n" => qr/database is a name/,
        "user = a\n[tcp:a:1]\nmax-records = 0\n" => qr/max-records is a number/,
        "[tcp:a:1]\n" => qr/user is not given/,
        "user = a\npassfile = $folder/none\n[tcp:a:1]\n" => qr/none: No such file/,
    );
    for my $text (sort keys %wrong) {
        write_file($config, $text);
        my ($code, $out, $err) = export($config, $map);
        is($code, 1, $text);
        like($err, $wrong{$text});
        like($err, qr/^export_pgsql_cdb: [^\n]+\n$/, 'one line');
    }
    ok(!-e $map, 'no map is made');
};

subtest 'refuses to send a password to a server that proves nothing' => sub {
    my $refused = qr/could be anybody, who would get the password: set tls = verify/;
    my ($here, $ca) = ('connect = tcp:127.0.0.1:1', "tls = verify\nca = $folder/none.pem");
    for my $case (
        ['', 1], ['tls = yes', 1], ['tls = no', 1], ['connect = tcp:192.0.2.1:1', 1],
        ['connect = tcp:localhost.example.net:1', 1],
        ['connect = tcp:127.0.0.1:1,tcp:192.0.2.1:1', 1], [$here, 0], ['connect = tcp:[::1]:1', 0],
        ["connect = sock:$folder/.s.PGSQL.1", 0], [$ca, 0], ["ca = $folder/none.pem", 0],
        ['insecure = yes', 0]) {
        my ($text, $is_refused) = @$case;
        write_file($config, "user = a\npassword = b\ntimeout = 1\n[tcp:db.invalid:1]\n$text\n");
        my ($code, $out, $err) = export($config, $map);
        is($code, 1);
        $is_refused ? like($err, $refused, $text) : unlike($err, $refused, $text);
    }
};

subtest 'refuses passwords in a file that others can read' => sub {
    my $text = "user = a\npassword = b\ntimeout = 1\n[tcp:127.0.0.1:1]\n";
    my $refused = qr/holds passwords, and other users of this machine can read or write it: chmod/;
    for my $mode (0644, 0602, 0604) {
        write_file($config, $text, $mode);
        like((export($config, $map))[2], $refused, sprintf 'mode %o', $mode);
    }
    write_file($config, $text, 0640);
    unlike((export($config, $map))[2], $refused, 'a group may read it');
    write_file($config, "user = a\npassfile = $folder/pass\n[tcp:127.0.0.1:1]\n", 0644);
    write_file("$folder/pass", '', 0640);
    like((export($config, $map))[2], $refused, 'a passfile, not even a group');
};

# --- Two servers ------------------------------------------------------------------------------------

make_certificates();
my ($one, $two) = map { start_server($_) } qw(one two);
my ($db1, $db2) = ('tcp:db1.example.net:5432', 'tcp:db2.example.net:5432');
my $password = q{export 'm\\é};
(my $quoted = $password) =~ s/'/''/g;
for my $server ($one, $two) {
    sql($server, "SET standard_conforming_strings = on",
        "CREATE ROLE exporter LOGIN PASSWORD '$quoted'",
        'GRANT SELECT (oid, rolpassword) ON pg_catalog.pg_authid TO exporter');
}
sql($one, "CREATE ROLE alice LOGIN PASSWORD 'a'", 'CREATE ROLE nologin', 'CREATE ROLE bare LOGIN',
    "CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'b'", "CREATE ROLE idle LOGIN CONNECTION LIMIT 0",
    'CREATE ROLE "odd name#=\\" LOGIN', 'CREATE DATABASE shop OWNER alice',
    'CREATE DATABASE closed ALLOW_CONNECTIONS false', 'REVOKE CONNECT ON DATABASE shop FROM PUBLIC');
sql($two, "SET password_encryption = 'md5'", "CREATE ROLE hashed LOGIN PASSWORD 'h'",
    "SET password_encryption = 'scram-sha-256'", "CREATE ROLE \"b\xc3\xb6b\" LOGIN PASSWORD 'x'",
    "CREATE ROLE secure LOGIN PASSWORD '$quoted'",
    'GRANT SELECT (oid, rolpassword) ON pg_catalog.pg_authid TO secure', 'CREATE DATABASE blog');

# The list of both; `more` are lines for one of them.
sub two_servers {
    my (%more) = @_;
    write_file($config, "user = exporter\npassword = \"$password\"\ntimeout = 5\n"
          . "[$db1]\nconnect = tcp:127.0.0.1:$one->{port}\n" . ($more{one} // '')
          . "[$db2]\nconnect = tcp:127.0.0.1:$two->{port}\n" . ($more{two} // ''));
}

my %expected = (
    alice => secret($one, 'alice') . " $db1", bare => "- $db1", 'odd\sname#=\\\\' => "- $db1",
    hashed => secret($two, 'hashed') . " $db2", 'b\xc3\xb6b' => secret($two, "b\xc3\xb6b") . " $db2",
    secure => secret($two, 'secure') . " $db2");

subtest 'exports roles with their secrets' => sub {
    two_servers();
    quiet_success('two servers');
    is_deeply(names($map), \%expected);
    like($expected{alice}, qr/^SCRAM-SHA-256/);
    like($expected{hashed}, qr/^md5/);
    is((stat $map)[2] & 0777, 0640, 'the mode of a map with secrets');
    is(system("$rum_map check -q $map"), 0, 'rum-map check');
};

subtest 'lets the file be when nothing has changed, and keeps its mode when something has' => sub {
    my $inode = (stat $map)[1];
    utime time - 60, time - 60, $map;
    quiet_success('nothing');
    is((stat $map)[1], $inode, 'the same file');
    cmp_ok((stat $map)[9], '<', time - 30, 'and date');
    utime time - 4000, time - 4000, $map;
    quiet_success('an old one');
    is((stat $map)[1], $inode, 'the same file');
    cmp_ok((stat $map)[9], '>', time - 60, 'is dated anew');
    chmod 0600, $map;
    sql($one, 'CREATE ROLE carl LOGIN');
    my ($code, $out) = export('-n', $config, $map);
    is("$code $out", "0 $map: would be replaced by a map of 7 names\n", '--dry-run');
    is((stat $map)[1], $inode, 'replaces nothing');
    quiet_success('a new role');
    is(names($map)->{carl}, "- $db1");
    isnt((stat $map)[1], $inode, 'another file');
    is((stat $map)[2] & 0777, 0600, 'of the same mode');
    sql($one, 'DROP ROLE carl');
    quiet_success('and back');
};

subtest 'exports by database' => sub {
    my $other = "$folder/databases.cdb";
    my ($code, $out, $err) = export('--key', 'database', $config, $other);
    is("$code$out$err", '0');
    is_deeply(names($other), { shop => "- $db1", blog => "- $db2" });
};

subtest 'exports by user and database' => sub {
    my $other = "$folder/pairs.cdb";
    my $pairs = sub {
        my (%more) = @_;
        two_servers(%more);
        my ($code, $out, $err) = export('-k', 'user@database', $config, $other);
        is("$code$out", '0');
        return $err;
    };
    is($pairs->(), '');
    is_deeply(names($other), {
        'alice@shop' => $expected{alice}, (map { ("$_\@postgres" => $expected{$_}) } keys %expected),
        (map { ("$_\@blog" => $expected{$_}) } 'hashed', 'b\xc3\xb6b', 'secure') },
        'only those that may connect');
    is($pairs->(one => "databases = sh*\n", two => "skip-databases = postgres blog\n"), '');
    is_deeply(names($other), { 'alice@shop' => $expected{alice} });
    # x@y at z, and x at y@z
    sql($one, 'CREATE ROLE "x@y" LOGIN', 'CREATE ROLE x LOGIN', 'CREATE DATABASE "y@z"', 'CREATE DATABASE z');
    like($pairs->(one => "users = x*\n", two => "users = -\n"),
        qr/'x\@y\@z' is more than one pair of user and database on \[\Q$db1\E\]: left out/);
    is(names($other)->{'x@y@z'}, undef);
    is(names($other)->{'x@z'}, "- $db1");
    sql($one, 'DROP DATABASE "y@z"', 'DROP DATABASE z', 'DROP ROLE x', 'DROP ROLE "x@y"');
    two_servers();
};

subtest 'exports no secrets without the right to read them' => sub {
    my $other = "$folder/plain.cdb";
    my %plain = map { my ($to) = $expected{$_} =~ / (\S+)$/; ($_ => "- $to") } keys %expected;
    is((export('--no-secrets', $config, $other))[0], 0);
    is_deeply(names($other), \%plain, '--no-secrets');
    two_servers(one => "secrets = no\n");
    is((export($config, $other))[0], 0);
    is_deeply(names($other), { %expected, alice => $plain{alice} }, 'secrets = no');
    sql($two, 'REVOKE SELECT (oid, rolpassword) ON pg_catalog.pg_authid FROM exporter');
    two_servers();
    my ($code, $out, $err) = export('-v', $config, $other);
    is($code, 0);
    like($err, qr/\[\Q$db2\E\]: no secrets, for the role of this export may not read pg_authid/);
    is_deeply(names($other), { %plain, alice => $expected{alice} });
    two_servers(two => "secrets = yes\n");
    failure('secrets = yes', qr/\[\Q$db2\E\]: the role of this export may not read pg_authid/);
    sql($two, 'GRANT SELECT (oid, rolpassword) ON pg_catalog.pg_authid TO exporter');
    quiet_success('secrets = yes, with the right');
    two_servers();
};

subtest 'exports superusers only when told' => sub {
    my $other = "$folder/super.cdb";
    two_servers(one => "superusers = yes\n");
    is((export($config, $other))[0], 0);
    my $names = names($other);
    is($names->{boss}, secret($one, 'boss') . " $db1");
    is($names->{exporter}, undef, 'never its own role');
    two_servers();
};

subtest 'leaves a name where it is when another server makes it, too' => sub {
    sql($two, "CREATE ROLE alice LOGIN PASSWORD 'thief'");
    my ($code, $out, $err) = export($config, $map);
    is($code, 0);
    is($err, "export_pgsql_cdb: user 'alice' is on [$db1] and on [$db2]: stays on [$db1]\n");
    is_deeply(names($map), \%expected);
    failure('--strict', qr/'alice' is on.*\n.*because of --strict/, '--strict');
    my $other = "$folder/other.cdb";
    ($code, $out, $err) = export($config, $other);
    is($code, 0);
    like($err, qr/'alice' is on .*: left out; say whose it is/, 'without a map');
    is(names($other)->{alice}, undef);
    two_servers(two => "skip = alice\n");
    quiet_success('skip');
    two_servers(one => "users = b* odd*\n");
    is((export($config, $other))[0], 0);
    is(names($other)->{alice}, secret($two, 'alice') . " $db2", 'users');
    sql($two, 'DROP ROLE alice');
    two_servers();
};

subtest 'replaces what rum-map set has changed, and says so' => sub {
    my $set = sub { system($rum_map, @_) == 0 or die "rum-map @_: $?" };
    $set->('set', '-q', $map, 'bare', $db2);
    $set->('set', '-q', $map, 'new one', $db1);
    $set->('unset', '-q', $map, 'secure');
    my $lines = join '', map { "export_pgsql_cdb: user $_\n" }
      "'bare' goes to $db1: rum-map set is undone, which sent it to $db2",
      "'new one' leaves the map: rum-map set is undone",
      "'secure' is in the map again: rum-map unset is undone";
    failure('--strict', qr/^\Q$lines\E.*because of --strict/, '--strict');
    my ($code, $out, $err) = export($config, $map);
    is("$code $err", "0 $lines", 'although the roles are the same');
    is_deeply(names($map), \%expected);
    quiet_success('once');
    unlink "$map.log";
};

subtest 'asks by a socket, by a passfile, and the second of two addresses' => sub {
    my $dead = free_port();
    # In such a file, a backslash and a colon are quoted by a backslash.
    (my $in_file = $password) =~ s/([\\:])/\\$1/g;
    write_file("$folder/pass", "*:*:postgres:exporter:$in_file\n");
    my $text = "[$db1]\nconnect = sock:$one->{socket}\n[$db2]\n"
      . "connect = tcp:127.0.0.1:$dead,tcp:localhost:$two->{port}\n";
    write_file($config, "user = exporter\npassfile = $folder/pass\ntimeout = 3\n$text");
    quiet_success('passfile');
    is_deeply(names($map), \%expected);
    write_file($config, "user = exporter\ntimeout = 3\n$text");
    failure('no password', qr/password/);
    {
        local $ENV{PGPASSFILE} = "$folder/pass";
        quiet_success('PGPASSFILE');
        # What else is there for libpq has no effect.
        local @ENV{qw(PGHOSTADDR PGSSLMODE PGDATABASE PGOPTIONS DBI_USER)} = ('192.0.2.1', 'bad', 'none',
            '-c x=y', 'root');
        quiet_success('other variables');
    }
    two_servers();
};

subtest 'asks by TLS' => sub {
    my $secure = "user = secure\n";
    two_servers(two => $secure);
    failure('without it', qr/\[\Q$db2\E\]: /);
    two_servers(two => $secure . "tls = yes\n");
    quiet_success('whoever answers');
    is(names($map)->{secure}, undef, 'the role that asks is not exported');
    two_servers(two => $secure . "tls = verify\nca = $folder/ca.pem\n");
    quiet_success('verified');
    two_servers(two => $secure . "tls = verify\nca = $folder/server.pem\n");
    failure('another authority', qr/\[\Q$db2\E\]: .*certificate/i);
    two_servers(two => $secure . "ca = $folder/ca.pem\nconnect = tcp:localhost:$two->{port}\n");
    failure('another name', qr/\[\Q$db2\E\]: .*certificate/i);
    two_servers();
    quiet_success('and back');
};

subtest 'keeps the old map when a server fails' => sub {
    my $dead = free_port();
    two_servers(two => "connect = tcp:127.0.0.1:$dead\n");
    failure('refused', qr/\[\Q$db2\E\]: tcp:127\.0\.0\.1:$dead: /);
    two_servers(one => "password = wrong\n");
    failure('a wrong password', qr/\[\Q$db1\E\]: .*password authentication failed/);
    unlike((export($config, $map))[2], qr/wrong/, 'shows no password');
    two_servers(one => "connect = tcp:127.0.0.1:$dead\n", two => "password = wrong\n");
    failure('both', qr/\[\Q$db1\E\].*\n.*\[\Q$db2\E\]/);
    two_servers(one => "max-records = 2\n");
    failure('too many', qr/\[\Q$db1\E\]: more than 2 names: raise max-records/);
    two_servers(one => "users = -\n", two => "users = -\n");
    failure('no user at all', qr/no server has a name to export/);
    is((export('--allow-empty', $config, "$folder/empty.cdb"))[0], 0, '--allow-empty');
    is_deeply(names("$folder/empty.cdb"), {});
    two_servers();
    failure('no rum-map', qr/none.*No such file.*\n.*has not made/, '--rum-map', "$folder/none");
    write_file("$folder/not-a-map", "precious\n");
    is((export($config, "$folder/not-a-map"))[0], 1, 'another file');
    is(slurp("$folder/not-a-map"), "precious\n", 'stays');
    quiet_success('and back');
};

# Takes connections and says what it is told, then nothing.
sub start_mute {
    my ($words) = @_;
    my $socket = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 10) or die $@;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        local $SIG{INT} = 'DEFAULT';
        my @kept;
        while (my $client = $socket->accept) {
            syswrite $client, $words if length $words;
            push @kept, $client;
        }
        POSIX::_exit(0);
    }
    $processes{$pid} = 1;
    return $socket->sockport;
}

subtest 'gives up a server that does not answer' => sub {
    # Silence, half a message, a login and then nothing, and one of an odd server, which ends DBD::Pg.
    my $ok = pack('a N N', 'R', 8, 0);
    my $ready = pack('a N a', 'Z', 5, 'I');
    my $parameters = join '', map { pack('a N a*', 'S', 4 + length, $_) } "server_version\0" . "15.1\0",
      "client_encoding\0UTF8\0", "server_encoding\0UTF8\0", "standard_conforming_strings\0on\0";
    for my $words ('', 'R', $ok . $parameters . $ready, $ok . $ready) {
        my $port = start_mute($words);
        two_servers(two => "connect = tcp:127.0.0.1:$port\ntimeout = 1\n");
        my $start = time;
        failure(length($words) . ' bytes', qr/\[\Q$db2\E\]: /);
        cmp_ok(time - $start, '<', 40, 'in time');
    }
    my $db = admin($two);
    $db->begin_work;
    $db->do('LOCK TABLE pg_catalog.pg_authid');
    two_servers(two => "timeout = 1\n");
    failure('a locked table', qr/\[\Q$db2\E\]: /);
    $db->rollback;
    two_servers();
    quiet_success('and back');
};

subtest 'runs alone' => sub {
    open my $lock, '>>', "$map.lock" or die $!;
    flock $lock, LOCK_EX or die $!;
    sql($two, 'CREATE ROLE emil LOGIN');
    my $before = slurp($map);
    quiet_success('another run is at work');
    is(slurp($map), $before, 'and it is left to that');
    utime time - 3600, time - 3600, "$map.lock";
    failure('another run never ends', qr/another run has been at work for 36\d\d s/);
    close $lock;
    quiet_success('it has ended');
    is(names($map)->{emil}, "- $db2");
    sql($two, 'DROP ROLE emil');
};

subtest 'leaves nothing behind when it is stopped' => sub {
    my $port = start_mute('');
    two_servers(two => "connect = tcp:127.0.0.1:$port\ntimeout = 30\n");
    for my $delay (map { $_ * 0.01 } 0 .. 9) {
        my $pid = fork // die "fork: $!";
        if ($pid == 0) {
            open STDERR, '>', "$folder/err";
            exec($^X, $script, '--rum-map', $rum_map, $config, $map) or POSIX::_exit(127);
        }
        my $deadline = time + 20;
        sleep 0.001 while !(grep { !/\.lock$/ } glob "$map.*") && time < $deadline;
        sleep $delay;
        kill TERM => $pid;
        waitpid $pid, 0;
        is($?, 256, "exit code 1 after $delay s");
        is(slurp("$folder/err"), "export_pgsql_cdb: stopped; the old map stays\n");
        is_deeply([grep { !/\.lock$/ } glob "$map.*"], [], 'the temporary file is gone');
    }
    two_servers();
};

subtest 'exports many roles' => sub {
    sql($one, 'DO $$ BEGIN FOR i IN 1 .. 5000 LOOP EXECUTE \'CREATE ROLE many\' || i || \' LOGIN\';'
          . ' END LOOP; END $$');
    quiet_success('5,000');
    is(scalar(keys %{ names($map) }), 5000 + keys %expected);
};

done_testing();
