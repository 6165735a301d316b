# What Perl's two clients can ask of a server. Usage: perl_client.pl ADDRESS [proxy]
use strict;
use warnings;
use Cache::Memcached;
use Cache::Memcached::Fast;

my $address = shift;

sub ok {
    my ($good) = @_;
    my (undef, undef, $at) = caller;
    die "line $at\n" unless $good;
}

for my $class ("Cache::Memcached", "Cache::Memcached::Fast") {
    my $server = $class eq "Cache::Memcached::Fast" && $address =~ m{^/} ? "unix:$address" : $address;
    $server =~ s{^unix:}{} if $class eq "Cache::Memcached::Fast";
    my $c = $class->new({servers => [$server], namespace => "$class:"});
    ok($c->set("a", "text") && $c->get("a") eq "text");
    ok(!defined $c->get("nothing"));
    ok($c->set("a", {x => [1, 2, 3]}) && $c->get("a")->{x}[2] == 3);
    ok(!$c->add("a", 1) && $c->add("b", 1));
    ok(!$c->replace("nothing", 1) && $c->replace("b", 10));
    ok($c->incr("b", 5) == 15 && $c->decr("b", 1) == 14);
    ok(!$c->incr("nothing"));
    ok($c->append("b", "7") && $c->prepend("b", "2") && $c->get("b") eq "2147");
    ok($c->set("gone", 1, -1) && !defined $c->get("gone"));
    $c->set("m$_", "v$_") for 1 .. 300;
    my $many = $c->get_multi((map { "m$_" } 1 .. 300), "nothing");
    ok(keys(%$many) == 300 && $many->{m77} eq "v77");
    ok($c->delete("a") && !$c->delete("a"));
    my $large = "0123456789" x 90_000;
    ok($c->set("large", $large) && $c->get("large") eq $large);
    $c->set("q$_", "x" x $_) for 1 .. 200; # no result is looked at: it may be asked for none
    ok($c->get("q200") eq "x" x 200);
    if ($class eq "Cache::Memcached::Fast") {
        my $g = $c->gets("b");
        ok($c->cas("b", $g->[0], "new") && !$c->cas("b", $g->[0], "newer") && $c->get("b") eq "new");
        ok($c->touch("b", 100) && !$c->touch("nothing", 100));
        ok(values(%{$c->server_versions}) == 1);
    }
    $c->flush_all;
    ok(!defined $c->get("m5"));
    $c->disconnect_all;
}
