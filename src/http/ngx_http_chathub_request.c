
/*
 * Copyright (C) ChatHub contributors
 */


/* what all locations of a hub do alike with a request */


#include "ngx_http_chathub.h"


#define NGX_HTTP_CHATHUB_UPGRADE_REQUIRED  426


static ngx_uint_t ngx_http_chathub_origin_same(ngx_http_request_t *r,
    ngx_str_t *origin);
static void ngx_http_chathub_default_port(ngx_str_t *host, ngx_uint_t https);
static ngx_int_t ngx_http_chathub_unescape(ngx_http_request_t *r,
    ngx_str_t *value, ngx_str_t *name);
static ngx_int_t ngx_http_chathub_user_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_chathub_session_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_chathub_front_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_http_chathub_variables[] = {

    { ngx_string("chathub_user"), NULL, ngx_http_chathub_user_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("chathub_session"), NULL, ngx_http_chathub_session_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("chathub_node"), NULL, ngx_http_chathub_front_variable,
      0, 0, 0 },

    { ngx_string("chathub_transport"), NULL, ngx_http_chathub_front_variable,
      1, 0, 0 },

      ngx_http_null_variable
};


/* Errors. */


ngx_uint_t
ngx_http_chathub_status(ngx_chathub_code_e code)
{
    switch (code) {

    case NGX_CHATHUB_E_BAD_REQUEST:
    case NGX_CHATHUB_E_BAD_NAME:
    case NGX_CHATHUB_E_UNKNOWN_EVENT:
        return NGX_HTTP_BAD_REQUEST;

    case NGX_CHATHUB_E_UNAUTHORIZED:
        return NGX_HTTP_UNAUTHORIZED;

    case NGX_CHATHUB_E_FORBIDDEN:
    case NGX_CHATHUB_E_NOT_JOINED:
        return NGX_HTTP_FORBIDDEN;

    case NGX_CHATHUB_E_NOT_FOUND:
        return NGX_HTTP_NOT_FOUND;

    case NGX_CHATHUB_E_TOO_LARGE:
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;

    case NGX_CHATHUB_E_RATE_LIMITED:
    case NGX_CHATHUB_E_TOO_MANY_ROOMS:
        return NGX_HTTP_TOO_MANY_REQUESTS;

    case NGX_CHATHUB_E_BUSY:
    case NGX_CHATHUB_E_UNAVAILABLE:
    case NGX_CHATHUB_E_NOT_STORED:
        return NGX_HTTP_SERVICE_UNAVAILABLE;

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


ngx_int_t
ngx_http_chathub_refuse(ngx_http_request_t *r, ngx_uint_t status,
    ngx_chathub_error_t *err)
{
    u_char            *p;
    ngx_buf_t         *b;
    ngx_int_t          rc;
    ngx_str_t          value;
    ngx_chain_t        out;
    static ngx_str_t   retry_after = ngx_string("Retry-After");

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE && err->retry_after == 0) {
        err->retry_after = 1000;
    }

    b = ngx_create_temp_buf(r->pool, ngx_chathub_json_error_size(err));
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = ngx_chathub_json_error(b->pos, err);
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    if (err->retry_after) {
        p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
        if (p == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        value.data = p;
        value.len = ngx_sprintf(p, "%M", (err->retry_after + 999) / 1000) - p;

        if (ngx_http_chathub_header(r, &retry_after, &value) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    r->headers_out.status = status;

    if (status == NGX_HTTP_CHATHUB_UPGRADE_REQUIRED) {
        ngx_str_set(&r->headers_out.status_line, "426 Upgrade Required");
    }

    r->headers_out.content_length_n = b->last - b->pos;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_http_chathub_refuse_text(ngx_http_request_t *r, ngx_uint_t status,
    ngx_chathub_code_e code, const char *text)
{
    ngx_chathub_error_t  err;

    ngx_memzero(&err, sizeof(ngx_chathub_error_t));
    err.code = code;
    err.message = text;

    return ngx_http_chathub_refuse(r, status, &err);
}


/* Headers. */


ngx_int_t
ngx_http_chathub_header(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key = *name;
    h->value = *value;

    return NGX_OK;
}


ngx_str_t *
ngx_http_chathub_header_next(ngx_http_chathub_lines_t *lines)
{
    ngx_table_elt_t  *h;

    while (lines->part) {

        while (lines->i < lines->part->nelts) {
            h = (ngx_table_elt_t *) lines->part->elts + lines->i++;

            if (h->hash && h->key.len == lines->name->len
                && ngx_strncmp(h->lowcase_key, lines->name->data,
                               lines->name->len)
                   == 0)
            {
                return &h->value;
            }
        }

        lines->part = lines->part->next;
        lines->i = 0;
    }

    return NULL;
}


ngx_str_t *
ngx_http_chathub_header_first(ngx_http_request_t *r, ngx_str_t *name,
    ngx_http_chathub_lines_t *lines)
{
    lines->name = name;
    lines->part = &r->headers_in.headers.part;
    lines->i = 0;

    return ngx_http_chathub_header_next(lines);
}


/* Origins (RFC 6454, 7). */


ngx_int_t
ngx_http_chathub_origin(ngx_http_request_t *r)
{
    ngx_str_t                    *origin, *allowed;
    ngx_uint_t                    i;
    ngx_http_chathub_lines_t      lines;
    ngx_http_chathub_loc_conf_t  *hlcf;
    static ngx_str_t              name = ngx_string("origin");

    hlcf = ngx_http_get_module_loc_conf(r, ngx_http_chathub_module);

    if (hlcf->origin_any) {
        return NGX_OK;
    }

    origin = ngx_http_chathub_header_first(r, &name, &lines);

    if (origin == NULL) {

        /* not a page's doing: browsers always send it */

        return NGX_OK;
    }

    if (ngx_http_chathub_header_next(&lines)) {
        return NGX_DECLINED;
    }

    if (hlcf->origin_same && ngx_http_chathub_origin_same(r, origin)) {
        return NGX_OK;
    }

    if (hlcf->origins == NULL) {
        return NGX_DECLINED;
    }

    allowed = hlcf->origins->elts;

    for (i = 0; i < hlcf->origins->nelts; i++) {

        if (allowed[i].len == origin->len
            && ngx_strncasecmp(allowed[i].data, origin->data, origin->len)
               == 0)
        {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* the origin is this server, by the name that the client used for it */

static ngx_uint_t
ngx_http_chathub_origin_same(ngx_http_request_t *r, ngx_str_t *origin)
{
    ngx_str_t   host, scheme;
    ngx_uint_t  https;

    if (r->headers_in.host == NULL) {
        return 0;
    }

    https = 0;

#if (NGX_HTTP_SSL)
    https = r->connection->ssl ? 1 : 0;
#endif

    if (https) {
        ngx_str_set(&scheme, "https://");

    } else {
        ngx_str_set(&scheme, "http://");
    }

    if (origin->len <= scheme.len
        || ngx_strncasecmp(origin->data, scheme.data, scheme.len) != 0)
    {
        return 0;
    }

    scheme.data = origin->data + scheme.len;
    scheme.len = origin->len - scheme.len;
    host = r->headers_in.host->value;

    ngx_http_chathub_default_port(&scheme, https);
    ngx_http_chathub_default_port(&host, https);

    return host.len && host.len == scheme.len
           && ngx_strncasecmp(host.data, scheme.data, host.len) == 0;
}


static void
ngx_http_chathub_default_port(ngx_str_t *host, ngx_uint_t https)
{
    ngx_str_t  port;

    if (https) {
        ngx_str_set(&port, ":443");

    } else {
        ngx_str_set(&port, ":80");
    }

    if (host->len > port.len
        && ngx_strncmp(host->data + host->len - port.len, port.data, port.len)
           == 0)
    {
        host->len -= port.len;
    }
}


/* Identity. */


ngx_int_t
ngx_http_chathub_identity(ngx_http_request_t *r, ngx_str_t *name,
    ngx_uint_t *guest, ngx_chathub_error_t *err)
{
    ngx_str_t                     value;
    ngx_http_chathub_loc_conf_t  *hlcf;

    hlcf = ngx_http_get_module_loc_conf(r, ngx_http_chathub_module);

    ngx_str_null(name);
    *guest = 0;

    if (hlcf->user) {

        if (ngx_http_complex_value(r, hlcf->user, name) != NGX_OK) {
            return NGX_ERROR;
        }

        if (name->len) {
            return NGX_OK;
        }
    }

    ngx_memzero(err, sizeof(ngx_chathub_error_t));

    if (!hlcf->policy.guest) {
        err->code = NGX_CHATHUB_E_UNAUTHORIZED;
        err->message = "an identity is required here, guests are not let in";
        return NGX_DECLINED;
    }

    *guest = 1;

    if (ngx_http_arg(r, (u_char *) "user", 4, &value) != NGX_OK) {
        return NGX_OK;
    }

    switch (ngx_http_chathub_unescape(r, &value, name)) {

    case NGX_OK:
        return NGX_OK;

    case NGX_DECLINED:
        err->code = NGX_CHATHUB_E_BAD_NAME;
        err->message = "\"user\" is not percent-encoded as it should be";
        return NGX_DECLINED;

    default:
        return NGX_ERROR;
    }
}


/* a value of a query as forms write it */

static ngx_int_t
ngx_http_chathub_unescape(ngx_http_request_t *r, ngx_str_t *value,
    ngx_str_t *name)
{
    u_char     *p, *dst, *src, *last;
    ngx_int_t   byte;

    p = ngx_pnalloc(r->pool, value->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    dst = p;
    last = value->data + value->len;

    for (src = value->data; src < last; src++) {

        if (*src == '+') {
            *dst++ = ' ';
            continue;
        }

        if (*src != '%') {
            *dst++ = *src;
            continue;
        }

        byte = (last - src > 2) ? ngx_hextoi(src + 1, 2) : NGX_ERROR;

        if (byte == NGX_ERROR) {
            return NGX_DECLINED;
        }

        *dst++ = (u_char) byte;
        src += 2;
    }

    name->data = p;
    name->len = dst - p;

    return NGX_OK;
}


void
ngx_http_chathub_address(ngx_http_request_t *r, u_char addr[16])
{
    struct sockaddr      *sa;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    ngx_memzero(addr, 16);

    sa = r->connection->sockaddr;

    switch (sa->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;
        ngx_memcpy(addr, sin6->sin6_addr.s6_addr, 16);
        break;
#endif

    case AF_INET:
        sin = (struct sockaddr_in *) sa;
        addr[10] = 0xff;
        addr[11] = 0xff;
        ngx_memcpy(addr + 12, &sin->sin_addr.s_addr, 4);
        break;
    }
}


/* Variables. */


ngx_int_t
ngx_http_chathub_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_chathub_variables; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_chathub_user_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_chathub_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_chathub_module);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ctx->user.data;
    v->len = ctx->user.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_chathub_session_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                  *p;
    ngx_http_chathub_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_chathub_module);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = ngx_sprintf(p, "%uL", ctx->session) - p;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_chathub_front_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                    *s;
    ngx_http_chathub_loc_conf_t  *hlcf;

    hlcf = ngx_http_get_module_loc_conf(r, ngx_http_chathub_module);

    if (hlcf->front == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    s = data ? &hlcf->front->transport : &hlcf->front->hub->conf.node;

    v->data = s->data;
    v->len = s->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
