/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products. Both operands may be stored in low precision; the sum is f32 then. */
#include "ir/ops/ops_priv.h"

#include <string.h>

enum { A, B, BIAS };
enum { TRANS_A, TRANS_B, G_OUT }; /* gemm's attributes */
enum { M_OUT };                   /* matmul's */

static bool fits_f32(ScrtDtype t)
{
    return scrt_dtype_is_float(t) && scrt_dtype_bits(t) <= 32;
}

/* Integers that are read as the numbers of f32 that they are. */
static bool stores_f32(ScrtDtype t)
{
    return t == SCRT_I16 || t == SCRT_I8 || t == SCRT_U8;
}

bool sc_ops_product_dtype(const ScInfer *in, uint32_t bias, uint32_t out, ScrtDtype *ret)
{
    ScrtDtype a = in->in[A]->dtype, b = in->in[B]->dtype;
    bool low_a = scrt_dtype_is_low(a), low_b = scrt_dtype_is_low(b);
    bool wider = in->attr[out].kind == SC_A_DTYPE, whole = a == SCRT_I16 && b == SCRT_I16;
    if (wider && in->attr[out].dtype != (whole ? SCRT_I32 : SCRT_F32))
        return sc_infer_fail(in, SC_E_TYPE, "out is f32, or i32 of i16");
    if (wider && !whole && (!fits_f32(a) || !fits_f32(b)))
        return sc_infer_fail(in, SC_E_TYPE, "the operands must be floats of at most 32 bits");
    if (wider)
        *ret = in->attr[out].dtype;
    else if ((a == b || !in->one_type) && (((low_a || stores_f32(a)) && b == SCRT_F32) ||
                                           (low_a && low_b) || (low_b && a == SCRT_F32)))
        *ret = SCRT_F32;
    else if (a == b)
        *ret = a;
    else
        return sc_infer_fail(in, SC_E_TYPE, "%s and %s cannot be multiplied", scrt_dtype_name(a),
                             scrt_dtype_name(b));
    if (bias < in->n_in && in->in[bias]->kind != SC_TYPE_ABSENT && in->in[bias]->dtype != *ret)
        return sc_infer_fail(in, SC_E_TYPE, "the addend must be %s", scrt_dtype_name(*ret));
    return true;
}

/* Extents by what they mean, for both rows: how a and b are stored, and what to call the place. */
typedef struct Inner {
    const ScTerm *a, *b;
    const char *a_place, *b_place;
} Inner;

static bool check_inner(const ScInfer *in, Inner k)
{
    if (sc_holds(in, SC_GUARD_EQUAL, k.a, k.b, "inner dimensions"))
        return true;
    sc_infer_fail(in, SC_E_INNER, "%s", "");
    sc_note(in->cx, "A's %s extent, %s, must equal B's %s, %s", k.a_place, sc_ops_text(in, k.a),
            k.b_place, sc_ops_text(in, k.b));
    return false;
}

static bool has_bias(const ScInfer *in)
{
    return in->n_in > BIAS && in->in[BIAS]->kind != SC_TYPE_ABSENT;
}

/* --- matmul ---------------------------------------------------------------------------------- */

/* t with matrices of one element: what is left to broadcast are the batches, in their places. */
static const ScType *batches(ScCtx *cx, const ScType *t)
{
    const ScTerm *dim[SCRT_MAX_RANK];
    uint32_t rank = t->rank > 2 ? t->rank : 2;
    for (uint32_t d = 0; d < rank; d++)
        dim[d] = d + 2 < rank ? t->dim[d] : sc_term(cx, 1);
    return sc_type(cx, t->dtype, rank, dim);
}

