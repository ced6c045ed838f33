/* SPDX-License-Identifier: Apache-2.0 */
/* Which values lie inside others.
 *
 * What a concatenation puts together is written where it belongs by the kernels that make it, where
 * they can: a part is a place in the memory of the whole, which is there from the first part on. A
 * kernel of views whose elements lie evenly spaced in its operand is a place in that.
 *
 * A value in another lies row-major with one distance that is larger than its extents say, the
 * pitch (CgLay), or none. Every kernel reaches a value without one; one with a pitch is for those
 * that ask for strides. Whoever cannot is given a copy, by the concatenation or the view: so are
 * inputs, constants, what nested graphs give, what leaves the graph and what is a part already.
 *
 * Sizes that a run tells: the memory of the whole must be there, and the distance known, before the
 * first part is written. Kernels are emitted after this: their code knows where operands lie. */
#include "codegen/program/program.h"

#include <string.h>

typedef struct Places {
    CgModule *m;
    CgRegion *r;
    const ScGraph *g;
    CgLay *lay;       /* [n_value] */
    CgWithin *within; /* [n_value] */
    ScUses use;
    uint32_t *at_level; /* [n_node] levels before this node */
} Places;

/* --- Words ----------------------------------------------------------------------------------- */

ScClass cg_class_of(const ScNode *n)
{
    return n->op->lower.cls == SC_KERNEL ? sc_class_named(sc_attr(n, 0)->s) : n->op->lower.cls;
}

CgLay cg_lay_along(CgModule *m, const ScType *t, uint32_t axis, const ScTerm *extent)
{
    bool one = sc_term_is(cg_product(m, 0, axis, t->dim), 1); /* the distance is never taken */
    const ScTerm *inner = cg_product(m, axis + 1, t->rank, t->dim);
    return one ? (CgLay){0} : (CgLay){axis, sc_term_mul(m->cx, extent, inner)};
}

/* Where the elements of kernel node n's nested value v lie in its operand *ret_in, if that lies as
 * `lay` says. */
static bool view_of(CgModule *m, const ScNode *n, ScVal v, const CgLay *lay, ScView *ret,
                    uint32_t *ret_in)
{
    const ScGraph *sub = n->sub[0];
    const CgFunc f = {.sub = sub, .n_in = n->n_in, .lay_in = lay};
    ScVal root;
    if (!cg_view_of(m, &f, v, ret, &root))
        return false;
    *ret_in = cg_operand_of(sub, root);
    return *ret_in < n->n_in;
}

/* A view as a layout: row-major with one pitch at most, along the last dim without. */
static bool lay_of(CgModule *m, const ScView *v, CgLay *ret)
{
    const ScTerm *next = sc_term(m->cx, 1);
    *ret = (CgLay){0};
    for (uint32_t d = v->rank; d-- > 0;) {
        if (sc_term_is(v->dim[d], 1))
            continue;
        if (v->stride[d] != next) {
            if (ret->pitch || sc_term_is(next, 1) || sc_term_is(v->stride[d], 0))
                return false;
            *ret = (CgLay){d + 1, v->stride[d]};
        }
        next = sc_term_mul(m->cx, v->stride[d], v->dim[d]);
    }
    return true;
}

/* --- Who can read ---------------------------------------------------------------------------- */

bool cg_can_read(CgModule *m, const ScNode *n, uint32_t in, const CgLay *lay)
{
    if (n->op->lower.cls != SC_KERNEL)
        return false;
    const ScGraph *sub = n->sub[0];
    ScClass cls = cg_class_of(n);
    CgLay *all = sc_array(m->arena, CgLay, n->n_in + 1);
    const CgFunc f = {.sub = sub, .n_in = n->n_in, .lay_in = all};
    ScView view;
    ScVal root;
    all[in] = *lay;
    if (!sc_class_is(cls, SC_STRIDED))
        return false;
    for (uint32_t i = 0; i < sub->n_node; i++)
        if (sub->node[i].op->lower.cls == SC_VIEW &&
            !cg_view_of(m, &f, sub->node[i].first, &view, &root))
            return false;
    return true;
}

/* A kernel of one view that has no code where operand 0 lies densely. */
static bool is_plain_view(CgModule *m, const ScNode *n)
{
    ScView view;
    CgLay *dense = sc_array(m->arena, CgLay, n->n_in + 1), lay;
    uint32_t root;
    return cg_class_of(n) == SC_VIEW && n->n_out == 1 && n->n_in == 1 &&
           view_of(m, n, n->sub[0]->out[0], dense, &view, &root) && lay_of(m, &view, &lay) &&
           !lay.pitch;
}

