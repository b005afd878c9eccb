
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_CORE_H_INCLUDED_
#define _NGX_CHATHUB_CORE_H_INCLUDED_


/* the private hub of src/core: what its files know of each other */

#include "ngx_chathub_hub.h"
#include "ngx_chathub_broker.h"
#include "ngx_chathub_log.h"
#include "ngx_chathub_members.h"
#include "ngx_chathub_wake.h"


#define NGX_CHATHUB_TICK            100    /* ms, the wheel's */
#define NGX_CHATHUB_WHEEL           1024   /* ticks */
#define NGX_CHATHUB_SECOND          10     /* ticks */

#define NGX_CHATHUB_BATCH_MAX       262144 /* bytes gathered for one send */
#define NGX_CHATHUB_PENDING_MAX     65536  /* bytes of answers, likewise */
#define NGX_CHATHUB_SHARE_MIN       4096   /* larger ones are not copied */
#define NGX_CHATHUB_SLICE_SENDS     384    /* sends a turn, of batches as of
                                              answers: 2 to 3 ms */
#define NGX_CHATHUB_SLICE_RECORDS   512    /* own records a turn */
#define NGX_CHATHUB_SLICE_SKIPS     16384  /* others' */
#define NGX_CHATHUB_EXCEPT_MAX      16
#define NGX_CHATHUB_REPLAYS_MAX     16     /* of pairs and broadcasts, of one
                                              session at a time */

#define NGX_CHATHUB_HOT_FLUSH       5      /* ms between flushes when hot */
#define NGX_CHATHUB_HOT_WINDOW      256    /* ms over which heat is taken */
#define NGX_CHATHUB_HOT_DELIVERIES  200000 /* a second, of one group */
#define NGX_CHATHUB_HOT_RECORDS     400    /* a second */

#define NGX_CHATHUB_CLOSE_TIME      5000   /* ms for the peer's close */
#define NGX_CHATHUB_TYPING_TIME     6000
#define NGX_CHATHUB_NAMES_MAX       1000   /* names in one push */


/* Groups (ngx_chathub_room.c): sessions that get the same bytes. */

/* bytes of a batch that one session is not to get */

typedef struct {
    uint64_t                     session;
    size_t                       offset;
    size_t                       size;
} ngx_chathub_except_t;


typedef struct {
    ngx_chathub_chunk_t         *chunk;       /* NULL: empty */
    ngx_chathub_except_t        *except;      /* NULL, or room for
                                                 NGX_CHATHUB_EXCEPT_MAX */
    ngx_uint_t                   nexcept;
} ngx_chathub_batch_t;


/* what the sessions of one codec get */

typedef struct ngx_chathub_variant_s  ngx_chathub_variant_t;

struct ngx_chathub_variant_s {
    ngx_chathub_variant_t       *next;
    const ngx_chathub_codec_t   *codec;
    ngx_uint_t                   n;           /* sessions */
    ngx_chathub_batch_t          gather;      /* grows in this turn */
    ngx_chathub_batch_t          sealed;      /* is being sent */
};


typedef enum {
    NGX_CHATHUB_GROUP_QUIET = 0,
    NGX_CHATHUB_GROUP_DIRTY,                  /* flushed as the turn ends */
    NGX_CHATHUB_GROUP_HOT,                    /* flushed by the hot timer */
    NGX_CHATHUB_GROUP_SENDING                 /* a slice is done */
} ngx_chathub_group_e;


struct ngx_chathub_group_s {
    ngx_chathub_hub_t           *hub;
    ngx_chathub_room_t          *room;        /* NULL: everybody */
    ngx_chathub_place_t        **places;
    ngx_uint_t                   n;
    ngx_uint_t                   max;
    ngx_chathub_variant_t       *variants;

    ngx_queue_t                  queue;       /* dirty, hot or sending */
    ngx_chathub_group_e          state;
    ngx_uint_t                   cursor;      /* next place of the sealed */
    ngx_uint_t                   end;         /* behind its last one */

    ngx_msec_t                   window;      /* when it began */
    ngx_uint_t                   records;     /* gathered since then */
    ngx_uint_t                   rate;        /* a second, in the last one */
};


