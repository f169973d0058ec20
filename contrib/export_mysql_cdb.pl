#!/usr/bin/perl
# Builds rum's user map from the accounts on MySQL and MariaDB servers: the destination of each user
# is the server that has the account. If any server fails, the old map stays.
# The manual is at the end: export_mysql_cdb.pl --help.
package RumExport;
use strict;
use warnings;

use CDB_File;
use Cwd ();
use DBI;
use Errno qw(EWOULDBLOCK);
use Fcntl qw(:DEFAULT :flock :mode);
use File::Basename qw(dirname);
use File::Compare ();
use File::Temp ();
use Getopt::Long ();
use IO::Handle;
use JSON::PP ();
use POSIX ();

our $VERSION = '1.0.0';
our $SCHEMA = 'mysql';    # the tests put tables of other server versions elsewhere

use constant { DONE => 0, FAILED => 1, USAGE => 2 };
use constant MAX_WARNINGS => 20;
use constant MAX_LOCK_AGE => 600;    # seconds until a run that never ends is worth an error
use constant TOUCH_AFTER => 3600;    # seconds until an unchanged map gets a new date

# Bounds of what a server may send.
use constant MAX_PACKET => 1 << 24;      # bytes of a row, or of an error
use constant MAX_SAME_NAME => 10_000;    # accounts that differ only by their host
use constant MAX_NAME => 512;            # bytes of a user name, as for rum
use constant MAX_SHOWN => 500;           # characters of a message

# Accounts that every server has for its own use, or for its administrators. They are never exported:
# whoever owns one server of the list must not become the destination of the root of another.
my @SYSTEM = qw(root mysql mysql.* mariadb.sys debian-sys-maint);

my %KEYS = map { $_ => 1 }
  qw(user password connect timeout tls ca insecure defaults-file defaults-group users skip
  max-accounts);

# The plugins by which the password may be proved. Of those that send it as it is, or weakly hashed
# (mysql_clear_password, dialog, mysql_old_password), a hostile server would only have to ask.
my @PLUGINS = qw(mysql_native_password caching_sha2_password sha256_password client_ed25519 parsec);

my %OPTIONS;
my ($Temporary, $Lock, $Notes, $Warnings);

# --- Messages -------------------------------------------------------------------------------------

sub say_verbose { print STDERR "@_\n" if $OPTIONS{verbose} }

# Names come from the servers: nothing in them may move a terminal.
sub shown {
    my ($text) = @_;
    $text =~ s/([^\x20-\x7e])/sprintf '\\x%02x', ord $1/ge;
    $text = substr($text, 0, MAX_SHOWN) . '...' if length $text > MAX_SHOWN;
    return $text;
}

sub warn_about {
    my ($text) = @_;
    ++$Warnings;
    print STDERR "export_mysql_cdb: $text\n" if $Warnings <= MAX_WARNINGS;
}

# --- The list of servers --------------------------------------------------------------------------

sub is_address {
    my ($text) = @_;
    return 1 if $text =~ m{^sock:[^\0,;]{1,107}$};
    my ($host, $port) = $text =~ /^tcp:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253}):([0-9]{1,5})$/;
    return defined $port && $port > 0 && $port < 65536;
}

# Whether nobody but this machine sees, or can answer, what goes to the address.
sub is_local {
    my ($address) = @_;
    return $address =~ /^sock:|^tcp:(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]):[0-9]+$/i;
}

