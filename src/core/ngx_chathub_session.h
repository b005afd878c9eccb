
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_SESSION_H_INCLUDED_
#define _NGX_CHATHUB_SESSION_H_INCLUDED_


#include "ngx_chathub.h"
#include "ngx_chathub_codec.h"
#include <ngx_event.h>


/* what a location allows its clients; belongs to the configuration, which
 * outlives the sessions */

typedef struct {
    ngx_flag_t                   guest;
    size_t                       max_message;
    size_t                       send_queue;
    ngx_uint_t                   max_rooms;
    ngx_uint_t                   rate;        /* events a second, 0: any */
    ngx_uint_t                   burst;
    ngx_uint_t                   max_connections;  /* of the hub, 0: any */
    ngx_uint_t                   max_per_address;  /* 0: any */
    ngx_msec_t                   ping_interval;
    ngx_msec_t                   ping_timeout;
    ngx_msec_t                   drain;
} ngx_chathub_policy_t;


/* bytes on their way to sockets, shared by all who get them */

typedef struct {
    ngx_uint_t                   refs;
    size_t                       size;        /* written so far */
    size_t                       capacity;
    u_char                       data[1];
} ngx_chathub_chunk_t;


/* a chunk in a session's send queue */

typedef struct ngx_chathub_queued_s  ngx_chathub_queued_t;

struct ngx_chathub_queued_s {
    ngx_chathub_queued_t        *next;
    ngx_chathub_chunk_t         *chunk;
    size_t                       offset;
    size_t                       cost;        /* memory besides the bytes */
};


/* a transport: how a session's connection is made an end of */

typedef struct {
    ngx_str_t                    name;

    /* closes the connection and frees the session's memory; called once, on
     * a turn of the event loop of its own, when nobody refers to the session
     * any more */
    void                       (*free)(ngx_chathub_session_t *s);
} ngx_chathub_transport_t;


/* a place in a group of sessions that get the same bytes */

typedef struct ngx_chathub_group_s  ngx_chathub_group_t;

typedef struct {
    ngx_chathub_session_t       *session;
    ngx_chathub_group_t         *group;       /* NULL: in none */
    ngx_uint_t                   index;
} ngx_chathub_place_t;


typedef struct ngx_chathub_user_local_s  ngx_chathub_user_t;
typedef struct ngx_chathub_catchup_s  ngx_chathub_catchup_t;

typedef enum {
    NGX_CHATHUB_SESSION_NEW = 0,              /* admitted, not yet started */
    NGX_CHATHUB_SESSION_OPEN,
    NGX_CHATHUB_SESSION_CLOSING,              /* close said, peer's awaited */
    NGX_CHATHUB_SESSION_DEAD                  /* waits to be freed */
} ngx_chathub_session_e;


/*
 * One client.  A transport embeds it as the first member of its own struct,
 * zeroed, and sets the first group of fields.  Worker's memory only; every
 * byte here is paid per idle connection.
 */

struct ngx_chathub_session_s {
    ngx_connection_t            *connection;  /* NULL before the start */
    ngx_chathub_hub_t           *hub;
    const ngx_chathub_codec_t   *codec;
    const ngx_chathub_transport_t  *transport;
    const ngx_chathub_policy_t  *policy;
    u_char                       addr[16];    /* IPv4 mapped into IPv6 */

    ngx_chathub_user_t          *user;
    ngx_queue_t                  user_queue;
    ngx_chathub_place_t          everybody;
    ngx_chathub_member_t        *members;     /* joined rooms */
    ngx_chathub_catchup_t       *catchups;    /* replays under way */
    uint64_t                     number;      /* in the hub's life here */

    ngx_chathub_queued_t        *out;         /* send queue, oldest first */
    ngx_chathub_queued_t       **out_last;
    size_t                       out_size;    /* bytes not yet sent, and what
                                                 their queue costs */
    ngx_chathub_chunk_t         *pending;     /* gathers this turn's answers */
    ngx_chathub_session_t       *next;        /* in the hub's list to flush,
                                                 or to free */

    ngx_queue_t                  wheel;
    ngx_msec_t                   deadline;    /* what the wheel waits for */
    ngx_msec_t                   heard;       /* ngx_current_msec of the last
                                                 bytes of the peer */
    ngx_msec_t                   rate_last;
    uint32_t                     rate_excess; /* 1 is 0.001 event */
    uint32_t                     nrooms;
    uint32_t                     nreplays;    /* catchups without a room */
    uint32_t                     refs;        /* publishes under way */
    uint32_t                     state;       /* ngx_chathub_session_e */
    unsigned                     guest:1;
    unsigned                     flushing:1;  /* in the hub's list */
    unsigned                     pinged:1;
    unsigned                     bye:1;
    unsigned                     last:1;      /* close the connection when the
                                                 queue has been sent */
    unsigned                     counted:1;   /* in the table of addresses */
};


/*
 * Takes a client in, before anything is answered to it: the hub must be
 * available, its limits are asked, the user becomes known.  "name" is the
 * identity (guest 0) or a guest's wished name (may be empty: one is made).
 * NGX_OK; else NGX_DECLINED and *err (503 unavailable/busy, 400 bad_name).
 * Afterwards every way out is ngx_chathub_session_die().
 */
ngx_int_t ngx_chathub_session_admit(ngx_chathub_session_t *s,
    ngx_str_t *name, ngx_chathub_error_t *err);

/* The connection is the session's from now on (c->data must be the session);
 * installs the write handler, says "log" and "room".  NGX_ERROR: the caller
 * lets it die. */
ngx_int_t ngx_chathub_session_start(ngx_chathub_session_t *s,
    ngx_connection_t *c);

/*
 * Ends the session in words: what is queued is still sent, then the codec's
 * close with "code" and "reason"; the peer has a few seconds to answer.
 * Idempotent.  The session leaves its rooms at once.
 */
void ngx_chathub_session_close(ngx_chathub_session_t *s, ngx_uint_t code,
    const char *reason);

/*
 * Ends the session without words (the connection is broken, or the peer has
 * said its close and was answered).  The one place where sessions end;
 * idempotent; the memory lives until the turn of the event loop is over.
 */
void ngx_chathub_session_die(ngx_chathub_session_t *s);

/* the peer's close came: answers it (code 0: none was given), then dies when
 * that is sent */
void ngx_chathub_session_peer_closed(ngx_chathub_session_t *s,
    ngx_uint_t code);

/* the peer was heard; and a ping to be answered */
void ngx_chathub_session_heard(ngx_chathub_session_t *s);
void ngx_chathub_session_pong(ngx_chathub_session_t *s, ngx_str_t *data);

/* answers; sent at the end of the turn, before anything that comes later */
void ngx_chathub_session_event(ngx_chathub_session_t *s,
    ngx_chathub_out_e event, uint64_t ref, ngx_str_t *data);
void ngx_chathub_session_error(ngx_chathub_session_t *s, uint64_t ref,
    ngx_chathub_error_t *err);

/* NGX_OK, or NGX_DECLINED and *err: the sender is too fast */
ngx_int_t ngx_chathub_session_rate(ngx_chathub_session_t *s,
    ngx_chathub_error_t *err);

/* the user's name, valid until the session dies or a join renames it */
ngx_str_t *ngx_chathub_session_user(ngx_chathub_session_t *s);


#endif /* _NGX_CHATHUB_SESSION_H_INCLUDED_ */
