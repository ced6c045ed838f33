/* SPDX-License-Identifier: Apache-2.0 */
/* quantize: stores the operands that a recipe names in low precision. Rows say which operands may
 * be (quantizable; storable, where it is a constant of some size, as a table that is gathered
 * from); the recipe, which of them are, and in what format. A constant becomes a constant of that
 * format, whose exponent is the least at which its largest element still fits. Any other operand is
 * rebalanced to the exponent of its storage and cast:
 *
 *   always      a ceiling that is proven, at the format's largest number, where one is near
 *   propagate   RMS 4: e - 2, where e is scalify's exponent for RMS 1
 *   calibrate   the largest magnitude seen at half the format's range: 2^7 in E4M3
 *   probe       the same, or RMS 4 if that leaves more room: what real inputs make of a value may
 *               be a good deal larger than what synthetic ones did, and in a float format room
 *               costs nothing until the bulk is subnormal. f16 and E5M2 have so much range that
 *               calibrate does so too, and both at RMS 1
 *   round=down  RMS 1, as the paper does
 *
 * Products that read what grows, as a state or in the caller's hands, keep their activations: all
 * of it would be cast anew for each token, which moves more than it saves.
 *
 * bf16 has the range of f32 and is stored in the original numbers. The result is brought back to
 * the exponent and type that it had, so nothing downstream changes; settle then finds better
 * exponents. What the model itself stores as narrow as that is left alone, and so are constants
 * with infinities or NaN. SCALES, Where a value is stored in low precision. */
#include "passes/scale_priv.h"

#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>

#define LEAST_TABLE (1 << 16) /* elements */

typedef struct Counted {
    ScrtDtype fmt;
    const ScTerm *t;
    double factor;
    struct Counted *next;
} Counted;

typedef struct Pass {
    ScScaler s;
    const ScPassEnv *env;
    const ScRecipe *recipe;
    ScRecipeUse *use;   /* what of the recipe met something */
    ScSymbols measured; /* exponents that a run finds, of this graph */
    bool *grown;        /* [n_value] what grows from run to run, in whatever order: a state, */
    bool *handed;       /* [n_value] or what the caller hands in and gets back */
    bool meets;         /* the node that is looked at reads some of it */
    bool *table;        /* [n_value] rows of it are picked: it is stored once, so by tensor */
    Counted **counted;  /* [n_value] how what saturates of it is counted */
    ScSymbols taken;    /* names of states */
    const char *const *label; /* [n_value] names, where that is counted */
    bool nested;
    ScCached cached;
    ScVal *low; /* [n_value] what stands for values of cached, as stored; else absent */
} Pass;

static bool has_f32_range(const ScrtFormat *f)
{
    return f->exp_bits >= 8;
}

int sc_fit_exp(double amax, double max)
{
    int e;
    frexp(amax / max, &e);
    while (ldexp(max, e - 1) >= amax)
        e--;
    while (ldexp(max, e) < amax)
        e++;
    return e;
}

static int constant_exp(const Pass *p, const ScConstFacts *c, ScrtDtype fmt, const ScTerm *exp)
{
    if (c->n == 0 || has_f32_range(scrt_format(fmt)))
        return 0;
    if (p->recipe->round_down)
        return sc_scale_const_exp(exp, NULL);
    return sc_fit_exp(c->amax, scrt_format(fmt)->max);
}

/* What lies below a provable ceiling is pinned by it and never clips, whatever the inputs are, if
 * that leaves the bulk of the data above what is subnormal: a softmax over a length that nobody
 * knows, say. */
static bool ceiling_exp(const Pass *p, ScVal old, const ScrtFormat *f, int *ret)
{
    const ScValue *v = &p->s.g->value[old];
    int32_t top = p->s.fact[old].top;
    bool symbolic;
    int e = sc_scale_const_exp(v->exp, &symbolic);
    if (top == SC_NO_TOP || abs(top) > 64 * 256 || v->g == SC_NO_G || (symbolic && !(v->amax > 0)))
        return false;
    double rms = symbolic ? log2(v->amax) - 3 : v->g / 256.0 + e;
    *ret = sc_fit_exp(exp2(top / 256.0), f->max);
    return rms - *ret >= log2(f->min_normal) + 4;
}

