
/*
 * Peers: processes that are told what to do, and what a client does then.
 */


#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench.h"


#define BENCH_SILENCE   (1500 * BENCH_MSEC)
#define BENCH_RESTLESS  (60 * BENCH_SEC)
#define BENCH_ROOMS     32                /* published to at once, by "once" */


typedef int (*bench_do_pt)(bench_client_t *cl, bench_peer_t *peer);


static void bench_client_loop(bench_client_t *cl, bench_peer_t *peer);
static int bench_do_join(bench_client_t *cl, bench_peer_t *peer);
static int bench_do_settle(bench_client_t *cl, bench_peer_t *peer);
static int bench_do_once(bench_client_t *cl, bench_peer_t *peer);
static int bench_do_fanout(bench_client_t *cl, bench_peer_t *peer);
static void bench_fanout_message(bench_client_t *cl, bench_conn_t *c,
    const unsigned char *p, size_t len);
static int bench_do_rate(bench_client_t *cl, bench_peer_t *peer);
static int bench_rate_timer(bench_client_t *cl, uint64_t time);
static void bench_rate_message(bench_client_t *cl, bench_conn_t *c,
    const unsigned char *p, size_t len);
static void bench_rate_results(bench_client_t *cl, bench_peer_t *peer);
static int bench_await(bench_client_t *cl, uint64_t deliveries,
    uint64_t acks);
static int bench_stalled(bench_client_t *cl, uint64_t *frames,
    uint64_t *since);


static const bench_do_pt  bench_do[] = {
    bench_do_join,
    bench_do_settle,
    bench_do_once,
    bench_do_fanout,
    bench_do_rate
};


/* returns twice: in the new process NULL's place is its own bench_peer_t */

bench_peer_t *
bench_peer_fork(void)
{
    pid_t          pid, parent;
    bench_peer_t  *peer;

    peer = mmap(NULL, sizeof(bench_peer_t), PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (peer == MAP_FAILED) {
        return NULL;
    }

    parent = getpid();

    pid = fork();
    if (pid == -1) {
        munmap(peer, sizeof(bench_peer_t));
        return NULL;
    }

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);

        if (getppid() != parent) {
            _exit(1);
        }

        return peer;
    }

    peer->pid = pid;

    return peer;
}


bench_peer_t *
bench_peer_client(const bench_conf_t *conf, uint32_t first, uint32_t n,
    uint32_t source)
{
    pid_t           parent;
    bench_peer_t   *peer;
    bench_client_t  cl;

    parent = getpid();

    peer = bench_peer_fork();

    if (peer == NULL || getpid() == parent) {
        return peer;
    }

    if (bench_client_init(&cl, conf, peer, first, n, source) != 0) {
        _exit(1);
    }

    bench_client_loop(&cl, peer);

    _exit(1);
}


static void
bench_client_loop(bench_client_t *cl, bench_peer_t *peer)
{
    uint32_t  asked;

    for ( ;; ) {
        asked = atomic_load(&peer->asked);

        if (asked == atomic_load(&peer->answered)) {
            if (bench_client_turn(cl, 2) != 0) {
                return;
            }

            continue;
        }

        if (bench_do[peer->what](cl, peer) != 0) {
            return;
        }

        atomic_store(&peer->answered, asked);
    }
}


void
bench_peer_ask(bench_peer_t *peer, bench_do_e what, uint32_t window,
    uint64_t time)
{
    peer->what = what;
    peer->window = window;
    peer->time = time;

    atomic_fetch_add(&peer->asked, 1);
}


/* -1: it failed, peer->why says at what */

int
bench_peer_wait(bench_peer_t *peer, uint64_t timeout)
{
    uint64_t  last;

    last = bench_now() + timeout;

    while (atomic_load(&peer->answered) != atomic_load(&peer->asked)) {

        if (waitpid(peer->pid, NULL, WNOHANG) == peer->pid) {
            peer->pid = 0;

            if (peer->why[0] == '\0') {
                strcpy(peer->why, "a process died");
            }

            return -1;
        }

        if (bench_now() > last) {
            strcpy(peer->why, "no answer in time");
            return -1;
        }

        usleep(2000);
    }

    return peer->errors ? -1 : 0;
}


void
bench_peer_stop(bench_peer_t *peer)
{
    if (peer->pid) {
        kill(peer->pid, SIGKILL);
        waitpid(peer->pid, NULL, 0);
    }

    munmap(peer, sizeof(bench_peer_t));
}


static int
bench_do_join(bench_client_t *cl, bench_peer_t *peer)
{
    int       rc;
    uint64_t  frames, since;

    frames = 0;
    since = bench_now();

    do {
        rc = bench_client_open(cl);

        if (rc == 0 && bench_stalled(cl, &frames, &since)) {
            rc = -1;
        }

    } while (rc == 0);

    peer->joined = cl->joined;

    return rc == 1 ? 0 : -1;
}


