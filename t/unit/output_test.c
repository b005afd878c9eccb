
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * A session's way out, into a socket that takes as much as a test lets it,
 * with TLS and without.
 */


#include "ngx_chathub_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>


#define WIRE   (1024 * 1024)
#define QUEUE  65536
#define ANY    ((size_t) -1)


static ngx_log_t              log0;
static ngx_cycle_t            cycle;
static ngx_chathub_hub_t      hub;
static ngx_chathub_policy_t   policy;
static ngx_chathub_session_t  s;
static ngx_connection_t       c;
static ngx_event_t            rev, wev;

static u_char                 wire[WIRE];   /* what the peer can read */
static size_t                 len;
static size_t                 room;         /* what the socket takes */

/* of TLS: what it was given, and how much of it is in the socket */
static u_char                *given;
static size_t                 given_size, given_done;

/* the frames on the wire */
static ngx_uint_t             messages, byes, closes, frames, code;


/* all or a part of it, as send() */

static ssize_t
plain_send(ngx_connection_t *conn, u_char *buf, size_t size)
{
    size_t  n;

    assert_true(size > 0);
    assert_true(conn->write->ready);

    n = ngx_min(size, room);

    assert_true(len + n <= WIRE);
    memcpy(wire + len, buf, n);

    len += n;
    room -= n;

    if (n < size) {
        conn->write->ready = 0;
    }

    return n ? (ssize_t) n : NGX_AGAIN;
}


/* all of it or nothing, and then the same once more, as SSL_write() */

static ssize_t
tls_send(ngx_connection_t *conn, u_char *buf, size_t size)
{
    size_t  n;

    if (given) {
        assert_ptr_equal(buf, given);
        assert_true(size >= given_size);
    }

    given = buf;
    given_size = size;

    n = ngx_min(size - given_done, room);

    assert_true(len + n <= WIRE);
    memcpy(wire + len, buf + given_done, n);

    len += n;
    room -= n;
    given_done += n;

    if (given_done < size) {
        conn->write->ready = 0;
        return NGX_AGAIN;
    }

    given = NULL;
    given_done = 0;

    return size;
}


static int
setup(void **state)
{
    ngx_uint_t  i;

    ngx_memzero(&hub, sizeof(ngx_chathub_hub_t));
    ngx_memzero(&policy, sizeof(ngx_chathub_policy_t));
    ngx_memzero(&s, sizeof(ngx_chathub_session_t));
    ngx_memzero(&c, sizeof(ngx_connection_t));
    ngx_memzero(&rev, sizeof(ngx_event_t));
    ngx_memzero(&wev, sizeof(ngx_event_t));

    cycle.log = &log0;
    ngx_cycle = &cycle;

    ngx_queue_init(&ngx_posted_events);

    hub.log = &log0;
    hub.flush.log = &log0;
    hub.reap.log = &log0;
    hub.flushing_last = &hub.flushing;

    for (i = 0; i < NGX_CHATHUB_WHEEL; i++) {
        ngx_queue_init(&hub.wheel[i]);
    }

    policy.send_queue = QUEUE;

    c.data = &s;
    c.read = &rev;
    c.write = &wev;
    c.log = &log0;
    c.send = plain_send;
    wev.data = &c;
    wev.ready = 1;
    wev.log = &log0;

    s.hub = &hub;
    s.policy = &policy;
    s.codec = &ngx_chathub_native_codec;
    s.connection = &c;
    s.out_last = &s.out;
    s.state = NGX_CHATHUB_SESSION_OPEN;

    len = 0;
    room = ANY;
    given = NULL;
    given_done = 0;

    return 0;
}


static int
setup_tls(void **state)
{
    static ngx_ssl_connection_t  ssl;

    (void) setup(state);

    c.ssl = &ssl;
    c.send = tls_send;

    return 0;
}


static int
teardown(void **state)
{
    ngx_chathub_session_die(&s);

    return 0;
}


static void
turn(void)
{
    ngx_chathub_session_t  *next;

    while ((next = ngx_chathub_session_flushing(&hub)) != NULL) {
        ngx_chathub_session_flush(next);
    }

    if (hub.flush.posted) {
        ngx_delete_posted_event(&hub.flush);
    }
}


static void
drained(size_t n)
{
    room = n;
    wev.ready = 1;
    ngx_chathub_session_write_handler(&wev);
}


static ngx_chathub_chunk_t *
message(const char *body)
{
    u_char               *p;
    ngx_str_t             head, text;
    ngx_chathub_chunk_t  *chunk;

    ngx_str_set(&head, "{");
    text.data = (u_char *) body;
    text.len = strlen(body);

    chunk = ngx_chathub_chunk_create(
                             s.codec->message_size(head.len + text.len),
                             &log0);
    assert_non_null(chunk);

    p = s.codec->message(chunk->data, &head, &text);
    chunk->size = p - chunk->data;

    return chunk;
}


