/*
 * Copyright (C) ChatHub contributors
 */

/*
 * Coming back: what a join with a place replays, and when it cannot.
 */

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { Member, at, heard, serve } from './lib/chat-server.js';
import { agree, chatter } from './lib/member.js';
import { until } from './lib/until.js';


let members = [];
let talk;


afterEach(() => {
    talk?.stop();
    members.forEach((m) => m.stop());
    members = [];
});


async function served(options, body) {
    const nginx = await serve({ workers: 2, ...options });

    try {
        await body(nginx);

    } finally {
        talk?.stop();
        members.forEach((m) => m.stop());
        await nginx.stop();
    }
}


async function start(nginx, user, rooms) {
    const member = await Member.start(nginx.port, user, rooms);

    members.push(member);

    return member;
}


function range(first, last) {
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}


async function speak(member, room, n, size = 10) {
    for (let i = 0; i < n; i++) {
        member.say(room, `${i} ${'x'.repeat(size)}`);

        if (member.unacked > 100) {
            await until('some are through', () => member.unacked < 50);
        }
    }

    await until('all is said', () => member.unacked === 0);
}


function seqs(member, room) {
    return member.seen.get(room).map((m) => m.seq);
}


test('from every place there is, on every worker', () =>
    served({}, async (nginx) => {
        const ann = await start(nginx, 'ann', ['room']);

        await speak(ann, 'room', 40);

        const epoch = ann.epoch('room');

        for (const pid of nginx.workers()) {
            for (const seq of range(0, 40)) {
                const bob = await at(nginx, (p) => p === pid, 'bob');
                const answer = await bob.follow('room', { epoch, seq });

                assert.deepEqual([answer.epoch, answer.seq, answer.resync],
                                 [epoch, 40, false]);

                await until('the rest came', () =>
                    bob.seen.get('room').length === 40 - seq);
                assert.deepEqual(bob.seen.get('room'),
                                 ann.seen.get('room').slice(seq));
                bob.stop();
            }
        }
    }));


test('more than a worker keeps of a replay at a time', () =>
    served({ replay: 50000 }, async (nginx) => {
        const ann = await start(nginx, 'ann', ['room']);

        await speak(ann, 'room', 6000);

        const back = await Promise.all(range(1, 6).map((i) =>
            start(nginx, `back${i}`)));

        talk = chatter('room', [ann], 4);

        await Promise.all(back.map((m) => m.follow('room', { seq: 0 })));

        await until('all have what they missed', () =>
            back.every((m) => m.seen.get('room').length >= 6000));
        talk.stop();

        await agree('room', [ann, ...back]);
        back.forEach((m) => assert.equal(seqs(m, 'room')[0], 1));
    }));


test('more than "replay", by one', () =>
    served({ replay: 100 }, async (nginx) => {
        const ann = await start(nginx, 'ann', ['room']);

        await speak(ann, 'room', 150);

        const bob = await start(nginx, 'bob');
        const lost = await bob.follow('room', { seq: 49 });

        assert.deepEqual([lost.seq, lost.resync], [150, true]);

        /* whatever was missed, it goes on from there */

        await speak(ann, 'room', 1);
        await until('bob has the next', () =>
            seqs(bob, 'room').join() === '151');

        const cid = await start(nginx, 'cid');
        const answer = await cid.follow('room', { seq: 51 });

        assert.deepEqual([answer.seq, answer.resync], [151, false]);
        await until('cid has a hundred', () =>
            cid.seen.get('room').length === 100);
        assert.deepEqual(seqs(cid, 'room'), range(52, 151));
    }));


test('what was overwritten', () =>
    served({ zone: '2m',
             server: 'chathub_max_message 16k; chathub_send_queue 8m;' },
    async (nginx) => {
        const ann = await start(nginx, 'ann', ['room', 'quiet']);

        await speak(ann, 'quiet', 1);
        await speak(ann, 'room', 400, 8000);

        const bob = await start(nginx, 'bob');
        const epoch = ann.epoch('room');
        const join = async (data) => (await bob.ask('join', data)).resync;

        assert.equal(await join({ room: 'room', epoch, seq: 1 }), true);
        assert.equal(await join({ room: 'room', epoch, seq: 395 }), false);
        assert.equal(await join({ room: 'quiet', seq: 1 }), false);

        /* from the oldest kept, whatever went before */

        assert.equal(await join({ room: 'quiet', seq: 0 }), false);

        const cid = await start(nginx, 'cid');
        const got = [];

        cid.ws.on('message', (text) => {
            const { event, data } = JSON.parse(text);

            if (event === 'message') {
                got.push(data.seq);
            }
        });

        const answer = await cid.ask('join', { room: 'room', seq: 0 });

        assert.deepEqual([answer.seq, answer.resync], [400, false]);

        await until('cid has what is kept', () => got.at(-1) === 400);
        assert.ok(got.length > 50 && got[0] > 1);
        assert.deepEqual(got, range(got[0], 400));
    }));


