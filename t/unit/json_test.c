
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * What a client may say, what it may not and what it is told then, and what
 * is written for it.  Every text is parsed in memory of exactly its size,
 * and everything that cJSON allocates is counted.
 */


#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include <cjson/cJSON.h>

#include "ngx_chathub_json.h"


#define A64    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NAME   A64 A64

#define NO_REF  ((uint64_t) -1)

#define EVENT(name, fields)                                                   \
    "{\"event\":\"" name "\",\"data\":{" fields "},\"ref\":9}"

#define MESSAGE(fields)  EVENT("message", fields)
#define JOIN(fields)     EVENT("join", fields)
#define ROOMS(fields)    EVENT("rooms", fields)
#define USERS(fields)    EVENT("users", fields)

#define BAD_REQUEST   NGX_CHATHUB_E_BAD_REQUEST
#define BAD_NAME      NGX_CHATHUB_E_BAD_NAME
#define UNKNOWN       NGX_CHATHUB_E_UNKNOWN_EVENT

#define refuse(text, code, ref, word)                                         \
    refuse_text(text, sizeof(text) - 1, code, ref, word, __LINE__)

#define accept(text)  accept_text(text, sizeof(text) - 1, __LINE__)

#define assert_str(str, expected)  check_str(str, expected, __LINE__)


static void test_join(void **state);
static void test_join_refused(void **state);
static void test_leave(void **state);
static void test_message(void **state);
static void test_message_ignored(void **state);
static void test_message_target(void **state);
static void test_message_refused(void **state);
static void test_rooms_users(void **state);
static void test_typing_ping(void **state);
static void test_top(void **state);
static void test_ref(void **state);
static void test_error_names(void **state);
static void test_numbers(void **state);
static void test_strings(void **state);
static void test_syntax(void **state);
static void test_truncated(void **state);
static void test_bounds(void **state);
static void test_bounds_large(void **state);
static void test_no_memory(void **state);
static void test_again(void **state);
static void test_string_out(void **state);
static void test_names_out(void **state);
static void test_error_out(void **state);

static void *counted_malloc(size_t size);
static void counted_free(void *p);


static ngx_uint_t            allocations;
static ngx_uint_t            living;
static ngx_uint_t            fail_at;         /* the nth allocation; 0: none */

/* the last event; its text is gone when these are looked at */
static ngx_chathub_event_t   ev;
static ngx_chathub_error_t   err;


static void *
counted_malloc(size_t size)
{
    void  *p;

    allocations++;

    if (allocations == fail_at) {
        ngx_set_errno(NGX_ENOMEM);
        return NULL;
    }

    p = malloc(size);
    assert_non_null(p);
    living++;

    return p;
}


static void
counted_free(void *p)
{
    if (p) {
        living--;
    }

    free(p);
}


static int
setup(void **state)
{
    allocations = 0;
    fail_at = 0;

    return living;
}


static int
teardown(void **state)
{
    ngx_chathub_json_event_free(&ev);

    if (living) {
        print_error("%u allocations are left\n", (unsigned) living);
    }

    return living != 0;
}


/* like the caller, who gives the text's memory back before the event's */

static ngx_int_t
parse(const char *text, size_t len)
{
    u_char     *copy;
    ngx_int_t   rc;

    ngx_chathub_json_event_free(&ev);
    assert_int_equal(living, 0);

    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);

    allocations = 0;

    rc = ngx_chathub_json_event_parse(copy, len, &ev, &err);

    free(copy);

    return rc;
}


static void
refuse_text(const char *text, size_t len, ngx_chathub_code_e code,
    uint64_t ref, const char *word, int line)
{
    ngx_int_t  rc;

    rc = parse(text, len);

    if (rc != NGX_DECLINED) {
        fail_msg("line %d: %ld for %.200s", line, (long) rc, text);
    }

    if (err.code != code) {
        fail_msg("line %d: code %d for %.200s", line, err.code, text);
    }

    if (ev.has_ref != (ref != NO_REF) || (ev.has_ref && ev.ref != ref)) {
        fail_msg("line %d: ref for %.200s", line, text);
    }

    if (strstr(err.message, word) == NULL) {
        fail_msg("line %d: \"%s\" has no \"%s\"", line, err.message, word);
    }
}


static void
accept_text(const char *text, size_t len, int line)
{
    ngx_int_t  rc;

    rc = parse(text, len);

    if (rc != NGX_OK) {
        fail_msg("line %d: %ld, \"%s\" for %.200s", line, (long) rc,
                 err.message, text);
    }

    assert_int_equal(err.code, NGX_CHATHUB_E_NONE);
}


/* NULL: absent */

static void
check_str(ngx_str_t *str, const char *expected, int line)
{
    if (expected == NULL) {
        if (str->data || str->len) {
            fail_msg("line %d: \"%.*s\" is there", line, (int) str->len,
                     str->data);
        }

        return;
    }

    if (str->data == NULL || str->len != strlen(expected)
        || memcmp(str->data, expected, str->len) != 0)
    {
        fail_msg("line %d: \"%.*s\"", line, (int) str->len, str->data);
    }
}


static void
test_join(void **state)
{
    accept("{\"event\":\"join\",\"data\":{\"room\":\"den\"}}");
    assert_int_equal(ev.type, NGX_CHATHUB_EVENT_JOIN);
    assert_int_equal(ev.has_ref, 0);
    assert_int_equal(ev.has_seq, 0);
    assert_int_equal(ev.broadcast, 0);
    assert_str(&ev.room, "den");
    assert_str(&ev.user, NULL);
    assert_str(&ev.epoch, NULL);

    accept(JOIN("\"room\":\"den\",\"user\":\"alice\",\"epoch\":\"00f\","
                "\"seq\":0"));
    assert_int_equal(ev.has_ref, 1);
    assert_int_equal(ev.ref, 9);
    assert_int_equal(ev.has_seq, 1);
    assert_int_equal(ev.seq, 0);
    assert_str(&ev.user, "alice");
    assert_str(&ev.epoch, "00f");

    accept(JOIN("\"user\":\"bob\",\"seq\":9007199254740991"));
    assert_str(&ev.room, NULL);
    assert_str(&ev.user, "bob");
    assert_int_equal(ev.seq, NGX_CHATHUB_SEQ_MAX);

    accept(JOIN("\"broadcast\":1,\"epoch\":\"\",\"seq\":5"));
    assert_int_equal(ev.broadcast, 1);
    assert_str(&ev.epoch, "");
    assert_int_equal(ev.seq, 5);

    /* 0 says nothing */

    accept(JOIN("\"broadcast\":0,\"room\":\"den\""));
    assert_int_equal(ev.broadcast, 0);

    accept(JOIN("\"room\":\"" NAME "\""));
    accept(JOIN("\"room\":\"\\u00e9\\ud83d\\ude00 \\\"\\\\\\/\""));
    assert_str(&ev.room, "\xc3\xa9\xf0\x9f\x98\x80 \"\\/");

    accept(JOIN("\"room\":\"__proto__\""));
    assert_str(&ev.room, "__proto__");
}


