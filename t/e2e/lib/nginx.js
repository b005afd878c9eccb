/*
 * Copyright (C) ChatHub contributors
 */

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { until } from './until.js';


export const root = fileURLToPath(new URL('../../../', import.meta.url));

const BAD = /\[(?:alert|emerg)\]|Sanitizer|runtime error:/;


/*
 * An nginx with the module on a free port of 127.0.0.1, in a prefix of its own
 * below build/:
 *
 *     const nginx = await Nginx.start({ config: shipped('single.conf') });
 *
 *     nginx.port, nginx.prefix, nginx.pid (the master's)
 *     nginx.workers()              pids; new ones after a reload, old ones as
 *                                  long as they live
 *     await nginx.workerOf(port)   the pid of the worker that has the
 *                                  connection with that port of its client
 *     await nginx.reload();        until the new workers run
 *     nginx.log()                  what is in the error log
 *     await nginx.stop();          in order; then the error log is checked for
 *                                  alerts and sanitizers' reports
 *
 * In "config", a text, PORT stands for the port; a "listen" on any address is
 * one on 127.0.0.1.  "workers" replaces worker_processes, "expect", an array
 * of expressions, is what the log may have of alerts (a worker that a test
 * killed, for example).  "prefix" is another nginx's, to share it; that one is
 * stopped with "keep" then.
 *
 * TEST_NGINX_BINARY and TEST_NGINX_LOAD_MODULES name the binary and the
 * module; by default they are made, and taken from build/normal.
 */

export class Nginx {
    static #running = new Set();
    static #count = 0;

    #process;
    #expect;
    #ended;
    #errorLog;

    static async start({ config, workers, expect = [], prefix }) {
        const nginx = new Nginx();

        await nginx.#start(config, workers, expect, prefix);

        return nginx;
    }

    get pid() {
        return this.#process.pid;
    }

    workers() {
        return children(this.pid);
    }

    workerOf(port, timeout) {
        return until('a worker has the connection', () => {
            const link = `socket:[${inode(this.port, port)}]`;

            return this.workers().find((pid) => fds(pid).includes(link));
        }, timeout);
    }

    log() {
        return fs.readFileSync(this.#errorLog, 'utf8');
    }

    signal(name) {
        process.kill(this.pid, name);
    }

    async reload() {
        const old = new Set(this.workers());

        this.signal('SIGHUP');

        await until('new workers run', () =>
            this.workers().filter((pid) => !old.has(pid)).length
            >= this.#workerCount);
    }

    async stop({ keep = false } = {}) {
        this.signal('SIGQUIT');

        try {
            await until('nginx ends', () => this.#ended);

        } finally {
            this.#kill();
        }

        const bad = this.log().split('\n').filter((line) =>
            BAD.test(line) && !this.#expect.some((e) => e.test(line)));

        assert.deepEqual(bad, [], 'the error log has alerts');
        assert.equal(this.#ended.code, 0, 'nginx ended in order');

        /* kept where something was wrong */
        if (!keep) {
            fs.rmSync(this.prefix, { recursive: true });
        }
    }

    #workerCount = 0;

    async #start(config, workers, expect, prefix) {
        const { binary, modules } = built();

        this.port = await freePort();
        const number = ++Nginx.#count;

        this.prefix = prefix ?? path.join(root, 'build', 'e2e-run',
                                          `${process.pid}-${number}`);
        this.#expect = expect;
        this.#errorLog = path.join(this.prefix, 'logs', `error-${number}.log`);

        for (const dir of ['logs', 'modules']) {
            fs.mkdirSync(path.join(this.prefix, dir), { recursive: true });
        }

        if (prefix === undefined) {
            for (const module of modules) {
                fs.symlinkSync(module, path.join(this.prefix, 'modules',
                                                 path.basename(module)));
            }

            fs.symlinkSync(path.join(root, 'web'),
                           path.join(this.prefix, 'html'));
        }

        const text = adapt(config, this.port, workers);

        this.#workerCount = Number(/worker_processes\s+(\d+)/.exec(text)?.[1]
                                   ?? 1);
        fs.writeFileSync(path.join(this.prefix, `${number}.conf`), text);

        const log = fs.openSync(this.#errorLog, 'a');

        this.#process = spawn(binary, ['-p', this.prefix + '/', '-e', 'stderr',
                                       '-c', `${number}.conf`, '-g', globals()],
                              { stdio: ['ignore', log, log] });
        fs.closeSync(log);

        this.#process.on('exit', (code, signal) => {
            this.#ended = { code, signal };
        });

        this.#process.on('error', (error) => {
            this.#ended = { error };
        });

        Nginx.#running.add(this);

        await until('nginx listens', () => {
            if (this.#ended) {
                return true;
            }

            return answers(this.port);
        });

        if (this.#ended) {
            Nginx.#running.delete(this);
            throw new Error('nginx did not start:\n' + this.log());
        }
    }

    #kill() {
        Nginx.#running.delete(this);

        if (!this.#ended) {
            for (const pid of [...this.workers(), this.pid]) {
                quietly(() => process.kill(pid, 'SIGKILL'));
            }
        }
    }

    /* nothing is left, however the tests end */

    static {
        process.on('exit', () => {
            for (const nginx of [...Nginx.#running]) {
                nginx.#kill();
            }
        });

        for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
            process.on(signal, () => process.exit(1));
        }
    }
}