test('places that there are not', () =>
    served({}, async (nginx) => {
        const ann = await start(nginx, 'ann', ['room']);
        const bob = await start(nginx, 'bob');

        await speak(ann, 'room', 20);

        const epoch = ann.epoch('room');
        const other = epoch.replace(/.$/, (c) => (c === '0' ? '1' : '0'));

        for (const place of [{ epoch, seq: 21 }, { seq: 21 },
                             { epoch, seq: Number.MAX_SAFE_INTEGER },
                             { epoch: other, seq: 20 },
                             { epoch: other, seq: 0 },
                             { epoch: '', seq: 20 }])
        {
            const answer = await bob.ask('join', { room: 'room', ...place })
                .catch((error) => ({ resync: error.code }));

            assert.ok([true, 'bad_request'].includes(answer.resync),
                      JSON.stringify(place));

            if (answer.resync === true) {
                assert.deepEqual([answer.epoch, answer.seq], [epoch, 20]);
            }
        }
    }));


test('no seam while others write, again and again', () =>
    served({}, async (nginx) => {
        const speakers = await Promise.all(range(1, 6).map((i) =>
            start(nginx, `s${i}`, ['room'])));
        const jumpers = await Promise.all(range(1, 12).map((i) =>
            start(nginx, `j${i}`, ['room'])));

        talk = chatter('room', speakers, 3);

        /* the connection breaks at any place */

        for (let round = 1; round <= 10; round++) {
            const seen = speakers[0].seen.get('room').length;

            jumpers.forEach((m) => m.ws.terminate());

            await until('all came back, and more was said', () =>
                jumpers.every((m) => m.closes.length === round)
                && speakers[0].seen.get('room').length > seen + 30);
            await Promise.all(jumpers.map((m) => m.ready()));
        }

        talk.stop();
        await agree('room', members);
        assert.equal(seqs(jumpers[0], 'room').length,
                     seqs(speakers[0], 'room').length);
    }));


test('joining again and again on one connection, while others write', () =>
    served({}, async (nginx) => {
        const ann = await start(nginx, 'ann', ['room']);
        const bob = await start(nginx, 'bob', ['room']);
        const got = [];

        bob.ws.on('message', (text) => {
            const { event, data } = JSON.parse(text);

            if (event === 'message') {
                got.push(data.seq);
            }
        });

        talk = chatter('room', [ann], 4);

        await until('something is said', () => got.length > 100);

        const last = (await bob.ask('join', { room: 'room', seq: 0 })).seq;

        await until('it was replayed, and goes on', () =>
            got.filter((seq) => seq === 1).length === 2
            && got.at(-1) > last + 50);
        talk.stop();
        await until('all is acknowledged', () => ann.unacked === 0);
        await until('bob has all', () =>
            got.at(-1) === ann.seen.get('room').length);

        /* two runs without a gap: the second begins at 1 and does not end */

        const second = got.lastIndexOf(1);

        assert.deepEqual(got.slice(0, second), range(1, second));
        assert.deepEqual(got.slice(second), range(1, got.at(-1)));
    }));


test('pairs and broadcasts', () =>
    served({}, async (nginx) => {
        const ann = await start(nginx, 'ann');
        const bob = await start(nginx, 'bob');

        for (let i = 1; i <= 30; i++) {
            await (i % 2 ? ann : bob).ask('message', {
                unicast: true, toUser: i % 2 ? 'bob' : 'ann', data: `${i}` });
            await (i % 2 ? ann : bob).ask('message', { broadcast: 1,
                                                       data: `${i}` });
        }

        const pair = await ann.ask('join', { user: 'bob' });
        const all = await ann.ask('join', { broadcast: 1 });

        assert.deepEqual([pair.user, pair.seq, pair.resync],
                         ['bob', 30, false]);
        assert.deepEqual([all.seq, all.resync], [30, false]);

        for (const seq of [0, 1, 15, 29, 30]) {
            const back = await Member.start(nginx.port, 'ann');

            for (const [target, epoch] of [[{ user: 'bob' }, pair.epoch],
                                           [{ broadcast: 1 }, all.epoch]])
            {
                const answer = await back.ask('join', { ...target, epoch,
                                                        seq });

                assert.deepEqual([answer.epoch, answer.seq, answer.resync],
                                 [epoch, 30, false]);
            }

            const got = (unicast) => heard(back, (d) =>
                Boolean(d.unicast) === unicast).map((d) => d.seq);

            await until('both came', () =>
                got(true).length === 30 - seq
                && got(false).length === 30 - seq);

            assert.deepEqual(got(true), range(seq + 1, 30));
            assert.deepEqual(got(false), range(seq + 1, 30));

            for (const target of [{ user: 'bob' }, { broadcast: 1 }]) {
                assert.equal((await back.ask('join', { ...target, seq: 31 }))
                    .resync, true);
            }

            back.stop();
        }
    }));
