/*
 * Copyright (C) ChatHub contributors
 */

/* web/chathub.js against a server that does what seldom happens. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import WebSocket from 'ws';

import { ChatHub, uuidv7 } from '../../web/chathub.js';
import { Scripted } from './lib/scripted.js';
import { event, until } from './lib/until.js';


let server;
let hub;
let messages;
let gaps;


function client(options = {}) {
    hub = new ChatHub(server.url, { user: 'ann', WebSocket, backoff: 10,
                                    maxBackoff: 50, ...options });
    messages = [];
    gaps = [];

    hub.addEventListener('message', ({ detail }) => messages.push(detail));
    hub.addEventListener('gap', ({ detail }) => gaps.push(detail));
    hub.connect();
}


function message(seq, more = {}) {
    return { id: `m-${more.epoch ?? 'e'}-${seq}`, seq, epoch: 'e', user: 'bob',
             time: '2026-01-01T00:00:00.000Z', room: '', data: String(seq),
             type: 'text', ...more };
}


function directOf(seq, more = {}) {
    return message(seq, { unicast: true, toUser: 'ann', ...more });
}


const seqs = () => messages.map((m) => m.seq);

const connected = () => until('it is connected',
                              () => hub.state === 'connected');


/* a client in "lobby" at seq, and its connection */

async function joined(seq = 0, options = {}) {
    client(options);

    const peer = await server.accept();
    const promise = hub.join('lobby');

    await peer.greet();
    peer.ack(await peer.next('join'), { room: 'lobby', epoch: 'e', seq,
                                        users: ['ann'], count: 1,
                                        resync: false });
    await promise;
    await connected();

    return peer;
}


/* all that was said before has been heard */

async function settled(peer) {
    const answer = hub.ping();

    peer.ack(await peer.next('ping'), { time: '' });
    await answer;
}


async function rejoin(answer = {}) {
    const peer = await server.accept();

    await peer.greet();

    const frame = await peer.next('join');

    peer.ack(frame, { room: 'lobby', epoch: 'e', seq: frame.data.seq,
                      users: ['ann'], count: 1, resync: false, ...answer });

    return { peer, frame };
}


beforeEach(async () => {
    server = await Scripted.start();
});


afterEach(async () => {
    hub?.close();
    await server.stop();
});


