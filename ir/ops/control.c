/* SPDX-License-Identifier: Apache-2.0 */
/* What is no kernel but a step of the program: symbols bound to what only a run knows. */
#include "ir/ops/ops_priv.h"

/* --- bind ------------------------------------------------------------------------------------ */

enum { AS };

static bool infer_bind(ScInfer *in)
{
    const ScAttr *as = &in->attr[AS];
    const ScType *x = in->in[0];
    int64_t count;
    if (!sc_term_const(sc_type_count(in->cx, x), &count) || count != as->n)
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "`as` must have a symbol for each element");
    bool has_sign = scrt_dtype_kind(x->dtype) == SCRT_KIND_INT;
    for (uint32_t i = 0; i < as->n; i++) {
        if (as->ts[i]->kind != SC_T_SYM || sc_term_overflowed(as->ts[i]))
            return sc_infer_fail(in, SC_E_ATTRIBUTE, "`as` must be symbols");
        sc_sym_bound(in->cx, as->ts[i]->sym, (ScRange){has_sign ? INT64_MIN : 0, INT64_MAX});
    }
    in->ret_content[0] = as->ts;
    return sc_infer_same(in);
}

static bool eval_bind(ScEval *e)
{
    for (int64_t i = 0; i < scrt_count(e->in[0]); i++)
        sc_ops_move(&e->out[0], i, e->in[0], i);
    return true;
}

static uint32_t make_bind(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t n = sc_ops_pick(r, 1, 4);
    const ScTerm *as[4];
    for (int64_t i = 0; i < n; i++)
        as[i] = sc_term_sym(b->cx, sc_intern(b->cx, (const char *[]){"d0", "d1", "d2", "d3"}[i]));
    ScVal x = sc_ops_input(b, "x", SCRT_I64, 1, &n);
    ret_out[0] = sc_op_at(b, bind, SC_ATTRS(SC_TERMS((uint32_t)n, as)), x);
    return 1;
}

const ScOp sc_op_bind = {
    .name = "bind",
    .doc = "x, its elements bound to the symbols in `as`",
    .in = "x: int",
    .out = "y: int",
    .attr = {{.name = "as", .kind = SC_A_TERMS, .required = true, .doc = "a symbol an element"}},
    .n_attr = 1,
    .flags = SC_BINDS,
    .infer = infer_bind,
    .lower = {SC_STEP},
    .eval = eval_bind,
    .domain = {.make = make_bind},
};
