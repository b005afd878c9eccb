
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * Any bytes as an event.  Beside what the sanitizers see: what is refused
 * has a code and a text, what is accepted keeps the rules of its event, a
 * message written by head and body is read again as the same one, and no
 * allocation of cJSON's is left.  The first byte says which allocation
 * fails, if any.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <cjson/cJSON.h>

#include "ngx_chathub_json.h"


#define check(cond)                                                           \
    if (!(cond)) {                                                            \
        fprintf(stderr, "line %d: %s\n", __LINE__, #cond);                    \
        abort();                                                              \
    }


int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *input, size_t size, size_t max,
    unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *input, size_t size, size_t max);

static void *fuzz_malloc(size_t size);
static void fuzz_free(void *p);
static void fuzz_event(u_char *text, size_t len);
static void fuzz_accepted(ngx_chathub_event_t *ev);
static void fuzz_message(ngx_chathub_message_t *m);
static void fuzz_refused(ngx_chathub_error_t *err);
static void fuzz_parse_copy(const u_char *text, size_t len,
    ngx_chathub_event_t *ev);
static ngx_uint_t fuzz_same(ngx_str_t *a, ngx_str_t *b);


static ngx_uint_t  fuzz_left;       /* allocations until one fails; 0: none */
static ngx_uint_t  fuzz_failed;
static ngx_uint_t  fuzz_living;


/* what a mutation puts in */

static const char  *fuzz_tokens[] = {
    "\"event\":", "\"data\":", "\"ref\":", "\"join\"", "\"leave\"",
    "\"message\"", "\"rooms\"", "\"users\"", "\"typing\"", "\"ping\"",
    "\"id\":", "\"room\":", "\"user\":", "\"toUser\":", "\"type\":",
    "\"broadcast\":", "\"unicast\":", "\"seq\":", "\"epoch\":", "\"time\":",
    "\"prefix\":", "\"after\":", "\"limit\":", "\"typing\":", "{", "}", "[",
    "]", ",", ":", "\"", "\"\"", "\"a\"", "0", "1", "-1", "1000", "1001",
    "9007199254740991", "9007199254740992", "1e400", "-0", "1.5", "true",
    "false", "null", "\\u0000", "\\u0001", "\\n", "\\\"", "\\\\", "\\ud83d",
    "\\ude00", "\\u2028", "\xe2\x80\xa8", "\xf0\x9f\x98\x80", "\xff", "\xc2",
    "\x7f", " ", "\"c-1\"", "\"data\":\"\","
};

#define FUZZ_NTOKENS  (sizeof(fuzz_tokens) / sizeof(fuzz_tokens[0]))


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    cJSON_Hooks  hooks;

    hooks.malloc_fn = fuzz_malloc;
    hooks.free_fn = fuzz_free;
    cJSON_InitHooks(&hooks);

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    u_char  *text;

    if (size == 0) {
        return 0;
    }

    fuzz_failed = 0;
    fuzz_left = (input[0] < 0x80) ? input[0] & 0x3f : 0;

    /* memory that ends where the text does */

    text = malloc(size > 1 ? size - 1 : 1);
    check(text);
    ngx_memcpy(text, input + 1, size - 1);

    fuzz_event(text, size - 1);

    return 0;
}


/* most mutations put a token in, or change what lies behind one */

size_t
LLVMFuzzerCustomMutator(uint8_t *input, size_t size, size_t max,
    unsigned int seed)
{
    size_t       at, cut, len;
    const char  *token;

    if (size == 0 || seed % 4 == 0) {
        return LLVMFuzzerMutate(input, size, max);
    }

    token = fuzz_tokens[seed / 4 % FUZZ_NTOKENS];
    len = strlen(token);
    at = seed / 4 / FUZZ_NTOKENS % (size + 1);
    cut = (seed >> 28) & 3 ? 0 : ngx_min(len, size - at);

    if (size - cut + len > max) {
        return LLVMFuzzerMutate(input, size, max);
    }

    ngx_memmove(input + at + len, input + at + cut, size - at - cut);
    ngx_memcpy(input + at, token, len);

    return size - cut + len;
}


static void *
fuzz_malloc(size_t size)
{
    void  *p;

    if (fuzz_left && --fuzz_left == 0) {
        fuzz_failed = 1;
        ngx_set_errno(NGX_ENOMEM);
        return NULL;
    }

    p = malloc(size);
    check(p);
    fuzz_living++;

    return p;
}


static void
fuzz_free(void *p)
{
    fuzz_living -= (p != NULL);
    free(p);
}


/* frees the text before the event is looked at, as the caller may */

static void
fuzz_event(u_char *text, size_t len)
{
    ngx_int_t            rc;
    ngx_chathub_error_t  err;
    ngx_chathub_event_t  ev;

    rc = ngx_chathub_json_event_parse(text, len, &ev, &err);

    ngx_memset(text, 'x', len);
    free(text);

    check((rc == NGX_ERROR) == (fuzz_failed != 0));
    check(fuzz_living <= 2 * len + 2);

    switch (rc) {

    case NGX_OK:
        check(err.code == NGX_CHATHUB_E_NONE);
        fuzz_accepted(&ev);
        break;

    case NGX_DECLINED:
        fuzz_refused(&err);
        break;

    default:
        check(rc == NGX_ERROR);
        check(fuzz_living == 0);
        return;
    }

    check(!ev.has_ref || ev.ref <= NGX_CHATHUB_SEQ_MAX);

    ngx_chathub_json_event_free(&ev);
    check(fuzz_living == 0);
}


