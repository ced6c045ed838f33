/* SPDX-License-Identifier: Apache-2.0 */
/* The table, in the order of ops.def. */
#include "ir/op.h"

#include <string.h>

const ScOp *const sc_op_table[] = {
#define SC_OP(name) &sc_op_##name,
#include "ir/ops.def"
#undef SC_OP
};
const uint32_t sc_op_count = sizeof sc_op_table / sizeof *sc_op_table;

const ScOp *sc_op_find(const char *name)
{
    for (uint32_t i = 0; i < sc_op_count; i++)
        if (!strcmp(sc_op_table[i]->name, name))
            return sc_op_table[i];
    return NULL;
}

const ScOp *sc_op_onnx(const char *domain, const char *type, int opset)
{
    if (!strcmp(domain, "ai.onnx")) /* the two spellings of the default domain */
        domain = "";
    for (uint32_t i = 0; i < sc_op_count; i++) {
        const ScOp *op = sc_op_table[i];
        if (op->onnx.type && !strcmp(op->onnx.type, type) && !strcmp(op->onnx.domain, domain) &&
            opset >= op->onnx.since && (op->onnx.until == 0 || opset <= op->onnx.until))
            return op;
    }
    return NULL;
}
