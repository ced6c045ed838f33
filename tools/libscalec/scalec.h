/* SPDX-License-Identifier: Apache-2.0 */
/* libscalec: everything that the command line does, for other programs. Load a model, run passes,
 * compile, evaluate. The command line uses this header and no private door. Whatever fails records
 * diagnostics in the session and answers NULL or false; nothing here prints. */
#ifndef SCALEC_H
#define SCALEC_H

#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "passes/passes.h"
#include "runtime/scrtio.h"

#define SCALEC_VERSION "0.1.0"

/* --- Models ----------------------------------------------------------------------------------- */

typedef struct ScalecModel {
    ScGraph *graph;       /* the caller's: scalec_rewrite and scalec_compile take it over */
    uint64_t hash;        /* XXH64 of the file's bytes, for --info: what xxh64sum says */
    const char *path;     /* interned */
    const ScrtFile *file; /* the session's */
} ScalecModel;

/* Loads an ONNX file or a text graph ("-": standard input), told apart by content. Named constants
 * of a text graph come from the file of its `source` line, beside the text, and from PATH.npz.
 * opt (NULL: none) as for sc_import; its dirs and lasts are set here. */
bool scalec_load(ScCtx *cx, const char *path, const ScImportOptions *opt, ScalecModel *ret);
/* The same model by other options: its file, which may be a pipe, is not read again. */
bool scalec_load_again(ScCtx *cx, const ScalecModel *m, const ScImportOptions *opt,
                       ScalecModel *ret);

/* Makes states of the model's pairs of inputs and outputs: see sc_make_states. */
bool scalec_make_states(ScCtx *cx, ScalecModel *m, uint32_t n, const ScStateRule *rule,
                        int64_t capacity);

/* Writes a text graph, with comments its totals before it, then tail (comments), to path ("-":
 * standard output), and to PATH.npz the named constants that no model file has (folded ones), if
 * there are any and path is a file. */
bool scalec_write_text(ScCtx *cx, const ScGraph *g, uint32_t print_flags, const char *tail,
                       const char *path);
/* r [n]: reports of g, of constants and of what somebody ran it on, whose rounding it shows; what
 * is stored low and has none there it expects of the exponents. */
bool scalec_write_dot(ScCtx *cx, const ScGraph *g, const ScReport *r, uint32_t n, const char *path);
bool scalec_write_json(ScCtx *cx, const ScGraph *g, const char *path);
/* One page that holds all it needs: a drawing to search, zoom and fold, with the numbers and the
 * derivation of each exponent. r [n]: as for DOT. */
bool scalec_write_html(ScCtx *cx, const ScGraph *g, const ScReport *r, uint32_t n,
                       const char *path);
/* The same for what a check found, given as JSON: tables, charts, histograms. See sheet.html. */
bool scalec_write_sheet(ScCtx *cx, const char *json, const char *path);
/* Lines "label: text": nodes by class, casts, bytes of constants by format, and the values that lie
 * near the end of their format as far as estimates tell. */
void scalec_totals(const ScGraph *g, ScStr *out);
/* How ONNX says what is stored in FP8. */
typedef enum ScalecProfile {
    SCALEC_QDQ, /* QuantizeLinear and DequantizeLinear; all else are the numbers themselves */
    SCALEC_CAST /* Cast; values are the data of the scaled graph, exponents products */
} ScalecProfile;
/* The graph of any stage before kernels as an ONNX model; constants of more than `limit` bytes in
 * all (0: 1 GiB) go to PATH.data beside it. */
bool scalec_write_onnx(ScCtx *cx, const ScGraph *g, ScalecProfile profile, uint64_t limit,
                       const char *path);
/* Where graphs a and b of one session differ: see diff.c. [*ret_n], the session's; how many nodes
 * are the same, those of nested graphs too. */
typedef enum ScalecDifferenceKind {
    SCALEC_ONLY_A,
    SCALEC_ONLY_B,
    SCALEC_CHANGED
} ScalecDifferenceKind;
typedef struct ScalecDifference {
    ScalecDifferenceKind kind;
    const char *name, *op;    /* the node's first result, its row */
    const char *from;         /* the ONNX nodes it came from */
    const char *what, *a, *b; /* of changed ones: what is so in a, and so in b; else NULL */
} ScalecDifference;
const ScalecDifference *scalec_diff(ScCtx *cx, const ScGraph *a, const ScGraph *b, uint32_t *ret_n,
                                    uint32_t *ret_same);
