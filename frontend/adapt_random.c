/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers: functions of a key and of an element's place. The key is made of the node's seed,
 * of which node it is, and of a number that a state of the program counts, so that each run draws
 * others, and a program that begins anew the same. In a loop's body the turn comes in too. */
#include "frontend/frontend_priv.h"

#include <string.h>

typedef struct Draw { /* what is drawn for one node */
    const ImNode *n;
    ScVal key, key2, at; /* u32; at: [shape] the elements' places */
    uint32_t drawn;      /* numbers of each element so far */
    ScrtDtype real;      /* what is computed in: f64 or f32 */
} Draw;

static ScVal word(const ImNode *n, uint32_t x)
{
    return sc_const_scalar(&n->im->b, SCRT_U32, x);
}

/* --- Keys ------------------------------------------------------------------------------------ */

bool im_draws(const Onnxpb__Graph *g)
{
    for (size_t i = 0; i < g->n_node; i++) {
        const Onnxpb__Node *n = g->node[i];
        const ImAdapter *a = im_adapter(im_domain(n->domain), im_node_op(n), IM_MAX_OPSET);
        if (a && a->draws)
            return true;
        for (size_t k = 0; k < n->n_attribute; k++)
            if (n->attribute[k]->g && im_draws(n->attribute[k]->g))
                return true;
    }
    return false;
}

const char *im_run_name(ScCtx *cx)
{
    return sc_intern_n(cx, "\0run", 4);
}

ScVal im_run(Import *im)
{
    ScBuild *b = &im->b;
    ScVal run;
    if (im_names_get(im->names, im_run_name(im->cx), &run))
        return run;
    if (im->depth) /* nothing told that this graph draws */
        return SC_POISON;
    run = sc_state(b, "random", sc_type(im->cx, SCRT_U32, 0, NULL), NULL, NULL);
    sc_state_next(b, run, sc_op(b, add, run, sc_const_scalar(b, SCRT_U32, 1)));
    im_names_define(im->root, im_run_name(im->cx), run);
    return run;
}

void im_count_turns(const ImNode *n, ImNames *scope, ScVal turn)
{
    ScVal run;
    if (!im_names_get(scope, im_run_name(n->im->cx), &run))
        return;
    ScVal each =
        sc_op(&n->im->b, threefry, im_cast(n, turn, SCRT_U32), word(n, 1), run, word(n, 0));
    im_names_set(scope, im_run_name(n->im->cx), each);
}

/* The attribute: a float, but for Dropout. */
static uint32_t seed_of(const ImNode *n, bool *ok)
{
    const float seed = (float)im_float(n, "seed", 0, ok);
    uint32_t bits;
    memcpy(&bits, &seed, sizeof bits);
    return bits;
}

/* Begins to draw elements of these extents. */
static Draw draw(const ImNode *n, uint32_t seed, ScrtDtype dtype, uint32_t rank,
                 const ScTerm *const *dim)
{
    Import *im = n->im;
    ScBuild *b = &im->b;
    Draw d = {.n = n, .real = im_at_least_f32(dtype)};
    ScVal run = im_run(im), node = word(n, im->n_drawn++), of = word(n, seed);
    d.key = sc_op(b, threefry, run, word(n, 0), of, node);
    d.key2 = sc_op(b, threefry, run, word(n, 1), of, node);
    const ScTerm *count = sc_term(im->cx, 1);
    for (uint32_t i = 0; i < rank; i++)
        count = sc_term_mul(im->cx, count, dim[i]);
    d.at = im_reshape(n, im_cast(n, im_iota(n, count, 0), SCRT_U32), rank, dim);
    return d;
}

/* --- Numbers --------------------------------------------------------------------------------- */

static ScVal bits_of(Draw *d)
{
    ScVal drawn = word(d->n, d->drawn++);
    return sc_op(&d->n->im->b, threefry, d->at, drawn, d->key, d->key2);
}

static ScVal real(const Draw *d, double x)
{
    return sc_const_scalar(&d->n->im->b, d->real, x);
}

/* In [0, 1): as many of 32 bits as the type holds exactly. */
static ScVal uniform(Draw *d)
{
    ScBuild *b = &d->n->im->b;
    const uint32_t lost = d->real == SCRT_F64 ? 0 : 8;
    ScVal bits = bits_of(d);
    if (lost)
        bits = sc_op_at(b, bit_shift, SC_ATTRS(SC_STR(sc_intern(b->cx, "RIGHT"))), bits,
                        word(d->n, lost));
    return sc_op(b, mul, im_cast(d->n, bits, d->real), real(d, lost ? 0x1p-24 : 0x1p-32));
}

