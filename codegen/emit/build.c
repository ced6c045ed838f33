/* SPDX-License-Identifier: Apache-2.0 */
/* The function builder: kernel functions and what they are told, loops, variables, small values. */
#include "codegen/emit/emit.h"

#include <assert.h>
#include <llvm-c/Analysis.h>
#include <stddef.h>
#include <string.h>

struct CgCache { /* loaded once in the entry block */
    enum { CACHE_TERM, CACHE_ARG, CACHE_FNS } kind;
    uint32_t index;
    LLVMValueRef v;
};

/* --- Functions ------------------------------------------------------------------------------- */

static void begin(Cg *cg, CgModule *m, CgFunc *f, LLVMValueRef fn)
{
    *cg = (Cg){.m = m, .f = f, .fn = fn};
    cg->b = LLVMCreateBuilderInContext(m->ctx);
    cg->eb = LLVMCreateBuilderInContext(m->ctx);
    cg->entry = LLVMAppendBasicBlockInContext(m->ctx, fn, "");
    LLVMPositionBuilderAtEnd(cg->eb, cg->entry);
    LLVMPositionBuilderAtEnd(cg->b, LLVMAppendBasicBlockInContext(m->ctx, fn, ""));
    cg_lines_function(cg);
}

static LLVMValueRef named_function(CgModule *m, const CgFunc *f, const char *suffix,
                                   LLVMTypeRef type)
{
    const char *name = suffix ? sc_printf(m->arena, "%s_%s", f->name, suffix) : f->name;
    return cg_function(m, name, type);
}

void cg_begin_entry(Cg *cg, CgModule *m, CgFunc *f)
{
    f->entry = named_function(m, f, NULL, m->t_entry);
    begin(cg, m, f, f->entry);
    cg->args = LLVMGetParam(cg->fn, 0);
}

LLVMValueRef cg_begin_body(Cg *cg, CgModule *m, CgFunc *f, const char *suffix)
{
    begin(cg, m, f, named_function(m, f, suffix, m->t_body));
    cg->args = LLVMGetParam(cg->fn, 0);
    cg->begin = LLVMGetParam(cg->fn, 1);
    cg->end = LLVMGetParam(cg->fn, 2);
    cg->thread = LLVMGetParam(cg->fn, 3);
    return cg->fn;
}

LLVMValueRef cg_begin_fn(Cg *cg, CgModule *m, CgFunc *f, const char *suffix, LLVMTypeRef type)
{
    LLVMValueRef fn = f ? named_function(m, f, suffix, type) : cg_function(m, suffix, type);
    begin(cg, m, f, fn);
    return fn;
}

void cg_end_fn(Cg *cg)
{
    if (!LLVMGetBasicBlockTerminator(LLVMGetInsertBlock(cg->b)))
        LLVMBuildRetVoid(cg->b);
    LLVMBuildBr(cg->eb, LLVMGetNextBasicBlock(cg->entry));
    LLVMDisposeBuilder(cg->b);
    LLVMDisposeBuilder(cg->eb);
    sc_buf_free(cg->cache);
}

static LLVMValueRef cached(Cg *cg, int kind, uint32_t index)
{
    for (uint32_t i = 0; i < cg->n_cache; i++) {
        if ((int)cg->cache[i].kind == kind && cg->cache[i].index == index)
            return cg->cache[i].v;
    }
    return NULL;
}

static LLVMValueRef remember(Cg *cg, int kind, uint32_t index, LLVMValueRef v)
{
    struct CgCache entry = {kind, index, v};
    sc_buf_push(cg->cache, cg->n_cache, cg->cap_cache, entry);
    return v;
}

static LLVMValueRef entry_load(Cg *cg, LLVMTypeRef t, LLVMValueRef base, uint64_t byte)
{
    LLVMValueRef at = LLVMConstInt(cg->m->i64, byte, 0);
    return LLVMBuildLoad2(cg->eb, t, LLVMBuildGEP2(cg->eb, cg->m->i8, base, &at, 1, ""), "");
}

static LLVMValueRef argument(Cg *cg, uint32_t i)
{
    LLVMValueRef v = cached(cg, CACHE_ARG, i);
    return v ? v
             : remember(cg, CACHE_ARG, i,
                        entry_load(cg, cg->m->t_ptr, cg->args, i * sizeof(void *)));
}

