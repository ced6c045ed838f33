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

#ifdef __cplusplus
extern "C" {
#endif

#define SCRT_ABI      1  /* changes when a structure below changes */
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
} ScrtStatus;

const char *scrt_status_text(ScrtStatus s); /* a sentence without a full stop */

/* A dense row-major tensor in host memory. The data is aligned to 64 bytes where the runtime made
 * it, and to its element otherwise. */
typedef struct ScrtTensor {
    uint32_t dtype; /* ScrtDtype, the ONNX code */
    uint32_t rank;
    int64_t dims[SCRT_MAX_RANK];
    void *data;
} ScrtTensor;

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
    /* Called around kernel k where a profile is wanted; NULL otherwise. */
    void (*enter)(void *profile, uint32_t kernel);
    void (*leave)(void *profile, uint32_t kernel);
    /* Rare scalar functions from libm, which no kernel inlines: fn is a ScrtLibm1, a ScrtLibm2. */
    double (*libm1)(uint32_t fn, double x);
    double (*libm2)(uint32_t fn, double x, double y);
} ScrtFns;

typedef struct ScrtCall {
    const ScrtFns *fns;
    void *pool, *profile;
    const unsigned char *weights; /* the packed constants, aligned to 64 */
    const int64_t *sym;           /* [n_sym] */
    void *const *in;              /* [n_in] data */
    void *const *out;             /* [n_out] data, of the sizes that shapes answered */
    void *const *state;           /* [n_state] the states as they are */
    void *const *next;            /* [n_state] where their next values go; never the same memory */
    unsigned char *work;          /* work bytes aligned to 64, contents undefined */
    uint32_t n_thread;            /* the pool's; bodies get thread < n_thread */
} ScrtCall;

typedef struct ScrtModel {
    uint32_t abi, n_in, n_out, n_state, n_sym, n_kernel;
    const char *name;
    const char *info; /* JSON: options, recipe, source's hash, version, bytes of weights, ... */
    const ScrtPort *in, *out, *state;
    const char *const *sym; /* names of the symbols */
    const ScrtKernelInfo *kernel;
    uint64_t features; /* what the code needs: 1 << SCRT_CPU_... */
    uint64_t weights_size;
    uint64_t weights_hash;        /* scrt_hash of the weights, checked when they come from a file */
    const unsigned char *weights; /* in this object, or NULL: a file has them */
    /* Binds the symbols from the inputs' dims, in [n_in][rank] each; checks every guard; answers
     * the outputs' dims and the bytes of workspace for n_thread threads, UINT64_MAX where the sizes
     * overflow. The ranks have been checked, and no dim is negative. 0, or 1 + the index of the
     * input that does not fit. A session calls it anew only when a dim has changed. */
    uint32_t (*shapes)(const int64_t *const *in_dims, uint32_t n_thread, int64_t *ret_sym,
                       int64_t *const *ret_out_dims, uint64_t *ret_work);
    /* The dims of state i, and the value it has after a reset: NULL means zero. */
    const int64_t *const *state_dims;
    const unsigned char *const *state_init;
    void (*run)(const ScrtCall *call);
} ScrtModel;

/* Processor features, the bits of ScrtModel.features: SCRT_CPU(enumerator, LLVM's name, bit). */
typedef enum ScrtCpu {
#define SCRT_CPU(id, text, bit) SCRT_CPU_##id = (bit),
#include "cpu.def"
#undef SCRT_CPU
} ScrtCpu;

/* The features of this processor that the operating system lets programs use, as 1 << bit. */
uint64_t scrt_cpu_features(void);
const char *scrt_cpu_name(uint32_t bit); /* LLVM's name; NULL for no feature */

/* --- Sessions -------------------------------------------------------------------------------- */

typedef struct ScrtSession ScrtSession;

typedef struct ScrtOptions {
    uint32_t n_thread; /* 0: one for each processor this process may use */
    bool profile;      /* measure each kernel: see scrt_profile */
    /* For a model whose object holds no weights: weights_size bytes in memory aligned to 64, which
     * must outlive the session and are trusted; else the sidecar file, which is mapped and checked.
     * Both are ignored where the object holds the weights. */
    const unsigned char *weights;
    const char *weights_file;
} ScrtOptions;

/* Makes a session: checks the ABI and the processor, maps the weights, makes the threads, resets
 * the states. options may be NULL. On failure *ret is untouched; the status says it all: for
 * SCRT_E_CPU, model->features & ~scrt_cpu_features() is what lacks. One session may be used by one
 * thread at a time; sessions share nothing. The model, and the weights in memory, outlive it. */
ScrtStatus scrt_open(const ScrtModel *model, const ScrtOptions *options, ScrtSession **ret);
void scrt_close(ScrtSession *s); /* takes NULL */
const ScrtModel *scrt_model(const ScrtSession *s);

/* Binds the shapes: given the inputs' dtypes and dims (data is not read), fills out[n_out] with
 * dtypes and dims and leaves data alone. */
ScrtStatus scrt_shapes(ScrtSession *s, const ScrtTensor *in, ScrtTensor *ret_out);

/* Runs the model once and then moves every state on. in: [n_in], read only; data may be NULL where
 * there are no elements. out: [n_out], dtypes and dims are filled in; where out[i].data is NULL the
 * runtime allocates it and the caller frees it with scrt_free, else it must hold the bytes that
 * scrt_shapes answers, aligned to 64 or to its element, and overlap no input. On failure no state
 * moves, out is untouched and nothing stays allocated. The caller's floating-point environment does
 * not matter and is the same afterwards. */
ScrtStatus scrt_run(ScrtSession *s, const ScrtTensor *in, ScrtTensor *out);

/* The last failure of this session in words, with names and numbers; "" if there was none. */
const char *scrt_error(const ScrtSession *s);

void scrt_state_reset(ScrtSession *s);
/* A state's present value, the session's memory, valid until the next call that changes it. */
ScrtStatus scrt_state_get(const ScrtSession *s, uint32_t i, ScrtTensor *ret);
/* Copies t, of the state's dtype and dims, into state i; unchanged on failure. Files of states:
 * scrt_state_save and scrt_state_load in scrtio.h. */
ScrtStatus scrt_state_set(ScrtSession *s, uint32_t i, const ScrtTensor *t);

/* Bytes of workspace, states and the outputs that the runtime made, at their largest. */
uint64_t scrt_peak_bytes(const ScrtSession *s);
uint32_t scrt_threads(const ScrtSession *s); /* how many run its kernels */
/* Nanoseconds spent in kernel i since scrt_open, and the number of its runs; needs options.profile.
 */
uint64_t scrt_profile(const ScrtSession *s, uint32_t i, uint64_t *ret_runs);

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
void scrt_pool_free(ScrtPool *p); /* takes NULL */
uint32_t scrt_pool_size(const ScrtPool *p);
/* Runs body over [0, n) as ScrtFns.parallel says; the caller is thread 0. In every piece rounding
 * is to nearest, subnormals are kept and exceptions masked. p may be NULL: one piece. Not from
 * within a body, and by one thread at a time. grain < 1 counts as 1; n < 1 runs nothing. */
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
