/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution as an implicit matrix product: rows are the output channels of a group, columns the
 * positions of the result, k runs over (channel, position of the window). The weights are A, read
 * in their stored format; B is never made where all strides are 1: column q of row k is
 * plane[off[k] + q], if q counts positions at the distances of the plane. The columns between the
 * result's rows that this computes too are not stored. With other strides B is gathered. */
#include "codegen/product/window_priv.h"

#include <string.h>

typedef struct Conv {
    CgWindow w;
    CgJob job;
    CgAccess weight; /* dims [out, in / group, kernel..] */
    bool weight_flat;
    bool direct; /* all strides are 1 */
    bool merged; /* the columns are the result's spatial dims, side by side */
    const ScTerm *group, *rows, *in_group;
    const ScTerm *extent[SCRT_MAX_RANK]; /* of the columns: the plane's, or the result's */
    const ScTerm *weight_dim[SCRT_MAX_RANK];
} Conv;

/* --- The class's scratch: offsets of k, offsets of columns, planes --------------------------- */

static const ScTerm *offsets_bytes(CgModule *m, const Conv *c)
{
    return sc_term_scale(m->cx, sc_term_cdiv(m->cx, c->job.depth, sc_term(m->cx, 8)), 64);
}

static int64_t columns_bytes(const Conv *c)
{
    return ((int64_t)c->w.tile.nr * 8 + 63) / 64 * 64;
}

static const ScTerm *plane_elements(CgModule *m, const Conv *c)
{
    return sc_term_add(m->cx, sc_term_mul(m->cx, c->w.plane, c->in_group), c->w.slack);
}

static LLVMValueRef columns_at(Cg *cg, const Conv *c, const CgAt *at)
{
    return cg_gep(cg, cg->m->i8, at->extra, cg_term(cg, offsets_bytes(cg->m, c)));
}

static LLVMValueRef planes_at(Cg *cg, const Conv *c, const CgAt *at)
{
    return cg_gep(cg, cg->m->i8, columns_at(cg, c, at), cg_int(cg, columns_bytes(c)));
}

static void conv_once(Cg *cg, const CgJob *j, const CgAt *at)
{
    const Conv *c = j->self;
    cg_window_offsets(cg, &c->w, c->in_group, at->extra);
    cg_window_fill(cg, &c->w, planes_at(cg, c, at), plane_elements(cg->m, c),
                   LLVMConstNull(c->w.tile.el));
}

static void conv_image(Cg *cg, const CgJob *j, const CgAt *at)
{
    const Conv *c = j->self;
    LLVMValueRef channels = cg_term(cg, c->in_group);
    LLVMValueRef first = cg_mul_int(cg, at->outer, channels), planes = planes_at(cg, c, at);
    CgLoop i = cg_for(cg, cg_int(cg, 0), channels, cg_int(cg, 1));
    LLVMValueRef dst = cg_mul_int(cg, i.i, cg_term(cg, c->w.plane));
    cg_window_copy(cg, &c->w, at->inner, cg_add_int(cg, first, i.i),
                   cg_gep(cg, c->w.tile.el, planes, dst));
    cg_next(cg, &i);
}

/* --- B --------------------------------------------------------------------------------------- */

static LLVMValueRef direct_panel(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef *ret_off)
{
    const Conv *c = j->self;
    *ret_off = cg_gep(cg, cg->m->i64, at->extra, at->k0);
    return cg_gep(cg, c->w.tile.el, planes_at(cg, c, at), at->col0);
}

