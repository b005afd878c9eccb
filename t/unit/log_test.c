
/*
 * Copyright (C) ChatHub contributors
 */


/* The logs: append, read, replay, repeats, whom to ring. */


#include "log_audit.h"


static area_t   area;
static u_char  *buf;


static int
setup(void **state)
{
    area_make(&area, AREA_SIZE, NGX_CHATHUB_SLOTS_MIN, 0);

    buf = malloc(ngx_chathub_zone_max_record(AREA_SIZE));
    assert_non_null(buf);

    return 0;
}


static int
setup_durable(void **state)
{
    area_make(&area, AREA_SIZE, NGX_CHATHUB_SLOTS_MIN, 1);

    buf = malloc(ngx_chathub_zone_max_record(AREA_SIZE));
    assert_non_null(buf);

    return 0;
}


static int
teardown(void **state)
{
    ngx_chathub_point_hook = NULL;

    free(buf);
    area_free(&area);

    return 0;
}


static ngx_int_t
read_one(ngx_chathub_log_t *l, uint64_t *pos, ngx_chathub_record_t *rec)
{
    return ngx_chathub_log_read(l, pos, rec, buf, NULL, NULL);
}


static void
test_append_read(void **state)
{
    uint64_t              pos;
    ngx_chathub_zone_t    z;
    ngx_chathub_append_t  a;
    ngx_chathub_record_t  rec;

    area_worker(&area, &z);

    pos = ngx_chathub_log_head(&z.messages);
    assert_int_not_equal(pos, 0);

    assert_int_equal(read_one(&z.messages, &pos, &rec), NGX_DONE);

    assert_int_equal(append(&z, &a, room_key("lobby"), "ann", "id-1",
                            "\"user\":\"ann\"}"),
                     NGX_OK);
    assert_int_equal(a.seq, 1);
    assert_int_equal(a.epoch, AREA_LIFE);
    assert_int_equal(a.time, T0);
    assert_int_equal(a.position, pos);
    assert_int_equal(z.sh->stored, ngx_chathub_log_head(&z.messages));

    assert_int_equal(append(&z, &a, pair_key("bob", "ann"), "bob", "id-2",
                            "hello"),
                     NGX_OK);
    assert_int_equal(a.seq, 1);

    assert_int_equal(read_one(&z.messages, &pos, &rec), NGX_OK);
    assert_int_equal(rec.kind, NGX_CHATHUB_REC_MESSAGE);
    assert_int_equal(rec.stream_kind, NGX_CHATHUB_STREAM_ROOM);
    assert_int_equal(rec.seq, 1);
    assert_int_equal(rec.epoch, AREA_LIFE);
    assert_int_equal(rec.time, T0);
    assert_int_equal(rec.origin, AREA_LIFE);
    assert_int_equal(rec.prev, 0);
    assert_int_equal(rec.session, 0);
    assert_int_equal(rec.next, pos);
    assert_int_equal(rec.length, 3 + 4 + 13);
    assert_memory_equal(rec.user.data, "ann", 3);
    assert_int_equal(rec.to.len, 0);
    assert_int_equal(rec.id.len, 4);
    assert_memory_equal(rec.id.data, "id-1", 4);
    assert_int_equal(rec.body.len, 13);
    assert_memory_equal(rec.body.data, "\"user\":\"ann\"}", 13);

    assert_int_equal(read_one(&z.messages, &pos, &rec), NGX_OK);
    assert_int_equal(rec.stream_kind, NGX_CHATHUB_STREAM_PAIR);
    assert_int_equal(rec.user.len, 3);
    assert_memory_equal(rec.user.data, "bob", 3);
    assert_int_equal(rec.to.len, 3);
    assert_memory_equal(rec.to.data, "ann", 3);

    assert_int_equal(read_one(&z.messages, &pos, &rec), NGX_DONE);
    assert_true(mutex_free(&area));
    audit(&z);
}


/* who is not interested does not copy */

static ngx_uint_t
want_nothing(void *data, ngx_chathub_record_t *rec)
{
    assert_int_equal(rec->user.len, 0);
    assert_int_equal(rec->length, 5);

    (*(ngx_uint_t *) data)++;

    return 0;
}


static void
test_read_unwanted(void **state)
{
    uint64_t              pos;
    ngx_uint_t            asked;
    ngx_chathub_zone_t    z;
    ngx_chathub_append_t  a;
    ngx_chathub_record_t  rec;

    area_worker(&area, &z);

    pos = ngx_chathub_log_head(&z.messages);
    assert_int_equal(append(&z, &a, room_key("lobby"), "ann", "1", "b"),
                     NGX_OK);

    asked = 0;
    buf[0] = 0xbd;
    assert_int_equal(ngx_chathub_log_read(&z.messages, &pos, &rec, buf,
                                          want_nothing, &asked),
                     NGX_OK);
    assert_int_equal(asked, 1);
    assert_int_equal(buf[0], 0xbd);
    assert_int_equal(rec.seq, 1);
    assert_int_equal(rec.body.len, 0);
    assert_int_equal(pos, ngx_chathub_log_head(&z.messages));
}


