/* SPDX-License-Identifier: Apache-2.0 */
/* Scale propagation, shared by scalify.c, quantize.c and settle.c:
 *
 *   scale_facts.c  what is true of each value: `any`, demand, sign, convex, masked
 *   rewrite.c      one node: bind the signature, bring operands into line, build, read off
 *   growth.c       the estimate of log2 RMS that travels beside the exponent
 *
 * The rules are those of SCALES; each file says which part it transcribes. */
#ifndef SC_SCALE_PRIV_H
#define SC_SCALE_PRIV_H

#include "passes/passes_priv.h"

/* --- Facts ----------------------------------------------------------------------------------- */

/* What the elements of a constant are. Magnitudes are those of the finite nonzero ones. */
typedef struct ScConstFacts {
    size_t count, n;   /* elements; finite nonzero ones */
    double rms;        /* over these; 0 where there are none */
    double amax, amin; /* largest and smallest magnitude; 0 where there are none */
    uint32_t distinct; /* different values among all elements, counted up to 3; NaN is one */
    bool not_finite;   /* some element is infinite or NaN */
    bool nonneg;       /* no element is negative or NaN */
    bool measured;
} ScConstFacts;
/* NULL where the blob has no data. Measured once a session. */
const ScConstFacts *sc_const_facts(ScCtx *cx, const ScBlob *blob);

typedef enum ScAny {
    SC_ANY_NOT,
    SC_ANY_ALONE, /* a single number of mask size: `any` as an operand of SC_ANY_SINGLE rows */
    SC_ANY_VALUE, /* `any` whoever looks at it */
} ScAny;

typedef struct ScFact { /* of one value */
    ScAny any;
    bool big;     /* `any`, and more than zeros: elements of mask size or not finite */
    bool product; /* `any` as the product with a finite mask: its operands are taken at 0 */
    bool masked;  /* such a mask is among its ancestors up to the next op that ends it */
    bool nonneg;  /* no element is below 0 */
    bool convex;  /* weights that sum to 1 */
    int32_t top;  /* 256 log2 of what no element's magnitude exceeds, or SC_NO_TOP */
    bool wants0;  /* demand: computed in the original numbers */
    bool constant;
    const ScConstFacts *c; /* of float constants with data, else NULL */
} ScFact;
/* [n_value], in a. Exponents play no part: the table of a scaled graph is that of the plain one. */
ScFact *sc_scale_facts(const ScGraph *g, ScArena *a);
/* Whether operand i of n is `any` there. */
bool sc_operand_any(const ScFact *f, const ScNode *n, uint32_t i);

/* --- The rewrite of one node ----------------------------------------------------------------- */

typedef struct ScScaler { /* one pass over graph g, which need not be scaled */
    ScBuild b;
    ScArena *scratch;
    const ScGraph *g;
    const ScFact *fact; /* of g's values */
    ScVal *env;         /* [n_value] old value -> new value */
    ScVal *past;        /* [n_state] the new states; env may have what one was moved to */
    /* Constants do not vote under an ellipsis and move unless that over- or underflows: the rule
     * where exponents are recomputed. */
    bool constants_follow;
    /* What the model itself stores in 8 bits or fewer is meant in its own numbers: such results and
     * their operands are taken at 0. */
    bool low_at_0;
    uint8_t *lean;      /* [n_value] see ScGrow; sc_growth fills it in */
    bool unnamed;       /* what is built gets no names: something else will stand for it */
    const bool *is_out; /* [n_value] a graph output: its name goes to what becomes the output */
    /* Set before sc_scaler_begin, or NULL: [n_state] the type that state i has instead of its own,
     * at exponent 0, where it is not NULL; and next values of these, before sc_scaler_end. */
    const ScType *const *state_type;
    const ScVal *state_next;
    const ScSymbols *measured; /* exponents that a run finds; NULL: none */
} ScScaler;

/* Begins a graph of g's name, file and source with its inputs, states, poison and absent in env.
 * exp(s, v) gives the exponent of input or state v. */
