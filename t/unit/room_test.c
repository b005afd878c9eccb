
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * Groups of sessions and the batches that they get, in slices, while sessions
 * come and go.  What a session would send is kept here as text.
 */


#include "ngx_chathub_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>


#define CLIENTS  64
#define TEXT     (4 * NGX_CHATHUB_BATCH_MAX)
#define ALL      ((ngx_uint_t) -1)


typedef struct {
    ngx_chathub_session_t   session;
    ngx_chathub_place_t     place;
    char                   *text;      /* what it got */
    char                   *expected;  /* what was said while it was there */
    size_t                  len;
    ngx_uint_t              sends;
} client_t;


static ngx_log_t            log0;
static ngx_chathub_hub_t    hub;
static ngx_chathub_group_t  group;
static client_t             clients[CLIENTS];

/* after so many allocations they fail, -1: never */
static int                  allocations;

/* called in a send */
static void               (*in_send)(client_t *c);
static client_t            *in_send_of, *in_send_removes;

/* calls of what is not under test here */
static ngx_uint_t           settled, lost, left, forgotten;


/* What the groups call. */


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    if (allocations == 0) {
        return NULL;
    }

    allocations -= (allocations > 0);

    return malloc(size);
}


void *
ngx_calloc(size_t size, ngx_log_t *log)
{
    void  *p;

    p = ngx_alloc(size, log);

    return p ? memset(p, 0, size) : NULL;
}


void
ngx_chathub_session_send(ngx_chathub_session_t *s, ngx_chathub_chunk_t *chunk,
    size_t offset)
{
    client_t  *c = (client_t *) s;

    assert_true(c->len + chunk->size - offset < TEXT);

    memcpy(c->text + c->len, chunk->data + offset, chunk->size - offset);

    c->len += chunk->size - offset;
    c->text[c->len] = '\0';
    c->sends++;

    if (in_send) {
        in_send(c);
    }
}


u_char *
ngx_chathub_session_reserve(ngx_chathub_session_t *s, size_t size)
{
    u_char    *p;
    client_t  *c = (client_t *) s;

    assert_true(c->len + size < TEXT);

    p = (u_char *) c->text + c->len;

    c->len += size;
    c->text[c->len] = '\0';

    return p;
}


void
ngx_chathub_session_event(ngx_chathub_session_t *s, ngx_chathub_out_e event,
    uint64_t ref, ngx_str_t *data)
{
    memcpy(ngx_chathub_session_reserve(s, data->len), data->data, data->len);
}


void
ngx_chathub_catchup_settle(ngx_chathub_room_t *room)
{
    settled++;
}


void
ngx_chathub_catchup_room(ngx_chathub_room_t *room)
{
    lost++;
}


void
ngx_chathub_catchup_free(ngx_chathub_catchup_t *cu)
{
    fail();
}


void
ngx_chathub_presence_forget(ngx_chathub_room_t *room)
{
    forgotten++;
}


void
ngx_chathub_typing_set(ngx_chathub_member_t *m, ngx_uint_t typing)
{
    assert_int_equal(typing, 0);
}


void
ngx_chathub_hub_left(ngx_chathub_hub_t *h, ngx_chathub_room_t *room,
    uint32_t user)
{
    left++;
}


/* Two codecs: the one writes as it is, the other twice, in brackets. */


static size_t
once_message_size(size_t len)
{
    return len;
}


static u_char *
once_message(u_char *p, ngx_str_t *head, ngx_str_t *body)
{
    p = ngx_cpymem(p, head->data, head->len);

    return ngx_cpymem(p, body->data, body->len);
}


static size_t
once_event_size(ngx_chathub_out_e event, uint64_t ref, size_t len)
{
    return len;
}


static u_char *
once_event(u_char *p, ngx_chathub_out_e event, uint64_t ref, ngx_str_t *data)
{
    return ngx_cpymem(p, data->data, data->len);
}


