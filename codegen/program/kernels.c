/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of a graph: equal ones are compiled once, and so are many that differ in numbers
 * alone (share.c), each by the emitter of its class. */
#include "codegen/loops/loops.h"
#include "codegen/product/product.h"
#include "codegen/program/program.h"

#include <string.h>

static const CgClass *class_of(const ScNode *n)
{
    static const CgClass *const emitter[SC_N_CLASS + 1] = {
        [SC_MAP] = &cg_map,           [SC_REDUCE] = &cg_reduce,
        [SC_CONTRACT] = &cg_contract, [SC_CONV] = &cg_conv,
        [SC_POOL] = &cg_pool,         [SC_VIEW] = &cg_view,
        [SC_CONCAT] = &cg_concat,     [SC_GATHER] = &cg_gather,
        [SC_SCAN] = &cg_scan,         [SC_ATTENTION] = &cg_attention,
        [SC_CALL] = &cg_call,
    };
    return emitter[cg_class_of(n)];
}

static const char *origins(ScArena *a, const ScLoc *loc)
{
    ScStr s = {0};
    for (uint32_t i = 0; i < loc->n; i++)
        sc_str_addf(&s, "%s%s", i ? "," : "", loc->origin[i].name);
    return sc_str_keep(&s, a);
}

static bool same_lay(uint32_t n, const CgLay *a, const CgLay *b)
{
    for (uint32_t i = 0; i < n; i++)
        if (a[i].pitch != b[i].pitch || (a[i].pitch && a[i].axis != b[i].axis))
            return false;
    return true;
}

static bool same_placed(const CgFunc *a, const CgFunc *b)
{
    if (!a->placed || !b->placed)
        return !a->placed && !b->placed;
    return memcmp(a->placed, b->placed, sc_leader(a->sub)->n_in * sizeof *a->placed) == 0;
}

static bool same_target(const CgTarget *a, const CgTarget *b)
{
    return a == b || (strcmp(a->cpu, b->cpu) == 0 && strcmp(a->features, b->features) == 0);
}

static bool same(const CgFunc *a, const CgFunc *b)
{
    if (a->trait != b->trait || a->n_in != b->n_in || a->n_out != b->n_out ||
        class_of(a->node) != class_of(b->node) || a->alias != b->alias ||
        !same_target(a->target, b->target))
        return false;
    for (uint32_t i = 0; i < a->n_in; i++) {
        if (!a->const_in[i] != !b->const_in[i])
            return false;
    }
    return a->hash == b->hash && same_lay(a->n_in, a->lay_in, b->lay_in) &&
           same_lay(a->n_out, a->lay_out, b->lay_out) && sc_graph_equal(a->sub, b->sub, NULL) &&
           same_placed(a, b);
}

/* Of what the kernel computes; operands are checked by what reads them (cg_access). */
static bool check_types(CgModule *m, const CgFunc *f)
{
    const ScGraph *g = f->sub;
    for (ScVal v = SC_FIRST; v < g->n_value; v++) {
        if (sc_def(g, v)->op->flags & SC_BARRIER)
            continue;
        ScrtDtype t = sc_type_of(g, v)->dtype;
        bool is_packed = scrt_dtype_bits(t) < 8;
        if (is_packed && class_of(f->node) == &cg_call)
            continue; /* the runtime's functions know all numbers */
        if (!cg_type_ok(m, f->node->loc, t))
            return false;
    }
    return true;
}

/* The layout of a value as kernel k knows it: its pitch is one of the kernel's parameters. */
static CgLay formal_lay(CgModule *m, CgKernel *k, ScVal v)
{
    CgLay lay = k->region->lay[v];
    lay.pitch = lay.pitch ? cg_formal_pitch(m, &k->formal, lay.pitch) : NULL;
    return lay;
}

static CgFunc *describe(CgModule *m, CgKernel *k, const ScGraph *sub)
{
    const CgRegion *r = k->region;
    const ScGraph *g = r->g;
    const ScNode *n = k->node;
    CgFunc *f = sc_new(m->arena, CgFunc);
    const ScNode **c = sc_array(m->arena, const ScNode *, n->n_in + 1);
    *f = (CgFunc){.g = g, .node = n, .sub = sub, .name = k->name, .const_in = c};
    f->target = m->kept_target;
    f->n_in = n->n_in;
    f->n_out = n->n_out;
    f->hash = sc_graph_hash(sub);
    f->pack = sc_array(m->arena, CgPack, n->n_in + 1);
    f->alias = cg_is_alias(r, n->first);
    f->placed = r->placed[n - g->node];
    CgLay *in = sc_array(m->arena, CgLay, n->n_in + n->n_out), *out = in + n->n_in;
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ScNode *def = sc_def(g, n->in[i]);
        c[i] = def->op->flags & SC_CONST_OP ? def : NULL;
        in[i] = formal_lay(m, k, n->in[i]);
    }
    for (uint32_t i = 0; i < n->n_out; i++)
        out[i] = formal_lay(m, k, n->first + i);
    f->lay_in = in;
    f->lay_out = out;
    return f;
}