/* Bytes to a file, as scrt_file_write does. */
bool scalec_write_file(ScCtx *cx, const char *path, const void *bytes, size_t n);
/* A whole file of at most 2 GiB as scrt_file_open gives it, noted as read; the session's errors
 * name it from here on. False with SC_E_FILE. */
bool scalec_open(ScCtx *cx, const char *path, ScrtFile *ret);
/* Notes a file as read that other functions open: false where there is none. */
bool scalec_note_file(ScCtx *cx, const char *path);
/* The folder of path, "." where it names none; the session's. */
const char *scalec_folder(ScCtx *cx, const char *path);
/* False with SC_E_WRITE where path is, by device and inode, a file that the session has read. */
bool scalec_may_write(ScCtx *cx, const char *path);
/* That, and that a file can be made there: to ask where much is done before it is written. */
bool scalec_can_write(ScCtx *cx, const char *path);
/* Records err, of a function that reads or writes path, as SC_E_FILE or SC_E_WRITE. */
bool scalec_read_failed(ScCtx *cx, const char *path, const ScrtIoError *err);
bool scalec_write_failed(ScCtx *cx, const char *path, const ScrtIoError *err);

/* --- Samples: inputs from files --------------------------------------------------------------- */

/* Inputs for a model, one set after the other, from an .npz (arrays by input name; a leading extent
 * that is a multiple of the model's fixed one is cut into that many sets), an .npy, .bin or picture
 * for a model of one input, or a folder: of an ONNX test_data_set (input_*.pb), of such folders, or
 * of such files. */
typedef struct ScalecSamples ScalecSamples;
typedef struct ScalecSampleOptions { /* all may be zero */
    const char *image;               /* how pictures become inputs: see scrt_image_parse */
    const char *const *shape; /* [n_shape] "NAME=2,3", or "2,3" of the only input: of a .bin */
    uint32_t n_shape;
} ScalecSampleOptions;
ScalecSamples *scalec_samples_open(ScCtx *cx, const ScGraph *g, const char *path,
                                   const ScalecSampleOptions *opt);
/* What this library was built to read of pictures. */
const ScrtDecoders *scalec_decoders(void);
uint32_t scalec_samples_count(const ScalecSamples *s);
/* Set i, [n_in], valid until the next call. False with errors. */
bool scalec_samples_get(ScalecSamples *s, uint32_t i, const ScrtTensor **ret_in);
/* Expected outputs of set i (output_*.pb beside its inputs): their number, 0 where there are none.
 * A tensor with NULL data is not given. */
uint32_t scalec_samples_expected(ScalecSamples *s, uint32_t i, const ScrtTensor **ret_out);
void scalec_samples_close(ScalecSamples *s); /* takes NULL */

/* --- Rewriting and compiling ------------------------------------------------------------------ */

typedef struct ScalecOptions { /* all may be zero */
    const char *recipe;        /* name or file; NULL: f32 */
    ScScales scales;
    ScSource source;      /* of the exponents of activations that are stored low, in the place of
                           * what the recipe says; SC_SOURCE_UNSAID */
    const ScStats *stats; /* for SC_SCALES_CALIBRATE: scalec_calibrate or scalec_read_stats; for
                           * SC_SCALES_PROBE: scalec_probe */
    const char *cpu, *target;
    const char *const *disable; /* names of passes */
    uint32_t n_disable;
    bool verify;       /* after each pass, and print -> parse -> equal; always on in debug builds */
    const char *until; /* the last stage */
    void (*after)(void *arg, const char *stage, const ScGraph *g);
    void *arg;
    bool count_saturated; /* states count what saturates in each tensor that a run stores low */
    uint64_t embed_limit; /* 0: 64 MiB */
    const char *symbol;   /* C identifier; NULL: model_NAME, from the graph's */
    bool fault_tail;      /* see codegen.h */
    const char *output;   /* where scalec_write will write: weights above the limit are
                           * packed into a file beside it. NULL: into memory */
    const char *listing;  /* debug lines: see codegen.h; NULL: none */
    const ScrtTensor *eval_in; /* --eval-each: inputs to run every stage on */
    double eval_rtol;
} ScalecOptions;

