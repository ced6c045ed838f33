/* SPDX-License-Identifier: Apache-2.0 */
/* Scalar bodies as vector instructions, one for one: each operation rounds by itself, nothing is
 * contracted or reordered, so an element has the same bits in a vector, in a tail and alone. */
#include "codegen/emit/emit.h"

#include <assert.h>
#include <math.h>

typedef struct Emit {
    Cg *cg;
    const ScBody *body;
    const CgVal *in;
    uint32_t w;
    CgVal *x;        /* [body->n] */
    ScrtDtype flt;   /* the compute float */
    ScrtDtype whole; /* the integer type of constants and terms */
    ScrtDtype bits;  /* that of the compute float's patterns */
} Emit;

static LLVMTypeRef type_of(const Emit *e, ScrtDtype t)
{
    return cg_vec(cg_compute_type(e->cg->m, t), e->w);
}

static bool is_signed(ScrtDtype t)
{
    return scrt_dtype_kind(t) == SCRT_KIND_INT;
}

static bool is_float(ScrtDtype t)
{
    return scrt_dtype_is_float(t);
}

/* Any element value as an integer of type t, as C converts. */
static CgVal to_int(Cg *cg, CgVal x, ScrtDtype t, uint32_t w)
{
    LLVMTypeRef to = cg_vec(cg_compute_type(cg->m, t), w);
    if (x.t == SCRT_BOOL)
        return (CgVal){LLVMBuildZExt(cg->b, x.v, to, ""), t, NULL};
    uint32_t have = scrt_dtype_bits(x.t), want = scrt_dtype_bits(t);
    if (have == want)
        return (CgVal){x.v, t, NULL};
    if (have > want)
        return (CgVal){LLVMBuildTrunc(cg->b, x.v, to, ""), t, NULL};
    LLVMValueRef v =
        is_signed(x.t) ? LLVMBuildSExt(cg->b, x.v, to, "") : LLVMBuildZExt(cg->b, x.v, to, "");
    return (CgVal){v, t, NULL};
}

static CgVal int_to_float(Cg *cg, CgVal x, ScrtDtype flt, uint32_t w)
{
    LLVMTypeRef to = cg_vec(cg_compute_type(cg->m, flt), w);
    LLVMValueRef v =
        is_signed(x.t) ? LLVMBuildSIToFP(cg->b, x.v, to, "") : LLVMBuildUIToFP(cg->b, x.v, to, "");
    return (CgVal){v, flt, NULL};
}

static CgVal widen_float(const Emit *e, CgVal x)
{
    if (e->flt == SCRT_F64 && x.t != SCRT_F64)
        return (CgVal){LLVMBuildFPExt(e->cg->b, x.v, type_of(e, SCRT_F64), ""), SCRT_F64, NULL};
    assert(e->flt == SCRT_F64 || x.t != SCRT_F64);
    return (CgVal){x.v, e->flt, NULL};
}

static CgVal leaf(const Emit *e, const ScXIns *i)
{
    Cg *cg = e->cg;
    switch (i->code) {
    case SC_X_IN: {
        CgVal x = e->in[i->i];
        return is_float(x.t) ? widen_float(e, x) : (CgVal){x.v, x.t, NULL};
    }
    case SC_X_CONST:
        return (CgVal){cg_fconst(type_of(e, e->flt), i->f), e->flt, NULL};
    case SC_X_ICONST:
        return (CgVal){cg_iconst(type_of(e, e->whole), i->i), e->whole, NULL};
    default: {
        CgVal t =
            to_int(cg, (CgVal){cg_term(cg, e->body->term[i->i]), SCRT_I64, NULL}, e->whole, 1);
        return (CgVal){cg_splat(cg, t.v, e->w), t.t, NULL};
    }
    }
}

/* Constants and terms take the width of the integer that they meet. */
static void agree(const Emit *e, const ScXIns *i, CgVal *a, CgVal *b)
{
    if (is_float(a->t) || is_float(b->t) || a->t == b->t || i->code == SC_X_SELECT)
        return;
    uint8_t op = e->body->ins[i->a].code;
    bool a_yields = op == SC_X_ICONST || op == SC_X_TERM;
    if (a_yields)
        *a = to_int(e->cg, *a, b->t, e->w);
    else
        *b = to_int(e->cg, *b, a->t, e->w);
}

