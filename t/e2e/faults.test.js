/*
 * Copyright (C) ChatHub contributors
 */

/*
 * What happens to NGINX while people chat: workers that are killed or stopped,
 * reloads, the end of the master.  FAULTS is how often, 8 by default.
 */

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { Member, agree, chatter } from './lib/member.js';
import { Nginx } from './lib/nginx.js';
import { until } from './lib/until.js';


const FAULTS = Number(process.env.FAULTS ?? 8);

const CONFIG = ({ extra = '', zone = '32m', drain = '1s' } = {}) => `
load_module modules/ngx_http_chathub_module.so;
worker_processes 4;
pid nginx.pid;
events { worker_connections 1024; }
http {
    access_log off;
    chathub_hub main { zone ${zone}; store off; node faults; }
    server {
        listen 127.0.0.1:PORT;
        location = /ws {
            chathub_websocket main;
            chathub_guest on;
            chathub_drain ${drain};
            ${extra}
        }
    }
}
`;

let nginx;
let members = [];
let talk;
let rooms = 0;


before(async () => {
    nginx = await Nginx.start({ config: CONFIG(),
                                expect: [/exited on signal 9/] });
});


afterEach(() => {
    talk?.stop();
    members.forEach((m) => m.stop());
    members = [];
});


after(async () => {
    await nginx?.stop();
});


async function start(n, room) {
    members = await Promise.all(Array.from({ length: n }, (_, i) =>
        Member.start(nginx.port, `m${i}`, [room])));

    return members;
}


function pick(list) {
    return list[Math.floor(Math.random() * list.length)];
}


/* the workers that run are the configured four, and other ones than before */

function renewed(gone) {
    return until('the worker is replaced', () => {
        const now = nginx.workers();

        return now.length === 4 && !now.includes(gone);
    });
}


test('members on four workers see one order', async () => {
    const room = `room-${++rooms}`;

    await start(24, room);

    const pids = await Promise.all(members.map((m) =>
        m.worker(nginx)));

    assert.ok(new Set(pids).size > 1, 'several workers have members');

    talk = chatter(room, members.slice(0, 8));

    await until('much is said', () =>
        members[23].seen.get(room).length > 2000);
    talk.stop();

    await agree(room, members);
});


test('workers are killed', async () => {
    const room = `room-${++rooms}`;

    await start(24, room);

    talk = chatter(room, members.slice(0, 8));

    for (let i = 0; i < FAULTS; i++) {
        const victim = pick(nginx.workers());
        const owners = await Promise.all(members.map((m) =>
            m.worker(nginx)));
        const others = members.filter((_, j) => owners[j] !== victim);
        const closes = others.map((m) => m.closes.length);

        process.kill(victim, 'SIGKILL');
        await renewed(victim);

        assert.deepEqual(others.map((m) => m.closes.length), closes,
                         'the clients of other workers notice nothing');

        await Promise.all(members.map((m) => m.ready()));
    }

    talk.stop();
    await agree(room, members);

    /* nobody is there who is not */

    const watcher = await Member.start(nginx.port, 'watcher', [room]);

    members.slice(12).forEach((m) => m.stop());

    await until('twelve and the watcher are left', async () =>
        (await watcher.ask('users', { room })).count === 13);

    watcher.stop();
});


test('the users of a killed worker are gone', async () => {
    const room = `room-${++rooms}`;

    members = await Promise.all(Array.from({ length: 16 }, (_, i) =>
        Member.start(nginx.port, `once${i}`, [room], { once: true })));

    const victim = await members[0].worker(nginx);
    const owners = await Promise.all(members.map((m) =>
        m.worker(nginx)));
    const watcher = await Member.start(nginx.port, 'watcher', [room]);

    await until('the watcher is on another worker', async () => {
        if (await watcher.worker(nginx) !== victim) {
            return true;
        }

        watcher.ws.terminate();
        await until('it is back', () => watcher.ws.readyState === 1);
        await watcher.ready();
        return false;
    });

    process.kill(victim, 'SIGKILL');

    const left = members.filter((_, i) => owners[i] !== victim)
        .map((m) => m.user);

    await until('only the others are left', async () => {
        const { users } = await watcher.ask('users', { room });

        return users.join() === [...left, 'watcher'].sort().join();
    });

    await until('the watcher was told', () => {
        const told = watcher.events.filter((e) => e.event === 'roomusers')
            .flatMap((e) => e.data.left);

        return members.every((m, i) =>
            owners[i] !== victim || told.includes(m.user));
    });

    watcher.stop();
    await renewed(victim);
});


