/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution with a 3 x 3 window, channels last, in a quarter of the multiplications: Winograd's
 * minimal filtering F(4 x 4, 3 x 3), with the matrices of Lavin and Gray, "Fast Algorithms for
 * Convolutional Neural Networks", 2015.
 *
 * The result is cut into squares of 4 x 4 positions. Such a square depends on a patch of 6 x 6 of
 * x; transformed, both are 36 points, and at each point the patch's channels are multiplied with a
 * matrix [in, out] of transformed weights, which is packed at compile time. So a block of squares
 * is 36 products of matrices:
 *
 *   patches -> V [point][square][in]  x  U [point][in][out]  ->  M [point][square][out] -> squares
 *
 * A thread holds V of a block and visits the panels of U. Sums are those of f32 with some three
 * bits less than the plain convolution's, relative to the patch's largest; an element that is not
 * finite spoils its square. Transformed weights are 36 / 9 times as many, and f32: those that are
 * stored smaller stay what they are in the program, and each panel is transformed for a block of
 * squares in the thread's scratch, which costs a tenth of what its products then save. */
#include "codegen/product/filter.h"

#include <string.h>

enum { SIDE = 4, PATCH = 6, POINTS = PATCH * PATCH, TAPS = 9 };
enum {
    SMALL_CHUNK = 64,   /* channels of U made at a time of small weights: a third of the cache */
    LEAST_SQUARES = 12, /* of an image: fewer are no tile of rows, and U is read for them in vain */
};

typedef struct Winograd {
    CgFunc *f;
    ScWindow desc;
    uint32_t weights; /* operand */
    CgAccess x;       /* dims [batch, height, width, channel] */
    CgPanels panels;  /* of U: a matrix a point */
    bool small;       /* the weights are stored as less than f32, in the filter's panels */
    CgFilter filter;
    CgTile tile;
    CgEpi *epi;
    int64_t in, chunks;
    const ScTerm *out;            /* channels of the result */
    uint32_t rows;                /* squares of a block */
    const ScTerm *have[2];        /* extents of x, */
    const ScTerm *want[2];        /* of the result, */
    const ScTerm *dim[3], *count; /* [batch, squares down, squares across]; their product */
} Winograd;

/* --- Weights, at compile time ---------------------------------------------------------------- */

/* U = G g G^T. */
static void transform_weight(const float *g, double *u)
{
    static const double by[PATCH][3] = {{1. / 4, 0, 0},
                                        {-1. / 6, -1. / 6, -1. / 6},
                                        {-1. / 6, 1. / 6, -1. / 6},
                                        {1. / 24, 1. / 12, 1. / 6},
                                        {1. / 24, -1. / 12, 1. / 6},
                                        {0, 0, 1}};
    double half[PATCH][3];
    for (int i = 0; i < PATCH; i++)
        for (int j = 0; j < 3; j++)
            half[i][j] = by[i][0] * g[j] + by[i][1] * g[3 + j] + by[i][2] * g[6 + j];
    for (int i = 0; i < PATCH; i++)
        for (int j = 0; j < PATCH; j++)
            u[i * PATCH + j] =
                half[i][0] * by[j][0] + half[i][1] * by[j][1] + half[i][2] * by[j][2];
}

/* CgPackFn; arg: CgPanels of U, whose k and n are the channels of t [n, k, 3, 3]. */
static void pack(const ScrtTensor *t, const void *arg, unsigned char *out)
{
    CgPanels p;
    memcpy(&p, arg, sizeof p);
    const unsigned char *from = (const unsigned char *)t->data + (size_t)p.offset * sizeof(float);
    for (int64_t n = 0; n < p.n; n++)
        for (int64_t k = 0; k < p.k; k++, from += 9 * sizeof(float)) {
            float g[9];
            double u[POINTS];
            memcpy(g, from, sizeof g);
            transform_weight(g, u);
            int64_t at = (n / p.nr * p.k + k) * p.nr + n % p.nr;
            for (int i = 0; i < POINTS; i++) {
                float x = (float)u[i];
                memcpy(out + i * cg_matrix_bytes(&p) + at * (int64_t)sizeof x, &x, sizeof x);
            }
        }
}

/* --- Where things lie in a thread's scratch, in bytes ----------------------------------------- */

enum { AT_V, AT_M, AT_SQUARE, AT_ZEROS, AT_PATCH, AT_TAPS, AT_U, AT_END };

