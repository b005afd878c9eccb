/*
 * Copyright (C) ChatHub contributors
 */

/* web/chathub.js in Node, against NGINX with two workers. */

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import WebSocket from 'ws';

import { ChatHub } from '../../web/chathub.js';
import { Nginx, shipped } from './lib/nginx.js';
import { Proxy } from './lib/proxy.js';
import { event, until } from './lib/until.js';


let nginx;
let clients = [];
let proxies = [];
let count = 0;


before(async () => {
    nginx = await Nginx.start({ config: shipped('single.conf'), workers: 2 });
});


afterEach(async () => {
    clients.forEach((c) => c.hub.close());
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    clients = [];
    proxies = [];
});


after(async () => {
    await nginx?.stop();
});


/* a name that no other test has */

function name(stem) {
    return `${stem}-${count++}`;
}


/* a client, and what it heard; of "worker", the first or second, if given */

async function client(user, worker) {
    const proxy = await Proxy.start(nginx.port, async (port) =>
        worker === undefined
        || await nginx.workerOf(port) === nginx.workers()[worker]);

    const hub = new ChatHub(`ws://127.0.0.1:${proxy.port}/ws`,
                            { user, WebSocket, backoff: 20, maxBackoff: 200 });
    const heard = { hub, proxy, messages: [], gaps: [], rooms: new Set() };

    hub.addEventListener('message', (e) => heard.messages.push(e.detail));
    hub.addEventListener('gap', (e) => heard.gaps.push(e.detail));
    hub.addEventListener('rooms', (e) => {
        e.detail.added?.forEach((room) => heard.rooms.add(room));
    });

    proxies.push(proxy);
    clients.push(heard);
    hub.connect();

    await connected(heard);

    return heard;
}


function connected({ hub }) {
    return until('it is connected', () => hub.state === 'connected');
}


function texts(heard, kind) {
    return heard.messages.filter((m) => kind === 'direct' ? m.unicast
                                 : kind === 'broadcast' ? m.broadcast
                                 : m.room === kind && !m.unicast)
        .map((m) => m.data);
}


function numbers(from, to) {
    return Array.from({ length: to - from + 1 }, (_, i) => String(from + i));
}


function has(heard, kind, wanted) {
    return until(`${wanted.length} messages`, () =>
        texts(heard, kind).length >= wanted.length)
        .then(() => assert.deepEqual(texts(heard, kind), wanted));
}


test('a message is acknowledged, and comes back', async () => {
    const ann = await client(name('ann'), 0);
    const bob = await client(name('bob'), 1);
    const room = name('room');

    await ann.hub.join(room);

    const answer = await bob.hub.join(room);

    assert.equal(answer.count, 2);
    assert.deepEqual(answer.users, [ann.hub.user, bob.hub.user].sort());

    const ack = await ann.hub.send(room, 'hello');

    await until('it came', () => bob.messages.length && ann.messages.length);

    const message = bob.messages[0];

    assert.deepEqual(ann.messages, bob.messages);
    assert.equal(message.user, ann.hub.user);
    assert.equal(message.data, 'hello');
    assert.equal(ack.seq, 1);

    for (const field of ['id', 'seq', 'epoch', 'time', 'room']) {
        assert.equal(ack[field], message[field], field);
    }
});


test('to one, and to everybody', async () => {
    const ann = await client(name('ann'), 0);
    const bob = await client(name('bob'), 1);
    const bob2 = await client(bob.hub.user, 0);
    const cleo = await client(name('cleo'), 1);

    await ann.hub.direct(bob.hub.user, 'psst');
    await bob.hub.direct(ann.hub.user, 'yes?');
    await ann.hub.broadcast('all');

    for (const heard of [ann, bob, bob2]) {
        await has(heard, 'direct', ['psst', 'yes?']);
        await has(heard, 'broadcast', ['all']);
    }

    await has(cleo, 'broadcast', ['all']);
    assert.deepEqual(texts(cleo, 'direct'), []);
});


