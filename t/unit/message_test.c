
/*
 * Copyright (C) ChatHub contributors
 */


/* Messages: text forms, hashes, ids, names. */


#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "ngx_chathub_message.h"


#define NOW  1767225600000ULL   /* 2026-01-01 */


static void test_head(void **state);
static void test_body(void **state);
static void test_body_escapes(void **state);
static void test_time(void **state);
static void test_time_every_month(void **state);
static void test_epoch(void **state);
static void test_check_id(void **state);
static void test_check_name(void **state);
static void test_check_type(void **state);
static void test_utf8(void **state);
static void test_utf8_cut(void **state);
static void test_digest(void **state);
static void test_id_hash(void **state);
static void test_uuid_form(void **state);
static void test_uuid_order(void **state);
static void test_uuid_clock(void **state);
static void test_uuid_unique(void **state);
static void test_uuid_child(void **state);

static ngx_str_t text(const char *s);
static uint64_t uuid_time(u_char *id);
static void uuids_are_unique(ngx_uint_t n);


/* 0: the kernel's; 1: fails; 2: gives too little */
static ngx_uint_t  random_mode;
static ngx_uint_t  random_calls;
static ngx_uint_t  clock_stopped;

static u_char  key[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
                           15 };


/* these two go before libc's */

int
clock_gettime(clockid_t id, struct timespec *ts)
{
    if (clock_stopped) {
        ngx_memzero(ts, sizeof(struct timespec));
        return 0;
    }

    return syscall(SYS_clock_gettime, id, ts);
}


ssize_t
getrandom(void *buf, size_t size, unsigned int flags)
{
    int      fd;
    ssize_t  n;

    assert_int_equal(flags, GRND_NONBLOCK);

    random_calls++;

    if (random_mode == 1) {
        ngx_set_errno(EAGAIN);
        return -1;
    }

    if (random_mode == 2) {
        ngx_memzero(buf, 10);
        return 10;
    }

    fd = open("/dev/urandom", O_RDONLY);
    assert_true(fd >= 0);

    n = read(fd, buf, size);
    close(fd);

    return n;
}


static ngx_str_t
text(const char *s)
{
    ngx_str_t  str;

    str.data = (u_char *) s;
    str.len = strlen(s);

    return str;
}


static void
test_head(void **state)
{
    u_char       buf[NGX_CHATHUB_MESSAGE_HEAD_MAX + 1], *p;
    ngx_str_t    id;
    const char  *longest;

    id = text("a");

    p = ngx_chathub_message_head(buf, &id, 7, 0x1f, NOW + 5);
    *p = '\0';

    assert_string_equal(buf, "{\"id\":\"a\",\"seq\":7,"
                             "\"epoch\":\"000000000000001f\","
                             "\"time\":\"2026-01-01T00:00:00.005Z\",");

    longest = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
              "0123456789-_";
    id = text(longest);
    assert_int_equal(id.len, NGX_CHATHUB_ID_MAX);

    p = ngx_chathub_message_head(buf, &id, (uint64_t) -1, (uint64_t) -1,
                                 (uint64_t) -1);

    assert_true(p - buf <= NGX_CHATHUB_MESSAGE_HEAD_MAX);
    *p = '\0';

    assert_non_null(strstr((char *) buf, longest));
    assert_non_null(strstr((char *) buf, "\"seq\":18446744073709551615,"
                                         "\"epoch\":\"ffffffffffffffff\","
                                         "\"time\":\"9999-12-31T"));
}


static void
check_body(ngx_chathub_message_t *m, const char *expected)
{
    size_t   size;
    u_char  *buf, *p;

    size = ngx_chathub_message_body_size(m);
    assert_int_equal(size, strlen(expected));

    /* of exactly this size: the sanitizer sees a byte too many */

    buf = malloc(size);
    assert_non_null(buf);

    p = ngx_chathub_message_body(buf, m);

    assert_int_equal(p - buf, size);
    assert_memory_equal(buf, expected, size);

    free(buf);
}