static size_t
twice_message_size(size_t len)
{
    return 2 * len + 2;
}


static u_char *
twice_message(u_char *p, ngx_str_t *head, ngx_str_t *body)
{
    *p++ = '[';
    p = once_message(p, head, body);
    p = once_message(p, head, body);
    *p++ = ']';

    return p;
}


static size_t
twice_event_size(ngx_chathub_out_e event, uint64_t ref, size_t len)
{
    return 2 * len + 2;
}


static u_char *
twice_event(u_char *p, ngx_chathub_out_e event, uint64_t ref, ngx_str_t *data)
{
    *p++ = '[';
    p = once_event(p, event, ref, data);
    p = once_event(p, event, ref, data);
    *p++ = ']';

    return p;
}


static const ngx_chathub_codec_t  once = {
    ngx_string("once"), once_message_size, once_message, once_event_size,
    once_event, NULL, NULL, NULL
};

static const ngx_chathub_codec_t  twice = {
    ngx_string("twice"), twice_message_size, twice_message, twice_event_size,
    twice_event, NULL, NULL, NULL
};


static int
setup(void **state)
{
    ngx_uint_t  i;

    ngx_memzero(&hub, sizeof(ngx_chathub_hub_t));
    ngx_memzero(&group, sizeof(ngx_chathub_group_t));
    ngx_memzero(clients, sizeof(clients));

    hub.log = &log0;
    hub.flush.log = &log0;
    hub.reap.log = &log0;
    hub.hot_flush.log = &log0;
    group.hub = &hub;

    ngx_queue_init(&hub.dirty);
    ngx_queue_init(&hub.hot);
    ngx_queue_init(&hub.sending);
    ngx_queue_init(&ngx_posted_events);
    ngx_rbtree_init(&hub.rooms, &hub.rooms_sentinel, ngx_rbtree_insert_value);
    (void) ngx_event_timer_init(&log0);

    ngx_current_msec = 1000000;

    for (i = 0; i < CLIENTS; i++) {
        clients[i].session.hub = &hub;
        clients[i].session.codec = &once;
        clients[i].session.number = i + 1;
        clients[i].text = calloc(1, TEXT);
        clients[i].expected = calloc(1, TEXT);
        assert_non_null(clients[i].text);
        assert_non_null(clients[i].expected);
    }

    allocations = -1;
    in_send = NULL;
    settled = lost = left = forgotten = 0;

    return 0;
}


static int
teardown(void **state)
{
    ngx_uint_t  i;

    ngx_chathub_group_free(&group);

    for (i = 0; i < CLIENTS; i++) {
        free(clients[i].text);
        free(clients[i].expected);
    }

    return 0;
}


static void
add(client_t *c)
{
    assert_int_equal(ngx_chathub_group_add(&group, &c->place, &c->session),
                     NGX_OK);
}


static void
drop(client_t *c)
{
    ngx_chathub_group_remove(&c->place);
}


static ngx_int_t
say_except(const char *text, uint64_t except)
{
    ngx_str_t  data;

    data.data = (u_char *) text;
    data.len = strlen(text);

    return ngx_chathub_group_event(&group, NGX_CHATHUB_OUT_ROOM, &data,
                                   except);
}


static void
say(const char *text)
{
    assert_int_equal(say_except(text, 0), NGX_OK);
}


static ngx_int_t
flush(ngx_uint_t budget)
{
    /* as the event's handler does */

    if (hub.flush.posted) {
        ngx_delete_posted_event(&hub.flush);
    }

    return ngx_chathub_group_flush(&hub, &budget);
}


static void
start(ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        add(&clients[i]);
    }
}


/* places, their indexes and the counts of the variants agree */

static void
audit(void)
{
    ngx_uint_t              i, n;
    ngx_chathub_variant_t  *v;

    n = 0;

    for (i = 0; i < group.n; i++) {
        assert_ptr_equal(group.places[i]->group, &group);
        assert_int_equal(group.places[i]->index, i);
    }

    for (v = group.variants; v; v = v->next) {
        n += v->n;
    }

    assert_int_equal(n, group.n);
    assert_true(group.cursor <= group.end);
    assert_true(group.end <= group.n);
}


