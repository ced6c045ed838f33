/* SPDX-License-Identifier: Apache-2.0 */
/* Attention: what a query takes of the values, by how its products with the keys compare. Names of
 * extents: B batch, H heads, L queries, S keys, E width of a head. */
#include "ir/ops/ops_priv.h"

enum { Q, K, V, SCALE, ADDEND, KEEP };
enum { DIAGONAL, SOFTCAP, ZEROS, FILL, OUT };
enum { BATCH, HEADS, PLACES, WIDTH, RANK };

/* All three of one type, or each of them f32 or stored low; `out` as of products. */
static bool result_dtype(const ScInfer *in, ScrtDtype *ret)
{
    bool wider = in->attr[OUT].kind == SC_A_DTYPE, like = true, f32_or_low = true, fits = true;
    ScrtDtype q = in->in[Q]->dtype;
    for (uint32_t i = Q; i <= V; i++) {
        ScrtDtype t = in->in[i]->dtype;
        like = like && t == q && !scrt_dtype_is_low(t);
        f32_or_low = f32_or_low && (t == SCRT_F32 || scrt_dtype_is_low(t));
        fits = fits && scrt_dtype_bits(t) <= 32;
    }
    if (wider && (in->attr[OUT].dtype != SCRT_F32 || !fits))
        return sc_infer_fail(in, SC_E_TYPE,
                             "out is f32 and the operands floats of at most 32 bits");
    if (!wider && !like && !f32_or_low)
        return sc_infer_fail(in, SC_E_TYPE, "q, k and v must be of one type, or f32 and FP8");
    *ret = wider || !like ? SCRT_F32 : q;
    return true;
}

static bool check_mask(const ScInfer *in, uint32_t operand)
{
    if (operand >= in->n_in || in->in[operand]->kind == SC_TYPE_ABSENT)
        return true;
    const ScType *q = in->in[Q], *k = in->in[K], *mask = in->in[operand];
    const ScTerm *scores[RANK] = {q->dim[BATCH], q->dim[HEADS], q->dim[PLACES], k->dim[PLACES]};
    if (mask->rank > RANK)
        return sc_infer_fail(in, SC_E_RANK, "the mask has rank %u", mask->rank);
    for (uint32_t d = 1; d <= mask->rank; d++)
        if (!sc_holds(in, SC_GUARD_FITS, mask->dim[mask->rank - d], scores[RANK - d],
                      "extents of the mask and of the scores that it is repeated to"))
            return sc_infer_fail(in, SC_E_BROADCAST, "the mask must broadcast to the scores");
    return true;
}

static bool infer_attention(ScInfer *in)
{
    const ScType *q = in->in[Q], *k = in->in[K], *v = in->in[V];
    ScrtDtype dtype = SCRT_F32;
    if (q->rank != RANK || k->rank != RANK || v->rank != RANK || in->in[SCALE]->rank != 0)
        return sc_infer_fail(in, SC_E_RANK, "q, k and v have four extents, the scale has none");
    if (in->attr[DIAGONAL].kind != SC_A_NONE && in->attr[DIAGONAL].n != 1)
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "`diagonal` must be one number");
    if (!result_dtype(in, &dtype) ||
        !sc_require_equal(in, q->dim[BATCH], k->dim[BATCH], "batches of q and k") ||
        !sc_require_equal(in, k->dim[BATCH], v->dim[BATCH], "batches of k and v") ||
        !sc_require_equal(in, k->dim[HEADS], v->dim[HEADS], "heads of k and v") ||
        !sc_require_divides(in, k->dim[HEADS], q->dim[HEADS], "heads of k and of q") ||
        !sc_require_equal(in, q->dim[WIDTH], k->dim[WIDTH], "widths of q and k") ||
        !sc_require_equal(in, k->dim[PLACES], v->dim[PLACES], "places of k and v") ||
        !check_mask(in, ADDEND) || !check_mask(in, KEEP))
        return false;
    const ScTerm *dim[RANK] = {q->dim[BATCH], q->dim[HEADS], q->dim[PLACES], v->dim[WIDTH]};
    return sc_ops_result(in, dtype, RANK, dim);
}

static void describe(const ScGraph *g, const ScNode *n, ScAttention *ret)
{
    (void)g;
    const ScAttr *diagonal = sc_attr(n, DIAGONAL);
    *ret = (ScAttention){.addend = n->n_in > ADDEND && n->in[ADDEND] != SC_ABSENT ? ADDEND : -1,
                         .keep = n->n_in > KEEP ? KEEP : -1,
                         .fill = sc_attr(n, FILL)->f,
                         .diagonal = diagonal->kind == SC_A_NONE ? NULL : diagonal->ts[0],
                         .softcap = sc_attr(n, SOFTCAP)->f,
                         .zeros = (int)sc_attr(n, ZEROS)->i};
}

