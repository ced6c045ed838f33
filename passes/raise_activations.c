/* SPDX-License-Identifier: Apache-2.0 */
/* Activations that multiply x with a gate of x: silu and hard_swish. */
#include <math.h>

#include "passes/match.h"

/* x sigmoid(x), or x sigmoid(beta x) of a number beta. */
static ScVal silu(ScMatch *m)
{
    for (uint32_t i = 0; i < 2; i++) {
        ScVal x = m->in[1 - i];
        ScNode gate;
        match_begin(m);
        if (!match_is(m, m->in[i], &sc_op_sigmoid, &gate))
            continue;
        ScProduct p = {.c = 1, .whole = x};
        match_product(m, gate.in[0], &p, 0);
        if (p.n != 1 || p.factor[0] != x)
            continue;
        ScVal beta = sc_const_scalar(&m->b, match_type(m, x)->dtype, p.c);
        return sc_op(&m->b, silu, x, beta);
    }
    return SC_POISON;
}

/* v is x + 3 bounded to [0, 6], by a clip or by relu and min. */
static bool gate_of_6(ScMatch *m, ScVal v, ScVal x)
{
    ScNode clip, relu;
    ScVal sum, base;
    if (match_is(m, v, &sc_op_clip, &clip)) {
        double lo, hi;
        if (clip.n_in < 3 || !sc_built_splat(&m->b, clip.in[1], &lo) ||
            !sc_built_splat(&m->b, clip.in[2], &hi) || lo != 0 || hi != 6)
            return false;
        sum = clip.in[0];
    } else if (match_with_const(m, v, &sc_op_min, 6, &sum) &&
               match_is(m, sum, &sc_op_relu, &relu)) {
        sum = relu.in[0];
    } else {
        return false;
    }
    return match_with_const(m, sum, &sc_op_add, 3, &base) && base == x;
}

/* v is x / 6 + 1/2 bounded to [0, 1]. */
static bool gate_of_1(ScMatch *m, ScVal v, ScVal x)
{
    ScNode n;
    return match_is(m, v, &sc_op_hard_sigmoid, &n) && n.in[0] == x &&
           match_near(m, sc_attr_named(&n, "alpha")->f, 1.0 / 6) &&
           match_near(m, sc_attr_named(&n, "beta")->f, 0.5);
}

/* Two factors, x and its gate, in any order, and a sixth where the gate goes up to 6. */
static ScVal hard_swish(ScMatch *m)
{
    ScProduct p = {.c = 1};
    match_begin(m);
    match_product(m, m->in[0], &p, 0);
    if (m->n->op == &sc_op_mul) {
        match_product(m, m->in[1], &p, 0);
    } else {
        double by;
        if (!sc_built_splat(&m->b, m->in[1], &by))
            return SC_POISON;
        p.c /= by;
    }
    for (uint32_t i = 0; p.n == 2 && i < 2; i++) {
        ScVal x = p.factor[i], gate = p.factor[1 - i];
        if ((match_near(m, p.c, 1) && gate_of_1(m, gate, x)) ||
            (match_near(m, p.c, 1.0 / 6) && gate_of_6(m, gate, x)))
            return sc_op(&m->b, hard_swish, x);
    }
    return SC_POISON;
}

const ScIdiom sc_idioms_activations[] = {
    {"silu", &sc_op_mul, silu},
    {"hard_swish", &sc_op_mul, hard_swish},
    {"hard_swish, divided", &sc_op_div, hard_swish},
    {NULL, NULL, NULL},
};
