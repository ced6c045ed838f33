/* SPDX-License-Identifier: Apache-2.0 */
/* A graph without exponents that computes what a scaled one stands for, for programs that know
 * none: exponents become products with powers of two, and what is stored in 8 bits or fewer stands
 * between the cast that makes it and casts back, for nothing else computes with it elsewhere.
 *
 * In numbers, wide values are the numbers themselves, as signatures allow (SCALES), and only what
 * is stored has an exponent: a product before its cast, another behind the cast back. In data every
 * value is the data of the scaled graph, and its rebalances are products. Nodes of f16 are always
 * in data: there the exponents are what keeps them from overflow. */
#include <math.h>

#include "passes/passes_priv.h"

typedef struct Plain {
    ScBuild b;
    const ScGraph *g;
    bool numbers;
    ScVal *env;
    const ScTerm **at; /* [n_value] the exponent at which env has it; NULL: no float */
} Plain;

static const ScTerm *exp_of(const Plain *p, ScVal v)
{
    const ScValue *x = &p->g->value[v];
    return x->exp ? x->exp : sc_type_is_float(x->type) ? sc_term(p->b.cx, 0) : NULL;
}

static bool is_low(const ScType *t)
{
    return t->kind == SC_TYPE_TENSOR && scrt_dtype_is_low(t->dtype);
}

static bool is_half(const ScType *t)
{
    return t->kind == SC_TYPE_TENSOR && sc_type_is_float(t) && !scrt_dtype_is_low(t->dtype) &&
           scrt_format(t->dtype)->exp_bits < 8;
}

static ScVal cast(Plain *p, ScVal x, ScrtDtype to)
{
    return sc_built(&p->b, x)->type->dtype == to ? x
                                                 : sc_op_at(&p->b, cast, SC_ATTRS(SC_DT(to)), x);
}

/* --- Products with powers of two -------------------------------------------------------------- */

/* 2^k and its products with numbers of about 1 are exact in format f. */
static bool is_normal(const ScrtFormat *f, int64_t k)
{
    int lo, hi;
    frexp(f->min_normal, &lo);
    frexp(f->max, &hi);
    return k >= lo - 1 && k <= hi - 1;
}

static ScVal times_power(Plain *p, ScVal x, int64_t k)
{
    ScrtDtype t = sc_built(&p->b, x)->type->dtype;
    const ScrtFormat *f = scrt_format(t);
    while (k != 0) {
        int64_t step = k;
        while (!is_normal(f, step))
            step /= 2;
        x = sc_op(&p->b, mul, x, sc_const_scalar(&p->b, t, ldexp(1, (int)step)));
        k -= step;
    }
    return x;
}

/* The factor 2^t where only a run knows it. */
static ScVal power(Plain *p, const ScTerm *t)
{
    ScVal n = sc_node1(&p->b, &sc_op_term, SC_ATTRS(SC_TERMS(1, &t)), 0, NULL);
    n = sc_reshaped(&p->b, cast(p, n, SCRT_F32), 0, NULL);
    return sc_op(&p->b, pow, sc_const_scalar(&p->b, SCRT_F32, 2), n);
}

/* Data x times 2^t. Where 2^t is no number of x's format, in f32. */
static ScVal times(Plain *p, ScVal x, const ScTerm *t)
{
    ScrtDtype dtype = sc_built(&p->b, x)->type->dtype;
    int64_t k;
    bool known = sc_term_const(t, &k), wide = scrt_dtype_bits(dtype) >= 32;
    if (x == SC_POISON || (known && k == 0))
        return x;
    if (known && (wide || is_normal(scrt_format(dtype), k)))
        return times_power(p, x, k);
    ScVal y = wide ? x : cast(p, x, SCRT_F32);
    y = known ? times_power(p, y, k)
              : sc_op(&p->b, mul, y, cast(p, power(p, t), wide ? dtype : SCRT_F32));
    return cast(p, y, dtype);
}

/* --- Values ----------------------------------------------------------------------------------- */

