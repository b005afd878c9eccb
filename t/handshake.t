# The WebSocket handshake (RFC 6455, section 4.2), and what NGINX's own modules
# say to it.

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

=== TEST 1: a handshake, and a close frame with it
--- config
--- raw_request eval
::handshake()
--- error_code: 101
--- response_headers
Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
--- response_body_like eval
qr/\A\x81.\{"event":"log","data":"app is connected at test-node"\}.*\x88\x02\x03\xe8\z/s



=== TEST 2: the answer's headers
--- config
--- raw_request eval
::handshake()
--- error_code: 101
--- raw_response_headers_like eval
qr/\AHTTP\/1\.1 101 Switching Protocols\r\n(?=.*^Upgrade: websocket\r)(?=.*^Connection: upgrade\r)/ims
--- raw_response_headers_unlike eval
qr/^(?:Content-Length|Transfer-Encoding|Sec-WebSocket-(?:Protocol|Extensions)):/im



=== TEST 3: it comes in pieces
--- config
--- raw_request eval
[::handshake() =~ /(.{1,40})/gs]
--- raw_request_middle_delay: 0.001
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 4: POST
--- config
--- raw_request eval
::handshake('' => 'POST /ws HTTP/1.1', 'Content-Length' => 0, after => '',
          Connection => 'close, upgrade')