/* Where the windows of the panel's columns begin in a plane; columns beyond the last repeat it. */
static void column_offsets(Cg *cg, const Conv *c, const CgAt *at, LLVMValueRef table)
{
    LLVMValueRef idx[SCRT_MAX_RANK], one = cg_int(cg, 1);
    LLVMValueRef last = LLVMBuildSub(cg->b, at->col1, one, "");
    CgLoop i = cg_for(cg, cg_int(cg, 0), cg_int(cg, c->w.tile.nr), one);
    LLVMValueRef col = cg_min_int(cg, cg_add_int(cg, at->col0, i.i), last), off = cg_int(cg, 0);
    cg_unflatten(cg, col, c->w.ns, c->w.out, idx);
    for (uint32_t d = 0; d < c->w.ns; d++) {
        LLVMValueRef step =
            cg_mul_int(cg, cg_term(cg, c->w.step[d]), cg_int(cg, c->w.desc.stride[d]));
        off = cg_add_int(cg, off, cg_mul_int(cg, idx[d], step));
    }
    LLVMBuildStore(cg->b, off, cg_gep(cg, cg->m->i64, table, i.i));
    cg_next(cg, &i);
}

static LLVMValueRef gathered_panel(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef *ret_off)
{
    const Conv *c = j->self;
    const CgTile *t = &c->w.tile;
    LLVMTypeRef i64 = cg->m->i64;
    LLVMValueRef table = columns_at(cg, c, at), planes = planes_at(cg, c, at);
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1), nr = cg_int(cg, t->nr);
    (void)ret_off;
    column_offsets(cg, c, at, table);
    CgLoop k = cg_for(cg, zero, at->n_k, one);
    LLVMValueRef entry = cg_gep(cg, i64, at->extra, cg_add_int(cg, at->k0, k.i));
    LLVMValueRef row = cg_gep(cg, t->el, planes, LLVMBuildLoad2(cg->b, i64, entry, ""));
    LLVMValueRef dst = cg_gep(cg, t->el, at->b, cg_mul_int(cg, k.i, nr));
    CgLoop i = cg_for(cg, zero, nr, cg_int(cg, t->w));
    for (uint32_t lane = 0; lane < t->w; lane++) {
        LLVMValueRef n = cg_add_int(cg, i.i, cg_int(cg, lane));
        LLVMValueRef from = LLVMBuildLoad2(cg->b, i64, cg_gep(cg, i64, table, n), "");
        LLVMValueRef x = LLVMBuildLoad2(cg->b, t->el, cg_gep(cg, t->el, row, from), "");
        LLVMBuildStore(cg->b, x, cg_gep(cg, t->el, dst, n));
    }
    cg_next(cg, &i);
    cg_next(cg, &k);
    return at->b;
}

/* --- A --------------------------------------------------------------------------------------- */

typedef struct Weights {
    const Conv *c;
    LLVMValueRef channel, k0, dst;
} Weights;

static void weight_lanes(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Weights *s = arg;
    const Conv *c = s->c;
    LLVMValueRef idx[SCRT_MAX_RANK] = {s->channel};
    uint32_t rank = c->weight.rank;
    cg_unflatten(cg, cg_add_int(cg, s->k0, i), rank - 1, c->weight_dim + 1, idx + 1);
    LLVMValueRef at = cg_address(cg, &c->weight, rank, idx);
    CgVal x = cg_access_load(cg, &c->weight, at, c->weight.stride[rank - 1], w, mask);
    LLVMTypeRef el = c->w.tile.el;
    LLVMBuildStore(cg->b, cg_number(cg, el, x, w), cg_gep(cg, el, s->dst, i));
}

static void weight_row(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef row, LLVMValueRef dst)
{
    const Conv *c = j->self;
    LLVMValueRef first = cg_mul_int(cg, at->outer, cg_term(cg, c->rows));
    LLVMValueRef channel = cg_add_int(cg, first, row);
    if (!c->weight_flat) {
        Weights s = {c, channel, at->k0, dst};
        cg_lanes(cg, cg_int(cg, 0), at->n_k, 1, weight_lanes, &s);
        return;
    }
    LLVMValueRef address = cg_address(cg, &c->weight, 1, &channel);
    const ScTerm *stride = c->weight.stride[c->weight.rank - 1];
    address = cg_add_int(cg, address, cg_mul_int(cg, at->k0, cg_term(cg, stride)));
    cg_row_copy(cg, &c->w.tile, &c->weight, address, stride, at->n_k, dst);
}

