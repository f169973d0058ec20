#!/usr/bin/perl
# Runs contrib/export_mysql_cdb.pl against two real MariaDB servers, against tables shaped like those
# of other server versions, and against servers that fail.
use strict;
use warnings;

use Cwd qw(abs_path);
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(sleep time);

use lib dirname(__FILE__);
require 'export_support.pl';
our ($script, $rum_map, @drivers, $HASH_A, $HASH_B, $KEY, $folder, %processes, $has_v6, $config, $map);

# --- What needs no server ---------------------------------------------------------------------------

subtest 'prints its usage when run without arguments' => sub {
    my ($code, $out, $err) = export();
    is($code, 2);
    is($out, '');
    like($err, qr/^Usage:.*export_mysql_cdb\.pl \[OPTIONS\] CONFIG MAP/s);
    ($code, $out, $err) = export('--fast', 'a', 'b');
    is($code, 2, 'an unknown option');
    ($code, $out, $err) = export('--help');
    is($code, 0, '--help');
    like($out, qr/GRANT SELECT ON mysql\.global_priv/, '--help teaches');
    is($err, '');
};

subtest 'refuses a list of servers that is wrong, with its line' => sub {
    my %wrong = (
        "user = a\n" => qr/no server is listed/,
        "user = a\n[tcp:a]\n" => qr/:2: 'tcp:a' is not tcp:HOST:PORT/,
        "user = a\n[tcp:a:0]\n" => qr/:2: /,
        "user = a\n[tcp:a:65536]\n" => qr/:2: /,
        "user = a\n[]\n" => qr/:2: /,
        "user = a\n[tcp:a:1,]\n" => qr/:2: /,
        "user = a\n[tcp:a:1]\n\n[tcp:a:1]\n" => qr/:4: \[tcp:a:1\] is given twice/,
        "user = a\n[tcp:a:1]\nhost = b\n" => qr/:3: there is no 'host'/,
        "user = a\n[tcp:a:1]\nnonsense\n" => qr/:3: this is neither/,
        "user = a\n[tcp:a:1]\ntimeout = 0\n" => qr/timeout is in seconds/,
        "user = a\n[tcp:a:1]\ntls = maybe\n" => qr/tls is auto, no, yes or verify/,
        "user = a\n[tcp:a:1]\ntls = verify\n" => qr/tls = verify needs ca/,
        "user = a\n[tcp:a:1]\nconnect = a:1\n" => qr/connect: 'a:1' is not an address/,
        "user = a\n[tcp:a:1]\ninsecure = maybe\n" => qr/insecure is no or yes/,
        "user = a\n[tcp:a:1]\nmax-accounts = 0\n" => qr/max-accounts is a number/,
        "[tcp:a:1]\n" => qr/neither user nor defaults-file/,
        "defaults-file = $folder/none\n[tcp:a:1]\n" => qr/none: No such file/,
    );
    for my $text (sort keys %wrong) {
        write_file($config, $text);
        my ($code, $out, $err) = export($config, $map);
        is($code, 1, $text);
        like($err, $wrong{$text});
        like($err, qr/^export_mysql_cdb: [^\n]+\n$/, 'one line');
    }
    unlink $config;
    my ($code, $out, $err) = export($config, $map);
    is($code, 1);
    like($err, qr/servers\.conf: No such file/);
    ok(!-e $map, 'no map is made');
};

subtest 'refuses to send a password to a server that proves nothing' => sub {
    my $refused = qr/could be anybody, who would get the password: set tls = verify/;
    my ($here, $ca) = ('connect = tcp:127.0.0.1:1', "tls = verify\nca = $folder/none.pem");
    for my $case (
        ['', 1], ['tls = yes', 1], ['tls = no', 1], ['connect = tcp:192.0.2.1:1', 1],
        ['connect = tcp:127.example.net:1', 1], ['connect = tcp:localhost.example.net:1', 1],
        ['connect = tcp:127.0.0.1:1,tcp:192.0.2.1:1', 1], ['connect = tcp:[::2]:1', 1],
        [$here, 0], ['connect = tcp:localhost:1', 0], ['connect = tcp:[::1]:1', 0],
        ["connect = sock:$folder/none.sock", 0], [$ca, 0], ["ca = $folder/none.pem", 0],
        ['insecure = yes', 0]) {
        my ($text, $is_refused) = @$case;
        write_file($config, "user = a\npassword = b\ntimeout = 1\n[tcp:db.invalid:1]\n$text\n");
        my ($code, $out, $err) = export($config, $map);
        is($code, 1);
        $is_refused ? like($err, $refused, $text) : unlike($err, $refused, $text);
    }
};