static CgFunc **place_of(const CgKernels *all, uint64_t hash)
{
    return &all->place[hash & (all->n_place - 1)];
}

/* The function for a kernel: an earlier equal one, or f itself. */
static CgFunc *function_for(CgModule *m, CgKernels *all, CgFunc *f, ScGraph *sub)
{
    const CgClass *c = class_of(f->node);
    if (!c) {
        sc_fail(m->cx, f->node->loc, SC_E_LOWER, "a kernel of class %s", sc_attr(f->node, 0)->s);
        return NULL;
    }
    if (!check_types(m, f))
        return NULL;
    f->trait = c->trait ? c->trait(m, f) : 0;
    CgFunc **first = place_of(all, f->hash);
    for (CgFunc *x = *first; x; x = x->next) {
        if (same(x, f))
            return x;
    }
    f->next = *first;
    *first = f;
    all->sub[all->n_known] = sub;
    all->known[all->n_known++] = f;
    return f;
}

static bool add_kernel(CgModule *m, CgKernels *all, const CgRegion *r, const ScNode *n)
{
    CgKernel *k = &all->k[all->n];
    k->node = n;
    k->region = r;
    k->name = sc_printf(m->arena, "k%u", all->n++);
    k->from = origins(m->arena, n->loc);
    ScGraph *sub = cg_formal(m, n->sub[0], &k->formal);
    if (!sub)
        return false;
    CgFunc *f = describe(m, k, sub);
    k->f = function_for(m, all, f, sub);
    if (k->f != f)
        sc_graph_free(sub);
    return k->f;
}

/* --- Code ------------------------------------------------------------------------------------ */

static bool plan_all(CgModule *m, uint32_t n, CgFunc **f, CgShape *ret)
{
    bool ok = true;
    for (uint32_t i = 0; i < n; i++) {
        const CgClass *c = class_of(f[i]->node);
        if (!c->plan)
            continue;
        cg_shape_word(&ret[i], (uintptr_t)c);
        cg_shape_word(&ret[i], f[i]->n_in);
        for (uint32_t k = 0; k < f[i]->n_in; k++)
            cg_shape_word(&ret[i], f[i]->const_in[k] != NULL);
        uint32_t before = ret[i].n_word;
        ok = c->plan(m, f[i], &ret[i]) && ok;
        bool alone = ret[i].n_word == before;
        cg_shape_any(&ret[i], &f[i]->scratch);
        cg_shape_any(&ret[i], &f[i]->scratch_thread);
        ret[i].n_word = alone ? 0 : ret[i].n_word;
    }
    return ok;
}

static bool emit_all(CgModule *m, CgKernels *all, uint32_t from)
{
    bool ok = true;
    for (uint32_t i = from; i < all->n_known; i++) {
        CgFunc *f = all->known[i];
        if (f->general && f->general != f)
            continue;
        f->index = all->n_fn;
        all->fn[all->n_fn++] = f;
        ok = class_of(f->node)->emit(m, f) && ok;
    }
    return ok;
}

/* The functions of an entry's kernels that no earlier one has. */
static bool make_functions(CgModule *m, CgKernels *all, uint32_t from)
{
    uint32_t n = all->n_known - from;
    m->plans = sc_arena_new();
    CgShape *shape = sc_array(m->plans, CgShape, n + 1);
    bool ok = plan_all(m, n, all->known + from, shape);
    if (ok)
        cg_share(m, n, all->known + from, shape);
    for (uint32_t i = 0; i < n; i++) {
        sc_buf_free(shape[i].word);
        sc_buf_free(shape[i].term);
    }
    ok = ok && emit_all(m, all, from);
    sc_arena_free(m->plans);
    m->plans = NULL;
    return ok;
}

/* No entry comes that could ask whether its kernels are equal to those that others serve. */
static void forget_served(CgKernels *all)
{
    for (uint32_t i = 0; i < all->n_known; i++)
        if (all->known[i]->general && all->known[i]->general != all->known[i]) {
            sc_graph_free(all->sub[i]);
            all->sub[i] = NULL;
        }
}

