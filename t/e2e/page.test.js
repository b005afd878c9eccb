/*
 * Copyright (C) ChatHub contributors
 */

/* The page, in two Chromiums, against NGINX with two workers. */

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import WebSocket from 'ws';

import { ChatHub } from '../../web/chathub.js';
import { Browser } from './lib/browser.js';
import { Nginx, shipped } from './lib/nginx.js';
import { Proxy } from './lib/proxy.js';
import { until } from './lib/until.js';


const PIXEL = 'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfF'
              + 'cSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

let nginx;
let ann;
let bob;
let room;
let count = 0;


/* One who looks at the page, over a worker of his or her own. */

class Person {
    static async start(stem, worker) {
        const person = new Person();

        person.stem = stem;
        person.proxy = await Proxy.start(nginx.port, async (port) =>
            person.proxy.target !== nginx.port
            || await nginx.workerOf(port) === nginx.workers()[worker]);
        person.home = `http://127.0.0.1:${person.proxy.port}/`;
        person.browser = await Browser.start(person.home);
        person.page = person.browser.page;
        person.page.setDefaultTimeout(30000);

        return person;
    }

    async enter(name, room) {
        this.name = name;

        /* an address that differs in its hash only would not be loaded */
        await this.page.goto('about:blank');
        await this.page.goto(this.home);
        await this.page.fill('#name', name);
        await this.page.fill('#first-room', room);
        await this.page.press('#first-room', 'Enter');
        await this.connected();
    }

    connected() {
        return this.page.waitForSelector('#state[data-state="connected"]');
    }

    async say(text) {
        await this.page.fill('#text', text);
        await this.page.press('#text', 'Enter');
    }

    /* many, without waiting in between */

    async sayAll(texts) {
        await this.page.evaluate((all) => {
            const form = document.getElementById('composer');
            const text = document.getElementById('text');

            for (const one of all) {
                text.value = one;
                form.requestSubmit();
            }
        }, texts);
    }

    /* in a list of the side: conversations, people, rooms */

    line(list, name) {
        return this.page.locator(`#${list} button`)
            .and(this.page.locator(`[data-name=${JSON.stringify(name)}]`));
    }

    names(list) {
        return this.page.$$eval(`#${list} button`, (buttons) =>
            buttons.map((b) => b.dataset.name));
    }

    texts() {
        return this.page.$$eval('#messages .message .text', (nodes) =>
            nodes.map((n) => n.textContent));
    }

    async sees(wanted) {
        await until(`${this.stem} sees ${wanted.length} messages`, async () =>
            (await this.texts()).length >= wanted.length);
        assert.deepEqual(await this.texts(), wanted);
    }

    sent() {
        return until('all is sent', async () =>
            await this.page.locator('.message.sending, .message.failed')
                .count() === 0);
    }

    async stop() {
        await this.browser.stop();
        await this.proxy.stop();
    }
}


function numbers(from, to) {
    return Array.from({ length: to - from + 1 }, (_, i) => String(from + i));
}


before(async () => {
    nginx = await Nginx.start({ config: shipped('single.conf'), workers: 2 });
    ann = await Person.start('ann', 0);
    bob = await Person.start('bob', 1);
});


beforeEach(async () => {
    count++;
    room = `room-${count}`;
    await ann.enter(`ann-${count}`, room);
    await bob.enter(`bob-${count}`, room);
    await bob.line('people', ann.name).waitFor();
    await ann.line('people', bob.name).waitFor();
});


afterEach(() => {
    for (const { browser, proxy } of [ann, bob]) {
        proxy.up();
        proxy.target = nginx.port;
        assert.deepEqual(browser.problems.splice(0), []);
        assert.deepEqual(browser.foreign.splice(0), []);
    }
});


after(async () => {
    await ann?.stop();
    await bob?.stop();
    await nginx?.stop();
});


test('they meet, and see who is there', async () => {
    assert.deepEqual(await ann.names('people'), [ann.name, bob.name]);
    assert.deepEqual(await bob.names('people'), [ann.name, bob.name]);
    assert.equal(await ann.page.textContent('#subtitle'), '2 people');

    await bob.page.click('#leave');
    await until('he is gone', async () =>
        (await ann.names('people')).join() === ann.name);
    assert.equal(await ann.page.textContent('#subtitle'), '1 person');

    await bob.line('rooms', room).click();
    await ann.line('people', bob.name).waitFor();
});


test('they talk in the room', async () => {
    await ann.say('hello');
    await bob.sees(['hello']);
    await bob.say('hello, ann');
    await ann.sees(['hello', 'hello, ann']);
    await bob.sees(['hello', 'hello, ann']);
    await ann.sent();

    /* hers on her side, his on the other */
    assert.equal(await ann.page.locator('.message.own').count(), 1);
    assert.equal(await bob.page.locator('.message.own .text').textContent(),
                 'hello, ann');
    assert.equal(await ann.page.locator('.message:not(.own) .from')
                     .textContent(), bob.name);
});


