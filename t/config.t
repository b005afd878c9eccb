# The configuration: what is refused, with the place and what is allowed, and
# what is inherited.

use strict;
use warnings;

use FindBin;
use Test::Nginx::Socket;
require "$FindBin::Bin/lib/ChatHubSuite.pm";

repeat_each(2);
plan tests => repeat_each() * 3 * blocks();

no_long_string();
run_tests();


# A message of nginx -t that ends with its place.

sub refused {
    my ($text) = @_;

    return qr/\[emerg\] \S+ \Q$text\E.* in \S+nginx\.conf:\d+\n/;
}

__DATA__

=== TEST 1: no name
--- http_config
    chathub_hub { }
--- config
--- must_die
--- error_log eval
::refused('invalid number of arguments in "chathub_hub"')



=== TEST 2: a name with a space
--- http_config
    chathub_hub "a b" { }
--- config
--- must_die
--- error_log eval
::refused('invalid hub name "a b", it must be 1 to 32 of A-Z')



=== TEST 3: an empty name
--- http_config
    chathub_hub "" { }
--- config
--- must_die
--- error_log eval
::refused('invalid hub name "", it must be 1 to 32 of A-Z')



=== TEST 4: a name of 33 bytes
--- http_config
    chathub_hub xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx { }
--- config
--- must_die
--- error_log eval
::refused('invalid hub name "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", it must be 1 to 32 of A-Z')



=== TEST 5: the same name twice
--- http_config
    chathub_hub a { zone 24m; }
    chathub_hub a { zone 24m; }
--- config
--- must_die
--- error_log eval
::refused('duplicate hub "a", it is defined in')



=== TEST 6: an unknown directive
--- http_config
    chathub_hub a { zoom 24m; }
--- config
--- must_die
--- error_log eval
::refused('unknown directive "zoom" in "chathub_hub", it may be "zone", "node"')



=== TEST 7: a directive of locations
--- http_config
    chathub_hub a { chathub_guest on; }
--- config
--- must_die
--- error_log eval
::refused('unknown directive "chathub_guest" in "chathub_hub"')



=== TEST 8: zone without a size
--- http_config
    chathub_hub a { zone; }
--- config
--- must_die
--- error_log eval
::refused('invalid number of arguments in "zone" directive, it takes one')



=== TEST 9: zone with two
--- http_config
    chathub_hub a { zone 24m 24m; }
--- config
--- must_die
--- error_log eval
::refused('invalid number of arguments in "zone" directive, it takes one')



=== TEST 10: zone that is no size
--- http_config
    chathub_hub a { zone big; }
--- config
--- must_die
--- error_log eval
::refused('"zone" directive invalid value')



=== TEST 11: zone twice
--- http_config
    chathub_hub a { zone 24m; zone 24m; }
--- config
--- must_die
--- error_log eval
::refused('"zone" directive is duplicate')



=== TEST 12: zone far too small
--- http_config
    chathub_hub a { zone 4k; }
--- config
--- must_die
--- error_log eval
::refused('"zone" of hub "a" is too small, it must be at least')



=== TEST 13: node twice
--- http_config
    chathub_hub a { node x; node y; }
--- config
--- must_die
--- error_log eval
::refused('"node" directive is duplicate')



=== TEST 14: an empty node
--- http_config
    chathub_hub a { node ""; }
--- config
--- must_die
--- error_log eval
::refused('"node" directive must be 1 to 128 bytes of UTF-8')



=== TEST 15: a node of 129 bytes
--- http_config
    chathub_hub a { node xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; }
--- config
--- must_die
--- error_log eval
::refused('"node" directive must be 1 to 128 bytes of UTF-8')



=== TEST 16: a store that there is not
--- http_config
    chathub_hub a { store tape:/dev/st0; }
--- config
--- must_die
--- error_log eval
::refused('"store" directive may only be "off"')



=== TEST 17: store twice
--- http_config
    chathub_hub a { store off; store off; }
--- config
--- must_die
--- error_log eval
::refused('"store" directive is duplicate')



=== TEST 18: replay that is no number
--- http_config
    chathub_hub a { replay many; }
--- config
--- must_die
--- error_log eval
::refused('"replay" directive invalid number')



=== TEST 19: replay of nothing
--- http_config
    chathub_hub a { replay 0; }
--- config
--- must_die
--- error_log eval
::refused('value must be between 1 and 1000000')



=== TEST 20: replay of too much
--- http_config
    chathub_hub a { replay 1000001; }
--- config
--- must_die
--- error_log eval
::refused('value must be between 1 and 1000000')



=== TEST 21: dedupe_window that is no time
--- http_config
    chathub_hub a { dedupe_window soon; }
--- config
--- must_die
--- error_log eval
::refused('"dedupe_window" directive invalid value')



