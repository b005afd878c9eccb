
/*
 * Copyright (C) ChatHub contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_sha1.h>

#include <sys/random.h>

#include "ngx_chathub_message.h"


/* random bytes fetched at once: 25 ids a system call */
#define NGX_CHATHUB_UUID_POOL   250
#define NGX_CHATHUB_UUID_BYTES  10

/* a clock that is set back further than this is followed, ms */
#define NGX_CHATHUB_UUID_BACK   10000


/*
 * State of this process's ids.  It is static because it belongs to the
 * process as its pid does: a hub's configuration is copied by fork().
 */

typedef struct {
    ngx_pid_t                    pid;
    uint64_t                     time;        /* of the last id, ms */
    ngx_uint_t                   counter;     /* within that millisecond */
    size_t                       left;        /* unused bytes of "pool" */
    u_char                       pool[NGX_CHATHUB_UUID_POOL];
    u_char                       seed[20];    /* where the kernel has none */
} ngx_chathub_uuid_t;


static u_char *ngx_chathub_message_digits(u_char *p, ngx_uint_t n,
    ngx_uint_t width);
static u_char *ngx_chathub_message_field(u_char *p, ngx_str_t *s);
static void ngx_chathub_message_hash_field(ngx_sha1_t *sha, ngx_str_t *s);
static u_char *ngx_chathub_uuid_random(ngx_chathub_uuid_t *u);
static void ngx_chathub_uuid_guessable(ngx_chathub_uuid_t *u);
static size_t ngx_chathub_message_utf8_char(u_char *p, u_char *last);


static ngx_chathub_uuid_t  ngx_chathub_uuid;


u_char *
ngx_chathub_message_head(u_char *p, ngx_str_t *id, uint64_t seq,
    uint64_t epoch, uint64_t time)
{
    p = ngx_cpymem(p, "{\"id\":\"", sizeof("{\"id\":\"") - 1);
    p = ngx_cpymem(p, id->data, id->len);
    p = ngx_sprintf(p, "\",\"seq\":%uL,\"epoch\":\"", seq);
    p = ngx_chathub_message_epoch_text(p, epoch);
    p = ngx_cpymem(p, "\",\"time\":\"", sizeof("\",\"time\":\"") - 1);
    p = ngx_chathub_message_time_text(p, time);

    *p++ = '"';
    *p++ = ',';

    return p;
}


size_t
ngx_chathub_message_body_size(ngx_chathub_message_t *m)
{
    ngx_str_t   *strings[5];
    size_t       size;
    ngx_uint_t   i;

    strings[0] = &m->user;
    strings[1] = &m->room;
    strings[2] = &m->data;
    strings[3] = &m->type;
    strings[4] = &m->to_user;

    size = sizeof("\"user\":\"\",\"room\":\"\",\"data\":\"\",\"type\":\"\","
                  "\"broadcast\":0,\"unicast\":,\"toUser\":\"\"}") - 1;
    size += m->unicast ? sizeof("true") - 1 : sizeof("false") - 1;

    for (i = 0; i < 5; i++) {
        size += strings[i]->len
                + (size_t) ngx_escape_json(NULL, strings[i]->data,
                                           strings[i]->len);
    }

    return size;
}


u_char *
ngx_chathub_message_body(u_char *p, ngx_chathub_message_t *m)
{
    p = ngx_cpymem(p, "\"user\":", sizeof("\"user\":") - 1);
    p = ngx_chathub_message_field(p, &m->user);

    p = ngx_cpymem(p, ",\"room\":", sizeof(",\"room\":") - 1);
    p = ngx_chathub_message_field(p, &m->room);

    p = ngx_cpymem(p, ",\"data\":", sizeof(",\"data\":") - 1);
    p = ngx_chathub_message_field(p, &m->data);

    p = ngx_cpymem(p, ",\"type\":", sizeof(",\"type\":") - 1);
    p = ngx_chathub_message_field(p, &m->type);

    p = ngx_cpymem(p, ",\"broadcast\":", sizeof(",\"broadcast\":") - 1);
    *p++ = m->broadcast ? '1' : '0';

    p = ngx_cpymem(p, ",\"unicast\":", sizeof(",\"unicast\":") - 1);

    if (m->unicast) {
        p = ngx_cpymem(p, "true", sizeof("true") - 1);

    } else {
        p = ngx_cpymem(p, "false", sizeof("false") - 1);
    }

    p = ngx_cpymem(p, ",\"toUser\":", sizeof(",\"toUser\":") - 1);
    p = ngx_chathub_message_field(p, &m->to_user);

    *p++ = '}';

    return p;
}