/* Constant v at exponent e: a blob of its own where the data changes. */
static ScVal constant(Plain *p, ScVal v, const ScTerm *e)
{
    const ScType *t = sc_type_of(p->g, v);
    const ScBlob *b = sc_attr(sc_def(p->g, v), 0)->blob;
    int64_t dims[SCRT_MAX_RANK], k = 0;
    size_t bytes;
    sc_type_const_dims(t, dims);
    if (e && !sc_term_const(e, &k))
        return times(p, constant(p, v, NULL), sc_term_scale(p->b.cx, e, -1));
    if (k != 0 && (!b->data || !scrt_bytes(t->dtype, b->count, &bytes))) {
        sc_fail(p->b.cx, p->b.at, SC_E_BLOB, "%s", b->name ? b->name : "");
        return SC_POISON;
    }
    if (k != 0) {
        void *data = sc_alloc(sc_ctx_arena(p->b.cx), bytes);
        sc_blob_store(b, t->dtype, k, data);
        b = sc_blob(p->b.cx, b->name, t->dtype, t->rank, dims, data);
    }
    ScVal ret = sc_const_shaped(&p->b, b, t->dtype, t->rank, dims, NULL);
    sc_set_name(&p->b, ret, p->g->value[v].name);
    return ret;
}

/* Value v as it is stored, at its own exponent. */
static ScVal stored(Plain *p, ScVal v)
{
    if (v < SC_FIRST || !p->at[v])
        return p->env[v];
    if (sc_def(p->g, v)->op->flags & SC_CONST_OP)
        return constant(p, v, p->g->value[v].exp);
    ScVal x = times(p, p->env[v], sc_term_sub(p->b.cx, p->at[v], exp_of(p, v)));
    return is_low(sc_type_of(p->g, v)) ? cast(p, x, sc_type_of(p->g, v)->dtype) : x;
}

/* Value v at exponent e, in f32 where it is stored in less than 16 bits. */
static ScVal wanted(Plain *p, ScVal v, const ScTerm *e)
{
    if (v < SC_FIRST || !p->at[v])
        return p->env[v];
    bool is_const = sc_def(p->g, v)->op->flags & SC_CONST_OP, low = is_low(sc_type_of(p->g, v));
    if (is_const && !low)
        return constant(p, v, e);
    ScVal x = is_const ? stored(p, v) : p->env[v];
    x = is_low(sc_built(&p->b, x)->type) ? cast(p, x, SCRT_F32) : x;
    return times(p, x, sc_term_sub(p->b.cx, is_const ? exp_of(p, v) : p->at[v], e));
}

/* --- Nodes ------------------------------------------------------------------------------------ */

static bool in_data(const Plain *p, const ScNode *n)
{
    bool half = !p->numbers;
    for (uint32_t i = 0; i < n->n_in; i++)
        half = half || is_half(sc_type_of(p->g, n->in[i]));
    for (uint32_t i = 0; i < n->n_out; i++)
        half = half || is_half(sc_type_of(p->g, n->first + i));
    return half;
}

/* Finite data stays finite, infinite data infinite. */
static ScVal saturated(Plain *p, ScVal x, const ScTerm *t)
{
    ScBuild *b = &p->b;
    ScVal y = times(p, x, t);
    ScrtDtype d = sc_built(b, x)->type->dtype;
    double top = scrt_format(d)->max;
    ScVal bounded = sc_op(b, clip, y, sc_const_scalar(b, d, -top), sc_const_scalar(b, d, top));
    return sc_op(b, where, sc_op(b, isinf, x), x, bounded);
}

static void rebalance(Plain *p, const ScNode *n)
{
    ScVal v = n->in[0], *out = &p->env[n->first];
    int saturate = sc_attr_index(n->op, "saturate");
    bool is_const = v >= SC_FIRST && sc_def(p->g, v)->op->flags & SC_CONST_OP;
    if (!in_data(p, n)) { /* the same number */
        p->at[n->first] = is_const ? sc_term(p->b.cx, 0) : p->at[v];
        *out = is_const ? wanted(p, v, p->at[n->first]) : p->env[v];
        return;
    }
    const ScTerm *from = exp_of(p, v), *to = exp_of(p, n->first);
    p->at[n->first] = to;
    if (saturate >= 0 && sc_attr(n, (uint32_t)saturate)->i && !is_low(sc_type_of(p->g, v)))
        *out = saturated(p, wanted(p, v, from), sc_term_sub(p->b.cx, from, to));
    else
        *out = wanted(p, v, to);
    if (is_low(sc_type_of(p->g, n->first)))
        *out = cast(p, *out, sc_type_of(p->g, n->first)->dtype);
}

