# What export_mysql_cdb.pl and export_pgsql_cdb.pl share: the list of servers, messages, patterns of
# names, the lock of the map, and the process that does the work.
package Rum::Export;
use strict;
use warnings;

use Errno qw(EACCES EPERM EWOULDBLOCK);
use Exporter qw(import);
use Fcntl qw(:DEFAULT :flock :mode);
use File::Temp ();
use IO::Handle;
use POSIX ();

use constant { DONE => 0, FAILED => 1, USAGE => 2 };
use constant MAX_LOCK_AGE => 600;    # seconds until a run that never ends is worth an error
use constant TOUCH_AFTER => 3600;    # seconds until an unchanged map gets a new date
use constant MAX_SHOWN => 500;       # characters of a message

our @EXPORT = qw(DONE FAILED USAGE $Name %OPTIONS $Temporary %Journal complain connect_to_first
  in_a_child is_address is_local keep_young lock_output pattern_of read_config read_journal
  refuse_foreign_folder refuse_open_secrets refuse_strangers replace_map say_verbose shown undone usage
  words);

our $Name;         # of the program, before its messages
our %OPTIONS;      # of the command line
our $Temporary;    # the file of in_a_child()
our %Journal;      # see read_journal()
my $Lock;

# --- Messages -------------------------------------------------------------------------------------

sub say_verbose { print STDERR "@_\n" if $OPTIONS{verbose} }

# Names come from the servers: nothing in them may move a terminal.
sub shown {
    my ($text) = @_;
    $text =~ s/([^\x20-\x7e])/sprintf '\\x%02x', ord $1/ge;
    $text = substr($text, 0, MAX_SHOWN) . '...' if length $text > MAX_SHOWN;
    return $text;
}

sub complain {
    my ($error) = @_;
    $error =~ s/^(?!\Q$Name\E: )/$Name: /;
    print STDERR $error;
    return FAILED;
}

