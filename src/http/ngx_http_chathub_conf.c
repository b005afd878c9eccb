
/*
 * Copyright (C) ChatHub contributors
 */


/* what can be set in "http", "server" and "location" alike */


#include "ngx_http_chathub.h"


#define NGX_HTTP_CHATHUB_MESSAGE_MIN  256
#define NGX_HTTP_CHATHUB_MESSAGE_MAX  (1024 * 1024 * 1024)
#define NGX_HTTP_CHATHUB_PING_MIN     100    /* ms */


static ngx_int_t ngx_http_chathub_check_origin(ngx_str_t *value);


void *
ngx_http_chathub_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_chathub_loc_conf_t  *hlcf;

    hlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_chathub_loc_conf_t));
    if (hlcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     hlcf->front = NULL;
     *     hlcf->origins = NULL;
     */

    hlcf->user = NGX_CONF_UNSET_PTR;
    hlcf->origin_any = NGX_CONF_UNSET;
    hlcf->origin_same = NGX_CONF_UNSET;

    hlcf->policy.guest = NGX_CONF_UNSET;
    hlcf->policy.max_message = NGX_CONF_UNSET_SIZE;
    hlcf->policy.send_queue = NGX_CONF_UNSET_SIZE;
    hlcf->policy.max_rooms = NGX_CONF_UNSET_UINT;
    hlcf->policy.rate = NGX_CONF_UNSET_UINT;
    hlcf->policy.burst = NGX_CONF_UNSET_UINT;
    hlcf->policy.max_connections = NGX_CONF_UNSET_UINT;
    hlcf->policy.max_per_address = NGX_CONF_UNSET_UINT;
    hlcf->policy.ping_interval = NGX_CONF_UNSET_MSEC;
    hlcf->policy.ping_timeout = NGX_CONF_UNSET_MSEC;
    hlcf->policy.drain = NGX_CONF_UNSET_MSEC;

    return hlcf;
}


char *
ngx_http_chathub_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_chathub_loc_conf_t  *prev = parent;
    ngx_http_chathub_loc_conf_t  *conf = child;

    /* for an "if" inside of the location */

    if (conf->front == NULL) {
        conf->front = prev->front;
    }

    ngx_conf_merge_ptr_value(conf->user, prev->user, NULL);

    if (conf->origin_any == NGX_CONF_UNSET) {
        conf->origins = prev->origins;
    }

    ngx_conf_merge_value(conf->origin_any, prev->origin_any, 0);
    ngx_conf_merge_value(conf->origin_same, prev->origin_same, 1);

    ngx_conf_merge_value(conf->policy.guest, prev->policy.guest, 0);
    ngx_conf_merge_size_value(conf->policy.max_message,
                              prev->policy.max_message, 1024 * 1024);
    ngx_conf_merge_size_value(conf->policy.send_queue,
                              prev->policy.send_queue, 2 * 1024 * 1024);
    ngx_conf_merge_uint_value(conf->policy.max_rooms, prev->policy.max_rooms,
                              100);
    ngx_conf_merge_uint_value(conf->policy.rate, prev->policy.rate, 0);
    ngx_conf_merge_uint_value(conf->policy.burst, prev->policy.burst, 0);
    ngx_conf_merge_uint_value(conf->policy.max_connections,
                              prev->policy.max_connections, 0);
    ngx_conf_merge_uint_value(conf->policy.max_per_address,
                              prev->policy.max_per_address, 0);
    ngx_conf_merge_msec_value(conf->policy.ping_interval,
                              prev->policy.ping_interval, 25000);
    ngx_conf_merge_msec_value(conf->policy.ping_timeout,
                              prev->policy.ping_timeout, 20000);
    ngx_conf_merge_msec_value(conf->policy.drain, prev->policy.drain,
                              NGX_HTTP_CHATHUB_DRAIN);

    return NGX_CONF_OK;
}


char *
ngx_http_chathub_origins(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_chathub_loc_conf_t  *hlcf = conf;

    ngx_str_t   *value, *origin;
    ngx_uint_t   i;

    if (hlcf->origin_any != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    hlcf->origin_any = 0;
    hlcf->origin_same = 0;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "*") == 0 && cf->args->nelts == 2) {
            hlcf->origin_any = 1;
            continue;
        }

        if (ngx_strcmp(value[i].data, "same") == 0) {
            hlcf->origin_same = 1;
            continue;
        }

        if (ngx_http_chathub_check_origin(&value[i]) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid origin \"%V\", it must be "
                               "\"scheme://host[:port]\", \"same\", or \"*\" "
                               "alone", &value[i]);
            return NGX_CONF_ERROR;
        }

        if (hlcf->origins == NULL) {
            hlcf->origins = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
            if (hlcf->origins == NULL) {
                return NGX_CONF_ERROR;
            }
        }

        origin = ngx_array_push(hlcf->origins);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }

        *origin = value[i];
    }

    return NGX_CONF_OK;
}


