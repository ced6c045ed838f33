/* SPDX-License-Identifier: Apache-2.0 */
/* The loop classes that are no products, and the copies that turn an operand round for them. */
#ifndef SC_CODEGEN_LOOPS_H
#define SC_CODEGEN_LOOPS_H

#include "codegen/emit/emit.h"

extern const CgClass cg_map, cg_reduce, cg_view, cg_concat, cg_gather, cg_scan;

/* An access that is contiguous along dims p of a space but walked along its last dim, q. What moves
 * are atoms: neighbours along a dim after q that are neighbours on both sides, or single elements.
 */
typedef struct CgTranspose {
    CgAccess from; /* up to q */
    ScrtDtype t;
    uint32_t q, atom, w;              /* elements of an atom; atoms of a tile's side */
    uint32_t n_p;                     /* dims p, which lie densely: together they are the rows, */
    uint32_t p[SCRT_MAX_RANK];        /* the one that varies least first */
    const ScTerm *rows;               /* their product */
    const ScTerm *dim[SCRT_MAX_RANK]; /* of the copy: 1 where the operand is broadcast */
    const ScTerm *stride[SCRT_MAX_RANK]; /* of the copy: dense, 0 where it is broadcast */
    const ScTerm *count, *scratch;       /* elements; bytes into scratch, NULL: result 0 */
} CgTranspose;
/* Whether a is one, and pays to be copied so to where result `to` lies in the same space. */
bool cg_transposed(CgModule *m, const CgFunc *f, const CgAccess *a, const ScTerm *const *dim,
                   const CgAccess *to, CgTranspose *ret);
/* The copy: its body function (or those of n copies), and in an entry its run on the pool. */
LLVMValueRef cg_transpose_body(CgModule *m, CgFunc *f, const CgTranspose *t, const char *suffix);
LLVMValueRef *cg_transpose_bodies(CgModule *m, CgFunc *f, uint32_t n, const CgTranspose *t);
void cg_transpose_run(Cg *cg, const CgTranspose *t, LLVMValueRef body);
/* Gives every such access of a kernel a copy in scratch: rewrites the accesses, fills ret [n],
 * returns how many there are. */
uint32_t cg_transpose_operands(CgModule *m, CgFunc *f, uint32_t n, CgAccess *a,
                               const ScTerm *const *dim, CgTranspose *ret);
void cg_transpose_shape(const CgFunc *f, CgShape *s, CgTranspose *t);
const char *cg_transpose_text(CgModule *m, uint32_t n); /* for CgFunc.what */

#endif
