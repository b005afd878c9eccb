
/*
 * The load generator: options, scenarios, and what they print: rows of a
 * Markdown table.  Exit codes: 0, 1 where a message was lost, came twice or out
 * of order, or something else failed, 2 for bad usage.  Whether an aim is met
 * is printed and changes no exit code: times depend on the machine.
 */


#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "bench.h"


#define BENCH_SLOT      432              /* bytes of nginx's per connection */
#define BENCH_SPARE     100              /* descriptors that are no sockets */
#define BENCH_WAIT      (600 * BENCH_SEC)


typedef struct {
    const char           *name;
    int                 (*run)(bench_conf_t *conf);
    const char           *help;
} bench_scenario_t;

typedef struct {
    uint64_t              rate[64];      /* deliveries a second */
    uint64_t              cpu[64];       /* ps a delivery */
    uint32_t              n;
} bench_series_t;


static int bench_options(bench_conf_t *conf, int argc, char **argv);
static int bench_windows(bench_conf_t *conf, char *arg);
static int bench_usage(void);
static int bench_failed(const char *name, const bench_peer_t *peer);
static void bench_row(const char *what, const char *aim, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int bench_find(const bench_conf_t *conf, pid_t *pids);

static int bench_idle(bench_conf_t *conf);
static int bench_idle_peers(const bench_conf_t *conf, bench_peer_t **peers);
static int bench_all(bench_peer_t **peers, int n, bench_do_e what);
static void bench_idle_rows(const bench_conf_t *conf, int workers,
    const bench_pss_t *before, const bench_pss_t *after,
    const bench_pss_t *used);
static double bench_kib(uint64_t after, uint64_t before, uint32_t n);

static int bench_fanout(bench_conf_t *conf);
static int bench_fanout_rounds(const bench_conf_t *conf, pid_t worker,
    bench_peer_t *client, bench_peer_t *floor, bench_peer_t *plain);
static int bench_fanout_round(bench_peer_t *client, pid_t server,
    uint32_t window, uint64_t time, bench_series_t *series);
static void bench_fanout_rows(uint32_t window, bench_series_t *served,
    bench_series_t *plain);
static uint64_t bench_median(uint64_t *values, uint32_t n);

static int bench_latency(bench_conf_t *conf);
static int bench_latency_run(const bench_conf_t *conf, bench_peer_t *peer,
    pid_t *pids, int workers);

static int bench_selftest(bench_conf_t *conf);
static int bench_selftest_floor(bench_conf_t conf, bench_floor_e fault,
    const char *name);
static int bench_selftest_numbers(void);

static int bench_port(bench_conf_t *conf);
static int bench_limit(bench_conf_t *conf);
static int bench_listening(bench_conf_t *conf);


static const bench_scenario_t  bench_scenarios[] = {
    { "idle", bench_idle, "memory of members that are silent" },
    { "fanout", bench_fanout, "one large room, messages in flight" },
    { "latency", bench_latency, "many small rooms at a fixed rate" },
    { "selftest", bench_selftest, "finds what a broken server does" },
    { "port", bench_port, "prints a free port" },
    { "files", bench_limit, "prints the limit of open files" },
    { "listening", bench_listening, "waits until something does" },
    { NULL, NULL, NULL }
};


int
main(int argc, char **argv)
{
    bench_conf_t             conf;
    const bench_scenario_t  *s;

    memset(&conf, 0, sizeof(conf));

    conf.addr.sin_family = AF_INET;
    conf.addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    conf.uri = "/ws";
    conf.conns = 1000;
    conf.members = 10;
    conf.data = 128;
    conf.rate = 2000;
    conf.workers = 1;
    conf.rounds = 5;
    conf.time = BENCH_SEC;
    conf.stall = 10 * BENCH_SEC;
    conf.windows[0] = 1;
    conf.nwindows = 1;

    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);

    if (argc < 2 || bench_options(&conf, argc - 1, argv + 1) != 0) {
        return bench_usage();
    }

    for (s = bench_scenarios; s->name; s++) {
        if (strcmp(s->name, argv[1]) == 0) {
            return s->run(&conf) == 0 ? 0 : 1;
        }
    }

    return bench_usage();
}


