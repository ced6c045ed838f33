/* SPDX-License-Identifier: Apache-2.0 */
/* Operators of com.microsoft, which ONNX Runtime's optimiser writes into the models that it saves:
 * what they join is taken apart again, so that passes see one form of each thing. */
#include "frontend/frontend_priv.h"

#include <string.h>

#define OP(op, ...) sc_op(&n->im->b, op, __VA_ARGS__)
#define MICROSOFT   "com.microsoft"

/* --- Products --------------------------------------------------------------------------------- */

/* The last two axes exchanged. */
static ScVal turned(const ImNode *n, ScVal x)
{
    uint32_t rank = im_type_of(n, x)->rank;
    return rank < 2 ? x : im_moved(n, x, rank - 2, rank - 1);
}

/* The first axis moved behind the others but the last. */
static ScVal batch_turned(const ImNode *n, ScVal x)
{
    uint32_t rank = im_type_of(n, x)->rank;
    return rank < 3 ? x : im_moved(n, x, 0, rank - 2);
}

static bool matmul(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    double alpha = im_float(n, "alpha", 1, &ok);
    int64_t ta = im_int(n, "transA", 0, &ok), tb = im_int(n, "transB", 0, &ok);
    int64_t batch_a = im_int(n, "transBatchA", 0, &ok), batch_b = im_int(n, "transBatchB", 0, &ok);
    if (!ok || !im_arity(n, 2, 2) ||
        !IM_ONLY(n, "alpha", "transA", "transB", "transBatchA", "transBatchB"))
        return false;
    ScVal a = batch_a ? batch_turned(n, im_in(n, 0)) : im_in(n, 0);
    ScVal b = batch_b ? batch_turned(n, im_in(n, 1)) : im_in(n, 1);
    ScVal y = OP(matmul, ta ? turned(n, a) : a, tb ? turned(n, b) : b);
    return im_answer(alpha == 1 ? y : OP(mul, y, im_scalar(n, im_type(n, 0)->dtype, alpha)),
                     ret_out);
}

/* Parameter i of an activation: FusedConv has a list of them, FusedGemm an attribute each. */
static double parameter(const ImNode *n, uint32_t i, double def, bool *ok)
{
    static const char *const name[] = {"activation_alpha", "activation_beta"};
    const Onnxpb__Attribute *all = im_attr(n, "activation_params");
    if (all)
        return i < all->n_floats ? (double)all->floats[i] : def;
    return im_float(n, name[i], def, ok);
}

/* y through what attribute `activation` names. */
static ScVal activated(const ImNode *n, ScVal y)
{
    ScBuild *b = &n->im->b;
    bool ok = true;
    const char *f = im_str(n, "activation", "", &ok);
    ScrtDtype t = im_type(n, 0)->dtype;
    if (!ok || y == SC_POISON)
        return SC_POISON;
    if (!*f)
        return y;
    if (!strcmp(f, "Relu"))
        return OP(relu, y);
    if (!strcmp(f, "Tanh"))
        return OP(tanh, y);
    if (!strcmp(f, "Sigmoid"))
        return OP(sigmoid, y);
    if (!strcmp(f, "LeakyRelu"))
        return sc_op_at(b, leaky_relu, SC_ATTRS(SC_FLOAT(parameter(n, 0, 0.01, &ok))), y);
    if (!strcmp(f, "Clip"))
        return OP(clip, y, im_scalar(n, t, parameter(n, 0, -3.402823466e38, &ok)),
                  im_scalar(n, t, parameter(n, 1, 3.402823466e38, &ok)));
    if (!strcmp(f, "HardSigmoid")) {
        double alpha = parameter(n, 0, 0.2, &ok), beta = parameter(n, 1, 0.5, &ok);
        return sc_op_at(b, hard_sigmoid, SC_ATTRS(SC_FLOAT(alpha), SC_FLOAT(beta)), y);
    }
    sc_fail(b->cx, n->loc, SC_E_ATTRIBUTE, "\"activation\" is \"%s\"", f);
    return SC_POISON;
}

