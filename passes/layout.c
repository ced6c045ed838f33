/* SPDX-License-Identifier: Apache-2.0 */
/* Which values of a network of convolutions lie with their channels last.
 *
 * Along the channels a convolution is a product of matrices: its weights are packed once, its
 * vectors are full whatever the extents, its padding is a shorter sum. So convolutions of many
 * channels, and what stands between them, are computed on [batch, spatial.., channel]. That is a
 * permutation of the extents and nothing else: the graph says it with `transpose`, and only where
 * a value is wanted in its other form, which is most often at the graph's own inputs and outputs.
 * Each value has its normal form, its last form, or both; the second is made when somebody asks. */
#include "passes/passes_priv.h"

enum {
    MANY = 16,
    FEW = 8
}; /* channels that are worth it: a vector of the widest target; half of one */

typedef struct Layout {
    ScBuild *b;
    const ScGraph *g;
    ScVal *env;  /* old value -> its normal form; SC_POISON: not made so far */
    ScVal *last; /* the same for the form with channels last */
} Layout;

/* --- The two forms --------------------------------------------------------------------------- */

/* Dim i of a result is dim perm[i] of the operand: [0, 2, .., 1], or back. */
static void permutation(uint32_t rank, bool to_last, int64_t *ret)
{
    ret[0] = 0;
    for (uint32_t i = 1; i < rank; i++)
        ret[i] = to_last ? (i + 1 < rank ? i + 1 : 1) : (i == 1 ? rank - 1 : i - 1);
}

/* x, seen with these extents, with its dims permuted; no more than a reshape where those above 1
 * keep their order. */
static ScVal permuted(ScBuild *b, ScVal x, uint32_t rank, const ScTerm *const *seen, bool to_last)
{
    const ScValue from = *sc_built(b, x);
    const ScTerm *dim[SCRT_MAX_RANK];
    int64_t perm[SCRT_MAX_RANK], before = -1;
    bool ordered = true;
    permutation(rank, to_last, perm);
    for (uint32_t i = 0; i < rank; i++) {
        dim[i] = seen[perm[i]];
        if (sc_term_is(dim[i], 1))
            continue;
        ordered = ordered && perm[i] > before;
        before = perm[i];
    }
    if (ordered)
        return sc_reshaped(b, x, rank, dim);
    ScVal out = sc_reshaped(b, x, rank, seen);
    out = sc_op_at(b, transpose, SC_ATTRS(SC_INTS(rank, perm)), out);
    return sc_annotated(b, out, &from);
}

static ScVal normal(Layout *x, ScVal v)
{
    if (x->env[v] == SC_POISON && x->last[v] != SC_POISON) {
        const ScType *t = sc_built(x->b, x->last[v])->type;
        const ScLoc *at = x->b->at;
        x->b->at = sc_def(x->g, v)->loc;
        x->env[v] = permuted(x->b, x->last[v], t->rank, t->dim, false);
        x->b->at = at;
    }
    return x->env[v];
}

/* v in its last form, as a tensor of `rank` dims: those that a broadcast would add come first. */
static ScVal last(Layout *x, ScVal v, uint32_t rank)
{
    const ScType *t = sc_type_of(x->g, v);
    const ScTerm *dim[SCRT_MAX_RANK];
    if (v < SC_FIRST || t->rank == 0)
        return normal(x, v);
    for (uint32_t i = 0; i < rank; i++)
        dim[i] = i + t->rank < rank ? sc_term(x->b->cx, 1) : t->dim[i + t->rank - rank];
    if (t->rank < rank)
        return permuted(x->b, normal(x, v), rank, dim, true);
    if (x->last[v] == SC_POISON)
        x->last[v] = permuted(x->b, normal(x, v), rank, dim, true);
    return x->last[v];
}

/* --- Which nodes ----------------------------------------------------------------------------- */

static int64_t channels(const ScType *t)
{
    int64_t n;
    return t->rank > 2 && sc_term_const(t->dim[1], &n) ? n : 0;
}

/* Results of many channels in each group, or a group for each of many channels; fewer where x lies
 * so already, twice as many where it would have to be turned round first and is no small part of
 * the result, as pictures are. The weights are constant, since they are packed once. */
