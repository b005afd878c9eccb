# What the access log and stub_status say of chat connections.

use strict;
use warnings;

use FindBin;
use Test::Nginx::Socket;
require "$FindBin::Bin/lib/ChatHubSuite.pm";

repeat_each(2);
plan tests => repeat_each() * 4 * blocks();

no_long_string();
run_tests();

__DATA__

=== TEST 1: a line for the handshake
--- config
--- raw_request eval
::handshake('' => 'GET /ws?user=ann HTTP/1.1')
--- error_code: 101
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s
--- access_log eval
qr{"GET /ws\?user=ann HTTP/1\.1" 101 }



=== TEST 2: variables
--- http_config eval
"$ChatHubSuite::Hub" . <<'EOC'
    log_format chat 'user=[$chathub_user] transport=[$chathub_transport] '
                    'node=[$chathub_node] session=[$chathub_session] $status';
EOC
--- config
    access_log logs/access.log chat;
--- raw_request eval
::handshake('' => 'GET /ws?user=J%C3%BCrgen HTTP/1.1')
--- error_code: 101
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s
--- access_log eval
qr/user=\[J\\xC3\\xBCrgen\] transport=\[websocket\] node=\[test-node\] session=\[[^\]]+\] 101/



=== TEST 3: a guest's own name
--- http_config eval
"$ChatHubSuite::Hub" . <<'EOC'
    log_format chat 'user=[$chathub_user]';
EOC
--- config
    access_log logs/access.log chat;
--- raw_request eval
::handshake()
--- error_code: 101
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s
--- access_log eval
qr/user=\[guest-[A-Za-z0-9_-]{8}\]/



=== TEST 4: a refused handshake
--- http_config eval
"$ChatHubSuite::Hub" . <<'EOC'
    log_format chat 'user=[$chathub_user] transport=[$chathub_transport] '
                    'session=[$chathub_session] $status';
EOC
--- config
    access_log logs/access.log chat;
--- raw_request eval
::handshake(Origin => 'http://evil.example', Connection => 'close, upgrade',
          after => '')
--- error_code: 403
--- response_body_like: forbidden
--- access_log
user=[-] transport=[websocket] session=[-] 403



=== TEST 5: elsewhere the variables are empty
--- http_config eval
"$ChatHubSuite::Hub" . <<'EOC'
    log_format chat 'user=[$chathub_user] transport=[$chathub_transport] '
                    'node=[$chathub_node] session=[$chathub_session] $status';
EOC
--- config
    access_log logs/access.log chat;
    location = /plain {
        return 200 plain;
    }
--- request
GET /plain
--- response_body chomp
plain
--- access_log
user=[-] transport=[-] node=[-] session=[-] 200



=== TEST 6: stub_status counts chat connections as active, not as requests
--- config eval
<<'EOL' . ::lua(<<'EOC')
    location = /status {
        stub_status;
    }
EOL
    local function status()
        local body = ngx.location.capture("/status").body
        return tonumber(body:match("Active connections: (%d+)")),
               tonumber(body:match("Reading: (%d+)")),
               tonumber(body:match("Writing: (%d+)")),
               tonumber(body:match("Waiting: (%d+)"))
    end
    local before = { status() }
    local clients = {}
    for i = 1, 10 do
        clients[i] = chat.connect()
    end
    local during = { status() }
    for i = 1, 4 do
        chat.show(during[i] - before[i])
    end
    for i = 1, 10, 2 do
        clients[i]:close()
        clients[i + 1]:vanish()
    end
    for _ = 1, 1000 do
        if status() == before[1] then
            break
        end
        ngx.sleep(0.01)
    end
    local after = { status() }
    for i = 1, 4 do
        chat.show(after[i] - before[i])
    end
EOC
--- response_body
10
0
0
0
0
0
0
0
--- access_log
"GET /ws HTTP/1.1" 101
