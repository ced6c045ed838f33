/* SPDX-License-Identifier: Apache-2.0 */
/* Idioms that exporters write in small operators become the one operator they are: better scales
 * (a raised normalisation grows as a whole, see SCALES), fewer roundings, and rows that more is
 * known about. What a rule took apart stays if somebody else uses it.
 *
 * A rule looks from the idiom's last node upward in the new graph, so that rules build on each
 * other: a bias joins the gemm that a rule before it made. */
#include <math.h>
#include <string.h>

#include "passes/passes_priv.h"

typedef struct Raise {
    ScBuild b;
    const ScGraph *g;
    ScVal *env;
    ScUses use;
    const ScVal *plain; /* [g->n_value] see sc_view_plain_bases */
    const ScNode *n;    /* old */
    const ScVal *in;    /* its operands in the new graph */
} Raise;

/* --- Words ----------------------------------------------------------------------------------- */

/* The node that defines new value v, if it is of this row; a copy, for building moves nodes. */
static bool is(Raise *r, ScVal v, const ScOp *op, ScNode *ret)
{
    if (v < SC_FIRST || sc_built_def(&r->b, v)->op != op)
        return false;
    *ret = *sc_built_def(&r->b, v);
    r->b.at = sc_loc_join(r->b.cx, r->b.at, ret->loc);
    return true;
}

static const ScType *type_of(const Raise *r, ScVal v)
{
    return sc_built(&r->b, v)->type;
}

/* v is a float constant that is about c everywhere: exporters round to f16 and write few digits. */
static bool about(const Raise *r, ScVal v, double c)
{
    double x;
    return sc_built_splat(&r->b, v, &x) && fabs(x - c) <= 1e-3 * fabs(c);
}

/* n is op of x and a constant about c, in either order; *ret is x. */
static bool with_const(Raise *r, ScVal v, const ScOp *op, double c, ScVal *ret)
{
    ScNode n;
    if (!is(r, v, op, &n))
        return false;
    for (uint32_t i = 0; i < 2; i++)
        if (about(r, n.in[i], c) && ((op->flags & SC_COMMUTES) || i == 1)) {
            *ret = n.in[1 - i];
            return true;
        }
    return false;
}

/* Old operand i has no other use. */
static bool used_once(const Raise *r, uint32_t i)
{
    ScVal v = r->n->in[i];
    return r->use.first[v + 1] - r->use.first[v] == 1;
}

/* The nodes' joined location is that of what is built; the location is n's again after a match
 * that came to nothing. */
static void begin(Raise *r)
{
    r->b.at = r->n->loc;
}

/* --- Bias ------------------------------------------------------------------------------------ */

/* True where all extents of t, aligned with `to` at the last one, are 1 but that at axis (of `to`),
 * which is to's. */
static bool only_axis(const ScType *t, const ScType *to, uint32_t axis)
{
    bool there = false;
    if (t->kind != SC_TYPE_TENSOR || t->rank > to->rank)
        return false;
    for (uint32_t d = 0; d < t->rank; d++) {
        uint32_t at = d + to->rank - t->rank;
        if (at == axis)
            there = t->dim[d] == to->dim[at];
        else if (!sc_term_is(t->dim[d], 1))
            return false;
    }
    return there;
}

/* The operand of n that is its bias, which it has not; UINT32_MAX where there is none to have. */
static uint32_t free_bias(Raise *r, const ScNode *n)
{
    const ScSchema *s = sc_schema(r->b.cx, n->op);
    uint32_t last = s->n_in - 1;
    ScClass cls = n->op->lower.cls;
    if ((cls != SC_CONTRACT && (cls != SC_WINDOW || !n->op->quantizable)) || !s->in[last].optional)
        return UINT32_MAX;
    return n->n_in <= last || n->in[last] == SC_ABSENT ? last : UINT32_MAX;
}

/* The product n again with the addend, of n's extent at axis, as its bias; the caller has asked
 * free_bias for at. */
static ScVal with_bias(Raise *r, const ScNode *n, uint32_t at, const ScTerm *extent, ScVal addend)
{
    ScVal in[SC_MAX_IN];
    memcpy(in, n->in, n->n_in * sizeof *in);
    for (uint32_t k = n->n_in; k < at; k++)
        in[k] = SC_ABSENT;
    r->b.at = sc_loc_join(r->b.cx, n->loc, r->n->loc);
    in[at] = sc_reshaped(&r->b, addend, 1, &extent);
    return sc_node1(&r->b, n->op, n->attr, at + 1, in);
}

