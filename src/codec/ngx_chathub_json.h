
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_JSON_H_INCLUDED_
#define _NGX_CHATHUB_JSON_H_INCLUDED_


#include "ngx_chathub_message.h"


/* what a client can ask for (README, "Events") */

typedef enum {
    NGX_CHATHUB_EVENT_JOIN = 0,
    NGX_CHATHUB_EVENT_LEAVE,
    NGX_CHATHUB_EVENT_MESSAGE,
    NGX_CHATHUB_EVENT_ROOMS,
    NGX_CHATHUB_EVENT_USERS,
    NGX_CHATHUB_EVENT_TYPING,
    NGX_CHATHUB_EVENT_PING
} ngx_chathub_event_e;


/*
 * An event from a client.  The strings point into "tree" (or into the text
 * that was parsed) and live until ngx_chathub_json_event_free(); an absent
 * one has data == NULL.  Numbers are checked to be integers in range.
 */

typedef struct {
    ngx_chathub_event_e          type;
    uint64_t                     ref;         /* valid if has_ref */
    unsigned                     has_ref:1;
    unsigned                     has_seq:1;
    unsigned                     broadcast:1; /* join of the broadcasts */
    unsigned                     typing:1;
    ngx_str_t                    room;
    ngx_str_t                    user;
    ngx_str_t                    epoch;
    uint64_t                     seq;
    ngx_str_t                    prefix;
    ngx_str_t                    after;       /* a name */
    ngx_uint_t                   limit;       /* 1-1000, default 100 */
    ngx_chathub_message_t        message;     /* type == MESSAGE: id, room,
                                                 to_user, type, data, user,
                                                 flags; checked, defaults
                                                 set; id may be absent, room
                                                 and to_user too; user is as
                                                 the client wrote it */
    void                        *tree;        /* the parser's own */
} ngx_chathub_event_t;


/*
 * Parses one native text {"event":E,"data":D,"ref":N?}; any bytes may come.
 * NGX_OK: *ev is filled in and must be freed; *err has no code yet, but room
 * and id, for errors to come.  NGX_DECLINED: *err says what is wrong, *ev
 * holds ref/has_ref if they could be read and must be freed as well (err's
 * strings point into it).  NGX_ERROR: out of memory, nothing to free.
 * Memory and time are bounded by "len": depth and number of values are
 * checked before the tree is built, unknown and repeated keys after.  A
 * worker's main thread only: cJSON keeps the place of its last error.
 */
ngx_int_t ngx_chathub_json_event_parse(u_char *text, size_t len,
    ngx_chathub_event_t *ev, ngx_chathub_error_t *err);

/* takes an event freed before as well */
void ngx_chathub_json_event_free(ngx_chathub_event_t *ev);


/*
 * Refuses, before anything is allocated, what cJSON would spend unbounded
 * memory or stack on or would read differently from what was written: it
 * takes control characters, and numbers that are not JSON.  Returns what is
 * wrong, a static text, or NULL; brackets that do not match, misplaced commas
 * and the like are left to cJSON.  *nul is set to 1 where a string has U+0000:
 * cJSON's tree is safe then, but its strings are not what was written.
 */
const char *ngx_chathub_json_scan(u_char *text, size_t len,
    ngx_uint_t *nul);


/* JSON out: each returns the end; sizes are exact or an upper bound */

/* a string with its quotes */
size_t ngx_chathub_json_string_size(ngx_str_t *s);
u_char *ngx_chathub_json_string(u_char *p, ngx_str_t *s);

/* ["a","b"] */
size_t ngx_chathub_json_names_size(ngx_str_t *names, ngx_uint_t n);
u_char *ngx_chathub_json_names(u_char *p, ngx_str_t *names, ngx_uint_t n);

/* the error object of README, "Errors": {"code":…,"message":…,"id"?,"room"?,
 * "retry_after_ms"?} */
size_t ngx_chathub_json_error_size(ngx_chathub_error_t *err);
u_char *ngx_chathub_json_error(u_char *p, ngx_chathub_error_t *err);

/* "bad_request" and so on; static */
ngx_str_t *ngx_chathub_json_code(ngx_chathub_code_e code);


#endif /* _NGX_CHATHUB_JSON_H_INCLUDED_ */