/* Weights that sum to 1 over S places: what they pick of v lies between v / sqrt S and v. */
static void grow_attention(const ScGrow *g)
{
    ScCount s = {1, NULL};
    sc_ops_count(g->g->cx, &s, sc_ops_in(g, K)->dim[PLACES]);
    if (g->in[V] != SC_NO_G)
        g->ret[0] = g->in[V] - sc_log2_256(s.c) / 4;
}

static void top_attention(const ScTop *t)
{
    t->ret[0] = t->in[V];
}

/* --- Evaluation ------------------------------------------------------------------------------ */

typedef struct Eval {
    ScEval *e;
    ScAttention what;
    const double *q, *k, *v, *addend;
    const int64_t *keep;
    double scale;
    int64_t add_stride[RANK], keep_stride[RANK], diagonal;
} Eval;

static double capped(double s, double cap)
{
    return cap > 0 ? cap * tanh(s / cap) : s;
}

/* The score of query idx [B, H, L] with key j: -inf where it is not seen. */
static double score(const Eval *a, const int64_t *idx, int64_t j, const double *q, const double *k)
{
    int64_t width = a->e->in[Q]->dims[WIDTH], at[RANK] = {idx[0], idx[1], idx[2], j};
    double s = 0;
    for (int64_t i = 0; i < width; i++)
        s += q[i] * k[j * width + i];
    s = capped(s * a->scale, a->what.softcap);
    if (a->keep && !a->keep[sc_ops_at(RANK, at, a->keep_stride)])
        s = a->what.fill;
    if (a->addend)
        s += a->addend[sc_ops_at(RANK, at, a->add_stride)];
    return a->what.diagonal && j > idx[PLACES] + a->diagonal ? -INFINITY : s;
}

static void eval_query(const Eval *a, const int64_t *idx, double *s)
{
    const ScrtTensor *q = a->e->in[Q], *k = a->e->in[K], *v = a->e->in[V];
    ScrtTensor *out = &a->e->out[0];
    int64_t each = q->dims[HEADS] / k->dims[HEADS], n = k->dims[PLACES], width = v->dims[WIDTH];
    int64_t matrix = (idx[BATCH] * k->dims[HEADS] + idx[HEADS] / each) * n;
    int64_t row = (idx[BATCH] * q->dims[HEADS] + idx[HEADS]) * q->dims[PLACES] + idx[PLACES];
    double top = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) {
        s[j] = score(a, idx, j, a->q + row * q->dims[WIDTH], a->k + matrix * k->dims[WIDTH]);
        top = s[j] > top || s[j] != s[j] ? s[j] : top;
    }
    for (int64_t j = 0; j < n; j++)
        sum += s[j] = exp(s[j] - top);
    bool none = (a->what.zeros && top == -INFINITY) || (a->what.zeros > 1 && isnan(sum));
    for (int64_t i = 0; i < width; i++) {
        double y = 0;
        for (int64_t j = 0; j < n; j++)
            y += s[j] / sum * a->v[(matrix + j) * width + i];
        sc_ops_store(out, row * width + i, none ? 0 : y);
    }
}

static bool eval_attention(ScEval *e)
{
    const ScrtTensor *q = e->in[Q];
    ScArena *arena = sc_arena_new();
    Eval a = {.e = e};
    describe(e->g, e->n, &a.what);
    a.q = sc_ops_doubles(arena, q);
    a.k = sc_ops_doubles(arena, e->in[K]);
    a.v = sc_ops_doubles(arena, e->in[V]);
    a.scale = *sc_ops_doubles(arena, e->in[SCALE]);
    if (a.what.addend >= 0) {
        a.addend = sc_ops_doubles(arena, e->in[ADDEND]);
        sc_ops_strides(e->in[ADDEND], RANK, a.add_stride);
    }
    if (a.what.keep >= 0) {
        a.keep = sc_ops_ints(arena, e->in[KEEP]);
        sc_ops_strides(e->in[KEEP], RANK, a.keep_stride);
    }
    a.diagonal = a.what.diagonal ? sc_eval_term(e, a.what.diagonal) : 0;
    double *s = sc_array(arena, double, (size_t)e->in[K]->dims[PLACES] + 1);
    int64_t idx[RANK] = {0}, n = q->dims[BATCH] * q->dims[HEADS] * q->dims[PLACES];
    for (int64_t i = 0; i < n; i++, sc_ops_next(WIDTH, q->dims, idx))
        eval_query(&a, idx, s);
    sc_arena_free(arena);
    return true;
}

/* --- Expansion ------------------------------------------------------------------------------- */

typedef struct Expansion {
    ScBuild *b;
    const ScType *q, *k, *v;
    ScrtDtype t; /* of the result */
} Expansion;