# Returns the servers in their order, each a hash of its settings; dies with the line of an error.
sub read_config {
    my ($path) = @_;
    open my $in, '<', $path or die "$path: $!\n";
    my (@servers, %defaults, %known);
    my $settings = \%defaults;
    while (my $line = <$in>) {
        my $at = "$path:$.:";
        $line =~ s/^\s+|\s+$//g;
        next if $line eq '' || $line =~ /^[#;]/;
        if ($line =~ /^\[(.*)\]$/) {
            (my $destination = $1) =~ s/\s*,\s*/,/g;
            is_address($_) or die "$at '$_' is not tcp:HOST:PORT, tcp:[IPV6]:PORT or sock:PATH\n"
              for split(/,/, $destination, -1), ($destination eq '' ? '' : ());
            $known{$destination}++ and die "$at [$destination] is given twice\n";
            push @servers, $settings = { %defaults, destination => $destination };
            next;
        }
        my ($key, $value) = $line =~ /^([a-z-]+)\s*=\s*(.*)$/
          or die "$at this is neither 'key = value' nor [destination]\n";
        $KEYS{$key} or die "$at there is no '$key'; there are: @{[sort keys %KEYS]}\n";
        $value = $2 if $value =~ /^(["'])(.*)\1$/;
        $settings->{$key} = $value;
    }
    die "$path: no server is listed: write [tcp:HOST:PORT] for each\n" if !@servers;
    check_server($path, $_) for @servers;
    refuse_open_secrets($path, $in) if grep { defined $_->{password} } @servers;
    return @servers;
}

sub check_server {
    my ($path, $server) = @_;
    my $at = "$path: [$server->{destination}]:";
    $server->{connect} //= $server->{destination};
    is_address($_) or die "$at connect: '$_' is not an address\n"
      for split /,/, $server->{connect}, -1;
    $server->{timeout} //= 10;
    $server->{timeout} =~ /^[1-9][0-9]{0,3}$/ or die "$at timeout is in seconds, 1 to 9999\n";
    $server->{tls} //= defined $server->{ca} ? 'verify' : 'no';
    $server->{tls} =~ /^(?:no|yes|verify)$/ or die "$at tls is no, yes or verify\n";
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
        refuse_open_secrets($file, $in);
        $server->{'defaults-file'} = Cwd::abs_path($file);
    }
    return if $server->{tls} eq 'verify' || $server->{insecure} eq 'yes';
    for my $address (grep { !is_local($_) } split /,/, $server->{connect}) {
        die "$at $address could be anybody, who would get the password: set tls = verify and ca = FILE,"
          . " or connect = an address of this machine, or accept that by insecure = yes\n";
    }
}

sub refuse_open_secrets {
    my ($path, $handle) = @_;
    my $mode = (stat $handle)[2];
    die "$path: holds passwords, and every user of this machine can read or write it: chmod o= $path\n"
      if $mode & (S_IROTH | S_IWOTH);
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

sub connect_to {
    my ($server, $address) = @_;
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
    if ($server->{tls} ne 'no') {
        $attributes{"${prefix}_ssl"} = 1;
        $attributes{"${prefix}_ssl_ca_file"} = $server->{ca} if defined $server->{ca};
        # The drivers do not enforce encryption without a certificate: then it is looked at below.
        my $how = $server->{tls} eq 'verify' ? 'verify_server_cert' : 'optional';
        $attributes{"${prefix}_ssl_$how"} = 1;
    }
    my $options = library_options($server);
    $attributes{"${prefix}_read_default_file"} = '/proc/self/fd/' . fileno $options;
    $attributes{"${prefix}_read_default_group"} = $server->{'defaults-group'} // 'client';
    # The file is bytes. DBD::MariaDB takes characters.
    my @login = @$server{qw(user password)};
    if ($driver eq 'MariaDB') { defined && utf8::decode($_) for @login }
    my $db = DBI->connect($dsn, @login, \%attributes);
    if ($server->{tls} ne 'no') {
        my (undef, $cipher) = $db->selectrow_array("SHOW STATUS LIKE 'Ssl_cipher'");
        $cipher or die "the connection is not encrypted: the server has no TLS\n";
    }
    return $db;
}

# The first of the addresses that answers, as rum itself does with a list.
sub connect_to_first {
    my ($server) = @_;
    my @errors;
    for my $address (split /,/, $server->{connect}) {
        watch_the_clock($server, $server->{timeout} + 2);
        my $db = eval { connect_to($server, $address) };
        return $db if $db;
        push @errors, "$address: " . ($DBI::err ? $DBI::errstr : $@);
    }
    die join('; ', @errors) . "\n";
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

# Calls back with each user of the server, in the order of their names, and the user's secret. The
# account that asks is added to `exporters`.
sub export_server {
    my ($server, $exporters, $found) = @_;
    my $db = connect_to_first($server);
    # The driver's timeout is for each read: a long answer may take longer.
    watch_the_clock($server, $server->{timeout} * 20);
    $exporters->{ own_name($server, $db) } = 1;
    my ($statement, $account_of) = query_for($db);
    my $skip = pattern_of(@SYSTEM, words($server->{skip}));
    my $wanted = pattern_of(words($server->{users} // '*'));
    my $rows = $db->prepare($statement);
    $rows->execute;
    my (@group, $count, $users, $others) = ();
    my $end_of_group = sub {
        return if !@group;
        my $secret = merge_accounts($server, @group);
        if (defined $secret) {
            ++$users;
            $found->($group[0]{user}, $secret);
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
    say_verbose("[$server->{destination}]: $count accounts, " . ($users // 0) . ' users'
          . ($others ? ", $others accounts outside of 'users'" : ''));
}

sub words { defined $_[0] ? grep { $_ ne '' } split /[\s,]+/, $_[0] : () }

# What matches one of the names, in which * and ? have their usual meaning.
sub pattern_of {
    my @patterns = map { my $p = quotemeta; $p =~ s/\\\*/.*/g; $p =~ s/\\\?/./g; $p } @_;
    my $any = join '|', @patterns;
    return qr/\A(?:$any)\z/s;
}

# The account of the export itself, without its host.
sub own_name {
    my ($server, $db) = @_;
    return $server->{user} if defined $server->{user};
    my ($account) = $db->selectrow_array('SELECT CAST(CURRENT_USER() AS BINARY)');
    return ($account // '') =~ s/\@[^\@]*\z//r;
}

# --- The map --------------------------------------------------------------------------------------

# Asks all servers, so that one run tells of all that is wrong, and dies if one has failed. Returns
# the users as lines of a file, `NAME-IN-HEX SERVER SECRET`, which servers have each, and the names
# of the accounts that have asked.
sub ask_all {
    my (@servers) = @_;
    open my $lines, '+>', undef or die "export_mysql_cdb: temporary file: $!\n";
    my (%servers_of, @errors);
    my %exporters = map { $_->{user} => 1 } grep { defined $_->{user} } @servers;
    for my $i (0 .. $#servers) {
        eval {
            export_server($servers[$i], \%exporters, sub {
                my ($user, $secret) = @_;
                my $others = $servers_of{$user};
                if (defined $others) {
                    return if $others =~ /(?:^| )$i$/;    # the server does not sort
                    $servers_of{$user} = "$others $i";
                } else {
                    $servers_of{$user} = $i;
                }
                print $lines unpack('H*', $user), " $i $secret\n" or die "temporary file: $!\n";
            });
            1;
        } or push @errors, "[$servers[$i]{destination}]: $@";
        alarm 0;
    }
    if (@errors) {
        s/ at \S+ line \d+\.?$//m, s/\s+\z// for @errors;
        die join("\n", map { "export_mysql_cdb: " . shown($_) } @errors) . "\n";
    }
    seek $lines, 0, 0 or die "export_mysql_cdb: temporary file: $!\n";
    return ($lines, \%servers_of, \%exporters);
}

# Of servers that have the same user, the one where the map in use has sent this user until now: no
# server can take a user away from another by making an account. Returns none if it is none of them.
sub settle {
    my ($user, $old, @claimants) = @_;
    my @names = map { "[$_->{destination}]" } @claimants;
    my $text = "user '" . shown($user) . "' is on " . join(' and on ', @names) . ': ';
    my ($before) = (eval { $old->{$user} } // '') =~ /\A[^\0]*\0([^\0]*)\0/;
    for my $i (0 .. $#claimants) {
        next if !defined $before || $claimants[$i]{destination} ne $before;
        warn_about($text . "stays on $names[$i]");
        return $claimants[$i];
    }
    warn_about($text . 'left out; say whose it is by users or skip');
    return undef;
}

# Returns how many users there are.
sub write_map {
    my ($path, $output, @servers) = @_;
    my ($lines, $servers_of, $exporters) = ask_all(@servers);
    my $map = CDB_File->new($path, "$path.part") or die "$path: $!\n";
    my ($users, %old, %settled) = (0);
    tie %old, 'CDB_File', $output if -s $output;
    while (my $line = <$lines>) {
        my ($hex, $i, $secret) = $line =~ /^([0-9a-f]+) (\d+) (.*)$/
          or die "export_mysql_cdb: temporary file: a line was damaged\n";
        my $user = pack 'H*', $hex;
        next if $exporters->{$user};
        my $server = $servers[$i];
        if ((my @claimants = split / /, $servers_of->{$user}) > 1) {
            $settled{$user} = settle($user, \%old, @servers[@claimants]) if !exists $settled{$user};
            next if !defined $settled{$user} || $settled{$user} != $server;
        }
        $secret = '' if $OPTIONS{'no-secrets'};
        $map->insert($user, "$secret\0$server->{destination}\0");
        ++$users;
    }
    die "export_mysql_cdb: no server has a user to export\n" if !$users && !$OPTIONS{'allow-empty'};
    $map->finish or die "export_mysql_cdb: $path: $!\n";
    return $users;
}

# Gives the new map what the old one had: mode, owner, group. Else it is for its group to read.
sub set_mode {
    my ($new, $old) = @_;
    my $mode = 0640;
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

# rum tells how old its map is by when it has read the file, and an alert goes by that: a map that is
# as it should be must not look old. rum then reads all of it, so not at each run. Returns false when
# the file is not ours to date.
sub keep_young {
    my ($path) = @_;
    return 1 if $OPTIONS{'dry-run'} || time - (stat $path)[9] < TOUCH_AFTER;
    return utime undef, undef, $path;
}

sub publish {
    my ($new, $output, $users) = @_;
    if (-e $output && File::Compare::compare($new, $output) == 0 && keep_young($output)) {
        say_verbose("$output: $users users, nothing has changed");
    } elsif ($OPTIONS{'dry-run'}) {
        print "$output: would be replaced by a map of $users users\n";
    } else {
        set_mode($new, $output);
        sync_to_disk($new);
        rename $new, $output or die "export_mysql_cdb: $output: $!\n";
        sync_to_disk(dirname($output));
        say_verbose("$output: $users users");
    }
}

# Whoever owns a folder can put links in the way of what root writes there.
sub refuse_foreign_folder {
    my ($folder) = @_;
    my ($owner) = (stat $folder)[4];
    return if $> != 0 || !defined $owner || $owner == 0;
    die "$folder belongs to " . (getpwuid($owner) // $owner) . ': run this as that user, not as root'
      . "\n";
}

# One run at a time. Returns false when another one is under way.
sub lock_output {
    my ($output) = @_;
    sysopen $Lock, "$output.lock", O_WRONLY | O_CREAT | O_NOFOLLOW, 0600 or die "export_mysql_cdb: $output.lock: $!\n";
    if (flock $Lock, LOCK_EX | LOCK_NB) {
        utime undef, undef, $Lock;
        return 1;
    }
    $! == EWOULDBLOCK or die "export_mysql_cdb: $output.lock: $!\n";
    my $age = time - (stat $Lock)[9];
    die "export_mysql_cdb: another run has been at work for $age s\n" if $age > MAX_LOCK_AGE;
    say_verbose('another run is at work');
    return 0;
}

sub run {
    my ($config, $output) = @_;
    my @servers = read_config($config);
    if (-l $output) {    # a link stays, what it leads to is replaced
        $output = Cwd::abs_path($output) // die "$output: this link leads nowhere\n";
    }
    die "$output: is not a file\n" if -e $output && !-f _;
    umask 077;    # nobody reads the new map before it has its mode, and nobody else holds the lock
    refuse_foreign_folder(dirname($output));
    lock_output($output) or return DONE;
    return in_a_child(sub {
        my $users = write_map($Temporary, $output, @servers);
        if ($Warnings > MAX_WARNINGS) {
            print STDERR 'export_mysql_cdb: and ' . ($Warnings - MAX_WARNINGS) . " more\n";
        }
        die "export_mysql_cdb: the old map stays, because of --strict\n"
          if $Warnings && $OPTIONS{strict};
        publish($Temporary, $output, $users);
        return DONE;
    }, "$output.XXXXXX");
}

# The work is done by a child. So a signal ends it at once, even within a driver that waits for a
# server, and this process, which only waits, removes what is left.
sub in_a_child {
    my ($work, $template) = @_;
    my ($child, $stopped);
    local @SIG{qw(INT TERM HUP)} = (sub { $stopped = 1; kill KILL => $child if $child }) x 3;
    my $file = File::Temp->new(TEMPLATE => $template, UNLINK => 0);
    $Temporary = $file->filename;
    open $Notes, '+>', undef or die "temporary file: $!\n";
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM);
        my $code = eval { $work->() } // complain($@);
        STDOUT->flush or $code = FAILED;
        POSIX::_exit($code);
    }
    $child = $pid;
    kill KILL => $pid if $stopped;
    waitpid $pid, 0;
    undef $child;
    my $signal = $? & 127 or return $? >> 8;
    return complain("stopped; the old map stays\n") if $stopped;
    sysseek $Notes, 0, 0;
    my $note = "ended by signal $signal";
    sysread $Notes, $note, 1000 if $signal == POSIX::SIGALRM;
    return complain("$note; the old map stays\n");
}

sub complain {
    my ($error) = @_;
    $error =~ s/^(?!export_mysql_cdb: )/export_mysql_cdb: /;
    print STDERR $error;
    return FAILED;
}

END {
    my $code = $?;
    unlink $Temporary, "$Temporary.part" if defined $Temporary;
    $? = $code;
}

sub usage {
    my ($handle, $verbose) = @_;
    require Pod::Usage;
    Pod::Usage::pod2usage(-input => __FILE__, -output => $handle, -exitval => 'NOEXIT',
        -verbose => $verbose, -noperldoc => 1);
}

sub main {
    local @ARGV = @_;
    ($Warnings, $Temporary, %OPTIONS) = (0);
    my $known = Getopt::Long::GetOptions(\%OPTIONS,
        qw(verbose|v dry-run|n strict no-secrets allow-empty driver=s help|h version));
    if ($OPTIONS{help}) { usage(\*STDOUT, 2); return DONE }
    if ($OPTIONS{version}) { print "export_mysql_cdb $VERSION\n"; return DONE }
    if (!$known || @ARGV != 2) { usage(\*STDERR, 0); return USAGE }
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

It replaces the map in one step, and only if every server has answered; otherwise the old map
stays and the exit status is not 0. If nothing has changed, the file stays, but gets a new date
once an hour, so that rum loads it again and the metric of its age is right.

It prints nothing on success. A run that finds another one in progress exits at once.

It reads C<mysql.user> on MySQL 5.7, 8 and 9 and on MariaDB before 10.4, and C<mysql.global_priv>
on MariaDB from 10.4 on.

=head1 OPTIONS

=over

=item B<-v>, B<--verbose>

Print what each server has, and what happened to the map.

=item B<-n>, B<--dry-run>

Do everything except replacing the map.

=item B<--strict>

Keep the old map, and fail, on any warning: a user on two servers, or one with different passwords
for different hosts. Without this option, a user on two servers stays on the one that MAP names,
and is left out if MAP names neither; of different passwords none is exported.

=item B<--no-secrets>

Export only destinations, no hashes. rum needs hashes only for clients that do not know plugins,
for C<--mysql-auth rewrite>, and to vouch for its certificate to clients of MariaDB 11.4 and
later.

=item B<--allow-empty>

Write a map even if it has no users.

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

C<no>: without TLS. C<yes>: encrypted, but the server need not prove its identity; an attacker who
changes traffic can remove TLS: the export then fails, but has already sent the proof of the
password. C<verify>: the certificate must be valid for the host's name, by an authority in the
file C<ca>. Default: verify with C<ca>, else no. Debian's DBD::mysql does not support verify,
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
sends it. If that is none of them, the export leaves the name out, and the error names the
servers.

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

0: the map is new, or nothing has changed, or another run is in progress. 1: a server or the
system failed, or --strict found a warning; the old map stays. 2: the command line is wrong.

=head1 FILES

MAP.lock detects other runs, and stays. Run the program as the owner of the folder of MAP: root
does not write into another user's folder.

=head1 SEE ALSO

rum(8), rum-map(1): C<rum-map check> checks a map, C<rum-map dump> shows it.

=cut
