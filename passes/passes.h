/* SPDX-License-Identifier: Apache-2.0 */
/* Passes: const ScGraph * in, a new graph out. One row a pass says what it needs and gives; the
 * pipeline runs them in order and checks every step. */
#ifndef SC_PASSES_H
#define SC_PASSES_H

#include "ir/op.h"

/* --- Recipes: which formats, where ----------------------------------------------------------- */

/* What has a scale of its own: a tensor, at a power of two; each output channel of a weight, at any
 * number (activations then may have a factor between powers of two, where samples ask for it); or
 * each 32 numbers along the sum, of weights and of activations, whose scales the run finds. What
 * cannot be by blocks, convolutions and products without a constant matrix, is FP8 by channel. */
typedef enum ScGranularity { SC_BY_RECIPE, SC_BY_TENSOR, SC_BY_CHANNEL, SC_BY_BLOCK } ScGranularity;

/* Where the exponent of an activation that is stored low comes from: what is known when the model
 * is compiled (ScScales); what the run measures of the tensor, or of each row of what a product
 * contracts along its last axis (other operands: of the tensor); or what earlier runs measured,
 * which the session keeps in states. */
typedef enum ScSource {
    SC_SOURCE_UNSAID,
    SC_STATIC,
    SC_DYNAMIC,
    SC_DYNAMIC_ROWS,
    SC_DELAYED,
} ScSource;

ScSource
sc_source_named(const char *name); /* "dynamic-rows"; SC_SOURCE_UNSAID: none is so called */

typedef struct ScRecipeRule { /* the last rule whose pattern matches an origin's name wins */
    const char *pattern;  /* shell pattern (fnmatch) over the names of ONNX nodes, or of tensors */
    bool site;            /* of tensors: they are stored so by all nodes, whatever layers say */
    ScrtDtype operand[2]; /* storage of activations, of constants; F32: leave alone */
    ScGranularity scale;  /* SC_BY_RECIPE: as the recipe says */
    ScSource source;      /* SC_SOURCE_UNSAID: likewise */
} ScRecipeRule;

typedef struct ScRecipe {
    const char *name;
    ScrtDtype activation; /* of quantizable operands that are no constants; F32: leave alone */
    ScrtDtype weight;     /* of quantizable operands that are constants */
    ScGranularity scale;  /* SC_BY_RECIPE is SC_BY_TENSOR */
    ScrtDtype cache;      /* of what states hold that grow; SCRT_DTYPE_NONE: as the model has it */
    bool round_down;      /* the paper's rules instead of growth: see SCALES */
    bool keep_bias;       /* biases do not take back what rounded weights add on average */
    uint32_t row_bits;    /* of the integers that few rows beside weights of 4 bits may be rounded
                           * to: 8, 16; 0: f32 */
    uint32_t n_rule;
    const ScRecipeRule *rule;
    ScSource source;            /* SC_SOURCE_UNSAID is SC_STATIC */
    int64_t window, margin;     /* of SC_DELAYED: runs that are remembered, at least 1; bits kept
                                 * free above what they held */
    uint32_t n_rescale;         /* shell patterns over ONNX node names: what these nodes give is */
    const char *const *rescale; /* measured, and the exponent found travels on from there */
} ScRecipe;
/* A built-in one by name (f32, f16, bf16, fp8, fp8-weights) or a file; NULL with SC_E_RECIPE. What
 * a later version adds is refused by name, never ignored. */
const ScRecipe *sc_recipe(ScCtx *cx, const char *name_or_path);
/* Whether it stores activations in a format with a range so narrow that their size matters. */
bool sc_recipe_stores_low(const ScRecipe *r);
/* Whether some activation's exponent is static, so that samples or a probe have something to say.
 */
bool sc_recipe_is_static(const ScRecipe *r, ScSource source);
bool sc_recipe_is_plain(const ScRecipe *r);          /* every value is stored as in the model */
void sc_recipe_print(const ScRecipe *r, ScStr *out); /* as a recipe file */

/* --- Statistics of sample inputs ------------------------------------------------------------- */