static bool infer_matmul(ScInfer *in)
{
    const ScType *a = in->in[A], *b = in->in[B];
    const ScTerm *dim[SCRT_MAX_RANK];
    uint32_t rank;
    ScrtDtype dtype;
    if (a->rank == 0 || b->rank == 0)
        return sc_infer_fail(in, SC_E_RANK, "a scalar is no matrix");
    Inner inner = {a->dim[a->rank - 1], b->rank > 1 ? b->dim[b->rank - 2] : b->dim[0], "last",
                   b->rank > 1 ? "second to last" : "only"};
    if (!sc_ops_product_dtype(in, BIAS, M_OUT, &dtype) || !check_inner(in, inner))
        return false;
    if (!sc_broadcast(in, batches(in->cx, a), batches(in->cx, b), &rank, dim))
        return false;
    rank -= 2;
    if (a->rank > 1)
        dim[rank++] = a->dim[a->rank - 2];
    if (b->rank > 1)
        dim[rank++] = b->dim[b->rank - 1];
    return sc_ops_result(in, dtype, rank, dim) &&
           (!has_bias(in) || sc_ops_repeats_to_result(in, BIAS));
}

static void contract_matmul(const ScGraph *g, const ScNode *n, ScContract *ret)
{
    (void)g;
    (void)n;
    *ret = (ScContract){0};
}

/* k independent products, and the addend where there is one. Weights that sum to 1 do not grow:
 * their products lie between V / sqrt k and V; e_first is their exponent. */
static void grow_product(const ScGrow *g, const ScTerm *inner)
{
    ScCount k = {1, NULL};
    sc_ops_count(g->g->cx, &k, inner);
    if (g->convex[A] && g->in[B] != SC_NO_G)
        g->ret[0] = g->in[B] - sc_log2_256(k.c) / 4 - (int32_t)(256 * g->e_first);
    else
        sc_ops_grow(g, k, g->nonneg[A] && g->nonneg[B] ? 2 : 1);
    sc_ops_grow_bias(g, BIAS);
}

static void grow_matmul(const ScGrow *g)
{
    const ScType *a = sc_ops_in(g, A);
    grow_product(g, a->dim[a->rank - 1]);
}

/* Row-major strides of the last two extents; a vector lacks one of them. */
typedef struct Matrix {
    const double *f;
    const int64_t *i;
    int64_t row, column;
} Matrix;

/* Sums of ROWS times COLUMNS elements are made side by side, for each waits for its last addition.
 * A strip is what is copied at once: of a row of b, as many lines as lie one behind the other. */
enum { ROWS = 2, COLUMNS = 8, STRIP = 8 * COLUMNS };

typedef double Pair __attribute__((vector_size(2 * sizeof(double)), aligned(sizeof(double))));

/* Elements of `rows` rows of the result from row m on, in f64, in the columns that are b's, a panel
 * [k][COLUMNS]. How many rows is known where it is called: so their sums stay in registers. */
static inline void dots(const Matrix *a, const double *b, int64_t m, int64_t k, int rows,
                        double *ret)
{
    Pair sum[ROWS][COLUMNS / 2] = {0};
    for (int64_t i = 0; i < k; i++, b += COLUMNS) {
#pragma GCC unroll 2
        for (int r = 0; r < rows; r++) {
            double x = a->f[(m + r) * a->row + i * a->column];
#pragma GCC unroll 4
            for (int j = 0; j < COLUMNS / 2; j++)
                sum[r][j] += (Pair){x, x} * *(const Pair *)(b + 2 * (size_t)j);
        }
    }
    memcpy(ret, sum, (size_t)rows * sizeof *sum);
}

/* The element at m, n, exactly modulo 2^64. */
static int64_t dot_int(const Matrix *a, const Matrix *b, int64_t m, int64_t n, int64_t k)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < k; i++)
        sum +=
            (uint64_t)a->i[m * a->row + i * a->column] * (uint64_t)b->i[i * b->row + n * b->column];
    return (int64_t)sum;
}

static void load(Matrix *ret, ScArena *arena, const ScrtTensor *t, const ScrtTensor *out)
{
    if (scrt_dtype_is_float(out->dtype))
        ret->f = sc_ops_doubles(arena, t);
    else
        ret->i = sc_ops_ints(arena, t);
}

/* The addend's element for each of the result's, or NULL. */
static const ScrtTensor *addend(const ScEval *e, int64_t *stride)
{
    const ScrtTensor *t = e->n->n_in > BIAS ? e->in[BIAS] : NULL;
    if (t)
        sc_ops_strides(t, e->out[0].rank, stride);
    return t;
}