/* The fourth operand is added before the activation. */
static bool conv(const ImNode *n, ScVal *ret_out)
{
    ScVal y;
    ImNode plain = *n;
    plain.n_in = im_has(n, 2) ? 3 : 2;
    if (!im_arity(n, 2, 4) || !IM_ONLY(n, IM_CONV_ATTRS, "activation", "activation_params") ||
        !im_conv(&plain, &y))
        return false;
    return im_answer(activated(n, im_has(n, 3) ? OP(add, y, im_in(n, 3)) : y), ret_out);
}

static bool gemm(const ImNode *n, ScVal *ret_out)
{
    ScVal y;
    return im_arity(n, 2, 3) &&
           IM_ONLY(n, IM_GEMM_ATTRS, "activation", "activation_alpha", "activation_beta",
                   "activation_gamma") &&
           im_gemm(n, &y) && im_answer(activated(n, y), ret_out);
}

/* --- Activations ------------------------------------------------------------------------------ */

static bool gelu_of(const ImNode *n, uint32_t most, const char *form, ScVal *ret_out)
{
    if (!im_arity(n, 1, most) || !IM_ONLY(n))
        return false;
    ScVal x = im_has(n, 1) ? OP(add, im_in(n, 0), im_in(n, 1)) : im_in(n, 0);
    ScVal one = im_scalar(n, im_type(n, 0)->dtype, 1);
    return im_answer(im_build(n, &sc_op_gelu,
                              IM_SET({"approximate", SC_STR(sc_intern(n->im->cx, form))}),
                              IM_IN(x, one)),
                     ret_out);
}

static bool gelu(const ImNode *n, ScVal *ret_out)
{
    return gelu_of(n, 1, "none", ret_out);
}

static bool bias_gelu(const ImNode *n, ScVal *ret_out)
{
    return gelu_of(n, 2, "none", ret_out);
}

static bool fast_gelu(const ImNode *n, ScVal *ret_out)
{
    return gelu_of(n, 2, "tanh", ret_out);
}

static bool quick_gelu(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    double alpha = im_float(n, "alpha", 1.702, &ok);
    if (!ok || !im_arity(n, 1, 1) || !IM_ONLY(n, "alpha"))
        return false;
    return im_answer(OP(silu, im_in(n, 0), im_scalar(n, im_type(n, 0)->dtype, alpha)), ret_out);
}

/* --- Normalisations --------------------------------------------------------------------------- */

static ScVal epsilon(const ImNode *n, double def, bool *ok)
{
    return im_epsilon(n, im_type(n, 0)->dtype, def, ok);
}

/* Results 1 and 2, statistics for training, are none of inference. */
static bool only_result(const ImNode *n, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        if (im_wanted(n, i))
            return sc_fail(n->im->cx, n->loc, SC_E_UNSUPPORTED, "%s with result %u", n->pb->op_type,
                           i);
    return true;
}

/* The normalisation of input + skip (+ bias), and that sum as the fourth result. */
static bool skip_norm(const ImNode *n, bool rms, ScVal *ret_out)
{
    bool ok = true;
    uint32_t bias = rms ? 3 : 4;
    ScVal eps = epsilon(n, rms ? 1e-6 : 1e-12, &ok), y;
    if (!ok || !im_arity(n, 3, bias + 1) || !IM_ONLY(n, "epsilon") || !only_result(n, 1, 3))
        return false;
    ScVal sum = OP(add, im_in(n, 0), im_in(n, 1));
    sum = im_has(n, bias) ? OP(add, sum, im_in(n, bias)) : sum;
    if (rms)
        y = im_build(n, &sc_op_rmsnorm, IM_SET({"axis", SC_INT(-1)}), IM_IN(sum, im_in(n, 2), eps));
    else
        y = im_build(n, &sc_op_layernorm, IM_SET({"axis", SC_INT(-1)}),
                     IM_IN(sum, im_in(n, 2), im_in(n, 3), eps));
    for (uint32_t i = 1; i < n->n_out; i++)
        ret_out[i] = sum; /* only the fourth is read */
    return im_answer(y, ret_out);
}

static bool skip_layernorm(const ImNode *n, ScVal *ret_out)
{
    return skip_norm(n, false, ret_out);
}

static bool skip_rmsnorm(const ImNode *n, ScVal *ret_out)
{
    return skip_norm(n, true, ret_out);
}