static ScVal shaped(const Expansion *x, ScVal v, uint32_t rank, const ScTerm *const *dim)
{
    return sc_op_at(x->b, reshape, SC_ATTRS(SC_TERMS(rank, dim)), v);
}

static ScVal as_type(const Expansion *x, ScVal v)
{
    return sc_built(x->b, v)->type->dtype == x->t ? v
                                                  : sc_op_at(x->b, cast, SC_ATTRS(SC_DT(x->t)), v);
}

/* a [B, H, m, n] by b [B, Hkv, n, k]: groups of heads share one of b's. */
static ScVal product(const Expansion *x, ScVal a, ScVal b)
{
    ScCtx *cx = x->b->cx;
    const ScType *ta = sc_built(x->b, a)->type, *tb = sc_built(x->b, b)->type;
    bool one = ta->dtype == x->t && tb->dtype == x->t;
    ScAttr *out = SC_ATTRS(one ? (ScAttr){.kind = SC_A_NONE} : SC_DT(SCRT_F32));
    if (ta->dim[HEADS] == tb->dim[HEADS])
        return sc_node1(x->b, &sc_op_matmul, out, 2, (ScVal[]){a, b});
    const ScTerm *kv = tb->dim[HEADS], *each = sc_term_fdiv(cx, ta->dim[HEADS], kv);
    const ScTerm *da[] = {ta->dim[0], kv, each, ta->dim[2], ta->dim[3]};
    const ScTerm *db[] = {tb->dim[0], kv, sc_term(cx, 1), tb->dim[2], tb->dim[3]};
    const ScTerm *to[] = {ta->dim[0], ta->dim[1], ta->dim[2], tb->dim[3]};
    ScVal in[] = {shaped(x, a, RANK + 1, da), shaped(x, b, RANK + 1, db)};
    return shaped(x, sc_node1(x->b, &sc_op_matmul, out, 2, in), RANK, to);
}

static ScVal minus_infinity(const Expansion *x)
{
    return sc_const_scalar(x->b, x->t, -INFINITY);
}

/* The scores of keys up to i + diagonal, -inf elsewhere. */
static ScVal below_diagonal(const Expansion *x, ScVal s, const ScTerm *diagonal)
{
    ScBuild *b = x->b;
    const ScTerm *queries = x->q->dim[PLACES], *one = sc_term(b->cx, 1);
    ScVal i = sc_op_at(b, iota, SC_ATTRS(SC_TERMS(1, &queries)));
    ScVal j = sc_op_at(b, iota, SC_ATTRS(SC_TERMS(1, &x->k->dim[PLACES])));
    ScVal d = sc_op_at(b, term, SC_ATTRS(SC_TERMS(1, &diagonal)));
    i = shaped(x, sc_op(b, add, i, d), 2, (const ScTerm *[]){queries, one});
    return sc_op(b, where, sc_op(b, less_or_equal, j, i), s, minus_infinity(x));
}

static ScVal weights(const Expansion *x, ScVal s, int zeros)
{
    ScBuild *b = x->b;
    const int64_t last = RANK - 1;
    ScVal zero = sc_const_scalar(b, x->t, 0), none = SC_ABSENT;
    if (zeros == 1) {
        ScVal top = sc_op_at(b, reduce_max, SC_ATTRS(SC_INTS(1, &last), SC_INT(1)), s);
        none = sc_op(b, equal, top, minus_infinity(x));
        s = sc_op(b, where, none, zero, s);
    }
    ScVal beta = sc_const_scalar(b, x->t, 1);
    ScVal p = sc_op_at(b, softmax, SC_ATTRS(SC_INT(-1)), s, beta);
    if (zeros > 1)
        none = sc_op(b, isnan, p);
    return zeros ? sc_op(b, where, none, zero, p) : p;
}

static void expand_attention(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                             ScVal *ret_out)
{
    static const int64_t last_two[] = {0, 1, 3, 2};
    ScAttention what;
    describe(g, n, &what);
    Expansion x = {b, sc_type_of(g, n->in[Q]), sc_type_of(g, n->in[K]), sc_type_of(g, n->in[V]),
                   sc_type_of(g, n->first)->dtype};
    ScVal keys = sc_op_at(b, transpose, SC_ATTRS(SC_INTS(RANK, last_two)), in[K]);
    ScVal s = sc_op(b, mul, product(&x, in[Q], keys), as_type(&x, in[SCALE]));
    if (what.softcap > 0) {
        ScVal cap = sc_const_scalar(b, x.t, what.softcap);
        s = sc_op(b, mul, sc_op(b, tanh, sc_op(b, div, s, cap)), cap);
    }
    if (what.keep >= 0)
        s = sc_op(b, where, in[KEEP], s, sc_const_scalar(b, x.t, what.fill));
    if (what.addend >= 0)
        s = sc_op(b, add, s, as_type(&x, in[ADDEND]));
    if (what.diagonal)
        s = below_diagonal(&x, s, what.diagonal);
    ret_out[0] = product(&x, weights(&x, s, what.zeros), in[V]);
}

