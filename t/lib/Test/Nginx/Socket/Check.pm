package Test::Nginx::Socket::Check;

# The test points of one block.  Their number and order are those of CPAN's
# Test::Nginx::Socket, since plans count them.

use v5.14;
use strict;
use warnings;

use List::Util qw(min);
use Test::More ();
use Time::HiRes qw(sleep time);

use Test::Nginx::Socket::Client;

# How long a line may take to reach a log, in seconds.
my $PATIENCE = 2;


sub new {
    my ($class, %field) = @_;

    return bless { total => 1, %field }, $class;
}


# The value for one of several requests.

sub value {
    my ($self, $section, $index) = @_;

    my $value = $self->{block}->$section;

    return $value->[$index] if ref $value eq 'ARRAY';

    if (defined $value && $self->{total} > 1) {
        $self->{bail}->($self->{block}->name . " - --- $section must be an"
                        . " array, there are several requests");
    }

    return $value;
}


sub response {
    my ($self, $response, $index, $run) = @_;

    $self->status($response, $index);
    $self->raw_headers($response, $index);
    $self->headers($response, $index);
    $self->body($response, $index, $run);

    return;
}


sub status {
    my ($self, $response, $index) = @_;

    my $block = $self->{block};
    my $name = $block->name . ' - status code ok';

    if (defined $block->error_code_like) {
        my $pattern = $self->value('error_code_like', $index);
        Test::More::like($response->{code}, qr/$pattern/sm, $name);
        return;
    }

    my $expected = defined $block->error_code
                   ? $self->value('error_code', $index)
                   : 200;

    Test::More::is($response->{code}, $expected, $name);

    return;
}


sub raw_headers {
    my ($self, $response, $index) = @_;

    my $block = $self->{block};
    my $name = $block->name;

    if (defined $block->raw_response_headers_like) {
        my $pattern = $self->value('raw_response_headers_like', $index);
        Test::More::like($response->{raw_headers}, qr/$pattern/s,
                         "$name - raw resp headers like");
    }

    if (defined $block->raw_response_headers_unlike) {
        my $pattern = $self->value('raw_response_headers_unlike', $index);
        Test::More::unlike($response->{raw_headers}, qr/$pattern/s,
                           "$name - raw resp headers unlike");
    }

    return;
}


