/* SPDX-License-Identifier: Apache-2.0 */
/* Source: Intel SDM volume 2, LDTILECFG, TILELOADD, TILESTORED, TILEZERO, TILERELEASE, TDPBF16PS.
 */
#include "tests/codegen/tiles.h"

#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 8, ROWS = 16, BYTES = 64, COLS_AT = 16, ROWS_AT = 48 };

typedef struct Register {
    uint32_t rows, bytes; /* 0: not configured */
    unsigned char row[ROWS][BYTES];
} Register;

static _Thread_local struct {
    bool configured;
    Register tile[N];
} file;

static atomic_uint_fast64_t n_config, n_release, n_dot;

SctTileCounts sct_tile_counts(void)
{
    return (SctTileCounts){n_config, n_release, n_dot};
}

/* Emitted code is between a test and us: no assertion of Check's finds its way back through it. */
static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "tile registers: %s\n", what);
    abort();
}

static Register *tile(int64_t t)
{
    must(file.configured, "no configuration is loaded");
    must(t >= 0 && t < N && file.tile[t].rows, "a register is not configured");
    return &file.tile[t];
}

static void config(const void *from)
{
    const unsigned char *p = from;
    must(p[0] == 1 && p[1] == 0, "palette or first row");
    memset(&file, 0, sizeof file);
    for (int i = 0; i < N; i++) {
        Register *r = &file.tile[i];
        r->bytes = (uint32_t)p[COLS_AT + 2 * i] | (uint32_t)p[COLS_AT + 2 * i + 1] << 8;
        r->rows = p[ROWS_AT + i];
        must(r->bytes <= BYTES && r->rows <= ROWS && !r->bytes == !r->rows, "extents");
    }
    for (int i = 2; i < BYTES; i++) {
        bool used = (i >= COLS_AT && i < COLS_AT + 2 * N) || (i >= ROWS_AT && i < ROWS_AT + N);
        must(used || p[i] == 0, "reserved bytes");
    }
    file.configured = true;
    n_config++;
}

static void release(void)
{
    must(file.configured, "nothing is to be given back");
    memset(&file, 0, sizeof file);
    n_release++;
}

static void zero(int64_t t)
{
    Register *r = tile(t);
    memset(r->row, 0, sizeof r->row);
}

static void load(int64_t t, const void *from, int64_t step)
{
    Register *r = tile(t);
    memset(r->row, 0, sizeof r->row);
    for (uint32_t i = 0; i < r->rows; i++)
        memcpy(r->row[i], (const char *)from + i * step, r->bytes);
}

static void store(int64_t t, void *to, int64_t step)
{
    const Register *r = tile(t);
    for (uint32_t i = 0; i < r->rows; i++)
        memcpy((char *)to + i * step, r->row[i], r->bytes);
}

/* Subnormal numbers, read or made, are zeros. */
static float flush(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0, x) : x;
}

static float bf16_at(const unsigned char *row, uint32_t i)
{
    uint32_t bits = (uint32_t)row[2 * i] << 16 | (uint32_t)row[2 * i + 1] << 24;
    float x;
    memcpy(&x, &bits, sizeof x);
    return flush(x);
}

static void dot(int64_t c, int64_t a, int64_t b)
{
    Register *to = tile(c);
    const Register *x = tile(a), *y = tile(b);
    must(c != a && c != b && a != b, "a register twice");
    must(to->rows == x->rows && to->bytes == y->bytes && x->bytes / 4 == y->rows,
         "shapes do not fit");
    for (uint32_t m = 0; m < to->rows; m++) {
        for (uint32_t n = 0; n < to->bytes / 4; n++) {
            float sum[2] = {0, 0}, old;
            for (uint32_t k = 0; k < x->bytes / 4; k++)
                for (uint32_t i = 0; i < 2; i++) {
                    float p = bf16_at(x->row[m], 2 * k + i), q = bf16_at(y->row[k], 2 * n + i);
                    sum[i] = flush(fmaf(p, q, sum[i]));
                }
            memcpy(&old, to->row[m] + (size_t)n * 4, 4);
            old = flush(flush(old) + flush(sum[0] + sum[1]));
            memcpy(to->row[m] + (size_t)n * 4, &old, 4);
        }
    }
    n_dot++;
}

const ScTileModel sct_tiles = {config, release, zero, load, store, dot};
