/* SPDX-License-Identifier: Apache-2.0 */
/* CALL kernels: no code, but a step that calls a function of the runtime. What it is given beside
 * its places are parameters, laid out as scrt.h says at ScrtCallee. */
#include "codegen/program/program.h"

#include <assert.h>

enum { FIRST_PLACE = CG_ARG_OPERANDS - SCRT_ARG_PLACES }; /* of the operands */

static void add(CgFunc *f, const ScTerm *t)
{
    sc_buf_push(f->term, f->n_term, f->cap_term, t);
}

static void add_int(CgModule *m, CgFunc *f, int64_t x)
{
    add(f, sc_term(m->cx, x));
}

static void add_tensor(CgModule *m, CgFunc *f, ScVal v, int64_t place)
{
    const ScType *t = sc_type_of(f->sub, v);
    bool absent = v == SC_ABSENT;
    add_int(m, f, absent ? -1 : place);
    add_int(m, f, absent ? 0 : t->dtype);
    add_int(m, f, absent ? 0 : t->rank);
    for (uint32_t d = 0; d < t->rank && !absent; d++)
        add(f, t->dim[d]);
}

uint32_t cg_operand_of(const ScGraph *sub, ScVal v)
{
    uint32_t i = 0;
    while (i < sub->n_in && sub->in[i] != v)
        i++;
    return i;
}

/* The kernel's operand whose memory the result may take over: one that the call reads once. */
static int place_of(const ScGraph *sub, const ScNode *n, int in_place)
{
    uint32_t n_read = 0;
    for (uint32_t i = 0; i < n->n_in && in_place >= 0; i++)
        n_read += n->in[i] == n->in[in_place];
    return n_read == 1 ? (int)cg_operand_of(sub, n->in[in_place]) : -1;
}

static bool emit(CgModule *m, CgFunc *f)
{
    const ScNode *n = sc_leader(f->sub);
    ScCall *c = sc_new(m->arena, ScCall);
    c->in_place = -1;
    n->op->call(f->sub, n, c);
    assert(n->n_in + n->n_out <= SCRT_CALL_TENSORS);
    add_int(m, f, n->n_in);
    add_int(m, f, n->n_out);
    add_int(m, f, c->n_param);
    for (uint32_t i = 0; i < n->n_in; i++)
        add_tensor(m, f, n->in[i], FIRST_PLACE + cg_operand_of(f->sub, n->in[i]));
    for (uint32_t i = 0; i < n->n_out; i++)
        add_tensor(m, f, n->first + i, FIRST_PLACE + f->n_in + i);
    for (uint32_t i = 0; i < c->n_param; i++)
        add(f, c->param[i]);
    c->in_place = place_of(f->sub, n, c->in_place);
    f->scratch = c->scratch;
    f->scratch_thread = c->scratch_thread;
    f->call = c;
    f->what = sc_printf(m->arena, "call: %s", n->op->name);
    return true;
}

const CgClass cg_call = {.emit = emit};