static void
test_join_refused(void **state)
{
    refuse("{\"event\":\"join\"}", BAD_REQUEST, NO_REF, "\"data\"");
    refuse("{\"event\":\"join\",\"data\":null}", BAD_REQUEST, NO_REF,
           "\"data\"");
    refuse(JOIN(""), BAD_REQUEST, 9, "needs \"room\"");
    refuse(JOIN("\"seq\":1"), BAD_REQUEST, 9, "needs \"room\"");
    refuse(JOIN("\"broadcast\":0"), BAD_REQUEST, 9, "needs \"room\"");
    refuse(JOIN("\"broadcast\":1,\"room\":\"a\""), BAD_REQUEST, 9, "alone");
    refuse(JOIN("\"broadcast\":1,\"user\":\"a\""), BAD_REQUEST, 9, "alone");
    refuse(JOIN("\"broadcast\":2"), BAD_REQUEST, 9, "0 or 1");
    refuse(JOIN("\"broadcast\":true"), BAD_REQUEST, 9, "0 or 1");
    refuse(JOIN("\"broadcast\":-1"), BAD_REQUEST, 9, "0 or 1");
    refuse(JOIN("\"broadcast\":0.5"), BAD_REQUEST, 9, "0 or 1");
    refuse(JOIN("\"broadcast\":\"1\""), BAD_REQUEST, 9, "0 or 1");

    refuse(JOIN("\"room\":\"\""), BAD_NAME, 9, "1 to 128");
    refuse(JOIN("\"room\":\"" NAME "a\""), BAD_NAME, 9, "1 to 128");
    refuse(JOIN("\"room\":\"a\\n\""), BAD_NAME, 9, "control");
    refuse(JOIN("\"room\":\"\\u007f\""), BAD_NAME, 9, "control");
    refuse(JOIN("\"room\":\"\\u0085\""), BAD_NAME, 9, "control");
    refuse(JOIN("\"room\":\"a\",\"user\":\"\""), BAD_NAME, 9, "1 to 128");
    refuse(JOIN("\"room\":\"a\",\"user\":\"\\t\""), BAD_NAME, 9, "control");
    refuse(JOIN("\"user\":\"\\u0001\""), BAD_NAME, 9, "control");

    refuse(JOIN("\"room\":1"), BAD_REQUEST, 9, "\"room\" must be a string");
    refuse(JOIN("\"room\":null"), BAD_REQUEST, 9, "\"room\" must be");
    refuse(JOIN("\"room\":[\"a\"]"), BAD_REQUEST, 9, "\"room\" must be");
    refuse(JOIN("\"room\":{}"), BAD_REQUEST, 9, "\"room\" must be");
    refuse(JOIN("\"room\":\"a\",\"user\":false"), BAD_REQUEST, 9, "\"user\"");
    refuse(JOIN("\"room\":\"a\",\"epoch\":1"), BAD_REQUEST, 9, "\"epoch\"");
    refuse(JOIN("\"room\":\"a\",\"seq\":\"1\""), BAD_REQUEST, 9, "integer");
    refuse(JOIN("\"room\":\"a\",\"seq\":null"), BAD_REQUEST, 9, "integer");
    refuse(JOIN("\"room\":\"a\",\"seq\":-1"), BAD_REQUEST, 9, "integer");
    refuse(JOIN("\"room\":\"a\",\"seq\":9007199254740992"), BAD_REQUEST, 9,
           "9007199254740991");

    refuse(JOIN("\"room\":\"a\",\"Room\":\"b\""), BAD_REQUEST, 9, "takes");
    refuse(JOIN("\"Room\":\"a\""), BAD_REQUEST, 9, "takes");
    refuse(JOIN("\"room\":\"a\",\"limit\":1"), BAD_REQUEST, 9, "takes");
    refuse(JOIN("\"room\":\"a\",\"data\":\"\""), BAD_REQUEST, 9, "takes");
    refuse(JOIN("\"room\":\"a\",\"\":1"), BAD_REQUEST, 9, "takes");
    refuse(JOIN("\"room\":\"a\",\"__proto__\":{}"), BAD_REQUEST, 9, "takes");
    refuse(JOIN("\"room\":\"a\",\"room\":\"a\""), BAD_REQUEST, 9, "once");
    refuse(JOIN("\"room\":\"a\",\"ro\\u006fm\":\"b\""), BAD_REQUEST, 9,
           "once");
}


static void
test_leave(void **state)
{
    accept("{\"event\":\"leave\",\"data\":{\"room\":\"den\"},\"ref\":0}");
    assert_int_equal(ev.type, NGX_CHATHUB_EVENT_LEAVE);
    assert_int_equal(ev.has_ref, 1);
    assert_int_equal(ev.ref, 0);
    assert_str(&ev.room, "den");

    refuse("{\"event\":\"leave\",\"data\":{}}", BAD_REQUEST, NO_REF,
           "\"room\"");
    refuse("{\"event\":\"leave\",\"data\":{\"room\":\"\"}}", BAD_NAME, NO_REF,
           "1 to 128");
    refuse("{\"event\":\"leave\",\"data\":{\"room\":\"a\",\"user\":\"b\"}}",
           BAD_REQUEST, NO_REF, "takes");
}


