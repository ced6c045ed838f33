/* SPDX-License-Identifier: Apache-2.0 */
/* Which symbols a graph binds and which its nodes need. */
#include "ir/op.h"

/* --- Sets of symbols ------------------------------------------------------------------------- */

static uint32_t slot_of(const ScSymbols *s, const char *sym)
{
    uint32_t i = (uint32_t)(sc_hash_word(SC_HASH, (uintptr_t)sym) >> 16) & (s->cap - 1);
    while (s->slot[i].sym && s->slot[i].sym != sym)
        i = (i + 1) & (s->cap - 1);
    return i;
}

bool sc_symbols_find(const ScSymbols *s, const char *sym, uint32_t *ret)
{
    uint32_t i = s->cap ? slot_of(s, sym) : 0;
    if (!s->cap || !s->slot[i].sym)
        return false;
    if (ret)
        *ret = s->slot[i].node;
    return true;
}

bool sc_symbols_add(ScSymbols *s, ScArena *a, const char *sym, uint32_t node)
{
    if (2 * s->n >= s->cap) {
        ScSymbols old = *s;
        s->cap = old.cap ? 2 * old.cap : 16;
        s->slot = sc_array(a, ScSymbolSlot, s->cap);
        for (uint32_t i = 0; i < old.cap; i++)
            if (old.slot[i].sym)
                s->slot[slot_of(s, old.slot[i].sym)] = old.slot[i];
    }
    uint32_t i = slot_of(s, sym);
    if (s->slot[i].sym)
        return false;
    s->slot[i] = (ScSymbolSlot){sym, node};
    s->n++;
    return true;
}

typedef struct Meeting {
    const ScSymbols *s;
    bool some;
} Meeting;

static void meet(void *arg, const char *sym)
{
    Meeting *m = arg;
    m->some = m->some || sc_symbols_find(m->s, sym, NULL);
}

bool sc_symbols_meet(const ScSymbols *s, const ScTerm *t)
{
    Meeting m = {.s = s};
    sc_term_symbols(t, meet, &m);
    return m.some;
}

/* --- What is bound --------------------------------------------------------------------------- */

typedef struct Binder {
    void (*see)(void *arg, const char *sym, uint32_t node);
    void *arg;
    uint32_t node;
} Binder;

static void bound(void *arg, const char *sym)
{
    Binder *b = arg;
    b->see(b->arg, sym, b->node);
}

static void source_symbols(const ScValue *v, Binder *b)
{
    for (uint32_t d = 0; d < v->type->rank; d++)
        sc_term_symbols(v->type->dim[d], bound, b);
    if (v->exp)
        sc_term_symbols(v->exp, bound, b);
}

void sc_node_binders(const ScGraph *g, uint32_t node,
                     void (*see)(void *arg, const char *sym, uint32_t node), void *arg)
{
    const ScNode *n = &g->node[node];
    Binder b = {see, arg, node};
    if (n->op->flags & SC_BARRIER)
        source_symbols(&g->value[n->first], &b);
    for (uint32_t i = 0; (n->op->flags & SC_BINDS) && i < n->attr[0].n; i++)
        if (n->attr[0].ts[i]->kind == SC_T_SYM)
            see(arg, n->attr[0].ts[i]->sym, node);
}

void sc_nested_binders(const ScGraph *g, const ScNode *n, uint32_t sub,
                       void (*see)(void *arg, const char *sym, uint32_t node), void *arg)
{
    const ScGraph *s = n->sub[sub];
    for (uint32_t k = n->op->enter.operand; k < n->n_in; k++) {
        uint32_t i = k - n->op->enter.operand + n->op->enter.input;
        const ScType *out = sc_type_of(g, n->in[k]);
        const ScType *in = i < s->n_in ? sc_type_of(s, s->in[i]) : NULL;
        for (uint32_t d = 0; in && d < in->rank && d < out->rank; d++)
            if (in->dim[d]->kind == SC_T_SYM && in->dim[d] != out->dim[d])
                see(arg, in->dim[d]->sym, s->value[s->in[i]].node);
    }
    for (uint32_t i = 0; i < s->n_node; i++)
        if (s->node[i].op->flags & SC_BINDS)
            sc_node_binders(s, i, see, arg);
}

/* --- What is needed -------------------------------------------------------------------------- */

typedef struct Need {
    const ScSymbols *own; /* of a nested graph, or NULL */
    void (*see)(void *arg, const char *sym);
    void *arg;
} Need;

static void needed(void *arg, const char *sym)
{
    const Need *n = arg;
    if (!n->own || !sc_symbols_find(n->own, sym, NULL))
        n->see(n->arg, sym);
}

static void see_term(const ScTerm *t, const Need *need)
{
    Need n = *need;
    sc_term_symbols(t, needed, &n);
}

typedef struct Owner {
    ScSymbols *own;
    ScArena *a;
} Owner;

static void own(void *arg, const char *sym, uint32_t node)
{
    Owner *o = arg;
    sc_symbols_add(o->own, o->a, sym, node);
}

/* What a nested graph needs from outside. */
static void nested(const ScGraph *around, const ScNode *n_around, uint32_t sub, const Need *outer)
{
    const ScGraph *g = n_around->sub[sub];
    ScArena *a = sc_arena_new();
    ScSymbols mine = {0};
    Owner o = {&mine, a};
    sc_nested_binders(around, n_around, sub, own, &o);
    Need n = {&mine, needed, (void *)(uintptr_t)outer};
    for (uint32_t i = 0; i < g->n_node; i++)
        sc_node_symbols(g, &g->node[i], needed, &n);
    for (uint32_t i = 0; i < g->n_guard; i++) {
        see_term(g->guard[i].a, &n);
        see_term(g->guard[i].b, &n);
    }
    sc_arena_free(a);
}

void sc_node_symbols(const ScGraph *g, const ScNode *n, void (*see)(void *arg, const char *sym),
                     void *arg)
{
    Need need = {NULL, see, arg};
    for (uint32_t i = 0; i < n->n_out; i++) {
        const ScValue *v = &g->value[n->first + i];
        for (uint32_t d = 0; d < v->type->rank; d++)
            see_term(v->type->dim[d], &need);
        if (v->exp)
            see_term(v->exp, &need);
    }
    for (uint32_t i = (n->op->flags & SC_BINDS) != 0; i < n->op->n_attr; i++)
        for (uint32_t k = 0; n->attr[i].kind == SC_A_TERMS && k < n->attr[i].n; k++)
            see_term(n->attr[i].ts[k], &need);
    for (uint32_t i = 0; i < n->op->n_sub; i++)
        nested(g, n, i, &need);
}
