# Several workers: the same rooms, the same order, and no ghosts of dead ones.

use strict;
use warnings;

use FindBin;
use Test::Nginx::Socket;
require "$FindBin::Bin/lib/ChatHubSuite.pm";

master_on();
workers(4);

repeat_each(2);
plan tests => repeat_each() * 3 * blocks();

no_long_string();

# Connections are spread by "reuseport"; the worker's pid comes with the
# handshake.
add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(http_config => $ChatHubSuite::Hub . <<'EOC');
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 reuseport;

        location = /ws {
            add_header X-Pid $pid always;
            chathub_websocket main;
            chathub_guest on;
            chathub_drain 5s;
        }
    }
EOC
});


sub main::spread {
    my ($code) = @_;

    return main::lua(<<"EOC");
    local function spread(count, user)
        return chat.spread(count, { port = \$TEST_NGINX_RAND_PORT_1,
                                    user = user })
    end
$code
EOC
}

run_tests();

__DATA__

=== TEST 1: a room's members on four workers
--- config spread
    local room = chat.name("lobby")
    local clients = { spread(4) }
    for _, c in ipairs(clients) do
        c:must("join", { room = room })
    end
    chat.show(clients[3]:must("users", { room = room }).count)
    for i, c in ipairs(clients) do
        c:say(room, "from " .. i)
    end
    for _, c in ipairs(clients) do
        for i = 1, 4 do
            local m = c:message(room)
            assert(m.seq == i and m.data == "from " .. i, chat.encode(m))
        end
    end
    chat.show(#clients[1]:got("message"))
    chat.close(unpack(clients))
--- response_body
4
0



=== TEST 2: one order for all, without gaps, while all speak at once
--- config spread
    local room = chat.name("lobby")
    local clients = { spread(4) }
    for _, c in ipairs(clients) do
        c:must("join", { room = room })
    end
    local orders, threads = {}, {}
    for i, c in ipairs(clients) do
        threads[i] = ngx.thread.spawn(function ()
            for n = 1, 250 do
                c:send("message", { room = room, data = i .. ":" .. n }, n)
            end
            local seen, acks = {}, 0
            while #seen < 1000 or acks < 250 do
                local e = assert(c:read())
                if e.event == "message" then
                    assert(e.data.seq == #seen + 1, "a gap")
                    seen[#seen + 1] = e.data.data
                elseif e.event == "ack" then
                    acks = acks + 1
                    assert(e.ref == acks, "acks out of order")
                else
                    assert(e.event ~= "error", chat.encode(e))
                end
            end
            orders[i] = table.concat(seen, " ")
        end)
    end
    for _, thread in ipairs(threads) do
        assert(ngx.thread.wait(thread))
    end
    for i = 2, 4 do
        assert(orders[i] == orders[1], "two orders")
    end
    chat.show("one order")
    chat.close(unpack(clients))
--- response_body
one order



=== TEST 3: a person's connections on four workers
--- config spread
    local a, b = chat.names("ann", "bob")
    local anns = { spread(4, a) }
    local bobs = { spread(4, b) }
    anns[1]:must("message", { unicast = true, toUser = b, data = "psst" })
    bobs[4]:must("message", { unicast = true, toUser = a, data = "yes?" })
    for _, list in ipairs({ anns, bobs }) do
        for _, c in ipairs(list) do
            local x, y = c:message(), c:message()
            assert(x.data == "psst" and x.seq == 1 and y.data == "yes?"
                   and y.seq == 2)
            assert(#c:got("message") == 0)
        end
    end
    chat.show("eight connections")
    chat.close(unpack(anns))
    chat.close(unpack(bobs))
--- response_body
eight connections



=== TEST 4: everybody, everywhere
--- config spread
    local text = chat.name("text")
    local clients = { spread(4) }
    clients[2]:must("message", { broadcast = 1, data = text })
    for _, c in ipairs(clients) do
        c:wait("message", function (m) return m.data == text end)
    end
    chat.show("heard")
    chat.close(unpack(clients))
--- response_body
heard



=== TEST 5: what was missed is there on another worker
--- config spread
    local room, name = chat.names("lobby", "bob")
    local one, two, three = spread(3)
    local joined = one:must("join", { room = room })
    two:must("join", { room = room })
    two:say(room, "m1")
    one:message()
    one:vanish()
    for i = 2, 50 do
        two:say(room, "m" .. i)
    end
    local again = three:must("join", { room = room, epoch = joined.epoch,
                                       seq = 1 })
    chat.show(again.resync, again.seq)
    two:say(room, "m51")
    for i = 2, 51 do
        assert(three:message(room).seq == i)
    end
    chat.close(two, three)
--- response_body
false 50



=== TEST 6: an id is known on every worker
--- config spread
    local room, id, name = chat.names("lobby", "id", "ann")
    local one, two = spread(2, name)
    local other = chat.connect()
    for _, c in ipairs({ one, two, other }) do
        c:must("join", { room = room })
    end
    local m = { room = room, data = "x", id = id }
    local first = one:must("message", m)
    local again = two:must("message", m)
    chat.show(chat.encode(first) == chat.encode(again))
    chat.show(other:refused("message", m))
    one:say(room, "y")
    chat.show(two:message(room).data, two:message(room).data,
              #two:got("message"))
    chat.close(one, two, other)
--- response_body
true
forbidden
x y 0



=== TEST 7: a user on two workers is there once
--- config spread
    local room, name = chat.names("lobby", "ann")
    local one, two = spread(2, name)
    one:must("join", { room = room })
    chat.show(two:must("join", { room = room }).count)
    chat.show(one:must("users", { room = room }))
    one:close()
    chat.show(two:must("users", { room = room }).count)
    two:close()
--- response_body
1
{"count":1,"more":false,"users":["ann"]}
1



=== TEST 8: typing is seen on other workers
--- config spread
    local room = chat.name("lobby")
    local one, two, three = spread(3)
    one:must("join", { room = room })
    two:must("join", { room = room })
    one:must("typing", { room = room, typing = true })
    chat.show(two:wait("typing").typing)
    one:must("typing", { room = room, typing = false })
    chat.show(two:wait("typing").typing)
    chat.show(#three:got("typing"), #one:got("typing"))
    chat.close(one, two, three)
--- response_body
true
false
0 0



=== TEST 9: rooms and members are told on other workers
--- config spread
    local room, a = chat.names("lobby", "ann")
    local one, two = spread(2, a)
    local function has(kind, name)
        return function (e)
            for _, each in ipairs(e[kind] or {}) do
                if each == name then
                    return true
                end
            end
        end
    end
    two:must("join", { room = room, user = chat.name("bob") })
    one:wait("room", has("added", room))
    one:must("join", { room = room })
    two:wait("roomusers", has("joined", a))
    one:vanish()
    two:wait("roomusers", has("left", a))
    chat.show(two:must("users", { room = room }).count)
    two:close()
--- response_body
1



=== TEST 10: names of guests change everywhere
--- config spread
    local room, other, a, b = chat.names("lobby", "other", "ann", "bob")
    local one, two = spread(2)
    one:must("join", { room = room, user = a })
    two:must("join", { room = room })
    one:must("join", { room = other, user = b })
    one:say(room, "x")
    chat.show(two:message(room).user)
    two:must("message", { unicast = true, toUser = b, data = "psst" })
    chat.show(one:wait("message", function (m) return m.unicast end).data)
    chat.close(one, two)
--- response_body
bob
psst



=== TEST 11: a worker is killed: no ghost, no lock held, nobody disturbed
--- config spread
    local room = chat.name("lobby")
    local clients = { spread(4) }
    local victim
    for i, c in ipairs(clients) do
        c:must("join", { room = room })
        if tonumber(c.pid) ~= ngx.worker.pid() then
            victim = i
        end
    end
    victim = table.remove(clients, victim)
    local one, two, three = unpack(clients)
    one:say(room, "before")
    os.execute("kill -9 " .. victim.pid)
    local count
    for _ = 1, 1000 do
        count = two:must("users", { room = room }).count
        if count == 3 then
            break
        end
        ngx.sleep(0.01)
    end
    chat.show(count)
    two:say(room, "after")
    for _, c in ipairs(clients) do
        chat.show(c:message(room).data, c:message(room).data)
    end
    local four = chat.connect()
    chat.show(four:must("join", { room = room, seq = 0 }).seq)
    chat.show(four:message(room).data, four:message(room).data)
    chat.close(one, two, three, four)
--- response_body
3
before after
before after
before after
2
before after
--- error_log
exited on signal 9
--- no_error_log eval
[]



=== TEST 12: a reload: clients are told, the room and its numbers go on
--- config spread
    local room = chat.name("lobby")
    local old = {}
    local clients = { spread(4) }
    local joined
    for _, c in ipairs(clients) do
        old[c.pid] = true
        joined = c:must("join", { room = room })
    end
    clients[1]:say(room, "before")
    local file = assert(io.open(ngx.config.prefix() .. "logs/nginx.pid"))
    os.execute("kill -HUP " .. file:read("*n"))
    file:close()
    for _, c in ipairs(clients) do
        local bye = c:wait("bye")
        chat.show(bye.reason, bye.reconnect_in_ms >= 0, (c:ending()))
        c:vanish()
    end
    local new
    repeat
        if new then
            new:close()
        end
        new = spread(1)
    until not old[new.pid]
    local again = new:must("join", { room = room, epoch = joined.epoch,
                                     seq = 0 })
    chat.show(again.resync, again.epoch == joined.epoch, again.count)
    new:say(room, "after")
    for _ = 1, 2 do
        local m = new:message(room)
        chat.show(m.seq, m.data)
    end
    new:close()
--- response_body
reload true 1012
reload true 1012
reload true 1012
reload true 1012
false true 1
1 before
2 after