static void
test_message(void **state)
{
    ngx_chathub_message_t  *m;

    m = &ev.message;

    accept(MESSAGE("\"room\":\"den\",\"data\":\"hi\""));
    assert_int_equal(ev.type, NGX_CHATHUB_EVENT_MESSAGE);
    assert_str(&m->id, NULL);
    assert_str(&m->room, "den");
    assert_str(&m->data, "hi");
    assert_str(&m->type, "text");
    assert_str(&m->to_user, NULL);
    assert_str(&m->user, NULL);
    assert_int_equal(m->broadcast, 0);
    assert_int_equal(m->unicast, 0);

    accept(MESSAGE("\"id\":\"x_-9\",\"room\":\"den\",\"data\":\"\","
                   "\"type\":\"image\",\"broadcast\":0,\"unicast\":false,"
                   "\"toUser\":\"\",\"user\":\"\""));
    assert_str(&m->id, "x_-9");
    assert_str(&m->data, "");
    assert_str(&m->type, "image");
    assert_str(&m->to_user, NULL);
    assert_str(&m->user, "");

    accept(MESSAGE("\"room\":\"a\",\"data\":\"\\u0001\\u001f\\n\\u2028"
                   "\xe2\x80\xa9\\ud800\\udc00\\udbff\\udfff\\uFFFF\""));
    assert_str(&m->data, "\x01\x1f\n\xe2\x80\xa8\xe2\x80\xa9\xf0\x90\x80\x80"
                         "\xf4\x8f\xbf\xbf\xef\xbf\xbf");

    accept(MESSAGE("\"room\":\"a\",\"data\":\"x\",\"id\":\"" A64 "\","
                   "\"type\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""));
}


/* what the server sets; another wire's client may send it as it likes */

static void
test_message_ignored(void **state)
{
    ngx_chathub_message_t  *m;

    m = &ev.message;

    accept(MESSAGE("\"id\":\"1\",\"seq\":7,\"epoch\":\"00\","
                   "\"time\":\"2026-01-01T00:00:00.000Z\",\"user\":\"eve\","
                   "\"room\":\"den\",\"data\":\"hi\",\"type\":\"text\","
                   "\"broadcast\":0,\"unicast\":false,\"toUser\":\"\""));
    assert_int_equal(m->seq, 0);
    assert_int_equal(m->epoch, 0);
    assert_int_equal(m->time, 0);
    assert_int_equal(ev.has_seq, 0);
    assert_str(&ev.epoch, NULL);
    assert_str(&m->user, "eve");

    accept(MESSAGE("\"room\":\"a\",\"data\":\"\",\"seq\":null,\"epoch\":1,"
                   "\"time\":1.5"));
    accept(MESSAGE("\"room\":\"a\",\"data\":\"\",\"user\":\"\\n" NAME "\""));

    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"seq\":{}"), BAD_REQUEST, 9,
           "\"seq\"");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"time\":[]"), BAD_REQUEST,
           9, "\"time\" must be a string");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"time\":1,\"time\":1"),
           BAD_REQUEST, 9, "once");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"user\":1"), BAD_REQUEST, 9,
           "\"user\" must be a string");
}


static void
test_message_target(void **state)
{
    ngx_chathub_message_t  *m;

    m = &ev.message;

    accept(MESSAGE("\"data\":\"\",\"broadcast\":1"));
    assert_int_equal(m->broadcast, 1);
    assert_int_equal(m->unicast, 0);
    assert_str(&m->room, NULL);

    accept(MESSAGE("\"data\":\"\",\"broadcast\":1,\"room\":\"label\""));
    assert_int_equal(m->broadcast, 1);
    assert_str(&m->room, "label");

    accept(MESSAGE("\"data\":\"\",\"unicast\":true,\"toUser\":\"bob\""));
    assert_int_equal(m->unicast, 1);
    assert_int_equal(m->broadcast, 0);
    assert_str(&m->to_user, "bob");

    accept(MESSAGE("\"data\":\"\",\"unicast\":true,\"toUser\":\"bob\","
                   "\"room\":\"label\",\"broadcast\":0"));
    assert_int_equal(m->unicast, 1);
    assert_str(&m->room, "label");

    accept(MESSAGE("\"data\":\"\",\"room\":\"den\",\"toUser\":\"bob\""));
    assert_int_equal(m->unicast, 0);
    assert_str(&m->to_user, "bob");

    refuse(MESSAGE("\"data\":\"\""), BAD_REQUEST, 9, "needs \"room\"");
    refuse(MESSAGE("\"data\":\"\",\"room\":\"\""), BAD_REQUEST, 9,
           "needs \"room\"");
    refuse(MESSAGE("\"data\":\"\",\"toUser\":\"bob\""), BAD_REQUEST, 9,
           "needs \"room\"");
    refuse(MESSAGE("\"data\":\"\",\"broadcast\":0,\"unicast\":false"),
           BAD_REQUEST, 9, "needs \"room\"");
    refuse(MESSAGE("\"data\":\"\",\"room\":\"a\",\"unicast\":true"),
           BAD_REQUEST, 9, "\"toUser\"");
    refuse(MESSAGE("\"data\":\"\",\"unicast\":true,\"toUser\":\"\""),
           BAD_REQUEST, 9, "\"toUser\"");
    refuse(MESSAGE("\"data\":\"\",\"unicast\":true,\"toUser\":\"b\","
                   "\"broadcast\":1"), BAD_REQUEST, 9, "not both");
}


static void
test_message_refused(void **state)
{
    refuse(MESSAGE("\"room\":\"a\""), BAD_REQUEST, 9, "needs \"data\"");
    refuse(MESSAGE("\"room\":\"a\",\"data\":null"), BAD_REQUEST, 9,
           "\"data\" must be a string");
    refuse(MESSAGE("\"room\":\"a\",\"data\":1"), BAD_REQUEST, 9,
           "\"data\" must be a string");
    refuse(MESSAGE("\"room\":\"a\",\"data\":{\"a\":1}"), BAD_REQUEST, 9,
           "\"data\" must be a string");

    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"id\":\"\""), BAD_REQUEST,
           9, "\"id\"");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"id\":\"" A64 "a\""),
           BAD_REQUEST, 9, "1 to 64");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"id\":\"a b\""),
           BAD_REQUEST, 9, "\"id\"");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"id\":\"c-1\""),
           BAD_REQUEST, 9, "c-");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"id\":1"), BAD_REQUEST, 9,
           "\"id\" must be a string");

    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"type\":\"\""), BAD_REQUEST,
           9, "1 to 32");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\","
                   "\"type\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""),
           BAD_REQUEST, 9, "1 to 32");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"type\":\"a b\""),
           BAD_REQUEST, 9, "1 to 32");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"type\":null"), BAD_REQUEST,
           9, "\"type\" must be a string");

    refuse(MESSAGE("\"room\":\"\\n\",\"data\":\"\""), BAD_NAME, 9, "128");
    refuse(MESSAGE("\"unicast\":true,\"toUser\":\"" NAME "a\",\"data\":\"\""),
           BAD_NAME, 9, "128");
    refuse(MESSAGE("\"broadcast\":1,\"room\":\"" NAME "a\",\"data\":\"\""),
           BAD_NAME, 9, "128");

    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"broadcast\":true"),
           BAD_REQUEST, 9, "0 or 1");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"broadcast\":2"),
           BAD_REQUEST, 9, "0 or 1");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"unicast\":1"), BAD_REQUEST,
           9, "true or false");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"unicast\":\"true\""),
           BAD_REQUEST, 9, "true or false");

    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"touser\":\"\""),
           BAD_REQUEST, 9, "takes");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"limit\":1"), BAD_REQUEST,
           9, "takes");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"_id\":\"1\""), BAD_REQUEST,
           9, "takes");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\",\"data\":\"\""), BAD_REQUEST,
           9, "once");

    refuse("{\"event\":\"message\",\"data\":\"{}\"}", BAD_REQUEST, NO_REF,
           "\"data\" must be an object");
}


