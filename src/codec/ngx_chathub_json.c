
/*
 * Copyright (C) ChatHub contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <cjson/cJSON.h>

#include "ngx_chathub_json.h"


typedef enum {
    NGX_CHATHUB_JSON_STRING = 0,
    NGX_CHATHUB_JSON_INTEGER,
    NGX_CHATHUB_JSON_FLAG,                    /* 0 or 1 */
    NGX_CHATHUB_JSON_BOOLEAN
} ngx_chathub_json_kind_e;


/* the fields that "data" may have, in any event */

typedef enum {
    NGX_CHATHUB_JSON_ID = 0,
    NGX_CHATHUB_JSON_ROOM,
    NGX_CHATHUB_JSON_USER,
    NGX_CHATHUB_JSON_TO_USER,
    NGX_CHATHUB_JSON_TYPE,
    NGX_CHATHUB_JSON_DATA,
    NGX_CHATHUB_JSON_BROADCAST,
    NGX_CHATHUB_JSON_UNICAST,
    NGX_CHATHUB_JSON_SEQ,
    NGX_CHATHUB_JSON_EPOCH,
    NGX_CHATHUB_JSON_TIME,
    NGX_CHATHUB_JSON_PREFIX,
    NGX_CHATHUB_JSON_AFTER,
    NGX_CHATHUB_JSON_LIMIT,
    NGX_CHATHUB_JSON_TYPING,
    NGX_CHATHUB_JSON_NFIELDS
} ngx_chathub_json_field_e;


typedef struct {
    const char                  *name;
    ngx_chathub_json_kind_e      kind;
    const char                  *error;       /* what its type must be */
} ngx_chathub_json_field_t;


/* an event being parsed: its fields, NULL where absent */

typedef struct {
    ngx_chathub_event_t         *ev;
    ngx_chathub_error_t         *err;
    cJSON                       *item[NGX_CHATHUB_JSON_NFIELDS];
} ngx_chathub_json_ctx_t;


typedef struct {
    const char                  *name;
    ngx_uint_t                   fields;      /* bits of what it takes */
    ngx_uint_t                   ignored;     /* bits of what it overlooks */
    ngx_uint_t                   optional;    /* without "data" as well */
    const char                  *error;       /* which fields there are */
    const char                *(*check)(ngx_chathub_json_ctx_t *ctx);
} ngx_chathub_json_event_t;


static const char *ngx_chathub_json_top(ngx_chathub_event_t *ev,
    ngx_chathub_error_t *err);
static const char *ngx_chathub_json_find_event(cJSON *event,
    ngx_chathub_event_t *ev, ngx_chathub_error_t *err);
static const char *ngx_chathub_json_data(cJSON *data,
    ngx_chathub_event_t *ev, ngx_chathub_error_t *err);
static const char *ngx_chathub_json_data_field(ngx_chathub_json_ctx_t *ctx,
    const ngx_chathub_json_event_t *spec, cJSON *item);
static ngx_int_t ngx_chathub_json_check_kind(cJSON *item,
    ngx_chathub_json_kind_e kind);

static const char *ngx_chathub_json_check_join(ngx_chathub_json_ctx_t *ctx);
static const char *ngx_chathub_json_check_leave(ngx_chathub_json_ctx_t *ctx);
static const char *ngx_chathub_json_check_message(
    ngx_chathub_json_ctx_t *ctx);
static const char *ngx_chathub_json_check_target(ngx_chathub_json_ctx_t *ctx);
static const char *ngx_chathub_json_check_rooms(ngx_chathub_json_ctx_t *ctx);
static const char *ngx_chathub_json_check_users(ngx_chathub_json_ctx_t *ctx);
static const char *ngx_chathub_json_check_typing(ngx_chathub_json_ctx_t *ctx);
static const char *ngx_chathub_json_check_ping(ngx_chathub_json_ctx_t *ctx);
static const char *ngx_chathub_json_check_page(ngx_chathub_json_ctx_t *ctx);
static const char *ngx_chathub_json_room(ngx_chathub_json_ctx_t *ctx);
static const char *ngx_chathub_json_name(ngx_chathub_json_ctx_t *ctx,
    cJSON *item, ngx_str_t *name);

