
/*
 * The load generator of ChatHub: what its files share.
 *
 * A run has one measuring process, which does no work while it measures, and
 * peers, forked from it: clients, each a loop over many connections, and the
 * floor, a plain server to compare with.  They share a bench_peer_t each.
 */


#ifndef _BENCH_H_INCLUDED_
#define _BENCH_H_INCLUDED_


#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <netinet/in.h>


#define BENCH_MSEC          1000000ull
#define BENCH_SEC           1000000000ull

#define BENCH_MAX_PEERS     64
#define BENCH_MAX_WORKERS   64
#define BENCH_MAX_WINDOW    1024         /* messages in flight, a power of 2 */
#define BENCH_MAX_DATA      65536        /* bytes */
#define BENCH_MAX_FRAME     (8 * 1024 * 1024)
#define BENCH_MIN_DATA      20           /* a time in nanoseconds */


typedef struct bench_conn_s    bench_conn_t;
typedef struct bench_client_s  bench_client_t;

typedef enum {
    BENCH_CLOSED = 0,
    BENCH_CONNECTING,
    BENCH_HANDSHAKE,
    BENCH_JOINING,
    BENCH_JOINED
} bench_state_e;

typedef enum {
    BENCH_DO_JOIN = 0,          /* connect and join, all */
    BENCH_DO_SETTLE,            /* until nothing has come for a while */
    BENCH_DO_ONCE,              /* one message in each room */
    BENCH_DO_FANOUT,            /* closed loop in the only room */
    BENCH_DO_RATE               /* open loop over all rooms */
} bench_do_e;

typedef enum {
    BENCH_FLOOR_FAIR = 0,
    BENCH_FLOOR_LOSES,          /* a delivery */
    BENCH_FLOOR_REPEATS,        /* a delivery */
    BENCH_FLOOR_SKIPS           /* a seq, for everybody */
} bench_floor_e;


/* what a run is about; the same for all its processes */

typedef struct {
    struct sockaddr_in    addr;
    const char           *uri;
    pid_t                 master;      /* of nginx */
    uint32_t              workers;
    uint32_t              conns;       /* in all */
    uint32_t              members;     /* of a room */
    uint32_t              data;        /* bytes in a message */
    uint32_t              rate;        /* messages a second */
    uint32_t              rounds;
    uint32_t              slots;       /* worker_connections */
    uint64_t              time;        /* ns */
    uint64_t              stall;       /* ns without progress: failed */
    uint32_t              windows[8];
    uint32_t              nwindows;
    unsigned              raw:1;       /* the floor: frames only */
} bench_conf_t;


/*
 * Shared memory of the measuring process and one peer.  The measuring process
 * writes what to do, then "asked"; the peer writes its results, then
 * "answered".  "why" is the first thing that went wrong, empty if nothing.
 */

typedef struct {
    pid_t                 pid;
    atomic_uint           asked;
    atomic_uint           answered;

    bench_do_e            what;
    uint32_t              window;
    uint64_t              time;        /* ns */

    uint64_t              joined;
    uint64_t              messages;
    uint64_t              deliveries;
    uint64_t              acks;
    uint64_t              expected;    /* deliveries */
    uint64_t              errors;
    uint64_t              wall;        /* ns */
    uint64_t              p50;         /* ns, as all below */
    uint64_t              p99;
    uint64_t              p999;
    uint64_t              max;
    uint64_t              late;        /* the sender's own, at most */
    uint32_t              frame;       /* payload of the last delivery */
    uint32_t              others;      /* pushes other than messages */

    in_port_t             port;        /* of the floor */
    char                  why[200];
} bench_peer_t;


struct bench_conn_s {
    int                   fd;
    bench_state_e         state;
    uint32_t              number;      /* user and room derive from it */
    uint32_t              count;       /* messages delivered */
    uint64_t              seq;         /* of the last message */
    uint32_t              ack;         /* ref of the last ack */

    unsigned char        *in;          /* an incomplete frame */
    size_t                in_len;
    unsigned char        *out;         /* what the socket did not take */
    size_t                out_len;
};