static int
bench_do_settle(bench_client_t *cl, bench_peer_t *peer)
{
    uint64_t  now, start, since, frames;

    (void) peer;

    start = bench_now();
    since = start;
    frames = cl->frames;

    for ( ;; ) {

        if (bench_client_turn(cl, 50) != 0) {
            return -1;
        }

        now = bench_now();

        if (cl->frames != frames) {
            frames = cl->frames;
            since = now;
        }

        if (now - since > BENCH_SILENCE) {
            return 0;
        }

        if (now - start > BENCH_RESTLESS) {
            bench_client_fail(cl, "pushes do not end");
            return -1;
        }
    }
}


static int
bench_do_once(bench_client_t *cl, bench_peer_t *peer)
{
    uint32_t     i, room, rooms, members;
    uint64_t     frames, since;
    bench_buf_t  b;

    memset(&b, 0, sizeof(b));

    members = cl->conf->members;
    rooms = cl->n / members;
    frames = 0;
    since = bench_now();

    cl->deliveries = 0;
    cl->acks = 0;

    for (i = 0; i < cl->n; i++) {
        cl->conns[i].count = 0;
    }

    for (room = 0; room < rooms; /* void */ ) {

        if (room < cl->acks + BENCH_ROOMS
            && room < cl->deliveries / members + BENCH_ROOMS)
        {
            b.len = 0;
            i = room++ * members;

            if (bench_client_publish(cl, &b, &cl->conns[i], 1, bench_now())
                != 0
                || bench_client_write(cl, &cl->conns[i], b.start, b.len) != 0)
            {
                return -1;
            }

            continue;
        }

        if (bench_client_turn(cl, 100) != 0
            || bench_stalled(cl, &frames, &since))
        {
            return -1;
        }
    }

    free(b.start);

    peer->messages = rooms;
    peer->expected = (uint64_t) rooms * members;

    if (bench_await(cl, peer->expected, rooms) != 0) {
        return -1;
    }

    for (i = 0; i < cl->n; i++) {
        if (cl->conns[i].count != 1) {
            bench_client_fail(cl, "user-%u: %u deliveries", cl->first + i,
                              cl->conns[i].count);
            return -1;
        }
    }

    return 0;
}


static int
bench_do_fanout(bench_client_t *cl, bench_peer_t *peer)
{
    uint32_t         i;
    uint64_t         sent, start, end, frames, since;
    bench_buf_t      b;
    static uint32_t  pending[BENCH_MAX_WINDOW], ref;

    memset(&b, 0, sizeof(b));
    memset(pending, 0, sizeof(pending));

    cl->pending = pending;
    cl->message = bench_fanout_message;
    cl->deliveries = 0;
    cl->acks = 0;
    cl->done = 0;

    for (i = 0; i < cl->n; i++) {
        cl->conns[i].count = 0;
    }

    sent = 0;
    frames = 0;
    start = bench_now();
    since = start;
    end = start + peer->time;

    while (bench_now() < end || cl->done < sent) {

        b.len = 0;

        while (sent - cl->done < peer->window && bench_now() < end) {

            if (bench_client_publish(cl, &b, &cl->conns[0], ++ref,
                                     bench_now())
                != 0)
            {
                return -1;
            }

            sent++;
        }

        if (b.len && bench_client_write(cl, &cl->conns[0], b.start, b.len)
                     != 0)
        {
            return -1;
        }

        if (bench_client_turn(cl, 100) != 0
            || bench_stalled(cl, &frames, &since))
        {
            return -1;
        }
    }

    peer->wall = bench_now() - start;
    peer->messages = sent;
    peer->expected = sent * cl->n;

    free(b.start);

    return bench_await(cl, peer->expected, cl->conf->raw ? 0 : sent);
}


static void
bench_fanout_message(bench_client_t *cl, bench_conn_t *c,
    const unsigned char *p, size_t len)
{
    uint32_t  *pending;

    (void) p;
    (void) len;

    pending = &cl->pending[c->count & (BENCH_MAX_WINDOW - 1)];

    if (++*pending == cl->n) {
        *pending = 0;
        cl->done++;
    }
}


/*
 * Messages are due at fixed times, whatever became of those before, and a
 * latency begins when its message was due.  The first tenth is no sample.
 */