static cJSON *ngx_chathub_json_filled(cJSON *item);
static void ngx_chathub_json_text(cJSON *item, ngx_str_t *text);
static ngx_int_t ngx_chathub_json_integer(cJSON *item, uint64_t *value);


#define ngx_chathub_json_bit(name)  (1 << NGX_CHATHUB_JSON_##name)


/* by ngx_chathub_json_field_e */

static const ngx_chathub_json_field_t  ngx_chathub_json_fields[] = {

    { "id", NGX_CHATHUB_JSON_STRING, "\"id\" must be a string" },
    { "room", NGX_CHATHUB_JSON_STRING, "\"room\" must be a string" },
    { "user", NGX_CHATHUB_JSON_STRING, "\"user\" must be a string" },
    { "toUser", NGX_CHATHUB_JSON_STRING, "\"toUser\" must be a string" },
    { "type", NGX_CHATHUB_JSON_STRING, "\"type\" must be a string" },
    { "data", NGX_CHATHUB_JSON_STRING, "a message's \"data\" must be "
                                       "a string" },
    { "broadcast", NGX_CHATHUB_JSON_FLAG, "\"broadcast\" must be 0 or 1" },
    { "unicast", NGX_CHATHUB_JSON_BOOLEAN, "\"unicast\" must be true or "
                                           "false" },
    { "seq", NGX_CHATHUB_JSON_INTEGER, "\"seq\" must be an integer from 0 to "
                                       "9007199254740991" },
    { "epoch", NGX_CHATHUB_JSON_STRING, "\"epoch\" must be a string" },
    { "time", NGX_CHATHUB_JSON_STRING, "\"time\" must be a string" },
    { "prefix", NGX_CHATHUB_JSON_STRING, "\"prefix\" must be a string" },
    { "after", NGX_CHATHUB_JSON_STRING, "\"after\" must be a string" },
    { "limit", NGX_CHATHUB_JSON_INTEGER, "\"limit\" must be an integer from "
                                         "1 to 1000" },
    { "typing", NGX_CHATHUB_JSON_BOOLEAN, "\"typing\" must be true or false" }
};


/* by ngx_chathub_event_e */

static const ngx_chathub_json_event_t  ngx_chathub_json_events[] = {

    { "join",
      ngx_chathub_json_bit(ROOM) | ngx_chathub_json_bit(USER)
      | ngx_chathub_json_bit(BROADCAST) | ngx_chathub_json_bit(EPOCH)
      | ngx_chathub_json_bit(SEQ),
      0, 0,
      "\"join\" takes \"room\", \"user\", \"broadcast\", \"epoch\" and "
      "\"seq\" only, each once",
      ngx_chathub_json_check_join },

    { "leave",
      ngx_chathub_json_bit(ROOM),
      0, 0,
      "\"leave\" takes \"room\" only, once",
      ngx_chathub_json_check_leave },

    { "message",
      ngx_chathub_json_bit(ID) | ngx_chathub_json_bit(ROOM)
      | ngx_chathub_json_bit(USER) | ngx_chathub_json_bit(TO_USER)
      | ngx_chathub_json_bit(TYPE) | ngx_chathub_json_bit(DATA)
      | ngx_chathub_json_bit(BROADCAST) | ngx_chathub_json_bit(UNICAST),
      ngx_chathub_json_bit(SEQ) | ngx_chathub_json_bit(EPOCH)
      | ngx_chathub_json_bit(TIME),
      0,
      "\"message\" takes \"id\", \"room\", \"data\", \"type\", "
      "\"broadcast\", \"unicast\" and \"toUser\" only, each once (and "
      "overwrites \"seq\", \"epoch\", \"time\" and \"user\")",
      ngx_chathub_json_check_message },

    { "rooms",
      ngx_chathub_json_bit(PREFIX) | ngx_chathub_json_bit(LIMIT)
      | ngx_chathub_json_bit(AFTER),
      0, 1,
      "\"rooms\" takes \"prefix\", \"limit\" and \"after\" only, each once",
      ngx_chathub_json_check_rooms },

    { "users",
      ngx_chathub_json_bit(ROOM) | ngx_chathub_json_bit(LIMIT)
      | ngx_chathub_json_bit(AFTER),
      0, 0,
      "\"users\" takes \"room\", \"limit\" and \"after\" only, each once",
      ngx_chathub_json_check_users },

    { "typing",
      ngx_chathub_json_bit(ROOM) | ngx_chathub_json_bit(TYPING),
      0, 0,
      "\"typing\" takes \"room\" and \"typing\" only, each once",
      ngx_chathub_json_check_typing },

    { "ping",
      0, 0, 1,
      "\"ping\" takes no fields",
      ngx_chathub_json_check_ping }
};