/* Sessions come and go between the slices of a batch. */


static void
test_slices(void **state)
{
    ngx_uint_t  i;

    start(5);
    say("1;");

    assert_int_equal(flush(2), NGX_AGAIN);
    assert_string_equal(clients[1].text, "1;");
    assert_string_equal(clients[2].text, "");

    /* what is said meanwhile comes behind it */

    say("2;");
    assert_int_equal(flush(2), NGX_AGAIN);
    assert_int_equal(flush(ALL), NGX_OK);

    for (i = 0; i < 5; i++) {
        assert_string_equal(clients[i].text, "1;2;");
    }

    assert_int_equal(group.state, NGX_CHATHUB_GROUP_QUIET);
}


static void
test_remove_between(void **state)
{
    ngx_uint_t  i, k, set;
    client_t   *c;

    /* each set of those who go, at each place of the cursor */

    for (k = 0; k <= 6; k++) {

        for (set = 0; set < 64; set++) {
            start(6);
            say("1;");

            assert_int_equal(flush(k), (k < 6) ? NGX_AGAIN : NGX_OK);

            for (i = 0; i < 6; i++) {
                if (set & (1 << i)) {
                    drop(&clients[i]);
                    audit();
                }
            }

            /* two come, one of them has been here before */

            c = (set & 1) ? &clients[0] : &clients[7];

            add(c);
            add(&clients[6]);
            audit();

            say("2;");
            assert_int_equal(flush(ALL), NGX_OK);
            say("3;");
            assert_int_equal(flush(ALL), NGX_OK);

            for (i = 1; i < 6; i++) {
                assert_string_equal(clients[i].text,
                                    !(set & (1 << i)) ? "1;2;3;"
                                                      : (i < k) ? "1;" : "");
            }

            assert_string_equal(clients[0].text, (k || !(set & 1))
                                                 ? "1;2;3;" : "2;3;");
            assert_string_equal(clients[6].text, "2;3;");

            if (!(set & 1)) {
                assert_string_equal(clients[7].text, "2;3;");
            }

            while (group.n) {
                drop((client_t *) group.places[0]->session);
            }

            for (i = 0; i < 8; i++) {
                clients[i].len = 0;
                clients[i].text[0] = '\0';
            }
        }
    }
}


static void
remove_in_send(client_t *c)
{
    if (c == in_send_of && in_send_removes->place.group) {
        drop(in_send_removes);
        audit();
    }
}


static void
test_remove_within(void **state)
{
    ngx_uint_t  i, of, who, budget;

    in_send = remove_in_send;

    for (budget = 1; budget <= 6; budget++) {

        for (of = 0; of < 6; of++) {

            for (who = 0; who < 6; who++) {
                in_send_of = &clients[of];
                in_send_removes = &clients[who];

                start(6);
                say("1;");

                while (flush(budget) == NGX_AGAIN) { /* void */ }

                say("2;");
                assert_int_equal(flush(ALL), NGX_OK);

                for (i = 0; i < 6; i++) {
                    assert_string_equal(clients[i].text,
                                        (i != who) ? "1;2;"
                                                   : (i <= of) ? "1;" : "");
                    clients[i].len = 0;
                    clients[i].text[0] = '\0';
                }

                while (group.n) {
                    drop((client_t *) group.places[0]->session);
                }
            }
        }
    }
}


/* a long run of all of it, against what should come */

