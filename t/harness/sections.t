#!/usr/bin/perl

# Every section of the runner: a block that holds, and one that must fail.

use strict;
use warnings;

use FindBin qw($Bin);
use lib "$Bin/../lib";

use HarnessRun qw(run_blocks);
use Test::More;

my $hello = <<'EOF';
--- config
    location /hello {
        add_header X-One 1;
        return 200 "hello\n";
    }
    location /away {
        return 302 /hello;
    }
EOF

my $get = "$hello--- request\nGET /hello\n";
my $none = "$hello--- request\nGET /none\n--- error_code: 404\n";
my $half = "$hello--- raw_request eval\n\"GET /hello HTTP/1.1\\r\\n\"\n"
           . "--- no_error_log\n[emerg]\n";
my $two = "$hello--- request eval\n[\"GET /hello\", \"GET /away\"]\n";
my $piped = "$hello--- pipelined_requests eval\n"
            . "[\"GET /hello\", \"GET /away\"]\n";
my $nonsense = "--- config\n    nonsense;\n";
my $show = "--- config\nlocation /show { return 200 \$http_x_any\$m; }\n"
           . "--- request\nGET /show\n";

# name, a block that holds, one that fails, what the failure says
my @cases = (
    ['status', $get, "$hello--- request\nGET /away\n",
     qr/status code ok.*got: '302'.*expected: '200'/s],

    ['error_code', "$hello--- request\nGET /away\n--- error_code: 302\n",
     "$get--- error_code: 302\n",
     qr/got: '200'.*expected: '302'/s],

    ['error_code_like', "$get--- error_code_like: ^2..\$\n",
     "$get--- error_code_like: ^3..\$\n",
     qr/not ok \d+ - .*status code ok/],

    ['response_body', "$get--- response_body\nhello\n",
     "$get--- response_body\nhullo\n",
     qr/not ok \d+ - .*response_body/],

    ['the filter chomp', "$get--- response_body_like chomp\n^hello\n\$\n",
     "$get--- response_body chomp\nhello\n",
     qr/not ok \d+ - .*response_body/],

    ['the filter eval', "$get--- response_body eval\n\"hel\" . \"lo\\n\"\n",
     "$get--- response_body eval\n\"hel\" . \"lo\"\n",
     qr/not ok \d+ - .*response_body/],

    ['response_body with a pattern',
     "$get--- response_body eval\nqr/^h/\n",
     "$get--- response_body eval\nqr/^x/\n",
     qr/not ok \d+ - .*response_body/],

    ['response_body_like', "$get--- response_body_like: ^hel+o\$\n",
     "$get--- response_body_like: ^helo\$\n",
     qr/not ok \d+ - .*response_body_like/],

    ['response_body_unlike', "$get--- response_body_unlike: x\n",
     "$get--- response_body_unlike: h\n",
     qr/not ok \d+ - .*response_body_unlike/],

    ['response_headers', "$get--- response_headers\nX-One: 1\n! X-Two\n",
     "$get--- response_headers\nX-One: 2\n",
     qr/not ok \d+ - .*header X-One ok/],

    ['response_headers, absent', "$get--- response_headers\n! X-Two\n",
     "$get--- response_headers\n! X-One\n",
     qr/not ok \d+ - .*header X-One not present/],

    ['response_headers_like', "$get--- response_headers_like\nX-One: \\d\n",
     "$get--- response_headers_like\nX-One: \\d\\d\n",
     qr/not ok \d+ - .*header X-One like ok/],

    ['raw_response_headers_like',
     "$get--- raw_response_headers_like: X-One: 1\\r\\n\n",
     "$get--- raw_response_headers_like: X-One: 2\\r\\n\n",
     qr/not ok \d+ - .*raw resp headers like/],

    ['raw_response_headers_unlike',
     "$get--- raw_response_headers_unlike: X-Two\n",
     "$get--- raw_response_headers_unlike: X-One\n",
     qr/not ok \d+ - .*raw resp headers unlike/],

    ['timeout and abort',
     "$half--- timeout: 200ms\n--- abort\n--- ignore_response\n",
     "$half--- timeout: 200ms\n--- ignore_response\n",
     qr/not ok \d+ - ERROR: client socket timed out/],

    ['ignore_response', "$half--- shutdown\n--- ignore_response\n",
     "$half--- shutdown\n",
     qr/not ok \d+ - .*status code ok/],

    ['shutdown', "$half--- shutdown\n--- ignore_response\n",
     "$half--- shutdown: 0\n--- timeout: 0.2\n--- error_code: 200\n",
     qr/not ok/],

    ['wait', "$get--- wait: 0.01\n", "$half--- wait: 0.01\n--- timeout: 0.1\n",
     qr/client socket timed out/],

    ['error_log', "$none--- error_log\nNo such file\n/none\n",
     "$get--- error_log\nNo such file\n",
     qr/not ok \d+ - .*pattern "No such file" matches a line/],

    ['error_log with patterns',
     "$none--- error_log eval\n[qr/No such \\w+/, \"/none\"]\n",
     "$none--- error_log eval\n[qr/No such \\d+/, \"/none\"]\n",
     qr/not ok \d+ - .*No such.*\n(?:#.*\n)*ok \d+ - .*none/],

    ['no_error_log', "$get--- no_error_log\n[error]\n",
     "$none--- no_error_log\n[error]\n",
     qr/not ok \d+ - .*pattern "\[error\]" matches no line/],

    ['grep_error_log',
     "$none--- grep_error_log eval\nqr/\\(2: [^)]+\\)/\n"
     . "--- grep_error_log_out\n(2: No such file or directory)\n",
     "$none--- grep_error_log eval\nqr/\\(2: [^)]+\\)/\n"
     . "--- grep_error_log_out\n(3: No such file or directory)\n",
     qr/not ok \d+ - .*grep_error_log_out/],

    ['access_log', "$get--- access_log\n\"GET /hello HTTP/1.1\" 200\n",
     "$get--- access_log\n\"GET /hullo\n",
     qr/not ok \d+ - .*matches a line in access\.log/],

    ['no_access_log', "$get--- no_access_log\n/hullo\n",
     "$get--- no_access_log\n/hello\n",
     qr/not ok \d+ - .*matches no line in access\.log/],

    ['shutdown_error_log', "$get--- shutdown_error_log\nshutting down\n",
     "$get--- shutdown_error_log\nnever said\n",
     qr/not ok \d+ - .*pattern "never said" matches a line/],

    ['no_shutdown_error_log', "$get--- no_shutdown_error_log\nnever said\n",
     "$get--- no_shutdown_error_log\nshutting down\n",
     qr/not ok \d+ - .*pattern "shutting down" matches no line/],

    ['must_die',
     "$nonsense--- must_die\n"
     . "--- error_log\nunknown directive \"nonsense\"\n",
     "$hello--- must_die\n",
     qr/not ok \d+ - .*die as expected/],

    ['must_die with a code',
     "$nonsense--- must_die: 1\n--- suppress_stderr\n",
     "$nonsense--- must_die: 2\n",
     qr/not ok \d+ - .*the expected exit code/],

    ['main_config', "--- main_config\nenv HARNESS_ANY;\n$get",
     "--- main_config\nenv;\n$get",
     qr/Bail out!.*number of arguments in "env"/s],

    ['post_main_config', "--- post_main_config\nenv HARNESS_ANY;\n$get",
     "--- post_main_config\nenv;\n$get",
     qr/Bail out!.*number of arguments in "env"/s],

    ['http_config',
     "--- http_config\nmap \$uri \$m { default yes; }\n$show"
     . "--- response_body chomp\nyes\n",
     "$show--- response_body chomp\nyes\n",
     qr/Bail out!.*unknown "m" variable/s],

    ['server_name', "$get--- server_name: some.name\n",
     "$get--- server_name: ~[\n",
     qr/Bail out!.*pcre/s],

    ['log_level', "$none--- log_level: crit\n--- no_error_log\n[error]\n",
     "$none--- log_level: error\n--- no_error_log\n[error]\n",
     qr/not ok \d+ - .*matches no line/],

    ['user_files',
     "--- config\n    # none\n--- request\nGET /a/b.txt\n"
     . "--- user_files\n>>> a/b.txt\nport \$TEST_NGINX_SERVER_PORT\n"
     . ">>> c.txt 203001020304.05\nno\n"
     . "--- response_body_like chomp\n^port \\d+\n\$\n",
     "--- config\n    # none\n--- request\nGET /a/b.txt\n"
     . "--- user_files\n>>> a/c.txt\nyes\n",
     qr/got: '404'/],

    ['init', "$get--- init\n\$main::seen = 7;\n",
     "$get--- init\ndie 'init was here';\n",
     qr/Bail out!.*init was here/s],

    ['post_setup_server_root',
     "--- config\n    # none\n--- post_setup_server_root\n"
     . "open my \$f, '>', Test::Nginx::Socket::html_dir() . '/made';"
     . " print {\$f} 'made'; close \$f;\n"
     . "--- request\nGET /made\n--- response_body chomp\nmade\n",
     "$get--- post_setup_server_root\ndie 'no root';\n",
     qr/Bail out!.*no root/s],

    ['more_headers',
     "--- http_config\nmap \$uri \$m { default ''; }\n$show"
     . "--- more_headers\nX-Any: thing\n--- response_body chomp\nthing\n",
     "--- http_config\nmap \$uri \$m { default ''; }\n$show"
     . "--- more_headers\nX-Any: other\n--- response_body chomp\nthing\n",
     qr/not ok \d+ - .*response_body/],

    ['raw_request', "$hello--- raw_request eval\n"
     . "[\"GET /hel\", \"lo HTTP/1.0\\r\\n\\r\\n\"]\n"
     . "--- raw_request_middle_delay: 0.05\n--- response_body\nhello\n",
     "$hello--- raw_request eval\n\"GET /away HTTP/1.0\\r\\n\\r\\n\"\n",
     qr/got: '302'/],

    ['several requests', "$two--- error_code eval\n[200, 302]\n",
     "$two--- error_code eval\n[200, 200]\n",
     qr/got: '302'.*expected: '200'/s],

    ['several requests want several values',
     "$two--- error_code eval\n[200, 302]\n"
     . "--- response_body_like eval\n['hello', '302']\n",
     "$two--- error_code eval\n[200, 302]\n--- response_body_like: .\n",
     qr/Bail out!.*must be an array/],

    ['pipelined_requests', "$piped--- error_code eval\n[200, 302]\n"
     . "--- response_body_like eval\n['^hello', '302 Found']\n",
     "$piped--- error_code eval\n[302, 200]\n",
     qr/got: '200'.*expected: '302'/s],

    ['SKIP', "$get\n=== second\n--- SKIP\n$nonsense",
     "$get\n=== second\n$nonsense",
     qr/Bail out!.*nonsense/s],

    ['ONLY', "$nonsense\n=== second\n--- ONLY\n$get",
     "$nonsense\n=== second\n$get",
     qr/Bail out!.*nonsense/s],

    ['LAST', "--- LAST\n$get\n=== second\n$nonsense",
     "$get\n=== second\n$nonsense",
     qr/Bail out!.*nonsense/s],
);

plan tests => 3 * @cases + 2;

for my $case (@cases) {
    my ($name, $good, $bad, $says) = @$case;

    my $run = run_blocks("=== one\n$good");

    is($run->{status}, 0, "$name: the right block passes")
        or diag($run->{out});

    $run = run_blocks("=== one\n$bad");

    isnt($run->{status}, 0, "$name: the wrong block fails");
    like($run->{out}, $says, "$name: and says why");
}

my $run = run_blocks("=== the block\n$get--- respones_body\nhello\n");

isnt($run->{status}, 0, 'an unknown section is an error');
like($run->{out}, qr/unknown section "respones_body" in block "the block"/,
     'that names section and block');