/* Index of a parameter; t is not constant. */
static uint32_t term_index(CgFunc *f, const ScTerm *t)
{
    for (uint32_t i = 0; i < f->n_term; i++) {
        if (f->term[i] == t)
            return i;
    }
    sc_buf_push(f->term, f->n_term, f->cap_term, t);
    return f->n_term - 1;
}

LLVMValueRef cg_term(Cg *cg, const ScTerm *t)
{
    int64_t c;
    if (sc_term_const(t, &c))
        return cg_int(cg, c);
    uint32_t i = term_index(cg->f, t);
    LLVMValueRef v = cached(cg, CACHE_TERM, i);
    if (v)
        return v;
    LLVMValueRef table = argument(cg, CG_ARG_PARAMS);
    return remember(cg, CACHE_TERM, i, entry_load(cg, cg->m->i64, table, i * sizeof(int64_t)));
}

LLVMValueRef cg_operand(Cg *cg, uint32_t i)
{
    assert(i < cg->f->n_in);
    return argument(cg, CG_ARG_OPERANDS + i);
}

LLVMValueRef cg_result(Cg *cg, uint32_t i)
{
    assert(i < cg->f->n_out);
    return argument(cg, CG_ARG_OPERANDS + cg->f->n_in + i);
}

static uint32_t n_argument(const CgFunc *f)
{
    return CG_ARG_OPERANDS + f->n_in + f->n_out;
}

LLVMValueRef cg_more(Cg *cg, uint32_t i, LLVMTypeRef t)
{
    uint32_t at = n_argument(cg->f) + i;
    LLVMValueRef v = cached(cg, CACHE_ARG, at);
    return v ? v : remember(cg, CACHE_ARG, at, entry_load(cg, t, cg->args, at * sizeof(void *)));
}

LLVMValueRef cg_more_args(Cg *cg, uint32_t n)
{
    CgModule *m = cg->m;
    uint32_t own = n_argument(cg->f);
    LLVMValueRef copy = LLVMBuildAlloca(cg->eb, LLVMArrayType2(m->i64, own + n), "");
    LLVMBuildMemCpy(cg->b, copy, sizeof(void *), cg->args, sizeof(void *),
                    cg_int(cg, (int64_t)(own * sizeof(void *))));
    return copy;
}

static LLVMValueRef more_at(Cg *cg, LLVMValueRef args, uint32_t i)
{
    return cg_gep(cg, cg->m->i64, args, cg_int(cg, n_argument(cg->f) + i));
}

void cg_set_more(Cg *cg, LLVMValueRef args, uint32_t i, LLVMValueRef x)
{
    LLVMBuildStore(cg->b, x, more_at(cg, args, i));
}

LLVMValueRef cg_scratch(Cg *cg)
{
    return argument(cg, CG_ARG_SCRATCH);
}

LLVMValueRef cg_scratch_thread(Cg *cg)
{
    const ScTerm *each = cg_round64(cg->m, cg->f->scratch_thread);
    LLVMValueRef thread = LLVMBuildZExt(cg->b, cg->thread, cg->m->i64, "");
    return cg_gep(cg, cg->m->i8, argument(cg, CG_ARG_SCRATCH_THREAD),
                  cg_mul_int(cg, thread, cg_term(cg, each)));
}

const ScTerm *cg_round64(CgModule *m, const ScTerm *t)
{
    return sc_term_scale(m->cx, sc_term_cdiv(m->cx, t, sc_term(m->cx, 64)), 64);
}

/* --- Calls through the runtime's functions --------------------------------------------------- */

static LLVMValueRef runtime_function(Cg *cg, uint32_t offset)
{
    LLVMValueRef v = cached(cg, CACHE_FNS, offset);
    if (v)
        return v;
    LLVMValueRef call = argument(cg, CG_ARG_CALL);
    LLVMValueRef fns = entry_load(cg, cg->m->t_ptr, call, offsetof(ScrtCall, fns));
    return remember(cg, CACHE_FNS, offset, entry_load(cg, cg->m->t_ptr, fns, offset));
}

void cg_parallel(Cg *cg, LLVMValueRef body, LLVMValueRef n, LLVMValueRef grain)
{
    cg_parallel_args(cg, body, cg->args, n, grain);
}