/* several times round, records of many sizes; each is in one piece, the tail
 * stands on a boundary, and all arrive as they were */

static void
test_round(void **state)
{
    char                   id[32], *body;
    size_t                 size, max;
    uint64_t               pos, padded;
    ngx_uint_t             i;
    ngx_chathub_log_sh_t  *sh;
    ngx_chathub_zone_t     z;
    ngx_chathub_append_t   a;
    ngx_chathub_record_t   rec;

    area_worker(&area, &z);

    sh = &z.sh->logs[0];
    max = z.messages.size / NGX_CHATHUB_SHARE - sizeof(ngx_chathub_rec_sh_t)
          - 64;
    body = malloc(max + 1);
    assert_non_null(body);

    pos = ngx_chathub_log_head(&z.messages);
    padded = 0;

    for (i = 0; sh->head < 5 * z.messages.size; i++) {
        size = (i * 7919) % ((i % 50 == 0) ? max : 3000);
        memset(body, 'a' + i % 26, size);
        body[size] = '\0';

        (void) snprintf(id, sizeof(id), "id-%u", (unsigned) i);

        assert_int_equal(append(&z, &a, room_key("lobby"), "ann", id, body),
                         NGX_OK);
        assert_int_equal(a.seq, i + 1);

        assert_int_equal(sh->tail % NGX_CHATHUB_UNIT, 0);
        assert_true(sh->head - sh->tail <= z.messages.size);
        assert_true(sh->head - sh->tail + 2 * NGX_CHATHUB_UNIT
                    + z.messages.size / NGX_CHATHUB_SHARE * 2
                    >= ngx_min(z.messages.size, sh->head));

        padded += a.position - pos;

        assert_int_equal(read_one(&z.messages, &pos, &rec), NGX_OK);
        assert_int_equal(rec.position, a.position);
        assert_int_equal(rec.seq, i + 1);
        assert_int_equal(rec.body.len, size);
        assert_true(rec.position / z.messages.size
                    == (rec.next - 1) / z.messages.size);

        if (size) {
            assert_memory_equal(rec.body.data, body, size);
        }
    }

    assert_true(padded > 0);
    audit(&z);

    free(body);
}


static void
test_too_large(void **state)
{
    char                  *body;
    size_t                 size;
    ngx_str_t              name, text;
    ngx_uint_t             changed;
    uint32_t               user;
    ngx_chathub_zone_t     z;
    ngx_chathub_append_t   a;
    ngx_chathub_slotset_t  ring;
    ngx_chathub_stream_info_t  info;

    area_worker(&area, &z);

    size = z.messages.size / NGX_CHATHUB_SHARE - sizeof(ngx_chathub_rec_sh_t)
           - 4;
    body = malloc(size + 2);
    assert_non_null(body);

    memset(body, 'x', size + 1);
    body[size] = '\0';

    assert_int_equal(ngx_chathub_zone_max_record(AREA_SIZE),
                     z.messages.size / NGX_CHATHUB_SHARE);
    assert_int_equal(append(&z, &a, room_key("r"), "ann", "1", body), NGX_OK);

    body[size] = 'x';
    body[size + 1] = '\0';
    assert_int_equal(append(&z, &a, room_key("r"), "ann", "2", body),
                     NGX_ERROR);

    /* nothing came of it */

    assert_int_equal(append(&z, &a, room_key("r"), "ann", "3", "x"), NGX_OK);
    assert_int_equal(a.seq, 2);

    name = str("ann");
    assert_int_equal(ngx_chathub_user_online(&z, &name, &user), NGX_OK);
    text = str("r");
    assert_int_equal(ngx_chathub_member_join(&z, &text, user, &info, &changed,
                                             &ring),
                     NGX_OK);

    text.data = (u_char *) body;
    text.len = z.directed.size / NGX_CHATHUB_SHARE;
    assert_int_equal(ngx_chathub_log_direct(&z, NGX_CHATHUB_REC_TYPING,
                                            info.stream, info.stream_id,
                                            &name, &text, 1, &ring),
                     NGX_ERROR);
    free(body);
}


/* The order in which a writer makes things visible. */


typedef struct {
    ngx_chathub_zone_t        *z;
    ngx_chathub_append_t      *a;
    ngx_chathub_stream_info_t  info;
    uint64_t                   tail, head, last, seq;
    ngx_uint_t                 seen;
} order_t;

static order_t  order;


static ngx_uint_t
order_id_known(void)
{
    ngx_chathub_rec_sh_t  *h;

    h = ngx_chathub_log_record(&order.z->messages,
                               order.z->sh->logs[0].last);

    return h && h->seq == order.seq + 1 && ngx_chathub_ids_has(order.z, h);
}


