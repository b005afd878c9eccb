
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * Workers' slots.  A slot's owner word has its generation and its state and
 * changes in one step, so who finds a process gone can say so without the
 * mutex, and cannot hit the slot's next owner.
 */


#include "ngx_chathub_zone_int.h"
#include "ngx_chathub_wake.h"


#define NGX_CHATHUB_PROC_SIZE    1024
#define NGX_CHATHUB_PROC_START   19          /* fields behind the state */
#define NGX_CHATHUB_SWEEP_LOOK   16          /* as cheap as taking one out */


static void ngx_chathub_slot_detect(ngx_chathub_zone_t *z,
    ngx_chathub_slotset_t *dead);
static ngx_uint_t ngx_chathub_slot_gone(ngx_chathub_slot_t *slot);
static void ngx_chathub_slot_die(ngx_chathub_slot_t *slot, uint64_t owner);
static void ngx_chathub_slot_free(ngx_chathub_slot_t *slot);
static ngx_uint_t ngx_chathub_slot_sweep(ngx_chathub_zone_t *z,
    ngx_uint_t budget, ngx_chathub_slotset_t *ring);
static ngx_uint_t ngx_chathub_slot_sweep_entry(ngx_chathub_zone_t *z,
    ngx_uint_t table, uint32_t i, ngx_chathub_slotset_t *ring);


ngx_int_t
ngx_chathub_slot_process(ngx_pid_t pid, uint64_t *start)
{
    char      *p, *last, buf[NGX_CHATHUB_PROC_SIZE];
    u_char     name[sizeof("/proc//stat") + NGX_INT64_LEN];
    ssize_t    n;
    ngx_fd_t   fd;
    ngx_int_t  spaces;

    *start = 0;

    if (kill(pid, 0) == -1 && ngx_errno == NGX_ESRCH) {
        return NGX_DECLINED;
    }

    (void) ngx_sprintf(name, "/proc/%P/stat%Z", pid);

    fd = open((char *) name, O_RDONLY|O_CLOEXEC);

    if (fd == NGX_INVALID_FILE) {
        return NGX_OK;
    }

    n = read(fd, buf, sizeof(buf));

    (void) ngx_close_file(fd);

    if (n <= 0) {

        /* it went between the two */

        return (n == -1 && ngx_errno == NGX_ESRCH) ? NGX_DECLINED : NGX_OK;
    }

    /* the name of the program may have anything in it */

    last = buf + n;

    for (p = last - 1; p > buf && *p != ')'; p--) { /* void */ }

    if (last - p < 3) {
        return NGX_OK;
    }

    p += 2;

    if (*p == 'Z' || *p == 'X' || *p == 'x') {
        return NGX_DECLINED;
    }

    for (spaces = 0; p < last && spaces < NGX_CHATHUB_PROC_START; p++) {
        spaces += (*p == ' ');
    }

    while (p < last && *p >= '0' && *p <= '9') {
        *start = *start * 10 + (*p++ - '0');
    }

    return NGX_OK;
}


