
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * The WebSocket codec.  A case is the bytes of a peer and the events that
 * they are; it is fed whole, byte by byte, cut in two at every offset and in
 * random pieces, each piece in memory of its own size that is gone
 * afterwards.  The codec is compiled into the test with an allocator that
 * counts, and that fails when it is told to.
 */


#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#undef ngx_free
#define ngx_free   counted_free
#define ngx_alloc  counted_alloc

static void *counted_alloc(size_t size, ngx_log_t *log);
static void counted_free(void *p);

#include "../../src/codec/ngx_chathub_websocket.c"


#define FIN       NGX_CHATHUB_WEBSOCKET_FIN
#define CONT      NGX_CHATHUB_WEBSOCKET_CONTINUATION
#define TEXT      NGX_CHATHUB_WEBSOCKET_TEXT
#define BINARY    NGX_CHATHUB_WEBSOCKET_BINARY
#define CLOSE     NGX_CHATHUB_WEBSOCKET_CLOSE
#define PING      NGX_CHATHUB_WEBSOCKET_PING
#define PONG      NGX_CHATHUB_WEBSOCKET_PONG

#define MAX       (1024 * 1024)
#define OVERHEAD  offsetof(ngx_chathub_websocket_buf_t, data)

/* a longer case is cut in two at this many places only */
#define CUTS      400


typedef struct {
    u_char                         *data;
    size_t                          len;
    size_t                          size;
} bytes_t;


/* a parser with what it has said so far */

typedef struct {
    ngx_chathub_websocket_t         ws;
    bytes_t                         events;
    ngx_uint_t                      n;        /* events */
    ngx_uint_t                      code;     /* of the error, 0: none */
    size_t                          fed;
} peer_t;


typedef struct {
    size_t                          live;     /* bytes allocated now */
    size_t                          peak;
    ngx_uint_t                      calls;
    ngx_uint_t                      fail_at;  /* call that fails, 0: none */
} memory_t;


static void bytes_add(bytes_t *b, const void *data, size_t len);
static void bytes_print(bytes_t *b, const char *fmt, ...);
static void bytes_free(bytes_t *b);
static uint32_t next_random(void);
static void put_header(bytes_t *b, ngx_uint_t first, uint64_t len,
    u_char *mask);
static void put_frame(bytes_t *b, ngx_uint_t first, const void *data,
    size_t len);
static void put_text(bytes_t *b, ngx_uint_t first, const char *text);
static void put_close(bytes_t *b, ngx_uint_t code, const void *reason,
    size_t len);
static void expect_event(bytes_t *b, ngx_uint_t opcode, ngx_uint_t code,
    const void *data, size_t len);
static void expect_text(bytes_t *b, ngx_uint_t opcode, const char *text);
static void expect_error(bytes_t *b, ngx_uint_t code);
static void peer_init(peer_t *peer, size_t max);
static void peer_feed(peer_t *peer, u_char *data, size_t len);
static void peer_done(peer_t *peer);
static void compare(peer_t *peer, bytes_t *expected, size_t cut);
static void check(bytes_t *in, bytes_t *expected, size_t max);
static void check_error(bytes_t *in, ngx_uint_t code);
static void check_raw_error(const char *raw, size_t len, ngx_uint_t code);
static ngx_uint_t parse_message(ngx_uint_t opcode, u_char *data, size_t len);
static ngx_uint_t utf8_reference(u_char *p, size_t len);
static size_t utf8_encode(u_char *p, uint32_t n);
static void put_random_message(bytes_t *in, bytes_t *expected);
static void put_random_control(bytes_t *in, bytes_t *expected);


static memory_t  memory;
static uint32_t  seed;


static void *
counted_alloc(size_t size, ngx_log_t *log)
{
    size_t  *p;

    (void) log;

    if (++memory.calls == memory.fail_at) {
        return NULL;
    }

    p = malloc(sizeof(size_t) * 2 + size);
    assert_non_null(p);

    *p = size;

    memory.live += size;
    memory.peak = ngx_max(memory.peak, memory.live);

    return p + 2;
}


static void
counted_free(void *data)
{
    size_t  *p;

    p = (size_t *) data - 2;

    memory.live -= *p;

    free(p);
}


static void
bytes_add(bytes_t *b, const void *data, size_t len)
{
    if (len > b->size - b->len) {
        b->size = (b->size + len) * 2;
        b->data = realloc(b->data, b->size);
        assert_non_null(b->data);
    }

    if (len) {
        memcpy(b->data + b->len, data, len);
        b->len += len;
    }
}


static void
bytes_print(bytes_t *b, const char *fmt, ...)
{
    u_char   buf[64], *end;
    va_list  args;

    va_start(args, fmt);
    end = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    bytes_add(b, buf, end - buf);
}


static void
bytes_free(bytes_t *b)
{
    free(b->data);
    memset(b, 0, sizeof(bytes_t));
}


static uint32_t
next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;

    return seed;
}


/* the header of a frame as a client sends it; NULL: without a mask */

static void
put_header(bytes_t *b, ngx_uint_t first, uint64_t len, u_char *mask)
{
    u_char      h[10];
    ngx_uint_t  i, n;

    h[0] = first;

    if (len < 126) {
        h[1] = len;
        n = 0;

    } else if (len < 65536) {
        h[1] = 126;
        n = 2;

    } else {
        h[1] = 127;
        n = 8;
    }

    for (i = 0; i < n; i++) {
        h[2 + i] = len >> 8 * (n - 1 - i);
    }

    if (mask) {
        h[1] |= 0x80;
    }

    bytes_add(b, h, 2 + n);

    if (mask) {
        bytes_add(b, mask, 4);
    }
}


static void
put_frame(bytes_t *b, ngx_uint_t first, const void *data, size_t len)
{
    size_t    i, start;
    u_char    mask[4];
    uint32_t  n;

    n = next_random();
    memcpy(mask, &n, 4);

    put_header(b, first, len, mask);

    start = b->len;
    bytes_add(b, data, len);

    for (i = 0; i < len; i++) {
        b->data[start + i] ^= mask[i % 4];
    }
}