static LLVMValueRef compare(const Emit *e, uint8_t op, CgVal a, CgVal b)
{
    LLVMBuilderRef bl = e->cg->b;
    if (is_float(a.t)) {
        LLVMRealPredicate p = op == SC_X_EQ   ? LLVMRealOEQ
                              : op == SC_X_LT ? LLVMRealOLT
                                              : LLVMRealOLE;
        return LLVMBuildFCmp(bl, p, a.v, b.v, "");
    }
    bool sign = is_signed(a.t);
    LLVMIntPredicate p = op == SC_X_EQ   ? LLVMIntEQ
                         : op == SC_X_LT ? (sign ? LLVMIntSLT : LLVMIntULT)
                                         : (sign ? LLVMIntSLE : LLVMIntULE);
    return LLVMBuildICmp(bl, p, a.v, b.v, "");
}

LLVMValueRef cg_min_max(Cg *cg, bool max, CgVal a, CgVal b)
{
    LLVMBuilderRef bl = cg->b;
    if (!is_float(a.t)) {
        bool sign = is_signed(a.t);
        LLVMIntPredicate p =
            max ? (sign ? LLVMIntSGT : LLVMIntUGT) : (sign ? LLVMIntSLT : LLVMIntULT);
        return LLVMBuildSelect(bl, LLVMBuildICmp(bl, p, a.v, b.v, ""), a.v, b.v, "");
    }
    LLVMValueRef c = LLVMBuildFCmp(bl, max ? LLVMRealOGT : LLVMRealOLT, a.v, b.v, "");
    LLVMValueRef r = LLVMBuildSelect(bl, c, a.v, b.v, "");
    return LLVMBuildSelect(bl, LLVMBuildFCmp(bl, LLVMRealUNO, a.v, a.v, ""), a.v, r, "");
}

LLVMValueRef cg_neutral(LLVMTypeRef v, ScrtDtype t, ScMonoid monoid)
{
    bool real = is_float(t), no_sign = scrt_dtype_kind(t) == SCRT_KIND_UINT;
    uint64_t top = UINT64_MAX >> (64 - scrt_dtype_bits(t)); /* all ones */
    switch (monoid) {
    case SC_SUM:
        return LLVMConstNull(v);
    case SC_PROD:
        return real ? cg_fconst(v, 1) : cg_iconst(v, 1);
    case SC_MAX:
        return real ? cg_fconst(v, -INFINITY) : cg_iconst(v, no_sign ? 0 : (int64_t)(~(top >> 1)));
    default:
        return real ? cg_fconst(v, INFINITY) : cg_iconst(v, (int64_t)(no_sign ? top : top >> 1));
    }
}

LLVMValueRef cg_combine(Cg *cg, ScMonoid monoid, ScrtDtype t, LLVMValueRef x, LLVMValueRef y)
{
    bool real = is_float(t);
    switch (monoid) {
    case SC_SUM:
        return real ? LLVMBuildFAdd(cg->b, x, y, "") : LLVMBuildAdd(cg->b, x, y, "");
    case SC_PROD:
        return real ? LLVMBuildFMul(cg->b, x, y, "") : LLVMBuildMul(cg->b, x, y, "");
    default:
        return cg_min_max(cg, monoid == SC_MAX, (CgVal){x, t, NULL}, (CgVal){y, t, NULL});
    }
}

LLVMValueRef cg_across(Cg *cg, ScMonoid monoid, ScrtDtype t, LLVMValueRef v, uint32_t w)
{
    for (; w > 2; w /= 2) {
        LLVMValueRef x = cg_take(cg, v, 0, w / 2), y = cg_take(cg, v, w / 2, w / 2);
        v = cg_combine(cg, monoid, t, x, y);
    }
    if (w == 1)
        return v;
    LLVMValueRef x = LLVMBuildExtractElement(cg->b, v, LLVMConstInt(cg->m->i32, 0, 0), "");
    LLVMValueRef y = LLVMBuildExtractElement(cg->b, v, LLVMConstInt(cg->m->i32, 1, 0), "");
    return cg_combine(cg, monoid, t, x, y);
}

