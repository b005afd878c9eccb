#!/usr/bin/perl

# What no block asked about makes a run fail, without being a test point.

use strict;
use warnings;

use FindBin qw($Bin);
use lib "$Bin/../lib";

use HarnessRun qw(run_blocks run_file);
use Test::More;

my $block = <<'EOF';
=== one
--- config
    location /hello {
        return 200 "hello\n";
    }
--- request
GET /hello
EOF

my $stamp = '2026/01/02 03:04:05';

# Appends lines to a log of nginx, as nginx or a sanitizer would.
sub logged {
    my ($line, $log) = @_;

    $log //= 'error.log';

    return <<"EOF";
$block--- init
open my \$log, '>>', Test::Nginx::Socket::server_root() . '/logs/$log';
print {\$log} "$line\\n";
close \$log;
EOF
}

my @bad = (
    ['an alert', "$stamp [alert] 1#1: open socket #5 left"],
    ['an emergency', "$stamp [emerg] 1#1: no memory"],
    ['a crash', "worker process 7 exited on signal 11"],
    ['AddressSanitizer', '==7==ERROR: AddressSanitizer: heap-use-after-free'],
    ['LeakSanitizer', '==7==ERROR: LeakSanitizer: detected memory leaks'],
    ['UBSan', 'a/b.c:12:7: runtime error: shift exponent 33 is too large'],
    ['a summary', 'SUMMARY: UndefinedBehaviorSanitizer: undefined'],
);

for my $case (@bad) {
    my ($name, $line) = @$case;

    my $run = run_blocks(logged($line));

    isnt($run->{status}, 0, "$name in the error log fails the run");
    like($run->{out}, qr/PROBLEM: .* one - \Q$line\E/, "$name is shown");
    like($run->{out}, qr/^1\.\.1$/m, "$name is no test point");
    unlike($run->{out}, qr/^not ok/m, "$name fails none either");
}

my $run = run_blocks(logged($bad[3][1], 'stderr.log'));

isnt($run->{status}, 0, 'standard error is looked at too');

for my $line ("$stamp [error] 1#1: an error", "$stamp [crit] 1#1: critical",
              "$stamp [info] 1#1: client said [alert] and [emerg]")
{
    $run = run_blocks(logged($line));
    is($run->{status}, 0, "no problem: $line") or diag($run->{out});
}

$run = run_blocks(logged($bad[0][1]) . "--- error_log\nleft\n");
is($run->{status}, 0, 'what the block expects is no problem')
    or diag($run->{out});

$run = run_blocks(logged($bad[0][1]) . "--- error_log\n: open socket\n\n"
                  . logged($bad[1][1]) =~ s/one/two/r);
like($run->{out}, qr/two - .*no memory/, 'each block is looked at');
unlike($run->{out}, qr/PROBLEM.*one -/, 'and for itself');

$run = run_blocks("=== one\n--- config\nnonsense;\n--- must_die\n");
is($run->{status}, 0, 'must_die may end in an emergency')
    or diag($run->{out});

# A worker that is killed: the real thing.
my $kill = <<'EOF';
--- init
my ($master) = do { local @ARGV = Test::Nginx::Socket::server_root()
                                  . '/logs/nginx.pid'; <> };
$master += 0;
my $worker;
until ($worker) {
    ($worker) = map { m{(\d+)} } grep {
        local @ARGV = ($_);
        (eval { <> } // '') =~ / \(nginx\) \S $master /;
    } glob '/proc/[0-9]*/stat';
}
kill 9, $worker;
select undef, undef, undef, 0.01
    while Test::Nginx::Socket::Server::is_running($worker);
EOF

$run = run_blocks("$block$kill", setup => 'master_on();');
isnt($run->{status}, 0, 'a worker killed by a signal is a problem');
like($run->{out}, qr/PROBLEM: .*exited on signal 9/, 'and named');

# Without a master nginx itself is gone.
my $die = <<'EOF';
--- init
my ($pid) = do { local @ARGV = Test::Nginx::Socket::server_root()
                               . '/logs/nginx.pid'; <> };
$main::pid = $pid + 0;
EOF

$run = run_blocks("$block$die--- wait: 0.01\n", setup => <<'EOF');
add_response_body_check(sub {
    kill 9, $main::pid;
    select undef, undef, undef, 0.01
        while Test::Nginx::Socket::Server::is_running($main::pid);
});
EOF
isnt($run->{status}, 0, 'an nginx that is gone is a problem');
like($run->{out}, qr/PROBLEM: .*was gone before its stop/, 'and named');

# A plan that does not fit stays an error.
$run = run_file("use Test::Nginx::Socket tests => 2;\nrun_tests();\n"
                . "__DATA__\n$block");
isnt($run->{status}, 0, 'too few test points');

$run = run_file("use Test::Nginx::Socket tests => 1;\nrun_tests();\n"
                . "__DATA__\n$block");
is($run->{status}, 0, 'a plan that fits');

# Modes that the runner does not have.
$run = run_blocks($block, TEST_NGINX_USE_VALGRIND => 1);
isnt($run->{status}, 0, 'an unknown mode is an error');
like($run->{out}, qr/TEST_NGINX_USE_VALGRIND is not supported/,
     'and named');

done_testing();