test('who comes, goes and types is told', async () => {
    const room = name('room');
    const ann = await client(name('ann'), 0);
    const told = [];

    ann.hub.addEventListener('roomusers', (e) => told.push(e.detail));
    await ann.hub.join(room);

    const bob = await client(name('bob'), 1);

    await bob.hub.join(room);
    await until('his coming', () =>
        told.some((t) => t.joined?.includes(bob.hub.user) && t.count === 2));

    const typing = event(ann.hub, 'typing');

    assert.deepEqual(await bob.hub.typing(room, true), {});
    assert.deepEqual(await typing, { room, user: bob.hub.user, typing: true });

    assert.deepEqual((await ann.hub.users(room)).users,
                     [ann.hub.user, bob.hub.user].sort());
    assert.deepEqual((await ann.hub.rooms({ prefix: room })).rooms
                         .map((r) => [r.room, r.users]), [[room, 2]]);
    assert.ok(Date.parse((await ann.hub.ping()).time) > 0);

    await bob.hub.leave(room);
    await until('his going', () =>
        told.some((t) => t.left?.includes(bob.hub.user) && t.count === 1));
    await assert.rejects(bob.hub.send(room, 'x'), { code: 'not_joined' });
    await until('the room is told', () => bob.rooms.has(room));
});


test('the server refuses, in its words', async () => {
    const ann = await client(name('ann'));

    await assert.rejects(ann.hub.join('x'.repeat(129)), { code: 'bad_name' });
    await assert.rejects(ann.hub.leave(name('room')), { code: 'not_joined' });
    await assert.rejects(ann.hub.users(name('room'), { limit: 1001 }),
                         { code: 'bad_request' });
    await assert.rejects(ann.hub.send('', 'x'), { code: 'bad_request' });
    assert.equal(ann.hub.state, 'connected');
});


test('answers were lost: sent again, and there once', async () => {
    const room = name('room');
    const ann = await client(name('ann'), 0);
    const bob = await client(name('bob'), 1);

    await ann.hub.join(room);
    await bob.hub.join(room);

    await ann.hub.follow(bob.hub.user);
    ann.proxy.mute();

    const acks = Promise.all([ann.hub.send(room, '1'),
                              ann.hub.direct(bob.hub.user, '1'),
                              ann.hub.broadcast('1'),
                              ann.hub.send(room, '2')]);

    await has(bob, room, ['1', '2']);
    await has(bob, 'direct', ['1']);
    assert.equal(ann.hub.pending, 4);

    ann.proxy.cut();

    const answers = await acks;

    await ann.hub.send(room, '3');
    await has(bob, room, ['1', '2', '3']);
    await has(ann, room, ['1', '2', '3']);
    await has(ann, 'direct', ['1']);
    await has(bob, 'direct', ['1']);

    assert.deepEqual(texts(bob, 'broadcast').slice(-1), ['1']);

    for (const answer of answers) {
        const message = bob.messages.find((m) => m.id === answer.id);

        assert.equal(answer.seq, message.seq);
        assert.equal(answer.time, message.time);
    }
});


test('what is sent without a connection goes later, in order', async () => {
    const room = name('room');
    const ann = await client(name('ann'));
    const bob = await client(name('bob'));

    await ann.hub.join(room);
    await bob.hub.join(room);
    ann.proxy.down();

    const sent = numbers(1, 100);
    const order = [];
    const acks = sent.map((n) =>
        ann.hub.send(room, n).then((a) => order.push(a.seq)));

    ann.proxy.up();
    await Promise.all(acks);

    assert.deepEqual(order, sent.map(Number));
    await has(bob, room, sent);
});