static u_char *
ngx_chathub_message_field(u_char *p, ngx_str_t *s)
{
    *p++ = '"';
    p = (u_char *) ngx_escape_json(p, s->data, s->len);
    *p++ = '"';

    return p;
}


uint64_t
ngx_chathub_message_digest(ngx_chathub_message_t *m, u_char key[16])
{
    u_char      flags, result[20];
    uint64_t    digest;
    ngx_sha1_t  sha;

    flags = (u_char) (m->broadcast | m->unicast << 1);

    ngx_sha1_init(&sha);
    ngx_sha1_update(&sha, key, 16);

    ngx_chathub_message_hash_field(&sha, &m->user);
    ngx_chathub_message_hash_field(&sha, &m->room);
    ngx_chathub_message_hash_field(&sha, &m->to_user);
    ngx_sha1_update(&sha, &flags, 1);
    ngx_chathub_message_hash_field(&sha, &m->type);
    ngx_chathub_message_hash_field(&sha, &m->data);

    ngx_sha1_final(result, &sha);

    ngx_memcpy(&digest, result, sizeof(uint64_t));

    return digest;
}


void
ngx_chathub_message_id_hash(ngx_str_t *id, u_char key[16], uint64_t hash[2])
{
    u_char      result[20];
    ngx_sha1_t  sha;

    ngx_sha1_init(&sha);
    ngx_sha1_update(&sha, key, 16);
    ngx_chathub_message_hash_field(&sha, id);
    ngx_sha1_final(result, &sha);

    ngx_memcpy(hash, result, 2 * sizeof(uint64_t));
}


/* the length goes first, so that bytes cannot move from field to field */

static void
ngx_chathub_message_hash_field(ngx_sha1_t *sha, ngx_str_t *s)
{
    uint64_t  len;

    len = s->len;

    ngx_sha1_update(sha, &len, sizeof(uint64_t));

    if (s->len) {
        ngx_sha1_update(sha, s->data, s->len);
    }
}


/*
 * The 12 bits after the version count the ids of one millisecond, from a
 * random value below 2048 on (RFC 9562, 6.2, method 1); when they are used
 * up, the time of the id runs ahead of the clock.
 */

u_char *
ngx_chathub_message_uuid(u_char *p, uint64_t now)
{
    u_char              *random, id[16];
    ngx_int_t            i;
    ngx_uint_t           n;
    ngx_chathub_uuid_t  *u;

    u = &ngx_chathub_uuid;

    random = ngx_chathub_uuid_random(u);

    if (now > u->time || u->time - now > NGX_CHATHUB_UUID_BACK) {
        u->time = now;
        u->counter = (random[8] << 8 | random[9]) & 0x7ff;

    } else if (++u->counter > 0xfff) {
        u->time++;
        u->counter = (random[8] << 8 | random[9]) & 0x7ff;
    }

    for (i = 0; i < 6; i++) {
        id[i] = (u_char) (u->time >> (40 - 8 * i));
    }

    id[6] = (u_char) (0x70 | u->counter >> 8);
    id[7] = (u_char) u->counter;

    ngx_memcpy(&id[8], random, 8);
    id[8] = (u_char) (0x80 | (id[8] & 0x3f));

    for (n = 0; n < 16; n++) {
        if (n == 4 || n == 6 || n == 8 || n == 10) {
            *p++ = '-';
        }

        p = ngx_hex_dump(p, &id[n], 1);
    }

    return p;
}


/* ten bytes that nobody else has; a child does not use its parent's */