/* by ngx_chathub_code_e */

static ngx_str_t  ngx_chathub_json_codes[] = {
    ngx_string("none"),
    ngx_string("bad_request"),
    ngx_string("bad_name"),
    ngx_string("unknown_event"),
    ngx_string("not_joined"),
    ngx_string("forbidden"),
    ngx_string("unauthorized"),
    ngx_string("too_large"),
    ngx_string("rate_limited"),
    ngx_string("too_many_rooms"),
    ngx_string("busy"),
    ngx_string("unavailable"),
    ngx_string("not_stored"),
    ngx_string("not_found"),
    ngx_string("internal")
};


ngx_int_t
ngx_chathub_json_event_parse(u_char *text, size_t len,
    ngx_chathub_event_t *ev, ngx_chathub_error_t *err)
{
    const char  *error;
    ngx_uint_t   nul;

    ngx_memzero(ev, sizeof(ngx_chathub_event_t));
    ngx_memzero(err, sizeof(ngx_chathub_error_t));

    ev->limit = NGX_CHATHUB_LIMIT_DEFAULT;

    nul = 0;
    error = ngx_chathub_json_scan(text, len, &nul);

    if (error == NULL) {

        /* cJSON does not tell why it failed, but malloc() does */

        ngx_set_errno(0);

        ev->tree = cJSON_ParseWithLength((char *) text, len);

        if (ev->tree) {
            error = ngx_chathub_json_top(ev, err);

            if (nul) {

                /* strings were cut there: only "ref" is what was meant */

                ngx_memzero(err, sizeof(ngx_chathub_error_t));
                error = "strings must not contain U+0000";
            }

        } else if (ngx_errno == NGX_ENOMEM) {
            return NGX_ERROR;

        } else {
            error = "the text must be valid JSON";
        }
    }

    if (error == NULL) {
        return NGX_OK;
    }

    if (err->code == NGX_CHATHUB_E_NONE) {
        err->code = NGX_CHATHUB_E_BAD_REQUEST;
    }

    err->message = error;

    return NGX_DECLINED;
}


void
ngx_chathub_json_event_free(ngx_chathub_event_t *ev)
{
    cJSON_Delete(ev->tree);

    ev->tree = NULL;
}


/*
 * This one and all that it calls return what is wrong, or NULL; the code is
 * bad_request where they do not set another one.  "ref" is read whatever
 * else is wrong, so that the error can carry it.
 */

