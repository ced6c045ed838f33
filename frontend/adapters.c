/* SPDX-License-Identifier: Apache-2.0 */
/* Finding adapters: the families, and what of ONNX is said by other rows. */
#include "frontend/frontend_priv.h"

#include <string.h>

static const ImAdapter *const family[] = {
    im_basic_adapters,      im_window_adapters,    im_reduce_adapters,  im_parts_adapters,
    im_index_adapters,      im_norm_adapters,      im_loss_adapters,    im_quant_adapters,
    im_resize_adapters,     im_attention_adapters, im_einsum_adapters,  im_grid_adapters,
    im_gate_adapters,       im_pick_adapters,      im_scatter_adapters, im_control_adapters,
    im_transposed_adapters, im_recurrent_adapters, im_fused_adapters,   im_fourier_adapters,
    im_unpool_adapters,     im_heads_adapters,     im_select_adapters,  im_sequence_adapters,
    im_random_adapters,     im_grouped_adapters,   im_bits_adapters,    im_linear_adapters,
    im_deform_adapters,     im_string_adapters,    im_legacy_adapters,
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

const ImAdapter *im_adapter_at(uint32_t i)
{
    for (size_t f = 0; f < sizeof family / sizeof *family; f++)
        for (const ImAdapter *a = family[f]; a->type; a++)
            if (i-- == 0)
                return a;
    return NULL;
}
