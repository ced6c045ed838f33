/* SPDX-License-Identifier: Apache-2.0 */
/* CONV and POOL: what a window sees as it slides over the spatial dims. The planes that conv.c and
 * pool.c read from, for any number of spatial dims, pads, strides, dilations and sizes. */
#include "codegen/product/window_priv.h"

#include <string.h>

/* A known distance of rows becomes whole vectors where that costs little: then fewer vectors of
 * results cross from one row to the next. */
static const ScTerm *even_rows(CgModule *m, const ScTerm *pitch)
{
    int64_t n, w = m->target.w;
    if (!sc_term_const(pitch, &n))
        return pitch;
    int64_t even = (n + w - 1) / w * w;
    return even - n <= n / 12 ? sc_term(m->cx, even) : pitch;
}

/* Elements that the windows reach over along dim i, padding included. */
static const ScTerm *reach(CgModule *m, const CgWindow *w, uint32_t i)
{
    const ScWindow *d = &w->desc;
    const ScTerm *last = sc_term_scale(m->cx, sc_term_addc(m->cx, w->out[i], -1), d->stride[i]);
    return sc_term_addc(m->cx, last, (d->kernel[i] - 1) * d->dilation[i] + 1);
}

static void plane_extents(CgModule *m, CgWindow *w)
{
    ScCtx *cx = m->cx;
    const ScTerm *zero = sc_term(cx, 0);
    for (uint32_t i = 0; i < w->ns; i++) {
        const ScTerm *before = w->desc.pad_begin[i];
        const ScTerm *filled = sc_term_add(cx, before, w->in[i]);
        if (i + 1 < w->ns) {
            w->extent[i] = sc_term_max(cx, filled, reach(m, w, i));
            continue;
        }
        const ScTerm *after = sc_term_max(cx, sc_term_sub(cx, reach(m, w, i), filled), zero);
        const ScTerm *between =
            w->apart ? sc_term_add(cx, before, sc_term_max(cx, after, w->desc.pad_end[i]))
                     : sc_term_max(cx, before, after);
        const ScTerm *pitch = sc_term_add(cx, w->in[i], between);
        /* Shared padding may make it shorter than a row of the result. */
        w->extent[i] = even_rows(m, sc_term_max(cx, pitch, w->out[i]));
    }
    const ScTerm *step = sc_term(cx, 1);
    for (uint32_t i = w->ns; i-- > 0;) {
        w->step[i] = step;
        step = sc_term_mul(cx, step, w->extent[i]);
    }
    /* The last row's end needs its padding too. */
    w->plane =
        sc_term_add(cx, step, sc_term_add(cx, w->desc.pad_begin[w->ns - 1], w->extent[w->ns - 1]));
}

bool cg_window_init(CgModule *m, CgFunc *f, const ScNode *n, const ScWindow *desc, bool apart,
                    CgWindow *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->f = f;
    ret->node = n;
    ret->desc = *desc;
    ret->ns = ret->desc.n_spatial;
    ret->apart = apart;
    const ScType *x = sc_type_of(f->sub, n->in[0]), *y = sc_type_of(f->sub, n->first);
    if (!cg_type_ok(m, n->loc, x->dtype) || !cg_type_ok(m, n->loc, y->dtype))
        return false;
    ret->batch = x->dim[0];
    ret->channels = x->dim[1];
    ret->n_kernel = 1;
    for (uint32_t i = 0; i < ret->ns; i++) {
        ret->in[i] = x->dim[2 + i];
        ret->out[i] = y->dim[2 + i];
        ret->n_kernel *= (uint32_t)ret->desc.kernel[i];
    }
    plane_extents(m, ret);
    if (!cg_access(m, f, n->in[0], x->rank, x->dim, &ret->x))
        return false;
    ret->epi = cg_epi_new(m, f, n);
    return ret->epi != NULL;
}

void cg_window_shape(CgWindow *w, CgShape *s)
{
    cg_shape_window(s, &w->desc);
    cg_shape_term(s, &w->batch);
    cg_shape_term(s, &w->channels);
    cg_shape_terms(s, w->ns, w->in);
    cg_shape_terms(s, w->ns, w->out);
    cg_shape_terms(s, w->ns, w->extent);
    cg_shape_terms(s, w->ns, w->step);
    cg_shape_term(s, &w->plane);
    cg_shape_any(s, &w->slack);
    cg_shape_word(s, w->apart);
    cg_shape_access(w->f, s, &w->x);
    cg_epi_shape(w->epi, s);
}

