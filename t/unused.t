# Where ChatHub is loaded and not used, nothing is different.

use strict;
use warnings;

use FindBin;
use Test::Nginx::Socket;
require "$FindBin::Bin/lib/ChatHubSuite.pm";

repeat_each(2);
plan tests => repeat_each() * 4 * blocks();

no_long_string();
log_level('debug');
run_tests();

__DATA__

=== TEST 1: no hub at all
--- http_config
--- config
    location /ws {
        return 200 "plain\n";
    }
--- request
GET /ws
--- response_body
plain
--- no_error_log eval
[qr/#\d+: (?:\*\d+ )?"?chathub/, "[alert]"]



=== TEST 2: no hub: an upgrade is a request like others
--- http_config
--- config
    location /ws {
        return 200 "plain\n";
    }
--- raw_request eval
::handshake(Connection => 'close, upgrade', after => '')
--- response_body
plain
--- no_error_log eval
[qr/#\d+: (?:\*\d+ )?"?chathub/, "[alert]"]



=== TEST 3: a hub, and a location that does not use it
--- config
    location /plain {
        return 200 "plain\n";
    }
--- request
GET /plain
--- response_body
plain
--- response_headers
! Upgrade
--- no_error_log
[alert]



=== TEST 4: a hub without a location
--- config
    location /ws {
        return 200 "plain\n";
    }
--- request
GET /ws
--- response_body
plain
--- no_error_log
[alert]
[error]



=== TEST 5: directives of locations, but no front
--- http_config
    chathub_guest on;
--- config
    chathub_max_rooms 5;
    location /ws {
        chathub_ping 1s 1s;
        return 200 "plain\n";
    }
--- request
GET /ws
--- response_body
plain
--- no_error_log eval
[qr/#\d+: (?:\*\d+ )?"?chathub/, "[alert]"]