static void
order_hook(const char *name)
{
    ngx_uint_t                  step, done;
    ngx_chathub_log_sh_t       *sh;
    ngx_chathub_rec_sh_t       *h;
    ngx_chathub_stream_info_t   info;
    static const char          *steps[] = {
        "log tail", "log half", "log record", "log last", "log head",
        "append stream", "append id"
    };

    for (step = 0; step < sizeof(steps) / sizeof(steps[0]); step++) {
        if (strcmp(steps[step], name) == 0) {
            break;
        }
    }

    if (step == sizeof(steps) / sizeof(steps[0])) {
        return;
    }

    order.seen |= 1 << step;
    sh = &order.z->sh->logs[0];

    /* what each is by then, and is not yet */

    done = (sh->tail != order.tail);
    assert_int_equal(done, 1);

    done = (sh->last != order.last);
    assert_int_equal(done, step >= 3);

    if (step == 2) {
        h = (ngx_chathub_rec_sh_t *) (order.z->messages.start
                                      + order.head % order.z->messages.size);
        assert_true(h->kind == NGX_CHATHUB_REC_PAD
                    || h->seq == order.seq + 1);
    }

    done = (sh->head != order.head);
    assert_int_equal(done, step >= 4);

    assert_int_equal(ngx_chathub_stream_get(order.z, order.info.stream,
                                            order.info.stream_id, &info),
                     NGX_OK);
    done = (info.seq != order.seq);
    assert_int_equal(done, step >= 5);

    assert_int_equal(order_id_known(), step >= 6);
}


static void
test_order(void **state)
{
    char                  *body;
    size_t                 size;
    ngx_chathub_key_t      key;
    ngx_chathub_zone_t     z;
    ngx_chathub_append_t   a;

    area_worker(&area, &z);

    append_round(&z, "lobby");

    size = z.messages.size / 20;
    body = malloc(size + 1);
    assert_non_null(body);
    memset(body, 'x', size);
    body[size] = '\0';

    key = room_key("lobby");
    assert_int_equal(ngx_chathub_stream_find(&z, &key, 0, &order.info),
                     NGX_OK);

    /* of a length that makes the tail move */

    order.z = &z;
    order.a = &a;
    order.tail = z.sh->logs[0].tail;
    order.head = z.sh->logs[0].head;
    order.last = z.sh->logs[0].last;
    order.seq = order.info.seq;
    order.seen = 0;

    ngx_chathub_point_hook = order_hook;
    assert_int_equal(append(&z, &a, room_key("lobby"), "ann", "last", body),
                     NGX_OK);
    ngx_chathub_point_hook = NULL;

    assert_int_equal(order.seen, 0x7f);

    free(body);
}


/* Readers that are too late. */


static void
test_lapped(void **state)
{
    uint64_t              old, pos;
    ngx_chathub_zone_t    z;
    ngx_chathub_append_t  a;
    ngx_chathub_record_t  rec;

    area_worker(&area, &z);

    old = ngx_chathub_log_head(&z.messages);
    append_round(&z, "lobby");

    pos = old;
    assert_int_equal(read_one(&z.messages, &pos, &rec), NGX_DECLINED);
    assert_int_equal(pos, ngx_chathub_log_head(&z.messages));
    assert_int_equal(read_one(&z.messages, &pos, &rec), NGX_DONE);

    assert_int_equal(append(&z, &a, room_key("lobby"), "ann", "1", "new"),
                     NGX_OK);
    assert_int_equal(read_one(&z.messages, &pos, &rec), NGX_OK);
    assert_int_equal(rec.seq, a.seq);

    /* positions that never were */

    pos = ngx_chathub_log_head(&z.messages) + 8;
    assert_int_equal(read_one(&z.messages, &pos, &rec), NGX_DECLINED);

    pos = rec.position + 8;
    assert_int_equal(read_one(&z.messages, &pos, &rec), NGX_DECLINED);

    pos = rec.position + 1;
    assert_int_equal(read_one(&z.messages, &pos, &rec), NGX_DECLINED);

    pos = 0;
    assert_int_equal(read_one(&z.messages, &pos, &rec), NGX_DECLINED);
}


/* the writer comes round between the head of a record and its payload */

static ngx_uint_t
want_late(void *data, ngx_chathub_record_t *rec)
{
    append_round(data, "lobby");

    return 1;
}


static void
test_lapped_while_copying(void **state)
{
    uint64_t              pos;
    ngx_chathub_zone_t    z;
    ngx_chathub_append_t  a;
    ngx_chathub_record_t  rec;

    area_worker(&area, &z);

    pos = ngx_chathub_log_head(&z.messages);
    assert_int_equal(append(&z, &a, room_key("lobby"), "ann", "1", "x"),
                     NGX_OK);

    assert_int_equal(ngx_chathub_log_read(&z.messages, &pos, &rec, buf,
                                          want_late, &z),
                     NGX_DECLINED);
    assert_int_equal(pos, ngx_chathub_log_head(&z.messages));
}


static ngx_chathub_zone_t  *late_zone;

static void
late_hook(const char *name)
{
    if (strcmp(name, "log read") == 0) {
        ngx_chathub_point_hook = NULL;
        append_round(late_zone, "lobby");
    }
}