static void
test_body(void **state)
{
    ngx_chathub_message_t  m;

    ngx_memzero(&m, sizeof(ngx_chathub_message_t));

    check_body(&m, "\"user\":\"\",\"room\":\"\",\"data\":\"\",\"type\":\"\","
                   "\"broadcast\":0,\"unicast\":false,\"toUser\":\"\"}");

    m.user = text("alice");
    m.room = text("den");
    m.data = text("hello");
    m.type = text("text");
    m.to_user = text("bob");
    m.unicast = 1;

    check_body(&m, "\"user\":\"alice\",\"room\":\"den\",\"data\":\"hello\","
                   "\"type\":\"text\",\"broadcast\":0,\"unicast\":true,"
                   "\"toUser\":\"bob\"}");

    m.unicast = 0;
    m.broadcast = 1;

    check_body(&m, "\"user\":\"alice\",\"room\":\"den\",\"data\":\"hello\","
                   "\"type\":\"text\",\"broadcast\":1,\"unicast\":false,"
                   "\"toUser\":\"bob\"}");
}


static void
test_body_escapes(void **state)
{
    u_char                  bytes[0x20];
    ngx_uint_t              i;
    ngx_chathub_message_t   m;

    ngx_memzero(&m, sizeof(ngx_chathub_message_t));

    for (i = 0; i < 0x20; i++) {
        bytes[i] = (u_char) i;
    }

    m.data.data = bytes;
    m.data.len = 0x20;

    /* quotes everywhere; U+2028 and U+2029, DEL and others as they are */

    m.user = text("\"\\/");
    m.room = text("\xe2\x80\xa8\xe2\x80\xa9");
    m.type = text("\x7f\xf0\x9f\x98\x80");
    m.to_user = text("\n\"");

    check_body(&m, "\"user\":\"\\\"\\\\/\","
                   "\"room\":\"\xe2\x80\xa8\xe2\x80\xa9\","
                   "\"data\":\"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005"
                   "\\u0006\\u0007\\b\\t\\n\\u000B\\f\\r\\u000E\\u000F"
                   "\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017"
                   "\\u0018\\u0019\\u001A\\u001B\\u001C\\u001D\\u001E\\u001F"
                   "\",\"type\":\"\x7f\xf0\x9f\x98\x80\","
                   "\"broadcast\":0,\"unicast\":false,"
                   "\"toUser\":\"\\n\\\"\"}");
}


static void
test_time(void **state)
{
    u_char      buf[NGX_CHATHUB_TIME_LEN + 1], *p;
    ngx_uint_t  i;

    static const struct {
        uint64_t     time;
        const char  *text;
    } times[] = {
        { 0, "1970-01-01T00:00:00.000Z" },
        { 1, "1970-01-01T00:00:00.001Z" },
        { 951782399999ULL, "2000-02-28T23:59:59.999Z" },
        { 951782400000ULL, "2000-02-29T00:00:00.000Z" },
        { 1769862896789ULL, "2026-01-31T12:34:56.789Z" },
        { 2147483648000ULL, "2038-01-19T03:14:08.000Z" },
        { 4107542400000ULL, "2100-03-01T00:00:00.000Z" },
        { 4294967296000ULL, "2106-02-07T06:28:16.000Z" },
        { 253402300799999ULL, "9999-12-31T23:59:59.999Z" },
        { 253402300800000ULL, "9999-12-31T23:59:59.999Z" },
        { (uint64_t) -1, "9999-12-31T23:59:59.999Z" }
    };

    /* of no account */

    setenv("TZ", "America/New_York", 1);
    tzset();

    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        p = ngx_chathub_message_time_text(buf, times[i].time);
        assert_int_equal(p - buf, NGX_CHATHUB_TIME_LEN);
        *p = '\0';
        assert_string_equal(buf, times[i].text);
    }

    unsetenv("TZ");
    tzset();
}


/* the calendar, counted day by day; first and last of each month */