/* Box and Muller: sqrt(-2 ln u) cos(2 pi v), u above 0. */
static ScVal normal(Draw *d)
{
    ScBuild *b = &d->n->im->b;
    ScVal u = sc_op(b, add, im_cast(d->n, bits_of(d), d->real), real(d, 0.5));
    ScVal log_u = sc_op(b, log, sc_op(b, mul, u, real(d, 0x1p-32)));
    ScVal angle = sc_op(b, mul, uniform(d), real(d, 6.283185307179586));
    return sc_op(b, mul, sc_op(b, sqrt, sc_op(b, mul, log_u, real(d, -2))), sc_op(b, cos, angle));
}

/* --- Operators ------------------------------------------------------------------------------- */

/* The element type of the result: attribute dtype, else `like`'s; NONE after sc_fail. */
static ScrtDtype result_type(const ImNode *n, ScrtDtype like, bool *ok)
{
    ScrtDtype t = (ScrtDtype)im_int(n, "dtype", like, ok);
    if (*ok && scrt_dtype_bits(t) == 0)
        *ok = sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"dtype\" is no element type: %d", t);
    return t;
}

/* offset + by x, in type `to`. */
static bool placed(Draw *d, ScVal x, double offset, double by, ScrtDtype to, ScVal *ret_out)
{
    ScBuild *b = &d->n->im->b;
    x = sc_op(b, add, sc_op(b, mul, x, real(d, by)), real(d, offset));
    return im_answer(im_cast(d->n, x, to), ret_out);
}

static bool random_of(const ImNode *n, bool is_normal, ScrtDtype to, uint32_t rank,
                      const ScTerm *const *dim, ScVal *ret_out)
{
    bool ok = true;
    double a = im_float(n, is_normal ? "mean" : "low", 0, &ok);
    double b = im_float(n, is_normal ? "scale" : "high", 1, &ok);
    uint32_t seed = seed_of(n, &ok);
    if (!ok)
        return false;
    if (!scrt_dtype_is_float(to))
        return sc_fail(n->im->cx, n->loc, SC_E_TYPE, "random numbers are floats, not %s",
                       scrt_dtype_name(to));
    Draw d = draw(n, seed, to, rank, dim);
    return placed(&d, (is_normal ? normal : uniform)(&d), a, is_normal ? b : b - a, to, ret_out);
}

static bool random_shaped(const ImNode *n, bool is_normal, ScVal *ret_out)
{
    bool ok = true;
    uint32_t rank;
    const int64_t *shape = im_ints(n, "shape", &rank, &ok);
    ScrtDtype to = result_type(n, SCRT_F32, &ok);
    const ScTerm *dim[SCRT_MAX_RANK];
    if (!ok || !im_arity(n, 0, 0))
        return false;
    if (!shape || rank > SCRT_MAX_RANK)
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"shape\" of %u extents", rank);
    for (uint32_t d = 0; d < rank; d++) {
        dim[d] = sc_term(n->im->cx, shape[d]);
        if (shape[d] < 0)
            return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"shape\" has the extent %lld",
                           (long long)shape[d]);
    }
    return random_of(n, is_normal, to, rank, dim, ret_out);
}

static bool random_normal(const ImNode *n, ScVal *ret_out)
{
    return IM_ONLY(n, "dtype", "mean", "scale", "seed", "shape") && random_shaped(n, true, ret_out);
}

static bool random_uniform(const ImNode *n, ScVal *ret_out)
{
    return IM_ONLY(n, "dtype", "low", "high", "seed", "shape") && random_shaped(n, false, ret_out);
}

static bool random_like(const ImNode *n, bool is_normal, ScVal *ret_out)
{
    bool ok = im_arity(n, 1, 1);
    const ScType *t = im_type(n, 0);
    ScrtDtype to = ok ? result_type(n, t->dtype, &ok) : SCRT_DTYPE_NONE;
    return ok && random_of(n, is_normal, to, t->rank, t->dim, ret_out);
}

static bool random_normal_like(const ImNode *n, ScVal *ret_out)
{
    return IM_ONLY(n, "dtype", "mean", "scale", "seed") && random_like(n, true, ret_out);
}

static bool random_uniform_like(const ImNode *n, ScVal *ret_out)
{
    return IM_ONLY(n, "dtype", "low", "high", "seed") && random_like(n, false, ret_out);
}