typedef struct ScStat {   /* of one value of the graph that scalify receives */
    const char *name;     /* the value's printed name in that graph, without the leading % */
    double rms, amax;     /* over the finite elements of all samples; zeros included */
    double factor;        /* in [1, 2): divided by it they are best stored in FP8 E4M3, */
    double gain;          /* and by how many dB better than as they are; 0, 0: not measured */
    const ScMeans *means; /* of what a product with constant weights sums; NULL: not measured */
    uint64_t n_finite;
} ScStat;
typedef struct ScStats {
    uint32_t n;
    const ScStat *stat; /* sorted by name */
    uint64_t graph;     /* hash of the graph they were measured on */
} ScStats;
/* Accumulates over samples given one at a time with the graph's inputs; runs the evaluator. */
typedef struct ScCalibrator ScCalibrator;
ScCalibrator *sc_calibrate_begin(ScCtx *cx, const ScGraph *g);
/* ret_out [n_out]: the outputs, each data freed with scrt_free; NULL: nobody wants them. */
bool sc_calibrate_add(ScCalibrator *c, const ScrtTensor *in, ScrtTensor *ret_out);
const ScStats *sc_calibrate_end(ScCalibrator *c); /* frees c; the result lives as long as cx */
/* The same without samples, from runs on synthetic inputs of two kinds, SC_PROBE_NOISE and
 * SC_PROBE_RAMP: sizes are of both, means and factors what both confirm. sc_probe_graph: raised
 * with outputs that measure before its own; sc_probe_inputs: its inputs [n_in], each data freed
 * with scrt_free even where it fails (SC_E_INPUT: what an input means is not known);
 * sc_probe_stats: what the outputs of a run say, and those of the other (NULL: there was none, and
 * no means are known). */
typedef enum ScProbeKind { SC_PROBE_NOISE, SC_PROBE_RAMP } ScProbeKind;
ScGraph *sc_probe_graph(ScCtx *cx, const ScGraph *raised);
bool sc_probe_inputs(ScCtx *cx, const ScGraph *raised, ScProbeKind kind, ScrtTensor *ret_in);
/* Whether both runs tell means and factors: not where the model is given a number that it compares
 * with others, such as a rate, since that decides what it does, and nobody knows which ones it
 * meets; nor of a waveform, whose spectrum nobody knows. */
bool sc_probe_confirms(const ScGraph *raised);
/* Whether it is known how large all inputs of floats are, about: else the ramps are small. */
bool sc_probe_knows_size(const ScGraph *raised);
/* Input i, integers that choose parts of tables: the fewest parts that one has. 0: unknown. */
int64_t sc_index_limit(const ScGraph *g, uint32_t i);
const ScStats *sc_probe_stats(ScCtx *cx, const ScGraph *raised, const ScrtTensor *out,
                              const ScrtTensor *ramp);
/* The readable file: a line a value. */
void sc_stats_print(const ScStats *s, ScStr *out);
const ScStats *sc_stats_parse(ScCtx *cx, const char *file, const char *text); /* NULL with errors */

/* --- What the data looks like ---------------------------------------------------------------- */

/* A graph, or one that is nested in it; values of them all are numbered through. */
typedef struct ScLevel {
    const ScGraph *g;
    ScVal first;        /* its value v has the number first + v; 0 for the graph itself */
    const char *prefix; /* of names of its values: "", "1/", "1/3/": see sc_stat_labels */
    uint32_t outer;     /* the level that it is nested in */
    uint32_t node, sub; /* there: graph number `sub` of this node */
} ScLevel;
/* The graph, then what is nested in it, in the order of nodes and depth first: [*ret_n] in a. */
const ScLevel *sc_levels(const ScGraph *g, ScArena *a, uint32_t *ret_n);
uint32_t sc_count_values(const ScGraph *g); /* of all levels */
/* The level of value number v. */
const ScLevel *sc_level_of(const ScLevel *l, uint32_t n, ScVal v);

