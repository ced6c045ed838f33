/* SPDX-License-Identifier: Apache-2.0 */
/* Inside codegen: the module under construction, the function builder and what the loop classes
 * share. Files: target.c module.c build.c emit_types.c emit_body.c access.c epilogue.c, then one
 * file for each loop class, then plan.c model.c (the ScrtModel) and load.c. */
#ifndef SC_CODEGEN_PRIV_H
#define SC_CODEGEN_PRIV_H

#include "codegen/codegen.h"

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

/* --- The target: facts from LLVM's feature list, never from a processor's name --------------- */

#define CG_TRIPLE "x86_64-pc-linux-gnu" /* unless another is given */

typedef enum CgF8Way { /* how FP8 weights are decoded in registers where nothing is known of them */
                       CG_F8_BITS,  /* integer operations on 32-bit lanes: every target */
                       CG_F8_F16C,  /* bits into f16, then the conversion instruction to f32 */
                       CG_F8_FP16,  /* the same with AVX512-FP16's own conversion */
                       CG_F8_TABLE, /* two-register byte permutations (VBMI) */
} CgF8Way;

typedef struct CgTarget {
    const char *triple, *cpu, *tune, *features; /* as LLVM is given them */
    uint64_t bits;     /* SCRT_CPU_ features the code may use, as 1 << bit: no others are enabled */
    uint32_t vec_bits; /* 128, 256, 512 */
    uint32_t w;        /* f32 lanes of a vector: 4, 8, 16 */
    uint32_t n_reg;    /* vector registers: 16, 32 */
    bool avx2, fma, f16c;
    bool avx512; /* F, BW, VL, DQ, CD: masks at every width */
    bool vbmi, fp16;
    CgF8Way f8;
    uint32_t tile_nv;  /* most columns of a register tile of CONTRACT, in vectors */
    uint32_t kc;       /* depth of a decoded panel */
    uint32_t cache_l2; /* bytes a thread may count on for a panel */
} CgTarget;
static inline bool cg_has(const CgTarget *t, ScrtCpu f)
{
    return t->bits >> f & 1;
}
/* False with SC_E_TARGET in cx where LLVM does not know the triple or processor. Strings are in a.
 */
bool cg_target_init(ScCtx *cx, ScArena *a, const ScCodegenOptions *opt, CgTarget *ret);

/* --- The module ------------------------------------------------------------------------------ */

typedef struct CgModule CgModule;
typedef struct CgFunc CgFunc;
typedef struct Cg Cg;

/* Makes the packed form of a constant operand: appends bytes to out. t is the operand's tensor as
 * stored (row-major, of the operand's dtype). arg: CgPack.arg. */
typedef bool (*CgPackFn)(CgModule *m, const ScrtTensor *t, const void *arg, ScStr *out);
typedef struct CgPack {
    CgPackFn fn;     /* NULL: raw, as stored */
    const void *arg; /* plain data in the module's arena, compared as bytes */
    size_t n_arg;
} CgPack;

/* A compiled kernel body: equal kernels (nested graph, which operands are constants, trait) share
 * one. The emitter of its class fills what is marked `out`. */
struct CgFunc {
    const ScGraph *g;   /* the graph of kernels */
    const ScNode *node; /* the first kernel node with this body: for messages */
    const ScGraph *sub; /* its nested graph */
    const char *name;   /* "k3" */
    uint32_t n_in, n_out;
    const ScNode *const *const_in; /* [n_in] the `const` node of g that is this operand, or NULL */
    uint64_t trait;                /* what the class's trait function said */

    bool alias;                   /* out: the result is operand 0's buffer: no entry */
    LLVMValueRef entry;           /* out: void (ptr args), see CG_ARG_ */
    CgPack *pack;                 /* out: [n_in], for constant operands only; zeroed: raw */
    const ScTerm *scratch;        /* out: bytes of scratch shared by the threads; NULL: none */
    const ScTerm *scratch_thread; /* out: bytes of scratch for each thread; NULL: none */
    const char *what;             /* out: class, variants, tile, in words; in the module's arena */
};