/* Where the addend's element for the result's element i lies. */
static size_t addend_at(const ScrtTensor *out, const int64_t *stride, int64_t i)
{
    int64_t idx[SCRT_MAX_RANK];
    for (uint32_t d = out->rank; d-- > 0; i /= out->dims[d])
        idx[d] = i % out->dims[d];
    return (size_t)sc_ops_at(out->rank, idx, stride);
}

typedef struct Product {
    ScEval *e;
    const Matrix *a, *b;
    int64_t m, n, k, at; /* see multiply */
    const ScrtTensor *bias;
    int64_t stride[SCRT_MAX_RANK]; /* the bias's */
} Product;

static void store_row(const Product *p, int64_t i, int64_t width, const double *sum)
{
    ScrtTensor *out = &p->e->out[0];
    for (int64_t j = i; j < i + width; j++) {
        double x = 0;
        if (p->bias)
            x = scrt_load(p->bias->dtype, p->bias->data, addend_at(out, p->stride, j));
        sc_ops_store(out, j, sum[j - i] + x);
    }
}

/* Columns n to n + width of b as panels [k][COLUMNS], the last one filled up with zeros; in the
 * order in which b lies in memory. */
static double *panels_of(const Product *p, int64_t n, int64_t width, ScArena *arena)
{
    const Matrix *b = p->b;
    const bool by_row = b->row >= b->column;
    const int64_t outer = by_row ? p->k : width, inner = by_row ? width : p->k;
    const int64_t count = (width + COLUMNS - 1) / COLUMNS;
    double *ret = sc_array(arena, double, (size_t)(count * p->k) * COLUMNS + 1);
    for (int64_t x = 0; x < outer; x++)
        for (int64_t y = 0; y < inner; y++) {
            int64_t i = by_row ? x : y, j = by_row ? y : x;
            ret[(j / COLUMNS * p->k + i) * COLUMNS + j % COLUMNS] =
                b->f[i * b->row + (n + j) * b->column];
        }
    return ret;
}

/* STRIP columns of the result, in all rows: so those of b come from memory once. */
static void multiply_strip(void *arg, size_t strip)
{
    const Product *p = arg;
    const int64_t n = (int64_t)strip * STRIP, left = p->n - n, width = left < STRIP ? left : STRIP;
    ScArena *arena = sc_arena_new();
    const double *y = panels_of(p, n, width, arena);
    double sum[ROWS * COLUMNS];
    for (int64_t c = 0; c < width; c += COLUMNS, y += p->k * COLUMNS)
        for (int64_t m = 0, rows; m < p->m; m += rows) {
            rows = p->m - m < ROWS ? 1 : ROWS;
            if (rows == ROWS)
                dots(p->a, y, m, p->k, ROWS, sum);
            else
                dots(p->a, y, m, p->k, 1, sum);
            for (int64_t r = 0; r < rows; r++)
                store_row(p, p->at + (m + r) * p->n + n + c,
                          width - c < COLUMNS ? width - c : COLUMNS, sum + r * COLUMNS);
        }
    sc_arena_free(arena);
}

#define MANY (1 << 20) /* multiplications, for which threads pay */

static void multiply_floats(ScEval *e, const Matrix *a, const Matrix *b, const int64_t mnk[3],
                            int64_t at)
{
    Product p = {e, a, b, mnk[0], mnk[1], mnk[2], at, NULL, {0}};
    size_t strips = (size_t)((p.n + STRIP - 1) / STRIP);
    p.bias = addend(e, p.stride);
    if (p.m * p.n * p.k >= MANY)
        sc_each(strips, multiply_strip, &p);
    else
        for (size_t i = 0; i < strips; i++)
            multiply_strip(&p, i);
}

static void multiply_ints(ScEval *e, const Matrix *a, const Matrix *b, const int64_t mnk[3],
                          int64_t at)
{
    ScrtTensor *out = &e->out[0];
    int64_t stride[SCRT_MAX_RANK];
    const ScrtTensor *bias = addend(e, stride);
    for (int64_t i = 0; i < mnk[0] * mnk[1]; i++) {
        uint64_t x = (uint64_t)dot_int(a, b, i / mnk[1], i % mnk[1], mnk[2]);
        if (bias)
            x += (uint64_t)scrt_load_int(bias->dtype, bias->data, addend_at(out, stride, at + i));
        scrt_store_int(out->dtype, out->data, (size_t)(at + i), (int64_t)x);
    }
}