static const char *
ngx_chathub_json_top(ngx_chathub_event_t *ev, ngx_chathub_error_t *err)
{
    cJSON       *item, *tree, *event, *data, *ref, **slot;
    const char  *error;

    tree = ev->tree;
    event = NULL;
    data = NULL;
    ref = NULL;
    error = NULL;

    cJSON_ArrayForEach(item, tree) {

        if (ngx_strcmp(item->string, "event") == 0) {
            slot = &event;

        } else if (ngx_strcmp(item->string, "data") == 0) {
            slot = &data;

        } else if (ngx_strcmp(item->string, "ref") == 0) {
            slot = &ref;

        } else {
            error = "an event has \"event\", \"data\" and \"ref\" only";
            continue;
        }

        if (*slot) {
            error = "\"event\", \"data\" and \"ref\" may be there only once";
        }

        *slot = item;
    }

    if (ref) {
        if (ngx_chathub_json_integer(ref, &ev->ref) != NGX_OK) {
            return "\"ref\" must be an integer from 0 to 9007199254740991";
        }

        ev->has_ref = 1;
    }

    if (error) {
        return error;
    }

    error = ngx_chathub_json_find_event(event, ev, err);

    if (error) {
        return error;
    }

    return ngx_chathub_json_data(data, ev, err);
}


static const char *
ngx_chathub_json_find_event(cJSON *event, ngx_chathub_event_t *ev,
    ngx_chathub_error_t *err)
{
    ngx_uint_t  i;

    if (!cJSON_IsString(event)) {
        return "\"event\" must be a string";
    }

    for (i = 0; i <= NGX_CHATHUB_EVENT_PING; i++) {

        if (ngx_strcmp(event->valuestring, ngx_chathub_json_events[i].name)
            == 0)
        {
            ev->type = i;
            return NULL;
        }
    }

    err->code = NGX_CHATHUB_E_UNKNOWN_EVENT;

    return "\"event\" must be one of join, leave, message, rooms, users, "
           "typing, ping";
}


static const char *
ngx_chathub_json_data(cJSON *data, ngx_chathub_event_t *ev,
    ngx_chathub_error_t *err)
{
    cJSON                           *item;
    const char                      *error, *first;
    ngx_chathub_json_ctx_t           ctx;
    const ngx_chathub_json_event_t  *spec;

    ngx_memzero(&ctx, sizeof(ngx_chathub_json_ctx_t));

    ctx.ev = ev;
    ctx.err = err;

    spec = &ngx_chathub_json_events[ev->type];

    if (!cJSON_IsObject(data)
        && !(spec->optional && (data == NULL || cJSON_IsNull(data))))
    {
        return "\"data\" must be an object";
    }

    first = NULL;

    cJSON_ArrayForEach(item, data) {
        error = ngx_chathub_json_data_field(&ctx, spec, item);

        if (error && first == NULL) {
            first = error;
        }
    }

    /* errors name room and message, but do not echo what is no name */

    ngx_chathub_json_text(ctx.item[NGX_CHATHUB_JSON_ROOM], &err->room);

    if (err->room.len > NGX_CHATHUB_NAME_MAX) {
        ngx_str_null(&err->room);
    }

    ngx_chathub_json_text(ctx.item[NGX_CHATHUB_JSON_ID], &err->id);

    if (err->id.len > NGX_CHATHUB_ID_MAX) {
        ngx_str_null(&err->id);
    }

    if (first) {
        return first;
    }

    return spec->check(&ctx);
}


static const char *
ngx_chathub_json_data_field(ngx_chathub_json_ctx_t *ctx,
    const ngx_chathub_json_event_t *spec, cJSON *item)
{
    ngx_uint_t                       i, bit;
    const ngx_chathub_json_field_t  *field;

    for (i = 0; i < NGX_CHATHUB_JSON_NFIELDS; i++) {
        if (ngx_strcmp(item->string, ngx_chathub_json_fields[i].name) == 0) {
            break;
        }
    }

    bit = 1 << i;

    if (!((spec->fields | spec->ignored) & bit) || ctx->item[i]) {
        return spec->error;
    }

    field = &ngx_chathub_json_fields[i];

    if (spec->ignored & bit) {

        if (cJSON_IsObject(item) || cJSON_IsArray(item)) {
            return field->error;
        }

    } else if (ngx_chathub_json_check_kind(item, field->kind) != NGX_OK) {
        return field->error;
    }

    ctx->item[i] = item;

    return NULL;
}


