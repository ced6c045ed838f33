/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in blocks along an axis, each with a scale that is a power of two (OCP Microscaling 1.0):
 * quantize and dequantize, and the product with a matrix that is stored so. The last block may be
 * short. A block of zeros has the least scale, code 00, as ONNX's Cast to E8M0 has it. */
#include "ir/ops/ops_priv.h"

enum { AXIS, BLOCK, TO }; /* quantize's attributes; dequantize has the first two */

static bool read_blocks(ScInfer *in, const ScType *x, uint32_t *ret_axis)
{
    int64_t block = in->attr[BLOCK].i;
    if (!sc_axis(in, in->attr[AXIS].i, x->rank, ret_axis))
        return false;
    return (block >= 1 && block <= SC_LONGEST_BLOCK) ||
           sc_infer_fail(in, SC_E_ATTRIBUTE, "block %lld is not 1 to %d", (long long)block,
                         SC_LONGEST_BLOCK);
}

/* The scales of blocks of x: x with fewer elements along the axis. */
static const ScType *scales_of(ScCtx *cx, const ScType *x, uint32_t axis, int64_t block)
{
    const ScTerm *dim[SCRT_MAX_RANK];
    for (uint32_t d = 0; d < x->rank; d++)
        dim[d] = d == axis ? sc_term_cdiv(cx, x->dim[d], sc_term(cx, block)) : x->dim[d];
    return sc_type(cx, SCRT_F8E8M0, x->rank, dim);
}

/* Where elements lie: `outer` runs of `extent` blocks' elements, `inner` apart. */
typedef struct Blocks {
    int64_t outer, extent, inner, count, size; /* count: of blocks along the axis */
} Blocks;

static Blocks blocks_of(const ScrtTensor *x, uint32_t axis, int64_t size)
{
    Blocks b = {.outer = 1, .extent = x->dims[axis], .inner = 1, .size = size};
    for (uint32_t d = 0; d < x->rank; d++)
        if (d != axis)
            *(d < axis ? &b.outer : &b.inner) *= x->dims[d];
    b.count = (b.extent + size - 1) / size;
    return b;
}

/* Element k along the axis of run o, column i; and its block's. */
static int64_t element(const Blocks *b, int64_t o, int64_t k, int64_t i)
{
    return (o * b->extent + k) * b->inner + i;
}

static int64_t block_at(const Blocks *b, int64_t o, int64_t k, int64_t i)
{
    return (o * b->count + k / b->size) * b->inner + i;
}

/* --- The same as other rows ------------------------------------------------------------------ */

/* x [.., k, ..] with zeros behind so that whole blocks come out, as [.., blocks, size, ..]. */
static ScVal split(ScBuild *b, ScVal x, uint32_t axis, int64_t size)
{
    ScCtx *cx = b->cx;
    const ScType *t = sc_built(b, x)->type;
    const ScTerm *dim[SCRT_MAX_RANK + 1], *ones[SCRT_MAX_RANK], *fill[SCRT_MAX_RANK];
    const ScTerm *blocks = sc_term_cdiv(cx, t->dim[axis], sc_term(cx, size));
    const ScTerm *whole = sc_term_scale(cx, blocks, size);
    for (uint32_t d = 0; d < t->rank; d++) {
        dim[d + (d > axis)] = t->dim[d];
        ones[d] = sc_term(cx, 1);
        fill[d] = d == axis ? sc_term_sub(cx, whole, t->dim[d]) : t->dim[d];
    }
    dim[axis] = blocks;
    dim[axis + 1] = sc_term(cx, size);
    if (whole != t->dim[axis]) {
        ScVal zero = sc_const_scalar(b, SCRT_F32, 0);
        zero = sc_op_at(b, reshape, SC_ATTRS(SC_TERMS(t->rank, ones)), zero);
        zero = sc_op_at(b, expand, SC_ATTRS(SC_TERMS(t->rank, fill)), zero);
        x = sc_op_at(b, concat, SC_ATTRS(SC_INT(axis)), x, zero);
    }
    return sc_op_at(b, reshape, SC_ATTRS(SC_TERMS(t->rank + 1, dim)), x);
}