static bool rmsnorm(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    int64_t axis = im_int(n, "axis", -1, &ok);
    ScVal eps = epsilon(n, 1e-5, &ok);
    if (!ok || !im_arity(n, 2, 2) || !IM_ONLY(n, "axis", "epsilon", "stash_type") ||
        !only_result(n, 1, 2))
        return false;
    ScrtDtype t = im_type(n, 0)->dtype, to = im_type(n, 1)->dtype;
    ScrtDtype in = t == to ? t : SCRT_F32;
    ScVal y = im_build(n, &sc_op_rmsnorm, IM_SET({"axis", SC_INT(axis)}),
                       IM_IN(im_cast(n, im_in(n, 0), in), im_cast(n, im_in(n, 1), in), eps));
    return im_answer(im_cast(n, y, to), ret_out);
}

/* Rows of three tables, of words, positions and segments, added up and normalised; how many words
 * the mask leaves; the sum. */
enum { WORDS, SEGMENTS, WORD_TABLE, PLACE_TABLE, SEGMENT_TABLE, GAMMA, BETA, MASK, PLACES };

static bool embed(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    const int64_t last = 1;
    ScVal eps = im_epsilon(n, im_type(n, WORD_TABLE)->dtype, 1e-12, &ok);
    const int64_t counts = im_int(n, "mask_index_type", im_has(n, MASK), &ok);
    const ScType *t = im_type(n, WORDS);
    if (!ok || !IM_ONLY(n, "epsilon", "mask_index_type") || !im_arity(n, 1, 9))
        return false;
    if (t->rank != 2 || !im_has(n, WORD_TABLE) || !im_has(n, PLACE_TABLE) || !im_has(n, BETA) ||
        im_has(n, SEGMENTS) != im_has(n, SEGMENT_TABLE) || counts > 1)
        return sc_fail(cx, n->loc, SC_E_UNSUPPORTED,
                       "words of rank %u, \"mask_index_type\" %lld, or a table is missing", t->rank,
                       (long long)counts);
    ScVal at = im_has(n, PLACES) ? im_in(n, PLACES) : im_iota(n, t->dim[1], 0);
    ScVal sum = OP(add, im_gather(n, im_in(n, WORD_TABLE), 0, im_in(n, WORDS)),
                   im_gather(n, im_in(n, PLACE_TABLE), 0, at));
    if (im_has(n, SEGMENTS))
        sum = OP(add, sum, im_gather(n, im_in(n, SEGMENT_TABLE), 0, im_in(n, SEGMENTS)));
    ret_out[0] = im_build(n, &sc_op_layernorm, IM_SET({"axis", SC_INT(-1)}),
                          IM_IN(sum, im_in(n, GAMMA), im_in(n, BETA), eps));
    ScVal zero = im_expand(n, im_scalar(n, SCRT_I32, 0), 1, t->dim);
    ScVal words =
        im_has(n, MASK) && counts
            ? im_reduce(n, &sc_op_reduce_sum, im_cast(n, im_in(n, MASK), SCRT_I32), 1, &last, false)
            : zero;
    ScVal rest[] = {words, sum};
    for (uint32_t i = 1; i < n->n_out; i++)
        ret_out[i] = rest[i - 1];
    return ret_out[0] != SC_POISON && sum != SC_POISON;
}

const ImAdapter im_fused_adapters[] = {
    {MICROSOFT, "FusedMatMul", 1, 0, matmul, 1},
    {MICROSOFT, "FusedConv", 1, 0, conv, 1},
    {MICROSOFT, "FusedGemm", 1, 0, gemm, 1},
    {MICROSOFT, "Gelu", 1, 0, gelu, 1},
    {MICROSOFT, "BiasGelu", 1, 0, bias_gelu, 1},
    {MICROSOFT, "FastGelu", 1, 0, fast_gelu, 1},
    {MICROSOFT, "QuickGelu", 1, 0, quick_gelu, 1},
    {MICROSOFT, "EmbedLayerNormalization", 1, 0, embed, 3},
    {MICROSOFT, "SkipLayerNormalization", 1, 0, skip_layernorm, 4},
    {MICROSOFT, "SkipSimplifiedLayerNormalization", 1, 0, skip_rmsnorm, 4},
    {MICROSOFT, "SimplifiedLayerNormalization", 1, 0, rmsnorm, 2},
    {"", "SimplifiedLayerNormalization", 1, 0, rmsnorm, 2},
    {NULL, NULL, 0, 0, NULL, 0},
};
