
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * The hub of a worker: its place in the shared memory, its reader of the
 * logs, its wheel, and its life from the first session to the drain.
 */


#include "ngx_chathub_core.h"
#include "ngx_chathub_lock.h"


#define NGX_CHATHUB_SWEEP_BUDGET   4096
#define NGX_CHATHUB_EXPIRE_BUDGET  1024
#define NGX_CHATHUB_EVENTS         5


static ngx_event_t *ngx_chathub_hub_own_event(ngx_chathub_hub_t *hub,
    ngx_uint_t i);
static void ngx_chathub_hub_attach(ngx_chathub_hub_t *hub);
static ngx_int_t ngx_chathub_hub_listen(ngx_chathub_hub_t *hub);
static void ngx_chathub_hub_detach(ngx_chathub_hub_t *hub);
static void ngx_chathub_hub_free(ngx_chathub_hub_t *hub);
static void ngx_chathub_hub_bell_handler(ngx_event_t *rev);
static void ngx_chathub_hub_flush_handler(ngx_event_t *ev);
static void ngx_chathub_hub_hot_handler(ngx_event_t *ev);
static void ngx_chathub_hub_reap_handler(ngx_event_t *ev);
static void ngx_chathub_hub_tick_handler(ngx_event_t *ev);
static void ngx_chathub_hub_turn_wheel(ngx_chathub_hub_t *hub);
static void ngx_chathub_hub_sweep(ngx_chathub_hub_t *hub);
static void ngx_chathub_hub_second(ngx_chathub_hub_t *hub);
static void ngx_chathub_hub_undos(ngx_chathub_hub_t *hub);
static ngx_int_t ngx_chathub_hub_undo_one(ngx_chathub_hub_t *hub,
    ngx_chathub_undo_t *undo);
static void ngx_chathub_hub_drain(ngx_chathub_hub_t *hub);
static void ngx_chathub_hub_bye(ngx_chathub_session_t *s, const char *reason,
    ngx_msec_t delay);
static const char *ngx_chathub_hub_bye_reason(ngx_chathub_hub_t *hub);
static void ngx_chathub_hub_close_all(ngx_chathub_hub_t *hub,
    ngx_uint_t code);


