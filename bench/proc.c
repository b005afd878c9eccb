
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "bench.h"


static int bench_read(pid_t pid, const char *name, char *buf, size_t size);
static int bench_is_worker(pid_t pid, pid_t master);


uint64_t
bench_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec * BENCH_SEC + ts.tv_nsec;
}


static int
bench_read(pid_t pid, const char *name, char *buf, size_t size)
{
    char    path[64];
    FILE   *f;
    size_t  n;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, name);

    f = fopen(path, "r");
    if (f == NULL) {
        return -1;
    }

    n = fread(buf, 1, size - 1, f);
    fclose(f);
    buf[n] = '\0';

    return n == 0 ? -1 : 0;
}


static int
bench_is_worker(pid_t pid, pid_t master)
{
    int   parent;
    char  buf[1024], *p;

    if (bench_read(pid, "stat", buf, sizeof(buf)) != 0) {
        return 0;
    }

    p = strrchr(buf, ')');

    if (p == NULL || sscanf(p + 1, " %*c %d", &parent) != 1
        || parent != (int) master)
    {
        return 0;
    }

    if (bench_read(pid, "cmdline", buf, sizeof(buf)) != 0) {
        return 0;
    }

    /* not the ones that are shutting down, nor the cache's processes */

    return strncmp(buf, "nginx: worker process", 21) == 0
           && strstr(buf, "shutting") == NULL;
}


int
bench_workers(pid_t master, pid_t *pids, int max)
{
    int             n;
    DIR            *dir;
    pid_t           pid;
    struct dirent  *entry;

    dir = opendir("/proc");
    if (dir == NULL) {
        return 0;
    }

    n = 0;

    while (n < max && (entry = readdir(dir)) != NULL) {

        if (!isdigit((unsigned char) entry->d_name[0])) {
            continue;
        }

        pid = atoi(entry->d_name);

        if (bench_is_worker(pid, master)) {
            pids[n++] = pid;
        }
    }

    closedir(dir);

    return n;
}


/*
 * schedstat counts nanoseconds, stat's utime and stime only ticks; it is the
 * first thread's, which is all of a worker beside the store's threads.
 */

int
bench_cpu(pid_t pid, uint64_t *ns)
{
    char                buf[128];
    unsigned long long  value;

    if (bench_read(pid, "schedstat", buf, sizeof(buf)) != 0
        || sscanf(buf, "%llu", &value) != 1)
    {
        return -1;
    }

    *ns = value;

    return 0;
}


int
bench_pss(const pid_t *pids, int n, bench_pss_t *pss)
{
    int                 i;
    char                buf[4096], *line, *save;
    unsigned long long  value;

    memset(pss, 0, sizeof(bench_pss_t));

    for (i = 0; i < n; i++) {

        if (bench_read(pids[i], "smaps_rollup", buf, sizeof(buf)) != 0) {
            return -1;
        }

        for (line = strtok_r(buf, "\n", &save);
             line != NULL;
             line = strtok_r(NULL, "\n", &save))
        {
            if (sscanf(line, "Pss: %llu", &value) == 1) {
                pss->all += value;

            } else if (sscanf(line, "Pss_Anon: %llu", &value) == 1) {
                pss->anon += value;

            } else if (sscanf(line, "Pss_Shmem: %llu", &value) == 1) {
                pss->shmem += value;

            } else if (sscanf(line, "Pss_File: %llu", &value) == 1) {
                pss->file += value;
            }
        }
    }

    return 0;
}


/* to the first or the last processor that this process may use */

int
bench_pin(pid_t pid, int last)
{
    int        i, found;
    cpu_set_t  set;

    if (sched_getaffinity(getpid(), sizeof(set), &set) != 0
        || CPU_COUNT(&set) < 2)
    {
        return -1;
    }

    for (i = 0, found = -1; i < CPU_SETSIZE; i++) {

        if (CPU_ISSET(i, &set)) {
            found = i;

            if (!last) {
                break;
            }
        }
    }

    CPU_ZERO(&set);
    CPU_SET(found, &set);

    return sched_setaffinity(pid, sizeof(set), &set);
}


int
bench_compare(const void *one, const void *two)
{
    uint64_t  a, b;

    a = *(const uint64_t *) one;
    b = *(const uint64_t *) two;

    return (a > b) - (a < b);
}


/* the smallest value that at least that part of all does not exceed */

uint64_t
bench_percentile(const uint64_t *sorted, uint64_t n, double part)
{
    uint64_t  rank;

    if (n == 0) {
        return 0;
    }

    rank = part * n;

    if (rank < part * n) {
        rank++;
    }

    return sorted[rank ? rank - 1 : 0];
}


uint32_t
bench_files(void)
{
    struct rlimit  limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 1024;
    }

    limit.rlim_cur = limit.rlim_max;

    if (setrlimit(RLIMIT_NOFILE, &limit) != 0
        && getrlimit(RLIMIT_NOFILE, &limit) != 0)
    {
        return 1024;
    }

    return limit.rlim_cur > 100000 ? 100000 : limit.rlim_cur;
}
