/*
 * Copyright (C) ChatHub contributors
 */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { chromium } from 'playwright-core';


/*
 * A Chromium with a profile of its own:
 *
 *     const browser = await Browser.start();
 *
 *     browser.page                 playwright's
 *     browser.problems             exceptions of the page, and violations of
 *                                  its content security policy
 *     browser.foreign              addresses asked for that are not at "home"
 *     await browser.stop();
 *
 * CHATHUB_CHROMIUM names the binary, /usr/bin/chromium by default.
 */

export class Browser {
    problems = [];
    foreign = [];
    #context;
    #profile;

    /* options: playwright's, for launchPersistentContext() */

    static async start(home, options = {}) {
        const browser = new Browser();

        await browser.#start(home, options);

        return browser;
    }

    async stop() {
        await this.#context.close();
        fs.rmSync(this.#profile, { recursive: true, force: true,
                                   maxRetries: 5 });
    }

    async #start(home, options) {
        this.#profile = fs.mkdtempSync(path.join(os.tmpdir(), 'chathub-e2e-'));

        this.#context = await chromium.launchPersistentContext(this.#profile, {
            executablePath: process.env.CHATHUB_CHROMIUM ?? '/usr/bin/chromium',
            args: ['--no-sandbox', '--disable-gpu', '--disable-quic',
                   '--no-first-run', '--disable-background-networking',
                   '--disable-component-update', '--disable-sync'],
            ...options,
        });

        this.page = this.#context.pages()[0] ?? await this.#context.newPage();

        this.page.on('pageerror', (error) => {
            this.problems.push(error.message);
        });

        this.page.on('console', (message) => {
            if (/Content Security Policy/.test(message.text())) {
                this.problems.push(message.text());
            }
        });

        this.page.on('request', (request) => {
            const url = request.url();

            if (!url.startsWith(home) && !url.startsWith('data:')) {
                this.foreign.push(url);
            }
        });

        this.page.on('dialog', (dialog) => {
            this.problems.push('dialog: ' + dialog.message());
            dialog.dismiss();
        });

        await this.page.goto(home);
    }
}