/* What pins old by the largest magnitude that was measured, or, where inputs were synthetic or the
 * format has the range, by its RMS. factor: what the value is divided by beside. */
static int measured_exp(const Pass *p, const ScValue *v, const ScrtFormat *f, double factor)
{
    int k, top;
    bool symbolic;
    double m = frexp((double)v->amax / factor, &k); /* log2 amax to the nearest integer */
    k -= m < 0.70710678118654752;
    frexp(f->max, &top);
    int fit = k - (top - 2); /* 448 = 2^8.8: top is 9, half the range is 2^7 */
    int e = sc_scale_const_exp(v->exp, &symbolic);
    bool wide = f->exp_bits >= 5;
    if ((!wide && p->env->scales != SC_SCALES_PROBE) || symbolic || v->g == SC_NO_G)
        return fit;
    int rms = e + (int)ceil(v->g / 256.0 - log2(factor)) - (wide ? 0 : 2);
    return rms > fit ? rms : fit;
}

static const ScTerm *activation_exp(const Pass *p, ScVal old, ScrtDtype fmt, double factor)
{
    ScCtx *cx = p->s.b.cx;
    const ScValue *v = &p->s.g->value[old];
    const ScrtFormat *f = scrt_format(fmt);
    if (has_f32_range(f))
        return sc_term(cx, 0);
    const ScTerm *measured = sc_measured_exp(p->s.g, &p->measured, old, fmt);
    int ceiling;
    if (measured)
        return measured;
    if (p->recipe->round_down)
        return v->exp;
    if (ceiling_exp(p, old, f, &ceiling))
        return sc_term(cx, ceiling);
    if (p->env->scales != SC_SCALES_PROPAGATE && v->amax > 0 && isfinite(v->amax))
        return sc_term(cx, measured_exp(p, v, f, factor));
    return sc_term_addc(cx, v->exp, -2);
}

/* A product of integers, which the model itself stores: it stays as it is. */
static bool reads_integers(const ScGraph *g, const ScNode *n)
{
    bool any = false;
    for (uint32_t i = 0; i < n->n_in && i < 32; i++)
        any = any || ((n->op->quantizable >> i & 1) && n->in[i] != SC_ABSENT &&
                      !sc_type_is_float(sc_type_of(g, n->in[i])));
    return any;
}

/* Whether the row lets operand i be low. A small table is left alone: it would save nothing. */
static bool may_store(const ScGraph *g, const ScNode *n, uint32_t i)
{
    int64_t count;
    if (i >= SC_MAX_IN || n->in[i] == SC_ABSENT || reads_integers(g, n))
        return false;
    return (n->op->quantizable >> i & 1) ||
           ((n->op->storable >> i & 1) && (sc_def(g, n->in[i])->op->flags & SC_CONST_OP) &&
            sc_term_const(sc_type_count(g->cx, sc_type_of(g, n->in[i])), &count) &&
            count >= LEAST_TABLE);
}

/* The value without the factor that suits it, where the product can give it back and a cast that is
 * pinned by what was measured follows: *ret_factor, else 1. */
static ScVal divided(Pass *p, ScVal old, ScrtDtype fmt, const ScScaledProduct *product,
                     double *ret_factor)
{
    ScScaler *s = &p->s;
    const ScValue *v = &s->g->value[old];
    ScVal x = s->env[old];
    int ceiling;
    *ret_factor = 1;
    if (!product->can || fmt != SCRT_F8E4M3FN || !(v->factor > 1) || p->recipe->round_down ||
        sc_built(&s->b, x)->type->dtype != SCRT_F32 ||
        ceiling_exp(p, old, scrt_format(fmt), &ceiling))
        return x;
    *ret_factor = v->factor;
    ScVal by = sc_const(&s->b, sc_blob_scalar(s->b.cx, SCRT_F32, 1 / *ret_factor), SCRT_F32,
                        sc_term(s->b.cx, 0));
    ScVal y = sc_scale_times(s, x, by);
    sc_scale_annotate(s, y, old);
    return y;
}

