#!/usr/bin/perl

# nginx's life under the runner, and the settings of a file.

use strict;
use warnings;

use FindBin qw($Bin);
use lib "$Bin/../lib";

use HarnessRun qw(run_blocks run_file start_file);
use IO::Socket::INET;
use Test::More;
use Test::Nginx::Socket::Server;
use Time::HiRes qw(sleep);

my $block = <<'EOF';
=== one
--- config
    location /show {
        return 200 "$server_addr $server_port $pid\n";
    }
--- request
GET /show
EOF

# Prints what a block's answer was.
my $print = <<'EOF';
add_response_body_check(sub { diag("ANSWER $_[1]") });
EOF

sub answers {
    my ($run) = @_;

    return map { [ split ' ' ] } $run->{out} =~ /ANSWER ([^\n]*)/g;
}

sub running {
    my ($pid) = @_;

    return Test::Nginx::Socket::Server::is_running($pid);
}


my $run = run_blocks($block, setup => $print);
my ($first) = answers($run);

is($run->{status}, 0, 'a plain run') or diag($run->{out});
is($first->[0], '127.0.0.1', 'nginx listens on the loopback address');
isnt($first->[1], 1984, 'on a port that was free');
ok(!running($first->[2]), 'and is gone afterwards');

my $port = Test::Nginx::Socket::Server->new->free_port;

$run = run_blocks($block, setup => $print, TEST_NGINX_PORT => $port);
is((answers($run))[0][1], $port, 'TEST_NGINX_PORT');

$run = run_blocks($block, setup => $print, TEST_NGINX_SERVER_PORT => $port);
is((answers($run))[0][1], $port, 'TEST_NGINX_SERVER_PORT');

$run = run_blocks($block, TEST_NGINX_PORT => $port,
                  TEST_NGINX_CLIENT_PORT => 1, TEST_NGINX_TIMEOUT => 0.1);
like($run->{out}, qr/cannot connect to 127\.0\.0\.1:1:/,
     'TEST_NGINX_CLIENT_PORT');

# Another process listens on all addresses but this one: nginx must not.
my $other = IO::Socket::INET->new(LocalAddr => '127.0.0.2',
                                  LocalPort => $port, Listen => 1)
    or die "cannot listen: $!\n";

$run = run_blocks($block, TEST_NGINX_PORT => $port);
is($run->{status}, 0, 'no other address is taken') or diag($run->{out});
close $other;


# An interrupted run leaves nothing behind.
my $slow = <<"EOF";
use Test::Nginx::Socket tests => 1;
\$| = 1;
add_response_body_check(sub { print "# READY \$_[1]"; sleep 30 });
run_tests();
__DATA__
$block
EOF

for my $signal (qw(INT TERM)) {
    my ($pid, $out) = start_file($slow);
    my $nginx;

    while (my $line = <$out>) {
        if ($line =~ /READY \S+ \S+ (\d+)/) {
            $nginx = $1;
            last;
        }
    }

    ok(running($nginx), "before SIG$signal nginx runs");
    kill $signal, $pid;
    waitpid $pid, 0;
    isnt($?, 0, "SIG$signal ends the run as failed");
    ok(!running($nginx), "SIG$signal leaves no nginx");
}


$run = run_blocks($block, setup => $print, TEST_NGINX_NO_CLEAN => 1);
my $left = (answers($run))[0][2];
ok(running($left), 'TEST_NGINX_NO_CLEAN leaves nginx running');
kill 'TERM', $left;
sleep 0.01 while running($left);


# Two blocks, three times each.
my $two = $block . "--- log_level: info\n\n" . ($block =~ s/one/two/r)
          . "--- log_level: notice\n";

$run = run_blocks($two, setup => "$print repeat_each(3);");
my @pids = map { $_->[2] } answers($run);

is(scalar @pids, 6, 'repeat_each');
is($pids[0], $pids[2], 'repeats meet the same nginx');
isnt($pids[2], $pids[3], 'the next block meets another');

$run = run_blocks($two, setup => "$print repeat_each(2); master_on();",
                  TEST_NGINX_USE_HUP => 1);