static void
test_lapped_while_looking(void **state)
{
    uint64_t              pos;
    ngx_chathub_zone_t    z;
    ngx_chathub_append_t  a;
    ngx_chathub_record_t  rec;

    area_worker(&area, &z);

    pos = ngx_chathub_log_head(&z.messages);
    assert_int_equal(append(&z, &a, room_key("lobby"), "ann", "1", "x"),
                     NGX_OK);

    late_zone = &z;
    ngx_chathub_point_hook = late_hook;

    assert_int_equal(ngx_chathub_log_read(&z.messages, &pos, &rec, buf,
                                          want_nothing, NULL),
                     NGX_DECLINED);
    assert_int_equal(pos, ngx_chathub_log_head(&z.messages));
}


/* whatever stands in the log, a reader stays in it and ends */

static void
test_garbage(void **state)
{
    char                   id[32];
    u_char                *p;
    uint64_t               pos, begin;
    ngx_int_t              rc;
    ngx_uint_t             i, k, n;
    ngx_chathub_zone_t     z;
    ngx_chathub_append_t   a;
    ngx_chathub_record_t   rec;

    area_worker(&area, &z);

    begin = ngx_chathub_log_head(&z.messages);

    for (i = 0; i < 2000; i++) {
        (void) snprintf(id, sizeof(id), "id-%u", (unsigned) i);
        assert_int_equal(append(&z, &a, room_key("lobby"), "ann", id,
                                "some text that has a certain length"),
                         NGX_OK);
    }

    srandom(1);

    for (i = 0; i < 300; i++) {

        for (k = 0; k < 1 + i; k++) {
            pos = begin + random() % (ngx_chathub_log_head(&z.messages)
                                      - begin);
            p = z.messages.start + pos % z.messages.size;
            *p = (k % 3) ? random() : 0xff;
        }

        pos = begin;

        for (n = 0; n < 5000; n++) {
            rc = read_one(&z.messages, &pos, &rec);

            if (rc != NGX_OK) {
                break;
            }

            assert_true(rec.length <= ngx_chathub_zone_max_record(AREA_SIZE));
            assert_true(rec.next > rec.position);
            assert_true(rec.user.len <= NGX_CHATHUB_NAME_MAX);
        }

        assert_true(n < 5000);

        /* from anywhere */

        pos = begin + random() % (ngx_chathub_log_head(&z.messages) - begin);
        (void) read_one(&z.messages, &pos, &rec);
    }
}


/* Replay. */


static void
test_replay(void **state)
{
    char                        id[32];
    uint64_t                    positions[100];
    ngx_uint_t                  i, n;
    ngx_chathub_key_t           key;
    ngx_chathub_zone_t          z;
    ngx_chathub_append_t        a;
    ngx_chathub_record_t        rec;
    ngx_chathub_stream_info_t   info;

    area_worker(&area, &z);

    /* two streams, one within the other */

    for (i = 1; i <= 50; i++) {
        (void) snprintf(id, sizeof(id), "a-%u", (unsigned) i);
        assert_int_equal(append(&z, &a, room_key("a"), "ann", id, id), NGX_OK);

        (void) snprintf(id, sizeof(id), "b-%u", (unsigned) i);
        assert_int_equal(append(&z, &a, room_key("b"), "ann", id, id), NGX_OK);
    }

    key = room_key("a");
    assert_int_equal(ngx_chathub_stream_find(&z, &key, 0, &info), NGX_OK);
    assert_int_equal(info.seq, 50);

    assert_int_equal(ngx_chathub_log_replay(&z.messages, info.stream_id,
                                            info.epoch, info.last, 40,
                                            positions, 100, &n),
                     NGX_OK);
    assert_int_equal(n, 10);

    for (i = 0; i < n; i++) {
        assert_int_equal(read_one(&z.messages, &positions[i], &rec), NGX_OK);
        assert_int_equal(rec.stream_id, info.stream_id);
        assert_int_equal(rec.seq, 50 - i);
    }

    assert_int_equal(ngx_chathub_log_replay(&z.messages, info.stream_id,
                                            info.epoch, info.last, 0,
                                            positions, 100, &n),
                     NGX_OK);
    assert_int_equal(n, 50);

    assert_int_equal(ngx_chathub_log_replay(&z.messages, info.stream_id,
                                            info.epoch, info.last, 0,
                                            positions, 50, &n),
                     NGX_OK);

    assert_int_equal(ngx_chathub_log_replay(&z.messages, info.stream_id,
                                            info.epoch, info.last, 0,
                                            positions, 49, &n),
                     NGX_BUSY);

    assert_int_equal(ngx_chathub_log_replay(&z.messages, info.stream_id,
                                            info.epoch, info.last, 50,
                                            positions, 100, &n),
                     NGX_OK);
    assert_int_equal(n, 0);

    /* of another life, of another stream, of none */

    assert_int_equal(ngx_chathub_log_replay(&z.messages, info.stream_id,
                                            info.epoch + 1, info.last, 40,
                                            positions, 100, &n),
                     NGX_DECLINED);
    assert_int_equal(ngx_chathub_log_replay(&z.messages, info.stream_id + 4,
                                            info.epoch, info.last, 40,
                                            positions, 100, &n),
                     NGX_DECLINED);
    assert_int_equal(ngx_chathub_log_replay(&z.messages, info.stream_id,
                                            info.epoch, 0, 40, positions, 100,
                                            &n),
                     NGX_DECLINED);
}


