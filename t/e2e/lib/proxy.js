/*
 * Copyright (C) ChatHub contributors
 */

import net from 'node:net';


/* connections tried to get one that is right */
const TRIES = 500;


/*
 * A TCP proxy on a free port of 127.0.0.1, to cut connections that neither of
 * their ends wants to lose:
 *
 *     const proxy = await Proxy.start(port, right);
 *
 *     right               optional: a function that says, given the proxy's
 *                         own port of a connection to the server, or promises
 *                         to say, whether that may be used; others are tried
 *                         till then
 *     proxy.port
 *     proxy.target        the server's port; others from the next connection on
 *     proxy.cut();        all connections break, new ones are accepted
 *     proxy.down();       they break, and new ones too
 *     proxy.up();         new ones pass again
 *     proxy.mute();       what the server says is dropped from now on, what
 *                         the clients say still gets there, until cut()
 *     await proxy.stop();
 */

export class Proxy {
    target;
    #server;
    #right;
    #pairs = new Set();
    #waiting = new Set();
    #down = false;
    #muted = false;

    constructor(target, right) {
        this.target = target;
        this.#right = right ?? (() => true);
        this.#server = net.createServer((client) => this.#accept(client));
    }

    static start(target, right) {
        const proxy = new Proxy(target, right);

        return new Promise((resolve, reject) => {
            proxy.#server.once('error', reject);
            proxy.#server.listen(0, '127.0.0.1', () => resolve(proxy));
        });
    }

    get port() {
        return this.#server.address().port;
    }

    get connections() {
        return this.#pairs.size;
    }

    cut() {
        this.#muted = false;

        for (const { client, server } of this.#pairs) {
            client.resetAndDestroy();
            server.resetAndDestroy();
        }

        for (const client of this.#waiting) {
            client.resetAndDestroy();
        }
    }

    down() {
        this.#down = true;
        this.cut();
    }

    up() {
        this.#down = false;
    }

    mute() {
        this.#muted = true;
    }

    stop() {
        this.down();

        return new Promise((resolve) => this.#server.close(resolve));
    }

    async #accept(client) {
        client.on('error', () => {});

        if (this.#down) {
            client.resetAndDestroy();
            return;
        }

        this.#waiting.add(client);
        await said(client);

        const server = client.destroyed ? null : await this.#connect();

        this.#waiting.delete(client);

        if (server === null || client.destroyed) {
            client.destroy();
            server?.destroy();
            return;
        }

        this.#join(client, server);
    }

    /* to the server; null: there is none, or none that is right */

    async #connect() {
        const wrong = [];
        let server = null;

        while (server === null && wrong.length < TRIES) {
            const socket = await open(this.target);

            if (socket === null) {
                break;
            }

            /* it may be gone before anybody can say */
            const right = await Promise.resolve(socket.localPort)
                .then(this.#right).catch(() => false);

            if (right) {
                server = socket;
            } else {
                wrong.push(socket);
            }
        }

        wrong.forEach((socket) => socket.destroy());

        return server;
    }

    #join(client, server) {
        const pair = { client, server };

        const end = () => {
            this.#pairs.delete(pair);
            client.destroy();
            server.destroy();
        };

        this.#pairs.add(pair);

        client.on('close', end);
        server.on('error', end).on('close', end);

        client.pipe(server);

        server.on('data', (data) => {
            if (!this.#muted && !client.write(data)) {
                server.pause();
                client.once('drain', () => server.resume());
            }
        });
    }
}


/*
 * Waits until there is something to pass on: browsers open connections in
 * advance, and for those NGINX, asked to end, waits a minute.
 */

function said(socket) {
    return new Promise((resolve) => {
        socket.once('readable', resolve);
        socket.once('close', resolve);
    });
}


function open(port) {
    return new Promise((resolve) => {
        const socket = net.connect(port, '127.0.0.1');

        socket.once('connect', () => resolve(socket));
        socket.once('error', () => resolve(null));
    });
}