/* [.., blocks, size, ..] as t, of which it has at least the elements. */
static ScVal joined(ScBuild *b, ScVal x, const ScType *t, uint32_t axis, int64_t size)
{
    ScCtx *cx = b->cx;
    const ScTerm *dim[SCRT_MAX_RANK];
    const ScTerm *blocks = sc_term_cdiv(cx, t->dim[axis], sc_term(cx, size));
    for (uint32_t d = 0; d < t->rank; d++)
        dim[d] = d == axis ? sc_term_scale(cx, blocks, size) : t->dim[d];
    x = sc_op_at(b, reshape, SC_ATTRS(SC_TERMS(t->rank, dim)), x);
    if (dim[axis] == t->dim[axis])
        return x;
    int64_t at = axis;
    const ScTerm *zero = sc_term(cx, 0);
    return sc_op_at(b, slice,
                    SC_ATTRS(SC_TERMS(1, &zero), SC_TERMS(1, &t->dim[axis]), SC_INTS(1, &at)), x);
}

static ScVal f32_of(ScBuild *b, ScVal x)
{
    return sc_built(b, x)->type->dtype == SCRT_F32
               ? x
               : sc_op_at(b, cast, SC_ATTRS(SC_DT(SCRT_F32)), x);
}

/* --- quantize -------------------------------------------------------------------------------- */

static bool infer_quantize(ScInfer *in)
{
    uint32_t axis;
    ScrtDtype to = in->attr[TO].dtype;
    if (!read_blocks(in, in->in[0], &axis))
        return false;
    if (in->in[0]->dtype != SCRT_F32 || !scrt_dtype_is_low(to) || to == SCRT_F8E8M0)
        return sc_infer_fail(in, SC_E_TYPE, "f32 becomes a float of at most 8 bits, not %s %s",
                             scrt_dtype_name(in->in[0]->dtype), scrt_dtype_name(to));
    in->ret[0] = sc_type_with(in->cx, in->in[0], to);
    in->ret[1] = scales_of(in->cx, in->in[0], axis, in->attr[BLOCK].i);
    return true;
}

static bool eval_quantize(ScEval *e)
{
    const ScrtTensor *x = e->in[0];
    ScrtDtype to = (ScrtDtype)e->out[0].dtype;
    float max = (float)scrt_format(to)->max;
    Blocks b = blocks_of(x, sc_ops_axis(sc_attr(e->n, AXIS)->i, x->rank), sc_attr(e->n, BLOCK)->i);
    for (int64_t o = 0; o < b.outer; o++)
        for (int64_t c = 0; c < b.count * b.inner; c++) {
            int64_t first = c / b.inner * b.size, i = c % b.inner;
            int64_t end = first + b.size < b.extent ? first + b.size : b.extent;
            float amax = 0;
            for (int64_t k = first; k < end; k++) {
                float m = fabsf(((const float *)x->data)[element(&b, o, k, i)]);
                amax = m > amax || isnan(m) ? m : amax;
            }
            int64_t at = block_at(&b, o, first, i);
            uint64_t code = scrt_round(SCRT_F8E8M0, (double)(amax / max), true, SCRT_UP);
            scrt_store_bits(SCRT_F8E8M0, e->out[1].data, (size_t)at, code);
            float scale = (float)scrt_value(SCRT_F8E8M0, code);
            for (int64_t k = first; k < end; k++) {
                int64_t j = element(&b, o, k, i);
                float y = ((const float *)x->data)[j] / scale;
                scrt_store(to, e->out[0].data, (size_t)j, (double)y, true);
            }
        }
    return true;
}

static void expand_quantize(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                            ScVal *ret_out)
{
    (void)g;
    ScCtx *cx = b->cx;
    const ScType *t = sc_built(b, in[0])->type;
    ScrtDtype to = sc_attr(n, TO)->dtype;
    int64_t size = sc_attr(n, BLOCK)->i;
    ret_out[0] = ret_out[1] = SC_POISON;
    if (t->kind == SC_TYPE_POISON)
        return;
    uint32_t axis = sc_ops_axis(sc_attr(n, AXIS)->i, t->rank);
    int64_t over = axis + 1;
    ScVal x = split(b, in[0], axis, size);
    ScVal max = sc_const_scalar(b, SCRT_F32, scrt_format(to)->max);
    ScVal most = sc_op_at(b, reduce_max, SC_ATTRS(SC_INTS(1, &over), SC_INT(1)), sc_op(b, abs, x));
    ScVal scale = sc_op_at(b, cast, SC_ATTRS(SC_DT(SCRT_F8E8M0), SC_INT(1), SC_INT(SCRT_UP)),
                           sc_op(b, div, most, max));
    ScVal y = sc_op(b, div, x, f32_of(b, scale));
    ret_out[0] = joined(b, sc_op_at(b, cast, SC_ATTRS(SC_DT(to)), y), t, axis, size);
    const ScType *s = scales_of(cx, t, axis, size);
    ret_out[1] = sc_op_at(b, reshape, SC_ATTRS(SC_TERMS(s->rank, s->dim)), scale);
}