subtest 'refuses passwords in a file that everybody can read' => sub {
    my $text = "user = a\npassword = b\ntimeout = 1\n[tcp:127.0.0.1:1]\n";
    for my $mode (0644, 0602, 0604) {
        write_file($config, $text, $mode);
        my ($code, $out, $err) = export($config, $map);
        is($code, 1);
        like($err, qr/holds passwords, and other users of this machine can read or write it: chmod o=/);
    }
    write_file($config, $text, 0640);
    unlike((export($config, $map))[2], qr/holds passwords/, 'a group may read it');
    write_file("$folder/my.cnf", "[client]\nuser=a\n", 0644);
    write_file($config, "defaults-file = $folder/my.cnf\n[tcp:127.0.0.1:1]\n", 0644);
    like((export($config, $map))[2], qr/my\.cnf: holds passwords/, 'a defaults-file, too');
};

subtest 'reads rows of mysql.user of each version' => sub {
    my $read = sub {
        my (%row) = @_;
        my $account = RumExport::account_of_user_row({ user => 'u', host => '%', %row });
        return $account->{usable} ? "usable $account->{secret}" : 'unusable';
    };
    my $row = sub { (plugin => $_[0], authentication_string => $_[1]) };
    my $sha2 = '$A$005$' . "\x01" x 20 . 'x' x 43;
    # MySQL 5.7, 8, 9
    is($read->($row->('mysql_native_password', $HASH_A), account_locked => 'N'), "usable $HASH_A");
    is($read->($row->('mysql_native_password', lc $HASH_A)), "usable $HASH_A", 'in capitals');
    is($read->($row->('mysql_native_password', ''), account_locked => 'N'), 'usable ');
    is($read->($row->('caching_sha2_password', $sha2), account_locked => 'N'), 'usable ');
    is($read->($row->('sha256_password', '$5$' . 'x' x 63), account_locked => 'N'), 'usable ');
    is($read->($row->('authentication_ldap_sasl', 'cn=x'), account_locked => 'N'), 'usable ');
    is($read->($row->('mysql_native_password', $HASH_A), account_locked => 'Y'), 'unusable');
    is($read->($row->('caching_sha2_password', ''), account_locked => 'Y'), 'unusable', 'a role');
    is($read->($row->('auth_socket', ''), account_locked => 'N'), 'unusable');
    is($read->($row->('mysql_no_login', ''), account_locked => 'N'), 'unusable');
    is($read->($row->('mysql_native_password', '*THISISNOTAVALIDPASSWORDTHATCANBEUSEDHERE')),
        'unusable');
    is($read->($row->('mysql_native_password', $HASH_A), user_attributes => undef), "usable $HASH_A");
    is($read->($row->('mysql_native_password', $HASH_A),
            user_attributes => qq({"additional_password": "$HASH_B"})), 'usable ', 'two passwords');
    # MariaDB before 10.4
    is($read->($row->('', ''), password => $HASH_A, is_role => 'N'), "usable $HASH_A");
    is($read->($row->('', ''), password => '', is_role => 'N'), 'usable ');
    is($read->($row->('', ''), password => '', is_role => 'Y'), 'unusable');
    is($read->($row->('mysql_native_password', $HASH_A), password => $HASH_A), "usable $HASH_A");
    is($read->($row->('unix_socket', ''), password => ''), 'unusable');
    is($read->($row->('ed25519', $KEY), password => ''), "usable ed25519:$KEY");
    is($read->($row->('ed25519', 'x' x 42), password => ''), 'usable ', 'no key');
    is($read->($row->('ed25519', 'x' x 42 . '='), password => ''), 'usable ', 'no key');
    my $salted = "P0:2VydMxmP9CUJ5jPz/9MuaLV7:$KEY";
    is($read->($row->('parsec', $salted), password => ''), "usable parsec:$salted");
    is($read->($row->('parsec', $_), password => ''), 'usable ', "no key: $_")
      for '', "x$salted", "${salted}x", "P:$KEY", $KEY;
    is($read->($row->('mysql_old_password', '5d2e19393cc5ef67')), 'usable ');
};

subtest 'reads rows of mysql.global_priv' => sub {
    my $read = sub {
        my $account = RumExport::account_of_global_priv({ user => 'u', host => '%', priv => $_[0] });
        return $account->{usable} ? "usable $account->{secret}" : 'unusable';
    };
    my $native = qq("plugin":"mysql_native_password","authentication_string":"$HASH_A");
    my $broken = '"plugin":"mysql_native_password","authentication_string":"invalid"';
    is($read->("{$native}"), "usable $HASH_A");
    is($read->('{"access":1}'), 'usable ', 'no plugin is a native one without password');
    is($read->("{$native,\"account_locked\":true}"), 'unusable');
    is($read->("{$native,\"account_locked\":false}"), "usable $HASH_A");
    is($read->('{"access":0,"is_role":true}'), 'unusable');
    is($read->("{$broken}"), 'unusable');
    is($read->('{"plugin":"unix_socket"}'), 'unusable');
    is($read->("{$broken,\"auth_or\":[{},{\"plugin\":\"unix_socket\"}]}"), 'unusable');
    is($read->("{$native,\"auth_or\":[{},{\"plugin\":\"unix_socket\"}]}"), "usable $HASH_A");
    is($read->("{$native,\"auth_or\":[{\"plugin\":\"unix_socket\"},{}]}"), "usable $HASH_A");
    is($read->("{$native,\"auth_or\":[{\"plugin\":\"ed25519\",\"authentication_string\":\"x\"},{}]}"),
        'usable ', 'of two ways neither is stored');
    is($read->('{"plugin":"ed25519","authentication_string":"x"}'), 'usable ');
    is($read->(qq({"plugin":"ed25519","authentication_string":"$KEY"})), "usable ed25519:$KEY");
    is($read->($_), 'unusable', "'$_'") for '', '{', '[]', 'null', '{"auth_or":[1]}';
};

