/*
 * Copyright (C) ChatHub contributors
 */

/*
 * Reloads and ends in order, while people chat.  RELOADS is how many come in a
 * row, 8 by default.
 */

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { Member, alive, at, complaints, config, gone, handshake, owners,
         reconfigure, serve } from './lib/chat-server.js';
import { agree, chatter } from './lib/member.js';
import { until } from './lib/until.js';


const RELOADS = Number(process.env.RELOADS ?? 8);

let members = [];
let talk;


afterEach(() => {
    talk?.stop();
    members.forEach((m) => m.stop());
    members = [];
});


async function served(options, body) {
    const nginx = await serve({ shared: true, ...options });

    try {
        await body(nginx);

    } finally {
        talk?.stop();
        members.forEach((m) => m.stop());
        await nginx.stop();
    }
}


/* "n" members on each worker */

async function everywhere(nginx, n, room, options) {
    for (const pid of nginx.workers()) {
        for (let i = 0; i < n; i++) {
            members.push(await at(nginx, (p) => p === pid, `${pid}-${i}`,
                                  [room], options));
        }
    }

    return members;
}


function byes(member) {
    return member.events.filter((e) => e.event === 'bye').map((e) => e.data);
}


/* after a signal: a number of new workers, and none of the old ones */

function replaced(nginx, old, n) {
    return until(`${n} new workers are left`, () => {
        const now = nginx.workers();

        return now.length === n && !now.some((pid) => old.includes(pid));
    });
}


/* what a signal brings about that the configuration forbids */

function refused(nginx, words) {
    nginx.signal('SIGHUP');

    return until('the reload is refused in words', () =>
        words.test(nginx.log()));
}


test('old and new workers chat with each other while the old ones drain', () =>
    served({ drain: '20s' }, async (nginx) => {
        await everywhere(nginx, 10, 'room');

        const old = nginx.workers();

        await nginx.reload();

        const fresh = [];

        for (let i = 0; i < 4; i++) {
            fresh.push(await at(nginx, (pid) => !old.includes(pid),
                                `fresh${i}`, ['room'], { once: true }));
        }

        const rest = members.filter((m) => m.closes.length === 0);

        assert.ok(rest.length > 0, 'somebody is still at an old worker');

        rest.forEach((m) => m.say('room', `old ${m.user}`));
        fresh.forEach((m) => m.say('room', `new ${m.user}`));

        members.push(...fresh);

        await until('all have all', () => members.every((m) =>
            m.unacked === 0));
        await agree('room', members);

        /* presence is one over both generations */

        assert.equal((await fresh[0].ask('users', { room: 'room' })).count
                     >= fresh.length, true);

        await gone(old);
        await agree('room', members);

        assert.ok(fresh.every((m) => m.closes.length === 0));

        await until('all are there, at the new workers', async () =>
            (await fresh[0].ask('users', { room: 'room' })).count
            === members.length);
    }));


test('what a client is told at a reload, and when', () =>
    served({ drain: '3s' }, async (nginx) => {
        await everywhere(nginx, 5, 'room', { once: true });

        const old = nginx.workers();
        const times = new Map();
        const began = Date.now();

        for (const m of members) {
            m.ws.on('message', (text) => {
                const { event } = JSON.parse(text);

                if (event === 'bye') {
                    times.set(m, Date.now());
                }
            });
            m.ws.on('close', () => {
                times.set(m, Date.now() - times.get(m));
            });
        }

        await nginx.reload();
        await until('all were sent away', () =>
            members.every((m) => m.closes.length === 1));

        assert.ok(Date.now() - began < 3000 + 2000, 'within chathub_drain');

        for (const m of members) {
            assert.equal(byes(m).length, 1);

            const { reason, reconnect_in_ms: delay } = byes(m)[0];

            assert.equal(reason, 'reload');
            assert.ok(delay >= 0 && delay <= 3000 * 4 / 5, `${delay} ms`);
            assert.deepEqual(m.closes, [1012]);
        }

        const spread = new Set(members.map((m) =>
            byes(m)[0].reconnect_in_ms));

        assert.ok(spread.size > 5, 'not all at once');

        await gone(old);

        assert.ok(Date.now() - began < 3000 + 5000,
                  'the processes do not outlive the drain');
    }));