/* x W + b, with b along the last axis; a convolution's along the second. */
static ScVal bias(Raise *r)
{
    for (uint32_t i = 0; i < 2; i++) {
        ScVal product = r->in[i], addend = r->in[1 - i];
        if (product < SC_FIRST || addend < SC_FIRST || !used_once(r, i))
            continue;
        ScNode n = *sc_built_def(&r->b, product);
        uint32_t at = free_bias(r, &n);
        const ScType *t = type_of(r, product);
        if (at == UINT32_MAX || t != sc_type_of(r->g, r->n->first))
            continue;
        uint32_t axis = n.op->lower.cls == SC_WINDOW ? 1 : t->rank - 1;
        if (t->rank > 0 && only_axis(type_of(r, addend), t, axis))
            return with_bias(r, &n, at, t->dim[axis], addend);
    }
    return SC_POISON;
}

/* t is the last extents of `to`, after ones, and has as many elements as `extent` says. */
static bool last_extents(Raise *r, const ScType *t, const ScType *to, const ScTerm *extent)
{
    if (t->kind != SC_TYPE_TENSOR || t->rank > to->rank || sc_type_count(r->b.cx, t) != extent)
        return false;
    const ScTerm *const *last = to->dim + to->rank - t->rank;
    uint32_t d = 0;
    while (d < t->rank && sc_term_is(t->dim[d], 1))
        d++;
    return d == t->rank || memcmp(t->dim + d, last + d, (t->rank - d) * sizeof *last) == 0;
}

/* reshape(x W) + b, where the reshape splits the last axis and b has all of the parts. */
static ScVal reshaped_bias(Raise *r)
{
    for (uint32_t i = 0; i < 2; i++) {
        ScVal v = r->n->in[i], base = r->plain[v], addend = r->in[1 - i];
        const ScType *t = sc_type_of(r->g, v), *from = sc_type_of(r->g, base);
        if (base == v || t != sc_type_of(r->g, r->n->first) || from->rank == 0)
            continue;
        bool once = true;
        for (ScVal up = v; once; up = sc_def(r->g, up)->in[0]) {
            once = r->use.first[up + 1] - r->use.first[up] == 1;
            if (up == base)
                break;
            once = once && sc_is_view(sc_def(r->g, up));
        }
        ScNode n = *sc_built_def(&r->b, r->env[base]);
        uint32_t at = once && n.op->lower.cls == SC_CONTRACT ? free_bias(r, &n) : UINT32_MAX;
        const ScTerm *extent = from->dim[from->rank - 1];
        if (at != UINT32_MAX && last_extents(r, type_of(r, addend), t, extent))
            return sc_reshaped(&r->b, with_bias(r, &n, at, extent, addend), t->rank, t->dim);
    }
    return SC_POISON;
}

/* --- Softmax --------------------------------------------------------------------------------- */

/* v reduces x over one axis, which stays. */
static bool reduces(Raise *r, ScVal v, const ScOp *op, ScVal *ret_x, const ScAttr **ret_axes)
{
    ScNode n;
    if (!is(r, v, op, &n) || sc_attr_named(&n, "keepdims")->i == 0)
        return false;
    *ret_x = n.in[0];
    *ret_axes = sc_attr_named(&n, "axes");
    return (*ret_axes)->kind == SC_A_INTS;
}

/* e / sum e, of e = exp(x - max x) */
static ScVal softmax(Raise *r)
{
    ScNode e, d;
    ScVal x, of;
    const ScAttr *sum, *max;
    begin(r);
    if (!reduces(r, r->in[1], &sc_op_reduce_sum, &of, &sum) || of != r->in[0] || sum->n != 1 ||
        !is(r, r->in[0], &sc_op_exp, &e) || !is(r, e.in[0], &sc_op_sub, &d) ||
        !reduces(r, d.in[1], &sc_op_reduce_max, &x, &max) || x != d.in[0] ||
        !sc_attr_equal(sum, max))
        return SC_POISON;
    int64_t axis = sum->is[0];
    ScVal beta = sc_const_scalar(&r->b, type_of(r, x)->dtype, 1);
    return sc_op_at(&r->b, softmax, SC_ATTRS(SC_INT(axis)), x, beta);
}