# --- Two servers ------------------------------------------------------------------------------------

my $one = start_server('one');
my $two = start_server('two', make_certificates());
for my $server ($one, $two) {
    sql($server,
        "CREATE USER exporter\@'127.0.0.1' IDENTIFIED BY 'export m\xc3\xa9'",
        "GRANT SELECT ON mysql.global_priv TO exporter\@'127.0.0.1'");
}
sql($one,
    "CREATE USER alice\@'%' IDENTIFIED BY 'password'",
    "CREATE USER empty\@'%'",
    "CREATE USER edda\@'%' IDENTIFIED VIA unix_socket OR mysql_native_password USING '$HASH_B'",
    "CREATE USER hosts\@'10.%' IDENTIFIED BY 'password'",
    "CREATE USER hosts\@'192.0.2.%' IDENTIFIED BY 'password'",
    "CREATE USER locked\@'%' IDENTIFIED BY 'password' ACCOUNT LOCK",
    "CREATE USER sock\@'%' IDENTIFIED VIA unix_socket",
    "CREATE USER never\@'%' IDENTIFIED VIA mysql_native_password USING 'invalid'",
    "CREATE USER here\@localhost IDENTIFIED BY 'password'",
    "CREATE USER there\@localhost IDENTIFIED BY 'password'",
    "CREATE USER there\@'192.0.2.%' IDENTIFIED BY '123456'",
    "CREATE USER 'with blank'\@'%' IDENTIFIED BY 'password'",
    "CREATE USER 'gr\xc3\xbc\xc3\x9f'\@'%' IDENTIFIED BY 'password'",
    "CREATE USER ''\@'192.0.2.1'",
    "CREATE ROLE chef");
sql($two, "CREATE USER bob\@'%' IDENTIFIED BY '123456'",
    "CREATE USER here\@'%' IDENTIFIED BY '123456'");

