/*
 * Copyright (C) ChatHub contributors
 */

/* A worker that comes late to the log, and typing that nobody ends. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Member, serve } from './lib/chat-server.js';
import { until } from './lib/until.js';


test('a worker that was lapped while it was stopped', async () => {
    const people = [];
    const small = await serve({
        workers: 2, zone: '2m',
        server: 'chathub_max_message 16k; chathub_send_queue 8m;' });

    try {
        const ann = await Member.start(small.port, 'ann', ['a', 'quiet']);
        const victim = await ann.worker(small);
        const bob = await Member.start(small.port, 'bob', ['a', 'quiet']);

        people.push(ann, bob);

        await until('bob is on the other worker', async () => {
            if (await bob.worker(small) !== victim) {
                return true;
            }

            bob.ws.terminate();
            await until('he is back', () => bob.ws.readyState === 1);
            await bob.ready();
            return false;
        });

        bob.say('a', 'first');
        await until('ann has it', () => ann.seen.get('a').length === 1);

        process.kill(victim, 'SIGSTOP');

        try {
            for (let i = 0; i < 400; i++) {
                bob.say('a', 'x'.repeat(8000));
            }

            await until('the log went round', () => bob.unacked === 0);
            bob.say('quiet', 'still kept');
            await until('that too', () => bob.unacked === 0);

        } finally {
            process.kill(victim, 'SIGCONT');
        }

        await until('ann is told that she missed something', () =>
            ann.faults.some((f) => f.includes('"room":"a"')));

        await until('what is kept is replayed', () =>
            ann.seen.get('quiet').length === 1);

        bob.say('a', 'last');

        await until('and it goes on', () =>
            ann.seen.get('a').at(-1).data === 'last');

    } finally {
        people.forEach((m) => m.stop());
        await small.stop();
    }
});


test('typing ends by itself', async () => {
    const nginx = await serve();
    const name = 'room';
    const ann = await Member.start(nginx.port, 'ann', [name]);
    const bob = await Member.start(nginx.port, 'bob', [name]);
    const typing = (m) => m.events.filter((e) => e.event === 'typing')
        .map((e) => `${e.data.user} ${e.data.typing}`);

    await ann.ask('typing', { room: name, typing: true });

    await until('bob was told twice', () => typing(bob).length === 2);

    assert.deepEqual(typing(bob), ['ann true', 'ann false']);
    assert.deepEqual(typing(ann), [], 'and ann never');

    ann.stop();
    bob.stop();
    await nginx.stop();
});


test('who comes while another is away is told of him', async () => {
    const nginx = await serve({ workers: 1 });
    const people = [];

    try {
        for (const user of ['ann', 'bob', 'cid']) {
            people.push(await Member.start(nginx.port, user,
                                           user === 'ann' ? ['room'] : []));
        }

        const [ann, bob, cid] = people;
        const told = (m, user) => m.events.some((e) =>
            e.event === 'roomusers' && e.data.joined.includes(user));

        await cid.follow('room', {});
        await until('ann was told of cid', () => told(ann, 'cid'));

        /* all within the second for which changes are gathered */

        await cid.ask('leave', { room: 'room' });

        const { users } = await bob.follow('room', {});

        assert.deepEqual(users, ['ann', 'bob']);

        await cid.follow('room', {});
        await until('bob was told of cid', () => told(bob, 'cid'));

    } finally {
        people.forEach((m) => m.stop());
        await nginx.stop();
    }
});