test('reloads come in a row, the generations overlap', () =>
    served({ drain: '2s' }, async (nginx) => {
        await everywhere(nginx, 4, 'room');

        const epoch = members[0].epoch('room');

        talk = chatter('room', members, 2);

        let pids = nginx.workers();
        const all = new Set(pids);

        for (let i = 0; i < RELOADS; i++) {
            const seen = members[0].seen.get('room').length;

            await nginx.reload();

            pids = nginx.workers().filter((pid) => !all.has(pid));
            pids.forEach((pid) => all.add(pid));

            /* the next comes while the old ones drain */

            await until('people chat', () =>
                members[0].seen.get('room').length > seen + 20);
        }

        talk.stop();

        await until('the newest are left', () =>
            nginx.workers().length === 4
            && nginx.workers().every((pid) => pids.includes(pid)));

        await Promise.all(members.map((m) => m.ready()));
        await agree('room', members);

        for (const m of members) {
            assert.equal(m.epoch('room'), epoch);
            assert.deepEqual([...new Set(m.ends)], [1012]);
        }

        const { users, count } = await members[0].ask('users',
                                                      { room: 'room' });

        assert.equal(count, members.length, 'each is there once');
        assert.deepEqual(users, members.map((m) => m.user).sort());
    }));


test('a reload without a pause after another', () =>
    served({ workers: 2 }, async (nginx) => {
        await everywhere(nginx, 4, 'room');

        talk = chatter('room', members, 2);

        const old = nginx.workers();

        /* signals may melt into one */

        for (let i = 0; i < 30; i++) {
            nginx.signal('SIGHUP');
            await new Promise(setImmediate);
        }

        await replaced(nginx, old, 2);

        talk.stop();
        await Promise.all(members.map((m) => m.ready()));
        await agree('room', members);

        assert.equal((await members[0].ask('users', { room: 'room' })).count,
                     members.length);
    }));


test('more workers, fewer workers', () =>
    served({ workers: 2 }, async (nginx) => {
        await everywhere(nginx, 8, 'room');

        talk = chatter('room', members, 2);

        for (const workers of [4, 1, 3, 2]) {
            const old = nginx.workers();

            reconfigure(nginx, config({ workers, shared: true }));
            nginx.signal('SIGHUP');

            await replaced(nginx, old, workers);
            await Promise.all(members.map((m) => m.ready()));
        }

        talk.stop();
        await agree('room', members);
    }));


test('another size of the zone is refused, and nothing changes', async () => {
    const words = /\[emerg\].*"zone" of hub "main" cannot be changed/;
    const nginx = await serve({ workers: 2, shared: true, expect: [words] });

    try {
        await everywhere(nginx, 2, 'room');

        const old = nginx.workers();

        reconfigure(nginx, config({ workers: 2, shared: true, zone: '64m' }));
        await refused(nginx, words);

        members[0].say('room', 'all is as it was');
        await agree('room', members);

        assert.deepEqual(nginx.workers(), old);
        assert.ok(members.every((m) => m.closes.length === 0));

        /* back to the old size, with another limit: that is taken */

        reconfigure(nginx, config({
            workers: 2, shared: true, server: 'chathub_max_rooms 1;' }));
        nginx.signal('SIGHUP');
        await replaced(nginx, old, 2);

        await Promise.all(members.map((m) => m.ready()));
        members[1].say('room', 'it goes on');
        await agree('room', members);

        await assert.rejects(members[0].ask('join', { room: 'one more' }),
                             { code: 'too_many_rooms' });

    } finally {
        members.forEach((m) => m.stop());
        await nginx.stop();
    }
});


