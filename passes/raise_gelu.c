/* SPDX-License-Identifier: Apache-2.0 */
/* Gelu with the error function or the hyperbolic tangent, its factors in any order. */
#include <math.h>

#include "passes/match.h"

/* v is x times about c, however it is written. */
static bool scaled(ScMatch *m, ScVal v, ScVal x, double c)
{
    ScProduct p = {.c = 1, .whole = x};
    match_product(m, v, &p, 0);
    return p.n == 1 && p.factor[0] == x && match_near(m, p.c, c);
}

/* v is about c times the k-th power of x. */
static bool cubic(ScMatch *m, ScVal v, ScVal x, double c)
{
    ScProduct p = {.c = 1, .whole = x};
    ScVal base;
    match_product(m, v, &p, 0);
    if (p.n == 1 && match_near(m, p.c, c))
        return match_with_const(m, p.factor[0], &sc_op_pow, 3, &base) && base == x;
    return p.n == 3 && match_near(m, p.c, c) && p.factor[0] == x && p.factor[1] == x &&
           p.factor[2] == x;
}

/* v is erf(x / sqrt 2), or tanh(sqrt(2 / pi) (x + 0.044715 x^3)); *ret_tanh: the second. */
static bool gelu_gate(ScMatch *m, ScVal v, ScVal x, bool *ret_tanh)
{
    ScNode f, sum;
    if (match_is(m, v, &sc_op_erf, &f)) {
        *ret_tanh = false;
        return scaled(m, f.in[0], x, M_SQRT1_2);
    }
    *ret_tanh = true;
    ScProduct p = {.c = 1};
    if (!match_is(m, v, &sc_op_tanh, &f))
        return false;
    match_product(m, f.in[0], &p, 0);
    if (p.n != 1 || !match_near(m, p.c, sqrt(2 / M_PI)) ||
        !match_is(m, p.factor[0], &sc_op_add, &sum))
        return false;
    return (sum.in[0] == x && cubic(m, sum.in[1], x, 0.044715)) ||
           (sum.in[1] == x && cubic(m, sum.in[0], x, 0.044715));
}

/* v without the constants that it is multiplied with or divided by. */
static ScVal unscaled(ScMatch *m, ScVal v)
{
    ScNode n;
    double c;
    while (match_is(m, v, &sc_op_mul, &n) || match_is(m, v, &sc_op_div, &n)) {
        if (sc_built_splat(&m->b, n.in[1], &c))
            v = n.in[0];
        else if (n.op == &sc_op_mul && sc_built_splat(&m->b, n.in[0], &c))
            v = n.in[1];
        else
            break;
    }
    return v;
}

/* What x may be, as the gate has it: [2], poison where there is none. */
static void gate_operands(ScMatch *m, ScVal gate, ScVal *ret)
{
    ScNode f, sum;
    ret[0] = ret[1] = SC_POISON;
    if (match_is(m, gate, &sc_op_erf, &f)) {
        ret[0] = unscaled(m, f.in[0]);
    } else if (match_is(m, gate, &sc_op_tanh, &f) &&
               match_is(m, unscaled(m, f.in[0]), &sc_op_add, &sum)) {
        ret[0] = sum.in[0];
        ret[1] = sum.in[1];
    }
}

/* n is x (1 + gate x) / 2, the factors in any order. */
static bool gelu_of(ScMatch *m, ScVal x, bool *ret_tanh)
{
    ScProduct p = {.c = 1, .whole = x};
    ScVal gate;
    match_begin(m);
    match_product(m, m->in[0], &p, 0);
    match_product(m, m->in[1], &p, 0);
    if (p.n != 2 || !match_near(m, p.c, 0.5) || (p.factor[0] != x && p.factor[1] != x))
        return false;
    ScVal other = p.factor[p.factor[0] == x];
    return match_with_const(m, other, &sc_op_add, 1, &gate) && gelu_gate(m, gate, x, ret_tanh);
}

static ScVal gelu(ScMatch *m)
{
    ScProduct p = {.c = 1};
    bool tanh_form;
    match_product(m, m->in[0], &p, 0);
    match_product(m, m->in[1], &p, 0);
    for (uint32_t i = 0; i < p.n; i++) {
        ScVal gate, x[2];
        if (!match_with_const(m, p.factor[i], &sc_op_add, 1, &gate))
            continue;
        gate_operands(m, gate, x);
        for (uint32_t k = 0; k < 2; k++) {
            if (x[k] == SC_POISON || !gelu_of(m, x[k], &tanh_form))
                continue;
            ScVal beta = sc_const_scalar(&m->b, match_type(m, x[k])->dtype, 1);
            ScAttr form = {.kind = SC_A_NONE};
            if (tanh_form)
                form = SC_STR(sc_intern(m->b.cx, "tanh"));
            return sc_op_at(&m->b, gelu, SC_ATTRS(form), x[k], beta);
        }
    }
    return SC_POISON;
}

const ScIdiom sc_idioms_gelu[] = {
    {"gelu", &sc_op_mul, gelu},
    {NULL, NULL, NULL},
};
