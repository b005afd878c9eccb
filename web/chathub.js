/*
 * Copyright (C) ChatHub contributors
 */

/*
 * A client of ChatHub's native WebSocket protocol, for browsers and for Node.
 * It needs nothing else:
 *
 *     import { ChatHub } from './chathub.js';
 *
 *     const hub = new ChatHub('wss://example.com/ws', { user: 'ann' });
 *
 *     hub.addEventListener('message', (event) => show(event.detail));
 *     hub.connect();
 *
 *     await hub.join('lobby');
 *     await hub.send('lobby', 'hello');
 *
 * In Node pass an implementation: { WebSocket: (await import('ws')).default }.
 *
 *
 * It connects again by itself, after pauses that grow, each time joins the
 * rooms again and gets what was missed meanwhile.  A message is kept until
 * the server has answered, and sent again under the same id after the
 * connection was lost, so that it takes effect once.
 *
 *
 * new ChatHub(url, options)
 *
 *   user        the name, where the server takes guests; by default one is
 *               made, since a message can be sent again by its sender only
 *   WebSocket   the implementation; default: the browser's
 *   timeout     ms to wait for an answer, or for a connection; default 15000
 *   heartbeat   ms of silence before the server is asked; default 25000
 *   backoff     ms, the first pause before connecting again; it doubles each
 *               time, and is made up to one half shorter at random.  Default
 *               500
 *   maxBackoff  ms, the longest pause; default 30000
 *   expire      ms after which a message without an answer is given up, from
 *               when it was first sent.  It must be less than the server's
 *               dedupe_window (5 minutes); default 240000
 *   queue       the most messages that are kept; default 1000
 *   queueSize   the most characters in them; default 8388608
 *
 *
 * Methods.  Promises are fulfilled with the server's answer, and rejected, once
 * and with a ChatHubError, if it is refused.  Its "code" is the server's or one
 * of "timeout", "disconnected", "closed", "queue_full".
 *
 *   connect()                      begins
 *   close()                        ends; what waits is rejected with "closed"
 *   reconnect()                    does not wait until the pause is over
 *
 *   join(room, { epoch, seq })     to be a member until leave(), over all
 *                                  connections; fulfilled with the first
 *                                  answer.  Without a position: from now on;
 *                                  { seq: 0 }: from the oldest that is kept.
 *                                  Refused for good, it is forgotten
 *   leave(room)
 *   follow(user, { epoch, seq })   the same for the direct messages of a user,
 *                                  which arrive anyway: resumes them also if
 *                                  none came or went yet
 *
 *   send(room, data, { type, id })          to the members of a room
 *   direct(user, data, { type, id, room })  to one user
 *   broadcast(data, { type, id })           to everybody
 *                                  wait for a connection, in order; a message
 *                                  that the server refused for the moment is
 *                                  sent again and may then come behind others
 *   typing(room, typing)           dropped while there is no connection
 *
 *   rooms({ prefix, limit, after })         {rooms, more}
 *   users(room, { limit, after })           {users, count, more}
 *   ping()                                  {time}
 *
 *   state                          "idle", "connecting", "resuming",
 *                                  "connected", "waiting" or "closed"
 *   user                           the own name, as far as it is known
 *   other(message)                 of a direct message: who else is in it
 *   pending                        how many messages wait for an answer
 *
 *
 * Events.  "detail" has:
 *
 *   state       {state, reason?, retryIn?}  "retryIn" in ms, while "waiting"
 *   message     a message: each once, those of a room, of a pair of users, and
 *               the broadcasts each in the server's order
 *   joined      the answer to a join: at first, and after each reconnect
 *   left        {room, error}: the server does not take us back
 *   gap         {room} or {user} or {broadcast: 1}: what was missed cannot be
 *               had any more, and is missing before the next message
 *   rooms       {added?, removed?}
 *   roomusers   {room, joined?, left?, count}
 *   typing      {room, user, typing}
 *   log         a text
 *   bye         {reason, reconnect_in_ms?}
 *   error       an error that no call waits for
 */