/* One float value of a graph, or of one nested in it over all its turns, over all samples given.
 * Data is what is stored; the value stands for data * 2^exp. Elements that are not finite are left
 * out of rms and amax, and of sqnr where the reference is not finite. */
typedef struct ScReport {
    ScVal v;          /* numbered through: see ScLevel */
    const char *name; /* the value's own name, or that of the value it is a stored form of; or the
                       * printed one */
    const ScLoc *loc;
    const ScType *type;
    const ScTerm *exp; /* NULL in a graph that is not scaled */
    int32_t g;         /* what scalify expected, as of the value */
    bool constant;
    double rms, amax; /* of the data, zeros included */
    double underflow; /* share of elements that became 0 though the reference is not 0 */
    double saturated; /* share of elements at the largest magnitude of a low precision format */
    double sqnr;      /* dB against the reference, infinite where equal, minus infinite where a
                       * number became none; NaN: no reference */
    double rounding;  /* dB of what is stored in fewer bits against its own operand (a constant
                       * against its blob): the rounding here alone; NaN: not stored so */
    double factor;    /* dB of that which a factor between powers of two gains, beside the power of
                       * two alone, of a constant its channels' factors; NaN: it has none */
    const uint64_t *octave; /* [n_octave] of the numbers that were rounded into storage, how many
                             * have a magnitude of 2^(octave_first + i) to twice that; what is
                             * beyond is counted at the ends, 0 nowhere. NULL: not stored so */
    uint32_t n_octave;
    int octave_first;
    bool outside; /* stored narrow, and some saturate or much of the data is subnormal: its RMS
                   * lies below 2^4 times the least normal number */
} ScReport;

/* Measures g on samples, beside the reference graph ref (NULL: none), which must have the same
 * inputs; values are matched by name and count of elements, nested graphs by the node that they are
 * in and turns by their order. Both graphs must outlive it. */
typedef struct ScDamage ScDamage;
ScDamage *sc_damage_begin(ScCtx *cx, const ScGraph *g, const ScGraph *ref);
/* Runs one sample through the evaluator; false with errors in cx. */
bool sc_damage_add(ScDamage *d, const ScrtTensor *in);
/* The reports of all float values, of constants only those in low precision (beside their blob), in
 * graph order; frees d. They live as long as cx. */
const ScReport *sc_damage_end(ScDamage *d, uint32_t *ret_n);

/* The storage sites of g and of what is nested in it, numbered through: values rounded to fewer
 * bits that are operands of products, codes of weights in blocks and what blocks were made of among
 * them. [*ret_n] in a. The same graph with an input more for each, in this order: a bool, true
 * where that site keeps its operand's f32 (exponents and the rest of the arithmetic are those of
 * g). NULL with errors. */
const ScVal *sc_storage_sites(const ScGraph *g, ScArena *a, uint32_t *ret_n);
ScGraph *sc_switched_graph(ScCtx *cx, const ScGraph *g);
/* The value with a name that v is the stored form of: below casts, rebalances and what they divide
 * by before; v where it has a name itself, else what lies deepest. */
ScVal sc_stored_of(const ScGraph *g, ScVal v);
/* Whether operand k of n reads a storage site where it is one. */
bool sc_reads_site(const ScGraph *g, const ScNode *n, uint32_t k);

/* [g->n_value] 256 log2 of a magnitude that no element of the value represented exceeds, whatever
 * the inputs are, as far as rows can prove it; SC_NO_TOP elsewhere. Nested graphs are left out. */
const int32_t *sc_ceilings(const ScGraph *g, ScArena *a);

/* How many products of g and of what is nested in it have a bias that takes back what the rounding
 * of their weights adds on average. */
uint32_t sc_count_corrected(const ScGraph *g);

/* Appends to out why a tensor of g or of a graph nested in it (by its printed name, behind the
 * level's prefix or without it, else its ONNX name) has the exponent that it has: a line a value,
 * operands that the exponent comes from below it and indented. False with SC_E_TENSOR where there
 * is no such tensor or it has no exponent. */
bool sc_why(ScCtx *cx, const ScGraph *g, const char *tensor, ScStr *out);

