/* SPDX-License-Identifier: Apache-2.0 */
/* Groups become kernels: nodes of row `kernel` with a nested graph. README.md has the contract that
 * codegen builds on; kernels.c checks it.
 *
 * A view is no member of a group. It goes into each kernel that reads through it, over that
 * kernel's input, where strides can say the whole chain; where they cannot, or where somebody needs
 * the view's elements in a buffer, it becomes a kernel of its own. Inside a kernel nothing has a
 * name or a location, so that equal kernels look equal; the kernel's node carries the locations of
 * all it was made of. */

#include "passes/passes_priv.h"

typedef struct Fuse {
    ScBuild b;
    const ScGraph *g;
    ScArena *a;
    ScVal *env;      /* old value -> its buffer, 0 while nobody asked for it */
    ScVal *inner;    /* old value -> its image in the kernel at hand */
    uint32_t *depth; /* [n_value] of views that stand on each other, 0: no view */
    ScGroups groups;
} Fuse;

/* A kernel under construction. */
typedef struct Kernel {
    Fuse *f;
    ScBuild b;
    const char *cls;
    bool indexes;         /* row iota may stand in it: its loop knows where it is */
    const ScLoc **loc;    /* [n_loc] of the nodes so far */
    ScVal *outer, *inner; /* [n_in] operands and the inputs that they are inside */
    uint32_t n_in, cap_outer, n_inner, cap_inner, n_loc, cap_loc;
} Kernel;

/* --- One kernel ------------------------------------------------------------------------------ */

static void kernel_begin(Fuse *f, Kernel *k, ScClass cls)
{
    *k = (Kernel){.f = f, .cls = sc_class[cls].name};
    k->indexes = sc_class_is(cls, SC_OVER_INDEX);
    sc_build_init(&k->b, f->b.cx, k->cls, NULL);
    sc_build_guarded_outside(&k->b);
    sc_build_flags(&k->b, f->g->flags);
}

/* The input that carries the buffer of old value v. */
static ScVal kernel_input(Kernel *k, ScVal v)
{
    ScVal outer = k->f->env[v];
    for (uint32_t i = 0; i < k->n_in; i++)
        if (k->outer[i] == outer)
            return k->inner[i];
    const ScValue *from = &k->f->g->value[v];
    ScVal inner = sc_annotated(&k->b, sc_input(&k->b, NULL, from->type, from->exp), from);
    sc_buf_push(k->outer, k->n_in, k->cap_outer, outer);
    sc_buf_push(k->inner, k->n_inner, k->cap_inner, inner);
    return inner;
}

/* Node n of the old graph on operands inside the kernel. */
static void kernel_node(Kernel *k, const ScNode *n, const ScVal *in, ScVal *ret_out)
{
    sc_node(&k->b, n->op, n->attr, NULL, n->n_in, in, n->n_out, ret_out);
    for (uint32_t i = 0; i < n->n_out; i++)
        sc_annotated(&k->b, ret_out[i], &k->f->g->value[n->first + i]);
    sc_buf_push(k->loc, k->n_loc, k->cap_loc, n->loc);
}

/* Closes the kernel, whose results are these old values, inside[v] inside it, and maps them. */
static void kernel_end(Kernel *k, uint32_t n, const ScVal *result, const ScVal *inside)
{
    Fuse *f = k->f;
    ScVal *out = sc_array(f->a, ScVal, n);
    for (uint32_t i = 0; i < n; i++)
        sc_output(&k->b, sc_intern(k->b.cx, sc_printf(f->a, "y%u", i)), inside[result[i]]);
    ScGraph *sub = sc_build_end(&k->b);
    if (sub) {
        f->b.at = sc_loc_join_all(k->b.cx, k->n_loc, k->loc);
        sc_node(&f->b, &sc_op_kernel, SC_ATTRS(SC_STR(sc_intern(k->b.cx, k->cls))), &sub, k->n_in,
                k->outer, n, out);
    }
    for (uint32_t i = 0; sub && i < n; i++) {
        f->env[result[i]] = out[i];
        sc_annotated(&f->b, out[i], &f->g->value[result[i]]);
        sc_set_name(&f->b, out[i], f->g->value[result[i]].name);
    }
    sc_buf_free(k->outer);
    sc_buf_free(k->inner);
    sc_buf_free(k->loc);
}