static void
test_time_every_month(void **state)
{
    char        expected[64];
    u_char      buf[NGX_CHATHUB_TIME_LEN + 1];
    uint64_t    day;
    ngx_uint_t  year, month, mday, last;

    static const ngx_uint_t  days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30,
                                        31, 30, 31 };

    buf[NGX_CHATHUB_TIME_LEN] = '\0';
    day = 0;

    for (year = 1970; year <= 9999; year++) {
        for (month = 1; month <= 12; month++) {

            last = days[month - 1];

            if (month == 2 && year % 4 == 0
                && (year % 100 != 0 || year % 400 == 0))
            {
                last = 29;
            }

            for (mday = 1; mday <= last; mday++, day++) {

                if (mday != 1 && mday != last) {
                    continue;
                }

                snprintf(expected, sizeof(expected),
                         "%04u-%02u-%02uT23:59:59.999Z", (unsigned) year,
                         (unsigned) month, (unsigned) mday);

                (void) ngx_chathub_message_time_text(buf,
                                               day * 86400000 + 86399999);

                assert_string_equal(buf, expected);
            }
        }
    }

    assert_int_equal(day * 86400000 - 1, NGX_CHATHUB_TIME_MAX);
}


static void
test_epoch(void **state)
{
    u_char       buf[NGX_CHATHUB_EPOCH_LEN + 1];
    uint64_t     epoch;
    ngx_str_t    s;
    ngx_uint_t   i;

    static const uint64_t  epochs[] = {
        0, 1, 0xabcdef, 0x8000000000000000ULL, 0xffffffffffffffffULL
    };

    static const char  *bad[] = {
        "", "0", "000000000000000", "00000000000000000", "000000000000000A",
        "000000000000000g", "-000000000000001", " 00000000000001f",
        "0x00000000000001", "000000000000000/", "000000000000000:",
        "000000000000000`"
    };

    for (i = 0; i < sizeof(epochs) / sizeof(epochs[0]); i++) {
        s.data = buf;
        s.len = ngx_chathub_message_epoch_text(buf, epochs[i]) - buf;

        assert_int_equal(s.len, NGX_CHATHUB_EPOCH_LEN);
        assert_int_equal(ngx_chathub_message_epoch_parse(&s, &epoch), NGX_OK);
        assert_int_equal(epoch, epochs[i]);
    }

    epoch = 42;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        s = text(bad[i]);
        assert_int_equal(ngx_chathub_message_epoch_parse(&s, &epoch),
                         NGX_ERROR);
        assert_int_equal(epoch, 42);
    }

    (void) ngx_chathub_message_epoch_text(buf, 0xabcdef0123456789ULL);
    assert_memory_equal(buf, "abcdef0123456789", NGX_CHATHUB_EPOCH_LEN);
}


/* every single byte, and lengths around the bound */

static void
check_alphabet(ngx_int_t (*check)(ngx_str_t *), const char *alphabet,
    size_t max)
{
    size_t      len;
    u_char      byte, buf[256];
    ngx_str_t   s;
    ngx_uint_t  i;

    for (i = 0; i < 256; i++) {
        byte = (u_char) i;
        s.data = &byte;
        s.len = 1;

        assert_int_equal(check(&s),
                         (i && strchr(alphabet, (int) i)) ? NGX_OK
                                                          : NGX_ERROR);
    }

    memset(buf, 'x', sizeof(buf));
    s.data = buf;

    for (len = 0; len < sizeof(buf); len++) {
        s.len = len;
        assert_int_equal(check(&s), (len && len <= max) ? NGX_OK : NGX_ERROR);
    }

    s.len = max;
    buf[max - 1] = '!';
    assert_int_equal(check(&s), NGX_ERROR);
}


#define LETTERS  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


