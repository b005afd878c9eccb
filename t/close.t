# How connections end: close codes, dead peers, slow readers.

use strict;
use warnings;

use FindBin;
use Test::Nginx::Socket;
require "$FindBin::Bin/lib/ChatHubSuite.pm";

repeat_each(2);
plan tests => repeat_each() * 3 * blocks();

no_long_string();
run_tests();

__DATA__

=== TEST 1: a client's close is answered with its code
--- config lua
    for _, code in ipairs({ 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                            1011, 3000, 4000, 4999 })
    do
        chat.show(chat.connect():close(code, "bye"))
    end
--- response_body
1000
1001
1002
1003
1007
1008
1009
1010
1011
3000
4000
4999



=== TEST 2: a close without a code
--- config lua
    local ann = chat.connect()
    ann:frame({ opcode = 8 })
    chat.show(ann:ending())
--- response_body
none 



=== TEST 3: after the close comes the end of the connection
--- config lua
    local ann = chat.connect()
    ann:frame({ opcode = 8, payload = "\3\232" })
    chat.show(ann:ending())
    local data, err = ann.sock:receive(1)
    chat.show(tostring(data), err)
--- response_body
1000 
nil closed



=== TEST 4: what was asked before the close is answered before it
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    local function event(name, data, ref)
        return chat.frame({ opcode = 1, payload = chat.encode({
            event = name, data = data, ref = ref }) })
    end
    ann:raw(event("join", { room = room }, 1)
            .. event("message", { room = room, data = "x" }, 2)
            .. event("ping", {}, 3)
            .. chat.frame({ opcode = 8, payload = "\3\232" }))
    for ref = 1, 3 do
        assert(ann:answer(ref))
    end
    chat.show(ann:ending())
--- response_body
1000 



=== TEST 5: what comes after the close is not looked at
--- config lua
    local room, name = chat.names("lobby", "ann")
    local bob = chat.connect()
    bob:must("join", { room = room })
    local ann = chat.users(name)
    ann:must("join", { room = room })
    ann:raw(chat.frame({ opcode = 8, payload = "\3\232" })
            .. chat.frame({ opcode = 1, payload = chat.encode({
                event = "message", data = { room = room, data = "late" } }) }))
    chat.show(ann:ending())
    bob:say(room, "end")
    chat.show(bob:message().data)
    bob:close()
--- response_body
1000 
end



=== TEST 6: whoever goes leaves the room, with or without a word
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    local function count(wanted)
        for _ = 1, 10000 do
            local n = ann:must("users", { room = room }).count
            if n == wanted then
                return n
            end
        end
        return "not " .. wanted
    end
    local bob, cleo, dora = chat.users(chat.names("bob", "cleo", "dora"))
    for _, c in ipairs({ bob, cleo, dora }) do
        c:must("join", { room = room })
    end
    chat.show(count(4))
    bob:close()
    chat.show(count(3))
    cleo:vanish()
    chat.show(count(2))
    dora:raw("\129")
    dora:vanish()
    chat.show(count(1))
    ann:close()
--- response_body
4
3
2
1



=== TEST 7: a peer that answers pings stays
--- config eval
$ChatHubSuite::Location =~ s/}/chathub_ping 100ms 1s; }/r . ::lua(<<'EOC')
    local ann = chat.connect()
    for _ = 1, 3 do
        local text, kind
        repeat
            text, kind = ann.ws:recv_frame()
        until kind ~= "text"
        assert(kind == "ping", kind)
        ann.ws:send_pong(text)
    end
    chat.show(ann:must("ping", {}) and "alive")
    ann:close()
EOC
--- response_body
alive



=== TEST 8: a silent peer is closed
--- config eval
$ChatHubSuite::Location =~ s/}/chathub_ping 200ms 300ms; }/r . ::lua(<<'EOC')
    local ann = chat.connect()
    local pings = 0
    ngx.update_time()
    local from, kind, code = ngx.now()
    repeat
        local data
        data, kind, code = ann.ws:recv_frame()
        if kind == "ping" then
            pings = pings + 1
        end
    until not data or kind == "close"
    ngx.update_time()
    local took = ngx.now() - from
    chat.show(pings, took >= 0.4 and took < 10 or took)