typedef struct CgClass {
    const char *name; /* the kernel's class attribute */
    /* Facts of constant operands' data that the code depends on; NULL: none. */
    uint64_t (*trait)(CgModule *m, const CgFunc *f);
    bool (*emit)(CgModule *m, CgFunc *f); /* false after sc_fail */
} CgClass;
extern const CgClass cg_map, cg_reduce, cg_view, cg_concat, cg_gather;
extern const CgClass cg_contract, cg_window;

struct CgModule {
    ScCtx *cx;
    const ScGraph *g;
    ScArena *arena; /* lives as long as the compilation; strings of the report are copied */
    const ScCodegenOptions *opt;
    CgTarget target;

    LLVMContextRef ctx;
    LLVMModuleRef mod;
    LLVMTargetMachineRef tm;
    LLVMTypeRef t_void, t_ptr, i1, i8, i16, i32, i64, f16, f32, f64;
    LLVMTypeRef t_body;  /* void (ptr args, i64 begin, i64 end, i32 thread): ScrtBody */
    LLVMTypeRef t_entry; /* void (ptr args) */

    /* Terms that emitted code reads from the table that run fills after the symbols are bound. */
    const ScTerm **term;
    uint32_t n_term, cap_term;

    ScStr weights; /* the packed constants so far; each entry aligned to 64 */
    struct CgPacked *packed;
    uint32_t n_packed, cap_packed;
};

/* False with errors in cx; either way cg_module_done. */
bool cg_module_init(CgModule *m, ScCtx *cx, const ScGraph *g, const ScCodegenOptions *opt);
void cg_module_done(CgModule *m);
/* An internal function with the target's attributes, and one attribute more ("alwaysinline"). */
LLVMValueRef cg_function(CgModule *m, const char *name, LLVMTypeRef type);
void cg_attribute(CgModule *m, LLVMValueRef fn, const char *name);
/* Runs the pass list; then the module as an object or text, in a. False after sc_fail. */
bool cg_optimize(CgModule *m);
bool cg_emit_module(CgModule *m, ScEmit emit, ScArena *a, void **ret, size_t *ret_n);

/* Index of a term in the table; t is not constant. */
uint32_t cg_term_index(CgModule *m, const ScTerm *t);

/* Appends bytes to the weights, aligned to 64, and answers their offset; equal bytes share. */
uint64_t cg_pack(CgModule *m, const void *bytes, size_t n);
/* Data of a `const` node of any graph, rounded to its type: made with scrt_alloc, the caller frees
 * data with scrt_free. False after sc_fail. */
bool cg_const_tensor(CgModule *m, const ScGraph *g, const ScNode *n, ScrtTensor *ret);

/* --- Building a function --------------------------------------------------------------------- */

/* What a kernel's args pointer points to: an array of pointers. */
enum {
    CG_ARG_CALL,           /* const ScrtCall * */
    CG_ARG_TERMS,          /* const int64_t *, the term table */
    CG_ARG_SCRATCH,        /* CgFunc.scratch bytes, aligned to 64 */
    CG_ARG_SCRATCH_THREAD, /* thread t's are at t * scratch_thread rounded up to 64 */
    CG_ARG_OPERANDS,       /* then operands, then results */
};

struct Cg {
    CgModule *m;
    CgFunc *f;
    LLVMBuilderRef b;  /* at the current position */
    LLVMBuilderRef eb; /* at the end of the entry block: allocas, pointers, terms */
    LLVMValueRef fn;
    LLVMBasicBlockRef entry;
    LLVMValueRef args;       /* of kernel functions */
    LLVMValueRef begin, end; /* i64, of bodies */
    LLVMValueRef thread;     /* i32, of bodies */
    struct CgCache *cache;   /* terms and pointers already loaded in this function */
    uint32_t n_cache, cap_cache;
};

/* Functions of a kernel. The builder stands in the first block after entry; cg_end_fn adds `ret
 * void`, verifies in debug builds, and frees what Cg holds. suffix distinguishes functions of a
 * kernel: k3_pack. */
