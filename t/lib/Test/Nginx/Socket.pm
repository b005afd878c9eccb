package Test::Nginx::Socket;

# A small runner for test files in the declarative format of CPAN's
# Test::Nginx::Socket, for machines that do not have that module.  It knows the
# sections that this project's suites use and dies on every other one.  See the
# documentation at the end for what it has and what it adds.

use v5.14;
use strict;
use warnings;

use Test::Base -base;

use List::Util qw(shuffle);
use Test::LongString;

use Test::Nginx::Socket::Check;
use Test::Nginx::Socket::Client;
use Test::Nginx::Socket::Server;

our $VERSION = '1.0';

our @EXPORT = qw(
    add_block_preprocessor add_cleanup_handler add_response_body_check
    add_test_cleanup_handler bail_out check_accum_error_log config_preamble
    env_to_nginx html_dir is_str log_level master_off master_on
    master_process_enabled no_long_string no_root_location no_shuffle
    repeat_each run_tests server_addr server_name server_port
    server_port_for_client server_root timeout use_hup worker_connections
    workers
);

my %KNOWN_SECTION = map { $_ => 1 } qw(
    ONLY SKIP LAST
    main_config post_main_config http_config config server_name log_level
    user_files post_setup_server_root init
    request pipelined_requests raw_request raw_request_middle_delay
    more_headers timeout abort shutdown wait
    error_code error_code_like
    raw_response_headers_like raw_response_headers_unlike
    response_headers response_headers_like
    response_body response_body_like response_body_unlike ignore_response
    error_log no_error_log grep_error_log grep_error_log_out
    access_log no_access_log shutdown_error_log no_shutdown_error_log
    must_die suppress_stderr
);

# Modes of the real module that this one does not have.  Whoever asks for one
# must not get a run without it.
my @UNKNOWN_MODE = qw(
    TEST_NGINX_BENCHMARK TEST_NGINX_CHECK_LEAK TEST_NGINX_USE_HTTP2
    TEST_NGINX_USE_HTTP3 TEST_NGINX_USE_RR TEST_NGINX_USE_STAP
    TEST_NGINX_USE_VALGRIND TEST_NGINX_NO_NGINX_MANAGER
    TEST_NGINX_IGNORE_MISSING_DIRECTIVES
);

my $server = Test::Nginx::Socket::Server->new;

my $shuffle = !$ENV{TEST_NGINX_NO_SHUFFLE};
my $timeout = $ENV{TEST_NGINX_TIMEOUT} || 3;
my $repeat = 1;
my $long_string = 1;
my $accumulate = 0;

my (@preprocessors, @body_checks, @cleanups, @test_cleanups);
my (@problems, $previous_config, $owner);

$ENV{TEST_NGINX_SERVER_PORT} //= $server->{port};
$ENV{TEST_NGINX_SERVER_ROOT} = $server->{root};

$owner = $$;

# An interrupted run must leave no nginx behind, and END does not run on an
# unhandled signal.
for my $signal (qw(INT TERM HUP)) {
    $SIG{$signal} //= sub { exit 1 };
}


sub run_tests {
    for my $mode (@UNKNOWN_MODE) {
        die "$mode is not supported by this runner\n" if $ENV{$mode};
    }

    my @blocks = blocks();

    check_sections($_) for @blocks;

    for my $block ($shuffle ? shuffle(@blocks) : @blocks) {
        $_->($block) for @preprocessors;

        $block->set_value(name => "$0 " . $block->name);

        run_block($block);

        $_->($block) for @test_cleanups;
    }

    return;
}


sub check_sections {
    my ($block) = @_;

    for my $section (@{ $block->{_section_order}[0] }) {
        next if $KNOWN_SECTION{$section};

        die sprintf qq{%s: unknown section "%s" in block "%s"\n},
                    $0, $section, $block->name;
    }

    return;
}