static u_char *
ngx_chathub_uuid_random(ngx_chathub_uuid_t *u)
{
    u_char     *p;
    ssize_t     n;
    ngx_pid_t   pid;

    pid = ngx_getpid();

    if (u->pid != pid) {
        u->pid = pid;
        u->left = 0;
    }

    if (u->left == 0) {
        n = getrandom(u->pool, NGX_CHATHUB_UUID_POOL, GRND_NONBLOCK);

        if (n != NGX_CHATHUB_UUID_POOL) {
            ngx_chathub_uuid_guessable(u);
        }

        u->left = NGX_CHATHUB_UUID_POOL;
    }

    p = &u->pool[NGX_CHATHUB_UUID_POOL - u->left];
    u->left -= NGX_CHATHUB_UUID_BYTES;

    return p;
}


/*
 * getrandom() fails only before the kernel's generator is seeded, or where
 * a sandbox forbids it.  Ids are then made from what differs between hosts'
 * clocks, processes and calls: still unique, but they can be guessed, which
 * a message's id may be.
 */

static void
ngx_chathub_uuid_guessable(ngx_chathub_uuid_t *u)
{
    u_char           result[20];
    size_t           n, size;
    ngx_sha1_t       sha;
    struct timespec  ts[2];

    (void) clock_gettime(CLOCK_REALTIME, &ts[0]);
    (void) clock_gettime(CLOCK_MONOTONIC, &ts[1]);

    ngx_sha1_init(&sha);
    ngx_sha1_update(&sha, u->seed, sizeof(u->seed));
    ngx_sha1_update(&sha, &u->pid, sizeof(ngx_pid_t));
    ngx_sha1_update(&sha, ts, sizeof(ts));
    ngx_sha1_final(u->seed, &sha);

    for (n = 0; n < NGX_CHATHUB_UUID_POOL; n += size) {
        ngx_sha1_init(&sha);
        ngx_sha1_update(&sha, u->seed, sizeof(u->seed));
        ngx_sha1_update(&sha, &n, sizeof(size_t));
        ngx_sha1_final(result, &sha);

        size = ngx_min(sizeof(result), NGX_CHATHUB_UUID_POOL - n);
        ngx_memcpy(&u->pool[n], result, size);
    }
}