static void
test_check_id(void **state)
{
    ngx_str_t  id;

    check_alphabet(ngx_chathub_message_check_id, LETTERS "0123456789_-", 64);

    id = text("c-");
    assert_int_equal(ngx_chathub_message_check_id(&id), NGX_ERROR);
    id = text("c-0123456789abcdef");
    assert_int_equal(ngx_chathub_message_check_id(&id), NGX_ERROR);
    id = text("c");
    assert_int_equal(ngx_chathub_message_check_id(&id), NGX_OK);
    id = text("cc-");
    assert_int_equal(ngx_chathub_message_check_id(&id), NGX_OK);
    id = text("C-1");
    assert_int_equal(ngx_chathub_message_check_id(&id), NGX_OK);
    id = text("c_1");
    assert_int_equal(ngx_chathub_message_check_id(&id), NGX_OK);
    id = text("-");
    assert_int_equal(ngx_chathub_message_check_id(&id), NGX_OK);
}


static void
test_check_type(void **state)
{
    ngx_str_t  type;

    check_alphabet(ngx_chathub_message_check_type,
                   LETTERS "0123456789._/+-", 32);

    type = text("application/vnd.x+json");
    assert_int_equal(ngx_chathub_message_check_type(&type), NGX_OK);
}


static void
test_check_name(void **state)
{
    u_char      buf[129];
    ngx_str_t   s;
    ngx_uint_t  i;

    static const char  *good[] = {
        "a", " ", "__proto__", "a b/c?d#e%2F", "\xc2\xa0", "\xc3\xa9",
        "\xe2\x80\xa8", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\"\\", "~"
    };

    static const char  *bad[] = {
        "", "\x01", "a\nb", "a\tb", "\x1f", "\x7f", "a\x7f", "\xc2\x80",
        "\xc2\x9f", "a\xc2\x85z", "\xff", "\xc3", "a\xe2\x80", "\xc0\x80",
        "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3\xc3"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        s = text(good[i]);
        assert_int_equal(ngx_chathub_message_check_name(&s), NGX_OK);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        s = text(bad[i]);
        assert_int_equal(ngx_chathub_message_check_name(&s), NGX_ERROR);
    }

    s.data = (u_char *) "a\0b";
    s.len = 3;
    assert_int_equal(ngx_chathub_message_check_name(&s), NGX_ERROR);

    memset(buf, 'x', sizeof(buf));
    s.data = buf;
    s.len = 128;
    assert_int_equal(ngx_chathub_message_check_name(&s), NGX_OK);
    s.len = 129;
    assert_int_equal(ngx_chathub_message_check_name(&s), NGX_ERROR);

    /* the bound is in bytes, and what lies behind the name is not read */

    for (i = 0; i < 128; i += 2) {
        buf[i] = 0xc3;
        buf[i + 1] = 0xa9;
    }

    s.len = 128;
    assert_int_equal(ngx_chathub_message_check_name(&s), NGX_OK);
    s.len = 127;
    assert_int_equal(ngx_chathub_message_check_name(&s), NGX_ERROR);
}


/* what every character is, made here from the code points */

static size_t
encode(u_char *p, uint32_t code)
{
    if (code < 0x80) {
        p[0] = (u_char) code;
        return 1;
    }

    if (code < 0x800) {
        p[0] = (u_char) (0xc0 | code >> 6);
        p[1] = (u_char) (0x80 | (code & 0x3f));
        return 2;
    }

    if (code < 0x10000) {
        p[0] = (u_char) (0xe0 | code >> 12);
        p[1] = (u_char) (0x80 | (code >> 6 & 0x3f));
        p[2] = (u_char) (0x80 | (code & 0x3f));
        return 3;
    }

    p[0] = (u_char) (0xf0 | code >> 18);
    p[1] = (u_char) (0x80 | (code >> 12 & 0x3f));
    p[2] = (u_char) (0x80 | (code >> 6 & 0x3f));
    p[3] = (u_char) (0x80 | (code & 0x3f));
    return 4;
}


/* all code points, and all sequences of two and three bytes */

