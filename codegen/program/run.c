/* SPDX-License-Identifier: Apache-2.0 */
/* The emitted function `run`: evaluates the terms, then calls the kernels one after another. */
#include "codegen/program/program.h"

#include <assert.h>
#include <stddef.h>

typedef struct Run {
    CgModule *m;
    const CgPlan *p;
    Cg cg;
    CgTerms t;
    LLVMValueRef call;        /* const ScrtCall * */
    LLVMValueRef table, args; /* the term table; the pointers that a kernel is given */
    LLVMValueRef *slot;       /* [n_slot] pointers */
    LLVMValueRef scratch, scratch_thread;
    LLVMValueRef enter[2]; /* functions: before and after a kernel */
} Run;

static LLVMValueRef field(Cg *cg, LLVMTypeRef t, LLVMValueRef base, uint64_t byte)
{
    LLVMValueRef p = cg_gep(cg, cg->m->i8, base, cg_int(cg, (int64_t)byte));
    return LLVMBuildLoad2(cg->b, t, p, "");
}

static LLVMValueRef element(Run *r, uint64_t list, uint64_t i)
{
    LLVMValueRef base = field(&r->cg, r->m->t_ptr, r->call, list);
    return field(&r->cg, r->m->t_ptr, base, i * sizeof(void *));
}

/* --- The workspace --------------------------------------------------------------------------- */

static void find_slots(Run *r)
{
    Cg *cg = &r->cg;
    LLVMValueRef at = field(cg, r->m->t_ptr, r->call, offsetof(ScrtCall, work));
    for (uint32_t i = 0; i < r->p->n_slot; i++) {
        r->slot[i] = at;
        at = cg_gep(cg, r->m->i8, at, cg_emit_term(&r->t, r->p->slot[i]));
    }
    r->scratch = at;
    r->scratch_thread = cg_gep(cg, r->m->i8, at, cg_emit_term(&r->t, r->p->scratch));
}

static LLVMValueRef weight(Run *r, uint64_t offset)
{
    LLVMValueRef base = field(&r->cg, r->m->t_ptr, r->call, offsetof(ScrtCall, weights));
    return cg_gep(&r->cg, r->m->i8, base, cg_int(&r->cg, (int64_t)offset));
}

static LLVMValueRef pointer(Run *r, CgPlace at)
{
    switch (at.kind) {
    case CG_IN:
        return element(r, offsetof(ScrtCall, in), at.index);
    case CG_STATE:
        return element(r, offsetof(ScrtCall, state), at.index);
    case CG_OUT:
        return element(r, offsetof(ScrtCall, out), at.index);
    case CG_NEXT:
        return element(r, offsetof(ScrtCall, next), at.index);
    case CG_WEIGHT:
        return weight(r, at.index);
    default:
        assert(at.kind == CG_WORK);
        return r->slot[at.index];
    }
}

/* --- Kernels --------------------------------------------------------------------------------- */

/* Calls fns->enter or fns->leave, where a profile is wanted. */
static LLVMValueRef emit_profiler(CgModule *m, const char *name, uint64_t which)
{
    LLVMTypeRef params[] = {m->t_ptr, m->i32};
    LLVMTypeRef type = LLVMFunctionType(m->t_void, params, 2, 0);
    Cg cg;
    LLVMValueRef fn = cg_begin_fn(&cg, m, NULL, name, type);
    LLVMValueRef call = LLVMGetParam(fn, 0);
    LLVMValueRef fns = field(&cg, m->t_ptr, call, offsetof(ScrtCall, fns));
    LLVMValueRef hook = field(&cg, m->t_ptr, fns, which);
    CgIf wanted = cg_if(&cg, LLVMBuildIsNotNull(cg.b, hook, ""));
    LLVMValueRef args[] = {field(&cg, m->t_ptr, call, offsetof(ScrtCall, profile)),
                           LLVMGetParam(fn, 1)};
    LLVMBuildCall2(cg.b, type, hook, args, 2, "");
    cg_endif(&cg, &wanted);
    cg_end_fn(&cg);
    return fn;
}

static void give(Run *r, uint32_t i, LLVMValueRef p)
{
    LLVMBuildStore(r->cg.b, p, cg_gep(&r->cg, r->m->t_ptr, r->args, cg_int(&r->cg, i)));
}