/* One of the configurations in conf/. */

export function shipped(name) {
    return fs.readFileSync(path.join(root, 'conf', name), 'utf8');
}


/* A port on 127.0.0.1 that nobody has. */

export function freePort() {
    return new Promise((resolve, reject) => {
        const server = net.createServer();

        server.once('error', reject);
        server.listen(0, '127.0.0.1', () => {
            const { port } = server.address();

            server.close(() => resolve(port));
        });
    });
}


/* The pids of a process's children that live. */

export function children(pid) {
    const list = `/proc/${pid}/task/${pid}/children`;

    return fs.readFileSync(list, 'utf8').split(' ').filter(Boolean).map(Number);
}


/* of the server's end of a connection on 127.0.0.1 */

function inode(local, remote) {
    const end = (port) => '0100007F:'
                          + port.toString(16).toUpperCase().padStart(4, '0');

    return fs.readFileSync('/proc/net/tcp', 'utf8').split('\n')
        .map((line) => line.trim().split(/\s+/))
        .find((f) => f[1] === end(local) && f[2] === end(remote))?.[9];
}


/* what the descriptors of a process stand for */

function fds(pid) {
    const dir = `/proc/${pid}/fd`;

    return fs.readdirSync(dir).map((fd) => {
        try {
            return fs.readlinkSync(`${dir}/${fd}`);

        } catch {
            return '';          /* closed by now */
        }
    });
}


function adapt(config, port, workers) {
    let text = config.replaceAll('PORT', port);

    text = text.replace(/\blisten\s+(?:[^\s;:]*:)?8080\b/g,
                        `listen 127.0.0.1:${port}`);

    if (workers !== undefined) {
        text = text.replace(/worker_processes\s+\d+/,
                            `worker_processes ${workers}`);
    }

    return text;
}


/* Workers of a master that runs as root are those of the clone's owner, who
 * can read it. */

function globals() {
    if (process.getuid() !== 0) {
        return 'daemon off;';
    }

    const name = (format) => execFileSync('stat', ['-c', format, root],
                                          { encoding: 'utf8' }).trim();

    return `daemon off; user ${name('%U')} ${name('%G')};`;
}


function built() {
    const { TEST_NGINX_BINARY: binary, TEST_NGINX_LOAD_MODULES: modules }
        = process.env;

    if (binary && modules) {
        return { binary, modules: modules.split(/\s+/).filter(Boolean) };
    }

    const dir = execFileSync(path.join(root, 'auto', 'nginx'),
                             { encoding: 'utf8',
                               stdio: ['ignore', 'pipe', 'inherit'] }).trim();

    return { binary: path.join(dir, 'nginx'),
             modules: [path.join(dir, 'ngx_http_chathub_module.so')] };
}


function answers(port) {
    return new Promise((resolve) => {
        const socket = net.connect(port, '127.0.0.1');

        socket.once('connect', () => {
            socket.destroy();
            resolve(true);
        });

        socket.once('error', () => resolve(false));
    });
}


function quietly(action) {
    try {
        action();

    } catch {
        /* it is gone */
    }
}
