# Messages to one person.

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

=== TEST 1: every connection of both parties, nobody else's
--- config lua
    local a, b, c = chat.names("ann", "bob", "cleo")
    local ann, ann2, bob, bob2, cleo = chat.users(a, a, b, b, c)
    local sent = ann:must("message", { unicast = true, toUser = b,
                                       data = "psst" })
    for _, client in ipairs({ ann, ann2, bob, bob2 }) do
        local m = client:message()
        chat.show(chat.pick(m, "user", "toUser", "data", "unicast", "seq"),
                  m.room or "", m.id == sent.id)
    end
    chat.show(#cleo:got("message"))
    chat.show(#ann:got("message"), #bob2:got("message"))
    chat.close(ann, ann2, bob, bob2, cleo)
--- response_body
{"data":"psst","seq":1,"toUser":"bob","unicast":true,"user":"ann"}  true
{"data":"psst","seq":1,"toUser":"bob","unicast":true,"user":"ann"}  true
{"data":"psst","seq":1,"toUser":"bob","unicast":true,"user":"ann"}  true
{"data":"psst","seq":1,"toUser":"bob","unicast":true,"user":"ann"}  true
0
0 0



=== TEST 2: both directions have one order
--- config lua
    local a, b = chat.names("ann", "bob")
    local ann, bob = chat.users(a, b)
    for i = 1, 3 do
        ann:must("message", { unicast = true, toUser = b, data = "a" .. i })
        bob:must("message", { unicast = true, toUser = a, data = "b" .. i })
    end
    for i = 1, 6 do
        local x, y = ann:message(), bob:message()
        chat.show(x.seq, x.data, y.seq, y.data)
    end
    chat.close(ann, bob)
--- response_body
1 a1 1 a1
2 b1 2 b1
3 a2 3 a2
4 b2 4 b2
5 a3 5 a3
6 b3 6 b3



=== TEST 3: a room is only a label
--- config lua
    local a, b, c, room = chat.names("ann", "bob", "cleo", "lobby")
    local ann, bob, cleo = chat.users(a, b, c)
    cleo:must("join", { room = room })
    ann:must("message", { unicast = true, toUser = b, data = "x",
                          room = room })
    chat.show(bob:message().room)
    chat.show(#cleo:got("message"))
    chat.show(cleo:say(room, "first").seq)
    chat.close(ann, bob, cleo)
--- response_body
lobby
0
1



=== TEST 4: to oneself
--- config lua
    local a = chat.name("ann")
    local ann, ann2 = chat.users(a, a)
    chat.show(ann:must("message", { unicast = true, toUser = a,
                                    data = "note" }).seq)
    chat.show(ann:message().data, ann2:message().data)
    chat.show(#ann:got("message"), #ann2:got("message"))
    chat.close(ann, ann2)
--- response_body
1
note note
0 0



=== TEST 5: to somebody who is away
--- config lua
    local a, b = chat.names("ann", "bob")
    local ann = chat.users(a)
    for i = 1, 3 do
        ann:must("message", { unicast = true, toUser = b, data = "m" .. i })
    end
    local bob = chat.users(b)
    chat.show(bob:must("join", { user = a, seq = 0 }))
    for _ = 1, 3 do
        local m = bob:message()
        chat.show(m.seq, m.data, m.user, m.toUser)
    end
    chat.close(ann, bob)
--- response_body
{"epoch":"EPOCH","resync":false,"seq":3,"user":"ann"}
1 m1 ann bob
2 m2 ann bob
3 m3 ann bob



=== TEST 6: what was missed of a pair
--- config lua
    local a, b = chat.names("ann", "bob")
    local ann, bob = chat.users(a, b)
    local first = ann:must("message", { unicast = true, toUser = b,
                                        data = "m1" })
    bob:message()
    bob:vanish()
    for i = 2, 4 do
        ann:must("message", { unicast = true, toUser = b, data = "m" .. i })
    end
    bob = chat.users(b)
    chat.show(bob:must("join", { user = a, epoch = first.epoch, seq = 1 }))
    for _ = 2, 4 do
        local m = bob:message()
        chat.show(m.seq, m.data)
    end
    ann:must("message", { unicast = true, toUser = b, data = "m5" })
    chat.show(bob:message().seq)
    chat.close(ann, bob)
--- response_body
{"epoch":"EPOCH","resync":false,"seq":4,"user":"ann"}
2 m2
3 m3
4 m4
5



=== TEST 7: pairs do not mix
--- config lua
    local a, b, c = chat.names("ann", "bob", "cleo")
    local ann, bob, cleo = chat.users(a, b, c)
    ann:must("message", { unicast = true, toUser = b, data = "to bob" })
    ann:must("message", { unicast = true, toUser = c, data = "to cleo" })
    cleo:must("message", { unicast = true, toUser = b, data = "cleo to bob" })
    local x, y = bob:message(), bob:message()
    chat.show(x.seq, x.data, y.seq, y.data)
    chat.show(cleo:must("join", { user = b, seq = 0 }))
    chat.close(ann, bob, cleo)
--- response_body
1 to bob 1 cleo to bob
{"epoch":"EPOCH","resync":false,"seq":1,"user":"bob"}



=== TEST 8: nobody else can read a pair
--- config lua
    local a, b, c = chat.names("ann", "bob", "cleo")
    local ann, bob, cleo = chat.users(a, b, c)
    ann:must("message", { unicast = true, toUser = b, data = "secret" })
    chat.show(chat.pick(cleo:must("join", { user = a, seq = 0 }), "seq"))
    chat.show(chat.pick(cleo:must("join", { user = b, seq = 0 }), "seq"))
    chat.show(#cleo:got("message"))
    chat.close(ann, bob, cleo)
--- response_body
{"seq":0}
{"seq":0}
0



=== TEST 9: another numbering of a pair
--- config lua
    local a, b = chat.names("ann", "bob")
    local ann, bob = chat.users(a, b)
    ann:must("message", { unicast = true, toUser = b, data = "x" })
    chat.show(chat.pick(bob:must("join", { user = a, seq = 1,
                                           epoch = "ffffffffffffffff" }),
                        "resync", "seq"))
    chat.close(ann, bob)
--- response_body
{"resync":true,"seq":1}



=== TEST 10: names that would collide if they were put together carelessly
--- config lua
    local s = chat.name("s")
    local ann, bob = chat.users(s .. "a:b", s .. "a")
    ann:must("message", { unicast = true, toUser = "c" .. s, data = "1" })
    chat.show(bob:must("message", { unicast = true, toUser = "b:c" .. s,
                                    data = "2" }).seq)
    local room = "p:" .. s .. "a:b:c" .. s
    bob:must("join", { room = room })
    chat.show(bob:say(room, "3").seq)
    chat.close(ann, bob)
--- response_body
1
1



=== TEST 11: a guest who takes another name is found by it
--- config lua
    local a, b, c, room = chat.names("ann", "bob", "bobby", "lobby")
    local ann, bob = chat.users(a, b)
    bob:must("join", { room = room, user = c })
    ann:must("message", { unicast = true, toUser = b, data = "old" })
    ann:must("message", { unicast = true, toUser = c, data = "new" })
    chat.show(bob:message().data, #bob:got("message"))
    chat.close(ann, bob)
--- response_body
new 0



=== TEST 12: the same id again is delivered once
--- config lua
    local a, b, id = chat.names("ann", "bob", "id")
    local ann, bob = chat.users(a, b)
    local m = { unicast = true, toUser = b, data = "x", id = id }
    local one = ann:must("message", m)
    local two = ann:must("message", m)
    chat.show(chat.encode(one) == chat.encode(two))
    ann:must("message", { unicast = true, toUser = b, data = "y" })
    chat.show(bob:message().data, bob:message().data, #bob:got("message"))
    chat.show(ann:refused("message", { unicast = true, toUser = a,
                                       data = "x", id = id }))
    chat.close(ann, bob)
--- response_body
true
x y 0
bad_request