/* --- Views ----------------------------------------------------------------------------------- */

/* The views that stand over a buffer up to a value, the last one first. */
typedef struct Chain {
    uint32_t n, node[SC_MAX_VIEWS];
    ScVal base; /* whose buffer it is; or row iota, which needs none where a kernel indexes */
} Chain;

static bool is_index(const ScGraph *g, ScVal v)
{
    return sc_def(g, v)->op->flags & SC_INDEX;
}

/* Finds v's chain over the next buffer. Returns SC_POISON, or the value that must get a buffer
 * first: v itself where it is a constant. */
static ScVal find_chain(const Fuse *f, ScVal v, bool indexes, Chain *chain)
{
    const ScGraph *g = f->g;
    ScVal base = v;
    ScView view;
    chain->n = 0;
    for (; f->env[base] == SC_POISON && sc_is_view(sc_def(g, base));
         base = sc_def(g, base)->in[0]) {
        if (base != v && f->depth[base] % SC_MAX_VIEWS == 0)
            return base;
        chain->node[chain->n++] = g->value[base].node;
    }
    chain->base = base;
    if (f->env[base] == SC_POISON && !(indexes && is_index(g, base)))
        return base;
    for (uint32_t i = 1; i <= chain->n; i++) { /* the shortest chain that fails */
        const ScNode *last = &g->node[chain->node[chain->n - i]];
        if (sc_view_chain(g, base, i, chain->node + chain->n - i, &view))
            continue;
        if (i > 1)
            return last->in[0];
        sc_fail(g->cx, last->loc, SC_E_LOWER, "%s cannot be said by strides", last->op->name);
        chain->n = 0;
    }
    return SC_POISON;
}

/* The last value of a chain inside the kernel: its input or iota, and the views over that. */
static ScVal kernel_view(Kernel *k, const Chain *chain)
{
    const ScGraph *g = k->f->g;
    ScVal at;
    if (k->indexes && is_index(g, chain->base))
        kernel_node(k, sc_def(g, chain->base), NULL, &at);
    else
        at = kernel_input(k, chain->base);
    for (uint32_t i = chain->n; i-- > 0;) {
        ScVal under = at;
        kernel_node(k, &g->node[chain->node[i]], &under, &at);
    }
    return at;
}

/* Gives old value v a buffer: a constant's copy, or the kernel of the view at the end of this
 * chain. False after a mistake. */
static bool store(Fuse *f, ScVal v, const Chain *chain)
{
    const ScNode *n = sc_def(f->g, v);
    if (n->op->flags & SC_CONST_OP) {
        sc_copy_node(&f->b, f->g, n, NULL, &f->env[v]);
    } else if (sc_is_view(n) || is_index(f->g, v)) {
        Kernel k;
        kernel_begin(f, &k, SC_VIEW);
        f->inner[v] = kernel_view(&k, chain);
        kernel_end(&k, 1, &v, f->inner);
    }
    return f->env[v] != SC_POISON;
}

/* Finds v's chain over a buffer, after making those that are missing, the lowest first; indexes:
 * for a kernel that does. Those that are made are views, which do. */
static void resolve(Fuse *f, ScVal v, bool indexes, Chain *ret)
{
    ScVal *waiting = NULL;
    uint32_t n = 0, cap = 0;
    bool ok = true, found = false;
    while (ok && !found) {
        ScVal top = n ? waiting[n - 1] : v, lacks = find_chain(f, top, indexes || n > 0, ret);
        if (lacks != SC_POISON && lacks != top) {
            sc_buf_push(waiting, n, cap, lacks);
        } else if (n || lacks == top) {
            ok = store(f, top, ret);
            n -= n > 0;
        } else {
            found = true;
        }
    }
    if (!ok) /* reported; the kernel absorbs it */
        *ret = (Chain){.base = v};
    sc_buf_free(waiting);
}

