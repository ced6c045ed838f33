/* SPDX-License-Identifier: Apache-2.0 */
/* VIEW kernels. Where the elements lie in order already the result is the operand's buffer and
 * there is no code; else they are copied. */
#include "codegen/loops/loops.h"

static bool is_dense(CgModule *m, const ScView *v)
{
    const ScTerm *stride = sc_term(m->cx, 1);
    for (uint32_t d = v->rank; d-- > 0;) {
        if (!sc_term_is(v->dim[d], 1) && v->stride[d] != stride)
            return false;
        stride = sc_term_mul(m->cx, stride, v->dim[d]);
    }
    return sc_term_is(v->offset, 0);
}

/* A copy whose elements change places along the last dim goes tile by tile into the result. */
static bool emit_transpose(CgModule *m, CgFunc *f)
{
    const ScType *t = sc_type_of(f->sub, f->sub->out[0]);
    CgAccess a;
    CgSpace s;
    CgTranspose copy;
    if (!cg_access(m, f, f->sub->out[0], t->rank, t->dim, &a))
        return false;
    cg_space_init(m, &s, t->rank, t->dim, t->rank, 1, &a);
    if (!cg_transposed(m, f, &a, s.dim, &copy) || copy.count != s.outer)
        return false;
    LLVMValueRef body = cg_transpose_body(m, f, &copy, "turn");
    Cg cg;
    cg_begin_entry(&cg, m, f);
    cg_transpose_run(&cg, &copy, body);
    cg_end_fn(&cg);
    f->what = sc_printf(m->arena, "view: transpose, tiles of %u", m->target.w);
    return true;
}

static bool emit(CgModule *m, CgFunc *f)
{
    ScView view;
    ScVal root;
    bool one = f->sub->n_out == 1 && cg_view_of(m, f, f->sub->out[0], &view, &root);
    if (one && f->sub->n_in == 1 && root == f->sub->in[0] && is_dense(m, &view)) {
        f->alias = true;
        f->what = "view: no code";
        return true;
    }
    if (one && emit_transpose(m, f))
        return true;
    if (!cg_map.emit(m, f))
        return false;
    f->what = sc_printf(m->arena, "view: copy (%s)", f->what);
    return true;
}

const CgClass cg_view = {NULL, emit};
