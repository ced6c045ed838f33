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

typedef struct Read {
    uint32_t node, operand;
} Read;

typedef struct Uses {  /* of an entry's values */
    uint32_t *first;   /* [n_value + 1] reads of v are read[first[v] .. first[v + 1]) */
    Read *read;        /* by node */
    bool *leaves;      /* [n_value] it is a result */
    uint32_t *n_state; /* [n_value] states of which it is the present or the next value */
    uint32_t end;      /* behind the last node that may end the run */
} Uses;

static bool may_end(const ScNode *n)
{
    return !is_source(n) && (n->op->lower.cls != SC_KERNEL || cg_class_of(n) == SC_CALL);
}

static Uses uses_of(const ScGraph *g, ScArena *a)
{
    Uses u = {.first = sc_array(a, uint32_t, g->n_value + 2),
              .leaves = sc_array(a, bool, g->n_value),
              .n_state = sc_array(a, uint32_t, g->n_value)};
    for (uint32_t i = 0; i < g->n_node; i++) {
        for (uint32_t k = 0; k < g->node[i].n_in; k++)
            u.first[g->node[i].in[k] + 2]++;
        u.end = may_end(&g->node[i]) ? i + 1 : u.end;
    }
    for (ScVal v = 0; v < g->n_value; v++)
        u.first[v + 2] += u.first[v + 1];
    u.read = sc_array(a, Read, u.first[g->n_value + 1] + 1);
    for (uint32_t i = 0; i < g->n_node; i++)
        for (uint32_t k = 0; k < g->node[i].n_in; k++)
            u.read[u.first[g->node[i].in[k] + 1]++] = (Read){i, k};
    for (uint32_t i = 0; i < g->n_out; i++)
        u.leaves[g->out[i]] = true;
    for (uint32_t i = 0; i < g->n_state; i++) {
        u.n_state[g->state[i].past]++;
        u.n_state[g->state[i].next] += g->state[i].next != g->state[i].past;
    }
    return u;
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

static bool readers_take_strides(CgModule *m, const Uses *u, ScVal v, const CgLay *lay)
{
    for (uint32_t i = u->first[v]; i < u->first[v + 1]; i++)
        if (!cg_can_read(m, &m->g->node[u->read[i].node], u->read[i].operand, lay))
            return false;
    return true;
}

static CgLay grown_lay(CgModule *m, const ScState *s)
{
    const ScType *t = sc_type_of(m->g, s->past);
    return cg_lay_along(m, t, sc_state_axis(s, t), sc_term(m->cx, s->capacity));
}

static bool grows_in_place(CgModule *m, const Uses *u, uint32_t i)
{
    const ScGraph *g = m->g;
    const ScState *s = &g->state[i];
    const CgLay lay = grown_lay(m, s);
    return appends(g, s, sc_state_axis(s, sc_type_of(g, s->past))) && u->n_state[s->next] == 1 &&
           !u->leaves[s->next] && !u->leaves[s->past] &&
           readers_take_strides(m, u, s->past, &lay) && readers_take_strides(m, u, s->next, &lay);
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

bool cg_maps(const ScNode *n, uint32_t in, const ScType *t)
{
    const ScGraph *sub = n->sub[0];
    if (cg_class_of(n) != SC_MAP)
        return false;
    for (uint32_t i = 0; i < sub->n_node; i++)
        for (uint32_t k = 0; k < sub->node[i].n_in; k++)
            if (sub->node[i].in[k] == sub->in[in] && sub->node[i].op->lower.cls != SC_MAP)
                return false;
    return sc_type_of(sub, sub->in[in]) == t && sc_type_of(sub, sub->out[0]) == t;
}

static bool updates_in_place(const ScGraph *g, const Uses *u, uint32_t i)
{
    const ScState *s = &g->state[i];
    if (s->next == s->past)
        return true;
    if (u->n_state[s->next] > 1)
        return false;
    const ScNode *n = sc_def(g, s->next);
    uint32_t writer = g->value[s->next].node, at = only_operand(n, s->past);
    if (n->op->lower.cls != SC_KERNEL || at == n->n_in || u->leaves[s->past] ||
        u->end > writer + 1 || !cg_maps(n, at, sc_type_of(g, s->past)))
        return false;
    for (uint32_t k = u->first[s->past]; k < u->first[s->past + 1]; k++) {
        uint32_t other = u->read[k].node;
        if (other > writer || (other < writer && cg_class_of(&g->node[other]) == SC_VIEW))
            return false;
    }
    return true;
}

/* --- What entries share ---------------------------------------------------------------------- */

void cg_work_on(CgModule *m, const CgWork *u)
{
    m->g = u->g;
    m->target = u->target;
    m->kept_target = &u->target;
    m->state = u->state;
    m->lay = u->lay;
    m->in_place = u->in_place;
    m->placed = u->placed;
}

static const char *type_text(CgModule *m, const ScState *s, const ScType *t)
{
    ScStr text = {0};
    sc_type_print(t, &text);
    if (s->grows)
        sc_str_addf(&text, " up to %lld", (long long)s->capacity);
    return sc_str_keep(&text, m->arena);
}

/* A state is one wherever its name is; what extents are called does not matter. */
static bool same_type(const ScState *a, const ScType *x, const ScState *b, const ScType *y)
{
    if (x->dtype != y->dtype || x->rank != y->rank || !a->grows != !b->grows ||
        a->capacity != b->capacity || sc_state_axis(a, x) != sc_state_axis(b, y))
        return false;
    for (uint32_t d = 0; d < x->rank; d++) {
        int64_t n = -1, k = -1;
        if (sc_term_const(x->dim[d], &n) != sc_term_const(y->dim[d], &k) || n != k)
            return false;
    }
    return true;
}

static bool same_init(const ScBlob *a, const ScBlob *b)
{
    size_t n;
    if (a == b || !a || !b)
        return a == b;
    return a->dtype == b->dtype && a->count == b->count && scrt_bytes(a->dtype, a->count, &n) &&
           memcmp(a->data, b->data, n) == 0;
}

/* The model's state that state s of g is: one of an earlier entry, or a new one. */
static bool find_state(CgModule *m, ScSymbols *known, const ScGraph *g, const ScState *s,
                       uint32_t *ret)
{
    if (sc_symbols_add(known, m->arena, s->name, m->n_state)) {
        *ret = m->n_state++;
        m->all_states[*ret] = (CgState){.g = g, .s = s, .in_place = true, .init = -1};
        return true;
    }
    sc_symbols_find(known, s->name, ret);
    const CgState *x = &m->all_states[*ret];
    const ScType *t = sc_type_of(g, s->past), *u = sc_type_of(x->g, x->s->past);
    const ScTerm *e = g->value[s->past].exp, *f = x->g->value[x->s->past].exp;
    if (!same_type(x->s, u, s, t))
        return sc_fail(m->cx, sc_def(g, s->past)->loc, SC_E_ENTRY,
                       "state \"%s\" is %s in one entry and %s in another", s->name,
                       type_text(m, x->s, u), type_text(m, s, t));
    if (e != f || !same_init(x->s->init, s->init))
        return sc_fail(m->cx, sc_def(g, s->past)->loc, SC_E_ENTRY,
                       "state \"%s\" begins with other values in one entry than in another",
                       s->name);
    return true;
}

static bool may_be_in_place(CgModule *m, const Uses *u, uint32_t i)
{
    const ScState *s = &m->g->state[i];
    return s->grows && s->next != s->past ? grows_in_place(m, u, i) : updates_in_place(m->g, u, i);
}

static void put_in_place(CgModule *m, uint32_t i)
{
    const ScState *s = &m->g->state[i];
    m->in_place[i] = true;
    if (!s->grows || s->next == s->past)
        return;
    m->lay[s->past] = m->lay[s->next] = grown_lay(m, s);
    put_past(m, s);
}

static bool name_states(CgModule *m, uint32_t n, CgWork *u)
{
    uint32_t most = 1;
    for (uint32_t k = 0; k < n; k++)
        most += u[k].g->n_state;
    m->all_states = sc_array(m->arena, CgState, most);
    ScSymbols known = {0};
    for (uint32_t k = 0; k < n; k++) {
        const ScGraph *g = u[k].g;
        u[k].lay = sc_array(m->arena, CgLay, g->n_value);
        u[k].placed = sc_array(m->arena, const bool *, g->n_node + 1);
        u[k].in_place = sc_array(m->arena, bool, g->n_state + 1);
        u[k].state = sc_array(m->arena, uint32_t, g->n_state + 1);
        for (uint32_t i = 0; i < g->n_state; i++)
            if (!find_state(m, &known, g, &g->state[i], &u[k].state[i]))
                return false;
    }
    return true;
}

bool cg_states(CgModule *m, uint32_t n, CgWork *u)
{
    if (!name_states(m, n, u))
        return false;
    for (uint32_t k = 0; k < n; k++) {
        cg_work_on(m, &u[k]);
        ScArena *a = sc_arena_new();
        Uses uses = uses_of(m->g, a);
        for (uint32_t i = 0; i < m->g->n_state; i++)
            m->all_states[m->state[i]].in_place &= may_be_in_place(m, &uses, i);
        sc_arena_free(a);
    }
    for (uint32_t k = 0; k < n; k++) {
        cg_work_on(m, &u[k]);
        for (uint32_t i = 0; i < m->g->n_state; i++)
            if (m->all_states[m->state[i]].in_place)
                put_in_place(m, i);
    }
    return true;
}

/* A state's initial data lies in the weights, as a constant of its first type would: one that is a
 * graph by itself. */
static bool enter_state(CgModule *m, CgState *x)
{
    const ScValue *past = &x->g->value[x->s->past];
    const ScType *first = sc_state_first(m->cx, x->s, past->type);
    uint32_t axis = sc_state_axis(x->s, past->type);
    uint64_t offset;
    if (axis < past->type->rank)
        sc_term_const(first->dim[axis], &x->first);
    if (!x->s->init)
        return true;
    ScAttr *blob = sc_array(m->arena, ScAttr, 2);
    blob[0] = (ScAttr){.kind = SC_A_BLOB, .blob = x->s->init};
    ScValue *v = sc_memdup(m->arena, past, sizeof *past);
    v->type = first;
    ScGraph *g = sc_new(m->arena, ScGraph);
    *g = (ScGraph){.cx = m->cx, .value = v, .n_value = 1};
    ScNode *n = sc_new(m->arena, ScNode);
    *n = (ScNode){
        .op = &sc_op_const, .loc = sc_def(x->g, x->s->past)->loc, .attr = blob, .n_out = 1};
    if (!cg_weights_enter(m, UINT32_MAX, g, n, NULL, &offset))
        return false;
    x->init = (int64_t)offset;
    return true;
}

bool cg_enter_states(CgModule *m)
{
    for (uint32_t i = 0; i < m->n_state; i++)
        if (!enter_state(m, &m->all_states[i]))
            return false;
    return true;
}
