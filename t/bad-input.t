# Whatever arrives: the client gets the close code or the error that is due,
# and nobody else notices.

use strict;
use warnings;

use FindBin;
use Test::Nginx::Socket;
require "$FindBin::Bin/lib/ChatHubSuite.pm";

repeat_each(2);
plan tests => repeat_each() * 3 * blocks();

no_long_string();


# Lua code for blocks that send frames: each list goes over a connection of its
# own, and the code of the server's close is shown.  Somebody else chats on.

sub main::frames {
    my ($lists) = @_;

    return main::lua(<<"EOC");
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    local f = chat.frame
    for _, frames in ipairs({
$lists
    }) do
        local bad = chat.connect()
        bad:must("join", { room = room })
        bad:raw(table.concat(frames))
        chat.show((bad:ending()))
        bad:vanish()
    end
    ann:say(room, "alive")
    chat.show(ann:message(room).data)
    ann:close()
EOC
}


# The same for texts that are answered with an error; the connection goes on.

sub main::texts {
    my ($lists) = @_;

    return main::lua(<<"EOC");
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    for _, text in ipairs({
$lists
    }) do
        ann:text(text)
        local err = ann:wait("error")
        chat.show(err.code)
        assert(#err.message > 8)
    end
    ann:say(room, "alive")
    chat.show(ann:message(room).data)
    ann:close()
EOC
}

run_tests();

__DATA__

=== TEST 1: frames without a mask
--- config frames
    { f{ opcode = 1, payload = "x", mask = false } },
    { f{ opcode = 9, mask = false } },
    { f{ opcode = 8, payload = "\3\232", mask = false } },
--- response_body
1002
1002
1002
alive



=== TEST 2: reserved bits
--- config frames
    { f{ opcode = 1, payload = "{}", rsv = 4 } },
    { f{ opcode = 1, payload = "{}", rsv = 2 } },
    { f{ opcode = 1, payload = "{}", rsv = 1 } },
    { f{ opcode = 9, rsv = 4 } },
--- response_body
1002
1002
1002
1002
alive



=== TEST 3: reserved opcodes
--- config frames
    { f{ opcode = 3 } }, { f{ opcode = 7, payload = "x" } },
    { f{ opcode = 11 } }, { f{ opcode = 15, payload = "x" } },
--- response_body
1002
1002
1002
1002
alive



=== TEST 4: control frames in fragments, or too long
--- config frames
    { f{ opcode = 9, fin = false } },
    { f{ opcode = 8, fin = false, payload = "\3\232" } },
    { f{ opcode = 9, payload = ("x"):rep(126) } },
    { f{ opcode = 10, payload = ("x"):rep(126) } },
    { f{ opcode = 8, payload = "\3\232" .. ("x"):rep(124) } },
--- response_body
1002
1002
1002
1002
1002
alive



=== TEST 5: lengths that lie or are longer than they need be
--- config frames
    { f{ opcode = 1, size = "\254\0\5", payload = "hello" } },
    { f{ opcode = 1, size = "\255\0\0\0\0\0\0\0\5", payload = "hello" } },
    { f{ opcode = 1, size = "\255\0\0\0\0\0\0\255\255" } },
    { f{ opcode = 1, size = "\255\128\0\0\0\0\0\0\0" } },
    { f{ opcode = 9, size = "\254\0\4", payload = "ping" } },
--- response_body
1002
1002
1002
1002
1002
alive



=== TEST 6: fragments out of order
--- config frames
    { f{ opcode = 0, payload = "x" } },
    { f{ opcode = 0, fin = false, payload = "x" } },
    { f{ opcode = 1, fin = false, payload = "{" }, f{ opcode = 1, payload = "}" } },
    { f{ opcode = 1, fin = false, payload = "{" }, f{ opcode = 2, payload = "}" } },
--- response_body
1002
1002
1002
1002
alive



=== TEST 7: binary frames
--- config frames
    { f{ opcode = 2, payload = "{}" } },
    { f{ opcode = 2, fin = false, payload = "{" },
      f{ opcode = 0, payload = "}" } },
--- response_body
1003
1003
alive



=== TEST 8: no UTF-8
--- config frames
    { f{ opcode = 1, payload = '"\195\40"' } },
    { f{ opcode = 1, payload = '"\192\175"' } },
    { f{ opcode = 1, payload = '"\224\128\128"' } },
    { f{ opcode = 1, payload = '"\237\160\128"' } },
    { f{ opcode = 1, payload = '"\244\144\128\128"' } },
    { f{ opcode = 1, payload = '"\255"' } },
    { f{ opcode = 1, payload = '"\195' } },
    { f{ opcode = 1, fin = false, payload = '"\195' },
      f{ opcode = 0, payload = '\40"' } },
    { f{ opcode = 1, fin = false, payload = '"\226\130' },
      f{ opcode = 9 },
      f{ opcode = 0, payload = '' } },
--- response_body eval
"1007\n" x 9 . "alive\n"



=== TEST 9: no UTF-8, seen before the message ends
--- config frames
    { f{ opcode = 1, fin = false, payload = '"\255' } },
    { f{ opcode = 1, fin = false, payload = '"\195' },
      f{ opcode = 0, fin = false, payload = '\40' } },
--- response_body
1007
1007
alive



=== TEST 10: close frames that are none
--- config frames
    { f{ opcode = 8, payload = "\3" } },
    { f{ opcode = 8, payload = "\0\0" } },
    { f{ opcode = 8, payload = "\3\231" } },
    { f{ opcode = 8, payload = "\3\236" } },
    { f{ opcode = 8, payload = "\3\237" } },
    { f{ opcode = 8, payload = "\3\238" } },
    { f{ opcode = 8, payload = "\3\247" } },
    { f{ opcode = 8, payload = "\7\208" } },
    { f{ opcode = 8, payload = "\11\183" } },
    { f{ opcode = 8, payload = "\19\136" } },
    { f{ opcode = 8, payload = "\255\255" } },
    { f{ opcode = 8, payload = "\3\232\195\40" } },
--- response_body eval
"1002\n" x 11 . "1007\nalive\n"



=== TEST 11: more than a message may have
--- config eval
<<'EOL' . ::frames(<<'EOC')
    location = /ws {
        chathub_websocket main;
        chathub_guest on;
        chathub_max_message 1k;
    }
EOL
    { f{ opcode = 1, payload = ("x"):rep(1025) } },
    { f{ opcode = 1, size = "\255\0\0\0\0\0\16\0\0" } },
    { f{ opcode = 1, size = "\255\127\255\255\255\255\255\255\255" } },
    { f{ opcode = 1, fin = false, payload = ("x"):rep(1000) },
      f{ opcode = 0, payload = ("x"):rep(25) } },
    { f{ opcode = 1, fin = false, payload = ("x"):rep(1024) },
      f{ opcode = 0, fin = false, payload = "" },
      f{ opcode = 0, fin = false, payload = "x" } },
EOC
--- response_body
1009
1009
1009
1009
1009
alive



=== TEST 12: just as much as a message may have
--- config eval
$ChatHubSuite::Location =~ s/}/chathub_max_message 1k; }/r . ::lua(<<'EOC')
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    local empty = chat.encode({ event = "message", data = { room = room,
                                                            data = "" } })
    local data = ("x"):rep(1024 - #empty)
    ann:send("message", { room = room, data = data })
    chat.show(ann:message().data == data)
    ann:send("message", { room = room, data = data .. "x" })
    chat.show((ann:ending()))
EOC
--- response_body
true
1009



=== TEST 13: fragments, with control frames between them
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    local text = chat.encode({ event = "message", ref = 7,
                               data = { room = room, data = "€uro" } })
    ann:frame{ opcode = 1, fin = false, mask = "abcd" }
    for i = 1, #text do
        ann:frame{ opcode = 9, payload = "p" .. i, mask = "\255\0\1\2" }
        ann:frame{ opcode = 0, fin = false, payload = text:sub(i, i),
                   mask = "wxyz" }
        ann:frame{ opcode = 10, payload = "not asked for" }
        ann:wait("(pong)")
        assert(ann.pong == "p" .. i)
    end
    ann:frame{ opcode = 0 }
    chat.show(ann:answer(7).seq, ann:message().data)
    ann:close()
--- response_body
1 €uro



=== TEST 14: a byte at a time
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    local bytes = chat.frame{ opcode = 1, mask = "\1\2\3\4",
        payload = chat.encode({ event = "message", ref = 7,
            data = { room = room, data = ("€"):rep(60) } }) }
    bytes = bytes .. chat.frame{ opcode = 9, payload = "end" }
    for i = 1, #bytes do
        ann:raw(bytes:sub(i, i))
        ngx.sleep(0)
    end
    chat.show(ann:answer(7).seq)
    ann:wait("(pong)")
    chat.show(ann.pong)
    ann:close()
--- response_body
1
end



=== TEST 15: a message of a hundred thousand empty fragments
--- config lua
    local room = chat.name("lobby")
    local ann, bob = chat.connect(), chat.connect()
    ann:must("join", { room = room })
    bob:must("join", { room = room })
    ann:frame{ opcode = 1, fin = false }
    local empty = chat.frame{ opcode = 0, fin = false }:rep(1000)
    for _ = 1, 100 do
        ann:raw(empty)
    end
    bob:say(room, "alive")
    ann:frame{ opcode = 0, payload = chat.encode({ event = "ping", ref = 9,
                                                   data = {} }) }
    chat.show(ann:answer(9).time ~= nil, ann:message().data)
    chat.close(ann, bob)
--- response_body
true alive



=== TEST 16: fragments of one byte, a hundred thousand of them
--- config lua
    local ann = chat.connect()
    local text = chat.encode({ event = "ping", ref = 9, data = {} })
    ann:frame{ opcode = 1, fin = false, payload = "" }
    local blank = chat.frame{ opcode = 0, fin = false, payload = " " }:rep(1000)
    for _ = 1, 100 do
        ann:raw(blank)
    end
    ann:frame{ opcode = 0, payload = text }
    chat.show(ann:answer(9).time ~= nil)
    ann:close()
--- response_body
true



=== TEST 17: pings without end
--- config lua
    local ann, bob = chat.connect(), chat.connect()
    local pings = chat.frame{ opcode = 9, payload = ("x"):rep(125) }:rep(100)
    local sent = assert(ngx.thread.spawn(function ()
        for _ = 1, 100 do
            ann:raw(pings)
        end
    end))
    for i = 1, 10000 do
        local e = ann:wait("(pong)")
        assert(#e == 125)
    end
    ngx.thread.wait(sent)
    chat.show(bob:must("ping", {}).time ~= nil)
    chat.close(ann, bob)
--- response_body
true



=== TEST 18: texts that are not JSON
--- config texts
    "", " ", "x", "{", "}", "[", '{"event"}', '{"event":}', '{event:"ping"}',
    "{'event':'ping'}", '{"event":"ping",}', '{"event":"ping" "data":{}}',
    '{"event":"ping","data":{}}x', '{"event":"ping","data":{}}{}',
    '{"event":"ping","data":{}', '{"event":"pi\nng","data":{}}',
    '{"event":"\\x","data":{}}', '{"event":"\\u12","data":{}}',
    '{"event":"ping","data":{},"ref":01}', '{"event":"ping","data":{},"ref":+1}',
    '{"event":"ping","data":{},"ref":1.}', '{"event":"ping","data":{},"ref":.5}',
    '{"event":"ping","data":{},"ref":NaN}', '{"event":"ping","data":{},"ref":0x1}',
    '{"event":"ping","data":tru}', '/**/{"event":"ping","data":{}}',
--- response_body eval
"bad_request\n" x 26 . "alive\n"



=== TEST 19: JSON that is no event
--- config texts
    "null", "true", "1", '"ping"', "[]", '["ping",{}]', "{}",
    '{"data":{}}', '{"event":null,"data":{}}', '{"event":1,"data":{}}',
    '{"event":["ping"],"data":{}}', '{"event":"ping","data":{},"x":1}',
    '{"event":"ping","Event":"ping","data":{}}',
--- response_body eval
"bad_request\n" x 13 . "alive\n"



=== TEST 20: keys that are there twice
--- config texts
    '{"event":"ping","event":"ping","data":{}}',
    '{"event":"ping","data":{},"data":{}}',
    '{"event":"ping","data":{},"ref":1,"ref":2}',
    '{"event":"ping","data":{},"\\u0065vent":"ping"}',
    '{"event":"join","data":{"room":"a","room":"b"}}',
    '{"event":"join","data":{"room":"a","r\\u006fom":"b"}}',
--- response_body eval
"bad_request\n" x 6 . "alive\n"



=== TEST 21: depth without end
--- config texts
    ("["):rep(100000),
    ("["):rep(100000) .. ("]"):rep(100000),
    '{"event":"ping","data":' .. ('{"a":'):rep(100000) .. "1"
    .. ("}"):rep(100000) .. "}",
    '{"event":"message","data":{"room":"r","data":' .. ("["):rep(50) .. ("]"):rep(50) .. "}}",
--- response_body eval
"bad_request\n" x 4 . "alive\n"



=== TEST 22: values without end
--- config texts
    '{"event":"ping","data":{"x":[' .. ("1,"):rep(400000) .. "1]}}",
    '{"event":"ping","data":{"x":[' .. ("{},"):rep(300000) .. "{}]}}",
    '{"event":"ping","data":{' .. ('"k":1,'):rep(100000) .. '"k":1}}',
--- response_body eval
"bad_request\n" x 3 . "alive\n"



=== TEST 23: a key of nearly a megabyte, a number of as many digits
--- config texts
    '{"' .. ("k"):rep(1000000) .. '":1}',
    '{"event":"ping","data":{},"ref":' .. ("9"):rep(1000000) .. "}",
    '{"event":"ping","data":{},"ref":1e' .. ("9"):rep(1000000) .. "}",
    '{"event":"' .. ("e"):rep(1000000) .. '","data":5}',
--- response_body_like eval
qr/\A(?:bad_request\n){3}(?:bad_request|unknown_event)\nalive\n\z/



=== TEST 24: half of a surrogate pair
--- config texts
    '{"event":"message","data":{"room":"r","data":"\\ud834"}}',
    '{"event":"message","data":{"room":"r","data":"\\udd1e"}}',
    '{"event":"message","data":{"room":"r","data":"\\ud834\\ud834"}}',
    '{"event":"message","data":{"room":"r","data":"\\ud834x\\udd1e"}}',
    '{"event":"join","data":{"room":"\\udd1e"}}',
--- response_body eval
"bad_request\n" x 5 . "alive\n"



=== TEST 25: numbers that are not the ones asked for
--- config texts
    '{"event":"rooms","data":{"limit":1e3000}}',
    '{"event":"rooms","data":{"limit":-0.1}}',
    '{"event":"rooms","data":{"limit":18446744073709551616}}',
    '{"event":"rooms","data":{"limit":1000.0000001}}',
    '{"event":"rooms","data":{"prefix":1}}',
    '{"event":"rooms","data":{"after":1}}',
    '{"event":"join","data":{"room":"r","seq":1e19}}',
    '{"event":"join","data":{"broadcast":2}}',
    '{"event":"join","data":{"broadcast":0}}',
    '{"event":"join","data":{"broadcast":"1"}}',
--- response_body eval
"bad_request\n" x 10 . "alive\n"



=== TEST 26: fields that an event does not have
--- config texts
    '{"event":"join","data":{"room":"r","colour":"red"}}',
    '{"event":"leave","data":{"room":"r","seq":1}}',
    '{"event":"rooms","data":{"room":"r"}}',
    '{"event":"users","data":{"room":"r","prefix":"p"}}',
    '{"event":"typing","data":{"room":"r","typing":true,"user":"u"}}',
    '{"event":"ping","data":{"x":1}}',
--- response_body eval
"bad_request\n" x 6 . "alive\n"



=== TEST 27: many rooms of one client
--- config lua
    local ann, bob = chat.connect(), chat.connect()
    local room = chat.name("lobby")
    bob:must("join", { room = room })
    local base = chat.name("r")
    local joined, refused = 0, 0
    for i = 1, 3000 do
        local answer, err = ann:ask("join", { room = base .. i })
        if answer then
            joined = joined + 1
        else
            assert(err.code == "too_many_rooms", err.code)
            refused = refused + 1
        end
    end
    chat.show(joined, refused)
    bob:say(room, "alive")
    chat.show(bob:message(room).data)
    chat.close(ann, bob)
--- response_body
100 2900
alive



=== TEST 28: rooms that come and go without end
--- config lua
    local ann, bob = chat.connect(), chat.connect()
    local room = chat.name("lobby")
    bob:must("join", { room = room })
    local base = chat.name("r")
    local fine = 0
    for i = 1, 3000 do
        local answer, err = ann:ask("join", { room = base .. i })
        if answer then
            fine = fine + 1
            ann:must("leave", { room = base .. i })
        else
            assert(err.code == "busy" or err.code == "unavailable", err.code)
        end
    end
    chat.show(fine > 2000 or fine)
    bob:say(room, "alive")
    chat.show(bob:message(room).data)
    chat.close(ann, bob)
--- response_body
true
alive



=== TEST 29: bytes that are nothing
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    math.randomseed(7)
    for i = 1, 200 do
        local bad = chat.connect()
        local bytes = {}
        for n = 1, 200 do
            bytes[n] = string.char(math.random(0, 255))
        end
        bad.sock:send(table.concat(bytes))
        bad:vanish()
    end
    ann:say(room, "alive")
    chat.show(ann:message(room).data)
    ann:close()
--- response_body
alive



=== TEST 30: frames cut off anywhere
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    local bytes = chat.frame{ opcode = 1, mask = "abcd", payload =
        chat.encode({ event = "message", data = { room = room,
                                                  data = "never" } }) }
    for i = 1, #bytes - 1 do
        local bad = chat.connect()
        bad:must("join", { room = room })
        bad:raw(bytes:sub(1, i))
        bad:vanish()
    end
    ann:say(room, "alive")
    chat.show(ann:message(room).data)
    ann:close()
--- response_body
alive
