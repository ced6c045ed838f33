/* SPDX-License-Identifier: Apache-2.0 */
/* Packed panels as kernels read them. */
#include "codegen/product/product.h"

#include <string.h>

void cg_panels_init(CgModule *m, ScrtDtype dtype, uint64_t facts, const CgTile *t, CgPanels *ret)
{
    *ret = (CgPanels){.unit = cg_unit(&m->target, dtype, facts), .nr = t->nr};
    if (t->micro->way != CG_UNIT_PLAIN) {
        ret->unit.way = t->micro->way;
        ret->unit.raised = 0;
        ret->unit.nv = t->nv;
    }
    if (ret->unit.way == CG_UNIT_NIBBLES && t->lanes > m->target.w)
        ret->unit.way =
            CG_UNIT_PERM; /* a later level's or wide units, read in parts: see can_read */
    ret->w = ret->unit.way == CG_UNIT_PLAIN ? t->w : m->target.w;
    ret->unit.w = ret->unit.way == CG_UNIT_PLAIN ? t->w : t->lanes;
    ret->ku = ret->unit.way == CG_UNIT_PLAIN ? 1 : 4 * ret->unit.w / t->nr;
    ret->deep = t->deep > ret->ku ? t->deep : ret->ku;
    ret->size = scrt_dtype_bits(dtype) / 8;
}

void cg_unit_load(Cg *cg, const CgPanels *p, LLVMValueRef panel, LLVMValueRef unit,
                  LLVMValueRef ret[CG_UNIT_VECS])
{
    if (p->unit.way != CG_UNIT_PLAIN) {
        LLVMValueRef at = cg_mul_int(cg, unit, cg_int(cg, cg_unit_bytes(p)));
        cg_unit_decode(cg, &p->unit, p->w, cg_gep(cg, cg->m->i8, panel, at), ret);
        return;
    }
    LLVMValueRef first = cg_mul_int(cg, unit, cg_int(cg, cg_unit_bytes(p) / p->size));
    for (uint32_t j = 0; j < p->nr / p->w; j++) {
        LLVMValueRef at = cg_add_int(cg, first, cg_int(cg, j * p->w));
        ret[j] = cg_load(cg, (ScrtDtype)p->unit.dtype, panel, at, p->w, NULL).v;
    }
}

void cg_unit_numbers(Cg *cg, const CgPanels *p, LLVMTypeRef el, LLVMValueRef x[CG_UNIT_VECS])
{
    for (uint32_t i = 0; p->unit.way == CG_UNIT_PLAIN && i < p->nr / p->w; i++)
        x[i] = cg_number(cg, el, (CgVal){x[i], (ScrtDtype)p->unit.dtype, NULL}, p->w);
}

LLVMValueRef cg_panel_at(Cg *cg, const CgPanels *p, uint32_t operand, LLVMValueRef matrix,
                         LLVMValueRef panel, LLVMValueRef k0)
{
    LLVMValueRef at = cg_mul_int(cg, matrix, cg_int(cg, cg_matrix_bytes(p)));
    at = cg_add_int(cg, at, cg_mul_int(cg, panel, cg_int(cg, cg_panel_bytes(p))));
    LLVMValueRef units = LLVMBuildUDiv(cg->b, k0, cg_int(cg, p->ku), "");
    at = cg_add_int(cg, at, cg_mul_int(cg, units, cg_int(cg, cg_unit_bytes(p))));
    return cg_gep(cg, cg->m->i8, cg_operand(cg, operand), at);
}

LLVMValueRef cg_panel_end(Cg *cg, const CgPanels *p, LLVMValueRef begin, LLVMValueRef n_k,
                          LLVMValueRef *ret_row)
{
    int64_t unit = cg_unit_bytes(p);
    *ret_row = cg_int(cg, unit / p->ku);
    LLVMValueRef units = cg_cdiv_int(cg, n_k, cg_int(cg, p->ku));
    return cg_gep(cg, cg->m->i8, begin, cg_mul_int(cg, units, cg_int(cg, unit)));
}

/* --- A chunk of a panel as elements of B --------------------------------------------------- */