/* --- The result ------------------------------------------------------------------------------ */

/* The part of one row of the result (or of all of it, where merged) that lies in the panel. */
static void finish_row(Cg *cg, const Conv *c, const CgAt *at, LLVMValueRef const *idx,
                       uint32_t n_idx, LLVMValueRef begin, const ScTerm *length, LLVMValueRef acc)
{
    const CgWindow *w = &c->w;
    LLVMBuilderRef b = cg->b;
    LLVMValueRef from = LLVMBuildSub(b, cg_max_int(cg, at->col0, begin), begin, "");
    LLVMValueRef end = LLVMBuildSub(b, at->col1, begin, "");
    end = cg_min_int(cg, end, cg_term(cg, length));
    CgIf some = cg_if(cg, LLVMBuildICmp(b, LLVMIntSLT, from, end, ""));
    CgEpiRow row = cg_epi_row(cg, w->epi, idx, n_idx);
    acc = cg_gep(cg, w->tile.el, acc, LLVMBuildSub(b, begin, at->col0, ""));
    cg_finish_row(cg, &w->tile, w->epi, &row, acc, from, end, length);
    cg_endif(cg, &some);
}

static void conv_finish(Cg *cg, const CgJob *j, const CgAt *at, uint32_t n, LLVMValueRef row,
                        LLVMValueRef acc)
{
    (void)n; /* one: a row of the result is many columns */
    const Conv *c = j->self;
    const CgWindow *w = &c->w;
    LLVMBuilderRef b = cg->b;
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1), idx[SCRT_MAX_RANK];
    idx[0] = at->inner;
    idx[1] = cg_add_int(cg, cg_mul_int(cg, at->outer, cg_term(cg, c->rows)), row);
    if (c->merged) {
        finish_row(cg, c, at, idx, 2, zero, j->cols, acc);
        return;
    }
    LLVMValueRef pitch = cg_term(cg, c->extent[w->ns - 1]);
    LLVMValueRef r0 = LLVMBuildUDiv(b, at->col0, pitch, "");
    LLVMValueRef r1 = cg_cdiv_int(cg, at->col1, pitch);
    CgLoop r = cg_for(cg, r0, r1, one);
    cg_unflatten(cg, r.i, w->ns - 1, c->extent, idx + 2);
    LLVMValueRef inside = LLVMConstInt(cg->m->i1, 1, 0);
    for (uint32_t d = 0; d + 1 < w->ns; d++) {
        LLVMValueRef is = LLVMBuildICmp(b, LLVMIntSLT, idx[2 + d], cg_term(cg, w->out[d]), "");
        inside = LLVMBuildAnd(b, inside, is, "");
    }
    CgIf in = cg_if(cg, inside);
    finish_row(cg, c, at, idx, 1 + w->ns, cg_mul_int(cg, r.i, pitch), w->out[w->ns - 1], acc);
    cg_endif(cg, &in);
    cg_next(cg, &r);
}

/* --- The kernel ------------------------------------------------------------------------------ */

/* Columns of one image: to the last position that the result has. */
static const ScTerm *columns(CgModule *m, Conv *c)
{
    ScCtx *cx = m->cx;
    const CgWindow *w = &c->w;
    const ScTerm *n = sc_term(cx, 1), *step = n, *all = n;
    c->direct = c->merged = true;
    for (uint32_t i = 0; i < w->ns; i++)
        c->direct = c->direct && w->desc.stride[i] == 1;
    for (uint32_t i = w->ns; i-- > 0;) {
        c->extent[i] = c->direct ? w->extent[i] : w->out[i];
        c->merged = c->merged && (i == 0 || c->extent[i] == w->out[i]);
        n = sc_term_add(cx, n, sc_term_mul(cx, sc_term_addc(cx, w->out[i], -1), step));
        step = sc_term_mul(cx, step, c->extent[i]);
        all = sc_term_mul(cx, all, w->out[i]);
    }
    c->merged = c->merged && cg_epi_mergeable(w->epi, 2);
    /* An empty result has no columns, whatever the distances say. */
    return c->merged ? all : sc_term_mul(cx, n, sc_term_min(cx, all, sc_term(cx, 1)));
}