test('ids are UUIDv7 and in order', () => {
    const ids = Array.from({ length: 5000 }, uuidv7);
    const time = parseInt(ids[0].replaceAll('-', '').slice(0, 12), 16);

    assert.match(ids[0],
                 /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.ok(Math.abs(Date.now() - time) < 60000);
    assert.deepEqual([...ids].sort(), ids);
    assert.equal(new Set(ids).size, ids.length);
});


test('the name goes with the handshake, and a guest keeps it', async () => {
    client({ user: undefined });

    const first = await server.accept();

    assert.match(first.user, /^guest-[a-z2-7]{8}$/);
    first.cut();
    assert.equal((await server.accept()).user, first.user);
});


test('names of any kind are carried as they are', async () => {
    client({ user: 'a&b=c ü+%41#' });
    assert.equal((await server.accept()).user, 'a&b=c ü+%41#');
});


test('a room is resumed from what came last', async () => {
    const peer = await joined(7);

    peer.push('message', message(8, { room: 'lobby' }));
    peer.push('message', message(9, { room: 'lobby' }));
    await until('both came', () => messages.length === 2);
    peer.cut();

    const { frame } = await rejoin();

    assert.deepEqual(frame.data, { room: 'lobby', user: 'ann', epoch: 'e',
                                   seq: 9 });
});


test('a connection cut within a replay goes on where that was', async () => {
    let peer = await joined(1);
    let frame;

    peer.cut();
    ({ peer } = await rejoin({ seq: 5 }));
    peer.push('message', message(2, { room: 'lobby' }));
    await until('the first came', () => messages.length === 1);
    peer.cut();

    ({ frame, peer } = await rejoin({ seq: 5 }));
    assert.equal(frame.data.seq, 2);

    for (const seq of [3, 4, 5]) {
        peer.push('message', message(seq, { room: 'lobby' }));
    }

    await until('all came', () => messages.length === 4);
    assert.deepEqual(seqs(), [2, 3, 4, 5]);
});


test('what comes again is delivered once', async () => {
    const peer = await joined();

    peer.push('message', message(1, { room: 'lobby' }));
    peer.push('message', message(1, { room: 'lobby' }));
    peer.push('message', message(2, { room: 'lobby' }));
    /* sent again after a change of epoch */
    peer.push('message', message(16777218, { room: 'lobby', epoch: 'f',
                                             id: 'm-e-2' }));
    peer.push('message', message(16777219, { room: 'lobby', epoch: 'f' }));

    /* behind the others */
    peer.push('message', message(16777218, { room: 'lobby', epoch: 'f' }));

    await until('the last came', () => messages.at(-1)?.seq === 16777219);
    assert.deepEqual(seqs(), [1, 2, 16777219]);
    await settled(peer);
    peer.cut();
    assert.equal((await rejoin()).frame.data.seq, 16777219);
});


test('a gap is told before what follows, and the place is new', async () => {
    let peer = await joined(3);

    peer.cut();

    ({ peer } = await rejoin({ epoch: 'g', seq: 40, resync: true }));
    await connected();
    assert.deepEqual(gaps, [{ room: 'lobby' }]);
    peer.cut();

    let frame;

    ({ peer, frame } = await rejoin());
    assert.equal(frame.data.epoch, 'g');
    assert.equal(frame.data.seq, 40);

    peer.push('message', message(41, { room: 'lobby', epoch: 'g' }));
    await until('it came', () => messages.length === 1);
    peer.cut();

    ({ frame } = await rejoin());
    assert.equal(frame.data.epoch, 'g');
    assert.equal(frame.data.seq, 41);
});


test('a resync of the server is a gap', async () => {
    const peer = await joined(3);

    peer.push('resync', { user: 'bob' });
    await until('it is told', () => gaps.length);
    assert.deepEqual(gaps, [{ user: 'bob' }]);
});


test('direct messages wait for those before them', async () => {
    client();

    let peer = await server.accept();

    await peer.greet();
    await connected();
    peer.push('message', directOf(1));
    await until('it came', () => messages.length === 1);
    peer.cut();

    peer = await server.accept();

    /* live ones, before the joins are answered */
    peer.push('message', directOf(5));
    await peer.greet();

    const frame = await peer.next('join');

    assert.deepEqual(frame.data, { user: 'bob', epoch: 'e', seq: 1 });
    peer.ack(frame, { user: 'bob', epoch: 'e', seq: 4, resync: false });

    peer.push('message', directOf(2));
    peer.push('message', directOf(6));
    peer.push('message', directOf(3));
    peer.push('message', directOf(4));
    peer.push('message', directOf(5));

    await until('all came', () => messages.length === 6);
    assert.deepEqual(seqs(), [1, 2, 3, 4, 5, 6]);
});


test('from the oldest that is kept', async () => {
    client();

    const peer = await server.accept();

    await peer.greet();

    const promise = hub.follow('bob', { seq: 0 });
    const frame = await peer.next('join');

    assert.deepEqual(frame.data, { user: 'bob', seq: 0 });
    peer.ack(frame, { user: 'bob', epoch: 'e', seq: 2, resync: false });
    peer.push('message', directOf(1));
    peer.push('message', directOf(2));
    assert.equal((await promise).seq, 2);
    await settled(peer);
    assert.deepEqual(seqs(), [1, 2]);
});


test('numbers that no message has hold up nothing for long', async () => {
    client();

    let peer = await server.accept();

    await peer.greet({ seq: 10 });
    await connected();
    peer.cut();

    peer = await server.accept();
    assert.equal((await peer.greet({ seq: 14 })).data.seq, 10);
    peer.push('message', message(11, { broadcast: 1 }));
    peer.push('message', message(13, { broadcast: 1 }));
    peer.push('message', message(15, { broadcast: 1 }));

    await until('all came', () => messages.length === 3);
    assert.deepEqual(seqs(), [11, 13, 15]);
    peer.push('message', message(16, { broadcast: 1 }));
    await until('the next too', () => messages.length === 4);
});


test('a pair that cannot be resumed is a gap, and goes on', async () => {
    client();

    let peer = await server.accept();

    await peer.greet();
    peer.push('message', directOf(1));
    await until('it came', () => messages.length === 1);
    peer.cut();

    peer = await server.accept();
    peer.push('message', directOf(1, { epoch: 'h' }));
    await peer.greet();
    peer.ack(await peer.next('join'), { user: 'bob', epoch: 'h', seq: 1,
                                        resync: true });

    await until('it came', () => messages.length === 2);
    assert.deepEqual(gaps, [{ user: 'bob' }]);
    assert.equal(messages[1].epoch, 'h');
});


test('the own name is learnt from own messages', async () => {
    client({ user: 'somebody' });

    const peer = await server.accept();

    await peer.greet();

    const promise = hub.direct('bob', 'x');
    const join = await peer.next('join');

    assert.deepEqual(join.data, { user: 'bob' });
    peer.ack(join, { user: 'bob', epoch: 'e', seq: 0, resync: false });

    const frame = await peer.next('message');

    peer.push('message', { ...message(1), ...frame.data, user: 'ann@realm' });
    await until('it came', () => messages.length === 1);
    assert.equal(hub.user, 'ann@realm');
    assert.equal(hub.other(messages[0]), 'bob');
    peer.ack(frame, { id: frame.data.id, seq: 1 });
    await promise;
});


test('an answer that was lost: sent again, as it was', async () => {
    const peer = await joined();
    const promise = hub.send('lobby', 'once');
    const first = await peer.next('message');

    peer.cut();

    const { peer: next } = await rejoin();
    const again = await next.next('message');

    assert.deepEqual(again.data, first.data);
    assert.deepEqual(Object.keys(first.data).sort(), ['data', 'id', 'room']);
    next.ack(again, { id: first.data.id, room: 'lobby', seq: 1, epoch: 'e',
                      time: '2026-01-01T00:00:00.000Z' });
    assert.equal((await promise).seq, 1);
    assert.equal(hub.pending, 0);
});


test('nothing goes to what is not joined again', async () => {
    let peer = await joined();

    peer.cut();

    const promises = [hub.send('lobby', 'to the room'),
                      hub.direct('bob', 'to him'),
                      hub.broadcast('to everybody')];

    peer = await server.accept();

    const joins = [await peer.next('join'), await peer.next('join'),
                   await peer.next('join')];

    assert.deepEqual(joins.map(({ data }) => data),
                     [{ broadcast: 1, epoch: 'e', seq: 0 },
                      { room: 'lobby', user: 'ann', epoch: 'e', seq: 0 },
                      { user: 'bob' }]);

    for (const join of joins.reverse()) {
        const { room, user, broadcast } = join.data;

        assert.deepEqual(peer.frames, []);
        peer.ack(join, { room, user, broadcast, epoch: 'e', seq: 0,
                         resync: false, users: [], count: 0 });

        const { ref, data } = await peer.next('message');

        assert.deepEqual([data.room, data.toUser, data.broadcast],
                         [room, room ? undefined : user, broadcast]);
        peer.ack({ ref }, { id: data.id, seq: 1 });
    }

    await Promise.all(promises);
});


test('who wrote first can be answered at once', async () => {
    client();

    const peer = await server.accept();

    await peer.greet();
    peer.push('message', directOf(1));
    await until('it came', () => messages.length === 1);

    const promise = hub.direct('bob', 'x');
    const frame = await peer.next('message');

    assert.deepEqual(peer.frames, []);
    peer.ack(frame, { id: frame.data.id, seq: 2 });
    await promise;
});


test('who cannot be followed can be written to', async () => {
    client();

    const peer = await server.accept();
    const promise = hub.direct('bob', 'x');

    await peer.greet();
    peer.refuse(await peer.next('join'), { code: 'bad_request', message: '' });

    const frame = await peer.next('message');

    peer.ack(frame, { id: frame.data.id, seq: 1 });
    await promise;
    peer.push('message', directOf(1));
    await until('messages come', () => messages.length === 1);
});


test('refused for the moment: sent again, after a pause', async () => {
    const peer = await joined();
    const promise = hub.send('lobby', 'x');
    const first = await peer.next('message');
    const before = Date.now();

    peer.refuse(first, { code: 'rate_limited', message: 'slowly',
                         retry_after_ms: 400 });

    const again = await peer.next('message');

    assert.ok(Date.now() - before >= 390);
    assert.equal(again.data.id, first.data.id);
    peer.ack(again, { id: again.data.id, seq: 1 });
    await promise;
});


test('refused for good: told once, and what follows goes', async () => {
    const peer = await joined();
    const promise = hub.send('lobby', 'x');
    const frame = await peer.next('message');

    peer.refuse(frame, { code: 'forbidden', message: 'not you',
                         room: 'lobby', id: frame.data.id });

    await assert.rejects(promise, { name: 'ChatHubError', code: 'forbidden',
                                    message: 'not you', room: 'lobby' });
    assert.equal(hub.pending, 0);

    const next = hub.send('lobby', 'y');
    const frame2 = await peer.next('message');

    peer.ack(frame2, { id: frame2.data.id, seq: 1 });
    await next;
});


test('a join refused for the moment is tried again', async () => {
    client();

    const peer = await server.accept();
    const promise = hub.join('lobby');

    await peer.greet();
    peer.refuse(await peer.next('join'), { code: 'busy', message: 'later' });
    peer.ack(await peer.next('join'), { room: 'lobby', epoch: 'e', seq: 0,
                                        users: [], count: 0, resync: false });
    assert.equal((await promise).room, 'lobby');
});


test('a join refused for good is forgotten', async () => {
    client();

    let peer = await server.accept();
    const promise = hub.join('secret');

    await peer.greet();
    peer.refuse(await peer.next('join'), { code: 'forbidden', message: 'no' });
    await assert.rejects(promise, { code: 'forbidden' });
    await connected();
    peer.cut();

    peer = await server.accept();
    await peer.greet();
    await connected();
    assert.deepEqual(peer.frames, []);
});


test('a room that does not take us back', async () => {
    const peer = await joined();
    const left = event(hub, 'left');

    peer.cut();

    const next = await server.accept();

    await next.greet();
    next.refuse(await next.next('join'), { code: 'forbidden', message: 'no' });
    assert.equal((await left).room, 'lobby');
    assert.equal((await left).error.code, 'forbidden');
});


test('a message larger than the server takes is not sent for ever', async () => {
    const peer = await joined();
    const small = hub.send('lobby', 'small');
    const large = hub.send('lobby', 'x'.repeat(1000));

    await peer.next('message');
    await peer.next('message');
    peer.close(1009);
    await assert.rejects(large, { code: 'too_large' });

    const { peer: next } = await rejoin();
    const frame = await next.next('message');

    assert.equal(frame.data.data, 'small');
    next.ack(frame, { id: frame.data.id, seq: 1 });
    await small;
});


test('what waits is bounded', async () => {
    client({ queue: 2, queueSize: 100 });
    hub.broadcast('1').catch(() => {});
    await assert.rejects(hub.broadcast('x'.repeat(100)),
                         { code: 'queue_full' });
    hub.broadcast('2').catch(() => {});
    await assert.rejects(hub.broadcast('3'), { code: 'queue_full' });
    assert.equal(hub.pending, 2);
});


test('what was answered waits no more', async () => {
    const peer = await joined(0, { queueSize: 10 });

    for (let i = 0; i < 3; i++) {
        const promise = hub.send('lobby', '12345678');
        const frame = await peer.next('message');

        peer.ack(frame, { id: frame.data.id, seq: i + 1 });
        await promise;
    }
});


test('a message without an answer is given up in time', async () => {
    const peer = await joined(0, { expire: 100 });
    const promise = hub.send('lobby', 'x');

    await peer.next('message');
    await assert.rejects(promise, { code: 'timeout' });
    assert.equal(hub.pending, 0);
});


test('no answer in time: the connection is given up', async () => {
    const peer = await joined(0, { timeout: 200 });
    const promise = hub.rooms();

    await peer.next('rooms');
    await assert.rejects(promise, { code: 'timeout' });
    await rejoin();
    await until('the old one is closed', () => peer.closed);
});


test('silence is noticed', async () => {
    const peer = await joined(0, { timeout: 100, heartbeat: 50 });

    peer.ack(await peer.next('ping'), { time: '' });
    await peer.next('ping');

    const { frame } = await rejoin();

    assert.equal(frame.data.room, 'lobby');
});


test('a server that does not answer the handshake is left', async () => {
    await server.stop();

    const { createServer } = await import('node:net');
    const sockets = [];
    const mute = createServer((socket) => sockets.push(socket));

    await new Promise((resolve) => mute.listen(0, '127.0.0.1', resolve));

    hub = new ChatHub(`ws://127.0.0.1:${mute.address().port}/ws`,
                      { WebSocket, timeout: 50, backoff: 10 });
    hub.connect();
    await until('it tries again', () => sockets.length >= 3);
    hub.close();
    sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => mute.close(resolve));
    server = await Scripted.start();
});