/* Gives old value v a buffer, unless it has one. */
static void need(Fuse *f, ScVal v)
{
    Chain chain;
    if (v < SC_FIRST || f->env[v] != SC_POISON)
        return;
    resolve(f, v, true, &chain);
    if (f->env[v] == SC_POISON)
        store(f, v, &chain);
}

/* --- Groups ---------------------------------------------------------------------------------- */

/* One that code can say: a string is in the weights. */
static bool small_const(const ScGraph *g, ScVal v)
{
    int64_t dim[SCRT_MAX_RANK];
    const ScType *t = sc_type_of(g, v);
    if (!(sc_def(g, v)->op->flags & SC_CONST_OP) || t->dtype == SCRT_STRING ||
        !sc_type_const_dims(t, dim))
        return false;
    for (uint32_t d = 0; d < t->rank; d++)
        if (dim[d] != 1)
            return false;
    return true;
}

/* A constant of one element, without its blob's name: that is not what a kernel depends on. */
static ScVal inline_const(Kernel *k, ScVal v)
{
    const ScValue *value = &k->f->g->value[v];
    const ScBlob *blob = sc_attr(sc_def(k->f->g, v), 0)->blob;
    int64_t one[SCRT_MAX_RANK];
    for (uint32_t d = 0; d < SCRT_MAX_RANK; d++)
        one[d] = 1;
    if (blob->data)
        blob = sc_blob(k->b.cx, NULL, blob->dtype, blob->rank, one, blob->data);
    return sc_const_shaped(&k->b, blob, value->type->dtype, value->type->rank, one, value->exp);
}

/* Operand v of a member, which is computed outside the group. */
static ScVal outside(Kernel *k, const ScGroup *group, const ScNode *member, ScVal v)
{
    Fuse *f = k->f;
    if (v == SC_ABSENT)
        return v;
    if (member->op->lower.cls == SC_MAP && small_const(f->g, v)) {
        ScVal out = inline_const(k, v);
        sc_annotated(&k->b, out, &f->g->value[v]);
        return out;
    }
    if (sc_class_is(group->cls, SC_OVER_VIEWS)) {
        Chain chain;
        resolve(f, v, k->indexes, &chain);
        return kernel_view(k, &chain);
    }
    need(f, v);
    return kernel_input(k, v);
}

static void emit_group(Fuse *f, uint32_t id)
{
    const ScGroup *group = &f->groups.group[id];
    Kernel k;
    kernel_begin(f, &k, group->cls);
    for (uint32_t i = 0; i < group->n; i++) {
        const ScNode *n = &f->g->node[group->member[i]];
        ScVal *in = sc_array(f->a, ScVal, n->n_in);
        for (uint32_t o = 0; o < n->n_in; o++) {
            ScVal v = n->in[o];
            bool member = v >= SC_FIRST && f->groups.of[f->g->value[v].node] == id;
            in[o] = member ? f->inner[v] : outside(&k, group, n, v);
        }
        kernel_node(&k, n, in, &f->inner[n->first]);
    }
    kernel_end(&k, group->n_result, group->result, f->inner);
}

/* A step stands between kernels as it is; its operands need buffers. */
static void emit_step(Fuse *f, const ScNode *n)
{
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i] != SC_ABSENT)
            need(f, n->in[i]);
    sc_copy_node(&f->b, f->g, n, sc_map(f->env, n), &f->env[n->first]);
}

/* Old value v is a state that grows, or the next value of one: it lies with room to grow. */
static bool has_room(const ScGraph *g, ScVal v)
{
    for (uint32_t i = 0; i < g->n_state; i++) {
        const ScState *s = &g->state[i];
        if (s->grows && s->next != s->past && (s->next == v || s->past == v))
            return true;
    }
    return false;
}