/* The value that v orders anew or rebalances, all of its elements, the first in that row. */
static ScVal same_elements(const ScGraph *g, ScVal v)
{
    const ScTerm *count = sc_type_count(g->cx, sc_type_of(g, v));
    while (sc_keeps_elements(sc_def(g, v)) &&
           sc_type_count(g->cx, sc_type_of(g, sc_def(g, v)->in[0])) == count)
        v = sc_def(g, v)->in[0];
    return v;
}

/* A name for a state that counts, which no other state has. */
static const char *counter_name(Pass *p, ScVal v, ScrtDtype other)
{
    const ScGraph *g = p->s.g;
    ScVal named = v;
    while (!g->value[named].name && sc_keeps_elements(sc_def(g, named)))
        named = sc_def(g, named)->in[0];
    const char *base = p->label[g->value[named].name ? named : v];
    if (other != SCRT_DTYPE_NONE)
        base = sc_printf(p->s.scratch, "%s as %s", base, scrt_dtype_name(other));
    const char *name = sc_printf(p->s.scratch, SCRT_SATURATED "%s", base);
    for (unsigned k = 2; !sc_symbols_add(&p->taken, p->s.scratch, sc_intern(g->cx, name), 0); k++)
        name = sc_printf(p->s.scratch, SCRT_SATURATED "%s~%u", base, k);
    return name;
}

/* Has what saturates of x counted, which is stored as fmt at exponent t, divided by factor, for
 * old: once for all that store the same so. */
static void count(Pass *p, ScVal old, ScVal x, ScrtDtype fmt, const ScTerm *t, double factor)
{
    const ScrtFormat *f = scrt_format(fmt);
    if (!p->env->count_saturated || has_f32_range(f) || x == SC_POISON)
        return;
    old = same_elements(p->s.g, old);
    ScrtDtype other = SCRT_DTYPE_NONE;
    for (const Counted *c = p->counted[old]; c; c = c->next) {
        if (c->fmt == fmt && c->t == t && c->factor == factor)
            return;
        other = fmt;
    }
    Counted *c = sc_array(p->s.scratch, Counted, 1);
    *c = (Counted){fmt, t, factor, p->counted[old]};
    p->counted[old] = c;
    if (p->nested)
        sc_warn(p->s.b.cx, p->s.b.at, SC_E_UNCOUNTED, "%s is stored in a nested graph",
                p->label[old]);
    else
        sc_count_saturated(&p->s, x, t, f->max, counter_name(p, old, other));
}

/* Operand i of n in the format that the recipe says at n, or SC_ABSENT where it stays as it is;
 * product gets what it was divided by. */