static void
put_text(bytes_t *b, ngx_uint_t first, const char *text)
{
    put_frame(b, first, text, strlen(text));
}


static void
put_close(bytes_t *b, ngx_uint_t code, const void *reason, size_t len)
{
    u_char  body[2 + NGX_CHATHUB_WEBSOCKET_REASON_MAX];

    body[0] = code >> 8;
    body[1] = code;
    memcpy(body + 2, reason, len);

    put_frame(b, FIN|CLOSE, body, 2 + len);
}


static void
expect_event(bytes_t *b, ngx_uint_t opcode, ngx_uint_t code,
    const void *data, size_t len)
{
    bytes_print(b, "%xi %ui %uz ", opcode, code, len);
    bytes_add(b, data, len);
    bytes_add(b, "\n", 1);
}


static void
expect_text(bytes_t *b, ngx_uint_t opcode, const char *text)
{
    expect_event(b, opcode, 0, text, strlen(text));
}


static void
expect_error(bytes_t *b, ngx_uint_t code)
{
    bytes_print(b, "error %ui\n", code);
}


static void
peer_init(peer_t *peer, size_t max)
{
    memset(peer, 0, sizeof(peer_t));
    memset(&memory, 0, sizeof(memory_t));

    ngx_chathub_websocket_init(&peer->ws, max);
}


/* Feeds one piece, from memory that ends with it and is freed; notes the
 * events and checks what holds after every piece. */

static void
peer_feed(peer_t *peer, u_char *data, size_t len)
{
    u_char                         *buf, *pos;
    ngx_int_t                       rc;
    ngx_chathub_websocket_frame_t   frame;

    buf = malloc(len);
    assert_true(buf != NULL || len == 0);

    memcpy(buf, data, len);
    pos = buf;
    peer->fed += len;

    for ( ;; ) {
        memset(&frame, 0xa5, sizeof(frame));

        rc = ngx_chathub_websocket_parse(&peer->ws, &pos, buf + len, &frame,
                                         NULL);

        assert_true(pos >= buf && pos <= buf + len);

        if (rc == NGX_OK) {
            peer->n++;
            expect_event(&peer->events, frame.opcode, frame.code,
                         frame.data.data, frame.data.len);
            continue;
        }

        if (rc == NGX_ERROR) {
            assert_int_equal(peer->code, 0);
            assert_int_equal(memory.live, 0);

            peer->code = frame.code;
            expect_error(&peer->events, frame.code);
            continue;
        }

        assert_int_equal(rc, NGX_AGAIN);
        assert_ptr_equal(pos, buf + len);
        break;
    }

    if (!ngx_chathub_websocket_incomplete(&peer->ws)) {
        assert_int_equal(memory.live, 0);
    }

    /* a message's buffer, and one for a control frame */
    assert_true(memory.live <= ngx_max(2 * peer->fed, 256) + 125
                               + 2 * OVERHEAD);

    free(buf);
}


static void
peer_done(peer_t *peer)
{
    ngx_chathub_websocket_done(&peer->ws);
    assert_int_equal(memory.live, 0);

    bytes_free(&peer->events);
}


static void
compare(peer_t *peer, bytes_t *expected, size_t cut)
{
    if (peer->events.len != expected->len
        || memcmp(peer->events.data, expected->data, expected->len) != 0)
    {
        print_error("cut %zu, expected:\n%.*s\ngot:\n%.*s\n", cut,
                    (int) ngx_min(expected->len, 2000), expected->data,
                    (int) ngx_min(peer->events.len, 2000),
                    peer->events.data);
        fail();
    }

    peer_done(peer);
}


static void
check(bytes_t *in, bytes_t *expected, size_t max)
{
    size_t      i, n, pos;
    peer_t      peer;
    ngx_uint_t  round;

    peer_init(&peer, max);
    peer_feed(&peer, in->data, in->len);
    compare(&peer, expected, in->len);

    peer_init(&peer, max);

    for (i = 0; i < in->len; i++) {
        peer_feed(&peer, in->data + i, 1);
    }

    compare(&peer, expected, 1);

    for (i = 0; i <= in->len; i += 1 + in->len / CUTS) {
        peer_init(&peer, max);
        peer_feed(&peer, in->data, i);
        peer_feed(&peer, in->data + i, in->len - i);
        compare(&peer, expected, i);
    }

    for (round = 0; round < 20; round++) {
        peer_init(&peer, max);

        for (pos = 0; pos < in->len; pos += n) {
            n = next_random() % (1 + next_random() % (in->len + 1));
            n = ngx_min(n, in->len - pos);
            peer_feed(&peer, in->data + pos, n);
        }

        compare(&peer, expected, in->len + 1 + round);
    }

    bytes_free(in);
    bytes_free(expected);
}


/* the only event is the error, and nothing that follows is one */

static void
check_error(bytes_t *in, ngx_uint_t code)
{
    bytes_t  expected = { NULL, 0, 0 };

    put_text(in, FIN|TEXT, "ignored");
    put_close(in, 1000, "", 0);

    expect_error(&expected, code);

    check(in, &expected, MAX);
}


static void
check_raw_error(const char *raw, size_t len, ngx_uint_t code)
{
    size_t   i;
    peer_t   peer;
    bytes_t  in = { NULL, 0, 0 };

    /* the last byte is the one that is wrong */

    peer_init(&peer, MAX);

    for (i = 0; i < len; i++) {
        assert_int_equal(peer.code, 0);
        peer_feed(&peer, (u_char *) raw + i, 1);
    }

    assert_int_equal(peer.code, code);
    assert_int_equal(peer.n, 0);
    peer_done(&peer);

    bytes_add(&in, raw, len);
    check_error(&in, code);
}


/* one whole frame; 0, or the code of its error */

static ngx_uint_t
parse_message(ngx_uint_t opcode, u_char *data, size_t len)
{
    peer_t      peer;
    bytes_t     in = { NULL, 0, 0 };
    ngx_uint_t  code;

    peer_init(&peer, MAX);

    put_frame(&in, FIN|opcode, data, len);
    peer_feed(&peer, in.data, in.len);

    code = peer.code;
    assert_true(code != 0 || peer.n == 1);

    peer_done(&peer);
    bytes_free(&in);

    return code;
}


