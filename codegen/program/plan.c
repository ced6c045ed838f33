/* SPDX-License-Identifier: Apache-2.0 */
/* Where values live. A kernel writes straight into an output's or a next state's memory where it
 * can; everything else shares slots of the workspace, by liveness. Sizes are terms: a slot is as
 * large as the largest value that it ever holds, and which slot a value takes is decided with every
 * symbol at a nominal 64, which is a guess about cost only. */
#include "codegen/program/program.h"

#include <string.h>

enum { NOMINAL = 64 };

typedef struct Slot {
    double nominal;
    bool busy;
} Slot;

typedef struct Plan {
    CgModule *m;
    const CgKernels *k;
    const CgRegion *r;
    const ScGraph *g; /* r's */
    uint32_t *n_own;
    CgPlan *p;
    ScVal *root;           /* [n_value] whose buffer it lies in: itself but for parts and views */
    const ScTerm **offset; /* [n_value] bytes from there; NULL: 0 */
    uint32_t *last;        /* [n_value] the last node that reads the root's buffer, + 1 */
    Slot *slot;
    ScBinding *env; /* symbols met so far, at their nominal value */
    uint32_t n_env, cap_env;
} Plan;

const ScTerm *cg_bytes_of(CgModule *m, ScrtDtype t, const ScTerm *count)
{
    uint32_t bits = scrt_dtype_bits(t);
    return bits >= 8 ? sc_term_scale(m->cx, count, bits / 8)
                     : sc_term_cdiv(m->cx, sc_term_scale(m->cx, count, bits), sc_term(m->cx, 8));
}

const ScTerm *cg_bytes(CgModule *m, const ScType *t)
{
    return cg_bytes_of(m, t->dtype, sc_type_count(m->cx, t));
}

/* --- Liveness -------------------------------------------------------------------------------- */

/* Whether node i of the graph makes nothing: its result lies in an operand. */
static bool is_alias(const Plan *x, uint32_t i)
{
    return cg_is_alias(x->r, x->g->node[i].first);
}

static const ScTerm *add_bytes(Plan *x, const ScTerm *a, const ScTerm *elements, ScVal v)
{
    ScCtx *cx = x->m->cx;
    if (!elements)
        return a;
    const ScTerm *b = sc_term_scale(cx, elements, scrt_dtype_bits(sc_type_of(x->g, v)->dtype) / 8);
    return a ? sc_term_add(cx, a, b) : b;
}

/* Values lie in others, which lie in others. */
static void find_root(Plan *x, ScVal v)
{
    const CgWithin *within = x->r->within;
    ScVal *way = NULL, at = v;
    uint32_t n = 0, cap = 0;
    for (; !x->root[at] && within[at].in != SC_POISON; at = within[at].in)
        sc_buf_push(way, n, cap, at);
    x->root[at] = x->root[at] ? x->root[at] : at;
    while (n > 0) {
        ScVal u = way[--n];
        x->root[u] = x->root[at];
        x->offset[u] = add_bytes(x, x->offset[at], within[u].offset, u);
        at = u;
    }
    sc_buf_free(way);
}

static void find_roots(Plan *x)
{
    const ScGraph *g = x->g;
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        find_root(x, v);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        for (uint32_t j = 0; j < n->n_in && (!is_alias(x, i) || n->op->flags & SC_BINDS); j++)
            x->last[x->root[n->in[j]]] = i + 1;
    }
}

static void place_sources(Plan *x)
{
    const ScGraph *g = x->g;
    for (uint32_t i = 0; i < g->n_in; i++)
        x->p->place[g->in[i]] = (CgPlace){CG_IN, i, NULL};
    for (uint32_t i = 0; i < g->n_state; i++) {
        x->p->place[g->state[i].past] = (CgPlace){CG_STATE, i, NULL};
        if (x->m->in_place[i])
            x->p->place[g->state[i].next] = (CgPlace){CG_STATE, i, NULL};
    }
}

/* The memory of an output or a next state: given to the kernel that makes the value, or copied. A
 * view may be less than its root's buffer (some rows of it): only one that is all of it may have
 * its memory given to the kernel that fills the buffer. */
static void deliver(Plan *x, ScVal v, CgPlace to)
{
    const ScGraph *g = x->g;
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
    const ScNode *n = sc_def(x->g, v);
    uint64_t offset;
    if (!(n->op->flags & SC_CONST_OP) || x->p->place[v].kind != CG_NOWHERE)
        return true;
    if (!cg_weights_enter(m, 1u << m->target.level, x->g, n, NULL, &offset))
        return false;
    x->p->place[v] = (CgPlace){CG_WEIGHT, offset, NULL};
    return true;
}