static bool plan_weights(CgModule *m, Conv *c, const ScConv *desc)
{
    const CgWindow *w = &c->w;
    const ScGraph *sub = w->f->sub;
    const ScType *t = sc_type_of(sub, w->node->in[1]);
    if (!cg_type_ok(m, w->node->loc, t->dtype) ||
        !cg_access(m, w->f, w->node->in[1], t->rank, t->dim, &c->weight))
        return false;
    memcpy(c->weight_dim, t->dim, t->rank * sizeof *t->dim);
    c->weight_flat = true;
    for (uint32_t i = 1; i + 1 < t->rank; i++) {
        const ScTerm *inner = sc_term_mul(m->cx, c->weight.stride[i + 1], t->dim[i + 1]);
        c->weight_flat = c->weight_flat && c->weight.stride[i] == inner;
    }
    c->group = sc_term(m->cx, desc->group);
    c->rows = sc_term_fdiv(m->cx, t->dim[0], c->group);
    c->in_group = t->dim[1];
    return true;
}

static void plan_job(CgModule *m, Conv *c)
{
    CgWindow *w = &c->w;
    ScCtx *cx = m->cx;
    ScrtDtype result = sc_type_of(w->f->sub, w->node->first)->dtype;
    c->job = (CgJob){
        .f = w->f,
        .outer = c->group,
        .inner = w->batch,
        .rows = c->rows,
        .cols = columns(m, c),
        .depth = sc_term_scale(cx, c->in_group, w->n_kernel),
        .offsets = c->direct,
        .self = c,
        .a_row = weight_row,
        .once = conv_once,
        .image = conv_image,
        .panel = c->direct ? direct_panel : gathered_panel,
        .finish = conv_finish,
    };
    CgTypes types = cg_types_of(result);
    cg_tile_init(m, &types, c->rows, c->job.cols, c->job.depth, &w->tile);
    c->job.tile = w->tile;
    cg_tile_columns(&m->target, &c->job.tile);
    w->slack = sc_term(cx, 2 * w->tile.nr);
    if (!c->direct)
        c->job.b_bytes = sc_term(cx, (int64_t)w->tile.kc * w->tile.nr * w->tile.size);
    const ScTerm *planes = sc_term_addc(cx, plane_elements(m, c), w->tile.w);
    c->job.extra_bytes = sc_term_add(cx, sc_term_addc(cx, offsets_bytes(m, c), columns_bytes(c)),
                                     sc_term_scale(cx, planes, w->tile.size));
}

bool cg_emit_conv(CgModule *m, CgFunc *f, const ScNode *n, const ScConv *desc)
{
    Conv *c = sc_new(m->arena, Conv);
    if (!cg_window_init(m, f, n, &desc->window, false, &c->w) || !plan_weights(m, c, desc))
        return false;
    plan_job(m, c);
    const CgTile *t = &c->w.tile;
    f->scratch_thread = cg_job_scratch(m, &c->job);
    LLVMValueRef body = cg_job_body(m, &c->job);
    Cg cg;
    cg_begin_entry(&cg, m, f);
    cg_job_run(&cg, &c->job, body);
    cg_end_fn(&cg);
    f->what = sc_printf(m->arena, "conv %s x %s: %s, tile %ux%u, kc %u",
                        scrt_dtype_name(sc_type_of(f->sub, n->in[0])->dtype),
                        scrt_dtype_name(sc_type_of(f->sub, n->in[1])->dtype),
                        c->direct ? "direct" : "gathered", t->mr, t->nr, t->kc);
    return true;
}
