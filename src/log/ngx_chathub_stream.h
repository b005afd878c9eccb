
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_STREAM_H_INCLUDED_
#define _NGX_CHATHUB_STREAM_H_INCLUDED_


#include "ngx_chathub_zone.h"


/* a stream is a room, a pair of users, or everybody */

typedef enum {
    NGX_CHATHUB_STREAM_ROOM = 0,
    NGX_CHATHUB_STREAM_PAIR,
    NGX_CHATHUB_STREAM_ALL
} ngx_chathub_stream_e;


/* ROOM: a is the room's name.  PAIR: the users in any order, equal ones
 * allowed.  ALL: both empty. */

typedef struct {
    ngx_chathub_stream_e         kind;
    ngx_str_t                    a;
    ngx_str_t                    b;
} ngx_chathub_key_t;


/* a consistent copy of a stream's numbers */

typedef struct {
    uint32_t                     stream;
    uint64_t                     stream_id;
    uint64_t                     epoch;
    uint64_t                     seq;         /* last one, 0: none */
    uint64_t                     last;        /* position of its record, 0:
                                                 none */
    ngx_uint_t                   users;       /* distinct, of a room */
    size_t                       name_len;    /* of a room's name */
    u_char                       name[NGX_CHATHUB_NAME_MAX];
} ngx_chathub_stream_info_t;


/*
 * The numbers of a stream, which is opened where "open" is 1.  Under one
 * hold of the mutex.  NGX_OK; NGX_DECLINED: not in the table; NGX_BUSY: the
 * table is full; NGX_AGAIN: the mutex.
 */
ngx_int_t ngx_chathub_stream_find(ngx_chathub_zone_t *z,
    ngx_chathub_key_t *key, ngx_uint_t open, ngx_chathub_stream_info_t *info);

/* the same for an index and id, without the mutex, by a checked copy;
 * NGX_DECLINED: evicted */
ngx_int_t ngx_chathub_stream_get(ngx_chathub_zone_t *z, uint32_t stream,
    uint64_t stream_id, ngx_chathub_stream_info_t *info);

/* counts every change of the set of rooms; read without the mutex */
uint64_t ngx_chathub_stream_version(ngx_chathub_zone_t *z);

/*
 * Visits the table without the mutex: fills *info with the room at or after
 * index *i (by a checked copy) and moves *i behind it.  NGX_DONE at the end.
 */
ngx_int_t ngx_chathub_stream_next_room(ngx_chathub_zone_t *z, uint32_t *i,
    ngx_chathub_stream_info_t *info);

/*
 * Evicts, at most "budget" entries a call, the streams that have no member
 * and nothing in the log that a store does not have (with no store: nothing
 * in the log).  A stream that comes back goes on above the highest seq it
 * had.  NGX_OK or NGX_BUSY.  Any worker, from its wheel.
 */
ngx_int_t ngx_chathub_stream_expire(ngx_chathub_zone_t *z,
    ngx_uint_t budget);


#endif /* _NGX_CHATHUB_STREAM_H_INCLUDED_ */
