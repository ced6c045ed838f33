/* SPDX-License-Identifier: Apache-2.0 */
/* From kernels to a program: which kernels there are (kernels.c), where their values live (plan.c),
 * which states are written in place (states.c), terms as values (values.c), the steps that the
 * runtime walks (steps.c), and the constant that holds it all (model.c). codegen.c runs them in
 * this order. */
#ifndef SC_CODEGEN_PROGRAM_H
#define SC_CODEGEN_PROGRAM_H

#include "codegen/emit/emit.h"

/* --- States ---------------------------------------------------------------------------------- */

void cg_states(CgModule *m); /* decides which are written in place, and how values lie */

/* --- Kernels --------------------------------------------------------------------------------- */

typedef struct CgFormal { /* [n] the formal symbols of a kernel */
    uint32_t n;
    const char **name;     /* "p3" */
    const ScTerm **term;   /* the same as a term */
    const ScTerm **actual; /* what the kernel is given for it */
    const char **sym;      /* actual's name where it is a symbol, else NULL */
} CgFormal;
/* A kernel's nested graph in formal symbols, without exponents: the caller's. NULL with errors in
 * cx. The lists of ret are in m's arena. */
ScGraph *cg_formal(CgModule *m, const ScGraph *sub, CgFormal *ret);
/* A term of formal symbols as the program says it. */
const ScTerm *cg_actual(CgModule *m, const CgFormal *f, const ScTerm *t);

typedef struct CgKernel { /* a kernel node of the graph */
    const ScNode *node;
    CgFormal formal;
    CgFunc *f;         /* equal kernels share it */
    const char *name;  /* "k3" */
    const char *from;  /* ONNX nodes, comma separated */
    uint64_t *weights; /* [n_in] offsets of constant operands */
} CgKernel;

typedef struct CgKernels {
    uint32_t n;
    CgKernel *k;
    uint32_t *of;  /* [n_node] which one a node of row `kernel` is */
    CgFunc **fn;   /* [n_fn] the functions that they share */
    ScGraph **sub; /* [n_fn] their graphs */
    uint32_t n_fn;
} CgKernels;
extern const CgClass cg_call; /* call.c: no code, but the parameters of a SCRT_CALL step */
/* Emits every kernel's code. False with errors in cx; either way cg_kernels_done. */
bool cg_kernels(CgModule *m, CgKernels *ret);
void cg_kernels_done(CgKernels *k);
/* Packs the constant operands of kernels, as their code wants them. */
bool cg_pack_operands(CgModule *m, const CgKernels *k);

/* --- Buffers --------------------------------------------------------------------------------- */

typedef enum CgPlaceKind {
    CG_NOWHERE,
    CG_IN,     /* index: input */
    CG_STATE,  /* index: state */
    CG_WEIGHT, /* offset into the weights, as stored */
    CG_OUT,
    CG_NEXT,
    CG_WORK, /* index: slot of the workspace */
} CgPlaceKind;

typedef struct CgPlace {
    CgPlaceKind kind;
    uint64_t index;
} CgPlace;

typedef struct CgCopy { /* after the last kernel */
    ScVal from;
    CgPlace to;
} CgCopy;

typedef struct CgSlot {   /* of the workspace, as large as the largest value that it ever holds */
    const ScTerm **bytes; /* [n] of its values, multiples of 64 */
    uint32_t n, cap;
    uint32_t level; /* of all of them */
} CgSlot;

typedef struct CgLate { /* a symbol that no input's dims bind */
    const char *sym;
    uint32_t level; /* 1 and up: the nodes that bind, in order */
} CgLate;

typedef struct CgPlan {
    CgPlace *place; /* [n_value] */
    uint32_t n_slot;
    CgSlot *slot; /* [n_slot] */
    uint32_t n_late, cap_late, n_level;
    CgLate *late;
    uint32_t n_copy;
    CgCopy *copy;
    int64_t *state_init; /* [n_state] in the weights; -1: zero */
} CgPlan;
bool cg_plan(CgModule *m, const CgKernels *k, CgPlan *ret); /* either way cg_plan_done */
void cg_plan_done(CgPlan *p);
const ScTerm *cg_bytes(CgModule *m, const ScType *t); /* of a value */
/* When all symbols of t are bound: 0, from the inputs' dims; k: after the k-th node that binds. */
uint32_t cg_level(const CgPlan *p, const ScTerm *t);

/* --- The program ----------------------------------------------------------------------------- */

typedef enum CgStage {          /* when a number is known */
                       CG_BIND, /* from the inputs' dims: ScrtEntry.bind */
                       CG_RUN,  /* in a run only */
                       CG_STAGES,
} CgStage;

typedef struct CgStream { /* the steps of a stage so far, and their words */
    ScrtStep *step;
    int64_t *word;
    uint32_t n_step, cap_step, n_word, cap_word;
    uint32_t n_evaluated; /* words that steps so far evaluate */
} CgStream;

typedef struct CgProgram {
    CgModule *m;
    CgStream stream[CG_STAGES];
    uint32_t n_value; /* 0 is 0, 1 the number of threads, then the inputs' symbols */
    uint32_t n_sym;
    const char **sym;    /* [n_origin] all that are bound, first the n_sym of inputs' dims */
    const char **origin; /* [n_origin] "dimension 1 of input 'x'" */
    uint32_t n_origin;
    struct CgKnown *known; /* terms and their values */
    uint32_t n_known, cap_known;
    ScrtPlace *place;
    ScrtWho *who;
    uint32_t n_place, cap_place, n_who, cap_who;
    uint32_t n_segment, n_arg; /* see ScrtEntry */
    uint32_t **out_dims;       /* [n_out][rank] */
    const ScLoc *loc;          /* of what is written now, for errors */
    uint32_t at_who;           /* the same for the steps */
    bool failed;               /* reported */
} CgProgram;

typedef struct CgNum { /* a number of the program */
    uint32_t value;
    CgStage stage;
} CgNum;

enum { CG_VALUE_ZERO, CG_VALUE_THREADS, CG_VALUE_FIRST };
uint32_t cg_new_value(CgProgram *p);
bool cg_is_known(const CgProgram *p, const ScTerm *t);
void cg_bind_symbol(CgProgram *p, const char *sym, uint32_t value, CgStage stage);
/* The value of a term, whose words are written where they were not yet. A symbol that nothing
 * binds is an error at p->loc. */
CgNum cg_value_of(CgProgram *p, const ScTerm *t);
uint32_t cg_value(CgProgram *p, const ScTerm *t);
CgNum cg_value_op(CgProgram *p, ScrtWord op, CgNum a, CgNum b); /* a new value */
/* The first of n values that lie one after another and are those of term[]. */
uint32_t cg_params(CgProgram *p, uint32_t n, const ScTerm *const *term);

/* Writes the program; false with errors in cx. Either way cg_program_done. */
bool cg_program(CgModule *m, const CgKernels *k, const CgPlan *plan, CgProgram *ret);
void cg_program_done(CgProgram *p);

/* --- The model ------------------------------------------------------------------------------- */

typedef struct CgModelParts {
    const char *symbol, *name, *info;
    bool embed;
} CgModelParts;
/* Adds the constant ScrtModel. */
bool cg_emit_model(CgModule *m, const CgKernels *k, const CgPlan *plan, const CgProgram *p,
                   const CgModelParts *parts);
/* C header text in a. */
const char *cg_header(CgModule *m, ScArena *a, const char *symbol);
/* "batch,784" */
const char *cg_dims_text(ScArena *a, const ScType *t);

#endif