static void
test_random(void **state)
{
    char         text[32];
    client_t    *c;
    ngx_uint_t   i, n, step;

    srandom(1);
    n = 0;

    for (step = 0; step < 20000; step++) {

        c = &clients[random() % 16];

        switch (random() % 6) {

        case 0:
        case 1:

            /* as the replays do: nobody enters what is gathered */

            if (c->place.group == NULL && !ngx_chathub_group_gathers(&group)) {
                c->len = 0;
                c->text[0] = '\0';
                c->expected[0] = '\0';
                c->session.codec = (random() % 3) ? &once : &twice;
                add(c);
            }

            break;

        case 2:
            if (c->place.group) {
                drop(c);

                /* what it had was the beginning of what it would get */

                assert_memory_equal(c->text, c->expected, c->len);
            }

            break;

        case 3:
        case 4:
            (void) sprintf(text, "%u;", (unsigned) ++n);
            say(text);

            for (i = 0; i < 16; i++) {
                if (clients[i].place.group) {
                    (void) sprintf(clients[i].expected
                                   + strlen(clients[i].expected),
                                   (clients[i].session.codec == &once)
                                   ? "%s" : "[%s%s]", text, text);
                }
            }

            break;

        default:
            (void) flush(random() % 8);
        }

        audit();
    }

    assert_int_equal(flush(ALL), NGX_OK);

    for (i = 0; i < 16; i++) {
        if (clients[i].place.group) {
            assert_string_equal(clients[i].text, clients[i].expected);
        }
    }
}


/* The codecs. */


static void
test_variants(void **state)
{
    clients[1].session.codec = &twice;

    start(3);
    say("1;");
    assert_int_equal(flush(ALL), NGX_OK);

    assert_string_equal(clients[0].text, "1;");
    assert_string_equal(clients[1].text, "[1;1;]");
    assert_string_equal(clients[2].text, "1;");

    /* the only one of its codec comes back while a batch is being sent that
     * was begun without it */

    drop(&clients[1]);
    say("2;");
    assert_int_equal(flush(1), NGX_AGAIN);
    add(&clients[1]);
    say("3;");
    assert_int_equal(flush(ALL), NGX_OK);

    assert_string_equal(clients[0].text, "1;2;3;");
    assert_string_equal(clients[1].text, "[1;1;][3;3;]");
    assert_string_equal(clients[2].text, "1;2;3;");

    /* it goes with its batch gathered, and another one comes after that */

    say("4;");
    drop(&clients[1]);
    say("5;");
    assert_int_equal(flush(ALL), NGX_OK);
    add(&clients[1]);
    say("6;");
    assert_int_equal(flush(ALL), NGX_OK);

    assert_string_equal(clients[0].text, "1;2;3;4;5;6;");
    assert_string_equal(clients[1].text, "[1;1;][3;3;][6;6;]");
}


static void
test_message(void **state)
{
    ngx_str_t             head;
    u_char                buf[NGX_CHATHUB_MESSAGE_HEAD_MAX];
    ngx_chathub_record_t  rec;

    ngx_memzero(&rec, sizeof(ngx_chathub_record_t));
    ngx_str_set(&rec.id, "an-id");
    ngx_str_set(&rec.body, "body");
    rec.seq = 7;

    clients[1].session.codec = &twice;
    start(2);

    assert_int_equal(ngx_chathub_group_message(&group, &rec), NGX_OK);
    assert_int_equal(flush(ALL), NGX_OK);

    head.data = buf;
    head.len = ngx_chathub_message_head(buf, &rec.id, rec.seq, rec.epoch,
                                        rec.time)
               - buf;

    assert_int_equal(clients[0].len, head.len + 4);
    assert_memory_equal(clients[0].text, buf, head.len);
    assert_string_equal(clients[0].text + head.len, "body");
    assert_int_equal(clients[1].len, 2 * (head.len + 4) + 2);
    assert_int_equal(clients[0].sends, 1);
}


/* What a session itself has caused. */