static ScVal store(Pass *p, const ScNode *n, uint32_t i, const ScSite *at, ScScaledProduct *product)
{
    ScScaler *s = &p->s;
    ScVal old = n->in[i];
    if (!may_store(s->g, n, i))
        return SC_ABSENT;
    if (p->low[old] != SC_ABSENT)
        return p->low[old];
    const ScValue *v = &s->g->value[old];
    const ScNode *def = sc_def(s->g, old);
    bool constant = def->op->flags & SC_CONST_OP;
    if (!sc_type_is_float(v->type) || (p->meets && !constant))
        return SC_ABSENT;
    ScGranularity scale = at->scale;
    ScrtDtype fmt = at->operand[i];
    if (scale == SC_BY_BLOCK) { /* not here, else it would be so stored already */
        scale = SC_BY_CHANNEL;
        fmt = scrt_dtype_bits(fmt) < 8 ? SCRT_F8E4M3FN : fmt;
    }
    if (fmt == SCRT_F32 || scrt_dtype_bits(v->type->dtype) <= scrt_dtype_bits(fmt))
        return SC_ABSENT;

    if (!constant) {
        double factor = 1;
        ScVal x = scale == SC_BY_CHANNEL ? divided(p, old, fmt, product, &factor) : s->env[old];
        const ScTerm *t = activation_exp(p, old, fmt, factor);
        product->all *= factor;
        x = sc_scale_move(s, x, t, false);
        bool exact = at->source != SC_DELAYED && sc_measured_exp(s->g, &p->measured, old, fmt);
        if (!exact) /* else nothing can be beyond */
            count(p, old, x, fmt, t, factor);
        ScVal low = sc_op_at(&s->b, cast, SC_ATTRS(SC_DT(fmt)), x);
        sc_set_exp(&s->b, low, t);
        sc_scale_annotate(s, low, old);
        return low;
    }
    const ScConstFacts *c = s->fact[old].c;
    if (!c) {
        sc_fail(s->b.cx, n->loc, SC_E_BLOB, "%s", def->attr[0].blob->name);
        return SC_POISON;
    }
    if (c->not_finite)
        return SC_ABSENT;
    bool by_channel = scale == SC_BY_CHANNEL && i == 1 && !p->table[old] &&
                      !p->recipe->round_down && scrt_dtype_is_low(fmt);
    ScVal low = by_channel ? sc_channel_weight(s, n, fmt, product) : SC_ABSENT;
    if (low != SC_ABSENT)
        return low;
    int e = constant_exp(p, c, fmt, v->exp);
    low = sc_scale_const(s, def, fmt, sc_term(s->b.cx, e));
    sc_scale_annotate(s, low, old);
    if (i == 1)
        sc_find_moved(s, n, def->attr[0].blob, fmt, NULL, e, product);
    return low;
}

/* n with attribute `out` f32, where its row has one and an operand is f16 or bf16: rows add such
 * operands up in their own type otherwise, as the model's own are. */
static ScNode summed_in_f32(Pass *p, const ScNode *n, const ScVal *in)
{
    ScNode ret = *n;
    int out = sc_attr_index(n->op, "out");
    bool half = false;
    for (uint32_t i = 0; i < n->n_in; i++)
        half = half || (in[i] != SC_ABSENT && in[i] != SC_POISON &&
                        sc_type_is_float(sc_built(&p->s.b, in[i])->type) &&
                        scrt_dtype_bits(sc_built(&p->s.b, in[i])->type->dtype) == 16);
    if (!half || out < 0)
        return ret;
    ScAttr *attr = sc_memdup(p->s.scratch, n->attr, n->op->n_attr * sizeof *attr);
    attr[out] = SC_DT(SCRT_F32);
    ret.attr = attr;
    return ret;
}

/* x, which stands for old value v, in v's type. */
static ScVal as_before(ScScaler *s, ScVal x, ScVal v)
{
    ScrtDtype t = sc_type_of(s->g, v)->dtype;
    const ScTerm *e = sc_scale_exp(s, x);
    if (sc_built(&s->b, x)->type->dtype == t)
        return x;
    x = sc_op_at(&s->b, cast, SC_ATTRS(SC_DT(t)), x);
    sc_set_exp(&s->b, x, e);
    sc_scale_annotate(s, x, v);
    return x;
}

/* The new results of n in the exponents and types that they had. */
static void results(ScScaler *s, const ScNode *n)
{
    for (uint32_t i = 0; i < n->n_out; i++) {
        ScVal v = n->first + i, *now = &s->env[v];
        const ScValue *was = &s->g->value[v];
        if (!was->exp || *now == SC_POISON)
            continue;
        sc_scale_annotate(s, *now, v);
        bool widens =
            scrt_dtype_bits(sc_built(&s->b, *now)->type->dtype) < scrt_dtype_bits(was->type->dtype);
        if (widens) /* picked from what is stored */
            *now = as_before(s, *now, v);
        *now =
            sc_scale_move(s, *now, was->exp, false); /* before it is narrowed: it might overflow */
        *now = as_before(s, *now, v);
    }
}