static ngx_int_t
ngx_chathub_json_check_kind(cJSON *item, ngx_chathub_json_kind_e kind)
{
    uint64_t  n;

    switch (kind) {

    case NGX_CHATHUB_JSON_STRING:
        return cJSON_IsString(item) ? NGX_OK : NGX_ERROR;

    case NGX_CHATHUB_JSON_INTEGER:
        return ngx_chathub_json_integer(item, &n);

    case NGX_CHATHUB_JSON_FLAG:
        if (ngx_chathub_json_integer(item, &n) != NGX_OK) {
            return NGX_ERROR;
        }

        return n <= 1 ? NGX_OK : NGX_ERROR;

    default: /* NGX_CHATHUB_JSON_BOOLEAN */
        return cJSON_IsBool(item) ? NGX_OK : NGX_ERROR;
    }
}


static const char *
ngx_chathub_json_check_join(ngx_chathub_json_ctx_t *ctx)
{
    cJSON                *room, *user, *item;
    const char           *error;
    ngx_chathub_event_t  *ev;

    ev = ctx->ev;

    room = ctx->item[NGX_CHATHUB_JSON_ROOM];
    user = ctx->item[NGX_CHATHUB_JSON_USER];

    item = ctx->item[NGX_CHATHUB_JSON_BROADCAST];
    ev->broadcast = (item && item->valuedouble == 1);

    if (ev->broadcast ? (room || user) : (!room && !user)) {
        return "\"join\" needs \"room\", or \"user\" alone, or "
               "\"broadcast\": 1 alone";
    }

    error = ngx_chathub_json_name(ctx, room, &ev->room);

    if (error == NULL) {
        error = ngx_chathub_json_name(ctx, user, &ev->user);
    }

    if (error) {
        return error;
    }

    ngx_chathub_json_text(ctx->item[NGX_CHATHUB_JSON_EPOCH], &ev->epoch);

    item = ctx->item[NGX_CHATHUB_JSON_SEQ];

    if (item) {
        ev->seq = (uint64_t) item->valuedouble;
        ev->has_seq = 1;
    }

    return NULL;
}


static const char *
ngx_chathub_json_check_leave(ngx_chathub_json_ctx_t *ctx)
{
    return ngx_chathub_json_room(ctx);
}


static const char *
ngx_chathub_json_check_message(ngx_chathub_json_ctx_t *ctx)
{
    ngx_chathub_message_t  *m;

    m = &ctx->ev->message;

    ngx_str_set(&m->type, "text");

    if (ctx->item[NGX_CHATHUB_JSON_TYPE]) {
        ngx_chathub_json_text(ctx->item[NGX_CHATHUB_JSON_TYPE], &m->type);

        if (ngx_chathub_message_check_type(&m->type) != NGX_OK) {
            return "\"type\" must be 1 to 32 of A-Z a-z 0-9 . _ / + -";
        }
    }

    if (ctx->item[NGX_CHATHUB_JSON_ID]) {
        ngx_chathub_json_text(ctx->item[NGX_CHATHUB_JSON_ID], &m->id);

        if (ngx_chathub_message_check_id(&m->id) != NGX_OK) {
            return "\"id\" must be 1 to 64 of A-Z a-z 0-9 _ - and must not "
                   "begin with c-";
        }
    }

    if (ctx->item[NGX_CHATHUB_JSON_DATA] == NULL) {
        return "a message needs \"data\", a string";
    }

    ngx_chathub_json_text(ctx->item[NGX_CHATHUB_JSON_DATA], &m->data);
    ngx_chathub_json_text(ctx->item[NGX_CHATHUB_JSON_USER], &m->user);

    return ngx_chathub_json_check_target(ctx);
}