/* Some operand or result is the scales of blocks, and it knows what they are. */
static bool has_blocks(const Plain *p, const ScNode *n)
{
    ScContract c = {0};
    if (n->op->flags & (SC_VIEW_OP | SC_ANY_THROUGH | SC_CONVERTS))
        return false;
    if (n->op->contract)
        n->op->contract(p->g, n, &c);
    bool ret = c.scales != 0;
    for (uint32_t i = 0; i < n->n_in; i++)
        ret = ret || (n->in[i] >= SC_FIRST && sc_type_of(p->g, n->in[i])->dtype == SCRT_F8E8M0);
    for (uint32_t i = 0; i < n->n_out; i++)
        ret = ret || sc_type_of(p->g, n->first + i)->dtype == SCRT_F8E8M0;
    return ret;
}

/* It takes its operands as they are stored: casts, rows that hold graphs, and those of blocks. */
static bool as_it_is(const Plain *p, const ScNode *n)
{
    return n->op->n_sub || (n->op->flags & SC_CONVERTS) || n->op == &sc_op_bit_cast ||
           n->op == &sc_op_convert || has_blocks(p, n);
}

/* Attributes without a type of the sum: operands have it. */
static const ScAttr *attributes(Plain *p, const ScNode *n)
{
    int out = sc_attr_index(n->op, "out");
    if (out < 0)
        return n->attr;
    ScAttr *a = sc_memdup(sc_pass_scratch(p->env), n->attr, n->op->n_attr * sizeof *a);
    a[out] = (ScAttr){0};
    return a;
}

/* The result in the type that it had, unless its elements are those of operands. */
static ScVal as_stored(Plain *p, const ScNode *n, ScVal x, ScVal v)
{
    bool moves = n->op->flags & (SC_VIEW_OP | SC_ANY_THROUGH);
    return is_low(sc_type_of(p->g, v)) && !moves ? cast(p, x, sc_type_of(p->g, v)->dtype) : x;
}

/* A constant of fewer than 8 bits in a type that has all its numbers and that runtimes have. */
static ScVal in_a_byte(Plain *p, ScVal x)
{
    const ScNode *def = x < SC_FIRST ? NULL : sc_built_def(&p->b, x);
    const ScType *t = sc_built(&p->b, x)->type;
    int64_t dims[SCRT_MAX_RANK];
    bool crumbs = t->dtype == SCRT_I2;
    if (!def || !(def->op->flags & SC_CONST_OP) || !(is_low(t) || crumbs) ||
        scrt_dtype_bits(t->dtype) == 8 || !sc_type_const_dims(t, dims))
        return x;
    ScrtDtype to = crumbs ? SCRT_I4 : SCRT_F8E4M3FN;
    return sc_const_shaped(&p->b, def->attr[0].blob, to, t->rank, dims, NULL);
}

/* What sums are added up in: runtimes have none of i16, but f32 has, up to 2^24. */
static ScrtDtype sum_type(const Plain *p, const ScNode *n)
{
    ScrtDtype to = sc_type_of(p->g, n->first)->dtype;
    bool whole =
        n->op->quantizable && to == SCRT_I32 && sc_type_of(p->g, n->in[0])->dtype == SCRT_I16;
    return whole || scrt_dtype_is_low(to) ? SCRT_F32 : to;
}

