/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution with channels last: rows are the positions of the result, columns its channels, k
 * runs over (position of the window, channel), so the weights are packed panels as a matmul's, and
 * a row of A is a few runs of x, with zeros where the window reaches into the padding. Where x has
 * few channels runs are short, and of a window that lies in x they are copied without loops. */
#include "codegen/product/filter.h"

#include <string.h>

typedef struct Conv {
    CgFunc *f;
    const ScNode *node;
    ScWindow desc;
    const ScTerm *dim[SCRT_MAX_RANK];    /* [1 + spatial] of the result: batch, extents */
    const ScTerm *extent[SCRT_MAX_RANK]; /* of x */
    CgAccess x;                          /* dims [batch, spatial.., channel] */
    CgFilter filter;
    const ScTerm *run; /* neighbours in x that are neighbours in k */
    bool merged;       /* a run is all of the window's last dim */
    int64_t few;       /* elements of a run, where a chunk is all of k, in few short runs; else 0 */
    bool codes;        /* of which codes are collected, to be looked up together */
    bool rows_flat;    /* a row of A is x at row * pitch */
    const ScTerm *pitch;
    CgTile tile;
    CgEpi *epi;
    CgJob job;
} Conv;

/* --- A --------------------------------------------------------------------------------------- */

typedef struct Walk { /* one row of A: where its runs lie */
    const Conv *c;
    const CgAt *at;
    LLVMValueRef idx[SCRT_MAX_RANK]; /* batch, position of the result */
    LLVMValueRef base;               /* address of the image's first element of the group */
    LLVMValueRef dst;
} Walk;

static LLVMValueRef clamp(Cg *cg, LLVMValueRef x, LLVMValueRef lo, LLVMValueRef hi)
{
    return cg_min_int(cg, cg_max_int(cg, x, lo), hi);
}

/* Index in x along spatial dim d for position k of the window there; *inside becomes false where x
 * has none. */
static LLVMValueRef position(Cg *cg, const Walk *w, uint32_t d, LLVMValueRef k,
                             LLVMValueRef *inside)
{
    const ScWindow *s = &w->c->desc;
    LLVMValueRef i = cg_mul_int(cg, w->idx[1 + d], cg_int(cg, s->stride[d]));
    i = LLVMBuildSub(cg->b, i, cg_term(cg, s->pad_begin[d]), "");
    i = cg_add_int(cg, i, cg_mul_int(cg, k, cg_int(cg, s->dilation[d])));
    if (inside) { /* one comparison: a negative index is a large one */
        LLVMValueRef in = LLVMBuildICmp(cg->b, LLVMIntULT, i, cg_term(cg, w->c->extent[d]), "");
        *inside = LLVMBuildAnd(cg->b, *inside, in, "");
    }
    return i;
}

static void zeros(Cg *cg, const Conv *c, LLVMValueRef dst, LLVMValueRef from, LLVMValueRef to)
{
    const CgTile *t = &c->tile;
    CgLoop i = cg_for(cg, from, to, cg_int(cg, t->w)); /* what lies behind is written later */
    cg_tile_zeros(cg, t, cg_gep(cg, t->a.type, dst, i.i));
    cg_next(cg, &i);
}

/* Run r of the row, as far as the chunk has it: elements [s, e) of the run, of which [lo, hi) are
 * in x. */