/* --- Gelu ------------------------------------------------------------------------------------ */

#define MAX_FACTORS 8

/* The factors of a product that are no constants, and the product of those that are. `whole` is not
 * taken apart, though it be a product itself. */
typedef struct Product {
    ScVal whole;
    ScVal factor[MAX_FACTORS];
    uint32_t n;
    double c;
} Product;

static void collect(Raise *r, ScVal v, Product *p, uint32_t depth)
{
    ScNode n = {0};
    double c;
    bool apart = depth < 4 && v != p->whole;
    if (sc_built_splat(&r->b, v, &c)) {
        p->c *= c;
    } else if (apart && is(r, v, &sc_op_mul, &n)) {
        collect(r, n.in[0], p, depth + 1);
        collect(r, n.in[1], p, depth + 1);
    } else if (apart && v >= SC_FIRST && sc_built_def(&r->b, v)->op == &sc_op_div &&
               sc_built_splat(&r->b, sc_built_def(&r->b, v)->in[1], &c)) {
        is(r, v, &sc_op_div, &n);
        p->c /= c;
        collect(r, n.in[0], p, depth + 1);
    } else if (p->n < MAX_FACTORS) {
        p->factor[p->n++] = v;
    }
}

static bool near(double x, double c)
{
    return fabs(x - c) <= 1e-3 * fabs(c);
}

/* v is x times about c, however it is written. */
static bool scaled(Raise *r, ScVal v, ScVal x, double c)
{
    Product p = {.c = 1, .whole = x};
    collect(r, v, &p, 0);
    return p.n == 1 && p.factor[0] == x && near(p.c, c);
}

/* v is about c times the k-th power of x. */
static bool cubic(Raise *r, ScVal v, ScVal x, double c)
{
    Product p = {.c = 1, .whole = x};
    ScVal base;
    collect(r, v, &p, 0);
    if (p.n == 1 && near(p.c, c))
        return with_const(r, p.factor[0], &sc_op_pow, 3, &base) && base == x;
    return p.n == 3 && near(p.c, c) && p.factor[0] == x && p.factor[1] == x && p.factor[2] == x;
}

/* v is erf(x / sqrt 2), or tanh(sqrt(2 / pi) (x + 0.044715 x^3)); *ret_tanh: the second. */
static bool gelu_gate(Raise *r, ScVal v, ScVal x, bool *ret_tanh)
{
    ScNode f, sum;
    if (is(r, v, &sc_op_erf, &f)) {
        *ret_tanh = false;
        return scaled(r, f.in[0], x, M_SQRT1_2);
    }
    *ret_tanh = true;
    Product p = {.c = 1};
    if (!is(r, v, &sc_op_tanh, &f))
        return false;
    collect(r, f.in[0], &p, 0);
    if (p.n != 1 || !near(p.c, sqrt(2 / M_PI)) || !is(r, p.factor[0], &sc_op_add, &sum))
        return false;
    return (sum.in[0] == x && cubic(r, sum.in[1], x, 0.044715)) ||
           (sum.in[1] == x && cubic(r, sum.in[0], x, 0.044715));
}

/* v without the constants that it is multiplied with or divided by. */
static ScVal unscaled(Raise *r, ScVal v)
{
    ScNode n;
    double c;
    while (is(r, v, &sc_op_mul, &n) || is(r, v, &sc_op_div, &n)) {
        if (sc_built_splat(&r->b, n.in[1], &c))
            v = n.in[0];
        else if (n.op == &sc_op_mul && sc_built_splat(&r->b, n.in[0], &c))
            v = n.in[1];
        else
            break;
    }
    return v;
}

/* What x may be, as the gate has it: [2], poison where there is none. */
static void gate_operands(Raise *r, ScVal gate, ScVal *ret)
{
    ScNode f, sum;
    ret[0] = ret[1] = SC_POISON;
    if (is(r, gate, &sc_op_erf, &f)) {
        ret[0] = unscaled(r, f.in[0]);
    } else if (is(r, gate, &sc_op_tanh, &f) && is(r, unscaled(r, f.in[0]), &sc_op_add, &sum)) {
        ret[0] = sum.in[0];
        ret[1] = sum.in[1];
    }
}

