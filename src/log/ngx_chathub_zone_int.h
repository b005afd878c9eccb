
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_ZONE_INT_H_INCLUDED_
#define _NGX_CHATHUB_ZONE_INT_H_INCLUDED_


/*
 * The layout of the shared memory, for src/log only.
 *
 *   header        what it is; the mutex's owner; both logs' positions; heads
 *                 of the tables; floors of evicted streams
 *   slots         one for each worker that can live, 64 bytes
 *   five tables   streams, users, memberships, addresses, ids; of each: valid
 *                 words (8 bytes an entry), entries, buckets (4 bytes)
 *   directed log  joined, left, typing
 *   messages log  three quarters of the area
 *
 * What the tables hold, by "zone" of the configuration:
 *
 *      zone   streams   users   members   addresses      ids   directed log
 *        2m       278     574      1531         610      809        128 KiB
 *        8m      1252    2584      6899        2757     3643        256 KiB
 *       64m     10823   22338     59651       23858    31496        960 KiB
 *        1g    172298  355595    949600      379837   501389      16320 KiB
 *
 * An entry exists from when its valid word is not zero, which is written last,
 * until it is zero again, which is written first.  Chains, free lists and
 * counts follow from the entries and are made anew when a process died under
 * the mutex (ngx_chathub_repair.c).  A valid word is a number that is never
 * used twice, so a copy between two equal readings of it is of one entry.
 */


#include "ngx_chathub_zone.h"
#include "ngx_chathub_stream.h"
#include "ngx_chathub_log.h"


#if !(NGX_HAVE_ATOMIC_OPS)
#error "ChatHub needs atomic operations"
#endif


#define NGX_CHATHUB_MAGIC    0x6275486d74616843ULL
#define NGX_CHATHUB_LAYOUT   1
#define NGX_CHATHUB_UNIT     65536        /* tails move from one to another */
#define NGX_CHATHUB_SHARE    16           /* of a log: its largest record */
#define NGX_CHATHUB_EIGHTH   8
#define NGX_CHATHUB_FLOORS   4096


/*
 * Points at which the tests stop or kill a process that is inside a critical
 * section.  Nothing in a module.
 */

#if (NGX_CHATHUB_TEST)

extern void  (*ngx_chathub_point_hook)(const char *name);

#define NGX_CHATHUB_POINT(name)                                               \
    if (ngx_chathub_point_hook) { ngx_chathub_point_hook(name); }

#else

#define NGX_CHATHUB_POINT(name)

#endif


#define ngx_chathub_get(p)     __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define ngx_chathub_set(p, v)  __atomic_store_n(p, v, __ATOMIC_RELEASE)

/* in order with the other ones of all processes: for waking */
#define ngx_chathub_get_seq(p)     __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define ngx_chathub_set_seq(p, v)  __atomic_store_n(p, v, __ATOMIC_SEQ_CST)

/* a writer's, between taking something back and writing over it, and a
 * reader's, between a copy and looking whether it was taken back */
#define ngx_chathub_fence_write()  __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define ngx_chathub_fence_read()   __atomic_thread_fence(__ATOMIC_ACQUIRE)


/* Tables. */

enum {
    NGX_CHATHUB_STREAMS = 0,
    NGX_CHATHUB_USERS,
    NGX_CHATHUB_MEMBERS,
    NGX_CHATHUB_ADDRS,
    NGX_CHATHUB_IDS
};


struct ngx_chathub_table_sh_s {
    uint64_t                     valid;       /* offsets in the area */
    uint64_t                     entries;
    uint64_t                     buckets;
    uint32_t                     n;
    uint32_t                     free;        /* first free, by "next" */
    uint32_t                     used;
    uint32_t                     unused;
};


/* how the entries of all tables begin */

typedef struct {
    uint32_t                     hash;
    uint32_t                     next;        /* in its bucket, or free */
} ngx_chathub_entry_t;


/* a stream's valid word is its id, with the kind in the lowest two bits */
#define NGX_CHATHUB_KIND_BITS       2
#define ngx_chathub_id_kind(id)     ((ngx_uint_t) ((id) & 3))


typedef struct {
    uint64_t                     epoch;
    uint64_t                     seq;
    uint64_t                     last;        /* position of its record */
} ngx_chathub_numbers_t;


struct ngx_chathub_stream_s {
    ngx_chathub_entry_t          entry;
    uint32_t                     kind;
    uint16_t                     a_len;
    uint16_t                     b_len;

