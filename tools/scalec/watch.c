/* SPDX-License-Identifier: Apache-2.0 */
/* Time is charged to outermost stages: a probe is one line, whatever it compiles and runs. A thread
 * draws, since LLVM and cc say nothing while they work. */
#include "tools/scalec/watch.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 2.0 /* seconds before anything is drawn */
#define PERIOD   0.2 /* seconds between two drawings */

typedef struct Spent {
    const char *name; /* of a stage */
    double seconds;
    int64_t nodes; /* -1: not known */
} Spent;

struct CliWatch {
    ScCtx *cx;
    const char *command;
    double begin;
    Spent *spent; /* [n] in the order in which they began */
    uint32_t n, cap;
    double since;  /* the outermost stage's begin */
    bool terminal; /* the rest is for the thread, which takes turns by the lock */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop, drawn;
    const char *outer, *part; /* names: of the outermost stage, and of the one whose share it is */
    double share, part_begin; /* share: NAN where it is not known */
};

double cli_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- The line --------------------------------------------------------------------------------- */

static void clear(CliWatch *w)
{
    if (w->drawn)
        fputs("\r\033[K", stderr);
    w->drawn = false;
}

static void draw(CliWatch *w)
{
    double spent = cli_now() - w->part_begin;
    char line[160];
    size_t room = sizeof line;
    size_t n = (size_t)snprintf(line, room, "scalec %s: %s", w->command, w->outer);
    if (w->part != w->outer)
        n += (size_t)snprintf(line + n, room - n, ", %s", w->part);
    if (isnan(w->share))
        snprintf(line + n, room - n, ", %.0f s", spent);
    else if (w->share < 0.02 || spent < 1) /* too early to tell */
        snprintf(line + n, room - n, " %.0f %%", 100 * w->share);
    else
        snprintf(line + n, room - n, " %.0f %%, %.0f s left", 100 * w->share,
                 ceil(spent * (1 - w->share) / w->share));
    fprintf(stderr, "\r%.78s\033[K", line);
    w->drawn = true;
}

static void *draw_on(void *arg)
{
    CliWatch *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += (long)(PERIOD * 1e9);
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&w->wake, &w->lock, &until);
        if (!w->stop && w->outer && cli_now() - w->begin >= PATIENCE)
            draw(w);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* --- Stages ----------------------------------------------------------------------------------- */

static Spent *spent_on(CliWatch *w, const char *name)
{
    for (uint32_t i = 0; i < w->n; i++)
        if (!strcmp(w->spent[i].name, name))
            return &w->spent[i];
    Spent s = {name, 0, -1};
    sc_buf_push(w->spent, w->n, w->cap, s);
    return &w->spent[w->n - 1];
}

/* The whole stage's share where its units are known: a unit that is under way counts as far as its
 * own stages go. Else that of the outermost one inside whose units are. */
static void measure(CliWatch *w, const ScStage *s)
{
    const char *part = w->outer;
    w->share = NAN;
    for (; s; s = s->around)
        if (s->all) {
            double under_way = isnan(w->share) ? 0 : w->share;
            w->share = ((double)s->done + under_way) / (double)s->all;
            part = s->name;
        }
    if (part != w->part)
        w->part_begin = cli_now();
    w->part = part;
}

static void see(void *arg, const ScStage *innermost)
{
    CliWatch *w = arg;
    const ScStage *outer = innermost;
    while (outer && outer->around)
        outer = outer->around;
    const char *name = outer ? outer->name : NULL;
    if (w->terminal)
        pthread_mutex_lock(&w->lock);
    if (name != w->outer) {
        double t = cli_now();
        if (w->outer)
            spent_on(w, w->outer)->seconds += t - w->since;
        if (name)
            spent_on(w, name);
        w->since = t;
        w->outer = name;
        clear(w);
    }
    if (w->terminal) {
        measure(w, innermost);
        pthread_mutex_unlock(&w->lock);
    }
}

/* --- Beginning and end ------------------------------------------------------------------------ */

CliWatch *cli_watch_begin(ScCtx *cx, const char *command)
{
    CliWatch *w = sc_calloc(1, sizeof *w);
    *w = (CliWatch){.cx = cx, .command = command, .begin = cli_now(), .share = NAN};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    w->terminal = isatty(STDERR_FILENO) && pthread_create(&w->thread, NULL, draw_on, w) == 0;
    sc_watch_stages(cx, see, w);
    return w;
}

void cli_watch_nodes(CliWatch *w, const char *stage, uint32_t nodes)
{
    spent_on(w, stage)->nodes = nodes;
}

void cli_watch_stop(CliWatch *w)
{
    sc_watch_stages(w->cx, NULL, NULL);
    if (!w->terminal)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    clear(w);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    w->terminal = false;
}

void cli_watch_hand_over(CliWatch *w, const char *stage)
{
    cli_watch_stop(w);
    spent_on(w, stage);
    w->since = cli_now();
    w->outer = stage;
}

void cli_watch_print(CliWatch *w)
{
    double end = cli_now(), all = end - w->begin, rest = all;
    if (w->outer)
        spent_on(w, w->outer)->seconds += end - w->since;
    w->outer = NULL;
    for (uint32_t i = 0; i < w->n; i++) {
        const Spent *s = &w->spent[i];
        rest -= s->seconds;
        fprintf(stderr, "%-10s %10.2f ms", s->name, 1e3 * s->seconds);
        if (s->nodes >= 0)
            fprintf(stderr, "  %lld nodes", (long long)s->nodes);
        fputc('\n', stderr);
    }
    fprintf(stderr, "%-10s %10.2f ms\n%-10s %10.2f ms\n", "the rest", 1e3 * rest, "all", 1e3 * all);
}

void cli_watch_free(CliWatch *w)
{
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    sc_buf_free(w->spent);
    free(w);
}