/* Whether n is stored by blocks now. */
static bool by_blocks(Pass *p, const ScNode *n, const ScSite *at)
{
    ScScaler *s = &p->s;
    if (at->scale != SC_BY_BLOCK || n->n_in < 2 || p->table[n->in[1]])
        return false;
    const ScrtDtype activation = p->meets ? SCRT_F32 : at->operand[0];
    ScVal y = sc_block_product(s, n, at->operand[1], activation, p->recipe->row_bits);
    if (y == SC_ABSENT)
        return false;
    s->env[n->first] = y;
    results(s, n);
    return true;
}

/* What stays as it is of the operands of n, in f32 where it is a float that is narrower. */
static ScVal widened(Pass *p, const ScNode *n, uint32_t i)
{
    ScScaler *s = &p->s;
    ScVal x = s->env[n->in[i]];
    const ScType *t = sc_type_of(s->g, n->in[i]);
    if (n->in[i] == SC_ABSENT || !sc_type_is_float(t) || t->dtype == SCRT_F32 ||
        scrt_dtype_is_low(t->dtype))
        return x;
    const ScTerm *e = sc_scale_exp(s, x);
    x = sc_op_at(&s->b, cast, SC_ATTRS(SC_DT(SCRT_F32)), x);
    sc_set_exp(&s->b, x, e);
    return x;
}

/* n without its bias, where rows of its result have factors: what is added comes after them. */
static ScNode without_bias(Pass *p, const ScNode *n)
{
    ScNode ret = *n;
    ScVal *in = sc_memdup(p->s.scratch, n->in, n->n_in * sizeof *in);
    int bias = sc_bias(n);
    if (bias >= 0)
        in[bias] = SC_ABSENT;
    ret.in = in;
    return ret;
}

/* The product y of n without its bias, times the factor of each row, with the bias. */
static ScVal with_rows(Pass *p, const ScNode *n, ScVal y, ScVal rows)
{
    ScScaler *s = &p->s;
    const ScTerm *zero = sc_term(s->b.cx, 0);
    int bias = sc_bias(n);
    const ScType *t = sc_built(&s->b, rows)->type;
    if (sc_type_of(s->g, n->in[1])->rank == 1) { /* a vector leaves no columns */
        rows = sc_reshaped(&s->b, rows, t->rank - 1, t->dim);
        sc_set_exp(&s->b, rows, zero);
    }
    y = sc_scale_move(s, sc_scale_times(s, y, rows), zero, false);
    if (bias < 0)
        return y;
    y = sc_op(&s->b, add, y, sc_scale_move(s, widened(p, n, (uint32_t)bias), zero, false));
    sc_set_exp(&s->b, y, zero);
    return y;
}

/* What stands for the result of n once its operands' factors, each where it is not absent, and its
 * bias less what the rounding of its weight adds (moved, may be NULL) are behind it. */
static ScVal finished(Pass *p, const ScNode *n, ScVal factor, ScVal rows,
                      const ScScaledProduct *moved)
{
    ScScaler *s = &p->s;
    ScVal y = s->env[n->first];
    if (factor != SC_ABSENT)
        y = sc_scale_times(s, y, factor);
    if (rows != SC_ABSENT)
        y = with_rows(p, n, y, rows);
    if (moved)
        y = sc_moved_back(s, moved->bias >= 0 ? n->in[moved->bias] : SC_ABSENT, moved, y);
    if (!s->is_out[n->first])
        sc_set_name(&s->b, y, s->g->value[n->first].name);
    return y;
}

