/* SPDX-License-Identifier: Apache-2.0 */
/* Constant matrices into panels, at compile time, in their stored format: nr columns side by side,
 * so that a kernel reads one stream; the last panel and its last rows are filled up with zeros. */
#include "codegen/product/product.h"

#include <stdlib.h>
#include <string.h>

int64_t cg_unit_bytes(const CgPanels *p)
{
    return (int64_t)p->ku * p->nr * scrt_dtype_bits((ScrtDtype)p->unit.dtype) / 8;
}

int64_t cg_panel_bytes(const CgPanels *p)
{
    return (p->k + p->deep - 1) / p->deep * (p->deep / p->ku) * cg_unit_bytes(p);
}

int64_t cg_matrix_bytes(const CgPanels *p)
{
    return (p->n + p->nr - 1) / p->nr * cg_panel_bytes(p);
}

static int64_t row_at(const CgPanels *p, int64_t k)
{
    if (!p->k_inner)
        return k * p->k_stride;
    return k / p->k_inner * p->k_outer + k % p->k_inner * p->k_stride;
}

/* One unit: rows k0 .. k0 + ku, columns n0 .. n0 + nr. dst is zeroed; place: of each lane; code:
 * what is packed for a byte. */
static void pack_unit(const CgPanels *p, const uint32_t *place, const uint8_t code[256],
                      const unsigned char *src, int64_t k0, int64_t n0, unsigned char *dst)
{
    int64_t cols = p->n - n0 < p->nr ? p->n - n0 : p->nr, size = p->size;
    for (int64_t k = k0; k < k0 + p->ku && k < p->k; k++, place += p->nr) {
        const unsigned char *from = src + (row_at(p, k) + n0 * p->n_stride) * size;
        if (p->n_stride == 1 && p->unit.way == CG_UNIT_PLAIN) { /* in the order of memory */
            memcpy(dst + (k - k0) * p->nr * size, from, (size_t)(cols * size));
            continue;
        }
        for (int64_t n = 0; n < cols; n++, from += p->n_stride * size) {
            if (size == 1)
                dst[place[n]] = code[*from];
            else
                memcpy(dst + place[n] * size, from, (size_t)size);
        }
    }
}

/* The same of codes of fewer than 8 bits; place: of each bit of each lane; from: the element of row
 * 0, column 0. */
static void pack_bits(const CgPanels *p, const uint32_t *place, const void *data, int64_t from,
                      int64_t k0, int64_t n0, unsigned char *dst)
{
    ScrtDtype t = (ScrtDtype)p->unit.dtype;
    uint32_t bits = scrt_dtype_bits(t);
    int64_t cols = p->n - n0 < p->nr ? p->n - n0 : p->nr;
    for (int64_t k = k0; k < k0 + p->ku && k < p->k; k++, place += p->nr * bits) {
        size_t at = (size_t)(from + row_at(p, k) + n0 * p->n_stride);
        for (int64_t n = 0; n < cols; n++, at += (size_t)p->n_stride) {
            const uint32_t *to = place + n * bits;
            uint64_t code = scrt_load_bits(t, data, at);
            if (bits == 4) /* they stay together */
                dst[*to / 8] |= (unsigned char)(code << *to % 8);
            else
                for (uint32_t b = 0; b < bits; b++)
                    dst[to[b] / 8] |= (unsigned char)((code >> b & 1) << to[b] % 8);
        }
    }
}

static int64_t n_matrix(const CgPanels *p)
{
    int64_t n = 1;
    for (uint32_t i = 0; i < p->n_batch; i++)
        n *= p->batch[i];
    return n;
}

size_t cg_panels_bytes(const CgPanels *p)
{
    return (size_t)(n_matrix(p) * cg_matrix_bytes(p));
}

void cg_pack_panels(const ScrtTensor *t, const void *arg, unsigned char *out)
{
    CgPanels p;
    memcpy(&p, arg, sizeof p);
    int64_t n_batch = n_matrix(&p), unit = cg_unit_bytes(&p);
    int64_t rows = cg_panel_bytes(&p) / unit * p.ku;
    uint32_t bits = scrt_dtype_bits((ScrtDtype)p.unit.dtype);
    bool small = bits < 8;
    uint32_t *place = sc_calloc((size_t)p.ku * p.nr * (small ? bits : 1), sizeof *place);
    uint8_t code[256];
    for (int i = 0; i < 256; i++)
        code[i] = cg_unit_code(&p.unit, (uint8_t)i);
    for (uint32_t i = 0; i < p.ku * p.nr; i++)
        for (uint32_t b = 0; small && b < bits; b++)
            place[i * bits + b] = cg_unit_bit(&p.unit, i, b);
    for (uint32_t i = 0; i < p.ku * p.nr && !small; i++)
        place[i] = cg_unit_place(&p.unit, i);
    for (int64_t b = 0; b < n_batch; b++) {
        int64_t at = p.offset, left = b;
        for (uint32_t i = p.n_batch; i-- > 0; left /= p.batch[i])
            at += left % p.batch[i] * p.batch_stride[i];
        const unsigned char *src = (const unsigned char *)t->data + at * p.size;
        for (int64_t n0 = 0; n0 < p.n; n0 += p.nr)
            for (int64_t k0 = 0; k0 < rows; k0 += p.ku, out += unit)
                if (small)
                    pack_bits(&p, place, t->data, at, k0, n0, out);
                else
                    pack_unit(&p, place, code, src, k0, n0, out);
    }
    free(place);
}

CgPanels cg_panels_layout(const CgPanels *p)
{
    CgPanels q = *p;
    q.unit.way = cg_unit_layout(&p->unit);
    q.unit.w = p->unit.way == CG_UNIT_PLAIN ? 1 : p->unit.w;
    q.unit.facts = q.w = q.block = q.scale = q.scale_facts = 0;
    return q;
}

CgPack cg_panels_pack(CgModule *m, const CgPanels *p)
{
    CgPanels layout = cg_panels_layout(p);
    return (CgPack){.fn = cg_pack_panels,
                    .arg = sc_memdup(m->arena, &layout, sizeof layout),
                    .n_arg = sizeof layout,
                    .bytes = cg_panels_bytes(p)};
}