/* who came and went since the last roomusers; in its own pool */

typedef struct {
    ngx_pool_t                  *pool;
    ngx_rbtree_t                 names;
    ngx_rbtree_node_t            sentinel;
    ngx_uint_t                   n;
} ngx_chathub_delta_t;


struct ngx_chathub_room_s {
    ngx_chathub_group_t          group;       /* members that are up to date */
    ngx_rbtree_node_t            node;        /* key: index of the stream */
    uint32_t                     stream;
    uint64_t                     stream_id;
    uint64_t                     epoch;
    uint64_t                     seq;         /* last one gathered */
    uint64_t                     last;        /* its position, 0: unknown */
    ngx_uint_t                   nmembers;
    ngx_queue_t                  catching;    /* catchups of members */
    ngx_chathub_catchup_t       *behind;      /* the room's own */
    uint64_t                     passed;      /* seq and position of the last */
    uint64_t                     passed_at;   /* one that was left to it */

    ngx_queue_t                  presence;    /* in the hub's list */
    ngx_chathub_delta_t         *delta;       /* who came and went */
    ngx_msec_t                   told;        /* last roomusers */
    unsigned                     waits:1;     /* in the hub's list */

    ngx_chathub_room_t          *next;        /* in the hub's list to free */
    ngx_str_t                    name;
};


typedef struct ngx_chathub_typing_s  ngx_chathub_typing_t;

struct ngx_chathub_member_s {
    ngx_chathub_place_t          place;       /* in the room's group, once it
                                                 is up to date */
    ngx_chathub_room_t          *room;
    ngx_chathub_member_t        *next;        /* of the session */
    ngx_chathub_catchup_t       *catchup;     /* NULL: up to date */
    ngx_chathub_typing_t        *typing;      /* NULL: does not type */
};


struct ngx_chathub_typing_s {
    ngx_queue_t                  queue;       /* hub->typing */
    ngx_chathub_member_t        *member;
    ngx_msec_t                   end;
};


/*
 * A replay under way: of a member that is to join its group, of a pair or the
 * broadcasts for a session (member NULL), or of a room that this worker
 * lost its place in (session NULL).
 */

struct ngx_chathub_catchup_s {
    ngx_queue_t                  queue;       /* room->catching */
    ngx_queue_t                  run;         /* hub->runnable */
    ngx_chathub_catchup_t       *next;        /* of the session */
    ngx_chathub_session_t       *session;
    ngx_chathub_member_t        *member;
    ngx_chathub_room_t          *room;
    uint64_t                     stream_id;
    uint64_t                     epoch;
    uint64_t                     seq;         /* the last one it has */
    uint64_t                    *positions;   /* newest first */
    ngx_uint_t                   n;           /* still to be sent */
    uint64_t                     last;        /* without a room: where it */
    uint64_t                     end;         /* ends, position and seq */
    ngx_str_t                    peer;        /* of a pair */
    ngx_chathub_stream_e         kind;
    unsigned                     runnable:1;
};


struct ngx_chathub_user_local_s {
    ngx_str_node_t               sn;
    ngx_queue_t                  sessions;
    uint64_t                     since;       /* where the log stood when the
                                                 user came */
    uint32_t                     index;       /* in the zone's table */
};


/* a room in the hub's directory */

typedef struct {
    ngx_rbtree_node_t            node;        /* by name */
    ngx_rbtree_node_t            age;         /* newest first */
    ngx_queue_t                  queue;       /* its coming or going is still to
                                                 be told */
    uint64_t                     stream_id;
    uint64_t                     mark;        /* last scan that saw it */
    uint32_t                     stream;
    unsigned                     untold:1;
    ngx_str_t                    name;
} ngx_chathub_listed_t;


/* what must be taken out of the zone, now or when its mutex is to be had */

typedef enum {
    NGX_CHATHUB_UNDO_MEMBER = 0,
    NGX_CHATHUB_UNDO_USER,
    NGX_CHATHUB_UNDO_ADDR
} ngx_chathub_undo_e;

