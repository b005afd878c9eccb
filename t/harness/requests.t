#!/usr/bin/perl

# What the runner sends and how it reads answers.

use strict;
use warnings;

use FindBin qw($Bin);
use lib "$Bin/../lib";

use Test::More;
use Test::Nginx::Socket::Client;

my $head = "Host: h\r\nConnection: close\r\n";

sub built {
    my ($values, @headers) = @_;

    return Test::Nginx::Socket::Client::build($values, \@headers, 'close',
                                              'h');
}

sub parsed {
    my ($bytes, $head_request) = @_;

    return Test::Nginx::Socket::Client::parse($bytes, $head_request);
}


is_deeply(built(["GET\n"]), ["GET / HTTP/1.1\r\n$head\r\n"],
          'URI and version have defaults');
is_deeply(built(["PUT /a HTTP/1.0\n"]), ["PUT /a HTTP/1.0\r\n$head\r\n"],
          'and are kept where given');
is_deeply(built(["GET /\n"], 'Host: other', 'connection: upgrade'),
          ["GET / HTTP/1.1\r\nHost: other\r\nconnection: upgrade\r\n\r\n"],
          'headers of the block replace the usual ones');
is_deeply(built(["POST /\n  some body\n\n"]),
          ["POST / HTTP/1.1\r\n${head}Content-Length: 9\r\n\r\nsome body"],
          'a body gets its length');
is_deeply(built(["POST /\n body\n"], 'Content-Length: 1'),
          ["POST / HTTP/1.1\r\n${head}Content-Length: 1\r\n\r\n body\n"],
          'unless the block says one');
is_deeply(built(["POST /\n0\r\n\r\n"], 'Transfer-Encoding: chunked'),
          ["POST / HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n"
           . "0\r\n\r\n"],
          'or sends chunks');

my $packets = built(["POST /\nna", "me=", "foo"]);

is(join('', @$packets),
   "POST / HTTP/1.1\r\n${head}Content-Length: 8\r\n\r\nname=foo",
   'packets make the same request');
is_deeply([ map { substr $_, -3 } @$packets ], ["\nna", "me=", "foo"],
          'and are cut where the block cut them');


my ($response, $left) = parsed("HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\n"
                               . "Content-Length: 3\r\n\r\nabcHTTP/1.1 ");

is($response->{code}, 200, 'status');
is($response->{body}, 'abc', 'body by its length');
is($left, 'HTTP/1.1 ', 'what follows is left');
is(Test::Nginx::Socket::Client::header($response, 'A'), '1, 2',
   'a header that comes twice');
is($response->{broken}, undef, 'nothing is broken');

($response) = parsed("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc");
like($response->{broken}, qr/3 of 4 bytes/, 'a body that ends early');

($response) = parsed("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", 1);
is($response->{broken}, undef, 'HEAD has no body');

($response) = parsed("HTTP/1.1 200 OK\r\nConte");
like($response->{broken}, qr/within its headers/, 'headers that end early');

($response, $left) = parsed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                            . "\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n"
                            . "0\r\nT: 1\r\n\r\nmore");
is($response->{body}, 'abc0123456789', 'chunks');
is($left, 'more', 'and what follows the last');

for my $bad ("3\r\nab", "3\r\nabcd\r\n", "3\r\nabc\r\n", "x\r\n", "0\r\n") {
    ($response) = parsed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                         . "\r\n$bad");
    ok($response->{broken}, 'bad chunks: ' . ($bad =~ s/\r\n/|/gr));
}

($response) = parsed("HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x02hi");
is($response->{code}, 101, 'a handshake');
is($response->{body}, "\x81\x02hi", 'and the frames after it');

($response) = parsed("not HTTP");
is($response->{code}, '', 'no status where there is no response');

done_testing();
