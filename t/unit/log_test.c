
/*
 * Copyright (C) ChatHub contributors
 */


#include "log_support.h"


static void
test_append_read(void **state)
{
    u_char                *buf;
    area_t                 area;
    uint64_t               pos;
    ngx_chathub_zone_t     z;
    ngx_chathub_append_t   a;
    ngx_chathub_record_t   rec;

    area_make(&area, AREA_SIZE, 64, 0);
    area_worker(&area, &z);

    buf = malloc(ngx_chathub_zone_max_record(AREA_SIZE));
    assert_non_null(buf);

    pos = ngx_chathub_log_head(&z.messages);

    assert_int_equal(ngx_chathub_log_read(&z.messages, &pos, &rec, buf, NULL,
                                          NULL),
                     NGX_DONE);

    assert_int_equal(append(&z, &a, room_key("lobby"), "ann", "id-1",
                            "\"user\":\"ann\"}"),
                     NGX_OK);
    assert_int_equal(a.seq, 1);
    assert_int_equal(a.epoch, AREA_LIFE);
    assert_int_equal(a.time, T0);
    assert_int_equal(a.position, pos);

    assert_int_equal(append(&z, &a, pair_key("bob", "ann"), "bob", "id-2",
                            "hello"),
                     NGX_OK);
    assert_int_equal(a.seq, 1);

    assert_int_equal(ngx_chathub_log_read(&z.messages, &pos, &rec, buf, NULL,
                                          NULL),
                     NGX_OK);
    assert_int_equal(rec.kind, NGX_CHATHUB_REC_MESSAGE);
    assert_int_equal(rec.stream_kind, NGX_CHATHUB_STREAM_ROOM);
    assert_int_equal(rec.seq, 1);
    assert_int_equal(rec.prev, 0);
    assert_int_equal(rec.next, pos);
    assert_memory_equal(rec.user.data, "ann", 3);
    assert_int_equal(rec.to.len, 0);
    assert_int_equal(rec.id.len, 4);
    assert_memory_equal(rec.id.data, "id-1", 4);
    assert_int_equal(rec.body.len, 13);
    assert_memory_equal(rec.body.data, "\"user\":\"ann\"}", 13);

    assert_int_equal(ngx_chathub_log_read(&z.messages, &pos, &rec, buf, NULL,
                                          NULL),
                     NGX_OK);
    assert_int_equal(rec.stream_kind, NGX_CHATHUB_STREAM_PAIR);
    assert_int_equal(rec.user.len, 3);
    assert_memory_equal(rec.user.data, "bob", 3);
    assert_int_equal(rec.to.len, 3);
    assert_memory_equal(rec.to.data, "ann", 3);

    assert_int_equal(ngx_chathub_log_read(&z.messages, &pos, &rec, buf, NULL,
                                          NULL),
                     NGX_DONE);
    assert_true(mutex_free(&area));

    free(buf);
    area_free(&area);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_append_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