# Prints the documentation in the file.
sub usage {
    my ($file, $handle, $verbose) = @_;
    require Pod::Usage;
    Pod::Usage::pod2usage(-input => $file, -output => $handle, -exitval => 'NOEXIT',
        -verbose => $verbose, -noperldoc => 1);
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

# Returns the servers in their order, each a hash of settings that are in `keys`, and dies with the
# line of an error. Calls `check` with the beginning of an error's text, and each server.
sub read_config {
    my ($path, $keys, $check) = @_;
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
        $keys->{$key} or die "$at there is no '$key'; there are: @{[sort keys %$keys]}\n";
        $value = $2 if $value =~ /^(["'])(.*)\1$/;
        $settings->{$key} = $value;
    }
    die "$path: no server is listed: write [tcp:HOST:PORT] for each\n" if !@servers;
    $check->("$path: [$_->{destination}]:", $_) for @servers;
    refuse_open_secrets($path, $in, S_IROTH | S_IWOTH, 'o=') if grep { defined $_->{password} } @servers;
    return @servers;
}

sub refuse_open_secrets {
    my ($path, $handle, $bits, $remedy) = @_;
    my $mode = (stat $handle)[2];
    die "$path: holds passwords, and other users of this machine can read or write it:"
      . " chmod $remedy $path\n"
      if $mode & $bits;
}

# A server on another machine must prove its identity, or be accepted without.
sub refuse_strangers {
    my ($at, $server) = @_;
    return if $server->{tls} eq 'verify' || $server->{insecure} eq 'yes';
    for my $address (grep { !is_local($_) } split /,/, $server->{connect}) {
        die "$at $address could be anybody, who would get the password: set tls = verify and ca = FILE,"
          . " or connect = an address of this machine, or accept that by insecure = yes\n";
    }
}

# The connection to the first of the addresses that answers, as rum itself does with a list.
sub connect_to_first {
    my ($server, $connect) = @_;
    my @errors;
    for my $address (split /,/, $server->{connect}) {
        my $db = eval { $connect->($server, $address) };
        return $db if $db;
        push @errors, "$address: " . ($DBI::err ? $DBI::errstr : $@);
    }
    die join('; ', @errors) . "\n";
}

sub words { defined $_[0] ? grep { $_ ne '' } split /[\s,]+/, $_[0] : () }

# What matches one of the names, in which * and ? have their usual meaning.
sub pattern_of {
    my @patterns = map { my $p = quotemeta; $p =~ s/\\\*/.*/g; $p =~ s/\\\?/./g; $p } @_;
    my $any = join '|', @patterns;
    return qr/\A(?:$any)\z/s;
}

# --- The map --------------------------------------------------------------------------------------

# rum tells how old its map is by when it has read the file, and an alert goes by that: a map that is
# as it should be must not look old. rum then reads all of it, so not at each run. Returns false when
# the file is not ours to date.
sub keep_young {
    my ($path) = @_;
    return 1 if $OPTIONS{'dry-run'} || time - (stat $path)[9] < TOUCH_AFTER;
    return utime undef, undef, $path;
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
    sysopen $Lock, "$output.lock", O_WRONLY | O_CREAT | O_NOFOLLOW, 0600 or die foreign_lock($output);
    if (flock $Lock, LOCK_EX | LOCK_NB) {
        utime undef, undef, $Lock;
        return 1;
    }
    $! == EWOULDBLOCK or die "$output.lock: $!\n";
    my $age = time - (stat $Lock)[9];
    die "another run has been at work for $age s\n" if $age > MAX_LOCK_AGE;
    say_verbose('another run is at work');
    return 0;
}

sub foreign_lock {
    my ($output) = @_;
    my ($error, $is_denied) = ("$!", $! == EACCES || $! == EPERM);
    my $owner = (lstat "$output.lock")[4];
    return "$output.lock: $error\n" if !$is_denied || !defined $owner || $owner == $>;
    return "$output.lock belongs to " . (getpwuid($owner) // "user $owner")
      . ', who has run this before: run it as that user, or remove the file' . "\n";
}

# --- The journal of the map -----------------------------------------------------------------------

# `rum-map set` and `unset` put changes of single users into MAP.log. They are part of the map in use,
# and the new map replaces them, as with `rum-map build`; those that are made while this runs stay.
# Sets `users`, by name: [secret, destination, rules], or undef for one who is removed; `after`: the
# number of the last change; `counts`: the journal must learn of the new map, whatever that is.
sub read_journal {
    my ($map) = @_;
    %Journal = (users => {}, after => 0, counts => 0);
    return if !-s $map || !-e "$map.log";
    my $program = $OPTIONS{'rum-map'};
    no warnings 'exec';
    open my $in, '-|', $program, 'changes', $map
      or die "$map has a journal, which only rum-map can read: $program: $! (--rum-map)\n";
    chomp(my ($first, @lines) = <$in>);
    close $in or die "$program cannot read $map and its journal: the old map stays\n";
    ($Journal{after}) = ($first // '') =~ /^([0-9]+)/ or die "$program changes: what is '$first'?\n";
    $Journal{counts} = @lines > 0 || $first =~ / /;
    for my $line (@lines) {
        my ($user, @record) = split ' ', $line, 4;
        $_ = from_column($_) for $user, @record[0 .. ($#record < 1 ? $#record : 1)];
        $Journal{users}{$user} = @record ? [@record] : undef;
    }
}

# The bytes of a column of rum-map's text form.
sub from_column {
    my ($text) = @_;
    return '' if $text eq '-';
    $text =~ s/\\(\\|s|x([0-9A-Fa-f]{2}))/defined $2 ? chr hex $2 : $1 eq 's' ? ' ' : '\\'/ge;
    return $text;
}

# What becomes of a change of the journal: a sentence about the user if the new map undoes it.
# `destination`: in the new map; undef: the user is not there.
sub undone {
    my ($user, $destination) = @_;
    my $change = $Journal{users}{$user};
    if (!defined $change) {
        return defined $destination ? 'is in the map again: rum-map unset is undone' : undef;
    }
    my (undef, $before, $rules) = @$change;
    return 'leaves the map: rum-map set is undone' if !defined $destination;
    return 'goes to ' . shown($destination) . ': rum-map set is undone, which sent it to ' . shown($before)
      if $destination ne $before;
    return 'loses its rules: rum-map set is undone' if defined $rules && $rules ne '';
    return undef;
}

# Puts a finished map in the place of the one in use. If that has a journal, rum-map does it: the
# journal must learn of the new map at the same moment. `rum-map set` waits for the lock.
sub replace_map {
    my ($new, $map) = @_;
    my $lock;
    if (open $lock, '<', $map) {
        flock $lock, LOCK_EX or die "$map: $!\n";
    }
    if (!-e "$map.log") {
        rename $new, $map or die "$map: $!\n";
        return;
    }
    close $lock if $lock;
    my @options = ('-q', '--cdb', '--after', $Journal{after}, $OPTIONS{'allow-empty'} ? '--allow-empty' : ());
    no warnings 'exec';
    system { $OPTIONS{'rum-map'} } $OPTIONS{'rum-map'}, 'build', @options, $map, $new;
    $? == 0 or die "$OPTIONS{'rum-map'} has not made $map; the old map stays\n";
}

# --- The process that does the work ---------------------------------------------------------------

# The work is done by a child and its children, a group of processes. So a signal ends them at once,
# even within a driver that waits for a server, and this process, which only waits, removes what is
# left. `explain` returns what a signal means that has ended the child.
sub in_a_child {
    my ($work, $template, $explain) = @_;
    my ($child, $stopped);
    local @SIG{qw(INT TERM HUP)} = (sub { $stopped = 1; stop($child) if $child }) x 3;
    my $file = File::Temp->new(TEMPLATE => $template, UNLINK => 0);
    $Temporary = $file->filename;
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        setpgrp;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM);
        my $code = eval { $work->() } // complain($@);
        STDOUT->flush or $code = FAILED;
        POSIX::_exit($code);
    }
    $child = $pid;
    stop($pid) if $stopped;
    # Perl runs a handler between its own steps: one that is due just before a wait of any length
    # would run only after it.
    select undef, undef, undef, 0.05 until waitpid $pid, POSIX::WNOHANG;
    undef $child;
    my $signal = $? & 127 or return $? >> 8;
    my $why = $stopped ? 'stopped' : ($explain && $explain->($signal)) || "ended by signal $signal";
    return complain("$why; the old map stays\n");
}

# Of the group, if the child has made it, and else of the child alone.
sub stop {
    my ($pid) = @_;
    kill KILL => -$pid;
    kill KILL => $pid;
}

END {
    my $code = $?;
    unlink $Temporary, "$Temporary.part" if defined $Temporary;
    $? = $code;
}

1;