static void copy_run(Cg *cg, const Walk *w, LLVMValueRef r)
{
    const Conv *c = w->c;
    const ScWindow *d = &c->desc;
    uint32_t ns = d->n_spatial, outer = ns - c->merged;
    LLVMValueRef zero = cg_int(cg, 0), run = cg_term(cg, c->run), tap[SCRT_MAX_RANK];
    LLVMValueRef inside = LLVMConstInt(cg->m->i1, 1, 0), address = w->base;
    LLVMValueRef begin = cg_mul_int(cg, r, run), left = r;
    for (uint32_t i = outer; i-- > 0;) {
        LLVMValueRef n = cg_int(cg, d->kernel[i]);
        tap[i] = i ? LLVMBuildURem(cg->b, left, n, "") : left;
        left = i ? LLVMBuildUDiv(cg->b, left, n, "") : left;
    }
    for (uint32_t i = 0; i < outer; i++) {
        LLVMValueRef at = position(cg, w, i, tap[i], &inside);
        address = cg_add_int(cg, address, cg_mul_int(cg, at, cg_term(cg, c->x.stride[1 + i])));
    }
    LLVMValueRef lo = zero, hi = run;
    if (c->merged) {
        LLVMValueRef first = position(cg, w, ns - 1, zero, NULL),
                     channels = cg_term(cg, c->filter.in);
        LLVMValueRef extent = cg_term(cg, c->extent[ns - 1]);
        lo = cg_mul_int(cg, LLVMBuildNeg(cg->b, first, ""), channels);
        hi = cg_mul_int(cg, LLVMBuildSub(cg->b, extent, first, ""), channels);
        address = cg_add_int(cg, address, cg_mul_int(cg, first, cg_term(cg, c->x.stride[ns])));
    }
    LLVMValueRef s = cg_max_int(cg, LLVMBuildSub(cg->b, w->at->k0, begin, ""), zero);
    LLVMValueRef end = cg_add_int(cg, w->at->k0, w->at->n_k);
    LLVMValueRef e = cg_min_int(cg, LLVMBuildSub(cg->b, end, begin, ""), run);
    lo = clamp(cg, lo, s, e);
    hi = clamp(cg, hi, lo, e);
    hi = LLVMBuildSelect(cg->b, inside, hi, lo, "");
    LLVMValueRef dst =
        cg_gep(cg, c->tile.a.type, w->dst, LLVMBuildSub(cg->b, begin, w->at->k0, ""));
    const ScTerm *stride = c->x.stride[ns + 1];
    zeros(cg, c, dst, s, lo);
    cg_row_copy(cg, &c->tile, &c->x,
                cg_add_int(cg, address, cg_mul_int(cg, lo, cg_term(cg, stride))), stride,
                LLVMBuildSub(cg->b, hi, lo, ""), cg_gep(cg, c->tile.a.type, dst, lo));
    zeros(cg, c, dst, hi, e);
}

/* Whether the row's window lies in x altogether; *ret: its first element. */
static LLVMValueRef is_whole(Cg *cg, const Walk *w, LLVMValueRef *ret)
{
    const ScWindow *d = &w->c->desc;
    LLVMValueRef inside = LLVMConstInt(cg->m->i1, 1, 0);
    *ret = w->base;
    for (uint32_t i = 0; i < d->n_spatial; i++) {
        LLVMValueRef first = position(cg, w, i, cg_int(cg, 0), &inside);
        position(cg, w, i, cg_int(cg, d->kernel[i] - 1), &inside);
        LLVMValueRef step = cg_mul_int(cg, first, cg_term(cg, w->c->x.stride[1 + i]));
        *ret = cg_add_int(cg, *ret, step);
    }
    return inside;
}

/* How a vector of the few runs gets where it is collected: as elements of A in the row, or as codes
 * in scratch of the class's own, from which the row is looked up at once, with what lies behind up
 * to a multiple of 32, which the zeros at the row's end overwrite. */
static void copy_vector(Cg *cg, const Walk *w, LLVMValueRef from, int64_t to, int64_t n)
{
    const Conv *c = w->c;
    const CgTile *t = &c->tile;
    const ScTerm *stride = c->x.stride[c->desc.n_spatial + 1];
    LLVMValueRef mask = n < t->w ? cg_mask(cg, cg_int(cg, n), t->w) : NULL;
    if (!c->codes) {
        CgVal x = cg_access_load(cg, &c->x, from, stride, t->w, mask);
        cg_tile_put(cg, t, x, t->w, cg_gep(cg, t->a.type, w->dst, cg_int(cg, to)));
        return;
    }
    LLVMValueRef base = cg_access_pointer(cg, &c->x, from);
    CgVal x = cg_load(cg, SCRT_U8, base, cg_int(cg, 0), t->w, mask);
    LLVMValueRef dst = cg_gep(cg, cg->m->i8, w->at->extra, cg_int(cg, to));
    LLVMSetAlignment(LLVMBuildStore(cg->b, x.v, dst), 1);
}

/* The few runs of a window that lies in x, one by one. What a short vector writes too much, the
 * next run or the row's end overwrites; the last vector of a long run begins within the one before.
 */