void sc_scaler_begin(ScScaler *s, ScCtx *cx, const ScGraph *g,
                     const ScTerm *(*exp)(ScScaler *s, ScVal v, void *arg), void *arg);
/* Brings outputs and next states to their exponents, and names them. out_exp: output i's exponent,
 * NULL: as it is. flags: of the new graph. Finishes s either way. */
ScGraph *sc_scaler_end(ScScaler *s, const ScTerm *(*out_exp)(ScScaler *s, uint32_t i),
                       uint32_t flags);
/* The node on new operands and nested graphs, which it takes over (as sc_node does), with its
 * names; what becomes an output is named at the end. */
void sc_scale_build(ScScaler *s, const ScNode *n, ScGraph *const *sub, const ScVal *in,
                    ScVal *ret_out);

/* Builds node n of s->g on the new values in[n_in], sets exponents and names; operands that do not
 * have the exponent that the signature wants are rebalanced. ret_data [n_in] receives the operands
 * as rebalanced, ret_out [n_out] the results. A bias that its format has no room for at the
 * product's exponent is added behind it, in the original numbers, which the result then has. */
void sc_scale_node(ScScaler *s, const ScNode *n, const ScVal *in, ScVal *ret_data, ScVal *ret_out);
/* Node n as it stands in s->g, with the exponents and annotations it has there; operands are those
 * of env, brought to the exponents that n's have. */
void sc_scale_copy(ScScaler *s, const ScNode *n);
/* Gives new value v the annotations that old value `old` has, brought to v's exponent. */
void sc_scale_annotate(ScScaler *s, ScVal v, ScVal old);
/* Constant n of s->g as round_dtype(blob * 2^-exp); exp NULL where it is no float. */
ScVal sc_scale_const(ScScaler *s, const ScNode *n, ScrtDtype dtype, const ScTerm *exp);
/* v, which is `any` or not, at exponent t. Finite elements of an `any` value never become infinite.
 */
ScVal sc_scale_move(ScScaler *s, ScVal v, const ScTerm *t, bool any);
/* The exponent of a new value; 0 for poison. */
const ScTerm *sc_scale_exp(ScScaler *s, ScVal v);
/* x times a factor whose exponent is 0, at x's. */
ScVal sc_scale_times(ScScaler *s, ScVal x, ScVal factor);
/* t's value where it is constant and fits an int, else 0 and *ret_symbolic set (may be NULL). */
int sc_scale_const_exp(const ScTerm *t, bool *ret_symbolic);

/* --- Samples --------------------------------------------------------------------------------- */

/* calibrate.c: whether a sample says anything: inputs have elements and no NaN. False with
 * SC_E_INPUT. */
bool sc_sample_speaks(ScCtx *cx, const ScGraph *g, const ScrtTensor *in);

/* probe_inputs.c: the sizes of g's symbols with which it is probed, [*ret_n], freed with
 * sc_buf_free. */
ScBinding *sc_nominal_sizes(const ScGraph *g, uint32_t *ret_n);

/* levels.c: the names of g's values in statistics: their printed ones, behind `prefix`, which is
 * empty but for a nested graph. [n_value] */
const char *const *sc_stat_labels(const ScGraph *g, const char *prefix, ScArena *a);
/* The prefix of nested graph number k, from 0, of the graph that has `prefix`: "1/", "1/3/". They
 * are counted over the nodes of a graph in their order. */
const char *sc_nested_prefix(const char *prefix, uint32_t k, ScArena *a);
/* calibrate.c: the statistics of g from stat [n], which live as long as cx. */
const ScStats *sc_stats_of(ScCtx *cx, const ScGraph *g, ScStat *stat, uint32_t n);

