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
    ScVal *env; /* old value -> its buffer, 0 while nobody asked for it */
    ScGroups groups;
} Fuse;

/* A kernel under construction. */
typedef struct Kernel {
    Fuse *f;
    ScBuild b;
    const char *cls;
    const ScLoc *loc;     /* of all nodes so far, or NULL */
    ScVal *outer, *inner; /* [n_in] operands and the inputs that they are inside */
    uint32_t n_in, cap_outer, n_inner, cap_inner;
} Kernel;

static void annotate(ScBuild *b, const ScGraph *g, ScVal v, ScVal image)
{
    sc_set_exp(b, image, g->value[v].exp);
    sc_set_g(b, image, g->value[v].g);
    sc_set_amax(b, image, g->value[v].amax);
}

/* --- One kernel ------------------------------------------------------------------------------ */

static void kernel_begin(Fuse *f, Kernel *k, const char *cls)
{
    *k = (Kernel){.f = f, .cls = cls};
    sc_build_init(&k->b, f->b.cx, cls, NULL);
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
    ScVal inner = sc_input(&k->b, NULL, from->type, from->exp);
    sc_set_g(&k->b, inner, from->g);
    sc_set_amax(&k->b, inner, from->amax);
    sc_buf_push(k->outer, k->n_in, k->cap_outer, outer);
    sc_buf_push(k->inner, k->n_inner, k->cap_inner, inner);
    return inner;
}

/* Node n of the old graph on operands inside the kernel. */
static void kernel_node(Kernel *k, const ScNode *n, const ScVal *in, ScVal *ret_out)
{
    sc_node(&k->b, n->op, n->attr, NULL, n->n_in, in, n->n_out, ret_out);
    for (uint32_t i = 0; i < n->n_out; i++)
        annotate(&k->b, k->f->g, n->first + i, ret_out[i]);
    k->loc = sc_loc_join(k->b.cx, k->loc, n->loc);
}

/* Closes the kernel with inside[0 ..] as the images of node n's results, and maps these. */
static void kernel_end(Kernel *k, const ScNode *n, const ScVal *inside)
{
    Fuse *f = k->f;
    for (uint32_t i = 0; i < n->n_out; i++)
        sc_output(&k->b, sc_intern(k->b.cx, sc_printf(f->a, "y%u", i)), inside[i]);
    ScGraph *sub = sc_build_end(&k->b);
    if (sub) {
        f->b.at = k->loc;
        sc_node(&f->b, &sc_op_kernel, SC_ATTRS(SC_STR(sc_intern(k->b.cx, k->cls))), &sub, k->n_in,
                k->outer, n->n_out, &f->env[n->first]);
    }
    for (uint32_t i = 0; sub && i < n->n_out; i++) {
        annotate(&f->b, f->g, n->first + i, f->env[n->first + i]);
        sc_set_name(&f->b, f->env[n->first + i], f->g->value[n->first + i].name);
    }
    sc_buf_free(k->outer);
    sc_buf_free(k->inner);
}

/* --- Views ----------------------------------------------------------------------------------- */

static void need(Fuse *f, ScVal v);

/* The views that stand over a buffer up to v, the last one first: nodes in *chain (grown), their
 * number in *n. Returns the value whose buffer it is. Makes one in the middle of a chain that
 * strides cannot say. */
static ScVal resolve(Fuse *f, ScVal v, uint32_t **chain, uint32_t *n, uint32_t *cap)
{
    const ScGraph *g = f->g;
    for (;;) {
        ScVal base = v, bad = v;
        ScView view;
        *n = 0;
        while (f->env[base] == SC_POISON && sc_is_view(sc_def(g, base))) {
            sc_buf_push(*chain, *n, *cap, g->value[base].node);
            base = sc_def(g, base)->in[0];
        }
        need(f, base);
        if (sc_view_chain(g, base, *n, *chain, &view))
            return base;
        for (uint32_t i = 1; i <= *n && bad == v; i++) /* the shortest chain that fails */
            if (!sc_view_chain(g, base, i, *chain + *n - i, &view))
                bad = g->node[(*chain)[*n - i]].in[0];
        if (bad == base) { /* not even over a plain buffer */
            const ScNode *first = &g->node[(*chain)[*n - 1]];
            sc_fail(g->cx, first->loc, SC_E_LOWER, "%s cannot be said by strides", first->op->name);
            *n = 0;
            return base;
        }
        need(f, bad);
    }
}