const TRANSIENT = new Set(['busy', 'unavailable', 'not_stored',
                           'rate_limited']);

/* messages sent and not yet answered */
const WINDOW = 32;

/* of how many direct conversations the place is remembered */
const MAX_PAIRS = 1000;

/* of how many messages the id is remembered */
const MAX_SEEN = 10000;

/* messages that may wait for those before them */
const MAX_HELD = 10000;

/* ms without more of a replay: what is missing of it does not exist */
const REPLAY_QUIET = 1000;

/* ms of a connection after which it counts as a good one */
const STABLE = 5000;

/* ms, the longest pause that a server may ask for */
const MAX_PAUSE = 300000;


export class ChatHubError extends Error {
    constructor(code, message, details = {}) {
        super(message);

        this.name = 'ChatHubError';
        this.code = code;
        this.room = details.room;
        this.id = details.id;
        this.retryAfter = details.retry_after_ms;
    }
}


class ChatHubEvent extends Event {
    constructor(type, detail) {
        super(type);
        this.detail = detail;
    }
}


/* A set that forgets the oldest. */

class Recent {
    #limit;
    #items = new Set();

    constructor(limit) {
        this.#limit = limit;
    }

    has(item) {
        return this.#items.has(item);
    }

    add(item) {
        this.#items.add(item);

        if (this.#items.size > this.#limit) {
            this.#items.delete(this.#items.values().next().value);
        }
    }
}


/*
 * What has an order of its own: a room, the messages of a pair, the
 * broadcasts.  "epoch" and "seq" are the place up to which everything was
 * delivered; seq is undefined while it is not known.
 */

class Stream {
    epoch;
    seq;
    joined = false;             /* on this connection */
    waiters = [];               /* of join() */
    attempts = 0;
    retry = null;               /* timer */

    /* A pair's messages and broadcasts come without a join: live ones may
     * overtake those that were missed and wait here for them. */
    catching = false;
    held = new Map();           /* id: message */
    until = null;               /* the answer: where the replay ends */
    quiet = null;               /* timer */

    constructor(target, position = {}) {
        this.target = target;
        this.epoch = position.epoch;
        this.seq = position.seq;
    }

    get request() {
        return { ...this.target, epoch: this.epoch, seq: this.seq };
    }

    get isRoom() {
        return this.target.room !== undefined;
    }

    has(message) {
        return message.epoch === this.epoch && message.seq <= this.seq;
    }

    precedes(message) {
        return message.epoch === this.epoch && message.seq === this.seq + 1;
    }

    /* the replay has come to its end */
    get complete() {
        return this.epoch === this.until.epoch && this.seq >= this.until.seq;
    }

    moveTo({ epoch, seq }) {
        this.epoch = epoch;
        this.seq = seq;
    }

    settle(answer, error) {
        for (const waiter of this.waiters.splice(0)) {
            if (error) {
                waiter.reject(error);
            } else {
                waiter.resolve(answer);
            }
        }
    }

    /* the connection is gone */
    reset() {
        this.joined = false;
        this.catching = false;
        this.attempts = 0;
        this.until = null;
        this.held.clear();
        clearTimeout(this.quiet);
        clearTimeout(this.retry);
        this.retry = null;
    }
}


export class ChatHub extends EventTarget {
    #url;
    #user;
    #options;
    #WebSocket;

    #state = 'idle';
    #socket = null;
    #ref = 0;
    #requests = new Map();      /* ref: {resolve, reject, timer} */
    #streams = new Map();
    #outbox = [];               /* in order, until answered */
    #outboxSize = 0;
    #seen = new Recent(MAX_SEEN);
    #own = new Recent(MAX_SEEN);
    #heard = false;
    #failures = 0;
    #openedAt = 0;
    #bye = null;                /* when to connect again, if said */
    #timers = {};

