#!/usr/bin/env perl
open(my $file, '<', $ARGV[0]) or die "no arguments: $!";
my ($line) = grep { /greeting=/ } <$file>;
my ($greeting) = $line =~ /greeting=(\S+)/;
print qq({"changed": false, "greeting": "$greeting", "marked": "$ENV{PARITY_MARK}"}\n);