/* The same a step at a time: the line of value v of g, and the operands that its exponent comes
 * from, which are valid until the next step; how many. */
typedef struct ScWhySteps ScWhySteps;
ScWhySteps *sc_why_begin(const ScGraph *g);
uint32_t sc_why_step(ScWhySteps *w, ScVal v, ScStr *out, ScVal **ret_from);
void sc_why_end(ScWhySteps *w);

/* --- Passes ---------------------------------------------------------------------------------- */

/* Where exponents come from: estimates alone; statistics of samples; statistics of runs on
 * synthetic inputs. */
typedef enum ScScales { SC_SCALES_PROPAGATE, SC_SCALES_CALIBRATE, SC_SCALES_PROBE } ScScales;

/* What of a recipe met something in one of the graphs that it was applied to, the entries of a
 * program. All zero: it was applied to none. */
typedef struct ScRecipeUse {
    bool scaled;   /* scalify has run */
    bool stored;   /* quantize has run */
    bool caches;   /* there is a state that its cache format is meant for */
    bool *rule;    /* [n_rule] a name matched */
    bool *rescale; /* [n_rescale] likewise */
} ScRecipeUse;
void sc_recipe_use_begin(const ScRecipe *r, ScRecipeUse *ret); /* to be ended */
/* Warns of what met nothing (SC_E_RECIPE) and frees what use holds. */
void sc_recipe_use_end(ScCtx *cx, const ScRecipe *r, ScRecipeUse *use);

typedef struct ScPassEnv {  /* what passes may ask; all may be zero */
    const ScRecipe *recipe; /* NULL: f32 */
    ScRecipeUse *use;       /* passes add to it and warn of nothing; NULL: each warns itself */
    ScScales scales;
    const ScStats *stats; /* for all but SC_SCALES_PROPAGATE */
    ScSource source;      /* in the place of the recipe's, not of its layers'; SC_SOURCE_UNSAID */
    bool count_saturated; /* quantize: states count what saturates as a run stores it low */
    bool scaled_io;       /* scalify: each input gets an exponent symbol of its own (goldens) */
} ScPassEnv;

typedef struct ScPass {
    const char *name; /* also its file, its flag and its test folder */
    const char *doc;  /* one line */
    uint32_t needs;   /* SC_G_ flags that must be set */
    uint32_t refuses; /* flags that must not be set */
    uint32_t gives;   /* flags set by it */
    bool required;    /* cannot be disabled */
    bool lossy;       /* may change results: --eval-each starts anew after it */
    /* True where it would change nothing: it is then left out and needs nothing. May be NULL. */
    bool (*idle)(const ScPassEnv *env);
    ScGraph *(*run)(ScCtx *cx, const ScGraph *g, const ScPassEnv *env);
} ScPass;
/* The passes that every session has, in the order in which the pipeline runs them: each is a stage.
 */
extern const ScPass *const sc_pass_table[];
extern const uint32_t sc_pass_count;
/* Adds a pass of the caller's to one session, which it must outlive: found by its name, and run by
 * the pipeline, as a stage of its name, where stage `after` is done (NULL: not by the pipeline; of
 * several the one added first comes first). False with SC_E_PASS in cx where the name is taken or
 * there is no such stage. */
bool sc_pass_register(ScCtx *cx, const ScPass *pass, const char *after);
const ScPass *sc_pass_find(ScCtx *cx, const char *name); /* or NULL */
/* Runs one pass, after checking what it needs and refuses (SC_E_PASS; SC_E_SCALED where exponents
 * are refused). g stays the caller's. NULL with errors in cx. */
ScGraph *sc_pass_run(ScCtx *cx, const ScPass *pass, const ScGraph *g, const ScPassEnv *env);