typedef struct {
    ngx_queue_t                  queue;
    ngx_chathub_undo_e           what;
    uint32_t                     stream;
    uint64_t                     stream_id;
    uint32_t                     user;
    u_char                       addr[16];
} ngx_chathub_undo_t;


struct ngx_chathub_hub_s {
    ngx_chathub_hub_conf_t      *conf;
    ngx_cycle_t                 *cycle;
    ngx_log_t                   *log;
    ngx_chathub_zone_t           zone;
    const ngx_chathub_broker_t  *broker;
    uint32_t                     generation;  /* cycle of the configuration */

    ngx_connection_t            *bell;        /* the slot's eventfd */
    ngx_event_t                  tick;
    ngx_event_t                  read;        /* posted: read the logs */
    ngx_event_t                  flush;       /* posted: send */
    ngx_event_t                  hot_flush;   /* timer: send hot groups */
    ngx_event_t                  reap;        /* posted: free the dead */

    uint64_t                     messages;    /* positions of the reader */
    uint64_t                     directed;
    u_char                      *buf;         /* one record */

    ngx_rbtree_t                 rooms;       /* by index of the stream */
    ngx_rbtree_node_t            rooms_sentinel;
    ngx_rbtree_t                 users;
    ngx_rbtree_node_t            users_sentinel;
    ngx_chathub_group_t          everybody;

    ngx_queue_t                  dirty;       /* groups */
    ngx_queue_t                  hot;
    ngx_queue_t                  sending;
    ngx_queue_t                  runnable;    /* catchups */
    ngx_queue_t                  presence;    /* rooms */
    ngx_queue_t                  typing;      /* by end */
    ngx_queue_t                  undos;       /* in the order they came */
    ngx_chathub_session_t       *flushing;    /* sessions with answers, in the
                                                 order they came */
    ngx_chathub_session_t      **flushing_last;
    ngx_chathub_session_t       *dead;
    ngx_chathub_room_t          *empty;       /* rooms to be freed */
    uint64_t                    *positions;   /* scratch of conf->replay */

    ngx_queue_t                  wheel[NGX_CHATHUB_WHEEL];
    ngx_uint_t                   ticks;
    ngx_msec_t                   ticked;      /* time of the last tick */

    /* directory of rooms */
    ngx_rbtree_t                 listed;
    ngx_rbtree_node_t            listed_sentinel;
    ngx_rbtree_t                 aged;        /* the same by age */
    ngx_rbtree_node_t            aged_sentinel;
    ngx_uint_t                   nlisted;
    ngx_queue_t                  listed_come;   /* rooms that nobody was told
                                                   of */
    ngx_queue_t                  listed_gone;   /* and that are gone, untold */
    uint64_t                     listed_version;
    uint64_t                     listed_next;   /* version of the scan under
                                                   way */
    uint32_t                     listed_index;  /* where it goes on */
    unsigned                     listed_scan:1;
    uint64_t                     listed_mark;
    ngx_msec_t                   listed_time;
    ngx_chathub_chunk_t         *listed_chunk;  /* "room" for newcomers */
    const ngx_chathub_codec_t   *listed_codec;

    ngx_uint_t                   sessions;    /* admitted, not yet freed */
    ngx_uint_t                   numbers;     /* sessions ever */
    ngx_str_t                    hello;       /* data of "log" */

    const char                  *reason;      /* not available, NULL: is */
    ngx_msec_t                   drain_end;
    unsigned                     attached:1;
    unsigned                     sweeps:1;    /* dead workers' slots */
    unsigned                     draining:1;
    unsigned                     orphan:1;    /* the master is gone */
};


/* ngx_chathub_hub.c */


/* does it, or remembers a copy and does it later; never fails */
void ngx_chathub_hub_undo(ngx_chathub_hub_t *hub, ngx_chathub_undo_t *undo);

/* a client is gone for good, or a new name for it is known to the zone */
void ngx_chathub_hub_left(ngx_chathub_hub_t *hub, ngx_chathub_room_t *room,
    uint32_t user);

/* ngx_chathub_reader.c */