static int
bench_do_rate(bench_client_t *cl, bench_peer_t *peer)
{
    uint32_t       i, rooms;
    uint64_t       n, sent, start, due, now, step, frames, since;
    bench_buf_t    b;
    bench_conn_t  *c;

    memset(&b, 0, sizeof(b));

    rooms = cl->n / cl->conf->members;
    step = BENCH_SEC / cl->conf->rate;
    n = peer->time / step;

    cl->max_samples = n * cl->conf->members;
    cl->samples = malloc(cl->max_samples * sizeof(uint64_t));
    if (cl->samples == NULL) {
        bench_client_fail(cl, "no memory");
        return -1;
    }

    for (i = 0; i < cl->n; i++) {
        cl->conns[i].count = 0;
    }

    cl->message = bench_rate_message;
    cl->deliveries = 0;
    cl->acks = 0;

    start = bench_now() + 10 * BENCH_MSEC;
    cl->since = start + peer->time / 10;

    peer->late = 0;
    frames = 0;
    since = start;

    for (sent = 0; sent < n; /* void */ ) {
        due = start + sent * step;
        now = bench_now();

        if (now < due) {
            if (bench_rate_timer(cl, due) != 0
                || bench_client_turn(cl, 1000) != 0
                || bench_stalled(cl, &frames, &since))
            {
                return -1;
            }

            continue;
        }

        if (due >= cl->since && now - due > peer->late) {
            peer->late = now - due;
        }

        /* each room in turn, and in each room each member */

        c = &cl->conns[sent % rooms * cl->conf->members
                       + sent / rooms % cl->conf->members];
        b.len = 0;

        if (bench_client_publish(cl, &b, c, ++sent, due) != 0
            || bench_client_write(cl, c, b.start, b.len) != 0)
        {
            return -1;
        }
    }

    peer->messages = n;
    peer->expected = n * cl->conf->members;
    peer->wall = bench_now() - start;

    free(b.start);

    if (bench_await(cl, peer->expected, n) != 0) {
        return -1;
    }

    bench_rate_results(cl, peer);

    return 0;
}


static int
bench_rate_timer(bench_client_t *cl, uint64_t time)
{
    struct itimerspec   when;
    struct epoll_event  ee;

    if (cl->timer == -1) {
        cl->timer = timerfd_create(CLOCK_MONOTONIC,
                                   TFD_NONBLOCK | TFD_CLOEXEC);
        ee.events = EPOLLIN;
        ee.data.ptr = NULL;

        if (cl->timer == -1
            || epoll_ctl(cl->ep, EPOLL_CTL_ADD, cl->timer, &ee) != 0)
        {
            bench_client_fail(cl, "timerfd: %s", strerror(errno));
            return -1;
        }
    }

    memset(&when, 0, sizeof(when));
    when.it_value.tv_sec = time / BENCH_SEC;
    when.it_value.tv_nsec = time % BENCH_SEC;

    if (timerfd_settime(cl->timer, TFD_TIMER_ABSTIME, &when, NULL) != 0) {
        bench_client_fail(cl, "timerfd_settime(): %s", strerror(errno));
        return -1;
    }

    return 0;
}


static void
bench_rate_message(bench_client_t *cl, bench_conn_t *c,
    const unsigned char *p, size_t len)
{
    size_t    at;
    uint64_t  due;

    at = 0;
    due = bench_number(p, len, "\"data\":\"", &at);

    if (due == 0 || due > cl->now) {
        bench_client_fail(cl, "user-%u: message without its time",
                          c->number);
        return;
    }

    if (due >= cl->since && cl->nsamples < cl->max_samples) {
        cl->samples[cl->nsamples++] = cl->now - due;
    }
}


static void
bench_rate_results(bench_client_t *cl, bench_peer_t *peer)
{
    qsort(cl->samples, cl->nsamples, sizeof(uint64_t), bench_compare);

    peer->p50 = bench_percentile(cl->samples, cl->nsamples, 0.5);
    peer->p99 = bench_percentile(cl->samples, cl->nsamples, 0.99);
    peer->p999 = bench_percentile(cl->samples, cl->nsamples, 0.999);
    peer->max = bench_percentile(cl->samples, cl->nsamples, 1.0);

    free(cl->samples);
    cl->samples = NULL;
    cl->nsamples = 0;
}


/* the rest is due: neither less nor, for a while, more */

static int
bench_await(bench_client_t *cl, uint64_t deliveries, uint64_t acks)
{
    uint64_t  frames, since, last;

    frames = 0;
    since = bench_now();

    while (cl->deliveries < deliveries || cl->acks < acks) {
        if (bench_client_turn(cl, 100) != 0
            || bench_stalled(cl, &frames, &since))
        {
            return -1;
        }
    }

    last = bench_now() + 20 * BENCH_MSEC;

    do {
        if (bench_client_turn(cl, 5) != 0) {
            return -1;
        }

    } while (bench_now() < last);

    cl->peer->deliveries = cl->deliveries;
    cl->peer->acks = cl->acks;

    if (cl->deliveries != deliveries || cl->acks != acks) {
        bench_client_fail(cl, "%llu deliveries and %llu acks instead of"
                          " %llu and %llu",
                          (unsigned long long) cl->deliveries,
                          (unsigned long long) cl->acks,
                          (unsigned long long) deliveries,
                          (unsigned long long) acks);
        return -1;
    }

    return 0;
}


static int
bench_stalled(bench_client_t *cl, uint64_t *frames, uint64_t *since)
{
    uint64_t  now;

    now = bench_now();

    if (cl->frames != *frames) {
        *frames = cl->frames;
        *since = now;
        return 0;
    }

    if (now - *since < cl->conf->stall) {
        return 0;
    }

    bench_client_fail(cl, "nothing comes any more: %u of %u joined, "
                      "%llu deliveries, %llu acks",
                      cl->joined, cl->n,
                      (unsigned long long) cl->deliveries,
                      (unsigned long long) cl->acks);
    return 1;
}
