/* SPDX-License-Identifier: Apache-2.0 */
/* Symbols that only a run knows. Each node that binds some begins a level: what needs them is
 * evaluated, guarded and allocated there, and not before. Level 0 is what the dims of inputs and
 * states tell. */
#include "codegen/program/program.h"

bool cg_binds(const ScNode *n)
{
    const ScAttr *as = n->op->flags & SC_BINDS ? sc_attr(n, 0) : NULL;
    for (uint32_t k = 0; as && k < as->n; k++)
        if (as->ts[k]->kind == SC_T_SYM)
            return true;
    return false;
}

static void add_late(CgModule *m, CgRegion *r, const ScTerm *t)
{
    if (t->kind != SC_T_SYM)
        return;
    CgLate *late = sc_new(m->arena, CgLate);
    *late = (CgLate){t->sym, r->n_level, r->late};
    r->late = late;
}

/* Level 1 of a loop's body is its head: what is bound there, and anew each turn. */
void cg_find_late(CgModule *m, CgRegion *r)
{
    const ScGraph *g = r->g;
    if (r->node && r->node->op->control == SC_TURNS) {
        r->n_level = 1;
        for (uint32_t i = 0; i < sc_carried(r->node); i++) {
            const ScType *t = sc_type_of(g, g->in[1 + i]);
            const ScType *outer = sc_type_of(r->outer->g, r->node->in[2 + i]);
            for (uint32_t d = 0; d < t->rank; d++)
                if (t->dim[d] != outer->dim[d])
                    add_late(m, r, t->dim[d]);
        }
    }
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (!cg_binds(n))
            continue;
        const ScAttr *as = sc_attr(n, 0);
        r->n_level++;
        for (uint32_t k = 0; k < as->n; k++)
            add_late(m, r, as->ts[k]);
    }
}

typedef struct Level {
    const CgLate *late;
    uint32_t most;
} Level;

static void see_late(void *arg, const char *sym)
{
    Level *l = arg;
    for (const CgLate *x = l->late; x; x = x->next) {
        if (x->sym == sym && x->level > l->most)
            l->most = x->level;
    }
}

uint32_t cg_level(const CgRegion *r, const ScTerm *t)
{
    Level l = {.late = r->late};
    if (r->late)
        sc_term_symbols(t, see_late, &l);
    return l.most;
}
