/*
 * Copyright (C) ChatHub contributors
 */

import net from 'node:net';


/*
 * A TCP proxy on a free port of 127.0.0.1, to cut connections that neither of
 * their ends wants to lose:
 *
 *     const proxy = await Proxy.start(port);
 *
 *     proxy.port
 *     proxy.cut();        all connections break, new ones are accepted
 *     proxy.down();       they break, and new ones too
 *     proxy.up();         new ones pass again
 *     proxy.mute();       what the server says is dropped from now on, what
 *                         the clients say still gets there, until cut()
 *     await proxy.stop();
 */

export class Proxy {
    #server;
    #target;
    #pairs = new Set();
    #down = false;
    #muted = false;

    constructor(target) {
        this.#target = target;
        this.#server = net.createServer((client) => this.#accept(client));
    }

    static start(target) {
        const proxy = new Proxy(target);

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

    #accept(client) {
        if (this.#down) {
            client.on('error', () => {});
            client.resetAndDestroy();
            return;
        }

        const server = net.connect(this.#target, '127.0.0.1');
        const pair = { client, server };

        this.#pairs.add(pair);

        const end = () => {
            this.#pairs.delete(pair);
            client.destroy();
            server.destroy();
        };

        client.on('error', end).on('close', end);
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
