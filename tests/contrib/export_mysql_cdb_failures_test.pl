#!/usr/bin/perl
# Runs contrib/export_mysql_cdb.pl with servers that fail or lie among others that work: what happens
# to the users of each, what is reported and how often, and who may read the result.
use strict;
use warnings;

use Fcntl qw(:flock);
use File::Basename qw(dirname);
use IO::Socket::IP;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib dirname(__FILE__);
require 'export_support.pl';
our ($script, @drivers, $HASH_A, $HASH_B, $folder, %processes, $config, $map);

my $one = start_server('one');
my $two = start_server('two');
for my $server ($one, $two) {
    sql($server, "CREATE USER exporter\@'127.0.0.1' IDENTIFIED BY 'secret'",
        "GRANT SELECT ON mysql.global_priv TO exporter\@'127.0.0.1'");
}
sql($one, "CREATE USER alice\@'%' IDENTIFIED BY 'password'");
sql($two, map { "CREATE USER $_\@'%' IDENTIFIED BY '123456'" } qw(bob shop_b));

my $db1 = 'tcp:db1.example.net:3306';
my $db2 = 'tcp:db2.example.net:3306';
my $dead = free_port();
my $down = "connect = tcp:127.0.0.1:$dead\n";
my $settings = "user = exporter\npassword = secret\ntimeout = 3\n";

