/*
 * Copyright (C) ChatHub contributors
 */

import { setTimeout as pause } from 'node:timers/promises';


/* on a busy machine with sanitizers everything takes long */
const TIMEOUT = 30000;


/*
 * Waits until the function returns, or its promise is fulfilled with, something
 * true, and returns that.  An exception of the function counts as false.
 *
 * "what" says in the error what did not come true.
 */

export async function until(what, condition, timeout = TIMEOUT) {
    const end = Date.now() + timeout;
    let last;

    for (;;) {
        try {
            last = await condition();

            if (last) {
                return last;
            }

        } catch (error) {
            last = error;
        }

        if (Date.now() > end) {
            throw new Error(`not within ${timeout / 1000} s: ${what}`
                            + ` (last: ${describe(last)})`);
        }

        await pause(10);
    }
}


/* Waits for an event of an EventTarget whose detail is right; returns that. */

export function event(target, type, right = () => true, timeout = TIMEOUT) {
    return new Promise((resolve, reject) => {
        const listener = ({ detail }) => {
            if (right(detail)) {
                end();
                resolve(detail);
            }
        };

        const timer = setTimeout(() => {
            end();
            reject(new Error(`not within ${timeout / 1000} s: "${type}"`));
        }, timeout);

        function end() {
            clearTimeout(timer);
            target.removeEventListener(type, listener);
        }

        target.addEventListener(type, listener);
    });
}


function describe(value) {
    return value instanceof Error ? value.message : JSON.stringify(value);
}
