/*
 * Copyright (C) ChatHub contributors
 */

import assert from 'node:assert/strict';

import WebSocket from 'ws';

import { until } from './until.js';


/*
 * One who chats over the bare protocol, stays in rooms whatever happens to his
 * connection, sends again what was not acknowledged, and keeps what he saw:
 *
 *     const ann = await Member.start(nginx.port, 'ann', ['room']);
 *
 *     await ann.ask('users', { room })     the answer's data; an error throws
 *     ann.say('room', 'text')              until it is acknowledged
 *     ann.seen.get('room')                 messages, in the order they came
 *     ann.acked                            ids
 *     ann.events                           what else came, since the start
 *     ann.faults                           gaps, repeats, resyncs, epochs
 *     ann.closes                           codes of his connections' ends
 *     ann.status                           of a handshake that was refused
 *     ann.stop()
 *
 * Options: "once", not to come back; "path" of the location.
 */

export class Member {
    static #started = 0;

    static async start(port, user, rooms = [], options = {}) {
        const member = new Member(port, user, rooms, options);

        await member.ready();

        return member;
    }

    seen = new Map();
    acked = new Set();
    events = [];
    faults = [];
    closes = [];

    #rooms = new Map();
    #waiting = new Map();
    #unacked = new Map();
    #refs = 0;
    #ids = 0;
    #ready = false;
    #stopped = false;
    #tag = `${process.pid}-${++Member.#started}-${Date.now()}`;

    constructor(port, user, rooms, options) {
        this.port = port;
        this.user = user;
        this.options = options;

        for (const room of rooms) {
            this.#rooms.set(room, {});
            this.seen.set(room, []);
        }

        this.#connect();
    }

    ready() {
        return until(`${this.user} is in his rooms`, () => this.#ready);
    }

    get unacked() {
        return this.#unacked.size;
    }

    /* the client's port of the present connection */

    get localPort() {
        return this.ws._socket.localPort;
    }

    /* the worker that has his connection; he may not know yet that it broke */

    worker(nginx) {
        return until(`the worker of ${this.user} is known`, () =>
            nginx.workerOf(this.localPort, 100));
    }

    ask(event, data) {
        return new Promise((resolve, reject) => {
            const ref = ++this.#refs;

            this.#waiting.set(ref, { resolve, reject });
            this.ws.send(JSON.stringify({ event, data, ref }));
        });
    }

    say(room, data) {
        const id = `${this.#tag}-${++this.#ids}`;

        this.#unacked.set(id, { id, room, data });

        if (this.#ready) {
            this.#send(id);
        }

        return id;
    }

    /* joins one more room, from a place */

    follow(room, place) {
        this.#rooms.set(room, { ...place });
        this.seen.set(room, []);

        return this.ask('join', { room, ...place });
    }

    epoch(room) {
        return this.#rooms.get(room).epoch;
    }

    stop() {
        this.#stopped = true;
        this.ws.terminate();
    }

    #connect() {
        const path = this.options.path ?? '/ws';
        const url = `ws://127.0.0.1:${this.port}${path}?user=${this.user}`;
        const ws = this.ws = new WebSocket(url);

        this.#ready = false;

        ws.on('error', () => { /* "close" follows */ });
        ws.on('unexpected-response', (request, response) => {
            this.status = response.statusCode;
            ws.terminate();
        });
        ws.on('open', () => this.#enter(ws));
        ws.on('message', (text) => this.#heard(JSON.parse(text)));

        ws.on('close', (code) => {
            this.closes.push(code);
            this.#ready = false;

            for (const { reject } of this.#waiting.values()) {
                reject(new Error('the connection was lost'));
            }

            this.#waiting.clear();

            if (!this.#stopped && !this.options.once) {
                setTimeout(() => this.#connect(), 20 + Math.random() * 80);
            }
        });
    }

    async #enter(ws) {
        for (const [room, place] of this.#rooms) {
            try {
                const answer = await this.ask('join', { room, ...place });

                this.#joined(room, answer);

            } catch (error) {
                if (ws.readyState === WebSocket.OPEN) {
                    ws.terminate();     /* unavailable: come again */
                }

                return;
            }
        }

        if (ws.readyState !== WebSocket.OPEN) {
            return;
        }

        this.#ready = true;

        for (const id of this.#unacked.keys()) {
            this.#send(id);
        }
    }

    #joined(room, answer) {
        const place = this.#rooms.get(room);

        if (answer.resync) {
            this.faults.push(`resync of ${room} at ${place.seq}`);
            place.seq = answer.seq;
        }

        if (place.epoch !== undefined && place.epoch !== answer.epoch) {
            this.faults.push(`another epoch of ${room}`);
        }

        place.epoch = answer.epoch;
        place.seq ??= answer.seq;
    }

    #send(id) {
        const message = this.#unacked.get(id);

        this.ask('message', message).then(() => {
            this.#unacked.delete(id);
            this.acked.add(id);

        }, (error) => {
            if (this.#ready && this.#unacked.has(id)) {
                setTimeout(() => this.#ready && this.#send(id),
                           error.retry ?? 50);
            }
        });
    }

