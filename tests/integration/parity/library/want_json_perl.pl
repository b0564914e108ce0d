#!/usr/bin/perl
# WANT_JSON
use strict;
use JSON::PP;
local $/;
open(my $file, '<', $ARGV[0]) or die "no arguments: $!";
my $given = decode_json(<$file>);
my %kept = map { $_ => $given->{$_} } grep { !/^_ansible/ } keys %$given;
print encode_json({changed => JSON::PP::false, given => \%kept, check => $given->{_ansible_check_mode}}), "\n";