/* AVX-512 scales in one instruction, of 4, 8 or 16 lanes. */
static LLVMValueRef scale_lanes(Cg *cg, LLVMValueRef x, LLVMValueRef n, uint32_t w)
{
    CgModule *m = cg->m;
    char name[64];
    LLVMValueRef mask = LLVMConstAllOnes(w == 16 ? m->i16 : m->i8);
    LLVMValueRef arg[5] = {x, n, LLVMConstNull(LLVMTypeOf(x)), mask, LLVMConstInt(m->i32, 4, 0)};
    snprintf(name, sizeof name, "llvm.x86.avx512.mask.scalef.ps.%u", 32 * w);
    return cg_intrinsic(cg, name, 0, NULL, w == 16 ? 5 : 4, arg);
}

static LLVMValueRef scale_avx512(Cg *cg, LLVMValueRef x, LLVMValueRef n, uint32_t w)
{
    uint32_t most = cg->m->target.w, n_part = w > most ? w / most : 1;
    LLVMTypeRef t = cg_vec(cg->m->f32, 4);
    LLVMValueRef part[64], first = LLVMConstInt(cg->m->i32, 0, 0);
    if (w == 1) {
        x = LLVMBuildInsertElement(cg->b, LLVMGetPoison(t), x, first, "");
        n = LLVMBuildInsertElement(cg->b, LLVMGetPoison(t), n, first, "");
        return LLVMBuildExtractElement(cg->b, scale_lanes(cg, x, n, 4), first, "");
    }
    if (w < 4)
        return cg_take(cg, scale_lanes(cg, cg_take(cg, x, 0, 4), cg_take(cg, n, 0, 4), 4), 0, w);
    if (n_part == 1)
        return scale_lanes(cg, x, n, w);
    for (uint32_t i = 0; i < n_part; i++)
        part[i] =
            scale_lanes(cg, cg_take(cg, x, i * most, most), cg_take(cg, n, i * most, most), most);
    return cg_join(cg, part, n_part);
}

/* x 2^n: n as the last bits of a sum with a number whose last bit is worth 1; two factors, of which
 * the first leaves x normal, round once. */
static LLVMValueRef scale(const Emit *e, LLVMValueRef x, LLVMValueRef n)
{
    Cg *cg = e->cg;
    assert(e->flt == SCRT_F32);
    if (cg->m->target.avx512)
        return scale_avx512(cg, x, n, e->w);
    LLVMTypeRef ti = type_of(e, SCRT_I32), tf = LLVMTypeOf(x);
    LLVMValueRef large = cg_fconst(tf, 0x1.8p23), bias = cg_iconst(ti, 127);
    LLVMValueRef bits = LLVMBuildBitCast(cg->b, LLVMBuildFAdd(cg->b, n, large, ""), ti, "");
    LLVMValueRef part[2];
    bits = LLVMBuildSub(cg->b, bits, LLVMBuildBitCast(cg->b, large, ti, ""), "");
    part[0] = LLVMBuildAShr(cg->b, bits, cg_iconst(ti, 1), "");
    part[1] = LLVMBuildSub(cg->b, bits, part[0], "");
    for (int i = 0; i < 2; i++) {
        LLVMValueRef power = cg_shl(cg, LLVMBuildAdd(cg->b, part[i], bias, ""), 23);
        x = LLVMBuildFMul(cg->b, x, LLVMBuildBitCast(cg->b, power, tf, ""), "");
    }
    return x;
}

static LLVMValueRef arithmetic(const Emit *e, uint8_t op, CgVal a, CgVal b)
{
    LLVMBuilderRef bl = e->cg->b;
    bool f = is_float(a.t);
    switch (op) {
    case SC_X_ADD:
        return f ? LLVMBuildFAdd(bl, a.v, b.v, "") : LLVMBuildAdd(bl, a.v, b.v, "");
    case SC_X_SUB:
        return f ? LLVMBuildFSub(bl, a.v, b.v, "") : LLVMBuildSub(bl, a.v, b.v, "");
    case SC_X_MUL:
        return f ? LLVMBuildFMul(bl, a.v, b.v, "") : LLVMBuildMul(bl, a.v, b.v, "");
    case SC_X_DIV:
        return f                ? LLVMBuildFDiv(bl, a.v, b.v, "")
               : is_signed(a.t) ? LLVMBuildSDiv(bl, a.v, b.v, "")
                                : LLVMBuildUDiv(bl, a.v, b.v, "");
    case SC_X_SCALE:
        return scale(e, a.v, b.v);
    case SC_X_AND:
        return LLVMBuildAnd(bl, a.v, b.v, "");
    case SC_X_OR:
        return LLVMBuildOr(bl, a.v, b.v, "");
    case SC_X_XOR:
        return LLVMBuildXor(bl, a.v, b.v, "");
    case SC_X_SHL:
        return LLVMBuildShl(bl, a.v, b.v, "");
    case SC_X_SHR:
        return LLVMBuildLShr(bl, a.v, b.v, "");
    case SC_X_SAR:
        return LLVMBuildAShr(bl, a.v, b.v, "");
    default:
        return cg_min_max(e->cg, op == SC_X_MAX, a, b);
    }
}