=== TEST 22: dedupe_window twice
--- http_config
    chathub_hub a { dedupe_window 1m; dedupe_window 2m; }
--- config
--- must_die
--- error_log eval
::refused('"dedupe_window" directive is duplicate')



=== TEST 23: a hub that there is not
--- config
    location = /ws {
        chathub_websocket other;
    }
--- must_die
--- error_log eval
::refused('unknown hub "other", it must be one that a "chathub_hub" in "http" defines')



=== TEST 24: no hub
--- config
    location = /ws {
        chathub_websocket;
    }
--- must_die
--- error_log eval
::refused('invalid number of arguments in "chathub_websocket"')



=== TEST 25: two hubs
--- config
    location = /ws {
        chathub_websocket main main;
    }
--- must_die
--- error_log eval
::refused('invalid number of arguments in "chathub_websocket"')



=== TEST 26: chathub_websocket twice
--- config
    location = /ws {
        chathub_websocket main;
        chathub_websocket main;
    }
--- must_die
--- error_log eval
::refused('"chathub_websocket" directive is duplicate')



=== TEST 27: chathub_guest neither on nor off
--- config
    location = /ws {
        chathub_guest yes;
    }
--- must_die
--- error_log eval
::refused('invalid value "yes" in "chathub_guest" directive, it must be "on" or "off"')



=== TEST 28: chathub_guest twice
--- config
    location = /ws {
        chathub_guest on;
        chathub_guest on;
    }
--- must_die
--- error_log eval
::refused('"chathub_guest" directive is duplicate')



=== TEST 29: chathub_user without a value
--- config
    location = /ws {
        chathub_user;
    }
--- must_die
--- error_log eval
::refused('invalid number of arguments in "chathub_user"')



=== TEST 30: chathub_user with an unknown variable
--- config
    location = /ws {
        chathub_user $nobody_sets_this;
    }
--- must_die
--- error_log eval
qr/\[emerg\] \S+ unknown "nobody_sets_this" variable/



=== TEST 31: chathub_user twice
--- config
    location = /ws {
        chathub_user a;
        chathub_user b;
    }
--- must_die
--- error_log eval
::refused('"chathub_user" directive is duplicate')



=== TEST 32: chathub_origin without a value
--- config
    location = /ws {
        chathub_origin;
    }
--- must_die
--- error_log eval
::refused('invalid number of arguments in "chathub_origin"')



=== TEST 33: an origin without a scheme
--- config
    location = /ws {
        chathub_origin a.example;
    }
--- must_die
--- error_log eval
::refused('invalid origin "a.example", it must be "scheme://host[:port]", "same", or "*" alone')



=== TEST 34: an origin with a path
--- config
    location = /ws {
        chathub_origin http://a.example/;
    }
--- must_die
--- error_log eval
::refused('invalid origin "http://a.example/", it must be')



=== TEST 35: an origin without a host
--- config
    location = /ws {
        chathub_origin http://;
    }
--- must_die
--- error_log eval
::refused('invalid origin "http://", it must be')



=== TEST 36: an origin with a pattern
--- config
    location = /ws {
        chathub_origin http://*.example;
    }
--- must_die
--- error_log eval
::refused('invalid origin "http://*.example", it must be')



=== TEST 37: any origin and another
--- config
    location = /ws {
        chathub_origin * http://a.example;
    }
--- must_die
--- error_log eval
::refused('invalid origin "*", it must be')



=== TEST 38: chathub_origin twice
--- config
    location = /ws {
        chathub_origin same;
        chathub_origin *;
    }
--- must_die
--- error_log eval
::refused('"chathub_origin" directive is duplicate')



=== TEST 39: chathub_ping with one time
--- config
    location = /ws {
        chathub_ping 25s;
    }
--- must_die
--- error_log eval
::refused('invalid number of arguments in "chathub_ping"')



=== TEST 40: chathub_ping that is no time
--- config
    location = /ws {
        chathub_ping 25s often;
    }
--- must_die
--- error_log eval
::refused('"chathub_ping" directive takes an interval and a timeout')



=== TEST 41: chathub_ping of nothing
--- config
    location = /ws {
        chathub_ping 0 20s;
    }
--- must_die
--- error_log eval
::refused('"chathub_ping" directive takes an interval and a timeout of at least 100ms')



=== TEST 42: chathub_ping twice
--- config
    location = /ws {
        chathub_ping 25s 20s;
        chathub_ping 25s 20s;
    }
--- must_die
--- error_log eval
::refused('"chathub_ping" directive is duplicate')



=== TEST 43: chathub_max_message that is no size
--- config
    location = /ws {
        chathub_max_message -1;
    }
--- must_die
--- error_log eval
::refused('"chathub_max_message" directive invalid value')



=== TEST 44: chathub_max_message of nothing
--- config
    location = /ws {
        chathub_max_message 0;
    }
