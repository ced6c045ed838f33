/* SPDX-License-Identifier: Apache-2.0 */
/* What fuse does before it groups: three rebuilds, after which more nodes fit into one kernel. None
 * of them changes a bit of any result. */
#include <string.h>

#include "passes/passes_priv.h"

/* The annotations of old value v, for its image; what is no float has no exponent. */
/* A node like n on other operands, with n's first result's annotations. */
static ScVal again(ScBuild *b, const ScGraph *g, const ScNode *n, const ScAttr *attr,
                   const ScVal *in)
{
    ScVal out;
    b->at = n->loc;
    sc_node(b, n->op, attr, NULL, n->n_in, in, 1, &out);
    return sc_annotated(b, out, &g->value[n->first]);
}

/* --- Reductions keep their axes -------------------------------------------------------------- */

/* The node's attributes with one replaced. */
static ScAttr *with_attr(ScArena *a, const ScNode *n, const char *name, ScAttr to)
{
    ScAttr *attr = sc_memdup(a, n->attr, n->op->n_attr * sizeof *attr);
    attr[sc_attr_index(n->op, name)] = to;
    return attr;
}

/* A reduction that drops its axes is one that keeps them, and a reshape; the reshape may then meet
 * others and vanish. SC_POISON where n is none. */
static ScVal kept_axes(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in, ScArena *a)
{
    ScReduce r = {.keep = true};
    if (n->op->lower.cls == SC_REDUCE)
        n->op->reduce(g, n, &r);
    if (r.keep)
        return SC_POISON;
    const ScType *t = sc_type_of(g, n->first);
    ScVal kept = again(b, g, n, with_attr(a, n, "keepdims", SC_INT(1)), in);
    return sc_reshaped(b, kept, t->rank, t->dim);
}

/* --- Concatenations have few operands -------------------------------------------------------- */

/* Code is emitted for each operand of a concatenation: one of thousands is done in parts, whose
 * kernels are mostly equal. */
#define MAX_PARTS 64

static ScVal concat_parts(ScBuild *b, const ScGraph *g, const ScNode *n, uint32_t n_in, ScVal *in)
{
    b->at = n->loc;
    while (n_in > MAX_PARTS) {
        uint32_t k = 0;
        for (uint32_t i = 0; i < n_in; i += MAX_PARTS) {
            uint32_t part = n_in - i < MAX_PARTS ? n_in - i : MAX_PARTS;
            ScVal v = in[i];
            if (part > 1) {
                v = sc_node1(b, n->op, n->attr, part, in + i);
                sc_annotated(b, v, &g->value[n->first]);
            }
            in[k++] = v;
        }
        n_in = k;
    }
    return sc_node1(b, n->op, n->attr, n_in, in);
}

/* SC_POISON where n is no concatenation of many. */
static ScVal narrowed(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in, ScArena *a)
{
    if (n->op->lower.cls != SC_CONCAT || n->n_in <= MAX_PARTS)
        return SC_POISON;
    return concat_parts(b, g, n, n->n_in, sc_memdup(a, in, n->n_in * sizeof *in));
}

ScGraph *sc_fuse_forms(ScCtx *cx, const ScGraph *g)
{
    SC_PASS(cx, g, b, env);
    ScArena *a = sc_pass_scratch(env);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        const ScVal *in = sc_map(env, n);
        if (n->op->flags & SC_BARRIER)
            continue;
        ScVal out = kept_axes(&b, g, n, in, a);
        if (out == SC_POISON)
            out = narrowed(&b, g, n, in, a);
        if (out == SC_POISON) {
            sc_copy_node(&b, g, n, in, &env[n->first]);
            continue;
        }
        sc_annotated(&b, out, &g->value[n->first]);
        sc_set_name(&b, out, g->value[n->first].name);
        env[n->first] = out;
    }
    return sc_pass_end(&b, env);
}

/* --- Elementwise nodes go before views ------------------------------------------------------- */

/* Uses of new values: how many nodes of the old graph use what a new value is the image of. */
typedef struct Count {
    uint32_t *use;
    uint32_t n, cap;
} Count;

static void count_add(Count *c, ScVal v, uint32_t uses)
{
    while (c->n <= v)
        sc_buf_push(c->use, c->n, c->cap, 0);
    c->use[v] += uses;
}

static bool one_element(const ScType *t)
{
    for (uint32_t d = 0; d < t->rank; d++)
        if (!sc_term_is(t->dim[d], 1))
            return false;
    return t->kind == SC_TYPE_TENSOR;
}

/* t lies along the last extent of `to`, and is no more than that. */
static bool along_last(const ScType *t, const ScType *to)
{
    return t->kind == SC_TYPE_TENSOR && t->rank == 1 && to->rank > 1 &&
           t->dim[0] == to->dim[to->rank - 1];
}

/* The operand of an elementwise node that gives the result its shape while all others have one
 * element or lie along its last extent, or UINT32_MAX. */