/* 1 with probability x. */
static bool bernoulli(const ImNode *n, ScVal *ret_out)
{
    bool ok = im_arity(n, 1, 1) && IM_ONLY(n, "dtype", "seed");
    const ScType *t = im_type(n, 0);
    ScrtDtype to = ok ? result_type(n, t->dtype, &ok) : SCRT_DTYPE_NONE;
    uint32_t seed = seed_of(n, &ok);
    if (!ok)
        return false;
    Draw d = draw(n, seed, t->dtype, t->rank, t->dim);
    ScVal hit = sc_op(&n->im->b, less, uniform(&d), im_cast(n, im_in(n, 0), d.real));
    return im_answer(im_cast(n, hit, to), ret_out);
}

/* Classes drawn for each row of unnormalised log-probabilities x [batch, class]: the first whose
 * running sum of probabilities is above a uniform number. */
static bool multinomial(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    ScCtx *cx = n->im->cx;
    bool ok = im_arity(n, 1, 1) && IM_ONLY(n, "dtype", "sample_size", "seed");
    const int64_t samples = im_int(n, "sample_size", 1, &ok), last = -1, middle = 1;
    const ScType *t = im_type(n, 0);
    ScrtDtype to = ok ? result_type(n, SCRT_I32, &ok) : SCRT_DTYPE_NONE;
    uint32_t seed = seed_of(n, &ok);
    if (!ok)
        return false;
    if (t->rank != 2 || samples < 1)
        return sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "%lld samples of rank %u", (long long)samples,
                       t->rank);
    const ScTerm *dim[] = {t->dim[0], sc_term(cx, samples), sc_term(cx, 1)};
    Draw d = draw(n, seed, t->dtype, 3, dim);
    ScVal p = sc_op(b, softmax, im_cast(n, im_in(n, 0), d.real), real(&d, 1));
    p = im_build(n, &sc_op_cumsum, IM_SET({"axis", SC_INT(1)}), IM_IN(p));
    ScVal total = im_slice(n, p, 1, sc_term_addc(cx, t->dim[1], -1), NULL);
    ScVal below =
        im_build(n, &sc_op_unsqueeze, IM_SET({"axes", SC_INTS(1, &middle)}),
                 IM_IN(im_slice(n, p, 1, sc_term(cx, 0), sc_term_addc(cx, t->dim[1], -1))));
    total = im_build(n, &sc_op_unsqueeze, IM_SET({"axes", SC_INTS(1, &middle)}), IM_IN(total));
    ScVal passed = sc_op(b, less_or_equal, below, sc_op(b, mul, uniform(&d), total));
    return im_answer(im_reduce(n, &sc_op_reduce_sum, im_cast(n, passed, to), 1, &last, false),
                     ret_out);
}

/* --- Dropout --------------------------------------------------------------------------------- */

bool im_drop(const ImNode *n, ScVal ratio, ScVal *ret_y, ScVal *ret_mask)
{
    ScBuild *b = &n->im->b;
    const ScType *t = im_type(n, 0);
    bool ok = true;
    uint32_t seed = (uint32_t)im_int(n, "seed", 0, &ok);
    Draw d = draw(n, seed, t->dtype, t->rank, t->dim);
    ScVal rate = im_cast(n, im_reshape(n, ratio, 0, NULL), d.real);
    ScVal kept = sc_op(b, not, sc_op(b, less, uniform(&d), rate));
    ScVal by = sc_op(b, div, real(&d, 1), sc_op(b, sub, real(&d, 1), rate));
    ScVal y = sc_op(b, mul, im_cast(n, im_in(n, 0), d.real), by);
    *ret_y = im_cast(n, sc_op(b, where, kept, y, real(&d, 0)), t->dtype);
    *ret_mask = kept;
    return ok && *ret_y != SC_POISON;
}

const ImAdapter im_random_adapters[] = {
    {"", "RandomNormal", 1, 0, random_normal, 1, .draws = true},
    {"", "RandomUniform", 1, 0, random_uniform, 1, .draws = true},
    {"", "RandomNormalLike", 1, 0, random_normal_like, 1, .draws = true},
    {"", "RandomUniformLike", 1, 0, random_uniform_like, 1, .draws = true},
    {"", "Bernoulli", 15, 0, bernoulli, 1, .draws = true},
    {"", "Multinomial", 7, 0, multinomial, 1, .draws = true},
    {NULL, NULL, 0, 0, NULL, 0, 0},
};