static LLVMValueRef call1(const Emit *e, const char *name, LLVMValueRef x)
{
    LLVMTypeRef t = LLVMTypeOf(x);
    return cg_intrinsic(e->cg, name, 1, &t, 1, &x);
}

static LLVMValueRef unary(const Emit *e, uint8_t op, CgVal a)
{
    LLVMBuilderRef bl = e->cg->b;
    switch (op) {
    case SC_X_NEG:
        return is_float(a.t) ? LLVMBuildFNeg(bl, a.v, "") : LLVMBuildNeg(bl, a.v, "");
    case SC_X_ABS:
        if (is_float(a.t))
            return call1(e, "llvm.fabs", a.v);
        return is_signed(a.t)
                   ? cg_min_max(e->cg, true, a, (CgVal){LLVMBuildNeg(bl, a.v, ""), a.t, NULL})
                   : a.v;
    case SC_X_SQRT:
        return call1(e, "llvm.sqrt", a.v);
    case SC_X_ROUND:
        return call1(e, "llvm.roundeven", a.v);
    case SC_X_FLOOR:
        return call1(e, "llvm.floor", a.v);
    case SC_X_CEIL:
        return call1(e, "llvm.ceil", a.v);
    default:
        assert(op == SC_X_NOT);
        return LLVMBuildNot(bl, a.v, "");
    }
}

/* One call a lane; what is not wanted of a masked vector is computed too, and harmless. */
static CgVal libm(const Emit *e, const ScXIns *i)
{
    Cg *cg = e->cg;
    CgModule *m = cg->m;
    uint32_t n = i->code == SC_X_LIBM2 ? 2 : 1;
    LLVMTypeRef wide = cg_vec(m->f64, e->w), t = type_of(e, e->flt);
    LLVMValueRef x[2] = {e->x[i->a].v, n == 2 ? e->x[i->b].v : NULL}, r = LLVMGetPoison(wide);
    for (uint32_t k = 0; k < n; k++)
        x[k] = e->flt == SCRT_F64 ? x[k] : LLVMBuildFPExt(cg->b, x[k], wide, "");
    for (uint32_t lane = 0; lane < e->w; lane++) {
        LLVMValueRef at = LLVMConstInt(m->i32, lane, 0), arg[2] = {x[0], x[1]};
        for (uint32_t k = 0; k < n && e->w > 1; k++)
            arg[k] = LLVMBuildExtractElement(cg->b, x[k], at, "");
        LLVMValueRef y = cg_libm(cg, (uint32_t)i->i, n, arg);
        r = e->w == 1 ? y : LLVMBuildInsertElement(cg->b, r, y, at, "");
    }
    return (CgVal){e->flt == SCRT_F64 ? r : LLVMBuildFPTrunc(cg->b, r, t, ""), e->flt, NULL};
}

