/*
 * Copyright (C) ChatHub contributors
 */

/*
 * DOM nodes for what the page shows.  What others wrote becomes text nodes
 * and, of images, the "src" of those that can only be images.
 */


const IMAGE = /^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}$/;

const GROUP = 5 * 60 * 1000;    /* ms: one head for all in between */

const COLORS = 8;               /* classes user-0 and so on */


export function $(id) {
    return document.getElementById(id);
}


export function element(name, attributes = {}, ...children) {
    const node = document.createElement(name);

    for (const [key, value] of Object.entries(attributes)) {
        if (value !== undefined && value !== false) {
            node.setAttribute(key, value);
        }
    }

    node.append(...children);

    return node;
}


export function color(name) {
    let hash = 0;

    for (const c of name) {
        hash = (hash * 31 + c.codePointAt(0)) % 65521;
    }

    return 'user-' + hash % COLORS;
}


function timeElement(time, options) {
    const date = time ? new Date(time) : new Date();

    if (Number.isNaN(date.getTime())) {
        return element('time');
    }

    return element('time', { datetime: date.toISOString(),
                             title: date.toLocaleString() },
                   date.toLocaleTimeString([], options));
}


function content(message) {
    if (message.type === 'image' && IMAGE.test(message.data)) {
        return element('img', { src: message.data,
                                alt: 'Image from ' + message.user });
    }

    return element('div', { class: 'text', dir: 'auto' }, message.data);
}


function messageNode({ message }) {
    return element('li', { 'data-id': message.id },
                   element('div', { class: 'head' },
                           element('bdi',
                                   { class: 'from ' + color(message.user) },
                                   message.user),
                           timeElement(message.time, { hour: '2-digit',
                                                       minute: '2-digit' })),
                   element('div', { class: 'body' }, content(message)),
                   element('div', { class: 'status' }));
}


function gapNode() {
    return element('li', { class: 'gap' },
                   'Messages are missing here: they could not be fetched after'
                   + ' the connection was lost.');
}


function follows(item, before) {
    if (before?.type !== 'message'
        || before.message.user !== item.message.user)
    {
        return false;
    }

    return !item.message.time || !before.message.time
           || Date.parse(item.message.time) - Date.parse(before.message.time)
              < GROUP;
}


function paintMessage(node, item, before, own, resend) {
    const status = node.querySelector('.status');
    const classes = ['message', item.state];

    if (own) {
        classes.push('own');
    }

    if (follows(item, before)) {
        classes.push('continued');
    }

    node.className = classes.join(' ');

    if (node.dataset.state === item.state) {
        return;
    }

    node.dataset.state = item.state;
    status.replaceChildren();

    if (item.state === 'sending') {
        status.append('Sending…');

    } else if (item.state === 'failed') {
        const again = element('button', { type: 'button' }, 'Send again');

        again.addEventListener('click', () => resend(item));
        status.append('Not sent: ' + item.error, again);

    } else {
        node.querySelector('time').replaceWith(
            timeElement(item.message.time, { hour: '2-digit',
                                             minute: '2-digit' }));
    }
}


/*
 * Brings the list up to date: nodes stay where they are, so that a screen
 * reader hears what is new only.
 */

export class MessageList {
    #list;
    #resend;
    #nodes = new WeakMap();

    constructor(list, resend) {
        this.#list = list;
        this.#resend = resend;
    }

    show(conversation, user) {
        const items = conversation.items;
        const nodes = items.map((item) => this.#node(item));
        const wanted = new Set(nodes);

        for (const child of [...this.#list.children]) {
            if (!wanted.has(child)) {
                child.remove();
            }
        }

        let next = this.#list.firstChild;

        nodes.forEach((node, i) => {
            if (items[i].type === 'message') {
                paintMessage(node, items[i], items[i - 1],
                             items[i].message.user === user, this.#resend);
            }

            if (node === next) {
                next = next.nextSibling;
            } else {
                this.#list.insertBefore(node, next);
            }
        });
    }

    #node(item) {
        let node = this.#nodes.get(item);

        if (node === undefined) {
            node = item.type === 'message' ? messageNode(item)
                   : item.type === 'gap' ? gapNode()
                   : element('li', { class: 'event' },
                             element('bdi', {}, item.text));

            this.#nodes.set(item, node);
        }

        return node;
    }
}


/* a line of the side: {sign, name, note?, unread?, current?, choose} */

export function sideItem({ sign, name, note, unread, current, choose }) {
    const button = element('button', { type: 'button', 'data-name': name,
                                       'aria-current': current && 'true' },
                           element('span', { class: 'sign',
                                             'aria-hidden': 'true' }, sign),
                           element('span', { class: 'name' },
                                   element('bdi', {}, name), note ?? ''));

    if (unread) {
        button.append(element('span', { class: 'unread' }, String(unread),
                              element('span', { class: 'hidden' }, ' unread')));
    }

    button.addEventListener('click', choose);

    return element('li', {}, button);
}


/* Replaces a list, and keeps the focus on the same name. */

export function fill(list, items, more) {
    const focused = list.contains(document.activeElement)
                    ? document.activeElement.dataset.name : undefined;

    list.replaceChildren(...items);

    if (more) {
        list.append(element('li', { class: 'more' }, more));
    }

    if (focused !== undefined) {
        [...list.querySelectorAll('button')]
            .find((button) => button.dataset.name === focused)?.focus();
    }
}


export function logLine(text) {
    return element('li', {}, timeElement(), ' ' + text);
}