/* n is x (1 + gate x) / 2, the factors in any order. */
static bool gelu_of(Raise *r, ScVal x, bool *ret_tanh)
{
    Product p = {.c = 1, .whole = x};
    ScVal gate;
    begin(r);
    collect(r, r->in[0], &p, 0);
    collect(r, r->in[1], &p, 0);
    if (p.n != 2 || !near(p.c, 0.5) || (p.factor[0] != x && p.factor[1] != x))
        return false;
    ScVal other = p.factor[p.factor[0] == x];
    return with_const(r, other, &sc_op_add, 1, &gate) && gelu_gate(r, gate, x, ret_tanh);
}

static ScVal gelu(Raise *r)
{
    Product p = {.c = 1};
    bool tanh_form;
    collect(r, r->in[0], &p, 0);
    collect(r, r->in[1], &p, 0);
    for (uint32_t i = 0; i < p.n; i++) {
        ScVal gate, x[2];
        if (!with_const(r, p.factor[i], &sc_op_add, 1, &gate))
            continue;
        gate_operands(r, gate, x);
        for (uint32_t k = 0; k < 2; k++) {
            if (x[k] == SC_POISON || !gelu_of(r, x[k], &tanh_form))
                continue;
            ScVal beta = sc_const_scalar(&r->b, type_of(r, x[k])->dtype, 1);
            ScAttr form = {.kind = SC_A_NONE};
            if (tanh_form)
                form = SC_STR(sc_intern(r->b.cx, "tanh"));
            return sc_op_at(&r->b, gelu, SC_ATTRS(form), x[k], beta);
        }
    }
    return SC_POISON;
}

/* --- Layer normalisation --------------------------------------------------------------------- */

/* The axes are the last ones of x, from *ret_axis on. */
static bool trailing(const ScAttr *axes, uint32_t rank, int64_t *ret_axis)
{
    uint32_t set = 0;
    for (uint32_t i = 0; i < axes->n; i++)
        set |= 1u << (axes->is[i] < 0 ? axes->is[i] + rank : axes->is[i]);
    *ret_axis = (int64_t)rank - axes->n;
    return axes->n > 0 && axes->n <= rank && set == ((1u << rank) - 1) - ((1u << *ret_axis) - 1);
}

/* v is d squared. */
static bool squared(Raise *r, ScVal v, ScVal d)
{
    ScNode n;
    ScVal base;
    return (is(r, v, &sc_op_mul, &n) && n.in[0] == d && n.in[1] == d) ||
           (with_const(r, v, &sc_op_pow, 2, &base) && base == d);
}

/* v is sqrt(mean d^2 + eps) of d = x - mean x over the last axes; *ret are x, the axis and eps. */
static bool deviation(Raise *r, ScVal v, ScVal d, ScVal *ret_x, int64_t *ret_axis, double *ret_eps)
{
    ScNode root, sum, diff;
    ScVal square, x;
    const ScAttr *axes, *again;
    if (!is(r, v, &sc_op_sqrt, &root) || !is(r, root.in[0], &sc_op_add, &sum) ||
        !is(r, d, &sc_op_sub, &diff) || !reduces(r, diff.in[1], &sc_op_reduce_mean, &x, &axes) ||
        x != diff.in[0] || !trailing(axes, type_of(r, x)->rank, ret_axis))
        return false;
    for (uint32_t i = 0; i < 2; i++)
        if (sc_built_splat(&r->b, sum.in[1 - i], ret_eps) &&
            reduces(r, sum.in[i], &sc_op_reduce_mean, &square, &again) &&
            sc_attr_equal(axes, again) && squared(r, square, d)) {
            *ret_x = x;
            return true;
        }
    return false;
}

static ScVal build_norm(Raise *r, ScVal x, int64_t axis, double eps)
{
    ScrtDtype dtype = type_of(r, x)->dtype, stats = dtype == SCRT_F64 ? SCRT_F64 : SCRT_F32;
    ScVal in[] = {x, sc_const_scalar(&r->b, dtype, 1), sc_const_scalar(&r->b, dtype, 0),
                  sc_const_scalar(&r->b, stats, eps)};
    return sc_node1(&r->b, &sc_op_layernorm, SC_ATTRS(SC_INT(axis)), 4, in);
}

