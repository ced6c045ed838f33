/* SPDX-License-Identifier: Apache-2.0 */
/* Where values live. A kernel writes straight into an output's or a next state's memory where it
 * can; everything else shares slots of the workspace, by liveness. Sizes are terms: a slot is as
 * large as the largest value that it ever holds, and which slot a value takes is decided with every
 * symbol at a nominal 64, which is a guess about cost only. */
#include "codegen/program/program.h"

#include <assert.h>
#include <string.h>

enum { NOMINAL = 64 };

typedef struct Slot {
    double nominal;
    bool busy;
} Slot;

typedef struct Plan {
    CgModule *m;
    const CgKernels *k;
    CgPlan *p;
    ScVal *root;    /* [n_value] whose buffer it is: itself but for aliases */
    uint32_t *last; /* [n_value] the last node that reads the root's buffer, + 1 */
    Slot *slot;
    ScBinding *env; /* symbols met so far, at their nominal value */
    uint32_t n_env, cap_env;
} Plan;

const ScTerm *cg_bytes(CgModule *m, const ScType *t)
{
    return sc_term_scale(m->cx, sc_type_count(m->cx, t), scrt_dtype_bits(t->dtype) / 8);
}

/* --- Liveness -------------------------------------------------------------------------------- */

/* Whether node i of the graph has its operand's buffer for a result. */
static bool is_alias(const Plan *x, uint32_t i)
{
    const ScNode *n = &x->m->g->node[i];
    return n->op->flags & SC_BINDS ||
           (n->op->lower.cls == SC_KERNEL && x->k->k[x->k->of[i]].f->alias);
}

static void find_roots(Plan *x)
{
    const ScGraph *g = x->m->g;
    for (ScVal v = 0; v < g->n_value; v++)
        x->root[v] = v;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        bool alias = is_alias(x, i);
        if (alias)
            x->root[n->first] = x->root[n->in[0]];
        for (uint32_t j = 0; j < n->n_in && (!alias || n->op->flags & SC_BINDS); j++)
            x->last[x->root[n->in[j]]] = i + 1;
    }
}

static void place_sources(Plan *x)
{
    const ScGraph *g = x->m->g;
    for (uint32_t i = 0; i < g->n_in; i++)
        x->p->place[g->in[i]] = (CgPlace){CG_IN, i};
    for (uint32_t i = 0; i < g->n_state; i++)
        x->p->place[g->state[i].past] = (CgPlace){CG_STATE, i};
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        if (x->m->in_state[v])
            x->p->place[v] = (CgPlace){CG_STATE, x->m->in_state[v] - 1};
}

/* The memory of an output or a next state: given to the kernel that makes the value, or copied. An
 * alias may be less than its root's buffer (the first rows of it): only one that is all of it may
 * have its memory given to the kernel that fills the buffer. */
static void deliver(Plan *x, ScVal v, CgPlace to)
{
    const ScGraph *g = x->m->g;
    ScVal r = x->root[v];
    bool made = sc_def(g, r)->op->lower.cls == SC_KERNEL;
    bool whole = cg_bytes(x->m, sc_type_of(g, r)) == cg_bytes(x->m, sc_type_of(g, v));
    if (made && whole && x->p->place[r].kind == CG_NOWHERE)
        x->p->place[r] = to;
    else
        x->p->copy[x->p->n_copy++] = (CgCopy){v, to};
}

static bool place_constant(Plan *x, ScVal v)
{
    CgModule *m = x->m;
    const ScNode *n = sc_def(m->g, v);
    uint64_t offset;
    if (!(n->op->flags & SC_CONST_OP) || x->p->place[v].kind != CG_NOWHERE)
        return true;
    if (!cg_weights_enter(m, m->g, n, NULL, &offset))
        return false;
    x->p->place[v] = (CgPlace){CG_WEIGHT, offset};
    return true;
}

/* Constants that kernels read through an alias, that are outputs or whose elements are bound are
 * stored as they are. */