test('what was missed comes, in order, each once', async () => {
    const room = name('room');
    const ann = await client(name('ann'), 0);
    const bob = await client(name('bob'), 1);

    await ann.hub.join(room);
    await bob.hub.join(room);

    const before = numbers(1, 10);
    const missed = numbers(11, 200);

    const say = (texts) => Promise.all(texts.flatMap((n) => [
        bob.hub.send(room, n),
        bob.hub.direct(ann.hub.user, n),
        bob.hub.broadcast(n),
    ]));

    ann.messages.length = 0;
    await say(before);
    await has(ann, room, before);
    await has(ann, 'direct', before);
    await has(ann, 'broadcast', before);

    ann.proxy.down();
    await say(missed);
    ann.proxy.up();

    /* and what is said while she comes back */
    const late = numbers(201, 220);

    await say(late);

    const all = [...before, ...missed, ...late];

    await has(ann, room, all);
    await has(ann, 'direct', all);
    await has(ann, 'broadcast', all);
    assert.deepEqual(ann.gaps, []);
});


test('a first broadcast is missed by nobody', async () => {
    const ann = await client(name('ann'));
    const bob = await client(name('bob'));
    const text = name('text');

    ann.messages.length = 0;
    ann.proxy.down();
    await bob.hub.broadcast(text);
    ann.proxy.up();
    await has(ann, 'broadcast', [text]);
});


test('direct messages that came before', async () => {
    const ann = await client(name('ann'));
    const bob = name('bob');

    for (const n of numbers(1, 5)) {
        await ann.hub.direct(bob, n);
    }

    const late = await client(bob);
    const answer = await late.hub.follow(ann.hub.user, { seq: 0 });

    assert.equal(answer.seq, 5);
    await has(late, 'direct', numbers(1, 5));
});


test('connections that are cut all the time', async () => {
    const room = name('room');
    const ann = await client(name('ann'), 0);
    const bob = await client(name('bob'), 1);

    await ann.hub.join(room);
    await bob.hub.join(room);

    const sent = numbers(1, 300);
    let done = false;

    const acks = Promise.all(sent.map((n) => ann.hub.send(room, n)))
        .finally(() => {
            done = true;
        });

    for (let i = 0; !done && i < 20; i++) {
        [ann, bob][i % 2].proxy.cut();
        await until('both came back', () =>
            done || (ann.hub.state === 'connected'
                     && bob.hub.state === 'connected'));
    }

    await acks;
    await has(bob, room, sent);
    await has(ann, room, sent);
    assert.deepEqual(bob.gaps, []);
});


test('a reload while people chat', async () => {
    const room = name('room');
    const ann = await client(name('ann'), 0);
    const bob = await client(name('bob'), 1);
    const byes = [];

    for (const { hub } of [ann, bob]) {
        hub.addEventListener('bye', (e) => byes.push(e.detail.reason));
        await hub.join(room);
    }

    const sent = [];
    let over = false;

    const talk = (async () => {
        while (!over) {
            sent.push(String(sent.length + 1));
            await ann.hub.send(room, sent.at(-1));
        }
    })();

    const old = nginx.workers();

    await nginx.reload();
    await until('both were told', () => byes.length >= 2);
    await until('the old workers are gone', () =>
        !nginx.workers().some((pid) => old.includes(pid)));
    await connected(ann);
    await connected(bob);
    over = true;
    await talk;

    assert.deepEqual(byes, ['reload', 'reload']);
    assert.ok(sent.length > 0);
    await has(bob, room, sent);
    await has(ann, room, sent);
    assert.deepEqual([...ann.gaps, ...bob.gaps], []);
});


test('another server: what is missing is told', async () => {
    const room = name('room');
    const ann = await client(name('ann'));

    await ann.hub.join(room);
    await ann.hub.send(room, '1');
    await has(ann, room, ['1']);

    const other = await Nginx.start({ config: shipped('single.conf') });

    try {
        ann.proxy.target = other.port;
        ann.proxy.cut();
        await until('the gap is told', () =>
            ann.gaps.some((gap) => gap.room === room));
        await connected(ann);
        await ann.hub.send(room, '2');
        await has(ann, room, ['1', '2']);

    } finally {
        ann.hub.close();
        await other.stop();
    }
});
