
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * The native codec: the exact bytes of every event, with and without a ref,
 * and the sizes that were said before, at the lengths where the header of a
 * frame grows.  All is written into memory of just that size.
 */


#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_chathub_codec.h"


#define REF_MAX  9007199254740991ULL


static ngx_str_t str(const char *text);
static u_char *memory(size_t size);
static void check_frame(u_char *p, size_t size, const char *header,
    size_t header_len, const char *payload, size_t len);
static void check_event(ngx_chathub_out_e event, uint64_t ref,
    const char *data, const char *expected);
static size_t make_header(char *header, size_t len);
static void test_events(void **state);
static void test_event_lengths(void **state);
static void test_message(void **state);
static void test_message_lengths(void **state);
static void test_control(void **state);
static void test_close(void **state);


static const ngx_chathub_codec_t  *codec = &ngx_chathub_native_codec;


static ngx_str_t
str(const char *text)
{
    ngx_str_t  s;

    s.data = (u_char *) text;
    s.len = ngx_strlen(text);

    return s;
}


static u_char *
memory(size_t size)
{
    u_char  *p;

    p = malloc(size ? size : 1);
    assert_non_null(p);

    return p;
}


/* a whole text frame, not masked, with this header and payload */

static void
check_frame(u_char *p, size_t size, const char *header, size_t header_len,
    const char *payload, size_t len)
{
    assert_int_equal(size, header_len + len);
    assert_memory_equal(p, header, header_len);
    assert_memory_equal(p + header_len, payload, len);
}


static void
check_event(ngx_chathub_out_e event, uint64_t ref, const char *data,
    const char *expected)
{
    char       header[2];
    size_t     size;
    u_char    *p, *last;
    ngx_str_t  d;

    d = str(data);

    size = codec->event_size(event, ref, d.len);
    p = memory(size);
    last = codec->event(p, event, ref, &d);

    assert_ptr_equal(last, p + size);

    header[0] = (char) 0x81;
    header[1] = (char) strlen(expected);

    check_frame(p, size, header, 2, expected, strlen(expected));

    free(p);
}


static void
test_events(void **state)
{
    check_event(NGX_CHATHUB_OUT_ACK, 0, "{}",
                "{\"event\":\"ack\",\"ref\":0,\"data\":{}}");
    check_event(NGX_CHATHUB_OUT_ACK, 9, "{\"time\":\"t\"}",
                "{\"event\":\"ack\",\"ref\":9,\"data\":{\"time\":\"t\"}}");
    check_event(NGX_CHATHUB_OUT_ACK, 10, "{}",
                "{\"event\":\"ack\",\"ref\":10,\"data\":{}}");
    check_event(NGX_CHATHUB_OUT_ACK, REF_MAX, "{}",
                "{\"event\":\"ack\",\"ref\":9007199254740991,\"data\":{}}");
    check_event(NGX_CHATHUB_OUT_ERROR, 7, "{\"code\":\"busy\"}",
                "{\"event\":\"error\",\"ref\":7,\"data\":{\"code\":\"busy\"}}");
    check_event(NGX_CHATHUB_OUT_ERROR, NGX_CHATHUB_NO_REF,
                "{\"code\":\"busy\"}",
                "{\"event\":\"error\",\"data\":{\"code\":\"busy\"}}");
    check_event(NGX_CHATHUB_OUT_LOG, NGX_CHATHUB_NO_REF,
                "\"app is connected at a\"",
                "{\"event\":\"log\",\"data\":\"app is connected at a\"}");
    check_event(NGX_CHATHUB_OUT_ROOM, NGX_CHATHUB_NO_REF,
                "{\"added\":[\"a\"]}",
                "{\"event\":\"room\",\"data\":{\"added\":[\"a\"]}}");
    check_event(NGX_CHATHUB_OUT_ROOMUSERS, NGX_CHATHUB_NO_REF, "{}",
                "{\"event\":\"roomusers\",\"data\":{}}");
    check_event(NGX_CHATHUB_OUT_TYPING, NGX_CHATHUB_NO_REF, "{}",
                "{\"event\":\"typing\",\"data\":{}}");
    check_event(NGX_CHATHUB_OUT_RESYNC, NGX_CHATHUB_NO_REF, "{\"room\":\"a\"}",
                "{\"event\":\"resync\",\"data\":{\"room\":\"a\"}}");
    check_event(NGX_CHATHUB_OUT_BYE, NGX_CHATHUB_NO_REF, "{}",
                "{\"event\":\"bye\",\"data\":{}}");
}


/* the header of a text frame of "len" bytes, RFC 6455, 5.2 */

static size_t
make_header(char *header, size_t len)
{
    ngx_uint_t  i;

    header[0] = (char) 0x81;

    if (len < 126) {
        header[1] = (char) len;
        return 2;
    }

    if (len < 65536) {
        header[1] = 126;
        header[2] = (char) (len >> 8);
        header[3] = (char) len;
        return 4;
    }

    header[1] = 127;

    for (i = 0; i < 8; i++) {
        header[2 + i] = (char) ((uint64_t) len >> (56 - 8 * i));
    }

    return 10;
}