/* Constants that kernels read through an alias, that are outputs, whose elements are bound or that
 * nested graphs read are stored as they are. */
static bool place_constants(Plan *x)
{
    const ScGraph *g = x->g;
    for (uint32_t i = 0; i < x->p->n_copy; i++) {
        if (!place_constant(x, x->root[x->p->copy[i].from]))
            return false;
    }
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        for (uint32_t j = 0; j < n->n_in; j++) {
            ScVal r = x->root[n->in[j]];
            bool step = n->op->lower.cls == SC_STEP;
            bool through = (step || r != n->in[j]) && sc_def(g, r)->op->flags & SC_CONST_OP;
            if (through && !place_constant(x, r))
                return false;
        }
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
    uint32_t best = UINT32_MAX, level = cg_level(x->r, bytes);
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

/* Node i may make its result in the memory of its operand `in`, if that dies with it: a call says
 * so, and an elementwise kernel reads each element where it writes. */
static bool works_in(const Plan *x, const ScNode *n, uint32_t i, uint32_t in)
{
    const ScCall *c = x->k->k[x->r->of[i]].f->call;
    return c ? c->in_place == (int)in
             : n->n_out == 1 && cg_maps(n, in, sc_type_of(x->g, n->first)) &&
                   !x->r->lay[n->in[in]].pitch;
}

static void take_over(Plan *x, uint32_t i)
{
    const ScGraph *g = x->g;
    const ScNode *n = &g->node[i];
    if (n->op->lower.cls != SC_KERNEL || x->root[n->first] != n->first)
        return;
    for (uint32_t in = 0; in < n->n_in && x->p->place[n->first].kind == CG_NOWHERE; in++) {
        ScVal r = x->root[n->in[in]];
        uint32_t n_read = 0;
        for (uint32_t j = 0; j < n->n_in; j++)
            n_read += x->root[n->in[j]] == r;
        if (x->p->place[r].kind == CG_WORK && x->last[r] == i + 1 && n_read == 1 &&
            cg_bytes(x->m, sc_type_of(g, r)) == cg_bytes(x->m, sc_type_of(g, n->first)) &&
            works_in(x, n, i, in))
            x->p->place[n->first] = x->p->place[r];
    }
}

static void assign_slots(Plan *x)
{
    const ScGraph *g = x->g;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (n->op->lower.cls == SC_SOURCE)
            continue;
        take_over(x, i);
        for (uint32_t j = 0; j < n->n_out && !is_alias(x, i); j++) {
            ScVal v = x->root[n->first + j]; /* its first part makes room for the whole */
            const ScTerm *bytes = cg_round64(x->m, cg_bytes(x->m, sc_type_of(g, v)));
            if (x->p->place[v].kind == CG_NOWHERE)
                x->p->place[v] = (CgPlace){CG_WORK, take_slot(x, bytes), NULL};
        }
        for (uint32_t j = 0; j < n->n_in; j++)
            release(x, x->root[n->in[j]], i + 1);
        for (uint32_t j = 0; j < n->n_out; j++) /* what it took over is held on */
            hold(x, n->first + j);
        for (uint32_t j = 0; j < n->n_out; j++)
            release(x, x->root[n->first + j], i + 1);
    }
}

/* --- Nested graphs --------------------------------------------------------------------------- */

static uint32_t *new_segments(Plan *x, uint32_t n)
{
    uint32_t *s = sc_array(x->m->arena, uint32_t, n + 1);
    for (uint32_t i = 0; i < n; i++)
        s[i] = (*x->n_own)++;
    return s;
}

/* Results of nested graphs have segments of their own, for what is inside does not know when what
 * is outside ends. */
static void place_control(Plan *x, uint32_t i)
{
    const ScNode *n = &x->g->node[i];
    CgOwn *own = &x->p->own[i];
    own->now = new_segments(x, n->n_out);
    own->next = new_segments(x, sc_carried(n));
    if (n->op->control == SC_TURNS)
        own->turn = *new_segments(x, 1);
    for (uint32_t k = 0; k < n->n_out; k++)
        x->p->place[n->first + k] = (CgPlace){CG_OWN, own->now[k], NULL};
}

