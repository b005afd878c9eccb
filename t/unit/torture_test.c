
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * Workers append, repeat, join, leave, sweep and read, all at once, while they
 * are killed and stopped at any moment and at the points inside the mutex.
 * Whoever reads compares with what the others have read.  Takes
 * CHATHUB_TORTURE_SECONDS.
 */


#include "log_audit.h"

#include <poll.h>
#include <sched.h>


#define WORKERS       4
#define OBSERVERS     2
#define ROOMS         8
#define PAIRS         3
#define CHURN         64
#define STREAMS       (ROOMS + PAIRS + 1 + CHURN)
#define USERS         40
#define CELLS         65536
#define IDS           4096
#define BODY_MAX      1500
#define ZONE          (4 * 1024 * 1024)

#define KILL_POINTS   40000          /* one in so many kills, or stops */
#define LONG_STOP     300            /* ms; to be lapped */
#define PING_ROUNDS   5000
#define PING_WAIT     10000          /* ms */


/* what all processes of the test share */

typedef struct {
    int                  stop;
    int                  failed;
    char                 text[256];
    uint64_t             appended;
    uint64_t             repeated;
    uint64_t             read;
    uint64_t             lapped;
    uint64_t             replayed;
    uint64_t             point_kills;
    uint64_t             next[WORKERS];        /* ids; one under way */
    uint64_t             cells[STREAMS][CELLS];
} shared_t;


/* a reader's own */

typedef struct {
    uint64_t             n;                    /* of the id, 0: none */
    uint64_t             count;
    uint64_t             seq;
} seen_id_t;

typedef struct {
    ngx_chathub_zone_t  *z;
    uint64_t             messages;
    uint64_t             directed;
    uint64_t             count;                /* records without a gap */
    uint64_t             stream_id[STREAMS];
    uint64_t             seq[STREAMS];
    ngx_uint_t           known[STREAMS];       /* nothing was missed */
    seen_id_t            ids[WORKERS][IDS];
    uint8_t              in[USERS][ROOMS + CHURN];
    ngx_uint_t           in_known;
    u_char              *buf;
} reader_t;


static area_t     area;
static shared_t  *shared;
static uint64_t   seed;
static int        die_at_points;


static void
failed(const char *fmt, ...)
{
    va_list  args;

    if (__atomic_exchange_n(&shared->failed, 1, __ATOMIC_SEQ_CST) == 0) {
        va_start(args, fmt);
        (void) vsnprintf(shared->text, sizeof(shared->text), fmt, args);
        va_end(args);
    }

    _exit(2);
}


static uint64_t
rnd(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return (seed >> 11) % n;
}