/* Between floats, integers and truth values. */
static CgVal convert(const Emit *e, const ScXIns *i)
{
    Cg *cg = e->cg;
    CgVal a = e->x[i->a];
    LLVMTypeRef whole = type_of(e, e->whole), bits = type_of(e, e->bits), flt = type_of(e, e->flt);
    switch (i->code) {
    case SC_X_BITS:
        return (CgVal){LLVMBuildBitCast(cg->b, a.v, bits, ""), e->bits, NULL};
    case SC_X_FLOAT:
        a = to_int(cg, a, e->bits, e->w);
        return (CgVal){LLVMBuildBitCast(cg->b, a.v, flt, ""), e->flt, NULL};
    case SC_X_TOINT:
        return (CgVal){is_signed(e->whole) ? LLVMBuildFPToSI(cg->b, a.v, whole, "")
                                           : LLVMBuildFPToUI(cg->b, a.v, whole, ""),
                       e->whole, NULL};
    default:
        if (e->body->ins[i->a].code == SC_X_TERM) { /* an extent may need all of its 64 bits */
            LLVMValueRef t = cg_term(cg, e->body->term[e->body->ins[i->a].i]);
            a = int_to_float(cg, (CgVal){t, SCRT_I64, NULL}, e->flt, 1);
            return (CgVal){cg_splat(cg, a.v, e->w), e->flt, NULL};
        }
        return int_to_float(cg, a, e->flt, e->w);
    }
}

static CgVal emit_one(const Emit *e, const ScXIns *i)
{
    CgVal a, b;
    switch (i->code) {
    case SC_X_IN:
    case SC_X_CONST:
    case SC_X_ICONST:
    case SC_X_TERM:
        return leaf(e, i);
    case SC_X_BITS:
    case SC_X_FLOAT:
    case SC_X_TOINT:
    case SC_X_TOFLOAT:
        return convert(e, i);
    case SC_X_LIBM1:
    case SC_X_LIBM2:
        return libm(e, i);
    case SC_X_NEG:
    case SC_X_ABS:
    case SC_X_SQRT:
    case SC_X_ROUND:
    case SC_X_FLOOR:
    case SC_X_CEIL:
    case SC_X_NOT:
        a = e->x[i->a];
        return (CgVal){unary(e, i->code, a), a.t, NULL};
    case SC_X_QUOTIENT:
        a = e->x[i->a];
        return (CgVal){cg_quotient(e->cg, a.v, e->x[i->b].v, e->x[i->c].v), a.t, NULL};
    case SC_X_SELECT:
        a = e->x[i->b];
        b = e->x[i->c];
        agree(e, &(ScXIns){.code = SC_X_ADD, .a = i->b, .b = i->c}, &a, &b);
        return (CgVal){LLVMBuildSelect(e->cg->b, e->x[i->a].v, a.v, b.v, ""), a.t, NULL};
    default:
        a = e->x[i->a];
        b = e->x[i->b];
        agree(e, i, &a, &b);
        if (i->code == SC_X_EQ || i->code == SC_X_LT || i->code == SC_X_LE)
            return (CgVal){compare(e, i->code, a, b), SCRT_BOOL, NULL};
        return (CgVal){arithmetic(e, i->code, a, b), a.t, NULL};
    }
}

/* Instructions that some result depends on; rows may leave others behind. */
static void mark(const ScBody *b, uint32_t n, const ScX *result, bool *used)
{
    for (uint32_t i = 0; i < n; i++)
        used[result[i]] = true;
    for (uint32_t i = b->n; i-- > 0;) {
        static const uint8_t operands[] = {
#define SC_XOP(id, text, count, type) [SC_X_##id] = (count),
#include "ir/expr.def"
#undef SC_XOP
        };
        const ScXIns *x = &b->ins[i];
        if (!used[i])
            continue;
        if (operands[x->code] > 0)
            used[x->a] = true;
        if (operands[x->code] > 1)
            used[x->b] = true;
        if (operands[x->code] > 2)
            used[x->c] = true;
    }
}

void cg_body(Cg *cg, const ScBody *body, const CgVal *in, uint32_t w, uint32_t n, const ScX *result,
             CgVal *ret)
{
    ScArena *scratch = sc_arena_new();
    Emit e = {.cg = cg, .body = body, .in = in, .w = w};
    bool real = scrt_dtype_is_float(body->compute);
    e.flt = body->compute == SCRT_F64 ? SCRT_F64 : SCRT_F32;
    e.bits = e.flt == SCRT_F64 ? SCRT_I64 : SCRT_I32;
    e.whole = body->integer                        ? body->integer
              : real || body->compute == SCRT_BOOL ? e.bits
                                                   : body->compute;
    e.x = sc_array(scratch, CgVal, body->n);
    bool *used = sc_array(scratch, bool, body->n);
    mark(body, n, result, used);
    for (uint32_t i = 0; i < body->n; i++) {
        if (used[i])
            e.x[i] = emit_one(&e, &body->ins[i]);
    }
    for (uint32_t i = 0; i < n; i++)
        ret[i] = e.x[result[i]];
    sc_arena_free(scratch);
}

