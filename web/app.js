/*
 * Copyright (C) ChatHub contributors
 */

/* The chat page: chathub.js has the connection, view.js the looks. */

import { ChatHub, uuidv7 } from './chathub.js';
import { Conversation } from './conversation.js';
import { $, MessageList, fill, logLine, sideItem } from './view.js';


const STATES = {
    idle: 'Not connected',
    connecting: 'Connecting…',
    resuming: 'Catching up…',
    connected: 'Connected',
    waiting: 'Disconnected',
    closed: 'Closed',
};

const SIGNS = { room: '#', user: '@', everybody: '∗' };

const MAX_CONVERSATIONS = 200;
const MAX_SHOWN = 500;          /* people, and rooms */
const MAX_LOG = 200;
const MAX_NOTED = 30;           /* people in a room whose coming is told */
const MAX_FOLLOWED = 50;

const TYPING_AGAIN = 3000;      /* ms: it is said again while one types */
const TYPING_STOPS = 5000;      /* ms without a key */
const TYPING_SHOWN = 7000;      /* ms */

const NEAR = 60;                /* pixels from the end */


let hub;
let current;
let retryAt = 0;
let wasConnected = false;
let drawing = null;
let typingSaid = null;          /* {room, time, timer} */

const everybody = new Conversation('everybody');
const conversations = new Map([[everybody.key, everybody]]);
const rooms = new Set();
const list = new MessageList($('messages'), (item) => transmit(current, item));


/* what is wrong with a name, or an empty string */

function nameError(name) {
    if (name === '') {
        return 'A name is needed.';
    }

    if (new TextEncoder().encode(name).length > 128) {
        return 'The name is too long.';
    }

    /* eslint-disable-next-line no-control-regex */
    return /[\u0000-\u001f\u007f-\u009f]/.test(name)
           ? 'The name has characters that are not allowed.' : '';
}


function byName(a, b) {
    return a.localeCompare(b);
}


/* conversations */

function conversationOf(message) {
    if (message.broadcast) {
        return everybody;
    }

    if (message.unicast) {
        return open('user', hub.other(message));
    }

    return conversations.get(Conversation.key('room', message.room));
}


function open(kind, name) {
    const key = Conversation.key(kind, name);
    let conversation = conversations.get(key);

    if (conversation === undefined) {
        conversation = new Conversation(kind, name);
        conversations.set(key, conversation);
        dropOldest();
    }

    return conversation;
}


function dropOldest() {
    if (conversations.size <= MAX_CONVERSATIONS) {
        return;
    }

    for (const [key, { kind }] of conversations) {
        if (kind === 'user' && key !== current.key) {
            conversations.delete(key);
            return;
        }
    }
}


function choose(conversation) {
    stopTyping();

    if (current) {
        current.draft = $('text').value;
    }

    current = conversation;
    current.unread = 0;

    $('text').value = current.draft;
    $('chat').classList.remove('menu');
    $('menu').setAttribute('aria-expanded', 'false');

    /* another conversation is no news */
    $('messages').setAttribute('aria-live', 'off');
    drawNow();
    $('messages').removeAttribute('aria-live');

    toEnd();
}


function talkTo(user) {
    const conversation = open('user', user);

    /* what the server has kept of it */
    hub.follow(user, { seq: 0 }).catch(log);

    choose(conversation);
    $('text').focus();
}


function joinRoom(name) {
    const joinedAlready = conversations.get(Conversation.key('room', name));
    const conversation = joinedAlready ?? open('room', name);

    choose(conversation);

    if (joinedAlready) {
        return Promise.resolve();
    }

    return hub.join(name).catch((error) => {
        remove(conversation);
        throw error;
    });
}


function leave(conversation) {
    if (conversation.kind === 'room') {
        hub.leave(conversation.name).catch(log);
    }

    remove(conversation);
}


function remove(conversation) {
    conversations.delete(conversation.key);

    if (current === conversation) {
        choose([...conversations.values()].at(-1));
    }

    draw();
}


/* what the server says */

