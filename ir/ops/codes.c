/* SPDX-License-Identifier: Apache-2.0 */
/* codes: the integers that stand for numbers in a model that is quantised, as QuantizeLinear finds
 * them, less the zero point: so 0 stands for 0, and a product of them needs no correction. */
#include "ir/ops/ops_priv.h"

#include <math.h>

enum { TO, LEAST, MOST, OF_NAN };
enum { X, SCALE };

static bool infer_codes(ScInfer *in)
{
    const int64_t least = in->attr[LEAST].i, most = in->attr[MOST].i, nan = in->attr[OF_NAN].i;
    const ScrtDtype to = in->attr[TO].dtype;
    const int64_t top = to == SCRT_U8 ? UINT8_MAX : to == SCRT_I8 ? INT8_MAX : INT16_MAX;
    const int64_t bottom = to == SCRT_U8 ? 0 : -top - 1;
    if (in->in[X]->dtype != SCRT_F32 || in->in[SCALE]->dtype != SCRT_F32 ||
        (to != SCRT_I16 && to != SCRT_I8 && to != SCRT_U8))
        return sc_infer_fail(in, SC_E_TYPE, "numbers of f32 become integers of i16, i8 or u8");
    if (!sc_term_is(sc_type_count(in->cx, in->in[SCALE]), 1) ||
        in->in[SCALE]->rank > in->in[X]->rank)
        return sc_infer_fail(in, SC_E_SHAPE, "there is one scale");
    if (least > most || least < bottom || most > top || nan < least || nan > most)
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "least, most and nan are in order and fit %s",
                             scrt_dtype_name(to));
    in->ret[0] = sc_type_with(in->cx, in->in[X], to);
    return true;
}

static bool eval_codes(ScEval *e)
{
    const ScAttr *a = e->n->attr;
    const float *x = e->in[X]->data, *scale = e->in[SCALE]->data;
    for (int64_t i = 0; i < scrt_count(&e->out[0]); i++) {
        float q = rintf(x[i] / *scale);
        q = q<(float)a[LEAST].i ? (float)a[LEAST].i : q>(float) a[MOST].i ? (float)a[MOST].i : q;
        scrt_store_int(a[TO].dtype, e->out[0].data, (size_t)i, isnan(q) ? a[OF_NAN].i : (int64_t)q);
    }
    return true;
}

/* Between whole bounds rounding may come last: added to a number whose last bit is worth 1, the
 * quotient is rounded, and the sum's last 16 bits are the integer. Two comparisons, each of which
 * lets NaN pass as the bound, are one instruction each. */
static void body_codes(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    const ScAttr *a = n->attr;
    ScX least = sc_x_const(b, (double)a[LEAST].i), most = sc_x_const(b, (double)a[MOST].i);
    double beyond = 1 + fmax(fabs((double)a[LEAST].i), fabs((double)a[MOST].i));
    ScX x = sc_x(b, SC_X_QUOTIENT, in[X], in[SCALE], sc_x_const(b, beyond));
    ScX y = SC_SELECT(b, SC_X2(b, LT, least, x), x, least);
    y = SC_SELECT(b, SC_X2(b, LT, y, most), y, most);
    if (a[OF_NAN].i != a[LEAST].i)
        y = SC_SELECT(b, SC_X2(b, EQ, x, x), y, sc_x_const(b, (double)a[OF_NAN].i));
    ret_out[0] = SC_X1(b, BITS, SC_X2(b, ADD, y, sc_x_const(b, 0x1.8p23)));
}

static void expand_codes(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                         ScVal *ret_out)
{
    const ScAttr *a = n->attr;
    (void)g;
    ScVal q = sc_op(b, round, sc_op(b, div, in[X], in[SCALE]));
    ScVal y = sc_op(b, clip, q, sc_const_scalar(b, SCRT_F32, (double)a[LEAST].i),
                    sc_const_scalar(b, SCRT_F32, (double)a[MOST].i));
    y = sc_op(b, where, sc_op(b, isnan, q), sc_const_scalar(b, SCRT_F32, (double)a[OF_NAN].i), y);
    ret_out[0] = sc_op_at(b, cast, SC_ATTRS(a[TO]), y);
}

static void top_codes(const ScTop *t)
{
    const ScAttr *a = t->n->attr;
    t->ret[0] = sc_log2_256(fmax(fabs((double)a[LEAST].i), fabs((double)a[MOST].i)));
}

static uint32_t make_codes(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    static const ScrtDtype to[] = {SCRT_I16, SCRT_I8, SCRT_U8};
    uint32_t t = (uint32_t)sc_ops_pick(r, 0, 2);
    int64_t dims[SCRT_MAX_RANK], zero = t ? t == 1 ? 128 : 0 : sc_ops_pick(r, 0, 255);
    uint32_t rank = sc_ops_shape(r, 1, 3, dims);
    ScVal x = sc_ops_input(b, "x", SCRT_F32, rank, dims);
    ScVal scale = sc_const_scalar(b, SCRT_F32, ldexp(1 + sc_ops_pick(r, 0, 99) / 100.0, -7));
    ScAttr *attr = SC_ATTRS(SC_DT(to[t]), SC_INT(-zero), SC_INT(255 - zero),
                            SC_INT(sc_ops_pick(r, 0, 1) ? -zero : 0));
    ret_out[0] = sc_op_at(b, codes, attr, x, scale);
    return 1;
}

const ScOp sc_op_codes = {
    .name = "codes",
    .doc = "x / scale, rounded to the nearest integer, of two the even one, within bounds",
    .in = "x: float, scale: float",
    .out = "y: int",
    .attr =
        {
            SC_OPS_TO,
            {.name = "least", .kind = SC_A_INT, .required = true, .doc = "no integer is below"},
            {.name = "most", .kind = SC_A_INT, .required = true, .doc = "no integer is above"},
            {.name = "nan", .kind = SC_A_INT, .required = true, .doc = "what NaN becomes"},
        },
    .n_attr = 4,
    .infer = infer_codes,
    .scale = "a, a -> _",
    .top = top_codes,
    .lower = {SC_MAP, body_codes},
    .expand = expand_codes,
    .eval = eval_codes,
    .domain = {.make = make_codes},
};