ngx_int_t
ngx_chathub_message_check_id(ngx_str_t *id)
{
    u_char  ch;
    size_t  i;

    if (id->len == 0 || id->len > NGX_CHATHUB_ID_MAX) {
        return NGX_ERROR;
    }

    /* ids that begin so are made from messages of ConnectHub */

    if (id->len >= 2 && id->data[0] == 'c' && id->data[1] == '-') {
        return NGX_ERROR;
    }

    for (i = 0; i < id->len; i++) {
        ch = id->data[i];

        if ((ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z')
            || (ch >= '0' && ch <= '9') || ch == '_' || ch == '-')
        {
            continue;
        }

        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_chathub_message_check_name(ngx_str_t *name)
{
    size_t   i;
    u_char  *p;

    if (name->len == 0 || name->len > NGX_CHATHUB_NAME_MAX) {
        return NGX_ERROR;
    }

    if (ngx_chathub_message_check_utf8(name->data, name->len) != NGX_OK) {
        return NGX_ERROR;
    }

    p = name->data;

    for (i = 0; i < name->len; i++) {

        if (p[i] < 0x20 || p[i] == 0x7f) {
            return NGX_ERROR;
        }

        /* C1: U+0080 to U+009F; a valid sequence's 0xc2 has its follower */

        if (p[i] == 0xc2 && p[i + 1] < 0xa0) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_chathub_message_check_type(ngx_str_t *type)
{
    u_char  ch;
    size_t  i;

    if (type->len == 0 || type->len > NGX_CHATHUB_TYPE_MAX) {
        return NGX_ERROR;
    }

    for (i = 0; i < type->len; i++) {
        ch = type->data[i];

        if ((ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z')
            || (ch >= '0' && ch <= '9') || ch == '.' || ch == '_'
            || ch == '/' || ch == '+' || ch == '-')
        {
            continue;
        }

        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * ngx_utf8_decode() takes surrogates, followers from 0xc0 on and five-byte
 * forms, which other clients' decoders refuse.
 */

ngx_int_t
ngx_chathub_message_check_utf8(u_char *p, size_t len)
{
    size_t    n;
    u_char   *last;
    uint64_t  word;

    last = p + len;

    while (p < last) {

        if (last - p >= (ssize_t) sizeof(uint64_t)) {
            ngx_memcpy(&word, p, sizeof(uint64_t));

            if ((word & 0x8080808080808080ULL) == 0) {
                p += sizeof(uint64_t);
                continue;
            }
        }

        n = ngx_chathub_message_utf8_char(p, last);

        if (n == 0) {
            return NGX_ERROR;
        }

        p += n;
    }

    return NGX_OK;
}


/* bytes of the character at "p", 0 where there is none; RFC 3629, 4 */

static size_t
ngx_chathub_message_utf8_char(u_char *p, u_char *last)
{
    u_char  low, high;
    size_t  i, n;

    if (*p < 0x80) {
        return 1;
    }

    /* what the second byte may be */

    low = 0x80;
    high = 0xbf;

    if (*p >= 0xc2 && *p <= 0xdf) {
        n = 2;

    } else if (*p >= 0xe0 && *p <= 0xef) {
        n = 3;
        low = (*p == 0xe0) ? 0xa0 : 0x80;
        high = (*p == 0xed) ? 0x9f : 0xbf;

    } else if (*p >= 0xf0 && *p <= 0xf4) {
        n = 4;
        low = (*p == 0xf0) ? 0x90 : 0x80;
        high = (*p == 0xf4) ? 0x8f : 0xbf;

    } else {
        return 0;
    }

    if ((size_t) (last - p) < n || p[1] < low || p[1] > high) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return n;
}


u_char *
ngx_chathub_message_epoch_text(u_char *p, uint64_t epoch)
{
    return ngx_sprintf(p, "%016xL", epoch);
}


u_char *
ngx_chathub_message_time_text(u_char *p, uint64_t time)
{
    ngx_tm_t    tm;
    ngx_uint_t  ms;

    if (time > NGX_CHATHUB_TIME_MAX) {
        time = NGX_CHATHUB_TIME_MAX;
    }

    ms = time % 1000;

    ngx_gmtime((time_t) (time / 1000), &tm);

    p = ngx_chathub_message_digits(p, tm.ngx_tm_year, 4);
    *p++ = '-';
    p = ngx_chathub_message_digits(p, tm.ngx_tm_mon, 2);
    *p++ = '-';
    p = ngx_chathub_message_digits(p, tm.ngx_tm_mday, 2);
    *p++ = 'T';
    p = ngx_chathub_message_digits(p, tm.ngx_tm_hour, 2);
    *p++ = ':';
    p = ngx_chathub_message_digits(p, tm.ngx_tm_min, 2);
    *p++ = ':';
    p = ngx_chathub_message_digits(p, tm.ngx_tm_sec, 2);
    *p++ = '.';
    p = ngx_chathub_message_digits(p, ms, 3);
    *p++ = 'Z';

    return p;
}


static u_char *
ngx_chathub_message_digits(u_char *p, ngx_uint_t n, ngx_uint_t width)
{
    ngx_uint_t  i;

    for (i = width; i > 0; i--) {
        p[i - 1] = (u_char) ('0' + n % 10);
        n /= 10;
    }

    return p + width;
}


ngx_int_t
ngx_chathub_message_epoch_parse(ngx_str_t *text, uint64_t *epoch)
{
    u_char    ch;
    size_t    i;
    uint64_t  value;

    if (text->len != NGX_CHATHUB_EPOCH_LEN) {
        return NGX_ERROR;
    }

    value = 0;

    for (i = 0; i < NGX_CHATHUB_EPOCH_LEN; i++) {
        ch = text->data[i];

        if (ch >= '0' && ch <= '9') {
            value = value << 4 | (uint64_t) (ch - '0');

        } else if (ch >= 'a' && ch <= 'f') {
            value = value << 4 | (uint64_t) (ch - 'a' + 10);

        } else {
            return NGX_ERROR;
        }
    }

    *epoch = value;

    return NGX_OK;
}