/* void (ptr packed, ptr panel, i64 units, ptr scales) */
static LLVMTypeRef unpack_type(CgModule *m)
{
    LLVMTypeRef p[4] = {m->t_ptr, m->t_ptr, m->i64, m->t_ptr};
    return LLVMFunctionType(m->t_void, p, 4, 0);
}

/* Codes that are the exponents of normal numbers. */
static bool scales_normal(const CgPanels *p)
{
    const uint32_t facts = CG_CODES_NORMAL | CG_CODES_FINITE;
    return p->scale == SCRT_F8E8M0 && (p->scale_facts & facts) == facts;
}

void cg_scales_load(Cg *cg, const CgPanels *p, LLVMValueRef ptr, LLVMValueRef *ret)
{
    for (uint32_t j = 0; j < p->nr / p->w; j++) {
        LLVMValueRef at = cg_int(cg, j * p->w);
        if (!scales_normal(p)) {
            ret[j] = cg_load(cg, (ScrtDtype)p->scale, ptr, at, p->w, NULL).v;
            continue;
        }
        ret[j] = LLVMBuildLoad2(cg->b, cg_vec(cg->m->i8, p->w), cg_gep(cg, cg->m->i8, ptr, at), "");
        LLVMSetAlignment(ret[j], 1);
        ret[j] = LLVMBuildZExt(cg->b, ret[j], cg_vec(cg->m->i32, p->w), "");
        ret[j] = LLVMBuildBitCast(cg->b, cg_shl(cg, ret[j], 23), cg_vec(cg->m->f32, p->w), "");
    }
}

int64_t cg_scales_bytes(const CgPanels *p)
{
    return (int64_t)p->nr * scrt_dtype_bits((ScrtDtype)p->scale) / 8;
}

const char *cg_scale_name(const CgPanels *p)
{
    return !p->block ? "none" : scales_normal(p) ? "f8e8m0n" : scrt_dtype_name((ScrtDtype)p->scale);
}

static const char *unpack_name(CgModule *m, const CgPanels *p)
{
    const CgUnit *u = &p->unit;
    const char *name =
        sc_printf(m->arena, "unpack_%s_%s%u_%u_%u_%s", scrt_dtype_name((ScrtDtype)u->dtype),
                  cg_unit_name(u), u->facts, p->nr, p->block, cg_scale_name(p));
    return cg_shared_name(m, name);
}

static bool as_stored(CgModule *m, const CgPanels *p, const CgTile *t)
{
    return cg_storage_type(m, (ScrtDtype)p->unit.dtype) == t->b.type;
}

void cg_panel_prepare(CgModule *m, const CgPanels *p, const CgTile *t)
{
    const char *name = unpack_name(m, p);
    if (as_stored(m, p, t) || LLVMGetNamedFunction(m->mod, name))
        return;
    Cg cg;
    LLVMValueRef fn = cg_begin_fn(&cg, m, NULL, name, unpack_type(m));
    uint32_t row = t->nr / t->w, n = p->ku / t->ku * row; /* vectors */
    CgLoop i = cg_for(&cg, cg_int(&cg, 0), LLVMGetParam(fn, 2), cg_int(&cg, 1));
    LLVMValueRef x[CG_UNIT_VECS], scale[CG_ROW_VECS];
    LLVMValueRef first = cg_mul_int(&cg, i.i, cg_int(&cg, n));
    cg_unit_load(&cg, p, LLVMGetParam(fn, 0), i.i, x);
    cg_unit_numbers(&cg, p, t->b.type, x);
    if (p->block) {
        LLVMValueRef block = LLVMBuildUDiv(cg.b, i.i, cg_int(&cg, p->block / p->ku), "");
        block = cg_mul_int(&cg, block, cg_int(&cg, cg_scales_bytes(p)));
        cg_scales_load(&cg, p, cg_gep(&cg, m->i8, LLVMGetParam(fn, 3), block), scale);
    }
    for (uint32_t j = 0; p->block && j < n; j++)
        x[j] = LLVMBuildFMul(cg.b, x[j], scale[j % row], "");
    for (uint32_t j = 0; j < n; j++) {
        LLVMValueRef at = cg_gep(&cg, cg_vec(t->b.type, t->w * t->ku), LLVMGetParam(fn, 1),
                                 cg_add_int(&cg, first, cg_int(&cg, j)));
        LLVMSetAlignment(LLVMBuildStore(cg.b, x[j], at), t->b.size * t->w * t->ku);
    }
    cg_next(&cg, &i);
    cg_end_fn(&cg);
}