    constructor(url, options = {}) {
        super();

        this.#options = {
            timeout: 15000,
            heartbeat: 25000,
            backoff: 500,
            maxBackoff: 30000,
            expire: 240000,
            queue: 1000,
            queueSize: 8388608,
            ...options,
        };

        this.#WebSocket = options.WebSocket ?? globalThis.WebSocket;

        if (this.#WebSocket === undefined) {
            throw new TypeError('there is no WebSocket: pass one as an option');
        }

        this.#user = options.user || 'guest-' + token(8);
        this.#url = new URL(url);
        this.#url.searchParams.set('user', this.#user);

        this.#streams.set('b', new Stream({ broadcast: 1 }));
    }

    get state() {
        return this.#state;
    }

    get user() {
        return this.#user;
    }

    get pending() {
        return this.#outbox.length;
    }

    connect() {
        if (this.#state === 'idle') {
            this.#open();
        }
    }

    reconnect() {
        if (this.#state === 'waiting') {
            this.#open();
        }
    }

    close(reason = 'closed by the client') {
        if (this.#state === 'closed') {
            return;
        }

        const error = new ChatHubError('closed', reason);

        this.#disconnect();
        clearTimeout(this.#timers.reconnect);

        for (const entry of [...this.#outbox]) {
            this.#finish(entry, null, error);
        }

        for (const stream of this.#streams.values()) {
            stream.settle(null, error);
        }

        this.#enter('closed', { reason });
    }

    join(room, position = {}) {
        return this.#follow('r:' + room, { room }, position);
    }

    follow(user, position = {}) {
        return this.#follow('p:' + user, { user }, position);
    }

    leave(room) {
        const stream = this.#streams.get('r:' + room);

        if (stream) {
            this.#forget('r:' + room, stream,
                         new ChatHubError('not_joined', 'the room was left'));
        }

        if (!this.#ready) {
            return Promise.resolve({ room });
        }

        /* perhaps it was only about to be joined */

        return this.#request('leave', { room }).catch((error) => {
            if (error.code === 'not_joined' && stream) {
                return { room };
            }

            throw error;
        });
    }

    send(room, data, { type, id } = {}) {
        return this.#publish({ id, room, data, type });
    }

    direct(user, data, { type, id, room } = {}) {
        if (!this.#streams.has('p:' + user)) {
            /* so that it can be resumed from before the message */
            this.follow(user).catch(() => {});
        }

        return this.#publish({ id, room, data, type, unicast: true,
                               toUser: user });
    }

    broadcast(data, { type, id } = {}) {
        return this.#publish({ id, data, type, broadcast: 1 });
    }

    typing(room, typing) {
        if (!this.#streams.get('r:' + room)?.joined) {
            return Promise.resolve({});
        }

        return this.#request('typing', { room, typing });
    }

    rooms({ prefix, limit, after } = {}) {
        return this.#request('rooms', { prefix, limit, after });
    }

    users(room, { limit, after } = {}) {
        return this.#request('users', { room, limit, after });
    }

    ping() {
        return this.#request('ping', {});
    }

    other(message) {
        return message.user === this.#user ? message.toUser : message.user;
    }

    get #ready() {
        return this.#state === 'resuming' || this.#state === 'connected';
    }

    #emit(type, detail) {
        this.dispatchEvent(new ChatHubEvent(type, detail));
    }

    #enter(state, detail = {}) {
        this.#state = state;
        this.#emit('state', { state, ...detail });
    }


    /* connections */

    #open() {
        clearTimeout(this.#timers.reconnect);

        const socket = new this.#WebSocket(this.#url.href, 'chathub.v1');

        this.#socket = socket;
        this.#bye = null;
        this.#ref = 0;
        this.#openedAt = 0;

        /* a socket that was given up says nothing any more */
        const mine = (handler) => (event) => {
            if (this.#socket === socket) {
                handler(event);
            }
        };

        socket.onopen = mine(() => this.#opened());
        socket.onmessage = mine((event) => this.#receive(event.data));
        socket.onclose = mine((event) => this.#closed(event));

        /* "close" follows; in Node somebody has to listen */
        socket.onerror = () => {};

        this.#timers.open = setTimeout(() => {
            this.#lost('the server does not answer');
        }, this.#options.timeout);

        this.#enter('connecting');
    }

    #opened() {
        clearTimeout(this.#timers.open);

        this.#openedAt = Date.now();
        this.#heard = true;
        this.#timers.heartbeat = setInterval(() => this.#beat(),
                                             this.#options.heartbeat);

        this.#enter('resuming');

        const socket = this.#socket;
        const joins = [...this.#streams].map(([key, stream]) =>
            this.#join(key, stream));

        this.#pump();

        Promise.all(joins).then(() => {
            if (this.#socket === socket && this.#state === 'resuming') {
                this.#enter('connected');
            }
        });
    }

    #closed(event) {
        if (event.code === 1009) {
            this.#refuseLargest();
        }

        const code = event.code === 1006 ? '' : ` (${event.code})`;

        this.#lost((event.reason || 'the connection was lost') + code);
    }

    /* The server closes at what is larger than it takes, and would do so
     * for ever. */

    #refuseLargest() {
        const sent = this.#outbox.filter((entry) => entry.ref !== null);

        sent.sort((a, b) => b.size - a.size);

        if (sent.length) {
            this.#finish(sent[0], null,
                         new ChatHubError('too_large',
                                          'the server does not take messages'
                                          + ' as large as this'));
        }
    }

    /* the one place where a connection ends */

    #disconnect() {
        const socket = this.#socket;

        if (socket === null) {
            return;
        }

        this.#socket = null;
        socket.close();

        clearTimeout(this.#timers.open);
        clearInterval(this.#timers.heartbeat);
        clearTimeout(this.#timers.bye);
        clearTimeout(this.#timers.pump);
        this.#timers.pump = null;

        for (const stream of this.#streams.values()) {
            stream.reset();
        }

        const requests = [...this.#requests.values()];

        this.#requests.clear();

        for (const request of requests) {
            clearTimeout(request.timer);
            request.reject(new ChatHubError('disconnected',
                                            'the connection was lost'));
        }
    }

    #lost(reason) {
        const stable = this.#openedAt
                       && Date.now() - this.#openedAt >= STABLE;

        this.#disconnect();

        if (stable) {
            this.#failures = 0;
        }

        let pause = Math.min(this.#options.maxBackoff,
                             this.#options.backoff * 2 ** this.#failures);

        pause *= 1 - Math.random() / 2;
        this.#failures = Math.min(this.#failures + 1, 30);

        if (this.#bye !== null) {
            pause = Math.max(0, this.#bye - Date.now());
            this.#failures = 0;
        }

        clearTimeout(this.#timers.reconnect);
        this.#timers.reconnect = setTimeout(() => this.#open(), pause);
        this.#enter('waiting', { reason, retryIn: Math.round(pause) });
    }

    #goodbye(bye) {
        this.#emit('bye', bye);

        if (!Number.isFinite(bye.reconnect_in_ms)) {
            if (bye.reason === 'kick') {
                this.close('kick');
            }

            return;
        }

        const pause = Math.min(Math.max(0, bye.reconnect_in_ms), MAX_PAUSE);

        /* until then the connection is good */
        this.#bye = Date.now() + pause;
        clearTimeout(this.#timers.bye);
        this.#timers.bye = setTimeout(() => this.#lost(bye.reason), pause);
    }

    #beat() {
        if (this.#heard) {
            this.#heard = false;
            return;
        }

        /* an answer that does not come ends the connection */
        this.#request('ping', {}).catch(() => {});
    }


    /* requests and their answers */

    #request(event, data) {
        return new Promise((resolve, reject) => {
            if (!this.#ready) {
                reject(new ChatHubError('disconnected',
                                        'there is no connection'));
                return;
            }

            this.#transmit(event, data, { resolve, reject });
        });
    }

    #transmit(event, data, request) {
        const ref = this.#ref++;
        const socket = this.#socket;

        request.timer = setTimeout(() => {
            this.#requests.delete(ref);
            request.reject(new ChatHubError('timeout', 'no answer came'));

            if (this.#socket === socket) {
                this.#lost('the server does not answer');
            }
        }, this.#options.timeout);

        this.#requests.set(ref, request);

        /* undefined members are left out */
        socket.send(JSON.stringify({ event, data, ref }));

        return ref;
    }

    #answer(ref, data, error) {
        const request = this.#requests.get(ref);

        if (request === undefined) {
            return;
        }

        this.#requests.delete(ref);
        clearTimeout(request.timer);

        if (error) {
            request.reject(error);
        } else {
            request.resolve(data);
        }
    }

    #receive(text) {
        let frame;

        this.#heard = true;

        try {
            frame = JSON.parse(text);

        } catch {
            frame = null;
        }

        if (typeof frame?.event !== 'string' || frame.data == null) {
            this.#emit('error', new ChatHubError('internal',
                                                 'not an event: ' + text));
            return;
        }

        this.#dispatch(frame.event, frame.data, frame.ref);
    }

    #dispatch(event, data, ref) {
        let error;

        switch (event) {

        case 'ack':
            this.#answer(ref, data);
            break;

        case 'error':
            error = new ChatHubError(data.code, data.message, data);

            if (ref === undefined) {
                this.#emit('error', error);
            } else {
                this.#answer(ref, null, error);
            }

            break;

        case 'message':
            this.#incoming(data);
            break;

        case 'resync':
            this.#emit('gap', data);
            break;

        case 'bye':
            this.#goodbye(data);
            break;

        case 'room':
            this.#emit('rooms', data);
            break;

        case 'roomusers':
        case 'typing':
        case 'log':
            this.#emit(event, data);
            break;
        }
    }


    /* rooms, pairs and broadcasts: where they are, and going on from there */

    #follow(key, target, position) {
        if (this.#state === 'closed') {
            return Promise.reject(new ChatHubError('closed', 'it is closed'));
        }

        let stream = this.#streams.get(key);

        if (stream === undefined) {
            stream = new Stream(target, position);
            this.#add(key, stream);
        } else if (stream.seq === undefined) {
            stream.moveTo(position);
        }

        return new Promise((resolve, reject) => {
            stream.waiters.push({ resolve, reject });

            if (this.#ready && stream.retry === null) {
                this.#join(key, stream);
            }
        });
    }

    #add(key, stream) {
        this.#streams.set(key, stream);

        if (stream.isRoom) {
            return;
        }

        /* the pair that was silent for the longest time is forgotten */

        const pairs = [...this.#streams.keys()].filter((k) => k[0] === 'p');

        if (pairs.length > MAX_PAIRS) {
            this.#forget(pairs[0], this.#streams.get(pairs[0]),
                         new ChatHubError('busy', 'too many to follow'));
        }
    }

    #forget(key, stream, error) {
        this.#streams.delete(key);
        clearTimeout(stream.retry);
        clearTimeout(stream.quiet);
        stream.settle(null, error);
    }

    /* never rejected: it is about the first attempt being over */

    #join(key, stream) {
        const data = stream.request;
        const socket = this.#socket;

        if (stream.isRoom) {
            data.user = this.#user;
        } else if (stream.seq !== undefined) {
            stream.catching = true;
        }

        const current = () => this.#socket === socket
                              && this.#streams.get(key) === stream;

        return this.#request('join', data).then((answer) => {
            if (current()) {
                this.#joined(stream, answer);
            }

        }, (error) => {
            if (current()) {
                this.#notJoined(key, stream, error);
            }
        });
    }

    #joined(stream, answer) {
        stream.joined = true;
        stream.attempts = 0;

        if (stream.isRoom) {
            this.#emit('joined', answer);
        }

        if (answer.resync) {
            this.#emit('gap', { ...stream.target });
        }

        if (answer.resync || stream.seq === undefined) {
            stream.moveTo(answer);
        } else {
            stream.epoch ??= answer.epoch;
        }

        if (stream.catching) {
            stream.until = answer;
            this.#release(stream);
        }

        stream.settle(answer);
        this.#pump();
    }

    #notJoined(key, stream, error) {
        if (TRANSIENT.has(error.code)) {
            stream.retry = setTimeout(() => {
                stream.retry = null;
                this.#join(key, stream);
            }, pauseAfter(error, stream.attempts++));

            return;
        }

        if (stream.isRoom) {
            this.#forget(key, stream, error);
            this.#emit('left', { room: stream.target.room, error });
        } else {
            /* its messages come all the same */
            stream.joined = true;
            this.#release(stream, true);
            stream.settle(null, error);
        }

        this.#pump();
    }

    #incoming(message) {
        if (this.#own.has(message.id)) {
            this.#user = message.user;
        }

        if (!Number.isSafeInteger(message.seq)) {
            /* of an older server: it has no place */
            this.#deliver(message);
            return;
        }

        const stream = this.#streamOf(message);

        if (stream === undefined || stream.has(message)) {
            return;
        }

        if (stream.catching && stream.held.size < MAX_HELD) {
            stream.held.set(message.id, message);
            this.#release(stream);
            return;
        }

        stream.moveTo(message);
        this.#deliver(message);
    }

    #streamOf(message) {
        if (!message.unicast) {
            return this.#streams.get(keyOf(message));
        }

        const user = this.other(message);
        const key = 'p:' + user;
        let stream = this.#streams.get(key);

        if (stream === undefined) {
            /* from here on its place is known */
            stream = new Stream({ user });
            stream.joined = true;
        }

        /* as the newest */
        this.#streams.delete(key);
        this.#add(key, stream);

        return stream;
    }

    /* Delivers what has everything before it, and when the replay is over all
     * that is held. */

    #release(stream, over = false) {
        clearTimeout(stream.quiet);

        if (stream.until === null && !over) {
            return;
        }

        const held = [...stream.held.values()].sort((a, b) => a.seq - b.seq);

        for (const message of held) {
            if (!over && !stream.complete && !stream.precedes(message)) {
                break;
            }

            stream.held.delete(message.id);

            if (!stream.has(message)) {
                stream.moveTo(message);
            }

            this.#deliver(message);
        }

        if (over || stream.complete) {
            stream.catching = false;
            return;
        }

        /* numbers that no message has, or another epoch */
        stream.quiet = setTimeout(() => this.#release(stream, true),
                                  REPLAY_QUIET);
    }

    #deliver(message) {
        if (!this.#seen.has(message.id)) {
            this.#seen.add(message.id);
            this.#emit('message', message);
        }
    }


    /* messages on their way */

    #publish(message) {
        message.id ??= uuidv7();

        return new Promise((resolve, reject) => {
            const size = String(message.data).length;

            if (this.#state === 'closed') {
                reject(new ChatHubError('closed', 'it is closed'));
                return;
            }

            if (this.#outbox.length >= this.#options.queue
                || this.#outboxSize + size > this.#options.queueSize)
            {
                reject(new ChatHubError('queue_full', 'too many messages wait'
                                        + ' for an answer'));
                return;
            }

            this.#own.add(message.id);
            this.#outbox.push({ message, size, resolve, reject, ref: null,
                                attempts: 0, expire: null });
            this.#outboxSize += size;
            this.#pump();
        });
    }

    /* Sends what may be sent: not what belongs to something whose place is not
     * known yet, or not joined again. */

    #pump() {
        if (!this.#ready || this.#timers.pump) {
            return;
        }

        let sent = this.#outbox.filter((entry) => entry.ref !== null).length;

        for (const entry of this.#outbox) {
            if (sent >= WINDOW) {
                break;
            }

            if (entry.ref === null && this.#mayGo(entry.message)) {
                this.#post(entry);
                sent++;
            }
        }
    }

    #mayGo(message) {
        const stream = this.#streams.get(keyOf(message));

        /* without one the server says what is wrong */
        return stream === undefined || stream.joined;
    }

    #post(entry) {
        entry.expire ??= setTimeout(() => {
            this.#finish(entry, null,
                         new ChatHubError('timeout', 'it is not known whether'
                                          + ' the message arrived',
                                          entry.message));
        }, this.#options.expire);

        entry.ref = this.#transmit('message', entry.message, {
            resolve: (answer) => {
                this.#finish(entry, answer);
                this.#pump();
            },
            reject: (error) => this.#rejected(entry, error),
        });
    }

    #rejected(entry, error) {
        entry.ref = null;

        if (error.code === 'disconnected' || error.code === 'timeout') {
            return;
        }

        if (TRANSIENT.has(error.code)) {
            const pause = pauseAfter(error, entry.attempts++);

            clearTimeout(this.#timers.pump);
            this.#timers.pump = setTimeout(() => {
                this.#timers.pump = null;
                this.#pump();
            }, pause);

            return;
        }

        this.#finish(entry, null, error);
        this.#pump();
    }

    #finish(entry, answer, error) {
        const index = this.#outbox.indexOf(entry);

        if (index === -1) {
            return;
        }

        this.#outbox.splice(index, 1);
        this.#outboxSize -= entry.size;
        clearTimeout(entry.expire);

        if (error) {
            entry.reject(error);
        } else {
            entry.resolve(answer);
        }
    }
}