static bool place_constants(Plan *x)
{
    const ScGraph *g = x->m->g;
    for (uint32_t i = 0; i < x->p->n_copy; i++) {
        if (!place_constant(x, x->root[x->p->copy[i].from]))
            return false;
    }
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        for (uint32_t j = 0; j < n->n_in; j++) {
            ScVal r = x->root[n->in[j]];
            bool binds = n->op->flags & SC_BINDS;
            bool through = (binds || r != n->in[j]) && sc_def(g, r)->op->flags & SC_CONST_OP;
            if (through && !place_constant(x, r))
                return false;
        }
    }
    return true;
}

/* A state's initial data lies in the weights, as a constant of the state's type would. */
static bool place_states(Plan *x)
{
    CgModule *m = x->m;
    for (uint32_t i = 0; i < m->g->n_state; i++) {
        const ScState *s = &m->g->state[i];
        uint64_t offset;
        x->p->state_init[i] = -1;
        if (!s->init)
            continue;
        ScAttr *blob = sc_array(m->arena, ScAttr, 2);
        blob[0] = (ScAttr){.kind = SC_A_BLOB, .blob = s->init};
        ScNode *n = sc_new(m->arena, ScNode);
        *n = (ScNode){.op = &sc_op_const,
                      .loc = sc_def(m->g, s->past)->loc,
                      .attr = blob,
                      .n_out = 1,
                      .first = s->past};
        if (!cg_weights_enter(m, m->g, n, NULL, &offset))
            return false;
        x->p->state_init[i] = (int64_t)offset;
    }
    return true;
}

/* --- Slots ----------------------------------------------------------------------------------- */

static void see_symbol(void *arg, const char *sym)
{
    Plan *x = arg;
    for (uint32_t i = 0; i < x->n_env; i++) {
        if (x->env[i].sym == sym)
            return;
    }
    sc_buf_push(x->env, x->n_env, x->cap_env, ((ScBinding){sym, NOMINAL}));
}

static double nominal(Plan *x, const ScTerm *t)
{
    int64_t n;
    sc_term_symbols(t, see_symbol, x);
    return sc_term_eval(t, x->n_env, x->env, &n) ? (double)n : 1e18;
}

/* The free slot that wastes least, else the largest, which grows; a new one if none is free. */
static uint32_t take_slot(Plan *x, const ScTerm *bytes)
{
    double want = nominal(x, bytes);
    uint32_t best = UINT32_MAX, level = cg_level(x->p, bytes);
    for (uint32_t i = 0; i < x->p->n_slot; i++) {
        const Slot *s = &x->slot[i];
        if (s->busy || x->p->slot[i].level != level)
            continue;
        double have = s->nominal, old = best == UINT32_MAX ? 0 : x->slot[best].nominal;
        if (best == UINT32_MAX || (have >= want ? old < want || have < old : have > old))
            best = i;
    }
    if (best == UINT32_MAX)
        best = x->p->n_slot++;
    CgSlot *all = &x->p->slot[best];
    all->level = level;
    if (all->n == 0 || all->bytes[all->n - 1] != bytes)
        sc_buf_push(all->bytes, all->n, all->cap, bytes);
    Slot *s = &x->slot[best];
    s->nominal = want > s->nominal ? want : s->nominal;
    s->busy = true;
    return best;
}

static void hold(Plan *x, ScVal v)
{
    if (x->root[v] == v && x->p->place[v].kind == CG_WORK)
        x->slot[x->p->place[v].index].busy = true;
}

static void release(Plan *x, ScVal root, uint32_t done)
{
    if (x->p->place[root].kind == CG_WORK && x->last[root] <= done)
        x->slot[x->p->place[root].index].busy = false;
}

/* A call whose operand dies with it may work in that operand's memory. */
static void take_over(Plan *x, uint32_t i)
{
    const ScGraph *g = x->m->g;
    const ScNode *n = &g->node[i];
    const ScCall *c = n->op->lower.cls == SC_KERNEL ? x->k->k[x->k->of[i]].f->call : NULL;
    if (!c || c->in_place < 0 || x->p->place[n->first].kind != CG_NOWHERE)
        return;
    ScVal r = x->root[n->in[c->in_place]];
    uint32_t n_read = 0;
    for (uint32_t j = 0; j < n->n_in; j++)
        n_read += x->root[n->in[j]] == r;
    if (x->p->place[r].kind == CG_WORK && x->last[r] == i + 1 && n_read == 1 &&
        cg_bytes(x->m, sc_type_of(g, r)) == cg_bytes(x->m, sc_type_of(g, n->first)))
        x->p->place[n->first] = x->p->place[r];
}

