/* SPDX-License-Identifier: Apache-2.0 */
/* Finding adapters: the families, and what of ONNX is said by other rows. */
#include "frontend/frontend_priv.h"

#include <string.h>

static const ImAdapter *const family[] = {
    im_basic_adapters,  im_window_adapters,    im_reduce_adapters, im_parts_adapters,
    im_index_adapters,  im_norm_adapters,      im_loss_adapters,   im_quant_adapters,
    im_resize_adapters, im_attention_adapters, im_einsum_adapters, im_grid_adapters,
    im_gate_adapters,   im_control_adapters,
};

const ImAdapter *im_adapter(const char *domain, const char *type, int opset)
{
    for (size_t f = 0; f < sizeof family / sizeof *family; f++)
        for (const ImAdapter *a = family[f]; a->type; a++)
            if (!strcmp(a->type, type) && !strcmp(a->domain, domain) && opset >= a->since &&
                (!a->until || opset <= a->until))
                return a;
    return NULL;
}

/* A row is this operator in some version. */
static bool has_row(ScCtx *cx, const ImAdapter *a)
{
    uint32_t n;
    const ScOp *const *row = sc_op_rows(cx, &n);
    for (uint32_t i = 0; i < n; i++)
        if (row[i]->onnx.type && !strcmp(row[i]->onnx.type, a->type) &&
            !strcmp(row[i]->onnx.domain, a->domain))
            return true;
    return false;
}

bool sc_import_op(ScCtx *cx, uint32_t i, ScImportOp *ret)
{
    uint32_t k = 0;
    for (size_t f = 0; f < sizeof family / sizeof *family; f++)
        for (const ImAdapter *a = family[f]; a->type; a++)
            if (!has_row(cx, a) && k++ == i) {
                *ret = (ScImportOp){a->domain, a->type, a->since, a->until};
                return true;
            }
    return false;
}