static void
send_message(const char *body)
{
    ngx_chathub_chunk_t  *chunk;

    chunk = message(body);
    ngx_chathub_session_send(&s, chunk, 0);
    ngx_chathub_chunk_unref(chunk);
}


/* counts the frames, and fails where one is not whole */

static void
read_wire(void)
{
    size_t   n;
    u_char  *p, *last;

    messages = byes = closes = frames = code = 0;

    p = wire;
    last = wire + len;

    while (p < last) {

        /* nothing comes behind a close */

        assert_int_equal(closes, 0);
        assert_true(last - p >= 2);

        n = p[1];

        if (n == 126) {
            n = p[2] << 8 | p[3];

        } else if (n == 127) {
            n = p[7] << 16 | p[8] << 8 | p[9];
        }

        closes += (p[0] == 0x88);

        p += (p[1] == 127) ? 10 : (p[1] == 126) ? 4 : 2;
        assert_true((size_t) (last - p) >= n);

        frames++;

        if (closes) {
            code = p[0] << 8 | p[1];

        } else if (n > 18 && memcmp(p, "{\"event\":\"message\"", 18) == 0) {
            assert_int_equal(byes, 0);
            messages++;

        } else if (n > 14 && memcmp(p, "{\"event\":\"bye\"", 14) == 0) {
            byes++;
        }

        p += n;
    }
}


/* one who does not read: what was begun is ended, then he is told */

static void
test_slow(void **state)
{
    char        text[10000];
    ngx_uint_t  n;

    memset(text, '.', sizeof(text));
    text[sizeof(text) - 1] = '\0';

    room = 25000;

    for (n = 0; s.state == NGX_CHATHUB_SESSION_OPEN; n++) {
        send_message(text);
        assert_true(n < 20);
    }

    /* two and a half are in the socket, the half of which TLS does not tell,
     * and the queue has six, or with the half five */

    assert_int_equal(n, c.ssl ? 9 : 10);
    assert_int_equal(s.state, NGX_CHATHUB_SESSION_CLOSING);

    turn();

    while (s.out) {
        drained(1000);
    }

    read_wire();
    assert_int_equal(messages, 3);
    assert_int_equal(byes, 1);
    assert_int_equal(closes, 1);
    assert_int_equal(code, 1013);
}


/* nothing of the first one is in the socket */

static void
test_slow_at_once(void **state)
{
    char        text[10000];
    ngx_uint_t  n;

    memset(text, '.', sizeof(text));
    text[sizeof(text) - 1] = '\0';

    room = 0;

    for (n = 0; s.state == NGX_CHATHUB_SESSION_OPEN; n++) {
        send_message(text);
        assert_true(n < 20);
    }

    turn();
    drained(ANY);
    read_wire();

    assert_int_equal(messages, c.ssl ? 1 : 0);
    assert_int_equal(byes, 1);
    assert_int_equal(code, 1013);
}


/* an empty queue takes one of any size */

static void
test_large(void **state)
{
    char  *text;

    text = malloc(3 * QUEUE);
    assert_non_null(text);
    memset(text, '.', 3 * QUEUE);
    text[3 * QUEUE - 1] = '\0';

    room = 0;
    send_message(text);
    assert_int_equal(s.state, NGX_CHATHUB_SESSION_OPEN);

    send_message("second");
    assert_int_equal(s.state, NGX_CHATHUB_SESSION_CLOSING);

    free(text);
}


/* small answers cost what they take of memory */

static void
test_small_answers(void **state)
{
    ngx_str_t   data;
    ngx_uint_t  n;

    ngx_str_null(&data);
    room = 0;

    for (n = 0; s.state == NGX_CHATHUB_SESSION_OPEN; n++) {
        ngx_chathub_session_pong(&s, &data);
        turn();
        assert_true(n <= QUEUE / 256);
    }

    assert_true(n > 64);

    turn();
    drained(ANY);
    read_wire();
    assert_int_equal(code, 1013);
}


/* the queue is empty again when all is sent, whatever it counted */

static void
test_count(void **state)
{
    size_t                 size;
    ngx_str_t              data;
    ngx_uint_t             i, n;
    ngx_chathub_queued_t  *q;

    ngx_str_null(&data);
    n = 0;

    for (i = 0; i < 200; i++) {
        room = i % 7;

        ngx_chathub_session_pong(&s, &data);
        send_message("1");
        turn();
        n += 2;

        drained(i % 300);

        size = 0;

        for (q = s.out; q; q = q->next) {
            size += q->chunk->size - q->offset + q->cost;
        }

        assert_int_equal(s.out_size, size);

        if (i % 50 == 49) {
            drained(ANY);
            assert_null(s.out);
            assert_int_equal(s.out_size, 0);
        }
    }

    assert_int_equal(s.state, NGX_CHATHUB_SESSION_OPEN);

    read_wire();
    assert_int_equal(frames, n);
    assert_int_equal(messages, 200);
}


