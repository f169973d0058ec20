#!/usr/bin/perl
# dbi.pl DRIVER: for each line "HOST PORT USER PASSWORD DATABASE AUTHORITY" (with tabs) of stdin it logs
# in, by TLS if there is an authority, asks, and prints "ok PORT WORD" or "error CODE TEXT".
use strict;
use warnings;
use DBI;

my $driver = $ARGV[0];
my $prefix = lc $driver;
$| = 1;
while (my $line = <STDIN>) {
    chomp $line;
    my ($host, $port, $user, $password, $database, $authority) = split /\t/, $line, -1;
    my $source = "DBI:$driver:database=$database;host=$host;port=$port;${prefix}_connect_timeout=10";
    if ($authority ne '') {
        $source .= ";${prefix}_ssl=1;${prefix}_ssl_ca_file=$authority";
        # DBD::mysql refuses to demand TLS of the library that Debian gives it, but takes it.
        $source .= $driver eq 'mysql' ? ';mysql_ssl_optional=1' : ';mariadb_ssl_verify_server_cert=1';
    }
    my $db = DBI->connect($source, $user, $password, { PrintError => 0, RaiseError => 0 });
    if (!$db) {
        print "error ", $DBI::err, " ", $DBI::errstr =~ s/\n/ /gr, "\n";
        next;
    }
    $db->{RaiseError} = 1;
    my ($where) = $db->selectrow_array('SELECT @@port');
    my $statement =
        $db->prepare('SELECT text FROM word WHERE id = ?', { "${prefix}_server_prepare" => 1 });
    $statement->execute(2);
    my ($word) = $statement->fetchrow_array;
    $statement->finish;
    print "ok $where $word\n";
    $db->disconnect;
}