/* what is overwritten is missed, and that is said */

static void
test_replay_overwritten(void **state)
{
    char                        id[32], text[256];
    uint64_t                    positions[4096];
    ngx_uint_t                  i, n;
    ngx_chathub_key_t           key;
    ngx_chathub_zone_t          z;
    ngx_chathub_append_t        a;
    ngx_chathub_record_t        rec;
    ngx_chathub_stream_info_t   info;

    area_worker(&area, &z);

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';

    for (i = 1; z.sh->logs[0].tail == NGX_CHATHUB_UNIT; i++) {
        (void) snprintf(id, sizeof(id), "a-%u", (unsigned) i);
        assert_int_equal(append(&z, &a, room_key("a"), "ann", id, text),
                         NGX_OK);
    }

    key = room_key("a");
    assert_int_equal(ngx_chathub_stream_find(&z, &key, 0, &info), NGX_OK);

    assert_int_equal(ngx_chathub_log_replay(&z.messages, info.stream_id,
                                            info.epoch, info.last, 0,
                                            positions, 4096, &n),
                     NGX_DECLINED);
    assert_true(n > 100 && n < info.seq);

    /* what there is lies behind the gap, to the end */

    for (i = 0; i < n; i++) {
        assert_int_equal(read_one(&z.messages, &positions[i], &rec), NGX_OK);
        assert_int_equal(rec.seq, info.seq - i);
    }

    assert_int_equal(ngx_chathub_log_replay(&z.messages, info.stream_id,
                                            info.epoch, info.last,
                                            info.seq - n, positions, 4096,
                                            &i),
                     NGX_OK);
    assert_int_equal(i, n);

    append_round(&z, "other");

    assert_int_equal(ngx_chathub_stream_find(&z, &key, 0, &info), NGX_OK);
    assert_int_equal(info.last, 0);
    assert_true(info.seq > 0);
}


/* a seq that is missing in the chain is a gap */

static void
test_replay_gap(void **state)
{
    char                        id[32];
    uint64_t                    positions[16];
    ngx_uint_t                  i, n;
    ngx_chathub_key_t           key;
    ngx_chathub_zone_t          z;
    ngx_chathub_append_t        a;
    ngx_chathub_stream_info_t   info;

    area_worker(&area, &z);

    for (i = 1; i <= 9; i++) {

        if (i == 5) {
            /* as a refused one would leave it */

            ngx_chathub_stream_set(&z.streams[a.stream], a.epoch, a.seq + 1,
                                   a.position);
        }

        (void) snprintf(id, sizeof(id), "a-%u", (unsigned) i);
        assert_int_equal(append(&z, &a, room_key("a"), "ann", id, id), NGX_OK);
    }

    key = room_key("a");
    assert_int_equal(ngx_chathub_stream_find(&z, &key, 0, &info), NGX_OK);
    assert_int_equal(info.seq, 10);

    assert_int_equal(ngx_chathub_log_replay(&z.messages, info.stream_id,
                                            info.epoch, info.last, 5,
                                            positions, 16, &n),
                     NGX_OK);
    assert_int_equal(n, 5);

    assert_int_equal(ngx_chathub_log_replay(&z.messages, info.stream_id,
                                            info.epoch, info.last, 4,
                                            positions, 16, &n),
                     NGX_DECLINED);
    assert_int_equal(n, 5);

    assert_int_equal(ngx_chathub_log_replay(&z.messages, info.stream_id,
                                            info.epoch, info.last, 2,
                                            positions, 16, &n),
                     NGX_DECLINED);
}


/* Times. */


static void
test_time_never_back(void **state)
{
    ngx_uint_t            forbidden;
    ngx_chathub_zone_t    z;
    ngx_chathub_append_t  a;

    area_worker(&area, &z);

    assert_int_equal(append(&z, &a, room_key("r"), "ann", "1", "x"), NGX_OK);
    assert_int_equal(a.time, T0);

    append_fill(&a, room_key("other"), "bob", "2", "y");
    a.now = T0 - 3600000;
    assert_int_equal(ngx_chathub_log_append(&z, &a, &forbidden), NGX_OK);
    assert_int_equal(a.time, T0);

    append_fill(&a, room_key("r"), "bob", "3", "y");
    a.now = T0 + 5;
    assert_int_equal(ngx_chathub_log_append(&z, &a, &forbidden), NGX_OK);
    assert_int_equal(a.time, T0 + 5);
}


/* Repeats. */