static void
test_except(void **state)
{
    clients[2].session.codec = &twice;
    start(4);

    say_except("first;", 1);
    say_except("second;", 1);
    say("third;");
    say_except("fourth;", 2);
    say_except("fifth;", 3);
    say("sixth;");
    say_except("last;", 1);

    assert_int_equal(flush(ALL), NGX_OK);

    assert_string_equal(clients[0].text, "third;fourth;fifth;sixth;");
    assert_string_equal(clients[1].text,
                        "first;second;third;fifth;sixth;last;");
    assert_string_equal(clients[2].text,
                        "[first;first;][second;second;][third;third;]"
                        "[fourth;fourth;][sixth;sixth;][last;last;]");
    assert_string_equal(clients[3].text,
                        "first;second;third;fourth;fifth;sixth;last;");

    /* of a batch nothing is left in the next two */

    say("a;");
    assert_int_equal(flush(ALL), NGX_OK);
    say("b;");
    assert_int_equal(flush(ALL), NGX_OK);

    assert_string_equal(clients[0].text, "third;fourth;fifth;sixth;a;b;");
}


static void
test_except_all(void **state)
{
    start(2);

    say_except("1;", 1);
    assert_int_equal(flush(ALL), NGX_OK);

    assert_string_equal(clients[0].text, "");
    assert_string_equal(clients[1].text, "1;");
}


static void
test_except_gathered(void **state)
{
    /* the one batch is being sent while the other one grows */

    start(3);

    say_except("1;", 3);
    assert_int_equal(flush(1), NGX_AGAIN);
    say_except("2;", 1);
    assert_int_equal(flush(ALL), NGX_OK);

    assert_string_equal(clients[0].text, "1;");
    assert_string_equal(clients[1].text, "1;2;");
    assert_string_equal(clients[2].text, "2;");
}


static void
test_except_many(void **state)
{
    ngx_uint_t  i;

    start(2);

    for (i = 0; i < NGX_CHATHUB_EXCEPT_MAX; i++) {
        assert_int_equal(say_except("1;", 1), NGX_OK);
    }

    assert_int_equal(say_except("2;", 1), NGX_AGAIN);
    assert_int_equal(say_except("3;", 0), NGX_OK);
    assert_int_equal(flush(ALL), NGX_OK);

    assert_string_equal(clients[0].text, "3;");
    assert_int_equal(clients[1].len, (NGX_CHATHUB_EXCEPT_MAX + 1) * 2);

    assert_int_equal(say_except("4;", 1), NGX_OK);
    assert_int_equal(flush(ALL), NGX_OK);
    assert_string_equal(clients[0].text, "3;");
}


/* A batch is full. */


static void
test_full(void **state)
{
    char        text[1024];
    ngx_uint_t  n, i;

    clients[1].session.codec = &twice;
    start(3);

    memset(text, '.', sizeof(text));
    text[sizeof(text) - 1] = '\0';

    for (n = 0; say_except(text, 0) == NGX_OK; n++) {
        (void) sprintf(text, "%08u", (unsigned) n + 1);
        text[8] = '.';
        assert_true(n < TEXT / sizeof(text));
    }

    /* the larger of the two is */

    assert_true(n > 100);
    assert_true(n * 2 * sizeof(text) <= NGX_CHATHUB_BATCH_MAX);

    /* asked again it stays where it is, and is in none of them */

    assert_int_equal(say_except(text, 0), NGX_AGAIN);
    assert_true(hub.flush.posted);

    assert_int_equal(flush(2), NGX_AGAIN);

    /* there is room while the full one is being sent */

    assert_int_equal(say_except(text, 0), NGX_OK);
    assert_int_equal(flush(ALL), NGX_OK);

    assert_int_equal(clients[0].len, (n + 1) * (sizeof(text) - 1));
    assert_int_equal(clients[1].len, (n + 1) * (2 * (sizeof(text) - 1) + 2));

    for (i = 1; i <= n; i++) {
        assert_int_equal(atoi(clients[2].text + i * (sizeof(text) - 1)), i);
    }
}