LLVMValueRef cg_panel_values(Cg *cg, const CgPanels *p, const CgTile *t, LLVMValueRef src,
                             LLVMValueRef scales, LLVMValueRef n_k, LLVMValueRef dst)
{
    if (as_stored(cg->m, p, t))
        return src;
    LLVMValueRef fn = LLVMGetNamedFunction(cg->m->mod, unpack_name(cg->m, p));
    LLVMValueRef none = LLVMConstNull(cg->m->t_ptr);
    LLVMValueRef units = cg_cdiv_int(cg, n_k, cg_int(cg, p->deep));
    units = cg_mul_int(cg, units, cg_int(cg, p->deep / p->ku));
    LLVMValueRef arg[4] = {src, dst, units, scales ? scales : none};
    LLVMBuildCall2(cg->b, unpack_type(cg->m), fn, arg, 4, "");
    return dst;
}

/* --- What is known of codes ------------------------------------------------------------------ */

enum { BLOCK = 4096 }; /* elements */

/* The largest magnitude, NaN above all. x: f32, need not be aligned. */
static float largest(const char *x, size_t n)
{
    uint32_t worst = 0;
    float f;
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, x + i * sizeof u, sizeof u);
        worst = (u & 0x7fffffff) > worst ? u & 0x7fffffff : worst;
    }
    memcpy(&f, &worst, sizeof f);
    return f;
}

/* Facts of the codes of type t that a blob is stored in. Codes are not kept, so only as many are
 * made as it takes: one in a hundred weights is subnormal, and the largest of a block has the
 * highest code. What is low needs no other fact: kernels of unlike facts are compiled each. */
static uint64_t stored_facts(const ScBlob *b, ScrtDtype t, int64_t exp)
{
    uint64_t facts = CG_CODES_NORMAL | CG_CODES_FINITE | CG_CODES_LOW;
    unsigned char code[BLOCK];
    size_t bytes = scrt_dtype_bits(b->dtype) / 8;
    for (size_t i = 0; i < b->count && facts; i += BLOCK) {
        ScBlob part = *b;
        part.data = (const char *)b->data + i * bytes;
        part.count = b->count - i < BLOCK ? b->count - i : BLOCK;
        float worst;
        if (!(facts & CG_CODES_NORMAL) && b->dtype == SCRT_F32) {
            worst = largest(part.data, part.count);
            part.data = &worst;
            part.count = 1;
        }
        sc_blob_store(&part, t, exp, code);
        facts &= cg_codes_facts(t, code, part.count);
    }
    return facts & CG_CODES_LOW ? facts & ~(uint64_t)CG_CODES_NORMAL : facts;
}

uint64_t cg_operand_facts(CgModule *m, const CgFunc *f, ScVal v)
{
    ScView view;
    ScVal root;
    if (!cg_view_of(m, f, v, &view, &root))
        return 0;
    for (uint32_t i = 0; i < f->n_in; i++) {
        ScrtDtype t = sc_type_of(f->sub, f->sub->in[i])->dtype;
        if (f->sub->in[i] != root || !f->const_in[i] || scrt_dtype_bits(t) != 8 ||
            !scrt_dtype_is_float(t))
            continue;
        const ScBlob *b = sc_attr(f->const_in[i], 0)->blob;
        int64_t exp;
        if (!cg_const_check(m, f->g, f->const_in[i], &exp) || scrt_dtype_bits(b->dtype) < 8)
            return 0;
        uint64_t facts = stored_facts(b, t, exp);
        sc_blob_forget(m->cx, b);
        return facts;
    }
    return 0;
}