/* A sum over dims that a pitch parts would be taken in another order. */
static bool keeps_order(const ScNode *n, const CgLay *lay)
{
    const ScGraph *sub = n->sub[0];
    if (cg_class_of(n) != SC_REDUCE)
        return true;
    for (uint32_t i = 0; i < sub->n_node; i++) {
        const ScNode *x = &sub->node[i];
        if (x->op->lower.cls == SC_VIEW)
            return false;
        ScReduce r = {0};
        if (x->op->lower.cls == SC_REDUCE)
            x->op->reduce(sub, x, &r);
        if (r.n_axis && r.axis[0] < lay->axis)
            return false;
    }
    return true;
}

/* Whoever uses v, but for the maker of value `but`, can read it so, and would lose nothing. */
static bool all_can_read(const Places *x, ScVal v, const CgLay *lay, ScVal but)
{
    for (uint32_t i = x->use.first[v]; i < x->use.first[v + 1]; i++) {
        ScUse u = x->use.use[i];
        if (u.node == UINT32_MAX)
            return false;
        const ScNode *n = &x->g->node[u.node];
        if (lay->pitch && n->first != but &&
            (!cg_can_read(x->m, n, u.operand, lay) || !keeps_order(n, lay) ||
             is_plain_view(x->m, n)))
            return false;
    }
    return true;
}

/* --- Parts of a concatenation ---------------------------------------------------------------- */

const ScNode *cg_plain_concat(const ScNode *n)
{
    if (n->op->lower.cls != SC_KERNEL || cg_class_of(n) != SC_CONCAT || n->n_out != 1)
        return NULL;
    const ScGraph *sub = n->sub[0];
    const ScNode *lead = sc_leader(sub);
    for (uint32_t i = 0; i < sub->n_node; i++)
        if (sub->node[i].op->lower.cls != SC_SOURCE && &sub->node[i] != lead)
            return NULL;
    return sub->out[0] == lead->first ? lead : NULL;
}

/* A kernel that can write a result so. */
static bool can_write(CgModule *m, const ScNode *n, const ScType *t, const CgLay *lay)
{
    int64_t row;
    ScClass cls = cg_class_of(n);
    if (n->op->lower.cls != SC_KERNEL || (n->n_out > 1 && !sc_class_is(cls, SC_SEVERAL)))
        return false;
    if (!lay->pitch)
        return true;
    /* Rows shorter than a vector are not worth it. */
    bool is_short =
        sc_term_const(cg_product(m, lay->axis, t->rank, t->dim), &row) && row < m->target.w;
    return cls != SC_CALL && !is_short && keeps_order(n, lay);
}

/* Before node `writer` the size of the whole is known. */
static bool is_known(const Places *x, uint32_t writer, const ScType *whole)
{
    for (uint32_t d = 0; d < whole->rank; d++)
        if (cg_level(x->r, whole->dim[d]) > x->at_level[writer])
            return false;
    return true;
}

/* A layout of t is one of a view of it, the extents before its pitch being the same. */
static bool same_before(const ScType *t, const ScType *view, const CgLay *lay)
{
    bool same = t->rank >= lay->axis && view->rank >= lay->axis;
    for (uint32_t d = 0; same && d < lay->axis; d++)
        same = t->dim[d] == view->dim[d];
    return same;
}

/* What is asked of v, and of the views from it down to r, so that r lies inside another. */
static bool chain_lies(const Places *x, ScVal v, ScVal r, const CgLay *lay)
{
    ScVal above = SC_POISON; /* no value: nobody is excused */
    for (ScVal u = v;; above = u, u = x->within[u].in) {
        bool same = !lay->pitch || same_before(sc_type_of(x->g, u), sc_type_of(x->g, v), lay);
        if (!same || !all_can_read(x, u, lay, above))
            return false;
        if (u == r)
            return true;
    }
}