static uint32_t make_quantize(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    static const ScrtDtype to[] = {SCRT_F8E4M3FN, SCRT_F8E5M2};
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims), axis = sc_ops_pick(r, 0, rank - 1);
    dims[axis] += sc_ops_pick(r, 0, 9);
    ScVal x = sc_ops_input(b, "x", SCRT_F32, rank, dims);
    sc_node(b, &sc_op_quantize,
            SC_ATTRS(SC_INT(axis), SC_INT(sc_ops_pick(r, 1, 8)), SC_DT(to[sc_ops_pick(r, 0, 1)])),
            NULL, 1, &x, 2, ret_out);
    return 2;
}

#define BLOCK_ATTRS                                                                                \
    {.name = "axis", .kind = SC_A_INT, .def = SC_INT(-1), .doc = "along which blocks lie"},        \
        {.name = "block", .kind = SC_A_INT, .def = SC_INT(32), .doc = "elements of a block"}

const ScOp sc_op_quantize = {
    .name = "quantize",
    .doc = "codes of x over the scale of its block, the least power of two that clips nothing; the "
           "scales",
    .in = "x: float",
    .out = "codes: float, scales: float",
    .attr = {BLOCK_ATTRS,
             {.name = "to",
              .kind = SC_A_DTYPE,
              .required = true,
              .doc = "the element type of the codes",
              .text = SC_TEXT_DTYPE}},
    .n_attr = 3,
    .infer = infer_quantize,
    .scale = "a -> 0, a",
    .expand = expand_quantize,
    .eval = eval_quantize,
    .domain = {.make = make_quantize},
};

/* --- dequantize ------------------------------------------------------------------------------ */

static bool infer_dequantize(ScInfer *in)
{
    uint32_t axis;
    if (!read_blocks(in, in->in[0], &axis))
        return false;
    const ScType *want = scales_of(in->cx, in->in[0], axis, in->attr[BLOCK].i);
    bool each = in->in[1]->rank == want->rank;
    for (uint32_t d = 0; each && d < want->rank; d++)
        each = sc_holds(in, SC_GUARD_EQUAL, in->in[1]->dim[d], want->dim[d], "blocks");
    if (!each)
        return sc_infer_fail(in, SC_E_SHAPE, "there must be a scale for each block of %lld",
                             (long long)in->attr[BLOCK].i);
    in->ret[0] = sc_type_with(in->cx, in->in[0], SCRT_F32);
    return true;
}

static bool eval_dequantize(ScEval *e)
{
    const ScrtTensor *x = e->in[0], *s = e->in[1];
    Blocks b = blocks_of(x, sc_ops_axis(sc_attr(e->n, AXIS)->i, x->rank), sc_attr(e->n, BLOCK)->i);
    for (int64_t o = 0; o < b.outer; o++)
        for (int64_t k = 0; k < b.extent; k++)
            for (int64_t i = 0; i < b.inner; i++) {
                int64_t at = element(&b, o, k, i);
                double scale =
                    scrt_load((ScrtDtype)s->dtype, s->data, (size_t)block_at(&b, o, k, i));
                sc_ops_store(&e->out[0], at,
                             scrt_load((ScrtDtype)x->dtype, x->data, (size_t)at) * scale);
            }
    return true;
}

static void expand_dequantize(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                              ScVal *ret_out)
{
    (void)g;
    const ScType *t = sc_built(b, in[0])->type;
    int64_t size = sc_attr(n, BLOCK)->i;
    ret_out[0] = SC_POISON;
    if (t->kind == SC_TYPE_POISON || sc_built(b, in[1])->type->kind == SC_TYPE_POISON)
        return;
    uint32_t axis = sc_ops_axis(sc_attr(n, AXIS)->i, t->rank);
    ScVal x = split(b, f32_of(b, in[0]), axis, size);
    ScVal scale = split(b, f32_of(b, in[1]), axis, 1);
    ret_out[0] = joined(b, sc_op(b, mul, x, scale), t, axis, size);
}

static uint32_t make_dequantize(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK], few[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims), axis = sc_ops_pick(r, 0, rank - 1);
    int64_t size = sc_ops_pick(r, 1, 8);
    dims[axis] += sc_ops_pick(r, 0, 9);
    for (uint32_t d = 0; d < rank; d++)
        few[d] = d == axis ? (dims[d] + size - 1) / size : dims[d];
    ScVal in[2] = {sc_ops_input(b, "x", SCRT_F32, rank, dims),
                   sc_ops_input(b, "s", SCRT_F32, rank, few)};
    ret_out[0] = sc_node1(b, &sc_op_dequantize, SC_ATTRS(SC_INT(axis), SC_INT(size)), 2, in);
    return 1;
}