static int
bench_options(bench_conf_t *conf, int argc, char **argv)
{
    int  c;

    while ((c = getopt(argc, argv, "p:P:W:u:n:m:d:R:r:c:t:w:")) != -1) {

        switch (c) {

        case 'p':
            conf->addr.sin_port = htons(atoi(optarg));
            break;

        case 'P':
            conf->master = atoi(optarg);
            break;

        case 'W':
            conf->workers = atoi(optarg);
            break;

        case 'u':
            conf->uri = optarg;
            break;

        case 'n':
            conf->conns = atoi(optarg);
            break;

        case 'm':
            conf->members = atoi(optarg);
            break;

        case 'd':
            conf->data = atoi(optarg);
            break;

        case 'R':
            conf->rate = atoi(optarg);
            break;

        case 'r':
            conf->rounds = atoi(optarg);
            break;

        case 'c':
            conf->slots = atoi(optarg);
            break;

        case 't':
            conf->time = atoll(optarg) * BENCH_MSEC;
            break;

        case 'w':
            if (bench_windows(conf, optarg) != 0) {
                return -1;
            }
            break;

        default:
            return -1;
        }
    }

    if (optind != argc || strlen(conf->uri) > 255
        || conf->conns < 2 || conf->conns > 1000000
        || conf->members < 1 || conf->members > conf->conns
        || conf->data < BENCH_MIN_DATA || conf->data > BENCH_MAX_DATA
        || conf->rate < 1 || conf->rate > 1000000
        || conf->rounds < 1 || conf->rounds > 64
        || conf->workers < 1 || conf->workers > BENCH_MAX_WORKERS
        || conf->time < BENCH_MSEC)
    {
        return -1;
    }

    return 0;
}


