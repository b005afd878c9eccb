
/*
 * Copyright (C) ChatHub contributors
 */


#include "ngx_chathub_zone_int.h"
#include <ngx_sha1.h>


/* of what is neither header nor messages log, in 64ths */
#define NGX_CHATHUB_DIRECTED_SHARE   4
#define NGX_CHATHUB_DIRECTED_UNITS   4       /* where there is room */
#define NGX_CHATHUB_TABLE_MIN        64

/* waiting for the mutex, in microseconds */
#define NGX_CHATHUB_WAIT_MAX         100000
#define NGX_CHATHUB_WAIT_PATIENT     4000    /* then the owner is looked at */
#define NGX_CHATHUB_SLEEP_MIN        50
#define NGX_CHATHUB_SLEEP_MAX        1000

#define NGX_CHATHUB_START_BITS       42      /* a pid has at most 22 */

#define ngx_chathub_align(n, to)  (((n) + (to) - 1) / (to) * (to))


/* where everything lies in an area */

typedef struct {
    uint64_t                     slots;
    uint64_t                     directed;
    uint64_t                     directed_size;
    uint64_t                     messages;
    uint64_t                     messages_size;
    ngx_chathub_table_sh_t       tables[NGX_CHATHUB_TABLES];
} ngx_chathub_layout_t;


static ngx_int_t ngx_chathub_zone_layout(ngx_chathub_layout_t *layout,
    size_t size, ngx_uint_t slots);
static ngx_int_t ngx_chathub_zone_trylock(ngx_chathub_zone_t *z);
static uint64_t ngx_chathub_zone_usec(void);
static uint64_t ngx_chathub_zone_owner(ngx_pid_t pid, uint64_t start);
static ngx_uint_t ngx_chathub_zone_owner_gone(ngx_chathub_zone_t *z,
    ngx_pid_t pid);


/* in the order of their numbers */

static const struct {
    size_t      size;
    ngx_uint_t  share;       /* 64ths */
} ngx_chathub_tables[NGX_CHATHUB_TABLES] = {
    { sizeof(ngx_chathub_stream_t), 16 },
    { sizeof(ngx_chathub_user_sh_t), 16 },
    { sizeof(ngx_chathub_member_sh_t), 10 },
    { sizeof(ngx_chathub_addr_t), 4 },
    { sizeof(ngx_chathub_id_sh_t), 12 }
};


static ngx_int_t
ngx_chathub_zone_layout(ngx_chathub_layout_t *layout, size_t size,
    ngx_uint_t slots)
{
    size_t                   offset, rest, n;
    ngx_uint_t               i;
    ngx_chathub_table_sh_t  *t;

    layout->messages_size = (size / 4 * 3) / NGX_CHATHUB_UNIT
                            * NGX_CHATHUB_UNIT;
    layout->messages = (size - layout->messages_size) / 64 * 64;

    layout->slots = ngx_chathub_align(sizeof(ngx_chathub_zone_sh_t), 64);
    offset = layout->slots + slots * sizeof(ngx_chathub_slot_t);

    if (layout->messages <= offset) {
        return NGX_ERROR;
    }

    rest = layout->messages - offset;

    layout->directed_size = rest / 64 * NGX_CHATHUB_DIRECTED_SHARE;

    n = ngx_min(NGX_CHATHUB_DIRECTED_UNITS * NGX_CHATHUB_UNIT, rest / 4);
    layout->directed_size = ngx_max(layout->directed_size, n)
                            / NGX_CHATHUB_UNIT * NGX_CHATHUB_UNIT;
    layout->directed_size = ngx_max(layout->directed_size,
                                    2 * NGX_CHATHUB_UNIT);

    if (rest <= layout->directed_size
        || layout->messages_size < 2 * NGX_CHATHUB_UNIT)
    {
        return NGX_ERROR;
    }

    layout->directed = (layout->messages - layout->directed_size) / 64 * 64;

    rest = layout->directed - offset;

    for (i = 0; i < NGX_CHATHUB_TABLES; i++) {
        t = &layout->tables[i];

        n = rest / (64 - NGX_CHATHUB_DIRECTED_SHARE)
            * ngx_chathub_tables[i].share;

        /* three arrays, each may lose something by its alignment */

        n = (n < 3 * 64) ? 0 : n - 3 * 64;
        n /= ngx_chathub_tables[i].size + sizeof(uint64_t) + sizeof(uint32_t);

        if (n < NGX_CHATHUB_TABLE_MIN) {
            return NGX_ERROR;
        }

        n = ngx_min(n, NGX_CHATHUB_NONE / 2);

        t->n = n;
        t->free = NGX_CHATHUB_NONE;
        t->used = 0;
        t->unused = 0;

        t->valid = ngx_chathub_align(offset, 64);
        offset = t->valid + n * sizeof(uint64_t);

        t->entries = ngx_chathub_align(offset, 64);
        offset = t->entries + n * ngx_chathub_tables[i].size;

        t->buckets = ngx_chathub_align(offset, 64);
        offset = t->buckets + n * sizeof(uint32_t);
    }

    return NGX_OK;
}