my $settings = "user = exporter\npassword = export m\xc3\xa9\ntimeout = 3\n";
sub two_servers {
    my (%more) = @_;
    write_file($config, $settings
          . "[tcp:db1.example.net:3306]\nconnect = tcp:127.0.0.1:$one->{port}\n" . ($more{one} // '')
          . "[tcp:db2.example.net:3306]\nconnect = tcp:127.0.0.1:$two->{port}\n" . ($more{two} // ''));
}
my $db1 = 'tcp:db1.example.net:3306';
my $db2 = 'tcp:db2.example.net:3306';
my %expected = (
    alice => "$HASH_A $db1", empty => " $db1", edda => "$HASH_B $db1", hosts => "$HASH_A $db1",
    there => "$HASH_B $db1", 'with blank' => "$HASH_A $db1", "gr\xc3\xbc\xc3\x9f" => "$HASH_A $db1",
    bob => "$HASH_B $db2", here => "$HASH_B $db2");

for my $driver (@drivers) {
    subtest "exports the users of two servers by DBD::$driver" => sub {
        unlink $map;
        two_servers();
        quiet_success('the first run', '--driver', $driver);
        is_deeply(users($map), \%expected);
        is((stat $map)[2] & 07777, 0640, 'mode');
        my $check = qx('$rum_map' check '$map' 2>&1);
        is($?, 0, "rum-map accepts the map: $check");
    };
}

subtest 'tells with --verbose what each server has' => sub {
    unlink $map;
    my ($code, $out, $err) = export('-v', $config, $map);
    is($code, 0);
    like($err, qr/^\[\Q$db1\E\]: \d+ accounts, 7 users\n\[\Q$db2\E\]: \d+ accounts, 2 users\n\Q$map\E: 9 users\n$/);
    ($code, $out, $err) = export('-v', $config, $map);
    like($err, qr/: 9 users, nothing has changed\n$/);
};

subtest 'dates a map that stays the same anew, and replaces one that does not' => sub {
    my @before = stat $map;
    sleep 0.05;
    quiet_success('the same');
    is_deeply([(stat $map)[1, 9, 10]], [@before[1, 9, 10]], 'inode and times');
    my $old = int(time) - 3700;
    utime $old, $old, $map;
    export('--dry-run', $config, $map);
    is((stat $map)[9], $old, '--dry-run does not date it anew');
    quiet_success('the same after an hour');
    is((stat $map)[1], $before[1], 'the same file');
    cmp_ok((stat $map)[9], '>', $old + 3600, 'with a new date');
    chmod 0600, $map;
    sql($two, "CREATE USER carol\@'%' IDENTIFIED BY 'password'");
    my ($code, $out, $err) = export('--dry-run', $config, $map);
    is($out, "$map: would be replaced by a map of 10 users\n");
    is((stat $map)[1], $before[1], '--dry-run does not replace it');
    quiet_success('another user');
    isnt((stat $map)[1], $before[1], 'a new file');
    is(users($map)->{carol}, "$HASH_A $db2");
    is((stat $map)[2] & 07777, 0600, 'keeps its mode');
    SKIP: {
        skip 'only root gives files away', 1 if $> != 0;
        chown 65534, 65533, $map;
        sql($two, "DROP USER carol\@'%'");
        quiet_success('one user less');
        is_deeply([(stat $map)[4, 5]], [65534, 65533], 'keeps its owner');
    }
    is_deeply(users($map), \%expected) if $> == 0;
};

subtest 'exports where users go without their secrets' => sub {
    quiet_success('--no-secrets', '--no-secrets');
    is(users($map)->{alice}, " $db1");
    quiet_success('again with them');
};

subtest 'replaces the file that a link leads to' => sub {
    my $link = "$folder/link.cdb";
    symlink 'users.cdb', $link or die $!;
    sql($two, "CREATE USER dora\@'%'");
    my ($code) = export($config, $link);
    is($code, 0);
    ok(-l $link, 'the link is one still');
    is(users($map)->{dora}, " $db2");
    sql($two, "DROP USER dora\@'%'");
    quiet_success('and back');
    unlink $link;
};

subtest 'leaves a user that is on two servers where the map has it' => sub {
    sql($two, "CREATE USER alice\@'%' IDENTIFIED BY '123456'");
    my ($code, $out, $err) = export($config, $map);
    is($code, 0);
    is($err, "export_mysql_cdb: user 'alice' is on [$db1] and on [$db2]: stays on [$db1]\n");
    is(users($map)->{alice}, "$HASH_A $db1");
    failure('--strict', qr/the old map stays, because of --strict/, '--strict');
    two_servers(one => "skip = root mysql mysql.* mariadb.sys, ali?e\n");
    quiet_success('skipped on the first');
    is(users($map)->{alice}, "$HASH_B $db2");
    two_servers();
    ($code, $out, $err) = export($config, $map);
    like($err, qr/'alice' is on \[\Q$db1\E\] and on \[\Q$db2\E\]: stays on \[\Q$db2\E\]/);
    is(users($map)->{alice}, "$HASH_B $db2", 'the order of the list does not count');
    # What a map is not, or what it does not have, settles nothing.
    for my $before (undef, '', 'no map' x 1000) {
        unlink $map, "$map.state";    # which would know that it was reported
        write_file($map, $before) if defined $before;
        ($code, $out, $err) = export($config, $map);
        is($code, 0);
        like($err, qr/'alice' is on \[\Q$db1\E\] and on \[\Q$db2\E\]: left out; say whose it is/);
        ok(!exists users($map)->{alice}, 'neither has it');
    }
    two_servers(two => "users = b*, her?\n");
    quiet_success('said by users');
    is(users($map)->{alice}, "$HASH_A $db1");
    is(users($map)->{bob}, "$HASH_B $db2");
    like((export('-v', $config, $map))[2], qr/2 users, \d+ accounts outside of 'users'/);
    sql($two, "DROP USER alice\@'%'");
    two_servers();
    quiet_success('and back');
};

sub rum_map {
    my (@words) = @_;
    system($rum_map, @words) == 0 or die "rum-map @words: $?";
}
# The map with its journal, without secrets.
sub in_use {
    my %in_use = map { /^(\S+) \S+ (.*)/ ? ($1, $2) : () } qx($rum_map dump $map);
    return \%in_use;
}

subtest 'replaces what rum-map set has changed, says so, and loses nothing without a word' => sub {
    my ($code, $out, $err) = export($config, $map);
    rum_map('set', '-q', $map, 'bob', $db1);
    rum_map('set', '-q', $map, 'new one', $db1);
    rum_map('set', '-q', $map, 'hosts', $db1, 'max=5');
    rum_map('set', '-q', $map, 'edda', $db1);    # as it is
    rum_map('unset', '-q', $map, 'alice');
    my $before = in_use();
    my $lines = join '', map { "export_mysql_cdb: user $_\n" }
      "'alice' is in the map again: rum-map unset is undone",
      "'bob' goes to $db2: rum-map set is undone, which sent it to $db1",
      "'hosts' loses its rules: rum-map set is undone",
      "'new one' leaves the map: rum-map set is undone";
    failure('--strict', qr/^\Q$lines\E.*because of --strict/, '--strict');
    failure('without rum-map', qr/has a journal, which only rum-map can read: .*none: No such file/,
        '--rum-map', "$folder/none");
    ($code, $out, $err) = export('--dry-run', $config, $map);
    is("$code $err", "0 $lines", '--dry-run');
    is_deeply(in_use(), $before, 'nothing has changed so far');
    unlink "$map.state";    # which knows that it was reported
    ($code, $out, $err) = export($config, $map);
    is("$code $err", "0 $lines", 'although the accounts are the same');
    is_deeply(users($map), \%expected);
    is(qx($rum_map changes $map), "5\n", 'no change is left');
    is(qx($rum_map check $map 2>&1) =~ /warning: .*journal/, '', 'the journal knows the map');
    quiet_success('once');
    rum_map('set', '-q', $map, 'empty', $db2);
    is(in_use()->{empty}, $db2, 'the next change');
    rum_map('set', '-q', $map, 'empty', $db1);
    quiet_success('as the servers have it');
};

subtest 'knows of the journal where a user that is on two servers belongs' => sub {
    sql($two, "CREATE USER alice\@'%' IDENTIFIED BY '123456'");
    rum_map('set', '-q', $map, 'alice', $db2);
    my ($code, $out, $err) = export($config, $map);
    is($err, "export_mysql_cdb: user 'alice' is on [$db1] and on [$db2]: stays on [$db2]\n");
    is(users($map)->{alice}, "$HASH_B $db2");
    rum_map('set', '-q', $map, 'alice', $db1);
    ($code, $out, $err) = export($config, $map);
    is(users($map)->{alice}, "$HASH_A $db1");
    sql($two, "DROP USER alice\@'%'");
    quiet_success('and back');
};

subtest 'keeps the changes of users whose server fails, and those that are made meanwhile' => sub {
    my $mute = start_mute('');
    rum_map('set', '-q', $map, 'carol', $db2);
    rum_map('unset', '-q', $map, 'here');
    write_file($config, $settings
          . "[$db1]\nconnect = tcp:127.0.0.1:$one->{port}\n[$db2]\nconnect = tcp:127.0.0.1:$mute\n");
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        sleep 1.5;    # the export waits three seconds for the server
        exec($rum_map, 'set', '-q', $map, 'dora', $db1) or POSIX::_exit(127);
    }
    my ($code, $out, $err) = export($config, $map);
    waitpid $pid, 0;
    is($code, 3, $err);
    is_deeply([@{ in_use() }{qw(bob carol dora here)}], [$db2, $db2, $db1, undef]);
    is(users($map)->{carol}, " $db2", 'as part of the new map');
    two_servers();
    ($code, $out, $err) = export($config, $map);
    is_deeply(users($map), \%expected);
    is(in_use()->{dora}, undef, 'it was reported this time');
    like($err, qr/'dora' leaves the map: rum-map set is undone/);
    unlink "$map.log";
};

subtest 'never exports accounts of administrators, or of the export' => sub {
    my @names = ('root', 'mysql', 'mysql.x', 'mariadb.sys', 'debian-sys-maint', 'exporter2');
    sql($two, map { "CREATE OR REPLACE USER '$_'\@'192.0.2.%'" } grep { $_ ne 'mariadb.sys' } @names);
    sql($one, "CREATE USER exporter2\@'127.0.0.1'",
        "GRANT SELECT ON mysql.global_priv TO exporter2\@'127.0.0.1'");
    two_servers(one => "user = exporter2\npassword =\nskip = nobody\n", two => "skip = nobody\n");
    my ($code, $out, $err) = export($config, $map);
    is($code, 0);
    is($err, '');
    my $users = users($map);
    is_deeply([grep { exists $users->{$_} } @names], []);
    sql($two, map { "DROP USER '$_'\@'192.0.2.%'" } grep { $_ ne 'mariadb.sys' } @names);
    sql($one, "DROP USER exporter2\@'127.0.0.1'");
    two_servers();
    # Of a defaults-file the name is known only when the server has been asked.
    write_file("$folder/own.cnf", "[client]\nuser=exporter\npassword=\"export m\xc3\xa9\"\n");
    sql($one, "CREATE USER exporter2\@'%'", "CREATE USER exporter\@'192.0.2.%'");
    write_file($config, "timeout = 3\n[tcp:127.0.0.1:$one->{port}]\nuser = exporter\n"
          . "password = export m\xc3\xa9\n[tcp:127.0.0.1:$two->{port}]\n"
          . "defaults-file = $folder/own.cnf\nskip = here\n");
    ($code, $out, $err) = export($config, "$folder/other.cdb");
    is($code, 0);
    ok(!exists users("$folder/other.cdb")->{exporter});
    ok(exists users("$folder/other.cdb")->{exporter2}, 'which is nothing special any more');
    sql($one, "DROP USER exporter2\@'%'", "DROP USER exporter\@'192.0.2.%'");
    two_servers();
    quiet_success('and back');
};

subtest 'takes no more accounts than it should' => sub {
    two_servers(two => "max-accounts = 2\n");
    failure('three accounts', qr/\[\Q$db2\E\]: more than 2 accounts: raise max-accounts/);
    two_servers();
};

subtest 'follows no link, and as root writes into no folder of others' => sub {
    unlink "$map.lock";
    symlink "$folder/elsewhere", "$map.lock" or die $!;
    failure('a link for a lock', qr/\.lock: Too many levels of symbolic links/);
    ok(!-e "$folder/elsewhere");
    unlink "$map.lock";
    quiet_success('and back');
    plan skip_all => 'only root gives folders away' if $> != 0;
    mkdir "$folder/foreign";
    chown 65534, 65534, "$folder/foreign";
    my ($code, $out, $err) = export($config, "$folder/foreign/users.cdb");
    is($code, 1);
    like($err, qr/foreign belongs to \w+: run this as that user, not as root/);
    is_deeply([glob "$folder/foreign/*"], []);
};

subtest 'tells of a user with different passwords, and exports none' => sub {
    sql($one, "ALTER USER hosts\@'10.%' IDENTIFIED BY '123456'");
    my ($code, $out, $err) = export($config, $map);
    is($code, 0);
    is($err, "export_mysql_cdb: [$db1]: user 'hosts' has different passwords for different hosts"
          . " (10.%, 192.0.2.%): no secret is exported\n");
    is(users($map)->{hosts}, " $db1");
    sql($one, "ALTER USER hosts\@'10.%' IDENTIFIED BY 'password'");
    quiet_success('and back');
};

subtest 'counts warnings after the twentieth, and shows no odd bytes' => sub {
    my @users = map { sprintf "twin%02d\x1b", $_ } 1 .. 25;
    for my $server ($one, $two) { sql($server, map { "CREATE USER '$_'\@'%'" } @users) }
    my ($code, $out, $err) = export($config, $map);
    is($code, 0);
    my @lines = split /\n/, $err;
    is(@lines, 21);
    like($lines[0], qr/user 'twin01\\x1b' is on/);
    is($lines[20], 'export_mysql_cdb: and 5 more');
    for my $server ($one, $two) { sql($server, map { "DROP USER '$_'\@'%'" } @users) }
    quiet_success('and back');
};

subtest 'exports users of this machine if their server is on it' => sub {
    write_file($config, $settings . "[sock:$one->{socket}]\nconnect = tcp:127.0.0.1:$one->{port}\n"
          . "[tcp:127.0.0.1:$two->{port}]\nskip = here\n");
    my $other = "$folder/other.cdb";
    my ($code, $out, $err) = export($config, $other);
    is($code, 0);
    my $users = users($other);
    is($users->{here}, "$HASH_A sock:$one->{socket}");
    is($users->{bob}, "$HASH_B tcp:127.0.0.1:$two->{port}");
    two_servers();
};

subtest 'asks by a socket, by a defaults-file, and the second of two addresses' => sub {
    my $dead = free_port();
    sql($one, "CREATE USER exporter\@localhost IDENTIFIED BY 'export m\xc3\xa9'",
        "GRANT SELECT ON mysql.global_priv TO exporter\@localhost");
    write_file("$folder/my.cnf", "[export]\nuser=exporter\npassword=\"export m\xc3\xa9\"\n");
    for my $driver (@drivers) {
        write_file($config,
            "defaults-file = $folder/my.cnf\ndefaults-group = export\ntimeout = 3\n"
              . "[tcp:db1.example.net:3306]\nconnect = sock:$one->{socket}\n"
              . "[tcp:db2.example.net:3306]\n"
              . "connect = tcp:127.0.0.1:$dead,tcp:localhost:$two->{port}\n");
        quiet_success($driver, '--driver', $driver);
        is_deeply(users($map), \%expected);
    }
    two_servers();
};

subtest 'asks by TLS' => sub {
    sql($two, "ALTER USER exporter\@'127.0.0.1' REQUIRE SSL");
    two_servers(two => "tls = no\n");
    failure('without it', qr/\[\Q$db2\E\]: .*Access denied/);
    for my $driver (@drivers) {
        two_servers();
        quiet_success("$driver, by default, as the server has it", '--driver', $driver);
        two_servers(two => "tls = yes\n");
        quiet_success("$driver, whoever answers", '--driver', $driver);
        next if $driver eq 'mysql';    # Debian's does not verify
        two_servers(two => "tls = verify\nca = $folder/ca.pem\n");
        quiet_success("$driver, verified", '--driver', $driver);
        two_servers(two => "tls = verify\nca = $folder/server.pem\n");
        failure("$driver, another authority", qr/certificate/i, '--driver', $driver);
        two_servers(two => "tls = verify\nca = $folder/ca.pem\nconnect = tcp:localhost:$two->{port}\n");
        quiet_success("$driver, localhost is 127.0.0.1", '--driver', $driver);
    }
    sql($two, "ALTER USER exporter\@'127.0.0.1' REQUIRE NONE");
    two_servers();
};

subtest 'asks by IPv6' => sub {
    plan skip_all => 'there is no ::1' if !$has_v6;
    sql($two, "CREATE USER exporter\@'::1' IDENTIFIED BY 'export m\xc3\xa9'",
        "GRANT SELECT ON mysql.global_priv TO exporter\@'::1'");
    two_servers(two => "connect = tcp:[::1]:$two->{port}\n");
    quiet_success($_, '--driver', $_) for @drivers;
    is_deeply(users($map), \%expected);
    two_servers();
};

subtest 'keeps the old map when a server fails' => sub {
    my $dead = free_port();
    two_servers(two => "connect = tcp:127.0.0.1:$dead\n");
    failure('refused', qr/\[\Q$db2\E\]: tcp:127\.0\.0\.1:$dead: /);
    two_servers(one => "password = wrong\n");
    failure('a wrong password', qr/\[\Q$db1\E\]: .*Access denied/);
    unlike((export($config, $map))[2], qr/wrong/, 'shows no password');
    two_servers(one => "connect = tcp:127.0.0.1:$dead\n", two => "password = wrong\n");
    failure('both', qr/\[\Q$db1\E\].*\n.*\[\Q$db2\E\]/);
    two_servers(one => "connect = sock:$folder/none.sock\n");
    failure('no socket', qr/\[\Q$db1\E\]: sock:/);
    two_servers(one => "tls = yes\n");
    failure('no TLS there', qr/\[\Q$db1\E\]: .*(?:SSL|TLS)/);
    sql($two, "REVOKE SELECT ON mysql.global_priv FROM exporter\@'127.0.0.1'");
    two_servers();
    failure('not allowed to read', qr/\[\Q$db2\E\]: the account of this export may not read/);
    sql($two, "GRANT SELECT ON mysql.global_priv TO exporter\@'127.0.0.1'");
    write_file($config, $settings . "skip = *\n[tcp:127.0.0.1:$one->{port}]\n");
    failure('no user at all', qr/no server has a user to export/);
    my ($code) = export('--allow-empty', $config, "$folder/empty.cdb");
    is($code, 0, '--allow-empty');
    is_deeply(users("$folder/empty.cdb"), {});
    two_servers();
    quiet_success('and back');
};

subtest 'tells a hostile server no password' => sub {
    my $heard = "$folder/heard";
    for my $driver (@drivers) {
        # mysql_native_password proves it; all that the others need is to ask.
        for my $plugin (qw(mysql_native_password mysql_clear_password dialog mysql_old_password)) {
            write_file($heard, '');
            my $port = start_hostile($plugin, $heard);
            two_servers(two => "connect = tcp:127.0.0.1:$port\ntimeout = 3\n");
            failure("$driver, $plugin", qr/\[\Q$db2\E\]: /, '--driver', $driver);
            my $told = slurp($heard);
            like($told, qr/exporter/, 'it was asked');
            unlike($told, qr/export m\xc3\xa9/, 'has not read the password');
            unlike($told, qr/SELECT/, "$plugin is not used") if $plugin ne 'mysql_native_password';
        }
        # One that has no TLS is told neither the proof nor the name.
        my $port = start_hostile('mysql_native_password', $heard);
        write_file($heard, '');
        two_servers(two => "connect = tcp:127.0.0.1:$port\ntls = verify\nca = $folder/ca.pem\n");
        failure("$driver, tls = verify", qr/\[\Q$db2\E\]: .*(?:SSL|TLS)/, '--driver', $driver);
        is(slurp($heard), '', 'it has heard nothing');
    }
    two_servers();
};

subtest 'gives up a server that does not answer' => sub {
    # Silence from the start, and the beginning of a greeting.
    for my $words ('', "\x4a\0\0\0\x0a5.5") {
        my $port = start_mute($words);
        two_servers(two => "connect = tcp:127.0.0.1:$port\ntimeout = 1\n");
        for my $driver (@drivers) {
            my $start = time;
            failure("$driver, " . length($words) . ' bytes', qr/\[\Q$db2\E\]: /, '--driver', $driver);
            cmp_ok(time - $start, '<', 30, 'in time');
        }
    }
    # A server that stops in the middle: it holds the table, so that the answer does not come.
    my $db = admin($two);
    $db->do('LOCK TABLES mysql.global_priv WRITE');
    two_servers(two => "timeout = 1\n");
    my $start = time;
    failure('a locked table', qr/\[\Q$db2\E\]: /);
    cmp_ok(time - $start, '<', 30, 'in time');
    $db->do('UNLOCK TABLES');
    two_servers();
    quiet_success('and back');
};

subtest 'runs alone' => sub {
    open my $lock, '>>', "$map.lock" or die $!;
    flock $lock, LOCK_EX or die $!;
    sql($two, "CREATE USER emil\@'%'");
    my $before = slurp($map);
    quiet_success('another run is at work');
    is(slurp($map), $before, 'and it is left to that');
    utime time - 3600, time - 3600, "$map.lock";
    failure('another run never ends', qr/another run has been at work for 36\d\d s/);
    close $lock;
    quiet_success('it has ended');
    is(users($map)->{emil}, " $db2");
    sql($two, "DROP USER emil\@'%'");
};

subtest 'leaves nothing behind when it is stopped' => sub {
    my $port = start_mute('');
    two_servers(two => "connect = tcp:127.0.0.1:$port\ntimeout = 30\n");
    # At any moment after it has begun: while it loads a driver, and while it waits for the server.
    for my $delay (map { $_ * 0.003 } 0 .. 19) {
        my $pid = fork // die "fork: $!";
        if ($pid == 0) {
            open STDERR, '>', "$folder/err";
            exec($^X, $script, $config, $map) or POSIX::_exit(127);
        }
        my $deadline = time + 20;
        sleep 0.001 while !(my @files = glob "$map.??????") && time < $deadline;
        sleep $delay;
        kill TERM => $pid;
        my $killed = time;
        waitpid $pid, 0;
        is($?, 256, "exit code 1 after $delay s");
        cmp_ok(time - $killed, '<', 15, 'it does not wait for the server');
        is(slurp("$folder/err"), "export_mysql_cdb: stopped; the old map stays\n");
        is_deeply([glob "$map.??????*"], [], 'the temporary file is gone');
        is_deeply([processes_of($config)], [], 'and no process asks on');
    }
    two_servers();
};

# Tables of other versions, with the columns that the export asks for and one that it must not mind.
subtest 'asks tables shaped like those of MySQL 8 and of old MariaDB' => sub {
    my $bytes = 'CHARACTER SET utf8mb3 COLLATE utf8mb3_bin';
    sql($two, 'CREATE DATABASE mysql8', 'CREATE DATABASE mariadb10',
        "CREATE TABLE mysql8.user (Host CHAR(255), User CHAR(32) $bytes, Select_priv ENUM('N','Y'),"
          . ' plugin CHAR(64), authentication_string TEXT,'
          . " account_locked ENUM('N','Y') NOT NULL DEFAULT 'N', User_attributes JSON)",
        "INSERT INTO mysql8.user VALUES ('%', 'zoe', 'N', 'mysql_native_password', '$HASH_A', 'N', NULL),"
          . " ('%', 'yan', 'N', 'caching_sha2_password', '\$A\$005\$xyz', 'N', NULL),"
          . " ('%', 'role', 'N', 'caching_sha2_password', '', 'Y', NULL),"
          . " ('%', 'xia', 'N', 'mysql_native_password', '$HASH_A', 'N', '{\"additional_password\": \"$HASH_B\"}'),"
          . " ('%', 'mysql.sys', 'N', 'caching_sha2_password', '\$A\$005\$xyz', 'N', NULL)",
        "CREATE TABLE mariadb10.user (Host CHAR(60), User CHAR(80) $bytes, Password CHAR(41),"
          . " plugin CHAR(64), authentication_string TEXT, is_role ENUM('N','Y'))",
        "INSERT INTO mariadb10.user VALUES ('%', 'zoe', '$HASH_B', '', '', 'N'),"
          . " ('', 'role', '', '', '', 'Y'), ('%', 'yan', '', 'unix_socket', '', 'N')",
        "GRANT SELECT ON mysql8.user TO exporter\@'127.0.0.1'",
        "GRANT SELECT ON mariadb10.user TO exporter\@'127.0.0.1'");
    for my $driver (@drivers) {
        write_file($config, $settings . "[tcp:127.0.0.1:$two->{port}]\n");
        my $to = "tcp:127.0.0.1:$two->{port}";
        local $RumExport::SCHEMA = 'mysql8';
        is(RumExport::main('--driver', $driver, $config, "$folder/mysql8.cdb"), 0);
        is_deeply(users("$folder/mysql8.cdb"), { zoe => "$HASH_A $to", yan => " $to", xia => " $to" });
        local $RumExport::SCHEMA = 'mariadb10';
        is(RumExport::main('--driver', $driver, $config, "$folder/mariadb10.cdb"), 0);
        is_deeply(users("$folder/mariadb10.cdb"), { zoe => "$HASH_B $to" });
    }
    two_servers();
};

subtest 'lets the users of the map log in where it says' => sub {
    # The map is right if the server agrees: the user exists there, and the hash is the password's.
    my $users = users($map);
    my $db = DBI->connect("DBI:$drivers[0]:host=127.0.0.1;port=$two->{port}", 'bob', '123456',
        { RaiseError => 0, PrintError => 0 });
    ok($db, 'bob is on the second server');
    is((split / /, $users->{bob})[0],
        $db->selectrow_array("SELECT PASSWORD('123456')"), 'by the hash that is stored');
};

subtest 'exports many users in their order' => sub {
    my @rows = map { "('%','many" . sprintf('%05d', $_) . "','{\"plugin\":\"mysql_native_password\","
          . "\"authentication_string\":\"$HASH_A\"}')" } 1 .. 20000;
    my $db = admin($one);
    $db->do('INSERT INTO mysql.global_priv (Host, User, Priv) VALUES ' . join ',', @rows);
    quiet_success('20,000 users');
    is(scalar(keys %{ users($map) }), 20000 + keys %expected);
    $db->do("DELETE FROM mysql.global_priv WHERE User LIKE 'many%'");
    quiet_success('and back');
    is_deeply(users($map), \%expected);
};

done_testing();
