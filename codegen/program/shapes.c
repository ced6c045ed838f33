/* SPDX-License-Identifier: Apache-2.0 */
/* The emitted function `shapes`: binds the symbols, checks what was assumed about extents when the
 * graph was compiled, answers the outputs' extents and the size of the workspace. */
#include "codegen/program/program.h"

#include <assert.h>
#include <string.h>

typedef struct Shapes {
    CgModule *m;
    const CgSymbols *s;
    Cg cg;
    CgTerms t;
    LLVMValueRef status; /* i32: 0, or 1 + the input that does not fit */
    struct Seen {
        const ScTerm **term;
        uint32_t n, cap;
    } extents, broadcasts; /* already guarded */
} Shapes;

static LLVMValueRef load(Cg *cg, LLVMTypeRef t, LLVMValueRef base, uint64_t i)
{
    return LLVMBuildLoad2(cg->b, t, cg_gep(cg, t, base, cg_int(cg, (int64_t)i)), "");
}

static void fail_where(Shapes *x, LLVMValueRef bad, uint32_t input)
{
    LLVMBuilderRef b = x->cg.b;
    LLVMValueRef zero = LLVMConstInt(x->m->i32, 0, 0), code = LLVMConstInt(x->m->i32, input + 1, 0);
    bad = LLVMBuildAnd(b, bad, LLVMBuildICmp(b, LLVMIntEQ, x->status, zero, ""), "");
    x->status = LLVMBuildSelect(b, bad, code, x->status, "");
}

static LLVMValueRef input_dim(Shapes *x, uint32_t input, uint32_t dim)
{
    LLVMValueRef dims = load(&x->cg, x->m->t_ptr, LLVMGetParam(x->cg.fn, 0), input);
    return load(&x->cg, x->m->i64, dims, dim);
}

static void bind(Shapes *x)
{
    for (uint32_t i = 0; i < x->s->n; i++) {
        x->t.value[i] = input_dim(x, x->s->sym[i].input, x->s->sym[i].dim);
        LLVMBuildStore(x->cg.b, x->t.value[i],
                       cg_gep(&x->cg, x->m->i64, LLVMGetParam(x->cg.fn, 2), cg_int(&x->cg, i)));
    }
}

/* Every input has the extents that its type says. */
static void check_inputs(Shapes *x)
{
    const ScGraph *g = x->m->g;
    for (uint32_t i = 0; i < g->n_in; i++) {
        const ScType *t = sc_type_of(g, g->in[i]);
        for (uint32_t d = 0; d < t->rank; d++) {
            LLVMValueRef want = cg_emit_term(&x->t, t->dim[d]);
            fail_where(x, LLVMBuildICmp(x->cg.b, LLVMIntNE, input_dim(x, i, d), want, ""), i);
        }
    }
}

/* --- Guards ---------------------------------------------------------------------------------- */

static bool is_new(struct Seen *seen, const ScTerm *t)
{
    for (uint32_t i = 0; i < seen->n; i++) {
        if (seen->term[i] == t)
            return false;
    }
    sc_buf_push(seen->term, seen->n, seen->cap, t);
    return true;
}

/* Extents that meet in a broadcast are equal, or 1. */
static void guard_broadcasts(Shapes *x, const ScTerm *t)
{
    LLVMBuilderRef b = x->cg.b;
    for (uint32_t i = 0; i < t->n; i++)
        guard_broadcasts(x, t->arg[i]);
    if (t->kind != SC_T_BCAST || !is_new(&x->broadcasts, t))
        return;
    LLVMValueRef all = cg_emit_term(&x->t, t), one = cg_int(&x->cg, 1);
    for (uint32_t i = 0; i < t->n; i++) {
        LLVMValueRef a = cg_emit_term(&x->t, t->arg[i]);
        LLVMValueRef bad = LLVMBuildAnd(b, LLVMBuildICmp(b, LLVMIntNE, a, one, ""),
                                        LLVMBuildICmp(b, LLVMIntNE, a, all, ""), "");
        fail_where(x, bad, cg_blame(x->s, t));
    }
}

static bool guard_type(Shapes *x, const ScLoc *loc, const ScType *t)
{
    for (uint32_t d = 0; d < t->rank; d++) {
        if (t->dim[d]->kind == SC_T_CONST || !is_new(&x->extents, t->dim[d]))
            continue;
        if (!cg_bound(x->m, x->s, loc, t->dim[d]))
            return false;
        guard_broadcasts(x, t->dim[d]);
        LLVMValueRef n = cg_emit_term(&x->t, t->dim[d]);
        LLVMValueRef bad = LLVMBuildICmp(x->cg.b, LLVMIntSLT, n, cg_int(&x->cg, 0), "");
        fail_where(x, bad, cg_blame(x->s, t->dim[d]));
    }
    return true;
}