/* Of a chunk of small weights, from point to point: they must not fall into one set of the cache.
 */
static int64_t u_rows(const Winograd *k)
{
    return k->tile.kc + 1;
}

static int64_t u_bytes(const Winograd *k)
{
    return POINTS * u_rows(k) * k->tile.nr * k->tile.size;
}

static int64_t scratch_at(const Winograd *k, int part)
{
    const CgTile *t = &k->tile;
    int64_t size[AT_END] = {
        [AT_V] = POINTS * k->chunks * k->rows * t->ks * t->size,
        [AT_M] = (int64_t)POINTS * k->rows * t->nr * t->size,
        [AT_SQUARE] = (int64_t)SIDE * SIDE * t->nr * t->size,
        [AT_ZEROS] = k->in * t->size,
        [AT_PATCH] = POINTS * (int64_t)sizeof(void *),
        [AT_TAPS] = k->small ? (int64_t)TAPS * t->w * t->nr * t->size : 0,
        [AT_U] = k->small ? u_bytes(k) : 0,
    };
    int64_t at = 0;
    for (int i = 0; i < part; i++)
        at += (size[i] + 63) / 64 * 64;
    return at;
}

/* Where an item stands. */
typedef struct At {
    LLVMValueRef scratch, row0, n_row, panel, col0, col1;
} At;

static LLVMValueRef place(Cg *cg, const Winograd *k, const At *at, int part)
{
    return cg_gep(cg, cg->m->i8, at->scratch, cg_int(cg, scratch_at(k, part)));
}

/* V or M of a point, as far as the row: [point][chunk][row][ks], [point][row][nr]. */
static LLVMValueRef v_at(Cg *cg, const Winograd *k, const At *at, LLVMValueRef point,
                         LLVMValueRef chunk, LLVMValueRef row)
{
    LLVMValueRef i = cg_add_int(cg, cg_mul_int(cg, point, cg_int(cg, k->chunks)), chunk);
    i = cg_add_int(cg, cg_mul_int(cg, i, cg_int(cg, k->rows)), row);
    return cg_gep(cg, k->tile.el, place(cg, k, at, AT_V),
                  cg_mul_int(cg, i, cg_int(cg, k->tile.ks)));
}

static LLVMValueRef m_at(Cg *cg, const Winograd *k, const At *at, LLVMValueRef point,
                         LLVMValueRef row)
{
    LLVMValueRef i = cg_add_int(cg, cg_mul_int(cg, point, cg_int(cg, k->rows)), row);
    return cg_gep(cg, k->tile.el, place(cg, k, at, AT_M),
                  cg_mul_int(cg, i, cg_int(cg, k->tile.nr)));
}

static LLVMValueRef load(Cg *cg, const CgTile *t, LLVMValueRef ptr)
{
    LLVMValueRef x = LLVMBuildLoad2(cg->b, cg_vec(t->el, t->w), ptr, "");
    LLVMSetAlignment(x, t->size);
    return x;
}

static void store(Cg *cg, const CgTile *t, LLVMValueRef x, LLVMValueRef ptr)
{
    LLVMSetAlignment(LLVMBuildStore(cg->b, x, ptr), t->size);
}

/* --- Patches --------------------------------------------------------------------------------- */

/* a * x + b for a constant a. */
static LLVMValueRef times_plus(Cg *cg, double a, LLVMValueRef x, LLVMValueRef b)
{
    return cg_fma(cg, cg_fconst(LLVMTypeOf(x), a), x, b);
}

/* B^T d for one column or row of a patch. */
static void transform_patch(Cg *cg, LLVMValueRef const *d, LLVMValueRef *ret)
{
    LLVMBuilderRef b = cg->b;
    LLVMValueRef even = times_plus(cg, -4, d[2], d[4]), odd = times_plus(cg, -4, d[1], d[3]);
    LLVMValueRef far = LLVMBuildFSub(b, d[4], d[2], ""), near = LLVMBuildFSub(b, d[3], d[1], "");
    ret[0] = times_plus(cg, 4, d[0], times_plus(cg, -5, d[2], d[4]));
    ret[1] = LLVMBuildFAdd(b, even, odd, "");
    ret[2] = LLVMBuildFSub(b, even, odd, "");
    ret[3] = times_plus(cg, 2, near, far);
    ret[4] = times_plus(cg, -2, near, far);
    ret[5] = times_plus(cg, 4, d[1], times_plus(cg, -5, d[3], d[5]));
}