static void
test_event_lengths(void **state)
{
    char        header[10];
    char       *text;
    size_t      size, len, header_len, frame;
    u_char     *p, *last;
    ngx_str_t   data;
    ngx_uint_t  i;

    static const char    start[] = "{\"event\":\"ack\",\"ref\":12,\"data\":";
    static const size_t  lengths[] = { 124, 125, 126, 127, 65534, 65535,
                                       65536, 65537, 1048576 };

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        frame = lengths[i];
        len = frame - (sizeof(start) - 1) - 1;

        text = (char *) memory(frame);
        memcpy(text, start, sizeof(start) - 1);
        memset(text + sizeof(start) - 1, 'x', len);
        text[frame - 1] = '}';

        data.data = (u_char *) text + sizeof(start) - 1;
        data.len = len;

        header_len = make_header(header, frame);

        size = codec->event_size(NGX_CHATHUB_OUT_ACK, 12, len);
        assert_int_equal(size, header_len + frame);

        p = memory(size);
        last = codec->event(p, NGX_CHATHUB_OUT_ACK, 12, &data);

        assert_ptr_equal(last, p + size);
        check_frame(p, size, header, header_len, text, frame);

        free(p);
        free(text);
    }
}


static void
test_message(void **state)
{
    size_t     size;
    u_char    *p, *last;
    ngx_str_t  head, body;

    static const char  expected[] =
        "{\"event\":\"message\",\"data\":{\"id\":\"i\",\"seq\":1,"
        "\"user\":\"u\",\"data\":\"hi\"}}";

    head = str("{\"id\":\"i\",\"seq\":1,");
    body = str("\"user\":\"u\",\"data\":\"hi\"}");

    size = codec->message_size(head.len + body.len);
    p = memory(size);
    last = codec->message(p, &head, &body);

    assert_ptr_equal(last, p + size);
    check_frame(p, size, "\x81\x44", 2, expected, sizeof(expected) - 1);

    free(p);
}


static void
test_message_lengths(void **state)
{
    char        header[10];
    char       *text;
    size_t      size, header_len, frame;
    u_char     *p, *last;
    ngx_str_t   head, body;
    ngx_uint_t  i;

    static const char    start[] = "{\"event\":\"message\",\"data\":";
    static const size_t  lengths[] = { 125, 126, 65535, 65536, 1048576 };

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        frame = lengths[i];

        text = (char *) memory(frame);
        memset(text, 'y', frame);
        memcpy(text, start, sizeof(start) - 1);
        text[frame - 1] = '}';

        head.data = (u_char *) text + sizeof(start) - 1;
        head.len = 20;
        body.data = head.data + head.len;
        body.len = frame - (sizeof(start) - 1) - head.len - 1;

        header_len = make_header(header, frame);

        size = codec->message_size(head.len + body.len);
        assert_int_equal(size, header_len + frame);

        p = memory(size);
        last = codec->message(p, &head, &body);

        assert_ptr_equal(last, p + size);
        check_frame(p, size, header, header_len, text, frame);

        free(p);
        free(text);
    }
}


static void
test_control(void **state)
{
    u_char     buf[NGX_CHATHUB_CONTROL_MAX], big[200], *last;
    ngx_str_t  data;

    last = codec->ping(buf);
    assert_int_equal(last - buf, 2);
    assert_memory_equal(buf, "\x89\x00", 2);

    ngx_str_null(&data);
    last = codec->pong(buf, &data);
    assert_int_equal(last - buf, 2);
    assert_memory_equal(buf, "\x8a\x00", 2);

    memset(big, 'p', sizeof(big));
    data.data = big;
    data.len = 125;
    last = codec->pong(buf, &data);
    assert_int_equal(last - buf, 127);
    assert_memory_equal(buf, "\x8a\x7d", 2);
    assert_memory_equal(buf + 2, big, 125);
}


static void
test_close(void **state)
{
    u_char     buf[NGX_CHATHUB_CONTROL_MAX], big[200], *last;
    ngx_str_t  reason;

    ngx_str_null(&reason);

    last = codec->close(buf, 0, &reason);
    assert_int_equal(last - buf, 2);
    assert_memory_equal(buf, "\x88\x00", 2);

    last = codec->close(buf, 1000, &reason);
    assert_int_equal(last - buf, 4);
    assert_memory_equal(buf, "\x88\x02\x03\xe8", 4);

    reason = str("bye");
    last = codec->close(buf, 1012, &reason);
    assert_int_equal(last - buf, 7);
    assert_memory_equal(buf, "\x88\x05\x03\xf4" "bye", 7);

    memset(big, 'r', sizeof(big));
    reason.data = big;
    reason.len = sizeof(big);

    last = codec->close(buf, 1011, &reason);
    assert_int_equal(last - buf, 127);
    assert_memory_equal(buf, "\x88\x7d\x03\xf3", 4);
    assert_memory_equal(buf + 4, big, 123);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_event_lengths),
        cmocka_unit_test(test_message),
        cmocka_unit_test(test_message_lengths),
        cmocka_unit_test(test_control),
        cmocka_unit_test(test_close)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