sub run_block {
    my ($block) = @_;

    my $name = $block->name;
    my $ports = {};
    my $config = expand(scalar $block->config, $name, $ports);

    if (!defined $config) {
        $config = $previous_config
            // bail_out("$name - no --- config section, and none before it");
    }

    my $must_die = defined $block->must_die;

    my $reuse = !$must_die
                && $server->{running}
                && defined $previous_config
                && $config eq $previous_config
                && ($ENV{TEST_NGINX_FORCE_RESTART_ON_TEST} // 1) eq '0';

    $previous_config = $config;

    if ($must_die) {
        run_must_die($block, $config, $ports);
        return;
    }

    if (!$reuse) {
        $server->serve($block, $config, $ports)
            or bail_out("$name - cannot start nginx: $server->{failure}");
    }

    evaluate(scalar $block->init, "$name - init");

    my $checker = checker($block, $ports);

    for my $run (0 .. $repeat - 1) {
        $server->write_user_files($block, $ports) if $run > 0;
        run_requests($block, $checker, $ports, $run);
    }

    finish_block($block, $checker);

    return;
}


sub run_must_die {
    my ($block, $config, $ports) = @_;

    my $checker = checker($block, $ports);

    $server->stop;
    $server->set_up($block, $config, $ports);

    for my $run (0 .. $repeat - 1) {
        my $status = $server->start;

        $checker->died($status);
        $checker->error_log($run);

        if ($status == 0) {
            $server->stop;
        }
    }

    note_problems($block);

    return;
}


sub run_requests {
    my ($block, $checker, $ports, $run) = @_;

    my $name = $block->name;

    my @requests = eval {
        Test::Nginx::Socket::Client::requests($block, $server,
                                    sub { expand($_[0], $name, $ports) });
    };

    bail_out("$name - $@") if $@;

    my $pipelined = $block->pipelined_requests;
    my $total = $pipelined ? scalar @$pipelined : scalar @requests;
    my $wait = $block->wait;
    my ($index, $rest) = (0, undef);

    $checker->{total} = $total;

    while ($index < $total) {
        if (!defined $rest) {
            $rest = exchange($block, $requests[$index]);
        }

        if (!defined $block->ignore_response) {
            my $head = $requests[$pipelined ? 0 : $index]{head};
            my ($response, $left)
                = Test::Nginx::Socket::Client::parse($rest, $head);

            if (defined $response->{broken}) {
                fail("$name - $response->{broken}");
            }

            $checker->response($response, $index, $run);

            $_->($block, $response->{body}, $index, $run, 0) for @body_checks;

            $rest = $left;
        }

        if (!$pipelined) {
            $rest = undef;
        }

        $index++;

        if ($wait) {
            Time::HiRes::sleep($wait);
        }

        $checker->error_log($run);

        if (!defined $block->ignore_response) {
            $checker->access_log($run);
        }
    }

    return;
}


sub exchange {
    my ($block, $request) = @_;

    my $limit = seconds(scalar $block->timeout) // $timeout;

    my ($bytes, $error) = Test::Nginx::Socket::Client::exchange($request, {
        address  => $server->{address},
        port     => $server->{client_port},
        timeout  => $limit,
        shutdown => scalar $block->shutdown,
        sleep    => $server->{sleep},
        alive    => sub { $server->alive },
    });

    return $bytes if !defined $error;

    if ($error eq 'timeout') {
        if (!defined $block->abort) {
            fail("ERROR: client socket timed out - " . $block->name);
        }

        return $bytes;
    }

    fail($block->name . " - $error");

    return $bytes;
}


sub finish_block {
    my ($block, $checker) = @_;

    my $looks_back = defined $block->shutdown_error_log
                     || defined $block->no_shutdown_error_log;

    if (!$ENV{TEST_NGINX_NO_CLEAN} && !$server->{hup}
        && ($ENV{TEST_NGINX_FORCE_RESTART_ON_TEST} // 1) ne '0')
    {
        $server->stop;
        $checker->shutdown_error_log if $looks_back;

    } elsif ($looks_back) {
        $checker->skip_shutdown_error_log;
    }

    note_problems($block);

    return;
}


# What no block asked about: alerts, crashes, sanitizer reports, an nginx that
# is gone or does not go.  Such a find is no test point, since files are planned
# for a runner that does not look; it makes the whole run fail at its end.

sub note_problems {
    my ($block) = @_;

    my @found = $server->problems($block ? allowed_lines($block) : ());
    my $where = $block ? $block->name : "$0 at its end";

    for my $line (@found) {
        diag("PROBLEM: $where - $line");
    }

    push @problems, @found;

    $server->save_error_log($where);

    return;
}


# Lines that the block itself expects are no surprise.

sub allowed_lines {
    my ($block) = @_;

    my @patterns = map { Test::Nginx::Socket::Check::patterns($_) }
                   map { scalar $block->$_ }
                   qw(error_log shutdown_error_log);

    if (defined $block->must_die) {
        push @patterns, qr/\A\S+ \S+ \[emerg\]/;
    }

    return @patterns;
}


sub checker {
    my ($block, $ports) = @_;

    my $name = $block->name;

    return Test::Nginx::Socket::Check->new(
        block      => $block,
        server     => $server,
        accumulate => $accumulate,
        is_str     => \&is_str,
        bail       => \&bail_out,
        expand     => sub { expand($_[0], $name, $ports) },
    );
}


sub expand {
    my ($text, $name, $ports) = @_;

    return $text if !defined $text || ref $text;

    $text =~ s{ \$ (TEST_NGINX_[_A-Z0-9]+) }{
        my $variable = $1;

        $variable =~ /\ATEST_NGINX_RAND_PORT_\d+\z/
            ? $ports->{$variable} //= $server->free_port(values %$ports)
            : $ENV{$variable} // bail_out("$name - no environment $variable");
    }gex;

    return $text;
}


sub evaluate {
    my ($code, $what) = @_;

    return if !defined $code;

    ## no critic (ProhibitStringyEval)
    eval "package main; $code; 1" or bail_out("$what failed: $@");

    return;
}


sub seconds {
    my ($text) = @_;

    return if !defined $text;

    my ($value, $unit) = $text =~ /\A\s*([\d.]+)\s*(ms|s)?\s*\z/
        or bail_out(qq{bad time "$text"});

    return defined $unit && $unit eq 'ms' ? $value / 1000 : $value;
}


sub is_str {
    my ($got, $expected, $name) = @_;

    if (ref $expected eq 'Regexp') {
        return like($got, $expected, $name);
    }

    return $long_string ? is_string($got, $expected, $name)
                        : is($got, $expected, $name);
}


sub bail_out {
    my (@message) = @_;

    clean_up();

    Test::More::BAIL_OUT(join '', @message);

    return;
}


sub clean_up {
    $_->() for splice @cleanups;

    if (!$ENV{TEST_NGINX_NO_CLEAN}) {
        $server->stop;
    }

    return;
}


END {
    if (defined $owner && $owner == $$) {
        my $status = $?;

        clean_up();
        note_problems() if !$ENV{TEST_NGINX_NO_CLEAN};

        $server->remove_random_root;

        if (@problems) {
            diag(scalar(@problems) . " problem(s) that no block expected, see"
                 . " above");
        }

        $? = $status || (@problems ? 1 : 0);
    }
}


# Settings.  Those with an argument answer the present value without one.

sub setting {
    my ($variable, @value) = @_;

    if (@value) {
        $$variable = $value[0];
    }

    return $$variable;
}

sub repeat_each            { return setting(\$repeat, @_) }
sub timeout                { return setting(\$timeout, @_) }
sub workers                { return setting(\$server->{workers}, @_) }
sub worker_connections     { return setting(\$server->{connections}, @_) }
sub log_level              { return setting(\$server->{log_level}, @_) }
sub server_name            { return setting(\$server->{name}, @_) }
sub server_addr            { return setting(\$server->{address}, @_) }
sub server_port            { return setting(\$server->{port}, @_) }
sub server_port_for_client { return setting(\$server->{client_port}, @_) }

sub master_process_enabled {
    my (@value) = @_;

    return setting(\$server->{master}, map { $_ ? 'on' : 'off' } @value);
}

sub master_on             { $server->{master} = 'on'; return }
sub master_off            { $server->{master} = 'off'; return }
sub no_shuffle            { $shuffle = 0; return }
sub no_long_string        { $long_string = 0; return }
sub no_root_location      { $server->{root_location} = 0; return }
sub check_accum_error_log { $accumulate = 1; return }
sub use_hup               { $server->{hup} = 1; return }

sub config_preamble { $server->{preamble} = $_[0]; return }

sub server_root { return $server->{root} }
sub html_dir    { return "$server->{root}/html" }

sub env_to_nginx {
    my (@variables) = @_;

    for my $variable (@variables) {
        if ($variable !~ /\A[A-Za-z_][^\n]*\z/) {
            croak(qq{env_to_nginx: bad variable "$variable"});
        }

        push @{ $server->{env} }, $variable;
    }

    return;
}

sub add_block_preprocessor(&) {
    my ($code) = @_;

    unshift @preprocessors, $code;
    return;
}

sub add_response_body_check {
    my ($code) = @_;

    push @body_checks, $code;
    return;
}

sub add_cleanup_handler {
    my ($code) = @_;

    unshift @cleanups, $code;
    return;
}

sub add_test_cleanup_handler {
    my ($code) = @_;

    unshift @test_cleanups, $code;
    return;
}

1;

__END__

=head1 NAME

Test::Nginx::Socket - a small runner for test files in CPAN's format

=head1 SYNOPSIS

    use Test::Nginx::Socket;

    plan tests => repeat_each() * blocks() * 2;
    run_tests();

    __DATA__

    === TEST 1: a block
    --- config
        location /hello {
            return 200 "hello\n";
        }
    --- request
    GET /hello
    --- response_body
    hello

=head1 DESCRIPTION

Files written for CPAN's Test::Nginx::Socket run under this module unchanged,
as far as they use the sections, functions and environment variables that are
named here, and make the same test points.  It needs Debian's
F<libtest-base-perl> and F<libtest-longstring-perl> only.  It is put on Perl's
path where CPAN's module is not installed; the files do not know which one runs
them.

=head2 Sections

C<main_config>, C<post_main_config>, C<http_config>, C<config>, C<server_name>,
C<log_level>, C<user_files>, C<post_setup_server_root>, C<init>; C<request>,
C<pipelined_requests>, C<raw_request>, C<raw_request_middle_delay>,
C<more_headers>, C<timeout>, C<abort>, C<shutdown>, C<wait>; C<error_code>,
C<error_code_like>, C<raw_response_headers_like>,
C<raw_response_headers_unlike>, C<response_headers>, C<response_headers_like>,
C<response_body>, C<response_body_like>, C<response_body_unlike>,
C<ignore_response>, C<error_log>, C<no_error_log>, C<grep_error_log>,
C<grep_error_log_out>, C<access_log>, C<no_access_log>, C<shutdown_error_log>,
C<no_shutdown_error_log>, C<must_die>, C<suppress_stderr>; C<ONLY>, C<SKIP>,
C<LAST>.  Any other section is an error before the first block runs.

=head2 Environment

C<TEST_NGINX_BINARY>, C<TEST_NGINX_LOAD_MODULES>, C<TEST_NGINX_SERVROOT>,
C<TEST_NGINX_PORT>, C<TEST_NGINX_SERVER_PORT>, C<TEST_NGINX_CLIENT_PORT>,
C<TEST_NGINX_RANDOMIZE>, C<TEST_NGINX_SLEEP>, C<TEST_NGINX_TIMEOUT>,
C<TEST_NGINX_NO_SHUFFLE>, C<TEST_NGINX_NO_CLEAN>, C<TEST_NGINX_USE_HUP>,
C<TEST_NGINX_FORCE_RESTART_ON_TEST>, C<TEST_NGINX_FAST_SHUTDOWN>,
C<TEST_NGINX_LOG_LEVEL>, C<TEST_NGINX_MASTER_PROCESS>,
C<TEST_NGINX_WORKER_USER>, C<TEST_NGINX_EVENT_TYPE>,
C<TEST_NGINX_POSTPONE_OUTPUT>, C<TEST_NGINX_REUSE_PORT>,
C<TEST_NGINX_ERROR_LOG>, C<TEST_NGINX_VERBOSE>, as in CPAN's module.  Modes of
that module that are missing here are refused.

=head2 What differs

=over

=item *

Without a port in the environment it takes a free one, not 1984, and nginx
listens on 127.0.0.1 only.

=item *

nginx is stopped at the end of each block, by its pid, and must be gone then.

=item *

After each block the error log and the standard error of nginx must be without
alerts, emergencies (but for C<must_die>), crashes and sanitizer reports, save
for lines that the block's own C<error_log> names.  What is found is printed
and makes the exit status of the run 1; it is no test point, so that plans are
the same under both modules.

=item *

Patterns of C<error_log> and C<access_log> are waited for, at most two seconds.

=back

=cut
