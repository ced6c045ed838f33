/* SPDX-License-Identifier: Apache-2.0 */
/* Counts, where it is asked for, what saturates as it is stored low. A scale that is fixed when a
 * model is compiled fits the data that it was measured on; whether it fits what a program meets
 * later, only the program can tell. So each operand that a run stores by such a scale gets a state
 * of two numbers: elements above the format's largest number, and elements at all, of all runs of a
 * session. NaN is none of the former. States lie outside nested graphs, so what these store is not
 * counted, which a warning says. */
#include "passes/scale_priv.h"

#include <math.h>

static ScVal as_vector(ScScaler *s, ScVal x)
{
    const ScTerm *one = sc_term(s->b.cx, 1);
    return sc_reshaped(&s->b, x, 1, &one);
}

/* The number max * 2^t, at exponent 0. */
static ScVal ceiling(ScScaler *s, const ScTerm *t, double max)
{
    ScBuild *b = &s->b;
    const ScTerm *zero = sc_term(b->cx, 0);
    bool symbolic;
    int e = sc_scale_const_exp(t, &symbolic);
    if (!symbolic)
        return sc_const(b, sc_blob_scalar(b->cx, SCRT_F32, ldexp(max, e)), SCRT_F32, zero);
    ScVal exp = sc_op_at(b, cast, SC_ATTRS(SC_DT(SCRT_F32)),
                         sc_node1(b, &sc_op_term, SC_ATTRS(SC_TERMS(1, &t)), 0, NULL));
    ScVal two = sc_const(b, sc_blob_scalar(b->cx, SCRT_F32, 2), SCRT_F32, zero);
    ScVal top = sc_const(b, sc_blob_scalar(b->cx, SCRT_F32, max), SCRT_F32, zero);
    sc_set_exp(b, exp, zero);
    ScVal power = sc_op(b, pow, two, exp);
    sc_set_exp(b, power, zero);
    ScVal ret = sc_op(b, mul, top, power);
    sc_set_exp(b, ret, zero);
    return ret;
}

/* How many elements of x lie beyond ±max * 2^t: i64. */
static ScVal beyond(ScScaler *s, ScVal x, const ScTerm *t, double max)
{
    ScBuild *b = &s->b;
    const ScTerm *zero = sc_term(b->cx, 0), *e = sc_scale_exp(s, x);
    if (sc_built(b, x)->type->dtype != SCRT_F32) { /* which holds every other at any exponent */
        x = sc_op_at(b, cast, SC_ATTRS(SC_DT(SCRT_F32)), x);
        sc_set_exp(b, x, e);
    }
    ScVal size = sc_op(b, abs, sc_scale_move(s, x, zero, false));
    sc_set_exp(b, size, zero);
    ScVal more = sc_op(b, greater, size, ceiling(s, t, max));
    return sc_op_at(b, reduce_sum, SC_ATTRS({0}, SC_INT(0)),
                    sc_op_at(b, cast, SC_ATTRS(SC_DT(SCRT_I64)), more));
}

void sc_count_saturated(ScScaler *s, ScVal x, const ScTerm *t, double max, const char *name)
{
    ScBuild *b = &s->b;
    const ScTerm *two = sc_term(b->cx, 2);
    const ScTerm *count = sc_type_count(b->cx, sc_built(b, x)->type);
    ScVal past = sc_state(b, name, sc_type(b->cx, SCRT_I64, 1, &two), NULL, NULL);
    ScVal all = sc_node1(b, &sc_op_term, SC_ATTRS(SC_TERMS(1, &count)), 0, NULL);
    ScVal now = sc_op_at(b, concat, SC_ATTRS(SC_INT(0)), as_vector(s, beyond(s, x, t, max)),
                         as_vector(s, all));
    sc_state_next(b, past, sc_op(b, add, past, now));
}