static const char *
ngx_chathub_json_check_target(ngx_chathub_json_ctx_t *ctx)
{
    cJSON                  *item;
    const char             *error;
    ngx_chathub_message_t  *m;

    m = &ctx->ev->message;

    error = ngx_chathub_json_name(ctx,
                   ngx_chathub_json_filled(ctx->item[NGX_CHATHUB_JSON_ROOM]),
                   &m->room);

    if (error == NULL) {
        error = ngx_chathub_json_name(ctx,
                ngx_chathub_json_filled(ctx->item[NGX_CHATHUB_JSON_TO_USER]),
                &m->to_user);
    }

    if (error) {
        return error;
    }

    item = ctx->item[NGX_CHATHUB_JSON_BROADCAST];
    m->broadcast = (item && item->valuedouble == 1);

    item = ctx->item[NGX_CHATHUB_JSON_UNICAST];
    m->unicast = (item && cJSON_IsTrue(item));

    if (m->broadcast && m->unicast) {
        return "a message is \"broadcast\": 1 or \"unicast\": true, not both";
    }

    if (m->unicast && m->to_user.len == 0) {
        return "\"unicast\": true needs \"toUser\"";
    }

    if (!m->broadcast && !m->unicast && m->room.len == 0) {
        return "a message needs \"room\", or \"broadcast\": 1, or "
               "\"unicast\": true and \"toUser\"";
    }

    return NULL;
}


static const char *
ngx_chathub_json_check_rooms(ngx_chathub_json_ctx_t *ctx)
{
    const char  *error;

    error = ngx_chathub_json_name(ctx,
                 ngx_chathub_json_filled(ctx->item[NGX_CHATHUB_JSON_PREFIX]),
                 &ctx->ev->prefix);

    return error ? error : ngx_chathub_json_check_page(ctx);
}


static const char *
ngx_chathub_json_check_users(ngx_chathub_json_ctx_t *ctx)
{
    const char  *error;

    error = ngx_chathub_json_room(ctx);

    return error ? error : ngx_chathub_json_check_page(ctx);
}


static const char *
ngx_chathub_json_check_typing(ngx_chathub_json_ctx_t *ctx)
{
    cJSON  *item;

    item = ctx->item[NGX_CHATHUB_JSON_TYPING];

    if (item == NULL) {
        return "the event \"typing\" needs \"typing\", true or false";
    }

    ctx->ev->typing = cJSON_IsTrue(item) ? 1 : 0;

    return ngx_chathub_json_room(ctx);
}


static const char *
ngx_chathub_json_check_ping(ngx_chathub_json_ctx_t *ctx)
{
    (void) ctx;

    return NULL;
}


/* "limit" and "after" of a list by name */

static const char *
ngx_chathub_json_check_page(ngx_chathub_json_ctx_t *ctx)
{
    cJSON  *item;

    item = ctx->item[NGX_CHATHUB_JSON_LIMIT];

    if (item) {

        if (item->valuedouble < 1
            || item->valuedouble > NGX_CHATHUB_LIMIT_MAX)
        {
            return ngx_chathub_json_fields[NGX_CHATHUB_JSON_LIMIT].error;
        }

        ctx->ev->limit = (ngx_uint_t) item->valuedouble;
    }

    return ngx_chathub_json_name(ctx, ctx->item[NGX_CHATHUB_JSON_AFTER],
                                 &ctx->ev->after);
}


static const char *
ngx_chathub_json_room(ngx_chathub_json_ctx_t *ctx)
{
    cJSON  *item;

    item = ctx->item[NGX_CHATHUB_JSON_ROOM];

    if (item == NULL) {
        return "the event needs \"room\", a string";
    }

    return ngx_chathub_json_name(ctx, item, &ctx->ev->room);
}


/* an absent name is none, and right */

static const char *
ngx_chathub_json_name(ngx_chathub_json_ctx_t *ctx, cJSON *item,
    ngx_str_t *name)
{
    ngx_chathub_json_text(item, name);

    if (item == NULL || ngx_chathub_message_check_name(name) == NGX_OK) {
        return NULL;
    }

    ctx->err->code = NGX_CHATHUB_E_BAD_NAME;

    return "names of rooms and users are 1 to 128 bytes of UTF-8 without "
           "control characters";
}


