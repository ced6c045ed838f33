/* SPDX-License-Identifier: Apache-2.0 */
/* A window that slides over a value whose channels lie last: [batch, spatial.., channel]. Each
 * channel is computed by itself, a vector of channels at a time, so there is no padding to copy:
 * positions outside are left out. What is done at each position is the caller's: see depthwise.c
 * and pool_last.c. */
#ifndef SC_CODEGEN_SLIDE_H
#define SC_CODEGEN_SLIDE_H

#include "codegen/product/product.h"

typedef struct CgSlide {
    CgFunc *f;
    const ScNode *node;
    ScWindow desc;
    const ScTerm *in[SCRT_MAX_RANK], *out[SCRT_MAX_RANK]; /* [desc.n_spatial] of x, of the result */
    const ScTerm *batch, *channels, *rows; /* rows: of the result, along its last spatial dim */
    uint32_t n_kernel;                     /* positions of the window */
    CgAccess x;                            /* dims [batch, spatial.., channel] */
    CgEpi *epi;
} CgSlide;
/* False after sc_fail. */
bool cg_slide_init(CgModule *m, CgFunc *f, const ScNode *n, const ScWindow *desc, CgSlide *ret);

/* One position of the result. */
typedef struct CgSpot {
    LLVMValueRef idx[SCRT_MAX_RANK];                   /* batch, spatial.. */
    LLVMValueRef lo[SCRT_MAX_RANK], hi[SCRT_MAX_RANK]; /* positions of the window inside x */
    LLVMValueRef first; /* address in x of the window's first position, which may be outside */
} CgSpot;
/* The spots of a row: between cg_spots and cg_spots_end the builder is inside their loop. row
 * counts (batch, spatial.. but the last). */
typedef struct CgSpots {
    CgSpot at;
    CgLoop loop;
} CgSpots;
CgSpots cg_spots(Cg *cg, const CgSlide *s, LLVMValueRef row);
void cg_spots_end(Cg *cg, const CgSpots *s);
/* Emits `see` for each position of the window that lies in x: unrolled where all do, else in loops.
 * address: of the element in x at channel 0; tap: the position's number, i64. */
typedef void (*CgSee)(Cg *cg, void *arg, LLVMValueRef address, LLVMValueRef tap);
void cg_slide_window(Cg *cg, const CgSlide *s, const CgSpot *at, CgSee see, void *arg);

#endif