/* Batch and position of a square; beyond the last one, the last. */
static void square(Cg *cg, const Winograd *k, LLVMValueRef i, LLVMValueRef *ret_idx)
{
    LLVMValueRef last = LLVMBuildSub(cg->b, cg_term(cg, k->count), cg_int(cg, 1), "");
    cg_unflatten(cg, cg_min_int(cg, i, last), 3, k->dim, ret_idx);
}

/* Index in x along spatial dim d of position i of the patch; *inside becomes false outside of x. */
static LLVMValueRef position(Cg *cg, const Winograd *k, uint32_t d, LLVMValueRef at, LLVMValueRef i,
                             LLVMValueRef *inside)
{
    LLVMValueRef from = cg_mul_int(cg, at, cg_int(cg, SIDE));
    from = LLVMBuildSub(cg->b, from, cg_term(cg, k->desc.pad_begin[d]), "");
    from = cg_add_int(cg, from, i);
    LLVMValueRef in = LLVMBuildICmp(cg->b, LLVMIntULT, from, cg_term(cg, k->have[d]), "");
    *inside = LLVMBuildAnd(cg->b, *inside, in, "");
    return from;
}

/* Pointers to the first channel of each position of the patch: zeros where x has none. */
static void find_patch(Cg *cg, const Winograd *k, const At *at, LLVMValueRef const *idx)
{
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1), n = cg_int(cg, PATCH);
    CgLoop i = cg_for(cg, zero, n, one);
    CgLoop j = cg_for(cg, zero, n, one);
    LLVMValueRef inside = LLVMConstInt(cg->m->i1, 1, 0);
    LLVMValueRef y[3] = {idx[0]};
    y[1] = position(cg, k, 0, idx[1], i.i, &inside);
    y[2] = position(cg, k, 1, idx[2], j.i, &inside);
    LLVMValueRef p = cg_access_pointer(cg, &k->x, cg_address(cg, &k->x, 3, y));
    p = LLVMBuildSelect(cg->b, inside, p, place(cg, k, at, AT_ZEROS), "");
    LLVMValueRef to = cg_add_int(cg, cg_mul_int(cg, i.i, n), j.i);
    LLVMBuildStore(cg->b, p, cg_gep(cg, cg->m->t_ptr, place(cg, k, at, AT_PATCH), to));
    cg_next(cg, &j);
    cg_next(cg, &i);
}

/* V of row r, a vector of channels: k0 of the chunk. */
static void patch_channels(Cg *cg, const Winograd *k, const At *at, LLVMValueRef r,
                           LLVMValueRef chunk, LLVMValueRef k0)
{
    const CgTile *t = &k->tile;
    LLVMValueRef d[PATCH][PATCH], half[PATCH][PATCH], v[PATCH];
    LLVMValueRef table = place(cg, k, at, AT_PATCH);
    ScrtDtype stored = sc_type_of(cg->f->sub, k->x.root)->dtype;
    LLVMValueRef channel = cg_add_int(cg, cg_mul_int(cg, chunk, cg_int(cg, t->kc)), k0);
    for (uint32_t j = 0; j < PATCH; j++) { /* columns, then rows */
        LLVMValueRef column[PATCH];
        for (uint32_t i = 0; i < PATCH; i++) {
            LLVMValueRef p = cg_gep(cg, cg->m->t_ptr, table, cg_int(cg, i * PATCH + j));
            p = LLVMBuildLoad2(cg->b, cg->m->t_ptr, p, "");
            d[i][j] = cg_load(cg, stored, p, channel, t->w, NULL).v;
            column[i] = d[i][j];
        }
        transform_patch(cg, column, v);
        for (uint32_t i = 0; i < PATCH; i++)
            half[i][j] = v[i];
    }
    for (uint32_t i = 0; i < PATCH; i++) {
        transform_patch(cg, half[i], v);
        for (uint32_t j = 0; j < PATCH; j++) {
            LLVMValueRef to = v_at(cg, k, at, cg_int(cg, i * PATCH + j), chunk, r);
            store(cg, t, v[j], cg_gep(cg, t->el, to, k0));
        }
    }
}