ngx_chathub_hub_t *
ngx_chathub_hub_create(ngx_chathub_hub_conf_t *conf, ngx_cycle_t *cycle)
{
    u_char             *p;
    size_t              size;
    ngx_str_t           local, text;
    ngx_uint_t          i;
    ngx_event_t        *ev;
    ngx_chathub_hub_t  *hub;

    hub = ngx_calloc(sizeof(ngx_chathub_hub_t), cycle->log);
    if (hub == NULL) {
        return NULL;
    }

    hub->conf = conf;
    hub->cycle = cycle;
    hub->log = cycle->log;

    ngx_str_set(&local, "local");
    hub->broker = ngx_chathub_broker_find(&local);

    if (ngx_chathub_zone_open(&hub->zone, conf->base, conf->size, conf->mutex,
                              cycle->log)
        != NGX_OK)
    {
        ngx_free(hub);
        return NULL;
    }

    hub->generation = ngx_chathub_zone_cycle(&hub->zone);
    hub->reason = "the hub is starting";

    /* "app is connected at NODE", as JSON */

    text.len = sizeof("app is connected at ") - 1 + conf->node.len;
    text.data = ngx_pnalloc(cycle->pool, text.len);

    hub->buf = ngx_alloc(ngx_chathub_zone_max_record(conf->size), cycle->log);
    hub->positions = ngx_alloc(conf->replay * sizeof(uint64_t), cycle->log);

    if (text.data == NULL || hub->buf == NULL || hub->positions == NULL) {
        ngx_chathub_hub_free(hub);
        return NULL;
    }

    p = ngx_cpymem(text.data, "app is connected at ",
                   sizeof("app is connected at ") - 1);
    ngx_memcpy(p, conf->node.data, conf->node.len);

    size = ngx_chathub_json_string_size(&text);

    hub->hello.data = ngx_alloc(size, cycle->log);
    if (hub->hello.data == NULL) {
        ngx_chathub_hub_free(hub);
        return NULL;
    }

    hub->hello.len = ngx_chathub_json_string(hub->hello.data, &text)
                     - hub->hello.data;

    ngx_rbtree_init(&hub->rooms, &hub->rooms_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&hub->users, &hub->users_sentinel,
                    ngx_str_rbtree_insert_value);

    hub->everybody.hub = hub;
    hub->flushing_last = &hub->flushing;

    ngx_queue_init(&hub->dirty);
    ngx_queue_init(&hub->hot);
    ngx_queue_init(&hub->sending);
    ngx_queue_init(&hub->runnable);
    ngx_queue_init(&hub->presence);
    ngx_queue_init(&hub->typing);
    ngx_queue_init(&hub->undos);

    for (i = 0; i < NGX_CHATHUB_WHEEL; i++) {
        ngx_queue_init(&hub->wheel[i]);
    }

    ngx_chathub_directory_init(hub);

    hub->ticked = ngx_current_msec;

    hub->tick.handler = ngx_chathub_hub_tick_handler;
    hub->read.handler = ngx_chathub_reader_handler;
    hub->flush.handler = ngx_chathub_hub_flush_handler;
    hub->hot_flush.handler = ngx_chathub_hub_hot_handler;
    hub->reap.handler = ngx_chathub_hub_reap_handler;

    hub->tick.cancelable = 1;
    hub->hot_flush.cancelable = 1;

    for (i = 0; i < NGX_CHATHUB_EVENTS; i++) {
        ev = ngx_chathub_hub_own_event(hub, i);
        ev->data = hub;
        ev->log = cycle->log;
    }

    ngx_chathub_hub_attach(hub);

    ngx_add_timer(&hub->tick, NGX_CHATHUB_TICK);

    return hub;
}


static ngx_event_t *
ngx_chathub_hub_own_event(ngx_chathub_hub_t *hub, ngx_uint_t i)
{
    ngx_event_t  *events[NGX_CHATHUB_EVENTS] = {
        &hub->tick, &hub->read, &hub->flush, &hub->hot_flush, &hub->reap
    };

    return events[i];
}


/* takes the lock and a slot, or says why not */

static void
ngx_chathub_hub_attach(ngx_chathub_hub_t *hub)
{
    ngx_int_t    rc;
    const char  *was;

    was = hub->reason;

    rc = ngx_chathub_lock_try(hub->conf->lock_fd, hub->log);

    if (rc != NGX_OK) {
        hub->reason = (rc == NGX_DECLINED)
                      ? "the hub belongs to another NGINX"
                      : "the hub's lock cannot be taken";
        goto said;
    }

    rc = ngx_chathub_zone_claim(&hub->zone);

    if (rc == NGX_DECLINED) {
        (void) ngx_chathub_zone_sweep(&hub->zone, NGX_CHATHUB_SWEEP_BUDGET);
        rc = ngx_chathub_zone_claim(&hub->zone);
    }

    if (rc != NGX_OK) {
        hub->reason = (rc == NGX_DECLINED)
                      ? "the hub has too many workers"
                      : "the hub cannot be reached";
        goto said;
    }

    if (ngx_chathub_hub_listen(hub) != NGX_OK) {
        ngx_chathub_hub_detach(hub);
        hub->reason = "the hub cannot listen";
        goto said;
    }

    hub->attached = 1;
    hub->reason = NULL;

    hub->messages = ngx_chathub_log_head(&hub->zone.messages);
    hub->directed = ngx_chathub_log_head(&hub->zone.directed);

    ngx_chathub_wake_cursor(&hub->zone, hub->messages);

    ngx_chathub_directory_scan(hub, 1);
    ngx_chathub_reader_post(hub);

    return;

said:

    if (was != hub->reason) {
        ngx_log_error(NGX_LOG_WARN, hub->log, 0,
                      "chat hub \"%V\" is not available: %s",
                      &hub->conf->name, hub->reason);
    }
}