static bool conv_wants_last(const Layout *x, const ScNode *n)
{
    ScConv w;
    n->op->conv(x->g, n, &w);
    if (w.window.channels_last)
        return false;
    const ScGraph *g = x->g;
    int64_t out = channels(sc_type_of(g, n->first)), in = channels(sc_type_of(g, n->in[0]));
    int64_t many = x->last[n->in[0]] != SC_POISON ? FEW : 4 * in <= out ? MANY : 2 * MANY;
    bool depthwise = in == w.group && out == in;
    return sc_def(g, n->in[1])->op->flags & SC_CONST_OP &&
           (depthwise ? out >= many : out / w.group >= many);
}

static bool pool_wants_last(const Layout *x, const ScNode *n)
{
    ScPool p;
    n->op->pool(x->g, n, &p);
    return !p.window.channels_last && x->last[n->in[0]] != SC_POISON && n->n_out == 1;
}

static bool any_last(const Layout *x, const ScNode *n, uint32_t rank)
{
    bool any = false;
    for (uint32_t i = 0; i < n->n_in; i++)
        any = any || (x->last[n->in[i]] != SC_POISON && sc_type_of(x->g, n->in[i])->rank == rank);
    return any;
}

static bool results_have_rank(const ScGraph *g, const ScNode *n, uint32_t rank)
{
    for (uint32_t i = 0; i < n->n_out; i++)
        if (sc_type_of(g, n->first + i)->rank != rank)
            return false;
    return true;
}

static bool wants_last(const Layout *x, const ScNode *n)
{
    uint32_t rank = sc_type_of(x->g, n->first)->rank;
    if (n->op->conv)
        return conv_wants_last(x, n);
    if (n->op->pool)
        return pool_wants_last(x, n);
    return sc_class_is(n->op->lower.cls, SC_ANY_LAYOUT) && results_have_rank(x->g, n, rank) &&
           any_last(x, n, rank);
}

/* --- The rebuild ----------------------------------------------------------------------------- */

/* The attributes of n on the last forms. */
static const ScAttr *attributes(const Layout *x, const ScNode *n, ScArena *a)
{
    ScAttr *attr = sc_array(a, ScAttr, n->op->n_attr + 1);
    int flag = sc_attr_index(n->op, "channels_last");
    int axis = n->op->concat_axis ? sc_attr_index(n->op, "axis") : -1;
    for (uint32_t i = 0; i < n->op->n_attr; i++)
        attr[i] = n->attr[i];
    if (flag >= 0)
        attr[flag] = SC_INT(1);
    if (axis >= 0) {
        uint32_t was = n->op->concat_axis(x->g, n), rank = sc_type_of(x->g, n->first)->rank;
        attr[axis] = SC_INT(was == 0 ? 0 : was == 1 ? rank - 1 : was - 1);
    }
    return attr;
}

static void build_last(Layout *x, const ScNode *n)
{
    ScArena *a = sc_pass_scratch(x->env);
    uint32_t rank = sc_type_of(x->g, n->first)->rank;
    /* What slides over something has that as operand 0 alone: weights and biases stay. */
    bool first_only = n->op->conv || n->op->pool;
    ScVal *in = sc_array(a, ScVal, n->n_in), *out = sc_array(a, ScVal, n->n_out);
    x->b->at = n->loc;
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = first_only && i > 0 ? normal(x, n->in[i]) : last(x, n->in[i], rank);
    sc_node(x->b, n->op, attributes(x, n, a), NULL, n->n_in, in, n->n_out, out);
    for (uint32_t i = 0; i < n->n_out; i++) {
        const ScValue *v = &x->g->value[n->first + i];
        sc_set_name(x->b, out[i], v->name);
        x->last[n->first + i] = sc_annotated(x->b, out[i], v);
    }
}

ScGraph *sc_pass_layout(ScCtx *cx, const ScGraph *g, const ScPassEnv *penv)
{
    SC_PASS(cx, g, b, env);
    Layout x = {&b, g, env, sc_array(sc_pass_scratch(env), ScVal, g->n_value)};
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (n->op->flags & SC_BARRIER)
            continue;
        if (wants_last(&x, n)) {
            build_last(&x, n);
            continue;
        }
        b.at = n->loc;
        for (uint32_t k = 0; k < n->n_in; k++)
            normal(&x, n->in[k]);
        sc_copy_node(&b, g, n, sc_map(env, n), &env[n->first]);
    }
    for (uint32_t i = 0; i < g->n_out; i++)
        normal(&x, g->out[i]);
    for (uint32_t i = 0; i < g->n_state; i++)
        normal(&x, g->state[i].next);
    return sc_pass_inside(cx, sc_pass_end(&b, env), sc_pass_layout, penv);
}
