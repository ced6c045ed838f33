/* SPDX-License-Identifier: Apache-2.0 */
/* measure: the exponent that suits the data which a run meets. It brings the largest magnitude to
 * 7 to 14. 14 is 1.75 * 2^3, and 1.75 * 2^k is the largest number of both FP8 formats, so that
 * whole bits more bring it to the end of a format's range exactly: 5 bits to 448, 12 to 57344; and
 * the RMS of what looks like a normal distribution is then about 1. With `bind` and `rebalance`
 * this is the dynamic rescaling of the Scalify paper: SCALES, Exponents that a run finds. */
#include "ir/ops/ops_priv.h"

#include <string.h>

enum { ZERO, MARGIN };

enum {
    PAST_1_75 = 0x1fffff, /* added to the bits of an f32 it carries where the mantissa is larger */
    BIAS = 127 + 3,       /* of f32's exponent; 1.75 * 2^3 */
    MANTISSA = 23,
};

static bool infer_measure(ScInfer *in)
{
    if (scrt_dtype_bits(in->in[0]->dtype) > 32 || scrt_dtype_is_low(in->in[0]->dtype))
        return sc_infer_fail(in, SC_E_TYPE, "f32, f16 and bf16 are measured, not %s",
                             scrt_dtype_name(in->in[0]->dtype));
    for (uint32_t i = ZERO; i <= MARGIN; i++)
        if (in->attr[i].i < -SC_MEASURE_LIMIT || in->attr[i].i > SC_MEASURE_LIMIT)
            return sc_infer_fail(in, SC_E_ATTRIBUTE, "%s %lld is not %d to %d",
                                 in->op->attr[i].name, (long long)in->attr[i].i, -SC_MEASURE_LIMIT,
                                 SC_MEASURE_LIMIT);
    in->ret[0] = sc_type(in->cx, SCRT_I64, 0, NULL);
    in->ret[1] = sc_type(in->cx, SCRT_F32, 0, NULL);
    return true;
}

static bool eval_measure(ScEval *e)
{
    const ScrtTensor *x = e->in[0];
    double amax = 0;
    int k;
    for (int64_t i = 0; i < scrt_count(x); i++) {
        double m = fabs(scrt_load((ScrtDtype)x->dtype, x->data, (size_t)i));
        amax = isfinite(m) && m > amax ? m : amax;
    }
    double m = frexp(amax / 14, &k); /* in [0.5, 1): the least power of two above is 2^k */
    k -= m == 0.5;
    k = k < -SC_MEASURE_LIMIT ? -SC_MEASURE_LIMIT : k > SC_MEASURE_LIMIT ? SC_MEASURE_LIMIT : k;
    k = amax > 0 ? k + (int)sc_attr(e->n, MARGIN)->i : (int)sc_attr(e->n, ZERO)->i;
    memcpy(e->out[0].data, &(int64_t){k}, sizeof(int64_t));
    memcpy(e->out[1].data, &(float){(float)amax}, sizeof(float));
    return true;
}

static ScVal largest(ScBuild *b, ScVal x)
{
    const ScType *t = sc_built(b, x)->type;
    int64_t axes[SCRT_MAX_RANK];
    for (uint32_t d = 0; d < t->rank; d++)
        axes[d] = d;
    if (t->rank == 0)
        return x;
    x = sc_op_at(b, reduce_max, SC_ATTRS(SC_INTS(1, &axes[t->rank - 1]), SC_INT(0)), x);
    if (t->rank > 1) /* rows first, which threads share */
        x = sc_op_at(b, reduce_max, SC_ATTRS(SC_INTS(t->rank - 1, axes), SC_INT(0)), x);
    return x;
}

static ScVal int_const(ScBuild *b, int64_t x)
{
    return sc_const_scalar(b, SCRT_I64, (double)x);
}

static void expand_measure(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                           ScVal *ret_out)
{
    (void)g;
    ScrtDtype t = sc_built(b, in[0])->type->dtype;
    ret_out[0] = ret_out[1] = SC_POISON;
    if (sc_built(b, in[0])->type->kind == SC_TYPE_POISON)
        return;
    ScVal none = sc_const_scalar(b, t, 0), m = sc_op(b, abs, in[0]);
    ScVal finite = sc_op(b, less_or_equal, m, sc_const_scalar(b, t, scrt_format(t)->max));
    m = sc_op(b, max, largest(b, sc_op(b, where, finite, m, none)), none); /* of no element: -inf */
    m = t == SCRT_F32 ? m : sc_op_at(b, cast, SC_ATTRS(SC_DT(SCRT_F32)), m);
    ScVal bits = sc_op_at(b, bit_cast, SC_ATTRS(SC_DT(SCRT_I32)), m);
    ScVal e =
        sc_op(b, add, sc_op_at(b, cast, SC_ATTRS(SC_DT(SCRT_I64)), bits), int_const(b, PAST_1_75));
    e = sc_op(b, sub, sc_op(b, div, e, int_const(b, (int64_t)1 << MANTISSA)), int_const(b, BIAS));
    e = sc_op(b, min, sc_op(b, max, e, int_const(b, -SC_MEASURE_LIMIT)),
              int_const(b, SC_MEASURE_LIMIT));
    e = sc_op(b, add, e, int_const(b, sc_attr(n, MARGIN)->i));
    ScVal some = sc_op(b, less, sc_const_scalar(b, SCRT_F32, 0), m);
    ret_out[0] = sc_op(b, where, some, e, int_const(b, sc_attr(n, ZERO)->i));
    ret_out[1] = m;
}

static uint32_t make_measure(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    static const ScrtDtype of[] = {SCRT_F32, SCRT_F16, SCRT_BF16};
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 0, 3, dims);
    ScVal x = sc_ops_input(b, "x", of[sc_ops_pick(r, 0, 2)], rank, dims);
    ScVal by = sc_const_scalar(b, sc_built(b, x)->type->dtype, ldexp(1, (int)sc_ops_pick(r, 0, 9)));
    x = sc_op(b, mul, x, by);
    sc_node(b, &sc_op_measure, SC_ATTRS(SC_INT(sc_ops_pick(r, 0, 9)), SC_INT(sc_ops_pick(r, 0, 2))),
            NULL, 1, &x, 2, ret_out);
    return 2;
}

const ScOp sc_op_measure = {
    .name = "measure",
    .doc =
        "the exponent e, -64 to 64, for which 2^e times 7 to 14 is x's largest finite magnitude; "
        "and that",
    .in = "x: float",
    .out = "e: int, amax: float",
    .attr = {{.name = "zero",
              .kind = SC_A_INT,
              .def = SC_INT(0),
              .doc = "e where no element is finite and not 0"},
             {.name = "margin", .kind = SC_A_INT, .def = SC_INT(0), .doc = "added to e"}},
    .n_attr = 2,
    .flags = SC_MEASURES,
    .infer = infer_measure,
    .scale = "0 -> _, 0",
    .expand = expand_measure,
    .eval = eval_measure,
    .domain = {.make = make_measure},
};
