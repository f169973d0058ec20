# What the tests of contrib/export_mysql_cdb.pl share: MariaDB servers, fakes of them, and runs of the
# script.
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

our $script = abs_path(dirname(__FILE__) . '/../../contrib/export_mysql_cdb.pl');
our $rum_map = abs_path($ENV{RUM_MAP} // 'rum-map');
$ENV{PATH} .= ':/usr/sbin:/sbin';

for my $program (qw(mariadbd mariadb-install-db)) {
    next if grep { -x "$_/$program" } split /:/, $ENV{PATH};
    print "SKIP: there is no $program (Debian: mariadb-server-core)\n";
    exit 77;
}
our @drivers = grep { eval "require DBD::$_" } qw(MariaDB mysql);
if (!@drivers || !eval { require DBI } || !eval { require CDB_File }) {
    print "SKIP: Perl lacks DBI, CDB_File or DBD::MariaDB (Debian: libdbi-perl libcdb-file-perl"
      . " libdbd-mariadb-perl)\n";
    exit 77;
}
require $script;

our $HASH_A = '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19';    # of 'password'
our $HASH_B = '*6BB4837EB74329105EE4568DDA7DC67ED2CA2AD9';    # of '123456'
our $KEY = 'ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY';           # of 'secret', by ed25519

# --- Servers --------------------------------------------------------------------------------------

our $folder = tempdir('rum-export-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $folder;
# A server that starts removes temporary tables of others from a folder that it shares with them.
mkdir "$folder/tmp";
$ENV{TMPDIR} = "$folder/tmp";
our %processes;
my $main = $$;
END {
    my $code = $?;
    if (defined $main && $$ == $main) {
        kill TERM => keys %processes;
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

our $has_v6 = defined IO::Socket::IP->new(LocalHost => '::1', Listen => 1);

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
    return ("--ssl-cert=$server.pem", "--ssl-key=$server.key");
}

sub start_server {
    my ($name, @options) = @_;
    my $data = "$folder/$name";
    my $user = getpwuid $>;
    my @install = ('mariadb-install-db', '--no-defaults', "--datadir=$data", "--user=$user",
        '--auth-root-authentication-method=normal', '--skip-test-db');
    my $log = qx(@install 2>&1);
    die "mariadb-install-db: $log" if $?;
    my %server = (data => $data, socket => "$data/s.sock", user => $user, options => \@options);
    run_server(\%server);
    return \%server;
}

# Tries several ports: another program may take one first.
sub run_server {
    my ($server) = @_;
    for (1 .. 5) {
        my $port = free_port();
        my $pid = fork // die "fork: $!";
        if ($pid == 0) {
            open STDOUT, '>>', "$server->{data}.log";
            open STDERR, '>&', \*STDOUT;
            exec('mariadbd', '--no-defaults', "--datadir=$server->{data}",
              "--socket=$server->{socket}", "--port=$port", @{ $server->{options} },
              '--bind-address=127.0.0.1' . ($has_v6 ? ',::1' : ''),
              '--skip-networking=0', "--user=$server->{user}", '--innodb-buffer-pool-size=8M',
              '--innodb-log-file-size=4M', '--performance-schema=0', '--skip-log-bin',
              "--pid-file=$server->{data}/pid", "--tmpdir=$folder/tmp")
              or POSIX::_exit(127);
        }
        $processes{$pid} = 1;
        my $deadline = time + 60;
        while (time < $deadline && waitpid($pid, POSIX::WNOHANG()) == 0) {
            if (my $db = eval { admin($server) }) {
                @$server{qw(pid port)} = ($pid, $port);
                return;
            }
            sleep 0.1;
        }
        delete $processes{$pid};
    }
    die "mariadbd does not start: " . qx(tail -n 30 $server->{data}.log);
}

sub stop_server {
    my ($server) = @_;
    kill TERM => $server->{pid};
    waitpid $server->{pid}, 0;
    delete $processes{ $server->{pid} };
}

sub admin {
    my ($server) = @_;
    my $driver = $drivers[0];
    return DBI->connect("DBI:$driver:" . lc($driver) . "_socket=$server->{socket}", 'root', '',
        { RaiseError => 1, PrintError => 0 });
}

sub sql {
    my ($server, @statements) = @_;
    my $db = admin($server);
    $db->do('SET NAMES utf8mb4');
    # DBD::MariaDB takes characters, DBD::mysql bytes.
    if ($drivers[0] eq 'MariaDB') { utf8::decode($_) for @statements }
    $db->do($_) for @statements;
    $db->disconnect;
}

# --- Runs -----------------------------------------------------------------------------------------

our ($config, $map) = ("$folder/servers.conf", "$folder/users.cdb");

sub write_file {
    my ($path, $text, $mode) = @_;
    open my $out, '>', $path or die "$path: $!";
    print $out $text;
    close $out;
    chmod $mode // 0600, $path;
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

sub slurp {
    my ($path) = @_;
    open my $in, '<:raw', $path or return undef;
    local $/;
    return scalar(<$in>) // '';
}

# The processes whose command line has the text, once those that were just killed are gone.
sub processes_of {
    my ($text) = @_;
    my @found;
    for (1 .. 100) {
        @found = grep { index(slurp("/proc/$_/cmdline") // '', $text) >= 0 }
          map { m{(\d+)$} ? $1 : () } glob '/proc/[0-9]*';
        last if !@found;
        sleep 0.05;
    }
    return @found;
}

# The map as {user => "secret destination"}.
sub users {
    my ($path) = @_;
    tie my %cdb, 'CDB_File', $path or die "$path: $!";
    my %users;
    while (my ($user, $value) = each %cdb) {
        my ($secret, $destination, $rest) = $value =~ /^([^\0]*)\0([^\0]*)\0(.*)$/s;
        $users{$user} = "$secret $destination";
        $users{$user} .= " and a tail" if $rest ne '';
    }
    return \%users;
}

sub quiet_success {
    my ($name, @options) = @_;
    my ($code, $out, $err) = export(@options, $config, $map);
    is($code, 0, "$name: exit code");
    is($out . $err, '', "$name: says nothing");
}

# A failure of one server, if that is to fail the run: it says what it should, and neither the map nor
# anything else in its folder changes.
sub failure {
    my ($name, $expected, @options) = @_;
    my $before = slurp($map);
    my ($code, $out, $err) = export('--keep-failed', 'off', @options, $config, $map);
    is($code, 1, "$name: exit code");
    like($err, $expected, "$name: says why");
    is($out, '', "$name: prints nothing");
    is(slurp($map), $before, "$name: the old map stays");
    is_deeply([glob "$map.??????*"], [], "$name: no temporary file is left");
}

# --- Fakes -----------------------------------------------------------------------------------------

# Takes connections and says what it is told, then nothing.
sub start_mute {
    my ($words) = @_;
    my $socket = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 10) or die $@;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        local $SIG{TERM} = 'DEFAULT';
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

# A server that asks for the password by the plugin, and takes anything. What it is told is in the
# file. `answer` answers each SELECT; with `tls`, it breaks off TLS.
sub start_hostile {
    my ($plugin, $heard, %more) = @_;
    my $socket = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 10) or die $@;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        local $SIG{TERM} = 'DEFAULT';
        open my $out, '>>', $heard or POSIX::_exit(1);
        $out->autoflush;
        while (my $client = $socket->accept) {
            my $number = 0;
            my $send = sub { syswrite $client, substr(pack('V', length $_[0]), 0, 3) . chr($number++) . $_[0] };
            my $receive = sub {
                my ($packet, $size) = ('', 4);
                while (length $packet < $size) {
                    sysread($client, $packet, $size - length $packet, length $packet) or return undef;
                    $size = 4 + unpack('V', substr($packet, 0, 3) . "\0") if length $packet == 4;
                }
                print $out substr($packet, 4);
                $number = ord(substr $packet, 3, 1) + 1;
                return substr $packet, 4;
            };
            # Plugins, secure connections, protocol 4.1.
            my $flags = 0x0028_8201 | ($more{tls} ? 0x800 : 0);
            $send->("\x0a5.5.5-10.11.0\0" . pack('V', 7) . "abcdefgh\0" . pack('v', $flags & 0xffff)
                  . "\x2d\2\0" . pack('v', $flags >> 16) . "\x15" . "\0" x 10
                  . "ijklmnopqrst\0mysql_native_password\0");
            $receive->() or next;
            $send->("\xfe$plugin\0" . 'a' x 20 . "\0");
            $receive->() or next;
            $send->("\0\0\0\2\0\0\0");
            while (my $query = $receive->()) {
                next if $more{answer} && $query =~ /SELECT/ && $more{answer}->($send, $client);
                $send->("\0\0\0\2\0\0\0");
            }
        }
        POSIX::_exit(0);
    }
    $processes{$pid} = 1;
    return $socket->sockport;
}

1;