sub headers {
    my ($self, $response, $index) = @_;

    my $block = $self->{block};
    my $name = $block->name;
    my $server = $self->{server};

    if (defined $block->response_headers) {
        for (header_lines($self->value('response_headers', $index))) {
            my ($key, $expected) = @$_;

            if (!defined $expected) {
                Test::More::unlike($response->{raw_headers},
                                   qr/^\s*\Q$key\E\s*:/ms,
                                   "$name - header $key not present");
                next;
            }

            $expected = $server->expand_ports($expected);

            my $got = Test::Nginx::Socket::Client::header($response, $key);
            Test::More::is($got // '', $expected, "$name - header $key ok");
        }

    } elsif (defined $block->response_headers_like) {
        for (header_lines($self->value('response_headers_like', $index))) {
            my ($key, $pattern) = @$_;

            my $got = Test::Nginx::Socket::Client::header($response, $key);
            Test::More::like($got // '', qr/^$pattern$/,
                             "$name - header $key like ok");
        }
    }

    return;
}


# "Key: value" and "! Key" lines.  A key counts once, its last line wins.

sub header_lines {
    my ($text) = @_;

    my (@order, %value);

    for my $line (split /\n/, $text // '') {
        $line =~ s/\A\s+|\s+\z//g;
        next if $line eq '';

        my ($key, $value) = $line =~ /\A!\s*(.*)\z/
                            ? ($1, undef)
                            : split /\s*:\s*/, $line, 2;

        push @order, $key if !exists $value{$key};
        $value{$key} = $value;
    }

    return map { [ $_, $value{$_} ] } @order;
}


sub body {
    my ($self, $response, $index, $run) = @_;

    my $block = $self->{block};
    my $server = $self->{server};
    my $name = $block->name;
    my $body = $response->{body};
    my $which = "(repeated req $run, req $index)";

    if (defined $block->response_body) {
        my $expected = $self->value('response_body', $index);

        if (defined $expected && !ref $expected) {
            $expected = $self->{expand}->($server->expand_ports($expected));
        }

        $self->{is_str}->($body, $expected, "$name - response_body $which");
        return;
    }

    if (defined $block->response_body_like) {
        my $pattern = $server->expand_ports(
                          $self->value('response_body_like', $index));
        Test::More::like($body, qr/$pattern/s,
                         "$name - response_body_like $which");

    } elsif (defined $block->response_body_unlike) {
        my $pattern = $server->expand_ports(
                          $self->value('response_body_unlike', $index));
        Test::More::unlike($body, qr/$pattern/s,
                           "$name - response_body_unlike $which");
    }

    return;
}


sub died {
    my ($self, $status) = @_;

    my $name = $self->{block}->name;
    my $must_die = $self->{block}->must_die;

    if ($status == -1) {
        Test::More::fail("$name - nginx could not be run");

    } elsif ($status & 127) {
        Test::More::fail("$name - nginx was killed by signal "
                         . ($status & 127));

    } elsif ($must_die =~ /\A\s*(\d+)\s*\z/) {
        Test::More::is($status >> 8, $1, "$name - the expected exit code");

    } else {
        Test::More::isnt($status, 0, "$name - die as expected");
    }

    return;
}


sub error_log {
    my ($self, $run) = @_;

    my $block = $self->{block};
    my $server = $self->{server};
    my $wanted = defined $block->error_log || defined $block->no_error_log
                 || defined $block->grep_error_log;

    # The position moves with every request, asked for or not, so that each
    # request of several sees its own lines only.
    my $lines = $self->wait_for(
        sub { $server->error_log_lines },
        $wanted,
        patterns(scalar $block->error_log));

    if (!$self->{accumulate}) {
        $server->advance_error_log($lines);
    }

    if (defined $block->grep_error_log) {
        $self->grep_error_log($lines, $run);
    }

    my $where = "in error.log (req $run)";

    $self->match_lines($lines, 'error_log', $where);
    $self->match_no_lines($lines, 'no_error_log', $where);

    for my $line (grep { /\bAssertion .*?failed\b/ } @$lines) {
        chomp $line;
        Test::More::fail($block->name . " - $line");
    }

    return;
}


sub access_log {
    my ($self, $run) = @_;

    my $block = $self->{block};

    return if !defined $block->access_log && !defined $block->no_access_log;

    my $lines = $self->wait_for(
        sub { $self->{server}->access_log_lines },
        1,
        patterns(scalar $block->access_log));

    my $where = "in access.log (req $run)";

    $self->match_lines($lines, 'access_log', $where);
    $self->match_no_lines($lines, 'no_access_log', $where);

    return;
}


sub shutdown_error_log {
    my ($self) = @_;

    my $lines = $self->{server}->error_log_lines;

    $self->match_lines($lines, 'shutdown_error_log', 'in error.log');
    $self->match_no_lines($lines, 'no_shutdown_error_log', 'in error.log');

    return;
}


# Where nginx goes on after the block there is no shutdown to look at.

sub skip_shutdown_error_log {
    my ($self) = @_;

    for my $section (qw(shutdown_error_log no_shutdown_error_log)) {
        my $count = () = patterns(scalar $self->{block}->$section);

        next if $count == 0;

        SKIP: {
            Test::More::skip($self->{block}->name . " - $section", $count);
        }
    }

    return;
}


sub grep_error_log {
    my ($self, $lines, $run) = @_;

    my $block = $self->{block};
    my $name = $block->name . " - grep_error_log_out (req $run)";
    my $pattern = $block->grep_error_log;
    my $expected = $block->grep_error_log_out;

    if (!defined $expected) {
        $self->{bail}->($block->name . ' - no --- grep_error_log_out');
    }

    $pattern = $pattern->[$run] if ref $pattern eq 'ARRAY';
    $expected = $expected->[$run] if ref $expected eq 'ARRAY';

    my $regex = ref $pattern ? $pattern : qr/\Q$pattern\E/;
    my @found = map { /($regex)/ ? $1 : () } @$lines;

    my $out = join '', map { "$_\n" } grep { !/\n/ } @found;

    $self->{is_str}->($out, $self->{expand}->($expected), $name);

    return;
}


# Lines of a log.  Waits until every pattern has its line; with none to wait
# for, a moment for lines that should not come.

sub wait_for {
    my ($self, $read, $wanted, @patterns) = @_;

    my $pause = $self->{server}{sleep};

    sleep $pause * 3 if $wanted;

    my $end = time + $PATIENCE;
    my $lines = $read->();

    while (grep { my $p = $_; !grep { matches($_, $p) } @$lines } @patterns) {
        last if time > $end;

        sleep $pause;
        $lines = $read->();
    }

    return $lines;
}


sub match_lines {
    my ($self, $lines, $section, $where) = @_;

    for my $pattern (patterns(scalar $self->{block}->$section)) {
        my $found = grep { matches($_, $pattern) } @$lines;

        Test::More::ok($found, $self->{block}->name
                               . qq{ - pattern "$pattern" matches a line }
                               . $where);
    }

    return;
}


sub match_no_lines {
    my ($self, $lines, $section, $where) = @_;

    for my $pattern (patterns(scalar $self->{block}->$section)) {
        my ($first) = grep { matches($lines->[$_], $pattern) } 0 .. $#$lines;

        my $ok = Test::More::ok(!defined $first, $self->{block}->name
                           . qq{ - pattern "$pattern" matches no line $where});

        if (!$ok) {
            my $last = min($first + 9, $#$lines);
            Test::More::diag(join '', @$lines[$first .. $last]);
        }
    }

    return;
}


# A section's patterns: literal lines, one regular expression, or an array of
# either.

sub patterns {
    my ($value) = @_;

    return if !defined $value;
    return grep { defined } @$value if ref $value eq 'ARRAY';
    return $value if ref $value;
    return grep { length } split /\n+/, $value;
}


sub matches {
    my ($line, $pattern) = @_;

    return ref $pattern ? $line =~ $pattern : index($line, $pattern) >= 0;
}

1;
