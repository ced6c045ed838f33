/* SPDX-License-Identifier: Apache-2.0 */
/* The row written as ONNX, by itself or by its expansion, and read back: the same results. */
#include "frontend/frontend.h"
#include "passes/passes.h"
#include "tests/table/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows that are the program's own (exponents, sizes, keys of random numbers), those whose results
 * ONNX cuts off where data ends (their users do here), and those that it has as halves of others
 * and export refuses. */
static bool is_internal(const ScOp *op)
{
    return op->flags & (SC_REBALANCES | SC_BINDS) || op == &sc_op_threefry || op == &sc_op_unique ||
           op == &sc_op_non_max_suppression || op == &sc_op_string_parts ||
           op == &sc_op_string_split || op == &sc_op_lookup;
}

/* What later passes say, and ONNX has no words for: it must be refused. */
static bool is_refused(const ScNode *n)
{
    int last = sc_attr_index(n->op, "channels_last");
    return last >= 0 && n->attr[last].i;
}

/* The node as ONNX and back; NULL with errors in the session. */
static ScGraph *written_and_read(Case *c, bool qdq)
{
    ScExportOptions opt = {.qdq = qdq, .data_limit = SIZE_MAX, .data_name = ""};
    ScExported e = {0};
    ScGraph *plain = sc_plain_graph(c->cx, c->g, qdq, sc_export_says, NULL), *back = NULL;
    if (plain && sc_export(c->cx, plain, &opt, &e))
        back = sc_import(c->cx, "back.onnx", e.model, e.n_model, NULL);
    sc_exported_free(&e);
    sc_graph_free(plain);
    return back;
}

static const char *compare_all(Case *c, const ScGraph *back)
{
    const char *why = NULL;
    ScrtTensor *present = calloc(c->n->n_in + 1u, sizeof *present);
    ScrtTensor *got = calloc(c->g->n_out + 1u, sizeof *got);
    uint32_t n = 0;
    double ulp = c->op->expand ? fmax(c->op->max_ulp, 4) : c->op->max_ulp;
    bool apart = sc_bias(c->n) >= 0; /* a bias is added behind, after a rounding */
    for (uint32_t i = 0; i < c->n->n_in; i++)
        if (c->n->in[i] != SC_ABSENT)
            present[n++] = c->in[i];
    if (back->n_in != n || back->n_out != c->g->n_out)
        why = say("%s: comes back with %u inputs, not %u", c->op->name, back->n_in, n);
    else if (!sc_eval(back, present, got, NULL))
        why = say("%s: cannot be evaluated when read back: %s", c->op->name, sct_messages(c->cx));
    for (uint32_t k = 0; !why && k < c->g->n_out; k++)
        why = compare(c, k, &got[k], apart ? fmax(ulp, 2) : ulp, c->op->expand || apart,
                      "when read back");
    sct_free(got, c->g->n_out);
    free(present);
    return why;
}

const char *check_onnx(const ScOp *op, uint64_t seed)
{
    Case c;
    const char *why = is_internal(op) ? NULL : case_make(&c, op, seed);
    if (is_internal(op))
        return NULL;
    if (!why) {
        ScGraph *back = written_and_read(&c, seed & 1);
        bool refused = is_refused(c.n);
        why = back && !refused ? compare_all(&c, back)
              : !back && refused
                  ? NULL
                  : say("%s: is not written and read: %s", op->name, sct_messages(c.cx));
        sc_graph_free(back);
    }
    case_free(&c);
    return why;
}
