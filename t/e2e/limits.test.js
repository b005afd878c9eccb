/*
 * Copyright (C) ChatHub contributors
 */

/*
 * Readers that do not read, replays and what they refuse, another NGINX on the
 * same hub, and clients in great numbers.
 */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, afterEach, before, test } from 'node:test';

import { Member, agree, chatter } from './lib/member.js';
import { Nginx } from './lib/nginx.js';
import { until } from './lib/until.js';


const CONFIG = `
load_module modules/ngx_http_chathub_module.so;
worker_processes 2;
pid nginx-PORT.pid;
events { worker_connections 4096; }
http {
    access_log off;
    chathub_hub main { zone 32m; store off; node limits; replay 500; }
    server {
        listen 127.0.0.1:PORT;
        chathub_guest on;
        chathub_drain 1s;

        location = /ws {
            chathub_websocket main;
        }

        location = /slow/ws {
            chathub_websocket main;
            chathub_max_message 16k;
            chathub_send_queue 64k;
        }

        location = /rate/ws {
            chathub_websocket main;
            chathub_rate 10r/s burst=5;
        }
    }
}
`;

let nginx;
let members = [];
let rooms = 0;


before(async () => {
    nginx = await Nginx.start({ config: CONFIG });
});


afterEach(() => {
    members.forEach((m) => m.stop());
    members = [];
});


after(async () => {
    await nginx?.stop();
});


async function member(user, names = [], options = {}) {
    const m = await Member.start(nginx.port, user, names, options);

    members.push(m);

    return m;
}


function room() {
    return `room-${++rooms}`;
}


/* memory of all workers, in KiB */

function resident() {
    return nginx.workers().map((pid) =>
        Number(/VmRSS:\s+(\d+)/.exec(
            fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]))
        .reduce((a, b) => a + b);
}


function sanitized() {
    return nginx.workers().some((pid) =>
        /libasan/.test(fs.readFileSync(`/proc/${pid}/maps`, 'utf8')));
}


test('readers that do not read are sent away, the others not', async () => {
    const name = room();
    const ann = await member('ann', [name]);
    const bob = await member('bob', [name]);
    const slow = await Promise.all(Array.from({ length: 10 }, (_, i) =>
        member(`slow${i}`, [name], { once: true, path: '/slow/ws' })));

    slow.forEach((m) => m.ws._socket.pause());

    const before = resident();

    /* more than queue and sockets take */

    for (let i = 0; i < 1500; i++) {
        ann.say(name, `${i} ${'x'.repeat(15000)}`);

        if (ann.unacked > 20) {
            await until('some are through', () => ann.unacked < 10);
        }
    }

    await until('bob has all', () => bob.seen.get(name).length === 1500);
    await agree(name, [ann, bob]);

    /* a sanitizer keeps what was freed */

    assert.ok(sanitized() || resident() - before < 64 * 1024,
              'memory is bounded');

    await until('the slow ones are out of the room', async () =>
        (await ann.ask('users', { room: name })).count === 2);

    slow.forEach((m) => m.ws._socket.resume());

    await until('they read why', () => slow.every((m) => m.closes.length));

    for (const m of slow) {
        assert.deepEqual(m.closes, [1013]);
        assert.equal(m.events.at(-1).event, 'bye');
        assert.equal(m.events.at(-1).data.reason, 'slow');
    }
});


test('a replay is exact, also while others write', async () => {
    const name = room();
    const ann = await member('ann', [name]);
    const talk = chatter(name, [ann], 8);

    try {
        await until('something is said', () =>
            ann.seen.get(name).length > 100);

        const back = await Promise.all([1, 50, 99].map(async (seq) => {
            const m = await member(`back${seq}`);

            await m.follow(name, { epoch: ann.epoch(name), seq });
            return m;
        }));

        await until('more is said', () => ann.seen.get(name).length > 400);
        talk.stop();

        assert.deepEqual(back.map((m) => m.seen.get(name)[0].seq),
                         [2, 51, 100]);
        await agree(name, [ann, ...back]);

    } finally {
        talk.stop();
    }
});


test('what cannot be replayed is said', async () => {
    const name = room();
    const ann = await member('ann', [name]);

    for (let i = 0; i < 600; i++) {
        ann.say(name, 'x');
    }

    await agree(name, [ann]);

    const bob = await member('bob');
    const epoch = ann.epoch(name);
    const join = async (place) =>
        (await bob.ask('join', { room: name, ...place })).resync;

    assert.equal(await join({ epoch, seq: 600 }), false);
    assert.equal(await join({ epoch, seq: 100 }), false);
    assert.equal(await join({ epoch, seq: 99 }), true, 'more than "replay"');
    assert.equal(await join({ seq: 550 }), false, 'the present epoch');
    assert.equal(await join({ epoch, seq: 601 }), true, 'the future');
    assert.equal(await join({ epoch: '0123456789abcdef', seq: 600 }), true);
    assert.equal(await join({ epoch: 'x', seq: 600 }), true);
    assert.equal(await join({}), false);
});


