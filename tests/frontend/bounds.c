/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/frontend/bounds.h"

#include "tests/harness.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { CPU = 4, WALL = 20, MEGABYTES = 300 };

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A line of /proc/self/status in kB; -1 where the system has none. */
static long status(const char *key)
{
    char line[128];
    long ret = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && ret < 0 && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            sscanf(line + strlen(key), ": %ld", &ret);
    if (f)
        fclose(f);
    return ret;
}

/* The peak begins anew: it is what is resident now. */
static bool reset_peak(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    bool ok = f && fputs("5", f) >= 0;
    return f ? fclose(f) == 0 && ok : false;
}

void bounds_begin(Bounds *b, bool memory)
{
    b->kilobytes = memory && reset_peak() ? status("VmRSS") : -1;
    b->cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    b->wall = now(CLOCK_MONOTONIC);
}

void bounds_end(const Bounds *b, const char *what)
{
    double cpu = now(CLOCK_PROCESS_CPUTIME_ID) - b->cpu, wall = now(CLOCK_MONOTONIC) - b->wall;
    sct_need(cpu < CPU && wall < WALL, "%s: took %.2f s, %.2f by the clock", what, cpu, wall);
    long grown = b->kilobytes < 0 ? 0 : status("VmHWM") - b->kilobytes;
    sct_need(grown < MEGABYTES << 10, "%s: took %ld MB", what, grown >> 10);
}
