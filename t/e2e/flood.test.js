/*
 * Copyright (C) ChatHub contributors
 */

/*
 * Too much of everything: the server stays well, and its memory bounded.
 * STORM is how many connections come and go, 2000 by default.
 */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { after, afterEach, before, test } from 'node:test';

import { Member, handshake, resident, serve } from './lib/chat-server.js';
import { agree } from './lib/member.js';
import { until } from './lib/until.js';


const STORM = Number(process.env.STORM ?? 2000);

let nginx;
let members = [];
let pids;


before(async () => {
    nginx = await serve({ workers: 2, shared: true, server: `
        location = /rate/ws {
            chathub_websocket main;
            chathub_rate 50r/s burst=20;
        }
        location = /small/ws {
            chathub_websocket main;
            chathub_max_message 64k;
            chathub_send_queue 128k;
        }` });
    pids = nginx.workers();
});


/* whatever came: the same workers chat as before */

afterEach(async () => {
    members.forEach((m) => m.stop());
    members = [];

    assert.deepEqual(nginx.workers(), pids);

    const two = await Promise.all(['ann', 'bob'].map((user) =>
        Member.start(nginx.port, user, ['after'])));

    two[0].say('after', 'well?');
    two[1].say('after', 'well.');

    await until('both are said', () =>
        two.every((m) => m.seen.get('after').length === 2));
    await agree('after', two);
    two.forEach((m) => m.stop());
});


after(async () => {
    await nginx?.stop();
});


async function member(user, rooms = [], options = {}) {
    const m = await Member.start(nginx.port, user, rooms, options);

    members.push(m);

    return m;
}


/* Bytes behind a handshake; what comes back is dropped, but for its end. */

