/* SPDX-License-Identifier: Apache-2.0 */
/* Identities, as a table: a rule looks from a node upward to what its operands are and answers the
 * value that its result equals, or none. The graph is rebuilt until no rule fires. In a scaled
 * graph the answer is brought to the exponent that the node's result had.
 *
 * Every rule keeps the bits of results but two: x + 0 loses the sign of a zero, about which ONNX
 * says nothing, and two rebalances in a row no longer overflow in between. */
#include <string.h>

#include "passes/passes_priv.h"

#define MAX_ROUNDS                                                                                 \
    16 /* each round removes a node or ends it; chains longer than this are no idiom */

#define MAX_JOINED                                                                                 \
    16 /* views of a chain that the reshape in their place names, from the last one */

typedef struct Simp {
    ScBuild b;
    const ScGraph *g;
    ScVal *env;
    const ScNode *n;    /* old */
    ScVal *in;          /* its operands in the new graph, a constant second where n commutes */
    const ScVal *plain; /* [g->n_value] see sc_view_plain_bases */
} Simp;

/* --- Words ----------------------------------------------------------------------------------- */

static const ScType *type_of(const Simp *s, ScVal v)
{
    return sc_built(&s->b, v)->type;
}

static const ScType *result_type(const Simp *s)
{
    return sc_type_of(s->g, s->n->first);
}

/* Operand i of the node that defines new value v, if that is of this row; else poison. */
static ScVal under(const Simp *s, ScVal v, const ScOp *op, uint32_t i)
{
    if (v < SC_FIRST)
        return SC_POISON;
    const ScNode *n = sc_built_def(&s->b, v);
    return n->op == op && i < n->n_in ? n->in[i] : SC_POISON;
}

/* out, a view of x, with x's exponent and what is known of its data. */
static ScVal like(Simp *s, ScVal out, ScVal x)
{
    const ScValue from = *sc_built(&s->b, x);
    return sc_annotated(&s->b, out, &from);
}

static ScVal view(Simp *s, const ScOp *op, const ScAttr *attr, ScVal x)
{
    return like(s, sc_node1(&s->b, op, attr, 1, &x), x);
}

/* Operand i is a constant that is c everywhere. */
static bool splat(const Simp *s, uint32_t i, double c)
{
    double x;
    return sc_built_splat(&s->b, s->in[i], &x) && x == c;
}

/* --- Rules ----------------------------------------------------------------------------------- */

static ScVal itself(Simp *s)
{
    return s->in[0];
}

static ScVal add_zero(Simp *s)
{
    return splat(s, 1, 0) ? s->in[0] : SC_POISON;
}

static ScVal times_one(Simp *s)
{
    return splat(s, 1, 1) ? s->in[0] : SC_POISON;
}

static ScVal power(Simp *s)
{
    if (splat(s, 1, 1))
        return s->in[0];
    if (!splat(s, 1, 2) || type_of(s, s->in[0]) != result_type(s))
        return SC_POISON;
    ScVal x[] = {s->in[0], s->in[0]};
    ScVal out = sc_node1(&s->b, &sc_op_mul, NULL, 2, x);
    const ScTerm *e = sc_built(&s->b, x[0])->exp;
    sc_set_exp(&s->b, out, sc_term_scale(s->b.cx, e, 2));
    sc_set_g(&s->b, out, s->g->value[s->n->first].g);
    return out;
}

static ScVal undone(Simp *s)
{
    return under(s, s->in[0], s->n->op, 0);
}

/* |x| and max(x, 0) of what is never negative. */
static ScVal never_negative(Simp *s)
{
    const ScNode *def = sc_built_def(&s->b, s->in[0]);
    return (def->op->flags & SC_NONNEG) && def->first == s->in[0] ? s->in[0] : SC_POISON;
}

static ScVal only_operand(Simp *s)
{
    return s->n->n_in == 1 ? s->in[0] : SC_POISON;
}

static ScVal transpose_twice(Simp *s)
{
    ScVal x = under(s, s->in[0], s->n->op, 0);
    if (x == SC_POISON)
        return x;
    const ScAttr *first = sc_attr(sc_built_def(&s->b, s->in[0]), 0), *then = sc_attr(s->n, 0);
    uint32_t rank = type_of(s, x)->rank;
    int64_t perm[SCRT_MAX_RANK];
    for (uint32_t d = 0; d < rank; d++) {
        int64_t mid = then->kind == SC_A_NONE ? rank - 1 - d : then->is[d];
        perm[d] = first->kind == SC_A_NONE ? rank - 1 - mid : first->is[mid];
    }
    return view(s, s->n->op, SC_ATTRS(SC_INTS(rank, perm)), x);
}

static ScVal slice_twice(Simp *s)
{
    ScVal x = under(s, s->in[0], s->n->op, 0);
    if (x == SC_POISON)
        return x;
    ScVal out = sc_slice_of_slice(&s->b, s->n, sc_built_def(&s->b, s->in[0]), x);
    return out == SC_POISON ? out : like(s, out, x);
}

