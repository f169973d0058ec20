#!/usr/bin/perl
# Builds rum's map from the roles and databases on PostgreSQL servers: the destination of a name is
# the server that has it. If any server fails, the old map stays.
# The manual is at the end: export_pgsql_cdb.pl --help.
package RumExportPgsql;
use strict;
use warnings;

use Cwd ();
use DBI;
use Fcntl qw(:mode);
use File::Basename qw(dirname);
use File::Compare ();
use Getopt::Long ();
use IO::Handle;
use POSIX ();

use lib dirname(Cwd::abs_path(__FILE__)) . '/perl';
use Rum::Export;

our $VERSION = '1.0.0';

use constant MAX_WARNINGS => 20;

# Bounds of what a server may send.
use constant MAX_KEY => 512;         # bytes, as for rum; names of servers have at most 63
use constant MAX_MEMORY => 2 << 30;  # bytes of addresses: libpq keeps an answer as a whole

# Names that every server has, for its own use. They are never exported: whoever owns one server of
# the list must not become the destination of what another has. Nor are superusers, by default.
my @SYSTEM_USERS = qw(postgres pg_* rdsadmin cloudsqladmin azuresu azure_pg_admin);
my @SYSTEM_DATABASES = qw(template0 template1 rdsadmin cloudsqladmin azure_maintenance azure_sys);

my %KEYS = map { $_ => 1 } qw(user password passfile connect database timeout tls ca insecure users
  skip databases skip-databases superusers secrets max-records);

$Name = 'export_pgsql_cdb';
my ($Notes, $Warnings);

# --- Messages -------------------------------------------------------------------------------------

sub warn_about {
    my ($text) = @_;
    ++$Warnings;
    print STDERR "export_pgsql_cdb: $text\n" if $Warnings <= MAX_WARNINGS;
}

# --- The list of servers --------------------------------------------------------------------------

