/* SPDX-License-Identifier: Apache-2.0 */
/* Between adapt_control.c, which decides what import resolves, and branch.c, loops.c and batched.c,
 * which build what is left to the run. */
#ifndef SC_FRONTEND_CONTROL_PRIV_H
#define SC_FRONTEND_CONTROL_PRIV_H

#include "frontend/frontend_priv.h"

const Onnxpb__Graph *im_graph_attr(const ImNode *n, const char *name); /* NULL after sc_fail */
bool im_is_one(const ImNode *n, ScVal v);                              /* has one element */
ScVal im_one(const ImNode *n, ScVal v);                                /* that, without dims */
/* What is known of a condition. Where it compares two integers, by is their difference, else NULL,
 * and the condition is true when by = 0 (EQUAL) or by != 0 (DIFFER). */
typedef struct ImCondition {
    ScDecision is;
    const ScTerm *by;
    ScGuardKind when;
} ImCondition;
ImCondition im_condition(const ImNode *n, ScVal v);

bool im_undecided_rank(const ImNode *n, const ScTerm *by);
/* An If that the run decides, as row `if`: branch.c. */
bool im_both_branches(const ImNode *n, const Onnxpb__Graph *const branch[2], const ScTerm *by,
                      ScVal *ret_out);

/* A Loop whose body is built. */
typedef struct ImLoop {
    const Onnxpb__Graph *body;
    uint32_t n_carried;
    struct ImCarried *carried; /* [n_carried] loops.c */
    ImCaptures captures;
    ScGraph *g;
    const ScTerm *on; /* what the body leaves of the condition, where that is known; else NULL */
} ImLoop;
/* False after errors; else im_loop_drop or im_loop_end. */
bool im_loop_begin(const ImNode *n, const Onnxpb__Graph *body, uint32_t n_carried, ImLoop *ret);
void im_loop_drop(ImLoop *l);
bool im_loop_end(const ImNode *n, ImLoop *l, ScVal *ret_out);

typedef struct ImScanForm {
    uint32_t axis; /* of a scanned input */
    int64_t given; /* of a result: as the attribute says, its rank not being known */
    bool reversed;
} ImScanForm;
/* A Scan as a loop; in: of the scanned inputs, out: of the scan results. */
bool im_scan_loop(const ImNode *n, const Onnxpb__Graph *body, uint32_t n_carried,
                  const ScTerm *length, const ImScanForm *in, const ImScanForm *out,
                  ScVal *ret_out);

/* batched.c: Scan of opset 8. */
bool im_batched_scan(const ImNode *n, ScVal *ret_out);

#endif
