/* SPDX-License-Identifier: Apache-2.0 */
/* Inference, growth, bodies and random inputs: what the families share besides evaluation. */
#include "ir/ops/ops_priv.h"

#include <string.h>

/* --- Inference ------------------------------------------------------------------------------- */

bool sc_ops_result(ScInfer *in, ScrtDtype dtype, uint32_t rank, const ScTerm *const *dim)
{
    in->ret[0] = sc_type(in->cx, dtype, rank, dim);
    return true;
}

/* Integers, and truth values as 0 and 1, are followed as terms. */
static bool has_content(const ScType *t)
{
    return scrt_dtype_kind(t->dtype) == SCRT_KIND_INT ||
           scrt_dtype_kind(t->dtype) == SCRT_KIND_UINT || t->dtype == SCRT_BOOL;
}

/* The index, in an operand's own row-major order, of what it contributes to element i of a result
 * of these extents. */
static size_t source_index(const ScType *t, uint32_t rank, const int64_t *dims, size_t i)
{
    size_t at = 0, scale = 1;
    for (uint32_t d = 0; d < rank && d < t->rank; d++) {
        size_t extent = (size_t)dims[rank - 1 - d];
        int64_t own = 1;
        sc_term_const(t->dim[t->rank - 1 - d], &own);
        if (own != 1)
            at += i % extent * scale;
        scale *= (size_t)own;
        i /= extent;
    }
    return at;
}

const ScTerm *sc_ops_held(ScCtx *cx, ScrtDtype dtype, const ScTerm *t)
{
    int64_t c, bits = 0;
    bool is_float = scrt_dtype_is_float(dtype);
    if (dtype == SCRT_BOOL)
        return t;
    if (!sc_term_const(t, &c))
        return scrt_dtype_bits(dtype) >= 32 ? t : NULL;
    if (is_float)
        return scrt_dtype_bits(dtype) >= 32 && c > -(1 << 24) && c < 1 << 24 ? t : NULL;
    scrt_store_int(dtype, &bits, 0, c);
    return sc_term(cx, scrt_load_int(dtype, &bits, 0));
}

bool sc_ops_content(ScInfer *in, ScTermFn *f)
{
    int64_t dims[SCRT_MAX_RANK];
    const ScType *t = in->ret[0];
    const ScTerm *x[SC_MAX_IN];
    size_t n = 1;
    if (!has_content(t) || in->n_in > SC_MAX_IN || !sc_type_const_dims(t, dims))
        return true;
    for (uint32_t d = 0; d < t->rank; d++)
        n = n > SC_CONTENT_MAX ? n : n * (size_t)dims[d];
    for (uint32_t k = 0; k < in->n_in; k++)
        if (!in->content[k])
            return true;
    if (n > SC_CONTENT_MAX)
        return true;
    const ScTerm **out = sc_array(in->arena, const ScTerm *, n + 1);
    for (size_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < in->n_in; k++)
            x[k] = in->content[k][source_index(in->in[k], t->rank, dims, i)];
        if (!(out[i] = f(in->cx, x)) || !(out[i] = sc_ops_held(in->cx, t->dtype, out[i])))
            return true;
    }
    in->ret_content[0] = out;
    return true;
}

bool sc_ops_same_content(ScInfer *in)
{
    if (has_content(in->ret[0]))
        in->ret_content[0] = in->content[0];
    return true;
}

const char *sc_ops_text(const ScInfer *in, const ScTerm *t)
{
    ScStr s = {0};
    sc_term_print(t, &s);
    const char *text = sc_intern(in->cx, sc_str_get(&s));
    sc_str_free(&s);
    return text;
}

bool sc_ops_fits_result(const ScInfer *in, uint32_t i)
{
    const ScType *t = in->in[i], *out = in->ret[0];
    bool fits = t->rank <= out->rank;
    for (uint32_t d = 1; fits && d <= t->rank; d++)
        fits = sc_holds(in, SC_GUARD_FITS, t->dim[t->rank - d], out->dim[out->rank - d],
                        "extents of an operand and of the result that it is repeated to");
    if (fits)
        return true;
    ScStr s = {0};
    sc_type_print(out, &s);
    sc_infer_fail(in, SC_E_BROADCAST, "operand %u must broadcast to the result, %s", i,
                  sc_str_get(&s));
    sc_str_free(&s);
    return false;
}

