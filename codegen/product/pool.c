/* SPDX-License-Identifier: Apache-2.0 */
/* Pools: each position of the result combines the elements under its window. Items are channels of
 * images. Padding holds the monoid's neutral element, so positions outside x do not count; where
 * the divisor of a mean depends on the position, a second plane of ones and zeros counts. */
#include "codegen/product/window_priv.h"

#include <math.h>
#include <string.h>

enum { UNROLL = 16, WIDE = 4 }; /* positions emitted one by one; strides read as wide vectors */

typedef struct Pool {
    CgWindow w;
    ScPool desc;
    bool counted; /* the mean's divisor depends on the position */
} Pool;

static bool is_signed(const Pool *p)
{
    ScrtDtype t = sc_type_of(p->w.f->sub, p->w.node->in[0])->dtype;
    return scrt_dtype_kind(t) == SCRT_KIND_INT;
}

LLVMValueRef cg_pool_neutral(LLVMTypeRef el, ScMonoid monoid, bool is_signed)
{
    bool f = LLVMGetTypeKind(el) != LLVMIntegerTypeKind, max = monoid == SC_MAX;
    if (monoid == SC_SUM || monoid == SC_PROD) {
        double x = monoid == SC_PROD;
        return f ? LLVMConstReal(el, x) : LLVMConstInt(el, (uint64_t)x, 0);
    }
    if (f)
        return LLVMConstReal(el, max ? -INFINITY : INFINITY);
    uint32_t bits = LLVMGetIntTypeWidth(el);
    uint64_t least = is_signed ? UINT64_C(1) << (bits - 1) : 0;
    return LLVMConstInt(el, max ? least : ~least, 0);
}

static LLVMValueRef neutral_of(const Pool *p)
{
    return cg_pool_neutral(p->w.tile.el, p->desc.monoid, is_signed(p));
}

LLVMValueRef cg_pool_combine(Cg *cg, ScMonoid monoid, bool is_signed, LLVMValueRef acc,
                             LLVMValueRef x)
{
    LLVMBuilderRef b = cg->b;
    LLVMTypeRef el = LLVMTypeOf(x);
    if (LLVMGetTypeKind(el) == LLVMVectorTypeKind)
        el = LLVMGetElementType(el);
    bool f = LLVMGetTypeKind(el) != LLVMIntegerTypeKind, max = monoid == SC_MAX;
    if (monoid == SC_SUM)
        return f ? LLVMBuildFAdd(b, acc, x, "") : LLVMBuildAdd(b, acc, x, "");
    if (monoid == SC_PROD)
        return f ? LLVMBuildFMul(b, acc, x, "") : LLVMBuildMul(b, acc, x, "");
    LLVMValueRef better;
    if (f) {
        better = LLVMBuildFCmp(b, max ? LLVMRealOGT : LLVMRealOLT, x, acc, "");
        better = LLVMBuildOr(b, better, LLVMBuildFCmp(b, LLVMRealUNO, x, x, ""), "");
    } else if (is_signed) {
        better = LLVMBuildICmp(b, max ? LLVMIntSGT : LLVMIntSLT, x, acc, "");
    } else {
        better = LLVMBuildICmp(b, max ? LLVMIntUGT : LLVMIntULT, x, acc, "");
    }
    return LLVMBuildSelect(b, better, x, acc, "");
}

/* --- The class's scratch: offsets, the plane, the plane that counts -------------------------- */

static const ScTerm *offsets_bytes(CgModule *m, const Pool *p)
{
    return sc_term(m->cx, ((int64_t)p->w.n_kernel * 8 + 63) / 64 * 64);
}

static const ScTerm *plane_elements(CgModule *m, const Pool *p)
{
    return sc_term_add(m->cx, p->w.plane, p->w.slack);
}

static const ScTerm *plane_bytes(CgModule *m, const Pool *p)
{
    const ScTerm *n = sc_term_addc(m->cx, plane_elements(m, p), p->w.tile.w);
    return cg_round64(m, sc_term_scale(m->cx, n, p->w.tile.size));
}

typedef struct Body {
    const Pool *p;
    LLVMValueRef off, plane, count;
    LLVMValueRef row; /* of the window of column 0, in elements of a plane */
    CgEpiRow epi;
} Body;

/* --- One vector of the result ---------------------------------------------------------------- */

/* w elements `stride` apart; some after the last one may be read. */
static LLVMValueRef strided(Cg *cg, const CgTile *t, LLVMValueRef ptr, int64_t stride, uint32_t w)
{
    if (stride == 1 || w == 1) {
        LLVMValueRef x = LLVMBuildLoad2(cg->b, cg_vec(t->el, w), ptr, "");
        LLVMSetAlignment(x, t->size);
        return x;
    }
    LLVMValueRef lane[64], v = LLVMGetPoison(cg_vec(t->el, w));
    if (stride <= WIDE) {
        LLVMValueRef x = LLVMBuildLoad2(cg->b, cg_vec(t->el, w * (uint32_t)stride), ptr, "");
        LLVMSetAlignment(x, t->size);
        for (uint32_t i = 0; i < w; i++)
            lane[i] = LLVMConstInt(cg->m->i32, (uint64_t)(i * stride), 0);
        return LLVMBuildShuffleVector(cg->b, x, LLVMGetPoison(LLVMTypeOf(x)),
                                      LLVMConstVector(lane, w), "");
    }
    for (uint32_t i = 0; i < w; i++) {
        LLVMValueRef at = cg_gep(cg, t->el, ptr, cg_int(cg, (int64_t)i * stride));
        LLVMValueRef x = LLVMBuildLoad2(cg->b, t->el, at, "");
        v = LLVMBuildInsertElement(cg->b, v, x, LLVMConstInt(cg->m->i32, i, 0), "");
    }
    return v;
}