/* V of the block; a tile's rows beyond the last square are that one again. */
static void patches(Cg *cg, const Winograd *k, const At *at)
{
    const CgTile *t = &k->tile;
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1), idx[3], mr = cg_int(cg, t->mr);
    LLVMValueRef upto = cg_mul_int(cg, cg_cdiv_int(cg, at->n_row, mr), mr);
    CgLoop r = cg_for(cg, zero, upto, one);
    square(cg, k, cg_add_int(cg, at->row0, r.i), idx);
    find_patch(cg, k, at, idx);
    CgLoop chunk = cg_for(cg, zero, cg_int(cg, k->chunks), one);
    LLVMValueRef left = cg_mul_int(cg, chunk.i, cg_int(cg, t->kc));
    left = LLVMBuildSub(cg->b, cg_int(cg, k->in), left, "");
    CgLoop c = cg_for(cg, zero, cg_min_int(cg, left, cg_int(cg, t->kc)), cg_int(cg, t->w));
    patch_channels(cg, k, at, r.i, chunk.i, c.i);
    cg_next(cg, &c);
    cg_next(cg, &chunk);
    cg_next(cg, &r);
}

/* --- Small weights, at run time -------------------------------------------------------------- */

/* G g for one column or row of a window. */
static void transform_taps(Cg *cg, LLVMValueRef const *g, LLVMValueRef *ret)
{
    LLVMBuilderRef b = cg->b;
    LLVMTypeRef type = LLVMTypeOf(g[0]);
    LLVMValueRef sixth = cg_fconst(type, 1. / 6), twelfth = cg_fconst(type, 1. / 12);
    LLVMValueRef sum = LLVMBuildFMul(b, LLVMBuildFAdd(b, g[0], g[2], ""), sixth, "");
    LLVMValueRef mid = LLVMBuildFMul(b, g[1], sixth, "");
    LLVMValueRef ends = times_plus(cg, 1. / 24, g[0], LLVMBuildFMul(b, g[2], sixth, ""));
    LLVMValueRef half = LLVMBuildFMul(b, g[1], twelfth, "");
    ret[0] = LLVMBuildFMul(b, g[0], cg_fconst(type, 1. / 4), "");
    ret[1] = LLVMBuildFNeg(b, LLVMBuildFAdd(b, sum, mid, ""), "");
    ret[2] = LLVMBuildFSub(b, mid, sum, "");
    ret[3] = LLVMBuildFAdd(b, ends, half, "");
    ret[4] = LLVMBuildFSub(b, ends, half, "");
    ret[5] = g[2];
}

/* U at row `first` + c of the chunk, a vector of columns from j on, of taps [position][c][nr]. */
static void transform_column(Cg *cg, const Winograd *k, const At *at, LLVMValueRef first,
                             LLVMValueRef c, uint32_t j)
{
    const CgTile *t = &k->tile;
    LLVMValueRef half[PATCH][3], u[PATCH], taps = place(cg, k, at, AT_TAPS);
    LLVMValueRef row = cg_mul_int(cg, c, cg_int(cg, t->nr));
    for (uint32_t x = 0; x < 3; x++) {
        LLVMValueRef g[3];
        for (uint32_t y = 0; y < 3; y++) {
            LLVMValueRef i = cg_int(cg, (int64_t)(y * 3 + x) * t->w * t->nr + j);
            g[y] = load(cg, t, cg_gep(cg, t->el, taps, cg_add_int(cg, i, row)));
        }
        transform_taps(cg, g, u);
        for (uint32_t i = 0; i < PATCH; i++)
            half[i][x] = u[i];
    }
    LLVMValueRef channel = cg_add_int(cg, first, c);
    for (uint32_t i = 0; i < POINTS; i++) {
        if (i % PATCH == 0)
            transform_taps(cg, half[i / PATCH], u);
        LLVMValueRef to = cg_add_int(cg, channel, cg_int(cg, i * u_rows(k)));
        to = cg_add_int(cg, cg_mul_int(cg, to, cg_int(cg, t->nr)), cg_int(cg, j));
        store(cg, t, u[i % PATCH], cg_gep(cg, t->el, place(cg, k, at, AT_U), to));
    }
}