/* The graph as scalify receives it, for calibration; the model keeps its own. */
ScGraph *scalec_raised(ScCtx *cx, const ScalecModel *m, const ScalecOptions *opt);
/* Inputs that the f32 graph was run on, and its outputs: what a compiled program is measured by. */
typedef struct ScalecRuns {
    uint32_t n, n_in, n_out;
    ScrtTensor *in, *out; /* [n * n_in], [n * n_out] */
} ScalecRuns;
void scalec_runs_free(ScalecRuns *r); /* what it holds */
/* Measures every value of that graph on samples. ret (NULL: none) gets the first runs, to be freed
 * even where it fails. */
const ScStats *scalec_calibrate(ScCtx *cx, const ScGraph *raised, ScalecSamples *s,
                                ScalecRuns *ret);
/* Measures what may be stored low on synthetic inputs: two runs of the compiled f32 graph, on this
 * machine's processor, its weights in memory. NULL with a warning where the model cannot be run so:
 * SC_SCALES_PROPAGATE is left. ret as for scalec_calibrate, of the first run. */
const ScStats *scalec_probe(ScCtx *cx, const ScGraph *raised, ScalecRuns *ret);
/* That run where nothing need be measured, to be compared with. False, without an error, where
 * the model cannot be run so. */
bool scalec_try(ScCtx *cx, const ScGraph *raised, ScalecRuns *ret);
/* What a program's outputs are worth beside those of the runs. */
typedef struct ScalecCost {
    double sqnr;         /* dB, of the mean noise to signal of the outputs of floats, each one's
                          * over all runs; infinite: there is none */
    uint64_t rows, same; /* of the first output of floats that has rows: how many there are, and
                          * how many have their largest element where f32's have it */
} ScalecCost;
/* Runs the object of SC_EMIT_OBJ in this process. False where it cannot be run, for another
 * processor say; that is no error. */
bool scalec_cost(ScCtx *cx, ScObject *o, const ScalecRuns *r, ScalecCost *ret);
/* What the outputs gain where one storage site of low alone keeps its f32. */
typedef struct ScalecGain {
    ScVal v;         /* of low */
    double gain;     /* dB of the outputs' mean SQNR */
    bool measured;   /* by runs of a compiled program; else a first-order estimate from roundings */
    double together; /* dB with the sites before it kept too, of the first few; else NaN */
} ScalecGain;
/* Which sites stay high so that the outputs have a wanted SQNR, or are worth so much to a command
 * as of scalec_column: the fewest of the first ones by gain, by bisection. */
typedef struct ScalecSuggest {
    const char *metric; /* the command; NULL: SQNR counts */
    double want;        /* dB, or what the command prints */
    uint32_t keep;      /* so many of the first gains */
    bool reached;       /* else all are too few for the command */
    uint32_t n_step;
    struct {
        uint32_t keep;
        double sqnr;   /* of the outputs' mean noise to signal, beside the program with all high */
        double metric; /* NaN: there is none */
    } step[40];        /* what was tried, in order */
} ScalecSuggest;
/* For each site: runs on all samples, one site after the other, until `seconds` have passed. The
 * first few are those that gain most together: each beside those before it; then come those that
 * were measured and those that were not, the largest first. report: of low, from sc_damage_end.
 * Warns where nothing can be run; then suggest (NULL: nobody asks) has no steps. NULL with errors
 * where its command fails. sqnr [low->n_out] gets each output's dB with all sites low, beside the
 * program with all high; NaN where it is not of floats, or there is nothing to run. The result
 * lives as long as cx. */
const ScalecGain *scalec_gains(ScCtx *cx, const ScGraph *low, ScalecSamples *s,
                               const ScReport *report, uint32_t n_report, double seconds,
                               ScalecSuggest *suggest, double *sqnr, uint32_t *ret_n);

/* The f32 program's outputs on all samples, for columns beside it. NULL with errors. */
typedef struct ScalecReference ScalecReference;
ScalecReference *scalec_reference(ScCtx *cx, const ScalecModel *m, const ScalecOptions *opt,
                                  ScalecSamples *s);