--- must_die
--- error_log eval
::refused('value must be between 256 and 1073741824 bytes')



=== TEST 45: chathub_max_message of 2g
--- config
    location = /ws {
        chathub_max_message 2048m;
    }
--- must_die
--- error_log eval
::refused('value must be between 256 and 1073741824 bytes')



=== TEST 46: chathub_max_message twice
--- config
    location = /ws {
        chathub_max_message 1k;
        chathub_max_message 1k;
    }
--- must_die
--- error_log eval
::refused('"chathub_max_message" directive is duplicate')



=== TEST 47: chathub_max_rooms of none
--- config
    location = /ws {
        chathub_max_rooms 0;
    }
--- must_die
--- error_log eval
::refused('value must be between 1 and 1000000')



=== TEST 48: chathub_max_rooms that is no number
--- config
    location = /ws {
        chathub_max_rooms all;
    }
--- must_die
--- error_log eval
::refused('"chathub_max_rooms" directive invalid number')



=== TEST 49: chathub_max_connections that is no number
--- config
    location = /ws {
        chathub_max_connections few;
    }
--- must_die
--- error_log eval
::refused('invalid number "few", it must be 0 (no limit) to 2147483647')



=== TEST 50: chathub_max_connections with half a rest
--- config
    location = /ws {
        chathub_max_connections 5 per;
    }
--- must_die
--- error_log eval
::refused('invalid number of arguments in "chathub_max_connections"')



=== TEST 51: chathub_max_connections per what
--- config
    location = /ws {
        chathub_max_connections 5 per planet;
    }
--- must_die
--- error_log eval
::refused('invalid parameter "per planet", it may only be "per address"')



=== TEST 52: chathub_max_connections twice
--- config
    location = /ws {
        chathub_max_connections 5;
        chathub_max_connections 6;
    }
--- must_die
--- error_log eval
::refused('"chathub_max_connections" directive is duplicate')



=== TEST 53: chathub_max_connections per address twice
--- config
    location = /ws {
        chathub_max_connections 5 per address;
        chathub_max_connections 6 per address;
    }
--- must_die
--- error_log eval
::refused('"chathub_max_connections" directive is duplicate')



=== TEST 54: chathub_rate without a unit
--- config
    location = /ws {
        chathub_rate 5;
    }
--- must_die
--- error_log eval
::refused('invalid rate, it must be "Nr/s [burst=N]"')



=== TEST 55: chathub_rate per minute
--- config
    location = /ws {
        chathub_rate 5r/m;
    }
--- must_die
--- error_log eval
::refused('invalid rate, it must be "Nr/s [burst=N]"')



=== TEST 56: chathub_rate with a bad burst
--- config
    location = /ws {
        chathub_rate 5r/s burst=x;
    }
--- must_die
--- error_log eval
::refused('invalid rate, it must be "Nr/s [burst=N]"')



=== TEST 57: chathub_rate twice
--- config
    location = /ws {
        chathub_rate 5r/s;
        chathub_rate 5r/s;
    }
--- must_die
--- error_log eval
::refused('"chathub_rate" directive is duplicate')



=== TEST 58: chathub_send_queue that is no size
--- config
    location = /ws {
        chathub_send_queue long;
    }
--- must_die
--- error_log eval
::refused('"chathub_send_queue" directive invalid value')



=== TEST 59: chathub_send_queue of less than two messages
--- config
    location = /ws {
        chathub_max_message 1m;
        chathub_send_queue 2047k;
        chathub_websocket main;
    }
--- must_die
--- error_log eval
::refused('"chathub_send_queue" of 2096128 bytes must be at least twice "chathub_max_message" of 1048576 bytes')



=== TEST 60: the same in another order
--- config
    location = /ws {
        chathub_websocket main;
        chathub_send_queue 1m;
    }
--- must_die
--- error_log eval
::refused('"chathub_send_queue" of 1048576 bytes must be at least twice "chathub_max_message" of 1048576 bytes')



=== TEST 61: a message that the zone does not take
--- config
    location = /ws {
        chathub_websocket main;
        chathub_max_message 2m;
        chathub_send_queue 4m;
    }
--- must_die
--- error_log eval
::refused('"zone" of hub "main" must be at least')



=== TEST 62: chathub_drain that is no time
--- config
    location = /ws {
        chathub_drain never;
    }
--- must_die
--- error_log eval
::refused('"chathub_drain" directive invalid value')



=== TEST 63: chathub_drain twice
--- config
    location = /ws {
        chathub_drain 1s;
        chathub_drain 2s;
    }
--- must_die
--- error_log eval
::refused('"chathub_drain" directive is duplicate')



=== TEST 64: a hub in a server
--- config
    chathub_hub other {
        zone 24m;
    }
--- must_die
--- error_log eval
::refused('"chathub_hub" directive is not allowed here')



