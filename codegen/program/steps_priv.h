/* SPDX-License-Identifier: Apache-2.0 */
/* What steps.c and control.c share: the writer of one region's steps. */
#ifndef SC_CODEGEN_STEPS_PRIV_H
#define SC_CODEGEN_STEPS_PRIV_H

#include "codegen/program/program.h"

typedef struct CgWriter { /* of the steps of a region */
    CgProgram *p;
    CgModule *m;
    const CgKernels *k;
    const CgRegion *r;
    const CgPlan *plan;                  /* r's */
    const struct CgWriter *around;       /* of the region around, or NULL */
    ScrtPlace *slot;                     /* [n_slot] */
    ScrtPlace *scratch, *scratch_thread; /* [1 + n_level] */
    ScGuards guards;
    uint32_t *guard_level, *value_level; /* [guards.n], [n_value] of the graph: of its extents */
    uint32_t level;                      /* that is written */
} CgWriter;
/* The writer's guards are the caller's to free. */
CgWriter cg_writer(CgProgram *p, const CgKernels *k, const CgRegion *r, const CgWriter *around);

/* Appends a step, behind one that evaluates the words written since the last. */
void cg_step(CgProgram *p, CgStage stage, ScrtStep x);
/* What is written from now on is blamed on loc. */
void cg_blame(CgProgram *p, const ScLoc *loc);
uint32_t cg_here(CgProgram *p); /* a label: the index of the next step of a run */
uint32_t cg_who_of_guard(CgProgram *p, const ScGuard *g);
uint32_t cg_add_place(CgProgram *p, ScrtPlace x);
uint32_t cg_first_segment(const CgWriter *w); /* the first of the buffers that are segments */
ScrtPlace cg_locate(const CgWriter *w, CgPlace at);
/* What a symbol is, for messages. */
void cg_origin(CgProgram *p, const char *sym, const char *origin);

/* All that the symbols bound so far tell, and that those before did not: guards, sizes, memory. */
void cg_write_level(CgWriter *w);
void cg_write_nodes(CgWriter *w);
void cg_copy_results(CgWriter *w); /* those that no kernel has written in place */

void cg_count_kernel(CgWriter *w, const CgKernel *k); /* count.c: CgProgram.counted */

/* control.c: the steps of node `index`, which has control; memory for what leaves a nested graph,
 * as far as this level knows its size. */
void cg_write_control(CgWriter *w, uint32_t index);
void cg_allocate_leavings(CgWriter *w);

#endif