is($run->{status}, 0, 'TEST_NGINX_USE_HUP') or diag($run->{out});
like($run->{out}, qr/^1\.\.4$/m, 'reloads add no test points');

$run = run_blocks($two =~ s/server_addr/http_host/gr,
                  setup => $print, TEST_NGINX_USE_HUP => 1);
my $log = do {
    open my $in, '<', "$run->{root}/logs/error.log" or die "no log: $!\n";
    local $/ = undef;
    <$in>;
};
like($log, qr/reconfiguring/, 'one nginx is reloaded for the second block');

$run = run_blocks("$block\n" . ($block =~ s/one/two/r), setup => $print,
                  TEST_NGINX_FORCE_RESTART_ON_TEST => 0);
@pids = map { $_->[2] } answers($run);
is($pids[0], $pids[1], 'TEST_NGINX_FORCE_RESTART_ON_TEST=0 keeps nginx');


$run = run_blocks($block, setup => "$print master_on(); workers(2);"
                  . ' worker_connections(128); env_to_nginx("HARNESS_X=1");'
                  . ' log_level("warn"); config_preamble("# preamble");'
                  . ' server_name("a.name");');
my $conf = do {
    open my $in, '<', "$run->{root}/conf/nginx.conf" or die "no conf: $!\n";
    local $/ = undef;
    <$in>;
};

is($run->{status}, 0, 'settings') or diag($run->{out});
ok(!running((answers($run))[0][2]), 'workers are gone afterwards');
like($conf, qr/^master_process on;$/m, 'master_on');
like($conf, qr/^worker_processes 2;$/m, 'workers');
like($conf, qr/^\s+worker_connections 128;$/m, 'worker_connections');
like($conf, qr/^env HARNESS_X=1;$/m, 'env_to_nginx');
like($conf, qr/^error_log \S+ warn;$/m, 'log_level');
like($conf, qr/^# preamble$/m, 'config_preamble');
like($conf, qr/^\s+server_name 'a\.name';$/m, 'server_name');
like($conf, qr/^\s+location \/ \{$/m, 'the root location');

$run = run_blocks("=== one\n--- config\nlocation / { return 200 mine; }\n"
                  . "--- request\nGET /\n--- response_body chomp\nmine\n",
                  setup => 'no_root_location();');
is($run->{status}, 0, 'no_root_location') or diag($run->{out});

$run = run_blocks("=== one\n--- request\nGET /index.html\n"
                  . "--- response_body_like: It works\n",
                  setup => <<'EOF');
add_block_preprocessor(sub { $_[0]->set_value(config => '# none') });
EOF
is($run->{status}, 0, 'add_block_preprocessor') or diag($run->{out});


# The order is another one now and then, or always the file's.
my $many = join "\n", map { $block =~ s/one/number$_/r } 1 .. 8;
my $plain = "use Test::Nginx::Socket tests => 8;\nrun_tests();\n"
            . "__DATA__\n$many";

my $order = sub {
    return join ' ', $_[0]{out} =~ /^ok \d+ - .* number(\d)/mg;
};

my @orders = map { $order->(run_file($plain)) } 1 .. 3;
ok((grep { $_ ne '1 2 3 4 5 6 7 8' } @orders), 'blocks are shuffled');
is($order->(run_file($plain, TEST_NGINX_NO_SHUFFLE => 1)),
   '1 2 3 4 5 6 7 8', 'TEST_NGINX_NO_SHUFFLE');


$run = run_file("mkdir 't';\nuse Test::Nginx::Socket tests => 1;\n$print"
                . "diag('ROOT ' . server_root());\nrun_tests();\n"
                . "__DATA__\n$block",
                TEST_NGINX_RANDOMIZE => 1);
is($run->{status}, 0, 'TEST_NGINX_RANDOMIZE') or diag($run->{out});
my ($root) = $run->{out} =~ /ROOT (\S+)/;
like($root, qr{/t/servroot_\d+\z}, 'gives a server root of its own');
ok(!-e $root, 'that is removed at the end');

done_testing();