test('goodbye: the connection is good until the time that it says', async () => {
    const peer = await joined();
    const bye = event(hub, 'bye');
    const before = Date.now();

    peer.push('bye', { reason: 'reload', reconnect_in_ms: 300 });
    assert.equal((await bye).reason, 'reload');

    const promise = hub.send('lobby', 'still here');
    const frame = await peer.next('message');

    peer.ack(frame, { id: frame.data.id, seq: 1 });
    await promise;

    await rejoin();
    assert.ok(Date.now() - before >= 290);
    await until('the old one is closed', () => peer.closed);
});


test('goodbye: a close before that time does not hasten it', async () => {
    const peer = await joined();
    const before = Date.now();

    peer.push('bye', { reason: 'shutdown', reconnect_in_ms: 300 });
    peer.close(1012);
    await rejoin();
    assert.ok(Date.now() - before >= 290);
});


test('kicked: that is the end', async () => {
    const peer = await joined();

    peer.push('bye', { reason: 'kick' });
    await until('it is closed', () => hub.state === 'closed');
    await assert.rejects(hub.send('lobby', 'x'), { code: 'closed' });
});


test('pauses grow, and differ', async () => {
    await server.stop();

    const pauses = [];

    hub = new ChatHub('ws://127.0.0.1:1/ws', { WebSocket, backoff: 16,
                                               maxBackoff: 64 });
    hub.addEventListener('state', ({ detail }) => {
        if (detail.state === 'waiting') {
            pauses.push(detail.retryIn);
        }
    });
    hub.connect();
    await until('it tried ten times', () => pauses.length >= 10);
    hub.close();

    [16, 32, 64, 64, 64, 64, 64, 64, 64, 64].forEach((limit, i) => {
        assert.ok(pauses[i] >= limit / 2 && pauses[i] <= limit, String(pauses));
    });
    assert.ok(new Set(pauses.slice(2, 10)).size > 1, String(pauses));

    server = await Scripted.start();
});