/* What v is but for its order. */
static ScVal elements_of(const ScGraph *g, ScVal v)
{
    while (sc_keeps_elements(sc_def(g, v)))
        v = sc_def(g, v)->in[0];
    return v;
}

/* A cache that the caller keeps: an input that comes back as a result with something appended. */
static void find_handed(Pass *p, const ScGraph *g)
{
    p->handed = sc_array(p->s.scratch, bool, g->n_value);
    for (uint32_t i = 0; i < g->n_out; i++) {
        ScVal next = elements_of(g, g->out[i]);
        const ScNode *n = sc_def(g, next);
        ScVal past = n->op == &sc_op_concat ? elements_of(g, n->in[0]) : SC_ABSENT;
        if (past != SC_ABSENT && sc_def(g, past)->op == &sc_op_input)
            p->handed[next] = p->handed[past] = true;
    }
}

/* Values of states that grow, or of what the caller hands in and out, and others of the same
 * elements. */
static void find_grown(Pass *p, const ScGraph *g)
{
    p->grown = sc_array(p->s.scratch, bool, g->n_value);
    find_handed(p, g);
    for (uint32_t i = 0; i < g->n_state; i++) {
        ScVal v = g->state[i].next;
        if (!g->state[i].grows)
            continue;
        p->grown[g->state[i].past] = p->grown[v] = true;
        for (; sc_keeps_elements(sc_def(g, v)); v = sc_def(g, v)->in[0])
            p->grown[sc_def(g, v)->in[0]] = true;
    }
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (!sc_keeps_elements(n))
            continue;
        p->grown[n->first] = p->grown[n->first] || p->grown[n->in[0]];
        p->handed[n->first] = p->handed[n->first] || p->handed[n->in[0]];
    }
}

/* What is handed in is known for a cache where it meets another activation: with weights it may be
 * any input that a result holds too. */
static bool reads_grown(const Pass *p, const ScGraph *g, const ScNode *n)
{
    bool grown = false, handed = false, weights = false;
    for (uint32_t i = 0; i < n->n_in; i++) {
        grown = grown || p->grown[n->in[i]];
        handed = handed || p->handed[n->in[i]];
        weights = weights || (i < 32 && (n->op->quantizable >> i & 1) && n->in[i] != SC_ABSENT &&
                              (sc_def(g, n->in[i])->op->flags & SC_CONST_OP));
    }
    return grown || (handed && !weights);
}

/* Low-precision operands are multiplied and added up in f32; a result of another type comes back to
 * it, and whatever meets them on the way there (a bias) is f32 too. */
static void node(Pass *p, const ScNode *n)
{
    ScScaler *s = &p->s;
    ScVal *in = sc_array(s->scratch, ScVal, n->n_in + 1);
    ScVal *data = sc_array(s->scratch, ScVal, n->n_in + 1);
    ScVal rows = SC_ABSENT;
    uint32_t stored = 0;
    ScScaledProduct product;
    s->b.at = n->loc;
    p->meets = reads_grown(p, s->g, n);
    ScSite at = sc_site(p->env, s->g, n, p->use->rule);
    if (by_blocks(p, n, &at))
        return;
    bool by_rows = !p->meets && sc_by_rows(s->g, n, &at);
    ScNode bare = by_rows ? without_bias(p, n) : *n;
    sc_product_of(s->g, &bare, &product);
    for (uint32_t i = 0; i < n->n_in; i++) {
        in[i] = by_rows && i == 0 ? sc_row_codes(s, s->env[n->in[0]], at.operand[0], &rows)
                                  : store(p, &bare, i, &at, &product);
        stored += in[i] != SC_ABSENT;
    }
    if (stored == 0) {
        sc_scale_copy(s, n);
        return;
    }
    ScVal factor = sc_product_factor(s, &product);
    bool behind = product.bias >= 0 && sc_bias_is_far(s->g, n->in[product.bias], &product);
    bool later = behind || (product.moved && product.bias < 0);
    if (behind)
        bare = without_bias(p, n);
    else if (product.bias >= 0)
        in[product.bias] = sc_product_bias(s, n->in[product.bias], &product);
    for (uint32_t i = 0; i < n->n_in; i++)
        if (in[i] == SC_ABSENT)
            in[i] = widened(p, &bare, i);
    ScNode wide = summed_in_f32(p, &bare, in);
    s->unnamed = factor != SC_ABSENT || by_rows || later;
    sc_scale_node(s, &wide, in, data, &s->env[n->first]);
    if (s->unnamed)
        s->env[n->first] = finished(p, n, factor, rows, later ? &product : NULL);
    s->unnamed = false;
    results(s, n);
}