void cg_nest(Cg *cg, uint32_t n, const ScTerm *const *dim, LLVMValueRef *idx, CgLoop *loop)
{
    for (uint32_t i = 0; i < n; i++) {
        loop[i] = cg_for(cg, cg_int(cg, 0), cg_term(cg, dim[i]), cg_int(cg, 1));
        idx[i] = loop[i].i;
    }
}

void cg_nest_end(Cg *cg, uint32_t n, const CgLoop *loop)
{
    while (n-- > 0)
        cg_next(cg, &loop[n]);
}

void cg_window_fill(Cg *cg, const CgWindow *w, LLVMValueRef dst, const ScTerm *count,
                    LLVMValueRef fill)
{
    const CgTile *t = &w->tile;
    LLVMValueRef v = cg_splat(cg, fill, t->w);
    CgLoop i = cg_for(cg, cg_int(cg, 0), cg_term(cg, count), cg_int(cg, t->w));
    LLVMSetAlignment(LLVMBuildStore(cg->b, v, cg_gep(cg, t->el, dst, i.i)), t->size);
    cg_next(cg, &i);
}

typedef struct Row {
    const CgWindow *w;
    LLVMValueRef from, to;
} Row;

static void copy_lanes(Cg *cg, void *arg, LLVMValueRef i, uint32_t lanes, LLVMValueRef mask)
{
    const Row *r = arg;
    const CgTile *t = &r->w->tile;
    const ScTerm *stride = r->w->x.stride[r->w->x.rank - 1];
    LLVMValueRef at = cg_add_int(cg, r->from, cg_mul_int(cg, i, cg_term(cg, stride)));
    CgVal loaded = cg_access_load(cg, &r->w->x, at, stride, lanes, mask);
    LLVMValueRef to = cg_gep(cg, t->el, r->to, i), x = cg_number(cg, t->el, loaded, lanes);
    if (!mask) {
        LLVMSetAlignment(LLVMBuildStore(cg->b, x, to), t->size);
        return;
    }
    LLVMTypeRef type[2] = {LLVMTypeOf(x), cg->m->t_ptr};
    LLVMValueRef a[4] = {x, to, cg_iconst(cg->m->i32, t->size), mask};
    cg_intrinsic(cg, "llvm.masked.store", 2, type, 4, a);
}

void cg_window_copy(Cg *cg, const CgWindow *w, LLVMValueRef image, LLVMValueRef channel,
                    LLVMValueRef dst)
{
    uint32_t ns = w->ns;
    LLVMValueRef idx[SCRT_MAX_RANK] = {image, channel};
    CgLoop loop[SCRT_MAX_RANK];
    cg_nest(cg, ns - 1, w->in, idx + 2, loop);
    LLVMValueRef at = cg_term(cg, w->desc.pad_begin[ns - 1]);
    for (uint32_t i = 0; i + 1 < ns; i++) {
        LLVMValueRef row = cg_add_int(cg, idx[2 + i], cg_term(cg, w->desc.pad_begin[i]));
        at = cg_add_int(cg, at, cg_mul_int(cg, row, cg_term(cg, w->step[i])));
    }
    Row r = {w, cg_address(cg, &w->x, 1 + ns, idx), cg_gep(cg, w->tile.el, dst, at)};
    cg_lanes(cg, cg_int(cg, 0), cg_term(cg, w->in[ns - 1]), w->tile.w, copy_lanes, &r);
    cg_nest_end(cg, ns - 1, loop);
}

void cg_window_offsets(Cg *cg, const CgWindow *w, const ScTerm *channels, LLVMValueRef off)
{
    const ScTerm *dim[SCRT_MAX_RANK + 1] = {channels};
    LLVMValueRef idx[SCRT_MAX_RANK + 1];
    CgLoop loop[SCRT_MAX_RANK + 1];
    for (uint32_t i = 0; i < w->ns; i++)
        dim[1 + i] = sc_term(cg->m->cx, w->desc.kernel[i]);
    cg_nest(cg, 1 + w->ns, dim, idx, loop);
    LLVMValueRef at = cg_mul_int(cg, idx[0], cg_term(cg, w->plane)), flat = idx[0];
    for (uint32_t i = 0; i < w->ns; i++) {
        LLVMValueRef step =
            cg_mul_int(cg, cg_term(cg, w->step[i]), cg_int(cg, w->desc.dilation[i]));
        at = cg_add_int(cg, at, cg_mul_int(cg, idx[1 + i], step));
        flat = cg_add_int(cg, cg_mul_int(cg, flat, cg_int(cg, w->desc.kernel[i])), idx[1 + i]);
    }
    LLVMBuildStore(cg->b, at, cg_gep(cg, cg->m->i64, off, flat));
    cg_nest_end(cg, 1 + w->ns, loop);
}