static void
test_repeat(void **state)
{
    uint64_t              head;
    ngx_uint_t            forbidden;
    ngx_chathub_zone_t    z;
    ngx_chathub_append_t  first, a;

    area_worker(&area, &z);

    assert_int_equal(append(&z, &first, room_key("r"), "ann", "id", "text"),
                     NGX_OK);
    assert_int_equal(append(&z, &a, room_key("r"), "ann", "other", "text"),
                     NGX_OK);

    head = ngx_chathub_log_head(&z.messages);

    append_fill(&a, room_key("r"), "ann", "id", "text");
    a.now = T0 + 299999;
    assert_int_equal(ngx_chathub_log_append(&z, &a, &forbidden), NGX_DONE);

    assert_int_equal(a.stream, first.stream);
    assert_int_equal(a.stream_id, first.stream_id);
    assert_int_equal(a.position, first.position);
    assert_int_equal(a.seq, first.seq);
    assert_int_equal(a.epoch, first.epoch);
    assert_int_equal(a.time, first.time);
    assert_int_equal(set_count(&a.ring), 0);

    /* another user's, other content */

    append_fill(&a, room_key("r"), "bob", "id", "text");
    assert_int_equal(ngx_chathub_log_append(&z, &a, &forbidden),
                     NGX_DECLINED);
    assert_int_equal(forbidden, 1);

    append_fill(&a, room_key("r"), "ann", "id", "other text");
    assert_int_equal(ngx_chathub_log_append(&z, &a, &forbidden),
                     NGX_DECLINED);
    assert_int_equal(forbidden, 0);

    assert_int_equal(ngx_chathub_log_head(&z.messages), head);

    /* the window is over: it is a message again */

    append_fill(&a, room_key("r"), "ann", "id", "text");
    a.now = T0 + 300000;
    assert_int_equal(ngx_chathub_log_append(&z, &a, &forbidden), NGX_OK);
    assert_int_equal(a.seq, 3);

    /* and the one that repeats are answered with */

    append_fill(&a, room_key("r"), "ann", "id", "text");
    a.now = T0 + 300001;
    assert_int_equal(ngx_chathub_log_append(&z, &a, &forbidden), NGX_DONE);
    assert_int_equal(a.seq, 3);

    audit(&z);
}


/* a repeat is known though its first is overwritten in the log */

static void
test_repeat_overwritten(void **state)
{
    ngx_chathub_zone_t    z;
    ngx_chathub_append_t  a;

    area_worker(&area, &z);

    assert_int_equal(append(&z, &a, room_key("r"), "ann", "id", "text"),
                     NGX_OK);
    append_round(&z, "other");
    assert_int_equal(append(&z, &a, room_key("r"), "ann", "id", "text"),
                     NGX_DONE);
    assert_int_equal(a.seq, 1);
}


static void
test_ids_bounded(void **state)
{
    char                  id[32];
    ngx_uint_t            i, n, forbidden;
    ngx_chathub_zone_t    z;
    ngx_chathub_append_t  a;

    area_worker(&area, &z);

    n = z.tables[NGX_CHATHUB_IDS].sh->n;
    assert_int_equal(ngx_chathub_ids_horizon(&z), 0);

    for (i = 0; i < n + 10; i++) {
        (void) snprintf(id, sizeof(id), "id-%u", (unsigned) i);
        append_fill(&a, room_key("r"), "ann", id, "x");
        a.now = T0 + i;
        assert_int_equal(ngx_chathub_log_append(&z, &a, &forbidden), NGX_OK);

        if (i < n) {
            assert_int_equal(ngx_chathub_ids_horizon(&z), 0);
        }
    }

    assert_int_equal(z.tables[NGX_CHATHUB_IDS].sh->used, n);

    /* the oldest ten are forgotten, and it is known since when */

    assert_int_equal(ngx_chathub_ids_horizon(&z), T0 + 9);

    assert_int_equal(append(&z, &a, room_key("r"), "ann", "id-10", "x"),
                     NGX_DONE);
    assert_int_equal(append(&z, &a, room_key("r"), "ann", "id-9", "x"),
                     NGX_OK);
    audit(&z);
}


/* without an id nothing is a repeat */

static void
test_no_id(void **state)
{
    ngx_chathub_zone_t    z;
    ngx_chathub_append_t  a;

    area_worker(&area, &z);

    assert_int_equal(append(&z, &a, room_key("r"), "ann", "", "x"), NGX_OK);
    assert_int_equal(append(&z, &a, room_key("r"), "ann", "", "x"), NGX_OK);
    assert_int_equal(a.seq, 2);
    assert_int_equal(z.tables[NGX_CHATHUB_IDS].sh->used, 0);
}


/* A log of what is not stored yet. */