typedef struct {
    unsigned char        *start;
    size_t                len;
    size_t                size;
} bench_buf_t;


struct bench_client_s {
    const bench_conf_t   *conf;
    bench_peer_t         *peer;

    int                   ep;
    int                   timer;       /* -1 if none */
    bench_conn_t         *conns;
    uint32_t              n;
    uint32_t              opened;
    uint32_t              joined;
    uint32_t              first;       /* number of conns[0] */
    struct in_addr        source;

    uint64_t              now;         /* ns, when the last bytes came */
    uint64_t              frames;      /* of any kind */
    uint64_t              deliveries;
    uint64_t              acks;
    uint64_t              errors;
    unsigned              ticked:1;    /* the timer */

    size_t                seq_at;      /* where "seq" was last time */
    unsigned char        *scratch;

    void                (*message)(bench_client_t *cl, bench_conn_t *c,
                              const unsigned char *p, size_t len);
    uint32_t             *pending;     /* deliveries per message in flight */
    uint64_t              done;        /* messages that all have got */
    uint64_t             *samples;     /* ns */
    uint64_t              nsamples;
    uint64_t              max_samples;
    uint64_t              since;       /* sample what was due later, ns */
};


/* client.c: connections; the owner of "cl" is the calling process */

int bench_client_init(bench_client_t *cl, const bench_conf_t *conf,
    bench_peer_t *peer, uint32_t first, uint32_t n, uint32_t source);
int bench_client_open(bench_client_t *cl);
int bench_client_turn(bench_client_t *cl, int timeout);
int bench_client_publish(bench_client_t *cl, bench_buf_t *b, bench_conn_t *c,
    uint32_t ref, uint64_t time);
int bench_client_write(bench_client_t *cl, bench_conn_t *c,
    const unsigned char *p, size_t len);
void bench_client_fail(bench_client_t *cl, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


/* frame.c: RFC 6455 frames and the few fields of JSON that are looked at */

typedef struct {
    unsigned              fin:1;
    unsigned              masked:1;
    unsigned              rsv:3;
    unsigned              opcode:4;
    const unsigned char  *payload;
    size_t                len;
} bench_frame_t;

/* the bytes of the frame; 0: incomplete; -1: longer than is allowed */
ssize_t bench_frame_parse(bench_frame_t *f, const unsigned char *p,
    size_t len);

/* both append a frame; -1: no memory */
int bench_frame_masked(bench_buf_t *b, unsigned opcode, const void *payload,
    size_t len);
int bench_frame_plain(bench_buf_t *b, const void *payload, size_t len);

/* the number after KEY, at *at or wherever it is; 0: none */
uint64_t bench_number(const unsigned char *p, size_t len, const char *key,
    size_t *at);


/* peer.c: processes and what clients do */

bench_peer_t *bench_peer_client(const bench_conf_t *conf, uint32_t first,
    uint32_t n, uint32_t source);
void bench_peer_ask(bench_peer_t *peer, bench_do_e what, uint32_t window,
    uint64_t time);
int bench_peer_wait(bench_peer_t *peer, uint64_t timeout);
bench_peer_t *bench_peer_fork(void);
void bench_peer_stop(bench_peer_t *peer);


/* floor.c */

bench_peer_t *bench_floor_start(const bench_conf_t *conf, uint32_t frame,
    bench_floor_e fault);


/* proc.c: what the kernel knows of other processes */

typedef struct {
    uint64_t              all;         /* KiB, as the others */
    uint64_t              anon;
    uint64_t              shmem;
    uint64_t              file;
} bench_pss_t;

uint64_t bench_now(void);                               /* ns */
int bench_workers(pid_t master, pid_t *pids, int max);  /* how many */
int bench_cpu(pid_t pid, uint64_t *ns);
int bench_pss(const pid_t *pids, int n, bench_pss_t *pss);
int bench_pin(pid_t pid, int last);
int bench_compare(const void *one, const void *two);    /* of uint64_t */
uint64_t bench_percentile(const uint64_t *sorted, uint64_t n, double part);
uint32_t bench_files(void);             /* the limit, raised to the hard one */


#endif /* _BENCH_H_INCLUDED_ */
