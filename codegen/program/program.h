/* SPDX-License-Identifier: Apache-2.0 */
/* From kernels to a program: which states are written in place (states.c), which values lie inside
 * others (places.c), which kernels there are (kernels.c; call.c: those that are functions of the
 * runtime; share.c: those that differ in numbers alone; count.c: the bytes that they move), where
 * their values live (plan.c), when symbols are known (levels.c), terms as values (values.c), the
 * steps that the runtime walks (steps.c; control.c: of branches and loops), and the constant that
 * holds it all (model.c). codegen.c runs states, kernels (which ask places.c), plan, steps (which
 * ask values.c and count.c), model. */
#ifndef SC_CODEGEN_PROGRAM_H
#define SC_CODEGEN_PROGRAM_H

#include "codegen/emit/emit.h"

/* --- Kernels --------------------------------------------------------------------------------- */

typedef struct CgFormal { /* [n] the formal symbols of a kernel; from n_inside on its pitches */
    uint32_t n, n_inside;
    const char **name;     /* "p3" */
    const ScTerm **term;   /* the same as a term */
    const ScTerm **actual; /* what the kernel is given for it */
    const char **sym;      /* actual's name where it is a symbol, else NULL */
} CgFormal;
/* A kernel's nested graph in formal symbols, without exponents: the caller's. NULL with errors in
 * cx. The lists of ret are in m's arena. */
ScGraph *cg_formal(CgModule *m, const ScGraph *sub, CgFormal *ret);
/* The formal symbol of a pitch of one of the kernel's ports. */
const ScTerm *cg_formal_pitch(CgModule *m, CgFormal *f, const ScTerm *actual);
/* Formal symbols of a general function beside the kernel's own: share.c. */
void cg_formal_own(CgModule *m, CgFormal *f, uint32_t n, const char *const *name,
                   const ScTerm *const *own);
/* A term of formal symbols as the program says it. */
const ScTerm *cg_actual(CgModule *m, const CgFormal *f, const ScTerm *t);

/* A value that lies in the memory of another. */
typedef struct CgWithin {
    ScVal in; /* SC_POISON: none. A later value: it is a part of that; earlier: a view of it */
    const ScTerm *offset; /* elements from the first of that; NULL: 0 */
} CgWithin;

typedef struct CgLate { /* a symbol that no input's dims bind */
    const char *sym;
    uint32_t level; /* 1 and up: the nodes that bind, in order */
    const struct CgLate *next;
} CgLate;

/* The graph, or one that is nested in a node of it and that steps run. */
typedef struct CgRegion CgRegion;
struct CgRegion {
    const ScGraph *g;
    CgRegion *outer;     /* NULL: the graph itself */
    const ScNode *node;  /* of outer->g, whose nested graph it is */
    const CgLate *late;  /* all of its own */
    uint32_t n_level;    /* the last of them */
    CgLay *lay;          /* [n_value] */
    CgWithin *within;    /* [n_value] */
    const bool **placed; /* [n_node] of plain concatenations: which operands are in their place */
    uint32_t *of;        /* [n_node] which kernel a node of row `kernel` is */
    CgRegion **sub;      /* [n_node] of a node with control: [n_sub] regions; else NULL */
    struct CgPlan *plan;
};

/* levels.c: r->late and n_level. */
void cg_find_late(CgModule *m, CgRegion *r);
/* A node that binds symbols to what only a run knows. */
bool cg_binds(const ScNode *n);
/* When all symbols of t are bound: 0, from the dims of inputs and states; k: after the k-th node
 * that binds. */
uint32_t cg_level(const CgRegion *r, const ScTerm *t);
/* Decides lay, within and placed; what states.c has decided of them stays. */
void cg_places(CgModule *m, CgRegion *r);
static inline bool cg_is_alias(const CgRegion *r, ScVal v)
{
    return r->within[v].in != SC_POISON && r->within[v].in < v;
}
ScClass cg_class_of(const ScNode *n); /* of a kernel: that of its loop */
/* The layout along which a value of type t is one part of `extent` along axis; dense where it is
 * all that lies before the axis. */
CgLay cg_lay_along(CgModule *m, const ScType *t, uint32_t axis, const ScTerm *extent);
/* Node n can say by strides where the elements of its operand `in` lie. */
bool cg_can_read(CgModule *m, const ScNode *n, uint32_t in, const CgLay *lay);
/* call.c: which operand of a kernel v is; n_in: none. */
uint32_t cg_operand_of(const ScGraph *sub, ScVal v);
/* Kernel node n is a map of operands of type t to a result of that type, which reads each element
 * of operand `in` where it writes. */
