#!/usr/bin/perl
# Builds rum's user map from the accounts on MySQL and MariaDB servers: the destination of each user
# is the server that has the account. A server that fails keeps the users that the old map has there.
# The manual is at the end: export_mysql_cdb.pl --help.
package RumExport;
use strict;
use warnings;

use CDB_File;
use Cwd ();
use DBI;
use Digest::SHA ();
use Fcntl qw(:DEFAULT :mode);
use File::Basename qw(dirname);
use File::Compare ();
use File::Temp ();
use Getopt::Long ();
use IO::Handle;
use JSON::PP ();
use POSIX ();

use lib dirname(Cwd::abs_path(__FILE__)) . '/perl';
use Rum::Export;

our $VERSION = '1.0.0';
our $SCHEMA = 'mysql';    # the tests put tables of other server versions elsewhere

use constant PARTIAL => 3;    # an exit code beside those of Rum::Export
use constant MAX_WARNINGS => 20;
use constant TELL_AFTER => 86_400;    # seconds until what has not changed is reported again
use constant MAX_TOLD => 10_000;      # warnings that are remembered as reported
use constant MAX_JOBS => 200;         # each takes three descriptors

# Bounds of what a server may send.
use constant MAX_PACKET => 1 << 24;      # bytes of a row, or of an error
use constant MAX_SAME_NAME => 10_000;    # accounts that differ only by their host
use constant MAX_NAME => 512;            # bytes of a user name, as for rum
use constant SSL_FAILED => 2026;         # CR_SSL_CONNECTION_ERROR
use constant MAX_ANSWER => 1 << 29;      # bytes of names and secrets
use constant MAX_REPORTS => 1000;        # warnings about one server

# Accounts that every server has for its own use, or for its administrators. They are never exported:
# whoever owns one server of the list must not become the destination of the root of another.
my @SYSTEM = qw(root mysql mysql.* mariadb.sys debian-sys-maint);

my %KEYS = map { $_ => 1 }
  qw(user password connect timeout tls ca insecure defaults-file defaults-group users skip
  max-accounts);

# The plugins by which the password may be proved. Of those that send it as it is, or weakly hashed
# (mysql_clear_password, dialog, mysql_old_password), a hostile server would only have to ask.
my @PLUGINS = qw(mysql_native_password caching_sha2_password sha256_password client_ed25519 parsec);

$Name = 'export_mysql_cdb';
my ($Notes, $Report, $State);
my ($Warnings, $Reported) = (0, 0);    # all, and those that are news

# --- Messages -------------------------------------------------------------------------------------

# A warning that was reported within a day is only counted, as cron runs this every minute. The
# process that asks one server leaves its warnings to the one that asks them all.
sub warn_about {
    my ($text) = @_;
    if ($Report) {
        report('warning', $text) if ++$Warnings <= MAX_REPORTS;
        return;
    }
    ++$Warnings;
    is_news(digest($text)) or return;
    print STDERR "export_mysql_cdb: $text\n" if ++$Reported <= MAX_WARNINGS;
}

# Whether something is to be reported: it is new, or was reported a day ago, or all is wanted.
sub is_news {
    my ($key) = @_;
    my $before = $State->{told}{$key};
    my $is_old = defined $before && $before <= time && time - $before < TELL_AFTER;
    $State->{still}{$key} = $is_old ? $before : time if keys %{ $State->{still} } < MAX_TOLD;
    return !$is_old || grep { $OPTIONS{$_} } qw(verbose strict dry-run);
}

# --- The list of servers --------------------------------------------------------------------------

# `at`: the beginning of an error's text.
sub check_server {
    my ($at, $server) = @_;
    $server->{connect} //= $server->{destination};
    is_address($_) or die "$at connect: '$_' is not an address\n"
      for split /,/, $server->{connect}, -1;
    $server->{timeout} //= 10;
    $server->{timeout} =~ /^[1-9][0-9]{0,3}$/ or die "$at timeout is in seconds, 1 to 9999\n";
    $server->{tls} //= defined $server->{ca} ? 'verify' : 'auto';
    $server->{tls} =~ /^(?:auto|no|yes|verify)$/ or die "$at tls is auto, no, yes or verify\n";
    $server->{tls} ne 'verify' || defined $server->{ca} or die "$at tls = verify needs ca\n";
    $server->{insecure} //= 'no';
    $server->{insecure} =~ /^(?:no|yes)$/ or die "$at insecure is no or yes\n";
    $server->{'max-accounts'} //= 1_000_000;
    $server->{'max-accounts'} =~ /^[1-9][0-9]{0,8}$/
      or die "$at max-accounts is a number, 1 to 999999999\n";
    defined $server->{user} || defined $server->{'defaults-file'}
      or die "$at neither user nor defaults-file is given\n";
    if (defined(my $file = $server->{'defaults-file'})) {
        open my $in, '<', $file or die "$file: $!\n";
        refuse_open_secrets($file, $in, S_IROTH | S_IWOTH, 'o=');
        $server->{'defaults-file'} = Cwd::abs_path($file);
    }
    refuse_strangers($at, $server);
}

# --- Accounts: each becomes a hash {user, host, secret, usable} -----------------------------------

# The secret is the hash of mysql_native_password, or the public key of ed25519 or parsec. Any other
# plugin has none: its users are relayed.
sub secret_of {
    my ($plugin, $string) = @_;
    return $string =~ m{^[A-Za-z0-9+/]{43}$} ? "ed25519:$string" : '' if $plugin eq 'ed25519';
    return $string =~ m{^P[0-9]:[A-Za-z0-9+/]{24}:[A-Za-z0-9+/]{43}$} ? "parsec:$string" : ''
      if $plugin eq 'parsec';
    return native_secret($plugin, $string);
}