static ngx_int_t
ngx_chathub_hub_listen(ngx_chathub_hub_t *hub)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(ngx_chathub_wake_fd(&hub->zone), hub->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = hub;
    c->log = hub->log;
    c->read->log = hub->log;
    c->write->log = hub->log;
    c->read->handler = ngx_chathub_hub_bell_handler;

    /* not one of the sockets that NGINX misses at its exit, but told of the
     * quit like an idle connection */

    c->read->channel = 1;
    c->write->channel = 1;
    c->idle = 1;

    if (ngx_add_event(c->read, NGX_READ_EVENT, 0) != NGX_OK) {
        c->idle = 0;
        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
        return NGX_ERROR;
    }

    hub->bell = c;

    return NGX_OK;
}


/* gives slot and lock back; the descriptor stays for who has the slot next */

static void
ngx_chathub_hub_detach(ngx_chathub_hub_t *hub)
{
    ngx_uint_t         last;
    ngx_connection_t  *c;

    c = hub->bell;

    if (c) {
        hub->bell = NULL;
        c->idle = 0;

        if (c->read->active) {
            (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
        }

        if (c->read->posted) {
            ngx_delete_posted_event(c->read);
        }

        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
    }

    hub->attached = 0;

    ngx_chathub_zone_release(&hub->zone, &last);

    if (last) {
        ngx_chathub_lock_release(hub->conf->lock_fd, hub->log);
    }
}


static void
ngx_chathub_hub_free(ngx_chathub_hub_t *hub)
{
    if (hub->hello.data) {
        ngx_free(hub->hello.data);
    }

    if (hub->positions) {
        ngx_free(hub->positions);
    }

    if (hub->buf) {
        ngx_free(hub->buf);
    }

    ngx_free(hub);
}


ngx_int_t
ngx_chathub_hub_available(ngx_chathub_hub_t *hub, const char **reason)
{
    if (hub->draining) {
        *reason = "the server is restarting";
        return NGX_DECLINED;
    }

    if (hub->reason) {
        *reason = hub->reason;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* Its events. */


static void
ngx_chathub_hub_bell_handler(ngx_event_t *rev)
{
    ngx_connection_t   *c;
    ngx_chathub_hub_t  *hub;

    c = rev->data;
    hub = c->data;

    if (c->close) {

        /* NGINX closes its idle connections: the worker is to quit */

        c->close = 0;
        ngx_chathub_hub_drain(hub);

        return;
    }

    ngx_chathub_wake_clear(&hub->zone);
    ngx_chathub_reader_post(hub);
}


static void
ngx_chathub_hub_flush_handler(ngx_event_t *ev)
{
    ngx_int_t               groups, replays;
    ngx_uint_t              budget, answers;
    ngx_chathub_hub_t      *hub;
    ngx_chathub_session_t  *s;

    hub = ev->data;

    replays = ngx_chathub_catchup_run(hub);

    for (answers = NGX_CHATHUB_SLICE_SENDS; answers; answers--) {
        s = ngx_chathub_session_flushing(hub);

        if (s == NULL) {
            break;
        }

        if (s->state == NGX_CHATHUB_SESSION_DEAD) {

            /* it died while it was in this list */

            s->next = hub->dead;
            hub->dead = s;
            ngx_post_event(&hub->reap, &ngx_posted_events);
            continue;
        }

        ngx_chathub_session_flush(s);
    }

    budget = NGX_CHATHUB_SLICE_SENDS;
    groups = ngx_chathub_group_flush(hub, &budget);

    if (groups == NGX_AGAIN || replays == NGX_AGAIN || answers == 0) {

        if (ev->posted) {
            ngx_delete_posted_event(ev);
        }

        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


static void
ngx_chathub_hub_hot_handler(ngx_event_t *ev)
{
    ngx_chathub_group_flush_hot(ev->data);
}


static void
ngx_chathub_hub_reap_handler(ngx_event_t *ev)
{
    ngx_chathub_session_reap(ev->data);
    ngx_chathub_room_reap(ev->data);
}


/* The wheel. */


static void
ngx_chathub_hub_tick_handler(ngx_event_t *ev)
{
    ngx_chathub_hub_t  *hub;

    hub = ev->data;

    ngx_chathub_hub_turn_wheel(hub);

    if (hub->attached) {
        ngx_chathub_hub_undos(hub);
        ngx_chathub_hub_sweep(hub);
        ngx_chathub_presence_tick(hub);
        ngx_chathub_directory_scan(hub, 0);
        ngx_chathub_reader_post(hub);
    }

    if (hub->ticks % NGX_CHATHUB_SECOND == 0) {
        ngx_chathub_hub_second(hub);
    }

    if (hub->draining && hub->sessions == 0) {

        /* nothing holds the worker any more */

        if (hub->attached) {
            ngx_chathub_hub_detach(hub);
        }

        ev->cancelable = 1;
    }

    ngx_add_timer(ev, NGX_CHATHUB_TICK);
}


static void
ngx_chathub_hub_turn_wheel(ngx_chathub_hub_t *hub)
{
    ngx_uint_t              n;
    ngx_queue_t             due, *q;
    ngx_chathub_session_t  *s;

    n = (ngx_current_msec - hub->ticked) / NGX_CHATHUB_TICK;
    n = ngx_min(n, NGX_CHATHUB_WHEEL);

    hub->ticked = (n < NGX_CHATHUB_WHEEL)
                  ? hub->ticked + n * NGX_CHATHUB_TICK : ngx_current_msec;

    for ( /* void */ ; n; n--) {

        hub->ticks++;

        q = &hub->wheel[hub->ticks % NGX_CHATHUB_WHEEL];

        if (ngx_queue_empty(q)) {
            continue;
        }

        ngx_queue_init(&due);
        ngx_queue_add(&due, q);
        ngx_queue_init(q);

        while (!ngx_queue_empty(&due)) {
            q = ngx_queue_head(&due);
            ngx_queue_remove(q);

            s = ngx_queue_data(q, ngx_chathub_session_t, wheel);
            s->wheel.next = NULL;

            ngx_chathub_session_tick(s);
        }
    }
}


/* once a second, and at each tick while dead workers' traces are left */

static void
ngx_chathub_hub_sweep(ngx_chathub_hub_t *hub)
{
    if (hub->sweeps
        && ngx_chathub_zone_sweep(&hub->zone, NGX_CHATHUB_SWEEP_BUDGET)
           == NGX_OK)
    {
        hub->sweeps = 0;
    }
}


static void
ngx_chathub_hub_second(ngx_chathub_hub_t *hub)
{
    if (ngx_process == NGX_PROCESS_WORKER && !hub->orphan
        && getppid() != ngx_parent)
    {
        /* nobody will ever tell this worker to quit */

        hub->orphan = 1;

        ngx_log_error(NGX_LOG_WARN, hub->log, 0,
                      "chat hub \"%V\" is drained: the master process is gone",
                      &hub->conf->name);

        ngx_chathub_hub_drain(hub);
    }

    if (!hub->attached) {

        if (!hub->draining) {
            ngx_chathub_hub_attach(hub);
        }

        return;
    }

    hub->sweeps = 1;
    (void) ngx_chathub_stream_expire(&hub->zone, NGX_CHATHUB_EXPIRE_BUDGET);

    if (hub->draining
        && ngx_chathub_zone_crowded(&hub->zone, hub->conf->workers))
    {
        ngx_chathub_hub_close_all(hub, 1012);
    }
}


/* What must be taken out of the zone. */


void
ngx_chathub_hub_left(ngx_chathub_hub_t *hub, ngx_chathub_room_t *room,
    uint32_t user)
{
    ngx_chathub_undo_t  undo;

    ngx_memzero(&undo, sizeof(ngx_chathub_undo_t));
    undo.what = NGX_CHATHUB_UNDO_MEMBER;
    undo.stream = room->stream;
    undo.stream_id = room->stream_id;
    undo.user = user;

    ngx_chathub_hub_undo(hub, &undo);
}


void
ngx_chathub_hub_undo(ngx_chathub_hub_t *hub, ngx_chathub_undo_t *undo)
{
    ngx_chathub_undo_t  *copy;

    if (ngx_queue_empty(&hub->undos)
        && ngx_chathub_hub_undo_one(hub, undo) == NGX_OK)
    {
        return;
    }

    copy = ngx_alloc(sizeof(ngx_chathub_undo_t), hub->log);

    if (copy == NULL) {

        /* it stays in the tables until this worker's slot is swept */

        return;
    }

    *copy = *undo;
    ngx_queue_insert_tail(&hub->undos, &copy->queue);
}


static void
ngx_chathub_hub_undos(ngx_chathub_hub_t *hub)
{
    ngx_queue_t         *q;
    ngx_chathub_undo_t  *undo;

    while (!ngx_queue_empty(&hub->undos)) {
        q = ngx_queue_head(&hub->undos);
        undo = ngx_queue_data(q, ngx_chathub_undo_t, queue);

        if (ngx_chathub_hub_undo_one(hub, undo) != NGX_OK) {
            return;
        }

        ngx_queue_remove(q);
        ngx_free(undo);
    }
}


static ngx_int_t
ngx_chathub_hub_undo_one(ngx_chathub_hub_t *hub, ngx_chathub_undo_t *undo)
{
    ngx_int_t               rc;
    ngx_uint_t              last, count, changed;
    ngx_chathub_slotset_t   ring;

    switch (undo->what) {

    case NGX_CHATHUB_UNDO_MEMBER:
        last = (ngx_chathub_room_find(hub, undo->stream, undo->stream_id)
                == NULL);

        rc = ngx_chathub_member_leave(&hub->zone, undo->stream,
                                      undo->stream_id, undo->user, last,
                                      &count, &changed, &ring);

        if (rc == NGX_OK && changed) {
            ngx_chathub_wake(&hub->zone, &ring);
            ngx_chathub_reader_post(hub);
        }

        break;

    case NGX_CHATHUB_UNDO_USER:
        rc = ngx_chathub_user_offline(&hub->zone, undo->user);
        break;

    default:
        rc = ngx_chathub_addr_del(&hub->zone, undo->addr);
    }

    return (rc == NGX_AGAIN) ? NGX_AGAIN : NGX_OK;
}


/* The end. */


/* the worker quits: its clients are told to go elsewhere, not all at once */

static void
ngx_chathub_hub_drain(ngx_chathub_hub_t *hub)
{
    ngx_uint_t               i;
    ngx_msec_t               window;
    const char              *reason;
    ngx_chathub_session_t   *s;

    if (hub->draining) {
        return;
    }

    hub->draining = 1;

    /* this one timer holds the worker until its last session is gone */

    hub->tick.cancelable = 0;

    if (!hub->attached) {
        return;
    }

    ngx_chathub_zone_drain(&hub->zone);

    reason = ngx_chathub_hub_bye_reason(hub);

    for (i = hub->everybody.n; i > 0; i--) {
        s = hub->everybody.places[i - 1]->session;

        /* a thousand a second, in two seconds at least, and always within
         * the time that they have */

        window = ngx_max(hub->everybody.n, 2000);
        window = ngx_min(window, s->policy->drain * 4 / 5);

        ngx_chathub_hub_bye(s, reason,
                            window ? (ngx_msec_t) ngx_random() % window : 0);
    }
}


static void
ngx_chathub_hub_bye(ngx_chathub_session_t *s, const char *reason,
    ngx_msec_t delay)
{
    u_char     buf[128];
    ngx_str_t  data;

    data.data = buf;
    data.len = ngx_sprintf(buf, "{\"reason\":\"%s\",\"reconnect_in_ms\":%M}",
                           reason, delay)
               - buf;

    ngx_chathub_session_event(s, NGX_CHATHUB_OUT_BYE, NGX_CHATHUB_NO_REF,
                              &data);

    if (s->state == NGX_CHATHUB_SESSION_OPEN) {
        s->bye = 1;
        ngx_chathub_session_wait(s, delay);
    }
}


/* a configuration came after this worker's, so others take its place */

static const char *
ngx_chathub_hub_bye_reason(ngx_chathub_hub_t *hub)
{
    return (ngx_chathub_zone_cycle(&hub->zone) != hub->generation)
           ? "reload" : "shutdown";
}


static void
ngx_chathub_hub_close_all(ngx_chathub_hub_t *hub, ngx_uint_t code)
{
    ngx_chathub_session_t  *s;

    while (hub->everybody.n) {
        s = hub->everybody.places[hub->everybody.n - 1]->session;
        ngx_chathub_session_close(s, code, "the server is restarting");
    }
}


void
ngx_chathub_hub_exit(ngx_chathub_hub_t *hub)
{
    ngx_uint_t              i;
    const char             *reason;
    ngx_event_t            *ev;
    ngx_queue_t            *q;
    ngx_chathub_undo_t     *undo;
    ngx_chathub_session_t  *s;

    if (hub->attached) {
        reason = ngx_chathub_hub_bye_reason(hub);

        for (i = hub->everybody.n; i > 0; i--) {
            s = hub->everybody.places[i - 1]->session;
            ngx_chathub_hub_bye(s, reason, 1000);
        }

        ngx_chathub_hub_close_all(hub,
                                  (*reason == 'r') ? 1012 : 1001);
    }

    /* one try each to get the words out, nobody waits for an answer */

    while ((s = ngx_chathub_session_flushing(hub)) != NULL) {

        if (s->state != NGX_CHATHUB_SESSION_DEAD) {
            ngx_chathub_session_flush(s);
            ngx_chathub_session_die(s);

        } else {
            s->next = hub->dead;
            hub->dead = s;
        }
    }

    for (i = 0; i < NGX_CHATHUB_WHEEL; i++) {
        while (!ngx_queue_empty(&hub->wheel[i])) {
            q = ngx_queue_head(&hub->wheel[i]);
            s = ngx_queue_data(q, ngx_chathub_session_t, wheel);
            ngx_chathub_session_die(s);
        }
    }

    ngx_chathub_session_reap(hub);
    ngx_chathub_room_reap(hub);

    /* what is left in the tables goes with the slot */

    if (hub->attached) {
        ngx_chathub_hub_detach(hub);
    }

    while (!ngx_queue_empty(&hub->undos)) {
        q = ngx_queue_head(&hub->undos);
        undo = ngx_queue_data(q, ngx_chathub_undo_t, queue);
        ngx_queue_remove(q);
        ngx_free(undo);
    }

    for (i = 0; i < NGX_CHATHUB_EVENTS; i++) {
        ev = ngx_chathub_hub_own_event(hub, i);

        if (ev->timer_set) {
            ngx_del_timer(ev);
        }

        if (ev->posted) {
            ngx_delete_posted_event(ev);
        }
    }

    ngx_chathub_directory_free(hub);
    ngx_chathub_group_free(&hub->everybody);
    ngx_chathub_hub_free(hub);
}