/* One matrix of the result: a is [m, k], b is [k, n]; the result's elements start at `at`. */
static void multiply(ScEval *e, const Matrix *a, const Matrix *b, const int64_t mnk[3], int64_t at)
{
    (a->f ? multiply_floats : multiply_ints)(e, a, b, mnk, at);
}

static bool eval_matmul(ScEval *e)
{
    const ScrtTensor *x = e->in[A], *y = e->in[B];
    ScArena *arena = sc_arena_new();
    Matrix a = {0}, b = {0};
    load(&a, arena, x, &e->out[0]);
    load(&b, arena, y, &e->out[0]);
    int64_t k = x->dims[x->rank - 1], m = x->rank > 1 ? x->dims[x->rank - 2] : 1;
    int64_t n = y->rank > 1 ? y->dims[y->rank - 1] : 1;
    a.row = k, a.column = 1, b.row = n, b.column = 1;
    uint32_t batch = e->out[0].rank - (x->rank > 1) - (y->rank > 1);
    ScrtTensor lead[2] = {*x, *y};
    int64_t stride[2][SCRT_MAX_RANK], idx[SCRT_MAX_RANK] = {0}, count = 1;
    for (uint32_t i = 0; i < 2; i++) {
        lead[i].rank = lead[i].rank > 2 ? lead[i].rank - 2 : 0;
        sc_ops_strides(&lead[i], batch, stride[i]);
    }
    for (uint32_t d = 0; d < batch; d++)
        count *= e->out[0].dims[d];
    for (int64_t i = 0; i < count; i++, sc_ops_next(batch, e->out[0].dims, idx)) {
        int64_t at_a = m * k * sc_ops_at(batch, idx, stride[0]);
        int64_t at_b = k * n * sc_ops_at(batch, idx, stride[1]);
        Matrix p = a, q = b;
        if (a.f)
            p.f += at_a, q.f += at_b;
        else
            p.i += at_a, q.i += at_b;
        multiply(e, &p, &q, (int64_t[]){m, n, k}, i * m * n);
    }
    sc_arena_free(arena);
    return true;
}

static uint32_t make_matmul(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims_a[SCRT_MAX_RANK], dims_b[SCRT_MAX_RANK];
    uint32_t rank_a = sc_ops_shape(r, 1, 4, dims_a), rank_b = sc_ops_shape(r, 1, 4, dims_b);
    for (uint32_t d = 3; d <= rank_a && d <= rank_b; d++) /* batches broadcast */
        *(sc_ops_pick(r, 0, 1) ? &dims_a[rank_a - d] : &dims_b[rank_b - d]) = 1;
    dims_b[rank_b > 1 ? rank_b - 2 : 0] = dims_a[rank_a - 1];
    ScVal in[3] = {
        sc_ops_input(b, "a", SCRT_F32, rank_a, dims_a),
        sc_ops_input(b, "b", SCRT_F32, rank_b, dims_b),
    };
    uint32_t n_in = 2;
    if (rank_b > 1 && sc_ops_pick(r, 0, 1))
        in[n_in++] = sc_ops_input(b, "bias", SCRT_F32, 1, &dims_b[rank_b - 1]);
    ret_out[0] = sc_node1(b, &sc_op_matmul, NULL, n_in, in);
    return 1;
}

const ScOp sc_op_matmul = {
    .name = "matmul",
    .doc = "the matrix product of the last two extents, batched over the others, plus a bias",
    .onnx = {"", "MatMul", 1},
    .in = "A: num, B: num, bias?: num",
    .out = "Y: num",
    .attr = {SC_OPS_OUT},
    .n_attr = 1,
    .flags = SC_SUMS | SC_MASK_ENDS,
    .infer = infer_matmul,
    .scale = "a, b, a+b -> a+b",
    .growth = grow_matmul,
    .quantizable = 1 << A | 1 << B,
    .bias = BIAS,
    .lower = {SC_CONTRACT},
    .n_way = 1,
    .contract = contract_matmul,
    .eval = eval_matmul,
    .domain = {.make = make_matmul},
};

/* --- gemm ------------------------------------------------------------------------------------ */