static uint32_t main_operand(const ScGraph *g, const ScNode *n)
{
    uint32_t found = UINT32_MAX;
    if (n->op->lower.cls != SC_MAP || n->n_out != 1)
        return UINT32_MAX;
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ScType *t = sc_type_of(g, n->in[i]);
        if (n->in[i] == SC_ABSENT || one_element(t) || along_last(t, sc_type_of(g, n->first)))
            continue;
        if (found != UINT32_MAX)
            return UINT32_MAX;
        found = i;
    }
    if (found != UINT32_MAX &&
        !sc_type_same_shape(sc_type_of(g, n->in[found]), sc_type_of(g, n->first)))
        return UINT32_MAX;
    return found;
}

/* The value up the chain of at most SC_MAX_VIEWS views over v, all used once and moving every
 * element, that a kernel computes; v itself where there is none. */
static ScVal computed_base(const ScBuild *b, const Count *c, ScVal v)
{
    const ScTerm *count = sc_type_count(b->cx, sc_built(b, v)->type);
    ScVal base = v;
    for (uint32_t i = 0; i < SC_MAX_VIEWS && base >= SC_FIRST; i++) {
        if (!sc_is_view(sc_built_def(b, base)) || c->use[base] != 1)
            break;
        ScVal under = sc_built_def(b, base)->in[0];
        if (sc_type_count(b->cx, sc_built(b, under)->type) != count)
            break;
        base = under;
    }
    ScClass cls = base < SC_FIRST ? SC_SOURCE : sc_built_def(b, base)->op->lower.cls;
    return cls == SC_SOURCE || cls == SC_VIEW ? v : base;
}

/* The views over base up to v, at most SC_MAX_VIEWS, over x instead. */
static ScVal views_again(ScBuild *b, ScVal base, ScVal v, ScVal x, Count *c)
{
    const ScValue from = *sc_built(b, x);
    ScVal chain[SC_MAX_VIEWS];
    uint32_t n = 0;
    for (; v != base; v = sc_built_def(b, v)->in[0])
        chain[n++] = v;
    while (n > 0) {
        ScNode view = *sc_built_def(b, chain[--n]); /* a copy: building moves nodes */
        ScVal under = x;
        b->at = view.loc;
        x = sc_node1(b, view.op, view.attr, 1, &under);
        sc_annotated(b, x, &from);
        count_add(c, under, 1);
    }
    return x;
}

/* The views over base up to v change no more than the extents before the last. */
static bool keeps_last(const ScBuild *b, ScVal base, ScVal v)
{
    const ScType *t = sc_built(b, v)->type, *from = sc_built(b, base)->type;
    bool rows = from->rank > 1 && t->rank > 1 && t->dim[t->rank - 1] == from->dim[from->rank - 1];
    for (; rows && v != base; v = sc_built_def(b, v)->in[0])
        rows = sc_built_def(b, v)->op == &sc_op_reshape;
    return rows;
}

/* Builds n before the views that stand between it and what computes its operand; false where there
 * are none or ranks forbid it. */
static bool hoist(ScBuild *b, const ScGraph *g, const ScNode *n, ScVal *in, Count *c, ScVal *ret)
{
    uint32_t m = main_operand(g, n);
    if (m == UINT32_MAX)
        return false;
    ScVal v = in[m], base = computed_base(b, c, v);
    if (base == v)
        return false;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (i != m && (sc_built(b, in[i])->type->rank > sc_built(b, base)->type->rank ||
                       (in[i] != SC_ABSENT && !one_element(sc_built(b, in[i])->type) &&
                        !keeps_last(b, base, v))))
            return false;
    in[m] = base;
    *ret = views_again(b, base, v, again(b, g, n, n->attr, in), c);
    sc_set_name(b, *ret, g->value[n->first].name);
    return true;
}

/* What a reshape of v to type t is already: a value that v is a reshape of; or SC_POISON. */
static ScVal unshaped(const ScBuild *b, ScVal v, const ScType *t)
{
    while (v >= SC_FIRST && sc_built_def(b, v)->op == &sc_op_reshape) {
        v = sc_built_def(b, v)->in[0];
        if (sc_built(b, v)->type == t)
            return v;
    }
    return SC_POISON;
}

ScGraph *sc_fuse_hoist(ScCtx *cx, const ScGraph *g)
{
    SC_PASS(cx, g, b, env);
    ScUses use = sc_uses(g, sc_pass_scratch(env));
    const ScVal *plain = sc_view_plain_bases(g, sc_pass_scratch(env));
    Count c = {0};
    for (ScVal v = 0; v < g->n_value; v++)
        count_add(&c, env[v], 0);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        ScVal *out = &env[n->first];
        ScVal *in = sc_memdup(sc_pass_scratch(env), sc_map(env, n), n->n_in * sizeof *in);
        if (n->op->flags & SC_BARRIER)
            continue;
        ScVal base = sc_is_view(n) ? plain[n->first] : n->first;
        if (base != n->first && sc_type_of(g, base) == sc_type_of(g, n->first))
            out[0] = env[base]; /* the views cancel */
        else if (n->op == &sc_op_reshape &&
                 (base = unshaped(&b, in[0], sc_type_of(g, n->first))) != SC_POISON)
            out[0] = base; /* so do they where a node went before the first */
        else if (!hoist(&b, g, n, in, &c, out))
            sc_copy_node(&b, g, n, in, out);
        for (uint32_t k = 0; k < n->n_out; k++)
            count_add(&c, out[k], use.first[n->first + k + 1] - use.first[n->first + k]);
    }
    sc_buf_free(c.use);
    return sc_pass_end(&b, env);
}

