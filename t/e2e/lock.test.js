/*
 * Copyright (C) ChatHub contributors
 */

/*
 * One hub, one log: who else comes to the same hub waits until it is free.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { afterEach, test } from 'node:test';

import { Member, alive, complaints, config, gone, handshake, serve } from './lib/chat-server.js';
import { agree, chatter } from './lib/member.js';
import { Nginx, children } from './lib/nginx.js';
import { until } from './lib/until.js';


let members = [];
let talk;


afterEach(() => {
    talk?.stop();
    members.forEach((m) => m.stop());
    members = [];
});


/* the status and the body of what a handshake is answered with */

async function answer(port, version) {
    const request = http.get({
        port, host: '127.0.0.1', path: '/ws?user=x', agent: false,
        headers: { 'Connection': 'Upgrade', 'Upgrade': 'websocket',
                   'Sec-WebSocket-Version': version,
                   'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' } });
    const [response] = await once(request, 'response');
    let body = '';

    for await (const data of response) {
        body += data;
    }

    return [response.statusCode, JSON.parse(body)];
}


async function stop(nginx) {
    if (nginx && alive(nginx.pid)) {
        await nginx.stop({ keep: true });
    }
}


test('another NGINX on the same hub', async () => {
    const first = await serve({ workers: 2, shared: true });
    let second, third;

    try {
        second = await serve({ workers: 2, shared: true,
                               prefix: first.prefix });

        members = await Promise.all(['ann', 'bob'].map((user) =>
            Member.start(first.port, user, ['room'])));

        talk = chatter('room', members, 4);

        for (let i = 0; i < 20; i++) {
            assert.equal(await handshake(second.port), 503);
        }

        /* neither of the two is disturbed by the other's reload */

        for (const nginx of [second, first]) {
            const old = nginx.workers();

            await nginx.reload();
            await gone(old);
            await Promise.all(members.map((m) => m.ready()));
            assert.equal(await handshake(second.port), 503);
        }

        const seen = members[0].seen.get('room').length;

        await until('people chat', () =>
            members[0].seen.get('room').length > seen + 50);

        talk.stop();
        await agree('room', members);

        const epoch = members[0].epoch('room');

        members.forEach((m) => m.stop());

        await first.stop({ keep: true });

        await until('the second serves', async () =>
            await handshake(second.port) === 101);

        members = await Promise.all(['ann', 'bob'].map((user) =>
            Member.start(second.port, user, ['room'])));

        assert.notEqual(members[0].epoch('room'), epoch,
                        'it has a log of its own');

        members[0].say('room', 'hello');
        await agree('room', members);

        /* and it is the one that has the hub now */

        third = await serve({ workers: 1, shared: true,
                              prefix: first.prefix });
        assert.equal(await handshake(third.port), 503);

        members.forEach((m) => m.stop());

    } finally {
        await stop(third);
        await stop(second);
        await stop(first);
    }

    fs.rmSync(first.prefix, { recursive: true });
});


test('the error says what is the matter', async () => {
    const first = await serve({ workers: 1, shared: true });
    const second = await serve({ workers: 1, shared: true,
                                 prefix: first.prefix });

    try {
        assert.equal(await handshake(first.port), 101);

        const [status, error] = await answer(second.port, '13');

        assert.equal(status, 503);
        assert.equal(error.code, 'unavailable');
        assert.match(error.message, /another NGINX/);

        assert.equal((await answer(second.port, '12'))[0], 426,
                     'what is wrong with a handshake is said all the same');

    } finally {
        await second.stop({ keep: true });
        await first.stop();
    }
});


test('another hub of another NGINX is no concern of it', async () => {
    const first = await serve({ workers: 1, shared: true });
    const second = await Nginx.start({
        config: config({ workers: 1, shared: true })
            .replace('chathub_hub main', 'chathub_hub other')
            .replace('chathub_websocket main', 'chathub_websocket other'),
        prefix: first.prefix });

    try {
        await until('both serve', async () =>
            await handshake(first.port) === 101
            && await handshake(second.port) === 101);

    } finally {
        await second.stop({ keep: true });
        await first.stop();
    }
});


test('all processes of the first are killed', async () => {
    const first = await serve({ workers: 2, shared: true });
    const second = await serve({ workers: 2, shared: true,
                                 prefix: first.prefix });

    try {
        assert.equal(await handshake(first.port), 101);
        assert.equal(await handshake(second.port), 503);

        const pids = [first.pid, ...first.workers()];

        pids.forEach((pid) => process.kill(pid, 'SIGKILL'));
        await gone(pids);

        await until('the second serves', async () =>
            await handshake(second.port) === 101);

    } finally {
        await second.stop();
    }
});


/*
 * An upgrade needs a master that is no child of who started it: one like
 * that of a server that was started for its prefix and its command line.
 */