void cg_begin_entry(Cg *cg, CgModule *m, CgFunc *f); /* f->entry */
LLVMValueRef cg_begin_body(Cg *cg, CgModule *m, CgFunc *f, const char *suffix);
/* Any signature; without kernel arguments unless args is set by the caller. */
LLVMValueRef cg_begin_fn(Cg *cg, CgModule *m, CgFunc *f, const char *suffix, LLVMTypeRef type);
void cg_end_fn(Cg *cg);

/* In an entry: runs body (of cg_begin_body) over [0, n) on the pool in pieces of whole grains, or
 * on this thread where n <= grain. A grain should be worth some 10 microseconds. */
void cg_parallel(Cg *cg, LLVMValueRef body, LLVMValueRef n, LLVMValueRef grain);

LLVMValueRef cg_term(Cg *cg, const ScTerm *t); /* i64; immediate where constant */
LLVMValueRef cg_operand(Cg *cg, uint32_t i);   /* ptr of kernel operand i */
LLVMValueRef cg_result(Cg *cg, uint32_t i);    /* ptr of kernel result i */
LLVMValueRef cg_scratch(Cg *cg);               /* ptr */
LLVMValueRef cg_scratch_thread(Cg *cg);        /* ptr of this thread's, in bodies */

const ScTerm *cg_round64(CgModule *m, const ScTerm *t); /* up to a multiple of 64 */
/* A function of libm.def on n doubles, through the runtime. */
LLVMValueRef cg_libm(Cg *cg, uint32_t fn, uint32_t n, LLVMValueRef const *x);