    /* Numbers are written to the one that is not in force, and come into
     * force together by the next turn.  A writer that was stopped or killed
     * holds up no reader. */
    uint64_t                     turn;
    ngx_chathub_numbers_t        numbers[2];

    ngx_chathub_slotset_t        slots;       /* that have members */
    uint32_t                     users;       /* distinct */
    uint32_t                     members;     /* entries of that table */
    uint32_t                     first;       /* of its members */
    uint32_t                     recount;     /* users, during a repair */
    u_char                       a[NGX_CHATHUB_NAME_MAX];
    u_char                       b[NGX_CHATHUB_NAME_MAX];
};


struct ngx_chathub_user_s {
    ngx_chathub_entry_t          entry;
    uint32_t                     len;
    uint32_t                     members;     /* entries of that table */
    ngx_chathub_slotset_t        slots;       /* that have sessions */
    u_char                       name[NGX_CHATHUB_NAME_MAX];
};


/* connections of a user in a room on a slot */

struct ngx_chathub_member_sh_s {
    ngx_chathub_entry_t          entry;
    uint32_t                     stream;
    uint32_t                     user;
    uint32_t                     slot;
    uint32_t                     connections;
    uint32_t                     prev;        /* of the stream's */
    uint32_t                     next;
};


/* connections from an address on a slot */

struct ngx_chathub_addr_s {
    ngx_chathub_entry_t          entry;
    uint32_t                     slot;
    uint32_t                     connections;
    u_char                       addr[16];
};


/* what an id was used for; a ring, the oldest is overwritten */

struct ngx_chathub_id_s {
    ngx_chathub_entry_t          entry;
    uint32_t                     stream;
    uint32_t                     unused;
    uint64_t                     hash[2];
    uint64_t                     user;        /* hashes */
    uint64_t                     digest;
    uint64_t                     stream_id;
    uint64_t                     position;
    uint64_t                     epoch;
    uint64_t                     seq;
    uint64_t                     time;
};


/* Slots. */

/* in the lowest bits of a slot's owner word, below the generation */
#define NGX_CHATHUB_SLOT_FREE       0
#define NGX_CHATHUB_SLOT_LIVE       1
#define NGX_CHATHUB_SLOT_DEAD       2         /* to be swept */
#define NGX_CHATHUB_SLOT_BITS       2

#define ngx_chathub_slot_state(s)                                             \
    (ngx_chathub_get(&(s)->owner) & ((1 << NGX_CHATHUB_SLOT_BITS) - 1))

struct ngx_chathub_slot_s {
    uint64_t                     owner;       /* generation and state */
    uint64_t                     start;       /* of the process, from /proc */
    uint64_t                     cursor;
    int32_t                      pid;
    uint32_t                     cycle;
    uint32_t                     draining;
    uint32_t                     sessions;
    uint32_t                     held;        /* entries that name the slot:
                                                 users, members, addresses */
    uint32_t                     armed;
    int32_t                      bell;        /* the eventfd */
    uint32_t                     unused;
};


/* The logs. */

typedef struct {
    uint64_t                     tail;        /* below it: overwritten */
    uint64_t                     head;        /* behind the last record */
    uint64_t                     last;        /* the last record, 0: none */
    uint64_t                     start;       /* offset in the area */
    uint64_t                     size;
} ngx_chathub_log_sh_t;


/* a record's head; then user, to, id and body without a gap.  Of a pad only
 * the first eight bytes are written. */

typedef struct {
    uint32_t                     length;      /* in all, a multiple of 8 */
    uint8_t                      kind;
    uint8_t                      stream_kind;
    uint16_t                     id_len;
    uint32_t                     body_len;
    uint16_t                     user_len;
    uint16_t                     to_len;
    uint32_t                     stream;
    uint32_t                     unused;
    uint64_t                     stream_id;
    uint64_t                     position;
    uint64_t                     epoch;
    uint64_t                     seq;
    uint64_t                     time;
    uint64_t                     origin;
    uint64_t                     prev;
    uint64_t                     session;
    uint64_t                     id_hash[2];
    uint64_t                     user_hash;
    uint64_t                     digest;
} ngx_chathub_rec_sh_t;


struct ngx_chathub_zone_sh_s {
    uint64_t                     magic;
    uint64_t                     layout;
    uint64_t                     size;
    uint64_t                     life;
    u_char                       key[16];
    uint32_t                     nslots;
    uint32_t                     durable;
    uint64_t                     slots;       /* offset */