static void
test_rooms_users(void **state)
{
    accept("{\"event\":\"rooms\"}");
    assert_int_equal(ev.type, NGX_CHATHUB_EVENT_ROOMS);
    assert_int_equal(ev.limit, 100);
    assert_str(&ev.prefix, NULL);
    assert_str(&ev.after, NULL);

    accept("{\"event\":\"rooms\",\"data\":null,\"ref\":1}");
    accept("{\"event\":\"rooms\",\"data\":{}}");

    accept(ROOMS("\"prefix\":\"d\",\"limit\":1,\"after\":\"den\""));
    assert_int_equal(ev.limit, 1);
    assert_str(&ev.prefix, "d");
    assert_str(&ev.after, "den");

    accept(ROOMS("\"prefix\":\"\",\"limit\":1000"));
    assert_int_equal(ev.limit, 1000);
    assert_str(&ev.prefix, NULL);

    accept(USERS("\"room\":\"den\",\"limit\":5,\"after\":\"al\""));
    assert_int_equal(ev.type, NGX_CHATHUB_EVENT_USERS);
    assert_str(&ev.room, "den");
    assert_str(&ev.after, "al");
    assert_int_equal(ev.limit, 5);

    refuse(ROOMS("\"limit\":0"), BAD_REQUEST, 9, "1 to 1000");
    refuse(ROOMS("\"limit\":1001"), BAD_REQUEST, 9, "1 to 1000");
    refuse(ROOMS("\"limit\":-5"), BAD_REQUEST, 9, "1 to 1000");
    refuse(ROOMS("\"limit\":1.5"), BAD_REQUEST, 9, "1 to 1000");
    refuse(ROOMS("\"limit\":\"5\""), BAD_REQUEST, 9, "1 to 1000");
    refuse(ROOMS("\"limit\":1e300"), BAD_REQUEST, 9, "1 to 1000");
    refuse(ROOMS("\"after\":\"\""), BAD_NAME, 9, "128");
    refuse(ROOMS("\"after\":5"), BAD_REQUEST, 9, "\"after\" must be");
    refuse(ROOMS("\"prefix\":5"), BAD_REQUEST, 9, "\"prefix\" must be");
    refuse(ROOMS("\"prefix\":\"\\n\""), BAD_NAME, 9, "128");
    refuse(ROOMS("\"room\":\"a\""), BAD_REQUEST, 9, "takes");
    refuse(ROOMS("\"before\":\"a\""), BAD_REQUEST, 9, "takes");
    refuse("{\"event\":\"rooms\",\"data\":[]}", BAD_REQUEST, NO_REF,
           "\"data\" must be an object");
    refuse("{\"event\":\"rooms\",\"data\":false}", BAD_REQUEST, NO_REF,
           "\"data\" must be an object");

    refuse(USERS(""), BAD_REQUEST, 9, "needs \"room\"");
    refuse(USERS("\"room\":\"\""), BAD_NAME, 9, "128");
    refuse(USERS("\"room\":\"a\",\"limit\":0"), BAD_REQUEST, 9, "1 to 1000");
    refuse(USERS("\"room\":\"a\",\"prefix\":\"b\""), BAD_REQUEST, 9, "takes");
    refuse("{\"event\":\"users\"}", BAD_REQUEST, NO_REF, "\"data\"");
}


static void
test_typing_ping(void **state)
{
    accept("{\"event\":\"typing\",\"data\":{\"room\":\"a\",\"typing\":true}}");
    assert_int_equal(ev.type, NGX_CHATHUB_EVENT_TYPING);
    assert_int_equal(ev.typing, 1);
    assert_str(&ev.room, "a");

    accept("{\"event\":\"typing\",\"data\":{\"typing\":false,\"room\":\"a\"}}");
    assert_int_equal(ev.typing, 0);

    refuse("{\"event\":\"typing\",\"data\":{\"room\":\"a\"}}", BAD_REQUEST,
           NO_REF, "needs \"typing\"");
    refuse("{\"event\":\"typing\",\"data\":{\"typing\":true}}", BAD_REQUEST,
           NO_REF, "needs \"room\"");
    refuse("{\"event\":\"typing\",\"data\":{\"room\":\"a\",\"typing\":1}}",
           BAD_REQUEST, NO_REF, "true or false");

    accept("{\"event\":\"ping\"}");
    assert_int_equal(ev.type, NGX_CHATHUB_EVENT_PING);
    accept("{\"event\":\"ping\",\"data\":{},\"ref\":3}");
    accept("{\"event\":\"ping\",\"data\":null}");
    refuse("{\"event\":\"ping\",\"data\":{\"room\":\"a\"}}", BAD_REQUEST,
           NO_REF, "no fields");
    refuse("{\"event\":\"ping\",\"data\":{\"x\":1}}", BAD_REQUEST, NO_REF,
           "no fields");
}


