/* SPDX-License-Identifier: Apache-2.0 */
/* Which states are written in place: their next value is made in the memory of the present one.
 *
 * A state that grows is: next = concat(past, new, ...), along the dim that grows. It lies in memory
 * as if that dim had its capacity; the concat writes the new part only, behind all that readers of
 * the past see, and whoever reads past or next takes the strides of the capacity.
 *
 * One that does not grow is where an elementwise kernel makes it from elements at the same place,
 * and is the last to read them; nothing after it may end the run, which would then have moved on.
 *
 * What is not proven so has two memories. Kernels are emitted after this: their code knows where
 * operands lie. */
#include "codegen/program/program.h"

#include <string.h>

/* --- Words ----------------------------------------------------------------------------------- */

static bool is_source(const ScNode *n)
{
    return n->op->lower.cls == SC_SOURCE;
}

/* The operand that v is, once and nothing else; n_in where it is none or several. */
static uint32_t only_operand(const ScNode *n, ScVal v)
{
    uint32_t at = n->n_in, uses = 0;
    for (uint32_t i = 0; i < n->n_in; i++) {
        at = n->in[i] == v ? i : at;
        uses += n->in[i] == v;
    }
    return uses == 1 ? at : n->n_in;
}

static bool reads(const ScNode *n, ScVal v)
{
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i] == v)
            return true;
    return false;
}

static bool leaves(const ScGraph *g, ScVal v)
{
    for (uint32_t i = 0; i < g->n_out; i++)
        if (g->out[i] == v)
            return true;
    return false;
}

/* v is the next value of state i and of no other, and of no other the present one. */
static bool is_its_own(const ScGraph *g, uint32_t i, ScVal v)
{
    for (uint32_t k = 0; k < g->n_state; k++)
        if (k != i && (g->state[k].next == v || g->state[k].past == v))
            return false;
    return true;
}

/* --- What grows ------------------------------------------------------------------------------ */

/* next = concat(past, new, ...) and nothing after it in the kernel. */
static bool appends(const ScGraph *g, const ScState *s, uint32_t axis)
{
    const ScNode *n = sc_def(g, s->next), *lead = cg_plain_concat(n);
    uint32_t at = only_operand(n, s->past);
    return lead && at < n->n_in && lead->in[0] == n->sub[0]->in[at] &&
           lead->op->concat_axis(n->sub[0], lead) == axis;
}

static bool all_can_read(CgModule *m, ScVal v, const CgLay *lay)
{
    const ScGraph *g = m->g;
    for (uint32_t i = 0; i < g->n_node; i++)
        for (uint32_t k = 0; k < g->node[i].n_in; k++)
            if (g->node[i].in[k] == v && !cg_can_read(m, &g->node[i], k, lay))
                return false;
    return true;
}

static bool grows_in_place(CgModule *m, uint32_t i, CgLay *ret)
{
    const ScGraph *g = m->g;
    const ScState *s = &g->state[i];
    const ScType *t = sc_type_of(g, s->past);
    uint32_t axis = sc_state_axis(s, t);
    *ret = cg_lay_along(m, t, axis, sc_term(m->cx, s->capacity));
    return appends(g, s, axis) && is_its_own(g, i, s->next) && !leaves(g, s->next) &&
           !leaves(g, s->past) && all_can_read(m, s->past, ret) && all_can_read(m, s->next, ret);
}

/* The past is in its place in what it is put together with. */
static void put_past(CgModule *m, const ScState *s)
{
    const ScNode *n = sc_def(m->g, s->next);
    bool *placed = sc_array(m->arena, bool, cg_plain_concat(n)->n_in);
    placed[0] = true;
    m->placed[n - m->g->node] = placed;
}

/* --- What does not --------------------------------------------------------------------------- */

/* A map kernel whose operand `in` is read element by element where the result is written. */
static bool maps(const ScNode *n, uint32_t in, const ScType *t)
{
    const ScGraph *sub = n->sub[0];
    for (uint32_t i = 0; i < sub->n_node; i++)
        for (uint32_t k = 0; k < sub->node[i].n_in; k++)
            if (sub->node[i].in[k] == sub->in[in] && sub->node[i].op->lower.cls != SC_MAP)
                return false;
    return cg_class_of(n) == SC_MAP && sc_type_of(sub, sub->in[in]) == t &&
           sc_type_of(sub, sub->out[0]) == t;
}

static bool updates_in_place(const ScGraph *g, uint32_t i)
{
    const ScState *s = &g->state[i];
    if (!is_its_own(g, i, s->next) || s->next == s->past)
        return s->next == s->past;
    const ScNode *n = sc_def(g, s->next);
    uint32_t writer = g->value[s->next].node, at = only_operand(n, s->past);
    if (n->op->lower.cls != SC_KERNEL || at == n->n_in || leaves(g, s->past) ||
        !maps(n, at, sc_type_of(g, s->past)))
        return false;
    for (uint32_t k = 0; k < g->n_node; k++) {
        const ScNode *x = &g->node[k];
        bool other = k != writer && reads(x, s->past);
        bool may_end =
            !is_source(x) && (x->op->lower.cls != SC_KERNEL || cg_class_of(x) == SC_CALL);
        if ((k > writer && (other || may_end)) || (other && cg_class_of(x) == SC_VIEW))
            return false;
    }
    return true;
}

void cg_states(CgModule *m)
{
    const ScGraph *g = m->g;
    m->lay = sc_array(m->arena, CgLay, g->n_value);
    m->in_place = sc_array(m->arena, bool, g->n_state + 1);
    m->placed = sc_array(m->arena, const bool *, g->n_node + 1);
    for (uint32_t i = 0; i < g->n_state; i++) {
        const ScState *s = &g->state[i];
        CgLay lay = {0};
        m->in_place[i] =
            s->grows && s->next != s->past ? grows_in_place(m, i, &lay) : updates_in_place(g, i);
        if (!m->in_place[i])
            continue;
        m->lay[s->past] = m->lay[s->next] = lay;
        if (s->grows && s->next != s->past)
            put_past(m, s);
    }
}