static ScVal operand(Plain *p, const ScNode *n, uint32_t i, bool data)
{
    ScVal v = n->in[i];
    if (has_blocks(p, n))
        return in_a_byte(p, stored(p, v));
    if ((n->op->flags & SC_CONVERTS) && v >= SC_FIRST && is_low(sc_type_of(p->g, v)) &&
        !is_low(sc_built(&p->b, p->env[v])->type))
        return wanted(p, v, exp_of(p, v)); /* a view of what was stored, in f32 */
    if (as_it_is(p, n))
        return stored(p, v);
    ScVal x = wanted(p, v, data ? exp_of(p, v) : sc_term(p->b.cx, 0));
    ScrtDtype to = sum_type(p, n);
    bool sums = n->op->quantizable && x >= SC_FIRST &&
                (sc_type_is_float(sc_built(&p->b, x)->type) ||
                 (scrt_dtype_is_float(to) && n->op->quantizable >> i & 1 && n->op->contract) ||
                 (scrt_dtype_is_float(to) && n->op->conv && i < 2));
    return sums ? cast(p, x, to) : x;
}

/* The least power of two that is no less than x, f32, as a cast to E8M0 gives it that rounds up,
 * 2^-126 to 2^127. The logarithm may be off by one step; the comparisons mend that. E8M0 has 2^-127
 * too, which is subnormal: where a runtime has no such numbers, a block of zeros would be divided
 * by 0. */
static ScVal power_above(Plain *p, ScVal x)
{
    ScBuild *b = &p->b;
    ScVal n = sc_op(b, mul, sc_op(b, log, x), sc_const_scalar(b, SCRT_F32, 1 / log(2)));
    n = sc_op(b, clip, sc_op(b, ceil, n), sc_const_scalar(b, SCRT_F32, -125),
              sc_const_scalar(b, SCRT_F32, 126));
    ScVal y = sc_op(b, pow, sc_const_scalar(b, SCRT_F32, 2), n);
    y = sc_op(b, where, sc_op(b, less, y, x), sc_op(b, mul, y, sc_const_scalar(b, SCRT_F32, 2)), y);
    ScVal half = sc_op(b, mul, y, sc_const_scalar(b, SCRT_F32, 0.5));
    return sc_op(b, where, sc_op(b, less, half, x), y, half);
}

/* The scales of blocks as a program finds them: runtimes lack E8M0, so they are f32. */
static bool is_scale(const Plain *p, const ScNode *n)
{
    enum { TO, SATURATE, ROUND };
    return n->op == &sc_op_cast && n->attr[TO].dtype == SCRT_F8E8M0 &&
           n->attr[ROUND].i == SCRT_UP && sc_type_of(p->g, n->in[0])->dtype == SCRT_F32;
}

static void node(Plain *p, const ScNode *n)
{
    ScArena *a = sc_pass_scratch(p->env);
    ScVal *in = sc_array(a, ScVal, n->n_in + 1u), *out = &p->env[n->first];
    ScGraph **sub = n->op->n_sub ? sc_array(a, ScGraph *, n->op->n_sub) : NULL;
    bool data = in_data(p, n) || as_it_is(p, n);
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = operand(p, n, i, data);
    for (uint32_t i = 0; i < n->op->n_sub; i++)
        sub[i] = sc_graph_clone(n->sub[i]);
    sc_node(&p->b, n->op, attributes(p, n), sub, n->n_in, in, n->n_out, out);
    for (uint32_t i = 0; i < n->n_out; i++) {
        const ScTerm *e = exp_of(p, n->first + i);
        p->at[n->first + i] = e && !data ? sc_term(p->b.cx, 0) : e;
        out[i] = as_it_is(p, n) ? out[i] : as_stored(p, n, out[i], n->first + i);
        if (n->op->quantizable && sc_type_of(p->g, n->first + i)->dtype == SCRT_I32)
            out[i] = cast(p, out[i], SCRT_I32);
        sc_set_name(&p->b, out[i], p->g->value[n->first + i].name);
    }
}

/* --- Graphs ---------------------------------------------------------------------------------- */

/* A state is kept from run to run as numbers, as its initial value is; a narrow one as data, and
 * so it begins. */
static const ScTerm *exp_of_state(const Plain *p, const ScState *s)
{
    const ScType *t = sc_type_of(p->g, s->past);
    const ScTerm *e = exp_of(p, s->past);
    return e && !is_low(t) && !is_half(t) ? sc_term(p->b.cx, 0) : e;
}