static void
test_top(void **state)
{
    refuse("{}", BAD_REQUEST, NO_REF, "\"event\" must be");
    refuse("{\"data\":{}}", BAD_REQUEST, NO_REF, "\"event\" must be");
    refuse("{\"event\":1}", BAD_REQUEST, NO_REF, "\"event\" must be");
    refuse("{\"event\":null}", BAD_REQUEST, NO_REF, "\"event\" must be");
    refuse("{\"event\":{}}", BAD_REQUEST, NO_REF, "\"event\" must be");

    refuse("{\"event\":\"\"}", UNKNOWN, NO_REF, "one of join");
    refuse("{\"event\":\"Ping\",\"ref\":4}", UNKNOWN, 4, "one of join");
    refuse("{\"event\":\"pin\",\"ref\":4}", UNKNOWN, 4, "one of join");
    refuse("{\"event\":\"pings\",\"ref\":4}", UNKNOWN, 4, "one of join");
    refuse("{\"event\":\"history\",\"data\":{\"room\":\"a\"},\"ref\":4}",
           UNKNOWN, 4, "one of join");
    refuse("{\"event\":\"conversations\",\"data\":{}}", UNKNOWN, NO_REF,
           "one of join");

    refuse("{\"event\":\"ping\",\"x\":1,\"ref\":4}", BAD_REQUEST, 4, "only");
    refuse("{\"event\":\"ping\",\"Data\":{}}", BAD_REQUEST, NO_REF, "only");
    refuse("{\"event\":\"ping\",\"__proto__\":{}}", BAD_REQUEST, NO_REF,
           "only");
    refuse("{\"event\":\"ping\",\"event\":\"ping\",\"ref\":4}", BAD_REQUEST,
           4, "once");
    refuse("{\"event\":\"ping\",\"data\":{},\"data\":{}}", BAD_REQUEST,
           NO_REF, "once");
    refuse("{\"event\":\"ping\",\"ev\\u0065nt\":\"ping\"}", BAD_REQUEST,
           NO_REF, "once");
    refuse("{\"event\":\"ping\",\"REF\":1}", BAD_REQUEST, NO_REF, "only");
}


static void
test_ref(void **state)
{
    accept("{\"ref\":9007199254740991,\"event\":\"ping\"}");
    assert_int_equal(ev.ref, NGX_CHATHUB_SEQ_MAX);
    accept("{\"ref\":0,\"event\":\"ping\"}");
    assert_int_equal(ev.has_ref, 1);
    assert_int_equal(ev.ref, 0);

    refuse("{\"event\":\"ping\",\"ref\":9007199254740992}", BAD_REQUEST,
           NO_REF, "\"ref\"");
    refuse("{\"event\":\"ping\",\"ref\":18446744073709551616}", BAD_REQUEST,
           NO_REF, "\"ref\"");
    refuse("{\"event\":\"ping\",\"ref\":-1}", BAD_REQUEST, NO_REF, "\"ref\"");
    refuse("{\"event\":\"ping\",\"ref\":1.5}", BAD_REQUEST, NO_REF,
           "\"ref\"");
    refuse("{\"event\":\"ping\",\"ref\":\"1\"}", BAD_REQUEST, NO_REF,
           "\"ref\"");
    refuse("{\"event\":\"ping\",\"ref\":null}", BAD_REQUEST, NO_REF,
           "\"ref\"");
    refuse("{\"event\":\"ping\",\"ref\":true}", BAD_REQUEST, NO_REF,
           "\"ref\"");

    /* whatever else is wrong, and wherever it stands */

    refuse("{\"ref\":5,\"event\":7}", BAD_REQUEST, 5, "\"event\"");
    refuse("{\"x\":1,\"event\":\"join\",\"ref\":5}", BAD_REQUEST, 5, "only");
    refuse("{\"event\":\"join\",\"data\":[],\"ref\":5}", BAD_REQUEST, 5,
           "\"data\"");
    refuse("{\"data\":{\"room\":\"a\",\"seq\":1.5},\"event\":\"join\","
           "\"ref\":5}", BAD_REQUEST, 5, "\"seq\"");
}


/* errors say of which room and message */

static void
test_error_names(void **state)
{
    refuse(MESSAGE("\"x\":1,\"id\":\"m1\",\"data\":\"\",\"room\":\"den\""),
           BAD_REQUEST, 9, "takes");
    assert_str(&err.room, "den");
    assert_str(&err.id, "m1");

    refuse(MESSAGE("\"id\":\"c-1\",\"data\":\"\",\"room\":\"a\\n\""),
           BAD_REQUEST, 9, "\"id\"");
    assert_str(&err.room, "a\n");
    assert_str(&err.id, "c-1");

    refuse(MESSAGE("\"id\":\"" A64 "a\",\"data\":\"\",\"room\":\"" NAME
                   "a\""), BAD_REQUEST, 9, "\"id\"");
    assert_str(&err.room, NULL);
    assert_str(&err.id, NULL);

    refuse(MESSAGE("\"id\":1,\"data\":\"\",\"room\":2"), BAD_REQUEST, 9,
           "\"id\"");
    assert_str(&err.room, NULL);
    assert_str(&err.id, NULL);

    /* "room" is no field of this event */

    refuse(ROOMS("\"room\":\"den\""), BAD_REQUEST, 9, "takes");
    assert_str(&err.room, NULL);

    /* for errors that come later */

    accept(MESSAGE("\"id\":\"m1\",\"data\":\"\",\"room\":\"den\""));
    assert_str(&err.room, "den");
    assert_str(&err.id, "m1");
}


static void
test_numbers(void **state)
{
    ngx_uint_t  i;
    char        buf[256];
    int         len;

    static const char  *bad[] = {
        "01", "-01", "00", "1.", ".5", "-", "+1", "-.5", "1e", "1e+", "1E-",
        "1.e1", "0x10", "1_0", "NaN", "Infinity", "-Infinity", "- 1", "1 2",
        "1-2", "--1", "1e1e1", "1.5.5", "1,", "tru", "truex", "nullx", "True",
        "0.00000000000000000000000000000000000000000000000000000000000000001",
        "10000000000000000000000000000000000000000000000000000000000000000"
    };

    /* valid JSON, but no sequence number */

    static const char  *no_seq[] = {
        "1e400", "-1e400", "1E+400", "1.5", "0.1", "-5",
        "9007199254740993", "1e16", "true", "[]"
    };

    static const struct {
        const char  *text;
        uint64_t     seq;
    } good[] = {
        { "-0", 0 },
        { "0.0", 0 },
        { "-0.0e-5", 0 },
        { "1.0", 1 },
        { "1e3", 1000 },
        { "1E+3", 1000 },
        { "120e-1", 12 },
        { "9007199254740991", NGX_CHATHUB_SEQ_MAX },
        { " 5 ", 5 }
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        len = snprintf(buf, sizeof(buf), JOIN("\"room\":\"a\",\"seq\":%s"),
                       bad[i]);
        refuse_text(buf, len, BAD_REQUEST, NO_REF, "JSON", __LINE__);
    }

    for (i = 0; i < sizeof(no_seq) / sizeof(no_seq[0]); i++) {
        len = snprintf(buf, sizeof(buf), JOIN("\"room\":\"a\",\"seq\":%s"),
                       no_seq[i]);
        refuse_text(buf, len, BAD_REQUEST, 9, "\"seq\"", __LINE__);
    }

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        len = snprintf(buf, sizeof(buf), JOIN("\"room\":\"a\",\"seq\":%s"),
                       good[i].text);
        accept_text(buf, len, __LINE__);
        assert_int_equal(ev.has_seq, 1);
        assert_int_equal(ev.seq, good[i].seq);
    }
}