/* --- Table tests ----------------------------------------------------------------------------- */

static ScVal make_mask(ScBuild *b, uint64_t *r, const int64_t *scores, ScrtDtype t)
{
    int64_t dims[RANK];
    uint32_t rank = sc_ops_pick(r, 0, RANK);
    for (uint32_t d = 0; d < rank; d++)
        dims[d] = sc_ops_pick(r, 0, 2) ? scores[RANK - rank + d] : 1;
    return sc_ops_input(b, t == SCRT_BOOL ? "keep" : "addend", t, rank, dims);
}

static uint32_t make_attention(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t kv = sc_ops_pick(r, 1, 3), each = sc_ops_pick(r, 1, 2), batch = sc_ops_pick(r, 1, 2);
    int64_t l = sc_ops_pick(r, 1, 5), s = sc_ops_pick(r, 1, 6), e = sc_ops_pick(r, 1, 5);
    int64_t scores[RANK] = {batch, kv * each, l, s};
    ScVal in[6] = {
        sc_ops_input(b, "q", SCRT_F32, RANK, (int64_t[]){batch, kv * each, l, e}),
        sc_ops_input(b, "k", SCRT_F32, RANK, (int64_t[]){batch, kv, s, e}),
        sc_ops_input(b, "v", SCRT_F32, RANK, (int64_t[]){batch, kv, s, sc_ops_pick(r, 1, 4)}),
        sc_ops_input(b, "scale", SCRT_F32, 0, NULL),
    };
    uint32_t zeros = sc_ops_pick(r, 0, 2);
    const ScTerm *diagonal = sc_term(b->cx, (int64_t)sc_ops_pick(r, 0, 5) - 2);
    ScAttr *attr = SC_ATTRS({.kind = SC_A_NONE}, SC_FLOAT(sc_ops_pick(r, 0, 1) ? 3 : 0),
                            SC_INT(zeros), SC_FLOAT(sc_ops_pick(r, 0, 1) ? -3 : -INFINITY));
    if (sc_ops_pick(r, 0, 1))
        attr[DIAGONAL] = SC_TERMS(1, &diagonal);
    in[ADDEND] = sc_ops_pick(r, 0, 1) ? make_mask(b, r, scores, SCRT_F32) : SC_ABSENT;
    in[KEEP] = sc_ops_pick(r, 0, 1) ? make_mask(b, r, scores, SCRT_BOOL) : SC_ABSENT;
    ret_out[0] = sc_node1(b, &sc_op_attention, attr, 6, in);
    return 1;
}

const ScOp sc_op_attention = {
    .name = "attention",
    .doc = "softmax of the scaled products of queries and keys, applied to values; groups of heads "
           "may share keys and values",
    /* q [B, H, L, E], k [B, Hkv, S, E], v [B, Hkv, S, Ev]. The scale takes up the exponents of q
     * and k. Both masks broadcast to [B, H, L, S]: scores that `keep` does not hold of become
     * `fill`, then the addend is added. */
    .in = "q: float, k: float, v: float, scale: float, addend?: float, keep?: bool",
    .out = "y: float",
    .attr =
        {
            {.name = "diagonal",
             .kind = SC_A_TERMS,
             .doc = "query i sees keys up to i + diagonal; all where not given"},
            {.name = "softcap",
             .kind = SC_A_FLOAT,
             .def = SC_FLOAT(0),
             .doc = "scores become softcap tanh(score / softcap); 0: they stay"},
            {.name = "zeros",
             .kind = SC_A_INT,
             .def = SC_INT(0),
             .doc = "0: a query that sees no key gives NaN, as written out; 1: it gives 0; 2: and "
                    "so does one whose weights are NaN for any reason"},
            {.name = "fill",
             .kind = SC_A_FLOAT,
             .def = SC_FLOAT(-INFINITY),
             .doc = "the score of a key that is not kept"},
            SC_OPS_OUT,
        },
    .n_attr = 5,
    .flags = SC_SUMS | SC_MASK_ENDS,
    .infer = infer_attention,
    .scale = "a, b, c, -a-b, 0, _ -> c",
    .growth = grow_attention,
    .top = top_attention,
    .quantizable = 1 << Q | 1 << K | 1 << V,
    .lower = {SC_ATTENTION},
    .n_way = 3,
    .attention = describe,
    .expand = expand_attention,
    .eval = eval_attention,
    .domain = {-2, 2, make_attention},
    .max_ulp = 16,
};