/* --- Nodes ----------------------------------------------------------------------------------- */

/* The compute type of a node's body: f64 if anything is f64, else f32 if anything is a float, else
 * the first type that is not bool; and its integer type, NONE where no operand or result has one.
 */
static ScrtDtype compute_types(const ScGraph *g, const ScNode *n, ScrtDtype *ret_integer)
{
    ScrtDtype whole = SCRT_DTYPE_NONE;
    bool real = false, wide = false;
    for (uint32_t i = 0; i < n->n_in + n->n_out; i++) {
        ScVal v = i < n->n_in ? n->in[i] : n->first + i - n->n_in;
        const ScType *t = sc_type_of(g, v);
        if (t->kind != SC_TYPE_TENSOR)
            continue;
        wide |= t->dtype == SCRT_F64;
        real |= is_float(t->dtype);
        if (whole == SCRT_DTYPE_NONE && t->dtype != SCRT_BOOL && !is_float(t->dtype))
            whole = t->dtype;
    }
    *ret_integer = whole;
    return wide ? SCRT_F64 : real ? SCRT_F32 : whole ? whole : SCRT_BOOL;
}

/* Whether a result of type t saturates: floats of 8 bits or fewer do, unless a cast says otherwise.
 */
static bool saturates(const ScNode *n, ScrtDtype t)
{
    int i = sc_attr_index(n->op, "saturate");
    if (!scrt_dtype_is_low(t))
        return false;
    return i < 0 || n->op->flags & SC_REBALANCES || n->attr[i].i;
}

static ScrtRound round_mode(const ScNode *n)
{
    int i = sc_attr_index(n->op, "round_mode");
    return i >= 0 ? (ScrtRound)n->attr[i].i : SCRT_NEAREST;
}

CgVal cg_result_value(Cg *cg, const ScNode *n, ScrtDtype t, CgVal x, uint32_t w)
{
    if (is_float(t)) {
        if (!is_float(x.t))
            x = int_to_float(cg, x, t == SCRT_F64 ? SCRT_F64 : SCRT_F32, w);
        return cg_round(cg, t, x.v, saturates(n, t), round_mode(n));
    }
    if (t == SCRT_BOOL) {
        if (x.t == SCRT_BOOL)
            return x;
        LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(x.v));
        return (CgVal){is_float(x.t) ? LLVMBuildFCmp(cg->b, LLVMRealUNE, x.v, zero, "")
                                     : LLVMBuildICmp(cg->b, LLVMIntNE, x.v, zero, ""),
                       t, NULL};
    }
    assert(!is_float(x.t)); /* a body says how a float becomes an integer: see cast */
    return to_int(cg, x, t, w);
}

static ScXType x_type(ScrtDtype t)
{
    return is_float(t) ? SC_XF : t == SCRT_BOOL ? SC_XB : SC_XI;
}

/* Writes the row's body for node n; y receives its results. */
static ScBody node_body(ScArena *scratch, const ScGraph *g, const ScNode *n, ScX *y)
{
    ScBody body = {.arena = scratch, .g = g};
    body.compute = compute_types(g, n, &body.integer);
    ScX *x = sc_array(scratch, ScX, n->n_in + 1);
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ScType *t = sc_type_of(g, n->in[i]);
        if (t->kind == SC_TYPE_TENSOR)
            x[i] = sc_x_in(&body, i, x_type(t->dtype));
    }
    n->op->lower.body(&body, n, x, y);
    return body;
}

uint32_t cg_cost(const ScGraph *g, const ScNode *n, ScArena *scratch)
{
    ScX y[SC_MAX_OUT];
    bool has = (n->op->lower.cls == SC_MAP || n->op->lower.cls == SC_REDUCE) && n->op->lower.body;
    return has ? node_body(scratch, g, n, y).n : n->op->lower.cls == SC_REDUCE;
}

/* Instructions that round a vector to type t, about. */
static uint32_t rounding(ScrtDtype t)
{
    return !is_float(t) || scrt_dtype_bits(t) > 16 ? 0 : scrt_dtype_bits(t) > 8 ? 8 : 24;
}