/* A value like old value v, in memory of its own: what leaves lies densely. Codegen makes nothing
 * of it where v does too. */
static ScVal apart(Fuse *f, ScVal v)
{
    const ScType *t = sc_type_of(f->g, v);
    ScVal under, was = f->env[v];
    Kernel k;
    kernel_begin(f, &k, SC_VIEW);
    under = kernel_input(&k, v);
    sc_node(&k.b, &sc_op_reshape, SC_ATTRS(SC_TERMS(t->rank, t->dim)), NULL, 1, &under, 1,
            &f->inner[v]);
    sc_annotated(&k.b, f->inner[v], &f->g->value[v]);
    sc_buf_push(k.loc, k.n_loc, k.cap_loc, sc_def(f->g, v)->loc);
    kernel_end(&k, 1, &v, f->inner);
    ScVal ret = f->env[v];
    f->env[v] = was;
    return ret;
}

static ScGraph *emit(ScCtx *cx, const ScGraph *g)
{
    Fuse f = {.g = g};
    f.env = sc_pass_begin(&f.b, cx, g);
    f.a = sc_pass_scratch(f.env);
    f.groups = sc_fuse_groups(g, f.a);
    sc_fuse_join(g, &f.groups, f.a);
    f.depth = sc_array(f.a, uint32_t, g->n_value);
    for (uint32_t i = 0; i < g->n_node; i++)
        if (sc_is_view(&g->node[i]))
            f.depth[g->node[i].first] = f.depth[g->node[i].in[0]] + 1;
    f.inner = sc_array(f.a, ScVal, g->n_value);
    for (uint32_t i = 0; i < g->n_node; i++) {
        uint32_t k = f.groups.of[i];
        if (g->node[i].op->lower.cls == SC_STEP)
            emit_step(&f, &g->node[i]);
        if (k != UINT32_MAX && f.groups.group[k].root == i)
            emit_group(&f, k);
    }
    for (uint32_t i = 0; i < g->n_state; i++)
        need(&f, g->state[i].next);
    ScVal *out = sc_array(f.a, ScVal, g->n_out + 1);
    for (uint32_t i = 0; i < g->n_out; i++) {
        need(&f, g->out[i]);
        out[i] = has_room(g, g->out[i]) ? apart(&f, g->out[i]) : f.env[g->out[i]];
    }
    sc_build_flags(&f.b, g->flags | SC_G_KERNELS);
    return sc_pass_end_as(&f.b, f.env, out, 0, NULL);
}

/* Every node but views and sources belongs to a loop class that kernels have. */
static bool check_lowered(ScCtx *cx, const ScGraph *g)
{
    bool ok = true;
    for (uint32_t i = 0; i < g->n_node; i++)
        if (g->node[i].op->lower.cls == SC_NO_LOWERING)
            ok = sc_fail(cx, g->node[i].loc, SC_E_LOWER, "%s", g->node[i].op->name);
    return ok;
}

ScGraph *sc_pass_fuse(ScCtx *cx, const ScGraph *g, const ScPassEnv *env)
{
    if (!check_lowered(cx, g))
        return NULL;
    /* Hoisted twice: a cast goes before the view that flattens a product's rows, and what follows
     * the product before the one that restores them. */
    static ScGraph *(*const prepare[])(ScCtx *, const ScGraph *) = {sc_fuse_forms, sc_fuse_hoist,
                                                                    sc_fuse_rows, sc_fuse_hoist};
    ScGraph *ready = NULL;
    for (uint32_t i = 0; i < sizeof prepare / sizeof *prepare && (i == 0 || ready); i++) {
        ScGraph *next = prepare[i](cx, i == 0 ? g : ready);
        sc_graph_free(ready);
        ready = next;
    }
    ready = ready ? sc_fuse_trailing(cx, ready) : NULL;
    ScGraph *ret = ready ? emit(cx, ready) : NULL;
    sc_graph_free(ready);
    return sc_pass_inside(cx, ret, sc_pass_fuse, env);
}