async function daemon(options) {
    const model = await serve(options);
    const binary = fs.readlinkSync(`/proc/${model.pid}/exe`);
    const title = fs.readFileSync(`/proc/${model.pid}/cmdline`, 'utf8');
    const [, conf, globals] = / -c (\S+) -g daemon off;([^\0]*)/.exec(title);
    const pidFile = path.join(model.prefix, `nginx-${model.port}.pid`);
    const log = path.join(model.prefix, 'logs', 'daemon.log');

    await model.stop({ keep: true });

    const out = fs.openSync(log, 'a');

    execFileSync(binary, ['-p', `${model.prefix}/`, '-e', 'stderr', '-c', conf,
                          '-g', `${globals} error_log logs/daemon.log;`],
                 { stdio: ['ignore', out, out] });
    fs.closeSync(out);

    const pid = Number(await until('it runs', () =>
        fs.readFileSync(pidFile, 'utf8')));

    await until('it serves', async () =>
        await handshake(model.port) === 101
        && children(pid).length === options.workers);

    return { pid, pidFile, port: model.port, prefix: model.prefix,
             workers: () => children(pid), log: () => fs.readFileSync(log, 'utf8') };
}


/* returns the pid of the new binary's master */

function upgrade(old) {
    process.kill(old.pid, 'SIGUSR2');

    return until('the new binary runs', () => {
        const pid = Number(fs.readFileSync(old.pidFile, 'utf8'));

        return pid && pid !== old.pid && children(pid).length === 2 && pid;
    });
}


async function end(pid) {
    if (alive(pid)) {
        const pids = [pid, ...children(pid)];

        process.kill(pid, 'SIGQUIT');
        await gone(pids);
    }
}


test('a new binary takes over when the old workers are gone', async () => {
    const nginx = await daemon({ workers: 2, shared: true, drain: '2s' });
    const old = nginx.workers();
    let fresh;

    try {
        members = await Promise.all(Array.from({ length: 8 }, (_, i) =>
            Member.start(nginx.port, `m${i}`, ['room'], { once: true })));

        talk = chatter('room', members, 4);

        fresh = await upgrade(nginx);

        /* both accept; the new one refuses as long as the old one has the
         * hub, and the old one goes on */

        const answers = new Set();

        await until('both answered', async () => {
            answers.add(await handshake(nginx.port));

            return answers.has(101) && answers.has(503);
        });

        assert.deepEqual([...answers].sort(), [101, 503]);

        const seen = members[0].seen.get('room').length;

        await until('the old ones go on', () =>
            members[0].seen.get('room').length > seen + 50);

        talk.stop();
        await agree('room', members);
        assert.ok(members.every((m) => m.closes.length === 0));

        const epoch = members[0].epoch('room');

        process.kill(nginx.pid, 'SIGWINCH');

        await until('the clients are sent away', () =>
            members.every((m) => m.closes.length === 1));

        for (const m of members) {
            assert.deepEqual(m.closes, [1001]);
            assert.equal(m.events.filter((e) => e.event === 'bye').length, 1);
        }

        await gone(old);

        await until('the new one serves', async () =>
            await handshake(nginx.port) === 101);

        process.kill(nginx.pid, 'SIGQUIT');
        await gone([nginx.pid]);

        /* each of its workers looks once a second */

        await until('all its workers serve', async () => {
            for (let i = 0; i < 20; i++) {
                if (await handshake(nginx.port) !== 101) {
                    return false;
                }
            }

            return true;
        });

        members = await Promise.all(['ann', 'bob'].map((user) =>
            Member.start(nginx.port, user, ['room'])));

        assert.notEqual(members[0].epoch('room'), epoch);
        members[1].say('room', 'to the new one');
        await agree('room', members);

    } finally {
        talk.stop();
        members.forEach((m) => m.stop());
        await end(nginx.pid);
        await end(fresh);
    }

    assert.deepEqual(complaints(nginx), []);
    fs.rmSync(nginx.prefix, { recursive: true });
});


test('an upgrade that is taken back', async () => {
    const nginx = await daemon({ workers: 2, shared: true });
    let fresh;

    try {
        members = await Promise.all(['ann', 'bob'].map((user) =>
            Member.start(nginx.port, user, ['room'])));

        fresh = await upgrade(nginx);
        await end(fresh);

        talk = chatter('room', members, 4);
        await until('people chat', () =>
            members[0].seen.get('room').length > 100);
        talk.stop();

        await agree('room', members);
        assert.ok(members.every((m) => m.closes.length === 0));

        for (let i = 0; i < 10; i++) {
            assert.equal(await handshake(nginx.port), 101);
        }

    } finally {
        talk?.stop();
        members.forEach((m) => m.stop());
        await end(fresh);
        await end(nginx.pid);
    }

    assert.deepEqual(complaints(nginx), []);
    fs.rmSync(nginx.prefix, { recursive: true });
});