# Host and port for libpq, which takes a socket as its folder and a number.
sub host_and_port {
    my ($address) = @_;
    return $address =~ m{^sock:(/[^'\\\s]*)/\.s\.PGSQL\.([0-9]+)$} ? ($1, $2)
      : $address =~ /^tcp:\[?(.*?)\]?:([0-9]+)$/ ? ($1, $2) : ();
}

# `at`: the beginning of an error's text.
sub check_server {
    my ($at, $server) = @_;
    my $check = sub {
        my ($key, $default, $pattern, $forms) = @_;
        $server->{$key} //= $default;
        $server->{$key} =~ $pattern or die "$at $key is $forms\n";
    };
    defined $server->{user} or die "$at user is not given\n";
    $check->('connect', $server->{destination}, qr/./, 'an address');
    for my $address (split /,/, $server->{connect}, -1) {
        is_address($address) or die "$at connect: '$address' is not an address\n";
        host_and_port($address) or die "$at connect: '$address' has not the name of a socket of"
          . " PostgreSQL, /FOLDER/.s.PGSQL.PORT\n";
    }
    $check->('database', 'postgres', qr/^[A-Za-z0-9_.-]{1,63}$/, 'a name of A-Z, a-z, 0-9, _, . and -');
    $check->('timeout', 10, qr/^[1-9][0-9]{0,3}$/, 'in seconds, 1 to 9999');
    $check->('tls', defined $server->{ca} ? 'verify' : 'no', qr/^(?:no|yes|verify)$/,
        'no, yes or verify');
    $check->('insecure', 'no', qr/^(?:no|yes)$/, 'no or yes');
    $check->('superusers', 'no', qr/^(?:no|yes)$/, 'no or yes');
    $check->('secrets', 'auto', qr/^(?:no|yes|auto)$/, 'no, yes or auto');
    $check->('max-records', 1_000_000, qr/^[1-9][0-9]{0,8}$/, 'a number, 1 to 999999999');
    $server->{tls} ne 'verify' || defined $server->{ca} or die "$at tls = verify needs ca\n";
    # libpq ignores such a file, and the error would be about a password.
    if (defined(my $file = $server->{passfile})) {
        open my $in, '<', $file or die "$file: $!\n";
        refuse_open_secrets($file, $in, S_IRWXG | S_IRWXO, 'go=');
    }
    refuse_strangers($at, $server);
}

# --- Asking a server ------------------------------------------------------------------------------

# libpq has timeouts of its own, but not for everything: this ends the process that asks, and the
# other one tells of it.
sub watch_the_clock {
    my ($server, $seconds) = @_;
    sysseek $Notes, 0, 0;
    truncate $Notes, 0;
    syswrite $Notes, "$seconds [$server->{destination}]: ";
    alarm $seconds;
}

sub connect_to {
    my ($server, $address) = @_;
    watch_the_clock($server, $server->{timeout} + 2);
    my ($host, $port) = host_and_port($address);
    my %environment = (
        PGSSLMODE => { no => 'disable', yes => 'require', verify => 'verify-full' }->{ $server->{tls} },
        PGSSLROOTCERT => $server->{ca} // '/nonexistent',    # not that of the home folder
        PGCONNECT_TIMEOUT => $server->{timeout},
        PGGSSENCMODE => 'disable',
        # From libpq 16 on, a server that asks for the password itself does not get it.
        PGREQUIREAUTH => 'scram-sha-256,md5,none',
        PGAPPNAME => 'export_pgsql_cdb');
    my $passfile = $server->{passfile} // $ENV{PGPASSFILE};
    $environment{PGPASSFILE} = $passfile if defined $passfile;
    # Nothing of the caller's environment may change where a password goes.
    delete local @ENV{ grep { /^(?:PG|DBI_)/ } keys %ENV };
    local @ENV{ keys %environment } = values %environment;
    return DBI->connect("dbi:Pg:dbname=$server->{database};host=$host;port=$port", $server->{user},
        $server->{password} // '', { RaiseError => 1, PrintError => 0, AutoCommit => 1,
          pg_enable_utf8 => 0, pg_server_prepare => 0 });
}

# Whether the secrets of the roles can be read, as the settings say.
sub reads_secrets {
    my ($server, $db) = @_;
    return 0 if $OPTIONS{'no-secrets'} || $OPTIONS{key} eq 'database' || $server->{secrets} eq 'no';
    my ($may) = $db->selectrow_array("SELECT CAST(pg_catalog.bool_and(pg_catalog.has_column_privilege("
          . "'pg_catalog.pg_authid', c, 'SELECT')) AS int) FROM (VALUES ('oid'), ('rolpassword')) AS t(c)");
    return 1 if $may;
    die "the role of this export may not read pg_authid: see --help for the GRANT it needs\n"
      if $server->{secrets} eq 'yes';
    say_verbose("[$server->{destination}]: no secrets, for the role of this export may not read"
          . ' pg_authid');
    return 0;
}

# The statement for rows of a role, its secret and a database; none of what the key does not need.
sub query_for {
    my ($server, $db) = @_;
    my $secret = reads_secrets($server, $db) ? 'a.rolpassword' : 'NULL';
    my $no_superusers = $server->{superusers} eq 'yes' ? '' : ' AND NOT r.rolsuper';
    my $roles = 'pg_catalog.pg_roles r'
      . ($secret eq 'NULL' ? '' : ' JOIN pg_catalog.pg_authid a ON a.oid = r.oid');
    my $can_login = "r.rolcanlogin AND r.rolconnlimit <> 0$no_superusers";
    # -2: a database that could not be dropped as a whole.
    my $databases = 'd.datallowconn AND NOT d.datistemplate AND d.datconnlimit NOT IN (0, -2)';
    my $statement = $OPTIONS{key} eq 'user'
      ? "SELECT r.rolname, $secret, NULL FROM $roles WHERE $can_login"
      : $OPTIONS{key} eq 'database'
      ? "SELECT NULL, NULL, d.datname FROM pg_catalog.pg_database d WHERE $databases"
      : "SELECT r.rolname, $secret, d.datname FROM $roles, pg_catalog.pg_database d WHERE $can_login"
      . " AND $databases AND pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT')";
    return "$statement ORDER BY 1, 3 LIMIT " . ($server->{'max-records'} + 1);
}

# Only forms that rum-map accepts.
sub is_secret {
    my ($text) = @_;
    return 1 if $text =~ /\Amd5[0-9a-f]{32}\z/;
    my ($salt) = $text =~ m{\ASCRAM-SHA-256\$[1-9][0-9]{0,8}:([A-Za-z0-9+/]{2,86}={0,2})
      \$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=\z}x;
    return defined $salt && length($salt) % 4 == 0 && length $salt <= 88;
}

# Calls back with each name of the server as (key, secret). The role that asks is added to
# `exporters`.
sub export_server {
    my ($server, $exporters, $found) = @_;
    my $db = connect_to_first($server, \&connect_to);
    watch_the_clock($server, $server->{timeout} * 20);
    # Names are bytes, in an encoding that nobody has written down: no conversion.
    $db->do("SET client_encoding = 'SQL_ASCII'");
    $db->do("SET statement_timeout = '$server->{timeout}s'");
    $exporters->{$_} = 1 for $db->selectrow_array('SELECT current_user, session_user');
    my $rows = $db->prepare(query_for($server, $db));
    $rows->execute;
    my %pattern = (
        skip_user => pattern_of(@SYSTEM_USERS, words($server->{skip})),
        user => pattern_of(words($server->{users} // '*')),
        skip_database => pattern_of(@SYSTEM_DATABASES, words($server->{'skip-databases'}),
            $OPTIONS{key} eq 'database' ? 'postgres' : ()),
        database => pattern_of(words($server->{databases} // '*')));
    my ($count, $exported) = (0, 0);
    while (my ($user, $secret, $database) = $rows->fetchrow_array) {
        die "more than $server->{'max-records'} names: raise max-records if that is right\n"
          if ++$count > $server->{'max-records'};
        next if defined $user && ($user eq '' || $user =~ $pattern{skip_user} || $user !~ $pattern{user});
        next if defined $database
          && ($database =~ $pattern{skip_database} || $database !~ $pattern{database});
        next if defined $user && $exporters->{$user};
        my $key = join '@', grep { defined } $user, $database;
        if ($key eq '' || length $key > MAX_KEY) {
            warn_about("[$server->{destination}]: the name '" . shown($key) . "' has not 1 to "
                  . MAX_KEY . ' bytes: left out');
            next;
        }
        $secret = '' if !defined $secret || !is_secret($secret);
        ++$exported;
        $found->($key, $user, $secret);
    }
    die $rows->errstr . "\n" if $rows->err;
    $db->disconnect;
    say_verbose("[$server->{destination}]: $count names, $exported exported");
}

# --- The map --------------------------------------------------------------------------------------

# Asks all servers, so that one run tells of all that is wrong, and dies if one has failed. Returns
# the records as lines of a file, `KEY-IN-HEX USER-IN-HEX SERVER SECRET`, which servers have each
# key, and the names of the roles that have asked.
sub ask_all {
    my (@servers) = @_;
    open my $lines, '+>', undef or die "temporary file: $!\n";
    my (%servers_of, @errors);
    my %exporters = map { $_->{user} => 1 } @servers;
    for my $i (0 .. $#servers) {
        eval {
            export_server($servers[$i], \%exporters, sub {
                my ($key, $user, $secret) = @_;
                my $others = $servers_of{$key};
                # The same server twice: two pairs of user and database make the same key.
                $servers_of{$key} = defined $others ? "$others $i" : $i;
                print $lines unpack('H*', $key), ' ', unpack('H*', $user // '') || '-', " $i $secret\n"
                  or die "temporary file: $!\n";
            });
            1;
        } or push @errors, "[$servers[$i]{destination}]: $@";
        alarm 0;
    }
    if (@errors) {
        s/ at \S+ line \d+\.?$//m, s/\s+\z// for @errors;
        die join("\n", map { "export_pgsql_cdb: " . shown($_) } @errors) . "\n";
    }
    seek $lines, 0, 0 or die "temporary file: $!\n";
    return ($lines, \%servers_of, \%exporters);
}

# The destinations in the map in use, by name as a column of the text form.
sub old_destinations {
    my ($map) = @_;
    return {} if !-s $map;
    open my $dump, '-|', $OPTIONS{'rum-map'}, 'dump', $map or die "$OPTIONS{'rum-map'}: $!\n";
    my %old = map { (split ' ')[0, 2] } grep { /^[^#\s]\S* \S+ \S/ } <$dump>;
    close $dump or return {};
    return \%old;
}

# Of servers that have the same name, the one where the map in use has sent it until now: no server
# can take a name away from another by making it. Returns none if it is none of them.
sub settle {
    my ($key, $old, @claimants) = @_;
    my %seen;
    my @names = map { "[$_->{destination}]" } grep { !$seen{ $_->{destination} }++ } @claimants;
    if (@names < @claimants) {
        warn_about("'" . shown($key) . "' is more than one pair of user and database on $names[0]:"
              . ' left out');
        return undef;
    }
    my $text = "$OPTIONS{key} '" . shown($key) . "' is on " . join(' and on ', @names) . ': ';
    my $before = $old->{ column($key) };
    for my $i (0 .. $#claimants) {
        next if !defined $before || column($claimants[$i]{destination}) ne $before;
        warn_about($text . "stays on $names[$i]");
        return $claimants[$i];
    }
    warn_about($text . 'left out; say whose it is by users, databases or skip');
    return undef;
}

# Any bytes as one column of rum-map's text form.
sub column {
    my ($text) = @_;
    $text =~ s/([^\x21-\x7e]|\\)/$1 eq ' ' ? '\\s' : $1 eq '\\' ? '\\\\' : sprintf '\\x%02x', ord $1/ge;
    $text =~ s/\A([-=]\z|#)/sprintf '\\x%02x', ord $1/e;
    return $text;
}

# Returns the text as a file, and how many records it has.
sub write_text {
    my ($output, @servers) = @_;
    my ($lines, $servers_of, $exporters) = ask_all(@servers);
    open my $text, '+>', undef or die "temporary file: $!\n";
    my ($records, $old, %settled, %now) = (0);
    while (my $line = <$lines>) {
        my ($hex, $user, $i, $secret) = $line =~ /^([0-9a-f]+) ([0-9a-f]+|-) (\d+) (.*)$/
          or die "temporary file: a line was damaged\n";
        my $key = pack 'H*', $hex;
        next if $user ne '-' && $exporters->{ pack 'H*', $user };
        my $server = $servers[$i];
        if ((my @claimants = split / /, $servers_of->{$key}) > 1) {
            $old //= old_destinations($output);
            $settled{$key} = settle($key, $old, @servers[@claimants]) if !exists $settled{$key};
            next if !defined $settled{$key} || $settled{$key} != $server;
        }
        $secret = '-' if $secret eq '';
        print $text column($key), " $secret ", column($server->{destination}), "\n"
          or die "temporary file: $!\n";
        $now{$key} = $server->{destination} if exists $Journal{users}{$key};
        ++$records;
    }
    for my $key (sort keys %{ $Journal{users} }) {
        my $what = undone($key, $now{$key}) // next;
        warn_about("$OPTIONS{key} '" . shown($key) . "' $what");
    }
    die "no server has a name to export\n" if !$records && !$OPTIONS{'allow-empty'};
    $text->flush or die "temporary file: $!\n";
    return ($text, $records);
}

# rum-map makes the file, and puts it in the place of `path` as a whole, or not at all.
sub build {
    my ($path, $text, @after) = @_;
    seek $text, 0, 0 or die "temporary file: $!\n";
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        open STDIN, '<&', $text or POSIX::_exit(127);
        my @options = ('-q', $OPTIONS{'allow-empty'} ? '--allow-empty' : (), @after);
        { no warnings; exec { $OPTIONS{'rum-map'} } $OPTIONS{'rum-map'}, 'build', @options, $path }
        print STDERR "export_pgsql_cdb: $OPTIONS{'rum-map'}: $!\n";
        POSIX::_exit(127);
    }
    waitpid $pid, 0;
    die "$OPTIONS{'rum-map'} has not made $path; the old map stays\n" if $?;
}

sub publish {
    my ($text, $output, $records) = @_;
    build($Temporary, $text);
    my $is_same = -e $output && File::Compare::compare($Temporary, $output) == 0;
    if ($is_same && !$Journal{counts} && keep_young($output)) {
        say_verbose("$output: $records names, nothing has changed");
    } elsif ($OPTIONS{'dry-run'}) {
        print "$output: would be replaced by a map of $records names\n";
    } else {
        build($output, $text, '--after', $Journal{after});
        say_verbose("$output: $records names");
    }
}

sub run {
    my ($config, $output) = @_;
    eval { DBI->install_driver('Pg') } or die "DBD::Pg cannot be loaded (Debian: libdbd-pg-perl)\n";
    my @servers = read_config($config, \%KEYS, \&check_server);
    if (-l $output) {    # a link stays, what it leads to is replaced
        $output = Cwd::abs_path($output) // die "$output: this link leads nowhere\n";
    }
    die "$output: is not a file\n" if -e $output && !-f _;
    umask 077;    # nobody else holds the lock, or reads what is compared
    refuse_foreign_folder(dirname($output));
    lock_output($output) or return DONE;
    open $Notes, '+>', undef or die "temporary file: $!\n";
    return in_a_child(sub {
        # Of util-linux, which every Linux has; without it a hostile server could take more memory.
        system "prlimit --pid=$$ --as=" . MAX_MEMORY . ' 2>/dev/null';
        read_journal($output);
        my ($text, $records) = write_text($output, @servers);
        if ($Warnings > MAX_WARNINGS) {
            print STDERR 'export_pgsql_cdb: and ' . ($Warnings - MAX_WARNINGS) . " more\n";
        }
        die "the old map stays, because of --strict\n" if $Warnings && $OPTIONS{strict};
        publish($text, $output, $records);
        return DONE;
    }, "$output.XXXXXX", \&meaning_of);
}

# Which server was asked when the signal ended the process.
sub meaning_of {
    my ($signal) = @_;
    sysseek $Notes, 0, 0;
    sysread $Notes, my $note, 1000;
    my ($seconds, $server) = ($note // '') =~ /^(\d+) (.*)/ or return undef;
    return $server . ($signal == POSIX::SIGALRM ? "no answer within $seconds s" : "ended by signal $signal");
}

sub main {
    local @ARGV = @_;
    ($Warnings, $Temporary, %OPTIONS) = (0, undef, key => 'user', 'rum-map' => 'rum-map');
    my $known = Getopt::Long::GetOptions(\%OPTIONS, qw(key|k=s verbose|v dry-run|n strict no-secrets
          allow-empty rum-map=s help|h version));
    if ($OPTIONS{help}) { usage(__FILE__, \*STDOUT, 2); return DONE }
    if ($OPTIONS{version}) { print "export_pgsql_cdb $VERSION\n"; return DONE }
    if ($known && $OPTIONS{key} !~ /^(?:user|database|user\@database)$/) {
        print STDERR "export_pgsql_cdb: --key is user, database or user\@database\n";
        return USAGE;
    }
    if (!$known || @ARGV != 2) { usage(__FILE__, \*STDERR, 0); return USAGE }
    return eval { run(@ARGV) } // complain($@);
}

exit main(@ARGV) if !caller;
1;

__END__

=head1 NAME

export_pgsql_cdb.pl - build rum's map from the roles and databases on PostgreSQL servers

=head1 SYNOPSIS

export_pgsql_cdb.pl [OPTIONS] CONFIG MAP

  export_pgsql_cdb.pl --verbose /etc/rum/servers.conf /etc/rum/users.cdb

--help tells more.

=head1 DESCRIPTION

Reads the roles or databases from each server in the list CONFIG, and writes MAP, a CDB file for
C<rum -M>: the destination of each name is the server that has it. Run it from cron every minute:

  * * * * *  rum  export_pgsql_cdb.pl /etc/rum/servers.conf /var/lib/rum/users.cdb

C<rum-map build> replaces the map in one step, and only if every server has answered; otherwise the
old map stays and the exit status is not 0. If nothing has changed, the file stays, but gets a new
date once an hour, so that rum loads it again and the metric of its age is right.

If MAP has a journal, because C<rum-map set> or C<unset> was used, its changes are part of the map in
use: a name on several servers stays where they say. The new map replaces
them all, and the export warns of each that this undoes, such as a user who has no account where
the change sends it, or rules. Changes that are made while the export runs stay until the next one.

It prints nothing on success. A run that finds another one in progress exits at once.

=head1 OPTIONS

=over

=item B<-k>, B<--key> B<user>|B<database>|B<user@database>

What the key of a record is; rum's C<--pgsql-key> must be the same. C<user>, the default: the name
of a role. C<database>: the name of a database; such a map has no secrets. C<user@database>: one
record for each database to which the role may connect.

=item B<-v>, B<--verbose>

Print what each server has, and what happened to the map.

=item B<-n>, B<--dry-run>

Do everything except replacing the map.

=item B<--strict>

Keep the old map, and fail, on any warning, such as a name on two servers. Without this option,
such a name stays on the server that MAP names, and is left out if MAP names neither.

=item B<--no-secrets>

Export only destinations. rum needs secrets only to check passwords itself.

=item B<--allow-empty>

Write a map even if it has no names.

=item B<--rum-map> I<PROGRAM>

The program C<rum-map>, if it is not in the PATH.

=item B<-h>, B<--help>, B<--version>

=back

=head1 CONFIG

Settings before the first server apply to all servers; settings below a server apply to that one.
Lines that begin with # or ; are comments.

  user     = exporter
  passfile = /etc/rum/pgpass
  tls      = verify
  ca       = /etc/ssl/db-ca.pem

  [tcp:db1.example.net:5432]

  [tcp:db2.example.net:5432,tcp:db2-standby.example.net:5432]
  password = "another secret"
  users    = shop_* blog_*
  timeout  = 30

  [tcp:db3.example.net:5432]
  connect  = sock:/run/postgresql/.s.PGSQL.5432

The name of a server is the destination of its names: C<tcp:HOST:PORT>, C<tcp:[IPV6]:PORT>,
C<sock:PATH>, or a comma-separated list of them, which rum and this program try in order.

=over

=item B<user>

The role of the export, on every server. It is not exported itself.

=item B<password>, B<passfile>

The password, or a file in the format of F<.pgpass> that has it. Without both, libpq looks into
F<~/.pgpass>, or the file that the variable PGPASSFILE names. Run chmod 0640 on CONFIG if it has
passwords, and chmod 0600 on a passfile: the program refuses files that others can read.

=item B<connect>

Where to connect, if not to the destination.

=item B<database>

The database to connect to. Default: postgres.

=item B<timeout>

The time limit for connecting, and for each answer, in seconds. Default: 10.

=item B<tls>, B<ca>

C<no>: without TLS. C<yes>: encrypted, but the server need not prove its identity. C<verify>: the
certificate must be valid for the host's name, by an authority in the file C<ca>. Default: verify
with C<ca>, else no. A connection to a unix socket has no TLS.

=item B<insecure>

C<yes>: accept a server on another machine that does not prove its identity. Whoever can answer in
its place, or is on the path, then gets the password, and decides which names there are. C<no>, the
default: an address that is neither a unix socket nor of this machine (127.*, ::1, localhost) needs
C<tls = verify>.

=item B<users>, B<skip>

The roles that this server may have, and those not to export, separated by commas or blanks, with *
and ?. Default: all. See WHO OWNS A NAME. The export never includes C<postgres>, C<pg_*>, the
administrators of cloud providers, and the roles of the export on all servers.

=item B<databases>, B<skip-databases>

The same for databases, for the other two keys. The export never includes templates, databases that
accept no connections, and, as a key of its own, C<postgres>.

=item B<superusers>

C<yes>: export superusers, too. Default: no.

=item B<secrets>

C<auto>, the default: export the secrets of the roles if the role of the export may read them.
C<yes>: fail if it may not. C<no>: without secrets.

=item B<max-records>

The export fails if the server has more names than this. Default: 1000000.

=back

Roles and databases can be read by any role, secrets by a superuser. A role that is none needs this
in the database to which it connects:

  CREATE ROLE exporter LOGIN PASSWORD '...';
  GRANT SELECT (oid, rolpassword) ON pg_catalog.pg_authid TO exporter;

=head1 WHO OWNS A NAME

Whoever can create roles or databases on a server can give them any name, and rum sends the logins
of that name to the server in the map. So a name that several servers have stays where the current
MAP sends it. If that is none of them, the export leaves the name out, and the error names the
servers.

This does not protect a name before any server has it, or while its own server lacks it (a dropped
role): another server can take it then. If servers belong to different people, assign names to each
server by C<users> and C<databases>. Also give the export a different password on each server: a
server can ask for the password itself, which libpq refuses only from version 16 on.

=head1 WHAT IS EXPORTED

The export includes all roles that can log in and are not superusers. Roles with a connection limit
of 0 cannot. It does not read F<pg_hba.conf>: a role that the server refuses for rum's address is
in the map all the same.

The secret of a role is its SCRAM verifier, or its MD5 hash; it is empty if the role has no
password. rum logs in with a verifier only at servers that hold the same one, which the server in
the record does. Whoever has an MD5 hash can log in with it: protect the map as you protect the
servers, or use C<--no-secrets>.

Names are exported as the bytes that the server stores. With the key C<user@database>, names with @
can make the same key of different pairs: the export then leaves that key out.

=head1 EXIT STATUS

0: the map is new, or nothing has changed, or another run is in progress. 1: a server or the
system failed, or --strict found a warning; the old map stays. 2: the command line is wrong.

=head1 FILES

MAP.lock detects other runs, and stays. Run the program as the owner of the folder of MAP: root
does not write into another user's folder.

=head1 SEE ALSO

rum(8), rum-map(1): C<rum-map check> checks a map, C<rum-map dump> shows it.

=cut
