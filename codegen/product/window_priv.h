/* SPDX-License-Identifier: Apache-2.0 */
/* A CONV or POOL kernel under construction: what conv.c and pool.c share (plane.c). */
#ifndef SC_CODEGEN_WINDOW_PRIV_H
#define SC_CODEGEN_WINDOW_PRIV_H

#include "codegen/product/product.h"

/* A thread copies the channels it needs into planes of its scratch: compute numbers, with the
 * padding around, so that no position of a window is outside. Along the last dim the padding of
 * one row's end is that of the next one's beginning, unless they are counted: a window that hangs
 * over the pads counts none of the next row's. */
typedef struct CgWindow {
    CgFunc *f;
    const ScNode *node;
    ScWindow desc;
    uint32_t ns;                         /* spatial dims */
    const ScTerm *batch, *channels;      /* of x */
    const ScTerm *in[SCRT_MAX_RANK];     /* extents of x, */
    const ScTerm *out[SCRT_MAX_RANK];    /* of the result, */
    const ScTerm *extent[SCRT_MAX_RANK]; /* of a plane: the last is the distance of its rows */
    const ScTerm *step[SCRT_MAX_RANK];   /* distance of neighbours in the plane, in elements */
    const ScTerm *plane;                 /* elements of one channel's */
    const ScTerm *slack;                 /* elements that may be read after the last one */
    bool apart;                          /* rows share no padding */
    uint32_t n_kernel;                   /* positions of the window */
    CgAccess x;                          /* dims [batch, channel, spatial..] */
    CgEpi *epi;
    CgTile tile; /* a pool uses el, size and w only */
} CgWindow;

/* Fills ret but for tile and slack; false after sc_fail. */
bool cg_window_init(CgModule *m, CgFunc *f, const ScNode *n, const ScWindow *desc, bool apart,
                    CgWindow *ret);
void cg_window_shape(CgWindow *w, CgShape *s);
/* Stores fill into count elements at dst (whole vectors: there must be room). */
void cg_window_fill(Cg *cg, const CgWindow *w, LLVMValueRef dst, const ScTerm *count,
                    LLVMValueRef fill);
/* Copies one channel of one image into the plane at dst. */
void cg_window_copy(Cg *cg, const CgWindow *w, LLVMValueRef image, LLVMValueRef channel,
                    LLVMValueRef dst);
/* off[(channel, position)] = where that position lies from the window's first, in elements, i64;
 * for channels of planes. */
void cg_window_offsets(Cg *cg, const CgWindow *w, const ScTerm *channels, LLVMValueRef off);
/* Loops over dims [0, dim[i]), outermost first; idx receives the indices. */
void cg_nest(Cg *cg, uint32_t n, const ScTerm *const *dim, LLVMValueRef *idx, CgLoop *loop);
void cg_nest_end(Cg *cg, uint32_t n, const CgLoop *loop);

/* A pool's start and step. el: of the elements; acc, x: elements or vectors of them. A NaN among
 * the elements stays; of equal ones the first stays. */
LLVMValueRef cg_pool_neutral(LLVMTypeRef el, ScMonoid monoid, bool is_signed);
LLVMValueRef cg_pool_combine(Cg *cg, ScMonoid monoid, bool is_signed, LLVMValueRef acc,
                             LLVMValueRef x);

bool cg_emit_conv(CgModule *m, CgFunc *f, const ScNode *n, const ScConv *desc);
bool cg_plan_pool(CgModule *m, CgFunc *f, const ScPool *desc, CgShape *ret);
bool cg_emit_pool(CgModule *m, CgFunc *f);
bool cg_plan_pool_last(CgModule *m, CgFunc *f, const ScPool *desc, CgShape *ret);
bool cg_emit_pool_last(CgModule *m, CgFunc *f);

#endif