/* of an own message: the stream that it goes to */

function keyOf({ broadcast, unicast, toUser, room }) {
    return broadcast ? 'b' : unicast ? 'p:' + toUser : 'r:' + room;
}


/* ms before something that was refused for the moment is tried again */

function pauseAfter(error, attempts) {
    const pause = Math.min(250 * 2 ** attempts, 5000);

    return Math.min(Math.max(error.retryAfter ?? 0, pause), MAX_PAUSE);
}


function randomBytes(n) {
    const bytes = new Uint8Array(n);

    if (globalThis.crypto?.getRandomValues) {
        return globalThis.crypto.getRandomValues(bytes);
    }

    /* Node before 19; names only, no secrets */
    return bytes.map(() => Math.random() * 256);
}


function token(length) {
    const letters = 'abcdefghijklmnopqrstuvwxyz234567';

    return Array.from(randomBytes(length), (b) => letters[b % 32]).join('');
}


let lastTime = 0;
let counter = 0;

/*
 * A new id for a message (RFC 9562, 5.7): ids made here are in order of time,
 * by a counter within a millisecond (6.2, method 1).  The server spends least
 * on repeats of such ids.
 */

export function uuidv7() {
    const bytes = randomBytes(16);
    const now = Date.now();

    if (now > lastTime) {
        lastTime = now;
        counter = (bytes[6] & 0x07) << 8 | bytes[7];
    } else if (++counter > 0xfff) {
        lastTime++;
        counter = 0;
    }

    for (let i = 0; i < 6; i++) {
        bytes[i] = Math.floor(lastTime / 2 ** (8 * (5 - i))) % 256;
    }

    bytes[6] = 0x70 | counter >> 8;
    bytes[7] = counter & 0xff;
    bytes[8] = 0x80 | bytes[8] & 0x3f;

    const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, '0'));

    return [hex.slice(0, 4), hex.slice(4, 6), hex.slice(6, 8), hex.slice(8, 10),
            hex.slice(10)].map((part) => part.join('')).join('-');
}