function raw(path = '/ws') {
    return new Promise((resolve, reject) => {
        const socket = net.connect(nginx.port, '127.0.0.1');

        socket.on('error', reject);
        socket.on('connect', () => socket.write(
            `GET ${path}?user=raw HTTP/1.1\r\nHost: a\r\n`
            + 'Connection: Upgrade\r\nUpgrade: websocket\r\n'
            + 'Sec-WebSocket-Version: 13\r\n'
            + 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'));

        socket.once('data', (data) => {
            socket.off('error', reject);
            socket.on('error', () => { /* "close" follows */ });

            assert.match(data.toString('latin1'), /^HTTP\/1.1 101 /);
            socket.last = data;
            socket.on('data', (more) => {
                socket.last = Buffer.concat([socket.last, more]).subarray(-512);
            });
            resolve(socket);
        });
    });
}


/* a masked frame; the mask is zero, which is one like others */

function frame(first, payload = Buffer.alloc(0)) {
    assert.ok(payload.length < 126);

    return Buffer.concat([Buffer.from([first, 0x80 | payload.length, 0, 0, 0,
                                       0]), payload]);
}


function write(socket, data) {
    return new Promise((resolve) => socket.write(data, resolve));
}


test('a sender that never stops', async () => {
    const watcher = await member('watcher', ['room']);
    const fast = await member('fast', [], { path: '/rate/ws' });
    const first = resident(pids);

    await fast.ask('join', { room: 'room' });

    const began = Date.now();
    let good = 0;
    let refused = 0;

    for (let i = 0; i < 20; i++) {
        await Promise.all(Array.from({ length: 1000 }, (_, j) =>
            fast.ask('message', { room: 'room', data: `${i} ${j}` })
                .then(() => good++, (error) => {
                    assert.equal(error.code, 'rate_limited');
                    assert.ok(error.retry > 0);
                    refused++;
                })));
    }

    const seconds = (Date.now() - began) / 1000;

    assert.equal(good + refused, 20000);
    assert.ok(good >= 15 && good <= 22 + 50 * (seconds + 0.2), `${good}`);

    await until('what was accepted is there, and nothing else', () =>
        watcher.seen.get('room').length === good);
    assert.deepEqual(watcher.faults, []);
    assert.ok(resident(pids) - first < 16 * 1024);
});


test('a sender without a limit does not keep others from speaking',
     async () => {
    const ann = await member('ann', ['room-b']);
    const bob = await member('bob', ['room-b']);
    const fast = await member('fast', ['flood']);
    let stopped = false;

    const flood = (async () => {
        while (!stopped) {
            await Promise.all(Array.from({ length: 500 }, () =>
                fast.ask('message', { room: 'flood', data: 'x' })));
        }
    })();

    const slowest = [];

    for (let i = 0; i < 50; i++) {
        const began = Date.now();

        await ann.ask('message', { room: 'room-b', data: `${i}` });
        slowest.push(Date.now() - began);
    }

    stopped = true;
    await flood;

    assert.ok(Math.max(...slowest) < 5000, `${Math.max(...slowest)} ms`);
    await until('bob has all', () => bob.seen.get('room-b').length === 50);
});


test('a message of a million empty fragments', async () => {
    const socket = await raw();
    const first = resident(pids);
    const many = Buffer.concat(Array.from({ length: 10000 }, () =>
        frame(0x00)));

    await write(socket, frame(0x01, Buffer.from('{"event":"ping",')));

    for (let i = 0; i < 100 && !socket.destroyed; i++) {
        await write(socket, many);
    }

    assert.ok(resident(pids) - first < 4 * 1024);

    await until('the connection is closed', () =>
        socket.destroyed || socket.readableEnded);

    assert.ok(socket.last.toString('latin1')
        .endsWith('\x03\xf0too many fragments'), '1008');

    socket.destroy();
});


test('100,000 joins, each of another room, and each left', async () => {
    const greedy = await member('greedy');
    const first = resident(pids);

    /* fewer than chathub_max_rooms at a time, so none is refused */

    for (let i = 0; i < 100000; i += 80) {
        await Promise.all(Array.from({ length: 80 }, async (_, j) => {
            const room = `room-${i + j}`;

            await greedy.ask('join', { room });
            await greedy.ask('leave', { room });
        }));
    }

    assert.ok(resident(pids) - first < 32 * 1024,
              `${resident(pids) - first} KiB`);

    await until('nothing is left of them', async () => {
        const { rooms } = await greedy.ask('rooms', { prefix: 'room-',
                                                      limit: 1 });

        return rooms.length === 0 || rooms[0].users === 0;
    });
});


test('connections that come and go', async () => {
    const watcher = await member('watcher', ['storm']);

    /* the first of them make what stays: tables, arenas */

    const wave = async (n) => {
        for (let i = 0; i < n; i += 100) {
            await Promise.all(Array.from({ length: 100 }, async (_, j) => {
                switch (j % 4) {

                case 0:
                    return handshake(nginx.port, `/ws?user=u${i + j}`);

                case 1: {
                    const m = await Member.start(nginx.port, `u${i + j}`,
                                                 ['storm'], { once: true });
                    return m.stop();
                }

                case 2: {
                    const socket = await raw();

                    socket.write(frame(0x81, Buffer.from(
                        '{"event":"join","data":{"room":"storm"}}')));
                    return socket.resetAndDestroy();
                }

                default:
                    return new Promise((resolve) => {
                        const socket = net.connect(nginx.port, '127.0.0.1');

                        socket.on('error', resolve);
                        socket.on('close', resolve);
                        socket.on('connect', () => {
                            socket.write('GET /ws HTTP/1.1\r\nHost:');
                            socket.resetAndDestroy();
                        });
                    });
                }
            }));
        }
    };

    await wave(500);

    const first = resident(pids);

    await wave(STORM);

    await until('only the watcher is left', async () =>
        (await watcher.ask('users', { room: 'storm' })).users.join()
        === 'watcher');

    assert.ok(resident(pids) - first < 16 * 1024,
              `${resident(pids) - first} KiB`);
    assert.deepEqual(watcher.closes, []);
});


test('messages of the largest size, from many at once', async () => {
    const crowd = await Promise.all(Array.from({ length: 20 }, (_, i) =>
        member(`m${i}`, ['large'], { path: '/small/ws', once: true })));
    const first = resident(pids);

    for (let i = 0; i < 10; i++) {
        await Promise.all(crowd.slice(0, 4).map((m) =>
            m.ask('message', { room: 'large', data: 'x'.repeat(60000) })));
    }

    await until('all have all', () =>
        crowd.every((m) => m.seen.get('large').length === 40));
    assert.ok(resident(pids) - first < 32 * 1024);

    /* one byte more than allowed ends who says it, and nobody else */

    crowd[0].ws.send('x'.repeat(65537));
    await until('it is closed', () => crowd[0].closes.length === 1);
    assert.deepEqual(crowd[0].closes, [1009]);
    assert.ok(crowd.slice(1).every((m) => m.closes.length === 0));
});


test('noise from many at once', async () => {
    const watcher = await member('watcher', ['noise']);

    for (let i = 0; i < 20; i++) {
        const sockets = await Promise.all(Array.from({ length: 20 },
                                                     () => raw()));

        for (const socket of sockets) {
            socket.write(randomBytes(4096));
            socket.end(randomBytes(512));
        }

        await until('all were closed', () =>
            sockets.every((s) => s.destroyed));
    }

    assert.deepEqual(watcher.closes, []);
    assert.equal((await watcher.ask('users', { room: 'noise' })).count, 1);
});