/* A chain of views that leaves all elements in order is one reshape of what is beneath it, or
 * nothing. */
static ScVal plain_views(Simp *s)
{
    ScVal v = s->n->first, base = s->plain[v];
    const ScType *t = result_type(s);
    if (base == v)
        return SC_POISON;
    if (sc_type_of(s->g, base) == t)
        return s->env[base];
    if (base == s->n->in[0] && s->n->op == &sc_op_reshape && !sc_built_blob(&s->b, s->env[base]))
        return SC_POISON; /* it is that already */
    const ScLoc *from[MAX_JOINED] = {s->n->loc};
    uint32_t n = 1;
    for (ScVal up = s->n->in[0]; up != base && n < MAX_JOINED && sc_is_view(sc_def(s->g, up));
         up = sc_def(s->g, up)->in[0])
        from[n++] = sc_def(s->g, up)->loc;
    s->b.at = sc_loc_join_all(s->b.cx, n, from);
    return sc_reshaped(&s->b, s->env[base], t->rank, t->dim);
}

/* Rebalancing twice is rebalancing to the last; to the exponent that is there, nothing. */
static ScVal rebalance_twice(Simp *s)
{
    const ScTerm *to = s->g->value[s->n->first].exp;
    ScVal x = under(s, s->in[0], s->n->op, 0);
    if (sc_built(&s->b, s->in[0])->exp == to)
        return s->in[0];
    if (x == SC_POISON ||
        !sc_attr_equal(sc_attr(s->n, 1), sc_attr(sc_built_def(&s->b, s->in[0]), 1)))
        return SC_POISON;
    ScVal out;
    sc_copy_node(&s->b, s->g, s->n, &x, &out);
    return out;
}

/* An elementwise node broadcasts its operands itself: one that was expanded for it is taken as it
 * was, where another operand has the result's shape. */
static ScVal needless_expand(Simp *s)
{
    const ScNode *n = s->n;
    for (uint32_t i = 0; i < n->n_in; i++) {
        ScVal x = under(s, s->in[i], &sc_op_expand, 0);
        bool other = false;
        for (uint32_t k = 0; k < n->n_in; k++)
            other = other || (k != i && s->in[k] != SC_ABSENT && s->in[k] != s->in[i] &&
                              sc_type_same_shape(type_of(s, s->in[k]), result_type(s)));
        if (x == SC_POISON || !other)
            continue;
        s->in[i] = x;
        ScVal out;
        sc_copy_node(&s->b, s->g, n, s->in, &out);
        return out;
    }
    return SC_POISON;
}

/* Old value v as a part of another along an axis, the rest of which it has whole: *ret_begin is
 * where it begins, in elements. SC_POISON where it is none. */
static ScVal slice_of(const Simp *s, ScVal v, uint32_t axis, const ScTerm **ret_begin)
{
    const ScNode *n = v < SC_FIRST ? NULL : sc_def(s->g, v);
    if (!n || n->op != &sc_op_slice)
        return SC_POISON;
    ScView all, part;
    sc_view_of(s->b.cx, sc_type_of(s->g, n->in[0]), &all);
    part = all;
    if (!n->op->view(s->b.cx, s->g, n, &part))
        return SC_POISON;
    for (uint32_t d = 0; d < all.rank; d++)
        if (part.stride[d] != all.stride[d] || (d != axis && part.dim[d] != all.dim[d]))
            return SC_POISON;
    *ret_begin = part.offset;
    return n->in[0];
}

/* How many operands of a concatenation, from `from` on, are one value cut in pieces; 0: none. */
static uint32_t pieces(const Simp *s, uint32_t from, uint32_t axis, ScVal *ret)
{
    ScCtx *cx = s->b.cx;
    const ScTerm *begin, *end = sc_term(cx, 0);
    uint32_t i = from;
    ScVal x = slice_of(s, s->n->in[from], axis, &begin);
    if (x == SC_POISON)
        return 0;
    const ScType *t = sc_type_of(s->g, x);
    const ScTerm *inner = sc_term(cx, 1);
    for (uint32_t d = axis + 1; d < t->rank; d++)
        inner = sc_term_mul(cx, inner, t->dim[d]);
    const ScTerm *all = sc_term_mul(cx, inner, t->dim[axis]);
    for (; i < s->n->n_in && slice_of(s, s->n->in[i], axis, &begin) == x && begin == end; i++)
        end =
            sc_term_add(cx, end, sc_term_mul(cx, inner, sc_type_of(s->g, s->n->in[i])->dim[axis]));
    *ret = x;
    return i > from + 1 && end == all ? i - from : 0;
}