static void copy_few(Cg *cg, const Walk *w, LLVMValueRef first)
{
    const Conv *c = w->c;
    const ScWindow *d = &c->desc;
    uint32_t outer = d->n_spatial - c->merged, lanes = c->tile.w;
    int64_t n = 1;
    for (uint32_t i = 0; i < outer; i++)
        n *= d->kernel[i];
    for (int64_t r = 0; r < n; r++) {
        LLVMValueRef from = first;
        int64_t left = r;
        for (uint32_t i = outer; i-- > 0; left /= d->kernel[i]) {
            LLVMValueRef at = cg_int(cg, left % d->kernel[i] * d->dilation[i]);
            from = cg_add_int(cg, from, cg_mul_int(cg, at, cg_term(cg, c->x.stride[1 + i])));
        }
        for (int64_t i = 0; i < c->few; i += lanes) {
            int64_t at = i + lanes > c->few && i ? c->few - lanes : i;
            copy_vector(cg, w, cg_add_int(cg, from, cg_int(cg, at)), r * c->few + at, c->few - at);
        }
    }
    ScrtDtype type = sc_type_of(c->f->sub, c->x.root)->dtype;
    for (int64_t i = 0; c->codes && i < n * c->few; i += cg_codes(&c->tile))
        cg_codes_put(cg, &c->tile, type, cg_gep(cg, cg->m->i8, w->at->extra, cg_int(cg, i)),
                     cg_gep(cg, c->tile.a.type, w->dst, cg_int(cg, i)), (uint32_t)(n * c->few - i));
}

static void copy_runs(Cg *cg, const Walk *w)
{
    LLVMValueRef run = cg_term(cg, w->c->run), end = cg_add_int(cg, w->at->k0, w->at->n_k);
    CgLoop r = cg_for(cg, LLVMBuildUDiv(cg->b, w->at->k0, run, ""), cg_cdiv_int(cg, end, run),
                      cg_int(cg, 1));
    copy_run(cg, w, r.i);
    cg_next(cg, &r);
}

/* Distance of the group's first channel from x's. */
static LLVMValueRef group_offset(Cg *cg, const Conv *c, const CgAt *at)
{
    LLVMValueRef group = cg_mul_int(cg, at->outer, cg_term(cg, c->filter.in));
    return cg_mul_int(cg, group, cg_term(cg, c->x.stride[c->desc.n_spatial + 1]));
}

/* Address of a row of A that is one of x. */
static LLVMValueRef flat_row(Cg *cg, const Conv *c, const CgAt *at, LLVMValueRef row)
{
    LLVMValueRef from = cg_add_int(cg, cg_term(cg, c->x.offset), group_offset(cg, c, at));
    return cg_add_int(cg, from, cg_mul_int(cg, row, cg_term(cg, c->pitch)));
}

static LLVMValueRef conv_a_at(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef row)
{
    const Conv *c = j->self;
    LLVMValueRef x = cg_operand(cg, (uint32_t)c->x.operand);
    return cg_gep(cg, c->tile.a.type, x, flat_row(cg, c, at, row));
}

static void conv_row(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef row, LLVMValueRef dst)
{
    const Conv *c = j->self;
    uint32_t ns = c->desc.n_spatial;
    const ScTerm *stride = c->x.stride[ns + 1];
    if (c->rows_flat) {
        LLVMValueRef from = flat_row(cg, c, at, row);
        from = cg_add_int(cg, from, cg_mul_int(cg, at->k0, cg_term(cg, stride)));
        cg_row_copy(cg, &c->tile, &c->x, from, stride, at->n_k, dst);
        return;
    }
    Walk w = {.c = c, .at = at, .dst = dst};
    cg_unflatten(cg, row, 1 + ns, c->dim, w.idx);
    w.base = cg_add_int(cg, cg_address(cg, &c->x, 1, w.idx), group_offset(cg, c, at));
    if (c->few) {
        LLVMValueRef first, whole = is_whole(cg, &w, &first);
        CgIf all = cg_if(cg, whole);
        copy_few(cg, &w, first);
        cg_else(cg, &all);
        copy_runs(cg, &w);
        cg_endif(cg, &all);
    } else {
        copy_runs(cg, &w);
    }
    zeros(cg, c, dst, at->n_k, cg_add_int(cg, at->n_k, cg_int(cg, c->tile.deep)));
}

