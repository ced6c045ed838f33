/* SPDX-License-Identifier: Apache-2.0 */
/* Walking a window over [batch, spatial.., channel]. */
#include "codegen/product/slide.h"

bool cg_slide_init(CgModule *m, CgFunc *f, const ScNode *n, const ScWindow *desc, CgSlide *ret)
{
    const ScType *x = sc_type_of(f->sub, n->in[0]), *y = sc_type_of(f->sub, n->first);
    *ret = (CgSlide){.f = f, .node = n, .desc = *desc, .n_kernel = 1};
    if (!cg_type_ok(m, n->loc, x->dtype) || !cg_type_ok(m, n->loc, y->dtype))
        return false;
    ret->batch = x->dim[0];
    ret->channels = y->dim[y->rank - 1];
    ret->rows = x->dim[0];
    for (uint32_t i = 0; i < desc->n_spatial; i++) {
        ret->in[i] = x->dim[1 + i];
        ret->out[i] = y->dim[1 + i];
        ret->n_kernel *= (uint32_t)desc->kernel[i];
        if (i + 1 < desc->n_spatial)
            ret->rows = sc_term_mul(m->cx, ret->rows, ret->out[i]);
    }
    if (!cg_access(m, f, n->in[0], x->rank, x->dim, &ret->x))
        return false;
    ret->epi = cg_epi_new(m, f, n);
    return ret->epi != NULL;
}

void cg_slide_shape(CgSlide *k, CgShape *s)
{
    cg_shape_window(s, &k->desc);
    cg_shape_terms(s, k->desc.n_spatial, k->in);
    cg_shape_terms(s, k->desc.n_spatial, k->out);
    cg_shape_term(s, &k->batch);
    cg_shape_term(s, &k->channels);
    cg_shape_term(s, &k->rows);
    cg_shape_access(k->f, s, &k->x);
    cg_epi_shape(k->epi, s);
}

/* Along dim d: the window begins at `from` = index * stride - pad; those k with 0 <= from + k *
 * dilation < extent are [lo, hi). */
static void clip(Cg *cg, const CgSlide *s, uint32_t d, CgSpot *at)
{
    const ScWindow *w = &s->desc;
    LLVMValueRef zero = cg_int(cg, 0), dilation = cg_int(cg, w->dilation[d]);
    LLVMValueRef from = cg_mul_int(cg, at->idx[1 + d], cg_int(cg, w->stride[d]));
    from = LLVMBuildSub(cg->b, from, cg_term(cg, w->pad_begin[d]), "");
    LLVMValueRef before = cg_max_int(cg, LLVMBuildSub(cg->b, zero, from, ""), zero);
    LLVMValueRef left = LLVMBuildSub(cg->b, cg_term(cg, s->in[d]), from, "");
    LLVMValueRef size = cg_int(cg, w->kernel[d]);
    at->lo[d] = cg_cdiv_int(cg, before, dilation);
    at->hi[d] = cg_min_int(cg, cg_cdiv_int(cg, cg_max_int(cg, left, zero), dilation), size);
    LLVMValueRef step = cg_mul_int(cg, from, cg_term(cg, s->x.stride[1 + d]));
    at->first = cg_add_int(cg, at->first, step);
}

CgSpot cg_slide_row(Cg *cg, const CgSlide *s, LLVMValueRef row)
{
    uint32_t ns = s->desc.n_spatial;
    const ScTerm *dim[SCRT_MAX_RANK] = {s->batch};
    CgSpot r = {0};
    for (uint32_t i = 0; i + 1 < ns; i++)
        dim[1 + i] = s->out[i];
    cg_unflatten(cg, row, ns, dim, r.idx);
    r.first = cg_address(cg, &s->x, 1, r.idx);
    for (uint32_t d = 0; d + 1 < ns; d++)
        clip(cg, s, d, &r);
    return r;
}

/* Whether all positions along dim d lie in x. */
static LLVMValueRef is_whole(Cg *cg, const CgSlide *s, const CgSpot *at, uint32_t d)
{
    LLVMValueRef n = LLVMBuildSub(cg->b, at->hi[d], at->lo[d], "");
    return LLVMBuildICmp(cg->b, LLVMIntEQ, n, cg_int(cg, s->desc.kernel[d]), "");
}

CgSpan cg_slide_whole(Cg *cg, const CgSlide *s)
{
    const ScWindow *w = &s->desc;
    uint32_t d = w->n_spatial - 1;
    LLVMValueRef zero = cg_int(cg, 0), stride = cg_int(cg, w->stride[d]);
    LLVMValueRef out = cg_term(cg, s->out[d]), pad = cg_term(cg, w->pad_begin[d]);
    LLVMValueRef from = cg_cdiv_int(cg, cg_max_int(cg, pad, zero), stride);
    /* The last begins where as much is left of x as a window covers. */
    LLVMValueRef left = cg_add_int(cg, cg_term(cg, s->in[d]), pad);
    left = LLVMBuildSub(cg->b, left, cg_int(cg, (w->kernel[d] - 1) * w->dilation[d] + 1), "");
    left = cg_max_int(cg, cg_add_int(cg, left, stride), zero);
    LLVMValueRef to = cg_min_int(cg, LLVMBuildUDiv(cg->b, left, stride, ""), out);
    from = cg_min_int(cg, from, out);
    return (CgSpan){from, cg_max_int(cg, from, to)};
}