/* what was answered before a batch is before it */

static void
test_order(void **state)
{
    ngx_str_t  data;

    ngx_str_set(&data, "{}");

    ngx_chathub_session_event(&s, NGX_CHATHUB_OUT_LOG, NGX_CHATHUB_NO_REF,
                              &data);
    room = 5;
    send_message("1");
    ngx_chathub_session_event(&s, NGX_CHATHUB_OUT_BYE, NGX_CHATHUB_NO_REF,
                              &data);
    turn();
    drained(ANY);

    /* read_wire() checks that no message is behind the "bye" */

    read_wire();
    assert_int_equal(frames, 3);
    assert_int_equal(messages, 1);
    assert_memory_equal(wire + 2, "{\"event\":\"log\"", 14);
}


/* a large direct message, which is not copied, comes too late */

static void
test_closed(void **state)
{
    ngx_chathub_chunk_t   *chunk;
    ngx_chathub_record_t   rec;

    ngx_memzero(&rec, sizeof(ngx_chathub_record_t));
    ngx_str_set(&rec.id, "id");
    rec.body.len = 2 * NGX_CHATHUB_SHARE_MIN;
    rec.body.data = calloc(1, rec.body.len);
    assert_non_null(rec.body.data);

    chunk = NULL;
    ngx_chathub_session_message(&s, &rec, &chunk);
    assert_non_null(chunk);

    ngx_chathub_session_close(&s, 1001, "enough");
    ngx_chathub_session_message(&s, &rec, &chunk);
    turn();
    ngx_chathub_session_message(&s, &rec, &chunk);

    read_wire();
    assert_int_equal(messages, 1);
    assert_int_equal(code, 1001);

    ngx_chathub_chunk_unref(chunk);
    free(rec.body.data);
}


/* the answer to the peer's close is the last, behind all */

static void
test_peer_closed(void **state)
{
    room = 3;
    send_message("1");
    ngx_chathub_session_peer_closed(&s, 1000);
    turn();

    assert_int_equal(s.state, NGX_CHATHUB_SESSION_CLOSING);
    drained(4);
    assert_int_equal(s.state, NGX_CHATHUB_SESSION_CLOSING);
    drained(ANY);
    assert_int_equal(s.state, NGX_CHATHUB_SESSION_DEAD);

    read_wire();
    assert_int_equal(messages, 1);
    assert_int_equal(code, 1000);
    assert_false(c.buffered);
}


/* what is left cannot be sent any more, nor can TLS say its close */

static void
test_dies(void **state)
{
    room = 3;
    send_message("1");
    ngx_chathub_session_die(&s);

    assert_null(s.out);
    assert_true(c.buffered);
    assert_ptr_equal(hub.dead, &s);
}


/* one that dies while it waits to be flushed is in one list only */

static void
test_dies_with_answers(void **state)
{
    ngx_str_t              data;
    ngx_chathub_session_t  other;

    other = s;
    other.out_last = &other.out;

    ngx_str_null(&data);
    ngx_chathub_session_pong(&s, &data);
    ngx_chathub_session_pong(&other, &data);
    ngx_chathub_session_pong(&s, &data);

    ngx_chathub_session_die(&s);
    assert_null(hub.dead);
    assert_null(s.pending);

    assert_ptr_equal(ngx_chathub_session_flushing(&hub), &s);
    assert_ptr_equal(ngx_chathub_session_flushing(&hub), &other);
    assert_null(ngx_chathub_session_flushing(&hub));

    /* the list begins anew */

    ngx_chathub_session_flush(&other);
    ngx_chathub_session_pong(&other, &data);
    assert_ptr_equal(ngx_chathub_session_flushing(&hub), &other);
    assert_null(ngx_chathub_session_flushing(&hub));

    ngx_chathub_session_die(&other);
    assert_ptr_equal(hub.dead, &other);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(test_slow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow, setup_tls, teardown),
        cmocka_unit_test_setup_teardown(test_slow_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_at_once, setup_tls,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_small_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_count, setup_tls, teardown),
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order, setup_tls, teardown),
        cmocka_unit_test_setup_teardown(test_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_peer_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_peer_closed, setup_tls,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_dies, setup_tls, teardown),
        cmocka_unit_test_setup_teardown(test_dies_with_answers, setup,
                                        teardown)
    };

    return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