--- error_code: 405
--- response_headers
Allow: GET
--- response_body_like: ^\{"code":"bad_request","message":".*GET



=== TEST 5: HEAD
--- config
--- raw_request eval
::handshake('' => 'HEAD /ws HTTP/1.1', after => '',
          Connection => 'close, upgrade')
--- error_code: 405
--- response_headers
Allow: GET
--- response_body:



=== TEST 6: HTTP/1.0
--- config
--- raw_request eval
::handshake('' => 'GET /ws HTTP/1.0', after => '')
--- error_code: 400
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"bad_request","message":".*HTTP/1\.1



=== TEST 7: no upgrade at all
--- config
--- request
GET /ws
--- error_code: 426
--- response_headers
Upgrade: websocket
--- response_body_like: ^\{"code":"bad_request","message":"[^"]+"\}



=== TEST 8: version 8
--- config
--- raw_request eval
::handshake('Sec-WebSocket-Version' => 8, Connection => 'close, upgrade',
          after => '')
--- error_code: 426
--- response_headers
Sec-WebSocket-Version: 13
--- response_body_like: ^\{"code":"bad_request","message":".*13



=== TEST 9: version 14
--- config
--- raw_request eval
::handshake('Sec-WebSocket-Version' => 14, Connection => 'close, upgrade',
          after => '')
--- error_code: 426
--- response_headers
Sec-WebSocket-Version: 13
--- response_body_like: ^\{"code":"bad_request","message":".*13



=== TEST 10: no version
--- config
--- raw_request eval
::handshake('Sec-WebSocket-Version' => undef, Connection => 'close, upgrade',
          after => '')
--- error_code: 426
--- response_headers
Sec-WebSocket-Version: 13
--- response_body_like: ^\{"code":"bad_request","message":".*13



=== TEST 11: no key
--- config
--- raw_request eval
::handshake('Sec-WebSocket-Key' => undef, Connection => 'close, upgrade',
          after => '')
--- error_code: 400
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"bad_request","message":".*[Kk]ey



=== TEST 12: an empty key
--- config
--- raw_request eval
::handshake('Sec-WebSocket-Key' => '', Connection => 'close, upgrade',
          after => '')
--- error_code: 400
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"bad_request","message":".*[Kk]ey



=== TEST 13: a key of 15 bytes
--- config
--- raw_request eval
::handshake('Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25j',
          Connection => 'close, upgrade', after => '')
--- error_code: 400
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"bad_request","message":".*[Kk]ey



=== TEST 14: a key of 17 bytes
--- config
--- raw_request eval
::handshake('Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZSE=',
          Connection => 'close, upgrade', after => '')
--- error_code: 400
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"bad_request","message":".*[Kk]ey



=== TEST 15: a key that is no base64
--- config
--- raw_request eval
::handshake('Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub2!jZQ==',
          Connection => 'close, upgrade', after => '')
--- error_code: 400
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"bad_request","message":".*[Kk]ey



=== TEST 16: two keys
--- config
--- raw_request eval
::handshake('Sec-WebSocket-Key' => ['dGhlIHNhbXBsZSBub25jZQ==',
                                  'AAAAAAAAAAAAAAAAAAAAAA=='],
          Connection => 'close, upgrade', after => '')
--- error_code: 400
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"bad_request","message":".*[Kk]ey



=== TEST 17: the same key twice
--- config
--- raw_request eval
::handshake('Sec-WebSocket-Key' => [('dGhlIHNhbXBsZSBub25jZQ==') x 2],
          Connection => 'close, upgrade', after => '')
--- error_code: 400
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"bad_request","message":".*[Kk]ey



=== TEST 18: upgrade among other connection options
--- config
--- raw_request eval
::handshake(Connection => 'keep-alive,uPGRADE , x')
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 19: no upgrade among the connection options
--- config
--- raw_request eval
::handshake(Connection => 'close', after => '')
--- error_code: 400
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"bad_request","message":".*Connection



=== TEST 20: a connection option that only begins like it
--- config
--- raw_request eval
::handshake(Connection => 'close, upgraded, xupgrade', after => '')
--- error_code: 400
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"bad_request","message":".*Connection



=== TEST 21: websocket in any letters
--- config
--- raw_request eval
::handshake(Upgrade => 'WebSOCKET')
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 22: websocket among other protocols
--- config
--- raw_request eval
::handshake(Upgrade => 'h2c, websocket')
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 23: another protocol only
--- config
--- raw_request eval
::handshake(Upgrade => 'websockets, h2c', Connection => 'close, upgrade',
          after => '')
--- error_code: 426
--- response_headers
Upgrade: websocket
--- response_body_like: ^\{"code":"bad_request","message":"[^"]+"\}



=== TEST 24: the subprotocol is echoed
--- config
--- raw_request eval
::handshake('Sec-WebSocket-Protocol' => 'chathub.v1')
--- error_code: 101
--- response_headers
Sec-WebSocket-Protocol: chathub.v1
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 25: the subprotocol among others, on several lines
--- config
--- raw_request eval
::handshake('Sec-WebSocket-Protocol' => ['soap, chathub.v2', 'x,chathub.v1 ,y'])
--- error_code: 101
--- response_headers
Sec-WebSocket-Protocol: chathub.v1
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 26: other subprotocols only
--- config
--- raw_request eval
::handshake('Sec-WebSocket-Protocol' => 'soap, chathub.v11, ChatHub.V1')
--- error_code: 101
--- response_headers
! Sec-WebSocket-Protocol
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 27: extensions are not taken
--- config
--- raw_request eval
::handshake('Sec-WebSocket-Extensions' =>
          'permessage-deflate; client_max_window_bits, x-other; a="b, c"')
--- error_code: 101
--- response_headers
! Sec-WebSocket-Extensions
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 28: thousands of subprotocols
--- config
--- raw_request eval
::handshake('Sec-WebSocket-Protocol' => ',' x 3000 . 'a ' x 1000)
--- error_code: 101
--- response_headers
! Sec-WebSocket-Protocol
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 29: headers in large buffers
--- config
--- raw_request eval
::handshake(Cookie => [map { "c$_=" . 'x' x 6000 } 1 .. 3])
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 30: a body
--- config
--- raw_request eval
::handshake('Content-Length' => 5, after => 'hello',
          Connection => 'close, upgrade')
--- error_code: 400
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"bad_request","message":".*body



=== TEST 31: a body in chunks
--- config
--- raw_request eval
::handshake('Transfer-Encoding' => 'chunked', after => "0\r\n\r\n",
          Connection => 'close, upgrade')
--- error_code: 400
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"bad_request","message":".*body



=== TEST 32: the origin is this host
--- config
--- raw_request eval
::handshake(Origin => 'http://localhost')
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 33: the origin is this host and port
--- config
--- raw_request eval
::handshake(Host => 'chat.example:8080', Origin => 'http://Chat.example:8080')
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 34: the origin is this host with another port
--- config
--- raw_request eval
::handshake(Host => 'chat.example:8080', Origin => 'http://chat.example:8081',
          Connection => 'close, upgrade', after => '')
--- error_code: 403
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"forbidden","message":".*[Oo]rigin



=== TEST 35: another origin
--- config
--- raw_request eval
::handshake(Origin => 'http://evil.example', Connection => 'close, upgrade',
          after => '')
--- error_code: 403
--- response_headers
Content-Type: application/json
--- response_body_like: ^\{"code":"forbidden","message":".*[Oo]rigin



=== TEST 36: an origin that begins with this host
--- config
--- raw_request eval
::handshake(Origin => 'http://localhost.evil.example',
          Connection => 'close, upgrade', after => '')
--- error_code: 403
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"forbidden","message":".*[Oo]rigin



=== TEST 37: the origin null
--- config
--- raw_request eval
::handshake(Origin => 'null', Connection => 'close, upgrade', after => '')
--- error_code: 403
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"forbidden","message":".*[Oo]rigin



=== TEST 38: two origins
--- config
--- raw_request eval
::handshake(Origin => ['http://localhost', 'http://evil.example'],
          Connection => 'close, upgrade', after => '')
--- error_code: 403
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"forbidden","message":".*[Oo]rigin



=== TEST 39: an origin of the list
--- config
    location = /ws {
        chathub_websocket main;
        chathub_guest on;
        chathub_origin https://a.example https://b.example:444;
    }
--- raw_request eval
::handshake(Origin => 'https://b.example:444')
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 40: an origin that is not in the list
--- config
    location = /ws {
        chathub_websocket main;
        chathub_guest on;
        chathub_origin https://a.example https://b.example:444;
    }
--- raw_request eval
::handshake(Origin => 'http://a.example', Connection => 'close, upgrade',
          after => '')
--- error_code: 403
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"forbidden","message":".*[Oo]rigin



=== TEST 41: this host is not in the list
--- config
    location = /ws {
        chathub_websocket main;
        chathub_guest on;
        chathub_origin https://a.example;
    }
--- raw_request eval
::handshake(Origin => 'http://localhost', Connection => 'close, upgrade',
          after => '')
--- error_code: 403
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"forbidden","message":".*[Oo]rigin



=== TEST 42: the list and this host
--- config
    location = /ws {
        chathub_websocket main;
        chathub_guest on;
        chathub_origin https://a.example same;
    }
--- raw_request eval
::handshake(Origin => 'http://localhost')
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 43: any origin
--- config
    location = /ws {
        chathub_websocket main;
        chathub_guest on;
        chathub_origin *;
    }
--- raw_request eval
::handshake(Origin => 'http://any.example')
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 44: no identity, no guests
--- config
    location = /ws {
        chathub_websocket main;
    }
--- raw_request eval
::handshake(Connection => 'close, upgrade', after => '')
--- error_code: 401
--- response_headers
Content-Type: application/json
--- response_body_like: ^\{"code":"unauthorized","message":"[^"]+"\}



=== TEST 45: an empty identity, no guests
--- config
    location = /ws {
        chathub_websocket main;
        chathub_user $http_x_user;
    }
--- raw_request eval
::handshake(Connection => 'close, upgrade', after => '')
--- error_code: 401
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"unauthorized","message":"[^"]+"\}



=== TEST 46: an identity of a variable; frames come with the handshake
--- config
    location = /ws {
        chathub_websocket main;
        chathub_user $http_x_user;
    }
--- raw_request eval
::handshake('X-User' => 'alice',
          after => ::frame(1, '{"event":"join","data":{"room":"lobby",'
                            . '"user":"mallory"},"ref":1}')
                   . ::frame(1, '{"event":"message","data":{"room":"lobby",'
                              . '"data":"hi","user":"mallory"},"ref":2}')
                   . ::close_frame())
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/\{"event":"ack","ref":1,"data":\{[^}]*"users":\["alice"\].*\{"event":"ack","ref":2,/s



=== TEST 47: a guest's name of the handshake
--- config
--- raw_request eval
::handshake('' => 'GET /ws?x=1&user=J%C3%BCrgen%20%26%20Co HTTP/1.1',
          after => ::frame(1, '{"event":"join","data":{"room":"lobby"},"ref":1}')
                   . ::close_frame())
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/"users":\["J\xc3\xbcrgen & Co"\]/



=== TEST 48: a guest without a name gets one
--- config
--- raw_request eval
::handshake('' => 'GET /ws?user= HTTP/1.1',
          after => ::frame(1, '{"event":"join","data":{"room":"lobby"},"ref":1}')
                   . ::close_frame())
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/"users":\["guest-[A-Za-z0-9_-]{8}"\]/



=== TEST 49: a guest's name with a control character
--- config
--- raw_request eval
::handshake('' => 'GET /ws?user=a%0Ab HTTP/1.1', after => '',
          Connection => 'close, upgrade')
--- error_code: 400
--- response_headers
Content-Type: application/json
--- response_body_like: ^\{"code":"bad_name","message":"[^"]+"\}



=== TEST 50: a guest's name with a zero byte
--- config
--- raw_request eval
::handshake('' => 'GET /ws?user=a%00b HTTP/1.1', after => '',
          Connection => 'close, upgrade')
--- error_code: 400
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"bad_name","message":"[^"]+"\}



=== TEST 51: a guest's name that is no UTF-8
--- config
--- raw_request eval
::handshake('' => 'GET /ws?user=%C3%28 HTTP/1.1', after => '',
          Connection => 'close, upgrade')
--- error_code: 400
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"bad_name","message":"[^"]+"\}



=== TEST 52: a guest's name of 129 bytes
--- config
--- raw_request eval
::handshake('' => 'GET /ws?user=' . 'x' x 129 . ' HTTP/1.1', after => '',
          Connection => 'close, upgrade')
--- error_code: 400
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"bad_name","message":".*128



=== TEST 53: a guest's name of 128 bytes
--- config
--- raw_request eval
::handshake('' => 'GET /ws?user=' . '%c3%bc' x 64 . ' HTTP/1.1')
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 54: an identity that is no name
--- config
    location = /ws {
        chathub_websocket main;
        chathub_user $http_x_user;
    }
--- raw_request eval
::handshake('X-User' => 'x' x 129, after => '', Connection => 'close, upgrade')
--- error_code: 400
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: ^\{"code":"bad_name","message":".*128



=== TEST 55: auth_basic refuses
--- config
    location = /ws {
        chathub_websocket main;
        chathub_user $remote_user;
        auth_basic chat;
        auth_basic_user_file ../html/users;
    }
--- user_files
>>> users
bob:{PLAIN}secret
--- raw_request eval
::handshake(Connection => 'close, upgrade', after => '')
--- error_code: 401
--- response_headers
WWW-Authenticate: Basic realm="chat"
--- response_body_like: 401 Authorization Required



=== TEST 56: auth_basic lets in, and names the user
--- config
    location = /ws {
        chathub_websocket main;
        chathub_user $remote_user;
        auth_basic chat;
        auth_basic_user_file ../html/users;
    }
--- user_files
>>> users
bob:{PLAIN}secret
--- raw_request eval
::handshake(Authorization => 'Basic Ym9iOnNlY3JldA==',
          after => ::frame(1, '{"event":"join","data":{"room":"lobby"},"ref":1}')
                   . ::close_frame())
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/"users":\["bob"\]/



=== TEST 57: auth_request refuses
--- config
    location = /ws {
        chathub_websocket main;
        chathub_guest on;
        auth_request /auth;
    }
    location = /auth {
        return 403;
    }
--- raw_request eval
::handshake(Connection => 'close, upgrade', after => '')
--- error_code: 403
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: 403 Forbidden



=== TEST 58: auth_request lets in, and names the user
--- config
    location = /ws {
        chathub_websocket main;
        chathub_user $who;
        auth_request /auth;
        auth_request_set $who $upstream_http_x_who;
    }
    location = /auth {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/who;
    }
    location = /who {
        add_header X-Who carol;
        return 204;
    }
--- raw_request eval
::handshake(after => ::frame(1, '{"event":"join","data":{"room":"lobby"},"ref":1}')
                   . ::close_frame())
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/"users":\["carol"\]/



=== TEST 59: deny
--- config
    location = /ws {
        chathub_websocket main;
        chathub_guest on;
        allow 192.0.2.0/24;
        deny all;
    }
--- raw_request eval
::handshake(Connection => 'close, upgrade', after => '')
--- error_code: 403
--- response_headers
! Sec-WebSocket-Accept
--- response_body_like: 403 Forbidden



=== TEST 60: allow, by realip's address
--- config
    location = /ws {
        chathub_websocket main;
        chathub_guest on;
        set_real_ip_from 127.0.0.1;
        real_ip_header X-Forwarded-For;
        allow 192.0.2.0/24;
        deny all;
    }
--- raw_request eval
::handshake('X-Forwarded-For' => '192.0.2.7')
--- error_code: 101
--- response_headers
Upgrade: websocket
--- response_body_like eval
qr/"event":"log".*\x88\x02\x03\xe8\z/s



=== TEST 61: limit_req
--- http_config eval
$ChatHubSuite::Hub . 'limit_req_zone $arg_key zone=req:1m rate=1r/m;'
--- config eval
$ChatHubSuite::Location =~ s/}/limit_req zone=req; limit_req_status 429; }/r
. ::lua(<<'EOC')
    local uri = "/ws?key=" .. chat.name("key")
    local a = chat.connect({ uri = uri })
    local b, status = chat.try({ uri = uri })
    chat.show(a.pid or "in", status)
    a:close()
EOC
--- request
GET /t
--- response_headers
Content-Type: text/plain
--- response_body
in 429



=== TEST 62: at most so many connections
--- config eval
$ChatHubSuite::Location =~ s/}/chathub_max_connections 2; }/r . ::lua(<<'EOC')
    local a, b = chat.connect(), chat.connect()
    local c, status, body = chat.try()
    local err = chat.decode(body)
    chat.show(status, err.code == "busy" or err.code == "unavailable"
                      or err.code)
    a:close()
    for _ = 1, 1000 do
        c, status = chat.try()
        if c then
            break
        end
    end
    chat.show(c and c.hello or status)
    chat.close(b, c)
EOC
--- request
GET /t
--- response_headers
Content-Type: text/plain
--- response_body
503 true
app is connected at test-node



=== TEST 63: at most so many connections for each address
--- config eval
::lua(<<'EOC') . <<'EOL'
    local function from(address)
        return { headers = { "X-Forwarded-For: " .. address } }
    end
    local a = chat.connect(from("192.0.2.1"))
    local b, status = chat.try(from("192.0.2.1"))
    chat.show(status)
    b = chat.connect(from("192.0.2.2"))
    chat.show(b.hello)
    local c = chat.connect(from("2001:db8::1"))
    chat.show(c.hello)
    local d
    d, status = chat.try(from("2001:db8::1"))
    chat.show(status)
    chat.close(a, b, c)
EOC
    location = /ws {
        chathub_websocket main;
        chathub_guest on;
        chathub_max_connections 1 per address;
        set_real_ip_from 127.0.0.1;
        real_ip_header X-Forwarded-For;
    }
EOL
--- request
GET /t
--- response_headers
Content-Type: text/plain
--- response_body
503
app is connected at test-node
app is connected at test-node
503



=== TEST 64: a subrequest
--- config lua
    local answer = ngx.location.capture("/ws")
    chat.show(answer.status)
--- request
GET /t
--- response_headers
Content-Type: text/plain
--- response_body
404



=== TEST 65: as the second request of a connection
--- config lua
    local sock = ngx.socket.tcp()
    assert(sock:connect("127.0.0.1", ngx.var.server_port))
    assert(sock:send("GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    local head = assert(sock:receiveuntil("\r\n\r\n")())
    assert(sock:receive(tonumber(head:match("Content%-Length: (%d+)"))))
    assert(sock:send("GET /ws HTTP/1.1\r\nHost: localhost\r\n"
                     .. "Connection: upgrade\r\nUpgrade: websocket\r\n"
                     .. "Sec-WebSocket-Version: 13\r\n"
                     .. "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
                     .. chat.frame({ opcode = 8, payload = "\3\232" })))
    local answer = assert(sock:receive("*a"))
    chat.show(head:sub(1, 12), answer:sub(1, 12),
              answer:find('"event":"log"', 1, true) and "log" or "no log",
              answer:byte(-4, -1))
--- request
GET /t
--- response_headers
Content-Type: text/plain
--- response_body
HTTP/1.1 200 HTTP/1.1 101 log 136 2 3 232



=== TEST 66: over TLS
--- http_config eval
$ChatHubSuite::Hub . <<'EOC'
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
        ssl_certificate ../html/cert.pem;
        ssl_certificate_key ../html/cert.pem;
        location = /ws {
            chathub_websocket main;
            chathub_guest on;
        }
    }
EOC
--- config lua
    local sock = ngx.socket.tcp()
    sock:settimeout(15000)
    assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
    assert(sock:sslhandshake(false, nil, false))
    assert(sock:send("GET /ws HTTP/1.1\r\nHost: localhost\r\n"
                     .. "Origin: https://localhost\r\n"
                     .. "Connection: upgrade\r\nUpgrade: websocket\r\n"
                     .. "Sec-WebSocket-Version: 13\r\n"
                     .. "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
                     .. chat.frame({ opcode = 8, payload = "\3\232" })))
    local answer = assert(sock:receive("*a"))
    chat.show(answer:sub(1, 12),
              answer:find('"event":"log"', 1, true) and "log" or "no log",
              answer:byte(-4, -1))
--- request
GET /t
--- user_files
>>> cert.pem
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgo5iFqfmthz0EiyWu
Z3LqktHyfeM3njo3ZWztdoJ+OMuhRANCAATvG+YMzWYO1Ummkb7E8D8YBvXouokU
bFhZqxMVJGj4koYZEmrMttAb5umSPfoLiky/qWZuOWHzs0RpQsF0uUtU
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBfjCCASWgAwIBAgIUfRVl2QtIzFI6QjWtSpJDoq6s/HUwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNDEwNTkyOVoYDzIxMjYxMDMx
MTA1OTI5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATvG+YMzWYO1Ummkb7E8D8YBvXouokUbFhZqxMVJGj4koYZEmrMttAb
5umSPfoLiky/qWZuOWHzs0RpQsF0uUtUo1MwUTAdBgNVHQ4EFgQUfHBkvtE0zmyv
edqKVSrKpm88QTswHwYDVR0jBBgwFoAUfHBkvtE0zmyvedqKVSrKpm88QTswDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiAY+WkZUr//xkVZ1sFHMSuj
RLM69Q4dqe4W4VulcQZuGgIgfihdx+w3WIde2yLcoqCqXtQMtjsq1R6TQYmOoCrn
4uc=
-----END CERTIFICATE-----
--- response_headers
Content-Type: text/plain
--- response_body
HTTP/1.1 101 log 136 2 3 232