bool sc_ops_repeats_to_result(const ScInfer *in, uint32_t i)
{
    const ScType *t = in->in[i], *out = in->ret[0];
    const ScTerm *dim[SCRT_MAX_RANK];
    if (!sc_ops_fits_result(in, i))
        return false;
    for (uint32_t d = 0; d < out->rank; d++) {
        uint32_t lead = out->rank - t->rank;
        bool number = d >= lead && !sc_term_is(t->dim[d - lead], 1);
        dim[d] = number ? sc_unified(out->dim[d], t->dim[d - lead]) : out->dim[d];
    }
    in->ret[0] = sc_type(in->cx, out->dtype, out->rank, dim);
    return true;
}

/* --- Growth ---------------------------------------------------------------------------------- */

void sc_ops_count(ScCtx *cx, ScCount *n, const ScTerm *extent)
{
    int64_t c;
    if (sc_term_const(extent, &c))
        n->c *= c > 1 ? (double)c : 1; /* logs take max(n, 1) */
    else
        n->sym = n->sym ? sc_term_mul(cx, n->sym, extent) : extent;
}

void sc_ops_grow(const ScGrow *g, ScCount n, int halves)
{
    ScCtx *cx = g->g->cx;
    if (g->ret[0] != SC_NO_G)
        g->ret[0] += halves * sc_log2_256(n.c) / 2;
    if (!n.sym || halves == 0)
        return;
    const ScTerm *bits = sc_term_log2(cx, n.sym);
    if (halves % 2)
        bits = sc_term_fdiv(cx, sc_term_scale(cx, bits, halves < 0 ? -halves : halves),
                            sc_term(cx, 2));
    else
        bits = sc_term_scale(cx, bits, (halves < 0 ? -halves : halves) / 2);
    g->ret_shift[0] = halves < 0 ? sc_term_scale(cx, bits, -1) : bits;
}

/* So much of the power is left in any case: neighbours in an image are seldom independent. */
#define LEFT 0x1p-4

void sc_ops_grow_mean(const ScGrow *g, ScCount n)
{
    double lean = g->lean[0] / 255.0, left = lean + (1 - lean) / n.c;
    if (n.sym)
        sc_ops_grow(g, n, lean >= 0.5 ? 0 : -1);
    else if (g->ret[0] != SC_NO_G)
        g->ret[0] += sc_log2_256(left < LEFT ? LEFT : left) / 2;
    if (g->ret_lean[0] == 0)
        g->ret_lean[0] = (uint8_t)(255 * lean / left);
}

double sc_ops_exp2(int32_t x256)
{
    int32_t whole = x256 >= 0 ? x256 / 256 : -((255 - x256) / 256);
    double y = 1, root = 2;
    for (int32_t bit = 128; bit > 0; bit /= 2) {
        root = sqrt(root);
        if ((x256 - 256 * whole) & bit)
            y *= root;
    }
    return ldexp(y, whole);
}