function listen() {
    const on = (type, handler) => {
        hub.addEventListener(type, (event) => {
            handler(event.detail);
            draw();
        });
    };

    on('state', stateChanged);
    on('message', received);
    on('joined', joined);
    on('roomusers', moved);
    on('typing', typingHeard);
    on('log', log);
    on('error', log);

    on('rooms', ({ added = [], removed = [] }) => {
        added.forEach((name) => rooms.add(name));
        removed.forEach((name) => rooms.delete(name));
    });

    on('gap', (target) => {
        const conversation = target.broadcast ? everybody
                             : target.user !== undefined
                             ? open('user', target.user)
                             : conversations.get(Conversation.key('room',
                                                           target.room));

        conversation?.note({ type: 'gap' });
        log('some messages could not be fetched any more');
    });

    on('left', ({ room, error }) => {
        const key = Conversation.key('room', room);
        const text = 'You are not in this room: ' + error.message;

        conversations.get(key)?.note({ type: 'event', text });
        log(error);
    });

    on('bye', ({ reason, reconnect_in_ms: pause }) => {
        log(`the server says goodbye (${reason})`
            + (pause === undefined ? '' : `, back in ${pause} ms`));
    });
}


function stateChanged({ state, reason, retryIn }) {
    retryAt = state === 'waiting' ? Date.now() + retryIn : 0;

    log(STATES[state].replace('…', '') + (reason ? ': ' + reason : ''));

    if (state === 'connecting') {
        /* all of them are told again */
        rooms.clear();
    }

    if (state === 'connected') {
        if (wasConnected) {
            followPeople();
        }

        wasConnected = true;
    }
}


/* Somebody may have begun a conversation while the connection was away. */

function followPeople() {
    const people = new Set();

    for (const conversation of conversations.values()) {
        for (const user of conversation.people) {
            if (people.size < MAX_FOLLOWED && user !== hub.user) {
                people.add(user);
            }
        }
    }

    for (const user of people) {
        hub.follow(user, { seq: 0 }).catch(log);
    }
}


function received(message) {
    const conversation = conversationOf(message);

    if (conversation === undefined) {
        return;
    }

    const isNew = conversation.receive(message);

    stopsTyping(conversation, message.user);

    if (isNew && message.user !== hub.user
        && (conversation !== current || document.hidden))
    {
        conversation.unread++;
    }
}


function joined({ room, users, count }) {
    const conversation = conversations.get(Conversation.key('room', room));

    if (conversation === undefined) {
        return;
    }

    conversation.people = new Set(users);
    conversation.count = count;

    if (count > users.length) {
        fetchPeople(conversation, users.at(-1)).catch(log);
    }
}


async function fetchPeople(conversation, after) {
    let more = true;

    while (more && conversation.people.size < MAX_SHOWN) {
        const answer = await hub.users(conversation.name, { after });

        answer.users.forEach((user) => conversation.people.add(user));
        after = answer.users.at(-1);
        more = answer.more;
        draw();
    }
}


function moved({ room, joined: came = [], left: went = [], count }) {
    const conversation = conversations.get(Conversation.key('room', room));

    if (conversation === undefined) {
        return;
    }

    const news = came.filter((user) => !conversation.people.has(user));

    for (const user of went) {
        conversation.people.delete(user);
        stopsTyping(conversation, user);
    }

    for (const user of came) {
        if (conversation.people.size < MAX_SHOWN) {
            conversation.people.add(user);
        }
    }

    conversation.count = count;

    if (count <= MAX_NOTED) {
        note(conversation, news, 'joined');
        note(conversation, went, 'left');
    }
}


function note(conversation, users, what) {
    const others = users.filter((user) => user !== hub.user);

    if (others.length) {
        conversation.note({ type: 'event',
                            text: `${others.join(', ')} ${what}` });
    }
}


function typingHeard({ room, user, typing }) {
    const conversation = conversations.get(Conversation.key('room', room));

    if (conversation === undefined || user === hub.user) {
        return;
    }

    stopsTyping(conversation, user);

    if (typing && conversation.typing.size < MAX_NOTED) {
        conversation.typing.set(user, setTimeout(() => {
            conversation.typing.delete(user);
            draw();
        }, TYPING_SHOWN));
    }
}


function stopsTyping(conversation, user) {
    clearTimeout(conversation.typing.get(user));
    conversation.typing.delete(user);
}


