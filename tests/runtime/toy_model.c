/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/runtime/toy_model.h"

#include "runtime/num/num.h"

#include <stddef.h>
#include <string.h>

_Alignas(64) const float toy_weights[16] = {
    0.5f, 1.5f, 2.5f, 0, 0x5p-149f, /* 5 as an int64_t */
};

enum { COLUMNS = 3 };

/* Buffers: weights, x, k, y, total, s, steps, next s, next steps, workspace. */
enum { W, X, K, Y, TOTAL, S, STEPS, NEXT_S, NEXT_STEPS, WORK };
enum { ZERO, THREADS, BATCH, COLS, THREE, MOST, WORK_BYTES, Y_BYTES, TOTAL_BYTES, N_VALUE };

static const ScrtPlace place[] = {
    {X, 0, 0},     {K, 0, 0},      {S, 0, 0},          {W, 0, 0},     {Y, 0, 0},
    {WORK, 0, 0},  {X, 0, 0},      {S, 0, 0},          {STEPS, 0, 0}, {WORK, 0, 0},
    {TOTAL, 0, 0}, {NEXT_S, 0, 0}, {NEXT_STEPS, 0, 0},
};

/* y = (x + s + w) * k, and each row's sum into the workspace, which is then added up in order. */
static void rows(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    (void)thread;
    void *const *p = (void *const *)arg + SCRT_ARG_PLACES;
    const float *x = p[0], *s = p[2], *w = p[3];
    float k = (float)*(const int64_t *)p[1], *y = p[4];
    double *sum = p[5];
    for (int64_t r = begin; r < end; r++) {
        sum[r] = 0;
        for (int i = 0; i < COLUMNS; i++) {
            y[COLUMNS * r + i] = (x[COLUMNS * r + i] + s[i] + w[i]) * k;
            sum[r] += y[COLUMNS * r + i];
        }
    }
}

static void all_rows(void *const *arg)
{
    const ScrtCall *c = arg[SCRT_ARG_CALL];
    c->fns->parallel(c->pool, rows, (void *)arg, *(const int64_t *)arg[SCRT_ARG_PARAMS], 16);
}

static void sums(void *const *arg)
{
    void *const *p = arg + SCRT_ARG_PLACES;
    int64_t n = *(const int64_t *)arg[SCRT_ARG_PARAMS];
    const float *x = p[0];
    float *next = p[5];
    double total = 0;
    for (int64_t r = 0; r < n; r++)
        total += ((double *)p[3])[r];
    *(float *)p[4] = (float)total;
    memcpy(next, p[1], COLUMNS * sizeof *next);
    for (int64_t r = 0; r < n; r++)
        for (int i = 0; i < COLUMNS; i++)
            next[i] += x[COLUMNS * r + i];
    *(int64_t *)p[6] = *(const int64_t *)p[2] + 1;
}

#define CONSTANT(n, value) SCRT_W_CONST, (n), SCRT_W_STORE, (value)
#define PRODUCT(n, value)  SCRT_W_VALUE, BATCH, SCRT_W_CONST, (n), SCRT_W_MUL, SCRT_W_STORE, (value)
static const int64_t word[] = {
    CONSTANT(COLUMNS, THREE), CONSTANT(TOY_MOST, MOST),      CONSTANT(4, TOTAL_BYTES),
    PRODUCT(8, WORK_BYTES),   PRODUCT(4 * COLUMNS, Y_BYTES),
};
enum { N_WORD = sizeof word / sizeof *word };

static const ScrtStep bind_steps[] = {
    {.kind = SCRT_BIND_EXTENT, .a = BATCH, .b = 0, .c = 0},
    {.kind = SCRT_BIND_EXTENT, .a = COLS, .b = 0, .c = 1},
    {.kind = SCRT_EVAL, .who = 1, .a = 0, .b = N_WORD},
    {.kind = SCRT_GUARD, .who = 2, .a = SCRT_GUARD_EQUAL, .b = COLS, .c = THREE},
    {.kind = SCRT_GUARD, .who = 3, .a = SCRT_GUARD_AT_MOST, .b = BATCH, .c = MOST},
    {.kind = SCRT_END},
};

static const ScrtStep run_steps[] = {
    {.kind = SCRT_ALLOC, .a = WORK, .b = WORK_BYTES},
    {.kind = SCRT_ALLOC, .a = Y, .b = Y_BYTES},
    {.kind = SCRT_ALLOC, .a = TOTAL, .b = TOTAL_BYTES},
    {.kind = SCRT_KERNEL, .a = 0, .b = 0, .c = 0, .d = 6, .e = BATCH},
    {.kind = SCRT_KERNEL, .a = 1, .b = 1, .c = 6, .d = 7, .e = BATCH},
    {.kind = SCRT_END},
};

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

static const int64_t s_dims[] = {COLUMNS};

static const uint32_t both_states[] = {0, 1};

const ScrtEntry toy_entry = {
    .name = "main",
    .n_in = 2,
    .n_out = 2,
    .n_sym = 1,
    .n_kernel = 2,
    .in = (const ScrtPort[]){{"x", SCRT_F32, 2, "batch,3"}, {"k", SCRT_I64, 0, ""}},
    .out = (const ScrtPort[]){{"y", SCRT_F32, 2, "batch,3"}, {"total", SCRT_F32, 0, ""}},
    .sym = (const char *const[]){"batch"},
    .kernel =
        (const ScrtKernelInfo[]){{"k0", "add0, mul0", "map f32"}, {"k1", "sum0", "reduce f32"}},
    .out_dims = (const uint32_t *const[]){(const uint32_t[]){BATCH, THREE}, NULL},
    .n_value = N_VALUE,
    .n_segment = 1,
    .n_arg = 7,
    .bind = bind_steps,
    .run = run_steps,
    .word = word,
    .place = place,
    .fn = (const ScrtKernel[]){all_rows, sums},
    .state = both_states,
    .n_state = 2,
    .who = (const ScrtWho[]){{0},
                             {.node = "Add \"add0\""},
                             {.input = 0},
                             {.node = "Add \"add0\"",
                              .what = "rows",
                              .a = "batch",
                              .b = "1048576",
                              .where = "batch is dimension 0 of input 'x'"}},
};

const ScrtModel toy = {
    .abi = SCRT_ABI,
    .n_entry = 1,
    .n_state = 2,
    .n_level = 1,
    .name = "toy",
    .info = "{\"options\": {\"recipe\": \"f32\", \"cpu\": \"x86-64\"}, \"nodes\": [1, 2], "
            "\"note\": \"a \\\"quoted\\\" word\"}",
    .entry = &toy_entry,
    .state = (const ScrtPort[]){{"s", SCRT_F32, 1, "3"}, {"steps", SCRT_I64, 0, ""}},
    .state_info = (const ScrtStateInfo[]){{.dims = s_dims, .init = -1, .axis = 1}, {.init = 16}},
    .weights_size = sizeof toy_weights,
    .weights = (const unsigned char *)toy_weights,
    .level = &(const ScrtLevel){"all", 0, sizeof toy_weights},
};