static void
test_strings(void **state)
{
    u_char      text[64];
    size_t      len;
    ngx_uint_t  i;

    refuse(JOIN("\"room\":\"a\\u0000b\""), BAD_REQUEST, 9, "U+0000");
    refuse(JOIN("\"room\":\"a\",\"user\\u0000x\":\"b\""), BAD_REQUEST, 9,
           "U+0000");
    refuse(JOIN("\"room\":\"a\0b\""), BAD_REQUEST, NO_REF, "control");
    refuse(JOIN("\"room\":\"a\",\"user\0x\":\"b\""), BAD_REQUEST, NO_REF,
           "control");

    accept(JOIN("\"room\":\"\\\\u0000\""));
    assert_str(&ev.room, "\\u0000");

    refuse(JOIN("\"room\":\"\\ud800\""), BAD_REQUEST, NO_REF, "surrogates");
    refuse(JOIN("\"room\":\"\\udc00\""), BAD_REQUEST, NO_REF, "surrogates");
    refuse(JOIN("\"room\":\"\\udbff\\ud800\""), BAD_REQUEST, NO_REF,
           "surrogates");
    refuse(JOIN("\"room\":\"\\ud800\\u0041\""), BAD_REQUEST, NO_REF,
           "surrogates");
    refuse(JOIN("\"room\":\"\\ud800\\ue000\""), BAD_REQUEST, NO_REF,
           "surrogates");
    refuse(JOIN("\"room\":\"\\ud800xudc00\""), BAD_REQUEST, NO_REF,
           "surrogates");
    refuse(JOIN("\"room\":\"\\ud800\\ndc00\""), BAD_REQUEST, NO_REF,
           "surrogates");
    refuse(JOIN("\"room\":\"\\ud800\\udcgg\""), BAD_REQUEST, NO_REF,
           "surrogates");
    refuse(JOIN("\"room\":\"\\udc00\\ud800\""), BAD_REQUEST, NO_REF,
           "surrogates");
    refuse(JOIN("\"room\":\"\\udc00\\udc00\""), BAD_REQUEST, NO_REF,
           "surrogates");

    refuse(JOIN("\"room\":\"\\x41\""), BAD_REQUEST, NO_REF, "escape");
    refuse(JOIN("\"room\":\"\\u12g4\""), BAD_REQUEST, NO_REF, "escape");
    refuse(JOIN("\"room\":\"\\u+123\""), BAD_REQUEST, NO_REF, "escape");
    refuse(JOIN("\"room\":\"\\U0041\""), BAD_REQUEST, NO_REF, "escape");
    refuse(JOIN("\"room\":\"\\'\""), BAD_REQUEST, NO_REF, "escape");

    accept(MESSAGE("\"room\":\"a\",\"data\":\"\\b\\f\\n\\r\\t\\/\\\\\\\""
                   "\\uABCD\\uabcd\""));
    assert_str(&ev.message.data, "\b\f\n\r\t/\\\"\xea\xaf\x8d\xea\xaf\x8d");

    /* control characters in and outside of strings; white space is none */

    for (i = 0; i < 0x20; i++) {
        len = snprintf((char *) text, sizeof(text),
                       "{\"event\":\"ping\",\"data\":{\"_\":1}}");
        *(u_char *) strchr((char *) text, '_') = (u_char) i;
        refuse_text((char *) text, len, BAD_REQUEST, NO_REF, "control",
                    __LINE__);

        len = snprintf((char *) text, sizeof(text), "{\"event\":_\"ping\"}");
        *(u_char *) strchr((char *) text, '_') = (u_char) i;

        if (i == '\t' || i == '\n' || i == '\r') {
            accept_text((char *) text, len, __LINE__);

        } else {
            refuse_text((char *) text, len, BAD_REQUEST, NO_REF, "JSON",
                        __LINE__);
        }
    }

    /* bytes that are not UTF-8, in values, keys and between */

    refuse(JOIN("\"room\":\"\xff\""), BAD_REQUEST, NO_REF, "UTF-8");
    refuse(JOIN("\"\xc3\":\"a\""), BAD_REQUEST, NO_REF, "UTF-8");
    refuse(JOIN("\"room\":\"\xed\xa0\x80\""), BAD_REQUEST, NO_REF, "UTF-8");
    refuse(MESSAGE("\"room\":\"a\",\"data\":\"\xc0\x80\""), BAD_REQUEST,
           NO_REF, "UTF-8");
    refuse("{\"event\":\"ping\"}\xe2\x82", BAD_REQUEST, NO_REF, "UTF-8");
    refuse("\xef\xbb\xbf{\"event\":\"ping\"}", BAD_REQUEST, NO_REF,
           "one JSON object");
    refuse("{\"event\":\xc2\xa0\"ping\"}", BAD_REQUEST, NO_REF, "JSON");
}


