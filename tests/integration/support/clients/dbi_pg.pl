#!/usr/bin/perl
# For each line "HOST PORT USER PASSWORD DATABASE AUTHORITY CERTIFICATE KEY" (with tabs) of stdin: logs
# in, by TLS if there is an authority, asks, and prints "ok PORT WORD LINK" or "error CODE TEXT".
use strict;
use warnings;
use DBI;

my $question = "SELECT concat_ws(' ', current_setting('port'),
    (SELECT text FROM word WHERE id = ?),
    (SELECT CASE WHEN ssl THEN 'tls' ELSE 'plain' END FROM pg_stat_ssl
     WHERE pid = pg_backend_pid()))";
$| = 1;
while (my $line = <STDIN>) {
    chomp $line;
    my ($host, $port, $user, $password, $database, $authority, $certificate, $key) =
        split /\t/, $line, -1;
    my $source = "dbi:Pg:dbname=$database;host=$host;port=$port;connect_timeout=10;sslmode="
        . ($authority ne '' ? "verify-full;sslrootcert=$authority" : 'disable');
    $source .= ";sslcert=$certificate;sslkey=$key" if $certificate ne '';
    my $db = DBI->connect($source, $user, $password, { PrintError => 0, RaiseError => 0 });
    if (!$db) {
        print "error 0 ", $DBI::errstr =~ s/\n/ /gr, "\n";
        next;
    }
    $db->{RaiseError} = 1;
    print "ok ", $db->selectrow_array($question, undef, 2), "\n";
    $db->disconnect;
}