test('a hub is added, and taken away again', () =>
    served({ workers: 2 }, async (nginx) => {
        await everywhere(nginx, 3, 'room');

        const one = config({ workers: 2, shared: true });
        const two = one.replace('    server {', `
            chathub_hub second { zone 32m; store off; node test; }
            server {
                location = /second/ws { chathub_websocket second; }
            `);

        talk = chatter('room', members, 2);

        let epoch;

        for (let i = 0; i < 3; i++) {
            let old = nginx.workers();

            reconfigure(nginx, two);
            nginx.signal('SIGHUP');
            await replaced(nginx, old, 2);

            const ann = await Member.start(nginx.port, 'ann', ['room'],
                                           { path: '/second/ws',
                                             once: true });
            const bob = await Member.start(nginx.port, 'bob', ['room'],
                                           { path: '/second/ws',
                                             once: true });

            /* a hub that is new again begins anew */

            assert.notEqual(ann.epoch('room'), epoch);
            epoch = ann.epoch('room');

            ann.say('room', 'first');
            await until('bob has it', () =>
                bob.seen.get('room').length === 1);
            assert.equal(bob.seen.get('room')[0].seq, 1);

            old = nginx.workers();

            reconfigure(nginx, one);
            nginx.signal('SIGHUP');
            await replaced(nginx, old, 2);

            await until('ann and bob were sent away', () =>
                ann.closes.length && bob.closes.length);

            assert.ok([1001, 1012].includes(ann.closes[0]));
            assert.equal(byes(ann).length, 1);
            assert.equal(await handshake(nginx.port,
                                         '/second/ws?user=x'), 404);
        }

        talk.stop();
        await Promise.all(members.map((m) => m.ready()));
        await agree('room', members);
    }));


test('a quit under load: all are told, and nothing is left', async () => {
    const nginx = await serve({ shared: true, drain: '2s' });

    await everywhere(nginx, 5, 'room', { once: true });

    const pids = [nginx.pid, ...nginx.workers()];

    talk = chatter('room', members, 2);
    await until('people chat', () => members[0].seen.get('room').length > 50);

    await nginx.stop();
    talk.stop();
    await gone(pids);

    for (const m of members) {
        await until('it is closed', () => m.closes.length === 1);

        assert.deepEqual(m.closes, [1001]);
        assert.deepEqual(byes(m).map((b) => b.reason), ['shutdown']);
        assert.deepEqual(m.faults, []);
    }
});


test('a fast end: all are told, and nothing is left', async () => {
    const nginx = await serve({ shared: true, drain: '20s' });

    await everywhere(nginx, 5, 'room', { once: true });

    const pids = [nginx.pid, ...nginx.workers()];

    const speakers = members.filter((_, i) => i % 2);

    talk = chatter('room', speakers, 2);
    await until('people chat', () => members[0].seen.get('room').length > 50);

    nginx.signal('SIGTERM');
    await until('the master is gone', () => !alive(nginx.pid), 10000);
    talk.stop();
    await gone(pids);

    for (const m of members) {
        await until('it is closed', () => m.closes.length === 1);

        /* a process that goes leaves what was still on its way to it unread,
         * and TCP then takes back what was said last */

        if (speakers.includes(m) && m.closes[0] === 1006) {
            continue;
        }

        assert.deepEqual(m.closes, [1001]);
        assert.deepEqual(byes(m).map((b) => b.reason), ['shutdown']);
        assert.deepEqual(m.faults, []);
    }

    assert.deepEqual(complaints(nginx), []);
});


test('who does not answer the close holds a worker no longer than the drain',
     () => served({ workers: 2, drain: '2s' }, async (nginx) => {
    await everywhere(nginx, 3, 'room', { once: true });

    const old = nginx.workers();
    const where = await owners(nginx, members);

    assert.deepEqual(new Set(where), new Set(old));

    members.forEach((m) => m.ws._socket.pause());

    await nginx.reload();

    const began = Date.now();

    await gone(old);
    assert.ok(Date.now() - began < 2000 + 2000, `${Date.now() - began} ms`);
}));