const ScOp sc_op_dequantize = {
    .name = "dequantize",
    .doc = "codes times the scale of their block, in f32",
    .in = "codes: float, scales: float",
    .out = "y: float",
    .attr = {BLOCK_ATTRS},
    .n_attr = 2,
    .infer = infer_dequantize,
    .scale = "a, b -> a+b",
    .expand = expand_dequantize,
    .eval = eval_dequantize,
    .domain = {.make = make_dequantize},
};

/* --- block_matmul ---------------------------------------------------------------------------- */

enum { A, B, SCALES };
enum { M_BLOCK, TRANS_B, A_BITS };

/* Floats of at most 8 bits, or integers of fewer, which have a sign. */
static bool is_code(ScrtDtype t)
{
    return scrt_dtype_is_low(t) || (scrt_dtype_kind(t) == SCRT_KIND_INT && scrt_dtype_bits(t) < 8);
}

static bool is_scale(ScrtDtype t)
{
    return t == SCRT_F8E8M0 || t == SCRT_F16 || t == SCRT_BF16 || t == SCRT_F32;
}

static bool infer_block_matmul(ScInfer *in)
{
    const ScType *a = in->in[A], *b = in->in[B];
    const ScTerm *dim[SCRT_MAX_RANK];
    int64_t block = in->attr[M_BLOCK].i;
    bool trans = in->attr[TRANS_B].i != 0;
    if (a->rank < 1 || b->rank != 2 || a->dtype != SCRT_F32 || !is_code(b->dtype))
        return sc_infer_fail(in, SC_E_TYPE,
                             "A is f32, B a matrix of floats of at most 8 bits, or of i4 or i2");
    if (!sc_block_fits(block))
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "block %lld is no power of two from 4 to 4096",
                             (long long)block);
    const int64_t bits = in->attr[A_BITS].i;
    if (bits != 0 && bits != 8 && bits != 16)
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "a_bits %lld is none of 0, 8 and 16",
                             (long long)bits);
    if (!is_scale(in->in[SCALES]->dtype) ||
        !sc_type_same_shape(in->in[SCALES], scales_of(in->cx, b, trans ? 1 : 0, block)))
        return sc_infer_fail(in, SC_E_SHAPE, "there must be a scale for each block of %lld rows",
                             (long long)block);
    if (!sc_holds(in, SC_GUARD_EQUAL, a->dim[a->rank - 1], b->dim[trans], "inner dimensions"))
        return sc_infer_fail(in, SC_E_INNER, "A's last extent and B's");
    for (uint32_t d = 0; d + 1 < a->rank; d++)
        dim[d] = a->dim[d];
    dim[a->rank - 1] = b->dim[!trans];
    return sc_ops_result(in, SCRT_F32, a->rank, dim);
}

static void contract_block_matmul(const ScGraph *g, const ScNode *n, ScContract *ret)
{
    (void)g;
    *ret = (ScContract){.trans_b = sc_attr(n, TRANS_B)->i != 0,
                        .scales = SCALES,
                        .block = sc_attr(n, M_BLOCK)->i,
                        .a_bits = (uint32_t)sc_attr(n, A_BITS)->i};
}

static bool eval_block_matmul(ScEval *e)
{
    const ScrtTensor *x = e->in[A], *y = e->in[B], *s = e->in[SCALES];
    bool trans = sc_attr(e->n, TRANS_B)->i != 0;
    int64_t block = sc_attr(e->n, M_BLOCK)->i, k = y->dims[trans], n = y->dims[!trans];
    int64_t rows = 1;
    for (uint32_t d = 0; d + 1 < x->rank; d++)
        rows *= x->dims[d];
    ScArena *arena = sc_arena_new();
    const double *a = sc_ops_doubles(arena, x), *b = sc_ops_doubles(arena, y);
    const double *scale = sc_ops_doubles(arena, s);
    for (int64_t i = 0; i < rows * n; i++) {
        double sum = 0;
        int64_t j = i % n, blocks = (k + block - 1) / block;
        for (int64_t l = 0; l < k; l++) {
            double by = scale[trans ? j * blocks + l / block : l / block * n + j];
            sum += a[i / n * k + l] * (float)(b[trans ? j * k + l : l * n + j] * by);
        }
        sc_ops_store(&e->out[0], i, sum);
    }
    sc_arena_free(arena);
    return true;
}