static void find_tables(Pass *p, const ScGraph *g)
{
    p->table = sc_array(p->s.scratch, bool, g->n_value);
    for (uint32_t i = 0; i < g->n_node; i++)
        for (uint32_t k = 0; k < g->node[i].n_in && k < 32; k++)
            if (g->node[i].op->storable >> k & 1)
                p->table[g->node[i].in[k]] = true;
}

/* What is stored of old value v, in v's type and at its exponent. */
static void widen_cached(Pass *p, ScVal v)
{
    ScScaler *s = &p->s;
    const ScTerm *zero = sc_term(s->b.cx, 0);
    s->env[v] = sc_op_at(&s->b, cast, SC_ATTRS(SC_DT(sc_type_of(s->g, v)->dtype)), p->low[v]);
    sc_set_exp(&s->b, s->env[v], zero);
    sc_scale_annotate(s, s->env[v], v);
    if (s->g->value[v].exp)
        s->env[v] = sc_scale_move(s, s->env[v], s->g->value[v].exp, false);
}

/* Whether a site of the recipe keeps what a state holds in f32, by the state's name or that of its
 * value in a run. */
static bool stays_high(Pass *p, const ScGraph *g, const ScState *s)
{
    const char *const name[] = {s->name, g->value[s->past].name, g->value[s->next].name};
    bool ret = false;
    for (uint32_t i = 0; i < p->recipe->n_rule; i++) {
        const ScRecipeRule *r = &p->recipe->rule[i];
        bool matches = false;
        for (size_t k = 0; r->site && k < 3; k++)
            matches = matches || (name[k] && fnmatch(r->pattern, name[k], 0) == 0);
        if (!matches || (r->operand[0] != SCRT_F32 && r->operand[0] != p->recipe->cache))
            continue;
        ret = r->operand[0] == SCRT_F32;
        p->use->rule[i] = true;
    }
    return ret;
}

/* The states that the recipe's cache format is for, before s begins. */
static void find_cached(Pass *p, ScCtx *cx, const ScGraph *g, ScArena *a)
{
    ScrtDtype fmt = p->recipe->cache;
    const ScType **type = sc_array(a, const ScType *, g->n_state + 1);
    p->low = sc_array(a, ScVal, g->n_value);
    for (ScVal v = 0; v < g->n_value; v++)
        p->low[v] = SC_ABSENT;
    if (fmt == SCRT_DTYPE_NONE)
        return;
    bool *high = sc_array(a, bool, g->n_state + 1);
    for (uint32_t i = 0; i < g->n_state; i++)
        high[i] = stays_high(p, g, &g->state[i]);
    sc_find_cached(g, fmt, high, a, &p->cached);
    for (uint32_t i = 0; i < g->n_state; i++) {
        const ScState *s = &g->state[i];
        const ScType *t = sc_type_of(g, s->past);
        type[i] = p->cached.state[i] ? sc_type(cx, fmt, t->rank, t->dim) : NULL;
        bool meant = s->grows && !high[i] && sc_is_wider(g, s->past, fmt);
        p->use->caches = p->use->caches || meant;
        if (meant && !type[i])
            sc_warn(cx, sc_def(g, s->past)->loc, SC_E_RECIPE,
                    "cache = %s of recipe %s: state \"%s\" stays in %s, since more is done to it "
                    "than that something is appended",
                    scrt_dtype_name(fmt), p->recipe->name, s->name, scrt_dtype_name(t->dtype));
    }
    p->s.state_type = type;
}

