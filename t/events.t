# Events of one connection and their answers: the native protocol.

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

=== TEST 1: what a client hears at connect
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    chat.show(ann.hello)
    ann:must("join", { room = room })
    local bob = chat.connect()
    local pushed = bob:wait("room", function (e)
        for _, name in ipairs(e.added or {}) do
            if name == room then
                return true
            end
        end
    end)
    chat.show(pushed.removed and #pushed.removed or 0)
    chat.close(ann, bob)
--- response_body
app is connected at test-node
0



=== TEST 2: join
--- config lua
    local room, name = chat.names("lobby", "ann")
    local ann = chat.connect()
    chat.show(ann:must("join", { room = room, user = name }))
    chat.show(ann:wait("log"))
    ann:close()
--- response_body
{"count":1,"epoch":"EPOCH","resync":false,"room":"lobby","seq":0,"users":["ann"]}
app is connected at test-node



=== TEST 3: a message, its answer, and what its room sees
--- config lua
    local room, name = chat.names("lobby", "ann")
    local ann = chat.users(name)
    local joined = ann:must("join", { room = room })
    local sent = ann:say(room, "hello")
    local m = ann:message(room)
    chat.show(sent)
    chat.show(chat.pick(m, "id", "seq", "epoch", "time", "user", "room",
                        "data", "type"))
    chat.show(m.broadcast or 0, m.unicast or false, m.toUser or "")
    chat.show(m.id == sent.id, m.time == sent.time, m.epoch == sent.epoch,
              m.epoch == joined.epoch)
    ann:close()
--- response_body
{"epoch":"EPOCH","id":"UUIDv7","room":"lobby","seq":1,"time":"TIME"}
{"data":"hello","epoch":"EPOCH","id":"UUIDv7","room":"lobby","seq":1,"time":"TIME","type":"text","user":"ann"}
0 false 
true true true true



=== TEST 4: the server's time is now
--- config lua
    local ann = chat.connect()
    local before = ngx.utctime()
    local time = ann:must("ping", {}).time:sub(1, 19):gsub("T", " ")
    ngx.update_time()
    chat.show(before <= time and time <= ngx.utctime() or time)
    ann:close()
--- response_body
true



=== TEST 5: every field of a message that a client may set
--- config lua
    local room, name = chat.names("lobby", "ann")
    local ann = chat.users(name)
    ann:must("join", { room = room })
    local id = ("x"):rep(20) .. ngx.now() * 1000 .. "_-"
    ann:must("message", { id = id, room = room, data = "data:image/png;base64,AA==",
                          type = "image", broadcast = 0, unicast = false,
                          toUser = "" })
    local m = ann:message(room)
    chat.show(m.id == id, chat.pick(m, "type", "data", "user", "seq"))
    ann:close()
--- response_body
true {"data":"data:image/png;base64,AA==","seq":1,"type":"image","user":"ann"}



=== TEST 6: what the server sets is not the client's
--- config lua
    local room, name = chat.names("lobby", "ann")
    local ann = chat.users(name)
    ann:must("join", { room = room })
    ann:must("message", { room = room, data = "x", user = "mallory", seq = 77,
                          epoch = "0123456789abcdef",
                          time = "1999-01-01T00:00:00.000Z" })
    local m = ann:message(room)
    chat.show(chat.pick(m, "user", "seq"), m.epoch ~= "0123456789abcdef",
              m.time > "2020")
    ann:close()
--- response_body
{"seq":1,"user":"ann"} true true



=== TEST 7: empty text is text; no text is none
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    ann:say(room, "")
    chat.show(ann:message(room).data == "")
    chat.show(ann:refused("message", { room = room }))
    chat.show(ann:refused("message", { room = room, data = chat.null }))
    ann:close()
--- response_body
true
bad_request
bad_request



=== TEST 8: text comes as it went
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    for _, text in ipairs({ '"\\/\b\f\n\r\t', "\1\31\127",
                            "ß € 𝄞 \239\187\191", ("\\u0000"):rep(1000),
                            "</script>\226\128\168", ("x"):rep(100000) })
    do
        ann:say(room, text)
        local m = ann:message(room)
        chat.show(m.data == text or m.data)
    end
    ann:close()
--- response_body
true
true
true
true
true
true



=== TEST 9: escapes of every kind
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    ann:text(' { "ref" :1, "d\\u0061ta": {"room":"' .. room .. '",\r\n\t"data":"\\uD834\\uDD1E\\u00e9\\/\\u0001"} ,"event":"message"} ')
    chat.show(ann:answer(1).seq)
    chat.show(ann:message(room).data == "𝄞é/\1")
    ann:close()
--- response_body
1
true



=== TEST 10: targets that do not fit
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    chat.show(ann:refused("message", { data = "x" }))
    chat.show(ann:refused("message", { data = "x", room = "", toUser = "" }))
    chat.show(ann:refused("message", { data = "x", broadcast = 1,
                                       unicast = true, toUser = "bob" }))
    chat.show(ann:refused("message", { data = "x", unicast = true }))
    chat.show(ann:refused("message", { data = "x", unicast = true,
                                       toUser = "" }))
    chat.show(ann:refused("message", { data = "x", room = chat.name("x") }))
    ann:close()
--- response_body
bad_request
bad_request
bad_request
bad_request
bad_request
not_joined



=== TEST 11: fields of a wrong type, and unknown ones
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    for _, wrong in ipairs({ { data = 1 }, { data = {} }, { room = 1 },
                             { id = 5 }, { type = true }, { broadcast = 2 },
                             { broadcast = true }, { broadcast = "1" },
                             { broadcast = -1 }, { broadcast = 0.5 },
                             { unicast = 1 }, { unicast = "true" },
                             { toUser = 1 }, { colour = "red" },
                             { Room = "x" }, { [""] = "" } })
    do
        local m = { room = room, data = "x" }
        for k, v in pairs(wrong) do
            m[k] = v
        end
        chat.show(ann:refused("message", m))
    end
    chat.show(ann:say(room, "first").seq)
    ann:close()
--- response_body eval
"bad_request\n" x 16 . "1\n"



=== TEST 12: ids
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    local unique = chat.name("i"):sub(1, 60)
    for _, id in ipairs({ unique, unique .. ("A"):rep(64 - #unique), "c-x",
                          ("x"):rep(65), "a b", "a/b", "ä", "a\1",
                          "c-" .. unique })
    do
        local answer, err = ann:ask("message", { room = room, data = "x",
                                                 id = id })
        chat.show(answer and answer.id == id or err.code)
    end
    ann:close()
--- response_body
true
true
bad_request
bad_request
bad_request
bad_request
bad_request
bad_request
bad_request



=== TEST 13: types
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    for _, kind in ipairs({ "a", "application/x.y+z-0_1", ("x"):rep(32),
                            ("x"):rep(33), "a b", "ä", "a\n" })
    do
        local answer, err = ann:ask("message", { room = room, data = "x",
                                                 type = kind })
        chat.show(answer and ann:message(room).type == kind or err.code)
    end
    ann:close()
--- response_body
true
true
true
bad_request
bad_request
bad_request
bad_request



=== TEST 14: the same id again is the same message
--- config lua
    local room, id = chat.names("lobby", "id")
    local ann = chat.connect()
    ann:must("join", { room = room })
    local m = { room = room, data = "once", id = id }
    local first = ann:must("message", m)
    ann:say(room, "between")
    local again = ann:must("message", m)
    ann:say(room, "after")
    chat.show(chat.encode(first) == chat.encode(again))
    for _ = 1, 3 do
        local got = ann:message(room)
        chat.show(got.seq, got.data)
    end
    chat.show(#ann:got("message"))
    ann:close()
--- response_body
true
1 once
2 between
3 after
0



=== TEST 15: another's id, and another content
--- config lua
    local room, other, id = chat.names("lobby", "other", "id")
    local ann, bob = chat.users(chat.names("ann", "bob"))
    for _, c in ipairs({ ann, bob }) do
        c:must("join", { room = room })
        c:must("join", { room = other })
    end
    ann:must("message", { room = room, data = "mine", id = id })
    chat.show(bob:refused("message", { room = room, data = "mine", id = id }))
    chat.show(ann:refused("message", { room = room, data = "else", id = id }))
    chat.show(ann:refused("message", { room = other, data = "mine", id = id }))
    chat.show(ann:refused("message", { room = room, data = "mine", id = id,
                                       type = "image" }))
    chat.show(ann:refused("message", { broadcast = 1, data = "mine",
                                       id = id }))
    chat.show(ann:must("message", { room = room, data = "mine", id = id }).seq)
    chat.close(ann, bob)
--- response_body
forbidden
bad_request
bad_request
bad_request
bad_request
1



=== TEST 16: leave
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    chat.show(ann:must("leave", { room = room }))
    chat.show(ann:refused("leave", { room = room }))
    chat.show(ann:refused("message", { room = room, data = "x" }))
    chat.show(ann:refused("typing", { room = room, typing = true }))
    ann:close()
--- response_body
{"room":"lobby"}
not_joined
not_joined
not_joined



=== TEST 17: errors name the room and the id
--- config lua
    local room, id = chat.names("lobby", "id")
    local ann = chat.connect()
    local _, err = ann:ask("message", { room = room, data = "x", id = id })
    chat.show(chat.pick(err, "code", "room", "id"), #err.message > 8)
    _, err = ann:ask("leave", { room = room })
    chat.show(chat.pick(err, "code", "room", "id"))
    ann:close()
--- response_body
{"code":"not_joined","id":"id","room":"lobby"} true
{"code":"not_joined","room":"lobby"}



=== TEST 18: without a ref there is no ack, but an error
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:send("join", { room = room })
    ann:send("message", { room = room, data = "x" })
    ann:send("typing", { room = chat.name("other"), typing = true })
    local err = ann:wait("error")
    chat.show(err.code)
    chat.show(ann:message(room).data)
    chat.show(#ann:got("ack"), #ann:got("error"))
    ann:close()
--- response_body
not_joined
x
0 0



=== TEST 19: refs
--- config lua
    local ann = chat.connect()
    for _, ref in ipairs({ "0", "1", "9007199254740991" }) do
        ann:text('{"event":"ping","data":{},"ref":' .. ref .. '}')
        local e
        repeat
            e = ann:read()
        until e.ref
        chat.show(("%.0f"):format(e.ref))
    end
    for _, ref in ipairs({ "-1", "1.5", "9007199254740992", "1e400", '"1"',
                           "null", "true", "[]", "{}" })
    do
        ann:text('{"event":"ping","data":{},"ref":' .. ref .. '}')
        local e = ann:wait("error")
        chat.show(e.code)
    end
    ann:close()
--- response_body eval
"0\n1\n9007199254740991\n" . "bad_request\n" x 9



=== TEST 20: events that there are not
--- config lua
    local ann = chat.connect()
    for _, event in ipairs({ "shout", "", "Join", "join ", "ack",
                             ("x"):rep(1000), "__proto__" })
    do
        chat.show(ann:refused(event, {}))
    end
    ann:close()
--- response_body eval
"unknown_event\n" x 7



=== TEST 21: data that is none
--- config lua
    local ann = chat.connect()
    for _, text in ipairs({ '{"event":"join","ref":1}',
                            '{"event":"join","data":null,"ref":1}',
                            '{"event":"join","data":[],"ref":1}',
                            '{"event":"join","data":"x","ref":1}',
                            '{"event":"join","data":{},"ref":1}',
                            '{"event":"leave","data":{},"ref":1}',
                            '{"event":"users","data":{},"ref":1}',
                            '{"event":"typing","data":{},"ref":1}' })
    do
        ann:text(text)
        local answer, err = ann:answer(1)
        chat.show(answer or err.code)
    end
    ann:close()
--- response_body eval
"bad_request\n" x 8



=== TEST 22: names of rooms
--- config lua
    local ann = chat.connect()
    local unique = chat.name("r")
    local long = unique .. ("x"):rep(126 - #unique) .. "ü"
    for _, name in ipairs({ long,
                            unique .. " spaces and / \\ \" ' %00 {} * ? : .",
                            unique .. "\226\128\174", long .. "x", "a\nb",
                            "a\31b", "\127", "\1" })
    do
        local answer, err = ann:ask("join", { room = name })
        chat.show(answer and answer.room == name or err.code)
    end
    ann:close()
--- response_body
true
true
true
bad_name
bad_name
bad_name
bad_name
bad_name



=== TEST 23: names of users
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    for _, name in ipairs({ ("x"):rep(129), "a\tb", "\127" }) do
        chat.show(ann:refused("join", { room = room, user = name }))
        chat.show(ann:refused("message", { unicast = true, toUser = name,
                                           data = "x" }))
    end
    ann:close()
--- response_body eval
"bad_name\n" x 6



=== TEST 24: rooms, by name and in pages
--- config lua
    local prefix = chat.name("p")
    local ann = chat.connect()
    for _, i in ipairs({ 3, 1, 2, 10, 4 }) do
        ann:must("join", { room = prefix .. i })
    end
    ann:say(prefix .. 2, "x")
    local function show(query)
        query.prefix = prefix
        local page = ann:must("rooms", query)
        local names = {}
        for i, room in ipairs(page.rooms) do
            names[i] = room.room:sub(#prefix + 1) .. ":" .. room.users
                       .. ":" .. room.seq
        end
        chat.show(table.concat(names, " "), page.more)
    end
    show({})
    show({ limit = 2 })
    show({ limit = 2, after = prefix .. "10" })
    show({ limit = 2, after = prefix .. "3" })
    show({ after = prefix .. "9" })
    local all = ann:must("rooms", { prefix = chat.name("none") })
    chat.show(all)
    ann:close()
--- response_body
1:1:0 10:1:0 2:1:1 3:1:0 4:1:0 false
1:1:0 10:1:0 true
2:1:1 3:1:0 true
4:1:0 false
 false
{"more":false,"rooms":[]}



=== TEST 25: limits of pages
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    for _, limit in ipairs({ 0, 1001, -1, 1.5, "10", true }) do
        chat.show(ann:refused("rooms", { limit = limit }))
        chat.show(ann:refused("users", { room = room, limit = limit }))
    end
    for _, limit in ipairs({ 1, 1000 }) do
        chat.show(#ann:must("users", { room = room, limit = limit }).users)
    end
    ann:close()
--- response_body eval
"bad_request\n" x 12 . "1\n1\n"



=== TEST 26: users, by name and each once
--- config lua
    local room = chat.name("lobby")
    local names = { "dora", "ann", "cleo", "bob" }
    local clients = {}
    for i, name in ipairs(names) do
        names[i] = "u" .. i % 3 .. chat.name(name)
        clients[i] = chat.users(names[i])
        clients[i]:must("join", { room = room })
    end
    clients[5] = chat.users(names[2])
    clients[5]:must("join", { room = room })
    table.sort(names)
    local all = clients[1]:must("users", { room = room })
    chat.show(chat.encode(all.users) == chat.encode(names), all.count,
              all.more)
    local page = clients[1]:must("users", { room = room, limit = 3 })
    chat.show(chat.encode(page.users)
              == chat.encode({ names[1], names[2], names[3] }), page.count,
              page.more)
    page = clients[1]:must("users", { room = room, limit = 3,
                                      after = names[3] })
    chat.show(chat.encode(page.users) == chat.encode({ names[4] }),
              page.count, page.more)
    chat.close(unpack(clients))
--- response_body
true 4 false
true 4 true
true 4 false



=== TEST 27: users of a public room need no join
--- config lua
    local room, name = chat.names("lobby", "ann")
    local ann, bob = chat.users(name, chat.name("bob"))
    ann:must("join", { room = room })
    chat.show(bob:must("users", { room = room }))
    chat.close(ann, bob)
--- response_body
{"count":1,"more":false,"users":["ann"]}



=== TEST 28: another name
--- config lua
    local room, other, first, second = chat.names("lobby", "other", "first",
                                                  "second")
    local ann = chat.users(first)
    ann:must("join", { room = room })
    chat.show(ann:must("join", { room = other, user = second }).users)
    chat.show(ann:must("users", { room = room }).users)
    ann:say(room, "who")
    chat.show(ann:message(room).user)
    ann:close()
--- response_body
["second"]
["second"]
second



=== TEST 29: with an identity there is no other name
--- config eval
::lua(<<'EOC') . <<'EOL'
    local room, name, other = chat.names("lobby", "ann", "other")
    local ann = chat.connect({ headers = { "X-User: " .. name } })
    chat.show(ann:must("join", { room = room, user = other }).users)
    ann:must("message", { room = room, data = "x", user = other })
    chat.show(ann:message(room).user)
    ann:close()
EOC
    location = /ws {
        chathub_websocket main;
        chathub_user $http_x_user;
        chathub_guest on;
    }
EOL
--- response_body
["ann"]
ann



=== TEST 30: an empty user in a guest's message stays empty
--- config lua
    local room = chat.name("lobby")
    local ann = chat.users(chat.name("ann"))
    ann:must("join", { room = room })
    ann:must("message", { room = room, data = "ann has joined", user = "" })
    chat.show(ann:message(room).user == "")
    ann:close()
--- response_body
true



=== TEST 31: at most so many rooms
--- config eval
$ChatHubSuite::Location =~ s/}/chathub_max_rooms 3; }/r . ::lua(<<'EOC')
    local ann = chat.connect()
    local rooms = { chat.names("a", "b", "c", "d") }
    for i = 1, 3 do
        ann:must("join", { room = rooms[i] })
    end
    chat.show(ann:refused("join", { room = rooms[4] }))
    chat.show(ann:must("join", { room = rooms[1] }).room)
    ann:must("leave", { room = rooms[2] })
    chat.show(ann:must("join", { room = rooms[4] }).room)
    ann:close()
EOC
--- response_body
too_many_rooms
a
d



=== TEST 32: at most so many events a second
--- config eval
$ChatHubSuite::Location =~ s|}|chathub_rate 1r/s burst=4; }|r . ::lua(<<'EOC')
    local ann = chat.connect()
    local code, wait, fine = nil, nil, 0
    for _ = 1, 50 do
        local answer, err = ann:ask("ping", {})
        if answer then
            fine = fine + 1
        else
            code, wait = err.code, err.retry_after_ms
        end
    end
    chat.show(fine >= 4 and fine < 20, code, wait > 0 and wait <= 2000)
    ann:close()
EOC
--- response_body
true rate_limited true



=== TEST 33: typing
--- config lua
    local room, name = chat.names("lobby", "ann")
    local ann, bob = chat.users(name, chat.name("bob"))
    local cleo = chat.connect()
    for _, c in ipairs({ ann, bob }) do
        c:must("join", { room = room })
    end
    chat.show(ann:must("typing", { room = room, typing = true }))
    chat.show(bob:wait("typing"))
    chat.show(ann:must("typing", { room = room, typing = false }))
    chat.show(bob:wait("typing"))
    chat.show(#ann:got("typing"), #cleo:got("typing"))
    chat.show(ann:refused("typing", { room = room, typing = 1 }))
    chat.show(ann:refused("typing", { room = room }))
    chat.close(ann, bob, cleo)
--- response_body
{}
{"room":"lobby","typing":true,"user":"ann"}
{}
{"room":"lobby","typing":false,"user":"ann"}
0 0
bad_request
bad_request



=== TEST 34: who stops typing without a word
--- config lua
    local room, name = chat.names("lobby", "ann")
    local ann, bob = chat.users(name, chat.name("bob"))
    for _, c in ipairs({ ann, bob }) do
        c:must("join", { room = room })
    end
    ann:must("typing", { room = room, typing = true })
    bob:wait("typing")
    ngx.update_time()
    local from = ngx.now()
    chat.show(bob:wait("typing"))
    ngx.update_time()
    local took = ngx.now() - from
    chat.show(took > 4 and took < 12 or took)
    chat.close(ann, bob)
--- response_body
{"room":"lobby","typing":false,"user":"ann"}
true



=== TEST 35: ping, and RFC 6455's ping
--- config lua
    local ann = chat.connect()
    chat.show(ann:must("ping", {}))
    ann.ws:send_ping("are you there?")
    ann:wait("(pong)")
    chat.show(ann.pong)
    ann.ws:send_ping("")
    ann:wait("(pong)")
    chat.show(ann.pong == "")
    ann:close()
--- response_body
{"time":"TIME"}
are you there?
true



=== TEST 36: answers come in the order of the events
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    local frames = {}
    for i = 1, 200 do
        local event = i == 1 and "join" or i % 3 == 0 and "message" or "ping"
        local data = event == "join" and { room = room }
                     or event == "message" and { room = room, data = "m" .. i }
                     or {}
        frames[i] = chat.frame({ opcode = 1, payload = chat.encode({
            event = event, ref = i, data = data }) })
    end
    ann:raw(table.concat(frames))
    local last, seqs = 0, 0
    while last < 200 do
        local e = ann:read()
        if e.ref then
            assert(e.event == "ack" and e.ref == last + 1, chat.encode(e))
            last = e.ref
            if e.data.id then
                seqs = seqs + 1
                assert(e.data.seq == seqs)
            end
        end
    end
    chat.show(last, seqs)
    ann:close()
--- response_body
200 66



=== TEST 37: a zero character is refused, and the error has the ref
--- config lua
    local room = chat.name("lobby")
    local ann = chat.connect()
    ann:must("join", { room = room })
    chat.show(ann:refused("message", { room = room, data = "a\0b" }))
    local code = ann:refused("join", { room = "a\0b" })
    chat.show(code == "bad_request" or code == "bad_name" or code)
    ann:close()
--- response_body
bad_request
true
