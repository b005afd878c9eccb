package Test::Nginx::Socket::Client;

# The HTTP side of the runner: builds a block's requests, sends them piece by
# piece over one connection each, and takes the answers apart.

use v5.14;
use strict;
use warnings;

use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(sleep time);


# All requests of a block, as {packets => [{value, delay_before}], head}.  Each
# goes over a connection of its own.

sub requests {
    my ($block, $server, $expand) = @_;

    my @lists;

    if (defined $block->raw_request) {
        my $raw = $block->raw_request;

        @lists = ([ map { { value => $_ } } ref $raw ? @$raw : $raw ]);

    } elsif (defined $block->pipelined_requests) {
        @lists = pipelined($block, $server, $expand);

    } else {
        @lists = plain($block, $server);
    }

    my $delay = $block->raw_request_middle_delay;

    return map { finished($_, $delay) } @lists;
}


sub finished {
    my ($packets, $delay) = @_;

    for my $packet (@$packets[1 .. $#$packets]) {
        $packet->{delay_before} //= $delay;
    }

    my $text = join '', map { $_->{value} } @$packets;

    return { packets => $packets, head => scalar $text =~ /\A\s*HEAD\s/ };
}


sub pipelined {
    my ($block, $server, $expand) = @_;

    my $requests = $block->pipelined_requests;

    if (ref $requests ne 'ARRAY') {
        die "--- pipelined_requests must be an array\n";
    }

    my $text = '';

    for my $index (0 .. $#$requests) {
        my $connection = $index == $#$requests ? 'close' : 'keep-alive';
        my $headers = headers_for($block, $index);

        $text .= build([ $expand->($requests->[$index]) ], $headers,
                       $connection, $server->{name})->[0];
    }

    return [ { value => $text } ];
}


sub plain {
    my ($block, $server) = @_;

    my $requests = $block->request;

    die "no --- request section\n" if !defined $requests;

    if (!ref $requests) {
        # Empty lines and comments may stand before the request line.
        $requests =~ s/\A(?:\s+|[ \t]*\#[^\n]*\n)+//;
        $requests = [ $requests ];
    }

    my @lists;

    for my $index (0 .. $#$requests) {
        my $request = $requests->[$index];
        my @packets = map { ref $_ ? { %$_ } : { value => $_ } }
                      ref $request ? @$request : $request;

        my $headers = headers_for($block, $index);
        my $values = build([ map { $_->{value} } @packets ], $headers,
                           'close', $server->{name});

        $packets[$_]{value} = $values->[$_] for 0 .. $#packets;

        push @lists, \@packets;
    }

    return @lists;
}


sub headers_for {
    my ($block, $index) = @_;

    my $headers = $block->more_headers // '';

    if (ref $headers) {
        $headers = $headers->[$index]
            // die "--- more_headers has none for request $index\n";
    }

    my @lines = grep { /\S/ && !/\A\s*\#/ } split /\r?\n/, $headers;

    for my $line (@lines) {
        my ($key, $value) = split /:\s*/, $line, 2;
        $line = $key . ': ' . ($value // '');
    }

    return \@lines;
}


# Makes whole requests of "METHOD [URI [VERSION]]", newline, body: adds what is
# left out, the headers, and the body's length.  Packet borders stay where they
# were in the body, and as near as may be in the request line.

sub build {
    my ($values, $headers, $connection, $host) = @_;

    my $text = join '', @$values;

    $text =~ /\A([^\n]*\n?)(.*)\z/s;
    my ($line, $body) = ($1, $2);

    my ($method, $uri, $version) = $line =~ /(\S+)/g;

    die "the request line is empty\n" if !defined $method;

    my $start = join ' ', $method, $uri // '/', $version // 'HTTP/1.1';

    my @lines = @$headers;

    my $has = sub { my ($key) = @_; return grep { /\A\Q$key\E:/i } @lines };

    my $fixed = $has->('Content-Length')
                || grep { /\ATransfer-Encoding:\s*chunked/i } @lines;

    unshift @lines, "Connection: $connection" if !$has->('Connection');
    unshift @lines, "Host: $host" if !$has->('Host');

    my $stripped = 0;

    if ($body ne '' && !$fixed) {
        $body =~ s/\A(\s*)//;
        $stripped = length $1;
        $body =~ s/\s+\z//;

        push @lines, 'Content-Length: ' . length $body;
    }

    my $head = join "\r\n", $start, @lines, '', '';
    my $whole = $head . $body;

    my ($from, $offset, @result) = (0, 0);

    for my $value (@$values[0 .. $#$values - 1]) {
        $offset += length $value;

        my $to = $offset < length $line
                 ? $offset
                 : length($head) + $offset - length($line) - $stripped;

        $to = $from if $to < $from;
        $to = length $whole if $to > length $whole;

        push @result, substr $whole, $from, $to - $from;
        $from = $to;
    }

    push @result, substr $whole, $from;

    return \@result;
}


# Sends the packets and reads until the server closes.  Returns the bytes read
# and what went wrong, "timeout" where nothing moved for that long.

sub exchange {
    my ($request, $option) = @_;

    my $socket = connect_to($option)
        or return ('', "cannot connect to $option->{address}:$option->{port}:"
                       . " $!");

    my @packets = @{ $request->{packets} };
    my $current = shift @packets;
    my ($out, $answer) = ($current->{value}, '');
    my ($not_before, $shut) = (0, 0);

    local $SIG{PIPE} = 'IGNORE';

    my $select = IO::Select->new($socket);

    while (1) {
        if ($out eq '' && @packets) {
            $current = shift @packets;
            $out = $current->{value};
            $not_before = time + ($current->{delay_before} // 0);
        }

        if ($out eq '' && !@packets && !$shut && defined $option->{shutdown}) {
            $shut = 1;
            shutdown $socket, $option->{shutdown} =~ /(\d)/ ? $1 : 1;
        }

        my $held = $not_before - time;
        my $writer = $out ne '' && $held <= 0 ? $select : undef;
        my $wait = $out ne '' && $held > 0 ? $held : $option->{timeout};

        my ($readable, $writable)
            = IO::Select->select($select, $writer, undef, $wait);

        if (!$readable) {
            next if $out ne '' && $held > 0;
            return ($answer, 'timeout');
        }

        if (@$writable) {
            my $sent = syswrite $socket, $out;

            if (defined $sent) {
                substr $out, 0, $sent, '';

            } elsif (!$!{EAGAIN} && !$!{EINTR}) {
                # The server closed early; its answer may still be there.
                ($out, @packets) = ('');
            }
        }

        if (@$readable) {
            my $got = sysread $socket, my $chunk, 65536;

            if (!defined $got) {
                next if $!{EAGAIN} || $!{EINTR};
                last;
            }

            last if $got == 0;

            $answer .= $chunk;
        }
    }

    close $socket;

    return ($answer, undef);
}


sub connect_to {
    my ($option) = @_;

    my $end = time + $option->{timeout};

    while (1) {
        my $socket = IO::Socket::INET->new(
            PeerAddr => $option->{address},
            PeerPort => $option->{port},
            Proto    => 'tcp',
            Timeout  => $option->{timeout},
        );

        if ($socket) {
            $socket->blocking(0);
            return $socket;
        }

        return if time > $end || !$option->{alive}->();

        sleep $option->{sleep};
    }

    return;
}


# Takes one response off the bytes.  Returns it and what follows it.  Where the
# bytes are no response, its code is empty.

sub parse {
    my ($bytes, $head_request) = @_;

    my $response = { code => '', raw_headers => '', headers => {}, body => '' };

    if ($bytes !~ /\AHTTP\/\d\.\d (\d{3})[^\n]*\r?\n/) {
        $response->{body} = $bytes;
        return ($response, '');
    }

    $response->{code} = $1;

    if ($bytes !~ /\A(.*?\r\n)\r\n/s) {
        $response->{broken} = 'the response ends within its headers';
        return ($response, '');
    }

    $response->{raw_headers} = $1;

    my $body = substr $bytes, length($1) + 2;

    for my $line (split /\r\n/, $1) {
        next if $line !~ /\A([^:\s]+):\s*(.*?)\s*\z/;
        push @{ $response->{headers}{lc $1} }, $2;
    }

    if ($response->{code} =~ /\A(?:101|204|304)\z/) {
        $response->{body} = $body;
        return ($response, '');
    }

    if ($head_request) {
        return ($response, $body);
    }

    if (lc(header($response, 'Transfer-Encoding') // '') eq 'chunked') {
        return unchunk($response, $body);
    }

    my $length = header($response, 'Content-Length');

    if (defined $length && $length =~ /\A\d+\z/) {
        if (length $body < $length) {
            $response->{broken} = "the body ends after " . length($body)
                                  . " of $length bytes";
        }

        $response->{body} = substr $body, 0, $length;

        return ($response, length $body > $length ? substr($body, $length)
                                                  : '');
    }

    $response->{body} = $body;

    return ($response, '');
}


sub unchunk {
    my ($response, $body) = @_;

    while ($body =~ s/\A([0-9A-Fa-f]+)[^\r\n]*\r\n//) {
        my $size = hex $1;

        if ($size == 0) {
            # Trailers end with an empty line, as the headers do.
            if ($body =~ s/\A(?:[^\r\n]+\r\n)*\r\n//) {
                return ($response, $body);
            }

            last;
        }

        last if length $body < $size + 2
                || substr($body, $size, 2) ne "\r\n";

        $response->{body} .= substr $body, 0, $size;
        $body = substr $body, $size + 2;
    }

    $response->{broken} = 'the chunked body is broken off or malformed';

    return ($response, '');
}


sub header {
    my ($response, $name) = @_;

    my $values = $response->{headers}{lc $name};

    return $values ? join ', ', @$values : undef;
}

1;