static void
test_full_while_sending(void **state)
{
    char        text[1024];
    ngx_uint_t  n;

    start(3);

    memset(text, '.', sizeof(text));
    text[sizeof(text) - 1] = '\0';

    say("1;");
    assert_int_equal(flush(1), NGX_AGAIN);

    for (n = 0; say_except(text, 0) == NGX_OK; n++) { /* void */ }

    assert_true(hub.flush.posted);
    assert_int_equal(flush(1), NGX_AGAIN);
    assert_int_equal(say_except(text, 0), NGX_AGAIN);

    assert_int_equal(flush(ALL), NGX_OK);
    assert_int_equal(say_except(text, 0), NGX_OK);
    assert_int_equal(flush(ALL), NGX_OK);

    assert_int_equal(clients[0].len, 2 + (n + 1) * (sizeof(text) - 1));
    assert_int_equal(clients[2].len, 2 + (n + 1) * (sizeof(text) - 1));
}


static void
test_large(void **state)
{
    char  *text;

    /* one of any size goes into an empty batch */

    text = malloc(2 * NGX_CHATHUB_BATCH_MAX);
    assert_non_null(text);
    memset(text, '.', 2 * NGX_CHATHUB_BATCH_MAX);
    text[2 * NGX_CHATHUB_BATCH_MAX - 1] = '\0';

    start(2);
    say(text);
    assert_int_equal(say_except("1;", 0), NGX_AGAIN);
    assert_int_equal(flush(ALL), NGX_OK);

    assert_string_equal(clients[1].text, text);
    free(text);
}


/* Heat. */


static void
test_hot(void **state)
{
    ngx_uint_t  i;

    start(CLIENTS);

    /* 64 sessions, 4000 a second */

    for (i = 0; i < 2000; i++) {
        ngx_current_msec += !(i % 4);
        say("1;");

        if (group.state == NGX_CHATHUB_GROUP_HOT) {
            break;
        }

        assert_int_equal(flush(ALL), NGX_OK);
    }

    assert_int_equal(group.state, NGX_CHATHUB_GROUP_HOT);
    assert_true(hub.hot_flush.timer_set);

    /* not before its time */

    assert_int_equal(flush(ALL), NGX_OK);
    assert_int_equal(clients[0].len, i * 2);

    ngx_chathub_group_flush_hot(&hub);
    assert_true(hub.flush.posted);
    assert_int_equal(flush(ALL), NGX_OK);
    assert_int_equal(clients[0].len, (i + 1) * 2);

    /* a second later it is not hot any more */

    ngx_current_msec += 1000;
    say("2;");
    assert_int_equal(group.state, NGX_CHATHUB_GROUP_DIRTY);

    ngx_del_timer(&hub.hot_flush);
}


/* No memory. */


static void
test_no_memory_add(void **state)
{
    allocations = 0;
    assert_int_equal(ngx_chathub_group_add(&group, &clients[0].place,
                                           &clients[0].session),
                     NGX_ERROR);
    assert_int_equal(group.n, 0);

    /* for the places, but not for the variant */

    allocations = 1;
    assert_int_equal(ngx_chathub_group_add(&group, &clients[0].place,
                                           &clients[0].session),
                     NGX_ERROR);
    assert_int_equal(group.n, 0);
    assert_null(clients[0].place.group);

    allocations = -1;
    start(2);

    allocations = 0;
    assert_int_equal(ngx_chathub_group_add(&group, &clients[2].place,
                                           &clients[2].session),
                     NGX_ERROR);
    audit();

    allocations = -1;
    say("1;");
    assert_int_equal(flush(ALL), NGX_OK);
    assert_string_equal(clients[0].text, "1;");
    assert_string_equal(clients[1].text, "1;");
    assert_string_equal(clients[2].text, "");
}


