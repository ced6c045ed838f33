/* SPDX-License-Identifier: Apache-2.0 */
/* An ATTENTION kernel under construction: attention.c plans it and walks its blocks,
 * attention_rows.c turns scores into weights, attention_tiles.c and attention_few.c make the two
 * products. Names of extents: B batch, H heads, L queries, S keys, E width of a head. */
#ifndef SC_CODEGEN_ATTENTION_PRIV_H
#define SC_CODEGEN_ATTENTION_PRIV_H

#include "codegen/product/product.h"

#include <math.h>

enum {
    CG_ATTN_FEW = 3,    /* rows up to which keys and values are read as they lie */
    CG_ATTN_KEYS = 256, /* of a block, about: its scores and values stay in L2 */
    CG_ATTN_PART = 4,   /* vectors of values that few rows add up at a time */
};

/* What a thread has in its scratch, in elements of the compute type unless said. Rows are queries
 * of all heads that share the block's keys. */
typedef enum CgAttnPart {
    CG_ATTN_Q,      /* queries: [chunk][row][t1.ks], few rows: [row][E] */
    CG_ATTN_S,      /* scores of the block: [panel][row][t1.nr]; few rows write them to P */
    CG_ATTN_P,      /* weights of the block: [row][t2.ks] */
    CG_ATTN_O,      /* sums: [panel][row][t2.nr], few rows: [row][Ev] */
    CG_ATTN_KP,     /* a panel of keys: [t1.kc][t1.nr] */
    CG_ATTN_VP,     /* a panel of values: [block][t2.nr] */
    CG_ATTN_TOP,    /* the largest score of each row so far */
    CG_ATTN_SUM,    /* the sum of its weights, relative to that */
    CG_ATTN_FACTOR, /* what its sums are multiplied by before the block's are added */
    CG_ATTN_N_PART,
} CgAttnPart;

typedef struct CgAttn {
    CgFunc *f;
    const ScNode *node;
    ScAttention what;
    const ScTerm *batch, *heads, *kv, *each, *queries, *keys, *width, *out_width;
    const ScTerm *rows; /* that share keys: each * queries */
    CgAccess q, k, v, addend, keep, scale;
    CgEpi *epi;
    ScrtDtype compute; /* F32 or F64 */
    CgTile t1, t2;     /* scores, sums */
    uint32_t block;    /* rows of an item, a multiple of t1.mr */
    uint32_t room;     /* rows that scratch holds: what tiles reach beyond the last included */
    uint32_t n_key;    /* keys of a block, a multiple of t1.nr */
    const ScTerm *at[CG_ATTN_N_PART + 1]; /* bytes where each part begins, and the end */
} CgAttn;

/* Rows of a part: element j of row r. */
typedef struct CgAttnRows {
    LLVMValueRef base, row, panel; /* distances in elements */
    uint32_t nr;                   /* columns of a panel; 0: a row lies whole */
} CgAttnRows;

/* Where the loops stand; all i64 but pointers. */
typedef struct CgAttnAt {
    bool few;
    LLVMValueRef part[CG_ATTN_N_PART]; /* ptr */
    LLVMValueRef batch, head;          /* the head of k and v */
    LLVMValueRef row0, n_row;
    LLVMValueRef key0, n_key, first; /* the block of keys; i1: it is the first */
    CgAttnRows score, sum;
} CgAttnAt;

/* Elements of a row of q in scratch. */
const ScTerm *cg_attn_query_elements(CgModule *m, const CgAttn *a);
LLVMValueRef cg_attn_ptr(Cg *cg, const CgAttn *a, const CgAttnRows *r, LLVMValueRef row,
                         LLVMValueRef column);
/* Elements of an operand as compute numbers. */
LLVMValueRef cg_attn_load(Cg *cg, const CgAttn *a, const CgAccess *x, LLVMValueRef address,
                          const ScTerm *stride, uint32_t w, LLVMValueRef mask);
/* Vectors of the compute type, aligned to its elements. */
LLVMValueRef cg_attn_get(Cg *cg, const CgAttn *a, LLVMValueRef ptr, uint32_t w);
void cg_attn_put(Cg *cg, const CgAttn *a, LLVMValueRef x, LLVMValueRef ptr);
/* The head of q and the query that row (of all) is. */
void cg_attn_row(Cg *cg, const CgAttn *a, LLVMValueRef head, LLVMValueRef row,
                 LLVMValueRef *ret_head, LLVMValueRef *ret_query);

/* The row's scores become weights; what they are relative to is brought up to date. */
void cg_attn_weigh(Cg *cg, const CgAttn *a, const CgAttnAt *at, LLVMValueRef row);
/* The row's sums over its weights, through the epilogue. */
void cg_attn_finish(Cg *cg, const CgAttn *a, const CgAttnAt *at, LLVMValueRef row);

/* Many rows. Before: what is zero for the whole item. The functions that are called are made
 * beforehand, since functions end before the next begins. */
void cg_attn_tiles_prepare(CgModule *m, const CgAttn *a);
void cg_attn_tiles_queries(Cg *cg, const CgAttn *a, const CgAttnAt *at);
void cg_attn_tiles_scores(Cg *cg, const CgAttn *a, const CgAttnAt *at);
void cg_attn_tiles_sums(Cg *cg, const CgAttn *a, const CgAttnAt *at);
/* Few rows. */
void cg_attn_few_queries(Cg *cg, const CgAttn *a, const CgAttnAt *at);
void cg_attn_few_scores(Cg *cg, const CgAttn *a, const CgAttnAt *at);
void cg_attn_few_sums(Cg *cg, const CgAttn *a, const CgAttnAt *at);

#endif
