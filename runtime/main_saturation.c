/* SPDX-License-Identifier: Apache-2.0 */
/* --saturations: what the states that count have counted, the largest shares first. */
#include "runtime/main_priv.h"

#include <stdlib.h>
#include <string.h>

typedef struct Counted {
    const char *tensor;
    int64_t beyond, all;
} Counted;

/* A model's own state may be called so. */
static bool counts(const Cli *c, uint32_t i)
{
    const ScrtPort *p = &c->model->state[i];
    return !strncmp(p->name, SCRT_SATURATED, sizeof SCRT_SATURATED - 1) && p->dtype == SCRT_I64 &&
           p->rank == 1 && c->model->state_info[i].dims[0] == 2;
}

bool scrtio_counts_saturations(const Cli *c)
{
    bool any = false;
    for (uint32_t i = 0; i < c->model->n_state; i++)
        any = any || counts(c, i);
    return any;
}

static double share(const Counted *x)
{
    return x->all ? (double)x->beyond / (double)x->all : 0;
}

static int by_share(const void *a, const void *b)
{
    double x = share(a), y = share(b);
    return x == y ? strcmp(((const Counted *)a)->tensor, ((const Counted *)b)->tensor)
                  : (x < y) - (x > y);
}

/* Freed with scrt_free; NULL where memory ends. */
static Counted *counted(const Cli *c, uint32_t *ret_n)
{
    uint32_t n = 0;
    Counted *ret = scrt_alloc((c->model->n_state + 1) * sizeof *ret);
    for (uint32_t i = 0; ret && i < c->model->n_state; i++) {
        ScrtTensor t;
        if (!counts(c, i) || scrt_state_get(c->session, i, &t) != SCRT_OK)
            continue;
        const int64_t *count = t.data;
        ret[n++] =
            (Counted){c->model->state[i].name + sizeof SCRT_SATURATED - 1, count[0], count[1]};
    }
    if (n)
        qsort(ret, n, sizeof *ret, by_share);
    *ret_n = n;
    return ret;
}

void scrtio_print_saturations(const Cli *c)
{
    uint32_t n;
    Counted *x = counted(c, &n);
    if (!x) {
        puts("(out of memory)");
        return;
    }
    printf("%12s %14s %9s  %s\n", "saturated", "of elements", "share", "tensor");
    for (uint32_t i = 0; i < n; i++) {
        printf("%12lld %14lld %8.4f%%  ", (long long)x[i].beyond, (long long)x[i].all,
               100 * share(&x[i]));
        scrtio_print_text(stdout, x[i].tensor);
        putchar('\n');
    }
    scrt_free(x);
}

void scrtio_print_saturations_json(const Cli *c)
{
    uint32_t n = 0;
    Counted *x = counted(c, &n);
    fputs("\"saturations\": [", stdout);
    for (uint32_t i = 0; x && i < n; i++) {
        fputs(i ? ", {\"tensor\": " : "{\"tensor\": ", stdout);
        scrtio_print_json_string(stdout, x[i].tensor);
        printf(", \"saturated\": %lld, \"elements\": %lld}", (long long)x[i].beyond,
               (long long)x[i].all);
    }
    fputc(']', stdout);
    scrt_free(x);
}