static void
test_struct_is_small(void **state)
{
    (void) state;

    assert_true(sizeof(ngx_chathub_websocket_t) <= 64);
}


static void
test_messages_of_all_lengths(void **state)
{
    u_char        *data;
    size_t         i, j;
    bytes_t        in = { NULL, 0, 0 }, expected = { NULL, 0, 0 };

    static size_t  lengths[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31,
                                 124, 125, 126, 127, 128, 255, 256, 257,
                                 65534, 65535, 65536, 65537 };

    (void) state;

    data = malloc(65537);
    assert_non_null(data);

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {

        for (j = 0; j < lengths[i]; j++) {
            data[j] = next_random();
        }

        put_frame(&in, FIN|BINARY, data, lengths[i]);
        expect_event(&expected, BINARY, 0, data, lengths[i]);
        check(&in, &expected, 65537);

        for (j = 0; j < lengths[i]; j++) {
            data[j] = ' ' + next_random() % 95;
        }

        put_frame(&in, FIN|TEXT, data, lengths[i]);
        put_text(&in, FIN|TEXT, "and another");
        expect_event(&expected, TEXT, 0, data, lengths[i]);
        expect_text(&expected, TEXT, "and another");
        check(&in, &expected, 65537);
    }

    free(data);
}


static void
test_fragments_and_controls_between(void **state)
{
    bytes_t  in = { NULL, 0, 0 }, expected = { NULL, 0, 0 };

    (void) state;

    put_text(&in, TEXT, "one ");
    put_text(&in, FIN|PING, "first");
    put_text(&in, CONT, "");
    put_text(&in, CONT, "two ");
    put_text(&in, FIN|PONG, "");
    put_text(&in, FIN|PING, "second");
    put_text(&in, FIN|CONT, "three");
    put_text(&in, FIN|TEXT, "whole");
    put_text(&in, BINARY, "");
    put_text(&in, CONT, "");
    put_text(&in, FIN|CONT, "");
    put_text(&in, TEXT, "");
    put_text(&in, FIN|PONG, "unsolicited");
    put_text(&in, FIN|CONT, "late");
    put_text(&in, TEXT, "early");
    put_text(&in, FIN|CONT, "");
    put_text(&in, BINARY, "never complete");
    put_close(&in, 1001, "going", 5);

    expect_text(&expected, PING, "first");
    expect_text(&expected, PONG, "");
    expect_text(&expected, PING, "second");
    expect_text(&expected, TEXT, "one two three");
    expect_text(&expected, TEXT, "whole");
    expect_text(&expected, BINARY, "");
    expect_text(&expected, PONG, "unsolicited");
    expect_text(&expected, TEXT, "late");
    expect_text(&expected, TEXT, "early");
    expect_event(&expected, CLOSE, 1001, "going", 5);

    check(&in, &expected, MAX);
}


static void
test_control_of_125_bytes(void **state)
{
    u_char   data[125];
    bytes_t  in = { NULL, 0, 0 }, expected = { NULL, 0, 0 };

    (void) state;

    memset(data, 'x', sizeof(data));

    put_text(&in, TEXT, "begin, ");
    put_frame(&in, FIN|PING, data, sizeof(data));
    put_text(&in, FIN|CONT, "end");
    put_close(&in, 4999, data, sizeof(data) - 2);

    expect_event(&expected, PING, 0, data, sizeof(data));
    expect_text(&expected, TEXT, "begin, end");
    expect_event(&expected, CLOSE, 4999, data, sizeof(data) - 2);

    check(&in, &expected, MAX);
}


static void
test_random_conversations(void **state)
{
    bytes_t     in = { NULL, 0, 0 }, expected = { NULL, 0, 0 };
    ngx_uint_t  i, n, round;

    (void) state;

    for (round = 0; round < 50; round++) {
        n = 1 + next_random() % 8;

        for (i = 0; i < n; i++) {
            put_random_message(&in, &expected);
        }

        check(&in, &expected, 1000);
    }
}


static void
put_random_message(bytes_t *in, bytes_t *expected)
{
    size_t      len, i, n, pos;
    u_char      data[1000];
    ngx_uint_t  opcode, type;

    type = (next_random() & 1) ? TEXT : BINARY;

    if (type == TEXT) {
        for (len = 0; len < next_random() % 990; /* void */) {
            len += utf8_encode(data + len, 1 + next_random() % 0xd7ff);
        }

    } else {
        len = next_random() % 1001;

        for (i = 0; i < len; i++) {
            data[i] = next_random();
        }
    }

    opcode = type;

    for (pos = 0; next_random() % 4; pos += n) {
        n = next_random() % (len - pos + 1);
        put_frame(in, opcode, data + pos, n);
        opcode = CONT;

        put_random_control(in, expected);
    }

    put_frame(in, FIN|opcode, data + pos, len - pos);
    expect_event(expected, type, 0, data, len);

    put_random_control(in, expected);
}


static void
put_random_control(bytes_t *in, bytes_t *expected)
{
    size_t      len, i;
    u_char      data[125];
    ngx_uint_t  opcode;

    if (next_random() % 3) {
        return;
    }

    opcode = (next_random() & 1) ? PING : PONG;
    len = next_random() % 126;

    for (i = 0; i < len; i++) {
        data[i] = next_random();
    }

    put_frame(in, FIN|opcode, data, len);
    expect_event(expected, opcode, 0, data, len);
}


static void
test_unmasked(void **state)
{
    (void) state;

    check_raw_error("\x81\x05", 2, 1002);
    check_raw_error("\x82\x00", 2, 1002);
    check_raw_error("\x01\x7e", 2, 1002);
    check_raw_error("\x81\x7f", 2, 1002);
    check_raw_error("\x88\x00", 2, 1002);
    check_raw_error("\x89\x04", 2, 1002);
    check_raw_error("\x8a\x7d", 2, 1002);
}