static int
bench_windows(bench_conf_t *conf, char *arg)
{
    int    value;
    char  *p, *save;

    conf->nwindows = 0;

    for (p = strtok_r(arg, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
        value = atoi(p);

        if (value < 1 || value > BENCH_MAX_WINDOW || conf->nwindows == 8) {
            return -1;
        }

        conf->windows[conf->nwindows++] = value;
    }

    return conf->nwindows ? 0 : -1;
}


static int
bench_usage(void)
{
    const bench_scenario_t  *s;

    fprintf(stderr, "usage: load SCENARIO [options]\n\n");

    for (s = bench_scenarios; s->name; s++) {
        fprintf(stderr, "  %-10s %s\n", s->name, s->help);
    }

    fprintf(stderr,
            "\n  -p PORT on 127.0.0.1   -P PID of nginx's master\n"
            "  -W WORKERS it has (1)  -u URI (/ws)\n"
            "  -n CONNECTIONS (1000)  -m MEMBERS of a room (10)\n"
            "  -d BYTES of data (128) -R MESSAGES a second (2000)\n"
            "  -t MILLISECONDS (1000) -r ROUNDS (5)\n"
            "  -w MESSAGES in flight, e.g. 1,16,64\n"
            "  -c worker_connections, to be told beside the memory\n");

    return 2;
}


static int
bench_failed(const char *name, const bench_peer_t *peer)
{
    fprintf(stderr, "bench: %s: %s (%llu errors)\n", name,
            peer == NULL ? strerror(errno)
            : peer->why[0] ? peer->why : "failed",
            peer == NULL ? 1 : (unsigned long long) peer->errors);

    return -1;
}


static void
bench_row(const char *what, const char *aim, const char *fmt, ...)
{
    char     value[128];
    va_list  args;

    va_start(args, fmt);
    vsnprintf(value, sizeof(value), fmt, args);
    va_end(args);

    printf("| %-54s | %17s | %-8s |\n", what, value, aim);
}


/* all workers; that nginx listens does not mean that they are there */

static int
bench_find(const bench_conf_t *conf, pid_t *pids)
{
    int       n;
    uint64_t  last;

    last = bench_now() + conf->stall;

    for ( ;; ) {
        n = bench_workers(conf->master, pids, BENCH_MAX_WORKERS);

        if (n == (int) conf->workers) {
            return 0;
        }

        if (bench_now() > last) {
            fprintf(stderr, "bench: nginx %d has %d workers instead of %u\n",
                    (int) conf->master, n, conf->workers);
            return -1;
        }

        usleep(10000);
    }
}


/* idle */

static int
bench_idle(bench_conf_t *conf)
{
    int            i, n, rc, workers;
    pid_t          pids[BENCH_MAX_WORKERS];
    uint64_t       deliveries;
    bench_pss_t    before, after, used;
    bench_peer_t  *peers[BENCH_MAX_PEERS];

    conf->conns -= conf->conns % conf->members;

    workers = conf->workers;

    if (bench_find(conf, pids) != 0
        || bench_pss(pids, workers, &before) != 0)
    {
        return -1;
    }

    n = bench_idle_peers(conf, peers);
    rc = n > 0 ? 0 : -1;

    if (rc == 0) {
        rc = bench_all(peers, n, BENCH_DO_JOIN)
             || bench_all(peers, n, BENCH_DO_SETTLE)
             || bench_pss(pids, workers, &after)
             || bench_all(peers, n, BENCH_DO_ONCE)
             || bench_all(peers, n, BENCH_DO_SETTLE)
             || bench_pss(pids, workers, &used);
    }

    deliveries = 0;

    for (i = 0; i < n; i++) {
        deliveries += peers[i]->deliveries;
        bench_peer_stop(peers[i]);
    }

    if (rc != 0 || deliveries != conf->conns) {
        fprintf(stderr, "bench: idle: %llu of %u deliveries\n",
                (unsigned long long) deliveries, conf->conns);
        return -1;
    }

    bench_idle_rows(conf, workers, &before, &after, &used);

    return 0;
}


/* as many processes as the limit of open files demands, and whole rooms each */

static int
bench_idle_peers(const bench_conf_t *conf, bench_peer_t **peers)
{
    int       n;
    uint32_t  part, first, most;

    most = bench_files();
    most = most < 28000 ? most - BENCH_SPARE : 28000;       /* and of ports */

    for (part = 1; (conf->conns + part - 1) / part + conf->members > most;
         part++)
    {
        if (part == BENCH_MAX_PEERS) {
            fprintf(stderr, "bench: too many connections\n");
            return -1;
        }
    }

    part = (conf->conns + part - 1) / part + conf->members - 1;
    part -= part % conf->members;

    for (n = 0, first = 0; first < conf->conns; first += part, n++) {

        if (part > conf->conns - first) {
            part = conf->conns - first;
        }

        peers[n] = bench_peer_client(conf, first, part,
                                     INADDR_LOOPBACK + 1 + n);
        if (peers[n] == NULL) {
            return bench_failed("fork", NULL);
        }
    }

    return n;
}


static int
bench_all(bench_peer_t **peers, int n, bench_do_e what)
{
    int  i, rc;

    for (i = 0, rc = 0; i < n; i++) {
        bench_peer_ask(peers[i], what, 0, 0);
    }

    for (i = 0; i < n; i++) {
        if (bench_peer_wait(peers[i], BENCH_WAIT) != 0) {
            rc = bench_failed("idle", peers[i]);
        }
    }

    return rc;
}


static void
bench_idle_rows(const bench_conf_t *conf, int workers,
    const bench_pss_t *before, const bench_pss_t *after,
    const bench_pss_t *used)
{
    uint32_t  n;
    char      what[64];

    n = conf->conns;

    snprintf(what, sizeof(what), "%u members in rooms of %u, workers",
             n, conf->members);
    bench_row(what, "", "%d", workers);
    bench_row("PSS of the workers before", "", "%llu KiB",
              (unsigned long long) before->all);
    bench_row("PSS of the workers with all, silent", "", "%llu KiB",
              (unsigned long long) after->all);
    bench_row("**per idle member**", "<= 1 KiB", "%.3f KiB",
              bench_kib(after->all, before->all, n));
    bench_row("of it in the workers' own memory", "", "%.3f KiB",
              bench_kib(after->anon, before->anon, n));
    bench_row("of it in shared memory", "", "%.3f KiB",
              bench_kib(after->shmem, before->shmem, n));
    bench_row("per member after one message to each", "", "%.3f KiB",
              bench_kib(used->all, before->all, n));

    if (conf->slots) {
        snprintf(what, sizeof(what),
                 "beside: nginx's own, %d B x %u x %d, per member",
                 BENCH_SLOT, conf->slots, workers);
        bench_row(what, "", "%.3f KiB",
                  (double) BENCH_SLOT * conf->slots * workers / 1024 / n);
    }
}


static double
bench_kib(uint64_t after, uint64_t before, uint32_t n)
{
    return ((double) after - (double) before) / n;
}


/* fanout */

static int
bench_fanout(bench_conf_t *conf)
{
    int            rc;
    pid_t          pids[BENCH_MAX_WORKERS];
    bench_conf_t   plain;
    bench_peer_t  *client, *floor, *second;

    conf->members = conf->conns;

    if (conf->workers != 1 || bench_files() < conf->conns + BENCH_SPARE) {
        fprintf(stderr, "bench: fanout: not one worker, or too many members\n");
        return -1;
    }

    if (bench_find(conf, pids) != 0) {
        return -1;
    }

    client = bench_peer_client(conf, 0, conf->conns, INADDR_LOOPBACK + 1);
    if (client == NULL) {
        return bench_failed("fork", NULL);
    }

    /* a first turn, to have everything warm and to know the frame's length */

    bench_peer_ask(client, BENCH_DO_JOIN, 0, 0);
    rc = bench_peer_wait(client, BENCH_WAIT);

    if (rc == 0) {
        bench_peer_ask(client, BENCH_DO_SETTLE, 0, 0);
        rc = bench_peer_wait(client, BENCH_WAIT);
    }

    if (rc == 0) {
        bench_peer_ask(client, BENCH_DO_FANOUT, 1, conf->time / 4);
        rc = bench_peer_wait(client, BENCH_WAIT);
    }

    if (rc != 0) {
        bench_failed("fanout", client);
        bench_peer_stop(client);
        return -1;
    }

    floor = bench_floor_start(conf, client->frame, BENCH_FLOOR_FAIR);
    second = NULL;

    if (floor != NULL) {
        plain = *conf;
        plain.raw = 1;
        plain.addr.sin_port = floor->port;

        second = bench_peer_client(&plain, 0, conf->conns,
                                   INADDR_LOOPBACK + 2);
    }

    rc = -1;

    if (second != NULL) {
        rc = bench_fanout_rounds(conf, pids[0], client, floor, second);
        bench_peer_stop(second);
    }

    if (floor != NULL) {
        bench_peer_stop(floor);
    }

    bench_peer_stop(client);

    return rc;
}


static int
bench_fanout_rounds(const bench_conf_t *conf, pid_t worker,
    bench_peer_t *client, bench_peer_t *floor, bench_peer_t *plain)
{
    char            what[64];
    uint32_t        i, round;
    bench_series_t  served, bare;

    /* servers on one processor, those who receive on another */

    bench_pin(worker, 0);
    bench_pin(floor->pid, 0);
    bench_pin(client->pid, 1);
    bench_pin(plain->pid, 1);

    bench_peer_ask(plain, BENCH_DO_JOIN, 0, 0);

    if (bench_peer_wait(plain, BENCH_WAIT) != 0) {
        return bench_failed("floor", plain);
    }

    snprintf(what, sizeof(what), "one room, %u B of data, members",
             conf->data);
    bench_row(what, "", "%u", conf->conns);

    for (i = 0; i < conf->nwindows; i++) {
        served.n = 0;
        bare.n = 0;

        for (round = 0; round < conf->rounds; round++) {

            if (bench_fanout_round(client, worker, conf->windows[i],
                                   conf->time, &served)
                != 0)
            {
                return bench_failed("fanout", client);
            }

            if (bench_fanout_round(plain, floor->pid, conf->windows[i],
                                   conf->time, &bare)
                != 0)
            {
                return bench_failed("floor", plain);
            }
        }

        bench_fanout_rows(conf->windows[i], &served, &bare);
    }

    return 0;
}


static int
bench_fanout_round(bench_peer_t *client, pid_t server, uint32_t window,
    uint64_t time, bench_series_t *series)
{
    uint64_t  before, after;

    if (bench_cpu(server, &before) != 0) {
        return -1;
    }

    bench_peer_ask(client, BENCH_DO_FANOUT, window, time);

    if (bench_peer_wait(client, BENCH_WAIT) != 0
        || bench_cpu(server, &after) != 0
        || client->deliveries == 0)
    {
        return -1;
    }

    series->cpu[series->n] = (after - before) * 1000 / client->deliveries;
    series->rate[series->n++] = client->deliveries * BENCH_SEC
                                / client->wall;

    return 0;
}


static void
bench_fanout_rows(uint32_t window, bench_series_t *served,
    bench_series_t *bare)
{
    char      what[80];
    uint32_t  i;
    uint64_t  ratio[64], middle;

    for (i = 0; i < served->n; i++) {
        ratio[i] = served->cpu[i] * 1000 / bare->cpu[i];
    }

    middle = bench_median(ratio, served->n);

    snprintf(what, sizeof(what), "%u in flight: deliveries a second", window);
    bench_row(what, "", "%llu", (unsigned long long)
              bench_median(served->rate, served->n));

    snprintf(what, sizeof(what), "%u in flight: **CPU of the worker**",
             window);
    bench_row(what, window == 16 ? "< 1 us" : "", "%.3f us",
              bench_median(served->cpu, served->n) / 1e6);

    snprintf(what, sizeof(what), "%u in flight: the floor, bare send()",
             window);
    bench_row(what, "", "%.3f us", bench_median(bare->cpu, bare->n) / 1e6);

    snprintf(what, sizeof(what), "%u in flight: ratio (best, worst round)",
             window);
    bench_row(what, window == 1 ? "<= 1.2" : "", "%.2f (%.2f, %.2f)",
              middle / 1e3,
              ratio[0] / 1e3, ratio[served->n - 1] / 1e3);
}


static uint64_t
bench_median(uint64_t *values, uint32_t n)
{
    qsort(values, n, sizeof(uint64_t), bench_compare);

    return values[n / 2];
}


/* latency */

static int
bench_latency(bench_conf_t *conf)
{
    int            rc;
    pid_t          pids[BENCH_MAX_WORKERS];
    bench_peer_t  *peer;

    conf->conns -= conf->conns % conf->members;

    if (bench_files() < conf->conns + BENCH_SPARE) {
        fprintf(stderr, "bench: latency: too many members\n");
        return -1;
    }

    if (bench_find(conf, pids) != 0) {
        return -1;
    }

    peer = bench_peer_client(conf, 0, conf->conns, INADDR_LOOPBACK + 1);
    if (peer == NULL) {
        return bench_failed("fork", NULL);
    }

    rc = bench_latency_run(conf, peer, pids, conf->workers);

    bench_peer_stop(peer);

    return rc;
}


static int
bench_latency_run(const bench_conf_t *conf, bench_peer_t *peer, pid_t *pids,
    int workers)
{
    int       i;
    char      what[64];
    uint64_t  cpu[BENCH_MAX_WORKERS], after, sum;

    bench_peer_ask(peer, BENCH_DO_JOIN, 0, 0);

    if (bench_peer_wait(peer, BENCH_WAIT) != 0) {
        return bench_failed("latency", peer);
    }

    bench_peer_ask(peer, BENCH_DO_SETTLE, 0, 0);

    if (bench_peer_wait(peer, BENCH_WAIT) != 0) {
        return bench_failed("latency", peer);
    }

    for (i = 0; i < workers; i++) {
        if (bench_cpu(pids[i], &cpu[i]) != 0) {
            return bench_failed("latency", peer);
        }
    }

    bench_peer_ask(peer, BENCH_DO_RATE, 0, conf->time);

    if (bench_peer_wait(peer, BENCH_WAIT) != 0) {
        return bench_failed("latency", peer);
    }

    for (i = 0, sum = 0; i < workers; i++) {
        if (bench_cpu(pids[i], &after) != 0) {
            return bench_failed("latency", peer);
        }

        sum += after - cpu[i];
    }

    snprintf(what, sizeof(what), "%u rooms of %u, messages a second",
             conf->conns / conf->members, conf->members);
    bench_row(what, "", "%u", conf->rate);
    bench_row("messages, each delivered to all of its room", "", "%llu",
              (unsigned long long) peer->messages);
    bench_row("due to delivered, p50", "", "%.3f ms", peer->p50 / 1e6);
    bench_row("due to delivered, **p99**", "< 10 ms", "%.3f ms",
              peer->p99 / 1e6);
    bench_row("due to delivered, p99.9", "", "%.3f ms", peer->p999 / 1e6);
    bench_row("due to delivered, max", "", "%.3f ms", peer->max / 1e6);
    bench_row("of it the sender's own delay, at most", "", "%.3f ms",
              peer->late / 1e6);
    snprintf(what, sizeof(what), "CPU of the %d workers, per delivery",
             workers);
    bench_row(what, "", "%.3f us", sum / 1e3 / peer->deliveries);

    return 0;
}


/* selftest */

static int
bench_selftest(bench_conf_t *conf)
{
    conf->conns = 20;
    conf->members = 20;
    conf->time = 200 * BENCH_MSEC;
    conf->stall = 500 * BENCH_MSEC;
    conf->raw = 1;

    return bench_selftest_numbers()
           || bench_selftest_floor(*conf, BENCH_FLOOR_FAIR, "is fair")
           || bench_selftest_floor(*conf, BENCH_FLOOR_LOSES, "loses")
           || bench_selftest_floor(*conf, BENCH_FLOOR_REPEATS, "repeats")
           || bench_selftest_floor(*conf, BENCH_FLOOR_SKIPS, "skips")
           ? -1 : 0;
}


/* a server that is not fair has to be found out */

static int
bench_selftest_floor(bench_conf_t conf, bench_floor_e fault,
    const char *name)
{
    int            rc;
    bench_peer_t  *floor, *client;

    floor = bench_floor_start(&conf, 300, fault);

    if (floor == NULL) {
        return bench_failed("fork", NULL);
    }

    conf.addr.sin_port = floor->port;
    client = bench_peer_client(&conf, 0, conf.conns, INADDR_LOOPBACK);

    if (client == NULL) {
        bench_peer_stop(floor);
        return bench_failed("fork", NULL);
    }

    bench_peer_ask(client, BENCH_DO_JOIN, 0, 0);
    rc = bench_peer_wait(client, BENCH_WAIT);

    if (rc == 0) {
        bench_peer_ask(client, BENCH_DO_FANOUT, 4, conf.time);
        rc = bench_peer_wait(client, BENCH_WAIT);

    } else {
        fault = BENCH_FLOOR_FAIR;
    }

    printf("# a server that %s: %s\n", name,
           client->why[0] ? client->why : "no error");

    if ((rc == 0) == (fault == BENCH_FLOOR_FAIR)
        && (rc != 0 || (client->messages > 20
                        && client->deliveries
                           == client->messages * conf.conns)))
    {
        rc = 0;

    } else {
        rc = bench_failed("selftest", client);
    }

    bench_peer_stop(client);
    bench_peer_stop(floor);

    return rc;
}


static int
bench_selftest_numbers(void)
{
    uint64_t  i, values[200];

    for (i = 0; i < 200; i++) {
        values[i] = 200 - i;
    }

    qsort(values, 200, sizeof(uint64_t), bench_compare);

    if (bench_percentile(values, 200, 0.5) != 100
        || bench_percentile(values, 200, 0.99) != 198
        || bench_percentile(values, 200, 1.0) != 200
        || bench_percentile(values, 1, 0.5) != 1)
    {
        fprintf(stderr, "bench: selftest: wrong percentile\n");
        return -1;
    }

    return 0;
}


/* for the script */

static int
bench_port(bench_conf_t *conf)
{
    int        fd;
    socklen_t  len;

    conf->addr.sin_port = 0;
    len = sizeof(conf->addr);

    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd == -1
        || bind(fd, (struct sockaddr *) &conf->addr, len) != 0
        || getsockname(fd, (struct sockaddr *) &conf->addr, &len) != 0)
    {
        return bench_failed("port", NULL);
    }

    printf("%u\n", ntohs(conf->addr.sin_port));

    return close(fd);
}


static int
bench_limit(bench_conf_t *conf)
{
    (void) conf;

    printf("%u\n", bench_files());

    return 0;
}


static int
bench_listening(bench_conf_t *conf)
{
    int       fd, rc;
    uint64_t  last;

    last = bench_now() + conf->stall;

    do {
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        rc = connect(fd, (struct sockaddr *) &conf->addr,
                     sizeof(conf->addr));
        close(fd);

        if (rc == 0) {
            return 0;
        }

        usleep(10000);

    } while (bench_now() < last);

    return bench_failed("listening", NULL);
}