# More lines for each server, and more servers behind them.
sub list {
    my (%more) = @_;
    write_file($config, $settings
          . "[" . ($more{name1} // $db1) . "]\nconnect = tcp:127.0.0.1:$one->{port}\n" . ($more{one} // '')
          . "[" . ($more{name2} // $db2) . "]\nconnect = tcp:127.0.0.1:$two->{port}\n" . ($more{two} // '')
          . ($more{others} // ''));
}

sub run_is {
    my ($name, $expected, $pattern, @options) = @_;
    my ($code, $out, $err) = export(@options, $config, $map);
    is($code, $expected, "$name: exit code");
    ref $pattern ? like($err, $pattern, "$name: says so") : is($err, $pattern, "$name: says so");
}

# Makes the state as old as if the runs had been some time ago.
sub age_state {
    my ($part, $seconds) = @_;
    my $state = JSON::PP->new->decode(slurp("$map.state"));
    $_ -= $seconds for values %{ $state->{$part} };
    write_file("$map.state", JSON::PP->new->encode($state));
}

sub afresh {
    unlink $map, "$map.state";
    list();
    quiet_success('all servers answer');
}

my %all = (alice => "$HASH_A $db1", bob => "$HASH_B $db2", shop_b => "$HASH_B $db2");

subtest 'keeps the users of a server that fails, and exports those of the others' => sub {
    afresh();
    is_deeply(users($map), \%all);
    list(two => $down);
    sql($one, "CREATE USER anna\@'%' IDENTIFIED BY 'password'");
    run_is('the first time', 3, qr/\Aexport_mysql_cdb: \[\Q$db2\E\]: tcp:127\.0\.0\.1:$dead: [^\n]+\n\z/);
    is_deeply(users($map), { %all, anna => "$HASH_A $db1" });
    run_is('the second time', 3, '');
    age_state(told => 86_500);
    run_is('a day later', 3, qr/\[\Q$db2\E\]/);
    run_is('with --verbose', 3, qr/\[\Q$db2\E\]: keeps 2 users of the old map/, '-v');
    run_is('with --dry-run', 3, qr/\[\Q$db2\E\]/, '-n');
    run_is('with --strict', 1, qr/the old map stays/, '--strict');
    run_is('with --keep-failed off', 1, qr/\[\Q$db2\E\].*\n.*the old map stays/, '--keep-failed', 'off');
    list();
    sql($two, "DROP USER bob\@'%'");
    quiet_success('it is back');
    ok(!exists users($map)->{bob}, 'and what it says counts again');
    list(two => $down);
    run_is('it fails again', 3, qr/\[\Q$db2\E\]/);
    list();
    sql($two, "CREATE USER bob\@'%' IDENTIFIED BY '123456'");
    sql($one, "DROP USER anna\@'%'");
    quiet_success('and back');
    is_deeply(users($map), \%all);
};

subtest 'keeps of a failed server only what the list allows it now' => sub {
    afresh();
    list(two => "${down}users = shop_*\n");
    run_is('users', 3, qr/\[\Q$db2\E\]/);
    is_deeply([sort keys %{ users($map) }], ['alice', 'shop_b']);
    afresh();
    list(two => "${down}skip = shop_*\n");
    run_is('skip', 3, qr/\[\Q$db2\E\]/);
    is_deeply([sort keys %{ users($map) }], ['alice', 'bob']);
    run_is('without secrets', 3, '', '--no-secrets');
    is(users($map)->{bob}, " $db2");
};

subtest 'gives no name of a failed server to another server' => sub {
    afresh();
    sql($one, "CREATE USER bob\@'%' IDENTIFIED BY 'password'");
    list(two => $down);
    run_is('in the map', 3, qr/user 'bob' is on \[\Q$db1\E\] and on \[\Q$db2\E\]: stays on \[\Q$db2\E\]/);
    is(users($map)->{bob}, "$HASH_B $db2");
    sql($one, "DROP USER bob\@'%'");
    # A name that both have, so that it is in no map, does not become free when one of them fails.
    afresh();
    sql($_, "CREATE USER twin\@'%' IDENTIFIED BY 'password'") for $one, $two;
    run_is('on both', 0, qr/user 'twin' is on .* left out/);
    list(two => $down);
    run_is('one fails', 3, qr/user 'twin' is on \[\Q$db1\E\]: left out/);
    ok(!exists users($map)->{twin});
    run_is('and a minute later', 3, '');
    ok(!exists users($map)->{twin});
    list();
    sql($two, "DROP USER twin\@'%'");
    quiet_success('one has it no more');
    is(users($map)->{twin}, "$HASH_A $db1");
    sql($one, "DROP USER twin\@'%'");
};

subtest 'keeps the whole old map when a server fails for too long' => sub {
    afresh();
    list(two => $down);
    age_state(servers => 3600 * 25);
    sql($one, "CREATE USER anna\@'%'");
    my $before = slurp($map);
    my $lost = qr/\Q$db2\E has not answered for more than 24h \(--keep-failed\): the old map stays/;
    run_is('after 25 hours', 1, $lost);
    run_is('and again', 1, $lost);
    is(slurp($map), $before);
    is_deeply([glob "$map.??????*"], [], 'no temporary file is left');
    run_is('with more patience', 3, '', '--keep-failed', '2d');
    isnt(slurp($map), $before);
    sql($one, "DROP USER anna\@'%'");
    # Without a state the date of the map counts.
    afresh();
    list(two => $down);
    unlink "$map.state";
    my $old = int(time) - 3600 * 25;
    utime $old, $old, $map;
    run_is('a map of yesterday', 1, $lost);
    for my $state ('', '{', '[]', '{"servers":[1],"told":{"a":"b"},"disputed":7}') {
        utime time, time, $map;
        write_file("$map.state", $state);
        run_is("a young map and the state '$state'", 3, qr/\[\Q$db2\E\]/);
    }
    list(one => $down, two => $down);
    run_is('all servers fail', 1, qr/\[\Q$db1\E\].*\n.*\[\Q$db2\E\].*\n.*the old map stays/);
};

subtest 'waits for no server that is new' => sub {
    afresh();
    list(others => "[tcp:db3.example.net:3306]\n$down");
    run_is('it never answered', 3, qr/\[tcp:db3/);
    is_deeply(users($map), \%all);
    # The same server by a new name, under which it does not answer.
    list(name2 => 'tcp:db4.example.net:3306', two => $down);
    run_is('another name', 3, qr/\[tcp:db4/);
    is_deeply(users($map), \%all, 'its users stay');
    list(name2 => 'tcp:db4.example.net:3306');
    quiet_success('it answers');
    is(users($map)->{bob}, "$HASH_B tcp:db4.example.net:3306");
};

subtest 'reports what has not changed once a day' => sub {
    afresh();
    my $text = "user 'alice' is on [$db1] and on [$db2]: stays on [$db1]";
    sql($two, "CREATE USER alice\@'%'");
    run_is('it is new', 0, "export_mysql_cdb: $text\n");
    run_is('a minute later', 0, '');
    run_is('--verbose', 0, qr/\Q$text/, '-v');
    run_is('--strict', 1, qr/\Q$text\E\n.*--strict/, '--strict');
    age_state(told => 86_300);
    run_is('nearly a day later', 0, '');
    age_state(told => 100);
    run_is('a day later', 0, "export_mysql_cdb: $text\n");
    unlike(slurp("$map.state"), qr/alice/, 'no names are kept');
    is((stat "$map.state")[2] & 07777, 0600, 'its mode');
    sql($two, "DROP USER alice\@'%'");
    quiet_success('it is gone');
    sql($two, "CREATE USER alice\@'%'");
    run_is('and new again', 0, "export_mysql_cdb: $text\n");
    sql($two, "DROP USER alice\@'%'");
};

# Answers with an error, but to nobody before so many have come.
sub start_barrier {
    my ($count) = @_;
    my $socket = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 50) or die $@;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        local $SIG{TERM} = 'DEFAULT';
        my @clients;
        while (my $client = $socket->accept) {
            push @clients, $client;
            next if @clients < $count;
            my $error = "\xff\x10\x04#08004all are here";
            syswrite $_, substr(pack('V', length $error), 0, 3) . "\0$error" for splice @clients;
        }
        POSIX::_exit(0);
    }
    $processes{$pid} = 1;
    return $socket->sockport;
}

subtest 'asks as many servers at the same time as it is told' => sub {
    afresh();
    my $port = start_barrier(16);
    my $sixteen = join '', map { "[tcp:fake$_.example.net:3306]\nconnect = tcp:127.0.0.1:$port\n" } 1 .. 16;
    list(others => $sixteen);
    my ($code, $out, $err) = export($config, $map);
    is($code, 3);
    is(() = $err =~ /all are here/g, 16, 'sixteen by default');
    for my $jobs (2, 3) {
        $port = start_barrier(3);
        write_file($config, "${settings}timeout = 1\n"
              . join '', map { "[tcp:fake$_.example.net:3306]\nconnect = tcp:127.0.0.1:$port\n" } 1 .. 3);
        ($code, $out, $err) = export('--jobs', $jobs, $config, $map);
        is($code, 1);
        my $answered = () = $err =~ /all are here/g;
        $jobs == 3 ? is($answered, 3, '--jobs 3') : cmp_ok($answered, '<', 3, '--jobs 2');
    }
    for my $wrong (0, 201, 'x') {
        is((export('--jobs', $wrong, $config, $map))[0], 2, "--jobs $wrong");
    }
    is((export('--keep-failed', $_, $config, $map))[0], 2, "--keep-failed $_") for '24', 'x', '-1h';
};

subtest 'exports three hundred servers' => sub {
    my @more = map { sprintf 'shop%03d', $_ } 1 .. 300;
    sql($one, map { "CREATE USER ${_}_a\@'%' IDENTIFIED BY 'password'" } @more);
    write_file($config, $settings . "connect = tcp:127.0.0.1:$one->{port}\n"
          . join '', map { "[tcp:$_.example.net:3306]\nusers = ${_}_*\n" } @more);
    unlink $map, "$map.state";
    quiet_success('300 servers', '--jobs', 8);
    my $users = users($map);
    is(keys %$users, 300);
    is($users->{shop123_a}, "$HASH_A tcp:shop123.example.net:3306");
    my $before = slurp($map);
    unlink $map;
    quiet_success('again', '--jobs', 3);
    ok(slurp($map) eq $before, 'the order of the answers does not show in the map');
    sql($one, map { "DROP USER ${_}_a\@'%'" } @more);
};

subtest 'lets a server claim no names by what it says of the export' => sub {
    # The server says who the account of a defaults-file is.
    sql($two, "CREATE USER alice\@'127.0.0.1' IDENTIFIED BY 'secret'",
        "GRANT SELECT ON mysql.global_priv TO alice\@'127.0.0.1'");
    write_file("$folder/own.cnf", "[client]\nuser=alice\npassword=secret\n");
    unlink $map, "$map.state";
    write_file($config, "timeout = 3\n[$db1]\nconnect = tcp:127.0.0.1:$one->{port}\nuser = exporter\n"
          . "password = secret\n[$db2]\nconnect = tcp:127.0.0.1:$two->{port}\n"
          . "defaults-file = $folder/own.cnf\nskip = exporter\n");
    my ($code) = export($config, $map);
    is($code, 0);
    is_deeply(users($map), \%all);
    sql($two, "DROP USER alice\@'127.0.0.1'");
};

# Rows without end, of one column.
sub endless_rows {
    my ($send, $client) = @_;
    $send->("\1");
    $send->("\3def\0\0\0\1a\0\x0c\x3f\0\xff\0\0\0\xfd\0\0\0\0\0");
    $send->("\xfe\0\0\2\0");
    my $row = "\xfc\xff\xff" . 'x' x 65535;
    my $number = 4;
    local $SIG{PIPE} = 'IGNORE';
    while (1) {
        my $packets = join '', map { substr(pack('V', length $row), 0, 3) . chr($number++ & 255) . $row } 1 .. 16;
        for (my $at = 0; $at < length $packets;) {
            my $done = syswrite($client, $packets, length($packets) - $at, $at) // return;
            $at += $done;
        }
    }
}

subtest 'lets a server use up neither memory nor time' => sub {
    my $heard = "$folder/heard";
    for my $driver (@drivers) {
        afresh();
        write_file($heard, '');
        my $port = start_hostile('mysql_native_password', $heard, answer => \&endless_rows);
        list(others => "[tcp:db9.example.net:3306]\nconnect = tcp:127.0.0.1:$port\nmax-accounts = 1\n");
        run_is("$driver", 3, qr/\[tcp:db9\.example\.net:3306\]: .*(?:memory|malloc)/i, '--driver', $driver);
        is_deeply(users($map), \%all);
    }
};

subtest 'asks without TLS if that of the server is broken, unless it is wanted' => sub {
    my $heard = "$folder/heard";
    for my $driver (@drivers) {
        write_file($heard, '');
        my $port = start_hostile('mysql_native_password', $heard, tls => 1);
        my $fake = "[tcp:db9.example.net:3306]\nconnect = tcp:127.0.0.1:$port\n";
        list(others => "${fake}tls = yes\n");
        run_is("$driver, yes", 3, qr/\[tcp:db9/, '--driver', $driver, '-v');
        unlike(slurp($heard), qr/exporter/, 'not even the name');
        list(others => $fake);
        run_is("$driver, auto", 3, qr/\[tcp:db9/, '--driver', $driver, '-v');
        like(slurp($heard), qr/exporter/, 'the second connection has no TLS');
    }
};

# Runs the script as another user.
sub export_as {
    my ($uid, @arguments) = @_;
    my $err = "$folder/err-as";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDERR, '>', $err;
        POSIX::setgid($uid);
        POSIX::setuid($uid);
        exec($^X, "$folder/export.pl", @arguments) or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    return ($? >> 8, slurp($err));
}

subtest 'says whose the lock is' => sub {
    plan skip_all => 'only root can be another user' if $> != 0;
    my $shared = "$folder/shared";
    mkdir $shared;
    chmod 0777, $shared;
    list();
    chmod 0644, $config;
    write_file($config, "user = exporter\n[$db1]\nconnect = tcp:127.0.0.1:$dead\ntimeout = 1\n", 0644);
    export($config, "$shared/users.cdb");
    ok(-e "$shared/users.cdb.lock");
    chmod 0755, $folder;
    # The sources may be root's alone.
    write_file("$folder/export.pl", slurp($script), 0644);
    mkdir "$folder/$_", 0755 for qw(perl perl/Rum);
    my $shared_code = 'perl/Rum/Export.pm';
    write_file("$folder/$shared_code", slurp(dirname($script) . "/$shared_code"), 0644);
    my ($code, $err) = export_as(65534, $config, "$shared/users.cdb");
    is($code, 1);
    is($err, "export_mysql_cdb: $shared/users.cdb.lock belongs to root, who has run this before: run it as"
          . " that user, or remove the file\n");
    list();
};

subtest 'lets the group of the folder or of the old map read a map that root builds' => sub {
    plan skip_all => 'only root gives files away' if $> != 0;
    my $home = "$folder/home";
    mkdir $home;
    chown 0, 65533, $home;
    list();
    my ($code) = export($config, "$home/users.cdb");
    is($code, 0);
    is_deeply([(stat "$home/users.cdb")[4, 5], (stat _)[2] & 07777], [0, 65533, 0640], 'the folder');
    chown 0, 65532, "$home/users.cdb";
    is((export('--no-secrets', $config, "$home/users.cdb"))[0], 0);
    is_deeply([(stat "$home/users.cdb")[4, 5], (stat _)[2] & 07777], [0, 65532, 0640], 'the old map');
    is((stat "$home/users.cdb.state")[5], 0, 'which does not need the state');
};

done_testing();