void cg_parallel_args(Cg *cg, LLVMValueRef body, LLVMValueRef args, LLVMValueRef n,
                      LLVMValueRef grain)
{
    CgModule *m = cg->m;
    LLVMValueRef zero = cg_int(cg, 0);
    CgIf one = cg_if(cg, LLVMBuildICmp(cg->b, LLVMIntSLE, n, grain, ""));
    LLVMBuildCall2(cg->b, m->t_body, body,
                   (LLVMValueRef[]){args, zero, n, LLVMConstInt(m->i32, 0, 0)}, 4, "");
    cg_else(cg, &one);
    LLVMTypeRef params[] = {m->t_ptr, m->t_ptr, m->t_ptr, m->i64, m->i64};
    LLVMValueRef pool =
        entry_load(cg, m->t_ptr, argument(cg, CG_ARG_CALL), offsetof(ScrtCall, pool));
    LLVMBuildCall2(cg->b, LLVMFunctionType(m->t_void, params, 5, 0),
                   runtime_function(cg, offsetof(ScrtFns, parallel)),
                   (LLVMValueRef[]){pool, body, args, n, grain}, 5, "");
    cg_endif(cg, &one);
}

LLVMValueRef cg_threads(Cg *cg)
{
    CgModule *m = cg->m;
    LLVMValueRef n =
        entry_load(cg, m->i32, argument(cg, CG_ARG_CALL), offsetof(ScrtCall, n_thread));
    return LLVMBuildZExt(cg->b, n, m->i64, "");
}

/* --- Items that are shared out --------------------------------------------------------------- */

enum { MORE_NEXT, N_MORE, LEAST_UNITS = 4 };

/* How many of n items are in pieces: half of them; all where too few units come upon a thread, or
 * they are too small. */
static LLVMValueRef in_pieces(Cg *cg, LLVMValueRef n, LLVMValueRef unit, LLVMValueRef grain)
{
    LLVMBuilderRef b = cg->b;
    LLVMValueRef thread = cg_threads(cg), units = LLVMBuildUDiv(b, n, unit, "");
    LLVMValueRef least = cg_mul_int(cg, thread, cg_int(cg, LEAST_UNITS));
    LLVMValueRef many = LLVMBuildICmp(b, LLVMIntSGE, units, least, "");
    LLVMValueRef large = LLVMBuildICmp(b, LLVMIntSLE, grain, unit, "");
    LLVMValueRef several = LLVMBuildICmp(b, LLVMIntSGT, thread, cg_int(cg, 1), "");
    LLVMValueRef pays = LLVMBuildAnd(b, several, LLVMBuildAnd(b, many, large, ""), "");
    LLVMValueRef half = LLVMBuildUDiv(b, units, cg_int(cg, 2), "");
    return LLVMBuildSelect(b, pays, LLVMBuildMul(b, half, unit, ""), n, "");
}

void cg_parallel_items(Cg *cg, LLVMValueRef body, LLVMValueRef n, LLVMValueRef unit,
                       LLVMValueRef grain)
{
    LLVMValueRef args = cg_more_args(cg, N_MORE), own = in_pieces(cg, n, unit, grain);
    cg_set_more(cg, args, MORE_NEXT, own);
    cg_parallel_args(cg, body, args, own, grain);
}

/* The thread's piece, then what it takes, until nothing is left. */
CgItems cg_items(Cg *cg, LLVMValueRef n, LLVMValueRef unit)
{
    CgItems s = {.n = n, .unit = unit, .to = cg_var(cg, cg->m->i64, cg->end)};
    s.some = cg_for(cg, cg->begin, n, NULL);
    s.each = cg_for(cg, s.some.i, cg_get(cg, cg->m->i64, s.to), cg_int(cg, 1));
    s.i = s.each.i;
    return s;
}

void cg_items_next(Cg *cg, CgItems *s)
{
    cg_next(cg, &s->each);
    LLVMValueRef at = more_at(cg, cg->args, MORE_NEXT);
    LLVMValueRef next = LLVMBuildAtomicRMW(cg->b, LLVMAtomicRMWBinOpAdd, at, s->unit,
                                           LLVMAtomicOrderingMonotonic, false);
    cg_set(cg, s->to, cg_min_int(cg, cg_add_int(cg, next, s->unit), s->n));
    s->some.step = LLVMBuildSub(cg->b, next, s->some.i, "");
    cg_next(cg, &s->some);
}

