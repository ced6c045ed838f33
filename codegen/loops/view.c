/* SPDX-License-Identifier: Apache-2.0 */
/* VIEW kernels. Where the result lies in the operand (program/places.c) there is no code; else the
 * elements are copied. */
#include "codegen/loops/loops.h"

typedef struct View {
    bool turns; /* elements change places along the last dim: tile by tile into the result */
    CgTranspose copy;
    void *map; /* the loop of other copies */
} View;

static bool plan_transpose(CgModule *m, CgFunc *f, View *k)
{
    const ScType *t = sc_type_of(f->sub, f->sub->out[0]);
    CgAccess a[2];
    CgSpace s;
    if (!cg_access(m, f, f->sub->out[0], t->rank, t->dim, &a[0]))
        return false;
    a[1] = cg_result_access(m, f, 0);
    cg_space_init(m, &s, t->rank, t->dim, t->rank, 2, a);
    k->turns = cg_transposed(m, f, &a[0], s.dim, &a[1], &k->copy) && k->copy.count == s.outer;
    return true;
}

static bool plan(CgModule *m, CgFunc *f, CgShape *ret)
{
    View *k = sc_new(m->plans, View);
    f->loop = k;
    if (f->alias)
        return true;
    if (f->sub->n_out == 1 && !plan_transpose(m, f, k))
        return false;
    cg_shape_word(ret, k->turns);
    if (k->turns) {
        cg_transpose_shape(f, ret, &k->copy);
        return true;
    }
    bool ok = cg_map.plan(m, f, ret);
    k->map = f->loop;
    f->loop = k;
    return ok;
}

static void emit_transpose(CgModule *m, CgFunc *f, const CgTranspose *copy)
{
    LLVMValueRef body = cg_transpose_body(m, f, copy, "turn");
    Cg cg;
    cg_begin_entry(&cg, m, f);
    cg_transpose_run(&cg, copy, body);
    cg_end_fn(&cg);
    const char *pairs = copy->atom > 1 ? sc_printf(m->arena, " x %u", copy->atom) : "";
    f->what = sc_printf(m->arena, "view: transpose, tiles of %u%s", copy->w, pairs);
}

static bool emit(CgModule *m, CgFunc *f)
{
    View *k = f->loop;
    if (f->alias) {
        f->what = "view: no code";
    } else if (k->turns) {
        emit_transpose(m, f, &k->copy);
    } else {
        f->loop = k->map;
        if (!cg_map.emit(m, f))
            return false;
        f->what = sc_printf(m->arena, "view: copy (%s)", f->what);
    }
    return true;
}

const CgClass cg_view = {.plan = plan, .emit = emit};