static void
test_no_memory_say(void **state)
{
    clients[1].session.codec = &twice;
    start(2);

    /* for the one, but not for the other */

    allocations = 1;
    assert_int_equal(say_except("1;", 0), NGX_ERROR);

    /* nothing is gathered: who has caught up may enter */

    assert_int_equal(ngx_chathub_group_gathers(&group), 0);

    allocations = -1;
    say("1;");
    assert_int_equal(flush(ALL), NGX_OK);

    assert_string_equal(clients[0].text, "1;");
    assert_string_equal(clients[1].text, "[1;1;]");

    /* a batch that cannot grow keeps what it has */

    say("2;");

    allocations = 0;

    while (say_except("3;", 0) == NGX_OK) { /* void */ }

    assert_true(ngx_chathub_group_gathers(&group));

    allocations = -1;
    assert_int_equal(flush(ALL), NGX_OK);
    assert_memory_equal(clients[0].text, "1;2;3;", 6);
    assert_int_equal(clients[1].len, 3 * clients[0].len);
}


static void
test_no_memory_except(void **state)
{
    start(2);

    allocations = 1;
    assert_int_equal(say_except("1;", 1), NGX_ERROR);
    assert_int_equal(ngx_chathub_group_gathers(&group), 0);

    allocations = -1;
    assert_int_equal(say_except("2;", 1), NGX_OK);
    assert_int_equal(flush(ALL), NGX_OK);

    assert_string_equal(clients[0].text, "");
    assert_string_equal(clients[1].text, "2;");
}


/* Rooms. */


static ngx_chathub_room_t *
make_room(ngx_uint_t n, ngx_chathub_user_t *user)
{
    ngx_str_t                   name;
    ngx_uint_t                  i;
    ngx_chathub_room_t         *room;
    ngx_chathub_member_t       *m;
    ngx_chathub_stream_info_t   info;

    ngx_memzero(&info, sizeof(ngx_chathub_stream_info_t));
    ngx_memzero(user, sizeof(ngx_chathub_user_t));
    ngx_str_set(&name, "room");

    info.stream = 3;
    info.stream_id = 33;
    info.epoch = 9;
    info.seq = 10;

    room = ngx_chathub_room_create(&hub, &name, &info);
    assert_non_null(room);

    for (i = 0; i < n; i++) {
        clients[i].session.user = user;
        m = ngx_chathub_member_create(&clients[i].session, room);
        assert_non_null(m);
        assert_int_equal(ngx_chathub_group_add(&room->group, &m->place,
                                               &clients[i].session),
                         NGX_OK);
    }

    return room;
}


static void
all_leave(client_t *c)
{
    ngx_uint_t              i;
    ngx_chathub_session_t  *s;

    for (i = 0; i < CLIENTS; i++) {
        s = &clients[i].session;

        while (s->members) {
            ngx_chathub_member_free(s, s->members);
        }
    }
}


static void
test_room_retired(void **state)
{
    ngx_str_t            data;
    ngx_chathub_user_t   user;
    ngx_chathub_room_t  *room;

    room = make_room(4, &user);
    start(2);

    ngx_str_set(&data, "1;");
    assert_int_equal(ngx_chathub_room_event(room, NGX_CHATHUB_OUT_ROOM, &data,
                                            0),
                     NGX_OK);
    say("2;");

    /* the first one who is sent it takes all along, and the room with them;
     * the other group gets its batch */

    in_send = all_leave;
    assert_int_equal(flush(ALL), NGX_OK);

    assert_string_equal(clients[0].text, "1;2;");
    assert_string_equal(clients[1].text, "2;");
    assert_string_equal(clients[2].text, "");
    assert_int_equal(left, 4);
    assert_int_equal(forgotten, 1);

    assert_null(ngx_chathub_room_find(&hub, 3, 33));
    assert_true(hub.reap.posted);
    assert_true(ngx_queue_empty(&hub.sending));

    ngx_chathub_room_reap(&hub);
    assert_null(hub.empty);
}