/* Whether the body goes lane by lane: calls, and divisions of integers. */
static bool has_lanes(const ScBody *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        uint8_t code = b->ins[i].code;
        if (code == SC_X_LIBM1 || code == SC_X_LIBM2 || (code == SC_X_DIV && !is_float(b->compute)))
            return true;
    }
    return false;
}

void cg_chain_add(CgChain *k, const ScGraph *g, const ScNode *n, ScArena *scratch)
{
    ScX y[SC_MAX_OUT];
    ScBody b = node_body(scratch, g, n, y);
    k->cost += b.n;
    k->lanes |= has_lanes(&b);
    for (uint32_t i = 0; i < n->n_in + n->n_out; i++) {
        ScrtDtype t = sc_type_of(g, i < n->n_in ? n->in[i] : n->first + i - n->n_in)->dtype;
        k->lanes |= scrt_dtype_bits(t) > 32;
        k->cost += i < n->n_in ? 0 : rounding(t);
    }
}

void cg_chain_access(CgChain *k, const ScTerm *stride)
{
    k->lanes |= !sc_term_is(stride, 0) && !sc_term_is(stride, 1);
}

uint32_t cg_at_once(const CgModule *m, const CgChain *k, const ScTerm *columns)
{
    enum {
        SHORT = 16, /* instructions: the processor sees several vectors of it by itself */
        HELD = 8,   /* registers that a vector of a longer one takes */
    };
    uint32_t n = k->cost <= SHORT || k->lanes ? 1 : m->target.n_reg / HELD;
    int64_t have;
    n = n < CG_AT_ONCE ? n : CG_AT_ONCE;
    while (n > 1 && columns && sc_term_const(columns, &have) && (int64_t)n * m->target.w > have)
        n /= 2;
    return n;
}

void cg_node(Cg *cg, const ScGraph *g, const ScNode *n, const CgVal *in, uint32_t w, CgVal *ret)
{
    ScArena *scratch = sc_arena_new();
    ScX y[SC_MAX_OUT];
    ScBody body = node_body(scratch, g, n, y);
    cg_body(cg, &body, in, w, n->n_out, y, ret);
    for (uint32_t i = 0; i < n->n_out; i++)
        ret[i] = cg_result_value(cg, n, sc_type_of(g, n->first + i)->dtype, ret[i], w);
    sc_arena_free(scratch);
}

static CgVal reduce_part(Cg *cg, const ScGraph *g, const ScNode *n, const ScTerm *count, CgVal x,
                         uint32_t w)
{
    void (*write)(ScBody *, const ScNode *, const ScX *, ScX *) =
        count ? n->op->lower.post : n->op->lower.body;
    if (!write)
        return (CgVal){x.v, x.t, NULL};
    ScArena *scratch = sc_arena_new();
    ScBody body = {.arena = scratch, .g = g, .count = count};
    body.compute = compute_types(g, n, &body.integer);
    ScX in = sc_x_in(&body, 0, x_type(x.t)), y;
    CgVal r;
    write(&body, n, &in, &y);
    cg_body(cg, &body, &x, w, 1, &y, &r);
    sc_arena_free(scratch);
    return r;
}

CgVal cg_reduce_body(Cg *cg, const ScGraph *g, const ScNode *n, CgVal x, uint32_t w)
{
    return reduce_part(cg, g, n, NULL, x, w);
}

CgVal cg_reduce_post(Cg *cg, const ScGraph *g, const ScNode *n, const ScTerm *count, CgVal x)
{
    return reduce_part(cg, g, n, count, x, 1);
}

CgVal cg_splat_val(Cg *cg, CgVal x, uint32_t w)
{
    return (CgVal){cg_splat(cg, x.v, w), x.t, x.code ? cg_splat(cg, x.code, w) : NULL};
}

void cg_node_of(Cg *cg, const ScGraph *g, const ScNode *n, CgVal *x, uint32_t w)
{
    ScArena *scratch = sc_arena_new();
    CgVal *in = sc_array(scratch, CgVal, n->n_in + 1);
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = x[n->in[i]];
    cg_lines_at(cg, n);
    cg_node(cg, g, n, in, w, &x[n->first]);
    cg_lines_at(cg, NULL);
    sc_arena_free(scratch);
}