/* for what counts as absent where it is empty */

static cJSON *
ngx_chathub_json_filled(cJSON *item)
{
    return (item && item->valuestring[0] != '\0') ? item : NULL;
}


/* strings have no U+0000 in an event that is accepted */

static void
ngx_chathub_json_text(cJSON *item, ngx_str_t *text)
{
    if (item) {
        text->data = (u_char *) item->valuestring;
        text->len = ngx_strlen(item->valuestring);
    }
}


/* integers from 0 to 2^53 - 1, those that a double holds exactly */

static ngx_int_t
ngx_chathub_json_integer(cJSON *item, uint64_t *value)
{
    double    d;
    uint64_t  n;

    if (!cJSON_IsNumber(item)) {
        return NGX_ERROR;
    }

    d = item->valuedouble;

    if (!(d >= 0 && d <= (double) NGX_CHATHUB_SEQ_MAX)) {
        return NGX_ERROR;
    }

    n = (uint64_t) d;

    if ((double) n != d) {
        return NGX_ERROR;
    }

    *value = n;

    return NGX_OK;
}


size_t
ngx_chathub_json_string_size(ngx_str_t *s)
{
    return sizeof("\"\"") - 1 + s->len
           + (size_t) ngx_escape_json(NULL, s->data, s->len);
}


u_char *
ngx_chathub_json_string(u_char *p, ngx_str_t *s)
{
    *p++ = '"';
    p = (u_char *) ngx_escape_json(p, s->data, s->len);
    *p++ = '"';

    return p;
}


size_t
ngx_chathub_json_names_size(ngx_str_t *names, ngx_uint_t n)
{
    size_t      size;
    ngx_uint_t  i;

    size = sizeof("[]") - 1 + (n ? n - 1 : 0);

    for (i = 0; i < n; i++) {
        size += ngx_chathub_json_string_size(&names[i]);
    }

    return size;
}


u_char *
ngx_chathub_json_names(u_char *p, ngx_str_t *names, ngx_uint_t n)
{
    ngx_uint_t  i;

    *p++ = '[';

    for (i = 0; i < n; i++) {

        if (i) {
            *p++ = ',';
        }

        p = ngx_chathub_json_string(p, &names[i]);
    }

    *p++ = ']';

    return p;
}


size_t
ngx_chathub_json_error_size(ngx_chathub_error_t *err)
{
    ngx_str_t  message;

    message.data = (u_char *) err->message;
    message.len = ngx_strlen(err->message);

    return sizeof("{\"code\":\"\",\"message\":,\"id\":,\"room\":,"
                  "\"retry_after_ms\":}") - 1 + NGX_INT64_LEN
           + ngx_chathub_json_code(err->code)->len
           + ngx_chathub_json_string_size(&message)
           + ngx_chathub_json_string_size(&err->id)
           + ngx_chathub_json_string_size(&err->room);
}


u_char *
ngx_chathub_json_error(u_char *p, ngx_chathub_error_t *err)
{
    ngx_str_t  message;

    message.data = (u_char *) err->message;
    message.len = ngx_strlen(err->message);

    p = ngx_sprintf(p, "{\"code\":\"%V\",\"message\":",
                    ngx_chathub_json_code(err->code));
    p = ngx_chathub_json_string(p, &message);

    if (err->id.len) {
        p = ngx_cpymem(p, ",\"id\":", sizeof(",\"id\":") - 1);
        p = ngx_chathub_json_string(p, &err->id);
    }

    if (err->room.len) {
        p = ngx_cpymem(p, ",\"room\":", sizeof(",\"room\":") - 1);
        p = ngx_chathub_json_string(p, &err->room);
    }

    if (err->retry_after) {
        p = ngx_sprintf(p, ",\"retry_after_ms\":%M", err->retry_after);
    }

    *p++ = '}';

    return p;
}


ngx_str_t *
ngx_chathub_json_code(ngx_chathub_code_e code)
{
    return &ngx_chathub_json_codes[code];
}
