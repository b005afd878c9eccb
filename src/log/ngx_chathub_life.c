
/*
 * Copyright (C) ChatHub contributors
 */


#include "ngx_chathub_life.h"
#include "ngx_chathub_zone.h"
#include "ngx_chathub_wake.h"
#include "ngx_chathub_lock.h"

#include <sys/random.h>


#define NGX_CHATHUB_SLOTS_PER_WORKER  8


static ngx_int_t ngx_chathub_life_format(ngx_chathub_life_t *life,
    ngx_slab_pool_t *shpool, ngx_uint_t workers, ngx_uint_t durable,
    ngx_log_t *log);
static ngx_int_t ngx_chathub_life_bells(ngx_chathub_life_t *life,
    ngx_slab_pool_t *shpool, ngx_log_t *log);
static void ngx_chathub_life_free(ngx_chathub_life_t *life);


ngx_chathub_life_t *
ngx_chathub_life_create(ngx_slab_pool_t *shpool, ngx_uint_t workers,
    ngx_uint_t durable, ngx_str_t *lock_path, ngx_log_t *log)
{
    ngx_chathub_life_t  *life;

    life = ngx_calloc(sizeof(ngx_chathub_life_t), log);
    if (life == NULL) {
        return NULL;
    }

    life->refs = 1;

    life->lock_fd = ngx_chathub_lock_open(lock_path, log);

    if (life->lock_fd == NGX_INVALID_FILE
        || ngx_chathub_life_format(life, shpool, workers, durable, log)
           != NGX_OK
        || ngx_chathub_life_bells(life, shpool, log) != NGX_OK)
    {
        ngx_chathub_life_free(life);
        return NULL;
    }

    return life;
}


static ngx_int_t
ngx_chathub_life_format(ngx_chathub_life_t *life, ngx_slab_pool_t *shpool,
    ngx_uint_t workers, ngx_uint_t durable, ngx_log_t *log)
{
    u_char      key[16];
    uint64_t    seed;
    ngx_uint_t  slots;

    /* in a fresh pool the free pages are one run */

    life->size = shpool->pfree * ngx_pagesize;
    life->base = life->size ? ngx_slab_alloc(shpool, life->size) : NULL;

    if (life->base == NULL) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "a hub's zone has no room for its log");
        return NGX_ERROR;
    }

    if (getrandom(key, sizeof(key), 0) != sizeof(key)
        || getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
    {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "getrandom() failed");
        return NGX_ERROR;
    }

    slots = ngx_max(workers * NGX_CHATHUB_SLOTS_PER_WORKER,
                    NGX_CHATHUB_SLOTS_MIN);
    slots = ngx_min(slots, NGX_CHATHUB_SLOTS_MAX);

    if (ngx_chathub_zone_format(life->base, life->size, slots, durable, seed,
                                key)
        != NGX_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "a hub's zone of %uz bytes is too small", life->size);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * NGINX unmaps a zone that is dropped before anybody is told, so the
 * eventfds' numbers, which stand in it, are kept outside as well.
 */

static ngx_int_t
ngx_chathub_life_bells(ngx_chathub_life_t *life, ngx_slab_pool_t *shpool,
    ngx_log_t *log)
{
    ngx_uint_t          i, n;
    ngx_chathub_zone_t  zone;

    if (ngx_chathub_zone_open(&zone, life->base, life->size, &shpool->mutex,
                              log)
        != NGX_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, log, 0, "a hub's zone is of another make");
        return NGX_ERROR;
    }

    n = ngx_chathub_zone_nslots(&zone);

    life->bells = ngx_alloc(n * sizeof(int), log);

    if (life->bells == NULL || ngx_chathub_wake_create(&zone) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        zone.slot = i;
        life->bells[i] = ngx_chathub_wake_fd(&zone);
    }

    life->nbells = n;

    return NGX_OK;
}


void
ngx_chathub_life_release(ngx_chathub_life_t *life)
{
    /* a worker has a copy, and comes here at its end: what it closes stays
     * open in the others */

    if (--life->refs == 0) {
        ngx_chathub_life_free(life);
    }
}


static void
ngx_chathub_life_free(ngx_chathub_life_t *life)
{
    ngx_uint_t  i;

    for (i = 0; i < life->nbells; i++) {
        (void) close(life->bells[i]);
    }

    if (life->bells) {
        ngx_free(life->bells);
    }

    if (life->lock_fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(life->lock_fd);
    }

    ngx_free(life);
}


ngx_int_t
ngx_chathub_life_new_cycle(ngx_chathub_life_t *life, ngx_slab_pool_t *shpool,
    ngx_log_t *log)
{
    ngx_chathub_zone_t  zone;

    if (ngx_chathub_zone_open(&zone, life->base, life->size, &shpool->mutex,
                              log)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_chathub_zone_new_cycle(&zone);

    return NGX_OK;
}


size_t
ngx_chathub_life_area(size_t size)
{
    size_t      head, pages;
    ngx_uint_t  classes;

    /* what ngx_slab_init() takes, and a page for the alignment */

    classes = ngx_pagesize_shift - 3;
    head = sizeof(ngx_slab_pool_t)
           + classes * (sizeof(ngx_slab_page_t) + sizeof(ngx_slab_stat_t));

    if (size <= head) {
        return 0;
    }

    pages = (size - head) / (ngx_pagesize + sizeof(ngx_slab_page_t));

    return pages ? (pages - 1) * ngx_pagesize : 0;
}


size_t
ngx_chathub_life_zone(size_t record)
{
    size_t  area, size;

    area = ngx_chathub_zone_min_size(record);

    size = (area >> 20) << 20;

    do {
        size += 1 << 20;
    } while (ngx_chathub_zone_max_record(ngx_chathub_life_area(size))
             < record);

    return size;
}
