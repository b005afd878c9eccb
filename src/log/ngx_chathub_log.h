
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_LOG_H_INCLUDED_
#define _NGX_CHATHUB_LOG_H_INCLUDED_


#include "ngx_chathub_zone.h"
#include "ngx_chathub_stream.h"


/* kinds of records */

typedef enum {
    NGX_CHATHUB_REC_PAD = 0,     /* fills the end of the buffer */
    NGX_CHATHUB_REC_MESSAGE,     /* messages log: has a seq */
    NGX_CHATHUB_REC_TYPING,      /* directed log: body "1" or "0" */
    NGX_CHATHUB_REC_JOINED,      /* directed log: user is now in the room */
    NGX_CHATHUB_REC_LEFT
} ngx_chathub_rec_e;


/*
 * A record as it was read.  The strings point into the reader's buffer.
 * For messages "user" is the sender's identity (the pair's one side), "to"
 * the other side of a pair, "body" as in ngx_chathub_message.h.
 */

typedef struct {
    ngx_uint_t                   kind;
    ngx_uint_t                   stream_kind;
    uint32_t                     stream;      /* index in the table */
    uint64_t                     stream_id;   /* never used twice */
    uint64_t                     position;
    uint64_t                     next;        /* position of the next one */
    uint64_t                     epoch;
    uint64_t                     seq;
    uint64_t                     time;
    uint64_t                     origin;      /* instance that appended it */
    uint64_t                     prev;        /* the stream's previous record,
                                                 0: none */
    uint64_t                     session;     /* who caused it, 0: nobody */
    size_t                       length;      /* of all strings together */
    ngx_str_t                    user;
    ngx_str_t                    to;
    ngx_str_t                    id;
    ngx_str_t                    body;
} ngx_chathub_record_t;


/* what is appended, and where it came to lie */

typedef struct {
    /* in */
    ngx_chathub_key_t            key;         /* stream: see stream.h */
    ngx_str_t                    user;        /* sender's identity */
    ngx_str_t                    id;
    uint64_t                     id_hash[2];
    uint64_t                     digest;      /* of user and content */
    ngx_str_t                    body;
    uint64_t                     now;         /* ms since 1970 */
    ngx_msec_t                   dedupe;      /* window of ids */

    /* out */
    uint32_t                     stream;
    uint64_t                     stream_id;
    uint64_t                     position;
    uint64_t                     seq;
    uint64_t                     epoch;
    uint64_t                     time;
    ngx_chathub_slotset_t        ring;        /* for ngx_chathub_wake() */
} ngx_chathub_append_t;


/*
 * Appends a message under one hold of the mutex: asks the ids, gives the
 * message its seq, epoch and time, writes the record, the stream's entry and
 * the id's.  Workers.
 *   NGX_OK        appended; then the caller rings a->ring
 *   NGX_DONE      a repeat: the place of the first is in a->…
 *   NGX_DECLINED  the id is another user's or has other content: a->digest
 *                 and the user decide which, *forbidden is 1 or 0
 *   NGX_BUSY      the log is full of what is not stored, or the stream table
 *                 is full
 *   NGX_AGAIN     the mutex was not to be had: "unavailable"
 *   NGX_ERROR     the record is too large for the log
 */
ngx_int_t ngx_chathub_log_append(ngx_chathub_zone_t *z,
    ngx_chathub_append_t *a, ngx_uint_t *forbidden);

/*
 * Appends an ephemeral record (typing) to the directed log.  NGX_OK; NGX_AGAIN
 * as above; NGX_ERROR: there is no such room, or it is too large.
 */
ngx_int_t ngx_chathub_log_direct(ngx_chathub_zone_t *z, ngx_uint_t kind,
    uint32_t stream, uint64_t stream_id, ngx_str_t *user, ngx_str_t *body,
    uint64_t session, ngx_chathub_slotset_t *ring);

/*
 * Where a store keeps the messages: they are stored up to "position".  What is
 * not is never overwritten.  NGX_OK, NGX_AGAIN (the mutex).  Any worker.
 */
ngx_int_t ngx_chathub_log_stored(ngx_chathub_zone_t *z, uint64_t position);

/* position after the last record; where a new reader begins */
uint64_t ngx_chathub_log_head(ngx_chathub_log_t *l);

/*
 * Reads the record at *pos without a lock.  The strings are copied into
 * "buf", which must have room for ngx_chathub_zone_max_record() bytes, only
 * if "want" (which sees the header, without strings) returns non-zero;
 * otherwise they are empty.  *pos moves on.
 *   NGX_OK, NGX_DONE (at the head), NGX_DECLINED (lapped: *pos was
 *   overwritten and is now the head; what the reader serves must be resynced)
 */
typedef ngx_uint_t (*ngx_chathub_log_want_pt)(void *data,
    ngx_chathub_record_t *rec);

ngx_int_t ngx_chathub_log_read(ngx_chathub_log_t *l, uint64_t *pos,
    ngx_chathub_record_t *rec, u_char *buf, ngx_chathub_log_want_pt want,
    void *data);

/*
 * Walks a stream's records backwards from the one at "last" to the one after
 * "seq" and puts their positions, newest first, into "positions".  For a
 * reader whose seq is below the stream's: "last" is 0 also where the stream
 * has a seq and its records are overwritten.
 *   NGX_OK        *n positions, without a gap in seq from seq + 1 on
 *   NGX_DECLINED  something in between is overwritten or missing; *n
 *                 positions are behind it
 *   NGX_BUSY      more than "max"
 */
ngx_int_t ngx_chathub_log_replay(ngx_chathub_log_t *l, uint64_t stream_id,
    uint64_t epoch, uint64_t last, uint64_t seq, uint64_t *positions,
    ngx_uint_t max, ngx_uint_t *n);


#endif /* _NGX_CHATHUB_LOG_H_INCLUDED_ */