/* means.c: the axis of operand 0 along which a product sums what its constant weight multiplies. */
typedef struct ScSummed {
    uint32_t behind; /* axes behind it */
    int64_t n;       /* its extent; 0: there is none */
    int64_t group;   /* parts of it that a convolution keeps apart */
} ScSummed;
/* False where n is no product whose operand 1 is a matrix or filters. */
bool sc_summed_axis(const ScGraph *g, const ScNode *n, ScSummed *ret);
/* Of each value as such an operand, [n_value], in a: where several products disagree, of the first.
 */
const ScSummed *sc_summed_values(const ScGraph *g, ScArena *a);
/* The means x [s->n] of such a value: they live as long as cx. In bf16's precision, so that files
 * have few digits and the order of a sum is not seen. */
const ScMeans *sc_means(ScCtx *cx, const ScSummed *s, const double *x);

/* --- What a recipe says of one node ----------------------------------------------------------- */

typedef struct ScSite {
    ScrtDtype operand[SC_MAX_IN]; /* in what each may be stored; F32: leave alone */
    ScGranularity scale;
    ScSource source;
} ScSite;
/* recipe.c: some ONNX node that n came from has a name that this shell pattern matches. */
bool sc_is_named(const ScNode *n, const char *pattern);
/* recipe.c: of node n of g under env's recipe (NULL: all f32). met [n_rule]: what matched; may be
 * NULL. */
ScSite sc_site(const ScPassEnv *env, const ScGraph *g, const ScNode *n, bool *met);

/* --- Exponents that a run finds: rescale.c ---------------------------------------------------- */

/* Of each value where its exponent comes from: SC_DYNAMIC or SC_DELAYED where it is measured once
 * it is known. [n_value], in a. met [recipe->n_rescale]: which patterns found a node. */
const ScSource *sc_rescale_points(const ScGraph *g, const ScFact *fact, const ScPassEnv *env,
                                  ScArena *a, bool *met);
/* saturation.c: adds to a state of this name how many elements of x, which is about to be stored at
 * exponent t, lie beyond ±max * 2^t, and how many there are. */
void sc_count_saturated(ScScaler *s, ScVal x, const ScTerm *t, double max, const char *name);
/* cache.c: it only orders or rebalances the elements of operand 0. */
bool sc_keeps_elements(const ScNode *n);
typedef struct ScCached {
    bool *state; /* [n_state] it grows, is wider than the format, and is only appended to */
    bool *value; /* [n_value] what such a state holds, in whatever order, and was appended to */
} ScCached;
/* v is of floats of more bits than the format's. */
bool sc_is_wider(const ScGraph *g, ScVal v, ScrtDtype fmt);
/* high [n_state]: it stays as it is. */
void sc_find_cached(const ScGraph *g, ScrtDtype fmt, const bool *high, ScArena *a, ScCached *ret);
/* The result of n, a value of ScCached, as stored: of low [n_value], which has such operands of it;
 * the others are cast. */
ScVal sc_cached_node(ScScaler *s, const ScNode *n, ScrtDtype fmt, const ScVal *low);
/* The new value x at the exponent that a run finds for it, which sym is bound to. known: one for
 * data that has nothing but zeros, and for the first runs of a history. */
ScVal sc_rescaled(ScScaler *s, ScVal x, const ScTerm *sym, int64_t known);
/* The same by the largest magnitudes that earlier runs met, kept in a state of this name. */
ScVal sc_rescaled_by_history(ScScaler *s, ScVal x, const ScTerm *sym, int64_t known,
                             const char *name, const ScRecipe *r);
/* Adds the symbols that g itself so binds to s, each with the value that it was found for, or of
 * whose former data: that value is neither a view nor a rebalance. */
void sc_find_measured(const ScGraph *g, ScSymbols *s, ScArena *a);
/* Where v is such a value of g at its exponent, or a view of one, what brings the largest magnitude
 * as near to what fmt holds as whole bits can, where a cast to it saturates; else NULL. s: of g
 * alone. */
const ScTerm *sc_measured_exp(const ScGraph *g, const ScSymbols *s, ScVal v, ScrtDtype fmt);
/* Product n has operand 0 by rows: each has the scale of its own that a run finds. */
bool sc_by_rows(const ScGraph *g, const ScNode *n, const ScSite *site);
/* x, operand 0 of such a product, as codes of format t, and the factor that its rows of the result
 * are multiplied by. */
