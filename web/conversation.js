/*
 * Copyright (C) ChatHub contributors
 */

/*
 * What the page knows about a room, about the direct messages with somebody,
 * or about the messages to everybody.  No DOM here.
 *
 * Items are what is shown, in order:
 *
 *   {type: 'message', message, state, error?}   state: "sending", "sent",
 *                                               "failed"
 *   {type: 'event', text}
 *   {type: 'gap'}
 */


/* shown of a conversation; older items go */
const MAX_ITEMS = 500;


export class Conversation {
    items = [];
    unread = 0;
    draft = '';
    typing = new Map();         /* user: timer */
    people = new Set();         /* of a room; not all, where there are many */
    count = 0;                  /* all */

    /* kind: "room", "user", "everybody" */

    constructor(kind, name = '') {
        this.kind = kind;
        this.name = name;
        this.key = Conversation.key(kind, name);
    }

    static key(kind, name = '') {
        return kind + ':' + name;
    }

    find(id) {
        return this.items.find((item) => item.message?.id === id);
    }

    /* A message from the server; true if it was not known. */

    receive(message) {
        const item = this.find(message.id);

        if (item === undefined) {
            this.#insert({ type: 'message', message, state: 'sent' });
            return true;
        }

        /* one's own: now it has its place */

        this.items.splice(this.items.indexOf(item), 1);
        item.message = message;
        item.state = 'sent';
        this.#insert(item);

        return false;
    }

    append(item) {
        this.items.push(item);
        this.#trim();
    }

    note(item) {
        this.items.splice(this.#end(), 0, item);
        this.#trim();
    }

    /* before what is on its way, which comes last */

    #end() {
        let i = this.items.length;

        while (i && this.items[i - 1].state === 'sending') {
            i--;
        }

        return i;
    }

    #insert(item) {
        const { epoch, seq } = item.message;
        let i = this.#end();

        while (i) {
            const before = this.items[i - 1].message;

            if (before?.epoch !== epoch || !(before.seq > seq)) {
                break;
            }

            i--;
        }

        this.items.splice(i, 0, item);
        this.#trim();
    }

    #trim() {
        if (this.items.length > MAX_ITEMS) {
            this.items.splice(0, this.items.length - MAX_ITEMS);
        }
    }
}