/* --- B, and what becomes of the sums ---------------------------------------------------------- */

static LLVMValueRef conv_panel(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef *ret_off)
{
    const Conv *c = j->self;
    (void)ret_off;
    return cg_filter_panel(cg, &c->filter, at, at->outer, at->b);
}

static LLVMValueRef conv_ahead(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef *ret)
{
    const Conv *c = j->self;
    return cg_filter_ahead(cg, &c->filter, at, at->outer, ret);
}

static void conv_ask(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef row)
{
    const Conv *c = j->self;
    LLVMValueRef first = cg_mul_int(cg, at->outer, cg_term(cg, c->filter.out));
    CgEpiRow r = cg_epi_flat_row(cg, c->epi, row, 1 + c->desc.n_spatial);
    cg_epi_ask(cg, c->epi, &r, cg_add_int(cg, first, at->col0), c->tile.nr);
}

static void conv_finish(Cg *cg, const CgJob *j, const CgAt *at, uint32_t n, LLVMValueRef row,
                        LLVMValueRef acc)
{
    const Conv *c = j->self;
    LLVMValueRef first = cg_mul_int(cg, at->outer, cg_term(cg, c->filter.out));
    CgEpiRow r[CG_AT_ONCE];
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef at_row = cg_add_int(cg, row, cg_int(cg, i));
        r[i] = cg_epi_flat_row(cg, c->epi, at_row, 1 + c->desc.n_spatial);
    }
    cg_epi_beside(r, n);
    cg_finish_panel(cg, &c->tile, c->epi, r, acc, at->col0, at->col1, j->cols, first);
}

/* --- The kernel ------------------------------------------------------------------------------ */

/* Runs, and whether rows of A are rows of x. */
static void plan_rows(CgModule *m, Conv *c)
{
    const ScWindow *d = &c->desc;
    uint32_t ns = d->n_spatial;
    bool plain = c->filter.n_kernel == 1;
    for (uint32_t i = 0; i < ns; i++)
        plain = plain && d->stride[i] == 1 && sc_term_is(d->pad_begin[i], 0) &&
                c->dim[1 + i] == c->extent[i];
    c->rows_flat = plain && cg_merge(m, 1, &c->x, 0, 1 + ns, c->dim);
    c->pitch = cg_merged_stride(m, &c->x, 0, 1 + ns, c->dim);
    const ScTerm *step = sc_term_mul(m->cx, c->x.stride[ns + 1], c->filter.in);
    c->merged = d->dilation[ns - 1] == 1 && c->x.stride[ns] == step;
    c->run = sc_term_scale(m->cx, c->filter.in, c->merged ? d->kernel[ns - 1] : 1);
    /* A run of nothing would be met for ever. */
    c->run = sc_term_max(m->cx, c->run, sc_term(m->cx, 1));
}

/* Long runs are copied as fast by a loop. */
static void plan_few(Conv *c)
{
    enum { VECTORS = 32 };
    int64_t run, depth;
    c->few = 0;
    if (sc_term_const(c->run, &run) && sc_term_const(c->job.depth, &depth) && depth <= c->tile.kc &&
        sc_term_is(c->x.stride[c->desc.n_spatial + 1], 1) && run > 0 &&
        depth / run * ((run + c->tile.w - 1) / c->tile.w) <= VECTORS)
        c->few = run;
}

/* Rows of A that are rows of x need no copy where they hold what is computed with. */
static bool reads_in_place(CgModule *m, Conv *c)
{
    ScrtDtype t = sc_type_of(c->f->sub, c->node->in[0])->dtype;
    int64_t pitch, depth;
    bool whole = sc_term_const(c->job.depth, &depth) && depth % c->tile.deep == 0;
    return c->rows_flat && c->x.operand >= 0 && !c->x.scratch && (c->tile.ku == 1 || whole) &&
           cg_storage_type(m, t) == c->tile.a.type &&
           sc_term_is(c->x.stride[c->desc.n_spatial + 1], 1) && sc_term_const(c->pitch, &pitch) &&
           cg_tile_direct(&c->tile, pitch);
}

