/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that a kernel moves, for the profile: of the elements that it must touch, each once. What
 * a view skips or repeats is not counted, nor what lies in its place already. */
#include "codegen/program/steps_priv.h"

typedef struct Count {
    const CgWriter *w;
    const CgKernel *k;
    const ScGraph *sub;     /* in the program's symbols */
    bool *seen;             /* [n_value] of sub */
    const ScTerm **touched; /* [n_in] elements of each operand */
} Count;

static const ScTerm *elements(const Count *c, ScVal v)
{
    return sc_type_count(c->w->m->cx, sc_type_of(c->sub, v));
}

/* At most `most` elements of value v are loaded; NULL: all of it. */
static void touch(Count *c, ScVal v, const ScTerm *most)
{
    ScCtx *cx = c->w->m->cx;
    if (v < SC_FIRST || c->seen[v])
        return;
    c->seen[v] = true;
    for (;; v = sc_def(c->sub, v)->in[0]) {
        most = most ? sc_term_min(cx, most, elements(c, v)) : elements(c, v);
        if (sc_def(c->sub, v)->op->lower.cls != SC_VIEW)
            break;
    }
    uint32_t i = cg_operand_of(c->sub, v);
    if (i < c->sub->n_in)
        c->touched[i] = sc_term_add(cx, c->touched[i], most);
}

/* Of result i: what the kernel writes itself. */
static const ScTerm *result_bytes(const Count *c, uint32_t i)
{
    ScCtx *cx = c->w->m->cx;
    const bool *placed = c->k->f->placed;
    const ScTerm *bytes = cg_bytes(c->w->m, sc_type_of(c->sub, c->sub->out[i]));
    const ScNode *lead = placed ? sc_leader(c->sub) : NULL;
    for (uint32_t j = 0; lead && j < lead->n_in; j++)
        if (placed[j])
            bytes = sc_term_sub(cx, bytes, cg_bytes(c->w->m, sc_type_of(c->sub, lead->in[j])));
    return bytes;
}

static void touch_all(Count *c)
{
    const bool *placed = c->k->f->placed;
    for (uint32_t i = 0; i < c->sub->n_node; i++) {
        const ScNode *n = &c->sub->node[i];
        bool skips = n->op->lower.cls == SC_GATHER, whole = n->op->lower.cls != SC_CONCAT;
        for (uint32_t j = 0; j < n->n_in && n->op->lower.cls != SC_VIEW; j++)
            if (whole || !placed || !placed[j])
                touch(c, n->in[j], skips && j == 0 ? elements(c, n->first) : NULL);
    }
    for (uint32_t i = 0; i < c->sub->n_out; i++)
        touch(c, c->sub->out[i], NULL);
}

/* Bytes of n elements of operand i: as they are stored where it is a constant. */
static const ScTerm *operand_bytes(const Count *c, uint32_t i, const ScTerm *n)
{
    ScCtx *cx = c->w->m->cx;
    const ScType *t = sc_type_of(c->sub, c->sub->in[i]);
    const CgPack *pack = &c->k->f->pack[i];
    if (pack->fn)
        return sc_term(cx, (int64_t)pack->bytes);
    n = sc_term_min(cx, n, sc_type_count(cx, t));
    return cg_bytes_of(c->w->m, t->dtype, n);
}

void cg_count_kernel(CgWriter *w, const CgKernel *k)
{
    CgProgram *p = w->p;
    CgModule *m = w->m;
    const ScNode *n = k->node;
    Count c = {w, k, n->sub[0], NULL, NULL};
    const ScTerm *zero = sc_term(m->cx, 0), *moved[] = {zero, zero, zero};
    c.seen = sc_array(m->arena, bool, c.sub->n_value);
    c.touched = sc_array(m->arena, const ScTerm *, n->n_in + 1);
    for (uint32_t i = 0; i < n->n_in; i++)
        c.touched[i] = zero;
    touch_all(&c);
    for (uint32_t i = 0; i < n->n_in; i++) {
        bool constant = sc_def(w->r->g, n->in[i])->op->flags & SC_CONST_OP;
        const ScTerm *bytes = operand_bytes(&c, i, c.touched[i]);
        moved[!constant] = sc_term_add(m->cx, moved[!constant], bytes);
    }
    for (uint32_t i = 0; i < n->n_out; i++)
        moved[2] = sc_term_add(m->cx, moved[2], result_bytes(&c, i));
    CgCounted *to = &p->counted[k - w->k->k - p->first_kernel];
    to->word = p->stream[CG_PROFILE].n_word;
    for (uint32_t i = 0; i < 3; i++)
        cg_value_apart(p, CG_VALUE_MOVED + i, moved[i]);
    to->n_word = p->stream[CG_PROFILE].n_word - to->word;
}
