
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * One hub, one log: the lock of a hub's file is one zone's, whichever of its
 * processes took it, and goes with the last of them.
 */


#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_chathub_lock.h"

#include <sys/wait.h>


static ngx_fd_t zone(void);
static pid_t holder(ngx_fd_t fd, int *end);
static int make_folder(void **state);
static int remove_folder(void **state);
static void test_processes_of_a_zone(void **state);
static void test_other_zone(void **state);
static void test_release(void **state);
static void test_holder_dies(void **state);
static void test_close_on_exec(void **state);
static void test_link(void **state);
static void test_no_folder(void **state);


static ngx_log_t  test_log;
static char       folder[] = "/tmp/chathub-lock-XXXXXX";
static char       name[64];


/* as the master does it when it makes a zone */

static ngx_fd_t
zone(void)
{
    ngx_fd_t   fd;
    ngx_str_t  path;

    path.data = (u_char *) name;
    path.len = strlen(name);

    fd = ngx_chathub_lock_open(&path, &test_log);
    assert_int_not_equal(fd, NGX_INVALID_FILE);

    return fd;
}


/* a worker of the zone that holds the lock until "end" is closed */

static pid_t
holder(ngx_fd_t fd, int *end)
{
    int    ready[2], hold[2];
    char   ch;
    pid_t  pid;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(hold), 0);

    pid = fork();
    assert_int_not_equal(pid, -1);

    if (pid == 0) {
        (void) close(hold[1]);

        ch = (ngx_chathub_lock_try(fd, &test_log) == NGX_OK) ? 'y' : 'n';

        if (write(ready[1], &ch, 1) != 1 || read(hold[0], &ch, 1) != 0) {
            _exit(2);
        }

        _exit(0);
    }

    (void) close(hold[0]);
    *end = hold[1];

    assert_int_equal(read(ready[0], &ch, 1), 1);
    assert_int_equal(ch, 'y');

    (void) close(ready[0]);
    (void) close(ready[1]);

    return pid;
}


static int
make_folder(void **state)
{
    if (mkdtemp(folder) == NULL) {
        return -1;
    }

    (void) snprintf(name, sizeof(name), "%s/main.lock", folder);

    return 0;
}


static int
remove_folder(void **state)
{
    (void) unlink(name);

    return rmdir(folder);
}


static void
test_processes_of_a_zone(void **state)
{
    int       end;
    pid_t     pid;
    ngx_fd_t  fd;

    fd = zone();
    pid = holder(fd, &end);

    assert_int_equal(ngx_chathub_lock_try(fd, &test_log), NGX_OK);
    assert_int_equal(ngx_chathub_lock_try(fd, &test_log), NGX_OK);

    (void) close(end);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    (void) close(fd);
}


static void
test_other_zone(void **state)
{
    int       end;
    pid_t     pid;
    ngx_fd_t  fd, other;

    fd = zone();
    other = zone();
    pid = holder(fd, &end);

    assert_int_equal(ngx_chathub_lock_try(other, &test_log), NGX_DECLINED);

    /* the process is gone, others of its zone are there */

    (void) close(end);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(ngx_chathub_lock_try(other, &test_log), NGX_DECLINED);

    (void) close(fd);
    assert_int_equal(ngx_chathub_lock_try(other, &test_log), NGX_OK);

    (void) close(other);
}


static void
test_release(void **state)
{
    ngx_fd_t  fd, other;

    fd = zone();
    other = zone();

    assert_int_equal(ngx_chathub_lock_try(fd, &test_log), NGX_OK);
    assert_int_equal(ngx_chathub_lock_try(other, &test_log), NGX_DECLINED);

    ngx_chathub_lock_release(fd, &test_log);

    assert_int_equal(ngx_chathub_lock_try(other, &test_log), NGX_OK);
    assert_int_equal(ngx_chathub_lock_try(fd, &test_log), NGX_DECLINED);

    (void) close(fd);
    (void) close(other);
}


static void
test_holder_dies(void **state)
{
    int       end;
    pid_t     pid;
    ngx_fd_t  fd, other;

    fd = zone();
    other = zone();
    pid = holder(fd, &end);

    /* this one is not the zone's process any more, the child is the last */

    (void) close(fd);
    assert_int_equal(ngx_chathub_lock_try(other, &test_log), NGX_DECLINED);

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);

    assert_int_equal(ngx_chathub_lock_try(other, &test_log), NGX_OK);

    (void) close(end);
    (void) close(other);
}


/* another binary that takes over the sockets must not get the lock with
 * them */

static void
test_close_on_exec(void **state)
{
    ngx_fd_t  fd;

    fd = zone();

    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);

    (void) close(fd);
}


static void
test_link(void **state)
{
    char       target[64];
    ngx_str_t  path;

    (void) unlink(name);
    (void) snprintf(target, sizeof(target), "%s/target", folder);
    assert_int_equal(symlink(target, name), 0);

    path.data = (u_char *) name;
    path.len = strlen(name);

    assert_int_equal(ngx_chathub_lock_open(&path, &test_log),
                     NGX_INVALID_FILE);
    assert_int_not_equal(access(target, F_OK), 0);

    (void) unlink(name);
}


static void
test_no_folder(void **state)
{
    ngx_str_t  path = ngx_string("/nonexistent/chathub/main.lock");

    assert_int_equal(ngx_chathub_lock_open(&path, &test_log),
                     NGX_INVALID_FILE);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_processes_of_a_zone),
        cmocka_unit_test(test_other_zone),
        cmocka_unit_test(test_release),
        cmocka_unit_test(test_holder_dies),
        cmocka_unit_test(test_close_on_exec),
        cmocka_unit_test(test_link),
        cmocka_unit_test(test_no_folder)
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
