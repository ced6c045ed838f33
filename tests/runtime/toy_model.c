/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/runtime/toy_model.h"

#include "runtime/num/num.h"

#include <stddef.h>
#include <string.h>

_Alignas(64) const float toy_weights[16] = {0.5f, 1.5f, 2.5f};
unsigned toy_shapes_calls;

enum { COLUMNS = 3 };

static uint32_t shapes(const int64_t *const *in_dims, uint32_t n_thread, int64_t *ret_sym,
                       int64_t *const *ret_out_dims, uint64_t *ret_work)
{
    (void)n_thread;
    toy_shapes_calls++;
    int64_t batch = in_dims[0][0];
    if (in_dims[0][1] != COLUMNS || batch > TOY_MOST)
        return 1;
    ret_sym[0] = batch;
    ret_out_dims[0][0] = batch;
    ret_out_dims[0][1] = COLUMNS;
    *ret_work = (uint64_t)batch * sizeof(double);
    return 0;
}

/* y = (x + s + w) * k, and each row's sum into the workspace, which is then added up in order. */
static void rows(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    (void)thread;
    const ScrtCall *c = arg;
    const float *x = c->in[0], *s = c->state[0], *w = (const float *)c->weights;
    float k = (float)*(const int64_t *)c->in[1], *y = c->out[0];
    double *sum = (double *)c->work;
    for (int64_t r = begin; r < end; r++) {
        sum[r] = 0;
        for (int i = 0; i < COLUMNS; i++) {
            y[COLUMNS * r + i] = (x[COLUMNS * r + i] + s[i] + w[i]) * k;
            sum[r] += y[COLUMNS * r + i];
        }
    }
}

static void run(const ScrtCall *c)
{
    int64_t n = c->sym[0];
    const float *x = c->in[0];
    float *next = c->next[0];
    if (c->fns->enter)
        c->fns->enter(c->profile, 0);
    c->fns->parallel(c->pool, rows, (void *)c, n, 16);
    if (c->fns->leave)
        c->fns->leave(c->profile, 0);

    if (c->fns->enter)
        c->fns->enter(c->profile, 1);
    double total = 0;
    for (int64_t r = 0; r < n; r++)
        total += ((double *)c->work)[r];
    *(float *)c->out[1] = (float)total;
    memcpy(next, c->state[0], COLUMNS * sizeof *next);
    for (int64_t r = 0; r < n; r++)
        for (int i = 0; i < COLUMNS; i++)
            next[i] += x[COLUMNS * r + i];
    *(int64_t *)c->next[1] = *(const int64_t *)c->state[1] + 1;
    if (c->fns->leave)
        c->fns->leave(c->profile, 1);
}

void toy_reference(int64_t n, const float *x, int64_t k, const float *s, float *ret_y,
                   float *ret_total, float *ret_s)
{
    double total = 0;
    memcpy(ret_s, s, COLUMNS * sizeof *s);
    for (int64_t r = 0; r < n; r++) {
        double row = 0;
        for (int i = 0; i < COLUMNS; i++) {
            ret_y[COLUMNS * r + i] = (x[COLUMNS * r + i] + s[i] + toy_weights[i]) * (float)k;
            row += ret_y[COLUMNS * r + i];
            ret_s[i] += x[COLUMNS * r + i];
        }
        total += row;
    }
    *ret_total = (float)total;
}

static const int64_t s_dims[] = {COLUMNS}, five = 5;

const ScrtModel toy = {
    .abi = SCRT_ABI,
    .n_in = 2,
    .n_out = 2,
    .n_state = 2,
    .n_sym = 1,
    .n_kernel = 2,
    .name = "toy",
    .info = "{\"options\": {\"recipe\": \"f32\", \"cpu\": \"x86-64\"}, \"nodes\": [1, 2], "
            "\"note\": \"a \\\"quoted\\\" word\"}",
    .in = (const ScrtPort[]){{"x", SCRT_F32, 2, "batch,3"}, {"k", SCRT_I64, 0, ""}},
    .out = (const ScrtPort[]){{"y", SCRT_F32, 2, "batch,3"}, {"total", SCRT_F32, 0, ""}},
    .state = (const ScrtPort[]){{"s", SCRT_F32, 1, "3"}, {"steps", SCRT_I64, 0, ""}},
    .sym = (const char *const[]){"batch"},
    .kernel =
        (const ScrtKernelInfo[]){{"k0", "add0, mul0", "map f32"}, {"k1", "sum0", "reduce f32"}},
    .weights_size = sizeof toy_weights,
    .weights = (const unsigned char *)toy_weights,
    .shapes = shapes,
    .state_dims = (const int64_t *const[]){s_dims, NULL},
    .state_init = (const unsigned char *const[]){NULL, (const unsigned char *)&five},
    .run = run,
};