static void
test_reserved_bits_and_opcodes(void **state)
{
    char        raw[1];
    ngx_uint_t  first, opcode, known;

    (void) state;

    for (first = 0; first < 256; first++) {
        opcode = first & 0x0f;

        known = opcode == TEXT || opcode == BINARY
                || ((first & FIN)
                    && (opcode == CLOSE || opcode == PING || opcode == PONG));

        if (known && (first & 0x70) == 0) {
            continue;
        }

        raw[0] = first;
        check_raw_error(raw, 1, 1002);
    }
}


static void
test_lengths_not_minimal(void **state)
{
    (void) state;

    check_raw_error("\x81\xfe\x00\x00", 4, 1002);
    check_raw_error("\x81\xfe\x00\x7d", 4, 1002);
    check_raw_error("\x82\xff\x00\x00\x00\x00\x00\x00\x00\x00", 10, 1002);
    check_raw_error("\x82\xff\x00\x00\x00\x00\x00\x00\x00\x7d", 10, 1002);
    check_raw_error("\x82\xff\x00\x00\x00\x00\x00\x00\x00\x7e", 10, 1002);
    check_raw_error("\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff", 10, 1002);
}


static void
test_length_with_top_bit(void **state)
{
    (void) state;

    check_raw_error("\x82\xff\x80", 3, 1002);
    check_raw_error("\x01\xff\xff", 3, 1002);
}


static void
test_bad_controls(void **state)
{
    (void) state;

    /* fragmented */
    check_raw_error("\x08", 1, 1002);
    check_raw_error("\x09", 1, 1002);
    check_raw_error("\x0a", 1, 1002);

    /* longer than 125 */
    check_raw_error("\x88\xfe", 2, 1002);
    check_raw_error("\x89\xfe", 2, 1002);
    check_raw_error("\x8a\xfe", 2, 1002);
    check_raw_error("\x89\xff", 2, 1002);
}


static void
test_bad_order_of_fragments(void **state)
{
    bytes_t  in = { NULL, 0, 0 }, expected = { NULL, 0, 0 };

    (void) state;

    check_raw_error("\x00", 1, 1002);
    check_raw_error("\x80", 1, 1002);

    put_text(&in, TEXT, "begin");
    put_text(&in, FIN|TEXT, "new");
    check_error(&in, 1002);

    put_text(&in, BINARY, "");
    put_text(&in, BINARY, "new");
    check_error(&in, 1002);

    put_text(&in, FIN|TEXT, "whole");
    put_text(&in, FIN|CONT, "nothing to continue");
    expect_text(&expected, TEXT, "whole");
    expect_error(&expected, 1002);
    check(&in, &expected, MAX);
}


static void
test_close(void **state)
{
    u_char   reason[123];
    bytes_t  in = { NULL, 0, 0 }, expected = { NULL, 0, 0 };

    (void) state;

    /* without a code; what follows is no protocol any more */

    put_text(&in, FIN|CLOSE, "");
    put_text(&in, FIN|TEXT, "ignored");
    bytes_add(&in, "\xff\xff\xff", 3);
    expect_text(&expected, CLOSE, "");
    check(&in, &expected, MAX);

    put_close(&in, 1000, "", 0);
    put_close(&in, 1000, "", 0);
    expect_event(&expected, CLOSE, 1000, "", 0);
    check(&in, &expected, MAX);

    put_close(&in, 3000, "\xc3\xa9\xe2\x82\xac", 5);
    expect_event(&expected, CLOSE, 3000, "\xc3\xa9\xe2\x82\xac", 5);
    check(&in, &expected, MAX);

    put_text(&in, FIN|CLOSE, "\x03");
    check_error(&in, 1002);

    put_close(&in, 1000, "\xc3", 1);
    check_error(&in, 1007);

    put_close(&in, 1000, "bad \xed\xa0\x80.", 8);
    check_error(&in, 1007);

    /* the longest, cut within its last character */

    memset(reason, 'r', sizeof(reason));
    memcpy(reason + 120, "\xf0\x9f\x98", 3);
    put_close(&in, 1000, reason, sizeof(reason));
    check_error(&in, 1007);
}


static void
test_close_codes(void **state)
{
    u_char      body[2];
    ngx_uint_t  code, valid;

    (void) state;

    for (code = 0; code < 65536; code++) {
        body[0] = code >> 8;
        body[1] = code;

        valid = (code >= 3000 && code < 5000)
                || (code >= 1000 && code <= 1014
                    && code != 1004 && code != 1005 && code != 1006);

        assert_int_equal(parse_message(CLOSE, body, 2), valid ? 0 : 1002);
    }
}


/* what the text is by the numbers that it encodes; 1: valid */

static ngx_uint_t
utf8_reference(u_char *p, size_t len)
{
    size_t      i, n;
    uint32_t    ch;
    ngx_uint_t  j;

    static uint32_t  least[] = { 0, 0x80, 0x800, 0x10000 };

    for (i = 0; i < len; i += n + 1) {

        if (p[i] < 0x80) {
            n = 0;
            continue;
        }

        if ((p[i] & 0xe0) == 0xc0) {
            n = 1;
            ch = p[i] & 0x1f;

        } else if ((p[i] & 0xf0) == 0xe0) {
            n = 2;
            ch = p[i] & 0x0f;

        } else if ((p[i] & 0xf8) == 0xf0) {
            n = 3;
            ch = p[i] & 0x07;

        } else {
            return 0;
        }

        for (j = 1; j <= n; j++) {
            if (i + j >= len || (p[i + j] & 0xc0) != 0x80) {
                return 0;
            }

            ch = ch << 6 | (p[i + j] & 0x3f);
        }

        if (ch < least[n] || ch > 0x10ffff || (ch >= 0xd800 && ch <= 0xdfff))
        {
            return 0;
        }
    }

    return 1;
}


static size_t
utf8_encode(u_char *p, uint32_t n)
{
    if (n < 0x80) {
        p[0] = n;
        return 1;
    }

    if (n < 0x800) {
        p[0] = 0xc0 | n >> 6;
        p[1] = 0x80 | (n & 0x3f);
        return 2;
    }

    if (n < 0x10000) {
        p[0] = 0xe0 | n >> 12;
        p[1] = 0x80 | ((n >> 6) & 0x3f);
        p[2] = 0x80 | (n & 0x3f);
        return 3;
    }

    p[0] = 0xf0 | n >> 18;
    p[1] = 0x80 | ((n >> 12) & 0x3f);
    p[2] = 0x80 | ((n >> 6) & 0x3f);
    p[3] = 0x80 | (n & 0x3f);

    return 4;
}


