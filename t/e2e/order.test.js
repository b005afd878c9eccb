/*
 * Copyright (C) ChatHub contributors
 */

/*
 * Who gets what, and in which order, when clients are spread over workers.
 */

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { Member, at, heard, owners, serve } from './lib/chat-server.js';
import { agree } from './lib/member.js';
import { until } from './lib/until.js';


let members = [];


afterEach(() => {
    members.forEach((m) => m.stop());
    members = [];
});


async function served(options, body) {
    const nginx = await serve(options);

    try {
        await body(nginx);

    } finally {
        members.forEach((m) => m.stop());
        await nginx.stop();
    }
}


/* each asks "n" times, one question after the other */

async function ask(member, n, event, data) {
    for (let i = 0; i < n; i++) {
        await member.ask(event, data(i));
    }
}


function range(first, last) {
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}


for (const workers of [1, 2, 4]) {

    test(`eight speak at once, ${workers} workers`, () =>
        served({ workers }, async (nginx) => {
            members = await Promise.all(range(1, 48).map((i) =>
                Member.start(nginx.port, `m${i}`, ['room'])));

            const pids = new Set(await owners(nginx, members));

            assert.equal(pids.size, workers, 'all workers have members');

            for (const speaker of members.slice(0, 8)) {
                for (let i = 0; i < 250; i++) {
                    speaker.say('room', `${speaker.user} ${i}`);
                }
            }

            await until('everything was said', () =>
                members.every((m) => m.seen.get('room').length === 2000));

            await agree('room', members);

            for (const member of members) {
                assert.deepEqual(member.seen.get('room').map((m) => m.seq),
                                 range(1, 2000));
            }

            /* each speaker's own order is kept */

            const seen = members[47].seen.get('room');

            for (const { user } of members.slice(0, 8)) {
                assert.deepEqual(seen.filter((m) => m.user === user)
                                     .map((m) => m.data),
                                 range(0, 249).map((i) => `${user} ${i}`));
            }
        }));


    test(`rooms do not mix, ${workers} workers`, () =>
        served({ workers }, async (nginx) => {
            const rooms = range(1, 20).map((i) => `room-${i}`);

            members = await Promise.all(range(0, 39).map((i) =>
                Member.start(nginx.port, `m${i}`,
                             [rooms[i % 20], rooms[(i + 7) % 20]])));

            for (const member of members) {
                for (const room of member.seen.keys()) {
                    for (let i = 0; i < 10; i++) {
                        member.say(room, room);
                    }
                }
            }

            for (const room of rooms) {
                const here = members.filter((m) => m.seen.has(room));

                assert.equal(here.length, 4);

                await until('all have all', () => here.every((m) =>
                    m.seen.get(room).length === 40));

                const seen = here[0].seen.get(room);

                assert.deepEqual(seen.map((m) => m.seq), range(1, 40));
                assert.ok(seen.every((m) => m.room === room
                                            && m.data === room));

                for (const m of here) {
                    assert.deepEqual(m.faults, []);
                    assert.deepEqual(m.seen.get(room), seen);
                }
            }
        }));
}


test('a room of a thousand', () =>
    served({ workers: 4 }, async (nginx) => {
        for (let i = 0; i < 1000; i += 100) {
            members.push(...await Promise.all(range(i, i + 99).map((j) =>
                Member.start(nginx.port, `m${j}`, ['room']))));
        }

        assert.equal(new Set(await owners(nginx, members.slice(0, 60))).size,
                     4);

        const answer = await members[0].ask('users', { room: 'room' });

        assert.equal(answer.count, 1000);

        for (const speaker of members.slice(0, 8)) {
            for (let i = 0; i < 10; i++) {
                speaker.say('room', `${i}`);
            }
        }

        await until('all have all', () =>
            members.every((m) => m.seen.get('room').length === 80));
        await agree('room', members);

        /* half of them go, which the rest is told, and is still a room */

        const left = members.slice(0, 500);

        members.slice(500).forEach((m) => m.stop());

        await until('half are left', async () =>
            (await members[0].ask('users', { room: 'room' })).count === 500);

        left[0].say('room', 'last');

        await until('those have it', () => left.every((m) =>
            m.seen.get('room').at(-1).data === 'last'));
    }));