/* U of n_k rows of the panel from k0 on, as many at a time as a vector has lanes. */
static void transform_chunk(Cg *cg, const Winograd *k, const At *at, LLVMValueRef k0,
                            LLVMValueRef n_k)
{
    const CgTile *t = &k->tile;
    LLVMValueRef zero = cg_int(cg, 0), some = cg_int(cg, t->w), one = cg_int(cg, 1);
    CgLoop strip = cg_for(cg, zero, n_k, some);
    for (uint32_t i = 0; i < TAPS; i++) {
        LLVMValueRef row = cg_add_int(cg, cg_add_int(cg, k0, strip.i), cg_int(cg, i * k->in));
        LLVMValueRef from = cg_panel_at(cg, &k->filter.panels, k->weights, zero, at->panel, row);
        LLVMValueRef to =
            cg_gep(cg, t->el, place(cg, k, at, AT_TAPS), cg_int(cg, (int64_t)i * t->w * t->nr));
        cg_panel_values(cg, &k->filter.panels, t, from, NULL, some, to);
    }
    CgLoop c = cg_for(cg, zero, some, one);
    for (uint32_t j = 0; j < t->nr; j += t->w)
        transform_column(cg, k, at, strip.i, c.i, j);
    cg_next(cg, &c);
    cg_next(cg, &strip);
}

/* --- Products and squares -------------------------------------------------------------------- */

/* Where a product stands: point, chunk; rows of U in it. */
typedef struct Part {
    LLVMValueRef point, chunk, n_k;
} Part;

static LLVMValueRef chunk_rows(Cg *cg, const Winograd *k, LLVMValueRef chunk)
{
    LLVMValueRef kc = cg_int(cg, k->tile.kc), k0 = cg_mul_int(cg, chunk, kc);
    return cg_min_int(cg, kc, LLVMBuildSub(cg->b, cg_int(cg, k->in), k0, ""));
}

/* ahead: what the tiles ask memory for; NULL: nothing. */
static void product(Cg *cg, const Winograd *k, const At *at, const Part *p, LLVMValueRef b,
                    const CgAhead *ahead)
{
    const CgTile *t = &k->tile;
    LLVMValueRef zero = cg_int(cg, 0);
    CgLoop r = cg_for(cg, zero, at->n_row, cg_int(cg, t->mr));
    const CgTileArgs arg = {
        .a = v_at(cg, k, at, p->point, p->chunk, r.i),
        .b = b,
        .c = m_at(cg, k, at, p->point, r.i),
        .k = p->n_k,
        .first = LLVMBuildICmp(cg->b, LLVMIntEQ, p->chunk, zero, ""),
        .next = ahead ? cg_ahead_at(cg, t, ahead, r.i) : NULL,
        .step = ahead ? ahead->step : NULL,
    };
    cg_tile_call(cg, t, t->mr, &arg);
    cg_next(cg, &r);
}

static void packed_products(Cg *cg, const Winograd *k, const At *at)
{
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1);
    CgLoop point = cg_for(cg, zero, cg_int(cg, POINTS), one);
    CgLoop chunk = cg_for(cg, zero, cg_int(cg, k->chunks), one);
    Part p = {point.i, chunk.i, chunk_rows(cg, k, chunk.i)};
    LLVMValueRef k0 = cg_mul_int(cg, chunk.i, cg_int(cg, k->tile.kc));
    LLVMValueRef b = cg_panel_at(cg, &k->panels, k->weights, point.i, at->panel, k0);
    /* The chunk after this one, or the next point's. */
    LLVMValueRef row, next = cg_panel_end(cg, &k->panels, b, p.n_k, &row);
    LLVMValueRef last = LLVMBuildICmp(cg->b, LLVMIntEQ, chunk.i, cg_int(cg, k->chunks - 1), "");
    LLVMValueRef beyond = cg_panel_at(cg, &k->panels, k->weights,
                                      LLVMBuildAdd(cg->b, point.i, one, ""), at->panel, zero);
    next = LLVMBuildSelect(cg->b, last, beyond, next, "");
    const CgAhead ahead = cg_ahead(cg, &k->tile, at->n_row, p.n_k, next, row);
    product(cg, k, at, &p, b, &ahead);
    cg_next(cg, &chunk);
    cg_next(cg, &point);
}

/* A chunk of U is used by all points while it is in the cache. */
static void small_products(Cg *cg, const Winograd *k, const At *at)
{
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1);
    CgLoop chunk = cg_for(cg, zero, cg_int(cg, k->chunks), one);
    LLVMValueRef k0 = cg_mul_int(cg, chunk.i, cg_int(cg, k->tile.kc));
    LLVMValueRef n_k = chunk_rows(cg, k, chunk.i);
    transform_chunk(cg, k, at, k0, n_k);
    CgLoop point = cg_for(cg, zero, cg_int(cg, POINTS), one);
    LLVMValueRef row = cg_mul_int(cg, point.i, cg_int(cg, u_rows(k) * k->tile.nr));
    Part p = {point.i, chunk.i, n_k};
    product(cg, k, at, &p, cg_gep(cg, k->tile.el, place(cg, k, at, AT_U), row), NULL);
    cg_next(cg, &point);
    cg_next(cg, &chunk);
}