bool cg_maps(const ScNode *n, uint32_t in, const ScType *t);
/* The leader of a kernel that concatenates and does nothing else, or NULL. */
const ScNode *cg_plain_concat(const ScNode *n);

typedef struct CgKernel { /* a kernel node of a region's graph */
    const ScNode *node;
    const CgRegion *region;
    CgFormal formal;
    CgFunc *f;         /* equal kernels share it */
    const char *name;  /* "k3" */
    const char *from;  /* ONNX nodes, comma separated */
    uint64_t *weights; /* [n_in] offsets of constant operands */
} CgKernel;

typedef struct CgKernels { /* of all entries, one after another */
    uint32_t n;
    CgKernel *k;
    CgFunc **known; /* [n_known] all that differ */
    ScGraph **sub;  /* [n_known] their graphs */
    CgFunc **place; /* [n_place], a power of two: of those whose hash ends so, the newest */
    CgFunc **fn;    /* [n_fn] of those that there is code for */
    uint32_t n_known, n_place, n_fn;
    uint32_t n_left; /* entries whose kernels are to come */
} CgKernels;
extern const CgClass cg_call; /* call.c: no code, but the parameters of a SCRT_CALL step */
/* share.c: gives those of n functions of one target that are alike but for their numbers, if there
 * are many, the first of them as general function. shape: [n], without words where a function is
 * shared with nobody. */
void cg_share(CgModule *m, uint32_t n, CgFunc **f, const CgShape *shape);
typedef struct CgWork CgWork;
CgKernels cg_kernels_begin(CgModule *m, uint32_t n, const CgWork *u); /* [n] all entries */
/* Emits the code of every kernel of m->g, whose region is *ret. False with errors in cx; either way
 * cg_kernels_done. */
bool cg_kernels(CgModule *m, CgKernels *k, CgRegion **ret);
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
    CG_WORK,  /* index: slot of the region's workspace */
    CG_ENTRY, /* of a nested graph: where operand `index` of the node around lies */
    CG_OWN,   /* index: a segment of its own: results of nested graphs, carried values */
} CgPlaceKind;

typedef struct CgPlace {
    CgPlaceKind kind;
    uint64_t index;
    const ScTerm *offset; /* bytes; NULL: 0 */
} CgPlace;

typedef struct CgCopy { /* after the last node of a region */
    ScVal from;
    CgPlace to;
} CgCopy;

typedef struct CgSlot {   /* of the workspace, as large as the largest value that it ever holds */
    const ScTerm **bytes; /* [n] of its values, multiples of 64 */
    uint32_t n, cap;
    uint32_t level; /* of all of them */
} CgSlot;

/* Segments of a node with control. */
typedef struct CgOwn {
    uint32_t turn;        /* SC_TURNS: holds the number of the turn, an i64 */
    const uint32_t *now;  /* [n_out] each result's; of a carried value: what the turn reads */
    const uint32_t *next; /* [n_carried] what it writes: the two are exchanged after each turn */
} CgOwn;

typedef struct CgPlan { /* of a region */
    CgPlace *place;     /* [n_value] */
    CgOwn *own;         /* [n_node] of nodes with control */
    uint32_t n_slot;
    CgSlot *slot; /* [n_slot] */
    uint32_t n_copy;
    CgCopy *copy;
} CgPlan;
/* Of the graph and of all that is nested in it; *ret_own: segments of their own so far. Either way
 * cg_plan_done. */
bool cg_plan(CgModule *m, const CgKernels *k, CgRegion *r, uint32_t *ret_own);
void cg_plan_done(CgRegion *r);
const ScTerm *cg_bytes_of(CgModule *m, ScrtDtype t, const ScTerm *count); /* of elements */
const ScTerm *cg_bytes(CgModule *m, const ScType *t);                     /* of a value */

/* --- The program ----------------------------------------------------------------------------- */

/* When a number is known. */
typedef enum CgStage {
    CG_BIND,    /* from the dims of inputs and states: ScrtEntry.bind */
    CG_RUN,     /* in a run only */
    CG_PROFILE, /* in a profile: words, but no steps */
    CG_STAGES,
} CgStage;

typedef struct CgStream { /* the steps of a stage so far, and their words */
    ScrtStep *step;
    int64_t *word;
    uint32_t n_step, cap_step, n_word, cap_word;
    uint32_t n_evaluated; /* words that steps so far evaluate */
} CgStream;

typedef struct CgCounted { /* words of CG_PROFILE that count what a kernel moves */
    uint32_t word, n_word;
} CgCounted;