/* d / deviation */
static ScVal norm_div(Raise *r)
{
    ScVal x;
    int64_t axis;
    double eps;
    begin(r);
    if (!deviation(r, r->in[1], r->in[0], &x, &axis, &eps))
        return SC_POISON;
    return build_norm(r, x, axis, eps);
}

/* d * (1 / deviation) */
static ScVal norm_mul(Raise *r)
{
    ScNode inverse;
    ScVal x;
    int64_t axis;
    double eps;
    for (uint32_t i = 0; i < 2; i++) {
        begin(r);
        if (is(r, r->in[i], &sc_op_reciprocal, &inverse) &&
            deviation(r, inverse.in[0], r->in[1 - i], &x, &axis, &eps))
            return build_norm(r, x, axis, eps);
    }
    return SC_POISON;
}

/* The operands with i's norm taken apart and one of its parameters replaced; poison where it has
 * that one already, or the parameter does not broadcast over the normalised axes. */
static ScVal norm_with(Raise *r, uint32_t parameter)
{
    for (uint32_t i = 0; i < 2; i++) {
        ScNode n;
        begin(r);
        if (!used_once(r, i) || !is(r, r->in[i], &sc_op_layernorm, &n) || n.n_out != 1)
            continue;
        const ScType *t = type_of(r, n.in[0]), *p = type_of(r, r->in[1 - i]);
        int64_t axis = sc_attr(&n, 0)->i;
        uint32_t normalised = (uint32_t)(axis < 0 ? -axis : t->rank - axis);
        bool has = !about(r, n.in[2], 0) || (parameter == 1 && !about(r, n.in[1], 1));
        if (has || p->kind != SC_TYPE_TENSOR || p->rank > normalised || p->dtype != t->dtype ||
            t != sc_type_of(r->g, r->n->first))
            continue;
        ScVal in[] = {n.in[0], n.in[1], n.in[2], n.in[3]};
        in[parameter] = r->in[1 - i];
        return sc_node1(&r->b, n.op, n.attr, 4, in);
    }
    return SC_POISON;
}

static ScVal norm_scale(Raise *r)
{
    return norm_with(r, 1);
}

static ScVal norm_bias(Raise *r)
{
    return norm_with(r, 2);
}

/* --- The pass -------------------------------------------------------------------------------- */

static const struct {
    const char *what;
    const ScOp *op; /* the idiom's last node */
    ScVal (*apply)(Raise *r);
} idiom[] = {
    {"softmax", &sc_op_div, softmax},
    {"gelu", &sc_op_mul, gelu},
    {"layernorm, divided", &sc_op_div, norm_div},
    {"layernorm, multiplied", &sc_op_mul, norm_mul},
    {"layernorm's scale", &sc_op_mul, norm_scale},
    {"layernorm's bias", &sc_op_add, norm_bias},
    {"bias of a product or convolution", &sc_op_add, bias},
    {"bias of a product, reshaped", &sc_op_add, reshaped_bias},
};

ScGraph *sc_pass_raise(ScCtx *cx, const ScGraph *g, const ScPassEnv *env)
{
    Raise r = {.g = g};
    bool raised = false;
    (void)env;
    r.env = sc_pass_begin(&r.b, cx, g);
    r.use = sc_uses(g, sc_pass_scratch(r.env));
    r.plain = sc_view_plain_bases(g, sc_pass_scratch(r.env));
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = r.n = &g->node[i];
        ScVal v = SC_POISON, *out = &r.env[n->first];
        if (n->op->flags & SC_BARRIER)
            continue;
        r.in = sc_map(r.env, n);
        for (uint32_t k = 0; v == SC_POISON && k < sizeof idiom / sizeof *idiom; k++)
            v = idiom[k].op == n->op ? idiom[k].apply(&r) : SC_POISON;
        if (v != SC_POISON && type_of(&r, v) == sc_type_of(g, n->first)) {
            out[0] = v;
            raised = true;
            sc_set_name(&r.b, v, g->value[n->first].name);
        } else {
            sc_copy_node(&r.b, g, n, r.in, out);
        }
    }
    ScGraph *ret = sc_pass_end(&r.b, r.env);
    return raised ? sc_identities(cx, ret) : ret; /* reshapes that moved may have met others */
}