void scalec_reference_free(ScalecReference *r); /* takes NULL */
typedef struct ScalecColumn {                   /* a compiled program beside it, over all samples */
    uint64_t bytes;                             /* of its weights */
    double sqnr, max_error;                     /* as of ScalecCost; of all outputs of floats */
    uint64_t rows, same;                        /* as of ScalecCost */
    double metric;                              /* what the command printed; NaN: none was given */
} ScalecColumn;
/* metric (NULL: none): a shell's command that gets the path of a folder as its last word, with the
 * outputs of sample N as N.npz, and prints a number. */
bool scalec_column(ScCtx *cx, const ScalecModel *m, const ScalecOptions *opt, ScalecSamples *s,
                   const ScalecReference *ref, const char *metric, ScalecColumn *ret);
const ScStats *scalec_read_stats(ScCtx *cx, const char *path);

/* Runs the pipeline; takes m->graph over. NULL with errors. */
ScGraph *scalec_rewrite(ScCtx *cx, ScalecModel *m, const ScalecOptions *opt);
/* One of several models that become one: see sc_codegen_entries. */
typedef struct ScalecEntry {
    const char *name;
    ScalecModel model;
    const ScStats *stats; /* NULL: its scales are propagated, whatever the options say */
} ScalecEntry;
/* Pipeline and codegen; takes the graphs over. The object's ScrtModel.info says how it was made.
 * Stages are told of the first entry's graph alone. */
ScObject *scalec_compile_entries(ScCtx *cx, uint32_t n, ScalecEntry *entry,
                                 const ScalecOptions *opt, ScEmit emit);
/* The same of one model, which is entry "main". */
ScObject *scalec_compile(ScCtx *cx, ScalecModel *m, const ScalecOptions *opt, ScEmit emit);

/* What a graph holds before kernels are made of it. */
enum { SCALEC_FORMATS = 8 };
typedef struct ScalecSummary {
    uint64_t constants; /* bytes of constants and initial states as they were given, each once */
    uint32_t
        n_product; /* nodes with operands that a recipe may store low: products, convolutions */
    struct {       /* how many of them read data of less than 32 bits */
        ScrtDtype dtype; /* the narrowest */
        uint32_t all;    /* such operands alone */
        uint32_t some;   /* beside wider ones */
    } low[SCALEC_FORMATS];
    uint32_t n_low;
} ScalecSummary;
void scalec_summary(const ScGraph *g, ScalecSummary *ret);
/* {output: the type below f32 that the model rounds to on the way to it}, which is why no two
 * runtimes agree on more digits: of several types one that is coarser than f16. Outputs that
 * nothing rounds are not there. The caller's, of jansson. */
struct json_t *scalec_rounding(const ScGraph *g);
enum { SCALEC_INFO_NAME = 200 }; /* --info has no room for names as long, nor longer ones */

/* For a program's main: SIGINT, SIGTERM and SIGHUP end cc where it runs and remove what is
 * temporary before they end the process. */
void scalec_end_on_signals(void);

typedef enum ScalecOutput {
    SCALEC_EXE,
    SCALEC_SO,
    SCALEC_OBJ,
    SCALEC_ASM,
    SCALEC_LLVM
} ScalecOutput;
/* Writes what --emit names: exe and so are linked by `cc` with the runtime's libraries, which are
 * looked for in $SCALEC_LIBDIR, then beside this program, then where they were installed; obj comes
 * with a header (model.o: model.h). Weights above the embed limit go to PATH.weights. All to
 * temporary names, then renamed. */
bool scalec_write(ScCtx *cx, const ScObject *o, ScalecOutput kind, const char *path);
/* The files that it may write beside path, which is not "-": their number. The session's. */
uint32_t scalec_written_beside(ScCtx *cx, ScalecOutput kind, const char *path, const char *ret[2]);
/* The command, for a shell, that compiles main.c and links it with an object or shared object
 * written to path; a folder of the runtime's headers or library is DIR where it was not found. The
 * session's. */
const char *scalec_link_line(ScCtx *cx, ScalecOutput kind, const char *path);
/* Frees what scalec_compile gave, and a file of weights that scalec_write did not take. */
void scalec_object_free(ScObject *o);

#endif