/* What was split and is put together again. */
static ScVal whole_again(Simp *s)
{
    const ScNode *n = s->n;
    uint32_t axis = n->op->concat_axis(s->g, n), k = 0, i = 0;
    while (i < n->n_in) {
        ScVal x;
        uint32_t cut = pieces(s, i, axis, &x);
        s->in[k++] = cut ? s->env[x] : s->in[i];
        i += cut ? cut : 1;
    }
    if (k == n->n_in)
        return SC_POISON;
    ScVal out = sc_node1(&s->b, n->op, n->attr, k, s->in);
    return sc_annotated(&s->b, out, &s->g->value[n->first]);
}

/* A rule is for one row, or for every row of a loop class with one result. */
static const struct {
    const char *what;
    const ScOp *op;
    ScClass cls;
    ScVal (*apply)(Simp *s);
} rule[] = {
    {"identity x = x", &sc_op_identity, 0, itself},
    {"cast x = x, of x's own type", &sc_op_cast, 0, itself},
    {"x + 0 = x", &sc_op_add, 0, add_zero},
    {"x - 0 = x", &sc_op_sub, 0, add_zero},
    {"x * 1 = x", &sc_op_mul, 0, times_one},
    {"x / 1 = x", &sc_op_div, 0, times_one},
    {"x ^ 1 = x, x ^ 2 = x * x", &sc_op_pow, 0, power},
    {"-(-x) = x", &sc_op_neg, 0, undone},
    {"relu x = x, of x >= 0", &sc_op_relu, 0, never_negative},
    {"|x| = x, of x >= 0", &sc_op_abs, 0, never_negative},
    {"concat x = x", &sc_op_concat, 0, only_operand},
    {"concat(x[:k], x[k:], y) = concat(x, y)", &sc_op_concat, 0, whole_again},
    {"views that keep the order = one reshape", NULL, SC_VIEW, plain_views},
    {"transpose transpose x = transpose x", &sc_op_transpose, 0, transpose_twice},
    {"slice slice x = slice x", &sc_op_slice, 0, slice_twice},
    {"rebalance rebalance x = rebalance x", &sc_op_rebalance, 0, rebalance_twice},
    {"op(expand x, y) = op(x, y)", NULL, SC_MAP, needless_expand},
};

/* --- The pass -------------------------------------------------------------------------------- */

/* What n's result equals, or poison. A rule whose answer has another type does not apply. */
static ScVal match(Simp *s)
{
    const ScNode *n = s->n;
    for (uint32_t i = 0; n->n_out == 1 && i < sizeof rule / sizeof *rule; i++) {
        if (rule[i].op ? rule[i].op != n->op : rule[i].cls != n->op->lower.cls)
            continue;
        s->b.at = n->loc;
        ScVal v = rule[i].apply(s);
        if (v != SC_POISON && type_of(s, v) == result_type(s))
            return v;
    }
    return SC_POISON;
}

/* Old node s->n in the new graph; true where a rule fired. */
static bool rebuild(Simp *s, ScVal *ret_out)
{
    const ScNode *n = s->n;
    if ((n->op->flags & SC_COMMUTES) && sc_built_blob(&s->b, s->in[0]) &&
        !sc_built_blob(&s->b, s->in[1])) {
        ScVal x = s->in[0];
        s->in[0] = s->in[1];
        s->in[1] = x;
    }
    if (n->op->control && sc_splice(&s->b, s->g, n, s->in, ret_out))
        return true;
    ScVal v = match(s);
    if (v == SC_POISON) {
        sc_copy_node(&s->b, s->g, n, s->in, ret_out);
        return false;
    }
    const ScValue *was = &s->g->value[n->first];
    s->b.at = n->loc;
    ret_out[0] = was->exp ? sc_rebalance(&s->b, v, was->exp) : v;
    sc_set_name(&s->b, ret_out[0], was->name);
    return true;
}

static ScGraph *once(ScCtx *cx, const ScGraph *g, bool *ret_fired)
{
    Simp s = {.g = g};
    s.env = sc_pass_begin(&s.b, cx, g);
    s.plain = sc_view_plain_bases(g, sc_pass_scratch(s.env));
    *ret_fired = false;
    for (uint32_t i = 0; i < g->n_node; i++) {
        s.n = &g->node[i];
        if (s.n->op->flags & SC_BARRIER)
            continue;
        s.in = sc_memdup(sc_pass_scratch(s.env), sc_map(s.env, s.n), s.n->n_in * sizeof *s.in);
        *ret_fired = rebuild(&s, &s.env[s.n->first]) || *ret_fired;
    }
    return sc_pass_end(&s.b, s.env);
}

ScGraph *sc_identities(ScCtx *cx, ScGraph *g)
{
    bool fired = true;
    for (uint32_t round = 0; g && fired && round < MAX_ROUNDS; round++) {
        ScGraph *next = once(cx, g, &fired);
        sc_graph_free(g);
        g = next;
    }
    return g;
}

ScGraph *sc_pass_simplify(ScCtx *cx, const ScGraph *g, const ScPassEnv *env)
{
    bool fired;
    ScGraph *ret = sc_identities(cx, once(cx, g, &fired));
    return sc_pass_inside(cx, ret, sc_pass_simplify, env);
}