/* Has what saturates counted of what n appends. */
static void count_cached(Pass *p, const ScNode *n)
{
    ScScaler *s = &p->s;
    const ScTerm *zero = sc_term(s->b.cx, 0);
    s->b.at = n->loc;
    for (uint32_t k = 0; p->env->count_saturated && k < n->n_in; k++)
        if (p->low[n->in[k]] == SC_ABSENT && sc_type_is_float(sc_type_of(s->g, n->in[k])))
            count(p, n->in[k], sc_scale_move(s, s->env[n->in[k]], zero, false), p->recipe->cache,
                  zero, 1);
}

/* Their next values, before s ends. */
static void end_cached(Pass *p, ScArena *a)
{
    const ScGraph *g = p->s.g;
    ScVal *next = sc_array(a, ScVal, g->n_state + 1);
    for (uint32_t i = 0; i < g->n_state; i++)
        next[i] = p->low[g->state[i].next];
    p->s.state_next = next;
}

static const ScTerm *old_exp(ScScaler *s, ScVal v, void *arg)
{
    (void)arg;
    return s->g->value[v].exp;
}

static ScGraph *quantized(ScCtx *cx, const ScGraph *g, void *arg)
{
    Pass p = *(const Pass *)arg;
    ScArena *a = sc_arena_new();
    find_cached(&p, cx, g, a);
    sc_scaler_begin(&p.s, cx, g, old_exp, NULL);
    sc_find_measured(g, &p.measured, p.s.scratch);
    p.s.measured = &p.measured;
    find_grown(&p, g);
    find_tables(&p, g);
    p.counted = sc_array(p.s.scratch, Counted *, g->n_value);
    for (uint32_t i = 0; i < g->n_state; i++)
        sc_symbols_add(&p.taken, p.s.scratch, g->state[i].name, i);
    p.label = p.env->count_saturated ? sc_labels(g, p.s.scratch) : NULL;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        const ScValue *v = &g->value[n->first];
        p.s.b.at = n->loc;
        bool cached = p.cached.value && p.cached.value[n->first];
        if (cached) {
            count_cached(&p, n);
            p.low[n->first] = n->op == &sc_op_state
                                  ? p.s.env[n->first]
                                  : sc_cached_node(&p.s, n, p.recipe->cache, p.low);
            widen_cached(&p, n->first);
        } else if (n->op->flags & SC_BARRIER) {
            sc_scale_annotate(&p.s, p.s.env[n->first], n->first);
        } else if (n->op->flags & SC_CONST_OP) {
            p.s.env[n->first] = sc_scale_const(&p.s, n, v->type->dtype, v->exp);
            sc_scale_annotate(&p.s, p.s.env[n->first], n->first);
        } else {
            node(&p, n);
        }
    }
    Pass nested = *(const Pass *)arg;
    nested.nested = true;
    end_cached(&p, a);
    ScGraph *ret = sc_scaler_end(&p.s, NULL, g->flags | SC_G_QUANTIZED);
    sc_arena_free(a);
    return sc_pass_nested(cx, ret, quantized, &nested);
}

ScGraph *sc_pass_quantize(ScCtx *cx, const ScGraph *g, const ScPassEnv *env)
{
    static const ScRecipe f32 = {.name = "f32", .activation = SCRT_F32, .weight = SCRT_F32};
    Pass p = {.env = env, .recipe = env->recipe ? env->recipe : &f32};
    ScRecipeUse own = {0};
    if (!env->use)
        sc_recipe_use_begin(p.recipe, &own);
    p.use = env->use ? env->use : &own;
    p.use->stored = true;
    ScGraph *ret = quantized(cx, g, &p);
    sc_recipe_use_end(cx, p.recipe, &own);
    return ret;
}