static void assign_slots(Plan *x)
{
    const ScGraph *g = x->m->g;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (n->op->lower.cls == SC_SOURCE)
            continue;
        take_over(x, i);
        for (uint32_t j = 0; j < n->n_out && !is_alias(x, i); j++) {
            ScVal v = n->first + j;
            const ScTerm *bytes = cg_round64(x->m, cg_bytes(x->m, sc_type_of(g, v)));
            if (x->p->place[v].kind == CG_NOWHERE)
                x->p->place[v] = (CgPlace){CG_WORK, take_slot(x, bytes)};
        }
        for (uint32_t j = 0; j < n->n_in; j++)
            release(x, x->root[n->in[j]], i + 1);
        for (uint32_t j = 0; j < n->n_out; j++) /* what it took over is held on */
            hold(x, n->first + j);
        for (uint32_t j = 0; j < n->n_out; j++)
            release(x, x->root[n->first + j], i + 1);
    }
}

/* --- Symbols that only a run knows ----------------------------------------------------------- */

static void find_late(CgPlan *p, const ScGraph *g)
{
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (!(n->op->flags & SC_BINDS))
            continue;
        const ScAttr *as = sc_attr(n, 0);
        p->n_level++;
        for (uint32_t k = 0; k < as->n; k++)
            sc_buf_push(p->late, p->n_late, p->cap_late, ((CgLate){as->ts[k]->sym, p->n_level}));
    }
}

typedef struct Level {
    const CgPlan *p;
    uint32_t most;
} Level;

static void see_late(void *arg, const char *sym)
{
    Level *l = arg;
    for (uint32_t i = 0; i < l->p->n_late; i++) {
        if (l->p->late[i].sym == sym && l->p->late[i].level > l->most)
            l->most = l->p->late[i].level;
    }
}

uint32_t cg_level(const CgPlan *p, const ScTerm *t)
{
    Level l = {.p = p};
    if (p->n_late)
        sc_term_symbols(t, see_late, &l);
    return l.most;
}

bool cg_plan(CgModule *m, const CgKernels *k, CgPlan *ret)
{
    const ScGraph *g = m->g;
    Plan x = {.m = m, .k = k, .p = ret};
    *ret = (CgPlan){.place = sc_array(m->arena, CgPlace, g->n_value),
                    .slot = sc_array(m->arena, CgSlot, g->n_value),
                    .state_init = sc_array(m->arena, int64_t, g->n_state + 1),
                    .copy = sc_array(m->arena, CgCopy, g->n_out + g->n_state + 1)};
    x.root = sc_array(m->arena, ScVal, g->n_value);
    x.last = sc_array(m->arena, uint32_t, g->n_value);
    x.slot = sc_array(m->arena, Slot, g->n_value);
    find_late(ret, g);
    find_roots(&x);
    place_sources(&x);
    for (uint32_t i = 0; i < g->n_out; i++)
        deliver(&x, g->out[i], (CgPlace){CG_OUT, i});
    for (uint32_t i = 0; i < g->n_state; i++)
        if (!m->in_place[i])
            deliver(&x, g->state[i].next, (CgPlace){CG_NEXT, i});
    for (uint32_t i = 0; i < ret->n_copy; i++)
        x.last[x.root[ret->copy[i].from]] = UINT32_MAX; /* until the end */
    if (!place_constants(&x) || !place_states(&x))
        return false;
    assign_slots(&x);
    sc_buf_free(x.env);
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        ret->place[v] = ret->place[x.root[v]];
    return true;
}

void cg_plan_done(CgPlan *p)
{
    for (uint32_t i = 0; i < p->n_slot; i++)
        sc_buf_free(p->slot[i].bytes);
    sc_buf_free(p->late);
}