static void
test_utf8_every_character(void **state)
{
    u_char    data[4 * 4096], *p;
    uint32_t  n, i;

    (void) state;

    for (n = 0; n < 0x110000; n += 4096) {

        if (n >= 0xd800 && n < 0xe000) {
            continue;
        }

        p = data;

        for (i = 0; i < 4096 && (n + i < 0xd800 || n + i > 0xdfff); i++) {
            p += utf8_encode(p, n + i);
        }

        assert_int_equal(parse_message(TEXT, data, p - data), 0);
    }

    for (n = 0xd800; n < 0xe000; n++) {
        assert_int_equal(parse_message(TEXT, data, utf8_encode(data, n)),
                         1007);
    }

    for (n = 0x110000; n < 0x200000; n += 0x101) {
        assert_int_equal(parse_message(TEXT, data, utf8_encode(data, n)),
                         1007);
    }
}


/* every pair of bytes, and every edge of a range in four places */

static void
test_utf8_every_sequence(void **state)
{
    u_char         data[12];
    size_t         len, offset;
    uint32_t       n, i;
    ngx_uint_t     expected;

    static u_char  edges[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
                               0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec,
                               0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5,
                               0xf8, 0xff };

    (void) state;

    for (n = 0; n < 65536; n++) {
        data[0] = n >> 8;
        data[1] = n;

        expected = utf8_reference(data, 2) ? 0 : 1007;
        assert_int_equal(parse_message(TEXT, data, 2), expected);
    }

    for (n = 0; n < 26 * 26 * 26 * 26; n++) {

        /* also where the words of the fast way begin and end */
        offset = n % 9;
        memset(data, 'a', sizeof(data));

        for (i = 0, len = n; i < 4 && offset + i < sizeof(data); i++) {
            data[offset + i] = edges[len % 26];
            len /= 26;
        }

        expected = utf8_reference(data, sizeof(data)) ? 0 : 1007;
        assert_int_equal(parse_message(TEXT, data, sizeof(data)), expected);
    }
}


static void
test_utf8_over_fragments(void **state)
{
    size_t              i, j, len;
    bytes_t             in = { NULL, 0, 0 }, expected = { NULL, 0, 0 };

    static const char  *text = "\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf "
                               "\xee\x80\x80 \xf0\x90\x80\x80 "
                               "\xf4\x8f\xbf\xbf plain \xce\xba";

    (void) state;

    len = strlen(text);

    for (i = 0; i <= len; i++) {
        j = i + (len - i) / 2;

        put_frame(&in, TEXT, text, i);
        put_text(&in, FIN|PING, "\xff is no text");
        put_frame(&in, CONT, text + i, j - i);
        put_frame(&in, FIN|CONT, text + j, len - j);

        expect_text(&expected, PING, "\xff is no text");
        expect_text(&expected, TEXT, text);

        check(&in, &expected, MAX);
    }

    /* an end within a character */

    put_text(&in, TEXT, "\xe2");
    put_text(&in, CONT, "\x82");
    put_text(&in, FIN|CONT, "");
    check_error(&in, 1007);

    /* the next message does not continue it */

    put_text(&in, FIN|BINARY, "\xe2\x82");
    put_text(&in, FIN|TEXT, "\xac");
    expect_text(&expected, BINARY, "\xe2\x82");
    expect_error(&expected, 1007);
    check(&in, &expected, MAX);
}