=== TEST 65: a front in a server
--- config
    chathub_websocket main;
--- must_die
--- error_log eval
::refused('"chathub_websocket" directive is not allowed here')



=== TEST 66: a front in "http"
--- http_config eval
"$ChatHubSuite::Hub    chathub_websocket main;"
--- config
--- must_die
--- error_log eval
::refused('"chathub_websocket" directive is not allowed here')




=== TEST 67: the least that is needed
--- http_config eval
$ChatHubSuite::Lua . 'chathub_hub main { }'
--- config lua
    chat.show(chat.connect().hello == "app is connected at "
                                      .. ngx.var.hostname)
--- response_body
true



=== TEST 68: every directive of a hub
--- http_config eval
$ChatHubSuite::Lua . <<'EOC'
    chathub_hub main {
        zone 23m;
        node "node ü";
        store off;
        replay 1;
        dedupe_window 90s;
    }
EOC
--- config lua
    chat.show(chat.connect().hello)
--- response_body
app is connected at node ü



=== TEST 69: a hub from a file
--- user_files
>>> hub.conf
zone 24m;
node included;
--- http_config eval
$ChatHubSuite::Lua . 'chathub_hub main { include ../html/hub.conf; }'
--- config lua
    chat.show(chat.connect().hello)
--- response_body
app is connected at included



=== TEST 70: every directive of a location, at its edges
--- config eval
<<'EOC' . ::lua('chat.show(chat.connect().hello)')
    location = /ws {
        chathub_websocket main;
        chathub_user $http_x_user;
        chathub_guest on;
        chathub_origin same http://[::1]:8080 https://a.example:443;
        chathub_ping 100ms 1h;
        chathub_max_message 256;
        chathub_max_rooms 1;
        chathub_max_connections 0;
        chathub_max_connections 2147483647 per address;
        chathub_rate 0r/s;
        chathub_send_queue 512;
        chathub_drain 0;
    }
EOC
--- response_body
app is connected at test-node



=== TEST 71: twice a message is enough
--- config eval
<<'EOC' . ::lua('chat.show(chat.connect().hello)')
    location = /ws {
        chathub_websocket main;
        chathub_guest on;
        chathub_max_message 1m;
        chathub_send_queue 2m;
    }
EOC
--- response_body
app is connected at test-node



=== TEST 72: a zone of 22m takes messages of 1m
--- http_config eval
$ChatHubSuite::Hub =~ s/24m/22m/r
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    local text = ("x"):rep(1024 * 1024 - 200)
    for _ = 1, 30 do
        ann:say(room, text)
        assert(ann:message().data == text)
    end
    chat.show("30 messages")
    ann:close()
--- response_body
30 messages



=== TEST 73: inherited from "http"
--- http_config eval
"$ChatHubSuite::Hub    chathub_guest on; chathub_max_rooms 1;"
--- config eval
<<'EOC' . ::lua(<<'EOL')
    location = /ws {
        chathub_websocket main;
    }
EOC
    local a, b = chat.names("a", "b")
    local ann = chat.connect()
    ann:must("join", { room = a })
    chat.show(ann:refused("join", { room = b }))
    ann:close()
EOL
--- response_body
too_many_rooms



=== TEST 74: inherited from the server, and set anew in locations
--- config eval
<<'EOC' . ::lua(<<'EOL')
    chathub_guest on;
    chathub_max_rooms 1;
    chathub_origin http://a.example;
    location = /ws {
        chathub_websocket main;
    }
    location = /two {
        chathub_websocket main;
        chathub_max_rooms 2;
        chathub_origin *;
    }
    location = /members {
        chathub_websocket main;
        chathub_guest off;
    }
EOC
    local a, b, c = chat.names("a", "b", "c")
    local function try(uri, origin)
        local client, status = chat.try({ uri = uri,
                                    headers = { "Origin: " .. origin } })
        if not client then
            chat.show(uri, status)
            return
        end
        client:must("join", { room = a })
        local _, err = client:ask("join", { room = b })
        chat.show(uri, err and err.code or "two rooms")
        client:close()
    end
    try("/ws", "http://a.example")
    try("/ws", "http://localhost")
    try("/two", "http://any.example")
    try("/members", "http://a.example")
EOL
--- response_body
/ws too_many_rooms
/ws 403
/two two rooms
/members 401



=== TEST 75: beside an "if"
--- config eval
<<'EOC' . ::lua(<<'EOL')
    location = /ws {
        chathub_websocket main;
        if ($arg_user = mallory) {
            return 403;
        }
        chathub_guest on;
    }
EOC
    for _, user in ipairs({ "mallory", "ann" }) do
        local client, status = chat.try({ user = user })
        chat.show(user, client and client.hello or status)
    end
EOL
--- response_body
mallory 403
ann app is connected at test-node
