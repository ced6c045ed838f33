/* SPDX-License-Identifier: Apache-2.0 */
/* The module under construction: what every room of codegen holds in its hands. */
#ifndef SC_CODEGEN_MODULE_H
#define SC_CODEGEN_MODULE_H

#include "codegen/target.h"
#include "codegen/weights.h"

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

typedef struct CgModule CgModule;
typedef struct CgFunc CgFunc;
typedef struct CgListing CgListing;

/* How a value lies: row-major, but that the elements of two neighbours along the last dim before
 * `axis` lie pitch elements apart, and those of the dims before that accordingly. */
typedef struct CgLay {
    uint32_t axis;
    const ScTerm *pitch; /* NULL: dense */
} CgLay;

/* A compiled kernel body: equal kernels (formal graph, which operands are constants, trait) share
 * one. The emitter of its class fills what is marked `out`. */
struct CgFunc {
    const CgTarget *target; /* what it is compiled for */
    const ScGraph *g;       /* the graph of kernels */
    const ScNode *node;     /* the first kernel node with this body: for messages */
    const ScGraph *sub;     /* its nested graph, in formal symbols: see program/formal.c */
    uint64_t hash;          /* of sub */
    const char *name;       /* "k3" */
    uint32_t n_in, n_out;
    const ScNode *const *const_in; /* [n_in] the `const` node of g that is this operand, or NULL */
    const CgLay *lay_in, *lay_out; /* [n_in], [n_out] pitches are formal symbols */
    const bool *placed; /* of a concatenation: which operands are in their place; or NULL */
    uint64_t trait;     /* what the class's trait function said */
    void *loop;         /* what its plan function made, in m->plans */
    CgFunc *next;       /* of those whose hash has the same place: program/kernels.c */

    /* share.c: the function that serves in place of this and others like it, maybe this, whose
     * symbols q0, q1 ... stand for own [n_own], in formal symbols of this one; NULL: none does. */
    CgFunc *general;
    const char *const *own_name; /* [n_own] the symbols */
    const ScTerm **own;
    uint32_t n_own;

    bool alias;                   /* the result lies in operand 0: no entry */
    bool idle;                    /* out: all is in its place: no entry */
    const ScCall *call;           /* out: a function of the runtime is called: no entry */
    LLVMValueRef entry;           /* out: void (ptr args), see CG_ARG_ */
    CgPack *pack;                 /* out: [n_in], for constant operands only; zeroed: raw */
    const ScTerm *scratch;        /* out: bytes of scratch shared by the threads; NULL: none */
    const ScTerm *scratch_thread; /* out: bytes of scratch for each thread; NULL: none */
    const ScTerm **term;          /* out: [n_term] its parameters, in order */
    uint32_t n_term, cap_term;
    uint32_t index;   /* of ScrtEntry.fn */
    const char *what; /* out: class, variants, tile, in words; in the module's arena */
};

/* A function but for its numbers: two whose words are equal differ in these terms alone. Where
 * there are many of them one serves all, and finds what differs among its parameters
 * (program/share.c). */
typedef struct CgShape {
    uint64_t *word;       /* [n_word] none: it is shared with nobody */
    const ScTerm ***term; /* [n_term] where each stands in what emit reads */
    uint32_t n_word, n_term, cap_word, cap_term;
} CgShape;

typedef struct CgClass {
    /* Facts of constant operands' data that the code depends on; NULL: none. */
    uint64_t (*trait)(CgModule *m, const CgFunc *f);
    bool (*emit)(CgModule *m, CgFunc *f); /* false after sc_fail */
    /* Makes f->loop, which emit reads, and its shape; false after sc_fail. NULL: emit does all. */
    bool (*plan)(CgModule *m, CgFunc *f, CgShape *ret);
} CgClass;

typedef struct CgState { /* of the model: what entries share */
    const ScGraph *g;    /* the first that has it */
    const ScState *s;    /* there */
    bool in_place;       /* in every entry */
    int64_t init;        /* in the weights; -1: zero */
    int64_t first;       /* what grows: its extent at first */
} CgState;

struct CgModule {
    ScCtx *cx;
    const ScGraph *g; /* of the entry that is worked on */
    ScArena *arena;   /* lives as long as the compilation; strings of the report are copied */
    ScArena *plans;   /* what plan functions make: lives until the entry's functions are emitted */
    const ScCodegenOptions *opt;
    uint32_t n_level;
    const CgTarget *levels;      /* [n_level] the program's: see cg_targets */
    CgTarget target;             /* of the entry that is worked on */
    const CgTarget *kept_target; /* where that one's is kept: which target it is */

    LLVMContextRef ctx;
    LLVMModuleRef mod;
    LLVMTargetMachineRef tm;
    LLVMTypeRef t_void, t_ptr, i1, i8, i16, i32, i64, f16, bf16, f32, f64;
    LLVMTypeRef t_body;  /* void (ptr args, i64 begin, i64 end, i32 thread): ScrtBody */
    LLVMTypeRef t_entry; /* void (ptr args) */

    CgWeights weights;
    CgListing *listing; /* debug lines; NULL: none are asked for */

    uint32_t n_state;
    CgState *all_states; /* [n_state] of the model */
    /* States of g: program/states.c. */
    const uint32_t *state; /* [n_state] which of the model's */
    CgLay *lay;            /* [n_value] of g */
    bool *in_place;        /* [n_state] the next value lies in the present one's memory */
    const bool **placed;   /* [n_node] of g: see CgRegion */
};

/* False with errors in cx; either way cg_module_done. */
bool cg_module_init(CgModule *m, ScCtx *cx, const ScCodegenOptions *opt);
void cg_module_done(CgModule *m);
/* An internal function with the target's attributes. */
LLVMValueRef cg_function(CgModule *m, const char *name, LLVMTypeRef type);
/* The name of a function that kernels of this target share; each level has its own. */
const char *cg_shared_name(CgModule *m, const char *name);
/* Runs the pass list; then the module as an object or text, in a. False after sc_fail. */
bool cg_optimize(CgModule *m);
bool cg_emit_module(CgModule *m, ScEmit emit, ScArena *a, void **ret, size_t *ret_n);

/* Debug lines, where the options ask for them: the listing of all entries, before any function is
 * made; its text, in a, or NULL, after the last one. */
void cg_listing_begin(CgModule *m, uint32_t n, const ScCodegenEntry *entry);
const char *cg_listing_end(CgModule *m, ScArena *a);
void cg_listing_done(CgModule *m);

/* A `const` node of any graph can be stored: *ret_exp is its exponent. False after sc_fail. */
bool cg_const_check(CgModule *m, const ScGraph *g, const ScNode *n, int64_t *ret_exp);
/* Data of a `const` node of any graph, rounded to its type: made with scrt_alloc, the caller frees
 * data with scrt_free. False after sc_fail. */
bool cg_const_tensor(CgModule *m, const ScGraph *g, const ScNode *n, ScrtTensor *ret);

#endif