static void
test_syntax(void **state)
{
    refuse("", BAD_REQUEST, NO_REF, "JSON object");
    refuse(" \t\r\n", BAD_REQUEST, NO_REF, "JSON object");
    refuse("null", BAD_REQUEST, NO_REF, "JSON object");
    refuse("5", BAD_REQUEST, NO_REF, "JSON object");
    refuse("\"ping\"", BAD_REQUEST, NO_REF, "JSON object");
    refuse("[]", BAD_REQUEST, NO_REF, "JSON object");
    refuse("[{\"event\":\"ping\"}]", BAD_REQUEST, NO_REF, "JSON object");
    refuse("}", BAD_REQUEST, NO_REF, "JSON object");
    refuse("hello", BAD_REQUEST, NO_REF, "JSON object");

    refuse("{\"event\":\"ping\"}x", BAD_REQUEST, NO_REF, "one JSON object");
    refuse("{\"event\":\"ping\"}{}", BAD_REQUEST, NO_REF, "one JSON object");
    refuse("{\"event\":\"ping\"}}", BAD_REQUEST, NO_REF, "one JSON object");
    refuse("{\"event\":\"ping\"},", BAD_REQUEST, NO_REF, "one JSON object");
    refuse("{\"event\":\"ping\"}\0", BAD_REQUEST, NO_REF, "one JSON object");
    accept(" \t\r\n{ \"event\" :\n\"ping\" , \"data\":{ } }\r\n\t ");

    refuse("{\"event\":\"ping\",}", BAD_REQUEST, NO_REF, "JSON");
    refuse("{,\"event\":\"ping\"}", BAD_REQUEST, NO_REF, "JSON");
    refuse("{\"event\" \"ping\"}", BAD_REQUEST, NO_REF, "JSON");
    refuse("{\"event\":\"ping\" \"ref\":1}", BAD_REQUEST, NO_REF, "JSON");
    refuse("{\"event\":\"ping\"]", BAD_REQUEST, NO_REF, "JSON");
    refuse("{\"event\":\"ping\",\"data\":[}}", BAD_REQUEST, NO_REF, "JSON");
    refuse("{\"event\":\"ping\",\"data\":{]}", BAD_REQUEST, NO_REF, "JSON");
    refuse("{event:\"ping\"}", BAD_REQUEST, NO_REF, "JSON");
    refuse("{'event':'ping'}", BAD_REQUEST, NO_REF, "JSON");
    refuse("{\"event\":\"ping\"/**/}", BAD_REQUEST, NO_REF, "JSON");
    refuse("{\"event\"}", BAD_REQUEST, NO_REF, "JSON");
    refuse("{\"event\":}", BAD_REQUEST, NO_REF, "JSON");
    refuse("{\"event\":\"ping\",\"ref\":undefined}", BAD_REQUEST, NO_REF,
           "JSON");
}


/* every beginning of a text is refused, and nothing behind it is read */

static void
test_truncated(void **state)
{
    size_t  len;

    static const char  text[] =
        "{\"event\":\"message\",\"data\":{\"room\":\"d\\u00e9n\\ud83d\\ude00"
        "\xe2\x82\xac\",\"data\":\"\\n\",\"broadcast\":0,\"unicast\":false,"
        "\"seq\":-1.5e+3,\"time\":null},\"ref\":12}";

    for (len = 0; len < sizeof(text) - 1; len++) {
        assert_int_equal(parse(text, len), NGX_DECLINED);
        assert_int_equal(err.code, BAD_REQUEST);
        assert_int_equal(ev.has_ref, 0);
    }

    accept(text);
}


static void
test_bounds(void **state)
{
    /* deep: 8 levels reach the check of fields, 9 do not */

    refuse("{\"event\":\"ping\",\"ref\":9,\"data\":[[[[[[[]]]]]]]}",
           BAD_REQUEST, 9, "\"data\"");
    refuse("{\"event\":\"ping\",\"ref\":9,\"data\":[[[[[[[[]]]]]]]]}",
           BAD_REQUEST, NO_REF, "8 deep");
    assert_int_equal(allocations, 0);
    refuse("{\"event\":\"ping\",\"ref\":9,"
           "\"data\":{\"\":[{\"\":[{\"\":[{\"\":[]}]}]}]}}",
           BAD_REQUEST, NO_REF, "8 deep");

    /* brackets in strings are text */

    accept(MESSAGE("\"room\":\"a\",\"data\":\"[[[[[[[[[[[[[[[[[[[[[{{{{{{{{"
                   "\\\"}}}}}}}}}}}}}}}}}}}}}}}}}}\\\\\""));
    assert_str(&ev.message.data, "[[[[[[[[[[[[[[[[[[[[[{{{{{{{{\"}}}}}}}}}}}"
                                 "}}}}}}}}}}}}}}}\\");

    /* { : , : , : [ and 57 commas are 64 */

    refuse("{\"event\":\"ping\",\"ref\":9,\"data\":["
           "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
           "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}",
           BAD_REQUEST, 9, "\"data\"");
    refuse("{\"event\":\"ping\",\"ref\":9,\"data\":["
           "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
           "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}",
           BAD_REQUEST, NO_REF, "more values");
    assert_int_equal(allocations, 0);
}


/* a megabyte of anything allocates nothing, or not more than it has strings */

static void
test_bounds_large(void **state)
{
    size_t       len, n;
    char        *text;
    ngx_uint_t   i;

    static const char  *repeated[] = {
        "[", "{\"a\":", "{", "]", "}", "1,", "\"\",", ":", ",", "\"\":1,",
        "[],", "1", "-", "e", "\\u0000", "\xff", "\0", " ", "null", "/**/"
    };

    len = 1024 * 1024;
    text = malloc(len + 64);
    assert_non_null(text);

    for (i = 0; i < sizeof(repeated) / sizeof(repeated[0]); i++) {
        n = sprintf(text, "{\"event\":\"ping\",\"ref\":9,\"data\":");

        while (n < len) {
            memcpy(text + n, repeated[i], strlen(repeated[i]) + 1);
            n += strlen(repeated[i]) ? strlen(repeated[i]) : 1;
        }

        refuse_text(text, n, BAD_REQUEST, NO_REF, " ", __LINE__);
        assert_int_equal(allocations, 0);
    }

    /* one key, and one string, of a megabyte */

    memset(text, 'x', len);
    memcpy(text, "{\"event\":\"ping\",\"", 17);
    memcpy(text + len, "\":0}", 4);
    refuse_text(text, len + 4, BAD_REQUEST, NO_REF, "only", __LINE__);
    assert_true(allocations < 10);

    memset(text, 'x', len);
    n = sprintf(text, "{\"event\":\"message\",\"data\":{\"room\":\"a\","
                      "\"data\":\"");
    text[n] = 'x';
    memcpy(text + len, "\"}}", 3);
    accept_text(text, len + 3, __LINE__);
    assert_int_equal(ev.message.data.len, len - n);
    assert_true(allocations < 20);

    free(text);
}


/* each allocation fails once: an error, nothing left, nothing half done */