ScVal sc_row_codes(ScScaler *s, ScVal x, ScrtDtype t, ScVal *ret_factor);

/* --- Stored weights -------------------------------------------------------------------------- */

/* quantize.c: the least e with amax * 2^-e <= max: nothing is clipped, and no smaller one could say
 * so. */
int sc_fit_exp(double amax, double max);
/* channels.c: what a product's result may be multiplied by, so that its operands may be divided. */
typedef struct ScScaledProduct {
    bool can;                   /* it may: there is no bias, or one that can be divided too */
    uint32_t rank, trailing;    /* of the weight; extents of the result behind its channels */
    int64_t dim[SCRT_MAX_RANK]; /* of the weight, [rank] */
    int64_t channels, inner;    /* 0: no constant weight; elements behind a channel's index */
    int bias;                   /* operand, or -1 */
    double all;                 /* the factor: of all, */
    const float *unit;          /* and of each channel; NULL: none */
    ScSummed summed;            /* of operand 0 */
    const ScMeans *means;       /* along it; NULL: not known, or the bias could not take it back */
    double *moved;              /* [channels] what the rounding of the weight adds to the result on
                                 * average; NULL: not known */
} ScScaledProduct;
void sc_product_of(const ScGraph *g, const ScNode *n, ScScaledProduct *ret);
/* The number that suits each channel of weight b of p in format f: the best factor times the least
 * power of two that clips nothing. NULL where one is out of range. */
const float *sc_channel_units(ScScaler *s, const ScBlob *b, const ScScaledProduct *p,
                              const ScrtFormat *f);
/* Weight 1 of n in format fmt, each channel divided by what suits it best: a number that leaves
 * as p's unit. SC_ABSENT where that cannot be. */
ScVal sc_channel_weight(ScScaler *s, const ScNode *n, ScrtDtype fmt, ScScaledProduct *p);
/* What the result is multiplied by, channel c of it; 1 where there is no factor. */
double sc_product_factor_at(const ScScaledProduct *p, size_t c);
/* The same as a constant; SC_ABSENT where there is none. */
ScVal sc_product_factor(ScScaler *s, const ScScaledProduct *p);
/* The blob of a constant of floats, whatever its exponent, else NULL. */
const ScBlob *sc_float_blob(const ScGraph *g, ScVal v);

/* strips.c: a weight of p by channel, at most 32 bits an element: n strips of `width` channels, at
 * most SC_RUN. */
typedef struct ScStrips {
    const ScBlob *b;
    size_t channels, inner; /* elements behind a channel's index */
    size_t width, n;
} ScStrips;
ScStrips sc_strips(const ScBlob *b, const ScScaledProduct *p);
/* Calls body for each strip, as sc_each does. */
void sc_strips_each(const ScStrips *s, void (*body)(void *arg, size_t strip), void *arg);
/* Elements of a strip that lie together: of one channel each where inner is 1, else all of one. */
enum { SC_RUN = 64 };
typedef struct ScRun {
    size_t first, past;  /* channels of the strip */
    size_t ahead;        /* bytes to a run that is read soon */
    size_t at, n;        /* elements, n at most SC_RUN */
    size_t c, in, outer; /* of the first: its channel, its place there, how often all came before */
} ScRun;
/* Before the first run of a strip; the next one, in the order of memory, or false. */
ScRun sc_run_begin(const ScStrips *s, size_t strip);
bool sc_run_next(const ScStrips *s, ScRun *r);
void sc_run_load(const ScBlob *b, const ScRun *r, float *ret); /* [SC_RUN] */
/* What is said of a run of n elements, which mostly is a constant: vectors then. */
#define SC_ON_RUN(n, f, ...) ((n) == SC_RUN ? f(SC_RUN, __VA_ARGS__) : f(n, __VA_ARGS__))
#define SC_RUN_BODY          static inline __attribute__((always_inline))