static int32_t largest(uint32_t n, const int32_t *x)
{
    int32_t top = SC_NO_G;
    for (uint32_t i = 0; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

/* Half the log2 of the sum of the squares, relative to the largest so that nothing overflows. */
static int32_t sum_of(uint32_t n, const int32_t *x)
{
    int32_t top = largest(n, x);
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        if (x[i] != SC_NO_G && x[i] > top - 64 * 256)
            sum += sc_ops_exp2(2 * (x[i] - top));
    return top == SC_NO_G ? SC_NO_G : top + sc_log2_256(sum) / 2;
}

void sc_ops_grow_add(const ScGrow *g)
{
    double leans = 0;
    g->ret[0] = sum_of(g->n->n_in, g->in);
    for (uint32_t i = 0; i < g->n->n_in; i++)
        if (g->in[i] != SC_NO_G && g->in[i] > g->ret[0] - 64 * 256)
            leans += g->lean[i] * sc_ops_exp2(2 * (g->in[i] - g->ret[0]));
    g->ret_lean[0] = leans < 255 ? (uint8_t)leans : 255;
}

void sc_ops_grow_relu(const ScGrow *g)
{
    if (g->ret[0] != SC_NO_G)
        g->ret[0] += sc_log2_256((1 + g->lean[0] / 255.0) / 2) / 2;
}

void sc_ops_grow_gate(const ScGrow *g)
{
    if (g->in[0] != SC_NO_G)
        g->ret[0] = g->in[0] - 205; /* 0.8 bits, of x about 1 */
    g->ret_lean[0] = SC_LEANS;
}

void sc_ops_grow_bend(const ScGrow *g)
{
    if (g->in[0] != SC_NO_G)
        g->ret[0] = g->in[0] - sum_of(2, (int32_t[]){0, g->in[0]});
}

void sc_ops_grow_pick(const ScGrow *g)
{
    g->ret[0] = largest(g->n->n_in, g->in);
}

void sc_ops_grow_bias(const ScGrow *g, uint32_t i)
{
    if (i < g->n->n_in && g->ret[0] != SC_NO_G)
        g->ret[0] = sum_of(2, (int32_t[]){g->ret[0], g->in[i]});
}

/* One bit of the logarithm at a time: squaring the mantissa doubles its logarithm. Nothing but
 * IEEE multiplications, so every machine gives the same. */
int32_t sc_log2_256(double x)
{
    int exponent;
    if (!(x > 0) || isinf(x))
        return SC_NO_G;
    double m = 2 * frexp(x, &exponent); /* [1, 2) */
    int32_t bits = exponent - 1;
    for (int i = 0; i < 9; i++) {
        m *= m;
        bits = 2 * bits + (m >= 2);
        m = m >= 2 ? m / 2 : m;
    }
    return bits >= 0 ? (bits + 1) / 2 : -((-bits) / 2); /* 1/512 rounded to 1/256 */
}

/* --- Bounds ---------------------------------------------------------------------------------- */

void sc_ops_top_first(const ScTop *t)
{
    t->ret[0] = t->in[0];
}

void sc_ops_top_through(const ScTop *t)
{
    int32_t top = INT32_MIN;
    for (uint32_t i = 0; i < t->n->n_in; i++)
        if (t->n->in[i] != SC_ABSENT && sc_type_is_float(sc_type_of(t->g, t->n->in[i])))
            top = t->in[i] > top ? t->in[i] : top;
    t->ret[0] = top == INT32_MIN ? SC_NO_TOP : top;
}

void sc_ops_top_add(const ScTop *t)
{
    sc_ops_top_through(t);
    double sum = 0;
    for (uint32_t i = 0; i < t->n->n_in && t->ret[0] != SC_NO_TOP; i++)
        sum += t->in[i] < t->ret[0] - 64 * 256 ? 0x1p-40 : sc_ops_exp2(t->in[i] - t->ret[0]);
    if (t->ret[0] != SC_NO_TOP)
        t->ret[0] += sc_log2_256(sum) + 1;
}

void sc_row_top(const ScTop *t)
{
    const ScOp *op = t->n->op;
    for (uint32_t i = 0; i < t->n->n_out; i++)
        t->ret[i] = SC_NO_TOP;
    if (op->most > 0)
        t->ret[0] = sc_log2_256((double)op->most) + 1;
    else if (op->top)
        op->top(t);
    else if (op->flags & (SC_VIEW_OP | SC_ANY_THROUGH | SC_REBALANCES))
        sc_ops_top_through(t);
}

/* --- Bodies ---------------------------------------------------------------------------------- */

ScX sc_ops_num(ScBody *b, ScX x, double c)
{
    return b->ins[x].type == SC_XF ? sc_ops_const(b, c) : sc_x_int(b, (int64_t)c);
}

ScX sc_ops_const(ScBody *b, double c)
{
    return sc_x_const(b, b->compute == SCRT_F64 ? c : (double)(float)c);
}

/* --- Table tests ----------------------------------------------------------------------------- */

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014) */
uint32_t sc_ops_pick(uint64_t *r, uint32_t lo, uint32_t hi)
{
    uint64_t z = *r += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return lo + (uint32_t)((z ^ (z >> 31)) % (hi - lo + 1));
}

ScVal sc_ops_input(ScBuild *b, const char *name, ScrtDtype dtype, uint32_t rank,
                   const int64_t *dims)
{
    return sc_input(b, sc_intern(b->cx, name), sc_type_c(b->cx, dtype, rank, dims), NULL);
}

uint32_t sc_ops_shape(uint64_t *r, uint32_t lo, uint32_t hi, int64_t *ret)
{
    uint32_t rank = sc_ops_pick(r, lo, hi);
    for (uint32_t d = 0; d < rank; d++)
        ret[d] = sc_ops_pick(r, 1, 5);
    return rank;
}
