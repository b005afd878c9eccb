# Rooms and broadcasts: who gets what, in which order, and what was missed.

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

=== TEST 1: members get a room's messages, the sender too, others do not
--- config lua
    local room, other = chat.names("lobby", "other")
    local ann, bob, cleo = chat.users(chat.names("ann", "bob", "cleo"))
    ann:must("join", { room = room })
    bob:must("join", { room = room })
    cleo:must("join", { room = other })
    ann:say(room, "one")
    cleo:say(other, "elsewhere")
    bob:say(room, "two")
    for _, c in ipairs({ ann, bob }) do
        for _ = 1, 2 do
            local m = c:message()
            chat.show(m.seq, m.user, m.data)
        end
    end
    chat.show(cleo:message().data)
    chat.show(#ann:got("message"), #bob:got("message"), #cleo:got("message"))
    chat.close(ann, bob, cleo)
--- response_body
1 ann one
2 bob two
1 ann one
2 bob two
elsewhere
0 0 0



=== TEST 2: a user's every connection gets them
--- config lua
    local room, name = chat.names("lobby", "ann")
    local one, two = chat.users(name, name)
    one:must("join", { room = room })
    chat.show(two:must("join", { room = room }))
    one:say(room, "x")
    chat.show(one:message().data, two:message().data)
    one:must("leave", { room = room })
    two:say(room, "y")
    chat.show(two:message().data, #one:got("message"))
    chat.show(two:must("users", { room = room }))
    chat.close(one, two)
--- response_body
{"count":1,"epoch":"EPOCH","resync":false,"room":"lobby","seq":0,"users":["ann"]}
x x
y 0
{"count":1,"more":false,"users":["ann"]}



=== TEST 3: names of rooms are compared byte by byte
--- config lua
    local room = chat.name("Lobby")
    local ann, bob = chat.users(chat.names("ann", "bob"))
    ann:must("join", { room = room })
    bob:must("join", { room = room:lower() })
    bob:must("join", { room = room .. " " })
    bob:must("join", { room = room:sub(1, -2) })
    ann:say(room, "x")
    bob:say(room .. " ", "y")
    chat.show(ann:message().data, bob:message().data)
    chat.show(#ann:got("message"), #bob:got("message"))
    chat.close(ann, bob)
--- response_body
x y
0 0



=== TEST 4: from now on, without a seq
--- config lua
    local room = chat.name("lobby")
    local ann, bob = chat.users(chat.names("ann", "bob"))
    ann:must("join", { room = room })
    ann:say(room, "before")
    chat.show(chat.pick(bob:must("join", { room = room }), "seq", "resync"))
    ann:say(room, "after")
    chat.show(bob:message().data, #bob:got("message"))
    chat.close(ann, bob)
--- response_body
{"resync":false,"seq":1}
after 0



=== TEST 5: what was missed, in order and before anything newer
--- config lua
    local room = chat.name("lobby")
    local ann, bob = chat.users(chat.names("ann", "bob"))
    ann:must("join", { room = room })
    local joined = bob:must("join", { room = room })
    for i = 1, 3 do
        ann:say(room, "m" .. i)
    end
    bob:wait("message", function (m) return m.seq == 3 end)
    bob:vanish()
    for i = 4, 40 do
        ann:say(room, "m" .. i)
    end
    bob = chat.users(bob.user)
    local again = bob:must("join", { room = room, epoch = joined.epoch,
                                     seq = 3 })
    chat.show(chat.pick(again, "seq", "resync"))
    ann:say(room, "m41")
    for i = 4, 41 do
        local m = bob:message()
        assert(m.seq == i and m.data == "m" .. i, chat.encode(m))
    end
    chat.show(#bob:got("message"))
    chat.close(ann, bob)
--- response_body
{"resync":false,"seq":40}
0



=== TEST 6: from the oldest
--- config lua
    local room = chat.name("lobby")
    local ann, bob = chat.users(chat.names("ann", "bob"))
    ann:must("join", { room = room })
    for i = 1, 5 do
        ann:say(room, "m" .. i)
    end
    chat.show(chat.pick(bob:must("join", { room = room, seq = 0 }), "seq",
                        "resync"))
    for _ = 1, 5 do
        local m = bob:message()
        chat.show(m.seq, m.data, m.user)
    end
    chat.close(ann, bob)
--- response_body
{"resync":false,"seq":5}
1 m1 ann
2 m2 ann
3 m3 ann
4 m4 ann
5 m5 ann



=== TEST 7: seq without epoch means the present one
--- config lua
    local room = chat.name("lobby")
    local ann, bob = chat.users(chat.names("ann", "bob"))
    ann:must("join", { room = room })
    for i = 1, 3 do
        ann:say(room, "m" .. i)
    end
    chat.show(chat.pick(bob:must("join", { room = room, seq = 2 }), "seq",
                        "resync"))
    chat.show(bob:message().data, #bob:got("message"))
    chat.close(ann, bob)
--- response_body
{"resync":false,"seq":3}
m3 0



=== TEST 8: nothing was missed
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    local joined = ann:must("join", { room = room })
    ann:say(room, "x")
    ann:message()
    chat.show(chat.pick(ann:must("join", { room = room,
        epoch = joined.epoch, seq = 1 }), "seq", "resync", "count"))
    ann:say(room, "y")
    chat.show(ann:message().data, #ann:got("message"))
    ann:close()
--- response_body
{"count":1,"resync":false,"seq":1}
y 0



=== TEST 9: joining again is a resume
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    for i = 1, 4 do
        ann:say(room, "m" .. i)
        ann:message()
    end
    chat.show(chat.pick(ann:must("join", { room = room, seq = 2 }), "seq",
                        "resync", "count"))
    chat.show(ann:message().data, ann:message().data, #ann:got("message"))
    ann:say(room, "m5")
    chat.show(ann:message().data, #ann:got("message"))
    ann:close()
--- response_body
{"count":1,"resync":false,"seq":4}
m3 m4 0
m5 0



=== TEST 10: another numbering
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    ann:say(room, "x")
    local answer = ann:must("join", { room = room, seq = 1,
                                      epoch = "ffffffffffffffff" })
    chat.show(chat.pick(answer, "resync", "seq"))
    ann:close()
--- response_body
{"resync":true,"seq":1}



=== TEST 11: a seq that there was not yet
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    local joined = ann:must("join", { room = room })
    ann:say(room, "x")
    local answer = ann:must("join", { room = room, seq = 1000,
                                      epoch = joined.epoch })
    chat.show(chat.pick(answer, "resync", "seq"))
    ann:say(room, "y")
    chat.show(ann:wait("message", function (m) return m.seq == 2 end).data)
    ann:close()
--- response_body
{"resync":true,"seq":1}
y



=== TEST 12: seqs and epochs that are none
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    for _, place in ipairs({ '"seq":-1', '"seq":1.5', '"seq":"1"',
                             '"seq":9007199254740992', '"seq":1e400',
                             '"seq":18446744073709551615', '"seq":null',
                             '"epoch":1,"seq":1', '"epoch":null,"seq":1' })
    do
        ann:text('{"event":"join","data":{"room":"' .. room .. '",' .. place
                 .. '},"ref":1}')
        local answer, err = ann:answer(1)
        chat.show(answer or err.code)
    end
    ann:close()
--- response_body eval
"bad_request\n" x 9



=== TEST 13: more was missed than is replayed
--- http_config eval: ChatHubSuite::hub('replay 5;')
--- config lua
    local room = chat.name("lobby")
    local ann, bob = chat.users(chat.names("ann", "bob"))
    local joined = ann:must("join", { room = room })
    for i = 1, 10 do
        ann:say(room, "m" .. i)
    end
    local place = { room = room, epoch = joined.epoch, seq = 5 }
    chat.show(chat.pick(bob:must("join", place), "resync", "seq"))
    for i = 6, 10 do
        assert(bob:message().seq == i)
    end
    bob:must("leave", { room = room })
    place.seq = 4
    chat.show(chat.pick(bob:must("join", place), "resync", "seq"))
    ann:say(room, "m11")
    chat.show(bob:wait("message", function (m) return m.seq == 11 end).data)
    chat.close(ann, bob)
--- response_body
{"resync":false,"seq":10}
{"resync":true,"seq":10}
m11



=== TEST 14: what was overwritten cannot be replayed
--- http_config eval
ChatHubSuite::hub() =~ s/zone 24m/zone 2m/r
. '    chathub_max_message 16k; chathub_send_queue 64k;'
--- config lua
    local room = chat.name("lobby")
    local ann, bob = chat.users(chat.names("ann", "bob"))
    local joined = ann:must("join", { room = room })
    local text = ("x"):rep(8000)
    for i = 1, 300 do
        ann:say(room, text)
        ann:message()
    end
    chat.show(chat.pick(bob:must("join", { room = room, seq = 1,
                                           epoch = joined.epoch }),
                        "resync", "seq"))
    bob:must("leave", { room = room })
    chat.show(chat.pick(bob:must("join", { room = room, seq = 290,
                                           epoch = joined.epoch }),
                        "resync", "seq"))
    for i = 291, 300 do
        assert(bob:wait("message", function (m) return m.seq == i end))
    end
    chat.close(ann, bob)
--- response_body
{"resync":true,"seq":300}
{"resync":false,"seq":300}



=== TEST 15: a broadcast reaches everybody, in rooms or not
--- config lua
    local room, text = chat.names("lobby", "text")
    local ann, bob, cleo = chat.users(chat.names("ann", "bob", "cleo"))
    ann:must("join", { room = room })
    local sent = ann:must("message", { broadcast = 1, data = text })
    for _, c in ipairs({ ann, bob, cleo }) do
        local m = c:wait("message", function (m) return m.data == text end)
        chat.show(m.user, m.broadcast, m.room or "", m.seq == sent.seq)
    end
    chat.show(chat.pick(sent, "epoch", "time", "id"), sent.seq > 0)
    chat.close(ann, bob, cleo)
--- response_body
ann 1  true
ann 1  true
ann 1  true
{"epoch":"EPOCH","id":"UUIDv7","time":"TIME"} true



=== TEST 16: broadcasts have an order of their own
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    local first = ann:must("message", { broadcast = 1, data = "1" }).seq
    ann:say(room, "x")
    ann:say(room, "y")
    chat.show(ann:must("message", { broadcast = 1, data = "2" }).seq - first)
    ann:close()
--- response_body
1



=== TEST 17: broadcasts missed
--- config lua
    local ann, bob = chat.users(chat.names("ann", "bob"))
    local before = ann:must("message", { broadcast = 1, data = "0" })
    bob:vanish()
    for i = 1, 3 do
        ann:must("message", { broadcast = 1, data = "b" .. i })
    end
    bob = chat.users(bob.user)
    local answer = bob:must("join", { broadcast = 1, epoch = before.epoch,
                                      seq = before.seq })
    chat.show(answer.resync, answer.seq - before.seq, answer.epoch == before.epoch)
    for i = 1, 3 do
        local m = bob:message()
        chat.show(m.seq - before.seq, m.data)
    end
    chat.close(ann, bob)
--- response_body
false 3 true
1 b1
2 b2
3 b3



=== TEST 18: a broadcast with a room's name
--- config lua
    local room, text = chat.names("lobby", "text")
    local ann, bob = chat.users(chat.names("ann", "bob"))
    ann:must("message", { broadcast = 1, data = text, room = room })
    local m = bob:wait("message", function (m) return m.data == text end)
    chat.show(m.room, m.broadcast)
    chat.show(bob:must("rooms", { prefix = room }).rooms)
    chat.close(ann, bob)
--- response_body
lobby 1
[]



=== TEST 19: who comes and who goes
--- config lua
    local room, bobs = chat.names("lobby", "bob")
    local ann, bob = chat.users(chat.name("ann"), bobs)
    local function about(kind)
        return function (e)
            for _, name in ipairs(e[kind] or {}) do
                if name == bobs then
                    return e.room == room
                end
            end
        end
    end
    ann:must("join", { room = room })
    bob:must("join", { room = room })
    local e = ann:wait("roomusers", about("joined"))
    chat.show(e.count)
    bob:must("leave", { room = room })
    e = ann:wait("roomusers", about("left"))
    chat.show(e.count)
    bob:must("join", { room = room })
    ann:wait("roomusers", about("joined"))
    bob:vanish()
    e = ann:wait("roomusers", about("left"))
    chat.show(e.count, ann:must("users", { room = room }).count)
    ann:close()
--- response_body
2
1
1 1



=== TEST 20: rooms that come are told to everybody
--- config lua
    local room = chat.name("lobby")
    local ann, bob = chat.users(chat.names("ann", "bob"))
    ann:must("join", { room = room })
    local e = bob:wait("room", function (e)
        for _, name in ipairs(e.added or {}) do
            if name == room then
                return true
            end
        end
    end)
    chat.show(e and "added")
    chat.close(ann, bob)
--- response_body
added



=== TEST 21: a room without members and messages goes
--- config lua
    local room = chat.name("lobby")
    local ann, bob = chat.users(chat.names("ann", "bob"))
    local function is(kind)
        return function (e)
            for _, name in ipairs(e[kind] or {}) do
                if name == room then
                    return true
                end
            end
        end
    end
    ann:must("join", { room = room })
    bob:wait("room", is("added"))
    chat.show(#bob:must("rooms", { prefix = room }).rooms)
    ann:must("leave", { room = room })
    bob:wait("room", is("removed"))
    chat.show(#bob:must("rooms", { prefix = room }).rooms)
    chat.close(ann, bob)
--- response_body
1
0



=== TEST 22: one user's joins and leaves do not count twice
--- config lua
    local room, name = chat.names("lobby", "ann")
    local one, two = chat.users(name, name)
    for _ = 1, 5 do
        one:must("join", { room = room })
        two:must("join", { room = room })
    end
    chat.show(one:must("users", { room = room }).count)
    two:must("leave", { room = room })
    chat.show(one:must("users", { room = room }).count)
    one:must("leave", { room = room })
    chat.show(one:must("users", { room = room }).count)
    chat.close(one, two)
--- response_body
1
1
0



=== TEST 23: many members, many messages: one order for all
--- config lua
    local room = chat.name("lobby")
    local clients = {}
    for i = 1, 20 do
        clients[i] = chat.connect()
        clients[i]:must("join", { room = room })
    end
    for n = 1, 10 do
        for i, c in ipairs(clients) do
            c:send("message", { room = room, data = i .. ":" .. n }, n + 100)
        end
    end
    local order
    for _, c in ipairs(clients) do
        local seen = {}
        for seq = 1, 200 do
            local m = c:message()
            assert(m.seq == seq, "a gap at " .. seq)
            seen[seq] = m.data
        end
        local text = table.concat(seen, " ")
        order = order or text
        assert(order == text, "another order")
        for n = 1, 10 do
            assert(c:answer(n + 100))
        end
    end
    local of = {}
    for i, n in order:gmatch("(%d+):(%d+)") do
        assert(tonumber(n) == (of[i] or 0) + 1, "a sender's order is lost")
        of[i] = tonumber(n)
    end
    chat.show("one order")
    chat.close(unpack(clients))
--- response_body
one order



=== TEST 24: two hubs do not hear each other
--- http_config eval
$ChatHubSuite::Hub . 'chathub_hub other { zone 24m; node other-node; store off; }'
--- config eval
$ChatHubSuite::Location . ::lua(<<'EOC') . <<'EOL'
    local room = chat.name("lobby")
    local ann = chat.connect({ user = "ann" })
    local bob = chat.connect({ user = "bob", uri = "/other" })
    chat.show(bob.hello)
    ann:must("join", { room = room })
    chat.show(bob:must("join", { room = room }).users)
    ann:say(room, "x")
    bob:say(room, "y")
    ann:must("message", { broadcast = 1, data = "b" })
    chat.show(bob:message().data, ann:message(room).data)
    chat.show(#bob:got("message"))
    chat.close(ann, bob)
EOC
    location = /other {
        chathub_websocket other;
        chathub_guest on;
    }
EOL
--- response_body
app is connected at other-node
["bob"]
y x
0