test('direct messages and broadcasts are replayed too', async () => {
    const ann = await member('ann-d');
    const bob = await member('bob-d');

    for (let i = 0; i < 300; i++) {
        await bob.ask('message', { unicast: true, toUser: 'cid-d',
                                   data: `d${i}` });
    }

    await ann.ask('message', { broadcast: 1, data: 'to all' });

    const cid = await member('cid-d');
    const pair = await cid.ask('join', { user: 'bob-d', seq: 0 });
    const all = await cid.ask('join', { broadcast: 1, seq: 0 });
    const got = (unicast) => cid.events.filter((e) =>
        e.event === 'message' && e.data.unicast === unicast)
        .map((e) => e.data);

    assert.equal(pair.seq, 300);
    assert.equal(pair.resync, false);

    await until('all came', () =>
        got(true).length === 300 && got(false).length === all.seq);

    assert.deepEqual(got(true).map((m) => m.data),
                     Array.from({ length: 300 }, (_, i) => `d${i}`));
    assert.equal(got(false).at(-1).data, 'to all');
});


test('a user has everything on each connection', async () => {
    const name = room();
    const one = await member('twin', [name]);
    const two = await member('twin', [name]);
    const bob = await member('bob-t', [name]);

    bob.say(name, 'to the room');
    await bob.ask('message', { unicast: true, toUser: 'twin', data: 'to one' });
    await one.ask('message', { unicast: true, toUser: 'twin', data: 'to me' });

    for (const m of [one, two]) {
        await until('it came', () => m.seen.get(name).length === 1
            && m.events.filter((e) => e.event === 'message').length === 2);
        assert.deepEqual(m.events.filter((e) => e.event === 'message')
            .map((e) => e.data.data), ['to one', 'to me']);
    }

    assert.equal((await bob.ask('users', { room: name })).count, 2);

    one.stop();
    await until('one connection is gone', () => one.closes.length);

    await bob.ask('ping', {});
    assert.equal((await bob.ask('users', { room: name })).count, 2,
                 'he is still there with the other');
});


test('typing ends by itself', async () => {
    const name = room();
    const ann = await member('ann', [name]);
    const bob = await member('bob', [name]);
    const typing = (m) => m.events.filter((e) => e.event === 'typing')
        .map((e) => `${e.data.user} ${e.data.typing}`);

    await ann.ask('typing', { room: name, typing: true });

    await until('bob was told twice', () => typing(bob).length === 2);

    assert.deepEqual(typing(bob), ['ann true', 'ann false']);
    assert.deepEqual(typing(ann), [], 'and ann never');
});


test('one who is too fast is told how long to wait', async () => {
    const ann = await member('fast', [], { path: '/rate/ws' });
    const answers = await Promise.allSettled(Array.from({ length: 50 }, () =>
        ann.ask('ping', {})));
    const refused = answers.filter((a) => a.status === 'rejected');

    assert.ok(refused.length >= 40 && refused.length < 50);
    assert.ok(refused.every((a) => a.reason.code === 'rate_limited'
                                   && a.reason.retry > 0));

    await until('then it goes again', () => ann.ask('ping', {}));
});


test('100,000 rooms by one client', async () => {
    const ann = await member('greedy');
    let joined = 0;
    let refused = 0;

    for (let i = 0; i < 100000; i += 1000) {
        await Promise.all(Array.from({ length: 1000 }, (_, j) =>
            ann.ask('join', { room: `greedy-${i + j}` }).then(() => {
                joined++;

            }, (error) => {
                assert.equal(error.code, 'too_many_rooms');
                refused++;
            })));
    }

    assert.equal(joined, 100);
    assert.equal(refused, 99900);
});


test('clients that come and go leave nothing', async () => {
    const name = room();
    const watcher = await member('watcher', [name]);

    for (let i = 0; i < 10; i++) {
        const crowd = await Promise.all(Array.from({ length: 100 }, (_, j) =>
            Member.start(nginx.port, `crowd${j}`, [name], { once: true })));

        crowd.forEach((m) => m.stop());
    }

    await until('the watcher is alone', async () =>
        (await watcher.ask('users', { room: name })).count === 1);
});


test('another NGINX on the same hub waits until the first is gone',
     async () => {
    const first = await Nginx.start({ config: CONFIG });
    const second = await Nginx.start({ config: CONFIG, prefix: first.prefix });
    const ann = await Member.start(first.port, 'ann', ['a'], { once: true });
    const answer = await fetch(`http://127.0.0.1:${second.port}/ws`, {
        headers: { 'X-Plain': '1' } });

    assert.equal(answer.status, 426, 'it runs');

    const refused = new Member(second.port, 'bob', [], { once: true });

    await until('bob is refused', () => refused.status === 503);

    ann.say('a', 'still here');
    await until('the first goes on', () => ann.unacked === 0);

    await first.stop({ keep: true });

    await until('the second takes over', async () => {
        const m = new Member(second.port, 'cid', [], { once: true });

        await until('it is answered', () => m.ws.readyState !== 0);

        const open = m.ws.readyState === 1;

        m.stop();
        return open;
    });

    await second.stop();
});