static void
test_utf8(void **state)
{
    size_t      n;
    u_char      p[4], *valid;
    uint32_t    code, i;
    ngx_int_t   rc;

    valid = calloc(1, 1 << 24);
    assert_non_null(valid);

    for (code = 0; code <= 0x1fffff; code++) {
        n = encode(p, code);
        rc = (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
             ? NGX_ERROR : NGX_OK;

        assert_int_equal(ngx_chathub_message_check_utf8(p, n), rc);

        if (rc == NGX_OK && n == 3) {
            valid[p[0] << 16 | p[1] << 8 | p[2]] = 1;
        }

        if (rc == NGX_OK && n == 2) {
            valid[p[0] << 8 | p[1]] = 1;
        }
    }

    for (i = 0x8000; i <= 0xffff; i++) {
        p[0] = (u_char) (i >> 8);
        p[1] = (u_char) i;

        assert_int_equal(ngx_chathub_message_check_utf8(p, 2),
                         valid[i] ? NGX_OK : NGX_ERROR);
    }

    for (i = 0xe00000; i <= 0xffffff; i++) {
        p[0] = (u_char) (i >> 16);
        p[1] = (u_char) (i >> 8);
        p[2] = (u_char) i;

        if (ngx_chathub_message_check_utf8(p, 3)
            != (valid[i] ? NGX_OK : NGX_ERROR))
        {
            fail_msg("%06x", i);
        }
    }

    free(valid);
}


/* at every offset, cut at every byte, in memory that ends there */

static void
test_utf8_cut(void **state)
{
    size_t       i, n, offset, len;
    u_char      *buf, p[4];
    ngx_uint_t   c;

    static const uint32_t  codes[] = { 0xe9, 0x20ac, 0x1f600 };
    static const char     *bad[] = {
        "\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf",
        "\xf0\x80\x80\xaf", "\xf0\x8f\xbf\xbf", "\xf8\x88\x80\x80\x80",
        "\xfe", "\xff", "\xe2\x28\xa1", "\xf0\x28\x8c\xbc",
        "\xf0\x90\x28\xbc", "\xf0\x90\x8c\x28", "\xf0\x90\x8c\xc0"
    };

    for (offset = 0; offset < 20; offset++) {

        for (c = 0; c < sizeof(codes) / sizeof(codes[0]); c++) {
            n = encode(p, codes[c]);

            for (i = 0; i <= n; i++) {
                buf = malloc(offset + i + 1);
                assert_non_null(buf);
                memset(buf, 'x', offset);
                ngx_memcpy(buf + offset, p, i);

                buf = realloc(buf, offset + i ? offset + i : 1);
                assert_non_null(buf);

                assert_int_equal(
                      ngx_chathub_message_check_utf8(buf, offset + i),
                      (i == 0 || i == n) ? NGX_OK : NGX_ERROR);

                free(buf);
            }
        }

        for (c = 0; c < sizeof(bad) / sizeof(bad[0]); c++) {
            len = strlen(bad[c]);
            buf = malloc(offset + len + 9);
            assert_non_null(buf);
            memset(buf, 'x', offset + len + 9);
            ngx_memcpy(buf + offset, bad[c], len);

            assert_int_equal(
                      ngx_chathub_message_check_utf8(buf, offset + len + 9),
                      NGX_ERROR);

            free(buf);
        }
    }
}


static void
test_digest(void **state)
{
    u_char                  other[16];
    uint64_t                digest;
    ngx_uint_t              i;
    ngx_chathub_message_t   m, n;

    ngx_memzero(&m, sizeof(ngx_chathub_message_t));

    m.id = text("1");
    m.user = text("alice");
    m.room = text("den");
    m.to_user = text("bob");
    m.type = text("text");
    m.data = text("hello");
    m.unicast = 1;

    digest = ngx_chathub_message_digest(&m, key);

#if (NGX_HAVE_LITTLE_ENDIAN)

    /* SHA-1 over the key, lengths of 8 bytes and fields, made elsewhere */

    assert_memory_equal(&digest, "\xfe\x12\x82\xf7\xf4\xdc\xac\x73", 8);

#endif

    /* the place of a message does not matter, all else does */

    n = m;
    n.id = text("2");
    n.seq = 5;
    n.epoch = 6;
    n.time = 7;
    assert_int_equal(ngx_chathub_message_digest(&n, key), digest);

    for (i = 0; i < 7; i++) {
        n = m;

        switch (i) {
        case 0: n.user = text("alicf"); break;
        case 1: n.room = text(""); break;
        case 2: n.to_user = text("bobb"); break;
        case 3: n.type = text("image"); break;
        case 4: n.data = text("hellp"); break;
        case 5: n.unicast = 0; break;
        case 6: n.broadcast = 1; n.unicast = 0; break;
        }

        assert_int_not_equal(ngx_chathub_message_digest(&n, key), digest);
    }

    /* bytes do not move from one field to the next */

    n = m;
    n.user = text("aliceden");
    n.room = text("");
    assert_int_not_equal(ngx_chathub_message_digest(&n, key), digest);

    n.user = text("alic");
    n.room = text("eden");
    assert_int_not_equal(ngx_chathub_message_digest(&n, key), digest);

    ngx_memcpy(other, key, 16);
    other[15] ^= 1;
    assert_int_not_equal(ngx_chathub_message_digest(&m, other), digest);
}


static void
test_id_hash(void **state)
{
    u_char     other[16];
    uint64_t   a[2], b[2];
    ngx_str_t  id;

    id = text("abc");
    ngx_chathub_message_id_hash(&id, key, a);

#if (NGX_HAVE_LITTLE_ENDIAN)

    assert_memory_equal(a, "\xc5\xf0\xfe\x58\x81\xeb\x12\x2b"
                           "\xe0\x89\xd0\x98\xf5\x56\x95\x2d", 16);

#endif

    ngx_chathub_message_id_hash(&id, key, b);
    assert_memory_equal(a, b, 16);

    ngx_memcpy(other, key, 16);
    other[0] ^= 1;
    ngx_chathub_message_id_hash(&id, other, b);
    assert_memory_not_equal(a, b, 8);
    assert_int_not_equal(a[1], b[1]);

    id = text("abd");
    ngx_chathub_message_id_hash(&id, key, b);
    assert_int_not_equal(a[0], b[0]);
    assert_int_not_equal(a[1], b[1]);
}


static uint64_t
uuid_time(u_char *id)
{
    u_char  hex[13];

    ngx_memcpy(hex, id, 8);
    ngx_memcpy(hex + 8, id + 9, 4);
    hex[12] = '\0';

    return strtoull((char *) hex, NULL, 16);
}


static void
test_uuid_form(void **state)
{
    u_char      id[NGX_CHATHUB_UUID_LEN];
    ngx_str_t   s;
    ngx_uint_t  i, n;

    for (n = 0; n < 1000; n++) {
        s.data = id;
        s.len = ngx_chathub_message_uuid(id, NOW + n) - id;

        assert_int_equal(s.len, NGX_CHATHUB_UUID_LEN);
        assert_int_equal(ngx_chathub_message_check_id(&s), NGX_OK);

        for (i = 0; i < NGX_CHATHUB_UUID_LEN; i++) {

            if (i == 8 || i == 13 || i == 18 || i == 23) {
                assert_int_equal(id[i], '-');
                continue;
            }

            assert_non_null(memchr("0123456789abcdef", id[i], 16));
        }

        assert_int_equal(id[14], '7');
        assert_non_null(memchr("89ab", id[19], 4));
        assert_int_equal(uuid_time(id), NOW + n);
    }
}


static void
test_uuid_order(void **state)
{
    u_char      id[NGX_CHATHUB_UUID_LEN], last[NGX_CHATHUB_UUID_LEN];
    uint64_t    now;
    ngx_uint_t  i;

    now = NOW + 100000;

    (void) ngx_chathub_message_uuid(last, now);

    /* more than 4096 of one millisecond: the time runs ahead, not the order */

    for (i = 0; i < 20000; i++) {
        (void) ngx_chathub_message_uuid(id, now);
        assert_true(ngx_memcmp(last, id, NGX_CHATHUB_UUID_LEN) < 0);
        ngx_memcpy(last, id, NGX_CHATHUB_UUID_LEN);
    }

    assert_true(uuid_time(id) > now);
    assert_true(uuid_time(id) < now + 20);
}


static void
test_uuid_clock(void **state)
{
    u_char    id[NGX_CHATHUB_UUID_LEN], last[NGX_CHATHUB_UUID_LEN];
    uint64_t  now;

    now = NOW + 200000;

    (void) ngx_chathub_message_uuid(last, now);
    (void) ngx_chathub_message_uuid(id, now - 5000);
    assert_true(ngx_memcmp(last, id, NGX_CHATHUB_UUID_LEN) < 0);
    assert_int_equal(uuid_time(id), now);

    /* a clock that was far ahead is not followed for ever */

    (void) ngx_chathub_message_uuid(id, now - 3600000);
    assert_int_equal(uuid_time(id), now - 3600000);
}


static int
compare(const void *a, const void *b)
{
    /* random bits only: what the clock or the counter cannot make unique */

    return memcmp((const u_char *) a + 19, (const u_char *) b + 19,
                  NGX_CHATHUB_UUID_LEN - 19);
}


static void
uuids_are_unique(ngx_uint_t n)
{
    u_char      *ids;
    ngx_uint_t   i;

    ids = malloc(n * NGX_CHATHUB_UUID_LEN);
    assert_non_null(ids);

    for (i = 0; i < n; i++) {
        (void) ngx_chathub_message_uuid(ids + i * NGX_CHATHUB_UUID_LEN, NOW);
    }

    qsort(ids, n, NGX_CHATHUB_UUID_LEN, compare);

    for (i = 1; i < n; i++) {
        assert_true(compare(ids + (i - 1) * NGX_CHATHUB_UUID_LEN,
                            ids + i * NGX_CHATHUB_UUID_LEN)
                    < 0);
    }

    free(ids);
}


static void
test_uuid_unique(void **state)
{
    random_calls = 0;
    uuids_are_unique(100000);

    /* a system call for 25 ids */

    assert_in_range(random_calls, 3999, 4001);

    /* the kernel has no random bytes, or not enough */

    for (random_mode = 1; random_mode <= 2; random_mode++) {
        random_calls = 0;
        uuids_are_unique(20000);
        assert_in_range(random_calls, 799, 801);
    }

    random_mode = 0;
}


/* parent and child have the same state at the fork, and the same clock */

static void
test_uuid_child(void **state)
{
    int         fd[2], status;
    u_char      mine[NGX_CHATHUB_UUID_LEN], theirs[NGX_CHATHUB_UUID_LEN];
    ngx_int_t   n;
    ngx_pid_t   pid;

    for (random_mode = 0; random_mode <= 1; random_mode++) {

        clock_stopped = 1;

        (void) ngx_chathub_message_uuid(mine, NOW);

        assert_int_equal(pipe(fd), 0);

        pid = fork();
        assert_true(pid >= 0);

        if (pid == 0) {
            (void) ngx_chathub_message_uuid(theirs, NOW);
            _exit(write(fd[1], theirs, NGX_CHATHUB_UUID_LEN)
                  != NGX_CHATHUB_UUID_LEN);
        }

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(read(fd[0], theirs, NGX_CHATHUB_UUID_LEN),
                         NGX_CHATHUB_UUID_LEN);

        /* nor is it what the parent fetches next */

        for (n = 0; n < 30; n++) {
            (void) ngx_chathub_message_uuid(mine, NOW);
            assert_memory_not_equal(mine + 19, theirs + 19,
                                    NGX_CHATHUB_UUID_LEN - 19);
        }

        clock_stopped = 0;

        close(fd[0]);
        close(fd[1]);
    }

    random_mode = 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_body),
        cmocka_unit_test(test_body_escapes),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_time_every_month),
        cmocka_unit_test(test_epoch),
        cmocka_unit_test(test_check_id),
        cmocka_unit_test(test_check_name),
        cmocka_unit_test(test_check_type),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_utf8_cut),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_id_hash),
        cmocka_unit_test(test_uuid_form),
        cmocka_unit_test(test_uuid_order),
        cmocka_unit_test(test_uuid_clock),
        cmocka_unit_test(test_uuid_unique),
        cmocka_unit_test(test_uuid_child)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