/* Indices are clamped to an axis, which must then have an element, unless there are no indices. */
static void guard_gather(Shapes *x, const ScGraph *g, const ScNode *n)
{
    const ScTerm *extent = sc_type_of(g, n->in[0])->dim[n->op->gather_axis(g, n)];
    if (extent->kind == SC_T_CONST)
        return; /* inference looked */
    LLVMBuilderRef b = x->cg.b;
    LLVMValueRef zero = cg_int(&x->cg, 0);
    LLVMValueRef have = cg_emit_term(&x->t, extent);
    LLVMValueRef want = cg_emit_term(&x->t, sc_type_count(x->m->cx, sc_type_of(g, n->in[1])));
    LLVMValueRef bad = LLVMBuildAnd(b, LLVMBuildICmp(b, LLVMIntEQ, have, zero, ""),
                                    LLVMBuildICmp(b, LLVMIntNE, want, zero, ""), "");
    fail_where(x, bad, cg_blame(x->s, extent));
}

/* The extents of every value, inside kernels too. */
static bool guards(Shapes *x, const ScGraph *g, const ScLoc *loc)
{
    for (ScVal v = SC_FIRST; v < g->n_value; v++) {
        const ScNode *n = sc_def(g, v);
        if (!guard_type(x, loc ? loc : n->loc, sc_type_of(g, v)))
            return false;
        if (n->first == v && n->op->lower.cls == SC_GATHER)
            guard_gather(x, g, n);
        if (n->first == v && n->op->lower.cls == SC_KERNEL && !guards(x, n->sub[0], n->loc))
            return false;
    }
    return true;
}

static LLVMValueRef either(Shapes *x, LLVMValueRef ok, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildOr(x->cg.b, ok, LLVMBuildICmp(x->cg.b, LLVMIntEQ, a, b, ""), "");
}

/* Whether a guard holds; division by 0 was ruled out. */
static LLVMValueRef holds(Shapes *x, ScGuardKind kind, LLVMValueRef a, LLVMValueRef b)
{
    LLVMBuilderRef bl = x->cg.b;
    LLVMValueRef one = cg_int(&x->cg, 1), zero = cg_int(&x->cg, 0);
    LLVMValueRef equal = LLVMBuildICmp(bl, LLVMIntEQ, a, b, ""), none, by;
    switch (kind) {
    case SC_GUARD_EQUAL:
        return equal;
    case SC_GUARD_DIFFER:
        return LLVMBuildNot(bl, equal, "");
    case SC_GUARD_AT_MOST:
        return LLVMBuildICmp(bl, LLVMIntSLE, a, b, "");
    case SC_GUARD_DIVIDES: /* a is an extent; by 0 only 0 is a multiple */
        none = LLVMBuildICmp(bl, LLVMIntSLT, a, one, "");
        by = LLVMBuildSelect(bl, none, one, a, "");
        by = LLVMBuildICmp(bl, LLVMIntEQ, LLVMBuildSRem(bl, b, by, ""), zero, "");
        return LLVMBuildSelect(bl, none, equal, by, "");
    case SC_GUARD_MEET:
        return either(x, either(x, equal, a, one), b, one);
    case SC_GUARD_FITS:
        return either(x, equal, a, one);
    }
    return equal;
}

/* What rules of nodes need of extents. */
static bool guard_rules(Shapes *x)
{
    for (uint32_t i = 0; i < x->m->g->n_guard; i++) {
        const ScGuard *g = &x->m->g->guard[i];
        if (!cg_bound(x->m, x->s, g->loc, g->a) || !cg_bound(x->m, x->s, g->loc, g->b))
            return false;
        LLVMValueRef ok = holds(x, g->kind, cg_emit_term(&x->t, g->a), cg_emit_term(&x->t, g->b));
        bool first =
            g->b->kind == SC_T_CONST || (g->a->kind != SC_T_CONST && g->kind != SC_GUARD_AT_MOST);
        fail_where(x, LLVMBuildNot(x->cg.b, ok, ""), cg_blame(x->s, first ? g->a : g->b));
    }
    return true;
}

/* --- Answers --------------------------------------------------------------------------------- */

