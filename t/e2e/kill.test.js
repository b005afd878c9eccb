/*
 * Copyright (C) ChatHub contributors
 */

/*
 * Workers that die or stand still while people chat, and the end of the
 * master.  KILLS is how often a worker is killed, 8 by default.
 */

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { KILLED, Member, alive, at, complaints, gone, handshake, heard,
         owners, serve } from './lib/chat-server.js';
import { agree, chatter } from './lib/member.js';
import { until } from './lib/until.js';


const KILLS = Number(process.env.KILLS ?? 8);

let members = [];
let talk;


afterEach(() => {
    talk?.stop();
    members.forEach((m) => m.stop());
    members = [];
});


async function served(options, body) {
    const nginx = await serve({ expect: [KILLED], shared: true, ...options });

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


/* those of whom a member was told that they "joined" or "left" a room, or any
 * room */

function told(member, what, room) {
    return member.events.filter((e) => e.event === 'roomusers'
                                       && (!room || e.data.room === room))
        .flatMap((e) => e.data[what]);
}


test('a worker is killed again and again under load', () =>
    served({}, async (nginx) => {
        await everywhere(nginx, 5, 'room');

        talk = chatter('room', members, 2);

        for (let i = 0; i < KILLS; i++) {
            const pids = nginx.workers();
            const victim = pids[i % pids.length];
            const where = await owners(nginx, members);
            const others = members.filter((_, j) => where[j] !== victim);
            const before = members.filter((_, j) => where[j] === victim)
                .map((m) => [m, m.ends.length]);
            const closes = others.map((m) => m.closes.length);
            const seen = others.map((m) => m.seen.get('room').length);
            const acked = others.map((m) => m.acked.size);

            process.kill(victim, 'SIGKILL');

            await until('the others speak and hear', () =>
                others.every((m, j) =>
                    m.seen.get('room').length > seen[j] + 20
                    && m.acked.size > acked[j]));

            await until('there are four again', () =>
                nginx.workers().length === 4
                && !nginx.workers().includes(victim));

            await until('his clients noticed', () =>
                before.every(([m, n]) => m.ends.length > n));
            await Promise.all(members.map((m) => m.ready()));

            assert.deepEqual(others.map((m) => m.closes.length), closes);
        }

        talk.stop();
        await agree('room', members);

        assert.equal((await members[0].ask('users', { room: 'room' })).count,
                     members.length);
    }));


test('who was at a worker that is killed is gone, and only he', () =>
    served({ workers: 2 }, async (nginx) => {
        const [one, two] = nginx.workers();
        const rooms = ['a', 'b', 'c'];
        const watcher = await at(nginx, (p) => p === one, 'watcher', rooms);

        members = [watcher];

        for (let i = 0; i < 30; i++) {
            members.push(await at(nginx, (p) => p === two, `gone${i}`, rooms,
                                  { once: true }));
        }

        /* one is at both: he stays */

        members.push(await at(nginx, (p) => p === one, 'both', rooms),
                     await at(nginx, (p) => p === two, 'both', rooms,
                              { once: true }));

        assert.equal((await watcher.ask('users', { room: 'a' })).count, 32);

        await until('the watcher knows of all', () => rooms.every((room) =>
            new Set(told(watcher, 'joined', room)).size >= 31));

        const began = Date.now();

        process.kill(two, 'SIGKILL');

        for (const room of rooms) {
            await until(`nobody else is in ${room}`, async () => {
                const { users, count } = await watcher.ask('users', { room });

                return count === 2 && users.join() === 'both,watcher';
            });
        }

        assert.ok(Date.now() - began < 10000, 'within seconds');

        /* one who was at the wrong worker at first is told of twice */

        await until('the watcher was told', () => rooms.every((room) =>
            new Set(told(watcher, 'left', room)).size === 30));

        assert.ok(told(watcher, 'left').every((name) =>
            name.startsWith('gone')));

        const { rooms: list } = await watcher.ask('rooms', {});

        assert.deepEqual(list.map((r) => [r.room, r.users]),
                         rooms.map((r) => [r, 2]));

        /* their names are free for others, who are there once */

        members.push(await Member.start(nginx.port, 'gone7', ['a']));
        assert.deepEqual((await watcher.ask('users', { room: 'a' })).users,
                         ['both', 'gone7', 'watcher']);
    }));


test('rooms of dead workers go', () =>
    served({ workers: 2, zone: '2m',
             server: 'chathub_max_message 16k; chathub_send_queue 64k;' },
    async (nginx) => {
        const [one, two] = nginx.workers();
        const ann = await at(nginx, (p) => p === one, 'ann', ['a']);

        members = [ann];

        for (let i = 0; i < 20; i++) {
            members.push(await at(nginx, (p) => p === two, `x${i}`,
                                  [`empty-${i}`], { once: true }));
        }

        const names = async () =>
            (await ann.ask('rooms', {})).rooms.map((r) => r.room);

        assert.equal((await names()).length, 21);

        process.kill(two, 'SIGKILL');

        await until('only one room is left', async () =>
            (await names()).join() === 'a');
    }));


test('a direct message reaches who comes back', () =>
    served({ workers: 2 }, async (nginx) => {
        const [one, two] = nginx.workers();
        const ann = await at(nginx, (p) => p === one, 'ann');
        const bob = await at(nginx, (p) => p === two, 'bob', ['room']);

        members = [ann, bob];

        const said = (i) => ann.ask('message', { unicast: true, toUser: 'bob',
                                                 data: `${i}` });
        const direct = () => heard(bob, (d) => d.unicast);

        for (let i = 1; i <= 10; i++) {
            await said(i);
        }

        await until('bob has them', () => direct().length === 10);

        process.kill(two, 'SIGKILL');

        for (let i = 11; i <= 20; i++) {
            await said(i);
        }

        await until('bob is away', () => bob.closes.length === 1);
        await bob.ready();

        const answer = await bob.ask('join', { user: 'ann', seq: 10 });

        assert.deepEqual([answer.seq, answer.resync], [20, false]);

        await until('bob has the rest', () => direct().length >= 20);

        const seqs = direct().map((d) => d.seq);

        assert.deepEqual([...new Set(seqs)].sort((a, b) => a - b),
                         Array.from({ length: 20 }, (_, i) => i + 1));
    }));


test('a worker stands still for two seconds', () =>
    served({ workers: 2 }, async (nginx) => {
        const [one, two] = nginx.workers();

        await everywhere(nginx, 4, 'room');

        const where = await owners(nginx, members);
        const stopped = members.filter((_, i) => where[i] === two);
        const others = members.filter((_, i) => where[i] === one);

        talk = chatter('room', others, 4);
        process.kill(two, 'SIGSTOP');

        const began = Date.now();

        try {
            const seen = others[0].seen.get('room').length;

            await until('the others go on for two seconds', () =>
                Date.now() - began > 2000
                && others[0].seen.get('room').length > seen + 100);

            /* one who lives is nobody's ghost */

            assert.equal(
                (await others[0].ask('users', { room: 'room' })).count, 8);

        } finally {
            process.kill(two, 'SIGCONT');
        }

        talk.stop();
        await agree('room', members);

        assert.ok(members.every((m) => m.closes.length === 0));
        assert.equal(stopped[0].seen.get('room').length,
                     others[0].seen.get('room').length);
    }));


test('a worker that stands still is killed', () =>
    served({ workers: 2 }, async (nginx) => {
        const [one, two] = nginx.workers();

        await everywhere(nginx, 4, 'room');
        talk = chatter('room', members, 2);

        process.kill(two, 'SIGSTOP');

        const mover = members.find((m) => m.user.startsWith(`${one}-`));
        const seen = mover.seen.get('room').length;

        await until('the other goes on', () =>
            mover.seen.get('room').length > seen + 50);

        process.kill(two, 'SIGKILL');

        await until('all were there again', () =>
            members.filter((m) => m.closes.length === 1).length === 4);
        await Promise.all(members.map((m) => m.ready()));

        talk.stop();
        await agree('room', members);
    }));


test('all workers are killed at once', () =>
    served({}, async (nginx) => {
        await everywhere(nginx, 4, 'room');

        talk = chatter('room', members, 2);

        for (let i = 1; i <= Math.ceil(KILLS / 4); i++) {
            const pids = nginx.workers();
            const seen = members[0].seen.get('room').length;

            await until('people chat', () =>
                members[0].seen.get('room').length > seen + 50);

            pids.forEach((pid) => process.kill(pid, 'SIGKILL'));

            await until('others take their place', () => {
                const now = nginx.workers();

                return now.length === 4
                       && !now.some((pid) => pids.includes(pid));
            });

            await until('all noticed', () =>
                members.every((m) => m.closes.length >= i));
            await Promise.all(members.map((m) => m.ready()));
        }

        talk.stop();

        /* the zone outlives them: same epoch, nothing lost, nothing twice */

        await agree('room', members);

        await until('each is there once', async () =>
            (await members[0].ask('users', { room: 'room' })).count
            === members.length);
    }));


test('a worker is killed while a reload goes on', () =>
    served({}, async (nginx) => {
        await everywhere(nginx, 4, 'room');

        talk = chatter('room', members, 2);

        for (let i = 0; i < Math.ceil(KILLS / 2); i++) {
            const old = nginx.workers();

            nginx.signal('SIGHUP');

            const fresh = await until('a new worker runs', () =>
                nginx.workers().find((pid) => !old.includes(pid)));

            for (const pid of i % 2 ? [old[0], fresh] : [old[1]]) {
                try {
                    process.kill(pid, 'SIGKILL');

                } catch {
                    assert.ok(!alive(pid), 'it had gone by itself');
                }
            }

            await until('four new ones are left', () => {
                const now = nginx.workers();

                return now.length === 4
                       && !now.some((pid) => old.includes(pid));
            });
        }

        talk.stop();
        await Promise.all(members.map((m) => m.ready()));
        await agree('room', members);

        await until('each is there once', async () =>
            (await members[0].ask('users', { room: 'room' })).count
            === members.length);
    }));


test('the master is killed: its workers drain, and another takes over',
     async () => {
    const first = await serve({ shared: true });
    const pids = first.workers();
    let second;

    try {
        await everywhere(first, 3, 'room', { once: true });

        talk = chatter('room', members, 2);
        await until('people chat', () =>
            members[0].seen.get('room').length > 50);

        process.kill(first.pid, 'SIGKILL');

        await until('all were sent away', () =>
            members.every((m) => m.closes.length === 1));
        talk.stop();

        for (const m of members) {
            assert.deepEqual(m.closes, [1001]);
            assert.equal(m.events.filter((e) => e.event === 'bye').length, 1);
            assert.equal(m.events.findLast((e) => e.event === 'bye')
                             .data.reason, 'shutdown');
            assert.deepEqual(m.faults, []);
        }

        assert.equal(await handshake(first.port), 503);

        /* the processes are NGINX's own affair, the hub is free again */

        second = await serve({ prefix: first.prefix, shared: true });

        await until('it serves', async () =>
            await handshake(second.port) === 101);

        const ann = await Member.start(second.port, 'ann', ['room']);

        assert.deepEqual((await ann.ask('users', { room: 'room' })).users,
                         ['ann']);
        ann.stop();

        assert.deepEqual(complaints(first), []);

    } finally {
        pids.filter(alive).forEach((pid) => process.kill(pid, 'SIGKILL'));
        await gone(pids);
        await second?.stop();
    }
});