test('Enter sends, Shift and Enter make a new line', async () => {
    await ann.page.focus('#text');
    await ann.page.keyboard.type('one');
    await ann.page.keyboard.press('Shift+Enter');
    await ann.page.keyboard.type('two');
    await ann.page.keyboard.press('Enter');
    await bob.sees(['one\ntwo']);
    assert.equal(await ann.page.inputValue('#text'), '');
});


test('they talk in private', async () => {
    await ann.line('people', bob.name).click();
    await ann.say('psst');
    await ann.sees(['psst']);

    await bob.line('conversations', ann.name).waitFor();
    await bob.sees([]);
    assert.equal(await bob.line('conversations', ann.name).locator('.unread')
                     .textContent(), '1 unread');
    assert.equal(await bob.page.title(), '(1) ChatHub');

    await bob.line('conversations', ann.name).click();
    await bob.sees(['psst']);
    assert.equal(await bob.page.title(), 'ChatHub');
    await bob.say('yes?');
    await ann.sees(['psst', 'yes?']);
});


test('to everybody', async () => {
    const text = `to all, ${count}`;

    await ann.line('conversations', 'Everybody').click();
    await bob.page.click('#leave');
    await ann.say(text);

    await bob.line('conversations', 'Everybody').click();
    await until('it came', async () =>
        (await bob.texts()).filter((t) => t === text).length === 1);
    await until('to her too', async () =>
        (await ann.texts()).filter((t) => t === text).length === 1);
});


test('who is typing', async () => {
    await bob.page.focus('#text');
    await bob.page.keyboard.type('I thi');
    await ann.page.waitForFunction(
        (name) => document.getElementById('typing').textContent
                  === `${name} is typing…`, bob.name);

    await bob.page.keyboard.type('nk');
    await bob.page.keyboard.press('Enter');
    await ann.sees(['I think']);
    await ann.page.waitForFunction(
        () => document.getElementById('typing').textContent === '');
});


test('other rooms', async () => {
    const other = `other-${count}`;

    await bob.page.fill('#room', other);
    await bob.page.press('#room', 'Enter');
    await ann.line('rooms', other).click();
    await ann.line('people', bob.name).waitFor();
    await ann.say('in here');
    await bob.sees(['in here']);

    await bob.line('conversations', room).click();
    await bob.sees([]);
    await bob.say('in there');
    await ann.sees(['in here']);
    await ann.line('conversations', room).click();
    await ann.sees(['in there']);
});


test('names that do not go are refused in words', async () => {
    const { page } = ann;

    await page.fill('#room', 'ü'.repeat(65));
    await page.press('#room', 'Enter');
    await until('it is refused', async () =>
        /too long/.test(await page.textContent('#join-error')));

    await page.goto('about:blank');
    await page.goto(ann.home);
    await page.fill('#name', 'ü'.repeat(65));
    await page.press('#name', 'Enter');
    assert.match(await page.textContent('#enter-error'), /too long/);
    assert.ok(await page.isVisible('#entrance'));
});


test('what could be code is text', async () => {
    const attacks = [
        '<img src=x onerror="window.attacked=1">',
        '<script>window.attacked=1</script>',
        '"><svg onload=window.attacked=1>',
        'javascript:window.attacked=1',
        '<a href="javascript:window.attacked=1">click</a>',
        '{{constructor.constructor("window.attacked=1")()}}',
        '&lt;b&gt;&#60;b&#62;',
        '<iframe srcdoc="<script>parent.attacked=1</script>"></iframe>',
        '\u202Egnp.exe',
        '<!--', '</ol></main>', ']]>',
    ];

    for (const text of attacks) {
        await ann.say(text);
    }

    await ann.sees(attacks);
    await bob.sees(attacks);

    /* as names of people and rooms as well */

    const name = `<img src=x onerror="window.attacked=1">${count}`;

    await bob.enter(name, `<script>window.attacked=1</script>${count}`);
    await ann.line('rooms', `<script>window.attacked=1</script>${count}`)
        .click();
    await ann.line('people', name).waitFor();
    await bob.say('me');
    await ann.sees(['me']);
    assert.equal(await ann.page.textContent('.message .from'), name);
    await ann.line('people', name).click();
    assert.equal(await ann.page.textContent('#title'), name);

    for (const { page } of [ann, bob]) {
        assert.equal(await page.evaluate(() => window.attacked), undefined);
        assert.deepEqual(await page.$$eval(
            '#chat img, #chat script, #chat iframe, #chat a, #messages svg',
            (nodes) => nodes.map((n) => n.outerHTML)), []);
    }
});