/* What is multiplied, and by which tile: known before it is known whether windows are. */
static void plan_product(CgModule *m, Conv *c)
{
    ScCtx *cx = m->cx;
    const ScGraph *sub = c->f->sub;
    const ScType *x = sc_type_of(sub, c->node->in[0]), *y = sc_type_of(sub, c->node->first);
    const ScTerm *rows = sc_term(cx, 1);
    for (uint32_t i = 0; i <= c->desc.n_spatial; i++) {
        c->dim[i] = y->dim[i];
        c->extent[i] = x->dim[1 + i];
        rows = sc_term_mul(cx, rows, c->dim[i]);
    }
    c->job = (CgJob){
        .f = c->f,
        .outer = c->filter.group,
        .inner = sc_term(cx, 1),
        .rows = rows,
        .cols = c->filter.out,
        .depth = sc_term_scale(cx, c->filter.in, c->filter.n_kernel),
        .self = c,
        .a_row = conv_row,
        .panel = conv_panel,
        .finish = conv_finish,
    };
    CgTypes types = {x->dtype,        c->filter.dtype,
                     y->dtype,        cg_filter_may_pack(c->f, &c->filter),
                     c->filter.dtype, c->f->trait};
    cg_tile_init(m, &types, rows, c->job.cols, c->job.depth, &c->tile);
}

static void plan_job(CgModule *m, Conv *c)
{
    if (reads_in_place(m, c))
        c->job.a_at = conv_a_at;
    c->job.tile = c->tile;
    if (!c->job.a_at)
        cg_tile_columns(&m->target, &c->job.tile);
    c->job.epi = c->epi;
    c->job.ask = cg_epi_waits(c->epi, 1 + c->desc.n_spatial) ? conv_ask : NULL;
    plan_few(c);
    c->codes = c->few && cg_by_codes(c->f, &c->tile, &c->x, c->x.stride[c->desc.n_spatial + 1]);
    if (c->codes)
        c->job.extra_bytes = sc_term(m->cx, (int64_t)c->tile.kc + cg_codes(&c->tile));
    c->job.b_bytes =
        sc_term(m->cx, (int64_t)(c->tile.kc + c->tile.w) * c->tile.nr * c->tile.b.size);
}

static bool plan(CgModule *m, Conv *c)
{
    const ScType *x = sc_type_of(c->f->sub, c->node->in[0]);
    if (!cg_access(m, c->f, c->node->in[0], x->rank, x->dim, &c->x))
        return false;
    c->epi = cg_epi_new(m, c->f, c->node);
    if (!c->epi)
        return false;
    plan_rows(m, c);
    plan_job(m, c);
    return true;
}

bool cg_emit_conv_last(CgModule *m, CgFunc *f, const ScNode *n, const ScConv *desc)
{
    Conv *c = sc_new(m->arena, Conv);
    c->desc = desc->window;
    c->f = f;
    c->node = n;
    if (!cg_filter_init(m, f, n, desc, &c->filter))
        return false;
    if (c->filter.depthwise)
        return cg_emit_depthwise(m, f, n, &c->desc, &c->filter);
    if (!cg_type_ok(m, n->loc, sc_type_of(f->sub, n->in[0])->dtype) ||
        !cg_type_ok(m, n->loc, sc_type_of(f->sub, n->first)->dtype))
        return false;
    plan_product(m, c);
    if (cg_winograd_fits(m, f, n, desc, &c->tile, &c->filter))
        return cg_emit_winograd(m, f, n, &c->desc, &c->filter);
    if (!plan(m, c))
        return false;
    cg_filter_pack(m, f, &c->tile, &c->filter);
    c->job.ahead = c->filter.packed ? conv_ahead : NULL;
    f->scratch_thread = cg_job_scratch(m, &c->job);
    LLVMValueRef body = cg_job_body(m, &c->job);
    Cg cg;
    cg_begin_entry(&cg, m, f);
    cg_job_run(&cg, &c->job, body);
    cg_end_fn(&cg);
    const CgTile *t = &c->tile;
    f->what = sc_printf(m->arena, "conv %s x %s%s: channels last, tile %ux%u%s, kc %u",
                        scrt_dtype_name(sc_type_of(f->sub, n->in[0])->dtype),
                        scrt_dtype_name(c->filter.dtype), c->filter.packed ? " packed" : "", t->mr,
                        t->nv * t->w, t->micro->text, t->kc);
    return true;
}