static void position(Cg *cg, const Body *b, LLVMValueRef k, LLVMValueRef col, uint32_t w,
                     LLVMValueRef acc, LLVMValueRef count)
{
    const Pool *p = b->p;
    const CgTile *t = &p->w.tile;
    int64_t stride = p->w.desc.stride[p->w.ns - 1];
    LLVMTypeRef vec = cg_vec(t->el, w);
    LLVMValueRef off = LLVMBuildLoad2(cg->b, cg->m->i64, cg_gep(cg, cg->m->i64, b->off, k), "");
    LLVMValueRef at =
        cg_add_int(cg, cg_add_int(cg, b->row, off), cg_mul_int(cg, col, cg_int(cg, stride)));
    LLVMValueRef x = strided(cg, t, cg_gep(cg, t->el, b->plane, at), stride, w);
    cg_set(cg, acc, cg_pool_combine(cg, p->desc.monoid, is_signed(p), cg_get(cg, vec, acc), x));
    if (count) {
        x = strided(cg, t, cg_gep(cg, t->el, b->count, at), stride, w);
        cg_set(cg, count, LLVMBuildFAdd(cg->b, cg_get(cg, vec, count), x, ""));
    }
}

static void pool_lanes(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Body *b = arg;
    const Pool *p = b->p;
    LLVMTypeRef vec = cg_vec(p->w.tile.el, w);
    LLVMValueRef acc = cg_var(cg, vec, cg_splat(cg, neutral_of(p), w));
    LLVMValueRef count = p->counted ? cg_var(cg, vec, LLVMConstNull(vec)) : NULL;
    if (p->w.n_kernel <= UNROLL) {
        for (uint32_t k = 0; k < p->w.n_kernel; k++)
            position(cg, b, cg_int(cg, k), i, w, acc, count);
    } else {
        CgLoop k = cg_for(cg, cg_int(cg, 0), cg_int(cg, p->w.n_kernel), cg_int(cg, 1));
        position(cg, b, k.i, i, w, acc, count);
        cg_next(cg, &k);
    }
    LLVMValueRef x = cg_get(cg, vec, acc);
    if (p->desc.mean) {
        LLVMValueRef n = count ? cg_get(cg, vec, count) : cg_fconst(vec, p->w.n_kernel);
        x = LLVMBuildFDiv(cg->b, x, n, "");
    }
    cg_epi_store(cg, p->w.epi, &b->epi, i, x, w, mask);
}

/* --- The kernel ------------------------------------------------------------------------------ */

static void pool_channel(Cg *cg, Body *b, LLVMValueRef item)
{
    const CgWindow *w = &b->p->w;
    LLVMValueRef channels = cg_term(cg, w->channels), idx[SCRT_MAX_RANK];
    CgLoop loop[SCRT_MAX_RANK];
    idx[0] = LLVMBuildUDiv(cg->b, item, channels, "");
    idx[1] = LLVMBuildURem(cg->b, item, channels, "");
    cg_window_copy(cg, w, idx[0], idx[1], b->plane);
    cg_nest(cg, w->ns - 1, w->out, idx + 2, loop);
    b->row = cg_int(cg, 0);
    for (uint32_t i = 0; i + 1 < w->ns; i++) {
        LLVMValueRef step = cg_mul_int(cg, cg_term(cg, w->step[i]), cg_int(cg, w->desc.stride[i]));
        b->row = cg_add_int(cg, b->row, cg_mul_int(cg, idx[2 + i], step));
    }
    b->epi = cg_epi_row(cg, w->epi, idx, 1 + w->ns);
    cg_lanes(cg, cg_int(cg, 0), cg_term(cg, w->out[w->ns - 1]), w->tile.w, pool_lanes, b);
    cg_nest_end(cg, w->ns - 1, loop);
}