static void answer_dims(Shapes *x)
{
    const ScGraph *g = x->m->g;
    for (uint32_t i = 0; i < g->n_out; i++) {
        const ScType *t = sc_type_of(g, g->out[i]);
        if (!t->rank)
            continue;
        LLVMValueRef dims = load(&x->cg, x->m->t_ptr, LLVMGetParam(x->cg.fn, 3), i);
        for (uint32_t d = 0; d < t->rank; d++)
            LLVMBuildStore(x->cg.b, cg_emit_term(&x->t, t->dim[d]),
                           cg_gep(&x->cg, x->m->i64, dims, cg_int(&x->cg, d)));
    }
}

static const ScTerm *slots(CgModule *m, const CgPlan *p)
{
    const ScTerm *sum = p->scratch;
    for (uint32_t i = 0; i < p->n_slot; i++)
        sum = sc_term_add(m->cx, sum, p->slot[i]);
    return sum;
}

static void answer_work(Shapes *x, const CgPlan *p)
{
    CgModule *m = x->m;
    Cg *cg = &x->cg;
    const ScTerm *n_thread = sc_term_sym(m->cx, x->t.sym->sym[x->s->n].name);
    const ScTerm *each = sc_term_mul(m->cx, p->scratch_thread, n_thread);
    LLVMValueRef work = cg_emit_term(&x->t, sc_term_add(m->cx, slots(m, p), each));
    /* Inputs and outputs must be addressable too. */
    for (ScVal v = SC_FIRST; v < m->g->n_value; v++)
        cg_emit_term(&x->t, cg_bytes(m, sc_type_of(m->g, v)));
    work = LLVMBuildSelect(cg->b, x->t.bad, cg_int(cg, -1), work, "");
    LLVMBuildStore(cg->b, work, LLVMGetParam(cg->fn, 4));
}

/* A name that no symbol of the model has. */
static const char *unused_name(CgModule *m, const CgSymbols *s)
{
    const char *name = "threads";
    for (uint32_t i = 0; i < s->n;) {
        bool taken = !strcmp(s->sym[i].name, name);
        name = taken ? sc_printf(m->arena, "%s!", name) : name;
        i = taken ? 0 : i + 1;
    }
    return sc_intern(m->cx, name);
}

LLVMValueRef cg_emit_shapes(CgModule *m, const CgSymbols *s, const CgPlan *p)
{
    LLVMTypeRef params[] = {m->t_ptr, m->i32, m->t_ptr, m->t_ptr, m->t_ptr};
    Shapes x = {.m = m, .s = s, .status = LLVMConstInt(m->i32, 0, 0)};
    LLVMValueRef fn = cg_begin_fn(&x.cg, m, NULL, "shapes", LLVMFunctionType(m->i32, params, 5, 0));
    /* The number of threads is one symbol more. */
    CgSymbols all = {s->n + 1, sc_array(m->arena, CgSymbol, s->n + 1)};
    for (uint32_t i = 0; i < s->n; i++)
        all.sym[i] = s->sym[i];
    all.sym[s->n] = (CgSymbol){.name = unused_name(m, s)};
    x.t = (CgTerms){.cg = &x.cg, .sym = &all, .checked = true};
    x.t.bad = LLVMConstInt(m->i1, 0, 0);
    x.t.value = sc_array(m->arena, LLVMValueRef, all.n);
    x.t.value[s->n] = LLVMBuildZExt(x.cg.b, LLVMGetParam(fn, 1), m->i64, "");
    bind(&x);
    bool ok = true;
    for (uint32_t i = 0; i < m->g->n_in && ok; i++) {
        const ScType *t = sc_type_of(m->g, m->g->in[i]);
        for (uint32_t d = 0; d < t->rank && ok; d++)
            ok = cg_bound(m, s, sc_def(m->g, m->g->in[i])->loc, t->dim[d]);
    }
    for (uint32_t i = 0; i < m->n_term && ok; i++) /* exponents: no extent has them */
        ok = cg_bound(m, s, NULL, m->term[i]);
    if (ok)
        check_inputs(&x);
    if (ok && guard_rules(&x) && guards(&x, m->g, NULL)) {
        answer_dims(&x);
        answer_work(&x, p);
    } else {
        ok = false;
    }
    LLVMBuildRet(x.cg.b, x.status);
    cg_end_fn(&x.cg);
    cg_terms_done(&x.t);
    sc_buf_free(x.extents.term);
    sc_buf_free(x.broadcasts.term);
    return ok ? fn : NULL;
}
