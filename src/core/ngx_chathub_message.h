
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_MESSAGE_H_INCLUDED_
#define _NGX_CHATHUB_MESSAGE_H_INCLUDED_


#include "ngx_chathub.h"


/* 9999-12-31T23:59:59.999Z; later times are written as this one */
#define NGX_CHATHUB_TIME_MAX       253402300799999ULL


/*
 * A message (README, "The message").  The strings belong to whoever filled
 * the struct in and are not changed after that.
 */

struct ngx_chathub_message_s {
    ngx_str_t                    id;
    uint64_t                     seq;
    uint64_t                     epoch;
    uint64_t                     time;        /* ms since 1970, UTC */
    ngx_str_t                    user;
    ngx_str_t                    room;
    ngx_str_t                    to_user;
    ngx_str_t                    type;
    ngx_str_t                    data;
    unsigned                     broadcast:1;
    unsigned                     unicast:1;
};


/*
 * In the log a message is kept as its place (id, seq, epoch, time: the
 * record's header) and a "body": the rest of its JSON object, from "user" to
 * the closing brace.  Head and body put together are the object on every
 * wire, so a body is made once, by the worker that publishes.
 */

/* bytes that ngx_chathub_message_head() writes at most */
#define NGX_CHATHUB_MESSAGE_HEAD_MAX  (NGX_CHATHUB_ID_MAX + 128)

/*
 * The functions below have no state but ngx_chathub_message_uuid(), which
 * has the process's own: call that one from a worker's main thread only.
 */

/* writes {"id":"…","seq":…,"epoch":"…","time":"…", and returns the end; the
 * id goes in as it is: one that was checked or made here */
u_char *ngx_chathub_message_head(u_char *p, ngx_str_t *id, uint64_t seq,
    uint64_t epoch, uint64_t time);

/* exact size of the body */
size_t ngx_chathub_message_body_size(ngx_chathub_message_t *m);

/* writes "user":…} and returns the end; all seven fields, always in the same
 * order; an absent string is "" */
u_char *ngx_chathub_message_body(u_char *p, ngx_chathub_message_t *m);

/* hashes what a repeat of an id must have in common with the first: user,
 * room, toUser, broadcast, unicast, type, data; keyed, 64 bits; differs
 * between machines of different byte order */
uint64_t ngx_chathub_message_digest(ngx_chathub_message_t *m, u_char key[16]);

/* keyed 128-bit hash of an id; collisions cannot be made from outside */
void ngx_chathub_message_id_hash(ngx_str_t *id, u_char key[16],
    uint64_t hash[2]);

/*
 * A new UUIDv7 (RFC 9562, 5.7); "now" in ms; returns the end, 36 bytes on.
 * Ids of one process ascend, also while the clock is set back by up to ten
 * seconds.  Does not fail: without the kernel's random bytes ids are unique
 * but can be guessed.
 */
u_char *ngx_chathub_message_uuid(u_char *p, uint64_t now);

/* NGX_OK where it may name a message: 1-64 of A-Za-z0-9_-, not "c-…" */
ngx_int_t ngx_chathub_message_check_id(ngx_str_t *id);

/* NGX_OK where it may name a room or a user: 1-128 bytes of valid UTF-8
 * without control characters (C0, DEL, C1) */
ngx_int_t ngx_chathub_message_check_name(ngx_str_t *name);

/* NGX_OK for 1-32 of A-Za-z0-9._/+- */
ngx_int_t ngx_chathub_message_check_type(ngx_str_t *type);

/* NGX_OK for valid UTF-8 (RFC 3629: no surrogates, no overlong forms) */
ngx_int_t ngx_chathub_message_check_utf8(u_char *p, size_t len);

/* text forms; each returns the end */
u_char *ngx_chathub_message_epoch_text(u_char *p, uint64_t epoch);
u_char *ngx_chathub_message_time_text(u_char *p, uint64_t time);

/* NGX_OK and *epoch, or NGX_ERROR where it is not a text of ours */
ngx_int_t ngx_chathub_message_epoch_parse(ngx_str_t *text, uint64_t *epoch);


#endif /* _NGX_CHATHUB_MESSAGE_H_INCLUDED_ */