/* v inside the kernel: its input, and the views over that. */
static ScVal kernel_view(Kernel *k, ScVal v)
{
    uint32_t *chain = NULL, n = 0, cap = 0;
    ScVal base = resolve(k->f, v, &chain, &n, &cap);
    ScVal at = kernel_input(k, base);
    while (n > 0) {
        ScVal under = at;
        kernel_node(k, &k->f->g->node[chain[--n]], &under, &at);
    }
    sc_buf_free(chain);
    return at;
}

/* Gives old value v a buffer, unless it has one: constants come before their first use, views
 * become kernels. */
static void need(Fuse *f, ScVal v)
{
    const ScNode *n = sc_def(f->g, v);
    if (v < SC_FIRST || f->env[v] != SC_POISON)
        return;
    if (n->op->flags & SC_CONST_OP) {
        sc_copy_node(&f->b, f->g, n, NULL, &f->env[n->first]);
    } else if (sc_is_view(n)) {
        Kernel k;
        kernel_begin(f, &k, "view");
        ScVal inside = kernel_view(&k, v);
        kernel_end(&k, n, &inside);
    }
}

/* --- Groups ---------------------------------------------------------------------------------- */

static bool small_const(const ScGraph *g, ScVal v)
{
    int64_t dim[SCRT_MAX_RANK];
    const ScType *t = sc_type_of(g, v);
    if (!(sc_def(g, v)->op->flags & SC_CONST_OP) || !sc_type_const_dims(t, dim))
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
        annotate(&k->b, f->g, v, out);
        return out;
    }
    if (group->cls != SC_WINDOW && group->cls != SC_CONCAT)
        return kernel_view(k, v);
    need(f, v);
    return kernel_input(k, v);
}

static const char *class_name(ScClass cls)
{
    static const char *const name[] = {
        [SC_MAP] = "map",       [SC_REDUCE] = "reduce", [SC_CONTRACT] = "contract",
        [SC_WINDOW] = "window", [SC_CONCAT] = "concat", [SC_GATHER] = "gather",
    };
    return name[cls];
}

static void emit_group(Fuse *f, uint32_t id, ScVal *inner)
{
    const ScGroup *group = &f->groups.group[id];
    Kernel k;
    kernel_begin(f, &k, class_name(group->cls));
    for (uint32_t i = 0; i < group->n; i++) {
        const ScNode *n = &f->g->node[group->member[i]];
        ScVal *in = sc_array(f->a, ScVal, n->n_in);
        for (uint32_t o = 0; o < n->n_in; o++) {
            ScVal v = n->in[o];
            bool member = v >= SC_FIRST && f->groups.of[f->g->value[v].node] == id;
            in[o] = member ? inner[v] : outside(&k, group, n, v);
        }
        kernel_node(&k, n, in, &inner[n->first]);
    }
    const ScNode *root = &f->g->node[group->root];
    kernel_end(&k, root, &inner[root->first]);
}

static ScGraph *emit(ScCtx *cx, const ScGraph *g)
{
    Fuse f = {.g = g};
    f.env = sc_pass_begin(&f.b, cx, g);
    f.a = sc_pass_scratch(f.env);
    f.groups = sc_fuse_groups(g, f.a);
    ScVal *inner = sc_array(f.a, ScVal, g->n_value);
    for (uint32_t i = 0; i < g->n_node; i++) {
        uint32_t k = f.groups.of[i];
        if (k != UINT32_MAX && f.groups.group[k].root == i)
            emit_group(&f, k, inner);
    }
    for (uint32_t i = 0; i < g->n_state; i++)
        need(&f, g->state[i].next);
    for (uint32_t i = 0; i < g->n_out; i++)
        need(&f, g->out[i]);
    sc_build_flags(&f.b, g->flags | SC_G_KERNELS);
    return sc_pass_end(&f.b, f.env);
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
    (void)env;
    if (!check_lowered(cx, g))
        return NULL;
    ScGraph *kept = sc_fuse_keep_axes(cx, g);
    ScGraph *hoisted = kept ? sc_fuse_hoist(cx, kept) : NULL;
    sc_graph_free(kept);
    ScGraph *ready = hoisted ? sc_fuse_trailing(cx, hoisted) : NULL;
    ScGraph *ret = ready ? emit(cx, ready) : NULL;
    sc_graph_free(ready);
    return ret;
}