CgSpots cg_spots(Cg *cg, const CgSlide *s, const CgSpot *row, const CgSpan *without)
{
    uint32_t ns = s->desc.n_spatial;
    LLVMValueRef n = cg_term(cg, s->out[ns - 1]), skip = NULL;
    if (without) {
        skip = LLVMBuildSub(cg->b, without->to, without->from, "");
        n = LLVMBuildSub(cg->b, n, skip, "");
    }
    CgSpots r = {*row, cg_for(cg, cg_int(cg, 0), n, cg_int(cg, 1))};
    LLVMValueRef at = r.loop.i;
    if (without) {
        LLVMValueRef before = LLVMBuildICmp(cg->b, LLVMIntSLT, at, without->from, "");
        at = LLVMBuildSelect(cg->b, before, at, LLVMBuildAdd(cg->b, at, skip, ""), "");
    }
    r.at.idx[ns] = at;
    clip(cg, s, ns - 1, &r.at);
    return r;
}

void cg_spots_end(Cg *cg, const CgSpots *s)
{
    cg_next(cg, &s->loop);
}

static LLVMValueRef step(Cg *cg, const CgSlide *s, uint32_t d, LLVMValueRef k)
{
    LLVMValueRef by =
        cg_mul_int(cg, cg_term(cg, s->x.stride[1 + d]), cg_int(cg, s->desc.dilation[d]));
    return cg_mul_int(cg, k, by);
}

/* Address of a position of the window that begins at `first`. */
static LLVMValueRef position_address(Cg *cg, const CgSlide *s, LLVMValueRef first, uint32_t tap)
{
    int64_t left = tap;
    for (uint32_t d = s->desc.n_spatial; d-- > 0; left /= s->desc.kernel[d])
        first = cg_add_int(cg, first, step(cg, s, d, cg_int(cg, left % s->desc.kernel[d])));
    return first;
}

static void all_positions(Cg *cg, const CgSlide *s, const CgSpot *at, CgSee see, void *arg)
{
    for (uint32_t tap = 0; tap < s->n_kernel; tap++)
        see(cg, arg, position_address(cg, s, at->first, tap), cg_int(cg, tap));
}

void cg_slide_lines(Cg *cg, const CgSlide *s, const CgSpot *at, LLVMValueRef first, CgSee see,
                    void *arg)
{
    uint32_t last = s->desc.n_spatial - 1;
    CgLoop loop[SCRT_MAX_RANK];
    LLVMValueRef tap = cg_int(cg, 0);
    for (uint32_t d = 0; d < last; d++) {
        loop[d] = cg_for(cg, at->lo[d], at->hi[d], cg_int(cg, 1));
        first = cg_add_int(cg, first, step(cg, s, d, loop[d].i));
        tap = cg_add_int(cg, cg_mul_int(cg, tap, cg_int(cg, s->desc.kernel[d])), loop[d].i);
    }
    see(cg, arg, first, cg_mul_int(cg, tap, cg_int(cg, s->desc.kernel[last])));
    for (uint32_t d = last; d-- > 0;)
        cg_next(cg, &loop[d]);
}

typedef struct Line { /* which positions of a line lie in x, and what is done with each */
    const CgSlide *s;
    const CgSpot *at;
    CgSee see;
    void *arg;
} Line;

static void line_position(Cg *cg, const Line *l, LLVMValueRef first, LLVMValueRef tap,
                          LLVMValueRef k)
{
    uint32_t last = l->s->desc.n_spatial - 1;
    l->see(cg, l->arg, cg_add_int(cg, first, step(cg, l->s, last, k)), cg_add_int(cg, tap, k));
}

/* Which of few positions lie in x repeats from row to row, and so a processor guesses it; how often
 * a loop runs it does not. */
static void see_line(Cg *cg, void *arg, LLVMValueRef first, LLVMValueRef tap)
{
    const Line *l = arg;
    uint32_t last = l->s->desc.n_spatial - 1, n = (uint32_t)l->s->desc.kernel[last];
    LLVMValueRef lo = l->at->lo[last], hi = l->at->hi[last];
    if (n > CG_SLIDE_UNROLL) {
        CgLoop k = cg_for(cg, lo, hi, cg_int(cg, 1));
        line_position(cg, l, first, tap, k.i);
        cg_next(cg, &k);
        return;
    }
    for (uint32_t k = 0; k < n; k++) {
        LLVMValueRef in = LLVMBuildICmp(cg->b, LLVMIntSLE, lo, cg_int(cg, k), "");
        in = LLVMBuildAnd(cg->b, in, LLVMBuildICmp(cg->b, LLVMIntSGT, hi, cg_int(cg, k), ""), "");
        CgIf inside = cg_if(cg, in);
        line_position(cg, l, first, tap, cg_int(cg, k));
        cg_endif(cg, &inside);
    }
}

void cg_slide_window(Cg *cg, const CgSlide *s, const CgSpot *at, CgSee see, void *arg)
{
    Line l = {s, at, see, arg};
    if (s->n_kernel > CG_SLIDE_UNROLL) {
        cg_slide_lines(cg, s, at, at->first, see_line, &l);
        return;
    }
    LLVMValueRef inside = LLVMConstInt(cg->m->i1, 1, 0);
    for (uint32_t d = 0; d < s->desc.n_spatial; d++)
        inside = LLVMBuildAnd(cg->b, inside, is_whole(cg, s, at, d), "");
    CgIf all = cg_if(cg, inside);
    all_positions(cg, s, at, see, arg);
    cg_else(cg, &all);
    cg_slide_lines(cg, s, at, at->first, see_line, &l);
    cg_endif(cg, &all);
}