/* Operand v of the concatenation whose result is y, `offset` elements into it, along axis. */
static bool put_inside(Places *x, ScVal v, ScVal y, uint32_t axis, const ScTerm *offset)
{
    CgModule *m = x->m;
    const ScType *whole = sc_type_of(x->g, y), *t = sc_type_of(x->g, v);
    CgLay lay = cg_lay_along(m, t, axis, whole->dim[axis]), around = x->lay[y];
    if (around.pitch) { /* parts along another axis would have two */
        if (around.axis != axis)
            return false;
        lay.pitch = lay.pitch ? around.pitch : NULL;
    }
    ScVal r = v; /* whose memory it is */
    while (x->within[r].in && !x->within[r].offset)
        r = x->within[r].in;
    const ScNode *n = sc_def(x->g, r);
    if (x->within[r].in || x->lay[r].pitch || !can_write(m, n, sc_type_of(x->g, r), &lay) ||
        sc_type_count(m->cx, sc_type_of(x->g, r)) != sc_type_count(m->cx, t) ||
        !is_known(x, x->g->value[r].node, whole) || !chain_lies(x, v, r, &lay))
        return false;
    for (ScVal u = v; u != r; u = x->within[u].in)
        x->lay[u] = lay;
    x->lay[r] = lay;
    x->within[r] = (CgWithin){y, offset};
    return true;
}

static void put_parts(Places *x, const ScNode *n, const ScNode *lead)
{
    ScCtx *cx = x->m->cx;
    const ScType *whole = sc_type_of(x->g, n->first);
    uint32_t axis = lead->op->concat_axis(n->sub[0], lead);
    const ScTerm *inner = cg_product(x->m, axis + 1, whole->rank, whole->dim), *at = sc_term(cx, 0);
    bool *placed = sc_array(x->m->arena, bool, lead->n_in);
    if (x->r->placed[n - x->g->node]) /* states.c */
        memcpy(placed, x->r->placed[n - x->g->node], lead->n_in * sizeof *placed);
    for (uint32_t k = 0; k < lead->n_in; k++) {
        ScVal v = n->in[cg_operand_of(n->sub[0], lead->in[k])];
        uint32_t uses = 0;
        for (uint32_t i = 0; i < lead->n_in; i++)
            uses += lead->in[i] == lead->in[k];
        if (!placed[k] && uses == 1)
            placed[k] = put_inside(x, v, n->first, axis, sc_term_mul(cx, at, inner));
        at = sc_term_add(cx, at, sc_type_of(x->g, v)->dim[axis]);
    }
    x->r->placed[n - x->g->node] = placed;
}

/* --- Views ----------------------------------------------------------------------------------- */

/* Kernel node n of views: its result lies in its operand; pitched: also with a pitch. */
static void put_view(Places *x, const ScNode *n, bool pitched)
{
    CgModule *m = x->m;
    ScView view;
    CgLay lay, *in;
    uint32_t root;
    if (n->op->lower.cls != SC_KERNEL || cg_class_of(n) != SC_VIEW || n->n_out != 1 ||
        n->n_in != 1 || x->within[n->first].in)
        return;
    in = &x->lay[n->in[0]];
    if (!view_of(m, n, n->sub[0]->out[0], in, &view, &root) || !lay_of(m, &view, &lay))
        return;
    bool whole = !lay.pitch && sc_term_is(view.offset, 0);
    if (!whole && (!all_can_read(x, n->first, &lay, SC_POISON) || (lay.pitch && !pitched)))
        return;
    x->lay[n->first] = lay;
    x->within[n->first] = (CgWithin){n->in[0], sc_term_is(view.offset, 0) ? NULL : view.offset};
}

/* --- A region -------------------------------------------------------------------------------- */

static void find_levels(Places *x)
{
    uint32_t level = x->r->node && x->r->node->op->control == SC_TURNS;
    x->at_level = sc_array(x->m->arena, uint32_t, x->g->n_node + 1);
    for (uint32_t i = 0; i < x->g->n_node; i++) {
        x->at_level[i] = level;
        level += cg_binds(&x->g->node[i]);
    }
}

void cg_places(CgModule *m, CgRegion *r)
{
    const ScGraph *g = r->g;
    Places x = {.m = m, .r = r, .g = g, .lay = r->lay, .within = r->within};
    x.use = sc_uses(g, m->arena);
    find_levels(&x);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (n->op->flags & SC_BINDS && !n->op->control)
            x.within[n->first] = (CgWithin){n->in[0], NULL};
        put_view(&x, n, false);
    }
    for (uint32_t i = g->n_node; i-- > 0;) {
        const ScNode *lead = cg_plain_concat(&g->node[i]);
        if (lead)
            put_parts(&x, &g->node[i], lead);
    }
    for (uint32_t i = 0; i < g->n_node; i++)
        put_view(&x, &g->node[i], true);
}