EOC
--- response_body
1 true



=== TEST 9: who speaks is not silent
--- config eval
$ChatHubSuite::Location =~ s/}/chathub_ping 300ms 300ms; }/r . ::lua(<<'EOC')
    local ann = chat.connect()
    ngx.update_time()
    local from = ngx.now()
    while ngx.now() - from < 1.5 do
        ann:send("ping", {}, 1)
        local data, kind = ann.ws:recv_frame()
        assert(data and kind ~= "close", "closed")
        ngx.sleep(0.02)
        ngx.update_time()
    end
    chat.show("alive")
    ann:close()
EOC
--- response_body
alive



=== TEST 10: who does not read is closed, others do not notice
--- config eval
<<'EOL' . ::lua(<<'EOC')
    location = /ws {
        chathub_websocket main;
        chathub_guest on;
        chathub_max_message 64k;
        chathub_send_queue 256k;
    }
EOL
    local room = chat.name("lobby")
    local slow, ann, bob = chat.users(chat.names("slow", "ann", "bob"))
    for _, c in ipairs({ slow, ann, bob }) do
        c:must("join", { room = room })
    end
    local text, sent = ("x"):rep(60000), 0
    local gone = false
    while not gone and sent < 1000 do
        sent = sent + 1
        ann:say(room, text)
        assert(ann:message().seq == sent)
        assert(bob:message().seq == sent)
        gone = ann:must("users", { room = room }).count == 2
    end
    chat.show(gone)
    local code = slow:ending()
    chat.show(code)
    chat.show(ann:must("users", { room = room }).count)
    chat.close(ann, bob)
EOC
--- response_body
true
1013
2



=== TEST 11: a slow reader comes back for what it missed
--- config eval
<<'EOL' . ::lua(<<'EOC')
    location = /ws {
        chathub_websocket main;
        chathub_guest on;
        chathub_max_message 64k;
        chathub_send_queue 256k;
    }
EOL
    local room = chat.name("lobby")
    local slow, ann = chat.users(chat.names("slow", "ann"))
    local joined = slow:must("join", { room = room })
    ann:must("join", { room = room })
    local text, sent = ("x"):rep(60000), 0
    repeat
        sent = sent + 1
        ann:say(room, text)
        ann:message()
    until ann:must("users", { room = room }).count == 1 or sent == 1000
    local last = 0
    while true do
        local e, code = slow:read()
        if not e then
            assert(code == 1013, code)
            break
        end
        if e.event == "message" then
            assert(e.data.seq == last + 1)
            last = e.data.seq
        end
    end
    chat.show(last < sent)
    slow = chat.users(slow.user)
    local again = slow:must("join", { room = room, epoch = joined.epoch,
                                      seq = last })
    chat.show(again.resync, again.seq == sent)
    for seq = last + 1, sent do
        assert(slow:message().seq == seq)
    end
    chat.close(slow, ann)
EOC
--- response_body
true
false true



=== TEST 12: a message of any size passes an empty queue
--- config eval
<<'EOL' . ::lua(<<'EOC')
    location = /ws {
        chathub_websocket main;
        chathub_guest on;
        chathub_max_message 1m;
        chathub_send_queue 2m;
    }
EOL
    local room = chat.name("lobby")
    local ann, bob = chat.users(chat.names("ann", "bob"))
    ann:must("join", { room = room })
    bob:must("join", { room = room })
    local text = ("x"):rep(1000000)
    for i = 1, 3 do
        ann:say(room, text)
        chat.show(ann:message().data == text, bob:message().data == text)
    end
    chat.close(ann, bob)
EOC
--- response_body
true true
true true
true true