static void profile(Run *r, int leave, uint32_t kernel)
{
    LLVMValueRef args[] = {r->call, LLVMConstInt(r->m->i32, kernel, 0)};
    LLVMBuildCall2(r->cg.b, LLVMGlobalGetValueType(r->enter[leave]), r->enter[leave], args, 2, "");
}

static void call_kernel(Run *r, const CgKernel *k, uint32_t index)
{
    const ScNode *n = k->node;
    uint32_t at = CG_ARG_OPERANDS;
    if (k->f->alias)
        return;
    for (uint32_t i = 0; i < n->n_in; i++) {
        bool constant = sc_def(r->m->g, n->in[i])->op->flags & SC_CONST_OP;
        give(r, at++, constant ? weight(r, k->weights[i]) : pointer(r, r->p->place[n->in[i]]));
    }
    for (uint32_t i = 0; i < n->n_out; i++)
        give(r, at++, pointer(r, r->p->place[n->first + i]));
    profile(r, 0, index);
    LLVMBuildCall2(r->cg.b, r->m->t_entry, k->f->entry, &r->args, 1, "");
    profile(r, 1, index);
}

static void copy_results(Run *r)
{
    for (uint32_t i = 0; i < r->p->n_copy; i++) {
        const CgCopy *c = &r->p->copy[i];
        const ScTerm *bytes = cg_bytes(r->m, sc_type_of(r->m->g, c->from));
        LLVMBuildMemCpy(r->cg.b, pointer(r, c->to), 1, pointer(r, r->p->place[c->from]), 1,
                        cg_emit_term(&r->t, bytes));
    }
}

static uint32_t most_arguments(const CgKernels *k)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < k->n; i++) {
        uint32_t n = k->k[i].node->n_in + k->k[i].node->n_out;
        most = n > most ? n : most;
    }
    return CG_ARG_OPERANDS + most;
}

static void begin(Run *r, const CgKernels *k, const CgSymbols *s)
{
    CgModule *m = r->m;
    Cg *cg = &r->cg;
    r->call = LLVMGetParam(cg->fn, 0);
    r->table = LLVMBuildArrayAlloca(cg->eb, m->i64, LLVMConstInt(m->i32, m->n_term + 1, 0), "");
    r->args =
        LLVMBuildArrayAlloca(cg->eb, m->t_ptr, LLVMConstInt(m->i32, most_arguments(k), 0), "");
    LLVMValueRef sym = field(cg, m->t_ptr, r->call, offsetof(ScrtCall, sym));
    for (uint32_t i = 0; i < s->n; i++)
        r->t.value[i] = field(cg, m->i64, sym, i * sizeof(int64_t));
    find_slots(r);
    for (uint32_t i = 0; i < m->n_term; i++)
        LLVMBuildStore(cg->b, cg_emit_term(&r->t, m->term[i]),
                       cg_gep(cg, m->i64, r->table, cg_int(cg, i)));
    give(r, CG_ARG_CALL, r->call);
    give(r, CG_ARG_TERMS, r->table);
    give(r, CG_ARG_SCRATCH, r->scratch);
    give(r, CG_ARG_SCRATCH_THREAD, r->scratch_thread);
}

LLVMValueRef cg_emit_run(CgModule *m, const CgKernels *k, const CgSymbols *s, const CgPlan *p)
{
    Run r = {.m = m, .p = p, .slot = sc_array(m->arena, LLVMValueRef, p->n_slot + 1)};
    r.enter[0] = emit_profiler(m, "enter", offsetof(ScrtFns, enter));
    r.enter[1] = emit_profiler(m, "leave", offsetof(ScrtFns, leave));
    LLVMValueRef fn = cg_begin_fn(&r.cg, m, NULL, "run", m->t_entry);
    r.t = (CgTerms){.cg = &r.cg, .sym = s};
    r.t.value = sc_array(m->arena, LLVMValueRef, s->n + 1);
    begin(&r, k, s);
    for (uint32_t i = 0; i < k->n; i++)
        call_kernel(&r, &k->k[i], i);
    copy_results(&r);
    cg_end_fn(&r.cg);
    cg_terms_done(&r.t);
    return fn;
}