/* A^T m for one column or row of the points. */
static void transform_square(Cg *cg, LLVMValueRef const *m, LLVMValueRef *ret)
{
    LLVMBuilderRef b = cg->b;
    LLVMValueRef s = LLVMBuildFAdd(b, m[1], m[2], ""), d = LLVMBuildFSub(b, m[1], m[2], "");
    LLVMValueRef s2 = LLVMBuildFAdd(b, m[3], m[4], ""), d2 = LLVMBuildFSub(b, m[3], m[4], "");
    ret[0] = LLVMBuildFAdd(b, LLVMBuildFAdd(b, m[0], s, ""), s2, "");
    ret[1] = times_plus(cg, 2, d2, d);
    ret[2] = times_plus(cg, 4, s2, s);
    ret[3] = LLVMBuildFAdd(b, times_plus(cg, 8, d2, d), m[5], "");
}

/* The panel's columns of square r: [position][nr] in scratch. */
static void square_sums(Cg *cg, const Winograd *k, const At *at, LLVMValueRef r)
{
    const CgTile *t = &k->tile;
    LLVMValueRef to = place(cg, k, at, AT_SQUARE);
    CgLoop c = cg_for(cg, cg_int(cg, 0), cg_int(cg, t->nr), cg_int(cg, t->w));
    LLVMValueRef half[SIDE][PATCH], y[SIDE];
    for (uint32_t j = 0; j < PATCH; j++) {
        LLVMValueRef column[PATCH];
        for (uint32_t i = 0; i < PATCH; i++) {
            LLVMValueRef from = m_at(cg, k, at, cg_int(cg, i * PATCH + j), r);
            column[i] = load(cg, t, cg_gep(cg, t->el, from, c.i));
        }
        transform_square(cg, column, y);
        for (uint32_t i = 0; i < SIDE; i++)
            half[i][j] = y[i];
    }
    for (uint32_t i = 0; i < SIDE; i++) {
        transform_square(cg, half[i], y);
        for (uint32_t j = 0; j < SIDE; j++) {
            LLVMValueRef at_y = cg_add_int(cg, cg_int(cg, (int64_t)(i * SIDE + j) * t->nr), c.i);
            store(cg, t, y[j], cg_gep(cg, t->el, to, at_y));
        }
    }
    cg_next(cg, &c);
}

/* What lies inside the result of square r, through the epilogue. */
static void finish(Cg *cg, const Winograd *k, const At *at)
{
    const CgTile *t = &k->tile;
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1), side = cg_int(cg, SIDE), idx[3];
    CgLoop r = cg_for(cg, zero, at->n_row, one);
    square_sums(cg, k, at, r.i);
    square(cg, k, cg_add_int(cg, at->row0, r.i), idx);
    LLVMValueRef begin[2], end[2];
    for (uint32_t d = 0; d < 2; d++) {
        begin[d] = cg_mul_int(cg, idx[1 + d], side);
        end[d] = cg_min_int(cg, side, LLVMBuildSub(cg->b, cg_term(cg, k->want[d]), begin[d], ""));
    }
    CgLoop i = cg_for(cg, zero, end[0], one);
    CgLoop j = cg_for(cg, zero, end[1], one);
    LLVMValueRef to[3] = {idx[0], cg_add_int(cg, begin[0], i.i), cg_add_int(cg, begin[1], j.i)};
    LLVMValueRef from = cg_add_int(cg, cg_mul_int(cg, i.i, side), j.i);
    from = cg_mul_int(cg, from, cg_int(cg, t->nr));
    CgEpiRow row = cg_epi_row(cg, k->epi, to, 3);
    cg_finish_panel(cg, t, k->epi, &row, cg_gep(cg, t->el, place(cg, k, at, AT_SQUARE), from),
                    at->col0, at->col1, k->out, zero);
    cg_next(cg, &j);
    cg_next(cg, &i);
    cg_next(cg, &r);
}

/* --- The kernel ------------------------------------------------------------------------------ */

static LLVMValueRef n_panel(Cg *cg, const Winograd *k)
{
    return cg_int(cg, (k->panels.n + k->tile.nr - 1) / k->tile.nr);
}