    uint32_t                     cycle;
    uint32_t                     hand;        /* where to look for streams to
                                                 be evicted */

    /* Who is under the mutex: pid and start time in one word, so that they
     * belong together.  Found set by the next one: its owner died. */
    uint64_t                     dirty;

    ngx_chathub_log_sh_t         logs[2];     /* messages, directed */
    uint64_t                     stored;      /* position */
    uint64_t                     time;        /* of the last record */
    uint64_t                     serial;      /* last number given out */
    uint64_t                     rooms;       /* changes of the set of rooms */
    uint64_t                     ids;         /* entries ever written */
    uint64_t                     horizon;     /* ids are complete above it */

    ngx_chathub_slotset_t        sweep_set;   /* slots being swept */
    uint32_t                     sweep_table;
    uint32_t                     sweep_index;

    ngx_chathub_table_sh_t       tables[NGX_CHATHUB_TABLES];

    /* by hash of the key: the highest seq of the streams that were evicted.
     * A stream begins above it, so that no seq is used twice. */
    uint64_t                     floors[NGX_CHATHUB_FLOORS];
};


static ngx_inline ngx_uint_t
ngx_chathub_slotset_has(ngx_chathub_slotset_t *set, ngx_uint_t slot)
{
    return (set->word[slot / 64] >> (slot % 64)) & 1;
}


static ngx_inline void
ngx_chathub_slotset_add(ngx_chathub_slotset_t *set, ngx_uint_t slot)
{
    ngx_chathub_set(&set->word[slot / 64],
                    set->word[slot / 64] | ((uint64_t) 1 << (slot % 64)));
}


static ngx_inline void
ngx_chathub_slotset_del(ngx_chathub_slotset_t *set, ngx_uint_t slot)
{
    ngx_chathub_set(&set->word[slot / 64],
                    set->word[slot / 64] & ~((uint64_t) 1 << (slot % 64)));
}


static ngx_inline void
ngx_chathub_slotset_join(ngx_chathub_slotset_t *set,
    ngx_chathub_slotset_t *other)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_CHATHUB_SLOTS_MAX / 64; i++) {
        set->word[i] |= other->word[i];
    }
}


static ngx_inline ngx_uint_t
ngx_chathub_slotset_empty(ngx_chathub_slotset_t *set)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_CHATHUB_SLOTS_MAX / 64; i++) {
        if (set->word[i]) {
            return 0;
        }
    }

    return 1;
}


/* ngx_chathub_zone.c */

/* keyed hash of one or two names; which ones collide nobody outside knows */
uint64_t ngx_chathub_zone_hash(ngx_chathub_zone_t *z, ngx_uint_t kind,
    ngx_str_t *a, ngx_str_t *b);

/* never the same twice, a multiple of 4; under the mutex */
uint64_t ngx_chathub_zone_serial(ngx_chathub_zone_t *z);

/* max(now, time of the last record); under the mutex */
uint64_t ngx_chathub_zone_time(ngx_chathub_zone_t *z, uint64_t now);


/* ngx_chathub_slot.c */

/* NGX_DECLINED: there is no such process, or what is left of it runs no more;
 * *start 0: unknown */
ngx_int_t ngx_chathub_slot_process(ngx_pid_t pid, uint64_t *start);

/* the live ones */
void ngx_chathub_slot_all(ngx_chathub_zone_t *z, ngx_chathub_slotset_t *set);

/* the live ones that have sessions */
void ngx_chathub_slot_busy(ngx_chathub_zone_t *z, ngx_chathub_slotset_t *set);


/* ngx_chathub_table.c; under the mutex, but for _entry */

void *ngx_chathub_table_entry(ngx_chathub_table_t *t, uint32_t i);

/* empty, all free; also how a repair begins, whatever was there */
void ngx_chathub_table_reset(ngx_chathub_table_t *t);

/* an entry off the free list, its valid word still zero, or NONE */
uint32_t ngx_chathub_table_take(ngx_chathub_table_t *t);

/* makes a taken entry exist: its valid word, then its chain */
void ngx_chathub_table_commit(ngx_chathub_table_t *t, uint32_t i,
    uint32_t hash, uint64_t valid);

/* ends it, and for _free, puts it onto the free list */
void ngx_chathub_table_remove(ngx_chathub_table_t *t, uint32_t i);
void ngx_chathub_table_free(ngx_chathub_table_t *t, uint32_t i);