LLVMValueRef cg_libm(Cg *cg, uint32_t fn, uint32_t n, LLVMValueRef const *x)
{
    CgModule *m = cg->m;
    LLVMTypeRef params[] = {m->i32, m->f64, m->f64};
    LLVMValueRef args[] = {LLVMConstInt(m->i32, fn, 0), x[0], n == 2 ? x[1] : NULL};
    uint32_t at = n == 2 ? offsetof(ScrtFns, libm2) : offsetof(ScrtFns, libm1);
    return LLVMBuildCall2(cg->b, LLVMFunctionType(m->f64, params, n + 1, 0),
                          runtime_function(cg, at), args, n + 1, "");
}

/* --- Small values ---------------------------------------------------------------------------- */

LLVMTypeRef cg_vec(LLVMTypeRef element, uint32_t w)
{
    return w == 1 ? element : LLVMVectorType(element, w);
}

static LLVMValueRef repeat_const(LLVMTypeRef t, LLVMValueRef x)
{
    LLVMValueRef all[64];
    uint32_t w = LLVMGetVectorSize(t);
    assert(w <= 64);
    for (uint32_t i = 0; i < w; i++)
        all[i] = x;
    return LLVMConstVector(all, w);
}

static bool is_vector(LLVMTypeRef t)
{
    return LLVMGetTypeKind(t) == LLVMVectorTypeKind;
}

LLVMValueRef cg_int(Cg *cg, int64_t x)
{
    return LLVMConstInt(cg->m->i64, (uint64_t)x, 1);
}

LLVMValueRef cg_iconst(LLVMTypeRef t, int64_t x)
{
    if (!is_vector(t))
        return LLVMConstInt(t, (uint64_t)x, 1);
    return repeat_const(t, LLVMConstInt(LLVMGetElementType(t), (uint64_t)x, 1));
}

LLVMValueRef cg_fconst(LLVMTypeRef t, double x)
{
    if (!is_vector(t))
        return LLVMConstReal(t, x);
    return repeat_const(t, LLVMConstReal(LLVMGetElementType(t), x));
}

LLVMValueRef cg_splat(Cg *cg, LLVMValueRef x, uint32_t w)
{
    if (w == 1)
        return x;
    LLVMTypeRef t = LLVMVectorType(LLVMTypeOf(x), w);
    if (LLVMIsConstant(x))
        return repeat_const(t, x);
    LLVMValueRef zero = LLVMConstInt(cg->m->i32, 0, 0);
    LLVMValueRef v = LLVMBuildInsertElement(cg->b, LLVMGetPoison(t), x, zero, "");
    LLVMValueRef lanes = LLVMConstNull(LLVMVectorType(cg->m->i32, w));
    return LLVMBuildShuffleVector(cg->b, v, LLVMGetPoison(t), lanes, "");
}

LLVMValueRef cg_take(Cg *cg, LLVMValueRef x, uint32_t from, uint32_t n)
{
    LLVMValueRef at[64];
    uint32_t w = LLVMGetVectorSize(LLVMTypeOf(x));
    for (uint32_t i = 0; i < n; i++)
        at[i] = from + i < w ? LLVMConstInt(cg->m->i32, from + i, 0) : LLVMGetUndef(cg->m->i32);
    return LLVMBuildShuffleVector(cg->b, x, LLVMGetPoison(LLVMTypeOf(x)), LLVMConstVector(at, n),
                                  "");
}

LLVMValueRef cg_join(Cg *cg, LLVMValueRef *x, uint32_t n)
{
    LLVMValueRef at[64];
    for (; n > 1; n /= 2) {
        uint32_t w = 2 * LLVMGetVectorSize(LLVMTypeOf(x[0]));
        assert(w <= 64);
        for (uint32_t i = 0; i < w; i++)
            at[i] = LLVMConstInt(cg->m->i32, i, 0);
        for (uint32_t i = 0; i < n / 2; i++)
            x[i] =
                LLVMBuildShuffleVector(cg->b, x[2 * i], x[2 * i + 1], LLVMConstVector(at, w), "");
    }
    return x[0];
}

static bool is_const_int(LLVMValueRef v, int64_t c)
{
    return LLVMIsAConstantInt(v) && LLVMConstIntGetSExtValue(v) == c;
}