test('images, and what only looks like them', async () => {
    const no = [
        'data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMj'
        + 'AwMC9zdmciLz4=',
        'data:text/html;base64,PGI+',
        'data:image/png,raw',
        'http://127.0.0.1:1/pixel.png',
        '//127.0.0.1:1/pixel.png',
        ' ' + PIXEL,
    ];
    const hub = new ChatHub(`ws://127.0.0.1:${nginx.port}/ws`,
                            { user: `cleo-${count}`, WebSocket });

    try {
        hub.connect();
        await hub.join(room);
        await hub.send(room, PIXEL);

        for (const data of no) {
            await hub.send(room, data, { type: 'image' });
        }

        await ann.sees([PIXEL, ...no]);
        await hub.send(room, PIXEL, { type: 'image' });

        const image = ann.page.locator('#messages img');

        await image.waitFor();
        await until('it is shown', () =>
            image.evaluate((node) => node.complete && node.naturalWidth === 1));
        assert.equal(await image.getAttribute('alt'),
                     `Image from cleo-${count}`);
        await ann.sees([PIXEL, ...no]);

    } finally {
        hub.close();
    }
});


test('the connection is cut: nothing is lost or there twice', async () => {
    await ann.say('1');
    await bob.sees(['1']);
    await ann.sent();

    ann.proxy.down();
    await ann.page.waitForSelector('#state[data-state="waiting"]');

    await bob.sayAll(numbers(2, 20));
    await bob.sent();
    await ann.sayAll(['a', 'b', 'c']);
    await ann.sees(['1', 'a', 'b', 'c']);
    assert.equal(await ann.page.locator('.message.sending').count(), 3);

    ann.proxy.up();
    await ann.page.click('#reconnect');
    await ann.connected();
    await ann.sent();

    const all = [...numbers(1, 20), 'a', 'b', 'c'];

    await ann.sees(all);
    await bob.sees(all);
    assert.equal(await ann.page.locator('.gap').count(), 0);
    assert.match(await ann.page.textContent('#log'), /Disconnected/);
});


test('who writes first while one is away is heard', async () => {
    await bob.line('people', ann.name).click();
    ann.proxy.down();
    await ann.page.waitForSelector('#state[data-state="waiting"]');
    await bob.say('are you there?');
    await bob.sees(['are you there?']);
    await bob.sent();

    ann.proxy.up();
    await ann.line('conversations', bob.name).click();
    await ann.sees(['are you there?']);
});


test('a reload of NGINX while they talk', async () => {
    const all = numbers(1, 200);
    const old = nginx.workers();
    const reloaded = nginx.reload();

    for (let i = 0; i < all.length; i += 10) {
        await ann.sayAll(all.slice(i, i + 10));
    }

    await reloaded;

    for (const { page } of [ann, bob]) {
        await until('the page was told', async () =>
            /goodbye \(reload\)/.test(await page.textContent('#log')));
    }

    await until('the old workers are gone', () =>
        !nginx.workers().some((pid) => old.includes(pid)));

    await ann.connected();
    await bob.connected();
    await bob.say('done');

    await ann.sees([...all, 'done']);
    await bob.sees([...all, 'done']);
    await ann.sent();

    for (const person of [ann, bob]) {
        assert.equal(await person.page.locator('.gap').count(), 0);

        /* who came back is told once a second at most */

        await until('both are there', async () =>
            (await person.names('people')).join() === `${ann.name},${bob.name}`);
    }
});


test('another server: a gap is shown', async () => {
    await ann.say('before');
    await bob.sees(['before']);

    const other = await Nginx.start({ config: shipped('single.conf') });

    try {
        bob.proxy.target = other.port;
        bob.proxy.cut();
        await bob.page.waitForSelector('#messages .gap');
        await bob.say('after');
        await bob.sees(['before', 'after']);
        assert.deepEqual(
            await bob.page.$$eval('#messages > li', (nodes) =>
                nodes.map((n) => n.classList.contains('gap') ? 'gap'
                          : n.querySelector('.text')?.textContent ?? 'event')
                    .filter((what) => what !== 'event')),
            ['before', 'gap', 'after']);

    } finally {
        await bob.page.goto('about:blank');
        await other.stop();
    }
});


test('everything has a name, and fits on a phone', async () => {
    const { page } = ann;

    await page.setViewportSize({ width: 360, height: 640 });

    try {
        await bob.say('x'.repeat(500));
        await ann.sees(['x'.repeat(500)]);
        assert.ok(await page.isHidden('#side'));

        const fits = () => page.evaluate(() =>
            [document.documentElement, document.getElementById('scroll'),
             document.getElementById('side')]
                .every((node) => node.scrollWidth <= node.clientWidth));

        assert.ok(await fits());
        await page.click('#menu');
        assert.ok(await page.isVisible('#people'));
        assert.equal(await page.getAttribute('#menu', 'aria-expanded'), 'true');
        assert.ok(await fits());

        await ann.line('conversations', room).click();
        assert.ok(await page.isHidden('#side'));

    } finally {
        await page.setViewportSize({ width: 1280, height: 720 });
    }

    const nameless = await page.$$eval('input, textarea, button', (nodes) =>
        nodes.filter((n) => !n.labels?.length && !n.textContent.trim()
                            && !n.getAttribute('aria-label'))
            .map((n) => n.outerHTML));

    assert.deepEqual(nameless, []);
});