/* as browsers write it: no path, no default port */

static ngx_int_t
ngx_http_chathub_check_origin(ngx_str_t *value)
{
    u_char  *p, *last, *host;

    host = (u_char *) ngx_strstr(value->data, "://");

    if (host == NULL || host == value->data) {
        return NGX_ERROR;
    }

    host += sizeof("://") - 1;
    last = value->data + value->len;

    if (host == last) {
        return NGX_ERROR;
    }

    for (p = host; p < last; p++) {

        if (*p <= ' ' || *p >= 0x7f || ngx_strchr("/?#@,*\"\\", *p)) {
            return NGX_ERROR;
        }
    }

    if ((ngx_strncasecmp(value->data, (u_char *) "https://", 8) == 0
         && last - host > 4 && ngx_strncmp(last - 4, ":443", 4) == 0))
    {
        value->len -= 4;
    }

    if ((ngx_strncasecmp(value->data, (u_char *) "http://", 7) == 0
         && last - host > 3 && ngx_strncmp(last - 3, ":80", 3) == 0))
    {
        value->len -= 3;
    }

    return NGX_OK;
}


char *
ngx_http_chathub_ping(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_chathub_loc_conf_t  *hlcf = conf;

    ngx_int_t   interval, timeout;
    ngx_str_t  *value;

    if (hlcf->policy.ping_interval != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    interval = ngx_parse_time(&value[1], 0);
    timeout = ngx_parse_time(&value[2], 0);

    if (interval == NGX_ERROR || timeout == NGX_ERROR
        || interval < NGX_HTTP_CHATHUB_PING_MIN
        || timeout < NGX_HTTP_CHATHUB_PING_MIN)
    {
        return "takes an interval and a timeout of at least 100ms each";
    }

    hlcf->policy.ping_interval = interval;
    hlcf->policy.ping_timeout = timeout;

    return NGX_CONF_OK;
}


char *
ngx_http_chathub_max_connections(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_chathub_loc_conf_t  *hlcf = conf;

    ngx_int_t    n;
    ngx_str_t   *value;
    ngx_uint_t  *limit;

    value = cf->args->elts;
    limit = &hlcf->policy.max_connections;

    if (cf->args->nelts == 4) {

        if (ngx_strcmp(value[2].data, "per") != 0
            || ngx_strcmp(value[3].data, "address") != 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V %V\", it may only be "
                               "\"per address\" in this version",
                               &value[2], &value[3]);
            return NGX_CONF_ERROR;
        }

        limit = &hlcf->policy.max_per_address;
    }

    if (*limit != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR || n > NGX_MAX_INT32_VALUE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number \"%V\", it must be 0 (no limit) "
                           "to %d", &value[1], NGX_MAX_INT32_VALUE);
        return NGX_CONF_ERROR;
    }

    *limit = n;

    return NGX_CONF_OK;
}


char *
ngx_http_chathub_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_chathub_loc_conf_t  *hlcf = conf;

    ngx_int_t   rate, burst;
    ngx_str_t  *value;

    if (hlcf->policy.rate != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    rate = NGX_ERROR;

    if (value[1].len > 3
        && ngx_strcmp(value[1].data + value[1].len - 3, "r/s") == 0)
    {
        rate = ngx_atoi(value[1].data, value[1].len - 3);
    }

    burst = rate;

    if (cf->args->nelts == 3) {
        burst = NGX_ERROR;

        if (ngx_strncmp(value[2].data, "burst=", 6) == 0) {
            burst = ngx_atoi(value[2].data + 6, value[2].len - 6);
        }
    }

    if (rate == NGX_ERROR || rate > NGX_HTTP_CHATHUB_COUNT_MAX
        || burst == NGX_ERROR || burst > NGX_HTTP_CHATHUB_COUNT_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid rate, it must be \"Nr/s [burst=N]\", N "
                           "from 0 to %d, 0r/s: no limit",
                           NGX_HTTP_CHATHUB_COUNT_MAX);
        return NGX_CONF_ERROR;
    }

    hlcf->policy.rate = rate;
    hlcf->policy.burst = burst;

    return NGX_CONF_OK;
}


char *
ngx_http_chathub_check_size(ngx_conf_t *cf, void *post, void *data)
{
    size_t  *size = data;

    if (*size < NGX_HTTP_CHATHUB_MESSAGE_MIN
        || *size > NGX_HTTP_CHATHUB_MESSAGE_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "value must be between %d and %d bytes",
                           NGX_HTTP_CHATHUB_MESSAGE_MIN,
                           NGX_HTTP_CHATHUB_MESSAGE_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