test('workers are stopped for a while', async () => {
    const room = `room-${++rooms}`;

    await start(16, room);

    talk = chatter(room, members.slice(0, 4));

    for (let i = 0; i < Math.ceil(FAULTS / 2); i++) {
        const victim = pick(nginx.workers());
        const owners = await Promise.all(members.map((m) =>
            m.worker(nginx)));
        const mover = members.findIndex((_, j) => owners[j] !== victim);
        const seen = members[mover].seen.get(room).length;

        process.kill(victim, 'SIGSTOP');

        try {
            if (owners.slice(0, 4).some((pid) => pid !== victim)) {
                await until('the others go on', () =>
                    members[mover].seen.get(room).length > seen + 100);
            }

        } finally {
            process.kill(victim, 'SIGCONT');
        }
    }

    talk.stop();
    await agree(room, members);
});


test('a worker that was lapped while it was stopped', async () => {
    const small = await Nginx.start({
        config: CONFIG({ zone: '2m', extra: `chathub_max_message 16k;
                                             chathub_send_queue 8m;` }),
        workers: 2 });

    try {
        const ann = await Member.start(small.port, 'ann', ['a', 'quiet']);
        const victim = await ann.worker(small);
        const bob = await Member.start(small.port, 'bob', ['a', 'quiet']);

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

        ann.stop();
        bob.stop();

    } finally {
        await small.stop();
    }
});


test('reloads', async () => {
    const room = `room-${++rooms}`;

    await start(16, room);

    talk = chatter(room, members.slice(0, 6));

    for (let i = 0; i < FAULTS; i++) {
        const old = nginx.workers();

        await nginx.reload();
        await until('the old workers are gone', () =>
            !nginx.workers().some((pid) => old.includes(pid)));
    }

    talk.stop();
    await agree(room, members);

    for (const member of members) {
        const byes = member.events.filter((e) => e.event === 'bye');

        assert.ok(byes.length > 0);
        assert.ok(byes.every((e) => e.data.reason === 'reload'
                                    && e.data.reconnect_in_ms >= 0
                                    && e.data.reconnect_in_ms < 1000));
        assert.deepEqual([...new Set(member.closes)], [1012]);
    }
});


test('old and new workers chat with each other', async () => {
    const room = `room-${++rooms}`;
    const other = await Nginx.start({ config: CONFIG({ drain: '20s' }) });

    try {
        members = await Promise.all(Array.from({ length: 40 }, (_, i) =>
            Member.start(other.port, `m${i}`, [room])));

        const old = other.workers();

        await other.reload();

        /* an old worker accepts until it is told to quit */

        const late = await until('somebody is at a new worker', async () => {
            const member = await Member.start(other.port, 'late', [room]);

            if (!old.includes(await member.worker(other))) {
                return member;
            }

            member.stop();
        });

        /* they leave over two seconds */

        const rest = members.filter((m) => m.closes.length === 0);

        assert.ok(rest.length > 0, 'somebody is still at an old worker');

        late.say(room, 'from the new');
        rest.forEach((m) => m.say(room, 'from the old'));

        members.push(late);
        await agree(room, members);

        await until('the old workers are gone', () =>
            !other.workers().some((pid) => old.includes(pid)));

    } finally {
        members.forEach((m) => m.stop());
        await other.stop();
    }
});


test('a quit is said, and leaves nothing', async () => {
    const other = await Nginx.start({ config: CONFIG() });
    const ann = await Member.start(other.port, 'ann', ['a'], { once: true });
    const bye = () => ann.events.find((e) => e.event === 'bye');

    await other.stop();

    assert.equal(bye().data.reason, 'shutdown');
    assert.deepEqual(ann.closes, [1001]);
});


test('workers whose master is gone drain', async () => {
    const other = await Nginx.start({ config: CONFIG() });
    const ann = await Member.start(other.port, 'ann', ['a'], { once: true });
    const pids = other.workers();

    process.kill(other.pid, 'SIGKILL');

    await until('ann was sent away', () => ann.closes.length === 1);
    assert.ok(ann.events.some((e) => e.event === 'bye'));

    /* NGINX's own sockets are its own affair: the processes stay */

    pids.forEach((pid) => process.kill(pid, 'SIGKILL'));
});