test('a person on every worker', () =>
    served({ workers: 4 }, async (nginx) => {
        const pids = nginx.workers();
        const start = (user) => Promise.all(pids.map((pid) =>
            at(nginx, (p) => p === pid, user, ['room'])));
        const ann = await start('ann');
        const bob = await start('bob');
        const cid = await start('cid');

        members = [...ann, ...bob, ...cid];

        const answer = await ann[0].ask('users', { room: 'room' });

        assert.deepEqual(answer.users, ['ann', 'bob', 'cid']);

        /* both parties speak at once, from each of their connections */

        await Promise.all([...ann, ...bob].map((m) =>
            ask(m, 25, 'message', (i) => ({
                unicast: true, toUser: m.user === 'ann' ? 'bob' : 'ann',
                data: `${m.user} ${i}` }))));

        const direct = (m) => heard(m, (d) => d.unicast);

        await until('both have both on all connections', () =>
            [...ann, ...bob].every((m) => direct(m).length === 200));

        for (const m of [...ann, ...bob]) {
            assert.deepEqual(direct(m).map((d) => d.seq), range(1, 200));
            assert.deepEqual(direct(m), direct(ann[0]));
        }

        /* to oneself: once on each connection */

        await ask(cid[0], 10, 'message', (i) =>
            ({ unicast: true, toUser: 'cid', data: `note ${i}` }));

        await until('it came', () =>
            cid.every((m) => direct(m).length >= 10));

        /* what is said after it comes after it: no second copy is on its way */

        await ask(cid[0], 1, 'message', () => ({ room: 'room', data: 'end' }));
        await until('all have the end', () => members.every((m) =>
            m.seen.get('room').length === 1));

        await ask(cid[3], 1, 'message', () =>
            ({ unicast: true, toUser: 'cid', data: 'last note' }));
        await until('and the last note', () =>
            cid.every((m) => direct(m).at(-1).data === 'last note'));

        for (const m of cid) {
            assert.deepEqual(direct(m).map((d) => d.seq), range(1, 11));
        }

        assert.ok([...ann, ...bob].every((m) => direct(m).length === 200),
                  'nobody else got them');

        /* one connection after the other goes: he is there until the last */

        for (const m of bob.slice(0, 3)) {
            m.stop();
            await until('it is closed', () => m.closes.length === 1);
        }

        await ask(ann[1], 1, 'message', () =>
            ({ unicast: true, toUser: 'bob', data: 'still there?' }));
        await until('bob has it', () =>
            direct(bob[3]).at(-1).data === 'still there?');

        assert.deepEqual((await ann[2].ask('users', { room: 'room' })).users,
                         ['ann', 'bob', 'cid']);

        bob[3].stop();

        await until('bob is gone', async () =>
            (await ann[2].ask('users', { room: 'room' })).users.join()
            === 'ann,cid');
    }));


test('everybody speaks to everybody', () =>
    served({ workers: 4 }, async (nginx) => {
        members = await Promise.all(range(1, 32).map((i) =>
            Member.start(nginx.port, `m${i}`)));

        await Promise.all(members.slice(0, 8).map((m) =>
            ask(m, 50, 'message', (i) => ({ broadcast: 1, data: `${i}` }))));

        const all = (m) => heard(m, (d) => d.broadcast === 1);

        await until('all have all', () =>
            members.every((m) => all(m).length === 400));

        for (const m of members) {
            assert.deepEqual(all(m).map((d) => d.seq), range(1, 400));
            assert.deepEqual(all(m).map((d) => d.id),
                             all(members[0]).map((d) => d.id));
        }
    }));


test('an answer comes after what it made, and names its place', () =>
    served({ workers: 2 }, async (nginx) => {
        const [one, two] = nginx.workers();
        const ann = await at(nginx, (pid) => pid === one, 'ann', ['room']);
        const bob = await at(nginx, (pid) => pid === two, 'bob', ['room']);

        members = [ann, bob];

        for (let i = 1; i <= 200; i++) {
            const speaker = i % 2 ? ann : bob;
            const answer = await speaker.ask('message',
                                             { room: 'room', data: `${i}` });

            assert.equal(answer.seq, i);
            assert.equal(answer.room, 'room');
            assert.equal(answer.epoch, ann.epoch('room'));
        }

        await until('both have all', () => members.every((m) =>
            m.seen.get('room').length === 200));

        assert.deepEqual(ann.seen.get('room').map((m) => m.data),
                         range(1, 200).map(String));

        const times = ann.seen.get('room').map((m) => m.time);

        assert.deepEqual(times, [...times].sort(), 'time never goes back');
    }));