ngx_int_t
ngx_chathub_zone_claim(ngx_chathub_zone_t *z)
{
    ngx_uint_t           i;
    ngx_chathub_slot_t  *slot;

    if (ngx_chathub_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    for (i = 0; i < z->sh->nslots; i++) {

        if (ngx_chathub_slot_state(&z->slots[i]) == NGX_CHATHUB_SLOT_FREE) {
            break;
        }
    }

    if (i == z->sh->nslots) {
        ngx_chathub_zone_unlock(z);
        return NGX_DECLINED;
    }

    slot = &z->slots[i];

    slot->pid = ngx_pid;
    slot->start = z->start;
    slot->cycle = z->sh->cycle;
    slot->draining = 0;
    slot->sessions = 0;
    slot->armed = 0;
    slot->cursor = z->sh->logs[0].head;

    NGX_CHATHUB_POINT("claim filled");

    z->slot = i;
    z->generation = (slot->owner >> NGX_CHATHUB_SLOT_BITS) + 1;

    ngx_chathub_set(&slot->owner,
                    ((uint64_t) z->generation << NGX_CHATHUB_SLOT_BITS)
                    | NGX_CHATHUB_SLOT_LIVE);

    NGX_CHATHUB_POINT("claim done");

    ngx_chathub_zone_unlock(z);

    return NGX_OK;
}


void
ngx_chathub_zone_release(ngx_chathub_zone_t *z, ngx_uint_t *last)
{
    ngx_chathub_slot_t     *slot;
    ngx_chathub_slotset_t   set;

    /* those that died just now are not to be counted */

    ngx_chathub_slot_detect(z, &set);

    slot = &z->slots[z->slot];

    if (ngx_chathub_zone_lock(z) == NGX_OK) {

        if (slot->held == 0) {
            ngx_chathub_slot_free(slot);

        } else {
            ngx_chathub_slot_die(slot, slot->owner);
        }

        ngx_chathub_zone_unlock(z);

    } else {
        ngx_chathub_slot_die(slot, slot->owner);
    }

    z->slot = NGX_CHATHUB_NO_SLOT;

    ngx_chathub_slot_all(z, &set);
    *last = ngx_chathub_slotset_empty(&set);
}


ngx_int_t
ngx_chathub_zone_sweep(ngx_chathub_zone_t *z, ngx_uint_t budget)
{
    ngx_uint_t               done;
    ngx_chathub_slotset_t    dead, ring;

    ngx_chathub_slot_detect(z, &dead);

    if (ngx_chathub_slotset_empty(&dead)) {
        return NGX_OK;
    }

    if (ngx_chathub_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    ngx_memzero(&ring, sizeof(ngx_chathub_slotset_t));

    done = ngx_chathub_slot_sweep(z, budget, &ring);

    ngx_chathub_zone_unlock(z);

    if (done) {
        ngx_chathub_slot_all(z, &ring);
    }

    ngx_chathub_wake(z, &ring);

    return done ? NGX_OK : NGX_AGAIN;
}


/* finds whose process is gone, and whom another one has found or who went
 * with something left to be taken out */

static void
ngx_chathub_slot_detect(ngx_chathub_zone_t *z, ngx_chathub_slotset_t *dead)
{
    uint64_t             owner;
    ngx_uint_t           i, state;
    ngx_chathub_slot_t  *slot;

    ngx_memzero(dead, sizeof(ngx_chathub_slotset_t));

    for (i = 0; i < z->sh->nslots; i++) {
        slot = &z->slots[i];

        owner = ngx_chathub_get(&slot->owner);
        state = owner & ((1 << NGX_CHATHUB_SLOT_BITS) - 1);

        if (state == NGX_CHATHUB_SLOT_LIVE && i != z->slot) {

            if (ngx_chathub_slot_gone(slot)) {
                ngx_chathub_slot_die(slot, owner);
                ngx_chathub_slotset_add(dead, i);
            }

        } else if (state == NGX_CHATHUB_SLOT_DEAD) {
            ngx_chathub_slotset_add(dead, i);
        }
    }
}


static ngx_uint_t
ngx_chathub_slot_gone(ngx_chathub_slot_t *slot)
{
    uint64_t  start;

    if (ngx_chathub_slot_process(slot->pid, &start) != NGX_OK) {
        return 1;
    }

    /* another process may have got the number */

    return start && slot->start && start != slot->start;
}


static void
ngx_chathub_slot_die(ngx_chathub_slot_t *slot, uint64_t owner)
{
    uint64_t  dead;

    dead = (owner >> NGX_CHATHUB_SLOT_BITS << NGX_CHATHUB_SLOT_BITS)
           | NGX_CHATHUB_SLOT_DEAD;

    (void) __atomic_compare_exchange_n(&slot->owner, &owner, dead, 0,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}


static void
ngx_chathub_slot_free(ngx_chathub_slot_t *slot)
{
    uint64_t  owner;

    owner = slot->owner >> NGX_CHATHUB_SLOT_BITS << NGX_CHATHUB_SLOT_BITS;

    ngx_chathub_set(&slot->owner, owner | NGX_CHATHUB_SLOT_FREE);
}


/* a slice; returns 1 when nothing is left of the dead slots, which are free
 * then.  Where it stands lies in the zone: whoever comes next goes on. */

static ngx_uint_t
ngx_chathub_slot_sweep(ngx_chathub_zone_t *z, ngx_uint_t budget,
    ngx_chathub_slotset_t *ring)
{
    ngx_uint_t               i, held, looked;
    ngx_chathub_table_t     *t;
    ngx_chathub_zone_sh_t   *sh;
    ngx_chathub_slotset_t    set;
    static const ngx_uint_t  order[] = {
        NGX_CHATHUB_MEMBERS, NGX_CHATHUB_USERS, NGX_CHATHUB_ADDRS
    };

    sh = z->sh;

    ngx_memzero(&set, sizeof(ngx_chathub_slotset_t));

    for (i = 0; i < sh->nslots; i++) {
        if (ngx_chathub_slot_state(&z->slots[i]) == NGX_CHATHUB_SLOT_DEAD) {
            ngx_chathub_slotset_add(&set, i);
        }
    }

    /* one more has died: it may have entries before where we are */

    if (ngx_memcmp(&set, &sh->sweep_set, sizeof(set)) != 0) {
        sh->sweep_table = 0;
        sh->sweep_index = 0;
        sh->sweep_set = set;
    }

    looked = 0;

    while (sh->sweep_table < sizeof(order) / sizeof(order[0])) {

        held = 0;

        for (i = 0; i < sh->nslots; i++) {
            if (ngx_chathub_slotset_has(&set, i)) {
                held += z->slots[i].held;
            }
        }

        if (held == 0) {
            break;
        }

        t = &z->tables[order[sh->sweep_table]];

        for ( /* void */ ; sh->sweep_index < t->sh->n; sh->sweep_index++) {

            if (budget == 0) {
                return 0;
            }

            if ((t->valid[sh->sweep_index]
                 && ngx_chathub_slot_sweep_entry(z, order[sh->sweep_table],
                                                 sh->sweep_index, ring))
                || ++looked % NGX_CHATHUB_SWEEP_LOOK == 0)
            {
                budget--;
            }
        }

        sh->sweep_table++;
        sh->sweep_index = 0;
    }

    /* first, as the next dead ones may be in the same slots */

    sh->sweep_table = 0;
    sh->sweep_index = 0;

    for (i = 0; i < sh->nslots; i++) {
        if (ngx_chathub_slotset_has(&set, i)) {
            ngx_chathub_slot_free(&z->slots[i]);

            NGX_CHATHUB_POINT("sweep freed");
        }
    }

    return 1;
}


/* returns 1 where something was taken out */

static ngx_uint_t
ngx_chathub_slot_sweep_entry(ngx_chathub_zone_t *z, ngx_uint_t table,
    uint32_t i, ngx_chathub_slotset_t *ring)
{
    ngx_chathub_slotset_t  *set;

    set = &z->sh->sweep_set;

    switch (table) {

    case NGX_CHATHUB_MEMBERS:
        if (!ngx_chathub_slotset_has(set, z->members[i].slot)) {
            return 0;
        }

        ngx_chathub_member_sweep(z, i, ring);
        return 1;

    case NGX_CHATHUB_USERS:
        return ngx_chathub_user_sweep(z, i, set);

    default: /* NGX_CHATHUB_ADDRS */
        if (!ngx_chathub_slotset_has(set, z->addrs[i].slot)) {
            return 0;
        }

        ngx_chathub_addr_sweep(z, i);
        return 1;
    }
}


ngx_uint_t
ngx_chathub_zone_crowded(ngx_chathub_zone_t *z, ngx_uint_t workers)
{
    uint32_t             oldest;
    ngx_uint_t           i, free;
    ngx_chathub_slot_t  *slot;

    free = 0;
    oldest = z->slots[z->slot].cycle;

    if (!z->slots[z->slot].draining) {
        return 0;
    }

    for (i = 0; i < z->sh->nslots; i++) {
        slot = &z->slots[i];

        switch (ngx_chathub_slot_state(slot)) {

        case NGX_CHATHUB_SLOT_FREE:
            free++;
            break;

        case NGX_CHATHUB_SLOT_LIVE:
            if (ngx_chathub_get(&slot->draining) && slot->cycle < oldest) {
                oldest = slot->cycle;
            }

            break;

        default:
            break;
        }
    }

    return free < workers && z->slots[z->slot].cycle == oldest;
}


void
ngx_chathub_zone_drain(ngx_chathub_zone_t *z)
{
    ngx_chathub_set(&z->slots[z->slot].draining, 1);
}


ngx_uint_t
ngx_chathub_zone_sessions(ngx_chathub_zone_t *z)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < z->sh->nslots; i++) {
        if (ngx_chathub_slot_state(&z->slots[i]) == NGX_CHATHUB_SLOT_LIVE) {
            n += ngx_chathub_get(&z->slots[i].sessions);
        }
    }

    return n;
}


void
ngx_chathub_zone_set_sessions(ngx_chathub_zone_t *z, ngx_uint_t n)
{
    ngx_chathub_set_seq(&z->slots[z->slot].sessions, n);
}


void
ngx_chathub_slot_all(ngx_chathub_zone_t *z, ngx_chathub_slotset_t *set)
{
    ngx_uint_t  i;

    ngx_memzero(set, sizeof(ngx_chathub_slotset_t));

    for (i = 0; i < z->sh->nslots; i++) {
        if (ngx_chathub_slot_state(&z->slots[i]) == NGX_CHATHUB_SLOT_LIVE) {
            ngx_chathub_slotset_add(set, i);
        }
    }
}


void
ngx_chathub_slot_busy(ngx_chathub_zone_t *z, ngx_chathub_slotset_t *set)
{
    ngx_uint_t  i;

    ngx_memzero(set, sizeof(ngx_chathub_slotset_t));

    for (i = 0; i < z->sh->nslots; i++) {
        if (ngx_chathub_slot_state(&z->slots[i]) == NGX_CHATHUB_SLOT_LIVE
            && ngx_chathub_get_seq(&z->slots[i].sessions))
        {
            ngx_chathub_slotset_add(set, i);
        }
    }
}