static bool infer_gemm(ScInfer *in)
{
    const ScType *a = in->in[A], *b = in->in[B];
    ScrtDtype dtype;
    if (a->rank != 2 || b->rank != 2)
        return sc_infer_fail(in, SC_E_RANK, "A and B must be matrices");
    bool ta = in->attr[TRANS_A].i != 0, tb = in->attr[TRANS_B].i != 0;
    Inner inner = {a->dim[!ta], b->dim[tb], ta ? "first" : "last", tb ? "last" : "second to last"};
    if (!sc_ops_product_dtype(in, BIAS, G_OUT, &dtype) || !check_inner(in, inner))
        return false;
    return sc_ops_result(in, dtype, 2, (const ScTerm *[]){a->dim[ta], b->dim[!tb]}) &&
           (!has_bias(in) || sc_ops_repeats_to_result(in, BIAS));
}

static void contract_gemm(const ScGraph *g, const ScNode *n, ScContract *ret)
{
    (void)g;
    *ret = (ScContract){.trans_a = sc_attr(n, TRANS_A)->i != 0,
                        .trans_b = sc_attr(n, TRANS_B)->i != 0};
}

static void grow_gemm(const ScGrow *g)
{
    grow_product(g, sc_ops_in(g, A)->dim[sc_attr(g->n, TRANS_A)->i ? 0 : 1]);
}

static bool eval_gemm(ScEval *e)
{
    const ScrtTensor *x = e->in[A];
    bool ta = sc_attr(e->n, TRANS_A)->i != 0, tb = sc_attr(e->n, TRANS_B)->i != 0;
    int64_t m = e->out[0].dims[0], n = e->out[0].dims[1], k = x->dims[!ta];
    ScArena *arena = sc_arena_new();
    Matrix a = {.row = ta ? 1 : k, .column = ta ? m : 1};
    Matrix b = {.row = tb ? 1 : n, .column = tb ? k : 1};
    load(&a, arena, x, &e->out[0]);
    load(&b, arena, e->in[B], &e->out[0]);
    multiply(e, &a, &b, (int64_t[]){m, n, k}, 0);
    sc_arena_free(arena);
    return true;
}

static uint32_t make_gemm(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t m = sc_ops_pick(r, 1, 6), n = sc_ops_pick(r, 1, 6), k = sc_ops_pick(r, 1, 9);
    uint32_t ta = sc_ops_pick(r, 0, 1), tb = sc_ops_pick(r, 0, 1), n_in = 2;
    ScVal in[3] = {
        sc_ops_input(b, "a", SCRT_F32, 2, ta ? (int64_t[]){k, m} : (int64_t[]){m, k}),
        sc_ops_input(b, "b", SCRT_F32, 2, tb ? (int64_t[]){n, k} : (int64_t[]){k, n}),
    };
    if (sc_ops_pick(r, 0, 1))
        in[n_in++] =
            sc_ops_input(b, "c", SCRT_F32, 2, (int64_t[]){sc_ops_pick(r, 0, 1) ? m : 1, n});
    ret_out[0] = sc_node1(b, &sc_op_gemm, SC_ATTRS(SC_INT(ta), SC_INT(tb)), n_in, in);
    return 1;
}

const ScOp sc_op_gemm = {
    .name = "gemm",
    .doc = "A B + C for matrices, either transposed",
    .onnx = {"", "Gemm", 7}, /* alpha and beta become products at import */
    .in = "A: num, B: num, C?: num",
    .out = "Y: num",
    .attr =
        {
            {.name = "trans_a", .kind = SC_A_INT, .def = SC_INT(0), .doc = "A is stored [k, m]"},
            {.name = "trans_b", .kind = SC_A_INT, .def = SC_INT(0), .doc = "B is stored [n, k]"},
            SC_OPS_OUT,
        },
    .n_attr = 3,
    .flags = SC_SUMS | SC_MASK_ENDS,
    .infer = infer_gemm,
    .scale = "a, b, a+b -> a+b",
    .growth = grow_gemm,
    .quantizable = 1 << A | 1 << B,
    .bias = BIAS,
    .lower = {SC_CONTRACT},
    .n_way = 1,
    .contract = contract_gemm,
    .eval = eval_gemm,
    .domain = {.make = make_gemm},
};
