/*
 * Copyright (C) ChatHub contributors
 */

/*
 * Readers that are too slow, or do not read at all.
 */

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { Member, heard, resident, serve } from './lib/chat-server.js';
import { agree } from './lib/member.js';
import { until } from './lib/until.js';


const TEXT = 'x'.repeat(15000);

let nginx;
let members = [];
let rooms = 0;


before(async () => {
    nginx = await serve({ workers: 2, replay: 1000, server: `
        location = /slow/ws {
            chathub_websocket main;
            chathub_max_message 16k;
            chathub_send_queue 64k;
        }` });
});


afterEach(() => {
    members.forEach((m) => m.stop());
    members = [];
});


after(async () => {
    await nginx?.stop();
});


async function join(user, room, options = { path: '/slow/ws' }) {
    const member = await Member.start(nginx.port, user, room ? [room] : [],
                                      options);

    members.push(member);

    return member;
}


function crowd(n, room, options) {
    return Promise.all(Array.from({ length: n }, (_, i) =>
        join(`slow${i}`, room, options)));
}


const once = { path: '/slow/ws', once: true };


/* says "n" messages at the pace of their acknowledgements */

async function speak(member, room, n) {
    for (let i = 0; i < n; i++) {
        member.say(room, TEXT);

        if (member.unacked > 20) {
            await until('some are through', () => member.unacked < 10);
        }
    }

    await until('all is said', () => member.unacked === 0);
}


function pause(list) {
    list.forEach((m) => m.ws._socket.pause());
}


async function sentAway(list) {
    list.forEach((m) => m.ws._socket.resume());

    await until('they read why', () => list.every((m) => m.closes.length));

    for (const m of list) {
        assert.deepEqual(m.closes, [1013]);
        assert.deepEqual(m.events.at(-1).event, 'bye');
        assert.deepEqual(m.events.at(-1).data.reason, 'slow');
        assert.ok(m.events.at(-1).data.reconnect_in_ms >= 0);
        assert.deepEqual(m.faults, [], 'up to there nothing is missing');
    }
}


test('a whole room of readers that do not read', async () => {
    const room = `room-${++rooms}`;
    const ann = await join('ann', room);
    const bob = await join('bob', room);
    const slow = await crowd(100, room, once);

    pause(slow);

    const first = resident(nginx.workers());
    let most = 0;
    let said = 0;

    /* who is sent away has five seconds to read why */

    await until('the slow ones are out of the room', async () => {
        await speak(ann, room, 20);
        said += 20;
        most = Math.max(most, resident(nginx.workers()));

        return (await ann.ask('users', { room })).count === 2;
    });

    await sentAway(slow);

    /* 100 queues of 64k at most, and what all share */

    assert.ok(most - first < 64 * 1024, `${most - first} KiB`);

    await agree(room, [ann, bob]);
    assert.equal(bob.seen.get(room).length, said);
    assert.deepEqual(ann.closes.concat(bob.closes), []);
});


test('a slow reader comes back for the rest', async () => {
    const room = `room-${++rooms}`;
    const ann = await join('ann', room);
    const [slow] = await crowd(1, room);

    pause([slow]);
    await speak(ann, room, 700);

    await until('it is out of the room', async () =>
        (await ann.ask('users', { room })).count === 1);

    slow.ws._socket.resume();

    await until('it has all', () => slow.seen.get(room).length === 700);
    await agree(room, [ann, slow]);

    assert.ok(slow.ends.length > 0);
});


test('one who reads slowly, but reads, is waited for in a replay', async () => {
    const room = `room-${++rooms}`;
    const ann = await join('ann', room);

    await speak(ann, room, 800);

    const slow = await join('slow', undefined, once);
    const first = resident(nginx.workers());

    pause([slow]);

    const answer = slow.follow(room, { seq: 0, epoch: ann.epoch(room) });

    /* 12 MB are asked for; of what does not go out nothing is kept */

    await ann.ask('ping', {});
    assert.ok(resident(nginx.workers()) - first < 16 * 1024);

    for (let i = 0; i < 50; i++) {
        slow.ws._socket.resume();
        await new Promise(setImmediate);
        slow.ws._socket.pause();
        await ann.ask('ping', {});
    }

    slow.ws._socket.resume();
    assert.equal((await answer).resync, false);

    await until('it has all', () => slow.seen.get(room).length === 800);
    assert.deepEqual(slow.closes, []);
    assert.deepEqual(slow.faults, []);
});


test('direct messages to one who does not read', async () => {
    const room = `room-${++rooms}`;
    const ann = await join('ann', room);
    const [slow] = await crowd(1, room, once);
    const other = await join('slow0', undefined, {});
    let said = 0;

    pause([slow]);

    await until('he is out of the room', async () => {
        await Promise.all(Array.from({ length: 20 }, () =>
            ann.ask('message', { unicast: true, toUser: 'slow0',
                                 data: TEXT })));
        said += 20;

        return (await ann.ask('users', { room })).count === 1;
    });

    await sentAway([slow]);

    await until('his other connection has all', () =>
        heard(other, (d) => d.unicast).length === said);
    assert.deepEqual(other.closes, []);
});


test('one who asks and does not read the answers', async () => {
    const ann = await join('ann');
    const [slow] = await crowd(1, undefined, once);
    const first = resident(nginx.workers());

    pause([slow]);

    const ask = JSON.stringify({ event: 'rooms', data: {}, ref: 1 });
    let closed = false;

    slow.ws.on('close', () => closed = true);

    for (let i = 0; i < 200 && !closed; i++) {
        for (let j = 0; j < 500; j++) {
            slow.ws.send(ask);
        }

        await ann.ask('ping', {});
    }

    assert.ok(resident(nginx.workers()) - first < 16 * 1024);

    slow.ws._socket.resume();
    await until('it is sent away', () => slow.closes.length === 1);
    assert.ok([1013, 1006].includes(slow.closes[0]));
});