static void
fuzz_accepted(ngx_chathub_event_t *ev)
{
    check(!ev->room.data
          || ngx_chathub_message_check_name(&ev->room) == NGX_OK);
    check(!ev->user.data
          || ngx_chathub_message_check_name(&ev->user) == NGX_OK);
    check(!ev->after.data
          || ngx_chathub_message_check_name(&ev->after) == NGX_OK);

    check(ev->limit >= 1 && ev->limit <= NGX_CHATHUB_LIMIT_MAX);
    check(ev->seq <= NGX_CHATHUB_SEQ_MAX);

    switch (ev->type) {

    case NGX_CHATHUB_EVENT_JOIN:
        check((ev->room.data || ev->user.data) != ev->broadcast);
        break;

    case NGX_CHATHUB_EVENT_MESSAGE:
        fuzz_message(&ev->message);
        break;

    case NGX_CHATHUB_EVENT_LEAVE:
    case NGX_CHATHUB_EVENT_USERS:
    case NGX_CHATHUB_EVENT_TYPING:
        check(ev->room.data);
        break;

    default:
        check(ev->type == NGX_CHATHUB_EVENT_ROOMS
              || ev->type == NGX_CHATHUB_EVENT_PING);
        check(!ev->room.data);
    }
}


/* head and body put together are an event's "data" again */

static void
fuzz_message(ngx_chathub_message_t *m)
{
    u_char                  id[NGX_CHATHUB_UUID_LEN], *text, *p;
    size_t                  size;
    ngx_chathub_event_t     again;
    ngx_chathub_message_t  *n;

    check(m->broadcast + m->unicast < 2);
    check(m->broadcast || (m->unicast ? m->to_user.len : m->room.len));
    check(ngx_chathub_message_check_type(&m->type) == NGX_OK);
    check(ngx_chathub_message_check_utf8(m->data.data, m->data.len)
          == NGX_OK);

    if (m->id.data == NULL) {
        m->id.data = id;
        m->id.len = ngx_chathub_message_uuid(id, 1767225600000ULL) - id;
    }

    check(ngx_chathub_message_check_id(&m->id) == NGX_OK);

    size = ngx_chathub_message_body_size(m);

    text = malloc(sizeof("{\"event\":\"message\",\"data\":}")
                  + NGX_CHATHUB_MESSAGE_HEAD_MAX + size);
    check(text);

    p = ngx_cpymem(text, "{\"event\":\"message\",\"data\":",
                   sizeof("{\"event\":\"message\",\"data\":") - 1);
    p = ngx_chathub_message_head(p, &m->id, NGX_CHATHUB_SEQ_MAX, 1, 1);
    check(ngx_chathub_message_body(p, m) == p + size);
    p += size;
    *p++ = '}';

    fuzz_parse_copy(text, p - text, &again);
    free(text);

    n = &again.message;

    check(again.type == NGX_CHATHUB_EVENT_MESSAGE);
    check(fuzz_same(&m->id, &n->id));
    check(fuzz_same(&m->user, &n->user));
    check(fuzz_same(&m->room, &n->room));
    check(fuzz_same(&m->to_user, &n->to_user));
    check(fuzz_same(&m->type, &n->type));
    check(fuzz_same(&m->data, &n->data));
    check(m->broadcast == n->broadcast && m->unicast == n->unicast);

    ngx_chathub_json_event_free(&again);
}


static void
fuzz_refused(ngx_chathub_error_t *err)
{
    u_char               *text;
    size_t                size;
    ngx_str_t             s;
    ngx_uint_t            nul;
    ngx_chathub_event_t   ev;

    check(err->code == NGX_CHATHUB_E_BAD_REQUEST
          || err->code == NGX_CHATHUB_E_BAD_NAME
          || err->code == NGX_CHATHUB_E_UNKNOWN_EVENT);
    check(err->message && *err->message);
    check(err->id.len <= NGX_CHATHUB_ID_MAX);
    check(err->room.len <= NGX_CHATHUB_NAME_MAX);

    /* the error is JSON itself, whatever its room was: a message's data */

    size = ngx_chathub_json_error_size(err);
    text = malloc(size);
    check(text);

    s.data = text;
    s.len = ngx_chathub_json_error(text, err) - text;
    check(s.len <= size);
    nul = 0;
    check(ngx_chathub_json_scan(s.data, s.len, &nul) == NULL);
    check(!nul);

    fuzz_left = 0;
    ev.tree = cJSON_ParseWithLength((char *) s.data, s.len);
    check(ev.tree);
    ngx_chathub_json_event_free(&ev);

    free(text);
}


static void
fuzz_parse_copy(const u_char *text, size_t len, ngx_chathub_event_t *ev)
{
    u_char               *copy;
    ngx_chathub_error_t   err;

    copy = malloc(len);
    check(copy);
    ngx_memcpy(copy, text, len);

    fuzz_left = 0;
    check(ngx_chathub_json_event_parse(copy, len, ev, &err) == NGX_OK);

    free(copy);
}


static ngx_uint_t
fuzz_same(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || ngx_memcmp(a->data, b->data, a->len) == 0);
}
