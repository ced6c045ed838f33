/* SPDX-License-Identifier: Apache-2.0 */
/* VIEW kernels. Where the elements lie in order already the result is the operand's buffer and
 * there is no code; else they are copied. */
#include "codegen/codegen_priv.h"

bool cg_is_dense(CgModule *m, const ScView *v)
{
    const ScTerm *stride = sc_term(m->cx, 1);
    for (uint32_t d = v->rank; d-- > 0;) {
        if (!sc_term_is(v->dim[d], 1) && v->stride[d] != stride)
            return false;
        stride = sc_term_mul(m->cx, stride, v->dim[d]);
    }
    return sc_term_is(v->offset, 0);
}

static bool emit(CgModule *m, CgFunc *f)
{
    ScView view;
    ScVal root;
    bool one = f->sub->n_out == 1 && cg_view_of(m, f->sub, f->sub->out[0], &view, &root);
    if (one && f->sub->n_in == 1 && root == f->sub->in[0] && cg_is_dense(m, &view)) {
        f->alias = true;
        f->what = "view: no code";
        return true;
    }
    if (!cg_map.emit(m, f))
        return false;
    f->what = sc_printf(m->arena, "view: copy (%s)", f->what);
    return true;
}

const CgClass cg_view = {"view", NULL, emit};
