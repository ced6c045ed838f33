/* SPDX-License-Identifier: Apache-2.0 */
/* The vocabulary of emitted code: functions, loops and branches; elements between memory and
 * registers; scalar bodies on vectors; where operands lie; what follows a leader. */
#ifndef SC_CODEGEN_EMIT_H
#define SC_CODEGEN_EMIT_H

#include "codegen/module.h"

typedef struct Cg Cg;

/* --- Building a function --------------------------------------------------------------------- */

/* What a kernel's args pointer points to: an array of pointers. */
enum {
    CG_ARG_CALL = SCRT_ARG_CALL,      /* const ScrtCall * */
    CG_ARG_PARAMS = SCRT_ARG_PARAMS,  /* const int64_t *: CgFunc.term */
    CG_ARG_SCRATCH = SCRT_ARG_PLACES, /* CgFunc.scratch bytes, aligned to 64 */
    CG_ARG_SCRATCH_THREAD,            /* thread t's are at t * scratch_thread rounded up to 64 */
    CG_ARG_OPERANDS,                  /* then operands, then results */
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
/* The same on other arguments: those of cg_more_args. */
void cg_parallel_args(Cg *cg, LLVMValueRef body, LLVMValueRef args, LLVMValueRef n,
                      LLVMValueRef grain);
/* One body for several runs that differ in n words. In an entry: a copy of the kernel's arguments
 * with n words behind them, set before each run; it lasts as long as the entry. In the body: word i
 * as a t, ptr or i64. */
LLVMValueRef cg_more_args(Cg *cg, uint32_t n);
void cg_set_more(Cg *cg, LLVMValueRef args, uint32_t i, LLVMValueRef x);
LLVMValueRef cg_more(Cg *cg, uint32_t i, LLVMTypeRef t);
LLVMValueRef cg_threads(Cg *cg); /* i64: of the pool */

LLVMValueRef cg_term(Cg *cg, const ScTerm *t); /* i64; immediate where constant */
LLVMValueRef cg_operand(Cg *cg, uint32_t i);   /* ptr of kernel operand i */
LLVMValueRef cg_result(Cg *cg, uint32_t i);    /* ptr of kernel result i */
LLVMValueRef cg_scratch(Cg *cg);               /* ptr */
LLVMValueRef cg_scratch_thread(Cg *cg);        /* ptr of this thread's, in bodies */

/* Debug lines, where they are asked for. A function of kernel f begins at its kernel's line; what
 * is emitted next serves node n of f->sub, or NULL: its leader. */
void cg_lines_function(Cg *cg);
void cg_lines_at(Cg *cg, const ScNode *n);

const ScTerm *cg_round64(CgModule *m, const ScTerm *t); /* up to a multiple of 64 */
/* A function of libm.def on n doubles, through the runtime. */
LLVMValueRef cg_libm(Cg *cg, uint32_t fn, uint32_t n, LLVMValueRef const *x);

/* Values. Vectors of one lane are scalars. */
LLVMTypeRef cg_vec(LLVMTypeRef element, uint32_t w);
LLVMValueRef cg_int(Cg *cg, int64_t x);           /* i64 */
LLVMValueRef cg_iconst(LLVMTypeRef t, int64_t x); /* integer or vector of them */
LLVMValueRef cg_fconst(LLVMTypeRef t, double x);  /* float or vector of them */
LLVMValueRef cg_splat(Cg *cg, LLVMValueRef x, uint32_t w);
/* Lanes from .. from + n - 1 of vector x, n at most 64, those beyond its last undefined. */
LLVMValueRef cg_take(Cg *cg, LLVMValueRef x, uint32_t from, uint32_t n);
/* n vectors of equal width as one, in order; n a power of two. x is scratch afterwards. */
LLVMValueRef cg_join(Cg *cg, LLVMValueRef *x, uint32_t n);
LLVMValueRef cg_mul_int(Cg *cg, LLVMValueRef a, LLVMValueRef b); /* i64; folds 0 and 1 */
LLVMValueRef cg_add_int(Cg *cg, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef cg_min_int(Cg *cg, LLVMValueRef a, LLVMValueRef b); /* signed */
LLVMValueRef cg_max_int(Cg *cg, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef cg_cdiv_int(Cg *cg, LLVMValueRef a, LLVMValueRef b); /* a >= 0, b > 0 */
LLVMValueRef cg_gep(Cg *cg, LLVMTypeRef element, LLVMValueRef base, LLVMValueRef index);
LLVMValueRef cg_shl(Cg *cg, LLVMValueRef x, int64_t n);    /* x << n */
LLVMValueRef cg_and(Cg *cg, LLVMValueRef x, int64_t bits); /* x & bits */
/* a * b + c: fused where the target has it, else two roundings. For CONTRACT and REDUCE only. */
LLVMValueRef cg_fma(Cg *cg, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c);
/* quotient.c: x / by, as SC_X_QUOTIENT says; by and most may be constants. */
LLVMValueRef cg_quotient(Cg *cg, LLVMValueRef x, LLVMValueRef by, LLVMValueRef most);
/* A call of an LLVM intrinsic, overloaded on types. */
LLVMValueRef cg_intrinsic(Cg *cg, const char *name, uint32_t n_type, LLVMTypeRef *type, uint32_t n,
                          LLVMValueRef *arg);
void cg_prefetch(Cg *cg, LLVMValueRef ptr, uint32_t keep); /* for reading: 3 into L1, 2 into L2 */

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

/* In an entry: runs body over [0, n) so that a thread which begins late or is disturbed is not
 * waited for: each has a piece of one half, and of the other whoever is done takes `unit` items at
 * a time; all are pieces where there are few units or small ones. The body walks its items from
 * cg_items to cg_items_next, by the same n and unit, and has no other words behind its arguments.
 */
typedef struct CgItems {
    LLVMValueRef i; /* the item */
    LLVMValueRef n, unit, to;
    CgLoop some, each;
} CgItems;
void cg_parallel_items(Cg *cg, LLVMValueRef body, LLVMValueRef n, LLVMValueRef unit,
                       LLVMValueRef grain);
CgItems cg_items(Cg *cg, LLVMValueRef n, LLVMValueRef unit);
void cg_items_next(Cg *cg, CgItems *s);

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
/* As cg_lanes, for groups of `at_once` vectors as one of w * at_once lanes first: a power of two.
 */
void cg_lanes_at_once(Cg *cg, LLVMValueRef begin, LLVMValueRef end, uint32_t w, uint32_t at_once,
                      CgLanes body, void *arg);
/* As cg_lanes_at_once, for at most `most` vectors, without a loop where the target masks or they
 * are known to be whole, all of them. */
void cg_lanes_unrolled(Cg *cg, LLVMValueRef begin, LLVMValueRef end, uint32_t w, uint32_t at_once,
                       uint32_t most, bool whole, CgLanes body, void *arg);
/* Lanes 0 .. n - 1 of w, as <w x i1>; n is i64. */
LLVMValueRef cg_mask(Cg *cg, LLVMValueRef n, uint32_t w);

/* w vectors of w lanes as a matrix: v[i][j] becomes v[j][i]. */
void cg_turn(Cg *cg, LLVMValueRef *v, uint32_t w);

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
/* False with SC_E_LOWER for types that kernels do not load or store (complex, packed
 * types of fewer than 8 bits). */
bool cg_type_ok(CgModule *m, const ScLoc *loc, ScrtDtype t);

/* Elements index .. index + w - 1 of an array, contiguous. Lanes outside the mask are not read and
 * are 0. mask may be NULL. Alignment is the element's. */
CgVal cg_load(Cg *cg, ScrtDtype t, LLVMValueRef base, LLVMValueRef index, uint32_t w,
              LLVMValueRef mask);
/* The same with a distance of stride elements (i64): 0 splats, 1 is cg_load. */
CgVal cg_load_strided(Cg *cg, ScrtDtype t, LLVMValueRef base, LLVMValueRef index,
                      LLVMValueRef stride, uint32_t w, LLVMValueRef mask);
/* Elements at index, <w x i64>, all of which exist. */
CgVal cg_load_at(Cg *cg, ScrtDtype t, LLVMValueRef base, LLVMValueRef index, uint32_t w);
void cg_store(Cg *cg, CgVal x, LLVMValueRef base, LLVMValueRef index, uint32_t w,
              LLVMValueRef mask);
/* The same past the caches, but for tails: for what is larger than they are, memory need not be
 * read to be written. Vectors lie at multiples of their size, for which cg_lanes_past cares; a
 * function that stores so ends in cg_store_fence. */
void cg_store_past(Cg *cg, CgVal x, LLVMValueRef base, LLVMValueRef index, uint32_t w,
                   LLVMValueRef mask);
void cg_store_fence(Cg *cg);
bool cg_is_past_caches(CgModule *m, const ScType *t);
/* As cg_lanes_at_once, with a tail before the first vector, so that vectors of t lie at multiples
 * of their size; index: of the element of base that belongs to `begin`. */
void cg_lanes_past(Cg *cg, LLVMValueRef begin, LLVMValueRef end, uint32_t w, uint32_t at_once,
                   ScrtDtype t, LLVMValueRef base, LLVMValueRef index, CgLanes body, void *arg);
/* Compute vector x (f32, f64) rounded to the float type t, as scrt_round: x.code and x.v are set.
 * Nothing to do for f32 from f32. */
CgVal cg_round(Cg *cg, ScrtDtype t, LLVMValueRef x, bool saturate, ScrtRound mode);
/* Stored bit patterns (i8, i16 vectors) to f32, exactly. */
LLVMValueRef cg_decode(Cg *cg, ScrtDtype t, LLVMValueRef code);

/* The same for FP8 codes where the target has a shorter way than integer operations; else false. */
bool cg_decode_in_order(Cg *cg, ScrtDtype t, LLVMValueRef code, LLVMValueRef *ret);
/* Byte `shift / 8` of the f32 of each FP8 code 0 .. 127, as the two registers of vpermi2b. */
void cg_f8_table(Cg *cg, ScrtDtype t, int shift, LLVMValueRef ret[2]);

/* --- Bodies and nodes ------------------------------------------------------------------------ */

/* Emits body for w lanes: in[i] is operand i, ret[] receives the values of result[0 .. n). */
void cg_body(Cg *cg, const ScBody *body, const CgVal *in, uint32_t w, uint32_t n, const ScX *result,
             CgVal *ret);
/* A value of any compute type as a result of node n of type t: converted and rounded. */
CgVal cg_result_value(Cg *cg, const ScNode *n, ScrtDtype t, CgVal x, uint32_t w);
/* (a > b or a is NaN) ? a : b, or the same with <. */
LLVMValueRef cg_min_max(Cg *cg, bool max, CgVal a, CgVal b);
/* What changes nothing under a monoid, as a compute vector; x and y of type t combined. */
LLVMValueRef cg_neutral(LLVMTypeRef v, ScrtDtype t, ScMonoid monoid);
LLVMValueRef cg_combine(Cg *cg, ScMonoid monoid, ScrtDtype t, LLVMValueRef x, LLVMValueRef y);
/* The w lanes of v, a power of two, combined, halves at a time. */
LLVMValueRef cg_across(Cg *cg, ScMonoid monoid, ScrtDtype t, LLVMValueRef v, uint32_t w);
/* Emits a MAP node on its operands' elements; results are rounded to the node's types. */
void cg_node(Cg *cg, const ScGraph *sub, const ScNode *n, const CgVal *in, uint32_t w, CgVal *ret);
/* The same with operands and results in an array of all values of the nested graph. */
void cg_node_of(Cg *cg, const ScGraph *sub, const ScNode *n, CgVal *x, uint32_t w);
CgVal cg_splat_val(Cg *cg, CgVal x, uint32_t w); /* of one lane */
/* A REDUCE node's `body` on an element, or `post` on what count elements were combined to; the
 * identity where NULL. */
CgVal cg_reduce_body(Cg *cg, const ScGraph *sub, const ScNode *n, CgVal x, uint32_t w);
CgVal cg_reduce_post(Cg *cg, const ScGraph *sub, const ScNode *n, const ScTerm *count, CgVal x);

/* --- Where elements of an operand lie -------------------------------------------------------- */

/* The composed view from value v of a kernel's graph down to the input or constant that it views.
 * Of f: sub and lay_in. */
bool cg_view_of(CgModule *m, const CgFunc *f, ScVal v, ScView *ret, ScVal *ret_root);

/* Element (i0, i1, ...) of an iteration space reads operand's element offset + sum i * stride. */
typedef struct CgAccess {
    int32_t operand; /* of the kernel; -1: a constant of one element, or row iota */
    bool index;      /* row iota: the element is its own address */
    ScVal root;      /* the input, constant or iota of the nested graph */
    ScVal way;       /* what MAP nodes on the way compute of it, as it is loaded; SC_POISON: none */
    uint32_t rank;   /* of the space */
    const ScTerm *stride[SCRT_MAX_RANK]; /* elements; 0 where v is broadcast */
    const ScTerm *offset;
    const ScTerm *scratch; /* where a copy of the operand lies in the kernel's scratch, in bytes;
                            * NULL: read the operand itself */
    const ScTerm *number;  /* of a constant: the bits of its element in a register */
} CgAccess;
static inline bool cg_is_constant(const CgAccess *a)
{
    return a->operand < 0 && !a->index;
}
/* Value v (an input, a constant, row iota, or views of one) broadcast to a space. False after
 * sc_fail where the views cannot be said by strides. */
bool cg_access(CgModule *m, const CgFunc *f, ScVal v, uint32_t rank, const ScTerm *const *dim,
               CgAccess *ret);
/* The same of elements that nothing loads before they are packed: of any type. */
bool cg_access_packed(CgModule *m, const CgFunc *f, ScVal v, uint32_t rank,
                      const ScTerm *const *dim, CgAccess *ret);
/* offset + sum over the first n dims of idx * stride, i64. */
LLVMValueRef cg_address(Cg *cg, const CgAccess *a, uint32_t n, LLVMValueRef const *idx);
/* w elements from address on, along a dimension of the given stride. */
CgVal cg_access_load(Cg *cg, const CgAccess *a, LLVMValueRef address, const ScTerm *stride,
                     uint32_t w, LLVMValueRef mask);
/* The same at w addresses, <w x i64>, all of which exist. */
CgVal cg_access_load_at(Cg *cg, const CgAccess *a, LLVMValueRef address, uint32_t w);
/* Where the element at `address` lies, of an access to an operand. */
LLVMValueRef cg_access_pointer(Cg *cg, const CgAccess *a, LLVMValueRef address);
/* The parts of a shape. A term: an extent or a stride, of which 0 and 1 are words, since code asks
 * for them; any: its number is never asked for, or it may be NULL. */
void cg_shape_word(CgShape *s, uint64_t word);
void cg_shape_term(CgShape *s, const ScTerm **term);
void cg_shape_terms(CgShape *s, uint32_t n, const ScTerm **term); /* [n] */
void cg_shape_any(CgShape *s, const ScTerm **term);
void cg_shape_access(const CgFunc *f, CgShape *s, CgAccess *a);
/* The MAP and REDUCE nodes, and what is a result. */
void cg_shape_nodes(const CgFunc *f, CgShape *s);

/* Whether dims from .. to - 1 of a space may be walked as one: in each access every stride is the
 * next one times its extent. Then the stride of that walk. */
bool cg_merge(CgModule *m, uint32_t n, const CgAccess *a, uint32_t from, uint32_t to,
              const ScTerm *const *dim);
const ScTerm *cg_merged_stride(CgModule *m, const CgAccess *a, uint32_t from, uint32_t to,
                               const ScTerm *const *dim);
/* The strides of a value of this type that lies so. */
void cg_strides(CgModule *m, const ScType *t, CgLay lay, const ScTerm **ret_stride);

/* Where result i of a kernel lies, in the space of its own extents; for addresses only. */
CgAccess cg_result_access(CgModule *m, const CgFunc *f, uint32_t i);

bool cg_is_access(const ScGraph *g, ScVal v); /* an input, a constant or a view: is loaded */

/* A space of rows: outer dims, then inner ones, each of them as few as the accesses allow. */
typedef struct CgSpace {
    uint32_t rank, n_outer;
    const ScTerm *dim[SCRT_MAX_RANK];
    const ScTerm *outer, *inner; /* their products */
} CgSpace;
/* dim[from] * ... * dim[to - 1] */
const ScTerm *cg_product(CgModule *m, uint32_t from, uint32_t to, const ScTerm *const *dim);
/* Collapses dims (never one of the first n_outer with a later one) and rewrites the accesses. */
void cg_space_init(CgModule *m, CgSpace *s, uint32_t rank, const ScTerm *const *dim,
                   uint32_t n_outer, uint32_t n, CgAccess *a);
/* A flat index as indices of n dims, row-major. */
void cg_unflatten(Cg *cg, LLVMValueRef i, uint32_t n, const ScTerm *const *dim,
                  LLVMValueRef *ret_idx);
/* Instructions of a MAP or REDUCE node's body; 0 for others. */
uint32_t cg_cost(const ScGraph *g, const ScNode *n, ScArena *scratch);
/* How many vectors of what some nodes compute are computed at once, instruction by instruction. A
 * long body is a chain: a processor that looks ahead by a hundred instructions or so would wait for
 * each of them. A short one waits for memory. */
typedef struct CgChain {
    uint32_t cost; /* instructions for an element */
    bool lanes;    /* some of them go lane by lane, or fill two registers: one vector at a time */
} CgChain;
void cg_chain_add(CgChain *k, const ScGraph *g, const ScNode *n, ScArena *scratch);
/* An access along a dimension of this stride. */
void cg_chain_access(CgChain *k, const ScTerm *stride);
/* A power of two, at most CG_AT_ONCE. columns: how many elements there are, of which no more than
 * all are computed at once; or NULL. */
enum { CG_AT_ONCE = 4 };
uint32_t cg_at_once(const CgModule *m, const CgChain *k, const ScTerm *columns);
/* Elements of a nested graph's space that are worth a thread, and rows of so many elements. */
int64_t cg_element_grain(const ScGraph *g);
LLVMValueRef cg_row_grain(Cg *cg, const ScTerm *inner);

/* --- Epilogues: the MAP nodes after the node that leads ----------------------------------- */

/*     CgEpi *e = cg_epi_new(m, f, leader);
 *     ... in a function:  CgEpiRow r = cg_epi_row(cg, e, idx, n_idx);     once a row
 *                         cg_epi_store(cg, e, &r, col, acc, w, mask);     for each vector of it
 *
 * The result's dims are split: idx holds the indices of the first n_idx, the rest together are the
 * column, counted in elements. */
typedef struct CgEpi CgEpi;
CgEpi *cg_epi_new(CgModule *m, CgFunc *f, const ScNode *leader); /* NULL after sc_fail */
/* True where the dims from n_idx on may be one column: no operand is broadcast over some of them
 * only, and the results are dense there. True whenever it is one dim or none. */
bool cg_epi_mergeable(const CgEpi *e, uint32_t n_idx);
/* Of what cg_epi_row and cg_epi_store_val read: extents of the result but for those that are 1 are
 * not among it. */
void cg_epi_shape(CgEpi *e, CgShape *s);
typedef struct CgEpiRow {
    uint32_t n_idx;
    LLVMValueRef at[SC_EPILOGUE_MAX + 1]; /* i64 element addresses of operands, then results */
    const struct CgEpiRow *beside;        /* a row more that is computed at once, or NULL */
} CgEpiRow;
/* Makes n rows neighbours, in order. */
static inline void cg_epi_beside(CgEpiRow *r, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        r[i].beside = i + 1 < n ? &r[i + 1] : NULL;
}
CgEpiRow cg_epi_row(Cg *cg, const CgEpi *e, LLVMValueRef const *idx, uint32_t n_idx);
/* The same for indices that are counted as one, row-major: without a division where no operand is
 * broadcast over some of them only. */
CgEpiRow cg_epi_flat_row(Cg *cg, const CgEpi *e, LLVMValueRef row, uint32_t n_idx);
/* Whether rows load elements of their own, as a residual is; and asks memory for those of columns
 * col .. col + n - 1, which need not be there. */
bool cg_epi_waits(const CgEpi *e, uint32_t n_idx);
void cg_epi_ask(Cg *cg, const CgEpi *e, const CgEpiRow *r, LLVMValueRef col, uint32_t n);
/* acc, w sums at column col, plus the leader's bias where it has one. Here and below: of rows
 * beside one another w elements of each, row by row, as one vector. */
LLVMValueRef cg_epi_add_bias(Cg *cg, const CgEpi *e, const CgEpiRow *r, LLVMValueRef col,
                             LLVMValueRef acc, uint32_t w, LLVMValueRef mask);
/* x: w elements of the leader's result, of its type. Evaluates the MAP nodes and
 * stores every result of the kernel. */
void cg_epi_store_val(Cg *cg, const CgEpi *e, const CgEpiRow *r, LLVMValueRef col, CgVal x,
                      uint32_t w, LLVMValueRef mask);
/* How many vectors are given to cg_epi_store at once, of one row or of rows beside one another. */
uint32_t cg_epi_at_once(const CgEpi *e, const ScTerm *columns);
/* The same, acc: w elements of the leader's result before rounding to its type (f32 or f64, or the
 * integer type). */
void cg_epi_store(Cg *cg, const CgEpi *e, const CgEpiRow *r, LLVMValueRef col, LLVMValueRef acc,
                  uint32_t w, LLVMValueRef mask);
/* How many vectors are given to cg_epi_store at once. */
uint32_t cg_epi_at_once(const CgEpi *e, const ScTerm *columns);

#endif