sub native_secret {
    my ($plugin, $string) = @_;
    return '' if $plugin !~ /^(?:mysql_native_password)?$/;
    return $string =~ /^\*[0-9A-Fa-f]{40}$/ ? uc $string : '';
}

# Whether somebody may log in by this plugin from elsewhere. A native hash that is none ("invalid",
# "*THISISNOTAVALIDPASSWORD...") is there so that nobody can.
sub is_remote_login {
    my ($plugin, $string) = @_;
    return 0 if $plugin =~ /^(?:unix_socket|auth_socket|mysql_no_login|named_pipe)$/;
    return $string eq '' || native_secret($plugin, $string) ne ''
      if $plugin =~ /^(?:mysql_native_password)?$/;
    return 1;
}

# A row of mysql.user: MySQL, and MariaDB before 10.4.
sub account_of_user_row {
    my ($row) = @_;
    my $plugin = $row->{plugin} // '';
    # MariaDB before 10.4, and MySQL before 5.7, have native hashes in a column of their own.
    my $string = $row->{authentication_string} // '';
    $string = $row->{password} if $string eq '' && defined $row->{password};
    my $usable = is_remote_login($plugin, $string);
    $usable = 0 if ($row->{account_locked} // 'N') eq 'Y';    # the roles of MySQL 8, too
    $usable = 0 if ($row->{is_role} // 'N') eq 'Y';
    my $secret = secret_of($plugin, $string);
    # With a second password that is still good, the first alone would turn its users away.
    $secret = '' if ($row->{user_attributes} // '') =~ /"additional_password"/;
    return { user => $row->{user}, host => $row->{host}, secret => $secret, usable => $usable };
}

# A row of mysql.global_priv: MariaDB 10.4 and later. Of several plugins any one will do to log in:
# in "auth_or", where an empty element stands for the one outside.
sub account_of_global_priv {
    my ($row) = @_;
    my $account = { user => $row->{user}, host => $row->{host}, secret => '', usable => 0 };
    my $priv = eval { JSON::PP->new->utf8->decode($row->{priv}) };
    return $account if ref $priv ne 'HASH' || $priv->{is_role} || $priv->{account_locked};
    my @ways = grep { ref eq 'HASH' } ref $priv->{auth_or} eq 'ARRAY' ? @{ $priv->{auth_or} } : {};
    @ways = map { exists $_->{plugin} ? $_ : $priv } @ways;
    my @open = grep { is_remote_login($_->[0], $_->[1]) }
      map { [$_->{plugin} // '', $_->{authentication_string} // ''] } @ways;
    $account->{usable} = @open > 0;
    $account->{secret} = secret_of(@{ $open[0] }) if @open == 1;
    return $account;
}

# Accounts of this machine only are of use to a rum on this machine only.
sub is_reachable {
    my ($host, $destination) = @_;
    return 1 if $host !~ /^(?:localhost|127\..*|::1)$/i;
    return is_local((split /,/, $destination)[0]);
}

# Accounts of one name and different hosts are one user, for rum looks at the name only.
sub merge_accounts {
    my ($server, @accounts) = @_;
    my @good = grep { $_->{usable} && is_reachable($_->{host}, $server->{destination}) } @accounts;
    return undef if !@good;
    my %secrets = map { $_->{secret} => 1 } @good;
    return $good[0]{secret} if keys %secrets == 1;
    warn_about("[$server->{destination}]: user '" . shown($good[0]{user}) . "' has different"
          . " passwords for different hosts ("
          . join(', ', map { shown($_->{host}) } @good[0 .. ($#good < 9 ? $#good : 9)])
          . '): no secret is exported');
    return '';
}

# --- Asking a server ------------------------------------------------------------------------------

sub driver {
    return $OPTIONS{driver} if $OPTIONS{driver};
    for my $name (qw(MariaDB mysql)) {
        return $OPTIONS{driver} = $name if eval { DBI->install_driver($name) };
    }
    die "neither DBD::MariaDB nor DBD::mysql can be loaded"
      . " (Debian: libdbd-mariadb-perl or libdbd-mysql-perl)\n";
}

# The drivers have timeouts of their own, but not for everything: this ends the process that asks, and
# the other one tells of it.
sub watch_the_clock {
    my ($server, $seconds) = @_;
    sysseek $Notes, 0, 0;
    truncate $Notes, 0;
    syswrite $Notes, "[$server->{destination}]: no answer within $seconds s";
    alarm $seconds;
}

# What the client library has no attribute for, as a file of options; those of the operator's own
# defaults-file come behind it. It is gone when its handle is.
sub library_options {
    my ($server) = @_;
    open my $file, '+>', undef or die "temporary file: $!\n";
    print $file "[client]\nrestricted-auth=", join(',', @PLUGINS), "\nmax-allowed-packet=", MAX_PACKET,
      "\n";
    print $file "!include $server->{'defaults-file'}\n" if defined $server->{'defaults-file'};
    $file->flush or die "temporary file: $!\n";
    return $file;
}

# With tls = auto, a server whose TLS is too old or broken is asked without it: whoever could bring
# that about could also say that the server has no TLS.
sub connect_to {
    my ($server, $address) = @_;
    watch_the_clock($server, $server->{timeout} + 2);
    my $tls = $server->{tls};
    return connect_by($server, $address, $tls) if $tls ne 'auto';
    return connect_by($server, $address, 'no') if $address =~ /^sock:/;
    my $db = eval { connect_by($server, $address, 'auto') };
    return $db if $db;
    die $@ if ($DBI::err // 0) != SSL_FAILED;
    return connect_by($server, $address, 'no');
}

sub connect_by {
    my ($server, $address, $tls) = @_;
    my $driver = driver();
    my $prefix = lc $driver;
    my $dsn = "DBI:$driver:";
    if ($address =~ /^sock:(.*)$/) {
        $dsn .= "${prefix}_socket=$1";
    } else {
        my ($host, $port) = $address =~ /^tcp:(.*):([0-9]+)$/;
        $host = '127.0.0.1' if $host eq 'localhost';    # else the drivers take a unix socket
        $dsn .= "host=$host;port=$port";
    }
    my %attributes = (
        RaiseError => 1, PrintError => 0, AutoCommit => 1,
        "${prefix}_local_infile" => 0,    # else a server could ask for files of this machine
        map { ("${prefix}_${_}_timeout" => $server->{timeout}) } qw(connect read write));
    if ($tls ne 'no') {
        $attributes{"${prefix}_ssl"} = 1;
        $attributes{"${prefix}_ssl_ca_file"} = $server->{ca} if defined $server->{ca} && $tls ne 'auto';
        # The drivers do not enforce encryption without a certificate: then it is looked at below.
        my $how = $tls eq 'verify' ? 'verify_server_cert' : 'optional';
        $attributes{"${prefix}_ssl_$how"} = 1;
    }
    my $options = library_options($server);
    $attributes{"${prefix}_read_default_file"} = '/proc/self/fd/' . fileno $options;
    $attributes{"${prefix}_read_default_group"} = $server->{'defaults-group'} // 'client';
    # The file is bytes. DBD::MariaDB takes characters.
    my @login = @$server{qw(user password)};
    if ($driver eq 'MariaDB') { defined && utf8::decode($_) for @login }
    my $db = DBI->connect($dsn, @login, \%attributes);
    if ($tls =~ /^(?:yes|verify)$/) {
        my (undef, $cipher) = $db->selectrow_array("SHOW STATUS LIKE 'Ssl_cipher'");
        $cipher or die "the connection is not encrypted: the server has no TLS\n";
    }
    return $db;
}

# The names of a table's columns, in lower case; none if it is not there or not for us.
sub columns_of {
    my ($db, $table) = @_;
    my $names = $db->selectcol_arrayref('SELECT CAST(LOWER(column_name) AS CHAR)'
          . ' FROM information_schema.columns WHERE table_schema = ? AND table_name = ?',
        undef, $SCHEMA, $table);
    return map { $_ // '' => 1 } @$names;
}

# The statement for this server, and what makes an account of a row. All is asked for as bytes, and
# in the order of names.
sub query_for {
    my ($db) = @_;
    my %global = columns_of($db, 'global_priv');
    if ($global{priv}) {
        return (select_bytes('global_priv', qw(user host priv)), \&account_of_global_priv);
    }
    my %columns = columns_of($db, 'user');
    $columns{$_} or die "the account of this export may not read $SCHEMA.user, column $_:"
      . " see --help for the GRANT it needs\n" for qw(user host);
    $columns{authentication_string} || $columns{password}
      or die "the account of this export may not read $SCHEMA.user, column authentication_string\n";
    my @wanted = grep { $columns{$_} } qw(user host plugin authentication_string password
      account_locked is_role user_attributes);
    return (select_bytes('user', @wanted), \&account_of_user_row);
}

sub select_bytes {
    my ($table, @columns) = @_;
    my $list = join ', ', map { "CAST($_ AS BINARY) AS $_" } @columns;
    return "SELECT $list FROM $SCHEMA.$table ORDER BY 1, 2";
}

# The drivers take all that a server sends into memory before any row is looked at (mariadb_use_result
# returns no rows with DBD::MariaDB 1.22): only the kernel can stop a server that does not end.
sub limit_memory {
    my ($server) = @_;
    my $bytes = (1 << 30) + 1024 * $server->{'max-accounts'};
    system('prlimit', '--pid', $$, "--as=$bytes") == 0
      or report('verbose', 'memory is not limited, as there is no prlimit (util-linux)');
}

# Reports each user of the server, in the order of their names, and the user's secret, and the
# account that asks.
sub export_server {
    my ($server) = @_;
    limit_memory($server);
    my $db = connect_to_first($server, \&connect_to);
    # The driver's timeout is for each read: a long answer may take longer.
    watch_the_clock($server, $server->{timeout} * 20);
    report('exporter', unpack 'H*', own_name($server, $db));
    my ($statement, $account_of) = query_for($db);
    my ($skip, $wanted) = patterns_of($server);
    my $rows = $db->prepare($statement);
    $rows->execute;
    my (@group, $count, $users, $others) = ();
    my $end_of_group = sub {
        return if !@group;
        my $secret = merge_accounts($server, @group);
        if (defined $secret) {
            ++$users;
            report('user', unpack('H*', $group[0]{user}), $secret);
        }
        @group = ();
    };
    while (my $row = $rows->fetchrow_hashref('NAME_lc')) {
        die "more than $server->{'max-accounts'} accounts: raise max-accounts if that is right\n"
          if ++$count > $server->{'max-accounts'};
        $row->{$_} //= '' for qw(user host);
        next if $row->{user} eq '' || $row->{user} =~ $skip;
        if ($row->{user} !~ $wanted) { ++$others; next }
        if (length $row->{user} > MAX_NAME) {
            warn_about("[$server->{destination}]: a user's name has more than "
                  . MAX_NAME . ' bytes: left out');
            next;
        }
        my $account = $account_of->($row);
        $end_of_group->() if @group && $group[0]{user} ne $account->{user};
        push @group, $account;
        die 'more than ' . MAX_SAME_NAME . " accounts of one name\n" if @group > MAX_SAME_NAME;
    }
    die $rows->errstr . "\n" if $rows->err;
    die "shows no accounts, not even that of this export\n" if !$count;
    $end_of_group->();
    $db->disconnect;
    report('verbose', "$count accounts, " . ($users // 0) . ' users'
          . ($others ? ", $others accounts outside of 'users'" : ''));
}

# What matches the users of the server that are left out, and those that it may have.
sub patterns_of {
    my ($server) = @_;
    return (pattern_of(@SYSTEM, words($server->{skip})), pattern_of(words($server->{users} // '*')));
}

# The account of the export itself, without its host.
sub own_name {
    my ($server, $db) = @_;
    return $server->{user} if defined $server->{user};
    my ($account) = $db->selectrow_array('SELECT CAST(CURRENT_USER() AS BINARY)');
    return ($account // '') =~ s/\@[^\@]*\z//r;
}

# --- Asking all servers ---------------------------------------------------------------------------

# One line for the process that asks them all: a word, and what belongs to it.
sub report {
    my ($word, @values) = @_;
    print $Report "$word @values\n" or die "temporary file: $!\n";
    die "the names and secrets are more than @{[MAX_ANSWER >> 20]} MiB\n"
      if $word eq 'user' && tell $Report > MAX_ANSWER;
}

# Starts a process that asks the server, and returns it with its handles.
sub start_asking {
    my ($server, $i) = @_;
    my %job = (i => $i);
    open $job{$_}, '+>', undef or die "export_mysql_cdb: temporary file: $!\n" for qw(report note);
    $job{pid} = fork // die "export_mysql_cdb: fork: $!\n";
    return \%job if $job{pid};
    ($Report, $Notes, $Warnings) = (@job{qw(report note)}, 0);
    my $code = eval { export_server($server); 1 } ? DONE : FAILED;
    my $error = $@;
    alarm 0;
    # A driver or a full disk may fail here once more.
    $error =~ s/ at \S+ line \d+\.?$//m;
    eval { report('error', shown($error =~ s/\s+\z//r)) if $code == FAILED; 1 } or $code = FAILED;
    $Report->flush or $code = FAILED;
    POSIX::_exit($code);
}

# Asks the servers, so many at a time. Calls back with each job that has ended, whose `failed` says
# why if it has failed.
sub ask_in_parallel {
    my ($ended, @servers) = @_;
    my ($next, %running) = (0);
    DBI->install_driver(driver());    # once, not by each
    while ($next < @servers || %running) {
        if ($next < @servers && keys %running < $OPTIONS{jobs}) {
            my $job = start_asking($servers[$next], $next);
            ++$next;
            $running{ $job->{pid} } = $job;
            next;
        }
        my $pid = waitpid -1, 0;
        die "export_mysql_cdb: wait: $!\n" if $pid < 0;
        my $job = delete $running{$pid} or next;
        my $status = $?;
        $job->{failed} = 'ended by signal ' . ($status & 127) if $status & 127;
        if (($status & 127) == POSIX::SIGALRM) {
            sysseek $job->{note}, 0, 0;
            sysread $job->{note}, $job->{failed}, 1000;
        }
        $job->{failed} = 'failed' if $status >> 8;    # until its report has told more
        seek $job->{report}, 0, 0 or die "export_mysql_cdb: temporary file: $!\n";
        $ended->($job);
    }
}

# What is known of all servers: `lines`, a file of lines `NAME-IN-HEX SECRET`; for each server its
# part of that, its failure, and what it has to say; for each user the servers that have it; and the
# names of the accounts that ask. A name that only a server tells counts for that server.
sub ask_all {
    my (@servers) = @_;
    my %all = (segments => [], servers_of => {}, said => [], failed => []);
    open $all{lines}, '+>', undef or die "export_mysql_cdb: temporary file: $!\n";
    $all{exporters} = { map { $_->{user} => 1 } grep { defined $_->{user} } @servers };
    ask_in_parallel(sub { take_report(\%all, @_) }, @servers);
    return \%all;
}

sub take_report {
    my ($all, $job) = @_;
    my ($i, $failed) = @$job{qw(i failed)};
    my $begin = tell $all->{lines};
    while (my $line = readline $job->{report}) {
        my ($word, $rest) = $line =~ /^(\w+) (.*)\n/ or next;
        if ($word eq 'user' && !defined $failed) {
            my ($hex, $secret) = split / /, $rest;
            add_user($all, $i, $hex, $secret // '');
        } elsif ($word eq 'exporter') {
            $all->{own}[$i] = pack 'H*', $rest;
        } elsif ($word eq 'error') {
            $failed = $rest;
        } elsif ($word ne 'user') {
            push @{ $all->{said}[$i] }, [$word, $rest];
        }
    }
    $all->{failed}[$i] = $failed;
    $all->{segments}[$i] = [$begin, tell $all->{lines}];
}

sub add_user {
    my ($all, $i, $hex, $secret) = @_;
    my $user = pack 'H*', $hex;
    my $others = $all->{servers_of}{$user};
    return if defined $others && $others =~ /(?:^| )$i(?: |$)/;    # the server does not sort
    $all->{servers_of}{$user} = defined $others ? "$others $i" : $i;
    print { $all->{lines} } "$hex $secret\n" or die "export_mysql_cdb: temporary file: $!\n";
}

# --- Servers that fail ----------------------------------------------------------------------------

# When each server has last answered, and what was reported when: MAP.state. It may be lost.
sub read_state {
    my ($path) = @_;
    my $text = '';
    if (sysopen my $in, $path, O_RDONLY | O_NOFOLLOW) { local $/; $text = <$in> // '' }
    my $state = eval { JSON::PP->new->utf8->decode($text) };
    $State = { map { $_ => {} } qw(servers told still disputed) };
    for my $part (qw(servers told disputed)) {
        my $old = ref $state eq 'HASH' ? $state->{$part} : undef;
        next if ref $old ne 'HASH';
        $State->{$part} = { map { $_ => $old->{$_} }
              grep { defined $old->{$_} && $old->{$_} =~ /^[0-9]{1,12}$/ } keys %$old };
    }
    @$State{qw(disputed_before disputed)} = ($State->{disputed}, {});
}

# `is_done`: the run has come to all users. `is_complete`: and all servers have answered.
sub write_state {
    my ($path, $is_done, $is_complete) = @_;
    return if $OPTIONS{'dry-run'};
    my %new = (servers => $State->{servers}, told => $State->{still}, disputed => $State->{disputed});
    $new{told} = newest({ %{ $State->{told} }, %{ $new{told} } }) if !$is_done;
    $new{disputed} = newest({ %{ $State->{disputed_before} }, %{ $new{disputed} } }) if !$is_complete;
    my $file = File::Temp->new(TEMPLATE => "$path.XXXXXX", UNLINK => 1);
    print $file JSON::PP->new->utf8->canonical->encode(\%new) or die "$path: $!\n";
    close $file or die "$path: $!\n";
    rename $file->filename, $path or die "$path: $!\n";
    $file->unlink_on_destroy(0);
}

sub newest {
    my ($times) = @_;
    my @keys = sort { $times->{$b} <=> $times->{$a} || $a cmp $b } keys %$times;
    return { map { $_ => $times->{$_} } @keys[0 .. (@keys < MAX_TOLD ? $#keys : MAX_TOLD - 1)] };
}

# Sees to it that the users of servers that have failed stay as the old map has them, and returns how
# many servers that are. Dies if it is too long ago that one of them answered, as nobody may mind
# any more, and other servers must not get its users.
sub keep_failed {
    my ($all, $output, @servers) = @_;
    my @failed = grep { defined $all->{failed}[$_] } 0 .. $#servers;
    my $answered = note_answers($all, $output, @servers);
    return 0 if !@failed;
    my @lost = grep { time - $answered->{ $servers[$_]{destination} } >= $OPTIONS{keep} } @failed;
    my $stop = @lost || @failed == @servers;
    for my $i (@failed) {
        my $at = "[$servers[$i]{destination}]";
        my $is_news = is_news("failed $servers[$i]{destination}") || $stop;
        print STDERR 'export_mysql_cdb: ', shown("$at: $all->{failed}[$i]"), "\n" if $is_news;
    }
    if ($stop && $OPTIONS{keep} && @failed < @servers) {
        die "export_mysql_cdb: $servers[$lost[0]]{destination} has not answered for more than"
          . " $OPTIONS{'keep-failed'} (--keep-failed): the old map stays until it answers, or is no"
          . " longer listed\n";
    }
    die "export_mysql_cdb: the old map stays\n" if $stop || $OPTIONS{strict};
    take_old_users($all, $output, \@failed, @servers);
    return scalar @failed;
}

# Returns when each server last answered. One that never did has from its first failure on, and one
# that is not known yet from the date of the map, which had its users.
sub note_answers {
    my ($all, $output, @servers) = @_;
    my $before = $State->{servers};
    my $first = %$before ? time : (stat $output)[9] // time;
    my %now;
    for my $i (0 .. $#servers) {
        my $destination = $servers[$i]{destination};
        my $last = $before->{$destination} // $first;
        $now{$destination} = !defined $all->{failed}[$i] || $last > time ? time : $last;
    }
    return $State->{servers} = \%now;
}

# Takes the users of the failed servers from the old map, within the limits of the list, which may
# have changed. Users of a destination that is not listed stay as well while a server that has no
# users yet fails: it may be the same server by a new name.
sub take_old_users {
    my ($all, $output, $failed, @servers) = @_;
    return if !-s $output;
    my $changed = $Journal{users};
    my %of = map { $servers[$_]{destination} => $_ } 0 .. $#servers;
    my %kept = map { $_ => [] } @$failed;
    my %patterns = map { $_ => [patterns_of($servers[$_])] } @$failed;
    my @unlisted;
    tie my %old, 'CDB_File', $output or die "export_mysql_cdb: $output: $!\n";
    my $take = sub {
        my ($user, $secret, $destination) = @_;
        my $i = $of{$destination};
        if (!defined $i) {
            push @unlisted, [$user, $secret, $destination];
        } elsif ($kept{$i} && $user !~ $patterns{$i}[0] && $user =~ $patterns{$i}[1]) {
            push @{ $kept{$i} }, [$user, $secret];
        }
    };
    while (my ($user, $value) = each %old) {
        next if exists $changed->{$user};
        my ($secret, $destination) = $value =~ /\A([^\0\n]*)\0([^\0]*)/ or next;
        $take->($user, $secret, $destination);
    }
    $take->($_, @{ $changed->{$_} }[0, 1]) for grep { defined $changed->{$_} } sort keys %$changed;
    for my $i (@$failed) {
        my $begin = tell $all->{lines};
        add_user($all, $i, unpack('H*', $_->[0]), $_->[1]) for @{ $kept{$i} };
        $all->{segments}[$i] = [$begin, tell $all->{lines}];
        push @{ $all->{said}[$i] }, [verbose => 'keeps ' . @{ $kept{$i} } . ' users of the old map'];
    }
    $all->{unlisted} = \@unlisted if grep { !@{ $kept{$_} } } @$failed;
}

# --- The map --------------------------------------------------------------------------------------

# Of servers that have the same user, the one where the map in use has sent this user until now: no
# server can take a user away from another by making an account. Returns none if it is none of them.
sub settle {
    my ($user, $old, @claimants) = @_;
    my @names = map { "[$_->{destination}]" } @claimants;
    my $text = "user '" . shown($user) . "' is on " . join(' and on ', @names) . ': ';
    my $before = old_destination($user, $old);
    for my $i (0 .. $#claimants) {
        next if !defined $before || $claimants[$i]{destination} ne $before;
        warn_about($text . "stays on $names[$i]");
        return $claimants[$i];
    }
    $State->{disputed}{ digest($user) } = time if keys %{ $State->{disputed} } < MAX_TOLD;
    warn_about($text . 'left out; say whose it is by users or skip');
    return undef;
}

# Whether the user was on several servers in an earlier run and in no map: as long as servers fail,
# it is not known whether one of them still has it.
sub is_disputed {
    my ($user, $old) = @_;
    my $before = $State->{disputed_before};
    return %$before && $before->{ digest($user) } && !defined old_destination($user, $old);
}

# Where the map in use sends the user; undef: nowhere.
sub old_destination {
    my ($user, $old) = @_;
    my $changed = $Journal{users};
    return defined $changed->{$user} ? $changed->{$user}[1] : undef if exists $changed->{$user};
    my ($destination) = (eval { $old->{$user} } // '') =~ /\A[^\0]*\0([^\0]*)\0/;
    return $destination;
}

sub digest { return Digest::SHA::sha256_hex($_[0]) }

# Returns how many users there are, and how many servers have failed.
sub write_map {
    my ($path, $output, @servers) = @_;
    my $all = ask_all(@servers);
    my $failed = keep_failed($all, $output, @servers);
    my $map = CDB_File->new($path, "$path.part") or die "$path: $!\n";
    my ($users, %old, %settled, %now) = (0);
    tie %old, 'CDB_File', $output if -s $output;
    my $insert = sub {
        my ($user, $secret, $destination) = @_;
        $map->insert($user, ($OPTIONS{'no-secrets'} ? '' : $secret) . "\0$destination\0");
        $now{$user} = $destination if exists $Journal{users}{$user};
        ++$users;
    };
    for my $i (0 .. $#servers) {
        my ($line, $end) = (undef, $all->{segments}[$i][1]);
        repeat_said($servers[$i], @{ $all->{said}[$i] // [] });
        seek $all->{lines}, $all->{segments}[$i][0], 0 or die "export_mysql_cdb: temporary file: $!\n";
        while (tell $all->{lines} < $end && defined($line = readline $all->{lines})) {
            my ($hex, $secret) = $line =~ /^([0-9a-f]+) (.*)\n/
              or die "export_mysql_cdb: temporary file: a line was damaged\n";
            my $user = pack 'H*', $hex;
            next if $all->{exporters}{$user} || $user eq ($all->{own}[$i] // '');
            my @claimants = sort { $a <=> $b } split / /, $all->{servers_of}{$user};
            if (@claimants > 1 || $failed && is_disputed($user, \%old)) {
                $settled{$user} = settle($user, \%old, @servers[@claimants]) if !exists $settled{$user};
                next if !defined $settled{$user} || $settled{$user} != $servers[$i];
            }
            $insert->($user, $secret, $servers[$i]{destination});
        }
    }
    for my $entry (@{ $all->{unlisted} // [] }) {
        $insert->(@$entry) if !exists $all->{servers_of}{ $entry->[0] };
    }
    for my $user (sort keys %{ $Journal{users} }) {
        my $what = undone($user, $now{$user}) // next;
        warn_about("user '" . shown($user) . "' $what");
    }
    die "export_mysql_cdb: no server has a user to export\n" if !$users && !$OPTIONS{'allow-empty'};
    $map->finish or die "export_mysql_cdb: $path: $!\n";
    return ($users, $failed);
}

sub repeat_said {
    my ($server, @said) = @_;
    for my $entry (@said) {
        my ($word, $text) = @$entry;
        $word eq 'warning' ? warn_about($text) : say_verbose("[$server->{destination}]: $text");
    }
}

# Gives the new map what the old one had: mode, owner, group. Without an old one, the group that
# the folder is for may read it, as rum does not run as root.
sub set_mode {
    my ($new, $old) = @_;
    my $mode = 0640;
    my @folder = stat dirname($old);
    chown -1, $folder[5], $new if @folder;    # a group that may not be set stays as it is
    if (my @old = stat $old) {
        $mode = $old[2] & 0777;
        # A group that may not be set must not get what the old one was given.
        $mode &= ~070 if !chown($old[4], $old[5], $new) && !chown(-1, $old[5], $new);
    }
    chmod $mode, $new or die "export_mysql_cdb: $new: $!\n";
}

sub sync_to_disk {
    my ($path) = @_;
    open my $handle, '<', $path or die "export_mysql_cdb: $path: $!\n";
    $handle->sync;    # fails for folders of some file systems, which is no failure of ours
}

sub publish {
    my ($new, $output, $users) = @_;
    my $is_same = -e $output && File::Compare::compare($new, $output) == 0;
    if ($is_same && !$Journal{counts} && keep_young($output)) {
        say_verbose("$output: $users users, nothing has changed");
    } elsif ($OPTIONS{'dry-run'}) {
        print "$output: would be replaced by a map of $users users\n";
    } else {
        set_mode($new, $output);
        sync_to_disk($new);
        replace_map($new, $output);
        sync_to_disk(dirname($output));
        say_verbose("$output: $users users");
    }
}

sub run {
    my ($config, $output) = @_;
    my @servers = read_config($config, \%KEYS, \&check_server);
    if (-l $output) {    # a link stays, what it leads to is replaced
        $output = Cwd::abs_path($output) // die "$output: this link leads nowhere\n";
    }
    die "$output: is not a file\n" if -e $output && !-f _;
    umask 077;    # nobody reads the new map before it has its mode, and nobody else holds the lock
    refuse_foreign_folder(dirname($output));
    lock_output($output) or return DONE;
    return in_a_child(sub {
        read_state("$output.state");
        read_journal($output);
        my $failed = eval { export_all($output, @servers) };
        my $error = $@;
        write_state("$output.state", defined $failed, defined $failed && !$failed);
        die $error if !defined $failed;
        return $failed ? PARTIAL : DONE;
    }, "$output.XXXXXX");
}

# Returns how many servers have failed.
sub export_all {
    my ($output, @servers) = @_;
    my ($users, $failed) = write_map($Temporary, $output, @servers);
    if ($Reported > MAX_WARNINGS) {
        print STDERR 'export_mysql_cdb: and ' . ($Reported - MAX_WARNINGS) . " more\n";
    }
    die "export_mysql_cdb: the old map stays, because of --strict\n" if $Warnings && $OPTIONS{strict};
    publish($Temporary, $output, $users);
    return $failed;
}

# Seconds of a duration such as 24h; undef for what is none.
sub seconds_of {
    my ($text) = @_;
    return 0 if $text =~ /^(?:off|0)$/;
    my ($number, $unit) = $text =~ /^([1-9][0-9]{0,5})([smhd])$/ or return undef;
    return $number * { s => 1, m => 60, h => 3600, d => 86_400 }->{$unit};
}

sub main {
    local @ARGV = @_;
    ($Warnings, $Reported, $Temporary) = (0, 0);
    %OPTIONS = (jobs => 16, 'keep-failed' => '24h', 'rum-map' => 'rum-map');
    my $known = Getopt::Long::GetOptions(\%OPTIONS, qw(verbose|v dry-run|n strict no-secrets
      allow-empty driver=s jobs=i keep-failed=s rum-map=s help|h version));
    if ($OPTIONS{help}) { usage(__FILE__, \*STDOUT, 2); return DONE }
    if ($OPTIONS{version}) { print "export_mysql_cdb $VERSION\n"; return DONE }
    $OPTIONS{keep} = seconds_of($OPTIONS{'keep-failed'});
    if ($known && !defined $OPTIONS{keep}) {
        print STDERR "--keep-failed is a duration such as 24h or 30d, or off\n";
        $known = 0;
    }
    if ($known && ($OPTIONS{jobs} < 1 || $OPTIONS{jobs} > MAX_JOBS)) {
        print STDERR '--jobs is a number from 1 to ' . MAX_JOBS . "\n";
        $known = 0;
    }
    if (!$known || @ARGV != 2) { usage(__FILE__, \*STDERR, 0); return USAGE }
    return eval { run(@ARGV) } // complain($@);
}

exit main(@ARGV) if !caller;
1;

__END__

=head1 NAME

export_mysql_cdb.pl - build rum's user map from the accounts on MySQL and MariaDB servers

=head1 SYNOPSIS

export_mysql_cdb.pl [OPTIONS] CONFIG MAP

  export_mysql_cdb.pl --verbose /etc/rum/servers.conf /etc/rum/users.cdb

--help tells more.

=head1 DESCRIPTION

Reads the accounts from each server in the list CONFIG, and writes MAP, a CDB file for C<rum -M>:
the destination of each user is the server that has the account. Run it from cron every minute:

  * * * * *  rum  export_mysql_cdb.pl /etc/rum/servers.conf /var/lib/rum/users.cdb

It replaces the map in one step. A server that does not answer keeps the users that the old map
has there, for a day (C<--keep-failed>); the exit status is then 3. If nothing has changed, the file stays, but gets a new date
once an hour, so that rum loads it again and the metric of its age is right.

If MAP has a journal, because C<rum-map set> or C<unset> was used, its changes are part of the map in
use: a user on several servers, or on one that fails, stays where they say. The new map replaces
them all, and the export warns of each that this undoes, such as a user who has no account where
the change sends it, or rules. Changes that are made while the export runs stay until the next one.

It prints nothing on success. Warnings, and servers that fail, are printed when they are new, and
then once a day. A run that finds another one in progress exits at once.

It reads C<mysql.user> on MySQL 5.7, 8 and 9 and on MariaDB before 10.4, and C<mysql.global_priv>
on MariaDB from 10.4 on.

=head1 OPTIONS

=over

=item B<-v>, B<--verbose>

Print what each server has, and what happened to the map.

=item B<-n>, B<--dry-run>

Do everything except replacing the map.

=item B<--jobs N>

Ask so many servers at the same time, 1 to 200. Default: 16.

=item B<--keep-failed TIME>

How long the others' users are exported without a server that fails, such as C<12h> or C<30d>. Until
then its users stay as the old map has them, and no other server gets their names. After that the
old map stays as a whole, with exit status 1, until the server answers or is no longer listed.
C<off>: any server that fails keeps the old map. Default: 24h.

=item B<--strict>

Keep the old map, and fail, if a server fails, or on any warning: a user on two servers, or one with
different passwords for different hosts. Without this option, a user on two servers stays on the one that MAP names,
and is left out if MAP names neither; of different passwords none is exported.

=item B<--no-secrets>

Export only destinations, no hashes. rum needs hashes only for clients that do not know plugins,
for C<--mysql-auth rewrite>, and to vouch for its certificate to clients of MariaDB 11.4 and
later.

=item B<--allow-empty>

Write a map even if it has no users.

=item B<--rum-map> I<PROGRAM>

The program C<rum-map>, if it is not in the PATH. It is only needed if MAP has a journal.

=item B<--driver MariaDB|mysql>

Use DBD::MariaDB or DBD::mysql. Default: the first of them that is installed.

=item B<-h>, B<--help>, B<--version>

=back

=head1 CONFIG

Settings before the first server apply to all servers; settings below a server apply to that one.
Lines that begin with # or ; are comments.

  user     = exporter
  password = secret
  tls      = verify
  ca       = /etc/ssl/db-ca.pem

  [tcp:db1.example.net:3306]

  [tcp:db2.example.net:3306,tcp:db2-standby.example.net:3306]
  password = "another secret"
  users    = shop_* blog_*
  timeout  = 30

  [tcp:db3.example.net:3306]
  connect  = sock:/run/mysqld/mysqld.sock

The name of a server is the destination of its users: C<tcp:HOST:PORT>, C<tcp:[IPV6]:PORT>,
C<sock:PATH>, or a comma-separated list of them, which rum and this program try in order.

Run chmod 0640 on a file with passwords: the program refuses one that everybody can read.

=over

=item B<user>, B<password>

The account of the export. It is not exported itself.

=item B<defaults-file>, B<defaults-group>

Read user, password and other settings of libmysqlclient and libmariadb from a file such as
~/.my.cnf. The default group is C<client>. C<tls> decides whether the connection is safe, not what
this file says about TLS.

=item B<connect>

Where to connect, if not to the destination.

=item B<timeout>

The time limit for connecting, and for each answer, in seconds. Default: 10.

=item B<tls>, B<ca>

C<auto>: with TLS if the server has it, else without. C<no>: without TLS. C<yes>: encrypted, but the server need not prove its identity; an attacker who
changes traffic can remove TLS: the export then fails, but has already sent the proof of the
password. C<verify>: the certificate must be valid for the host's name, by an authority in the
file C<ca>. Default: verify with C<ca>, else auto. Debian's DBD::mysql does not support verify,
DBD::MariaDB does.

=item B<insecure>

C<yes>: accept a server on another machine that does not prove its identity. Whoever can answer in
its place, or is on the path, then gets the password, and decides which users there are. C<no>,
the default: an address that is neither a unix socket nor of this machine (127.*, ::1, localhost)
needs C<tls = verify>.

=item B<users>

The users that this server may have, separated by commas or blanks, with * and ?. Others are not
exported from it. Default: all. See WHO OWNS A NAME.

=item B<skip>

Users not to export, written in the same way. The export never includes C<root>, C<mysql>,
C<mysql.*>, C<mariadb.sys>, C<debian-sys-maint>, and the accounts of the export on all servers.

=item B<max-accounts>

The export fails if the server has more accounts than this. Default: 1000000.

=back

The account needs this, on MySQL:

  CREATE USER exporter@'192.0.2.%' IDENTIFIED BY '...';
  GRANT SELECT ON mysql.user TO exporter@'192.0.2.%';

and on MariaDB 10.4 and later:

  GRANT SELECT ON mysql.global_priv TO exporter@'192.0.2.%';

=head1 WHO OWNS A NAME

Whoever can create accounts on a server can give them any name, and rum sends the logins of that
name to the server in the map. So a name that several servers have stays where the current MAP
sends it, also while that server fails. If that is none of them, the export leaves the name out, and
the warning names the servers.

This does not protect a name before any server has it, or while its own server lacks it (a dropped
or locked account): another server can take it then. If servers belong to different people, assign
names to each server by C<users>. Also give the export an account with a different password on
each server: a server can use the proof of the password at another server, or ask for the password
itself, which C<caching_sha2_password> allows.

=head1 WHAT IS EXPORTED

The export includes all users except those who cannot log in through a proxy:

=over

=item *

roles, locked accounts, and accounts without a name;

=item *

accounts that only know the operating system's user (unix_socket, auth_socket), or have a hash
that no password matches;

=item *

accounts for localhost only, unless the destination is on this machine.

=back

The secret of a user is the hash of mysql_native_password, or C<ed25519:> or C<parsec:> and the
public key of that plugin. The secret is empty for users of other plugins, of several plugins, or
with a second password that is still valid: rum relays their login to the server. Names are
exported as the server stores them, in UTF-8.

=head1 EXIT STATUS

0: the map is new, or nothing has changed, or another run is in progress. 1: all servers or the
system failed, or one server for longer than --keep-failed, or --strict found a warning; the old map
stays. 2: the command line is wrong. 3: as 0, but servers failed, and their users are those of the
old map.

=head1 FILES

MAP.lock detects other runs, and stays. MAP.state has the time at which each server has last
answered, and what was printed when, without names of users; without it the date of MAP counts. Run
the program as the owner of the folder of MAP, and always as the same user: root does not write into
another user's folder. A new map has the owner, group and mode of the old one; without an old one,
it belongs to the group of the folder, which may read it.

=head1 SEE ALSO

rum(8), rum-map(1): C<rum-map check> checks a map, C<rum-map dump> shows it.

=cut
