
/*
 * Copyright (C) ChatHub contributors
 */


/* What the sanitizers ask the nginx that is built with them.  Weak, as
 * configure links its small programs with it too. */

#include <signal.h>
#include <stddef.h>


extern sig_atomic_t  ngx_quit __attribute__((weak));
extern sig_atomic_t  ngx_terminate __attribute__((weak));
extern unsigned long ngx_exiting __attribute__((weak));

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__lsan_default_suppressions(void);
int __lsan_is_turned_off(void);


/* each of nginx's modules has an "ngx_modules" */

const char *
__asan_default_options(void)
{
    return "detect_odr_violation=0:detect_stack_use_after_return=1";
}


const char *
__ubsan_default_options(void)
{
    return "print_stacktrace=1";
}


/* a worker's connections are left to the end of the process */

const char *
__lsan_default_suppressions(void)
{
    return "leak:ngx_event_process_init\n";
}


/* where nginx does not start, for a bad configuration, it frees nothing */

int
__lsan_is_turned_off(void)
{
    return !((&ngx_quit != NULL && ngx_quit)
             || (&ngx_terminate != NULL && ngx_terminate)
             || (&ngx_exiting != NULL && ngx_exiting));
}