static void
test_durable(void **state)
{
    char                  id[32], text[2048];
    uint64_t              begin, head;
    ngx_int_t             rc;
    ngx_uint_t            i;
    ngx_chathub_zone_t    z;
    ngx_chathub_append_t  a;
    ngx_chathub_record_t  rec;

    area_worker(&area, &z);

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';

    begin = ngx_chathub_log_head(&z.messages);

    for (i = 0; i < 10000; i++) {
        (void) snprintf(id, sizeof(id), "id-%u", (unsigned) i);
        rc = append(&z, &a, room_key("r"), "ann", id, text);

        if (rc != NGX_OK) {
            break;
        }
    }

    assert_int_equal(rc, NGX_BUSY);

    /* all that was taken is still there; a refused one leaves nothing */

    head = ngx_chathub_log_head(&z.messages);
    assert_int_equal(append(&z, &a, room_key("new"), "ann", "n", text),
                     NGX_BUSY);
    assert_int_equal(z.tables[NGX_CHATHUB_STREAMS].sh->used, 2);
    assert_int_equal(ngx_chathub_log_head(&z.messages), head);
    assert_int_equal(z.sh->logs[0].tail, NGX_CHATHUB_UNIT);

    assert_int_equal(read_one(&z.messages, &begin, &rec), NGX_OK);
    assert_int_equal(rec.seq, 1);

    /* a repeat is answered all the same */

    (void) snprintf(id, sizeof(id), "id-%u", (unsigned) i - 1);
    assert_int_equal(append(&z, &a, room_key("r"), "ann", id, text),
                     NGX_DONE);

    /* what is stored makes room, in whole units */

    assert_int_equal(ngx_chathub_log_stored(&z, begin), NGX_OK);
    assert_int_equal(append(&z, &a, room_key("r"), "ann", "n", text),
                     NGX_BUSY);

    assert_int_equal(ngx_chathub_log_stored(&z, head), NGX_OK);
    assert_int_equal(append(&z, &a, room_key("r"), "ann", "n", text),
                     NGX_OK);
    assert_int_equal(a.seq, i + 1);

    /* the cursor neither goes back nor beyond the head */

    assert_int_equal(ngx_chathub_log_stored(&z, begin), NGX_OK);
    assert_int_equal(z.sh->stored, head);
    assert_int_equal(ngx_chathub_log_stored(&z, head * 2), NGX_OK);
    assert_int_equal(z.sh->stored, head);

    audit(&z);
}


/* Whom to ring. */


static void
join(ngx_chathub_zone_t *z, const char *room, const char *user)
{
    uint32_t                    index;
    ngx_str_t                   name;
    ngx_uint_t                  changed;
    ngx_chathub_slotset_t       ring;
    ngx_chathub_stream_info_t   info;

    name = str(user);
    assert_int_equal(ngx_chathub_user_online(z, &name, &index), NGX_OK);

    if (room) {
        name = str(room);
        assert_int_equal(ngx_chathub_member_join(z, &name, index, &info,
                                                 &changed, &ring),
                         NGX_OK);
    }
}


static void
test_ring(void **state)
{
    ngx_str_t                   name, body;
    ngx_chathub_key_t           key;
    ngx_chathub_zone_t          z[4];
    ngx_chathub_append_t        a;
    ngx_chathub_slotset_t       ring;
    ngx_chathub_stream_info_t   info;

    area_worker(&area, &z[0]);
    area_worker(&area, &z[1]);
    area_worker(&area, &z[2]);
    area_worker(&area, &z[3]);

    join(&z[0], "r", "ann");
    join(&z[1], "r", "bob");
    join(&z[2], "s", "bob");
    join(&z[3], NULL, "cid");

    /* a room's members' */

    assert_int_equal(append(&z[3], &a, room_key("r"), "cid", "1", "x"),
                     NGX_OK);
    assert_int_equal(a.ring.word[0], 1 | 2);
    assert_int_equal(append(&z[3], &a, room_key("t"), "cid", "2", "x"),
                     NGX_OK);
    assert_int_equal(set_count(&a.ring), 0);

    /* a pair's: those of both */

    assert_int_equal(append(&z[0], &a, pair_key("ann", "bob"), "ann", "3",
                            "x"),
                     NGX_OK);
    assert_int_equal(a.ring.word[0], 1 | 2 | 4);
    assert_int_equal(append(&z[0], &a, pair_key("cid", "nobody"), "cid", "4",
                            "x"),
                     NGX_OK);
    assert_int_equal(a.ring.word[0], 8);

    /* everybody: all who have sessions */

    ngx_chathub_zone_set_sessions(&z[1], 1);
    ngx_chathub_zone_set_sessions(&z[3], 5);
    assert_int_equal(append(&z[0], &a, all_key(), "ann", "5", "x"), NGX_OK);
    assert_int_equal(a.ring.word[0], 2 | 8);

    /* typing, to the room */

    key = room_key("r");
    assert_int_equal(ngx_chathub_stream_find(&z[0], &key, 0, &info), NGX_OK);

    name = str("ann");
    body = str("1");
    assert_int_equal(ngx_chathub_log_direct(&z[0], NGX_CHATHUB_REC_TYPING,
                                            info.stream, info.stream_id,
                                            &name, &body, 77, &ring),
                     NGX_OK);
    assert_int_equal(ring.word[0], 1 | 2);
}


/* all are rung once in every eighth, so that nobody is lapped asleep */

