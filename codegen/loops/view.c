/* SPDX-License-Identifier: Apache-2.0 */
/* VIEW kernels. Where the result lies in the operand (program/places.c) there is no code; else the
 * elements are copied. */
#include "codegen/loops/loops.h"

/* A copy whose elements change places along the last dim goes tile by tile into the result. */
static bool emit_transpose(CgModule *m, CgFunc *f)
{
    const ScType *t = sc_type_of(f->sub, f->sub->out[0]);
    CgAccess a[2];
    CgSpace s;
    CgTranspose copy;
    if (!cg_access(m, f, f->sub->out[0], t->rank, t->dim, &a[0]))
        return false;
    a[1] = cg_result_access(m, f, 0);
    cg_space_init(m, &s, t->rank, t->dim, t->rank, 2, a);
    if (!cg_transposed(m, f, &a[0], s.dim, 2, &copy) || copy.count != s.outer)
        return false;
    for (uint32_t d = 0; d < s.rank; d++)
        copy.stride[d] = a[1].stride[d];
    int64_t n;
    if (sc_term_const(s.dim[copy.q], &n) && n < 4 && !cg_transpose_few(&copy))
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
    if (f->alias) {
        f->what = "view: no code";
        return true;
    }
    if (f->sub->n_out == 1 && emit_transpose(m, f))
        return true;
    if (!cg_map.emit(m, f))
        return false;
    f->what = sc_printf(m->arena, "view: copy (%s)", f->what);
    return true;
}

const CgClass cg_view = {NULL, emit};