static uint64_t
msec(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static void
point_hook(const char *name)
{
    if (!die_at_points || rnd(KILL_POINTS) != 0) {
        return;
    }

    if (rnd(3) == 0) {
        (void) kill(getpid(), SIGSTOP);
        return;
    }

    (void) __atomic_add_fetch(&shared->point_kills, 1, __ATOMIC_SEQ_CST);
    (void) kill(getpid(), SIGKILL);
}


/* Streams of the test, by number. */


static void
stream_name(ngx_uint_t i, char *name, size_t size)
{
    if (i < ROOMS) {
        (void) snprintf(name, size, "room-%u", (unsigned) i);

    } else if (i < ROOMS + PAIRS) {
        (void) snprintf(name, size, "pair-%u", (unsigned) (i - ROOMS));

    } else if (i == ROOMS + PAIRS) {
        (void) snprintf(name, size, "all");

    } else {
        (void) snprintf(name, size, "churn-%u",
                        (unsigned) (i - ROOMS - PAIRS - 1));
    }
}


static ngx_chathub_key_t
stream_key(ngx_uint_t i, char *name, ngx_uint_t swap)
{
    static const char  *pairs[PAIRS][2] = {
        { "user-0", "user-1" }, { "user-1", "user-2" }, { "user-2", "user-2" }
    };

    if (i < ROOMS || i > ROOMS + PAIRS) {
        return room_key(name);
    }

    if (i == ROOMS + PAIRS) {
        return all_key();
    }

    return swap ? pair_key(pairs[i - ROOMS][1], pairs[i - ROOMS][0])
                : pair_key(pairs[i - ROOMS][0], pairs[i - ROOMS][1]);
}


static ngx_uint_t
pick_stream(void)
{
    return rnd(50) ? rnd(ROOMS + PAIRS + 1) : rnd(STREAMS);
}


/* Bodies say what they are: "STREAM WORKER N TEXT HASH". */


static ngx_uint_t
make_body(char *body, ngx_uint_t stream, ngx_uint_t worker, uint64_t n)
{
    int        len;
    size_t     text;
    ngx_str_t  s;

    len = sprintf(body, "%u %u %llu ", (unsigned) stream, (unsigned) worker,
                  (unsigned long long) n);

    /* the same for every repeat */

    text = (n * 2654435761ULL + worker) % (n % 20 ? 300 : BODY_MAX);

    memset(body + len, 'a' + n % 26, text);

    s.data = (u_char *) body;
    s.len = len + text;

    return s.len + sprintf(body + s.len, "%016llx",
                           (unsigned long long) text_hash(&s, 9));
}


static uint64_t
check_body(ngx_chathub_record_t *rec, unsigned *stream, unsigned *worker,
    unsigned long long *n)
{
    char       digits[17], head[64];
    size_t     len;
    uint64_t   hash;
    ngx_str_t  s;

    if (rec->body.len < 22) {
        failed("body of %u bytes at %llu", (unsigned) rec->body.len,
               (unsigned long long) rec->position);
    }

    s.data = rec->body.data;
    s.len = rec->body.len - 16;
    hash = text_hash(&s, 9);

    (void) snprintf(digits, sizeof(digits), "%016llx",
                    (unsigned long long) hash);

    len = ngx_min(s.len, sizeof(head) - 1);
    memcpy(head, s.data, len);
    head[len] = '\0';

    if (memcmp(digits, rec->body.data + s.len, 16) != 0
        || sscanf(head, "%u %u %llu", stream, worker, n) != 3
        || *stream >= STREAMS || *worker >= WORKERS)
    {
        failed("torn body at %llu: \"%s\"",
               (unsigned long long) rec->position, head);
    }

    return hash;
}


/* Readers. */


static void
reader_init(reader_t *r, ngx_chathub_zone_t *z)
{
    ngx_memzero(r, sizeof(reader_t));

    r->z = z;
    r->messages = ngx_chathub_log_head(&z->messages);
    r->directed = ngx_chathub_log_head(&z->directed);
    r->buf = malloc(ngx_chathub_zone_max_record(ZONE));

    if (r->buf == NULL) {
        failed("malloc() failed");
    }
}


/* all that read (stream, seq) have read the same */

static void
check_cell(ngx_uint_t stream, uint64_t seq, uint64_t hash)
{
    uint64_t  *cell, old, new;

    cell = &shared->cells[stream][seq % CELLS];
    new = seq << 32 | (hash & 0xffffffff);
    old = ngx_chathub_get(cell);

    for ( ;; ) {

        if (old >> 32 > seq) {
            return;
        }

        if (old >> 32 == seq) {
            if (old != new) {
                failed("seq %llu of stream %u names two messages",
                       (unsigned long long) seq, (unsigned) stream);
            }

            return;
        }

        if (__atomic_compare_exchange_n(cell, &old, new, 0, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
        {
            return;
        }
    }
}


/* an id has its effect once, as long as the table of ids reaches */

static void
check_id(reader_t *r, unsigned worker, uint64_t n, ngx_uint_t stream,
    uint64_t seq)
{
    seen_id_t  *seen;

    seen = &r->ids[worker][n % IDS];

    if (seen->n == n
        && r->count - seen->count < r->z->tables[NGX_CHATHUB_IDS].sh->n)
    {
        failed("id %u-%llu is at seq %llu and %llu of stream %u", worker,
               (unsigned long long) n, (unsigned long long) seen->seq,
               (unsigned long long) seq, (unsigned) stream);
    }

    seen->n = n;
    seen->count = r->count;
    seen->seq = seq;
}


static void
check_message(reader_t *r, ngx_chathub_record_t *rec)
{
    uint64_t            hash;
    unsigned            stream, worker;
    unsigned long long  n;

    hash = check_body(rec, &stream, &worker, &n);

    r->count++;

    check_cell(stream, rec->seq, hash);
    check_id(r, worker, n, stream, rec->seq);

    if (rec->seq <= r->seq[stream]) {
        failed("stream %u goes back from %llu to %llu", stream,
               (unsigned long long) r->seq[stream],
               (unsigned long long) rec->seq);
    }

    /* one that was evicted goes on higher */

    if (r->known[stream] && r->stream_id[stream] == rec->stream_id
        && rec->seq != r->seq[stream] + 1)
    {
        failed("stream %u has a gap between %llu and %llu", stream,
               (unsigned long long) r->seq[stream],
               (unsigned long long) rec->seq);
    }

    r->known[stream] = 1;
    r->seq[stream] = rec->seq;
    r->stream_id[stream] = rec->stream_id;
}


static void
check_presence(reader_t *r, ngx_chathub_record_t *rec)
{
    unsigned                    user, room;
    char                        name[NGX_CHATHUB_NAME_MAX + 1];
    ngx_chathub_stream_info_t   info;

    memcpy(name, rec->user.data, rec->user.len);
    name[rec->user.len] = '\0';

    if (sscanf(name, "user-%u", &user) != 1 || user >= USERS) {
        failed("torn name at %llu", (unsigned long long) rec->position);
    }

    if (rec->kind == NGX_CHATHUB_REC_TYPING || !r->in_known) {
        return;
    }

    /* the room may be gone by now: its name is in the body of typing only */

    if (ngx_chathub_stream_get(r->z, rec->stream, rec->stream_id, &info)
        != NGX_OK)
    {
        r->in_known = 0;
        return;
    }

    memcpy(name, info.name, info.name_len);
    name[info.name_len] = '\0';

    if (sscanf(name, "room-%u", &room) != 1) {
        if (sscanf(name, "churn-%u", &room) != 1) {
            failed("torn name of a room \"%s\"", name);
        }

        room += ROOMS;
    }

    if (r->in[user][room] == (rec->kind == NGX_CHATHUB_REC_JOINED)) {
        failed("user %u %s room %u, again", user,
               r->in[user][room] ? "joins" : "leaves", room);
    }

    r->in[user][room] = (rec->kind == NGX_CHATHUB_REC_JOINED);
}


/* reads up to "max" records of both logs; returns how many */

static ngx_uint_t
reader_run(reader_t *r, ngx_uint_t max)
{
    ngx_int_t             rc;
    ngx_uint_t            n;
    ngx_chathub_record_t  rec;

    for (n = 0; n < max; n++) {
        rc = ngx_chathub_log_read(&r->z->messages, &r->messages, &rec, r->buf,
                                  NULL, NULL);

        if (rc == NGX_OK) {
            check_message(r, &rec);
            continue;
        }

        if (rc == NGX_DONE) {
            break;
        }

        /* it says so, and then only that may be missing */

        (void) __atomic_add_fetch(&shared->lapped, 1, __ATOMIC_SEQ_CST);
        ngx_memzero(r->known, sizeof(r->known));
        ngx_memzero(r->ids, sizeof(r->ids));
    }

    (void) __atomic_add_fetch(&shared->read, n, __ATOMIC_SEQ_CST);

    for ( /* void */ ; n < 2 * max; n++) {
        rc = ngx_chathub_log_read(&r->z->directed, &r->directed, &rec, r->buf,
                                  NULL, NULL);

        if (rc == NGX_DONE) {
            break;
        }

        if (rc == NGX_OK) {
            check_presence(r, &rec);

        } else {
            r->in_known = 0;
        }
    }

    return n;
}


/* Workers. */


typedef struct {
    ngx_chathub_zone_t   z;
    reader_t             reader;
    ngx_uint_t           number;
    uint32_t             users[USERS];
    uint8_t              online[USERS];
    uint8_t              joined[USERS][ROOMS + CHURN];
    ngx_uint_t           members[ROOMS + CHURN];
    uint32_t             stream[ROOMS + CHURN];
    uint64_t             stream_id[ROOMS + CHURN];
} worker_t;


static ngx_int_t
send_message(worker_t *w, uint64_t n)
{
    char                   name[32], id[32], body[BODY_MAX + 64], user[32];
    uint64_t               pick;
    ngx_int_t              rc;
    ngx_uint_t             stream, forbidden;
    ngx_chathub_append_t   a;

    /* all of it follows from the id */

    pick = seed;
    seed = n * WORKERS + w->number + 1;
    seed *= 0x9e3779b97f4a7c15ULL;
    (void) rnd(2);
    stream = pick_stream();
    seed = pick;

    stream_name(stream, name, sizeof(name));
    (void) snprintf(id, sizeof(id), "%u-%llu", (unsigned) w->number,
                    (unsigned long long) n);
    (void) snprintf(user, sizeof(user), "user-%u",
                    (unsigned) ((stream < ROOMS || stream >= ROOMS + PAIRS)
                                ? w->number : stream - ROOMS));

    body[make_body(body, stream, w->number, n)] = '\0';

    append_fill(&a, stream_key(stream, name, rnd(2)), user, id, body);

    a.now = msec();
    a.dedupe = 3600000;

    rc = ngx_chathub_log_append(&w->z, &a, &forbidden);

    switch (rc) {

    case NGX_OK:
        ngx_chathub_wake(&w->z, &a.ring);
        (void) __atomic_add_fetch(&shared->appended, 1, __ATOMIC_SEQ_CST);
        break;

    case NGX_DONE:
        (void) __atomic_add_fetch(&shared->repeated, 1, __ATOMIC_SEQ_CST);
        break;

    case NGX_AGAIN:
        return rc;

    default:
        failed("append: %d", (int) rc);
    }

    check_cell(stream, a.seq, text_hash(&(ngx_str_t) { a.body.len - 16,
                                                       a.body.data }, 9));

    return rc;
}


/* the id under way is sent until it is done, by whichever process */

static void
do_append(worker_t *w)
{
    uint64_t  n;

    n = ngx_chathub_get(&shared->next[w->number]);

    if (send_message(w, n) == NGX_AGAIN) {
        return;
    }

    if (rnd(8) == 0) {
        (void) send_message(w, n);
    }

    ngx_chathub_set(&shared->next[w->number], n + 1);
}


static void
do_online(worker_t *w, ngx_uint_t u)
{
    char        name[32];
    ngx_str_t   s;
    ngx_uint_t  i;

    (void) snprintf(name, sizeof(name), "user-%u", (unsigned) u);
    s = str(name);

    if (!w->online[u]) {
        w->online[u] = (ngx_chathub_user_online(&w->z, &s, &w->users[u])
                        == NGX_OK);
        return;
    }

    for (i = 0; i < ROOMS + CHURN; i++) {
        if (w->joined[u][i]) {
            return;
        }
    }

    if (ngx_chathub_user_offline(&w->z, w->users[u]) == NGX_OK) {
        w->online[u] = 0;
    }
}


static void
do_join(worker_t *w, ngx_uint_t u, ngx_uint_t room)
{
    char                        name[32];
    ngx_str_t                   s;
    ngx_int_t                   rc;
    ngx_uint_t                  changed;
    ngx_chathub_table_t        *t;
    ngx_chathub_slotset_t       ring;
    ngx_chathub_stream_info_t   info;

    if (!w->online[u] || w->joined[u][room] > 3) {
        return;
    }

    stream_name(room < ROOMS ? room : room + PAIRS + 1, name, sizeof(name));
    s = str(name);

    rc = ngx_chathub_member_join(&w->z, &s, w->users[u], &info, &changed,
                                 &ring);

    if (rc == NGX_BUSY) {
        t = &w->z.tables[NGX_CHATHUB_MEMBERS];

        /* it is full of what the dead have left; others go on meanwhile */

        if (ngx_chathub_get(&t->sh->used) < t->sh->n * 9 / 10) {
            failed("join: busy with %u of %u", t->sh->used, t->sh->n);
        }

        (void) ngx_chathub_zone_sweep(&w->z, 1000);
        return;
    }

    if (rc != NGX_OK) {
        if (rc != NGX_AGAIN) {
            failed("join: %d", (int) rc);
        }

        return;
    }

    if (info.name_len != s.len
        || memcmp(info.name, s.data, s.len) != 0 || info.users == 0)
    {
        failed("joined another room than \"%s\"", name);
    }

    ngx_chathub_wake(&w->z, &ring);

    w->stream[room] = info.stream;
    w->stream_id[room] = info.stream_id;
    w->joined[u][room]++;
    w->members[room]++;
}


static void
do_leave(worker_t *w, ngx_uint_t u, ngx_uint_t room)
{
    ngx_int_t              rc;
    ngx_uint_t             changed, count;
    ngx_chathub_slotset_t  ring;

    if (w->joined[u][room] == 0) {
        return;
    }

    rc = ngx_chathub_member_leave(&w->z, w->stream[room], w->stream_id[room],
                                  w->users[u], w->members[room] == 1, &count,
                                  &changed, &ring);
    if (rc == NGX_AGAIN) {
        return;
    }

    if (rc != NGX_OK) {
        failed("leave: %d", (int) rc);
    }

    ngx_chathub_wake(&w->z, &ring);

    w->joined[u][room]--;
    w->members[room]--;
}


static void
do_addr(worker_t *w)
{
    u_char  addr[16];

    ngx_memset(addr, rnd(50), sizeof(addr));

    if (rnd(2)) {
        (void) ngx_chathub_addr_add(&w->z, addr, 20);

    } else {
        (void) ngx_chathub_addr_del(&w->z, addr);
    }
}


static void
do_typing(worker_t *w, ngx_uint_t room)
{
    ngx_str_t              user, body;
    ngx_chathub_slotset_t  ring;

    if (w->members[room]) {
        user = str("user-1");
        body = str("1");
        (void) ngx_chathub_log_direct(&w->z, NGX_CHATHUB_REC_TYPING,
                                      w->stream[room], w->stream_id[room],
                                      &user, &body, 5, &ring);
    }
}


/* a chain has no gap and no other stream's records */

static void
do_replay(worker_t *w)
{
    char                        name[32];
    uint64_t                    positions[200], from, pos;
    ngx_int_t                   rc;
    ngx_uint_t                  i, n, stream;
    ngx_chathub_key_t           key;
    ngx_chathub_record_t        rec;
    ngx_chathub_stream_info_t   info;

    stream = rnd(ROOMS + PAIRS + 1);
    stream_name(stream, name, sizeof(name));
    key = stream_key(stream, name, 0);

    if (ngx_chathub_stream_find(&w->z, &key, 0, &info) != NGX_OK
        || info.seq == 0)
    {
        return;
    }

    from = rnd(100);
    from = info.seq - ngx_min(info.seq, from);

    rc = ngx_chathub_log_replay(&w->z.messages, info.stream_id, info.epoch,
                                info.last, from, positions, 200, &n);

    if (rc == NGX_BUSY || (rc == NGX_OK && n != info.seq - from)) {
        failed("replay of %s from %llu to %llu: %d, %u", name,
               (unsigned long long) from, (unsigned long long) info.seq,
               (int) rc, (unsigned) n);
    }

    if (rc == NGX_OK) {
        (void) __atomic_add_fetch(&shared->replayed, 1, __ATOMIC_SEQ_CST);
    }

    for (i = 0; i < n; i++) {
        pos = positions[i];

        if (ngx_chathub_log_read(&w->z.messages, &pos, &rec, w->reader.buf,
                                 NULL, NULL)
            != NGX_OK)
        {
            break;
        }

        if (rec.stream_id != info.stream_id || rec.seq != info.seq - i) {
            failed("replay of %s: seq %llu at %u behind %llu", name,
                   (unsigned long long) rec.seq, (unsigned) i,
                   (unsigned long long) info.seq);
        }
    }
}


static void
do_list(worker_t *w, ngx_uint_t room)
{
    ngx_int_t   rc;
    ngx_str_t   after, names[20];
    ngx_uint_t  i, n, count, more;
    u_char      buf[20 * NGX_CHATHUB_NAME_MAX];

    if (w->members[room] == 0) {
        return;
    }

    after = str("");
    rc = ngx_chathub_member_list(&w->z, w->stream[room], w->stream_id[room],
                                 &after, 20, names, buf, &n, &count, &more);

    if (rc == NGX_AGAIN) {
        return;
    }

    if (rc != NGX_OK || n == 0) {
        failed("list of a room with members: %d, %u", (int) rc, (unsigned) n);
    }

    for (i = 0; i < n; i++) {
        if (names[i].len < 6 || memcmp(names[i].data, "user-", 5) != 0
            || (i && ngx_memn2cmp(names[i - 1].data, names[i].data,
                                  names[i - 1].len, names[i].len)
                     >= 0))
        {
            failed("list: wrong name or order");
        }
    }
}


static void
worker_turn(worker_t *w)
{
    ngx_uint_t  u, room, i;

    u = rnd(USERS);
    room = rnd(4) ? rnd(ROOMS) : rnd(ROOMS + CHURN);

    switch (rnd(20)) {

    case 0:
    case 1:
        do_online(w, u);
        break;

    case 2:
    case 3:
        do_join(w, u, room);
        break;

    case 4:
    case 5:
    case 6:
        do_leave(w, u, room);
        break;

    case 7:
        do_addr(w);
        break;

    case 8:
        do_typing(w, room);
        break;

    case 9:
        do_replay(w);
        break;

    case 10:
        do_list(w, room);
        break;

    case 11:
        (void) ngx_chathub_stream_expire(&w->z, 50);
        break;

    case 12:
        if (rnd(20) == 0) {
            (void) ngx_chathub_zone_sweep(&w->z, 50);
        }

        break;

    default:
        for (i = rnd(4); i > 0; i--) {
            do_append(w);
        }
    }
}


static void
worker_sleep(worker_t *w)
{
    struct pollfd  pfd;

    ngx_chathub_wake_cursor(&w->z, w->reader.messages);

    if (ngx_chathub_wake_arm(&w->z, w->reader.messages, w->reader.directed)
        != NGX_OK)
    {
        return;
    }

    pfd.fd = ngx_chathub_wake_fd(&w->z);
    pfd.events = POLLIN;

    if (poll(&pfd, 1, 5) == 1) {
        ngx_chathub_wake_clear(&w->z);
    }
}


static void
worker_main(ngx_uint_t number)
{
    ngx_int_t         rc;
    static worker_t   w;

    ngx_memzero(&w, sizeof(w));
    w.number = number;

    child_begin(&area, &w.z, 0);

    seed = (uint64_t) ngx_pid * 0x9e3779b97f4a7c15ULL + msec();

    die_at_points = 1;

    while (!ngx_chathub_get(&shared->stop)) {

        rc = ngx_chathub_zone_claim(&w.z);

        if (rc == NGX_OK) {
            break;
        }

        (void) ngx_chathub_zone_sweep(&w.z, 1000);
    }

    ngx_chathub_zone_set_sessions(&w.z, 1);
    reader_init(&w.reader, &w.z);

    while (!ngx_chathub_get(&shared->stop)) {

        worker_turn(&w);

        if (rnd(8) == 0) {
            (void) reader_run(&w.reader, 200);
        }

        if (rnd(200) == 0) {
            worker_sleep(&w);
        }
    }

    _exit(0);
}


/* reads everything, from before the first message on; nobody kills it */

static void
observer_main(void)
{
    int                  stop;
    ngx_uint_t           n, u, r;
    ngx_chathub_zone_t   z;
    static reader_t      reader;

    child_begin(&area, &z, 0);
    reader_init(&reader, &z);

    /* the workers may have begun already */

    reader.messages = NGX_CHATHUB_UNIT;
    reader.directed = NGX_CHATHUB_UNIT;
    reader.in_known = 1;

    for ( ;; ) {
        stop = ngx_chathub_get(&shared->stop);
        n = reader_run(&reader, 1000);

        if (n == 0 && stop == 2) {
            break;
        }

        if (n == 0) {
            (void) sched_yield();
        }
    }

    /* in the end all have left */

    for (u = 0; u < USERS && reader.in_known; u++) {
        for (r = 0; r < ROOMS + CHURN; r++) {
            if (reader.in[u][r]) {
                failed("user %u never left room %u", (unsigned) u,
                       (unsigned) r);
            }
        }
    }

    _exit(0);
}


/* The one who lets it all happen. */


static pid_t
start(ngx_uint_t number)
{
    pid_t  pid;

    pid = fork();
    assert_int_not_equal(pid, -1);

    if (pid == 0) {
        ngx_chathub_point_hook = point_hook;

        if (number < WORKERS) {
            worker_main(number);
        }

        die_at_points = 0;
        observer_main();
    }

    return pid;
}


static void
stop_all(pid_t *pids)
{
    ngx_uint_t  i;

    for (i = 0; i < WORKERS; i++) {
        (void) kill(pids[i], SIGKILL);
        (void) waitpid(pids[i], NULL, 0);
    }
}


static void
check_failed(pid_t *pids)
{
    ngx_uint_t  i;

    if (!ngx_chathub_get(&shared->failed)) {
        return;
    }

    for (i = 0; i < WORKERS + OBSERVERS; i++) {
        (void) kill(pids[i], SIGKILL);
        (void) waitpid(pids[i], NULL, 0);
    }

    fail_msg("%s", shared->text);
}


/* every stream's records hang together as far back as the log goes */

static void
check_chains(ngx_chathub_zone_t *z)
{
    uint32_t                    i;
    uint64_t                   *positions;
    ngx_uint_t                  n, max;
    ngx_chathub_rec_sh_t       *h;
    ngx_chathub_stream_info_t   info;

    max = z->messages.size / sizeof(ngx_chathub_rec_sh_t);
    positions = malloc(max * sizeof(uint64_t));
    assert_non_null(positions);

    for (i = 0; i < z->tables[NGX_CHATHUB_STREAMS].sh->n; i++) {

        if (z->tables[NGX_CHATHUB_STREAMS].valid[i] == 0) {
            continue;
        }

        ngx_chathub_stream_copy(z, i, &info);

        if (info.last == 0) {
            continue;
        }

        (void) ngx_chathub_log_replay(&z->messages, info.stream_id,
                                      info.epoch, info.last, 0, positions,
                                      max, &n);
        assert_true(n > 0);

        h = ngx_chathub_log_record(&z->messages, positions[n - 1]);
        assert_non_null(h);
        assert_int_equal(h->seq, info.seq - n + 1);

        /* it ends where the log does, or where the stream began */

        assert_true(h->prev < z->sh->logs[0].tail);
    }

    free(positions);
}


static ngx_uint_t
torture(pid_t *pids, uint64_t until)
{
    int         status;
    pid_t       pid;
    uint64_t    late;
    ngx_uint_t  i, kills;

    kills = 0;
    late = msec() + LONG_STOP;

    while (msec() < until) {
        (void) usleep(1000 + rnd(8000));

        /* one observer sleeps half of the time */

        if (msec() >= late) {
            (void) kill(pids[WORKERS], SIGCONT);

            if (msec() >= late + LONG_STOP) {
                (void) kill(pids[WORKERS], SIGSTOP);
                late = msec() + LONG_STOP;
            }
        }

        i = rnd(WORKERS);

        switch (rnd(6)) {

        case 0:
            (void) kill(pids[i], SIGKILL);
            kills++;
            break;

        case 1:
            (void) kill(pids[i], SIGSTOP);
            break;

        default:

            /* also those that have stopped themselves at a point */

            (void) kill(pids[i], SIGCONT);
        }

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {

            for (i = 0; i < WORKERS && pids[i] != pid; i++) { /* void */ }

            check_failed(pids);

            /* a crash of its own would be another signal */

            assert_true(i < WORKERS);
            assert_true(WIFSIGNALED(status));
            assert_int_equal(WTERMSIG(status), SIGKILL);

            pids[i] = start(i);
        }

        check_failed(pids);
    }

    return kills;
}


static void
test_torture(void **state)
{
    int                  status;
    char                *text;
    pid_t                pids[WORKERS + OBSERVERS];
    ngx_uint_t           i, kills, seconds;
    ngx_chathub_zone_t   z;

    text = getenv("CHATHUB_TORTURE_SECONDS");
    seconds = text ? (ngx_uint_t) atoi(text) : 5;

    area_make(&area, ZONE, NGX_CHATHUB_SLOTS_MIN, 0);
    area_open(&area, &z);
    assert_int_equal(ngx_chathub_wake_create(&z), NGX_OK);

    shared = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
                  MAP_SHARED|MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);

    for (i = 0; i < WORKERS; i++) {
        shared->next[i] = 1;
    }

    seed = msec() * 2 + 1;
    print_message("seed %llu\n", (unsigned long long) seed);

    for (i = 0; i < OBSERVERS; i++) {
        pids[WORKERS + i] = start(WORKERS);
    }

    for (i = 0; i < WORKERS; i++) {
        pids[i] = start(i);
    }

    kills = torture(pids, msec() + seconds * 1000);

    (void) kill(pids[WORKERS], SIGCONT);

    stop_all(pids);
    check_failed(pids);

    /* the one who is left */

    assert_int_equal(ngx_chathub_zone_claim(&z), NGX_OK);

    (void) sweep_all(&z, 100);
    audit(&z);
    check_chains(&z);

    assert_int_equal(z.tables[NGX_CHATHUB_USERS].sh->used, 0);
    assert_int_equal(z.tables[NGX_CHATHUB_MEMBERS].sh->used, 0);
    assert_int_equal(z.tables[NGX_CHATHUB_ADDRS].sh->used, 0);
    assert_true(mutex_free(&area));

    for (i = 0; i < z.sh->nslots; i++) {
        assert_int_equal(ngx_chathub_slot_state(&z.slots[i]),
                         i == z.slot ? NGX_CHATHUB_SLOT_LIVE
                                     : NGX_CHATHUB_SLOT_FREE);
    }

    ngx_chathub_set(&shared->stop, 2);

    for (i = WORKERS; i < WORKERS + OBSERVERS; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        check_failed(pids);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }

    print_message("%llu appended, %llu repeats, %llu read, %llu replays, "
                  "lapped %llu times, killed %u times and %llu at points\n",
                  (unsigned long long) shared->appended,
                  (unsigned long long) shared->repeated,
                  (unsigned long long) shared->read,
                  (unsigned long long) shared->replayed,
                  (unsigned long long) shared->lapped, (unsigned) kills,
                  (unsigned long long) shared->point_kills);

    assert_true(shared->appended > 0);
    assert_true(shared->repeated > 0);
    assert_true(shared->read > shared->appended);
    assert_true(shared->replayed > 0);
    assert_true(kills > 0);
    assert_true(shared->point_kills > 0);

    ngx_chathub_wake_close(&z);
    (void) munmap(shared, sizeof(shared_t));
    area_free(&area);
}


/* Two that wait for each other, with no tick to help: nobody oversleeps. */


static void
ping(ngx_chathub_zone_t *z, uint64_t *messages, ngx_uint_t turn)
{
    u_char                 buf[1024];
    char                   id[32];
    ngx_int_t              rc;
    ngx_uint_t             n, forbidden;
    struct pollfd          pfd;
    ngx_chathub_append_t   a;
    ngx_chathub_record_t   rec;

    for (n = 0; n < 2 * PING_ROUNDS; /* void */ ) {

        if (n % 2 == turn) {
            (void) snprintf(id, sizeof(id), "ping-%u", (unsigned) n);
            append_fill(&a, all_key(), "ann", id, "x");

            rc = ngx_chathub_log_append(z, &a, &forbidden);

            if (rc == NGX_AGAIN) {
                continue;
            }

            if (rc != NGX_OK) {
                _exit(3);
            }

            ngx_chathub_wake(z, &a.ring);
        }

        if (ngx_chathub_log_read(&z->messages, messages, &rec, buf, NULL, NULL)
            == NGX_OK)
        {
            n = rec.seq;
            continue;
        }

        if (ngx_chathub_wake_arm(z, *messages,
                                 ngx_chathub_log_head(&z->directed))
            != NGX_OK)
        {
            continue;
        }

        pfd.fd = ngx_chathub_wake_fd(z);
        pfd.events = POLLIN;

        if (poll(&pfd, 1, PING_WAIT) != 1) {
            _exit(4);
        }

        ngx_chathub_wake_clear(z);
    }

    _exit(0);
}


static void
test_nobody_oversleeps(void **state)
{
    int                  status;
    pid_t                pids[2];
    uint64_t             messages;
    ngx_uint_t           i;
    ngx_chathub_zone_t   z;

    area_make(&area, ZONE, NGX_CHATHUB_SLOTS_MIN, 0);
    area_open(&area, &z);
    assert_int_equal(ngx_chathub_wake_create(&z), NGX_OK);

    messages = ngx_chathub_log_head(&z.messages);

    for (i = 0; i < 2; i++) {
        pids[i] = fork();
        assert_int_not_equal(pids[i], -1);

        if (pids[i] == 0) {
            child_begin(&area, &z, 1);
            ngx_chathub_zone_set_sessions(&z, 1);

            /* both are there */

            while (ngx_chathub_zone_sessions(&z) != 2) {
                (void) sched_yield();
            }

            ping(&z, &messages, i);
        }
    }

    for (i = 0; i < 2; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }

    ngx_chathub_wake_close(&z);
    area_free(&area);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_nobody_oversleeps),
        cmocka_unit_test(test_torture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