    #heard({ event, ref, data }) {
        if (ref !== undefined) {
            const waiting = this.#waiting.get(ref);

            this.#waiting.delete(ref);

            if (event === 'ack') {

                /* before the messages that follow at once */

                if (this.#rooms.has(data.room) && data.users) {
                    this.#joined(data.room, data);
                }

                waiting?.resolve(data);

            } else {
                const error = new Error(`${data.code}: ${data.message}`);

                error.retry = data.retry_after_ms;
                error.code = data.code;
                waiting?.reject(error);
            }

            return;
        }

        if (event === 'message' && this.#rooms.has(data.room)
            && !data.unicast)
        {
            this.#message(data);
            return;
        }

        if (event === 'resync') {
            this.faults.push(`resync ${JSON.stringify(data)}`);
        }

        this.events.push({ event, data });
    }

    #message(message) {
        const place = this.#rooms.get(message.room);

        if (message.seq <= place.seq) {
            this.faults.push(`${message.seq} after ${place.seq}`);
            return;
        }

        if (message.seq !== place.seq + 1) {
            this.faults.push(`a gap: ${place.seq}, ${message.seq}`);
        }

        place.seq = message.seq;
        this.seen.get(message.room).push(message);
    }
}


/*
 * What must be true of members of a room when all is quiet: everything is
 * acknowledged, all saw the same from their first message on, each message
 * that was acknowledged is there once, and nobody missed anything.
 */

export async function agree(room, members) {
    await until('all is acknowledged', () =>
        members.every((m) => m.unacked === 0));

    const last = (m) => m.seen.get(room).at(-1)?.seq ?? 0;

    /* an acknowledgement may come before the message that it is of */

    await until('all have the last message', () => {
        const seqs = new Set(members.map(last));
        const seen = new Set(members.flatMap((m) =>
            m.seen.get(room).map((message) => message.id)));

        return seqs.size === 1
               && members.every((m) => [...m.acked].every((id) =>
                   seen.has(id)));
    });

    const longest = members.map((m) => m.seen.get(room))
        .reduce((a, b) => (b.length > a.length ? b : a));
    const place = new Map(longest.map((m, i) => [m.seq, i]));

    for (const member of members) {
        assert.deepEqual(member.faults, [], `of ${member.user}`);

        const seen = member.seen.get(room);
        const from = seen.length ? place.get(seen[0].seq) : longest.length;

        assert.deepEqual(seen.map((m) => m.id),
                         longest.slice(from).map((m) => m.id));
    }

    const ids = longest.map((m) => m.id);

    assert.equal(new Set(ids).size, ids.length, 'nothing is there twice');

    for (const member of members) {
        for (const id of member.acked) {
            assert.ok(ids.includes(id), `${id} was acknowledged and is there`);
        }
    }
}


/* Speakers who do not stop; "stop()" of what it returns makes them. */

export function chatter(room, members, window = 4) {
    const timer = setInterval(() => {
        for (const member of members) {
            if (member.unacked < window) {
                member.say(room, 'x'.repeat(40));
            }
        }
    }, 2);

    return { stop: () => clearInterval(timer) };
}