typedef struct CgProgram {
    CgModule *m;
    CgStream stream[CG_STAGES];
    uint32_t n_value; /* those of CG_VALUE_ first, then symbols */
    uint32_t n_sym;
    const char **sym;    /* [n_origin] all that are bound, first the n_sym of inputs' dims */
    const char **origin; /* [n_origin] "dimension 1 of input 'x'" */
    uint32_t n_origin, cap_sym, cap_origin;
    struct CgKnown *known; /* terms and their values */
    uint32_t cap_known;
    struct CgKnown *log; /* [n_log] the same in the order in which they came */
    uint32_t n_log, cap_log;
    CgStage least;        /* what is written now is evaluated no earlier */
    uint32_t *own_offset; /* [n_own] value: where in its segment the element of this turn lies */
    ScrtPlace *place;
    ScrtWho *who;
    uint32_t n_place, cap_place, n_who, cap_who;
    uint32_t n_segment, n_arg; /* see ScrtEntry */
    uint32_t **out_dims;       /* [n_out][rank] */
    CgCounted *counted;        /* [n] of the kernels */
    uint32_t first_kernel;     /* of all: the entry's first */
    const ScLoc *loc;          /* of what is written now, for errors */
    bool failed;               /* reported */
} CgProgram;

typedef struct CgNum { /* a number of the program */
    uint32_t value;
    CgStage stage;
} CgNum;

enum {
    CG_VALUE_ZERO,
    CG_VALUE_THREADS,
    CG_VALUE_MOVED, /* three: see ScrtEntry */
    CG_VALUE_FIRST = CG_VALUE_MOVED + 3
};
uint32_t cg_new_value(CgProgram *p);
bool cg_is_known(const CgProgram *p, const ScTerm *t);
void cg_bind_symbol(CgProgram *p, const char *sym, uint32_t value, CgStage stage);
/* Forgets what became known after cg_scope answered mark: steps that may not have run say it. */
uint32_t cg_scope(const CgProgram *p);
void cg_forget(CgProgram *p, uint32_t mark);
/* Words that store value `from` in value `to`. */
void cg_assign(CgProgram *p, uint32_t to, uint32_t from);
/* The value of a term, whose words are written where they were not yet. A symbol that nothing
 * binds is an error at p->loc. */
CgNum cg_value_of(CgProgram *p, const ScTerm *t);
uint32_t cg_value(CgProgram *p, const ScTerm *t);
CgNum cg_value_op(CgProgram *p, ScrtWord op, CgNum a, CgNum b); /* a new value */
/* The sum of two values, which is written where it was not yet. */
uint32_t cg_sum(CgProgram *p, CgNum a, CgNum b);
/* Words of CG_PROFILE that store a term in value `to`; nothing becomes known. */
void cg_value_apart(CgProgram *p, uint32_t to, const ScTerm *t);
/* The first of n values that lie one after another and are those of term[]. */
uint32_t cg_params(CgProgram *p, uint32_t n, const ScTerm *const *term);

/* --- Entries --------------------------------------------------------------------------------- */

struct CgWork { /* an entry under construction, on one level */
    const char *name;
    const ScGraph *g;
    CgTarget target;
    uint32_t *state; /* [n_state], [n_value] ...: see CgModule */
    CgLay *lay;
    bool *in_place;
    const bool **placed;
    CgRegion *region;         /* of g */
    uint32_t first, n_kernel; /* its kernels among all */
    uint32_t n_own;           /* segments of its own */
    CgProgram program;
};
void cg_work_on(CgModule *m, const CgWork *u); /* states.c: m's fields are those of the entry */
/* Decides which states are written in place, in all entries or in none, and how values lie. False
 * with errors in cx where entries do not agree on a state. */
bool cg_states(CgModule *m, uint32_t n, CgWork *u);
bool cg_enter_states(CgModule *m); /* their first values, into the weights */
/* Writes the program of the entry that is worked on; false with errors in cx. Either way
 * cg_program_done. */
bool cg_program(CgModule *m, const CgKernels *k, CgWork *u);
void cg_program_done(CgProgram *p);

/* --- The model ------------------------------------------------------------------------------- */

typedef struct CgModelParts {
    const char *symbol, *name, *info;
    bool embed;
} CgModelParts;
/* Adds the constant ScrtModel of n entries, those of one level after the other. */
bool cg_emit_model(CgModule *m, const CgKernels *k, uint32_t n, const CgWork *u,
                   const CgModelParts *parts);
/* C header text in a. */
const char *cg_header(CgModule *m, ScArena *a, const CgModelParts *parts, uint32_t n,
                      const CgWork *u);
/* "batch,784" */
const char *cg_dims_text(ScArena *a, const ScType *t);

#endif