/* Items are panels of blocks. */
static LLVMValueRef emit_body(CgModule *m, const Winograd *k)
{
    Cg cg;
    cg_tile_fn(m, &k->tile, k->tile.mr, false); /* functions end before the next begins */
    LLVMValueRef fn = cg_begin_body(&cg, m, k->f, "squares");
    LLVMValueRef zero = cg_int(&cg, 0), one = cg_int(&cg, 1), rows = cg_int(&cg, k->rows);
    At at = {.scratch = cg_scratch_thread(&cg)};
    CgLoop z = cg_for(&cg, zero, cg_int(&cg, k->in), cg_int(&cg, k->tile.w));
    store(&cg, &k->tile, LLVMConstNull(cg_vec(k->tile.el, k->tile.w)),
          cg_gep(&cg, k->tile.el, place(&cg, k, &at, AT_ZEROS), z.i));
    cg_next(&cg, &z);
    LLVMValueRef seen = cg_var(&cg, m->i64, cg_int(&cg, -1));
    CgLoop item = cg_for(&cg, cg.begin, cg.end, one);
    LLVMValueRef block = LLVMBuildUDiv(cg.b, item.i, n_panel(&cg, k), "");
    at.panel = LLVMBuildURem(cg.b, item.i, n_panel(&cg, k), "");
    at.row0 = cg_mul_int(&cg, block, rows);
    at.n_row = cg_min_int(&cg, rows, LLVMBuildSub(cg.b, cg_term(&cg, k->count), at.row0, ""));
    at.col0 = cg_mul_int(&cg, at.panel, cg_int(&cg, k->tile.nr));
    at.col1 = cg_min_int(&cg, cg_add_int(&cg, at.col0, cg_int(&cg, k->tile.nr)),
                         cg_int(&cg, k->panels.n));
    LLVMValueRef was = cg_get(&cg, m->i64, seen);
    CgIf fresh = cg_if(&cg, LLVMBuildICmp(cg.b, LLVMIntNE, was, block, ""));
    cg_set(&cg, seen, block);
    patches(&cg, k, &at);
    cg_endif(&cg, &fresh);
    (k->small ? small_products : packed_products)(&cg, k, &at);
    finish(&cg, k, &at);
    cg_next(&cg, &item);
    cg_end_fn(&cg);
    return fn;
}

/* False where the squares of an image are known to be too few, or to cover too much. */
static bool pays(const ScType *y)
{
    int64_t h, w;
    if (!sc_term_const(y->dim[1], &h) || !sc_term_const(y->dim[2], &w))
        return true;
    int64_t squares = (h + SIDE - 1) / SIDE * ((w + SIDE - 1) / SIDE);
    return squares >= LEAST_SQUARES && 9 * h * w >= 2 * POINTS * squares;
}

/* Whether numbers of this type can become f32 as they are met. */
static bool is_stored(ScrtDtype t)
{
    return scrt_dtype_is_float(t) && scrt_dtype_bits(t) >= 8 && scrt_dtype_bits(t) <= 32;
}

bool cg_winograd_fits(CgModule *m, const CgFunc *f, const ScNode *n, const ScConv *desc,
                      const CgTile *direct, CgFilter *filter)
{
    const ScType *x = sc_type_of(f->sub, n->in[0]), *y = sc_type_of(f->sub, n->first);
    const ScWindow *w = &desc->window;
    int64_t in;
    bool plain = direct->micro->way == CG_UNIT_PLAIN && w->n_spatial == 2 && desc->group == 1;
    for (uint32_t d = 0; plain && d < 2; d++)
        plain = w->kernel[d] == 3 && w->stride[d] == 1 && w->dilation[d] == 1;
    return plain && m->target.vec_bits >= 256 && is_stored(x->dtype) && y->dtype == SCRT_F32 &&
           is_stored(filter->dtype) && cg_filter_may_pack(f, filter) &&
           sc_term_const(filter->in, &in) && in >= 2 * m->target.w && in % m->target.w == 0 &&
           pays(y);
}

/* Squares of a block: V and what a panel makes of it stay in the second level of the cache, with
 * room for what passes through: x, U and the result. */
