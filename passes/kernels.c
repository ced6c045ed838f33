/* SPDX-License-Identifier: Apache-2.0 */
/* Checks the contract between fuse and codegen, clause by clause: see README.md. */
#include "passes/passes_priv.h"

typedef struct Check {
    const ScGraph *g;   /* the graph of kernels */
    const ScNode *n;    /* the kernel */
    const ScGraph *sub; /* its nested graph */
    ScClass cls;
    uint32_t n_of[SC_N_CLASS]; /* nodes of each loop class */
    uint32_t n_lead;           /* nodes that lead */
    uint32_t n_index;          /* nodes of row iota */
    const ScType *space, *low; /* see fuse_group.c; low NULL where there is none */
} Check;

#define BROKEN(c, ...) sc_fail((c)->g->cx, (c)->n->loc, SC_E_VERIFY, "kernel: " __VA_ARGS__)

/* Operands and results of the kernel are the inputs and outputs of what is in it. */
static bool check_ports(const Check *c)
{
    if (c->n->n_in != c->sub->n_in || c->n->n_out != c->sub->n_out)
        return BROKEN(c, "operands or results are not those of its graph");
    for (uint32_t i = 0; i < c->n->n_in; i++) {
        const ScValue *o = &c->g->value[c->n->in[i]], *in = &c->sub->value[c->sub->in[i]];
        if (o->type != in->type || o->exp != in->exp)
            return BROKEN(c, "operand %u is not of its input's type and exponent", i);
    }
    for (uint32_t i = 0; i < c->n->n_out; i++) {
        const ScValue *r = &c->g->value[c->n->first + i], *out = &c->sub->value[c->sub->out[i]];
        if (r->type != out->type || r->exp != out->exp)
            return BROKEN(c, "result %u is not of its output's type and exponent", i);
    }
    return c->sub->n_state == 0 || BROKEN(c, "it holds a state");
}

/* What the iteration space is: the leader's result, the first reduction's operand, or the output.
 */
static bool find_space(Check *c)
{
    c->space = sc_type_of(c->sub, c->sub->out[0]);
    for (uint32_t i = 0; i < c->sub->n_node; i++) {
        const ScNode *n = &c->sub->node[i];
        ScClass cls = n->op->lower.cls;
        c->n_of[cls]++;
        c->n_index += (n->op->flags & SC_INDEX) != 0;
        if (sc_class_is(cls, SC_LEADS)) {
            c->space = sc_type_of(c->sub, n->first);
            c->n_lead++;
        }
        if (cls == SC_REDUCE && c->n_of[cls] == 1) {
            c->space = sc_type_of(c->sub, n->in[0]);
            c->low = sc_type_of(c->sub, n->first);
        }
    }
    if (c->n_of[SC_NO_LOWERING] || c->n_of[SC_KERNEL])
        return BROKEN(c, "it holds a node without a loop");
    return true;
}

/* The class's own demand on how many nodes of each class there are. */
static bool check_counts(const Check *c)
{
    const uint32_t *n = c->n_of;
    const char *name = sc_attr(c->n, 0)->s;
    if (c->cls == SC_N_CLASS || sc_class[c->cls].facts == 0)
        return BROKEN(c, "there is no class \"%s\"", name);
    if (c->n_index > 0 && !sc_class_is(c->cls, SC_OVER_INDEX))
        return BROKEN(c, "iota stands in a %s", name);
    bool epilogue = sc_class_is(c->cls, SC_EPILOGUE);
    bool own = sc_class_is(c->cls, SC_LEADS) && !epilogue; /* results are as the node says */
    if (c->n->n_out > 1 && !own && !sc_class_is(c->cls, SC_SEVERAL))
        return BROKEN(c, "%s has several results", name);
    if (sc_class_is(c->cls, SC_LEADS))
        return (n[c->cls] == 1 && c->n_lead == 1 &&
                n[SC_REDUCE] + (epilogue ? 0 : n[SC_MAP]) == 0) ||
               BROKEN(c, "%s has another loop beside its own", name);
    if (c->cls == SC_VIEW)
        return (n[SC_VIEW] + c->n_index > 0 && c->n_lead + n[SC_MAP] + n[SC_REDUCE] == 0) ||
               BROKEN(c, "view computes something");
    return (n[c->cls] > 0 && c->n_lead + (c->cls == SC_MAP ? n[SC_REDUCE] : 0) == 0) ||
           BROKEN(c, "%s has another loop", name);
}

/* A view stands on an input, through views only, where the class lets it. */
static bool check_view(const Check *c, const ScNode *n)
{
    const ScNode *under = sc_def(c->sub, n->in[0]);
    bool input = under->op->lower.cls == SC_SOURCE && !(under->op->flags & SC_CONST_OP);
    if (!input && !sc_is_view(under))
        return BROKEN(c, "a view stands on what the kernel computes");
    if (!sc_class_is(c->cls, SC_OVER_VIEWS))
        return BROKEN(c, "a view stands in a %s", sc_class[c->cls].name);
    uint32_t chain[SC_MAX_VIEWS], k = 0;
    ScVal base = n->first;
    ScView view;
    for (; sc_is_view(sc_def(c->sub, base)); base = sc_def(c->sub, base)->in[0]) {
        if (k == SC_MAX_VIEWS)
            return BROKEN(c, "more than %d views stand on each other", SC_MAX_VIEWS);
        chain[k++] = c->sub->value[base].node;
    }
    return sc_view_chain(c->sub, base, k, chain, &view) ||
           BROKEN(c, "strides cannot say its views");
}