LLVMValueRef cg_mul_int(Cg *cg, LLVMValueRef a, LLVMValueRef b)
{
    if (is_const_int(a, 1) || is_const_int(b, 0))
        return b;
    if (is_const_int(b, 1) || is_const_int(a, 0))
        return a;
    return LLVMBuildMul(cg->b, a, b, "");
}

LLVMValueRef cg_add_int(Cg *cg, LLVMValueRef a, LLVMValueRef b)
{
    if (is_const_int(a, 0))
        return b;
    return is_const_int(b, 0) ? a : LLVMBuildAdd(cg->b, a, b, "");
}

LLVMValueRef cg_min_int(Cg *cg, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildSelect(cg->b, LLVMBuildICmp(cg->b, LLVMIntSLT, a, b, ""), a, b, "");
}

LLVMValueRef cg_max_int(Cg *cg, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildSelect(cg->b, LLVMBuildICmp(cg->b, LLVMIntSLT, a, b, ""), b, a, "");
}

LLVMValueRef cg_cdiv_int(Cg *cg, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef up = LLVMBuildAdd(cg->b, a, LLVMBuildSub(cg->b, b, cg_int(cg, 1), ""), "");
    return LLVMBuildUDiv(cg->b, up, b, "");
}

LLVMValueRef cg_gep(Cg *cg, LLVMTypeRef element, LLVMValueRef base, LLVMValueRef index)
{
    return LLVMBuildGEP2(cg->b, element, base, &index, 1, "");
}

LLVMValueRef cg_intrinsic(Cg *cg, const char *name, uint32_t n_type, LLVMTypeRef *type, uint32_t n,
                          LLVMValueRef *arg)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    assert(id != 0);
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(cg->m->mod, id, type, n_type);
    LLVMTypeRef t = LLVMIntrinsicGetType(cg->m->ctx, id, type, n_type);
    return LLVMBuildCall2(cg->b, t, fn, arg, n, "");
}

LLVMValueRef cg_shl(Cg *cg, LLVMValueRef x, int64_t n)
{
    return n ? LLVMBuildShl(cg->b, x, cg_iconst(LLVMTypeOf(x), n), "") : x;
}

LLVMValueRef cg_and(Cg *cg, LLVMValueRef x, int64_t bits)
{
    return LLVMBuildAnd(cg->b, x, cg_iconst(LLVMTypeOf(x), bits), "");
}

LLVMValueRef cg_fma(Cg *cg, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c)
{
    if (!cg->m->target.fma)
        return LLVMBuildFAdd(cg->b, LLVMBuildFMul(cg->b, a, b, ""), c, "");
    LLVMTypeRef t = LLVMTypeOf(a);
    return cg_intrinsic(cg, "llvm.fma", 1, &t, 3, (LLVMValueRef[]){a, b, c});
}

void cg_prefetch(Cg *cg, LLVMValueRef ptr, uint32_t keep)
{
    LLVMTypeRef i32 = cg->m->i32;
    LLVMValueRef args[] = {ptr, LLVMConstInt(i32, 0, 0), LLVMConstInt(i32, keep, 0),
                           LLVMConstInt(i32, 1, 0)};
    cg_intrinsic(cg, "llvm.prefetch", 1, &cg->m->t_ptr, 4, args);
}

/* --- Variables, loops, branches -------------------------------------------------------------- */

LLVMValueRef cg_var(Cg *cg, LLVMTypeRef t, LLVMValueRef init)
{
    LLVMValueRef var = LLVMBuildAlloca(cg->eb, t, "");
    if (init)
        LLVMBuildStore(cg->b, init, var);
    return var;
}

LLVMValueRef cg_get(Cg *cg, LLVMTypeRef t, LLVMValueRef var)
{
    return LLVMBuildLoad2(cg->b, t, var, "");
}

void cg_set(Cg *cg, LLVMValueRef var, LLVMValueRef x)
{
    LLVMBuildStore(cg->b, x, var);
}

static LLVMBasicBlockRef new_block(Cg *cg)
{
    return LLVMAppendBasicBlockInContext(cg->m->ctx, cg->fn, "");
}

