/* SPDX-License-Identifier: Apache-2.0 */
/* Which nodes become one kernel.
 *
 * A group is grown from its last node, the root, upward. A producer joins when every use of its
 * results is by a member that works element by element: then nothing of it is visible outside, so
 * the root's results are the group's only ones and no path can leave a group and come back. Going
 * from the last node of the graph to the first, all users of a node are decided before it is.
 *
 * All members work on one iteration space. A reduction sets a second shape, `low`, which is the
 * space with the reduced axes at extent 1; members may have either. A node of a class that leads
 * (the leader) may join where its result is the space; it ends the growth on its side, but for
 * cheap nodes on the way into its operands. */
#include <stdlib.h>
#include <string.h>

#include "passes/passes_priv.h"

#define NO_GROUP UINT32_MAX

typedef struct Grow {
    const ScGraph *g;
    ScUses use;
    uint32_t *of;        /* [n_node] group or NO_GROUP */
    uint32_t *seen;      /* [n_node] stamp of the last growth that looked at it */
    uint32_t *forbidden; /* [n_node] 1 + the group that it may not join */
    uint32_t stamp, id;
    uint32_t *pending; /* candidates */
    uint32_t n_pending, cap_pending;
    uint32_t *member;
    uint32_t n, cap;
    const ScType *space, *low; /* low NULL: no member has another shape */
    const ScNode *leader;
    bool reduces;
    ScReduce over;
} Grow;

static bool is_leader(const ScNode *n)
{
    return sc_class_is(n->op->lower.cls, SC_LEADS);
}

static const ScType *type_of(const Grow *w, uint32_t node)
{
    return w->g->value[w->g->node[node].first].type;
}

/* Every use is by a member that may read what the kernel computes. */
static bool hidden(const Grow *w, uint32_t node)
{
    ScVal v = w->g->node[node].first;
    for (uint32_t i = w->use.first[v]; i < w->use.first[v + 1]; i++) {
        uint32_t user = w->use.use[i].node;
        if (user == UINT32_MAX || w->of[user] != w->id ||
            !sc_class_is(w->g->node[user].op->lower.cls, SC_FED))
            return false;
    }
    return true;
}

/* t is the space with some extents replaced by 1. */
static bool lowered(const ScType *t, const ScType *space)
{
    if (t->rank != space->rank)
        return false;
    for (uint32_t d = 0; d < t->rank; d++)
        if (t->dim[d] != space->dim[d] && !sc_term_is(t->dim[d], 1))
            return false;
    return true;
}

static bool same_axes(const ScReduce *a, const ScReduce *b)
{
    return a->n_axis == b->n_axis && memcmp(a->axis, b->axis, a->n_axis * sizeof *a->axis) == 0;
}

static bool join_reduce(Grow *w, const ScNode *n, const ScType *t)
{
    const ScType *whole = sc_type_of(w->g, n->in[0]);
    ScReduce r;
    n->op->reduce(w->g, n, &r);
    if (w->leader || !r.keep || (w->reduces && !same_axes(&r, &w->over)))
        return false;
    if (w->low ? !sc_type_same_shape(whole, w->space) || !sc_type_same_shape(t, w->low)
               : !sc_type_same_shape(whole, w->space) && !sc_type_same_shape(t, w->space))
        return false;
    w->space = whole; /* members so far may all have worked on what is the low shape */
    w->low = t;
    w->reduces = true;
    w->over = r;
    return true;
}

static bool reads(const ScVal *v, uint32_t n, ScVal what)
{
    uint32_t i = 0;
    while (i < n && v[i] != what)
        i++;
    return i < n;
}

static const ScNode *leader_of(const ScGraph *g, const ScGroup *k)
{
    for (uint32_t i = 0; i < k->n; i++)
        if (is_leader(&g->node[k->member[i]]))
            return &g->node[k->member[i]];
    return NULL;
}

bool sc_group_reads_few(const ScGraph *g, const uint32_t *of, uint32_t id, const ScGroup *k)
{
    ScVal out[SC_EPILOGUE_MAX];
    uint32_t n_out = 0;
    const ScNode *lead = leader_of(g, k);
    for (uint32_t i = 0; i < k->n; i++) {
        const ScNode *n = &g->node[k->member[i]];
        if (n == lead || (lead && sc_on_way(g, lead, n)))
            continue;
        for (uint32_t o = 0; o < n->n_in; o++) {
            ScVal v = n->in[o];
            if (v < SC_FIRST || of[g->value[v].node] == id || reads(out, n_out, v))
                continue;
            if (n_out + k->n_result >= SC_EPILOGUE_MAX)
                return false;
            out[n_out++] = v;
        }
    }
    return true;
}

