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

void cg_slide_shape(CgSlide *k, CgShape *s);

/* One position of the result. */
typedef struct CgSpot {
    LLVMValueRef idx[SCRT_MAX_RANK];                   /* batch, spatial.. */
    LLVMValueRef lo[SCRT_MAX_RANK], hi[SCRT_MAX_RANK]; /* positions of the window inside x */
    LLVMValueRef first; /* address in x of the window's first position, which may be outside */
} CgSpot;
/* Row `row`, which counts (batch, spatial.. but the last): a spot as far as they tell. */
CgSpot cg_slide_row(Cg *cg, const CgSlide *s, LLVMValueRef row);
/* Spots of the row, from .. to - 1 along the last spatial dim. */
typedef struct CgSpan {
    LLVMValueRef from, to; /* from <= to */
} CgSpan;
/* Those of any row whose window lies in x along the last dim. */
CgSpan cg_slide_whole(Cg *cg, const CgSlide *s);
/* The spots of a row but for those of `without`, NULL: none. Between cg_spots and cg_spots_end the
 * builder is inside their loop. */
typedef struct CgSpots {
    CgSpot at;
    CgLoop loop;
} CgSpots;
CgSpots cg_spots(Cg *cg, const CgSlide *s, const CgSpot *row, const CgSpan *without);
void cg_spots_end(Cg *cg, const CgSpots *s);
/* Positions of a window, or of a line, that are emitted one by one. */
enum { CG_SLIDE_UNROLL = 25 };
/* What is emitted for a position of the window. address: of the element in x at channel 0; tap: the
 * position's number, i64. */
typedef void (*CgSee)(Cg *cg, void *arg, LLVMValueRef address, LLVMValueRef tap);
/* For each position of the window at `at` that lies in x. */
void cg_slide_window(Cg *cg, const CgSlide *s, const CgSpot *at, CgSee see, void *arg);
/* For the first position of each line, along the last dim, of the window that begins at `first`:
 * those lines that lie in x as far as the other dims of `at` tell. */
void cg_slide_lines(Cg *cg, const CgSlide *s, const CgSpot *at, LLVMValueRef first, CgSee see,
                    void *arg);

#endif