/* first and following entries of a hash */
uint32_t ngx_chathub_table_first(ngx_chathub_table_t *t, uint32_t hash);
uint32_t ngx_chathub_table_next(ngx_chathub_table_t *t, uint32_t i,
    uint32_t hash);

/* for a repair: an entry that exists into its chain, or onto the free list */
void ngx_chathub_table_chain(ngx_chathub_table_t *t, uint32_t i);
void ngx_chathub_table_release(ngx_chathub_table_t *t, uint32_t i);


/* ngx_chathub_log.c; under the mutex */

/*
 * Writes a record with its strings to the end of a log.  "h" has all but
 * length, position and the lengths of strings.  NGX_OK: *position; whom to
 * ring because of an eighth is added to *ring.  NGX_BUSY, NGX_ERROR.
 */
ngx_int_t ngx_chathub_log_put(ngx_chathub_log_t *l, ngx_chathub_rec_sh_t *h,
    ngx_str_t strings[4], ngx_chathub_slotset_t *ring);

/* a joined, left or typing of a room; *ring gets its slots */
void ngx_chathub_log_put_directed(ngx_chathub_zone_t *z, ngx_uint_t kind,
    uint32_t stream, ngx_str_t *user, ngx_str_t *body, uint64_t session,
    ngx_chathub_slotset_t *ring);

/* the head of the record at "position", NULL where there cannot be one */
ngx_chathub_rec_sh_t *ngx_chathub_log_record(ngx_chathub_log_t *l,
    uint64_t position);


/* ngx_chathub_stream.c; under the mutex */

/* puts a pair's names in order */
void ngx_chathub_stream_key(ngx_chathub_key_t *key);
uint64_t ngx_chathub_stream_hash(ngx_chathub_zone_t *z,
    ngx_chathub_key_t *key);

/* index or NONE */
uint32_t ngx_chathub_stream_lookup(ngx_chathub_zone_t *z,
    ngx_chathub_key_t *key, uint64_t hash);

/* opens it, evicting another one where the table is full; NONE: full */
uint32_t ngx_chathub_stream_open(ngx_chathub_zone_t *z,
    ngx_chathub_key_t *key, uint64_t hash);

/* the numbers in force, and new ones */
ngx_chathub_numbers_t *ngx_chathub_stream_numbers(ngx_chathub_stream_t *s);
void ngx_chathub_stream_set(ngx_chathub_stream_t *s, uint64_t epoch,
    uint64_t seq, uint64_t last);

/* copies a stream out, key and all */
void ngx_chathub_stream_copy(ngx_chathub_zone_t *z, uint32_t i,
    ngx_chathub_stream_info_t *info);


/* ngx_chathub_members.c; under the mutex, but for the hash */

uint64_t ngx_chathub_user_hash(ngx_chathub_zone_t *z, ngx_str_t *name);

uint32_t ngx_chathub_user_lookup(ngx_chathub_zone_t *z, ngx_str_t *name,
    uint64_t hash);

/* has the user more than "n" entries for the stream? */
ngx_uint_t ngx_chathub_member_more(ngx_chathub_zone_t *z, uint32_t stream,
    uint32_t user, ngx_uint_t n);

/* into the stream's list */
void ngx_chathub_member_link(ngx_chathub_zone_t *z, uint32_t i);

/* what the record that was last in the directed log leaves to be done */
void ngx_chathub_member_repair(ngx_chathub_zone_t *z,
    ngx_chathub_rec_sh_t *h);

/* What a dead slot left, one entry each.  The member's LEFT is appended where
 * it was the user's last, and *ring gets the room's slots.  _user_ returns 0
 * where it is none of the dead ones'. */
void ngx_chathub_member_sweep(ngx_chathub_zone_t *z, uint32_t i,
    ngx_chathub_slotset_t *ring);
ngx_uint_t ngx_chathub_user_sweep(ngx_chathub_zone_t *z, uint32_t i,
    ngx_chathub_slotset_t *dead);
void ngx_chathub_addr_sweep(ngx_chathub_zone_t *z, uint32_t i);


/* ngx_chathub_repair.c */

/* under the mutex, after another owner died under it */
void ngx_chathub_repair(ngx_chathub_zone_t *z);


#endif /* _NGX_CHATHUB_ZONE_INT_H_INCLUDED_ */
