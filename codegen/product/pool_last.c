/* SPDX-License-Identifier: Apache-2.0 */
/* Pools with channels last: vectors of channels, combined over the positions that lie in x. */
#include "codegen/product/slide.h"
#include "codegen/product/window_priv.h"

typedef struct Pool {
    CgSlide s;
    ScPool desc;
} Pool;

typedef struct Part { /* of one position, for a vector of channels */
    const Pool *pool;
    const CgSlide *s; /* the pool's */
    LLVMTypeRef vec;
    LLVMValueRef acc, i, mask;
    uint32_t w;
} Part;

typedef struct Row {
    const Pool *pool;
    LLVMValueRef row;
} Row;

static void combine(Cg *cg, void *arg, LLVMValueRef address, LLVMValueRef tap)
{
    const Part *p = arg;
    const ScTerm *stride = p->s->x.stride[p->s->x.rank - 1];
    (void)tap;
    LLVMValueRef at = cg_add_int(cg, address, cg_mul_int(cg, p->i, cg_term(cg, stride)));
    CgVal x = cg_access_load(cg, &p->s->x, at, stride, p->w, p->mask);
    ScrtDtype t = sc_type_of(p->s->f->sub, p->s->node->in[0])->dtype;
    bool is_signed = scrt_dtype_kind(t) == SCRT_KIND_INT;
    cg_set(cg, p->acc,
           cg_pool_combine(cg, p->pool->desc.monoid, is_signed, cg_get(cg, p->vec, p->acc), x.v));
}

/* Positions that a mean divides by: those in x, or those in its pads too. */
static LLVMValueRef count(Cg *cg, const Pool *p, const CgSpot *at)
{
    const CgSlide *s = &p->s;
    LLVMValueRef n = cg_int(cg, 1);
    for (uint32_t d = 0; d < s->desc.n_spatial; d++) {
        LLVMValueRef here = LLVMBuildSub(cg->b, at->hi[d], at->lo[d], "");
        if (p->desc.count_pad) { /* what hangs over the pads' end counts nowhere */
            LLVMValueRef left = cg_mul_int(cg, at->idx[1 + d], cg_int(cg, s->desc.stride[d]));
            const ScTerm *all = sc_term_add(cg->m->cx, s->in[d], s->desc.pad_begin[d]);
            all = sc_term_add(cg->m->cx, all, s->desc.pad_end[d]);
            left = LLVMBuildSub(cg->b, cg_term(cg, all), left, "");
            left = cg_cdiv_int(cg, left, cg_int(cg, s->desc.dilation[d]));
            here = cg_min_int(cg, left, cg_int(cg, s->desc.kernel[d]));
        }
        n = cg_mul_int(cg, n, here);
    }
    return n;
}

static LLVMValueRef mean(Cg *cg, const Part *p, const CgSpot *at, LLVMValueRef sum)
{
    LLVMTypeRef el = cg_compute_type(cg->m, sc_type_of(p->s->f->sub, p->s->node->in[0])->dtype);
    LLVMValueRef n = count(cg, p->pool, at), zero = cg_int(cg, 0), one = cg_int(cg, 1);
    /* A window of nothing has a sum of 0, and a mean of 0. */
    n = LLVMBuildSelect(cg->b, LLVMBuildICmp(cg->b, LLVMIntSGT, n, zero, ""), n, one, "");
    LLVMValueRef by = LLVMBuildSIToFP(cg->b, n, el, "");
    return LLVMBuildFDiv(cg->b, sum, cg_splat(cg, by, p->w), "");
}

static void row_lanes(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Row *r = arg;
    const CgSlide *s = &r->pool->s;
    ScrtDtype t = sc_type_of(s->f->sub, s->node->in[0])->dtype;
    LLVMTypeRef el = cg_compute_type(cg->m, t);
    Part p = {r->pool, s, cg_vec(el, w), NULL, i, mask, w};
    p.acc = cg_var(cg, p.vec, NULL);
    CgSpot row = cg_slide_row(cg, s, r->row);
    CgSpots spots = cg_spots(cg, s, &row, NULL);
    LLVMValueRef none =
        cg_pool_neutral(el, r->pool->desc.monoid, scrt_dtype_kind(t) == SCRT_KIND_INT);
    cg_set(cg, p.acc, cg_splat(cg, none, w));
    cg_slide_window(cg, s, &spots.at, combine, &p);
    LLVMValueRef x = cg_get(cg, p.vec, p.acc);
    if (r->pool->desc.mean)
        x = mean(cg, &p, &spots.at, x);
    CgEpiRow epi = cg_epi_row(cg, s->epi, spots.at.idx, 1 + s->desc.n_spatial);
    cg_epi_store(cg, s->epi, &epi, i, x, w, mask);
    cg_spots_end(cg, &spots);
}

static LLVMValueRef emit_body(CgModule *m, const Pool *p)
{
    const CgSlide *s = &p->s;
    ScrtDtype t = sc_type_of(s->f->sub, s->node->in[0])->dtype;
    Cg cg;
    LLVMValueRef fn = cg_begin_body(&cg, m, s->f, "rows");
    CgLoop item = cg_for(&cg, cg.begin, cg.end, cg_int(&cg, 1));
    Row r = {p, item.i};
    uint32_t w = scrt_dtype_bits(t) > 32 ? m->target.w / 2 : m->target.w;
    cg_lanes(&cg, cg_int(&cg, 0), cg_term(&cg, s->channels), w, row_lanes, &r);
    cg_next(&cg, &item);
    cg_end_fn(&cg);
    return fn;
}

bool cg_plan_pool_last(CgModule *m, CgFunc *f, const ScPool *desc, CgShape *ret)
{
    Pool *p = sc_new(m->plans, Pool);
    f->loop = p;
    p->desc = *desc;
    if (!cg_slide_init(m, f, sc_leader(f->sub), &desc->window, &p->s))
        return false;
    cg_slide_shape(&p->s, ret);
    return true;
}

bool cg_emit_pool_last(CgModule *m, CgFunc *f)
{
    const Pool *p = f->loop;
    const CgSlide *s = &p->s;
    LLVMValueRef body = emit_body(m, p);
    Cg cg;
    cg_begin_entry(&cg, m, f);
    const ScTerm *work = sc_term_mul(m->cx, s->out[s->desc.n_spatial - 1], s->channels);
    work = sc_term_scale(m->cx, work, s->n_kernel + 4);
    LLVMValueRef clocks = LLVMBuildUDiv(cg.b, cg_term(&cg, work), cg_int(&cg, m->target.w), "");
    cg_parallel(&cg, body, cg_term(&cg, s->rows), cg_grain(&cg, clocks));
    cg_end_fn(&cg);
    f->what = sc_printf(m->arena, "pool %s: channels last",
                        scrt_dtype_name(sc_type_of(f->sub, s->node->in[0])->dtype));
    return true;
}