/* has the logs read in this turn of the event loop */
void ngx_chathub_reader_post(ngx_chathub_hub_t *hub);
void ngx_chathub_reader_handler(ngx_event_t *ev);

/* ngx_chathub_output.c */

ngx_chathub_chunk_t *ngx_chathub_chunk_create(size_t capacity, ngx_log_t *log);
void ngx_chathub_chunk_unref(ngx_chathub_chunk_t *chunk);

/* the first of the sessions with answers, out of the list; NULL: none */
ngx_chathub_session_t *ngx_chathub_session_flushing(ngx_chathub_hub_t *hub);

/* sends a chunk's bytes from "offset" on after all that was said before */
void ngx_chathub_session_send(ngx_chathub_session_t *s,
    ngx_chathub_chunk_t *chunk, size_t offset);

/* copies bytes behind what is pending */
u_char *ngx_chathub_session_reserve(ngx_chathub_session_t *s, size_t size);

/* one record's message as an answer */
void ngx_chathub_session_message(ngx_chathub_session_t *s,
    ngx_chathub_record_t *rec, ngx_chathub_chunk_t **shared);

void ngx_chathub_session_flush(ngx_chathub_session_t *s);
void ngx_chathub_session_write_handler(ngx_event_t *wev);
void ngx_chathub_session_drop_queue(ngx_chathub_session_t *s,
    ngx_uint_t keep_partial);

/* ngx_chathub_session.c */

/* takes it out of its rooms and replays; it is heard no more */
void ngx_chathub_session_leave(ngx_chathub_session_t *s);
void ngx_chathub_session_wait(ngx_chathub_session_t *s, ngx_msec_t delay);
void ngx_chathub_session_tick(ngx_chathub_session_t *s);
void ngx_chathub_session_reap(ngx_chathub_hub_t *hub);

/* another name for a guest; NGX_OK, NGX_BUSY (table full), NGX_AGAIN (mutex),
 * NGX_ERROR (memory) */
ngx_int_t ngx_chathub_session_rename(ngx_chathub_session_t *s,
    ngx_str_t *name);

/* ngx_chathub_room.c */

ngx_int_t ngx_chathub_group_add(ngx_chathub_group_t *g,
    ngx_chathub_place_t *place, ngx_chathub_session_t *s);
void ngx_chathub_group_remove(ngx_chathub_place_t *place);
void ngx_chathub_group_free(ngx_chathub_group_t *g);

/* Room for "size" bytes more in every variant is found before any is
 * written: NGX_OK, NGX_AGAIN (the batch is full and being sent: come again),
 * NGX_ERROR (memory). */
ngx_int_t ngx_chathub_group_message(ngx_chathub_group_t *g,
    ngx_chathub_record_t *rec);
ngx_int_t ngx_chathub_group_event(ngx_chathub_group_t *g,
    ngx_chathub_out_e event, ngx_str_t *data, uint64_t except);

/* is anything gathered that is not being sent yet? */
ngx_uint_t ngx_chathub_group_gathers(ngx_chathub_group_t *g);

/* sends what is gathered, within the turn's budget of sends; NGX_AGAIN: more
 * is left */
ngx_int_t ngx_chathub_group_flush(ngx_chathub_hub_t *hub,
    ngx_uint_t *budget);
void ngx_chathub_group_flush_hot(ngx_chathub_hub_t *hub);

ngx_chathub_room_t *ngx_chathub_room_find(ngx_chathub_hub_t *hub,
    uint32_t stream, uint64_t stream_id);
/* the room behind that one, which may be retired; NULL: the first, the end */
ngx_chathub_room_t *ngx_chathub_room_next(ngx_chathub_hub_t *hub,
    ngx_chathub_room_t *room);
ngx_chathub_room_t *ngx_chathub_room_create(ngx_chathub_hub_t *hub,
    ngx_str_t *name, ngx_chathub_stream_info_t *info);
/* the last member went: no longer found, freed when the turn is over */
void ngx_chathub_room_retire(ngx_chathub_room_t *room);
void ngx_chathub_room_reap(ngx_chathub_hub_t *hub);
ngx_chathub_member_t *ngx_chathub_member_create(ngx_chathub_session_t *s,
    ngx_chathub_room_t *room);

