#!/usr/bin/perl
# Writes a small country database as MaxMind's own are: geo_db.pl FILE NETWORK=CC...
# Needs Debian's libmaxmind-db-writer-perl. The file appears in one step.
use strict;
use warnings;

use MaxMind::DB::Writer::Tree;

my ($file, @networks) = @ARGV;
my %types = (country => 'map', registered_country => 'map', iso_code => 'utf8_string',
    names => 'map', en => 'utf8_string', geoname_id => 'uint32');
my $tree = MaxMind::DB::Writer::Tree->new(
    ip_version => 6, record_size => 28, database_type => 'Test-Country', languages => ['en'],
    description => { en => 'made by a test' }, alias_ipv6_to_ipv4 => 1,
    remove_reserved_networks => 0,    # the tests come from 127.0.0.0/8
    map_key_type_callback => sub { $types{ $_[0] } });
for my $entry (@networks) {
    my ($network, $code) = split /=/, $entry;
    my $country = { iso_code => $code, geoname_id => 1, names => { en => "Country of $code" } };
    $tree->insert_network($network, { country => $country, registered_country => $country });
}
open my $out, '>:raw', "$file.new" or die "$file.new: $!\n";
$tree->write_tree($out);
close $out or die "$file.new: $!\n";
rename "$file.new", $file or die "$file: $!\n";
