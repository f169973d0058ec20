#!/usr/bin/perl
# dbi.pl DRIVER HOST PORT USER PASSWORD DATABASE: logs in, asks, and prints "ok PORT WORD" or "error CODE TEXT".
use strict;
use warnings;
use DBI;

my ($driver, $host, $port, $user, $password, $database) = @ARGV;
my $prefix = lc $driver;
my $db = DBI->connect(
    "DBI:$driver:database=$database;host=$host;port=$port;${prefix}_connect_timeout=10",
    $user, $password, { PrintError => 0, RaiseError => 0 });
if (!$db) {
    print "error ", $DBI::err, " ", $DBI::errstr, "\n";
    exit 0;
}
$db->{RaiseError} = 1;
my ($where) = $db->selectrow_array('SELECT @@port');
my $statement = $db->prepare('SELECT text FROM word WHERE id = ?', { "${prefix}_server_prepare" => 1 });
$statement->execute(2);
my ($word) = $statement->fetchrow_array;
$statement->finish;
print "ok $where $word\n";
$db->disconnect;
