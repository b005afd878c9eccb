
/*
 * Copyright (C) ChatHub contributors
 */


#include "ngx_http_chathub.h"
#include "ngx_chathub_life.h"
#include "ngx_chathub_store.h"
#include "ngx_chathub_zone.h"


#define NGX_HTTP_CHATHUB_HUB_NAME_MAX   32
#define NGX_HTTP_CHATHUB_ZONE           (64 * 1024 * 1024)

/* what a record holds besides a client's message: names, id, its header */
#define NGX_HTTP_CHATHUB_RECORD_EXTRA   2048


/* a directive inside of "chathub_hub", always with one value */

typedef struct {
    ngx_str_t     name;
    char       *(*set)(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
    ngx_uint_t    offset;
    void         *post;
} ngx_http_chathub_setting_t;


static ngx_int_t ngx_http_chathub_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_chathub_check_front(ngx_conf_t *cf,
    ngx_http_chathub_main_conf_t *hmcf, ngx_http_chathub_front_t *front);
static ngx_int_t ngx_http_chathub_check_reload(ngx_conf_t *cf,
    ngx_http_chathub_hub_t *hub);
static ngx_shm_zone_t *ngx_http_chathub_next_zone(ngx_list_part_t **part,
    ngx_uint_t *i);
static ngx_http_chathub_hub_t *ngx_http_chathub_find(
    ngx_http_chathub_main_conf_t *hmcf, ngx_str_t *name);

static void *ngx_http_chathub_create_main_conf(ngx_conf_t *cf);

static char *ngx_http_chathub_hub_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_chathub_hub_setting(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf);
static char *ngx_http_chathub_hub_init(ngx_conf_t *cf,
    ngx_http_chathub_hub_t *hub);
static char *ngx_http_chathub_hub_paths(ngx_conf_t *cf,
    ngx_http_chathub_hub_t *hub);
static char *ngx_http_chathub_node(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_chathub_store(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

static char *ngx_http_chathub_websocket(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

static ngx_int_t ngx_http_chathub_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static void ngx_http_chathub_cleanup(void *data);
static ngx_int_t ngx_http_chathub_init_module(ngx_cycle_t *cycle);
static void ngx_http_chathub_drop_hubs(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_chathub_init_process(ngx_cycle_t *cycle);
static void ngx_http_chathub_exit_process(ngx_cycle_t *cycle);


static ngx_conf_num_bounds_t  ngx_http_chathub_count_bounds = {
    ngx_conf_check_num_bounds, 1, NGX_HTTP_CHATHUB_COUNT_MAX
};

static ngx_conf_post_t  ngx_http_chathub_size_post = {
    ngx_http_chathub_check_size
};


static ngx_http_chathub_setting_t  ngx_http_chathub_settings[] = {

    { ngx_string("zone"),
      ngx_conf_set_size_slot,
      offsetof(ngx_http_chathub_hub_t, conf.zone_size),
      NULL },

    { ngx_string("node"),
      ngx_http_chathub_node,
      0,
      NULL },

    { ngx_string("store"),
      ngx_http_chathub_store,
      0,
      NULL },

    { ngx_string("replay"),
      ngx_conf_set_num_slot,
      offsetof(ngx_http_chathub_hub_t, conf.replay),
      &ngx_http_chathub_count_bounds },

    { ngx_string("dedupe_window"),
      ngx_conf_set_msec_slot,
      offsetof(ngx_http_chathub_hub_t, conf.dedupe_window),
      NULL },

    { ngx_null_string, NULL, 0, NULL }
};


static ngx_command_t  ngx_http_chathub_commands[] = {

    { ngx_string("chathub_hub"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_chathub_hub_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("chathub_websocket"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_chathub_websocket,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("chathub_user"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_chathub_loc_conf_t, user),
      NULL },

    { ngx_string("chathub_guest"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_chathub_loc_conf_t, policy.guest),
      NULL },

    { ngx_string("chathub_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_chathub_origins,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("chathub_ping"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_chathub_ping,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("chathub_max_message"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_chathub_loc_conf_t, policy.max_message),
      &ngx_http_chathub_size_post },

    { ngx_string("chathub_max_rooms"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_chathub_loc_conf_t, policy.max_rooms),
      &ngx_http_chathub_count_bounds },

    { ngx_string("chathub_max_connections"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE13,
      ngx_http_chathub_max_connections,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("chathub_rate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_chathub_rate,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("chathub_send_queue"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_chathub_loc_conf_t, policy.send_queue),
      NULL },

    { ngx_string("chathub_drain"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_chathub_loc_conf_t, policy.drain),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_chathub_module_ctx = {
    ngx_http_chathub_add_variables,        /* preconfiguration */
    ngx_http_chathub_postconfiguration,    /* postconfiguration */

    ngx_http_chathub_create_main_conf,     /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_chathub_create_loc_conf,      /* create location configuration */
    ngx_http_chathub_merge_loc_conf        /* merge location configuration */
};


ngx_module_t  ngx_http_chathub_module = {
    NGX_MODULE_V1,
    &ngx_http_chathub_module_ctx,          /* module context */
    ngx_http_chathub_commands,             /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_chathub_init_module,          /* init module */
    ngx_http_chathub_init_process,         /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_chathub_exit_process,         /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* The life of a zone and of the processes. */


static ngx_int_t
ngx_http_chathub_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_chathub_hub_t  *old = data;

    ngx_slab_pool_t         *shpool;
    ngx_core_conf_t         *ccf;
    ngx_http_chathub_hub_t  *hub;

    hub = shm_zone->data;
    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    /* "worker_processes" may stand behind "http" in the file */

    ccf = (ngx_core_conf_t *) ngx_get_conf(hub->cycle->conf_ctx,
                                           ngx_core_module);

    hub->conf.workers = ccf->master ? (ngx_uint_t) ccf->worker_processes : 1;

    if (old) {
        hub->life = old->life;
        hub->life->refs++;

    } else {
        hub->life = ngx_chathub_life_create(shpool, hub->conf.workers,
                                            hub->conf.store->durable,
                                            &hub->lock_path,
                                            shm_zone->shm.log);
        if (hub->life == NULL) {
            return NGX_ERROR;
        }
    }

    hub->conf.base = hub->life->base;
    hub->conf.size = hub->life->size;
    hub->conf.mutex = &shpool->mutex;
    hub->conf.lock_fd = hub->life->lock_fd;

    return NGX_OK;
}


/* the configuration goes, or never came into force */

static void
ngx_http_chathub_cleanup(void *data)
{
    ngx_http_chathub_hub_t  *hub = data;

    if (hub->life) {
        ngx_chathub_life_release(hub->life);
    }
}


/* the configuration is in force */

static ngx_int_t
ngx_http_chathub_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_http_chathub_hub_t        **hub;
    ngx_http_chathub_front_t      **front;
    ngx_http_chathub_main_conf_t   *hmcf;

    if (ngx_process == NGX_PROCESS_SINGLE
        && !ngx_is_init_cycle(cycle->old_cycle))
    {
        ngx_http_chathub_drop_hubs(cycle);
    }

    hmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_chathub_module);

    if (hmcf == NULL) {
        return NGX_OK;
    }

    hub = hmcf->hubs.elts;

    for (i = 0; i < hmcf->hubs.nelts; i++) {

        if (ngx_chathub_life_new_cycle(hub[i]->life,
                                       (ngx_slab_pool_t *)
                                       hub[i]->shm_zone->shm.addr,
                                       cycle->log)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    front = hmcf->fronts.elts;

    for (i = 0; i < hmcf->fronts.nelts; i++) {

        /* now, as a default log is opened behind the merging */

        front[i]->log = *front[i]->clcf->error_log;
        front[i]->log.handler = NULL;
        front[i]->log.data = NULL;
        front[i]->log.connection = 0;
        front[i]->log.action = "serving a chat connection";
    }

    return NGX_OK;
}


/*
 * In a single process there is no exit_process at a reload, and the zones that
 * the new configuration does not have are about to be unmapped.
 */

static void
ngx_http_chathub_drop_hubs(ngx_cycle_t *cycle)
{
    ngx_uint_t               i, n;
    ngx_shm_zone_t          *before, *zone;
    ngx_list_part_t         *old, *part;
    ngx_http_chathub_hub_t  *hub;

    old = &cycle->old_cycle->shared_memory.part;
    i = 0;

    while ((before = ngx_http_chathub_next_zone(&old, &i)) != NULL) {

        part = &cycle->shared_memory.part;
        n = 0;

        do {
            zone = ngx_http_chathub_next_zone(&part, &n);
        } while (zone && zone->shm.addr != before->shm.addr);

        hub = before->data;

        if (zone == NULL && hub->life->hub) {
            ngx_chathub_hub_exit(hub->life->hub);
            hub->life->hub = NULL;
        }
    }
}


static ngx_int_t
ngx_http_chathub_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_http_chathub_hub_t        **hub;
    ngx_http_chathub_main_conf_t   *hmcf;

    /* the cache manager and loader come here too */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    hmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_chathub_module);

    if (hmcf == NULL) {
        return NGX_OK;
    }

    hub = hmcf->hubs.elts;

    for (i = 0; i < hmcf->hubs.nelts; i++) {

        /* without memory now, the first client tries again */

        (void) ngx_http_chathub_hub(hub[i], 1);
    }

    return NGX_OK;
}


ngx_chathub_hub_t *
ngx_http_chathub_hub(ngx_http_chathub_hub_t *hub, ngx_uint_t make)
{
    if (hub->life->hub == NULL && make) {
        hub->life->hub = ngx_chathub_hub_create(&hub->conf, hub->cycle);
    }

    return hub->life->hub;
}


static void
ngx_http_chathub_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_http_chathub_hub_t        **hub;
    ngx_http_chathub_main_conf_t   *hmcf;

    hmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_chathub_module);

    if (hmcf == NULL) {
        return;
    }

    hub = hmcf->hubs.elts;

    for (i = 0; i < hmcf->hubs.nelts; i++) {

        if (hub[i]->life->hub) {
            ngx_chathub_hub_exit(hub[i]->life->hub);
            hub[i]->life->hub = NULL;
        }
    }
}


/* Configuration. */


static void *
ngx_http_chathub_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_chathub_main_conf_t  *hmcf;

    hmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_chathub_main_conf_t));
    if (hmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&hmcf->hubs, cf->pool, 1,
                       sizeof(ngx_http_chathub_hub_t *))
        != NGX_OK
        || ngx_array_init(&hmcf->fronts, cf->pool, 4,
                          sizeof(ngx_http_chathub_front_t *))
           != NGX_OK)
    {
        return NULL;
    }

    return hmcf;
}


static ngx_int_t
ngx_http_chathub_postconfiguration(ngx_conf_t *cf)
{
    ngx_uint_t                      i;
    ngx_http_chathub_hub_t        **hub;
    ngx_http_chathub_front_t      **front;
    ngx_http_chathub_main_conf_t   *hmcf;

    hmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_chathub_module);

    front = hmcf->fronts.elts;

    for (i = 0; i < hmcf->fronts.nelts; i++) {

        if (ngx_http_chathub_check_front(cf, hmcf, front[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    hub = hmcf->hubs.elts;

    for (i = 0; i < hmcf->hubs.nelts; i++) {

        ngx_conf_init_msec_value(hub[i]->conf.drain, NGX_HTTP_CHATHUB_DRAIN);

        if (ngx_http_chathub_check_reload(cf, hub[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* what depends on several directives, in any order in the file */

static ngx_int_t
ngx_http_chathub_check_front(ngx_conf_t *cf,
    ngx_http_chathub_main_conf_t *hmcf, ngx_http_chathub_front_t *front)
{
    size_t                   record;
    ngx_chathub_policy_t    *policy;
    ngx_http_chathub_hub_t  *hub;

    hub = ngx_http_chathub_find(hmcf, &front->hub_name);

    if (hub == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown hub \"%V\", it must be one that a "
                      "\"chathub_hub\" in \"http\" defines, in %s:%ui",
                      &front->hub_name, front->file, front->line);
        return NGX_ERROR;
    }

    front->hub = hub;
    policy = &front->conf->policy;

    if (hub->conf.drain == NGX_CONF_UNSET_MSEC
        || hub->conf.drain < policy->drain)
    {
        hub->conf.drain = policy->drain;
    }

    if (policy->send_queue / 2 < policy->max_message) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"chathub_send_queue\" of %uz bytes must be at least "
                      "twice \"chathub_max_message\" of %uz bytes, in %s:%ui",
                      policy->send_queue, policy->max_message,
                      front->file, front->line);
        return NGX_ERROR;
    }

    record = policy->max_message + NGX_HTTP_CHATHUB_RECORD_EXTRA;

    if (ngx_chathub_zone_max_record(ngx_chathub_life_area(hub->conf.zone_size))
        < record)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"zone\" of hub \"%V\" must be at least %uzm for a "
                      "\"chathub_max_message\" of %uz bytes, in %s:%ui",
                      &hub->conf.name, ngx_chathub_life_zone(record) >> 20,
                      policy->max_message, front->file, front->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * NGINX would answer another size with a new zone, in which the clients that
 * come do not meet those that are there, and with seqs that begin anew.
 */

static ngx_int_t
ngx_http_chathub_check_reload(ngx_conf_t *cf, ngx_http_chathub_hub_t *hub)
{
    ngx_uint_t        i;
    ngx_cycle_t      *old;
    ngx_shm_zone_t   *zone, *before;
    ngx_list_part_t  *part;

    old = cf->cycle->old_cycle;

    if (ngx_is_init_cycle(old)) {
        return NGX_OK;
    }

    zone = hub->shm_zone;
    part = &old->shared_memory.part;
    i = 0;

    while ((before = ngx_http_chathub_next_zone(&part, &i)) != NULL) {

        if (before->shm.name.len != zone->shm.name.len
            || ngx_strncmp(before->shm.name.data, zone->shm.name.data,
                           zone->shm.name.len)
               != 0)
        {
            continue;
        }

        if (before->shm.size == zone->shm.size) {
            return NGX_OK;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"zone\" of hub \"%V\" cannot be changed from %uz to "
                      "%uz bytes by a reload, a restart is needed, in %s:%ui",
                      &hub->conf.name, before->shm.size, zone->shm.size,
                      hub->file, hub->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Zones of another configuration that are this module's.  Those that carry
 * its address as their tag are: a module that was replaced on the disk is
 * loaded beside the old one, and neither may read the other's structs.
 */

static ngx_shm_zone_t *
ngx_http_chathub_next_zone(ngx_list_part_t **part, ngx_uint_t *i)
{
    ngx_shm_zone_t  *zone;

    for ( /* void */ ; *part; *part = (*part)->next, *i = 0) {
        zone = (*part)->elts;

        while (*i < (*part)->nelts) {

            if (zone[(*i)++].tag == &ngx_http_chathub_module) {
                return &zone[*i - 1];
            }
        }
    }

    return NULL;
}


static ngx_http_chathub_hub_t *
ngx_http_chathub_find(ngx_http_chathub_main_conf_t *hmcf, ngx_str_t *name)
{
    ngx_uint_t                i;
    ngx_http_chathub_hub_t  **hub;

    hub = hmcf->hubs.elts;

    for (i = 0; i < hmcf->hubs.nelts; i++) {

        if (hub[i]->conf.name.len == name->len
            && ngx_strncmp(hub[i]->conf.name.data, name->data, name->len) == 0)
        {
            return hub[i];
        }
    }

    return NULL;
}


/* "chathub_hub" and what it contains */


static char *
ngx_http_chathub_hub_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_chathub_main_conf_t  *hmcf = conf;

    char                     *rv;
    u_char                   *p, *last;
    ngx_str_t                *value;
    ngx_conf_t                save;
    ngx_http_chathub_hub_t   *hub, *other, **slot;

    value = cf->args->elts;
    last = value[1].data + value[1].len;

    for (p = value[1].data; p < last; p++) {

        if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')
            || (*p >= '0' && *p <= '9') || *p == '_' || *p == '-')
        {
            continue;
        }

        break;
    }

    if (p != last || value[1].len == 0
        || value[1].len > NGX_HTTP_CHATHUB_HUB_NAME_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid hub name \"%V\", it must be 1 to %d of "
                           "A-Z, a-z, 0-9, \"_\" and \"-\"",
                           &value[1], NGX_HTTP_CHATHUB_HUB_NAME_MAX);
        return NGX_CONF_ERROR;
    }

    other = ngx_http_chathub_find(hmcf, &value[1]);

    if (other) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate hub \"%V\", it is defined in %s:%ui",
                           &value[1], other->file, other->line);
        return NGX_CONF_ERROR;
    }

    hub = ngx_pcalloc(cf->pool, sizeof(ngx_http_chathub_hub_t));
    if (hub == NULL) {
        return NGX_CONF_ERROR;
    }

    hub->conf.drain = NGX_CONF_UNSET_MSEC;
    hub->conf.name = value[1];
    hub->conf.zone_size = NGX_CONF_UNSET_SIZE;
    hub->conf.replay = NGX_CONF_UNSET_UINT;
    hub->conf.dedupe_window = NGX_CONF_UNSET_MSEC;
    hub->cycle = cf->cycle;
    hub->file = cf->conf_file->file.name.data;
    hub->line = cf->conf_file->line;

    slot = ngx_array_push(&hmcf->hubs);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = hub;

    save = *cf;
    cf->handler = ngx_http_chathub_hub_setting;
    cf->handler_conf = (char *) hub;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_chathub_hub_init(cf, hub);
}


static char *
ngx_http_chathub_hub_setting(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    char                        *rv;
    ngx_str_t                   *value;
    ngx_command_t                cmd;
    ngx_http_chathub_setting_t  *set;

    value = cf->args->elts;

    if (ngx_strcmp(value[0].data, "include") == 0 && cf->args->nelts == 2) {
        return ngx_conf_include(cf, dummy, conf);
    }

    for (set = ngx_http_chathub_settings; set->name.len; set++) {

        if (value[0].len != set->name.len
            || ngx_strcmp(value[0].data, set->name.data) != 0)
        {
            continue;
        }

        if (cf->args->nelts != 2) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number of arguments in \"%V\" "
                               "directive, it takes one", &value[0]);
            return NGX_CONF_ERROR;
        }

        ngx_memzero(&cmd, sizeof(ngx_command_t));
        cmd.name = set->name;
        cmd.offset = set->offset;
        cmd.post = set->post;

        rv = set->set(cf, &cmd, conf);

        if (rv != NGX_CONF_OK && rv != NGX_CONF_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" directive %s",
                               &value[0], rv);
            return NGX_CONF_ERROR;
        }

        return rv;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown directive \"%V\" in \"chathub_hub\", it may "
                       "be \"zone\", \"node\", \"store\", \"replay\" or "
                       "\"dedupe_window\"", &value[0]);
    return NGX_CONF_ERROR;
}


static char *
ngx_http_chathub_hub_init(ngx_conf_t *cf, ngx_http_chathub_hub_t *hub)
{
    size_t               area;
    ngx_str_t            name;
    ngx_pool_cleanup_t  *cln;
    static ngx_str_t     off = ngx_string("off");

    ngx_conf_init_size_value(hub->conf.zone_size, NGX_HTTP_CHATHUB_ZONE);
    ngx_conf_init_uint_value(hub->conf.replay, 10000);
    ngx_conf_init_msec_value(hub->conf.dedupe_window, 300000);

    if (hub->conf.node.len == 0) {
        hub->conf.node = cf->cycle->hostname;
    }

    if (hub->conf.store == NULL) {
        hub->conf.store = ngx_chathub_store_find(&off);
    }

    area = ngx_chathub_life_area(hub->conf.zone_size);

    if (area < ngx_chathub_zone_min_size(NGX_HTTP_CHATHUB_RECORD_EXTRA)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"zone\" of hub \"%V\" is too small, it must be "
                           "at least %uzm", &hub->conf.name,
                           ngx_chathub_life_zone(NGX_HTTP_CHATHUB_RECORD_EXTRA)
                           >> 20);
        return NGX_CONF_ERROR;
    }

    name.len = sizeof("chathub:") - 1 + hub->conf.name.len;
    name.data = ngx_pnalloc(cf->pool, name.len);
    if (name.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_sprintf(name.data, "chathub:%V", &hub->conf.name);

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_chathub_cleanup;
    cln->data = hub;

    hub->shm_zone = ngx_shared_memory_add(cf, &name, hub->conf.zone_size,
                                          &ngx_http_chathub_module);
    if (hub->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    hub->shm_zone->init = ngx_http_chathub_init_zone;
    hub->shm_zone->data = hub;

    return ngx_http_chathub_hub_paths(cf, hub);
}


/* NGINX makes the folder, for the workers' user, as it does its own */

static char *
ngx_http_chathub_hub_paths(ngx_conf_t *cf, ngx_http_chathub_hub_t *hub)
{
    ngx_path_t  *path;

    path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (path == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_str_set(&path->name, "chathub");

    if (ngx_conf_full_name(cf->cycle, &path->name, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    path->conf_file = hub->file;
    path->line = hub->line;

    hub->lock_path.len = path->name.len + 1 + hub->conf.name.len
                         + sizeof(".lock") - 1;
    hub->lock_path.data = ngx_pnalloc(cf->pool, hub->lock_path.len + 1);
    if (hub->lock_path.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_sprintf(hub->lock_path.data, "%V/%V.lock%Z", &path->name,
                &hub->conf.name);

    if (ngx_add_path(cf, &path) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_chathub_node(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_chathub_hub_t  *hub = conf;

    ngx_str_t  *value;

    if (hub->conf.node.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_chathub_message_check_name(&value[1]) != NGX_OK) {
        return "must be 1 to 128 bytes of UTF-8 without control characters";
    }

    hub->conf.node = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_http_chathub_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_chathub_hub_t  *hub = conf;

    ngx_str_t  *value;

    if (hub->conf.store) {
        return "is duplicate";
    }

    value = cf->args->elts;

    hub->conf.store = ngx_chathub_store_find(&value[1]);

    if (hub->conf.store == NULL) {
        return "may only be \"off\" in this version, which keeps messages in "
               "memory alone";
    }

    return NGX_CONF_OK;
}


/* directives of locations */


static char *
ngx_http_chathub_websocket(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_chathub_loc_conf_t  *hlcf = conf;

    ngx_str_t                      *value;
    ngx_http_chathub_front_t       *front, **slot;
    ngx_http_chathub_main_conf_t   *hmcf;

    if (hlcf->front) {
        return "is duplicate";
    }

    front = ngx_pcalloc(cf->pool, sizeof(ngx_http_chathub_front_t));
    if (front == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    ngx_str_set(&front->transport, "websocket");
    front->hub_name = value[1];
    front->conf = hlcf;
    front->clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    front->file = cf->conf_file->file.name.data;
    front->line = cf->conf_file->line;

    front->clcf->handler = ngx_http_chathub_websocket_handler;

    hmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_chathub_module);

    slot = ngx_array_push(&hmcf->fronts);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = front;
    hlcf->front = front;

    return NGX_CONF_OK;
}