/* means.c: the weight b of p, node's, was rounded to fmt, each channel divided by its unit, which
 * gave these codes, else (NULL) all by 2^exp: sets p->moved where the means are known. */
void sc_find_moved(ScScaler *s, const ScNode *node, const ScBlob *b, ScrtDtype fmt,
                   const unsigned char *code, int exp, ScScaledProduct *p);
/* Whether the bias, divided by p's factor, would be too large for f32: it stands behind the product
 * then. */
bool sc_bias_is_far(const ScGraph *g, ScVal bias, const ScScaledProduct *p);
/* p's bias, a constant of the old graph, less what the rounding adds, for a product whose result is
 * multiplied by p's factor; SC_ABSENT where it stays as it is or there is none. */
ScVal sc_product_bias(ScScaler *s, ScVal bias, const ScScaledProduct *p);
/* Operand k of n is such a bias. */
bool sc_takes_back(const ScGraph *g, const ScNode *n, uint32_t k);
/* y, the result of a p, with its bias (a constant, or SC_ABSENT) less what the rounding adds behind
 * it; at exponent 0. */
ScVal sc_moved_back(ScScaler *s, ScVal bias, const ScScaledProduct *p, ScVal y);

/* blocks.c: product n with its weight in blocks, in the original numbers, a bias added; activations
 * in blocks too where their format is low; row_bits: see ScRecipe. SC_ABSENT where the weight is no
 * constant matrix. */
ScVal sc_block_product(ScScaler *s, const ScNode *n, ScrtDtype weight, ScrtDtype activation,
                       uint32_t row_bits);

/* factor.c: the power of numbers by their mantissa. power [SC_MANTISSAS]. */
enum { SC_MANTISSA_BITS = 7, SC_MANTISSAS = 1 << SC_MANTISSA_BITS, SC_N_FACTOR = 32 };
typedef struct ScFactors { /* of a format: what each factor costs at each mantissa */
    float error[SC_MANTISSAS][SC_N_FACTOR];
} ScFactors;
void sc_factors_init(ScFactors *ret, uint32_t man_bits);
void sc_mantissas_add(float *power, double x);
double sc_factor_at(uint32_t k); /* in [1, 2) */
/* Which factor makes the least squared error of numbers divided by it; *ret_gain: by how many dB
 * less than factor 1 does. other (may be NULL): of other numbers; of the two gains the lesser one
 * counts. */
uint32_t sc_factor_best(const ScFactors *f, const float *power, const float *other,
                        double *ret_gain);

/* --- Growth ---------------------------------------------------------------------------------- */

/* The estimate for the results of node n in 1/256 (SC_NO_G: none), from the operands as rebalanced
 * (data [n_in], new values), and the term to add to each result's exponent for symbolic extents
 * (NULL: none). */
void sc_growth(ScScaler *s, const ScNode *n, const ScVal *data, int32_t *ret_g,
               const ScTerm **ret_shift);
/* How many bits an estimate moves: 0 while |g| <= 1/2, else sign(g) * ceil(|g| - 1/2). */
int64_t sc_growth_bits(int32_t g);
/* The paper's gain of a sum: floor(floor(log2 n) / 2) of the n terms that result 0 of n adds up, or
 * NULL where the row adds nothing up. */
const ScTerm *sc_growth_down(const ScGraph *g, const ScNode *n);

/* What value v is where it was rounded to codes in blocks and made of them again; else SC_ABSENT.
 * switch.c. */
ScVal sc_rounded_in_blocks(const ScGraph *g, ScVal v);
/* The same where v are codes of rows, each with a scale, by which somebody multiplies later. */
ScVal sc_rounded_by_rows(const ScGraph *g, ScVal v);
/* What y is operand 0 divided by, a factor between powers of two, as quantize does before a cast
 * (SCALES, activations of such products). 1: it is not. damage.c. */
double sc_divided_by(const ScGraph *g, ScVal y);

#endif
