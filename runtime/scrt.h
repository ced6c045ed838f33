/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime: what a compiled model and the program that uses it need from each other. A compiled
 * model is one ScrtModel, a constant of the emitted object; a ScrtSession is one use of it.
 *
 *     extern const ScrtModel mnist;
 *     ScrtSession *s;
 *     if (scrt_open(&mnist, NULL, &s) == SCRT_OK && scrt_run(s, in, out) == SCRT_OK) ...
 *     scrt_close(s);
 *
 * Nothing here aborts, prints or exits; every failure is a status. */
#ifndef SCRT_H
#define SCRT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "num/num.h" /* ScrtDtype */

#ifdef __cplusplus
extern "C" {
#endif

#define SCRT_ABI      7  /* changes when a structure below changes */
#define SCRT_MAX_RANK 16 /* more is refused at import */

typedef enum ScrtStatus {
    SCRT_OK = 0,
    SCRT_E_MEMORY,  /* an allocation failed; nothing was changed */
    SCRT_E_SHAPE,   /* a shape does not fit the signature; scrt_error says which */
    SCRT_E_DTYPE,   /* an element type does not fit the signature */
    SCRT_E_CPU,     /* this processor lacks what the model was compiled for */
    SCRT_E_ABI,     /* the model was compiled for another version of the runtime */
    SCRT_E_FILE,    /* a file cannot be opened, read, written or understood */
    SCRT_E_WEIGHTS, /* the weights are missing or are not the model's */
    SCRT_E_STATE,   /* a saved state is not this model's */
    SCRT_E_ARGUMENT,
    SCRT_E_DATA, /* elements that the model does not take, such as an index outside its axis */
    SCRT_E_FULL, /* a state would outgrow its capacity; nothing was written */
} ScrtStatus;

const char *scrt_status_text(ScrtStatus s); /* a sentence without a full stop */

/* A dense row-major tensor in host memory. The data is aligned to 64 bytes where the runtime made
 * it, and to its element otherwise. Elements of fewer than 8 bits are packed, the first in the
 * lowest bits of the first byte; six bits go on across bytes. What the last byte has besides is 0.
 * Elements of type string are handles of 8 bytes, see ScrtString. */
typedef struct ScrtTensor {
    uint32_t dtype; /* ScrtDtype, the ONNX code */
    uint32_t rank;
    int64_t dims[SCRT_MAX_RANK];
    void *data;
} ScrtTensor;

/* What a handle is: a pointer to this, aligned to 8; NULL is the empty string. Bytes are never
 * looked at but where an operator is about characters: those are UTF-8. Whoever makes a tensor of
 * strings owns them, and nobody changes one. A tensor that a file or a run gave has them in the
 * memory of its handles, so that scrt_free(data) frees all. */
typedef struct ScrtString {
    uint64_t n; /* bytes */
    char bytes[];
} ScrtString;

/* --- What the emitted object holds ----------------------------------------------------------- */

typedef struct ScrtPort { /* an input, output or state */
    const char *name;     /* the ONNX value's name */
    uint32_t dtype;
    uint32_t rank;
    const char *dims; /* for people: "batch,784"; "" for a scalar */
} ScrtPort;

typedef struct ScrtKernelInfo {
    const char *name; /* "k3" */
    const char *from; /* the ONNX nodes it came from, comma separated */
    const char *what; /* class, variants, tile: what dump prints */
    /* Words n_word from ScrtEntry.word + word on say what a run of it moves: see ScrtEntry.moved.
     */
    uint32_t word, n_word;
} ScrtKernelInfo;

typedef void (*ScrtBody)(void *arg, int64_t begin, int64_t end, uint32_t thread);

/* Functions of libm that emitted code may ask for: libm.def. */
typedef enum ScrtLibm1 {
#define SCRT_LIBM1(id, fn) SCRT_LIBM1_##id,
#include "libm.def"
#undef SCRT_LIBM1
    SCRT_N_LIBM1,
} ScrtLibm1;
typedef enum ScrtLibm2 {
#define SCRT_LIBM2(id, fn) SCRT_LIBM2_##id,
#include "libm.def"
#undef SCRT_LIBM2
    SCRT_N_LIBM2,
} ScrtLibm2;

/* The functions of the runtime that emitted code may call; passed to it, never linked. */
typedef struct ScrtFns {
    uint32_t abi;
    /* Runs body over [0, n) in at most one contiguous piece a thread, pieces a multiple of grain
     * except the last; returns when all have ended. Which pieces there are depends on n, grain and
     * the number of threads only. */
    void (*parallel)(void *pool, ScrtBody body, void *arg, int64_t n, int64_t grain);
    /* Rare scalar functions from libm, which no kernel inlines: fn is a ScrtLibm1, a ScrtLibm2. */
    double (*libm1)(uint32_t fn, double x);
    double (*libm2)(uint32_t fn, double x, double y);
} ScrtFns;

typedef struct ScrtCall { /* what every kernel is given, beside its operands */
    const ScrtFns *fns;
    void *pool;
    uint32_t n_thread; /* the pool's; bodies get thread < n_thread */
    /* Where a kernel met an index outside its axis: one of them, and the axis' extent; extent 0:
     * there was none. The run then ends with SCRT_E_DATA. */
    int64_t index, extent;
    const unsigned char *weights; /* what an odd handle is an offset into: see scrt_chars */
    struct ScrtMade *made;        /* strings that this run has made */
} ScrtCall;

/* A kernel: args are the call, its parameters (int64_t: extents, strides, exponents), scratch,
 * scratch of the threads, then operands and results, each a pointer. */
typedef void (*ScrtKernel)(void *const *args);
enum { SCRT_ARG_CALL, SCRT_ARG_PARAMS, SCRT_ARG_PLACES };

/* --- The program ---
 *
 * What is code is kernels. What stands between them is data: steps that the runtime walks, over
 *
 *   values   int64_t numbers: 0 is 0, 1 the number of threads, then what a profile counts
 *            (ScrtEntry.moved), then the symbols and what was evaluated from them; each is
 *            written before it is read
 *   buffers  memory: 0 the weights; the inputs, the outputs, the states as they are, their next
 *            values, one after another; then segments of workspace
 *   places   where operands lie: a buffer, and bytes into it
 *
 * ScrtEntry.bind are the steps of the inputs' dims and of the extents of states: they are walked
 * when one has changed. ScrtEntry.run are walked in every run. */
typedef struct ScrtPlace {
    uint32_t buffer, value; /* of the place's buffer; value 0 where offset says it all */
    int64_t offset;         /* bytes: offset + the value */
} ScrtPlace;

typedef enum ScrtStepKind {
    SCRT_END,
    SCRT_KERNEL,       /* a kernel, b function, c first place, d places, e first parameter */
    SCRT_BIND_EXTENT,  /* value a = dim c of input b */
    SCRT_BIND_ELEMENT, /* value a = element c of the integers of type d at place b */
    SCRT_EVAL,         /* words a .. a + b - 1; an overflow ends the run */
    SCRT_GUARD,        /* a kind, values b and c: where it does not hold the run ends */
    SCRT_ALLOC,        /* buffer a, an output or a segment, gets value b bytes */
    SCRT_COPY,         /* from place a to place b, value c bytes; they do not overlap */
    SCRT_CALL,         /* as SCRT_KERNEL, but b is a ScrtCallee */
    SCRT_BIND_STATE,   /* value a = the extent of state b along what grows */
    SCRT_STATE,        /* state a, of the extents value b, b + 1, ..., is used; its next value has
                        * value c along what grows. Ends the run where it has others, or no room */
    SCRT_JUMP,         /* on at step a of ScrtEntry.run where value b <= value c */
    SCRT_GROW,         /* segment (buffer) a gets value b bytes at least and keeps what is in it */
    SCRT_SWAP,         /* buffers a and b, both segments, are exchanged */
    SCRT_STORE,        /* value a is stored at place b as an i64 */
} ScrtStepKind;

/* Functions of the runtime that steps call: calls.def. The values from step.e on say what there is:
 * the numbers of operands, of results and of parameters; of each operand and result its place (one
 * of the step's places, -1: absent), element type, rank and dims; the parameters. The step's first
 * two places are its scratch, shared and of the threads. */
typedef enum ScrtCallee {
#define SCRT_CALLEE(id, fn) SCRT_CALLEE_##id,
#include "calls.def"
#undef SCRT_CALLEE
    SCRT_N_CALLEE,
} ScrtCallee;
enum { SCRT_CALL_TENSORS = 24 }; /* operands and results, at most */

typedef struct ScrtStep {
    uint32_t kind;          /* ScrtStepKind */
    uint32_t who;           /* of ScrtEntry.who: whose step this is, for messages */
    uint32_t a, b, c, d, e; /* as the kind says; 0 otherwise */
} ScrtStep;

bool scrt_guard_holds(uint32_t kind, int64_t a, int64_t b); /* a ScrtGuardKind */
/* Why it does not hold: "n is 1 and must not be 1", of terms as text and their values. */
void scrt_guard_text(char *buf, size_t room, uint32_t kind, const char *a, int64_t x, const char *b,
                     int64_t y);
typedef enum ScrtGuardKind {
    SCRT_GUARD_EQUAL,   /* a = b */
    SCRT_GUARD_DIFFER,  /* a != b */
    SCRT_GUARD_AT_MOST, /* a <= b */
    SCRT_GUARD_DIVIDES, /* b is a multiple of a; 0 divides 0 alone */
    SCRT_GUARD_MEET,    /* a = b, or one of them is 1 */
    SCRT_GUARD_FITS,    /* a = b, or a = 1 */
} ScrtGuardKind;

/* Terms are postfix: a word, and the number that it takes. Operations take their operands from the
 * top of a stack and leave their result there. */
typedef enum ScrtWord {
    SCRT_W_CONST, /* n: pushes n */
    SCRT_W_VALUE, /* n: pushes value n */
    SCRT_W_STORE, /* n: pops into value n */
    SCRT_W_ADD,
    SCRT_W_MUL,
    SCRT_W_FDIV, /* floor(a / b); by 0 ends the run, as an overflow does */
    SCRT_W_CDIV, /* ceil(a / b) */
    SCRT_W_MOD,  /* a - b * floor(a / b) */
    SCRT_W_MIN,
    SCRT_W_MAX,
    SCRT_W_LOG2,  /* floor(log2 max(a, 1)) */
    SCRT_W_BCAST, /* b where a is 1, else a */
} ScrtWord;
enum { SCRT_STACK = 8 }; /* no more is ever on the stack */

typedef struct ScrtWho {
    const char *node;  /* ONNX nodes, comma separated */
    const char *what;  /* of a guard: what a and b are: "inner dimensions" */
    const char *a, *b; /* of a guard: the terms: "n-1" */
    const char *where; /* of a guard: what its symbols are: "n is dimension 1 of input 'x'"; "" */
    /* Where node is NULL: the input that does not have the dims of its type. a and where are then
     * of the extent that is asked for, if it is no number. */
    uint32_t input;
} ScrtWho;

#define SCRT_LATE (UINT32_C(1) << 31) /* beside a value that is known in a run only */

/* One of the graphs in a model: what it takes, gives and does. */
typedef struct ScrtEntry {
    const char *name; /* "main" where there is one */
    uint32_t n_in, n_out, n_sym, n_kernel;
    const ScrtPort *in, *out;
    const char *const *sym; /* [n_sym] names of the symbols that inputs' dims bind */
    const ScrtKernelInfo *kernel;
    const uint32_t *const *out_dims; /* [n_out][rank] values, SCRT_LATE added where a run tells */
    uint32_t n_value;
    uint32_t n_segment;         /* of workspace */
    uint32_t n_arg;             /* places of a kernel, at most */
    uint32_t moved;             /* 3 values for a profile alone: bytes of weights, read, written */
    const ScrtStep *bind, *run; /* each up to an SCRT_END */
    const int64_t *word;
    const ScrtPlace *place;
    const ScrtKernel *fn;
    const ScrtWho *who;
    const uint32_t *state; /* [n_state] those of the model's that it reads and moves on */
    uint32_t n_state;
} ScrtEntry;

/* States of such a name count for the tensor whose name follows, which a run stores in low
 * precision by a fixed scale: i64[2], elements beyond the format's largest number, and all
 * elements. */
#define SCRT_SATURATED "saturated."

typedef struct ScrtStateInfo { /* the rest of what a model says of a state */
    const int64_t *dims;       /* [rank]; -1: an extent that only a run tells */
    int64_t init;              /* where in the weights its first value lies; -1: zero */
    int64_t capacity;          /* of the dim that grows */
    int64_t first;             /* its extent at first; init has as much */
    uint32_t axis;             /* that dim; the rank where none grows */
    /* Not 0: every entry writes the next value into the memory of the present one. What grows then
     * lies there with the strides of its capacity. */
    uint32_t in_place;
} ScrtStateInfo;

/* What processors the code is for. A model whose code is there for several levels runs that of the
 * last one whose features this processor has: see ScrtOptions.level. */
typedef struct ScrtLevel {
    const char *name;  /* "x86-64-v3" */
    uint64_t features; /* what the code needs: 1 << SCRT_CPU_... */
    uint64_t
        weights; /* bytes of the weights that this level's entries read; the rest are others' */
} ScrtLevel;

typedef struct ScrtModel {
    uint32_t abi, n_entry, n_state, n_level;
    const char *name;
    const char *info; /* JSON: options, recipe, source's hash, version, bytes of weights, ... */
    const ScrtEntry *entry; /* [n_level][n_entry]: the same inputs, outputs, states on each level */
    const ScrtPort *state;  /* states, which all entries share */
    const ScrtStateInfo *state_info;
    uint64_t weights_size;
    uint64_t weights_hash;        /* scrt_hash of the weights, checked when they come from a file */
    const unsigned char *weights; /* in this object, or NULL: a file has them */
    const ScrtLevel *level;       /* [n_level] the least first */
} ScrtModel;

/* Which entry has this name; n_entry where none has. */
uint32_t scrt_entry_named(const ScrtModel *m, const char *name);
/* Which level has this name; n_level where none has. */
uint32_t scrt_level_named(const ScrtModel *m, const char *name);
/* The level that runs on this processor unless another is asked for; n_level: it has none of them.
 */
uint32_t scrt_level_here(const ScrtModel *m);

/* Processor features, the bits of ScrtLevel.features: SCRT_CPU(enumerator, LLVM's name, bit). */
typedef enum ScrtCpu {
#define SCRT_CPU(id, text, bit) SCRT_CPU_##id = (bit),
#include "cpu.def"
#undef SCRT_CPU
    SCRT_CPU_AARCH64 = 48, /* the first of AArch64's; those below are x86-64's */
} ScrtCpu;

/* The features of this processor that the operating system lets programs use, as 1 << bit. */
uint64_t scrt_cpu_features(void);
const char *scrt_cpu_name(uint32_t bit); /* LLVM's name; NULL for no feature */
/* The highest level of the x86-64 psABI all of whose features are among these, as compilers call
 * it: "x86-64-v3"; NULL below v2. On AArch64 the highest of --cpu fat: at least "generic". */
const char *scrt_cpu_level(uint64_t features);

/* --- Sessions -------------------------------------------------------------------------------- */

typedef struct ScrtSession ScrtSession;
typedef struct ScrtStates ScrtStates; /* the values of a model's states */

typedef struct ScrtOptions {
    uint32_t entry;    /* of the model */
    uint32_t level;    /* 1 + one of the model's; 0: the last that this processor has */
    uint32_t n_thread; /* 0: one for each processor this process may use */
    bool profile;      /* measure each kernel: see ScrtProfile */
    bool subnormals;   /* results of f32 and f64 below the least normal number are kept on x86, too;
                          else they are zeros, since where a model makes many of them (as
                          x * sigmoid(x) does) some processors take several times as long */
    /* For a model whose object holds no weights: weights_size bytes in memory aligned to 64, which
     * must outlive the session and are trusted; else the sidecar file, which is mapped and checked.
     * Both are ignored where the object holds the weights. */
    const unsigned char *weights;
    const char *weights_file;
    /* Those of another session of this model, which both move on from now on, and which live as
     * long as one of them; NULL: states of its own. */
    ScrtStates *states;
} ScrtOptions;

/* Makes a session: checks the ABI and the processor, maps the weights, makes the threads, resets
 * the states. options may be NULL. On failure *ret is untouched; the status says it all: for
 * SCRT_E_CPU, level->features & ~scrt_cpu_features() is what lacks. One session, and those that
 * share its states, may be used by one thread at a time; else sessions share nothing. The model,
 * and the weights in memory, outlive it. */
ScrtStatus scrt_open(const ScrtModel *model, const ScrtOptions *options, ScrtSession **ret);
void scrt_close(ScrtSession *s); /* takes NULL */
const ScrtModel *scrt_model(const ScrtSession *s);
const ScrtEntry *scrt_entry(const ScrtSession *s); /* of its level */
const ScrtLevel *scrt_level(const ScrtSession *s);

/* Binds the shapes: given the inputs' dtypes and dims (data is not read), fills out[n_out] with
 * dtypes and dims and leaves data alone. A dim that only a run knows is -1. */
ScrtStatus scrt_shapes(ScrtSession *s, const ScrtTensor *in, ScrtTensor *ret_out);

/* Runs the entry once and then moves its states on. in: [n_in], read only; data may be NULL where
 * there are no elements. out: [n_out], dtypes and dims are filled in; where out[i].data is NULL the
 * runtime allocates it and the caller frees it with scrt_free, else it must hold the bytes that
 * scrt_shapes answers, aligned to 64 or to its element, and overlap no input; where scrt_shapes
 * answers -1 it holds the bytes that out[i].dims say, and SCRT_E_ARGUMENT tells of too few. Strings
 * that lie in the caller's memory are the session's, until its next run or its end. On
 * failure no state moves, out is untouched and nothing stays allocated. The caller's floating-point
 * environment does not matter and is the same afterwards. */
ScrtStatus scrt_run(ScrtSession *s, const ScrtTensor *in, ScrtTensor *out);

/* The last failure of this session in words, with names and numbers; "" if there was none. */
const char *scrt_error(const ScrtSession *s);

ScrtStates *scrt_states(const ScrtSession *s); /* for ScrtOptions.states */
/* Every state has its first value again; one that grows is empty or has its first contents. */
void scrt_state_reset(ScrtSession *s);
/* A state's present value, dense, with the extents that it has now (0 where only a run tells, and
 * there was none): the session's memory, valid until the next call that asks for or changes it. */
ScrtStatus scrt_state_get(ScrtSession *s, uint32_t i, ScrtTensor *ret);
/* Whether t could be set as state i: it has its dtype and dims, fits its capacity, and memory for
 * it is at hand, so that setting it will not fail. */
ScrtStatus scrt_state_check(ScrtSession *s, uint32_t i, const ScrtTensor *t);
/* Copies t into state i; unchanged on failure. Files of states: scrt_state_save and
 * scrt_state_load in scrtio.h. */
ScrtStatus scrt_state_set(ScrtSession *s, uint32_t i, const ScrtTensor *t);

/* Bytes of workspace, states and the outputs that the runtime made, at their largest. */
uint64_t scrt_peak_bytes(const ScrtSession *s);
uint32_t scrt_threads(const ScrtSession *s); /* how many run its kernels */
/* What a kernel did since scrt_open, all its runs together. Bytes are those of the elements that it
 * must touch, each once: no caches are thought of, and no scratch. */
typedef struct ScrtProfile {
    uint64_t ns, runs;
    uint64_t weights;       /* bytes of constants, as they are stored */
    uint64_t read, written; /* bytes of other operands, and of results */
} ScrtProfile;
/* Of kernel i; i = n_kernel: of the copies between kernels. Zeros without options.profile. */
ScrtProfile scrt_profile(const ScrtSession *s, uint32_t i);

/* Memory as the runtime makes it: aligned to 64, never NULL for 0 bytes, NULL on failure. Hooks for
 * tests and embedders; all memory of libscrt and libscrtio but the threads' stacks comes from them.
 */
void *scrt_alloc(size_t bytes);
void scrt_free(void *p); /* takes NULL */
typedef struct ScrtAllocator {
    void *(*alloc)(void *self, size_t bytes, size_t align);
    void (*free)(void *self, void *p);
    void *self;
} ScrtAllocator;
void scrt_set_allocator(const ScrtAllocator *a); /* NULL: the default; not while memory is out */

/* --- Threads --------------------------------------------------------------------------------- */

typedef struct ScrtPool ScrtPool;
/* A pool that runs bodies on n threads, the caller's among them; 0: one for each processor that
 * this process may use. Where a thread cannot be made it has fewer. n = 1 makes none. */
ScrtStatus scrt_pool_new(uint32_t n, ScrtPool **ret);
uint32_t scrt_processors(void);   /* that this process may run on */
void scrt_pool_free(ScrtPool *p); /* takes NULL */
uint32_t scrt_pool_size(const ScrtPool *p);
/* Runs body over [0, n) as ScrtFns.parallel says; the caller is thread 0. In every piece rounding
 * is to nearest, as without ScrtOptions.subnormals, and exceptions masked. p may be NULL: one
 * piece. Not from within a body, and by one thread at a time. grain < 1 counts as 1; n < 1 runs
 * nothing. */
void scrt_parallel(ScrtPool *p, ScrtBody body, void *arg, int64_t n, int64_t grain);

/* --- Tensors --------------------------------------------------------------------------------- */

/* Elements, or -1 if a dim is negative or the product overflows. */
int64_t scrt_count(const ScrtTensor *t);
/* Bytes of the data, or false on overflow. */
bool scrt_tensor_bytes(const ScrtTensor *t, size_t *ret);
/* Allocates t->data (zeroed) for t's dtype and dims; the caller frees it with scrt_free. */
ScrtStatus scrt_tensor_alloc(ScrtTensor *t);

/* The hash of ScrtModel.weights_hash: any change within 8 aligned bytes changes it. */
uint64_t scrt_hash(const void *data, size_t n);
/* The same in pieces. */
typedef struct ScrtHash {
    uint64_t h[4], n;
    unsigned char rest[32]; /* [n % 32] not yet mixed in */
} ScrtHash;
ScrtHash scrt_hash_begin(void);
void scrt_hash_add(ScrtHash *hash, const void *data, size_t n);
uint64_t scrt_hash_end(const ScrtHash *hash);

#ifdef __cplusplus
}
#endif
#endif