/* What the state of g begins as, at the exponent e at which it is kept. */
static const ScBlob *first_data(ScCtx *cx, const ScGraph *g, const ScState *s, const ScTerm *e)
{
    const ScBlob *b = s->init;
    ScrtDtype t = sc_type_of(g, s->past)->dtype;
    int64_t k = 0;
    size_t bytes;
    if (!b || !e || (sc_term_const(e, &k) && k == 0))
        return b;
    if (!sc_term_const(e, &k) || !b->data || !scrt_bytes(t, b->count, &bytes)) {
        sc_fail(cx, sc_def(g, s->past)->loc, SC_E_EXPORT,
                "state \"%s\": its initial value at an exponent that is no number", s->name);
        return b;
    }
    const int64_t dim = (int64_t)b->count;
    void *data = sc_alloc(sc_ctx_arena(cx), bytes + 1);
    sc_blob_store(b, t, k, data);
    return sc_blob(cx, b->name, t, 1, &dim, data);
}

static void end_state(Plain *p, const ScState *s)
{
    p->b.at = sc_def(p->g, s->next)->loc;
    const ScTerm *e = exp_of_state(p, s);
    bool low = is_low(sc_type_of(p->g, s->next));
    p->env[s->next] = e && !low ? wanted(p, s->next, e) : stored(p, s->next);
    p->at[s->next] = e;
}

static ScGraph *plain(ScCtx *cx, const ScGraph *g, void *arg)
{
    ScGraph begun = *g; /* with states that begin as data */
    Plain p = {.b.cx = cx, .g = g, .numbers = *(const bool *)arg};
    ScArena *a = sc_arena_new();
    ScState *state = sc_array(a, ScState, g->n_state + 1);
    for (uint32_t i = 0; i < g->n_state; i++) {
        state[i] = g->state[i];
        state[i].init = first_data(cx, g, &state[i], exp_of_state(&p, &state[i]));
    }
    begun.state = state;
    p.env = sc_pass_begin(&p.b, cx, &begun);
    p.at = sc_array(sc_pass_scratch(p.env), const ScTerm *, g->n_value);
    sc_build_flags(&p.b, g->flags & ~(uint32_t)(SC_G_SCALED | SC_G_QUANTIZED));
    for (uint32_t i = 0; i < g->n_state; i++)
        p.at[g->state[i].past] = exp_of_state(&p, &g->state[i]);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        p.b.at = n->loc;
        for (uint32_t k = 0; k < n->n_out && n->op != &sc_op_state; k++)
            p.at[n->first + k] = exp_of(&p, n->first + k);
        if (n->op->flags & SC_BARRIER)
            sc_set_exp(&p.b, p.env[n->first], NULL);
        else if (n->op->flags & SC_CONST_OP)
            p.env[n->first] = sc_type_is_float(sc_type_of(g, n->first))
                                  ? SC_ABSENT
                                  : constant(&p, n->first, NULL);
        else if (n->op->flags & SC_REBALANCES)
            rebalance(&p, n);
        else if (is_scale(&p, n))
            p.env[n->first] = power_above(&p, wanted(&p, n->in[0], exp_of(&p, n->in[0])));
        else
            node(&p, n);
    }
    for (uint32_t i = 0; i < g->n_out; i++) {
        p.b.at = sc_def(g, g->out[i])->loc;
        p.env[g->out[i]] = stored(&p, g->out[i]);
        p.at[g->out[i]] = exp_of(&p, g->out[i]);
    }
    for (uint32_t i = 0; i < g->n_state; i++)
        end_state(&p, &g->state[i]);
    ScGraph *ret = sc_pass_end(&p.b, p.env);
    sc_arena_free(a);
    return sc_pass_nested(cx, ret, plain, arg);
}

ScGraph *sc_plain_graph(ScCtx *cx, const ScGraph *g, bool numbers,
                        bool (*keep)(void *arg, const ScGraph *g, const ScNode *n), void *arg)
{
    ScGraph *first = sc_expand_rows(cx, plain(cx, g, &numbers), keep, arg);
    ScGraph *ret = first ? plain(cx, first, &numbers) : NULL; /* what expansions store */
    sc_graph_free(first);
    return sc_identities(cx, ret);
}