size_t
ngx_chathub_zone_min_size(size_t record)
{
    size_t                size;
    ngx_chathub_layout_t  layout;

    for (size = record / 3 * 4 * NGX_CHATHUB_SHARE / NGX_CHATHUB_UNIT
                * NGX_CHATHUB_UNIT;
         ngx_chathub_zone_max_record(size) < record
         || ngx_chathub_zone_layout(&layout, size, NGX_CHATHUB_SLOTS_MAX)
            != NGX_OK;
         size += NGX_CHATHUB_UNIT)
    {
        /* void */
    }

    return size;
}


size_t
ngx_chathub_zone_max_record(size_t size)
{
    size_t  log;

    log = (size / 4 * 3) / NGX_CHATHUB_UNIT * NGX_CHATHUB_UNIT;

    return ngx_min(log / NGX_CHATHUB_SHARE, NGX_MAX_INT32_VALUE);
}


ngx_int_t
ngx_chathub_zone_format(void *base, size_t size, ngx_uint_t slots,
    ngx_uint_t durable, uint64_t life, u_char key[16])
{
    uint32_t                i;
    ngx_uint_t              n;
    ngx_chathub_key_t       everybody;
    ngx_chathub_zone_t      z;
    ngx_chathub_layout_t    layout;
    ngx_chathub_zone_sh_t  *sh;

    if (slots == 0 || slots > NGX_CHATHUB_SLOTS_MAX
        || ngx_chathub_zone_layout(&layout, size, slots) != NGX_OK)
    {
        return NGX_ERROR;
    }

    sh = base;

    ngx_memzero(base, layout.tables[0].valid);

    sh->layout = NGX_CHATHUB_LAYOUT;
    sh->size = size;
    sh->life = life;
    sh->nslots = slots;
    sh->durable = durable;
    sh->slots = layout.slots;
    ngx_memcpy(sh->key, key, 16);
    ngx_memcpy(sh->tables, layout.tables, sizeof(sh->tables));

    sh->logs[0].start = layout.messages;
    sh->logs[0].size = layout.messages_size;
    sh->logs[1].start = layout.directed;
    sh->logs[1].size = layout.directed_size;

    /* zero is no position */

    for (n = 0; n < 2; n++) {
        sh->logs[n].tail = NGX_CHATHUB_UNIT;
        sh->logs[n].head = NGX_CHATHUB_UNIT;
    }

    sh->stored = NGX_CHATHUB_UNIT;

    for (n = 0; n < slots; n++) {
        ((ngx_chathub_slot_t *) ((u_char *) base + layout.slots))[n].bell = -1;
    }

    sh->magic = NGX_CHATHUB_MAGIC;

    if (ngx_chathub_zone_open(&z, base, size, NULL, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    for (n = 0; n < NGX_CHATHUB_TABLES; n++) {
        ngx_chathub_table_reset(&z.tables[n]);

        for (i = z.tables[n].sh->n; i > 0; i--) {
            z.tables[n].valid[i - 1] = 0;
            ngx_chathub_table_release(&z.tables[n], i - 1);
        }
    }

    ngx_memzero(&everybody, sizeof(ngx_chathub_key_t));
    everybody.kind = NGX_CHATHUB_STREAM_ALL;
    ngx_chathub_stream_key(&everybody);

    (void) ngx_chathub_stream_open(&z, &everybody,
                                   ngx_chathub_stream_hash(&z, &everybody));

    return NGX_OK;
}


ngx_int_t
ngx_chathub_zone_open(ngx_chathub_zone_t *z, void *base, size_t size,
    ngx_shmtx_t *mutex, ngx_log_t *log)
{
    u_char                 *p;
    ngx_uint_t              i;
    ngx_chathub_table_t    *t;
    ngx_chathub_zone_sh_t  *sh;

    p = base;
    sh = base;

    if (sh->magic != NGX_CHATHUB_MAGIC || sh->layout != NGX_CHATHUB_LAYOUT
        || sh->size != size)
    {
        return NGX_DECLINED;
    }

    ngx_memzero(z, sizeof(ngx_chathub_zone_t));

    z->sh = sh;
    z->mutex = mutex;
    z->log = log;
    z->slot = NGX_CHATHUB_NO_SLOT;

    for (i = 0; i < NGX_CHATHUB_TABLES; i++) {
        t = &z->tables[i];

        t->sh = &sh->tables[i];
        t->valid = (uint64_t *) (p + t->sh->valid);
        t->entries = p + t->sh->entries;
        t->buckets = (uint32_t *) (p + t->sh->buckets);
        t->size = ngx_chathub_tables[i].size;
    }

    z->slots = (ngx_chathub_slot_t *) (p + sh->slots);
    z->streams = (ngx_chathub_stream_t *) z->tables[0].entries;
    z->users = (ngx_chathub_user_sh_t *) z->tables[1].entries;
    z->members = (ngx_chathub_member_sh_t *) z->tables[2].entries;
    z->addrs = (ngx_chathub_addr_t *) z->tables[3].entries;
    z->ids = (ngx_chathub_id_sh_t *) z->tables[4].entries;

    z->messages.zone = z;
    z->messages.start = p + sh->logs[0].start;
    z->messages.size = sh->logs[0].size;
    z->messages.index = 0;

    z->directed.zone = z;
    z->directed.start = p + sh->logs[1].start;
    z->directed.size = sh->logs[1].size;
    z->directed.index = 1;

    return NGX_OK;
}


void
ngx_chathub_zone_new_cycle(ngx_chathub_zone_t *z)
{
    (void) __atomic_add_fetch(&z->sh->cycle, 1, __ATOMIC_SEQ_CST);
}


uint32_t
ngx_chathub_zone_cycle(ngx_chathub_zone_t *z)
{
    return ngx_chathub_get(&z->sh->cycle);
}


u_char *
ngx_chathub_zone_key(ngx_chathub_zone_t *z)
{
    return z->sh->key;
}


uint64_t
ngx_chathub_zone_life(ngx_chathub_zone_t *z)
{
    return z->sh->life;
}


ngx_uint_t
ngx_chathub_zone_nslots(ngx_chathub_zone_t *z)
{
    return z->sh->nslots;
}


uint64_t
ngx_chathub_zone_hash(ngx_chathub_zone_t *z, ngx_uint_t kind, ngx_str_t *a,
    ngx_str_t *b)
{
    u_char      head[18], digest[20];
    uint64_t    hash;
    ngx_sha1_t  sha1;

    ngx_memcpy(head, z->sh->key, 16);
    head[16] = (u_char) kind;
    head[17] = (u_char) a->len;

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, head, sizeof(head));
    ngx_sha1_update(&sha1, a->data, a->len);

    if (b) {
        ngx_sha1_update(&sha1, b->data, b->len);
    }

    ngx_sha1_final(digest, &sha1);

    ngx_memcpy(&hash, digest, sizeof(hash));

    return hash;
}


uint64_t
ngx_chathub_zone_serial(ngx_chathub_zone_t *z)
{
    z->sh->serial++;

    return z->sh->serial << NGX_CHATHUB_KIND_BITS;
}


uint64_t
ngx_chathub_zone_time(ngx_chathub_zone_t *z, uint64_t now)
{
    if (now > z->sh->time) {
        z->sh->time = now;
    }

    return z->sh->time;
}


/* The mutex. */


ngx_int_t
ngx_chathub_zone_lock(ngx_chathub_zone_t *z)
{
    uint64_t         begin, waited;
    ngx_pid_t        owner;
    ngx_uint_t       i, n;
    struct timespec  ts;

    if (z->pid != ngx_pid) {
        z->pid = ngx_pid;
        (void) ngx_chathub_slot_process(ngx_pid, &z->start);
    }

    if (ngx_chathub_zone_trylock(z) == NGX_OK) {
        return NGX_OK;
    }

    for (n = 1; ngx_ncpu > 1 && n < 2048; n <<= 1) {

        for (i = 0; i < n; i++) {
            ngx_cpu_pause();
        }

        if (ngx_chathub_zone_trylock(z) == NGX_OK) {
            return NGX_OK;
        }
    }

    begin = ngx_chathub_zone_usec();
    n = NGX_CHATHUB_SLEEP_MIN;

    do {
        ts.tv_sec = 0;
        ts.tv_nsec = n * 1000;
        (void) nanosleep(&ts, NULL);

        n = ngx_min(n * 2, NGX_CHATHUB_SLEEP_MAX);

        if (ngx_chathub_zone_trylock(z) == NGX_OK) {
            return NGX_OK;
        }

        waited = ngx_chathub_zone_usec() - begin;
        owner = (ngx_pid_t) *z->mutex->lock;

        if (waited >= NGX_CHATHUB_WAIT_PATIENT && owner
            && ngx_chathub_zone_owner_gone(z, owner))
        {
            (void) ngx_shmtx_force_unlock(z->mutex, owner);

            if (ngx_chathub_zone_trylock(z) == NGX_OK) {
                return NGX_OK;
            }
        }

    } while (waited < NGX_CHATHUB_WAIT_MAX);

    return NGX_BUSY;
}


void
ngx_chathub_zone_unlock(ngx_chathub_zone_t *z)
{
    NGX_CHATHUB_POINT("unlock dirty");

    ngx_chathub_set_seq(&z->sh->dirty, 0);

    NGX_CHATHUB_POINT("unlock clean");

    ngx_shmtx_unlock(z->mutex);

    if (z->repaired) {
        z->repaired = 0;

        ngx_log_error(NGX_LOG_WARN, z->log, 0,
                      "a process died while it changed a hub's shared memory, "
                      "which was repaired");
    }
}


static ngx_int_t
ngx_chathub_zone_trylock(ngx_chathub_zone_t *z)
{
    uint64_t  dirty;

    if (!ngx_shmtx_trylock(z->mutex)) {
        return NGX_BUSY;
    }

    NGX_CHATHUB_POINT("lock clean");

    dirty = ngx_chathub_get_seq(&z->sh->dirty);

    ngx_chathub_set_seq(&z->sh->dirty,
                        ngx_chathub_zone_owner(z->pid, z->start));

    NGX_CHATHUB_POINT("lock dirty");

    if (dirty) {
        ngx_chathub_repair(z);
        z->repaired = 1;
    }

    return NGX_OK;
}


static uint64_t
ngx_chathub_zone_usec(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static uint64_t
ngx_chathub_zone_owner(ngx_pid_t pid, uint64_t start)
{
    return ((uint64_t) pid << NGX_CHATHUB_START_BITS)
           | (start & (((uint64_t) 1 << NGX_CHATHUB_START_BITS) - 1));
}


static ngx_uint_t
ngx_chathub_zone_owner_gone(ngx_chathub_zone_t *z, ngx_pid_t pid)
{
    uint64_t  dirty, start;

    /* nobody waits for himself: it was an older process of this number */

    if (pid == ngx_pid) {
        return 1;
    }

    dirty = ngx_chathub_get_seq(&z->sh->dirty);

    if (ngx_chathub_slot_process(pid, &start) != NGX_OK) {
        return 1;
    }

    /* the word tells nothing while it is not this owner's yet */

    if ((ngx_pid_t) (dirty >> NGX_CHATHUB_START_BITS) != pid) {
        return 0;
    }

    /* the number was given to another process meanwhile */

    return start && dirty != ngx_chathub_zone_owner(pid, 0)
           && dirty != ngx_chathub_zone_owner(pid, start);
}