test('what is no event disturbs nothing', async () => {
    const peer = await joined();
    const errors = [];

    hub.addEventListener('error', ({ detail }) => errors.push(detail));

    for (const text of ['', 'x', 'null', '[]', '{}', '{"event":1,"data":{}}',
                        '{"event":"message"}', '{"event":"ack","data":null}',
                        '{"event":"ack","ref":99,"data":{}}',
                        '{"event":"future","data":{}}'])
    {
        peer.text(text);
    }

    peer.push('error', { code: 'bad_request', message: 'what?' });
    peer.push('message', message(1, { room: 'lobby' }));
    await until('the message came', () => messages.length === 1);

    assert.equal(errors.length, 9);
    assert.equal(errors.at(-1).code, 'bad_request');
    assert.equal(hub.state, 'connected');
});


test('left while it is being joined', async () => {
    client();

    const peer = await server.accept();
    const promise = hub.join('lobby');

    await peer.greet();

    const join = await peer.next('join');
    const left = hub.leave('lobby');

    await assert.rejects(promise, { code: 'not_joined' });
    peer.ack(join, { room: 'lobby', epoch: 'e', seq: 0, users: [], count: 0 });

    const leave = await peer.next('leave');

    peer.ack(leave, { room: 'lobby' });
    assert.deepEqual(await left, { room: 'lobby' });

    /* and if it was not joined at all */
    hub.join('lobby').catch(() => {});
    await peer.next('join');

    const again = hub.leave('lobby');

    peer.refuse(await peer.next('leave'), { code: 'not_joined', message: '' });
    assert.deepEqual(await again, { room: 'lobby' });

    peer.push('message', message(1, { room: 'lobby' }));
    peer.push('message', message(1, { broadcast: 1 }));
    await until('one came', () => messages.length);
    assert.equal(messages[0].broadcast, 1);
});


test('closing rejects what waits, once', async () => {
    const peer = await joined();
    const promises = [hub.send('lobby', 'x'), hub.join('other'), hub.rooms()];

    hub.close();

    const results = await Promise.allSettled(promises);

    assert.deepEqual(results.map((r) => r.reason?.code),
                     ['closed', 'closed', 'disconnected']);
    await until('the connection is closed', () => peer.closed);
    await assert.rejects(hub.join('lobby'), { code: 'closed' });
    await assert.rejects(hub.ping(), { code: 'disconnected' });
});


test('typing and queries without a connection', async () => {
    hub = new ChatHub(server.url, { WebSocket });
    assert.deepEqual(await hub.typing('lobby', true), {});
    await assert.rejects(hub.users('lobby'), { code: 'disconnected' });
});