static uint32_t block_rows(CgModule *m, const Winograd *k)
{
    const CgTile *t = &k->tile;
    int64_t each = POINTS * (k->chunks * t->ks + t->nr) * t->size, count;
    int64_t room = 3 * (int64_t)m->target.cache_l2 / 2 - (k->small ? u_bytes(k) : 0);
    int64_t fit = room > 0 ? room / each / t->mr * t->mr : 0;
    if (sc_term_const(k->count, &count) && count < fit)
        fit = (count + t->mr - 1) / t->mr * t->mr;
    return fit < t->mr ? t->mr : (uint32_t)fit;
}

static void pack_weights(CgModule *m, Winograd *k, const CgFilter *filter)
{
    k->filter = *filter;
    cg_panels_init(m, SCRT_F32, 0, &k->tile, &k->panels);
    k->panels.k = k->in;
    sc_term_const(filter->out, &k->panels.n);
    if (k->small) {
        cg_filter_pack(m, k->f, &k->tile, &k->filter);
        return;
    }
    sc_term_const(filter->access.offset, &k->panels.offset);
    k->panels.n_batch = 1;
    k->panels.batch[0] = POINTS;
    const CgPanels layout = cg_panels_layout(&k->panels);
    k->f->pack[k->weights] = (CgPack){.fn = pack,
                                      .arg = sc_memdup(m->arena, &layout, sizeof layout),
                                      .n_arg = sizeof layout,
                                      .bytes = cg_panels_bytes(&k->panels)};
}

static bool plan(CgModule *m, Winograd *k, const ScNode *n, const CgFilter *filter)
{
    ScCtx *cx = m->cx;
    const ScType *x = sc_type_of(k->f->sub, n->in[0]), *y = sc_type_of(k->f->sub, n->first);
    if (!cg_access(m, k->f, n->in[0], x->rank, x->dim, &k->x))
        return false;
    k->dim[0] = k->count = y->dim[0];
    for (uint32_t d = 0; d < 2; d++) {
        k->have[d] = x->dim[1 + d];
        k->want[d] = y->dim[1 + d];
        k->dim[1 + d] = sc_term_cdiv(cx, k->want[d], sc_term(cx, SIDE));
        k->count = sc_term_mul(cx, k->count, k->dim[1 + d]);
    }
    sc_term_const(filter->in, &k->in);
    k->out = filter->out;
    CgTypes types = {SCRT_F32, SCRT_F32, SCRT_F32, true, filter->dtype, k->f->trait};
    cg_tile_init(m, &types, k->count, filter->out, filter->in, &k->tile);
    k->small = filter->dtype != SCRT_F32;
    if (k->small && k->tile.kc > SMALL_CHUNK) {
        int64_t chunks = (k->in + SMALL_CHUNK - 1) / SMALL_CHUNK;
        k->tile.kc = (uint32_t)((k->in + chunks - 1) / chunks);
        cg_tile_chunk(&k->tile, k->tile.w);
    }
    k->chunks = (k->in + k->tile.kc - 1) / k->tile.kc;
    k->rows = block_rows(m, k);
    k->weights = (uint32_t)filter->access.operand;
    pack_weights(m, k, filter);
    k->epi = cg_epi_new(m, k->f, n);
    return k->epi != NULL;
}

bool cg_emit_winograd(CgModule *m, CgFunc *f, const ScNode *n, const ScWindow *desc,
                      const CgFilter *filter)
{
    Winograd *k = sc_new(m->arena, Winograd);
    k->f = f;
    k->desc = *desc;
    if (!plan(m, k, n, filter))
        return false;
    f->scratch_thread = sc_term(m->cx, scratch_at(k, AT_END));
    LLVMValueRef body = emit_body(m, k);
    Cg cg;
    cg_begin_entry(&cg, m, f);
    const ScTerm *blocks = sc_term_cdiv(m->cx, k->count, sc_term(m->cx, k->rows));
    LLVMValueRef items = cg_mul_int(&cg, cg_term(&cg, blocks), n_panel(&cg, k));
    int64_t clocks = POINTS * k->in * k->rows * (k->tile.nr / k->tile.w) / 2;
    cg_parallel(&cg, body, items, cg_grain(&cg, cg_int(&cg, clocks)));
    cg_end_fn(&cg);
    f->what =
        sc_printf(m->arena, "conv %s x %s packed: winograd 4x4, blocks of %u, tile %ux%u",
                  scrt_dtype_name(sc_type_of(f->sub, n->in[0])->dtype),
                  scrt_dtype_name(filter->dtype), k->rows, k->tile.mr, k->tile.nv * k->tile.w);
    return true;
}