CgLoop cg_for(Cg *cg, LLVMValueRef from, LLVMValueRef to, LLVMValueRef step)
{
    CgLoop l = {.step = step, .head = new_block(cg)};
    LLVMBasicBlockRef before = LLVMGetInsertBlock(cg->b), body = new_block(cg);
    l.exit = new_block(cg);
    LLVMBuildBr(cg->b, l.head);
    LLVMPositionBuilderAtEnd(cg->b, l.head);
    l.i = LLVMBuildPhi(cg->b, LLVMTypeOf(from), "");
    LLVMAddIncoming(l.i, &from, &before, 1);
    LLVMBuildCondBr(cg->b, LLVMBuildICmp(cg->b, LLVMIntSLT, l.i, to, ""), body, l.exit);
    LLVMPositionBuilderAtEnd(cg->b, body);
    return l;
}

void cg_next(Cg *cg, const CgLoop *l)
{
    LLVMValueRef next = LLVMBuildAdd(cg->b, l->i, l->step, "");
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(cg->b);
    LLVMAddIncoming(l->i, &next, &latch, 1);
    LLVMBuildBr(cg->b, l->head);
    LLVMPositionBuilderAtEnd(cg->b, l->exit);
}

CgIf cg_if(Cg *cg, LLVMValueRef cond)
{
    LLVMBasicBlockRef then = new_block(cg);
    CgIf i = {.other = new_block(cg), .done = new_block(cg)};
    LLVMBuildCondBr(cg->b, cond, then, i.other);
    LLVMPositionBuilderAtEnd(cg->b, then);
    return i;
}

void cg_else(Cg *cg, CgIf *i)
{
    LLVMBuildBr(cg->b, i->done);
    LLVMPositionBuilderAtEnd(cg->b, i->other);
    i->has_else = true;
}

void cg_endif(Cg *cg, CgIf *i)
{
    if (!i->has_else)
        cg_else(cg, i);
    LLVMBuildBr(cg->b, i->done);
    LLVMPositionBuilderAtEnd(cg->b, i->done);
}

LLVMValueRef cg_mask(Cg *cg, LLVMValueRef n, uint32_t w)
{
    LLVMValueRef lane[64];
    for (uint32_t i = 0; i < w; i++)
        lane[i] = LLVMConstInt(cg->m->i32, i, 0);
    LLVMValueRef count = cg_splat(cg, LLVMBuildTrunc(cg->b, n, cg->m->i32, ""), w);
    return LLVMBuildICmp(cg->b, LLVMIntULT, LLVMConstVector(lane, w), count, "");
}

static bool ignores_tail(const CgModule *m)
{
#ifdef SC_DEBUG
    return m->opt->fault_tail;
#else
    (void)m;
    return false;
#endif
}

/* Fewer than w lanes. */
static void some_lanes(Cg *cg, LLVMValueRef from, LLVMValueRef to, uint32_t w, CgLanes body,
                       void *arg)
{
    if (cg->m->target.avx512) {
        LLVMValueRef n = LLVMBuildSub(cg->b, to, from, "");
        CgIf some = cg_if(cg, LLVMBuildICmp(cg->b, LLVMIntSGT, n, cg_int(cg, 0), ""));
        body(cg, arg, from, w, cg_mask(cg, n, w));
        cg_endif(cg, &some);
        return;
    }
    CgLoop one = cg_for(cg, from, to, cg_int(cg, 1));
    body(cg, arg, one.i, 1, NULL);
    cg_next(cg, &one);
}

void cg_lanes(Cg *cg, LLVMValueRef from, LLVMValueRef to, uint32_t w, CgLanes body, void *arg)
{
    if (w == 1) {
        CgLoop l = cg_for(cg, from, to, cg_int(cg, 1));
        body(cg, arg, l.i, 1, NULL);
        cg_next(cg, &l);
        return;
    }
    LLVMValueRef n = LLVMBuildSub(cg->b, to, from, "");
    LLVMValueRef whole = LLVMBuildAnd(cg->b, n, cg_int(cg, -(int64_t)w), "");
    LLVMValueRef stop = LLVMBuildAdd(cg->b, from, whole, "");
    CgLoop l = cg_for(cg, from, stop, cg_int(cg, w));
    body(cg, arg, l.i, w, NULL);
    cg_next(cg, &l);
    if (!ignores_tail(cg->m))
        some_lanes(cg, stop, to, w, body, arg);
}

/* Fewer than a group of vectors: where the target masks, one loop does for whole ones and the tail.
 */
