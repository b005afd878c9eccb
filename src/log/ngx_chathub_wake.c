
/*
 * Copyright (C) ChatHub contributors
 */


#include "ngx_chathub_zone_int.h"
#include "ngx_chathub_wake.h"

#include <sys/eventfd.h>


static void ngx_chathub_wake_slot(ngx_chathub_slot_t *slot);


ngx_int_t
ngx_chathub_wake_create(ngx_chathub_zone_t *z)
{
    int         fd;
    ngx_uint_t  i;

    for (i = 0; i < z->sh->nslots; i++) {

        fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

        if (fd == -1) {
            ngx_log_error(NGX_LOG_EMERG, z->log, ngx_errno,
                          "eventfd() failed");
            ngx_chathub_wake_close(z);
            return NGX_ERROR;
        }

        z->slots[i].bell = fd;
    }

    return NGX_OK;
}


void
ngx_chathub_wake_close(ngx_chathub_zone_t *z)
{
    ngx_uint_t  i;

    for (i = 0; i < z->sh->nslots; i++) {
        if (z->slots[i].bell != -1) {
            (void) close(z->slots[i].bell);
            z->slots[i].bell = -1;
        }
    }
}


int
ngx_chathub_wake_fd(ngx_chathub_zone_t *z)
{
    return z->slots[z->slot].bell;
}


void
ngx_chathub_wake_clear(ngx_chathub_zone_t *z)
{
    ssize_t   n;
    uint64_t  rung;

    do {
        n = read(z->slots[z->slot].bell, &rung, sizeof(rung));
    } while (n == -1 && ngx_errno == NGX_EINTR);
}


void
ngx_chathub_wake(ngx_chathub_zone_t *z, ngx_chathub_slotset_t *ring)
{
    ngx_uint_t  i, w;
    uint64_t    word;

    for (w = 0; w < NGX_CHATHUB_SLOTS_MAX / 64; w++) {

        for (word = ring->word[w]; word; word &= word - 1) {
            i = w * 64 + __builtin_ctzll(word);

            if (i != z->slot && i < z->sh->nslots) {
                ngx_chathub_wake_slot(&z->slots[i]);
            }
        }
    }
}


/* A writer has moved the head before it looks here; a reader arms before it
 * looks at the head: one of the two sees the other. */

static void
ngx_chathub_wake_slot(ngx_chathub_slot_t *slot)
{
    ssize_t   n;
    uint64_t  one;

    if (!ngx_chathub_get_seq(&slot->armed)
        || !__atomic_exchange_n(&slot->armed, 0, __ATOMIC_SEQ_CST))
    {
        return;
    }

    one = 1;

    do {
        n = write(slot->bell, &one, sizeof(one));
    } while (n == -1 && ngx_errno == NGX_EINTR);
}


ngx_int_t
ngx_chathub_wake_arm(ngx_chathub_zone_t *z, uint64_t messages,
    uint64_t directed)
{
    ngx_chathub_slot_t  *slot;

    slot = &z->slots[z->slot];

    ngx_chathub_set_seq(&slot->armed, 1);

    if (ngx_chathub_log_head(&z->messages) == messages
        && ngx_chathub_log_head(&z->directed) == directed)
    {
        return NGX_OK;
    }

    ngx_chathub_set_seq(&slot->armed, 0);

    return NGX_AGAIN;
}


void
ngx_chathub_wake_cursor(ngx_chathub_zone_t *z, uint64_t messages)
{
    ngx_chathub_set(&z->slots[z->slot].cursor, messages);
}
