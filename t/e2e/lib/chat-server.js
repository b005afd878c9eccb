/*
 * Copyright (C) ChatHub contributors
 */

import fs from 'node:fs';
import path from 'node:path';

import WebSocket from 'ws';

import { Member as Base } from './member.js';
import { Nginx } from './nginx.js';
import { until } from './until.js';


/* What the log has of workers that a test killed. */

export const KILLED = /exited on signal 9/;

const BAD = /\[(?:alert|emerg)\]|Sanitizer|runtime error:/;


/*
 * A configuration with one hub at /ws, whose workers have a listening socket
 * each, so that the kernel spreads clients over all of them:
 *
 *     config({ workers, zone, replay, drain, hub, server, shared })
 *
 * "hub" and "server" are more directives of the two; "shared": one socket for
 * all workers, so that a worker that does not run holds up nobody who comes.
 */

export function config({ workers = 4, zone = '32m', replay = 10000,
                         drain = '1s', hub = '', server = '',
                         shared = false } = {}) {
    return `
load_module modules/ngx_http_chathub_module.so;
worker_processes ${workers};
pid nginx-PORT.pid;
events { worker_connections 4096; }
http {
    access_log off;
    chathub_hub main {
        zone ${zone};
        store off;
        node test;
        replay ${replay};
        ${hub}
    }
    server {
        listen 127.0.0.1:PORT${shared ? '' : ' reuseport'};
        chathub_guest on;
        chathub_drain ${drain};
        location = /ws { chathub_websocket main; }
        ${server}
    }
}
`;
}


/* A member of whom is known how his connections ended that had been open:
 * "ends" has their codes, "closes" those of refused handshakes too. */

export class Member extends Base {

    /* there before the fields of a member's own are */

    static #of = new WeakMap();

    static async start(port, user, rooms = [], options = {}) {
        const member = new Member(port, user, rooms, options);

        await member.ready();

        return member;
    }

    get ws() {
        return Member.#of.get(this).ws;
    }

    set ws(ws) {
        const own = Member.#of.get(this) ?? { ends: [] };

        Member.#of.set(this, own);
        own.ws = ws;

        ws.on('open', () => ws.on('close', (code) => own.ends.push(code)));
    }

    get ends() {
        return Member.#of.get(this).ends;
    }
}


/* The sanitizers keep what was freed, a quarter of a gigabyte, which would hide
 * what a server needs. */

const ASAN = [process.env.ASAN_OPTIONS, 'quarantine_size_mb=1',
              'thread_local_quarantine_size_kb=64'];

process.env.ASAN_OPTIONS = ASAN.filter(Boolean).join(':');


/* Starts it, with all its workers; options are those of config() and of
 * Nginx.start(). */

export async function serve({ expect, prefix, workers = 4, ...options } = {}) {
    const nginx = await Nginx.start({ config: config({ workers, ...options }),
                                      expect, prefix });

    await until('all workers run', () => nginx.workers().length === workers);

    return nginx;
}


/* Gives a server another configuration, which it takes at the next reload. */

export function reconfigure(nginx, text) {
    const title = fs.readFileSync(`/proc/${nginx.pid}/cmdline`, 'utf8');
    const [, name] = / -c (\S+)/.exec(title);

    fs.writeFileSync(path.join(nginx.prefix, name),
                     text.replaceAll('PORT', nginx.port));
}


/* Which worker has each member: pids, in the members' order. */

export function owners(nginx, members) {
    return Promise.all(members.map((m) => nginx.workerOf(m.localPort)));
}


/* A member whom a worker that is right has; tries until there is one. */

export async function at(nginx, right, user, rooms = [], options = {}) {
    for (let i = 0; i < 500; i++) {
        const member = await Member.start(nginx.port, user, rooms, options);

        if (right(await nginx.workerOf(member.localPort))) {
            return member;
        }

        member.stop();
    }

    throw new Error('no connection came to the right worker');
}


/* What a handshake is answered with: 101, or the status of a refusal; null
 * where there was no answer. */

export function handshake(port, where = '/ws?user=probe') {
    return new Promise((resolve) => {
        const ws = new WebSocket(`ws://127.0.0.1:${port}${where}`);

        ws.on('error', () => resolve(null));
        ws.on('unexpected-response', (request, response) => {
            resolve(response.statusCode);
            request.destroy();
        });
        ws.on('open', () => {
            resolve(101);
            ws.terminate();
        });
    });
}


export function alive(pid) {
    try {
        const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');

        return stat.charAt(stat.lastIndexOf(')') + 2) !== 'Z';

    } catch {
        return false;
    }
}


export function gone(pids) {
    return until('the processes are gone', () => !pids.some(alive));
}


/* Resident memory of processes, in KiB. */

export function resident(pids) {
    return pids.map((pid) =>
        Number(/VmRSS:\s+(\d+)/.exec(
            fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]))
        .reduce((a, b) => a + b, 0);
}


/* What a log has that it must not have, where stop() was not the end. */

export function complaints(nginx, expect = []) {
    return nginx.log().split('\n').filter((line) =>
        BAD.test(line) && !expect.some((e) => e.test(line)));
}


/* The messages that a member got apart from those of its rooms. */

export function heard(member, right) {
    return member.events.filter((e) => e.event === 'message' && right(e.data))
        .map((e) => e.data);
}