function log(what) {
    const box = $('log');

    box.append(logLine(what instanceof Error ? what.message : String(what)));

    if (box.children.length > MAX_LOG) {
        box.firstChild.remove();
    }

    box.scrollTop = box.scrollHeight;
}


/* what the user says */

function say(text) {
    const item = {
        type: 'message',
        state: 'sending',
        message: { id: uuidv7(), user: hub.user, data: text, type: 'text' },
    };

    current.append(item);
    transmit(current, item);
    toEnd();
}


async function transmit(conversation, item) {
    const { id, data, type } = item.message;

    item.state = 'sending';
    draw();

    try {
        const answer = await (
            conversation.kind === 'room'
            ? hub.send(conversation.name, data, { type, id })
            : conversation.kind === 'user'
            ? hub.direct(conversation.name, data, { type, id })
            : hub.broadcast(data, { type, id }));

        /* the message itself comes too, perhaps it has come */
        conversation.receive({ ...item.message, seq: answer.seq,
                               epoch: answer.epoch, time: answer.time });

    } catch (error) {
        item.state = 'failed';
        item.error = error.message;
    }

    draw();
}


function typed() {
    const text = $('text').value;

    if (current.kind !== 'room' || text.trim() === '') {
        stopTyping();
        return;
    }

    const now = Date.now();

    if (typingSaid === null || now - typingSaid.time > TYPING_AGAIN) {
        hub.typing(current.name, true).catch(log);
        clearTimeout(typingSaid?.timer);
        typingSaid = { room: current.name, time: now };
    }

    clearTimeout(typingSaid.timer);
    typingSaid.timer = setTimeout(stopTyping, TYPING_STOPS);
}


function stopTyping() {
    if (typingSaid) {
        clearTimeout(typingSaid.timer);
        hub.typing(typingSaid.room, false).catch(log);
        typingSaid = null;
    }
}


/* drawing */

function draw() {
    drawing ??= setTimeout(drawNow, 10);
}


function drawNow() {
    clearTimeout(drawing);
    drawing = null;

    const scroll = $('scroll');
    const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight
                  < NEAR;
    const last = $('messages').lastChild;

    list.show(current, hub.user);
    $('empty').hidden = current.items.length > 0;

    if (atEnd) {
        toEnd();
    } else if ($('messages').lastChild !== last) {
        $('newer').hidden = false;
    }

    drawBar();
    drawSide();
    drawTitle();
    drawTyping();
}


function drawBar() {
    const state = hub.state;

    $('me').textContent = hub.user;

    if ($('state').dataset.state !== state) {
        $('state').dataset.state = state;
        $('state').textContent = STATES[state];
    }

    $('reconnect').hidden = state !== 'waiting';
    drawRetry();
}


function drawRetry() {
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);

    $('retry-in').textContent = retryAt && seconds > 0
                                ? `again in ${seconds} s` : '';
}


function label(conversation) {
    return conversation.kind === 'everybody' ? 'Everybody' : conversation.name;
}


function drawSide() {
    let unread = 0;

    fill($('conversations'), [...conversations.values()].map((c) => {
        unread += c.unread;

        return sideItem({ sign: SIGNS[c.kind], name: label(c),
                          unread: c.unread, current: c === current,
                          choose: () => choose(c) });
    }));

    const people = [...current.people].sort(byName).slice(0, MAX_SHOWN);
    const away = current.count - people.length;

    $('here').hidden = current.kind !== 'room';
    $('count').textContent = current.count ? `(${current.count})` : '';

    fill($('people'), people.map((user) =>
        sideItem({ sign: '●', name: user,
                   note: user === hub.user ? ' (you)' : '',
                   choose: () => talkTo(user) })),
         away > 0 && `and ${away} more`);

    const others = [...rooms].filter((name) =>
        !conversations.has(Conversation.key('room', name))).sort(byName);

    $('others').hidden = others.length === 0;

    fill($('rooms'), others.slice(0, MAX_SHOWN).map((name) =>
        sideItem({ sign: '#', name,
                   choose: () => joinRoom(name).catch(joinFailed) })),
         others.length > MAX_SHOWN
         && `and ${others.length - MAX_SHOWN} more`);

    $('menu-unread').hidden = unread === 0;
    $('menu-unread').textContent = unread;
    document.title = (unread ? `(${unread}) ` : '') + 'ChatHub';
}