static void
test_no_memory(void **state)
{
    ngx_uint_t  n, total;

    static const char  text[] = MESSAGE("\"id\":\"1\",\"seq\":7,"
        "\"epoch\":\"00\",\"time\":\"\",\"user\":\"eve\",\"room\":\"den\","
        "\"data\":\"hi\\u00e9\",\"type\":\"text\",\"broadcast\":0,"
        "\"unicast\":false,\"toUser\":\"\"");

    accept(text);
    total = allocations;
    assert_true(total > 20);

    for (n = 1; n <= total; n++) {
        fail_at = n;
        assert_int_equal(parse(text, sizeof(text) - 1), NGX_ERROR);
        assert_int_equal(allocations, n);
        assert_int_equal(living, 0);
        assert_null(ev.tree);
    }

    /* a text that is wrong after that is still no lack of memory */

    fail_at = 0;
    ngx_set_errno(NGX_ENOMEM);
    refuse("{\"event\":}", BAD_REQUEST, NO_REF, "JSON");

    accept(text);
}


static void
test_again(void **state)
{
    /* freed twice, and never parsed */

    accept("{\"event\":\"ping\"}");
    ngx_chathub_json_event_free(&ev);
    ngx_chathub_json_event_free(&ev);
    assert_int_equal(living, 0);

    /* nothing of the event before is left */

    accept(JOIN("\"room\":\"den\",\"user\":\"alice\",\"seq\":4,"
                "\"epoch\":\"0\""));
    accept(ROOMS("\"limit\":7"));
    accept("{\"event\":\"rooms\"}");
    assert_str(&ev.room, NULL);
    assert_str(&ev.user, NULL);
    assert_str(&ev.epoch, NULL);
    assert_int_equal(ev.has_ref, 0);
    assert_int_equal(ev.has_seq, 0);
    assert_int_equal(ev.limit, 100);
    assert_str(&err.room, NULL);
}


/* exactly "size" bytes of memory for what a writer says that it needs */

static void
check_string_out(const char *s, size_t len, const char *expected)
{
    size_t      size;
    u_char     *buf;
    ngx_str_t   str;

    str.data = (u_char *) s;
    str.len = len;

    size = ngx_chathub_json_string_size(&str);
    assert_int_equal(size, strlen(expected));

    buf = malloc(size);
    assert_non_null(buf);

    assert_ptr_equal(ngx_chathub_json_string(buf, &str), buf + size);
    assert_memory_equal(buf, expected, size);

    free(buf);
}


static void
test_string_out(void **state)
{
    check_string_out(NULL, 0, "\"\"");
    check_string_out("den", 3, "\"den\"");
    check_string_out("\"\\\n\0\x1f\x7f/", 7, "\"\\\"\\\\\\n\\u0000\\u001F\x7f"
                                             "/\"");
    check_string_out("\xe2\x80\xa8\xc3\xa9", 5, "\"\xe2\x80\xa8\xc3\xa9\"");
}


static void
check_names_out(ngx_str_t *names, ngx_uint_t n, const char *expected)
{
    size_t   size;
    u_char  *buf;

    size = ngx_chathub_json_names_size(names, n);
    assert_int_equal(size, strlen(expected));

    buf = malloc(size);
    assert_non_null(buf);

    assert_ptr_equal(ngx_chathub_json_names(buf, names, n), buf + size);
    assert_memory_equal(buf, expected, size);

    free(buf);
}


static void
test_names_out(void **state)
{
    ngx_str_t  names[] = { ngx_string("a"), ngx_string("\"b\""),
                           ngx_null_string };

    check_names_out(names, 0, "[]");
    check_names_out(NULL, 0, "[]");
    check_names_out(names, 1, "[\"a\"]");
    check_names_out(names, 3, "[\"a\",\"\\\"b\\\"\",\"\"]");
}


static void
check_error_out(ngx_chathub_error_t *e, const char *expected)
{
    size_t   size;
    u_char  *buf, *p;

    size = ngx_chathub_json_error_size(e);

    buf = malloc(size);
    assert_non_null(buf);

    p = ngx_chathub_json_error(buf, e);

    assert_true(p <= buf + size);
    assert_int_equal(p - buf, strlen(expected));
    assert_memory_equal(buf, expected, p - buf);

    free(buf);
}


static void
test_error_out(void **state)
{
    ngx_chathub_error_t  e;

    static const char  *codes[] = {
        "none", "bad_request", "bad_name", "unknown_event", "not_joined",
        "forbidden", "unauthorized", "too_large", "rate_limited",
        "too_many_rooms", "busy", "unavailable", "not_stored", "not_found",
        "internal"
    };

    ngx_chathub_code_e   code;

    for (code = NGX_CHATHUB_E_NONE; code <= NGX_CHATHUB_E_INTERNAL; code++) {
        assert_str(ngx_chathub_json_code(code), codes[code]);
    }

    ngx_memzero(&e, sizeof(ngx_chathub_error_t));

    e.code = NGX_CHATHUB_E_BUSY;
    e.message = "try \"again\"";

    check_error_out(&e, "{\"code\":\"busy\","
                        "\"message\":\"try \\\"again\\\"\"}");

    ngx_str_set(&e.id, "m1");
    ngx_str_set(&e.room, "d\"n");
    e.retry_after = 1500;

    check_error_out(&e, "{\"code\":\"busy\","
                        "\"message\":\"try \\\"again\\\"\",\"id\":\"m1\","
                        "\"room\":\"d\\\"n\",\"retry_after_ms\":1500}");

    e.retry_after = (ngx_msec_t) -2;

    check_error_out(&e, "{\"code\":\"busy\","
                        "\"message\":\"try \\\"again\\\"\",\"id\":\"m1\","
                        "\"room\":\"d\\\"n\","
                        "\"retry_after_ms\":18446744073709551614}");
}


#define test(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)


int
main(void)
{
    cJSON_Hooks  hooks;

    const struct CMUnitTest  tests[] = {
        test(test_join),
        test(test_join_refused),
        test(test_leave),
        test(test_message),
        test(test_message_ignored),
        test(test_message_target),
        test(test_message_refused),
        test(test_rooms_users),
        test(test_typing_ping),
        test(test_top),
        test(test_ref),
        test(test_error_names),
        test(test_numbers),
        test(test_strings),
        test(test_syntax),
        test(test_truncated),
        test(test_bounds),
        test(test_bounds_large),
        test(test_no_memory),
        test(test_again),
        test(test_string_out),
        test(test_names_out),
        test(test_error_out)
    };

    hooks.malloc_fn = counted_malloc;
    hooks.free_fn = counted_free;
    cJSON_InitHooks(&hooks);

    return cmocka_run_group_tests(tests, NULL, NULL);
}
