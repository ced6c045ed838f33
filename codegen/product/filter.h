/* SPDX-License-Identifier: Apache-2.0 */
/* The weights of a convolution whose channels lie last, as the matrices that it multiplies with:
 * row k is (position of the window, input channel of the group), column n an output channel of the
 * group; a depthwise convolution's groups are the columns of one matrix. */
#ifndef SC_CODEGEN_FILTER_H
#define SC_CODEGEN_FILTER_H

#include "codegen/product/product.h"

typedef struct CgFilter {
    CgAccess access; /* dims [output channel, input channel of the group, window..] */
    const ScTerm *dim[SCRT_MAX_RANK];
    ScrtDtype dtype;
    bool depthwise;
    const ScTerm *group, *in, *out; /* groups; channels of a group */
    int64_t n_kernel;               /* positions of the window */
    bool packed;                    /* constant: panels are packed, else gathered */
    CgPanels panels;
    CgTile tile;
} CgFilter;
/* Of conv node n, channels last. False after sc_fail. */
bool cg_filter_init(CgModule *m, CgFunc *f, const ScNode *n, const ScConv *desc, CgFilter *ret);
/* Whether the weights are constant, read once, and [out][in][window] in one piece of memory, so
 * that they can be packed; then their extents are set in the panels. */
bool cg_filter_may_pack(const CgFunc *f, CgFilter *filter);
/* Settles the panels for a tile, and packs a constant. */
void cg_filter_pack(CgModule *m, CgFunc *f, const CgTile *t, CgFilter *filter);
/* The panel of columns col0 .. col1 - 1 of matrix `matrix`, rows k0 .. k0 + n_k, as compute numbers
 * nr apart: in the weights themselves or written to dst, which has room for n_k rounded up to 4
 * rows. */
LLVMValueRef cg_filter_panel(Cg *cg, const CgFilter *filter, const CgAt *at, LLVMValueRef matrix,
                             LLVMValueRef dst);
/* Of packed weights: bytes of a row, and in *ret where what follows those rows begins. */
LLVMValueRef cg_filter_ahead(Cg *cg, const CgFilter *filter, const CgAt *at, LLVMValueRef matrix,
                             LLVMValueRef *ret);
/* Convolutions, channels last: product of matrices; each channel by itself. */
bool cg_emit_conv_last(CgModule *m, CgFunc *f, const ScNode *n, const ScConv *desc);
bool cg_emit_depthwise(CgModule *m, CgFunc *f, const ScNode *n, const ScWindow *desc,
                       CgFilter *filter);
/* Windows of 3 x 3 in fewer multiplications (winograd.c): whether they can be and it pays, beside
 * the tile that would multiply them as they are: pairs and tile registers take less time. */
bool cg_winograd_fits(CgModule *m, const CgFunc *f, const ScNode *n, const ScConv *desc,
                      const CgTile *direct, CgFilter *filter);
bool cg_emit_winograd(CgModule *m, CgFunc *f, const ScNode *n, const ScWindow *desc,
                      const CgFilter *filter);

#endif