ScGraph *sc_pass_fold(ScCtx *cx, const ScGraph *g, const ScPassEnv *env);
ScGraph *sc_pass_simplify(ScCtx *cx, const ScGraph *g, const ScPassEnv *env);
ScGraph *sc_pass_raise(ScCtx *cx, const ScGraph *g, const ScPassEnv *env);
ScGraph *sc_pass_scalify(ScCtx *cx, const ScGraph *g, const ScPassEnv *env);
ScGraph *sc_pass_quantize(ScCtx *cx, const ScGraph *g, const ScPassEnv *env);
ScGraph *sc_pass_settle(ScCtx *cx, const ScGraph *g, const ScPassEnv *env);
ScGraph *sc_pass_expand(ScCtx *cx, const ScGraph *g, const ScPassEnv *env);
ScGraph *sc_pass_layout(ScCtx *cx, const ScGraph *g, const ScPassEnv *env);
ScGraph *sc_pass_fuse(ScCtx *cx, const ScGraph *g, const ScPassEnv *env);

/* --- Codes that are kept as numbers ---------------------------------------------------------- */

/* g, a graph of kernels, in which what kernels round to FP8 and products and convolutions read is
 * stored as f32: see numbers.c. NULL where nothing is, and with errors in cx. */
ScGraph *sc_keep_numbers(ScCtx *cx, const ScGraph *g);

/* --- Without exponents ----------------------------------------------------------------------- */

/* A graph without exponents that computes what g stands for (g may have none): see plain.c.
 * numbers: wide values are the numbers, not the data. What is stored in 8 bits or fewer is made by
 * casts and read by casts alone, as constants of that type are. Nodes that keep answers false for
 * are their expansions, where they have one, and in those the scales of blocks are f32, weights of
 * fewer than 8 bits E4M3, which holds the same numbers. NULL with errors in cx. */
ScGraph *sc_plain_graph(ScCtx *cx, const ScGraph *g, bool numbers,
                        bool (*keep)(void *arg, const ScGraph *g, const ScNode *n), void *arg);

/* --- States ---------------------------------------------------------------------------------- */

/* An exported pair: output `out` is the next value of input `in`. In both names a * stands for the
 * same text, so that one rule is said of every layer. */
typedef struct ScStateRule {
    const char *out, *in;
} ScStateRule;
/* g with states, of the inputs' names, for these pairs: they leave the signature. Where the shapes
 * differ in one extent, a symbol alone in the input's, the state grows along it, from 0 up to
 * capacity. A state of g of the input's name that is its own next value, as one with an initializer
 * is (ScImportOptions.past_of), takes the output's. NULL with SC_E_STATE in cx. */
ScGraph *sc_make_states(ScCtx *cx, const ScGraph *g, uint32_t n, const ScStateRule *rule,
                        int64_t capacity);

/* The input whose next value output `out` is by this rule, interned; NULL: it is another's. */
const char *sc_state_rule_past(ScCtx *cx, const ScStateRule *r, const char *out);
/* g has an output of this rule. */
bool sc_state_rule_applies(const ScGraph *g, const ScStateRule *rule);

/* --- The pipeline ---------------------------------------------------------------------------- */

/* fold, simplify, raise, scalify, quantize, settle, expand, layout, fuse: stages have the names of
 * their passes. "import" is the graph that it was given. A graph that comes from later in the
 * pipeline goes on from there: passes that give what it has, or refuse it, are left out. */
typedef struct ScPipeline {
    ScPassEnv env;
    const char *const *disable; /* names of passes to leave out; required ones are refused */
    uint32_t n_disable;
    const char *until; /* the last stage to run; NULL: all */
    bool verify;       /* after each pass: sc_verify and print -> parse -> equal */
    /* Called with each stage's graph, first "import"; may be NULL. The graph is the pipeline's. */
    void (*after)(void *arg, const char *stage, const ScGraph *g);
    void *arg;
    /* --eval-each: inputs to run every stage on; the first stage whose outputs differ from the
     * stage before beyond the given tolerance is an error that names the pass. */
    const ScrtTensor *eval_in;
    double eval_rtol;
} ScPipeline;
/* Takes g over. The last stage's graph, or NULL with errors in cx. */
ScGraph *sc_pipeline_run(ScCtx *cx, ScGraph *g, const ScPipeline *p);

#endif