ngx_chathub_member_t *ngx_chathub_member_find(ngx_chathub_session_t *s,
    ngx_str_t *room);
/* takes the member out of the room and the session, and tells the zone */
void ngx_chathub_member_free(ngx_chathub_session_t *s,
    ngx_chathub_member_t *m);

/* an event for all members, up to date or not */
ngx_int_t ngx_chathub_room_event(ngx_chathub_room_t *room,
    ngx_chathub_out_e event, ngx_str_t *data, uint64_t except);

/* a record of the messages log for this room; results as group_message() */
ngx_int_t ngx_chathub_room_record(ngx_chathub_room_t *room,
    ngx_chathub_record_t *rec);

/* ngx_chathub_catchup.c */

/*
 * Collects the positions of a stream's records after "seq", the oldest ones
 * of them, for the functions below, who take them over.  NGX_OK;
 * NGX_DECLINED: something is missing (*n are there, behind the gap);
 * NGX_BUSY: too many; NGX_ERROR: no memory.
 */
ngx_int_t ngx_chathub_catchup_collect(ngx_chathub_hub_t *hub,
    ngx_chathub_stream_info_t *info, uint64_t seq, uint64_t **positions,
    ngx_uint_t *n);

/* NGX_OK, NGX_ERROR (memory; the positions are freed) */
ngx_int_t ngx_chathub_catchup_member(ngx_chathub_member_t *m, uint64_t seq,
    uint64_t *positions, ngx_uint_t n);
ngx_int_t ngx_chathub_catchup_stream(ngx_chathub_session_t *s,
    ngx_chathub_stream_info_t *info, ngx_chathub_key_t *key,
    uint64_t *positions, ngx_uint_t n);

/* says "resync" to whom a stream's messages are lost */
void ngx_chathub_catchup_resync(ngx_chathub_session_t *s,
    ngx_chathub_stream_e kind, ngx_str_t *name);

/* this worker lost its place in the room's stream */
void ngx_chathub_catchup_room(ngx_chathub_room_t *room);

/* members that have caught up join the group, when nothing is gathered */
void ngx_chathub_catchup_settle(ngx_chathub_room_t *room);

/* the session's socket takes more */
void ngx_chathub_catchup_wake(ngx_chathub_session_t *s);
void ngx_chathub_catchup_free(ngx_chathub_catchup_t *cu);

/* a slice of the work of all replays; NGX_AGAIN: more can be done */
ngx_int_t ngx_chathub_catchup_run(ngx_chathub_hub_t *hub);

/* ngx_chathub_presence.c */

void ngx_chathub_presence_record(ngx_chathub_room_t *room,
    ngx_chathub_record_t *rec);
/* the worker was lapped: numbers are told anew */
void ngx_chathub_presence_stale(ngx_chathub_room_t *room);
void ngx_chathub_presence_forget(ngx_chathub_room_t *room);
void ngx_chathub_presence_tick(ngx_chathub_hub_t *hub);

void ngx_chathub_typing_set(ngx_chathub_member_t *m, ngx_uint_t typing);
void ngx_chathub_typing_record(ngx_chathub_room_t *room,
    ngx_chathub_record_t *rec);

/* ngx_chathub_directory.c */

void ngx_chathub_directory_init(ngx_chathub_hub_t *hub);
void ngx_chathub_directory_free(ngx_chathub_hub_t *hub);
/* brings the directory up to date, where "now" at any price, and tells
 * everybody */
void ngx_chathub_directory_scan(ngx_chathub_hub_t *hub, ngx_uint_t now);
void ngx_chathub_directory_greet(ngx_chathub_session_t *s);
/* the first room behind "after" that begins with "prefix", NULL: none */
ngx_chathub_listed_t *ngx_chathub_directory_next(ngx_chathub_hub_t *hub,
    ngx_str_t *prefix, ngx_str_t *after);


#endif /* _NGX_CHATHUB_CORE_H_INCLUDED_ */