/* Kernels whose function is served by a general one tell it their own numbers. */
static void use_general(CgModule *m, CgKernels *all, uint32_t from)
{
    for (uint32_t i = from; i < all->n; i++) {
        CgKernel *k = &all->k[i];
        const CgFunc *f = k->f;
        if (!f->general)
            continue;
        cg_formal_own(m, &k->formal, f->n_own, f->own_name, f->own);
        k->f = f->general;
    }
}

static uint32_t count_kernels(const ScGraph *g)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->n_node; i++) {
        n += g->node[i].op->lower.cls == SC_KERNEL;
        for (uint32_t k = 0; g->node[i].op->control && k < g->node[i].op->n_sub; k++)
            n += count_kernels(g->node[i].sub[k]);
    }
    return n;
}

static void init_region(CgModule *m, CgRegion *r, const ScGraph *g, CgRegion *outer,
                        const ScNode *node)
{
    *r = (CgRegion){.g = g, .outer = outer, .node = node};
    r->lay = outer ? sc_array(m->arena, CgLay, g->n_value) : m->lay;
    r->within = sc_array(m->arena, CgWithin, g->n_value);
    r->placed = outer ? sc_array(m->arena, const bool *, g->n_node + 1) : m->placed;
    r->of = sc_array(m->arena, uint32_t, g->n_node + 1);
    r->sub = sc_array(m->arena, CgRegion *, g->n_node + 1);
    cg_find_late(m, r);
    cg_places(m, r);
}

static bool add_region(CgModule *m, CgKernels *all, CgRegion *r);

static bool add_nested(CgModule *m, CgKernels *all, CgRegion *r, uint32_t i)
{
    const ScNode *n = &r->g->node[i];
    bool ok = true;
    r->sub[i] = sc_array(m->arena, CgRegion, n->op->n_sub);
    for (uint32_t k = 0; k < n->op->n_sub; k++) {
        init_region(m, &r->sub[i][k], n->sub[k], r, n);
        ok = add_region(m, all, &r->sub[i][k]) && ok;
    }
    return ok;
}

/* The kernels of a region in the order in which they run, those of nested ones among them. */
static bool add_region(CgModule *m, CgKernels *all, CgRegion *r)
{
    bool ok = true;
    for (uint32_t i = 0; i < r->g->n_node; i++) {
        const ScNode *n = &r->g->node[i];
        r->of[i] = all->n;
        if (n->op->lower.cls == SC_KERNEL)
            ok = add_kernel(m, all, r, n) && ok;
        else if (n->op->control)
            ok = add_nested(m, all, r, i) && ok;
        else if (n->op->lower.cls != SC_SOURCE && !(n->op->flags & SC_BINDS))
            ok = sc_fail(m->cx, n->loc, SC_E_LOWER, "%s outside a kernel", n->op->name);
    }
    return ok;
}

CgKernels cg_kernels_begin(CgModule *m, uint32_t n, const CgWork *u)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < n; i++)
        most += count_kernels(u[i].g);
    uint32_t n_place = 1;
    while (n_place < most)
        n_place *= 2;
    return (CgKernels){.n_left = n,
                       .k = sc_array(m->arena, CgKernel, most),
                       .known = sc_array(m->arena, CgFunc *, most),
                       .sub = sc_array(m->arena, ScGraph *, most),
                       .place = sc_array(m->arena, CgFunc *, n_place),
                       .n_place = n_place,
                       .fn = sc_array(m->arena, CgFunc *, most)};
}

bool cg_kernels(CgModule *m, CgKernels *k, CgRegion **ret)
{
    *ret = sc_new(m->arena, CgRegion);
    uint32_t kernels = k->n, known = k->n_known;
    init_region(m, *ret, m->g, NULL, NULL);
    if (!add_region(m, k, *ret) || !make_functions(m, k, known))
        return false;
    use_general(m, k, kernels);
    if (--k->n_left == 0)
        forget_served(k);
    return true;
}

void cg_kernels_done(CgKernels *k)
{
    for (uint32_t i = 0; i < k->n_known; i++) {
        sc_buf_free(k->known[i]->term);
        sc_graph_free(k->sub[i]);
    }
}

bool cg_pack_operands(CgModule *m, const CgKernels *all)
{
    for (uint32_t i = 0; i < all->n; i++) {
        CgKernel *k = &all->k[i];
        k->weights = sc_array(m->arena, uint64_t, k->node->n_in + 1);
        for (uint32_t j = 0; j < k->node->n_in; j++) {
            const ScGraph *g = k->region->g;
            const ScNode *c = sc_def(g, k->node->in[j]);
            bool direct = c->op->flags & SC_CONST_OP && !k->f->alias;
            if (direct && !cg_weights_enter(m, 1u << k->f->target->level, g, c, &k->f->pack[j],
                                            &k->weights[j]))
                return false;
        }
    }
    return true;
}