static void some_vectors(Cg *cg, LLVMValueRef from, LLVMValueRef to, uint32_t w, CgLanes body,
                         void *arg)
{
    if (!cg->m->target.avx512 || ignores_tail(cg->m)) {
        cg_lanes(cg, from, to, w, body, arg);
        return;
    }
    CgLoop l = cg_for(cg, from, to, cg_int(cg, w));
    body(cg, arg, l.i, w, cg_mask(cg, LLVMBuildSub(cg->b, to, l.i, ""), w));
    cg_next(cg, &l);
}

void cg_lanes_at_once(Cg *cg, LLVMValueRef from, LLVMValueRef to, uint32_t w, uint32_t at_once,
                      CgLanes body, void *arg)
{
    if (at_once == 1) {
        cg_lanes(cg, from, to, w, body, arg);
        return;
    }
    LLVMValueRef group = cg_int(cg, (int64_t)w * at_once);
    LLVMValueRef n = LLVMBuildSub(cg->b, to, from, "");
    LLVMValueRef whole = LLVMBuildAnd(cg->b, n, LLVMBuildNeg(cg->b, group, ""), "");
    LLVMValueRef stop = LLVMBuildAdd(cg->b, from, whole, "");
    CgLoop l = cg_for(cg, from, stop, group);
    body(cg, arg, l.i, w * at_once, NULL);
    cg_next(cg, &l);
    some_vectors(cg, stop, to, w, body, arg);
}

void cg_lanes_unrolled(Cg *cg, LLVMValueRef from, LLVMValueRef to, uint32_t w, uint32_t at_once,
                       uint32_t most, bool whole, CgLanes body, void *arg)
{
    if (!whole && (!cg->m->target.avx512 || ignores_tail(cg->m))) {
        cg_lanes_at_once(cg, from, to, w, at_once, body, arg);
        return;
    }
    for (uint32_t i = 0; i < most; i += at_once) {
        uint32_t n = w * (at_once < most - i ? at_once : most - i);
        LLVMValueRef at = cg_add_int(cg, from, cg_int(cg, (int64_t)i * w));
        LLVMValueRef left = LLVMBuildSub(cg->b, to, at, "");
        LLVMValueRef mask = whole ? NULL : cg_mask(cg, cg_max_int(cg, left, cg_int(cg, 0)), n);
        body(cg, arg, at, n, mask);
    }
}

void cg_lanes_past(Cg *cg, LLVMValueRef from, LLVMValueRef to, uint32_t w, uint32_t at_once,
                   ScrtDtype t, LLVMValueRef base, LLVMValueRef index, CgLanes body, void *arg)
{
    const uint32_t size = scrt_dtype_bits(t) / 8;
    LLVMValueRef ptr = cg_gep(cg, cg_storage_type(cg->m, t), base, index);
    LLVMValueRef at = LLVMBuildPtrToInt(cg->b, ptr, cg->m->i64, "");
    LLVMValueRef ahead =
        LLVMBuildAnd(cg->b, LLVMBuildNeg(cg->b, at, ""), cg_int(cg, (int64_t)w * size - 1), "");
    ahead = LLVMBuildUDiv(cg->b, ahead, cg_int(cg, size), "");
    LLVMValueRef first = cg_min_int(cg, cg_add_int(cg, from, ahead), to);
    some_lanes(cg, from, first, w, body, arg);
    cg_lanes_at_once(cg, first, to, w, at_once, body, arg);
}

/* Blocks of 1, 2, 4 ... lanes change places between pairs of vectors. */
void cg_turn(Cg *cg, LLVMValueRef *v, uint32_t w)
{
    LLVMValueRef lo[64], hi[64];
    for (uint32_t s = 1; s < w; s *= 2) {
        for (uint32_t l = 0; l < w; l++) {
            lo[l] = LLVMConstInt(cg->m->i32, l & s ? w + l - s : l, 0);
            hi[l] = LLVMConstInt(cg->m->i32, l & s ? w + l : l + s, 0);
        }
        for (uint32_t i = 0; i < w; i++) {
            LLVMValueRef a = v[i], b;
            if (i & s)
                continue;
            b = v[i + s];
            v[i] = LLVMBuildShuffleVector(cg->b, a, b, LLVMConstVector(lo, w), "");
            v[i + s] = LLVMBuildShuffleVector(cg->b, a, b, LLVMConstVector(hi, w), "");
        }
    }
}
