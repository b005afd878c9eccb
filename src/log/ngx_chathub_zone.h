
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_ZONE_H_INCLUDED_
#define _NGX_CHATHUB_ZONE_H_INCLUDED_


#include "ngx_chathub.h"


/*
 * The shared memory of a hub.  One contiguous area, laid out once by the
 * master; every process that maps it uses it through a handle of its own,
 * ngx_chathub_zone_t.  The area holds offsets, numbers and values only,
 * never a pointer.
 */

#define NGX_CHATHUB_SLOTS_MIN    64
#define NGX_CHATHUB_SLOTS_MAX    256
#define NGX_CHATHUB_NO_SLOT      NGX_CHATHUB_SLOTS_MAX
#define NGX_CHATHUB_NONE         ((uint32_t) -1)   /* no index */


/* a set of slots */

typedef struct {
    uint64_t                     word[NGX_CHATHUB_SLOTS_MAX / 64];
} ngx_chathub_slotset_t;


/* in shared memory; defined in ngx_chathub_zone_int.h for src/log only */

typedef struct ngx_chathub_zone_sh_s  ngx_chathub_zone_sh_t;
typedef struct ngx_chathub_slot_s     ngx_chathub_slot_t;
typedef struct ngx_chathub_stream_s   ngx_chathub_stream_t;
typedef struct ngx_chathub_user_s     ngx_chathub_user_sh_t;
typedef struct ngx_chathub_member_sh_s  ngx_chathub_member_sh_t;
typedef struct ngx_chathub_addr_s     ngx_chathub_addr_t;
typedef struct ngx_chathub_id_s       ngx_chathub_id_sh_t;
typedef struct ngx_chathub_table_sh_s ngx_chathub_table_sh_t;


/* one of the zone's tables, as this process sees it; ngx_chathub_table.h */

typedef struct {
    ngx_chathub_table_sh_t      *sh;
    uint64_t                    *valid;       /* a word for each entry */
    u_char                      *entries;
    uint32_t                    *buckets;
    size_t                       size;        /* of an entry */
} ngx_chathub_table_t;

#define NGX_CHATHUB_TABLES       5


/* one of the zone's two logs, as this process sees it */

typedef struct {
    ngx_chathub_zone_t          *zone;
    u_char                      *start;
    size_t                       size;        /* a multiple of 64 KiB */
    ngx_uint_t                   index;       /* 0: messages, 1: directed */
} ngx_chathub_log_t;


/* a process's handle; the process that made it owns it */

struct ngx_chathub_zone_s {
    ngx_chathub_zone_sh_t       *sh;
    ngx_shmtx_t                 *mutex;       /* the zone's shpool->mutex */
    ngx_log_t                   *log;

    ngx_chathub_slot_t          *slots;
    ngx_chathub_stream_t        *streams;
    ngx_chathub_user_sh_t       *users;
    ngx_chathub_member_sh_t     *members;
    ngx_chathub_addr_t          *addrs;
    ngx_chathub_id_sh_t         *ids;
    ngx_chathub_table_t          tables[NGX_CHATHUB_TABLES];

    ngx_chathub_log_t            messages;
    ngx_chathub_log_t            directed;

    ngx_uint_t                   slot;        /* NGX_CHATHUB_NO_SLOT: none */
    uint32_t                     generation;  /* of that slot */

    uint64_t                     start;       /* of "pid", from /proc, 0:
                                                 unknown */
    ngx_pid_t                    pid;         /* the process that "start" is
                                                 of */

    unsigned                     repaired:1;  /* to be said in the log */
};


/*
 * Size of the smallest area whose log takes records of "record" bytes, and
 * the largest record that an area of "size" bytes takes (a sixteenth of
 * its log).  Any process.
 */
size_t ngx_chathub_zone_min_size(size_t record);
size_t ngx_chathub_zone_max_record(size_t size);

/*
 * Master, no worker running yet.  Lays a fresh area out.  "durable" is 1
 * where a store will move the stored cursor, 0 where a record counts as
 * stored when it is appended.  "slots" is the number of workers' slots
 * (NGX_CHATHUB_SLOTS_MIN to _MAX).  NGX_ERROR: too small.
 */
ngx_int_t ngx_chathub_zone_format(void *base, size_t size, ngx_uint_t slots,
    ngx_uint_t durable, uint64_t life, u_char key[16]);

/*
 * Any process.  Fills in a handle for an area that was formatted.
 * NGX_DECLINED: another version or size.
 */
ngx_int_t ngx_chathub_zone_open(ngx_chathub_zone_t *z, void *base,
    size_t size, ngx_shmtx_t *mutex, ngx_log_t *log);

/* master, at each configuration that adopts the area: counts cycles, so that
 * a draining worker knows a reload from a stop */
void ngx_chathub_zone_new_cycle(ngx_chathub_zone_t *z);
uint32_t ngx_chathub_zone_cycle(ngx_chathub_zone_t *z);

/* the secret of the zone's keyed hashes, its random id, and its slots */
u_char *ngx_chathub_zone_key(ngx_chathub_zone_t *z);
uint64_t ngx_chathub_zone_life(ngx_chathub_zone_t *z);
ngx_uint_t ngx_chathub_zone_nslots(ngx_chathub_zone_t *z);

/*
 * The mutex, waited for at most 100 ms.  NGX_OK: held, and what a dead owner
 * left half done is repaired.  NGX_BUSY: not held; the caller answers
 * "unavailable" and goes on from a timer.  Only bounded copies under it.
 */
ngx_int_t ngx_chathub_zone_lock(ngx_chathub_zone_t *z);
void ngx_chathub_zone_unlock(ngx_chathub_zone_t *z);


/* Workers' slots.  Worker or single processes only. */

/*
 * Takes a free slot.  NGX_OK; NGX_BUSY: the mutex; NGX_DECLINED: none free
 * (sweep and come again).
 */
ngx_int_t ngx_chathub_zone_claim(ngx_chathub_zone_t *z);

/* Gives the slot back: everything that it stood for in the tables must have
 * been taken out by its owner, else the next sweep does so.  *last is set to
 * 1 where no other live slot is left. */
void ngx_chathub_zone_release(ngx_chathub_zone_t *z, ngx_uint_t *last);

/*
 * Takes what dead processes left out of the tables, at most "budget" entries
 * a call (sixteen that are only looked at count as one), and rings all when
 * done.  Returns NGX_OK (nothing left to do),
 * NGX_AGAIN (call again, on another turn of the loop), NGX_BUSY (the mutex).
 * "left" events of users that are gone are appended to the directed log.
 */
ngx_int_t ngx_chathub_zone_sweep(ngx_chathub_zone_t *z, ngx_uint_t budget);

/* is this worker of an older configuration to go at once, because fewer
 * than "workers" slots are free and it is of the oldest draining ones? */
ngx_uint_t ngx_chathub_zone_crowded(ngx_chathub_zone_t *z,
    ngx_uint_t workers);

/* marks the own slot as draining */
void ngx_chathub_zone_drain(ngx_chathub_zone_t *z);

/* number of sessions over all live slots, and this slot's own share of it */
ngx_uint_t ngx_chathub_zone_sessions(ngx_chathub_zone_t *z);
void ngx_chathub_zone_set_sessions(ngx_chathub_zone_t *z, ngx_uint_t n);


#endif /* _NGX_CHATHUB_ZONE_H_INCLUDED_ */