/* Inside: what enters lies where it lies outside. */
static void place_entries(Plan *x)
{
    const CgRegion *r = x->r;
    const ScNode *n = r->node;
    const CgOwn *own = &r->outer->plan->own[n - r->outer->g->node];
    const uint32_t operand = n->op->enter.operand, input = n->op->enter.input;
    if (n->op->control == SC_TURNS)
        x->p->place[x->g->in[0]] = (CgPlace){CG_OWN, own->turn, NULL};
    for (uint32_t k = 0; operand + k < n->n_in; k++)
        x->p->place[x->g->in[input + k]] = k < sc_carried(n)
                                               ? (CgPlace){CG_OWN, own->now[k], NULL}
                                               : (CgPlace){CG_ENTRY, operand + k, NULL};
}

/* What leaves: into the segments of the node's results; a value that is carried on as it is stays.
 * What a loop goes on by is read at the end. */
static bool place_leavings(Plan *x)
{
    const CgRegion *r = x->r;
    const ScNode *n = r->node;
    const CgOwn *own = &r->outer->plan->own[n - r->outer->g->node];
    uint32_t n_carried = sc_carried(n), skip = x->g->n_out - n->n_out;
    for (uint32_t i = 0; i < n->n_out; i++) {
        ScVal v = x->g->out[skip + i];
        if (i >= n_carried)
            deliver(x, v, (CgPlace){CG_OWN, own->now[i], NULL});
        else if (v != x->g->in[1 + i])
            deliver(x, v, (CgPlace){CG_OWN, own->next[i], NULL});
    }
    for (uint32_t i = 0; i < skip; i++) {
        x->last[x->root[x->g->out[i]]] = UINT32_MAX;
        if (!place_constant(x, x->root[x->g->out[i]]))
            return false;
    }
    return true;
}

static void place_ports(Plan *x)
{
    const ScGraph *g = x->g;
    place_sources(x);
    for (uint32_t i = 0; i < g->n_out; i++)
        deliver(x, g->out[i], (CgPlace){CG_OUT, i, NULL});
    for (uint32_t i = 0; i < g->n_state; i++)
        if (!x->m->in_place[i])
            deliver(x, g->state[i].next, (CgPlace){CG_NEXT, i, NULL});
}

static bool plan_nested(CgModule *m, const CgKernels *k, CgRegion *r, uint32_t *n_own)
{
    for (uint32_t i = 0; i < r->g->n_node; i++)
        for (uint32_t s = 0; r->sub[i] && s < r->g->node[i].op->n_sub; s++)
            if (!cg_plan(m, k, &r->sub[i][s], n_own))
                return false;
    return true;
}

bool cg_plan(CgModule *m, const CgKernels *k, CgRegion *r, uint32_t *n_own)
{
    const ScGraph *g = r->g;
    CgPlan *p = r->plan = sc_new(m->arena, CgPlan);
    Plan x = {.m = m, .k = k, .r = r, .g = g, .n_own = n_own, .p = p};
    *p = (CgPlan){.place = sc_array(m->arena, CgPlace, g->n_value),
                  .own = sc_array(m->arena, CgOwn, g->n_node + 1),
                  .slot = sc_array(m->arena, CgSlot, g->n_value),
                  .copy = sc_array(m->arena, CgCopy, g->n_out + g->n_state + 1)};
    x.root = sc_array(m->arena, ScVal, g->n_value);
    x.offset = sc_array(m->arena, const ScTerm *, g->n_value);
    x.last = sc_array(m->arena, uint32_t, g->n_value);
    x.slot = sc_array(m->arena, Slot, g->n_value);
    find_roots(&x);
    for (uint32_t i = 0; i < g->n_node; i++)
        if (g->node[i].op->control)
            place_control(&x, i);
    if (r->outer)
        place_entries(&x);
    else
        place_ports(&x);
    if (r->outer && !place_leavings(&x))
        return false;
    for (uint32_t i = 0; i < p->n_copy; i++)
        x.last[x.root[p->copy[i].from]] = UINT32_MAX; /* until the end */
    if (!place_constants(&x))
        return false;
    assign_slots(&x);
    sc_buf_free(x.env);
    for (ScVal v = SC_FIRST; v < g->n_value; v++) {
        p->place[v] = p->place[x.root[v]];
        p->place[v].offset = x.offset[v];
    }
    return plan_nested(m, k, r, n_own);
}

void cg_plan_done(CgRegion *r)
{
    for (uint32_t i = 0; r->plan && i < r->plan->n_slot; i++)
        sc_buf_free(r->plan->slot[i].bytes);
    for (uint32_t i = 0; i < r->g->n_node; i++)
        for (uint32_t s = 0; r->sub[i] && s < r->g->node[i].op->n_sub; s++)
            cg_plan_done(&r->sub[i][s]);
}