/* --- Reduced axes come last ------------------------------------------------------------------ */

bool sc_group_is_trailing(const ScGroup *k)
{
    for (uint32_t i = 0; k->cls == SC_REDUCE && i < k->over.n_axis; i++)
        if (k->over.axis[i] != k->space->rank - k->over.n_axis + i)
            return false;
    return true;
}

/* The group's space with its reduced axes last: perm[new axis] = old axis. */
static void axes_last(const ScGroup *k, int64_t *perm)
{
    uint32_t kept = 0, rank = k->space->rank, last = rank - k->over.n_axis;
    for (uint32_t d = 0; d < rank; d++) {
        bool reduced = false;
        for (uint32_t i = 0; i < k->over.n_axis; i++)
            reduced = reduced || k->over.axis[i] == d;
        perm[reduced ? last++ : kept++] = d;
    }
}

/* v transposed, as a view; v itself where it has one element, for that broadcasts alike. */
static ScVal transposed(ScBuild *b, uint32_t rank, const int64_t *perm, ScVal v)
{
    const ScValue from = *sc_built(b, v);
    const ScTerm *dim[SCRT_MAX_RANK];
    if (v < SC_FIRST || one_element(from.type))
        return v;
    for (uint32_t d = 0, pad = rank - from.type->rank; d < rank; d++)
        dim[d] = d < pad ? sc_term(b->cx, 1) : from.type->dim[d - pad];
    ScVal full = sc_reshaped(b, v, rank, dim);
    ScVal out = sc_op_at(b, transpose, SC_ATTRS(SC_INTS(rank, perm)), full);
    return sc_annotated(b, out, &from);
}

/* Builds a group transposed; inner[v] is the transposed image of a member's result. */
static void transpose_group(ScBuild *b, const ScGraph *g, const ScGroups *gs, uint32_t group,
                            ScVal *env, ScVal *inner)
{
    const ScGroup *k = &gs->group[group];
    ScArena *a = sc_pass_scratch(env);
    const uint32_t rank = k->space->rank;
    int64_t perm[SCRT_MAX_RANK], back[SCRT_MAX_RANK], axis[SCRT_MAX_RANK];
    axes_last(k, perm);
    for (uint32_t d = 0; d < rank; d++)
        back[perm[d]] = d;
    for (uint32_t i = 0; i < k->over.n_axis; i++)
        axis[i] = rank - k->over.n_axis + i;
    for (uint32_t i = 0; i < k->n; i++) {
        const ScNode *n = &g->node[k->member[i]];
        ScVal *in = sc_array(a, ScVal, n->n_in);
        b->at = n->loc;
        for (uint32_t o = 0; o < n->n_in; o++)
            in[o] = n->in[o] >= SC_FIRST && gs->of[g->value[n->in[o]].node] == group
                        ? inner[n->in[o]]
                        : transposed(b, rank, perm, env[n->in[o]]);
        const ScAttr *attr = n->attr;
        if (n->op->lower.cls == SC_REDUCE)
            attr = with_attr(a, n, "axes", SC_INTS(k->over.n_axis, axis));
        inner[n->first] = again(b, g, n, attr, in);
    }
    ScVal root = g->node[k->root].first;
    env[root] = transposed(b, rank, back, inner[root]);
    sc_set_name(b, env[root], g->value[root].name);
}

ScGraph *sc_fuse_trailing(ScCtx *cx, ScGraph *g)
{
    ScArena *a = sc_arena_new();
    ScGroups gs = sc_fuse_groups(g, a);
    bool all = true;
    for (uint32_t i = 0; i < gs.n; i++)
        all = all && sc_group_is_trailing(&gs.group[i]);
    if (all) {
        sc_arena_free(a);
        return g;
    }
    SC_PASS(cx, g, b, env);
    ScVal *inner = sc_array(a, ScVal, g->n_value);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        uint32_t k = gs.of[i];
        if (n->op->flags & SC_BARRIER)
            continue;
        if (k == UINT32_MAX || sc_group_is_trailing(&gs.group[k]))
            sc_copy_node(&b, g, n, sc_map(env, n), &env[n->first]);
        else if (gs.group[k].root == i)
            transpose_group(&b, g, &gs, k, env, inner);
    }
    sc_arena_free(a);
    ScGraph *ret = sc_pass_end(&b, env);
    sc_graph_free(g);
    return ret;
}