/* The elementwise members and node read few enough values from outside for an epilogue. */
static bool epilogue_fits(Grow *w, uint32_t node)
{
    uint32_t was = w->of[node];
    sc_buf_push(w->member, w->n, w->cap, node);
    w->of[node] = w->id;
    bool few = sc_group_reads_few(w->g, w->of, w->id,
                                  &(ScGroup){.n = w->n, .member = w->member, .n_result = 1});
    w->of[node] = was;
    w->n--;
    return few;
}

/* Instructions of the node's body, about. */
static uint32_t cost(const ScGraph *g, const ScNode *n)
{
    ScArena *a = sc_arena_new();
    ScBody b = {.arena = a, .g = g, .compute = SCRT_F32, .integer = SCRT_I32};
    ScX *x = sc_array(a, ScX, n->n_in), y[SC_MAX_OUT];
    for (uint32_t i = 0; i < n->n_in; i++)
        x[i] = sc_x_in(&b, i, scrt_dtype_is_float(sc_type_of(g, n->in[i])->dtype) ? SC_XF : SC_XI);
    n->op->lower.body(&b, n, x, y);
    sc_arena_free(a);
    return b.n;
}

/* Whether the nodes on the way into operand v belong into the leader's kernel, all of them: nothing
 * else reads them; they are cheap, for each thread does them anew for the rows that it reads; and
 * what they begin with lies in memory. What a kernel has just computed is better dealt with there.
 */
static bool way_pays(const ScGraph *g, const ScUses *use, ScVal v)
{
    enum { COST = 24 };
    uint32_t n = 0, all = 0;
    for (; n < SC_WAY_MAX && sc_way_from(g, sc_def(g, v)) != SC_POISON; n++) {
        all += cost(g, sc_def(g, v));
        if (use->first[v + 1] - use->first[v] != 1 || all > COST)
            return false;
        v = sc_way_from(g, sc_def(g, v));
    }
    ScClass cls = sc_def(g, v)->op->lower.cls;
    return cls == SC_SOURCE || cls == SC_VIEW;
}

/* A product reads its rows once for each row of the result, and row by row. */
static bool reads_rows_once(const ScGraph *g, const ScNode *product)
{
    const ScType *t = sc_type_of(g, product->in[0]), *y = sc_type_of(g, product->first);
    ScContract c;
    product->op->contract(g, product, &c);
    bool once = !c.trans_a && t->rank == y->rank;
    for (uint32_t d = 0; once && d + 1 < t->rank; d++)
        once = t->dim[d] == y->dim[d];
    return once;
}

/* Node n, which is on the way into the leader, joins where that pays. */
static bool join_way(const Grow *w, const ScNode *n)
{
    const ScNode *a = w->leader;
    if (a->op->contract && !reads_rows_once(w->g, a))
        return false;
    for (uint32_t i = 0; i < a->op->n_way; i++)
        if (sc_is_on_way_to(w->g, a->in[i], n))
            return way_pays(w->g, &w->use, a->in[i]);
    return false;
}

/* Whether node may join, and what the group is afterwards. */
static bool join(Grow *w, uint32_t node)
{
    const ScNode *n = &w->g->node[node];
    if (n->n_out != 1 || w->forbidden[node] == w->id + 1 || w->of[node] != NO_GROUP)
        return false;
    if (w->leader && sc_on_way(w->g, w->leader, n))
        return join_way(w, n);
    if (!hidden(w, node))
        return false;
    const ScType *t = type_of(w, node);
    if (n->op->lower.cls == SC_REDUCE)
        return join_reduce(w, n, t);
    if (is_leader(n)) {
        if (w->leader || w->low || !sc_class_is(n->op->lower.cls, SC_EPILOGUE) ||
            !sc_type_same_shape(t, w->space) || !epilogue_fits(w, node))
            return false;
        w->leader = n;
        return true;
    }
    if (n->op->lower.cls != SC_MAP || (w->leader && !epilogue_fits(w, node)))
        return false;
    if (sc_type_same_shape(t, w->space) || (w->low && sc_type_same_shape(t, w->low)))
        return true;
    if (w->low || w->leader || !lowered(t, w->space))
        return false;
    w->low = t; /* in the hope of the reduction that it comes from: see grow */
    return true;
}