static void
test_room_records(void **state)
{
    ngx_uint_t              n;
    ngx_chathub_user_t      user;
    ngx_chathub_room_t     *room;
    ngx_chathub_record_t    rec;
    ngx_chathub_catchup_t   behind;

    room = make_room(1, &user);

    ngx_memzero(&rec, sizeof(ngx_chathub_record_t));
    ngx_str_set(&rec.id, "id");
    rec.body.data = malloc(60000);
    assert_non_null(rec.body.data);
    memset(rec.body.data, '.', 60000);
    rec.body.len = 1;
    rec.epoch = 9;

    /* before its time: nothing; the next one: gathered */

    rec.seq = 10;
    assert_int_equal(ngx_chathub_room_record(room, &rec), NGX_OK);
    assert_int_equal(ngx_chathub_group_gathers(&room->group), 0);

    rec.seq = 11;
    rec.position = 800;
    assert_int_equal(ngx_chathub_room_record(room, &rec), NGX_OK);
    assert_int_equal(room->seq, 11);
    assert_int_equal(room->last, 800);
    assert_true(ngx_chathub_group_gathers(&room->group));
    assert_int_equal(lost, 0);

    /* a gap, and another epoch */

    rec.seq = 13;
    assert_int_equal(ngx_chathub_room_record(room, &rec), NGX_OK);
    assert_int_equal(lost, 1);

    rec.seq = 12;
    rec.epoch = 8;
    assert_int_equal(ngx_chathub_room_record(room, &rec), NGX_OK);
    assert_int_equal(lost, 2);
    assert_int_equal(room->seq, 11);

    /* one that finds no room is not passed by */

    rec.epoch = 9;
    rec.body.len = 60000;
    in_send = NULL;

    for (n = 0; ngx_chathub_room_record(room, &rec) == NGX_OK; n++) {
        rec.seq++;
        assert_true(n < 10);
    }

    assert_int_equal(room->seq, 11 + n);
    assert_int_equal(flush(ALL), NGX_OK);
    assert_int_equal(ngx_chathub_room_record(room, &rec), NGX_OK);
    assert_int_equal(room->seq, 12 + n);
    assert_int_equal(lost, 2);

    /* the room's own replay is told up to where it has to come */

    ngx_memzero(&behind, sizeof(ngx_chathub_catchup_t));
    room->behind = &behind;

    rec.seq++;
    rec.position = 4000;
    assert_int_equal(ngx_chathub_room_record(room, &rec), NGX_OK);
    assert_int_equal(room->seq, 12 + n);
    assert_int_equal(room->passed, 13 + n);
    assert_int_equal(room->passed_at, 4000);

    room->behind = NULL;
    all_leave(NULL);
    ngx_chathub_room_reap(&hub);
    free(rec.body.data);
}


static void
test_room_settles(void **state)
{
    ngx_str_t            data;
    ngx_chathub_user_t   user;
    ngx_chathub_room_t  *room;

    room = make_room(2, &user);

    ngx_str_set(&data, "1;");
    assert_int_equal(ngx_chathub_room_event(room, NGX_CHATHUB_OUT_ROOM, &data,
                                            0),
                     NGX_OK);

    /* as the batch is closed, and as it has been sent */

    assert_int_equal(flush(1), NGX_AGAIN);
    assert_int_equal(settled, 1);
    assert_int_equal(flush(ALL), NGX_OK);
    assert_int_equal(settled, 2);

    all_leave(NULL);
    ngx_chathub_room_reap(&hub);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(test_slices, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remove_between, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remove_within, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
        cmocka_unit_test_setup_teardown(test_variants, setup, teardown),
        cmocka_unit_test_setup_teardown(test_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_except, setup, teardown),
        cmocka_unit_test_setup_teardown(test_except_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_except_gathered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_except_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_while_sending, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_add, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_say, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_except, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_room_retired, setup, teardown),
        cmocka_unit_test_setup_teardown(test_room_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_room_settles, setup, teardown)
    };

    return cmocka_run_group_tests_name("room", tests, NULL, NULL);
}