/* As of a product with the codes, which integers fill evenly, times the scales. */
static void grow_block_matmul(const ScGrow *g)
{
    const ScType *b = sc_ops_in(g, B);
    ScCount k = {1, NULL};
    int32_t codes = g->in[B];
    if (!scrt_dtype_is_float(b->dtype))
        codes = ((int32_t)scrt_dtype_bits(b->dtype) - 2) * 256;
    sc_ops_count(g->g->cx, &k, b->dim[sc_attr(g->n, TRANS_B)->i != 0]);
    if (g->in[A] != SC_NO_G && codes != SC_NO_G && g->in[SCALES] != SC_NO_G)
        g->ret[0] = g->in[A] + codes + g->in[SCALES] + sc_log2_256(k.c) / 2;
}

/* A constant of random finite codes. */
static ScVal codes(ScBuild *b, uint64_t *r, ScrtDtype t, const int64_t *dims, uint32_t lo,
                   uint32_t hi)
{
    size_t count = (size_t)(dims[0] * dims[1]), bytes;
    scrt_bytes(t, count, &bytes);
    void *data = sc_alloc(sc_ctx_arena(b->cx), bytes + 1);
    for (size_t i = 0; i < count; i++)
        scrt_store_bits(t, data, i, sc_ops_pick(r, lo, hi));
    return sc_const(b, sc_blob(b->cx, NULL, t, 2, dims, data), t, NULL);
}

static uint32_t make_block_matmul(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    static const struct {
        ScrtDtype t;
        uint32_t hi;
    } fmt[] = {{SCRT_F4E2M1, 15},   {SCRT_F6E2M3, 63}, {SCRT_F6E3M2, 63}, {SCRT_F8E4M3FN, 0x7e},
               {SCRT_F8E5M2, 0x7b}, {SCRT_I4, 15},     {SCRT_I2, 3}};
    static const struct {
        ScrtDtype t;
        uint32_t lo, hi;
    } scale[] = {{SCRT_F8E8M0, 122, 131},
                 {SCRT_F16, 0x3000, 0x3fff},
                 {SCRT_BF16, 0x3e00, 0x3fff},
                 {SCRT_F32, 0x3e000000, 0x3fffffff}};
    int64_t dims[SCRT_MAX_RANK], k = sc_ops_pick(r, 1, 40), n = sc_ops_pick(r, 1, 9);
    int64_t block = 4 << sc_ops_pick(r, 0, 3), few = (k + block - 1) / block;
    uint32_t rank = sc_ops_shape(r, 1, 3, dims), trans = sc_ops_pick(r, 0, 1);
    uint32_t f = sc_ops_pick(r, 0, 6), s = sc_ops_pick(r, 0, 3);
    dims[rank - 1] = k;
    ScVal in[3] = {
        sc_ops_input(b, "a", SCRT_F32, rank, dims),
        codes(b, r, fmt[f].t, trans ? (int64_t[]){n, k} : (int64_t[]){k, n}, 0, fmt[f].hi),
        codes(b, r, scale[s].t, trans ? (int64_t[]){n, few} : (int64_t[]){few, n}, scale[s].lo,
              scale[s].hi)};
    ret_out[0] =
        sc_node1(b, &sc_op_block_matmul, SC_ATTRS(SC_INT(block), SC_INT(trans), SC_INT(0)), 3, in);
    return 1;
}

const ScOp sc_op_block_matmul = {
    .name = "block_matmul",
    .doc = "A times a matrix in f32 whose columns are stored in blocks, each with a scale",
    .in = "A: float, B: num, scales: float",
    .out = "Y: float",
    .attr = {{.name = "block", .kind = SC_A_INT, .def = SC_INT(32), .doc = "rows of a block"},
             {.name = "trans_b",
              .kind = SC_A_INT,
              .def = SC_INT(0),
              .doc = "B and its scales are stored [n, k]"},
             {.name = "a_bits",
              .kind = SC_A_INT,
              .def = SC_INT(0),
              .doc = "8 or 16: A may be rounded to integers of so many bits, scaled by block; "
                     "executables do where that is faster; 0: it may not"}},
    .n_attr = 3,
    .flags = SC_SUMS | SC_MASK_ENDS,
    .infer = infer_block_matmul,
    .scale = "a, 0, 0 -> a",
    .growth = grow_block_matmul,
    .quantizable = 1 << B,
    .unpacks = 1 << B,
    .lower = {SC_CONTRACT},
    .contract = contract_block_matmul,
    .eval = eval_block_matmul,
    .domain = {.make = make_block_matmul},
};