static void
test_utf8_fails_at_the_byte(void **state)
{
    size_t    i, n, at;
    peer_t    peer;
    bytes_t   in = { NULL, 0, 0 };

    static struct {
        const char  *text;
        size_t       at;
    } bad[] = {
        { "0123456789\x80", 10 },
        { "\xc0\xaf", 0 },                           /* overlong */
        { "\xc1\xbf", 0 },
        { "\xe0\x80\xaf", 1 },
        { "\xe0\x9f\xbf", 1 },
        { "\xf0\x80\x80\xaf", 1 },
        { "\xf0\x8f\xbf\xbf", 1 },
        { "\xf8\x88\x80\x80\x80", 0 },
        { "\xfc\x84\x80\x80\x80\x80", 0 },
        { "\xed\xa0\x80", 1 },                       /* surrogates */
        { "ok \xed\xbf\xbf", 4 },
        { "\xf4\x90\x80\x80", 1 },                   /* above U+10FFFF */
        { "\xf5\x80\x80\x80", 0 },
        { "\xf7\xbf\xbf\xbf", 0 },
        { "\xfe", 0 },
        { "\xff", 0 },
        { "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90", 12 },
        { "0123456\xc3(", 8 },                       /* tail is missing */
        { "\xe2\x82(", 2 },
        { "\xf1\x80\x80(", 3 }
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {

        /* in a frame that is far from complete, of a message that is, too */

        put_text(&in, TEXT, "begin ");
        n = in.len;

        put_header(&in, CONT, 60000, (u_char *) "\0\0\0\0");
        at = in.len + bad[i].at;

        bytes_add(&in, bad[i].text, strlen(bad[i].text));

        peer_init(&peer, MAX);
        peer_feed(&peer, in.data, n);
        peer_feed(&peer, in.data + n, at - n);
        assert_int_equal(peer.code, 0);

        peer_feed(&peer, in.data + at, 1);
        assert_int_equal(peer.code, 1007);

        peer_done(&peer);

        check_error(&in, 1007);
    }
}


static void
test_binary_is_not_text(void **state)
{
    bytes_t  in = { NULL, 0, 0 }, expected = { NULL, 0, 0 };

    (void) state;

    put_text(&in, BINARY, "\xff\xfe");
    put_text(&in, FIN|CONT, "\xc0");
    expect_text(&expected, BINARY, "\xff\xfe\xc0");
    check(&in, &expected, MAX);
}


static void
test_size_limit(void **state)
{
    size_t   n;
    peer_t   peer;
    bytes_t  in = { NULL, 0, 0 }, expected = { NULL, 0, 0 };

    (void) state;

    /* exactly the limit, in one and in fragments */

    put_text(&in, FIN|TEXT, "0123456789");
    put_text(&in, TEXT, "01234");
    put_text(&in, CONT, "56789");
    put_text(&in, FIN|PING, "is not a part of it");
    put_text(&in, FIN|CONT, "");
    expect_text(&expected, TEXT, "0123456789");
    expect_text(&expected, PING, "is not a part of it");
    expect_text(&expected, TEXT, "0123456789");
    check(&in, &expected, 10);

    put_text(&in, FIN|BINARY, "0123456789a");
    expect_error(&expected, 1009);
    check(&in, &expected, 10);

    put_text(&in, TEXT, "01234");
    put_text(&in, CONT, "56789");
    put_text(&in, FIN|CONT, "a");
    expect_error(&expected, 1009);
    check(&in, &expected, 10);

    put_text(&in, FIN|TEXT, "");
    put_text(&in, FIN|TEXT, "a");
    expect_text(&expected, TEXT, "");
    expect_error(&expected, 1009);
    check(&in, &expected, 0);

    /* refused at the last byte of the length */

    check_raw_error("\x82\xff\x00\x00\x00\x00\x00\x10\x00\x01", 10, 1009);
    check_raw_error("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 10, 1009);

    /* a sum that wraps */

    put_text(&in, BINARY, "0123456789");
    n = in.len;
    put_header(&in, CONT, 0x7fffffffffffffffULL, NULL);
    in.data[n + 1] |= 0x80;

    peer_init(&peer, (size_t) -1);
    peer_feed(&peer, in.data, in.len);
    assert_int_equal(peer.code, 0);
    peer_feed(&peer, (u_char *) "\1\2\3\4abc", 7);
    assert_int_equal(peer.code, 0);
    assert_true(memory.live <= 256 + OVERHEAD);
    peer_done(&peer);

    bytes_free(&in);
}


static void
test_declared_length_allocates_nothing(void **state)
{
    size_t   i;
    peer_t   peer;
    bytes_t  in = { NULL, 0, 0 };

    (void) state;

    put_header(&in, FIN|BINARY, MAX, (u_char *) "\1\2\3\4");

    peer_init(&peer, MAX);
    peer_feed(&peer, in.data, in.len);
    assert_int_equal(memory.live, 0);
    assert_true(ngx_chathub_websocket_incomplete(&peer.ws));

    peer_feed(&peer, (u_char *) "a", 1);
    assert_true(memory.live > 0);
    assert_true(memory.live <= 256 + OVERHEAD);

    peer_done(&peer);
    bytes_free(&in);

    /* but nothing above it is ever needed */

    put_header(&in, FIN|BINARY, 300, (u_char *) "\1\2\3\4");

    peer_init(&peer, MAX);
    peer_feed(&peer, in.data, in.len);

    for (i = 0; i < 299; i++) {
        peer_feed(&peer, (u_char *) "a", 1);
    }

    assert_int_equal(memory.live, 300 + OVERHEAD);

    peer_done(&peer);
    bytes_free(&in);
}


static void
test_growth_is_geometric(void **state)
{
    size_t      i;
    peer_t      peer;
    bytes_t     in = { NULL, 0, 0 };
    ngx_uint_t  fin;

    (void) state;

    for (fin = 0; fin <= FIN; fin += FIN) {
        put_header(&in, fin|BINARY, MAX, (u_char *) "\1\2\3\4");

        peer_init(&peer, MAX);
        peer_feed(&peer, in.data, in.len);

        for (i = 0; i < MAX - 1; i++) {
            peer_feed(&peer, (u_char *) "a", 1);
        }

        assert_true(memory.calls < 20);
        assert_true(memory.live <= MAX + OVERHEAD);
        assert_true(memory.peak <= 2 * (MAX + OVERHEAD));

        peer_feed(&peer, (u_char *) "a", 1);

        if (fin == 0) {
            assert_int_equal(peer.n, 0);
            put_text(&in, FIN|CONT, "");
            peer_feed(&peer, in.data + in.len - 6, 6);
        }

        assert_int_equal(peer.n, 1);
        assert_int_equal(memory.live, 0);

        peer_done(&peer);
        bytes_free(&in);
    }
}


static void
test_whole_frames_are_not_copied(void **state)
{
    u_char                         *pos;
    peer_t                          peer;
    bytes_t                         in = { NULL, 0, 0 };
    ngx_chathub_websocket_frame_t   frame;

    (void) state;

    put_text(&in, FIN|TEXT, "a whole text");
    put_text(&in, FIN|PING, "ping");
    put_text(&in, TEXT, "");
    put_text(&in, FIN|CONT, "all in the last fragment");

    peer_init(&peer, MAX);
    pos = in.data;

    assert_int_equal(ngx_chathub_websocket_parse(&peer.ws, &pos,
                                  in.data + in.len, &frame, NULL), NGX_OK);
    assert_ptr_equal(frame.data.data, in.data + 6);
    assert_memory_equal(in.data + 6, "a whole text", 12);

    assert_int_equal(ngx_chathub_websocket_parse(&peer.ws, &pos,
                                  in.data + in.len, &frame, NULL), NGX_OK);
    assert_ptr_equal(frame.data.data, pos - 4);

    assert_int_equal(ngx_chathub_websocket_parse(&peer.ws, &pos,
                                  in.data + in.len, &frame, NULL), NGX_OK);
    assert_ptr_equal(frame.data.data + frame.data.len, in.data + in.len);
    assert_ptr_equal(pos, in.data + in.len);

    /* the header may have come before */

    bytes_free(&in);
    put_text(&in, FIN|TEXT, "text");
    peer_feed(&peer, in.data, 6);
    peer_feed(&peer, in.data + 6, 4);
    assert_int_equal(peer.n, 1);

    assert_int_equal(memory.calls, 0);

    peer_done(&peer);
    bytes_free(&in);
}


static void
test_no_bytes(void **state)
{
    u_char                         *pos;
    peer_t                          peer;
    bytes_t                         in = { NULL, 0, 0 };
    ngx_chathub_websocket_frame_t   frame;

    (void) state;

    put_text(&in, FIN|TEXT, "text");

    peer_init(&peer, MAX);
    pos = NULL;

    assert_int_equal(ngx_chathub_websocket_parse(&peer.ws, &pos, NULL,
                                                 &frame, NULL), NGX_AGAIN);
    peer_feed(&peer, in.data, 8);
    assert_int_equal(ngx_chathub_websocket_parse(&peer.ws, &pos, NULL,
                                                 &frame, NULL), NGX_AGAIN);
    peer_feed(&peer, in.data + 8, 2);
    assert_int_equal(peer.n, 1);

    peer_done(&peer);
    bytes_free(&in);
}


static void
test_million_empty_fragments(void **state)
{
    peer_t      peer;
    bytes_t     first = { NULL, 0, 0 }, next = { NULL, 0, 0 };
    ngx_uint_t  i;

    (void) state;

    put_text(&first, TEXT, "");
    put_text(&next, CONT, "");

    peer_init(&peer, MAX);
    peer_feed(&peer, first.data, first.len);

    for (i = 1; i < 1000000; i++) {
        peer_feed(&peer, next.data, next.len);

        if (i == NGX_CHATHUB_WEBSOCKET_FRAGMENTS_MAX - 1) {
            assert_int_equal(peer.code, 0);
        }

        if (i == NGX_CHATHUB_WEBSOCKET_FRAGMENTS_MAX) {
            assert_int_equal(peer.code, 1008);
        }
    }

    assert_int_equal(memory.calls, 0);
    assert_int_equal(peer.n, 0);
    peer_done(&peer);

    /* as many as are allowed; each message has its own count */

    peer_init(&peer, MAX);
    peer_feed(&peer, first.data, first.len);

    for (i = 2; i < NGX_CHATHUB_WEBSOCKET_FRAGMENTS_MAX; i++) {
        peer_feed(&peer, next.data, next.len);
    }

    next.data[0] |= FIN;
    peer_feed(&peer, next.data, next.len);
    peer_feed(&peer, first.data, first.len);
    peer_feed(&peer, next.data, next.len);
    assert_int_equal(peer.n, 2);
    assert_int_equal(peer.code, 0);

    peer_done(&peer);
    bytes_free(&first);
    bytes_free(&next);
}


static void
test_no_memory(void **state)
{
    size_t      i;
    u_char      data[1500];
    peer_t      peer;
    bytes_t     in = { NULL, 0, 0 };
    ngx_uint_t  n;

    (void) state;

    memset(data, 'd', sizeof(data));

    put_frame(&in, TEXT, data, sizeof(data));
    put_text(&in, FIN|PING, "ping");
    put_frame(&in, FIN|CONT, data, sizeof(data));

    for (n = 1; /* void */ ; n++) {
        peer_init(&peer, MAX);
        memory.fail_at = n;

        for (i = 0; i < in.len; i++) {
            peer_feed(&peer, in.data + i, 1);
        }

        if (memory.calls < n) {
            break;
        }

        assert_int_equal(peer.code, 1011);
        assert_int_equal(memory.calls, n);
        peer_done(&peer);
    }

    /* 256 to 2048 and 3000 for the message, one for the ping */
    assert_int_equal(n, 7);
    assert_int_equal(peer.code, 0);
    assert_int_equal(peer.n, 2);

    peer_done(&peer);
    bytes_free(&in);
}


static void
test_incomplete_and_done_at_every_byte(void **state)
{
    size_t   i, j, begin[6];
    peer_t   peer;
    bytes_t  in = { NULL, 0, 0 };

    (void) state;

    begin[0] = 0;
    put_text(&in, FIN|TEXT, "text");
    begin[1] = in.len;
    put_text(&in, FIN|PING, "");
    begin[2] = in.len;
    put_text(&in, TEXT, "");
    put_text(&in, FIN|PING, "between");
    put_text(&in, CONT, "middle");
    put_text(&in, FIN|CONT, "");
    begin[3] = in.len;
    put_text(&in, FIN|BINARY, "");
    begin[4] = in.len;
    put_close(&in, 1000, "bye", 3);
    begin[5] = in.len;
    put_text(&in, FIN|TEXT, "ignored");

    for (i = 0; i <= in.len; i++) {
        peer_init(&peer, MAX);
        peer_feed(&peer, in.data, i / 2);
        peer_feed(&peer, in.data + i / 2, i - i / 2);

        for (j = 0; j < 5 && begin[j] != i; j++) { /* void */ }

        assert_int_equal(ngx_chathub_websocket_incomplete(&peer.ws),
                         j == 5 && i < begin[5]);

        ngx_chathub_websocket_done(&peer.ws);
        assert_int_equal(memory.live, 0);
        assert_false(ngx_chathub_websocket_incomplete(&peer.ws));

        j = peer.n;
        peer_feed(&peer, in.data + i, in.len - i);
        assert_int_equal(peer.n, j);
        assert_int_equal(peer.code, 0);

        peer_done(&peer);
    }

    bytes_free(&in);
}


static void
test_header_bytes(void **state)
{
    u_char      buf[NGX_CHATHUB_WEBSOCKET_HEADER_MAX];
    size_t      i, n;

    static struct {
        ngx_uint_t   opcode;
        size_t       len;
        size_t       size;
        const char  *bytes;
    } headers[] = {
        { TEXT, 0, 2, "\x81\x00" },
        { TEXT, 125, 2, "\x81\x7d" },
        { TEXT, 126, 4, "\x81\x7e\x00\x7e" },
        { BINARY, 65535, 4, "\x82\x7e\xff\xff" },
        { BINARY, 65536, 10, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" },
        { TEXT, 0x01020304, 10, "\x81\x7f\x00\x00\x00\x00\x01\x02\x03\x04" },
        { PING, 0, 2, "\x89\x00" },
        { PONG, 125, 2, "\x8a\x7d" }
    };

    (void) state;

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        n = ngx_chathub_websocket_header_size(headers[i].len);
        assert_int_equal(n, headers[i].size);

        assert_ptr_equal(ngx_chathub_websocket_header(buf, headers[i].opcode,
                                                      headers[i].len),
                         buf + n);
        assert_memory_equal(buf, headers[i].bytes, n);
    }
}


/* what we write is what we would read, were it masked */

static void
test_header_round_trip(void **state)
{
    size_t         i, n;
    u_char        *frame, *p;
    bytes_t        in = { NULL, 0, 0 }, expected = { NULL, 0, 0 };

    static size_t  lengths[] = { 0, 1, 125, 126, 127, 65535, 65536, 100000 };

    (void) state;

    frame = malloc(NGX_CHATHUB_WEBSOCKET_HEADER_MAX + 100000);
    assert_non_null(frame);

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        n = lengths[i];

        p = ngx_chathub_websocket_header(frame, TEXT, n);
        memset(p, 't', n);

        bytes_add(&in, frame, p - frame);
        in.data[1] |= 0x80;
        bytes_add(&in, "\0\0\0\0", 4);
        bytes_add(&in, p, n);

        expect_event(&expected, TEXT, 0, p, n);
        check(&in, &expected, 100000);
    }

    free(frame);
}


static void
test_close_frame(void **state)
{
    u_char     buf[2 + NGX_CHATHUB_WEBSOCKET_CONTROL_MAX], *p;
    u_char     text[200];
    size_t     len, before, kept;
    ngx_str_t  reason;

    static const char  *characters[] = { "\xc3\xa9", "\xe2\x82\xac",
                                         "\xf0\x9f\x98\x80" };

    (void) state;

    p = ngx_chathub_websocket_close(buf, 0, NULL);
    assert_int_equal(p - buf, 2);
    assert_memory_equal(buf, "\x88\x00", 2);

    p = ngx_chathub_websocket_close(buf, 1009, NULL);
    assert_int_equal(p - buf, 4);
    assert_memory_equal(buf, "\x88\x02\x03\xf1", 4);

    ngx_str_set(&reason, "bye");
    p = ngx_chathub_websocket_close(buf, 4000, &reason);
    assert_int_equal(p - buf, 7);
    assert_memory_equal(buf, "\x88\x05\x0f\xa0" "bye", 7);

    reason.data = text;

    for (len = 2; len <= 4; len++) {
        for (before = 110; before <= 123; before++) {

            memset(text, 'r', sizeof(text));
            memcpy(text + before, characters[len - 2], len);
            reason.len = before + len;

            kept = (before + len <= 123) ? before + len : before;

            p = ngx_chathub_websocket_close(buf, 1013, &reason);
            assert_int_equal(p - buf, 4 + kept);
            assert_int_equal(buf[1], 2 + kept);
            assert_memory_equal(buf + 4, text, kept);

            /* and as it must be read */
            assert_int_equal(parse_message(CLOSE, buf + 2, p - buf - 2), 0);
        }
    }

    /* no character begins in it: nothing is left, and nothing before it is
     * read */

    memset(text, 0x80, sizeof(text));
    reason.len = sizeof(text);
    p = ngx_chathub_websocket_close(buf, 1000, &reason);
    assert_int_equal(p - buf, 4);
}


static void
test_accept(void **state)
{
    u_char     accept[NGX_CHATHUB_WEBSOCKET_ACCEPT_LEN];
    size_t     i;
    ngx_str_t  key;

    static const char  *bad[] = {
        "",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZ===",
        "dGhlIHNhbXBsZSBub25j====",
        "dGhlIHNhbXBsZSBub25jZQ=x",
        "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZSBub25jZQA=",
        "dGhlIHNhbXBs=SBub25jZQ==",
        "dGhlIHNhbXBs!SBub25jZQ==",
        "dGhlIHNhbXBs-_Bub25jZQ==",
        "dGhlIHNhbXBs SBub25jZQ==",
        "========================",
        "dGhlIHNhbXBsZSBub25jZSBhbmQgbW9yZQ=="
    };

    (void) state;

    /* RFC 6455, 1.3 */

    ngx_str_set(&key, "dGhlIHNhbXBsZSBub25jZQ==");
    assert_int_equal(ngx_chathub_websocket_accept(&key, accept), NGX_OK);
    assert_memory_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
                        sizeof(accept));

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        key.len = strlen(bad[i]);
        key.data = (u_char *) bad[i];
        assert_int_equal(ngx_chathub_websocket_accept(&key, accept),
                         NGX_DECLINED);
    }
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_struct_is_small),
        cmocka_unit_test(test_messages_of_all_lengths),
        cmocka_unit_test(test_fragments_and_controls_between),
        cmocka_unit_test(test_control_of_125_bytes),
        cmocka_unit_test(test_random_conversations),
        cmocka_unit_test(test_unmasked),
        cmocka_unit_test(test_reserved_bits_and_opcodes),
        cmocka_unit_test(test_lengths_not_minimal),
        cmocka_unit_test(test_length_with_top_bit),
        cmocka_unit_test(test_bad_controls),
        cmocka_unit_test(test_bad_order_of_fragments),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_close_codes),
        cmocka_unit_test(test_utf8_every_character),
        cmocka_unit_test(test_utf8_every_sequence),
        cmocka_unit_test(test_utf8_over_fragments),
        cmocka_unit_test(test_utf8_fails_at_the_byte),
        cmocka_unit_test(test_binary_is_not_text),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_declared_length_allocates_nothing),
        cmocka_unit_test(test_growth_is_geometric),
        cmocka_unit_test(test_whole_frames_are_not_copied),
        cmocka_unit_test(test_no_bytes),
        cmocka_unit_test(test_million_empty_fragments),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_incomplete_and_done_at_every_byte),
        cmocka_unit_test(test_header_bytes),
        cmocka_unit_test(test_header_round_trip),
        cmocka_unit_test(test_close_frame),
        cmocka_unit_test(test_accept)
    };

    seed = 20261124;

    return cmocka_run_group_tests(tests, NULL, NULL);
}