/* Values. Vectors of one lane are scalars. */
LLVMTypeRef cg_vec(LLVMTypeRef element, uint32_t w);
LLVMValueRef cg_int(Cg *cg, int64_t x);           /* i64 */
LLVMValueRef cg_iconst(LLVMTypeRef t, int64_t x); /* integer or vector of them */
LLVMValueRef cg_fconst(LLVMTypeRef t, double x);  /* float or vector of them */
LLVMValueRef cg_splat(Cg *cg, LLVMValueRef x, uint32_t w);
LLVMValueRef cg_mul_int(Cg *cg, LLVMValueRef a, LLVMValueRef b); /* i64; folds 0 and 1 */
LLVMValueRef cg_add_int(Cg *cg, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef cg_min_int(Cg *cg, LLVMValueRef a, LLVMValueRef b);  /* signed */
LLVMValueRef cg_cdiv_int(Cg *cg, LLVMValueRef a, LLVMValueRef b); /* a >= 0, b > 0 */
LLVMValueRef cg_gep(Cg *cg, LLVMTypeRef element, LLVMValueRef base, LLVMValueRef index);
/* a * b + c: fused where the target has it, else two roundings. For CONTRACT and REDUCE only. */
LLVMValueRef cg_fma(Cg *cg, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c);
/* A call of an LLVM intrinsic, overloaded on types. */
LLVMValueRef cg_intrinsic(Cg *cg, const char *name, uint32_t n_type, LLVMTypeRef *type, uint32_t n,
                          LLVMValueRef *arg);
void cg_prefetch(Cg *cg, LLVMValueRef ptr); /* for reading, into L1 */

/* Variables: allocas in the entry block, which the pass list turns into registers. */
LLVMValueRef cg_var(Cg *cg, LLVMTypeRef t, LLVMValueRef init); /* init may be NULL */
LLVMValueRef cg_get(Cg *cg, LLVMTypeRef t, LLVMValueRef var);
void cg_set(Cg *cg, LLVMValueRef var, LLVMValueRef x);

/* for (i = begin; i < end; i += step), signed. Between cg_for and cg_next the builder is inside. */
typedef struct CgLoop {
    LLVMValueRef i, step;
    LLVMBasicBlockRef head, exit;
} CgLoop;
CgLoop cg_for(Cg *cg, LLVMValueRef begin, LLVMValueRef end, LLVMValueRef step);
void cg_next(Cg *cg, const CgLoop *l);

typedef struct CgIf {
    LLVMBasicBlockRef other, done;
    bool has_else;
} CgIf;
CgIf cg_if(Cg *cg, LLVMValueRef cond);
void cg_else(Cg *cg, CgIf *i);
void cg_endif(Cg *cg, CgIf *i);

/* A loop over [begin, end) in vectors of w lanes: body is emitted for whole vectors, then for the
 * tail: with a mask where the target masks everything (avx512), else one lane at a time. Element
 * by element both give equal bits. mask is NULL for whole vectors and single lanes. Where the
 * planted fault is on there is no tail. */
typedef void (*CgLanes)(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask);
void cg_lanes(Cg *cg, LLVMValueRef begin, LLVMValueRef end, uint32_t w, CgLanes body, void *arg);
/* Lanes 0 .. n - 1 of w, as <w x i1>; n is i64. */
LLVMValueRef cg_mask(Cg *cg, LLVMValueRef n, uint32_t w);

/* --- Elements -------------------------------------------------------------------------------- */

/* w elements in registers, as they are computed with: floats below 32 bits as f32, bools as i1,
 * the rest as themselves. */
typedef struct CgVal {
    LLVMValueRef v;
    ScrtDtype t;       /* the type of the elements; v is rounded to it */
    LLVMValueRef code; /* the stored form where it is at hand, else NULL */
} CgVal;

LLVMTypeRef cg_compute_type(CgModule *m, ScrtDtype t); /* of one element in registers */
LLVMTypeRef cg_storage_type(CgModule *m, ScrtDtype t); /* of one element in memory */
/* False with SC_E_LOWER for types that kernels do not load or store (strings, complex, packed
 * types of fewer than 8 bits). */
bool cg_type_ok(CgModule *m, const ScLoc *loc, ScrtDtype t);

/* Elements index .. index + w - 1 of an array, contiguous. Lanes outside the mask are not read and
 * are 0. mask may be NULL. Alignment is the element's. */
CgVal cg_load(Cg *cg, ScrtDtype t, LLVMValueRef base, LLVMValueRef index, uint32_t w,
              LLVMValueRef mask);
/* The same with a distance of stride elements (i64): 0 splats, 1 is cg_load. */
CgVal cg_load_strided(Cg *cg, ScrtDtype t, LLVMValueRef base, LLVMValueRef index,
                      LLVMValueRef stride, uint32_t w, LLVMValueRef mask);
void cg_store(Cg *cg, CgVal x, LLVMValueRef base, LLVMValueRef index, uint32_t w,
              LLVMValueRef mask);
/* Compute vector x (f32, f64) rounded to the float type t, as scrt_round: x.code and x.v are set.
 * Nothing to do for f32 from f32. */
CgVal cg_round(Cg *cg, ScrtDtype t, LLVMValueRef x, bool saturate, ScrtRound mode);
/* Stored bit patterns (i8, i16 vectors) to f32, exactly. */
LLVMValueRef cg_decode(Cg *cg, ScrtDtype t, LLVMValueRef code);

/* --- Bodies and nodes ------------------------------------------------------------------------ */

/* Emits body for w lanes: in[i] is operand i, ret[] receives the values of result[0 .. n). */
void cg_body(Cg *cg, const ScBody *body, const CgVal *in, uint32_t w, uint32_t n, const ScX *result,
             CgVal *ret);
/* Whether a result of type t saturates: floats of 8 bits or fewer do, unless a cast says otherwise.
 */
bool cg_saturates(const ScNode *n, ScrtDtype t);
/* A value of any compute type as a result of node n of type t: converted and rounded. */
CgVal cg_result_value(Cg *cg, const ScNode *n, ScrtDtype t, CgVal x, uint32_t w);
/* (a > b or a is NaN) ? a : b, or the same with <. */
LLVMValueRef cg_min_max(Cg *cg, bool max, CgVal a, CgVal b);
/* Emits a MAP node on its operands' elements; results are rounded to the node's types. */
void cg_node(Cg *cg, const ScGraph *sub, const ScNode *n, const CgVal *in, uint32_t w, CgVal *ret);
/* The same with operands and results in an array of all values of the nested graph. */
void cg_node_of(Cg *cg, const ScGraph *sub, const ScNode *n, CgVal *x, uint32_t w);
CgVal cg_splat_val(Cg *cg, CgVal x, uint32_t w); /* of one lane */
/* A REDUCE node's `body` on an element, or `post` on what was combined; the identity where NULL. */
CgVal cg_reduce_part(Cg *cg, const ScGraph *sub, const ScNode *n, bool post, CgVal x, uint32_t w);

/* --- Where elements of an operand lie -------------------------------------------------------- */

/* The composed view from value v of a nested graph down to the input or constant that it views. */
bool cg_view_of(CgModule *m, const ScGraph *sub, ScVal v, ScView *ret, ScVal *ret_root);

/* Element (i0, i1, ...) of an iteration space reads operand's element offset + sum i * stride. */
typedef struct CgAccess {
    int32_t operand;                     /* of the kernel; -1: a constant of one element */
    ScVal root;                          /* the input or constant of the nested graph */
    uint32_t rank;                       /* of the space */
    const ScTerm *stride[SCRT_MAX_RANK]; /* elements; 0 where v is broadcast */
    const ScTerm *offset;
    const ScTerm *scratch; /* where a copy of the operand lies in the kernel's scratch, in bytes;
                            * NULL: read the operand itself */
} CgAccess;
/* Value v (an input, a constant, or views of one) broadcast to a space. False after sc_fail where
 * the views cannot be said by strides. */
bool cg_access(CgModule *m, const CgFunc *f, ScVal v, uint32_t rank, const ScTerm *const *dim,
               CgAccess *ret);
/* offset + sum over the first n dims of idx * stride, i64. */
LLVMValueRef cg_address(Cg *cg, const CgAccess *a, uint32_t n, LLVMValueRef const *idx);
/* w elements from address on, along a dimension of the given stride. */
CgVal cg_access_load(Cg *cg, const CgAccess *a, LLVMValueRef address, const ScTerm *stride,
                     uint32_t w, LLVMValueRef mask);
/* Whether dims from .. to - 1 of a space may be walked as one: in each access every stride is the
 * next one times its extent. Then the stride of that walk. */
bool cg_merge(CgModule *m, uint32_t n, const CgAccess *a, uint32_t from, uint32_t to,
              const ScTerm *const *dim);
const ScTerm *cg_merged_stride(CgModule *m, const CgAccess *a, uint32_t from, uint32_t to,
                               const ScTerm *const *dim);
/* Row-major strides of a type; whether a view walks its buffer in order from the beginning. */
bool cg_is_dense(CgModule *m, const ScView *v);
void cg_dense(CgModule *m, const ScType *t, const ScTerm **ret_stride);

bool cg_is_access(const ScGraph *g, ScVal v); /* an input, a constant or a view: is loaded */

/* A space of rows: outer dims, then inner ones, each of them as few as the accesses allow. */
typedef struct CgSpace {
    uint32_t rank, n_outer;
    const ScTerm *dim[SCRT_MAX_RANK];
    const ScTerm *outer, *inner; /* their products */
} CgSpace;
/* Collapses dims (never one of the first n_outer with a later one) and rewrites the accesses. */
void cg_space_init(CgModule *m, CgSpace *s, uint32_t rank, const ScTerm *const *dim,
                   uint32_t n_outer, uint32_t n, CgAccess *a);
/* A flat index as indices of n dims, row-major. */
void cg_unflatten(Cg *cg, LLVMValueRef i, uint32_t n, const ScTerm *const *dim,
                  LLVMValueRef *ret_idx);
/* An access that is contiguous along dim p of a space but walked along its last dim, q. */
typedef struct CgTranspose {
    CgAccess from;
    ScrtDtype t;
    uint32_t p, q;
    const ScTerm *dim[SCRT_MAX_RANK];    /* of the copy: 1 where the operand is broadcast */
    const ScTerm *stride[SCRT_MAX_RANK]; /* of the copy: dense, 0 where it is broadcast */
    const ScTerm *count, *scratch;       /* elements; bytes into scratch, NULL: result 0 */
} CgTranspose;
bool cg_transposed(CgModule *m, const CgFunc *f, const CgAccess *a, const ScTerm *const *dim,
                   CgTranspose *ret);
/* The copy: its body function (or those of n copies), and in an entry its run on the pool. */
LLVMValueRef cg_transpose_body(CgModule *m, CgFunc *f, const CgTranspose *t, const char *suffix);
LLVMValueRef *cg_transpose_bodies(CgModule *m, CgFunc *f, uint32_t n, const CgTranspose *t);
void cg_transpose_run(Cg *cg, const CgTranspose *t, LLVMValueRef body);
/* Gives every such access of a kernel a copy in scratch: rewrites the accesses, fills ret [n],
 * returns how many there are. */
uint32_t cg_transpose_operands(CgModule *m, CgFunc *f, uint32_t n, CgAccess *a,
                               const ScTerm *const *dim, CgTranspose *ret);
const char *cg_transpose_text(CgModule *m, uint32_t n); /* for CgFunc.what */
/* Instructions of a MAP or REDUCE node's body; 0 for others. */
uint32_t cg_cost(const ScGraph *g, const ScNode *n, ScArena *scratch);
/* Elements of a nested graph's space that are worth a thread, and rows of so many elements. */
int64_t cg_element_grain(const ScGraph *g);
LLVMValueRef cg_row_grain(Cg *cg, const ScTerm *inner);

/* --- Epilogues: the MAP nodes after a CONTRACT, WINDOW, CONCAT or GATHER node ----------------- */

/*     CgEpi *e = cg_epi_new(m, f, anchor);
 *     ... in a function:  CgEpiRow r = cg_epi_row(cg, e, idx, n_idx);     once a row
 *                         cg_epi_store(cg, e, &r, col, acc, w, mask);     for each vector of it
 *
 * The result's dims are split: idx holds the indices of the first n_idx, the rest together are the
 * column, counted in elements. */
typedef struct CgEpi CgEpi;
CgEpi *cg_epi_new(CgModule *m, CgFunc *f, const ScNode *anchor); /* NULL after sc_fail */
/* True where the dims from n_idx on may be one column: no operand is broadcast over some of them
 * only. True whenever it is one dim or none. */
bool cg_epi_mergeable(const CgEpi *e, uint32_t n_idx);
enum { CG_EPI_MAX = 32 }; /* operands and results of an epilogue */
typedef struct CgEpiRow {
    uint32_t n_idx;
    LLVMValueRef at[CG_EPI_MAX + 1], result; /* i64 element addresses of operands, of results */
} CgEpiRow;
CgEpiRow cg_epi_row(Cg *cg, const CgEpi *e, LLVMValueRef const *idx, uint32_t n_idx);
/* Elements at column col of the anchor's bias, in their compute type; operand is its index. */
CgVal cg_epi_operand(Cg *cg, const CgEpi *e, const CgEpiRow *r, uint32_t operand, LLVMValueRef col,
                     uint32_t w, LLVMValueRef mask);
/* x: w elements of the anchor's result, of its type. Evaluates the MAP nodes and
 * stores every result of the kernel. */
void cg_epi_store_val(Cg *cg, const CgEpi *e, const CgEpiRow *r, LLVMValueRef col, CgVal x,
                      uint32_t w, LLVMValueRef mask);
/* The same, acc: w elements of the anchor's result before rounding to its type (f32 or f64, or the
 * integer type). */
void cg_epi_store(Cg *cg, const CgEpi *e, const CgEpiRow *r, LLVMValueRef col, LLVMValueRef acc,
                  uint32_t w, LLVMValueRef mask);

#endif