/* Ones where x is, or x and those of its pads that the plane has. */
static void count_plane(Cg *cg, const Body *b)
{
    const CgWindow *w = &b->p->w;
    const ScTerm *first[SCRT_MAX_RANK], *n[SCRT_MAX_RANK];
    LLVMValueRef idx[SCRT_MAX_RANK], at = cg_int(cg, 0);
    CgLoop loop[SCRT_MAX_RANK];
    for (uint32_t i = 0; i < w->ns; i++) {
        ScCtx *cx = cg->m->cx;
        const ScTerm *pads = sc_term_add(cx, w->desc.pad_begin[i], w->desc.pad_end[i]);
        bool all = b->p->desc.count_pad;
        first[i] = all ? sc_term(cx, 0) : w->desc.pad_begin[i];
        n[i] = all ? sc_term_min(cx, sc_term_add(cx, w->in[i], pads), w->extent[i]) : w->in[i];
    }
    cg_window_fill(cg, w, b->count, plane_elements(cg->m, b->p), LLVMConstNull(w->tile.el));
    cg_nest(cg, w->ns, n, idx, loop);
    for (uint32_t i = 0; i < w->ns; i++) {
        LLVMValueRef x = cg_add_int(cg, idx[i], cg_term(cg, first[i]));
        at = cg_add_int(cg, at, cg_mul_int(cg, x, cg_term(cg, w->step[i])));
    }
    LLVMBuildStore(cg->b, LLVMConstReal(w->tile.el, 1), cg_gep(cg, w->tile.el, b->count, at));
    cg_nest_end(cg, w->ns, loop);
}

static LLVMValueRef pool_body(CgModule *m, const Pool *p)
{
    Cg cg;
    LLVMValueRef fn = cg_begin_body(&cg, m, p->w.f, "pool");
    Body b = {.p = p, .off = cg_scratch_thread(&cg)};
    b.plane = cg_gep(&cg, m->i8, b.off, cg_term(&cg, offsets_bytes(m, p)));
    b.count = cg_gep(&cg, m->i8, b.plane, cg_term(&cg, plane_bytes(m, p)));
    cg_window_offsets(&cg, &p->w, sc_term(m->cx, 1), b.off);
    cg_window_fill(&cg, &p->w, b.plane, plane_elements(m, p), neutral_of(p));
    if (p->counted)
        count_plane(&cg, &b);
    CgLoop i = cg_for(&cg, cg.begin, cg.end, cg_int(&cg, 1));
    pool_channel(&cg, &b, i.i);
    cg_next(&cg, &i);
    cg_end_fn(&cg);
    return fn;
}

/* The positions of some window may lie outside x. */
static bool padded(CgModule *m, const CgWindow *w)
{
    for (uint32_t i = 0; i < w->ns; i++) {
        const ScTerm *last =
            sc_term_scale(m->cx, sc_term_addc(m->cx, w->out[i], -1), w->desc.stride[i]);
        last = sc_term_addc(m->cx, last, (w->desc.kernel[i] - 1) * w->desc.dilation[i] + 1);
        int64_t over;
        if (!sc_term_is(w->desc.pad_begin[i], 0) ||
            !sc_term_const(sc_term_sub(m->cx, last, w->in[i]), &over) || over > 0)
            return true;
    }
    return false;
}

static const ScTerm *clocks(CgModule *m, const CgWindow *w)
{
    const ScTerm *n = sc_term(m->cx, 2 * (int64_t)w->n_kernel);
    for (uint32_t i = 0; i < w->ns; i++) {
        const ScTerm *vectors = sc_term_cdiv(m->cx, w->out[i], sc_term(m->cx, w->tile.w));
        n = sc_term_mul(m->cx, n, i + 1 < w->ns ? w->out[i] : vectors);
    }
    return n;
}

bool cg_plan_pool(CgModule *m, CgFunc *f, const ScPool *desc, CgShape *ret)
{
    Pool *p = sc_new(m->plans, Pool);
    CgWindow *w = &p->w;
    const ScNode *n = sc_leader(f->sub);
    f->loop = p;
    bool apart = desc->mean && desc->count_pad && desc->window.hangs;
    p->desc = *desc;
    if (!cg_window_init(m, f, n, &desc->window, apart, w))
        return false;
    CgTypes types = cg_types_of(sc_type_of(f->sub, n->in[0])->dtype);
    cg_tile_init(m, &types, NULL, NULL, NULL, &w->tile);
    int64_t stride = w->desc.stride[w->ns - 1];
    w->slack = sc_term(m->cx, (stride + 1) * w->tile.w);
    p->counted = desc->mean && (desc->count_pad ? apart : padded(m, w));
    const ScTerm *planes = sc_term_scale(m->cx, plane_bytes(m, p), p->counted ? 2 : 1);
    f->scratch_thread = sc_term_add(m->cx, offsets_bytes(m, p), planes);
    cg_window_shape(w, ret);
    cg_shape_word(ret, p->counted);
    return true;
}

bool cg_emit_pool(CgModule *m, CgFunc *f)
{
    const Pool *p = f->loop;
    const CgWindow *w = &p->w;
    ScrtDtype in = sc_type_of(f->sub, w->node->in[0])->dtype;
    LLVMValueRef body = pool_body(m, p);
    Cg cg;
    cg_begin_entry(&cg, m, f);
    LLVMValueRef items = cg_term(&cg, sc_term_mul(m->cx, w->batch, w->channels));
    cg_parallel(&cg, body, items, cg_grain(&cg, cg_term(&cg, clocks(m, w))));
    cg_end_fn(&cg);
    f->what = sc_printf(m->arena, "pool %s: %u lanes", scrt_dtype_name(in), w->tile.w);
    return true;
}