static void
test_ring_eighth(void **state)
{
    char                  id[32], text[4096];
    size_t                eighth;
    uint64_t              before;
    ngx_uint_t            i, rung;
    ngx_chathub_zone_t    z[2];
    ngx_chathub_append_t  a;

    area_worker(&area, &z[0]);
    area_worker(&area, &z[1]);

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';

    eighth = z[0].messages.size / 8;
    rung = 0;

    for (i = 0; i < 2000; i++) {
        before = ngx_chathub_log_head(&z[0].messages);

        (void) snprintf(id, sizeof(id), "id-%u", (unsigned) i);
        assert_int_equal(append(&z[0], &a, room_key("r"), "ann", id, text),
                         NGX_OK);

        if (before / eighth
            != ngx_chathub_log_head(&z[0].messages) / eighth)
        {
            assert_int_equal(a.ring.word[0], 1 | 2);
            rung++;

        } else {
            assert_int_equal(set_count(&a.ring), 0);
        }
    }

    assert_true(rung >= 16);
}


static void
test_directed(void **state)
{
    uint64_t                    pos;
    ngx_str_t                   name, body;
    ngx_uint_t                  i;
    ngx_chathub_key_t           key;
    ngx_chathub_zone_t          z;
    ngx_chathub_record_t        rec;
    ngx_chathub_slotset_t       ring;
    ngx_chathub_stream_info_t   info;

    area_worker(&area, &z);

    key = room_key("r");
    assert_int_equal(ngx_chathub_stream_find(&z, &key, 1, &info), NGX_OK);

    name = str("ann");
    body = str("1");
    pos = ngx_chathub_log_head(&z.directed);

    assert_int_equal(ngx_chathub_log_direct(&z, NGX_CHATHUB_REC_TYPING,
                                            info.stream, info.stream_id,
                                            &name, &body, 77, &ring),
                     NGX_OK);

    assert_int_equal(read_one(&z.directed, &pos, &rec), NGX_OK);
    assert_int_equal(rec.kind, NGX_CHATHUB_REC_TYPING);
    assert_int_equal(rec.stream, info.stream);
    assert_int_equal(rec.stream_id, info.stream_id);
    assert_int_equal(rec.session, 77);
    assert_int_equal(rec.seq, 0);
    assert_memory_equal(rec.user.data, "ann", 3);
    assert_memory_equal(rec.body.data, "1", 1);
    assert_int_equal(read_one(&z.directed, &pos, &rec), NGX_DONE);

    /* the messages' log has nothing of it */

    assert_int_equal(z.sh->logs[0].last, 0);

    assert_int_equal(ngx_chathub_log_direct(&z, NGX_CHATHUB_REC_TYPING,
                                            info.stream, info.stream_id + 4,
                                            &name, &body, 77, &ring),
                     NGX_ERROR);
    assert_int_equal(ngx_chathub_log_direct(&z, NGX_CHATHUB_REC_TYPING,
                                            NGX_CHATHUB_NONE, info.stream_id,
                                            &name, &body, 77, &ring),
                     NGX_ERROR);

    /* it goes round for ever */

    for (i = 0; i < 10000; i++) {
        assert_int_equal(ngx_chathub_log_direct(&z, NGX_CHATHUB_REC_TYPING,
                                                info.stream, info.stream_id,
                                                &name, &body, 77, &ring),
                         NGX_OK);
    }

    assert_int_equal(read_one(&z.directed, &pos, &rec), NGX_DECLINED);
    audit(&z);
}


/* the mutex is not to be had */

static void
test_append_unavailable(void **state)
{
    pid_t                 pid;
    ngx_uint_t            forbidden;
    ngx_chathub_zone_t    z;
    ngx_chathub_append_t  a;

    area_worker(&area, &z);

    pid = fork();
    assert_int_not_equal(pid, -1);

    if (pid == 0) {
        child_begin(&area, &z, 0);

        for ( ;; ) {
            (void) pause();
        }
    }

    area.lock->lock = pid;

    append_fill(&a, room_key("r"), "ann", "1", "x");
    assert_int_equal(ngx_chathub_log_append(&z, &a, &forbidden), NGX_AGAIN);
    assert_int_equal(ngx_chathub_log_stored(&z, 1), NGX_AGAIN);

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);

    assert_int_equal(ngx_chathub_log_append(&z, &a, &forbidden), NGX_OK);
}


#define test(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        test(test_append_read),
        test(test_read_unwanted),
        test(test_round),
        test(test_too_large),
        test(test_order),
        test(test_lapped),
        test(test_lapped_while_copying),
        test(test_lapped_while_looking),
        test(test_garbage),
        test(test_replay),
        test(test_replay_overwritten),
        test(test_replay_gap),
        test(test_time_never_back),
        test(test_repeat),
        test(test_repeat_overwritten),
        test(test_ids_bounded),
        test(test_no_id),
        cmocka_unit_test_setup_teardown(test_durable, setup_durable,
                                        teardown),
        test(test_ring),
        test(test_ring_eighth),
        test(test_directed),
        test(test_append_unavailable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
