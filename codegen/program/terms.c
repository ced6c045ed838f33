/* SPDX-License-Identifier: Apache-2.0 */
/* Terms as straight-line code on the symbols' values. Extents from outside may make any of it
 * overflow: where `checked`, that is noted; divisions by 0 never trap. */
#include "codegen/program/program.h"

#include <assert.h>

static void note(CgTerms *t, LLVMValueRef bad)
{
    if (t->checked)
        t->bad = LLVMBuildOr(t->cg->b, t->bad, bad, "");
}

/* a + b or a * b. */
static LLVMValueRef arithmetic(CgTerms *t, bool product, LLVMValueRef a, LLVMValueRef b)
{
    Cg *cg = t->cg;
    if (!t->checked)
        return product ? cg_mul_int(cg, a, b) : cg_add_int(cg, a, b);
    const char *name = product ? "llvm.smul.with.overflow" : "llvm.sadd.with.overflow";
    LLVMValueRef both = cg_intrinsic(cg, name, 1, &cg->m->i64, 2, (LLVMValueRef[]){a, b});
    note(t, LLVMBuildExtractValue(cg->b, both, 1, ""));
    return LLVMBuildExtractValue(cg->b, both, 0, "");
}

/* Rounded down, or up. The divisor is 1 where it is 0. */
static LLVMValueRef divide(CgTerms *t, bool up, LLVMValueRef a, LLVMValueRef b)
{
    LLVMBuilderRef bl = t->cg->b;
    LLVMValueRef zero = cg_int(t->cg, 0), none = LLVMBuildICmp(bl, LLVMIntEQ, b, zero, "");
    note(t, none);
    b = LLVMBuildSelect(bl, none, cg_int(t->cg, 1), b, "");
    LLVMValueRef q = LLVMBuildSDiv(bl, a, b, ""), r = LLVMBuildSRem(bl, a, b, "");
    LLVMValueRef rest = LLVMBuildICmp(bl, LLVMIntNE, r, zero, "");
    LLVMValueRef opposite = LLVMBuildICmp(bl, LLVMIntSLT, LLVMBuildXor(bl, r, b, ""), zero, "");
    LLVMValueRef off = LLVMBuildAnd(bl, rest, up ? LLVMBuildNot(bl, opposite, "") : opposite, "");
    LLVMValueRef one = LLVMBuildZExt(bl, off, t->cg->m->i64, "");
    return up ? LLVMBuildAdd(bl, q, one, "") : LLVMBuildSub(bl, q, one, "");
}

static LLVMValueRef sum(CgTerms *t, const ScTerm *x)
{
    LLVMValueRef v = cg_int(t->cg, x->c);
    for (uint32_t i = 0; i < x->n; i++)
        v = arithmetic(t, false, v,
                       arithmetic(t, true, cg_emit_term(t, x->arg[i]), cg_int(t->cg, x->coef[i])));
    return v;
}

static LLVMValueRef extreme(CgTerms *t, const ScTerm *x)
{
    LLVMIntPredicate p = x->kind == SC_T_MIN ? LLVMIntSLT : LLVMIntSGT;
    LLVMValueRef v = x->has_c ? cg_int(t->cg, x->c) : NULL;
    for (uint32_t i = 0; i < x->n; i++) {
        LLVMValueRef a = cg_emit_term(t, x->arg[i]);
        v = !v ? a : LLVMBuildSelect(t->cg->b, LLVMBuildICmp(t->cg->b, p, a, v, ""), a, v, "");
    }
    return v;
}

static LLVMValueRef broadcast(CgTerms *t, const ScTerm *x)
{
    LLVMBuilderRef bl = t->cg->b;
    LLVMValueRef v = cg_emit_term(t, x->arg[0]), one = cg_int(t->cg, 1);
    for (uint32_t i = 1; i < x->n; i++) {
        LLVMValueRef a = cg_emit_term(t, x->arg[i]);
        v = LLVMBuildSelect(bl, LLVMBuildICmp(bl, LLVMIntEQ, v, one, ""), a, v, "");
    }
    return v;
}

static LLVMValueRef log2_floor(CgTerms *t, LLVMValueRef a)
{
    Cg *cg = t->cg;
    LLVMValueRef one = cg_int(cg, 1);
    a = LLVMBuildSelect(cg->b, LLVMBuildICmp(cg->b, LLVMIntSLT, a, one, ""), one, a, "");
    LLVMValueRef args[] = {a, LLVMConstInt(cg->m->i1, 1, 0)};
    LLVMValueRef zeros = cg_intrinsic(cg, "llvm.ctlz", 1, &cg->m->i64, 2, args);
    return LLVMBuildSub(cg->b, cg_int(cg, 63), zeros, "");
}

static LLVMValueRef symbol(const CgTerms *t, const ScTerm *x)
{
    for (uint32_t i = 0; i < t->sym->n; i++) {
        if (t->sym->sym[i].name == x->sym)
            return t->value[i];
    }
    assert(!"an unbound symbol was refused before");
    return cg_int(t->cg, 0);
}

static LLVMValueRef emit(CgTerms *t, const ScTerm *x)
{
    LLVMValueRef a, b;
    switch (x->kind) {
    case SC_T_CONST:
        return cg_int(t->cg, x->c);
    case SC_T_SYM:
        return symbol(t, x);
    case SC_T_SUM:
        return sum(t, x);
    case SC_T_MUL:
        a = cg_emit_term(t, x->arg[0]);
        for (uint32_t i = 1; i < x->n; i++)
            a = arithmetic(t, true, a, cg_emit_term(t, x->arg[i]));
        return a;
    case SC_T_FDIV:
    case SC_T_CDIV:
        a = cg_emit_term(t, x->arg[0]);
        return divide(t, x->kind == SC_T_CDIV, a, cg_emit_term(t, x->arg[1]));
    case SC_T_MOD:
        a = cg_emit_term(t, x->arg[0]);
        b = cg_emit_term(t, x->arg[1]);
        return LLVMBuildSub(t->cg->b, a, LLVMBuildMul(t->cg->b, b, divide(t, false, a, b), ""), "");
    case SC_T_LOG2:
        return log2_floor(t, cg_emit_term(t, x->arg[0]));
    case SC_T_BCAST:
        return broadcast(t, x);
    default:
        return extreme(t, x);
    }
}

LLVMValueRef cg_emit_term(CgTerms *t, const ScTerm *term)
{
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->term[i] == term)
            return t->done[i];
    }
    LLVMValueRef v = emit(t, term);
    sc_buf_push(t->term, t->n, t->cap, term);
    sc_buf_push(t->done, t->n_v, t->cap_v, v);
    return v;
}

void cg_terms_done(CgTerms *t)
{
    sc_buf_free(t->term);
    sc_buf_free(t->done);
}