/* On the way into an operand of the leader. */
static bool on_way(const Check *c, const ScNode *n)
{
    return c->n_lead == 1 && sc_on_way(c->sub, sc_leader(c->sub), n);
}

/* The chain ends with what lies in memory. */
static bool check_way(const Check *c, const ScNode *n)
{
    const ScNode *under = sc_def(c->sub, sc_way_from(c->sub, n));
    ScClass cls = under->op->lower.cls;
    return cls == SC_SOURCE || cls == SC_VIEW || on_way(c, under) ||
           BROKEN(c, "more than %d nodes on the way into %s", SC_WAY_MAX, sc_class[c->cls].name);
}

static bool check_reduce(const Check *c, const ScNode *n)
{
    ScReduce r;
    n->op->reduce(c->sub, n, &r);
    if (!sc_type_same_shape(sc_type_of(c->sub, n->in[0]), c->space) ||
        !sc_type_same_shape(sc_type_of(c->sub, n->first), c->low))
        return BROKEN(c, "reductions differ in space or axes");
    for (uint32_t i = 0; i < r.n_axis; i++)
        if (r.axis[i] != c->space->rank - r.n_axis + i)
            return BROKEN(c, "a reduced axis is not among the last");
    return r.keep || BROKEN(c, "a reduction drops its axes");
}

static bool check_node(const Check *c, const ScNode *n)
{
    const ScType *t = n->n_out ? sc_type_of(c->sub, n->first) : NULL;
    if (n->op->n_sub)
        return BROKEN(c, "it holds a nested graph");
    if (n->op->flags & SC_CONST_OP)
        return sc_term_is(sc_type_count(c->g->cx, t), 1) ||
               BROKEN(c, "a constant inside has more than one element");
    if (sc_is_view(n))
        return check_view(c, n);
    if (n->op->lower.cls == SC_REDUCE)
        return check_reduce(c, n);
    if (n->op->lower.cls == SC_MAP && on_way(c, n))
        return check_way(c, n);
    if (n->op->lower.cls == SC_MAP)
        return sc_type_same_shape(t, c->space) || (c->low && sc_type_same_shape(t, c->low)) ||
               BROKEN(c, "%s works on another iteration space", n->op->name);
    for (uint32_t i = 0; sc_class_is(n->op->lower.cls, SC_LEADS) && i < n->n_in; i++) {
        ScClass under = n->in[i] == SC_ABSENT ? SC_SOURCE : sc_def(c->sub, n->in[i])->op->lower.cls;
        if (under != SC_SOURCE && under != SC_VIEW &&
            !(i < n->op->n_way && on_way(c, sc_def(c->sub, n->in[i]))))
            return BROKEN(c, "%s reads what the kernel computes", n->op->name);
    }
    return true;
}

/* What the elementwise nodes beside a leader read and the kernel's results are few enough. */
static bool check_epilogue(const Check *c)
{
    ScArena *a = sc_arena_new();
    bool *seen = sc_array(a, bool, c->sub->n_value);
    uint32_t n = c->sub->n_out;
    for (uint32_t i = 0; i < c->sub->n_node; i++) {
        const ScNode *m = &c->sub->node[i];
        for (uint32_t k = 0; k < m->n_in && m->op->lower.cls == SC_MAP && !on_way(c, m); k++) {
            ScVal v = m->in[k];
            ScClass under = v < SC_FIRST ? SC_MAP : sc_def(c->sub, v)->op->lower.cls;
            n += (under == SC_SOURCE || under == SC_VIEW) && !seen[v];
            seen[v] = true;
        }
    }
    sc_arena_free(a);
    return !sc_class_is(c->cls, SC_LEADS) || n <= SC_EPILOGUE_MAX ||
           BROKEN(c, "%u operands and results of an epilogue, more than %d", n, SC_EPILOGUE_MAX);
}

static bool check_kernel(const ScGraph *g, const ScNode *n)
{
    Check c = {.g = g, .n = n, .sub = n->sub[0], .cls = sc_class_named(sc_attr(n, 0)->s)};
    if (!check_ports(&c) || !find_space(&c) || !check_counts(&c) || !check_epilogue(&c))
        return false;
    for (uint32_t i = 0; i < c.sub->n_node; i++)
        if (!check_node(&c, &c.sub->node[i]))
            return false;
    for (uint32_t i = 0; i < c.sub->n_out; i++) {
        const ScType *t = sc_type_of(c.sub, c.sub->out[i]);
        if (sc_class_is(c.cls, SC_LEADS) && !sc_class_is(c.cls, SC_EPILOGUE))
            break; /* results are as the node says */
        if (c.n_of[SC_VIEW] != c.sub->n_node - c.n_of[SC_SOURCE] &&
            !sc_type_same_shape(t, c.space) && !(c.low && sc_type_same_shape(t, c.low)))
            return BROKEN(&c, "result %u is not of the iteration space", i);
    }
    return true;
}

bool sc_verify_kernels(const ScGraph *g)
{
    bool ok = true;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        for (uint32_t k = 0; n->op->control && k < n->op->n_sub; k++)
            ok = sc_verify_kernels(n->sub[k]) && ok;
        if (n->op->lower.cls == SC_SOURCE || n->op->lower.cls == SC_STEP)
            continue;
        if (n->op->lower.cls != SC_KERNEL)
            ok = sc_fail(g->cx, n->loc, SC_E_VERIFY, "%s is no kernel", n->op->name);
        else
            ok = check_kernel(g, n) && ok;
    }
    return ok;
}
