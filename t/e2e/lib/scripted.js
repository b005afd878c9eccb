/*
 * Copyright (C) ChatHub contributors
 */

import { WebSocketServer } from 'ws';

import { until } from './until.js';


/*
 * A server that says what a test tells it to, for what a real one does only
 * seldom:
 *
 *     const server = await Scripted.start();
 *     const peer = await server.accept();       the next client's connection
 *
 *     const frame = await peer.next('join');    its next event of that name
 *     peer.ack(frame, { room: 'lobby' });
 *     peer.refuse(frame, { code: 'busy', message: 'later' });
 *     peer.push('bye', { reason: 'reload' });
 *     peer.text('no JSON');
 *     peer.close(1013);
 *
 *     await server.stop();
 */

export class Scripted {
    #server;
    #peers = [];

    static start() {
        const scripted = new Scripted();

        return new Promise((resolve, reject) => {
            scripted.#server = new WebSocketServer({ host: '127.0.0.1',
                                                     port: 0 });
            scripted.#server.on('error', reject);
            scripted.#server.on('listening', () => resolve(scripted));
            scripted.#server.on('connection', (socket, request) => {
                scripted.#peers.push(new Peer(socket, request));
            });
        });
    }

    get url() {
        return `ws://127.0.0.1:${this.#server.address().port}/ws`;
    }

    async accept() {
        await until('a client connects', () => this.#peers.length);

        return this.#peers.shift();
    }

    stop() {
        for (const client of this.#server.clients) {
            client.terminate();
        }

        return new Promise((resolve) => this.#server.close(resolve));
    }
}


class Peer {
    frames = [];                /* not yet asked for */
    #socket;

    constructor(socket, request) {
        this.#socket = socket;
        this.user = new URL(request.url, 'ws://host').searchParams.get('user');

        socket.on('message', (text) => {
            this.frames.push(JSON.parse(text));
        });
    }

    get closed() {
        return this.#socket.readyState === this.#socket.CLOSED;
    }

    async next(event) {
        const find = () => this.frames.findIndex((f) => f.event === event);

        await until(`"${event}" comes`, () => find() !== -1);

        return this.frames.splice(find(), 1)[0];
    }

    /* answers the broadcasts' join that each connection begins with */

    async greet(answer = {}) {
        const frame = await this.next('join');

        this.ack(frame, { broadcast: 1, epoch: 'e', seq: 0, resync: false,
                          ...answer });

        return frame;
    }

    ack(frame, data) {
        this.#say({ event: 'ack', ref: frame.ref, data });
    }

    refuse(frame, data) {
        this.#say({ event: 'error', ref: frame.ref, data });
    }

    push(event, data) {
        this.#say({ event, data });
    }

    text(text) {
        this.#socket.send(text);
    }

    close(code) {
        this.#socket.close(code);
    }

    cut() {
        this.#socket.terminate();
    }

    #say(frame) {
        this.#socket.send(JSON.stringify(frame));
    }
}