static void add(Grow *w, uint32_t node)
{
    const ScNode *n = &w->g->node[node];
    w->of[node] = w->id;
    sc_buf_push(w->member, w->n, w->cap, node);
    uint32_t n_in = !is_leader(n) ? n->n_in : n->op->n_way < n->n_in ? n->op->n_way : n->n_in;
    for (uint32_t i = 0; i < n_in; i++) {
        uint32_t def = w->g->value[n->in[i]].node;
        if (n->in[i] < SC_FIRST || w->seen[def] == w->stamp)
            continue;
        w->seen[def] = w->stamp;
        sc_buf_push(w->pending, w->n_pending, w->cap_pending, def);
    }
}

/* Takes the candidate that comes last in the graph: all its users are decided. */
static uint32_t take_last(Grow *w)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < w->n_pending; i++)
        best = w->pending[i] > w->pending[best] ? i : best;
    uint32_t node = w->pending[best];
    w->pending[best] = w->pending[--w->n_pending];
    return node;
}

static void grow_once(Grow *w, uint32_t root)
{
    const ScNode *n = &w->g->node[root];
    w->stamp++;
    w->n = w->n_pending = 0;
    w->space = type_of(w, root);
    w->low = NULL;
    w->leader = is_leader(n) ? n : NULL;
    w->reduces = n->op->lower.cls == SC_REDUCE;
    if (w->reduces) {
        n->op->reduce(w->g, n, &w->over);
        w->low = w->space;
        w->space = sc_type_of(w->g, n->in[0]);
    }
    add(w, root);
    while (w->n_pending > 0) {
        uint32_t node = take_last(w);
        if (w->n < SC_GROUP_MAX && join(w, node))
            add(w, node);
    }
}

/* Members of the low shape joined in the hope of a reduction; where none came they leave again. */
static bool disappointed(Grow *w)
{
    if (!w->low || w->reduces)
        return false;
    for (uint32_t i = 0; i < w->n; i++) {
        w->of[w->member[i]] = NO_GROUP;
        if (!sc_type_same_shape(type_of(w, w->member[i]), w->space))
            w->forbidden[w->member[i]] = w->id + 1;
    }
    return true;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static ScGroup grow(Grow *w, uint32_t root, ScArena *a)
{
    do
        grow_once(w, root);
    while (disappointed(w));
    ScClass cls = w->leader ? w->leader->op->lower.cls : w->reduces ? SC_REDUCE : SC_MAP;
    qsort(w->member, w->n, sizeof *w->member, ascending);
    const ScNode *n = &w->g->node[root];
    ScGroup ret = {
        .root = root,
        .cls = cls,
        .n = w->n,
        .member = sc_memdup(a, w->member, w->n * sizeof *w->member),
        .n_result = n->n_out,
        .result = sc_array(a, ScVal, n->n_out),
        .space = w->space,
        .low = w->low,
        .over = w->over,
    };
    for (uint32_t i = 0; i < n->n_out; i++)
        ret.result[i] = n->first + i;
    return ret;
}

ScGroups sc_fuse_groups(const ScGraph *g, ScArena *a)
{
    ScGroups ret = {.of = sc_array(a, uint32_t, g->n_node)};
    Grow w = {
        .g = g,
        .use = sc_uses(g, a),
        .of = ret.of,
        .seen = sc_array(a, uint32_t, g->n_node),
        .forbidden = sc_array(a, uint32_t, g->n_node),
    };
    ret.group = sc_array(a, ScGroup, g->n_node);
    for (uint32_t i = 0; i < g->n_node; i++)
        ret.of[i] = NO_GROUP;
    for (uint32_t i = g->n_node; i-- > 0;) {
        const ScNode *n = &g->node[i];
        if (ret.of[i] != NO_GROUP || n->op->lower.cls == SC_SOURCE || n->op->lower.cls == SC_STEP ||
            sc_is_view(n))
            continue;
        w.id = ret.n;
        ret.group[ret.n++] = grow(&w, i, a);
    }
    sc_buf_free(w.pending);
    sc_buf_free(w.member);
    return ret;
}