function drawTitle() {
    $('title').textContent = label(current);
    $('leave').hidden = current.kind === 'everybody';
    $('leave').textContent = current.kind === 'room' ? 'Leave' : 'Close';

    $('subtitle').textContent =
        current.kind === 'user' ? 'direct messages'
        : current.kind === 'everybody' ? 'all who are connected'
        : current.count === 1 ? '1 person'
        : current.count ? `${current.count} people` : '';

    $('text').placeholder =
        current.kind === 'user' ? 'Message to ' + current.name
        : current.kind === 'everybody' ? 'Message to everybody'
        : 'Message in ' + current.name;
}


function drawTyping() {
    const users = [...current.typing.keys()];
    const text = users.length === 0 ? ''
                 : users.length > 3 ? 'Several people are typing…'
                 : users.join(', ')
                   + (users.length === 1 ? ' is typing…' : ' are typing…');

    if ($('typing').textContent !== text) {
        $('typing').textContent = text;
    }
}


function toEnd() {
    $('scroll').scrollTop = $('scroll').scrollHeight;
    $('newer').hidden = true;
}


/* the user's hands */

function joinFailed(error) {
    $('join-error').textContent = error.message;
}


/* what the browser remembers of the last visit, if it may */

function remember(name) {
    try {
        localStorage.setItem('chathub-name', name);

    } catch {
        /* it may not */
    }
}


function remembered() {
    try {
        return localStorage.getItem('chathub-name') ?? '';

    } catch {
        return '';
    }
}


function roomOfAddress() {
    try {
        return decodeURIComponent(location.hash.slice(1));

    } catch {
        return '';
    }
}


function enter(name, room) {
    const url = new URL('ws', location.href);

    url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    url.hash = '';

    hub = new ChatHub(url, { user: name });
    listen();

    $('entrance').hidden = true;
    $('chat').hidden = false;

    joinRoom(room).catch(joinFailed);
    hub.connect();

    $('text').focus();
}


function submitted(id, handler) {
    $(id).addEventListener('submit', (event) => {
        event.preventDefault();
        handler();
    });
}


function start() {
    $('name').value = remembered();
    $('first-room').value = roomOfAddress() || 'lobby';
    $($('name').value ? 'first-room' : 'name').focus();

    submitted('enter', () => {
        const name = $('name').value.trim();
        const room = $('first-room').value.trim();
        const error = nameError(name) || nameError(room);

        $('enter-error').textContent = error;

        if (error === '') {
            remember(name);
            history.replaceState(null, '', '#' + encodeURIComponent(room));
            enter(name, room);
        }
    });

    submitted('join', () => {
        const room = $('room').value.trim();
        const error = nameError(room);

        $('join-error').textContent = error;

        if (error === '') {
            $('room').value = '';
            joinRoom(room).catch(joinFailed);
        }
    });

    submitted('composer', () => {
        const text = $('text').value;

        if (text.trim() !== '') {
            $('text').value = '';
            stopTyping();
            say(text);
        }
    });

    $('text').addEventListener('input', typed);

    $('text').addEventListener('keydown', (event) => {
        if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            $('composer').requestSubmit();
        }
    });

    $('leave').addEventListener('click', () => leave(current));
    $('reconnect').addEventListener('click', () => hub.reconnect());
    $('newer').addEventListener('click', toEnd);

    $('scroll').addEventListener('scroll', () => {
        const { scrollHeight, scrollTop, clientHeight } = $('scroll');

        if (scrollHeight - scrollTop - clientHeight < NEAR) {
            $('newer').hidden = true;
        }
    });

    $('menu').addEventListener('click', () => {
        const shown = $('chat').classList.toggle('menu');

        $('menu').setAttribute('aria-expanded', String(shown));
    });

    addEventListener('online', () => hub?.reconnect());

    document.addEventListener('visibilitychange', () => {
        if (!document.hidden && hub) {
            hub.reconnect();
            current.unread = 0;
            draw();
        }
    });

    setInterval(() => hub && drawRetry(), 1000);
}


start();
